"""Operations counted by hand, on paper, against those of the report."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError
from chainrule.report.costs import count

A = np.arange(12.0).reshape(3, 4) / 10
S = np.eye(4) * 4 + np.ones((4, 4)) * 0.1
x4 = np.array([0.3, 0.5, 0.7, 0.9])


def sines(x):
    for _ in range(5):
        x = np.sin(x)
    return x


FUNCTIONS = [  # function, arguments, operations of the function
    (lambda x, y: x * y + np.exp(x * y) - np.sin(y), (1.5, 0.5), 6),
    (lambda x: np.sum(np.sin(x) * x), (x4,), 4 + 4 + 3),
    (lambda x: A @ x, (x4,), 3 * (4 + 3)),
    (lambda x: np.sum(A @ np.outer(x, x)), (x4,), 16 + 12 * 7 + 11),
    (lambda x: np.einsum("ij,j->i", A, x), (x4,), 12 + 12 - 3),
    (lambda x: np.max(x) + np.prod(x), (x4,), 3 + 3 + 1),
    (lambda x: x[::-1].reshape(2, 2).T.ravel()[0], (x4,), 0),
    (lambda x: np.concatenate([x, x])[2:5] * 2.0, (x4,), 3),
    (lambda x: np.linalg.solve(S, x), (x4,), round(2 * 64 / 3) + 2 * 4 * 4),
    (lambda x: np.linalg.inv(S * x), (x4,), 16 + 2 * 64),
    (lambda x: np.cumsum(x), (x4,), 4),
    (lambda x: np.where(x > 0.5, x, 2.0), (x4,), 4),  # four comparisons
    (lambda x: np.convolve(x, np.ones(3)), (x4,), 2 * 12 - 6),
    (lambda x: x.astype(np.float32), (x4,), 0),
    (sines, (0.5,), 5),
]


@pytest.mark.parametrize(("f", "args", "wanted"), FUNCTIONS)
def test_operations_of_functions(f, args, wanted) -> None:
    assert cr.costs(f, *args).function == wanted


DERIVATIVES = [  # function, arguments, function, forward, reverse: the tables of tutorials, added up
    # ẋy + xẏ twice: 6; v̇·exp: 1; cos and a product: 2; a sum and a difference: 3 with the minus
    (lambda x, y: x * y + np.exp(x * y) - np.sin(y), (1.5, 0.5), 6, 6 + 12, 6 + 11),
    (lambda x, y: x * y, (1.5, 0.5), 1, 1 + 3, 1 + 2),
    (np.sin, (0.5,), 1, 1 + 2, 1 + 2),
    (np.exp, (0.5,), 1, 1 + 1, 1 + 1),
    (lambda x: x + x, (0.5,), 1, 1 + 1, 1 + 1),
    (sines, (0.5,), 5, 5 + 10, 5 + 10),
    (lambda x: A @ x, (x4,), 21, 42, 21 + 4 * (3 + 2)),
]


@pytest.mark.parametrize(("f", "args", "function", "forward", "reverse"), DERIVATIVES)
def test_operations_of_derivatives(f, args, function, forward, reverse) -> None:
    found = cr.costs(f, *args)
    assert (found.function, found.forward, found.reverse) == (function, forward, reverse)


def test_jacobians_take_a_sweep_per_input_or_output() -> None:
    found = cr.costs(lambda x: A @ x, x4)
    assert (found.inputs, found.outputs, found.length) == (4, 3, 1)
    assert found.jacobian("forward") == 21 + 4 * 21
    assert found.jacobian("reverse") == 21 + 3 * 20


@pytest.mark.parametrize("n", [10, 100])
def test_a_gradient_costs_a_small_multiple_whatever_the_number_of_inputs(n: int) -> None:
    def f(x):
        total = 0.0
        for k in range(n - 1):
            total = total + 100 * (x[k + 1] - x[k] * x[k]) ** 2 + (1 - x[k]) ** 2
        return total

    found = cr.costs(f, np.linspace(0, 1, n))
    assert found.reverse / found.function < 5
    assert found.jacobian("forward") / found.function > n


def test_memory_is_that_of_the_residuals() -> None:
    def memory(steps: int) -> int:
        def f(x):
            for _ in range(steps):
                x = np.sin(x)
            return np.sum(x)

        return cr.costs(f, np.ones(10_000)).memory

    per_step = (memory(20) - memory(10)) / 10
    assert 80_000 <= per_step < 81_500  # one array of 80,000 bytes: the argument of each sine


def test_memory_is_measured_also_where_somebody_else_traces_allocations() -> None:
    tracemalloc.start()
    try:
        assert cr.costs(sines, np.ones(1000)).memory > 4 * 8000
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
    cr.costs(sines, 1.0)
    assert not tracemalloc.is_tracing()


def test_containers_results_of_several_parts_and_static_arguments() -> None:
    found = cr.costs(lambda p, name: (p["a"] * p["b"], {"c": np.exp(p["b"])}), {"a": 2.0, "b": x4}, "name")
    assert (found.inputs, found.outputs, found.function) == (5, 8, 8)
    assert found.by_primitive == {"multiply": 4, "exp": 4}


def test_the_text_is_a_table() -> None:
    lines = str(cr.costs(sines, 0.5)).splitlines()
    assert lines[0].startswith("sines: 1 input, 1 output, 5 primitives; the tape holds")
    assert lines[3].split() == ["function", "and", "one", "tangent", "(forward)", "15", "3.00"]


def test_counting_needs_a_point_of_real_numbers() -> None:
    with pytest.raises(ArgumentError, match="needs the arguments"):
        cr.costs(sines)
    with pytest.raises(ArgumentError, match="complex"):
        cr.costs(sines, 1j)
    with pytest.raises(ArgumentError, match="takes a function"):
        cr.costs(3.0, 1.0)


def test_counting_changes_no_argument() -> None:
    def f(x, out):
        out += 1.0
        x *= 2.0
        return np.sum(x * out)

    x, out = np.ones(3), np.zeros(3)
    assert cr.costs(f, x, out).function == 3 + 3 + 3 + 2
    np.testing.assert_array_equal(x, 1.0)
    np.testing.assert_array_equal(out, 0.0)


def test_a_count_is_by_primitive() -> None:
    found = count(lambda values: np.sin(values[0]) * values[0], [x4])
    assert dict(found.by_primitive) == {"sin": 4, "multiply": 4}
    assert (found.total, found.length) == (8, 2)


@pytest.mark.parametrize("n", [10, 40])
def test_loops_that_write_cost_as_much_as_they_do(n: int) -> None:
    def sweep(u):
        u = u.copy()
        for i in range(1, n - 1):
            u[i] = np.sin(u[i - 1]) + u[i + 1] * u[i] / 2
        return np.sum(u**2)

    found = cr.costs(sweep, np.linspace(0, 1, n))
    assert found.function == 4 * (n - 2) + n + n - 1
    assert found.reverse < 5 * found.function
