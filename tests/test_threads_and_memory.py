"""Threads, the garbage collector, memory, long chains and the recursion limit."""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.core.primitive import registry
from chainrule.errors import ChainruleError

X = np.array([0.5, -1.0, 2.0])


def network(w: Any, x: Any) -> Any:
    h = np.tanh(w @ x)
    h = np.where(h > 0, h, 0.1 * h)
    h[0] = h[1] * 2
    return np.sum(np.sin(h) ** 2) + np.max(h)


TRANSFORMS: dict[str, Callable[[Any, Any], Any]] = {
    "grad": lambda w, x: cr.grad(network)(w, x),
    "value_and_grad": lambda w, x: cr.value_and_grad(network)(w, x)[1],
    "vjp": lambda w, x: cr.vjp(network, w, x)[1](1.0)[0],
    "jvp": lambda w, x: cr.jvp(network, (w, x), (w, x))[1],
    "linearize": lambda w, x: cr.linearize(network, w, x)[1](w, x),
    "jacfwd": lambda w, x: cr.jacfwd(network, 1)(w, x),
    "jacrev": lambda w, x: cr.jacrev(network, 1)(w, x),
    "hessian": lambda w, x: cr.hessian(network, 1)(w, x),
    "hvp": lambda w, x: cr.hvp(network, (w, x), (w, x))[0],
    "vmap": lambda w, x: cr.vmap(cr.grad(network, 1), in_axes=(None, 0))(w, np.stack([x, 2 * x])),
    "checkpoint": lambda w, x: cr.grad(lambda w: cr.checkpoint(network)(w, x))(w),
    "container": lambda w, x: cr.grad(lambda p: network(p["w"], p["x"]))({"w": w, "x": x})["w"],
}
every_transform = pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS.keys())


def points(count: int) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(2)
    return [(rng.normal(size=(3, 3)), rng.normal(size=3)) for _ in range(count)]


# -- threads ------------------------------------------------------------------------------------------------


@pytest.fixture
def often_switching() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("often_switching")
@every_transform
def test_eight_threads_differentiate_at_once(transform: Any) -> None:
    data = points(64)
    want = [transform(w, x) for w, x in data]
    barrier = threading.Barrier(8)

    def work(k: int) -> list[Any]:
        barrier.wait()
        return [transform(w, x) for w, x in data[k::8]]

    with ThreadPoolExecutor(8) as pool:
        for k, results in enumerate(pool.map(work, range(8))):
            for have, right in zip(results, want[k::8], strict=True):
                np.testing.assert_array_equal(have, right)


@pytest.mark.usefixtures("often_switching")
def test_traced_values_may_cross_threads() -> None:
    """The function under differentiation hands its traced values to workers, one after the other."""

    def f(x: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            parts = [pool.submit(lambda k=k: np.sin(x[k]) * x[k - 1]).result() for k in range(3)]
        return sum(parts) + np.sum(x)

    plain = lambda x: sum(np.sin(x[k]) * x[k - 1] for k in range(3)) + np.sum(x)
    np.testing.assert_allclose(cr.grad(f)(X), cr.grad(plain)(X), rtol=1e-14)
    np.testing.assert_allclose(cr.hessian(f)(X), cr.hessian(plain)(X), rtol=1e-14)
    assert cr.jvp(f, (X,), (X,))[1] == pytest.approx(cr.jvp(plain, (X,), (X,))[1])


@pytest.mark.usefixtures("often_switching")
def test_threads_that_share_one_tape_are_right_or_refused() -> None:
    def f(x: Any) -> Any:
        with ThreadPoolExecutor(8) as pool:
            parts = list(pool.map(lambda k: np.sum(np.sin(x * k) * x), range(40)))
        return sum(parts)

    want = cr.grad(lambda x: sum(np.sum(np.sin(x * k) * x) for k in range(40)))(X)
    for _ in range(5):
        try:
            have = cr.grad(f)(X)
        except ChainruleError:
            continue
        np.testing.assert_allclose(have, want, rtol=1e-12)
    for _ in range(5):  # forward mode has no tape
        change = cr.jvp(f, (X,), (X,))[1]
        assert change == pytest.approx(np.vdot(want, X), rel=1e-12)


@pytest.mark.usefixtures("often_switching")
def test_one_pullback_called_from_eight_threads() -> None:
    _, pullback = cr.vjp(network, *points(1)[0])
    _, pushforward = cr.linearize(network, *points(1)[0])
    want, change = pullback(1.0), pushforward(*points(1)[0])
    with ThreadPoolExecutor(8) as pool:
        for k, (ct, _) in enumerate(pool.map(lambda k: pullback(float(k)), range(64))):
            np.testing.assert_allclose(ct, k * want[0], rtol=1e-14)
        assert set(pool.map(lambda _: pushforward(*points(1)[0]), range(64))) == {change}


@pytest.mark.usefixtures("often_switching")
def test_primitives_may_be_registered_from_many_threads() -> None:
    def define(k: int) -> float:
        made = cr.elementwise(f"test.thread{k}", lambda x: x * k, lambda y, x: float(k))
        return cr.grad(made)(1.0)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(define, range(64))) == [float(k) for k in range(64)]
    assert all(f"test.thread{k}" in registry for k in range(64))


@pytest.mark.usefixtures("often_switching")
def test_new_dataclasses_are_registered_once_from_many_threads() -> None:
    from dataclasses import dataclass

    for _ in range(10):

        @dataclass
        class Fresh:
            x: Any

        with ThreadPoolExecutor(8) as pool:
            gradients = list(pool.map(lambda k, c=Fresh: cr.grad(lambda p: p.x * k)(c(1.0)).x, range(16)))
        assert gradients == [float(k) for k in range(16)]


# -- nothing left ---------------------------------------------------------------------------------------------


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@every_transform
def test_there_are_no_reference_cycles(transform: Any) -> None:
    w, x = points(1)[0]
    transform(w, x)  # imports and caches
    gc.collect()
    transform(w, x)
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        garbage = [type(g) for g in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert not garbage


@pytest.mark.usefixtures("no_collector")
@every_transform
def test_nothing_holds_the_arguments_or_results_after_the_call(transform: Any) -> None:
    class Array(np.ndarray):
        """An array that can be referred to weakly."""

    (w, x), tracked = points(1)[0], []

    def watched(w: Any, x: Any) -> Any:
        y = network(w, x)
        tracked.append(weakref.ref(y) if hasattr(y, "__weakref__") else None)
        return y

    references = [sys.getrefcount(w), sys.getrefcount(x)]
    result = transform(w, x)
    del result
    assert [sys.getrefcount(w), sys.getrefcount(x)] == references
    cr.grad(watched)(w, x)
    cr.jvp(watched, (w, x), (w, x))
    assert all(r is None or r() is None for r in tracked)


@pytest.mark.usefixtures("no_collector")
def test_an_exception_leaves_nothing() -> None:
    seen: list[Any] = []

    def f(x: Any) -> Any:
        y = np.sin(x)
        seen.append(weakref.ref(y))
        raise KeyError

    for transform in (cr.grad(f), lambda x: cr.jvp(f, (x,), (x,)), cr.jacfwd(f), lambda x: cr.vmap(f)(x)):
        with pytest.raises(KeyError):
            transform(X)
    assert all(r() is None for r in seen)


# -- memory -----------------------------------------------------------------------------------------------------

N = 50_000
ARRAY = 8 * N


def peak(call: Callable[[], Any]) -> float:
    """Peak of the memory allocated during a call, in arrays of N numbers."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / ARRAY
    finally:
        tracemalloc.stop()


def chain(x: Any, steps: int = 50) -> Any:
    for _ in range(steps):
        x = np.sin(x)
    return np.sum(x)


def test_a_tape_keeps_at_most_two_arrays_per_operation() -> None:
    x = np.linspace(0, 1, N)
    assert peak(lambda: cr.grad(chain)(x)) < 2 * 50 + 5
    step = lambda x: np.sum(_steps(x, lambda x: np.exp(-x) * x))
    assert peak(lambda: cr.grad(step)(x)) < 2 * 3 * 50 + 5


def _steps(x: Any, f: Any) -> Any:
    for _ in range(50):
        x = f(x)
    return x


def test_what_no_partial_reads_is_not_kept() -> None:
    x = np.linspace(0, 1, N)
    assert peak(lambda: cr.grad(lambda x: np.sum(_steps(x, lambda x: x * 1.5 + 0.5)))(x)) < 8
    assert peak(lambda: cr.grad(lambda x: np.sum(_steps(x, lambda x: np.roll(-x, 1)[::-1])))(x)) < 8


def test_structural_zeros_keep_nothing() -> None:
    x = np.linspace(0, 1, N)
    step = lambda x: np.concatenate([-x[1:], x[:1]])[::-1] * 0.5
    assert peak(lambda: cr.grad(lambda x: np.sum(_steps(x, step)))(x)) < 10
    assert peak(lambda: cr.jvp(lambda x: _steps(x[1:], step), (x,), (x,))) < 10
    assert peak(lambda: cr.jacfwd(lambda s: np.sum(_steps(s * x, step)))(1.0)) < 10


def test_forward_mode_keeps_nothing() -> None:
    x = np.linspace(0, 1, N)
    assert peak(lambda: cr.jvp(chain, (x,), (x,))) < 8


def test_the_sweep_frees_what_it_passes() -> None:
    """Gradients as large as residuals: freed as they are passed they need no second set of memory."""
    xs = [np.linspace(0, 1, N) for _ in range(30)]

    def f(xs: Any) -> Any:
        y = 1.0
        for x in xs:
            y = np.sin(x) * y
        return np.sum(y)

    # 30 sines, 30 products and 30 private copies of the arguments; 30 gradients take their place.
    assert peak(lambda: cr.grad(f)(xs)) < 100


def test_checkpoint_trades_memory_for_time() -> None:
    x = np.linspace(0, 1, N)
    block = lambda x: _steps(x, np.sin)

    def f(x: Any, block: Any = block) -> Any:
        for _ in range(5):
            x = block(x)
        return np.sum(x)

    assert peak(lambda: cr.grad(f)(x)) > 200
    assert peak(lambda: cr.grad(lambda x: f(x, cr.checkpoint(block)))(x)) < 75


def test_reading_and_filling_elements_is_linear_in_memory_and_time() -> None:
    n = 3000

    def f(x: Any) -> Any:
        y = cr.numpy.zeros(n)
        for k in range(n):
            y[k] = x[k] * 2.0
        return np.sum(y * y)

    x = np.linspace(0, 1, n)
    np.testing.assert_allclose(cr.grad(f)(x), 8 * x)
    tracemalloc.start()
    cr.grad(f)(x)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2000 * n  # bytes; an array per write would be 24,000


def test_repeated_calls_do_not_grow() -> None:
    w, x = points(1)[0]
    for transform in TRANSFORMS.values():
        transform(w, x)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        for transform in TRANSFORMS.values():
            transform(w, x)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 50_000


# -- long chains --------------------------------------------------------------------------------------------------


def test_a_chain_of_a_million_operations() -> None:
    def f(x: Any) -> Any:
        y = x
        for _ in range(500_000):
            y = y * x + 0.5
        return y

    x = 0.5
    value, gradient = cr.value_and_grad(f)(x)
    assert value == pytest.approx(1.0)  # y = 0.5 y + 0.5
    assert gradient == pytest.approx(1.0 / 0.5)  # y' = y + x y'


def test_a_long_chain_of_arrays_and_its_pullback() -> None:
    def f(x: Any) -> Any:
        for _ in range(20_000):
            x = x * 0.9999
        return x

    _, pullback = cr.vjp(f, X)
    np.testing.assert_allclose(pullback(X)[0], X * 0.9999**20_000)
    np.testing.assert_allclose(pullback(X)[0], X * 0.9999**20_000)


def test_a_long_chain_at_second_order() -> None:
    def f(x: Any) -> Any:
        y = x
        for _ in range(3_000):
            y = y * 0.99 + 0.01 * x * x
        return y

    assert cr.grad(cr.grad(f))(0.5) == pytest.approx(2.0, rel=1e-6)
    assert cr.derivative(cr.grad(f))(0.5) == pytest.approx(2.0, rel=1e-6)


def test_a_long_chain_of_structural_zeros() -> None:
    """The live set of a thousand moves is worked out without recursion when a pole asks for it."""

    def f(x: Any) -> Any:
        y = np.sqrt(x)
        for _ in range(1_500):
            y = np.concatenate([y[1:], y[:1]])[::-1]
        return y[0]

    x = np.array([0.0, 4.0, 0.0])
    np.testing.assert_array_equal(cr.grad(f)(x), [np.inf, 0.0, 0.0])
    np.testing.assert_array_equal(cr.grad(lambda x: f(x[::-1] + np.array([1, 0, 0])))(x), [0.0, 0.0, 0.5])
    np.testing.assert_array_equal(cr.jacfwd(f)(x), [np.inf, 0.0, 0.0])


def test_recursion_of_the_user_alone_counts() -> None:
    """A function may recurse nearly as deeply under differentiation as without."""

    def f(x: Any, depth: int) -> Any:
        return x if depth == 0 else f(x * 1.001, depth - 1)

    depth = sys.getrecursionlimit() - 250
    assert cr.grad(f)(1.0, depth) == pytest.approx(1.001**depth)
    assert cr.jvp(lambda x: f(x, depth - 10), (1.0,), (1.0,))[1] == pytest.approx(1.001 ** (depth - 10))


def test_a_wide_graph() -> None:
    def f(x: Any) -> Any:
        parts = [x[k % 3] * k for k in range(5000)]
        return sum(parts) + np.sum(cr.numpy.array(parts[:1000]))

    want = np.zeros(3)
    for k in range(5000):
        want[k % 3] += k * (2 if k < 1000 else 1)
    np.testing.assert_allclose(cr.grad(f)(X), want)


@pytest.mark.parametrize("n", [10, 10_000])
@pytest.mark.parametrize("f", [lambda x, a: np.sum(x * a), lambda x, a: np.sum(np.exp(x) * np.exp(a * x) - x)])
def test_writing_to_a_gradient_of_a_sum_leaves_the_residuals_alone(f: Any, n: int) -> None:
    x, a = np.random.default_rng(3).normal(size=(2, n))
    _, pullback = cr.vjp(f, x, a)
    first = pullback(1.0)
    expected = [part.copy() for part in first]
    for part in first:
        part *= 5
    for part, known in zip(pullback(1.0), expected, strict=True):
        np.testing.assert_array_equal(part, known)
    for part, known in zip(cr.grad(f, (0, 1))(x, a), expected, strict=True):
        np.testing.assert_array_equal(part, known)
