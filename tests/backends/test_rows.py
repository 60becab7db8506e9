"""Which loops hide their index from LLVM, in what is written for Numba only, and that it changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends.rows import opaque_loops
from tests.transforms.reading import program_of


def recurrence(h: Any) -> Any:
    for t in range(len(h) - 1):
        for i in range(h.shape[1]):
            h[t + 1, i] = np.sin(h[t, i])
    return np.sum(h)


def through_views(h: Any) -> Any:
    for t in range(1, len(h)):
        row, before = h[t], h[t - 1]
        for i in range(len(row)):
            row[i] += before[i]
    return h


def down(h: Any) -> Any:
    for t in range(len(h) - 1, -1, -1):
        for i in range(h.shape[1]):
            h[t, i] *= 2.0
    return h


def one_row(h: Any) -> Any:
    for t in range(len(h)):
        for i in range(1, h.shape[1]):
            h[t, i] = h[t, i - 1] * h[t, i]
    return h


def two_arrays(h: Any) -> Any:
    g = np.zeros(h.shape)
    for t in range(1, len(h)):
        for i in range(h.shape[1]):
            g[t, i] = h[t - 1, i] + h[t, i]
    return g


def one_loop(h: Any) -> Any:
    s = 0.0
    for t in range(len(h) - 1, 0, -1):
        h[t, 0] = h[t - 1, 0]
        s += h[t, 0]
    return s


CASES: list[tuple[Callable[[Any], Any], int]] = [
    (recurrence, 1),
    (through_views, 1),
    (down, 1),
    (one_row, 0),
    (two_arrays, 0),
    (one_loop, 0),
]


@pytest.mark.parametrize(("function", "count"), CASES, ids=[f.__name__ for f, _ in CASES])
def test_which(function: Any, count: int) -> None:
    h = np.linspace(-1.0, 1.0, 12).reshape(4, 3)
    assert len(opaque_loops(program_of(function, [h]))) == count
    compiled = cr.source(cr.jit(function), h, stage="compiled")
    assert compiled.count("support.opaque(") == count
    assert "opaque" not in cr.source(cr.jit(function), h)
    np.testing.assert_array_equal(cr.jit(function)(h.copy()), function(h.copy()))


def test_the_gradient() -> None:
    h = np.linspace(-1.0, 1.0, 12).reshape(4, 3)
    gradient = cr.grad(recurrence)
    assert cr.source(gradient, h, stage="compiled").count("support.opaque(") == 2
    np.testing.assert_allclose(cr.jit(gradient)(h), cr.jit(gradient, backend="python")(h), rtol=1e-15)
    step = 1e-6 * np.eye(12).reshape(12, 4, 3)
    slopes = [(recurrence(h + e) - recurrence(h - e)) / 2e-6 for e in step]
    np.testing.assert_allclose(np.ravel(cr.jit(gradient)(h)), slopes, rtol=1e-7, atol=1e-9)
