"""Derivative rules of sorting and searching: what moves elements to places that their values decide.

Everything works along the last axis, the others are rows. Places are integers, whose derivative is zero
wherever it exists; they are positional arguments, so that many rows at once have places of their own.
A sorted array is its argument gathered at the places `argsort` gives. Where elements are equal the order
among them is arbitrary: `level` makes the derivative the mean over the equal ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.core.batch import batching, every
from chainrule.core.define import linear
from chainrule.core.dispatch import Meta, bind, innermost, shape_of
from chainrule.core.linear import LinearMap, Slot
from chainrule.core.live import Masked, linear_live
from chainrule.core.primitive import Primitive, register
from chainrule.rules.elementwise import Samples

__all__ = [
    "argpartition",
    "argsort",
    "constant",
    "first_place",
    "gather",
    "level",
    "scatter",
    "searchsorted",
    "sort",
]


# -- integers that values decide ----------------------------------------------------------------------


def constant(name: str, impl: Callable[..., Any], batch: Callable[..., Any] | None = None) -> Primitive:
    """Define an operation whose derivative is zero wherever it exists; `batch` is its batched form."""
    made = register(Primitive(name, impl, (), tie="0, piecewise constant"))
    made.batch = batch
    return made


def leading(
    primitive: Primitive,
    values: tuple[Any, ...],
    batched: tuple[bool, ...],
    size: int,
    params: dict[str, Any],
) -> Any:
    """Batched form of what treats leading axes as rows."""
    return bind(primitive, *[every(v, b, size) for v, b in zip(values, batched, strict=True)], **params)


argsort = constant("argsort", lambda x, *, kind: np.argsort(x, -1, kind), leading)
argpartition = constant("argpartition", lambda x, *, kth: np.argpartition(x, kth, -1), leading)
first_place = constant("first_place", lambda x, *, function: function(x, -1), leading)
searchsorted = constant("searchsorted", lambda a, v, *, side: np.searchsorted(a, v, side))


# -- moves --------------------------------------------------------------------------------------------


def _at(index: Any) -> tuple[Any, ...]:
    """`index` along the last axis as an index of the whole array."""
    shape = np.shape(index)
    rows = [np.arange(n).reshape((n,) + (1,) * (len(shape) - k - 1)) for k, n in enumerate(shape[:-1])]
    return (*rows, index)


def _scatter(ct: Any, index: Any, *, size: int) -> Any:
    total = np.zeros((*np.shape(index)[:-1], size), ct.dtype)
    np.add.at(total, _at(index), ct)
    return total


def _samples(**params: Any) -> Any:
    def samples(rng: np.random.Generator) -> Samples:
        yield (rng.normal(size=3), np.array([2, 0, 2])), params
        yield (rng.normal(size=(2, 3)), np.array([[2, 0, 2], [1, 1, 1]])), params
        yield (rng.normal(size=(2, 0)), np.zeros((2, 0), np.intp)), params

    return samples


gather = linear(
    "gather",
    lambda x, index: x[_at(index)],
    lambda ct, x, index: scatter(ct, index, size=x.shape[-1]),
    None,
    zeros="transpose",
    samples=_samples(),
)
scatter = linear(
    "scatter_last",
    _scatter,
    lambda ct, x, index, *, size: gather(ct, index),
    None,
    zeros="apply",
    samples=_samples(size=4),
)


# -- ties ---------------------------------------------------------------------------------------------


class LevelSlot(Slot):
    __slots__ = ()

    def map(self, primitive: Any, index: int, y: Any, args: Any, params: Any, x: Meta, out: Meta) -> LinearMap:
        return Level(args[1], x.shape)


class Level(LinearMap):
    """The mean over the elements of equal label, for each of them: a symmetric map."""

    __slots__ = ("labels", "shape")

    def __init__(self, labels: Any, shape: tuple[int, ...]) -> None:
        self.labels = labels
        self.shape = shape

    def _mean(self, values: Any) -> Any:
        n = self.shape[-1]
        counts = scatter(np.ones(self.shape, np.intp), self.labels, size=n)
        counts = gather(counts, self.labels).astype(values.dtype)
        return gather(scatter(values, self.labels, size=n), self.labels) / counts

    def apply(self, tangent: Any) -> Any:
        return linear_live(self._mean, tangent) if tangent.__class__ is Masked else self._mean(tangent)

    def transpose(self, ct: Any, own: bool = False) -> Any:
        return self.apply(ct)

    @property
    def pattern(self) -> str:
        return "structural"


# Its value is its argument: elements of one label are equal, and their mean is each of them.
level = register(
    Primitive(
        "level",
        lambda x, labels: x.copy(),
        (LevelSlot(None, (False, False, True)), Slot(None, active=False)),
        tie="averaged over the tied positions",
    )
)
batching(argsort, argpartition, first_place, gather, scatter, level)(leading)


def sort(x: Any, kind: Any = None) -> Any:
    """`x` sorted along its last axis."""
    y = gather(x, argsort(x, kind=kind))
    if shape_of(y)[-1] < 2:
        return y
    changes = y[..., 1:] != y[..., :-1]
    if np.all(innermost(changes)):
        return y
    first = np.zeros((*shape_of(y)[:-1], 1), np.intp)
    labels = np.concatenate([first, np.cumsum(changes, axis=-1)], axis=-1)
    return level(y, labels)
