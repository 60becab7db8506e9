"""The differentiable leaves of arguments and results.

Going in, an argument (a number, an array, or a nesting of containers) becomes a list of values to trace
and the knowledge of how to build the argument again; coming out, cotangents take the shape, dtype and
container of their primals. Plain numbers and arrays take a short road without trees.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.arrays.buffers import unwrap
from chainrule.core.dispatch import Tracer, dtype_of, innermost, shape_of
from chainrule.core.linear import cast
from chainrule.core.live import dense
from chainrule.core.memory import copied
from chainrule.errors import AliasError, ArgumentError, lost, user_line

__all__ = [
    "Leaf",
    "Point",
    "build",
    "checked",
    "differentiable_leaves",
    "is_plain",
    "is_plain_call",
    "is_single",
    "result_leaves",
]

_FLOAT64 = np.dtype(np.float64)


def is_single(value: Any) -> bool:
    """Whether `value` is one leaf."""
    return trees.is_leaf_type(value)


def is_plain(value: Any) -> bool:
    """Whether `value` is a float or an array of float64 of at least one dimension."""
    kind = value.__class__
    return kind is float or (kind is np.ndarray and value.dtype is _FLOAT64 and value.ndim > 0)


def is_plain_call(args: tuple[Any, ...], n: int) -> bool:
    """Whether argument `n` is plain and no other one holds arrays."""
    if len(args) == 1:
        return n == 0 and is_plain(args[0])
    return (
        0 <= n < len(args) and is_plain(args[n]) and not any(a.__class__ in _HOLDERS for a in args[:n] + args[n + 1 :])
    )


class Leaf:
    """One leaf of an argument: the value to trace, or none if it is static, and what it was."""

    __slots__ = ("active", "given", "value")

    def __init__(self, given: Any, name: Callable[[], str], top: bool) -> None:
        self.given = given
        if is_plain(given):
            self.value = given
            self.active = True
        else:
            self.value = _traceable(given, name, top)
            self.active = self.value is not None

    def restore(self, ct: Any) -> Any:
        """A cotangent (None: zero) in the shape, dtype and container of the leaf."""
        given = self.given
        if not self.active:
            return 0.0 if isinstance(given, (int, np.bool_, np.ndarray)) else None
        if ct.__class__ is np.ndarray and ct.dtype is _FLOAT64 and ct.base is None and self.value is given:
            return ct
        if ct is None:
            ct = np.zeros(shape_of(self.value), dtype_of(self.value))
            ct = ct if ct.ndim else ct[()]
        ct = dense(ct)
        if isinstance(ct, Tracer):
            return ct
        kind = given.__class__
        if kind is float or kind is int:
            return float(ct)
        if kind is complex:
            return complex(ct)
        ct = cast(ct, dtype_of(self.value))
        if isinstance(given, np.ndarray):
            ct = np.asarray(ct)
            if ct.shape != given.shape:
                ct = np.broadcast_to(ct, given.shape)
            return ct if ct.flags.writeable and ct.base is None else ct.copy()
        return ct[()] if isinstance(ct, np.ndarray) and not ct.ndim else ct


def _traceable(given: Any, name: Callable[[], str], top: bool) -> Any:
    """The value to trace for a leaf; None for a static one."""
    kind = given.__class__
    if kind is np.ndarray:
        return _traceable_array(given, name, top)
    if kind is float or kind is complex:
        return given
    if isinstance(given, Tracer):
        value = unwrap(given)
        if isinstance(value, np.ndarray):
            return _traceable_array(value, name, top)
        return value
    if isinstance(given, (bool, np.bool_, str, bytes, type(None))) or (kind is int and not top):
        if top:
            raise ArgumentError(
                f"{name()} is {given!r}: a derivative with respect to a value of type {kind.__name__} does not "
                "exist. Choose the differentiated arguments with argnums, or pass a number or an array of numbers."
            )
        return None
    if isinstance(given, np.generic) and given.dtype.kind in "fciu":
        return given if given.dtype.kind in "fc" else np.float64(given)
    if kind is int:
        return float(given)
    if isinstance(given, np.memmap):
        return _traceable_array(given.view(np.ndarray), name, top)
    raise ArgumentError(
        f"{name()} has the type {kind.__module__}.{kind.__qualname__}, which chainrule does not know as a number, an "
        "array or a container. Pass NumPy arrays, tuples, lists, dicts, named tuples or dataclasses of them."
    )


def _traceable_array(given: Any, name: Callable[[], str], top: bool) -> Any:
    kind = given.dtype.kind
    if kind in "iu":
        given = given.astype(np.float64)
    elif kind not in "fc":
        if kind == "b" and not top:
            return None
        raise ArgumentError(
            f"{name()} is an array of dtype {given.dtype}: derivatives exist with respect to floating-point, integer "
            "(promoted to float64) and complex arrays"
        )
    return given if given.ndim else given[()]


def _leaf_of(name: Callable[[int], str], k: int) -> str:
    return f"a leaf of {name(k)}"


class Point:
    """The differentiated arguments of one call."""

    __slots__ = ("_specs", "leaves")

    def __init__(self, arguments: Sequence[Any], name: Callable[[int], str]) -> None:
        self.leaves: list[Leaf] = []
        self._specs: list[tuple[int, Any]] = []
        for k, argument in enumerate(arguments):
            if is_single(argument):
                self.leaves.append(Leaf(argument, functools.partial(name, k), True))
                self._specs.append((1, None))
                continue
            parts, treedef = trees.flatten(argument)
            describe = functools.partial(_leaf_of, name, k)
            self.leaves.extend(Leaf(part, describe, False) for part in parts)
            self._specs.append((len(parts), treedef))

    @property
    def values(self) -> list[Any]:
        """The values to trace, one per active leaf."""
        return [leaf.value for leaf in self.leaves if leaf.active]

    def rebuild(self, values: Sequence[Any]) -> list[Any]:
        """The arguments with `values` in the place of their active leaves."""
        supply = iter(values)
        return self._assemble([next(supply) if leaf.active else leaf.given for leaf in self.leaves])

    def restore(self, cts: Sequence[Any], taken: Sequence[Any] = ()) -> list[Any]:
        """The derivatives in the structure of the arguments, from those of the active leaves."""
        supply = iter(cts)
        parts = [leaf.restore(next(supply) if leaf.active else None) for leaf in self.leaves]
        return self._assemble(distinct(parts, taken))

    def map(self, function: Callable[[int], Any]) -> list[Any]:
        """The arguments' structure with ``function(k)`` for the k-th active leaf."""
        count = sum(leaf.active for leaf in self.leaves)
        supply = iter([function(k) for k in range(count)])
        return self._assemble([next(supply) if leaf.active else leaf.restore(None) for leaf in self.leaves])

    def _assemble(self, parts: list[Any]) -> list[Any]:
        if len(parts) == len(self._specs) and all(treedef is None for _, treedef in self._specs):
            return parts
        built, start = [], 0
        for count, treedef in self._specs:
            span = parts[start : start + count]
            built.append(span[0] if treedef is None else trees.unflatten(treedef, span))
            start += count
        return built

    def tangents(self, given: Sequence[Any], name: Callable[[int], str], what: str = "tangent") -> list[Any]:
        """The tangents of the active leaves, from what the user gave; mismatches raise."""
        flat: list[Any] = []
        for k, ((count, treedef), tangent) in enumerate(zip(self._specs, given, strict=True)):
            if treedef is None:
                flat.append(tangent)
                continue
            try:
                parts, other = trees.flatten(tangent)
            except ValueError as error:
                raise ArgumentError(f"the {what} of {name(k)} cannot be read: {error}") from error
            if len(parts) != count or treedef != other:
                raise ArgumentError(f"the {what} of {name(k)} has not the structure of its primal")
            flat.extend(parts)
        return [
            checked(tangent, leaf.value, what) for tangent, leaf in zip(flat, self.leaves, strict=True) if leaf.active
        ]


def distinct(parts: list[Any], taken: Sequence[Any]) -> list[Any]:
    """`parts`, copied where one is another's array or one of those `taken`, so that the user may write to each."""
    seen = {id(array) for array in taken}
    result = []
    for part in parts:
        result.append(part.copy() if part.__class__ is np.ndarray and id(part) in seen else part)
        seen.add(id(part))
    return result


def checked(tangent: Any, primal: Any, what: str) -> Any:
    """`tangent` as an array like `primal`; another shape raises."""
    tangent = unwrap(tangent)
    if not isinstance(tangent, (Tracer, np.ndarray, np.generic, float)):
        tangent = np.asarray(tangent)
    if dtype_of(tangent).kind not in "fciub":
        raise ArgumentError(f"a {what} has dtype {dtype_of(tangent)}: it must be numeric")
    if shape_of(tangent) != shape_of(primal):
        raise ArgumentError(f"a {what} has shape {shape_of(tangent)} where its primal has shape {shape_of(primal)}")
    if isinstance(tangent, np.ndarray) and not tangent.ndim:
        tangent = tangent[()]
    if dtype_of(primal).kind != "c" and dtype_of(tangent).kind == "c":
        raise ArgumentError(f"a {what} is complex where its primal is real")
    if tangent.__class__ is float and primal.__class__ is float:
        return tangent
    return cast(tangent, dtype_of(primal))


def result_leaves(result: Any) -> tuple[list[Any], Any]:
    """The leaves of a function's result and its structure (None for a single leaf)."""
    if is_single(result):
        return [unwrap(result)], None
    leaves, treedef = trees.flatten(result)
    return [unwrap(leaf) for leaf in leaves], treedef


_RESULTS = frozenset({float, int, bool, complex, str, bytes, type(None), np.ndarray, np.float64})


def differentiable_leaves(result: Any) -> tuple[list[Any], Any]:
    """`result_leaves` of what is differentiated; what may hide traced values raises."""
    leaves, structure = result_leaves(result)
    for leaf in leaves:
        kind = leaf.__class__
        if kind in _RESULTS:
            if kind is np.ndarray and leaf.dtype.kind == "O" and any(isinstance(x, Tracer) for x in leaf.flat):
                raise lost("returning traced values in an array of objects", "Join them by chainrule.numpy.array.")
        elif not isinstance(leaf, (Tracer, np.generic)) and not hasattr(kind, "__array_function__"):
            raise ArgumentError(
                f"the function returns an object of type {kind.__module__}.{kind.__qualname__}, which chainrule does "
                "not know as a number, an array or a container. Return tuples, lists, dicts, named tuples or "
                "dataclasses of arrays, or use has_aux=True."
            )
    return leaves, structure


def build(treedef: Any, leaves: list[Any]) -> Any:
    """The inverse of `result_leaves`."""
    return leaves[0] if treedef is None else trees.unflatten(treedef, leaves)


class Privates:
    """The arguments of one call that carry no derivative: `f` gets copies of their arrays, and writes those.

    An array that shares memory with a differentiated argument is handed over as it is, so that inner
    transformations see that it does; if it is written it is restored, and `check` raises.
    """

    __slots__ = ("_inputs", "_shared")

    def __init__(self, inputs: Sequence[Any]) -> None:
        self._inputs = [x for x in map(innermost, inputs) if isinstance(x, np.ndarray)]
        self._shared: list[tuple[Any, Any]] = []

    def copy(self, argument: Any) -> Any:
        """`argument` with private copies of the arrays in it."""
        kind = argument.__class__
        if kind is np.ndarray:
            return self._copy_array(argument) if argument.flags.writeable else argument
        if kind is tuple or kind is list or kind is dict:
            parts = argument.values() if kind is dict else argument
            if any(part.__class__ in _HOLDERS for part in parts):
                if kind is dict:
                    return {key: self.copy(part) for key, part in argument.items()}
                return kind(self.copy(part) for part in argument)
        return argument

    def _copy_array(self, array: Any) -> Any:
        copy = copied(array) if array.flags.c_contiguous else array.copy("K")
        if any(np.may_share_memory(array, x) for x in self._inputs):
            self._shared.append((array, copy))
            return array
        return copy

    def check(self) -> None:
        """Raise if an array was written that shares memory with a differentiated argument."""
        for array, before in self._shared:
            if array.tobytes() != before.tobytes():
                array[...] = before
                raise AliasError(
                    f"an array that is written shares memory with a differentiated argument (at {user_line()}); "
                    "pass a copy of one of them"
                )


_HOLDERS = frozenset({np.ndarray, tuple, list, dict})
