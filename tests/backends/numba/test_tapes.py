"""The memory of tapes in machine code: it grows, keeps what is in it, and is used again."""

from __future__ import annotations

import os
from typing import Any

import numba
import numpy as np
import pytest

import chainrule as cr
from chainrule.backends.numba.tapes import functions

NAMES = functions({"error_model": "numpy", "nogil": True})
new_tape, reserve, release = (NAMES[name] for name in ("new_tape", "reserve", "release"))
float64s, complex128s = NAMES["float64s"], NAMES["complex128s"]


@numba.njit
def counted(n: Any) -> Any:
    tape = new_tape(3, 64)
    for k in range(n):
        reserve(tape, 8 * (k + 1))
        float64s(tape)[k] = k
    total = float64s(tape)[:n].sum()
    release(3, tape)
    return total, tape[1]


def test_what_is_on_a_tape_stays() -> None:
    total, size = counted(100_000)
    assert total == 100_000 * 99_999 / 2
    assert 800_000 <= size < 1_600_000


def test_memory_is_used_again() -> None:
    size = counted(100_000)[1]
    assert counted(1)[1] == size


@numba.njit
def large(n: Any) -> Any:
    tape = new_tape(4, n)
    complex128s(tape)[n // 16 - 1] = 1j
    last = complex128s(tape)[n // 16 - 1]
    release(4, tape)
    return last, new_tape(4, 16)[1]


def test_large_tapes_are_given_back() -> None:
    assert large((1 << 26) + 16) == (1j, 16)


def test_what_does_not_fit() -> None:
    @numba.njit
    def huge() -> Any:
        return new_tape(5, 1 << 62)

    with pytest.raises(MemoryError, match="does not fit"):
        huge()


def steps(x: Any, n: Any, limit: Any) -> Any:
    if n < 2:
        if x > limit:
            raise ValueError(f"{x:.3f} is too far")
        return np.sin(x)
    return steps(x * 0.999, n - 1, limit) * 0.9 + steps(x * 1.001, n - 2, limit) * np.cos(x)


def used() -> float:
    """Megabytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="how much memory is in use is asked of Linux")
def test_a_program_that_raises_gives_its_tape_back() -> None:
    gradient = cr.jit(cr.grad(steps))
    gradient(1.0, 23, 2.0)
    limit = 1.001**11 - 1e-6  # the last leaf of all is the one that is too far
    before = 0.0
    for k in range(60):
        with pytest.raises(ValueError, match=r"^1\.011 is too far$"):
            gradient(1.0, 23, limit)
        before = used() if k == 5 else before
    assert used() - before < 20


def product(x: Any, n: Any) -> Any:
    return x if n <= 0 else product(np.sin(x), n - 1) * product(x * x, n - 2)


slope = cr.grad(product)


def in_a_loop(x: Any, n: Any) -> Any:
    total = 0.0
    for k in range(n):
        total += slope(x + k, 4)
    return total


def in_a_branch(x: Any, n: Any) -> Any:
    if n > 1:
        return slope(x, 4) * x
    return x * x


def in_a_condition(x: Any, n: Any) -> Any:
    k = 0
    while slope(x, 4) < 2.0 and k < n:
        x = x + 0.5
        k += 1
    return x * k


def before_an_error(x: Any, n: Any) -> Any:
    total = 0.0
    for k in range(n):
        if k > 1:
            total += slope(x, 4)
        if k == 3:
            raise ValueError("the fourth round")
    return total * x


def in_two_blocks(x: Any, n: Any) -> Any:
    first = slope(x, 3)
    for k in range(n):
        for j in range(k):
            first += slope(x * j, 4) * slope(first, 2)
        first = first * 0.1
    return first + slope(x, 2)


@pytest.mark.parametrize("backend", ["numba", "python"])
@pytest.mark.parametrize(
    "f", [in_a_loop, in_a_branch, in_a_condition, before_an_error, in_two_blocks], ids=lambda f: f.__name__
)
def test_tapes_are_released_where_they_were_made(f: Any, backend: str) -> None:
    """Also where a loop does not run and a branch is not taken, in whose place there is no tape."""
    made = [cr.jit(g, backend=backend, cache=False) for g in (f, cr.grad(f))]
    for n in range(4):
        assert made[0](0.4, n) == pytest.approx(f(0.4, n), rel=1e-12)
        assert made[1](0.4, n) == pytest.approx(cr.grad(f)(0.4, n), rel=1e-10)
    if f is before_an_error:
        with pytest.raises(ValueError, match="the fourth round"):
            made[0](0.4, 4)


def squares(a: Any, lower: Any, upper: Any) -> None:
    if upper > lower:
        a[lower] = a[lower] ** 2
        middle = (lower + upper) // 2
        squares(a, lower, middle)
        squares(a, middle + 1, upper)


def of_an_array(x: Any) -> Any:
    a = x.copy()
    squares(a, 0, len(a))
    return np.sum(a * a)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="how much memory is in use is asked of Linux")
def test_rounds_leave_no_tape_behind() -> None:
    hessian, x = cr.jit(cr.hessian(of_an_array)), np.linspace(0.1, 1.0, 300)
    assert hessian(np.zeros(0)).shape == (0, 0)
    np.testing.assert_allclose(np.diag(hessian(x[:3])), np.diag(cr.hessian(of_an_array)(x[:3])))
    before = 0.0
    for k in range(30):
        hessian(x)
        before = used() if k == 5 else before
    assert used() - before < 20
