"""A level of recursions written out: what is computed stays, to the last bit, with fewer calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Array, Call, Function, Node
from chainrule.transforms.activity import is_float
from chainrule.transforms.levels import with_levels_inlined
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify
from tests.programs import PROGRAMS
from tests.transforms.differences import fresh
from tests.transforms.reading import program_of
from tests.transforms.test_ends import calls, fibonacci

RECURSIVE = [p for p in PROGRAMS if "recursion" in p.tags]


def outcome(function: Function, args: Any) -> tuple[int, list[Any]]:
    given, seen = fresh(args), list[Node]()
    results = evaluate(function, given, lambda node, values: seen.append(node))
    return sum(isinstance(n, Call) for n in seen), [*results, *given]


@pytest.mark.parametrize("p", RECURSIVE, ids=[p.name for p in RECURSIVE])
def test_programs_and_gradients_compute_the_same(p: Any) -> None:
    program = program_of(p.function, p.inputs())
    gradient = simplify(vjp(program, [is_float(v) for v in program.params]))
    cts = [
        np.ones((2,) * r.type.ndim, r.type.dtype) if isinstance(r.type, Array) else 1.0
        for r in program.results
        if is_float(r)
    ]
    for function, args in ((program, p.inputs()), (gradient, [*p.inputs(), *cts])):
        if any(isinstance(a, np.ndarray) for a in args[len(p.inputs()) :]):
            continue  # of which extents nobody has said anything
        made = check(with_levels_inlined(check(function)))
        (before, expected), (after, found) = outcome(function, args), outcome(made, args)
        for x, y in zip(expected, found, strict=True):
            np.testing.assert_array_equal(x, y)
        assert after <= before


def test_half_of_the_levels_are_no_calls() -> None:
    made = check(with_levels_inlined(check(fibonacci())))
    assert calls(fibonacci(), [10, 0.5]) == (176, (44.5,))
    assert calls(made, [10, 0.5]) == (88, (44.5,))


@pytest.mark.parametrize("options", [{"long": 130}, {"effect": True, "call": True, "long": 120}])
def test_what_is_long_stays(options: Any) -> None:
    function = fibonacci(**options)
    assert with_levels_inlined(function) is function


def binary(a: Any, i: Any, n: Any) -> Any:
    if i >= n:
        return 1.0
    return a[i] * binary(a, 2 * i + 1, n) + np.exp(-a[i]) * binary(a, 2 * i + 2, n)


def falling(x: Any, n: Any) -> Any:
    if n < -5:
        raise ValueError(f"n is {n}")
    if x > 3.0:
        return x
    return np.sin(x) * falling(x, n - 1) + falling(x, n - 2)


def test_compiled_recursions() -> None:
    """Tapes grow in what is written out too, and what is raised comes through."""
    a = np.random.default_rng(0).uniform(0.1, 1.0, 300)
    gradient = cr.jit(cr.grad(binary))
    h = 1e-6
    for k in (0, 17, 150, 299):
        step = h * (np.arange(300) == k)
        change = (binary(a + step, 0, 300) - binary(a - step, 0, 300)) / (2 * h)
        np.testing.assert_allclose(gradient(a, 0, 300)[k], change, rtol=1e-6)
    assert cr.source(gradient, a, 0, 300, stage="compiled").count("binary_recording(") > 4
    with pytest.raises(ValueError, match="n is -6"):
        cr.jit(falling)(0.5, 3)
