"""A loop taken apart computes the same to the last bit, and is taken apart where it should be and not elsewhere."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from chainrule.backends.compile import plain
from chainrule.backends.python import write
from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, Array, Atom, Block, Carry, For, Function, If, Incr, Let, Load, Merge, Store, Var
from chainrule.ir.walk import find_writes, nodes_of
from chainrule.transforms import fission
from chainrule.transforms.fission import fissioned
from tests.ir.random_programs import random_program

SIZE = 24
OPS = ["sin", "exp", "tanh", "cos", "negative"]


class Body:
    """Writes a loop that mixes everything: cells near the index and anywhere, carries, branches, integers."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.params = [Var(h, Array("float64", 1)) for h in "abc"] + [Var("at", Array("int64", 1)), Var("x", FLOAT)]
        self.index = Var("i", INT)
        self.carried = [Var("s", FLOAT) for _ in range(self.rng.integers(3))]
        self.values: list[Atom] = [self.params[4], *self.carried, constant(0.5)]
        self.b = Builder()

    def pick(self, items: Any) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def cell(self) -> tuple[Var, tuple[Atom]]:
        array = self.pick(self.params[:3])
        kind = self.rng.random()
        if kind < 0.7:
            around = int(self.rng.integers(-2, 3)) - self.pick([0, 0, 0, SIZE])  # counted from the end, too
            return array, (self.b.let("add", self.index, integer(around)),)
        if kind < 0.85:
            return array, (self.b.load(self.params[3], self.index),)
        return array, (integer(int(self.rng.integers(4))),)

    def statement(self, deep: bool = True) -> None:
        kind = self.rng.random()
        if kind < 0.3:
            made: Atom = self.b.let(self.pick(OPS), self.b.let("sin", self.pick(self.values)))
        elif kind < 0.5:
            op = self.pick(["add", "multiply", "subtract"])
            made = self.b.let(op, self.pick(self.values), self.pick(self.values))
        elif kind < 0.7:
            array, index = self.cell()
            made = self.b.load(array, *index)
        elif kind < 0.75:
            made = self.b.cast(self.index, "float64")
        elif kind < 0.85 and deep:
            made = self.branch()
        else:
            array, index = self.cell()
            self.b.emit(self.pick([Store, Incr])(array, index, self.b.let("sin", self.pick(self.values))))
            return
        self.values.append(made)

    def branch(self) -> Var:
        test = self.b.let("less", self.pick(self.values), self.pick(self.values))
        before, sides = list(self.values), []
        for block in (Block(), Block()):
            with self.b.inside(block):
                for _ in range(self.rng.integers(1, 3)):
                    self.statement(deep=False)
            sides.append((block, self.pick(self.values)))
            self.values = list(before)
        (then, yes), (orelse, no) = sides
        out = Var("m", FLOAT)
        self.b.emit(If(test, then, orelse, [Merge(out, yes, no)]))
        return out


def loop_of(seed: int) -> tuple[Function, tuple[Any, ...]]:
    w = Body(seed)
    for _ in range(w.rng.integers(3, 14)):
        w.statement()
    carries = [Carry(s, constant(0.1), w.pick(w.values), Var("s", FLOAT)) for s in w.carried]
    if carries and w.rng.random() < 0.5:  # a sum
        carries[0].next = w.b.let("add", carries[0].param, w.pick(w.values))
    bounds = (integer(2), integer(SIZE - 2)) if w.rng.random() < 0.5 else (integer(SIZE - 3), integer(1))
    step = integer(1 if bounds[0].value == 2 else -1)
    loop = For(w.index, *bounds, step, w.b.block, carries)
    function = Function("f", tuple(w.params), Block([loop]), tuple(c.out for c in carries) or (w.params[4],))
    function.writes = find_writes(function)
    arrays = [w.rng.normal(size=SIZE) for _ in range(3)]
    return check(function), (*arrays, w.rng.integers(0, SIZE, SIZE), 0.3)


def same(function: Function, other: Function, args: tuple[Any, ...]) -> None:
    outcomes = []
    for f in (function, other):
        mine = copy.deepcopy(args)
        outcomes.append([*evaluate(f, list(mine)), *mine])
    for a, b in zip(*outcomes, strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.fixture
def eager_to_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every loop with an elementary function is worth it."""
    monkeypatch.setattr(fission, "_FEWEST", 0)
    monkeypatch.setattr(fission, "_ROWS", 1000)
    monkeypatch.setattr(fission._Parts, "_is_rough", lambda self: True)


@pytest.mark.usefixtures("eager_to_split")
@pytest.mark.parametrize("block", range(10))
def test_random_loops(block: int) -> None:
    """Strips shorter than the loop, and one that holds it all."""
    split = 0
    for seed in range(30 * block, 30 * block + 30):
        function, args = loop_of(seed)
        for strip in (8, 64):
            made = fissioned(function, lanes=4, strip=strip)
            split += made is not function
            same(function, check(made), args)
    assert split >= 20


@pytest.mark.usefixtures("eager_to_split")
@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed: int) -> None:
    function, arguments = random_program(seed)
    made = check(fissioned(function, lanes=2, strip=2))
    outcomes = []
    for f in (function, made):
        try:
            outcomes.append(str(evaluate(f, list(arguments()))))
        except ValueError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


# -- what is taken apart ------------------------------------------------------------------------------


def over(write_body: Any, carried: int = 0) -> tuple[Function, tuple[Any, ...]]:
    """A loop over vectors a, b and c; `write_body` gets builder, index, vectors and carries, and gives their ends."""
    a, b, c = (Var(h, Array("float64", 1)) for h in "abc")
    i, build = Var("i", INT), Builder()
    params = [Var("s", FLOAT) for _ in range(carried)]
    nexts = write_body(build, i, (a, b, c), params) or ()
    carries = [Carry(p, constant(0.5), after, Var("s", FLOAT)) for p, after in zip(params, nexts, strict=True)]
    n = Var("n", INT)
    loop = For(i, integer(1), n, integer(1), build.block, carries)
    function = Function("f", (a, b, c, n), Block([loop]), tuple(x.out for x in carries))
    function.writes = find_writes(function)
    return function, (*np.random.default_rng(0).normal(size=(3, 40)), 39)


def recurrence(build: Any, i: Var, arrays: Any, carries: Any) -> Any:
    """s = s * exp(a[i]) + 1"""
    e = build.let("exp", build.load(arrays[0], i))
    return [build.let("add", build.let("multiply", carries[0], e), constant(1.0))]


def previous(build: Any, i: Var, arrays: Any, carries: Any) -> None:
    """b[i] = b[i - 1] * sin(a[i])"""
    a, b, _ = arrays
    before = build.load(b, build.let("subtract", i, integer(1)))
    build.store(b, [i], build.let("multiply", before, build.let("sin", build.load(a, i))))


def ahead(build: Any, i: Var, arrays: Any, carries: Any) -> None:
    """b[i] = sin(b[i + 1]): all loads may come first"""
    b = arrays[1]
    build.store(b, [i], build.let("sin", build.load(b, build.let("add", i, integer(1)))))


def chained(build: Any, i: Var, arrays: Any, carries: Any) -> None:
    """b[i] = sin(b[i - 1]): the function is part of the recurrence"""
    b = arrays[1]
    build.store(b, [i], build.let("sin", build.load(b, build.let("subtract", i, integer(1)))))


def smooth(build: Any, i: Var, arrays: Any, carries: Any) -> Any:
    """b[i] = sin(a[i]) and a plain sum: LLVM vectorises it as it is"""
    t = build.let("sin", build.load(arrays[0], i))
    build.store(arrays[1], [i], t)
    return [build.let("add", carries[0], t)]


def arithmetic(build: Any, i: Var, arrays: Any, carries: Any) -> Any:
    """a recurrence without elementary functions"""
    return [build.let("multiply", carries[0], build.load(arrays[0], i))]


@pytest.mark.parametrize(
    ("body", "carried", "loops"),
    [(recurrence, 1, 3), (previous, 0, 3), (ahead, 0, 3), (chained, 0, 0), (smooth, 1, 0), (arithmetic, 1, 0)],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_what_is_taken_apart(body: Any, carried: int, loops: int) -> None:
    function, args = over(body, carried)
    made = check(fissioned(check(function)))
    found = [n for n in nodes_of(made.body) if isinstance(n, For)]
    assert len(found) == (loops + 1 if loops else 1)
    same(function, made, args)
    run = plain(write(made, "compiled"))
    mine, theirs = copy.deepcopy(args), copy.deepcopy(args)
    np.testing.assert_array_equal(run(*mine), (evaluate(function, list(theirs)) or (None,))[0])
    np.testing.assert_array_equal(mine[1], theirs[1])


def test_elementary_functions_stand_alone() -> None:
    """The loop that holds them touches nothing but the rows, and runs to a multiple of the lanes."""
    made = fissioned(over(recurrence, 1)[0])
    loops = [n for n in nodes_of(made.body) if isinstance(n, For)]
    (alone,) = [n for n in loops if any(isinstance(m, Let) and m.op == "exp" for m in n.body)]
    assert {m.array.hint for m in alone.body if isinstance(m, (Load, Store))} == {"rows"}
    assert not alone.carries
    assert alone.upper is not loops[1].upper


@pytest.mark.parametrize("trips", [0, 1, 7, 8, 255, 256, 257, 600])
@pytest.mark.parametrize("down", [False, True])
def test_every_number_of_iterations(trips: int, down: bool) -> None:
    function, _ = over(recurrence, 1)
    (loop,) = function.body
    assert isinstance(loop, For)
    a, b, c, n = function.params
    build = Builder()
    if down:
        loop.lower, loop.upper, loop.step = build.let("subtract", n, integer(1)), integer(-1), integer(-1)
    else:
        loop.lower = integer(0)
    function.body = Block([*build.block.nodes, loop])
    same(function, check(fissioned(function)), (*np.random.default_rng(1).normal(size=(3, 601)), trips))


def test_a_program_without_elementary_functions_stays_the_same_object() -> None:
    function, _ = over(arithmetic, 1)
    assert fissioned(function) is function


# -- additions to neighbouring cells --------------------------------------------------------------------


def scattered(seed: int) -> tuple[Function, tuple[Any, ...]]:
    """Values of a, some of them summed, added to cells of b and c near the index; sometimes b is read, too."""
    rng = np.random.default_rng(seed)

    def write_body(build: Any, i: Var, arrays: Any, carries: Any) -> Any:
        a, b, c = arrays
        values = [build.load(a, build.let("add", i, integer(int(rng.integers(-1, 2))))) for _ in range(2)]
        for _ in range(rng.integers(1, 4)):
            left, right = rng.integers(len(values), size=2)
            values.append(build.let(str(rng.choice(["add", "multiply", "subtract"])), values[left], values[right]))
        if rng.random() < 0.3:
            values.append(build.let("sin", values[-1]))
        if rng.random() < 0.2:
            values.append(build.load(b, i))
        for _ in range(rng.integers(2, 6)):
            array, value = (b, c)[rng.integers(2)], values[rng.integers(len(values))]
            build.emit(Incr(array, (build.let("add", i, integer(int(rng.integers(-1, 2)))),), value))
        return [build.let("add", s, values[-1]) for s in carries]

    return over(write_body, carried=int(rng.integers(2)))


@pytest.mark.parametrize("long", [1, 30, 100])
def test_random_additions(long: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fission, "_LONG", long)
    split = 0
    for seed in range(80):
        function, args = scattered(seed)
        made = check(fissioned(function, lanes=4, strip=8, sums=True))
        outcomes = []
        for f in (function, made):
            mine = copy.deepcopy(args)
            outcomes.append([*evaluate(f, list(mine)), *mine])
        for one, two in zip(*outcomes, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-13, atol=1e-13)
        split += made is not function
        if not any(isinstance(n, Let) and n.op == "sin" for n in nodes_of(function.body)):
            assert fissioned(function) is function  # in the order that was written
    assert split >= 30


def test_each_loop_adds_to_cells_of_its_own() -> None:
    def neighbours(build: Any, i: Var, arrays: Any, carries: Any) -> None:
        t = build.load(arrays[0], i)
        for k in (-1, 0, 1):
            build.emit(Incr(arrays[1], (build.let("add", i, integer(k)),), t))

    made = fissioned(over(neighbours)[0], sums=True)
    (branch,) = [n for n in nodes_of(made.body) if isinstance(n, If)]
    inner = [n for n in nodes_of(branch.then) if isinstance(n, For)][1:]
    assert [sum(isinstance(n, Incr) for n in loop.body) for loop in inner] == [1, 1, 1]
    assert [sum(isinstance(n, Incr) for n in nodes_of(branch.orelse))] == [3]


def test_loads_wait_until_they_are_needed() -> None:
    """Only what goes into the exponential, and comes out of it, is handed on in rows."""

    def body(build: Any, i: Var, arrays: Any, carries: Any) -> Any:
        old = build.load(arrays[1], i)
        (s,) = recurrence(build, i, arrays, carries)
        s = build.let("add", s, old)
        build.store(arrays[1], (i,), s)
        return [s]

    function, args = over(body, 1)
    made = check(fissioned(function, strip=16))
    (rows,) = [n for n in nodes_of(made.body) if isinstance(n, Alloc)]
    assert rows.shape == (integer(2 * (16 + 8)),)
    same(function, made, args)
