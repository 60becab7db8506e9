"""Calls: of library functions, of the user's functions (whose bodies continue the program), of transformations.

A function that is being read already is recursive: it becomes a function of the program, read once per types of
its arguments, see `recursion`.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from chainrule.core.primitive import Primitive
from chainrule.frontends import custom, indexing, methods, recursion, texts, transformations
from chainrule.frontends.arrays import array_of
from chainrule.frontends.context import Context, Guard
from chainrule.frontends.elementwise import apply, describe, materialise
from chainrule.frontends.frames import Frame
from chainrule.frontends.getters import Code
from chainrule.frontends.joins import leaves
from chainrule.frontends.library import find
from chainrule.frontends.library.special import elementwise_of, handler_of, recipe_of
from chainrule.frontends.outside import KNOWN, attribute_of, held, outside_value
from chainrule.frontends.source import Parsed, read, unwrap
from chainrule.frontends.values import (
    BOTTOM,
    ArrayRef,
    Bottom,
    Bound,
    Closure,
    Grown,
    Iterable,
    Lazy,
    ListArray,
    Number,
    Record,
    Static,
    Transformed,
)

__all__ = ["attribute", "call", "inline"]

DEPTH = 200


def call(frame: Any, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The value of ``function(*args, **kwargs)``."""
    ctx = frame.ctx
    match function:
        case Static(value=target):
            return call_object(frame, target, args, kwargs)
        case Closure(node=node, frame=outer):
            parsed = outer.parsed
            return inline(frame, parsed, node, outer.function, outer, function, args, kwargs, outer.quiet)
        case Bound(function=inner, args=first, kwargs=more):
            if callable(inner):
                _check_arguments(frame, inner, inner, [*first, *args], {**more, **kwargs})
                return inner(frame, *first, *args, **{**more, **kwargs})
            return call(frame, inner, [*first, *args], {**more, **kwargs})
        case Transformed():
            return transformations.apply_transformation(frame, function, args, kwargs)
        case Bottom():
            return BOTTOM
        case Record(cls=cls) if "__call__" in vars(cls):
            method = Bound(Static(cls.__call__), (function,))
            return call(frame, method, args, kwargs)
    raise ctx.fail(f"{describe(function)} is not a function")


def call_object(frame: Any, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The value of a call of an object known now."""
    ctx = frame.ctx
    handler = find(target) or handler_of(target)
    waits = any(isinstance(leaf, Bottom) for a in [*args, *kwargs.values()] for leaf in leaves(a))
    if waits and (handler is not None or not isinstance(target, (FunctionType, MethodType))):
        return BOTTOM  # for the type of a recursive call
    if handler is not None:
        _check_arguments(frame, handler, target, args, kwargs)
        return handler(frame, *args, **kwargs)
    primitive = target if isinstance(target, Primitive) else elementwise_of(target)
    if primitive is not None and primitive.kind == "elementwise":
        if isinstance(target, np.ufunc) and len(args) != target.nin:
            raise ctx.fail(f"{_name(target)} takes {target.nin} arguments here, and the array for its result as out=")
        if kwargs:
            return _with_out(frame, primitive, args, kwargs)
        return apply(ctx, primitive.name, *[_array_like(ctx, a) for a in args], weak=False)
    if target is functools.partial:
        return Bound(args[0], tuple(materialise(ctx, a) for a in args[1:]), kwargs)
    if isinstance(target, type):
        return _construct(frame, target, args, kwargs)
    if custom.is_custom(target):
        return custom.call_custom(frame, target, args, kwargs)
    recipe = recipe_of(target)
    if recipe is not None:
        return _user_function(frame, recipe, args, kwargs)
    kind = transformations.kind_of(target)
    if kind is not None:
        return transformations.make(frame, kind, target, args, kwargs)
    if isinstance(target, (FunctionType, MethodType, functools.partial, staticmethod)) or hasattr(target, "py_func"):
        return _user_function(frame, target, args, kwargs)
    if isinstance(target, (np.ufunc, BuiltinFunctionType)) or _module(target).startswith(("numpy", "scipy", "math")):
        raise ctx.refuse("function", _name(target))
    if callable(target):
        return _user_function(frame, target, args, kwargs)
    raise ctx.fail(f"{_name(target)} is not a function")


_signature = functools.lru_cache(maxsize=512)(inspect.signature)


def _check_arguments(frame: Any, handler: Any, target: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    try:
        _signature(handler).bind(frame, *args, **kwargs)
    except TypeError as error:
        raise frame.ctx.fail(f"{_name(target)}: {error}; this is not among the arguments known here") from None


def _module(target: Any) -> str:
    return getattr(target, "__module__", None) or ""


def _name(target: Any) -> str:
    module = _module(target)
    name = str(getattr(target, "__qualname__", None) or getattr(target, "__name__", repr(target)))
    return f"{module}.{name}" if module and module != "builtins" else name


def _array_like(ctx: Context, value: Any) -> Any:
    return array_of(ctx, value) if isinstance(value, (list, tuple, Grown)) else value


def _with_out(frame: Any, primitive: Primitive, args: list[Any], kwargs: dict[str, Any]) -> Any:
    ctx, out = frame.ctx, kwargs.get("out")
    if set(kwargs) != {"out"}:
        raise ctx.fail(f"{primitive.name} takes only out= here, not {', '.join(kwargs)}")
    target = out[0] if isinstance(out, tuple) else out
    indexing.assign(ctx, target, Static(Ellipsis), apply(ctx, primitive.name, *args))
    return target


def _construct(frame: Any, cls: type, args: list[Any], kwargs: dict[str, Any]) -> Any:
    ctx = frame.ctx
    names: list[str] | None = None
    defaults: dict[str, Any] = {}
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        names, defaults = list(cls._fields), dict(cls._field_defaults)  # type: ignore[attr-defined]
    elif dataclasses.is_dataclass(cls) and "__post_init__" not in vars(cls):
        fields = dataclasses.fields(cls)
        names = [f.name for f in fields if f.init]
        defaults = {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
    if issubclass(cls, np.generic):
        raise ctx.fail(f"a number of {np.dtype(cls).name}; {KNOWN} are computed with here: convert it to one of them")
    if names is None:
        raise ctx.fail(f"instances of {_name(cls)} cannot be made here: dataclasses and named tuples can")
    given = dict(zip(names, args, strict=False)) | kwargs
    values = {}
    for name in names:
        if name in given:
            values[name] = materialise(ctx, given[name])
        elif name in defaults:
            values[name] = outside_value(ctx, defaults[name], held(defaults[name]), name, (id(cls), name))
        else:
            raise ctx.fail(f"{cls.__name__}() misses {name!r}")
    return Record(cls, values)


def _replaced(frame: Any, record: Record, changes: dict[str, Any]) -> Record:
    for name in changes:
        if name not in record.fields:
            raise frame.ctx.fail(f"{record.cls.__name__} has no field {name!r}")
    return Record(record.cls, record.fields | {k: materialise(frame.ctx, v) for k, v in changes.items()})


# -- the user's functions -----------------------------------------------------------------------------


def _user_function(frame: Any, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    ctx = frame.ctx
    bound = unwrap(target)
    first = [outside_value(ctx, a, held(a), f"argument {k}", (id(target), k)) for k, a in enumerate(bound.args)]
    more = {k: outside_value(ctx, v, held(v), k, (id(target), k)) for k, v in bound.keywords.items()}
    function: Any = bound.function
    parsed, ours = read(function), is_ours(function)
    if not ours:
        code = Guard(Code(function), "is", function.__code__, function.__name__)
        ctx.guards.setdefault((id(function), "code"), code)
    return inline(frame, parsed, parsed.node, function, None, None, [*first, *args], {**more, **kwargs}, ours)


def is_ours(function: FunctionType) -> bool:
    """Whether `function` is part of the front end's library, so that messages mean its caller."""
    return function.__module__ in ("chainrule.frontends.recipes", "chainrule.frontends.measures")


def inline(
    frame: Any,
    parsed: Parsed,
    node: ast.FunctionDef | ast.Lambda,
    function: FunctionType,
    outer: Any,
    closure: Closure | None,
    args: list[Any],
    kwargs: dict[str, Any],
    quiet: bool = False,
) -> Any:
    """Continue in the body of a function."""
    ctx: Context = frame.ctx
    values = [a if isinstance(a, Iterable) else materialise(ctx, a) for a in args]
    named = {k: a if isinstance(a, Iterable) else materialise(ctx, a) for k, a in kwargs.items()}
    inner = Frame(ctx, parsed, function, outer, quiet)
    inner.env = bind_arguments(ctx, node, function, closure, values, named)
    if any(isinstance(leaf, Bottom) for v in inner.env.values() for leaf in leaves(v)):
        return BOTTOM  # an argument waits for the type of a recursive call
    if recursion.is_active(ctx, node, inner.env):
        made = recursion.call_function(inner, node)
        for name in inner.env if ctx.stale else ():
            inner.lookup(name)  # the function may have written to what an argument stands for
        return made
    if len(ctx.frames) > DEPTH:
        raise ctx.fail("the calls nest too deeply")
    if isinstance(node, ast.Lambda):
        ctx.frames.append(inner)
        inner.node, inner.key = node, recursion.signature(inner.env)
        try:
            return ctx.language.expression(inner, node.body)
        finally:
            ctx.frames.pop()
    return ctx.language.body(inner, node)


def bind_arguments(
    ctx: Context,
    node: ast.FunctionDef | ast.Lambda,
    function: FunctionType,
    closure: Closure | None,
    args: list[Any],
    kwargs: dict[str, Any],
) -> dict[str, Any]:
    """The variables of a function at its start."""
    spec, name = node.args, getattr(node, "name", "<lambda>")
    positional = [a.arg for a in (*spec.posonlyargs, *spec.args)]
    env = dict(zip(positional, args, strict=False))
    if len(args) > len(positional) and spec.vararg is None:
        raise ctx.fail(f"{name}() takes {len(positional)} positional arguments but {len(args)} were given")
    if spec.vararg is not None:
        env[spec.vararg.arg] = tuple(args[len(positional) :])
    extra: dict[str, Any] = {}
    for key, value in kwargs.items():
        if key in env and key in positional:
            raise ctx.fail(f"{name}() got several values for {key!r}")
        if key in positional or any(key == a.arg for a in spec.kwonlyargs):
            env[key] = value
        else:
            extra[key] = value
    if spec.kwarg is not None:
        env[spec.kwarg.arg] = extra
    elif extra:
        raise ctx.fail(f"{name}() got an unexpected argument {next(iter(extra))!r}")
    for key, default in _defaults(ctx, positional, spec, function, closure):
        if key not in env:
            env[key] = default()
    missing = [k for k in (*positional, *(a.arg for a in spec.kwonlyargs)) if k not in env]
    if missing:
        raise ctx.fail(f"{name}() misses {', '.join(map(repr, missing))}")
    return env


def _defaults(
    ctx: Context, positional: list[str], spec: ast.arguments, function: FunctionType, closure: Closure | None
) -> list[tuple[str, Callable[[], Any]]]:
    if closure is not None:
        names = positional[len(positional) - len(closure.defaults) :] if closure.defaults else []
        pairs = [*zip(names, closure.defaults, strict=True), *closure.kw_defaults.items()]
        return [(k, held(v)) for k, v in pairs]
    values = function.__defaults__ or ()
    names = positional[len(positional) - len(values) :] if values else []
    getters = {name: lambda k=k: function.__defaults__[k] for k, name in enumerate(names)}  # type: ignore[index]
    getters |= {name: lambda k=name: function.__kwdefaults__[k] for name in function.__kwdefaults__ or ()}  # type: ignore[index]

    def default(name: str, get: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: outside_value(ctx, get(), get, name, (id(function), "default", name))

    return [(name, default(name, get)) for name, get in getters.items()]


# -- attributes ---------------------------------------------------------------------------------------


def attribute(frame: Any, owner: Any, name: str) -> Any:
    """``owner.name``."""
    ctx = frame.ctx
    match owner:
        case Bottom():
            return BOTTOM
        case ArrayRef() | Lazy() | Number() | ListArray() | Grown() | list() | tuple() | dict():
            return methods.attribute(frame, owner, name)
        case Record(cls=cls, fields=fields):
            if name in fields:
                return fields[name]
            found = getattr(cls, name, None)
            if name == "_replace" and issubclass(cls, tuple):
                return Bound(lambda frame, **changes: _replaced(frame, owner, changes), ())
            if isinstance(found, property):
                return call(frame, Static(found.fget), [owner], {})
            if isinstance(found, FunctionType):
                static = isinstance(vars(cls).get(name), staticmethod)
                return Static(found) if static else Bound(Static(found), (owner,))
            if found is not None and not callable(found):
                return attribute_of(ctx, cls, name)
            raise ctx.fail(f"{cls.__name__} has no attribute {name!r}")
        case Static(value=value):
            if isinstance(value, str):
                return texts.method(ctx, value, name)
            if value is None:
                raise ctx.fail(f"None has no attribute {name!r}")
            if isinstance(value, ModuleType | type) or hasattr(value, name):
                return attribute_of(ctx, value, name)
    raise ctx.fail(f"{describe(owner)} has no attribute {name!r}")
