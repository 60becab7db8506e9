"""Written programs as machine code.

`compiled` hands the functions of a `Source` to Numba, with the types the program was written for. Arrays are
C-contiguous and writable. Numbers come back as Python's, in single precision as NumPy's.
"""

from __future__ import annotations

import builtins
import functools
import re
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numba.core.caching import NullCache

from chainrule.backends import support
from chainrule.backends.compile import module_of
from chainrule.backends.numba import simd, special
from chainrule.backends.numba.machine import MachineCode
from chainrule.backends.python import Signature, Source
from chainrule.ir.nodes import Array, Scalar, Type

__all__ = ["Compiled", "compiled"]

_SINGLE = (Scalar("float32"), Scalar("complex64"))  # which Numba returns as Python's numbers
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
_FAST: dict[Any, Any] = {"sums": {"contract"}, True: True, False: False}


class Compiled(NamedTuple):
    """A compiled program: what Python calls, what compiled code calls, and whether it was found on disk."""

    call: Callable[..., Any]
    dispatcher: Any
    cached: bool


def compiled(source: Source, *, fastmath: bool | str = "sums", cache: bool = True, vectorise: bool = True) -> Compiled:
    """Compile `source`, or find it compiled.

    Parameters
    ----------
    source : Source
        Of the stage "compiled", for the shortest compilation.
    fastmath : {"sums", True, False}
        Whether rounding may change: only by fused operations, freely, or not at all.
    cache : bool
        Keep the machine code on disk.
    vectorise : bool
        Let loops call libmvec. Not for code that others keep on disk: it crashes where libmvec is not loaded.

    Examples
    --------
    >>> from chainrule.backends.python import write
    >>> from chainrule.ir.build import FLOAT, Builder
    >>> from chainrule.ir.nodes import Function, Var
    >>> x, b = Var("x", FLOAT), Builder()
    >>> f = Function("f", (x,), b.block, (b.let("multiply", x, x),))
    >>> compiled(write(f, "compiled"), cache=False).call(3.0)
    9.0
    """
    options = {**_OPTIONS, "fastmath": _FAST[fastmath]}
    names = vars(module_of(source))
    if "special" in names:
        names["special"] = special.module(set(re.findall(r"\bspecial\.(\w+)", source.text)), options)
    if "support" in names:
        names["support"] = _helpers(fastmath, vectorise)
    if vectorise:
        names.update({name: module for name, module in _elementary().items() if name in names})
    for name in source.signatures:
        names[name] = numba.njit(**options)(names[name])
    entry = names[source.entry]
    entry._cache = MachineCode(source, options) if cache else NullCache()
    found = cache and entry._cache.hit
    if not found:
        for name, signature in source.signatures.items():
            if signature.grounded:
                names[name].compile(_signature(signature))
    entry.compile(tuple(_type(p) for p in source.signatures[source.entry].params))
    entry.disable_compile()
    return Compiled(_boundary(source, entry), entry, found)


def _elementary() -> dict[str, ModuleType]:
    """The modules whose functions may be vectorised, by the names they have in the text."""
    return {"np": simd.numpy_module(), "math": simd.math_module()}


@functools.cache
def _helpers(fastmath: bool | str, vectorise: bool) -> ModuleType:
    """What compiled code sees as `support`, compiled at its first use only."""
    made = ModuleType("support")
    names = {**vars(support), **(_elementary() if vectorise else {})}
    for name in support.__all__:
        function = FunctionType(getattr(support, name).__code__, names, name)
        setattr(made, name, numba.njit(**_OPTIONS, fastmath=_FAST[fastmath])(function))
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


def _boundary(source: Source, dispatcher: Any) -> Callable[..., Any]:
    """`dispatcher`, with the results and the exceptions that Python should see."""
    results = source.signatures[source.entry].results
    kinds = [np.dtype(r.dtype).type if r in _SINGLE else None for r in results]
    raised = tuple(getattr(builtins, name) for name in source.exceptions)
    if not raised and not any(kinds):
        return dispatcher  # type: ignore[no-any-return]

    def call(*args: Any) -> Any:
        try:
            made = dispatcher(*args)
        except raised as error:
            error.args = ("".join(map(str, error.args)),)
            raise
        if len(kinds) == 1:
            return kinds[0](made) if kinds[0] else made
        return tuple(kind(m) if kind else m for kind, m in zip(kinds, made, strict=True))

    return call
