"""Running one program on all back ends, and finding the first assignment where they part.

The program is given an array of probes: after every assignment of a number it adds that number to a place of its
own. The interpreter, the text run as plain Python and the machine code run the same instrumented program, so the
first probe that differs names the assignment and the user's line.
"""

from __future__ import annotations

import importlib
import linecache
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.compile import plain
from chainrule.backends.python import write
from chainrule.errors import VerificationError
from chainrule.ir.build import Builder, constant, integer
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, Array, Atom, Block, For, Function, If, Let, Load, Node, Scalar, Var, While
from chainrule.ir.walk import Renaming, defines
from chainrule.transforms.fission import fissioned

__all__ = ["compared", "instrumented"]

_ULPS = 1e-9  # vectorised sums and fused operations round differently, not wrongly


def compared(function: Function, fastmath: bool | str) -> Callable[..., Any]:
    """A function that runs `function` on every back end, and raises where they disagree."""
    compiled = importlib.import_module("chainrule.backends.numba.compile").compiled
    probed, places = instrumented(function)
    runs: dict[str, Callable[..., tuple[Any, ...]]] = {
        "interpreter": lambda *args: evaluate(probed, list(args)),
        "python": plain(write(probed)),
        "numba": compiled(write(fissioned(probed), "compiled"), fastmath=fastmath).call,
    }

    def run(*args: Any) -> Any:
        outcomes = {}
        for name, back_end in runs.items():
            own = args if name == "numba" else [a.copy() if isinstance(a, np.ndarray) else a for a in args]
            outcomes[name] = back_end(*own)
        reference = outcomes["interpreter"]
        for name in ("python", "numba"):
            _compare(reference, outcomes[name], name, places)
        results = outcomes["numba"][:-1]
        return results[0] if len(results) == 1 else results

    return run


def _compare(expected: Any, got: Any, name: str, places: list[tuple[Var, Node]]) -> None:
    differing = ~np.isclose(got[-1], expected[-1], rtol=_ULPS, atol=1e-12, equal_nan=True)
    if differing.any():
        var, node = places[int(np.argmax(differing))]
        where = ""
        if node.line is not None:
            text = linecache.getline(node.line.file, node.line.number).strip()
            where = f", from line {node.line.number} of {node.line.file}: `{text}`"
        k = int(np.argmax(differing))
        raise VerificationError(
            f"the {name} back end and the interpreter part at the assignment of {var.hint!r}{where} "
            f"({got[-1][k]!r} against {expected[-1][k]!r}, summed over its evaluations)"
        )
    for mine, theirs in zip(got[:-1], expected[:-1], strict=True):
        if not np.allclose(mine, theirs, rtol=_ULPS, atol=1e-12, equal_nan=True):
            raise VerificationError(f"the {name} back end and the interpreter return different results")


def instrumented(function: Function) -> tuple[Function, list[tuple[Var, Node]]]:
    """`function` with an array of probes as a last result, and the assignment that each probe watches."""
    places: list[tuple[Var, Node]] = []
    probes = Var("probes", Array("float64", 1))
    renaming = Renaming()
    body = renaming.block(function.body)  # the nodes of the copy may be changed
    results = renaming.all(function.results)
    watched = _probed(body, probes, places)
    room = Alloc(probes, (integer(len(places)),), constant(0.0))
    made = Function(function.name, function.params, Block([room, *watched.nodes]), (*results, probes), function.line)
    made.writes = function.writes
    return made, places


def _probed(block: Block, probes: Var, places: list[tuple[Var, Node]]) -> Block:
    made: list[Node] = []
    for node in block:
        made.append(node)
        match node:
            case If():
                node.then, node.orelse = (_probed(b, probes, places) for b in (node.then, node.orelse))
            case For():
                node.body = _probed(node.body, probes, places)
            case While():
                node.body = _probed(node.body, probes, places)
            case Let() | Load():
                made += _watch(node, probes, places)
    return Block(made)


def _watch(node: Node, probes: Var, places: list[tuple[Var, Node]]) -> list[Node]:
    build = Builder()
    for var in defines(node):
        if isinstance(var.type, Scalar) and not var.type.dtype.startswith("complex"):
            value: Atom = build.cast(var, "float64")
            build.increment(probes, (integer(len(places)),), value)
            places.append((var, node))
    return build.block.nodes
