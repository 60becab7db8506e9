"""`scipy.linalg` for traced values; every other name is SciPy's own and raises on them by name.

Equations and factorisations read the part of a matrix that SciPy reads (a triangle, a band), and the
derivative in what is not read is zero. ``overwrite_…`` permits only and is not made use of.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg as _sl

from chainrule.arrays.arguments import refuse as refuse_options
from chainrule.core.dispatch import dtype_of
from chainrule.rules import linalg as nl
from chainrule.rules import matrices
from chainrule.rules.shape import tri
from chainrule.scipy.names import array_of, plain_elsewhere, reexport, refuse

__all__ = [
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "det",
    "eigvalsh",
    "expm",
    "inv",
    "norm",
    "pinv",
    "solve",
    "solve_triangular",
    "svdvals",
]


def _checked(x: Any, check_finite: bool = True) -> Any:
    x = array_of(x)
    if check_finite and not np.all(np.isfinite(x)):
        raise ValueError("array must not contain infs or NaNs")
    return x


def _square(a: Any, check_finite: bool = True) -> Any:
    a = _checked(a, check_finite)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ValueError(f"expected a square matrix, not an array of shape {a.shape}")
    return a


# -- equations -----------------------------------------------------------------------------------------


def _read(a: Any, assume_a: str | None, lower: bool, function: str) -> Any:
    """The matrix that `assume_a` makes of what is stored in a."""
    if assume_a in (None, "gen", "general", "banded"):
        return a
    if assume_a in ("pos", "positive definite", "her", "hermitian"):
        return nl.read_triangle(a, not lower)
    if assume_a in ("sym", "symmetric"):
        half, n = tri(a, k=0, upper=not lower), a.shape[-1]
        return half + np.swapaxes(half, -1, -2) - half * np.eye(n, dtype=bool)
    if assume_a in ("upper triangular", "lower triangular"):
        return tri(a, k=0, upper=assume_a == "upper triangular")
    if assume_a in ("diagonal", "tridiagonal"):
        k = int(assume_a == "tridiagonal")
        return tri(tri(a, k=-k, upper=True), k=k, upper=False)
    raise refuse(f"{function} with assume_a={assume_a!r}")


@plain_elsewhere(_sl.solve)
def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: str | None = None,
    transposed: bool = False,
) -> Any:
    a, b = _square(a, check_finite), _checked(b, check_finite)
    a = _read(a, assume_a, lower, "scipy.linalg.solve")
    return np.linalg.solve(np.swapaxes(a, -1, -2) if transposed else a, b)


@plain_elsewhere(_sl.inv)
def inv(
    a: Any,
    overwrite_a: bool = False,
    check_finite: bool = True,
    *,
    assume_a: str | None = None,
    lower: bool = False,
) -> Any:
    return np.linalg.inv(_read(_square(a, check_finite), assume_a, lower, "scipy.linalg.inv"))


@plain_elsewhere(_sl.solve_triangular)
def solve_triangular(
    a: Any,
    b: Any,
    trans: Any = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    a, b = _square(a, check_finite), _checked(b, check_finite)
    if trans not in (0, "N"):
        a, lower = (nl._mH(a) if trans in (2, "C") else np.swapaxes(a, -1, -2)), not lower
    if not unit_diagonal and np.any(np.diagonal(a, axis1=-2, axis2=-1) == 0):
        raise np.linalg.LinAlgError("singular matrix")
    y = matrices.solve_triangular(a, b[:, None] if b.ndim == 1 else b, lower=bool(lower), unit=bool(unit_diagonal))
    return y[..., 0] if b.ndim == 1 else y


# -- factorisations, functions of one matrix -----------------------------------------------------------


@plain_elsewhere(_sl.cholesky)
def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return np.linalg.cholesky(_square(a, check_finite), upper=not lower)


@plain_elsewhere(_sl.cho_factor)
def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    # SciPy leaves what it finds in the other triangle, and promises nothing of it.
    return cholesky(a, lower, overwrite_a, check_finite), lower


@plain_elsewhere(_sl.cho_solve)
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    c, lower = c_and_lower
    first = solve_triangular(c, b, 0 if lower else 2, lower, check_finite=check_finite)
    return solve_triangular(c, first, 2 if lower else 0, lower, check_finite=check_finite)


@plain_elsewhere(_sl.det)
def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return np.linalg.det(_square(a, check_finite))


@plain_elsewhere(_sl.pinv)
def pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: bool = False, check_finite: bool = True) -> Any:
    refuse_options("scipy.linalg.pinv", atol=atol, return_rank=return_rank or None)
    a = _checked(a, check_finite)
    return np.linalg.pinv(a, rtol=max(a.shape[-2:]) * np.finfo(dtype_of(a)).eps if rtol is None else rtol)


@plain_elsewhere(_sl.expm)
def expm(A: Any) -> Any:
    return matrices.expm(_square(A, check_finite=False))


@plain_elsewhere(_sl.svdvals)
def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return np.linalg.svdvals(_checked(a, check_finite))


@plain_elsewhere(_sl.eigvalsh)
def eigvalsh(
    a: Any, b: Any = None, *, lower: bool = True, check_finite: bool = True, type: int = 1, **options: Any
) -> Any:
    options = {k: v for k, v in options.items() if not k.startswith("overwrite_")}
    refuse_options("scipy.linalg.eigvalsh", b=b, type=None if type == 1 else type, **options)
    return np.linalg.eigvalsh(_square(a, check_finite), UPLO="L" if lower else "U")


@plain_elsewhere(_sl.norm)
def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True) -> Any:
    return np.linalg.norm(_checked(a, check_finite), ord=ord, axis=axis, keepdims=keepdims)


@plain_elsewhere(_sl.block_diag)
def block_diag(*arrs: Any) -> Any:
    blocks = [np.atleast_2d(array_of(x)) for x in arrs]
    if any(x.ndim > 2 for x in blocks):
        raise refuse("scipy.linalg.block_diag of stacks of matrices")
    dtype = np.result_type(*[x.dtype for x in blocks])
    widths = [x.shape[1] for x in blocks]
    rows = []
    for k, x in enumerate(blocks):
        before, after = sum(widths[:k]), sum(widths[k + 1 :])
        rows.append(np.pad(x.astype(dtype), ((0, 0), (before, after))))
    return np.concatenate(rows, axis=0)


def __getattr__(name: str) -> Any:
    return reexport(_sl, name)


def __dir__() -> list[str]:
    return sorted({*__all__, *dir(_sl)})
