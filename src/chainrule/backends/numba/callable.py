"""Jitted functions inside the user's own compiled code.

A jitted function is a constant of a compiled one. Its type compiles the program for the types of each call and
gives Numba the dispatcher's code. Hidden inputs (captured floats and arrays) cannot be passed from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.core.extending import models, register_model
from numba.core.imputils import lower_constant
from numba.core.typing.templates import signature

from chainrule.errors import UnsupportedError

__all__ = ["FunctionType"]

# From dtype and number of dimensions of each argument to the compiled dispatcher.
Specialise = Callable[[tuple[tuple[str, int], ...]], Any]


class FunctionType(types.Callable, types.Opaque):
    """The type of one jitted function."""

    def __init__(self, name: str, specialise: Specialise) -> None:
        self._specialise = specialise
        self._dispatchers: dict[Any, Any] = {}
        super().__init__(f"chainrule.{name}({id(specialise)})")

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        if kws:
            raise TypeError("a jitted function is called with positional arguments in compiled code")
        plain = tuple(types.unliteral(a) for a in args)  # type: ignore[no-untyped-call]
        dispatcher = self._dispatchers.get(plain)
        if dispatcher is None:
            dispatcher = self._dispatchers[plain] = self._specialise(tuple(map(_kind, plain)))
        (made,) = dispatcher.nopython_signatures
        return signature(made.return_type, *made.args)  # type: ignore[no-untyped-call]

    def get_call_signatures(self) -> Any:
        return (), True

    def get_impl_key(self, sig: Any) -> Any:
        dispatcher = self._dispatchers.get(tuple(sig.args)) or next(
            d for d in self._dispatchers.values() if tuple(d.nopython_signatures[0].args) == tuple(sig.args)
        )
        return dispatcher.get_overload(sig.args)


def _kind(type: Any) -> tuple[str, int]:
    if isinstance(type, types.Array) and type.layout == "C":
        return str(type.dtype), type.ndim
    if isinstance(type, types.Boolean):
        return "bool", 0
    if isinstance(type, types.Integer):
        return "int64", 0
    if isinstance(type, (types.Float, types.Complex)):
        return str(type), 0
    raise UnsupportedError(f"a jitted function takes numbers and C-contiguous arrays in compiled code, not {type}")


register_model(FunctionType)(models.OpaqueModel)


@lower_constant(FunctionType)  # type: ignore[no-untyped-call, untyped-decorator, unused-ignore]
def _constant(context: Any, builder: Any, type: Any, value: Any) -> Any:
    return context.get_dummy_value()
