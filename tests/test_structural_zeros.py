"""P4: a masked, unselected, overwritten or untaken element contributes a structural zero, never 0 * inf.

Every program looks at `sqrt` of an array with a zero in it, but not at that element. Its derivative there
is 0, not NaN, in every mode and at the second order. A factor that is a *numeric* zero gives NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests.limits import limited

X = np.array([0.0, 4.0])
LAST = (np.array([0.0, 0.25]), np.diag([0.0, -1 / 32]))  # gradient and Hessian of sqrt(x[1])

M = np.array([[4.0, 0.0], [0.0, 4.0]])
DIAGONAL = (np.diag([0.25, 0.25]), np.diag([-1 / 32, 0, 0, -1 / 32]).reshape(2, 2, 2, 2))


def write_over(x: Any) -> Any:
    y = np.sqrt(x)
    y[0] = 0.0
    return np.sum(y)


def write_over_by_mask(x: Any) -> Any:
    y = np.sqrt(x)
    y[x == 0] = 0.0
    return np.sum(y)


def write_over_through_a_view(x: Any) -> Any:
    y = np.sqrt(x)
    y[:1][...] = 0.0
    return np.sum(y)


def buffer(x: Any) -> Any:
    y = np.zeros_like(x)
    s = np.sqrt(x)
    y[1] = s[1]
    return np.sum(y)


def in_place_masked(x: Any) -> Any:
    y = x * 1.0
    y[y > 0] = np.sqrt(y[y > 0])
    return np.sum(y) - y[0]


def loop(x: Any) -> Any:
    total = 0.0
    for k, s in enumerate(np.sqrt(x)):
        if k == 1:
            total = total + s
    return total


def unpacked(x: Any) -> Any:
    _, b = np.sqrt(x)
    return b


def put_along(x: Any) -> Any:
    y = np.sqrt(x)
    np.put_along_axis(y, np.array([0]), 0.0, 0)
    return np.sum(y)


def out_where(x: Any) -> Any:
    y = np.zeros_like(x)
    np.sqrt(x, out=y, where=x > 0)
    return np.sum(y)


LOOKS_AT_THE_LAST: dict[str, Callable[..., Any]] = {
    "where": lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)),
    "where, other branch": lambda x: np.sum(np.where(x == 0, 0.0, np.sqrt(x))),
    "where(mask, x, 1) inside": lambda x: np.sum(np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0)),
    "where twice": lambda x: np.sum(np.where(x > 0, np.where(x > -1, np.sqrt(x), 0.0), 0.0)),
    "where, then a factor": lambda x: np.sum(np.where(x > 0, 2.0 * np.sqrt(x), 0.0)) / 2,
    "select": lambda x: np.sum(np.select([x > 0], [np.sqrt(x)], 0.0)),
    "choose": lambda x: np.sum(np.choose((x > 0).astype(int), [0.0, np.sqrt(x)])),
    "index": lambda x: np.sqrt(x)[1],
    "negative index": lambda x: np.sqrt(x)[-1],
    "slice": lambda x: np.sum(np.sqrt(x)[1:]),
    "fancy index": lambda x: np.sum(np.sqrt(x)[[1, 1]]) / 2,
    "boolean index": lambda x: np.sum(np.sqrt(x)[x > 0]),
    "take": lambda x: np.take(np.sqrt(x), 1),
    "take_along_axis": lambda x: np.take_along_axis(np.sqrt(x), np.array([1]), 0)[0],
    "compress": lambda x: np.compress([False, True], np.sqrt(x))[0],
    "extract": lambda x: np.extract([False, True], np.sqrt(x))[0],
    "delete": lambda x: np.delete(np.sqrt(x), 0)[0],
    "unpacking": unpacked,
    "loop": loop,
    "reshape, index": lambda x: np.sqrt(x).reshape(2, 1)[1, 0],
    "transpose, index": lambda x: np.sqrt(x.reshape(1, 2)).T[1, 0],
    "flip, index": lambda x: np.flip(np.sqrt(x))[0],
    "roll, index": lambda x: np.roll(np.sqrt(x), 1)[0],
    "repeat, index": lambda x: np.repeat(np.sqrt(x), 2)[3],
    "tile, index": lambda x: np.tile(np.sqrt(x), 2)[3],
    "pad, index": lambda x: np.pad(np.sqrt(x), 1)[2],
    "broadcast_to, index": lambda x: np.broadcast_to(np.sqrt(x), (3, 2))[0, 1],
    "concatenate, index": lambda x: np.concatenate([np.sqrt(x), x])[1],
    "stack, index": lambda x: np.stack([np.sqrt(x), x])[0, 1],
    "split, index": lambda x: np.split(np.sqrt(x), 2)[1][0],
    "max": lambda x: np.max(np.sqrt(x)),
    "maximum": lambda x: np.sum(np.maximum(np.sqrt(x), 1.0)) - 1,
    "fmax": lambda x: np.sum(np.fmax(np.sqrt(x), 1.0)) - 1,
    "clip": lambda x: np.sum(np.clip(np.sqrt(x), 1.0, 9.0)) - 1,
    "sort": lambda x: np.sort(np.sqrt(x))[-1],
    "partition": lambda x: np.partition(np.sqrt(x), 1)[1],
    "argmax": lambda x: np.sqrt(x)[np.argmax(x)],
    "running maximum": lambda x: np.maximum.accumulate(np.sqrt(x))[-1],
    "Python's max": lambda x: max(np.sqrt(x)),
    "written over": write_over,
    "written over by mask": write_over_by_mask,
    "written over through a view": write_over_through_a_view,
    "put_along_axis": put_along,
    "buffer": buffer,
    "masked in place": in_place_masked,
    "out= and where=": out_where,
    "chain after the selection": lambda x: np.exp(np.log(np.sqrt(x)[1])),
    "chain before the selection": lambda x: np.tan(np.arctan(np.sqrt(x)))[1],
    "cast": lambda x: np.sqrt(x).astype(np.float64)[1],
    "sum of untouched rows": lambda x: np.sum(np.sqrt(np.stack([x, x + 1]))[0, 1:]),
    "complex": lambda x: np.abs((np.sqrt(x) + 0j)[1]),
    "nested grad": lambda x: cr.grad(lambda t: t * np.sqrt(x)[1])(1.0),
}

LOOKS_AT_THE_DIAGONAL: dict[str, Callable[..., Any]] = {
    "diag": lambda x: np.sum(np.diag(np.sqrt(x))),
    "diagonal": lambda x: np.sum(np.sqrt(x).diagonal()),
    "trace": lambda x: np.trace(np.sqrt(x)),
    "einsum": lambda x: np.einsum("ii", np.sqrt(x)),
    "triu of tril": lambda x: np.sum(np.triu(np.tril(np.sqrt(x)))),
    "mask of eye": lambda x: np.sum(np.sqrt(x)[np.eye(2, dtype=bool)]),
    "where of eye": lambda x: np.sum(np.where(np.eye(2) == 1, np.sqrt(x), 0.0)),
    "two index arrays": lambda x: np.sum(np.sqrt(x)[[0, 1], [0, 1]]),
    "rows": lambda x: sum(row[k] for k, row in enumerate(np.sqrt(x))),
}

CASES = [(name, f, X, *LAST) for name, f in LOOKS_AT_THE_LAST.items()]
CASES += [(name, f, M, *DIAGONAL) for name, f in LOOKS_AT_THE_DIAGONAL.items()]


def close(actual: Any, desired: Any) -> None:
    np.testing.assert_allclose(actual, desired, rtol=1e-14, atol=0)


@pytest.mark.parametrize(("f", "x", "gradient", "hessian"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_unselected_elements_do_not_count(f: Any, x: Any, gradient: Any, hessian: Any) -> None:
    close(cr.grad(f)(x), gradient)
    close(cr.jacfwd(f)(x), gradient)
    close(cr.jacrev(f)(x), gradient)
    close(cr.jacobian(f)(x), gradient)
    close(cr.vmap(cr.grad(f))(np.stack([x, x]))[1], gradient)
    found = {
        "forward over reverse": cr.jacfwd(cr.grad(f)),
        "reverse over reverse": cr.jacrev(cr.grad(f)),
        "forward over forward": cr.jacfwd(cr.jacfwd(f)),
    }
    for name, second in found.items():
        np.testing.assert_allclose(second(x), hessian, rtol=1e-12, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("f", [np.sqrt, np.cbrt, np.log, lambda x: 1 / x, lambda x: x**0.5])
def test_one_hot_seeds_are_structural(f: Any) -> None:
    """The Jacobian of an elementwise function is zero off its diagonal, whatever stands on it."""
    with np.errstate(all="ignore"):
        for jacobian in (cr.jacfwd, cr.jacrev, cr.jacobian):
            matrix = jacobian(f)(X)
            assert matrix[0, 1] == matrix[1, 0] == 0
            assert np.isinf(matrix[0, 0])


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sqrt(x) ** 2,
        lambda x: 0.0 * np.sqrt(x),
        lambda x: np.sqrt(x) * np.zeros(2),
        lambda x: np.sqrt(x) * (x > 0),
        lambda x: np.sqrt(x) @ np.diag([0.0, 1.0]),
        lambda x: np.sqrt(x) - np.sqrt(x),
    ],
)
def test_a_numeric_zero_is_no_structural_one(f: Any) -> None:
    """Zero times anything is not zero: `sqrt(x)**2` has derivative 1 at 0, and 0 would be silently wrong."""
    assert np.isnan(cr.grad(lambda x: np.sum(f(x)))(X)[0])
    assert np.isnan(cr.jvp(f, (X,), (np.ones(2),))[1][0])


def test_a_branch_not_taken_does_not_exist() -> None:
    f = lambda x: np.sqrt(x) if x > 0 else 0.0 * x
    assert cr.grad(f)(0.0) == 0
    assert cr.derivative(f)(0.0) == 0
    assert cr.grad(cr.grad(f))(0.0) == 0


def test_infinity_that_is_reached_stays() -> None:
    """The mask must not hide a pole that counts."""
    f = lambda x: np.sum(np.where(x >= 0, np.sqrt(x), 0.0))
    np.testing.assert_array_equal(cr.grad(f)(X), [np.inf, 0.25])
    np.testing.assert_array_equal(cr.jvp(f, (X,), (np.array([1.0, 0.0]),))[1], np.inf)
    np.testing.assert_array_equal(cr.grad(lambda x: np.sqrt(x)[0] + np.sqrt(x)[1])(X), [np.inf, 0.25])


def test_the_union_of_live_elements_is_kept() -> None:
    """Two selections of one array: what either looks at counts."""

    def f(x: Any) -> Any:
        s = np.sqrt(x)
        return s[1:].sum() + s[[1]].sum() + np.where(x > 0, s, 0.0).sum()

    np.testing.assert_array_equal(cr.grad(f)(X), [0, 0.75])
    np.testing.assert_array_equal(cr.jacfwd(f)(X), [0, 0.75])

    def all_of_it(x: Any) -> Any:
        s = np.sqrt(x)
        return s[1] + np.sum(s)

    np.testing.assert_array_equal(cr.grad(all_of_it)(X), [np.inf, 0.5])
    np.testing.assert_array_equal(cr.jacfwd(all_of_it)(X), [np.inf, 0.5])


@pytest.mark.parametrize("where", [lambda c, a, b: np.where(c, a, b), lambda c, a, b: np.select([c], [a], b)])
def test_masked_products_keep_their_masks_at_the_third_order(where: Any) -> None:
    f = lambda x: where(x > 0, np.sqrt(x), 0.0)
    third = cr.derivative(f, 3)(X)
    np.testing.assert_allclose(third, [0.0, 3 / 8 * 4.0**-2.5], rtol=1e-12)
    np.testing.assert_allclose(cr.grad(cr.grad(cr.grad(lambda t: f(t))))(0.0), 0.0)


def one_branch(v: Any) -> Any:
    return np.sqrt(v if v > 0 else 0.0)


def selection_in_a_branch(v: Any) -> Any:
    if v < 3:
        a = np.maximum(v - 1.0, 0.0)
    else:
        a = v * v
    return np.sqrt(a)


def selection_in_a_loop(v: Any) -> Any:
    total = 0.0
    for k in range(3):
        total = total + np.sqrt(np.maximum(v + k, 0.0))
    return total


# What a test selects, looked at through a pole: the function, a place, its first and its second derivative there.
SELECTED: dict[str, tuple[Callable[..., Any], float, float, float]] = {
    "maximum": (lambda v: np.sqrt(np.maximum(v, 0.0)), -1.0, 0.0, 0.0),
    "maximum, chosen": (lambda v: np.sqrt(np.maximum(v, 0.0)), 4.0, 0.25, -1 / 32),
    "maximum, tie": (lambda v: np.sqrt(np.maximum(v, 0.0)), 0.0, np.inf, -np.inf),
    "maximum, the other way round": (lambda v: np.sqrt(np.maximum(0.0, v)), -1.0, 0.0, 0.0),
    "maximum of two": (lambda v: np.sqrt(np.maximum(v, v * v)), 4.0, 1.0, 0.0),
    "maximum twice": (lambda v: np.sqrt(np.maximum(np.maximum(v, 0.0), v - 3.0)), -1.0, 0.0, 0.0),
    "minimum": (lambda v: np.sqrt(1.0 - np.minimum(v, 1.0)), 2.0, 0.0, 0.0),
    "fmax": (lambda v: np.sqrt(np.fmax(v, 0.0)), -1.0, 0.0, 0.0),
    "fmin": (lambda v: np.sqrt(1.0 - np.fmin(v, 1.0)), 2.0, 0.0, 0.0),
    "clip": (lambda v: np.arcsin(np.clip(v, -1.0, 1.0)), 2.0, 0.0, 0.0),
    "clip, inside": (lambda v: np.arccos(np.clip(v, -1.0, 1.0)), 0.0, -1.0, 0.0),
    "heaviside": (lambda v: np.sqrt(np.heaviside(v, v)), -1.0, 0.0, 0.0),
    "sign": (lambda v: np.sqrt(np.sign(v) + 1.0) + v, -1.0, 1.0, 0.0),
    "abs, of a selection": (lambda v: np.sqrt(np.abs(np.maximum(v, 0.0))), -1.0, 0.0, 0.0),
    "Python's max": (lambda v: np.sqrt(max(v, 0.0)), -1.0, 0.0, 0.0),
    "where": (lambda v: np.log(np.where(v > 0, v, 0.0) + 0.0 * np.sign(v)), -1.0, 0.0, 0.0),
    "where, other side": (lambda v: np.sqrt(np.where(v <= 0, 0.0, v)), -1.0, 0.0, 0.0),
    "where in where": (lambda v: np.sqrt(np.where(v > -3, np.where(v > 0, v, 0.0), 0.0)), -1.0, 0.0, 0.0),
    "where of a selection": (lambda v: np.sqrt(np.where(v > 0, v, np.maximum(-v - 1.0, 0.0))), -0.5, 0.0, 0.0),
    "where guards a pole": (lambda v: np.where(v == 0, 1.0, np.sin(v) / np.where(v == 0, 1.0, v)), 0.0, 0.0, 0.0),
    "where, pole outside": (lambda v: np.where(v > 0, v * np.log(np.where(v > 0, v, 0.0)), 0.0), 0.0, 0.0, 0.0),
    "cbrt": (lambda v: np.cbrt(np.maximum(v, 0.0)), -1.0, 0.0, 0.0),
    "power": (lambda v: np.maximum(v, 0.0) ** 0.5, -1.0, 0.0, 0.0),
    "whole power": (lambda v: np.maximum(v, 0.0) ** 3, 2.0, 12.0, 12.0),
    "logarithm": (lambda v: np.maximum(np.log(np.maximum(v, 0.0)), -5.0), -1.0, 0.0, 0.0),
    "division": (lambda v: np.minimum(1.0 / np.maximum(v, 0.0), 9.0), -1.0, 0.0, 0.0),
    "arctan2": (lambda v: np.arctan2(np.maximum(v, 0.0), np.maximum(v, 0.0)), -1.0, 0.0, 0.0),
    "hypot": (lambda v: np.hypot(np.maximum(v, 0.0), np.maximum(v - 1.0, 0.0)), -1.0, 0.0, 0.0),
    "exp that overflows": (lambda v: 1.0 / (1.0 + np.exp(-np.where(v > 0, v, -1000.0))), -1.0, 0.0, 0.0),
    "sum of selections": (lambda v: np.sqrt(np.maximum(v, 0.0) + np.maximum(v - 1.0, 0.0)), -1.0, 0.0, 0.0),
    "factor between": (lambda v: np.sqrt(3.0 * np.maximum(v, 0.0)), -1.0, 0.0, 0.0),
    "tanh between": (lambda v: np.sqrt(np.tanh(np.maximum(v, 0.0))), -1.0, 0.0, 0.0),
    "complex": (lambda v: np.real(np.sqrt(np.maximum(v, 0.0) + 0j)), -1.0, 0.0, 0.0),
    "complex, chosen": (
        lambda v: np.abs(np.sqrt(np.where(v > 0, v, 0.0) * (3.0 + 4.0j))),
        4.0,
        5**0.5 / 4,
        -(5**0.5) / 32,
    ),
    "branch": (one_branch, -1.0, 0.0, 0.0),
    "selection in a branch": (selection_in_a_branch, 0.0, 0.0, 0.0),
    "selection in a loop": (selection_in_a_loop, -1.5, 0.5 / 0.5**0.5, -0.25 / 0.5**1.5),
    "elements": (lambda v: np.sum(np.sqrt(np.maximum(v * np.array([1.0, -1.0]), 0.0))), 4.0, 0.25, -1 / 32),
}


def forward(f: Any) -> Any:
    return lambda v: cr.jvp(f, (v,), (1.0,))[1]


def test_a_numeric_zero_behind_a_selection_stays_one() -> None:
    """At -1 the product's second term is 0 times a number, no structural zero, and then 0 times infinity."""
    derivative = forward(lambda v: np.sqrt(np.maximum(v, 0.0) * np.exp(v)))
    with np.errstate(all="ignore"):
        assert np.isnan(
            [derivative(-1.0), *(cr.jit(derivative, backend=b)(-1.0) for b in ("interpreter", "python"))]
        ).all()


@pytest.mark.parametrize("name", SELECTED)
def test_what_is_not_selected_stays_zero_behind_a_pole(name: str) -> None:
    f, x, first, second = SELECTED[name]
    orders = {
        "forward": (forward(f), first),
        "reverse": (cr.grad(f), first),
        "forward over reverse": (forward(cr.grad(f)), second),
        "reverse over forward": (cr.grad(forward(f)), second),
        "forward over forward": (forward(forward(f)), second),
    }
    with np.errstate(all="ignore"):
        for order, (derivative, expected) in orders.items():
            found = [derivative(x), *(cr.jit(derivative, backend=b)(x) for b in ("interpreter", "python"))]
            np.testing.assert_allclose(found, [expected] * 3, rtol=1e-12, atol=1e-15, err_msg=order)


def test_what_is_not_selected_stays_zero_in_machine_code() -> None:
    functions, places, first, _ = zip(*list(SELECTED.values())[::4], strict=True)
    slopes = cr.jit(lambda *xs: [cr.jvp(f, (x,), (1.0,))[1] for f, x in zip(functions, xs, strict=True)])
    np.testing.assert_allclose(slopes(*places), first, rtol=1e-12, atol=1e-15)


def carried(v: Any) -> Any:
    s = total = 0.0
    for _ in range(2):
        total = total + np.sqrt(s)
        s = s + v * v
    return total


def kept(v: Any) -> Any:
    h = np.maximum(v * (1.0 - 2.0 * np.arange(20)), 0.0)
    return np.sum(np.sqrt(h)) + np.sum(h)


def kept_in_scalars(v: Any) -> Any:
    h = np.maximum(v * np.array([1.0, -1.0]), 0.0)
    return np.sum(np.sqrt(h)) + np.sum(h)


# What a loop carries, or memory holds: the function and its derivative at 4.
KEPT = {
    "a carry that starts as a constant": (carried, 1.0),
    "a selection in memory": (kept, 1.25),
    "a selection in a small array": (kept_in_scalars, 1.25),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_carried_or_in_memory(name: str) -> None:
    f, slope = KEPT[name]
    with np.errstate(all="ignore"):
        found = [forward(f)(4.0), cr.grad(f)(4.0), cr.jit(cr.grad(f), backend="interpreter")(4.0)]
        np.testing.assert_allclose(found, [slope] * 3)
        with limited(name, "native forward"):
            np.testing.assert_allclose(cr.jit(forward(f), backend="interpreter")(4.0), slope)


@pytest.mark.parametrize("f", [np.sin, np.square, np.tanh, lambda t: 3.0 * t, lambda t: t**3])
def test_no_test_stands_where_nothing_can_be_infinite(f: Any) -> None:
    """Of ``np.where(v > 0, v, 1.0)`` and of its tangent; a third one would be in front of the product."""
    text = cr.source(forward(lambda v: f(np.where(v > 0, v, 1.0))), 0.5)
    assert text.count(" if ") <= 2, text
