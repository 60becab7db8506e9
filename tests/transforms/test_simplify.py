"""Every pass leaves alone what can be seen of a run, to the last bit; what each is for is looked up in the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from chainrule.ir.build import BOOL, FALSE, FLOAT, INT, TRUE, Builder, constant, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import (
    Alloc,
    Array,
    Block,
    Call,
    Carry,
    Check,
    Const,
    For,
    Function,
    If,
    Incr,
    Let,
    Load,
    Merge,
    Node,
    Print,
    Reserve,
    Scalar,
    Slice,
    Store,
    Type,
    Undef,
    Var,
    While,
)
from chainrule.ir.show import show
from chainrule.ir.walk import nodes_of
from chainrule.transforms.contract import contracted
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import PASSES, simplify
from tests.ir.programs import ALL, INDICES, MATRIX, PROGRAMS, VECTOR, branch, finish, loop, outcome, repeat
from tests.ir.random_programs import random_program
from tests.transforms.reading import program_of

EVERY: list[Callable[[Function], Function]] = [*dict.fromkeys(PASSES), contracted, simplify]
TRANSPOSED = [integer(1), integer(0)]


def raw(b: Builder, op: str, *args: Any, type: Type = FLOAT) -> Var:
    """An operation that the builder does not look at."""
    out = Var("t", type)
    b.emit(Let(out, op, args))
    return out


def count(function: Function, *kinds: type[Node]) -> int:
    return sum(isinstance(n, kinds) for n in nodes_of(function.body))


def inside_loops(function: Function, *kinds: type[Node]) -> int:
    loops = [n for n in nodes_of(function.body) if isinstance(n, (For, While))]
    return sum(isinstance(n, kinds) for outer in loops for n in nodes_of(outer.body))


def same(function: Function, args: Callable[[], Sequence[Any]]) -> Function:
    """`function` simplified, after every pass was compared with it."""
    expected = outcome(check(function), args())
    for step in EVERY:
        assert outcome(check(step(function)), args()) == expected, step
    current = function
    for step in PASSES:
        current = check(step(current))
        assert outcome(current, args()) == expected, step
    return simplify(function)


# -- nothing changes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_mean_what_they_meant(name: str) -> None:
    same(PROGRAMS[name].function, PROGRAMS[name].arguments)


@pytest.mark.parametrize("seed", range(0, 60, 6))
def test_random_programs_mean_what_they_meant(seed: int) -> None:
    for k in range(seed, seed + 6):
        same(*random_program(k))


def test_random_programs_become_smaller() -> None:
    pairs = [(count(f, Node), count(simplify(f), Node)) for f, _ in map(random_program, range(20))]
    assert sum(after for _, after in pairs) < 0.5 * sum(before for before, _ in pairs)


def test_the_program_itself_stays() -> None:
    function, _ = random_program(3)
    before = show(function)
    simplify(function)
    assert show(function) == before


# -- fold ---------------------------------------------------------------------------------------------


def scalars(build: Callable[[Builder, Var, Var], Any], *types: Type) -> Function:
    params = [Var(h, t) for h, t in zip("xy", types or (FLOAT, FLOAT), strict=True)]
    b = Builder()
    return finish("f", params, b, build(b, *params))


LESS = {
    "constants": (lambda b, x, y: raw(b, "multiply", raw(b, "add", constant(2.0), constant(3.0)), x), 1),
    "a sum with a negative": (lambda b, x, y: raw(b, "add", x, raw(b, "negative", y)), 1),
    "a negative first": (lambda b, x, y: raw(b, "add", raw(b, "negative", y), x), 1),
    "minus a negative": (lambda b, x, y: raw(b, "subtract", x, raw(b, "negative", y)), 1),
    "two negatives": (lambda b, x, y: raw(b, "exp", raw(b, "negative", raw(b, "negative", x))), 1),
    "times one": (lambda b, x, y: raw(b, "multiply", raw(b, "multiply", x, constant(1.0)), constant(-1.0)), 1),
    "the same twice": (lambda b, x, y: raw(b, "add", raw(b, "exp", x), raw(b, "exp", x)), 2),
    "the other way round": (
        lambda b, x, y: raw(b, "add", raw(b, "multiply", x, y), raw(b, "multiply", y, x)),
        2,
    ),
    "not the same": (lambda b, x, y: raw(b, "add", raw(b, "subtract", x, y), raw(b, "subtract", y, x)), 3),
    "plus": (lambda b, x, y: raw(b, "positive", x), 0),
    "zeros are two": (
        lambda b, x, y: raw(b, "divide", constant(1.0), raw(b, "add", raw(b, "add", x, constant(0.0)), constant(-0.0))),
        3,
    ),
    "minus nothing": (lambda b, x, y: raw(b, "subtract", raw(b, "subtract", x, constant(0.0)), constant(-0.0)), 1),
    "no choice": (lambda b, x, y: raw(b, "where", raw(b, "less", x, y, type=BOOL), constant(0.0), constant(-0.0)), 2),
}


@pytest.mark.parametrize("name", LESS)
def test_arithmetic_is_folded_exactly(name: str) -> None:
    build, left = LESS[name]
    f = scalars(build)
    points = [0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan, 5e-324]
    for x in points:
        for y in points:
            g = same(f, lambda: (x, y))
    assert count(g, Let) == left


def test_sums_of_integers_with_constants_are_one_sum() -> None:
    def build(b: Builder, i: Var, j: Var) -> Var:
        up = raw(b, "add", raw(b, "add", integer(2), i, type=INT), integer(3), type=INT)
        back = raw(b, "subtract", raw(b, "add", j, integer(1), type=INT), integer(1), type=INT)
        down = raw(b, "subtract", up, integer(7), type=INT)
        return raw(b, "multiply", down, back, type=INT)

    g = same(scalars(build, INT, INT), lambda: (5, 2**63 - 1))
    assert [line.strip() for line in show(g).splitlines()[1:3]] == ["t_2 = subtract(x, 2)", "t = multiply(t_2, y)"]


def test_integers_are_compared_by_what_is_known_of_them() -> None:
    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        length = b.dim(c, 0)

        def body(i: Var, s: Var, t: Var) -> list[Any]:
            b.emit(Check(b.let("less", i, length), "IndexError", ("large",)))
            b.emit(Check(b.let("greater_equal", i, integer(0)), "IndexError", ("small",)))
            least = b.let("minimum", b.let("maximum", b.let("add", i, integer(1)), integer(0)), length)
            (u,) = branch(b, b.let("less_equal", length, i), lambda: [b.let("exp", s)], lambda: [s])
            return [u, b.let("add", t, b.let("minimum", least, n))]

        return loop(b, integer(0), length, body, [constant(0.5), integer(0)])

    g = same(memory(build), args())
    assert count(g, Check, If) == 0
    assert sum(line.count("imum") for line in show(g).splitlines()) == 1


def test_common_values_come_from_blocks_around_only() -> None:
    def build(b: Builder, x: Var, y: Var) -> Var:
        test = b.let("less", x, y)
        (z,) = branch(b, test, lambda: [raw(b, "exp", x)], lambda: [raw(b, "sin", raw(b, "exp", x))])
        return b.let("add", z, raw(b, "exp", x))

    assert count(same(scalars(build), lambda: (1.0, 2.0)), Let) == 6
    assert count(same(scalars(lambda b, x, y: build(b, raw(b, "exp", x), y)), lambda: (2.0, 1.0)), Let) == 7


def test_known_branches_are_taken() -> None:
    def build(b: Builder, x: Var, y: Var) -> Var:
        test = b.let("less", x, y)
        either = b.let("logical_and", test, b.let("less", y, constant(9.0)))

        def inner() -> list[Any]:
            return branch(b, test, lambda: [b.let("exp", x)], lambda: [b.let("sin", y)])

        (z,) = branch(b, either, inner, lambda: [y])
        (w,) = branch(b, TRUE, lambda: [b.let("add", z, x)], lambda: [b.let("cos", z)])
        return w

    g = same(scalars(build), lambda: (1.0, 2.0))
    assert count(g, If) == 1
    assert "sin" not in show(g)


def test_a_check_that_passed_is_not_made_again() -> None:
    def build(b: Builder, x: Var, y: Var) -> Var:
        test = b.let("less", x, y)
        for _ in range(2):
            b.emit(Check(test, "ValueError", ("large", x)))
        return x

    for args in ((1.0, 2.0), (2.0, 1.0)):
        assert count(same(scalars(build), lambda args=args: args), Check) == 1  # type: ignore[misc]


def test_merges_that_are_not_needed() -> None:
    def build(b: Builder, x: Var, y: Var) -> Var:
        test = b.let("less", x, y)
        yes, no = Block(), Block()
        with b.inside(yes):
            e = b.let("exp", x)
        outs = [Var("m", t) for t in (FLOAT, FLOAT, FLOAT, BOOL, BOOL)]
        pairs = [(x, x), (e, y), (e, y), (TRUE, FALSE), (test, test)]
        b.emit(If(test, yes, no, [Merge(o, *p) for o, p in zip(outs, pairs, strict=True)]))
        s = b.let("add", b.let("add", outs[0], outs[1]), outs[2])
        return b.let("where", b.let("logical_and", outs[3], outs[4]), s, y)

    for args in ((1.0, 2.0), (2.0, 1.0)):
        g = same(scalars(build), lambda args=args: args)  # type: ignore[misc]
        assert sum(len(n.merges) for n in nodes_of(g.body) if isinstance(n, If)) == 1


def test_branches_that_compute_the_same_are_one() -> None:
    def build(b: Builder, x: Var, y: Var) -> Var:
        test, total = b.let("less", x, y), y
        for _ in range(2):
            z, _w = branch(
                b,
                test,
                lambda: [raw(b, "add", raw(b, "multiply", x, y), x), y],
                lambda: [raw(b, "add", raw(b, "multiply", y, x), y), y],
            )
            total = b.let("add", b.let("exp", z), total)
        return total

    for args in ((1.0, 2.0), (2.0, 1.0)):
        g = same(scalars(build), lambda args=args: args)  # type: ignore[misc]
        assert count(g, If) == 1
        assert show(g).count("exp") == 1


@pytest.mark.parametrize("written", [False, True])
def test_branches_that_load_the_same(written: bool) -> None:
    a, b = Var("a", VECTOR), Builder()
    test, values = b.let("less", b.load(a, integer(0)), constant(1.0)), []
    for _ in range(2):
        values += branch(b, test, lambda: [b.load(a, integer(1))], lambda: [constant(2.0)])
        loop(b, integer(0), b.dim(a, 0), lambda i: b.store(a, (i,), values[0]) if written else ())
    function = finish("f", [a], b, *values)
    for first in (0.5, 1.5):
        g = same(function, lambda first=first: (np.array([first, 3.0]),))  # type: ignore[misc]
        assert count(g, If) == 1 + written


def handing(b: Builder, x: Var, y: Var, again: str = "sin", side: int = 0) -> Var:
    """A branch computes a sine, and a later one on the same test, which needs its result, computes it again."""
    test = b.let("less", x, y)
    (z,) = branch(b, test, lambda: [b.let("add", b.let("sin", x), y)], lambda: [y])

    def second() -> list[Var]:
        return [b.let("multiply", z, b.let("cos", raw(b, again, x)))]

    (w,) = branch(b, test, *(second, lambda: [z])[:: 1 - 2 * side])
    (v,) = branch(b, b.let("less", w, x), lambda: [b.let("multiply", raw(b, again, x), w)], lambda: [w])
    return b.let("add", v, b.let("exp", w))


@pytest.mark.parametrize(("again", "side", "left"), [("sin", 0, 2), ("sin", 1, 3), ("exp", 0, 3), ("square", 0, 3)])
def test_a_branch_gets_what_another_one_on_its_test_has(again: str, side: int, left: int) -> None:
    for args in ((1.0, 2.0), (2.0, 1.0)):
        g = same(scalars(lambda b, x, y: handing(b, x, y, again, side)), lambda args=args: args)  # type: ignore[misc]
        found = show(g)
        assert found.count("sin(") + (again != "sin") * found.count(f" {again}(x") == left


def in_two_branches(x: Any) -> Any:
    """Both branches compute an exponential that their reverse needs."""
    total, z = 0.0, np.sin(x)
    for i in range(len(x)):
        s, u = x[i], 0.5 * z[i]
        test = z[i - 1] > 0.1
        if test:
            s = np.exp(-u * u) + 0.3 * s
        z[i] += s
        if test:
            z[i] += np.sin(np.exp(-u * u) * z[i])
        total += s * s + u
    return np.sin(total) + np.sum(z * z)


def test_what_is_handed_on_may_be_kept_where_the_branch_was_not_taken() -> None:
    x, step = np.array([0.5, -0.4, 0.3, -1.0, 0.2]), 1e-6
    program = program_of(in_two_branches, (x,))
    _, found = evaluate(simplify(vjp(program, [True])), [x.copy(), 1.0])
    for k, direction in enumerate(np.eye(len(x)) * step):
        slope = (in_two_branches(x + direction) - in_two_branches(x - direction)) / (2.0 * step)
        np.testing.assert_allclose(found[k], slope, rtol=1e-6)


def test_what_a_branch_merges_is_handed_on_as_it_is() -> None:
    """The second branch knows what it is given by its number on this side; it may be inside of others."""

    def build(b: Builder, x: Var, y: Var) -> Var:
        test = b.let("less", x, y)
        root, slope = branch(
            b,
            test,
            lambda: [r := b.let("sqrt", x), b.let("multiply", b.let("sin", r), y)],
            lambda: [Undef(FLOAT), y],
        )

        def inner() -> list[Var]:
            return branch(b, test, lambda: [b.let("add", slope, b.let("sin", root))], lambda: [slope])

        return branch(b, b.let("less", slope, constant(1.5)), inner, lambda: [x])[0]

    for args in ((1.0, 2.0), (2.0, 1.0)):
        g = same(scalars(build), lambda args=args: args)  # type: ignore[misc]
        assert show(g).count("sin(") == 1


def test_a_value_from_before_a_branch_that_is_undefined_on_its_other_side() -> None:
    def build(b: Builder, x: Var, y: Var) -> Var:
        test = b.let("less", x, y)
        e = b.let("exp", x)
        (z,) = branch(b, test, lambda: [e], lambda: [Undef(FLOAT)])
        (w,) = branch(b, test, lambda: [b.let("add", z, x)], lambda: [y])
        return w

    for args in ((1.0, 2.0), (2.0, 1.0)):
        g = same(scalars(build), lambda args=args: args)  # type: ignore[misc]
        assert sum(len(n.merges) for n in nodes_of(g.body) if isinstance(n, If)) == 1


@pytest.mark.parametrize(("between", "left"), [("after", 1), ("ahead", 1), ("needed", 2), ("written", 2), ("raise", 2)])
def test_branches_on_one_test_are_joined(between: str, left: int) -> None:
    """What stands between them reads the first, or not; then it is before or after both."""
    a, x, b = Var("a", VECTOR), Var("x", FLOAT), Builder()
    test = b.let("less", x, constant(1.0))

    def first() -> list[Var]:
        if between == "raise":
            b.emit(Check(b.let("less", constant(0.0), x), "ValueError", ("small", x)))
        return [b.let("sin", x)]

    (z,) = branch(b, test, first, lambda: [x])
    e = b.let("exp", z if between in ("after", "needed") else x)
    loaded = b.load(a, integer(0))

    def second() -> list[Var]:
        if between == "written":
            b.store(a, (integer(0),), x)
        return [b.let("add", z, e if between in ("ahead", "needed") else x)]

    (w,) = branch(b, test, second, lambda: [z])
    function = finish("f", [a, x], b, b.let("multiply", b.let("multiply", e, loaded), w))
    for value in (0.5, 1.5, -1.0):
        g = same(function, lambda value=value: (np.array([3.0]), value))  # type: ignore[misc]
        assert count(g, If) == left


def test_arrays_of_a_known_branch() -> None:
    a, b = Var("a", VECTOR), Builder()

    def made(fill: float) -> list[Any]:
        t = b.alloc("float64", [integer(3)], fill, hint="t")
        b.store(t, [integer(0)], b.load(a, integer(0)))
        return [t]

    (t,) = branch(b, TRUE, lambda: made(1.0), lambda: made(2.0))
    row = b.view(t, "index", [Slice(integer(1), None, None)])
    b.store(row, [integer(0)], constant(5.0))
    g = same(finish("f", (a,), b, t, b.dim(t, 0), b.load(row, integer(-1))), lambda: (np.arange(2.0),))
    assert count(g, If) == 0


def test_loops_that_are_not_entered_and_carries_that_stay() -> None:
    def build(b: Builder, x: Var, n: Var) -> Var:
        (s,) = loop(b, n, n, lambda i, s: [b.let("exp", s)], [x])
        (t,) = loop(b, integer(3), integer(3), lambda i, s: [b.let("exp", s)], [s])
        u, _, w = loop(b, integer(0), n, lambda i, u, v, w: [b.let("add", u, v), v, x], [t, b.let("sin", x), x])
        (v,) = repeat(b, lambda s: FALSE, lambda s: [b.let("exp", s)], [w])
        return b.let("multiply", u, v)

    g = same(scalars(build, FLOAT, INT), lambda: (0.5, 3))
    assert count(g, For, While) == 1
    (kept,) = (n for n in nodes_of(g.body) if isinstance(n, For))
    assert len(kept.carries) == 1


def memory(build: Callable[[Builder, Var, Var, Var], Any]) -> Function:
    """A program over a vector, a matrix and an integer; `build` gives its results."""
    params = [Var("c", VECTOR), Var("m", MATRIX), Var("n", INT)]
    b = Builder()
    found = build(b, *params) or ()
    return finish("f", params, b, *(found if isinstance(found, (tuple, list)) else (found,)), params[0])


def args(n: int = 3, size: int = 4) -> Callable[[], tuple[Any, ...]]:
    return lambda: (np.arange(1.0, size + 1), np.arange(1.0, 1 + size * size).reshape(size, size), n)


def test_loads_are_shared_until_something_is_written() -> None:
    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        first, second = b.load(c, n), b.load(c, n)
        b.store(c, [integer(0)], first)
        after = b.load(c, n)
        return b.let("add", b.let("add", first, second), b.let("add", after, b.load(c, integer(0))))

    for n in (0, 3, -4):
        assert count(same(memory(build), args(n)), Load) == 2


def test_a_nested_block_sees_loads_that_it_does_not_overwrite() -> None:
    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        first, kept = b.load(c, n), b.load(m, n, n)

        def body(i: Var, s: Var) -> list[Any]:
            s = b.let("add", b.let("add", s, b.load(c, n)), b.load(m, n, n))
            b.store(c, [i], s)
            return [s]

        return loop(b, integer(0), integer(3), body, [b.let("add", first, kept)])

    g = same(memory(build), args(1))
    assert inside_loops(g, Load) == 1


def test_cells_are_named_by_the_array_itself() -> None:
    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        column = b.view(b.view(m, "transpose", TRANSPOSED), "index", [n, ALL])
        tail = b.view(c, "index", [Slice(integer(1), integer(-1), None)])
        lifted = b.view(tail, "index", [None, ALL])

        def body(i: Var, s: Var) -> list[Any]:
            b.increment(lifted, [integer(0), i], b.load(column, i))
            return [b.let("add", s, b.load(tail, i))]

        return loop(b, integer(0), b.dim(tail, 0), body, [constant(0.0)])

    text = show(same(memory(build), args(2)))
    assert "m[i, n]" in text
    assert "c[k] +=" in text


def test_an_index_from_the_end_of_a_slice_stays() -> None:
    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        tail = b.view(c, "index", [Slice(integer(2), None, None)])
        front = b.view(c, "index", [Slice(integer(-3), None, None)])
        return b.let("subtract", b.load(tail, integer(-1)), b.load(front, integer(0)))

    assert "tail" not in show(same(memory(build), args()))  # both views are called c
    assert "c[-1]" not in show(simplify(memory(build)))


def test_extents_are_those_of_the_array() -> None:
    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        turned = b.view(m, "transpose", TRANSPOSED)
        lifted = b.view(turned, "index", [ALL, None, n])
        new = b.copy(b.alloc("float64", [n, b.dim(lifted, 0)], 0.0))
        return b.dim(lifted, 0), b.dim(lifted, 1), b.dim(new, 0), b.dim(new, 1), b.dim(b.copy(turned), 0)

    g = same(memory(build), args())
    assert "n1_m, 1, n, n1_m, n1_m" in show(g).replace("n_m_2", "n1_m").replace("n_m", "n1_m").replace("n_c", "n1_m")


# -- dead ---------------------------------------------------------------------------------------------


def test_what_nobody_needs_is_left_out() -> None:
    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        b.load(c, b.let("subtract", n, integer(1)))
        scratch = b.alloc("float64", [n], 0.0)
        copied = b.copy(scratch)
        b.op("matmul", m, m)

        def body(i: Var, s: Var, t: Var) -> list[Any]:
            b.store(scratch, [i], b.let("exp", b.load(scratch, i)))
            b.store(copied, [i], s)
            return [b.let("sin", s), b.let("cos", t)]

        _, t = loop(b, integer(0), n, body, [constant(0.5), constant(0.25)])
        branch(b, b.let("less", t, constant(0.0)), lambda: [b.let("exp", t)], lambda: [t])
        return t

    g = same(memory(build), args())
    assert count(g, Node) == 2  # the loop and the cosine
    assert count(same(memory(lambda b, *p: build(b, *p) and []), args()), Node) == 0


def test_contents_of_merged_copied_and_viewed_arrays_live() -> None:
    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        def made(value: float) -> list[Any]:
            t = b.alloc("float64", [integer(20)], 0.0)
            b.store(t, [integer(0)], constant(value))
            return [t]

        (t,) = branch(b, b.let("less", n, integer(2)), lambda: made(1.0), lambda: made(2.0))
        copied = b.copy(t)
        b.store(t, [integer(1)], constant(7.0))
        y = b.alloc("float64", [integer(20)], 1.0)
        b.add_into(y, b.view(copied, "index", [Slice(None, None, integer(-1))]))
        return b.load(y, n)

    g = same(memory(build), args(1))
    assert count(g, Store) == 3


def test_what_is_felt_outside_stays() -> None:
    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        def then() -> list[Any]:
            b.emit(Print(("large", n)))
            return []

        branch(b, b.let("less", integer(2), n), then, lambda: [])
        b.op("cholesky", m)
        b.store(c, [n], constant(1.0))

    for n in (3, -9):
        g = same(memory(build), args(n))
        assert count(g, Print) == count(g, If) == 1
    assert "LinAlgError" in outcome(g, args()())[0]


# -- promote ------------------------------------------------------------------------------------------


K = integer(0)
Body = Callable[[Builder, Var, Var, Var, Var], None]


def work(body: Body, lower: int = 0, used: bool = False) -> Function:
    """A loop over j < n with `body` in it, and perhaps a use of c[0] after it: then c[0] is in bounds."""

    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        def inner(j: Var) -> list[Any]:
            body(b, c, m, n, j)
            return []

        loop(b, integer(lower), n, inner, index="j")
        return b.load(c, K) if used else None

    return memory(build)


def conditional(b: Builder, c: Var, m: Var, n: Var, j: Var) -> None:
    def then() -> list[Any]:
        b.increment(c, [K], b.load(m, j, j))
        return []

    def orelse() -> list[Any]:
        b.store(c, [K], b.let("multiply", b.load(c, K), constant(2.0)))
        return []

    branch(b, b.let("less", b.load(m, j, K), constant(6.0)), then, orelse)


def other_cells(b: Builder, c: Var, m: Var, n: Var, j: Var) -> None:
    b.increment(c, [K], b.load(c, b.let("add", j, integer(1))))
    b.store(c, [integer(1)], b.load(c, K))


def aliased(b: Builder, c: Var, m: Var, n: Var, j: Var) -> None:
    b.increment(c, [K], b.load(c, j))


def from_the_end(b: Builder, c: Var, m: Var, n: Var, j: Var) -> None:
    b.increment(c, [K], b.load(c, integer(-1)))


def viewed(b: Builder, c: Var, m: Var, n: Var, j: Var) -> None:
    b.increment(c, [K], b.load(b.view(c, "index", [Slice(None, None, integer(-1))]), j))


def checked(b: Builder, c: Var, m: Var, n: Var, j: Var) -> None:
    b.increment(c, [K], constant(1.0))
    b.emit(Check(b.let("less", j, integer(1)), "ValueError", ("large",)))


def moving(b: Builder, c: Var, m: Var, n: Var, j: Var) -> None:
    b.increment(c, [j], constant(1.0))


def nested(b: Builder, c: Var, m: Var, n: Var, j: Var) -> None:
    def body(k: Var) -> list[Any]:
        b.increment(c, [K], b.load(m, j, k))
        return []

    loop(b, integer(0), n, body, index="k")


def by_while(b: Builder, c: Var, m: Var, n: Var, j: Var) -> None:
    def body(k: Var) -> list[Any]:
        b.increment(c, [K], constant(5.0))
        return [b.let("add", k, integer(1))]

    def head(k: Var) -> Any:
        return b.let("logical_and", b.let("less", k, n), b.let("less", b.load(c, K), constant(30.0)))

    repeat(b, head, body, [integer(0)], ["k"])


# What is in the loop, where it starts, and how many statements that write memory stay in it.
CARRIED: dict[str, tuple[Body, int, int]] = {
    "both branches": (conditional, 0, 0),
    "other cells, one of them stored only": (other_cells, 1, 1),
    "perhaps the same cell": (aliased, 0, 1),
    "another cell": (aliased, 1, 0),
    "an index from the end": (from_the_end, 0, 1),
    "through a view": (viewed, 0, 1),
    "a loop that may fail": (checked, 0, 1),
    "a cell that moves": (moving, 0, 1),
    "from the innermost loop": (nested, 0, 0),
    "a while": (by_while, 0, 0),
}


@pytest.mark.parametrize("name", CARRIED)
def test_cells_become_carries(name: str) -> None:
    body, lower, left = CARRIED[name]
    for n, size in ((3, 4), (0, 4), (1, 1), (1, 2)):
        g = same(work(body, lower, used=True), args(n, size))
    loops = [n for n in g.body if isinstance(n, (For, While))]
    assert sum(isinstance(n, (Store, Incr)) for outer in loops for n in nodes_of(outer.body)) == left


def test_a_cell_that_may_not_exist_is_not_touched() -> None:
    def body(b: Builder, c: Var, m: Var, n: Var, j: Var) -> None:
        b.increment(c, [integer(9)], constant(1.0))

    g = same(work(body), args(0))
    assert inside_loops(g, Incr) == 0
    assert not any(isinstance(n, (Load, Store)) for n in g.body)  # but under a test that the loop is entered
    assert outcome(g, args(0)())[2][0] == "[1.0, 2.0, 3.0, 4.0]"


def test_cells_of_an_array_of_known_extent_need_no_other_use() -> None:
    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        rows, columns = b.dim(m, 0), b.dim(m, 1)
        y = b.alloc("float64", [rows], 0.0, hint="y")

        def outer(i: Var) -> list[Any]:
            def inner(j: Var) -> list[Any]:
                b.increment(y, [i], b.let("multiply", b.load(m, i, j), b.load(c, j)))
                return []

            loop(b, integer(0), columns, inner, index="j")
            return []

        loop(b, integer(0), rows, outer)
        return y

    assert count(same(memory(build), args()), Incr) == 0


def test_single_precision_is_added_up_in_single_precision() -> None:
    c, b = Var("c", Array("float32", 1)), Builder()

    def body(i: Var) -> list[Any]:
        b.increment(c, [integer(0)], b.load(c, integer(1)))
        return []

    loop(b, integer(0), integer(50), body)
    g = same(finish("f", (c,), b, b.load(c, integer(0))), lambda: (np.array([0.1, 0.7], np.float32),))
    assert count(g, Incr) == 0


# -- stores -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("between", "left"), [("load", 2), ("other", 1), ("check", 2), ("loop", 2), ("apart", 1)])
def test_overwritten_stores(between: str, left: int) -> None:
    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        s = b.load(c, integer(1))
        b.store(c, [integer(0)], b.let("exp", s))
        if between == "load":
            s = b.load(c, n)
        elif between == "other":
            s = b.load(m, n, n)
        elif between == "check":
            b.emit(Check(b.let("less", n, integer(0)), "ValueError", ()))
        elif between == "loop":
            (s,) = loop(b, integer(0), n, lambda i, s: [b.let("add", s, b.load(c, i))], [s])
        else:
            s = b.load(c, integer(2))
        b.store(c, [integer(0)], s)

    for n in (0, 1, -4):
        g = same(memory(build), args(n))
    assert count(g, Store) == left


# -- hoist --------------------------------------------------------------------------------------------


def test_what_does_not_change_moves_out_of_loops() -> None:
    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        x = b.load(c, integer(0))

        def outer(i: Var, s: Var) -> list[Any]:
            def inner(j: Var, s: Var) -> list[Any]:
                def then() -> list[Any]:
                    scale = b.let("tanh", b.let("multiply", x, constant(0.5)))
                    return [b.let("multiply", scale, b.let("exp", b.load(c, i)))]

                (t,) = branch(b, b.let("less", j, i), then, lambda: [x])
                row = b.view(m, "index", [Slice(integer(0), None, None), i])
                return [b.let("add", b.let("add", s, t), b.load(row, j))]

            return loop(b, integer(0), b.dim(m, 0), inner, [s], index="j")

        return loop(b, integer(0), b.dim(c, 0), outer, [constant(0.0)])

    lines = show(same(memory(build), args())).splitlines()

    def depth(word: str) -> int:
        (line,) = (line for line in lines if word in line)
        return (len(line) - len(line.lstrip())) // 4

    assert [depth("tanh"), depth("exp"), depth("less"), depth(" = c[i]")] == [1, 2, 3, 2]


def test_what_may_fail_does_not_move() -> None:
    def build(b: Builder, c: Var, m: Var, n: Var) -> Any:
        nothing = b.let("divide", b.load(c, integer(0)), constant(0.0))

        def body(i: Var, s: Var) -> list[Any]:
            far = b.load(c, b.let("add", n, integer(100)))
            whole = raw(b, "cast", nothing, type=INT)
            return [b.let("add", s, b.let("multiply", far, b.cast(whole, "float64")))]

        return loop(b, integer(0), n, body, [constant(0.0)])

    same(memory(build), args(0))


def test_an_undefined_value_is_not_used_before_the_loop() -> None:
    def build(b: Builder, x: Var, n: Var) -> Any:
        out = Var("u", FLOAT)
        test = b.let("less", integer(0), n)
        b.emit(If(test, Block(), Block(), [Merge(out, x, Undef(FLOAT))]))
        (s,) = loop(b, integer(0), n, lambda i, s: [b.let("add", s, b.let("exp", out))], [x])
        return s

    for n in (0, 2):
        g = same(scalars(build, FLOAT, INT), lambda n=n: (0.5, n))  # type: ignore[misc]
    assert inside_loops(g, Let) == 1


# -- calls --------------------------------------------------------------------------------------------


def mutual() -> Function:
    """``even(n, x)`` and ``odd(n, x)`` call each other; each does something for nothing."""
    functions = []
    for name in ("even", "odd"):
        n, x = Var("n", INT), Var("x", FLOAT)
        functions.append(Function(name, (n, x), Block(), ()))
    for function, other in zip(functions, functions[::-1], strict=True):
        n, x = function.params
        b = Builder(function.body)
        raw(b, "cos", x)

        def again(b: Builder = b, n: Var = n, x: Var = x, other: Function = other) -> list[Any]:
            out = Var("y", FLOAT)
            b.emit(Call((out,), other, (b.let("subtract", n, integer(1)), b.let("exp", b.let("negative", x)))))
            return [out]

        function.results = (branch(b, b.let("less", n, integer(1)), lambda x=x: [x], again)[0],)  # type: ignore[misc]
    return functions[0]


def test_called_functions_are_simplified_too() -> None:
    f = mutual()
    g = same(f, lambda: (5, 0.25))
    assert "cos" in show(f)
    assert "cos" not in show(g)
    assert show(g).count("(n: int64") == 2


def test_a_call_that_nobody_needs() -> None:
    f = mutual()
    n, x, b = Var("n", INT), Var("x", FLOAT), Builder()
    b.emit(Call((Var("y", FLOAT),), f, (n, x)))
    assert count(same(finish("f", (n, x), b, x), lambda: (2, 0.5)), Call) == 0
    b.emit(Call((Var("y", FLOAT),), PROGRAMS["spoken"].function, (x, n)))
    assert count(same(finish("f", (n, x), b, x), lambda: (2, 0.5)), Call) == 1


def test_every_dtype_keeps_its_constants_apart() -> None:
    b = Builder()
    results = [
        raw(b, "cast", raw(b, "add", Const(v, Scalar(d)), Const(v, Scalar(d)), type=Scalar(d)), type=FLOAT)
        for v, d in ((1.0, "float64"), (1.0, "float32"), (1, "int64"))
    ]
    k = Var("k", INDICES)
    same(finish("f", (k,), b, *results, b.load(k, integer(0))), lambda: (np.arange(2),))


def test_what_makes_an_array_larger_stays_if_its_extent_is_asked_for() -> None:
    n, i, b, body = Var("n", INT), Var("i", INT), Builder(), Builder()
    grown = b.alloc("float64", [integer(0)])
    body.emit(Reserve(grown, body.let("add", i, integer(1))))
    body.store(grown, [i], constant(1.0))
    b.emit(For(i, integer(0), n, integer(1), body.block))
    function = check(Function("f", (n,), b.block, (b.dim(grown, 0),)))
    simplified = simplify(function)
    assert count(simplified, Store) == 0
    for trips in (0, 5):
        assert evaluate(simplified, [trips])[0] >= trips


def handed_over(b: Builder, x: Var, shift: int = 0) -> Function:
    """One loop stores ``exp(x[i])``, the next loads it, at `shift` from where it was stored."""
    n, i, j = b.dim(x, 0), Var("i", INT), Var("j", INT)
    kept, y = b.alloc("float64", [n]), b.alloc("float64", [n], 0)
    first, second = Builder(), Builder()
    first.store(kept, [i], first.let("exp", first.load(x, i)))
    b.emit(For(i, integer(0), n, integer(1), first.block))
    at = second.let("maximum", second.let("subtract", j, integer(shift)), integer(0))
    second.increment(y, [j], second.load(kept, at if shift else j))
    b.emit(For(j, integer(0), n, integer(1), second.block))
    return check(Function("f", (x,), b.block, (y,)))


@pytest.mark.parametrize(("shift", "loops"), [(0, 1), (1, 2)])
def test_loops_that_hand_over_an_array_are_joined(shift: int, loops: int) -> None:
    x = Var("x", Array("float64", 1))
    function = handed_over(Builder(), x, shift)
    simplified = check(simplify(function))
    assert count(simplified, For) == loops
    assert (count(simplified, Alloc) == 1) is (loops == 1)
    at = np.linspace(-1.0, 1.0, 7)
    np.testing.assert_array_equal(evaluate(simplified, [at])[0], evaluate(function, [at])[0])


def test_loops_are_not_joined_over_what_the_second_changes() -> None:
    """The second loop writes to the next cell of what the first reads."""
    b, x = Builder(), Var("x", Array("float64", 1))
    n, i, j = b.dim(x, 0), Var("i", INT), Var("j", INT)
    last = b.let("subtract", n, integer(1))
    work, kept = b.copy(x), b.alloc("float64", [n])
    first, second = Builder(), Builder()
    first.store(kept, [i], first.load(work, i))
    b.emit(For(i, integer(0), last, integer(1), first.block))
    second.store(work, [second.let("add", j, integer(1))], second.load(kept, j))
    b.emit(For(j, integer(0), last, integer(1), second.block))
    function = check(Function("f", (x,), b.block, (work,)))
    simplified = simplify(function)
    assert count(simplified, For) == 2
    at = np.arange(5.0)
    np.testing.assert_array_equal(evaluate(simplified, [at])[0], evaluate(function, [at])[0])


def test_a_row_for_every_iteration_becomes_one() -> None:
    b, x = Builder(), Var("x", Array("float64", 1))
    n, i, j, k, s, total = (
        b.dim(x, 0), *[Var(h, INT) for h in "ijk"], Var("s", FLOAT), Var("s", FLOAT),
    )  # fmt: skip
    table = b.alloc("float64", [n, n])
    body, first, second = Builder(), Builder(), Builder()
    first.store(table, [i, j], first.let("multiply", first.load(x, i), first.load(x, j)))
    body.emit(For(j, integer(0), n, integer(1), first.block))
    middle, inner = Var("s", FLOAT), Var("s", FLOAT)
    after = second.let(
        "add", middle, second.load(table, i, second.let("subtract", second.let("subtract", n, k), integer(1)))
    )
    body.emit(For(k, integer(0), n, integer(1), second.block, [Carry(middle, s, after, inner)]))
    b.emit(For(i, integer(0), n, integer(1), body.block, [Carry(s, constant(0.0), inner, total)]))
    function = check(Function("f", (x,), b.block, (total,)))
    simplified = check(contracted(simplify(function)))
    (made,) = (node for node in nodes_of(simplified.body) if isinstance(node, Alloc))
    assert len(made.shape) == 1
    at = np.linspace(-1.0, 2.0, 6)
    assert evaluate(simplified, [at]) == evaluate(function, [at])


def test_rows_that_outlive_a_loop_stay() -> None:
    """The array is made outside of the loop around: a row holds what an earlier round has written."""
    b, x = Builder(), Var("x", Array("float64", 1))
    n, t, i = b.dim(x, 0), Var("t", INT), Var("i", INT)
    table, y = b.alloc("float64", [n, integer(1)]), b.alloc("float64", [n], 0)
    outer, inner, start, later = Builder(), Builder(), Builder(), Builder()
    start.store(table, [i, integer(0)], start.load(x, i))
    later.store(table, [i, integer(0)], later.let("multiply", later.load(table, i, integer(0)), constant(3.0)))
    inner.emit(If(inner.let("equal", t, integer(0)), start.block, later.block))
    inner.store(y, [i], inner.load(table, i, integer(0)))
    outer.emit(For(i, integer(0), n, integer(1), inner.block))
    b.emit(For(t, integer(0), integer(3), integer(1), outer.block))
    function = check(Function("f", (x,), b.block, (y,)))
    at = np.arange(1.0, 5.0)
    np.testing.assert_array_equal(evaluate(contracted(simplify(function)), [at])[0], 9 * at)
