"""Cells that one iteration leaves to the next: which loops carry them, and random loops, to the last bit."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, For, Function, Incr, Load, Store
from chainrule.ir.walk import nodes_of
from chainrule.transforms.reverse import vjp
from chainrule.transforms.roll import rolled
from chainrule.transforms.simplify import simplify
from tests.transforms.reading import program_of

ROLLED = {
    "a recurrence": "for i in range(1, n):\n    x[i] = 0.5 * x[i - 1] + y[i]",
    "backwards": "for i in range(n - 2, -1, -1):\n    x[i] += 0.5 * x[i + 1]",
    "two before": "for i in range(2, n):\n    x[i] = x[i - 1] * x[i - 2] + y[i]",
    "not the next": "for i in range(2, n):\n    x[i] = x[i - 2] + y[i]",
    "handed on": "for i in range(n - 2, 0, -1):\n    a = x[i]\n    x[i] = 0.0\n"
    "    x[i + 1] += a * y[i]\n    x[i - 1] += 2 * a",
    "a branch": "for i in range(1, n):\n    if y[i] > 0:\n        x[i - 1] += 1.0\n    x[i] = x[i - 1] * y[i]",
    "rows": "for k in range(1, 4):\n    for i in range(1, n - 1):\n"
    "        z[k, i] = z[k - 1, i] + z[k, i - 1] * z[k, i + 1] + z[k + 1, i]",
    "two at once": "for i in range(1, n):\n    x[i] = x[i - 1] + y[i - 1]\n    y[i] = x[i] * y[i - 1]",
    "a view": "v = x[1:]\nfor i in range(1, n - 1):\n    v[i] = x[i - 1] + y[i]",
    "columns": "for k in range(n):\n    for i in range(1, 5):\n        z[i, k] += z[i - 1, k]",
}
LEFT = {
    "no recurrence": "for i in range(n - 1):\n    x[i] = x[i] * x[i + 1]",
    "only added to": "for i in range(1, n):\n    x[i] += y[i]\n    x[i - 1] += y[i] * y[i]",
    "far": "for i in range(5, n):\n    x[i] = x[i - 5] + y[i]",
    "from the end": "for i in range(n):\n    x[i] = x[i - 1] + y[i]",
    "in a branch": "for i in range(1, n):\n    if y[i] > 0:\n        x[i] = x[i - 1] + y[i]",
    "elsewhere too": "for i in range(1, n):\n    x[i] = x[i - 1] + y[i]\n    x[n - 1 - i] = 0.25",
    "steps": "for i in range(1, n, 2):\n    x[i] = x[i - 1] + y[i]",
    "other rows that move": "for i in range(1, 5):\n    z[i, 1] = z[i - 1, 1] + z[1, i]",
    "perhaps the same row": "j = int(y[0] < 9)\nfor i in range(1, n):\n    z[1, i] = z[1, i - 1] + z[j, i]",
    "by two names": "v = z.reshape(5 * n)\nfor i in range(1, 5):\n    z[1, i] = z[1, i - 1] + v[i]",
    "fails": "for i in range(1, n):\n    if y[i] > 9:\n        raise ValueError('y')\n    x[i] = x[i - 1] + y[i]",
}


def program(body: str, n: int = 6) -> tuple[Function, tuple[Any, ...]]:
    lines = ["def f(x, y, z):", "    n = len(x)", *(f"    {line}" for line in body.splitlines())]
    text, space = "\n".join([*lines, "    return x[0] + z[0, 0]", ""]), {"np": np}
    name = f"<rolled {hash(text)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), space)
    made: Callable[..., Any] = space["f"]
    return program_of(made, arguments(6)), arguments(n)


def arguments(n: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(n)
    return rng.normal(size=n), rng.normal(size=n), rng.normal(size=(5, max(n, 1)))


def carried(function: Function) -> int:
    return sum(len(n.carries) for n in nodes_of(function.body) if isinstance(n, For))


def same(function: Function, made: Function, args: tuple[Any, ...]) -> None:
    outcomes = []
    for f in (function, check(made)):
        mine = [a.copy() for a in args]
        outcomes.append([*evaluate(f, list(mine)), *mine])
    for a, b in zip(*outcomes, strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.mark.parametrize("name", ROLLED)
def test_what_is_carried(name: str) -> None:
    for n in (6, 5, 4, 3, 2, 1):
        if n > 4 or name != "columns":
            function, args = program(ROLLED[name], n)
            made = rolled(function)
            assert carried(made) > carried(function)
            same(function, made, args)


@pytest.mark.parametrize("name", LEFT)
def test_what_is_not(name: str) -> None:
    function, _ = program(LEFT[name])
    assert rolled(function) is function


def test_one_load_and_one_store() -> None:
    """What is handed on in three steps goes to memory once."""
    made = rolled(program(ROLLED["handed on"])[0])
    (loop,) = [n for n in nodes_of(made.body) if isinstance(n, For)]
    touched = [type(n) for n in nodes_of(loop.body) if isinstance(n, (Load, Store, Incr)) and n.array.hint == "x"]
    assert touched == [Load, Store]


def test_the_gradient_of_a_recurrence() -> None:
    function, args = program(ROLLED["a recurrence"])
    gradient = simplify(vjp(function, [True] * 3))
    made = rolled(gradient)
    assert carried(made) > carried(gradient)
    assert not any(isinstance(n, Alloc) and n.kept for n in nodes_of(made.body))
    same(gradient, made, (*args, np.float64(1.0)))


@pytest.mark.parametrize("block", range(8))
def test_random_loops(block: int) -> None:
    found = 0
    for seed in range(50 * block, 50 * block + 50):
        rng = np.random.default_rng(seed)
        near = rng.choice(["x[i - 1]", "x[i - 2]", "x[i + 1]", "x[i]", "z[1, i]", "z[1, i - 1]"], 3)

        def value() -> str:
            cell = str(rng.choice([*near, "y[i]"]))
            return f"{cell} * y[i - 1] + 0.5" if rng.random() < 0.3 else cell

        def statement() -> str:
            target = rng.choice([*near, "x[i]", "z[2, i]"])
            return f"{target} {rng.choice(['=', '+='])} {value()}"

        lines = []
        for _ in range(rng.integers(1, 5)):
            test = f"    if {value()} > 0.1:\n        {statement()}\n    else:\n        {statement()}"
            lines.append(test if rng.random() < 0.25 else f"    {statement()}")
        bounds = rng.choice(["2, n - 1", "n - 2, 1, -1", "2, min(n - 1, 4)", "3, n - 1"])
        body = "\n".join([f"for i in range({bounds}):", *lines])
        for n in (7, int(rng.integers(1, 7))):
            function, args = program(body, n)
            made = rolled(function)
            found += made is not function
            same(function, made, args)
    assert found >= 20
