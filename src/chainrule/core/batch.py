"""Many values at once: the third interpreter.

A `Rows` value stands for the rows of an array along a leading axis; the program sees one row. Each
primitive is applied to all rows in one call: elementwise ones by aligning ranks, others by the form that
`batching` has entered for them, the rest row by row. Vectorised Jacobians are derivatives whose tangents
or cotangents are rows of the identity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.core.dispatch import Tracer, bind, fresh_level, shape_of
from chainrule.core.primitive import Primitive
from chainrule.core.views import link
from chainrule.errors import ChainruleError, LeakedTracerError, user_line

__all__ = ["Batch", "Rows", "RowsControlFlowError", "align", "batching"]


class RowsControlFlowError(ChainruleError):
    """The program needs one plain value where every row has its own; `vmap` then runs row by row."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(f"a batched value is used as a plain one (a condition, an index, float(x)) at {user_line()}")
        self.batch = batch


class Batch:
    """One batched evaluation: its level and the number of rows."""

    __slots__ = ("level", "open", "size")

    def __init__(self, size: int) -> None:
        self.level = fresh_level()
        self.size = size
        self.open = True


class Rows(Tracer):
    """The rows of `value` along its first axis."""

    __slots__ = ("batch", "captured", "key", "made", "owner", "value", "views", "written")

    def __init__(self, value: Any, batch: Batch) -> None:
        self.value = value
        self.batch = batch
        self.captured = True
        self.owner = None
        self.views = None
        self.written = False

    @property
    def level(self) -> int:  # type: ignore[override]
        return self.batch.level

    @property
    def shape(self) -> tuple[int, ...]:
        return shape_of(self.value)[1:]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        batch = self.batch
        if not batch.open:
            raise LeakedTracerError(f"a batched value is used after its vmap ended (at {user_line()})")
        batched = tuple(isinstance(a, Rows) and a.batch is batch for a in args)
        values = tuple(a.value if b else a for a, b in zip(args, batched, strict=True))
        y = _evaluate(primitive, values, batched, batch.size, params)
        if primitive.outputs > 1 or y.__class__ is tuple:
            return tuple(Rows(v, batch) for v in y)
        if primitive.views and len(shape_of(y)) == 1:
            y = np.copy(y)  # the rows are numbers, which a later write to the array does not reach
        rows = Rows(y, batch)
        if primitive.views and batched[0] and rows.shape:
            link(rows, args[0], primitive, args, params)
        return rows

    def twin(self) -> Rows:
        self.captured = True
        return Rows(self.value, self.batch)

    def adopt(self, other: Rows) -> None:
        """Take over the state that a write has computed."""
        self.value = other.value

    def decide(self, *_: Any, **__: Any) -> Any:
        """Stand in for every conversion to one plain value."""
        raise RowsControlFlowError(self.batch)

    __bool__ = __float__ = __int__ = __complex__ = __index__ = __round__ = decide
    __array__ = __trunc__ = __floor__ = __ceil__ = as_integer_ratio = item = tolist = decide


def _evaluate(
    primitive: Primitive, values: tuple[Any, ...], batched: tuple[bool, ...], size: int, params: dict[str, Any]
) -> Any:
    if primitive.batch is not None:
        return primitive.batch(primitive, values, batched, size, params)
    if primitive.kind == "elementwise":
        return align(primitive, values, batched, size, params)
    return by_rows(primitive, values, batched, size, params)


def align(
    primitive: Primitive, values: tuple[Any, ...], batched: tuple[bool, ...], size: int, params: dict[str, Any]
) -> Any:
    """Apply what broadcasts: the rows' ranks are made equal behind the batch axis."""
    rank = max(len(shape_of(v)) - b for v, b in zip(values, batched, strict=True))
    return bind(
        primitive,
        *[_pad_rank(v, rank) if b else v for v, b in zip(values, batched, strict=True)],
        **params,
    )


def _pad_rank(value: Any, rank: int) -> Any:
    shape = shape_of(value)
    missing = rank - (len(shape) - 1)
    return np.reshape(value, (shape[0],) + (1,) * missing + shape[1:]) if missing else value


def by_rows(
    primitive: Primitive, values: tuple[Any, ...], batched: tuple[bool, ...], size: int, params: dict[str, Any]
) -> Any:
    """Apply a primitive that has no batched form to one row after the other."""
    rows = [
        bind(primitive, *[v[k] if b else v for v, b in zip(values, batched, strict=True)], **params)
        for k in range(size)
    ]
    if rows and rows[0].__class__ is tuple:
        return tuple(np.stack(column) for column in zip(*rows, strict=True))
    return np.stack(rows) if any(isinstance(r, Tracer) for r in rows) else np.array(rows)


def every(value: Any, is_batched: bool, size: int) -> Any:
    """`value` with a leading batch axis, also if all rows share it."""
    return value if is_batched else np.broadcast_to(value, (size, *shape_of(value)))


def batching(*primitives: Primitive) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter ``form(primitive, values, batched, size, params)`` as the batched form of primitives.

    ``values`` have a leading batch axis where ``batched`` says so; so has the result.
    """

    def enter(form: Callable[..., Any]) -> Callable[..., Any]:
        for primitive in primitives:
            primitive.batch = form
        return form

    return enter
