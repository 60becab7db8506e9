"""Running a program in all the ways there are: the interpreter, the text as Python, the text compiled."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.backends.compile import plain
from chainrule.backends.python import write
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Function


def several(results: Any) -> tuple[Any, ...]:
    return results if isinstance(results, tuple) else () if results is None else (results,)


def assert_same(found: Sequence[Any], expected: Sequence[Any], ulps: int = 0) -> None:
    """Equal numbers of equal dtypes, up to some units in the last place."""
    assert len(found) == len(expected)
    for f, e in zip(map(np.asarray, found), map(np.asarray, expected), strict=True):
        assert f.dtype == e.dtype
        if ulps and f.dtype.kind in "fc":
            np.testing.assert_allclose(f, e, rtol=ulps * np.finfo(f.dtype).eps, atol=0)
        else:
            np.testing.assert_array_equal(f, e)


def run(call: Any, args: Sequence[Any]) -> tuple[Any, ...]:
    """The results of a call, and what it made of its arguments."""
    args = copy.deepcopy(tuple(args))
    return (*several(call(*args)), *(a for a in args if isinstance(a, np.ndarray)))


def assert_text_agrees(function: Function, args: Sequence[Any], ulps: int = 0) -> tuple[Any, ...]:
    """Both stages of the text answer what the interpreter does; return that."""
    expected = run(lambda *a: evaluate(check(function), a), args)
    for stage in ("derivative", "compiled"):
        assert_same(run(plain(write(function, stage)), args), expected, ulps)
    return expected
