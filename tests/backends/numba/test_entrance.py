"""The tests of a call in machine code: what fits runs, what does not goes elsewhere, and nothing is lost or kept."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import CellType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from chainrule.backends.numba import entrance as module
from chainrule.backends.numba.entrance import Kind, Plan, Same, entrance
from chainrule.frontends.getters import ABSENT, Cell, Code, Global

FLOATS = np.dtype("float64")


def planned(kinds: Any, outside: Any = (), same: Any = (), run: Any = None, **changes: Any) -> Callable[..., Any]:
    def failed(error: Exception, args: tuple[Any, ...]) -> Any:
        return "failed", error, args

    def otherwise(*args: Any, **named: Any) -> Any:
        return "otherwise", args, named

    plan = Plan(kinds, outside, same, run or (lambda *args: args), None, failed, otherwise)
    made = entrance(plan._replace(**changes))
    assert made is not None
    return made


def fits(call: Callable[..., Any], *args: Any) -> bool:
    return not isinstance(call(*args)[0], str)


ONE = np.zeros((3, 1, 2))
OTHERS = {
    "rank": np.zeros((3, 2)),
    "more axes": np.zeros((3, 1, 2, 1)),
    "an extent of 1 more": np.zeros((1, 1, 2)),
    "an extent of 1 less": np.zeros((3, 4, 2)),
    "single precision": ONE.astype("f4"),
    "integers": ONE.astype(int),
    "the other order of bytes": ONE.astype(">f8"),
    "objects": ONE.astype(object),
    "a subclass": ONE.view(np.recarray),
    "a masked array": np.ma.array(ONE),
    "a list": ONE.tolist(),
    "a number": 1.0,
    "None": None,
}


def test_an_array_of_the_kind_is_handed_on_itself() -> None:
    call = planned([Kind(np.ndarray, FLOATS, (False, True, False))])
    assert call(ONE)[0] is ONE
    assert fits(call, np.zeros((0, 1, 7)))


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_goes_elsewhere(name: str) -> None:
    call = planned([Kind(np.ndarray, FLOATS, (False, True, False))])
    assert not fits(call, OTHERS[name])


@pytest.mark.parametrize("change", ["columns", "read-only", "strided", "unaligned"])
def test_memory_that_compiled_code_does_not_take_is_copied(change: str) -> None:
    x = np.arange(6.0).reshape(2, 3)
    made = {
        "columns": np.asfortranarray(x),
        "read-only": x.copy(),
        "strided": np.repeat(x, 2, axis=1)[:, ::2],
        "unaligned": np.frombuffer(bytearray(49), np.uint8)[1:].view(float).reshape(2, 3),
    }[change]
    made[...] = x
    if change == "read-only":
        made.flags.writeable = False
    (found,) = planned([Kind(np.ndarray, FLOATS, (False, False))])(made)
    assert found is not made
    assert found.flags.carray
    np.testing.assert_array_equal(found, x)


CELLS = np.arange(12.0)
APART = {  # the array that is to be alone, another, and whether they are
    "different arrays": (np.zeros(3), np.zeros((2, 2)), True),
    "neighbours": (CELLS[4:8], CELLS[8:].reshape(2, 2), True),
    "neighbours the other way round": (CELLS[8:], CELLS[4:8].reshape(2, 2), True),
    "a cell in common": (CELLS[4:8], CELLS[7:11].reshape(2, 2), False),
    "a cell in common the other way round": (CELLS[4:8], CELLS[1:5].reshape(2, 2), False),
    "one in the other": (CELLS, CELLS[4:8].reshape(2, 2), False),
    "the other in the one": (CELLS[4:6], CELLS.reshape(3, 4), False),
    "every second cell": (np.zeros(6)[::2], np.zeros((2, 2)), False),
    "another that is copied": (np.zeros(3), np.zeros((2, 2)).T, False),
    "read-only": (np.frombuffer(bytes(24)), np.zeros((2, 2)), False),
}


@pytest.mark.parametrize("name", APART)
def test_an_array_that_is_to_be_alone(name: str) -> None:
    one, other, apart = APART[name]
    kind, beside = Kind(np.ndarray, FLOATS, (False,), alone=True), Kind(np.ndarray, FLOATS, (False, False))
    assert fits(planned([kind, Kind(float), beside]), one, 1.0, other) is apart
    assert fits(planned([beside, Kind(float), kind]), other, 1.0, one) is apart
    assert fits(planned([kind, beside], [lambda: other]), one) is apart


def test_all_arrays_are_to_be_alone() -> None:
    kind = Kind(np.ndarray, FLOATS, (False,), alone=True)
    call = planned([kind, kind, kind])
    assert fits(call, CELLS[:4], CELLS[4:8], CELLS[8:])
    assert not fits(call, CELLS[:4], CELLS[4:8], CELLS[7:])
    assert not fits(call, CELLS, np.zeros(2), CELLS)


def test_numbers_are_told_apart_by_class() -> None:
    for cls in (float, int, np.float64):
        call = planned([Kind(cls)])
        assert [fits(call, value) for value in (1.0, 1, np.float64(1.0), True, 1j)] == [
            cls is other for other in (float, int, np.float64, bool, complex)
        ]


def test_how_many_arguments_and_names() -> None:
    call = planned([Kind(float), Kind(float)])
    assert call(1.0, 2.0) == (1.0, 2.0)
    for args, named in (((), {}), ((1.0,), {}), ((1.0, 2.0, 3.0), {}), ((1.0, 2.0), {"x": 1.0}), ((1.0,), {"x": 2.0})):
        assert call(*args, **named) == ("otherwise", args, named)


def test_what_is_read_from_outside_follows_the_arguments_and_is_tested_too() -> None:
    space: dict[str, Any] = {"scale": 2.0}
    cell = CellType(ONE)
    outside = [Global(space, "scale"), Cell(cell), lambda: space["scale"]]
    call = planned([Kind(int), Kind(float), Kind(np.ndarray, FLOATS, (False, True, False)), Kind(float)], outside)
    assert call(5) == (5, 2.0, ONE, 2.0)
    for change in (3, np.float64(3.0), np.zeros(2)):
        space["scale"] = change
        assert not fits(call, 5)
    del space["scale"]  # one getter finds nothing, another raises
    assert not fits(call, 5)
    space["scale"] = 4.0
    assert call(5) == (5, 4.0, ONE, 4.0)
    cell.cell_contents = ONE[:1]
    assert not fits(call, 5)
    del cell.cell_contents
    assert not fits(call, 5)


class Names(dict[str, Any]):
    """Globals that find what is not in them."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get("_" + name, default)


def test_what_must_be_the_same() -> None:
    def function() -> None: ...

    def other() -> int:
        return 1

    space: dict[str, Any] = {"n": 10**6, "f": function}
    names, owner = Names(_n=function), SimpleNamespace(n=7)
    same = [
        Same(Global(space, "n"), 10**6, equal=True),
        Same(Global(space, "f"), function),
        Same(Global(space, "len"), ABSENT),
        Same(Global(names, "n"), function),
        Same(Code(function), function.__code__),
        Same(lambda: owner.n, 7, equal=True),
    ]
    call = planned([Kind(float)], (), same)
    code = function.__code__
    changes: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
        (lambda: space.update(n=10**6 + 1), lambda: space.update(n=int("1000000"))),
        (lambda: space.update(n=1e6), lambda: space.update(n=10**6)),
        (lambda: space.pop("n"), lambda: space.update(n=10**6)),
        (lambda: space.update(f=other), lambda: space.update(f=function)),
        (lambda: space.update(len=len), lambda: space.pop("len")),
        (lambda: space.update(len=None), lambda: space.pop("len")),
        (lambda: names.update(_n=other), lambda: names.update(_n=function)),
        (lambda: setattr(function, "__code__", other.__code__), lambda: setattr(function, "__code__", code)),
        (lambda: setattr(owner, "n", True), lambda: setattr(owner, "n", 7)),
        (lambda: delattr(owner, "n"), lambda: setattr(owner, "n", 7)),
    ]
    assert fits(call, 1.0)
    for change, back in changes:
        change()
        assert not fits(call, 1.0)
        back()
        assert fits(call, 1.0)


def raises(error: BaseException) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        raise error

    return run


def test_errors() -> None:
    error = ValueError("a message")
    assert planned([Kind(float)], run=raises(error))(1.0) == ("failed", error, (1.0,))
    for interrupt in (KeyboardInterrupt(), SystemExit()):
        with pytest.raises(type(interrupt)):
            planned([Kind(float)], run=raises(interrupt))(1.0)
        with pytest.raises(type(interrupt)):
            planned([Kind(float)], (), [Same(raises(interrupt), 1)])(1.0)
    with pytest.raises(ZeroDivisionError):
        planned([Kind(float)], failed=raises(ZeroDivisionError()), run=raises(error))(1.0)
    with pytest.raises(ZeroDivisionError):
        planned([Kind(float)], otherwise=raises(ZeroDivisionError()))(1)
    with pytest.raises(ZeroDivisionError):
        planned([Kind(float)], finish=raises(ZeroDivisionError()))(1.0)


def test_the_result_is_finished() -> None:
    assert planned([Kind(float)], finish=lambda made: [*made, "end"])(1.0) == [1.0, "end"]


def test_no_reference_is_lost_or_kept() -> None:
    space: dict[str, Any] = {"n": 10**6, "x": np.ones((4, 2))}
    columns, ones, error = np.asfortranarray(np.ones((4, 2))), np.ones((4, 2)), ValueError()
    array, cell = Kind(np.ndarray, FLOATS, (False, False)), CellType(space["x"])
    same = [Same(Global(space, "n"), int("1000000"), equal=True), Same(Global(space, "len"), ABSENT)]
    kinds = [array, array, array, array]
    outside = [Global(space, "x"), Cell(cell), lambda: columns]
    calls = [
        planned(kinds, outside, same),
        planned([array._replace(alone=True), array], [Global(space, "x")], same),
        planned([array._replace(alone=True), array], [lambda: ones], same),
        planned(kinds, outside, same, finish=len),
        planned(kinds, outside, same, run=raises(error)),
        planned(kinds, outside, [*same, Same(Global(space, "n"), 3)]),
        planned(kinds, [*outside[:2], Global(space, "missing")], same),
    ]
    arguments = (space["x"], columns, np.ones(3), 1.0)
    followed = (*arguments, ones, space, cell, space["n"], error, None, FLOATS, np.ndarray, *calls)

    def use() -> list[int]:
        for call in calls:
            for argument in arguments:
                call(argument)
                call(argument, argument)
                call(argument, x=argument)
        error.__traceback__ = None
        gc.collect()
        return [sys.getrefcount(value) for value in followed]

    first = use()
    for _ in range(200):
        last = use()
    assert all(abs(a - b) < 50 for a, b in zip(first, last, strict=True)), (first, last)


def test_what_a_call_needs_lives_as_long_as_the_function() -> None:
    def make() -> Callable[..., Any]:
        space = {"n": object(), "scale": float("2.5")}
        return planned([Kind(float), Kind(float)], [Global(space, "scale")], [Same(Global(space, "n"), space["n"])])

    call = make()
    gc.collect()
    rubbish = [[object(), {"n": k}] for k in range(10_000)]
    assert call(1.0) == (1.0, 2.5)
    assert rubbish


def test_there_is_none_where_arrays_are_laid_out_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in ("class", "rank", "extents", "dtype", "flags"):
        module._layout_is_known.cache_clear()
        with monkeypatch.context() as changed:
            changed.setitem(module._OFFSETS, field, module._OFFSETS[field] + 8)
            assert not module._layout_is_known()
    module._layout_is_known.cache_clear()
    assert module._layout_is_known()
