"""Loads that move out of branches: those of cells that exist, and no others; programs compute what they did."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import For, Function, If, Load
from chainrule.ir.walk import blocks, nodes_of
from chainrule.transforms.lift import lifted
from tests.transforms.differences import fresh
from tests.transforms.reading import program_of

X, W = np.linspace(-1.0, 1.0, 35).reshape(7, 5), np.linspace(0.5, 2.0, 15).reshape(3, 5)


def in_bounds(x: Any, w: Any) -> Any:
    total = 0.0
    for i in range(len(x)):
        for j in range(x.shape[1]):
            if x[i, 0] > 0.0:
                total += x[i, j] * i
            else:
                total -= x[i, j] + 2.0
    return total


def read_by_all(x: Any, w: Any) -> Any:
    """Nothing says that w has as many columns as x, but all of them were read, in the other order."""
    total = 0.0
    for i in range(len(x)):
        for k in range(len(w)):
            near = 0.0
            for j in range(x.shape[1]):
                near += x[i, j] * w[k, j]
            for j in range(x.shape[1] - 1, -1, -1):
                if near > 0.0:
                    total += w[k, j] * near
    return total


def out_of_bounds(x: Any, w: Any) -> Any:
    total = 0.0
    for i in range(len(x)):
        for j in range(x.shape[1]):
            if j + 1 < x.shape[1]:
                total += x[i, j + 1]
            if j < w.shape[1] and i < len(w):
                total += w[i, j]
    return total


def read_by_some(x: Any, w: Any) -> Any:
    """All rows of w are read, but of one column; or all cells, if a loop is entered."""
    total = 0.0
    for i in range(len(x)):
        for k in range(len(w)):
            total += w[k, 1] * x[i, 0]
        for _ in range(int(x[i, 1] > 5.0)):
            for j in range(x.shape[0]):
                total += w[0, j] * x[i, 0]
        for j in range(x.shape[0]):
            if j < w.shape[1]:
                total += w[0, j] * x[i, 1]
            if j < 0:
                total += w[2 - j, 1]
    return total


def written(x: Any, w: Any) -> Any:
    y = np.zeros(len(x))
    for i in range(len(x)):
        for j in range(x.shape[1]):
            if i > 1:
                y[i] += x[i, j]
                y[i - 1] = y[i] * 0.5
    return np.sum(y)


def added_up(x: Any, w: Any) -> Any:
    y = np.zeros(x.shape[1])
    for i in range(len(x)):
        for j in range(x.shape[1]):
            if i > 1:
                y[j] += x[i, j]
    return np.sum(y * y)


def found_in_the_branch(x: Any, w: Any) -> Any:
    total = 0.0
    for i in range(len(x)):
        for j in range(x.shape[1]):
            if x[i, 2] > 0.0:
                total += w[int(abs(x[i, 0])), j]
    return total


def moved(f: Any, x: Any = X, w: Any = W) -> int:
    """How many loads have left branches."""
    program = program_of(f, [x, w])
    made, former = lifted(program, [n for n in program.body if isinstance(n, For)])
    expected, found = (evaluate(check(p), fresh([x, w])) for p in (program, made))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[0], f(x, w), rtol=1e-12)
    if former:
        loops = [{n for n in nodes_of(p.body) if isinstance(n, For)} for p in (made, program)]
        assert [set(former), set(former.values())] == loops
    return in_branches(program) - in_branches(made)


def in_branches(function: Function) -> int:
    branches = [n for n in nodes_of(function.body) if isinstance(n, If)]
    return sum(isinstance(n, Load) for n in nodes_of(*(b for branch in branches for b in blocks(branch))))


@pytest.mark.parametrize(("f", "count"), [(in_bounds, 2), (read_by_all, 1), (added_up, 1)])
def test_what_exists_is_loaded_before_the_branch(f: Any, count: int) -> None:
    assert moved(f) == count


@pytest.mark.parametrize("f", [out_of_bounds, read_by_some, found_in_the_branch, written])
def test_what_may_not_exist_or_is_not_all_stays_in_the_branch(f: Any) -> None:
    assert moved(f) == 0


def test_nothing_is_read_in_loops_that_are_not_entered() -> None:
    assert moved(read_by_all, np.zeros((4, 0)), W[:, :0]) == 1
    assert moved(read_by_all, np.zeros((0, 5)), W) == 1
