"""Derivative arithmetic never warns: `quiet` is ``np.errstate(all="ignore")``, entered in a fraction of its time.

Poles of derivatives are signed infinities and no news to the user, whose own operations warn as NumPy does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy._core import umath

__all__ = ["quiet"]

# NumPy's own record of how floating-point errors are handled; where it is not found, the public way serves.
_state: Any = getattr(umath, "_extobj_contextvar", None)

with np.errstate(all="ignore"):
    _IGNORE = None if _state is None else _state.get()


class _Quiet:
    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _state.set(_IGNORE)

    def __exit__(self, *_: Any) -> None:
        _state.reset(self._token)


def _public() -> Any:
    return np.errstate(all="ignore")


quiet: Any = _public if _state is None else _Quiet
