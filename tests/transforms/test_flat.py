"""Tables that grow as one row: which ones, and that the programs compute what they did."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, Function
from chainrule.ir.walk import growing, nodes_of
from chainrule.transforms.activity import is_float
from chainrule.transforms.flat import flattened
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify
from tests.transforms.differences import fresh
from tests.transforms.reading import program_of


def triangular(x: Any) -> Any:
    u = x.copy()
    for k in range(len(x)):
        for j in range(k):
            for i in range(x.shape[1]):
                u[k, i] = np.sin(u[k, i]) * u[j, i]
    return np.sum(u)


def until(x: Any) -> Any:
    u = x.copy()
    while np.sum(u * u) > 1.0:
        for j in range(x.shape[0]):
            for i in range(x.shape[1]):
                u[j, i] = np.sin(0.9 * u[j, i])
    return np.sum(u)


def with_rows_of_its_own(x: Any) -> Any:
    """The rows are viewed, and what is in them counted from their end."""
    s = 0.0
    while s < 9.0:
        v = np.exp(x[0] + 0.1 * s)
        for i in range(x.shape[1]):
            v[-1 - i] = np.sin(v[-1 - i]) * v[0]
        s += np.sum(v * v) + 1.0
    return s


def tables(function: Function) -> list[Alloc]:
    grown = growing(function)
    return [n for n in nodes_of(function.body) if isinstance(n, Alloc) and n.out in grown and len(n.shape) > 1]


@pytest.mark.parametrize("shape", [(4, 3), (2, 1), (1, 4), (3, 0), (0, 2)])
@pytest.mark.parametrize("function", [triangular, until])
def test_tables_are_flat(function: Any, shape: tuple[int, int]) -> None:
    x = np.random.default_rng(2).normal(size=shape)
    primal = program_of(function, (x,))
    made = simplify(vjp(primal, [is_float(p) for p in primal.params]))
    flat = check(flattened(made))
    assert tables(made)
    assert not tables(flat)
    expected, found = (evaluate(f, fresh((x, 1.0))) for f in (made, flat))
    np.testing.assert_array_equal(found[0], expected[0])


def test_the_others_stay() -> None:
    x = np.array([[0.2, 0.1, -0.3]])
    primal = program_of(with_rows_of_its_own, (x,))
    made = simplify(vjp(primal, [is_float(p) for p in primal.params]))
    flat = check(flattened(made))
    expected, found = (evaluate(f, fresh((x, 1.0))) for f in (made, flat))
    np.testing.assert_array_equal(found[0], expected[0])
