"""Calls that need a larger stack than their thread has."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chainrule.backends.threads import with_room


def test_a_call_that_fails_is_made_again_with_room() -> None:
    here, seen = threading.get_ident(), []

    def call(x: int) -> int:
        seen.append(threading.get_ident() == here)
        if seen[-1]:
            raise RecursionError
        return x + 1

    run = with_room(call, True)
    assert (run(1), run(2)) == (2, 3)
    assert seen == [True, False, False]


def test_what_may_have_changed_something_is_run_once() -> None:
    seen: list[Any] = []
    run = with_room(lambda x: seen.append((x, threading.get_ident())), False)
    run(1)
    assert len(seen) == 1
    assert seen[0][1] != threading.get_ident()


def test_errors_are_the_caller_s() -> None:
    def call() -> None:
        raise RecursionError("still too deep")

    with pytest.raises(RecursionError, match="still"):
        with_room(call, True)()


@pytest.fixture
def size() -> Iterator[int]:
    """A stack size for new threads that is set during a test."""
    before = threading.stack_size(1 << 20)
    yield 1 << 20
    threading.stack_size(before)


def test_the_stack_size_of_other_threads_stays(size: int) -> None:
    with_room(lambda: None, False)()
    assert threading.stack_size(size) == size


def test_a_stack_size_set_meanwhile_stays(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = ThreadPoolExecutor.submit

    def slow(self: Any, call: Any, *args: Any) -> Any:
        started = submit(self, call, *args)
        threading.stack_size(size * 2)
        return started

    monkeypatch.setattr(ThreadPoolExecutor, "submit", slow)
    with_room(lambda: None, False)()
    assert threading.stack_size(size) == size * 2
