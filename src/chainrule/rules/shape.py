"""Derivative rules of operations that move elements: reshapes, transpositions, joins, diagonals.

All of them are linear and structural. Metadata is normalised by `arrays.functions` before it gets here
(axes are non-negative, shapes are tuples).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.core.batch import align, batching
from chainrule.core.define import linear
from chainrule.core.dispatch import Meta
from chainrule.core.linear import LinearMap, Slot, cast, fit
from chainrule.core.live import Masked, dense
from chainrule.core.primitive import Primitive, register
from chainrule.rules.elementwise import Samples
from chainrule.rules.indexing import getitem, set_item

__all__ = [
    "broadcast_to",
    "concatenate",
    "diagonal",
    "duplicate",
    "flip",
    "imaginary",
    "pad",
    "reshape",
    "roll",
    "transpose",
    "tri",
]


def _one(*shape: int, **params: Any) -> Any:
    def samples(rng: np.random.Generator) -> Samples:
        yield (rng.normal(size=shape),), params

    return samples


reshape = linear(
    "reshape",
    lambda x, *, shape: np.reshape(x, shape),
    lambda ct, x, *, shape: reshape(ct, shape=x.shape),
    views=True,
    samples=_one(2, 3, shape=(3, 2)),
)
transpose = linear(
    "transpose",
    lambda x, *, axes: np.transpose(x, axes),
    lambda ct, x, *, axes: transpose(ct, axes=tuple(int(i) for i in np.argsort(axes))),
    views=True,
    samples=_one(2, 3, 4, axes=(1, 2, 0)),
)
broadcast_to = linear(
    "broadcast_to",
    lambda x, *, shape: np.broadcast_to(x, shape),
    lambda ct, x, *, shape: fit(ct, x),
    views=True,
    samples=_one(2, 1, shape=(3, 2, 4)),
)
flip = linear(
    "flip",
    lambda x, *, axis: np.flip(x, axis),
    lambda ct, x, *, axis: flip(ct, axis=axis),
    views=True,
    samples=_one(2, 3, axis=(0, 1)),
)
roll = linear(
    "roll",
    lambda x, *, shift, axis: np.roll(x, shift, axis),
    lambda ct, x, *, shift, axis: roll(ct, shift=tuple(-s for s in shift), axis=axis),
    samples=_one(4, 3, shift=(1, 2), axis=(0, 1)),
)


def _diagonal_transpose(ct: Any, x: Any, *, offset: int, axis1: int, axis2: int) -> Any:
    return undiagonal(ct, shape=x.shape, offset=offset, axis1=axis1, axis2=axis2)


def _undiagonal(ct: Any, *, shape: tuple[int, ...], offset: int, axis1: int, axis2: int) -> Any:
    out = np.zeros(shape, np.asarray(ct).dtype)
    view = np.moveaxis(out, (axis1, axis2), (-2, -1))
    rows = np.arange(np.shape(ct)[-1]) + max(-offset, 0)
    view[..., rows, rows + offset] = ct
    return out


diagonal = linear(
    "diagonal",
    lambda x, *, offset, axis1, axis2: np.diagonal(x, offset, axis1, axis2),
    _diagonal_transpose,
    views=True,
    zeros="transpose",
    samples=_one(3, 4, offset=1, axis1=0, axis2=1),
)
undiagonal = linear(
    "undiagonal",
    _undiagonal,
    lambda ct, x, *, shape, offset, axis1, axis2: diagonal(ct, offset=offset, axis1=axis1, axis2=axis2),
    zeros="apply",
    samples=_one(3, shape=(3, 4), offset=1, axis1=0, axis2=1),
)
tri = linear(
    "tri",
    lambda x, *, k, upper: np.triu(x, k) if upper else np.tril(x, k),
    lambda ct, x, *, k, upper: tri(ct, k=k, upper=upper),
    zeros="both",
    samples=_one(3, 4, k=1, upper=True),
)


# -- joins --------------------------------------------------------------------------------------------


class JoinSlot(Slot):
    """A member of a join; ``statement`` says where in the result it stands."""

    __slots__ = ()
    wants_meta = True

    def map(
        self,
        primitive: Any,
        index: int,
        y: Any,
        args: tuple[Any, ...],
        params: dict[str, Any],
        x: Meta,
        out: Meta,
    ) -> LinearMap:
        return Member(self.statement(args, index, **params), x, out)


class Member(LinearMap):
    """From a member of a join to the result, in which every other member is a structural zero."""

    __slots__ = ("place", "x", "y")

    def __init__(self, place: Any, x: Meta, y: Meta) -> None:
        self.place = place
        self.x = x
        self.y = y

    def apply(self, tangent: Any) -> Any:
        dense_tangent = cast(dense(tangent), self.y.dtype)
        value = set_item(dense_tangent, np.zeros(self.y.shape, self.y.dtype), index=self.place, donate=False)

        def live(mask: Any = True) -> Any:
            return set_item(mask, np.zeros(self.y.shape, bool), index=self.place, donate=False)

        return Masked(value, live, *([tangent.live] if tangent.__class__ is Masked else []))

    def transpose(self, ct: Any, own: bool = False) -> Any:
        value = cast(getitem(dense(ct), index=self.place), self.x.dtype)
        if ct.__class__ is Masked:
            return Masked(value, lambda live: getitem(live, index=self.place), ct.live)
        return value

    @property
    def pattern(self) -> str:
        return "structural"


def _join(name: str, impl: Any, place: Any, samples: Any) -> Primitive:
    made = Primitive(name, impl, (JoinSlot(place),), kind="join", joint=True, samples=samples)
    return register(made, (impl,))


def _span(arrays: Any, k: int, *, axis: int) -> Any:
    start = sum([a.shape[axis] for a in arrays[:k]])
    return (slice(None),) * axis + (slice(start, start + arrays[k].shape[axis]),)


concatenate = _join(
    "concatenate",
    lambda *arrays, axis: np.concatenate(arrays, axis),
    _span,
    lambda rng: iter([((rng.normal(size=(2, 3)), rng.normal(size=(2, 1))), {"axis": 1})]),
)
vector = _join(
    "vector",
    lambda *numbers: np.array(numbers),
    lambda numbers, k: k,
    lambda rng: iter([((rng.normal(), rng.normal(), rng.normal()), {})]),
)


# -- copies and margins -------------------------------------------------------------------------------

duplicate = linear(
    "copy",
    lambda x, *, order: np.array(x, order=order),
    lambda ct, x, *, order: ct,
    samples=_one(2, 3, order="C"),
)


def _imaginary(x: Any) -> Any:
    z = np.zeros(np.shape(x), np.result_type(x, np.complex64))
    z.imag = x
    return z if z.ndim else z[()]


# Not 1j * x, which is NaN where x is infinite.
imaginary = linear("imaginary", _imaginary, lambda ct, x: np.imag(ct), samples=_one(2, 3))
pad = linear(
    "pad",
    lambda x, *, widths: np.pad(x, widths),
    lambda ct, x, *, widths: ct[tuple(slice(low, low + n) for (low, _), n in zip(widths, x.shape, strict=True))],
    zeros="apply",
    samples=_one(2, 3, widths=((1, 0), (0, 2))),
)


batching(duplicate, imaginary)(align)
