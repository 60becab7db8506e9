"""chainrule: exact derivatives of ordinary Python and NumPy code."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name -> module that defines it; modules are imported when a name is first used.
_NAMES = {
    **dict.fromkeys(
        (
            "derivative",
            "grad",
            "hvp",
            "jvp",
            "linearize",
            "value_and_grad",
            "vjp",
        ),
        "chainrule.api",
    ),
    **dict.fromkeys(("hessian", "jacfwd", "jacobian", "jacrev"), "chainrule.jacobians"),
    "checkpoint": "chainrule.eager.checkpoint",
    **{name: f"chainrule.report.{name}" for name in ("compare", "costs", "explain")},
    **dict.fromkeys(("custom_jvp", "custom_vjp", "stop_gradient"), "chainrule.eager.custom"),
    **dict.fromkeys(("jit", "source"), "chainrule.native.jit"),
    "plan": "chainrule.native.plan",
    "trace": "chainrule.view.trace",
    "variable": "chainrule.eager.variable",
    "vmap": "chainrule.vectorize",
    **dict.fromkeys(
        ("elementwise", "general", "linear", "multilinear", "nondifferentiable", "primitive"), "chainrule.core.define"
    ),
}
_MODULES = ("errors", "numerical", "numpy", "scipy", "symbolic", "testing", "trees")

__all__ = [*_NAMES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"chainrule.{name}")
    else:
        raise AttributeError(f"module 'chainrule' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
