"""NumPy's protocols: which of our operations answers for a NumPy function called on a traced value.

``__array_ufunc__`` (NEP 13) looks the ufunc up among the primitives; ``__array_function__`` (NEP 18)
looks the function up among the implementations that `implements` has entered, see `arrays.functions`.
A function that is in neither raises, by name.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from chainrule.arrays.nested import array_of
from chainrule.core.dispatch import Tracer, bind
from chainrule.core.primitive import by_function
from chainrule.errors import UnsupportedError, user_line

__all__ = ["FUNCTIONS", "UFUNC_METHODS", "array_function", "array_ufunc", "implements", "implements_method"]

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
UFUNC_METHODS: dict[tuple[Any, str], Callable[..., Any]] = {}


def implements(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter the decorated function as the one that answers for the given NumPy functions."""

    def enter(implementation: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            FUNCTIONS[function] = implementation
        return implementation

    return enter


def implements_method(ufunc: Any, method: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The same for ``ufunc.reduce``, ``accumulate``, ``outer``, and calls with options; ufunc None: any."""

    def enter(implementation: Callable[..., Any]) -> Callable[..., Any]:
        UFUNC_METHODS[ufunc, method] = implementation
        return implementation

    return enter


def array_ufunc(self: Tracer, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """Answer a call of a ufunc or of one of its methods."""
    if method != "at" and (list in map(type, inputs) or tuple in map(type, inputs)):
        inputs = tuple(array_of(x) if isinstance(x, (list, tuple)) else x for x in inputs)
    if method == "__call__":
        primitive = by_function.get(ufunc)
        if primitive is not None:
            if not options:
                return bind(primitive, *inputs)
            return UFUNC_METHODS[None, method](ufunc, *inputs, **options)
        composite = FUNCTIONS.get(ufunc)
        if composite is not None:
            return composite(*inputs, **options)
        if enter_special():
            return array_ufunc(self, ufunc, method, *inputs, **options)
    else:
        implementation = UFUNC_METHODS.get((ufunc, method))
        if implementation is not None:
            return implementation(*inputs, **options)
        implementation = UFUNC_METHODS.get((None, method))
        if implementation is not None:
            return implementation(ufunc, *inputs, **options)
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    raise unsupported(name)


def enter_special() -> bool:
    """Enter what answers for scipy.special, if SciPy has been imported; whether anything was entered now."""
    name = "chainrule.arrays.functions.special"
    if name in sys.modules or "scipy.special" not in sys.modules:
        return False
    importlib.import_module(name)
    return True


def array_function(self: Tracer, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Answer a call of a NumPy function that takes part in the dispatch."""
    implementation = FUNCTIONS.get(function)
    if implementation is not None:
        return implementation(*args, **kwargs)
    raise unsupported(_name(function))


def _name(function: Any) -> str:
    module = getattr(function, "__module__", "numpy") or "numpy"
    return f"{module}.{getattr(function, '__name__', function)}"


def unsupported(name: str) -> UnsupportedError:
    """The exception for a function without an implementation for traced values."""
    return UnsupportedError(
        f"{name} is not supported for traced values (at {user_line()}). Write it with functions that are, "
        "give it a rule with chainrule.custom_jvp or chainrule.custom_vjp, or cut the derivative with "
        "chainrule.stop_gradient."
    )
