"""Recursion in reverse: derivatives of any order, at a cost that does not depend on the depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Call, Function, Reserve
from chainrule.ir.walk import nodes_of
from chainrule.transforms.activity import called_by, is_float
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify
from tests.programs import PROGRAMS, calls, recursions
from tests.transforms.differences import check_jvp, check_vjp, fresh
from tests.transforms.reading import program_of

RECURSIVE = [p for p in PROGRAMS if "recursion" in p.tags and "linear" not in p.tags and p.order == 2]
V = np.linspace(0.3, 0.9, 4)


def gradient(function: Function) -> Function:
    return simplify(vjp(function, [is_float(p) for p in function.params]))


@pytest.mark.parametrize("p", RECURSIVE, ids=[p.name for p in RECURSIVE])
def test_first_and_second_order(p: Any) -> None:
    function = program_of(p.function, p.inputs())
    made, args = check_vjp(function, p.inputs())
    made = simplify(made)
    check_jvp(made, args)
    check_vjp(made, args)
    made, args = check_jvp(function, p.inputs())
    check_vjp(simplify(made), args)


THIRD = ["recursion_of_arrays", "determinant_by_minors", "quicksort", "two_functions_of_both"]


@pytest.mark.parametrize("p", [p for p in RECURSIVE if p.name in THIRD], ids=lambda p: p.name)
def test_third_order(p: Any) -> None:
    function, args = program_of(p.function, p.inputs()), p.inputs()
    for _ in range(2):
        function, args = check_vjp(function, args)
        function = simplify(function)
    check_vjp(function, args)


def modulus(a: float, b: float) -> float:
    z = complicated(a + 1j * b, 3)
    return (z * z.conjugate()).real


def complicated(z: Any, n: int) -> Any:
    if n == 0:
        return z * z
    return complicated(z * 0.5, n - 1) * z + complicated(z, n - 1)


def test_complex_numbers() -> None:
    made, args = check_vjp(program_of(modulus, (0.3, 0.4)), (0.3, 0.4))
    check_vjp(simplify(made), args)


def limited(x: Any, n: int) -> Any:
    if n > 4:
        raise ValueError("too deep")
    if n == 0:
        return x * x
    return limited(x * 0.9, n - 1) * limited(x, n - 1)


def test_what_a_recursion_raises() -> None:
    made, args = check_vjp(program_of(limited, (0.3, 3)), (0.3, 3))
    with pytest.raises(ValueError, match="too deep"):
        evaluate(made, [0.3, 5, 1.0])


# -- cost ---------------------------------------------------------------------------------------------


def operations(function: Function, args: Sequence[Any]) -> int:
    count = 0

    def probe(node: Any, values: Any) -> None:
        nonlocal count
        count += 1

    evaluate(function, fresh(args), probe)
    return count


GROWING: dict[str, tuple[Any, list[Any]]] = {
    "double": (calls.double_recursion, [(0.3, n) for n in (5, 12)]),
    "minors": (calls.determinant_by_minors, [(np.eye(3) + 0.1,)]),
    "halves": (calls.divide_and_conquer, [(np.full(n, 0.3),) for n in (4, 256)]),
    "loops": (recursions.recursion_with_loops, [(np.full(n, 0.3), 0.5) for n in (8, 256)]),
    "arrays": (recursions.recursion_of_arrays, [(np.full(n, 0.3),) for n in (4, 64)]),
}


@pytest.mark.parametrize("name", GROWING)
def test_a_gradient_costs_a_few_times_the_function(name: str) -> None:
    function, sizes = GROWING[name]
    program = program_of(function, sizes[0])
    made = gradient(program)
    ratios = [operations(made, [*args, 1.0]) / operations(program, args) for args in sizes]
    assert max(ratios) < 4.5
    assert ratios[-1] < 1.2 * ratios[0]


def test_nothing_is_kept_where_nothing_is_needed() -> None:
    def linear(x: Any, n: int) -> Any:
        return halved(x, n)

    made = gradient(program_of(linear, (0.3, 4)))
    assert not any(isinstance(n, Reserve) for f in called_by(made) for n in nodes_of(f.body))
    assert any(isinstance(n, Call) for n in nodes_of(made.body))


def halved(x: Any, n: int) -> Any:
    if n == 0:
        return x
    return 0.5 * halved(x, n - 1) + 2.0 * halved(x, n - 1)
