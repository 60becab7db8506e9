"""Reductions and cumulative operations of traced values, as compositions of primitives.

Signatures, defaults, dtypes and warnings are NumPy's. What ``where=`` leaves out, and the NaNs that the
``nan…`` functions leave out, are structural zeros of the derivative. Ties of ``max`` and ``min`` share
equally, an ``initial`` value among them; ``std`` has derivative 0 where all elements are equal.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.arrays import arguments
from chainrule.arrays.arguments import asarray
from chainrule.arrays.buffers import unwrap, write_out
from chainrule.arrays.protocols import implements
from chainrule.core.dispatch import Tracer, dtype_of, innermost, shape_of
from chainrule.rules import elementwise as ew
from chainrule.rules import reduce, shape

__all__ = ["given", "over", "restored", "rows"]

_NO = np._NoValue


# -- arguments ----------------------------------------------------------------------------------------


def over(axis: Any, ndim: int) -> tuple[int, ...] | None:
    """The axes of a reduction; a number has an axis too, as in NumPy."""
    if axis is None:
        return None
    return () if ndim == 0 and axis in (0, -1) else arguments.axes(axis, ndim)


def given(option: Any, default: Any = False) -> Any:
    """`option`, or `default` where NumPy's placeholder stands for it."""
    return default if option is _NO else option


def rows(a: Any, axis: tuple[int, ...] | None) -> Any:
    """`a` with the elements that are reduced together along the last axis."""
    n = len(a.shape)
    axis = tuple(range(n)) if axis is None else axis
    keep = tuple(k for k in range(n) if k not in axis)
    if (*keep, *axis) != tuple(range(n)):
        a = shape.transpose(a, axes=(*keep, *axis))
    if len(axis) == 1:
        return a
    lead = a.shape[: len(keep)]
    return shape.reshape(a, shape=(*lead, math.prod(a.shape[len(keep) :])))


def restored(y: Any, like: Any, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    """What was reduced over `axis`, with the reduced axes back if they are kept."""
    return shape.reshape(y, shape=reduce.kept_shape(like.shape, axis)) if keepdims else y


def masked(a: Any, where: Any, fill: Any) -> Any:
    """`a` with `fill` for what ``where=`` leaves out."""
    if where is _NO or where is True:
        return a
    fill = np.asarray(fill).astype(a.dtype)
    return ew.where(_mask(where, a.shape), a, fill)


def _mask(where: Any, like: tuple[int, ...]) -> Any:
    if isinstance(where, Tracer) and dtype_of(where).kind != "b":
        where = np.not_equal(where, 0)
    return np.broadcast_to(unwrap(where), like)


def _cast(value: Any, dtype: Any) -> Any:
    """`value` in the dtype of the reduction it takes part in."""
    return asarray(value).astype(dtype)


def _done(result: Any, out: Any) -> Any:
    return result if out is None else write_out(out, result)


# -- sums and products --------------------------------------------------------------------------------


@implements(np.sum)
def sum_(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = _NO,
    initial: Any = _NO,
    where: Any = _NO,
) -> Any:
    a = masked(asarray(a), where, 0)
    if dtype is not None:
        a = a.astype(dtype)
    total = reduce.sum_(a, axis=over(axis, len(a.shape)), keepdims=bool(given(keepdims)))
    if initial is not _NO and initial is not None:
        total = total + _cast(initial, total.dtype)
    return _done(total, out)


@implements(np.prod)
def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = _NO,
    initial: Any = _NO,
    where: Any = _NO,
) -> Any:
    a = masked(asarray(a), where, 1)
    if dtype is not None:
        a = a.astype(dtype)
    axes = over(axis, a.ndim)
    total = restored(reduce.prod_last(rows(a, axes)), a, axes, given(keepdims))
    if initial is not _NO and initial is not None:
        total = total * _cast(initial, total.dtype)
    return _done(total, out)


# -- extrema ------------------------------------------------------------------------------------------


def _extremum(primitive: Any, ufunc: Any, worst: float) -> Callable[..., Any]:
    def extremum(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = _NO, initial: Any = _NO, where: Any = _NO
    ) -> Any:
        a, keepdims = asarray(a), bool(given(keepdims))
        axes = over(axis, len(a.shape))
        if initial is None:
            initial = _NO
        if initial is _NO and (where is _NO or where is True):
            return _done(primitive(a, axis=axes, keepdims=keepdims), out)
        if initial is _NO:
            raise ValueError(
                f"reduction operation '{ufunc.__name__}' does not have an identity, so to use a where mask "
                "one has to specify 'initial'"
            )
        x = _with(initial, rows(masked(a, where, _fill(a, initial, worst)), axes))
        y = primitive(x, axis=(len(x.shape) - 1,), keepdims=False)
        return _done(restored(y, a, axes, keepdims), out)

    return extremum


def _fill(a: Any, initial: Any, worst: float) -> Any:
    """What cannot be the extremum, nor tie with a finite one."""
    return worst if a.dtype.kind in "fc" else initial


def _with(initial: Any, x: Any) -> Any:
    """`x` with one more element along its last axis."""
    column = np.broadcast_to(_cast(initial, x.dtype), (*x.shape[:-1], 1))
    return np.concatenate([x, column], axis=-1)


max_ = implements(np.max)(_extremum(reduce.amax, np.maximum, -math.inf))
min_ = implements(np.min)(_extremum(reduce.amin, np.minimum, math.inf))


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = _NO) -> Any:
    return _done(max_(a, axis, keepdims=keepdims) - min_(a, axis, keepdims=keepdims), out)


# -- moments ------------------------------------------------------------------------------------------


def counted(a: Any, axes: tuple[int, ...] | None, where: Any) -> Any:
    """How many elements are reduced: a number, or an array with the reduced axes kept."""
    if where is _NO or where is True:
        return math.prod(a.shape[k] for k in (range(len(a.shape)) if axes is None else axes))
    return reduce.sum_(_mask(where, a.shape).astype(np.intp), axis=axes, keepdims=True)


def _some(condition: Any) -> bool:
    return condition if condition.__class__ is bool else bool(np.any(innermost(condition)))


def _quotient(total: Any, count: Any) -> Any:
    """``total / count`` in the dtype of `total`."""
    if isinstance(count, int):
        return total / count
    return total / np.reshape(count, shape_of(total)).astype(total.dtype)


def _float_for(a: Any, dtype: Any) -> Any:
    return np.float64 if dtype is None and a.dtype.kind in "biu" else dtype


@implements(np.mean)
def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _NO, *, where: Any = _NO) -> Any:
    a = asarray(a)
    count = counted(a, over(axis, len(a.shape)), where)
    if _some(count == 0):
        warnings.warn("Mean of empty slice", RuntimeWarning, stacklevel=2)
    half = dtype is None and a.dtype == np.float16
    total = sum_(a, axis, np.float32 if half else _float_for(a, dtype), None, keepdims, where=where)
    result = _quotient(total, count)
    return _done(result.astype(np.float16) if half else result, out)


@implements(np.var)
def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = _NO,
    *,
    where: Any = _NO,
    mean: Any = _NO,
    correction: Any = _NO,
) -> Any:
    a = asarray(a)
    count = counted(a, over(axis, len(a.shape)), where)
    dof = count - _ddof(ddof, correction)
    if _some(dof <= 0):
        warnings.warn("Degrees of freedom <= 0 for slice", RuntimeWarning, stacklevel=2)
    dtype = _float_for(a, dtype)
    center = mean
    if mean is _NO:
        center = _quotient(sum_(a, axis, dtype, None, True, where=where), count)
    total = sum_(_squared(a - center), axis, dtype, None, keepdims, where=where)
    return _done(_quotient(total, max(dof, 0) if isinstance(dof, int) else np.maximum(dof, 0)), out)


def _ddof(ddof: Any, correction: Any) -> Any:
    if correction is _NO:
        return ddof
    if ddof != 0:
        raise ValueError("ddof and correction can't be provided simultaneously.")
    return correction


def _squared(x: Any) -> Any:
    if x.dtype.kind == "c":
        return ew.square(ew.real_part(x)) + ew.square(ew.imag_part(x))
    return ew.square(x)


@implements(np.std)
def std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = _NO,
    *,
    where: Any = _NO,
    mean: Any = _NO,
    correction: Any = _NO,
) -> Any:
    variance = var(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction)
    level = False if mean is not _NO else _level(asarray(a), variance, axis, given(keepdims), where)
    return _done(_root(variance, level), out)


def _level(a: Any, variance: Any, axis: Any, keepdims: bool, where: Any) -> Any:
    """Whether all elements are equal, where the rounding of their mean may leave a variance."""
    if a.size == 0:
        return False
    v, eps = innermost(variance), np.finfo(a.dtype).eps if a.dtype.kind in "fc" else 0.0
    values = innermost(a)
    if not _outside(where, 0.0):
        values = values[(..., *_first(a, over(axis, a.ndim)))]
    if not np.any(v <= (8 * eps * np.max(np.abs(values))) ** 2):
        return False
    first = max_(a, axis, keepdims=True, **_outside(where, -math.inf))
    return all_(a == first, axis, keepdims=keepdims, where=where)


def _first(a: Any, axes: tuple[int, ...] | None) -> tuple[slice, ...]:
    """An index of one of the elements that are reduced together."""
    return tuple(slice(1) if axes is None or k in axes else slice(None) for k in range(a.ndim))


def _outside(where: Any, initial: float) -> dict[str, Any]:
    return {} if where is _NO or where is True else {"where": where, "initial": initial}


def _root(variance: Any, level: Any = False) -> Any:
    """The square root, of derivative 0 where the argument is 0 or a rounded 0."""
    kink = (variance == 0) | level
    if not np.any(innermost(kink)):
        return ew.sqrt(variance)
    smooth = ew.sqrt(ew.where(kink, np.ones((), variance.dtype), variance))
    return ew.where(kink, reduce.frozen(ew.sqrt(variance)), smooth)


# -- NaNs left out ------------------------------------------------------------------------------------


def _number_mask(a: Any, where: Any = _NO) -> Any:
    """Where `a` is counted: no NaN, and not left out."""
    numbers = ~np.isnan(a)
    return numbers if where is _NO or where is True else numbers & _mask(where, a.shape)


def _without_nan(fill: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of its argument with NaNs replaced by `fill`."""

    def reduction(a: Any, *args: Any, **options: Any) -> Any:
        a = asarray(a)
        return function(masked(a, ~np.isnan(a), fill), *args, **options)

    return reduction


nansum, nanprod = _without_nan(0, sum_), _without_nan(1, prod)
implements(np.nansum)(nansum)
implements(np.nanprod)(nanprod)


@implements(np.nanmean)
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _NO, *, where: Any = _NO
) -> Any:
    a = asarray(a)
    with np.errstate(invalid="ignore", divide="ignore"):
        return mean(a, axis, dtype, out, keepdims, where=_number_mask(a, where))


def _nan_moment(function: Callable[..., Any]) -> Callable[..., Any]:
    def moment(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        ddof: Any = 0,
        keepdims: Any = _NO,
        *,
        where: Any = _NO,
        mean: Any = _NO,
        correction: Any = _NO,
    ) -> Any:
        a = asarray(a)
        counts = _number_mask(a, where)
        with np.errstate(invalid="ignore", divide="ignore"):
            y = function(a, axis, dtype, None, ddof, keepdims, where=counts, mean=mean, correction=correction)
        bad = np.reshape(counted(a, over(axis, a.ndim), counts), shape_of(y)) <= _ddof(ddof, correction)
        return _done(ew.where(bad, np.full((), np.nan, y.dtype), y), out)

    return moment


nanvar, nanstd = implements(np.nanvar)(_nan_moment(var)), implements(np.nanstd)(_nan_moment(std))


def nan_extremum(extremum: Callable[..., Any], worst: float, warn: bool = True) -> Callable[..., Any]:
    """The extremum of what is no NaN; NaN where nothing is left."""

    def reduction(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = _NO, initial: Any = _NO, where: Any = _NO
    ) -> Any:
        a = asarray(a)
        numbers = ~np.isnan(a)
        y = extremum(masked(a, numbers, worst), axis, None, keepdims, initial, where)
        empty = ~any_(numbers, axis, keepdims=keepdims)
        if initial is _NO and np.any(innermost(empty)):
            if warn:
                warnings.warn("All-NaN slice encountered", RuntimeWarning, stacklevel=2)
            y = ew.where(empty, np.full((), np.nan, y.dtype), y)
        return _done(y, out)

    return reduction


nanmax = implements(np.nanmax)(nan_extremum(max_, -math.inf))
nanmin = implements(np.nanmin)(nan_extremum(min_, math.inf))


# -- cumulative ---------------------------------------------------------------------------------------


def cumulative(primitive: Any) -> Callable[..., Any]:
    def running(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        a = asarray(a)
        if axis is None or a.ndim == 0:
            over(axis, a.ndim)
            a, axis = np.ravel(a), 0
        if dtype is not None:
            a = a.astype(dtype)
        return _done(primitive(a, axis=arguments.axis(axis, a.ndim)), out)

    return running


cumsum = implements(np.cumsum)(cumulative(reduce.cumsum))
cumprod = implements(np.cumprod)(cumulative(reduce.cumprod))
implements(np.nancumsum)(_without_nan(0, cumsum))
implements(np.nancumprod)(_without_nan(1, cumprod))


def _cumulative_standard(function: Callable[..., Any], identity: int) -> Callable[..., Any]:
    """The form of the array API standard."""

    def running(
        x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
    ) -> Any:
        x = np.atleast_1d(asarray(x))
        if axis is None and x.ndim > 1:
            raise ValueError("For arrays which have more than one dimension ``axis`` argument is required.")
        axis = arguments.axis(0 if axis is None else axis, x.ndim)
        y = function(x, axis, dtype)
        if include_initial:
            first = np.full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), identity, y.dtype)
            y = np.concatenate([first, y], axis=axis)
        return _done(y, out)

    return running


if hasattr(np, "cumulative_sum"):  # since NumPy 2.1
    implements(np.cumulative_sum)(_cumulative_standard(cumsum, 0))
    implements(np.cumulative_prod)(_cumulative_standard(cumprod, 1))


# -- truth --------------------------------------------------------------------------------------------


def truth(primitive: Any, neutral: bool) -> Callable[..., Any]:
    def reduction(a: Any, axis: Any = None, out: Any = None, keepdims: Any = _NO, *, where: Any = _NO) -> Any:
        a = asarray(unwrap(a))
        if where is not _NO and where is not True:
            a = masked(a != 0, where, neutral)
        return _done(primitive(a, axis=over(axis, len(a.shape)), keepdims=bool(given(keepdims))), out)

    return reduction


any_ = implements(np.any)(truth(reduce.any_, False))
all_ = implements(np.all)(truth(reduce.all_, True))


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    a = asarray(unwrap(a))
    return reduce.count_nonzero(a, axis=over(axis, len(a.shape)), keepdims=bool(keepdims))
