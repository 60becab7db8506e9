"""Every registered primitive, at its own sample points: a new primitive is tested by existing.

What is checked, and against which referees, is in `rule_checks`. Primitives that tests and documentation
define (``test.``, ``docs.``) are left out.
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
import chainrule.eager.custom
from chainrule.core.linear import Linear
from chainrule.core.live import Masked, dense
from chainrule.core.primitive import registry
from chainrule.errors import UnsupportedError
from chainrule.rules.special import Refused
from tests.helpers import direction, leaves
from tests.limits import LIMITS, limited
from tests.rule_checks import (
    Case,
    check_dtypes,
    check_jvp,
    check_second,
    check_vjp,
    columns,
    cotangent,
    dense_leaves,
    directions,
    is_active,
    is_float,
    is_real,
    maps,
    narrow,
    number,
    pools,
    same,
    samples,
)
from tests.test_structural_zeros import KEPT
from tests.tolerances import close, rounding
from tests.zoo import PROGRAMS

RULES = {name: p for name, p in registry.items() if not name.startswith(("docs.", "test."))}
DIFFERENTIABLE = {name: p for name, p in RULES.items() if p.slots}
CASES = {name: cases for name, p in DIFFERENTIABLE.items() if (cases := samples(p))}
ELEMENTWISE = [name for name in CASES if RULES[name].kind == "elementwise"]
MODES = {"samples", "value", "jvp", "vjp", "second", "batched", "dtype", "complex", "broadcast", "masked", "vmap"}
MODES |= {"native", "native forward"}

every_rule = pytest.mark.parametrize("name", CASES)
every_elementwise = pytest.mark.parametrize("name", ELEMENTWISE)


def at_samples(name: str, mode: str, check: Callable[[Case], None]) -> None:
    """Run a check at every sample point of a primitive."""
    with limited(name, mode):
        for k, case in enumerate(CASES[name]):
            try:
                check(case)
            except Exception as error:
                error.add_note(f"sample {k} of {name}: {case.args} {case.params}")
                raise


# -- the table itself ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_has_samples_that_reach_every_active_argument(name: str) -> None:
    with limited(name, "samples"):
        primitive = DIFFERENTIABLE[name]
        reached = {k for case in CASES.get(name, ()) for k in case.active}
        wanted = {k for k in range(len(primitive.slots or ())) if is_active(primitive, k)}
        assert wanted <= reached, "give it samples=, or list it in tests/limits.py with the reason"


def test_every_limit_is_about_something() -> None:
    programs = {program.name for program in PROGRAMS} | {*KEPT, "ties of sorted values"}
    assert not {(what, mode) for what, mode in LIMITS if what not in {*RULES, *programs} or mode not in MODES}


@pytest.mark.parametrize("name", RULES)
def test_is_well_formed(name: str) -> None:
    primitive = RULES[name]
    assert repr(primitive) == f"<primitive {name}>"
    assert registry[name] is primitive
    for slot in primitive.slots or ():
        assert slot.reads is None or all(isinstance(r, bool) for r in slot.reads)


# -- values and first derivatives ---------------------------------------------------------------------


@every_rule
def test_value_is_that_of_the_implementation(name: str) -> None:
    def check(case: Case) -> None:
        plain = case.primitive.impl(*case.args, **case.params)
        same(case(*case.point), plain)
        same(cr.jvp(case, case.point, directions(case, 1))[0], plain)
        same(cr.vjp(case, *case.point)[0], plain)

    at_samples(name, "value", check)


@every_rule
def test_jvp_is_the_difference_quotient(name: str) -> None:
    at_samples(name, "jvp", check_jvp)


@every_rule
def test_vjp_is_the_transpose_of_jvp(name: str) -> None:
    at_samples(name, "vjp", check_vjp)


REFUSED = [(n, k) for n, p in RULES.items() for k, s in enumerate(p.slots or ()) if isinstance(s, Refused)]


@pytest.mark.parametrize(("name", "k"), REFUSED)
def test_refused_arguments_raise(name: str, k: int) -> None:
    for case in CASES.get(name, ())[:1]:
        if is_float(case.args[k]):
            f = lambda x: np.sum(np.real(RULES[name](*case.args[:k], x, *case.args[k + 1 :])))
            for transformed in (cr.grad(f), cr.jacfwd(f)):
                with pytest.raises(UnsupportedError, match=name.removeprefix("special.")):
                    transformed(case.args[k])


@every_rule
def test_second_order_in_every_combination_of_modes(name: str) -> None:
    at_samples(name, "second", check_second)


# -- many at once -------------------------------------------------------------------------------------


@every_rule
def test_jacobians_are_the_columns_and_the_rows(name: str) -> None:
    def check(case: Case) -> None:
        if not is_real(case):
            return
        for n in range(len(case.point)):
            forward = leaves(cr.jacfwd(case, n)(*case.point))
            reverse = leaves(cr.jacrev(case, n)(*case.point))
            for a, b, c in zip(forward, reverse, columns(case, n), strict=True):
                close(a, c, rounding(float), f"jacfwd in argument {n}")
                close(b, c, rounding(float), f"jacrev in argument {n}")

    at_samples(name, "batched", check)


@every_rule
def test_batched_form_is_row_by_row(name: str) -> None:
    def check(case: Case) -> None:
        # Fixed numbers may have to be numbers; everything else is batched or not, in every combination.
        mapped = [k in case.active or np.ndim(a) > 0 for k, a in enumerate(case.args)]
        for flags in itertools.product(*[(True, False) if m else (False,) for m in mapped]):
            if any(flags):
                check_rows(case, flags)

    at_samples(name, "batched", check)


def check_rows(case: Case, flags: tuple[bool, ...]) -> None:
    """Compare vmap over the flagged arguments with a loop of the implementation."""
    factors = (1.0, 1.001, 1.0005)

    def stacked(x: Any) -> Any:
        return np.stack([np.asarray(x) * (f if is_float(x) else 1) for f in factors])

    args = [stacked(a) if f else a for a, f in zip(case.args, flags, strict=True)]
    axes = tuple(0 if f else None for f in flags)
    batched = cr.vmap(lambda *xs: case.primitive(*xs, **case.params), axes)(*args)
    loop = []
    for k in range(len(factors)):
        row = [number(a[k]) if f else a for a, f in zip(args, flags, strict=True)]
        loop.append(leaves(case.primitive.impl(*row, **case.params)))
    for have, want in zip(leaves(batched), zip(*loop, strict=True), strict=True):
        close(have, np.stack(want), rounding(float), f"batched {flags}")


# -- dtypes, shapes, complex numbers --------------------------------------------------------------------


@every_rule
def test_keeps_dtypes(name: str) -> None:
    def check(case: Case) -> None:
        for dtype in "feg" if is_real(case) else "F":
            kept = case.at(*[narrow(x, dtype) for x in case.point])
            with np.errstate(all="ignore"):
                try:
                    plain = case.primitive.impl(*kept.args, **kept.params)
                except TypeError:
                    continue  # the implementation does not take this dtype
            if all(np.isfinite(y).all() for y in leaves(plain)):
                check_dtypes(kept, plain)

    at_samples(name, "dtype", check)


SHAPES = {
    1: [((),), ((1,),), ((2, 3),), ((0,),), ((0, 3),)],
    2: [
        *(((), ()), ((), (3,)), ((3,), ()), ((3,), (3,)), ((1,), (3,)), ((3,), (1,))),
        *(((2, 1), (3,)), ((3,), (2, 1)), ((1,), ()), ((0,), ()), ((1,), (0,)), ((0,), (2, 1))),
    ],
    3: [((), (3,), (2, 1)), ((2, 1), (), (3,)), ((3,), (3,), ()), ((), (), ()), ((0,), (1,), ())],
    4: [((), (3,), (2, 1), ()), ((3,), (), (), (2, 1))],
}


@every_elementwise
def test_broadcasts(name: str) -> None:
    rng = np.random.default_rng(9)
    primitive, (first, *_) = RULES[name], CASES[name]
    supply = pools(primitive)
    with limited(name, "broadcast"):
        for shapes in SHAPES[len(first.args)]:
            args = tuple(
                rng.choice(pool, shape).astype(pool.dtype) if k in first.active else pool[0]
                for k, (pool, shape) in enumerate(zip(supply, shapes, strict=True))
            )
            case = Case(primitive, args, first.params)
            check_jvp(case)
            check_vjp(case)
            if shapes[0] in ((2, 1), (0,)):
                check_second(case)


def scalar(name: str) -> Case:
    """A sample of numbers."""
    return Case(RULES[name], tuple(pool[0] for pool in pools(RULES[name])), CASES[name][0].params)


@every_elementwise
def test_takes_arrays_without_dimensions(name: str) -> None:
    case = scalar(name)
    point = tuple(np.array(x) for x in case.point)
    value, pullback = cr.vjp(case, *point)
    assert np.shape(value) == ()
    assert [type(ct) for ct in pullback(value)] == [np.ndarray] * len(point)
    same(pullback(value), tuple(np.asarray(ct) for ct in cr.vjp(case, *case.point)[1](value)))


@every_elementwise
def test_complex_numbers_are_right_or_refused(name: str) -> None:
    rng, case = np.random.default_rng(10), scalar(name)
    case = case.at(*[complex(x + 0.4j * rng.uniform(0.5, 1)) for x in case.point])
    with limited(name, "complex"):
        try:
            cr.jvp(case, case.point, directions(case, 2))
        except (UnsupportedError, TypeError):  # NumPy and SciPy refuse what has no loop for complex numbers
            return
        check_jvp(case)
        check_vjp(case)
        check_second(case)


# -- linear maps --------------------------------------------------------------------------------------


@every_rule
def test_reads_is_honest(name: str) -> None:
    """What a slot says it does not read, the map does not need: neither to apply nor to transpose."""

    def check(case: Case) -> None:
        tangents = dict(zip(case.active, directions(case, 11), strict=True))
        w = cotangent(case(*case.point), 12)
        for (k, lean, *_), (_, full, *_) in zip(maps(case, True), maps(case, False), strict=True):
            same(dense_leaves(lean.apply(tangents[k])), dense_leaves(full.apply(tangents[k])))
            same(dense_leaves(lean.transpose(w)), dense_leaves(full.transpose(w)))

    at_samples(name, "vjp", check)


@every_rule
def test_maps_are_linear_and_their_pattern_covers_them(name: str) -> None:
    def check(case: Case) -> None:
        tangents = dict(zip(case.active, directions(case, 14), strict=True))
        for k, linear, x, out in maps(case, True):
            once, twice = (dense_leaves(linear.apply(n * tangents[k])) for n in (1, 2))
            for a, b in zip(once, twice, strict=True):
                close(b, 2 * np.asarray(a), rounding(float), "homogeneous")
            if isinstance(linear, Linear):
                assert linear.x.shape == x.shape
            if case.primitive.outputs == 1:
                check_pattern(case, k, linear, x, out)

    at_samples(name, "jvp", check)


def check_pattern(case: Case, k: int, linear: Any, x: Any, out: Any) -> None:
    """Compare the pattern of a map with the Jacobian worked out column by column."""
    if linear.pattern == "diagonal":
        jacobian = np.abs(columns(case, case.active.index(k))[0]).reshape(out.size, x.size)
        places = np.broadcast_to(np.arange(x.size).reshape(x.shape), out.shape)
        assert not np.any(jacobian[places.reshape(-1, 1) != np.arange(x.size)])
    elif linear.pattern == "structural":
        ones = dense(linear.apply(np.ones(x.shape)))
        assert np.all(ones.real + ones.imag >= 0), "the coefficients of moves and sums do not cancel"
    else:
        assert linear.pattern == "dense"


@every_rule
def test_structural_zeros_travel_through_maps(name: str) -> None:
    """A masked (co)tangent gives the numbers of a plain one, and its live set covers what is not zero."""
    rng = np.random.default_rng(13)

    def check(case: Case) -> None:
        if case.primitive.outputs == 1:
            for _, linear, x, out in maps(case, True):
                check_masked(linear.apply, x, rng)
                check_masked(linear.transpose, out, rng)

    at_samples(name, "masked", check)


def check_masked(run: Callable[[Any], Any], meta: Any, rng: np.random.Generator) -> None:
    live = rng.random(meta.shape) < 0.5
    v = np.asarray(direction(rng, np.zeros(meta.shape, meta.dtype)))
    v = np.where(live, v, np.zeros((), meta.dtype))[()]
    have, want = run(Masked(v, lambda: live)), run(v)
    close(dense(have), dense(want), rounding(float), "masked")
    if isinstance(have, Masked):
        covered = np.broadcast_to(have.live(), np.shape(dense(have)))
        assert not np.any(np.asarray(dense(have))[~covered]), "a dead element is not zero"
        if isinstance(want, Masked):
            born = np.broadcast_to(want.live(), covered.shape)
            assert not np.any(covered & ~born), "an element that a plain one leaves dead is live"
