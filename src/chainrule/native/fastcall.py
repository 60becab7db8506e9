"""The short roads of a call: what tests the arguments and runs the program.

`direct_call` has machine code do it, for arguments that are numbers and arrays; `fast_call` a function of Python,
for containers and records of them too, what is built in, and arguments by name. Both test classes, dtypes and extents
of 1 by identity and equality, then the guards, copy arrays that are not contiguous or not writable, and hand all to
the compiled program, which trusts it. What does not fit takes the general road: the function of Python answers `MISS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule.frontends.getters import Cell, Code, Global
from chainrule.frontends.joins import leaves
from chainrule.frontends.program import ArrayKind, NumberKind, RecordKind, StaticKind
from chainrule.frontends.values import ArrayRef, Number, Static, kind_of
from chainrule.native.arguments import SCALARS

__all__ = ["MISS", "FastCall", "direct_call", "fast_call"]

MISS = object()
_CLASSES = {kind: cls for cls, kind in SCALARS.items()}


FastCall = Callable[[tuple[Any, ...], dict[str, Any]], Any]


def fast_call(key: Any, program: Any, run: Callable[..., Any]) -> FastCall | None:
    """A function of the arguments, or None where the general road must be taken."""
    kinds, named = key
    if program.function.writes or program.copied:
        return None
    space: dict[str, Any] = {"ndarray": np.ndarray, "run": run, "MISS": MISS}
    names = [f"a{k}" for k in range(len(kinds) + len(named))]
    given = [f"args[{k}]" for k in range(len(kinds))] + [f"named[{name!r}]" for name, _ in named]
    parts: list[str] = []
    tests: list[str] = []
    for name, kind in zip(names, (*kinds, *(kind for _, kind in named)), strict=True):
        found = _tests(name, name, kind, space, parts)
        if found is None:
            return None
        tests += found
    for k, guard in enumerate(program.guards):
        space[f"expected{k}"] = guard.expected
        test = _GUARDS.get(guard.kind, "{get}.__class__ is expected{k}")
        tests.append(test.format(k=k, get=_got(guard.get, f"g{k}", space)))
    hidden = []
    for k, capture in enumerate(program.captures):
        test = _capture_test(f"c{k}", capture, space)
        tests.append(f"(c{k} := {_got(capture.get, f'get_c{k}', space)}).__class__ is {test}")
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
def fast(args, named):
    if len(args) != {len(kinds)} or len(named) != {len(named)}:
        return MISS
    try:
        {"; ".join(f"{name} = {value}" for name, value in zip(names, given, strict=True)) or "pass"}
        if not ({" and ".join(tests) or "True"}):
            return MISS
    except (TypeError, ValueError, LookupError, AttributeError):
        return MISS
{copies}    made = run({", ".join([*parts, *hidden])})
    return {result}
"""
    exec(text, space)
    made: FastCall = space["fast"]
    return made


_GUARDS = {
    "is": "{get} is expected{k}",
    "==": "(g := {get}) == expected{k} and g.__class__ is expected{k}.__class__",
    "len": "isinstance(g := {get}, (tuple, list)) and len(g) == expected{k}",
    "keys": "isinstance(g := {get}, dict) and tuple(g) == expected{k}",
}


def _got(get: Any, name: str, space: dict[str, Any]) -> str:
    """The text of what `get` gives, without its call where it says what it reads from."""
    space[name] = get.owner if isinstance(get, (Global, Cell, Code)) else get
    match get:
        case Global():
            space[f"{name}_absent"] = get.absent
            return f"{name}.get({get.name!r}, {name}_absent)"
        case Cell():
            return f"{name}.cell_contents"
        case Code():
            return f"{name}.__code__"
        case _:
            return f"{name}()"


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


# -- in machine code -----------------------------------------------------------------------------------


def direct_call(
    key: Any,
    program: Any,
    run: Callable[..., Any],
    again: Callable[[Exception], bool],
    otherwise: Callable[..., Any],
) -> Callable[..., Any] | None:
    """A function that takes `otherwise` for other arguments and after errors of which `again` is true, or None."""
    kinds, named = key
    if named or not kinds or any(guard.kind not in ("is", "==") for guard in program.guards):
        return None
    machine = importlib.import_module("chainrule.backends.numba.entrance")
    tested = [_argument(machine.Kind, kind) for kind in kinds]
    tested += [_captured(machine.Kind, c) for c in program.captures]
    space: dict[str, Any] = {}
    result = _result(program.result, space)
    if result is None or None in tested:
        return None
    written = getattr(run, "written", lambda error: error)

    def failed(error: Exception, args: tuple[Any, ...]) -> Any:
        if again(written(error)):
            return otherwise(*args)
        raise error

    unshared = [p in program.function.writes or p in program.copied for p in program.function.params]
    plan = machine.Plan(
        kinds=[kind._replace(alone=alone) for kind, alone in zip(tested, unshared, strict=True)],
        outside=[c.get for c in program.captures],
        same=[machine.Same(g.get, g.expected, g.kind == "==") for g in program.guards],
        run=getattr(run, "bare", run),
        finish=_finish(result, len(leaves(program.result)), space),
        failed=failed,
        otherwise=otherwise,
    )
    made: Callable[..., Any] | None = machine.entrance(plan)
    return made


def _argument(make: Callable[..., Any], kind: Any) -> Any:
    """What an argument has to be; None where it is no number and no array."""
    if isinstance(kind, ArrayKind) and kind.source is None:
        return make(np.ndarray, np.dtype(kind.dtype), kind.ones)
    return make(_CLASSES[kind]) if isinstance(kind, NumberKind) and kind in _CLASSES else None


def _captured(make: Callable[..., Any], capture: Any) -> Any:
    dtype = np.dtype(capture.var.type.dtype)
    if hasattr(capture.var.type, "ndim"):
        return make(np.ndarray, dtype, capture.ones)
    return make((float if dtype.kind == "f" else complex) if capture.weak else dtype.type)


def _finish(text: str, count: int, space: dict[str, Any]) -> Callable[[Any], Any] | None:
    """What makes the user's result of `made`, whose text is given; None if `made` is that."""
    if text in ("made", "None") or (count > 1 and text == f"({''.join(f'made[{k}], ' for k in range(count))})"):
        return None
    exec(f"def finish(made):\n    return {text}", space)
    finish: Callable[[Any], Any] = space["r0" if text == "r0(made)" else "finish"]
    return finish


# -- results -------------------------------------------------------------------------------------------


def _result(result: Any, space: dict[str, Any]) -> str | None:
    """The text that makes the user's result of `made`."""
    if isinstance(result, Static) and result.value is None:
        return "None"
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
