"""NumPy functions written in the language itself; a call of one continues in its body here.

They are read, never run. Each has NumPy's values; where several elements are the largest their derivative is
shared equally.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__: list[str] = []


def argmax(x: Any) -> Any:
    if x.shape[0] == 0:
        raise ValueError("attempt to get argmax of an empty sequence")
    best = 0
    for k in range(1, x.shape[0]):
        if x[k] > x[best] or (x[k] != x[k] and x[best] == x[best]):
            best = k
    return best


def argmin(x: Any) -> Any:
    if x.shape[0] == 0:
        raise ValueError("attempt to get argmin of an empty sequence")
    best = 0
    for k in range(1, x.shape[0]):
        if x[k] < x[best] or (x[k] != x[k] and x[best] == x[best]):
            best = k
    return best


def tied(x: Any, best: Any) -> Any:
    count = 0
    for k in range(x.shape[0]):
        if x[k] == x[best]:
            count += 1
    value = x[best]
    if count > 1 and np.isfinite(x[best]):
        for k in range(x.shape[0]):
            if x[k] == x[best]:
                value += (x[k] - x[best]) / count
    return value


def largest(x: Any) -> Any:
    return tied(x, argmax(x))


def smallest(x: Any) -> Any:
    return tied(x, argmin(x))


def ptp(x: Any) -> Any:
    return np.max(x) - np.min(x)


def cumsum(x: Any) -> Any:
    y = np.empty_like(x)
    total = x.dtype.type(0)
    for k in range(x.shape[0]):
        total += x[k]
        y[k] = total
    return y


def cumprod(x: Any) -> Any:
    y = np.empty_like(x)
    total = x.dtype.type(1)
    for k in range(x.shape[0]):
        total *= x[k]
        y[k] = total
    return y


def sort(x: Any) -> Any:
    order = np.argsort(x)
    y = np.empty_like(x)
    for k in range(x.shape[0]):
        y[k] = x[order[k]]
    return y


def median(x: Any) -> Any:
    y = np.sort(x)
    n = x.shape[0]
    return (y[(n - 1) // 2] + y[n // 2]) / 2


def var(a: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    m = np.mean(a, axis, keepdims=True)
    d = a - m
    return np.sum(np.abs(d) ** 2, axis, keepdims=keepdims) / (
        np.sum(np.ones_like(d, dtype=float), axis, keepdims=keepdims) - ddof
    )


def std(a: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    return np.sqrt(np.var(a, axis, None, ddof=ddof, keepdims=keepdims))


def root(s: Any) -> Any:
    return np.sqrt(s) if s > 0 else s


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    if axis is None:
        if ord is None or ord == 2:
            if ord == 2 and x.ndim == 2:
                raise NotImplementedError("the spectral norm")
            return root(np.sum(np.abs(x) ** 2, keepdims=keepdims))
        if ord == 1 and x.ndim == 1:
            return np.sum(np.abs(x), keepdims=keepdims)
        if ord == "fro":
            return root(np.sum(np.abs(x) ** 2, keepdims=keepdims))
        if x.ndim == 1 and ord == np.inf:
            return np.max(np.abs(x))
        if x.ndim == 1:
            return np.sum(np.abs(x) ** ord, keepdims=keepdims) ** (1 / ord)
        raise NotImplementedError("this matrix norm")
    if ord is None or ord == 2:
        s = np.sum(np.abs(x) ** 2, axis, keepdims=keepdims)
        return np.where(s > 0, np.sqrt(s), s)
    if ord == 1:
        return np.sum(np.abs(x), axis, keepdims=keepdims)
    return np.sum(np.abs(x) ** ord, axis, keepdims=keepdims) ** (1 / ord)


def distance(p: Any, q: Any) -> Any:
    s = 0.0
    for k in range(len(p)):
        s += (p[k] - q[k]) ** 2
    return root(s)


def trace(a: Any) -> Any:
    s = a.dtype.type(0)
    for k in range(min(a.shape[0], a.shape[1])):
        s += a[k, k]
    return s


def diff(a: Any) -> Any:
    return a[1:] - a[:-1]


def average(a: Any, axis: Any = None, weights: Any = None) -> Any:
    if weights is None:
        return np.mean(a, axis)
    return np.sum(a * weights, axis) / np.sum(weights, axis)


def cross(a: Any, b: Any) -> Any:
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def kron(a: Any, b: Any) -> Any:
    if a.ndim == 1:
        return (a[:, None] * b).reshape(-1)
    y = np.empty((a.shape[0] * b.shape[0], a.shape[1] * b.shape[1]), dtype=(a[0, 0] * b[0, 0]).dtype)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            for k in range(b.shape[0]):
                for m in range(b.shape[1]):
                    y[i * b.shape[0] + k, j * b.shape[1] + m] = a[i, j] * b[k, m]
    return y


def searchsorted(a: Any, v: Any, side: Any = "left") -> Any:
    low = 0
    high = a.shape[0]
    while low < high:
        middle = (low + high) // 2
        if a[middle] < v or (side == "right" and a[middle] == v):
            low = middle + 1
        else:
            high = middle
    return low


def interpolate(x: Any, xp: Any, fp: Any) -> Any:
    n = xp.shape[0]
    if x <= xp[0]:
        return fp[0] + 0.0
    if x >= xp[n - 1]:
        return fp[n - 1] + 0.0
    k = np.searchsorted(xp, x, side="right") - 1
    slope = (fp[k + 1] - fp[k]) / (xp[k + 1] - xp[k])
    return slope * (x - xp[k]) + fp[k]


def interp(x: Any, xp: Any, fp: Any) -> Any:
    if np.ndim(x) == 0:
        return interpolate(x, xp, fp)
    y = np.empty(x.shape)
    for k in range(x.shape[0]):
        y[k] = interpolate(x[k], xp, fp)
    return y


def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    if mode != "full":
        raise NotImplementedError("mode other than full")
    y = np.zeros(a.shape[0] + v.shape[0] - 1, dtype=(a[0] * v[0]).dtype)
    for i in range(a.shape[0]):
        for j in range(v.shape[0]):
            y[i + j] += a[i] * v[j]
    return y


def polyval(p: Any, x: Any) -> Any:
    if isinstance(p, (tuple, list)):
        y = 0 * x
        for c in p:
            y = y * x + c
        return y
    y = 0 * x
    for k in range(p.shape[0]):
        y = y * x + p[k]
    return y


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0) -> Any:
    if x is None:
        return np.sum(y[1:] + y[:-1]) * dx / 2
    return np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1])) / 2


def meshgrid(x: Any, y: Any, indexing: Any = "xy") -> Any:
    if indexing == "ij":
        return [x[:, None] + np.zeros((1, y.shape[0])), y[None, :] + np.zeros((x.shape[0], 1))]
    return [x[None, :] + np.zeros((y.shape[0], 1)), y[:, None] + np.zeros((1, x.shape[0]))]


def fill_diagonal(a: Any, k: Any) -> Any:
    for i in range(a.shape[0]):
        if i + k >= 0 and i + k < a.shape[1]:
            a[i, i + k] = 1
    return a


def diag(a: Any, k: Any = 0) -> Any:
    if a.ndim == 1:
        n = a.shape[0] + abs(k)
        y = np.zeros((n, n), dtype=a.dtype)
        for i in range(a.shape[0]):
            y[i + max(-k, 0), i + max(k, 0)] = a[i]
        return y
    n = max(min(a.shape[0] - max(-k, 0), a.shape[1] - max(k, 0)), 0)
    d = np.empty(n, dtype=a.dtype)
    for i in range(n):
        d[i] = a[i + max(-k, 0), i + max(k, 0)]
    return d


def diagonal(a: Any, offset: Any = 0) -> Any:
    return diag(a, offset)


def tril(a: Any, k: Any = 0) -> Any:
    y = np.zeros_like(a)
    for i in range(a.shape[0]):
        for j in range(min(max(i + k + 1, 0), a.shape[1])):
            y[i, j] = a[i, j]
    return y


def triu(a: Any, k: Any = 0) -> Any:
    y = np.zeros_like(a)
    for i in range(a.shape[0]):
        for j in range(max(i + k, 0), a.shape[1]):
            y[i, j] = a[i, j]
    return y


def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    y = np.empty_like(a)
    if a.ndim == 1:
        n = a.shape[0]
        for i in range(n):
            y[(i + shift) % n] = a[i]
        return y
    if a.ndim == 2 and axis is not None:
        n = a.shape[0]
        m = a.shape[1]
        for i in range(n):
            for j in range(m):
                if axis == 0 or axis == -2:
                    y[(i + shift) % n, j] = a[i, j]
                else:
                    y[i, (j + shift) % m] = a[i, j]
        return y
    raise NotImplementedError("roll of this array")


def flip(a: Any, axis: Any = None) -> Any:
    if a.ndim == 1:
        return a[::-1]
    if a.ndim == 2:
        if axis is None:
            return a[::-1, ::-1]
        return a[::-1] if axis == 0 or axis == -2 else a[:, ::-1]
    raise NotImplementedError("flip of an array with more than two dimensions")


def repeat(a: Any, repeats: Any) -> Any:
    b = np.ravel(a)
    y = np.empty(b.shape[0] * repeats, dtype=b.dtype)
    for i in range(b.shape[0]):
        for j in range(repeats):
            y[i * repeats + j] = b[i]
    return y


def tile(a: Any, reps: Any) -> Any:
    n = a.shape[0]
    if a.ndim == 1 and np.ndim(reps) == 0:
        y = np.empty(n * reps, dtype=a.dtype)
        for j in range(reps):
            for i in range(n):
                y[j * n + i] = a[i]
        return y
    raise NotImplementedError("tile of an array with several dimensions")


def append(a: Any, values: Any) -> Any:
    return np.concatenate((np.ravel(a), np.ravel(values)))


def nan_to_num(x: Any, nan: Any = 0.0) -> Any:
    return np.where(np.isnan(x), nan, np.clip(x, -1.7976931348623157e308, 1.7976931348623157e308))


def arange(start: Any, stop: Any, step: Any) -> Any:
    n = max(int(np.ceil((stop - start) / step)), 0)
    y = np.empty(n)
    for k in range(n):
        y[k] = start + k * step
    return y


def linspace(start: Any, stop: Any, num: Any, endpoint: Any) -> Any:
    y = np.empty(num)
    step = (stop - start) / (max(num - 1, 1) if endpoint else num)
    for k in range(num):
        y[k] = start + k * step
    if endpoint and num > 1:
        y[num - 1] = stop
    return y


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: Any = False) -> Any:
    top = np.max(a, axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    terms = np.exp(a - top) if b is None else b * np.exp(a - top)
    return np.log(np.sum(terms, axis, keepdims=keepdims)) + np.sum(top, axis, keepdims=keepdims)


def softmax(x: Any, axis: Any = None) -> Any:
    e = np.exp(x - np.max(x, axis, keepdims=True))
    return e / np.sum(e, axis, keepdims=True)


def log_softmax(x: Any, axis: Any = None) -> Any:
    d = x - np.max(x, axis, keepdims=True)
    return d - np.log(np.sum(np.exp(d), axis, keepdims=True))


def vmap_batch(*sizes: Any) -> Any:
    for n in sizes:
        if n != sizes[0]:
            raise ValueError("mapped axes have different extents")
    return sizes[0]
