"""Plans: modes, sweeps, bytes and repetitions before anything runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, UnsupportedError
from chainrule.native.plan import plan


def chain(x, n):
    y = x
    for _ in range(n):
        y = np.sin(y) * x
    return y


def two_results(x):
    return np.array([np.sum(x * x), np.prod(x)])


def many_results(x):
    return np.outer(x, np.exp(x))


def test_a_gradient() -> None:
    found = plan(cr.grad(chain), 0.3, 1000)
    assert [(d.transformation, d.mode, d.sweeps) for d in found.decisions] == [("grad", "reverse", 1)]
    assert {k.bytes for k in found.kept} == {8000}
    assert found.bytes == sum(k.bytes for k in found.kept)
    assert found.objective == 2000
    assert 2 < found.operations / found.objective < 6
    assert "8.0 kB" in str(found)


def test_a_plain_function_is_differentiated() -> None:
    assert plan(chain, 0.3, 10).name == "grad(chain)"
    assert plan(many_results, np.ones(3)).name == "jacobian(many_results)"


@pytest.mark.parametrize(
    ("f", "n", "mode", "sweeps"), [(two_results, 14, "reverse", 2), (many_results, 4, "forward", 4)]
)
def test_a_jacobian_takes_the_mode_with_fewer_sweeps(f, n, mode, sweeps) -> None:
    x = np.linspace(0.5, 1.5, n)
    (decision,) = plan(cr.jacobian(f), x).decisions
    assert (decision.mode, decision.sweeps) == (mode, sweeps)
    np.testing.assert_allclose(
        cr.jit(cr.jacobian(f), backend="python")(x), cr.numerical.jacobian(f, x), rtol=1e-6, atol=1e-6
    )


def test_memory_is_what_was_allowed() -> None:
    n, allowed = 10**6, 100_000
    found = plan(cr.jit(cr.grad(chain), memory=allowed), 0.3, n)
    assert found.bytes <= allowed
    (loop,) = found.repeated
    strips = math.ceil(n / loop.length)
    assert loop.iterations == n
    assert 2 < loop.evaluations < 2 + math.ceil(math.log2(strips))
    assert plan(cr.jit(cr.grad(chain), checkpoint=True), 0.3, n).bytes < 0.01 * plan(cr.grad(chain), 0.3, n).bytes


def test_what_cannot_be_planned() -> None:
    with pytest.raises(ArgumentError, match="takes a function"):
        plan(3.0, 1.0)
    with pytest.raises(UnsupportedError):
        plan(lambda x: x.dot.__self__, 1.0)


@pytest.mark.parametrize("memory", ["much", "1 TB", -5, True, 0, "0 MB", 1.5])
def test_memory_is_a_number_of_bytes(memory) -> None:
    with pytest.raises(ArgumentError, match="memory="):
        cr.jit(chain, memory=memory)
