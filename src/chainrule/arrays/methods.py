"""Operators, methods and attributes of arrays, given to every traced value.

What would lose the derivative raises here: conversion to a Python number, to a plain array, to text that
is read as a number, use as an index or as a dictionary key.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.arrays import buffers, nested, protocols
from chainrule.core.dispatch import Tracer, bind, dtype_of, innermost, shape_of
from chainrule.core.primitive import by_function
from chainrule.errors import UnsupportedError, lost, user_line
from chainrule.rules import elementwise as ew
from chainrule.rules.indexing import getitem, static_index

_STOP = "Use chainrule.stop_gradient(x) if a constant is meant."
_NUMPY = (
    "Call the NumPy function (np.sin, not math.sin); build arrays of traced values with chainrule.numpy.array; "
    "for SciPy functions written in Python use chainrule.scipy. " + _STOP
)


# -- operators ----------------------------------------------------------------------------------------


def _binary(primitive: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def forward(self: Any, other: Any) -> Any:
        return bind(primitive, self, _operand(other))

    def reflected(self: Any, other: Any) -> Any:
        return bind(primitive, _operand(other), self)

    return forward, reflected


def _operand(other: Any) -> Any:
    return np.asarray(other) if isinstance(other, (list, tuple)) else other


def _inplace(primitive: Any) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        result = bind(primitive, self, _operand(other))
        if not self.shape:  # numbers are immutable
            return result
        if shape_of(result) != self.shape:
            raise UnsupportedError(
                f"in-place operation on an array of shape {self.shape} with a result of shape "
                f"{shape_of(result)} (at {user_line()})"
            )
        return buffers.replace(self, result)

    return method


_OPERATORS = {
    "add": ew.add,
    "sub": ew.subtract,
    "mul": ew.multiply,
    "truediv": ew.divide,
    "pow": ew.pow_,
    "mod": ew.remainder,
    "floordiv": ew.floor_divide,
}


def _quotient(primitive: Any, plain: Callable[[Any, Any], Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The same for quotients: of Python's numbers they raise where Python's do."""

    def divided(a: Any, b: Any) -> Any:
        x, y = innermost(a), innermost(b)
        if y.__class__ in _PYTHON_NUMBERS and y == 0 and x.__class__ in _PYTHON_NUMBERS:
            plain(x, y)  # raises ZeroDivisionError
        return bind(primitive, a, b)

    def forward(self: Any, other: Any) -> Any:
        return divided(self, _operand(other))

    def reflected(self: Any, other: Any) -> Any:
        return divided(_operand(other), self)

    return forward, reflected


_PYTHON_NUMBERS = frozenset({float, int, bool})

for _name, _primitive in _OPERATORS.items():
    if _name in ("truediv", "mod", "floordiv"):
        _forward, _reflected = _quotient(_primitive, getattr(operator, _name))
    else:
        _forward, _reflected = _binary(_primitive)
    setattr(Tracer, f"__{_name}__", _forward)
    setattr(Tracer, f"__r{_name}__", _reflected)
    setattr(Tracer, f"__i{_name}__", _inplace(_primitive))


def _comparison(name: str, ufunc: Any) -> Callable[..., Any]:
    primitive = by_function[ufunc]
    plain = getattr(operator, name, None)

    def method(self: Any, other: Any) -> Any:
        a, b = innermost(self), innermost(other)
        if a.__class__ is float and b.__class__ in _PYTHON_NUMBERS and plain is not None:
            return plain(a, b)  # Python's True, which `is True` and `case True` look for
        if isinstance(b, (str, bytes)) and not self.shape:
            return NotImplemented
        return bind(primitive, self, _operand(other))

    return method


for _name in ("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor", "lshift", "rshift"):
    _ufuncs = {
        "eq": np.equal,
        "ne": np.not_equal,
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
        "lshift": np.left_shift,
        "rshift": np.right_shift,
    }
    setattr(Tracer, f"__{_name}__", _comparison(_name, _ufuncs[_name]))
    if _name in ("and", "or", "xor"):
        setattr(Tracer, f"__r{_name}__", _comparison(_name, _ufuncs[_name]))


def _matmul(self: Any, other: Any) -> Any:
    return np.matmul(self, other)


def _rmatmul(self: Any, other: Any) -> Any:
    return np.matmul(other, self)


def _divmod(self: Any, other: Any) -> Any:
    return self // other, self % other


def _rdivmod(self: Any, other: Any) -> Any:
    return other // self, other % self


def _round(self: Any, digits: int | None = None) -> Any:
    if not self.shape and digits is None:
        value: Any = self.value
        return round(value if isinstance(value, Tracer) else value.__float__())  # an integer
    return np.round(self, digits or 0)


# -- reading and writing ------------------------------------------------------------------------------


def _getitem(self: Any, index: Any) -> Any:
    if not self.shape:
        parts = index if index.__class__ is tuple else (index,)
        if all(part is None or part is ... for part in parts):
            new = sum(part is None for part in parts)
            return np.reshape(self, (1,) * new) if new else self
        refusal = TypeError if innermost(self).__class__ in _PYTHON_NUMBERS else IndexError
        raise refusal(f"indexing of a traced number (at {user_line()}): a number has no elements")
    result = bind(getitem, self, index=static_index(index))
    if getattr(result, "owner", None) is not None:
        result.key = (index, self)
    return result


def _setitem(self: Any, index: Any, value: Any) -> None:
    buffers.write(self, index, value)


def _len(self: Any) -> int:
    if not self.shape:
        raise TypeError(f"len() of a traced number (at {user_line()}): a number has no length")
    return int(self.shape[0])


def _iter(self: Any) -> Any:
    if not self.shape:
        raise TypeError(f"iteration over a traced number (at {user_line()}): a number has no elements")
    return (self[k] for k in range(self.shape[0]))  # one by one: the loop may write to what comes next


def _contains(self: Any, value: Any) -> bool:
    return bool(np.any(self == value))


# -- what would lose the derivative -------------------------------------------------------------------


def _loses(what: str, remedy: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        raise lost(what, remedy)

    return method


for _name, _what in {
    "__float__": "float(x) of a traced value",
    "__int__": "int(x) of a traced value",
    "__complex__": "complex(x) of a traced value",
    "__index__": "using a traced value as an integer index or length",
    "as_integer_ratio": "making a fraction of a traced value",
    "__trunc__": "truncating a traced value to an integer",
    "__floor__": "math.floor of a traced value",
    "__ceil__": "math.ceil of a traced value",
    "__array__": "making a plain array of a traced value",
    "item": "x.item() of a traced value",
    "tolist": "x.tolist() of a traced value",
    "tobytes": "x.tobytes() of a traced value",
    "tofile": "x.tofile() of a traced value",
    "dump": "pickling a traced value",
    "dumps": "pickling a traced value",
    "__reduce__": "pickling a traced value",
}.items():
    setattr(Tracer, _name, _loses(_what, _NUMPY))
Tracer.__hash__ = _loses("using a traced value as a dictionary key or in a set", _STOP)  # type: ignore[method-assign]


def _bool(self: Any) -> bool:
    return bool(self.value)  # level by level: a batched value has no one truth


class TracedText(str):
    """Text that shows a traced value; reading it back as a number raises."""

    __slots__ = ()

    def __float__(self) -> float:
        raise lost("float() of the text of a traced value", _STOP)

    def __int__(self) -> int:
        raise lost("int() of the text of a traced value", _STOP)

    def __complex__(self) -> complex:
        raise lost("complex() of the text of a traced value", _STOP)


def _repr(self: Any) -> str:
    return f"Traced({innermost(self)!r})"  # a plain text: tools that report failures send it to other processes


def _str(self: Any) -> str:
    return TracedText(_repr(self))


def _format(self: Any, spec: str) -> str:
    value = innermost(self)
    return TracedText(f"Traced({format(value, spec) if np.ndim(value) == len(self.shape) else value!r})")


# -- attributes and methods ---------------------------------------------------------------------------


def _delegate(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def method(self: Any, *args: Any, **options: Any) -> Any:
        return function(self, *args, **options)

    method.__name__ = name
    return method


for _name in [
    "all",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "choose",
    "clip",
    "conj",
    "conjugate",
    "cumprod",
    "cumsum",
    "diagonal",
    "dot",
    "max",
    "mean",
    "min",
    "nonzero",
    "prod",
    "ptp",
    "put",
    "ravel",
    "repeat",
    "round",
    "searchsorted",
    "squeeze",
    "std",
    "sum",
    "swapaxes",
    "take",
    "trace",
    "var",
    "argpartition",
]:
    if hasattr(np, _name):
        setattr(Tracer, _name, _delegate(_name))


def _reshape(self: Any, *shape: Any, order: str = "C", copy: Any = None) -> Any:
    return np.reshape(self, shape[0] if len(shape) == 1 else shape, order=order)  # type: ignore[call-overload]


def _transpose(self: Any, *axes: Any) -> Any:
    order = axes[0] if len(axes) == 1 else axes or None
    return np.transpose(self, order)


def _flatten(self: Any, order: str = "C") -> Any:
    return np.ravel(self, order=order).copy()  # type: ignore[call-overload]


def _copy(self: Any, order: str = "C") -> Any:
    return np.copy(self, order=order)  # type: ignore[call-overload]


def _compress(self: Any, condition: Any, axis: Any = None, out: Any = None) -> Any:
    return np.compress(condition, self, axis, out)


def _astype(self: Any, dtype: Any, *args: Any, copy: bool = True, **options: Any) -> Any:
    dtype = np.dtype(dtype)
    if dtype.kind == "O":
        raise lost("astype(object)", "Keep a floating-point dtype.")
    if dtype.kind != "c" and self.dtype.kind == "c":
        raise lost("casting complex to real", "Take x.real.")
    if dtype == self.dtype:
        return np.copy(self) if copy else self
    return bind(ew.astype, self, dtype=dtype)


def _sort(self: Any, axis: int = -1, **options: Any) -> None:
    buffers.replace(self, np.sort(self, axis=axis, **options))


def _partition(self: Any, kth: Any, axis: int = -1, **options: Any) -> None:
    buffers.replace(self, np.partition(self, kth, axis, **options))


def _fill(self: Any, value: Any) -> None:
    buffers.write(self, ..., value)


def _view(self: Any, *args: Any, **options: Any) -> Any:
    raise UnsupportedError(f"ndarray.view reinterprets memory (at {user_line()}); use astype")


def _namespace(self: Any, *, api_version: str | None = None) -> Any:
    return importlib.import_module("chainrule.numpy")


def _size(self: Any) -> int:
    return int(np.prod(self.shape))


class Flat:
    """What ``x.flat`` gives: the elements one after the other, to read and to write."""

    __slots__ = ("_array",)

    def __init__(self, array: Any) -> None:
        self._array = array

    def __iter__(self) -> Any:
        return (self._array[place] for place in np.ndindex(self._array.shape))

    def __len__(self) -> int:
        return int(self._array.size)

    def __getitem__(self, index: Any) -> Any:
        value = np.ravel(self._array)[index]
        return np.copy(value) if value.shape else value

    def __setitem__(self, index: Any, value: Any) -> None:
        shape = self._array.shape
        places = np.arange(self._array.size)[index]
        size = np.size(places)
        values = np.ravel(nested.array_of(value))
        if size:
            values = values[np.arange(size) % values.size] if values.size > 1 else values[0]
            buffers.write(self._array, np.unravel_index(places, shape), values)


def _set_flat(self: Any, value: Any) -> None:
    Flat(self)[:] = value


def _set_shape(self: Any, shape: Any) -> None:
    raise UnsupportedError(f"assignment to the shape of a traced array (at {user_line()}); use reshape")


def _set_part(name: str) -> Callable[[Any, Any], None]:
    def assign(self: Any, value: Any) -> None:
        buffers.write(getattr(np, name)(self), ..., value)

    return assign


def _absent(name: str) -> property:
    """An attribute of arrays that traced ones do not have: no AttributeError, which hasattr would swallow."""

    def get(self: Any) -> Any:
        if isinstance(self, buffers.Buffer):  # which answers for its plain content
            raise AttributeError(name)
        raise UnsupportedError(f"ndarray.{name} is not supported for traced values (at {user_line()})")

    return property(get)


def _numba_type(self: Any) -> Any:
    if isinstance(self, buffers.Buffer):
        raise AttributeError("_numba_type_")
    raise lost(
        "calling a numba-compiled function with a traced value",
        "Have the whole function compiled, derivative included: chainrule.jit(chainrule.grad(f)) reads what Numba "
        "compiles. Or call it uncompiled (its py_func), or give it a rule with chainrule.custom_jvp or custom_vjp.",
    )


_METHODS = {
    "__neg__": lambda self: bind(ew.negative, self),
    "__pos__": lambda self: bind(ew.positive_, self),
    "__abs__": lambda self: bind(ew.absolute, self),
    "__invert__": lambda self: np.invert(self),
    "__matmul__": _matmul,
    "__rmatmul__": _rmatmul,
    "__imatmul__": lambda self, other: buffers.replace(self, np.matmul(self, other)),
    "__divmod__": _divmod,
    "__rdivmod__": _rdivmod,
    "__round__": _round,
    "__getitem__": _getitem,
    "__setitem__": _setitem,
    "__len__": _len,
    "__iter__": _iter,
    "__contains__": _contains,
    "__bool__": _bool,
    "__repr__": _repr,
    "__str__": _str,
    "__format__": _format,
    "__array_ufunc__": protocols.array_ufunc,
    "__array_function__": protocols.array_function,
    "__array_namespace__": _namespace,
    "__copy__": lambda self: np.copy(self),
    "__deepcopy__": lambda self, memo: np.copy(self),
    "reshape": _reshape,
    "transpose": _transpose,
    "flatten": _flatten,
    "copy": _copy,
    "compress": _compress,
    "astype": _astype,
    "sort": _sort,
    "partition": _partition,
    "_numba_type_": property(_numba_type),
    "fill": _fill,
    "view": _view,
    "shape": property(lambda self: shape_of(self.value), _set_shape),
    "dtype": property(lambda self: dtype_of(self.value)),
    "ndim": property(lambda self: len(shape_of(self.value))),
    "size": property(_size),
    "itemsize": property(lambda self: self.dtype.itemsize),
    "nbytes": property(lambda self: self.dtype.itemsize * self.size),
    "T": property(lambda self: np.transpose(self)),
    "mT": property(lambda self: np.matrix_transpose(self)),
    "real": property(lambda self: np.real(self), _set_part("real")),
    "imag": property(lambda self: np.imag(self), _set_part("imag")),
    "flat": property(Flat, _set_flat),
    "device": property(lambda self: "cpu"),
}
for _name, _method in _METHODS.items():
    setattr(Tracer, _name, _method)
for _name in dir(np.ndarray):
    if not _name.startswith("_") and not hasattr(Tracer, _name):
        setattr(Tracer, _name, _absent(_name))
