"""The checks must catch what they are for: rules that are wrong on purpose, and gaps that have closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.core.define import elementwise, general, linear, multilinear
from chainrule.core.primitive import Primitive
from chainrule.testing import check_rule
from tests import limits
from tests.helpers import check
from tests.rule_checks import (
    Case,
    check_dtypes,
    check_jvp,
    check_second,
    check_vjp,
    dense_leaves,
    directions,
    maps,
    same,
)

X, Y = np.array([0.5, -1.0, 2.0]), np.array([1.5, 0.7, -0.3])
M = np.array([[2.0, 0.5, 0.0], [0.1, 1.0, 0.3]])


def _twice_kept(y: Any, x: Any) -> Any:
    return cr.stop_gradient(np.cos(x))


# What is wrong -> the primitive, its arguments, the checks of which at least one must fail.
WRONG: dict[str, tuple[Primitive, tuple[Any, ...], tuple[Callable[[Case], None], ...]]] = {
    "sign": (elementwise("test.wrong.sign", lambda x: np.cos(x), lambda y, x: np.sin(x)), (X,), (check_jvp,)),
    "factor": (
        elementwise("test.wrong.factor", lambda x: np.sin(x), lambda y, x: 1.00001 * np.cos(x)),
        (X,),
        (check_jvp,),
    ),
    "forgotten argument": (
        elementwise("test.wrong.forgotten", lambda x, y: x * y, lambda z, x, y: y, None),
        (X, Y),
        (lambda case: check_jvp(Case(case.primitive, case.args, {}, active=[0, 1])),),
    ),
    "swapped arguments": (
        elementwise("test.wrong.swapped", lambda x, y: x * y, lambda z, x, y: x, lambda z, x, y: y),
        (X, Y),
        (check_jvp,),
    ),
    "second order": (elementwise("test.wrong.second", lambda x: np.sin(x), _twice_kept), (X,), (check_second,)),
    "transpose": (
        multilinear(
            "test.wrong.transpose", lambda a, x: a @ x, lambda ct, a, x: np.outer(ct, x), lambda ct, a, x: ct @ a * 2
        ),
        (M, X),
        (check_vjp,),
    ),
    "transpose of another map": (
        linear("test.wrong.roll", lambda x: np.roll(x, 1), lambda ct, x: np.roll(ct, 1)),
        (X,),
        (check_vjp,),
    ),
    "not multilinear": (
        multilinear("test.wrong.square", lambda x: x * x, lambda ct, x: 2 * ct),
        (X,),
        (check_jvp, check_vjp),
    ),
    "a map that is not linear": (
        general("test.wrong.nonlinear", lambda x: np.sin(x), lambda y, x: lambda dx: np.cos(x) * dx + dx * dx),
        (X,),
        (check_jvp,),
    ),
    "lost precision": (
        elementwise("test.wrong.precision", lambda x: np.sin(x), lambda y, x: np.cos(x.astype(np.float16))),
        (X,),
        (check_jvp,),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_rules_fail_the_checks_of_every_rule(name: str) -> None:
    primitive, args, checks = WRONG[name]
    for run in checks:
        with pytest.raises(AssertionError):
            run(Case(primitive, args, {}))


@pytest.mark.parametrize("name", [n for n in WRONG if n not in ("forgotten argument", "lost precision", "factor")])
def test_wrong_rules_fail_check_rule(name: str) -> None:
    primitive, args, _ = WRONG[name]
    with pytest.raises(AssertionError):
        check_rule(primitive, *args)


@pytest.mark.parametrize("name", [n for n in WRONG if n not in ("lost precision",)])
def test_wrong_rules_fail_the_check_of_functions(name: str) -> None:
    primitive, args, _ = WRONG[name]
    with pytest.raises(AssertionError):
        check(primitive, *args)


def test_a_wrong_dtype_is_caught() -> None:
    widened = elementwise("test.wrong.dtype", lambda x: np.sin(x, dtype=np.float64), lambda y, x: np.cos(x))
    narrow = Case(widened, (X.astype(np.float32),), {})
    with pytest.raises(AssertionError):
        check_dtypes(narrow, np.sin(narrow.args[0]))


def test_dishonest_reads_are_caught() -> None:
    dishonest = elementwise("test.wrong.reads", lambda x: np.sin(x), lambda y, x: np.cos(x))
    (slot,) = dishonest.slots or ()
    slot.reads = (True, False)
    case = Case(dishonest, (X,), {})
    (lean, *_), (full, *_) = maps(case, True), maps(case, False)
    v = directions(case, 0)[0]
    with pytest.raises((AssertionError, TypeError)):
        same(dense_leaves(lean[1].apply(v)), dense_leaves(full[1].apply(v)))


def test_right_rules_pass() -> None:
    right = elementwise("test.right", lambda x: np.sin(x), lambda y, x: np.cos(x))
    case = Case(right, (X,), {})
    for run in (check_jvp, check_vjp, check_second):
        run(case)
    check_rule(right, X)
    check(right, X)


# -- the list of gaps ---------------------------------------------------------------------------------------


@pytest.fixture
def one_limit(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    key = ("program", "mode")
    monkeypatch.setattr(limits, "LIMITS", {key: "the reason"})
    return key


def test_a_listed_gap_is_expected_to_fail(one_limit: tuple[str, str]) -> None:
    with pytest.raises(pytest.xfail.Exception, match="the reason"), limits.limited(*one_limit):
        raise AssertionError


def test_a_gap_that_has_closed_fails_until_it_is_removed(one_limit: tuple[str, str]) -> None:
    with pytest.raises(pytest.fail.Exception, match="the gap has closed"), limits.limited(*one_limit):
        pass


def test_what_is_not_listed_must_hold(one_limit: tuple[str, str]) -> None:
    with limits.limited("program", "another mode"):
        pass
    with pytest.raises(AssertionError), limits.limited("program", "another mode"):
        raise AssertionError
