"""A jitted function called with traced values: one operation of eager mode, whose derivatives are native."""

from __future__ import annotations

import inspect
from typing import Any

from chainrule.eager.custom import custom_vjp

__all__ = ["call_traced"]


def call_traced(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Evaluate a jitted function whose arguments hold traced values."""
    if kwargs:
        bound = inspect.signature(function).bind(*args, **kwargs)
        args, kwargs = bound.args, bound.kwargs

    def run(*primals: Any) -> Any:
        return function(*primals, **kwargs)

    ruled = custom_vjp(run)
    ruled.defvjp(lambda *primals: (run(*primals), primals), lambda primals, ct: function.pull(primals, ct))
    ruled.defjvp(function.jvp)
    return ruled(*args)
