"""Arrays that grow, kept between calls: equal results in any room; what may not run again has none."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Function, Reserve, While
from chainrule.ir.walk import nodes_of
from chainrule.native.rooms import FIRST, roomy, with_rooms
from chainrule.transforms.simplify import simplify
from chainrule.transforms.stretches import LENGTH, stretched


def roots(a):
    total = 0.0
    for i in range(len(a)):
        y = 1.0
        while abs(y * y - a[i]) > 1e-10:
            y = y - (y * y - a[i]) / (2.0 * y)
        total += y
    return total


def orbit(x, n):
    k, y = 0, x
    while k < n:
        y = 3.7 * y * (1.0 - y)
        if y > 0.5:
            j = 0
            while j * y < 1.5:
                y = np.sin(y) + 0.1 * j
                j += 1
        k += 1
    return y


def loud(x, n):
    k = 0
    while k < n:
        print(k)
        x = np.sin(x)
        k += 1
    return x


A = np.linspace(0.5, 4.0, 23)
CASES: list[tuple[Any, tuple[Any, ...]]] = [(roots, (A,)), (orbit, (0.3, 0)), (orbit, (0.3, 7)), (orbit, (0.3, 400))]


def gradient(f: Any, args: tuple[Any, ...]) -> Function:
    return simplify(cr.jit(cr.grad(f)).read(*args).function)


@pytest.mark.parametrize(("f", "args"), CASES)
def test_stretches_compute_the_same(f: Any, args: tuple[Any, ...]) -> None:
    function = gradient(f, args)
    made = check(stretched(function))
    for expected, got in zip(evaluate(function, list(args)), evaluate(made, list(args)), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("f", "args"), CASES)
def test_the_same_in_any_room(f: Any, args: tuple[Any, ...]) -> None:
    function = gradient(f, args)
    spacious, dtypes = with_rooms(stretched(function))
    check(spacious)
    assert dtypes
    assert not any(isinstance(n, Reserve) for n in nodes_of(spacious.body))
    rooms = [np.full(50_000, 77).astype(d) for d in dtypes]
    got = evaluate(spacious, [*args, *rooms])
    for mine, expected in zip(got, evaluate(function, list(args)), strict=True):
        np.testing.assert_array_equal(mine, expected)
    run = roomy(lambda *given: evaluate(spacious, list(given)), dtypes)
    for mine, expected in zip(run(*args), got, strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_a_program_out_of_room_is_run_again_with_more() -> None:
    sizes = []

    def call(need, room):
        sizes.append(room.size)
        if room.size < need:
            raise BufferError("more room")
        return need

    run = roomy(call, ("float64",))
    for need in (10, 5 * FIRST, FIRST, 3):
        assert run(need) == need
    assert sizes == [FIRST, FIRST, 4 * FIRST, 16 * FIRST, 16 * FIRST, 16 * FIRST]


def test_errors_of_the_program_are_its_own() -> None:
    def call(room):
        raise BufferError("the user's")

    with pytest.raises(BufferError, match="the user's"):
        roomy(call, ("float64",))()


def test_what_prints_or_writes_is_not_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    function = gradient(loud, (0.3, 5))
    assert with_rooms(function) == (function, ())
    cr.jit(cr.grad(loud))(0.3, 3000)
    assert capsys.readouterr().out.count("\n") == 3000


def test_one_loop_becomes_two() -> None:
    function = gradient(roots, (A,))
    whiles = [sum(isinstance(n, While) for n in nodes_of(f.body)) for f in (function, stretched(function))]
    assert whiles == [1, 2]
    assert LENGTH > 1


def test_threads_have_rooms_of_their_own() -> None:
    compiled = cr.jit(cr.grad(roots))
    points = [np.linspace(0.5, k + 1.0, 50 * k) for k in range(1, 9)]
    expected = [cr.jit(cr.grad(roots))(p) for p in points]
    wrong = []

    def work(k: int) -> None:
        for _ in range(20):
            if not np.array_equal(compiled(points[k]), expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
