"""Checks of derivatives against independent referees, for users who write rules.

`check_grads` compares a function's derivatives in both modes with central differences along random
directions, and the modes with each other by the dot-product test; `check_rule` does the same for a
primitive at its sample points. Both raise `AssertionError` with the numbers that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.api import jvp, vjp
from chainrule.core.dispatch import dtype_of, shape_of
from chainrule.core.primitive import Primitive
from chainrule.errors import ArgumentError, name_of
from chainrule.leaves import build, result_leaves

__all__ = ["check_grads", "check_rule"]

# Relative tolerance of a comparison with central differences, by width of the real dtype in bytes.
_TOLERANCES = {2: 5e-2, 4: 2e-2, 8: 1e-6, 16: 1e-6}
_STEPS = {2: 5e-2, 4: 1e-2, 8: 1e-5, 16: 1e-5}


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    seed: int = 0,
) -> None:
    """Check the derivatives of a function at a point, up to an order.

    Parameters
    ----------
    f : callable
        A smooth function of numbers, arrays and containers.
    args : tuple
        The point; every argument is differentiated.
    order : int
        The highest derivative checked.
    modes : sequence of {"fwd", "rev"}
    atol, rtol : float, optional
        Tolerances; by default they follow from the dtype.
    eps : float, optional
        Step of the central differences.
    seed : int
        Of the random directions.

    Raises
    ------
    AssertionError
        If a derivative differs from its referee; the message has mode, order and numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.testing import check_grads
    >>> check_grads(lambda x, y: np.sin(x) * y, (np.array([0.3, 0.7]), 2.0))
    """
    unknown = set(modes) - {"fwd", "rev"}
    if unknown:
        raise ArgumentError(f'modes: {sorted(unknown)} unknown; choose from "fwd" and "rev"')
    if not isinstance(args, (tuple, list)):
        raise ArgumentError("check_grads takes the arguments as a tuple: check_grads(f, (x, y))")
    rng = np.random.default_rng(seed)
    point = tuple(args)
    width = min((dtype_of(x).itemsize for x in _leaves(point) if dtype_of(x).kind == "f"), default=8)
    width = min([width, *(dtype_of(x).itemsize // 2 for x in _leaves(point) if dtype_of(x).kind == "c")])
    rtol = _TOLERANCES[width] if rtol is None else rtol
    atol = rtol if atol is None else atol
    _check(f, point, order, tuple(modes), atol, rtol, eps or _STEPS[width], rng, name_of(f))


def _check(
    f: Any, args: Any, order: int, modes: Any, atol: float, rtol: float, eps: float, rng: Any, path: str
) -> None:
    direction = _random_like(args, rng)
    ahead, behind = f(*_step(args, direction, eps)), f(*_step(args, direction, -eps))
    y = f(*args)
    difference = _map(lambda a, b: (a - b) / (2 * eps), ahead, behind)
    if "fwd" in modes:
        value, tangent = jvp(f, args, direction)
        _compare(value, y, 1e-12, 1e-12, f"{path}: value of jvp")
        _compare(tangent, difference, atol, rtol, f"{path}: jvp against central differences")
    if "rev" in modes:
        value, pullback = vjp(f, *args)
        _compare(value, y, 1e-12, 1e-12, f"{path}: value of vjp")
        ct = _random_like(value, rng)
        pulled = _inner(pullback(ct), direction)
        _compare(pulled, _inner(ct, difference), atol, rtol, f"{path}: vjp against central differences")
    if "fwd" in modes and "rev" in modes:
        _compare(_inner(ct, tangent), pulled, 1e-3 * atol, 1e-3 * rtol, f"{path}: vjp against jvp")
    if order > 1:
        if "fwd" in modes:
            _check(
                lambda *a: jvp(f, a, direction)[1], args, order - 1, modes, atol, 10 * rtol, eps, rng, f"{path}, jvp"
            )
        if "rev" in modes:
            ct = _random_like(y, rng)
            _check(lambda *a: vjp(f, *a)[1](ct), args, order - 1, modes, atol, 10 * rtol, eps, rng, f"{path}, vjp")


def check_rule(primitive: Primitive, *args: Any, order: int = 2, seed: int = 0, **params: Any) -> None:
    """Check the rule of a primitive, at given arguments or at its own sample points.

    Parameters
    ----------
    primitive : Primitive
    *args, **params
        Where to check; without arguments at ``primitive.samples``.
    order : int
        The highest derivative checked.
    seed : int

    Raises
    ------
    AssertionError
        If a derivative differs from its referee.
    ArgumentError
        If there are neither arguments nor sample points.

    Examples
    --------
    >>> from chainrule.core.primitive import registry
    >>> from chainrule.testing import check_rule
    >>> check_rule(registry["sin"], 0.5)
    """
    if args:
        points: Any = [(args, params)]
    elif primitive.samples is not None:
        points = primitive.samples(np.random.default_rng(seed))
    else:
        raise ArgumentError(f"{primitive.name} has no sample points: give arguments")
    for point, options in points:
        active = [k for k in range(len(point)) if primitive.slot(k) is not None]

        def run(*values: Any, point: Any = point, options: Any = options, active: Any = active) -> Any:
            full = list(point)
            for k, value in zip(active, values, strict=True):
                full[k] = value
            return primitive(*full, **options)

        run.__qualname__ = primitive.name
        check_grads(run, tuple(point[k] for k in active), order=order, seed=seed)


# -- containers as vectors ----------------------------------------------------------------------------


def _leaves(tree: Any) -> list[Any]:
    return result_leaves(tree)[0]


def _map(function: Callable[..., Any], *trees: Any) -> Any:
    columns = [result_leaves(tree) for tree in trees]
    return build(columns[0][1], [function(*leaf) for leaf in zip(*[c[0] for c in columns], strict=True)])


def _random_like(tree: Any, rng: np.random.Generator) -> Any:
    def random(leaf: Any) -> Any:
        shape, dtype = shape_of(leaf), dtype_of(leaf)
        if dtype.kind == "c":
            value = rng.normal(size=shape) + 1j * rng.normal(size=shape)
            return np.asarray(value, dtype)[()] if not shape else value.astype(dtype)
        if dtype.kind != "f":
            dtype = np.dtype(np.float64)
        value = rng.normal(size=shape)
        return dtype.type(value) if not shape else value.astype(dtype)

    return _map(random, tree)


def _step(args: Any, direction: Any, eps: float) -> Any:
    return _map(lambda x, t: x + _narrow(eps, x) * t, args, direction)


def _narrow(eps: float, like: Any) -> Any:
    return eps if dtype_of(like).kind not in "fc" else dtype_of(like).type(eps)


def _inner(a: Any, b: Any) -> Any:
    """Re <a, b>."""
    total = 0.0
    with np.errstate(all="ignore"):
        for x, y in zip(_leaves(a), _leaves(b), strict=True):
            total = total + np.sum(np.real(np.conj(np.asarray(x)) * np.asarray(y)))
    return total


def _compare(have: Any, want: Any, atol: float, rtol: float, what: str) -> None:
    for a, b in zip(_leaves(have), _leaves(want), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape, f"{what}: shapes {a.shape} and {b.shape} differ"
        scale = float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b)))
        good = np.allclose(a, b, rtol=rtol, atol=atol * max(1.0, scale), equal_nan=True)
        assert good, f"{what}: {a} and {b} differ by {np.max(np.abs(a - b))}"
