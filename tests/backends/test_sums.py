"""Plain sums may be taken in another order, and nothing else may: error-free transformations stay as written."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends.numba.compile import compiled
from chainrule.backends.python import write
from chainrule.backends.sums import plain_sums


def plain(x: Any) -> Any:
    s = 0.0
    for i in range(len(x)):
        s += x[i] * x[i]
    return s


def two_terms(x: Any) -> Any:
    s = 0.0
    for i in range(len(x)):
        s = s + x[i]
        s -= 2.0 * x[i]
    return s


def nested(x: Any) -> Any:
    s = 0.0
    for i in range(len(x)):
        for j in range(i):
            s += x[i] * x[j]
    return s


def kahan(x: Any) -> Any:
    s, c = 0.0, 0.0
    for i in range(len(x)):
        y = x[i] - c
        t = s + y
        c = (t - s) - y
        s = t
    return s


def neumaier(x: Any) -> Any:
    s, c = 0.0, 0.0
    for i in range(len(x)):
        t = s + x[i]
        if abs(s) >= abs(x[i]):
            c += (s - t) + x[i]
        else:
            c += (x[i] - t) + s
        s = t
    return s + c


def two_sum(x: Any) -> Any:
    s, e = 0.0, 0.0
    for i in range(len(x)):
        t = s + x[i]
        b = t - s
        e += (s - (t - b)) + (x[i] - b)
        s = t
    return s + e


def recorded(x: Any) -> Any:
    """The sums on the way are looked at."""
    y = np.zeros(len(x))
    s = 0.0
    for i in range(len(x)):
        s += x[i]
        y[i] = s
    return y


def subtracted_from(x: Any) -> Any:
    s = 0.0
    for i in range(len(x)):
        s = x[i] - s
    return s


def sums_of(f: Callable[..., Any]) -> list[str]:
    jitted = cr.jit(f, backend="interpreter")
    jitted(np.ones(3))
    (found,) = next(iter(jitted._programs.values()))
    return sorted(let.op for let in plain_sums(found.function))


@pytest.mark.parametrize(
    ("f", "ops"),
    [
        (plain, ["add"]),
        (two_terms, ["add", "subtract"]),
        (nested, ["add"]),
        (kahan, []),
        (neumaier, []),
        (two_sum, ["add"]),  # of the errors, not of what they are the errors of
        (recorded, []),
        (subtracted_from, []),
    ],
)
def test_which_additions_are_plain_sums(f: Callable[..., Any], ops: list[str]) -> None:
    assert sums_of(f) == ops


@pytest.mark.parametrize("f", [kahan, neumaier, two_sum])
def test_compensated_sums_keep_their_point(f: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=10_001) * 10.0 ** rng.uniform(-8, 8, 10_001)
    exact = math.fsum(x)
    got = cr.jit(f, cache=False)(x)
    assert abs(got - exact) <= 2 * np.spacing(abs(x).max())
    assert got == f(x)
    np.testing.assert_allclose(cr.jit(cr.grad(f), cache=False)(x), 1.0)


def test_a_plain_sum_is_within_the_error_of_any_order() -> None:
    x = np.random.default_rng(1).normal(size=10_001)
    squares = x * x
    for fastmath in ("sums", True, False):
        got = cr.jit(plain, cache=False, fastmath=fastmath)(x)
        assert abs(got - math.fsum(squares)) <= len(x) * np.finfo(float).eps * squares.sum()
    assert cr.jit(plain, cache=False, fastmath=False)(x) == plain(x)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_signed_zeros_and_infinities_of_sums(dtype: Any) -> None:
    total = cr.jit(two_terms, cache=False)
    for x in ([np.inf], [np.nan, 1.0], [0.0], [-0.0, -0.0], []):
        values = np.array(x * 20, dtype)
        with np.errstate(invalid="ignore"):
            got, expected = total(values), two_terms(values)
        np.testing.assert_array_equal(got, expected)
        assert np.isnan(expected) or np.signbit(got) == np.signbit(expected)


def shift(x: Any, c: Any) -> Any:
    return (x + c) - c


def quotient(x: Any, y: Any) -> Any:
    return x / y


def sign(x: Any, y: Any) -> Any:
    return np.copysign(1.0, x * y)


def difference(x: Any, y: Any) -> Any:
    return x - y


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (shift, (1.0, 1e16)),
        (quotient, (0.0, 5e-324)),
        (quotient, (1.0, 5e-324)),
        (sign, (-0.0, 1.0)),
        (sign, (0.0, -1.0)),
        (difference, (math.inf, math.inf)),
        (difference, (0.0, 0.0)),
    ],
)
@pytest.mark.parametrize("fastmath", ["sums", False])
def test_arithmetic_stays_as_written(f: Callable[..., Any], args: tuple[float, float], fastmath: Any) -> None:
    with np.errstate(all="ignore"):
        expected = f(*map(np.float64, args))
    got = cr.jit(f, cache=False, fastmath=fastmath)(*args)
    np.testing.assert_array_equal(got, expected)
    assert math.isnan(expected) or math.copysign(1, got) == math.copysign(1, expected)


def test_a_sum_is_vectorised() -> None:
    jitted = cr.jit(plain, cache=False)
    jitted(np.ones(3))
    (found,) = next(iter(jitted._programs.values()))
    text = compiled(write(found.function, "compiled")).dispatcher.inspect_llvm()
    assert "llvm.vector.reduce.fadd" in "".join(text.values())
