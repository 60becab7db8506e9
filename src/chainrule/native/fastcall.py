"""The short road of a call: one generated function that tests the arguments and runs the program.

For arguments that are numbers and arrays only. It tests classes, dtypes and extents of 1 by identity and equality,
then the guards, copies arrays that are not contiguous or not writable, and hands all to the compiled program, which
trusts it. Whatever does not fit answers `MISS`, and the call takes the general road.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule.frontends.joins import leaves
from chainrule.frontends.program import ArrayKind, NumberKind
from chainrule.frontends.values import ArrayRef, Number, kind_of

__all__ = ["MISS", "fast_call"]

MISS = object()
_CLASSES: dict[NumberKind, type] = {
    NumberKind("float64", True): float,
    NumberKind("int64", True): int,
    NumberKind("float64", False): np.float64,
}


def fast_call(key: Any, program: Any, run: Callable[..., Any]) -> Callable[[tuple[Any, ...]], Any] | None:
    """A function of the positional arguments, or None where the general road must be taken."""
    kinds, named = key
    if named or not kinds or program.function.writes or program.copied:
        return None
    space: dict[str, Any] = {"ndarray": np.ndarray, "run": run, "MISS": MISS}
    names = [f"a{k}" for k in range(len(kinds))]
    tests = []
    for name, kind in zip(names, kinds, strict=True):
        if isinstance(kind, ArrayKind):
            if kind.source is not None:
                return None
            tests += _array_tests(name, kind, space)
        elif kind in _CLASSES:
            space[f"{name}_class"] = _CLASSES[kind]
            tests.append(f"{name}.__class__ is {name}_class")
        else:
            return None
    for k, guard in enumerate(program.guards):
        if guard.kind not in ("is", "=="):
            return None
        space[f"get{k}"], space[f"expected{k}"] = guard.get, guard.expected
        if guard.kind == "is":
            tests.append(f"get{k}() is expected{k}")
        else:
            tests.append(f"(g := get{k}()) == expected{k} and g.__class__ is expected{k}.__class__")
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
        for name in (*names, *hidden)
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
{copies}    made = run({", ".join([*names, *hidden])})
    return {result}
"""
    exec(text, space)
    made: Callable[[tuple[Any, ...]], Any] = space["fast"]
    return made


def _array_tests(name: str, kind: ArrayKind, space: dict[str, Any]) -> list[str]:
    space[f"{name}_dtype"] = np.dtype(kind.dtype)
    tests = [f"{name}.__class__ is ndarray", f"{name}.dtype is {name}_dtype"]
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
