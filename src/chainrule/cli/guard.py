"""The border to the user's code: what it prints, warns and raises.

Standard output belongs to the command, so what the user's code prints goes to standard error, and so does each
warning, once. An exception from a line of the user's becomes one line; one from inside chainrule is a fault of
chainrule and keeps its traceback.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from contextlib import AbstractContextManager, ExitStack, redirect_stdout
from types import TracebackType
from typing import TextIO

from chainrule.errors import ArgumentError, ChainruleError, is_users

__all__ = ["Guard", "line_of"]


class Guard(AbstractContextManager[TextIO]):
    """Around a command; gives the stream that the command may print to."""

    def __enter__(self) -> TextIO:
        output = sys.stdout
        self._stack = ExitStack()
        self._warnings = self._stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("default")
        self._stack.enter_context(redirect_stdout(sys.stderr))
        return output

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()
        for text in dict.fromkeys(map(_warning, self._warnings or ())):
            print(text, file=sys.stderr)
        if isinstance(error, (Exception, SystemExit)) and not isinstance(error, (ChainruleError, BrokenPipeError)):
            place = _syntax_place(error) or line_of(error)
            if place is not None:
                raise ArgumentError(f"{place}: {_message(error)}") from error


def line_of(error: BaseException) -> str | None:
    """The line of the user's code that raised; None if the library did so by itself."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]
    if not frames or "importlib" in frames[-1].filename:
        return None
    last = frames[-1]
    return f"{_file(last.filename)}, line {last.lineno}" if not last.filename.startswith("<") else "the expression"


def _syntax_place(error: BaseException) -> str | None:
    if not isinstance(error, SyntaxError) or not error.filename:
        return None
    return f"{_file(error.filename)}, line {error.lineno}"


def _file(path: str) -> str:
    short = os.path.relpath(path)
    return path if short.startswith("..") else short


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "the file ends the program when it is imported: put that under if __name__ == '__main__':"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _warning(found: warnings.WarningMessage) -> str:
    own = not is_users(found.filename) or found.filename.startswith("<")
    place = "" if own else f"{_file(found.filename)}, line {found.lineno}: "
    return f"chainrule: warning: {place}{str(found.message).replace('scalar ', '')}"
