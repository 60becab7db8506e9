"""How Numba will know the arrays of a program to lie in memory: "C", "F" (transposed), or "A" (anyhow)."""

from __future__ import annotations

from chainrule.ir.nodes import Array, Function, Slice, Var, View
from chainrule.ir.walk import nodes_of, storage

__all__ = ["layouts_of"]


def layouts_of(function: Function) -> dict[Var, str]:
    """The layout of every array, by Numba's rules for views."""
    layouts = {p: "C" for p in function.params if isinstance(p.type, Array)}
    for node in nodes_of(function.body):
        if isinstance(node, View):
            layouts[node.out] = _view(node, layouts[node.array])
        else:
            layouts.update((v, "C") for v in storage(node))
    return layouts


def _view(node: View, layout: str) -> str:
    if node.kind == "reshape":
        return "C"
    if node.kind == "transpose":
        axes = [i.value for i in node.items]
        if axes == sorted(axes):
            return layout
        return {"C": "F", "F": "C"}.get(layout, "A") if axes == sorted(axes, reverse=True) else "A"
    items = list(node.items)
    while items and items[-1] == Slice(None, None, None):
        items.pop()
    first = next((k for k, i in enumerate(items) if i is None or isinstance(i, Slice)), len(items))
    rest = items[first:]
    whole = not rest or (len(rest) == 1 and isinstance(rest[0], Slice) and rest[0].step is None)
    return layout if whole and (layout == "C" or not items) else "A"
