"""The derivatives that loops carry, written as products that wait for one operation."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Atom, Carry, For, Function, Scalar, Var
from chainrule.ir.show import show
from chainrule.transforms.preaccumulate import preaccumulate


def looped(write: Any, count: int, dtype: str = "float64") -> tuple[Function, For]:
    """A loop of three rounds over `count` carries: ``write(build, params, x, y)`` says what they are next."""
    type = Scalar(dtype)
    given = [Var(v, type) for v in ("x", "y")]
    params = [Var(f"c{k}", type) for k in range(count)]
    body, build = Builder(), Builder()
    nexts = write(body, params, *given)
    carries = [
        Carry(p, constant(k + 1.0, dtype), after, Var(p.hint, type))
        for k, (p, after) in enumerate(zip(params, nexts, strict=True))
    ]
    loop = For(Var("i", INT), integer(0), integer(3), integer(1), body.block, carries)
    build.emit(loop)
    return Function("f", tuple(given), build.block, tuple(c.out for c in carries)), loop


def shortened(write: Any, count: int = 1, dtype: str = "float64") -> list[str]:
    """The body of such a loop afterwards, which means what it meant."""
    function, loop = looped(write, count, dtype)
    before = evaluate(function, [3.0, -2.0])
    preaccumulate(loop.body, loop.carries, loop.carries, Builder())
    check(function)
    assert evaluate(function, [3.0, -2.0]) == before  # small whole numbers: nothing is rounded
    return [line.strip() for line in show(function).splitlines()[2:-1]]


def test_products_are_summed_first() -> None:
    def write(b: Builder, c: list[Var], x: Var, y: Var) -> list[Atom]:
        return [b.let("add", b.let("multiply", b.let("multiply", c[0], x), y), b.let("multiply", c[0], constant(2.0)))]

    assert shortened(write) == ["t_2 = multiply(x, y)", "t_3 = add(t_2, 2.0)", "t = multiply(c0_2, t_3)", "give t"]


def test_what_stands_alone_is_not_a_factor_of_one() -> None:
    def write(b: Builder, c: list[Var], x: Var, y: Var) -> list[Atom]:
        return [b.let("subtract", c[0], b.let("multiply", b.let("multiply", c[0], x), y))]

    *_, product, total, _ = shortened(write)
    assert product == "t_4 = multiply(c0_2, t_3)"
    assert total == "t = add(c0_2, t_4)"


def test_what_does_not_wait_comes_first() -> None:
    def write(b: Builder, c: list[Var], x: Var, y: Var) -> list[Atom]:
        return [b.let("add", b.let("add", b.let("multiply", c[0], x), x), y)]

    assert shortened(write) == ["t_2 = add(x, y)", "t_3 = multiply(c0_2, x)", "t = add(t_2, t_3)", "give t"]


def test_sums_that_nothing_waits_for_stay() -> None:
    """The second carry adds up what the first is multiplied by; no iteration needs it."""

    def write(b: Builder, c: list[Var], x: Var, y: Var) -> list[Atom]:
        share = b.let("multiply", b.let("multiply", c[0], x), y)
        return [b.let("multiply", c[0], x), b.let("add", c[1], share)]

    assert "t_4 = multiply(t_3, y)" in shortened(write, 2)


def test_what_others_read_stays() -> None:
    def write(b: Builder, c: list[Var], x: Var, y: Var) -> list[Atom]:
        product = b.let("multiply", c[0], x)
        return [b.let("multiply", product, y), b.let("add", c[1], b.let("multiply", product, product))]

    found = shortened(write, 2)
    assert "t_3 = multiply(c0_2, x)" in found
    assert found[-3:] == ["t_5 = multiply(x, y)", "t = multiply(c0_2, t_5)", "give t, t_2"]


def test_no_more_is_computed_than_is_waited_for_less() -> None:
    """The product of two matrices takes more than to apply one after the other."""

    def write(b: Builder, c: list[Var], x: Var, y: Var) -> list[Atom]:
        def applied(p: Atom, q: Atom) -> list[Atom]:
            return [b.let("add", b.let("multiply", p, u), b.let("multiply", q, v)) for u, v in ((x, y), (y, x))]

        return applied(*applied(*c))

    assert len(shortened(write, 2)) == 12 + len(["give"])


def test_what_other_carries_are_next_stays() -> None:
    """After a loop inside that reads a derivative, everything that it carries seems to wait for that."""

    def write(b: Builder, c: list[Var], x: Var, y: Var) -> list[Atom]:
        inner, made, after = Builder(), [Var("u", FLOAT), Var("v", FLOAT)], [Var("u", FLOAT), Var("v", FLOAT)]
        nexts = inner.let("add", made[0], x), inner.let("add", made[1], c[0])
        carries = [Carry(m, start, n, a) for m, start, n, a in zip(made, (c[1], y), nexts, after, strict=True)]
        b.emit(For(Var("j", INT), integer(0), integer(2), integer(1), inner.block, carries))
        product = b.let("multiply", b.let("multiply", c[0], x), y)
        return [b.let("add", product, after[1]), b.let("multiply", after[0], x)]

    function, loop = looped(write, 2)
    before = evaluate(function, [3.0, -2.0])
    preaccumulate(loop.body, loop.carries, loop.carries[:1], Builder())
    check(function)
    assert evaluate(function, [3.0, -2.0]) == before


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_other_numbers_stay(dtype: str) -> None:
    def write(b: Builder, c: list[Var], x: Var, y: Var) -> list[Atom]:
        return [b.let("multiply", b.let("multiply", c[0], x), y)]

    assert shortened(write, dtype=dtype) == ["t_2 = multiply(c0_2, x)", "t = multiply(t_2, y)", "give t"]


def test_small_steps_are_not_rounded_to_one_side() -> None:
    """An explicit step `c + c * h`: ten thousand of them to the accuracy of the sum as it was."""

    def write(b: Builder, c: list[Var], x: Var, y: Var) -> list[Atom]:
        return [b.let("add", c[0], b.let("multiply", b.let("multiply", c[0], x), y))]

    function, loop = looped(write, 1)
    loop.upper = integer(10_000)
    preaccumulate(loop.body, loop.carries, loop.carries, Builder())
    step = 1e-9 / 3
    (found,) = evaluate(function, [step, 1.0])
    assert found == pytest.approx((1 + 10_000 * step + 10_000 * 9_999 / 2 * step**2), rel=2e-14)


def written_at_random(rng: random.Random) -> Any:
    def write(b: Builder, c: list[Var], *given: Var) -> list[Atom]:
        known: list[Atom] = [*c, *given, constant(2.0)]
        for _ in range(rng.randrange(1, 14)):
            op = rng.choice(["add", "subtract", "multiply", "multiply", "negative"])
            args = [
                rng.choice(known[-6:] if rng.random() < 0.6 else known) for _ in range(1 if op == "negative" else 2)
            ]
            linear = op != "multiply" or sum(a in products or a in c for a in args) < 2
            if linear:
                known.append(b.let(op, *args))
                if any(a in products or a in c for a in args):
                    products.add(known[-1])
        return [rng.choice(known[-4:]) for _ in c]

    products: set[Atom] = set()
    return write


def test_random_bodies_mean_the_same() -> None:
    changed = 0
    for seed in range(600):
        rng = random.Random(seed)
        function, loop = looped(written_at_random(rng), rng.randrange(1, 4))
        before = evaluate(function, [3.0, -2.0])
        kept = dataclasses.replace(loop.body, nodes=list(loop.body.nodes))
        preaccumulate(loop.body, loop.carries, loop.carries, Builder())
        check(function)
        assert evaluate(function, [3.0, -2.0]) == before, show(function)
        changed += kept.nodes != loop.body.nodes
    assert changed > 50
