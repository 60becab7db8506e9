"""The four ways side by side: errors against mpmath's own derivatives, counts by hand, the wrong argument named."""

from __future__ import annotations

import math

import matplotlib
import matplotlib.figure
import mpmath
import numpy as np
import pytest
import scipy.special as sc

import chainrule as cr
from chainrule.errors import ArgumentError
from chainrule.report.problem import Problem
from chainrule.report.reference import Reference

matplotlib.use("Agg")


def textbook(x1, x2):
    return x1 * x2 + np.exp(x1 * x2) - np.sin(x2)


def by_hand(x1, x2):
    return x2 + x2 * np.exp(x1 * x2), x1 + x1 * np.exp(x1 * x2) - np.cos(x2)


def wrong_sign(x1, x2):
    """The sign that published tables get wrong."""
    return x2 + x2 * np.exp(x1 * x2), x1 + x1 * np.exp(x1 * x2) + np.cos(x2)


MPMATH = [  # program, the same for mpmath, point
    (textbook, lambda a, b: a * b + mpmath.exp(a * b) - mpmath.sin(b), (1.5, 0.5)),
    (
        lambda x1, x2: x1 * np.sqrt(np.log(x1 / np.sin(x2**2))),
        lambda a, b: a * mpmath.sqrt(mpmath.log(a / mpmath.sin(b**2))),
        (3.0, 0.7),
    ),
    (
        lambda x1, x2: np.log(x1 * x2 * (x1 + x2)) / (x1 - x2) ** 2,
        lambda a, b: mpmath.log(a * b * (a + b)) / (a - b) ** 2,
        (2.0, 10.0),
    ),
    (lambda x: sc.erf(x) * np.arctan(x), lambda a: mpmath.erf(a) * mpmath.atan(a), (2.3,)),
    (lambda x: np.max(np.array([0.1, 0.2]) * x) + abs(x), lambda a: mpmath.mpf(0.2) * a + a, (1.7,)),
]


@pytest.mark.parametrize(("f", "exact", "point"), MPMATH)
def test_the_reference_is_right_to_fifty_digits(f, exact, point) -> None:
    reference = Reference(Problem(f, point, "compare"))
    with mpmath.workdps(200):
        for k in range(len(point)):
            for order in (1, 2, 3):
                n = [0] * len(point)
                n[k] = order
                wanted = mpmath.diff(exact, point, tuple(n)) if len(point) > 1 else mpmath.diff(exact, point[0], order)
                found = mpmath.mpf(str(reference.derivative(k, order)))
                assert abs(found - wanted) <= mpmath.mpf(10) ** -50 * max(1, abs(wanted)), (k, order)


def test_every_way_gives_the_gradient_and_its_error() -> None:
    found = cr.compare(textbook, 1.5, 0.5, manual=by_hand)
    assert [(r.approach, r.method) for r in found.rows] == [
        ("manual", "by hand"),
        ("numerical", "forward differences"),
        ("numerical", "central differences"),
        ("numerical", "complex step"),
        ("symbolic", "SymPy"),
        ("automatic", "forward mode"),
        ("automatic", "reverse mode"),
    ]
    truth = [0.5 * (1 + math.exp(0.75)), 1.5 * (1 + math.exp(0.75)) - math.cos(0.5)]
    np.testing.assert_allclose(found.reference, truth, rtol=1e-15)
    bounds = [1e-15, 1e-6, 1e-9, 1e-15, 1e-15, 1e-15, 1e-15]
    for row, bound in zip(found.rows, bounds, strict=True):
        np.testing.assert_allclose(row.gradient, truth, rtol=2 * bound)
        assert row.error <= bound
        assert row.seconds > 0
    assert found.rows[1].error > 1e-12
    assert found.wrong == []
    assert found.rows[0].note == "right"


def test_evaluations_and_operations_are_counted() -> None:
    rows = {row.method: row for row in cr.compare(textbook, 1.5, 0.5, manual=by_hand).rows}
    calls = {name: row.evaluations for name, row in rows.items()}
    assert calls == {
        "by hand": 0,
        "forward differences": 1 + 2,
        "central differences": 1 + 4,
        "complex step": 1 + 2,
        "SymPy": 0,
        "forward mode": 1,
        "reverse mode": 1,
    }
    operations = {name: row.operations for name, row in rows.items()}
    assert operations["by hand"] == 10  # the product twice, the exponential twice, and what is around them
    assert operations["forward differences"] == 3 * 6 + 2 * 2
    assert operations["central differences"] == 5 * 6 + 2 * 2
    assert operations["forward mode"] == 6 + 2 * 12
    assert operations["reverse mode"] == 6 + 11


def test_a_wrong_derivative_by_hand_is_named() -> None:
    found = cr.compare(textbook, 1.5, 0.5, manual=wrong_sign)
    assert found.wrong == ["x2: 5.5530826, but 3.7979175 is right"]
    assert found.rows[0].note == "wrong in x2"
    assert str(found).splitlines()[-1] == "by hand: wrong in x2: 5.5530826, but 3.7979175 is right"
    assert "wrong in x2" in found._repr_html_()


def test_of_an_array_the_elements_that_are_wrong_are_named() -> None:
    def manual(w, b):
        return np.array([2.0, 4.0, 7.0]), np.nan

    found = cr.compare(lambda w, b: np.sum(w**2) * b, np.array([1.0, 2.0, 3.0]), 1.0, manual=manual)
    assert found.wrong[0] == "w: 7 in 1 of 3 elements, first w[2], but 6 is right"
    assert found.wrong[1].startswith("b: nan")


@pytest.mark.parametrize("manual", [lambda x: (x, x), lambda x: np.ones(2), lambda x: ()])
def test_a_manual_derivative_of_another_structure_raises(manual) -> None:
    with pytest.raises(ArgumentError, match="one derivative per argument, like x"):
        cr.compare(lambda x: x**2, 1.0, manual=manual)


def test_what_does_not_lead_to_a_derivative_says_why() -> None:
    rows = {row.method: row for row in cr.compare(lambda x: np.abs(x) * x, -2.0).rows}
    assert rows["complex step"].note == "wrong: the function is not analytic"
    assert rows["complex step"].error > 0.1
    matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
    found = cr.compare(lambda x: np.linalg.eigvalsh(x * matrix)[0], 0.3)
    rows = {row.method: row for row in found.rows}
    assert rows["SymPy"].note == "eigh has no counterpart in SymPy here"
    assert rows["complex step"].gradient is None
    assert found.digits == "reverse mode, since there is no reference: eigh has no counterpart in mpmath here"
    with pytest.raises(ArgumentError, match="no reference of fifty digits"):
        found.steps()


def test_one_of_a_thing_is_singular() -> None:
    text = str(cr.compare(lambda x: x**2, 3.0))
    assert "1 operation;" in text
    assert "SymPy: 1 operation, 1 after CSE" in text
    assert "1 tangent in one pass" in text


def test_formulae_that_would_swell_are_left_out() -> None:
    w = np.full((6, 6), 0.1)

    def network(x):
        return np.sum(np.tanh(w @ np.tanh(w @ np.tanh(w @ x))) ** 2)

    rows = {row.method: row for row in cr.compare(lambda x: network(np.tile(x, 1)), np.ones(6)).rows}
    assert rows["reverse mode"].error < 1e-14
    assert rows["SymPy"].gradient is not None
    big = cr.compare(lambda x: np.sum(np.outer(x, x) ** 2), np.ones(30))
    rows = {row.method: row for row in big.rows}
    assert rows["SymPy"].note.startswith("left out: the formulae of 30 derivatives")
    assert rows["reverse mode"].error < 1e-14
    assert "x[29]" in big.labels
    assert len(big.table()[0]) == 6  # thirty columns would not be a table


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (lambda x: (x, x), (1.0,)),
        (lambda x: np.ones(2) * x, (1.0,)),
        (lambda x: x + 1j, (1.0,)),
        (lambda x: x, ()),
        (lambda x: x, (1j,)),
    ],
)
def test_a_comparison_needs_a_real_function_of_real_numbers(f, args) -> None:
    with pytest.raises(ArgumentError):
        cr.compare(f, *args)


def test_the_function_sees_its_own_arguments() -> None:
    data = {"w": np.array([0.5, 0.7]), "name": "linear"}

    def f(p, power, flag):
        assert p["name"] == "linear"
        assert flag is True
        p["w"] *= 2.0
        return np.sum(p["w"] ** power)

    found = cr.compare(f, data, 3, True)
    assert found.labels == ["p['w'][0]", "p['w'][1]", "power"]
    np.testing.assert_array_equal(data["w"], [0.5, 0.7])
    assert {row.method: row.error for row in found.rows}["central differences"] != 0


def test_single_precision_is_compared_in_its_own() -> None:
    rows = {row.method: row for row in cr.compare(lambda x: np.sum(np.sin(x)), np.float32([0.3, 0.7])).rows}
    assert 1e-9 < rows["reverse mode"].error < 1e-6


def test_tables_in_text_html_and_pandas_agree() -> None:
    found = cr.compare(textbook, 1.5, 0.5, manual=wrong_sign)
    lines = str(found).splitlines()
    assert lines[:2] == ["textbook(x1=1.5, x2=0.5) = 2.38757447801", "6 operations; errors against 50 digits, mpmath"]
    assert lines[3].split() == ["method", "x1", "x2", "error", "calls", "ops", "time"]
    assert [line[:9].strip() for line in lines[5:12]] == ["manual", "numerical", "", "", "symbolic", "automatic", ""]
    assert lines[14] == "SymPy: df/dx1 = x2*exp(x1*x2) + x2"
    assert lines[17] == "reverse mode: 2.8 × the function; one sweep"
    assert max(map(len, lines)) <= 100
    assert found._repr_html_().count("<tr>") == 1 + len(found.rows)
    frame = found.to_dataframe()
    assert list(frame.columns[:4]) == ["approach", "method", "d/dx1", "d/dx2"]
    assert frame["evaluations"].tolist() == [row.evaluations for row in found.rows]
    assert frame.loc[0, "d/dx2"] == pytest.approx(5.5530826)


# -- the error against the step -----------------------------------------------------------------------


def test_the_curve_has_two_branches_and_the_best_step_between_them() -> None:
    found = cr.compare(np.exp, 1.0)
    curve = found.steps()
    eps = np.finfo(float).eps
    wanted = {"forward": (eps**0.5, 1e-8), "central": (eps ** (1 / 3), 1e-10), "complex": (None, 1e-15)}
    assert set(curve.branches) == set(wanted)
    for method, (step, error) in wanted.items():
        branch = curve.branches[method]
        assert branch.best_error <= error
        if step is not None:
            assert step / 30 < branch.best_step < step * 30
    power = {"forward": 1, "central": 2, "complex": 2}
    for method, branch in curve.branches.items():
        # At h = 0.01 the error is that of the formula, h/2 and h²/6 for the exponential.
        k = int(np.argmin(np.abs(np.log10(curve.steps) + 2)))
        h = curve.steps[k]
        np.testing.assert_allclose(branch.truncation[k], h / 2 if power[method] == 1 else h * h / 6, rtol=1e-12)
        np.testing.assert_allclose(branch.errors[k], branch.truncation[k], rtol=0.02)
    # Below the best step round-off bounds it, and the complex step has none.
    small = curve.steps < 1e-9
    forward = curve.branches["forward"]
    assert np.nanmax(forward.errors[small] / forward.roundoff[small]) < 3
    assert np.nanmax(curve.branches["complex"].errors[small]) < 1e-15


def test_a_function_without_complex_numbers_has_two_curves() -> None:
    curve = cr.compare(lambda x: math.exp(x) if isinstance(x, float) else np.exp(x) * (x > 0), 1.0).steps()
    assert "central" in curve.branches


def test_plots_are_drawn_on_the_given_axes() -> None:
    found = cr.compare(textbook, 1.5, 0.5)
    figure = matplotlib.figure.Figure()
    one, two = figure.subplots(2)
    assert found.plot_steps(one, element=1) is one
    assert one.get_title() == "Error of difference quotients in x2"
    assert one.get_xscale() == one.get_yscale() == "log"
    assert len(one.get_legend().get_texts()) == 3
    assert found.plot_errors(two) is two
    assert len(two.patches) == len(found.rows)
    figure.canvas.draw()
    with pytest.raises(IndexError):
        found.steps(2)
