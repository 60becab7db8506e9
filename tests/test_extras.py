"""Optional packages: what happens where they are missing."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule import extras
from chainrule.errors import ArgumentError


@pytest.mark.parametrize(
    ("module", "extra"),
    [("sympy", "symbolic"), ("mpmath", "symbolic"), ("pandas", "frame"), ("matplotlib.pyplot", "plot")],
)
def test_a_missing_package_is_named_with_the_way_to_install_it(module: str, extra: str, monkeypatch) -> None:
    package = module.partition(".")[0]
    for loaded in [m for m in sys.modules if m == package or m.startswith(package + ".")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ArgumentError, match=rf"needs {package}, which is not installed: pip install 'chainrule\[{extra}\]'"
    ):
        extras.load(module)


def test_an_error_inside_a_package_is_not_hidden(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sympy.no_such_part", None)
    with pytest.raises(ModuleNotFoundError, match="no_such_part"):
        extras.load("sympy.no_such_part")


def test_a_comparison_without_sympy_does_what_it_can(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sympy", None)
    monkeypatch.setitem(sys.modules, "mpmath", None)
    found = cr.compare(lambda x: np.exp(x), 1.0)
    rows = {row.method: row for row in found.rows}
    assert "this needs sympy, which is not installed: pip install" in rows["SymPy"].note
    assert "this needs mpmath" in found.digits
    assert rows["forward mode"].error < 1e-15
