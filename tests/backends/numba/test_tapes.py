"""The memory of tapes in machine code: it grows, keeps what is in it, and is used again."""

from __future__ import annotations

from typing import Any

import numba
import pytest

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
