"""What the program calls its values, read from its byte code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.view.naming import Place


def named(f: Any, *args: Any) -> list[str]:
    trace = cr.trace(f, *args)
    return [row.name for row in trace.rows if row.kind == "operation"]


def square(x: Any) -> Any:
    return x * x


def assigned(x: Any) -> Any:
    y = x * 2
    return [y]


def chained(x: Any) -> Any:
    a = b = x * 2
    return a + b


def walrus(x: Any) -> Any:
    return (y := x * 2) + y


def augmented(x: Any) -> Any:
    y = x * 2
    y += x
    return y


def called(x: Any) -> Any:
    y = square(x)
    return [y]


def in_one_call(x: Any) -> Any:
    m = np.mean(x)
    return [m]


def looped(x: Any) -> Any:
    for _ in range(3):
        x = np.sin(x)
    return x


def enclosed(x: Any) -> Any:
    kept = x * 2

    def inner() -> Any:
        nonlocal kept
        kept = kept * 3
        return kept

    return inner()


@pytest.mark.parametrize(
    ("f", "args", "names"),
    [
        (assigned, (1.0,), ["y"]),
        (chained, (1.0,), ["a", ""]),
        (walrus, (1.0,), ["y", ""]),
        (augmented, (1.0,), ["y", "y"]),
        (called, (1.0,), ["y"]),
        (in_one_call, (np.array([1.0, 2.0]),), ["", "m"]),
        (looped, (1.0,), ["x", "x", "x"]),
        (enclosed, (1.0,), ["kept", "kept"]),
        (lambda x: x * 2, (1.0,), [""]),
    ],
    ids=lambda f: getattr(f, "__name__", ""),
)
def test_names(f: Any, args: Any, names: list[str]) -> None:
    assert named(f, *args) == names


def test_constant_arrays_have_the_users_name() -> None:
    weights = np.array([1.0, 2.0])
    trace = cr.trace(lambda x: weights @ x + np.array([3.0, 4.0]) @ x, np.array([1.0, 1.0]))
    products = [str(row.formula.args[0].text) for row in trace.rows if "matmul" in str(row.formula)]
    assert products == ["weights", "array(2,)"]


def test_lines_are_the_users() -> None:
    trace = cr.trace(called, 1.0)
    (row,) = [row for row in trace.rows if row.kind == "operation"]
    assert row.place is not None
    assert row.place.source == "return x * x"
    assert row.place.function == "square"
    assert [p.function for p in row.places[:2]] == ["square", "called"]


def test_code_without_a_file_has_its_lines_numbers() -> None:
    scope: dict[str, Any] = {"np": np}
    exec("def f(x):\n    y = np.exp(x)\n    return y\n", scope)
    trace = cr.trace(scope["f"], 0.0)
    (row,) = [row for row in trace.rows if row.kind == "operation"]
    assert row.name == "y"
    assert str(row.place) == "<string>:2"
    assert trace.to_html()


def test_functions_without_a_signature() -> None:
    assert cr.trace(np.arctan2, 1.0, 2.0).names == ["x1", "x2"]
    assert cr.trace(lambda *xs: xs[0] * xs[1], 1.0, 2.0).names == ["xs[0]", "xs[1]"]
    assert cr.trace(np.sin, 1.0).names == ["x"]


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("/home/ada/model.py", "model.py:7"),
        ("/tmp/ipykernel_4711/2728388762.py", "cell:7"),
        ("<stdin>", "<stdin>:7"),
        ("<expression 3>", ""),
    ],
)
def test_a_line_is_called_by_what_the_user_knows(file: str, shown: str) -> None:
    assert str(Place(file, 7, "f", 5)) == shown
