"""The functions of ``np.linalg`` on traced values, as compositions of primitives.

What they compute and where it has a derivative is said in `rules.linalg`. Where that does not cover an
option (full singular vectors of matrices that are not square, say) the function raises.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from chainrule.arrays.arguments import asarray, plain
from chainrule.arrays.protocols import implements
from chainrule.core.dispatch import dtype_of, shape_of
from chainrule.errors import UnsupportedError, user_line
from chainrule.rules import elementwise as ew
from chainrule.rules import linalg
from chainrule.rules.reduce import amax, amin, sum_
from chainrule.rules.shape import concatenate, diagonal, reshape, transpose

__all__: list[str] = []

LinAlgError = np.linalg.LinAlgError
_NO = np._NoValue
# NumPy has no public names for the classes of its results.
_ONE = np.ones((1, 1))
EigResult: Any = type(np.linalg.eig(_ONE))
EighResult: Any = type(np.linalg.eigh(_ONE))
QRResult: Any = type(np.linalg.qr(_ONE))
SlogdetResult: Any = type(np.linalg.slogdet(_ONE))
SVDResult: Any = type(np.linalg.svd(_ONE))


def _refuse(name: str, what: str) -> UnsupportedError:
    return UnsupportedError(f"numpy.linalg.{name} with {what} is not supported for traced values (at {user_line()})")


def _stack(x: Any) -> Any:
    """An argument as a stack of matrices."""
    x = asarray(x)
    if x.ndim < 2:
        raise LinAlgError(f"{x.ndim}-dimensional array given. Array must be at least two-dimensional")
    return x


# -- equations, inverses, determinants ----------------------------------------------------------------


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    a, b = _stack(a), asarray(b)
    if b.ndim != 1:
        return linalg.solve(a, b)
    x = linalg.solve(a, reshape(b, shape=(b.size, 1)))
    return reshape(x, shape=shape_of(x)[:-1])


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    return linalg.inv(_stack(a))


@implements(np.linalg.det)
def det(a: Any) -> Any:
    return linalg.det(_stack(a))


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    return SlogdetResult(*linalg.slogdet(_stack(a)))


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = _NO) -> Any:
    a = _stack(a)
    rcond = plain(rcond, "numpy.linalg.pinv", "rcond")
    rtol = plain(rtol, "numpy.linalg.pinv", "rtol")
    if rcond is not None and rtol is not _NO:
        raise ValueError("`rtol` and `rcond` can't be both set.")
    if rcond is None:
        rcond = 1e-15 if rtol is _NO else rtol
    if rcond is None:
        rcond = max(a.shape[-2:]) * np.finfo(a.dtype).eps
    return linalg.pinv(linalg.read_triangle(a, False) if hermitian else a, rcond=rcond)


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    a, b = asarray(a), asarray(b)
    if a.ndim != 2 or b.ndim not in (1, 2):
        raise LinAlgError("lstsq: a is a matrix, b a vector or a matrix")
    if a.shape[0] != b.shape[0]:
        raise LinAlgError("Incompatible dimensions")
    m, n = a.shape
    rcond = plain(rcond, "numpy.linalg.lstsq", "rcond")
    if rcond is None:
        rcond = np.finfo(np.result_type(a.dtype, b.dtype)).eps * max(m, n)
    elif rcond == -1:
        rcond = np.finfo(np.result_type(a.dtype, b.dtype)).eps
    x = linalg.matmul(linalg.pinv(a, rcond=rcond), b)
    s = svdvals(a)
    rank = linalg.matrix_rank(a, rtol=rcond)
    residuals: Any = np.zeros(0, dtype_of(s))
    if rank == n and m > n:
        rest = b - linalg.matmul(a, x)
        rest = rest if rest.ndim == 2 else reshape(rest, shape=(m, 1))
        residuals = sum_(_squared(rest), axis=(0,), keepdims=False)
    return x, residuals, rank, s


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    a, b = asarray(a), asarray(b)
    if axes is not None:
        last = [normalize_axis_index(k, a.ndim) for k in axes]
        a = transpose(a, axes=(*[k for k in range(a.ndim) if k not in last], *last))
    shape = a.shape[b.ndim :]
    n = math.prod(shape)
    if a.size != n * n:
        raise LinAlgError("Input arrays must satisfy the requirement prod(a.shape[b.ndim:]) == prod(a.shape[:b.ndim])")
    return reshape(solve(reshape(a, shape=(n, n)), reshape(b, shape=(b.size,))), shape=shape)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    a = asarray(a)
    if operator.index(ind) <= 0:
        raise ValueError("Invalid ind argument.")
    shape = a.shape[ind:] + a.shape[:ind]
    n = math.prod(a.shape[ind:])
    return reshape(inv(reshape(a, shape=(a.size // n if n else 0, n))), shape=shape)


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: Any) -> Any:
    a = _stack(a)
    if a.shape[-1] != a.shape[-2]:
        raise LinAlgError("Last 2 dimensions of the array must be square")
    try:
        n = operator.index(plain(n, "numpy.linalg.matrix_power", "n"))
    except TypeError as error:
        raise TypeError("exponent must be an integer") from error
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape).copy()
    power, n = (linalg.inv(a), -n) if n < 0 else (a, n)
    factors = []
    while n:
        if n & 1:
            factors.append(power)
        n >>= 1
        power = linalg.matmul(power, power) if n else power
    return functools.reduce(linalg.matmul, factors)


# -- factorisations -----------------------------------------------------------------------------------


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    a = _stack(a)
    return linalg._mH(linalg.cholesky(linalg._mH(a))) if upper else linalg.cholesky(a)


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    a = _stack(a)
    m, n = a.shape[-2:]
    if mode not in ("reduced", "complete", "r"):
        raise _refuse("qr", f"mode={mode!r}")
    if mode == "complete" and m > n:
        raise _refuse("qr", 'mode="complete" of a matrix with more rows than columns; use mode="reduced"')
    if m >= n:
        q, r = linalg.qr(a)
    else:
        q, r = linalg.qr(a[..., :m])
        r = concatenate(r, linalg.matmul(linalg._mH(q), a[..., m:]), axis=a.ndim - 1)
    return r if mode == "r" else QRResult(q, r)


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    a = _stack(a)
    if hermitian:
        if compute_uv:
            raise _refuse("svd", "hermitian=True and vectors; use numpy.linalg.eigh")
        a = linalg.read_triangle(a, False)
    if compute_uv and full_matrices and a.shape[-1] != a.shape[-2]:
        raise _refuse(
            "svd",
            "full_matrices=True (the default) of a matrix that is not square; use full_matrices=False",
        )
    result = linalg.svd(a)
    return SVDResult(*result) if compute_uv else result[1]


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    return linalg.svd(_stack(x))[1]


def _upper(uplo: Any) -> bool:
    uplo = uplo.upper()
    if uplo not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return bool(uplo == "U")


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    return EighResult(*linalg.eigh(_stack(a), upper=_upper(UPLO)))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    return linalg.eigh(_stack(a), upper=_upper(UPLO))[0]


@implements(np.linalg.eig)
def eig(a: Any) -> Any:
    return EigResult(*linalg.eig(_stack(a)))


@implements(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    return linalg.eig(_stack(a))[0]


# -- norms --------------------------------------------------------------------------------------------


def _squared(x: Any) -> Any:
    """Squares of the absolute values."""
    if x.dtype.kind != "c":
        return ew.square(x)
    return ew.square(ew.real_part(x)) + ew.square(ew.imag_part(x))


def _inexact(x: Any) -> Any:
    return x if x.dtype.kind in "fc" else x.astype(np.float64)


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    x = _inexact(asarray(x))
    ord = plain(ord, "numpy.linalg.norm", "ord")
    rank = x.ndim
    if axis is None and (ord is None or (ord in ("f", "fro") and rank == 2) or (ord == 2 and rank == 1)):
        return linalg.root(sum_(_squared(x), axis=None, keepdims=bool(keepdims)))
    if axis is None:
        axis = tuple(range(rank))
    elif not isinstance(axis, tuple):
        try:
            axis = (int(axis),)
        except (TypeError, ValueError) as error:
            raise TypeError("'axis' must be None, an integer or a tuple of integers") from error
    if len(axis) > 2 or not axis:
        raise ValueError("Improper number of dimensions to norm.")
    if len(axis) == 1:
        return _vector_norm(x, ord, normalize_axis_index(axis[0], rank), bool(keepdims))
    rows, columns = (normalize_axis_index(k, rank) for k in axis)
    if rows == columns:
        raise ValueError("Duplicate axes given.")
    result = _matrix_norm(x, ord, rows, columns)
    if keepdims:
        result = reshape(result, shape=tuple(1 if k in (rows, columns) else n for k, n in enumerate(x.shape)))
    return result


def _largest(x: Any, axis: int, keepdims: bool = False) -> Any:
    """The maximum of what is not negative, 0 of nothing."""
    reduction = amax if x.shape[axis] else sum_
    return reduction(x, axis=(axis,), keepdims=keepdims)


def _vector_norm(x: Any, ord: Any, axis: int, keepdims: bool) -> Any:
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order '{ord}' for vectors")
    over: dict[str, Any] = {"axis": (axis,), "keepdims": keepdims}
    if ord is None or ord == 2:
        return linalg.root(sum_(_squared(x), **over))
    if ord == 0:
        return sum_(np.not_equal(x, 0).astype(x.dtype.char.lower()), **over)
    size = abs(x)
    if ord == np.inf:
        return _largest(size, axis, keepdims)
    if ord == -np.inf:
        return amin(size, **over)
    if ord == 1:
        return sum_(size, **over)
    total = sum_(size**ord, **over)
    exponent = dtype_of(total).type(1 / ord)
    if ord < 0:
        return total**exponent
    zero = total == 0  # there the norm has a kink
    return ew.where(zero, 0.0, ew.where(zero, 1.0, total) ** exponent)


def _singular_values(x: Any, rows: int, columns: int) -> Any:
    rest = [k for k in range(x.ndim) if k not in (rows, columns)]
    order = (*rest, rows, columns)
    return linalg.svd(x if order == tuple(range(x.ndim)) else transpose(x, axes=order))[1]


def _nuclear(x: Any, rows: int, columns: int) -> Any:
    """The sum of the singular values, of which those that vanish up to rounding have derivative 0."""
    s = _singular_values(x, rows, columns)
    last = s.ndim - 1
    if not s.shape[last]:
        return sum_(s, axis=(last,), keepdims=False)
    size = max(x.shape[rows], x.shape[columns])
    vanishing = s <= size * np.finfo(s.dtype).eps * s[..., :1]
    return sum_(ew.where(vanishing, 0.0, s), axis=(last,), keepdims=False)


def _matrix_norm(x: Any, ord: Any, rows: int, columns: int) -> Any:
    if ord in (2, -2):
        s = _singular_values(x, rows, columns)
        if ord == 2:
            return _largest(s, s.ndim - 1)
        return amin(s, axis=(s.ndim - 1,), keepdims=False)
    if ord in (1, -1, np.inf, -np.inf):
        first, second = (rows, columns) if ord in (1, -1) else (columns, rows)
        sums = sum_(abs(x), axis=(first,), keepdims=False)
        second -= second > first
        return _largest(sums, second) if ord > 0 else amin(sums, axis=(second,), keepdims=False)
    if ord in (None, "fro", "f"):
        return linalg.root(sum_(_squared(x), axis=(rows, columns), keepdims=False))
    if ord == "nuc":
        return _nuclear(x, rows, columns)
    raise ValueError("Invalid norm order for matrices.")


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    x = asarray(x)
    shape, over = x.shape, axis
    over = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    rest = [k for k in range(x.ndim) if k not in over]
    order = (*over, *rest)
    x = x if order == tuple(range(x.ndim)) else transpose(x, axes=order)
    x = reshape(x, shape=(math.prod(shape[k] for k in over), *[shape[k] for k in rest]))
    result = norm(x, ord, 0)
    if keepdims:
        result = reshape(result, shape=tuple(1 if k in over else n for k, n in enumerate(shape)))
    return result


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return norm(x, ord, (-2, -1), keepdims)


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    x = _stack(x)
    if not x.size:
        raise LinAlgError("cond is not defined on empty arrays")
    if p is not None and p not in (2, -2):
        return norm(x, p, (-2, -1)) * norm(linalg.inv(x), p, (-2, -1))
    s = linalg.svd(x)[1]
    largest, smallest = s[..., 0], s[..., -1]
    with np.errstate(all="ignore"):
        return smallest / largest if p == -2 else largest / smallest


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    tol = plain(tol, "numpy.linalg.matrix_rank", "tol")
    rtol = plain(rtol, "numpy.linalg.matrix_rank", "rtol")
    return linalg.matrix_rank(asarray(A), tol=tol, hermitian=hermitian, rtol=rtol)


# -- names of the array API ---------------------------------------------------------------------------


@implements(np.linalg.diagonal)
def diagonal_(x: Any, /, *, offset: int = 0) -> Any:
    x = _stack(x)
    return diagonal(x, offset=operator.index(offset), axis1=x.ndim - 2, axis2=x.ndim - 1)


@implements(np.linalg.trace)
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    x = diagonal_(x, offset=offset)
    if dtype is not None:
        x = x.astype(dtype)
    return sum_(x, axis=(x.ndim - 1,), keepdims=False)


@implements(np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    x = asarray(x)
    if x.ndim < 2:
        raise ValueError(f"Input array must be at least 2-dimensional, but it is {x.ndim}")
    return linalg.mT(x)
