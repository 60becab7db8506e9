"""Small arrays that become scalars: which do, which must not, and that programs compute what they did."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError
from chainrule.ir.build import FLOAT, Builder, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, For, Function, If, Op, Var, While
from chainrule.ir.walk import nodes_of
from chainrule.transforms.simplify.scalars import scalarised
from tests.ir.programs import finish, loop
from tests.transforms.differences import check_jvp, check_vjp, fresh
from tests.transforms.reading import as_read, program_of

X = np.random.default_rng(3).normal(size=7)


def results_of(function: Function, *args: Any) -> list[Any]:
    given = fresh(args)
    return [*evaluate(check(function), given), *given]


def compared(f: Callable[..., Any], *args: Any, tolerance: float = 1e-12) -> Function:
    """The program of `f` as it was read, with scalars, which was compared with it."""
    read = as_read(f, args)
    made = scalarised(read)
    for x, y in zip(results_of(read, *args), results_of(made, *args), strict=True):
        np.testing.assert_allclose(y, x, rtol=tolerance, atol=tolerance)
    return made


def arrays(function: Function) -> int:
    return sum(isinstance(n, Alloc) for n in nodes_of(function.body))


# -- what becomes scalars -----------------------------------------------------------------------------


def a_state(x: Any) -> Any:
    """Carried by the loop; the new one is made from all of the old one."""
    s = np.array([1.0, 0.5, 0.1])
    for v in x:
        s = s + 0.1 * np.array([s[1] - v, s[2] * s[0], np.sin(s[0])])
    return s[0] * s[1] + s[2]


def products(x: Any) -> Any:
    m, total = np.array([[0.1, 0.2], [0.3, 0.4]]), 0.0
    for v in x:
        m = m @ np.array([[v, 1.0], [0.5, v]]) * 0.5
        w = m.T @ np.array([v, 2.0])
        total += w @ m @ w
    return total


def views(x: Any) -> Any:
    total = 0.0
    for v in x:
        a = np.zeros((2, 3))
        a[0, :] = v
        a[-1] = [1.0, v, 2.0]
        row = a[1]
        row[1:] += a[0, ::-1][:2]
        a.T[2, 0] *= 3.0
        total += np.sum(a.reshape(6)[1:5] ** 2) + a[:, None, 1][0, 0]
    return total


def branches(x: Any) -> Any:
    a, total = np.ones(2), 0.0
    for v in x:
        if v > 0.0:
            a[0] += v
            b = np.array([v, 1.0])
        else:
            a[1] = v * a[0]
            b = np.array([2.0, v])
        total += a[0] * a[1] + b @ a
    return total


def triangles(x: Any) -> Any:
    total = 0.0
    for v in x:
        low = np.zeros((3, 3))
        for i in range(3):
            for j in range(i + 1):
                low[i, j] = v + i - 0.5 * j
        for i in range(2, -1, -1):
            for j in range(i, 3):
                total += low[j, i] * low[2, j]
    return total


def other_numbers(x: Any) -> Any:
    total = 0.0
    for k in range(len(x)):
        count = np.zeros(2, dtype=np.int64)
        seen = np.zeros(2, dtype=np.bool_)
        z = np.zeros(2, dtype=np.complex128)
        count[-2] += k
        seen[1] = x[k] > 0.0
        z[0] = x[k] + 2j
        z[1] = z[0] * z[0]
        if seen[1] and count[0] > 1:
            total += z[1].imag * count[0]
    return total


def until(x: Any) -> Any:
    a = np.array([0.0, 1.0])
    while a[0] < 5.0:
        a[0] += a[1]
        a[1] += x[0] * x[0]
    return a[0] * a[1]


def coefficients(x: Any) -> Any:
    """A constant table, gone through for each element."""
    c, total = np.array([1.0, -0.5, 0.25, -0.125]), 0.0
    for v in x:
        y = 0.0
        for k in range(4):
            y = y * v + c[k]
        total += y
    return total


def nothing_in_common(x: Any) -> Any:
    """Products over an extent of 0 are zeros, and of vectors and matrices without elements there is nothing."""
    total = 0.0
    for v in x:
        a, b, ones, none = np.zeros((0, 2)), np.zeros((2, 0)), np.ones(2), np.zeros(0)
        c = b @ a
        c[0, 1] += v
        total += c[0, 1] * v + np.sum(a @ ones) + np.sum(ones @ b) + none @ none + np.sum(b @ none) + np.sum(none @ a)
    return total


@pytest.mark.parametrize(
    "f",
    [a_state, products, views, branches, triangles, other_numbers, until, coefficients, nothing_in_common],
    ids=lambda f: f.__name__,
)
def test_small_arrays_become_scalars(f: Callable[..., Any]) -> None:
    made = compared(f, X)
    assert arrays(made) == 0
    assert not any(isinstance(n, Op) for n in nodes_of(made.body))
    np.testing.assert_allclose(results_of(made, X)[0], f(X), rtol=1e-12)
    if f is not other_numbers:
        check_vjp(program_of(f, [X]), [X])
        check_jvp(program_of(f, [X]), [X])


def test_what_is_kept_for_the_way_back_are_numbers() -> None:
    """No array of an iteration is kept, and the loop back makes none."""
    for f in (a_state, products, branches):
        lines = [line.split("#")[0] for line in cr.source(cr.jit(cr.grad(f)), X).splitlines()]
        made = [line.split("np.empty")[1].strip() for line in lines if "np.empty" in line]
        assert set(made) <= {"(n_x)", "(n_x, np.bool_)"}
        assert not any(" @ " in line or ".copy()" in line for line in lines)


def test_constant_indices_are_found_in_what_is_written_out_only() -> None:
    """A test on the index decides, and what it keeps from running is out of bounds."""

    def neighbours(x: Any) -> Any:
        total = 0.0
        for v in x:
            a = np.array([v, 2.0, v * v])
            for i in range(3):
                if i + 1 < 3:
                    total += a[i] * a[i + 1]
                if i > 0 and v > 0.0:
                    a[i] -= a[i - 1]
            total += a[2]
        return total

    made = compared(neighbours, X)
    assert arrays(made) == 0
    assert sum(isinstance(n, If) for n in nodes_of(made.body)) == 2


def test_arrays_that_large_ones_are_made_from() -> None:
    """A copy that is a result is filled with the numbers; what is added from memory and into it goes cell by cell."""
    b, big = Builder(), Var("big", as_read(lambda x: x * 1.0, [X]).params[0].type)

    def body(i: Var) -> None:
        a = b.alloc("float64", [integer(3)], 0.5)
        b.store(a, [integer(-1)], b.load(big, i))
        b.add_into(a, big)
        b.add_into(big, a)
        copied = b.copy(a)
        total = b.load(copied, i)
        b.increment(big, [i], total)

    loop(b, integer(0), b.dim(big, 0), body)  # type: ignore[arg-type]
    f = finish("f", [big], b)
    made = scalarised(f)
    for x, y in zip(results_of(f, X[:3]), results_of(made, X[:3]), strict=True):
        np.testing.assert_array_equal(x, y)
    assert [n.out.hint for n in nodes_of(made.body) if isinstance(n, Alloc)] == ["a"]  # the copy


# -- what does not ------------------------------------------------------------------------------------


def found_by_a_number(x: Any) -> Any:
    total = 0.0
    for k in range(len(x)):
        a = np.array([x[k], 1.0, 2.0])
        total += a[k % 3]
    return total


def a_result(x: Any) -> Any:
    a = np.zeros(2)
    for v in x:
        a[0] += v
    return a


def long(x: Any) -> Any:
    total = 0.0
    for v in x:
        a = np.zeros(7)
        for k in range(7):
            a[k] = v * k
        total += a[3] * a[6]
    return total


def many_statements(x: Any) -> Any:
    total = 0.0
    for v in x:
        a = np.zeros((4, 4))
        for i in range(4):
            for j in range(4):
                for k in range(4):
                    a[i, j] += np.sin(v * k) * a[j, k] + 1.0
        total += a[3, 3]
    return total


def multiplied_with_a_large_one(x: Any) -> Any:
    total = 0.0
    for v in x:
        total += np.sum(np.array([v, 1.0]) @ x[:6].reshape(2, 3))
    return total


def run_once(x: Any) -> Any:
    """Written out it would be longer, and nothing is gained."""
    a = np.zeros(3)
    for k in range(3):
        a[k] = np.sin(x[k]) + np.exp(x[k] * k) / (1.0 + x[k + 1])
    return np.sum(a) * a[0]


@pytest.mark.parametrize(
    "f",
    [found_by_a_number, a_result, long, many_statements, multiplied_with_a_large_one, run_once],
    ids=lambda f: f.__name__,
)
def test_what_stays_memory(f: Callable[..., Any]) -> None:
    made = compared(f, X)
    assert arrays(made) > 0
    loops = [sum(isinstance(n, (For, While)) for n in nodes_of(p.body)) for p in (made, as_read(f, [X]))]
    assert loops[0] == loops[1] or f is multiplied_with_a_large_one


def test_an_index_out_of_bounds_is_left_to_the_program() -> None:
    b, x = Builder(), Var("x", FLOAT)
    a = b.alloc("float64", [integer(2)], 0.0)
    b.store(a, [integer(0)], x)
    f = finish("f", [x], b, b.load(a, integer(5)))
    assert arrays(scalarised(f)) == 1


def test_parts_that_run_at_once_share_no_scalars() -> None:
    b, x = Builder(), Var("x", FLOAT)
    a = b.alloc("float64", [integer(2)], 0.0)
    loop(b, integer(0), integer(2), lambda i: b.store(a, (i,), x))  # type: ignore[arg-type]
    next(n for n in b.block if isinstance(n, For)).parallel = True
    f = finish("f", [x], b, b.load(a, integer(1)))
    assert scalarised(f) is f


# -- at random ----------------------------------------------------------------------------------------


class _Text:
    """A random function of a vector that works on two vectors of three, a matrix, and a number."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.lines = ["def f(x):", "    a, b = np.array([0.5, -0.2, 0.1]), np.zeros(3)", "    m, s = np.eye(3), 0.3"]
        self.indices: list[str] = []
        self.lines.append("    for t in range(len(x)):")
        for _ in range(self.rng.integers(3, 7)):
            self.statement("        ", 2)
        self.lines.append("        s = np.sin(s + a[0] * b[1] - m[2, 1])")
        self.lines.append("    return s + a[2] + np.sum(m[0]) + b[0]")

    def one(self, *choices: str) -> str:
        return str(self.rng.choice(choices))

    def index(self) -> str:
        return self.one("0", "1", "2", "-1", *self.indices * 2)

    def vector(self) -> str:
        return self.one("a", "b", "m[1]", "m[:, 0]", "a[::-1]", "m.T[2]", "b.copy()", f"m[{self.index()}]")

    def number(self) -> str:
        i, j = self.index(), self.index()
        return self.one("x[t]", "s", f"a[{i}]", f"b[{j}]", f"m[{i}, {j}]", "0.5", f"np.sin(a[{i}] + x[t])", "a @ b")

    def statement(self, at: str, depth: int) -> None:
        i, j, v, w, x, y = self.index(), self.index(), self.vector(), self.vector(), self.number(), self.number()
        kind = self.rng.integers(0, 13 if depth else 9)
        if kind < 9:
            self.lines.append(
                at
                + (
                    f"a[{i}] = 0.5 * np.sin({x} * {y})",
                    f"b[{i}] += 0.3 * np.cos({x})",
                    f"m[{i}, {j}] = np.cos(0.5 * {x} - {y})",
                    f"m[{i}] = {v} * 0.5",
                    f"a = 0.5 * {v} + 0.2 * np.sin({x}) * {w}",
                    f"b = np.cos(m @ {v})",
                    "m = np.sin(m @ m.T)",
                    f"s += np.sum(m[1:, {i}]) * 0.1 + {x}",
                    f"m[:, {i}] -= 0.3 * np.sin({x}) * a",
                )[kind]
            )
            return
        if kind == 9:
            name = "ijk"[len(self.indices)]
            self.lines.append(
                f"{at}for {name} in range({self.one('3', '2', '1, 3', *[i + ' + 1' for i in self.indices])}):"
            )
            self.indices.append(name)
        elif kind == 10:
            self.lines.append(f"{at}for _ in range(t):")
        else:
            self.lines.append(f"{at}if {self.one(x + ' > ' + y, i + ' < ' + j)}:")
        for _ in range(self.rng.integers(1, 3)):
            self.statement(at + "    ", depth - 1)
        if kind == 9:
            self.indices.pop()
        elif kind == 12:
            self.lines.append(f"{at}else:")
            self.statement(at + "    ", depth - 1)


def random_function(seed: int) -> Callable[..., Any]:
    text = "\n".join(_Text(seed).lines) + "\n"
    name, space = f"<small arrays {seed}>", {"np": np}
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), space)
    return space["f"]  # type: ignore[return-value]


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_random_programs_compute_what_they_did(first: int) -> None:
    done = 0
    for seed in range(first, first + 10):
        f, x = random_function(seed), X[:4]
        try:
            made = compared(f, x, tolerance=1e-9)
        except ChainruleError:  # a name that is one array or another
            continue
        np.testing.assert_allclose(results_of(made, x)[0], f(x), rtol=1e-9)
        check_vjp(program_of(f, [x]), [x])
        done += arrays(made) == 0
    assert done >= 2
