"""`vmap`: a function of one row applied to many rows at once, see `core.batch`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.arrays.buffers import set_traced, unwrap
from chainrule.core.batch import Batch, Rows, RowsControlFlowError
from chainrule.core.dispatch import shape_of
from chainrule.core.transformation import mark
from chainrule.errors import ArgumentError, name_of
from chainrule.leaves import build, differentiable_leaves, result_leaves

__all__ = ["vmap"]


def _replace(self: Rows, value: Any) -> None:
    set_traced(self, ..., value)


Rows.set = set_traced  # type: ignore[attr-defined]
Rows.replace = _replace  # type: ignore[attr-defined]


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """Apply a function to the rows of its arguments in one vectorised evaluation.

    Parameters
    ----------
    f : callable
        A function of one row.
    in_axes : int, None, or a tuple of them with one entry per positional argument
        The axis that is mapped over; None for an argument that all rows share. An entry may be a container
        of the argument's structure. Keyword arguments are mapped along their first axis.
    out_axes : int, None, or a container of them in the structure of the result
        Where the mapped axis appears in the result.

    Returns
    -------
    callable
        A function of all rows. If `f` takes decisions on values (``if x > 0``), it is run row by row.

    Raises
    ------
    ArgumentError
        If the mapped axes have different lengths or do not exist.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> cr.vmap(np.dot)(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([1., 4.])
    >>> cr.vmap(cr.grad(lambda x: np.sin(x) if x > 0 else x))(np.array([0.0, -1.0]))
    array([1., 1.])
    """
    if not callable(f):
        raise ArgumentError(f"vmap takes a function, not {type(f).__name__}")

    @functools.wraps(f)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        axes = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        if len(axes) != len(args):
            raise ArgumentError(f"vmap: in_axes has {len(axes)} entries for {len(args)} arguments")
        leaves, structure = trees.flatten((list(args), kwargs))
        places = _prefix((list(axes), dict.fromkeys(kwargs, 0)), (list(args), kwargs))
        columns = [_leading(unwrap(x), axis) for x, axis in zip(leaves, places, strict=True)]
        size = _common_size(columns, places, f)
        outs, shape = _run(f, columns, places, structure, size)
        wanted = _prefix(out_axes, build(shape, outs) if shape is not None else outs[0])
        return build(shape, [_place(y, axis) for y, axis in zip(outs, wanted, strict=True)])

    return mark(mapped, "vmap", f, in_axes=in_axes, out_axes=out_axes)


def _prefix(axes: Any, tree: Any) -> list[Any]:
    """One axis per leaf of `tree`, from a prefix of it."""
    if axes is None or isinstance(axes, (int, np.integer)):
        return [axes] * len(result_leaves(tree)[0])
    children = _children(tree)
    parts = _children(axes)
    keyed = isinstance(axes, dict) or isinstance(tree, dict)
    if children is None or parts is None or len(parts) != len(children) or (keyed and set(axes) != set(tree)):
        raise ArgumentError("vmap: the axes do not have the structure of what they describe")
    return [axis for part, child in zip(parts, children, strict=True) for axis in _prefix(part, child)]


def _children(tree: Any) -> list[Any] | None:
    if isinstance(tree, dict):
        return [tree[key] for key in sorted(tree)]
    if isinstance(tree, (tuple, list)):
        return list(tree)
    return None


def _leading(x: Any, axis: Any) -> Any:
    """`x` with the mapped axis first."""
    if axis is None:
        return x
    if not isinstance(axis, (int, np.integer)) or not -len(shape_of(x)) <= axis < len(shape_of(x)):
        raise ArgumentError(f"vmap: axis {axis!r} of an argument of shape {shape_of(x)} does not exist")
    x = x if hasattr(x, "shape") else np.asarray(x)
    return np.moveaxis(x, axis, 0) if axis else x


def _common_size(columns: list[Any], places: list[Any], f: Callable[..., Any]) -> int:
    sizes = {shape_of(x)[0] for x, axis in zip(columns, places, strict=True) if axis is not None}
    if len(sizes) != 1:
        found = "no mapped argument" if not sizes else f"mapped axes of lengths {sorted(sizes)}"
        raise ArgumentError(f"vmap of {name_of(f)}: {found}; it needs one common length")
    return int(sizes.pop())


def _run(
    f: Callable[..., Any], columns: list[Any], places: list[Any], structure: Any, size: int
) -> tuple[list[Any], Any]:
    """The leaves of the result with the mapped axis first, and their structure."""
    batch = Batch(size)
    try:
        rows = [x if axis is None else _row(x, batch) for x, axis in zip(columns, places, strict=True)]
        args, kwargs = build(structure, rows)
        outs, shape = differentiable_leaves(f(*args, **kwargs))
    except (RowsControlFlowError, ValueError) as error:
        reason = error.__cause__ if isinstance(error, ValueError) else error
        if not isinstance(reason, RowsControlFlowError) or reason.batch is not batch:
            raise
        return _one_by_one(f, columns, places, structure, size)
    finally:
        batch.open = False
    return [_all_rows(y, batch) for y in outs], shape


def _row(x: Any, batch: Batch) -> Rows:
    return Rows(x, batch)


def _all_rows(y: Any, batch: Batch) -> Any:
    if isinstance(y, Rows) and y.batch is batch:
        return y.value
    return np.broadcast_to(y, (batch.size, *shape_of(y)))


def _one_by_one(
    f: Callable[..., Any], columns: list[Any], places: list[Any], structure: Any, size: int
) -> tuple[list[Any], Any]:
    results = []
    for k in range(size):
        args, kwargs = build(
            structure, [x if axis is None else _single(x, k) for x, axis in zip(columns, places, strict=True)]
        )
        results.append(differentiable_leaves(f(*args, **kwargs)))
    if not results:
        raise ArgumentError(f"vmap of {name_of(f)} over no rows: its result is not known")
    return [np.stack(column) for column in zip(*[r[0] for r in results], strict=True)], results[0][1]


def _single(x: Any, k: int) -> Any:
    """One row; a copy of the caller's, since the function may write to it."""
    row = x[k]
    return row.copy() if row.__class__ is np.ndarray else row


def _place(y: Any, axis: Any) -> Any:
    if axis is None:
        return y[0]
    return np.moveaxis(y, 0, axis) if axis else y
