"""Loops in branches that become branches in loops: where they do, and that they compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import For, Function, If
from chainrule.ir.walk import nodes_of
from chainrule.transforms.interchange import interchanged
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify
from chainrule.transforms.sink import sunk
from tests.programs import PROGRAMS
from tests.test_native_programs import REFUSED
from tests.transforms.differences import fresh
from tests.transforms.reading import program_of
from tests.transforms.test_interchange import gradient

_RNG = np.random.default_rng(5)


def clusters(points: Any, centres: Any) -> Any:
    total = 0.0
    for i in range(len(points)):
        nearest = np.inf
        for k in range(len(centres)):
            distance = 0.0
            for j in range(points.shape[1]):
                distance += (points[i, j] - centres[k, j]) ** 2
            if distance < nearest:
                nearest = distance
        total += nearest
    return total


def handed_over(a: Any) -> Any:
    """What a stretch of statements computes is read in the loop behind it, and after the branch."""
    y, total = np.zeros(a.shape), 0.0
    for i in range(len(a)):
        scale = 1.0
        if a[i, 0] > 0.0:
            scale = a[i, 1] * 2.0
            at = i + 1 if i < 2 else 0
            y[i, 0] = scale + at
            for j in range(1, a.shape[1]):
                y[i, j] = a[at, j] * scale
            y[i, 1] += scale
        total += scale
    return np.sum(y * y) + total


def both_sides(a: Any) -> Any:
    y = np.zeros(a.shape)
    for i in range(len(a)):
        if a[i, 0] > 0.0:
            for j in range(a.shape[1]):
                for k in range(j):
                    y[i, k] += a[i, j] * 2.0
        else:
            for j in range(a.shape[1]):
                y[i, j] -= a[i, j] ** 2
    return np.sum(y * a)


def own_bounds(a: Any) -> Any:
    """The bounds of the loop hang on the branch."""
    y = np.zeros(a.shape)
    for i in range(len(a)):
        if a[i, 0] > 0.0:
            n = int(a[i, 1] * a[i, 1]) % 3
            for j in range(n):
                y[i, j] = a[i, j] * 3.0
    return np.sum(y * y)


def carried(a: Any) -> Any:
    total = 0.0
    for i in range(len(a)):
        if a[i, 0] > 0.0:
            s = 1.0
            for j in range(a.shape[1]):
                s *= a[i, j]
            total += s
    return total


A = _RNG.normal(size=(7, 4))
CASES = [(handed_over, (A,), True), (both_sides, (A,), True), (own_bounds, (A,), False), (carried, (A,), False)]


def loops_in_branches(function: Function) -> int:
    branches = [n for n in nodes_of(function.body) if isinstance(n, If)]
    return sum(isinstance(n, For) for b in branches for n in nodes_of(b.then, b.orelse))


def agrees(function: Function, made: Function, args: Any) -> None:
    for x, y in zip(evaluate(function, fresh(args)), evaluate(check(made), fresh(args)), strict=True):
        np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize(("function", "args", "divided"), CASES, ids=[f.__name__ for f, *_ in CASES])
def test_cases(function: Any, args: Any, divided: bool) -> None:
    program = program_of(function, args)
    made, former = sunk(program, lambda loop: True)
    assert loops_in_branches(program) > 0
    assert (loops_in_branches(made) == 0) == bool(former) == divided
    assert set(former.values()) <= set(nodes_of(program.body))
    agrees(program, made, args)


def test_only_in_loops_that_are_wanted() -> None:
    program = program_of(both_sides, (A,))
    assert sunk(program, lambda loop: False) == (program, {})


@pytest.mark.parametrize("strip", [1, 3, 256])
def test_the_way_back_runs_side_by_side(strip: int) -> None:
    """The gradient of k-means carries nothing back to centres that were not the nearest."""
    args = _RNG.normal(size=(9, 3)), _RNG.normal(size=(4, 3))
    program = program_of(clusters, args)
    function, given = simplify(vjp(program, [False, True])), (*args, 1.0)
    made = check(interchanged(function, strip, many=1))
    assert made is not function
    for x, y in zip(evaluate(function, fresh(given)), evaluate(made, fresh(given)), strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-12, atol=1e-13)


def test_the_programs_of_the_zoo() -> None:
    found = 0
    for p in PROGRAMS:
        args = p.inputs()
        if p.name in REFUSED or not all(type(x) in (float, int, np.ndarray) for x in args):
            continue
        program = program_of(p.function, args)
        if len(program.params) != len(args):  # it reads arrays of the enclosing program
            continue
        for function, given in ((program, args), gradient(program, args)):
            made, former = sunk(function, lambda loop: True)
            if former:
                found += 1
                agrees(function, made, given)
    assert found > 3
