"""The nodes of one function as Python statements.

A number that is used once and that the user has no name for becomes part of the expression that uses it: it is
held back in `pending` until then, and written down earlier if a name that it reads is about to be assigned, an array
that it reads to be written, or a branch or a loop to begin. Statements are a tree, for which `python` finds the text.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.backends.expressions import ATOM, Expression, call, constant, name, negated, operation, subscript
from chainrule.backends.layouts import layouts_of
from chainrule.backends.lives import share
from chainrule.backends.names import Names, nameless
from chainrule.backends.recursion import FLOOR, Recursion, name_of
from chainrule.backends.rows import opaque_loops
from chainrule.backends.sums import plain_sums
from chainrule.errors import UnsupportedError
from chainrule.ir.messages import VALUE, grouped, is_mark
from chainrule.ir.nodes import (
    AddInto,
    Alloc,
    Atom,
    Block,
    Call,
    Check,
    Const,
    Copy,
    Dim,
    For,
    Function,
    If,
    Incr,
    Let,
    Line,
    Load,
    Node,
    Op,
    Print,
    Raise,
    Reserve,
    Slice,
    Store,
    Var,
    View,
    While,
)
from chainrule.ir.walk import effects, grown, is_number, nodes_of, reads, roots_of

__all__ = ["Statement", "Writer"]

_LONGEST = 64  # characters of an expression within another
_OPS = {
    "matmul": "{} @ {}",
    "solve": "np.linalg.solve({}, {})",
    "inv": "np.linalg.inv({})",
    "det": "np.linalg.det({})",
    "slogdet": "np.linalg.slogdet({})",
    "cholesky": "np.linalg.cholesky({})",
    "argsort": 'np.argsort({}, kind="stable")',
}
_REAL = ("float64", "float32")
_POWERS = frozenset({"power", "float_power", "pow"})
_PRODUCTS = (" ** 2", " ** 3", " ** 4")  # powers that Numba multiplies out
_SUMS = {"add": "plus", "subtract": "minus"}  # that may be taken in any order
_LITERAL = ("int64", "bool")  # for constants of which Numba would compile a function of their own
_FORTRAN = frozenset({"solve", "inv", "cholesky"})  # Numba's results are in Fortran's order


@dataclass(slots=True)
class Statement:
    """A line of text, the user's line it comes from, and the statements inside it."""

    text: str
    line: Line | None = None
    body: list[Statement] | None = None


class Writer:
    """Writes one function; for Numba, which is quick to compile loops and slow on array expressions, if there is a
    `recursion` to guard."""

    def __init__(self, function: Function, functions: dict[Function, str], recursion: Recursion | None) -> None:
        self.function, self.functions, self.recursion = function, functions, recursion
        self.compiled = recursion is not None
        # What calls make longer is handed to them as a tape, not as an array that they return.
        calls = [n for n in nodes_of(function.body) if isinstance(n, Call)] if self.compiled else []
        self.tapes = {a for n in calls for a in grown(n)} | (function.grows if self.compiled else set())
        self.lives = share(function, self.tapes)
        self.names = Names(function, self.lives, functions.values(), self.tapes)
        self.roots = roots_of(function)
        self.layouts = layouts_of(function)
        self.sums = plain_sums(function) if self.compiled else frozenset()
        self.opaque = opaque_loops(function) if self.compiled else frozenset()
        self.uses = Counter(a for n in nodes_of(function.body) for a in reads(n) if isinstance(a, Var))
        self.uses.update(a for a in function.results if isinstance(a, Var))
        lets = [n for n in nodes_of(function.body) if isinstance(n, Let) and n.op == "cast"]
        self.casts = {n.out for n in lets if n.args[0].type.dtype == "int64" and n.out.type.dtype == "float64"}
        self.lines: list[Statement] = []
        self.pending: dict[Var, Expression] = {}
        self.line: Line | None = None
        self.made: list[Var] = []  # the tapes that are there, to be released where their block ends
        self.params = [self.names[p] for p in function.params]
        self.floor: list[str] = []  # the name of what guards the stack, where it is needed
        if recursion is not None and function in recursion.guarded:
            self.guard(recursion)

    def guard(self, recursion: Recursion) -> None:
        """Ask how far the stack may grow, or be told and look."""
        self.floor = [self.names.fresh(FLOOR)]
        if self.function is next(iter(self.functions)):
            self.emit(f"{self.floor[0]} = support.stack_floor()")
            return
        self.params += self.floor
        if self.function in recursion.cyclic:
            message = f"{name_of(self.function)} calls itself too many times: the stack is used up"
            raised = self.raising(f"raise RecursionError({quoted(message)})")
            self.emit(f"if support.is_deep({self.floor[0]}):", raised)

    def body(self) -> list[Statement]:
        """The statements of the function."""
        self.run(self.function.body)
        if self.tapes:
            self.flush()
        results = [self.text(r) for r in self.function.results]
        if not self.compiled:
            results += [self.names[p] for p in self.function.params if p in self.function.grows]
        self.line = None
        self.release(0)
        if results:
            self.emit(f"return {', '.join(results)}")
        return self.lines

    def run(self, block: Block) -> None:
        for node in block.nodes:
            self.line = node.line
            _WRITE[node.__class__](self, node)

    def release(self, outer: int) -> None:
        """Give back the tapes but for those that were there before: the block that made them ends."""
        for number, tape in list(enumerate(self.made))[outer:]:
            if not self.raises():
                self.emit(f"support.release({number}, {self.names[tape]})")
        del self.made[outer:]

    def raises(self) -> bool:
        """Whether nothing comes after what has been written."""
        return bool(self.lines) and self.lines[-1].text.startswith("raise ")

    # -- values that are held back

    def value(self, atom: Atom) -> Expression:
        """The expression for `atom`, to be part of what is written next."""
        if isinstance(atom, Var):
            held = self.pending.pop(atom, None)
            return name(self.names[atom]) if held is None else held
        return constant(atom.value if isinstance(atom, Const) else 0, atom.type)

    def text(self, atom: Atom) -> str:
        return self.value(atom).text

    def flush(self, wanted: Callable[[Expression], bool] = lambda held: True) -> None:
        """Write down what is held back and wanted."""
        for var in [v for v, held in self.pending.items() if wanted(held)]:
            held = self.pending.pop(var)
            # A name of its own: what is being written may read the one it could share.
            self.lines.append(Statement(f"{self.names.own(var)} = {held.text}", held.line))

    def emit(self, text: str, body: list[Statement] | None = None) -> None:
        self.lines.append(Statement(text, self.line, body))

    def assign(self, target: str, value: Expression) -> None:
        self.flush(lambda held: target in held.names)
        symbol, left, right = value.parts or ("", "", "")
        if symbol in _AUGMENTED and left == target:
            self.emit(f"{target} {symbol}= {right}")
        elif symbol in ("+", "*") and right == target:
            self.emit(f"{target} {symbol}= {left}")
        elif value.text != target:
            self.emit(f"{target} = {value.text}")

    def writing(self, node: Node) -> None:
        """`node` is about to write to arrays."""
        written = {self.roots[a] for a in effects(node)}
        if written:
            self.flush(lambda held: not written.isdisjoint(held.roots))

    def define(self, node: Node, out: Var, value: Expression) -> None:
        """`node` gives `out` its `value`, which is held back if it may be."""
        if not self.uses[out]:
            return
        alone = len(self.lives.members[self.lives.find(out)]) == 1
        if alone and self.uses[out] == 1 and out.hint in nameless(node) and len(value.text) <= _LONGEST:
            self.pending[out] = value if self.line is None else value._replace(line=self.line)
        else:
            self.assign(self.names[out], value)

    # -- scalars and memory

    def let(self, node: Let) -> None:
        if not self.uses[node.out]:
            return
        dtypes = [a.type.dtype for a in node.args]
        values = [self.value(a) for a in node.args]
        try:
            value = operation(node.op, values, dtypes, node.out.type.dtype)
        except UnsupportedError as error:
            place = f" ({os.path.basename(node.line.file)}:{node.line.number})" if node.line else ""
            raise UnsupportedError(f"{error}{place}") from None
        if node in self.sums:
            value = call(f"support.{_SUMS[node.op]}", *values)
        elif self.compiled and node.op in _POWERS and dtypes[0] in _REAL and not value.text.endswith(_PRODUCTS):
            value = self._power(node, *values)
        self.define(node, node.out, value)

    def _power(self, node: Let, base: Expression, exponent: Expression) -> Expression:
        """A power, which may be vectorised; by multiplication where an integer is what the exponent was."""
        if node.args[1] in self.casts and exponent.text.startswith("float("):
            return call("support.integer_power", base, exponent._replace(text=exponent.text[6:-1]))
        return call("np.power", base, exponent)

    def cell(self, node: Load | Store | Incr) -> Expression:
        return subscript(self.whole(node.array), [self.value(i) for i in node.index], self.roots[node.array])

    def whole(self, array: Var) -> str:
        """What stands for an array: compiled code looks at the memory of a tape."""
        name = self.names[array]
        return f"support.{array.type.dtype}s({name})" if array in self.tapes else name

    def load(self, node: Load) -> None:
        if self.uses[node.out]:
            self.define(node, node.out, self.cell(node))

    def store(self, node: Store) -> None:
        value, cell = self.text(node.value), self.cell(node).text
        self.writing(node)
        self.emit(f"{cell} = {value}")

    def increment(self, node: Incr) -> None:
        value, cell = self.value(node.value), self.cell(node).text
        self.writing(node)
        if value.parts is not None and value.parts[:2] == ("-", ""):
            self.emit(f"{cell} -= {value.parts[2]}")
        else:
            self.emit(f"{cell} += {value.text}")

    def view(self, node: View) -> None:
        array = self.names[node.array]
        if node.kind == "index":
            text = f"{array}[{self.items(node.items)}]"
        elif node.kind == "reshape":
            text = f"{array}.reshape({', '.join(self.text(i) for i in node.items)})"
        elif [i.value for i in node.items] == [1, 0]:
            text = f"{array}.T"
        else:
            text = f"{array}.transpose({', '.join(self.text(i) for i in node.items)})"
        self.assign(self.names[node.out], Expression(text))

    def items(self, items: Sequence[Any]) -> str:
        """What stands in brackets; whole axes at the end are left out, which Numba knows to be contiguous."""
        texts = [self.item(i) for i in items]
        while len(texts) > 1 and texts[-1] == ":":
            texts.pop()
        return ", ".join(texts)

    def item(self, item: Any) -> str:
        if item is None:
            return "None"
        if not isinstance(item, Slice):
            return self.text(item)
        lower, upper, step = ("" if bound is None else self.text(bound) for bound in item)
        return f"{lower}:{upper}" + (f":{step}" if step not in ("", "1") else "")

    def alloc(self, node: Alloc) -> None:
        out, extents = node.out, [self.text(e) for e in node.shape]
        if out in self.tapes:
            made = f"support.new_tape({len(self.made)}, {self.bytes(out, extents[0])})"
            self.made.append(out)
            self.assign(self.names[out], Expression(made))
            return
        shape = extents[0] if len(extents) == 1 else f"({', '.join(extents)})"
        dtype = "" if out.type.dtype == "float64" else f", np.{_DTYPE.get(out.type.dtype, out.type.dtype)}"
        if node.fill is None:
            made = f"np.empty({shape}{dtype})"
        elif is_number(node.fill, 0) and not str(node.fill.value).startswith("-"):
            made = f"np.zeros({shape}{dtype})"
        elif is_number(node.fill, 1):
            made = f"np.ones({shape}{dtype})"
        else:
            made = f"np.full({shape}, {self.text(node.fill)}{dtype})"
        self.assign(self.names[out], Expression(made))

    def bytes(self, tape: Var, size: str) -> str:
        """How many bytes numbers on a tape take."""
        each = np.dtype(tape.type.dtype).itemsize
        return str(each * int(size)) if size.isdigit() else f"{each} * ({size})"

    def copy(self, node: Copy) -> None:
        self.assign(self.names[node.out], Expression(f"{self.names[node.array]}.copy()"))

    def add_into(self, node: AddInto) -> None:
        array, source = self.names[node.array], self.names[node.source]
        self.writing(node)
        if not self.compiled:
            self.emit(f"{array} += {source}")
            return
        indices = [self.names.fresh("ijkl"[k % 4]) for k in range(node.array.type.ndim)]  # type: ignore[union-attr]
        cell = ", ".join(indices)
        body = [Statement(f"{array}[{cell}] += {source}[{cell}]", self.line)]
        for k in reversed(range(len(indices))):
            body = [Statement(f"for {indices[k]} in range({array}.shape[{k}]):", self.line, body)]
        self.lines += body

    def dim(self, node: Dim) -> None:
        array = self.names[node.array]
        value = Expression(f"{self.whole(node.array)}.shape[{node.axis}]", names=frozenset([array]))
        self.define(node, node.out, value)

    def reserve(self, node: Reserve) -> None:
        array, size = self.names[node.array], self.value(node.size)
        if node.array in self.tapes:
            self.emit(f"support.reserve({array}, {self.bytes(node.array, size.text)})")
            return
        self.flush(lambda held: array in held.names)
        if size.level < ATOM or "(" in size.text:
            needed = self.names.fresh("size")
            self.emit(f"{needed} = {size.text}")
            size = name(needed)
        grown = Statement(f"{array} = support.grow({array}, {size.text})", self.line)
        self.emit(f"if {array}.shape[0] < {size.text}:", [grown])

    # -- operations on whole arrays, calls, messages

    def op(self, node: Op) -> None:
        args = [self.contiguous(a) for a in node.args]
        made = _OPS[node.op].format(*args)
        if self.compiled and node.op in ("argsort", "matmul"):
            made = f"support.{node.op}({', '.join(args)})"  # Numba's own take seconds to compile
        if self.compiled and node.op in _FORTRAN and getattr(node.outs[0].type, "ndim", 0) > 1:
            made = f"np.ascontiguousarray({made})"
        self.results(node.outs, made)

    def contiguous(self, atom: Atom) -> str:
        if self.compiled and isinstance(atom, Var) and self.layouts.get(atom) == "A":
            return f"np.ascontiguousarray({self.names[atom]})"
        return self.text(atom)

    def results(self, outs: Sequence[Var], made: str) -> None:
        targets = [self.names[v] for v in outs]
        self.flush(lambda held: not held.names.isdisjoint(targets))
        self.emit(f"{', '.join(targets)} = {made}" if targets else made)

    def call(self, node: Call) -> None:
        args = [
            self.argument(a, p in node.function.grows) for a, p in zip(node.args, node.function.params, strict=True)
        ]
        if self.recursion is not None and node.function in self.recursion.guarded:
            args += self.floor
        self.writing(node)
        self.results(
            node.outs if self.compiled else (*node.outs, *grown(node)),
            f"{self.functions[node.function]}({', '.join(args)})",
        )

    def argument(self, atom: Atom, grows: bool) -> str:
        if isinstance(atom, Var) and atom in self.tapes and not grows:
            return self.whole(atom)
        if self.compiled and isinstance(atom, Const) and atom.type.dtype in _LITERAL:
            return f"np.{_DTYPE.get(atom.type.dtype, atom.type.dtype)}({self.text(atom)})"
        return self.text(atom)

    def message(self, exception: str, parts: Sequence[str | Atom]) -> str:
        if self.compiled and not all(isinstance(p, str) for p in parts):  # whoever catches it joins the parts
            texts = [quoted(p) if isinstance(p, str) else self.text(p) for p in parts]
        else:
            texts = [self._argument(group) for group in grouped(parts)]
        return f"raise {exception}({', '.join(texts)})"

    def _argument(self, group: list[tuple[str | None, Any]]) -> str:
        """A text, a number or a text with numbers in it."""
        if all(isinstance(part, str) for _, part in group):
            return quoted("".join(part for _, part in group))
        if len(group) == 1 and group[0][0] == VALUE:
            return self.text(group[0][1])
        return f"f{quoted(''.join(self._braced(mark, part) for mark, part in group))}"

    def _braced(self, mark: str | None, part: Any) -> str:
        if isinstance(part, str):
            return part.replace("{", "{{").replace("}", "}}")
        conversion, _, spec = (mark or "\0")[1:].partition(":")
        how = f"!{conversion}" * bool(conversion) + f":{spec}" * bool(spec)
        return f"{{{self.text(part)}{how}}}"

    def raising(self, statement: str) -> list[Statement]:
        """A `raise`, before which tapes give their memory back: Numba releases nothing on this road."""
        tapes = [*(p for p in self.function.params if p in self.function.grows), *self.made] if self.compiled else []
        texts = [*(f"support.drop({self.names[tape]})" for tape in tapes), statement]
        return [Statement(text, self.line) for text in texts]

    def stop(self, node: Raise) -> None:
        self.lines += self.raising(self.message(node.exception, node.parts))

    def check(self, node: Check) -> None:
        test = negated(self.value(node.test))
        self.emit(f"if {test.text}:", self.raising(self.message(node.exception, node.parts)))

    def write(self, node: Print) -> None:
        if self.compiled:  # Numba joins and formats nothing
            texts = [quoted(p) if isinstance(p, str) else self.text(p) for p in node.parts if not is_mark(p)]
        else:
            texts = [self._argument(group) for group in grouped(node.parts)]
        self.emit(f"print({', '.join(texts)})")

    # -- control

    @contextlib.contextmanager
    def nested(self) -> Iterator[list[Statement]]:
        """Write into a list of its own, at whose end the tapes go that were made there."""
        outer, tapes = (self.lines, self.pending, self.line), len(self.made)
        self.lines, self.pending = [], {}
        yield self.lines
        self.release(tapes)
        self.lines, self.pending, self.line = outer

    def copies(self, pairs: Iterable[tuple[Var, Atom]]) -> None:
        """Parallel assignments, one after another where the order can be chosen."""
        if self.raises():
            return
        self.assign_all([(self.names[target], self.handed(source)) for target, source in pairs])

    def handed(self, source: Atom) -> Expression:
        """What a branch or an iteration hands on: of a tape, which goes, what is on it."""
        if isinstance(source, Var) and source in self.tapes:
            return Expression(f"{self.whole(source)}.copy()")
        return self.value(source)

    def assign_all(self, pairs: Sequence[tuple[str, Expression]]) -> None:
        waiting = [(target, value) for target, value in pairs if value.text != target]
        while waiting:
            free = next((p for p in waiting if not any(p[0] in q[1].names for q in waiting if q is not p)), None)
            if free is None:
                targets, values = zip(*waiting, strict=True)
                self.emit(f"{', '.join(targets)} = {', '.join(v.text for v in values)}")
                return
            self.line = free[1].line
            self.assign(*free)
            waiting.remove(free)

    def branch(self, node: If) -> None:
        test = self.value(node.test)
        self.flush()
        with self.nested() as then:
            self.run(node.then)
            self.copies((m.out, m.then) for m in node.merges)
        with self.nested() as orelse:
            self.run(node.orelse)
            self.copies((m.out, m.orelse) for m in node.merges)
        if then:
            self.emit(f"if {test.text}:", then)
            if orelse:
                self.emit("else:", orelse)
        elif orelse:
            self.emit(f"if {negated(test).text}:", orelse)

    def enter(self, node: For | While, bounds: Sequence[Expression] = ()) -> list[str]:
        """Assign what the carries begin with; return the texts of `bounds`, which are evaluated after that."""
        inits = [(self.names[c.param], self.value(c.init)) for c in node.carries]
        assigned = {target for target, value in inits if value.text != target}
        self.flush()
        texts = []
        for bound in bounds:
            text = bound.text
            if not assigned.isdisjoint(bound.names):
                text = self.names.fresh("t")
                self.emit(f"{text} = {bound.text}")
            texts.append(text)
        self.assign_all(inits)
        self.line = node.line
        return texts

    def count(self, node: For) -> None:
        bounds = [self.value(b) for b in (node.lower, node.upper, node.step)]
        lower, upper, step = self.enter(node, bounds)
        shown = [lower, upper, step]
        if step == "1":
            shown = [upper] if lower == "0" else [lower, upper]
        with self.nested() as body:
            self.run(node.body)
            self.copies((c.param, c.next) for c in node.carries)
        if node in self.opaque:
            index = self.names[node.index]
            body.insert(0, Statement(f"{index} = support.opaque({index})"))
        function = "numba.prange" if node.parallel else "range"
        self.emit(f"for {self.names[node.index]} in {function}({', '.join(shown)}):", body or [Statement("pass")])

    def repeat(self, node: While) -> None:
        self.enter(node)
        with self.nested() as body:
            tapes = len(self.made)
            self.run(node.head)
            if len(self.made) > tapes:
                self.flush()
                self.release(tapes)
            test = self.value(node.test)
            head = len(body)
            if head:
                self.emit(f"if {negated(test).text}:", [Statement("break")])
            self.run(node.body)
            self.copies((c.param, c.next) for c in node.carries)
        self.emit("while True:" if head else f"while {test.text}:", body or [Statement("pass")])


def quoted(text: str) -> str:
    """`text` as a literal in double quotes, where that is as short."""
    return repr(text) if '"' in text or "'" in text else f'"{repr(text)[1:-1]}"'


_AUGMENTED = frozenset({"+", "-", "*", "/", "//", "%", "**"})
_DTYPE = {"bool": "bool_"}

_WRITE: dict[type[Node], Callable[[Writer, Any], None]] = {
    Let: Writer.let,
    Load: Writer.load,
    Store: Writer.store,
    Incr: Writer.increment,
    View: Writer.view,
    Alloc: Writer.alloc,
    Copy: Writer.copy,
    AddInto: Writer.add_into,
    Dim: Writer.dim,
    Reserve: Writer.reserve,
    Op: Writer.op,
    Call: Writer.call,
    If: Writer.branch,
    For: Writer.count,
    While: Writer.repeat,
    Raise: Writer.stop,
    Check: Writer.check,
    Print: Writer.write,
}
