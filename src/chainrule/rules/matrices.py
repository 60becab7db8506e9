"""Derivative rules of what scipy.linalg has and NumPy has not: triangular equations, the exponential.

Imported by `chainrule.scipy.linalg` only. Reference: Al-Mohy and Higham, Computing the Fréchet derivative
of the matrix exponential (2009); Mathias, A chain rule for matrix functions (1996).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg as sl

from chainrule.core.batch import align, batching
from chainrule.core.define import general
from chainrule.core.dispatch import bind, shape_of
from chainrule.core.linear import GeneralSlot, LinearSlot, fit
from chainrule.core.primitive import Primitive, register
from chainrule.rules.elementwise import Samples
from chainrule.rules.linalg import _mH as mH
from chainrule.rules.linalg import matmul
from chainrule.rules.shape import reshape, transpose, tri

__all__ = ["expm", "frechet", "solve_triangular"]


# -- triangular equations ------------------------------------------------------------------------------


def _solve(a: Any, b: Any, *, lower: bool, unit: bool) -> Any:
    if np.ndim(a) == 2 and np.ndim(b) == 2:
        return sl.solve_triangular(a, b, lower=lower, unit_diagonal=unit, check_finite=False)
    stack = np.broadcast_shapes(np.shape(a)[:-2], np.shape(b)[:-2])
    a, b = np.broadcast_to(a, stack + np.shape(a)[-2:]), np.broadcast_to(b, stack + np.shape(b)[-2:])
    y = np.empty(b.shape, np.result_type(a, b, np.float32))
    for k in np.ndindex(stack):
        y[k] = sl.solve_triangular(a[k], b[k], lower=lower, unit_diagonal=unit, check_finite=False)
    return y


def _solve_matrix(y: Any, a: Any, b: Any, *, lower: bool, unit: bool) -> Any:
    def push(da: Any) -> Any:
        read = tri(da, k=(-1 if lower else 1) if unit else 0, upper=not lower)
        return -solve_triangular(a, matmul(read, y), lower=lower, unit=unit)

    return push


def _solve_right(ct: Any, a: Any, b: Any, *, lower: bool, unit: bool) -> Any:
    return fit(solve_triangular(mH(a), ct, lower=not lower, unit=unit), b)


def _solve_samples(rng: np.random.Generator) -> Samples:
    for lower, unit in ((True, False), (False, False), (True, True), (False, True)):
        a = rng.normal(size=(3, 3)) + 3 * np.eye(3)
        yield (a, rng.normal(size=(3, 2))), {"lower": lower, "unit": unit}
    yield (rng.normal(size=(2, 1, 1)) + 3, rng.normal(size=(1, 2))), {"lower": True, "unit": False}


# The right-hand sides are matrices; one triangle of the matrix is read.
solve_triangular = register(
    Primitive(
        "solve_triangular",
        _solve,
        (
            GeneralSlot(_solve_matrix, (True, True, False)),
            LinearSlot(_solve_right, (False, True, False), dense=True),
        ),
        samples=_solve_samples,
    )
)


@batching(solve_triangular)
def _solve_rows(
    primitive: Any, values: tuple[Any, ...], batched: tuple[bool, ...], size: int, params: dict[str, Any]
) -> Any:
    a, b = values
    if batched[0] or len(shape_of(a)) != 2 or len(shape_of(b)) != 3:
        return align(primitive, values, batched, size, params)
    # One matrix for all rows: they are its right-hand sides.
    n, k = shape_of(b)[1:]
    sides = reshape(transpose(b, axes=(1, 0, 2)), shape=(n, size * k))
    return transpose(reshape(primitive(a, sides, **params), shape=(n, size, k)), axes=(1, 0, 2))


# -- the matrix exponential ----------------------------------------------------------------------------


def _block(a: Any, e: Any) -> Any:
    """The matrix [[a, e], [0, a]], of whose functions f the upper right block is the derivative of f(a)."""
    upper = np.concatenate([a, e], axis=-1)
    return np.concatenate([upper, np.concatenate([np.zeros(shape_of(a), a.dtype), a], axis=-1)], axis=-2)


def _exponential(a: Any) -> Any:
    dtype = np.result_type(a, np.float32)
    if dtype.char in "gG":
        raise TypeError("scipy.linalg.expm does not take extended precision")
    return sl.expm(np.asarray(a, dtype))


def _frechet(a: Any, e: Any) -> Any:
    shape = np.broadcast_shapes(np.shape(a), np.shape(e))
    n = shape[-1]
    block = _block(np.broadcast_to(a, shape), np.broadcast_to(e, shape))
    return _exponential(block)[..., :n, n:]


def _frechet_matrix(y: Any, a: Any, e: Any) -> Any:
    """The change of the derivative with its point, by the same block matrix once more."""
    n = shape_of(a)[-1]
    shape = np.broadcast_shapes(shape_of(a), shape_of(e))
    wide = _block(np.broadcast_to(a, shape), np.broadcast_to(e, shape))

    def push(da: Any) -> Any:
        da = np.broadcast_to(da, shape)
        zero = np.zeros(shape, da.dtype)
        rows = [np.concatenate([da, zero], axis=-1), np.concatenate([zero, da], axis=-1)]
        return frechet(wide, np.concatenate(rows, axis=-2))[..., :n, n:]

    return push


def _pair(rng: np.random.Generator) -> Samples:
    yield (rng.normal(size=(3, 3)), rng.normal(size=(3, 3))), {}
    yield (rng.normal(size=(2, 1, 1)), rng.normal(size=(2, 1, 1))), {}


def _single(rng: np.random.Generator) -> Samples:
    for (a, _), params in _pair(rng):
        yield (a,), params


# The derivative of the exponential at a in the direction e; its adjoint is the one at a^H.
frechet = register(
    Primitive(
        "expm_frechet",
        _frechet,
        (
            GeneralSlot(_frechet_matrix, (False, True, True)),
            LinearSlot(lambda ct, a, e: fit(frechet(mH(a), ct), e), (False, True, False), dense=True),
        ),
        samples=_pair,
    )
)
expm = general("expm", _exponential, lambda y, a: lambda da: frechet(a, da), samples=_single)


@batching(expm)
def _expm_rows(
    primitive: Any, values: tuple[Any, ...], batched: tuple[bool, ...], size: int, params: dict[str, Any]
) -> Any:
    return bind(primitive, *values, **params)


batching(frechet)(align)
