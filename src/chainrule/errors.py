"""Every exception chainrule raises on its own account.

Each message says what failed, at which line of the user's program, and what to write instead.
None of these classes derives from `TypeError`, `ValueError` or `AttributeError`: NumPy and user code
swallow those (``except TypeError:``), and a swallowed exception is a silently wrong derivative.
"""

from __future__ import annotations

import linecache
import os
import sys
from types import FrameType

__all__ = [
    "AliasError",
    "ArgumentError",
    "ChainruleError",
    "LeakedTracerError",
    "LostDerivativeError",
    "UnsupportedError",
    "VerificationError",
]

_STDLIB = os.path.dirname(os.path.abspath(str(linecache.__file__))) + os.sep
_LIBRARIES = frozenset({"numpy", "scipy", "optree", "numba"})
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class ChainruleError(Exception):
    """Base class of every exception raised by chainrule itself."""


class ArgumentError(ChainruleError):
    """An argument of a public function is not what the function needs."""


class LostDerivativeError(ChainruleError):
    """An operation would silently drop the derivative (``float(t)``, ``np.asarray(t)``, …)."""


class UnsupportedError(ChainruleError):
    """A function or option has no derivative rule here."""


class LeakedTracerError(ChainruleError):
    """A traced value is used after the transformation that made it has ended."""


class VerificationError(ChainruleError):
    """Two ways of running one program disagree; it is chainrule that is wrong."""


class AliasError(ChainruleError):
    """Arrays that share memory are written in a way whose derivative is not defined."""


def user_line() -> str:
    """Return ``file:line: source`` of the innermost frame outside chainrule, Python's and its array libraries."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        if is_users(filename):
            source = linecache.getline(filename, frame.f_lineno).strip()
            place = f"{os.path.basename(filename)}:{frame.f_lineno}"
            return f"{place}: `{source}`" if source else place
        frame = frame.f_back
    return "the calling line"


def is_users(filename: str) -> bool:
    """Whether a file is none of chainrule, Python and its array libraries."""
    return not filename.startswith(_PACKAGE) and not _is_library(filename)


def _is_library(filename: str) -> bool:
    if filename.startswith(_STDLIB) or filename.startswith("<frozen"):
        return "-packages" not in filename or any(name in filename.split(os.sep) for name in _LIBRARIES)
    return "site-packages" in filename and any(name in filename.split(os.sep) for name in _LIBRARIES)


def lost(what: str, remedy: str) -> LostDerivativeError:
    """Build the exception for an operation that would lose a derivative."""
    return LostDerivativeError(f"{what} would lose the derivative (at {user_line()}). {remedy}")


def name_of(function: object) -> str:
    """How messages call a user's function."""
    name = getattr(function, "__qualname__", None) or repr(function)
    code = getattr(function, "__code__", None)
    return f"{name} ({os.path.basename(code.co_filename)}:{code.co_firstlineno})" if code else name


def unmask(error: ValueError) -> None:
    """Raise the exception that NumPy hid behind ``setting an array element with a sequence``, if it did."""
    cause = error.__cause__
    if isinstance(cause, ChainruleError):
        raise cause from None
