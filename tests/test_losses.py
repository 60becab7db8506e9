"""P5: what would lose a derivative raises chainrule's own exception, which names the user's file and line.

The exception is no `TypeError`, `ValueError` or `AttributeError`: NumPy and ``except TypeError:`` swallow those.
"""

from __future__ import annotations

import array
import cmath
import collections
import copy
import fractions
import functools
import io
import math
import pickle
import random
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.sparse
import scipy.special

import chainrule as cr
from chainrule.errors import (
    AliasError,
    ArgumentError,
    ChainruleError,
    LeakedTracerError,
    LostDerivativeError,
    UnsupportedError,
)

X = np.array([0.3, 1.2, 2.5])
PLAIN = np.array([1.0, 2.0, 3.0])


@numba.njit
def compiled(x: Any) -> Any:
    return x * x


@numba.vectorize
def compiled_ufunc(x: Any) -> Any:
    return x * x


@functools.lru_cache
def cached(x: Any) -> Any:
    return x * x


def plain_item(x: Any) -> Any:
    y = np.zeros(3)
    y[0] = x[0]
    return y


def plain_item_in_place(x: Any) -> Any:
    y = np.zeros(3)
    y[0] += x[0]
    return y


def plain_slice(x: Any) -> Any:
    y = np.zeros(3)
    y[:] = x
    return y


def plain_mask(x: Any) -> Any:
    y = np.zeros(3)
    y[x > 1] = x[x > 1]
    return y


def plain_in_place(x: Any) -> Any:
    y = PLAIN.copy()
    y += x
    return y


def plain_out(x: Any) -> Any:
    return np.sin(x, out=np.zeros(3))


def plain_out_of_a_function(x: Any) -> Any:
    return np.sum(x, out=np.zeros(()))


def plain_fill(x: Any) -> Any:
    y = np.zeros(3)
    y.fill(x[0])
    return y


def plain_add_at(x: Any) -> Any:
    y = np.zeros(3)
    np.add.at(y, [0, 0], x[:2])
    return y


def integer_buffer(x: Any) -> Any:
    y = cr.numpy.zeros(3, dtype=int)
    y[0] = x[0]
    return y


def real_buffer_of_a_complex_value(x: Any) -> Any:
    y = np.zeros_like(x)
    y[0] = x[0] * 1j
    return y


def outer_buffer_from_inside(x: Any) -> Any:
    y = x * 1.0

    def inner(t: Any) -> Any:
        y[0] = t
        return t

    cr.grad(inner)(1.0)
    return y


def plain_view_of_a_buffer(x: Any) -> Any:
    y = cr.numpy.zeros(3)
    view = np.asarray(y)
    y[0] = x[0]
    return view + y


def objects(x: Any) -> Any:
    y = np.empty(3, object)
    y[:] = [x[0], x[1], 1.0]
    return y


# (what, function of an array of three, exception)
LOSSES: list[tuple[str, Callable[..., Any], type[ChainruleError]]] = [
    # numbers
    ("float", lambda x: float(x[0]), LostDerivativeError),
    ("float of an array", lambda x: float(x[:1]), LostDerivativeError),
    ("int", lambda x: int(x[0]), LostDerivativeError),
    ("complex", lambda x: complex(x[0]), LostDerivativeError),
    ("complex of two", lambda x: complex(x[0], x[1]), LostDerivativeError),
    ("item", lambda x: x.item(0), LostDerivativeError),
    ("tolist", lambda x: x.tolist(), LostDerivativeError),
    ("tobytes", lambda x: x.tobytes(), LostDerivativeError),
    ("np.float64", lambda x: np.float64(x[0]), LostDerivativeError),
    ("range", lambda x: list(range(x[0])), LostDerivativeError),
    ("index", lambda x: [1, 2, 3][x[0]], LostDerivativeError),
    ("index of an array", lambda x: PLAIN[x[0]], LostDerivativeError),
    ("length", lambda x: np.zeros(x[0]), LostDerivativeError),
    ("slice", lambda x: PLAIN[: x[0]], LostDerivativeError),
    ("traced index", lambda x: x[x[0]], LostDerivativeError),
    # the standard library
    ("math.sin", lambda x: math.sin(x[0]), LostDerivativeError),
    ("math.fsum", lambda x: math.fsum(x), LostDerivativeError),
    ("math.floor", lambda x: math.floor(x[0]), LostDerivativeError),
    ("math.ceil", lambda x: math.ceil(x[0]), LostDerivativeError),
    ("math.trunc", lambda x: math.trunc(x[0]), LostDerivativeError),
    ("math.dist", lambda x: math.dist(x, PLAIN), LostDerivativeError),
    ("math.isnan", lambda x: math.isnan(x[0]), LostDerivativeError),
    ("cmath.exp", lambda x: cmath.exp(x[0]), LostDerivativeError),
    ("statistics.mean", lambda x: statistics.mean(x), LostDerivativeError),
    ("statistics.fmean", lambda x: statistics.fmean(x), LostDerivativeError),
    ("statistics.stdev", lambda x: statistics.stdev(x), LostDerivativeError),
    ("array.array", lambda x: array.array("d", x), LostDerivativeError),
    ("random.gauss", lambda x: random.Random(0).expovariate(float(x[0])), LostDerivativeError),
    ("pickle", lambda x: pickle.dumps(x), LostDerivativeError),
    # text
    ("float of str", lambda x: float(str(x[0])), LostDerivativeError),
    ("float of f-string", lambda x: float(f"{x[0]}"), LostDerivativeError),
    ("float of formatted text", lambda x: float(f"{x[0]:.3f}"), LostDerivativeError),
    ("int of text", lambda x: int(str(x[0])), LostDerivativeError),
    ("per cent f", lambda x: "%f" % x[0], LostDerivativeError),  # noqa: UP031
    ("savetxt", lambda x: np.savetxt(io.StringIO(), x), LostDerivativeError),
    # keys
    ("dictionary key", lambda x: {x[0]: 1}, LostDerivativeError),
    ("dictionary get", lambda x: {0.3: 1}.get(x[0]), LostDerivativeError),
    ("set", lambda x: {x[0]}, LostDerivativeError),
    ("in a set", lambda x: x[0] in {0.3}, LostDerivativeError),
    ("hash", lambda x: hash(x), LostDerivativeError),
    ("lru_cache", lambda x: cached(x[0]), LostDerivativeError),
    ("Counter", lambda x: collections.Counter(x), LostDerivativeError),
    # plain arrays
    ("np.array", lambda x: np.array(x), LostDerivativeError),
    ("np.asarray", lambda x: np.asarray(x), LostDerivativeError),
    ("np.ascontiguousarray", lambda x: np.ascontiguousarray(x), LostDerivativeError),
    ("np.array of a list", lambda x: np.array([x[0], 1.0]), LostDerivativeError),
    ("np.array of nested lists", lambda x: np.array([[x[0], 1.0], [2.0, x[1]]]), LostDerivativeError),
    ("np.array, dtype=float", lambda x: np.array([x[0], 1.0], dtype=float), LostDerivativeError),
    ("np.array, dtype=object", lambda x: np.array([x[0], 1.0], dtype=object), LostDerivativeError),
    ("np.fromiter", lambda x: np.fromiter(iter(x), float), LostDerivativeError),
    ("np.sum of a list", lambda x: np.sum([x[0], x[1]]), LostDerivativeError),
    ("np.full", lambda x: np.full(3, x[0]), LostDerivativeError),
    ("np.arange", lambda x: np.arange(0, x[2], 0.5), LostDerivativeError),
    ("np.vectorize", lambda x: np.vectorize(lambda t: t * t)(x), LostDerivativeError),
    ("np.nditer", lambda x: np.nditer(x), LostDerivativeError),
    ("np.random", lambda x: np.random.default_rng(0).normal(x), LostDerivativeError),
    ("random permutation", lambda x: np.random.default_rng(0).permutation(x), LostDerivativeError),
    ("astype(object)", lambda x: x.astype(object), LostDerivativeError),
    ("complex to real", lambda x: (x * 1j).astype(float), LostDerivativeError),
    ("masked_array", lambda x: np.ma.array(x, mask=[0, 1, 0]), LostDerivativeError),
    ("np.ma.sum", lambda x: np.ma.sum(x), LostDerivativeError),
    ("array of objects, filled", objects, LostDerivativeError),
    # writes
    ("plain[i] = traced", plain_item, LostDerivativeError),
    ("plain[i] += traced", plain_item_in_place, LostDerivativeError),
    ("plain[:] = traced", plain_slice, LostDerivativeError),
    ("plain[mask] = traced", plain_mask, LostDerivativeError),
    ("plain += traced", plain_in_place, LostDerivativeError),
    ("out=plain", plain_out, LostDerivativeError),
    ("out=plain of a function", plain_out_of_a_function, LostDerivativeError),
    ("plain.fill", plain_fill, LostDerivativeError),
    ("plain.put", lambda x: PLAIN.copy().put([0], x[0]), LostDerivativeError),
    ("np.copyto", lambda x: np.copyto(np.zeros(3), x), LostDerivativeError),
    ("np.put", lambda x: np.put(np.zeros(3), [0], x[0]), LostDerivativeError),
    ("np.place", lambda x: np.place(np.zeros(3), np.ones(3, bool), x), LostDerivativeError),
    ("np.putmask", lambda x: np.putmask(np.zeros(3), np.ones(3, bool), x), LostDerivativeError),
    ("np.fill_diagonal", lambda x: np.fill_diagonal(np.zeros((3, 3)), x), LostDerivativeError),
    ("np.put_along_axis", lambda x: np.put_along_axis(np.zeros(3), np.array([0]), x[:1], 0), LostDerivativeError),
    ("np.add.at", plain_add_at, LostDerivativeError),
    ("integer buffer", integer_buffer, LostDerivativeError),
    ("complex into real", real_buffer_of_a_complex_value, LostDerivativeError),
    ("inner value into an outer array", outer_buffer_from_inside, LostDerivativeError),
    ("plain view of a buffer", plain_view_of_a_buffer, LostDerivativeError),
    # other people's functions and arrays
    ("np.frompyfunc", lambda x: np.frompyfunc(lambda t: t * t, 1, 1)(x), UnsupportedError),
    ("an unsupported function", lambda x: np.roots(x), UnsupportedError),
    ("an unsupported ufunc method", lambda x: np.multiply.at(x * 1, [0], x[1]), UnsupportedError),
    ("a ufunc without rule", lambda x: scipy.special.binom(5.0, x), UnsupportedError),
    ("view of the memory", lambda x: x.view(np.int64), UnsupportedError),
    ("an absent method", lambda x: x.byteswap(), UnsupportedError),
    ("assignment to the shape", lambda x: setattr(x, "shape", (3, 1)), UnsupportedError),
    ("njit, scalar", lambda x: compiled(x[0]), LostDerivativeError),
    ("njit, array", lambda x: compiled(x), LostDerivativeError),
    ("numba.vectorize", lambda x: compiled_ufunc(x), UnsupportedError),
    ("scipy.linalg", lambda x: scipy.linalg.norm(x), LostDerivativeError),
    ("scipy.special in Python", lambda x: scipy.special.logsumexp(x), LostDerivativeError),
    ("sparse @ traced", lambda x: scipy.sparse.eye_array(3) @ x, LostDerivativeError),
    ("traced * sparse", lambda x: x[0] * scipy.sparse.eye_array(3), UnsupportedError),
    ("traced * masked", lambda x: x * np.ma.array(PLAIN, mask=[0, 1, 0]), UnsupportedError),
    ("traced + np.matrix", lambda x: np.matrix(PLAIN) + x, UnsupportedError),
    ("traced * objects", lambda x: x * np.array([1.0, 2.0, 3.0], object), UnsupportedError),
    ("objects * traced", lambda x: np.array([1.0, 2.0, 3.0], object) * x, UnsupportedError),
    ("where with objects", lambda x: np.where(x > 1, x, np.array([1.0, 2, 3], object)), UnsupportedError),
    ("concatenate with masked", lambda x: np.concatenate([x, np.ma.array(PLAIN)]), UnsupportedError),
]

_IDS = [what for what, _, _ in LOSSES]

MODES: dict[str, Callable[[Callable[..., Any]], Any]] = {
    "grad": lambda f: cr.grad(f)(X.copy()),
    "vjp": lambda f: cr.vjp(f, X.copy()),
    "jvp": lambda f: cr.jvp(f, (X.copy(),), (np.ones(3),)),
    "jacfwd": lambda f: cr.jacfwd(f)(X.copy()),
    "jacrev": lambda f: cr.jacrev(f)(X.copy()),
    "linearize": lambda f: cr.linearize(f, X.copy()),
    "forward over reverse": lambda f: cr.jvp(cr.grad(f), (X.copy(),), (np.ones(3),)),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("f", "kind"), [row[1:] for row in LOSSES], ids=_IDS)
def test_what_would_lose_the_derivative_raises(f: Any, kind: Any, mode: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(kind) as caught:
            MODES[mode](f)
    assert not isinstance(caught.value, (TypeError, ValueError, AttributeError))


@pytest.mark.parametrize(("f", "kind"), [row[1:] for row in LOSSES], ids=_IDS)
def test_the_message_names_the_users_line(f: Any, kind: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(kind) as caught:
            cr.grad(f)(X.copy())
    assert "test_losses.py:" in str(caught.value)


@pytest.mark.parametrize("kind", [LostDerivativeError, UnsupportedError, LeakedTracerError, ArgumentError, AliasError])
def test_own_exceptions_are_not_swallowed(kind: type[Exception]) -> None:
    assert issubclass(kind, ChainruleError)
    assert not issubclass(kind, (TypeError, ValueError, AttributeError, ArithmeticError, LookupError))


def test_a_users_handlers_do_not_swallow_it() -> None:
    def f(x: Any) -> Any:
        try:
            return float(x) * 2
        except (TypeError, ValueError, AttributeError):
            return 0.0

    with pytest.raises(LostDerivativeError, match=r"float\(x\)"):
        cr.grad(f)(1.0)


def test_the_message_says_what_to_write_instead() -> None:
    with pytest.raises(LostDerivativeError, match=r"np\.sin, not math\.sin") as caught:
        cr.grad(lambda x: math.sin(x))(1.0)
    assert "math.sin(x)" in str(caught.value)  # the source of the line
    with pytest.raises(LostDerivativeError, match=r"chainrule\.numpy\.array"):
        cr.grad(lambda x: np.sum(np.array([x, 1.0])))(1.0)
    with pytest.raises(LostDerivativeError, match="chainrule"):
        cr.grad(plain_item)(X)
    with pytest.raises(UnsupportedError, match=r"numpy\.roots"):
        cr.grad(lambda x: np.sum(np.roots(x)))(X)


def test_leaked_values_raise_when_they_are_used() -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(x * 2)
        return np.sum(x)

    for transform in (
        lambda: cr.grad(f)(X),
        lambda: cr.jvp(f, (X,), (X,)),
        lambda: cr.vjp(f, X),
        lambda: cr.jacfwd(f)(X),
        lambda: cr.vmap(f)(np.stack([X, X])),
    ):
        kept.clear()
        transform()
        leaked = kept[0]
        for use in (
            lambda leaked=leaked: leaked * 2,
            lambda leaked=leaked: np.sum(leaked),
            lambda leaked=leaked: leaked[0] + 1,
            lambda leaked=leaked: cr.grad(lambda y: np.sum(y * leaked))(X),
            lambda leaked=leaked: cr.grad(lambda y: np.sum(leaked))(X),
            lambda leaked=leaked: cr.vjp(lambda y: (y, leaked), X),
            lambda leaked=leaked: cr.jvp(lambda y: leaked, (X,), (X,)),
        ):
            with pytest.raises(LeakedTracerError):
                use()


def test_an_inner_value_does_not_reach_the_outer_result() -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        def g(y: Any) -> Any:
            kept.append(y * x)
            return y * x

        return cr.grad(g)(x) + kept[-1]

    with pytest.raises(LeakedTracerError):
        cr.grad(f)(2.0)
    with pytest.raises(LeakedTracerError):
        cr.jvp(f, (2.0,), (1.0,))


class Box:
    def __init__(self, content: Any) -> None:
        self.content = content


@pytest.mark.parametrize(
    "f",
    [
        lambda x: Box(x),
        lambda x: {x[0]: 1} if False else {1.0},
        lambda x: (t for t in x),
        lambda x: map(abs, x),
        lambda x: [x, Box(x)],
        lambda x: fractions.Fraction(1, 2),
    ],
)
@pytest.mark.parametrize("mode", ["vjp", "jvp", "jacfwd", "jacrev", "linearize"])
def test_results_that_may_hide_traced_values_raise(f: Any, mode: str) -> None:
    with pytest.raises(ArgumentError, match=r"returns|container"):
        MODES[mode](f)


def test_results_that_are_arrays_of_objects_raise() -> None:
    def f(x: Any) -> Any:
        y = np.empty(2, object)
        y[0], y[1] = x[0], x[1]
        return y

    for mode in ("vjp", "jvp", "jacfwd", "jacrev", "linearize"):
        with pytest.raises(LostDerivativeError, match="objects"):
            MODES[mode](f)


def test_what_loses_nothing_is_allowed() -> None:
    """Looking, printing and deciding do not lose a derivative."""

    def f(x: Any) -> Any:
        print(x, f"{x[0]:.3f}", repr(x), file=io.StringIO())
        assert x.shape == (3,)
        assert len(x) == 3
        assert x.dtype == np.float64
        if x[0] > 0 and bool(np.all(x > 0)) and x[0] in [0.3, 1.0] and x[0] != "auto" and x[0] is not None:
            order = np.argsort(x)
            steps = round(x[2])
            return np.sum(copy.copy(x)[order] * copy.deepcopy(x)) * steps * isinstance(steps, int)
        return 0.0

    np.testing.assert_allclose(cr.grad(f)(X), 2 * X * round(X[2]))
    np.testing.assert_allclose(cr.jvp(f, (X,), (np.ones(3),))[1], np.sum(2 * X) * round(X[2]))


def test_batched_values_fall_back_to_rows() -> None:
    """What needs one plain value makes `vmap` run row by row; its answer is that of the rows."""
    rows = np.stack([X, X + 1])
    for f in (
        lambda x: math.sin(x[0]),
        lambda x: float(x[0]) * x,
        lambda x: np.asarray(x) * 2,
        lambda x: x if x[0] > 1 else -x,
        lambda x: x[np.argmax(x)],
        lambda x: x[x > 2][0],
        plain_item,
        plain_slice,
        lambda x: np.array([x[0], 1.0]),
        lambda x: compiled_ufunc(np.asarray(x)),
    ):
        np.testing.assert_array_equal(cr.vmap(f)(rows), np.stack([f(row) for row in rows]))
    with pytest.raises(LostDerivativeError, match="float"):
        cr.grad(lambda r: np.sum(cr.vmap(lambda x: math.sin(x[0]))(r)))(rows)


def test_repr_is_plain_text_that_is_no_number():
    # Tools that send failure reports to other processes can send only plain strings.
    def f(x):
        assert type(repr(x)) is str
        with pytest.raises(ValueError, match="could not convert"):
            float(repr(x))
        return x

    assert cr.grad(f)(2.0) == 1.0
