"""How far a number may be from its referee, by the dtype it was computed in; the one table of it."""

from __future__ import annotations

from typing import Any

import numpy as np

# Rounding: two computations of the same number in one dtype, as the two sides of a dot-product test.
ROUNDING = {2: 2e-2, 4: 2e-4, 8: 1e-9, 16: 1e-9}
# Differences: a derivative against central differences of the fourth order, taken in double precision.
DIFFERENCE = 1e-7
SECOND_DIFFERENCE = 1e-6
STEP = 1e-4


def width(dtype: Any) -> int:
    """Bytes of the real numbers in `dtype`, 8 for the extended ones whose functions are doubles inside."""
    dtype = np.dtype(dtype)
    return dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize


def rounding(*dtypes: Any) -> float:
    """The tolerance of a comparison of numbers of which some were computed in `dtypes`."""
    return max(ROUNDING[min(width(d), 16)] for d in dtypes)


def close(actual: Any, desired: Any, tolerance: float, what: str = "") -> None:
    """Compare arrays up to `tolerance`, relative to the largest finite element of `desired` or 1."""
    actual, desired = np.asarray(actual), np.asarray(desired)
    assert actual.shape == desired.shape, f"{what}: shapes {actual.shape} and {desired.shape}"
    wide = np.clongdouble if desired.dtype.kind == "c" or actual.dtype.kind == "c" else np.longdouble
    scale = max(1.0, float(np.max(np.abs(desired), initial=0.0, where=np.isfinite(desired))))
    np.testing.assert_allclose(
        actual.astype(wide), desired.astype(wide), rtol=tolerance, atol=tolerance * scale, err_msg=what
    )
