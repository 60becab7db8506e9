"""Findings against tables made by hand: which kink, at which line, what the derivative is there; and the digits."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import numerical
from chainrule.errors import ArgumentError

TIES = np.array([2.0, 0.5, 2.0])


def if_equal(x):
    if x == 2.0:
        return x * x
    return 3 * x


def if_greater(x):
    return x if x > 2.0 else 2 * x


# function, arguments, kind, what, convention (a part of each)
KINKS = [
    (lambda x: np.abs(x), (0.0,), "kink", "abs at 0", "0 at 0"),
    (lambda x: abs(x), (0.0,), "kink", "abs at 0", "0 at 0"),
    (lambda x: np.fabs(x).sum(), (np.array([1.0, 0.0, 0.0]),), "kink", "abs at 0, 2 of 3 elements, first 1", "0 at 0"),
    (lambda x: np.linalg.norm(x), (np.zeros(3),), "kink", "norm at 0", "0 at 0"),
    (lambda x, y: np.hypot(x, y), (0.0, 0.0), "kink", "hypot at (0, 0)", "0 at (0, 0)"),
    (lambda x: np.maximum(x, 1.0), (1.0,), "kink", "tie in maximum", "shared equally"),
    (lambda x: np.minimum(x, 1.0), (1.0,), "kink", "tie in minimum", "shared equally"),
    (lambda x: np.fmax(x, 1.0), (1.0,), "kink", "tie in fmax", "shared equally"),
    (lambda x: np.max(x), (TIES,), "kink", "tie in max, 2 of 3 elements, first 0", "shared equally"),
    (lambda x: x.min(), (-TIES,), "kink", "tie in min", "shared equally"),
    (
        lambda x: np.max(x, axis=1).sum(),
        (np.array([[1.0, 2.0], [3.0, 3.0]]),),
        "kink",
        "2 of 4 elements, first 1, 0",
        "",
    ),
    (lambda x: np.sort(x)[0], (TIES,), "kink", "equal elements sorted, 2 of 3", "averaged"),
    (lambda x: np.median(x), (TIES,), "kink", "equal elements sorted", "averaged"),
    (lambda x: np.maximum.accumulate(x).sum(), (TIES,), "kink", "tie in a running extremum", "shared equally"),
    (lambda x: x[np.argmax(x)], (TIES,), "kink", "several extrema", "0, piecewise constant"),
    (lambda x: np.clip(x, -1.0, 1.0), (1.0,), "kink", "clip at a bound", "shared equally"),
    (lambda x: np.clip(x, -1.0, 1.0).sum(), (np.array([-1.0, 0.0]),), "kink", "clip at a bound, element 0 of 2", ""),
    (lambda x: np.copysign(x, 1.0), (0.0,), "kink", "copysign at 0", "0 at x = 0"),
    (lambda a: np.linalg.eigvalsh(a)[0], (np.eye(2),), "kink", "coinciding eigenvalues", "share equally"),
    (lambda a: np.linalg.svd(a)[1][0], (np.eye(2),), "kink", "coinciding singular values", "share equally"),
    (if_equal, (2.0,), "branch", "equal numbers compared by ==", "branch taken (True)"),
    (if_equal, (2,), "branch", "equal numbers compared by ==", "branch taken (True)"),
    (if_greater, (2.0,), "branch", "equal numbers compared by >", "branch taken (False)"),
    (lambda x: np.where(x >= 0, x, 2 * x).sum(), (np.array([1.0, 0.0]),), "branch", "by >=, element 1 of 2", "(True)"),
    (lambda x: np.floor(x) * x, (2.0,), "jump", "floor at a whole number", "0, piecewise constant"),
    (lambda x: np.floor(x) * x, (2.5,), "cut", "floor", "0, piecewise constant"),
    (lambda x: np.round(x) * x, (2.5,), "jump", "rounding of a half", "0, piecewise constant"),
    (lambda x: np.round(x, 1) * x, (2.25,), "jump", "rounding of a half", "0, piecewise constant"),
    (lambda x: round(x) * x, (2.2,), "cut", "rint", "0, piecewise constant"),
    (lambda x: np.sign(x) * x, (0.0,), "jump", "sign at 0", "0, piecewise constant"),
    (lambda x: np.sign(x) * x, (0.5,), "cut", "sign", "0, piecewise constant"),
    (lambda x: np.heaviside(x, 0.5) * x, (0.0,), "jump", "heaviside at 0", "0 in x"),
    (lambda x: x % 2.0, (4.0,), "jump", "% at a multiple", "that of the formula"),
    (lambda x: x * (x // 2.0), (4.0,), "jump", "// at a multiple", "0, piecewise constant"),
    (lambda x: x.astype(int) * x, (2.5,), "cut", "cast to int64", "0, piecewise constant"),
]


@pytest.mark.parametrize(("f", "args", "kind", "what", "convention"), KINKS)
def test_a_kink_is_found_once_with_its_line_and_convention(f, args, kind, what, convention) -> None:
    if isinstance(args[0], float) and "astype" in f.__code__.co_names:
        args = (np.float64(args[0]),)
    (finding,) = cr.explain(f, *args).findings
    assert finding.kind == kind
    assert what in finding.what
    assert convention in finding.convention
    assert finding.line.startswith(
        f"test_explain.py:{f.__code__.co_firstlineno}" if f.__name__ == "<lambda>" else "test_explain.py"
    )


# The same functions a little aside of their kinks, and functions that look as if they had one.
SMOOTH = [
    (lambda x: np.abs(x), (1e-3,)),
    (lambda x: np.maximum(x, x), (1.0,)),
    (lambda x: np.max(x) + np.sort(x)[0] + np.median(x) + np.linalg.norm(x), (np.array([1.0, 2.0, 3.0]),)),
    (lambda x: np.clip(x, -1.0, 1.0), (0.5,)),
    (if_equal, (2.5,)),
    (if_greater, (2.5,)),
    (lambda x: x % 3.0, (4.0,)),
    (lambda x: sum(x**k for k in range(5)), (0.0,)),
    (lambda x: np.linalg.eigvalsh(x * np.diag([1.0, 2.0]))[0], (1.0,)),
    (lambda x: np.var(x) + np.std(x) + np.vdot(x, x), (np.array([1.0, 2.5, 3.0]),)),
    (lambda x: np.where(np.arange(3) == 1, x, 2 * x).sum(), (np.ones(3),)),
]


@pytest.mark.parametrize(("f", "args"), SMOOTH)
def test_where_there_is_no_kink_none_is_found(f, args) -> None:
    found = cr.explain(f, *args)
    assert found.findings == []
    assert all(e.digits > 9 for e in found.evidence)
    assert "no kinks" in str(found)


def test_findings_at_the_same_line_are_counted_together() -> None:
    def f(x):
        for _ in range(7):
            x = np.maximum(x, 0.0)
        return x + np.abs(x)

    first, second = cr.explain(f, 0.0).findings
    assert (first.what, first.times) == ("tie in maximum", 7)
    assert (second.what, second.times) == ("abs at 0", 1)
    assert "`x = np.maximum(x, 0.0)`" in first.line
    assert "tie in maximum (7 times)" in str(first)


# function, argument, the findings: kind and a part of the text
NOT_FINITE = [
    (
        lambda x: np.log(x),
        0.0,
        [("not finite", "log(0) is -inf"), ("not finite derivative", "log makes the adjoint inf at 0")],
    ),
    (lambda x: np.sqrt(x - 2), 1.0, [("not finite", "sqrt(-1) is nan"), ("not finite derivative", "sqrt makes")]),
    (lambda x: x / (x - 1.0), 1.0, [("not finite", "divide(1, 0) is inf"), ("not finite derivative", "divide makes")]),
    (lambda x: np.exp(1000 * x), 1.0, [("not finite", "exp(1000) is inf"), ("not finite derivative", "exp makes")]),
    (lambda x: np.sqrt(x), 0.0, [("not finite derivative", "sqrt makes the adjoint inf at 0")]),
    (lambda x: np.sqrt(x) ** 2, 0.0, [("not finite derivative", "sqrt makes the adjoint nan, zero times infinity")]),
    (lambda x: np.log(x), -1.0, [("not finite", "log(-1) is nan"), ("not finite derivative", "the adjoint nan at -1")]),
    (lambda x: np.power(x, 0.5), 0.0, [("not finite derivative", "power makes the adjoint inf")]),
    (lambda x: np.linalg.norm(x * np.inf), 1.0, [("not finite", "multiply(1, inf) is inf")]),
    (lambda x: np.where(x > 0, x, np.nan) + np.where(x < 0, x, np.nan), 1.0, [("not finite", "nan enters where")]),
    (lambda x: x * np.nan, 1.0, [("not finite", "multiply(1, nan) is nan")]),
    (lambda x: x * 2, np.nan, [("not finite", "x is given as nan")]),
    (
        lambda x: np.sum(np.array([1.0, np.inf]) * x * np.array([1.0, 0.0])),
        1.0,
        [("not finite", "multiply(inf, 1) is inf, element 1 of 2")],
    ),
]


@pytest.mark.parametrize(("f", "x", "wanted"), NOT_FINITE)
def test_the_line_where_nan_and_infinity_are_born(f, x, wanted) -> None:
    found = cr.explain(f, x).findings
    assert found
    for kind, part in wanted:
        assert any(finding.kind == kind and part in finding.what for finding in found), (kind, part, found)


def test_only_the_birth_is_told_not_what_follows() -> None:
    def f(x):
        a = np.log(x)
        b = a * 2
        c = np.sin(b) + x
        return np.exp(c)

    births = [finding for finding in cr.explain(f, np.array([1.0, 0.0, -1.0])).findings if finding.kind == "not finite"]
    assert [finding.what for finding in births] == [
        "log(0) is -inf, 2 of 3 elements, first 1",
        "sin(-inf) is nan, element 1 of 3",
    ][:1]
    assert "`a = np.log(x)`" in births[0].line


def test_a_masked_pole_is_no_pole_of_the_derivative() -> None:
    found = cr.explain(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)), np.array([0.0, 4.0]))
    assert [finding.kind for finding in found.findings] == ["branch"]
    np.testing.assert_array_equal(found.gradient[0], [0.0, 0.25])


def test_infinities_that_meet_from_two_lines_are_told() -> None:
    def f(x):
        y = x * 1.0
        return y * 1e308 + y * 1e308

    found = cr.explain(f, 0.5)
    assert [finding.kind for finding in found.findings] == ["not finite derivative"]
    assert "contributions to the derivative by x" in found.findings[0].what


# -- digits -------------------------------------------------------------------------------------------


DIGITS = [
    (lambda x: np.exp(np.sin(x)), (0.7,), "the complex step", 15),
    (lambda x, y: x * y + np.exp(x * y) - np.sin(y), (1.5, 0.5), "the complex step", 15),
    (lambda x: np.sum(np.tanh(x) ** 3), (np.linspace(-1, 1, 40),), "the complex step", 14),
    (lambda x: np.abs(x) ** 1.5, (0.7,), "Richardson extrapolation", 10),
    (lambda x: np.vdot(x, x), (np.array([1.0, 2.0]),), "Richardson extrapolation", 10),  # conj: not analytic
    (lambda x: np.linalg.eigvalsh(x * np.array([[2.0, 1.0], [1.0, 3.0]]))[0], (1.3,), "Richardson extrapolation", 10),
]


@pytest.mark.parametrize(("f", "args", "method", "digits"), DIGITS)
def test_digits_are_confirmed_by_an_estimate_without_rules(f, args, method, digits) -> None:
    for evidence in cr.explain(f, *args).evidence:
        assert evidence.method == method
        assert evidence.digits > digits
        assert evidence.error_bar < 10.0**-digits


def test_a_wrong_rule_has_no_digits() -> None:
    cube = cr.elementwise("test_explain.cube", lambda x: x * x * x, lambda y, x: 3.003 * x * x)
    (evidence,) = cr.explain(lambda x: cube(x), 2.0).evidence
    assert 2.5 < evidence.digits < 3.5
    assert "3.0 digits confirmed by the complex step" in str(evidence)


def test_single_precision_has_its_digits() -> None:
    (evidence,) = cr.explain(lambda x: np.sum(np.sin(x) * x), np.float32([0.3, 0.7])).evidence
    assert 6 < evidence.digits < 9


def test_the_gradient_is_that_of_the_sum_of_the_results() -> None:
    found = cr.explain(lambda x: (np.sin(x), {"a": x**2}), np.array([0.3, 0.7]))
    wanted = numerical.gradient(lambda x: np.sum(np.sin(x) + x**2), np.array([0.3, 0.7]), method="complex")
    np.testing.assert_allclose(found.gradient[0], wanted, rtol=1e-15)
    np.testing.assert_array_equal(found.value[0], np.sin([0.3, 0.7]))


def test_nothing_warns_and_no_argument_changes() -> None:
    x = np.array([0.0, -1.0])

    def f(x):
        x += 1.0
        return np.log(x)  # of 1 and 0

    found = cr.explain(f, x)  # warnings are errors here
    assert found.findings[0].what == "log(0) is -inf, element 1 of 2"
    np.testing.assert_array_equal(x, [0.0, -1.0])


def test_text_and_html_tell_the_same() -> None:
    found = cr.explain(lambda x: np.abs(x) * (x < 1), 0.0)
    assert str(found).startswith("<lambda>: 1 finding\nkink: abs at 0; derivative: 0 at 0\n    test_explain.py:")
    assert "confirm nothing" in str(found)
    assert "abs at 0" in found._repr_html_()
    assert "&lt; 1" in found._repr_html_()


def test_an_explanation_needs_a_point() -> None:
    with pytest.raises(ArgumentError, match="needs the arguments"):
        cr.explain(np.sin)
