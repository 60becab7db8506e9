"""SciPy's special functions in compiled code: the C functions behind `scipy.special.cython_special`.

Compiled code calls them by a symbol, not by an address, so that it may be kept on disk.
"""

from __future__ import annotations

import functools
import re
import types as python_types
from collections.abc import Iterable
from typing import Any

import numba
from numba import types

from chainrule.backends.numba.symbols import of_scipy, provide
from chainrule.errors import UnsupportedError

__all__ = ["module"]

_MODULE = "scipy.special.cython_special"


def module(names: Iterable[str], options: dict[str, Any]) -> python_types.ModuleType:
    """What compiled code sees as ``scipy.special``: the functions of these names."""
    made = python_types.ModuleType("special")
    for name in names:
        setattr(made, name, _compiled(name, **options))
    return made


def _compiled(name: str, **options: Any) -> Any:
    key, count = _exported(name)
    symbol = of_scipy(_MODULE, key)
    provide(symbol)
    external: Any = types.ExternalFunction(symbol, types.float64(*[types.float64] * count, types.int32))

    def one(x: Any) -> Any:
        return external(x, 0)

    def two(x: Any, y: Any) -> Any:
        return external(x, y, 0)

    def three(x: Any, y: Any, z: Any) -> Any:
        return external(x, y, z, 0)

    def four(x: Any, y: Any, z: Any, t: Any) -> Any:
        return external(x, y, z, t, 0)

    return numba.njit(**options)((one, two, three, four)[count - 1])


@functools.cache
def _exported(name: str) -> tuple[str, int]:
    """Under which name SciPy exports the function of doubles, and how many it takes."""
    from scipy.special import cython_special

    for key, capsule in cython_special.__pyx_capi__.items():
        found = re.search(r'"double \(((?:double, )+)int', repr(capsule))
        if found and re.fullmatch(rf"(?:__pyx_fuse(?:_\d+)+)?{name}", key):
            return key, found[1].count("double")
    raise UnsupportedError(f"scipy.special.{name} is not compiled yet: take the derivative without jit")
