"""Rules of reductions and order: each at its sample points, batched, and with its structural zeros."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.core.batch import by_rows
from chainrule.core.primitive import Primitive
from chainrule.rules import order, reduce
from tests.helpers import check

NAMED = {getattr(module, name) for module in (reduce, order) for name in module.__all__}
SAMPLED = sorted((p for p in NAMED if isinstance(p, Primitive) and p.samples), key=lambda p: p.name)


def samples(primitive):
    return list(primitive.samples(np.random.default_rng(6)))


def active(args):
    """The positions of the arguments that have a derivative."""
    return [k for k, a in enumerate(args) if np.asarray(a).dtype.kind in "fc"]


@pytest.mark.parametrize("primitive", SAMPLED, ids=lambda p: p.name)
def test_rule(primitive):
    for args, params in samples(primitive):
        places = active(args)

        def f(*values, args=args, params=params, places=places):
            args = list(args)
            for k, value in zip(places, values, strict=True):
                args[k] = value
            return primitive(*args, **params)

        check(f, *[args[k] for k in places])


@pytest.mark.parametrize("primitive", [p for p in SAMPLED if p.batch], ids=lambda p: p.name)
def test_batched_form(primitive):
    for args, params in samples(primitive):
        columns = [np.stack([a, a[..., ::-1]]) for a in args]
        batched = (True,) * len(args)
        have = primitive.batch(primitive, columns, batched, 2, params)
        np.testing.assert_array_equal(have, by_rows(primitive, columns, batched, 2, params))


X = np.array([[3.0, 1.0, 2.0], [1.0, 4.0, 4.0]])
CONSTANT = [
    (reduce.any_, X, {"axis": (1,), "keepdims": False}),
    (reduce.all_, X, {"axis": None, "keepdims": True}),
    (reduce.parity, X, {"axis": (0,), "keepdims": False}),
    (reduce.count_nonzero, X, {"axis": (0,), "keepdims": False}),
    (order.argsort, X, {"kind": "stable"}),
    (order.argpartition, X, {"kth": 1}),
    (order.first_place, X, {"function": np.argmin}),
]


@pytest.mark.parametrize(("primitive", "x", "params"), CONSTANT, ids=lambda p: getattr(p, "name", None))
def test_constant(primitive, x, params):
    want = primitive(x, **params)
    seen = []
    cr.grad(lambda x: seen.append(primitive(x, **params)) or np.sum(x))(x)
    np.testing.assert_array_equal(seen[0], want)
    many = cr.vmap(lambda x: primitive(x, **params))(np.stack([x, -x, x[:, ::-1]]))
    np.testing.assert_array_equal(many, [primitive(x, **params) for x in (x, -x, x[:, ::-1])])


POLES = [
    lambda x: reduce.amax(x, axis=None, keepdims=False),
    lambda x: order.gather(x, np.array([1])),
    lambda x: order.sort(x)[1:],
    lambda x: reduce.running(x, True)[1:],
    lambda x: reduce.running(np.concatenate([x, x]), True)[1:],
]


@pytest.mark.parametrize("f", POLES)
def test_what_is_not_selected_is_a_structural_zero(f):
    gradient = cr.grad(lambda x: np.sum(f(np.sqrt(x))))(np.array([0.0, 4.0]))
    assert gradient[0] == 0
    assert np.isfinite(gradient[1])
    assert np.all(np.isfinite(cr.hessian(lambda x: np.sum(f(np.sqrt(x))))(np.array([0.0, 4.0]))))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13])
def test_products_by_doubling(n):
    """The scan for ill-conditioned products against the quotient form, and against long division."""
    x = np.random.default_rng(n).normal(size=(2, n))
    dx = np.random.default_rng(-n % 97).normal(size=(2, n))
    have = reduce._cumprod_push(x, dx, 1)
    np.testing.assert_allclose(have, np.cumprod(x, 1) * np.cumsum(dx / x, 1), rtol=1e-12)
