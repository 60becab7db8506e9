"""Arrays made from traced values: nested lists, ``zeros_like`` and its family, copies, parts, types, text.

``zeros_like`` and its family of a traced array give a `Buffer`, which may be filled with traced values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.arrays.arguments import asarray
from chainrule.arrays.buffers import Buffer
from chainrule.arrays.methods import TracedText
from chainrule.arrays.protocols import implements
from chainrule.core.dispatch import Tracer, bind, dtype_of, innermost, shape_of
from chainrule.errors import lost
from chainrule.rules import elementwise as ew
from chainrule.rules import shape as rules

__all__ = ["array_of", "astype", "has_traced"]


# -- nested lists -------------------------------------------------------------------------------------


def has_traced(obj: Any) -> bool:
    """Whether a nesting of lists and tuples holds a traced value."""
    if isinstance(obj, (list, tuple)):
        return any(has_traced(x) for x in obj)
    return isinstance(obj, Tracer)


def array_of(obj: Any) -> Any:
    """An array of a nesting of lists of traced values, arrays and numbers; traced if one of them is."""
    if not isinstance(obj, (list, tuple)) or not has_traced(obj):
        return asarray(obj)
    outer, leaves = _leaves(obj)
    if leaves is None or len({shape_of(x) for x in leaves}) != 1:
        outer, leaves = (len(obj),), [array_of(x) for x in obj]
    return _joined(leaves, outer)


def _leaves(obj: Any) -> tuple[tuple[int, ...], Any]:
    """The lengths of nested lists and what is in them; None for the latter if they are ragged."""
    if not isinstance(obj, (list, tuple)):
        return (), [obj]
    parts = [_leaves(x) for x in obj]
    if len({shape for shape, _ in parts}) != 1 or any(leaves is None for _, leaves in parts):
        return (len(obj),), None
    return (len(obj), *parts[0][0]), [leaf for _, leaves in parts for leaf in leaves]


def _joined(leaves: list[Any], outer: tuple[int, ...]) -> Any:
    shapes = {shape_of(x) for x in leaves}
    if len(shapes) != 1:
        raise ValueError(f"setting an array element with a sequence: the parts have the shapes {sorted(shapes)}")
    (inner,) = shapes
    if inner == ():
        flat = rules.vector(*leaves)
    else:
        flat = rules.concatenate(*[rules.reshape(asarray(x), shape=(1, *inner)) for x in leaves], axis=0)
    return flat if len(outer) == 1 else rules.reshape(flat, shape=outer + inner)


# -- copies and parts ---------------------------------------------------------------------------------


@implements(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
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
    def function(
        a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
    ) -> Any:
        layout = innermost(a)
        if np.shape(layout) == a.shape:
            template = np.asarray(layout)
        else:
            template = np.broadcast_to(np.zeros((), a.dtype), a.shape)
        return Buffer(make(template, dtype=dtype, order=order, subok=False, shape=shape, device=device))

    return function


zeros_like = implements(np.zeros_like)(_like(np.zeros_like))
ones_like = implements(np.ones_like)(_like(np.ones_like))
empty_like = implements(np.empty_like)(_like(np.empty_like))


@implements(np.full_like)
def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    dtype = dtype_of(a) if dtype is None else dtype
    made = zeros_like(a, dtype, order, subok, shape, device=device) if isinstance(a, Tracer) else None
    if made is None:
        made = Buffer(np.zeros_like(a, dtype, order, subok, shape, device=device))
    made[...] = array_of(fill_value)
    return made


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
    if not isinstance(x, Tracer):
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
def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
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
