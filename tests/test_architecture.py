"""The shape of the code, as data: which module may import which, how long a file may be, where tests are.

Imports go down the levels only, at the top of a module and inside functions alike. What is imported by name
at run time (`importlib.import_module`) is listed with its reason: it is lazy on purpose.
"""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "chainrule"

# From the lowest up. A module may import from the levels below its own, and from its own folder.
LEVELS: list[set[str]] = [
    {"errors"},
    {"trees", "extras"},
    {"core"},
    {"rules"},
    {"ir"},
    {"arrays"},
    {"leaves", "numpy", "scipy", "numerical"},
    {"eager", "calls"},
    {"transforms", "frontends", "backends"},
    {"native"},
    {"api", "vectorize"},
    {"jacobians"},
    {"view"},
    {"symbolic"},
    {"testing", "report"},
    {"cli"},
]
# Module -> what it imports by name when it is needed, and why not at once.
LAZY = {
    "chainrule": "every public name when it is first used, so that the import costs nothing",
    "chainrule.cli.app": "what a command does when it runs, so that help comes at once",
    "chainrule.cli.main": "the commands, which need an optional package",
    "chainrule.core.transformation": "native mode, where a function that Numba compiled is differentiated",
    "chainrule.extras": "optional packages, with a message where they are missing",
    "chainrule.arrays.protocols": "the rules of scipy.special, which import SciPy",
    "chainrule.arrays.methods": "the namespace that __array_namespace__ answers, made of this package's functions",
    "chainrule.backends.numba.compile": "the special functions that SciPy does not export, which import SciPy",
    "chainrule.backends.numba.program": "Numba, where no machine code is found on disk; threads, for recursion",
    "chainrule.backends.numba.symbols": "the modules of SciPy that a program calls",
    "chainrule.frontends.library.special": "the rules of scipy.special, which import SciPy",
    "chainrule.native.fastcall": "LLVM, when the first program is compiled",
    "chainrule.native.jit": "Numba, when the first program is compiled",
    "chainrule.native.verify": "Numba, when the first program is compiled",
    "chainrule.numpy": "the submodules of NumPy that are looked through",
    "chainrule.scipy": "the submodules that import SciPy",
    "chainrule.scipy.names": "the submodules of SciPy that are looked through",
}
# Third-party packages that may be imported at the top of a module, and the modules that may do so.
HEAVY: dict[str, tuple[str, ...]] = {
    "scipy": (
        "chainrule.rules.special",
        "chainrule.rules.matrices",
        "chainrule.scipy.",
        "chainrule.arrays.functions.special",
        "chainrule.backends.kernels",
    ),
    "optree": (),
    "numba": ("chainrule.backends.numba.",),
    "llvmlite": ("chainrule.backends.numba.",),
    "sympy": (),
    "mpmath": (),
    "matplotlib": (),
    "pandas": (),
    "typer": ("chainrule.cli.",),
    "rich": ("chainrule.cli.",),
}
LINES, TABLE_LINES = 600, 900  # a table of rules is read line by line


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def run_time_nodes(tree: ast.AST) -> list[ast.AST]:
    """All nodes outside ``if TYPE_CHECKING:``."""
    nodes, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))
    return nodes


def imports(name: str) -> set[str]:
    """The modules of the package that a module imports anywhere."""
    found = set()
    for node in run_time_nodes(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative imports hide the levels"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found |= {full if full in MODULES else node.module or ""} & set(MODULES)
    return found


def level_of(name: str) -> int:
    part = name.split(".")[1]
    (level,) = [k for k, names in enumerate(LEVELS) if part in names]
    return level


def test_every_module_has_a_level() -> None:
    parts = {name.split(".")[1] for name in MODULES if "." in name}
    listed = [part for names in LEVELS for part in names]
    assert sorted(listed) == sorted(parts)


@pytest.mark.parametrize("name", [n for n in MODULES if n != "chainrule"])
def test_imports_go_down(name: str) -> None:
    folder = name.split(".")[1]
    for imported in imports(name):
        if imported == "chainrule":
            pytest.fail(f"{name} imports the package itself")
        if imported.split(".")[1] != folder:
            assert level_of(imported) < level_of(name), f"{name} imports {imported}, which is not below it"


def test_the_package_itself_imports_nothing() -> None:
    assert imports("chainrule") == set()


def test_there_is_no_cycle() -> None:
    # A package stands for the imports of its __init__ only; what Python runs on the way is checked by importing.
    TopologicalSorter({name: imports(name) for name in MODULES}).prepare()


def test_lazy_imports_are_the_listed_ones() -> None:
    found = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "__import__")
    }
    assert found <= set(LAZY), f"not listed: {found - set(LAZY)}"


@pytest.mark.parametrize("name", MODULES)
def test_heavy_packages_are_imported_where_they_may_be(name: str) -> None:
    for node in TREES[name].body:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for imported in names:
            allowed = HEAVY.get(imported.partition(".")[0])
            assert allowed is None or name.startswith(tuple(allowed)), f"{name} imports {imported}"


@pytest.mark.parametrize("name", MODULES)
def test_function_level_imports_are_of_optional_packages_only(name: str) -> None:
    top = {id(node) for node in TREES[name].body}
    for node in run_time_nodes(TREES[name]):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and id(node) not in top:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for imported in names:
                assert imported.partition(".")[0] in HEAVY, f"{name} imports {imported} inside a function"


@pytest.mark.parametrize("name", MODULES)
def test_files_are_short(name: str) -> None:
    most = TABLE_LINES if name.startswith("chainrule.rules.") else LINES
    lines = len(MODULES[name].read_text().splitlines())
    assert lines <= most, f"{name} has {lines} lines: split its idea"


def test_functions_are_short() -> None:
    lengths = sorted(
        (node.end_lineno or 0) - node.lineno + 1 - len((ast.get_docstring(node) or "").splitlines())
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    )
    assert lengths[int(0.9 * len(lengths))] <= 25, "the ninetieth percentile of the lengths of functions"
    assert lengths[-1] <= 70, f"the longest function has {lengths[-1]} lines"


def test_names_of_modules_say_what_is_in_them() -> None:
    for name in MODULES:
        last = name.rpartition(".")[2]
        assert last not in ("utils", "util", "misc", "helpers", "common", "base", "tools")
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", last), f"{last}: nouns, no underscore in front"


def test_library_code_does_not_print_or_warn() -> None:
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and not name.startswith("chainrule.cli."):
                called = ast.unparse(node.func)
                assert called not in ("print", "breakpoint"), f"{name} prints"
                as_numpy_does = name.startswith("chainrule.arrays.functions.")
                assert called != "warnings.warn" or as_numpy_does, f"{name} warns"


def test_no_bare_or_broad_except_hides_an_error() -> None:
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                kind = ast.unparse(node.type) if node.type else "everything"
                assert kind not in ("everything", "BaseException", "Exception"), f"{name} catches {kind}"


def test_tests_mirror_the_source() -> None:
    """A test of a module in a folder is in the folder of that name; what is about more is at the top."""
    for path in sorted((ROOT / "tests").glob("*/**/test_*.py")):
        inside = path.relative_to(ROOT / "tests")
        mirrored = PACKAGE / inside.parent / inside.name.removeprefix("test_")
        folder = mirrored.with_suffix("")
        assert mirrored.exists() or folder.is_dir(), f"tests/{inside} mirrors no module"


def test_nothing_of_the_tests_is_imported_by_the_package() -> None:
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith(("tests", "pytest", "hypothesis")), name
