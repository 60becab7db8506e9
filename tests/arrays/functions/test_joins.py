"""Joins of traced and plain arrays: NumPy's results and exact derivatives."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import LostDerivativeError, UnsupportedError
from tests.helpers import check

rng = np.random.default_rng(2)
A, B, C = rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), rng.normal(size=(2, 1))
V, W, S, T = rng.normal(size=3), rng.normal(size=3), 0.7, -1.2
P = np.arange(6.0).reshape(2, 3)
D = rng.normal(size=(2, 3, 2))

CASES = {
    "concatenate": (lambda x, y: np.concatenate([x, y]), A, B),
    "concatenate axis": (lambda x, y: np.concatenate((x, y, P, x), axis=-1), A, C),
    "concatenate flat": (lambda x, y: np.concatenate([x, y], axis=None), A, V),
    "concatenate one": (lambda x: np.concatenate([x]), A),
    "concatenate empty": (lambda x: np.concatenate([x, np.zeros((0, 3))]), A),
    "concatenate array": (np.concatenate, D),
    "concatenate numbers": (lambda x, y: np.concatenate([np.ravel(x), np.ravel(y), [1, 2]]), S, V),
    "concat": (lambda x, y: np.concat([x, y]), V, W),
    "stack": (lambda x, y: np.stack([x, y]), A, B),
    "stack axis": (lambda x, y: np.stack([x, P, y], axis=1), A, B),
    "stack last": (lambda x, y: np.stack((x, y), -1), V, W),
    "stack numbers": (lambda x, y: np.stack([x, y, x]), S, T),
    "stack of an array": (np.stack, A),
    "vstack": (lambda x, y: np.vstack([x, y]), A, V),
    "vstack numbers": (lambda x, y: np.vstack((x, y)), S, T),
    "hstack": (lambda x, y: np.hstack([x, y]), A, C),
    "hstack 1d": (lambda x, y: np.hstack([x, y]), V, S),
    "dstack": (lambda x, y: np.dstack([x, y]), A, B),
    "dstack 1d": (lambda x, y: np.dstack([x, y]), V, W),
    "column_stack": (lambda x, y: np.column_stack([x, y]), V, W),
    "column_stack 2d": (lambda x, y: np.column_stack([x, y]), A, C[:, 0]),
    "block": (lambda x, y: np.block([[x, y], [np.ones((1, 3)), 5.0]]), A, C),
    "block flat": (lambda x, y: np.block([x, y, 1.0]), V, S),
    "block alone": (lambda x: np.block(x), A),
    "block mixed ranks": (lambda x, y: np.block([[x], [y]]), A, V),
    "append": (lambda x, y: np.append(x, y), A, V),
    "append axis": (lambda x, y: np.append(x, y, axis=1), A, C),
    "append number": (lambda x, y: np.append(x, y), V, S),
    "insert": (lambda x, y: np.insert(x, 1, y), V, S),
    "insert axis": (lambda x, y: np.insert(x, 1, y, axis=1), A, V[:2]),
    "insert row": (lambda x, y: np.insert(x, -1, y, axis=0), A, V),
    "insert at end": (lambda x, y: np.insert(x, 3, y), V, S),
    "insert many at one": (lambda x, y: np.insert(x, 1, y), V, W),
    "insert many": (lambda x, y: np.insert(x, [0, 2, 2], y), V, W),
    "insert slice": (lambda x, y: np.insert(x, slice(0, 2), y), V, S),
    "insert columns": (lambda x, y: np.insert(x, [0, 2], y, axis=1), A, C),
    "insert constant": (lambda x: np.insert(x, [1, 1], 3.0, axis=0), A),
    "insert column block": (lambda x, y: np.insert(x, [1], y, axis=1), A, C),
    "insert into constant": (lambda y: np.insert(P, 1, y, axis=1), V[:2]),
    "delete": (lambda x: np.delete(x, 1), V),
    "delete axis": (lambda x: np.delete(x, [0, -1], axis=1), A),
    "delete slice": (lambda x: np.delete(x, slice(None, None, 2), axis=0), A),
    "delete mask": (lambda x: np.delete(x, np.array([True, False, True])), V),
    "delete flat": (lambda x: np.delete(x, 3), A),
    "delete none": (lambda x: np.delete(x, []), V),
    "meshgrid": (lambda x, y: np.meshgrid(x, y), V, W[:2]),
    "meshgrid ij": (lambda x, y: np.meshgrid(x, y, P[0], indexing="ij"), V, W[:2]),
    "meshgrid sparse": (lambda x, y: np.meshgrid(x, y, sparse=True), V, W[:2]),
    "meshgrid one": (lambda x: np.meshgrid(x), V),
    "meshgrid view": (lambda x, y: np.meshgrid(x, y, copy=False), V, W[:2]),
    "vander": (np.vander, V),
    "vander N": (lambda x: np.vander(x, 4, increasing=True), V),
    "vander 0": (lambda x: np.vander(x, 0), V),
    "vander 1": (lambda x: np.vander(x, 1), V),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_derivatives(name):
    function, *args = CASES[name]
    check(function, *args)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda x: np.concatenate([x, V]), ValueError),
        (lambda x: np.concatenate([x, np.ones((3, 3))], axis=1), ValueError),
        (lambda x: np.concatenate([x, 1.0 + 0 * x[0, 0]]), ValueError),
        (lambda x: np.concatenate([x, x], axis=2), np.exceptions.AxisError),
        (lambda x: np.stack([x, V]), ValueError),
        (lambda x: np.block([[x], x]), ValueError),
        (lambda x: np.block([x, []]), ValueError),
        (lambda x: np.insert(x, 9, 1.0), IndexError),
        (lambda x: np.delete(x, 9), IndexError),
        (lambda x: np.meshgrid(x, x, indexing="no"), ValueError),
        (np.vander, ValueError),
        (lambda x: np.concatenate([x, x], dtype=np.int64), TypeError),
    ],
)
def test_wrong_arguments_raise_as_in_numpy(function, error):
    with pytest.raises(error):
        function(A)
    with pytest.raises(error):
        cr.vjp(function, A)


def test_dtypes_promote_and_cotangents_come_back_in_their_own():
    x, y = V.astype(np.float32), W
    joined, pullback = cr.vjp(lambda x, y: np.concatenate([x, y, np.arange(2)]), x, y)
    ct_x, ct_y = pullback(np.ones(8))
    assert (joined.dtype, ct_x.dtype, ct_y.dtype) == (np.float64, np.float32, np.float64)
    _, pullback = cr.vjp(lambda x: np.stack([x, 1j * V]), V)
    assert pullback(np.ones((2, 3)) * 1j)[0].dtype == np.float64
    y = cr.jvp(lambda x: np.concatenate([x, x], dtype=np.float32), (V,), (V,))[0]
    assert y.dtype == np.float32


def test_out_is_written():
    def f(x):
        out = np.zeros_like(x, shape=(4, 3))
        assert np.concatenate([x, 2 * x], out=out) is out
        return np.sum(out**2)

    np.testing.assert_allclose(cr.grad(f)(A), 10 * A)
    with pytest.raises(LostDerivativeError):
        cr.grad(lambda x: np.sum(np.stack([x, x], out=np.empty((2, 2, 3)))))(A)


def test_open_grids_are_indices():
    with pytest.raises(UnsupportedError, match="ix_"):
        cr.grad(lambda x: np.sum(P[np.ix_(x, x)]))(V)


def test_a_dead_member_contributes_a_structural_zero():
    f = lambda x: np.concatenate([np.sqrt(x), x])[2:] @ np.array([1.0, 2.0])
    np.testing.assert_array_equal(cr.grad(f)(np.array([0.0, 4.0])), [1.0, 2.0])
    f = lambda x: np.sum(np.delete(np.sqrt(x), 0))
    np.testing.assert_array_equal(cr.grad(f)(np.array([0.0, 4.0])), [0.0, 0.25])


def test_many_members_cost_linear_memory():
    # A quadratic number of references would need gigabytes here.
    n = 20_000
    gradient = cr.grad(lambda x: np.sum(np.stack(list(x)) ** 2))(np.ones(n))
    np.testing.assert_array_equal(gradient, np.full(n, 2.0))
