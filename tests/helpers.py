"""Checks shared by the tests: derivatives against differences, never against the code under test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr

Function = Callable[..., Any]


def leaves(y: Any) -> list[Any]:
    """The arrays of a result that is one array, or a tuple or list of them."""
    return [leaf for part in y for leaf in leaves(part)] if isinstance(y, (tuple, list)) else [y]


def assert_close(actual: Any, desired: Any, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(actual, desired, rtol=tolerance, atol=tolerance)


def direction(rng: np.random.Generator, x: Any) -> Any:
    """A random tangent like `x`."""
    x = np.asarray(x)
    v = rng.normal(size=x.shape)
    if x.dtype.kind == "c":
        v = v + 1j * rng.normal(size=x.shape)
    v = v.astype(x.dtype)
    return v if v.ndim else v[()]


def difference(f: Function, args: tuple[Any, ...], tangents: tuple[Any, ...], step: float = 1e-6) -> list[Any]:
    """Central differences of the leaves of `f` along `tangents`."""
    ahead = leaves(f(*[x + step * t for x, t in zip(args, tangents, strict=True)]))
    behind = leaves(f(*[x - step * t for x, t in zip(args, tangents, strict=True)]))
    return [(np.asarray(a) - np.asarray(b)) / (2 * step) for a, b in zip(ahead, behind, strict=True)]


def _inner(us: Any, vs: Any) -> float:
    return sum(float(np.real(np.vdot(u, v))) for u, v in zip(us, vs, strict=True))


def check(
    f: Function,
    *args: Any,
    order: int = 2,
    tolerance: float = 1e-6,
    jacobians: bool = True,
    exact: bool = True,
) -> None:
    """Check value, jvp, vjp, Jacobians and second derivatives of `f` at float or complex `args`.

    The value is compared with the plain one (up to rounding if not `exact`), the jvp with central
    differences, the vjp with the jvp by a dot product, the two Jacobians with each other, and a
    Hessian-vector product with differences of the gradient.
    """
    rng = np.random.default_rng(7)
    args = tuple(x if isinstance(x, float) else np.asarray(x) for x in args)
    tangents = tuple(direction(rng, x) for x in args)
    plain = leaves(f(*args))
    y, y_dot = cr.jvp(f, args, tangents)
    for have, want in zip(leaves(y), plain, strict=True):
        assert np.shape(have) == np.shape(want)
        assert np.asarray(have).dtype == np.asarray(want).dtype
        np.testing.assert_allclose(have, want, rtol=0 if exact else 1e-13, atol=0 if exact else 1e-13)
    for have, want in zip(leaves(y_dot), difference(f, args, tangents), strict=True):
        assert_close(have, want, tolerance)
    cts = [direction(rng, value) for value in plain]
    value, pullback = cr.vjp(f, *args)
    for have, want in zip(leaves(value), leaves(y), strict=True):
        np.testing.assert_array_equal(have, want)
    pulled = pullback(_like(value, iter(cts)))
    for x, ct in zip(args, pulled, strict=True):
        assert np.shape(ct) == np.shape(x)
        assert np.asarray(ct).dtype == np.asarray(x).dtype
    assert_close(_inner(pulled, tangents), _inner(cts, leaves(y_dot)), 1e-9)
    for again, first in zip(pullback(_like(value, iter(cts))), pulled, strict=True):
        np.testing.assert_array_equal(again, first)
    if order > 1:
        _check_second(f, args, tangents, rng, tolerance)
    real = all(np.asarray(x).dtype.kind == "f" for x in (*args, *plain))
    if jacobians and real:
        numbers = tuple(range(len(args)))
        forward = cr.jacfwd(f, numbers)(*args)
        reverse = cr.jacrev(f, numbers)(*args)
        for a, b in zip(leaves(forward), leaves(reverse), strict=True):
            assert_close(a, b, 1e-9)
        (total,) = [sum(_contract(j, t) for j, t in zip(_first(forward), tangents, strict=True))]
        assert_close(total, leaves(y_dot)[0], 1e-9)


def _first(jacobian: Any) -> Any:
    """The Jacobians of the first output leaf, one per argument."""
    while isinstance(jacobian[0], (tuple, list)):
        jacobian = jacobian[0]
    return jacobian


def _contract(jacobian: Any, tangent: Any) -> Any:
    return np.tensordot(jacobian, tangent, np.ndim(tangent))


def _like(value: Any, cts: Any) -> Any:
    """`cts` in the structure of `value`."""
    if isinstance(value, (tuple, list)):
        parts = [_like(part, cts) for part in value]
        return type(value)._make(parts) if hasattr(value, "_make") else type(value)(parts)
    return next(cts)


def _check_second(f: Function, args: Any, tangents: Any, rng: np.random.Generator, tolerance: float) -> None:
    weights = [rng.normal(size=np.shape(y)) for y in leaves(f(*args))]

    def objective(*xs: Any) -> Any:
        total: Any = 0.0
        for w, y in zip(weights, leaves(f(*xs)), strict=True):
            curved = np.sin(y) if y.dtype.kind != "c" else np.real(y) * np.imag(y) ** 2
            total = total + np.sum(w * curved)
        return total

    gradient = cr.grad(objective, tuple(range(len(args))))
    have = cr.hvp(objective, args, tangents)
    want = difference(gradient, args, tangents)
    for a, b in zip(leaves(have), want, strict=True):
        assert_close(a, b, 20 * tolerance)
