"""Gradients by each tool, as its manual advises: compiled where it compiles, one thread, float64.

All four take a scalar function, its arguments, and which of them to differentiate.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Run = Callable[[], Any]


@functools.cache
def load(name: str) -> Any:
    """The tool, ready for one thread and float64."""
    module = importlib.import_module(name)
    if name == "jax":
        module.config.update("jax_enable_x64", True)
    if name == "torch":
        module.set_num_threads(1)
        module.set_default_dtype(module.float64)
    return module


def by_jax(f: Callable[..., Any], args: Sequence[Any], argnums: tuple[int, ...]) -> Run:
    """Numbers among the arguments that are integers are known when it compiles."""
    jax = load("jax")
    static = tuple(k for k, a in enumerate(args) if isinstance(a, int))
    gradient = jax.jit(jax.grad(f, argnums), static_argnums=static)
    given = [a if k in static else jax.numpy.asarray(a) for k, a in enumerate(args)]
    return lambda: jax.block_until_ready(gradient(*given))


def by_torch(f: Callable[..., Any], args: Sequence[Any], argnums: tuple[int, ...]) -> Run:
    torch = load("torch")
    given = [tensor(a, k in argnums) for k, a in enumerate(args)]
    wanted = [given[k] for k in argnums]
    return lambda: torch.autograd.grad(f(*given), wanted)


def tensor(x: Any, active: bool = False) -> Any:
    return load("torch").tensor(x, requires_grad=active) if active or isinstance(x, np.ndarray) else x


def by_autograd(f: Callable[..., Any], args: Sequence[Any], argnums: tuple[int, ...]) -> Run:
    gradient = load("autograd").grad(f, argnums)
    return lambda: gradient(*args)


def by_casadi(f: Callable[..., Any], args: Sequence[Any], argnums: tuple[int, ...], kind: str = "SX") -> Run:
    """All that is differentiated is cut out of one vector of symbols; "SX" records numbers, "MX" matrices."""
    ca = load("casadi")
    shapes = [np.shape(args[k]) for k in argnums]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    symbols = getattr(ca, kind).sym("x", int(ends[-1]))
    given = list(args)
    for k, shape, end in zip(argnums, shapes, ends, strict=True):
        rows, columns = (*shape, 1, 1)[:2]
        given[k] = ca.reshape(symbols[int(end) - rows * columns : int(end)], columns, rows).T
    gradient = ca.Function("gradient", [symbols], [ca.gradient(f(*given), symbols)])
    start = ca.DM(np.concatenate([np.ravel(args[k]) for k in argnums]))

    def run() -> Any:
        flat = gradient(start).full().ravel()
        return tuple(part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True))

    return run
