"""`scipy.special` for traced values: the functions that are not ufuncs; the ufuncs are SciPy's own.

Every name of ``scipy.special`` is here. Functions that SciPy builds on its ufuncs (``zeta``, ``lambertw``)
work as they are; one that has no derivative raises by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as _sc

import chainrule.arrays.functions.special  # noqa: F401  (enters the rules of the ufuncs)
from chainrule.arrays.arguments import axes, plain
from chainrule.core.dispatch import dtype_of
from chainrule.rules import special as rules
from chainrule.rules.reduce import frozen
from chainrule.scipy.names import array_of, plain_elsewhere, reexport, refuse

__all__ = ["log_softmax", "logsumexp", "multigammaln", "polygamma", "softmax"]

# Python functions that pass their arguments on to ufuncs.
_THROUGH = frozenset({"lambertw", "sinc", "softplus", "zeta", "errstate"})


@plain_elsewhere(_sc.logsumexp)
def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    a = np.atleast_1d(_float(array_of(a)))
    if b is None and not return_sign:
        return rules.logsumexp(a, axis=_all_axes(axis, a.ndim), keepdims=bool(keepdims))
    b = np.atleast_1d(_float(array_of(1.0 if b is None else b)))
    shape = np.broadcast_shapes(a.shape, b.shape)
    if return_sign and "c" in (a.dtype.kind, b.dtype.kind):
        raise refuse("scipy.special.logsumexp with return_sign=True and complex values")
    params: dict[str, Any] = {"axis": _all_axes(axis, len(shape)), "keepdims": bool(keepdims)}
    a, b = np.broadcast_to(a, shape), np.broadcast_to(b, shape)
    y = rules.weighted_logsumexp(a, b, signed=bool(return_sign), **params)
    if not return_sign:
        return y
    top = np.max(frozen(a), axis=params["axis"], keepdims=True)
    return y, np.sign(np.sum(frozen(b) * np.exp(frozen(a) - np.where(np.isfinite(top), top, 0.0)), **params))


def _float(x: Any) -> Any:
    return x if dtype_of(x).kind in "fc" else x.astype(np.float64)


def _all_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    over = axes(axis, ndim)
    return tuple(range(ndim)) if over is None else over


@plain_elsewhere(_sc.softmax)
def softmax(x: Any, axis: Any = None) -> Any:
    x = array_of(x)
    e = np.exp(x - frozen(np.max(x, axis=axis, keepdims=True)))
    return e / np.sum(e, axis=axis, keepdims=True)


@plain_elsewhere(_sc.log_softmax)
def log_softmax(x: Any, axis: Any = None) -> Any:
    x = array_of(x)
    top = frozen(np.max(x, axis=axis, keepdims=True))
    shifted = x - np.where(np.isfinite(top), top, 0.0)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


@plain_elsewhere(_sc.polygamma)
def polygamma(n: Any, x: Any) -> Any:
    x = array_of(x)
    return rules.polygamma(array_of(n), x.astype(np.float64) if dtype_of(x) != np.float64 else x)


@plain_elsewhere(_sc.multigammaln)
def multigammaln(a: Any, d: Any) -> Any:
    a = array_of(a)
    size: Any = np.asarray(plain(d, "scipy.special.multigammaln", "d"))[()]
    if size.shape or np.floor(size) != size:
        raise ValueError("d should be a positive integer (dimension)")
    if np.any(a <= 0.5 * (size - 1)):
        raise ValueError(f"condition a > 0.5 * (d-1) ({0.5 * (size - 1)}) not met")
    terms = np.stack([rules.gammaln(a - (j - 1.0) / 2) for j in range(1, int(size) + 1)])
    return size * (size - 1) * 0.25 * np.log(np.pi) + np.sum(terms, axis=0)


def __getattr__(name: str) -> Any:
    return getattr(_sc, name) if name in _THROUGH else reexport(_sc, name)


def __dir__() -> list[str]:
    return sorted({*__all__, *dir(_sc)})
