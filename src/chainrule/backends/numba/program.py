"""From a written program to a function of Python: machine code found on disk, or made.

What is called trusts the kinds of its arguments: arrays are C-contiguous, aligned and writable, of the dtype and rank
that the program was written for. Numbers come back as Python's, in single precision as NumPy's.
"""

from __future__ import annotations

import builtins
import importlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.compile import register
from chainrule.backends.numba import machine
from chainrule.backends.python import Source
from chainrule.ir.messages import arguments
from chainrule.ir.nodes import Scalar

__all__ = ["boundary", "runnable"]

_processors = threading.Lock()
_SINGLE = (Scalar("float32"), Scalar("complex64"))  # which Numba returns as Python's numbers


def runnable(source: Source, *, fastmath: bool | str = "sums", cache: bool = True) -> Callable[..., Any]:
    """`source` as machine code, which is kept on disk if `cache` is true.

    Examples
    --------
    >>> from chainrule.backends.python import write
    >>> from chainrule.ir.build import FLOAT, Builder
    >>> from chainrule.ir.nodes import Function, Var
    >>> x, b = Var("x", FLOAT), Builder()
    >>> f = Function("f", (x,), b.block, (b.let("multiply", x, x),))
    >>> runnable(write(f, "compiled"), cache=False)(3.0)
    9.0
    """
    name = machine.key(source, fastmath) if cache else None
    found = machine.load(name) if name is not None else None
    if found is None:
        compiled = importlib.import_module("chainrule.backends.numba.compile").compiled
        call: Callable[..., Any] = compiled(source, fastmath=fastmath, name=name).call
        return call
    if source.parallel:  # compiling would have started the threads
        importlib.import_module("numba.np.ufunc.parallel")._launch_threads()
    register(source)
    return boundary(source, found)


def boundary(source: Source, call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, with the results and the exceptions that Python should see, and as much stack as it needs.

    Where only exceptions are to be seen to, `bare` is the program without that, and `written` what it needs.
    """
    if source.recursive:
        call = importlib.import_module("chainrule.backends.threads").with_room(call, source.repeatable)
    if source.parallel:
        call = _one_at_a_time(call)
    results = source.signatures[source.entry].results
    kinds: list[Any] = [np.dtype(r.dtype).type if r in _SINGLE else None for r in results]
    raised = tuple(getattr(builtins, name) for name in source.exceptions)
    if not raised and not any(kinds):
        return call
    program = call

    def written(error: Exception) -> Exception:
        if isinstance(error, raised):
            error.args = arguments(error.args)
        return error

    def checked(*args: Any) -> Any:
        try:
            made = program(*args)
        except raised as error:
            raise written(error) from None
        if not any(kinds):
            return made
        if len(kinds) == 1:
            return kinds[0](made)
        return tuple(kind(m) if kind else m for kind, m in zip(kinds, made, strict=True))

    if not any(kinds):
        vars(checked).update(bare=program, written=written)
    return checked


def _one_at_a_time(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, which uses all processors: one of Numba's threading layers ends the process if two calls do at once."""

    def run(*args: Any) -> Any:
        with _processors:
            return call(*args)

    return run
