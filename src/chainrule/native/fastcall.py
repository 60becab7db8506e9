"""The short road of a call: one generated function that tests the arguments and runs the program.

For arguments that are numbers and arrays, containers and records of them, and what is built in. It tests classes,
dtypes and extents of 1 by identity and equality, then the guards, copies arrays that are not contiguous or not
writable, and hands all to the compiled program, which trusts it. Whatever does not fit answers `MISS`, and the call
takes the general road.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule.frontends.joins import leaves
from chainrule.frontends.program import ArrayKind, NumberKind, RecordKind, StaticKind
from chainrule.frontends.values import ArrayRef, Number, kind_of
from chainrule.native.arguments import SCALARS

__all__ = ["MISS", "fast_call"]

MISS = object()
_CLASSES = {kind: cls for cls, kind in SCALARS.items()}


def fast_call(key: Any, program: Any, run: Callable[..., Any]) -> Callable[[tuple[Any, ...]], Any] | None:
    """A function of the positional arguments, or None where the general road must be taken."""
    kinds, named = key
    if named or not kinds or program.function.writes or program.copied:
        return None
    space: dict[str, Any] = {"ndarray": np.ndarray, "run": run, "MISS": MISS}
    names = [f"a{k}" for k in range(len(kinds))]
    parts: list[str] = []
    tests: list[str] = []
    for name, kind in zip(names, kinds, strict=True):
        found = _tests(name, name, kind, space, parts)
        if found is None:
            return None
        tests += found
    for k, guard in enumerate(program.guards):
        space[f"get{k}"], space[f"expected{k}"] = guard.get, guard.expected
        tests.append(_GUARDS.get(guard.kind, "get{k}().__class__ is expected{k}").format(k=k))
    hidden = []
    for k, capture in enumerate(program.captures):
        test = _capture_test(f"c{k}", capture, space)
        tests.append(f"(c{k} := capture{k}()).__class__ is {test}")
        space[f"capture{k}"] = capture.get
        if hasattr(capture.var.type, "ndim"):
            space[f"c{k}_dtype"] = np.dtype(capture.var.type.dtype)
            tests += [f"c{k}.dtype is c{k}_dtype", *_extent_tests(f"c{k}", capture.ones)]
        hidden.append(f"c{k}")
    result = _result(program.result, space)
    if result is None:
        return None
    copies = "".join(
        f"    if not {name}.flags.carray:\n        {name} = {name}.copy()\n"
        for name in (*parts, *hidden)
        if f"{name}_dtype" in space
    )
    text = f"""
def fast(args):
    try:
        {", ".join(names)}, = args
        if not ({" and ".join(tests)}):
            return MISS
    except (TypeError, ValueError, LookupError, AttributeError):
        return MISS
{copies}    made = run({", ".join([*parts, *hidden])})
    return {result}
"""
    exec(text, space)
    made: Callable[[tuple[Any, ...]], Any] = space["fast"]
    return made


_GUARDS = {
    "is": "get{k}() is expected{k}",
    "==": "(g := get{k}()) == expected{k} and g.__class__ is expected{k}.__class__",
    "len": "isinstance(g := get{k}(), (tuple, list)) and len(g) == expected{k}",
    "keys": "isinstance(g := get{k}(), dict) and tuple(g) == expected{k}",
}


def _tests(name: str, value: str, kind: Any, space: dict[str, Any], parts: list[str]) -> list[str] | None:
    """What tests that the expression `value` is of a kind, and gives `name` to it; numbers and arrays join `parts`."""
    match kind:
        case ArrayKind(source=None):
            parts.append(name)
            return _array_tests(name, value, kind, space)
        case NumberKind() if kind in _CLASSES:
            parts.append(name)
            space[f"{name}_class"] = _CLASSES[kind]
            return [f"({value}).__class__ is {name}_class"]
        case StaticKind(value=str() as text):
            space[f"{name}_text"] = text
            return [f"({value}).__class__ is {name}_text.__class__", f"{name} == {name}_text"]
        case StaticKind(value=built):
            space[f"{name}_value"] = built
            return [f"({value}) is {name}_value"]
        case ("tuple" | "list" as cls, *items):
            tests = [f"({value}).__class__ is {cls}", f"len({name}) == {len(items)}"]
            keyed = [(f"[{k}]", item) for k, item in enumerate(items)]
        case ("dict", *items):
            space[f"{name}_keys"] = tuple(k for k, _ in items)
            tests = [f"({value}).__class__ is dict", f"tuple({name}) == {name}_keys"]
            keyed = [(f"[{name}_keys[{k}]]", item) for k, (_, item) in enumerate(items)]
        case RecordKind(cls=cls, fields=fields):
            space[f"{name}_class"] = cls
            tests = [f"({value}).__class__ is {name}_class"]
            keyed = [(f".{field}", item) for field, item in fields]
        case _:
            return None
    for k, (place, item) in enumerate(keyed):
        found = _tests(f"{name}_{k}", f"{name}_{k} := {name}{place}", item, space, parts)
        if found is None:
            return None
        tests += found
    return tests


def _array_tests(name: str, value: str, kind: ArrayKind, space: dict[str, Any]) -> list[str]:
    space[f"{name}_dtype"] = np.dtype(kind.dtype)
    tests = [f"({value}).__class__ is ndarray", f"{name}.dtype is {name}_dtype"]
    return tests + _extent_tests(name, kind.ones)


def _extent_tests(name: str, ones: tuple[bool, ...]) -> list[str]:
    tests = [f"len(s := {name}.shape) == {len(ones)}"]
    if not any(ones):
        return [*tests, "1 not in s"]
    return [*tests, *(f"(s[{k}] == 1) is {one}" for k, one in enumerate(ones))]


def _capture_test(name: str, capture: Any, space: dict[str, Any]) -> str:
    if hasattr(capture.var.type, "ndim"):
        return "ndarray"
    dtype = np.dtype(capture.var.type.dtype)
    space[f"{name}_class"] = (float if dtype.kind == "f" else complex) if capture.weak else dtype.type
    return f"{name}_class"


def _result(result: Any, space: dict[str, Any]) -> str | None:
    """The text that makes the user's result of `made`."""
    flat = leaves(result)
    if not flat or not all(isinstance(leaf, (ArrayRef, Number)) for leaf in flat):
        return None
    texts = ["made"] if len(flat) == 1 else [f"made[{k}]" for k in range(len(flat))]
    supply = iter([_leaf(leaf, text, f"r{k}", space) for k, (leaf, text) in enumerate(zip(flat, texts, strict=True))])
    return _nest(result, supply)


def _nest(result: Any, supply: Iterator[str]) -> str | None:
    match result:
        case ArrayRef() | Number():
            return next(supply)
        case tuple() | list():
            parts = [_nest(r, supply) for r in result]
            if None in parts:
                return None
            text = "".join(f"{p}, " for p in parts)
            return f"({text})" if isinstance(result, tuple) else f"[{text}]"
        case dict() if all(isinstance(k, (str, int)) for k in result):
            named = [(k, _nest(v, supply)) for k, v in result.items()]
            if any(v is None for _, v in named):
                return None
            return "{" + ", ".join(f"{k!r}: {v}" for k, v in named) + "}"
    return None


def _leaf(leaf: Any, text: str, name: str, space: dict[str, Any]) -> str:
    if isinstance(leaf, ArrayRef) or leaf.weak:
        return text
    space[name] = kind_of(leaf)
    return f"{name}({text})"
