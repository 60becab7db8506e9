"""What native mode's language leaves out, and what to write instead: a table of sentences."""

from __future__ import annotations

import ast

from chainrule.errors import UnsupportedError
from chainrule.frontends.source import Parsed


def refuse(node: ast.AST, parsed: Parsed, key: str | None = None, detail: str = "") -> UnsupportedError:
    """The exception that refuses `node`; `key` names a row of `REFUSALS`, by default the class of the node.

    The message has the reason (and `detail`), file and line, the source line with a caret, and the way out.
    """
    raise NotImplementedError
