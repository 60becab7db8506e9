"""Selection, diagonals, padding and writing functions: NumPy's results and exact derivatives."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import LostDerivativeError, UnsupportedError
from tests.helpers import check

rng = np.random.default_rng(3)
A, B, V, W, S = rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.normal(size=5), rng.normal(size=5), 0.7
D = rng.normal(size=(2, 3, 4))
MASK = np.array([True, False, True, True, False])
Z = rng.normal(size=3) + 1j * rng.normal(size=3)


def sides(x):
    return np.select([x > 0.5, x > 0], [x**2, np.sin(x)], default=3.0)


CASES = {
    "where": (lambda x, y: np.where(x > 0, x, y), A, B),
    "where broadcast": (lambda x, y: np.where(A > 0, x, y), A[0], S),
    "where constant": (lambda x: np.where(x > 0, x, 0), A),
    "where traced condition": (lambda x: np.where(x, x, 2.0), A),
    "where list": (lambda x: np.where([True, False, True, False], x, [1, 2, 3, 4]), A),
    "where number": (lambda x: np.where(x > 0, x, -x), S),
    "where indices": (lambda x: x[np.where(x > 0)], V),
    "nonzero": (lambda x: x[np.nonzero(x > 0)], A),
    "select": (sides, V),
    "select no default": (lambda x, y: np.select([MASK, ~MASK], [x, y]), V, W),
    "select arrays": (lambda x, y: np.select([x > 0], [y], x), A, B[0]),
    "choose": (lambda x, y: np.choose([0, 1, 1, 0, 2], [x, y, 3.0]), V, W),
    "choose broadcast": (lambda x, y: np.choose(np.array([[0], [1]]), [x, y]), V, S),
    "choose wrap": (lambda x, y: np.choose([0, 3, -1, 0, 2], [x, y], mode="wrap"), V, W),
    "choose clip": (lambda x, y: np.choose([0, 3, -1, 0, 2], [x, y], mode="clip"), V, W),
    "choose one": (lambda x: np.choose([0, 0], [x]), S),
    "piecewise": (lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda t: t**2, np.sin]), V),
    "piecewise otherwise": (lambda x: np.piecewise(x, [x < 0], [lambda t: -t, lambda t: t**3]), V),
    "piecewise constant": (lambda x: np.piecewise(x, [x < 0, x > 1], [2.0, lambda t: t, np.exp]), V),
    "piecewise argument": (lambda x: np.piecewise(x, [x < 0], [lambda t, k: k * t, lambda t, k: t], 3.0), V),
    "piecewise 2d": (lambda x: np.piecewise(x, [x < 0], [np.sin, np.cos]), A),
    "piecewise bare condition": (lambda x: np.piecewise(x, x < 0, [np.sin, np.cos]), V),
    "piecewise number": (lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda t: t**2, np.sin]), S),
    "compress": (lambda x: np.compress(MASK, x), V),
    "compress axis": (lambda x: np.compress([False, True, True], x, axis=1), A),
    "compress flat": (lambda x: np.compress([0, 1, 1, 0], x), A),
    "compress method": (lambda x: x.compress([0, 1, 1], axis=0), A),
    "extract": (lambda x: np.extract(x > 0, x), A),
    "take": (lambda x: np.take(x, [0, 2, 0]), V),
    "take number": (lambda x: np.take(x, 2), V),
    "take flat": (lambda x: np.take(x, [[0, 5], [-1, 5]]), A),
    "take axis": (lambda x: np.take(x, [1, 1, 0], axis=-1), A),
    "take row": (lambda x: np.take(x, 1, axis=0), A),
    "take grid": (lambda x: np.take(x, [[0, 1], [2, 0]], axis=1), D),
    "take wrap": (lambda x: np.take(x, [7, -6, 1], mode="wrap"), V),
    "take clip": (lambda x: np.take(x, [7, -6, 1], mode="clip"), V),
    "take nothing": (lambda x: np.take(x, np.zeros(0, int)), V),
    "take booleans": (lambda x: np.take(x, [True, False, True]), V),
    "take method": (lambda x: x.take([1, 0], axis=1), A),
    "take_along_axis": (lambda x: np.take_along_axis(x, np.argsort(A, axis=1), axis=1), A),
    "take_along_axis default": (lambda x: np.take_along_axis(x, np.array([[0], [1], [3]]), -1), A),
    "take_along_axis flat": (lambda x: np.take_along_axis(x, np.array([5, 5, 0]), None), A),
    "take_along_axis 3d": (lambda x: np.take_along_axis(x, np.array([[[2], [0]], [[1], [1]]]), 1), D),
    "trim_zeros": (lambda x: np.trim_zeros(np.pad(x, (1, 2))), V),
    "trim_zeros front": (lambda x: np.trim_zeros(np.pad(x, (1, 2)), "f"), V),
    "trim_zeros all": (lambda x: np.trim_zeros(x * np.zeros(5)), V),
    "diag_indices_from": (lambda x: x[np.diag_indices_from(x)], A[:, :3]),
    "tril_indices_from": (lambda x: x[np.tril_indices_from(x, -1)], A),
    "triu_indices_from": (lambda x: x[np.triu_indices_from(x)], A),
    "diag": (np.diag, A),
    "diag k": (lambda x: np.diag(x, 1), A),
    "diag -k": (lambda x: np.diag(x, -1), A),
    "diag of vector": (np.diag, V),
    "diag of vector k": (lambda x: np.diag(x, -2), V),
    "diagflat": (lambda x: np.diagflat(x, 1), A[:2, :2]),
    "diagonal": (np.diagonal, A),
    "diagonal axes": (lambda x: np.diagonal(x, 1, axis1=-1, axis2=0), D),
    "diagonal beyond": (lambda x: np.diagonal(x, 9), A),
    "diagonal method": (lambda x: x.diagonal(-1), A),
    "trace": (np.trace, A),
    "trace options": (lambda x: np.trace(x, offset=1, axis1=2, axis2=1), D),
    "trace method": (lambda x: x.trace(), A),
    "tril": (np.tril, A),
    "tril k": (lambda x: np.tril(x, -1), D),
    "triu": (np.triu, A),
    "triu k": (lambda x: np.triu(x, k=1), D),
    "tril of vector": (np.tril, V),
    "pad": (lambda x: np.pad(x, 2), V),
    "pad widths": (lambda x: np.pad(x, ((1, 0), (0, 2))), A),
    "pad pair": (lambda x: np.pad(x, (1, 2)), A),
    "pad dict": (lambda x: np.pad(x, {-1: (1, 2)}), A),
    "pad number": (lambda x: np.pad(x, 1, constant_values=2.5), A),
    "pad numbers": (lambda x: np.pad(x, 1, mode="constant", constant_values=((1, 2), (3, 4))), A),
    "pad traced": (lambda x, y: np.pad(x, 1, constant_values=y), A, S),
    "pad edge": (lambda x: np.pad(x, ((2, 1), (0, 3)), mode="edge"), A),
    "pad reflect": (lambda x: np.pad(x, (6, 5), mode="reflect"), V),
    "pad symmetric": (lambda x: np.pad(x, ((1, 2), (2, 6)), mode="symmetric"), A),
    "pad wrap": (lambda x: np.pad(x, (3, 7), mode="wrap"), V),
    "pad nothing": (lambda x: np.pad(x, 0, mode="edge"), V),
    "fill_diagonal": (lambda x, y: fill_diagonal(x, y), A, S),
    "fill_diagonal values": (lambda x, y: fill_diagonal(x, y), A, V),
    "fill_diagonal wrap": (lambda x, y: fill_diagonal(np.concatenate([x, x]), y, True), A, V),
    "put": (lambda x, y: put(x, [0, 7, -1], y), A, V),
    "put few": (lambda x, y: put(x, [0, 7, -1], y), A, W[:2]),
    "put clip": (lambda x, y: put(x, [0, 99, -99], y, mode="clip"), A, S),
    "put wrap": (lambda x, y: put(x, [1, 13], y, mode="wrap"), A, V),
    "put_along_axis": (lambda x, y: put_along(x, y, 1), A, A[:, :1]),
    "put_along_axis number": (lambda x, y: put_along(x, y, -1), A, S),
    "place": (lambda x, y: place(x, A > 0, y), A, W[:2]),
    "putmask": (lambda x, y: putmask(x, A > 0, y), A, W[:2]),
    "putmask full": (lambda x, y: putmask(x, A > 0, y), A, B),
    "copyto": (lambda x, y: copyto(x, y), A, B[0]),
    "copyto where": (lambda x, y: copyto(x, y, where=A > 0), A, B),
    "copyto where number": (lambda x, y: copyto(x, y, where=A[0] > 0), A, S),
    "apply_along_axis": (lambda x: np.apply_along_axis(lambda r: r * r[0], 1, x), A),
    "apply_along_axis to numbers": (lambda x: np.apply_along_axis(np.sum, 0, x), D),
    "apply_along_axis to more": (lambda x: np.apply_along_axis(lambda r: np.stack([r, r**2]), 1, x), D),
    "apply_over_axes": (lambda x: np.apply_over_axes(np.sum, x, [0, 2]), D),
    "real": (np.real, Z),
    "imag": (np.imag, Z),
    "real of real": (np.real, V),
    "conj": (np.conj, Z),
    "angle": (np.angle, Z),
    "angle deg": (lambda z: np.angle(z, deg=True), Z),
    "real attribute": (lambda z: z.real + z.imag, Z),
    "real_if_close": (np.real_if_close, Z),
    "real_if_close of real": (lambda x: np.real_if_close(x + 0j), V),
}


def fill_diagonal(x, y, wrap=False):
    a = x * 1
    np.fill_diagonal(a, y, wrap)
    return a


def put(x, places, y, **options):
    a = x * 1
    np.put(a, places, y, **options)
    return a


def put_along(x, y, axis):
    a = x * 1
    np.put_along_axis(a, np.array([[0], [3], [1]]), y, axis)
    return a


def place(x, mask, y):
    a = x * 1
    np.place(a, mask, y)
    return a


def putmask(x, mask, y):
    a = x * 1
    np.putmask(a, mask, y)
    return a


def copyto(x, y, **options):
    a = x * 1
    np.copyto(a, y, **options)
    return a


@pytest.mark.parametrize("name", CASES)
def test_value_and_derivatives(name):
    function, *args = CASES[name]
    check(function, *args)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda x: np.where(x > 0, x), ValueError),
        (lambda x: np.select([x > 0], []), ValueError),
        (lambda x: np.choose([0, 2], [x[0, :2], x[1, :2]]), ValueError),
        (lambda x: np.take(x, 12), IndexError),
        (lambda x: np.take(x, 0, axis=2), np.exceptions.AxisError),
        (lambda x: np.compress([[True]], x), ValueError),
        (lambda x: np.take_along_axis(x, np.zeros(2, int), 1), ValueError),
        (lambda x: np.diagonal(x[0]), ValueError),
        (lambda x: np.diagonal(x, axis1=1, axis2=1), ValueError),
        (lambda x: np.diag(x[None]), ValueError),
        (lambda x: np.pad(x, -1), ValueError),
        (lambda x: np.pad(x, 1, mode="edge", constant_values=1), ValueError),
        (lambda x: np.pad(x, 0.5), TypeError),
        (lambda x: np.piecewise(x, [x > 0], [1, 2, 3]), ValueError),
        (lambda x: put(x, [12], 1.0), IndexError),
        (lambda x: np.fill_diagonal(x[0], 1.0), ValueError),
        (lambda x: copyto(x, np.ones(4, complex)), TypeError),
        (lambda x: place(x, A > 0, []), ValueError),
    ],
)
def test_wrong_arguments_raise_as_in_numpy(function, error):
    with pytest.raises(error):
        function(A.copy())
    with pytest.raises(error):
        cr.vjp(function, A)


@pytest.mark.parametrize("mode", ["mean", "maximum", "linear_ramp", "median", "minimum", "empty", lambda *a: None])
def test_unsupported_modes_of_pad_raise_by_name(mode):
    with pytest.raises(UnsupportedError, match=r"pad.*mode="):
        cr.vjp(lambda x: np.pad(x, 1, mode=mode), V)
    with pytest.raises(UnsupportedError, match="odd"):
        cr.vjp(lambda x: np.pad(x, 1, mode="reflect", reflect_type="odd"), V)


@pytest.mark.parametrize(
    "write",
    [
        lambda a, v: np.copyto(a, v),
        lambda a, v: np.fill_diagonal(a, v),
        lambda a, v: np.put(a, [0], v),
        lambda a, v: np.place(a, np.ones(a.shape, bool), v),
        lambda a, v: np.putmask(a, np.ones(a.shape, bool), v),
        lambda a, v: np.put_along_axis(a, np.zeros((3, 1), int), v, 1),
    ],
)
def test_traced_values_do_not_enter_plain_arrays(write):
    with pytest.raises(LostDerivativeError, match="test_selection"):
        cr.grad(lambda x: write(np.zeros((3, 4)), x))(S)


def test_traced_indices_raise():
    with pytest.raises(LostDerivativeError):
        cr.grad(lambda x: np.take(V, x))(1.0)
    with pytest.raises(LostDerivativeError):
        cr.grad(lambda x: np.sum(np.take(x, x)))(V)
    with pytest.raises(UnsupportedError, match="unravel_index"):
        cr.grad(lambda x: np.unravel_index(x, (2, 3))[0])(1.0)


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)), [0.0, 0.25]),
        (lambda x: np.sum(np.select([x > 0], [np.sqrt(x)])), [0.0, 0.25]),
        (lambda x: np.sum(np.choose(np.array([1, 0]), [np.sqrt(x), x])), [1.0, 0.25]),
        (lambda x: np.sum(np.piecewise(x, [x > 0], [np.sqrt, 0.0])), [0.0, 0.25]),
        (lambda x: np.sum(np.compress([False, True], np.sqrt(x))), [0.0, 0.25]),
        (lambda x: np.sum(np.extract(x > 0, np.sqrt(x))), [0.0, 0.25]),
        (lambda x: np.take(np.sqrt(x), 1), [0.0, 0.25]),
        (lambda x: np.take_along_axis(np.sqrt(x), np.array([1]), 0)[0], [0.0, 0.25]),
        (lambda x: np.triu(np.sqrt(np.stack([x, x])), 1)[0, 1], [0.0, 0.25]),
        (lambda x: np.trace(np.stack([x[::-1], np.sqrt(x)])), [0.0, 1.25]),
        (lambda x: np.sum(copyto(np.sqrt(x), 0.0, where=np.array([True, False]))), [0.0, 0.25]),
        (lambda x: np.sum(put(np.sqrt(x), [0], 2.0)), [0.0, 0.25]),
    ],
)
def test_what_is_not_chosen_is_a_structural_zero(f, expected):
    x = np.array([0.0, 4.0])
    np.testing.assert_array_equal(cr.grad(f)(x), expected)
    np.testing.assert_array_equal(cr.jvp(f, (x,), (np.array([1.0, 0.0]),))[1], expected[0])
    np.testing.assert_array_equal(cr.jacfwd(f)(x), expected)


def test_a_write_keeps_numpys_dtype():
    y = cr.jvp(lambda x: np.piecewise(x, [x > 0], [1, 2.5]), (V.astype(np.float32),), (V.astype(np.float32),))
    assert y[0].dtype == np.float32
    y, pullback = cr.vjp(lambda x: np.where(x > 0, x, 0.0), V.astype(np.float32))
    assert y.dtype == pullback(y)[0].dtype == np.float32
