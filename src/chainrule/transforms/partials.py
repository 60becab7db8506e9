"""The derivative rules of the registry as programs.

``partial(op, index, operands)`` runs the rule of a scalar operation on symbols and gives a small `Function` of
``(out, *args)`` that computes the partial derivative. `push` and `pull` append what the partial contributes to
the tangent of the output and to the cotangent of the argument: the one place that knows of structural zeros,
of conjugation under Re<u, v> and of dtypes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import chainrule.eager.reverse  # noqa: F401  transposes linear functions
from chainrule.core.dispatch import Meta
from chainrule.core.linear import LinearMap, Selection, Slot, Wirtinger, lift
from chainrule.core.primitive import Primitive, registry
from chainrule.errors import UnsupportedError
from chainrule.ir import ops
from chainrule.ir.build import Builder, constant
from chainrule.ir.nodes import Array, Atom, Block, Const, Function, Node, Scalar, Type, Var
from chainrule.ir.walk import defines, is_number, nodes_of, reads
from chainrule.transforms.symbols import Sym, SymbolBuilder, atom_of, symbol, written

__all__ = [
    "Operand",
    "Partial",
    "array_cotangent",
    "array_tangent",
    "convert",
    "operands_of",
    "params_read",
    "partial",
    "pull",
    "push",
]

# What is known of an argument: its type, or that it is a constant.
Operand = Scalar | Const


class Partial(NamedTuple):
    """The partial derivative of a scalar operation in one argument.

    `function` takes ``(out, *args)``; `reads` says which of these it uses. It has one result, or, for a function
    that is not holomorphic, two: the partials with respect to z and to its conjugate. `structural`: where the
    partial is zero the argument was not selected, and contributes nothing whatever it is multiplied by.
    """

    function: Function
    reads: tuple[bool, ...]
    structural: bool


def operands_of(args: Sequence[Atom]) -> tuple[Operand, ...]:
    """What `partial` wants to know of the arguments of a node."""
    return tuple(a if isinstance(a, Const) else a.type for a in args)  # type: ignore[misc]


def partial(op: str, index: int, operands: tuple[Operand, ...]) -> Partial | None:
    """The partial derivative of ``op(*operands)`` in argument `index`; None if it is zero everywhere.

    `where` and `cast` are linear, and the business of who meets them.
    """
    return _cached(op, index, operands, tuple([repr(a.value) for a in operands if isinstance(a, Const)]))


def push(build: Builder, rule: Partial, values: Sequence[Atom], tangent: Atom, out: Scalar) -> Atom:
    """What a `tangent` of the argument contributes to that of the output; `values` are ``(out, *args)``."""
    d, *conjugate = build.inline(rule.function, values)
    change = _scaled(build, d, tangent, rule.structural)
    if conjugate:
        change = build.let("add", change, _scaled(build, conjugate[0], _conjugate(build, tangent), False))
    return convert(build, change, out.dtype)


def pull(build: Builder, rule: Partial, values: Sequence[Atom], ct: Atom, arg: Scalar) -> Atom:
    """What the cotangent `ct` of the output contributes to that of the argument."""
    d, *conjugate = build.inline(rule.function, values)
    share = _scaled(build, _conjugate(build, d), ct, rule.structural)
    if conjugate:
        share = build.let("add", share, _scaled(build, conjugate[0], _conjugate(build, ct), False))
    return convert(build, share, arg.dtype)


def convert(build: Builder, value: Atom, dtype: str) -> Atom:
    """`value` in `dtype`; what belongs to a real number loses its imaginary part."""
    if value.type.dtype.startswith("complex") and not dtype.startswith("complex"):
        value = build.let("real", value)
    return build.cast(value, dtype)


def _scaled(build: Builder, d: Atom, value: Atom, structural: bool) -> Atom:
    dtype = d.type.dtype
    product = build.let("multiply", build.cast(value, dtype), d)
    if not structural or isinstance(d, Const):
        return product
    zero = constant(0, dtype)
    return build.let("where", build.let("not_equal", d, zero), product, zero)


def _conjugate(build: Builder, value: Atom) -> Atom:
    return build.let("conjugate", value) if value.type.dtype.startswith("complex") else value


# -- running a rule ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def _cached(op: str, index: int, operands: tuple[Operand, ...], exact: tuple[str, ...]) -> Partial | None:
    """`exact` tells constants apart that are equal: 0.0 and -0.0."""
    return _write(op, index, operands)


def _write(op: str, index: int, operands: tuple[Operand, ...]) -> Partial | None:
    primitive = registry[op]
    if primitive.slots is None:
        raise UnsupportedError(
            f"{op} has no derivative rule: cut it with chainrule.stop_gradient, or give it a rule with "
            "chainrule.custom_jvp"
        )
    types = tuple(a.type if isinstance(a, Const) else a for a in operands)
    arg, out = types[index], ops.result_type(op, types)
    slot = primitive.slot(index)
    if slot is None or arg.dtype not in ops.FLOATS or out.dtype not in ops.FLOATS:
        return None
    statements, structural = _statements(primitive, index, slot, arg)
    build = SymbolBuilder(arg.dtype)
    params = (Var("y", out), *(Var(f"x{k}" if len(types) > 1 else "x", t) for k, t in enumerate(types)))
    values = [
        lift(a.value, np.dtype(out.dtype)) if isinstance(a, Const) else Sym(p, build)
        for a, p in zip((out, *operands), params, strict=True)
    ]
    # Of the change of the output and of the change of the argument the wider.
    dtype = np.result_type(arg.dtype, out.dtype).name
    results = tuple(atom_of(s(*values) if callable(s) else s, dtype, build) for s in statements)
    if all(is_number(r, 0) for r in results):
        return None
    function = Function(f"d_{op}", params, _used(build.block, results), results)
    return Partial(function, params_read(function), structural)


def _statements(primitive: Primitive, index: int, slot: Slot, arg: Scalar) -> tuple[tuple[Any, ...], bool]:
    """The functions or numbers that a slot states, and whether their zeros are structural."""
    statement = slot.statement
    if isinstance(statement, str):  # the slot says why it has no derivative
        slot.map(primitive, index, None, (), {}, _META, _META)
    if isinstance(statement, Wirtinger):
        if arg.dtype.startswith("complex"):
            return (statement.partial, statement.partial_conj), False
        statement = statement.real
    if isinstance(statement, Selection):
        return (statement.share,), True
    return (0 if statement is None else statement,), False


def _used(block: Block, results: Sequence[Atom]) -> Block:
    """The nodes, all of them `Let`, that `results` depend on."""
    used = set(results)
    kept: list[Node] = []
    for node in reversed(block.nodes):
        if not used.isdisjoint(defines(node)):
            used.update(reads(node))
            kept.append(node)
    return Block(kept[::-1])


def params_read(function: Function) -> tuple[bool, ...]:
    """Which parameters `function` reads or returns."""
    used = {a for node in nodes_of(function.body) for a in reads(node)} | set(function.results)
    return tuple(p in used for p in function.params)


# -- operations on whole arrays ------------------------------------------------------------------------

# The axes of arguments and results, by the numbers of axes of the arguments.
_AXES = {
    ("matmul", 2, 2): "mk,kn->mn",
    ("matmul", 2, 1): "mk,k->m",
    ("matmul", 1, 2): "k,kn->n",
    ("solve", 2, 2): "nn,nm->nm",
    ("solve", 2, 1): "nn,n->n",
    ("inv", 2): "nn->nn",
    ("det", 2): "nn->",
    ("slogdet", 2): "nn->,",
    ("cholesky", 2): "nn->nn",
}
_LENGTHS = {"m": 5, "k": 7, "n": 11}  # what stands for extents: different, and not 1
_META = Meta((), np.dtype(np.float64))


@functools.lru_cache(maxsize=256)
def array_tangent(op: str, index: int, types: tuple[Array, ...]) -> Function | None:
    """The tangents of the results of a whole-array operation, from that of argument `index`.

    The function takes ``(*outs, *args, tangent)`` and has a tangent for every result that is float or complex,
    an array always memory of its own. None if the derivative is zero.
    """
    if not _has_rule(op, index):
        return None
    rule = _ArrayRule(op, types)
    changes = _variables(["x_dot"], [types[index]])
    (tangent,) = rule.symbols(changes, [rule.shapes[index]])
    return rule.function(f"{op}_tangent", changes, rule.map(index).apply(tangent), rule.types)


@functools.lru_cache(maxsize=256)
def array_cotangent(op: str, index: int, types: tuple[Array, ...]) -> Function | None:
    """The cotangent of argument `index` of a whole-array operation, from those of its results.

    The function takes ``(*outs, *args, *cts)`` with a cotangent for every result that is float or complex, and
    gives an array of its own. None if the derivative is zero.
    """
    if not _has_rule(op, index):
        return None
    rule = _ArrayRule(op, types)
    changes = _variables(["y_bar", "z_bar"], rule.types)
    cts = rule.symbols(changes, rule.out_shapes)
    return rule.function(f"{op}_cotangent", changes, rule.map(index).transpose(_one(cts)), types[index : index + 1])


class _ArrayRule:
    """The rule of a whole-array operation on symbols for its results and arguments."""

    def __init__(self, op: str, types: tuple[Array, ...]) -> None:
        self.primitive = registry[op]
        self.build = SymbolBuilder(types[0].dtype)
        self.types: tuple[Type, ...] = ops.ARRAY_OPS[op](*types)
        before, after = _AXES[(op, *(t.ndim for t in types))].split("->")
        self.shapes, self.out_shapes = ([_lengths(part) for part in s.split(",")] for s in (before, after))
        args, outs = _variables("ab", types), _variables("yz", self.types)
        self.args, self.outs = self.symbols(args, self.shapes), self.symbols(outs, self.out_shapes)
        self.params = (*outs, *args)

    def symbols(self, variables: Sequence[Var], shapes: Sequence[tuple[int, ...]]) -> list[Sym]:
        return [symbol(self.build, v, s) for v, s in zip(variables, shapes, strict=True)]

    def map(self, index: int) -> LinearMap:
        slot = self.primitive.slot(index)
        assert slot is not None
        metas = self.args[index].value, self.outs[0].value
        linear = slot.map(self.primitive, index, _one(self.outs), tuple(self.args), {}, *metas)
        assert linear is not None
        return linear

    def function(self, name: str, changes: Sequence[Var], values: Any, types: Sequence[Type]) -> Function:
        """The function of results, arguments and `changes` that returns `values`."""
        values = values if isinstance(values, tuple) else (values,)
        results = tuple(written(v, t, self.build) for v, t in zip(values, types, strict=True))
        return Function(name, (*self.params, *changes), self.build.block, results)


def _has_rule(op: str, index: int) -> bool:
    return op in registry and registry[op].slot(index) is not None


def _variables(hints: Sequence[str], types: Sequence[Type]) -> list[Var]:
    return [Var(hint, type) for hint, type in zip(hints, types, strict=False)]


def _lengths(axes: str) -> tuple[int, ...]:
    return tuple(_LENGTHS[a] for a in axes)


def _one(values: Sequence[Any]) -> Any:
    """What a primitive returns: a tuple if there are several results."""
    return values[0] if len(values) == 1 else tuple(values)
