"""What single passes gain: the gradient of a program with and without each, side by side.

    python benchmarks/passes.py [--quick]

Results with and without are compared before anything is timed. Times are medians of interleaved samples in processor
time, one thread; a ratio is to the objective under plain `numba.njit`.
"""

from __future__ import annotations

import os

os.environ.update({f"{pool}_NUM_THREADS": "1" for pool in ("OMP", "OPENBLAS", "MKL", "NUMBA")})

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest import mock

import contestants
import numpy as np
import timing
from programs import gmm, llsq, lstm, ode, scalar

import chainrule as cr
from chainrule.native import jit
from chainrule.transforms import simplify

# -- programs ------------------------------------------------------------------------------------------


def clusters(points, centres):
    total = 0.0
    for i in range(len(points)):
        nearest = np.inf
        for k in range(len(centres)):
            distance = 0.0
            for j in range(points.shape[1]):
                distance += (points[i, j] - centres[k, j]) ** 2
            if distance < nearest:
                nearest = distance
        total += nearest
    return total


def rosenbrock(x):
    total = 0.0
    for i in range(len(x) - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


def heat(u, steps):
    u = u.copy()
    for _ in range(steps):
        u[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2.0 * u[1:-1] + u[:-2])
    return np.sum(u * u)


def relaxed(u, steps):
    n, m = u.shape
    u = u.copy()
    new = u.copy()
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                new[i, j] = 0.25 * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                u[i, j] = new[i, j]
    return np.sum(u * u)


def product(a, b):
    c = np.zeros((len(a), b.shape[1]))
    for i in range(len(a)):
        for j in range(b.shape[1]):
            for k in range(len(b)):
                c[i, j] += a[i, k] * b[k, j]
    return np.sum(c * c)


def filtered(x, w):
    n, m = w.shape
    total = 0.0
    for i in range(x.shape[0] - n + 1):
        for j in range(x.shape[1] - m + 1):
            t = 0.0
            for p in range(n):
                for q in range(m):
                    t += x[i + p, j + q] * w[p, q]
            total += np.tanh(t)
    return total


def polynomial(x, t, s):
    total = 0.0
    for i in range(len(t)):
        r = s[i]
        for j in range(len(x)):
            r -= x[j] * t[i] ** j
        total += r * r
    return total


def factor(a):
    n = len(a)
    low = np.zeros((n, n))
    total = 0.0
    for j in range(n):
        s = a[j, j]
        for k in range(j):
            s -= low[j, k] ** 2
        low[j, j] = np.sqrt(s)
        total += np.log(low[j, j])
        for i in range(j + 1, n):
            t = a[i, j]
            for k in range(j):
                t -= low[i, k] * low[j, k]
            low[i, j] = t / low[j, j]
    return total


def minor(a, n, m, rows, columns):
    if m == 1:
        return a[rows[n] * n + columns[n]]
    row, column, former = rows[n], columns[n], n
    total, sign = 0.0, 1.0
    rows[n] = rows[row]
    for _ in range(m):
        element = a[row * n + column]
        columns[former] = columns[column]
        total += sign * element * minor(a, n, m - 1, rows, columns)
        columns[former] = column
        former, column, sign = column, columns[column], -sign
    rows[n] = row
    return total


def determinant(a, n):
    rows, columns = np.arange(1, n + 2), np.arange(1, n + 2)
    rows[n] = columns[n] = 0
    return minor(a, n, n, rows, columns)


def lorenz(p, steps):
    state = np.array([1.0, 1.0, 1.0])
    for _ in range(steps):
        x, y, z = state
        state = state + 0.01 * np.array([p[0] * (y - x), x * (p[1] - z) - y, x * y - p[2] * z])
    return np.sum(state)


def kalman(observed, q):
    """Minus the log-likelihood of places, of a particle that has a place and a speed."""
    state, spread, step = np.zeros(2), np.eye(2), np.array([[1.0, 0.1], [0.0, 1.0]])
    total = 0.0
    for k in range(len(observed)):
        state = step @ state
        spread = step @ spread @ step.T + q[0] * np.eye(2)
        error, variance = observed[k] - state[0], spread[0, 0] + q[1]
        gain = spread[:, 0] / variance
        state = state + gain * error
        spread = spread - np.outer(gain, spread[0])
        total += np.log(variance) + error * error / variance
    return total


def oscillator(p, force):
    x, v = 1.0, 0.0
    for i in range(len(force)):
        x, v = x + 0.01 * v, v + 0.01 * (p[0] * (1.0 - x * x) * v - x + p[1] * force[i])
    return x


# -- passes --------------------------------------------------------------------------------------------


def option(price: float, volatility: float, steps: int) -> float:
    """A call option in a binomial tree, backwards in time, in place."""
    t = 1 / steps
    up = np.exp(volatility * np.sqrt(t))
    p = (np.exp(0.03 * t) - 1 / up) / (up - 1 / up)
    discount = np.exp(-0.03 * t)
    value = np.zeros(steps + 1)
    for i in range(steps + 1):
        value[i] = max(price * up ** (2 * i - steps) - 100.0, 0.0)
    for k in range(steps - 1, -1, -1):
        for i in range(k + 1):
            value[i] = discount * (p * value[i + 1] + (1 - p) * value[i])
    return value[0]


def ring(u, steps):
    """A nonlinear wave on a ring, whose cells have neighbours by their indices' remainders."""
    n = len(u)
    u, new = u.copy(), np.empty(n)
    for _ in range(steps):
        for i in range(n):
            new[i] = u[i] - 0.1 * u[i] * (u[(i + 1) % n] - u[(i - 1) % n])
        for i in range(n):
            u[i] = new[i]
    return np.sum(u * u)


def orthogonalised(a):
    """The logarithm of the volume that the columns of `a` span, by the modified Gram-Schmidt process."""
    n, m = a.shape
    q = a.copy()
    volume = 0.0
    for k in range(m):
        s = 0.0
        for i in range(n):
            s += q[i, k] * q[i, k]
        length = np.sqrt(s)
        volume += np.log(length)
        for i in range(n):
            q[i, k] /= length
        for j in range(k + 1, m):
            s = 0.0
            for i in range(n):
                s += q[i, k] * q[i, j]
            for i in range(n):
                q[i, j] -= s * q[i, k]
    return volume


def _without(where: str) -> Callable[[], Any]:
    """What takes away a pass from function to function."""
    return lambda: mock.patch(f"chainrule.{where}", lambda function, *rest, **options: function)


def _without_change(where: str) -> Callable[[], Any]:
    """What takes away a pass that says what loops were, too."""
    return lambda: mock.patch(f"chainrule.{where}", lambda function, *rest: (function, {}))


def _with_small_arrays() -> Any:
    return mock.patch.object(simplify, "PASSES", tuple(p for p in simplify.PASSES if p is not simplify.scalarised))


def _without_sums() -> Any:
    fissioned = jit.fissioned
    return mock.patch.object(jit, "fissioned", lambda function, sums: fissioned(function, sums=False))


# What a pass does -> what takes it away.
PASSES: dict[str, Callable[[], Any]] = {
    "what is added to a shadow known to be zero is stored": _without("transforms.reverse.without_zeros"),
    "loops that carry a structural zero back stand under the test": _without("transforms.reverse.guarded"),
    "the partial of a step before its adjoint": _without("transforms.sweep.preaccumulate"),
    "additions to neighbouring cells in loops of their own": _without_sums,
    "independent iterations run side by side": _without("native.jit.interchanged"),
    "what is carried and kept is carried again": _without_change("transforms.interchange.recurring"),
    "what a branch reads is read before it": _without_change("transforms.interchange.lifted"),
    "memory begins where cache lines do": lambda: mock.patch("chainrule.native.workspace._aligned", np.empty),
    "small arrays are scalars": _with_small_arrays,
    "edges have loops of their own": _without("native.jit.parted_at_edges"),
    "cells are handed to the next iteration": _without("native.jit.rolled"),
    "tables that grow are one row": _without("native.jit.flattened"),
    "rows are filled where they are kept": _without("native.jit.expanded"),
    "cheap elements are computed again": _without("native.jit.replayed"),
    "loops that add to the same cells are one": _without("native.jit.gathered"),
    "small integer powers by multiplication": lambda: mock.patch("chainrule.backends.statements._POWERS", frozenset()),
    "indices of rows hidden from LLVM": lambda: mock.patch(
        "chainrule.backends.statements.opaque_loops", return_value=frozenset()
    ),
    "ends of recursions are not called": _without("transforms.simplify.with_ends_inlined"),
    "a level of recursions is written out": _without("native.jit.with_levels_inlined"),
}


class Case(NamedTuple):
    """A program on which a pass shows, its arguments, and which of them are differentiated."""

    what: str
    name: str
    function: Any
    args: tuple[Any, ...]
    argnums: tuple[int, ...] = (0,)


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    zeros, guards, steps, beside, abreast, recur, lift, lines, small, *others = PASSES
    edges, handed, flat, filled, again, one, powers, rows, *deep = others
    normal, square = rng.normal, rng.normal(size=(50, 50))
    yield Case(zeros, "Runge-Kutta, 1000 × 100", ode.objective, ode.data((1000, 100)), ode.ARGNUMS)
    points = normal(size=(5000, 4)), normal(size=(10, 4))
    yield Case(guards, "k-means, 5000 × 10 × 4", clusters, points, (1,))
    yield Case(steps, "scalar loop, 10,000", scalar.objective, scalar.data(10_000))
    yield Case(steps, "Van der Pol's oscillator, 10,000", oscillator, (np.array([0.5, 0.1]), normal(size=10_000)))
    yield Case(beside, "Rosenbrock, 100,000", rosenbrock, (normal(size=100_000),))
    yield Case(beside, "heat equation by slices, 1000 × 100", heat, (normal(size=1000), 100))
    yield Case(beside, "Jacobi's method, 100² × 20", relaxed, (normal(size=(100, 100)), 20))
    mixture = "Gaussian mixture, {} × {}, K = {}"
    for size in ((1000, 2, 5), (1000, 10, 25)):
        yield Case(abreast, mixture.format(*size), gmm.objective, gmm.data(size), gmm.ARGNUMS)
    yield Case(abreast, "k-means, 5000 × 10 × 4", clusters, points, (1,))
    yield Case(abreast, "matrix product by loops, 60³", product, (normal(size=(60, 60)), normal(size=(60, 60))), (0, 1))
    yield Case(
        abreast, "convolution by loops, 64² with 3²", filtered, (normal(size=(64, 64)), normal(size=(3, 3))), (0, 1)
    )
    for what in (recur, lines):
        yield Case(what, "least squares, 128, n = 512", llsq.objective, llsq.data(512), llsq.ARGNUMS)
    yield Case(lift, "k-means, 5000 × 10 × 4", clusters, points, (1,))
    yield Case(lines, mixture.format(*size), gmm.objective, gmm.data(size), gmm.ARGNUMS)
    yield Case(small, "Kalman filter, 2 states, 2000", kalman, (normal(size=2000), np.array([0.1, 0.5])), (1,))
    yield Case(small, "Lorenz's equations, 2000 steps", lorenz, (np.array([10.0, 28.0, 8 / 3]), 2000))
    yield Case(edges, "wave on a ring, 1000 × 50", ring, (0.1 * normal(size=1000), 50))
    yield Case(handed, "option in a binomial tree, 500 steps", option, (101.5, 0.2, 500), (0, 1))
    yield Case(abreast, "Gram-Schmidt process, 80 × 40", orthogonalised, (normal(size=(80, 40)),))
    yield Case(flat, "Gram-Schmidt process, 80 × 40", orthogonalised, (normal(size=(80, 40)),))
    for what in (filled, again, one):
        yield Case(what, "Runge-Kutta, 1000 × 100", ode.objective, ode.data((1000, 100)), ode.ARGNUMS)
    fit = normal(size=16), rng.uniform(-1, 1, 500), normal(size=500)
    yield Case(powers, "least squares with t**j, 500 × 16", polynomial, fit)
    yield Case(rows, "Runge-Kutta, 1000 × 100", ode.objective, ode.data((1000, 100)), ode.ARGNUMS)
    yield Case(rows, "option in a binomial tree, 500 steps", option, (101.5, 0.2, 500), (0, 1))
    yield Case(rows, "lstm, 2 × 1024", lstm.objective, lstm.data((2, 1024)), lstm.ARGNUMS)
    yield Case(rows, "Cholesky's factor by loops, 50", factor, (square @ square.T + 50 * np.eye(50),))
    for what in deep:
        yield Case(what, "determinant by minors, 7 × 7", determinant, (normal(size=49), 7))


def measure(case: Case, effort: timing.Effort) -> list[str]:
    runs = {"with": gradient(case)}
    with ExitStack() as stack:
        stack.enter_context(PASSES[case.what]())
        runs["without"] = gradient(case)
    timing.check_equal(runs, 1e-10)
    plain = contestants.bind(contestants.compiled(case.function), case.args)
    plain()
    seconds = timing.medians({"objective": plain, **runs}, effort)
    before, after, objective = (seconds[name] for name in ("without", "with", "objective"))
    shown = [f"{1e6 * before:.0f}", f"{1e6 * after:.0f}", f"{before / after:.2f}", f"{after / objective:.2f}"]
    return [case.what, case.name, *shown]


def gradient(case: Case) -> Callable[[], Any]:
    compiled = cr.jit(cr.grad(case.function, case.argnums), cache=False)
    compiled(*case.args)
    return contestants.bind(compiled, case.args)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    options = parser.parse_args(arguments)
    timing.use_one_processor()
    effort = timing.Effort(budget=0.2 if options.quick else 1.0, clock=time.process_time)
    rows = [["what", "program", "without, µs", "with, µs", "gain", "÷ objective"]]
    print("| " + " | ".join(rows[0]) + " |", "|---" * len(rows[0]) + "|", sep="\n")
    for case in cases():
        print("| " + " | ".join(measure(case, effort)) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
