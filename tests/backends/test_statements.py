"""Random programs mean the same as text: names are shared, expressions put together, copies left out."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from chainrule.backends.compile import plain
from chainrule.backends.numba.compile import compiled
from chainrule.backends.python import write
from chainrule.backends.support import integer_power
from chainrule.ir.evaluate import evaluate
from tests.backends.agreement import assert_same, assert_text_agrees, run
from tests.backends.generated import drawn
from tests.ir.random_programs import random_program

ARGUMENTS = [(0.7, -1.3, n, np.array([0.1, -0.6, 1.7, 0.4])) for n in (3, -4)]


@pytest.mark.parametrize("seed", range(100))
def test_names_that_collide(seed: int) -> None:
    for args in ARGUMENTS:
        assert_text_agrees(drawn(seed), args)


@pytest.mark.parametrize("seed", range(0, 120, 30))
def test_names_that_collide_compiled(seed: int) -> None:
    function = drawn(seed)
    call = compiled(write(function, "compiled")).call
    for args in ARGUMENTS:
        assert_same(run(call, args), assert_text_agrees(function, args), ulps=64)


def outcome(call: Callable[..., Any], args: tuple[Any, ...]) -> tuple[tuple[Any, ...], str]:
    """The results, or the exception and its message; and what was printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            results = run(call, args)
        except ValueError as error:
            results = (type(error).__name__, str(error))
    return results, printed.getvalue()


@pytest.mark.parametrize("seed", range(100))
def test_special_values_messages_and_prints(seed: int) -> None:
    function, arguments = random_program(seed)
    source = write(function)
    filled = source.text.replace("np.empty(", "np.nan * np.zeros(")  # as the interpreter has it
    expected, said = outcome(lambda *args: evaluate(function, args), arguments())
    found, printed = outcome(plain(dataclasses.replace(source, text=filled)), arguments())
    assert_same(found, expected)
    assert printed == said


@pytest.mark.parametrize("x", [0.7, -1.3, 0.0, 1e-3, 1e3, np.inf, -np.inf, np.nan])
def test_integer_powers(x: float) -> None:
    for n in [*range(-3, 65), 100]:
        with np.errstate(all="ignore"):
            made, expected = integer_power(np.float64(x), n), np.float64(x) ** float(n)
        if np.isfinite(x) and 1e-300 < abs(expected) < 1e300:
            assert abs(made - mpmath.mpf(x) ** n) <= 1e-14 * abs(expected)
        else:
            np.testing.assert_allclose(made, expected, atol=1e-300)
