"""Elements that are computed again instead of kept: where, where not, and random programs against differences."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, Load
from chainrule.ir.walk import nodes_of
from chainrule.transforms.again import with_elements_again
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify
from tests.transforms.differences import check_vjp
from tests.transforms.reading import program_of

_X = np.array([[0.7, -0.4, 1.1, 0.3], [0.9, -1.3, 0.2, 0.8], [0.3, 0.5, -0.6, 1.2]])
_M = np.array([0.2, -0.3, 0.5, 0.1])

FILL = "for i in range(n):\n    d[i] = x[k, i] - m[i]"
SQUARES = "for i in range(n):\n    s += d[i] ** 2"
BODIES = {
    "in part": (FILL, "for i in range(1, n):\n    s += d[i] * d[i] * m[i]"),
    "backwards": ("for i in range(n - 1, -1, -1):\n    d[i] = x[k, i] - m[i]", SQUARES),
    "neighbours": (FILL, "for i in range(1, n):\n    s += d[i - 1] * d[i]"),
}
KEPT = {
    "not all": ("for i in range(1, n):\n    d[i] = x[k, i] - m[i]", SQUARES),
    "a branch": ("if k > 0:\n    for i in range(n):\n        d[i] = x[k, i] - m[i]", SQUARES),
    "two stores": (f"{FILL}\nd[0] = m[1]", SQUARES),
    "added to": (f"{FILL}\nd[0] += m[1]", SQUARES),
    "written": ("for i in range(n):\n    d[i] = x[k, i] - e[i]\ne[0] = m[k]", SQUARES),
    "before": (SQUARES, FILL),
    "dear": ("for i in range(n):\n    d[i] = np.exp(x[k, i] - m[i])", SQUARES),
    "a sum": ("t = 0.0\nfor i in range(n):\n    t += m[i]\n    d[i] = x[k, i] - t", SQUARES),
}


def program(*parts: str) -> Callable[..., Any]:
    lines = ["def f(x, m):", "    n = len(m)", "    d = np.zeros(n)", "    e = np.zeros(n)", "    s = 0.0"]
    lines += ["    for k in range(len(x)):", *(f"        {line}" for part in parts for line in part.splitlines())]
    text, space = "\n".join([*lines, "    return s", ""]), {"np": np}
    name = f"<again {hash(text)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), space)
    made: Callable[..., Any] = space["f"]
    return made


def check(function: Callable[..., Any]) -> bool:
    """Compare with differences, and values with the program as it was; whether anything was replaced."""
    primal = program_of(function, (_X, _M))
    made = with_elements_again(primal)
    assert evaluate(made, [_X, _M]) == evaluate(primal, [_X, _M])
    check_vjp(primal, (_X, _M))
    return made is not primal


@pytest.mark.parametrize("name", BODIES)
def test_what_is_computed_again(name: str) -> None:
    assert check(program(*BODIES[name]))


@pytest.mark.parametrize("name", KEPT)
def test_what_is_not(name: str) -> None:
    assert not check(program(*KEPT[name]))


def test_the_array_is_gone() -> None:
    made = simplify(vjp(program_of(program(*BODIES["neighbours"]), (_X, _M)), [True, True]))
    assert {n.out.hint for n in nodes_of(made.body) if isinstance(n, Alloc)} == {"x_bar", "m_bar"}
    assert not any(isinstance(n, Load) and n.array.hint == "d" for n in nodes_of(made.body))


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def loop(body: str) -> str:
        bounds = rng.choice(["n", "n", "1, n", "n - 1", "n - 1, -1, -1"])
        return f"for i in range({bounds}):\n    {body}"

    parts = []
    for _ in range(rng.integers(2, 6)):
        one, two = rng.choice(["d", "e"], 2, replace=False)
        source = rng.choice(["x[k, i]", "m[i]", f"{one}[i]", "x[0, i]", "0.5"])
        body = rng.choice(
            [
                f"{one}[i] = {source} - m[i]",
                f"{one}[i] = 2.0 * x[k, i]",
                f"{one}[i] = x[k, i] * {two}[i]",
                f"s += {one}[i] * {two}[i]",
                f"s += {one}[i] ** 2",
                f"s += {one}[n - 1 - i] * x[k, i]",
            ]
        )
        parts.append(loop(body))
    check(program(*parts, "for i in range(n):\n    s += d[i] * d[i] + e[i] * m[i]"))
