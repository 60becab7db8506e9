"""The function and the point of a report, as a function of the numbers and arrays in its arguments.

Every positional argument that holds real numbers is differentiated; names, truth values and functions are
passed as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.calls import Call, check_callable
from chainrule.core.dispatch import dtype_of, shape_of
from chainrule.errors import ArgumentError
from chainrule.leaves import result_leaves
from chainrule.view.naming import argument_names, leaf_names

__all__ = ["Problem"]


class Problem:
    """One function at one point.

    Attributes
    ----------
    values : list
        The differentiated numbers and arrays, the *leaves* of the arguments.
    labels : list of str
        What each leaf is called.
    """

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], what: str) -> None:
        check_callable(f, what)
        chosen = tuple(
            k for k, a in enumerate(args) if not (a is None or callable(a) or isinstance(a, (bool, str, bytes)))
        )
        if not chosen:
            raise ArgumentError(f"{what} needs the arguments to evaluate the function at: {what}(f, x)")
        self.function, self.args = f, args
        self._call = Call(f, chosen, args, {})
        self.values = self._call.point.values
        if any(dtype_of(v).kind == "c" for v in self.values):
            raise ArgumentError(f"{what} is about functions of real numbers; an argument is complex")
        names = argument_names(f, len(args))
        every = [name for k in chosen for name in leaf_names(names[k], args[k])]
        self.labels = [name for name, leaf in zip(every, self._call.point.leaves, strict=True) if leaf.active]

    @property
    def name(self) -> str:
        """The function's name."""
        return getattr(self.function, "__name__", None) or repr(self.function)

    @property
    def size(self) -> int:
        """How many numbers are differentiated."""
        return sum(int(np.size(v)) for v in self.values)

    @property
    def elements(self) -> list[str]:
        """What each number is called."""
        names = []
        for label, value in zip(self.labels, self.values, strict=True):
            shape = shape_of(value)
            names += [f"{label}[{', '.join(map(str, i))}]" for i in np.ndindex(shape)] if shape else [label]
        return names

    def run(self, values: list[Any]) -> Any:
        """The function with `values` in the place of its leaves; plain arrays are copied, since it may write them."""
        return self._call.run([v.copy() if v.__class__ is np.ndarray else v for v in values])

    def spread(self, *values: Any) -> Any:
        """The same with the leaves as arguments, for transformations."""
        return self.run(list(values))

    @property
    def point(self) -> Any:
        """All numbers in one flat array."""
        dtype = np.result_type(*[dtype_of(v) for v in self.values])
        return np.concatenate([np.ravel(v) for v in self.values]).astype(dtype)

    def leaves(self, flat: Any) -> list[Any]:
        """The inverse of `point`, for numbers of any kind."""
        parts, start = [], 0
        for value in self.values:
            shape, count = shape_of(value), int(np.size(value))
            part = flat[start : start + count]
            parts.append(part.reshape(shape) if shape else part[0])
            start += count
        return parts

    def flat(self, x: Any) -> Any:
        """The function of one flat array."""
        return self.run(self.leaves(x))

    def scalar(self, what: str) -> Any:
        """The value of the function, which must be one real number."""
        leaves, structure = result_leaves(self.run(self.values))
        if structure is not None or shape_of(leaves[0]) or dtype_of(leaves[0]).kind not in "fiu":
            raise ArgumentError(f"{what} needs a function that returns one real number; index or sum its result")
        return leaves[0]


def join(parts: Any) -> Any:
    """Numbers and arrays as one flat array."""
    return np.concatenate([np.ravel(p) for p in parts]) if len(parts) else np.zeros(0)
