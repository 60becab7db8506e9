"""SciPy's special functions in compiled code: the C functions behind `scipy.special.cython_special`.

Compiled code calls them by a symbol, not by an address, so that it may be kept on disk. What SciPy does not export is
in `kernels`.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
import types as python_types
from typing import Any

import numba
import numpy as np
from numba import types

from chainrule.backends.numba.symbols import of_scipy, provide
from chainrule.errors import UnsupportedError

__all__ = ["kernels", "module"]

_MODULE = "scipy.special.cython_special"


def module(text: str, options: dict[str, Any]) -> python_types.ModuleType:
    """What compiled code sees as ``scipy.special``: the functions that `text` calls."""
    made = python_types.ModuleType("special")
    for name in set(re.findall(r"\bspecial\.(\w+)\(", text)):
        setattr(made, name, _compiled(name, **options))
    return made


def kernels(plain: Any, options: dict[str, Any]) -> python_types.ModuleType:
    """What compiled code sees as `kernels`, the module `plain`."""
    made = python_types.ModuleType("kernels")
    names: dict[str, Any] = {"np": np, "math": math, "special": module(inspect.getsource(plain), options)}
    for name, value in vars(plain).items():
        if isinstance(value, python_types.FunctionType):
            value = numba.njit(**options)(python_types.FunctionType(value.__code__, names, name))
            setattr(made, name, value)
        if not name.startswith("__"):
            names.setdefault(name, value)
    return made


def _compiled(name: str, **options: Any) -> Any:
    key, count, outputs = _exported(name)
    symbol = of_scipy(_MODULE, key)
    provide(symbol)
    inputs = [types.float64] * count
    if outputs:
        pointer: Any = types.CPointer
        pointers = [pointer(types.float64)] * outputs
        external: Any = types.ExternalFunction(symbol, types.void(*inputs, *pointers))
        return numba.njit(**options)(_several(external, outputs))
    external = types.ExternalFunction(symbol, types.float64(*inputs, types.int32))

    def one(x: Any) -> Any:
        return external(x, 0)

    def two(x: Any, y: Any) -> Any:
        return external(x, y, 0)

    def three(x: Any, y: Any, z: Any) -> Any:
        return external(x, y, z, 0)

    def four(x: Any, y: Any, z: Any, t: Any) -> Any:
        return external(x, y, z, t, 0)

    return numba.njit(**options)((one, two, three, four)[count - 1])


def _several(external: Any, outputs: int) -> Any:
    """A function of one number with two or four results, which C writes to where it is told."""

    def two(x: Any) -> Any:
        made = np.empty(2)
        external(x, made[:1].ctypes, made[1:].ctypes)
        return made[0], made[1]

    def four(x: Any) -> Any:
        made = np.empty(4)
        external(x, made[:1].ctypes, made[1:].ctypes, made[2:].ctypes, made[3:].ctypes)
        return made[0], made[1], made[2], made[3]

    return two if outputs == 2 else four


@functools.cache
def _exported(name: str) -> tuple[str, int, int]:
    """Under which name SciPy exports the function of doubles, how many it takes and how many it writes."""
    from scipy.special import cython_special

    for key, capsule in cython_special.__pyx_capi__.items():
        found = re.search(r'"(double|void) \((.*)\)"', repr(capsule))
        if found and re.fullmatch(rf"(?:__pyx_fuse(?:_\d+)+)?{name}", key):
            params = found[2].split(", ")
            inputs, outputs = params.count("double"), params.count("double *")
            if inputs + outputs == len(params) - (found[1] == "double"):
                return key, inputs, outputs
    raise UnsupportedError(f"scipy.special.{name} is not compiled yet: take the derivative without jit")
