"""What the written programs call beside NumPy: plain functions of numbers that Numba compiles too.

Each answers what the primitive of its name evaluates to, special values included. Single precision may be
answered in double precision: the text rounds the result.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = [
    "angle",
    "argsort",
    "complex64s",
    "complex128s",
    "complex_expm1",
    "complex_power",
    "difference",
    "drop",
    "float32s",
    "float64s",
    "frexp_exponent",
    "frexp_mantissa",
    "grow",
    "heaviside",
    "int64s",
    "integer_power",
    "is_deep",
    "logistic",
    "matmul",
    "minus",
    "modf_fraction",
    "new_tape",
    "opaque",
    "plus",
    "power_log",
    "release",
    "reserve",
    "sinc",
    "stack_floor",
    "truncated_remainder",
    "unit_gap",
]


def grow(array: Any, size: Any) -> Any:
    """A longer array, of at least `size` rows, that begins with those of `array`."""
    longer = np.empty((max(size, 2 * array.shape[0]),) + array.shape[1:], array.dtype)  # noqa: RUF005 as Numba has it
    here, there = array.ravel(), longer.ravel()  # views; Numba takes seconds to compile assignments of rows
    for i in range(here.shape[0]):
        there[i] = here[i]
    return longer


def new_tape(number: Any, size: Any) -> Any:
    """Memory of `size` bytes that can be made more; a program numbers its tapes."""
    return [np.empty(size, np.uint8)]


def reserve(tape: Any, size: Any) -> None:
    """Let a tape have at least `size` bytes."""
    if tape[0].shape[0] < size:
        tape[0] = grow(tape[0], size)


def drop(tape: Any) -> None:
    """Give the memory of a tape back: the program stops."""
    tape.clear()


def release(number: Any, tape: Any) -> None:
    """Nobody uses the tape any more."""
    tape.clear()


def float64s(tape: Any) -> Any:
    return tape[0].view(np.float64)


def float32s(tape: Any) -> Any:
    return tape[0].view(np.float32)


def int64s(tape: Any) -> Any:
    return tape[0].view(np.int64)


def complex128s(tape: Any) -> Any:
    return tape[0].view(np.complex128)


def complex64s(tape: Any) -> Any:
    return tape[0].view(np.complex64)


def stack_floor() -> Any:
    """The address that the stack is not to grow below; Python has a limit of its own."""
    return 0


def is_deep(floor: Any) -> Any:
    """Whether the stack has grown below `floor`."""
    return False


def opaque(index: Any) -> Any:
    """`index`, of which LLVM knows nothing."""
    return index


def matmul(x: Any, y: Any) -> Any:
    return x @ y


def argsort(x: Any) -> Any:
    """The order of a vector's elements, by merging: equal ones stay in theirs, NaN come last."""
    n = x.shape[0]
    order, merged = np.empty(n, np.int64), np.empty(n, np.int64)
    for k in range(n):
        order[k] = k
    width = 1
    while width < n:
        for start in range(0, n, 2 * width):
            middle, end = min(start + width, n), min(start + 2 * width, n)
            i, j = start, middle
            for k in range(start, end):
                if j < end and i < middle:
                    left, right = x[order[i]], x[order[j]]
                    first = not (right < left or (left != left and right == right))
                else:
                    first = i < middle
                if first:
                    merged[k] = order[i]
                    i += 1
                else:
                    merged[k] = order[j]
                    j += 1
        order, merged = merged, order
        width *= 2
    return order


def unit_gap(x: Any) -> Any:
    """1 - x²"""
    return (1 - x) * (1 + x)


def plus(total: Any, x: Any) -> Any:
    """total + x, in a sum that may be taken in any order."""
    return total + x


def minus(total: Any, x: Any) -> Any:
    """total - x, in a sum that may be taken in any order."""
    return total - x


def difference(x: Any, y: Any) -> Any:
    """x - y, and 0 for equal infinities."""
    return 0.0 if x == y else x - y


def logistic(x: Any) -> Any:
    """1 / (1 + e⁻ˣ)"""
    t = np.exp(-abs(x))
    return (1.0 if x >= 0 else t) / (1 + t)


def heaviside(x: Any, middle: Any) -> Any:
    """0 or 1, and `middle` at 0."""
    if x == 0:
        return middle * 1.0
    return 0.0 if x < 0 else 1.0 if x > 0 else x * 1.0


def sinc(x: Any) -> Any:
    """sin(πx) / (πx)"""
    t = np.pi * x
    return np.sin(t) / t if x != 0 else t * 0.0 + 1.0


def angle(z: Any) -> Any:
    return np.arctan2(z.imag, z.real)


def modf_fraction(x: Any) -> Any:
    """What is behind the point, with the sign of `x`."""
    return np.copysign(0.0 if abs(x) == np.inf else x - np.trunc(x), x)


def frexp_mantissa(x: Any) -> Any:
    return math.frexp(x)[0]


def frexp_exponent(x: Any) -> Any:
    return math.frexp(x)[1]


def truncated_remainder(x: Any, y: Any) -> Any:
    """The remainder of integers with the sign of `x`, 0 for a divisor 0."""
    if y == 0:
        return 0
    rest = abs(x) % abs(y)
    return -rest if x < 0 else rest


def complex_expm1(z: Any) -> Any:
    """eᶻ - 1, without cancellation near 0."""
    s = np.sin(0.5 * z.imag)
    return complex(np.expm1(z.real) * np.cos(z.imag) - 2 * s * s, np.exp(z.real) * np.sin(z.imag))


def complex_power(x: Any, n: Any) -> Any:
    if n == 0:
        return 1 + 0j
    if x == 0:
        return 0j if n.real > 0 else complex(np.nan, np.nan)
    return x**n


def integer_power(x: Any, n: Any) -> Any:
    """xⁿ for an integer n, by multiplication if it is small: as exact as that is fast."""
    if n < 0 or n > 64:
        return x ** float(n)
    y = 1.0
    while n:
        if n & 1:
            y *= x
        x *= x
        n >>= 1
    return y


def power_log(x: Any, n: Any, k: Any) -> Any:
    """xⁿ log(x)ᵏ, and at 0 its limit."""
    if x != 0:
        return x**n * np.log(x) ** k
    if n.real > 0:
        return 0.0
    return -np.inf if k % 2 else np.inf
