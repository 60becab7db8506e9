"""The only list of known gaps: what, in which mode, and why.

A key is ``(what, mode)``. `what` is the name of a primitive or of a program of the tests; `mode` is the check
that does not hold. The list is strict: where an entry's check holds after all, the test fails until the
entry is removed. The page on limits in the documentation is made from this table.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_TIES = "its value is its argument: what it changes is the derivative at ties, tested with the functions that use it"

LIMITS: dict[tuple[str, str], str] = {
    ("level", "samples"): _TIES,
    ("running_shares", "samples"): _TIES,
    ("corrcoef_guard", "samples"): "a clip of rounding errors whose derivative is that of the identity",
    ("logistic", "complex"): "a part of logaddexp, which is real",
    ("match_statement", "vmap"): (
        "`case True:` compares by identity, which a comparison of many rows cannot answer and no class can intercept: "
        "write `if`, or compare with ==, in functions given to vmap"
    ),
}


@contextmanager
def limited(what: str, mode: str) -> Iterator[None]:
    """Run a check; if it is listed as a gap it must fail."""
    reason = LIMITS.get((what, mode))
    if reason is None:
        yield
        return
    try:
        yield
    except Exception:
        pytest.xfail(reason)
    pytest.fail(f"{what}, {mode}: the gap has closed ({reason}); remove it from tests/limits.py")
