"""NumPy functions written in the language itself; a call of one continues in its body here.

They are read, never run. Each has NumPy's values; where several elements are the largest their derivative is
shared equally.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.eager.custom import stop_gradient

__all__: list[str] = []


def refuse(why: Any) -> Any:
    """What a recipe does not do: the program that asks for it is refused when it is read."""


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


def shared(x: Any, top: Any) -> Any:
    """`top`, whose derivative is the mean of those of the elements that are as large; it is asked in no branch."""
    if x.dtype == int or x.dtype == bool:
        return top
    top = stop_gradient(top)
    count = 0
    for k in range(x.shape[0]):
        count += (x[k] == top) | (x[k] != x[k])
    base = np.where(np.isfinite(top), top, 0.0)
    value = base
    for k in range(x.shape[0]):
        if (x[k] == top) | (x[k] != x[k]):
            value -= (base - x[k]) / count  # less 0.0: it keeps its sign if it is zero
    return value


def largest(x: Any) -> Any:
    if x.shape[0] == 0:
        raise ValueError("zero-size array to reduction operation maximum which has no identity")
    top = x[0]
    for k in range(1, x.shape[0]):
        top = np.maximum(top, x[k])
    return shared(x, top)


def smallest(x: Any) -> Any:
    if x.shape[0] == 0:
        raise ValueError("zero-size array to reduction operation minimum which has no identity")
    top = x[0]
    for k in range(1, x.shape[0]):
        top = np.minimum(top, x[k])
    return shared(x, top)


def ptp(x: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    return np.max(x, axis, keepdims=keepdims) - np.min(x, axis, keepdims=keepdims)


def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8) -> Any:
    return ((np.abs(a - b) <= atol + rtol * np.abs(b)) & np.isfinite(b)) | (a == b)


def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8) -> Any:
    return np.all(isclose(a, b, rtol, atol))


def array_equal(a: Any, b: Any) -> Any:
    if np.ndim(a) != np.ndim(b):
        return False
    for k in range(np.ndim(a)):
        if a.shape[k] != b.shape[k]:
            return False
    return np.all(a == b)


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


def cummax(x: Any) -> Any:
    y = np.empty_like(x)
    for k in range(x.shape[0]):
        y[k] = x[k] if k == 0 else np.maximum(y[k - 1], x[k])
    return y


def cummin(x: Any) -> Any:
    y = np.empty_like(x)
    for k in range(x.shape[0]):
        y[k] = x[k] if k == 0 else np.minimum(y[k - 1], x[k])
    return y


def argsort(x: Any) -> Any:
    return np.argsort(x)


def sort(x: Any) -> Any:
    order = np.argsort(x)
    y = np.empty_like(x)
    for k in range(x.shape[0]):
        y[k] = x[order[k]]
    return y


def median(x: Any) -> Any:
    n = x.shape[0]
    if n == 0:
        raise ValueError("the median of an array without elements")
    if x.dtype == bool:
        return median(x.astype(int))
    y = np.sort(x)
    if y[n - 1] != y[n - 1]:
        return y[n - 1] / 1
    return (y[(n - 1) // 2] + y[n // 2]) / 2


def trace(a: Any, offset: Any = 0) -> Any:
    if a.dtype == bool:
        return trace(a.astype(int), offset)
    if a.ndim != 2:
        return refuse("np.trace of an array that is no matrix")
    if offset != 0:
        return np.sum(diag(a, offset))
    s = a.dtype.type(0)
    for k in range(min(a.shape[0], a.shape[1])):
        s += a[k, k]
    return s


def diff(a: Any, n: Any = 1, axis: Any = -1) -> Any:
    d = np.moveaxis(np.asarray(a), axis, 0)
    if n < 1 or n > 3:
        return refuse("np.diff: differences of the orders 1, 2 and 3 are known here")
    d = d[1:] - d[:-1]
    if n > 1:
        d = d[1:] - d[:-1]
    if n > 2:
        d = d[1:] - d[:-1]
    return np.moveaxis(d, 0, axis)


def slopes(f: Any, axis: Any, h: Any) -> Any:
    a = np.moveaxis(f, axis, 0)
    n = a.shape[0]
    if n < 2:
        raise ValueError("np.gradient: an axis has less than two elements")
    y = np.empty(a.shape, dtype=a.dtype)
    y[1:-1] = (a[2:] - a[:-2]) / (2 * h)
    y[0] = (a[1] - a[0]) / h
    y[n - 1] = (a[n - 1] - a[n - 2]) / h
    return np.moveaxis(y, 0, axis)


def cross(a: Any, b: Any, *, axis: Any = -1) -> Any:
    u, v = np.asarray(a), np.asarray(b)
    if u.ndim == 1 and v.ndim == 1:
        if u.shape[0] != 3 or v.shape[0] != 3:
            raise ValueError("np.cross: vectors of three components are expected")
        return np.array([u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]])
    if u.ndim > 1:
        u = np.moveaxis(u, axis, -1)
    if v.ndim > 1:
        v = np.moveaxis(v, axis, -1)
    if u.shape[-1] != 3 or v.shape[-1] != 3:
        raise ValueError("np.cross: vectors of three components are expected")
    x = u[..., 1] * v[..., 2] - u[..., 2] * v[..., 1]
    y = u[..., 2] * v[..., 0] - u[..., 0] * v[..., 2]
    z = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    return np.stack([x, y, z], axis=axis)


def kron(a: Any, b: Any) -> Any:
    if a.ndim == 1 and b.ndim == 1:
        return (a[:, None] * b).reshape(-1)
    if a.ndim != 2 or b.ndim != 2:
        return refuse("np.kron: two vectors or two matrices are known here")
    y = np.empty((a.shape[0] * b.shape[0], a.shape[1] * b.shape[1]), dtype=(a[0, 0] * b[0, 0]).dtype)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            for k in range(b.shape[0]):
                for m in range(b.shape[1]):
                    y[i * b.shape[0] + k, j * b.shape[1] + m] = a[i, j] * b[k, m]
    return y


def searchsorted(a: Any, v: Any, side: Any = "left") -> Any:
    if np.ndim(v) == 1:
        found = np.empty(len(v), dtype=int)
        for k in range(len(v)):
            found[k] = place(a, v[k], side)
        return found
    return place(a, v, side)


def place(a: Any, v: Any, side: Any) -> Any:
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
    k = place(xp, x, "right") - 1
    slope = (fp[k + 1] - fp[k]) / (xp[k + 1] - xp[k])
    return slope * (x - xp[k]) + fp[k]


def interp(x: Any, xp: Any, fp: Any) -> Any:
    places, values = np.asarray(xp), np.asarray(fp)
    if np.ndim(x) == 0:
        return interpolate(x, places, values)
    flat = np.ravel(x)
    y = np.empty(flat.shape[0])
    for k in range(flat.shape[0]):
        y[k] = interpolate(flat[k], places, values)
    return y.reshape(np.shape(x))


def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    y = np.zeros(max(a.shape[0] + v.shape[0] - 1, 0), dtype=(a[0] * v[0]).dtype)
    for i in range(a.shape[0]):
        for j in range(v.shape[0]):
            y[i + j] += a[i] * v[j]
    n = max(a.shape[0], v.shape[0])
    m = min(a.shape[0], v.shape[0])
    if mode == "same":
        return y[(m - 1) // 2 : (m - 1) // 2 + n]
    return y[m - 1 : n] if mode == "valid" else y


def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    if mode == "same" and a.shape[0] < v.shape[0]:
        raise ValueError("np.correlate: with mode='same' the first array must not be the shorter one")
    return convolve(a, np.conj(v[::-1]), mode)


def polyval(p: Any, x: Any) -> Any:
    if isinstance(p, tuple):
        y = 0 * x
        for c in p:
            y = y * x + c
        return y
    y = 0 * x
    for k in range(p.shape[0]):
        y = y * x + p[k]
    return y


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    b = np.moveaxis(np.asarray(y), axis, -1)
    pairs = b[..., 1:] + b[..., :-1]
    if x is None:
        return np.sum(pairs, -1) * dx / 2
    at = np.asarray(x)
    if at.ndim != 1 and at.ndim != b.ndim:
        return refuse("np.trapezoid: the places are one for each item along the axis, or as the array")
    if at.ndim > 1:
        at = np.moveaxis(at, axis, -1)
    return np.sum((at[..., 1:] - at[..., :-1]) * pairs, -1) / 2


def meshgrid(x: Any, y: Any, indexing: Any = "xy") -> Any:
    if indexing == "ij":
        return [
            x[:, None] + np.zeros((1, y.shape[0]), dtype=x.dtype),
            y[None, :] + np.zeros((x.shape[0], 1), dtype=y.dtype),
        ]
    return [
        x[None, :] + np.zeros((y.shape[0], 1), dtype=x.dtype),
        y[:, None] + np.zeros((1, x.shape[0]), dtype=y.dtype),
    ]


def fill_diagonal(a: Any, k: Any) -> Any:
    for i in range(a.shape[0]):
        if i + k >= 0 and i + k < a.shape[1]:
            a[i, i + k] = 1
    return a


def diag(a: Any, k: Any = 0) -> Any:
    if a.ndim > 2:
        return refuse("np.diag of an array that is no matrix")
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


def tril(a: Any, k: Any = 0) -> Any:
    if a.ndim != 2:
        return refuse("np.tril of an array that is no matrix")
    y = np.zeros_like(a)
    for i in range(a.shape[0]):
        for j in range(min(max(i + k + 1, 0), a.shape[1])):
            y[i, j] = a[i, j]
    return y


def triu(a: Any, k: Any = 0) -> Any:
    if a.ndim != 2:
        return refuse("np.triu of an array that is no matrix")
    y = np.zeros_like(a)
    for i in range(a.shape[0]):
        for j in range(max(i + k, 0), a.shape[1]):
            y[i, j] = a[i, j]
    return y


def rolled(a: Any, shift: Any) -> Any:
    n = a.shape[0]
    s = shift % max(n, 1)
    y = np.empty_like(a)
    y[s:] = a[: n - s]
    y[:s] = a[n - s :]
    return y


def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return rolled(np.ravel(a), shift).reshape(a.shape)
    if isinstance(axis, tuple) or isinstance(shift, tuple):
        return refuse("np.roll along several axes: call it for each")
    return np.moveaxis(rolled(np.moveaxis(a, axis, 0), shift), 0, axis)


def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    b = np.ravel(a) if axis is None else np.moveaxis(a, axis, 0)
    if np.ndim(repeats) > 0:
        return refuse("np.repeat with a number for each item: fill an array in a loop")
    y = np.empty((b.shape[0] * repeats, *b.shape[1:]), dtype=b.dtype)
    for i in range(b.shape[0]):
        for j in range(repeats):
            y[i * repeats + j] = b[i]
    return y if axis is None else np.moveaxis(y, 0, axis)


def bincount(x: Any, weights: Any = None, minlength: Any = 0) -> Any:
    n = minlength
    for k in range(x.shape[0]):
        if x[k] < 0:
            raise ValueError("np.bincount: a number is negative")
        n = max(n, x[k] + 1)
    if weights is None:
        counts = np.zeros(n, dtype=int)
        for k in range(x.shape[0]):
            counts[x[k]] += 1
        return counts
    y = np.zeros(n)
    for k in range(x.shape[0]):
        y[x[k]] += weights[k]
    return y


def set_diagonal(a: Any, val: Any) -> Any:
    if a.ndim != 2 or np.ndim(val) > 1:
        return refuse("np.fill_diagonal: a matrix, and a number or a vector, are expected")
    for k in range(min(a.shape[0], a.shape[1])):
        a[k, k] = val if np.ndim(val) == 0 else val[k % len(val)]
    return None


def vander(x: Any, N: Any = None, increasing: Any = False) -> Any:
    n = x.shape[0] if N is None else N
    y = np.ones((x.shape[0], n), dtype=x.dtype)
    for i in range(x.shape[0]):
        for k in range(1, n):
            if increasing:
                y[i, k] = y[i, k - 1] * x[i]
            else:
                y[i, n - 1 - k] = y[i, n - k] * x[i]
    return y


def triu_indices(n: Any, k: Any = 0, m: Any = None) -> Any:
    return np.nonzero(np.triu(np.ones((n, n if m is None else m)), k))


def tril_indices(n: Any, k: Any = 0, m: Any = None) -> Any:
    return np.nonzero(np.tril(np.ones((n, n if m is None else m)), k))


def digitize(x: Any, bins: Any, right: Any = False) -> Any:
    for k in range(1, bins.shape[0]):
        if bins[k] < bins[k - 1]:
            raise ValueError("np.digitize: the bins must increase")
    return searchsorted(bins, x, "left" if right else "right")


def append(a: Any, values: Any, axis: Any = None) -> Any:
    if axis is None:
        return np.concatenate((np.ravel(a), np.ravel(values)))
    return np.concatenate((a, values), axis=axis)


def nan_to_num(x: Any, *, nan: Any = 0.0) -> Any:
    a = np.asarray(x)
    top = 3.4028234663852886e38 if a.dtype == np.float32 else 1.7976931348623157e308
    return np.where(np.isnan(a), nan, np.clip(a, -top, top))


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


def logspace(start: Any, stop: Any, num: Any = 50, endpoint: Any = True, base: Any = 10.0) -> Any:
    return base ** np.linspace(start, stop, num, endpoint)


def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: Any = True) -> Any:
    if start * stop <= 0:
        raise ValueError("np.geomspace: both ends have one sign and are not zero")
    if start < 0:
        return -np.exp(np.linspace(np.log(-start), np.log(-stop), num, endpoint))
    return np.exp(np.linspace(np.log(start), np.log(stop), num, endpoint))


def vmap_batch(*sizes: Any) -> Any:
    for n in sizes:
        if n != sizes[0]:
            raise ValueError("mapped axes have different extents")
    return sizes[0]
