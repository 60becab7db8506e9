"""The table of rules: complete, and the derivatives in it are those that SymPy finds."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sympy

import chainrule as cr
from chainrule.cli.main import main
from chainrule.cli.rules import described
from chainrule.core.define import elementwise
from chainrule.core.primitive import registry

ELEMENTARY = (
    "negative reciprocal square sqrt exp expm1 log log1p sin cos tan arcsin arccos arctan sinh cosh tanh arctanh "
    "absolute erf erfc gamma add subtract multiply divide power arctan2 hypot"
)
NAMES = {
    **{f"arc{name}": getattr(sympy, f"a{name}") for name in ("sin", "cos", "tan", "tan2", "tanh")},
    "expm1": lambda x: sympy.exp(x) - 1,
    "log1p": lambda x: sympy.log(1 + x),
    "reciprocal": lambda x: 1 / x,
    "hypot": lambda x, y: sympy.sqrt(x**2 + y**2),
    "absolute": sympy.Abs,
    "digamma": sympy.digamma,
}


def meant(text: str) -> sympy.Expr:
    symbols = {name: sympy.Symbol(name, positive=True) for name in "xy"}
    return sympy.sympify(text, locals={**NAMES, **symbols})


@pytest.mark.parametrize("name", ELEMENTARY.split())
def test_a_rule_says_what_sympy_says(name: str) -> None:
    rule = described(registry[name], "ascii")
    point = {sympy.Symbol("x", positive=True): 0.3, sympy.Symbol("y", positive=True): 0.7}
    for variable, text in zip("xy", rule.derivatives, strict=False):
        expected = meant(rule.operation).diff(sympy.Symbol(variable, positive=True))
        shown = text.removeprefix(f"{variable}: ")
        assert float(meant(shown).subs(point)) == pytest.approx(float(expected.subs(point)), rel=1e-5), (name, text)


@pytest.mark.parametrize(
    ("name", "derivatives"),
    [
        ("matmul", ("x: □ @ y", "y: x @ □")),
        ("inv", ("−(inv(x) @ □) @ inv(x)",)),
        ("exp", ("exp(x)",)),
        ("maximum", ("x: 1 where it is selected, 0 elsewhere", "y: 1 where it is selected, 0 elsewhere")),
        ("jv", ("x: none: raises", "y: ½·(jv(x − 1, y) − jv(x + 1, y))")),
        ("floor", ("0",)),
        ("reshape", ("linear",)),
    ],
)
def test_how_rules_are_written(name: str, derivatives: tuple[str, ...]) -> None:
    assert described(registry[name]).derivatives == derivatives


def test_a_rule_may_stop_a_gradient() -> None:
    rule = elementwise("test.rules.stopped", lambda x: np.sin(x), lambda y, x: cr.stop_gradient(np.cos(x)))
    assert described(rule).derivatives == ("stop_gradient(cos(x))",)


def test_the_table_is_the_registry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--json"]) == 0
    table = {rule["name"]: rule for rule in json.loads(capsys.readouterr().out)}
    assert table.keys() == set(registry)
    for name, rule in table.items():
        assert rule["kind"] == registry[name].kind
        assert rule["tie"] == (registry[name].tie or "")
        assert all(rule["derivatives"]), name


def test_a_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--kind", "multilinear", "--json"]) == 0
    found = {rule["name"] for rule in json.loads(capsys.readouterr().out)}
    assert found == {name for name, p in registry.items() if p.kind == "multilinear"}
