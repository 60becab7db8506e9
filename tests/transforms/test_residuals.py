"""What a reverse sweep keeps, and that it keeps nothing else; which of its loops run forwards."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from chainrule.ir.build import integer
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, Array, Copy, For, Function, Let, Reserve
from chainrule.ir.walk import nodes_of
from chainrule.transforms.activity import is_float
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify
from tests.ir.programs import PROGRAMS
from tests.transforms.differences import check_vjp
from tests.transforms.reading import program_of
from tests.transforms.zoo import ZOO


def gradient(function: Function) -> Function:
    return vjp(function, [is_float(p) for p in function.params])


def total_of_exponentials(x: Any) -> Any:
    s = 0.0
    for i in range(len(x)):
        s += math.exp(x[i])
    return s


def weighted(x: Any, w: Any) -> Any:
    s = 0.0
    for i in range(len(x)):
        s += 2.0 * x[i] * w[i] - x[i]
    return s


def linear(x: Any) -> Any:
    s = 0.0
    for i in range(len(x)):
        t = 3.0 * x[i] + s
        s = t - x[0]
    return s


def stored(x: Any) -> Any:
    y = np.zeros(len(x))
    for i in range(len(x)):
        y[i] = math.exp(x[i])
    return y


def recurrence(x: Any, n: int) -> Any:
    h = np.zeros((n + 1, len(x)))
    for t in range(n):
        for i in range(len(x)):
            h[t + 1, i] = h[t, i] * x[i] + h[t, i - 1] * h[t, i]
    return h


def triangle(x: Any) -> Any:
    s = 0.0
    for i in range(len(x)):
        for j in range(i + 1):
            s += math.exp(x[i] * x[j])
    return s


def chosen_rows(x: Any, k: Any) -> Any:
    s = 0.0
    for i in range(len(k)):
        row = k[i] + 1
        for j in range(x.shape[1]):
            s += x[row, j] * x[row - 1, j] * j
    return s


def counting(x: Any) -> Any:
    s = 0.0
    at = 3
    for i in range(len(x)):
        for j in range(2):
            s += x[at % 4] * x[i] * j
            at += 2
    return s


_x = np.array([0.3, -0.8, 1.2, 0.5])
_matrix = np.arange(12.0).reshape(4, 3) / 7
KEPT: list[tuple[Any, tuple[Any, ...], list[tuple[str, int]]]] = [
    (total_of_exponentials, (_x,), [("float64", 1)]),
    (weighted, (_x, _x + 1), []),
    (linear, (_x,), []),
    (stored, (_x,), []),
    (recurrence, (_x, 3), []),
    (chosen_rows, (_matrix, np.array([2, 0, 1])), []),
    (ZOO["csr"][0], ZOO["csr"][1], [("float64", 1)]),  # the array of the program, of which nothing else is left
    (ZOO["swapped"][0], ZOO["swapped"][1], [("float64", 1)] * 3),  # two values, and the sine of one
    (ZOO["reload_and_restore"][0], ZOO["reload_and_restore"][1], [("float64", 1)]),
    (ZOO["relaxation"][0], ZOO["relaxation"][1], [("float64", 3)]),
]


def residuals(function: Function) -> Iterator[Alloc]:
    for node in nodes_of(function.body):
        if isinstance(node, Alloc) and "_kept" in node.out.hint:
            yield node


@pytest.mark.parametrize(("function", "args", "expected"), KEPT, ids=[f.__name__ for f, _, _ in KEPT])
def test_nothing_is_kept_that_no_partial_needs(function: Any, args: Any, expected: list[tuple[str, int]]) -> None:
    program = program_of(function, args)
    made, _ = check_vjp(program, args)
    assert [(n.out.type.dtype, n.out.type.ndim) for n in residuals(made)] == expected  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["straight", "branches", "selections", "decisions", "complex_numbers"])
def test_straight_code_keeps_nothing_in_memory(name: str) -> None:
    assert not any(isinstance(n, Alloc) for n in nodes_of(gradient(PROGRAMS[name].function).body))


def test_counters_in_memory_are_none() -> None:
    made, _ = check_vjp(program_of(counting, (_x,)), (_x,))
    assert not any(n.out.type.dtype == "int64" for n in residuals(made))


def test_triangular_nests_keep_no_bounding_box() -> None:
    made = gradient(program_of(triangle, (_x,)))
    (residual,) = residuals(made)
    sizes: list[int] = []

    def probe(node: Any, values: Any) -> None:
        if isinstance(node, Let) and node.out in reserved:
            sizes.append(values[0])

    reserved = {n.size for n in nodes_of(made.body) if isinstance(n, Reserve)}
    evaluate(made, [_x.copy(), 1.0], probe)
    assert residual.out.type == Array("float64", 1)
    assert max(sizes) == 10


def test_loops_that_may_run_forwards_do() -> None:
    made = simplify(gradient(program_of(weighted, (_x, _x))))
    loops = [n for n in nodes_of(made.body) if isinstance(n, For)]
    assert [n.step for n in loops] == [integer(1)] * 2
    backwards = simplify(gradient(program_of(ZOO["swapped"][0], ZOO["swapped"][1])))
    assert [n.step for n in nodes_of(backwards.body) if isinstance(n, For)] == [integer(1), integer(-1)]


def test_the_first_cotangent_of_an_array_is_assigned() -> None:
    made = gradient(program_of(stored, (_x,)))
    assert sum(isinstance(n, Copy) for n in nodes_of(made.body)) == 1
    assert sum(isinstance(n, Alloc) for n in nodes_of(made.body)) == 2  # y and the result
