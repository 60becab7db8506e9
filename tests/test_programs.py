"""The zoo of programs itself: each runs, is smooth where it says so, and eager mode agrees with differences."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError
from tests.programs import PROGRAMS, Program, flatten, rebuild

NAMES = [p.name for p in PROGRAMS]
EAGER = [p for p in PROGRAMS if p.eager and p.order]
REFUSED = [p for p in PROGRAMS if not p.eager]


def rng_of(p: Program) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(p.name.encode()))


def objective(p: Program) -> Callable[..., Any]:
    """A number made of all results of the program, with random weights."""
    rng = rng_of(p)
    results = flatten(p.function(*p.inputs()))
    weights = [rng.normal(size=np.shape(y)) for y in results]

    def total(*args: Any) -> Any:
        value: Any = 0.0
        for w, y in zip(weights, flatten(p.function(*args)), strict=True):
            value = value + np.sum(w * (np.real(y) + 2 * np.imag(y) if np.iscomplexobj(y) else y))
        return value

    return total


def directions(p: Program) -> list[Any]:
    """A random direction for every argument; zero for those that are not active."""
    rng = rng_of(p)
    rng.normal(size=9)
    made = []
    for k, arg in enumerate(p.args):
        leaves = [_direction(rng, x) if k in p.active else None for x in flatten(arg)]
        made.append(leaves)
    return made


def _direction(rng: np.random.Generator, x: Any) -> Any:
    x = np.asarray(x)
    v = rng.normal(size=x.shape)
    if x.dtype.kind == "c":
        v = v + 1j * rng.normal(size=x.shape)
    return v


def moved(p: Program, tangents: list[Any], step: float) -> tuple[Any, ...]:
    out = []
    for arg, leaves in zip(p.inputs(), tangents, strict=True):
        news = [
            x if v is None else (x + step * v).astype(np.asarray(x).dtype) if np.ndim(x) else type(x)(x + step * v)
            for x, v in zip(flatten(arg), leaves, strict=True)
        ]
        out.append(rebuild(arg, iter(news)))
    return tuple(out)


def slope(p: Program) -> float:
    """The derivative of the objective along `directions`, by differences of two steps."""
    f, tangents = objective(p), directions(p)
    step = 3e-2 if "float32" in p.tags else 1e-4

    def central(h: float) -> float:
        return float((f(*moved(p, tangents, h)) - f(*moved(p, tangents, -h))) / (2 * h))

    return (4 * central(step) - central(2 * step)) / 3


def tolerance(p: Program) -> float:
    return 2e-3 if "float32" in p.tags else 1e-7


def test_names_are_distinct_and_there_are_enough() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert len(NAMES) >= 120


@pytest.mark.parametrize("p", PROGRAMS, ids=NAMES)
def test_a_program_runs_and_does_so_again(p: Program) -> None:
    first, second = flatten(p.function(*p.inputs())), flatten(p.function(*p.inputs()))
    for a, b in zip(first, second, strict=True):
        assert np.all(np.isfinite(a))
        np.testing.assert_array_equal(a, b)
    if p.order:
        assert np.isfinite(slope(p))


@pytest.mark.parametrize("p", EAGER, ids=[p.name for p in EAGER])
def test_eager_mode_agrees_with_differences(p: Program) -> None:
    gradients = cr.grad(objective(p), p.active)(*p.inputs())
    tangents = directions(p)
    have = 0.0
    for k, g in zip(p.active, gradients, strict=True):
        for a, v in zip(flatten(g), tangents[k], strict=True):
            have += float(np.sum(np.real(np.conj(a) * v)))
    np.testing.assert_allclose(have, slope(p), rtol=tolerance(p), atol=tolerance(p))


@pytest.mark.parametrize("p", REFUSED, ids=[p.name for p in REFUSED])
def test_what_eager_mode_cannot_run_it_refuses(p: Program) -> None:
    """`eager=False` is no opinion."""
    with pytest.raises((ChainruleError, TypeError)):
        cr.grad(objective(p), p.active)(*p.inputs())
