"""What compiled code sees as `numpy.linalg`, and matrix products: BLAS and LAPACK as SciPy exports them, by symbol.

Numba's own wrappers take seconds to compile. These do what NumPy does, with the same functions of LAPACK: they take
matrices of any layout and give contiguous ones, raise `LinAlgError` for singular matrices, and let NaN pass.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from chainrule.backends.numba.symbols import of_scipy, provide

__all__ = ["module"]

_BLAS, _LAPACK = "scipy.linalg.cython_blas", "scipy.linalg.cython_lapack"
_LETTERS = {types.float32: "s", types.float64: "d", types.complex64: "c", types.complex128: "z"}
_intrinsic: Callable[[Callable[..., Any]], Any] = intrinsic
_code: Any = cgutils
_INT, _BYTES = ir.IntType(32), ir.IntType(8).as_pointer()


# -- BLAS and LAPACK ----------------------------------------------------------------------------------
#
# What lies in rows they see as the transpose, in columns: layout C.


@_intrinsic
def _gemm(context: Any, m: Any, n: Any, k: Any, a: Any, b: Any, out: Any) -> Any:
    """out = a b, of m, n and k rows and columns."""
    lead_a, op_a = (0, "T") if a.layout == "F" else (2, "N")
    lead_b, op_b = (2, "T") if b.layout == "F" else (1, "N")
    order = (op_b, op_a, 1, 0, 2, 1.0, 4, lead_b, 3, lead_a, 0.0, 5, 1)  # of the transpose, bᵀ aᵀ
    return _call(_BLAS, "gemm", (m, n, k, a, b, out), order, types.none)


@_intrinsic
def _gemv(context: Any, m: Any, k: Any, one: Any, a: Any, x: Any, out: Any) -> Any:
    """out = a x, of m rows and k columns."""
    shape = ("N", 0, 1) if a.layout == "F" else ("T", 1, 0)
    order = (*shape, 1.0, 3, shape[1], 4, 2, 0.0, 5, 2)
    return _call(_BLAS, "gemv", (m, k, one, a, x, out), order, types.none)


@_intrinsic
def _gesv(context: Any, n: Any, count: Any, a: Any, pivots: Any, b: Any) -> Any:
    """Solve a x = b for so many columns of b, which become those of x."""
    return _call(_LAPACK, "gesv", (n, count, a, pivots, b), (0, 1, 2, 0, 3, 4, 0))


@_intrinsic
def _getrf(context: Any, n: Any, a: Any, pivots: Any) -> Any:
    """Factorise a = p l u, with l and u in its place."""
    return _call(_LAPACK, "getrf", (n, a, pivots), (0, 0, 1, 0, 2))


@_intrinsic
def _potrf(context: Any, n: Any, a: Any) -> Any:
    """Factorise a = uᴴ u, with u in the place of its upper triangle."""
    return _call(_LAPACK, "potrf", (n, a), ("U", 0, 1, 0))


def _call(module: str, name: str, args: tuple[Any, ...], order: tuple[Any, ...], result: Any = types.int32) -> Any:
    """The function of these arguments, letters and numbers, in this order and by reference; answers its `info`."""
    (dtype,) = {a.dtype for a in args if isinstance(a, types.Array)} & set(_LETTERS)
    symbol = of_scipy(module, _LETTERS[dtype] + name)
    provide(symbol)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def reference(k: Any) -> Any:
            if isinstance(k, str):
                return context.insert_const_string(builder.module, k)
            if isinstance(k, float):
                number = context.cast(builder, context.get_constant(types.float64, k), types.float64, dtype)
            elif isinstance(args[k], types.Array):
                return builder.bitcast(context.make_array(args[k])(context, builder, values[k]).data, _BYTES)
            else:
                number = context.cast(builder, values[k], args[k], types.int32)
            return builder.bitcast(_code.alloca_once_value(builder, number), _BYTES)

        pointers = [*map(reference, order)]
        info = _code.alloca_once(builder, _INT)
        if result is not types.none:
            pointers.append(builder.bitcast(info, _BYTES))
        kind = ir.FunctionType(ir.VoidType(), [_BYTES] * len(pointers))
        builder.call(_code.get_or_insert_function(builder.module, kind, symbol), pointers)
        return context.get_dummy_value() if result is types.none else builder.load(info)

    return result(*args), code


# -- what NumPy has -----------------------------------------------------------------------------------


def solve(a: Any, b: Any) -> Any:
    def vector(a: Any, b: Any) -> Any:
        n = a.shape[0]
        factors, x, pivots = _columns(a), np.empty(n, b.dtype), np.empty(n, np.int32)
        for i in range(n):
            x[i] = b[i]
        if n and _gesv(n, 1, factors, pivots, x) != 0:
            raise np.linalg.LinAlgError("Singular matrix")
        return x

    def matrix(a: Any, b: Any) -> Any:
        n = a.shape[0]
        factors, x, pivots = _columns(a), _columns(b), np.empty(n, np.int32)
        if n and b.shape[1] and _gesv(n, b.shape[1], factors, pivots, x) != 0:
            raise np.linalg.LinAlgError("Singular matrix")
        return _columns(x)

    return vector if b.ndim == 1 else matrix


def inv(a: Any) -> Any:
    def compiled(a: Any) -> Any:
        n = a.shape[0]
        factors, x, pivots = _columns(a), np.zeros((n, n), a.dtype), np.empty(n, np.int32)
        for i in range(n):
            x[i, i] = 1
        if n and _gesv(n, n, factors, pivots, x) != 0:
            raise np.linalg.LinAlgError("Singular matrix")
        return _columns(x)

    return compiled


def det(a: Any) -> Any:
    def compiled(a: Any) -> Any:
        made, diagonal = _factors(a)
        for i in range(diagonal.shape[0]):
            made *= diagonal[i]
        return made

    return compiled


def slogdet(a: Any) -> Any:
    def compiled(a: Any) -> Any:
        sign, diagonal = _factors(a)
        log = sign.real * 0
        for i in range(diagonal.shape[0]):
            size = abs(diagonal[i])
            if size == 0:
                sign = sign * 0
                log -= np.inf
            else:
                sign *= diagonal[i] / size
                log += np.log(size)
        return sign, log

    return compiled


def cholesky(a: Any) -> Any:
    def compiled(a: Any) -> Any:
        n = a.shape[0]
        made = np.zeros((n, n), a.dtype)
        for i in range(n):
            for j in range(i + 1):
                made[i, j] = np.conj(a[i, j])  # LAPACK sees the transpose
        if n and _potrf(n, made) != 0:
            raise np.linalg.LinAlgError("Matrix is not positive definite")
        for i in range(n):
            for j in range(i + 1):
                made[i, j] = np.conj(made[i, j])
        return made

    return compiled


def matmul(a: Any, b: Any) -> Any:
    def numbers(a: Any, b: Any) -> Any:
        made = np.zeros(1, a.dtype)
        if a.shape[0]:
            _gemv(1, a.shape[0], 1, a, b, made)
        return made[0]

    def right(a: Any, b: Any) -> Any:
        made = np.zeros(a.shape[0], a.dtype)
        if a.shape[0] and a.shape[1]:
            _gemv(a.shape[0], a.shape[1], 1, a, b, made)
        return made

    def left(a: Any, b: Any) -> Any:
        made = np.zeros(b.shape[1], a.dtype)
        if b.shape[0] and b.shape[1]:
            _gemv(b.shape[1], b.shape[0], 1, b.T, a, made)
        return made

    def both(a: Any, b: Any) -> Any:
        made = np.zeros((a.shape[0], b.shape[1]), a.dtype)
        if a.shape[0] and a.shape[1] and b.shape[1]:
            _gemm(a.shape[0], b.shape[1], a.shape[1], a, b, made)
        return made

    if a.layout == "A" or b.layout == "A":
        return None  # the text makes them contiguous
    return {(1, 1): numbers, (2, 1): right, (1, 2): left, (2, 2): both}[a.ndim, b.ndim]


def _columns(a: Any) -> Any:
    """A copy of `a` whose columns lie in a row, as LAPACK has it: the transpose."""

    def compiled(a: Any) -> Any:
        made = np.empty((a.shape[1], a.shape[0]), a.dtype)
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                made[j, i] = a[i, j]
        return made

    return compiled


def _factors(a: Any) -> Any:
    """The sign of the permutation, and the diagonal of the triangular factor."""

    def compiled(a: Any) -> Any:
        n = a.shape[0]
        factors, pivots = _columns(a), np.empty(n, np.int32)
        sign, diagonal = a.dtype.type(1), np.empty(n, a.dtype)
        if n:
            _getrf(n, factors, pivots)
        for i in range(n):
            diagonal[i] = factors[i, i]
            if pivots[i] != i + 1:
                sign = -sign
        return sign, diagonal

    return compiled


# -- the module ---------------------------------------------------------------------------------------


@functools.cache
def module() -> ModuleType:
    """`numpy.linalg`, of these functions, and `matmul`."""
    made = ModuleType("numpy.linalg")
    vars(made).update(vars(np.linalg))
    if is_usual():
        for function in (solve, inv, det, slogdet, cholesky, matmul, _columns, _factors):
            overload(function, jit_options={"error_model": "numpy"})(function)
            setattr(made, function.__name__, function)
    return made


def is_usual() -> bool:
    """Whether SciPy's LAPACK takes integers of 32 bits."""
    from scipy.linalg import cython_lapack

    return "void (int *" in repr(cython_lapack.__pyx_capi__["dgesv"])
