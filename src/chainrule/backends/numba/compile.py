"""Written programs as machine code, by Numba.

`compiled` hands the functions of a `Source` to Numba, with the types the program was written for.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numba
from numba import types
from numba.core import serialize

from chainrule.backends import cache, support
from chainrule.backends.compile import module_of
from chainrule.backends.numba import linalg, machine, simd, special, stack, tapes
from chainrule.backends.numba.program import boundary
from chainrule.backends.python import Signature, Source
from chainrule.ir.nodes import Array, Type

__all__ = ["Compiled", "compiled"]

_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
# Only the loops that say so.
_PARALLEL = dict.fromkeys(
    ["comprehension", "fusion", "inplace_binop", "numpy", "reduction", "setitem", "stencil"], False
)
_PARALLEL["prange"] = True
_FAST: dict[Any, Any] = {"sums": {"contract"}, True: True, False: False}


class Compiled(NamedTuple):
    """A compiled program: what Python calls, and what compiled code calls."""

    call: Callable[..., Any]
    dispatcher: Any


def compiled(
    source: Source, *, fastmath: bool | str = "sums", vectorise: bool = True, name: str | None = None
) -> Compiled:
    """Compile `source`.

    Parameters
    ----------
    source : Source
        Of the stage "compiled", for the shortest compilation.
    fastmath : {"sums", True, False}
        Whether rounding may change: only by fused operations, freely, or not at all.
    vectorise : bool
        Let loops call libmvec. Not for code that others keep on disk: it crashes where libmvec is not loaded.
    name : str, optional
        Under which the machine code is kept on disk.

    Examples
    --------
    >>> from chainrule.backends.python import write
    >>> from chainrule.ir.build import FLOAT, Builder
    >>> from chainrule.ir.nodes import Function, Var
    >>> x, b = Var("x", FLOAT), Builder()
    >>> f = Function("f", (x,), b.block, (b.let("multiply", x, x),))
    >>> compiled(write(f, "compiled")).call(3.0)
    9.0
    """
    options = {**_OPTIONS, "fastmath": _FAST[fastmath]}
    names = vars(module_of(source))
    if "special" in names:
        names["special"] = special.module(source.text, options)
    if "kernels" in names:
        names["kernels"] = _kernels(fastmath)
    if "support" in names:
        names["support"] = _helpers(fastmath, vectorise)
    if vectorise:
        names.update({name: module for name, module in _elementary().items() if name in names})
        _use_lapack(source.text, names)
    for function in source.signatures:
        several: dict[str, Any] = {"parallel": _PARALLEL} if source.parallel and function == source.entry else {}
        names[function] = numba.njit(**options, **several)(names[function])
    for function, signature in source.signatures.items():
        if signature.grounded:
            names[function].compile(_signature(signature))
    entry = names[source.entry]
    call = entry.compile(tuple(_type(p) for p in source.signatures[source.entry].params))
    entry.disable_compile()
    if vectorise:  # for Python, whose calls of what `machine` links are faster than of what Numba does
        (made,) = entry.overloads.values()
        content = machine.packed(made, serialize.dumps)
        if content is not None:
            if name is not None:
                cache.save(name, content)
            call = machine.linked(content) or call
    return Compiled(boundary(source, call), entry)


def _use_lapack(text: str, names: dict[str, Any]) -> None:
    """Put our functions of matrices where the text finds them; a text without does not import SciPy."""
    for name, part in (("np", "linalg"), ("support", "matmul")):
        if f"{name}.{part}" in text and linalg.is_usual():
            made, module = ModuleType(name), linalg.module()
            vars(made).update(vars(names[name]), **{part: module if part == "linalg" else module.matmul})
            names[name] = made


def _elementary() -> dict[str, ModuleType]:
    """The modules whose functions may be vectorised, by the names they have in the text."""
    return {"np": simd.numpy_module(), "math": simd.math_module()}


@functools.cache
def _kernels(fastmath: bool | str) -> ModuleType:
    """What compiled code sees as `kernels`; only a text that calls them imports SciPy."""
    plain = importlib.import_module("chainrule.backends.kernels")
    return special.kernels(plain, {**_OPTIONS, "fastmath": _FAST[fastmath]})


@functools.cache
def _helpers(fastmath: bool | str, vectorise: bool) -> ModuleType:
    """What compiled code sees as `support`, compiled at its first use only."""
    made = ModuleType("support")
    names = {**vars(support), **(_elementary() if vectorise else {})}
    for name in support.__all__:
        function = FunctionType(getattr(support, name).__code__, names, name)
        setattr(made, name, numba.njit(**_OPTIONS, fastmath=_FAST[fastmath])(function))
    vars(made).update(
        opaque=simd.opaque, stack_floor=stack.stack_floor, is_deep=stack.is_deep, **tapes.functions(_OPTIONS)
    )
    if fastmath == "sums":
        vars(made).update(plus=simd.plus, minus=simd.minus)
    return made


def _type(type: Type) -> Any:
    scalar = types.boolean if type.dtype == "bool" else getattr(types, type.dtype)
    return types.Array(scalar, type.ndim, "C") if isinstance(type, Array) else scalar


def _signature(signature: Signature) -> Any:
    results = [_type(r) for r in signature.results]
    several: Any = types.Tuple
    result = results[0] if len(results) == 1 else several(results) if results else types.none
    return result(*map(_type, signature.params))
