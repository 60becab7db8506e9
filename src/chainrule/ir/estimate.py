"""What a program will do, from the sizes of its arguments alone: operations, bytes, and the shapes of its results.

The program is walked, not run. Integers and extents that follow from the arguments are computed; of a loop the body is
walked once, at the middle of its range, so that triangular nests count rightly; of a branch that is not known the
dearer one counts. A `while` and what depends on numbers in arrays are not known: they count once, and are listed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from chainrule.ir import ops
from chainrule.ir.nodes import (
    AddInto,
    Alloc,
    Array,
    Block,
    Call,
    Const,
    Copy,
    Dim,
    For,
    Function,
    If,
    Incr,
    Let,
    Line,
    Node,
    Op,
    Reserve,
    Slice,
    Store,
    Var,
    View,
    While,
)
from chainrule.ir.walk import defines

__all__ = ["Estimate", "Repeated", "Size", "estimate"]

Size = int | float | tuple[int | None, ...] | None  # a number, the shape of an array, or unknown
_DEEPEST = 30  # calls in calls


class Repeated(NamedTuple):
    """A loop of which some iterations are kept: the length of the strips that are recorded, the copies of its state."""

    line: Line | None
    iterations: int
    length: int
    copies: int
    evaluations: float  # of an iteration, on average

    def __str__(self) -> str:
        return (
            f"{self.iterations:,} iterations in strips of {self.length:,}, {self.copies} copies of the state: every "
            f"iteration is computed {self.evaluations:.1f} times"
        )


@dataclass
class Estimate:
    """What was found; `arrays` are the allocations with their bytes, one for all iterations of a loop."""

    results: list[Size] = field(default_factory=list)
    operations: float = 0.0
    arrays: list[tuple[Alloc | Copy, int]] = field(default_factory=list)
    unknown: dict[Line | None, str] = field(default_factory=dict)
    repeated: list[Repeated] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.arrays)


def estimate(function: Function, args: Sequence[Size]) -> Estimate:
    """Walk `function` for arguments of these values and shapes.

    Examples
    --------
    >>> from chainrule.ir.build import INT, Builder, constant, integer
    >>> n, i, build = Var("n", INT), Var("i", INT), Builder()
    >>> a = build.alloc("float64", [n])
    >>> body = Builder()
    >>> body.store(a, [i], body.let("exp", body.load(a, i)))
    >>> build.emit(For(i, integer(0), n, integer(1), body.block))
    >>> found = estimate(Function("f", (n,), build.block, (a,)), [100])
    >>> found.results, found.operations, found.bytes
    ([(100,)], 100.0, 800)
    """
    walk = _Walk()
    walk.found.results = walk.call(function, args, 1.0)
    return walk.found


class _Walk:
    def __init__(self) -> None:
        self.found = Estimate()
        self.env: dict[Var, Size] = {}
        self.calls: list[Function] = []

    def value(self, atom: Any) -> Size:
        if isinstance(atom, Var):
            return self.env.get(atom)
        return atom.value if isinstance(atom, Const) else None

    def whole(self, atom: Any) -> int | None:
        value = self.value(atom)
        return int(value) if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else None

    def shape(self, array: Var) -> tuple[int | None, ...]:
        known = self.env.get(array)
        assert isinstance(array.type, Array)
        return known if isinstance(known, tuple) else (None,) * array.type.ndim

    def call(self, function: Function, args: Sequence[Size], times: float) -> list[Size]:
        if len(self.calls) > _DEEPEST or self.calls.count(function) > 1:
            self.found.unknown[function.line] = f"how deep {function.name} calls itself"
            return [None] * len(function.results)
        self.calls.append(function)
        outer, self.env = self.env, dict(zip(function.params, args, strict=True))
        self.block(function.body, times)
        results = [self.shape(r) if isinstance(r.type, Array) else self.value(r) for r in function.results]
        self.env = outer
        self.calls.pop()
        return results

    def block(self, block: Block, times: float) -> None:
        for node in block:
            handler = _WALK.get(node.__class__)
            if handler is None:
                self.env.update((v, None) for v in defines(node))
            else:
                handler(self, node, times)

    # -- numbers

    def let(self, node: Let, times: float) -> None:
        self.found.operations += times * (node.op != "cast")
        args = [self.value(a) for a in node.args]
        known = None
        if node.op == "where" and isinstance(args[0], (bool, np.bool_)):
            known = args[1] if args[0] else args[2]
        elif None not in args:
            known = ops.evaluate(node.op, tuple(args), node.out.type).item()  # type: ignore[arg-type]
        self.env[node.out] = known

    def dim(self, node: Dim, times: float) -> None:
        self.env[node.out] = self.shape(node.array)[node.axis]

    # -- arrays

    def alloc(self, node: Alloc, times: float) -> None:
        self.env[node.out] = shape = tuple(self.whole(e) for e in node.shape)
        self.note(node, shape)

    def copy(self, node: Copy, times: float) -> None:
        self.env[node.out] = shape = self.shape(node.array)
        self.note(node, shape)

    def note(self, node: Alloc | Copy, shape: tuple[int | None, ...]) -> None:
        sizes = [max(e, 0) for e in shape if e is not None]
        if len(sizes) < len(shape):
            self.found.unknown[node.line] = f"how long {node.out.hint} is"
        self.found.arrays.append((node, math.prod(sizes) * np.dtype(node.out.type.dtype).itemsize))

    def reserve(self, node: Reserve, times: float) -> None:
        size = self.whole(node.size)
        if size is None or times > 1:
            self.found.unknown[node.line] = f"how long {node.array.hint} grows"

    def view(self, node: View, times: float) -> None:
        shape = self.shape(node.array)
        if node.kind == "transpose":
            self.env[node.out] = tuple(shape[i.value] for i in node.items)
        elif node.kind == "reshape":
            self.env[node.out] = tuple(self.whole(i) for i in node.items)
        else:
            extents, axes = [], iter(shape)
            for item in node.items:
                extent = 1 if item is None else next(axes)
                if item is None or isinstance(item, Slice):
                    extents.append(self.cut(item, extent))
            self.env[node.out] = tuple(extents)

    def cut(self, item: Slice | None, extent: int | None) -> int | None:
        """The extent of a slice of an axis."""
        if item is None or item == (None, None, None):
            return extent
        bounds = [None if b is None else self.whole(b) for b in item]
        if extent is None or any(b is not None and v is None for b, v in zip(item, bounds, strict=True)):
            return None
        return len(range(*slice(*bounds).indices(extent)))

    def write(self, node: Store | Incr, times: float) -> None:
        self.found.operations += times * isinstance(node, Incr)

    def add_into(self, node: AddInto, times: float) -> None:
        self.found.operations += times * math.prod(e or 1 for e in self.shape(node.array))

    def op(self, node: Op, times: float) -> None:
        shapes = [self.shape(a) for a in node.args if isinstance(a, Var) and isinstance(a.type, Array)]
        extents = [[e or 1 for e in shape] for shape in shapes]
        if node.op == "matmul":
            a, b = shapes
            self.found.operations += times * 2 * math.prod(extents[0]) * math.prod(extents[1][1:])
            self.env[node.outs[0]] = (*a[:-1], *b[1:])
            return
        self.found.operations += times * (extents[0][0] ** 3 if node.op != "argsort" else extents[0][0])
        for out in node.outs:
            self.env[out] = shapes[-1] if isinstance(out.type, Array) else None

    # -- control

    def branch(self, node: If, times: float) -> None:
        test = self.value(node.test)
        before, found = dict(self.env), self.found
        sides = []
        for block in (node.then, node.orelse):
            self.env, self.found = dict(before), Estimate()
            self.block(block, times)
            sides.append((self.env, self.found))
        chosen = 1 - int(bool(test)) if test is not None else int(sides[1][1].operations > sides[0][1].operations)
        known = test is not None
        other = sides[1 - chosen][0]
        self.env, taken = sides[chosen]
        found.operations += taken.operations
        found.arrays += taken.arrays
        found.unknown.update(taken.unknown)
        found.repeated += taken.repeated
        self.found = found
        for m in node.merges:
            mine, theirs = (m.then, m.orelse) if chosen == 0 else (m.orelse, m.then)
            value = self.value(mine)
            here, self.env = self.env, other
            same = known or self.value(theirs) == value
            self.env = here
            self.env[m.out] = value if same else None

    def count(self, node: For, times: float) -> None:
        lower, upper, step = (self.whole(a) for a in (node.lower, node.upper, node.step))
        trips, middle = 1, None
        if lower is None or upper is None or not step:
            self.found.unknown[node.line] = "how often the loop runs"
        else:
            trips = len(range(lower, upper, step))
            middle = lower + step * (max(trips - 1, 0) // 2)
        self.env.update((c.param, None) for c in node.carries)
        self.env[node.index] = middle
        self.block(node.body, times * trips)
        self.env.update((c.out, None) for c in node.carries)

    def repeat(self, node: While, times: float) -> None:
        self.found.unknown[node.line] = "how often the loop runs"
        self.env.update((c.param, None) for c in node.carries)
        self.block(node.head, times)
        self.block(node.body, times)
        self.env.update((c.out, None) for c in node.carries)

    def called(self, node: Call, times: float) -> None:
        args = [self.shape(a) if isinstance(a, Var) and isinstance(a.type, Array) else self.value(a) for a in node.args]
        if node.function.divides:
            self.divided(node.function, args, times)
            return
        self.env.update(zip(node.outs, self.call(node.function, args, times), strict=True))

    def divided(self, function: Function, args: list[Size], times: float) -> None:
        """A pullback that cuts a loop into strips: by the formula of its schedule (Griewank and Walther, 12.2)."""
        length, slots, lower, upper = (int(a) if isinstance(a, int) else 0 for a in args[:4])
        (node,) = (n for n in function.body if isinstance(n, If))
        whole = next(n.function for n in node.then if isinstance(n, Call))
        strip = next(n.function for n in node.orelse if isinstance(n, Call) and n.function is not function)
        if not length or not slots:
            self.found.unknown[function.line] = "how often the loop runs"
            return
        count = abs(upper - lower)
        strips = max(-(-count // length), 1)
        repeats = next(r for r in range(strips) if math.comb(slots + r, r) >= strips)
        advanced = repeats * strips - math.comb(slots + repeats, repeats - 1) if repeats else 0
        ends = [lower, lower + min(length, count) * (1 if upper > lower else -1)]
        self.call(whole, [*ends, *args[4:]], times * strips)
        self.call(strip, [*ends, *args[4 : 2 + len(strip.params)]], times * advanced)
        copies = min(slots, strips - 1)
        for copied in (n for n in node.orelse if isinstance(n, Copy)):
            shape = args[function.params.index(copied.array)]
            size = math.prod(e or 1 for e in shape) if isinstance(shape, tuple) else 1
            self.found.arrays.append((copied, copies * size * np.dtype(copied.out.type.dtype).itemsize))
        evaluations = 2 + advanced / strips
        self.found.repeated.append(Repeated(function.line, count, min(length, count), copies, evaluations))


_WALK: dict[type[Node], Callable[..., None]] = {
    Let: _Walk.let,
    Dim: _Walk.dim,
    Alloc: _Walk.alloc,
    Copy: _Walk.copy,
    Reserve: _Walk.reserve,
    View: _Walk.view,
    Store: _Walk.write,
    Incr: _Walk.write,
    AddInto: _Walk.add_into,
    Op: _Walk.op,
    If: _Walk.branch,
    For: _Walk.count,
    While: _Walk.repeat,
    Call: _Walk.called,
}
