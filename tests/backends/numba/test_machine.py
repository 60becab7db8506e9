"""Machine code on disk: found again by a new process, and only what belongs to the program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# Compiles x * factor in a process of its own; says whether it was found, the result, and what has been imported.
PROGRAM = """
import sys
from chainrule.backends.numba.compile import compiled
from chainrule.backends.python import write
from chainrule.ir.build import Builder, constant, integer
from chainrule.ir.nodes import Array, Function, Scalar, Var

factor, kind, fastmath = float(sys.argv[1]), sys.argv[2], eval(sys.argv[3])
b = Builder()
if kind == "vector":
    import numpy as np
    x, args = Var("x", Array("float64", 1)), (np.ones(3),)
    y = b.copy(x)
    b.store(y, [integer(0)], constant(factor))
    result = y
elif kind == "special":
    import chainrule.rules.special
    x, args = Var("x", Scalar("float64")), (factor,)
    result = b.let("digamma", x)
else:
    x, args = Var("x", Scalar("float64")), (1.0,)
    result = b.let("multiply", x, constant(factor))
made = compiled(write(Function("program", (x,), b.block, (result,)), "compiled"), fastmath=fastmath)
print(made.cached, made.call(*args), "scipy.linalg" in sys.modules)
if kind == "called":
    import numba
    print(numba.njit(lambda x: made.dispatcher(x) + made.dispatcher(1))(x=3.0))
"""


def start(folder: Path | str, factor: float = 2.0, kind: str = "scalar", fastmath: str = "'sums'") -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "CHAINRULE_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", PROGRAM, str(factor), kind, fastmath]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen) -> str:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return out.strip()


def test_a_new_process_finds_what_another_compiled(tmp_path: Path) -> None:
    """Without what Numba imports to compile; and whatever changes the program changes the entry."""
    assert said(start(tmp_path)) == "False 2.0 True"
    assert said(start(tmp_path)) == "True 2.0 False"
    changed = [start(tmp_path, factor=3.0), start(tmp_path, fastmath="False")]
    assert [said(p).split()[:2] for p in changed] == [["False", "3.0"], ["False", "2.0"]]
    assert len(list(tmp_path.iterdir())) == 3


def test_two_processes_at_once(tmp_path: Path) -> None:
    for found in ("False", "True"):
        both = [start(tmp_path, kind="vector"), start(tmp_path, kind="vector")]
        assert {said(p).rsplit(" ", 1)[0] for p in both} <= {f"{found} [2. 1. 1.]", "True [2. 1. 1.]"}
    assert len(list(tmp_path.iterdir())) == 1


def test_functions_of_scipy_are_found_again(tmp_path: Path) -> None:
    assert said(start(tmp_path, kind="special")).startswith("False 0.42278433509846")
    assert said(start(tmp_path, kind="special")).startswith("True 0.42278433509846")


def test_other_compiled_code_calls_what_was_found(tmp_path: Path) -> None:
    assert said(start(tmp_path, kind="called")).endswith("8.0")
    assert said(start(tmp_path, kind="called")) == "True 2.0 False\n8.0"


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert said(start(tmp_path / "file")).startswith("False 2.0")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert said(start(tmp_path)).startswith("False 2.0")


def test_a_damaged_entry_is_made_again(tmp_path: Path) -> None:
    said(start(tmp_path))
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(entry.read_bytes()[:-100])
    assert said(start(tmp_path)).startswith("False 2.0")
    assert said(start(tmp_path)).startswith("True 2.0")
