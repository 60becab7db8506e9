"""Every registered primitive, at its own sample points: a new primitive is tested by existing.

Referees are central differences and the primitive's own implementation, never an analytic derivative. The
two modes are compared by the dot-product test <w, J v> = <J^T w, v>, which catches a wrong transpose to
rounding. Primitives that tests and documentation define (``test.``, ``docs.``) are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.api
import chainrule.arrays.functions.special
import chainrule.eager.custom  # noqa: F401
from chainrule.core.dispatch import Meta, meta_of
from chainrule.core.linear import Linear, LinearMap
from chainrule.core.live import Masked, dense
from chainrule.core.primitive import Primitive, registry
from chainrule.errors import UnsupportedError
from chainrule.rules.special import Refused
from tests import tolerances
from tests.helpers import direction, leaves
from tests.limits import LIMITS, limited
from tests.tolerances import close, rounding

RULES = {name: p for name, p in registry.items() if not name.startswith(("docs.", "test."))}
DIFFERENTIABLE = {name: p for name, p in RULES.items() if p.slots}
MODES = ("samples", "value", "jvp", "vjp", "second", "batched", "dtype", "complex", "broadcast", "masked")


class Case:
    """A primitive at one sample point, as a function of its differentiable arguments."""

    def __init__(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> None:
        self.primitive = primitive
        self.args = tuple(number(a) for a in args)
        self.params = params
        self.active = [k for k in range(len(args)) if is_active(primitive, k) and is_float(args[k])]

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


CASES = {f"{name}-{k}": case for name, p in DIFFERENTIABLE.items() for k, case in enumerate(samples(p))}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def pools(primitive: Primitive) -> list[Any]:
    """Per argument, all numbers of the samples in one vector."""
    columns = zip(*[case.args for case in samples(primitive)], strict=True)
    return [np.concatenate([np.ravel(a) for a in column]) for column in columns]


def scalar(primitive: Primitive) -> Case:
    """A sample of numbers."""
    return Case(primitive, tuple(pool[0] for pool in pools(primitive)), samples(primitive)[0].params)


ELEMENTWISE = {name: scalar(p) for name, p in DIFFERENTIABLE.items() if p.kind == "elementwise" and p.samples}
every_elementwise = pytest.mark.parametrize("case", ELEMENTWISE.values(), ids=ELEMENTWISE.keys())


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


# -- the table itself ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_has_samples_that_reach_every_active_argument(name: str) -> None:
    with limited(name, "samples"):
        primitive = DIFFERENTIABLE[name]
        reached = {k for case in samples(primitive) for k in case.active}
        wanted = {k for k in range(len(primitive.slots or ())) if is_active(primitive, k)}
        assert wanted <= reached, "give it samples=, or list it in tests/limits.py with the reason"


def test_every_limit_is_about_something() -> None:
    unknown = {key for key in LIMITS if key[0] not in RULES or key[1] not in MODES}
    assert not unknown


@pytest.mark.parametrize("name", RULES)
def test_is_well_formed(name: str) -> None:
    primitive = RULES[name]
    assert repr(primitive) == f"<primitive {name}>"
    assert registry[name] is primitive
    for slot in primitive.slots or ():
        assert slot.reads is None or all(isinstance(r, bool) for r in slot.reads)


# -- first order --------------------------------------------------------------------------------------


@every_case
def test_value_is_that_of_the_implementation(case: Case) -> None:
    with limited(case.primitive.name, "value"):
        plain = case.primitive.impl(*case.args, **case.params)
        same(case(*case.point), plain)
        same(cr.jvp(case, case.point, directions(case, 1))[0], plain)
        same(cr.vjp(case, *case.point)[0], plain)


@every_case
def test_jvp_is_the_difference_quotient(case: Case) -> None:
    with limited(case.primitive.name, "jvp"):
        check_jvp(case)


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


@every_case
def test_vjp_is_the_transpose_of_jvp(case: Case) -> None:
    with limited(case.primitive.name, "vjp"):
        check_vjp(case)


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


@pytest.mark.parametrize(
    ("name", "k"),
    [(n, k) for n, p in RULES.items() for k, s in enumerate(p.slots or ()) if isinstance(s, Refused)],
)
def test_refused_arguments_raise(name: str, k: int) -> None:
    for case in samples(RULES[name])[:1]:
        if not is_float(case.args[k]):
            continue
        with pytest.raises(UnsupportedError, match=name.removeprefix("special.")):
            cr.grad(lambda x: np.sum(RULES[name](*case.args[:k], x, *case.args[k + 1 :])))(case.args[k])


# -- second order -------------------------------------------------------------------------------------


@every_case
def test_second_order_in_every_combination_of_modes(case: Case) -> None:
    with limited(case.primitive.name, "second"):
        check_second(case)


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


# -- many at once -------------------------------------------------------------------------------------


def is_real(case: Case) -> bool:
    values = [*case.point, *leaves(case(*case.point))]
    return all(np.asarray(x).dtype.kind != "c" for x in values)


@pytest.mark.parametrize("case", [c for c in CASES.values() if is_real(c)], ids=[n for n, c in CASES.items() if is_real(c)])
def test_jacobians_are_the_columns_and_the_rows(case: Case) -> None:
    with limited(case.primitive.name, "batched"):
        for n in range(len(case.point)):
            forward = leaves(cr.jacfwd(case, n)(*case.point))
            reverse = leaves(cr.jacrev(case, n)(*case.point))
            for a, b, c in zip(forward, reverse, columns(case, n), strict=True):
                close(a, c, rounding(float), f"jacfwd in argument {n}")
                close(b, c, rounding(float), f"jacrev in argument {n}")


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
    return [np.stack(c, axis=-1).reshape(np.shape(y) + x.shape) for c, y in zip(zip(*changes, strict=True), outs, strict=True)]


@every_case
def test_batched_form_is_row_by_row(case: Case) -> None:
    with limited(case.primitive.name, "batched"):
        factors = (1.0, 1.001, 1.0005)
        stacked = [
            np.stack([np.asarray(a) * (f if is_float(a) else 1) for f in factors]).astype(np.asarray(a).dtype)
            for a in case.args
        ]
        mapped = [k in case.active or np.ndim(a) > 0 for k, a in enumerate(case.args)]
        for flags in itertools.product(*[(True, False) if m else (False,) for m in mapped]):
            if not any(flags):
                continue
            args = [s if f else a for s, a, f in zip(stacked, case.args, flags, strict=True)]
            batched = cr.vmap(
                lambda *xs: case.primitive(*xs, **case.params), tuple(0 if f else None for f in flags)
            )(*args)
            loop = [
                leaves(case.primitive.impl(*[number(a[k]) if f else a for a, f in zip(args, flags, strict=True)], **case.params))
                for k in range(len(factors))
            ]
            for have, want in zip(leaves(batched), zip(*loop, strict=True), strict=True):
                close(have, np.stack(want), rounding(float), f"batched {flags}")


# -- dtypes, shapes, complex numbers --------------------------------------------------------------------


@every_case
def test_keeps_dtypes(case: Case) -> None:
    for dtype in "feg" if is_real(case) else "F":
        kept = case.at(*[narrow(x, dtype) for x in case.point])
        with np.errstate(all="ignore"):
            try:
                plain = case.primitive.impl(*kept.args, **kept.params)
            except TypeError:
                continue  # the implementation does not take this dtype
        if all(np.isfinite(y).all() for y in leaves(plain)):
            with limited(case.primitive.name, "dtype"):
                check_dtypes(kept, plain)


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


SHAPES = {
    1: [((),), ((1,),), ((2, 3),), ((0,),), ((0, 3),)],
    2: list(itertools.product([(), (1,), (3,), (2, 1), (0,)], repeat=2)),
    3: [((), (3,), (2, 1)), ((2, 1), (), (3,)), ((3,), (3,), ()), ((), (), ()), ((0,), (1,), ())],
    4: [((), (3,), (2, 1), ()), ((3,), (), (), (2, 1))],
}


def broadcast(*shapes: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


@every_elementwise
def test_broadcasts(case: Case) -> None:
    rng = np.random.default_rng(9)
    supply = pools(case.primitive)
    with limited(case.primitive.name, "broadcast"):
        for shapes in SHAPES[len(case.args)]:
            if not broadcast(*shapes):
                continue
            args = tuple(
                rng.choice(pool, shape).astype(pool.dtype) if k in case.active else pool[0]
                for k, (pool, shape) in enumerate(zip(supply, shapes, strict=True))
            )
            there = Case(case.primitive, args, case.params)
            check_jvp(there)
            check_vjp(there)
            check_second(there)


@every_elementwise
def test_takes_arrays_without_dimensions(case: Case) -> None:
    point = tuple(np.array(x) for x in case.point)
    value, pullback = cr.vjp(case, *point)
    assert np.shape(value) == ()
    assert [type(ct) for ct in pullback(value)] == [np.ndarray] * len(point)
    same(pullback(value), tuple(np.asarray(ct) for ct in cr.vjp(case, *case.point)[1](value)))


def takes_complex(case: Case) -> bool:
    try:
        with np.errstate(all="ignore"):
            case.primitive.impl(*[a + 0.1j if k in case.active else a for k, a in enumerate(case.args)])
    except TypeError:
        return False
    return True


COMPLEX = {name: case for name, case in ELEMENTWISE.items() if takes_complex(case)}


@pytest.mark.parametrize("case", COMPLEX.values(), ids=COMPLEX.keys())
def test_complex_numbers_are_right_or_refused(case: Case) -> None:
    rng = np.random.default_rng(10)
    with limited(case.primitive.name, "complex"):
        there = case.at(*[complex(x + 0.4j * rng.uniform(0.5, 1)) for x in case.point])
        try:
            cr.jvp(there, there.point, directions(there, 2))
        except (UnsupportedError, TypeError):  # loud; what has no loop for complex numbers SciPy refuses itself
            return
        check_jvp(there)
        check_vjp(there)
        check_second(there)


# -- linear maps --------------------------------------------------------------------------------------


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


@every_case
def test_reads_is_honest(case: Case) -> None:
    """What a slot says it does not read, the map does not need: neither to apply nor to transpose."""
    tangents = dict(zip(case.active, directions(case, 11), strict=True))
    w = cotangent(case(*case.point), 12)
    for (k, lean, *_), (_, full, *_) in zip(maps(case, True), maps(case, False), strict=True):
        same(dense_leaves(lean.apply(tangents[k])), dense_leaves(full.apply(tangents[k])))
        same(dense_leaves(lean.transpose(w)), dense_leaves(full.transpose(w)))


def dense_leaves(tree: Any) -> list[Any]:
    return [dense(leaf) for leaf in leaves(tree)]


@pytest.mark.parametrize(
    "case",
    [c for c in CASES.values() if c.primitive.outputs == 1],
    ids=[n for n, c in CASES.items() if c.primitive.outputs == 1],
)
def test_pattern_covers_the_jacobian(case: Case) -> None:
    for k, linear, x, out in maps(case, True):
        jacobian = np.abs(columns(case, case.active.index(k))[0]).reshape(out.size, x.size)
        if linear.pattern == "diagonal":
            places = np.broadcast_to(np.arange(x.size).reshape(x.shape), out.shape)
            assert not np.any(jacobian[places.reshape(-1, 1) != np.arange(x.size)])
        elif linear.pattern == "structural":
            ones = dense(linear.apply(np.ones(x.shape)))
            assert np.all(ones >= 0), "the coefficients of moves and sums do not cancel"
        else:
            assert linear.pattern == "dense"


@pytest.mark.parametrize(
    "case",
    [c for c in CASES.values() if c.primitive.outputs == 1],
    ids=[n for n, c in CASES.items() if c.primitive.outputs == 1],
)
def test_masked_tangents_give_the_same_numbers_and_a_live_set_that_covers_them(case: Case) -> None:
    rng = np.random.default_rng(13)
    with limited(case.primitive.name, "masked"):
        for _, linear, x, out in maps(case, True):
            for run, meta in ((linear.apply, x), (linear.transpose, out)):
                v = np.asarray(direction(rng, np.zeros(meta.shape, meta.dtype)))
                live = rng.random(meta.shape) < 0.5
                v = np.where(live, v, np.zeros((), meta.dtype))
                have, want = run(Masked(v if v.ndim else v[()], lambda live=live: live)), run(v if v.ndim else v[()])
                close(dense(have), dense(want), rounding(float), "masked")
                if isinstance(have, Masked):
                    covered = np.broadcast_to(have.live(), np.shape(dense(have)))
                    assert not np.any(np.asarray(dense(have))[~covered]), "a dead element is not zero"
                    if isinstance(want, Masked):
                        assert not np.any(covered & ~np.broadcast_to(want.live(), covered.shape))


@every_case
def test_transposing_twice_is_applying(case: Case) -> None:
    """Maps of linear primitives are linear: their value at zero is zero, and they are homogeneous."""
    for k, linear, x, _ in maps(case, True):
        v = dict(zip(case.active, directions(case, 14), strict=True))[k]
        once, twice = dense_leaves(linear.apply(v)), dense_leaves(linear.apply(2 * v))
        for a, b in zip(once, twice, strict=True):
            close(b, 2 * np.asarray(a), rounding(float), "homogeneous")
        if isinstance(linear, Linear):
            assert linear.x.shape == x.shape
