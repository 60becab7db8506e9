"""Arrays that are made and written in place."""

import numpy as np

from tests.programs.table import program

V4 = [0.5, 1.5, -0.8, 2.2]
V5 = [1.0, 2.0, 0.5, 1.5, 3.0]
M33 = [[2.0, 0.3, -0.1], [0.4, 1.7, 0.2], [-0.3, 0.5, 2.4]]


@program(V4, tags="store zeros", eager=False)
def fill_a_buffer(x):
    y = np.zeros(4)
    for i in range(4):
        y[i] = np.sin(x[i]) * i
    return np.sum(y * y)


@program(V4, tags="store empty", eager=False)
def recurrence_in_a_buffer(x):
    n = len(x)
    y = np.empty(n)
    y[0] = x[0]
    for i in range(1, n):
        y[i] = y[i - 1] * x[i] + x[i - 1]
    return y[n - 1] * y[1]


@program(V5, tags="store input sweep")
def sweep(u):
    for i in range(1, len(u) - 1):
        u[i] = np.sin(u[i - 1]) + u[i + 1] * u[i] / 2
    return np.sum(u**2)


@program(V5, tags="store copy")
def sweep_on_a_copy(u):
    v = u.copy()
    for i in range(1, len(v) - 1):
        v[i] = v[i - 1] * v[i + 1] + u[i]
    return np.sum(v * u)


@program(V4, tags="store augmented")
def augmented_cells(x):
    y = x * 1.0
    y[0] += x[1]
    y[1] *= y[0]
    y[2] -= y[1] * x[3]
    y[3] /= 2 + x[0]
    y[-1] **= 2
    return np.sum(y * x)


@program(M33, tags="store augmented two")
def augmented_cells_of_a_matrix(a):
    b = np.ones_like(a)
    for i in range(3):
        for j in range(3):
            b[i, j] *= a[j, i]
            b[j, i] += a[i, i]
    return np.sum(b * b)


@program(V5, tags="store slice")
def slices_are_stored(x):
    y = np.zeros_like(x)
    y[1:4] = x[:3] * 2.0
    y[0] = 1.5
    y[4:] = x[0]
    y[:2] += x[3:]
    y[::2] *= x[::2]
    return np.sum(y**2)


@program(V5, tags="store slice negative")
def slices_with_negative_steps(x):
    y = x.copy()
    y[::-2] = x[:3] ** 2
    y[-2:] -= x[:2]
    y[3:0:-1] *= 2.0
    return np.sum(y * np.arange(5))


@program(V5, tags="store slice overlap")
def overlapping_slices(x):
    y = x * 1.0
    y[1:] = y[:-1] * 2
    y[:-1] += y[1:]
    y[:] = y[::-1]
    return np.sum(y * np.arange(5))


@program(M33, tags="store row column")
def rows_and_columns(a):
    b = np.zeros((3, 3)) * a
    b[0] = a[1] * 2
    b[:, 1] = a[2]
    b[1:, 2] += a[0, 1:]
    b[2, :2] = 0.5
    b[1, ...] *= 3.0
    return np.sum(b * a)


@program(V4, tags="store broadcast")
def broadcast_stores(x):
    b = np.zeros((3, 4)) * x
    b[:] = x
    b[1] = x[0]
    b[:, 2:] = x[:2]
    b[:, :1] += x[3]
    return np.sum(b**2)


@program(V4, tags="augmented array")
def whole_arrays_augmented(x):
    y = x * 1.0
    y += x**2
    y *= np.cos(x)
    y -= 1.0
    y /= 2 + x**2
    y **= 2
    return np.sum(y)


@program(V4, tags="augmented array alias")
def augmented_through_another_name(x):
    y = x * 1.0
    z = y
    z += x
    y *= 2
    return np.sum(z * x)


@program(V4, tags="store mask", order=2)
def masked_stores(x):
    y = x * 2
    y[y < 0] = 0.25
    y[x > 2] = x[0]
    return np.sum(y * x)


@program(V4, tags="store mask selection")
def masked_stores_of_a_selection(x):
    y = x * 2
    m = y > 0
    y[m] = y[m] ** 2
    y[~m] *= 3.0
    return np.sum(y * x)


@program(V4, np.array([3, 0, 0, 2]), tags="gather integers")
def gather(x, index):
    s = 0.0
    for k in range(4):
        s += x[index[k]] ** 2 * (k + 1)
    return s


@program(V4, np.array([3, 0, 0, 2]), tags="scatter integers", eager=False)
def scatter(x, index):
    y = np.zeros(5)
    for k in range(4):
        y[index[k]] += x[k] * x[index[k]]
    return np.sum(y**2)


@program([0.1, 0.45, 0.81, 0.3, 0.33], tags="scatter histogram cast", eager=False)
def weighted_histogram(x):
    bins = np.zeros(4)
    for v in x:
        position = v * 3
        k = int(position)
        part = position - k
        bins[k] += 1 - part
        bins[k + 1] += part
    return np.sum(bins**2)


@program(V4, tags="store conditional")
def conditional_stores(x):
    y = np.zeros_like(x)
    for i in range(4):
        if x[i] > 1:
            y[i] = x[i] ** 2
        elif x[i] > 0:
            y[i - 1] = x[i]
    return np.sum(y * np.sin(x))


@program(V4, tags="store swap")
def cells_swapped(x):
    y = x * 1.0
    y[0], y[3] = y[3], y[0]
    for i in range(2):
        t = y[i]
        y[i] = y[i + 2] * t
        y[i + 2] = t
    return np.sum(y * np.arange(1.0, 5.0))


@program(V4, tags="store sort while")
def insertion_sort(x):
    y = x.copy()
    for i in range(1, len(y)):
        v = y[i]
        j = i - 1
        while j >= 0 and y[j] > v:
            y[j + 1] = y[j]
            j -= 1
        y[j + 1] = v
    return y[0] * 1.0 + y[1] * 2 + y[2] * 3 + y[3] * y[3]


@program(V5, tags="rebound double buffering")
def double_buffering(u):
    a, b = u.copy(), np.zeros_like(u)
    for _ in range(4):
        for i in range(1, 4):
            b[i] = a[i] + 0.1 * a[i + 1] * a[i - 1]
        b[0], b[-1] = a[0], a[-1]
        a, b = b, a
    return np.sum(a * np.arange(5.0))


@program(V5, tags="rebound fresh")
def a_new_array_per_step(u):
    for k in range(3):
        v = u.copy()
        v[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2]) * k
        u = v
    return np.sum(u**2)


@program(V4, tags="rebound expression")
def an_array_rebound_by_expressions(x):
    y = x
    for _ in range(3):
        y = np.sin(y) + x * y
    return np.sum(y)


@program(V5, tags="rebound while")
def an_array_rebound_until_it_is_small(u):
    k = 0
    while np.sum(u * u) > 1.0:
        u = u * 0.7
        k += 1
    return np.sum(u**3) * k


@program(V4, tags="born in loop", eager=False)
def arrays_born_in_a_loop(x):
    total = 0.0
    for i in range(3):
        t = np.zeros(3)
        for j in range(3):
            t[j] = x[i] * x[j + 1]
        t[i] *= 2.0
        total += t[0] * t[1] + t[2]
    return total


@program(V4, tags="born in loop expression")
def temporaries_in_a_loop(x):
    total = 0.0
    for i in range(3):
        t = x * (i + 1) + x[i]
        total += np.sum(np.tanh(t)) * t[i]
    return total


@program(V4, tags="reused")
def a_workspace_reused(x):
    work = np.empty_like(x)
    total = 0.0
    for k in range(3):
        work[:] = x * k
        work[k] += x[0] ** 2
        total = total + np.sum(np.sin(work) * work)
    return total


@program(V5, tags="while store")
def stores_in_while(x):
    y = x.copy()
    k = 0
    while y[0] < 20 and k < 8:
        y[0] = y[0] + y[k % 5] ** 2
        y[(k + 1) % 5] *= 0.9
        k += 1
    return np.sum(y)


@program([[1.0, 0.5, 0.2, 0.8], [0.3, 0.7, 0.1, 0.4], [0.6, 0.2, 0.9, 0.5], [0.2, 0.4, 0.3, 0.1]], tags="stencil")
def gauss_seidel(u):
    for _ in range(2):
        for i in range(1, 3):
            for j in range(1, 3):
                u[i, j] = 0.25 * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]) + 0.1 * u[i, j] ** 2
    return np.sum(u * u)


@program(V4, tags="output array", eager=False)
def an_array_as_result(x):
    y = np.zeros(3)
    for i in range(3):
        y[i] = x[i] * x[i + 1]
    return y


@program(V4, tags="output input store")
def writes_and_returns_its_argument(x):
    x[1] = x[0] * x[2]
    x[2:] *= 2.0
    return x


@program(V4, 2.5, tags="fill")
def fill_and_overwrite(x, c):
    y = np.full_like(x, 1.0) * c
    y[:] = 0.0
    y[1] = x[1] * c
    y[1] = x[2]
    y[2] = y[1] ** 2
    return np.sum(y) * c


@program(np.array([[1.0, 2.0], [0.5, 0.3]], dtype=np.float32), tags="float32 store")
def single_precision_stores(a):
    b = np.zeros_like(a)
    for i in range(2):
        for j in range(2):
            b[i, j] = a[j, i] * 0.5 + a[i, i]
    return np.sum(b * a)


@program([0.4, 1.1, 0.9], tags="integers store")
def integer_arrays_are_overwritten(x):
    p = np.arange(3)
    s = 0.0
    for i in range(3):
        s += x[p[i]] * np.sin(x[p[(i + 1) % 3]])
        t = p[i]
        p[i] = p[2 - i]
        p[2 - i] = t
        s *= x[p[0]]
    return s


def _set_first(a, v):
    a[0] = v
    return v


def _dotted(a, b):
    return np.sum(a * b)


@program([0.5, 1.5, -0.8], tags="order call", eager=False)
def operands_are_evaluated_before_the_writes(x):
    y = np.zeros(3)
    s = _dotted(x * 2, b=_set_first(x, 7.0 * x[1]))
    s += (x * 2).dot(np.ones(3) * _set_first(x, 3.0 * x[2]))
    parts = dict(a=x * 2, b=_set_first(x, 5.0 * x[1]))  # noqa: C408
    y[int(_set_first(x, 1.0)) :] = (x * 3)[1:]
    y[int(_set_first(x, 2.0)) - 2 :] += x * 2
    y[int(_set_first(x, 0.0)) :] = y * x + parts["a"]
    return np.sum(y) * s * parts["b"]
