"""The functions of scipy.special, and those that math has: their rules are entered when the first of them is met."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np

from chainrule.core.primitive import Primitive, by_function
from chainrule.frontends import measures
from chainrule.frontends.elementwise import apply
from chainrule.frontends.library.table import handles, is_none

__all__ = ["elementwise_of", "handler_of", "recipe_of"]

_RULES = "chainrule.rules.special"
_RECIPES = {f.__name__: f for f in (measures.logsumexp, measures.softmax, measures.log_softmax)}


def elementwise_of(target: Any) -> Primitive | None:
    """The primitive that a function of NumPy or SciPy is."""
    try:
        found = by_function.get(target)
    except TypeError:
        return None
    if found is None and isinstance(target, np.ufunc):
        importlib.import_module(_RULES)
        found = by_function.get(target)
    return found


def recipe_of(target: Any) -> Any:
    """What stands for a function that scipy.special has in Python."""
    ours = (getattr(target, "__module__", None) or "").startswith("scipy.special")
    return _RECIPES.get(target.__name__) if ours else None


def handler_of(target: Any) -> Any:
    """What answers for a function of scipy.special that is several primitives, or one under another name."""
    known = isinstance(target, np.ufunc) or (getattr(target, "__module__", None) or "").startswith("scipy.special")
    return _HANDLERS.get(target.__name__) if known else None


def _zeta(frame: Any, x: Any, q: Any = None) -> Any:
    importlib.import_module(_RULES)
    return apply(frame.ctx, "riemann_zeta", x) if is_none(q) else apply(frame.ctx, "zeta", x, q)


def _parts(*ops: str) -> Any:
    """The handler of a function with an output for each of `ops`."""

    def handler(frame: Any, x: Any) -> Any:
        importlib.import_module(_RULES)
        return tuple(apply(frame.ctx, op, x) for op in ops)

    return handler


def _polygamma(frame: Any, n: Any, x: Any) -> Any:
    importlib.import_module(_RULES)
    return apply(frame.ctx, "polygamma", n, x)


_HANDLERS = {
    "airy": _parts("airy_ai", "airy_aip", "airy_bi", "airy_bip"),
    "fresnel": _parts("fresnel_s", "fresnel_c"),
    "polygamma": _polygamma,
    "shichi": _parts("shi", "chi"),
    "sici": _parts("si", "ci"),
    "zeta": _zeta,
}


def _of_math(op: str) -> Any:
    def handler(frame: Any, x: Any) -> Any:
        importlib.import_module(_RULES)
        return apply(frame.ctx, op, x, weak=True)

    return handler


for _function, _op in ((math.erf, "erf"), (math.erfc, "erfc"), (math.gamma, "gamma"), (math.lgamma, "gammaln")):
    handles(_function)(_of_math(_op))
