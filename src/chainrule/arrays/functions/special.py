"""scipy.special's ufuncs of several outputs on traced values: one primitive per output.

This module imports SciPy; it is entered when a ufunc that is not NumPy's own is first met on a traced
value (`arrays.protocols.enter_special`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import scipy.special as sc

from chainrule.arrays.buffers import write_out
from chainrule.arrays.protocols import implements
from chainrule.core.dispatch import bind
from chainrule.errors import UnsupportedError
from chainrule.rules import special

__all__: list[str] = []


def outputs(name: str, *primitives: Any) -> Callable[..., tuple[Any, ...]]:
    """A function that applies each of `primitives` and answers ``out=``."""

    def answer(*inputs: Any, out: Any = None, **options: Any) -> tuple[Any, ...]:
        if options:
            raise UnsupportedError(
                f"{name}: the options {sorted(options)} are not supported for traced values"
            )
        results = tuple(bind(p, *inputs) for p in primitives)
        if out is None:
            return results
        return tuple(r if o is None else write_out(o, r) for o, r in zip(out, results, strict=True))

    return answer


implements(sc.sici)(outputs("sici", special.si, special.ci))
implements(sc.shichi)(outputs("shichi", special.shi, special.chi))
implements(sc.fresnel)(outputs("fresnel", special.fresnel_s, special.fresnel_c))
implements(sc.airy)(outputs("airy", special.airy_ai, special.airy_aip, special.airy_bi, special.airy_bip))
