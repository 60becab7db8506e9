"""Every program means the same as machine code; what Python and other compiled code see of it."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numba
import numpy as np
import pytest

from chainrule.backends.compile import plain
from chainrule.backends.numba.compile import compiled
from chainrule.backends.python import write
from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Array, Block, Call, Check, Function, Scalar, Var
from chainrule.ir.walk import find_writes
from tests.backends.agreement import assert_same, run
from tests.ir.programs import PROGRAMS, branch, finish, loop


def compile_of(function: Function, **options: Any) -> Any:
    return compiled(write(function, "compiled"), **options)


@pytest.mark.parametrize("name", PROGRAMS)
def test_machine_code_agrees_with_the_interpreter(name: str) -> None:
    program = PROGRAMS[name]
    args = program.arguments()
    found = run(compile_of(program.function).call, args)
    assert_same(found, run(lambda *a: evaluate(program.function, a), args), ulps=64)


# -- recursion ----------------------------------------------------------------------------------------


def test_recursion_without_an_end_of_its_own() -> None:
    """f calls g, g calls h unless n is 0, and h calls f: only g tells which type they have."""
    functions = {}
    for name in "fgh":
        functions[name] = Function(name, (Var("n", INT), Var("x", FLOAT)), Block(), ())
    f, g, h = functions.values()

    def call(b: Builder, callee: Function, caller: Function, down: int) -> Var:
        out = Var("y", FLOAT)
        b.emit(Call((out,), callee, (b.let("subtract", caller.params[0], integer(down)), caller.params[1])))
        return out

    b = Builder(f.body)
    f.results = (call(b, g, f, 0),)
    b = Builder(g.body)
    test = b.let("greater", g.params[0], integer(0))
    g.results = tuple(branch(b, test, lambda: [call(b, h, g, 1)], lambda: [g.params[1]]))
    b = Builder(h.body)
    h.results = (b.let("multiply", call(b, f, h, 0), constant(2.0)),)
    for function in (f, g, h):
        assert compile_of(function).call(5, 1.5) == evaluate(function, (5, 1.5))[0]


def test_recursion_with_arrays_and_several_results() -> None:
    """Fibonacci's numbers below n, filled in on the way back."""
    n, out = Var("n", INT), Var("out", Array("float64", 1))
    function = Function("fill", (n, out), Block(), (), writes=frozenset([out]))
    b = Builder(function.body)

    def step() -> list[Any]:
        before, last = Var("before", FLOAT), Var("last", FLOAT)
        b.emit(Call((before, last), function, (b.let("subtract", n, integer(1)), out)))
        now = b.let("add", before, last)
        b.store(out, [n], now)
        return [last, now]

    test = b.let("less", n, integer(0))
    function.results = tuple(branch(b, test, lambda: [constant(0.0), constant(1.0)], step))
    assert find_writes(function) == function.writes
    array = np.zeros(6)
    assert compile_of(function).call(5, array) == (8.0, 13.0)
    np.testing.assert_array_equal(array, [1, 2, 3, 5, 8, 13])


# -- the boundary -------------------------------------------------------------------------------------


def half(dtype: str) -> Function:
    x = Var("x", Scalar(dtype))
    b = Builder()
    return finish("half", [x], b, b.let("multiply", x, constant(0.5, dtype)), x)


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128", "complex64"])
def test_results_keep_their_precision(dtype: str) -> None:
    kind = np.dtype(dtype).type
    for result in compile_of(half(dtype)).call(kind(3)):
        assert np.asarray(result).dtype == dtype


def test_other_compiled_code_may_call_it() -> None:
    """With numbers of other kinds too: they are converted, and nothing is compiled anew."""
    dispatcher = compile_of(half("float64")).dispatcher

    @numba.njit
    def caller(x: Any) -> Any:
        return dispatcher(x)[0] + dispatcher(1)[0]

    assert caller(3.0) == 2.0
    assert len(dispatcher.signatures) == 1


def checked() -> Function:
    x, n = Var("x", FLOAT), Var("n", INT)
    b = Builder()
    b.emit(Check(b.let("greater", x, constant(0.0)), "ValueError", ("x must be positive, not ", x)))
    b.emit(Check(b.let("less", n, integer(9)), "IndexError", ("too many: ", n, " rounds of {x} \\ 'y'")))
    b.emit(Check(b.let("greater", n, integer(0)), "ArithmeticError", ('nothing to "do"',)))
    return finish("checked", [x, n], b, b.let("sqrt", x))


@pytest.mark.parametrize(("x", "n"), [(-1.5, 1), (2.0, 12), (2.0, -1)])
def test_messages_keep_their_values(x: float, n: int) -> None:
    messages = []
    for call in (
        lambda *a: evaluate(checked(), a),
        plain(write(checked())),
        compile_of(checked()).call,
    ):
        with pytest.raises((ValueError, IndexError, ArithmeticError)) as caught:
            call(x, n)
        messages.append((type(caught.value), str(caught.value)))
    assert messages[0] == messages[1] == messages[2]


def test_a_function_without_results() -> None:
    x = Var("x", Array("float64", 1))
    b = Builder()
    b.store(x, [integer(0)], constant(7.0))
    array = np.zeros(2)
    assert compile_of(finish("set_first", [x], b)).call(array) is None
    assert array[0] == 7.0


# -- rounding -----------------------------------------------------------------------------------------


def kahan() -> Function:
    """A compensated sum."""
    x = Var("x", Array("float64", 1))
    b = Builder()

    def body(i: Any, s: Any, c: Any) -> list[Any]:
        y = b.let("subtract", b.load(x, i), c)
        t = b.let("add", s, y)
        return [t, b.let("subtract", b.let("subtract", t, s), y)]

    total = loop(b, integer(0), b.dim(x, 0), body, [constant(0.0), constant(0.0)], hints=("total", "lost"))
    return finish("kahan", [x], b, total[0])


@pytest.mark.parametrize("fastmath", ["sums", False])
def test_compensated_sums_stay_as_written(fastmath: Any) -> None:
    x = np.array([1.0, *[1e-16] * 10_000])
    assert compile_of(kahan(), fastmath=fastmath).call(x) == math.fsum(x)


def test_fast_mathematics_gives_that_up() -> None:
    x = np.array([1.0, *[1e-16] * 10_000])
    assert compile_of(kahan(), fastmath=True).call(x) == pytest.approx(1.0, abs=1e-11)


@pytest.mark.parametrize("fastmath", ["sums", False])
def test_special_values_stay_as_written(fastmath: Any) -> None:
    x, y = Var("x", FLOAT), Var("y", FLOAT)
    b = Builder()
    function = finish("special", [x, y], b, b.let("divide", x, y), b.let("copysign", x, y), b.let("isnan", x))
    call = compile_of(function, fastmath=fastmath).call
    assert call(0.0, 5e-324) == (0.0, 0.0, False)
    assert call(1.0, 0.0) == (math.inf, 1.0, False)
    assert math.copysign(1, call(1.0, -math.inf)[0]) == -1
    assert call(math.nan, -0.0)[2] is True


def test_python_finds_the_text() -> None:
    made = compile_of(half("float64"))
    assert "def half(x):" in inspect.getsource(made.dispatcher.py_func)
