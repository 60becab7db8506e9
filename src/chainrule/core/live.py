"""Structural zeros: tangents and cotangents of which only some elements are live.

A masked or unselected element contributes nothing, whatever it is multiplied by, so that
``where(x > 0, sqrt(x), 0)`` has derivative 0 at 0 and not ``0 * inf``. `Masked` carries an array
together with the set of its live elements. The set is worked out only when a product is not finite,
so that in the common case it costs one test per product. A set knows the sets it follows from and no
(co)tangent: it keeps no array alive, and is worked out without recursion however long the chain is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.core.dispatch import Tracer, innermost

__all__ = ["Live", "Masked", "add", "dense", "linear_live", "product"]


class Live:
    """A set of live elements: call it for a boolean array, true where the element is no structural zero.

    ``work`` makes it of the arrays of its `parents`, once, when it is first asked for.
    """

    __slots__ = ("_mask", "_parents", "_work")

    def __init__(self, work: Callable[..., Any], *parents: Live) -> None:
        self._work: Callable[..., Any] | None = work
        self._parents = parents
        self._mask: Any = None

    def __call__(self) -> Any:
        waiting: list[Live] = [self]
        while waiting:
            missing = waiting[-1].missing()
            if missing:
                waiting.extend(missing)
            else:
                waiting.pop().settle()
        return self._mask

    @property
    def known(self) -> bool:
        """Whether it has been worked out."""
        return self._mask is not None

    def missing(self) -> list[Live]:
        """What must be worked out before."""
        return [parent for parent in self._parents if not parent.known]

    def settle(self) -> None:
        """Work it out, all parents being known, and forget them."""
        if self._work is not None:
            self._mask = self._work(*[parent() for parent in self._parents])
            self._work, self._parents = None, ()


class Masked:
    """An array `value` whose elements outside `live()` are structural zeros.

    `live` is a set, or the function that makes it of those of the `parents`.
    """

    __slots__ = ("live", "value")

    def __init__(self, value: Any, live: Live | Callable[..., Any], *parents: Live) -> None:
        self.value = value
        self.live = live if isinstance(live, Live) else Live(live, *parents)

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
            return Masked(a.value + b.value, lambda x, y: x | y, a.live, b.live)
        return a.value + b
    return a + (b.value if b.__class__ is Masked else b)


def product(factor: Any, masked: Masked) -> Masked:
    """``factor * masked``, elementwise, where dead elements stay zero even at a pole of `factor`."""
    result = factor * masked.value
    # A traced product is always repaired: at a higher order the factor's derivative may have the pole.
    if isinstance(result, Tracer) or not finite(result):
        live = masked.live()
        result = np.where(live, result, np.zeros((), innermost(result).dtype))
    shape = result.shape
    if shape == masked.value.shape:
        return Masked(result, masked.live)
    return Masked(result, lambda live: np.broadcast_to(live, shape), masked.live)


def finite(array: Any) -> bool:
    # One vectorised pass; only an overflowing sum of finite numbers needs the second.
    return bool(np.isfinite(np.add.reduce(array, axis=None))) or bool(np.isfinite(array).all())


def linear_live(function: Callable[[Any], Any], masked: Masked) -> Masked:
    """Apply a linear `function` with coefficients that cannot cancel (moves, sums) to both parts."""
    # Of a complex number both parts, of which the function may take one.
    one = 1 + 1j if innermost(masked.value).dtype.kind == "c" else 1.0
    return Masked(function(masked.value), lambda live: function(live.astype(np.float64) * one) != 0, masked.live)
