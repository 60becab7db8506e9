"""NumPy's ufuncs of two outputs on traced values, one primitive per output; and `sinc`, which is no ufunc."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.arrays.buffers import write_out
from chainrule.arrays.protocols import implements
from chainrule.core.dispatch import bind
from chainrule.errors import UnsupportedError
from chainrule.rules import elementwise as ew

__all__ = ["outputs"]


def outputs(name: str, *primitives: Any) -> Callable[..., tuple[Any, ...]]:
    """A function that applies each of `primitives` and answers ``out=``; other options raise."""

    def answer(*inputs: Any, out: Any = None, **options: Any) -> tuple[Any, ...]:
        if options:
            raise UnsupportedError(f"{name}: the options {sorted(options)} are not supported for traced values")
        results = tuple(bind(p, *inputs) for p in primitives)
        if out is None:
            return results
        return tuple(r if o is None else write_out(o, r) for o, r in zip(out, results, strict=True))

    return answer


implements(np.modf)(outputs("modf", ew.modf_fraction, ew.trunc))
implements(np.frexp)(outputs("frexp", ew.frexp_mantissa, ew.frexp_exponent))
implements(np.divmod)(outputs("divmod", ew.floor_divide, ew.remainder))


@implements(np.sinc)
def sinc(x: Any) -> Any:
    return bind(ew.sinc, x)
