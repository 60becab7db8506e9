"""What the reading of one program shares: the builder, the captured values, the functions being made."""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from chainrule.errors import UnsupportedError
from chainrule.frontends.source import Parsed
from chainrule.frontends.subset import refuse
from chainrule.frontends.values import ArrayRef, Number, Step
from chainrule.ir.build import Builder, boolean, integer
from chainrule.ir.estimate import Size
from chainrule.ir.nodes import Atom, Block, Carry, Check, Const, For, Function, If, Line, Reserve, Slice, Var
from chainrule.ir.walk import is_number

__all__ = ["Capture", "Context", "Decision", "Guard", "same"]


@dataclass(frozen=True)
class Guard:
    """A value of the user's program that the compiled one relies on: ``get()`` must still give `expected`.

    `kind` is "is" for objects, "==" for numbers, strings and tuples of them (with equal types), "code" for functions.
    """

    get: Callable[[], Any]
    kind: str
    expected: Any
    name: str


@dataclass(frozen=True)
class Capture:
    """An array or float from outside the function: read by ``get()`` at each call and passed as `var`."""

    get: Callable[[], Any]
    var: Var
    name: str
    weak: bool
    ones: tuple[bool, ...] = ()  # which extents of an array are 1


class Decision(NamedTuple):
    """How a transformation in the program is computed: `sweeps` of it, None if their number is not known."""

    transformation: str
    mode: str
    sweeps: int | None
    line: Line | None


def _missing(*args: Any) -> Any:
    raise AssertionError("a context without a language")


class Language(NamedTuple):
    """The parts of the front end that call each other: each reads one kind of thing for a frame."""

    call: Callable[..., Any]
    expression: Callable[..., Any]
    body: Callable[..., Any]
    assign: Callable[..., Any]
    condition: Callable[..., Any]


def same(a: Atom, b: Atom) -> bool:
    """Whether two atoms are known to be equal."""
    return a is b or (isinstance(a, Const) and isinstance(b, Const) and a.value == b.value)


class Context:
    """One program being read. `block` of the builder is where code goes; `stack` are the blocks around it."""

    def __init__(self) -> None:
        self.language: Language = Language(*[_missing] * 5)
        self.builder = Builder()
        self.stack: list[Block] = [self.builder.block]
        self.guards: dict[Any, Guard] = {}
        self.captures: dict[Any, Capture] = {}
        self.parameters: set[Var] = set()  # arrays that come from outside: who wrote the program sees writes to them
        self.writes: list[Var] = []  # the bases of the arrays that the program has written so far
        self.frozen: dict[Var, str] = {}
        self.stands: dict[Var, frozenset[Var]] = {}  # copies that stand for arrays, or for views of them
        self.stale: set[Var] = set()  # those whose arrays were written to since
        self.uses: list[Var] = []  # the bases of the arrays that the program has read while some stood for others
        self.merged: dict[Var, tuple[Var, ...]] = {}  # the arrays that are one of several, and those
        self.promised: dict[Var, list[tuple[Atom, ...]]] = {}  # buffers to be made before loops, and what goes there
        self.frames: list[Any] = []  # the calls being read, innermost last
        self.plans: dict[Any, Any] = {}
        self.functions: dict[Any, Any] = {}  # the recursive functions met so far
        self.parsed: Parsed | None = None
        self.node: ast.AST | None = None
        self.customs: dict[Any, Any] = {}  # the functions with rules that are being read
        self.jvp: Callable[..., Function] | None = None  # the transformations, given by the caller
        self.vjp: Callable[..., Function] | None = None
        self.sizes: dict[Var, Size] = {}  # of the parameters, in the call for which the program is read
        self.decisions: list[Decision] = []
        self.copied: set[Var] = set()  # parameters of which a transformed function that writes to them gets copies
        self.stretches = False  # whether the program asks which extents are 1, where that is not known
        self._known: dict[Block, dict[Any, Atom]] = {}
        self.lists: dict[Any, Any] = {}  # where lists are made that grow, and what they hold
        self.pending: list[UnsupportedError] = []  # what is wrong unless a list grows
        self.growths: dict[Reserve, Any] = {}  # what makes them longer
        self.held: dict[Var, str] = {}  # their arrays, and why one is not read that is stale
        self.used_up: set[ast.expr] = set()  # the generators all of whose items are taken where they stand
        self.floor = 0  # the first block of the function that is differentiated in the program
        self._lists: dict[int, tuple[Any, int, Any]] = {}

    def fork(self) -> Context:
        """A context for another function of the same program."""
        made = Context()
        made.guards, made.captures, made.functions, made.plans = self.guards, self.captures, self.functions, self.plans
        made.customs, made.decisions, made.copied = self.customs, self.decisions, self.copied
        made.node, made.parsed, made.jvp, made.vjp = self.node, self.parsed, self.jvp, self.vjp
        made.language, made.stretches = self.language, self.stretches
        made.lists, made.pending = self.lists, self.pending
        made.parameters.update(c.var for c in self.captures.values())
        return made

    def decide(self, transformation: str, mode: str, sweeps: int | None = 1) -> None:
        """Note how a transformation is computed."""
        self.decisions.append(Decision(transformation, mode, sweeps, self.builder.line))

    def note_list(self, made: Any, site: Any, depth: int) -> Any:
        """Remember where a list was made, and the depth of the block in which it may grow while that is read."""
        self._lists[id(made)] = (made, depth, site)
        return made

    def list_of(self, made: Any) -> tuple[int, Any]:
        """The depth of the block in which a list was made, and where that was."""
        return self._lists.get(id(made), (made, 0, None))[1:]

    # -- messages

    def refuse(self, key: str | ast.AST, detail: str = "") -> UnsupportedError:
        """The exception for a construct outside the language, at the node being read."""
        assert self.parsed is not None
        assert self.node is not None
        if isinstance(key, ast.AST):
            return refuse(key, self.parsed, detail=detail)
        return refuse(self.node, self.parsed, key, detail)

    def fail(self, text: str) -> UnsupportedError:
        """The exception for values that cannot be treated, at the node being read."""
        return self.refuse("value", text)

    def unknown(self) -> Var:
        """A condition in code that is thrown away."""
        return Var("unknown", boolean(True).type)

    @contextlib.contextmanager
    def at(self, node: ast.AST, parsed: Parsed, quiet: bool) -> Iterator[None]:
        """The node being read, for messages and lines; `quiet`: a function of ours, whose caller is meant."""
        if quiet:
            yield
            return
        outer = self.node, self.parsed, self.builder.line
        self.node, self.parsed = node, parsed
        self.builder.line = Line(parsed.file, node.lineno)  # type: ignore[attr-defined]
        try:
            yield
        finally:
            if sys.exc_info()[0] is None:  # a message is about the innermost node
                self.node, self.parsed, self.builder.line = outer
            else:
                self.builder.line = outer[2]

    # -- blocks

    @contextlib.contextmanager
    def inside(self, block: Block) -> Iterator[Block]:
        self.stack.append(block)
        try:
            with self.builder.inside(block):
                yield block
        finally:
            self.stack.pop()

    def remember(self, key: Any, make: Callable[[], Atom]) -> Atom:
        """The atom made for `key` in this block or one around it, else a new one."""
        for block in reversed(self.stack):
            found = self._known.get(block, {}).get(key)
            if found is not None:
                return found
        atom = self._known.setdefault(self.stack[-1], {})[key] = make()
        return atom

    def snapshot(self) -> Any:
        """What `restore` needs to take back everything that is written from here on."""
        known = {block: dict(self._known.get(block, {})) for block in self.stack}
        return len(self.builder.block.nodes), known, dict(self.frozen), dict(self.stands), set(self.stale)

    def restore(self, state: Any) -> None:
        length, known, frozen, stands, stale = state
        del self.builder.block.nodes[length:]
        self._known = known
        self.frozen, self.stands, self.stale = dict(frozen), dict(stands), set(stale)

    # -- scalars

    def let(self, op: str, *args: Atom, hint: str = "t") -> Atom:
        return self.builder.let(op, *args, hint=hint)

    def check(self, test: Atom, exception: str, *parts: Any) -> None:
        if not (isinstance(test, Const) and test.value):
            self.builder.emit(Check(test, exception, parts))

    def when(self, test: Atom) -> Block:
        """An `If` without else; the caller writes its block."""
        node = If(test, Block(), Block())
        self.builder.emit(node)
        return node.then

    @contextlib.contextmanager
    def loop(self, count: Atom, hint: str = "i") -> Iterator[For]:
        """``for i in range(count)``; inside it code goes to the body."""
        node = For(Var(hint, integer(0).type), integer(0), count, integer(1), Block())
        with self.inside(node.body):
            yield node
        self.builder.emit(node)

    @contextlib.contextmanager
    def nest(self, dims: Sequence[Atom]) -> Iterator[tuple[Atom, ...]]:
        """Loops over all indices of an array of extents `dims`; an extent known to be 1 needs none."""
        with contextlib.ExitStack() as stack:
            yield tuple(
                integer(0) if is_number(d, 1) else stack.enter_context(self.loop(d, "ijklmn"[min(k, 5)])).index
                for k, d in enumerate(dims)
            )

    def reduce(
        self, dims: Sequence[Atom], start: Atom, step: Callable[[tuple[Atom, ...], Atom], Atom], hint: str
    ) -> Atom:
        """Fold over all indices of an array of extents `dims`: a carry through the loops."""
        return self._fold(list(dims), (), start, step, hint, 0)

    def _fold(self, dims: list[Atom], index: tuple[Atom, ...], acc: Atom, step: Any, hint: str, depth: int) -> Atom:
        if not dims:
            total: Atom = step(index, acc)
            return total
        if is_number(dims[0], 1):
            return self._fold(dims[1:], (*index, integer(0)), acc, step, hint, depth + 1)
        param, out = Var(hint, acc.type), Var(hint, acc.type)
        with self.loop(dims[0], "ijklmn"[min(depth, 5)]) as node:
            after = self._fold(dims[1:], (*index, node.index), param, step, hint, depth + 1)
            node.carries.append(Carry(param, acc, after, out))
        return out

    # -- arrays

    def dims(self, var: Var, ones: Sequence[bool] = ()) -> tuple[Atom, ...]:
        """The extents of `var`; `ones`, if given, says which are known to be 1."""
        ndim = var.type.ndim  # type: ignore[union-attr]
        known = ones or (False,) * ndim
        return tuple(integer(1) if known[k] else self.dim(var, k) for k in range(ndim))

    def dim(self, var: Var, axis: int) -> Atom:
        return self.remember((var, axis), lambda: self.builder.dim(var, axis))

    def new(self, dtype: str, dims: Sequence[Atom], fill: Any = None, hint: str = "a") -> ArrayRef:
        var = self.builder.alloc(dtype, dims, fill, hint)
        return ArrayRef(var, tuple(dims), var)

    def view(
        self, array: ArrayRef, kind: str, items: Sequence[Any], dims: Sequence[Atom | None], contiguous: bool
    ) -> ArrayRef:
        """A view of `array`; an extent given as None is asked of the view itself."""
        var = self.builder.view(array.var, kind, items)
        extents = tuple(self.dim(var, k) if d is None else d for k, d in enumerate(dims))
        return ArrayRef(var, extents, array.base, (*array.path, Step(kind, tuple(items))), contiguous)

    def writable(self, array: ArrayRef) -> None:
        """Note a write; refuse it if another copy of the array may be meant."""
        self.writes.append(array.base)
        reason = self.frozen.get(array.base)
        if reason is not None:
            raise self.fail(reason)
        self.stale.update(copy for copy, sources in self.stands.items() if array.base in sources)

    def stand(self, copy: Var, base: Var) -> None:
        """`copy` has the elements of `base`, or of a view of it, until that is written to; it is not written to."""
        self.stands[copy] = (self.stands.get(copy, frozenset()) | self.meant(base)) - {copy}

    def meant(self, base: Var) -> frozenset[Var]:
        """`base` and the arrays that it stands for."""
        return self.stands.get(base, frozenset()) | {base}

    def seen(self, base: Var) -> bool:
        """Whether `base` is more than the variables tell: an argument, frozen, or meant by a copy of it."""
        return base in self.parameters or base in self.frozen or any(base in s for s in self.stands.values())

    def use(self, base: Var, name: str) -> None:
        """Note a read; refuse it if another array is meant, which has been written to."""
        self.uses.append(base)
        if base in self.stale:
            why = (
                f"{name!r} may be a view of an array that was written to since it was assigned, and is kept as a copy: "
                f"assign {name} again after the writing, write {name} = {name}.copy() before it, or let a loop run "
                f"over {name}.copy()"
            )
            raise self.fail(self.held.get(base, why))

    def use_again(self, stood: dict[Var, frozenset[Var]], mark_of_uses: int, written: set[Var]) -> None:
        """Refuse that code which is run again reads what stands for an array that it has written to the time before.

        `stood`: what stood for which arrays before that code; `mark_of_uses`: how much had been read then.
        """
        used = set(self.uses[mark_of_uses:])
        for copy, meant in stood.items():
            if copy in used and meant & written:
                self.stale.add(copy)
                self.use(copy, copy.hint)

    def equal(self, a: Atom, b: Atom, what: str) -> None:
        """The program checks that extents agree, unless that is known."""
        if same(a, b):
            return
        if isinstance(a, Const) and isinstance(b, Const):
            raise self.fail(f"{what}: extents {a.value} and {b.value} do not agree")

        def test() -> Atom:
            self.check(self.let("equal", a, b), "ValueError", f"{what}: extents ", a, " and ", b, " do not agree")
            return boolean(True)

        self.remember(("equal", frozenset((a, b))), test)

    def fits(self, a: Atom, wide: Atom, what: str) -> None:
        """The program checks that an extent is `wide`, or 1 where it may be stretched."""
        if is_number(a, 1) or same(a, wide):
            return
        if not self.stretches or (isinstance(a, Const) and isinstance(wide, Const)):
            self.equal(a, wide, what)
            return

        def test() -> Atom:
            either = self.let("logical_or", self.let("equal", a, wide), self.let("equal", a, integer(1)))
            self.check(either, "ValueError", f"{what}: extents ", a, " and ", wide, " do not agree")
            return boolean(True)

        self.remember(("fits", a, wide), test)

    def widened(self, a: Atom, b: Atom, what: str) -> Atom:
        """The extent that `a` and `b` are stretched to; neither is known to be 1."""
        if same(a, b) or not self.stretches or (isinstance(a, Const) and isinstance(b, Const)):
            self.equal(a, b, what)
            return a
        if isinstance(b, Const):
            a, b = b, a
        if isinstance(a, Const):
            self.fits(b, a, what)
            return a

        def larger() -> Atom:
            wide = self.let("where", self.let("equal", a, integer(1)), b, a, hint="n")
            self.fits(a, wide, what)
            self.fits(b, wide, what)
            return wide

        return self.remember(("widened", frozenset((a, b))), larger)

    def slice_dim(self, dim: Atom, s: Slice) -> Atom | None:
        """The extent of a slice of an axis of extent `dim`, None if the view has to be asked."""
        if s.step is not None and not is_number(s.step, 1):
            return None
        low = 0 if s.lower is None else s.lower.value if isinstance(s.lower, Const) else None
        high = 0 if s.upper is None else s.upper.value if isinstance(s.upper, Const) else None
        if low is None or high is None or low < 0 or high > 0 or (high == 0 and s.upper is not None):
            return None
        cut = low - high
        if cut == 0:
            return dim
        shorter = self.remember(("cut", dim, cut), lambda: self.let("subtract", dim, integer(cut), hint="n"))
        return self.remember(("length", dim, cut), lambda: self.let("maximum", shorter, integer(0), hint="n"))


def atom_of(value: Number) -> Atom:
    return value.atom
