"""Recursion in machine code: as deep as memory reaches, then an error that names the function."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest

import chainrule as cr


def skew(x: float, n: int) -> Any:
    if n < 1:
        return x
    return 0.3 * math.sin(skew(x, n - 1)) + 0.1 * skew(x, -n) + 0.5


def exact(x: float, n: int) -> tuple[float, float]:
    """The value and the derivative, by a loop."""
    y, dy = x, 1.0
    for _ in range(n):
        y, dy = 0.3 * math.sin(y) + 0.1 * x + 0.5, 0.3 * math.cos(y) * dy + 0.1
    return y, dy


@pytest.fixture(scope="module")
def compiled() -> Any:
    return cr.jit(cr.value_and_grad(skew))


@pytest.mark.parametrize("n", [0, 10, 100_000, 300_000])
def test_deep_recursion(compiled: Any, n: int) -> None:
    assert compiled(0.4, n) == pytest.approx(exact(0.4, n), rel=1e-12)


def test_too_deep_recursion(compiled: Any) -> None:
    with pytest.raises(RecursionError, match="skew calls itself too many times"):
        compiled(0.4, 10**8)


def test_threads_with_small_stacks(compiled: Any) -> None:
    found: list[Any] = []
    before = threading.stack_size(1 << 17)
    try:
        threads = [threading.Thread(target=lambda: found.append(compiled(0.4, 20_000))) for _ in range(3)]
        for thread in threads:
            thread.start()
    finally:
        threading.stack_size(before)
    for thread in threads:
        thread.join()
    assert found == [pytest.approx(exact(0.4, 20_000), rel=1e-12)] * 3
