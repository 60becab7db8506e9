"""The closed set of linear maps, and the slots of a rule that make them.

A linear map takes a small change of one argument to a change of the output. Forward mode calls
``apply`` with a tangent, reverse mode calls ``transpose`` with a cotangent, sparsity detection asks
``pattern``. Tangents and cotangents are arrays, traced arrays (at higher orders, or many at once), or
`Masked` ones. Maps use Python operators and NumPy functions only, which traced values answer.

Broadcasting and dtypes are undone here and nowhere else: the transpose of an elementwise map ends in a
sum to the argument's shape and a cast to its dtype, so that no rule ever mentions either. The transpose
is the adjoint under Re<u, v>: it conjugates, and the cotangent of a real argument is real.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.core.dispatch import Meta, Tracer, dtype_of, shape_of
from chainrule.core.live import Masked, dense, finite, linear_live, product

__all__ = [
    "LARGE",
    "Conjugate",
    "Constant",
    "Factor",
    "General",
    "Linear",
    "LinearMap",
    "Scale",
    "Select",
    "Selection",
    "Slot",
    "Wirtinger",
    "derive",
    "fit",
]


class Slot:
    """What the derivative of a primitive does in one argument: a factory of linear maps.

    ``reads`` says which of ``(output, *arguments)`` the maps keep; None means all of them.
    """

    __slots__ = ("active", "reads", "statement")
    wants_meta = False  # of the arguments that are not kept, shape and dtype

    def __init__(self, statement: Any, reads: tuple[bool, ...] | None = (), active: bool = True) -> None:
        self.statement = statement
        self.reads = reads
        self.active = active

    def map(
        self, primitive: Any, index: int, y: Any, args: tuple[Any, ...], params: dict[str, Any], x: Meta, out: Meta
    ) -> LinearMap | None:
        """The map at a point, or None if it is zero there."""
        raise NotImplementedError


class LinearMap:
    """A linear map from changes of an argument to changes of an output."""

    __slots__ = ()
    # Whether `transpose` returns memory that nobody else holds, given that it was handed such memory.
    fresh = False

    def apply(self, tangent: Any) -> Any:
        raise NotImplementedError

    def transpose(self, ct: Any, own: bool = False) -> Any:
        """Pull `ct` back; with `own` the map may overwrite it."""
        raise NotImplementedError

    @property
    def pattern(self) -> str:
        """``"diagonal"`` (up to broadcasting), ``"structural"`` (moves and sums) or ``"dense"``."""
        return "dense"


def expand(value: Any, like: Meta | None) -> Any:
    """Broadcast a tangent to the shape of the output and cast it to its dtype."""
    if like is None:
        return value
    if value.__class__ is Masked:
        return linear_live(lambda v: np.broadcast_to(v, like.shape), value)
    if shape_of(value) != like.shape:
        value = np.broadcast_to(value, like.shape)
    return cast(value, like.dtype)


def fit(value: Any, like: Meta | None) -> Any:
    """Sum a cotangent to the shape of the argument and cast it to its dtype."""
    if like is None:
        return value
    if value.__class__ is Masked:
        if shape_of(value.value) != like.shape:
            value = linear_live(lambda v: _sum_to(v, like.shape), value)
        return Masked(cast(value.value, like.dtype), value.live)
    if shape_of(value) != like.shape:
        value = _sum_to(value, like.shape)
    return value if value.__class__ is np.ndarray and value.dtype is like.dtype else cast(value, like.dtype)


def cast(value: Any, dtype: np.dtype[Any]) -> Any:
    """`value` in `dtype`; the imaginary part of what belongs to a real argument is dropped."""
    have = dtype_of(value)
    if have == dtype:
        return value
    if have.kind == "c" and dtype.kind != "c":
        value = np.real(value)
    if hasattr(value, "astype"):
        return value.astype(dtype)
    return dtype.type(value)


def _sum_to(value: Any, shape: tuple[int, ...]) -> Any:
    have = shape_of(value)
    lead = len(have) - len(shape)
    if value.__class__ is np.ndarray and shape == have[lead:] and shape:
        return np.add.reduce(value, axis=tuple(range(lead)))
    axes = tuple(range(lead)) + tuple(lead + k for k, n in enumerate(shape) if n == 1 and have[lead + k] != 1)
    total = np.sum(value, axis=axes, keepdims=True) if axes else value
    return np.reshape(total, shape) if lead else total


# -- elementwise maps ---------------------------------------------------------------------------------


class Wirtinger:
    """The two partials of a function that is not holomorphic: with respect to z and to conj(z)."""

    __slots__ = ("partial", "partial_conj", "real")

    def __init__(self, real: Any, partial: Any, partial_conj: Any) -> None:
        self.real = real  # the partial where the argument is real
        self.partial = partial
        self.partial_conj = partial_conj


class Selection:
    """A partial whose zeros are structural: the share of an element in what selects one."""

    __slots__ = ("share",)

    def __init__(self, share: Any) -> None:
        self.share = share


class ElementwiseSlot(Slot):
    __slots__ = ()

    def map(
        self, primitive: Any, index: int, y: Any, args: tuple[Any, ...], params: dict[str, Any], x: Meta, out: Meta
    ) -> LinearMap | None:
        partial: Any = self.statement
        same = x.shape == out.shape and x.dtype == out.dtype
        like_x, like_y = (None, None) if same else (x, out)
        if partial.__class__ is Wirtinger:
            if x.dtype.kind == "c":
                return Conjugate(partial, y, args, out.dtype, like_x, like_y)  # type: ignore[arg-type]
            partial = partial.real
        if partial.__class__ is Selection:
            return Select(partial.share, y, args, out.dtype, like_x, like_y)
        if partial is None:
            return None
        if not callable(partial):
            return Constant(partial, like_x, like_y)
        if out.dtype.kind == "c":
            return ComplexScale(partial, y, args, out.dtype, like_x, like_y)
        return Scale(partial, y, args, out.dtype, like_x, like_y)


class Constant(LinearMap):
    """Multiplication by a number that the rule states: 1 for addition, -1 for subtraction."""

    __slots__ = ("factor", "like_x", "like_y")
    fresh = True

    def __init__(self, factor: Any, like_x: Meta | None, like_y: Meta | None) -> None:
        self.factor = factor
        self.like_x = like_x
        self.like_y = like_y

    def apply(self, tangent: Any) -> Any:
        return expand(self._times(tangent, self.factor), self.like_y)

    def transpose(self, ct: Any, own: bool = False) -> Any:
        factor = self.factor
        if factor == 1:
            return fit(ct, self.like_x)
        if own and factor == -1 and ct.__class__ is np.ndarray and ct.flags.writeable:
            return fit(np.negative(ct, out=ct), self.like_x)
        return fit(self._times(ct, factor.conjugate()), self.like_x)

    @staticmethod
    def _times(value: Any, factor: Any) -> Any:
        if factor == 1:
            return value
        if value.__class__ is Masked:
            return Masked(-value.value if factor == -1 else factor * value.value, value.live)
        return -value if factor == -1 else factor * value

    @property
    def pattern(self) -> str:
        return "diagonal"


# Arrays of fewer elements are not worth the search for memory to reuse.
LARGE = 4096


class Factor(LinearMap):
    """Multiplication by a partial derivative, worked out when it is asked for; all shapes are equal."""

    __slots__ = ("args", "partial", "y")
    fresh = True
    like_x: Meta | None = None
    like_y: Meta | None = None

    def __init__(self, partial: Callable[..., Any], y: Any, args: tuple[Any, ...]) -> None:
        self.partial = partial
        self.y = y
        self.args = args

    def factor(self) -> Any:
        """The value of the partial."""
        return self.partial(self.y, *self.args)

    def apply(self, tangent: Any) -> Any:
        factor = self.factor()
        if tangent.__class__ is Masked:
            return expand(product(factor, tangent), self.like_y)
        return expand(factor * tangent, self.like_y)

    def transpose(self, ct: Any, own: bool = False) -> Any:
        factor = self.partial(self.y, *self.args)
        if ct.__class__ is Masked:
            return fit(product(factor, ct), self.like_x)
        if ct.__class__ is np.ndarray and ct.size > LARGE:
            if _is_one(ct) and factor.__class__ is np.ndarray and factor.shape == ct.shape and factor.dtype is ct.dtype:
                # The sum of all elements asks for the partial itself; as a view it is nobody's to write to.
                result = factor if self._made(factor) else factor.view()
            else:
                result = np.multiply(factor, ct, out=self._scratch(factor, ct, own))
        else:
            result = factor * ct
        return result if self.like_x is None else fit(result, self.like_x)

    def _scratch(self, factor: Any, ct: Any, own: bool) -> Any:
        """An array that may hold the product: the partial, if it was made here, or the cotangent."""
        if isinstance(factor, Tracer):
            return None
        if factor.__class__ is not np.ndarray:
            return ct if own and dtype_of(factor) == ct.dtype else None
        if factor.shape != ct.shape or factor.dtype != ct.dtype:
            return None
        if factor.base is None and self._made(factor):
            return factor
        return ct if own else None

    def _made(self, factor: Any) -> bool:
        """Whether the partial is a new array: it may belong to the operands, or to the author of a rule."""
        if factor is self.y or not (self.partial.__module__ or "").startswith("chainrule."):
            return False
        return all(factor is not arg for arg in self.args)

    @property
    def pattern(self) -> str:
        return "diagonal"


def _is_one(ct: Any) -> bool:
    """Whether an array is one number 1, spread over all elements."""
    return not any(ct.strides) and ct.flat[0] == 1


class Scale(Factor):
    """A `Factor` whose argument and output may differ in shape and dtype.

    Python numbers enter the partial as NumPy's, which have infinities.
    """

    __slots__ = ("like_x", "like_y")

    def __init__(
        self,
        partial: Callable[..., Any],
        y: Any,
        args: tuple[Any, ...],
        dtype: np.dtype[Any],
        like_x: Meta | None,
        like_y: Meta | None,
    ) -> None:
        self.partial = partial
        self.y = lift(y, dtype) if y.__class__ in _NUMBERS else y
        for a in args:
            if a.__class__ in _NUMBERS:
                args = tuple([lift(a, dtype) for a in args])
                break
        self.args = args
        self.like_x = like_x
        self.like_y = like_y


class ComplexScale(Scale):
    """A `Scale` with a complex output: its transpose multiplies by the conjugate."""

    __slots__ = ()

    def transpose(self, ct: Any, own: bool = False) -> Any:
        factor = np.conj(self.factor())
        if ct.__class__ is Masked:
            return fit(product(factor, ct), self.like_x)
        return fit(factor * ct, self.like_x)


class Select(Scale):
    """Multiplication by shares, of which the zeros are structural."""

    __slots__ = ()

    def _select(self, value: Any) -> Any:
        share = self.factor()
        whole = dtype_of(share).kind == "b"  # nothing is shared
        live = share if whole else share != 0
        if value.__class__ is Masked:
            live = live & value.live()
            value = value.value
        chosen = (share if whole else cast(share, dtype_of(value))) * value
        # Choosing by `where` costs three products: it is left to what a product does not make zero.
        if isinstance(chosen, Tracer) or not finite(chosen):
            chosen = np.where(live, value if whole else chosen, np.zeros((), dtype_of(value)))
        shape = shape_of(chosen)
        return Masked(chosen, lambda: np.broadcast_to(live, shape))

    def apply(self, tangent: Any) -> Any:
        return expand(self._select(tangent), self.like_y)

    def transpose(self, ct: Any, own: bool = False) -> Any:
        return fit(self._select(ct), self.like_x)


class Conjugate(Scale):
    """The map dz -> p dz + q conj(dz) of a function that is not holomorphic."""

    __slots__ = ()

    def _pair(self) -> tuple[Any, Any]:
        pair: Any = self.partial
        return tuple(f(self.y, *self.args) if callable(f) else f for f in (pair.partial, pair.partial_conj))

    def apply(self, tangent: Any) -> Any:
        p, q = self._pair()
        result = p * dense(tangent) + q * np.conj(dense(tangent))
        if self.like_y is not None and self.like_y.dtype.kind != "c":
            result = np.real(result)
        return expand(_where_live(result, tangent), self.like_y)

    def transpose(self, ct: Any, own: bool = False) -> Any:
        p, q = self._pair()
        result = np.conj(p) * dense(ct) + q * np.conj(dense(ct))
        return fit(_where_live(result, ct), self.like_x)


def _where_live(result: Any, source: Any) -> Any:
    if source.__class__ is not Masked:
        return result
    live = np.broadcast_to(source.live(), shape_of(result))
    return Masked(np.where(live, result, np.zeros((), dtype_of(result))), lambda: live)


_NUMBERS = {float, int, complex, bool}


def lift(value: Any, dtype: np.dtype[Any]) -> Any:
    """A Python number as a NumPy scalar as precise as `dtype`, so that derivative arithmetic has infinities.

    Real numbers stay real and complex ones complex, whatever the output is.
    """
    if value.__class__ not in _NUMBERS:
        return value
    if value.__class__ is complex:
        return np.result_type(dtype, np.complex64).type(value)
    return np.dtype(dtype.char.lower() if dtype.kind == "c" else dtype).type(value)


# -- maps that are one primitive, linear in a slot ----------------------------------------------------


class LinearSlot(Slot):
    """The primitive itself is linear in this argument; ``statement`` is its transpose.

    ``zeros`` names the directions in which structural zeros are born (``"apply"``, ``"transpose"``,
    ``"both"``), or is None; ``dense`` says that coefficients may cancel.
    """

    __slots__ = ("dense", "variadic", "zeros")
    wants_meta = True

    def __init__(
        self,
        statement: Any,
        reads: tuple[bool, ...] | None,
        *,
        zeros: str | None = None,
        dense: bool = False,
        variadic: bool = False,
    ) -> None:
        super().__init__(statement, reads)
        self.zeros = zeros
        self.dense = dense
        self.variadic = variadic

    def map(
        self, primitive: Any, index: int, y: Any, args: tuple[Any, ...], params: dict[str, Any], x: Meta, out: Meta
    ) -> LinearMap:
        args = (*args[:index], x, *args[index + 1 :])
        return Linear(self, primitive, index, args, params, x, out)


class Linear(LinearMap):
    """A primitive with all arguments but one held fixed."""

    __slots__ = ("args", "index", "params", "primitive", "slot", "x", "y")

    def __init__(
        self,
        slot: LinearSlot,
        primitive: Any,
        index: int,
        args: tuple[Any, ...],
        params: dict[str, Any],
        x: Meta,
        y: Meta,
    ) -> None:
        self.slot = slot
        self.primitive = primitive
        self.index = index
        self.args = args
        self.params = params
        self.x = x
        self.y = y

    def _forward(self, tangent: Any) -> Any:
        args = self.args
        if self.primitive.joint:
            args = tuple(
                a if k != self.index and self.primitive.slot(k) is None else np.zeros(shape_of(a), self.y.dtype)
                for k, a in enumerate(args)
            )
        return self.primitive(*args[: self.index], tangent, *args[self.index + 1 :], **self.params)

    def _backward(self, ct: Any) -> Any:
        if self.slot.variadic:
            return self.slot.statement(ct, self.index, *self.args, **self.params)
        return self.slot.statement(ct, *self.args, **self.params)

    def apply(self, tangent: Any) -> Any:
        return cast_masked(self._run(self._forward, tangent, "apply", self.x), self.y.dtype)

    def transpose(self, ct: Any, own: bool = False) -> Any:
        slot = self.slot
        if ct.__class__ is not Masked and slot.zeros is None and not slot.variadic:
            pulled = slot.statement(ct, *self.args, **self.params)
            if pulled.__class__ is np.ndarray and pulled.dtype is self.x.dtype:
                return pulled
            return cast(pulled, self.x.dtype)
        return cast_masked(self._run(self._backward, ct, "transpose", self.y), self.x.dtype)

    def _run(self, function: Callable[[Any], Any], value: Any, direction: str, domain: Meta) -> Any:
        if self.slot.dense:
            return function(dense(value))
        if value.__class__ is Masked:
            return linear_live(function, value)
        if self.slot.zeros in (direction, "both"):
            return Masked(function(value), lambda: function(np.ones(domain.shape)) != 0)
        return function(value)

    @property
    def fresh(self) -> bool:  # type: ignore[override]
        return self.slot.dense

    @property
    def pattern(self) -> str:
        return "dense" if self.slot.dense else "structural"


def cast_masked(value: Any, dtype: np.dtype[Any]) -> Any:
    """`cast` of what may be masked."""
    if value.__class__ is Masked:
        return Masked(cast(value.value, dtype), value.live)
    return cast(value, dtype)


# -- any linear function of the tangent ---------------------------------------------------------------


class GeneralSlot(Slot):
    """``statement(y, *args, **params)`` is a linear function of the tangent."""

    __slots__ = ()

    def map(
        self, primitive: Any, index: int, y: Any, args: tuple[Any, ...], params: dict[str, Any], x: Meta, out: Meta
    ) -> LinearMap:
        return General(self.statement(y, *args, **params), x)


class General(LinearMap):
    """A linear function of the tangent, written with primitives; its transpose is derived from it."""

    __slots__ = ("function", "x")

    def __init__(self, function: Callable[[Any], Any], x: Meta) -> None:
        self.function = function
        self.x = x

    def apply(self, tangent: Any) -> Any:
        return self.function(dense(tangent))

    def transpose(self, ct: Any, own: bool = False) -> Any:
        return cast(derive.transpose(self.function, self.x, ct), self.x.dtype)


class _Derive:
    """How a linear function is transposed: set by the reverse engine, which lies above this module."""

    transpose: Callable[[Callable[[Any], Any], Meta, Any], Any]


derive = _Derive()
