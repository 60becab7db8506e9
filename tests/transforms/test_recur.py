"""What loops carry once more in place of what was kept: where they do, and that they compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import For, Function, Store
from chainrule.ir.walk import nodes_of
from chainrule.transforms.recur import recurring
from tests.transforms.differences import fresh
from tests.transforms.reading import program_of

X, T = np.linspace(0.3, 1.2, 9), np.linspace(-0.9, 0.9, 5)


def powers(x: Any, t: Any) -> Any:
    bar, kept = np.zeros(len(x)), np.empty(len(x))
    for v in t:
        fit, p = 0.0, 1.0
        for j in range(len(x)):
            fit += x[j] * p
            kept[j] = p
            p *= v
        for j in range(len(x)):
            bar[j] += fit * kept[j]
    return bar


def two_carries(x: Any, t: Any) -> Any:
    """Each is computed from both and from the index; what is stored from both as well."""
    bar, kept = np.zeros(len(x)), np.empty(len(x))
    for v in t:
        total, p, q = 0.0, 1.0, v
        for j in range(1, len(x)):
            kept[j] = p - q
            p, q = p + q, p * j
            total += x[j] * q
        for j in range(1, len(x)):
            if x[j] > 0.5:
                bar[j] += total * kept[j]
        for j in range(1, len(x)):
            for k in range(2):
                bar[k] += kept[j] * (x[j] + k)
    return bar


def by_rows(x: Any, t: Any) -> Any:
    """A row of what is kept for each iteration, and two that are kept."""
    bar, kept, other = np.zeros(len(x)), np.empty((len(t), len(x))), np.empty((len(x), len(t)))
    for i in range(len(t)):
        total, p, q = 0.0, t[i], 2.0
        for j in range(len(x)):
            kept[i, j] = p
            other[j, i] = q
            p *= t[i]
            q -= p
            total += q * x[j]
        for j in range(len(x)):
            bar[j] += total * kept[i, j] + other[j, i]
    return bar


def backwards(x: Any, t: Any) -> Any:
    bar, kept = np.zeros(len(x)), np.empty(len(x))
    for v in t:
        p = 1.0
        for j in range(len(x)):
            kept[j] = p
            p *= v
        carried = 0.0
        for j in range(len(x) - 1, -1, -1):
            carried += kept[j]
            bar[j] += carried
    return bar


def other_bounds(x: Any, t: Any) -> Any:
    bar, kept = np.zeros(len(x)), np.empty(len(x))
    for v in t:
        total, p = 0.0, 1.0
        for j in range(len(x)):
            kept[j] = p
            p *= v
            total += p
        for j in range(1, len(x)):
            bar[j] += total * kept[j]
    return bar


def the_one_before(x: Any, t: Any) -> Any:
    bar, kept = np.zeros(len(x)), np.ones(len(x) + 1)
    for v in t:
        total, p = 0.0, 1.0
        for j in range(len(x)):
            kept[j + 1] = p
            p *= v
            total += p
        for j in range(len(x)):
            bar[j] += total * kept[j]
    return bar


def read_after_all(x: Any, t: Any) -> Any:
    bar, kept = np.zeros(len(x)), np.empty(len(x))
    for v in t:
        total, p = 0.0, 1.0
        for j in range(len(x)):
            kept[j] = p
            p *= v
            total += p
        for j in range(len(x)):
            bar[j] += total * kept[j]
    return bar + kept[3]


def from_memory(x: Any, t: Any) -> Any:
    bar, kept = np.zeros(len(x)), np.empty(len(x))
    for v in t:
        total, p = 0.0, 1.0
        for j in range(len(x)):
            kept[j] = p
            p *= v + bar[j]
            total += p
        for j in range(len(x)):
            bar[j] += total * kept[j]
    return bar


def much_work(x: Any, t: Any) -> Any:
    bar, kept = np.zeros(len(x)), np.empty(len(x))
    for v in t:
        total, p = 0.0, 1.0
        for j in range(len(x)):
            kept[j] = p
            p = ((p * v + 1.0) * v - p) * v + p * p
            total += p
        for j in range(len(x)):
            bar[j] += total * kept[j]
    return bar


def sometimes(x: Any, t: Any) -> Any:
    bar, kept = np.zeros(len(x)), np.empty(len(x))
    for v in t:
        total, p = 0.0, 1.0
        for j in range(len(x)):
            if x[j] > 0.5 or v < -0.8:
                kept[j] = p
            p *= v
            total += p
        for j in range(len(x)):
            bar[j] += total * kept[j]
    return bar


def compared(f: Any) -> tuple[Function, Function]:
    program = program_of(f, [X, T])
    made, _ = recurring(program, [n for n in program.body if isinstance(n, For)])
    expected, found = (evaluate(check(p), fresh([X, T])) for p in (program, made))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[0], f(X, T), rtol=1e-12)
    return program, made


def stores(function: Function) -> int:
    return sum(isinstance(n, Store) for n in nodes_of(function.body))


@pytest.mark.parametrize(("f", "gone"), [(powers, 1), (two_carries, 1), (by_rows, 2)])
def test_what_was_kept_is_carried_again(f: Any, gone: int) -> None:
    program, made = compared(f)
    assert stores(program) - stores(made) == gone


@pytest.mark.parametrize(
    "f", [backwards, other_bounds, the_one_before, read_after_all, from_memory, much_work, sometimes]
)
def test_what_stays_kept(f: Any) -> None:
    program, made = compared(f)
    assert made is program


def test_loops_are_told_what_they_were() -> None:
    program = program_of(powers, [X, T])
    made, former = recurring(program, [n for n in program.body if isinstance(n, For)])
    assert {former[n] for n in nodes_of(made.body) if isinstance(n, For)} == {
        n for n in nodes_of(program.body) if isinstance(n, For)
    }
    assert recurring(program, []) == (program, {})
