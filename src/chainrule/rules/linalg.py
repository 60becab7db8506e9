"""Derivative rules of linear algebra.

References: Giles, Collected matrix derivative results for forward and reverse mode algorithmic
differentiation (2008); Minka, Old and new matrix algebra useful for statistics (2000).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.core.define import multilinear
from chainrule.core.linear import fit
from chainrule.rules.elementwise import Samples
from chainrule.rules.shape import transpose

__all__ = ["matmul"]


def mT(x: Any) -> Any:
    """The matrix transpose: the last two axes exchanged."""
    n = x.ndim
    return transpose(x, axes=(*range(n - 2), n - 1, n - 2))


def _pairs(*shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> Any:
    def samples(rng: np.random.Generator) -> Samples:
        for a, b in shapes:
            yield (rng.normal(size=a), rng.normal(size=b)), {}

    return samples


def _matmul_left(ct: Any, a: Any, b: Any) -> Any:
    """ct b^T, for matrices and stacks of them."""
    return fit(matmul(ct, np.conj(mT(b)) if b.dtype.kind == "c" else mT(b)), a)


def _matmul_right(ct: Any, a: Any, b: Any) -> Any:
    return fit(matmul(np.conj(mT(a)) if a.dtype.kind == "c" else mT(a), ct), b)


# Two operands of at least two dimensions; `arrays.functions` brings vectors to that form.
matmul = multilinear(
    "matmul",
    lambda a, b: np.matmul(a, b),
    _matmul_left,
    _matmul_right,
    samples=_pairs(((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 1, 2, 3), (4, 3, 2))),
)
