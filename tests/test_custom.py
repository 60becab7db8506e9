"""The user's own rules: custom_jvp, custom_vjp, primitives; checkpoint and stop_gradient."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.core.primitive import registry
from chainrule.errors import ArgumentError, ChainruleError, LostDerivativeError, UnsupportedError
from tests.helpers import check

X = np.array([0.5, -1.0, 2.0])
W = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])


# -- both kinds of rule, in every mode ----------------------------------------------------------------------


def log1pexp(x: Any) -> Any:
    return np.logaddexp(x, 0.0)


by_jvp = cr.custom_jvp(log1pexp)
by_jvp.defjvp(lambda primals, tangents: (log1pexp(primals[0]), tangents[0] / (1 + np.exp(-primals[0]))))

by_vjp = cr.custom_vjp(log1pexp)
by_vjp.defvjp(lambda x: (log1pexp(x), x), lambda x, ct: (ct / (1 + np.exp(-x)),))

by_both = cr.custom_vjp(log1pexp)
by_both.defvjp(lambda x: (log1pexp(x), x), lambda x, ct: (ct / (1 + np.exp(-x)),))
by_both.defjvp(lambda primals, tangents: (log1pexp(primals[0]), tangents[0] / (1 + np.exp(-primals[0]))))

RULES = {"jvp": by_jvp, "vjp": by_vjp, "both": by_both}
every_rule = pytest.mark.parametrize("f", RULES.values(), ids=RULES.keys())


@every_rule
@pytest.mark.parametrize("x", [0.3, X, W, np.zeros((0, 2))], ids=["number", "vector", "matrix", "empty"])
def test_either_rule_gives_every_mode(f: Any, x: Any) -> None:
    check(f, x)
    check(lambda x: np.sum(f(np.sin(x)) * x), x)


@every_rule
def test_every_nesting_of_modes(f: Any) -> None:
    plain = cr.derivative(log1pexp, 3)(0.4)
    modes = (cr.grad, lambda f: lambda x: cr.jvp(f, (x,), (1.0,))[1])
    for nesting in itertools.product(modes, repeat=3):
        g = f
        for mode in nesting:
            g = mode(g)
        assert g(0.4) == pytest.approx(plain, rel=1e-12)


@every_rule
def test_plain_values_do_not_run_the_rule(f: Any) -> None:
    assert f(1000.0) == 1000.0
    np.testing.assert_array_equal(f(X), log1pexp(X))
    assert f.__name__ == "log1pexp"


@every_rule
def test_vmap(f: Any) -> None:
    np.testing.assert_allclose(cr.vmap(f)(W), log1pexp(W))
    np.testing.assert_allclose(cr.vmap(cr.grad(lambda x: np.sum(f(x))))(W), 1 / (1 + np.exp(-W)))
    np.testing.assert_allclose(cr.grad(lambda w: np.sum(cr.vmap(f)(w)))(W), 1 / (1 + np.exp(-W)))


def test_the_rule_is_used_and_not_the_function() -> None:
    @cr.custom_jvp
    def f(x: Any) -> Any:
        return x * x

    f.defjvp(lambda primals, tangents: (f(*primals), 100.0 * tangents[0]))
    assert cr.grad(f)(3.0) == 100.0
    assert cr.jvp(f, (3.0,), (2.0,)) == (9.0, 200.0)

    @cr.custom_vjp
    def g(x: Any) -> Any:
        return x * x

    g.defvjp(lambda x: (x * x, None), lambda _, ct: (7.0 * ct,))
    assert cr.grad(g)(3.0) == 7.0
    assert cr.jvp(g, (3.0,), (2.0,)) == (9.0, 14.0)
    assert cr.grad(lambda x: g(g(x)))(3.0) == 49.0


# -- arguments ------------------------------------------------------------------------------------------------


def test_several_arguments_and_containers() -> None:
    @cr.custom_vjp
    def affine(p: Any, x: Any) -> Any:
        return {"y": p["w"] @ x + p["b"], "n": np.sum(x)}

    affine.defvjp(
        lambda p, x: (affine(p, x), (p, x)),
        lambda kept, ct: (
            {"w": np.outer(ct["y"], kept[1]), "b": ct["y"]},
            kept[0]["w"].T @ ct["y"] + ct["n"],
        ),
    )
    p = {"w": W, "b": np.array([1.0, -1.0])}
    f = lambda p, x: np.sum(np.sin(affine(p, x)["y"])) * affine(p, x)["n"]
    plain = lambda p, x: np.sum(np.sin(p["w"] @ x + p["b"])) * np.sum(x)
    have, want = cr.grad(f, (0, 1))(p, X), cr.grad(plain, (0, 1))(p, X)
    np.testing.assert_allclose(have[0]["w"], want[0]["w"])
    np.testing.assert_allclose(have[0]["b"], want[0]["b"])
    np.testing.assert_allclose(have[1], want[1])
    tangents = ({"w": W, "b": np.ones(2)}, X)
    assert cr.jvp(f, (p, X), tangents)[1] == pytest.approx(cr.jvp(plain, (p, X), tangents)[1])


def test_none_is_a_zero_cotangent() -> None:
    f = cr.custom_vjp(lambda x, y: x * y)
    f.defvjp(lambda x, y: (x * y, y), lambda y, ct: (ct * y, None))
    assert cr.grad(f, (0, 1))(2.0, 3.0) == (3.0, 0.0)


def test_nondiff_argnums_come_first_in_the_rules() -> None:
    f = cr.custom_jvp(lambda x, n, y: x**n * y, nondiff_argnums=(1,))
    f.defjvp(
        lambda n, primals, tangents: (
            f(primals[0], n, primals[1]),
            n * primals[0] ** (n - 1) * primals[1] * tangents[0] + primals[0] ** n * tangents[1],
        )
    )
    assert cr.grad(f, (0, 2))(2.0, 3, 5.0) == (60.0, 8.0)
    g = cr.custom_vjp(lambda g, x: g(x) ** 2, nondiff_argnums=0)
    g.defvjp(lambda h, x: (h(x) ** 2, x), lambda h, x, ct: (2 * h(x) * cr.grad(h)(x) * ct,))
    assert cr.grad(lambda x: g(np.exp, x))(1.0) == pytest.approx(2 * np.exp(2.0))


def test_keyword_arguments_and_defaults() -> None:
    @cr.custom_jvp
    def f(x: Any, y: Any = 2.0) -> Any:
        return x * y

    f.defjvp(lambda p, t: (f(*p), p[1] * t[0] + p[0] * t[1]))
    assert cr.grad(lambda x: f(x, y=3.0))(2.0) == 3.0
    assert cr.grad(lambda x: f(y=x, x=x))(2.0) == 4.0
    assert cr.grad(lambda x: f(x))(2.0) == 2.0

    @cr.custom_jvp
    def g(x: Any, *, y: Any) -> Any:
        return x * y

    g.defjvp(lambda p, t: (p[0], t[0]))
    with pytest.raises(ArgumentError, match="keyword-only"):
        cr.grad(lambda x: g(x, y=1.0))(2.0)


def test_methods() -> None:
    class Model:
        scale = 3.0

        @cr.custom_jvp
        def f(self, x: Any) -> Any:
            return self.scale * x

    Model.f.nondiff_argnums = (0,)
    Model.f.defjvp(lambda self, p, t: (self.scale * p[0], self.scale * t[0]))
    assert cr.grad(Model().f)(2.0) == 3.0


def test_defjvps() -> None:
    f = cr.custom_jvp(lambda x, y: x * y)
    f.defjvps(lambda t, z, x, y: t * y, None)
    assert cr.grad(f, (0, 1))(2.0, 3.0) == (3.0, 0.0)


@pytest.mark.parametrize("dtype", ["f", "d", "g"])
def test_dtypes_are_kept(dtype: str) -> None:
    for f in RULES.values():
        x = X.astype(dtype)
        assert cr.grad(lambda x, f=f: np.sum(f(x)))(x).dtype == x.dtype
        assert cr.jvp(f, (x,), (x,))[1].dtype == x.dtype


# -- closures -----------------------------------------------------------------------------------------------------


def test_a_jvp_rule_may_close_over_outer_traced_values() -> None:
    def f(a: Any, x: Any) -> Any:
        g = cr.custom_jvp(lambda x: a * x * x)
        g.defjvp(lambda p, t: (a * p[0] ** 2, 2 * a * p[0] * t[0]))
        return g(x)

    assert cr.grad(f, (0, 1))(3.0, 2.0) == (4.0, 12.0)
    assert cr.grad(lambda a: cr.grad(f, 1)(a, 2.0))(3.0) == 4.0
    assert cr.jvp(f, (3.0, 2.0), (1.0, 0.0))[1] == 4.0


def test_fwd_and_bwd_that_close_over_traced_values_raise() -> None:
    def f(a: Any, x: Any) -> Any:
        g = cr.custom_vjp(lambda x: a * x)
        g.defvjp(lambda x: (a * x, None), lambda _, ct: (a * ct,))
        return g(x)

    for call in (lambda: cr.grad(f, (0, 1))(3.0, 2.0), lambda: cr.jvp(f, (3.0, 2.0), (1.0, 1.0))):
        with pytest.raises(LostDerivativeError):
            call()
    # An outer transformation's values are constants to the inner one, and differentiated by the outer.
    assert cr.grad(lambda a: cr.grad(f, 1)(a, 2.0))(3.0) == 1.0


@pytest.mark.parametrize("x", [0.0, np.array([0.0, 1.0, 4.0])], ids=["number", "array"])
def test_poles_are_signed_infinities(x: Any) -> None:
    by_jvp, by_vjp = cr.custom_jvp(np.sqrt), cr.custom_vjp(np.sqrt)
    by_jvp.defjvp(lambda p, t: (np.sqrt(p[0]), t[0] / (2 * np.sqrt(p[0]))))
    by_vjp.defvjp(lambda x: (np.sqrt(x), x), lambda x, ct: (ct / (2 * np.sqrt(x)),))
    with np.errstate(divide="ignore"):
        want = 0.5 / np.sqrt(x)
    for f in (by_jvp, by_vjp):
        np.testing.assert_array_equal(cr.grad(lambda x, f=f: np.sum(f(x)))(x), want)
        np.testing.assert_array_equal(cr.jvp(f, (x,), (0 * x + 1,))[1], want)


# -- what is refused ------------------------------------------------------------------------------------------------


def test_a_bwd_that_is_not_linear_has_no_jvp() -> None:
    f = cr.custom_vjp(lambda x: x * x)
    f.defvjp(lambda x: (x * x, x), lambda x, ct: (np.clip(ct * 2 * x, -1, 1),))
    assert cr.grad(f)(3.0) == 1.0  # gradient clipping, a common use
    with pytest.raises(LostDerivativeError, match="not linear"):
        cr.jvp(f, (3.0,), (1.0,))


WRONG_JVP = {
    "no pair": lambda p, t: p[0],
    "shape": lambda p, t: (p[0] * 2, np.ones(7)),
    "structure": lambda p, t: (p[0] * 2, (t[0], t[0])),
}
WRONG_VJP = {
    "no pair": (lambda x: x, lambda r, ct: (ct,)),
    "no tuple": (lambda x: (x, x), lambda r, ct: ct),
    "count": (lambda x: (x, x), lambda r, ct: (ct, ct)),
    "shape": (lambda x: (x, x), lambda r, ct: (np.ones(7),)),
    "structure": (lambda x: (x, x), lambda r, ct: ((ct, ct),)),
}


@pytest.mark.parametrize("rule", WRONG_JVP.values(), ids=WRONG_JVP.keys())
def test_wrong_jvp_rules_raise(rule: Any) -> None:
    f = cr.custom_jvp(lambda x: 2 * x)
    f.defjvp(rule)
    for call in (lambda: cr.jvp(f, (X,), (X,)), lambda: cr.grad(lambda x: np.sum(f(x)))(X)):
        with pytest.raises(ArgumentError):
            call()


@pytest.mark.parametrize("rule", WRONG_VJP.values(), ids=WRONG_VJP.keys())
def test_wrong_vjp_rules_raise(rule: Any) -> None:
    f = cr.custom_vjp(lambda x: 2 * x)
    f.defvjp(*rule)
    for call in (lambda: cr.grad(lambda x: np.sum(f(x)))(X), lambda: cr.jvp(f, (X,), (X,))):
        with pytest.raises(ArgumentError):
            call()


def test_a_function_without_a_rule_raises() -> None:
    for kind in (cr.custom_jvp, cr.custom_vjp):
        with pytest.raises(ArgumentError, match="no rule"):
            cr.grad(kind(lambda x: x))(1.0)
        with pytest.raises(ArgumentError):
            kind(3.0)


# -- new primitives --------------------------------------------------------------------------------------------------


def test_elementwise() -> None:
    softplus = cr.elementwise("test.softplus", lambda x: log1pexp(x), lambda y, x: -np.expm1(-y))
    check(softplus, X)
    check(softplus, 0.5)
    assert registry["test.softplus"] is softplus
    mix = cr.elementwise("test.mix", lambda x, y: x * y * y, lambda z, x, y: y * y, lambda z, x, y: 2 * x * y)
    check(mix, X, 0.5)
    check(mix, X, W)


def test_multilinear_linear_and_general() -> None:
    outer = cr.multilinear("test.outer", lambda x, y: np.outer(x, y), lambda ct, x, y: ct @ y, lambda ct, x, y: x @ ct)
    check(outer, X, np.array([2.0, -0.5]))
    swap = cr.linear("test.swap", lambda x: x[::-1].copy(), lambda ct, x: swap(ct))
    check(swap, X)
    inverse = cr.general("test.inverse", lambda x: np.linalg.inv(x), lambda y, x: lambda dx: -(y @ dx @ y))
    check(inverse, np.array([[2.0, 0.5], [0.1, 1.0]]))


def test_nondifferentiable_and_primitive() -> None:
    count = cr.nondifferentiable("test.steps", lambda x: np.floor(x) * 2)
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(count(x) * x))(X), count(X))
    opaque = cr.primitive("test.opaque", lambda x: x * 2)
    assert opaque(3.0) == 6.0
    for call in (lambda: cr.grad(opaque)(3.0), lambda: cr.jvp(opaque, (3.0,), (1.0,))):
        with pytest.raises(UnsupportedError, match=r"test\.opaque"):
            call()


def test_names_and_functions_are_unique() -> None:
    with pytest.raises(ArgumentError, match="sin"):
        cr.elementwise("sin", lambda x: x, lambda y, x: np.cos(x))
    with pytest.raises(ArgumentError, match="sin has a rule already"):
        cr.elementwise("test.sin", np.sin, lambda y, x: -np.cos(x))
    assert "test.sin" not in registry
    assert cr.grad(np.sin)(0.0) == 1.0


def test_a_users_function_can_answer_for_a_library_function() -> None:
    my_log = np.frompyfunc(lambda x: x, 1, 1)
    cr.elementwise("test.frompyfunc", lambda x: np.log1p(x * x), lambda y, x: 2 * x / (1 + x * x), functions=(my_log,))
    assert cr.grad(lambda x: my_log(x))(1.0) == 1.0


# -- stop_gradient -----------------------------------------------------------------------------------------------------


def test_stop_gradient_is_a_constant_to_every_derivative() -> None:
    f = lambda x: np.sum(x * cr.stop_gradient(np.sin(x)))
    np.testing.assert_array_equal(cr.grad(f)(X), np.sin(X))
    np.testing.assert_array_equal(cr.jacfwd(lambda x: x * cr.stop_gradient(x))(X), np.diag(X))
    assert cr.grad(cr.grad(lambda x: x * cr.stop_gradient(x)))(3.0) == 0.0
    assert cr.grad(lambda x: cr.grad(lambda y: y * cr.stop_gradient(x) * x)(1.0))(3.0) == 3.0
    assert cr.stop_gradient(3.0) == 3.0
    assert cr.stop_gradient({"a": (X, "text")})["a"][1] == "text"
    np.testing.assert_array_equal(cr.vmap(lambda x: cr.grad(lambda x: np.sum(x * cr.stop_gradient(x)))(x))(W), W)


def test_what_is_stopped_may_be_stored_and_converted() -> None:
    log = []

    def f(x: Any) -> Any:
        log.append(float(cr.stop_gradient(np.sum(x))))
        return np.sum(x * np.asarray(cr.stop_gradient(x)))

    np.testing.assert_array_equal(cr.grad(f)(X), X)
    assert log == [1.5]


def test_what_is_stopped_is_a_copy() -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        kept = cr.stop_gradient(y)
        y[0] = 100.0
        return np.sum(x * kept)

    np.testing.assert_array_equal(cr.grad(f)(X), X)


# -- checkpoint ----------------------------------------------------------------------------------------------


def block(x: Any, w: Any = 2.0) -> Any:
    return np.tanh(x * w) * np.sum(np.cos(x))


CHECKPOINTED = {
    "once": lambda x: np.sum(cr.checkpoint(block)(x)),
    "chain": lambda x: np.sum(cr.checkpoint(block)(cr.checkpoint(block)(x))),
    "nested": lambda x: np.sum(cr.checkpoint(lambda x: cr.checkpoint(block)(x) * x)(x)),
    "closure": lambda x: np.sum(cr.checkpoint(lambda y: y * np.sin(x))(x * 2)),
    "keyword": lambda x: np.sum(cr.checkpoint(block)(x, w=np.sum(x))),
    "container": lambda x: np.sum(cr.checkpoint(lambda p: p["a"] * p["b"])({"a": x, "b": np.exp(x)})),
    "results": lambda x: np.sum(cr.checkpoint(lambda x: (x * x, np.sum(x)))(x)[0]),
    "constant": lambda x: np.sum(x) + cr.checkpoint(lambda: 3.0)(),
    "inner gradient": lambda x: np.sum(cr.checkpoint(cr.grad(lambda x: np.sum(x**3)))(x)),
}


def without(f: Any) -> Any:
    """The same function where checkpoint does nothing."""

    def plain(x: Any) -> Any:
        original = cr.checkpoint
        cr.checkpoint = lambda f: f
        try:
            return f(x)
        finally:
            cr.checkpoint = original

    return plain


@pytest.mark.parametrize("f", CHECKPOINTED.values(), ids=CHECKPOINTED.keys())
def test_checkpoint_changes_nothing_but_memory(f: Any) -> None:
    want = cr.grad(without(f))(X)
    np.testing.assert_allclose(cr.grad(f)(X), want, rtol=1e-14)
    assert cr.jvp(f, (X,), (X,))[1] == pytest.approx(np.vdot(want, X))
    np.testing.assert_allclose(cr.jacrev(f)(X), want, rtol=1e-13)
    np.testing.assert_allclose(cr.hvp(f, (X,), (X,)), cr.hvp(without(f), (X,), (X,)), rtol=1e-12)
    np.testing.assert_allclose(cr.hessian(f)(X), cr.hessian(without(f))(X), rtol=1e-12, atol=1e-14)
    _, pullback = cr.vjp(f, X)
    np.testing.assert_allclose(pullback(1.0)[0], want, rtol=1e-14)
    np.testing.assert_allclose(pullback(2.0)[0], 2 * want, rtol=1e-14)


def test_checkpoint_runs_twice_and_notices_what_changed() -> None:
    calls = []

    def f(x: Any) -> Any:
        calls.append(1)
        return np.sin(x)

    cr.grad(lambda x: np.sum(cr.checkpoint(f)(x)))(X)
    assert len(calls) == 2
    rng = np.random.default_rng(0)
    with pytest.raises(LostDerivativeError, match="run again"):
        cr.grad(lambda x: np.sum(cr.checkpoint(lambda x: x * rng.normal())(x)))(X)


def test_linearize_through_checkpoint_and_vjp_rules_is_right_or_refused() -> None:
    for f in (CHECKPOINTED["once"], lambda x: np.sum(by_vjp(x))):
        try:
            change = cr.linearize(f, X)[1](X)
        except ChainruleError as error:
            assert "jvp" in str(error)
        else:
            assert change == pytest.approx(cr.jvp(f, (X,), (X,))[1])
