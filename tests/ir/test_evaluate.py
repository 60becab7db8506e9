"""The reference interpreter against the NumPy functions that the programs stand for, and against Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule.ir import evaluate as module
from chainrule.ir import ops
from chainrule.ir.build import BOOL, FALSE, FLOAT, INT, TRUE, Builder, constant, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import (
    Array,
    Block,
    Call,
    Check,
    Function,
    If,
    Let,
    Merge,
    Print,
    Raise,
    Reserve,
    Scalar,
    Undef,
    Var,
)
from chainrule.ir.walk import nodes_of
from tests.ir.programs import ALL, PROGRAMS, VECTOR, finish, loop, text


def as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_mean_what_their_references_do(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    program = PROGRAMS[name]
    args, others = program.arguments(), program.arguments()
    found = evaluate(check(program.function), args)
    for got, expected in zip(found, as_tuple(program.reference(*others)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-14)
    for mine, other in zip(args, others, strict=True):  # what is written to the arguments
        np.testing.assert_allclose(mine, other, rtol=1e-14)


def test_every_operation_on_arrays_has_a_meaning() -> None:
    assert set(module._ARRAY_OPS) == set(ops.ARRAY_OPS)


# -- numbers ------------------------------------------------------------------------------------------

POINTS = [0.0, -0.0, 1.0, -1.5, 3.0, 1e300, -1e-310, np.inf, -np.inf, np.nan]
INTEGERS = [0, 1, -1, 7, -8, 2**62, 2**63 - 1, -(2**63)]
UFUNCS = {
    "float64": ["add", "subtract", "multiply", "divide", "less", "equal", "not_equal", "maximum", "power", "copysign"],
    "float32": ["add", "multiply", "divide", "greater", "arctan2", "hypot"],
    "int64": ["add", "subtract", "multiply", "floor_divide", "remainder", "less_equal", "maximum"],
    "bool": ["logical_and", "logical_or", "logical_xor"],
    "complex128": ["add", "multiply", "divide"],
}


@pytest.mark.parametrize(("dtype", "op"), [(d, op) for d, names in UFUNCS.items() for op in names])
def test_two_numbers_are_calculated_with_as_numpy_does(dtype: str, op: str) -> None:
    x, y = Var("x", Scalar(dtype)), Var("y", Scalar(dtype))
    function = finish("f", (x, y), b := Builder(), b.let(op, x, y))
    points: list[Any] = {"int64": INTEGERS, "bool": [False, True]}.get(dtype, POINTS)
    for p in points:
        for q in points:
            kind = np.dtype(dtype).type
            with np.errstate(all="ignore"):
                p_kind, q_kind = kind(p), kind(q)
                expected = getattr(np, op)(p_kind, q_kind)
            (found,) = evaluate(function, [p_kind, q_kind])
            assert text(np.asarray(found)) == text(np.asarray(expected))
            assert np.asarray(found).dtype == expected.dtype


@pytest.mark.parametrize("op", ["negative", "absolute", "sqrt", "exp", "logistic", "sign", "isnan", "signbit", "floor"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_one_number_is_calculated_with_as_its_primitive_does(op: str, dtype: str) -> None:
    x = Var("x", Scalar(dtype))
    function = finish("f", (x,), b := Builder(), b.let(op, x))
    for p in POINTS:
        with np.errstate(all="ignore"):
            expected = ops.registry[op].impl(np.dtype(dtype).type(p))  # type: ignore[attr-defined]
            (found,) = evaluate(function, [np.dtype(dtype).type(p)])
        assert text(np.asarray(found)) == text(np.asarray(expected))


@pytest.mark.parametrize(
    ("value", "to", "expected"),
    [
        (2.9, "int64", 2),
        (-2.9, "int64", -2),
        (3, "float64", 3.0),
        (0.1, "float32", np.float32(0.1)),
        (1e300, "float32", np.float32("inf")),
        (np.nan, "bool", True),
        (True, "int64", 1),
        (2.5, "complex128", np.complex128(2.5)),
        (np.nan, "int64", ValueError),
        (np.inf, "int64", OverflowError),
    ],
)
def test_casts(value: Any, to: str, expected: Any) -> None:
    x, y = Var("x", Scalar(np.asarray(value).dtype.name)), Var("y", Scalar(to))
    function = Function("f", (x,), Block([Let(y, "cast", (x,))]), (y,))
    if isinstance(expected, type):
        with pytest.raises(expected):
            evaluate(function, [value])
    else:
        (found,) = evaluate(function, [value])
        assert type(found) is type(expected)
        assert found == expected


def test_arguments_become_numbers_of_their_types() -> None:
    x, n = Var("x", Scalar("float32")), Var("n", FLOAT)
    values = evaluate(Function("f", (x, n), Block(), (x, n, constant(0.1, "float32"))), [0.1, 3])
    assert list(map(type, values)) == [np.float32, float, np.float32]


@pytest.mark.parametrize("wrong", [[1.0], np.zeros(2, np.float32), np.zeros((2, 2)), 1.0])
def test_array_arguments_are_arrays_of_their_type(wrong: Any) -> None:
    a = Var("a", VECTOR)
    with pytest.raises(TypeError, match="to be an array float64"):
        evaluate(Function("f", (a,), Block(), (a,)), [wrong])


# -- undefined values ---------------------------------------------------------------------------------


def maybe(use: Callable[[Builder, Var], Any]) -> Function:
    """A value that is assigned only if `c` is true, and what is done with it."""
    c, y, b = Var("c", BOOL), Var("y", FLOAT), Builder()
    b.emit(If(c, Block(), Block(), [Merge(y, constant(2.0), Undef(FLOAT))]))
    return finish("f", (c,), b, use(b, y))


def stored(b: Builder, y: Var) -> Any:
    a = b.alloc("float64", [integer(1)])
    b.store(a, [integer(0)], y)
    return a


def decided(b: Builder, y: Var) -> Any:
    b.emit(Check(b.let("greater", y, constant(0.0)), "ValueError", ("negative",)))
    return TRUE


def printed(b: Builder, y: Var) -> Any:
    b.emit(Print((b.let("exp", y),)))
    return TRUE


@pytest.mark.parametrize("use", [lambda b, y: y, lambda b, y: b.let("add", y, constant(1.0)), stored, decided, printed])
def test_an_undefined_value_must_not_be_used(use: Callable[[Builder, Var], Any]) -> None:
    evaluate(check(maybe(use)), [True])
    with pytest.raises(UnboundLocalError, match="did not assign"):
        evaluate(maybe(use), [False])


def test_an_undefined_value_may_be_handed_on() -> None:
    def unused(b: Builder, y: Var) -> Any:
        z = b.let("exp", b.let("multiply", y, y))
        known = b.let("equal", constant(1.0), b.let("cos", constant(0.0)))
        return b.let("where", known, constant(1.0), z)

    assert evaluate(maybe(unused), [False]) == (1.0,)


# -- memory -------------------------------------------------------------------------------------------


def test_indices_count_from_the_end_and_are_checked() -> None:
    a, i, b = Var("a", VECTOR), Var("i", INT), Builder()
    f = finish("f", (a, i), b, b.load(a, i))
    assert [evaluate(f, [np.arange(3.0), k]) for k in (-3, -1, 2)] == [(0.0,), (2.0,), (2.0,)]
    for k in (-4, 3):
        with pytest.raises(IndexError):
            evaluate(f, [np.arange(3.0), k])


def test_loops_take_their_bounds_once_and_their_carries_at_once() -> None:
    n, b = Var("n", Array("int64", 1)), Builder()
    limit = b.load(n, integer(0))

    def body(i: Var, s: Var, t: Var) -> list[Any]:
        b.store(n, [integer(0)], integer(100))
        return [t, b.let("add", s, t)]

    results = loop(b, integer(0), limit, body, [integer(0), integer(1)])
    assert evaluate(check(finish("fibonacci", (n,), b, *results)), [np.array([10])]) == (55, 89)


def test_results_are_the_memory_itself() -> None:
    a, b = Var("a", Array("float64", 2)), Builder()
    f = finish("f", (a,), b, a, b.view(a, "index", [integer(1), ALL]), b.copy(a))
    array = np.ones((2, 3))
    same, row, copy = evaluate(f, [array])
    assert same is array
    assert np.shares_memory(row, array)
    assert not np.shares_memory(copy, array)


def test_a_list_grows_in_linear_time() -> None:
    n, b = Var("n", INT), Builder()
    r = b.alloc("float64", [integer(0)])

    def body(i: Var) -> list[Any]:
        b.emit(Reserve(r, b.let("add", i, integer(1))))
        b.store(r, [i], b.cast(i, "float64"))
        return []

    loop(b, integer(0), n, body)
    f = check(finish("f", (n,), b, r))
    (reserve,) = (node for node in nodes_of(f.body) if isinstance(node, Reserve))
    seen: list[Any] = []
    evaluate(f, [1000], lambda node, values: seen.append(node))
    assert seen.count(reserve) == 1000
    assert len({len(evaluate(f, [k])[0]) for k in range(1, 300, 10)}) <= 9


def test_memory_that_nobody_filled_is_not_zero() -> None:
    b = Builder()
    f = finish("f", (), b, b.alloc("float64", [integer(1)]), b.alloc("int64", [integer(1)]))
    x, n = evaluate(f, [])
    assert np.isnan(x[0])
    assert n[0] < 0


# -- effects ------------------------------------------------------------------------------------------


def test_prints_and_checks(capsys: pytest.CaptureFixture[str]) -> None:
    f = PROGRAMS["spoken"].function
    evaluate(f, [2.0, 2])
    assert capsys.readouterr().out == "start 2.0\nround 0 2.0\nround 1 4.0\n"
    with pytest.raises(ValueError, match=r"^too large: 256.0$"):
        evaluate(f, [2.0, 6])
    with pytest.raises(ArithmeticError, match=r"^is 0.0$"):
        evaluate(f, [0.0, 2])


def test_an_error_leaves_what_was_written() -> None:
    a, b = Var("a", VECTOR), Builder()
    b.store(a, [integer(0)], constant(5.0))
    b.emit(Raise("KeyError", ("k",)))
    array = np.zeros(1)
    with pytest.raises(KeyError):
        evaluate(check(finish("f", (a,), b, FALSE)), [array])
    assert array[0] == 5.0


def test_a_probe_sees_every_value() -> None:
    seen = []
    f = PROGRAMS["horner"].function
    evaluate(f, [np.array([1.0, 2.0]), 3.0], lambda node, values: seen.append(values))
    assert seen == [(2,), (1,), (0.0,), (2.0,), (2.0,), (6.0,), (1.0,), (7.0,), (7.0,)]


def test_what_a_call_makes_longer_is_longer_afterwards() -> None:
    tape, size, n, b = Var("tape", Array("float64", 1)), Var("size", INT), Var("n", INT), Builder()
    grown = frozenset([tape])
    longer = Function("longer", (tape, size), Block([Reserve(tape, size)]), (), writes=grown, grows=grown)
    r = b.alloc("float64", [integer(2)], fill=1.0)
    b.emit(Call((), longer, (r, n)))
    f = check(finish("f", (n,), b, r))
    assert [len(evaluate(f, [k])[0]) for k in (1, 3, 9)] == [2, 4, 9]
    assert evaluate(f, [9])[0][1] == 1.0
