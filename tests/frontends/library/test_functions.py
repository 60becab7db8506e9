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


@pytest.mark.parametrize("body", REFUSED)
def test_refused(body: str) -> None:
    with pytest.raises(UnsupportedError):
        cr.jit(function_of(body), backend="python")(_X.copy(), _M.copy())
