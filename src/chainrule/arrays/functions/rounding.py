"""Clipping, rounding and replacing of traced values.

At a bound, `clip` shares equally between the value and the bound. What is rounded is constant almost
everywhere; what `nan_to_num` replaces is a structural zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.arrays import buffers
from chainrule.arrays.arguments import asarray, refuse
from chainrule.arrays.buffers import write_out
from chainrule.arrays.protocols import implements
from chainrule.core.define import elementwise, nondifferentiable
from chainrule.core.dispatch import Tracer
from chainrule.core.linear import Selection
from chainrule.errors import UnsupportedError, lost, user_line
from chainrule.rules import elementwise as ew

_NO = np._NoValue


def _share(y: Any, x: Any, low: Any, high: Any) -> Any:
    """1 between the bounds, 1/2 at one of them, 0 beyond; and 0 where the bounds leave one value."""
    beyond = (x < low) | (x > high) | (low >= high)
    return np.where(beyond, 0.0, np.where((x == low) | (x == high), 0.5, 1.0))


def _samples(rng: np.random.Generator) -> Any:
    yield (rng.normal(size=3), -0.5, 0.7), {}
    yield (rng.normal(size=(2, 1)), np.array([-0.5, 0.1, 0.2]), 0.7), {}


clip_between = elementwise(
    "clip",
    lambda x, low, high: np.clip(x, low, high),
    Selection(_share),
    None,
    None,
    samples=_samples,
    tie="shared equally between ties",
)


@implements(np.clip)
def clip(
    a: Any,
    a_min: Any = _NO,
    a_max: Any = _NO,
    out: Any = None,
    *,
    min: Any = _NO,
    max: Any = _NO,
    **options: Any,
) -> Any:
    refuse("numpy.clip", **options)
    low, high = _bounds(a_min, a_max, min, max)
    a = asarray(a)
    if low is None and high is None:
        result = ew.positive_(a)
    elif high is None:
        result = ew.maximum(a, low)
    elif low is None:
        result = ew.minimum(a, high)
    elif isinstance(low, Tracer) or isinstance(high, Tracer):
        result = ew.minimum(ew.maximum(a, low), high)
    else:
        result = clip_between(a, low, high)
    return result if out is None else write_out(out, result)


def _bounds(a_min: Any, a_max: Any, min: Any, max: Any) -> list[Any]:
    """The bounds, by whichever of their two names."""
    if a_min is _NO and a_max is _NO:
        a_min, a_max = (None if b is _NO else b for b in (min, max))
    elif a_min is _NO:
        raise TypeError("clip() missing 1 required positional argument: 'a_min'")
    elif a_max is _NO:
        raise TypeError("clip() missing 1 required positional argument: 'a_max'")
    elif min is not _NO or max is not _NO:
        raise ValueError("Passing `min` or `max` keyword argument when `a_min` and `a_max` are provided is forbidden.")
    return [np.asarray(b) if isinstance(b, (list, tuple)) else b for b in (a_min, a_max)]


_CONSTANT = "0, piecewise constant"
_round = nondifferentiable("round", lambda x, *, decimals: np.round(x, decimals), tie=_CONSTANT)


@implements(np.round, np.around)
def round_(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    if isinstance(decimals, Tracer):
        raise lost("numpy.round with traced decimals", "Give decimals as a plain integer.")
    result = _round(asarray(a), decimals=decimals)
    return result if out is None else write_out(out, result)


@implements(np.fix)
def fix(x: Any, out: Any = None) -> Any:
    result = ew.trunc(asarray(x))
    return result if out is None else write_out(out[0] if isinstance(out, tuple) else out, result)


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    x = asarray(x)
    if x.dtype.kind == "c":
        parts = [_finite(part, nan, posinf, neginf) for part in (ew.real_part(x), ew.imag_part(x))]
        result = parts[0] + 1j * parts[1]
    else:
        result = _finite(x, nan, posinf, neginf) if x.dtype.kind == "f" else x
    if copy or not x.shape:
        return result
    if not isinstance(x, Tracer):
        raise UnsupportedError(f"numpy.nan_to_num: copy=False with traced replacements (at {user_line()})")
    return buffers.replace(x, result)


def _finite(x: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
    info = np.finfo(x.dtype)
    for condition, value in (
        (np.isnan(x), nan),
        (x == np.inf, info.max if posinf is None else posinf),
        (x == -np.inf, info.min if neginf is None else neginf),
    ):
        x = ew.where(condition, asarray(value).astype(x.dtype), x)
    return x
