"""Arrays that are filled where they are kept: which ones, and that programs compute what they did."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, Function, Store
from chainrule.ir.walk import nodes_of
from chainrule.transforms.activity import is_float
from chainrule.transforms.contract import contracted
from chainrule.transforms.expand import expanded
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify
from tests.transforms.differences import fresh
from tests.transforms.random_sweeps import random_sweep, results_of
from tests.transforms.reading import program_of
from tests.transforms.sweeps import SWEEPS


def gradient(function: Any, args: Any) -> Function:
    program = program_of(function, args)
    return contracted(simplify(vjp(program, [is_float(p) for p in program.params])))


def stores(function: Function) -> int:
    return sum(isinstance(n, Store) for n in nodes_of(function.body))


def kept(function: Function) -> int:
    return sum(isinstance(n, Alloc) and n.kept for n in nodes_of(function.body))


@pytest.mark.parametrize(("function", "copies"), [case[:2] for case in SWEEPS], ids=[f.__name__ for f, *_ in SWEEPS])
@pytest.mark.parametrize("extent", [2, 3, 6])
def test_sweeps(function: Any, copies: int, extent: int) -> None:
    args = (np.random.default_rng(0).uniform(0.5, 1.5, extent), 3)
    before = gradient(function, args)
    made = check(expanded(before))
    assert stores(before) - stores(made) == copies
    assert kept(before) == kept(made)
    for x, y in zip(*(evaluate(f, [*fresh(args), 1.0]) for f in (before, made)), strict=True):
        np.testing.assert_array_equal(y, x)


def test_random_sweeps() -> None:
    found = 0
    for seed in range(500):
        function = check(random_sweep(seed))
        made = check(expanded(function))
        if made is not function:
            found += 1
            for extent in (2, 3, 7):
                np.testing.assert_array_equal(results_of(made, extent), results_of(function, extent))
    assert found > 5
