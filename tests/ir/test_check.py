"""Programs that are none, each with a word of what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chainrule.ir.build import BOOL, FALSE, FLOAT, INT, TRUE, Builder, constant, integer
from chainrule.ir.check import MalformedError, check
from chainrule.ir.nodes import (
    Alloc,
    Array,
    Block,
    Call,
    Carry,
    Check,
    Const,
    Copy,
    Dim,
    For,
    Function,
    If,
    Let,
    Line,
    Load,
    Merge,
    Node,
    Op,
    Print,
    Raise,
    Reserve,
    Scalar,
    Slice,
    Store,
    Undef,
    Var,
    View,
    While,
)
from tests.ir.programs import ALL, MATRIX, PROGRAMS, VECTOR
from tests.ir.random_programs import random_program

x, n, c = Var("x", FLOAT), Var("n", INT), Var("c", BOOL)
a, m = Var("a", VECTOR), Var("m", MATRIX)
ONE, ZERO = constant(1.0), integer(0)


def let(out: Var, op: str, *args: Any) -> Let:
    return Let(out, op, args)


def fresh(type: Any = FLOAT) -> Var:
    return Var("t", type)


def program(*nodes: Node, results: tuple[Any, ...] = ()) -> Function:
    return Function("f", (x, n, c, a, m), Block(list(nodes)), results)


def count(body: list[Node], carries: list[Carry] | None = None, step: Any = None, index: Var | None = None) -> For:
    return For(index or Var("i", INT), ZERO, n, step or integer(1), Block(body), carries or [])


def once(t: Var) -> list[Node]:
    return [let(t, "exp", x)]


def lent(callee: Function) -> Function:
    """A program that calls `callee` on its vector."""
    return program(Call(tuple(Var("r", r.type) for r in callee.results), callee, (a,)))


def callee(nodes: list[Node], *results: Any, writes: frozenset[Var] = frozenset()) -> Function:
    return Function("g", (p,), Block(nodes), results, writes=writes)


def longer(array: Var) -> Call:
    """A call that makes `array` longer."""
    return Call((), Function("g", (p,), Block([Reserve(p, ONE_MORE)]), (), writes=GROWN, grows=GROWN), (array,))


def merge(then: list[Node], orelse: list[Node], *merges: Merge) -> If:
    return If(c, Block(then), Block(orelse), list(merges))


t, u, v, w, p = fresh(), fresh(), fresh(VECTOR), fresh(VECTOR), Var("p", VECTOR)
table = fresh(Array("int64", 2))
alloc = Alloc(v, (n,), ONE)
ONE_MORE, GROWN = integer(1), frozenset([p])
own = Alloc(w, (ZERO,), ONE)

MALFORMED: dict[str, tuple[Function, str]] = {
    # names
    "twice": (program(let(t, "exp", x), let(t, "sin", x)), "defined twice"),
    "a parameter again": (program(let(x, "exp", ONE)), "defined twice"),
    "later": (program(let(t, "exp", u), let(u, "exp", x)), "not defined here"),
    "itself": (program(let(t, "exp", t)), "not defined here"),
    "out of a branch": (program(merge(once(t), []), let(u, "exp", t)), "not defined here"),
    "out of the other branch": (program(merge(once(t), [let(u, "exp", t)])), "not defined here"),
    "out of a loop": (program(count(once(t)), let(u, "exp", t)), "not defined here"),
    "out of the head": (program(While(Block(once(t)), FALSE, Block([let(u, "exp", t)]))), "not defined here"),
    "index after its loop": (program(count([], index=t), results=(t,)), "no integer"),
    "result of nothing": (program(results=(u,)), "in the results"),
    # numbers
    "no operation": (program(let(t, "frobnicate", x)), "no scalar operation"),
    "array operation": (program(let(t, "matmul", x, x)), "no scalar operation"),
    "an array for a number": (program(let(t, "exp", a)), "not a number"),
    "mixed dtypes": (program(let(t, "add", x, n)), "no meaning"),
    "another result": (program(let(fresh(INT), "add", x, x)), "is float64 and not int64"),
    "integers divided": (program(let(fresh(INT), "divide", n, n)), "no meaning"),
    "root of an integer": (program(let(fresh(INT), "sqrt", n)), "no meaning"),
    "truth values subtracted": (program(let(fresh(BOOL), "subtract", c, c)), "no meaning"),
    "too many operands": (program(let(t, "exp", x, x)), "no meaning"),
    "where of a number": (program(let(t, "where", x, x, x)), "where of"),
    "complex to real": (program(let(t, "cast", Const(1j, Scalar("complex128")))), "a cast from"),
    "an integer as a float": (program(let(t, "add", x, Const(1, FLOAT))), "is no float64"),
    "a truth value as integer": (program(let(fresh(INT), "add", n, Const(True, INT))), "is no int64"),
    "no 64 bits": (program(let(fresh(INT), "add", n, Const(2**63, INT))), "is no int64"),
    "no atom": (program(let(t, "add", x, 1.0)), "is no atom"),
    "no dtype": (program(let(fresh(Scalar("float16")), "exp", x)), "float16"),
    # memory
    "too few indices": (program(Load(t, m, (ZERO,))), "1 indices"),
    "a float index": (program(Load(t, a, (x,))), "should be int64"),
    "load of a number": (program(Load(t, x, ())), "is no array"),
    "load of another dtype": (program(Load(fresh(INT), a, (ZERO,))), "dtype"),
    "store of another dtype": (program(Store(a, (ZERO,), n)), "should be float64"),
    "rows without an axis": (program(View(fresh(VECTOR), m, "index", (ZERO,))), "an item for every axis"),
    "view of all axes": (program(View(t, a, "index", (ZERO,))), "axes"),
    "view of a wrong rank": (program(View(fresh(MATRIX), m, "index", (ZERO, ALL))), "1 axes"),
    "slice by a float": (program(View(fresh(VECTOR), a, "index", (Slice(x, None, None),))), "should be int64"),
    "no permutation": (program(View(fresh(MATRIX), m, "transpose", (ZERO, ZERO))), "no permutation"),
    "no kind of view": (program(View(fresh(MATRIX), m, "flip", ())), "no kind of view"),
    "alloc of a wrong rank": (program(Alloc(fresh(MATRIX), (n,))), "another rank"),
    "alloc filled with a variable": (program(Alloc(v, (n,), x)), "constant"),  # type: ignore[arg-type]
    "alloc of a number": (program(Alloc(t, ())), "no array"),
    "copy to another type": (program(Copy(fresh(MATRIX), a)), "type"),
    "no such axis": (program(Dim(fresh(INT), a, 1)), "no axis"),
    "reserve of a parameter": (program(Reserve(a, n)), "no Alloc"),
    "reserve of a copy": (program(Copy(v, a), Reserve(v, n)), "no Alloc"),
    "reserve of what is viewed": (program(alloc, View(w, v, "index", (ALL,)), Reserve(v, n)), "may move"),
    # whole arrays
    "no array operation": (program(Op((t,), "exp", (a,))), "no operation on arrays"),
    "vectors multiplied": (program(Op((t,), "matmul", (a, a))), "matmul of"),
    "rank of the result": (program(Op((fresh(MATRIX),), "matmul", (m, a))), "gives"),
    "integers inverted": (program(Alloc(table, (n, n)), Op((fresh(MATRIX),), "inv", (table,))), "inv of"),
    # branches
    "test of a number": (program(If(n, Block(), Block())), "should be bool"),
    "merge of two types": (program(merge([], [], Merge(t, ONE, ZERO))), "should be float64"),
    "merge of a parameter": (program(merge([], [own], Merge(v, a, w))), "did not make"),
    "merge of a view": (
        program(merge([View(fresh(VECTOR), a, "index", (ALL,))], [own], Merge(v, a, w))),
        "did not make",
    ),
    "merge of an outer array": (
        program(alloc, merge([], [own], Merge(fresh(VECTOR), v, w))),
        "did not make",
    ),
    "merged twice": (
        program(merge([alloc], [own, Copy(p, a)], Merge(fresh(VECTOR), v, w), Merge(fresh(VECTOR), v, p))),
        "merged twice",
    ),
    # loops
    "an array carried": (program(count([], [Carry(v, a, a, w)])), "no scalar"),
    "a carry of two types": (program(count([], [Carry(t, ONE, ZERO, u)])), "should be float64"),
    "a carry's result": (program(count([], [Carry(t, ONE, ONE, fresh(INT))])), "another type"),
    "no step": (program(count([], step=ZERO)), "step is 0"),
    "a float bound": (program(For(fresh(INT), ZERO, x, integer(1), Block())), "should be int64"),
    "a head that stores": (program(While(Block([Store(a, (ZERO,), x)]), FALSE, Block())), "head"),
    "a head that prints": (program(While(Block([If(c, Block([Print(("t",))]), Block())]), FALSE, Block())), "head"),
    "a test of the body": (program(While(Block(), t, Block([let(t, "exp", x)]))), "not defined here"),
    # effects and calls
    "no exception": (program(Raise("print", ())), "no exception"),
    "a check of a number": (program(Check(x, "ValueError", ())), "should be bool"),
    "arguments of a call": (program(Call((), callee([]), (x,))), "should be float64"),
    "results of a call": (program(Call((t,), callee([]), (a,))), "gives"),
    "an unlisted write": (lent(callee([Store(p, (ZERO,), ONE)])), "does not list it"),
    "a call that returns its argument": (lent(callee([], p)), "storage of their own"),
    "a call that returns one array twice": (lent(callee([own], w, w)), "storage of their own"),
    "an error in what is called": (lent(callee([let(t, "exp", u)])), "g: u|g: t"),
    "no statement": (program(Node()), "no statement"),
    "a call that makes a parameter longer": (program(longer(a)), "no Alloc"),
    "a call that makes longer what is viewed": (
        program(alloc, View(w, v, "index", (ALL,)), longer(v)),
        "may move",
    ),
    "growth that is no write": (Function("f", (p,), Block(), (), grows=GROWN), "not written to"),
    "writes of another": (Function("f", (), Block(), (), writes=frozenset([a])), "no parameters"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    function, reason = MALFORMED[name]
    with pytest.raises(MalformedError, match=reason):
        check(function)


def test_the_place_is_named() -> None:
    bad = Let(t, "exp", (u,), line=Line("file.py", 12))
    with pytest.raises(MalformedError, match="in Let of line 12 that defines t:float64"):
        check(program(bad))


WELL_FORMED: dict[str, Callable[[], Function]] = {
    "undefined operands": lambda: program(let(t, "add", x, Undef(FLOAT)), results=(t,)),
    "statements after the end": lambda: program(Raise("ValueError", ("no",)), let(t, "exp", x), results=(t,)),
    "a head that checks": lambda: program(
        While(Block([Check(c, "ValueError", ("no",))]), FALSE, Block([let(t, "exp", x)]))
    ),
    "an exponent": lambda: program(let(t, "ldexp", x, n)),
    "arrays born in both branches": lambda: program(
        merge([alloc], [Copy(w, a)], Merge(p, v, w)), Store(p, (ZERO,), ONE), results=(p,)
    ),
    "a call that makes an array": lambda: lent(callee([own], w)),
    "a call that makes longer": lambda: program(alloc, count([longer(v)]), results=(v,)),
    "reserve in a loop": lambda: program(alloc, count([Reserve(v, n)]), results=(v,)),
    "a constant of every dtype": lambda: program(
        results=tuple(
            Const(value, Scalar(dtype))
            for dtype, value in {"float32": 0.5, "complex64": 1j, "bool": True, "int64": -(2**63)}.items()
        )
    ),
    "a test that is known": lambda: program(If(TRUE, Block(), Block())),
}


@pytest.mark.parametrize("name", WELL_FORMED)
def test_well_formed(name: str) -> None:
    function = WELL_FORMED[name]()
    assert check(function) is function


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_programs_are_well_formed(name: str) -> None:
    check(PROGRAMS[name].function)


@pytest.mark.parametrize("seed", range(20))
def test_random_programs_are_well_formed(seed: int) -> None:
    check(random_program(seed)[0])


def test_what_the_builder_folds_is_exact() -> None:
    b = Builder()
    assert b.let("subtract", x, constant(0.0)) is x
    assert b.let("subtract", x, constant(-0.0)) is not x
    assert b.let("where", c, constant(0.0), constant(0.0)) == constant(0.0)
    assert isinstance(b.let("where", c, constant(0.0), constant(-0.0)), Var)
