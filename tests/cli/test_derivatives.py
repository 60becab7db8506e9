"""`grad`, `source`, `check`: right numbers, programs that run, verdicts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.cli.main import main

MODEL = """
import numpy as np
import chainrule as cr


def energy(p, scale=2.0):
    return scale * np.sum(p["k"] * p["x"] ** 2)


def circle(t):
    return np.array([3.0, 1.0]) * np.sin(t)


def counts(x, n):
    for _ in range(n):
        x = x * x
    return x


@cr.custom_jvp
def false_square(x):
    return x * x


false_square.defjvp(lambda primals, tangents: (primals[0] ** 2, 3 * primals[0] * tangents[0]))


def uses_false_square(x):
    return false_square(x) + x


class Model:
    @staticmethod
    def loss(x):
        return x**3
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(MODEL)


def data(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> Any:
    assert main([*argv, "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("argv", "value", "derivative"),
    [
        (("2*a*b*c*(a**2 + b**2 + c**2)", "a=1", "b=2", "c=3"), 168.0, {"a": 192.0, "b": 132.0, "c": 128.0}),
        (("log(x)*sin(x)**2", "x=pi/2"), math.log(math.pi / 2), {"x": 2 / math.pi}),
        (
            ("model.py:energy", "p={'k': 3.0, 'x': [1.0, 2.0]}"),
            30.0,
            {"p": {"k": 10.0, "x": [12.0, 24.0]}, "scale": 15.0},
        ),
        (("model.py:energy", "p={'k': 3.0, 'x': [1.0]}", "--wrt", "scale"), 6.0, {"scale": 3.0}),
        (("model.py:counts", "x=2.0", "n=3", "--wrt", "x"), 256.0, {"x": 1024.0}),
        (("model.py:Model.loss", "--at", "x=2"), 8, {"x": 12.0}),
        (("-x**2", "x=3"), -9.0, {"x": -6.0}),
        (("1/x", "x=0"), "Infinity", {"x": "-Infinity"}),
    ],
)
def test_gradients(argv: tuple[str, ...], value: Any, derivative: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, "grad", *argv)
    assert found["value"] == pytest.approx(value) if isinstance(value, float) else found["value"] == value
    for name, expected in derivative.items():
        plain = isinstance(expected, float)
        assert found["derivative"][name] == (pytest.approx(expected, rel=1e-14) if plain else expected)
    assert found["derivative"].keys() == derivative.keys()


def test_the_jacobian_of_a_function_that_returns_an_array(capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, "grad", "model.py:circle", "t=[0.5,0.7]")
    np.testing.assert_allclose(found["derivative"]["t"], np.diag([3 * math.cos(0.5), math.cos(0.7)]), rtol=1e-14)


@pytest.mark.parametrize("stage", ["derivative", "compiled"])
def test_the_source_is_a_program(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = data(capsys, "source", "x*exp(y) + y", "--stage", stage)["source"]
    compile(text, "source", "exec")
    if stage == "derivative":
        space: dict[str, Any] = {}
        exec(text, space)
        assert space["f"](2.0, 0.5) == pytest.approx((math.exp(0.5), 2 * math.exp(0.5) + 1))


def test_the_source_of_the_function_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert "return x * x" in data(capsys, "source", "x*x", "--primal")["source"]


def test_values_that_nobody_gave_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["source", "model.py:Model.loss"]) == 0
    assert "x: taken for numbers; for arrays give --at x=[1.0, 2.0]" in capsys.readouterr().err


def test_a_wrong_rule_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, "check", "model.py:uses_false_square", "x=2.0", code=1)
    assert found["right"] is False
    assert "jvp against central differences" in found["disagreement"]


def test_at_a_kink_there_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, "check", "abs(x)*y", "x=0", "y=2", code=1)
    assert found["right"] is None
    assert found["kinks"] == ["abs at 0"]
    assert main(["check", "abs(x)*y", "x=0", "y=2"]) == 1
    out = capsys.readouterr().out
    assert "undecided: f, jvp:" in out
    assert "differences prove nothing: abs at 0" in out


@pytest.mark.parametrize("options", [(), ("--order", "1"), ("--native",)])
def test_right_derivatives_pass(options: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "x*exp(y)", *options]) == 0
    out = capsys.readouterr().out
    assert "right: " in out
    assert ("native mode agrees" in out) is ("--native" in options)
    assert ("first derivatives" in out) is ("--order" in options)
