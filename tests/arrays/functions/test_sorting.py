"""Sorting, searching and comparing: values as NumPy's, derivatives against differences, ties shared."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import LostDerivativeError, UnsupportedError
from tests.helpers import check

RNG = np.random.default_rng(2)
V = RNG.normal(size=6)
A = RNG.normal(size=(3, 5))
C = RNG.normal(size=5) + 1j * RNG.normal(size=5)

SORTED = {
    "sort": (np.sort, V),
    "sort of rows": (np.sort, A),
    "sort of columns": (lambda x: np.sort(x, axis=0), A),
    "sort of all": (lambda x: np.sort(x, axis=None), A),
    "sort of the middle": (lambda x: np.sort(x, axis=1), RNG.normal(size=(2, 3, 2))),
    "sort kind": (lambda x: np.sort(x, kind="heapsort"), V),
    "sort stable": (lambda x: np.sort(x, stable=True), V),
    "sort complex": (np.sort, C),
    "sort of none": (np.sort, np.zeros((2, 0))),
    "sort of one": (np.sort, np.ones((2, 1))),
    "sort of no rows": (np.sort, np.zeros((0, 2))),
    "sort then weigh": (lambda x: np.sort(x**3) * np.arange(6), V),
    "partition": (lambda x: np.partition(x, 2), V),
    "partition of columns": (lambda x: np.partition(x, [0, 1], axis=0), A),
    "partition of all": (lambda x: np.partition(x, 7, axis=None), A),
    "take the best": (lambda x: x[np.argmax(x)] * 2, V),
    "take along": (lambda x: np.take_along_axis(x, np.argsort(x, axis=0), axis=0), A),
    "bins": (lambda x: x * np.searchsorted(np.linspace(-2, 2, 5), x), A),
    "histogram by hand": (lambda x: np.bincount(np.digitize(V, [-0.5, 0.5]), weights=x, minlength=5), V),
}


@pytest.mark.parametrize("name", SORTED)
def test_sorted(name):
    f, x = SORTED[name]
    check(f, x, order=1 if name.endswith("complex") else 2)


def test_sorting_in_place():
    def f(x):
        y = x * 2.0
        y.sort(axis=0)
        z = y[1] + 0.0
        z.sort()
        y[1:].sort()
        return y * z

    check(f, A)


TIES = [
    (np.sort, [2.0, 1.0, 2.0], [[0, 1, 0], [0.5, 0, 0.5], [0.5, 0, 0.5]]),
    (lambda x: np.partition(x, 1), [2.0, 1.0, 2.0], [[0, 1, 0], [0.5, 0, 0.5], [0.5, 0, 0.5]]),
    (lambda x: np.sort(x)[:1], [3.0, 3.0, 3.0, 3.0], [[0.25] * 4]),
    (lambda x: np.sort(x, axis=0)[0], [[1.0, 2.0], [1.0, 0.0]], [[[0.5, 0], [0.5, 0]], [[0, 0], [0, 1.0]]]),
    (lambda x: np.sort(np.sqrt(x))[1:], [4.0, 0.0], [[0.25, 0.0]]),
    (lambda x: np.sort(np.sqrt(x))[2:], [4.0, 0.0, 0.0, 4.0], [[0.125, 0, 0, 0.125]] * 2),
    (lambda x: np.sort(x)[:2], [1.0, np.nan, 0.0], [[0, 0, 1.0], [1.0, 0, 0]]),
]


@pytest.mark.parametrize(("f", "x", "want"), TIES)
def test_ties_share(f, x, want):
    x = np.array(x)
    np.testing.assert_allclose(cr.jacrev(f)(x), want)
    np.testing.assert_allclose(cr.jacfwd(f)(x), want)


def test_ties_keep_their_value():
    x = np.array([0.1, 0.1, 0.1, 0.3])
    np.testing.assert_array_equal(cr.vjp(np.sort, x)[0], x)


def test_second_order_at_a_tie():
    x = np.array([2.0, 1.0, 2.0])
    hessian = cr.hessian(lambda x: np.sum(np.sort(x) ** 3))(x)
    share = np.array([[0, 1, 0], [0.5, 0, 0.5], [0.5, 0, 0.5]])
    np.testing.assert_allclose(hessian, share.T @ np.diag(6 * np.sort(x)) @ share)


# -- plain answers ------------------------------------------------------------------------------------

B = np.array([[3.0, 1.0, 2.0, 1.0], [0.0, 5.0, -1.0, 5.0]])
N = np.where(B == 2, np.nan, B)
PLAIN = [
    lambda x: np.argsort(x),
    lambda x: np.argsort(x, axis=0, stable=True),
    lambda x: np.argsort(x, axis=None, kind="stable"),
    lambda x: x.argsort(axis=0),
    lambda x: np.argpartition(x, 1, axis=0),
    lambda x: x[0].argpartition(2),
    lambda x: np.argmax(x),
    lambda x: np.argmax(x, axis=0),
    lambda x: np.argmin(x, axis=-1, keepdims=True),
    lambda x: np.argmin(x, keepdims=True),
    lambda x: x.argmax(1),
    lambda x: x[0, 0].argmin(),
    lambda x: np.nanargmax(x * N, axis=1),
    lambda x: np.nanargmin(x * N),
    lambda x: np.searchsorted(np.sort(x[0]), x, side="right"),
    lambda x: np.searchsorted([0.0, 1.0, 2.0], x),
    lambda x: np.searchsorted(x[0], [1.5, 2.5], sorter=[1, 3, 2, 0]),
    lambda x: np.sort(x[0]).searchsorted(1.5),
    lambda x: np.digitize(x, [0.0, 1.0, 4.0]),
    lambda x: np.digitize(x, [4.0, 1.0, 0.0], right=True),
    lambda x: np.nonzero(x),
    lambda x: np.nonzero(x > 1),
    lambda x: x.nonzero(),
    lambda x: np.flatnonzero(x),
    lambda x: np.argwhere(x),
    lambda x: np.isclose(x, B + 1e-9),
    lambda x: np.isclose(1.0, x, rtol=0.5, atol=0.5),
    lambda x: np.isclose(x * N, N, equal_nan=True),
    lambda x: np.allclose(x, B),
    lambda x: np.allclose(x, 0.0),
    lambda x: np.array_equal(x, B),
    lambda x: np.array_equal(x, B[0]),
    lambda x: np.array_equal(x * N, N * B, equal_nan=True),
    lambda x: np.array_equiv(x, B[:1]),
    lambda x: np.array_equiv(x[:1] + 0 * x, x),
]


@pytest.mark.parametrize("f", PLAIN)
def test_places_are_plain(f):
    seen = []
    cr.grad(lambda x: seen.append(f(x)) or np.sum(x))(B)
    want = f(B)
    assert type(seen[0]) is type(want)
    for have, expected in zip(np.atleast_1d(seen[0]), np.atleast_1d(want), strict=True):
        np.testing.assert_array_equal(have, expected)
    cr.jvp(f, (B,), (B,))


ERRORS = [
    (lambda x: np.sort(x, order="f"), UnsupportedError, "order="),
    (lambda x: np.sort(x, kind="stable", stable=True), ValueError, "same time"),
    (lambda x: np.sort(x, axis=3), np.exceptions.AxisError, "axis 3"),
    (lambda x: np.sort(x[0, 0]), np.exceptions.AxisError, "axis -1"),
    (lambda x: np.argmax(x[:0]), ValueError, "empty"),
    (lambda x: np.unique(x), UnsupportedError, "numpy.unique"),
    (lambda x: np.histogram(x), UnsupportedError, "numpy.histogram"),
    (lambda x: np.digitize(x, [0.0, 2.0, 1.0]), ValueError, "monotonic"),
    (lambda x: np.isclose(x, x, rtol=x), LostDerivativeError, "tolerance"),
    (lambda x: np.partition(x, 9), ValueError, "out of bounds"),
]


@pytest.mark.parametrize(("f", "kind", "message"), ERRORS)
def test_refusals(f, kind, message):
    with pytest.raises(kind, match=message):
        cr.vjp(f, B)


# -- rows of a batch ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        np.sort,
        lambda x: np.sort(x.reshape(2, 2), axis=0),
        lambda x: np.partition(x, 1),
        lambda x: np.sort(x**2)[0] * x,
        lambda x: np.argsort(x) * x,
        lambda x: np.argmax(x) * x,
        lambda x: np.searchsorted(np.sort(x), x) * x,
        lambda x: np.isclose(x, 1.0) * x,
    ],
)
def test_batched(f):
    x = RNG.normal(size=(3, 4))
    x[1, 2] = x[1, 3]
    hessian = cr.hessian(lambda x: np.sum(np.sin(f(x))))
    np.testing.assert_allclose(cr.vmap(f)(x), [f(row) for row in x])
    np.testing.assert_allclose(cr.vmap(hessian)(x), [hessian(row) for row in x], atol=1e-14)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(x[np.flatnonzero(x > 0)]) * x,
        lambda x: x * (2.0 if np.allclose(x, A[0]) else 1.0),
        lambda x: x * (2.0 if np.array_equal(x, A[1]) else 1.0),
    ],
)
def test_decisions_are_made_row_by_row(f):
    np.testing.assert_allclose(cr.vmap(f)(A), [f(row) for row in A])
