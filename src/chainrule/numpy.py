"""NumPy's names, with what its dispatch cannot see made to work on traced values.

Everything NumPy has is here under its own name. In plain ``numpy`` traced values already work wherever
they are arguments themselves; the versions here also take nested lists of them (``array([x, y])``,
``mean([x, y])``, ``linalg.norm([x, y])``), and ``zeros``, ``ones``, ``empty``, ``full``, ``eye`` and their
``_like`` forms make arrays that may be filled with traced values.

>>> import chainrule as cr
>>> import chainrule.numpy as cnp
>>> def f(x):
...     y = cnp.zeros(3)
...     for i in range(3):
...         y[i] = x**i
...     return cnp.sum(y) + cnp.max([x, 1.0])
>>> cr.grad(f)(2.0)
6.0
"""

from __future__ import annotations

from typing import Any

import numpy as _np

import chainrule.arrays  # noqa: F401  (enters the functions of traced values)
from chainrule.arrays.functions.creation import (
    arange,
    array,
    ascontiguousarray,
    asfortranarray,
    empty,
    empty_like,
    eye,
    fromfunction,
    fromiter,
    full,
    full_like,
    identity,
    ones,
    ones_like,
    require,
    tri,
    zeros,
    zeros_like,
)
from chainrule.arrays.functions.creation import asarray_ as asanyarray
from chainrule.arrays.functions.creation import asarray_ as asarray
from chainrule.arrays.namespace import asarray_chkfinite, c_, isscalar, r_, vectorize
from chainrule.arrays.namespace import wrapped as _wrapped

__all__ = [
    "arange",
    "array",
    "asanyarray",
    "asarray",
    "asarray_chkfinite",
    "ascontiguousarray",
    "asfortranarray",
    "c_",
    "empty",
    "empty_like",
    "eye",
    "fromfunction",
    "fromiter",
    "full",
    "full_like",
    "identity",
    "isscalar",
    "ones",
    "ones_like",
    "r_",
    "require",
    "tri",
    "vectorize",
    "zeros",
    "zeros_like",
]


def __getattr__(name: str) -> Any:
    if name == "test" or (name.startswith("__") and not name.startswith(("__version__", "__array_"))):
        raise AttributeError(f"module 'chainrule.numpy' has no attribute {name!r}")
    try:
        value = _wrapped(name, getattr(_np, name))
    except AttributeError:
        raise AttributeError(f"module 'chainrule.numpy' has no attribute {name!r}, nor has numpy") from None
    # Kept here, where no other code runs: names like `any` hide Python's own.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*dir(_np), *__all__})
