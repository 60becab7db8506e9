"""The specification of what is well formed: `check` returns the program it is given, or raises `MalformedError`.

- Every variable is defined once, and used only in its block, after its definition, and in the blocks nested there.
- Operands and results have the types of the operation; an index has an integer for every axis of its array.
- Carries are scalars. An `If` merges an array only if each branch made it, merges it once, and it is no view.
- The head of a `While` writes nothing, prints nothing and raises only what an index or a `Check` raises.
- What `Reserve` makes larger is an `Alloc` of this function, or a parameter that it grows, and nothing views it.
- A called function lists the parameters it writes to, and its array results are storage of its own, each another.

A check is linear in the size of the program, and follows calls and rules.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from chainrule.core.primitive import registry
from chainrule.ir import ops
from chainrule.ir.nodes import (
    AddInto,
    Alloc,
    Array,
    Block,
    Call,
    Carry,
    Check,
    Const,
    Copy,
    Dim,
    For,
    Function,
    If,
    Incr,
    Let,
    Load,
    Node,
    Op,
    Print,
    Raise,
    Reserve,
    Scalar,
    Slice,
    Store,
    Type,
    Undef,
    Var,
    View,
    While,
)
from chainrule.ir.walk import acts, defines, find_writes, grown, nodes_of, roots_of, storage

__all__ = ["MalformedError", "check"]

_PYTHON: dict[str, type] = {"float64": float, "float32": float, "int64": int, "bool": bool}
_PYTHON |= {"complex128": complex, "complex64": complex}
_INT, _BOOL = Scalar("int64"), Scalar("bool")
# The axes that the arguments of an operation on whole arrays may have.
_AXES: dict[str, tuple[tuple[int, ...], ...]] = {
    "matmul": ((2, 2), (2, 1), (1, 2)),
    "solve": ((2, 1), (2, 2)),
    "inv": ((2,),),
    "det": ((2,),),
    "slogdet": ((2,),),
    "cholesky": ((2,),),
    "argsort": ((1,),),
}


class MalformedError(AssertionError):
    """A pass built a program that is none: an error of chainrule's, never of the user's."""


def check(function: Function) -> Function:
    """Return `function` if it is well formed.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT, Builder
    >>> x, y = Var("x", FLOAT), Var("y", FLOAT)
    >>> check(Function("f", (x,), Block(), (y,)))
    Traceback (most recent call last):
    ...
    chainrule.ir.check.MalformedError: f: y:float64 is used and not defined here, in the results
    """
    seen: set[Function] = set()
    waiting = [function]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        _Checker(current).run()
        waiting += current.rule or ()
        called = {n.function for n in nodes_of(current.body) if isinstance(n, Call)}
        for other in called:
            _called(other)
        waiting += called
    return function


def _called(function: Function) -> None:
    """What holds of a function because it is called."""
    unlisted = find_writes(function) - function.writes
    if unlisted:
        raise MalformedError(f"{function.name} writes to {unlisted} and does not list it")
    roots = roots_of(function)
    arrays = [roots.get(r) for r in function.results if isinstance(r, Var) and isinstance(r.type, Array)]
    if len(set(arrays)) < len(arrays) or not set(arrays).isdisjoint(function.params):
        raise MalformedError(f"{function.name} is called, and its array results are not storage of their own")


class _Checker:
    """One function: what is defined, what is visible, and what each statement may be."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.place: Any = "the parameters"
        self.defined: set[Var] = set()
        self.visible: set[Var] = set()
        self.viewed: set[Var] = set()
        self.allocated: set[Var] = set(function.grows)

    def fail(self, reason: str) -> NoReturn:
        raise MalformedError(f"{self.function.name}: {reason}, in {_place(self.place)}")

    def demand(self, condition: bool, reason: str) -> None:
        if not condition:
            self.fail(reason)

    def run(self) -> None:
        function = self.function
        for node in nodes_of(function.body):
            if isinstance(node, View):
                self.viewed.add(node.array)
        self.define(function.params)
        self.block(function.body)
        self.place = "the results"
        for result in function.results:
            self.type_of(result)
        self.demand(function.writes <= set(function.params), "writes names no parameters")
        self.demand(function.grows <= function.writes, "what grows is not written to")

    # -- names and atoms

    def define(self, variables: Iterable[Var]) -> None:
        for v in variables:
            self.demand(v not in self.defined, f"{v} is defined twice")
            self.demand(v.type.dtype in _PYTHON, f"{v!r} has no type")
            self.demand(isinstance(v.type, Scalar) or v.type.ndim >= 1, f"{v} is an array without axes")
            self.defined.add(v)
            self.visible.add(v)

    def type_of(self, atom: Any) -> Type:
        match atom:
            case Var():
                self.demand(atom in self.visible, f"{atom} is used and not defined here")
            case Const(value=value, type=Scalar(dtype=dtype)):
                right = type(value) is _PYTHON.get(dtype)
                self.demand(right and (dtype != "int64" or -(2**63) <= value < 2**63), f"{value!r} is no {dtype}")
            case Undef(type=Scalar()):
                pass
            case _:
                self.fail(f"{atom!r} is no atom")
        return atom.type  # type: ignore[no-any-return]

    def expect(self, atom: Any, type: Type) -> None:
        found = self.type_of(atom)
        self.demand(found == type, f"{atom!r} is {found} and should be {type}")

    def array(self, atom: Any) -> Array:
        self.demand(isinstance(atom, Var), f"{atom!r} is no array")
        type = self.type_of(atom)
        if not isinstance(type, Array):
            self.fail(f"{atom!r} is no array")
        return type

    def scalar(self, atom: Any) -> str:
        type = self.type_of(atom)
        self.demand(isinstance(type, Scalar), f"{atom!r} is an array, not a number")
        return type.dtype

    def parts(self, parts: Sequence[Any]) -> None:
        for p in parts:
            if not isinstance(p, str):
                self.type_of(p)

    # -- blocks

    def block(self, block: Block, entered: Sequence[Var] = ()) -> set[Var]:
        """Check the statements, and return what they define; the caller closes the scope."""
        self.define(entered)
        own = set(entered)
        for node in block.nodes:
            self.place = node
            self.node(node)
            self.place = node
            self.define(defines(node))
            own.update(defines(node))
        return own

    def node(self, node: Node) -> None:
        rule = _RULES.get(node.__class__)
        if rule is None:
            self.fail(f"{node!r} is no statement")
        rule(self, node)

    # -- scalars and memory

    def let(self, node: Let) -> None:
        self.demand(ops.is_scalar_op(node.op), f"{node.op} is no scalar operation")
        dtypes = tuple(self.scalar(a) for a in node.args)
        out = node.out.type.dtype
        self.demand(isinstance(node.out.type, Scalar), f"{node.out} is no scalar")
        if node.op == "cast":
            lost = dtypes[0].startswith("complex") and not out.startswith("complex")
            self.demand(len(dtypes) == 1 and not lost, f"a cast from {dtypes} to {out}")
        elif node.op == "where":
            self.demand(dtypes == ("bool", out, out), f"where of {dtypes} to {out}")
        else:
            made = _made(node.op, dtypes)
            self.demand(made is not None, f"{node.op} has no meaning for {dtypes}")
            self.demand(made == out, f"{node.op} of {dtypes} is {made} and not {out}")

    def cell(self, node: Load | Store | Incr) -> Scalar:
        type = self.array(node.array)
        self.demand(len(node.index) == type.ndim, f"{len(node.index)} indices for {node.array!r}")
        for i in node.index:
            self.expect(i, _INT)
        return Scalar(type.dtype)

    def load(self, node: Load) -> None:
        self.demand(self.cell(node) == node.out.type, f"{node.out!r} is not of its array's dtype")

    def store(self, node: Store | Incr) -> None:
        self.expect(node.value, self.cell(node))

    def view(self, node: View) -> None:
        type, items = self.array(node.array), node.items
        ndim = len(items)
        match node.kind:
            case "index":
                ndim = sum(isinstance(i, Slice) or i is None for i in items)
                self.demand(sum(i is not None for i in items) == type.ndim, "an item for every axis is needed")
                for item in items:
                    for bound in item if isinstance(item, Slice) else (item,):
                        if bound is not None:
                            self.expect(bound, _INT)
            case "transpose":
                axes = [i.value if isinstance(i, Const) else i for i in items]
                self.demand(sorted(axes) == list(range(type.ndim)), f"{axes} is no permutation")
            case "reshape":
                for extent in items:
                    self.expect(extent, _INT)
            case _:
                self.fail(f"{node.kind} is no kind of view")
        self.demand(node.out.type == Array(type.dtype, ndim), f"{node.out!r} is to have {ndim} axes of {type.dtype}")

    def alloc(self, node: Alloc) -> None:
        for extent in node.shape:
            self.expect(extent, _INT)
        self.demand(isinstance(node.out.type, Array), f"{node.out} is no array")
        self.demand(node.out.type == Array(node.out.type.dtype, len(node.shape)), f"{node.out!r} has another rank")
        if node.fill is not None:
            self.demand(isinstance(node.fill, Const), "the filling is to be a constant")
            self.expect(node.fill, Scalar(node.out.type.dtype))
        self.allocated.add(node.out)

    def copy(self, node: Copy) -> None:
        self.demand(self.array(node.array) == node.out.type, f"{node.out!r} is not of the copied array's type")

    def add_into(self, node: AddInto) -> None:
        self.expect(node.source, self.array(node.array))

    def dim(self, node: Dim) -> None:
        self.demand(0 <= node.axis < self.array(node.array).ndim, f"there is no axis {node.axis}")
        self.demand(node.out.type == _INT, f"{node.out!r} is no integer")

    def reserve(self, node: Reserve) -> None:
        self.grown(node.array)
        self.expect(node.size, _INT)

    def grown(self, array: Var) -> None:
        self.array(array)
        self.demand(array in self.allocated, f"{array!r} is no Alloc of this function")
        self.demand(array not in self.viewed, f"{array!r} is viewed, and its memory may move")

    # -- operations on whole arrays, calls

    def op(self, node: Op) -> None:
        self.demand(node.op in ops.ARRAY_OPS, f"{node.op} is no operation on arrays")
        types = [self.array(a) for a in node.args]
        self.demand(tuple(t.ndim for t in types) in _AXES[node.op], f"{node.op} of {types}")
        dtypes = {t.dtype for t in types}
        self.demand(len(dtypes) == 1, f"{node.op} of {types}")
        self.demand(node.op == "argsort" or dtypes <= set(ops.FLOATS), f"{node.op} of {types}")
        made = tuple(ops.ARRAY_OPS[node.op](*types))
        self.demand(made == tuple(v.type for v in node.outs), f"{node.op} gives {made}")

    def call(self, node: Call) -> None:
        function = node.function
        self.demand(len(node.args) == len(function.params), f"{function.name} has {len(function.params)} parameters")
        for a, p in zip(node.args, function.params, strict=True):
            self.expect(a, p.type)
        for array in grown(node):
            self.grown(array)
            self.demand(node.args.count(array) == 1, f"{function.name} makes {array!r} longer, and has it twice")
        made = tuple(r.type for r in function.results)
        self.demand(made == tuple(v.type for v in node.outs), f"{function.name} gives {made}")

    # -- control

    def close(self, own: set[Var]) -> None:
        self.visible -= own

    def branch(self, node: If) -> None:
        self.expect(node.test, _BOOL)
        for block, yields in (
            (node.then, [m.then for m in node.merges]),
            (node.orelse, [m.orelse for m in node.merges]),
        ):
            own = self.block(block)
            self.place = node
            born = {v for n in block.nodes for v in storage(n)}
            arrays = [a for a in yields if isinstance(a, Var) and isinstance(a.type, Array)]
            self.demand(born.issuperset(arrays), "an array is merged that its branch did not make")
            self.demand(len(set(arrays)) == len(arrays), "an array is merged twice")
            for m, atom in zip(node.merges, yields, strict=True):
                self.expect(atom, m.out.type)
            self.close(own)

    def enter(self, carries: Sequence[Carry]) -> list[Var]:
        for c in carries:
            self.demand(isinstance(c.param.type, Scalar), f"{c.param!r} is carried and no scalar")
            self.expect(c.init, c.param.type)
            self.demand(c.out.type == c.param.type, f"{c.out!r} has another type than {c.param!r}")
        return [c.param for c in carries]

    def leave(self, node: For | While, own: set[Var]) -> None:
        self.place = node
        for c in node.carries:
            self.expect(c.next, c.param.type)
        self.close(own)

    def count(self, node: For) -> None:
        for bound in (node.lower, node.upper, node.step):
            self.expect(bound, _INT)
        self.demand(not (isinstance(node.step, Const) and node.step.value == 0), "the step is 0")
        self.demand(node.index.type == _INT, f"{node.index!r} is no integer")
        self.demand(not (node.parallel and node.carries), "iterations that run at once carry something")
        self.leave(node, self.block(node.body, [node.index, *self.enter(node.carries)]))

    def repeat(self, node: While) -> None:
        params = self.enter(node.carries)
        own = self.block(node.head, params)
        self.place = node
        self.expect(node.test, _BOOL)
        self.demand(not acts(node.head), "the head has an effect")
        self.close(own - set(params))
        self.leave(node, self.block(node.body) | set(params))

    def stop(self, node: Raise | Check) -> None:
        if isinstance(node, Check):
            self.expect(node.test, _BOOL)
        kind = getattr(builtins, node.exception, None)
        self.demand(isinstance(kind, type) and issubclass(kind, Exception), f"{node.exception} is no exception")
        self.parts(node.parts)

    def write(self, node: Print) -> None:
        self.parts(node.parts)


@functools.cache
def _made(op: str, dtypes: tuple[str, ...]) -> str | None:
    """The dtype that `op` gives, None if it has no meaning for operands of these."""
    if len(set(dtypes)) > 1 and op not in ops.MIXED:
        return None
    made = ops.result_type(op, tuple(Scalar(d) for d in dtypes)).dtype
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(registry[op].impl(*(np.dtype(d).type(1) for d in dtypes))).dtype
    except (TypeError, ValueError):
        return None
    return made if np.can_cast(found, made) else None


def _place(place: Any) -> str:
    """Where it is, as people say it."""
    if isinstance(place, str):
        return place
    names = ", ".join(map(repr, defines(place)))
    line = "" if place.line is None else f" of line {place.line.number}"
    return f"{type(place).__name__}{line}" + (f" that defines {names}" if names else "")


_RULES: dict[type[Node], Any] = {
    Let: _Checker.let,
    Load: _Checker.load,
    Store: _Checker.store,
    Incr: _Checker.store,
    View: _Checker.view,
    Alloc: _Checker.alloc,
    Copy: _Checker.copy,
    AddInto: _Checker.add_into,
    Dim: _Checker.dim,
    Reserve: _Checker.reserve,
    Op: _Checker.op,
    Call: _Checker.call,
    If: _Checker.branch,
    For: _Checker.count,
    While: _Checker.repeat,
    Raise: _Checker.stop,
    Check: _Checker.stop,
    Print: _Checker.write,
}
