"""np.linalg on traced values: against NumPy and differences, and at the points where matrices are special."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import UnsupportedError
from tests.helpers import assert_close, check, difference

RNG = np.random.default_rng(11)
L = np.linalg


def _x(*shape: int) -> Any:
    return RNG.normal(size=shape)


def _z(*shape: int) -> Any:
    return _x(*shape) + 1j * _x(*shape)


def _square(*shape: int, kind: Any = _x) -> Any:
    """A well-conditioned matrix with singular values apart from each other."""
    return kind(*shape) + 2 * np.diag(np.arange(1.0, shape[-1] + 1))


def _definite(*shape: int, kind: Any = _x) -> Any:
    x = _square(*shape, kind=kind)
    return x @ np.conj(np.swapaxes(x, -1, -2))


def _symmetric(*shape: int) -> Any:
    x = _square(*shape)
    return x + np.swapaxes(x, -1, -2)


Case = tuple[str, Callable[..., Any], tuple[Any, ...]]
REAL: list[Case] = [
    ("solve", L.solve, (_square(3, 3), _x(3))),
    ("solve, matrix", L.solve, (_square(3, 3), _x(3, 2))),
    ("solve, stack", L.solve, (_square(2, 3, 3), _x(2, 3, 2))),
    ("solve, one side", L.solve, (_square(2, 3, 3), _x(3))),
    ("solve, one matrix", L.solve, (_square(3, 3), _x(2, 3, 1))),
    ("solve, 1x1", L.solve, (_square(1, 1), _x(1))),
    ("inv", L.inv, (_square(3, 3),)),
    ("inv, stack", L.inv, (_square(2, 2, 3, 3),)),
    ("det", L.det, (_x(3, 3),)),
    ("det, stack", L.det, (_x(2, 3, 3),)),
    ("det, 1x1", L.det, (_x(1, 1),)),
    ("slogdet", L.slogdet, (_x(3, 3),)),
    ("slogdet, stack", L.slogdet, (_x(2, 3, 3),)),
    ("cholesky", L.cholesky, (_definite(3, 3),)),
    ("cholesky, stack", L.cholesky, (_definite(2, 3, 3),)),
    ("cholesky, upper", lambda a: L.cholesky(a, upper=True), (_definite(3, 3),)),
    ("cholesky of a product", lambda a: L.cholesky(a @ a.T + np.eye(3)), (_x(3, 3),)),
    ("eigh", L.eigh, (_symmetric(3, 3),)),
    ("eigh, stack", L.eigh, (_symmetric(2, 3, 3),)),
    ("eigh, U", lambda a: L.eigh(a, UPLO="u"), (_square(3, 3),)),
    ("eigh, L of any matrix", lambda a: L.eigh(a), (_square(3, 3),)),
    ("eigvalsh", L.eigvalsh, (_symmetric(3, 3),)),
    ("eigvalsh, U", lambda a: L.eigvalsh(a, "U"), (_square(3, 3),)),
    ("eig, real", lambda a: L.eig(a), (np.diag([1.0, 2, 4]) + 0.1 * _x(3, 3),)),
    ("eigvals", L.eigvals, (np.diag([1.0, 2, 4]) + 0.1 * _x(3, 3),)),
    ("svd, square", L.svd, (_square(3, 3),)),
    ("svd, tall", lambda a: L.svd(a, full_matrices=False), (_x(4, 2),)),
    ("svd, wide", lambda a: L.svd(a, full_matrices=False), (_x(2, 4),)),
    ("svd, stack", lambda a: L.svd(a, full_matrices=False), (_x(2, 4, 3),)),
    ("svd, values", lambda a: L.svd(a, compute_uv=False), (_x(4, 2),)),
    ("svd, values, hermitian", lambda a: L.svd(a, compute_uv=False, hermitian=True), (_square(3, 3),)),
    ("svdvals", L.svdvals, (_x(2, 3),)),
    ("qr", L.qr, (_x(3, 3),)),
    ("qr, tall", L.qr, (_x(4, 2),)),
    ("qr, wide", L.qr, (_x(2, 4),)),
    ("qr, stack", L.qr, (_x(2, 4, 3),)),
    ("qr, complete", lambda a: L.qr(a, mode="complete"), (_x(3, 3),)),
    ("qr, complete and wide", lambda a: L.qr(a, mode="complete"), (_x(2, 3),)),
    ("qr, r", lambda a: L.qr(a, mode="r"), (_x(4, 2),)),
    ("pinv", L.pinv, (_square(3, 3),)),
    ("pinv, tall", L.pinv, (_x(4, 2),)),
    ("pinv, wide", L.pinv, (_x(2, 4),)),
    ("pinv, stack", lambda a: L.pinv(a, rtol=None), (_x(2, 4, 3),)),
    ("pinv, hermitian", lambda a: L.pinv(a, hermitian=True), (_symmetric(3, 3),)),
    ("matrix_power 0", lambda a: L.matrix_power(a, 0) * a, (_x(3, 3),)),
    *[(f"matrix_power {n}", lambda a, n=n: L.matrix_power(a / 5, n), (_square(3, 3),)) for n in (1, 2, 3, 7, -1, -3)],
    ("matrix_power, stack", lambda a: L.matrix_power(a, 3), (_x(2, 2, 2),)),
    ("lstsq", lambda a, b: L.lstsq(a, b)[0], (_x(4, 2), _x(4))),
    ("lstsq, residuals", lambda a, b: L.lstsq(a, b, rcond=None)[:2], (_x(4, 2), _x(4, 2))),
    ("lstsq, singular values", lambda a, b: L.lstsq(a, b, rcond=-1)[3], (_x(4, 2), _x(4))),
    ("lstsq, wide", lambda a, b: L.lstsq(a, b)[0], (_x(2, 3), _x(2))),
    ("tensorsolve", L.tensorsolve, (_x(2, 3, 6), _x(2, 3))),
    ("tensorsolve, axes", lambda a, b: L.tensorsolve(a, b, axes=(0,)), (_x(6, 2, 3), _x(2, 3))),
    ("tensorinv", L.tensorinv, (_x(2, 3, 6),)),
    ("tensorinv, 1", lambda a: L.tensorinv(a, ind=1), (_x(6, 2, 3),)),
    ("cond", L.cond, (_square(3, 3),)),
    ("cond, tall", L.cond, (_x(2, 4, 3),)),
    ("trace", L.trace, (_x(2, 3, 4),)),
    ("trace, offset", lambda a: L.trace(a, offset=1), (_x(3, 4),)),
    ("diagonal", L.diagonal, (_x(2, 3, 4),)),
    ("diagonal, offset", lambda a: L.diagonal(a, offset=-1), (_x(3, 4),)),
    ("matrix_transpose", L.matrix_transpose, (_x(2, 3, 4),)),
    *[(f"cond {p}", lambda a, p=p: L.cond(a, p), (_square(3, 3),)) for p in (-2, 2, 1, -1, np.inf, "fro", "nuc")],
]


@pytest.mark.parametrize(("f", "args"), [pytest.param(f, a, id=name) for name, f, a in REAL])
def test_real(f: Any, args: Any) -> None:
    check(f, *args, exact=False, tolerance=2e-6)


COMPLEX: list[Case] = [
    ("solve", L.solve, (_square(3, 3, kind=_z), _z(3))),
    ("solve, real matrix", L.solve, (_square(3, 3), _z(3, 2))),
    ("solve, real side", L.solve, (_square(2, 3, 3, kind=_z), _x(3))),
    ("inv", L.inv, (_square(3, 3, kind=_z),)),
    ("det", L.det, (_z(3, 3),)),
    ("slogdet", L.slogdet, (_z(3, 3),)),
    ("cholesky", L.cholesky, (_definite(3, 3, kind=_z),)),
    ("cholesky, upper", lambda a: L.cholesky(a, upper=True), (_definite(3, 3, kind=_z),)),
    ("eigh", L.eigh, (_z(3, 3),)),
    ("eigh, stack", L.eigh, (_z(2, 3, 3),)),
    ("eigh, U", lambda a: L.eigh(a, "U"), (_z(3, 3),)),
    ("eigvalsh", L.eigvalsh, (_z(3, 3),)),
    ("eig", L.eig, (_z(3, 3),)),
    ("eig of a real matrix", L.eig, (np.array([[0, 2.0, 0.1], [-1, 0.1, 0], [0.2, 0.3, 1]]),)),
    ("eigvals of a real matrix", L.eigvals, (np.array([[0, 2.0, 0.1], [-1, 0.1, 0], [0.2, 0.3, 1]]),)),
    ("svd", L.svd, (_square(3, 3, kind=_z),)),
    ("svd, tall", lambda a: L.svd(a, full_matrices=False), (_z(4, 2),)),
    ("svd, wide", lambda a: L.svd(a, full_matrices=False), (_z(2, 4),)),
    ("svdvals", L.svdvals, (_z(2, 3, 4),)),
    ("qr", L.qr, (_z(3, 3),)),
    ("qr, tall", L.qr, (_z(4, 2),)),
    ("qr, wide", L.qr, (_z(2, 4),)),
    ("pinv", L.pinv, (_z(4, 2),)),
    ("pinv, hermitian", lambda a: L.pinv(a, hermitian=True), (_definite(3, 3, kind=_z),)),
    ("lstsq", lambda a, b: L.lstsq(a, b)[:2], (_z(4, 2), _z(4))),
    ("matrix_power", lambda a: L.matrix_power(a, -3), (_square(3, 3, kind=_z),)),
    ("norm", L.norm, (_z(3),)),
    ("norm 3", lambda a: L.norm(a, 3), (_z(3),)),
    ("norm 1", lambda a: L.norm(a, 1), (_z(3, 2),)),
    ("norm 2", lambda a: L.norm(a, 2), (_z(3, 2),)),
    ("norm nuc", lambda a: L.norm(a, "nuc"), (_z(3, 2),)),
    ("norm fro", lambda a: L.norm(a, "fro", axis=(0, 2)), (_z(3, 2, 2),)),
    ("cond", L.cond, (_square(3, 3, kind=_z),)),
]


@pytest.mark.parametrize(("f", "args"), [pytest.param(f, a, id=name) for name, f, a in COMPLEX])
def test_complex(f: Any, args: Any) -> None:
    check(f, *args, exact=False, tolerance=2e-6)


# -- norms --------------------------------------------------------------------------------------------

ORDERS = [None, 1, 2, 3, 2.5, 0.5, -1, -2, 0, np.inf, -np.inf]
MATRIX_ORDERS = [None, "fro", "f", "nuc", 1, -1, 2, -2, np.inf, -np.inf]


@pytest.mark.parametrize(("ord", "keepdims"), list(itertools.product(ORDERS, [False, True])))
def test_norms_of_vectors(ord: Any, keepdims: bool) -> None:
    check(lambda x: L.norm(x, ord, keepdims=keepdims), _x(4), exact=False)
    check(lambda x: L.norm(x, ord, axis=-2, keepdims=keepdims), _x(3, 4, 2), exact=False)
    check(lambda x: L.vector_norm(x, ord=2 if ord is None else ord, keepdims=keepdims), _x(3, 2), exact=False)
    check(
        lambda x: L.vector_norm(x, ord=2 if ord is None else ord, axis=(0, 2), keepdims=keepdims),
        _x(3, 2, 2),
        exact=False,
    )


@pytest.mark.parametrize(("ord", "keepdims"), list(itertools.product(MATRIX_ORDERS, [False, True])))
def test_norms_of_matrices(ord: Any, keepdims: bool) -> None:
    check(lambda x: L.norm(x, ord, keepdims=keepdims), _x(4, 3), exact=False)
    for axis in ((0, 1), (2, 0), (-1, 1)):
        check(lambda x, axis=axis: L.norm(x, ord, axis=axis, keepdims=keepdims), _x(2, 4, 3), exact=False)
    if ord is not None:
        check(lambda x: L.matrix_norm(x, ord=ord, keepdims=keepdims), _x(2, 4, 3), exact=False)


def test_norm_of_any_rank() -> None:
    check(L.norm, _x(2, 3, 2), exact=False)
    check(lambda x: L.norm(x, keepdims=True), _x(2, 3, 2), exact=False)
    check(L.norm, 1.5)
    check(L.vector_norm, 1.5)


@pytest.mark.parametrize("ord", [None, 1, 2, 3, 2.5, np.inf])
def test_norm_of_zero_has_derivative_zero(ord: Any) -> None:
    np.testing.assert_array_equal(cr.grad(lambda x: L.norm(x, ord))(np.zeros(3)), np.zeros(3))
    check_zero = cr.grad(lambda x: np.sum(L.norm(x, ord, axis=1)))(np.array([[0.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(check_zero[0], [0, 0])
    assert np.all(np.isfinite(check_zero))


@pytest.mark.parametrize("ord", [None, "fro", "nuc", 1, 2, np.inf])
def test_norm_of_the_zero_matrix_has_derivative_zero(ord: Any) -> None:
    np.testing.assert_array_equal(cr.grad(lambda x: L.norm(x, ord))(np.zeros((2, 3))), np.zeros((2, 3)))
    zero = np.zeros((2, 2), complex)
    np.testing.assert_array_equal(cr.grad(lambda x: L.norm(x, ord))(zero), zero)


def test_norms_share_ties() -> None:
    assert_close(cr.grad(lambda x: L.norm(x, np.inf))(np.array([2.0, -2.0, 1.0])), [0.5, -0.5, 0], 1e-15)
    assert_close(cr.grad(lambda x: L.norm(x, 2))(3 * np.eye(3)), np.eye(3) / 3, 1e-15)
    assert_close(cr.grad(lambda x: L.norm(x, 1))(np.eye(2)), np.eye(2) / 2, 1e-15)


def test_nuclear_norm_without_full_rank() -> None:
    u, v = np.array([3.0, 4.0]) / 5, np.array([1.0, 2.0, 2.0]) / 3
    assert_close(cr.grad(lambda x: L.norm(x, "nuc"))(np.outer(u, v)), np.outer(u, v), 1e-12)


def test_norm_of_nothing() -> None:
    for ord in (None, 1, 2, np.inf):
        assert L.norm(np.zeros(0), ord) == cr.value_and_grad(lambda x, o=ord: L.norm(x, o))(np.zeros(0))[0]


def test_norms_refuse_what_numpy_refuses() -> None:
    for ord, shape, axis in (
        ("fro", (3,), None),
        (3, (2, 2), None),
        (None, (2, 2, 2), (0, 1, 2)),
        (2, (2, 2), (0, 0)),
    ):
        with pytest.raises(ValueError, match=r"."):
            L.norm(_x(*shape), ord, axis)
        with pytest.raises(ValueError, match=r"."):
            cr.jvp(lambda x, o=ord, a=axis: L.norm(x, o, a), (_x(*shape),), (_x(*shape),))
    with pytest.raises(TypeError, match="axis"):
        cr.grad(lambda x: L.norm(x, axis="a"))(_x(2))


# -- determinants of singular matrices ----------------------------------------------------------------


def _rank(n: int, rank: int, kind: Any = _x) -> Any:
    return kind(n, rank) @ kind(rank, n)


def _minors(a: Any) -> Any:
    """Cofactors by their definition."""
    n = len(a)
    return np.array(
        [
            [(-1) ** (i + j) * L.det(np.delete(np.delete(a, i, 0), j, 1)) if n > 1 else 1.0 for j in range(n)]
            for i in range(n)
        ]
    )


SINGULAR = [
    np.zeros((1, 1)),
    np.zeros((2, 2)),
    np.zeros((3, 3)),
    np.ones((2, 2)),
    np.ones((4, 4)),
    np.diag([1.0, 2.0, 0.0]),
    np.diag([1.0, 0.0, 0.0, 3.0]),
    np.arange(9.0).reshape(3, 3),
    *[_rank(n, r) for n in (2, 3, 5) for r in (1, n - 1)],
    _rank(12, 11),
    _rank(4, 4) + 1e-9,
]


@pytest.mark.parametrize("a", SINGULAR)
def test_gradient_of_singular_determinants(a: Any) -> None:
    scale = max(1.0, float(abs(a).max()) ** (len(a) - 1))
    assert_close(cr.grad(L.det)(a) / scale, _minors(a) / scale, 1e-10)


@pytest.mark.parametrize("a", [a for a in SINGULAR if len(a) <= 5])
def test_second_and_third_derivatives_of_singular_determinants(a: Any) -> None:
    rng = np.random.default_rng(2)
    d, e = rng.normal(size=(2, *a.shape))
    g = lambda x: L.det(x)
    assert_close(cr.hvp(g, (a,), (d,)), difference(_minors, (a,), (d,), 1e-5)[0], 2e-5)
    # Along a line the determinant is a polynomial: its coefficients are finite differences in many digits.
    line = lambda t: g(a + t * d + t * t * e)
    mp.mp.dps = 40
    da, dd, de = (mp.matrix(m.tolist()) for m in (a, d, e))
    for order in (1, 2, 3):
        want = mp.diff(lambda t: mp.det(da + t * dd + t * t * de), 0, order)
        have = cr.derivative(line, order)(0.0)
        assert abs(have - float(want)) <= 1e-8 * (1 + abs(float(want)))


def test_stack_of_regular_and_singular_matrices() -> None:
    a = np.stack([_square(3, 3), np.ones((3, 3)), np.zeros((3, 3)), np.diag([1.0, 2.0, 0.0])])
    want = np.stack([_minors(m) for m in a])
    assert_close(cr.grad(lambda x: np.sum(L.det(x)))(a), want, 1e-10)
    have = cr.jacfwd(L.det)(a)
    assert_close(have[np.arange(4), np.arange(4)], want, 1e-10)


def test_complex_singular_determinant() -> None:
    a = _rank(3, 2, _z)
    assert_close(cr.grad(L.det, holomorphic=True)(a), _minors(a), 1e-10)


def test_slogdet_at_a_pole() -> None:
    g = cr.grad(lambda x: L.slogdet(x)[1])(np.diag([2.0, 0.0]))
    assert np.isposinf(g[1, 1])
    assert not np.any(np.isfinite(g) & (g != 0))
    with pytest.raises(L.LinAlgError):
        cr.grad(lambda x: np.sum(L.inv(x)))(np.zeros((2, 2)))


# -- triangles, repeated values -----------------------------------------------------------------------


def test_the_triangle_that_is_not_read_has_derivative_zero() -> None:
    a = _definite(3, 3)
    for f, upper in (
        (L.cholesky, False),
        (lambda x: L.cholesky(x, upper=True), True),
        (L.eigvalsh, False),
        (lambda x: L.eigvalsh(x, "U"), True),
    ):
        j = cr.jacobian(f)(a)
        unread = np.tril(np.ones((3, 3)), -1) if upper else np.triu(np.ones((3, 3)), 1)
        assert not np.any(j * unread)
        assert np.any(j * unread.T)


@pytest.mark.parametrize("a", [np.eye(3), np.diag([1.0, 1.0, 2.0]), np.zeros((2, 2))])
def test_repeated_eigenvalues(a: Any) -> None:
    """Symmetric functions of the eigenvalues have a derivative, single ones the symmetric element."""
    assert_close(cr.grad(lambda x: np.sum(L.eigvalsh(x) ** 3))(a), 3 * a @ a, 1e-14)
    assert_close(cr.grad(lambda x: np.sum(L.eigh(x).eigenvalues ** 3))(a), 3 * a @ a, 1e-14)
    projection = np.diag((np.diag(a) == a.max()) * 1.0)
    assert_close(cr.grad(lambda x: L.eigvalsh(x)[-1])(a), projection / np.trace(projection), 1e-14)
    assert_close(cr.jacfwd(L.eigvalsh)(a)[-1], projection / np.trace(projection), 1e-14)


def test_eigenvalues_repeated_up_to_rounding() -> None:
    q, _ = L.qr(_x(4, 4))
    a = q @ np.diag([1.0, 1.0, 1.0, 2.0]) @ q.T
    g = cr.grad(lambda x: np.sum(L.eigvalsh(x)[:3]))(a)
    want = np.eye(4) - np.outer(q[:, 3], q[:, 3])
    assert_close((g + g.T) / 2, want, 1e-12)
    assert not np.all(np.isfinite(cr.grad(lambda x: L.eigh(x)[1][0, 0])(a)))
    assert not np.all(np.isfinite(cr.jvp(lambda x: L.eigh(x)[1], (a,), (_x(4, 4),))[1]))


@pytest.mark.parametrize("a", [np.eye(3), np.diag([2.0, 1.0, 1.0])])
def test_repeated_singular_values(a: Any) -> None:
    assert_close(cr.grad(lambda x: np.sum(L.svdvals(x) ** 3))(a), 3 * a @ a, 1e-14)
    assert_close(cr.grad(lambda x: np.sum(L.svd(x).S ** 3))(a), 3 * a @ a, 1e-14)
    assert not np.all(np.isfinite(cr.grad(lambda x: L.svd(x).U[0, 0])(a)))


def test_zero_singular_value_is_a_kink() -> None:
    a = np.diag([2.0, 0.0])
    assert_close(cr.jacobian(L.svdvals)(a), [[[1, 0], [0, 0]], [[0, 0], [0, 0]]], 1e-15)


def test_phases_do_not_matter_to_what_does_not_depend_on_them() -> None:
    """Functions of a Hermitian matrix through its eigenvectors, also where the phase cannot be told."""
    weights = _z(3, 3)

    def f(x: Any) -> Any:
        w, v = L.eigh(x)
        return np.real(np.sum(weights * ((v * np.exp(w)) @ np.conj(v).T)))

    block = np.diag([1.0, 2.0, 4.0]) + 0j
    block[2, 1] = 1e-20 + 1j
    for a in (np.diag([1.0, 2.0, 4.0]) + 0j, block, block + 1e-9, block + 1e-6, _z(3, 3)):
        d = _z(3, 3)
        want = difference(f, (a,), (d,), 1e-6)[0]
        have = float(np.real(np.vdot(cr.grad(f)(a), d)))
        assert abs(have - want) < 1e-6 * max(1, abs(want))


# -- pseudo-inverse and rank --------------------------------------------------------------------------


def test_pinv_without_full_rank() -> None:
    a = np.outer([1.0, 2.0, 2.0], [3.0, 4.0])
    d = _x(3, 2)
    f = lambda x: L.pinv(x, rcond=1e-2)
    _, have = cr.jvp(f, (a,), (d,))
    assert_close(have, difference(f, (a,), (d,))[0], 1e-7)
    with pytest.raises(UnsupportedError, match="second"):
        cr.hvp(lambda x: np.sum(f(x)), (a,), (d,))
    with pytest.raises(UnsupportedError, match="rcond"):
        cr.grad(lambda x: np.sum(L.pinv(x, rcond=0.5)))(np.diag([1.0, 0.1]))


def test_matrix_rank_is_an_integer() -> None:
    assert cr.grad(lambda x: L.matrix_rank(x) * np.sum(x))(np.diag([1.0, 2.0, 0.0]))[0, 0] == 2
    y, _ = cr.vjp(lambda x: x * L.matrix_rank(x, tol=1.5), np.eye(2))
    np.testing.assert_array_equal(y, 0 * np.eye(2))


def test_lstsq_rank() -> None:
    def f(a: Any) -> Any:
        x, residuals, rank, s = L.lstsq(a, np.ones(2))
        assert rank == 2
        assert residuals.shape == (0,)
        return np.sum(x) + np.sum(s)

    check(f, _square(2, 2), exact=False)


# -- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "shape"),
    [
        (lambda x: L.svd(x).U, (3, 2)),
        (lambda x: L.svd(x, hermitian=True).U, (2, 2)),
        (lambda x: L.qr(x, mode="complete").Q, (3, 2)),
        (lambda x: L.qr(x, mode="raw")[0], (3, 2)),
    ],
)
def test_refused(f: Any, shape: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"numpy\.linalg"):
        cr.jvp(f, (_x(*shape),), (_x(*shape),))


@pytest.mark.parametrize(
    ("f", "shape"),
    [
        (L.inv, (2, 3)),
        (L.inv, (3,)),
        (L.det, (2, 3)),
        (L.eigh, (2, 3)),
        (L.cholesky, (2, 3)),
        (L.svd, (3,)),
        (L.qr, (3,)),
        (lambda x: L.solve(x, np.ones(3)), (2, 2)),
        (lambda x: L.lstsq(x, np.ones(3)), (2, 2)),
        (lambda x: L.matrix_power(x, 2), (2, 3)),
        (lambda x: L.tensorsolve(x, np.ones(2)), (2, 3)),
    ],
)
def test_shapes_that_do_not_fit(f: Any, shape: Any) -> None:
    x = _x(*shape)
    with pytest.raises((L.LinAlgError, ValueError)):
        f(x)
    with pytest.raises((L.LinAlgError, ValueError)):
        cr.jvp(f, (x,), (x,))


def test_results_have_the_names_of_numpy() -> None:
    x = _definite(3, 3)

    def f(a: Any) -> Any:
        sign, logabsdet = L.slogdet(a)
        assert L.slogdet(a).logabsdet.shape == ()
        return (
            np.sum(L.eigh(a).eigenvectors ** 2)
            + np.sum(L.eig(a).eigenvalues)
            + np.sum(L.svd(a).Vh)
            + np.sum(L.qr(a).R)
            + sign * logabsdet
        )

    check(f, x, exact=False)


def test_float32() -> None:
    a = _definite(3, 3).astype(np.float32)
    for f in (L.inv, L.det, L.cholesky, L.eigvalsh, L.svdvals, L.pinv, L.norm, lambda x: L.solve(x, x[0])):
        y, pullback = cr.vjp(f, a)
        assert y.dtype == np.float32
        assert pullback(np.ones_like(y))[0].dtype == np.float32
        _, y_dot = cr.jvp(f, (a,), (a,))
        assert y_dot.dtype == np.float32


def test_integers_beside_traced_values() -> None:
    a = np.array([[2, 1], [1, 3]])
    check(lambda b: L.solve(a, b), _x(2), exact=False)
    check(lambda b: L.solve(b, [1, 2]), _square(2, 2), exact=False)
    check(lambda b: a @ b, _x(2), exact=False)


def test_empty_matrices() -> None:
    assert cr.grad(L.det)(np.zeros((0, 0))).shape == (0, 0)
    assert cr.grad(lambda x: np.sum(L.inv(x)))(np.zeros((2, 0, 0))).shape == (2, 0, 0)
    assert cr.grad(lambda x: np.sum(L.solve(x, np.zeros((0, 2)))))(np.zeros((0, 0))).shape == (0, 0)
    assert cr.grad(lambda x: np.sum(L.eigvalsh(x)))(np.zeros((0, 0))).shape == (0, 0)


def test_against_mpmath() -> None:
    """The logarithm of a determinant of a Hilbert matrix, in more digits than floats have."""
    n = 5
    a = np.array([[1 / (i + j + 1) for j in range(n)] for i in range(n)])
    mp.mp.dps = 60
    want = np.array((mp.matrix(a.tolist()) ** -1).T.tolist(), float)
    assert_close(cr.grad(lambda x: L.slogdet(x)[1])(a) / want, np.ones((n, n)), 1e-9)
