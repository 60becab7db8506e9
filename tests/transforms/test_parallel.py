"""Loops divided among processors: which are, and that what they compute stays what it was."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Call, For, Function, Node
from chainrule.ir.walk import nodes_of
from chainrule.transforms.parallel import parallelised
from chainrule.transforms.simplify import simplify


def total(x):
    s = 0.0
    for i in range(len(x)):
        s += np.sin(x[i])
    return s


def shared(x, w):
    s = 0.0
    for i in range(x.shape[0]):
        t = 0.0
        for j in range(x.shape[1]):
            t += x[i, j] * w[j]
        s += np.log1p(np.exp(t))
    return s


def own_cells(x):
    y = np.empty(len(x))
    for i in range(len(x) - 1, -1, -1):
        y[i] = x[i] * x[i]
    return y


def histogram(x):
    bins = np.zeros(4)
    for i in range(len(x)):
        bins[i % 4] += x[i]
    return bins


def roots(x):
    out = np.empty(len(x))
    for i in range(len(x)):
        y = 1.0
        while abs(y * y - x[i]) > 1e-12:
            y = 0.5 * (y + x[i] / y)
        out[i] = y
    return out


def two_sums(x):
    s, n = 1.5, 0
    for i in range(len(x)):
        if x[i] > 0.3:
            s += x[i]
            n += 1
    return s * n


def prefix(x):
    y = np.zeros(len(x))
    for i in range(1, len(x)):
        y[i] = y[i - 1] + x[i]
    return y


def neighbours(x):
    for i in range(len(x) - 1):
        x[i] = x[i + 1] * 2.0


def raising(x):
    s = 0.0
    for i in range(len(x)):
        if x[i] > 1e9:
            raise ValueError("large")
        s += x[i]
    return s


def solving(x):
    y, b = np.empty(len(x)), np.ones(1)
    for i in range(len(x)):
        a = np.zeros((1, 1))
        a[0, 0] = x[i] - 0.05
        y[i] = np.linalg.solve(a, b)[0]
    return y


def halves(x, n):
    return x if n < 1 else np.sin(halves(0.9 * x, n - 1)) + halves(0.1 * x, n - 2)


def recursive(x):
    s = 0.0
    for i in range(len(x)):
        s += halves(x[i], 3)
    return s


def product(x):
    p = 1.0
    for i in range(len(x)):
        p *= x[i]
    return p


def watched(x):
    s, most = 0.0, 0.0
    for i in range(len(x)):
        s += x[i]
        most = max(most, s)
    return most


X = np.linspace(0.05, 1.7, 37)
ARGS: dict[Callable[..., Any], tuple[Any, ...]] = {shared: (np.outer(X, X[:3]), np.array([0.3, -0.2, 0.5]))}
DIVIDED = [total, shared, own_cells, histogram, roots, two_sums]
WHOLE = [prefix, neighbours, raising, solving, recursive, product, watched]


def program(f: Callable[..., Any], *args: Any) -> Function:
    return simplify(cr.jit(f).read(*args).function)


def parallel_loops(function: Function) -> int:
    return sum(isinstance(n, For) and n.parallel for n in nodes_of(function.body))


@pytest.fixture(autouse=True)
def _every_loop_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainrule.transforms.parallel._WORK", 1)


@pytest.mark.parametrize("f", DIVIDED)
@pytest.mark.parametrize("parts", [2, 5, 40])
def test_divided_loops_compute_the_same(f: Callable[..., Any], parts: int) -> None:
    args = ARGS.get(f, (X,))
    function = check(parallelised(program(f, *args), parts))
    assert parallel_loops(function) == 1
    (got,) = evaluate(function, list(args))
    np.testing.assert_allclose(got, f(*args), rtol=1e-13)


@pytest.mark.parametrize("f", WHOLE)
def test_loops_that_depend_on_their_order_stay(f: Callable[..., Any]) -> None:
    function = program(f, X)
    assert parallelised(function, 4) is function


def test_gradients_add_up_what_is_shared() -> None:
    x, w = ARGS[shared]
    function = check(parallelised(program(cr.grad(shared, argnums=(0, 1)), x, w), 3))
    assert parallel_loops(function) >= 1
    got = evaluate(function, [x, w])
    for mine, expected in zip(got, cr.grad(shared, argnums=(0, 1))(x, w), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-13)


def one_sided(x):
    """The first ones are changed by the others, and add to them on the way back."""
    v = x.copy()
    for i in range(4):
        s = 0.0
        for j in range(4, len(v)):
            s += np.sin(v[j] * v[i])
        v[i] = s
    return np.sum(v * v)


@pytest.mark.parametrize("derivative", [False, True])
def test_cells_of_one_array_on_two_sides(derivative: bool) -> None:
    f = cr.grad(one_sided) if derivative else one_sided
    function = check(parallelised(program(f, X), 3))
    nests = [n for n in nodes_of(function.body) if isinstance(n, For) and any(isinstance(m, For) for m in n.body)]
    assert (
        bool(nests) == derivative
    )  # where an array is added to, and other cells of it stored, the loop is not divided
    (got,) = evaluate(function, [X.copy()])
    np.testing.assert_allclose(got, f(X), rtol=1e-12)


def test_what_the_order_of_writes_decides_stays() -> None:
    def last(x):
        y = np.zeros(3)
        for i in range(len(x)):
            y[i % 3] = x[i]
        return y

    assert parallel_loops(parallelised(program(last, X), 4)) == 0


def test_a_loop_that_is_too_short_makes_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainrule.transforms.parallel._WORK", 10**6)
    function = parallelised(program(own_cells, X), 8)
    calls: list[Node] = []
    evaluate(function, [X], lambda node, values: calls.append(node) if isinstance(node, Call) else None)
    assert len(calls) == 1


def test_compiled() -> None:
    x, w = np.random.default_rng(0).normal(size=(4000, 3)), np.array([0.3, -0.2, 0.5])
    gradient = cr.grad(shared, argnums=(0, 1))
    several, one = cr.jit(gradient, parallel=True), cr.jit(gradient)
    assert "numba.prange" in cr.source(several, x, w, stage="compiled")
    assert "numba.prange" not in cr.source(one, x, w, stage="compiled")
    expected = one(x, w)
    first = several(x, w)
    for mine, other in zip(first, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12)
    for _ in range(5):  # always the same, however the threads are scheduled
        for mine, other in zip(several(x, w), first, strict=True):
            np.testing.assert_array_equal(mine, other)


def assigned_twice(a: Any) -> Any:
    z_1 = np.zeros(a.shape[1])
    for j in range(a.shape[1]):
        z = 0.0
        for i in range(a.shape[0]):
            z += a[i, j]
        z_1[j] = z
        z_1[j] += a[0, j] * z_1[j]
    return np.sum(z_1 * z_1)


def test_names_are_none_that_numba_makes() -> None:
    """It calls the second version of a variable that a parallel loop sees after the first, with a number."""
    a = np.random.default_rng(2).normal(size=(30, 40))
    several = cr.jit(assigned_twice, parallel=True)
    text = cr.source(several, a, stage="compiled")
    assert "numba.prange" in text
    caller = re.sub(r"#.*", "", text.partition("def loop")[0])
    assert not re.search(r"\b\w+_\d+\b", caller)
    assert several(a) == pytest.approx(assigned_twice(a), rel=1e-12)


def test_exceptions_reach_the_caller() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        cr.jit(solving, parallel=True)(X)  # the first matrix is singular


def test_batches_are_loops_over_rows() -> None:
    batched = cr.jit(cr.vmap(cr.grad(lambda v: np.sum(np.exp(v) * v))), parallel=True)
    rows = np.random.default_rng(1).normal(size=(3000, 4))
    assert "numba.prange" in cr.source(batched, rows, stage="compiled")
    np.testing.assert_allclose(batched(rows), np.exp(rows) * (rows + 1), rtol=1e-12)


def test_calls_from_several_threads() -> None:
    several = cr.jit(cr.grad(total), parallel=True)
    x = np.linspace(0.0, 1.0, 30_000)
    several(x)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(several, [x * k for k in range(12)]):
            assert found.shape == x.shape
