"""The checks that every rule must pass, and what a rule is tested at.

Referees are central differences and the primitive's own implementation, never an analytic derivative. The
two modes are compared by the dot-product test <w, J v> = <J^T w, v>, which catches a wrong transpose to
rounding. `test_every_rule` runs them over the registry, `test_checks_themselves` on rules that are wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.core.dispatch import Meta, meta_of
from chainrule.core.linear import LinearMap
from chainrule.core.live import dense
from chainrule.core.primitive import Primitive
from chainrule.rules.special import Refused
from tests import tolerances
from tests.helpers import direction, leaves
from tests.tolerances import close, rounding


class Case:
    """A primitive at one sample point, as a function of its differentiable arguments."""

    def __init__(
        self,
        primitive: Primitive,
        args: tuple[Any, ...],
        params: dict[str, Any],
        active: list[int] | None = None,
    ) -> None:
        self.primitive = primitive
        self.args = tuple(number(a) for a in args)
        self.params = params
        if active is None:
            active = [k for k in range(len(args)) if is_active(primitive, k) and is_float(args[k])]
        self.active = active

    @property
    def point(self) -> tuple[Any, ...]:
        return tuple(self.args[k] for k in self.active)

    def __call__(self, *point: Any) -> Any:
        full = list(self.args)
        for k, x in zip(self.active, point, strict=True):
            full[k] = x
        return self.primitive(*full, **self.params)

    def at(self, *point: Any) -> Case:
        """The same primitive at another point."""
        full = list(self.args)
        for k, x in zip(self.active, point, strict=True):
            full[k] = x
        return Case(self.primitive, tuple(full), self.params)


def number(x: Any) -> Any:
    """Arrays of no dimension as numbers: float64 as Python's."""
    if np.ndim(x) or isinstance(x, (int, bool)):
        return x
    x = np.asarray(x)[()]
    return float(x) if x.dtype == np.float64 else x


def is_active(primitive: Primitive, k: int) -> bool:
    slot = primitive.slot(k)
    return slot is not None and not isinstance(slot, Refused)


def is_float(x: Any) -> bool:
    return np.asarray(x).dtype.kind in "fc"


def samples(primitive: Primitive) -> list[Case]:
    if primitive.samples is None:
        return []
    rng = np.random.default_rng(20)
    return [Case(primitive, args, params) for args, params in primitive.samples(rng)]


def pools(primitive: Primitive) -> list[Any]:
    """Per argument, all numbers of the samples in one vector."""
    columns = zip(*[case.args for case in samples(primitive)], strict=True)
    return [np.concatenate([np.ravel(a) for a in column]) for column in columns]


def scalar(primitive: Primitive) -> Case:
    """A sample of numbers."""
    return Case(primitive, tuple(pool[0] for pool in pools(primitive)), samples(primitive)[0].params)


def is_real(case: Case) -> bool:
    values = [*case.point, *leaves(case(*case.point))]
    return all(np.asarray(x).dtype.kind != "c" for x in values)


# -- referees -----------------------------------------------------------------------------------------


def inner(us: Any, vs: Any) -> Any:
    """Re <u, v>, summed over the leaves."""
    total: Any = 0.0
    for u, v in zip(leaves(us), leaves(vs), strict=True):
        total = total + np.sum(np.real(np.conj(u) * v))
    return total


def differences(f: Callable[..., Any], point: tuple[Any, ...], tangents: tuple[Any, ...]) -> list[Any]:
    """Central differences of the fourth order of the leaves of `f` along `tangents`."""
    h = tolerances.STEP

    def moved(k: int) -> list[Any]:
        return leaves(f(*[x + k * h * t for x, t in zip(point, tangents, strict=True)]))

    columns = zip(moved(1), moved(-1), moved(2), moved(-2), strict=True)
    return [(8 * (np.asarray(a) - b) - (np.asarray(c) - d)) / (12 * h) for a, b, c, d in columns]


def directions(case: Case, seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    return tuple(number(direction(rng, x)) for x in case.point)


def cotangent(y: Any, seed: int) -> Any:
    """A random cotangent in the structure of `y`; None for what has no derivative (integers)."""
    rng = np.random.default_rng(seed)
    cts = [number(direction(rng, leaf)) for leaf in leaves(y)]
    return tuple(cts) if isinstance(y, tuple) else cts[0]


def same(actual: Any, desired: Any, what: str = "") -> None:
    for a, b in zip(leaves(actual), leaves(desired), strict=True):
        assert np.shape(a) == np.shape(b), what
        assert np.asarray(a).dtype == np.asarray(b).dtype, what
        np.testing.assert_array_equal(a, b, what)


# -- checks -------------------------------------------------------------------------------------------


def check_jvp(case: Case) -> None:
    v = directions(case, 2)
    _, y_dot = cr.jvp(case, case.point, v)
    for have, want in zip(leaves(y_dot), differences(case, case.point, v), strict=True):
        close(have, want, tolerances.DIFFERENCE, f"jvp at {case.point}")
    for n in range(len(v)):  # each argument alone
        alone = tuple(t if k == n else 0 * t for k, t in enumerate(v))
        _, y_dot = cr.jvp(lambda x, n=n: case(*case.point[:n], x, *case.point[n + 1 :]), (case.point[n],), (v[n],))
        for have, want in zip(leaves(y_dot), differences(case, case.point, alone), strict=True):
            close(have, want, tolerances.DIFFERENCE, f"jvp in argument {n} at {case.point}")


def check_vjp(case: Case) -> None:
    v = directions(case, 3)
    y, y_dot = cr.jvp(case, case.point, v)
    w = cotangent(y, 4)
    _, pullback = cr.vjp(case, *case.point)
    pulled = pullback(w)
    for x, ct in zip(case.point, pulled, strict=True):
        assert np.shape(ct) == np.shape(x)
        assert np.asarray(ct).dtype == np.asarray(x).dtype
    tolerance = rounding(*[np.asarray(x).dtype for x in case.point], *[np.asarray(t).dtype for t in leaves(y)])
    close(inner(pulled, v), inner(w, y_dot), tolerance, f"dot product at {case.point}")
    same(pullback(w), pulled, "the second call of a pullback")
    _, pushforward = cr.linearize(case, *case.point)
    for have, want in zip(leaves(pushforward(*v)), leaves(y_dot), strict=True):
        close(have, want, tolerance, "linearize")


def check_second(case: Case) -> None:
    v, u = directions(case, 5), directions(case, 6)
    w = cotangent(case(*case.point), 7)

    def by_jvp(*xs: Any) -> Any:
        return inner(w, cr.jvp(case, xs, v)[1])

    def by_vjp(*xs: Any) -> Any:
        return inner(cr.vjp(case, *xs)[1](w), v)

    (want,) = differences(by_jvp, case.point, u)
    every = tuple(range(len(v)))
    for name, first in (("jvp", by_jvp), ("vjp", by_vjp)):
        second = cr.jvp(first, case.point, u)[1]
        close(second, want, tolerances.SECOND_DIFFERENCE, f"jvp of {name} at {case.point}")
        second = inner(cr.grad(first, every)(*case.point), u)
        close(second, want, tolerances.SECOND_DIFFERENCE, f"grad of {name} at {case.point}")


def columns(case: Case, n: int) -> list[Any]:
    """The Jacobians in one argument, column by column."""
    x = np.asarray(case.point[n])
    f = lambda x: case(*case.point[:n], x, *case.point[n + 1 :])
    changes = []
    for unit in np.eye(x.size).reshape(x.size, *x.shape):
        changes.append(leaves(cr.jvp(f, (case.point[n],), (number(unit),))[1]))
    outs = leaves(f(case.point[n]))
    if not changes:
        return [np.zeros(np.shape(y) + x.shape) for y in outs]
    return [
        np.stack(c, axis=-1).reshape(np.shape(y) + x.shape)
        for c, y in zip(zip(*changes, strict=True), outs, strict=True)
    ]


def check_dtypes(case: Case, plain: Any) -> None:
    v = tuple(narrow(t, np.asarray(x).dtype) for t, x in zip(directions(case, 8), case.point, strict=True))
    y, y_dot = cr.jvp(case, case.point, v)
    same(y, plain)
    for value, change in zip(leaves(y), leaves(y_dot), strict=True):
        assert np.asarray(change).dtype == np.asarray(value).dtype
    check_vjp(case)
    wide = case.at(*[narrow(x, "D" if np.asarray(x).dtype.kind == "c" else "d") for x in case.point])
    precise = cr.jvp(wide, wide.point, [narrow(t, np.asarray(x).dtype) for t, x in zip(v, wide.point, strict=True)])[1]
    for have, want in zip(leaves(y_dot), leaves(precise), strict=True):
        worst = min([*leaves(y), *case.point], key=lambda x: tolerances.width(np.asarray(x).dtype))
        close(have, want, 20 * rounding(np.asarray(worst).dtype), f"jvp in {np.asarray(worst).dtype}")


def narrow(x: Any, dtype: Any) -> Any:
    """A float or complex value in another precision."""
    dtype, x = np.dtype(dtype), np.asarray(x)
    if dtype.kind == "c" and x.dtype.kind != "c":
        dtype = np.dtype(dtype.char.lower())
    return x.astype(dtype)[()]


def maps(case: Case, honest: bool) -> list[tuple[int, LinearMap, Meta, Meta]]:
    """The linear maps at the sample point, made from what `reads` promises if `honest`, else from everything."""
    primitive, made = case.primitive, []
    y = primitive.impl(*case.args, **case.params)
    out = meta_of(y) if primitive.outputs == 1 else None
    for k in case.active:
        slot = primitive.slot(k)
        assert slot is not None
        reads = slot.reads if honest and slot.reads is not None else (True,) * (len(case.args) + 1)
        reads = (*reads, *(False,) * (len(case.args) + 1 - len(reads)))
        others = [meta_of(a) if slot.wants_meta else None for a in case.args]
        kept = tuple(a if r else other for a, r, other in zip(case.args, reads[1:], others, strict=True))
        x = meta_of(case.args[k])
        linear = slot.map(primitive, k, y if reads[0] else None, kept, case.params, x, out)
        if linear is not None:
            made.append((k, linear, x, out))
    return made


def dense_leaves(tree: Any) -> list[Any]:
    return [dense(leaf) for leaf in leaves(tree)]
