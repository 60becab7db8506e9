"""Forward mode against central differences of the primal program, and of itself for the second order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from chainrule.errors import UnsupportedError
from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Array, Atom, Call, Copy, Function, Line, Raise, Scalar, Store, Undef, Var
from chainrule.ir.show import show
from chainrule.ir.walk import find_writes, nodes_of
from chainrule.transforms.activity import called_by, is_float
from chainrule.transforms.forward import jvp
from tests.helpers import direction
from tests.ir.programs import ALL, MATRIX, PROGRAMS, VECTOR, Program, branch, finish, loop, rng, total

SMOOTH = [name for name, program in PROGRAMS.items() if program.smooth]


def fresh(args: Sequence[Any]) -> list[Any]:
    return [a.copy() if isinstance(a, np.ndarray) else a for a in args]


def floats(function: Function) -> list[bool]:
    return [is_float(p) for p in function.params]


def differences(function: Function, args: Sequence[Any], tangents: Sequence[Any], active: Sequence[bool]) -> list[Any]:
    """Central differences of the fourth order of the float results of `function`."""
    single = any(np.asarray(a).dtype == np.float32 for a in args)
    h = 2e-2 if single else 1e-4

    def moved(k: int) -> list[Any]:
        waiting = iter(tangents)
        point = [
            (np.asarray(a) + k * h * next(waiting)).astype(np.asarray(a).dtype)[()] if chosen else a
            for a, chosen in zip(fresh(args), active, strict=True)
        ]
        results = evaluate(function, point)
        return [
            np.array(v, np.result_type(v, 1.0)) for v, r in zip(results, function.results, strict=True) if is_float(r)
        ]

    return [
        (8 * (a - b) - (c - d)) / (12 * h) for a, b, c, d in zip(moved(1), moved(-1), moved(2), moved(-2), strict=True)
    ]


def check_tangents(
    function: Function, args: Sequence[Any], active: Sequence[bool] | None = None, order: int = 1
) -> Function:
    """Compare the tangents along a random direction with differences, and those of the tangents' program."""
    active = floats(function) if active is None else active
    derived = check(jvp(check(function), active))
    chosen = [a for a, on in zip(args, active, strict=True) if on]
    tangents = [direction(np.random.default_rng(7), a) for a in chosen]
    given = [*fresh(args), *fresh(tangents)]
    results = evaluate(derived, given)
    for before, after in zip([*args, *tangents], given, strict=True):
        np.testing.assert_array_equal(before, after, "the caller's arrays keep their values")
    primal = evaluate(function, fresh(args))
    for got, want in zip(results, primal, strict=False):
        np.testing.assert_array_equal(got, want)
    expected = differences(function, args, tangents, active)
    sources = [r for r in function.results if is_float(r)]
    for got, want, source in zip(results[len(primal) :], expected, sources, strict=True):
        assert np.asarray(got).dtype.name == source.type.dtype or source.type.dtype == "float64"
        tolerance = 3e-3 if np.asarray(got).dtype == np.float32 else 1e-7 * 10**order
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * max(1, np.max(np.abs(want), initial=0)))
    if order < 2:
        check_tangents(derived, [*args, *tangents], [*active, *floats(derived)[len(args) :]], order + 1)
    return derived


@pytest.mark.parametrize("name", SMOOTH)
def test_tangents_are_the_differences(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    program = PROGRAMS[name]
    derived = check_tangents(program.function, program.arguments())
    assert derived.name == f"{program.function.name}_jvp"
    assert find_writes(derived) == frozenset()


@pytest.mark.parametrize("name", SMOOTH)
def test_tangents_in_one_argument_alone(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    program = PROGRAMS[name]
    for k, on in enumerate(floats(program.function)):
        if on:
            check_tangents(
                program.function, program.arguments(), [j == k for j in range(len(floats(program.function)))]
            )


def test_nothing_is_active() -> None:
    for program in PROGRAMS.values():
        derived = check(jvp(program.function, [False] * len(program.function.params)))
        results = [r for r in program.function.results if is_float(r)]
        assert len(derived.results) == len(program.function.results) + len(results)


# -- what each construct needs -------------------------------------------------------------------------


def made_on_one_path() -> Program:
    """An array that carries a derivative on one path only, merged; and one that was copied before it did."""
    x, b = Var("x", FLOAT), Builder()

    def filled(value: Atom) -> Sequence[Atom]:
        a = b.alloc("float64", [integer(2)], 1.0)
        b.store(a, [integer(0)], value)
        return [a]

    (a,) = branch(b, b.let("greater", x, constant(1.0)), lambda: filled(x), lambda: filled(constant(3.0)), "a")
    early = b.alloc("float64", [integer(2)], 2.0)
    late = b.copy(early, hint="late")
    b.store(late, [integer(1)], b.load(a, integer(0)))
    b.add_into(late, early)
    return Program(finish("made_on_one_path", (x,), b, a, early, late), lambda: (0.5,), lambda x: None)


def overwritten_by_constants() -> Program:
    """Cells that lose their derivative, and a parameter without tangent that gets one."""
    x, y, b = Var("x", VECTOR), Var("y", VECTOR), Builder()
    b.store(x, [integer(0)], constant(2.0))
    b.store(y, [integer(1)], b.load(x, integer(1)))
    b.increment(y, [integer(1)], b.load(x, integer(0)))
    row = b.view(b.view(x, "index", [None, ALL]), "transpose", [integer(1), integer(0)])
    s = b.let("multiply", b.load(row, integer(0), integer(0)), b.load(row, integer(2), integer(0)))
    return Program(
        finish("overwritten_by_constants", (x, y), b, x, y, s),
        lambda: (rng().normal(size=3), rng().normal(size=3)),
        lambda x, y: None,
    )


def returned_as_they_are() -> Program:
    """Results that are parameters, views of them, and constants."""
    x, a, b = Var("x", FLOAT), Var("a", MATRIX), Builder()
    column = b.view(a, "index", [ALL, integer(1)], hint="column")
    return Program(
        finish("returned_as_they_are", (x, a), b, x, a, column, constant(3.0)),
        lambda: (0.5, rng().normal(size=(2, 3))),
        lambda x, a: None,
    )


def mutual() -> Program:
    """Two functions that call each other, one of which has an array argument without derivative in one call."""
    x, n, v = Var("x", FLOAT), Var("n", INT), Var("v", VECTOR)
    y, m, w = Var("y", FLOAT), Var("m", INT), Var("w", VECTOR)
    p, q = Builder(), Builder()
    even = Function("even", (n, x, v), p.block, (), writes=frozenset([v]))
    odd = Function("odd", (m, y, w), q.block, ())

    def step() -> Sequence[Atom]:
        fixed = p.alloc("float64", [integer(2)], 3.0, hint="fixed")
        a, c = Var("a", FLOAT), Var("c", FLOAT)
        p.emit(Call((a,), odd, (p.let("subtract", n, integer(1)), p.let("sin", x), v)))
        p.emit(Call((c,), odd, (p.let("subtract", n, integer(1)), x, fixed)))
        p.store(v, [integer(1)], p.let("multiply", a, c))
        return [p.let("add", a, p.load(v, integer(0)))]

    even.results = tuple(branch(p, p.let("less", n, integer(1)), lambda: [p.load(v, integer(1))], step))

    def back() -> Sequence[Atom]:
        out = Var("out", FLOAT)
        own = q.copy(w, hint="own")
        q.emit(Call((out,), even, (q.let("subtract", m, integer(1)), q.let("multiply", y, y), own)))
        return [q.let("multiply", out, q.load(own, integer(1)))]

    product = q.let("multiply", y, q.load(w, integer(0)))
    odd.results = tuple(branch(q, q.let("less", m, integer(1)), lambda: [product], back))
    return Program(even, lambda: (4, 0.7, np.array([0.3, 0.8])), lambda n, x, v: None)


def array_of_recursion() -> Program:
    """A recursive function whose result is an array of its own."""
    n, x, b = Var("n", INT), Var("x", FLOAT), Builder()
    function = Function("powers", (n, x), b.block, ())

    def longer() -> Sequence[Atom]:
        inner = Var("inner", VECTOR)
        b.emit(Call((inner,), function, (b.let("subtract", n, integer(1)), x)))
        out = b.alloc("float64", [n], 1.0, hint="out")

        def body(i: Var) -> Sequence[Atom]:
            b.store(out, [i], b.let("multiply", x, b.load(inner, i)))
            return []

        loop(b, integer(0), b.dim(inner, 0), body)
        return [out]

    def shortest() -> Sequence[Atom]:
        return [b.alloc("float64", [integer(1)], 1.0)]

    function.results = tuple(branch(b, b.let("less_equal", n, integer(1)), shortest, longer, "powers"))
    return Program(function, lambda: (4, 1.3), lambda n, x: None)


def merged_with_a_constant_of_recursion() -> Program:
    """An array without derivative that a call returns, merged with one that has it."""
    powers = array_of_recursion().function
    x, b = Var("x", FLOAT), Builder()

    def called() -> Sequence[Atom]:
        out = Var("out", VECTOR)
        b.emit(Call((out,), powers, (integer(3), constant(2.0))))
        return [out]

    def own() -> Sequence[Atom]:
        a = b.alloc("float64", [integer(1)], 0.0)
        b.store(a, [integer(0)], b.let("exp", x))
        return [a]

    (m,) = branch(b, b.let("greater", x, constant(0.0)), called, own, "m")
    b.increment(m, [integer(0)], x)
    return Program(finish("merged_with_a_constant_of_recursion", (x,), b, m), lambda: (0.4,), lambda x: None)


def complex_arithmetic() -> Program:
    z, a, b = Var("z", Scalar("complex128")), Var("a", Array("complex128", 2)), Builder()
    (y,) = b.op("inv", a)
    w = b.let("multiply", b.let("conjugate", b.load(y, integer(0), integer(1))), z)
    r = b.let("add", b.let("real", w), b.let("absolute", b.let("subtract", w, z)))
    (p,) = b.op("matmul", y, a)
    (d,) = b.op("det", a)
    return Program(
        finish("complex_arithmetic", (z, a), b, r, w, y, p, d),
        lambda: (0.3 + 0.4j, rng().normal(size=(3, 3)) + 1j * rng().normal(size=(3, 3))),
        lambda z, a: None,
    )


def unset_on_a_path() -> Program:
    """A scalar that one path does not assign, carried through a loop."""
    x, n, b = Var("x", FLOAT), Var("n", INT), Builder()

    def body(i: Var, v: Var) -> Sequence[Atom]:
        first = b.let("equal", i, integer(0))
        return branch(b, first, lambda: [x], lambda: [b.let("multiply", v, b.cast(b.let("add", x, v), "float64"))])

    (v,) = loop(b, integer(0), n, body, [Undef(FLOAT)])
    return Program(finish("unset_on_a_path", (x, n), b, v), lambda: (0.6, 3), lambda x, n: None)


def many_arguments() -> Program:
    """Powers, shares, matrices with both arguments active, the sum of a row."""
    x, a, b = Var("x", FLOAT), Var("a", MATRIX), Builder()
    (p,) = b.op("matmul", a, a)
    (y,) = b.op("solve", a, p)
    s = b.let("power", b.let("square", x), total(b, b.view(y, "index", [integer(0), ALL])))
    t = b.let("maximum", s, b.let("hypot", x, constant(3.0)))
    u = b.let("subtract", b.let("arctan2", t, x), b.let("multiply", x, x))
    return Program(
        finish("many_arguments", (x, a), b, u, y, t),
        lambda: (1.3, rng().normal(size=(3, 3)) + 3 * np.eye(3)),
        lambda x, a: None,
    )


@pytest.mark.parametrize(
    "program",
    [
        made_on_one_path,
        overwritten_by_constants,
        returned_as_they_are,
        mutual,
        array_of_recursion,
        merged_with_a_constant_of_recursion,
        complex_arithmetic,
        unset_on_a_path,
        many_arguments,
    ],
)
def test_constructs(program: Any) -> None:
    made = program()
    check_tangents(made.function, made.arguments())


def test_a_parameter_gets_a_tangent_by_being_written_to() -> None:
    program = overwritten_by_constants()
    check_tangents(program.function, program.arguments(), [True, False])


def test_a_called_function_has_one_version() -> None:
    program = mutual()
    derived = jvp(jvp(program.function, [False, True, True]), [False, True, True, True, True])
    names = sorted(f.name for f in called_by(derived))
    assert names == ["even_dot_dot", "even_jvp_jvp", "odd_dot_dot"]


# -- conventions ---------------------------------------------------------------------------------------


def scalar(*ops: tuple[Any, ...]) -> Function:
    """``y = op(x, constants)``, one operation on the last result after the other."""
    x, b = Var("x", FLOAT), Builder()
    y: Atom = x
    for op, *others in ops:
        y = b.let(op, y, *[constant(c) for c in others])
    return finish("scalar", (x,), b, y)


@pytest.mark.parametrize(
    ("ops", "x", "slope"),
    [
        ([("absolute",)], 0.0, 0.0),
        ([("maximum", 1.0)], 1.0, 0.5),
        ([("maximum", 1.0)], 0.0, 0.0),
        ([("sqrt",)], 0.0, np.inf),
        ([("log",)], 0.0, np.inf),
        ([("power", 0.0)], 0.0, 0.0),
        ([("power", 3.0)], -2.0, 12.0),
        ([("sqrt",), ("maximum", 1.0)], 0.0, 0.0),
        ([("sqrt",), ("multiply", 2.0), ("square",)], 0.0, np.nan),
        ([("floor",)], 1.5, 0.0),
    ],
)
def test_kinks_and_poles(ops: Any, x: float, slope: float) -> None:
    assert evaluate(jvp(scalar(*ops), [True]), [x, 1.0])[1] == pytest.approx(slope, nan_ok=True)


def test_what_is_not_selected_contributes_a_structural_zero() -> None:
    x, b = Var("x", FLOAT), Builder()
    y = b.let("where", b.let("greater", x, constant(0.0)), b.let("sqrt", x), constant(0.0))
    assert evaluate(jvp(finish("f", (x,), b, y), [True]), [0.0, 1.0]) == (0.0, 0.0)


def test_integers_carry_no_derivative() -> None:
    x, b = Var("x", FLOAT), Builder()
    k = b.cast(x, "int64")
    y = b.let("multiply", b.cast(k, "float64"), x)
    derived = jvp(finish("f", (x,), b, y, k), [True])
    assert evaluate(derived, [2.5, 1.0]) == (5.0, 2, 2.0)


def test_an_argument_without_derivative_says_so() -> None:
    import chainrule.rules.special  # noqa: F401

    v, x, b = Var("v", FLOAT), Var("x", FLOAT), Builder()
    function = finish("f", (v, x), b, b.let("jv", v, x))
    assert evaluate(jvp(function, [False, True]), [0.0, 1.0, 1.0])[1] == pytest.approx(-0.4400505857449335)
    with pytest.raises(UnsupportedError, match="jv has no derivative in its argument v"):
        jvp(function, [True, False])


def test_only_the_primal_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    program = PROGRAMS["spoken"]
    evaluate(program.function, program.arguments())
    said = capsys.readouterr().out
    derived = jvp(program.function, [True, False])
    evaluate(derived, [*program.arguments(), 1.0])
    assert capsys.readouterr().out == said
    assert sum(isinstance(n, Raise) for n in nodes_of(derived.body)) == 1


# -- what is written -----------------------------------------------------------------------------------


def test_every_statement_names_its_line() -> None:
    a, b = Var("a", MATRIX), Builder()
    b.line = Line("user.py", 3)
    (y,) = b.op("inv", a)
    b.line = Line("user.py", 4)
    b.store(y, [integer(0), integer(0)], b.let("sin", b.load(y, integer(1), integer(1))))
    derived = jvp(Function("f", (a,), b.block, (y,), Line("user.py", 1)), [True])
    assert {n.line for n in nodes_of(derived.body)} == {Line("user.py", 3), Line("user.py", 4)}


def test_statements_of_the_primal_are_not_changed() -> None:
    program = PROGRAMS["born_in_a_loop"]
    before = show(program.function)
    jvp(program.function, [True])
    assert show(program.function) == before


def test_private_copies_are_made_only_of_what_is_written() -> None:
    x, y, b = Var("x", VECTOR), Var("y", VECTOR), Builder()
    b.store(y, [integer(0)], b.load(x, integer(0)))
    derived = jvp(finish("f", (x, y), b, y), [True, True])
    assert [n.array.hint for n in derived.body if isinstance(n, Copy)] == ["y", "y_dot"]


def test_dead_tangents_are_not_written() -> None:
    x, n, b = Var("x", VECTOR), Var("n", INT), Builder()
    scratch = b.alloc("float64", [n], 0.0, hint="scratch")
    b.store(scratch, [integer(0)], b.let("sin", b.load(x, integer(0))))
    derived = jvp(finish("f", (x, n), b, b.load(x, integer(1))), [True, False])
    assert sum(isinstance(node, Store) for node in derived.body) == 1


def test_the_text() -> None:
    c, x, b = Var("c", VECTOR), Var("x", FLOAT), Builder()
    (p,) = loop(
        b,
        integer(0),
        b.dim(c, 0),
        lambda i, p: [b.let("subtract", b.load(c, i, hint="v"), b.let("multiply", p, x, hint="q"), hint="r")],
        [constant(0.0)],
        hints=["p"],
    )
    assert show(jvp(finish("f", (c, x), b, p), [False, True])).rstrip() == TEXT


TEXT = """\
f_jvp(c: float64[:], x: float64, x_dot: float64)
    n_c = c.shape[0]
    p, p_dot = for i in range(0, n_c, 1) with p_2 = 0.0, p_dot_2 = 0.0:
        v = c[i]
        q = multiply(p_2, x)
        t = multiply(x_dot, p_2)
        r = subtract(v, q)
        t_2 = negative(x)
        r_dot_2 = multiply(p_dot_2, t_2)
        r_dot = subtract(r_dot_2, t)
        give r, r_dot
    return p, p_dot"""
