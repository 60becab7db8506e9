"""Derivative rules of reductions and cumulative operations.

``axis`` is None or a tuple of non-negative integers. Ties of ``max`` and ``min`` share equally; ``prod``
is exact with zeros among its factors, at every order, because its partials are products of the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.core.define import general, linear
from chainrule.core.dispatch import Meta, innermost, meta_of, shape_of
from chainrule.core.linear import Linear, LinearMap, Slot, cast
from chainrule.core.live import Masked, dense, linear_live
from chainrule.core.primitive import Primitive, register
from chainrule.rules.elementwise import Samples, where
from chainrule.rules.order import constant, gather, leading
from chainrule.rules.shape import broadcast_to, flip, reshape

__all__ = [
    "all_",
    "amax",
    "amin",
    "any_",
    "count_nonzero",
    "cumprod",
    "cumsum",
    "frozen",
    "parity",
    "prod_last",
    "running",
    "sum_",
    "total_of",
]


def _samples(*shape: int, **params: Any) -> Any:
    def samples(rng: np.random.Generator) -> Samples:
        yield (rng.normal(size=shape),), params

    return samples


def kept_shape(shape: tuple[int, ...], axis: tuple[int, ...] | None) -> tuple[int, ...]:
    """`shape` with the reduced axes of length one."""
    return tuple(1 if axis is None or k in axis else n for k, n in enumerate(shape))


def _restore(y: Any, x: Any, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    """What was reduced, with its axes back, ready to broadcast against x."""
    return y if keepdims else reshape(y, shape=kept_shape(x.shape, axis))


def _sum(x: Any, *, axis: Any, keepdims: Any, dtype: Any = None) -> Any:
    return np.add.reduce(x, axis=axis, keepdims=keepdims, dtype=dtype)


_NUMBERS = frozenset({float, np.float64, np.float32})


def _spread(ct: Any, x: Any, *, axis: tuple[int, ...] | None, keepdims: bool, dtype: Any = None) -> Any:
    """The cotangent of a sum, for each of the summands."""
    if ct.__class__ in _NUMBERS and x.size < 4096:
        full = np.empty(x.shape, x.dtype)
        full.fill(ct)
        return full
    return broadcast_to(_restore(ct, x, axis, keepdims), shape=x.shape)


sum_ = linear(
    "sum",
    _sum,
    _spread,
    samples=_samples(2, 3, axis=(1,), keepdims=False),
)
_EVERYTHING = {"axis": None, "keepdims": False}


def total_of(shape: tuple[int, ...], dtype: Any) -> LinearMap:
    """The map of the sum of all elements."""
    x = Meta(shape, dtype)
    slot: Any = sum_.slot(0)
    return Linear(slot, sum_, 0, (x,), _EVERYTHING, x, Meta((), dtype))


cumsum = linear(
    "cumsum",
    lambda x, *, axis: np.cumsum(x, axis),
    lambda ct, x, *, axis: flip(cumsum(flip(ct, axis=(axis,)), axis=axis), axis=(axis,)),
    samples=_samples(2, 3, axis=1),
)


# -- extrema ------------------------------------------------------------------------------------------


class ExtremumSlot(Slot):
    __slots__ = ()

    def map(self, primitive: Any, index: int, y: Any, args: Any, params: Any, x: Meta, out: Meta) -> LinearMap:
        return Extremum(y, args[0], params["axis"], params["keepdims"])


class Extremum(LinearMap):
    """The mean over the elements that attain the extremum; the others are structural zeros."""

    __slots__ = ("axis", "keepdims", "ties", "x")

    def __init__(self, y: Any, x: Any, axis: tuple[int, ...] | None, keepdims: bool) -> None:
        self.x = meta_of(x)
        self.axis = axis
        self.keepdims = keepdims
        self.ties = _equal(x, _restore(y, self.x, axis, keepdims))

    def _counts(self, dtype: Any) -> Any:
        return cast(sum_(self.ties, axis=self.axis, keepdims=True), dtype)

    def apply(self, tangent: Any) -> Any:
        total = sum_(where(self.ties, dense(tangent), 0.0), axis=self.axis, keepdims=True)
        mean = total / self._counts(self.x.dtype)
        return mean if self.keepdims else reshape(mean, shape=self._out())

    def _out(self) -> tuple[int, ...]:
        axis = self.axis
        return () if axis is None else tuple(n for k, n in enumerate(self.x.shape) if k not in axis)

    def transpose(self, ct: Any, own: bool = False) -> Any:
        ties, x = self.ties, self.x
        share = _restore(dense(ct), x, self.axis, self.keepdims) / self._counts(x.dtype)
        value = where(ties, share, 0.0)
        if ct.__class__ is not Masked:
            return Masked(value, lambda: ties)
        return Masked(value, lambda live: ties & _restore(live, x, self.axis, self.keepdims), ct.live)

    @property
    def pattern(self) -> str:
        return "structural"


def _equal(x: Any, y: Any) -> Any:
    """Elementwise equality, NaN equal to itself."""
    equal = x == y
    if np.any(innermost(y != y)):
        return equal | ((x != x) & (y != y))
    return equal


def _extremum(name: str, ufunc: Any) -> Primitive:
    return register(
        Primitive(
            name,
            lambda x, *, axis, keepdims: ufunc.reduce(x, axis=axis, keepdims=keepdims),
            (ExtremumSlot(None, (True, True)),),
            samples=_samples(2, 3, axis=(1,), keepdims=False),
            tie="shared equally between ties",
        )
    )


amax = _extremum("max", np.maximum)
amin = _extremum("min", np.minimum)


# -- products -----------------------------------------------------------------------------------------


def _others(x: Any) -> Any:
    """For each element along the last axis the product of the others."""
    before = cumprod(x, axis=x.ndim - 1)
    after = flip(cumprod(flip(x, axis=(x.ndim - 1,)), axis=x.ndim - 1), axis=(x.ndim - 1,))
    ones = np.ones((*x.shape[:-1], 1), x.dtype)
    if x.shape[-1] == 0:
        return x
    return np.concatenate([ones, before[..., :-1]], -1) * np.concatenate([after[..., 1:], ones], -1)


prod_last = general(
    "prod",
    lambda x: np.multiply.reduce(x, axis=-1),
    lambda y, x: lambda dx: sum_(_others(x) * dx, axis=(x.ndim - 1,), keepdims=False),
    samples=lambda rng: iter([((rng.normal(size=(2, 3)),), {}), ((np.array([0.0, 2.0, 3.0]),), {})]),
)


def _cumprod_push(x: Any, dx: Any, axis: int) -> Any:
    """The recurrence dy_k = x_k dy_(k-1) + y_(k-1) dx_k, exact whatever the factors are.

    A step is an affine map of dy, and steps are composed two, four, eight ... at a time (Hillis and Steele,
    Data parallel algorithms, 1986).
    """
    x, dx = np.moveaxis(x, axis, 0), np.moveaxis(dx, axis, 0)
    before = np.concatenate([np.ones((1, *x.shape[1:]), x.dtype), cumprod(x, axis=0)[:-1]])
    slope, offset, reach = x, before * dx, 1
    while reach < x.shape[0]:
        later = slope[reach:]
        offset = np.concatenate([offset[:reach], offset[reach:] + later * offset[:-reach]])
        slope = np.concatenate([slope[:reach], later * slope[:-reach]])
        reach *= 2
    return np.moveaxis(offset, 0, axis)


def _ordinary(y: Any) -> bool:
    """Whether dividing products by their factors loses nothing: no zeros, underflows or overflows."""
    size = np.abs(innermost(y))
    limit = np.sqrt(np.finfo(size.dtype).max)
    return bool(np.all((size > 1 / limit) & (size < limit)))


def _cumprod_map(y: Any, x: Any, *, axis: int) -> Any:
    if x.shape[axis] == 0:
        return lambda dx: dx
    if _ordinary(y):
        return lambda dx: y * cumsum(dx / x, axis=axis)
    return lambda dx: _cumprod_push(x, dx, axis)


cumprod = general(
    "cumprod",
    lambda x, *, axis: np.cumprod(x, axis),
    _cumprod_map,
    samples=lambda rng: iter([((rng.normal(size=(2, 3)),), {"axis": 1}), ((np.array([2.0, 0.0, 3.0]),), {"axis": 0})]),
)


# -- running extrema ----------------------------------------------------------------------------------


class RunningSlot(Slot):
    __slots__ = ()

    def map(self, primitive: Any, index: int, y: Any, args: Any, params: Any, x: Meta, out: Meta) -> LinearMap:
        return RunningShares(args[1], args[2])


class RunningShares(LinearMap):
    """At each place the mean over the elements before or at it that attain the extremum so far."""

    __slots__ = ("mates", "shares")

    def __init__(self, x: Any, y: Any) -> None:
        n = x.shape[-1]
        lead = x.shape[:-1]
        equal = _equal(np.reshape(x, (*lead, 1, n)), np.reshape(y, (*lead, n, 1)))
        self.mates = equal & np.tri(n, dtype=bool)
        self.shares = self.mates / np.sum(self.mates, axis=-1, keepdims=True)

    def _spread(self, values: Any, axis: int) -> Any:
        """Shares of `values` along one of the axes "place" and "element", summed over it."""
        shape = (*values.shape[:-1], 1, values.shape[-1]) if axis == -1 else (*values.shape, 1)
        each = self.shares.astype(values.dtype) * np.reshape(values, shape)
        return np.sum(where(self.mates, each, np.zeros((), values.dtype)), axis=axis)

    def _run(self, values: Any, axis: int) -> Any:
        if values.__class__ is Masked:
            return linear_live(lambda v: self._spread(v, axis), values)
        return self._spread(values, axis)

    def apply(self, tangent: Any) -> Any:
        return self._run(tangent, -1)

    def transpose(self, ct: Any, own: bool = False) -> Any:
        return self._run(ct, -2)

    @property
    def pattern(self) -> str:
        return "structural"


def _latest(x: Any, y: Any) -> Any:
    """For each place of the last axis, the last one before or at it whose element is the extremum so far."""
    return np.maximum.accumulate(np.where((x == y) | (x != x), np.arange(x.shape[-1]), 0), axis=-1)


running_value = constant(
    "running_extremum",
    lambda x, *, largest: (np.maximum if largest else np.minimum).accumulate(x, axis=-1),
    leading,
)
latest = constant("latest", _latest, leading)
# The first argument carries the derivative; the others are what was compared.
running_shares = register(
    Primitive(
        "running_shares",
        lambda x, fixed, extremum: extremum.copy(),
        (RunningSlot(None, (False, False, True, True)), Slot(None, active=False)),
        tie="shared equally between ties",
    )
)


def running(x: Any, largest: bool) -> Any:
    """The largest (smallest) element so far along the last axis; with ties quadratic in its length."""
    y = running_value(x, largest=largest)
    repeated = (x == y)[..., 1:] & (y[..., 1:] == y[..., :-1])
    if np.any(innermost(repeated)):
        return running_shares(x, frozen(x), y)
    return gather(x, latest(x, y))


# -- what is constant almost everywhere ---------------------------------------------------------------


def _reduction(
    primitive: Any, values: tuple[Any, ...], batched: tuple[bool, ...], size: int, params: dict[str, Any]
) -> Any:
    """Batched form of what reduces over ``axis``."""
    x, axis = values[0], params["axis"]
    axis = range(len(shape_of(x)) - 1) if axis is None else axis
    return primitive(x, **{**params, "axis": tuple(k + 1 for k in axis)})


def _constant(name: str, ufunc: Any) -> Primitive:
    return constant(name, lambda x, *, axis, keepdims: ufunc.reduce(x, axis=axis, keepdims=keepdims), _reduction)


frozen = constant("frozen", lambda x: x.copy() if x.__class__ is np.ndarray else x, leading)
any_, all_ = _constant("any", np.logical_or), _constant("all", np.logical_and)
parity = _constant("parity", np.logical_xor)
count_nonzero = constant(
    "count_nonzero",
    lambda x, *, axis, keepdims: np.count_nonzero(x, axis=axis, keepdims=keepdims),
    _reduction,
)


running_shares.batch = leading
