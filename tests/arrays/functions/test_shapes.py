"""Reshapes, transpositions, flips, broadcasts and splits: NumPy's results and exact derivatives."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import UnsupportedError
from tests.helpers import check

rng = np.random.default_rng(1)
A, B, V = rng.normal(size=(2, 3)), rng.normal(size=(2, 3, 4)), rng.normal(size=6)
E, S = rng.normal(size=(0, 3)), 0.7
SPREAD = rng.normal(size=(3, 1))
F = np.asfortranarray(B)

CASES = {
    "reshape": (lambda x: np.reshape(x, (3, 2)), A),
    "reshape -1": (lambda x: np.reshape(x, (-1, 2)), A),
    "reshape int": (lambda x: np.reshape(x, -1), A),
    "reshape F": (lambda x: np.reshape(x, (4, 6), order="F"), B),
    "reshape A of C": (lambda x: np.reshape(x, (4, 6), order="A"), B),
    "reshape A of F": (lambda x: np.reshape(x.T, (4, 6), order="A"), B),
    "reshape keyword": (lambda x: np.reshape(x, shape=(6,)), A),
    "reshape copy": (lambda x: np.reshape(x, (6,), copy=True), A),
    "reshape number": (lambda x: np.reshape(x, (1, 1)), S),
    "reshape to number": (lambda x: np.reshape(x, ()), V[:1]),
    "reshape empty": (lambda x: np.reshape(x, (3, 0)), E),
    "reshape method": (lambda x: x.reshape(3, -1), A),
    "ravel": (np.ravel, B),
    "ravel F": (lambda x: np.ravel(x, "F"), B),
    "ravel A": (lambda x: np.ravel(x.T, "A"), B),
    "ravel K": (lambda x: np.ravel(x.T, "K"), B),
    "ravel K transposed": (lambda x: np.ravel(np.transpose(x, (1, 2, 0)), "K"), B),
    "ravel number": (np.ravel, S),
    "flatten": (lambda x: x.flatten("F"), B),
    "transpose": (np.transpose, B),
    "transpose axes": (lambda x: np.transpose(x, (1, -1, 0)), B),
    "transpose list": (lambda x: np.transpose(x, [2, 0, 1]), B),
    "transpose 1d": (np.transpose, V),
    "T": (lambda x: x.T, A),
    "mT": (lambda x: x.mT, B),
    "transpose method": (lambda x: x.transpose(2, 0, 1), B),
    "permute_dims": (lambda x: np.permute_dims(x, (2, 1, 0)), B),
    "matrix_transpose": (np.matrix_transpose, B),
    "swapaxes": (lambda x: np.swapaxes(x, 0, -1), B),
    "moveaxis": (lambda x: np.moveaxis(x, 0, -1), B),
    "moveaxis many": (lambda x: np.moveaxis(x, (0, 2), (1, 0)), B),
    "rollaxis": (lambda x: np.rollaxis(x, 2), B),
    "rollaxis start": (lambda x: np.rollaxis(x, 0, 3), B),
    "rollaxis negative": (lambda x: np.rollaxis(x, -1, -2), B),
    "expand_dims": (lambda x: np.expand_dims(x, 1), A),
    "expand_dims many": (lambda x: np.expand_dims(x, (0, -1)), A),
    "expand_dims number": (lambda x: np.expand_dims(x, 0), S),
    "squeeze": (np.squeeze, B[:1, :, :1]),
    "squeeze axis": (lambda x: np.squeeze(x, -1), B[:1, :, :1]),
    "squeeze axes": (lambda x: np.squeeze(x, (0, 2)), B[:1, :, :1]),
    "squeeze to number": (lambda x: np.squeeze(x, (0, 1)), A[:1, :1]),
    "broadcast_to": (lambda x: np.broadcast_to(x, (2, 3, 4)), SPREAD),
    "broadcast_to int": (lambda x: np.broadcast_to(x, 3), S),
    "broadcast_arrays": (lambda x, y: np.broadcast_arrays(x, y), SPREAD, V[:2]),
    "broadcast_arrays mixed": (lambda x: np.broadcast_arrays(x, np.ones((2, 1, 1)))[0], SPREAD),
    "atleast_1d": (np.atleast_1d, S),
    "atleast_2d number": (np.atleast_2d, S),
    "atleast_2d": (np.atleast_2d, V),
    "atleast_3d number": (np.atleast_3d, S),
    "atleast_3d 1d": (np.atleast_3d, V),
    "atleast_3d 2d": (np.atleast_3d, A),
    "atleast many": (lambda x, y: np.atleast_2d(x, y), V, B),
    "flip": (np.flip, A),
    "flip axis": (lambda x: np.flip(x, -1), B),
    "flip axes": (lambda x: np.flip(x, (0, 2)), B),
    "fliplr": (np.fliplr, A),
    "flipud": (np.flipud, A),
    "rot90": (np.rot90, A),
    "rot90 0": (lambda x: np.rot90(x, 0), A),
    "rot90 2": (lambda x: np.rot90(x, 2), A),
    "rot90 -1 axes": (lambda x: np.rot90(x, -1, (1, 2)), B),
    "roll": (lambda x: np.roll(x, 2), A),
    "roll axis": (lambda x: np.roll(x, -1, 1), A),
    "roll axes": (lambda x: np.roll(x, (1, 2), (0, -1)), B),
    "roll twice": (lambda x: np.roll(x, (1, 1), (1, 1)), B),
    "roll one shift": (lambda x: np.roll(x, 1, (0, 1)), A),
    "roll empty": (lambda x: np.roll(x, 1, 0), E),
    "tile": (lambda x: np.tile(x, 3), A),
    "tile many": (lambda x: np.tile(x, (2, 1, 3)), A),
    "tile less": (lambda x: np.tile(x, 2), B),
    "tile number": (lambda x: np.tile(x, (2, 2)), S),
    "tile zero": (lambda x: np.tile(x, 0), A),
    "tile once": (lambda x: np.tile(x, 1), A),
    "repeat": (lambda x: np.repeat(x, 2), A),
    "repeat axis": (lambda x: np.repeat(x, 3, axis=-1), B),
    "repeat counts": (lambda x: np.repeat(x, [1, 0, 2], axis=1), A),
    "repeat counts of one": (lambda x: np.repeat(x, [2], axis=1), A),
    "repeat once": (lambda x: np.repeat(x, 1), V),
    "repeat zero": (lambda x: np.repeat(x, 0, axis=0), A),
    "repeat number": (lambda x: np.repeat(x, 4), S),
    "resize": (lambda x: np.resize(x, (3, 5)), A),
    "resize smaller": (lambda x: np.resize(x, 4), A),
    "sliding_window_view": (lambda x: np.lib.stride_tricks.sliding_window_view(x, 3), V),
    "sliding_window_view 2d": (lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2)), A),
    "sliding_window_view axis": (lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=1), B),
    "split": (lambda x: np.split(x, 3), V),
    "split at": (lambda x: np.split(x, [1, 4]), V),
    "split axis": (lambda x: np.split(x, 2, axis=-1), B),
    "split beyond": (lambda x: np.split(x, [2, 9]), V),
    "array_split": (lambda x: np.array_split(x, 4), V),
    "array_split axis": (lambda x: np.array_split(x, 2, axis=1), A),
    "array_split many": (lambda x: np.array_split(x, 8), V),
    "hsplit": (lambda x: np.hsplit(x, [1]), A),
    "hsplit 1d": (lambda x: np.hsplit(x, 2), V),
    "vsplit": (lambda x: np.vsplit(x, 2), A),
    "dsplit": (lambda x: np.dsplit(x, 2), B),
    "unstack": (np.unstack, A),
    "unstack axis": (lambda x: np.unstack(x, axis=-1), A),
    "complex reshape": (lambda x: np.reshape(x * 1j, (3, 2)).T, A),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_derivatives(name):
    function, *args = CASES[name]
    check(function, *args)


@pytest.mark.parametrize(
    ("function", "x", "error"),
    [
        (lambda x: np.reshape(x, (4, 2)), A, ValueError),
        (lambda x: np.reshape(x, (-1, 4)), A, ValueError),
        (lambda x: np.reshape(x, (2, 3), order="K"), A, ValueError),
        (lambda x: np.reshape(x.T, -1, copy=False), A, ValueError),
        (lambda x: np.squeeze(x, 0), A, ValueError),
        (lambda x: np.swapaxes(x, 0, 5), A, np.exceptions.AxisError),
        (lambda x: np.moveaxis(x, (0, 1), 0), A, ValueError),
        (lambda x: np.transpose(x, (0, 0)), A, ValueError),
        (lambda x: np.transpose(x, (0,)), A, ValueError),
        (lambda x: np.rollaxis(x, 0, 9), A, np.exceptions.AxisError),
        (np.fliplr, V, ValueError),
        (np.matrix_transpose, V, ValueError),
        (lambda x: np.rot90(x, 1, (0, 0)), A, ValueError),
        (lambda x: np.broadcast_to(x, (2, 4)), A, ValueError),
        (lambda x: np.repeat(x, -1), A, ValueError),
        (lambda x: np.resize(x, (-1, 2)), A, ValueError),
        (lambda x: np.split(x, 4), V, ValueError),
        (lambda x: np.array_split(x, 0), V, ValueError),
        (np.vsplit, V, TypeError),
        (lambda x: np.vsplit(x, 2), V, ValueError),
        (lambda x: np.sum(np.lib.stride_tricks.sliding_window_view(x, 9)), V, ValueError),
    ],
)
def test_wrong_arguments_raise_as_in_numpy(function, x, error):
    with pytest.raises(error):
        function(x)
    with pytest.raises(error):
        cr.vjp(function, x)


def test_writeable_windows_raise():
    with pytest.raises(UnsupportedError, match="writeable"):
        cr.vjp(lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, writeable=True), V)


def test_questions_about_shapes_have_plain_answers():
    def f(x):
        assert np.shape(x) == (2, 3)
        assert np.ndim(x) == 2
        assert (np.size(x), np.size(x, 1), np.size(x, (0, 1))) == (6, 3, 6)
        return np.sum(x)

    cr.grad(f)(A)


def test_structural_zeros_stay_zero_at_a_pole():
    gradient = cr.grad(lambda x: np.sum(np.split(np.sqrt(x), 2)[1]))(np.array([0.0, 4.0]))
    np.testing.assert_array_equal(gradient, [0.0, 0.25])
    gradient = cr.grad(lambda x: np.repeat(np.sqrt(x), [0, 2])[0])(np.array([0.0, 4.0]))
    np.testing.assert_array_equal(gradient, [0.0, 0.25])


@pytest.mark.parametrize("order", ["A", "K"])
def test_the_layout_of_an_argument_is_kept(order):
    f = lambda x: np.ravel(x, order)
    w = np.arange(24.0)
    np.testing.assert_array_equal(cr.vjp(f, F)[0], f(F))
    np.testing.assert_array_equal(cr.jvp(f, (F,), (F,))[0], f(F))
    np.testing.assert_array_equal(cr.grad(lambda x: f(x) @ w)(F).ravel("F"), w)


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_dtypes_are_kept(dtype):
    x = A.astype(dtype)
    y, pullback = cr.vjp(lambda x: np.tile(np.flip(x.T, 0), 2), x)
    (ct,) = pullback(y)
    assert y.dtype == ct.dtype == dtype
    np.testing.assert_allclose(ct, 2 * x, rtol=1e-6)
