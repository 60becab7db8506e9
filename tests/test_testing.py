"""`chainrule.testing`: what it accepts and what it catches; wrong rules are in `test_checks_themselves`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.core.primitive import registry
from chainrule.errors import ArgumentError
from chainrule.testing import check_grads, check_rule

X = np.array([0.5, -1.0, 2.0])

RIGHT: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "number": (np.sin, (0.5,)),
    "vector": (lambda x: np.sum(np.exp(x) * x), (X,)),
    "two arguments": (lambda x, w: np.tanh(w @ x), (X, np.outer(X, X))),
    "container": (lambda p: p["w"] * p["x"], ({"w": X, "x": 2.0},)),
    "containers of results": (lambda x: {"a": x * x, "b": (np.sum(x), x)}, (X,)),
    "float32": (lambda x: np.sum(np.sin(x)), (X.astype(np.float32),)),
    "longdouble": (lambda x: np.sum(np.sin(x)), (X.astype(np.longdouble),)),
    "complex": (lambda z: z**3, (X + 1j,)),
    "complex64": (lambda z: z * z, ((X + 1j).astype(np.complex64),)),
    "real of complex": (lambda z: np.sum(np.abs(z) ** 2), (X + 1j,)),
    "empty": (lambda x: np.sum(np.sin(x)), (np.zeros((0, 2)),)),
    "integers": (lambda n: np.sum(n**2 / 3), (np.array([1, 2, 3]),)),
}


@pytest.mark.parametrize(("f", "args"), RIGHT.values(), ids=RIGHT.keys())
def test_right_derivatives_pass(f: Any, args: Any) -> None:
    check_grads(f, args)
    check_grads(f, args, order=1, modes=("fwd",))
    check_grads(f, args, order=1, modes=("rev",))


def test_order_three() -> None:
    check_grads(lambda x: np.sum(np.sin(x) * x), (X,), order=3)


def wrong(factor: float) -> Any:
    f = cr.custom_jvp(np.sin)
    f.defjvp(lambda p, t: (np.sin(p[0]), factor * np.cos(p[0]) * t[0]))
    return f


@pytest.mark.parametrize("factor", [0.0, -1.0, 2.0, 1.001, np.nan, np.inf])
@pytest.mark.parametrize("modes", [("fwd",), ("rev",), ("fwd", "rev")])
def test_wrong_derivatives_are_caught(factor: float, modes: Any) -> None:
    with pytest.raises(AssertionError, match=r"sin.*: [jv][jv]p"):
        check_grads(wrong(factor), (X,), order=1, modes=modes)


def test_modes_that_disagree_are_caught() -> None:
    f = cr.custom_vjp(np.sin)
    f.defvjp(lambda x: (np.sin(x), x), lambda x, ct: (ct * np.cos(x),))
    f.defjvp(lambda p, t: (np.sin(p[0]), (np.cos(p[0]) + 1e-7) * t[0]))
    with pytest.raises(AssertionError, match="vjp against jvp"):
        check_grads(f, (X,), order=1, rtol=1e-6, atol=1e-6)


def test_a_wrong_second_derivative_is_caught() -> None:
    f = cr.custom_jvp(np.sin)
    f.defjvp(lambda p, t: (np.sin(p[0]), cr.stop_gradient(np.cos(p[0])) * t[0]))
    check_grads(f, (X,), order=1)
    for modes in (("fwd",), ("rev",)):
        with pytest.raises(AssertionError):
            check_grads(f, (X,), order=2, modes=modes)


def test_a_wrong_value_is_caught() -> None:
    f = cr.custom_jvp(np.sin)
    f.defjvp(lambda p, t: (np.sin(p[0]) + 1e-3, np.cos(p[0]) * t[0]))
    with pytest.raises(AssertionError, match="value"):
        check_grads(f, (X,), order=1)


def test_a_dropped_derivative_is_caught() -> None:
    with pytest.raises(AssertionError):
        check_grads(lambda x: x * cr.stop_gradient(x), (X,), order=1)


def test_misuse_raises() -> None:
    with pytest.raises(ArgumentError, match="modes"):
        check_grads(np.sin, (X,), modes=("forward",))
    with pytest.raises(ArgumentError, match="tuple"):
        check_grads(np.sin, X)
    with pytest.raises(ArgumentError, match="sample points"):
        check_rule(cr.elementwise("test.no_samples", lambda x: np.sin(x), lambda y, x: np.cos(x)))


def test_tolerances_can_be_given() -> None:
    check_grads(wrong(1.001), (X,), order=1, rtol=1e-2, atol=1e-2)
    with pytest.raises(AssertionError):
        check_grads(np.sin, (X,), order=1, rtol=1e-15, atol=1e-15, eps=1e-3)


@pytest.mark.parametrize("name", ["sin", "matmul", "power", "reshape", "eigh", "where", "getitem"])
def test_check_rule_runs_at_the_samples_of_a_primitive(name: str) -> None:
    check_rule(registry[name])


def test_check_rule_at_given_arguments() -> None:
    check_rule(registry["arctan2"], 0.3, X)
    check_rule(registry["sum"], np.outer(X, X), axis=(0,), keepdims=True)
