"""Chainrule's transformations inside a program: of a jitted function, or called in its body.

The function is read into a program of its own, transformed, and its derivative inlined where the call stands. So
transformations nest, and a derivative may be taken inside a loop. What the function reads from around it is
constant to the inner transformation and differentiated by outer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.calls import argnum
from chainrule.core.transformation import mark_of
from chainrule.frontends import indexing
from chainrule.frontends.arrays import array_of, copy_of, transpose
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import apply, cast, describe, materialise
from chainrule.frontends.grown import written_out
from chainrule.frontends.joins import alike, leaves, rebuild
from chainrule.frontends.lifted import Lifted, library_array, seed_of, zero_like
from chainrule.frontends.values import ArrayRef, Bound, Lazy, ListArray, Number, Slicing, Static, Transformed
from chainrule.ir.build import TRUE, constant, integer
from chainrule.ir.nodes import Atom, Const
from chainrule.ir.ops import FLOATS
from chainrule.ir.walk import is_number

__all__ = ["apply_transformation", "kind_of", "make"]

_OPTIONS: dict[str, tuple[str, ...]] = {
    "grad": ("argnums", "has_aux", "holomorphic"),
    "value_and_grad": ("argnums", "has_aux", "holomorphic"),
    "jacfwd": ("argnums", "has_aux"),
    "jacrev": ("argnums", "has_aux"),
    "jacobian": ("argnums", "mode", "has_aux", "holomorphic"),
    "hessian": ("argnums", "has_aux"),
    "derivative": ("n",),
    "vmap": ("in_axes", "out_axes"),
    "jit": (),
    "checkpoint": (),
}
WIDTH, FEW = 4, 16  # columns of a Jacobian that are computed at a time; columns that are computed one by one
_CALLED = ("jvp", "vjp", "linearize", "hvp", "stop_gradient")


def kind_of(target: Any) -> str | None:
    """Which transformation of the library an object is, or ``"transformed"`` for a function made by one."""
    if mark_of(target) is not None:
        return "transformed"
    name = getattr(target, "__name__", "")
    ours = (getattr(target, "__module__", None) or "").startswith("chainrule.")
    return name if ours and (name in _OPTIONS or name in _CALLED) else None


def make(frame: Any, kind: str, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """``cr.grad(f, …)`` and the like, or the call of a function that one of them made."""
    ctx = frame.ctx
    if kind == "transformed":
        return apply_transformation(frame, from_object(target), args, kwargs)
    if kind in _CALLED:
        return _HANDLERS[kind](frame, *args, **kwargs)
    names = _OPTIONS[kind]
    options = {k: _option(ctx, v) for k, v in [*zip(names, args[1:], strict=False), *kwargs.items()]}
    if not args:
        raise ctx.fail(f"{kind} takes a function")
    return Transformed(kind, args[0], options)


def from_object(target: Any) -> Any:
    """The front end's form of a function that a transformation made outside the program."""
    made = mark_of(target)
    if made is None:
        return Static(target)
    return Transformed(made.kind, from_object(made.function), dict(made.options))


def _option(ctx: Context, value: Any) -> Any:
    if isinstance(value, Number) and isinstance(value.atom, Const):
        return value.atom.value
    if isinstance(value, Static):
        return value.value
    if isinstance(value, (tuple, list)):
        return tuple(_option(ctx, v) for v in value)
    raise ctx.fail("an option of a transformation must be known before the program runs")


def apply_transformation(frame: Any, t: Transformed, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call a transformed function."""
    handler = _HANDLERS.get(t.kind)
    if handler is None:
        raise frame.ctx.fail(f"{t.kind} inside a program")
    if t.kind in ("jit", "checkpoint"):
        return _call(frame, t.function, args, kwargs)
    return handler(frame, t.function, args, kwargs, **t.options)


def _call(frame: Any, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    return frame.ctx.language.call(frame, function, list(args), kwargs)


def _numbers(argnums: Any, count: int, function: Any) -> tuple[list[int], bool]:
    single, called = not isinstance(argnums, tuple), getattr(function, "value", function)
    return [argnum(k, count, called) for k in ((argnums,) if single else argnums)], single


def _pick(values: list[Any], chosen: list[int], single: bool) -> Any:
    return values[chosen[0]] if single else tuple(values[k] for k in chosen)


# -- reverse and forward ------------------------------------------------------------------------------


def _value_and_grad(
    frame: Any,
    function: Any,
    args: list[Any],
    kwargs: dict[str, Any],
    argnums: Any = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Any:
    ctx = frame.ctx
    if holomorphic:
        raise ctx.fail("holomorphic=True in native mode")
    chosen, single = _numbers(argnums, len(args), function)
    lifted = Lifted(frame, function, args, kwargs, chosen)
    result = lifted.result
    if has_aux and not (isinstance(result, tuple) and len(result) == 2):
        raise ctx.fail("has_aux=True: the function must return a pair (value, aux)")
    main = result[0] if has_aux else result
    if not (isinstance(main, Number) and main.dtype in ("float64", "float32")):
        if isinstance(main, Number) and main.dtype in ("int64", "bool"):
            ints = _pick([_zeros_of(ctx, a) for a in lifted.args], chosen, single)
            return lifted.value(), ints
        raise ctx.fail(f"grad of a function that returns {describe(main)}: it must return one real number")
    ctx.decide("grad", "reverse")
    rest = [None] * (len(lifted.float_outputs()) - 1)
    value, cts = lifted.pull([Number(constant(1.0, main.dtype)), *rest])
    return value, _pick(cts, chosen, single)


def _zeros_of(ctx: Context, value: Any) -> Any:
    made = [
        seed_of(ctx, leaf, 0.0) if isinstance(leaf, (Number, ArrayRef)) and leaf.dtype in FLOATS else zero_like(leaf)
        for leaf in leaves(value)
    ]
    return rebuild(value, iter(made))


def _grad(frame: Any, function: Any, args: list[Any], kwargs: dict[str, Any], **options: Any) -> Any:
    value, gradient = _value_and_grad(frame, function, args, kwargs, **options)
    return (gradient, value[1]) if options.get("has_aux") else gradient


def _tangents(ctx: Context, args: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """The given tangents in the dtypes of what they belong to."""
    made = []
    for a, t in zip(args, tangents, strict=True):
        if not alike(a, t):
            raise ctx.fail(f"the tangent {describe(t)} does not fit {describe(a)}")
        for leaf, d in zip(leaves(a), leaves(t), strict=True):
            if isinstance(leaf, Number) and leaf.dtype in FLOATS:
                if not isinstance(d, Number):
                    raise ctx.fail(f"the tangent of a number is {describe(d)}")
                made.append(cast(ctx, d, leaf.dtype))
            elif isinstance(leaf, ArrayRef) and leaf.dtype in FLOATS:
                made.append(_like(ctx, d, leaf))
    return made


def _listed(ctx: Context, like: Any, value: Any) -> Any:
    """`value` with arrays for the lists that belong to those in `like` whose length is not known."""
    if isinstance(like, ListArray) and isinstance(value, list):
        return ListArray(materialise(ctx, array_of(ctx, value)))
    if isinstance(like, (tuple, list)) and type(value) is type(like) and len(value) == len(like):
        return type(like)(_listed(ctx, a, b) for a, b in zip(like, value, strict=True))
    return value


def _like(ctx: Context, value: Any, like: ArrayRef) -> ArrayRef:
    """A tangent or cotangent as an array of the shape and dtype of `like`."""
    value = array_of(ctx, value)
    if isinstance(value, Number) or value.ndim != like.ndim:
        raise ctx.fail(f"a tangent or cotangent is {describe(value)} for {describe(like)}")
    for d, e in zip(value.dims, like.dims, strict=True):
        ctx.equal(d, e, "the shape of a tangent or cotangent")
    made: ArrayRef = materialise(ctx, value if value.dtype == like.dtype else cast(ctx, value, like.dtype))
    return made


def _jvp(frame: Any, function: Any, primals: Any, tangents: Any) -> Any:
    ctx = frame.ctx
    if (
        not isinstance(primals, (tuple, list))
        or not isinstance(tangents, (tuple, list))
        or len(primals) != len(tangents)
    ):
        raise ctx.fail("jvp takes a tuple of primals and a tuple of as many tangents")
    return _pushed(frame, function, [primals, tangents], {}, tuple(range(len(primals))))


def _vjp(frame: Any, function: Any, *primals: Any, has_aux: Any = None) -> Any:
    if has_aux is not None:
        raise frame.ctx.fail("vjp with has_aux inside a program")
    lifted = Lifted(frame, function, primals, {}, range(len(primals)))
    lifted.hold()
    return _pullback(lifted)


def _pullback(lifted: Lifted) -> Any:
    value = lifted.value()

    def pullback(frame: Any, ct: Any) -> Any:
        ct = _listed(frame.ctx, value, ct)
        if not alike(value, ct):
            raise frame.ctx.fail(f"the cotangent {describe(ct)} does not fit {describe(value)}")
        seeds = []
        for leaf, c in zip(leaves(value), leaves(ct), strict=True):
            if isinstance(leaf, Number) and leaf.dtype in FLOATS:
                seeds.append(cast(frame.ctx, c, leaf.dtype))
            elif isinstance(leaf, ArrayRef) and leaf.dtype in FLOATS:
                seeds.append(_like(frame.ctx, c, leaf))
        return tuple(lifted.pull(seeds)[1])

    return value, Bound(pullback, ())


def _linearize(frame: Any, function: Any, *primals: Any) -> Any:
    lifted = Lifted(frame, function, list(primals), {}, range(len(primals)))
    lifted.hold()
    value = lifted.value()

    def pushforward(frame: Any, *tangents: Any) -> Any:
        return lifted.push(_tangents(frame.ctx, lifted.args, tangents))[1][0]

    return value, Bound(pushforward, ())


def _pushed(frame: Any, function: Any, args: list[Any], kwargs: dict[str, Any], argnums: tuple[int, ...]) -> Any:
    """Value and tangent: ``(primals, tangents of the chosen ones)``."""
    primals, tangents = args
    lifted = Lifted(frame, function, list(primals), kwargs, argnums)
    value, (change,) = lifted.push(_tangents(frame.ctx, [lifted.args[k] for k in argnums], tangents))
    return value, change


def _pulled(frame: Any, function: Any, args: list[Any], kwargs: dict[str, Any], argnums: tuple[int, ...]) -> Any:
    """The cotangents of the chosen primals: ``(primals, ct)``."""
    primals, ct = args
    _, pullback = _pullback(Lifted(frame, function, list(primals), kwargs, argnums))
    cts = _call(frame, pullback, [ct], {})
    return tuple(cts[k] for k in argnums)


def _hvp(frame: Any, function: Any, primals: Any, tangents: Any) -> Any:
    count = len(primals)
    gradient = Transformed("grad", function, {"argnums": tuple(range(count))})
    result = _jvp(frame, gradient, primals, tangents)[1]
    return result[0] if count == 1 else result


def _derivative(frame: Any, function: Any, args: list[Any], kwargs: dict[str, Any], n: int = 1) -> Any:
    ctx = frame.ctx
    if n == 0:
        return _call(frame, function, args, kwargs)
    inner = function if n == 1 else Transformed("derivative", function, {"n": n - 1})
    lifted = Lifted(frame, inner, args[:1], kwargs, [0])
    point = lifted.args[0]
    if not isinstance(point, (Number, ArrayRef)):
        raise ctx.fail(f"derivative at {describe(point)}: the function has one variable")
    return lifted.push([seed_of(ctx, point, 1.0)])[1][0]


# -- Jacobians ----------------------------------------------------------------------------------------


def _jacobian(
    frame: Any,
    function: Any,
    args: list[Any],
    kwargs: dict[str, Any],
    argnums: Any = 0,
    mode: str = "auto",
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Any:
    ctx = frame.ctx
    if has_aux or holomorphic:
        raise ctx.fail("jacobian with has_aux or holomorphic inside a program")
    chosen, single = _numbers(argnums, len(args), function)
    lifted = Lifted(frame, function, args, kwargs, chosen)
    rows, columns = lifted.extents()
    if mode == "auto":
        scalar = len(lifted.float_outputs()) == 1 and isinstance(lifted.float_outputs()[0], Number)
        fewer = rows is not None and columns is not None and rows < columns
        mode = "reverse" if scalar or fewer else "forward"
    ctx.decide("jacobian", mode, columns if mode == "forward" else rows)
    value = lifted.value()
    build = _columns if mode == "forward" else _rows
    table = build(ctx, lifted, value)
    if _has_list(value) and not (single and isinstance(lifted.args[chosen[0]], (Number, ArrayRef))):
        raise ctx.fail("the jacobian in several arguments of a list whose length is not known: return np.array of it")
    result = []
    for out_leaf in range(len(leaves(value))):
        per_argument = []
        for k in chosen:
            parts = [table[out_leaf, k, n] for n in range(len(leaves(lifted.args[k])))]
            per_argument.append(rebuild(lifted.args[k], iter(parts)))
        result.append(per_argument[0] if single else tuple(per_argument))
    return rebuild(value, iter(result))


def _dims(value: Any) -> tuple[Atom, ...]:
    return value.dims if isinstance(value, ArrayRef) else ()


def _blocks(ctx: Context, lifted: Lifted, value: Any) -> dict[tuple[int, int, int], Any]:
    """Room for the derivative of every result with respect to every part of every argument."""
    table: dict[tuple[int, int, int], Any] = {}
    for o, out in enumerate(leaves(value)):
        for k, a in enumerate(lifted.args):
            for n, leaf in enumerate(leaves(a)):
                if not (isinstance(leaf, (Number, ArrayRef)) and isinstance(out, (Number, ArrayRef))):
                    table[o, k, n] = Static(None)
                    continue
                dims = (*_dims(out), *_dims(leaf))
                table[o, k, n] = ctx.new(out.dtype, dims, 0.0, hint="jacobian") if dims else None
    return table


def _columns(ctx: Context, lifted: Lifted, value: Any) -> dict[tuple[int, int, int], Any]:
    table = _blocks(ctx, lifted, value)
    points = [(k, n, leaf) for k, a in enumerate(lifted.args) for n, leaf in enumerate(leaves(a))]
    active = iter(lifted.active)
    places = [p for p in points if isinstance(p[2], (Number, ArrayRef)) and next(active)]
    numbers = [p for p in places if isinstance(p[2], Number)]
    for first in range(0, len(numbers), WIDTH):
        part = numbers[first : first + WIDTH]
        changes = lifted.push(*[_seeds(ctx, places, p, (), TRUE) for p in part])[1]
        for (k, n, _), change in zip(part, changes, strict=True):
            _put_all(ctx, table, change, (k, n), ())
    for place in places:
        if isinstance(place[2], ArrayRef):
            _columns_of(ctx, lifted, places, place, table)
    return table


def _columns_of(ctx: Context, lifted: Lifted, places: list[Any], place: Any, table: dict[Any, Any]) -> None:
    """The columns of one array, several at a time along its last axis."""
    k, n, array = place
    *outer, last = array.dims
    columns = lifted.extents()[1]
    width = 1 if is_number(last, 1) or (columns is not None and columns < FEW) else WIDTH
    more = ctx.let("add", last, integer(width - 1))
    with ctx.nest(outer) as before, ctx.nest([ctx.let("floor_divide", more, integer(width))]) as (chunk,):
        start = ctx.let("multiply", chunk, integer(width))
        ends = [ctx.let("add", start, integer(j)) for j in range(width)]
        tests = [TRUE, *[ctx.let("less", e, last) for e in ends[1:]]]
        seeds = [_seeds(ctx, places, place, (*before, e), t) for e, t in zip(ends, tests, strict=True)]
        changes = lifted.push(*seeds)[1]
        for end, test, change in zip(ends, tests, changes, strict=True):
            with ctx.inside(ctx.when(test)):
                _put_all(ctx, table, change, (k, n), (*before, end))


def _seeds(ctx: Context, places: list[Any], chosen: Any, index: tuple[Atom, ...], test: Atom) -> list[Any]:
    """The direction of one column: a 1 at `index` of the chosen place if `test` is true, structural zeros elsewhere."""
    _, _, leaf = chosen
    seed = seed_of(ctx, leaf, 1.0 if isinstance(leaf, Number) else 0.0)
    if isinstance(leaf, ArrayRef):
        with ctx.inside(ctx.when(test)):
            ctx.builder.store(seed.var, index, constant(1.0, leaf.dtype))
    return [seed if place is chosen else None for place in places]


def _put_all(ctx: Context, table: dict[Any, Any], change: Any, place: tuple[int, int], index: tuple[Atom, ...]) -> None:
    for o, out in enumerate(leaves(change)):
        key = (o, *place)
        table[key] = _put(ctx, table[key], out, (), index)


def _rows(ctx: Context, lifted: Lifted, value: Any) -> dict[tuple[int, int, int], Any]:
    table = _blocks(ctx, lifted, value)
    outs = [(o, v) for o, v in enumerate(leaves(value)) if isinstance(v, (Number, ArrayRef)) and v.dtype in FLOATS]
    for spot, (o, out) in enumerate(outs):
        with ctx.nest(_dims(out)) as index:
            seed = seed_of(ctx, out, 1.0 if isinstance(out, Number) else 0.0)
            if isinstance(out, ArrayRef):
                ctx.builder.store(seed.var, index, constant(1.0, out.dtype))
            _, cts = lifted.pull([seed if k == spot else None for k in range(len(outs))])
            for k, ct in enumerate(cts):
                for n, leaf in enumerate(leaves(ct)):
                    table[o, k, n] = _put(ctx, table[o, k, n], leaf, index, ())
    return table


def _put(ctx: Context, block: Any, value: Any, before: tuple[Atom, ...], after: tuple[Atom, ...]) -> Any:
    """Write one column or row of a Jacobian; a number by a number is the derivative itself."""
    if isinstance(block, Static) or isinstance(value, Static):
        return block
    if block is None:
        return value
    with ctx.nest(_dims(value)) as index:
        item = value.atom if isinstance(value, Number) else ctx.builder.load(value.var, *index)
        ctx.builder.store(block.var, (*before, *index, *after), ctx.builder.cast(item, block.dtype))
    return block


def _jacfwd(frame: Any, function: Any, args: list[Any], kwargs: dict[str, Any], **options: Any) -> Any:
    return _jacobian(frame, function, args, kwargs, mode="forward", **options)


def _jacrev(frame: Any, function: Any, args: list[Any], kwargs: dict[str, Any], **options: Any) -> Any:
    return _jacobian(frame, function, args, kwargs, mode="reverse", **options)


def _hessian(frame: Any, function: Any, args: list[Any], kwargs: dict[str, Any], argnums: Any = 0) -> Any:
    gradient = Transformed("grad", function, {"argnums": argnums})
    return _jacobian(frame, gradient, args, kwargs, mode="forward", argnums=argnums)


# -- batches ------------------------------------------------------------------------------------------


def _vmap(
    frame: Any, function: Any, args: list[Any], kwargs: dict[str, Any], in_axes: Any = 0, out_axes: Any = 0
) -> Any:
    ctx = frame.ctx
    axes = list(in_axes) if isinstance(in_axes, tuple) else [in_axes] * len(args)
    if len(axes) != len(args):
        raise ctx.fail(f"vmap: in_axes has {len(axes)} entries for {len(args)} arguments")
    args = [library_array(ctx, a) for a in args]
    size: Atom | None = None
    for a, axis in zip(args, axes, strict=True):
        for leaf in leaves(a) if axis is not None else ():
            if not isinstance(leaf, ArrayRef):
                raise ctx.fail(f"vmap over {describe(leaf)}: mapped arguments are arrays")
            extent = leaf.dims[axis % leaf.ndim]
            if size is None:
                size = extent
            ctx.equal(size, extent, "mapped axes")
    if size is None:
        raise ctx.fail("vmap: at least one argument must be mapped")

    def row(k: Atom) -> list[Any]:
        rows = []
        for a, axis in zip(args, axes, strict=True):
            made = [leaf if axis is None else _row(ctx, leaf, axis, k) for leaf in leaves(a)]
            rows.append(rebuild(a, iter(made)))
        return rows

    probe = Lifted(frame, function, row(integer(0)), kwargs, [])
    shapes = leaves(probe.value()) if any(isinstance(o, ArrayRef) for o in probe.outputs) else leaves(probe.result)
    if _has_list(probe.result):
        raise ctx.fail("vmap of a function that returns a list whose length is not known: return np.array of it")
    made: list[Any] = []
    for leaf in shapes:
        if not isinstance(leaf, (Number, ArrayRef)):
            raise ctx.fail(f"vmap of a function that returns {describe(leaf)}")
        made.append(ctx.new(leaf.dtype, (size, *_dims(leaf)), hint="rows"))
    with ctx.loop(size, "b") as node:
        values = _call(frame, function, row(node.index), kwargs)
        for out, leaf in zip(made, leaves(values), strict=True):
            if isinstance(leaf, Number):
                ctx.builder.store(out.var, (node.index,), ctx.builder.cast(leaf.atom, out.dtype))
            else:
                items = (Number(node.index), *[Slicing(None, None, None)] * leaf.ndim)
                indexing.assign(ctx, out, items, leaf if isinstance(leaf, Lazy) else copy_of(ctx, leaf))
    if out_axes != 0:
        made = [_moved(ctx, m, out_axes) for m in made]
    return rebuild(probe.result, iter(made))


def _has_list(value: Any) -> bool:
    parts = value if isinstance(value, (tuple, list)) else value.values() if isinstance(value, dict) else ()
    return isinstance(value, ListArray) or any(_has_list(part) for part in parts)


def _row(ctx: Context, leaf: ArrayRef, axis: int, k: Atom) -> Any:
    items: list[Any] = [Slicing(None, None, None)] * leaf.ndim
    items[axis % leaf.ndim] = Number(k, weak=True)
    return indexing.subscript(ctx, leaf, tuple(items))


def _moved(ctx: Context, array: ArrayRef, axis: int) -> Any:
    order = list(range(1, array.ndim))
    order.insert(axis % array.ndim, 0)
    return transpose(ctx, array, tuple(order))


def _stop_gradient(frame: Any, value: Any) -> Any:
    ctx = frame.ctx
    value = rebuild(value, iter([written_out(ctx, leaf) for leaf in leaves(value)]))
    made = [
        apply(ctx, "stop_gradient", leaf, weak=True) if isinstance(leaf, (Number, ArrayRef, Lazy)) else leaf
        for leaf in leaves(value)
    ]
    return rebuild(value, iter(made))


_HANDLERS: dict[str, Callable[..., Any]] = {
    "grad": _grad,
    "value_and_grad": _value_and_grad,
    "jvp": _jvp,
    "vjp": _vjp,
    "linearize": _linearize,
    "hvp": _hvp,
    "derivative": _derivative,
    "jacobian": _jacobian,
    "jacfwd": _jacfwd,
    "jacrev": _jacrev,
    "hessian": _hessian,
    "vmap": _vmap,
    "jit": _call,
    "checkpoint": _call,
    "push": _pushed,
    "pull": _pulled,
    "stop_gradient": _stop_gradient,
}
