"""Shadows that are known to be zero: what becomes of their statements, and random stencils against differences."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule.ir.nodes import Alloc, Const, Function, Incr, Store
from chainrule.ir.walk import nodes_of
from chainrule.transforms.activity import is_float
from chainrule.transforms.reverse import vjp
from tests.transforms.differences import check_vjp
from tests.transforms.reading import program_of

_X = np.array([0.7, -0.4, 1.1, 0.9, -1.3])


def filled(x: Any) -> Any:
    y = np.zeros(len(x))
    for i in range(len(x)):
        y[i] = 2.0 * x[i]
    s = 0.0
    for i in range(len(x)):
        s += y[i] * y[i]
    return s


def shifted(x: Any) -> Any:
    y = np.zeros(len(x))
    z = np.zeros(len(x))
    for _ in range(3):
        for i in range(1, len(x)):
            z[i] = x[i] * y[i - 1]
        z[0] = x[0]
        for i in range(len(x)):
            y[i] += 0.5 * z[i]
    return y[len(x) - 1]


def partly_stored(x: Any) -> Any:
    y = np.zeros(len(x))
    for k in range(3):
        for i in range(1 + k, len(x)):  # what an earlier round stored at 1 is still there
            y[i] = x[i] * x[i] * (1 + k)
    s = 0.0
    for i in range(len(x)):
        s += y[i] * y[i]
    return s


def in_a_branch(x: Any) -> Any:
    y = np.zeros(len(x))
    s = 0.0
    for k in range(3):
        if x[k] > 0:
            for i in range(len(x)):
                y[i] = x[i] * (1 + k)
        for i in range(len(x)):
            s += y[i] * y[i]
    return s


def gathered(x: Any) -> Any:
    y = np.zeros(len(x))
    for i in range(len(x)):
        y[i] = 3.0 * x[i]
    s = 0.0
    for i in range(len(x)):
        s += y[i // 2] * y[i]
    return s


def table(x: Any) -> Any:
    n = len(x)
    y = np.zeros((n, n))
    s = 0.0
    for _ in range(2):
        for i in range(n):
            for j in range(n):
                y[i, j] = x[i] * x[j] + 0.5 * y[i, j]
        for i in range(n):
            for j in range(n - 1):
                s += y[i, j] * y[i, j + 1]
    return s


PROGRAMS = [filled, shifted, partly_stored, in_a_branch, gathered, table]


def gradient(function: Callable[..., Any]) -> Function:
    primal = program_of(function, (_X,))
    return vjp(primal, [is_float(p) for p in primal.params])


def counts(made: Function) -> tuple[int, int, int]:
    """The arrays made as zeros, the additions, and the clearings of the reverse sweep."""
    nodes = list(nodes_of(made.body))
    shadows = [n.out for n in nodes if isinstance(n, Alloc) and n.out.hint.endswith("_bar")]
    zeros = sum(isinstance(n, Alloc) and n.out in shadows and n.fill is not None for n in nodes)
    added = sum(isinstance(n, Incr) and n.array in shadows for n in nodes)
    cleared = sum(
        isinstance(n, Store) and n.array in shadows and isinstance(n.value, Const) and n.value.value == 0 for n in nodes
    )
    return zeros, added, cleared


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
def test_derivatives(function: Callable[..., Any]) -> None:
    made, args = check_vjp(program_of(function, (_X,)), (_X,))
    check_vjp(made, args)


def test_what_is_added_to_zeros_is_stored() -> None:
    assert counts(gradient(filled)) == (0, 0, 0)


def test_what_is_stored_anew_is_not_cleared() -> None:
    zeros, added, cleared = counts(gradient(shifted))
    assert cleared == 0
    assert zeros <= 2  # of the result, which the loops add to, and of y, which starts with one cell
    assert added <= 4


def test_what_may_be_read_is_cleared() -> None:
    assert counts(gradient(partly_stored))[2] > 0
    assert counts(gradient(in_a_branch))[2] > 0


def test_cells_that_several_iterations_meet_are_added_to() -> None:
    assert counts(gradient(gathered))[1] > 0


def stencil(seed: int) -> str:
    """A program of sweeps over ranges that differ, in rounds and branches; every other array is a table."""
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c"]
    lines = ["def f(x):", "    n = len(x)"]
    lines += [f"    {v} = np.zeros(n)" for v in names]
    depth = 1

    def emit(text: str) -> None:
        lines.append("    " * depth + text)

    def sweep() -> None:
        nonlocal depth
        low, high = rng.integers(0, 3), rng.integers(0, 3)
        emit(
            f"for i in range({low}, n - {high}):"
            if rng.random() < 0.7
            else f"for i in range(n - 1 - {high}, {low} - 1, -1):"
        )
        depth += 1
        for _ in range(rng.integers(1, 3)):
            out, source = rng.choice(names), rng.choice([*names, "x", "x"])
            to, at = rng.integers(-low, high + 1), rng.integers(-low, high + 1)
            value = f"{rng.integers(1, 9) / 8} * {source}[i + {at}]" + ("" if rng.random() < 0.6 else " * x[i]")
            emit(f"{out}[i + {to}] {'+=' if rng.random() < 0.3 else '='} {value}")
        depth -= 1

    def statements(left: int) -> None:
        nonlocal depth
        for _ in range(left):
            kind = rng.random()
            if kind < 0.6 or depth > 3:
                sweep()
            elif kind < 0.75:
                emit(f"{rng.choice(names)}[{rng.integers(0, 3)}] {rng.choice(['=', '+='])} x[{rng.integers(0, 3)}]")
            elif kind < 0.9:
                emit(f"for t{depth} in range({rng.integers(0, 4)}):")
                depth += 1
                statements(2)
                depth -= 1
            else:
                emit(f"if x[{rng.integers(0, 3)}] > {rng.choice(['0.0', '2.0'])}:")
                depth += 1
                statements(1)
                depth -= 1

    statements(5)
    emit("s = 0.0")
    emit("for i in range(n):")
    lines.append("        s += " + " + ".join(f"{v}[i] * {v}[i]" for v in names))
    emit("return s")
    return "\n".join(lines) + "\n"


def function_of(text: str, name: str) -> Callable[..., Any]:
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space: dict[str, Any] = {"np": np}
    exec(compile(text, name, "exec"), space)
    made: Callable[..., Any] = space["f"]
    return made


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_random_stencils(first: int) -> None:
    for seed in range(first, first + 10):
        check_vjp(program_of(function_of(stencil(seed), f"<stencil {seed}>"), (_X,)), (_X,))
