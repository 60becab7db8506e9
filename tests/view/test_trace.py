"""Traces: the textbook's tables, every number of them worked out a second time, and what programs do besides.

The referee replays the printed formulae of the primal trace in 50-digit arithmetic and differentiates the
replay numerically; it knows nothing of the rules. The network's referee is backpropagation by hand.
"""

from __future__ import annotations

import re
from typing import Any

import mpmath
import numpy as np
import pytest

import chainrule as cr
import chainrule.numpy as cnp
from chainrule.errors import ArgumentError, UnsupportedError
from chainrule.view.notation import ASCII, render
from tests.view import golden
from tests.view.functions import (
    POINTS,
    REFEREES,
    SEEDS,
    batch,
    branches,
    nested,
    network,
    polynomial,
    survey,
    terms,
    wave,
)

SCALAR = list(POINTS)


def traced(f: Any, mode: str) -> Any:
    seed = SEEDS.get(f) if mode == "forward" else None
    return cr.trace(f, *POINTS[f], mode=mode, seed=seed)


def network_trace(mode: str) -> Any:
    return cr.trace(network, *batch(), mode=mode, argnums=(0, 1, 2, 3))


# -- the tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("f", [*SCALAR, network], ids=lambda f: f.__name__)
def test_tables(f: Any, mode: str) -> None:
    trace = network_trace(mode) if f is network else traced(f, mode)
    golden.check(f"{f.__name__}.{mode}.txt", f"{trace}\n")
    assert str(trace) == trace.text()


@pytest.mark.parametrize("f", [nested, branches], ids=lambda f: f.__name__)
def test_other_notations(f: Any) -> None:
    trace = traced(f, "reverse")
    golden.check(f"{f.__name__}.ascii.txt", trace.text("ascii") + "\n")
    assert trace.text("ascii").isascii()
    golden.check(f"{f.__name__}.md", trace.markdown())
    golden.check(f"{f.__name__}.tex", trace.latex())
    golden.check(f"{f.__name__}.forward.tex", traced(f, "forward").latex())


# What the texts print, with their slips mended: the derivative of the root has no minus sign, the
# adjoint of v₂ takes that of v₃ and not its own.
PRINTED = {
    (survey, "forward"): ["v̇₁ = v̇₋₁·v₀ + v₋₁·v̇₀", "v̇₂ = cos(v₀)·v̇₀", "v̇₃ = exp(v₁)·v̇₁", "v̇₄ = v̇₁ − v̇₂", "v̇₅ = v̇₃ + v̇₄"],
    (survey, "reverse"): [
        "v̄₃ += v̄₅",
        "v̄₄ += v̄₅",
        "v̄₁ += v̄₄",
        "v̄₂ += −v̄₄",
        "v̄₁ += v̄₃·v₃",
        "v̄₀ += v̄₂·cos(v₀)",
        "v̄₋₁ += v̄₁·v₀",
        "v̄₀ += v̄₁·v₋₁",
    ],
    (nested, "forward"): [
        "v̇₁ = 2·v₀·v̇₀",
        "v̇₂ = cos(v₁)·v̇₁",
        "v̇₃ = (v̇₋₁·v₂ − v₋₁·v̇₂)/v₂²",
        "v̇₄ = v̇₃/v₃",
        "v̇₅ = ½·v₄^(−½)·v̇₄",
        "v̇₆ = v̇₋₁·v₅ + v₋₁·v̇₅",
    ],
    (nested, "reverse"): [
        "v̄₋₁ += v̄₆·v₅",
        "v̄₅ += v̄₆·v₋₁",
        "v̄₄ += ½·v̄₅·v₄^(−½)",
        "v̄₃ += v̄₄/v₃",
        "v̄₋₁ += v̄₃/v₂",
        "v̄₂ += −v̄₃·v₋₁/v₂²",
        "v̄₁ += v̄₂·cos(v₁)",
        "v̄₀ += 2·v̄₁·v₀",
    ],
    (terms, "reverse"): [
        "v̄₄ += v̄₇/v₆",
        "v̄₆ += −v̄₇·v₄/v₆²",
        "v̄₅ += 2·v̄₆·v₅",
        "v̄₋₁ += v̄₅",
        "v̄₀ += −v̄₅",
        "v̄₃ += v̄₄/v₃",
        "v̄₁ += v̄₃·v₂",
        "v̄₂ += v̄₃·v₁",
        "v̄₋₁ += v̄₂·v₀",
        "v̄₀ += v̄₂·v₋₁",
        "v̄₋₁ += v̄₁",
        "v̄₀ += v̄₁",
    ],
    (wave, "forward"): ["v̇₁ = v̇₀/v₀", "v̇₂ = cos(v₀)·v̇₀", "v̇₃ = 2·v₂·v̇₂", "v̇₄ = v̇₁·v₃ + v₁·v̇₃"],
}


@pytest.mark.parametrize(("f", "mode"), PRINTED, ids=lambda x: getattr(x, "__name__", x))
def test_formulae_are_the_textbooks(f: Any, mode: str) -> None:
    trace = traced(f, mode)
    if mode == "forward":
        rows = [row for row in trace.rows if row.kind == "operation"]
        lines = [f"v̇{row_number(row.label)} = {render(row.tangent_formula)}" for row in rows]
    else:
        lines = [f"v̄{row_number(a.target)} += {render(a.formula)}" for a in trace.accumulations]
    assert lines == PRINTED[f, mode]


def row_number(name: Any) -> str:
    return str(name.index).translate(str.maketrans("0123456789-", "₀₁₂₃₄₅₆₇₈₉₋"))


# -- every number a second time -----------------------------------------------------------------------


class Replay:
    """The printed primal trace as a program in 50-digit arithmetic."""

    def __init__(self, trace: Any) -> None:
        self.rows = [(ASCII.name(r.label), r.kind, r) for r in trace.rows if r.kind in ("input", "operation")]
        self.codes = [
            compile(render(r.formula, ASCII), "trace", "eval") if kind == "operation" else None
            for _, kind, r in self.rows
        ]
        self.last = next(render(r.formula, ASCII) for r in trace.rows if r.kind == "output")

    def run(self, inputs: list[Any], given: dict[str, Any] | None = None) -> dict[str, Any]:
        values: dict[str, Any] = {}
        supply = iter(inputs)
        for (name, kind, _), code in zip(self.rows, self.codes, strict=True):
            value = next(supply) if kind == "input" else eval(code, {}, {**NAMES, **values})
            values[name] = (given or {}).get(name, value)
        return values


NAMES = {name: getattr(mpmath, name) for name in ("exp", "sin", "cos", "log", "sqrt", "tanh")}


def near(have: Any, want: Any) -> bool:
    return abs(float(have) - float(want)) <= 4e-15 * max(1.0, abs(float(want)))


@pytest.mark.parametrize("f", SCALAR, ids=lambda f: f.__name__)
def test_primal_values(f: Any) -> None:
    trace = traced(f, "reverse")
    with mpmath.workdps(50):
        replay = Replay(trace)
        values = replay.run([mpmath.mpf(x) for x in POINTS[f]])
        assert all(near(row.value, values[name]) for name, _, row in replay.rows)
        assert near(trace.value, REFEREES[f](*map(mpmath.mpf, POINTS[f])))
        assert near(values[replay.last], REFEREES[f](*map(mpmath.mpf, POINTS[f])))


@pytest.mark.parametrize("f", SCALAR, ids=lambda f: f.__name__)
def test_tangent_values(f: Any) -> None:
    trace = traced(f, "forward")
    point = POINTS[f]
    seed = SEEDS.get(f, (1.0, *[0.0] * (len(point) - 1)))
    with mpmath.workdps(50):
        replay = Replay(trace)

        def along(t: Any, name: str) -> Any:
            return replay.run([mpmath.mpf(x) + t * s for x, s in zip(point, seed, strict=True)])[name]

        for name, _, row in replay.rows:
            assert near(row.tangent, mpmath.diff(lambda t, name=name: along(t, name), 0))
        want = mpmath.diff(lambda t: REFEREES[f](*[x + t * s for x, s in zip(point, seed, strict=True)]), 0)
    assert near(trace.derivative, want)


@pytest.mark.parametrize("f", SCALAR, ids=lambda f: f.__name__)
def test_adjoint_values(f: Any) -> None:
    """Each adjoint is the change of the result with its row, all rows before it held fixed."""
    trace = traced(f, "reverse")
    with mpmath.workdps(50):
        replay = Replay(trace)
        inputs = [mpmath.mpf(x) for x in POINTS[f]]
        values = replay.run(inputs)
        sums: dict[str, float] = {}
        for item in trace.accumulations:
            name = ASCII.name(type(item.target)("v", item.target.index))
            sums[name] = sums.get(name, 0.0) + item.value
            assert near(item.total, sums[name])
        for name, _, _ in replay.rows[: len(replay.rows) - 1]:
            want = mpmath.diff(lambda v, name=name: replay.run(inputs, {name: v})[replay.last], values[name])
            assert near(sums[name], want)
    for k, value in enumerate(trace.derivative):
        assert near(value, mpmath.diff(REFEREES[f], POINTS[f], tuple(int(k == j) for j in range(len(POINTS[f])))))


@pytest.mark.parametrize("f", SCALAR, ids=lambda f: f.__name__)
def test_printed_formulae_give_the_printed_values(f: Any) -> None:
    forward, reverse = traced(f, "forward"), traced(f, "reverse")
    names = {ASCII.name(r.label): r.value for r in forward.rows if r.kind in ("input", "operation")}
    names |= {f"d{ASCII.name(r.label)}": r.tangent for r in forward.rows if r.kind in ("input", "operation")}
    adjoints = dict(zip(sorted(names), [], strict=False))
    for slot, adjoint in enumerate(reverse.adjoints):
        adjoints[ASCII.name(reverse.formulae.name(slot, "bar"))] = adjoint
    scope = {name: getattr(np, name) for name in NAMES} | names | adjoints
    for row in forward.rows:
        if row.kind == "operation":
            assert near(eval(render(row.tangent_formula, ASCII), {}, scope), row.tangent)
    for item in reverse.accumulations:
        assert near(eval(render(item.formula, ASCII), {}, scope), item.value)
        assert near(eval(render(item.partial, ASCII), {}, scope), item.partial_value)


def test_the_network_by_hand() -> None:
    w1, b1, w2, b2, x, t = batch()
    trace = network_trace("reverse")
    hidden = np.tanh(x @ w1 + b1)
    residual = hidden @ w2 + b2 - t
    d_output = 2 * residual / residual.size
    d_hidden = d_output @ w2.T * (1 - hidden**2)
    want = (x.T @ d_hidden, d_hidden.sum(0), hidden.T @ d_output, d_output.sum(0))
    for have, expected in zip(trace.derivative, want, strict=True):
        np.testing.assert_allclose(have, expected, rtol=1e-14)
    by_name = {trace.record.names.get(slot): adjoint for slot, adjoint in enumerate(trace.adjoints)}
    np.testing.assert_allclose(by_name["output"], d_output, rtol=1e-14)
    np.testing.assert_allclose(by_name["hidden"], d_output @ w2.T, rtol=1e-14)
    directions = [np.ones_like(w1), *[np.zeros_like(a) for a in (b1, w2, b2)]]
    assert network_trace("forward").derivative == pytest.approx(float(np.sum(want[0] * directions[0])), rel=1e-13)


# -- what programs do ---------------------------------------------------------------------------------


def names(trace: Any) -> dict[str, str]:
    return {render(row.formula): row.name for row in trace.rows if row.kind == "operation"}


def test_an_operand_used_twice_is_added_twice() -> None:
    trace = cr.trace(lambda x: x * x, 3.0)
    assert [(render(a.formula), a.value, a.total) for a in trace.accumulations] == [
        ("v̄₁·v₀", 3.0, 3.0),
        ("v̄₁·v₀", 3.0, 6.0),
    ]


def test_the_path_taken_is_recorded() -> None:
    rows = [row for row in traced(branches, "reverse").rows if row.kind == "decision"]
    assert [(render(row.formula, ASCII), row.value) for row in rows] == [("[v_1 > v0]", v) for v in (False,)] + [
        ("[v3 > v0]", True),
        ("[v4 > v0]", False),
    ]
    assert all("if y > n" in row.place.source for row in rows)


def test_truth_and_rounding_are_decisions() -> None:
    def f(x: Any) -> Any:
        return x * round(x) if x and x == x else x

    found = [row for row in cr.trace(f, 2.7).rows if row.kind == "decision"]
    assert [row.value for row in found] == [True, True, 3]


def test_several_results_are_rows() -> None:
    trace = cr.trace(lambda x: {"a": x * 2, "b": (x + 1, 7.0)}, 3.0)
    assert [(row.label, row.value) for row in trace.rows if row.kind == "output"] == [
        ("y['a']", 6.0),
        ("y['b'][0]", 4.0),
        ("y['b'][1]", 7.0),
    ]
    assert trace.value == {"a": 6.0, "b": (4.0, 7.0)}
    assert trace.derivative == (3.0,)


def test_containers_name_their_leaves() -> None:
    trace = cr.trace(lambda p, k: p["w"] @ p["w"] * k, {"w": np.array([1.0, 2.0]), "n": 3}, 2.0)
    assert trace.names == ["p['w']", "k"]
    np.testing.assert_array_equal(trace.derivative[0]["w"], [4.0, 8.0])


def test_arguments_that_cannot_be_differentiated_are_left_out() -> None:
    trace = cr.trace(lambda x, flag, name, f: f(x) if flag else x, 2.0, True, "n", np.sin)
    assert trace.names == ["x"]
    assert trace.derivative == (pytest.approx(np.cos(2.0)),)


def test_writes_in_place_and_views() -> None:
    def f(x: Any) -> Any:
        y = cnp.zeros(3)
        for i in range(3):
            y[i] = x ** (i + 1)
        y[1:] *= 2.0
        return y.sum()

    trace = cr.trace(f, 1.5)
    assert trace.value == pytest.approx(1.5 + 2 * 1.5**2 + 2 * 1.5**3)
    assert trace.derivative == (pytest.approx(1 + 4 * 1.5 + 6 * 1.5**2),)
    written = [row.value for row in trace.rows if row.kind == "operation" and row.step.primitive.name == "set_item"]
    np.testing.assert_allclose(written[0], [1.5, 0, 0])  # a row keeps the value it had


def test_the_callers_arrays_are_not_touched() -> None:
    x, c = np.array([1.0, 2.0]), np.array([3.0, 4.0])

    def f(x: Any) -> Any:
        x[0] = 5.0
        y = x * c
        c[0] = 100.0
        return y.sum()

    trace = cr.trace(f, x)
    np.testing.assert_array_equal(x, [1.0, 2.0])
    np.testing.assert_array_equal(trace.derivative[0], [0.0, 4.0])
    (product,) = [row for row in trace.rows if row.kind == "operation" and row.step.primitive.name == "multiply"]
    np.testing.assert_array_equal(product.step.values[1], [3.0, 4.0])


def test_custom_rules_are_one_row_with_the_users_rule() -> None:
    @cr.custom_jvp
    def wrong(x: Any, y: Any) -> Any:
        return x * x * y

    @wrong.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = primals, tangents
        return wrong(x, y), 7 * x * dx + dy

    trace = cr.trace(wrong, 3.0, 2.0)
    assert [render(row.formula) for row in trace.rows if row.kind == "operation"] == ["wrong(v₋₁, v₀)"]
    assert [render(a.formula) for a in trace.accumulations] == ["7·v̄₁·v₋₁", "v̄₁"]
    assert trace.derivative == (21.0, 1.0)
    assert cr.trace(wrong, 3.0, 2.0, mode="forward").derivative == 21.0

    @cr.custom_vjp
    def both(x: Any) -> Any:
        return np.sin(x), np.cos(x)

    both.defvjp(lambda x: ((np.sin(x), np.cos(x)), x), lambda x, cts: (cts[0] * np.cos(x) - cts[1] * np.sin(x),))

    def f(x: Any) -> Any:
        s, c = both(x)
        return s * c

    assert cr.trace(f, 0.3).derivative == (pytest.approx(np.cos(0.6)),)
    assert cr.trace(f, 0.3, mode="forward").derivative == pytest.approx(np.cos(0.6))


def test_a_derivative_can_be_traced() -> None:
    trace = cr.trace(lambda x: cr.grad(lambda z: np.sin(z) * z)(x), 1.5)
    assert trace.value == pytest.approx(np.sin(1.5) + 1.5 * np.cos(1.5))
    assert trace.derivative == (pytest.approx(2 * np.cos(1.5) - 1.5 * np.sin(1.5)),)
    assert trace.record.nested


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (lambda x: np.linalg.norm(np.sort(x)[1:]) + np.max(x), (np.array([3.0, 1.0, 2.0]),)),
        (lambda a: np.linalg.slogdet(a)[1] + np.trace(np.linalg.qr(a)[1]), (np.array([[2.0, 1.0], [0.5, 3.0]]),)),
        (lambda x: np.where(x > 1, x**2, np.sin(x)).mean(), (np.array([0.5, 1.5, 2.5]),)),
        (lambda x, y: np.concatenate([x, y]).prod() + np.clip(x, 0, 1).sum(), (np.array([0.5, 2.0]), np.array([3.0]))),
        (lambda x: cr.vmap(lambda r: np.sin(r) * r)(x).sum(), (np.ones(3),)),
        (lambda x: np.floor(x) * x + np.hypot(x, 2.0) + abs(x) ** 1.5, (2.5,)),
        (lambda z: abs(z) ** 2, (1 + 2j,)),
        (lambda x: np.float32(2) * x, (np.float32(3),)),
        (lambda x: cr.stop_gradient(x) * x, (3.0,)),
    ],
)
def test_numbers_agree_with_the_engines(f: Any, args: Any) -> None:
    for have, want in zip(cr.trace(f, *args).derivative, cr.grad(f, tuple(range(len(args))))(*args), strict=True):
        np.testing.assert_array_equal(have, want)
    ones = (np.ones_like(args[0])[()], *[np.zeros_like(a)[()] for a in args[1:]])
    np.testing.assert_array_equal(cr.trace(f, *args, mode="forward").derivative, cr.jvp(f, args, ones)[1])


def test_seeds() -> None:
    def f(x: Any) -> Any:
        return x * 2, x * x

    x = np.array([1.0, 2.0])
    trace = cr.trace(f, x, seed=(np.array([1.0, 0.0]), np.array([0.0, 1.0])))
    np.testing.assert_array_equal(trace.derivative[0], [2.0, 4.0])
    forward = cr.trace(f, x, mode="forward", seed=(np.array([0.0, 1.0]),))
    np.testing.assert_array_equal(forward.derivative[1], [0.0, 4.0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cr.trace(3.0, 1.0), "trace takes a function"),
        (lambda: cr.trace(np.sin, 1.0, mode="both"), "mode='both'"),
        (lambda: cr.trace(np.sin, 1.0, argnums=1), "argnums=1"),
        (lambda: cr.trace(np.sin, 1.0, mode="forward", seed=1.0), "takes a tuple of tangents"),
        (lambda: cr.trace(np.sin, 1.0, seed=(1.0, 2.0)), "structure of the result"),
        (lambda: cr.trace(np.sin, 1.0).text("latex"), "style='latex'"),
        (lambda: cr.trace(np.sin, 1.0).to_dataframe("tangent"), "part='tangent'"),
        (lambda: cr.grad(lambda y: cr.trace(np.sin, y).value)(1.0), "cannot be values of another transformation"),
    ],
)
def test_bad_arguments(call: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(words)):
        call()


def test_an_enclosing_transformation_raises() -> None:
    with pytest.raises(UnsupportedError, match="not differentiated"):
        cr.grad(lambda y: cr.trace(lambda z: z * y, 1.0).value)(2.0)


def test_a_leaked_value_raises() -> None:
    kept: list[Any] = []
    cr.trace(lambda x: kept.append(x) or x * 2, 1.0)
    with pytest.raises(cr.errors.LeakedTracerError):
        kept[0] * 2


def test_an_operation_without_a_rule_raises() -> None:
    opaque = cr.primitive("tests.view.opaque", lambda x: np.frexp(x)[0])
    with pytest.raises(UnsupportedError, match="no derivative rule"):
        cr.trace(opaque, 3.0)


def test_polynomial_has_its_names() -> None:
    assert cr.trace(polynomial, 1.0, 2.0, 3.0).names == ["a", "b", "c"]
    assert cr.trace(np.arctan2, 1.0, 2.0).names == ["x1", "x2"]
    assert names(traced(terms, "reverse"))["log(v₃)"] == "t4"
