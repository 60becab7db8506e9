"""Averages, order statistics and covariances of traced values, as compositions of primitives.

Order statistics read places of the sorted values: their weights are constant almost everywhere, and
equal values share (see `rules.order`). Weights of `average` and `cov` may be traced too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.arrays import arguments
from chainrule.arrays.arguments import asarray
from chainrule.arrays.buffers import write_out
from chainrule.arrays.functions.reductions import given, mean, over, restored, rows, sum_
from chainrule.arrays.protocols import implements
from chainrule.core.define import elementwise
from chainrule.core.dispatch import innermost, shape_of
from chainrule.errors import UnsupportedError, user_line
from chainrule.rules import elementwise as ew
from chainrule.rules import order, reduce

_NO = np._NoValue


# -- averages -----------------------------------------------------------------------------------------


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = _NO) -> Any:
    a = asarray(a)
    if weights is None:
        result = mean(a, axis, keepdims=keepdims)
        shape = shape_of(result)
        scale = np.full(shape, a.size / max(np.prod(shape, dtype=int), 1), result.dtype)
        return (result, scale if shape else scale[()]) if returned else result
    axes = over(axis, a.ndim)
    w = _weights(asarray(weights), a.shape, axes)
    dtype = np.result_type(a.dtype, w.dtype, *([np.float64] if a.dtype.kind in "biu" else []))
    scale = sum_(w, axes, dtype, keepdims=keepdims)
    if np.any(innermost(scale) == 0):
        raise ZeroDivisionError("Weights sum to zero, can't be normalized")
    result = sum_((a * w).astype(dtype), axes, keepdims=keepdims) / scale
    if not returned:
        return result
    return result, scale if shape_of(scale) == shape_of(result) else np.broadcast_to(scale, shape_of(result)).copy()


def _weights(w: Any, shape: tuple[int, ...], axes: tuple[int, ...] | None) -> Any:
    """Weights along `axes` as an array that broadcasts against what they weigh."""
    if w.shape == shape:
        return w
    if axes is None:
        raise TypeError("Axis must be specified when shapes of a and weights differ.")
    if w.shape != tuple(shape[k] for k in axes):
        raise ValueError("Shape of weights must be consistent with shape of a along specified axis.")
    w = np.transpose(w, tuple(int(k) for k in np.argsort(axes)))
    return np.reshape(w, tuple(n if k in axes else 1 for k, n in enumerate(shape)))


# -- order statistics ---------------------------------------------------------------------------------


def _plain_answer(function: Any, a: Any, *args: Any, **options: Any) -> Any:
    """What NumPy answers for an empty array, which has nothing to differentiate."""
    return function(np.zeros(a.shape, a.dtype), *args, **options)


def _middle(s: Any, count: Any) -> Any:
    """Mean of the middle elements of sorted rows, of which the first `count` are numbers."""
    low, high = (count - 1) // 2, count // 2
    if isinstance(count, int):
        return mean(s[..., low : high + 1], -1)
    low = np.maximum(low, 0)
    return mean(order.gather(s, np.concatenate([low, high], axis=-1)), -1)


def _poisoned(result: Any, top: Any) -> Any:
    """NaN where the sorted rows have one: it is the last element, `top`."""
    bad = np.isnan(top)
    return ew.where(bad, top, result) if np.any(innermost(bad)) else result


@implements(np.median)
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    a, keepdims = asarray(a), bool(given(keepdims))
    axes = over(axis, a.ndim)
    x = rows(a, axes)
    if x.shape[-1] == 0:
        return _plain_answer(np.median, a, axis, out, keepdims=keepdims)
    s = order.sort(x)
    y = restored(_poisoned(_middle(s, x.shape[-1]), s[..., -1]), a, axes, keepdims)
    return y if out is None else write_out(out, y)


@implements(np.nanmedian)
def nanmedian(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = _NO) -> Any:
    a, keepdims = asarray(a), bool(given(keepdims))
    axes = over(axis, a.ndim)
    x = rows(a, axes)
    if x.shape[-1] == 0:
        return _plain_answer(np.nanmedian, a, axis, out, keepdims=keepdims)
    counts = _numbers(x)
    y = restored(_middle(order.sort(x), counts), a, axes, keepdims)
    return y if out is None else write_out(out, y)


def _numbers(x: Any) -> Any:
    """How many elements of each row are no NaN."""
    counts = np.sum(~np.isnan(x), axis=-1, keepdims=True, dtype=np.intp)
    if np.any(innermost(counts) == 0):
        warnings.warn("All-NaN slice encountered", RuntimeWarning, stacklevel=3)
    return counts


def _positions(counts: Any, *, q: tuple[float, ...], method: Any) -> Any:
    """Where the quantiles of n sorted elements lie: 1.5 is halfway between the second and the third.

    NumPy itself says it, as the quantiles of the places 0, 1, ... n - 1.
    """
    result = np.zeros((*counts.shape[:-1], len(q)))
    for n in np.unique(counts):
        if n > 0:
            at = (n - 1) * np.array(q) if method == "linear" else np.quantile(np.arange(float(n)), q, method=method)
            result[counts[..., 0] == n] = at
    return result


positions = order.constant("quantile_positions", _positions, order.leading)


def _quantile(name: str, function: Any, percent: bool, skip_nan: bool) -> Callable[..., Any]:
    def quantile(
        a: Any,
        q: Any,
        axis: Any = None,
        out: Any = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: Any = _NO,
        *,
        weights: Any = None,
    ) -> Any:
        arguments.refuse(name, weights=weights)
        a, keepdims = asarray(a), bool(given(keepdims))
        if a.dtype.kind == "c":
            raise TypeError("a must be an array of real numbers")
        plain_q = _fractions(q, percent, name)
        if isinstance(q, (int, float)) and a.dtype.kind == "f":
            plain_q = plain_q.astype(a.dtype)
        axes = over(axis, a.ndim)
        x = rows(a, axes)
        if x.shape[-1] == 0:
            return _plain_answer(function, a, q, axis, out, method=method, keepdims=keepdims)
        result = _interpolated(x, plain_q.ravel(), method, skip_nan)
        result = np.moveaxis(result, -1, 0)
        kept = reduce.kept_shape(a.shape, axes) if keepdims else result.shape[1:]
        y = np.reshape(result, (*plain_q.shape, *kept))
        return y if out is None else write_out(out, y)

    return quantile


def _fractions(q: Any, percent: bool, name: str) -> Any:
    q = np.asarray(arguments.plain(q, name, "q"))
    q = np.true_divide(q, 100) if percent else q
    q = q if q.dtype.kind == "f" else q.astype(np.float64)
    if not np.all((q >= 0) & (q <= 1)):
        what, top = ("Percentiles", 100) if percent else ("Quantiles", 1)
        raise ValueError(f"{what} must be in the range [0, {top}]")
    return q


def _interpolated(x: Any, q: Any, method: str, skip_nan: bool) -> Any:
    """The quantiles of each row, along the last axis."""
    s, n = order.sort(x), x.shape[-1]
    counts = _numbers(x) if skip_nan else np.full((1,) * len(x.shape), n)
    at = positions(counts, q=tuple(q.tolist()), method=method)
    low = np.floor(at).astype(np.intp)
    gap = (at - low).astype(np.result_type(x.dtype, q.dtype))
    wanted = (*x.shape[:-1], q.size)
    result = order.gather(s, np.broadcast_to(low, wanted))
    if np.any(innermost(gap)):
        above = order.gather(s, np.broadcast_to(np.minimum(low + 1, n - 1), wanted))
        result = _between(result, above, gap)
    return result if skip_nan else _poisoned(result, s[..., -1:])


def _between(below: Any, above: Any, gap: Any) -> Any:
    """The point at `gap` between two, from the nearer end; an end itself where the gap is 0."""
    far = gap >= 0.5
    difference = above - below
    step = difference * ew.where(far, gap - 1, gap)
    return ew.where(gap == 0, below, ew.where(far, above, below) + step)


for _name, _percent in (("quantile", False), ("percentile", True)):
    for _prefix in ("", "nan"):
        _function = getattr(np, _prefix + _name)
        implements(_function)(_quantile(f"numpy.{_prefix}{_name}", _function, _percent, bool(_prefix)))


# -- covariances --------------------------------------------------------------------------------------


@implements(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    if ddof is not None and ddof != int(ddof):
        raise ValueError("ddof must be integer")
    x = _variables(m, y, rowvar, dtype)
    if x.shape[0] == 0:
        return np.array([]).reshape(0, 0)
    ddof = (0 if bias else 1) if ddof is None else ddof
    w = _observation_weights(fweights, aweights, x.shape[1])
    center, total = average(x, 1, w, returned=True)
    factor = _freedom(x, total[0], w, ddof, aweights)
    if np.any(innermost(factor) <= 0):
        warnings.warn("Degrees of freedom <= 0 for slice", RuntimeWarning, stacklevel=2)
        factor = 0.0
    d = x - center[:, None]
    c = d @ np.conj(np.transpose(d if w is None else d * w))
    return np.squeeze(c * np.true_divide(1, factor))


def _variables(m: Any, y: Any, rowvar: bool, dtype: Any) -> Any:
    """The observations as columns, one row per variable."""
    parts = [asarray(p) for p in (m, y) if p is not None]
    if dtype is None:
        dtype = np.result_type(*[p.dtype for p in parts], np.float64)
    made = []
    for name, p in zip("my", parts, strict=False):
        if p.ndim > 2:
            raise ValueError(f"{name} has more than 2 dimensions")
        x = np.reshape(p, (1, -1)) if p.ndim < 2 else p
        turned = not rowvar and (p.ndim != 1 if name == "m" else x.shape[0] != 1)
        made.append((np.transpose(x) if turned else x).astype(dtype))
    return made[0] if len(made) == 1 or made[0].shape[0] == 0 else np.concatenate(made, axis=0)


def _observation_weights(fweights: Any, aweights: Any, count: int) -> Any:
    if fweights is not None:
        fweights = np.asarray(arguments.plain(fweights, "numpy.cov", "fweights"), dtype=float)
        if not np.all(fweights == np.around(fweights)):
            raise TypeError("fweights must be integer")
    for name, w in (("fweights", fweights), ("aweights", aweights)):
        if w is None:
            continue
        if len(shape_of(w)) > 1:
            raise RuntimeError(f"cannot handle multidimensional {name}")
        if shape_of(w)[0] != count:
            raise RuntimeError(f"incompatible numbers of samples and {name}")
        if np.any(asarray(innermost(w)) < 0):
            raise ValueError(f"{name} cannot be negative")
    if aweights is None:
        return fweights
    aweights = asarray(aweights).astype(float)
    return aweights if fweights is None else fweights * aweights


def _freedom(x: Any, total: Any, w: Any, ddof: Any, aweights: Any) -> Any:
    if w is None:
        return x.shape[1] - ddof
    if ddof == 0:
        return total
    if aweights is None:
        return total - ddof
    return total - ddof * sum_(w * aweights) / total


def _guarded(x: Any) -> Any:
    if x.dtype.kind == "c":
        return np.clip(x.real, -1, 1) + 1j * np.clip(x.imag, -1, 1)
    return np.clip(x, -1, 1)


# Rounding alone takes a correlation beyond 1: the derivative is that of the quotient.
_guard = elementwise("corrcoef_guard", _guarded, 1)


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    c = cov(x, y, rowvar, dtype=dtype)
    if len(shape_of(c)) == 0:
        return c / c
    deviation = ew.sqrt(np.real(np.diagonal(c)))
    return _guard(c / deviation[:, None] / deviation[None, :])


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    index = np.asarray(arguments.plain(x, "numpy.bincount", "x"))
    if weights is None:
        raise UnsupportedError(f"numpy.bincount of traced values (at {user_line()})")
    size = len(np.bincount(index, minlength=minlength))
    return order.scatter(asarray(weights).astype(np.float64), index, size=size)
