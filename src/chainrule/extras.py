"""Optional packages: imported when they are needed, and named with their extra where they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from chainrule.errors import ArgumentError

__all__ = ["load"]

# Module -> the extra of this package that brings it.
_EXTRAS = {
    **dict.fromkeys(("sympy", "mpmath"), "symbolic"),
    **dict.fromkeys(("typer", "rich"), "cli"),
    "matplotlib": "plot",
    "pandas": "frame",
}


def load(name: str) -> Any:
    """The module of an optional package; one that is not installed raises with the way to install it."""
    package = name.partition(".")[0]
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        remedy = f"pip install 'chainrule[{_EXTRAS[package]}]'"
        raise ArgumentError(f"this needs {package}, which is not installed: {remedy}") from None
    return importlib.import_module(name)
