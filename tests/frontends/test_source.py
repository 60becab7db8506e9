"""The tree that is read is that of the function that runs, wherever it was defined; else it is refused."""

from __future__ import annotations
import __future__

import ast
import fractions
import functools
import importlib.util
import inspect
import linecache
import math
import os
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
import pytest

from chainrule.errors import ArgumentError, UnsupportedError
from chainrule.frontends.source import read, unwrap


def text(function: Callable[..., Any]) -> str:
    return ast.unparse(read(function).node)


def run(function: Callable[..., Any], *args: Any) -> Any:
    """Call the function made again from the tree that was read."""
    node = read(function).node
    namespace: dict[str, Any] = {}
    exec(f"def f({ast.unparse(node.args)}):\n    {ast.unparse(node.body[0])}", namespace)
    return namespace["f"](*args)


# -- lambdas ------------------------------------------------------------------------------------------

# fmt: off
PAIR = (lambda x: x + 1, lambda x: x + 2)
EQUAL = (lambda x: x * 3, lambda x: x * 3)
NESTED = lambda x: lambda y: y * 2
IN_DEFAULT = lambda x, g=lambda q: q + 10: g(x) + x
CONSTANTS = (lambda: 1, lambda: 2)
OVER_LINES = (lambda x:
              x + 5)
INSIDE = [(lambda k: lambda x: x + k)(k) for k in range(2)]
# fmt: on

LAMBDAS: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (PAIR[0], (1,)),
    (PAIR[1], (1,)),
    (EQUAL[1], (2,)),
    (NESTED(0), (3,)),
    (IN_DEFAULT.__defaults__[0], (1,)),
    (CONSTANTS[0], ()),
    (CONSTANTS[1], ()),
    (OVER_LINES, (1,)),
]


@pytest.mark.parametrize("k", range(len(LAMBDAS)))
def test_lambdas_are_told_apart(k: int) -> None:
    function, args = LAMBDAS[k]
    assert run(function, *args) == function(*args)
    assert read(function).node.name == "<lambda>"


def test_lambdas_in_lambdas() -> None:
    assert text(NESTED).endswith("return lambda y: y * 2")
    assert text(INSIDE[0]).endswith("return x + k")
    assert text(IN_DEFAULT).endswith("return g(x) + x")
    assert ast.unparse(read(IN_DEFAULT).node.args) == "x, g=lambda q: q + 10"


def test_the_columns_are_those_of_the_line() -> None:
    parsed = read(PAIR[1])
    body = parsed.node.body[0]
    assert parsed.line(body.lineno)[body.col_offset : body.end_col_offset] == "x + 2"


def test_without_columns_several_lambdas_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "columns.py"
    path.write_text(
        "from chainrule.frontends.source import read\n"
        "one = lambda x: x + 1\n"
        "print(read(one).node.lineno)\n"
        "two = (lambda x: x + 1, lambda x: x + 2)\n"
        "try:\n    read(two[1])\nexcept Exception as e:\n    print(e)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-X", "no_debug_ranges", str(path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert out.startswith("2\n")
    assert "Put each on a line of its own" in out


# -- definitions --------------------------------------------------------------------------------------


def with_assert(x: float) -> float:
    assert x > 0, "positive"
    return x


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return 2 * function(*args)

    return wrapper


@wrapped
@wrapped
def decorated(x: float) -> float:
    return x


@numba.njit
def compiled(x: float) -> float:
    return x + 1


@functools.lru_cache
def cached(x: float) -> float:
    return x + 2


def three(a: Any, b: Any, c: Any, d: Any = 0) -> Any:
    return a, b, c, d


@dataclass
class Model:
    k: float
    __hidden: float = 0.5

    def energy(self, x: float) -> float:
        return self.k * x * self.__hidden

    def __call__(self, x: float) -> float:
        return self.energy(x)

    def __private(self, __x: float) -> float:
        def __inner(y: float) -> float:
            return y * __x

        return __inner(self.__hidden)

    @staticmethod
    def plain(x: float) -> float:
        return x

    @classmethod
    def make(cls, x: float) -> Model:
        return cls(x)


def test_a_function_read_by_pytest_with_its_assertion() -> None:
    assert "assert x > 0, 'positive'" in text(with_assert)


def test_what_runs_is_the_wrapper() -> None:
    assert read(decorated).node.name == "wrapper"
    assert read(decorated.__wrapped__.__wrapped__).node.name == "decorated"  # type: ignore[attr-defined]


def test_functions_of_functions() -> None:
    def outer(x: float) -> Callable[[float], float]:
        def inner(y: float) -> float:
            return x * y

        return inner

    assert read(outer(1.0)).node.name == "inner"
    assert [n.name for n in ast.walk(read(outer).node) if isinstance(n, ast.FunctionDef)] == ["outer", "inner"]


def test_wrappings_are_unpacked() -> None:
    model = Model(2.0)
    partial = functools.partial(functools.partial(three, 1, d=5), 2, d=6)
    assert unwrap(partial) == (three, (1, 2), {"d": 6})
    assert unwrap(functools.partial(model.energy, x=3.0)) == (Model.energy, (model,), {"x": 3.0})
    assert unwrap(model) == (Model.__call__, (model,), {})
    assert unwrap(Model.make) == (Model.make.__func__, (Model,), {})  # type: ignore[attr-defined]
    assert unwrap(Model.__dict__["plain"]) == (Model.plain, (), {})
    assert unwrap(cached)[0] is cached.__wrapped__
    assert unwrap(compiled)[0] is compiled.py_func
    assert read(compiled).node.name == "compiled"


def test_private_names_are_spelled_as_python_does() -> None:
    assert "self._Model__hidden" in text(Model.energy)
    assert "_Model__inner(self._Model__hidden)" in text(Model._Model__private)  # type: ignore[attr-defined]
    assert "__name__" in text(lambda: __name__)


def test_a_function_that_has_run_often_is_the_same() -> None:
    def often(x: float) -> float:
        for _ in range(3):
            x = x * 1.5 + math.sin(x)
        return x

    for _ in range(200):
        often(0.1)
    assert read(often).node.name == "often"


def test_reading_twice_reads_once() -> None:
    assert read(Model(1.0)) is read(Model(2.0))


@pytest.mark.parametrize("module", [fractions, statistics])
def test_every_function_of_a_module(module: ModuleType) -> None:
    functions = [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__]
    functions += [
        f for c in vars(module).values() if inspect.isclass(c) for f in vars(c).values() if isinstance(f, FunctionType)
    ]
    functions = [f for f in functions if f.__module__ == module.__name__ and not f.__code__.co_filename.startswith("<")]
    assert len(functions) > 20
    for function in functions:
        parsed = read(function)
        lines, first = inspect.getsourcelines(function)
        assert min([parsed.node.lineno, *[d.lineno for d in parsed.node.decorator_list]]) == first
        assert parsed.node.end_lineno is not None
        assert parsed.line(parsed.node.end_lineno) == lines[-1].rstrip()


# -- where sources come from --------------------------------------------------------------------------


def executed(source: str, name: str, entry: bool, flags: int = 0) -> dict[str, Any]:
    if entry:
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, name, "exec", flags, dont_inherit=True), namespace)
    return namespace


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for name in list(linecache.cache):
        if name.startswith(str(tmp_path)):
            del linecache.cache[name]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["<ipython-input-3-abc>", "/tmp/ipykernel_7/42.py", "<python-input-0>", "<made>"])
def test_cells_and_prompts_that_keep_their_source(name: str) -> None:
    source = "a = 1\ndef f(x):\n    return a * x\ng = lambda x: x\n"
    namespace = executed(source, name, entry=True, flags=__future__.annotations.compiler_flag)
    assert text(namespace["f"]) == "def f(x):\n    return a * x"
    assert read(namespace["g"]).file == name
    assert read(namespace["f"]).lines[2] == "    return a * x"


def test_a_cell_that_waits_at_its_top_level() -> None:
    source = "import asyncio\nasync def g(): pass\nf = lambda x: x\nawait g()\n"
    name = "<ipython-input-4-abc>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    code = compile(source, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    (made,) = [c for c in code.co_consts if inspect.iscode(c) and c.co_name == "<lambda>"]
    assert read(FunctionType(made, {})).node.lineno == 3


@pytest.mark.parametrize("name", ["<stdin>", "<string>", "<timed exec>"])
def test_without_source_it_is_refused(name: str) -> None:
    function = executed("def f(x):\n    return x\n", name, entry=False)["f"]
    with pytest.raises(UnsupportedError, match=r"(?s)There is no source of f: file.*notebook cell.*linecache"):
        read(function)


def test_equal_code_of_two_files_keeps_its_file() -> None:
    source = "def f(x):\n    return x\n"
    names = [read(executed(source, name, entry=True)["f"]).file for name in ("<one>", "<other>")]
    assert names == ["<one>", "<other>"]


def test_a_module_in_an_archive(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(folder / "things.zip", "w") as archive:
        archive.writestr("archived_thing.py", "def f(x):\n    return x + 1\n")
    monkeypatch.syspath_prepend(str(folder / "things.zip"))
    module = importlib.import_module("archived_thing")
    assert text(module.f).endswith("return x + 1")


CHANGES = {
    "another body": "def f(x):\n    return x + 2\n",
    "another constant of another type": "def f(x):\n    return x + 1.0\n",
    "a line above": "\ndef f(x):\n    return x + 1\n",
    "no function": "pass\n",
    "broken": "def f(x:\n",
    "empty": "",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_has_changed_is_refused(change: str, folder: Path) -> None:
    path = folder / "model.py"
    path.write_text("def f(x):\n    return x + 1\n")
    module = load(path)
    path.write_text(CHANGES[change])
    with pytest.raises(UnsupportedError, match=r"f: file .*model.py") as refused:
        read(module.f)
    assert change == "empty" or "Reload the module" in str(refused.value)
    path.write_text("def f(x):\n    return x + 1\n")
    os.utime(path, (1, 1))
    assert text(module.f).endswith("x + 1"), "refusing is not remembered"


def test_a_change_that_means_nothing_is_none(folder: Path) -> None:
    path = folder / "model.py"
    path.write_text("def f(x):\n    return x + 1\n")
    module = load(path)
    path.write_text("def f(x):\n    return x + 1  # the same\n\ndef g(): pass\n")
    assert text(module.f).endswith("return x + 1")


def test_a_reloaded_function_is_the_new_one(folder: Path) -> None:
    path = folder / "model.py"
    path.write_text("def f(x):\n    return x + 1\n")
    old = load(path).f
    assert text(old).endswith("x + 1")
    path.write_text("def f(x):\n    return x + 23\n")
    assert text(load(path).f).endswith("x + 23")


# -- what has no source -------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", [math.sin, np.sin, np.dot, len, int, 3.0])
def test_what_is_not_python_is_refused(thing: Any) -> None:
    with pytest.raises(ArgumentError, match=r"not written in Python.*def or lambda"):
        read(thing)


def test_coroutines_are_refused() -> None:
    async def waits(x: float) -> float:
        return x

    with pytest.raises(UnsupportedError, match=r"waits: file .* `async def`.*Define it with def"):
        read(waits)
