"""Functions with the user's own derivative: `custom_jvp` and `custom_vjp` inside a program.

The function and its rules are read into programs of the same parameters. If one rule is missing it is made from
the other: a jvp rule is transposed in its tangents, a vjp rule in its cotangents, in which they are linear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import cast, describe, materialise
from chainrule.frontends.joins import alike, leaves, rebuild
from chainrule.frontends.recursion import lift, signature
from chainrule.frontends.values import ArrayRef, Number, Static
from chainrule.ir.build import Builder, constant
from chainrule.ir.nodes import Array, Atom, Call, Function, Rule, Var
from chainrule.ir.ops import FLOATS
from chainrule.ir.walk import is_number, nodes_of

__all__ = ["call_custom", "is_custom"]


def is_custom(target: Any) -> bool:
    """Whether an object is a function with a rule of the user's."""
    return hasattr(target, "nondiff_argnums") and hasattr(target, "fwd") and hasattr(target, "jvp")


def call_custom(frame: Any, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call a function with a rule."""
    ctx: Context = frame.ctx
    if kwargs:
        raise ctx.fail("a function with a rule of its own takes positional arguments here")
    fixed = {n % len(args) for n in target.nondiff_argnums} if args else set()
    held = [materialise(ctx, args[n]) for n in sorted(fixed)]
    values = [rebuild(a, iter([materialise(ctx, x) for x in leaves(a)])) for n, a in enumerate(args) if n not in fixed]
    key = ("custom", id(target), signature({"args": tuple(values)}), tuple(id(h) for h in held))
    call = ctx.customs.get(key)  # a rule calls the function that it is the rule of
    if call is None:
        call = ctx.customs[key] = _Custom(frame, target, held, values, fixed)
        call.read()
        del ctx.customs[key]
    outs = tuple(Var("y", r.type) for r in call.function.results)
    atoms = [_atom(x) for v in values for x in leaves(v) if isinstance(x, (Number, ArrayRef))]
    ctx.builder.emit(Call(outs, call.function, (*atoms, *call.extras)))
    return rebuild(call.result, iter(_values(ctx, call.result, iter(outs))))


def _atom(leaf: Any) -> Atom:
    return leaf.atom if isinstance(leaf, Number) else leaf.var


def _values(ctx: Context, like: Any, atoms: Any) -> list[Any]:
    made = []
    for leaf in leaves(like):
        if isinstance(leaf, Number):
            leaf = Number(next(atoms), leaf.weak)
        elif isinstance(leaf, ArrayRef):
            var = next(atoms)
            leaf = ArrayRef(var, ctx.dims(var, [is_number(d, 1) for d in leaf.dims]), var)
        made.append(leaf)
    return made


class _Custom:
    """One call of a function with a rule, read for the types of its arguments."""

    def __init__(self, frame: Any, target: Any, held: list[Any], values: list[Any], fixed: set[int]) -> None:
        self.frame, self.target, self.held, self.values, self.fixed = frame, target, held, values, fixed
        self.extras: tuple[Var, ...] = ()

    def read(self) -> None:
        ctx, target, values = self.frame.ctx, self.target, self.values
        plain, self.result, more = lift(ctx, values, lambda v: self._call(target.f, self._all(v)))
        floats = [x for v in values for x in leaves(v) if _is_float(x)]
        outs = [x for x in leaves(self.result) if _is_float(x)]
        parts = [(plain, more)]
        self.function = plain
        if target.jvp is not None:
            parts.append(self._lift(self._run_jvp, floats))
        if target.fwd is not None:
            parts.append(self._lift(self._run_vjp, outs))
        known = {c.var for c in ctx.captures.values()}
        self.extras = tuple(dict.fromkeys(e for _, extras in parts for e in extras))
        for e in self.extras:
            if e not in known and e.type.dtype in FLOATS:
                raise ctx.fail(
                    f"a function with a rule of its own reads {e.hint!r} from around it, whose derivative the rule "
                    "cannot give: make it an argument"
                )
        count = sum(isinstance(x, (Number, ArrayRef)) for v in values for x in leaves(v))
        made = [_with_extras(f, count, extras, self.extras) for f, extras in parts]
        plain.params, plain.body, plain.results = made[0].params, made[0].body, made[0].results
        for f in made[1:]:
            for node in nodes_of(f.body):
                if isinstance(node, Call) and node.function is plain:
                    node.args = (*node.args, *f.params[count : count + len(self.extras)])
        jvp = made[1] if target.jvp is not None else None
        vjp = made[-1] if target.fwd is not None else None
        self.function.rule = Rule(
            jvp or _transposed(ctx, vjp, self.function, forward=False),  # type: ignore[arg-type]
            vjp or _transposed(ctx, jvp, self.function, forward=True),  # type: ignore[arg-type]
        )
        self.function.name = getattr(target, "__name__", "custom")

    def _call(self, function: Any, args: Sequence[Any]) -> Any:
        return self.frame.ctx.language.call(self.frame, Static(function), list(args), {})

    def _all(self, values: Sequence[Any]) -> list[Any]:
        supply, held = iter(values), iter(self.held)
        return [next(held) if n in self.fixed else next(supply) for n in range(len(values) + len(self.fixed))]

    def _lift(self, run: Callable[[list[Any], list[Any]], Any], more: list[Any]) -> tuple[Function, tuple[Var, ...]]:
        """A program of the arguments and a tangent or cotangent like each of `more`."""
        n = len(self.values)
        function, _, extras = lift(self.frame.ctx, [*self.values, *more], lambda v: run(v[:n], v[n:]))
        return function, extras

    def _run_jvp(self, values: list[Any], given: list[Any]) -> Any:
        supply = iter(given)
        tangents = tuple(rebuild(v, iter([_tangent(x, supply) for x in leaves(v)])) for v in values)
        result = self._call(self.target.jvp, [*self.held, tuple(values), tangents])
        if not isinstance(result, (tuple, list)) or len(result) != 2 or not alike(*result):
            raise self.frame.ctx.fail("a jvp rule returns a pair (y, y_dot) of the same structure")
        return [*self._numeric(result[0]), *self._like(leaves(self.result), leaves(result[1]))]

    def _run_vjp(self, values: list[Any], given: list[Any]) -> Any:
        ctx = self.frame.ctx
        kept = self._call(self.target.fwd, self._all(values))
        if not isinstance(kept, (tuple, list)) or len(kept) != 2:
            raise ctx.fail("fwd returns a pair (y, residuals)")
        supply = iter(given)
        ct = rebuild(self.result, iter([_tangent(x, supply) for x in leaves(self.result)]))
        cts = self._call(self.target.bwd, [*self.held, kept[1], ct])
        if not isinstance(cts, (tuple, list)) or len(cts) != len(values):
            raise ctx.fail("bwd returns a tuple of one cotangent per argument")
        found = []
        for value, share in zip(values, cts, strict=True):
            found += self._like(leaves(value), leaves(share) if alike(value, share) else [share] * len(leaves(value)))
        return [*self._numeric(kept[0]), *found]

    def _numeric(self, value: Any) -> list[Any]:
        return [x for x in leaves(value) if not isinstance(x, Static)]

    def _like(self, primals: list[Any], changes: list[Any]) -> list[Any]:
        """The changes of the float leaves, in their dtypes; None stands for zero."""
        ctx, found = self.frame.ctx, []
        for primal, change in zip(primals, changes, strict=True):
            if not _is_float(primal):
                continue
            if isinstance(change, Static) and change.value is None:
                found.append(
                    Number(constant(0, primal.dtype))
                    if isinstance(primal, Number)
                    else ctx.new(primal.dtype, primal.dims, 0.0)
                )
                continue
            same = (
                isinstance(change, Number) if isinstance(primal, Number) else getattr(change, "ndim", 0) == primal.ndim
            )
            if not same:
                raise ctx.fail(f"a rule gives {describe(change)} as the change of {describe(primal)}")
            found.append(materialise(ctx, cast(ctx, change, primal.dtype)))
        return found


def _is_float(leaf: Any) -> bool:
    return isinstance(leaf, (Number, ArrayRef)) and leaf.dtype in FLOATS


def _tangent(leaf: Any, supply: Any) -> Any:
    if _is_float(leaf):
        return next(supply)
    return Number(constant(0.0)) if isinstance(leaf, Number) else Static(None)


def _with_extras(function: Function, count: int, own: tuple[Var, ...], wanted: tuple[Var, ...]) -> Function:
    """`function` with its extra parameters after the first `count`, in the order `wanted`."""
    params = list(function.params)
    extras = dict(zip(own, params[len(params) - len(own) :], strict=True)) if own else {}
    rest = params[count : len(params) - len(own)]
    more = [extras.get(v) or Var(v.hint, v.type) for v in wanted]
    return Function(
        function.name, (*params[:count], *more, *rest), function.body, function.results, function.line, function.writes
    )


def _transposed(ctx: Context, rule: Function, plain: Function, forward: bool) -> Function:
    """A jvp rule (`forward`) as a vjp rule, or the other way round: transposed, at zero, in what it is linear in."""
    assert ctx.vjp is not None
    count, primal_results = len(plain.params), len(plain.results)
    back = ctx.vjp(rule, [k >= count for k in range(len(rule.params))])
    build = Builder()
    params = tuple(Var(p.hint, p.type) for p in plain.params)
    values = build.inline(plain, params)
    likes = [a for a in (params if forward else values) if a.type.dtype in FLOATS]
    given = [Var("seed", r.type) for r in rule.results[primal_results:]]
    seeds = [_zero(build, v) for v in values if v.type.dtype in FLOATS]
    found = build.inline(back, (*params, *(_zero(build, x) for x in likes), *seeds, *given))
    return Function(rule.name, (*params, *given), build.block, (*values, *found[len(rule.results) :]))


def _zero(build: Builder, like: Atom) -> Atom:
    if not isinstance(like.type, Array):
        return constant(0, like.type.dtype)
    assert isinstance(like, Var)
    return build.alloc(like.type.dtype, [build.dim(like, k) for k in range(like.type.ndim)], 0.0)
