"""Which dtypes come into a native program, what becomes of integers that are not of 64 bits, and who is refused."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, UnsupportedError

X = np.array([0.5, 1.5, 2.5])
NARROW = ["int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64"]
OTHERS = {
    "float16": ".astype(np.float64)",
    "longdouble": ".astype(np.float64)",
    "clongdouble": ".astype(np.complex128)",
    "object": ".astype(np.float64)",
    "U3": "np.unique(",
    "S3": "np.unique(",
    "M8[s]": "np.timedelta64(1, 's')",
    "m8[s]": "np.timedelta64(1, 's')",
}
indices: Any = np.array([0, 2, 2])


def picked(x, i):
    return np.sum(x[i] ** 2)


def picked_outside(x):
    return np.sum(x[indices] ** 2) * indices[1]


def jitted(f):
    return cr.jit(f, backend="python")


@pytest.mark.parametrize("dtype", [*NARROW, "int64"])
def test_integers_of_every_width_may_be_indices(dtype):
    gradient = jitted(cr.grad(picked))
    i = np.array([0, 2, 2], dtype)
    np.testing.assert_array_equal(gradient(X, i), [1.0, 0.0, 10.0])
    np.testing.assert_array_equal(gradient(X, np.array([True, False, True])), [1.0, 0.0, 5.0])
    np.testing.assert_array_equal(jitted(cr.grad(lambda x, n: np.sum(x) * n))(X, i[1]), [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(jitted(cr.grad(lambda x: np.sum(x**2)))(i), [0.0, 4.0, 4.0])


@pytest.mark.parametrize("backend", ["python", "numba"])
def test_narrow_integers_from_outside_are_read_at_each_call(monkeypatch, backend):
    gradient = cr.jit(cr.grad(picked_outside), backend=backend)
    for dtype, items in [("int32", [0, 2, 2]), ("int32", [1, 1, 2]), ("uint8", [1, 2, 2]), ("int64", [0, 0, 1])]:
        monkeypatch.setitem(globals(), "indices", np.array(items, dtype))
        for _ in range(2):
            np.testing.assert_array_equal(gradient(X), cr.grad(picked_outside)(X))
    monkeypatch.setitem(globals(), "indices", np.array([1], "uint64"))
    with pytest.raises(UnsupportedError, match="'indices' is of dtype uint64"):
        gradient(X)


def test_a_copy_of_narrow_integers_is_not_written_to(monkeypatch):
    def written(x, i):
        i[:1] = 1
        return x[i[0]]

    def written_outside(x):
        indices[0] = 1
        return x[indices[0]]

    def copied(x, i):
        i = i.copy()
        i[0] = 1
        return x[i[0]]

    narrow = np.array([0, 2], np.int32)
    monkeypatch.setitem(globals(), "indices", narrow)
    with pytest.raises(UnsupportedError, match="'i' is an array of int32"):
        jitted(written)(X, narrow)
    with pytest.raises(UnsupportedError, match="'indices' is an array of int32"):
        jitted(written_outside)(X)
    wide = narrow.astype(np.int64)
    jitted(written)(X, wide)
    assert wide[0] == 1
    assert jitted(copied)(X, narrow) == 1.5
    assert narrow[0] == 0


@pytest.mark.parametrize("dtype", OTHERS)
def test_other_dtypes_are_refused_by_name(dtype):
    a = np.array([1, 2, 3]).astype(dtype)
    with pytest.raises(ArgumentError) as caught:
        jitted(lambda x, y: np.sum(x))(X, a)
    assert f"argument 1 is an array of {a.dtype}" in str(caught.value)
    assert OTHERS[dtype] in str(caught.value)
    with pytest.raises(ArgumentError) as caught:
        jitted(lambda x, **k: np.sum(x))(X, p={"w": [a]})
    assert f"argument p['w'][0] is an array of {a.dtype}" in str(caught.value)
    with pytest.raises(UnsupportedError, match="'a' is of dtype"):
        jitted(lambda x: np.sum(x * a))(X)
    if a.dtype.kind not in "OU":
        with pytest.raises(ArgumentError, match=r"argument 0 is a number of"):
            jitted(lambda x: x)(a[0])
    if a.dtype.kind in "fcm":
        number = a[0]
        with pytest.raises(UnsupportedError, match="'number' is of dtype"):
            jitted(lambda x: np.sum(x * number))(X)


@pytest.mark.parametrize("value", [{1, 2}, datetime.date(2020, 1, 1), b"x"], ids=["set", "date", "bytes"])
def test_other_types_are_refused(value):
    with pytest.raises(ArgumentError, match=r"argument 1 has the type \w+\.\w+, which native mode does not know"):
        jitted(lambda x, y: x)(1.0, value)


def test_integers_beyond_64_bits_are_refused():
    for value in (np.uint64(2**63), np.array([1, 2**63], np.uint64)):
        with pytest.raises(ArgumentError, match="9223372036854775808"):
            jitted(lambda x: x)(value)


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.float16, np.longdouble])
def test_numbers_of_other_dtypes_made_inside(kind):
    for f in (lambda x: kind(x[0]), lambda x: x.astype(kind), lambda x: np.zeros(3, dtype=kind) + x):
        with pytest.raises(UnsupportedError, match=f"{np.dtype(kind).name}.*float64, float32, int64"):
            jitted(f)(X)


@pytest.mark.parametrize("backend", ["interpreter", "python", "numba"])
def test_single_precision_complex_numbers(backend):
    def f(x):
        return np.sum(np.abs(np.complex64(1 + 0.2j) * x) ** 2)

    z = np.array([1.0 + 2.0j, -0.5j], np.complex64)
    value, gradient = cr.value_and_grad(cr.jit(f, backend=backend))(z)
    expected = cr.value_and_grad(f)(z)
    assert value.dtype == expected[0].dtype == np.float32
    assert gradient.dtype == np.complex64
    np.testing.assert_allclose(value, expected[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-6)
