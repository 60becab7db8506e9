"""What is kept between processes: whatever the program was built on changes, the answer changes with it.

A "session" reads the user's files anew, as a new process would; what it does not find on disk it compiles.
"""

from __future__ import annotations

import importlib
import linecache
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.backends import cache

ROOT = Path(__file__).parents[1]
MAIN = """{above}
import numpy as np
import chainrule as cr
from callee import factor

SCALE = {scale}
COUNT = {count}

@cr.custom_vjp
def ruled(x):
    return 2.0 * x

ruled.defvjp(lambda x: (2.0 * x, None), lambda residual, ct: ({slope} * ct,))

def f(x):
    total = 0.0
    for i in range(COUNT):
        total += {constant} * factor(x[i]) * SCALE + ruled(x[i])
    return total

gradient = cr.jit(cr.grad(f))
"""
CALLEE = """
def factor(x):
    return {inner} * x
"""
USUAL = {"above": "", "scale": 0.5, "count": 2, "slope": 2.0, "constant": 3.0, "inner": 10.0}


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[float], bool]]:
    """Gradient of `f` at three points, and whether it was found on disk."""
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(**changed: Any) -> tuple[list[float], bool]:
        values = {**USUAL, **changed}
        (tmp_path / "user.py").write_text(MAIN.format(**values))
        (tmp_path / "callee.py").write_text(CALLEE.format(**values))
        for name in ("user", "callee"):
            sys.modules.pop(name, None)
        linecache.checkcache()
        importlib.invalidate_caches()
        found = []
        with monkeypatch.context() as watched:
            watched.setattr(cache, "load", lambda name, load=cache.load: found.append(load(name)) or found[-1])
            gradient = importlib.import_module("user").gradient(np.zeros(3))
        return gradient.tolist(), found[0] is not None

    run()
    return run


def test_the_same_files_find_it(session: Any) -> None:
    assert session() == ([17.0, 17.0, 0.0], True)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"constant": 4.0}, [22.0, 22.0, 0.0]),
        ({"count": 3}, [17.0, 17.0, 17.0]),
        ({"inner": 20.0}, [32.0, 32.0, 0.0]),
        ({"slope": 5.0}, [20.0, 20.0, 0.0]),
    ],
    ids=["a constant", "a global", "a function in another file", "a custom rule"],
)
def test_what_changes_the_program_compiles_another(changed: Any, expected: list[float], session: Any) -> None:
    assert session(**changed) == (expected, False)
    assert session(**changed) == (expected, True)
    assert session() == ([17.0, 17.0, 0.0], True)


def test_lines_that_move_find_it(session: Any) -> None:
    assert session(above="# one\n# two\n") == ([17.0, 17.0, 0.0], True)


def test_a_float_is_an_argument(session: Any) -> None:
    """The program is the same, and is handed another number."""
    assert session(scale=1.5) == ([47.0, 47.0, 0.0], True)


PROGRAM = """
import sys
import numpy as np
import chainrule as cr

def f(x):
    total = 0.0
    for i in range(len(x)):
        total += np.exp(x[i])
    return total

print(cr.jit(cr.grad(f))(np.zeros(64)).sum(), "numba" in sys.modules)
"""


def started(path: Path, **settings: str) -> subprocess.Popen[str]:
    (path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **settings}
    environment.pop("CHAINRULE_CACHE_DIR", None)
    command = [sys.executable, str(path / "program.py")]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return out.strip()


def test_processes_at_once_with_a_home_and_without_vectors(tmp_path: Path) -> None:
    """Both compile or one finds what the other made; then all find it; a process without libmvec has its own."""
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": "", "LOCALAPPDATA": str(tmp_path)}
    assert {said(p) for p in [started(tmp_path, **home) for _ in range(2)]} <= {"64.0 True", "64.0 False"}
    together = [started(tmp_path, **home), started(tmp_path, **home, CHAINRULE_SIMD="0")]
    assert said(together[0]) == "64.0 False"
    assert said(together[1]).startswith("64.0")
    assert said(started(tmp_path, **home, CHAINRULE_SIMD="0")) == "64.0 False"


def test_a_home_that_is_read_only(tmp_path: Path) -> None:
    """Nothing is kept, and nothing is said about it; as the superuser, it stands on a path that cannot be."""
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    if os.access(home, os.W_OK):
        home = tmp_path / "file"
        home.write_text("")
    assert said(started(tmp_path, HOME=str(home), XDG_CACHE_HOME="", LOCALAPPDATA=str(home))) == "64.0 True"
    assert not home.is_dir() or not list(home.iterdir())
