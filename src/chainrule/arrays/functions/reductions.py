"""Reductions and statistics of traced values, as compositions of primitives."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.arrays.arguments import asarray, axes
from chainrule.arrays.buffers import write_out
from chainrule.arrays.protocols import implements, implements_method
from chainrule.rules import elementwise as ew
from chainrule.rules import reduce

_NO = np._NoValue


@implements(np.sum)
def sum_(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _NO, initial: Any = _NO, where: Any = _NO
) -> Any:
    a = asarray(a)
    if where is not _NO:
        a = ew.where(where, a, 0.0)
    if dtype is not None:
        a = a.astype(dtype)
    total = reduce.sum_(a, axis=axes(axis, a.ndim), keepdims=keepdims is True)
    if initial is not _NO:
        total = total + initial
    return total if out is None else write_out(out, total)


@implements(np.mean)
def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _NO, *, where: Any = _NO) -> Any:
    a = asarray(a)
    total = sum_(a, axis, dtype, None, keepdims, where=where)
    if where is not _NO:
        count = np.sum(np.broadcast_to(where, a.shape), axis=axis, keepdims=keepdims is True)
    else:
        over = axes(axis, a.ndim)
        count = int(np.prod([a.shape[k] for k in (range(a.ndim) if over is None else over)]))
    result = total / count
    return result if out is None else write_out(out, result)


@implements_method(np.add, "reduce")
def _add_reduce(a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False, **options: Any) -> Any:
    return sum_(a, axis, dtype, None if out is None else out[0], keepdims, **options)
