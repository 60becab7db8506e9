"""The functions of scipy.special, and those that math has: their rules are entered when the first of them is met."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np

from chainrule.core.primitive import Primitive, by_function
from chainrule.frontends import recipes
from chainrule.frontends.elementwise import apply
from chainrule.frontends.library.table import handles

__all__ = ["elementwise_of", "recipe_of"]

_RULES = "chainrule.rules.special"
_RECIPES = {f.__name__: f for f in (recipes.logsumexp, recipes.softmax, recipes.log_softmax)}


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


def _of_math(op: str) -> Any:
    def handler(frame: Any, x: Any) -> Any:
        importlib.import_module(_RULES)
        return apply(frame.ctx, op, x, weak=True)

    return handler


for _function, _op in ((math.erf, "erf"), (math.erfc, "erfc"), (math.gamma, "gamma"), (math.lgamma, "gammaln")):
    handles(_function)(_of_math(_op))
