"""Reading and writing by index, as linear maps.

``getitem`` reads, ``set_item(v, x)`` is x with v written at an index (functionally: `arrays.buffers`
makes writes of it), ``scatter`` is the transpose of reading. Indices are static. A written element is a
structural zero for what was there before; an element nothing was read from is one for the reader.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.core.batch import Rows
from chainrule.core.define import linear
from chainrule.core.dispatch import Meta, Tracer
from chainrule.core.linear import LinearMap, Slot, cast, fit
from chainrule.core.live import Live, Masked, dense
from chainrule.core.primitive import Primitive, register
from chainrule.core.views import private
from chainrule.errors import lost

__all__ = ["Marks", "getitem", "is_basic", "scatter", "set_item", "static_index"]

_BASIC = (int, slice, type(None), type(...), np.integer)


def is_basic(index: Any) -> bool:
    """Whether NumPy answers `index` with a view or a number."""
    if index.__class__ is tuple:
        return all(isinstance(i, _BASIC) and i.__class__ is not bool for i in index)
    return isinstance(index, _BASIC) and index.__class__ is not bool


def static_index(index: Any) -> Any:
    """`index` with its arrays copied, since the program may overwrite them; traced indices raise."""
    if index.__class__ is int or index.__class__ is slice:
        return index
    if index.__class__ is tuple:
        return tuple(static_index(i) for i in index)
    if isinstance(index, Tracer):
        if isinstance(index, Rows):  # every row has its own index
            index.decide()
        if index.dtype.kind in "biu":
            index = index.value
            if not isinstance(index, Tracer):
                return static_index(index)
        raise lost("indexing with a traced value", "Indices are integers; use chainrule.stop_gradient.")
    if isinstance(index, np.ndarray):
        return index.copy()
    if isinstance(index, list):
        return np.array([static_index(i) for i in index], dtype=None if index else np.intp)
    return index


# -- structural zeros of arrays that are written to ---------------------------------------------------


class Log:
    """What was written, in order, and the mask after the first so many of the writes."""

    __slots__ = ("known", "writes")

    def __init__(self, writes: list[Any]) -> None:
        self.writes = writes
        self.known: tuple[int, Any] = (0, None)


class Marks(Live):
    """A live set described by a log of writes, so that a loop of writes costs no nesting.

    Sets share one growing log; each sees its own prefix.
    """

    __slots__ = ("_base", "_count", "_log", "_shape")

    def __init__(self, shape: tuple[int, ...], base: Any, log: Log | None = None, count: int = 0) -> None:
        self._mask = None
        self._shape = shape
        self._base = base  # True, False or a live set
        self._log = Log([]) if log is None else log
        self._count = count

    @classmethod
    def of(cls, value: Any, shape: tuple[int, ...]) -> Marks:
        """The live set of a (co)tangent, None being a zero."""
        if value.__class__ is not Masked:
            return cls(shape, value is not None)
        return value.live if value.live.__class__ is cls else cls(shape, value.live)

    def extended(self, index: Any, live: Any, union: bool = False) -> Marks:
        """This set with the elements at `index` set to `live` (a bool or a live set), or joined with it."""
        log = self._log
        if self._count != len(log.writes):
            log = Log(log.writes[: self._count])
        log.writes.append((index, live, union))
        return Marks(self._shape, self._base, log, len(log.writes))

    def _start(self) -> tuple[int, Any]:
        # Sets of one log are asked for one after the other: each starts from the mask of the last one.
        count, mask = self._log.known
        return (0, None) if mask is None or count > self._count else (count, mask)

    def missing(self) -> list[Live]:
        if self.known:
            return []
        count, mask = self._start()
        sets = [live for _, live, _ in self._log.writes[count : self._count]]
        if mask is None:
            sets.append(self._base)
        return [live for live in sets if isinstance(live, Live) and not live.known]

    def settle(self) -> None:
        if self.known:
            return
        count, mask = self._start()
        if mask is None:
            base = self._base
            mask = base() if isinstance(base, Live) else np.full(self._shape, base)
        if count < self._count:
            mask = mask & True
        for index, live, union in self._log.writes[count : self._count]:
            mask = _marked(mask, index, live() if isinstance(live, Live) else live, union)
        self._log.known = (self._count, mask)
        self._mask = mask


def _marked(mask: Any, index: Any, live: Any, union: bool) -> Any:
    if isinstance(mask, Tracer) or isinstance(live, Tracer):
        if union:
            return mask | (scatter(live, indices=(index,), shape=mask.shape, dtype=np.dtype(np.float64)) != 0)
        return set_item(live, mask, index=index, donate=False)
    if union:
        np.logical_or.at(mask, index, live)
    else:
        mask[index] = live
    return mask


# -- reading ------------------------------------------------------------------------------------------


class GetItemSlot(Slot):
    __slots__ = ()

    def map(self, primitive: Any, index: int, y: Any, args: Any, params: Any, x: Meta, out: Meta) -> LinearMap:
        return GetItem(params["index"], x)


class GetItem(LinearMap):
    """Reading at an index."""

    __slots__ = ("index", "x")

    def __init__(self, index: Any, x: Meta) -> None:
        self.index = index
        self.x = x

    def apply(self, tangent: Any) -> Any:
        index = self.index
        if tangent.__class__ is Masked:
            return Masked(getitem(tangent.value, index=index), lambda live: getitem(live, index=index), tangent.live)
        return getitem(tangent, index=index)

    def transpose(self, ct: Any, own: bool = False) -> Any:
        value = scatter(dense(ct), indices=(self.index,), shape=self.x.shape, dtype=self.x.dtype)
        live = ct.live if ct.__class__ is Masked else True
        return Masked(value, Marks(self.x.shape, False).extended(self.index, live, union=True))

    @property
    def unique(self) -> bool:
        """Whether the index names no element twice."""
        index = self.index
        parts = index if index.__class__ is tuple else (index,)
        return all(
            isinstance(i, _BASIC) or (isinstance(i, (bool, np.bool_, np.ndarray)) and np.asarray(i).dtype == bool)
            for i in parts
        )

    @property
    def pattern(self) -> str:
        return "structural"


def _getitem(x: Any, *, index: Any) -> Any:
    return x[index]


def _index_samples(rng: np.random.Generator, last: int = 1) -> Any:
    """Arrays and indices of every kind: basic, advanced (repeated, unless `last` is 2), masks, mixed, empty."""
    for index in (1, (slice(None), -1), (..., None, slice(1, None, -1)), np.array([1, 0, last]), np.eye(3, 2) == 1):
        yield rng.normal(size=(3, 2)), index
    yield rng.normal(size=(3, 3, 2)), (np.array([0, 1, last]), slice(0, 2), np.array([1, 0, 0]))
    yield rng.normal(size=3), np.array([], np.intp)


def _getitem_samples(rng: np.random.Generator) -> Any:
    for x, index in _index_samples(rng):
        yield (x,), {"index": index}


getitem = register(
    Primitive("getitem", _getitem, (GetItemSlot(None),), kind="index", views=True, samples=_getitem_samples)
)


def _scatter(*cts: Any, indices: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    total = np.zeros(shape, dtype)
    for index, ct in zip(indices, cts, strict=True):
        np.add.at(total, index, ct)
    return total


def _scatter_samples(rng: np.random.Generator) -> Any:
    for x, index in _index_samples(rng):
        cts = rng.normal(size=x[index].shape), rng.normal(size=x[..., 0].shape)
        yield cts, {"indices": (index, (..., 0)), "shape": x.shape, "dtype": x.dtype}


scatter = linear(
    "scatter",
    _scatter,
    lambda ct, k, *cts, indices, shape, dtype: getitem(ct, index=indices[k]),
    variadic=True,
    zeros="apply",
    samples=_scatter_samples,
)


# -- writing ------------------------------------------------------------------------------------------


class Written(LinearMap):
    """From what is written to the array it is written into."""

    __slots__ = ("index", "v", "x")
    fresh = True

    def __init__(self, index: Any, v: Meta, x: Meta) -> None:
        self.index = index
        self.v = v
        self.x = x

    def apply(self, tangent: Any) -> Any:
        return _push_set_item((None, self.x), (tangent, None), {"index": self.index}, self.x)

    def transpose(self, ct: Any, own: bool = False) -> Any:
        index = self.index
        value = getitem(dense(ct), index=index)
        value = value.copy() if value.__class__ is np.ndarray else value
        if ct.__class__ is Masked:
            return fit(Masked(value, lambda live: getitem(live, index=index), ct.live), self.v)
        return fit(value, self.v)

    @property
    def pattern(self) -> str:
        return "structural"


class Kept(LinearMap):
    """From an array to what a write leaves of it."""

    __slots__ = ("index", "x")
    fresh = True

    def __init__(self, index: Any, x: Meta) -> None:
        self.index = index
        self.x = x

    def apply(self, tangent: Any) -> Any:
        return _push_set_item((None, self.x), (None, tangent), {"index": self.index}, self.x)

    def transpose(self, ct: Any, own: bool = False) -> Any:
        value = set_item(np.zeros((), self.x.dtype), dense(ct), index=self.index, donate=own)
        return Masked(value, Marks.of(ct, self.x.shape).extended(self.index, False))

    @property
    def pattern(self) -> str:
        return "structural"


class SetItemSlot(Slot):
    __slots__ = ()
    wants_meta = True

    def map(self, primitive: Any, index: int, y: Any, args: Any, params: Any, x: Meta, out: Meta) -> LinearMap:
        return Written(params["index"], x, out) if index == 0 else Kept(params["index"], out)


def _set_item(v: Any, x: Any, *, index: Any, donate: bool = False) -> Any:
    y = x if donate else private(x)
    y[index] = v
    return y


def _push_set_item(values: Any, tangents: Any, params: dict[str, Any], out: Meta) -> Any:
    index, (change, base) = params["index"], tangents
    donate = params.get("donate", False) and base is not None
    if base is None:
        base_value = np.zeros(out.shape, out.dtype)
    else:
        base_value = cast(dense(base), out.dtype)
    v = np.zeros((), out.dtype) if change is None else dense(change)
    live: Any = change.live if change.__class__ is Masked else change is not None
    result = set_item(v, base_value, index=index, donate=donate or base is None)
    return Masked(result, Marks.of(base, out.shape).extended(index, live))


def _set_item_samples(rng: np.random.Generator) -> Any:
    for x, index in _index_samples(rng, 2):  # `arrays.buffers` makes indices distinct
        yield (rng.normal(size=x[index].shape), x), {"index": index}
        yield (rng.normal(), x), {"index": index}


set_item = register(
    Primitive(
        "set_item",
        _set_item,
        (SetItemSlot(None), SetItemSlot(None)),
        kind="index",
        joint=_push_set_item,
        samples=_set_item_samples,
    )
)
