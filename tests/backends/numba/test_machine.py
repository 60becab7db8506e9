"""Machine code on disk: found again by a new process, without Numba, and only what belongs to the program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.backends.numba import machine, program, symbols
from chainrule.backends.numba.program import runnable
from chainrule.backends.python import write
from chainrule.ir.build import Builder, constant, integer
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Array, Check, Function, Scalar, Var
from tests.backends.agreement import assert_same, run
from tests.ir.programs import PROGRAMS

ROOT = Path(__file__).parents[3]
# Runs x * factor in a process of its own; says what came out, and whether Numba had to be imported.
PROGRAM = """
import sys
from chainrule.backends.numba.program import runnable
from chainrule.backends.python import write
from chainrule.ir.build import Builder, constant, integer
from chainrule.ir.nodes import Array, Check, Function, Scalar, Var

factor, kind, fastmath = float(sys.argv[1]), sys.argv[2], eval(sys.argv[3])
b = Builder()
x, args = Var("x", Scalar("float64")), (1.0,)
if kind == "vector":
    import numpy as np
    x, args = Var("x", Array("float64", 1)), (np.ones(3),)
    result = b.copy(x)
    b.store(result, [integer(0)], constant(factor))
elif kind == "special":
    import chainrule.rules.special
    args = (factor,)
    result = b.let("digamma", x)
else:
    b.emit(Check(b.let("less", x, constant(9.0)), "ValueError", ("too large: ", x)))
    result = b.let("multiply", x, constant(factor))
call = runnable(write(Function("program", (x,), b.block, (result,)), "compiled"), fastmath=fastmath)
print(call(*args), "numba" in sys.modules)
if kind == "raises":
    try:
        call(10.0)
    except ValueError as error:
        print(error)
    import numba
    print(numba.njit(lambda x: [x])(2.0), call(1.0))
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
    """Without Numba; and whatever changes the program changes the entry."""
    assert said(start(tmp_path)) == "2.0 True"
    assert said(start(tmp_path)) == "2.0 False"
    changed = [start(tmp_path, factor=3.0), start(tmp_path, fastmath="False")]
    assert [said(p) for p in changed] == ["3.0 True", "2.0 True"]
    assert len(list(tmp_path.iterdir())) == 3


def test_two_processes_at_once(tmp_path: Path) -> None:
    for numba in ("True", "False"):
        both = [start(tmp_path, kind="vector"), start(tmp_path, kind="vector")]
        assert {said(p) for p in both} <= {"[2. 1. 1.] False", f"[2. 1. 1.] {numba}"}
    assert len(list(tmp_path.iterdir())) == 1


def test_functions_of_scipy_are_found_again(tmp_path: Path) -> None:
    for numba in ("True", "False"):
        result, imported = said(start(tmp_path, kind="special")).split()
        assert float(result) == pytest.approx(0.42278433509846714, rel=1e-14)
        assert imported == numba


def test_messages_and_numba_after_it(tmp_path: Path) -> None:
    """What was found raises what it should; Numba can be imported then, and both go on."""
    for numba in ("True", "False"):
        assert said(start(tmp_path, kind="raises")) == f"2.0 {numba}\ntoo large: 10.0\n[2.0] 2.0"


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert said(start(tmp_path / "file")) == "2.0 True"


def test_a_damaged_entry_is_made_again(tmp_path: Path) -> None:
    said(start(tmp_path))
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(entry.read_bytes()[:-100])
    assert said(start(tmp_path)) == "2.0 True"
    assert said(start(tmp_path)) == "2.0 False"


# -- in one process -----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> Any:
    """After this has been called, what is not found on disk cannot be had."""
    return lambda: monkeypatch.setattr(program, "importlib", None)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_is_found_and_means_the_same(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    function, args = PROGRAMS[name].function, PROGRAMS[name].arguments()
    source = write(function, "compiled")
    runnable(source)
    found = []
    monkeypatch.setattr(machine, "load", lambda name, load=machine.load: found.append(load(name)) or found[-1])
    call = runnable(source)
    assert found[0] is not None
    assert_same(run(call, args), run(lambda *a: evaluate(function, a), args), ulps=64)


def product(factor: float, *, check: bool = False) -> Any:
    x, b = Var("x", Scalar("float64")), Builder()
    if check:
        b.emit(Check(b.let("less", x, constant(9.0)), "ValueError", ("too large: ", x)))
    return write(Function("product", (x,), b.block, (b.let("multiply", x, constant(factor)),)), "compiled")


def test_results_keep_their_precision_and_arrays_their_class(folder: Path, no_compiler: Any) -> None:
    x, s, b = Var("x", Array("float32", 2)), Var("s", Scalar("float32")), Builder()
    y = b.copy(x)
    b.store(y, [integer(0), integer(0)], s)
    source = write(Function("both", (x, s), b.block, (y, b.let("add", s, s))), "compiled")
    runnable(source)
    no_compiler()
    made, total = runnable(source)(np.zeros((2, 2), np.float32), np.float32(0.5))
    assert type(made) is np.ndarray
    assert (made.dtype, made[0, 0], type(total), total) == (np.float32, 0.5, np.float32, 1.0)


@pytest.mark.parametrize("changed", ["symbols", "platform"])
def test_what_cannot_run_here_is_compiled(changed: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = machine.key(product(2.0), "sums")
    runnable(product(2.0))
    assert machine.load(name)(3.0) == 6.0
    if changed == "symbols":
        monkeypatch.setattr(symbols, "provide", lambda symbol: False)
        assert machine.load(name) is None
    else:
        monkeypatch.setattr(machine, "_platform", lambda: ("another processor",))
        assert machine.key(product(2.0), "sums") != name
    assert runnable(product(2.0))(3.0) == 6.0


def test_another_numba_has_no_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose files are elsewhere: everything is compiled."""
    monkeypatch.setattr(symbols, "numba_folder", lambda: Path("/nowhere"))
    monkeypatch.setattr(machine, "_platform", machine._platform.__wrapped__)
    monkeypatch.setattr(symbols, "runtime", symbols.runtime.__wrapped__)
    assert machine.key(product(2.0)) is not None
    assert runnable(product(2.0))(3.0) == 6.0


def test_the_key_names_everything() -> None:
    keys = {
        machine.key(source, option)
        for source in (product(2.0), product(3.0), product(2.0, check=True))
        for option in ("sums", True, False)
    }
    assert len(keys) == 9
