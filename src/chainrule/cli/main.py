"""The entry point: runs a command and answers with the exit code.

0: done. 1: the command found something (a wrong derivative, a kink, a NaN). 2: bad input, said in one line on
standard error. What the user's own code raises is bad input too; an error inside chainrule keeps its traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from chainrule.errors import ChainruleError
from chainrule.extras import load

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`, by default the program's arguments, and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        load("typer")
        load("rich")
        code: int = importlib.import_module("chainrule.cli.app").run(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
    except ChainruleError as error:
        print(f"chainrule: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has seen enough: nothing more is flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code
