"""chainrule.scipy.linalg: values near SciPy's, derivatives those of differences; what is not read has none."""

import numpy as np
import pytest
import scipy.linalg as sl

import chainrule as cr
from chainrule.errors import UnsupportedError
from chainrule.rules import matrices
from chainrule.scipy import linalg
from tests.helpers import check

RNG = np.random.default_rng(5)
A = RNG.normal(size=(3, 3)) + 3 * np.eye(3)
C = A + 1j * RNG.normal(size=(3, 3))
S = A @ A.T
V, M = RNG.normal(size=3), RNG.normal(size=(3, 2))


def close(f, *args, **options):
    check(f, *args, exact=False, **options)


@pytest.mark.parametrize("b", [V, M], ids=["vector", "matrix"])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize(
    "kind", ["gen", "pos", "sym", "her", "upper triangular", "lower triangular", "diagonal", "tridiagonal"]
)
def test_solve(kind, lower, b):
    close(lambda a, b: linalg.solve(a, b, assume_a=kind, lower=lower), S, b)


@pytest.mark.parametrize("a", [A, C], ids=["real", "complex"])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("trans", [0, 1, 2, "N", "T", "C"])
def test_solve_triangular(trans, lower, unit, a):
    def f(a, b):
        return linalg.solve_triangular(a, b, trans=trans, lower=lower, unit_diagonal=unit)

    close(f, a, V.astype(a.dtype))
    close(f, a, M.astype(a.dtype))


CASES = {
    "solve transposed": (lambda a, b: linalg.solve(a, b, transposed=True), A, M),
    "solve, plain matrix": (lambda b: linalg.solve(A, b), V),
    "inv": (lambda a: linalg.inv(a), A),
    "inv of a definite one": (lambda a: linalg.inv(a, assume_a="pos", lower=True), S),
    "det": (lambda a: linalg.det(a), A),
    "cholesky": (lambda a: linalg.cholesky(a), S),
    "cholesky, lower": (lambda a: linalg.cholesky(a, lower=True), S),
    "cho_solve": (lambda a, b: linalg.cho_solve(linalg.cho_factor(a), b), S, V),
    "cho_solve, lower": (lambda a, b: linalg.cho_solve(linalg.cho_factor(a, lower=True), b), S, M),
    "cho_solve, plain factor": (lambda b: linalg.cho_solve(sl.cho_factor(S), b), V),
    "expm": (lambda a: linalg.expm(a), A),
    "expm, complex": (lambda a: linalg.expm(a), C),
    "expm of a number": (lambda a: linalg.expm(a), np.array([[2.0]])),
    "expm at 0": (lambda a: linalg.expm(a), np.zeros((3, 3))),
    "expm of a stack": (lambda a: linalg.expm(a), np.stack([A, S / 9])),
    "expm, third order": (lambda a: cr.hvp(lambda a: np.sum(linalg.expm(a) ** 2), (a,), (A,)), A / 3),
    "norm": (lambda a: linalg.norm(a), A),
    "norm, inf": (lambda a: linalg.norm(a, np.inf), A),
    "norm, 2": (lambda a: linalg.norm(a, 2), A),
    "norm, vector": (lambda a: linalg.norm(a, 3), V),
    "norm, axis": (lambda a: linalg.norm(a, axis=1, keepdims=True), A),
    "block_diag": (lambda a, b: linalg.block_diag(a, b, 2.0, [[1, 2], [3, 4]]), A, V),
    "eigvalsh": (lambda a: linalg.eigvalsh(a, lower=False), S),
    "svdvals": (lambda a: linalg.svdvals(a), np.vstack([A, V])),
    "pinv": (lambda a: linalg.pinv(a), np.vstack([A, V])),
}


@pytest.mark.parametrize("name", CASES)
def test_function(name):
    close(*CASES[name])


@pytest.mark.parametrize("primitive", [matrices.solve_triangular, matrices.expm, matrices.frechet])
def test_samples(primitive):
    for args, params in primitive.samples(np.random.default_rng(3)):
        check(lambda *args, params=params: primitive(*args, **params), *args)


@pytest.mark.parametrize(("args", "batched"), [((3, 3, 2), 1), ((3, 3, 2), 0), ((3, 3, 2), 2)])
def test_rows_of_triangular_equations(args, batched):
    a, b = np.stack([A, A + 1]), np.stack([M, M - 1])
    f = lambda a, b: linalg.solve_triangular(a, b, lower=True)
    axes = ((None, 0), (0, None), (0, 0))[batched]
    rows = cr.vmap(f, in_axes=axes)(a if axes[0] == 0 else A, b if axes[1] == 0 else M)
    for k in (0, 1):
        expected = sl.solve_triangular(a[k] if axes[0] == 0 else A, b[k] if axes[1] == 0 else M, lower=True)
        np.testing.assert_allclose(rows[k], expected, rtol=1e-12)


REFUSED = {
    "sqrtm": lambda a: linalg.sqrtm(a),
    "logm": lambda a: linalg.logm(a),
    "eigh": lambda a: linalg.eigh(a)[0],
    "lu_factor": lambda a: linalg.lu_factor(a)[0],
    "atol": lambda a: linalg.pinv(a, atol=1.0),
    "subset_by_index": lambda a: linalg.eigvalsh(a, subset_by_index=[0, 1]),
    "circulant": lambda a: linalg.solve(a, V, assume_a="circulant"),
    "block_diag": lambda a: linalg.block_diag(a[None], a[None]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    with pytest.raises(UnsupportedError, match=name):
        cr.jvp(REFUSED[name], (A,), (A,))


def test_errors_are_those_of_scipy():
    with pytest.raises(linalg.LinAlgError, match="singular"):
        cr.jvp(lambda a: linalg.solve_triangular(a, V), (0 * A,), (A,))
    with pytest.raises(ValueError, match="infs or NaNs"):
        cr.jvp(linalg.inv, (A * np.nan,), (A,))
    with pytest.raises(ValueError, match="square"):
        cr.jvp(linalg.det, (M,), (M,))


def test_plain_values_go_to_scipy():
    np.testing.assert_array_equal(linalg.sqrtm(S), sl.sqrtm(S))
    assert linalg.solve.__doc__ == sl.solve.__doc__
    np.testing.assert_array_equal(linalg.hilbert(2), sl.hilbert(2))
