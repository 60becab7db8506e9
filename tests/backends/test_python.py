"""What the text looks like."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from chainrule.backends.python import write
from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
from chainrule.ir.nodes import Array, Function, Line, Reserve, Scalar, Slice, Undef, Var
from tests.ir.programs import PROGRAMS, branch, finish, loop, repeat

VECTOR, MATRIX = Array("float64", 1), Array("float64", 2)


def body(function: Function, stage: str = "derivative") -> str:
    """The text from the first statement on."""
    lines = write(function, stage).text.splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("def ")) + 1
    first += lines[first].lstrip().startswith('"""')
    return textwrap.dedent("\n".join(lines[first:]))


def expression(b: Builder, result: Any) -> str:
    """How `result` is written in terms of x, y and z."""
    return body(Function("f", (X, Y, Z), b.block, (result,))).removeprefix("return ")


X, Y, Z = (Var(hint, FLOAT) for hint in "xyz")


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda b: b.let("multiply", b.let("add", X, Y), Z), "(x + y) * z"),
        (lambda b: b.let("add", X, b.let("multiply", Y, Z)), "x + y * z"),
        (lambda b: b.let("add", b.let("add", X, Y), Z), "x + y + z"),
        (lambda b: b.let("add", X, b.let("add", Y, Z)), "x + (y + z)"),
        (lambda b: b.let("subtract", X, b.let("subtract", Y, Z)), "x - (y - z)"),
        (lambda b: b.let("divide", X, b.let("multiply", Y, Z)), "x / (y * z)"),
        (lambda b: b.let("power", b.let("negative", X), constant(2.0)), "(-x) ** 2"),
        (lambda b: b.let("negative", b.let("power", X, constant(2.5))), "-x ** 2.5"),
        (lambda b: b.let("power", X, b.let("negative", Y)), "x ** -y"),
        (lambda b: b.let("power", b.let("power", X, Y), Z), "(x ** y) ** z"),
        (lambda b: b.let("power", X, b.let("power", Y, Z)), "x ** y ** z"),
        (lambda b: b.let("multiply", X, constant(-0.1)), "x * -0.1"),
        (lambda b: b.let("maximum", b.let("exp", X), constant(float("-inf"))), "np.maximum(np.exp(x), -np.inf)"),
        (lambda b: b.let("where", b.let("less", X, Y), X, b.let("add", Y, Z)), "x if x < y else y + z"),
        (
            lambda b: b.let("logical_not", b.let("logical_or", b.let("less", X, Y), b.let("equal", Y, Z))),
            "not (x < y or y == z)",
        ),
        (lambda b: b.cast(b.let("add", X, Y), "float32"), "np.float32(x + y)"),
        (lambda b: b.cast(b.let("less", X, Y), "int64"), "int(x < y)"),
        (lambda b: b.let("absolute", b.cast(X, "complex128")), "abs(complex(x))"),
    ],
)
def test_expressions_have_the_parentheses_they_need(build: Any, text: str) -> None:
    b = Builder()
    assert expression(b, build(b)) == text


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (0.1, "float64", "0.1"),
        (1e300, "float64", "1e+300"),
        (-0.0, "float64", "-0.0"),
        (float("nan"), "float64", "np.nan"),
        (float("-inf"), "float64", "-np.inf"),
        (0.1, "float32", "np.float32(0.10000000149011612)"),
        (float("inf"), "float32", "np.float32(np.inf)"),
        (-7, "int64", "-7"),
        (True, "bool", "True"),
        (1 - 0.5j, "complex128", "complex(1.0, -0.5)"),
        (1j, "complex64", "np.complex64(complex(0.0, 1.0))"),
    ],
)
def test_numbers_are_exact(value: Any, dtype: str, text: str) -> None:
    assert body(Function("f", (), Builder().block, (constant(value, dtype),))) == f"return {text}"


def test_the_users_line_stands_behind_the_first_statement_that_comes_from_it(tmp_path: Path) -> None:
    lines = ["def f(x, n):", "    s = 0.0", "    for i in range(n):", "        s += np.sin(x * i)", "    return s"]
    file = tmp_path / "model.py"
    file.write_text("\n".join(lines) + "\n")
    x, n, b = Var("x", FLOAT), Var("n", INT), Builder()
    b.line = Line(str(file), 4)

    def inside(i: Any, s: Any) -> list[Any]:
        t = b.let("multiply", x, b.cast(i, "float64"), hint="angle")
        return [b.let("add", s, b.let("sin", t), hint="s")]

    b.line = Line(str(file), 3)
    start = len(b.block.nodes)
    total = loop(b, integer(0), n, inside, [constant(0.0)], hints="s")
    assert len(b.block.nodes) == start + 1
    inner = b.block.nodes[-1].body.nodes  # type: ignore[attr-defined]
    for node in inner:
        node.line = Line(str(file), 4)
    function = Function("f_forward", (x, n), b.block, tuple(total), Line(str(file), 1))
    assert write(function).text == textwrap.dedent('''\
        import numpy as np


        def f_forward(x, n):
            """Of model.py, line 1: def f(x, n)."""
            s = 0.0
            for i in range(n):
                angle = x * float(i)  # s += np.sin(x * i)
                s += np.sin(angle)
            return s
        ''')


def test_names_are_the_users_and_never_pythons() -> None:
    x, b = Var("lambda", FLOAT), Builder()
    a = b.let("add", x, x, hint="range")
    c = b.let("multiply", a, a, hint="np")
    d = b.let("multiply", c, a, hint="7 of 9")
    function = Function("<lambda>", (x,), b.block, (b.let("add", d, c, hint="support"), d))
    assert write(function).text == textwrap.dedent("""\
        def lambda_1(lambda_2):
            range_1 = lambda_2 + lambda_2
            np_1 = range_1 * range_1
            _7_of_9 = np_1 * range_1
            support_1 = _7_of_9 + np_1
            return support_1, _7_of_9
        """)


def test_carries_are_one_variable_and_what_crosses_is_assigned_at_once() -> None:
    x, n, b = Var("x", FLOAT), Var("n", INT), Builder()
    p, q = loop(
        b,
        integer(1),
        n,
        lambda i, p, q: [q, b.let("add", p, q)],
        [constant(0.0), x],
        step=2,
        hints=("p", "q"),
    )
    function = Function("f", (x, n), b.block, (b.let("multiply", p, q),))
    assert body(function) == textwrap.dedent("""\
        p = 0.0
        q = x
        for i in range(1, n, 2):
            p, q = q, p + q
        return p * q""")


def test_choices_in_choices() -> None:
    x, b = Var("x", FLOAT), Builder()
    positive, large = b.let("greater", x, constant(0.0)), None

    def otherwise() -> list[Any]:
        return branch(
            b, b.let("less", x, constant(-1.0)), lambda: [b.let("sin", x)], lambda: [Undef(Scalar("float64"))]
        )

    (y,) = branch(b, positive, lambda: [b.let("negative", x)], otherwise)
    assert large is None
    assert body(Function("f", (x,), b.block, (y,))) == textwrap.dedent("""\
        if x > 0.0:
            y = -x
        elif x < -1.0:
            y = np.sin(x)
        else:
            y = 0.0
        return y""")


def test_what_a_store_may_change_is_read_before() -> None:
    a, b = Var("a", VECTOR), Builder()
    first = b.load(a, integer(0))
    b.store(a, [integer(0)], constant(1.0))
    second = b.load(a, integer(0))
    b.increment(a, [integer(1)], b.let("negative", b.let("multiply", second, first)))
    assert body(finish("f", [a], b, a)) == textwrap.dedent("""\
        t = a[0]
        a[0] = 1.0
        a[1] -= a[0] * t
        return a""")


def test_arrays() -> None:
    a, n, b = Var("a", MATRIX), Var("n", INT), Builder()
    everything = Slice(None, None, None)
    row = b.view(a, "index", [n, everything], hint="row")
    part = b.view(a, "index", [Slice(None, n, None), everything], hint="part")
    thin = b.view(a, "index", [everything, None, Slice(n, None, integer(2))], hint="thin")
    turned = b.view(a, "transpose", [integer(1), integer(0)], hint="turned")
    flat = b.view(a, "reshape", [b.let("multiply", n, n)], hint="flat")
    made = b.alloc("int64", [n, integer(3)], 0, hint="made")
    filled = b.alloc("float32", [n], 0.5, hint="filled")
    again = b.copy(flat, hint="again")
    b.add_into(again, flat)
    function = finish("f", [a, n], b, row, part, thin, turned, made, filled, again)
    text = """\
        row = a[n]
        part = a[:n]
        thin = a[:, None, n::2]
        turned = a.T
        flat = a.reshape(n * n)
        made = np.zeros((n, 3), np.int64)
        filled = np.full(n, np.float32(0.5), np.float32)
        again = flat.copy()
        {}
        return row, part, thin, turned, made, filled, again"""
    loops = "for i in range(again.shape[0]):\n            again[i] += flat[i]"
    assert body(function) == textwrap.dedent(text.format("again += flat"))
    assert body(function, "compiled") == textwrap.dedent(text.format(loops))


def test_a_while_loop_has_its_test_in_front_if_that_is_an_expression() -> None:
    x, b = Var("x", FLOAT), Builder()
    (y,) = repeat(b, lambda v: b.let("less", v, constant(9.0)), lambda v: [b.let("square", v)], [x], hints="y")
    assert body(Function("f", (x,), b.block, (y,))) == textwrap.dedent("""\
        y = x
        while y < 9.0:
            y **= 2
        return y""")


def test_memory_that_grows() -> None:
    n, b = Var("n", INT), Builder()
    kept = b.alloc("float64", [integer(1)], hint="kept")
    b.emit(Reserve(kept, b.let("multiply", n, n)))
    assert write(Function("f", (n,), b.block, (kept,))).text == textwrap.dedent("""\
        import numpy as np

        from chainrule.backends import support


        def f(n):
            kept = np.empty(1)
            size = n * n
            if kept.shape[0] < size:
                kept = support.grow(kept, size)
            return kept
        """)


@pytest.mark.parametrize("name", PROGRAMS)
def test_lines_are_not_too_long(name: str) -> None:
    assert max(map(len, write(PROGRAMS[name].function).text.splitlines())) <= 120
