"""The command line as users meet it: the page's examples, bad input, exit codes, terminals, start."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chainrule.cli.app import app
from chainrule.cli.main import main
from tests.cli import console

ROOT = Path(__file__).parents[2]
PAGE = console.PAGE.read_text()
BLOCKS = [(m["command"], m["output"]) for m in console.BLOCK.finditer(PAGE)]
COMMANDS = ("trace", "graph", "compare", "explain", "grad", "source", "check", "bench", "rules")
MEASURED = ("compare", "bench", "explain")  # their numbers are times and rounding errors
PROGRAM = "import sys; from chainrule.cli.main import main; sys.exit(main())"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    console.write_files(PAGE, tmp_path)
    return tmp_path


def words(text: str) -> list[str]:
    """Those of an output with measurements; what was quick is not said to have been compiled."""
    return re.findall(r"[^\W\d]{2,}", re.sub("µs|ms|first call", "", text))


# -- the page -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "output"), BLOCKS, ids=[c for c, _ in BLOCKS])
def test_the_page_shows_what_is_printed(command: str, output: str, folder: Path) -> None:
    printed, code = console.run(command)
    if command.split()[1] in MEASURED:
        assert words(printed) == words(output)
    else:
        assert printed == output
    found = re.search(r"(?m)^(wrong|undecided|kink|not finite.*):|is wrong in", output)
    assert code == (2 if output.startswith("chainrule: ") and len(output.splitlines()) == 1 else 1 if found else 0)


def test_the_page_has_every_command() -> None:
    assert {command.split()[1] for command, _ in BLOCKS} == set(COMMANDS)
    assert {command.name or command.callback.__name__ for command in app.registered_commands} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    assert f"Example:  chainrule {command}" in result.output


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"chainrule \d+\.\d+\.\d+\n", capsys.readouterr().out)


# -- bad input ----------------------------------------------------------------------------------------

FILES = {
    "bad.py": "def f(x:\n    return x\n",
    "fails.py": "import absent_module\n",
    "exits.py": "raise SystemExit(3)\n",
    "work.py": """
import math
import numpy as np

number = 3

def f(x):
    return x * 2

def raises(x):
    return {}[0] * x

def asserts(x):
    assert x > 100, "too small"
    return x

def loses(x):
    return math.sin(x)

def many(*x):
    return sum(x)

def keyword(*, x):
    return x

def text(x):
    return "a"

def eats(x):
    return np.linalg.cholesky(x)
""",
}

BAD = [
    ("nothing", r"No such command 'nothing'"),
    ("grad", r"Missing argument 'TARGET'"),
    ("grad x x=1 --nothing", r"No such option: --nothing"),
    ("trace x x=1 --mode sideways", r"'sideways' is not one of"),
    ("trace x x=1 --max-rows one", r"--max-rows.* valid int"),
    ("grad x", r"x has no value: add x=1.0"),
    ("grad x x", r"write NAME=VALUE"),
    ("grad x x=1 y=2", r"y has a value but is not in the expression x"),
    ("grad x x=1 --at x=2", r"x is given twice"),
    ("grad x x=abc", r"x=abc: 'abc' is no number"),
    ("grad x x='word'", r"x: the variables of an expression are numbers"),
    ("grad x x=1j", r"x: the variables of an expression are numbers"),
    ("grad 3", r"3 has no variable to differentiate by"),
    ("grad x+ x=1", r"not an expression"),
    ("grad x^2 x=1", r"write \*\*"),
    ("grad x x=1 --wrt y", r"--wrt y: the arguments are x"),
    ("trace x x=1 --seed x=1", r"add --mode forward"),
    ("trace x x=1 --mode forward --seed y=1", r"--seed y: the arguments to differentiate by are x"),
    ("trace x x=1 --html absent/page.html", r"cannot write absent/page.html: No such file or directory"),
    ("graph x x=1 --output g.pdf", r"g.pdf: the ending says no picture: .mmd, .*; or add --format"),
    ("grad work.py", r"which function\? write work.py:NAME; it has f, raises"),
    ("grad work.py: x=1", r"work.py has no function ''; it has f"),
    ("grad work.py:g x=1", r"work.py has no function 'g'; it has f"),
    ("grad work.py:number x=1", r"work.py:number is int, not a function"),
    ("grad absent.py:f x=1", r"there is no file absent.py"),
    ("grad bad.py:f x=1", r"bad.py, line 1: SyntaxError"),
    ("grad fails.py:f x=1", r"fails.py, line 1: ModuleNotFoundError: No module named 'absent_module'"),
    ("grad exits.py:f x=1", r"exits.py, line 1: the file ends the program"),
    ("grad work.py:f", r"work.py:f needs x: add --at x=VALUE"),
    ("grad work.py:f x=1 y=2", r"work.py:f has no argument 'y'; it has x"),
    ("grad work.py:f x='a'", r"work.py:f has no argument to differentiate by"),
    ("grad work.py:f x=True", r"work.py:f has no argument to differentiate by"),
    ("grad work.py:f x=absent.npy", r"x=absent.npy: cannot read absent.npy"),
    ("grad work.py:raises x=1", r"work.py, line 11: KeyError: 0"),
    ("check work.py:asserts x=1", r"work.py, line 14: AssertionError: too small"),
    ("grad work.py:loses x=1", r"would lose the derivative \(at work.py:18"),
    ("grad work.py:many x=1", r"takes any number of arguments"),
    ("grad work.py:keyword x=1", r"takes x by keyword only"),
    ("grad work.py:eats x=[[-1.0]]", r"work.py, line 30: LinAlgError: "),
    ("compare work.py:f x=[1.0,2.0]", r"compare needs a function that returns one real number"),
    ("compare work.py:f x=1 --manual nothing", r"'nothing' names no function: write FILE.py:name"),
    ("source work.py:loses x=1 --stage half", r"'half' is not one of"),
    ("rules zzz", r"no rule is called 'zzz'"),
    ("rules --kind zzz", r"kinds are elementwise, general"),
    ("bench x x=[1.0,2.0]", r"bench needs a function that returns one real number"),
]


@pytest.mark.parametrize(("command", "message"), BAD, ids=[c for c, _ in BAD])
def test_bad_input_gets_one_line_and_exit_code_two(
    command: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)
    code = main(command.split())
    out, err = capsys.readouterr()
    assert re.search(message, err), err
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("chainrule: ")
    assert "Traceback" not in err


def test_an_error_inside_chainrule_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    from chainrule.cli import derivatives

    monkeypatch.setattr(derivatives, "grad", lambda request, output: [][1])
    monkeypatch.setattr("chainrule.cli.guard.is_users", lambda filename: False)
    with pytest.raises(IndexError):
        main(["grad", "x", "x=1"])


# -- what is printed where ----------------------------------------------------------------------------


def test_what_the_users_code_prints_and_warns_is_no_part_of_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("talks.py").write_text(
        "import warnings\nprint('loading')\ndef f(x):\n    print('called')\n    warnings.warn('old')\n    return x**2\n"
    )
    assert main(["grad", "talks.py:f", "x=3.0", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"function": "talks.py:f", "at": {"x": 3.0}, "value": 9.0, "derivative": {"x": 6.0}}
    assert "loading" in err
    assert err.count("chainrule: warning: talks.py, line 5: old") == 1


def test_a_file_finds_its_neighbours_and_hides_no_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("neighbour_of_random.py").write_text("factor = 3.0\n")
    Path("random.py").write_text("from neighbour_of_random import factor\ndef f(x):\n    return factor * x\n")
    before = sys.modules.get("random")
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(["grad", "random.py:f", "x=1.0"]) == 0
    assert sys.modules.get("random") is before
    assert "∂f/∂x = 3.0" in capsys.readouterr().out


def start(*argv: str, program: str = PROGRAM, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    changed = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment}
    return subprocess.run(
        [sys.executable, "-c", program, *argv], env=changed, capture_output=True, text=True, check=False
    )


def test_help_comes_at_once() -> None:
    program = "import sys; from chainrule.cli.main import main; main(); print(*sys.modules, file=sys.stderr)"
    fastest = float("inf")
    for _ in range(3):
        before = time.perf_counter()
        done = start("--help", program=program)
        fastest = min(fastest, time.perf_counter() - before)
        if fastest < 0.5:
            break
    assert not {"numpy", "numba", "scipy", "sympy", "chainrule.view.trace"} & set(done.stderr.split())
    assert fastest < 2.0  # a fifth of a second to a third where nothing else runs


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_a_missing_package_is_named_with_the_way_to_install_it(package: str) -> None:
    done = start("grad", "x", "x=1", program=f"import sys; sys.modules[{package!r}] = None; {PROGRAM}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"chainrule: this needs {package}, which is not installed: pip install 'chainrule[cli]'\n"


def test_a_reader_who_has_seen_enough() -> None:
    command = f'"{sys.executable}" -c "{PROGRAM}" rules | head -n 1'
    done = subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("name")
    assert done.stderr == ""


def test_an_encoding_without_letters_gets_ascii() -> None:
    done = start("trace", "sqrt(x)", "x=4.0", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"(?m)^-+$", done.stdout)
    assert "dv1/dv0 = 0.5*v0**(-0.5)  = 0.25" in done.stdout
    assert done.stdout.isascii()


def terminal(*argv: str, **environment: str) -> str:
    """What a command prints on a terminal."""
    leader, follower = pty.openpty()
    changed = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    changed |= {"PYTHONPATH": str(ROOT / "src"), "TERM": "xterm-256color", **environment}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *argv], env=changed, stdout=follower, stderr=follower)
    os.close(follower)
    parts = []
    try:
        while part := os.read(leader, 4096):
            parts.append(part)
    except OSError:  # the other side is closed
        pass
    os.close(leader)
    assert process.wait() == 0
    return b"".join(parts).decode()


def test_colours_are_for_terminals() -> None:
    assert "\x1b[36m" in terminal("grad", "x**2", "x=3.0")
    assert "\x1b" not in terminal("grad", "x**2", "x=3.0", NO_COLOR="1")


def test_progress_is_for_terminals() -> None:
    assert "timing" in terminal("bench", "x**2", "x=3.0", "--seconds", "0.01")
    assert start("bench", "x**2", "x=3.0", "--seconds", "0.01").stderr == ""


def test_the_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"chainrule": "chainrule.cli.main:main"}
    assert {re.split(r"[<>=]", need)[0] for need in project["optional-dependencies"]["cli"]} == {"typer", "rich"}


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "rules"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
