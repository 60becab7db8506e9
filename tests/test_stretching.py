"""Extents of 1 that no one knew when the program was read: they are stretched as NumPy stretches them."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

import chainrule as cr

A = np.arange(6.0).reshape(3, 2) + 0.5
BACKENDS = ["interpreter", "python", "numba"]


@dataclasses.dataclass
class Model:
    w: Any


model = Model(np.ones((3, 1)))
weights = np.ones((3, 1))


def of_global(a):
    return np.sum((weights * a - a * a) ** 2)


def of_field(a):
    return np.sum((model.w * a - a * a) ** 2)


def made(a, n):
    return np.sum((np.ones((3, n)) - a) ** 2 * np.ones((n, 2)))


def sliced(a, n):
    return np.sum(a[:, :n] * a) + np.sum(a[:n] ** 2 * a)


def reshaped(a, n):
    return np.sum((a[:, 0].reshape(a.shape[0], -1) - a) ** 2 * n)


def three(a, n):
    return np.sum(a[:n] * a * a[:, :n] + np.exp(a[:n, :n]))


def stored(a, n):
    z = np.zeros_like(a)
    z[:, :] = a[:, :n]
    z += a[:n] * z
    z[[0, 2]] = z[[0, 2]] * a[:n]
    return np.sum(z**2)


def selected(a, n):
    return np.sum(np.where(a[:, :n] > 1.0, a, np.maximum(a[:n], a**2)))


def told(a, n):
    return np.sum(np.broadcast_to(a[:n], (3, 2)) * a)


def masked(a, n):
    row = a[:, 0]
    return np.sum(a * row[row < 1.0] ** 2) * n


def in_a_loop(a, n):
    s = 0.0
    for i in range(3):
        for j in range(n + 1):
            s += np.sum(a[: i + 1, : j + 1] * a[i : i + 1])
    return s


def recursive(a, n):
    if n == 0:
        return np.sum(a**3)
    return recursive(a[:n] * a, n - 1) + recursive(a[:, :n] * a, n - 1)


def by_gradient(a, n):
    return np.sum(cr.grad(lambda y: np.sum((y - a) ** 3))(a[:, :n]) * a)


PROGRAMS = [made, sliced, reshaped, three, stored, selected, told, masked, in_a_loop, recursive, by_gradient]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_computed_extents_of_one(program):
    gradient = cr.jit(cr.grad(program), backend="python")
    expected = [(program(_step(A, k, 1e-5), 1) - program(_step(A, k, -1e-5), 1)) / 2e-5 for k in range(6)]
    np.testing.assert_allclose(gradient(A, 1).ravel(), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(cr.jit(program, backend="python")(A, 1), program(A, 1))


def _step(a, k, h):
    a = a.copy()
    a.flat[k] += h
    return a


@pytest.mark.parametrize("backend", BACKENDS)
def test_back_ends(backend):
    f = cr.jit(three, backend=backend)
    np.testing.assert_allclose(cr.grad(f)(A, 1), cr.grad(three)(A, 1))
    np.testing.assert_allclose(cr.hessian(f)(A, 1), cr.hessian(three)(A, 1), atol=1e-12)


def test_the_first_program_is_the_one_without_questions_and_the_other_stays():
    f = cr.jit(sliced, backend="python")
    assert "== 1" not in cr.source(f, A, 2)
    with pytest.raises(ValueError, match="extents 2 and 3 do not agree"):
        f(A, 2)
    assert [s.stretches for found in f._programs.values() for s in found] == [False]
    f(A, 1)
    f(A, 1)
    assert [s.stretches for found in f._programs.values() for s in found] == [True, False]
    with pytest.raises(ValueError, match="do not agree"):
        f(A, 2)


SHAPES = [*itertools.product((1, 2, 3), repeat=2), (1,), (2,), (3,)]


def test_every_pair_of_shapes_as_numpy_does():
    f = cr.jit(lambda x, y, n: np.sum(np.sin(x[:n] - y[:n]) * x[:n]), backend="python")
    gradient = cr.grad(f, (0, 1))
    for s, t in itertools.product(SHAPES, SHAPES):
        x, y = np.linspace(0.1, 1.0, np.prod(s)).reshape(s), np.linspace(2.0, 3.0, np.prod(t)).reshape(t)
        for n in (1, 2):
            try:
                expected = np.sum(np.sin(x[:n] - y[:n]) * x[:n])
            except ValueError:
                with pytest.raises(ValueError, match=r"broadcast|agree"):
                    f(x, y, n)
                continue
            np.testing.assert_allclose(f(x, y, n), expected)
            for got, want in zip(gradient(x, y, n), cr.grad(f.function, (0, 1))(x, y, n), strict=True):
                assert got.shape == want.shape
                np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("where", ["global", "field"])
def test_arrays_from_outside_whose_extents_change(monkeypatch, where):
    program = of_global if where == "global" else of_field
    gradient = cr.jit(cr.grad(program))
    for shape in [(3, 1), (3, 2), (1, 2), (3, 1), (1, 1)]:
        values = np.linspace(1.0, 2.0, np.prod(shape)).reshape(shape)
        monkeypatch.setitem(globals(), "weights", values)
        model.w = values
        for _ in range(2):  # the second call takes the short road
            np.testing.assert_allclose(gradient(A), cr.grad(program)(A))


def test_closures_and_batches():
    def rows(scale):
        return lambda r: (r[:1] * r * scale, np.sum(r[:1] - r * scale))

    for scale in (np.ones(1), np.array([1.0, 2.0])):
        f = rows(scale)
        for got, want in zip(cr.jit(cr.vmap(f), backend="python")(A), cr.vmap(f)(A), strict=True):
            np.testing.assert_allclose(got, want)
    f = cr.jit(lambda a, n: a[:, :n] * a[:n], backend="python")
    np.testing.assert_allclose(cr.jacobian(f)(A, 1), cr.jacobian(f.function)(A, 1))


def test_a_program_whose_effects_are_seen_is_not_run_again(capsys):
    def written(a, b, n):
        b[0] += 1.0
        return np.sum(a[:n] * a)

    b = np.zeros(2)
    with pytest.raises(ValueError, match="keepdims"):
        cr.jit(written, backend="python")(A, b, 1)

    def printed(a, n):
        print("once")
        return np.sum(a[:n] * a)

    with pytest.raises(ValueError, match="keepdims"):
        cr.jit(printed, backend="python")(A, 1)
    assert capsys.readouterr().out == "once\n"
