"""`vmap` against a loop over the rows."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError
from tests.helpers import leaves

rng = np.random.default_rng(4)
X, Y, M, S = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), rng.normal(size=(5, 3, 3)), rng.normal(size=5)
FIXED, V = rng.normal(size=(3, 3)), rng.normal(size=3)
K = np.array([2, 0, 1, 1, 2])


def in_place(x: Any) -> Any:
    y = cr.numpy.zeros(4)
    y[:3] = x
    y[3] = np.sum(x)
    y[1:] *= y[0]
    return y


def branches(x: Any) -> Any:
    return np.sin(x) if np.sum(x) > 0 else -x


def newton(a: Any) -> Any:
    y = a
    while abs(y * y - abs(a)) > 1e-10:
        y = (y + abs(a) / y) / 2
    return y


ONE = {
    "elementwise": np.sin,
    "sum": np.sum,
    "mean axis": lambda x: np.mean(x, axis=0),
    "max": np.max,
    "sort": np.sort,
    "index": lambda x: x[1] * x[::-1],
    "advanced index": lambda x: x[np.array([0, 0, 2])],
    "mask": lambda x: x[np.array([True, False, True])],
    "new axis": lambda x: x[:, None] * x[None, :],
    "shape": lambda x: x.reshape(3, 1).T,
    "fixed matrix": lambda x: FIXED @ x,
    "from the right": lambda x: x @ FIXED,
    "fixed vector": lambda x: x @ V,
    "outer": lambda x: np.outer(x, V),
    "cumsum": np.cumsum,
    "concatenate": lambda x: np.concatenate([x, V, x[:1]]),
    "where": lambda x: np.where(x > 0, x, V),
    "norm": np.linalg.norm,
    "constant": lambda x: V,
    "number": lambda x: 3.0,
    "in place": in_place,
    "branches": branches,
    "statistics": lambda x: (x - x.mean()) / x.std(),
    "einsum": lambda x: np.einsum("i,ij->j", x, FIXED),
    "stack": lambda x: np.stack([x, x**2], axis=1),
    "grad": cr.grad(lambda x: np.sum(np.sin(x) * x)),
    "hessian": cr.hessian(lambda x: np.sum(x**3) * x[0]),
    "jacobian": cr.jacfwd(lambda x: np.outer(x, x)),
    "vjp": lambda x: cr.vjp(np.tanh, x)[1](x)[0],
    "jvp": lambda x: cr.jvp(np.tanh, (x,), (x,))[1],
}


@pytest.mark.parametrize("f", ONE.values(), ids=ONE.keys())
def test_one_argument(f: Any) -> None:
    want = np.stack([f(x) for x in X])
    np.testing.assert_allclose(cr.vmap(f)(X), want, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(cr.vmap(f, in_axes=1)(X.T), want, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(cr.vmap(f, in_axes=-1)(X.T), want, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(cr.vmap(f, out_axes=-1)(X), np.moveaxis(want, 0, -1), rtol=1e-12, atol=1e-14)


MATRICES = {
    "solve": lambda m: np.linalg.solve(m, V),
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "trace": np.trace,
    "transpose": lambda m: m.T @ m,
    "diagonal": np.diagonal,
    "sum axis": lambda m: m.sum(axis=1, keepdims=True),
    "slogdet": lambda m: np.linalg.slogdet(m)[1],
    "triangle": np.tril,
    "eigh": lambda m: np.linalg.eigh(m + m.T)[0],
}


@pytest.mark.parametrize("f", MATRICES.values(), ids=MATRICES.keys())
def test_matrices(f: Any) -> None:
    np.testing.assert_allclose(cr.vmap(f)(M), np.stack([f(m) for m in M]), rtol=1e-10, atol=1e-12)


def test_numbers_and_loops_that_depend_on_them() -> None:
    np.testing.assert_allclose(cr.vmap(newton)(S), np.sqrt(np.abs(S)) * np.sign(S))
    np.testing.assert_allclose(cr.vmap(lambda s: s**2)(S), S**2)
    np.testing.assert_allclose(cr.vmap(lambda s, x: s * x)(S, X), S[:, None] * X)
    np.testing.assert_allclose(cr.vmap(lambda s: s * V)(S), S[:, None] * V)
    np.testing.assert_allclose(cr.vmap(lambda s: V if s > 0 else -V)(S), np.where(S > 0, 1, -1)[:, None] * V)
    np.testing.assert_allclose(cr.vmap(lambda k, x: x[k])(K, X), X[np.arange(5), K])


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0), [0, None]])
def test_two_arguments(axes: Any) -> None:
    f = lambda x, y: np.outer(np.sin(x), y) @ y
    args = [z if axis == 0 else z[0] for z, axis in zip((X, Y), axes, strict=True)]
    want = [f(*[a[k] if axis == 0 else a for a, axis in zip(args, axes, strict=True)]) for k in range(5)]
    np.testing.assert_allclose(cr.vmap(f, axes)(*args), np.stack(want), rtol=1e-12)


def test_keyword_arguments_are_mapped() -> None:
    np.testing.assert_allclose(cr.vmap(lambda x, *, scale: scale * x)(X, scale=S), S[:, None] * X)


Pair = namedtuple("Pair", ["a", "b"])


def test_containers() -> None:
    f = lambda p: {"y": p["w"] @ p["x"][0], "n": (p["s"],)}
    given = {"w": M, "x": [X], "s": S}
    out = cr.vmap(f)(given)
    np.testing.assert_allclose(out["y"], np.einsum("kij,kj->ki", M, X))
    np.testing.assert_allclose(out["n"][0], S)
    out = cr.vmap(f, in_axes=({"w": None, "x": 0, "s": None},))({"w": FIXED, "x": [X], "s": 2.0})
    np.testing.assert_allclose(out["y"], X @ FIXED.T)
    np.testing.assert_allclose(out["n"][0], np.full(5, 2.0))
    pair = cr.vmap(lambda p: Pair(p.b, p.a))(Pair(X, S))
    assert type(pair) is Pair
    np.testing.assert_array_equal(pair.a, S)
    first, second = cr.vmap(lambda x: (x, np.sum(x)), out_axes=(1, 0))(X)
    assert (first.shape, second.shape) == ((3, 5), (5,))
    first, second = cr.vmap(lambda x: (x, 3.0), out_axes=(0, None))(X)
    assert second == 3.0


def test_vmap_of_vmap() -> None:
    f = lambda x, y: np.sum(np.sin(x) * y)
    table = cr.vmap(lambda x: cr.vmap(lambda y: f(x, y))(Y))(X)
    np.testing.assert_allclose(table, np.sin(X) @ Y.T)
    np.testing.assert_allclose(cr.vmap(cr.vmap(np.cos))(X), np.cos(X))
    np.testing.assert_allclose(cr.vmap(cr.vmap(np.cos, in_axes=1, out_axes=1))(M), np.cos(M))


@pytest.mark.parametrize("f", [f for n, f in ONE.items() if n not in ("constant", "number")])
def test_derivatives_of_vmap(f: Any) -> None:
    total = lambda x: np.sum(np.sin(cr.vmap(f)(x)))
    loop = lambda x: sum(np.sum(np.sin(f(x[k]))) for k in range(5))
    want = cr.grad(loop)(X)
    np.testing.assert_allclose(cr.grad(total)(X), want, rtol=1e-9, atol=1e-11)
    assert cr.jvp(total, (X,), (Y,))[1] == pytest.approx(np.vdot(want, Y), rel=1e-9)
    np.testing.assert_allclose(cr.hvp(total, (X,), (Y,)), cr.hvp(loop, (X,), (Y,)), rtol=1e-8, atol=1e-9)


def test_per_example_gradients() -> None:
    def loss(w: Any, x: Any, y: Any) -> Any:
        return np.sum((np.tanh(w @ x) - y) ** 2)

    each = cr.vmap(cr.grad(loss), in_axes=(None, 0, 0))(FIXED, X, Y)
    np.testing.assert_allclose(each, np.stack([cr.grad(loss)(FIXED, x, y) for x, y in zip(X, Y, strict=True)]))
    np.testing.assert_allclose(each.sum(0), cr.grad(lambda w: np.sum(cr.vmap(loss, (None, 0, 0))(w, X, Y)))(FIXED))
    value, gradient = cr.vmap(cr.value_and_grad(loss), in_axes=(None, 0, 0))(FIXED, X, Y)
    assert (value.shape, gradient.shape) == ((5,), (5, 3, 3))


def test_closed_over_traced_values() -> None:
    f = lambda w: np.sum(cr.vmap(lambda x: np.sin(w @ x))(X))
    np.testing.assert_allclose(cr.grad(f)(FIXED), np.cos(X @ FIXED.T).T @ X)
    np.testing.assert_allclose(cr.jacfwd(f)(FIXED), np.cos(X @ FIXED.T).T @ X)


@pytest.mark.parametrize("dtype", ["f", "D", "F", "i", "?"])
def test_dtypes(dtype: str) -> None:
    x = (X * 4).astype(dtype)
    y = cr.vmap(lambda x: x * x)(x)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, x * x)


@pytest.mark.parametrize(
    "call",
    [
        lambda: cr.vmap(3.0),
        lambda: cr.vmap(np.sin, in_axes=(0, 0))(X),
        lambda: cr.vmap(np.sin, in_axes=None)(X),
        lambda: cr.vmap(np.add)(X, Y[:3]),
        lambda: cr.vmap(np.sin, in_axes=2)(X),
        lambda: cr.vmap(np.sin)(3.0),
        lambda: cr.vmap(lambda p: p["a"], in_axes=({"b": 0},))({"a": X}),
        lambda: cr.vmap(lambda p: p[0], in_axes=((0, 0),))([X]),
        lambda: cr.vmap(lambda x: (x, x), out_axes=(0, 0, 0))(X),
        lambda: cr.vmap(np.sin)(),
        lambda: cr.vmap(np.sin, in_axes="0")(X),
    ],
)
def test_misuse_raises(call: Any) -> None:
    with pytest.raises(ArgumentError):
        call()


def test_no_rows() -> None:
    assert cr.vmap(np.sin)(np.zeros((0, 3))).shape == (0, 3)
    assert cr.vmap(lambda x: np.sum(x * V))(np.zeros((0, 3))).shape == (0,)
    with pytest.raises(ArgumentError, match="no rows"):
        cr.vmap(branches)(np.zeros((0, 3)))


def test_the_arguments_are_not_written_to() -> None:
    given = X.copy()

    def f(x: Any) -> Any:
        x = x * 1.0
        x[0] = 7.0
        return x

    assert np.all(cr.vmap(f)(given)[:, 0] == 7.0)
    np.testing.assert_array_equal(given, X)


def test_results_are_plain_arrays() -> None:
    for out in leaves(cr.vmap(lambda x: (x, np.sum(x), x[0] > 0))(X)):
        assert type(out) is np.ndarray
