"""What the passes for machines make of programs and gradients computes what these do, on the interpreter.

The programs of the zoo and random ones; a share of them, and all with ``CHAINRULE_ZOO=all``. Iterations run side by
side in strips of three, so that small programs have several.
"""

from __future__ import annotations

import contextlib
import copy
import io
import os
from typing import Any
from unittest import mock

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.native import jit
from chainrule.transforms.interchange import interchanged
from tests.fuzz import checks, programs
from tests.programs import PROGRAMS, Program, flatten
from tests.test_native_programs import REFUSED
from tests.transforms.differences import fresh

EVERY = os.environ.get("CHAINRULE_ZOO") == "all"
CHOSEN = [p for p in PROGRAMS if p.name not in REFUSED][:: 1 if EVERY else 3]
OPTIONS = {"parallel": False, "fastmath": "sums"}


def compare(g: Any, args: Any) -> bool:
    """Compare the program of ``g(*args)`` with what is made of it; False if it takes more than `args`, or fails."""
    function = g.specialise(*copy.deepcopy(args)).function
    given = flatten(tuple(args))
    if len(given) != len(function.params):
        return False
    with mock.patch.object(jit, "interchanged", lambda f: interchanged(f, strip=3, many=1)):
        made = check(jit.tuned(function, OPTIONS))
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        try:
            expected = evaluate(function, fresh(given))
        except (ArithmeticError, IndexError, ValueError, TypeError):
            return False
        found = evaluate(made, fresh(given))
    for x, y in zip(expected, found, strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-7, atol=1e-9)
    return True


@pytest.mark.parametrize("p", CHOSEN, ids=[p.name for p in CHOSEN])
def test_zoo(p: Program) -> None:
    compare(cr.jit(p.function, backend="interpreter"), p.inputs())
    if p.order and np.ndim(result := flatten(p.function(*p.inputs()))[0]) == 0 and np.asarray(result).dtype.kind == "f":
        with contextlib.suppress(ChainruleError):
            compare(cr.jit(cr.grad(p.function, argnums=p.active), backend="interpreter"), p.inputs())


@pytest.mark.parametrize("first", range(478, 478 + (2000 if EVERY else 60), 10))
def test_random_programs(first: int) -> None:
    done = 0
    for seed in range(first, first + 10):
        module = checks.Module(programs.make(seed, 8))
        for g in (module.f, cr.grad(module.f, argnums=module.active)):
            with contextlib.suppress(ChainruleError):
                done += compare(cr.jit(g, backend="interpreter"), module.arguments)
        module.close()
    assert done >= 5 or EVERY
