"""Linear algebra in compiled code: what NumPy answers, for matrices of every layout and dtype."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from chainrule.backends.numba import linalg

SIZES = {"float32": 2e-4, "float64": 1e-11, "complex64": 2e-4, "complex128": 1e-11}


@numba.njit(error_model="numpy")
def everything(a: Any, b: Any, c: Any) -> Any:
    sign, log = module.slogdet(a)
    return module.solve(a, b), module.solve(a, c), module.inv(a), module.det(a), sign, log


@numba.njit(error_model="numpy")
def cholesky(a: Any) -> Any:
    return module.cholesky(a)


@numba.njit(error_model="numpy")
def solve(a: Any, b: Any) -> Any:
    return module.solve(a, b)


@numba.njit(error_model="numpy")
def inv(a: Any) -> Any:
    return module.inv(a)


module = linalg.module()


@numba.njit(error_model="numpy")
def products(a: Any, b: Any, x: Any, y: Any) -> Any:
    return module.matmul(a, b), module.matmul(a, x), module.matmul(y, a), module.matmul(x, x)


def arrays(dtype: str, n: int) -> list[Any]:
    rng = np.random.default_rng(n)
    made = [rng.normal(size=s) + (1j * rng.normal(size=s) if "complex" in dtype else 0) for s in ((n, n), n, (n, 3))]
    return [m.astype(dtype) for m in made]


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
def test_it_answers_what_numpy_does(dtype: str) -> None:
    for n in (0, 1, 2, 7):
        a, b, c = arrays(dtype, n)
        sign, log = np.linalg.slogdet(a)
        expected = (np.linalg.solve(a, b), np.linalg.solve(a, c), np.linalg.inv(a), np.linalg.det(a), sign, log)
        for got, right in zip(everything(a, b, c), expected, strict=True):
            np.testing.assert_allclose(got, right, rtol=SIZES[dtype])
            assert np.ndim(got) == 0 or (got.dtype == dtype and got.flags.c_contiguous)


@pytest.mark.parametrize(
    ("order", "dtype"),
    [*((order, "float64") for order in ("CC", "CF", "FC", "FF")), ("CF", "float32"), ("CF", "complex128")],
)
def test_products_of_every_layout(order: str, dtype: str) -> None:
    for m, k, n in ((2, 3, 4), (1, 1, 1), (5, 1, 2), (1, 4, 1), (0, 2, 3), (2, 0, 3), (2, 3, 0)):
        rng = np.random.default_rng(m + k)
        values = [rng.normal(size=s) * (1 + (2j if "complex" in dtype else 0)) for s in ((m, k), (k, n), k, m)]
        a, b, x, y = (v.astype(dtype) for v in values)
        a, b = np.array(a, order=order[0]), np.array(b, order=order[1])
        for got, right in zip(products(a, b, x, y), (a @ b, a @ x, y @ a, x @ x), strict=True):
            np.testing.assert_allclose(got, right, rtol=SIZES[dtype], atol=SIZES[dtype])
            assert np.ndim(got) == 0 or got.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_cholesky_reads_the_lower_triangle(dtype: str) -> None:
    for n in (0, 1, 5):
        a = arrays(dtype, n)[0]
        a = a @ a.conj().T + np.eye(n)
        a = a.astype(dtype)
        other = a + np.triu(np.ones((n, n), dtype), 1)
        np.testing.assert_allclose(cholesky(other), np.linalg.cholesky(a), rtol=SIZES[dtype], atol=SIZES[dtype])


def test_arguments_of_every_layout_stay_as_they_are() -> None:
    a, b, c = arrays("float64", 6)
    wide = np.zeros((6, 12))
    wide[:, ::2] = a
    before = a.copy()
    for layout in (np.asfortranarray(a), wide[:, ::2], a):
        np.testing.assert_allclose(solve(layout, c), np.linalg.solve(a, c), rtol=1e-11)
        np.testing.assert_array_equal(layout, before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: solve(np.ones((2, 2)), np.ones(2)), "Singular"),
        (lambda: solve(np.ones((2, 2)), np.ones((2, 1))), "Singular"),
        (lambda: inv(np.zeros((3, 3))), "Singular"),
        (lambda: cholesky(-np.eye(2)), "positive definite"),
    ],
)
def test_what_has_no_answer_raises(call: Any, message: str) -> None:
    with pytest.raises(np.linalg.LinAlgError, match=message):
        call()


def test_singular_matrices_have_determinants_and_nan_passes() -> None:
    a = np.ones((3, 3))
    _, _, _, det, sign, log = everything(np.diag([1.0, 2.0, 0.5]), np.ones(3), np.ones((3, 1)))
    assert (det, sign, log) == (1.0, 1.0, 0.0)
    assert singular(a) == (0.0, 0.0, -np.inf)
    assert np.isnan(solve(np.array([[np.nan, 0.0], [0.0, 1.0]]), np.ones(2))[0])


@numba.njit(error_model="numpy")
def singular(a: Any) -> Any:
    sign, log = module.slogdet(a)
    return module.det(a), sign, log


def test_another_integer_of_lapack_leaves_it_to_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linalg, "is_usual", lambda: False)
    assert linalg.module.__wrapped__().solve is np.linalg.solve
