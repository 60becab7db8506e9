"""A function run on the expressions of SymPy or the numbers of mpmath, by the path it takes at given values.

Each traced value has two faces: what NumPy computes at the point, which decides branches, loops and indices,
and what the library makes of it. A value of which only the name is given has no numbers: a decision that would
need them raises. What is piecewise constant (comparisons, floor, sign) enters as its value at the point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import chainrule.arrays  # noqa: F401  (gives Tracer its operators and functions)
from chainrule.arrays.buffers import replace_traced, set_traced
from chainrule.core.dispatch import Tracer, bind, dtype_of, fresh_level, shape_of
from chainrule.core.primitive import Primitive
from chainrule.core.quiet import quiet
from chainrule.core.views import link
from chainrule.errors import LeakedTracerError, UnsupportedError, unmask, user_line
from chainrule.leaves import result_leaves
from chainrule.symbolic.library import Library

__all__ = ["evaluate"]

# Zero in every real number, whatever it is.
_CONSTANT = frozenset({"sign", "copysign", "heaviside"})


class Run:
    """One evaluation: its level, its library, and whether the values are known."""

    __slots__ = ("known", "level", "library", "open")

    def __init__(self, library: Library, known: bool) -> None:
        self.level = fresh_level()
        self.library = library
        self.known = known
        self.open = True


class Exact(Tracer):
    """A number: its floating-point ``value``, and what the library has for it in ``exact``."""

    __slots__ = ("exact", "run", "value")

    def __init__(self, value: Any, exact: Any, run: Run) -> None:
        self.value = value
        self.exact = exact
        self.run = run

    @property
    def level(self) -> int:  # type: ignore[override]
        return self.run.level

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        run = self.run
        if not run.open:
            raise LeakedTracerError(
                f"a symbol is used after the evaluation that made it has ended (at {user_line()}); return it instead"
            )
        mine = [isinstance(a, Exact) and a.run is run for a in args]
        values = [a.value if m else a for a, m in zip(args, mine, strict=True)]
        with quiet():
            y = bind(primitive, *values, **params)
        if isinstance(y, tuple):
            raise run.library.unknown(primitive)
        if primitive.slots == () or primitive.name in _CONSTANT or dtype_of(y).kind != "f":
            return self._decided(primitive, y)
        if any(isinstance(v, Tracer) for v in values):
            raise UnsupportedError(f"a symbol meets a value that is being differentiated (at {user_line()})")
        exacts = [a.exact if m else a for a, m in zip(args, mine, strict=True)]
        result = lift(y, run.library.evaluate(primitive, exacts, params), run)
        if primitive.views:
            link(result, args[0], primitive, args, params)
        return result

    def _decided(self, primitive: Primitive, y: Any) -> Any:
        """What is constant around the point; and no derivative is taken where the point is not known."""
        if dtype_of(y).kind == "c":
            raise UnsupportedError(f"{primitive.name} gives complex numbers (at {user_line()}): only real ones here")
        if not self.run.known:
            raise UnsupportedError(
                f"{primitive.name} of a symbol (at {user_line()}) depends on its value, which is not given: give "
                "numbers instead of names, and the expression is that of the path taken there"
            )
        return y

    def twin(self) -> Exact:
        return type(self)(self.value, self.exact, self.run)


class ExactArray(Exact):
    """An array; writes to it make new ones, whose state it adopts."""

    __slots__ = ("key", "made", "owner", "views", "written")

    def __init__(self, value: Any, exact: Any, run: Run) -> None:
        super().__init__(value, exact, run)
        self.owner = None
        self.views = None
        self.written = False

    @property
    def captured(self) -> bool:
        """Always: no memory is ever reused."""
        return True

    @captured.setter
    def captured(self, flag: bool) -> None:
        pass

    def adopt(self, other: Exact) -> None:
        """Take over the state that a write has computed."""
        self.value = other.value
        self.exact = other.exact

    set = set_traced
    replace = replace_traced


def lift(value: Any, exact: Any, run: Run) -> Exact:
    """A traced number or array."""
    if shape_of(value):
        return ExactArray(value, np.asarray(exact, object), run)
    return Exact(value[()] if isinstance(value, np.ndarray) else value, np.asarray(exact, object).item(), run)


def evaluate(
    function: Callable[[list[Any]], Any], values: Sequence[Any], exacts: Sequence[Any], library: Library
) -> Any:
    """The result of a function of leaves, as a number or an expression of the library.

    Parameters
    ----------
    function : callable
        Takes the list of traced leaves and returns one number.
    values : sequence of floats and float arrays
        The point, which decides the path; NaN where it is not known.
    exacts : sequence
        The same in the library's numbers or symbols: objects, or arrays of them.
    """
    known = not any(np.any(np.isnan(v)) for v in values)
    run = Run(library, known)
    # Python's own NaN would answer comparisons by itself.
    inputs = [
        lift(np.float64(v) if v.__class__ is float and math.isnan(v) else v, e, run)
        for v, e in zip(values, exacts, strict=True)
    ]
    try:
        result = function(inputs)
    except ValueError as error:
        unmask(error)
        raise
    finally:
        run.open = False
    leaves, structure = result_leaves(result)
    if structure is not None or shape_of(leaves[0]):
        raise UnsupportedError("the function must return one number: index its result, or sum it")
    (leaf,) = leaves
    return leaf.exact if isinstance(leaf, Exact) and leaf.run is run else library.lift(leaf)
