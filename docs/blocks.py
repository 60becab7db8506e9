"""The code blocks of the pages: run them, compare what they print, write it anew.

A page is one program. Its ``python`` blocks run in order in one namespace, under the page's own name and line numbers,
so that a traceback, a trace and `cr.jit` point at the page. What a block prints stands in an ``output`` block right
below it; of an ``output measured`` block the words are compared and the numbers are not.
A block marked ``python raises`` ends its output with ``ErrorName: message``. Other words after ``python`` name modules
that a block needs: where one is missing, the rest of the page is not run and its recorded output stays. A block whose
first line begins with ``>>>`` is a session and is checked by doctest.

    python docs/blocks.py [--write] [PAGE …]     check the pages, or write their output anew
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import linecache
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["PAGES", "Block", "Mismatch", "blocks", "check", "run"]

HERE = Path(__file__).parent
PAGES = sorted(p for p in HERE.rglob("*.md") if not {"design", "_build"} & set(p.relative_to(HERE).parts))

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])[-+]?(\d[\d,]*\.?\d*(e[-+]?\d+)?|inf|nan)")
_LANGUAGES = ("python", "pycon")


class Mismatch(AssertionError):
    """A block did not print what the page says."""


@dataclass(frozen=True)
class Block:
    """A block of code: its text, where it starts, what it needs, and the output below it."""

    code: str
    line: int
    needs: tuple[str, ...]
    raises: bool
    output: str | None
    measured: bool
    span: tuple[int, int]  # of the output's text in the page

    @property
    def is_session(self) -> bool:
        return self.code.startswith(">>> ")


def blocks(text: str) -> list[Block]:
    """The blocks of a page that are run."""
    found = []
    fences = list(_FENCE.finditer(text))
    for fence, below in zip(fences, [*fences[1:], None], strict=False):
        language, *words = fence["info"].split() or [""]
        if language not in _LANGUAGES:
            continue
        line = text.count("\n", 0, fence.start("text")) + 1
        adjacent = below is not None and not text[fence.end() : below.start()].strip()
        kind = below["info"].split() if adjacent and below is not None else []
        if below is not None and kind[:1] == ["output"]:
            output, span = below["text"], below.span("text")
        else:
            output, span = None, (0, 0)
        modules = tuple(word for word in words if word != "raises")
        found.append(Block(fence["text"], line, modules, "raises" in words, output, kind[1:] == ["measured"], span))
    return found


def run(page: Path) -> list[tuple[Block, str]]:
    """Run the blocks of a page, with what each printed; where a module is missing, the blocks above only."""
    found = blocks(page.read_text(encoding="utf-8"))
    missing = (k for k, block in enumerate(found) if any(find_spec(name) is None for name in block.needs))
    found = found[: next(missing, len(found))]
    module = ModuleType(f"page_{page.stem}")
    printed: list[str] = []

    @contextlib.contextmanager
    def enter(k: int) -> Iterator[None]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            try:
                yield
            except Exception as error:
                if not found[k].raises:
                    raise
                print("\n".join(wrap(f"{type(error).__name__}: {error}", 88)))
            else:
                assert not found[k].raises, f"{page}, line {found[k].line}: nothing is raised"
        printed.append(_relative(out.getvalue(), page))

    lines = _lines(found)
    vars(module).update(_enter=enter, _session=lambda k: _session(found[k], vars(module), page))
    sys.modules[module.__name__] = module
    linecache.cache[str(page)] = (0, None, lines, str(page))
    try:
        exec(compile(_tree(found, "".join(lines)), str(page), "exec"), vars(module))
    finally:
        del sys.modules[module.__name__], linecache.cache[str(page)]
    return list(zip(found, printed, strict=True))


def _lines(found: list[Block]) -> list[str]:
    """The program of a page: its code at the lines where it stands, and nothing else."""
    lines: list[str] = []
    for block in found:
        if not block.is_session:
            lines += ["\n"] * (block.line - 1 - len(lines)) + block.code.splitlines(keepends=True)
    return lines


def _tree(found: list[Block], source: str) -> ast.Module:
    """The program with each block in ``with _enter(k):``; one compilation, since names imported above change code."""
    whole = ast.parse(source)
    body: list[ast.stmt] = []
    for k, block in enumerate(found):
        (around,) = ast.parse(f"with _enter({k}): _session({k})").body
        assert isinstance(around, ast.With)
        if not block.is_session:
            end = block.line + block.code.count("\n")
            around.body = [node for node in whole.body if block.line <= node.lineno < end]
        body.append(around)
    return ast.Module(body, [])


def _relative(text: str, page: Path) -> str:
    """Without the folders of this machine, without blanks at the ends of lines."""
    shown = text.replace(str(page), page.name)
    return "\n".join(line.rstrip() for line in shown.rstrip().split("\n")) + "\n" if shown.strip() else ""


def _session(block: Block, namespace: dict[str, Any], page: Path) -> None:
    """Run by doctest, which compares."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
    test = doctest.DocTestParser().get_doctest(block.code, {}, page.name, str(page), block.line - 1)
    test.globs = namespace
    report = io.StringIO()
    runner.run(test, out=report.write, clear_globs=False)
    if runner.failures:
        raise Mismatch(report.getvalue())


def check(page: Path) -> int:
    """Run a page and compare; the number of blocks that were run."""
    results = run(page)
    name = page.relative_to(HERE.parent)
    for block, printed in results:
        if not _same(printed, block.output or "", block.measured):
            raise Mismatch(
                f"{name}, line {block.line}: the block prints\n\n{printed}\nand the page says\n\n{block.output}\n"
                f"If the page is to say the new: python docs/blocks.py --write {name}"
            )
    return len(results)


def _same(printed: str, expected: str, measured: bool) -> bool:
    """Whether the words are equal, and the numbers to nine digits (processors differ in the last) if not measured."""
    words = [re.sub(r"[-─]{3,}", "", _NUMBER.sub("#", text)).split() for text in (printed, expected)]
    numbers = [[float(n.group().replace(",", "")) for n in _NUMBER.finditer(text)] for text in (printed, expected)]
    return words[0] == words[1] and (measured or np.allclose(*numbers, rtol=1e-9, atol=1e-12, equal_nan=True))


def write(page: Path) -> None:
    """Put into the page what its blocks print, where it is not the same; empty an output to measure anew."""
    text = page.read_text(encoding="utf-8")
    for block, printed in reversed(run(page)):
        if block.output is None and printed:
            raise Mismatch(f"{page}, line {block.line}: put an output block below, it prints\n{printed}")
        if block.output is not None and not _same(printed, block.output, block.measured):
            text = text[: block.span[0]] + printed + text[block.span[1] :]
    page.write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    pages = [Path(a).resolve() for a in arguments if a != "--write"] or PAGES
    for page in pages:
        if "--write" in arguments:
            write(page)
        else:
            print(f"{page.relative_to(HERE)}: {check(page)} blocks")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent / "src"))
    sys.exit(main(sys.argv[1:]))
