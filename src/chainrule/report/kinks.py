"""Where a function has no derivative, primitive by primitive: which elements of an evaluation sit on such a place.

One line per primitive: what the place is called, and a test of the operands and the result. What the derivative
is there the rule itself says, in its ``tie``. Two more things are noted: comparisons of equal numbers, because
the derivative is that of the branch taken, and casts and steps through which no derivative passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule.core.dispatch import dtype_of
from chainrule.rules.reduce import kept_shape
from chainrule.view.record import Decision, Operation

__all__ = ["Touched", "touched"]


class Touched(NamedTuple):
    """What one step of an evaluation touches.

    `kind` is "kink" (the slope jumps), "jump" (the value does), "branch" (a comparison of equal numbers) or "cut"
    (no derivative passes); `at` marks the elements concerned.
    """

    kind: str
    what: str
    convention: str
    at: Any


Test = Callable[..., Any]


def _equal(x: Any, y: Any) -> Any:
    return np.equal(x, y)


def _at_zero(x: Any, *_: Any) -> Any:
    return np.equal(x, 0)


def _whole(x: Any, *_: Any) -> Any:
    return np.equal(x, np.floor(x))


def _half(x: Any, *_: Any, decimals: int = 0) -> Any:
    scaled = np.asarray(x, float) * 10.0**decimals
    return np.equal(scaled - np.floor(scaled), 0.5)


def _several(extremum: Any) -> Test:
    def test(x: Any, *, axis: Any, keepdims: bool) -> Any:
        x = np.asarray(x)
        mates = x == np.reshape(extremum(x, axis=axis), kept_shape(x.shape, axis))
        return mates & (np.sum(mates, axis=axis, keepdims=True) > 1)

    return test


def _repeated(values: Any) -> Any:
    """Equal neighbours in sorted rows, both marked."""
    same = np.diff(values, axis=-1) == 0
    no = np.zeros((*np.shape(values)[:-1], 1), bool)
    return np.concatenate([same, no], axis=-1) | np.concatenate([no, same], axis=-1)


def _first_of_several(x: Any, *, function: Any) -> Any:
    best = np.take_along_axis(x, np.expand_dims(function(x, -1), -1), -1)
    return (x == best) & (np.sum(x == best, axis=-1, keepdims=True) > 1)


def _tied_so_far(x: Any, fixed: Any, extremum: Any) -> Any:
    return np.concatenate([np.zeros((*x.shape[:-1], 1), bool), (fixed == extremum)[..., 1:] & _level(extremum)], -1)


def _level(extremum: Any) -> Any:
    return extremum[..., 1:] == extremum[..., :-1]


_PAIRS = ("maximum", "minimum", "fmax", "fmin")
_KINKS: dict[str, tuple[str, Test]] = {
    **dict.fromkeys(("absolute", "fabs"), ("abs at 0", _at_zero)),
    "norm.root": ("norm at 0", _at_zero),
    "hypot": ("hypot at (0, 0)", lambda x, y: np.equal(x, 0) & np.equal(y, 0)),
    "copysign": ("copysign at 0", _at_zero),
    **{name: (f"tie in {name}", _equal) for name in _PAIRS},
    "max": ("tie in max", _several(np.max)),
    "min": ("tie in min", _several(np.min)),
    "clip": ("clip at a bound", lambda x, low, high: np.equal(x, low) | np.equal(x, high)),
    "level": ("equal elements sorted", lambda x, labels: _repeated(x)),
    "running_shares": ("tie in a running extremum", _tied_so_far),
    "first_place": ("several extrema, of which the first is taken", _first_of_several),
    "eigh": ("coinciding eigenvalues", lambda x, *_, **__: _repeated(np.linalg.eigvalsh(x))),
    "svd": ("coinciding singular values", lambda x, *_, **__: _repeated(np.linalg.svd(x, compute_uv=False))),
}
_JUMPS: dict[str, tuple[str, Test]] = {
    **{name: (f"{name} at a whole number", _whole) for name in ("floor", "ceil", "trunc")},
    "rint": ("rounding of a half", _half),
    "round": ("rounding of a half", _half),
    "floor_divide": ("// at a multiple", lambda x, y: np.equal(np.remainder(x, y), 0)),
    "remainder": ("% at a multiple", lambda x, y: np.equal(np.remainder(x, y), 0)),
    "fmod": ("fmod at a multiple", lambda x, y: np.equal(np.fmod(x, y), 0)),
    "sign": ("sign at 0", _at_zero),
    "heaviside": ("heaviside at 0", _at_zero),
}
_CUTS = frozenset({"floor", "ceil", "trunc", "rint", "round", "floor_divide", "sign", "heaviside"})
_COMPARISONS = {
    "equal": "==",
    "not_equal": "!=",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
}


def touched(step: Operation | Decision) -> Touched | None:
    """What a recorded step touches, if anything."""
    name = step.primitive.name
    tie = step.primitive.tie or ""
    for kind, table in (("kink", _KINKS), ("jump", _JUMPS)):
        if name in table and not (name in _PAIRS and step.operands[0] is not None and len(set(step.operands)) == 1):
            what, test = table[name]
            at = np.asarray(test(*step.values, **step.params))
            if at.any():
                return Touched(kind, what, tie or "that of the formula", at)
    if name in _COMPARISONS:
        return _branch(step, _COMPARISONS[name])
    if name in _CUTS:
        return Touched("cut", name, tie, np.ones(np.shape(step.y), bool))
    if name == "astype" and dtype_of(step.y).kind in "iub":
        return Touched("cut", f"cast to {dtype_of(step.y)}", "0, piecewise constant", np.ones(np.shape(step.y), bool))
    return None


def _branch(step: Operation | Decision, sign: str) -> Touched | None:
    """A comparison of equal numbers."""
    at = np.asarray(np.equal(*step.values))
    if not at.any() or dtype_of(step.values[0]).kind not in "fc":
        return None
    answer = bool(np.asarray(step.y)[at].flat[0]) if np.ndim(step.y) else bool(step.y)
    return Touched("branch", f"equal numbers compared by {sign}", f"that of the branch taken ({answer})", at)
