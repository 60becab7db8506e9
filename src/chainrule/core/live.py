"""Structural zeros: tangents and cotangents of which only some elements are live.

A masked or unselected element contributes nothing, whatever it is multiplied by, so that
``where(x > 0, sqrt(x), 0)`` has derivative 0 at 0 and not ``0 * inf``. `Masked` carries an array
together with the set of its live elements. The set is worked out only when a product is not finite,
so that in the common case it costs one test per product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.core.dispatch import Tracer, innermost

__all__ = ["Masked", "add", "dense", "linear_live", "product"]


class Masked:
    """An array `value` whose elements outside `live()` are structural zeros."""

    __slots__ = ("_live", "value")

    def __init__(self, value: Any, live: Callable[[], Any]) -> None:
        self.value = value
        self._live = live

    def live(self) -> Any:
        """Boolean array, true where the element is not a structural zero."""
        if callable(self._live):
            self._live = self._live()
        return self._live

    def union(self, other: Masked) -> Callable[[], Any]:
        """The live set of a sum."""
        return lambda: self.live() | other.live()

    # What the sweep does to the cotangents of numbers, spelled as for plain ones.
    def __mul__(self, factor: Any) -> Masked:
        return product(factor, self)

    def __add__(self, other: Any) -> Any:
        return add(self, other)

    def __radd__(self, other: Any) -> Any:
        return add(other, self)

    # NumPy's numbers shall leave sums and products to these methods.
    __rmul__ = __mul__
    __array_ufunc__ = None


def dense(value: Any) -> Any:
    """`value` with its structural zeros made numbers."""
    return value.value if value.__class__ is Masked else value


def add(a: Any, b: Any) -> Any:
    """Sum of two (co)tangents of one value, either of which may be masked."""
    if a.__class__ is Masked:
        if b.__class__ is Masked:
            return Masked(a.value + b.value, a.union(b))
        return a.value + b
    return a + (b.value if b.__class__ is Masked else b)


def product(factor: Any, masked: Masked) -> Masked:
    """``factor * masked``, elementwise, where dead elements stay zero even at a pole of `factor`."""
    result = factor * masked.value
    # A traced product is always repaired: at a higher order the factor's derivative may have the pole.
    if isinstance(result, Tracer) or not finite(result):
        live = masked.live()
        result = np.where(live, result, np.zeros((), innermost(result).dtype))
        return Masked(result, lambda: np.broadcast_to(live, result.shape))
    if result.shape == masked.value.shape:
        return Masked(result, masked.live)
    return Masked(result, lambda: np.broadcast_to(masked.live(), result.shape))


def finite(array: Any) -> bool:
    # One vectorised pass; only an overflowing sum of finite numbers needs the second.
    return bool(np.isfinite(np.sum(array))) or bool(np.isfinite(array).all())


def linear_live(function: Callable[[Any], Any], masked: Masked) -> Masked:
    """Apply a linear `function` with coefficients that cannot cancel (moves, sums) to both parts."""

    def live() -> Any:
        ones = masked.live().astype(np.float64)
        # Both parts, of which the function may take one.
        return function(ones * (1 + 1j) if innermost(masked.value).dtype.kind == "c" else ones) != 0

    return Masked(function(masked.value), live)
