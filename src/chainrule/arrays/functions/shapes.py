"""Shapes and orders of axes of traced values: reshapes, transpositions, flips, broadcasts, splits.

Everything here moves elements and nothing else. What NumPy answers with a view is a view of the traced
array too: writes through it reach the array it was taken from (see `core.views`).
"""

from __future__ import annotations

import itertools
import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from chainrule.arrays.arguments import asarray, flat_shape
from chainrule.arrays.protocols import implements
from chainrule.core.dispatch import innermost
from chainrule.errors import UnsupportedError, user_line
from chainrule.rules import indexing
from chainrule.rules import shape as rules

__all__ = ["gather", "moveaxis", "reordered", "reshape_to"]


# -- reshapes -----------------------------------------------------------------------------------------


@implements(np.reshape)
def reshape(a: Any, /, shape: Any, order: str = "C", *, copy: Any = None) -> Any:
    a = asarray(a)
    result = reshape_to(a, shape, order)
    shares = np.may_share_memory(innermost(result), innermost(a))
    if copy is False and not shares and a.ndim:
        raise ValueError("Unable to avoid creating a copy while reshaping.")
    return np.copy(result) if copy and shares else result


def reshape_to(a: Any, wanted: Any, order: str = "C") -> Any:
    """`a` in another shape, which may have one unknown length."""
    a = asarray(a)
    wanted = flat_shape(wanted, a.size)
    if _is_fortran(a, order):
        return _reverse(rules.reshape(_reverse(a), shape=wanted[::-1]))
    return rules.reshape(a, shape=wanted)


def _is_fortran(a: Any, order: str) -> bool:
    """Whether an order argument means that the first index runs fastest."""
    if order not in ("C", "F", "A"):
        raise ValueError(f"order must be one of 'C', 'F', 'A' (got {order!r})")
    return order == "F" or (order == "A" and a.ndim > 1 and _is_fortran_array(memory(a)))


def _is_fortran_array(a: Any) -> bool:
    return bool(a.flags.f_contiguous and not a.flags.c_contiguous)


def memory(a: Any) -> Any:
    """The plain array that holds the elements of `a`, for questions about their layout."""
    plain = np.asarray(innermost(a))
    if plain.ndim != a.ndim:
        raise UnsupportedError(f"the memory layout of a batched array is unknown (at {user_line()}); use order='C'")
    return plain


def _reverse(a: Any) -> Any:
    return reordered(a, range(a.ndim)[::-1])


def reordered(a: Any, order: Any) -> Any:
    """`a` with its axes in the given order of non-negative numbers."""
    order = tuple(order)
    return a if order == tuple(range(a.ndim)) else rules.transpose(a, axes=order)


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    a = asarray(a)
    if order == "K":
        strides = memory(a).strides if a.ndim > 1 else (0,) * a.ndim
        a = reordered(a, sorted(range(a.ndim), key=lambda k: -abs(strides[k])))
    elif _is_fortran(a, order):
        a = _reverse(a)
    flat = rules.reshape(a, shape=(a.size,))
    if getattr(flat, "owner", None) is None or innermost(a).flags.c_contiguous:
        return flat
    return np.copy(flat)  # unlike reshape, ravel copies whatever is not contiguous


@implements(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    a = asarray(a)
    if axis is None:
        return rules.reshape(a, shape=tuple(n for n in a.shape if n != 1))
    dropped = normalize_axis_tuple(axis, a.ndim)
    if any(a.shape[k] != 1 for k in dropped):
        raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
    return rules.reshape(a, shape=tuple(n for k, n in enumerate(a.shape) if k not in dropped))


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    a = asarray(a)
    new = normalize_axis_tuple(axis, a.ndim + (len(axis) if isinstance(axis, (tuple, list)) else 1))
    lengths = iter(a.shape)
    full = tuple(1 if k in new else next(lengths) for k in range(a.ndim + len(new)))
    return rules.reshape(a, shape=full)


def _atleast(rank: int, lift: Any) -> Any:
    def function(*arys: Any) -> Any:
        arrays = [asarray(a) for a in arys]
        lifted = tuple(a if a.ndim >= rank else rules.reshape(a, shape=lift(a.shape)) for a in arrays)
        return lifted[0] if len(lifted) == 1 else lifted

    return function


atleast_1d = implements(np.atleast_1d)(_atleast(1, lambda shape: (1,)))
atleast_2d = implements(np.atleast_2d)(_atleast(2, lambda shape: (1, *shape) if shape else (1, 1)))
atleast_3d = implements(np.atleast_3d)(
    _atleast(3, lambda shape: (*shape, 1) if len(shape) == 2 else (1, *(shape or (1,)), 1))
)


# -- orders of axes -----------------------------------------------------------------------------------


@implements(np.transpose, np.permute_dims)
def transpose(a: Any, axes: Any = None) -> Any:
    a = asarray(a)
    if axes is None:
        return _reverse(a)
    order = normalize_axis_tuple(tuple(axes) if np.iterable(axes) else axes, a.ndim)
    if len(order) != a.ndim:
        raise ValueError("axes don't match array")
    return rules.transpose(a, axes=order)


@implements(np.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    x = asarray(x)
    if x.ndim < 2:
        raise ValueError(f"Input array must be at least 2-dimensional, but it is {x.ndim}")
    return swapaxes(x, -1, -2)


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    a = asarray(a)
    first, second = normalize_axis_index(axis1, a.ndim), normalize_axis_index(axis2, a.ndim)
    order = list(range(a.ndim))
    order[first], order[second] = second, first
    return rules.transpose(a, axes=tuple(order))


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    a = asarray(a)
    froms, tos = (
        normalize_axis_tuple(source, a.ndim, "source"),
        normalize_axis_tuple(destination, a.ndim, "destination"),
    )
    if len(froms) != len(tos):
        raise ValueError("`source` and `destination` arguments must have the same number of elements")
    order = [k for k in range(a.ndim) if k not in froms]
    for to, start in sorted(zip(tos, froms, strict=True)):
        order.insert(to, start)
    return rules.transpose(a, axes=tuple(order))


@implements(np.rollaxis)
def rollaxis(a: Any, axis: Any, start: Any = 0) -> Any:
    a = asarray(a)
    axis = normalize_axis_index(axis, a.ndim)
    if not -a.ndim <= start <= a.ndim:
        raise np.exceptions.AxisError(f"start arg requires {-a.ndim} <= start <= {a.ndim}, but {start} was passed in")
    start = start + a.ndim if start < 0 else start
    order = [k for k in range(a.ndim) if k != axis]
    order.insert(start - (axis < start), axis)
    return rules.transpose(a, axes=tuple(order))


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    m = asarray(m)
    return rules.flip(m, axis=tuple(range(m.ndim)) if axis is None else normalize_axis_tuple(axis, m.ndim))


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    return flip(_at_least(m, 2, "Input must be >= 2-d."), 1)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    return flip(_at_least(m, 1, "Input must be >= 1-d."), 0)


def _at_least(a: Any, rank: int, message: str) -> Any:
    a = asarray(a)
    if a.ndim < rank:
        raise ValueError(message)
    return a


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    m = asarray(m)
    if len(tuple(axes)) != 2:
        raise ValueError("len(axes) must be 2.")
    first, second = (normalize_axis_index(x, m.ndim) for x in axes)
    if first == second:
        raise ValueError("Axes must be different.")
    turns = operator.index(k) % 4
    if turns == 0:
        return m[:]
    if turns == 2:
        return flip(m, (first, second))
    if turns == 1:
        return swapaxes(flip(m, second), first, second)
    return flip(swapaxes(m, first, second), second)


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    a = asarray(a)
    if axis is None:
        flat = ravel(a)
        return rules.reshape(rules.roll(flat, shift=(int(np.sum(shift)),), axis=(0,)), shape=a.shape)
    axes = normalize_axis_tuple(axis, a.ndim, allow_duplicate=True)
    shifts, where = np.broadcast_arrays(shift, axes)
    if shifts.ndim > 1:
        raise ValueError("'shift' and 'axis' should be scalars or 1D sequences")
    return rules.roll(a, shift=tuple(int(s) for s in shifts.ravel()), axis=tuple(int(k) for k in where.ravel()))


# -- broadcasts and repetitions -----------------------------------------------------------------------


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    wanted = tuple(operator.index(n) for n in shape) if np.iterable(shape) else (operator.index(shape),)
    return rules.broadcast_to(asarray(array), shape=wanted)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    arrays = [asarray(a) for a in args]
    wanted = np.broadcast_shapes(*[a.shape for a in arrays])
    return tuple(a if a.shape == wanted else broadcast_to(a, wanted) for a in arrays)


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    a = asarray(A)
    counts = tuple(operator.index(n) for n in reps) if np.iterable(reps) else (operator.index(reps),)
    rank = max(a.ndim, len(counts))
    counts = (1,) * (rank - len(counts)) + counts
    lengths = (1,) * (rank - a.ndim) + a.shape
    if all(n == 1 for n in counts):
        return np.copy(rules.reshape(a, shape=lengths))
    apart = rules.reshape(a, shape=tuple(n for length in lengths for n in (1, length)))
    spread = rules.broadcast_to(apart, shape=tuple(n for pair in zip(counts, lengths, strict=True) for n in pair))
    return _owned(rules.reshape(spread, shape=tuple(c * n for c, n in zip(counts, lengths, strict=True))))


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    a = asarray(a)
    if axis is None:
        a, axis = ravel(a), 0
    axis = normalize_axis_index(axis, a.ndim)
    if np.ndim(repeats) or np.size(repeats) != 1:
        return gather(a, np.repeat(np.arange(a.shape[axis]), repeats), axis)
    count, before, length, after = operator.index(repeats), a.shape[:axis], a.shape[axis], a.shape[axis + 1 :]
    if count < 0:
        raise ValueError("repeats may not contain negative values.")
    spread = rules.broadcast_to(
        rules.reshape(a, shape=(*before, length, 1, *after)), shape=(*before, length, count, *after)
    )
    return _owned(rules.reshape(spread, shape=(*before, length * count, *after)))


def _owned(a: Any) -> Any:
    """`a`, copied if it is a view: NumPy's result shares nothing."""
    return np.copy(a) if getattr(a, "owner", None) is not None else a


def gather(a: Any, index: Any, axis: int) -> Any:
    """The elements of `a` at plain integer positions along one axis."""
    return indexing.getitem(a, index=(slice(None),) * axis + (index,))


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    a = asarray(a)
    wanted = tuple(new_shape) if np.iterable(new_shape) else (operator.index(new_shape),)
    if any(n < 0 for n in wanted):
        raise ValueError("all elements of `new_shape` must be non-negative")
    size = int(np.prod(wanted))
    if not a.size or not size:
        return np.zeros(wanted, a.dtype)
    flat = ravel(a)
    return rules.reshape(gather(flat, np.arange(size) % a.size, 0), shape=wanted)


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    x = asarray(x)
    if writeable:
        raise UnsupportedError(f"sliding_window_view(writeable=True) of a traced array (at {user_line()})")
    windows = tuple(window_shape) if np.iterable(window_shape) else (window_shape,)
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim, allow_duplicate=True)
    # The positions are worked out on a grid of numbers: this also checks the arguments as NumPy does.
    grid = np.arange(x.size).reshape(x.shape)
    seen = np.lib.stride_tricks.sliding_window_view(grid, windows, axes)
    return indexing.getitem(x, index=np.unravel_index(seen, x.shape))


# -- splits -------------------------------------------------------------------------------------------


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> Any:
    a = asarray(ary)
    axis = normalize_axis_index(axis, a.ndim)
    bounds = [0, *_cuts(a.shape[axis], indices_or_sections), a.shape[axis]]
    lead = (slice(None),) * axis
    return [a[(*lead, slice(low, high))] for low, high in itertools.pairwise(bounds)]


def _cuts(length: int, spec: Any) -> list[int]:
    """Where an axis is cut: the positions given, or those of near-equal sections."""
    if np.ndim(spec):
        return [operator.index(k) for k in spec]
    sections = operator.index(spec)
    if sections <= 0:
        raise ValueError("number sections must be larger than 0.")
    each, extra = divmod(length, sections)
    return [int(k) for k in np.cumsum([each + 1] * extra + [each] * (sections - extra))[:-1]]


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> Any:
    a = asarray(ary)
    if not np.ndim(indices_or_sections) and a.shape[axis] % indices_or_sections:
        raise ValueError("array split does not result in an equal division")
    return array_split(a, indices_or_sections, axis)


@implements(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> Any:
    a = _at_least(ary, 1, "hsplit only works on arrays of 1 or more dimensions")
    return split(a, indices_or_sections, 1 if a.ndim > 1 else 0)


@implements(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> Any:
    return split(_at_least(ary, 2, "vsplit only works on arrays of 2 or more dimensions"), indices_or_sections, 0)


@implements(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> Any:
    return split(_at_least(ary, 3, "dsplit only works on arrays of 3 or more dimensions"), indices_or_sections, 2)


@implements(np.unstack)
def unstack(x: Any, /, *, axis: Any = 0) -> tuple[Any, ...]:
    x = _at_least(x, 1, "Input array must be at least 1-d.")
    return tuple(moveaxis(x, axis, 0))


# -- questions ----------------------------------------------------------------------------------------


@implements(np.shape)
def shape_(a: Any) -> tuple[int, ...]:
    return tuple(a.shape)


@implements(np.ndim)
def ndim(a: Any) -> int:
    return len(a.shape)


@implements(np.size)
def size(a: Any, axis: Any = None) -> int:
    if axis is None:
        return int(a.size)
    axes = normalize_axis_tuple(axis, a.ndim)
    return int(np.prod([a.shape[k] for k in axes]))
