"""Memory kept between calls: results do not change, are never in the kept buffer, and calls may overlap."""

from __future__ import annotations

import threading

import numpy as np

import chainrule as cr
from chainrule.ir.evaluate import evaluate
from chainrule.native.jit import Jitted
from chainrule.native.workspace import LIMIT, pooled, with_workspace


def rolling(x, n):
    y = np.zeros(len(x))
    z = np.empty((len(x), 2))
    for k in range(n):
        for i in range(len(x)):
            y[i] += np.sin(x[i] * k)
            z[i, 0] = y[i]
            z[i, 1] = x[i] * y[i]
    return np.sum(z), y


def program(*args):
    jitted = Jitted(rolling, {"backend": "interpreter", "verify": False, "fastmath": "sums", "cache": False})
    return jitted.specialise(*args).function


def test_the_same_results_with_and_without_room():
    x = np.linspace(0.1, 1.0, 7)
    function = program(x, 3)
    spacious = with_workspace(function)
    assert spacious is not None
    expected = evaluate(function, [x, 3])
    for room in (0, 10, 10_000):
        work = np.full(room, np.nan)
        *results, used = evaluate(spacious, [x, 3, work])
        assert used == 16  # z, 14 numbers in two cache lines; y is returned
        for got, want in zip(results, expected, strict=True):
            np.testing.assert_array_equal(got, want)
            assert not (isinstance(got, np.ndarray) and np.shares_memory(got, work))


def test_a_program_without_arrays_has_no_workspace():
    jitted = Jitted(lambda x: x * x, {"backend": "interpreter", "verify": False, "fastmath": "sums", "cache": False})
    assert with_workspace(jitted.specialise(2.0).function) is None


def test_the_buffer_grows_and_is_bounded():
    sizes = []

    def call(need, work):
        sizes.append(work.size)
        return 1.0, need

    run = pooled(call)
    for need in (5, 3, 9, 9, LIMIT + 1, 2):
        run(need)
    assert sizes == [0, 5, 5, 9, 9, 9]


def test_the_buffer_and_its_parts_begin_where_cache_lines_do():
    starts = []

    def call(need, work):
        starts.append(work.ctypes.data % 64)
        return 1.0, need

    run = pooled(call)
    for need in range(3, 5000, 301):
        run(need)
    assert set(starts[1:]) == {0}
    source = cr.source(cr.jit(cr.grad(lambda x, n: rolling(x, n)[0])), np.ones(3), 2, stage="compiled")
    assert source.count(" & -8") >= 3


def test_threads_do_not_share_a_buffer():
    gradient = cr.jit(cr.grad(lambda x, n: rolling(x, n)[0]))
    points = [np.linspace(0.1, k, 400) for k in range(1, 9)]
    expected = [gradient(x, 20) for x in points]
    wrong = []

    def work(k):
        for _ in range(20):
            if not np.array_equal(gradient(points[k], 20), expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
