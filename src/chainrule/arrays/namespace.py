"""What ``chainrule.numpy`` has beside NumPy's own functions: wrappers that see traced values in lists.

`wrapped` gives for an object of NumPy what stands in its place there. The rest replaces what is no function
of arrays: ``r_``, ``c_``, ``vectorize`` and the like.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import numpy as np

from chainrule.arrays.functions.creation import asarray_
from chainrule.arrays.nested import array_of, has_traced
from chainrule.core.dispatch import Tracer
from chainrule.errors import UnsupportedError, user_line

__all__ = ["asarray_chkfinite", "c_", "isscalar", "r_", "vectorize", "wrapped"]

# Functions that take a list of arrays, which is not one array; of the second group NumPy looks into it.
_OF_LISTS = frozenset(
    ("concatenate", "concat", "stack", "vstack", "hstack", "dstack", "column_stack", "select", "multi_dot")
)
_AS_THEY_ARE = frozenset(("block", "choose", "piecewise", "lexsort", "broadcast_shapes", "einsum_path"))
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


class _Join(_Function):
    """The same for a function of lists of arrays."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._function(*[_members(x) for x in args], **{k: _members(x) for k, x in options.items()})


def _members(value: Any) -> Any:
    return [_array(x) for x in value] if value.__class__ in (list, tuple) and has_traced(value) else value


def _array(value: Any) -> Any:
    return array_of(value) if value.__class__ in (list, tuple) and has_traced(value) else value


class _Module:
    """A module of NumPy, its functions wrapped."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self.__doc__ = module.__doc__

    def __getattr__(self, name: str) -> Any:
        value = wrapped(name, getattr(self.__dict__["_module"], name))
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return dir(self._module)

    def __repr__(self) -> str:
        return repr(self._module)


def wrapped(name: str, value: Any) -> Any:
    """What this module has for one of NumPy's objects."""
    if name in _AS_THEY_ARE:
        return value
    if name in _OF_LISTS:
        return _Join(value)
    if isinstance(value, np.ufunc) or hasattr(value, "_implementation"):
        return _Function(value)
    if isinstance(value, ModuleType) and name in _WRAPPED_MODULES:
        return _Module(value)
    return value


# -- what is not a function of arrays -----------------------------------------------------------------


def asarray_chkfinite(a: Any, dtype: Any = None, order: Any = None) -> Any:
    """`numpy.asarray_chkfinite`, which leaves traced values traced."""
    result = asarray_(a, dtype, order)
    if result.dtype.kind in "fc" and not np.all(np.isfinite(result)):
        raise ValueError("array must not contain infs or NaNs")
    return result


def isscalar(element: Any) -> bool:
    """`numpy.isscalar`; traced numbers are scalars."""
    return not element.shape if isinstance(element, Tracer) else bool(np.isscalar(element))


class _Joiner:
    """`numpy.r_` and `numpy.c_` for items of which some are traced."""

    def __init__(self, plain: Any, columns: bool) -> None:
        self._plain = plain
        self._columns = columns

    def __getitem__(self, key: Any) -> Any:
        items = key if isinstance(key, tuple) else (key,)
        if not has_traced([(i.start, i.stop, i.step) if isinstance(i, slice) else i for i in items]):
            return self._plain[key]
        if any(isinstance(item, str) for item in items):
            raise UnsupportedError(f"directives of r_ and c_ with traced values (at {user_line()}); use concatenate")
        members = [self._member(item) for item in items]
        return np.concatenate(members, axis=-1 if self._columns else 0)

    def _member(self, item: Any) -> Any:
        a = _range(item) if isinstance(item, slice) else np.atleast_1d(array_of(item))
        return np.reshape(a, (-1, 1)) if self._columns and a.ndim == 1 else a

    def __len__(self) -> int:
        return 0


def _range(ends: slice) -> Any:
    if not has_traced((ends.start, ends.stop, ends.step)):
        return np.r_[ends]
    if not isinstance(ends.step, complex):
        raise UnsupportedError(f"a slice with traced ends in r_ or c_ (at {user_line()}); use linspace")
    return np.linspace(0 if ends.start is None else ends.start, ends.stop, int(abs(ends.step)))


r_, c_ = _Joiner(np.r_, False), _Joiner(np.c_, True)


class vectorize:
    """`numpy.vectorize`, whose function may take and return traced numbers.

    A ``signature``, ``excluded`` or several results of the function are for plain arguments only.
    """

    def __init__(self, pyfunc: Any, otypes: Any = None, doc: Any = None, excluded: Any = None, **options: Any) -> None:
        self._plain = np.vectorize(pyfunc, otypes, doc, excluded, **options)
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
        arrays = np.broadcast_arrays(*[array_of(a) for a in args])
        wanted = arrays[0].shape
        rows = [self.pyfunc(*[a[place] for a in arrays]) for place in np.ndindex(wanted)]
        if any(isinstance(row, tuple) for row in rows):
            raise UnsupportedError(f"numpy.vectorize of a function with several results (at {user_line()})")
        return np.reshape(array_of(rows), wanted) if wanted else rows[0]
