"""NumPy's norms and statistics written in the language itself, as those in `recipes` are."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.frontends.recipes import refuse

__all__: list[str] = []


def nansum(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    return np.sum(np.where(np.isnan(a), 0.0, a), axis, keepdims=keepdims)


def nanmean(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    return nansum(a, axis, keepdims=keepdims) / np.sum(
        np.asarray(~np.isnan(a)).astype(a.dtype), axis, keepdims=keepdims
    )


def nanmax(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    top = np.max(np.where(np.isnan(a), -np.inf, a), axis, keepdims=keepdims)
    return np.where(np.all(np.isnan(a), axis, keepdims=keepdims), np.nan, top)


def nanmin(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    return -nanmax(-a, axis, keepdims=keepdims)


def cov(m: Any, *, rowvar: Any = True, bias: Any = False, ddof: Any = None) -> Any:
    if m.ndim != 2:
        return refuse("np.cov: a matrix of variables is expected")
    b = m if rowvar else m.T
    d = b - np.mean(b, 1, keepdims=True)
    less = (0 if bias else 1) if ddof is None else ddof
    return d @ np.conj(d.T) / (b.shape[1] - less)


def corrcoef(x: Any, *, rowvar: Any = True) -> Any:
    c = cov(x, rowvar=rowvar)
    s = np.sqrt(np.diag(c))
    return c / s[:, None] / s


def quantile(x: Any, q: Any) -> Any:
    y = np.sort(x)
    n = x.shape[0]
    if n == 0 or q < 0 or q > 1:
        raise ValueError("quantiles are asked of an array with elements, and are between 0 and 1")
    if y[n - 1] != y[n - 1]:
        return y[n - 1] / 1
    at = q * (n - 1)
    k = min(int(at), n - 1)
    return y[k] + (y[min(k + 1, n - 1)] - y[k]) * (at - k)


def counted(a: Any, axis: Any) -> Any:
    if axis is None:
        return a.size
    if isinstance(axis, tuple):
        n = 1
        for k in axis:
            n *= a.shape[k]
        return n
    return a.shape[axis]


def var(a: Any, axis: Any = None, dtype: Any = None, *, ddof: Any = 0, keepdims: Any = False) -> Any:
    if dtype is not None:
        return refuse("np.var and np.std with dtype=: convert the array with .astype(...)")
    b = np.asarray(a)
    if b.ndim == 0:
        return 0.0 * b
    d = b - np.mean(b, axis, keepdims=True)
    return np.sum(squared(d), axis, keepdims=keepdims) / max(counted(b, axis) - ddof, 0)


def std(a: Any, axis: Any = None, dtype: Any = None, *, ddof: Any = 0, keepdims: Any = False) -> Any:
    return rooted(np.var(a, axis, dtype, ddof=ddof, keepdims=keepdims))


def squared(x: Any) -> Any:
    """The squares of absolute values; the second derivative of ``np.abs(x) ** 2`` is 0 at 0."""
    return np.real(x) ** 2 + np.imag(x) ** 2 if x.dtype in (np.complex64, np.complex128) else x * x


def root(s: Any) -> Any:
    return np.sqrt(s) if s > 0 else s * s  # whose derivative is 0 at 0, and NaN at NaN


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    b = np.asarray(x)
    if b.ndim == 0:
        return np.abs(b)
    if b.dtype == int or b.dtype == bool:
        b = b.astype(float)
    if axis is None:
        if ord is None or ord == "fro" or (b.ndim == 1 and ord == 2):
            return rooted(np.sum(squared(b), keepdims=keepdims))
        if b.ndim == 1:
            return vector_norm(b, ord, 0, keepdims)
        if b.ndim == 2 and ord == 1:
            return np.max(np.sum(np.abs(b), 0, keepdims=keepdims), keepdims=keepdims)
        if b.ndim == 2 and ord == np.inf:
            return np.max(np.sum(np.abs(b), 1, keepdims=keepdims), keepdims=keepdims)
        return refuse("np.linalg.norm: of a matrix the norms None, 'fro', 1 and np.inf are known here")
    if isinstance(axis, tuple):
        if ord is None or ord == "fro":
            return rooted(np.sum(squared(b), axis, keepdims=keepdims))
        return refuse("np.linalg.norm: along several axes the Frobenius norm is known here")
    return vector_norm(b, ord, axis, keepdims)


def rooted(s: Any) -> Any:
    if np.ndim(s) == 0:
        return root(s)
    return np.where(s == 0, 0.0 * s, np.sqrt(s))


def vector_norm(x: Any, ord: Any, axis: Any, keepdims: Any) -> Any:
    if isinstance(ord, str):
        return refuse("np.linalg.norm: the norm of a vector is a number, np.inf or -np.inf")
    if ord is None or ord == 2:
        return rooted(np.sum(squared(x), axis, keepdims=keepdims))
    if ord == np.inf:
        return np.max(np.abs(x), axis, keepdims=keepdims)
    if ord == -np.inf:
        return np.min(np.abs(x), axis, keepdims=keepdims)
    if ord == 0:
        return np.sum(np.asarray(x != 0).astype(x.dtype), axis, keepdims=keepdims)
    if ord == 1:
        return np.sum(np.abs(x), axis, keepdims=keepdims)
    s = np.sum(np.abs(x) ** ord, axis, keepdims=keepdims)
    return np.where(s == 0, 0.0 * s, s ** (1 / ord))


def distance(p: Any, q: Any) -> Any:
    s = 0.0
    for k in range(len(p)):
        s += (p[k] - q[k]) ** 2
    return root(s)


def average(a: Any, axis: Any = None, weights: Any = None, *, keepdims: Any = False) -> Any:
    b = np.asarray(a)
    if weights is None:
        return np.mean(b, axis, keepdims=keepdims)
    w = np.asarray(weights)
    if w.ndim == b.ndim:
        return np.sum(b * w, axis, keepdims=keepdims) / np.sum(w, axis, keepdims=keepdims)
    if axis is None or isinstance(axis, tuple) or w.ndim != 1 or keepdims:
        return refuse("np.average: weights are as the array, or one for each item along one axis")
    return np.sum(np.moveaxis(b, axis, -1) * w, -1) / np.sum(w)


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: Any = False) -> Any:
    top = np.max(a if b is None else np.where(np.asarray(b) == 0, -np.inf, a), axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    # Where b is 0, a may be larger than what is the largest of the others by any amount.
    terms = np.exp(a - top) if b is None else b * np.exp(np.minimum(a - top, 700.0))
    return np.log(np.sum(terms, axis, keepdims=keepdims)) + np.sum(top, axis, keepdims=keepdims)


def softmax(x: Any, axis: Any = None) -> Any:
    e = np.exp(x - np.max(x, axis, keepdims=True))
    return e / np.sum(e, axis, keepdims=True)


def log_softmax(x: Any, axis: Any = None) -> Any:
    d = x - np.max(x, axis, keepdims=True)
    return d - np.log(np.sum(np.exp(d), axis, keepdims=True))
