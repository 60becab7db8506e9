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
    ("a carry that starts as a constant", "native forward"): (
        "in native forward mode what a loop carries has a tangent in every iteration, a numeric zero in the first if "
        "it starts as a constant: `sqrt(s)` before the first `s = s + x[i]` gives NaN; reverse mode is right"
    ),
    ("a selection in memory", "native forward"): (
        "in native forward mode the elements of an array have tangents that are numbers: `sqrt(h)` of an array "
        "`h = maximum(x, 0)` that is kept, because it is used again, gives NaN where x < 0; reverse mode gives 0"
    ),
    ("ties of sorted values", "native"): (
        "in native mode equal elements keep their order: `sort`, `median` and quantiles give the derivative of one of "
        "them each, where eager mode gives the mean of all"
    ),
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
