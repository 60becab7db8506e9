"""SciPy's functions for traced values: what SciPy writes in Python on ``np.asarray``.

``scipy.special``'s ufuncs (``gammaln``, ``erf``, ``expit``, …) work on traced values as they are. Here are
the others under their own names: `special` (``logsumexp``, ``softmax``, …), `linalg` and `stats`. Plain
arguments go to SciPy itself, every other name of these modules is SciPy's own, and one that has no
derivative here raises by name when it is called with a traced value.

>>> import chainrule as cr
>>> from chainrule.scipy import special
>>> cr.grad(lambda x: special.logsumexp([x, 0.0]))(0.0)
0.5
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["linalg", "special", "stats"]


def __getattr__(name: str) -> Any:
    package = __name__ if name in __all__ else "scipy"
    try:
        return importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError:
        raise AttributeError(f"module 'chainrule.scipy' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
