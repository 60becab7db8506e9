"""chainrule.numpy: NumPy's names, and nested lists of traced values wherever NumPy takes lists of numbers."""

import types

import numpy as np
import pytest

import chainrule as cr
import chainrule.numpy as cnp
from chainrule.errors import LostDerivativeError, UnsupportedError
from tests.helpers import assert_close, check

rng = np.random.default_rng(5)
X, Y, V, M = 0.7, -1.3, rng.normal(size=3), rng.normal(size=(2, 3))


def either(x):
    """NumPy for plain arguments, so that plain NumPy is the referee."""
    plain = isinstance(x, (float, np.ndarray, np.generic))
    return np if plain else cnp


# Programs of numbers x, y or arrays v, w and a namespace.
LISTS = {
    "array": lambda n, x, y: n.array([x, y, 1.0, 2]),
    "array nested": lambda n, x, y: n.array([[x, 1], [y * x, x], (0.5, y)]),
    "array deep": lambda n, x, y: n.array([[[x], [y]], [[1.0], [x]]]),
    "array of one": lambda n, x, y: n.array([x]) * y,
    "array of a number": lambda n, x, y: n.array(x) * y,
    "array of results": lambda n, x, y: n.array([n.sin(x) * k for k in range(4)]) * y,
    "array ndmin": lambda n, x, y: n.array([x, y], ndmin=3),
    "array order": lambda n, x, y: n.array([[x, y], [y, y]], order="F"),
    "asarray": lambda n, x, y: n.asarray([x, y]),
    "asanyarray": lambda n, x, y: n.asanyarray([[x, y]]),
    "ascontiguousarray": lambda n, x, y: n.ascontiguousarray([x, y]),
    "asfortranarray": lambda n, x, y: n.asfortranarray([[x, y], [1.0, x]]),
    "asarray_chkfinite": lambda n, x, y: n.asarray_chkfinite([x, y]),
    "r_": lambda n, x, y: n.r_[x, 1:3, [y, x], np.ones(2)],
    "r_ range": lambda n, x, y: n.r_[x:y:4j, 1.0],
    "select": lambda n, x, y: n.select([[True, False]], [[x, y]], [y, 2.0]),
    "vstack": lambda n, x, y: n.vstack(([x, y], [y, 1.0])),
    "c_": lambda n, x, y: n.c_[[x, y], np.ones(2), [1, 2]],
    "append": lambda n, x, y: n.append([x, 1.0], [y]),
    "concatenate": lambda n, x, y: n.concatenate([[x, y], [1.0], [y]]),
    "stack": lambda n, x, y: n.stack([[x, y], [y, 2.0]], axis=1),
    "block": lambda n, x, y: n.block([[n.array([x]), n.array([y])]]),
    "where": lambda n, x, y: n.where([True, False], [x, y], [y, 2.0]),
    "sin": lambda n, x, y: n.sin([x, y]),
    "add": lambda n, x, y: n.add([x, y], [1.0, x]),
    "multiply.outer": lambda n, x, y: n.multiply.outer([x, y], [x, 2.0, y]),
    "sum": lambda n, x, y: n.sum([x, y, x]),
    "sum axis": lambda n, x, y: n.sum([[x, y], [y, 1.0]], axis=0),
    "mean": lambda n, x, y: n.mean([x, y]),
    "prod": lambda n, x, y: n.prod([x, y, x]),
    "max": lambda n, x, y: n.max([x, y, 0.1]),
    "min": lambda n, x, y: n.min([x, y]),
    "var": lambda n, x, y: n.var([x, y, 0.0]),
    "std": lambda n, x, y: n.std([x, y, 0.0]),
    "median": lambda n, x, y: n.median([x, y, 0.0]),
    "cumsum": lambda n, x, y: n.cumsum([x, y, x]),
    "dot": lambda n, x, y: n.dot([x, y], [y, 2.0]),
    "outer": lambda n, x, y: n.outer([x, y], [1.0, x]),
    "clip": lambda n, x, y: n.clip([x, y], -1.0, 0.5),
    "norm": lambda n, x, y: n.linalg.norm([x, y]),
    "det": lambda n, x, y: n.linalg.det([[x, y], [1.0, x]]),
    "solve": lambda n, x, y: n.linalg.solve([[x, y], [1.0, x]], [y, 1.0]),
    "reshape": lambda n, x, y: n.reshape([x, y, y, x], (2, 2)),
    "linspace": lambda n, x, y: n.linspace(x, y, 5),
    "linspace open": lambda n, x, y: n.linspace(x, y, 4, endpoint=False),
    "linspace one": lambda n, x, y: n.linspace(x, y, 1),
    "linspace none": lambda n, x, y: n.linspace(x, y, 0),
    "linspace lists": lambda n, x, y: n.linspace([x, 0.0], [y, x], 3, axis=1),
    "linspace step": lambda n, x, y: n.linspace(x, y, 5, retstep=True),
    "logspace": lambda n, x, y: n.logspace(x, y, 4, base=2.0),
    "geomspace": lambda n, x, y: n.geomspace(x, -y, 4),
    "full": lambda n, x, y: n.full((2, 2), x) * y,
    "full row": lambda n, x, y: n.full((2, 2), [x, y]),
    "full_like": lambda n, x, y: n.full_like(np.ones(3), x) * y,
    "fromiter": lambda n, x, y: n.fromiter((x * k + y for k in range(9)), float, 4),
    "fromfunction": lambda n, x, y: n.fromfunction(lambda i, j: x**i * y**j, (2, 3)),
    "vectorize": lambda n, x, y: n.vectorize(lambda a, b: a * b if a > b else a + b)([x, 1.0], [[y], [x]]),
    "eye": lambda n, x, y: n.eye(2) * x + n.identity(2) * y,
    "ravel": lambda n, x, y: n.ravel([[x], [y]]),
}

ARRAYS = {
    "array of rows": lambda n, v, w: n.array([v, w, [1.0, 2.0, 3.0]]),
    "array of an array": lambda n, v, w: n.array(v) * w,
    "array mixed": lambda n, v, w: n.array([v, [w[0], 1.0, v[2]], w**2]),
    "array nested rows": lambda n, v, w: n.array([[v, w], [w, v]]),
    "array of a scalar and views": lambda n, v, w: n.array([v[0], w[1], v[:1][0]]),
    "asarray of an array": lambda n, v, w: n.asarray(v) + w,
    "asfortranarray": lambda n, v, w: n.asfortranarray(n.outer(v, w)),
    "ascontiguousarray": lambda n, v, w: n.ascontiguousarray(n.outer(v, w).T),
    "r_": lambda n, v, w: n.r_[v, 0, w],
    "r_ rows": lambda n, v, w: n.r_[n.outer(v, w), n.ones((1, 3))],
    "c_": lambda n, v, w: n.c_[v, w, np.arange(3)],
    "mean of rows": lambda n, v, w: n.mean([v, w], axis=0),
    "max of rows": lambda n, v, w: n.max([v, w], axis=0),
    "vectorize": lambda n, v, w: n.vectorize(lambda a: a**2 if a > 0 else -a)(v) * w,
    "linspace": lambda n, v, w: n.linspace(v, w, 3, axis=-1),
    "logspace": lambda n, v, w: n.logspace(v, w, 3),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_traced_numbers(name):
    check(lambda x, y: LISTS[name](either(x), x, y), X, Y)


@pytest.mark.parametrize("name", ARRAYS)
def test_lists_of_traced_arrays(name):
    check(lambda v, w: ARRAYS[name](either(v), v, w), V, rng.normal(size=3))


@pytest.mark.parametrize("name", LISTS)
def test_plain_arguments_give_what_numpy_gives(name):
    have, want = LISTS[name](cnp, X, Y), LISTS[name](np, X, Y)
    have, want = (have, want) if isinstance(have, tuple) else ((have,), (want,))
    for a, b in zip(have, want, strict=True):
        np.testing.assert_array_equal(a, b)


def test_like_reaches_the_constructors():
    def f(v, n):
        a = n.array([v[0], v[1]], like=v) if n is cnp else np.array([v[0], v[1]])
        return np.sum(a**2)

    assert_close(cr.grad(lambda v: f(v, cnp))(V), [2 * V[0], 2 * V[1], 0.0])

    def g(v):
        y = np.zeros(3, like=v)
        y[1] = v[0] * v[2]
        z = np.asarray([v[0], 2.0], like=v)
        e = np.eye(2, like=v)
        e[0, 1] = v[1]
        return np.sum(y) + np.sum(z) * e[0, 1] + np.full(2, v[0], like=v)[0]

    assert_close(cr.grad(g)(V), [V[2] + V[1] + 1, V[0] + 2.0, V[0]])


def test_array_copies_and_asarray_does_not():
    def f(x):
        y = x * 1
        a, b = cnp.array(y), cnp.asarray(y)
        c = cnp.array(y, copy=False)
        y[0] = 5.0
        assert b is y
        assert c is y
        return np.sum(a**2)

    assert_close(cr.grad(f)(V), 2 * V)
    with pytest.raises(ValueError, match="copy"):
        cr.grad(lambda x: cnp.array([x, x], copy=False)[0])(1.0)


def test_dtypes():
    def dtype(make):
        return cr.jvp(lambda x: make(x), (np.float32(1.0),), (np.float32(1.0),))[0].dtype

    assert dtype(lambda x: cnp.array([x, x])) == np.float32
    assert dtype(lambda x: cnp.array([x, x], dtype=np.float64)) == np.float64
    assert dtype(lambda x: cnp.array([x, 1j])) == np.complex128
    assert dtype(lambda x: cnp.asarray(x * cnp.ones(2, np.float32), dtype=np.complex64)) == np.complex64
    assert dtype(lambda x: cnp.full(2, x)) == np.float32
    assert dtype(lambda x: cnp.full(2, x, dtype=float)) == np.float64
    with pytest.raises(LostDerivativeError):
        cr.grad(lambda x: cnp.array([x, x], dtype=object)[0])(1.0)
    with pytest.raises(LostDerivativeError):
        cr.grad(lambda x: cnp.linspace(0, x, 3, dtype=int)[0])(1.0)


@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda x: cnp.array([x, [x, x]]), ValueError),
        (lambda x: cnp.array([cnp.ones(2) * x, cnp.ones(3)]), ValueError),
        (lambda x: cnp.arange(x), LostDerivativeError),
        (lambda x: cnp.arange(0.0, 3.0, x), LostDerivativeError),
        (lambda x: cnp.frompyfunc(lambda a: a, 1, 1)(x), UnsupportedError),
        (lambda x: cnp.r_["0,2", [x]], UnsupportedError),
        (lambda x: cnp.r_[0:x:0.5], UnsupportedError),
        (lambda x: cnp.vectorize(lambda a, k: a, excluded={"k"})([x], k=2), UnsupportedError),
        (lambda x: cnp.vectorize(lambda a: (a, a))([x]), UnsupportedError),
        (lambda x: cnp.fromiter([x], float, 3), ValueError),
        (lambda x: cnp.geomspace(0.0, x), ValueError),
        (lambda x: cnp.linspace(0.0, x, -1), ValueError),
        (lambda x: cnp.histogram([x, x]), UnsupportedError),
        (lambda x: cnp.asarray_chkfinite([x, np.nan]), ValueError),
    ],
)
def test_refusals(f, error):
    with pytest.raises(error):
        cr.grad(f)(1.0)


def test_everything_numpy_has_is_here():
    for name in np.__all__:
        if name not in ("test", "row_stack", "in1d", "trapz"):
            assert hasattr(cnp, name), name
    assert cnp.pi == np.pi
    assert cnp.float32 is np.float32
    assert cnp.ndarray is np.ndarray
    assert cnp.newaxis is None
    assert cnp.random is np.random
    assert isinstance(cnp, types.ModuleType)
    assert {"sin", "zeros", "array"} <= set(dir(cnp))
    assert "solve" in dir(cnp.linalg)
    np.testing.assert_array_equal(cnp.fft.fft([1.0, 0.0]), [1, 1])
    np.testing.assert_array_equal(cnp.add.reduce([1, 2]), 3)
    np.testing.assert_array_equal(cnp.maximum.accumulate([1, 3, 2]), [1, 3, 3])
    assert cnp.add.identity == 0
    assert cnp.sin.__name__ == "sin"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cnp.nothing
    with pytest.raises(AttributeError):
        cnp.linalg.nothing


def test_it_is_the_array_namespace_of_traced_values():
    def f(x):
        xp = x.__array_namespace__()
        assert xp is cnp
        y = xp.zeros(3, dtype=x.dtype)
        y[:] = xp.astype(x, xp.float64)
        assert xp.isdtype(x.dtype, "real floating")
        return xp.sum(xp.matrix_transpose(xp.stack([y, xp.asarray(x)])) ** 2)

    assert_close(cr.grad(f)(V), 4 * V)


def test_scalars_are_scalars():
    def f(x):
        assert cnp.isscalar(x)
        assert not cnp.isscalar(cnp.array([x]))
        assert cnp.shape([x, x]) == (2,)
        assert cnp.ndim([[x]]) == 2
        assert cnp.size([[x, 1.0]]) == 2
        return x

    cr.grad(f)(1.0)
    assert cnp.isscalar(1.0)


def test_text_of_traced_arrays():
    def f(x):
        text = np.array2string(x, precision=2) + np.array_str(x) + np.array_repr(x)
        assert "array" in text
        with pytest.raises(LostDerivativeError):
            float(np.array2string(x[:1]))
        return np.sum(x)

    cr.grad(f)(V)


def test_questions_have_plain_answers():
    def f(x):
        assert np.isrealobj(x)
        assert not np.iscomplexobj(x)
        assert np.iscomplexobj(1j * x)
        assert np.all(np.isreal(x))
        assert not np.any(np.iscomplex(x))
        assert np.result_type(x, np.float32) == np.float64
        assert np.result_type(x[0].astype(np.float32), np.float32) == np.float32
        assert np.can_cast(x.dtype, np.float64)
        assert np.common_type(x, np.ones(2, np.float32)) == np.float64
        y = x * 1
        assert np.may_share_memory(y, y[1:])
        assert not np.shares_memory(y, x * 1)
        return np.sum(x)

    cr.grad(f)(V)
    cr.jvp(f, (V,), (V,))
    cr.hessian(f)(V)


def test_saving_traced_arrays_raises(tmp_path):
    for save in (np.save, np.savetxt):
        with pytest.raises(LostDerivativeError, match="save"):
            cr.grad(lambda x, save=save: save(tmp_path / "x", x))(V)
