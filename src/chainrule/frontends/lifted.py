"""A function of some arguments read into a program of its own, and its derivatives at these arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import cast, materialise
from chainrule.frontends.joins import leaves, rebuild
from chainrule.frontends.recursion import lift
from chainrule.frontends.values import ArrayRef, Grown, Lazy, Number, Static, number
from chainrule.ir.build import constant
from chainrule.ir.estimate import Size, estimate
from chainrule.ir.nodes import Array, Atom, Const, Scalar, Var
from chainrule.ir.ops import FLOATS
from chainrule.ir.walk import is_number

__all__ = ["Lifted", "library_array", "seed_of", "zero_like"]


class Lifted:
    """A function of some arguments, read at given values."""

    def __init__(
        self, frame: Any, function: Any, args: Sequence[Any], kwargs: dict[str, Any], chosen: Sequence[int]
    ) -> None:
        ctx = self.ctx = frame.ctx
        self.args = [_promoted(ctx, a) if k in chosen else library_array(ctx, a) for k, a in enumerate(args)]
        self.function, self.result, self.extras = lift(
            ctx, self.args, lambda inner: ctx.language.call(frame, function, list(inner), kwargs)
        )
        numeric = [
            (k, leaf) for k, a in enumerate(self.args) for leaf in leaves(a) if isinstance(leaf, (Number, ArrayRef))
        ]
        self.atoms = [atom_of(leaf) for _, leaf in numeric] + list(self.extras)
        arrays = [
            (leaf.base, p) for (_, leaf), p in zip(numeric, self.function.params, strict=False) if hasattr(leaf, "base")
        ]
        for base, p in arrays:
            if p in self.function.writes:
                if any(other is base and q is not p for other, q in arrays):
                    raise ctx.fail(f"the function writes to {p.hint}, which may share memory with another argument")
                if base in ctx.parameters:
                    ctx.copied.add(base)
        self.active = [k in chosen and leaf.dtype in FLOATS for k, leaf in numeric] + [False] * len(self.extras)
        self.outputs = [leaf for leaf in leaves(self.result) if isinstance(leaf, (Number, ArrayRef))]

    def hold(self) -> None:
        """Take copies of the arrays: what is derived later is derived here, whatever is written to them until then."""
        self.atoms = [self.ctx.builder.copy(a) if isinstance(a.type, Array) else a for a in self.atoms]

    def value(self) -> Any:
        """The function's result; what it writes to are copies."""
        builder, writes = self.ctx.builder, self.function.writes
        atoms = [
            builder.copy(a) if p in writes and isinstance(a, Var) else a
            for a, p in zip(self.atoms, self.function.params, strict=True)
        ]
        return self._result(iter(builder.inline(self.function, atoms)))

    def _result(self, atoms: Any) -> Any:
        made = []
        for leaf in leaves(self.result):
            if isinstance(leaf, (Number, ArrayRef)):
                leaf = value_of(self.ctx, next(atoms), leaf, isinstance(leaf, Number) and leaf.weak)
            made.append(leaf)
        return rebuild(self.result, iter(made))

    def pull(self, seeds: list[Any]) -> tuple[Any, list[Any]]:
        """The result, and the cotangents of all arguments; `seeds` are those of the float results in order.

        None is a structural zero.
        """
        assert self.ctx.vjp is not None
        given = iter(seeds)
        wanted = [r.type.dtype in FLOATS and next(given) is not None for r in self.function.results]
        function = self.ctx.vjp(self.function, self.active, wanted)
        cts = [atom_of(s) for s in seeds if s is not None]
        atoms = iter(self.ctx.builder.inline(function, [*self.atoms, *cts]))
        value = self._result(atoms)
        return value, self._per_argument(atoms)

    def _per_argument(self, atoms: Any) -> list[Any]:
        cts = []
        flags = iter(self.active)
        for a in self.args:
            made = []
            for leaf in leaves(a):
                if isinstance(leaf, (Number, ArrayRef)):
                    weak = isinstance(leaf, Number) and leaf.weak
                    made.append(value_of(self.ctx, next(atoms), leaf, weak) if next(flags) else zero_like(leaf))
                else:
                    made.append(Static(None))
            cts.append(rebuild(a, iter(made)))
        return cts

    def push(self, *directions: list[Any]) -> tuple[Any, list[Any]]:
        """The result and its tangent in each direction, given by one tangent per active leaf.

        None is a structural zero.
        """
        assert self.ctx.jvp is not None
        masks = []
        for direction in directions:
            given = iter(direction)
            masks.append([on and next(given) is not None for on in self.active])
        function = self.ctx.jvp(self.function, *masks)
        tangents = [atom_of(t) for direction in directions for t in direction if t is not None]
        atoms = iter(self.ctx.builder.inline(function, [*self.atoms, *tangents]))
        value = self._result(atoms)
        return value, [self._change(atoms) for _ in directions]

    def _change(self, atoms: Iterator[Atom]) -> Any:
        made = []
        for leaf in leaves(self.result):
            if isinstance(leaf, (Number, ArrayRef)) and leaf.dtype in FLOATS:
                made.append(value_of(self.ctx, next(atoms), leaf))
            else:
                made.append(zero_like(leaf))
        return rebuild(self.result, iter(made))

    def float_outputs(self) -> list[Any]:
        return [leaf for leaf in self.outputs if leaf.dtype in FLOATS]

    def extents(self) -> tuple[int | None, int | None]:
        """The rows and columns of the Jacobian, as far as they are known."""
        sizes = [a.value if isinstance(a, Const) else self.ctx.sizes.get(a) for a in self.atoms]
        results = estimate(self.function, sizes).results
        rows = [_count(s, r) for r, s in zip(self.function.results, results, strict=True) if r.type.dtype in FLOATS]
        columns = [_count(s, a) for a, s, on in zip(self.atoms, sizes, self.active, strict=True) if on]
        return _total(rows), _total(columns)


def _count(size: Size, atom: Atom) -> int | None:
    """The number of elements."""
    if isinstance(atom.type, Scalar):
        return 1
    return None if not isinstance(size, tuple) else _total(size, math.prod)


def _total(sizes: Sequence[int | None], of: Callable[[list[int]], int] = sum) -> int | None:
    known = [s for s in sizes if s is not None]
    return of(known) if len(known) == len(sizes) else None


def atom_of(leaf: Any) -> Atom:
    return leaf.atom if isinstance(leaf, Number) else leaf.var


def value_of(ctx: Context, atom: Atom, like: Any, weak: bool = False) -> Any:
    """The value of `atom`, whose shape is that of `like`."""
    if isinstance(atom.type, Scalar):
        return Number(atom, weak)
    assert isinstance(atom, Var)
    return ArrayRef(atom, ctx.dims(atom, [is_number(d, 1) for d in like.dims]), atom)


def zero_like(leaf: Any) -> Any:
    return number(0.0) if isinstance(leaf, Number) else Static(None)


def _no_lists(ctx: Context, value: Any) -> None:
    if any(isinstance(leaf, Grown) for leaf in leaves(value)):
        raise ctx.fail("a list that grows is an argument of a transformed function: pass np.array of it")


def library_array(ctx: Context, value: Any) -> Any:
    _no_lists(ctx, value)
    return rebuild(value, iter([materialise(ctx, leaf, "x") for leaf in leaves(value)]))


def _promoted(ctx: Context, value: Any) -> Any:
    """A differentiated argument: integers as floats, alone and in arrays; numbers in containers stay."""
    _no_lists(ctx, value)
    alone = isinstance(value, (Number, ArrayRef, Lazy))
    made = []
    for leaf in leaves(value):
        leaf = materialise(ctx, leaf, "x")
        if isinstance(leaf, (Number, ArrayRef)) and leaf.dtype == "bool" and alone:
            raise ctx.fail("booleans cannot be differentiated with respect to")
        if isinstance(leaf, (Number, ArrayRef)) and leaf.dtype == "int64" and (alone or isinstance(leaf, ArrayRef)):
            leaf = materialise(ctx, cast(ctx, leaf, "float64"), "x")
        made.append(leaf)
    return rebuild(value, iter(made))


def seed_of(ctx: Context, like: Any, value: float) -> Any:
    """A cotangent of `like` filled with `value`."""
    if isinstance(like, Number):
        return Number(constant(value, like.dtype))
    return ctx.new(like.dtype, like.dims, value, hint="ct")
