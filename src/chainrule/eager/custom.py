"""The user's own rules, and `stop_gradient`.

A custom rule is honoured by the transformation of the innermost traced argument; the rule itself runs on
values of lower levels, so higher orders differentiate it. Either kind of rule gives both modes: the
pullback of a jvp rule comes from running it on a tangent that is traced and zero, the pushforward of a
vjp rule from transposing ``bwd`` in its cotangent, in which it must be linear.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.arrays.buffers import unwrap
from chainrule.core.batch import Rows
from chainrule.core.dispatch import Tracer, bind, dtype_of, innermost, meta_of, shape_of
from chainrule.core.linear import Constant, LinearMap, Slot, cast
from chainrule.core.live import add, dense
from chainrule.core.primitive import Primitive
from chainrule.core.quiet import quiet
from chainrule.eager import forward
from chainrule.eager.drivers import run_forward, trace_reverse
from chainrule.eager.forward import Dual
from chainrule.eager.reverse import Reverse, lift, secure, transpose_function
from chainrule.eager.sweep import accumulate, collected
from chainrule.errors import ArgumentError, LostDerivativeError, name_of
from chainrule.leaves import build, checked, result_leaves
from chainrule.rules.elementwise import stopped

__all__ = ["custom_jvp", "custom_vjp", "stop_gradient"]

Function = Callable[..., Any]


def stop_gradient(x: Any) -> Any:
    """`x` as a constant to every derivative.

    Parameters
    ----------
    x : number, array or container

    Returns
    -------
    The same values; of traced ones, copies without derivative.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.grad(lambda x: x * cr.stop_gradient(x))(3.0)
    3.0
    """
    leaves, structure = result_leaves(x)
    return build(structure, [_stop_leaf(leaf) for leaf in leaves])


def _stop_leaf(leaf: Any) -> Any:
    level = None
    while isinstance(leaf, Tracer) and leaf.level != level:  # rows and symbols have no derivative, and stay
        level, leaf = leaf.level, stopped(leaf)
    return leaf


# -- custom rules -------------------------------------------------------------------------------------


class Custom:
    """A function with a derivative rule of the user's."""

    def __init__(self, f: Function, nondiff_argnums: Sequence[int] = ()) -> None:
        if not callable(f):
            raise ArgumentError(f"a custom rule is for a function, not {type(f).__name__}")
        functools.update_wrapper(self, f)
        self.f = f
        self.nondiff_argnums = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else tuple(nondiff_argnums)
        self.jvp: Function | None = None
        self.fwd: Function | None = None
        self.bwd: Function | None = None
        self.checked: set[Any] = set()  # kinds of arguments for which the jvp rule has been found linear
        self._defaults = bool(getattr(f, "__defaults__", None))

    def defjvp(self, rule: Function) -> Function:
        """Set the rule ``rule(*nondiff, primals, tangents) -> (y, y_dot)``, linear in the tangents."""
        self.jvp = rule
        return rule

    def defjvps(self, *rules: Function | None) -> None:
        """Set one rule ``rule(tangent, y, *primals) -> y_dot`` per argument, None for a zero one."""

        def rule(primals: Any, tangents: Any) -> Any:
            y = self(*primals)
            total: Any = 0.0 * np.asarray(innermost(y))
            for part, tangent in zip(rules, tangents, strict=True):
                if part is not None:
                    total = total + part(tangent, y, *primals)
            return y, total

        self.jvp = rule

    def defvjp(self, fwd: Function, bwd: Function) -> None:
        """Set ``fwd(*args) -> (y, residuals)`` and ``bwd(*nondiff, residuals, y_bar) -> tuple of cotangents``."""
        self.fwd, self.bwd = fwd, bwd

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs or self._defaults:
            bound = inspect.signature(self.f).bind(*args, **kwargs)
            bound.apply_defaults()
            if kwargs and bound.kwargs:
                raise ArgumentError(f"{name_of(self.f)}: a function with a custom rule has no keyword-only arguments")
            args = bound.args
        if self.jvp is None and self.fwd is None:
            raise ArgumentError(f"{name_of(self.f)} has no rule yet: call defjvp or defvjp")
        call = CustomCall(self, args)
        top = max((x for x in call.leaves if isinstance(x, Tracer)), key=lambda x: x.level, default=None)
        if top is None:
            return self.f(*args)
        if isinstance(top, Reverse):
            return call.reverse_by_jvp(top) if self.fwd is None else call.reverse_by_vjp(top)
        if isinstance(top, Dual):
            return call.forward_by_vjp(top) if self.jvp is None else call.forward_by_jvp(top)
        if isinstance(top, Rows):
            return call.by_rows(top)
        return call.as_primitive()


class CustomCall:
    """One call of a function with a custom rule."""

    def __init__(self, custom: Custom, args: tuple[Any, ...]) -> None:
        self.custom = custom
        self.args = args
        fixed = {n % len(args) for n in custom.nondiff_argnums} if args else set()
        self.fixed = [args[n] for n in sorted(fixed)]
        self.positions = [n for n in range(len(args)) if n not in fixed]
        self.leaves, self.treedef = trees.flatten(tuple(args[n] for n in self.positions))
        self.leaves = [unwrap(leaf) for leaf in self.leaves]

    def _arguments(self, leaves: list[Any]) -> tuple[Any, ...]:
        """The differentiable arguments around other leaves."""
        return trees.unflatten(self.treedef, leaves)  # type: ignore[no-any-return]

    def _all(self, leaves: list[Any]) -> list[Any]:
        """All arguments around other leaves."""
        args = list(self.args)
        for n, argument in zip(self.positions, self._arguments(leaves), strict=True):
            args[n] = argument
        return args

    def _rule(self, primals: list[Any], tangents: list[Any]) -> tuple[list[Any], Any, list[Any]]:
        """Run the jvp rule: the leaves of the result, its structure, the leaves of the change."""
        assert self.custom.jvp is not None
        with quiet():
            result = self.custom.jvp(
                *self.fixed,
                self._arguments([_read_only(p) for p in primals]),
                self._arguments([_read_only(t) for t in tangents]),
            )
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise ArgumentError(f"the jvp rule of {name_of(self.custom.f)} must return a pair (y, y_dot)")
        values, structure = result_leaves(result[0])
        changes, _ = result_leaves(result[1])
        if len(values) != len(changes):
            raise ArgumentError(f"the jvp rule of {name_of(self.custom.f)}: y_dot has not the structure of y")
        for y, change in zip(values, changes, strict=True):
            if shape_of(y) != shape_of(change):
                raise ArgumentError(
                    f"the jvp rule of {name_of(self.custom.f)}: y has shape {shape_of(y)}, y_dot {shape_of(change)}"
                )
        return values, structure, changes

    def reverse_by_jvp(self, top: Reverse) -> Any:
        tape = top.tape
        primals, tangents = [], []
        for leaf in self.leaves:
            if isinstance(leaf, Reverse) and leaf.tape is tape:
                primals.append(leaf.value)
                tangents.append(lift(_zero(leaf), tape, leaf.slot))
            else:
                primals.append(leaf)
                tangents.append(_zero(leaf))
        values, structure, changes = self._rule(primals, tangents)
        self._check_rule(primals, tangents, changes)
        outs = []
        for y, change in zip(values, changes, strict=True):
            edges: list[Any] = []
            for part in (y, change):
                if isinstance(part, Reverse) and part.tape is tape:
                    have, want = meta_of(part.value), meta_of(y)
                    same = have.dtype == want.dtype
                    edges += (part.slot, Constant(1, None if same else have, None if same else want))
            value = y.value if isinstance(y, Reverse) and y.tape is tape else y
            if not edges:
                outs.append(value)
                continue
            out = next(tape.slots)
            tape.append([out, *edges])
            outs.append(lift(value, tape, out, True))
        return build(structure, outs)

    def _check_rule(self, primals: list[Any], tangents: list[Any], changes: list[Any]) -> None:
        """Raise unless the jvp rule is linear: zero of zero tangents, and once for each kind of argument of others."""
        custom = self.custom
        plain = [np.asarray(innermost(c)) for c in changes if not isinstance(c, (str, type(None)))]
        linear = not any(np.any(c[np.isfinite(c)]) for c in plain if c.dtype.kind in "fc")
        kind = tuple((shape_of(p), dtype_of(p).char) for p in map(innermost, primals) if not isinstance(p, str))
        if linear and kind not in custom.checked and not any(_is_batched(p) for p in primals):
            points = [innermost(p) for p in primals]
            metas = [meta_of(innermost(t)) if isinstance(t, Reverse) else None for t in tangents]

            def run(parts: Sequence[Any]) -> list[Any]:
                supply = iter(parts)
                filled = [_zero(p) if m is None else next(supply) for p, m in zip(points, metas, strict=True)]
                with np.errstate(all="ignore"):
                    changes = self._rule(points, filled)[2]
                return [c for c in changes if dtype_of(c).kind in "fc"]

            linear = _is_linear(run, [m for m in metas if m is not None])
            custom.checked.add(kind)
        if not linear:
            raise LostDerivativeError(
                f"reverse mode through {name_of(custom.f)}, which has only a jvp rule: the rule is not linear in the "
                "tangents, so no vjp follows from it. Give it a vjp rule with defvjp."
            )

    def forward_by_jvp(self, top: Dual) -> Any:
        run = top.run
        ours = [isinstance(x, Dual) and x.run is run for x in self.leaves]
        primals = [x.value if o else x for x, o in zip(self.leaves, ours, strict=True)]
        tangents = [dense(x.tangent) if o else _zero(x) for x, o in zip(self.leaves, ours, strict=True)]
        values, structure, changes = self._rule(primals, tangents)
        outs = []
        for y, change in zip(values, changes, strict=True):
            change = change.value if isinstance(change, Dual) and change.run is run else change
            if isinstance(y, Dual) and y.run is run:
                outs.append(forward.lift(y.value, add(y.tangent, change), run))
            elif dtype_of(y).kind in "fc":
                outs.append(forward.lift(y, cast(change, dtype_of(y)), run))
            else:
                outs.append(y)
        return build(structure, outs)

    def _fwd(self, primals: list[Any], level: int) -> tuple[list[Any], Any, Any]:
        """Run ``fwd``: the leaves of the result, its structure, the residuals."""
        assert self.custom.fwd is not None
        result = self.custom.fwd(*self._all([_read_only(p) for p in primals]))
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise ArgumentError(f"fwd of {name_of(self.custom.f)} must return a pair (y, residuals)")
        values, structure = result_leaves(result[0])
        kept, shape = result_leaves(result[1])
        for leaf in (*values, *kept):
            if isinstance(leaf, Tracer) and leaf.level >= level:
                raise LostDerivativeError(
                    f"fwd of {name_of(self.custom.f)} uses a traced value that is not among its arguments; its "
                    "derivative would be lost. Pass it as an argument, or use custom_jvp."
                )
        ours = {id(x) for x in values}
        for k, leaf in enumerate(kept):
            if leaf.__class__ is not np.ndarray or id(leaf) in ours:
                continue
            if not any(leaf.base is p for p in primals if p is not None):
                kept[k] = leaf.copy()  # somebody else may hold it, and overwrite it
        return values, structure, build(shape, kept)

    def _bwd(self, residuals: Any, structure: Any, cts: list[Any]) -> list[Any]:
        """Run ``bwd`` on the cotangents of the result: one cotangent, or None, per leaf of the arguments."""
        assert self.custom.bwd is not None
        result = self.custom.bwd(*self.fixed, residuals, build(structure, [_read_only(ct) for ct in cts]))
        name = name_of(self.custom.f)
        if not isinstance(result, (tuple, list)) or len(result) != len(self.positions):
            raise ArgumentError(f"bwd of {name} must return a tuple of {len(self.positions)} cotangents")
        flat: list[Any] = []
        for argument, ct in zip(self._arguments(self.leaves), result, strict=True):
            primals, _ = result_leaves(argument)
            leaves = [None] * len(primals) if ct is None else result_leaves(ct)[0]
            if len(leaves) != len(primals):
                raise ArgumentError(f"bwd of {name} returns a cotangent with another structure than its argument")
            flat.extend(
                None if c is None or dtype_of(p).kind not in "fc" else checked(c, p, f"cotangent from bwd of {name}")
                for c, p in zip(leaves, primals, strict=True)
            )
        return flat

    def reverse_by_vjp(self, top: Reverse) -> Any:
        tape = top.tape
        ours = [isinstance(x, Reverse) and x.tape is tape for x in self.leaves]
        primals = [secure(x, tape) if o else x for x, o in zip(self.leaves, ours, strict=True)]
        values, structure, residuals = self._fwd(primals, top.level)
        outs = [next(tape.slots) if dtype_of(y).kind in "fc" else None for y in values]
        slots = [x.slot if o else None for x, o in zip(self.leaves, ours, strict=True)]
        # The entry refers to no traced value of this tape: the call keeps the arguments' lower values.
        call = CustomCall(self.custom, tuple(self._all([_hollow(p) for p in primals])))
        metas = [meta_of(y) for y in values]

        def bwd(cts: list[Any]) -> list[Any]:
            filled = [_zeros(m) if c is None else dense(c) for c, m in zip(cts, metas, strict=True)]
            return call._bwd(residuals, structure, filled)

        tape.append(CustomRecord(outs, slots, bwd, [meta_of(p) for p in primals], metas, name_of(self.custom.f)))
        return build(
            structure,
            [y if out is None else lift(y, tape, out, True) for y, out in zip(values, outs, strict=True)],
        )

    def forward_by_vjp(self, top: Dual) -> Any:
        run = top.run
        ours = [isinstance(x, Dual) and x.run is run for x in self.leaves]
        primals = [x.value if o else x for x, o in zip(self.leaves, ours, strict=True)]
        values, structure, residuals = self._fwd(primals, top.level)
        active = [k for k, y in enumerate(values) if dtype_of(y).kind in "fc"]
        call = CustomCall(self.custom, tuple(self._all(primals)))

        def bwd(cts: Sequence[Any]) -> tuple[Any, ...]:
            supply = iter(cts)
            filled = [next(supply) if k in active else _zeros(meta_of(y)) for k, y in enumerate(values)]
            result = call._bwd(residuals, structure, filled)
            return tuple(_zero(p) if c is None else c for c, p, o in zip(result, primals, ours, strict=True) if o)

        metas = [meta_of(values[k]) for k in active]
        tangents = tuple(dense(x.tangent) for x, o in zip(self.leaves, ours, strict=True) if o)
        changes = iter(_forward(bwd, metas, tangents, name_of(self.custom.f)))
        return build(
            structure,
            [forward.lift(y, next(changes), run) if k in active else y for k, y in enumerate(values)],
        )

    def as_primitive(self) -> Any:
        """Have the innermost transformation interpret the call as one operation."""
        active = [
            k for k, x in enumerate(self.leaves) if isinstance(x, (Tracer, np.ndarray, np.generic, float, complex))
        ]
        structure = result_leaves(self.custom.f(*self._all([innermost(x) for x in self.leaves])))[1]

        def evaluate(*parts: Any) -> Any:
            leaves = list(self.leaves)
            for k, part in zip(active, parts, strict=True):
                leaves[k] = part
            found = result_leaves(self.custom(*self._all(leaves)))[0]
            return found[0] if structure is None else tuple(found)

        count = 1 if structure is None else structure.num_leaves
        slots = tuple(CustomSlot(None, None) for _ in active)
        made = Primitive(self.custom.f.__name__, evaluate, slots, outputs=count)
        result = bind(made, *[self.leaves[k] for k in active])
        return build(structure, [result] if structure is None else list(result))

    def by_rows(self, top: Rows) -> Any:
        batch = top.batch
        rows = []
        for k in range(batch.size):
            leaves = [x.value[k] if isinstance(x, Rows) and x.batch is batch else x for x in self.leaves]
            rows.append(result_leaves(self.custom(*self._all(leaves))))
        structure = rows[0][1]
        return build(structure, [Rows(np.stack(column), batch) for column in zip(*[r[0] for r in rows], strict=True)])


class CustomSlot(Slot):
    """An argument of a function with a custom rule, for interpreters that know primitives only."""

    __slots__ = ()

    def map(
        self, primitive: Any, index: int, y: Any, args: tuple[Any, ...], params: dict[str, Any], x: Any, out: Any
    ) -> LinearMap:
        return CustomMap(primitive.impl, index, args)


class CustomMap(LinearMap):
    """The derivative in one argument, by one run of the custom rule in either mode."""

    __slots__ = ("args", "function", "index")

    def __init__(self, function: Callable[..., Any], index: int, args: tuple[Any, ...]) -> None:
        self.function = function
        self.index = index
        self.args = args

    def _run(self, inputs: list[Any]) -> Any:
        return self.function(*self.args[: self.index], *inputs, *self.args[self.index + 1 :])

    def apply(self, tangent: Any) -> Any:
        structure, _, changes = run_forward(self._run, [self.args[self.index]], [dense(tangent)], self.function)
        return changes[0] if structure is None else tuple(changes)

    def transpose(self, ct: Any, own: bool = False) -> Any:
        trace = trace_reverse(self._run, [self.args[self.index]], self.function)
        return trace.pull(ct if isinstance(ct, tuple) else [dense(ct)])[0]


class CustomRecord:
    """The tape's entry for a function with a vjp rule."""

    __slots__ = ("bwd", "metas", "name", "outs", "slots")

    def __init__(
        self,
        outs: list[int | None],
        slots: list[int | None],
        bwd: Callable[[list[Any]], list[Any]],
        arguments: list[Any],
        results: list[Any],
        name: str,
    ) -> None:
        self.outs = outs
        self.slots = slots
        self.bwd = bwd
        self.metas = (arguments, results)
        self.name = name

    def pull(self, cts: list[Any], owned: bytearray) -> None:
        given = [None if out is None else collected(cts[out]) for out in self.outs]
        if all(c is None for c in given):
            return
        for out in self.outs:
            if out is not None:
                cts[out] = None
        for slot, ct in zip(self.slots, self.bwd(given), strict=True):
            if slot is not None and ct is not None:
                accumulate(cts, owned, slot, ct, False)

    def push(self, table: list[Any]) -> None:
        arguments, results = self.metas
        used = [k for k, slot in enumerate(self.slots) if slot is not None and table[slot] is not None]
        active = [k for k, out in enumerate(self.outs) if out is not None]
        if not used:
            return

        def bwd(cts: Sequence[Any]) -> tuple[Any, ...]:
            given: list[Any] = [None] * len(self.outs)
            for k, ct in zip(active, cts, strict=True):
                given[k] = ct
            result = self.bwd(given)
            return tuple(_zeros(arguments[k]) if result[k] is None else result[k] for k in used)

        tangents = tuple(dense(table[self.slots[k]]) for k in used)  # type: ignore[index]
        changes = _forward(bwd, [results[k] for k in active], tangents, self.name)
        for k, change in zip(active, changes, strict=True):
            table[self.outs[k]] = change  # type: ignore[index]


def _forward(
    bwd: Callable[[Sequence[Any]], tuple[Any, ...]], metas: list[Any], tangents: tuple[Any, ...], name: str
) -> list[Any]:
    """The changes of the results: ``bwd``, which must be linear, transposed."""
    _check_linear(bwd, metas, name)
    with quiet():
        return transpose_function(lambda *cts: bwd(cts), metas, tangents)


def _read_only(value: Any) -> Any:
    """A view of a plain array that a rule cannot write to."""
    if value.__class__ is np.ndarray:
        value = value.view()
        value.flags.writeable = False
    return value


def _zero(leaf: Any) -> Any:
    return _zeros(meta_of(leaf)) if not isinstance(leaf, (str, type(None))) else leaf


def _zeros(meta: Any) -> Any:
    zero = np.zeros(meta.shape, meta.dtype if meta.dtype.kind in "fc" else np.float64)
    return zero if zero.ndim else zero[()]


def _hollow(value: Any) -> Any:
    """Something with the shape and dtype of an array, and no memory."""
    if isinstance(value, (np.ndarray, Tracer)):
        zero = np.zeros((), dtype_of(value))
        return np.broadcast_to(zero, shape_of(value)) if shape_of(value) else zero[()]
    return value


def _check_linear(bwd: Callable[[Sequence[Any]], tuple[Any, ...]], metas: list[Any], name: str) -> None:
    """Raise unless ``bwd`` behaves linearly."""
    if not _is_linear(bwd, metas):
        raise LostDerivativeError(
            f"forward mode through {name}, which has only a vjp rule: its bwd is not linear in the cotangent, "
            "so no jvp follows from it. Give it a jvp rule with defjvp."
        )


def _is_linear(function: Callable[[Sequence[Any]], Sequence[Any]], metas: list[Any]) -> bool:
    """Whether a function is linear on random arguments of very different sizes and either sign."""
    rng = np.random.default_rng(0)

    def run(parts: list[Any]) -> list[Any]:
        return [np.asarray(innermost(c)) for c in function([p if p.ndim else p[()] for p in parts])]

    u, v = ([np.asarray(rng.normal(size=m.shape)).astype(m.dtype) for m in metas] for _ in range(2))
    tolerance = 1e-3 if any(m.dtype.itemsize <= 4 for m in metas) else 1e-8
    with np.errstate(all="ignore"):
        at_u, at_v = run(u), run(v)
        for scale, sign in ((1000, -1), (-1, 1)):
            left = run([scale * a + sign * b for a, b in zip(u, v, strict=True)])
            right = [scale * a + sign * b for a, b in zip(at_u, at_v, strict=True)]
            if not all(_near(a, b, tolerance) for a, b in zip(left, right, strict=True)):
                return False
    return True


def _near(a: Any, b: Any, tolerance: float) -> bool:
    # At a pole the sums are not finite, and tell nothing about linearity.
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = np.where(finite, a, 0), np.where(finite, b, 0)
    scale = np.max(np.abs(b), initial=0.0, where=np.isfinite(b))
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance * (scale or 1.0), equal_nan=True))


def _is_batched(value: Any) -> bool:
    while isinstance(value, Tracer):
        if isinstance(value, Rows):
            return True
        value = value.value
    return False


class custom_jvp(Custom):
    """A function whose derivative is given by a jvp rule.

    Parameters
    ----------
    f : callable
    nondiff_argnums : sequence of int
        Arguments without derivative; the rule gets them first.

    Notes
    -----
    Set the rule with ``defjvp(rule)``, where ``rule(primals, tangents)`` returns ``(y, y_dot)``. Reverse mode
    derives the vjp by transposition. The rule may use traced values of enclosing functions.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> @cr.custom_jvp
    ... def log1pexp(x):
    ...     return np.logaddexp(0.0, x)
    >>> @log1pexp.defjvp
    ... def rule(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), t / (1 + np.exp(-x))
    >>> cr.grad(log1pexp)(0.0)
    0.5
    """


class custom_vjp(Custom):
    """A function whose derivative is given by a vjp rule.

    Parameters
    ----------
    f : callable
    nondiff_argnums : sequence of int
        Arguments without derivative; ``bwd`` gets them first.

    Notes
    -----
    Set the rule with ``defvjp(fwd, bwd)``: ``fwd(*args)`` returns ``(y, residuals)``, ``bwd(residuals, y_bar)`` a
    tuple of cotangents (None: zero). Forward mode transposes ``bwd``, which must be linear in ``y_bar``.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> @cr.custom_vjp
    ... def square(x):
    ...     return x * x
    >>> square.defvjp(lambda x: (x * x, x), lambda x, y_bar: (2 * x * y_bar,))
    >>> cr.grad(square)(3.0)
    6.0
    """
