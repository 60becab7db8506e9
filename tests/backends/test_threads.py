"""Calls that need a larger stack than their thread has."""

from __future__ import annotations

import threading
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

    before = threading.stack_size()
    with pytest.raises(RecursionError, match="still"):
        with_room(call, True)()
    assert threading.stack_size() == before
