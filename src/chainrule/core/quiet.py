"""Derivative arithmetic never warns: `quiet` is ``np.errstate(all="ignore")``, entered in a fraction of its time.

Poles of derivatives are signed infinities and no news to the user, whose own operations warn as NumPy does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["quiet"]

try:
    from numpy._core.umath import _extobj_contextvar as _state
except ImportError:  # another NumPy: the public way
    _state = None

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
