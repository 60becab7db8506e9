"""Every program of the zoo, in every mode and mixture of modes, against differences of plain runs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from tests.limits import limited
from tests.zoo import PROGRAMS, Program

Function = Callable[..., Any]

# The referee: one long vector in, one long vector out, plain NumPy only.


def flat(tree: Any) -> np.ndarray:
    """The numbers of a result, one after the other."""
    leaves, _ = cr.trees.flatten(tree)
    return np.concatenate([np.zeros(0), *[np.ravel(leaf) for leaf in leaves if not isinstance(leaf, str)]])


def packed(args: tuple[Any, ...]) -> np.ndarray:
    return np.concatenate([np.ravel(a) for a in args])


def unpacked(vector: Any, args: tuple[Any, ...]) -> list[Any]:
    parts, at = [], 0
    for a in args:
        piece = vector[at : at + np.size(a)]
        parts.append(piece.reshape(np.shape(a)).copy() if np.ndim(a) else float(piece[0]))
        at += np.size(a)
    return parts


def plain_run(p: Program) -> Callable[[np.ndarray], np.ndarray]:
    return lambda vector: flat(p.function(*unpacked(vector, p.args)))


def differences(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, step: float = 1e-3) -> np.ndarray:
    """Jacobian by central differences, extrapolated (Richardson) to sixth order."""
    columns = []
    for k in range(x.size):
        e = np.eye(x.size)[k]
        d = [(f(x + h * e) - f(x - h * e)) / (2 * h) for h in (step, step / 2, step / 4)]
        d = [(4 * b - a) / 3 for a, b in zip(d, d[1:], strict=False)]
        columns.append((16 * d[1] - d[0]) / 15)
    return np.stack(columns, axis=-1)


def objective(p: Program) -> Function:
    """A number made of all results, with curvature in each."""

    def total(*args: Any) -> Any:
        leaves, _ = cr.trees.flatten(p.function(*args))
        s: Any = 0.0
        for k, leaf in enumerate(leaves):
            weights = np.cos(np.arange(np.size(leaf)) + k + 1.0).reshape(np.shape(leaf))
            s = s + np.sum(weights * np.sin(leaf))
        return s

    return total


def dense(tree: Any, rows: int, args: tuple[Any, ...]) -> np.ndarray:
    """A nested Jacobian as one matrix."""
    leaves, _ = cr.trees.flatten(tree)
    n = len(args)
    groups = [leaves[k : k + n] for k in range(0, len(leaves), n)]
    return np.concatenate(
        [
            np.concatenate([np.reshape(j, (-1, np.size(a))) for j, a in zip(g, args, strict=True)], axis=1)
            for g in groups
        ]
    ).reshape(rows, -1)


def close(actual: Any, desired: Any, tolerance: float) -> None:
    scale = max(1.0, float(np.max(np.abs(desired), initial=0.0)))
    np.testing.assert_allclose(actual, desired, rtol=tolerance, atol=tolerance * scale)


every_program = pytest.mark.parametrize("p", PROGRAMS, ids=lambda p: p.name)
every_smooth_program = pytest.mark.parametrize("p", [p for p in PROGRAMS if p.order > 1], ids=lambda p: p.name)


def numbers(p: Program) -> tuple[int, ...]:
    return tuple(range(len(p.args)))


@pytest.fixture(autouse=True)
def arguments_stay_as_they_are(request: Any) -> Any:
    """No transformation writes to the caller's arrays."""
    p = request.node.callspec.params["p"]
    before = copy.deepcopy(p.args)
    yield
    for a, b in zip(p.args, before, strict=True):
        np.testing.assert_array_equal(a, b)


@every_program
def test_first_order(p: Program) -> None:
    run, x = plain_run(p), packed(p.args)
    value, reference = run(x), differences(run, x)
    rng = np.random.default_rng(3)
    v, w = rng.normal(size=x.size), rng.normal(size=value.size)

    y, y_dot = cr.jvp(p.function, p.args, unpacked(v, p.args))
    np.testing.assert_allclose(flat(y), value, rtol=1e-14, atol=1e-14)
    close(flat(y_dot), reference @ v, 1e-7)

    y, pullback = cr.vjp(p.function, *p.args)
    np.testing.assert_allclose(flat(y), value, rtol=1e-14, atol=1e-14)
    leaves, structure = cr.trees.flatten(y)
    cts, at = [], 0
    for leaf in leaves:
        size = np.size(leaf)
        cts.append(w[at : at + size].reshape(np.shape(leaf)) if np.ndim(leaf) else float(w[at]))
        at += size
    ct = cr.trees.unflatten(structure, cts)
    first = flat(pullback(ct))
    close(first, w @ reference, 1e-7)
    np.testing.assert_array_equal(flat(pullback(ct)), first)

    y, pushforward = cr.linearize(p.function, *p.args)
    np.testing.assert_allclose(flat(y), value, rtol=1e-14, atol=1e-14)
    close(flat(pushforward(*unpacked(v, p.args))), reference @ v, 1e-7)

    close(dense(cr.jacfwd(p.function, numbers(p))(*p.args), value.size, p.args), reference, 1e-7)
    close(dense(cr.jacrev(p.function, numbers(p))(*p.args), value.size, p.args), reference, 1e-7)
    close(dense(cr.jacobian(p.function, numbers(p))(*p.args), value.size, p.args), reference, 1e-7)


@every_program
def test_gradient(p: Program) -> None:
    total, x = objective(p), packed(p.args)
    reference = differences(lambda v: np.array([total(*unpacked(v, p.args))]), x)[0]
    value, gradient = cr.value_and_grad(total, numbers(p))(*p.args)
    assert value == pytest.approx(total(*copy.deepcopy(p.args)), rel=1e-13)
    close(flat(gradient), reference, 1e-7)
    for g, a in zip(gradient, p.args, strict=True):
        assert type(g) is type(a)
        assert np.shape(g) == np.shape(a)


@every_smooth_program
def test_second_order(p: Program) -> None:
    total, x = objective(p), packed(p.args)
    n = len(p.args)

    def gradient(vector: np.ndarray) -> np.ndarray:
        return differences(lambda v: np.array([total(*unpacked(v, p.args))]), vector)[0]

    reference = differences(gradient, x, 1e-2)
    mixtures = {
        "forward over reverse": cr.jacfwd(cr.grad(total, numbers(p)), numbers(p)),
        "reverse over reverse": cr.jacrev(cr.grad(total, numbers(p)), numbers(p)),
        "forward over forward": cr.jacfwd(cr.jacfwd(total, numbers(p)), numbers(p)),
        "reverse over forward": cr.jacrev(cr.jacfwd(total, numbers(p)), numbers(p)),
    }
    found = {name: dense(hessian(*p.args), x.size, p.args) for name, hessian in mixtures.items()}
    for name, matrix in found.items():
        scale = max(1.0, float(np.abs(reference).max()))
        np.testing.assert_allclose(matrix, reference, rtol=1e-5, atol=1e-5 * scale, err_msg=name)
        close(matrix, found["forward over reverse"], 1e-9)
    v = np.random.default_rng(4).normal(size=x.size)
    product = cr.hvp(total, p.args, unpacked(v, p.args))
    close(flat(product if n > 1 else (product,)), found["forward over reverse"] @ v, 1e-9)


@every_program
def test_batched(p: Program) -> None:
    with limited(p.name, "vmap"):
        check_batched(p)


def check_batched(p: Program) -> None:
    rng = np.random.default_rng(5)
    x = packed(p.args)
    rows = x + 1e-3 * rng.normal(size=(3, x.size))
    points = [unpacked(row, p.args) for row in rows]
    batch = [np.stack(column) for column in zip(*points, strict=True)]

    together = cr.vmap(p.function)(*copy.deepcopy(batch))
    single = [plain_run(p)(row) for row in rows]
    leaves, _ = cr.trees.flatten(together)
    got = np.concatenate([np.zeros((3, 0)), *[np.reshape(leaf, (3, -1)) for leaf in leaves]], axis=1)
    np.testing.assert_allclose(got, single, rtol=1e-13, atol=1e-13)

    gradient = cr.grad(objective(p), numbers(p))
    together = cr.vmap(gradient)(*batch)
    single = [flat(gradient(*point)) for point in points]
    got = np.concatenate([np.reshape(leaf, (3, -1)) for leaf in together], axis=1)
    np.testing.assert_allclose(got, single, rtol=1e-10, atol=1e-10)
