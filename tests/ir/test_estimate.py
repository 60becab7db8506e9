"""Estimates from sizes against what the interpreter does: operations, allocated bytes, shapes of results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.ir.estimate import Estimate, estimate
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import AddInto, Alloc, Copy, Function, Incr, Let, Node, Op, While
from chainrule.ir.walk import nodes_of
from chainrule.native.arguments import size_of
from chainrule.transforms.simplify import simplify


def triangular(a):
    s = 0.0
    for i in range(len(a)):
        for j in range(i):
            s += a[i] * a[j]
    return s


def slices(a):
    b = a[1:-1:2] * 2.0
    c = np.zeros((len(b), 3))
    c[:, 1] = b
    return c.T[::-1].reshape(len(b) * 3)


def products(m, a):
    return m @ (m.T @ a)


def branch(a, n):
    out = np.empty(n)
    for i in range(n - 1, -1, -1):
        out[i] = a[i % len(a)] if n > 3 else 0.0
    return out


def of_known_length(a, n):
    total = np.zeros(2)
    for _ in range(2 * n + 1):
        total += np.sin(a[:2])
    return total


A, M = np.linspace(0.1, 1.0, 9), np.arange(12.0).reshape(4, 3)
CASES: list[tuple[Any, tuple[Any, ...]]] = [
    (triangular, (A,)), (slices, (A,)), (products, (M, np.ones(4))), (branch, (A, 7)), (branch, (A, 2)),
    (of_known_length, (A, 5)),
]  # fmt: skip


def program(f: Any, args: tuple[Any, ...]) -> Function:
    return simplify(cr.jit(f).read(*args).function)


def counted(function: Function, args: tuple[Any, ...]) -> tuple[int, list[Any]]:
    """The operations that the interpreter makes, and its results."""
    found = 0

    def probe(node: Node, values: tuple[Any, ...]) -> None:
        nonlocal found
        match node:
            case Let(op=op):
                found += op != "cast"
            case Incr():
                found += 1
            case AddInto(array=array):
                raise AssertionError(array)

    results = evaluate(function, [a.copy() if isinstance(a, np.ndarray) else a for a in args], probe)
    return found, [r.shape if isinstance(r, np.ndarray) else () for r in results]


@pytest.mark.parametrize(("f", "args"), CASES)
def test_operations_and_shapes(f: Any, args: tuple[Any, ...]) -> None:
    function = program(f, args)
    found = estimate(function, [size_of(a) for a in args])
    operations, shapes = counted(function, args)
    whole = sum(1 for n in nodes_of(function.body) if isinstance(n, Op))
    assert found.operations == pytest.approx(operations) or whole
    assert [r if isinstance(r, tuple) else () for r in found.results] == shapes
    assert not found.unknown


def test_products_count_their_terms() -> None:
    found = estimate(program(products, (M, np.ones(4))), [(4, 3), (4,)])
    assert 2 * (2 * 12) <= found.operations <= 2 * (2 * 12) + 20


def test_bytes_are_those_of_the_arrays() -> None:
    function = program(branch, (A, 7))
    made = [n for n in nodes_of(function.body) if isinstance(n, (Alloc, Copy))]
    found = estimate(function, [(9,), 100])
    assert found.bytes == 800
    assert [node for node, _ in found.arrays] == made


def test_what_is_not_known_is_listed() -> None:
    def newton(x):
        y = x
        while abs(y * y - x) > 1e-9:
            y = (y + x / y) / 2
        return y

    function = program(newton, (2.0,))
    found: Estimate = estimate(function, [2.0])
    assert list(found.unknown.values()) == ["how often the loop runs"]
    assert any(isinstance(n, While) for n in nodes_of(function.body))


def test_recursion_ends() -> None:
    def tree(x, n):
        return x if n == 0 else np.sin(tree(x, n - 1)) + tree(x * 0.5, n - 1)

    found = estimate(program(tree, (0.3, 9)), [0.3, 9])
    assert any("calls itself" in text for text in found.unknown.values())
