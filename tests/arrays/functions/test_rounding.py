"""Clipping, rounding and replacing: values as NumPy's, derivatives against differences, bounds share."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, UnsupportedError
from tests.helpers import check

RNG = np.random.default_rng(5)
A = RNG.normal(size=(3, 4))
LOW, HIGH = np.array([-0.5, -0.1, 0.0, -2.0]), np.array([[0.5], [1.0], [0.2]])
C = RNG.normal(size=4) + 1j * RNG.normal(size=4)

CASES = {
    "clip": (lambda x: np.clip(x, -0.5, 0.7), A),
    "clip number": (lambda x: np.clip(x, 0, 1), 0.3),
    "clip arrays": (lambda x: np.clip(x, LOW, HIGH), A),
    "clip lists": (lambda x: np.clip(x, [-0.5, -0.1, 0.0, -2.0], 1), A),
    "clip low": (lambda x: np.clip(x, -0.5, None), A),
    "clip high": (lambda x: np.clip(x, None, 0.5), A),
    "clip new names": (lambda x: np.clip(x, min=-0.5, max=0.5), A),
    "clip new name": (lambda x: np.clip(x, max=0.5), A),
    "clip method": (lambda x: x.clip(-0.5, 0.5), A),
    "clip method names": (lambda x: x.clip(min=-0.5), A),
    "clip wider": (lambda x: np.clip(x, HIGH - 1, HIGH), A[0]),
    "clip crossed": (lambda x: np.clip(x, 0.5, -0.5) + x, A),
    "clip traced bounds": (lambda x: np.clip(A, x[0] / 2, 1 + x[1] ** 2), A),
    "clip all traced": (lambda x: np.clip(x * 2, x[0], x[1] + 3), A),
    "round": (lambda x: np.round(x, 1) * x, A),
    "round method": (lambda x: x.round() * x, A),
    "around": (lambda x: np.around(x * 10, -1) * x, A),
    "round complex": (lambda x: np.round(x, 1) * x, C),
    "fix": (lambda x: np.fix(x) * x, A),
    "nan_to_num": (np.nan_to_num, A),
    "nan_to_num complex": (np.nan_to_num, C),
    "nan_to_num holes": (lambda x: np.nan_to_num(np.where(A > 0.5, np.nan, x), nan=3.0), A),
    "nan_to_num number": (np.nan_to_num, 2.0),
}


@pytest.mark.parametrize("name", CASES)
def test_case(name):
    f, x = CASES[name]
    check(f, x, order=1 if np.iscomplexobj(x) else 2)


TIES = [
    (lambda x: np.clip(x, 0.0, 1.0), [0.0, 0.5, 1.0, 2.0], [0.5, 1.0, 0.5, 0.0]),
    (lambda x: np.clip(x, 1.0, 1.0), [0.0, 1.0, 2.0], [0.0, 0.0, 0.0]),
    (lambda x: np.clip(x, 0.0, None), [0.0, 1.0, -1.0], [0.5, 1.0, 0.0]),
    (lambda x: np.clip(x, x, x), [0.0, 1.0, 2.0], [1.0, 1.0, 1.0]),
    (lambda x: np.clip(np.sqrt(x), 1.0, 3.0), [0.0, 4.0], [0.0, 0.25]),
    (lambda x: np.clip(1.0, x, 2.0), [0.0, 1.0, 1.5], [0.0, 0.5, 1.0]),
    (lambda x: np.round(x), [0.5, 1.0, 1.2], [0.0, 0.0, 0.0]),
    (lambda x: np.nan_to_num(np.log(x)), [0.0, 2.0], [0.0, 0.5]),
    (lambda x: np.nan_to_num(x, posinf=2 * x[0]), [3.0, np.inf], [3.0, 0.0]),
]


@pytest.mark.parametrize(("f", "x", "want"), TIES)
def test_ties_and_poles(f, x, want):
    x = np.array(x)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(cr.grad(lambda x: np.sum(f(x)))(x), want)
        np.testing.assert_allclose(cr.jvp(lambda x: np.sum(f(x)), (x,), (np.ones(len(x)),))[1], np.sum(want))


def test_single_precision_and_nan():
    x = np.array([1.0, np.nan, 3.0], np.float32)
    y, pullback = cr.vjp(lambda x: np.clip(x, 0, 2), x)
    np.testing.assert_array_equal(y, [1, np.nan, 2])
    assert y.dtype == np.float32
    assert pullback(np.ones(3, np.float32))[0].dtype == np.float32


def test_replacing_in_place():
    def f(x):
        y = np.log(x)
        np.nan_to_num(y, copy=False, neginf=-1.0)
        np.clip(y, -2.0, 0.5, out=y)
        np.round(x[:1] * 9.7, out=y[:1])
        return y

    x = np.array([0.3, 1.2, 5.0, 0.2])
    check(f, x)


ERRORS = [
    (lambda x: np.clip(x, 0), TypeError, "a_max"),
    (lambda x: np.clip(x, 0, 1, min=2), ValueError, "forbidden"),
    (lambda x: np.clip(x, 0, 1, where=x > 0), UnsupportedError, "where="),
    (lambda x: np.clip(x, 0, 1, out=np.zeros((3, 4))), ChainruleError, "plain array"),
    (lambda x: np.round(x, x[0, 0]), ChainruleError, "decimals"),
]


@pytest.mark.parametrize(("f", "kind", "message"), ERRORS)
def test_refusals(f, kind, message):
    with pytest.raises(kind, match=message):
        cr.vjp(f, A)


@pytest.mark.parametrize("f", [lambda x: np.clip(x, -0.5, 0.5), lambda x: np.clip(x, x[0], 2.0), np.nan_to_num])
def test_batched(f):
    hessian = cr.hessian(lambda x: np.sum(np.sin(f(x))))
    np.testing.assert_allclose(cr.vmap(f)(A), [f(row) for row in A])
    np.testing.assert_allclose(cr.vmap(hessian)(A), [hessian(row) for row in A], atol=1e-14)
