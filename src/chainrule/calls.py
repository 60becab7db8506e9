"""One call of a transformed function: which arguments are differentiated, and what is returned beside."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from chainrule.errors import ArgumentError, name_of
from chainrule.leaves import Point, Privates

__all__ = ["Call", "Function", "argnum", "check_callable", "with_aux"]

Function = Callable[..., Any]


class Call:
    """One call of a transformed function: the chosen arguments as a `Point`, the rest as given."""

    __slots__ = ("_argnums", "_args", "_kwargs", "_single", "function", "point")

    def __init__(self, function: Function, argnums: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function, self._args, self._kwargs = function, args, kwargs
        self._single = argnums.__class__ is not tuple
        numbers = (argnums,) if self._single else argnums
        self._argnums = [argnum(n, len(args), function) for n in numbers]
        if len(set(self._argnums)) != len(self._argnums):
            raise ArgumentError(f"argnums={argnums} names an argument twice")
        self.point = Point([args[n] for n in self._argnums], self.describe)

    @property
    def name(self) -> str:
        """How messages call the function."""
        return name_of(self.function)

    @property
    def others(self) -> Any:
        """The arguments that are not differentiated."""
        return [a for n, a in enumerate(self._args) if n not in self._argnums], self._kwargs

    def describe(self, k: int) -> str:
        """How messages call the k-th differentiated argument."""
        return f"argument {self._argnums[k]} of {self.name}"

    def run(self, values: list[Any]) -> Any:
        """Call the function with `values` in the place of the differentiated leaves."""
        privates = Privates(self.point.values)
        args = [None if n in self._argnums else privates.copy(a) for n, a in enumerate(self._args)]
        kwargs = {name: privates.copy(a) for name, a in self._kwargs.items()}
        for n, argument in zip(self._argnums, self.point.rebuild(values), strict=True):
            args[n] = argument
        result = self.function(*args, **kwargs)
        privates.check()
        return result

    def pick(self, results: list[Any]) -> Any:
        """One result per differentiated argument: a tuple if argnums was one."""
        return results[0] if self._single else tuple(results)


def argnum(number: Any, count: int, function: Any) -> int:
    """One of `count` positional arguments, counted from 0 or from the end."""
    if number.__class__ is int and 0 <= number < count:
        return number
    try:
        n = operator.index(number)
    except TypeError:
        raise ArgumentError(f"argnums must be an integer or a tuple of integers, not {number!r}") from None
    if not -count <= n < count:
        raise ArgumentError(f"argnums={n} for a call of {name_of(function)} with {count} positional arguments")
    return n % count


def check_callable(function: Any, transformation: str) -> None:
    if not callable(function):
        raise ArgumentError(
            f"{transformation} takes a function, not {type(function).__name__}: write "
            f"chainrule.{transformation}(f)(x), not chainrule.{transformation}(f(x))"
        )


def with_aux(call: Call, aux: list[Any]) -> Callable[[list[Any]], Any]:
    def run(values: list[Any]) -> Any:
        result = call.run(values)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise ArgumentError(f"has_aux=True: {call.name} must return a pair (value, aux)")
        aux.append(result[1])
        return result[0]

    return run
