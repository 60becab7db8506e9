"""A level of a recursion written out: the body of a function that calls itself stands in it for these calls, once.

Half of the levels are calls then, or fewer; what a call costs, to hand over, to come back and to see whether the stack
has an end, is more than what most of them compute. It is done to what is compiled, for small functions.
"""

from __future__ import annotations

import dataclasses

from chainrule.ir.nodes import Call, Function, Node
from chainrule.ir.walk import nodes_of
from chainrule.transforms.recursion import Calling, called

__all__ = ["with_levels_inlined"]

_LONGEST = 120  # statements of a function
_MOST = 3  # calls of itself


def with_levels_inlined(function: Function) -> Function:
    """`function`, where it and what it calls call themselves every second time.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT, INT, Builder, integer
    >>> from chainrule.ir.nodes import Block, Const, If, Merge, Var
    >>> from chainrule.ir.show import show
    >>> n, result, half = Var("n", INT), Var("result", FLOAT), Var("half", FLOAT)
    >>> f = Function("f", (n,), Block(), (result,))
    >>> deep, top = Builder(), Builder(f.body)
    >>> deep.emit(Call((half,), f, (deep.let("subtract", n, integer(1)),)))
    >>> twice = deep.let("add", half, half)
    >>> top.emit(If(top.let("less", n, integer(1)), Block(), deep.block, [Merge(result, Const(1.0, FLOAT), twice)]))
    >>> print(show(with_levels_inlined(f)))
    f(n: int64)
        t = less(n, 1)
        result = if t:
            give 1.0
        else:
            t_3 = subtract(n, 1)
            t_4 = less(t_3, 1)
            result_2 = if t_4:
                give 1.0
            else:
                t_6 = subtract(t_3, 1)
                half = f(t_6)
                t_5 = add(half, half)
                give t_5
            t_2 = add(result_2, result_2)
            give t_2
        return result
    """
    functions = list(called(function))
    small = {f for f in functions if _is_small(f)}
    if not small:
        return function
    others = {f: dataclasses.replace(f) for f in functions}
    for f, made in others.items():
        writer = _Writer(f, others) if f in small else Calling(others)
        made.body = writer.block(f.body)
        made.results = writer.all(f.results)
    return others[function]


def _is_small(function: Function) -> bool:
    nodes = nodes_of(function.body)
    calls = sum(isinstance(n, Call) and n.function is function for n in nodes)
    return 0 < calls <= _MOST and len(nodes) <= _LONGEST and not function.rule and not function.divides


class _Writer(Calling):
    """Copies a function; its body stands for calls of itself."""

    def __init__(self, function: Function, functions: dict[Function, Function]) -> None:
        super().__init__(functions)
        self.function = function

    def call(self, call: Call) -> list[Node]:
        if call.function is not self.function:
            return super().call(call)
        inner = Calling(self.functions)
        inner.atoms.update(zip(self.function.params, self.all(call.args), strict=True))
        nodes = inner.block(self.function.body).nodes
        self.atoms.update(zip(call.outs, inner.all(self.function.results), strict=True))
        return nodes
