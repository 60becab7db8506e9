"""Derivative arithmetic never warns: `quiet` is ``np.errstate(all="ignore")``, entered in a fraction of its time.

Poles of derivatives are signed infinities and no news to the user, whose own operations warn as NumPy does.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy._core import umath

__all__ = ["begin", "end", "quiet"]

# NumPy's own record of how floating-point errors are handled; where it is not found, the public way serves.
_state: Any = getattr(umath, "_extobj_contextvar", None)

with np.errstate(all="ignore"):
    _IGNORE = None if _state is None else _state.get()


class _Quiet:
    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = begin()

    def __exit__(self, *_: Any) -> None:
        end(self._token)


def _begin() -> Any:
    return np.seterr(all="ignore")


def _end(before: Any) -> None:
    np.seterr(**before)


quiet = _Quiet
# The two ends of it for where every call counts: ``token = begin()``, ``try``, ``finally: end(token)``.
begin: Any = _begin if _state is None else functools.partial(_state.set, _IGNORE)
end: Any = _end if _state is None else _state.reset
