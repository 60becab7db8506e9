"""What the derivatives written by hand are compiled with.

`compiled` allows LLVM everything; the elementary functions run in vectors where the C library has such variants.
"""

from __future__ import annotations

import numba

from chainrule.backends.numba.simd import numpy_module

compiled = numba.njit(fastmath=True, error_model="numpy")
inlined = numba.njit(fastmath=True, error_model="numpy", inline="always")
cos, exp, sin, tanh = (getattr(numpy_module(), name) for name in ("cos", "exp", "sin", "tanh"))
