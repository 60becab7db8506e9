"""Random programs of views, writes and arithmetic: values are NumPy's, derivatives those of a plain run.

A program is a list of steps ``(operation, random numbers)`` that act on a growing list of arrays which may be
views of one another. `CHAINRULE_PROGRAMS` in the environment sets how many seeds are run. On failure the seed is in the test's name.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests.test_modes_agree import close

SEEDS = int(os.environ.get("CHAINRULE_PROGRAMS", "60"))
STEPS = 10

Arrays = list[Any]
Numbers = list[float]
PLACES: list[Any] = [..., slice(1, None), slice(None, None, -1), 0, -1, slice(None, 2), slice(None, None, 2)]


def choose(options: Any, r: float) -> Any:
    return options[int(r * len(options))]


def fitted(b: Any, shape: tuple[int, ...]) -> Any:
    """The numbers of `b`, repeated to fill `shape`."""
    flat = b.ravel()
    return flat[np.arange(int(np.prod(shape))) % flat.shape[0]].reshape(shape)


def compute(arrays: Arrays, a: Any, b: Any, r: Numbers, cnp: Any) -> None:
    new: list[Callable[[], Any]] = [
        lambda: np.sin(a),
        lambda: a * a,
        lambda: -a,
        lambda: a + 1.5,
        lambda: np.tanh(a) * 0.5,
        lambda: a.copy(),
        lambda: np.exp(-a * a),
        lambda: np.concatenate([a.ravel(), b.ravel()])[:8],
        lambda: np.where(a > 0.1, a, 2 * a),
        lambda: np.cumsum(a.ravel()) * 0.3,
        lambda: np.where(np.arange(a.size).reshape(a.shape) % 2 == 0, a, a * a),
    ]
    arrays.append(choose(new, r[2])())


def look(arrays: Arrays, a: Any, b: Any, r: Numbers, cnp: Any) -> None:
    views: list[Callable[[], Any]] = [
        lambda: a[1:] if len(a) > 1 else a,
        lambda: a[::-1],
        lambda: a.T,
        lambda: a.reshape(-1),
        lambda: a[...],
        lambda: a.ravel(),
        lambda: a[:2],
        lambda: a[::2],
        lambda: a[0] if a.ndim > 1 else a[:1],
        lambda: np.swapaxes(a, 0, -1),
        lambda: np.flip(a),
        lambda: np.split(a, [len(a) // 2])[1],
        lambda: a[:, 0] if a.ndim == 2 else a[-2:],
        lambda: np.expand_dims(a, 0) if a.ndim < 3 else a,
    ]
    arrays.append(choose(views, r[2])())


def store(arrays: Arrays, a: Any, b: Any, r: Numbers, cnp: Any) -> None:
    place = choose(PLACES, r[2])
    shape = np.empty(a.shape)[place].shape
    if r[3] < 0.4:
        a[place] = fitted(b, shape)
    elif r[3] < 0.8:
        a[place] += fitted(b, shape) * 0.4
    else:
        a[place] = 0.7


def augment(arrays: Arrays, a: Any, b: Any, r: Numbers, cnp: Any) -> None:
    v = fitted(b, a.shape)
    kind = int(r[2] * 7)
    if kind == 0:
        a += v * 0.3
    elif kind == 1:
        a *= 1 + 0.1 * v
    elif kind == 2:
        a -= np.sin(v)
    elif kind == 3:
        a /= 2 + v * v
    elif kind == 4:
        a *= a
    elif kind == 5:
        a[1:] += a[:-1]
    else:
        a[:-1] *= a[1:]


def write_out(arrays: Arrays, a: Any, b: Any, r: Numbers, cnp: Any) -> None:
    v = fitted(b, a.shape)
    if r[2] < 0.3:
        np.sin(v, out=a)
    elif r[2] < 0.6:
        np.multiply(v, a, out=a)
    elif r[2] < 0.9:
        np.copyto(a, v)
    else:
        a.fill(0.3)


def scatter(arrays: Arrays, a: Any, b: Any, r: Numbers, cnp: Any) -> None:
    if len(a) < 2:
        return
    index = choose([[0, 1], [1, 0], [0, 0], [1, 1, 0]], r[2])
    v = fitted(b, np.empty(a.shape)[index].shape)
    if r[3] < 0.3:
        a[index] = v
    elif r[3] < 0.6:
        a[index] += v
    elif r[3] < 0.8:
        a[[0, 1]] = a[[1, 0]]
    else:
        a[np.arange(a.size).reshape(a.shape) % 2 == 0] *= 0.5


def by_number(arrays: Arrays, a: Any, b: Any, r: Numbers, cnp: Any) -> None:
    here, there = (tuple(int(q * n) for q, n in zip(s, a.shape, strict=False)) for s in (r[2:5], r[5:8]))
    number = a[here]
    a[there] = number * 1.3
    arrays.append(number * b)
    flat = a.reshape(-1)
    for k, value in enumerate(flat):
        if k + 1 < flat.size:
            flat[k + 1] = value * 0.5 + flat[k + 1]


def by_row(arrays: Arrays, a: Any, b: Any, r: Numbers, cnp: Any) -> None:
    for k, row in enumerate(a):
        if row.ndim:
            row[:] = row * (k + 1)
        elif k + 1 < len(a):
            a[k + 1] = a[k + 1] * 0.5 + row


def buffer(arrays: Arrays, a: Any, b: Any, r: Numbers, cnp: Any) -> None:
    made = np.zeros_like(a) if r[2] < 0.5 else cnp.zeros(a.shape)
    made[...] = a
    made *= 2
    if len(a) > 1:
        made[0] = made[1]
    arrays.append(made)


def order(arrays: Arrays, a: Any, b: Any, r: Numbers, cnp: Any) -> None:
    a.sort(axis=0)


STEPS_BY_NAME = (compute, compute, look, look, store, augment, write_out, scatter, by_number, by_row, buffer, order)


def program(seed: int) -> Callable[[Any, Any, Any], Any]:
    """A function of two arrays and of the module that has `zeros`."""
    rng = random.Random(seed)
    steps = [(rng.choice(STEPS_BY_NAME), [rng.random() for _ in range(8)]) for _ in range(STEPS)]

    def run(x: Any, y: Any, cnp: Any) -> Any:
        arrays = [x, y]
        for step, r in steps:
            step(arrays, choose(arrays, r[0]), choose(arrays, r[1]), r, cnp)
        return np.concatenate([a.ravel() for a in arrays])

    return run


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_program(seed: int, size: str) -> None:
    run = program(seed)
    rng = np.random.default_rng(seed)
    shapes = [(2, 2), (3,)] if size == "small" else [(70, 80), (5000,)]
    point = tuple(rng.uniform(-1, 1, shape) for shape in shapes)
    along = tuple(rng.normal(size=shape) for shape in shapes)
    plain = lambda h: run(*[x + h * t for x, t in zip(point, along, strict=True)], np)
    f = lambda x, y: run(x, y, cr.numpy)
    with np.errstate(all="ignore"):
        value = plain(0.0)
        if not np.all(np.abs(value) < 1e3):
            pytest.skip("the program overflows")
        steps = [(plain(h) - plain(-h)) / (2 * h) for h in (1e-5, 5e-6)]
    reference = (4 * steps[1] - steps[0]) / 3
    kept = tuple(x.copy() for x in point)

    y, y_dot = cr.jvp(f, point, along)
    np.testing.assert_allclose(y, value, rtol=1e-13, atol=1e-13)
    scale = max(1.0, float(np.abs(reference).max()))
    # Differences step over a branch or a tie here and there when there are thousands of numbers.
    assert np.mean(np.abs(y_dot - reference) > 1e-5 * scale) <= (0.0 if size == "small" else 0.02)

    y, pullback = cr.vjp(f, *point)
    np.testing.assert_allclose(y, value, rtol=1e-13, atol=1e-13)
    ct = rng.normal(size=value.size)
    cotangents = pullback(ct)
    again = pullback(ct)
    for a, b in zip(cotangents, again, strict=True):
        np.testing.assert_array_equal(a, b)
        a[...] = 9.0
    inner = sum(np.vdot(c, t) for c, t in zip(again, along, strict=True))
    close(inner, ct @ y_dot, 1e-9)
    for a, b in zip(pullback(ct), again, strict=True):
        np.testing.assert_array_equal(a, b)

    total = lambda x, y: np.sum(ct * np.sin(f(x, y)))
    gradient = cr.grad(total, (0, 1))
    for a, b in zip(gradient(*point), pullback(ct * np.cos(value)), strict=True):
        close(a, b, 1e-9)
    forward = cr.hvp(total, point, along)
    reverse = cr.grad(lambda x, y: sum(np.sum(g * t) for g, t in zip(gradient(x, y), along, strict=True)), (0, 1))
    for a, b in zip(forward, reverse(*point), strict=True):
        close(a, b, 1e-8)
    if size == "small":
        matrices = [np.concatenate([np.reshape(j, (value.size, -1)) for j in jac(f, (0, 1))(*point)], 1)
                    for jac in (cr.jacfwd, cr.jacrev)]  # fmt: skip
        close(matrices[0], matrices[1], 1e-10)
        close(matrices[0] @ np.concatenate([t.ravel() for t in along]), y_dot, 1e-10)
        rows = [np.stack([x, 0.9 * x]) for x in point]
        want = [run(*[row[k].copy() for row in rows], np) for k in range(2)]
        np.testing.assert_allclose(cr.vmap(f)(*rows), want, rtol=1e-13, atol=1e-13)
    for x, y in zip(point, kept, strict=True):
        np.testing.assert_array_equal(x, y)
