"""The rules of products and linear algebra at their own sample points, batched forms included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.core.batch import Batch, Rows, by_rows
from chainrule.core.primitive import Primitive
from chainrule.rules import linalg
from tests.helpers import assert_close, check, leaves

RULES = [getattr(linalg, name) for name in linalg.__all__]
PRIMITIVES = [rule for rule in RULES if isinstance(rule, Primitive) and rule.samples]


def _points() -> Any:
    rng = np.random.default_rng(5)
    for primitive in PRIMITIVES:
        for k, (args, params) in enumerate(primitive.samples(rng)):
            yield pytest.param(primitive, args, params, id=f"{primitive.name}-{k}")


@pytest.mark.parametrize(("primitive", "args", "params"), list(_points()))
def test_rule(primitive: Primitive, args: Any, params: Any) -> None:
    check(lambda *xs: primitive(*xs, **params), *args, exact=False)


@pytest.mark.parametrize(("primitive", "args", "params"), list(_points()))
def test_batched_form(primitive: Primitive, args: Any, params: Any) -> None:
    """The batched form agrees with one row after the other, whichever arguments are batched."""
    if primitive.kind == "elementwise":
        return
    size = 3
    for mask in range(1, 1 << len(args)):
        batched = tuple(bool(mask >> k & 1) for k in range(len(args)))
        values = tuple(
            np.stack([a * (1 + 0.01 * r) for r in range(size)]) if flag else a
            for a, flag in zip(args, batched, strict=True)
        )
        batch = Batch(size)
        have = primitive(*[Rows(v, batch) if f else v for v, f in zip(values, batched, strict=True)], **params)
        want = by_rows(primitive, values, batched, size, params)
        for y, z in zip(leaves(have), leaves(want), strict=True):
            assert_close(y.value, z, 1e-10)


def test_matmul_of_reals_and_complex_keeps_real_cotangents_real() -> None:
    a = np.random.default_rng(0).normal(size=(2, 2))
    b = a + 1j
    _, pullback = cr.vjp(linalg.matmul, a, b)
    ct = np.full((2, 2), 1 + 1j)
    x, y = pullback(ct)
    assert x.dtype == np.float64
    assert_close(x, np.real(ct @ np.conj(b).T), 1e-12)
    assert_close(y, a.T @ ct, 1e-12)
