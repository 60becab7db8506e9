"""A call from Python: whatever the arrays are like, compiled code sees what the user's function would."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, UnsupportedError


def weighted(x: Any, scale: Any) -> Any:
    total = 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            total += (1.0 + i + 10.0 * j) * x[i, j] * scale
    return total


def checked(x: Any) -> Any:
    if x[0] < 0.0:
        raise ValueError("negative")
    return x[0] * x[1]


gradient = cr.jit(cr.grad(weighted))
VALUES = np.arange(6.0).reshape(2, 3) + 1.0
EXPECTED = 2.0 * (1.0 + np.arange(2)[:, None] + 10.0 * np.arange(3))


def unaligned(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    made = np.frombuffer(bytearray(x.nbytes + 1), np.uint8)[1:].view(x.dtype).reshape(x.shape)
    made[...] = x
    return made


def read_only(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    made = x.copy()
    made.flags.writeable = False
    return made


class Own(np.ndarray[Any, Any]):
    """A subclass that changes nothing."""


LAYOUTS = {
    "rows": np.copy,
    "columns": np.asfortranarray,
    "every second": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "backwards": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only,
    "unaligned": unaligned,
    "a subclass": lambda x: x.view(Own),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_as_it_is(layout: str) -> None:
    x = LAYOUTS[layout](VALUES)
    gradient(VALUES, 2.0)  # from here on there is a short road
    for _ in range(2):
        np.testing.assert_array_equal(gradient(x, 2.0), EXPECTED)
        np.testing.assert_array_equal(x, VALUES)


def test_other_kinds_take_other_programs() -> None:
    gradient(VALUES, 2.0)
    for x, scale, dtype in ((VALUES.astype(np.float32), 2.0, np.float32), (VALUES.astype(int), 2, np.float64)):
        made = gradient(x, scale)
        np.testing.assert_array_equal(made, EXPECTED)
        assert made.dtype == dtype
    np.testing.assert_array_equal(gradient(VALUES[:1], np.float64(2.0)), EXPECTED[:1])
    np.testing.assert_array_equal(gradient(VALUES, 2.0), EXPECTED)


@pytest.mark.parametrize("kind", [np.ma.array, lambda x: x.view(np.matrix)])
def test_what_only_looks_like_an_array_is_refused(kind: Any) -> None:
    gradient(VALUES, 2.0)
    with pytest.raises(ArgumentError, match=r"argument 0 is a .*: pass np.asarray"):
        gradient(kind(VALUES), 2.0)


def test_what_only_looks_like_an_array_is_refused_outside_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "OUTSIDE", VALUES[0])
    scaled = cr.jit(lambda x: OUTSIDE[0] * x)  # noqa: F821
    assert scaled(2.0) == 2.0
    monkeypatch.setitem(globals(), "OUTSIDE", np.ma.array(VALUES[0]))
    with pytest.raises(UnsupportedError, match="'OUTSIDE' is a MaskedArray"):
        scaled(2.0)


def general_calls(jitted: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of the calls that take the general road from now on."""
    seen: list[Any] = []
    general = type(jitted)._call

    def call(self: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        seen.append(args)
        return general(self, args, kwargs)

    monkeypatch.setattr(type(jitted), "_call", call)
    return seen


COUNT, SHIFT = 3, np.ones(2)


def test_the_short_road_is_taken_until_something_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    inner, factor = 5, 2.0

    def f(x: Any) -> Any:
        return np.sum(x**COUNT * inner * factor + abs(SHIFT[0]) * x)

    def expected(x: Any) -> Any:
        return COUNT * x ** (COUNT - 1) * inner * factor + abs(SHIFT[0])

    x, g = np.array([2.0, 3.0]), cr.jit(cr.grad(f))
    np.testing.assert_allclose(g(x), expected(x))
    seen = general_calls(g, monkeypatch)

    def roads() -> int:
        for _ in range(3):
            np.testing.assert_allclose(g(x), expected(x))
        count = len(seen)
        seen.clear()
        return count

    assert roads() == 0
    factor = 2.5  # a float is an argument
    assert roads() == 0
    monkeypatch.setitem(globals(), "SHIFT", np.full(2, 7.0))
    assert roads() == 0
    for change in (
        lambda: monkeypatch.setitem(globals(), "COUNT", 2),
        lambda: monkeypatch.setitem(globals(), "SHIFT", np.full(2, 7.0, "f4")),
        lambda: monkeypatch.setitem(globals(), "abs", lambda v: 10.0 * v),
    ):
        change()
        assert roads() == 1
    inner = 6
    assert roads() == 1


def test_a_call_taken_from_the_function_outlives_it() -> None:
    def f(x: Any) -> Any:
        return np.sum(x**COUNT)

    g = cr.jit(cr.grad(f))
    fresh = g.__call__
    g(VALUES)
    call, owner = g.__call__, weakref.ref(g)
    del g
    assert owner() is None  # at once, and its machine code with it
    for x in (VALUES, VALUES[0], VALUES[:, ::2]):
        for made in (call(x), fresh(x)):
            np.testing.assert_allclose(made, 3 * x**2)


def test_results_of_every_form_come_back_in_it() -> None:
    def f(x: Any, y: Any) -> Any:
        total = np.sum(x)
        return {"sum": total, "parts": [x * y, (total, 2.0 * y)]}, (x + 1.0,)

    jitted = cr.jit(f)
    first, second = jitted(VALUES[0], 3.0), jitted(VALUES[0], 3.0)
    for made, plain in zip((first, second), [f(VALUES[0], 3.0)] * 2, strict=True):
        assert repr(made) == repr(plain)


def test_wrong_arguments_and_errors_of_the_program() -> None:
    product = cr.jit(checked)
    assert product(np.array([2.0, 3.0])) == 6.0
    with pytest.raises(ValueError, match="negative"):
        product(np.array([-2.0, 3.0]))
    with pytest.raises(ArgumentError):
        product(object())
    assert product(np.array([2.0, 5.0])) == 10.0


def test_calls_where_there_is_no_short_road(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainrule.backends.numba.entrance._layout_is_known", lambda: False)
    g = cr.jit(cr.grad(weighted))
    for _ in range(2):
        np.testing.assert_array_equal(g(VALUES, 2.0), EXPECTED)
