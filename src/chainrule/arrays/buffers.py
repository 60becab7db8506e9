"""Writes: what ``y[i] = v``, ``y += v``, ``out=`` and writes through views do to traced arrays.

A write is a functional ``set_item`` whose result the written array adopts: the Python object stays, its
state is new. The memory is reused where nothing else holds it: no residual captured it, at any level.
A write to a view goes to its root, at the places the view sees; the root's living views are then made
anew. Of several values written to one place the last one counts, as in NumPy. The first write to an
argument of a transformation checks that no other argument shares its memory.

`Buffer` is a plain array that may be filled with traced values, for ``chainrule.numpy.zeros``. While it is
plain it answers everything a plain array does.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.arrays import protocols
from chainrule.arrays.nested import array_of, has_traced
from chainrule.core.dispatch import Tracer, bind, dtype_of, innermost, shape_of
from chainrule.core.primitive import Primitive
from chainrule.core.views import link, refresh, remake, root_of
from chainrule.errors import AliasError, LostDerivativeError, UnsupportedError, lost, user_line
from chainrule.rules import elementwise as ew
from chainrule.rules import shape
from chainrule.rules.indexing import getitem, is_basic, set_item, static_index

__all__ = ["Buffer", "unwrap", "write", "write_out"]

MAKE_FILLABLE = (
    "Make the array with chainrule.numpy.zeros or empty, with np.zeros_like(traced), or by copying a traced one."
)
_PARTS = (ew.real_part, ew.imag_part)
_READ_ONLY = (shape.broadcast_to,)


# -- writing to traced arrays -------------------------------------------------------------------------


def write(target: Any, index: Any, value: Any) -> None:
    """``target[index] = value``."""
    if getattr(target, "views", target) is target:
        raise lost("item assignment on a traced number", "Only arrays can be written to.")
    root = root_of(target)
    key = getattr(value, "key", None)
    if key is not None and value.owner is root and key[0] is index and key[1] is target:
        return  # `y[i] += v` has already written through the view y[i]
    if not hasattr(root, "set"):
        raise UnsupportedError(f"writing into a batched array (at {user_line()}); build it with np.stack or np.where")
    index, value = static_index(index), _castable(value, target)
    value = _without_leading_ones(value, index, target)
    if root is not target:
        if any(step[0] in _READ_ONLY for step in target.made):
            raise ValueError("assignment destination is read-only")
        index = _places(target, index)
        value = _whole(value, index, target)
    if isinstance(value, Tracer) and value.level > root.level:
        raise LostDerivativeError(
            f"a value of an inner transformation is written (at {user_line()}) into an array of an outer one; the "
            "derivative would be lost. Return it from the inner function, or make the array inside it."
        )
    index, value = _last_wins(index, value, root.shape)
    root.set(index, value)


def _castable(value: Any, target: Any) -> Any:
    """The value as an array or number; a cast that would lose a derivative raises."""
    value = unwrap(array_of(value) if isinstance(value, (list, tuple)) else value)
    if isinstance(value, Tracer):
        have, want = value.dtype.kind, target.dtype.kind
        if have == "c" and want != "c":
            raise lost("writing a complex value into a real array", "Take its real part, or make the array complex.")
        if have in "fc" and want not in "fc":
            raise lost(
                f"writing a traced value into an array of dtype {target.dtype}",
                "Make the array with a floating-point dtype.",
            )
    return value


def _without_leading_ones(value: Any, index: Any, target: Any) -> Any:
    """NumPy lets a value have more dimensions than its place if they are of length one."""
    have = shape_of(value)
    if not have or have[0] != 1 or isinstance(value, (int, float, complex)):
        return value
    place = np.broadcast_to(np.zeros((), bool), target.shape)[index].shape
    extra = len(have) - len(place)
    if place and extra > 0 and all(n == 1 for n in have[:extra]):
        return np.reshape(value, have[extra:])
    return value


def _whole(value: Any, index: Any, view: Any) -> Any:
    """For a write to the real or imaginary part of places: the complex value they get."""
    parts = [step[0] for step in view.made if step[0] in _PARTS]
    if not parts:
        return value
    now = bind(getitem, view.owner, index=index)
    if parts[0] is ew.real_part:
        return value + shape.imaginary(np.imag(now))
    return np.real(now) + shape.imaginary(value)


# -- which places -------------------------------------------------------------------------------------


def _places(view: Any, index: Any) -> Any:
    """The places in the root that ``view[index]`` sees, as an index of the root."""
    root = view.owner
    if len(view.made) == 1 and view.made[0][0] is getitem and _is_all(index):
        return view.made[0][2]["index"]
    steps = tuple(step for step in view.made if step[0] not in _PARTS)
    memory = innermost(root)
    memory = memory[(0,) * (memory.ndim - len(root.shape))] if memory.size else memory
    if not _is_injective(memory) or memory.shape != root.shape:
        grid = np.arange(int(np.prod(root.shape))).reshape(root.shape)
        return np.unravel_index(remake(grid, steps)[index], root.shape)
    # Addresses say where the view lies, at a cost that does not depend on the size of the root.
    seen = remake(memory, steps)
    if is_basic(index):
        parts = index if isinstance(index, tuple) else (index,)
        seen = seen[parts if any(p is ... for p in parts) else (*parts, ...)]
        return _decode(_offsets(seen, memory), memory)
    return _decode(_offsets(seen, memory)[index], memory)


def _is_all(index: Any) -> bool:
    return index is ... or (isinstance(index, slice) and index == slice(None))


def _is_injective(array: Any) -> bool:
    """Whether no two elements overlap, so that an address tells its element."""
    if not array.size:
        return False
    reach = array.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < reach:
            return False
        reach = stride * (length - 1) + reach
    return True


def _offsets(seen: Any, memory: Any) -> Any:
    """Distances in bytes of the elements of a view from the first element of the array."""
    start = seen.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
    total = np.asarray(start)
    for k, (length, stride) in enumerate(zip(seen.shape, seen.strides, strict=True)):
        steps = np.arange(length) * stride
        total = total + steps.reshape((-1,) + (1,) * (seen.ndim - k - 1))
    return total


def _decode(offsets: Any, memory: Any) -> tuple[Any, ...]:
    """The index of the elements at the given distances."""
    strides, lengths = memory.strides, memory.shape
    offsets = offsets + sum(-s * (n - 1) for s, n in zip(strides, lengths, strict=True) if s < 0)
    index: list[Any] = [0] * memory.ndim
    for k in sorted(range(memory.ndim), key=lambda k: -abs(strides[k])):
        if lengths[k] == 1:
            index[k] = np.zeros_like(offsets)
            continue
        place, offsets = np.divmod(offsets, abs(strides[k]))
        index[k] = place if strides[k] > 0 else lengths[k] - 1 - place
    return tuple(int(i) if np.ndim(i) == 0 else i for i in index)


def _last_wins(index: Any, value: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """An index that names no element twice, and what is written there: the last of several values."""
    if not _may_repeat(index, shape):
        return index, value
    positions = np.arange(int(np.prod(shape))).reshape(shape)[index]
    flat = positions.ravel()
    distinct, last = np.unique(flat[::-1], return_index=True)
    if distinct.size == flat.size:
        return index, value
    if shape_of(value):
        value = np.ravel(np.broadcast_to(value, positions.shape))[flat.size - 1 - last]
    return np.unravel_index(distinct, shape), value


def _may_repeat(index: Any, shape: tuple[int, ...]) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [p for p in parts if isinstance(p, np.ndarray)]
    if not any(a.size > 1 and a.dtype != bool for a in arrays):
        return False
    if any(a.dtype == bool for a in arrays):
        return True
    taken = sum(p is not None and p is not ... for p in parts)
    axis, numbers, lengths = 0, [], []
    for part in parts:
        if part is ...:
            axis += len(shape) - taken
        elif part is not None:
            if axis >= len(shape):
                return False  # NumPy says what is wrong
            if not isinstance(part, slice):
                numbers.append(np.where(part < 0, part + shape[axis], part))
                lengths.append(shape[axis])
            axis += 1
    if any(n.size and (n.min() < 0 or n.max() >= length) for n, length in zip(numbers, lengths, strict=True)):
        return False
    flat = np.ravel_multi_index(np.broadcast_arrays(*numbers), lengths).ravel()
    return not bool((flat[1:] > flat[:-1]).all()) and np.unique(flat).size < flat.size


# -- adopting a new state -----------------------------------------------------------------------------


def set_traced(root: Any, index: Any, value: Any) -> None:
    """The ``set`` of traced arrays: adopt the functional write."""
    if not root.written:
        _check_alias(root)
    donate = _exclusive(root)
    root.adopt(bind(set_item, value, root, index=index, donate=donate))
    _own(root)
    root.written = True
    if root.views:
        refresh(root)


def replace_traced(target: Any, value: Any) -> None:
    """The ``replace`` of traced arrays: adopt a whole new content of the same level and dtype."""
    same = value.__class__ is target.__class__ and value.level == target.level and value.dtype == target.dtype
    if same and value.owner is None:
        if not target.written:
            _check_alias(target)
        target.adopt(value)
        target.captured = value.captured
        target.written = True
    else:
        write(target, ..., value)


def _check_alias(root: Any) -> None:
    """Raise if a written argument of a transformation may share memory with another one."""
    transformation = getattr(root, "tape", None) or getattr(root, "run", None)
    inputs = getattr(transformation, "inputs", None) or ()
    own = [content for identity, content in inputs if identity == id(root)]
    others = [content for identity, content in inputs if identity != id(root)]
    for other in _arrays(others) if own else ():
        if np.may_share_memory(innermost(own[0]), other):
            raise AliasError(
                f"an argument that is written to (at {user_line()}) may share memory with another argument; "
                "what is written would not reach that one as it does outside. Pass a copy of one."
            )


def _arrays(content: Any) -> list[Any]:
    """The plain arrays in arguments, which may be nested containers."""
    leaves = [content] if trees.is_leaf_type(content) else trees.flatten(content)[0]
    return [x for x in map(innermost, leaves) if isinstance(x, np.ndarray)]


def _exclusive(value: Any) -> bool:
    """Whether no residual holds the memory of `value`, at any level."""
    while isinstance(value, Tracer):
        if value.captured is not False:
            return False
        value = value.value
    return True


def _own(value: Any) -> None:
    """Note that nothing but `value` holds the memory that a write has just made or reused, at any level."""
    while isinstance(value, Tracer) and hasattr(value, "set"):
        value.captured = False
        value = value.value


def replace(target: Any, value: Any) -> Any:
    """Write all of `value` into `target` in place, as ``target += v`` does with the sum."""
    _check_cast(value, target)
    if target.owner is None and not target.views and shape_of(value) == target.shape:
        target.replace(value)
    else:
        write(target, ..., value)
    return target


def _check_cast(value: Any, target: Any) -> None:
    have = dtype_of(value)
    if isinstance(unwrap(value), Tracer):
        _castable(value, target)
    elif not np.can_cast(have, target.dtype, "same_kind"):
        raise TypeError(f"Cannot cast output from {have!r} to {target.dtype!r} with casting rule 'same_kind'")


def write_out(out: Any, result: Any) -> Any:
    """Write the result of an operation into its ``out=`` argument."""
    if isinstance(out, Tracer):
        _check_cast(result, out)
        write(out, ..., result)
        return out
    if isinstance(unwrap(result), Tracer):
        raise lost("writing a traced value into a plain array", MAKE_FILLABLE)
    np.copyto(out, unwrap(result), casting="same_kind")
    return out


# -- arrays that may be filled ------------------------------------------------------------------------


class _Export:
    """What keeps a read-only view of a buffer's memory known as long as anybody holds it."""

    __slots__ = ("__array_interface__", "__weakref__", "_array")

    def __init__(self, array: Any) -> None:
        self._array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], True)}


class Buffer(Tracer):
    """A plain array that may come to hold traced values.

    `value` is its content: a plain array until the first traced write, a traced one from then on.
    """

    __slots__ = ("_exports", "captured", "key", "made", "owner", "value", "views", "written")
    level = 1 << 62

    def __init__(self, value: Any) -> None:
        self.value = value
        self.captured = False
        self.owner = None
        self.views: Any = None
        self.written = False
        self._exports: list[Any] = []

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        y = bind(primitive, *[unwrap(a) for a in args], **params)
        if isinstance(y, Tracer):
            if primitive.views and y.owner is not None:
                y = Buffer(y)
                link(y, args[0], primitive, args, params)
        elif isinstance(y, np.ndarray) and y.ndim:
            y = Buffer(y)
            if primitive.views:
                link(y, args[0], primitive, args, params)
        return y

    def set(self, index: Any, value: Any) -> None:
        value, inner = unwrap(value), self.value
        if has_traced((inner, value)):
            self._check_exports()
            result = bind(set_item, value, inner, index=index, donate=_exclusive(inner))
            _own(result)
            self.value = result
        else:
            inner[index] = value
        if self.views:
            refresh(self)

    def adopt(self, other: Any) -> None:
        self.value = unwrap(other)

    def replace(self, value: Any) -> None:
        value = unwrap(value)
        if isinstance(value, Tracer) and value.owner is None and value.dtype == self.dtype:
            self._check_exports()
            self.value = value
        else:
            self.set(..., value)

    # -- as a plain array --

    def plain(self, what: str) -> Any:
        """The content if it is plain; a traced one raises."""
        if isinstance(self.value, Tracer):
            raise lost(
                f"{what} of an array that holds traced values",
                "Call the NumPy function itself; use chainrule.stop_gradient if a constant is meant.",
            )
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        content = self.plain("making a plain array")
        if copy or (dtype is not None and np.dtype(dtype) != content.dtype):
            if copy is False:
                raise ValueError("Unable to avoid copy while creating an array as requested.")
            return np.array(content, dtype)
        # Read-only, and remembered: a traced write could not reach it.
        export = _Export(content)
        root = root_of(self)
        root._exports = [r for r in root._exports if r() is not None]
        root._exports.append(weakref.ref(export))
        return np.asarray(export)

    def _check_exports(self) -> None:
        if any(r() is not None for r in self._exports):
            raise LostDerivativeError(
                f"a traced value is written (at {user_line()}) into an array of which a plain view exists, made "
                "by np.asarray; the view would lose the derivative. Copy it, np.array(y), or use y itself."
            )
        self._exports = []

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if _any_traced((inputs, options)):
            return protocols.array_ufunc(self, ufunc, method, *inputs, **options)
        inner = {name: _stripped(option) for name, option in options.items()}
        result = getattr(ufunc, method)(*_stripped(inputs), **inner)
        out = options.get("out")
        if out is not None:
            return out[0] if len(out) == 1 else out
        return _buffered(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        implementation = protocols.FUNCTIONS.get(function)
        if _any_traced((args, kwargs)):
            return protocols.array_function(self, function, types, args, kwargs)
        if implementation is not None:
            try:
                return implementation(*args, **kwargs)
            except UnsupportedError:
                pass  # plain content has no derivative to lose
        result = function(*_stripped(args), **_stripped(kwargs))
        if isinstance(result, np.ndarray) and np.may_share_memory(result, self.plain(function.__name__)):
            return (
                result.copy() if result.base is None else protocols.array_function(self, function, types, args, kwargs)
            )
        return _buffered(result)

    def __getitem__(self, index: Any) -> Any:
        if not self.shape:
            return unwrap(self)[index] if not isinstance(self.value, Tracer) else self.value
        result = bind(getitem, self, index=static_index(index))
        if getattr(result, "owner", None) is not None:
            result.key = (index, self)
        return result

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("key", "made") or isinstance(self.value, Tracer):
            raise AttributeError(f"an array that may hold traced values has no attribute {name!r}")
        return getattr(self.__array__(), name)

    def __repr__(self) -> str:
        return _shown(self.value, repr)

    def __str__(self) -> str:
        return _shown(self.value, str)

    def __format__(self, spec: str) -> str:
        return _shown(self.value, lambda content: format(content, spec))

    def __float__(self) -> float:
        return float(self.plain("float()"))

    def __int__(self) -> int:
        return int(self.plain("int()"))

    def __complex__(self) -> complex:
        return complex(self.plain("complex()"))

    def __index__(self) -> int:
        return self.plain("using as an index").__index__()  # type: ignore[no-any-return]

    def __hash__(self) -> int:
        raise TypeError("unhashable type: an array")

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[k] for k in range(self.shape[0]))  # one by one: the loop may write to what comes next

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return int(self.shape[0])

    def __reduce__(self) -> Any:
        return (Buffer, (self.plain("pickling"),))

    def item(self, *args: Any) -> Any:
        return self.plain("item()").item(*args)

    def tolist(self) -> Any:
        return self.plain("tolist()").tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        return self.plain("tobytes()").tobytes(order)  # type: ignore[no-any-return]


def _shown(content: Any, show: Any) -> str:
    return str(show(content)) if not isinstance(content, Tracer) else show(content)


def _any_traced(tree: Any) -> bool:
    """Whether arguments hold a traced value other than plain buffers."""
    if isinstance(tree, (list, tuple)):
        return any(_any_traced(x) for x in tree)
    if isinstance(tree, dict):
        return any(_any_traced(x) for x in tree.values())
    return isinstance(unwrap(tree), Tracer)


def _stripped(tree: Any) -> Any:
    """Arguments with the contents of buffers in their place."""
    if isinstance(tree, (list, tuple)):
        return type(tree)(_stripped(x) for x in tree)
    if isinstance(tree, dict):
        return {name: _stripped(x) for name, x in tree.items()}
    return unwrap(tree)


def _buffered(result: Any) -> Any:
    """Fresh arrays as buffers, which may be filled in turn."""
    if isinstance(result, tuple) and type(result) is tuple:
        return tuple(_buffered(r) for r in result)
    return Buffer(result) if isinstance(result, np.ndarray) and result.ndim else result


def unwrap(value: Any) -> Any:
    """The content of a `Buffer`, anything else as it is."""
    return value.value if value.__class__ is Buffer else value
