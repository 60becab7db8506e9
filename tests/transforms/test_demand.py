"""Reverse mode on random programs: every answer is that of differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Function
from chainrule.transforms.simplify import simplify
from tests.transforms.differences import check_jvp, check_vjp, fresh
from tests.transforms.random_programs import random_program

BLOCKS = range(10)


def programs(start: int, stop: int, size: int) -> list[tuple[Function, list[Any]]]:
    """Random programs whose results are moderate, so that differences can be trusted."""
    found = []
    for seed in range(start, stop):
        function, args = random_program(seed, size)
        results = evaluate(check(function), fresh(args))
        if all(np.all(np.abs(r) < 100) for r in results):
            found.append((function, args))
    assert len(found) > (stop - start) / 2
    return found


@pytest.mark.parametrize("block", BLOCKS)
def test_first_order(block: int) -> None:
    for function, args in programs(16 * block, 16 * (block + 1), 14):
        check_vjp(function, args)


@pytest.mark.parametrize("block", BLOCKS)
def test_simplified(block: int) -> None:
    for function, args in programs(1000 + 4 * block, 1000 + 4 * (block + 1), 16):
        made, more = check_vjp(simplify(function), args)
        before, after = (evaluate(f, fresh(more)) for f in (made, simplify(made)))
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("block", BLOCKS)
def test_second_order(block: int) -> None:
    for function, args in programs(2000 + 3 * block, 2000 + 3 * (block + 1), 11):
        made, more = check_vjp(function, args)
        check_vjp(made, more)
        check_jvp(made, more)
        check_vjp(*check_jvp(function, args))
