"""The public transformations: what they take, what they return, what they refuse.

What is right at every order and in every nesting of modes is in `test_nesting`.
"""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, ChainruleError, LeakedTracerError, LostDerivativeError

X = np.array([0.5, -1.0, 2.0])
W = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])


def product(x: Any, y: Any, z: Any = 1.0) -> Any:
    return np.sum(x * y * y * z)


# -- argnums, keywords, aux -----------------------------------------------------------------------------


@pytest.mark.parametrize(("argnums", "want"), [(0, 9.0), (1, 12.0), (-1, 12.0), (-2, 9.0), (np.int64(1), 12.0)])
def test_argnums_names_one_argument(argnums: Any, want: float) -> None:
    assert cr.grad(product, argnums)(2.0, 3.0) == want
    assert cr.value_and_grad(product, argnums)(2.0, 3.0) == (18.0, want)
    assert cr.jacfwd(product, argnums)(2.0, 3.0) == want
    assert cr.jacrev(product, argnums)(2.0, 3.0) == want
    assert cr.jacobian(product, argnums)(2.0, 3.0) == want


@pytest.mark.parametrize("argnums", [(0, 1), (-2, -1), (0, -1)])
def test_a_tuple_of_argnums_gives_a_tuple(argnums: Any) -> None:
    assert cr.grad(product, argnums)(2.0, 3.0) == (9.0, 12.0)
    assert cr.value_and_grad(product, argnums)(2.0, 3.0) == (18.0, (9.0, 12.0))
    assert cr.jacfwd(product, argnums)(2.0, 3.0) == (9.0, 12.0)
    assert cr.jacrev(product, argnums)(2.0, 3.0) == (9.0, 12.0)
    assert cr.hessian(product, argnums)(2.0, 3.0) == ((0.0, 6.0), (6.0, 4.0))
    assert cr.grad(product, (0,))(2.0, 3.0) == (9.0,)
    assert cr.grad(product, (1, 0))(2.0, 3.0) == (12.0, 9.0)


@pytest.mark.parametrize("argnums", [2, -3, (0, 5), 0.5, "0", None, (0, 0), (0, -2), [0, 1]])
@pytest.mark.parametrize("transform", [cr.grad, cr.value_and_grad, cr.jacfwd, cr.jacrev, cr.jacobian, cr.hessian])
def test_wrong_argnums_raise(transform: Any, argnums: Any) -> None:
    with pytest.raises(ArgumentError, match="argnums"):
        transform(product, argnums)(2.0, 3.0)


def test_keyword_arguments_are_passed_and_not_differentiated() -> None:
    assert cr.grad(product)(2.0, y=3.0, z=2.0) == 18.0
    assert cr.value_and_grad(product, 1)(2.0, 3.0, z=0.5) == (9.0, 6.0)
    np.testing.assert_array_equal(cr.jacfwd(lambda x, *, scale: scale * x)(X, scale=2.0), 2 * np.eye(3))
    np.testing.assert_array_equal(cr.jacrev(lambda x, *, scale: scale * x)(X, scale=2.0), 2 * np.eye(3))
    np.testing.assert_array_equal(cr.hessian(lambda x, *, p: np.sum(x**p))(X, p=2), 2 * np.eye(3))
    assert cr.grad(lambda x, **options: x * options["a"])(2.0, a=3.0) == 3.0
    with pytest.raises(ArgumentError, match="argnums=0"):
        cr.grad(product)(x=2.0, y=3.0)


def test_has_aux_returns_what_is_beside_the_value() -> None:
    f = lambda x: (np.sum(x**2), {"twice": 2 * x, "name": "aux"})
    gradient, aux = cr.grad(f, has_aux=True)(X)
    np.testing.assert_array_equal(gradient, 2 * X)
    np.testing.assert_array_equal(aux["twice"], 2 * X)
    assert type(aux["twice"]) is np.ndarray
    assert aux["name"] == "aux"
    (value, aux), gradient = cr.value_and_grad(f, has_aux=True)(X)
    assert value == 5.25
    np.testing.assert_array_equal(gradient, 2 * X)
    y, pullback, aux = cr.vjp(lambda x: (x**2, x), X, has_aux=True)
    np.testing.assert_array_equal(aux, X)
    np.testing.assert_array_equal(pullback(np.ones(3))[0], 2 * X)
    y, y_dot, aux = cr.jvp(lambda x: (x**2, 3 * x), (X,), (np.ones(3),), has_aux=True)
    np.testing.assert_array_equal(y_dot, 2 * X)
    np.testing.assert_array_equal(aux, 3 * X)
    for transform in (cr.jacfwd, cr.jacrev, cr.jacobian):
        jacobian, aux = transform(lambda x: (x**2, 3 * x), has_aux=True)(X)
        np.testing.assert_array_equal(jacobian, np.diag(2 * X))
        np.testing.assert_array_equal(aux, 3 * X)
    hessian, aux = cr.hessian(lambda x: (np.sum(x**3), np.sum(x)), has_aux=True)(X)
    np.testing.assert_array_equal(hessian, np.diag(6 * X))
    assert aux == 1.5


@pytest.mark.parametrize("f", [lambda x: x * x, lambda x: (x, x, x), lambda x: [x * x, x]])
def test_has_aux_needs_a_pair(f: Any) -> None:
    for transform in (cr.grad, cr.value_and_grad, cr.jacfwd, cr.jacrev):
        with pytest.raises(ArgumentError, match="pair"):
            transform(f, has_aux=True)(2.0)


def test_transformed_functions_keep_their_names() -> None:
    for transform in (cr.grad, cr.value_and_grad, cr.jacfwd, cr.jacrev, cr.jacobian, cr.hessian, cr.derivative):
        assert transform(product).__name__ == "product"


@pytest.mark.parametrize(
    "transform", [cr.grad, cr.value_and_grad, cr.jacfwd, cr.jacrev, cr.jacobian, cr.hessian, cr.derivative]
)
def test_what_is_not_a_function_is_refused_with_the_remedy(transform: Any) -> None:
    with pytest.raises(ArgumentError, match="takes a function"):
        transform(3.0)


# -- scalar values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "word"),
    [
        (lambda x: x, "shape"),
        (lambda x: np.array([1.0, 2.0]), "shape"),
        (lambda x: x[:1], "shape"),
        (lambda x: (x[0], x[1]), "container"),
        (lambda x: {"a": x[0]}, "container"),
        (lambda x: None, "None"),
        (lambda x: "text", "text"),
        (lambda x: x[0] + 1j, "complex"),
        (lambda x: 1j, "complex"),
    ],
)
def test_grad_of_what_is_not_a_real_number_raises(f: Any, word: str) -> None:
    for transform in (cr.grad, cr.value_and_grad):
        with pytest.raises(ArgumentError, match=word):
            transform(f)(X)


def test_constants_have_gradient_zero() -> None:
    np.testing.assert_array_equal(cr.grad(lambda x: 3.0)(X), np.zeros(3))
    np.testing.assert_array_equal(cr.grad(lambda x: 3)(X), np.zeros(3))
    np.testing.assert_array_equal(cr.grad(lambda x: np.floor(x).sum())(X), np.zeros(3))
    assert cr.grad(lambda x: 1.0)(2.0) == 0.0
    assert cr.value_and_grad(lambda x: np.float64(1.0))(2.0) == (1.0, 0.0)
    assert cr.jvp(lambda x: 3.0, (2.0,), (1.0,)) == (3.0, 0.0)
    np.testing.assert_array_equal(cr.jacfwd(lambda x: np.ones(2))(X), np.zeros((2, 3)))
    np.testing.assert_array_equal(cr.jacrev(lambda x: np.ones(2))(X), np.zeros((2, 3)))
    np.testing.assert_array_equal(cr.hessian(lambda x: np.sum(x))(X), np.zeros((3, 3)))


def test_an_unused_argument_has_gradient_zero() -> None:
    gx, gw = cr.grad(lambda x, w: np.sum(x), (0, 1))(X, W)
    np.testing.assert_array_equal(gx, np.ones(3))
    np.testing.assert_array_equal(gw, np.zeros((2, 3)))
    gw[0, 0] = 1.0  # the caller's own


def test_the_identity() -> None:
    assert cr.grad(lambda x: x)(2.0) == 1.0
    assert cr.value_and_grad(lambda x: x)(2.0) == (2.0, 1.0)
    np.testing.assert_array_equal(cr.jacrev(lambda x: x)(X), np.eye(3))
    np.testing.assert_array_equal(cr.jacfwd(lambda x: x)(X), np.eye(3))


def test_results_do_not_alias_the_arguments_or_each_other() -> None:
    seed = np.ones(3)
    _, pullback = cr.vjp(lambda x: x, X)
    (ct,) = pullback(seed)
    ct[0] = 7.0
    assert seed[0] == 1.0
    gx, gy = cr.grad(lambda x, y: np.sum(x + y), (0, 1))(X, X.copy())
    gx[0] = 7.0
    assert gy[0] == 1.0
    first, second = cr.grad(lambda p: np.sum(p[0] + p[1]))((X, X))
    assert not np.shares_memory(first, second)
    tangent = np.ones(3)
    for y_dot in (cr.jvp(lambda x: x, (X,), (tangent,))[1], cr.linearize(lambda x: x + 1, X)[1](tangent)):
        y_dot[0] = 7.0
        assert tangent[0] == 1.0
    a, b = cr.jvp(lambda x: (x + 1, x + 2), (X,), (X,))[1]
    assert not np.shares_memory(a, b)
    assert not np.shares_memory(a, X)


# -- types and dtypes -----------------------------------------------------------------------------------


def test_lists_are_operands_of_ufuncs_as_they_are_numpys() -> None:
    for f in (
        lambda x: np.multiply(x, [1.0, 2.0, 3.0]),
        lambda x: np.power(np.abs(x), [0, 1, 2]),
        lambda x: np.arctan2([1, 2, 3], x),
        lambda x: x * [1.0, 2.0, 3.0] - (1, 2, 3),
        lambda x: np.add([x[0], 1.0, x[1]], x),
        lambda x: np.add.outer(x, [1.0, 2.0]),
    ):
        g = lambda x, f=f: np.sum(np.sin(f(x)))
        want = [(g(X + 1e-6 * e) - g(X - 1e-6 * e)) / 2e-6 for e in np.eye(3)]
        np.testing.assert_allclose(cr.grad(g)(X), want, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(cr.jacfwd(g)(X), want, rtol=1e-6, atol=1e-8)


def test_python_numbers_give_python_numbers() -> None:
    value, gradient = cr.value_and_grad(lambda x: x * x + 1.0)(3.0)
    assert (type(value), type(gradient)) == (float, float)
    assert type(cr.grad(lambda x: np.sin(x))(3.0)) is float
    assert type(cr.grad(lambda x: np.sum(x * X))(3.0)) is float
    y, y_dot = cr.jvp(lambda x: x * x, (3.0,), (1.0,))
    assert isinstance(y, float)
    assert isinstance(y_dot, float)
    assert type(cr.vjp(lambda x: x * x, 3.0)[1](1.0)[0]) is float
    assert type(cr.grad(lambda z: abs(z))(3.0 + 4.0j)) is complex


@pytest.mark.parametrize("n", [3, np.int64(3), np.int8(3), np.uint8(3)])
def test_integers_are_promoted(n: Any) -> None:
    assert cr.grad(lambda x: x**2)(n) == 6.0
    assert cr.jvp(lambda x: x**2, (n,), (1.0,)) == (9.0, 6.0)
    assert cr.derivative(lambda x: x**2)(n) == 6.0
    assert np.asarray(cr.grad(lambda x: x**2)(n)).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint16])
def test_integer_arrays_are_promoted(dtype: Any) -> None:
    n = np.array([1, 2, 3], dtype)
    gradient = cr.grad(lambda x: np.sum(x**2 / 2))(n)
    assert gradient.dtype == np.float64
    np.testing.assert_array_equal(gradient, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(cr.jacfwd(lambda x: x * x)(n), np.diag([2.0, 4.0, 6.0]))
    zero = cr.grad(lambda x: x * x)(np.array(3))
    assert (zero.dtype, zero.shape, float(zero)) == (np.float64, (), 6.0)


@pytest.mark.parametrize("value", [True, np.True_, np.array([True, False]), "text", None, b"x"])
def test_what_has_no_derivative_raises_as_an_argument(value: Any) -> None:
    for call in (
        lambda: cr.grad(lambda x: 1.0)(value),
        lambda: cr.jvp(lambda x: 1.0, (value,), (1.0,)),
        lambda: cr.vjp(lambda x: 1.0, value),
        lambda: cr.jacfwd(lambda x: 1.0)(value),
    ):
        with pytest.raises(ArgumentError, match="argument 0"):
            call()


def test_objects_are_refused() -> None:
    class Unknown:
        pass

    for value in (Unknown(), np.array([1.0, None]), np.array(["a"]), {1.0, 2.0}, np.array(["2020-01-01"], "M8[D]")):
        with pytest.raises(ArgumentError):
            cr.grad(lambda x: 1.0)(value)
    with pytest.raises(ArgumentError, match="Unknown"):
        cr.grad(lambda x: x["a"])({"a": 1.0, "b": Unknown()})


@pytest.mark.parametrize("dtype", ["e", "f", "d", "g", "F", "D", "G"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
def test_cotangents_have_the_shape_dtype_and_kind_of_their_primal(dtype: str, shape: Any) -> None:
    x = np.linspace(0.5, 1, int(np.prod(shape))).reshape(shape).astype(dtype)
    f = lambda x: np.sum(np.abs(x * x))
    gradient = cr.grad(f)(x)
    assert type(gradient) is np.ndarray
    assert (gradient.shape, gradient.dtype) == (shape, x.dtype)
    assert gradient.flags.writeable
    np.testing.assert_allclose(gradient.astype("G"), 2 * x.astype("G"), rtol=2e-3)
    y, y_dot = cr.jvp(lambda x: 3 * x, (x,), (x,))
    assert np.asarray(y).dtype == np.asarray(y_dot).dtype == x.dtype
    if shape == ():
        scalar = cr.grad(f)(x[()])
        assert type(scalar) is type(x[()])


def test_mixed_precision_keeps_each() -> None:
    x, y = X.astype(np.float32), X.copy()
    gx, gy = cr.grad(lambda x, y: np.sum(x * y), (0, 1))(x, y)
    assert (gx.dtype, gy.dtype) == (np.float32, np.float64)
    gz, gx = cr.grad(lambda z, x: np.sum(np.abs(z * x) ** 2), (0, 1))(x.astype(np.complex64), x)
    assert (gz.dtype, gx.dtype) == (np.complex64, np.float32)
    assert cr.grad(lambda x: np.sum(x.astype(np.float64) ** 2))(x).dtype == np.float32


def test_a_cast_to_integers_cuts_the_derivative() -> None:
    assert cr.grad(lambda x: np.sum(x.astype(int) * 2.0))(X).tolist() == [0.0] * 3
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(x * x.astype(int)))(X), X.astype(int))


def test_subclasses_and_other_memory() -> None:
    strided = np.arange(12.0).reshape(3, 4)[::2, ::-1]
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(x * x))(strided), 2 * strided)
    fortran = np.asfortranarray(W)
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(x * x))(fortran), 2 * W)
    frozen = X.copy()
    frozen.flags.writeable = False
    gradient = cr.grad(lambda x: np.sum(x))(frozen)
    gradient[0] = 2.0
    swapped = X.astype(">f8")
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(x * x))(swapped), 2 * X)


# -- empty, 0-d, NaN -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_empty_arrays(shape: Any) -> None:
    x = np.zeros(shape)
    value, gradient = cr.value_and_grad(lambda x: np.sum(np.sin(x)))(x)
    assert value == 0.0
    assert gradient.shape == shape
    for transform in (cr.jacfwd, cr.jacrev, cr.jacobian):
        assert transform(np.sin)(x).shape == shape + shape
    assert cr.jacfwd(np.sum)(x).shape == shape
    assert cr.hessian(lambda x: np.sum(x * x))(x).shape == shape + shape
    assert cr.hvp(lambda x: np.sum(x * x), (x,), (x,)).shape == shape
    assert cr.jvp(np.sin, (x,), (x,))[1].shape == shape


def test_empty_results_of_full_arguments() -> None:
    for transform in (cr.jacfwd, cr.jacrev, cr.jacobian):
        assert transform(lambda x: x[:0])(X).shape == (0, 3)
        assert transform(lambda x: x[:, None] * np.zeros((3, 0)))(X).shape == (3, 0, 3)


def test_arrays_without_dimensions_stay_arrays() -> None:
    x = np.array(2.0)
    gradient = cr.grad(lambda x: x * x)(x)
    assert type(gradient) is np.ndarray
    assert gradient.shape == ()
    assert cr.hessian(lambda x: x**3)(x) == 12.0
    assert np.shape(cr.jacfwd(lambda x: x * X)(x)) == (3,)
    y, pullback = cr.vjp(lambda x: x * X, x)
    assert pullback(np.ones(3))[0].shape == ()


def test_nan_in_is_nan_out_where_it_reaches() -> None:
    gradient = cr.grad(lambda x: np.sum(x * x))(np.array([1.0, np.nan, 3.0]))
    np.testing.assert_array_equal(gradient, [2.0, np.nan, 6.0])
    assert np.isnan(cr.grad(np.sin)(np.nan))
    assert cr.grad(lambda x: x * np.inf)(1.0) == np.inf


# -- containers -----------------------------------------------------------------------------------------

Layer = namedtuple("Layer", ["w", "b"])


@dataclass
class Model:
    layers: list[Layer]
    scale: float
    name: str = field(default="model", metadata={"static": True})


@dataclass(frozen=True)
class Frozen:
    x: Any
    y: Any = 2.0
    steps: int = field(default=3, metadata={"static": True})


def test_nested_containers_come_back_as_they_were() -> None:
    model = Model([Layer(W, X[:2]), Layer(2 * W, np.float32(0.5))], 3.0)

    def loss(model: Model, x: Any) -> Any:
        assert model.name == "model"
        return model.scale * sum(np.sum(layer.w @ x + layer.b) for layer in model.layers)

    value, gradient = cr.value_and_grad(loss)(model, X)
    assert type(gradient) is Model
    assert gradient.name == "model"
    assert [type(layer) for layer in gradient.layers] == [Layer, Layer]
    np.testing.assert_allclose(gradient.layers[0].w, 3 * np.outer(np.ones(2), X))
    np.testing.assert_allclose(gradient.layers[0].b, 3 * np.ones(2))
    assert gradient.layers[1].b == np.float32(6.0)
    assert type(gradient.layers[1].b) is np.float32
    assert gradient.scale == pytest.approx(value / 3.0)
    assert type(gradient.scale) is float


@pytest.mark.parametrize(
    ("tree", "total"),
    [
        ((1.0, (2.0, X)), lambda t: t[0] * t[1][0] + np.sum(t[1][1])),
        ([1.0, [2.0, X]], lambda t: t[0] * t[1][0] + np.sum(t[1][1])),
        ({"b": X, "a": 2.0}, lambda t: t["a"] * np.sum(t["b"])),
        (OrderedDict(b=X, a=2.0), lambda t: t["a"] * np.sum(t["b"])),
        (Layer(W, 1.0), lambda t: np.sum(t.w * t.b)),
        (Frozen(X), lambda t: np.sum(t.x) * t.y * t.steps),
        ([], lambda t: 1.0),
        ({}, lambda t: 1.0),
        ((), lambda t: 1.0),
    ],
)
def test_every_container(tree: Any, total: Any) -> None:
    gradient = cr.grad(total)(tree)
    assert type(gradient) is type(tree)
    if isinstance(tree, dict):
        assert list(gradient) == list(tree)
    y, y_dot = cr.jvp(total, (tree,), (gradient,))
    leaves, _ = cr.trees.flatten(gradient)
    assert y_dot == pytest.approx(sum(np.sum(np.square(leaf)) for leaf in leaves))
    y, pullback = cr.vjp(total, tree)
    again, _ = cr.trees.flatten(pullback(1.0)[0])
    for a, b in zip(leaves, again, strict=True):
        np.testing.assert_array_equal(a, b)
    change = cr.linearize(total, tree)[1](gradient)
    assert change == pytest.approx(y_dot)


def test_static_leaves_are_passed_unchanged() -> None:
    def f(options: dict[str, Any]) -> Any:
        assert type(options["n"]) is int
        assert type(options["flag"]) is bool
        assert options["none"] is None
        y = options["x"]
        for _ in range(options["n"]):
            y = y * options["x"]
        return np.sum(y) if options["flag"] and options["name"] == "cube" else 0.0

    given = {"x": X, "n": 2, "flag": True, "name": "cube", "none": None, "k": np.array([1, 2])}
    gradient = cr.grad(f)(given)
    np.testing.assert_allclose(gradient["x"], 3 * X**2)
    assert gradient["n"] == 0.0
    assert gradient["flag"] == 0.0
    assert gradient["name"] is None
    assert gradient["none"] is None
    np.testing.assert_array_equal(gradient["k"], [0.0, 0.0])
    assert gradient["k"].dtype == np.float64


def test_containers_of_results() -> None:
    def f(x: Any) -> Any:
        return {"square": x * x, "sum": (np.sum(x), 2.0)}

    y, pullback = cr.vjp(f, X)
    assert list(y) == ["square", "sum"]
    np.testing.assert_array_equal(pullback({"square": np.ones(3), "sum": (1.0, 5.0)})[0], 2 * X + 1)
    y, y_dot = cr.jvp(f, (X,), (np.ones(3),))
    assert (y_dot["sum"][0], y_dot["sum"][1]) == (3.0, 0.0)
    for jacobian in (cr.jacfwd(f)(X), cr.jacrev(f)(X), cr.jacobian(f)(X)):
        np.testing.assert_array_equal(jacobian["square"], np.diag(2 * X))
        np.testing.assert_array_equal(jacobian["sum"][0], np.ones(3))
        np.testing.assert_array_equal(jacobian["sum"][1], np.zeros(3))


def test_jacobians_nest_outside_by_result_and_inside_by_argument() -> None:
    f = lambda p: [p["w"] @ p["x"], np.sum(p["x"])]
    for transform in (cr.jacfwd, cr.jacrev, cr.jacobian):
        first, second = transform(f)({"w": W, "x": X})
        assert first["w"].shape == (2, 2, 3)
        np.testing.assert_array_equal(first["x"], W)
        np.testing.assert_array_equal(second["w"], np.zeros((2, 3)))
    hessian = cr.hessian(lambda p: np.sum((p["w"] @ p["x"]) ** 2))({"w": W, "x": X})
    assert hessian["w"]["x"].shape == (2, 3, 3)
    np.testing.assert_allclose(hessian["x"]["x"], 2 * W.T @ W)
    np.testing.assert_allclose(np.moveaxis(hessian["w"]["x"], 2, 0), hessian["x"]["w"])


def test_wrong_structures_raise() -> None:
    _, pullback = cr.vjp(lambda x: (x, 2 * x), X)
    for ct in (X, (X,), (X, X, X), {"a": X, "b": X}, (X[:2], X), (X, 1.0), [X, X], (X, "a")):
        with pytest.raises(ArgumentError):
            pullback(ct)
    with pytest.raises(ArgumentError, match="structure"):
        cr.jvp(lambda p: p["a"], ({"a": 1.0},), ({"b": 1.0},))
    with pytest.raises(ArgumentError, match="structure"):
        cr.jvp(lambda p: p[0], ((1.0, 2.0),), ((1.0,),))


# -- jvp, linearize, vjp ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("primals", "tangents"),
    [
        (X, X),
        ((X,), X),
        ((X,), (X, X)),
        ((X,), (X[:2],)),
        ((X,), (1.0,)),
        ((1.0,), (X,)),
        ((X,), (1j * X,)),
        ((X,), ("abc",)),
        ((X,), (None,)),
    ],
)
def test_mismatched_tangents_raise(primals: Any, tangents: Any) -> None:
    with pytest.raises(ArgumentError):
        cr.jvp(lambda x: x, primals, tangents)
    if isinstance(primals, tuple) and isinstance(tangents, tuple):
        with pytest.raises(ArgumentError):
            cr.linearize(lambda x: x, *primals)[1](*tangents)
        with pytest.raises(ArgumentError):
            cr.hvp(lambda x: np.sum(x * x), primals, tangents)


def test_tangents_are_cast_to_their_primal() -> None:
    _, y_dot = cr.jvp(lambda x: 2 * x, (X,), (np.array([1, 2, 3]),))
    assert y_dot.dtype == np.float64
    _, y_dot = cr.jvp(lambda x: 2 * x, (X.astype(np.float32),), (X,))
    assert y_dot.dtype == np.float32
    assert cr.jvp(lambda x: 2 * x, (2.0,), (1,)) == (4.0, 2.0)


def test_pullbacks_and_pushforwards_are_linear_and_reusable() -> None:
    f = lambda x, y: np.sin(x) * y
    y, pullback = cr.vjp(f, X, 2.0)
    first, second = pullback(X), pullback(2 * X)
    np.testing.assert_allclose(second[0], 2 * first[0])
    assert second[1] == pytest.approx(2 * first[1])
    np.testing.assert_array_equal(pullback(X)[0], first[0])
    y, pushforward = cr.linearize(f, X, 2.0)
    np.testing.assert_array_equal(y, f(X, 2.0))
    np.testing.assert_allclose(pushforward(X, 1.0), cr.jvp(f, (X, 2.0), (X, 1.0))[1])
    np.testing.assert_allclose(pushforward(2 * X, 2.0), 2 * pushforward(X, 1.0))
    with pytest.raises(ArgumentError, match="2 tangents"):
        pushforward(X)


def test_vjp_is_the_adjoint_of_jvp() -> None:
    rng = np.random.default_rng(0)
    f = lambda x, w: np.tanh(w @ x) * np.sum(x)
    v = rng.normal(size=3), rng.normal(size=(2, 3))
    u = rng.normal(size=2)
    _, y_dot = cr.jvp(f, (X, W), v)
    cts = cr.vjp(f, X, W)[1](u)
    assert np.vdot(u, y_dot) == pytest.approx(sum(np.vdot(c, t) for c, t in zip(cts, v, strict=True)), rel=1e-12)


def test_the_arrays_of_the_caller_may_change_after_the_call() -> None:
    x, w = X.copy(), W.copy()
    _, pullback = cr.vjp(lambda x: np.sum((w @ x) ** 2), x)
    _, pushforward = cr.linearize(lambda x: np.sum((w @ x) ** 2), x)
    want, change = pullback(1.0)[0], pushforward(X)
    x[:], w[:] = 0.0, 0.0
    np.testing.assert_array_equal(pullback(1.0)[0], want)
    np.testing.assert_array_equal(pushforward(X), change)


# -- Jacobians, Hessians ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("shape", [(), (2,), (2, 2)])
@pytest.mark.parametrize("rows", [1, 40])
def test_jacobians_have_the_shape_of_result_and_argument(mode: str, shape: Any, rows: int) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=shape)
    a = rng.normal(size=(rows, int(np.prod(shape))))
    jacobian = cr.jacobian(lambda x: np.sin(a @ np.reshape(x, -1)), mode=mode)(x)
    want = (np.cos(a @ x.reshape(-1))[:, None] * a).reshape(rows, *shape)
    np.testing.assert_allclose(jacobian, want, rtol=1e-12)


def test_large_jacobians_go_in_chunks() -> None:
    x = np.linspace(0, 1, 3000)
    for transform in (cr.jacfwd, cr.jacrev):
        jacobian = transform(np.sin)(x)
        np.testing.assert_allclose(np.diag(jacobian), np.cos(x))
        assert np.count_nonzero(jacobian) == 3000


def test_unknown_modes_raise() -> None:
    with pytest.raises(ArgumentError, match="mode"):
        cr.jacobian(np.sin, mode="backward")


def test_hvp_never_forms_the_hessian_and_agrees_with_it() -> None:
    f = lambda x: np.sum(np.sin(x) * np.roll(x, 1))
    v = np.array([1.0, -2.0, 0.5])
    hessian = cr.hessian(f)(X)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-15)
    np.testing.assert_allclose(cr.hvp(f, (X,), (v,)), hessian @ v)
    many = np.linspace(0, 1, 200_000)  # a Hessian of 320 GB
    np.testing.assert_allclose(cr.hvp(lambda x: np.sum(x**3), (many,), (np.ones_like(many),)), 6 * many)
    g = lambda x, w: np.sum((w @ x) ** 2)
    hx, hw = cr.hvp(g, (X, W), (v, np.zeros_like(W)))
    np.testing.assert_allclose(hx, 2 * W.T @ W @ v)
    assert hw.shape == W.shape


def test_derivative_is_elementwise() -> None:
    assert cr.derivative(np.exp, 0)(1.0) == np.exp(1.0)
    for n in range(5):
        np.testing.assert_allclose(cr.derivative(np.exp, n)(X), np.exp(X))
    assert cr.derivative(lambda x: x**5, 3)(2.0) == 240.0
    assert cr.derivative(lambda x: x**5, 3)(2) == 240.0
    with pytest.raises(ArgumentError, match="negative"):
        cr.derivative(np.exp, -1)
    with pytest.raises((ArgumentError, TypeError)):
        cr.derivative(np.exp, 1.5)


# -- complex numbers ----------------------------------------------------------------------------------------

Z = np.array([1.0 + 2.0j, -0.5 + 0.3j, 0.2 - 1.0j])
REAL_OF_COMPLEX = [
    lambda z: np.sum(np.abs(z) ** 2),
    lambda z: np.sum(np.real(z * z * z)),
    lambda z: np.sum(np.imag(np.exp(z)) * np.abs(z)),
    lambda z: np.sum(np.angle(z) * z.real),
    lambda z: np.sum(np.abs(z @ np.conj(z))),
    lambda z: np.real(np.vdot(z, 1j * z**2)),
]


@pytest.mark.parametrize("f", REAL_OF_COMPLEX)
def test_gradients_of_real_functions_of_complex_numbers_ascend(f: Any) -> None:
    gradient = cr.grad(f)(Z)
    assert gradient.dtype == np.complex128
    h = 1e-6
    for k in range(3):
        unit = np.eye(3)[k]
        dx = (f(Z + h * unit) - f(Z - h * unit)) / (2 * h)
        dy = (f(Z + 1j * h * unit) - f(Z - 1j * h * unit)) / (2 * h)
        assert gradient[k] == pytest.approx(dx + 1j * dy, rel=1e-7, abs=1e-7)
    assert f(Z - 1e-3 * gradient) < f(Z)


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda z: z**3, lambda z: 3 * z**2),
        (lambda z: np.exp(1j * z), lambda z: 1j * np.exp(1j * z)),
        (lambda z: 1 / z, lambda z: -1 / z**2),
        (lambda z: np.sin(z) * 2j, lambda z: np.cos(z) * 2j),
    ],
)
def test_holomorphic_functions(f: Any, slope: Any) -> None:
    z = 0.7 - 0.4j
    assert cr.grad(f, holomorphic=True)(z) == pytest.approx(slope(z))
    assert cr.value_and_grad(f, holomorphic=True)(z)[0] == pytest.approx(f(z))
    jacobian = cr.jacobian(f, holomorphic=True)(Z)
    np.testing.assert_allclose(jacobian, np.diag(slope(Z)))
    assert cr.grad(cr.grad(f, holomorphic=True), holomorphic=True)(z) == pytest.approx(
        (slope(z + 1e-6) - slope(z - 1e-6)) / 2e-6, rel=1e-6
    )


def test_complex_misuse_raises() -> None:
    with pytest.raises(ArgumentError, match="complex"):
        cr.grad(lambda z: z * z)(1.0 + 1.0j)
    with pytest.raises(ArgumentError, match="holomorphic"):
        cr.grad(lambda x: x * x, holomorphic=True)(1.0)
    with pytest.raises(ArgumentError, match="holomorphic"):
        cr.grad(lambda z: abs(z), holomorphic=True)(1.0 + 1j)
    with pytest.raises(ArgumentError, match="holomorphic"):
        cr.jacobian(lambda z: z * z)(Z)


def test_real_arguments_of_complex_computations_have_real_cotangents() -> None:
    gradient = cr.grad(lambda x: np.sum(np.abs(np.exp(1j * x) + x) ** 2))(X)
    assert gradient.dtype == np.float64
    want = [sum([(abs(np.exp(1j * (x + d)) + x + d) ** 2) * s for d, s in ((1e-6, 1), (-1e-6, -1))]) / 2e-6 for x in X]
    np.testing.assert_allclose(gradient, want, rtol=1e-6)


# -- traced values that outlive or escape their transformation ---------------------------------------------------


def leak(transform: Any) -> Any:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(x * 1.0)
        return np.sum(x)

    transform(f)
    return kept[0]


TRANSFORMS = {
    "grad": lambda f: cr.grad(f)(X.copy()),
    "grad of a number": lambda f: cr.grad(f)(2.0),
    "vjp": lambda f: cr.vjp(f, X.copy()),
    "jvp": lambda f: cr.jvp(f, (X.copy(),), (X.copy(),)),
    "jvp of a number": lambda f: cr.jvp(f, (2.0,), (1.0,)),
    "linearize": lambda f: cr.linearize(f, X.copy()),
    "jacfwd": lambda f: cr.jacfwd(f)(X.copy()),
    "jacrev": lambda f: cr.jacrev(f)(X.copy()),
    "vmap": lambda f: cr.vmap(f)(W.copy()),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS.keys())
@pytest.mark.parametrize("use", [lambda t: t * 2, lambda t: np.sin(t), lambda t: t + 1.0, lambda t: np.sum(t)])
def test_leaked_values_raise_when_used(transform: Any, use: Any) -> None:
    with pytest.raises(LeakedTracerError, match=r"test_api\.py:\d+"):
        use(leak(transform))


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS.keys())
def test_leaked_values_raise_inside_another_transformation(transform: Any) -> None:
    leaked = leak(transform)
    with pytest.raises(LeakedTracerError):
        cr.grad(lambda x: np.sum(x * leaked))(1.0)
    with pytest.raises(LeakedTracerError):
        cr.jvp(lambda x: np.sum(x * leaked), (1.0,), (1.0,))


def test_a_function_that_raises_ends_its_transformation() -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(x)
        raise ZeroDivisionError

    for transform in (cr.grad(f), lambda x: cr.jvp(f, (x,), (x,)), lambda x: cr.vjp(f, x)):
        with pytest.raises(ZeroDivisionError):
            transform(X)
        with pytest.raises(LeakedTracerError):
            kept.pop() + 1.0


def test_no_exception_of_ours_is_one_that_numpy_and_users_swallow() -> None:
    for name in cr.errors.__all__:
        error = getattr(cr.errors, name)
        assert issubclass(error, ChainruleError)
        assert not issubclass(
            error, (TypeError, ValueError, AttributeError, RuntimeError, LookupError, ArithmeticError)
        )


LOSSES = {
    "float": float,
    "int": int,
    "complex": complex,
    "item": lambda t: t.item(),
    "tolist": lambda t: t.tolist(),
    "asarray": np.asarray,
    "array": lambda t: np.array([t, 1.0]),
    "math": __import__("math").sin,
    "hash": hash,
    "key": lambda t: {t: 1},
    "set": lambda t: {t},
    "range": range,
    "index": lambda t: [1, 2, 3][t],
    "text as number": lambda t: float(f"{t}"),
    "store in a plain array": lambda t: np.zeros(3).__setitem__(0, t),
    "pickle": lambda t: __import__("pickle").dumps(t),
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES.keys())
def test_what_would_lose_the_derivative_raises_in_every_mode(lose: Any) -> None:
    for transform in (cr.grad, cr.derivative, cr.jacfwd, cr.jacrev):
        with pytest.raises((LostDerivativeError, ChainruleError)):
            transform(lambda x: [lose(x), x][1])(2.0)


@pytest.mark.parametrize("use", [len, iter, lambda t: t[0], lambda t: [*t]])
def test_a_traced_number_has_no_elements_as_a_number_has_none(use: Any) -> None:
    for transform in (cr.grad, cr.derivative, cr.jacfwd, cr.jacrev):
        with pytest.raises((TypeError, IndexError)):
            transform(lambda x: [use(x), x][1])(2.0)


def test_the_message_names_the_users_line() -> None:
    with pytest.raises(LostDerivativeError, match=r"test_api\.py:\d+: `.*float\(x\)"):
        cr.grad(lambda x: float(x) * x)(2.0)
    with pytest.raises(ChainruleError, match=r"test_api\.py:\d+"):
        cr.grad(lambda x: np.unwrap(np.piecewise(x, [x > 0], [lambda t: t])).sum() if False else np.busday_count(x, x))(
            X
        )


# -- control flow, warnings -------------------------------------------------------------------------------------


def test_control_flow_follows_the_values() -> None:
    def f(x: Any) -> Any:
        y = x
        while y < 10:
            y = y * x if y > 3 else y + x
        return y if bool(y) and y != 11 else -y

    assert cr.grad(f)(2.0) == 24.0  # x, 2x, 2x·x, 2x·x·x
    assert cr.derivative(f)(2.0) == cr.grad(f)(2.0)


def test_derivatives_never_warn_and_users_values_do() -> None:
    x = np.array([0.0, 1.0])
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(np.sqrt(x)))(x), [np.inf, 0.5])
    np.testing.assert_array_equal(cr.jvp(np.sqrt, (x,), (np.ones(2),))[1], [np.inf, 0.5])
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        cr.grad(lambda x: np.sum(np.log(x)))(x)
    with pytest.warns(RuntimeWarning, match="invalid value"):
        cr.jvp(np.sqrt, (-x,), (x,))


@pytest.mark.parametrize("transform", [cr.grad, cr.jacfwd, cr.jacrev, cr.jacobian], ids=lambda t: t.__name__)
def test_captured_arrays_may_be_overwritten_while_the_function_runs(transform: Any) -> None:
    """What the derivative reads is the value at the time of the operation."""

    def f(x: Any) -> Any:
        c = np.array([1.0, 2.0, 3.0])
        k = np.array([0, 1, 2])
        total = np.sum(x * c)
        c[:] = 100.0
        total = total + np.sum(c * x[k] ** 2) + np.sum(x @ np.diag(c))
        k[:] = 0
        c *= 0.0
        mask = np.array([True, False, True])
        total = total + np.sum(np.where(mask, x, 2 * x))
        mask[:] = False
        return total

    want = np.array([1.0, 2.0, 3.0]) + 200.0 * X + 100.0 + np.array([1.0, 2.0, 1.0])
    np.testing.assert_allclose(transform(f)(X), want, rtol=1e-14)


def test_the_callers_arrays_keep_their_values() -> None:
    given = X.copy()

    def f(x: Any) -> Any:
        x[0] = x[1] * x[2]
        x *= 2.0
        x.sort()
        return np.sum(x * np.array([1.0, 2.0, 3.0]))

    for transform in (cr.grad, cr.jacfwd, cr.jacrev, cr.hessian, cr.value_and_grad):
        transform(f)(given)
        np.testing.assert_array_equal(given, X)
    cr.jvp(f, (given,), (V := np.ones(3),))
    cr.vjp(f, given)[1](1.0)
    cr.linearize(f, given)[1](V)
    np.testing.assert_array_equal(given, X)
    # x0 x1 x2 = 0.5, -1, 2: the content is [x1 x2, x1, x2] doubled and sorted, [-4, -2, 4]
    np.testing.assert_allclose(cr.grad(f)(given), [0.0, 2.0 * X[2] + 4.0, 2.0 * X[1] + 6.0])
