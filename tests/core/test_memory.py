"""Copies in reused memory: nobody may see that it was used before."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import numpy as np
import pytest

import chainrule as cr
from chainrule.core import memory

SIZE = 20_000  # large enough to be remembered


def test_a_dropped_copy_is_used_again_with_the_new_content() -> None:
    a, b = np.arange(SIZE * 1.0), -np.arange(SIZE * 1.0)
    address = memory.copied(a).__array_interface__["data"][0]
    again = memory.copied(b)
    assert again.__array_interface__["data"][0] == address
    np.testing.assert_array_equal(again, b)


@pytest.mark.parametrize(
    "hold",
    [lambda c: c, lambda c: c[3:5], lambda c: c.T, memoryview, lambda c: lambda: c, lambda c: {"copy": [c]}],
    ids=["itself", "a view", "a transpose", "a buffer", "a closure", "a container"],
)
def test_what_somebody_holds_is_left_alone(hold) -> None:
    a = np.arange(SIZE * 1.0)
    held = hold(memory.copied(a))
    others = [memory.copied(np.full(SIZE, 7.0)) for _ in range(3)]
    part = held if isinstance(held, np.ndarray | memoryview) else held()[:] if callable(held) else held["copy"][0]
    assert not any(np.shares_memory(np.asarray(part), other) for other in others)
    assert not np.shares_memory(others[0], others[1])


@pytest.mark.parametrize("dtype", ["f8", "f4", "c16", "i4", "?", "g", "U3", "M8[s]", "O"])
def test_every_dtype_is_copied_bit_by_bit(dtype: str) -> None:
    raw = np.random.default_rng(0).integers(0, 2, (5, SIZE))
    a = raw.astype("i8").astype(dtype)
    copy = memory.copied(a)
    assert copy.dtype == a.dtype
    assert copy.shape == a.shape
    assert copy.base is None
    assert copy.tolist() == a.tolist()


def test_bits_of_special_numbers_are_kept() -> None:
    bits = np.random.default_rng(0).integers(0, 2**64, SIZE, dtype=np.uint64)
    np.testing.assert_array_equal(memory.copied(bits.view(float)).view(np.uint64), bits)


def test_a_copy_that_was_made_read_only_or_reshaped_is_not_used_again() -> None:
    a = np.ones(SIZE)
    memory.copied(a).flags.writeable = False
    copy = memory.copied(a)
    assert copy.flags.writeable
    copy.shape = (2, SIZE // 2)
    del copy
    assert memory.copied(a).shape == (SIZE,)


@pytest.mark.parametrize("shape", [(SIZE, 2), (0,), (), (1, SIZE), (2, 3)])
def test_shapes_and_layouts(shape: tuple[int, ...]) -> None:
    a = np.random.default_rng(0).normal(size=shape)
    for layout in (a, a.T, a[..., ::-1] if a.ndim else a):
        copy = memory.copied(layout)
        assert copy.flags.c_contiguous
        assert copy.flags.writeable
        np.testing.assert_array_equal(copy, layout)


def test_the_memory_kept_is_bounded() -> None:
    tracemalloc.start()
    try:
        for n in range(1, 60):
            memory.copied(np.ones(SIZE + n))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < memory.LIMIT + 2**18
    finally:
        tracemalloc.stop()


def test_threads_do_not_share_it() -> None:
    a = np.ones(SIZE)
    seen: list[int] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: seen.append(id(memory._store.copies)))
        thread.start()
        thread.join()
    assert id(memory._store.copies) not in seen
    assert memory.copied(a) is not a


def test_a_kept_argument_does_not_change_in_later_calls() -> None:
    kept = []

    def f(w, data):
        kept.append(data)
        return np.sum(w * data)

    for k in range(4):
        np.testing.assert_array_equal(cr.grad(f)(np.ones(SIZE), np.full(SIZE, float(k))), float(k))
    assert [array[0] for array in kept] == [0.0, 1.0, 2.0, 3.0]


def test_a_pullback_keeps_its_residuals_while_others_are_made() -> None:
    def f(w, data):
        return np.sum(w * w * data)

    data = np.full(SIZE, 3.0)
    _, pullback = cr.vjp(lambda w: f(w, data), np.full(SIZE, 2.0))
    for k in range(3):
        cr.grad(f)(np.full(SIZE, 5.0 + k), np.full(SIZE, 7.0 + k))
    np.testing.assert_array_equal(pullback(1.0)[0], 12.0)
