"""Forward mode: dual numbers carry a primal and a tangent through the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.arrays.buffers import replace_traced, set_traced
from chainrule.core.dispatch import Meta, Tracer, bind, fresh_level, innermost, meta_of, shape_of
from chainrule.core.linear import cast
from chainrule.core.live import Masked, add, dense
from chainrule.core.primitive import Primitive
from chainrule.core.quiet import quiet
from chainrule.core.views import link, root_of
from chainrule.errors import LeakedTracerError, UnsupportedError, name_of, user_line

__all__ = ["Dual", "DualArray", "Pass", "lift"]


class Pass:
    """One forward pass: its level, and whether it is still running."""

    __slots__ = ("inputs", "level", "open", "where")

    def __init__(self, where: object) -> None:
        self.level = fresh_level()
        self.open = True
        self.where = where
        self.inputs: list[tuple[int, Any]] = []

    def check(self) -> None:
        if not self.open:
            raise LeakedTracerError(
                f"a value traced while differentiating {name_of(self.where)} is used after that transformation ended "
                f"(at {user_line()}). Return it from the function instead of storing it, or store "
                "chainrule.stop_gradient(value)."
            )


class Dual(Tracer):
    """A number a + b eps with eps^2 = 0: the primal in ``value``, the coefficient of eps in ``tangent``."""

    __slots__ = ("run", "tangent", "value")

    def __init__(self, value: Any, tangent: Any, run: Pass) -> None:
        self.value = value
        self.tangent = tangent
        self.run = run

    @property
    def level(self) -> int:  # type: ignore[override]
        return self.run.level

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        run = self.run
        run.check()
        traced = [isinstance(a, Dual) and a.run is run for a in args]
        values = tuple(a.value if t else a for a, t in zip(args, traced, strict=True))
        y = bind(primitive, *values, **params)
        tangents = [a.tangent if t else None for a, t in zip(args, traced, strict=True)]
        with quiet():
            tangent = push(primitive, values, tangents, params, y)
        if tangent is None:
            return y
        if primitive.outputs > 1:
            return tuple(lift(v, t, run) for v, t in zip(y, tangent, strict=True))
        dual = lift(y, tangent, run)
        if primitive.views:
            link(dual, args[0], primitive, args, params)
        if dual.owner is None:  # the tangent of a view is made anew when its root is written to
            for a, t in zip(args, traced, strict=True):
                if t and root_of(a).captured is False and _shares(tangent, a.tangent):
                    dual.tangent = tangent = _detached(tangent, root_of(a))
        return dual

    def twin(self) -> Dual:
        return Dual(self.value, self.tangent, self.run)


class DualArray(Dual):
    """A traced array of forward mode."""

    __slots__ = ("captured", "key", "made", "owner", "views", "written")

    def __init__(self, value: Any, tangent: Any, run: Pass) -> None:
        super().__init__(value, tangent, run)
        self.captured = True
        self.owner = None
        self.views = None
        self.written = False

    def twin(self) -> DualArray:
        self.captured = True
        return DualArray(self.value, self.tangent, self.run)

    def adopt(self, other: Dual) -> None:
        """Take over the state that a write has computed."""
        self.value = other.value
        self.tangent = other.tangent

    set = set_traced
    replace = replace_traced


def lift(value: Any, tangent: Any, run: Pass) -> Any:
    """The dual number of a primal and its tangent."""
    if value.__class__ is np.ndarray:
        if value.ndim == 0:
            return Dual(value[()], tangent, run)
        return DualArray(value, tangent, run)
    if isinstance(value, Tracer) and value.ndim:
        return DualArray(value, tangent, run)
    return Dual(value, tangent, run)


def _detached(tangent: Any, root: Any) -> Any:
    """A tangent that shares memory with that of `root`, secured against the next write to `root`."""
    value = dense(tangent)
    if value.__class__ is not np.ndarray:
        root.captured = True
        return tangent
    return Masked(value.copy(), tangent.live) if tangent.__class__ is Masked else value.copy()


def _shares(a: Any, b: Any) -> bool:
    a, b = innermost(dense(a)), innermost(dense(b))
    return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.may_share_memory(a, b)


def push(primitive: Primitive, values: tuple[Any, ...], tangents: list[Any], params: dict[str, Any], y: Any) -> Any:
    """The tangent of the output (a tuple for several outputs), or None where it is zero."""
    if primitive.slots is None:
        raise UnsupportedError(
            f"{primitive.name} has no derivative rule (at {user_line()}). Define one with "
            "chainrule.custom_jvp or chainrule.custom_vjp, or cut the derivative with chainrule.stop_gradient."
        )
    active = [k for k, t in enumerate(tangents) if t is not None and primitive.slot(k) is not None]
    if not active:
        return None
    out = None
    if primitive.outputs == 1:
        out = meta_of(y)
        if out.dtype.kind not in "fc":
            return None
        if callable(primitive.joint):
            return primitive.joint(values, tangents, params, out)
        if primitive.joint and len(active) > 1:
            return _push_joint(primitive, values, tangents, params, out)
    total = None
    for k in active:
        linear = _map(primitive, k, values, params, y, out)
        if linear is None:
            continue
        change = linear.apply(tangents[k])
        if total is None:
            total = change
        else:
            total = tuple(map(add, total, change)) if isinstance(total, tuple) else add(total, change)
    return total


def _map(
    primitive: Primitive, k: int, values: tuple[Any, ...], params: dict[str, Any], y: Any, out: Meta | None
) -> Any:
    slot = primitive.slot(k)
    assert slot is not None
    return slot.map(primitive, k, y, values, params, meta_of(values[k]), out)  # type: ignore[arg-type]


def _push_joint(
    primitive: Primitive, values: tuple[Any, ...], tangents: list[Any], params: dict[str, Any], out: Meta
) -> Any:
    """One application to all tangents at once; arguments without one contribute structural zeros."""
    static = [primitive.slot(k) is None for k in range(len(values))]

    def run(part: Callable[[int], Any]) -> Any:
        return primitive(*[v if static[k] else part(k) for k, v in enumerate(values)], **params)

    def change(k: int) -> Any:
        t = tangents[k]
        if t is None:
            return np.zeros(shape_of(values[k]), out.dtype)
        return cast(t.value if t.__class__ is Masked else t, out.dtype)

    result = run(change)
    free = [t for t, s in zip(tangents, static, strict=True) if not s]
    if all(t is not None and t.__class__ is not Masked for t in free):
        return result
    # What the live set is made of: a set, or one number for the whole of an argument. It keeps no tangent.
    parts = [None if t.__class__ is Masked else 0.0 if t is None else 1.0 for t in tangents]
    given = [v if s else shape_of(v) for v, s in zip(values, static, strict=True)]

    def live(*masks: Any) -> Any:
        supply = iter(masks)
        return (
            primitive(
                *[
                    v if s else next(supply).astype(np.float64) if part is None else np.full(v, part)
                    for v, s, part in zip(given, static, parts, strict=True)
                ],
                **params,
            )
            != 0
        )

    return Masked(result, live, *[t.live for t in free if t.__class__ is Masked])
