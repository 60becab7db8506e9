"""Containers of numbers and arrays, taken apart and put together again.

Comes in: any nesting of tuples, lists, dicts, named tuples, deques and dataclasses. Goes out: the list of its
leaves and a treedef that rebuilds the same containers around other leaves. A thin layer on `optree`, which is
imported on first use: functions of plain arrays never need it.

Holds: ``None``, strings and instances of unknown classes are leaves (the caller refuses those it cannot use);
dicts come back in their own order of insertion; a dataclass is registered, once per class object, when its
first instance is seen, and rebuilt without running ``__init__`` or ``__post_init__``, frozen or not. All its
fields are children, those of ``init=False`` too (as constants they would lose their derivative), except
``field(metadata={"static": True})``, which stay in the treedef. Other classes are registered by
``optree.register_pytree_node`` with ``namespace="chainrule"``.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from chainrule.errors import ArgumentError

if TYPE_CHECKING:
    from optree import PyTreeSpec

__all__ = ["flatten", "is_leaf_type", "map", "unflatten"]

Tree: TypeAlias = Any

_NAMESPACE = "chainrule"
_LEAVES = frozenset(
    {float, int, bool, complex, str, type(None), np.ndarray, np.float64, np.float32, np.int64, np.bool_}
)
_BUILTIN_CONTAINERS = (tuple, list, dict, deque)

_lock = threading.Lock()
_registered: set[type] = set()


def flatten(tree: Tree) -> tuple[list[Any], PyTreeSpec]:
    """Take a container apart.

    Parameters
    ----------
    tree : container or leaf
        Leaves of any class, shape and dtype; they are neither copied nor looked at.

    Returns
    -------
    leaves : list
        Depth first; values of a dict in the order of its sorted keys, fields of a dataclass in theirs.
    treedef : PyTreeSpec
        What `unflatten` needs; equal for containers of the same structure.

    Examples
    --------
    >>> from chainrule import trees
    >>> leaves, treedef = trees.flatten({"w": [1.0, None], "b": (2.0,)})
    >>> leaves
    [2.0, 1.0, None]
    >>> trees.unflatten(treedef, [20.0, 10.0, None])
    {'w': [10.0, None], 'b': (20.0,)}
    """
    return _optree().tree_flatten(tree, _register_on_sight, none_is_leaf=True, namespace=_NAMESPACE)  # type: ignore[no-any-return]


def unflatten(treedef: PyTreeSpec, leaves: list[Any]) -> Tree:
    """Put the containers described by ``treedef`` around ``leaves``, which are as many as `flatten` gave.

    Examples
    --------
    >>> from chainrule import trees
    >>> _, treedef = trees.flatten((1.0, [2.0]))
    >>> trees.unflatten(treedef, ["a", "b"])
    ('a', ['b'])
    """
    return _optree().tree_unflatten(treedef, leaves)


def map(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Apply ``f`` to each leaf of ``tree`` and the leaves at the same place of the other trees.

    Parameters
    ----------
    f : callable
        Takes one leaf of each tree.
    tree, *rest : container or leaf
        All of the same structure: the same containers, lengths, keys and classes.

    Returns
    -------
    container or leaf
        Like ``tree``, dicts in its order of insertion.

    Raises
    ------
    ArgumentError
        Where the structures differ.

    Examples
    --------
    >>> from chainrule import trees
    >>> trees.map(lambda x, y: x - 0.5 * y, {"w": 1.0, "b": 2.0}, {"b": 4.0, "w": 1.0})
    {'w': 0.5, 'b': 0.0}
    """
    leaves, treedef = flatten(tree)
    columns = [leaves, *(_leaves_like(treedef, other) for other in rest)]
    return unflatten(treedef, [f(*row) for row in zip(*columns, strict=True)])


def is_leaf_type(x: Any) -> bool:
    """Tell whether ``x`` is no container, without importing `optree` for numbers and arrays.

    Examples
    --------
    >>> from chainrule import trees
    >>> trees.is_leaf_type(None), trees.is_leaf_type([1.0])
    (True, False)
    """
    cls = type(x)
    if cls in _LEAVES or hasattr(cls, "__array_ufunc__"):
        return True
    if cls in _BUILTIN_CONTAINERS:
        return False
    _register_on_sight(x)
    return bool(_optree().tree_is_leaf(x, none_is_leaf=True, namespace=_NAMESPACE))


@cache
def _optree() -> ModuleType:
    import optree

    return optree


def _leaves_like(treedef: PyTreeSpec, tree: Tree) -> list[Any]:
    leaves, other = flatten(tree)
    try:
        same = bool(treedef == other)
    except ValueError:  # static fields that are different arrays
        same = False
    if not same:
        raise ArgumentError(f"The containers differ in structure: {treedef} against {other}.")
    return leaves


def _register_on_sight(x: Any) -> bool:
    """Register the class of ``x`` if it is a new dataclass; as a predicate for optree: no leaf by itself."""
    cls = type(x)
    if hasattr(cls, "__dataclass_fields__") and cls not in _registered:
        _register(cls)
    return False


def _register(cls: type) -> None:
    with _lock:
        if cls in _registered:
            return
        optree = _optree()
        taken = optree.register_pytree_node.get(cls, namespace=_NAMESPACE) is not None
        if not (taken or _is_array_or_builtin(cls)):
            optree.register_pytree_node(
                cls, *_flattening(cls), path_entry_type=optree.GetAttrEntry, namespace=_NAMESPACE
            )
        _registered.add(cls)


def _is_array_or_builtin(cls: type) -> bool:
    """Dataclasses that act as arrays are leaves; what a subclass of dict holds is not in its fields."""
    return hasattr(cls, "__array_ufunc__") or issubclass(cls, _BUILTIN_CONTAINERS)


def _flattening(cls: type) -> tuple[Callable[..., Any], Callable[..., Any]]:
    fields = dataclasses.fields(cls)
    static = [field.name for field in fields if field.metadata.get("static", False)]
    names = [field.name for field in fields if field.name not in static]

    def take_apart(x: Any) -> tuple[list[Any], tuple[Any, ...], tuple[str, ...]]:
        present = tuple(name for name in names if hasattr(x, name))  # fields of init=False may not be set
        constants = tuple((name, getattr(x, name)) for name in static if hasattr(x, name))
        return [getattr(x, name) for name in present], (present, constants), present

    def put_together(kept: tuple[Any, ...], children: tuple[Any, ...]) -> Any:
        present, constants = kept
        x: Any = object.__new__(cls)
        for name, value in (*zip(present, children, strict=True), *constants):
            object.__setattr__(x, name, value)  # as the generated __init__ of frozen dataclasses does
        return x

    return take_apart, put_together
