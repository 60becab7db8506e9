"""Who runs one of the programs: its objective, our derivative, one written by hand, and those of other tools.

Comes in: the name of a program and a size. Goes out: functions without arguments, by name, which can be timed; and
`check`, which compares the derivatives at small sizes, with finite differences too.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable, Iterable
from typing import Any

import numba
import timing
from ours import ours

import chainrule as cr

PROGRAMS = ("gmm", "ba", "lstm", "ode", "llsq", "saddle", "sweep", "scalar", "small")
TOOLS = ("jax", "torch", "autograd", "casadi")
Run = Callable[[], Any]


def contestants(name: str, size: Any, tools: Iterable[str]) -> dict[str, Run]:
    """The derivatives of a program, ours first."""
    program = importlib.import_module(f"programs.{name}")
    args = program.data(size)
    hand = importlib.import_module(f"by_hand.{name}")
    runs = {
        "chainrule": ours(program, args),
        "by hand": hand.derivative(*args) if hasattr(hand, "derivative") else bind(hand.gradient, args),
    }
    others = importlib.import_module(f"others.{name}")
    for tool in tools:
        run = getattr(others, tool)(*args) if hasattr(others, tool) else None
        if run is not None:
            runs[tool] = run
    return runs


def objective(name: str, size: Any) -> Run | None:
    """The objective under plain `numba.njit`; none where it holds derivatives itself."""
    program = importlib.import_module(f"programs.{name}")
    if name == "saddle":
        return None
    return bind(compiled(program.objective), program.data(size))


def compiled(function: types.FunctionType) -> Any:
    """The function and those of its module that it calls, under plain `numba.njit`."""
    names = dict(function.__globals__)
    made = numba.njit(types.FunctionType(function.__code__, names, function.__name__, function.__defaults__))
    for name in function.__code__.co_names:
        called = names.get(name)
        if isinstance(called, types.FunctionType) and called.__module__ == function.__module__:
            names[name] = made if called is function else compiled(called)
    return made


def bind(f: Callable[..., Any], args: tuple[Any, ...]) -> Run:
    return lambda: f(*args)


def check(name: str, tools: Iterable[str], tolerance: float = 1e-9) -> None:
    """Raise `AssertionError` unless all derivatives of small sizes agree, and finite differences with them."""
    program = importlib.import_module(f"programs.{name}")
    for size in program.SMALL:
        runs = contestants(name, size, tools)
        timing.check_equal(runs, tolerance)
        if hasattr(program, "ARGNUMS"):
            differences = [_differences(program, program.data(size), k) for k in program.ARGNUMS]
            timing.check_equal({"finite differences": bind(tuple, (differences,)), **runs}, 1e-6)


def _differences(program: Any, args: tuple[Any, ...], k: int) -> Any:
    f = program.objective
    return cr.numerical.gradient(lambda x: f(*args[:k], x, *args[k + 1 :]), args[k], method="central")
