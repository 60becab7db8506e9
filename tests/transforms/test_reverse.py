"""Reverse mode on programs: against central differences on the reference interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Array, Function
from chainrule.transforms.activity import is_float
from chainrule.transforms.reverse import vjp
from tests.ir.programs import PROGRAMS

STEP = 1e-6


def fresh(args: Any) -> list[Any]:
    return [a.copy() if isinstance(a, np.ndarray) else a for a in args]


def direction(function: Function, args: Any, active: list[bool], rng: Any) -> list[Any]:
    found: list[Any] = []
    for p, a, on in zip(function.params, args, active, strict=True):
        if not on:
            continue
        found.append(
            random_like(p.type.dtype, np.shape(a), rng)
            if isinstance(p.type, Array)
            else random_like(p.type.dtype, (), rng)[()]
        )
    return found


def random_like(dtype: str, shape: tuple[int, ...], rng: Any) -> Any:
    value = rng.normal(size=shape)
    if dtype.startswith("complex"):
        value = value + 1j * rng.normal(size=shape)
    return np.asarray(value, dtype)


def moved(args: Any, active: list[bool], v: list[Any], h: float) -> list[Any]:
    steps = iter(v)
    return [
        a + h * next(steps) if on else (a.copy() if isinstance(a, np.ndarray) else a)
        for a, on in zip(args, active, strict=True)
    ]


def inner(a: Any, b: Any) -> float:
    return float(np.real(np.vdot(np.asarray(a), np.asarray(b))))


def check_vjp(
    function: Function,
    args: Any,
    active: list[bool] | None = None,
    tol: float = 1e-6,
    seed: int = 0,
    step: float = STEP,
) -> Any:
    """Compare ``<ct, J v>`` by differences with ``<J^T ct, v>``; the transformed program."""
    rng = np.random.default_rng(seed)
    if active is None:
        active = [is_float(p) for p in function.params]
    made = check(vjp(function, active))
    primal = evaluate(function, fresh(args))
    wanted = [k for k, r in enumerate(function.results) if is_float(r)]
    cts = [random_like(function.results[k].type.dtype, np.shape(primal[k]), rng) for k in wanted]
    cts = [c if isinstance(function.results[k].type, Array) else c[()] for k, c in zip(wanted, cts, strict=True)]
    given = fresh(args)
    out = evaluate(made, [*given, *[c.copy() if isinstance(c, np.ndarray) else c for c in cts]])
    for before, after in zip(args, given, strict=True):
        np.testing.assert_array_equal(before, after)
    for a, b in zip(primal, out, strict=False):
        np.testing.assert_array_equal(a, b)
    grads = out[len(primal) :]
    assert len(grads) == sum(active)
    for _ in range(3):
        v = direction(function, args, active, rng)
        for x, g in zip(v, grads, strict=True):
            assert np.shape(x) == np.shape(g) and np.asarray(x).dtype == np.asarray(g).dtype
        up = evaluate(function, moved(args, active, v, step))
        down = evaluate(function, moved(args, active, v, -step))
        numeric = sum(
            inner(ct, (np.asarray(up[k]) - np.asarray(down[k])) / (2 * step)) for k, ct in zip(wanted, cts, strict=True)
        )
        exact = sum(inner(g, x) for g, x in zip(grads, v, strict=True))
        assert np.isclose(exact, numeric, rtol=tol, atol=tol), (exact, numeric)
    return made, [*args, *cts]


SMOOTH = [name for name, p in PROGRAMS.items() if p.smooth]


@pytest.mark.parametrize("name", SMOOTH)
def test_programs(name: str) -> None:
    program = PROGRAMS[name]
    single = any(p.type.dtype in ("float32", "complex64") for p in program.function.params)
    check_vjp(program.function, program.arguments(), tol=1e-2 if single else 1e-6, step=1e-2 if single else STEP)


@pytest.mark.parametrize("name", SMOOTH)
def test_second_order(name: str) -> None:
    program = PROGRAMS[name]
    single = any(p.type.dtype in ("float32", "complex64") for p in program.function.params)
    how = {"tol": 1e-2 if single else 1e-6, "step": 1e-2 if single else STEP}
    made, args = check_vjp(program.function, program.arguments(), **how)
    check_vjp(made, args, **how)
