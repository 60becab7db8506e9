"""What is found in the array that was copied instead of kept: where, where not, and random programs."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule.ir.nodes import Alloc
from chainrule.ir.walk import nodes_of
from chainrule.transforms.simplify import simplify
from tests.transforms.differences import check_vjp
from tests.transforms.reading import program_of

_X = np.array([[0.7, -0.4, 1.1, 0.3], [0.9, -1.3, 0.2, 0.8], [0.3, 0.5, -0.6, 1.2]])
_M = np.array([0.2, -0.3, 0.5, 0.1])

NONE = {
    "in place": "u = m.copy()\nfor i in range(n):\n    u[i] = u[i] * u[i]",
    "neighbours": "u = m.copy()\nfor i in range(1, n - 1):\n    u[i] = u[i - 1] + u[i + 1] * u[i]",
    "backwards": "u = m.copy()\nfor i in range(n - 2, 0, -1):\n    u[i] = u[i - 1] * u[i]",
    "a branch": "u = m.copy()\nfor i in range(n):\n    if u[i] > 0:\n        u[i] = u[i] * u[i]",
    "the argument": "for i in range(n):\n    m[i] = m[i] * m[i]\nu = m",
    "a row": "u = np.empty(n)\nfor i in range(n):\n    u[i] = x[1, i]\n"
    "for i in range(1, n):\n    u[i] = u[i] * u[i - 1]",
    "a table": "v = x.copy()\n"
    "for k in range(len(x)):\n    for i in range(n):\n        v[k, i] = v[k, i] * v[k, i]\nu = v[1]",
    "in rounds": "u = np.empty(n)\nfor k in range(len(x)):\n    for i in range(n):\n        u[i] = x[k, i]\n"
    "    for i in range(n):\n        u[i] = u[i] * u[i]",
}
SOME = {
    "twice": "u = m.copy()\nfor k in range(2):\n    for i in range(n):\n        u[i] = u[i] * u[i]",
    "shifted": "u = m.copy()\nfor i in range(n - 1):\n    u[i + 1] = u[i + 1] * u[i]\n    u[i] = u[i] * u[i]",
    "the source is written": "v = m * 2.0\nu = v.copy()\nfor i in range(n):\n    u[i] = u[i] * u[i]\n    v[i] = 0.0\n"
    "u[0] += v[1]",
    "the source is written in a branch": "v = m * 2.0\nu = v.copy()\nfor i in range(n):\n    if i > 1:\n"
    "        v[i] = 0.0\n    u[i] = u[i] * u[i]\nu[0] += v[1]",
    "the source is lost meanwhile": "v = m * 2.0\nu = np.empty(n)\nfor i in range(n):\n    u[i] = v[i]\n"
    "    v[i] = 0.5\nfor i in range(n):\n    u[i] = u[i] * u[i] * v[i]",
    "another value": "u = np.empty(n)\nfor i in range(n):\n    u[i] = m[i]\n    u[i] += x[0, i]\n"
    "for i in range(n):\n    u[i] = u[i] * u[i]",
    "not all": "u = np.exp(m)\nfor i in range(1, n):\n    u[i] = m[i]\nfor i in range(n):\n    u[i] = u[i] * u[i]",
    "an unknown cell": "u = m.copy()\nj = int(x[0, 0])\nu[j] = u[j] * u[j]\nfor i in range(n):\n    u[i] = u[i] * u[i]",
    "from the end": "u = m.copy()\nu[-1] = u[0] * u[1]\nfor i in range(n):\n    u[i] = u[i] * u[i]",
    "a buffer": "u = m.copy()\nv = m.copy()\nfor k in range(2):\n    for i in range(n):\n        v[i] = u[i]\n"
    "    for i in range(n):\n        u[i] = v[i] * v[n - 1 - i]\n        v[i] = 0.5",
}


def program(body: str) -> Callable[..., Any]:
    lines = ["def f(x, m):", "    n = len(m)", *(f"    {line}" for line in body.splitlines())]
    text, space = "\n".join([*lines, "    return u @ m + u[0] * u[1]", ""]), {"np": np}
    name = f"<origins {hash(text)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), space)
    made: Callable[..., Any] = space["f"]
    return made


def kept(body: str) -> int:
    """How many arrays the reverse keeps, which is compared with differences."""
    primal = simplify(program_of(program(body), (_X, _M)))
    made, _ = check_vjp(primal, (_X, _M))
    return sum(isinstance(n, Alloc) and n.kept for n in nodes_of(made.body))  # type: ignore[union-attr]


@pytest.mark.parametrize("name", NONE)
def test_what_is_found_in_the_source(name: str) -> None:
    assert kept(NONE[name]) == 0


@pytest.mark.parametrize("name", SOME)
def test_what_is_not(name: str) -> None:
    assert kept(SOME[name]) > 0


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def cell() -> str:
        return str(rng.choice(["u[i]", "u[i]", "v[i]", "u[i - 1]", "u[i + 1]", "v[n - 1 - i]", "m[i]", "x[1, i]"]))

    def loop() -> list[str]:
        bounds = rng.choice(["1, n - 1", "n - 2, 0, -1"])
        target = rng.choice(["u[i]", "v[i]", "u[i + 1]", "v[n - 1 - i]", "u[-1]"])
        line = f"{target} {rng.choice(['=', '+='])} {cell()} * {cell()} + 0.3 * {cell()}"
        inner = [f"    if {cell()} > 0.17:", f"        {line}"] if rng.random() < 0.3 else [f"    {line}"]
        return [f"for i in range({bounds}):", *inner]

    def copy() -> list[str]:
        target, source = rng.choice(["u", "v"], 2, replace=False)
        bounds = rng.choice(["n", "n", "1, n", "n - 1, -1, -1"])
        return [f"for i in range({bounds}):", f"    {target}[i] = {rng.choice([f'{source}[i]', 'm[i]', 'x[2, i]'])}"]

    lines = [f"u = {rng.choice(['m', 'x[0]'])}.copy()", f"v = {rng.choice(['u', 'm'])}.copy()"]
    for _ in range(rng.integers(2, 5)):
        part = copy() if rng.random() < 0.4 else loop()
        if rng.random() < 0.3:
            part = ["for k in range(2):", *(f"    {line}" for line in [*part, *loop()])]
        lines += part
    kept("\n".join(lines))
