"""Derivative rules of reductions and cumulative operations.

``axis`` is None or a tuple of non-negative integers. Ties of ``max`` and ``min`` share equally; ``prod``
is exact with zeros among its factors, at every order, because its partials are products of the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.core.define import general, linear
from chainrule.core.dispatch import Tracer, innermost
from chainrule.core.linear import LinearMap, Meta, Slot, cast
from chainrule.core.live import Masked, dense
from chainrule.core.primitive import Primitive, register
from chainrule.rules.elementwise import Samples, where
from chainrule.rules.shape import broadcast_to, flip, reshape

__all__ = ["amax", "amin", "cumprod", "cumsum", "prod", "sum_"]


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


def _sum(x: Any, *, axis: tuple[int, ...] | None, keepdims: bool, dtype: Any = None) -> Any:
    return np.add.reduce(x, axis=axis, keepdims=keepdims, dtype=dtype)


sum_ = linear(
    "sum",
    _sum,
    lambda ct, x, *, axis, keepdims, dtype=None: broadcast_to(_restore(ct, x, axis, keepdims), shape=x.shape),
    samples=_samples(2, 3, axis=(1,), keepdims=False),
)
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
        self.x = Meta(x.shape, x.dtype)
        self.axis = axis
        self.keepdims = keepdims
        self.ties = innermost_equal(x, _restore(y, x, axis, keepdims))

    def _shares(self, dtype: Any) -> Any:
        shares = cast(self.ties, dtype)
        return shares / sum_(shares, axis=self.axis, keepdims=True)

    def apply(self, tangent: Any) -> Any:
        shares = self._shares(self.x.dtype)
        value = where(self.ties, shares * dense(tangent), 0.0)
        return sum_(value, axis=self.axis, keepdims=self.keepdims)

    def transpose(self, ct: Any, own: bool = False) -> Any:
        ties, x = self.ties, self.x
        shares = self._shares(x.dtype)
        value = broadcast_to(_restore(dense(ct), x, self.axis, self.keepdims), shape=x.shape)
        value = where(ties, shares * value, 0.0)
        if ct.__class__ is not Masked:
            return Masked(value, lambda: ties)
        return Masked(value, lambda: ties & _restore(ct.live(), x, self.axis, self.keepdims))

    @property
    def pattern(self) -> str:
        return "structural"


def innermost_equal(x: Any, y: Any) -> Any:
    """Elementwise equality, NaN equal to itself, without derivative."""
    equal = x == y
    if not isinstance(equal, Tracer) and not np.all(np.any(equal)):
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
    """The recurrence dy_k = dy_(k-1) x_k + y_(k-1) dx_k, exact with zeros among the factors."""
    x, dx = np.moveaxis(x, axis, 0), np.moveaxis(dx, axis, 0)
    ys, dys = [x[0]], [dx[0]]
    for k in range(1, x.shape[0]):
        dys.append(dys[-1] * x[k] + ys[-1] * dx[k])
        ys.append(ys[-1] * x[k])
    return np.moveaxis(np.stack(dys), 0, axis)


def _cumprod_map(y: Any, x: Any, *, axis: int) -> Any:
    if x.shape[axis] == 0:
        return lambda dx: dx
    if np.all(innermost(x) != 0):
        return lambda dx: y * cumsum(dx / x, axis=axis)
    return lambda dx: _cumprod_push(x, dx, axis)


cumprod = general(
    "cumprod",
    lambda x, *, axis: np.cumprod(x, axis),
    _cumprod_map,
    samples=lambda rng: iter(
        [((rng.normal(size=(2, 3)),), {"axis": 1}), ((np.array([2.0, 0.0, 3.0]),), {"axis": 0})]
    ),
)
