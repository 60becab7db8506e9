"""Small programs of the intermediate representation, each with the NumPy function it stands for.

`PROGRAMS` maps a name to a `Program`; `arguments` makes fresh ones, at a point where the program is smooth. The
constructs `loop`, `repeat` and `branch` write control flow with Python functions for the bodies. `outcome` is all that
can be seen of a run.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.ir.build import FALSE, FLOAT, INT, TRUE, Builder, constant, integer
from chainrule.ir.evaluate import evaluate
from chainrule.ir.messages import NEXT
from chainrule.ir.nodes import (
    Alloc,
    Array,
    Atom,
    Block,
    Call,
    Carry,
    Check,
    For,
    Function,
    If,
    Line,
    Merge,
    Print,
    Raise,
    Reserve,
    Scalar,
    Slice,
    Undef,
    Var,
    While,
)
from chainrule.ir.walk import find_writes

ALL = Slice(None, None, None)
VECTOR, MATRIX, INDICES = Array("float64", 1), Array("float64", 2), Array("int64", 1)


@dataclass(frozen=True)
class Program:
    function: Function
    arguments: Callable[[], tuple[Any, ...]]
    reference: Callable[..., Any]
    smooth: bool = True  # its results have derivatives in its float arguments at that point


PROGRAMS: dict[str, Program] = {}


def text(value: Any) -> str:
    """A number or an array to the last bit, NaN being one number."""
    return repr(value.tolist() if isinstance(value, np.ndarray) else value)


def outcome(function: Function, args: Sequence[Any]) -> tuple[Any, ...]:
    """The results or the error, what is printed, and the arguments afterwards."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            results: Any = tuple(map(text, evaluate(function, args)))
        except (ArithmeticError, IndexError, ValueError, np.linalg.LinAlgError) as error:
            results = repr(error)
    return results, printed.getvalue(), tuple(map(text, args))


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def finish(name: str, params: Sequence[Var], b: Builder, *results: Atom) -> Function:
    function = Function(name, tuple(params), b.block, results, Line("programs.py", 1))
    function.writes = find_writes(function)
    return function


def loop(
    b: Builder,
    lower: Atom,
    upper: Atom,
    body: Callable[..., Sequence[Atom]],
    inits: Sequence[Atom] = (),
    step: int = 1,
    hints: Sequence[str] = ("s", "t", "u"),
    index: str = "i",
) -> list[Var]:
    """``for index in range(lower, upper, step): inits = body(index, *inits)``."""
    counter = Var(index, INT)
    params = [Var(h, a.type) for h, a in zip(hints, inits, strict=False)]
    block = Block()
    with b.inside(block):
        nexts = body(counter, *params)
    carries = [
        Carry(p, i, n, Var(p.hint, p.type)) for p, i, n in zip(params, inits, nexts if inits else (), strict=True)
    ]
    b.emit(For(counter, lower, upper, integer(step), block, carries))
    return [c.out for c in carries]


def repeat(
    b: Builder,
    head: Callable[..., Atom],
    body: Callable[..., Sequence[Atom]],
    inits: Sequence[Atom],
    hints: Sequence[str] = ("s", "t", "u"),
) -> list[Var]:
    """``while head(*inits): inits = body(*inits)``."""
    params = [Var(h, a.type) for h, a in zip(hints, inits, strict=False)]
    top, inner = Block(), Block()
    with b.inside(top):
        test = head(*params)
    with b.inside(inner):
        nexts = body(*params)
    carries = [Carry(p, i, n, Var(p.hint, p.type)) for p, i, n in zip(params, inits, nexts, strict=True)]
    b.emit(While(top, test, inner, carries))
    return [c.out for c in carries]


def branch(
    b: Builder, test: Atom, then: Callable[[], Sequence[Atom]], orelse: Callable[[], Sequence[Atom]], hint: str = "y"
) -> list[Var]:
    """``results = then() if test else orelse()``."""
    yes, no = Block(), Block()
    with b.inside(yes):
        first = then() or ()
    with b.inside(no):
        second = orelse() or ()
    merges = [Merge(Var(hint, a.type), a, o) for a, o in zip(first, second, strict=True)]
    b.emit(If(test, yes, no, merges))
    return [m.out for m in merges]


def add(program: Callable[[], Program]) -> Callable[[], Program]:
    PROGRAMS[program.__name__] = program()
    return program


def total(b: Builder, array: Var) -> Var:
    """The sum of a vector."""
    return loop(
        b, integer(0), b.dim(array, 0), lambda i, s: [b.let("add", s, b.load(array, i))], [constant(0.0)], index="k"
    )[0]


# -- scalars ------------------------------------------------------------------------------------------


@add
def straight() -> Program:
    x, y, b = Var("x", FLOAT), Var("y", FLOAT), Builder()
    xy = b.let("multiply", x, y, hint="xy")
    z = b.let("add", b.let("sin", xy), b.let("divide", x, y))
    w = b.let("multiply", b.let("exp", b.let("negative", xy)), b.let("power", x, constant(2.0)))
    return Program(
        finish("straight", (x, y), b, z, w),
        lambda: (1.25, 0.75),
        lambda x, y: (np.sin(x * y) + x / y, np.exp(-(x * y)) * x**2),
    )


@add
def selections() -> Program:
    x, y, b = Var("x", FLOAT), Var("y", FLOAT), Builder()
    larger = b.let("maximum", x, b.let("multiply", y, y))
    safe = b.let("where", b.let("greater", x, constant(0.0)), b.let("sqrt", x), constant(0.0))
    return Program(
        finish("selections", (x, y), b, b.let("add", b.let("absolute", larger), safe)),
        lambda: (0.0 - 2.5, 1.5),
        lambda x, y: abs(max(x, y * y)) + (math.sqrt(x) if x > 0 else 0.0),
    )


@add
def branches() -> Program:
    x, y, b = Var("x", FLOAT), Var("y", FLOAT), Builder()

    def inner() -> Sequence[Atom]:
        (z,) = branch(
            b,
            b.let("less", y, constant(1.0)),
            lambda: [b.let("multiply", x, y)],
            lambda: [b.let("divide", x, y)],
        )
        return [z, b.let("sin", x)]

    z, w = branch(b, b.let("greater", x, constant(0.0)), inner, lambda: [b.let("negative", y), constant(3.0)])
    return Program(
        finish("branches", (x, y), b, b.let("multiply", z, w)),
        lambda: (0.5, 1.5),
        lambda x, y: (x * y if y < 1 else x / y) * math.sin(x) if x > 0 else -y * 3,
    )


@add
def single_precision() -> Program:
    x, b = Var("x", Array("float32", 1)), Builder()
    (s,) = loop(
        b,
        integer(0),
        b.dim(x, 0),
        lambda i, s: [b.let("add", b.let("multiply", s, constant(1.1, "float32")), b.let("exp", b.load(x, i)))],
        [constant(0.5, "float32")],
    )

    def reference(x: Any) -> Any:
        s = np.float32(0.5)
        for v in x:
            s = s * np.float32(1.1) + np.exp(v)
        return s

    return Program(
        finish("single_precision", (x,), b, s), lambda: (rng().normal(size=5).astype(np.float32),), reference
    )


# -- loops --------------------------------------------------------------------------------------------


@add
def horner() -> Program:
    c, x, b = Var("c", VECTOR), Var("x", FLOAT), Builder()
    n = b.dim(c, 0)
    (p,) = loop(
        b,
        b.let("subtract", n, integer(1)),
        integer(-1),
        lambda i, p: [b.let("add", b.let("multiply", p, x), b.load(c, i))],
        [constant(0.0)],
        step=-1,
        hints=["p"],
    )
    return Program(
        finish("horner", (c, x), b, p), lambda: (rng().normal(size=6), 0.7), lambda c, x: float(np.polyval(c[::-1], x))
    )


@add
def triangular() -> Program:
    x, b = Var("x", VECTOR), Builder()

    def outer(i: Var, s: Var) -> Sequence[Atom]:
        def inner(j: Var, s: Var) -> Sequence[Atom]:
            return [b.let("add", s, b.let("exp", b.let("multiply", b.load(x, i), b.load(x, j))))]

        return loop(b, integer(0), b.let("add", i, integer(1)), inner, [s], index="j")

    (s,) = loop(b, integer(0), b.dim(x, 0), outer, [constant(0.0)])
    return Program(
        finish("triangular", (x,), b, s),
        lambda: (rng().normal(size=4),),
        lambda x: sum(math.exp(x[i] * x[j]) for i in range(len(x)) for j in range(i + 1)),
    )


@add
def swap() -> Program:
    """Carries that take each other's place, and one that does not change."""
    x, y, n, b = Var("x", FLOAT), Var("y", FLOAT), Var("n", INT), Builder()
    s, t, _ = loop(
        b,
        integer(0),
        n,
        lambda i, s, t, u: [b.let("multiply", t, b.let("sin", s)), b.let("add", s, b.let("multiply", t, u)), u],
        [x, y, b.let("cos", x)],
    )

    def reference(x: float, y: float, n: int) -> Any:
        u = math.cos(x)
        for _ in range(n):
            x, y = y * math.sin(x), x + y * u
        return x, y

    return Program(finish("swap", (x, y, n), b, s, t), lambda: (0.6, 0.9, 4), reference)


@add
def newton() -> Program:
    """A square root by Newton's iteration."""
    a, b = Var("a", FLOAT), Builder()

    def head(x: Var) -> Atom:
        error = b.let("absolute", b.let("subtract", b.let("multiply", x, x), a))
        return b.let("greater", error, constant(1e-12))

    (x,) = repeat(
        b, head, lambda x: [b.let("multiply", constant(0.5), b.let("add", x, b.let("divide", a, x)))], [a], ["x"]
    )

    def reference(a: float) -> float:
        x = a
        while abs(x * x - a) > 1e-12:
            x = 0.5 * (x + a / x)
        return x

    return Program(finish("newton", (a,), b, x), lambda: (3.0,), reference)


@add
def stopped() -> Program:
    """A loop that was left by ``break`` or ``return``: flags, and a value that may not be there."""
    x, limit, b = Var("x", VECTOR), Var("limit", FLOAT), Builder()
    n = b.dim(x, 0)

    def head(i: Var, s: Var, stop: Var, rv: Var) -> Atom:
        return b.let("logical_and", b.let("logical_not", stop), b.let("less", i, n))

    def body(i: Var, s: Var, stop: Var, rv: Var) -> Sequence[Atom]:
        after = b.let("add", s, b.let("square", b.load(x, i)))
        found = b.let("greater", after, limit)
        (value,) = branch(b, found, lambda: [b.let("multiply", after, b.load(x, i))], lambda: [rv])
        return [b.let("add", i, integer(1)), after, found, value]

    i, s, stop, rv = repeat(b, head, body, [integer(0), constant(0.0), FALSE, Undef(FLOAT)], ["i", "s", "stop", "rv"])
    (y,) = branch(b, stop, lambda: [rv], lambda: [s])

    def reference(x: Any, limit: float) -> float:
        s = 0.0
        for v in x:
            s += v * v
            if s > limit:
                return float(s * v)
        return s

    return Program(finish("stopped", (x, limit), b, y), lambda: (rng().normal(size=8), 1.5), reference)


# -- memory -------------------------------------------------------------------------------------------


@add
def views() -> Program:
    """Views of views: a transpose, rows, steps back, a new axis, another shape."""
    a, b = Var("a", MATRIX), Builder()
    turned = b.view(a, "transpose", [integer(1), integer(0)], hint="at")
    row = b.view(turned, "index", [integer(1), ALL], hint="row")
    back = b.view(row, "index", [Slice(None, None, integer(-1))], hint="back")
    lifted = b.view(back, "index", [None, Slice(integer(1), None, None)], hint="lifted")
    flat = b.view(a, "reshape", [b.let("multiply", b.dim(a, 0), b.dim(a, 1))], hint="flat")

    def body(i: Var, s: Var) -> Sequence[Atom]:
        term = b.let("multiply", b.load(lifted, integer(0), i), b.load(flat, i))
        return [b.let("add", s, b.let("multiply", term, b.load(row, integer(-1))))]

    (s,) = loop(b, integer(0), b.dim(lifted, 1), body, [constant(0.0)])

    def reference(a: Any) -> float:
        row = a.T[1]
        lifted = row[::-1][None, 1:]
        return float(sum(lifted[0, i] * a.ravel()[i] * row[-1] for i in range(lifted.shape[1])))

    return Program(finish("views", (a,), b, s), lambda: (rng().normal(size=(4, 3)),), reference)


@add
def overwritten() -> Program:
    """Every cell is read, written, and read again."""
    x, b = Var("x", VECTOR), Builder()

    def body(i: Var, p: Var, q: Var) -> Sequence[Atom]:
        p = b.let("multiply", p, b.load(x, i))
        b.store(x, [i], b.let("add", p, q))
        t = b.load(x, i)
        b.store(x, [i], b.let("multiply", constant(5.0), b.let("multiply", t, t)))
        w = b.let("multiply", b.let("multiply", t, t), b.load(x, i))
        return [p, b.let("multiply", w, constant(0.5))]

    p, q = loop(b, integer(0), b.dim(x, 0), body, [constant(1.0), constant(0.25)], hints=["p", "q"])

    def reference(x: Any) -> Any:
        p, q = 1.0, 0.25
        for i in range(len(x)):
            p = p * x[i]
            x[i] = t = p + q
            x[i] = 5 * t * t
            q = t * t * x[i] * 0.5
        return p, q, x

    return Program(finish("overwritten", (x,), b, p, q, x), lambda: (rng().uniform(0.2, 0.9, 3),), reference)


@add
def scatter() -> Program:
    """Gather by one list of indices and add up by another; the result is new memory."""
    x, k, n, b = Var("x", VECTOR), Var("k", INDICES), Var("n", INT), Builder()
    y = b.alloc("float64", [n], 0.0, hint="y")

    def body(i: Var) -> Sequence[Atom]:
        c = b.load(k, i, hint="c")
        b.increment(y, [c], b.let("multiply", b.load(x, c), b.load(x, i)))
        return []

    loop(b, integer(0), b.dim(k, 0), body)

    def reference(x: Any, k: Any, n: int) -> Any:
        y = np.zeros(n)
        for i in range(len(k)):
            y[k[i]] += x[k[i]] * x[i]
        return y

    return Program(
        finish("scatter", (x, k, n), b, y), lambda: (rng().normal(size=5), np.array([1, 3, -1, 1, 0]), 5), reference
    )


@add
def backsubstitution() -> Program:
    u, c, b = Var("u", MATRIX), Var("c", VECTOR), Builder()
    n = b.dim(c, 0)

    def outer(i: Var) -> Sequence[Atom]:
        def inner(j: Var) -> Sequence[Atom]:
            product = b.let("multiply", b.load(u, i, j), b.load(c, j))
            b.increment(c, [i], b.let("negative", product))
            return []

        loop(b, b.let("add", i, integer(1)), n, inner, index="j")
        b.store(c, [i], b.let("divide", b.load(c, i), b.load(u, i, i)))
        return []

    loop(b, b.let("subtract", n, integer(1)), integer(-1), outer, step=-1)

    def reference(u: Any, c: Any) -> Any:
        for i in range(len(c) - 1, -1, -1):
            for j in range(i + 1, len(c)):
                c[i] += -(u[i, j] * c[j])
            c[i] /= u[i, i]
        return c

    return Program(
        finish("backsubstitution", (u, c), b, c),
        lambda: (rng().uniform(1, 2, (4, 4)), rng().normal(size=4)),
        reference,
    )


@add
def born_in_a_loop() -> Program:
    """New arrays in every iteration, by a branch one of two, copied, and added into another."""
    x, b = Var("x", VECTOR), Builder()
    y = b.alloc("float64", [integer(3)], 1.0, hint="y")

    def filled(i: Var, op: str) -> Sequence[Atom]:
        t = b.alloc("float64", [integer(3)], 0.0, hint="t")
        b.store(t, [integer(1)], b.let(op, b.load(x, i)))
        b.increment(t, [integer(-1)], b.load(x, i))
        return [t]

    def body(i: Var, s: Var) -> Sequence[Atom]:
        (t,) = branch(
            b, b.let("greater", b.load(x, i), constant(0.0)), lambda: filled(i, "sin"), lambda: filled(i, "exp"), "t"
        )
        kept = b.copy(t, hint="kept")
        b.store(t, [integer(0)], b.let("multiply", b.load(t, integer(1)), b.load(t, integer(2))))
        b.add_into(y, t)
        return [b.let("add", s, b.let("multiply", b.load(kept, integer(1)), b.load(y, integer(0))))]

    (s,) = loop(b, integer(0), b.dim(x, 0), body, [constant(0.0)])

    def reference(x: Any) -> Any:
        y, s = np.ones(3), 0.0
        for v in x:
            t = np.array([0.0, np.sin(v) if v > 0 else np.exp(v), v])
            t[0] = t[1] * t[2]
            y += t
            s += t[1] * y[0]
        return s, y

    return Program(finish("born_in_a_loop", (x,), b, s, y), lambda: (rng().normal(size=4),), reference)


@add
def counted() -> Program:
    """Integers in memory that are overwritten and used as indices."""
    x, m, b = Var("x", VECTOR), Var("m", INDICES), Builder()

    def body(i: Var, s: Var) -> Sequence[Atom]:
        k = b.load(m, i, hint="k")
        b.store(m, [b.load(m, k)], i)
        b.increment(m, [i], integer(1))
        v = b.load(x, b.let("remainder", b.load(m, i), b.dim(x, 0)))
        return [b.let("add", b.let("multiply", s, v), b.load(x, k))]

    (s,) = loop(b, integer(0), b.dim(m, 0), body, [constant(1.0)])

    def reference(x: Any, m: Any) -> Any:
        s = 1.0
        for i in range(len(m)):
            k = m[i]
            m[m[k]] = i
            m[i] += 1
            s = s * x[m[i] % len(x)] + x[k]
        return s

    return Program(
        finish("counted", (x, m), b, s), lambda: (rng().uniform(0.5, 1.5, 4), np.array([2, 0, 3, 1])), reference
    )


@add
def reserved() -> Program:
    """A list that grows: every value of a loop with an unknown number of trips, and their products backwards."""
    x, b = Var("x", FLOAT), Builder()
    r = Var("r", VECTOR)
    b.emit(Alloc(r, (integer(1),)))

    def body(v: Var, q: Var) -> Sequence[Atom]:
        b.emit(Reserve(r, b.let("add", q, integer(1))))
        b.store(r, [q], v)
        return [b.let("multiply", v, constant(1.5)), b.let("add", q, integer(1))]

    _, q = repeat(b, lambda v, q: b.let("less", v, constant(10.0)), body, [x, integer(0)], ["v", "q"])
    (p,) = loop(
        b,
        b.let("subtract", q, integer(1)),
        integer(-1),
        lambda i, p: [b.let("sin", b.let("multiply", p, b.load(r, i)))],
        [x],
        step=-1,
        hints=["p"],
    )

    def reference(x: float) -> float:
        values, v = [], x
        while v < 10:
            values.append(v)
            v *= 1.5
        p = x
        for w in reversed(values):
            p = math.sin(p * w)
        return p

    return Program(finish("reserved", (x,), b, p), lambda: (0.8,), reference)


# -- whole arrays and calls ---------------------------------------------------------------------------


@add
def linear_algebra() -> Program:
    a, c, b = Var("a", MATRIX), Var("c", VECTOR), Builder()
    (y,) = b.op("solve", a, c, hint="y")
    (z,) = b.op("matmul", a, y, hint="z")
    (p,) = b.op("matmul", b.view(a, "transpose", [integer(1), integer(0)]), a, hint="p")
    sign, logdet = b.op("slogdet", p)
    s = b.let("add", b.let("multiply", total(b, y), total(b, z)), b.let("multiply", sign, logdet))
    (inverse,) = b.op("inv", a, hint="inverse")
    (low,) = b.op("cholesky", p, hint="low")
    s = b.let("add", s, b.let("multiply", b.load(inverse, integer(0), integer(1)), b.load(low, integer(1), integer(0))))
    (d,) = b.op("det", a, hint="d")

    def reference(a: Any, c: Any) -> Any:
        y = np.linalg.solve(a, c)
        sign, logdet = np.linalg.slogdet(a.T @ a)
        s = sum(y.tolist()) * sum((a @ y).tolist()) + sign * logdet
        return s + np.linalg.inv(a)[0, 1] * np.linalg.cholesky(a.T @ a)[1, 0], np.linalg.det(a), y

    return Program(
        finish("linear_algebra", (a, c), b, s, d, y),
        lambda: (rng().normal(size=(3, 3)) + 3 * np.eye(3), rng().normal(size=3)),
        reference,
    )


@add
def ordered() -> Program:
    x, b = Var("x", VECTOR), Builder()
    (order,) = b.op("argsort", x, hint="order")
    (s,) = loop(
        b,
        integer(0),
        b.dim(x, 0),
        lambda i, s: [
            b.let("add", s, b.let("multiply", b.cast(i, "float64"), b.let("square", b.load(x, b.load(order, i)))))
        ],
        [constant(0.0)],
    )
    return Program(
        finish("ordered", (x,), b, s),
        lambda: (rng().normal(size=5),),
        lambda x: float(sum(i * v**2 for i, v in enumerate(np.sort(x)))),
    )


@add
def twice_recursive() -> Program:
    """``f(n, x) = x if n < 2 else f(n - 1, sin(x)) * f(n - 2, x) + x``."""
    n, x, b = Var("n", INT), Var("x", FLOAT), Builder()
    function = Function("twice_recursive", (n, x), b.block, ())

    def call(less: int, value: Atom) -> Var:
        out = Var("f", FLOAT)
        b.emit(Call((out,), function, (b.let("subtract", n, integer(less)), value)))
        return out

    (y,) = branch(
        b,
        b.let("less", n, integer(2)),
        lambda: [x],
        lambda: [b.let("add", b.let("multiply", call(1, b.let("sin", x)), call(2, x)), x)],
    )
    function.results = (y,)

    def reference(n: int, x: float) -> float:
        return x if n < 2 else reference(n - 1, math.sin(x)) * reference(n - 2, x) + x

    return Program(function, lambda: (6, 0.7), reference)


@add
def halves() -> Program:
    """Recursion on the halves of an array, which it writes to: ``x[i] *= sum of its half``, from the leaves up."""
    x, b = Var("x", VECTOR), Builder()
    function = Function("halves", (x,), b.block, (), writes=frozenset([x]))
    n = b.dim(x, 0)

    def half(lower: Atom | None, upper: Atom | None) -> Var:
        out = Var("s", FLOAT)
        b.emit(Call((out,), function, (b.view(x, "index", [Slice(lower, upper, None)], hint="part"),)))
        return out

    def split() -> Sequence[Atom]:
        middle = b.let("floor_divide", n, integer(2), hint="middle")
        s = b.let("add", half(None, middle), half(middle, None))

        def body(i: Var) -> Sequence[Atom]:
            b.store(x, [i], b.let("multiply", b.load(x, i), s))
            return []

        loop(b, integer(0), n, body)
        return [s]

    (s,) = branch(b, b.let("less", n, integer(2)), lambda: [b.let("sin", b.load(x, integer(0)))], split, "s")
    function.results = (s,)

    def run(x: Any) -> float:
        if len(x) < 2:
            return float(np.sin(x[0]))
        s = run(x[: len(x) // 2]) + run(x[len(x) // 2 :])
        x *= s
        return s

    top, y = Builder(), Var("y", VECTOR)
    out, own = Var("s", FLOAT), top.copy(y)
    top.emit(Call((out,), function, (own,)))

    def reference(y: Any) -> Any:
        x = y.copy()
        return run(x), x

    return Program(finish("halves_of", (y,), top, out, own), lambda: (rng().normal(size=5),), reference)


# -- effects ------------------------------------------------------------------------------------------


@add
def spoken() -> Program:
    """Prints and checks in a loop, and an error at the end of a path."""
    x, n, b = Var("x", FLOAT), Var("n", INT), Builder()
    b.emit(Print(("start", NEXT, x)))

    def body(i: Var, s: Var) -> Sequence[Atom]:
        b.emit(Check(b.let("less", s, constant(100.0)), "ValueError", ("too large: ", s)))
        b.emit(Print(("round", NEXT, i, NEXT, s)))
        return [b.let("multiply", s, s)]

    (s,) = loop(b, integer(0), n, body, [x])

    def fail() -> Sequence[Atom]:
        b.emit(Raise("ArithmeticError", ("is ", s)))
        return []

    branch(b, b.let("equal", s, constant(0.0)), fail, lambda: [])

    def reference(x: float, n: int) -> float:
        for _ in range(n):
            x = x * x
        return x

    return Program(finish("spoken", (x, n), b, s), lambda: (1.5, 3), reference)


# -- not smooth ---------------------------------------------------------------------------------------


@add
def complex_numbers() -> Program:
    z, x, b = Var("z", Scalar("complex128")), Var("x", FLOAT), Builder()
    w = b.let("multiply", b.let("exp", z), b.cast(x, "complex128"))
    return Program(
        finish("complex_numbers", (z, x), b, b.let("absolute", w), w),
        lambda: (0.3 + 0.4j, 1.5),
        lambda z, x: (abs(np.exp(z) * x), np.exp(z) * x),
    )


@add
def decisions() -> Program:
    """Integers and truth values: remainders, casts and an exclusive or."""
    x, n, flag, b = Var("x", FLOAT), Var("n", INT), Var("flag", Scalar("bool")), Builder()
    k = b.let("remainder", b.cast(x, "int64"), n)
    odd = b.let("equal", b.let("remainder", k, integer(2)), integer(1))
    either = b.let("logical_xor", odd, flag)
    (y,) = branch(b, either, lambda: [b.cast(k, "float64")], lambda: [x])
    return Program(
        finish("decisions", (x, n, flag), b, y, k, b.let("logical_or", either, TRUE)),
        lambda: (17.9, 7, True),
        lambda x, n, flag: (float(int(x) % n) if (int(x) % n % 2 == 1) != flag else x, int(x) % n, True),
        smooth=False,
    )
