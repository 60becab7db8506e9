"""Where the functions that machine code calls are in this process.

Code on disk names what it calls. `provide` tells LLVM where that is: in Numba's run-time library, in libmvec, in what
SciPy exports for Cython, in the process. Numba's library is loaded without the package around it, whose import takes
longer than all the rest of a first call.
"""

from __future__ import annotations

import builtins
import ctypes
import functools
import importlib
import importlib.util
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite.binding import add_symbol, address_of_symbol

__all__ = ["ARRAY", "UNPICKLE", "numba_folder", "of_scipy", "provide", "runtime", "scipy_address", "vector", "vectors"]

_LIBRARY = "libmvec.so.1"
_SCIPY = "chainrule:"
ARRAY, UNPICKLE = "chainrule.ndarray", "chainrule.unpickle"  # the class, and Numba's function


def provide(symbol: str) -> bool:
    """Make `symbol` known to LLVM; whether it is to be found."""
    address = vector(symbol) if symbol.startswith("_ZGV") else None
    if symbol.startswith(_SCIPY):
        address = scipy_address(symbol)
    if address is not None:
        add_symbol(symbol, address)
    return address is not None or bool(address_of_symbol(symbol))


# -- the C library's vectors --------------------------------------------------------------------------


@functools.cache
def vectors() -> Any:
    """libmvec, which is loaded once and stays; None where there is none."""
    if os.environ.get("CHAINRULE_SIMD") == "0":
        return None
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError:
        return None


def vector(symbol: str) -> int | None:
    """The address of a function of libmvec."""
    found = getattr(vectors(), symbol, None)
    return None if found is None else ctypes.cast(found, ctypes.c_void_p).value


# -- SciPy --------------------------------------------------------------------------------------------


def of_scipy(module: str, name: str) -> str:
    """The symbol of the C function that SciPy's module exports under this name."""
    return f"{_SCIPY}{module}:{name}"


def scipy_address(symbol: str) -> int | None:
    _, module, name = symbol.split(":")
    capsule = importlib.import_module(module).__pyx_capi__.get(name)
    if capsule is None:
        return None
    api = ctypes.pythonapi
    name_of, pointer_of = api.PyCapsule_GetName, api.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    address: int | None = pointer_of(capsule, name_of(capsule))
    return address


# -- Numba's run-time library -------------------------------------------------------------------------


def numba_folder() -> Path:
    """Where Numba is installed."""
    spec = importlib.util.find_spec("numba")
    if spec is None or spec.origin is None:
        raise ImportError("native mode compiles with Numba: pip install numba")
    return Path(spec.origin).parent


@functools.cache
def runtime() -> Any:
    """Make Numba's C functions known to LLVM; the module that makes Python's functions of compiled ones."""
    closures, helpers, memory = map(_extension, ("_dynfunc", "_helperlib", "core.runtime._nrt_python"))
    for name, address in {**helpers.c_helpers, **closures.c_helpers}.items():
        add_symbol(f"numba_{name}", address)
    for name, address in memory.c_helpers.items():
        add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
    for value in vars(builtins).values():
        if isinstance(value, type) and issubclass(value, BaseException):
            add_symbol(f"PyExc_{value.__name__}", id(value))
    add_symbol("_Py_NoneStruct", id(None))
    add_symbol(ARRAY, id(np.ndarray))
    add_symbol(UNPICKLE, helpers.c_helpers["unpickle"])
    return closures


def _extension(name: str) -> Any:
    """A module in C of Numba's. It is left out of `sys.modules`, where it would stand without its package."""
    full = f"numba.{name}"
    if full in sys.modules:
        return sys.modules[full]
    path = next(p for s in EXTENSION_SUFFIXES if (p := numba_folder() / f"{name.replace('.', '/')}{s}").exists())
    loader = ExtensionFileLoader(full, str(path))
    module = importlib.util.module_from_spec(ModuleSpec(full, loader, origin=str(path)))
    loader.exec_module(module)
    sys.modules.pop(full, None)
    return module
