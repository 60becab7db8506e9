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

import functools
from types import ModuleType
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
from chainrule.arrays.nested import array_of, has_traced
from chainrule.core.dispatch import Tracer
from chainrule.errors import UnsupportedError, user_line

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

# Functions that take a list of arrays, which is not one array.
_OF_LISTS = {
    *("concatenate", "concat", "stack", "vstack", "hstack", "dstack", "column_stack", "row_stack", "block"),
    *("select", "choose", "piecewise", "lexsort", "multi_dot", "broadcast_shapes", "einsum_path"),
}
_WRAPPED_MODULES = frozenset({"linalg", "fft"})


# -- functions of lists -------------------------------------------------------------------------------


class _Function:
    """A function of NumPy that also takes nested lists of traced values for arrays."""

    def __init__(self, function: Any) -> None:
        functools.update_wrapper(self, function, updated=())
        self._function = function

    def __call__(self, *args: Any, **options: Any) -> Any:
        for value in (*args, *options.values()):
            if value.__class__ in (list, tuple) and has_traced(value):
                args = tuple([_array(x) for x in args])
                options = {name: _array(x) for name, x in options.items()}
                break
        return self._function(*args, **options)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.__dict__["_function"], name)
        return _Function(value) if callable(value) and not name.startswith("_") else value

    def __repr__(self) -> str:
        return repr(self._function)


def _array(value: Any) -> Any:
    return array_of(value) if value.__class__ in (list, tuple) and has_traced(value) else value


class _Module:
    """A module of NumPy, its functions wrapped."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self.__doc__ = module.__doc__

    def __getattr__(self, name: str) -> Any:
        value = _wrapped(name, getattr(self.__dict__["_module"], name))
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return dir(self._module)

    def __repr__(self) -> str:
        return repr(self._module)


def _wrapped(name: str, value: Any) -> Any:
    """What this module has for one of NumPy's objects."""
    if name in _OF_LISTS:
        return value
    if isinstance(value, _np.ufunc) or hasattr(value, "_implementation"):
        return _Function(value)
    if isinstance(value, ModuleType) and name in _WRAPPED_MODULES:
        return _Module(value)
    return value


def __getattr__(name: str) -> Any:
    if name.startswith("__") and not name.startswith("__array_"):
        raise AttributeError(f"module 'chainrule.numpy' has no attribute {name!r}")
    try:
        value = _wrapped(name, getattr(_np, name))
    except AttributeError:
        raise AttributeError(f"module 'chainrule.numpy' has no attribute {name!r}, nor has numpy") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*dir(_np), *__all__})


# -- what is not a function of arrays -----------------------------------------------------------------


def asarray_chkfinite(a: Any, dtype: Any = None, order: Any = None) -> Any:
    """`numpy.asarray_chkfinite`, which leaves traced values traced."""
    result = asarray(a, dtype, order)
    if result.dtype.kind in "fc" and not _np.all(_np.isfinite(result)):
        raise ValueError("array must not contain infs or NaNs")
    return result


def isscalar(element: Any) -> bool:
    """`numpy.isscalar`; traced numbers are scalars."""
    return not element.shape if isinstance(element, Tracer) else bool(_np.isscalar(element))  # type: ignore[attr-defined]


class _Joiner:
    """`numpy.r_` and `numpy.c_` for items of which some are traced."""

    def __init__(self, plain: Any, columns: bool) -> None:
        self._plain = plain
        self._columns = columns

    def __getitem__(self, key: Any) -> Any:
        items = key if isinstance(key, tuple) else (key,)
        if not has_traced(items):
            return self._plain[key]
        if any(isinstance(item, str) for item in items):
            raise UnsupportedError(f"directives of r_ and c_ with traced values (at {user_line()}); use concatenate")
        if any(has_traced((i.start, i.stop, i.step)) for i in items if isinstance(i, slice)):
            raise UnsupportedError(f"a slice with traced ends in r_ or c_ (at {user_line()}); use linspace")
        members = [self._member(item) for item in items]
        return _np.concatenate(members, axis=-1 if self._columns else 0)

    def _member(self, item: Any) -> Any:
        a = _np.r_[item] if isinstance(item, slice) else _np.atleast_1d(array_of(item))
        return _np.reshape(a, (-1, 1)) if self._columns and a.ndim == 1 else a

    def __len__(self) -> int:
        return 0


r_, c_ = _Joiner(_np.r_, False), _Joiner(_np.c_, True)


class vectorize:
    """`numpy.vectorize`, whose function may take and return traced numbers.

    A ``signature``, ``excluded`` or several results of the function are for plain arguments only.
    """

    def __init__(self, pyfunc: Any, otypes: Any = None, doc: Any = None, excluded: Any = None, **options: Any) -> None:
        self._plain = _np.vectorize(pyfunc, otypes, doc, excluded, **options)
        self._special = bool(excluded) or options.get("signature") is not None
        self.pyfunc = pyfunc
        functools.update_wrapper(self, pyfunc, updated=())

    def __call__(self, *args: Any, **options: Any) -> Any:
        if not has_traced((*args, *options.values())):
            return self._plain(*args, **options)
        if self._special or options:
            raise UnsupportedError(
                f"numpy.vectorize with signature=, excluded= or keywords on traced values (at {user_line()})"
            )
        arrays = _np.broadcast_arrays(*[array_of(a) for a in args])
        wanted = arrays[0].shape
        rows = [self.pyfunc(*[a[place] for a in arrays]) for place in _np.ndindex(wanted)]
        if any(isinstance(row, tuple) for row in rows):
            raise UnsupportedError(f"numpy.vectorize of a function with several results (at {user_line()})")
        return _np.reshape(array_of(rows), wanted) if wanted else rows[0]
