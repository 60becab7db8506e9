"""Central differences of programs on the reference interpreter, and what derivatives have to do with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Array, Function, Type
from chainrule.transforms.activity import is_float
from chainrule.transforms.forward import jvp
from chainrule.transforms.reverse import vjp

__all__ = ["check_jvp", "check_vjp", "fresh"]

STEPS = {True: 1e-2, False: 1e-6}  # in single precision, or not
TOLERANCES = {True: 1e-2, False: 1e-5}


def fresh(values: Sequence[Any]) -> list[Any]:
    return [v.copy() if isinstance(v, np.ndarray) else v for v in values]


def check_vjp(function: Function, args: Sequence[Any], active: Sequence[bool] | None = None) -> tuple[Any, list[Any]]:
    """Compare <ct, J v> by differences with <vjp(ct), v>; the program of the vjp, and arguments for it."""
    rng = np.random.default_rng(0)
    active = [is_float(p) for p in function.params] if active is None else active
    made = check(vjp(function, active))
    primal = evaluate(function, fresh(args))
    wanted = [k for k, r in enumerate(function.results) if is_float(r)]
    cts = [like(function.results[k].type, primal[k], rng) for k in wanted]
    given = fresh(args)
    out = evaluate(made, [*given, *fresh(cts)])
    for before, after in zip([*args, *primal], [*given, *out], strict=False):
        np.testing.assert_array_equal(before, after)
    cotangents = out[len(primal) :]
    for _ in range(2):
        v = direction(function, args, active, rng)
        for x, g in zip(v, cotangents, strict=True):
            assert (np.shape(x), np.asarray(x).dtype) == (np.shape(g), np.asarray(g).dtype)
        change = differences(function, args, active, v)
        expected = sum(inner(ct, change[k]) for k, ct in zip(wanted, cts, strict=True))
        agree(function, sum(inner(g, x) for g, x in zip(cotangents, v, strict=True)), expected)
    return made, [*args, *cts]


def check_jvp(function: Function, args: Sequence[Any]) -> tuple[Function, list[Any]]:
    """Compare the tangents with differences; the program of the jvp, and arguments for it."""
    active = [is_float(p) for p in function.params]
    v = direction(function, args, active, np.random.default_rng(1))
    made = check(jvp(function, active))
    tangents = iter(evaluate(made, [*fresh(args), *fresh(v)])[len(function.results) :])
    for result, change in zip(function.results, differences(function, args, active, v), strict=True):
        if is_float(result):
            agree(function, next(tangents), change)
    return made, [*args, *v]


def differences(function: Function, args: Sequence[Any], active: Sequence[bool], v: Sequence[Any]) -> list[Any]:
    """How the results change along `v`."""
    step = STEPS[is_single(function)]
    up, down = (evaluate(function, moved(args, active, v, h)) for h in (step, -step))
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(up, down, strict=True)]
    return [(a - b) / (2 * step) if a.dtype.kind in "fc" else None for a, b in pairs]


def moved(args: Sequence[Any], active: Sequence[bool], v: Sequence[Any], step: float) -> list[Any]:
    steps = iter(v)
    return [a + step * next(steps) if on else a for a, on in zip(fresh(args), active, strict=True)]


def direction(function: Function, args: Sequence[Any], active: Sequence[bool], rng: Any) -> list[Any]:
    return [like(p.type, a, rng) for p, a, on in zip(function.params, args, active, strict=True) if on]


def like(type: Type, value: Any, rng: Any) -> Any:
    made = rng.normal(size=np.shape(value))
    if type.dtype.startswith("complex"):
        made = made + 1j * rng.normal(size=np.shape(value))
    return np.asarray(made, type.dtype) if isinstance(type, Array) else np.dtype(type.dtype).type(made)


def inner(a: Any, b: Any) -> float:
    return float(np.real(np.vdot(np.asarray(a), np.asarray(b))))


def agree(function: Function, exact: Any, numeric: Any) -> None:
    tolerance = TOLERANCES[is_single(function)]
    np.testing.assert_allclose(exact, numeric, rtol=tolerance, atol=tolerance)


def is_single(function: Function) -> bool:
    return any(p.type.dtype in ("float32", "complex64") for p in function.params)
