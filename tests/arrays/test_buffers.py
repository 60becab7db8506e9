"""In-place writes: exactly what NumPy does to plain arrays, and its derivative, or a loud refusal."""

import pickle
import weakref

import numpy as np
import pytest

import chainrule as cr
import chainrule.numpy as cnp
from chainrule.arrays.buffers import Buffer
from chainrule.core.views import private
from chainrule.errors import AliasError, LeakedTracerError, LostDerivativeError, UnsupportedError
from tests.helpers import assert_close, check, leaves

rng = np.random.default_rng(4)
V, M = rng.uniform(0.5, 2, 6), rng.uniform(0.5, 2, (3, 4))
MASK = np.array([True, False, True, True, False, False])


# -- programs on a copy of the argument: plain NumPy is the referee -------------------------------------


def element(x):
    y = x * 1
    y[2] = x[0] * x[1]
    y[-1] = 3.0
    return y


def slices(x):
    y = x * 1
    y[1:] = y[:-1]
    y[::2] = y[::-2] * x[0]
    y[2:4] = 0.5
    return y


def mask(x):
    y = x * 1
    y[MASK] = x[:3] ** 2
    y[y > 1.5] = x[0]
    return y


def mask_increment(x):
    y = x * 1
    y[MASK] += x[:3]
    y[x > 1] *= x[0]
    return y


def duplicates(x):
    y = x * 1
    y[[0, 0, 2]] += x[3:]
    return y


def duplicates_last_wins(x):
    y = x * 1
    y[[1, 1, 4, 1]] = x[:4] ** 2
    y[[-1, 5]] = x[0]
    return y


def duplicates_in_rows(x):
    y = x * 1
    y[[0, 2, 0]] = x * x[0]
    y[:, [1, 1]] = x[:, :2] ** 2
    y[[0, 0], [3, -1]] = x[0, :2]
    return y


def fancy(x):
    y = x * 1
    y[[0, 2], [1, 3]] = x[1, :2]
    y[np.array([[0], [1]]), [2, 0]] *= x[:2, :2]
    y[1, [0, 3]] = x[0, 0]
    y[np.ix_([0, 2], [0, 1])] += x[:2, 2:]
    return y


def augmented(x):
    y = x * 1
    y[1:] += x[:-1]
    y *= 2
    y -= x
    y /= x[0]
    y **= 2
    y[3] -= x[3]
    return y


def broadcasting(x):
    y = x * 1
    y[1] = x[0, 0]
    y[:, 2] = x[:, 1]
    y[:2] = x[2]
    y[..., None] += x[..., None] ** 2
    y[2] = x[:1] * 3
    y[0:1] = x[0]
    y += x[0]
    return y


def view_of_a_view(x):
    y = x * 1
    v = y[1:]
    w = v[::2]
    w[0] = x[0] ** 2
    w *= x[1]
    return y * v[0] * w[1]


def transposed_view(x):
    y = x * 1
    y.T[0] = x[:, 1] ** 2
    y.T[1:3, ::2] *= x[0, 0]
    np.swapaxes(y, 0, 1)[3, 1] = x[0, 0]
    return y


def reshaped_view(x):
    y = x * 1
    y.reshape(2, 6)[1] = x.reshape(2, 6)[0] ** 2
    y.reshape(2, -1)[0, 1:3] = x[0, 0]
    return y


def ravelled_view(x):
    y = x * 1
    y.ravel()[0] = x[1, 1] ** 2
    y.T.ravel()[3] = 100.0  # a copy: y is not changed
    np.ravel(y, "F")[5] = 100.0  # the same
    y.T.ravel("F")[7] = x[0, 0]  # a view
    return y


def flipped_view(x):
    y = x * 1
    y[::-1][0] = x[0] ** 2
    np.flip(y, 1)[1, :2] = x[0, :2]
    np.rot90(y)[0] *= x[:, 0]
    np.squeeze(y[:, None])[2, 0] = x[0, 0]
    return y


def split_views(x):
    y = x * 1
    first, second, third = np.split(y, 3)
    first[0, 0] = x[2, 2] ** 2
    second += third
    third[...] = first
    return y


def rows(x):
    a = x * 1
    for i in range(3):
        row = a[i]
        row[:] = row * x[i, 0]
        row[1] += i
    for row in a:
        row *= 2
    return a


def swapped_rows(x):
    a = x * 1
    a[[0, 1]] = a[[1, 0]]
    a[2], a[0] = a[0].copy(), a[2].copy()
    a[:, 0], a[:, 1] = a[:, 1], a[:, 0]  # no swap, in NumPy: the left side is a view
    return a * x


def written_owner_seen_by_views(x):
    y = x * 1
    v, w = y[1:4], y[::-1]
    y[2] = x[0] ** 2
    y[:] = y * x
    return v * w[:3]


def view_outlives_its_owner(x):
    v = (x * 1)[1:4]
    v[0] = x[0]
    w = v[1:]
    del v
    w *= x[0]
    return w


def double_buffering(x):
    a, b = x * 1, x * 0
    for _ in range(4):
        b[1:-1] = a[:-2] * a[2:]
        b[0], b[-1] = a[0], a[-1]
        a, b = b, a
    return a


def residual(x):
    y = x * 1
    z = y * y
    y[0] = 5
    w = np.sin(y)
    y[1:] = w[1:]
    w[2] = 0
    return z * w * y


def residual_of_a_view(x):
    y = x * 1
    z = y[1:4] ** 2
    y[2] = 7.0
    return z * y[1:4]


def results_of_a_view_after_writes(x):
    y = x * 1
    y[0] = x[1]
    v = y[1:]
    y[1] = x[0] ** 2
    w = v + 1  # its tangent is the view's own
    y[2] = 7.0
    v[3] = x[0]
    return w * v


def written_and_read_in_a_loop(x):
    y = x * 1
    for i in range(1, y.size):
        y[i] = y[i - 1] * y[i] + np.sin(y[0])
        y[0] += 0.1
    return y


def outputs(x):
    y = x * 1
    np.multiply(x, x[0], out=y)
    np.sin(y, out=y)
    np.add(y[:3], 1, out=y[2:5])
    np.exp(y, out=y, where=MASK)
    return y


def methods(x):
    y = x * 1
    y[2:5].fill(x[0])
    np.copyto(y[:2], x[3:5])
    np.copyto(y, x**2, where=MASK)
    z = y.copy()
    z[0] = 100.0
    return y


def sorts(x):
    y = np.sin(3 * x)
    y.sort()
    y[0] = y[1]
    return y


def filled_with_numbers(x):
    y = x * 1
    y.fill(2.5)
    y[[1, 3]] = 0
    return y + x


def matrix_products(x):
    y = x[:, :3] * 1
    y @= np.arange(9.0).reshape(3, 3)
    y[0] @= y
    return y


def read_after_write(x):
    y = x * 1
    y[0] = x[1]
    a = y[0] * 2
    y[0] = a * x[2]
    y[1] = a
    return y


def the_argument_itself(x):
    x[0] = x[1] ** 2
    x += 1
    x[2:] *= x[:4]
    return x


def a_view_of_the_argument(x):
    v = x[1:]
    v[0] = x[0] ** 3
    x.reshape(2, 3)[1] *= 2
    return x * v[0]


def layouts(x):
    y = np.copy(x, order="F")
    z = x.T * 1
    y.ravel()[0] = 100.0  # a copy, for y is in Fortran order
    y.ravel("F")[1] = x[0, 0]
    z.ravel()[0] = 100.0
    z.copy().ravel()[0] = 100.0
    z.ravel("K")[1] = x[0, 0] ** 2
    w = z * y.T
    y[0, 0] = 3.0  # y keeps its layout when it is copied
    y.ravel()[2] = 100.0
    return w * y.T * z


def layout_after_a_captured_write(x):
    y = x.T * 1
    z = np.sin(y)
    y[0] = 2.0
    y.ravel()[3] = 100.0
    y.T.ravel()[5] = x[0, 0]
    return y * z


VECTORS = (
    element,
    slices,
    mask,
    mask_increment,
    duplicates,
    duplicates_last_wins,
    augmented,
    view_of_a_view,
    written_owner_seen_by_views,
    view_outlives_its_owner,
    double_buffering,
    residual,
    residual_of_a_view,
    results_of_a_view_after_writes,
    written_and_read_in_a_loop,
    outputs,
    methods,
    sorts,
    filled_with_numbers,
    read_after_write,
    the_argument_itself,
    a_view_of_the_argument,
)
MATRICES = (
    duplicates_in_rows,
    fancy,
    broadcasting,
    transposed_view,
    reshaped_view,
    ravelled_view,
    flipped_view,
    split_views,
    rows,
    swapped_rows,
    matrix_products,
    layouts,
    layout_after_a_captured_write,
)


def on_a_copy(program):
    return lambda x: program(x * 1)


@pytest.mark.parametrize(
    ("program", "x"),
    [(p, V) for p in VECTORS] + [(p, M) for p in MATRICES],
    ids=lambda p: getattr(p, "__name__", ""),
)
def test_programs_of_writes(program, x):
    given = x.copy()
    # The referee, differences of plain NumPy, gets a private copy: some programs write to their argument.
    plain = on_a_copy(program)
    check(plain, x)
    np.testing.assert_array_equal(x, given)
    y, pullback = cr.vjp(program, x)
    want, same = cr.vjp(plain, x)
    np.testing.assert_array_equal(y, want)
    assert_close(pullback(y)[0], same(y)[0], 1e-12)
    assert_close(pullback(y)[0], same(y)[0], 1e-12)
    assert_close(cr.jvp(program, (x,), (x,))[1], cr.jvp(plain, (x,), (x,))[1], 1e-12)
    objective = lambda x: np.sum(program(x) ** 2)
    assert_close(cr.hessian(objective)(x), cr.jacrev(cr.grad(objective))(x), 1e-9)
    assert_close(cr.grad(lambda x: np.sum(cr.grad(objective)(x) ** 2))(x), 2 * _contracted(objective, x), 1e-9)
    np.testing.assert_array_equal(x, given)


def _contracted(objective, x):
    return np.tensordot(cr.jacfwd(cr.grad(objective))(x), cr.grad(objective)(x), x.ndim)


VIEWS = {
    "reshape": lambda y: np.reshape(y, (2, 6)),
    "reshape of a transpose": lambda y: np.reshape(y.T, (2, 6)),
    "reshape F": lambda y: np.reshape(y, (2, 6), order="F"),
    "reshape F of a transpose": lambda y: np.reshape(y.T, (2, 6), order="F"),
    "reshape of columns": lambda y: np.reshape(y[:, ::2], (6,)),
    "reshape of a row": lambda y: y[1, ::2].reshape(2, 1),
    "reshape copy": lambda y: np.reshape(y, 12, copy=True),
    "ravel": np.ravel,
    "ravel of a transpose": lambda y: np.ravel(y.T),
    "ravel F of a transpose": lambda y: np.ravel(y.T, "F"),
    "ravel A of a transpose": lambda y: np.ravel(y.T, "A"),
    "ravel K of a transpose": lambda y: np.ravel(y.T, "K"),
    "ravel of a strided row": lambda y: y[1, ::2].ravel(),
    "ravel K of columns": lambda y: np.ravel(y[:, ::2], "K"),
    "ravel of rows": lambda y: y[:2].ravel(),
    "flatten": lambda y: y.flatten(),
    "transpose": np.transpose,
    "swapaxes": lambda y: np.swapaxes(y, 0, 1),
    "moveaxis": lambda y: np.moveaxis(y, 0, 1),
    "rollaxis": lambda y: np.rollaxis(y, 1),
    "expand_dims": lambda y: np.expand_dims(y, 1),
    "squeeze": lambda y: np.squeeze(y[:, None]),
    "atleast_1d": np.atleast_1d,
    "atleast_3d": np.atleast_3d,
    "flip": np.flip,
    "fliplr": np.fliplr,
    "flipud": np.flipud,
    "rot90": np.rot90,
    "rot90 0": lambda y: np.rot90(y, 0),
    "rot90 2": lambda y: np.rot90(y, 2),
    "roll": lambda y: np.roll(y, 1),
    "roll axis": lambda y: np.roll(y, 0, 0),
    "tile": lambda y: np.tile(y, 1),
    "repeat": lambda y: np.repeat(y, 1, axis=0),
    "resize": lambda y: np.resize(y, (3, 4)),
    "split": lambda y: np.split(y, 3)[1],
    "hsplit": lambda y: np.hsplit(y, 2)[1],
    "unstack": lambda y: np.unstack(y)[2],
    "concatenate": lambda y: np.concatenate([y]),
    "stack": lambda y: np.stack([y]),
    "take row": lambda y: np.take(y, 1, axis=0),
    "compress": lambda y: np.compress([True, True], y, axis=0),
    "delete": lambda y: np.delete(y, [], axis=0),
    "triu": np.triu,
    "copy": np.copy,
    "copy F": lambda y: y.copy("F"),
    "ravel of a copy of a transpose": lambda y: y.T.copy(),
    "real": np.real,
    "astype": lambda y: y.astype(float),
    "astype without copy": lambda y: y.astype(float, copy=False),
    "pad": lambda y: np.pad(y, 0),
    "pad edge": lambda y: np.pad(y, 0, mode="edge"),
    "meshgrid": lambda y: np.meshgrid(y[0], sparse=True, copy=False)[0],
    "meshgrid copy": lambda y: np.meshgrid(y[0])[0],
    "index": lambda y: y[..., None, 1:],
    "fancy index": lambda y: y[[0, 1]],
    "mask": lambda y: y[y > 0],
    "row of a fancy index": lambda y: y[[0, 1]][0],
    "positive": lambda y: +y,
    "conj": np.conj,
    "broadcast_arrays": lambda y: np.broadcast_arrays(y, 1.0)[0],
    "array": lambda y: cnp.array(y),
    "asarray": lambda y: cnp.asarray(y),
    "asfortranarray": lambda y: cnp.asfortranarray(y),
    "asfortranarray of a transpose": lambda y: cnp.asfortranarray(y.T),
    "ascontiguousarray": lambda y: cnp.ascontiguousarray(y),
    "ascontiguousarray of a transpose": lambda y: cnp.ascontiguousarray(y.T),
}


@pytest.mark.parametrize("name", VIEWS)
def test_what_numpy_answers_with_a_view_is_a_view(name):
    def f(x):
        y = x * 1
        z = np.sin(y)
        v = VIEWS[name](y)
        v[...] = v * 3
        v = v[:1]
        y *= x
        v += 1
        return y * z + np.sum(v)

    check(f, M)

    def g(x, n):
        y = n.full((3, 4), 2.0)
        v = VIEWS[name](y)
        y[1] = x[0]
        v *= 3
        return y * np.sum(v)

    np.testing.assert_array_equal(g(M, cnp), g(M, np))
    check(lambda x: g(x, np if isinstance(x, np.ndarray) else cnp), M, order=1)


# -- programs that fill buffers -------------------------------------------------------------------------


def fill_elements(x, n):
    y = n.zeros(6)
    for i in range(6):
        y[i] = x[i] * x[0] + (y[i - 1] if i else 0)
    return y


def fill_rows(x, n):
    a = n.empty((3, 6))
    a[0], a[1] = x, x**2
    a[2] = a[0] * a[1]
    a[1:] *= 2
    return a


def fill_mask(x, n):
    y = n.ones(6)
    y[MASK] = x[MASK] ** 2
    y[~MASK] += x[0]
    return y


def fill_views(x, n):
    a = n.full((2, 6), 2.0)
    v = a[1]
    w = v[::2]
    w[0] = x[0]
    v[1:3] = w[:2]
    a.T[3] = x[3]
    a.reshape(3, 4)[2] *= x[:4]
    return a * v * w.sum()


def fill_plain_first(x, n):
    y = n.zeros(6)
    y[1] = 2.0
    v = y[1:3]
    z = y * 3
    y += 1
    z[0] = x[0]
    y[2] = x[1]
    y *= x
    return y * z * v[1]


def fill_with_out(x, n):
    y = n.zeros((2, 6))
    np.sin(x, out=y[0])
    np.add(y[0], x, out=y[1])
    np.copyto(y[0, :2], x[2:4])
    return y


def fill_identity(x, n):
    a = n.eye(3)
    a[0, 1:] = x[:2]
    np.fill_diagonal(a, x[:3])
    return a @ a


def fill_like(x, n):
    y, z = np.zeros_like(x), np.ones_like(x)
    y[0], z[1] = x[0], x[1] ** 2
    w = np.full_like(x, x[2])
    w[1] = 0
    e = np.empty_like(x, shape=(2, 2))
    e[...] = x[:4].reshape(2, 2)
    return y * z * w * e.sum()


def fill_several(x, n):
    a, b = n.zeros(6), n.zeros(6)
    a[:] = x
    for _ in range(3):
        b[1:] = a[:-1] * x[1:]
        b[0] = a[0]
        a, b = b, a
    return a


def fill_in_functions(x, n):
    def put(y, i, v):
        y[i] = v
        return y

    y = n.zeros(6)
    put(put(y, 0, x[0]), slice(1, 3), x[1:3])
    return y**2


def accumulate(x, n):
    total = n.zeros(3)
    for i in range(6):
        total[i % 3] += x[i] ** 2
    return total


def unfilled(x, n):
    y = n.zeros(6)
    y[1] = 3.0
    return y * x + np.sum(y)


FILLS = (
    fill_elements,
    fill_rows,
    fill_mask,
    fill_views,
    fill_plain_first,
    fill_with_out,
    fill_identity,
    fill_like,
    fill_several,
    fill_in_functions,
    accumulate,
    unfilled,
)


@pytest.mark.parametrize("program", FILLS, ids=lambda p: p.__name__)
def test_programs_that_fill_buffers(program):
    want = program(V, np)
    have = program(V, cnp)  # without tracing a buffer is a plain array
    np.testing.assert_array_equal(have, want)
    check(lambda x: program(x, np if isinstance(x, np.ndarray) else cnp), V)
    objective = lambda x: np.sum(program(x, cnp) ** 2)
    assert_close(cr.grad(lambda x: np.sum(cr.grad(objective)(x) ** 2))(V), 2 * _contracted(objective, V), 1e-9)


def test_complex_parts_are_views():
    def f(x, n):
        z = n.zeros(6, complex)
        z[:3] = x[:3] + 1j * x[3:]
        z[3] = x[0]
        part = z.real
        part[4] = x[1]
        z.imag[1:5] *= x[2]
        z.imag[4:][0] = x[5]
        return np.real(z) * part + z.imag**3

    np.testing.assert_array_equal(f(V, cnp), f(V, np))
    check(lambda x: f(x, np if isinstance(x, np.ndarray) else cnp), V)

    def g(z):
        w = z * 1
        w.real[0] = 2.0
        w.real[1:] += w.imag[1:]
        return w

    check(g, V[:3] + 1j * V[3:])


# -- structural zeros -----------------------------------------------------------------------------------


def test_what_was_overwritten_is_a_structural_zero():
    def f(x):
        y = np.sqrt(x)
        y[0] = 1.0
        return np.sum(y)

    x = np.array([0.0, 4.0])
    np.testing.assert_array_equal(cr.grad(f)(x), [0.0, 0.25])
    np.testing.assert_array_equal(cr.jacfwd(f)(x), [0.0, 0.25])

    def g(x):
        y = cnp.zeros(2)
        y[1] = np.sqrt(x)[1]
        return np.sum(y)

    np.testing.assert_array_equal(cr.grad(g)(x), [0.0, 0.25])
    np.testing.assert_array_equal(cr.jvp(g, (x,), (np.array([1.0, 0.0]),))[1], 0.0)


# -- dtypes ---------------------------------------------------------------------------------------------


def test_the_buffers_dtype_holds():
    def f(x):
        y = cnp.zeros(6, np.float32)
        y[1:] = x[1:]
        return y

    y, pullback = cr.vjp(f, V)
    assert y.dtype == np.float32
    (ct,) = pullback(np.ones(6, np.float32))
    assert ct.dtype == np.float64
    np.testing.assert_array_equal(ct, [0, 1, 1, 1, 1, 1])
    assert cr.jvp(f, (V,), (V,))[1].dtype == np.float32

    def g(x):
        y = x * 1
        y += np.ones(6)  # float64 into float32, as in NumPy
        y[0] = 3
        return y

    y, pullback = cr.vjp(g, V.astype(np.float32))
    assert y.dtype == pullback(y)[0].dtype == np.float32
    z = cr.jvp(lambda x: _into(cnp.zeros(3, complex), x), (V[:3],), (V[:3],))
    assert z[0].dtype == z[1].dtype == np.complex128


def _into(y, value, index=...):
    y[index] = value
    return y


@pytest.mark.parametrize(
    "f",
    [
        lambda x: _into(x * 1, x * 1j),
        lambda x: _into(cnp.zeros(6), 1j * x),
        lambda x: _into(cnp.full(6, 2.0), x[0] * 1j, 2),
        lambda x: _into(np.zeros_like(x, dtype=int), x),
        lambda x: _into(cnp.zeros(6, int), x),
        lambda x: np.multiply(x, 1j, out=x * 1),
        lambda x: (x * 1).__imul__(1j * x),
    ],
)
def test_casts_that_lose_a_derivative_raise(f):
    for run in (lambda: cr.vjp(f, V), lambda: cr.jvp(f, (V,), (V,))):
        with pytest.raises(LostDerivativeError, match="test_buffers"):
            run()


def test_plain_casts_are_numpys():
    y = cnp.zeros(3, np.float32)
    with pytest.raises(TypeError, match="same_kind"):
        y += 1j * np.ones(3)


# -- refusals -------------------------------------------------------------------------------------------


def _plain_target(write):
    def f(x):
        y = np.zeros(6)
        write(y, x)
        return np.sum(y)

    return f


def _augment(y, v):
    y += v


@pytest.mark.parametrize(
    "write",
    [
        lambda y, x: y.__setitem__(0, x[0]),
        lambda y, x: y.__setitem__(slice(None), x),
        lambda y, x: y.__setitem__([0, 1], x[:2]),
        lambda y, x: np.add(x, x, out=y),
        lambda y, x: np.copyto(y, x),
        lambda y, x: y.fill(x[0]),
    ],
)
def test_plain_arrays_refuse_traced_values(write):
    f = _plain_target(write)
    for run in (
        lambda: cr.grad(f)(V),
        lambda: cr.jvp(f, (V,), (V,)),
        lambda: cr.hessian(f)(V),
    ):
        with pytest.raises(LostDerivativeError, match=r"test_buffers\.py:\d+"):
            run()


def test_augmented_assignment_makes_a_plain_array_traced_or_refuses():
    def f(x):
        y = np.ones(6)
        y += x  # Python may bind y anew, which loses nothing; a silent write would
        return np.sum(y * x)

    try:
        gradient = cr.grad(f)(V)
    except LostDerivativeError:
        return
    np.testing.assert_allclose(gradient, 1 + 2 * V)


def test_traced_numbers_are_immutable():
    def f(x):
        s = t = x * 2
        s += 1
        return s * t

    assert cr.grad(f)(3.0) == 2 * 6.0 + 2 * 7.0
    with pytest.raises(LostDerivativeError):
        cr.grad(lambda x: _into(x, 1.0, 0))(3.0)


def test_a_value_of_an_inner_transformation_does_not_enter_an_outer_array():
    def outer(x):
        y = x * 1

        def inner(t):
            y[0] = t * 2
            return t

        cr.grad(inner)(1.0)
        return np.sum(y)

    for run in (lambda: cr.grad(outer)(V), lambda: cr.jvp(outer, (V,), (V,)), lambda: cr.hessian(outer)(V)):
        with pytest.raises(LostDerivativeError, match=r"inner.*test_buffers"):
            run()


def test_a_buffer_that_kept_an_inner_value_raises_when_it_is_used():
    y = cnp.zeros(2)
    cr.grad(lambda t: _into(y, t, 0)[0] * 2)(1.0)
    with pytest.raises(LeakedTracerError):
        y * 2.0 + cr.grad(lambda t: np.sum(y * t))(1.0)


def test_an_inner_transformation_may_read_what_it_closes_over():
    def outer(x):
        y = cnp.zeros(2)
        y[0] = x
        slope = cr.grad(lambda t: np.sum(y * t**2))(3.0)  # 2 t x
        y[1] = slope
        return np.sum(y**2)

    assert_close(cr.grad(outer)(2.0), 2 * 2.0 + 2 * 36 * 2.0, 1e-12)
    assert_close(cr.derivative(outer, 2)(2.0), 2 + 72.0, 1e-12)


def test_broadcast_views_are_read_only():
    f = lambda x: _into(np.broadcast_to(x, (2, 6)), 1.0)
    with pytest.raises(ValueError, match="read-only"):
        f(V)
    with pytest.raises(ValueError, match="read-only"):
        cr.vjp(f, V)


@pytest.mark.parametrize(
    ("index", "value", "error"),
    [
        (9, 1.0, IndexError),
        ([0, 9], 1.0, IndexError),
        (slice(0, 2), np.ones(3), ValueError),
        ([0, 1], np.ones(3), ValueError),
        ((0, 0), 1.0, IndexError),
        (np.ones(4, bool), 1.0, IndexError),
    ],
)
def test_wrong_writes_raise_as_in_numpy(index, value, error):
    with pytest.raises(error):
        _into(V.copy(), value, index)
    for run in (
        lambda: cr.vjp(lambda x: _into(x * 1, value, index), V),
        lambda: cr.vjp(lambda x: _into((x * 1)[:], value, index), V),
        lambda: cr.jvp(lambda x: _into(cnp.zeros(6), value * x[0], index), (V,), (V,)),
    ):
        with pytest.raises(error):
            run()


# -- arguments ------------------------------------------------------------------------------------------


def _write_first(x, y):
    x[0] = 2.0
    return np.sum(x * y)


@pytest.mark.parametrize("write", [_write_first, lambda x, y: np.sum(x.__iadd__(1.0) * y)])
def test_a_written_argument_may_not_share_memory_with_another(write):
    both = (0, 1)
    for x, y in ((V, V), (V[:4], V[2:]), (V, V[::-1])):
        for run in (
            lambda x=x, y=y: cr.grad(write, both)(x[:4], y[:4]),
            lambda x=x, y=y: cr.jvp(write, (x[:4], y[:4]), (x[:4], y[:4])),
            lambda x=x, y=y: cr.hvp(write, (x[:4], y[:4]), (x[:4], y[:4])),
        ):
            with pytest.raises(AliasError, match="test_buffers"):
                run()
    assert cr.grad(write, both)(V, V.copy())[0].shape == (6,)
    # Nor with one that is not differentiated.
    for run in (
        lambda: cr.grad(write)(V, V),
        lambda: cr.value_and_grad(write, (0,))(V, V[::-1]),
        lambda: cr.jacrev(write)(V, y=V),
        lambda: cr.hessian(write)(V, V),
        lambda: cr.grad(lambda x, p: write(x, p["y"][0]))(V, {"y": [V]}),
        lambda: cr.jacfwd(lambda x, p: write(x, p["y"][0]))(V, {"y": [V]}),
    ):
        with pytest.raises(AliasError, match="test_buffers"):
            run()
    assert cr.grad(write)(V, V.copy()).shape == (6,)
    # Arguments that are only read may be one array.
    np.testing.assert_allclose(cr.grad(lambda x, y: np.sum(x * y), both)(V, V)[0], V)


def test_arguments_in_containers_keep_their_values():
    params = {"w": V.copy(), "m": [M.copy()]}

    def f(p):
        p["w"][1:] += p["w"][0]
        p["m"][0][0] = p["m"][0][1] * 2
        row = p["m"][0][2]
        row *= 3
        return np.sum(p["w"] ** 2) + np.sum(p["m"][0] ** 2)

    gradient = cr.grad(f)(params)
    np.testing.assert_array_equal(params["w"], V)
    np.testing.assert_array_equal(params["m"][0], M)
    np.testing.assert_allclose(gradient["m"][0], np.stack([0 * M[0], 10 * M[1], 18 * M[2]]))
    np.testing.assert_allclose(gradient["w"][1:], 2 * (V[1:] + V[0]))


def test_a_result_does_not_change_with_later_calls():
    def f(x):
        y = cnp.zeros(6)
        y[:] = x
        return y

    first, pullback = cr.vjp(f, V)
    kept = first.copy()
    first[0] = 99.0
    np.testing.assert_array_equal(pullback(np.ones(6))[0], np.ones(6))
    np.testing.assert_array_equal(cr.vjp(f, V)[0], kept)


# -- buffers as plain arrays ----------------------------------------------------------------------------


def test_a_plain_buffer_is_an_array():
    y = cnp.zeros(4)
    y[1:3] = [1.0, 2.0]
    y[0] += 3
    assert isinstance(y, Buffer)
    assert repr(y) == "array([3., 1., 2., 0.])"
    assert str(y) == "[3. 1. 2. 0.]"
    assert float(y[0]) == 3.0
    assert int(y[2]) == 2
    assert list(y) == [3.0, 1.0, 2.0, 0.0]
    assert y.tolist() == [3.0, 1.0, 2.0, 0.0]
    assert (y.shape, y.ndim, y.size, y.dtype, len(y)) == ((4,), 1, 4, np.float64, 4)
    assert y.strides == (8,)
    assert y.flags.c_contiguous
    assert np.all((y == [3, 1, 2, 0]) & (y >= 0))
    assert 2.0 in y
    assert y.max() == 3.0
    assert np.argmax(y) == 0
    assert f"{y[1]:.1f}" == "1.0"
    assert bool(y.any())
    assert y[y > 1].tolist() == [3.0, 2.0]
    np.testing.assert_array_equal(np.concatenate([y, np.ones(1)]), [3, 1, 2, 0, 1])
    np.testing.assert_array_equal(np.interp(0.5, [0, 1], np.asarray(y[:2])), 2.0)
    np.testing.assert_array_equal(np.histogram(y, 2)[0], [2, 2])  # a function without a rule
    np.testing.assert_array_equal(np.ones(4) + y, [4, 2, 3, 1])
    np.testing.assert_array_equal(np.outer(y, y)[0], 3 * np.array([3, 1, 2, 0]))
    np.testing.assert_array_equal(np.add.accumulate(y), [3, 4, 6, 6])
    assert np.arange(5)[cnp.array([1, 2])].tolist() == [1, 2]
    plain = np.zeros(4)
    plain[:] = y
    np.testing.assert_array_equal(plain, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(y)), y)
    assert float(cnp.full((), 2.0)) == 2.0
    with pytest.raises(TypeError):
        hash(y)


def test_plain_views_of_a_buffer():
    y = cnp.zeros(3)
    view = np.asarray(y)
    y[0] = 5.0
    assert view[0] == 5.0
    assert not view.flags.writeable
    copy = np.array(y)
    copy[0] = 7.0
    assert y[0] == 5.0
    assert np.asarray(y, np.float32).dtype == np.float32

    def f(x):
        y[1] = x
        return np.sum(y)

    part = view[1:]
    del view
    with pytest.raises(LostDerivativeError, match=r"np\.asarray"):
        cr.grad(f)(2.0)
    del part
    assert cr.grad(f)(2.0) == 1.0


def test_a_traced_buffer_refuses_to_be_plain():
    def f(use):
        def run(x):
            y = cnp.zeros(2)
            y[0] = x
            use(y)
            return x

        return run

    for use in (
        np.asarray,
        float,
        lambda y: y.tolist(),
        lambda y: y.item(),
        lambda y: np.zeros(2).__setitem__(slice(None), y),
        lambda y: float(y[0]),
        pickle.dumps,
    ):
        with pytest.raises(LostDerivativeError):
            cr.grad(f(use))(1.0)
    with pytest.raises(UnsupportedError, match="histogram"):
        cr.grad(f(np.histogram))(1.0)
    with pytest.raises(AttributeError):
        cr.grad(f(lambda y: y.strides))(1.0)
    cr.grad(f(lambda y: pytest.fail("text") if "Traced" not in repr(y) else None))(1.0)


def test_integer_and_boolean_arrays_are_numpys_own():
    for made in (cnp.zeros(3, int), cnp.ones(2, bool), cnp.full(2, 1), cnp.zeros_like(np.arange(3))):
        assert type(made) is np.ndarray


# -- cost -----------------------------------------------------------------------------------------------


class _Copies:
    """Counts the elements that writes copy."""

    def __init__(self, monkeypatch):
        self.elements = 0
        monkeypatch.setattr("chainrule.rules.indexing.private", self._private)

    def _private(self, array):
        self.elements += array.size
        return private(array)


def _fill(x):
    y = cnp.zeros(5000)
    y[0] = x
    for i in range(1, 300):
        y[i] = y[i - 1] * 0.9 + x
    return y


def _fill_rows(x):
    a = cnp.zeros((1000, 5))
    a[0] = x
    for i in range(1, 300):
        row = a[i]
        row[:] = a[i - 1] * 0.5
        row[0] += x
        a[i] += 1.0
    return a


@pytest.mark.parametrize("fill", [_fill, _fill_rows])
def test_filling_a_buffer_copies_it_a_bounded_number_of_times(fill, monkeypatch):
    copies = _Copies(monkeypatch)
    objective = lambda x: np.sum(fill(x) ** 2)
    cr.grad(objective)(1.0)
    assert copies.elements <= 2 * 5000
    cr.jvp(objective, (1.0,), (1.0,))
    assert copies.elements <= 4 * 5000


def test_nothing_outlives_a_call():
    refs = []

    def f(x):
        y = cnp.zeros(3)
        v = y[1:]
        y[0] = x
        v[0] = x * 2
        refs.extend([weakref.ref(y), weakref.ref(v)])
        return np.sum(y * y)

    cr.grad(f)(1.0)
    assert all(r() is None for r in refs)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(4, 6),
        np.arange(24.0).reshape(4, 6).T,
        np.arange(24.0).reshape(4, 6)[::2],
        np.arange(24.0).reshape(4, 6)[:, ::2],
        np.arange(24.0).reshape(4, 6)[::-1, 1:3],
        np.arange(48.0).reshape(2, 4, 6).transpose(2, 0, 1)[1:, :, ::-1],
        np.arange(48.0).reshape(2, 4, 6)[:, 1:2, ::3],
        np.broadcast_to(np.arange(3.0), (2, 3)),
        np.zeros((0, 3)),
    ],
)
def test_private_copies_have_the_layout_of_the_original(array):
    copy = private(array)
    np.testing.assert_array_equal(copy, array)
    assert copy.flags.writeable
    assert not np.shares_memory(copy, array)
    if 0 in array.strides:
        return
    for shape in ((-1,), (array.shape[0], -1)) if array.size else ():
        same = np.shares_memory(array, array.reshape(shape))
        assert np.shares_memory(copy, copy.reshape(shape)) == same
    assert copy.flags.c_contiguous == array.flags.c_contiguous
    assert copy.flags.f_contiguous == array.flags.f_contiguous


def test_leaves_of_results_are_plain_outside():
    for part in leaves(cr.jvp(lambda x: (cnp.zeros(2), _into(cnp.zeros(2), x)), (1.0,), (1.0,))):
        assert type(part) is np.ndarray
