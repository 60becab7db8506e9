"""Programs without jumps do what the programs with them do: executed, statement by statement, on random programs."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from typing import Any

import pytest

from chainrule.frontends import jumps
from chainrule.frontends.jumps import For, remove_jumps

# -- running both -------------------------------------------------------------------------------------


class Exhausted(Exception):
    """The program has asked for more decisions than there are."""


class Asker(list[Any]):
    """Hands a program its decisions and writes down what it does."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng

    def __call__(self, key: Any) -> bool:
        self.append(key)
        if len(self) > 60:
            raise Exhausted
        return self.rng.random() < 0.4


class WithGuards(ast.NodeTransformer):
    """The meaning of `For.guard` in Python."""

    def visit_For(self, node: ast.For) -> ast.For:
        assert isinstance(node, For)
        self.generic_visit(node)
        if node.guard is not None:
            node.body = [*node.body, ast.If(node.guard, [ast.Break()], [])]
        return ast.fix_missing_locations(node)


def outcome(body: list[ast.stmt], seed: int) -> Any:
    """The trace of a program, and how it ended."""
    (function,) = ast.parse("def f(ask, i, j): pass").body
    assert isinstance(function, ast.FunctionDef)
    function.body = body or [ast.Pass()]
    namespace: dict[str, Any] = {}
    module = ast.fix_missing_locations(ast.Module([function], []))
    exec(compile(module, "<program>", "exec"), namespace)
    ask = Asker(random.Random(seed))
    try:
        result = namespace["f"](ask, -1, -2)
    except (Exhausted, ArithmeticError) as error:
        result = type(error).__name__
    return list(ask), result


def size(body: list[ast.stmt]) -> int:
    return sum(isinstance(n, ast.stmt) for top in body for n in ast.walk(top))


def assert_same(source: str, seeds: range = range(12)) -> list[ast.stmt]:
    body = ast.parse(source).body
    before = ast.dump(ast.Module(body, []), include_attributes=True)
    done = remove_jumps(body)
    assert ast.dump(ast.Module(body, []), include_attributes=True) == before, "the given nodes are changed"
    assert_without_jumps(done, source)
    wanted = [outcome(body, seed) for seed in seeds]
    module = WithGuards().visit(ast.Module(done, []))
    assert [outcome(module.body, seed) for seed in seeds] == wanted, f"{source}\n->\n{ast.unparse(module)}"
    return remove_jumps(body)


def assert_without_jumps(body: list[ast.stmt], source: str) -> None:
    lines = len(source.splitlines())
    for top in body:
        for node in ast.walk(top):
            assert not isinstance(node, (ast.Break, ast.Continue))
            assert not isinstance(node, ast.Return) or node is body[-1]
            assert not isinstance(node, (ast.For, ast.While)) or not node.orelse
            assert not isinstance(node, ast.stmt) or 1 <= node.lineno <= lines, "a statement without its line"


# -- programs -----------------------------------------------------------------------------------------


class Writer:
    """Random programs of decisions, loops and jumps."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.count = 0

    def key(self) -> int:
        self.count += 1
        return self.count

    def ask(self) -> str:
        return f"ask(({self.key()}, i, j))"

    def block(self, depth: int, in_loop: bool) -> Iterator[str]:
        for _ in range(self.rng.randint(1, 4)):
            yield from self.statement(depth, in_loop)

    def statement(self, depth: int, in_loop: bool) -> Iterator[str]:
        leave = ["break", "continue"] * in_loop + ["return"]
        compound = ["if"] * 5 + ["for", "while", "loop"]
        kinds = ["do"] * 3 + leave + (compound if depth and self.count < 40 else [])
        kind = self.rng.choice(kinds)
        if kind == "do":
            yield self.rng.choice([self.ask(), f"i = ({self.key()}, j)", f"j = {self.key()}", "pass"])
        elif kind == "return":
            yield self.rng.choice(
                ["return", f"return {self.key()}, i", f"return {self.ask()}", "raise ArithmeticError"]
            )
        elif kind in ("break", "continue"):
            yield kind
        else:
            yield from self.compound(kind, depth - 1, in_loop)

    def compound(self, kind: str, depth: int, in_loop: bool) -> Iterator[str]:
        name = self.rng.choice("ij")
        yield {
            "if": f"if {self.ask()}:",
            "for": f"for {name} in range({self.rng.randint(0, 3)}):",
            "while": f"while {self.ask()}:",
            "loop": "while True:",
        }[kind]
        if kind == "loop":
            yield f"    {self.ask()}"  # which ends it some day
        looping = in_loop if kind == "if" else True
        yield from self.indented(depth, looping)
        if kind in ("if", "for", "while") and self.rng.random() < 0.4:
            yield "else:"
            yield from self.indented(depth, in_loop)

    def indented(self, depth: int, in_loop: bool) -> Iterator[str]:
        for line in self.block(depth, in_loop):
            yield "    " + line


@pytest.mark.parametrize("copied", [0, 3, 12])
@pytest.mark.parametrize("batch", range(4))
def test_random_programs(batch: int, copied: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jumps, "_COPIED", copied)
    for seed in range(50 * batch, 50 * batch + 50):
        assert_same("\n".join(Writer(seed).block(5, False)), range(6))


def test_random_programs_jump_in_every_way() -> None:
    texts = ["\n".join(Writer(seed).block(5, False)) for seed in range(400)]
    for word in ("break", "continue", "return", "else", "raise", "while True", "for"):
        assert sum(word in text for text in texts) > 60


# -- what the result looks like -----------------------------------------------------------------------


def unparsed(source: str) -> str:
    class Mark(ast.NodeTransformer):
        def visit_For(self, node: ast.For) -> ast.For:
            self.generic_visit(node)
            assert isinstance(node, For)
            if node.guard is not None:
                node.iter = ast.Tuple([node.iter, ast.Name(f"until {node.guard.id}")])
            return node

    return ast.unparse(ast.fix_missing_locations(Mark().visit(ast.Module(assert_same(source), []))))


LISTINGS = {
    "early return nests the rest": (
        "if ask(1):\n    return 1\nask(2)\nif ask(3):\n    return 2\nreturn 3",
        """
if ask(1):
    result.1 = 1
else:
    ask(2)
    if ask(3):
        result.1 = 2
    else:
        result.1 = 3
return result.1
""",
    ),
    "continue needs no flag": (
        "for i in range(3):\n    if ask(1):\n        continue\n    ask(2)",
        """
for i in range(3):
    if not ask(1):
        ask(2)
""",
    ),
    "break guards the loop": (
        "for i in range(3):\n    if ask(i):\n        break\nelse:\n    ask(1)\nreturn i",
        """
stop.1 = False
for i in (range(3), until stop.1):
    if ask(i):
        stop.1 = True
if not stop.1:
    ask(1)
return i
""",
    ),
    "a return in nested loops has one flag, and its value is computed after them": (
        "for i in range(3):\n    for j in range(i):\n        if ask(1):\n            return i + j\nreturn i",
        """
return.1 = False
for i in (range(3), until return.1):
    for j in (range(i), until return.1):
        if ask(1):
            return.1 = True
if return.1:
    result.1 = i + j
else:
    result.1 = i
return result.1
""",
    ),
    "an endless loop is left by its break only": (
        "while True:\n    if ask(1):\n        break\n    ask(2)",
        """
stop.1 = False
while not stop.1:
    if ask(1):
        stop.1 = True
    else:
        ask(2)
""",
    ),
    "after an endless loop the return needs no test": (
        "while True:\n    ask(1)\n    if ask(2):\n        return 3\nask(4)",
        """
return.1 = False
while not return.1:
    ask(1)
    if ask(2):
        return.1 = True
return 3
""",
    ),
    "raise is left where it is": (
        "if ask(1):\n    raise ArithmeticError\n    ask(2)\nask(3)\nreturn 1\nask(4)",
        """
if ask(1):
    raise ArithmeticError
ask(3)
return 1
""",
    ),
    "a function that returns nothing": ("if ask(1):\n    return\nask(2)\nreturn", "\nif not ask(1):\n    ask(2)\n"),
    "falling off the end returns None": (
        "if ask(1):\n    return 2\nask(3)",
        """
if ask(1):
    result.1 = 2
else:
    ask(3)
    result.1 = None
return result.1
""",
    ),
    "while keeps its test behind the guard": (
        "while ask(1):\n    if ask(2):\n        break",
        """
stop.1 = False
while not stop.1 and ask(1):
    if ask(2):
        stop.1 = True
""",
    ),
}


@pytest.mark.parametrize("name", LISTINGS)
def test_listing(name: str) -> None:
    source, wanted = LISTINGS[name]
    assert unparsed(source) == wanted.strip()


def test_a_short_rest_is_copied_and_a_long_one_guarded() -> None:
    head = "if ask(1):\n    if ask(2):\n        return 1\nelse:\n    ask(3)\n"
    assert "return.1" not in unparsed(head + "ask(4)\nreturn 2")
    assert "return.1" in unparsed(head + "ask(4)\n" * 20 + "return 2")
    looped = "for i in range(3):\n" + "".join(
        f"    {line}\n" for line in head.replace("return 1", "continue").splitlines()
    )
    assert "skip.1" not in unparsed(looped + "    ask(4)")
    assert "skip.1" in unparsed(looped + "    ask(4)\n" * 20)


def test_a_chain_of_branches_does_not_grow_exponentially() -> None:
    link = "if ask({k}):\n    if ask(0):\n        return {k}\nelse:\n    ask(1)\n"
    sizes = [size(assert_same("".join(link.format(k=k) for k in range(n)) + "return 0", range(2))) for n in (5, 10, 20)]
    assert sizes[2] - sizes[1] < 2.5 * (sizes[1] - sizes[0])
    assert sizes[2] < 20 * 5 * 6


def test_the_body_of_with_follows_it() -> None:
    (marker, branch, final) = remove_jumps(ast.parse("with c:\n    if ask(1):\n        return 1\nreturn 2").body)
    assert isinstance(marker, ast.With)
    assert ast.unparse(marker) == "with c:\n    pass"
    assert isinstance(branch, ast.If)
    assert isinstance(final, ast.Return)


def test_jumps_of_inner_functions_are_their_own() -> None:
    source = "def g(x):\n    for k in range(3):\n        if ask(k):\n            return k\n    return 5\nreturn g(2)"
    (inner, _) = remove_jumps(ast.parse(source).body)
    assert ast.unparse(inner) in source
