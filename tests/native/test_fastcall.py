"""The short road gives what the function itself does, and takes nothing but the kinds that its program is for."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import AliasError, ArgumentError, UnsupportedError
from chainrule.native.fastcall import MISS
from chainrule.native.jit import Jitted


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass
class Point:
    x: Any
    y: Any


@dataclasses.dataclass
class Place(Point):
    pass


def first(x: Any, how: str = "plain") -> Any:
    """The sum of the first two parts of `x`."""
    if isinstance(x, dict):
        total = x["x"] + x["y"]
    elif isinstance(x, Point):
        total = x.x + x.y
    else:
        total = x[0] + x[1]
    return -total if how == "negative" else total


def nested(x: Any) -> Any:
    return x[0][0] * x[1]["a"][0] + x[2].x, x[1]["a"][1]


def chosen(f: Any, x: float) -> Any:
    return f(x)


vector, single = np.array([1.5, 2.5, 4.0]), np.float32(2.0)
point = Point(vector, 1.0)
# Arguments, and others of the same number that are of another kind.
CALLS: dict[str, tuple[Any, tuple[Any, ...], list[tuple[Any, ...]]]] = {
    "a tuple": (first, ((1.0, 2.0),), [([1.0, 2.0],), (Pair(1.0, 2.0),), ((1.0, 2),), ((1.0, 2.0, 3.0),)]),
    "a list": (first, ([1.0, 2],), [((1.0, 2),), ([1.0, 2.0],), ([1.0, 2, 3],)]),
    "a dict": (first, ({"x": 1.0, "y": 2.0},), [({"y": 1.0, "x": 2.0},), ({"x": 1.0, "y": 2.0, "z": 3.0},)]),
    "a named tuple": (first, (Pair(1.0, vector),), [((1.0, vector),), (Pair(1.0, vector[:1]),)]),
    "a record": (first, (Point(True, single),), [(Place(True, single),), (Point(1, single),)]),
    "a text": (first, ((1.0, 2.0), "negative"), [((1.0, 2.0), "plain")]),
    "a function": (chosen, (np.sin, 0.5), [(np.cos, 0.5)]),
    "a nest": (nested, (((2.0,), {"a": [vector, 3]}, point),), [(((2.0,), {"a": [vector, 3.0]}, point),)]),
}  # fmt: skip


def equal(made: Any, expected: Any) -> None:
    made, expected = ([*r] if isinstance(r, tuple) else [r] for r in (made, expected))
    for a, b in zip(made, expected, strict=True):
        np.testing.assert_allclose(a, b, 1e-14)


def short(f: Jitted, args: tuple[Any, ...]) -> Any:
    assert f._fast is not None
    return f._fast(args, {})


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_short_for_its_kinds_only(name: str) -> None:
    plain, args, others = CALLS[name]
    f = cr.jit(plain, cache=False)
    for other in others:
        f(*args)
        equal(short(f, args), plain(*args))
        assert short(f, other) is MISS
        equal(f(*other), plain(*other))


def test_arrays_in_containers_are_handed_on_contiguous() -> None:
    f = cr.jit(first, cache=False)
    f((vector, vector))
    strided = np.arange(6.0)[::2]
    equal(short(f, ((strided, vector),)), strided + vector)


MODES = {"sum": np.add, "product": np.multiply}
SHIFTS = [1.0, 2.0]


def moded(x: tuple[float, float], mode: str) -> Any:
    return MODES[mode](x[0], x[1]) + len(SHIFTS)


def test_what_the_program_was_built_on_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    f = cr.jit(moded, cache=False)
    assert f((2.0, 3.0), "product") == short(f, ((2.0, 3.0), "product")) == 8.0
    monkeypatch.setitem(MODES, "product", np.subtract)
    assert short(f, ((2.0, 3.0), "product")) is MISS
    assert f((2.0, 3.0), "product") == 1.0
    monkeypatch.setitem(MODES, "quotient", np.divide)
    assert f((2.0, 3.0), "product") == 1.0
    monkeypatch.setattr(f"{__name__}.SHIFTS", [1.0])
    assert short(f, ((2.0, 3.0), "product")) is MISS
    assert f((2.0, 3.0), "product") == 0.0


def halve(x: Any, y: Any) -> None:
    for k in range(len(x)):
        x[k] = y[k] / 2.0


def test_a_function_that_writes_takes_the_direct_road() -> None:
    f, x = cr.jit(halve, cache=False), np.zeros(3)
    assert f(x, vector) is None
    elsewhere, general = [], f._call

    def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        elsewhere.append(args)
        return general(args, kwargs)

    f._call = call  # type: ignore[method-assign]
    x[:] = 0.0
    assert f(x, vector) is None
    equal(tuple(x), tuple(vector / 2.0))
    assert not elsewhere
    wide = np.zeros(6)
    f(wide[::2], vector)
    equal(tuple(wide), (vector[0] / 2.0, 0.0, vector[1] / 2.0, 0.0, vector[2] / 2.0, 0.0))
    with pytest.raises(AliasError, match="'x', which may share memory with 'y'"):
        f(wide[1:4], wide[:3])
    x.flags.writeable = False
    with pytest.raises(ArgumentError, match="'x', a read-only array"):
        f(x, vector)
    assert len(elsewhere) == 3


def test_what_a_gradient_copies_is_not_shared_either() -> None:
    def total(x: Any, y: Any) -> Any:
        halve(x, y)
        return np.sum(x * y)

    f, x = cr.jit(cr.grad(total, 1), cache=False), np.zeros(3)
    for _ in range(2):
        equal(tuple(f(x, vector)), tuple(vector))
        equal(tuple(x), (0.0, 0.0, 0.0))
        with pytest.raises(AliasError):
            f(vector[:2], vector[1:])


def stretched(x: Any, y: Any, n: int) -> None:
    x[0] += 1.0
    x[:] = x + y[:n]


def test_what_was_written_is_not_written_again_for_an_error() -> None:
    f, x = cr.jit(stretched, cache=False), np.zeros(3)
    f(x, vector, 3)
    x[:] = 0.0
    with pytest.raises(ValueError, match="cannot be run twice"):
        f(x, vector, 1)
    assert x[0] == 1.0


def scaled(x: Any, by: float = 2.0, *, shift: Any = 0.0) -> Any:
    return np.sum(x * by + shift)


def test_arguments_by_name_take_a_short_road() -> None:
    f = cr.jit(scaled, cache=False)
    assert f(vector, shift=1.0, by=3.0) == scaled(vector, 3.0, shift=1.0)
    assert f._fast is not None
    assert f._fast((vector,), {"by": 4.0, "shift": 0.5}) == scaled(vector, 4.0, shift=0.5)
    for args, named in (
        ((), {"x": vector, "by": 2.0}),
        ((vector,), {"shift": 1.0}),
        ((vector,), {"by": 2, "shift": 1.0}),
        ((vector, 2.0), {"shift": 1.0}),
        ((vector, 2.0), {"by": 1.0, "shift": 1.0}),
        ((vector,), {"by": 2.0, "shift": 1.0, "other": 1.0}),
    ):
        assert f._fast(args, named) is MISS
    assert f(x=vector) == scaled(x=vector)
    assert f._fast((), {"x": vector}) == scaled(x=vector)


def test_calls_of_several_kinds_keep_their_roads() -> None:
    f = cr.jit(scaled, cache=False)
    f(vector)
    f(vector, by=3.0)
    direct, fast = f.__call__, f._fast
    for _ in range(2):
        assert f(vector) == scaled(vector)
        assert f(vector, by=4.0) == scaled(vector, 4.0)
    assert (f.__call__, f._fast) == (direct, fast)
    assert fast is not None
    assert fast((vector,), {"by": 1.0}) == scaled(vector, 1.0)
    with pytest.raises(UnsupportedError, match="unexpected argument 'other'"):
        f(vector, other=1.0)
