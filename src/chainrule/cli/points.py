"""The function and the point of a request: an expression, or a function in a file, with the values of its arguments."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import operator
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.cli import expressions
from chainrule.cli.request import Request
from chainrule.cli.values import assignments
from chainrule.errors import ArgumentError
from chainrule.view.notation import brief

__all__ = ["Point", "function_in_file", "point"]

_IN_FILE = re.compile(r"(?P<file>.+\.py):(?P<name>[^/\\:]*)", re.DOTALL)
_CONSTANTS = (bool, np.bool_, str, bytes, type(None))
_KINDS = inspect.Parameter


@dataclass(frozen=True)
class Point:
    """A function and arguments for it.

    Attributes
    ----------
    function : callable
    names, args : tuple
        Its positional arguments.
    wrt : tuple of int
        Those to differentiate by.
    text : str
        How the user writes the function.
    file : bool
        Whether the function has lines of its own, in a file.
    assumed : tuple of str
        Names whose values nobody gave.
    """

    function: Callable[..., Any]
    names: tuple[str, ...]
    args: tuple[Any, ...]
    wrt: tuple[int, ...]
    text: str
    file: bool
    assumed: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """The function, and where it is evaluated."""
        at = ", ".join(f"{name} = {_shown(arg)}" for name, arg in zip(self.names, self.args, strict=True))
        call = f"{self.function.__name__}({', '.join(self.names)})"
        return f"{call} at {at}" if self.file else f"{call} = {self.text} at {at}"

    @property
    def chosen(self) -> tuple[str, ...]:
        """The names to differentiate by."""
        return tuple(self.names[k] for k in self.wrt)

    @property
    def data(self) -> dict[str, Any]:
        """The same for JSON."""
        return {"function": self.text, "at": dict(zip(self.names, self.args, strict=True))}

    def narrowed(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """The function of the arguments to differentiate by alone, the others fixed; and these arguments."""
        function, args = self.function, self.args
        chosen = tuple(args[k] for k in self.wrt)
        if len(chosen) == len(args):
            return function, chosen

        def fixed(*values: Any) -> Any:
            full = list(args)
            for k, value in zip(self.wrt, values, strict=True):
                full[k] = value
            return function(*full)

        fixed.__name__ = fixed.__qualname__ = function.__name__
        fixed.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [_KINDS(name, _KINDS.POSITIONAL_OR_KEYWORD) for name in self.chosen]
        )
        return fixed, chosen


def point(request: Request, assume: bool = False) -> Point:
    """Read the request; with `assume` arguments without a value are numbers, else that is an error."""
    given = assignments(request.values)
    in_file = _IN_FILE.fullmatch(request.target)
    if in_file is not None:
        found = _point_in_file(request.target, in_file["file"], in_file["name"], given, assume)
    elif request.target.endswith(".py"):
        raise ArgumentError(f"which function? write {request.target}:NAME{_functions_of(request.target)}")
    else:
        found = _point_of_expression(request.target, given, assume)
    return _chosen(found, request.wrt)


def _shown(value: Any) -> str:
    return brief(value) if isinstance(value, (int, float, complex, np.ndarray, np.generic)) else repr(value)


def _chosen(found: Point, wrt: Sequence[str]) -> Point:
    names = [name.strip() for text in wrt for name in text.split(",")]
    for name in names:
        if name not in found.names:
            raise ArgumentError(f"--wrt {name}: the arguments are {', '.join(found.names)}")
    numbers = tuple(
        k
        for k, (name, arg) in enumerate(zip(found.names, found.args, strict=True))
        if (name in names if names else not (isinstance(arg, _CONSTANTS) or callable(arg)))
    )
    if not numbers:
        raise ArgumentError(f"{found.text} has no argument to differentiate by")
    return Point(found.function, found.names, found.args, numbers, found.text, found.file, found.assumed)


# -- expressions --------------------------------------------------------------------------------------


def _point_of_expression(text: str, given: dict[str, Any], assume: bool) -> Point:
    text = expressions.normal(text)
    free = [name for name in expressions.names(text) if name not in expressions.CONSTANTS]
    assumed = [name for name in free if name not in given] if assume else []
    values = {**{name: _floating(name, value) for name, value in given.items()}, **_numbers(assumed)}
    function = expressions.function(text, list(values))
    idle = [name for name in given if name not in expressions.names(text)]
    if idle:
        raise ArgumentError(f"{idle[0]} has a value but is not in the expression {text}")
    if not values:
        raise ArgumentError(f"{text} has no variable to differentiate by")
    names = tuple(values)
    return Point(function, names, tuple(values.values()), (), text, False, tuple(assumed))


def _floating(name: str, value: Any) -> Any:
    """Real numbers and arrays in floating point: integers could neither be divided nor raised to powers safely."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise ArgumentError(f"{name}: the variables of an expression are numbers and arrays of numbers")
    return np.float64(value) if not array.ndim else array.astype(float)  # NumPy's number divides by zero


def _numbers(names: Sequence[str]) -> dict[str, float]:
    """A positive number for each name, no two alike."""
    values = np.random.default_rng(0).uniform(0.5, 1.5, len(names)).round(3).tolist()
    return dict(zip(names, values, strict=True))


# -- files --------------------------------------------------------------------------------------------


def function_in_file(text: str) -> Callable[..., Any]:
    """The function that ``FILE.py:name`` says."""
    parts = _IN_FILE.fullmatch(text)
    if parts is None:
        raise ArgumentError(f"{text!r} names no function: write FILE.py:name")
    return _function(parts["file"], parts["name"])


def _point_in_file(text: str, file: str, name: str, given: dict[str, Any], assume: bool) -> Point:
    function = _function(file, name)
    names, args, assumed = [], [], []
    for parameter in _parameters(function, text):
        if parameter.name in given:
            value = given.pop(parameter.name)
        elif parameter.default is not _KINDS.empty:
            value = parameter.default
        elif assume:
            assumed.append(parameter.name)
            value = None
        else:
            raise ArgumentError(f"{text} needs {parameter.name}: add --at {parameter.name}=VALUE")
        names.append(parameter.name)
        args.append(value)
    if given:
        raise ArgumentError(f"{text} has no argument {next(iter(given))!r}; it has {', '.join(names) or 'none'}")
    for missing, number in _numbers(assumed).items():
        args[names.index(missing)] = number
    return Point(function, tuple(names), tuple(args), (), text, True, tuple(assumed))


def _parameters(function: Callable[..., Any], text: str) -> list[inspect.Parameter]:
    """The parameters that are passed by position; those by keyword alone keep their defaults."""
    try:
        every = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise ArgumentError(f"the arguments of {text} are not known: write a Python function that calls it") from None
    for parameter in every:
        if parameter.kind is _KINDS.VAR_POSITIONAL:
            raise ArgumentError(f"{text} takes any number of arguments: write a function of named ones that calls it")
        if parameter.kind is _KINDS.KEYWORD_ONLY and parameter.default is _KINDS.empty:
            raise ArgumentError(f"{text} takes {parameter.name} by keyword only: give it a default")
    return [p for p in every if p.kind in (_KINDS.POSITIONAL_ONLY, _KINDS.POSITIONAL_OR_KEYWORD)]


def _function(file: str, name: str) -> Callable[..., Any]:
    module = _module(file)
    try:
        found = operator.attrgetter(name)(module)
    except AttributeError:
        raise ArgumentError(f"{file} has no function {name!r}{_functions_of(file)}") from None
    if not callable(found):
        raise ArgumentError(f"{file}:{name} is {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


def _module(file: str) -> Any:
    """The file as a module."""
    path = Path(file).resolve()
    if not path.is_file():
        raise ArgumentError(f"there is no file {file}")
    return _loaded(path)


@functools.cache
def _loaded(path: Path) -> Any:
    """Run a file once; it finds the modules beside it."""
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names
    spec = importlib.util.spec_from_file_location(f"{path.stem}_{os.getpid()}" if taken else path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _functions_of(file: str) -> str:
    """The functions that a file defines, for a message."""
    module = _module(file)
    defined = [name for name, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__]
    return f"; it has {', '.join(defined)}" if defined else ""
