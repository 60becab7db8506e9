"""A call from Python: whatever the arrays are like, compiled code sees what the user's function would."""

from __future__ import annotations

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


def test_wrong_arguments_and_errors_of_the_program() -> None:
    product = cr.jit(checked)
    assert product(np.array([2.0, 3.0])) == 6.0
    with pytest.raises(ValueError, match="negative"):
        product(np.array([-2.0, 3.0]))
    with pytest.raises(ArgumentError):
        product(object())
    assert product(np.array([2.0, 5.0])) == 10.0
