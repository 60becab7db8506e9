"""Choosing elements of traced arrays: conditions, indices, triangles and diagonals; and writing to them.

What is not chosen is a structural zero of the derivative. The functions that write in place go through
`arrays.buffers.write`; on a plain destination they raise if what they would write is traced.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from chainrule.arrays import buffers
from chainrule.arrays.arguments import asarray, plain
from chainrule.arrays.functions.creation import astype
from chainrule.arrays.functions.shapes import gather
from chainrule.arrays.nested import array_of, has_traced
from chainrule.arrays.protocols import implements
from chainrule.core.dispatch import Tracer
from chainrule.errors import UnsupportedError, lost, user_line
from chainrule.rules import elementwise as ew
from chainrule.rules import indexing, shape
from chainrule.rules.indexing import static_index

__all__ = ["condition_of", "trace", "where"]


def condition_of(condition: Any) -> Any:
    """A condition as booleans without derivative."""
    condition = array_of(condition)
    return condition != 0 if has_traced(condition) else condition.astype(bool, copy=False)


def _places(indices: Any) -> Any:
    """Indices as a plain integer array."""
    return np.asarray(static_index(indices))


# -- by a condition -----------------------------------------------------------------------------------


@implements(np.where)
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    condition = condition_of(condition)
    if x is None and y is None:
        return np.nonzero(condition)
    if x is None or y is None:
        raise ValueError("either both or neither of x and y should be given")
    return ew.where(condition, array_or_number(x), array_or_number(y))


def array_or_number(x: Any) -> Any:
    """An operand; Python numbers stay as they are, for they are weak in promotion."""
    return array_of(x) if isinstance(x, (list, tuple)) else x


@implements(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if not len(condlist):
        raise ValueError("select with an empty condition list is not possible")
    conditions = [condition_of(c) for c in condlist]
    members = [array_or_number(c) for c in (*choicelist, default)]
    dtype = np.result_type(*members)
    wanted = np.broadcast_shapes(*[np.shape(x) for x in (*conditions, *members)])
    result = np.broadcast_to(astype(asarray(members[-1]), dtype), wanted)
    for condition, choice in zip(conditions[::-1], members[-2::-1], strict=True):
        result = ew.where(condition, astype(asarray(choice), dtype), result)
    return result


@implements(np.choose)
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    chooser = _places(a)
    members = [array_of(c) for c in choices]
    numbers = _wrapped(chooser, len(members), mode)
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(members):
        raise ValueError("invalid entry in choice array")
    dtype = np.result_type(*members)
    wanted = np.broadcast_shapes(numbers.shape, *[m.shape for m in members])
    result = np.broadcast_to(astype(members[0], dtype), wanted)
    for k, member in enumerate(members[1:], 1):
        result = ew.where(numbers == k, astype(member, dtype), result)
    result = np.copy(result) if len(members) == 1 else result
    return result if out is None else buffers.write_out(out, result)


def _wrapped(indices: Any, length: int, mode: str) -> Any:
    """Indices brought into range as ``mode`` says."""
    if mode == "wrap":
        return indices % length
    if mode == "clip":
        return np.clip(indices, 0, length - 1)
    if mode != "raise":
        raise ValueError(f"clipmode must be one of 'clip', 'raise', or 'wrap' (got {mode!r})")
    return indices


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    x = asarray(x)
    single = np.ndim(condlist) == 0 or (not isinstance(condlist[0], (list, np.ndarray, Tracer)) and x.ndim != 0)
    conditions = [condition_of(c) for c in ([condlist] if single else condlist)]
    count = len(conditions)
    if len(funclist) not in (count, count + 1):
        raise ValueError(f"with {count} condition(s), either {count} or {count + 1} functions are expected")
    if len(funclist) == count + 1:
        conditions.append(~np.any(np.stack(np.broadcast_arrays(*conditions)), axis=0))
    if x.ndim == 0:
        return _piecewise_number(x, conditions, funclist, args, kw)
    result = np.zeros_like(x)
    for condition, function in zip(conditions, funclist, strict=True):
        if not callable(function):
            result[condition] = function
        elif np.any(condition):
            result[condition] = function(x[condition], *args, **kw)
    return buffers.unwrap(result)


def _piecewise_number(x: Any, conditions: Any, funclist: Any, args: Any, kw: Any) -> Any:
    result: Any = np.zeros((), x.dtype)[()]
    for condition, function in zip(conditions, funclist, strict=True):
        if condition:
            result = function(x, *args, **kw) if callable(function) else function
    return result


@implements(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    condition = condition_of(condition)
    if condition.ndim != 1:
        raise ValueError("condition must be a 1-d array")
    return take(a, np.flatnonzero(condition), axis, out)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    return gather(np.ravel(asarray(arr)), np.flatnonzero(condition_of(condition)), 0)


# -- by indices ---------------------------------------------------------------------------------------


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    a, places = asarray(a), _places(indices)
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = normalize_axis_index(axis, a.ndim)
    places = _wrapped(places.astype(np.intp, casting="same_kind"), a.shape[axis], mode)
    result = gather(a, places if places.ndim else int(places), axis)
    result = np.copy(result) if getattr(result, "owner", None) is not None else result
    return result if out is None else buffers.write_out(out, result)


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    a, places = asarray(arr), _places(indices)
    if axis is None:
        a, axis = np.ravel(a), 0
    return indexing.getitem(a, index=_along(a, places, axis))


def _along(a: Any, places: Any, axis: Any) -> tuple[Any, ...]:
    """The index of what `take_along_axis` takes."""
    axis = normalize_axis_index(axis, a.ndim)
    if places.ndim != a.ndim:
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    if places.dtype.kind not in "iu":
        raise IndexError("`indices` must be an integer array")
    grid = np.ogrid[tuple(slice(n) for n in a.shape)]
    return tuple(places if k == axis else np.asarray(grid[k]) for k in range(a.ndim))


@implements(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    a = asarray(filt)
    if a.ndim != 1 or axis not in (None, 0, -1):
        raise UnsupportedError(f"numpy.trim_zeros of traced arrays of {a.ndim} dimensions (at {user_line()})")
    if set(trim.lower()) - set("fb"):
        raise ValueError(f"unexpected character(s) in `trim`: {trim!r}")
    places = np.flatnonzero(condition_of(a))
    if not places.size:
        return a[:0]
    start = int(places[0]) if "f" in trim.lower() else 0
    return a[start : int(places[-1]) + 1 if "b" in trim.lower() else None]


@implements(np.diag_indices_from)
def diag_indices_from(arr: Any) -> Any:
    return np.diag_indices_from(_stand_in(arr))


@implements(np.tril_indices_from)
def tril_indices_from(arr: Any, k: Any = 0) -> Any:
    return np.tril_indices_from(_stand_in(arr), k)


@implements(np.triu_indices_from)
def triu_indices_from(arr: Any, k: Any = 0) -> Any:
    return np.triu_indices_from(_stand_in(arr), k)


def _stand_in(a: Any) -> Any:
    """A plain array of the shape of `a`."""
    return np.broadcast_to(np.zeros(()), a.shape)


# -- diagonals and triangles --------------------------------------------------------------------------


@implements(np.diagonal)
def diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    a = asarray(a)
    if a.ndim < 2:
        raise ValueError("diag requires an array of at least two dimensions")
    first, second = normalize_axis_index(axis1, a.ndim), normalize_axis_index(axis2, a.ndim)
    if first == second:
        raise ValueError("axis1 and axis2 cannot be the same")
    return shape.diagonal(a, offset=operator.index(offset), axis1=first, axis2=second)


@implements(np.trace)
def trace(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None, out: Any = None) -> Any:
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype, out=out)


@implements(np.diag)
def diag(v: Any, k: Any = 0) -> Any:
    v = asarray(v)
    if v.ndim == 2:
        return diagonal(v, k)
    if v.ndim != 1:
        raise ValueError("Input must be 1- or 2-d.")
    k = operator.index(k)
    n = v.size + abs(k)
    return shape.undiagonal(v, shape=(n, n), offset=k, axis1=0, axis2=1)


@implements(np.diagflat)
def diagflat(v: Any, k: Any = 0) -> Any:
    return diag(np.ravel(asarray(v)), k)


def _triangle(m: Any, k: Any, upper: bool) -> Any:
    m = asarray(m)
    if m.ndim == 1:  # NumPy broadcasts it against a square mask
        m = np.broadcast_to(m, (m.size, m.size))
    return shape.tri(m, k=operator.index(k), upper=upper)


@implements(np.tril)
def tril(m: Any, k: Any = 0) -> Any:
    return _triangle(m, k, False)


@implements(np.triu)
def triu(m: Any, k: Any = 0) -> Any:
    return _triangle(m, k, True)


# -- writing in place ---------------------------------------------------------------------------------


def _target(a: Any, function: str) -> Any:
    """The array that is written to; a plain one cannot hold traced values."""
    if isinstance(a, Tracer):
        if not a.ndim:
            raise lost(f"{function} on a traced number", "Only arrays can be written to.")
        return a
    raise lost(
        f"{function} of traced values into a plain array",
        buffers.MAKE_FILLABLE,
    )


def _unraveled(a: Any, flat: Any) -> tuple[Any, ...]:
    return np.unravel_index(flat, a.shape)


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    dst, src = _target(dst, "numpy.copyto"), array_or_number(src)
    weak = isinstance(src, (int, float, complex)) and not isinstance(src, np.generic)
    if not np.can_cast(np.result_type(src, dst.dtype) if weak else src.dtype, dst.dtype, casting):
        raise TypeError(f"Cannot cast array data to {dst.dtype!r} according to the rule {casting!r}")
    if where is True:
        buffers.write(dst, ..., src)
        return
    mask = np.broadcast_to(condition_of(where), dst.shape)
    values = np.broadcast_to(src, dst.shape)
    buffers.write(dst, mask, values[mask])


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    a = _target(a, "numpy.fill_diagonal")
    if a.ndim < 2:
        raise ValueError("array must be at least 2-d")
    # NumPy itself says which elements are written, and with which of the values.
    marks = np.full(a.shape, -1)
    values = np.ravel(array_of(val))
    np.fill_diagonal(marks, np.arange(values.size), wrap)
    hit = np.nonzero(marks >= 0)
    buffers.write(a, hit, values[marks[hit]])


@implements(np.put)
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    a = _target(a, "numpy.put")
    flat, values = _wrapped(_places(ind).ravel(), a.size, mode), np.ravel(array_of(v))
    if mode == "raise":
        if flat.size and not (-a.size <= flat.min() and flat.max() < a.size):
            raise IndexError(f"index out of bounds for an array of size {a.size}")
        flat = flat % max(a.size, 1)
    if flat.size and values.size:
        buffers.write(a, _unraveled(a, flat), values[np.arange(flat.size) % values.size])


@implements(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    a, places = _target(arr, "numpy.put_along_axis"), _places(indices)
    if axis is None:
        put_flat = np.unravel_index(places.ravel(), a.shape)
        buffers.write(a, put_flat, values)
        return
    buffers.write(a, _along(a, places, axis), array_or_number(values))


@implements(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    a, values = _target(arr, "numpy.place"), np.ravel(array_of(vals))
    places = np.flatnonzero(condition_of(mask))
    if not places.size:
        return
    if not values.size:
        raise ValueError("Cannot insert from an empty array!")
    buffers.write(a, _unraveled(a, places), values[np.arange(places.size) % values.size])


@implements(np.putmask)
def putmask(a: Any, /, mask: Any, values: Any) -> None:
    a, flat = _target(a, "numpy.putmask"), np.ravel(array_of(values))
    mask = condition_of(mask)
    if mask.shape != a.shape and mask.size != a.size:
        raise ValueError("putmask: mask and data must be the same size")
    places = np.flatnonzero(mask)
    if flat.size and places.size:
        buffers.write(a, _unraveled(a, places), flat[places % flat.size])


# -- padding ------------------------------------------------------------------------------------------

_BY_INDEX = {"edge": (), "wrap": (), "reflect": ("reflect_type",), "symmetric": ("reflect_type",)}


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    a = asarray(array)
    widths = _widths(pad_width, a.ndim)
    if mode == "constant":
        constants = kwargs.pop("constant_values", 0)
        _no_more(kwargs, mode)
        return _pad_constant(a, widths, constants)
    if mode not in _BY_INDEX or kwargs.pop("reflect_type", "even") != "even":
        options = f", reflect_type={kwargs.get('reflect_type', 'odd')!r}" if mode in _BY_INDEX else ""
        raise UnsupportedError(
            f"numpy.pad(mode={mode!r}{options}) is not supported for traced values (at {user_line()})"
        )
    _no_more(kwargs, mode)
    for axis, width in enumerate(widths):
        if width != (0, 0):
            a = gather(a, np.pad(np.arange(a.shape[axis]), width, mode=mode), axis)
    return a if any(w != (0, 0) for w in widths) else np.copy(a)


def _no_more(options: dict[str, Any], mode: Any) -> None:
    if options:
        raise ValueError(f"unsupported keyword arguments for mode {mode!r}: {set(options)}")


def _widths(given: Any, rank: int) -> tuple[tuple[int, int], ...]:
    if isinstance(given, dict):
        full: list[Any] = [(0, 0)] * rank
        for axis, width in given.items():
            full[axis] = width if isinstance(width, tuple) else (width, width)
        given = full
    widths = np.broadcast_to(plain(np.asarray(given), "numpy.pad", "pad_width"), (rank, 2))
    if widths.dtype.kind not in "iu":
        raise TypeError("`pad_width` must be of integral type.")
    if (widths < 0).any():
        raise ValueError("index can't contain negative values")
    return tuple((int(low), int(high)) for low, high in widths)


def _pad_constant(a: Any, widths: tuple[tuple[int, int], ...], constants: Any) -> Any:
    constants = array_of(constants)
    if not isinstance(constants, Tracer) and not np.any(constants):
        return shape.pad(a, widths=widths)
    values = np.broadcast_to(constants, (a.ndim, 2))
    for axis, (low, high) in enumerate(widths):
        parts = [
            np.broadcast_to(astype(value, a.dtype), (*a.shape[:axis], width, *a.shape[axis + 1 :]))
            for width, value in ((low, values[axis, 0]), (high, values[axis, 1]))
        ]
        a = shape.concatenate(parts[0], a, parts[1], axis=axis)
    return a
