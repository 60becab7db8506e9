"""Derivative rules of operations that move elements: reshapes, transpositions, joins, diagonals.

All of them are linear and structural. Metadata is normalised by `arrays.functions` before it gets here
(axes are non-negative, shapes are tuples).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.core.define import linear
from chainrule.core.linear import fit
from chainrule.rules.elementwise import Samples

__all__ = ["broadcast_to", "concatenate", "diagonal", "flip", "pad", "reshape", "roll", "transpose", "tri"]


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


def _concatenate(*arrays: Any, axis: int) -> Any:
    return np.concatenate(arrays, axis)


def _concatenate_transpose(ct: Any, k: int, *arrays: Any, axis: int) -> Any:
    start = sum(a.shape[axis] for a in arrays[:k])
    index = (slice(None),) * axis + (slice(start, start + arrays[k].shape[axis]),)
    return ct[index]


concatenate = linear(
    "concatenate",
    _concatenate,
    _concatenate_transpose,
    variadic=True,
    zeros="apply",
    samples=lambda rng: iter([((rng.normal(size=(2, 3)), rng.normal(size=(2, 1))), {"axis": 1})]),
)


def _stack_numbers(*numbers: Any) -> Any:
    return np.array(numbers)


vector = linear(
    "vector",
    _stack_numbers,
    lambda ct, k, *numbers: ct[k],
    variadic=True,
    zeros="apply",
    samples=lambda rng: iter([((rng.normal(), rng.normal(), rng.normal()), {})]),
)
pad = linear(
    "pad",
    lambda x, *, widths: np.pad(x, widths),
    lambda ct, x, *, widths: ct[tuple(slice(low, low + n) for (low, _), n in zip(widths, x.shape, strict=True))],
    zeros="apply",
    samples=_one(2, 3, widths=((1, 0), (0, 2))),
)
