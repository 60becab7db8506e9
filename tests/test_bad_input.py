"""Bad input, item by item: each is a clear error of chainrule's own, or the right answer."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import AliasError, ArgumentError, LostDerivativeError, UnsupportedError

X = np.array([0.5, -1.0, 2.0])
ONES = np.ones(3)

Call = Callable[[], Any]


class Unknown:
    """A class chainrule does not know."""

    def __init__(self) -> None:
        self.x = X


def square(x: Any) -> Any:
    return x**2


def total(x: Any) -> Any:
    return np.sum(x**2)


# (what, call, pattern of the message)
REFUSED: list[tuple[str, Call, str]] = [
    # no number to differentiate
    ("array from grad", lambda: cr.grad(square)(X), r"square.*shape \(3,\).*np\.sum.*jacobian"),
    ("array of one from grad", lambda: cr.grad(square)(np.ones(1)), r"shape \(1,\)"),
    ("array from value_and_grad", lambda: cr.value_and_grad(square)(X), r"shape \(3,\)"),
    ("array from hessian", lambda: cr.hessian(square)(X), r"shape \(3,\)"),
    ("array from hvp", lambda: cr.hvp(square, (X,), (X,)), r"shape \(3,\)"),
    ("list from grad", lambda: cr.grad(lambda x: [x])(1.0), "container.*has_aux"),
    ("tuple from grad", lambda: cr.grad(lambda x: (x, x))(1.0), "container.*has_aux"),
    ("None from grad", lambda: cr.grad(lambda x: None)(1.0), "returns None"),
    ("text from grad", lambda: cr.grad(lambda x: "a")(1.0), "returns 'a'"),
    ("object from grad", lambda: cr.grad(lambda x: Unknown())(1.0), "Unknown"),
    ("complex from grad", lambda: cr.grad(lambda z: z * z)(1 + 2j), r"complex.*np\.real.*holomorphic"),
    ("no pair with has_aux", lambda: cr.grad(total, has_aux=True)(X), "has_aux=True.*pair"),
    ("no pair from vjp", lambda: cr.vjp(total, X, has_aux=True), "has_aux=True.*pair"),
    ("no pair from jvp", lambda: cr.jvp(total, (X,), (X,), has_aux=True), "has_aux=True.*pair"),
    # no function
    ("grad of a number", lambda: cr.grad(total(X)), r"takes a function, not float64.*grad\(f\)\(x\)"),
    ("jvp of a number", lambda: cr.jvp(1.0, (X,), (X,)), "takes a function"),
    ("vmap of a number", lambda: cr.vmap(1.0), "takes a function"),
    ("custom rule of a number", lambda: cr.custom_jvp(1.0), "function"),
    # points without derivatives
    ("True", lambda: cr.grad(lambda x: x * 1.0)(True), "argument 0 .*True.*bool.*argnums"),
    ("NumPy's True", lambda: cr.grad(lambda x: x * 1.0)(np.True_), "bool"),
    ("array of bool", lambda: cr.grad(total)(np.array([True, False])), "dtype bool"),
    ("None", lambda: cr.grad(lambda x: 1.0)(None), "NoneType"),
    ("text", lambda: cr.grad(lambda x: 1.0)("x"), "'x'.*str"),
    ("array of text", lambda: cr.grad(lambda x: 1.0)(np.array(["a"])), "dtype <U1"),
    ("array of objects", lambda: cr.grad(total)(np.array([1.0, 2.0], object)), "dtype object"),
    ("structured array", lambda: cr.grad(lambda x: 1.0)(np.zeros(2, [("a", float)])), "dtype"),
    ("array of dates", lambda: cr.grad(lambda x: 1.0)(np.array(["2020-01-01"], "M8[D]")), "dtype datetime64"),
    ("masked array", lambda: cr.grad(np.sum)(np.ma.array([1.0, 2.0], mask=[0, 1])), "MaskedArray"),
    ("matrix", lambda: cr.grad(np.sum)(np.matrix([1.0, 2.0])), "matrix"),
    ("unregistered class", lambda: cr.grad(lambda x: 1.0)(Unknown()), r"Unknown.*dataclasses"),
    (
        "unregistered class in a list",
        lambda: cr.grad(lambda x: x[0])([1.0, Unknown()]),
        r"a leaf of argument 0.*Unknown",
    ),
    ("set", lambda: cr.grad(lambda x: 1.0)({1.0}), "builtins.set"),
    ("range", lambda: cr.grad(lambda x: 1.0)(range(3)), "builtins.range"),
    ("generator", lambda: cr.grad(lambda x: 1.0)(x for x in X), "builtins.generator"),
    ("bool to jvp", lambda: cr.jvp(square, (True,), (1.0,)), "bool"),
    ("bool to vjp", lambda: cr.vjp(square, np.array([True])), "dtype bool"),
    ("complex to jacfwd", lambda: cr.jacfwd(np.abs)(np.array([1 + 2j])), "complex arguments.*holomorphic"),
    ("complex to jacrev", lambda: cr.jacrev(np.abs)(np.array([1 + 2j])), "complex arguments.*holomorphic"),
    ("complex to jacobian", lambda: cr.jacobian(np.abs)(np.array([1 + 2j])), "complex arguments.*holomorphic"),
    ("complex to hessian", lambda: cr.hessian(lambda z: np.abs(z) ** 2)(1 + 2j), "complex arguments"),
    # holomorphic functions that are not
    ("conj in grad", lambda: cr.grad(lambda z: np.conj(z) * z, holomorphic=True)(1 + 2j), "not holomorphic"),
    ("abs in grad", lambda: cr.grad(lambda z: np.abs(z) + 0j, holomorphic=True)(1 + 2j), "not holomorphic"),
    ("conj in jacobian", lambda: cr.jacobian(np.conj, holomorphic=True)(np.array([1j])), "not holomorphic"),
    ("conj in derivative", lambda: cr.derivative(np.conj)(1 + 2j), "not holomorphic"),
    ("real in holomorphic grad", lambda: cr.grad(total, holomorphic=True)(X), "complex"),
    # argnums
    ("argnums too large", lambda: cr.grad(total, 1)(X), "argnums=1.*1 positional"),
    ("argnums too small", lambda: cr.grad(total, -2)(X), "argnums=-2"),
    ("argnums too large, compiled", lambda: cr.jit(cr.grad(total, 1))(X), "argnums=1.*1 positional"),
    ("one of argnums too large, compiled", lambda: cr.jit(cr.jacfwd(total, (0, 2)))(X), "argnums=2.*1 positional"),
    ("argnums too small, in a program", lambda: cr.jit(lambda x: cr.grad(total, -2)(x))(X), "argnums=-2"),
    ("by name what is differentiated, compiled", lambda: cr.jit(cr.grad(total))(x=X), "argnums=0.*0 positional"),
    ("argnums twice", lambda: cr.grad(lambda x, y: x * y, (0, 0))(1.0, 2.0), "twice"),
    ("argnums no integer", lambda: cr.grad(total, "x")(X), "argnums must be"),
    ("no arguments", lambda: cr.grad(lambda: 1.0)(), "0 positional"),
    # tangents and cotangents
    ("tangent of another shape", lambda: cr.jvp(square, (X,), (np.ones(2),)), r"shape \(2,\).*\(3,\)"),
    ("tangent that would broadcast", lambda: cr.jvp(square, (X,), (np.ones(1),)), r"shape \(1,\).*\(3,\)"),
    ("number as tangent of an array", lambda: cr.jvp(square, (X,), (1.0,)), r"shape \(\).*\(3,\)"),
    ("complex tangent of a real", lambda: cr.jvp(square, (X,), (1j * ONES,)), "complex"),
    ("too few tangents", lambda: cr.jvp(lambda x, y: x, (X, X), (X,)), "2 primals and 1"),
    ("primals not in a tuple", lambda: cr.jvp(square, X, X), "tuple of primals"),
    ("tangents of another structure", lambda: cr.jvp(lambda d: d["a"], ({"a": 1.0},), ([1.0],)), "structure"),
    ("text as a tangent", lambda: cr.jvp(square, (1.0,), ("a",)), "numeric"),
    ("pushforward, shape", lambda: cr.linearize(square, X)[1](np.ones(2)), r"shape \(2,\)"),
    ("pushforward, number of tangents", lambda: cr.linearize(square, X)[1](X, X), "takes 1 tangents, not 2"),
    ("hvp, shape", lambda: cr.hvp(total, (X,), (np.ones(2),)), r"shape \(2,\)"),
    ("cotangent of another shape", lambda: cr.vjp(square, X)[1](np.ones(2)), r"shape \(2,\).*\(3,\)"),
    ("cotangent that would broadcast", lambda: cr.vjp(square, X)[1](1.0), r"shape \(\).*\(3,\)"),
    ("complex cotangent of a real", lambda: cr.vjp(square, X)[1](1j * ONES), "complex"),
    ("None as a cotangent", lambda: cr.vjp(square, X)[1](None), "cotangent"),
    ("cotangent of another structure", lambda: cr.vjp(lambda x: (x, x), X)[1](X), "structure"),
    # options
    ("unknown Jacobian mode", lambda: cr.jacobian(square, mode="sideways"), "auto.*forward.*reverse"),
    ("negative order", lambda: cr.derivative(np.sin, -1), "negative"),
    ("fractional order", lambda: cr.derivative(np.sin, 1.5), "integer"),
    ("vmap, different lengths", lambda: cr.vmap(np.add)(np.ones(2), np.ones(3)), r"lengths \[2, 3\]"),
    ("vmap, no axis", lambda: cr.vmap(square)(1.0), "axis 0"),
    ("vmap, absent axis", lambda: cr.vmap(square, in_axes=2)(X), "axis 2"),
    ("vmap, nothing mapped", lambda: cr.vmap(square, in_axes=None)(X), "no mapped argument"),
    ("vmap, wrong in_axes", lambda: cr.vmap(square, in_axes=(0, 0))(X), "2 entries for 1"),
    ("vmap, no rows and a branch", lambda: cr.vmap(lambda x: x if x > 0 else -x)(np.ones(0)), "no rows"),
    # variables
    ("variable of text", lambda: cr.variable("a"), "not a number"),
    ("backward of an array", lambda: (cr.variable(X) * 2).backward(), r"gradient"),
]


@pytest.mark.parametrize(("call", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_bad_input_is_refused(call: Call, message: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # np.matrix
        with pytest.raises(ArgumentError, match=message):
            call()


# -- unsupported functions and options ------------------------------------------------------------------

UNSUPPORTED: list[tuple[str, Callable[..., Any], str]] = [
    ("function", lambda x: np.roots(x), r"numpy\.roots.*stop_gradient"),
    ("ufunc", lambda x: np.frompyfunc(abs, 1, 1)(x), "is not supported"),
    ("ufunc method", lambda x: np.divide.at(x * 1.0, [0], x[1]), r"divide\.at"),
    ("option", lambda x: np.pad(x, 1, mode="linear_ramp"), r"numpy\.pad.*linear_ramp"),
    ("primitive without rule", cr.primitive("tests.no_rule", lambda x: x * 2.0), r"tests\.no_rule.*custom_jvp"),
]


@pytest.mark.parametrize(("f", "message"), [row[1:] for row in UNSUPPORTED], ids=[row[0] for row in UNSUPPORTED])
def test_unsupported_functions_raise_by_name(f: Any, message: str) -> None:
    for run in (
        lambda: cr.grad(lambda x: np.sum(f(x)))(X),
        lambda: cr.jvp(f, (X,), (X,)),
        lambda: cr.jacrev(f)(X),
    ):
        with pytest.raises(UnsupportedError, match=message):
            run()


def test_no_option_is_silently_ignored() -> None:
    for call in (
        lambda x: np.sin(x, casting="unsafe"),
        lambda x: np.sin(x, order="F"),
        lambda x: np.sin(x, subok=False),
        lambda x: np.sum(x, axis=5),
        lambda x: np.sort(x, order="a"),
        lambda x: np.mean(x, nothing=1),
        lambda x: np.linalg.norm(x, "nonsense"),
    ):
        with pytest.raises(Exception):  # noqa: B017, PT011  (NumPy's own exceptions or ours, never an answer)
            cr.grad(lambda x, call=call: np.sum(call(x)))(X)


# -- what mutates ---------------------------------------------------------------------------------------


def test_an_array_mutated_after_the_evaluation_does_not_reach_the_sweep() -> None:
    x, c = X.copy(), np.array([1.0, 2.0, 3.0])
    _, pullback = cr.vjp(lambda x: np.sin(x) * c, x)
    x[:], c[:] = 7.0, 8.0
    np.testing.assert_allclose(pullback(ONES)[0], np.cos(X) * [1.0, 2.0, 3.0])
    _, pushforward = cr.linearize(lambda x: np.sin(x) * c, X)
    c[:] = 9.0
    np.testing.assert_allclose(pushforward(ONES), np.cos(X) * 8.0)


def test_a_captured_array_mutated_between_two_uses() -> None:
    c = np.array([1.0, 2.0, 3.0])

    def f(x: Any) -> Any:
        c[:] = [1.0, 2.0, 3.0]
        a = x * c
        c[1] = 5.0
        b = x @ c
        c[:] = 0.0
        return np.sum(a) + b

    np.testing.assert_allclose(cr.grad(f)(X), [2.0, 7.0, 6.0])
    np.testing.assert_allclose(cr.jvp(f, (X,), (ONES,))[1], 15.0)


def test_functions_that_write_their_arguments_leave_the_callers_arrays_alone() -> None:
    def f(x: Any, y: Any) -> Any:
        x *= 2.0
        y *= 3.0
        return np.sum(x * y)

    for run in (
        lambda x, y: cr.grad(f)(x, y),
        lambda x, y: cr.grad(f, (0, 1))(x, y),
        lambda x, y: cr.jvp(f, (x, y), (ONES, ONES)),
        lambda x, y: cr.vjp(f, x, y)[1](1.0),
        lambda x, y: cr.jacfwd(f)(x, y),
        lambda x, y: cr.linearize(f, x, y),
        lambda x, y: cr.hessian(f)(x, y),
    ):
        x, y = X.copy(), np.array([1.0, 2.0, 3.0])
        run(x, y)
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y, [1.0, 2.0, 3.0])
    np.testing.assert_allclose(cr.grad(f, (0, 1))(X.copy(), ONES.copy()), (6 * ONES, 6 * X))


def test_arguments_that_share_memory_and_are_written() -> None:
    def f(x: Any, y: Any) -> Any:
        x *= 2.0
        return np.sum(x * y)

    x = X.copy()
    for run in (lambda: cr.grad(f, (0, 1))(x, x), lambda: cr.jvp(f, (x, x[::-1]), (x, x)), lambda: cr.grad(f)(x, x)):
        with pytest.raises(AliasError):
            run()
    np.testing.assert_allclose(cr.grad(lambda x, y: np.sum(x * y), (0, 1))(x, x), (X, X))


def test_writing_traced_values_into_plain_arrays() -> None:
    def f(x: Any) -> Any:
        y = np.zeros(3)
        y[0] = x[0]
        return np.sum(y)

    def g(x: Any) -> Any:
        y = np.zeros_like(x)
        y[0] = x[0] ** 2
        return np.sum(y)

    def h(x: Any) -> Any:
        y = cr.numpy.zeros(3)
        y[0] = x[0] ** 2
        return np.sum(y)

    with pytest.raises(LostDerivativeError):
        cr.grad(f)(X)
    for right in (g, h):
        np.testing.assert_allclose(cr.grad(right)(X), [1.0, 0.0, 0.0])


# -- NaN in, empty in -----------------------------------------------------------------------------------


def test_nan_goes_through_as_nan() -> None:
    x = np.array([np.nan, 1.0])
    np.testing.assert_array_equal(cr.grad(total)(x), [np.nan, 2.0])
    np.testing.assert_array_equal(cr.jvp(square, (x,), (np.ones(2),))[1], [np.nan, 2.0])
    np.testing.assert_array_equal(cr.jacrev(square)(x), [[np.nan, 0.0], [0.0, 2.0]])
    np.testing.assert_array_equal(cr.jacfwd(square)(x), [[np.nan, 0.0], [0.0, 2.0]])
    assert np.isnan(cr.grad(lambda x: x * x * x)(np.nan))
    # a function that leaves NaN out leaves its derivative out
    np.testing.assert_array_equal(cr.grad(np.nansum)(x), [0.0, 1.0])
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(x[~np.isnan(x)] ** 2))(x), [0.0, 2.0])
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(np.where(np.isnan(x), 0.0, x**2)))(x), [0.0, 2.0])


def test_infinity_goes_through() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(cr.grad(total)(np.array([np.inf, 1.0])), [np.inf, 2.0])
        np.testing.assert_array_equal(cr.grad(lambda x: np.sum(np.exp(-x)))(np.array([np.inf])), [0.0])


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_empty_arrays(shape: tuple[int, ...]) -> None:
    x = np.zeros(shape)
    assert cr.grad(total)(x).shape == shape
    assert cr.value_and_grad(total)(x)[0] == 0
    assert cr.jvp(square, (x,), (x,))[1].shape == shape
    assert cr.vjp(square, x)[1](x)[0].shape == shape
    assert cr.jacfwd(square)(x).shape == shape + shape
    assert cr.jacrev(square)(x).shape == shape + shape
    assert cr.jacobian(square)(x).shape == shape + shape
    assert cr.hessian(total)(x).shape == shape + shape
    assert cr.linearize(square, x)[1](x).shape == shape
    assert cr.grad(lambda x: np.prod(x))(x).shape == shape
    assert cr.grad(lambda x: np.sum(np.concatenate([x, x])))(x).shape == shape
    assert cr.grad(lambda x: np.sum(np.sort(x, axis=None)))(x).shape == shape


def test_reductions_of_nothing_raise_as_numpy_does() -> None:
    for f in (np.max, np.min, np.argmax):
        with pytest.raises(ValueError, match=r"zero-size|empty"):
            cr.grad(f)(np.zeros(0))


def test_empty_containers() -> None:
    assert cr.grad(lambda x: 1.0)(()) == ()
    assert cr.grad(lambda x: 1.0)({}) == {}
    assert cr.vmap(square)(np.zeros((0, 3))).shape == (0, 3)


# -- dtypes and kinds of arrays -------------------------------------------------------------------------

ARRAYS: list[tuple[str, Any]] = [
    ("strided", np.arange(1.0, 13.0).reshape(3, 4)[::-1, ::2]),
    ("Fortran order", np.asfortranarray(np.arange(1.0, 7.0).reshape(2, 3))),
    ("read-only", np.broadcast_to(np.array([1.0, 2.0]), (3, 2))),
    ("0-d", np.array(2.0)),
    ("0-d integer", np.array(2)),
    ("float32", np.array([1.0, 2.0], np.float32)),
    ("float16", np.array([1.0, 2.0], np.float16)),
    ("longdouble", np.array([1.0, 2.0], np.longdouble)),
    ("big-endian", np.array([1.0, 2.0], ">f8")),
    ("big-endian, single", np.array([1.0, 2.0], ">f4")),
    ("big-endian integers", np.array([1, 2], ">i4")),
    ("int8", np.array([1, 2], np.int8)),
    ("uint8", np.array([200, 100], np.uint8)),
    ("int64", np.array([[1, 2], [3, 4]])),
    ("NumPy number", np.float64(2.0)),
    ("single NumPy number", np.float32(2.0)),
    ("NumPy integer", np.int64(2)),
    ("Python integer", 2),
    ("Python number", 2.0),
]


@pytest.mark.parametrize("x", [a for _, a in ARRAYS], ids=[name for name, _ in ARRAYS])
def test_every_kind_of_array_is_taken(x: Any) -> None:
    want = 3 * np.asarray(x, float) ** 2
    dtype = np.asarray(x).dtype
    dtype = dtype if dtype.kind == "f" else np.dtype(float)
    cube = lambda x: np.sum(x * x * x)
    gradient = cr.grad(cube)(x)
    np.testing.assert_allclose(np.asarray(gradient, float), want, rtol=1e-3 if dtype.itemsize < 4 else 1e-6)
    assert np.asarray(gradient).dtype == dtype
    assert np.shape(gradient) == np.shape(x)
    tangent = np.ones(np.shape(x)) if np.ndim(x) else 1.0
    np.testing.assert_allclose(
        float(cr.jvp(cube, (x,), (tangent,))[1]), np.sum(want), rtol=1e-2 if dtype.itemsize < 4 else 1e-5
    )
    if np.ndim(x):
        assert gradient.flags.writeable
        assert not np.shares_memory(gradient, x)


def test_integers_do_not_wrap_around_or_cut() -> None:
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(x * x))(np.array([200, 100], np.uint8)), [400.0, 200.0])
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(x * 0.5))(np.array([3, 5])), [0.5, 0.5])
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(x**-1))(np.array([2, 4])), [-0.25, -1 / 16])

    def buffer(x: Any) -> Any:
        y = np.zeros_like(x)  # of floats: x is traced as floats
        y[0] = x[1] * 0.5
        return np.sum(y)

    np.testing.assert_array_equal(cr.grad(buffer)(np.array([3, 5])), [0.0, 0.5])


def test_an_integer_cast_inside_cuts_the_derivative() -> None:
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(x.astype(int) * x))(np.array([1.5, 2.5])), [1.0, 2.0])


def test_a_memory_map_is_an_array(tmp_path: Any) -> None:
    x = np.memmap(tmp_path / "x", float, "w+", shape=(3,))
    x[:] = X
    gradient = cr.grad(total)(x)
    assert type(gradient) is np.ndarray
    np.testing.assert_allclose(gradient, 2 * X)

    def f(y: Any) -> Any:
        product = y * x
        x[:] = 0.0
        return np.sum(product)

    np.testing.assert_allclose(cr.grad(f)(np.ones(3)), X)
