"""Products and linear algebra of traced values, as compositions of primitives."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.arrays.arguments import asarray
from chainrule.arrays.buffers import write_out
from chainrule.arrays.protocols import implements
from chainrule.rules import linalg


@implements(np.matmul)
def matmul(x1: Any, x2: Any, /, out: Any = None, **options: Any) -> Any:
    a, b = asarray(x1), asarray(x2)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError("matmul: the operands must have at least one dimension; use * for numbers")
    left, right = a.ndim == 1, b.ndim == 1
    result = linalg.matmul(a[None, :] if left else a, b[:, None] if right else b)
    if left:
        result = result[..., 0, :]
    if right:
        result = result[..., 0]
    if out is not None:
        return write_out(out[0] if isinstance(out, tuple) else out, result)
    return result
