"""Programs that recurse deeply: run in a thread with a larger stack where that of the caller is too small.

Compiled code raises `RecursionError` before its stack is used up. A program that has changed nothing by then is run
again, and from then on in such a thread; one that may have changed something is from the beginning.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["with_room"]

LARGE = 1 << 29  # bytes of the larger stack; memory is taken as it is used
_lock = threading.Lock()


def with_room(call: Callable[..., Any], repeatable: bool) -> Callable[..., Any]:
    """`call`, a recursive program, with as much stack as it needs, as far as there is."""

    aside = not repeatable

    def run(*args: Any) -> Any:
        nonlocal aside
        if not aside:
            try:
                return call(*args)
            except RecursionError:
                aside = True
        return _aside(call, args)

    return run


def _aside(call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        with _lock:
            before = threading.stack_size(LARGE)
            try:
                made = pool.submit(call, *args)  # starts the thread
            finally:
                meanwhile = threading.stack_size(before)
                if meanwhile != LARGE:  # another thread has set it: what it set stays
                    threading.stack_size(meanwhile)
        return made.result()
