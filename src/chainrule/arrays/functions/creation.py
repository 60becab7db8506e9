"""Making arrays of traced values: constructors, ranges, ``zeros_like`` and its family, copies, parts, text.

The constructors (`array`, `zeros`, ...) are what ``chainrule.numpy`` exports and what ``like=`` reaches.
Arrays of zeros, ones and the like are `Buffer`, which may be filled with traced values, if their dtype is
one that can hold derivatives.
"""

from __future__ import annotations

import functools
import itertools
import operator
from typing import Any

import numpy as np

from chainrule.arrays.arguments import asarray
from chainrule.arrays.buffers import Buffer
from chainrule.arrays.methods import TracedText
from chainrule.arrays.nested import array_of, has_traced
from chainrule.arrays.protocols import implements
from chainrule.core.dispatch import Tracer, bind, dtype_of, innermost
from chainrule.errors import UnsupportedError, lost
from chainrule.rules import elementwise as ew
from chainrule.rules import shape as rules

__all__ = [
    "array",
    "asarray_",
    "ascontiguousarray",
    "asfortranarray",
    "astype",
    "empty",
    "eye",
    "fromiter",
    "full",
    "identity",
    "ones",
    "tri",
    "zeros",
]


# -- constructors -------------------------------------------------------------------------------------


@implements(np.array)
def array(
    object: Any,
    dtype: Any = None,
    *,
    copy: bool | None = True,
    order: Any = "K",
    subok: Any = False,
    ndmin: int = 0,
    like: Any = None,
) -> Any:
    """`numpy.array`, of nested lists of traced values too.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.grad(lambda x: cr.numpy.array([[x, 1.0], [2.0, x]]).trace())(3.0)
    2.0
    """
    if not has_traced(object):
        return np.array(object, dtype, copy=copy, order=order, subok=subok, ndmin=ndmin)
    result = array_of(object)
    if copy is False and result is not object:
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    if dtype is not None and np.dtype(dtype) != result.dtype:
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested.")
        result = result.astype(dtype)
    elif copy and result is object:
        result = np.copy(result, order=order)
    if order not in ("K", "A", None) and result.ndim > 1:
        result = np.copy(result, order=order)
    if result.ndim < ndmin:
        result = np.reshape(result, (1,) * (ndmin - result.ndim) + result.shape)
    return result


@implements(np.asarray, np.asanyarray)
def asarray_(
    a: Any,
    dtype: Any = None,
    order: Any = None,
    *,
    device: Any = None,
    copy: bool | None = None,
    like: Any = None,
) -> Any:
    """`numpy.asarray`, which leaves traced values traced."""
    if not has_traced(a):
        return np.asarray(a, dtype, order, device=device, copy=copy)
    if isinstance(a, Tracer) and not copy and dtype is None:
        return a
    return array(a, dtype, copy=copy, order=order or "K")


@implements(np.ascontiguousarray)
def ascontiguousarray(a: Any, dtype: Any = None, *, like: Any = None) -> Any:
    """`numpy.ascontiguousarray`; a traced array that is not contiguous is copied."""
    return _laid_out(a, dtype, "C") if has_traced(a) else np.ascontiguousarray(a, dtype)


@implements(np.asfortranarray)
def asfortranarray(a: Any, dtype: Any = None, *, like: Any = None) -> Any:
    """`numpy.asfortranarray`; a traced array of another layout is copied."""
    return _laid_out(a, dtype, "F") if has_traced(a) else np.asfortranarray(a, dtype)


def _laid_out(a: Any, dtype: Any, order: Any) -> Any:
    result = np.atleast_1d(asarray_(a, dtype))
    memory = innermost(result)
    good = memory.flags.c_contiguous if order == "C" else memory.flags.f_contiguous
    return result if good else np.copy(result, order=order)


def _fillable(result: Any) -> Any:
    """A buffer, if a derivative can be written to it."""
    return Buffer(result) if result.dtype.kind in "fc" else result


def _filled(make: Any) -> Any:
    @functools.wraps(make)
    def function(*args: Any, like: Any = None, **options: Any) -> Any:
        return _fillable(make(*args, **options))

    return implements(make)(function)


zeros, ones, empty = _filled(np.zeros), _filled(np.ones), _filled(np.empty)
eye, identity, tri = _filled(np.eye), _filled(np.identity), _filled(np.tri)


@implements(np.full)
def full(
    shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", *, device: Any = None, like: Any = None
) -> Any:
    """`numpy.full`; the value may be traced, and the array may be filled with traced values."""
    if not has_traced(fill_value):
        return _fillable(np.full(shape, fill_value, dtype, order, device=device))
    value = array_of(fill_value)
    result = Buffer(np.zeros(shape, value.dtype if dtype is None else dtype, order))
    result[...] = value
    return result


@implements(np.fromiter)
def fromiter(iter: Any, dtype: Any, count: int = -1, *, like: Any = None) -> Any:
    """`numpy.fromiter`, of an iterable that yields traced numbers."""
    values = list(iter) if count < 0 else list(itertools.islice(iter, count))
    if not has_traced(values):
        return np.fromiter(values, dtype, count)
    if len(values) < count:
        raise ValueError(f"iterator too short: Expected {count} but iterator had only {len(values)} items.")
    return array(values, dtype)


@implements(np.fromfunction)
def fromfunction(function: Any, shape: Any, *, dtype: Any = float, like: Any = None, **kwargs: Any) -> Any:
    return function(*np.indices(shape, dtype=dtype), **kwargs)


@implements(np.require)
def require(a: Any, dtype: Any = None, requirements: Any = None, *, like: Any = None) -> Any:
    return np.require(a, dtype, requirements) if not has_traced(a) else asarray_(a, dtype)


@implements(np.arange)
def arange(*args: Any, **options: Any) -> Any:
    if has_traced(args):
        raise lost("numpy.arange with traced ends", "Use numpy.linspace, or start + step * np.arange(n).")
    return np.arange(*args, **options)


# -- ranges -------------------------------------------------------------------------------------------


@implements(np.linspace)
def linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"Number of samples, {num}, must be non-negative.")
    start, stop = array_of(start) * 1.0, array_of(stop) * 1.0
    div = num - 1 if endpoint else num
    shape = (num,) + (1,) * len(np.broadcast_shapes(start.shape, stop.shape))
    steps = np.arange(num, dtype=np.float64).reshape(shape)
    delta = stop - start
    step = delta / div if div > 0 else np.nan
    result = start + steps * step if div > 0 else start + steps * delta
    if endpoint and num > 1:
        # NumPy's last element is the end itself, not what the sum rounds to.
        result = np.concatenate([result[:-1], np.reshape(stop + 0 * start, (1, *result.shape[1:]))])
    result = np.moveaxis(result, 0, axis) if axis else result
    if dtype is not None and np.dtype(dtype).kind not in "fc":
        raise lost(f"numpy.linspace(dtype={np.dtype(dtype)})", "Keep a floating-point dtype.")
    result = result if dtype is None else result.astype(dtype, copy=False)
    return (result, step) if retstep else result


@implements(np.logspace)
def logspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    if np.ndim(base):
        raise UnsupportedError("numpy.logspace with an array of bases is not supported for traced values")
    result = base ** linspace(start, stop, num, endpoint, axis=axis)
    return result if dtype is None else result.astype(dtype, copy=False)


@implements(np.geomspace)
def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    start, stop = array_of(start), array_of(stop)
    if start.dtype.kind == "c" or stop.dtype.kind == "c":
        raise UnsupportedError("numpy.geomspace of complex ends is not supported for traced values")
    if np.any(start == 0) or np.any(stop == 0):
        raise ValueError("Geometric sequence cannot include zero")
    sign = np.sign(start)
    result = sign * 10.0 ** linspace(np.log10(sign * start), np.log10(sign * stop), num, endpoint, axis=axis)
    return result if dtype is None else result.astype(dtype, copy=False)


# -- copies and parts ---------------------------------------------------------------------------------


@implements(np.copy)
def copy(a: Any, order: Any = "K", subok: bool = False) -> Any:
    return rules.duplicate(a, order=order) if a.shape else bind(ew.positive_, a)


@implements(np.astype)
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    return x.astype(dtype, copy=copy)


@implements(np.real)
def real(val: Any) -> Any:
    return bind(ew.real_part, val) if val.dtype.kind == "c" else val


@implements(np.imag)
def imag(val: Any) -> Any:
    if val.dtype.kind == "c":
        return bind(ew.imag_part, val)
    return np.zeros(val.shape, val.dtype)[()]


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    phase = bind(ew.angle, z)
    return phase * (180 / np.pi) if deg else phase


@implements(np.real_if_close)
def real_if_close(a: Any, tol: float = 100) -> Any:
    if a.dtype.kind == "c" and np.isrealobj(np.real_if_close(np.asarray(innermost(a)), tol)):
        return real(a)
    return a


# -- arrays like another ------------------------------------------------------------------------------


def _like(make: Any) -> Any:
    @functools.wraps(make)
    def function(
        a: Any,
        dtype: Any = None,
        order: Any = "K",
        subok: bool = True,
        shape: Any = None,
        *,
        device: Any = None,
    ) -> Any:
        return _fillable(make(_template(a), dtype=dtype, order=order, subok=False, shape=shape, device=device))

    return implements(make)(function)


def _template(a: Any) -> Any:
    """A plain array of the shape, dtype and, where it is known, layout of `a`."""
    if not has_traced(a):
        return a
    memory = innermost(a)
    if np.shape(memory) == a.shape:
        return np.asarray(memory)
    return np.broadcast_to(np.zeros((), a.dtype), a.shape)


zeros_like, ones_like, empty_like = _like(np.zeros_like), _like(np.ones_like), _like(np.empty_like)


@implements(np.full_like)
def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: Any = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    made = np.empty_like(_template(a), dtype, order, False, shape, device=device)
    if has_traced(fill_value):
        made = Buffer(made)
        made[...] = array_of(fill_value)
        return made
    np.copyto(made, fill_value, casting="unsafe")
    return _fillable(made)


# -- types and text -----------------------------------------------------------------------------------


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    return dtype_of(x).kind == "c"


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    return dtype_of(x).kind != "c"


@implements(np.isreal)
def isreal(x: Any) -> Any:
    return imag(asarray(x)) == 0


@implements(np.iscomplex)
def iscomplex(x: Any) -> Any:
    return imag(asarray(x)) != 0


def _specimen(x: Any) -> Any:
    """A plain value that promotes as `x` does: Python numbers are weak, traced ones too."""
    if not has_traced(x):
        return x
    value = innermost(x)
    return value if isinstance(value, (int, float, complex)) and not isinstance(value, np.generic) else x.dtype


@implements(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> Any:
    return np.result_type(*[_specimen(x) for x in arrays_and_dtypes])


@implements(np.common_type)
def common_type(*arrays: Any) -> Any:
    return np.common_type(*[np.zeros((), dtype_of(a)) for a in arrays])


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    return bool(np.can_cast(dtype_of(from_) if isinstance(from_, Tracer) else from_, to, casting))


@implements(np.min_scalar_type)
def min_scalar_type(a: Any, /) -> Any:
    return np.min_scalar_type(np.asarray(innermost(a))[()])


@implements(np.may_share_memory)
def may_share_memory(a: Any, b: Any, /, max_work: Any = 0) -> bool:
    return bool(np.may_share_memory(innermost(a), innermost(b), max_work))


@implements(np.shares_memory)
def shares_memory(a: Any, b: Any, /, max_work: Any = -1) -> bool:
    return bool(np.shares_memory(innermost(a), innermost(b), max_work))


def _text(function: Any) -> Any:
    def show(arr: Any, *args: Any, **options: Any) -> str:
        return TracedText(function(np.asarray(innermost(arr)), *args, **options))

    return show


array_repr = implements(np.array_repr)(_text(np.array_repr))
array_str = implements(np.array_str)(_text(np.array_str))
array2string = implements(np.array2string)(_text(np.array2string))


def _writes_text(name: str) -> Any:
    def function(*args: Any, **options: Any) -> Any:
        raise lost(f"{name} of a traced value", "Use chainrule.stop_gradient(x) if a constant is meant.")

    return function


for _function in (np.save, np.savetxt, np.savez, np.savez_compressed):
    implements(_function)(_writes_text(f"numpy.{_function.__name__}"))


# -- one function along axes --------------------------------------------------------------------------


@implements(np.apply_along_axis)
def apply_along_axis(func1d: Any, axis: Any, arr: Any, *args: Any, **kwargs: Any) -> Any:
    a = np.moveaxis(asarray(arr), axis, -1)
    if 0 in a.shape[:-1]:
        raise ValueError("Cannot apply_along_axis when any iteration dimensions are 0")
    rows = [asarray(func1d(a[place], *args, **kwargs)) for place in np.ndindex(a.shape[:-1])]
    result = np.reshape(array_of(rows), a.shape[:-1] + rows[0].shape)
    lead, rank = a.ndim - 1, rows[0].ndim
    return np.moveaxis(result, range(lead, lead + rank), range(axis % a.ndim, axis % a.ndim + rank))


@implements(np.apply_over_axes)
def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    value = asarray(a)
    for axis in np.atleast_1d(axes):
        axis = int(axis) % asarray(a).ndim
        result = func(value, axis)
        value = result if result.ndim == value.ndim else np.expand_dims(result, axis)
        if value.ndim != asarray(a).ndim:
            raise ValueError("function is not returning an array of the correct shape")
    return value
