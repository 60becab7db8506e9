"""Every program of the zoo in native mode: values, both modes, second order, on all back ends.

The referee is the plain Python function: its values, and central differences of them or of the gradient. The
readable text runs on every program; the interpreter and the machine code on a share of them, and on all of them with
``CHAINRULE_ZOO=all`` (``make zoo``).
"""

from __future__ import annotations

import contextlib
import io
import os
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError
from tests.programs import PROGRAMS, Program, flatten, rebuild
from tests.test_programs import directions, moved, rng_of, slope, tolerance

# Program -> why native mode refuses it. An entry that runs fails.
REFUSED = {
    "ravel_that_must_copy": "stores into a ravel that may be a copy or a view",
    "reshape_that_must_copy": "stores into a reshape that may be a copy or a view",
}
# Program -> what its second derivative would need of the back ends.
ONCE = {"special_functions_of_math": "polygamma", "special_functions": "polygamma"}
EVERY = os.environ.get("CHAINRULE_ZOO") == "all"
ALL = [p for p in PROGRAMS if p.name not in REFUSED]
SMOOTH = [p for p in ALL if p.order]


def is_number(p: Program) -> bool:
    results = flatten(p.function(*p.inputs()))
    return len(results) == 1 and np.ndim(results[0]) == 0 and np.asarray(results[0]).dtype.kind == "f"


TWICE = [p for p in ALL if p.order == 2 and is_number(p) and p.name not in ONCE][:: 1 if EVERY else 2]


def ids(programs: list[Program]) -> list[str]:
    return [p.name for p in programs]


def tangents_of(p: Program) -> tuple[Any, ...]:
    """`directions` as tangents of the active arguments."""
    made = []
    for k, leaves in enumerate(directions(p)):
        if k in p.active:
            arg = p.args[k]
            parts = [
                np.asarray(v).astype(np.asarray(x).dtype)[()] if v is not None else 0.0
                for x, v in zip(flatten(arg), leaves, strict=True)
            ]
            parts = [
                float(v) if isinstance(x, float) else complex(v) if isinstance(x, complex) else v
                for x, v in zip(flatten(arg), parts, strict=True)
            ]
            made.append(rebuild(arg, iter(parts)))
    return tuple(made)


def weights(p: Program) -> list[Any]:
    rng = rng_of(p)
    return [rng.normal(size=np.shape(y)) for y in flatten(p.function(*p.inputs()))]


def weighed(p: Program, change: Any) -> float:
    """The weighted sum that `tests.test_programs.objective` makes of the results."""
    total = 0.0
    for w, y in zip(weights(p), flatten(change), strict=True):
        if y is not None:
            total += float(np.sum(w * (np.real(y) + 2 * np.imag(y) if np.iscomplexobj(y) else y)))
    return total


def cotangent(p: Program) -> Any:
    result = p.function(*p.inputs())
    parts = []
    for w, y in zip(weights(p), flatten(result), strict=True):
        ct = w * (1 + 2j) if np.iscomplexobj(y) else w
        parts.append(np.asarray(ct).astype(np.asarray(y).dtype) if np.ndim(y) else type(y)(ct))
    return rebuild(result, iter(parts))


def inner(p: Program, cts: tuple[Any, ...], tangents: tuple[Any, ...]) -> float:
    total = 0.0
    for a, b in zip(flatten(cts), flatten(tangents), strict=True):
        if a is not None and np.asarray(b).dtype.kind in "fc":
            total += float(np.sum(np.real(np.conj(a) * b)))
    return total


def run(p: Program, backend: str) -> None:
    f = cr.jit(p.function, backend=backend)
    for got, want in zip(flatten(f(*p.inputs())), flatten(p.function(*p.inputs())), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5 if "float32" in p.tags else 1e-10, atol=1e-12)
        assert np.asarray(got).dtype == np.asarray(want).dtype
        assert np.shape(got) == np.shape(want)


def differentiate(p: Program, backend: str) -> None:
    f = cr.jit(p.function, backend=backend)
    tangents = tangents_of(p)
    expected, close = slope(p), tolerance(p)
    _, change = f.push(p.inputs(), tangents, p.active, {})
    np.testing.assert_allclose(weighed(p, change), expected, rtol=close, atol=close)
    args = p.inputs()
    cts = f.pull(args, cotangent(p), p.active, {})
    np.testing.assert_allclose(inner(p, cts, tangents), expected, rtol=close, atol=close)
    for before, after in zip(flatten(p.args), flatten(args), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("p", ALL, ids=ids(ALL))
def test_values(p: Program) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        run(p, "python")


@pytest.mark.parametrize("p", SMOOTH, ids=ids(SMOOTH))
def test_derivatives_agree_with_differences(p: Program) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        differentiate(p, "python")


INTERPRETED = SMOOTH if EVERY else SMOOTH[::3]


@pytest.mark.parametrize("p", INTERPRETED, ids=ids(INTERPRETED))
def test_interpreted(p: Program) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        run(p, "interpreter")
        differentiate(p, "interpreter")


COMPILED = SMOOTH if EVERY else SMOOTH[::40]


@pytest.mark.parametrize("p", COMPILED, ids=ids(COMPILED))
def test_compiled(p: Program) -> None:
    run(p, "numba")
    differentiate(p, "numba")


@pytest.mark.parametrize("p", TWICE, ids=ids(TWICE))
def test_second_derivatives(p: Program) -> None:
    """Forward over reverse, reverse over reverse and reverse over forward, against differences of the gradient."""
    if "float32" in p.tags or any(np.iscomplexobj(x) for x in flatten(p.args)):
        pytest.skip("differences of differences need double precision")
    with contextlib.redirect_stdout(io.StringIO()):
        f = cr.jit(p.function, backend="python")
        gradient = cr.jit(cr.grad(p.function, p.active), backend="python")
        tangents = tangents_of(p)
        h = 1e-4

        def along(step: float) -> float:
            return inner(p, gradient(*moved(p, directions(p), step)), tangents)

        expected = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
        close = {"rtol": 1e-5, "atol": 1e-5}
        _, change = gradient.push(p.inputs(), tangents, p.active, {})
        np.testing.assert_allclose(inner(p, change, tangents), expected, **close)
        cts = gradient.pull(p.inputs(), tangents, p.active, {})
        np.testing.assert_allclose(inner(p, cts, tangents), expected, **close)
        if p.active != tuple(range(len(p.args))):
            return  # integers among the arguments would be promoted with the container that holds all
        forward = f._derive("push", argnums=p.active)
        (cts,) = forward.pull((p.inputs(), tangents), (0.0, 1.0), (0,), {})
        active = tuple(cts[k] for k in p.active)
        np.testing.assert_allclose(inner(p, active, tangents), expected, **close)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    p = next(q for q in PROGRAMS if q.name == name)
    with pytest.raises(ChainruleError) as error:
        cr.jit(p.function, backend="python")(*p.inputs())
    assert "tests/programs" in str(error.value)
