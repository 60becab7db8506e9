"""What NumPy's functions do with their options, kinds of numbers and memory: the same here, or refused."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import UnsupportedError

_X = np.array([0.31, -0.42, 0.93, 0.54, 0.15])
_M = np.array([[0.9, 0.2, 0.35], [0.4, 1.3, -0.6], [0.17, 0.81, 0.71]])
_SPACE = {"np": np, "I": np.array([3, 1, 2]), "C": np.arange(27.0).reshape(3, 3, 3), "Z": np.array([1 + 2j, 3 - 1j])}

AS_NUMPY = [
    "b = np.ascontiguousarray(x); b[0] = 5.0; return x[0] + 0.0",
    "b = np.asfortranarray(x); b[0] = 5.0; return x[0] + 0.0",
    "b = x.astype(float, copy=False); b[0] = 5.0; return x[0] + 0.0",
    "b = x.astype(float); b[0] = 5.0; return x[0] + 0.0",
    "b = np.real(x); b[0] = 5.0; return x[0] + 0.0",
    "b = np.clip(x, None, None); b[0] = 5.0; return x[0] + 0.0",
    "b = np.copy(x); b[0] = 5.0; return x[0] + 0.0",
    "b = m.diagonal().copy(); m[0, 0] = 7.0; return b",
    "b = np.broadcast_to(x, (2, 5)) * 2.0; x[0] = 7.0; return b",
    "return np.ascontiguousarray(m.T)",
    "return np.asfortranarray(m)",
    "return np.ediff1d(m)",
    "return np.isclose(x, np.inf)",
    "return np.nan_to_num(np.array([np.inf, -np.inf, np.nan, 1.0]).astype(np.float32))",
    "return np.cumsum(x > 0)",
    "return np.cumprod(x > 0)",
    "return np.add.accumulate(m > 0.5, 1)",
    "return np.maximum.accumulate(m > 0.5)",
    "return np.trace(m > 0)",
    "return np.inner(x[:3], C)",
    "return np.inner(m, C)",
    "return np.inner(C, m)",
    "return m.item(4) + m.item(-1) + m.item(1, 2)",
    "return np.linalg.norm(m, 1, keepdims=True)",
    "return np.linalg.norm(m, np.inf, keepdims=True)",
    "return np.gradient(I)",
    "return np.geomspace(-1.0, -8.0, 4)",
    "return np.float_power(I, 2)",
    "return np.abs(x) + np.true_divide(x, 2) + np.pow(x, 2)",
    "return np.imag(Z) + np.real(Z)",
    "return x[[True, False, True, False, True]]",
    "return np.median(x > 0)",
    "return np.median(np.array([2.0, np.nan, 1.0]))",
    "return np.quantile(np.array([2.0, np.nan, 1.0]), 0.1)",
    "return np.max(I) * np.min(m > 0.5)",
    "L = [v for v in x]; return L[len(x) > 3]",
    "return np.ldexp(x, I[0]) + np.ldexp(x, 2)",
    "return np.ldexp(x.astype(np.float32), 3)",
    "return np.diag(m, -1) + np.diag(m[:, 1:], 0)[:2]",
    "return np.diag(m, 5)",
    "L = [v for v in x]; b = list(L); b[0] = 5.0; return L[0] + b[1]",
    "L = [v for v in x]; b = L.copy(); b[0] = 5.0; return L[0] + b[1]",
    "L = [v for v in x]; b = np.array(L); b[0] = 5.0; return L[0] + b[1]",
    "L = [v for v in x]; b = np.asarray(L); b[0] = 5.0; return L[0] + b[1]",
    "L = [v for v in x]; b = np.ravel(L); b[0] = 5.0; return L[0] + b[1]",
    "L = list(range(len(x))); b = list(L); b.append(7); return np.array(b) * len(L)",
    "return np.array(range(len(x))) + x",
    "return sum(m, x[:3])",
    "return sum(m)",
    "return np.linalg.solve(m, Z[[0, 1, 0]])",
    "return np.linalg.solve(m.astype(np.float32), x[:3])",
    "return np.linalg.norm(x, keepdims=True)",
    "return np.linalg.norm(m, keepdims=True)",
    "return np.linalg.norm(I * 1_500_000_000)",
    "return np.linalg.norm(I * 1_500_000, 3)",
    "return np.linalg.norm(I, -1)",
    "return np.nanmax(np.where(m > 0.5, np.nan, m), 1) + np.nanmin(np.where(m > 0.3, np.nan, m), 1)",
    "return np.piecewise(x * np.inf, [x < 0], [1.0])",
    "return np.piecewise(x, x < 0, [lambda v: v * 2, 3.0])",
    "return np.round(I * 7, -1)",
    "return np.round(I * 7, 1)",
    "return np.round(x * 14500, -3) + np.round(x, 1)",
    "return round(x[0] * 10, 1) + round(2.675, 2)",
    "return np.squeeze(m[:, None]) + np.squeeze(m[:, :1], 1)",
    "return np.transpose(C, (-1, 0, 1))",
    "return np.digitize(x, [0.0, 0.5]) + np.searchsorted([0.0, 0.5], x)",
    "return np.convolve([1.0, 2.0], [v for v in x]) + np.polyval([1.0, 2.0], 3.0) + np.polyval((1.0, x[0]), x[1])",
    "y = x * 1; np.add.at(y, 1, 2.0); np.add.at(y, [0, 0], 1.0); return y",
    "n = len(x) - 4; y = x * 1; np.add.at(y, I, x[:n]); return y",
]
REFUSED = [  # what would be another value
    "b = np.array(x, copy=False); b[0] = 5.0; return x[0] + 0.0",
    "b = np.array(x, copy=None); b[0] = 5.0; return x[0] + 0.0",
    "b = np.ascontiguousarray(x[::2]); b[0] = 5.0; return x[0] + 0.0",
    "b = np.broadcast_to(x, (2, 5)); x[0] = 5.0; return b[0, 0] + 0.0",
    "b = np.broadcast_to(x, (2, 5)); b[0, 0] = 5.0; return x[0] + 0.0",
    "b = np.diag(m); m[0, 0] = 7.0; return b + 0.0",
    "b = m.diagonal(); b[0] = 7.0; return m + 0.0",
    "z = x + 0j; b = z.real; z[0] = 7.0; return b[0] + 0.0",
    "z = x + 0j; b = np.real(z); z[0] = 7.0; return b[0] + 0.0",
    "z = x + 0j; b = z.imag[1:]; z[1] = 7.0j; return b[0] + 0.0",
    "z = x + 0j; b = np.imag(z); b[0] = 7.0; return z[0].imag",
    "z = x + 0j; z.real[0] = 7.0; return z[0].real",
    "return np.ediff1d(x, 1)",
    "return np.cross(m, m[::-1], 0)",
    "return np.nan_to_num(x, True)",
    "return np.cov(m, None, False)",
    "return np.average(x, None, x, True)",
    "return np.arange(0.0, 3.7, dtype=int)",
    "return np.arange(0.0, 3.7, dtype=np.float32)",
    "return np.einsum('i->ii', x)",
    "return np.einsum('i->j', x)",
    "return np.angle(Z, True)",
    "return np.abs(x, x)",
    "np.add(x[1:], x[:-1], x[1:]); return x[1]",
    "return np.reciprocal(I)",
    "return x[True]",
    "return -(x > 0)",
    "return (x > 0) - (x > 0.5)",
    "L = [v for v in x]; return L[x[0] > 0]",
    "return x[x[0] > 0]",
    "return np.sum(m, axis=(0, 0))",
    "y = I * 1; y /= 2; return y",
    "y = I * 1; y[[0, 1]] /= 2; return y",
    "return np.stack([x, x], axis=2)",
    "return np.swapaxes(m, 0, 2)",
    "return np.transpose(m, (0, 0))",
    "return np.broadcast_to(m, (3,))",
    "return max(m[:1])",
    "return any(m > 0)",
    "return round(0.1 * len(x), 2)",
    "return np.piecewise(x, [x < 0, x > 0.5, x > 1], [1.0])",
]
STOPPED = [  # where NumPy's result would have another shape, or NumPy stops
    ("n = len(x) - 4; return np.squeeze(m[:, :n]) + m[0]", "np.squeeze without axis="),
    ("n = len(x) - 4; return np.cov(m[:n])", "np.cov"),
    ("n = len(x) - 6; return np.pad(x, n)", "negative width"),
    ("y = x * 1; np.add.at(y, I, x[:2]); return y", "could not broadcast"),
]


def function_of(body: str) -> Callable[..., Any]:
    text = "def f(x, m):\n" + "".join(f"    {line.strip()}\n" for line in body.split(";"))
    name, space = f"<{body}>", dict(_SPACE)
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), space)
    made: Callable[..., Any] = space["f"]
    return made


@pytest.mark.parametrize("body", AS_NUMPY)
def test_as_numpy(body: str) -> None:
    f = function_of(body)
    expected, result = f(_X.copy(), _M.copy()), cr.jit(f, backend="python")(_X.copy(), _M.copy())
    assert np.asarray(result).dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(result, expected, rtol=1e-12, strict=True)


@pytest.mark.parametrize(("body", "why"), STOPPED)
def test_stopped(body: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        cr.jit(function_of(body), backend="python")(_X.copy(), _M.copy())


@pytest.mark.parametrize("body", REFUSED)
def test_refused(body: str) -> None:
    with pytest.raises(UnsupportedError):
        cr.jit(function_of(body), backend="python")(_X.copy(), _M.copy())
