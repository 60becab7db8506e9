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


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="how much memory is in use is asked of Linux")
def test_a_program_that_raises_gives_its_tape_back() -> None:
    def used() -> float:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    gradient = cr.jit(cr.grad(steps))
    gradient(1.0, 23, 2.0)
    limit = 1.001**11 - 1e-6  # the last leaf of all is the one that is too far
    before = 0.0
    for k in range(60):
        with pytest.raises(ValueError, match=r"^1\.011 is too far$"):
            gradient(1.0, 23, limit)
        before = used() if k == 5 else before
    assert used() - before < 20
