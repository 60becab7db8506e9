"""Views, views of views, and several names for one memory."""

import numpy as np

from tests.programs.table import program

V4 = [0.5, 1.5, -0.8, 2.2]
V6 = [0.5, 1.5, -0.8, 2.2, 0.9, -1.3]
M33 = [[2.0, 0.3, -0.1], [0.4, 1.7, 0.2], [-0.3, 0.5, 2.4]]
M23 = [[0.2, -0.4, 0.9], [1.3, 0.6, -0.5]]


@program(M33, tags="view row")
def rows_as_views(a):
    s = 0.0
    for i in range(3):
        row = a[i]
        for j in range(3):
            s += row[j] ** 2 * (i + 1)
    return s


@program(M33, tags="view row store")
def writes_through_rows(a):
    b = a * 1.0
    for i in range(2):
        row = b[i + 1]
        row[0] = b[i, 1] * 2
        row *= 0.5
    return np.sum(b * a)


@program(M33, tags="view column store")
def writes_through_columns(a):
    b = a.copy()
    column = b[:, 1]
    column[:] = column * a[0]
    b[0, 1] += column[2]
    return np.sum(b**2)


@program(V6, tags="view view")
def views_of_views(x):
    y = x * 1.0
    v = y[1:][::2]
    w = v[1:]
    w[0] = x[0] * v[0]
    v *= 2.0
    return np.sum(y * w[1])


@program(V6, tags="view negative")
def negative_steps_and_indices(x):
    v = x[::-1]
    w = v[-4:-1]
    return v[0] * x[-2] + np.sum(w * x[-3:]) + w[-1] ** 2


@program(V6, tags="view bounds")
def slices_beyond_the_ends(x):
    return np.sum(x[2:100]) * np.sum(x[-100:3]) + np.sum(x[5:2]) + x[4:5][0]


@program(M33, tags="view transpose store")
def writes_through_the_transpose(a):
    b = a * 1.0
    t = b.T
    t[0] = a[2] ** 2
    t[1, 2] += b[0, 0]
    return np.sum(b * a) + t[0, 1]


@program(V6, tags="view reshape store")
def writes_through_a_reshape(x):
    y = x * 1.0
    m = y.reshape(2, 3)
    m[1] = m[0] * x[:3]
    m.T[2] *= 3.0
    return np.sum(y**2)


@program(V6, tags="view reshape minus")
def an_extent_left_open(x):
    m = x.reshape(-1, 2)
    n = np.reshape(x, (2, -1))
    return np.sum(m[1] * n[1, :2]) + m.shape[0] * n[0, 0]


@program(M23, tags="view ravel")
def ravel_of_a_contiguous_array(a):
    b = a * 1.0
    r = b.ravel()
    r[2] = a[1, 1] ** 2
    return np.sum(b * r[2])


@program(M23, tags="copy ravel")
def ravel_that_must_copy(a):
    b = a * 1.0
    r = b[:, ::2].ravel()
    r[1] = 5.0 * a[0, 0]
    return np.sum(r * r) + np.sum(b)


@program(M23, tags="copy reshape transpose")
def reshape_that_must_copy(a):
    b = a * 1.0
    r = b.T.reshape(6)
    r[0] = a[1, 2]
    f = b.T.flatten()
    f[1] = 0.0
    return np.sum(r * np.arange(6.0)) + np.sum(b * a) + np.sum(f)


@program(V4, tags="view newaxis")
def new_axes(x):
    a = x[:, None] * x[None, :]
    b = x[np.newaxis, 1:]
    return np.sum(a * np.arange(4.0)) + np.sum(b * x[1:, None])


@program(V4, tags="alias")
def two_names(x):
    y = x * 1.0
    z = y
    z[0] = x[1] ** 2
    y[1] *= 3.0
    return np.sum(y * z)


@program(V4, tags="alias argument")
def a_name_for_the_argument(x):
    y = x
    y[0] = y[1] * y[2]
    return np.sum(x * y)


def _add_squares(target, source):
    for i in range(len(source)):
        target[i] += source[i] ** 2


@program(V4, tags="alias call store")
def a_function_that_writes(x):
    y = x * 1.0
    _add_squares(y, x)
    _add_squares(y[1:], x[:2])
    return np.sum(y * x)


@program(V4, tags="alias call same")
def the_same_array_passed_twice(x):
    y = x * 1.0
    _add_squares(y, y)
    return np.sum(y)


def _mix(a, b):
    return np.sum(a * b[::-1]) + a[0] * b[1]


@program(V4, tags="alias call read")
def the_same_array_read_twice(x):
    return _mix(x, x) + _mix(x[1:], x[:3])


@program(V4, tags="output alias")
def a_view_as_result(x):
    y = x * x
    return y[1:3]


@program(V4, tags="output input")
def the_argument_as_result(x):
    return x


@program(V4, tags="output twice")
def one_array_returned_twice(x):
    y = np.sin(x)
    return y, y


@program(M33, tags="view diagonal loop")
def the_diagonal(a):
    b = a * 1.0
    for i in range(3):
        b[i, i] = a[i, i] ** 2 + b[i, 2 - i]
    return np.sum(b * a)


@program([[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], [[0.7, 0.8], [0.9, 1.0], [1.1, 1.2]]], tags="view rank3")
def three_axes(a):
    b = a * 1.0
    b[1, :, 0] = a[0, :, 1] ** 2
    plane = b[:, 1]
    plane[0] *= 2.0
    b[..., 1] += 1.0
    return np.sum(b * a) + np.sum(b[0, 1:] * b[1, :2])


@program(M33, tags="view order memory")
def memory_in_another_order(a):
    b = np.sin(a.T) + a
    s = 0.0
    for i in range(3):
        for j in range(i):
            s += b[i, j] * a[j, i]
    return s


@program(V6, tags="view loop bounds")
def windows(x):
    s = 0.0
    for i in range(4):
        w = x[i : i + 3]
        s += np.sum(w) * w[1]
    for i in range(1, 6):
        s += np.sum(x[:i] * x[6 - i :])
    return s


@program(V6, tags="view rebound loop")
def a_view_that_moves(x):
    v = x
    s = 0.0
    for k in range(3):
        v = x[k + 1 :]
        s += v[0] * v[-1] * len(v)
    return s + v[1]


@program(M33, tags="view rebound row")
def rows_that_trade_places(a):
    up, down = a[0], a[1]
    s = 0.0
    for i in range(3):
        s += up[i] * down[2 - i] ** 2
        up, down = down, up
    return s
