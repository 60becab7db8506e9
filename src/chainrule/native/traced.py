"""A jitted function called with traced values: one operation of eager mode, whose derivatives are native.

Only the arguments that hold traced values are differentiated; the others stay what they are, integers too. The
program gets copies of the arrays, so one that writes to a traced argument is refused: the caller could not see it.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.core.dispatch import Tracer, innermost
from chainrule.eager.custom import custom_vjp
from chainrule.errors import AliasError
from chainrule.native.arguments import is_traced

__all__ = ["call_traced"]


def call_traced(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Evaluate a jitted function whose arguments hold traced values."""
    if kwargs:
        bound = inspect.signature(function).bind(*args, **kwargs)
        args, kwargs = bound.args, bound.kwargs
    chosen = tuple(k for k, a in enumerate(args) if is_traced(a))
    _check_writes(function, args, kwargs)

    def whole(values: tuple[Any, ...]) -> tuple[Any, ...]:
        supply = iter(values)
        return tuple(next(supply) if k in chosen else a for k, a in enumerate(args))

    def run(*values: Any) -> Any:
        return function(*(v if is_traced(v) else copy.deepcopy(v) for v in whole(values)), **kwargs)

    ruled = custom_vjp(run)
    ruled.defvjp(
        lambda *values: (run(*values), values),
        lambda values, ct: function.pull(whole(values), ct, chosen, kwargs),
    )
    ruled.defjvp(lambda values, tangents: function.push(whole(values), tangents, chosen, kwargs))
    return ruled(*(args[k] for k in chosen))


def _check_writes(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    names = function.names_written(*map(_plain, args), **{k: _plain(v) for k, v in kwargs.items()})
    if names:
        raise AliasError(
            f"{function!r} writes to {', '.join(names)}, which nobody would see inside of an eager transformation: "
            "pass it a copy and have it return what it writes, or jit the whole function"
        )


def _plain(value: Any) -> Any:
    """A value of the same kind without tracing, at any depth."""
    return trees.map(_plain_leaf, value)


def _plain_leaf(value: Any) -> Any:
    if not isinstance(value, Tracer):
        return value
    return np.empty(value.shape, value.dtype) if getattr(value, "shape", ()) else innermost(value)
