"""Differences, slopes, integrals, interpolation and convolution of traced values.

All are compositions but `convolve`, which is a bilinear primitive. At a knot of `interp` the derivative
with respect to ``x`` is the mean of the slopes on both sides, 0 being the slope outside.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from chainrule.arrays import arguments
from chainrule.arrays.arguments import asarray
from chainrule.arrays.buffers import unwrap
from chainrule.arrays.protocols import implements
from chainrule.core.define import multilinear
from chainrule.core.dispatch import Tracer, innermost, shape_of
from chainrule.rules import elementwise as ew
from chainrule.rules import order
from chainrule.rules.elementwise import Samples

_NO = np._NoValue


def _along(axis: int, *parts: Any) -> tuple[Any, ...]:
    """Indices that take `parts` of one axis."""
    return tuple((*(slice(None),) * axis, p) for p in parts)


# -- differences --------------------------------------------------------------------------------------


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: Any = -1, prepend: Any = _NO, append: Any = _NO) -> Any:
    n = operator.index(n)
    if n == 0:
        return a
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    a = asarray(a)
    if a.ndim == 0:
        raise ValueError("diff requires input that is at least one dimensional")
    axis = arguments.axis(axis, a.ndim)
    parts = [_end(prepend, a, axis), a, _end(append, a, axis)]
    parts = [p for p in parts if p is not None]
    if len(parts) > 1:
        a = np.concatenate(parts, axis=axis)
    after, before = _along(axis, slice(1, None), slice(None, -1))
    for _ in range(n):
        a = a[after] != a[before] if a.dtype.kind == "b" else a[after] - a[before]
    return a


def _end(value: Any, a: Any, axis: int) -> Any:
    """What is joined to `a` at one end of an axis."""
    if value is _NO:
        return None
    value = asarray(value)
    if value.ndim:
        return value
    return np.broadcast_to(value, (*a.shape[:axis], 1, *a.shape[axis + 1 :]))


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    ary = np.ravel(asarray(ary))
    parts = [ary[1:] - ary[:-1]]
    for name, value in (("to_begin", to_begin), ("to_end", to_end)):
        if value is None:
            continue
        value = np.ravel(asarray(value))
        if not np.can_cast(value.dtype, ary.dtype, casting="same_kind"):
            raise TypeError(f"dtype of `{name}` must be compatible with input `ary` under the `same_kind` rule.")
        value = value.astype(ary.dtype)
        parts = [value, *parts] if name == "to_begin" else [*parts, value]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    y = asarray(y)
    axis = arguments.axis(axis, y.ndim)
    if x is not None:
        x = asarray(x)
        if x.ndim == 1:
            dx = np.reshape(x[1:] - x[:-1], (-1,) + (1,) * (y.ndim - axis - 1))
        else:
            dx = diff(x, axis=axis)
    after, before = _along(axis, slice(1, None), slice(None, -1))
    return np.sum(dx * (y[after] + y[before]) / 2.0, axis=axis)


# -- slopes -------------------------------------------------------------------------------------------


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    f = asarray(f)
    if f.dtype.kind in "biu":
        f = f.astype(np.float64)
    axes = tuple(range(f.ndim)) if axis is None else arguments.axes(axis, f.ndim)
    assert axes is not None
    if edge_order > 2:
        raise ValueError("'edge_order' greater than 2 not supported")
    spacings = _spacings(f, varargs, axes)
    for k in axes:
        if f.shape[k] < edge_order + 1:
            raise ValueError(
                "Shape of array too small to calculate a numerical gradient, "
                "at least (edge_order + 1) elements are required."
            )
    slopes = tuple(_slope(f, h, k, edge_order) for k, h in zip(axes, spacings, strict=True))
    return slopes[0] if len(slopes) == 1 else slopes


def _spacings(f: Any, varargs: tuple[Any, ...], axes: tuple[int, ...]) -> list[Any]:
    """For each axis the distance of neighbours, or an array of distances."""
    if not varargs:
        return [1.0] * len(axes)
    if len(varargs) == 1 and not shape_of(varargs[0]):
        return [varargs[0]] * len(axes)
    if len(varargs) != len(axes):
        raise TypeError("invalid number of arguments")
    return [_distances(asarray(v), f.shape[k]) for v, k in zip(varargs, axes, strict=True)]


def _distances(x: Any, count: int) -> Any:
    if x.ndim == 0:
        return x
    if x.ndim != 1:
        raise ValueError("distances must be either scalars or 1d")
    if x.shape[0] != count:
        raise ValueError("when 1d, distances must match the length of the corresponding dimension")
    if x.dtype.kind in "iu":
        x = x.astype(np.float64)
    h = x[1:] - x[:-1]
    # Equal distances take the formulas of equal distances, as in NumPy; traced ones are kept apart.
    return h[0] if not isinstance(h, Tracer) and h.size and (h == h[0]).all() else h


def _slope(f: Any, h: Any, axis: int, edge_order: int) -> Any:
    """Second-order central differences inside, one-sided ones of `edge_order` at the ends."""
    f = np.moveaxis(f, axis, 0)
    uniform = not shape_of(h)
    if not uniform:
        h = np.reshape(h, (-1,) + (1,) * (f.ndim - 1))
        one, two = h[:-1], h[1:]
        inner = (
            -two / (one * (one + two)) * f[:-2]
            + (two - one) / (one * two) * f[1:-1]
            + one / (two * (one + two)) * f[2:]
        )
    else:
        inner = (f[2:] - f[:-2]) / (2.0 * h)
    start, end = (h, h) if uniform else (h[0], h[-1])
    if edge_order == 1:
        first, final = (f[1] - f[0]) / start, (f[-1] - f[-2]) / end
    elif uniform:
        first = -1.5 / h * f[0] + 2.0 / h * f[1] + -0.5 / h * f[2]
        final = 0.5 / h * f[-3] + -2.0 / h * f[-2] + 1.5 / h * f[-1]
    else:
        first = _edge(f[0], f[1], f[2], h[0], h[1])
        final = -_edge(f[-1], f[-2], f[-3], h[-1], h[-2])
    result = np.concatenate([first[None], inner, final[None]], axis=0).astype(f.dtype)
    return np.moveaxis(result, 0, axis)


def _edge(f0: Any, f1: Any, f2: Any, near: Any, far: Any) -> Any:
    """Second-order one-sided difference at f0, whose neighbours are `near` and then `far` away."""
    return (
        -(2.0 * near + far) / (near * (near + far)) * f0
        + (near + far) / (near * far) * f1
        - near / (far * (near + far)) * f2
    )


# -- interpolation ------------------------------------------------------------------------------------


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    x, xp, fp = (_floating(v) for v in (x, xp, fp))
    if xp.ndim != 1 or fp.ndim != 1:
        raise ValueError("Data points must be 1-D sequences")
    if xp.shape != fp.shape:
        raise ValueError("fp and xp are not of the same length.")
    if xp.shape[0] == 0:
        raise ValueError("array of sample points is empty")
    if period is not None:
        if innermost(period) == 0:
            raise ValueError("period must be a non-zero value")
        x, xp, fp = _unrolled(x, xp, fp, abs(period))
        left = right = None
    return _interpolated(x, xp, fp, left, right)


def _floating(v: Any) -> Any:
    """NumPy interpolates in double precision."""
    v = asarray(v)
    return v.astype(np.complex128 if v.dtype.kind == "c" else np.float64)


def _unrolled(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any]:
    """One period of the samples in order, and a sample of the next ones on both sides."""
    xp = xp % period
    places = order.argsort(xp, kind=None)
    xp, fp = order.gather(xp, places), order.gather(fp, places)
    xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
    return x % period, xp, np.concatenate([fp[-1:], fp, fp[:1]])


def _interpolated(x: Any, xp: Any, fp: Any, left: Any, right: Any) -> Any:
    n = xp.shape[0]
    points = np.reshape(x, -1)
    # Between knots both counts agree; at a knot they are the intervals on its two sides.
    below, upto = (_count(xp, points, side) for side in ("left", "right"))
    none = np.zeros(1, fp.dtype)
    slopes = np.concatenate([none, (fp[1:] - fp[:-1]) / (xp[1:] - xp[:-1]), none])
    slope = _mean_of(slopes, below, upto)
    knot = np.minimum(np.maximum(upto - 1, 0), n - 1)
    before, after = upto == 0, below == n
    step = points - order.gather(xp, knot)
    outside = before | after
    y = ew.where(outside, 0.0, slope * ew.where(outside, 0.0, step)) + order.gather(fp, knot)
    if left is not None:
        y = ew.where(before, left, y)
    if right is not None:
        y = ew.where(after, right, y)
    return np.reshape(ew.where(points != points, points, y), x.shape)


def _count(xp: Any, points: Any, side: str) -> Any:
    return order.searchsorted(unwrap(xp), unwrap(points), side=side)


def _mean_of(slopes: Any, a: Any, b: Any) -> Any:
    first = order.gather(slopes, a)
    if np.all(innermost(a == b)):
        return first
    # A mean of equal slopes is not always the slope: half of each is.
    return ew.where(a == b, first, 0.5 * first + 0.5 * order.gather(slopes, b))


# -- convolution --------------------------------------------------------------------------------------


def _full(a: Any, v: Any) -> Any:
    return np.convolve(a, v, "full")


def _window(ct: Any, other: Any, start: int, count: int) -> Any:
    """Correlation of a cotangent with the other factor, where they belong to `count` elements."""
    return convolution(ct, np.conj(other[::-1]))[start : start + count]


def _samples(rng: np.random.Generator) -> Samples:
    for n, m in ((4, 2), (2, 4), (1, 1)):
        yield (rng.normal(size=n), rng.normal(size=m)), {}


convolution = multilinear(
    "convolve",
    _full,
    lambda ct, a, v: _window(ct, v, v.shape[0] - 1, a.shape[0]),
    lambda ct, a, v: _window(ct, a, a.shape[0] - 1, v.shape[0]),
    samples=_samples,
)


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    a, v = (_vector(x) for x in (a, v))
    for name, x in (("a", a), ("v", v)):
        if x.shape[0] == 0:
            raise ValueError(f"{name} cannot be empty")
    n, m = max(a.shape[0], v.shape[0]), min(a.shape[0], v.shape[0])
    full = convolution(a, v)
    if mode == "full":
        return full
    if mode == "same":
        return full[(m - 1) // 2 : (m - 1) // 2 + n]
    if mode == "valid":
        return full[m - 1 : n]
    raise ValueError(f"mode must be one of 'valid', 'same', or 'full' (got '{mode}')")


def _vector(x: Any) -> Any:
    x = asarray(x)
    if x.ndim > 1:
        raise ValueError("object too deep for desired array")
    return np.reshape(x, -1)


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    a, v = _vector(a), _vector(v)
    if a.shape[0] < v.shape[0]:  # NumPy exchanges them, which decides what "same" is
        return np.conj(convolve(v, np.conj(a[::-1]), mode))[::-1]
    return convolve(a, np.conj(v[::-1]), mode)
