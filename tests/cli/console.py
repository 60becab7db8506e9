"""Commands and their output as pages show them, in ``console`` blocks: run, compared, and written anew.

``python -m tests.cli.console`` writes the real output into ``docs/cli.md``.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import tempfile
from pathlib import Path

from chainrule.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BLOCK = re.compile(r"```console\n\$ (?P<command>.*)\n(?P<output>(?:.*\n)*?)```\n")
FILE = re.compile(r"`(?P<name>\w+\.(?:py|csv))`:\n\n```\w*\n(?P<text>(?:.*\n)*?)```\n")


def run(command: str) -> tuple[str, int]:
    """What a command prints, standard output first, and its exit code."""
    program, *words = shlex.split(command)
    assert program == "chainrule"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return out.getvalue() + err.getvalue(), code


def write_files(text: str, folder: Path) -> None:
    """The files that a page shows."""
    for file in FILE.finditer(text):
        (folder / file["name"]).write_text(file["text"])


def rewrite() -> None:
    text = PAGE.read_text()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_files(text, Path(folder))
        PAGE.write_text(BLOCK.sub(lambda m: f"```console\n$ {m['command']}\n{run(m['command'])[0]}```\n", text))


if __name__ == "__main__":
    rewrite()
