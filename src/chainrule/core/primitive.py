"""Primitives: operations with a derivative rule, and the one registry of them.

A rule gives for each argument a factory of linear maps, see `core.linear`; the constructors that
turn a line of a rule table into a primitive are in `core.define`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chainrule.core.dispatch import Tracer, bind
from chainrule.core.linear import Slot
from chainrule.errors import ArgumentError

__all__ = ["Primitive", "by_function", "register", "registry"]


class Primitive:
    """An operation with a rule. Arrays are positional arguments, metadata are keyword arguments.

    Attributes
    ----------
    name : str
    impl : callable
        The operation on plain arrays and numbers.
    slots : tuple of Slot or None
        What the derivative does in each positional argument; the last one serves all further
        arguments of a variadic primitive. An empty tuple: the derivative is zero everywhere.
        None: there is no rule, differentiating raises.
    joint : bool or callable
        The operation is linear in all its differentiable arguments together (addition, where,
        concatenate), not in each alone (multiplication). A function is how forward mode does it.
    outputs : int
        Number of outputs; above one the operation returns a tuple.
    views : bool
        The result may share memory with the first argument.
    batch : callable or None
        ``batch(size, args, params)`` for arguments of which some are `core.batch.Rows`.
    samples : callable or None
        ``samples(rng)`` yields ``(args, params)`` to test the rule at.
    tie : str or None
        What the rule answers where the function has a kink.
    short : tuple or None
        The partials of an elementwise operation and what they read, for the engines' short roads.
    """

    __slots__ = ("batch", "impl", "joint", "kind", "name", "outputs", "samples", "short", "slots", "tie", "views")

    def __init__(
        self,
        name: str,
        impl: Callable[..., Any],
        slots: tuple[Slot, ...] | None,
        *,
        kind: str = "general",
        joint: bool | Callable[..., Any] = False,
        outputs: int = 1,
        views: bool = False,
        samples: Callable[..., Any] | None = None,
        tie: str | None = None,
    ) -> None:
        self.name = name
        self.impl = impl
        self.slots = slots
        self.kind = kind
        self.joint = joint
        self.outputs = outputs
        self.views = views
        self.batch: Callable[..., Any] | None = None
        self.samples = samples
        self.tie = tie
        self.short: tuple[Any, ...] | None = None  # see `core.define.shorten`

    def __call__(self, *args: Any, **params: Any) -> Any:
        for arg in args:
            if isinstance(arg, Tracer):
                return arg.process(self, args, params) if len(args) == 1 else bind(self, *args, **params)
        return self.impl(*args, **params)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return (_lookup, (self.name,))

    def slot(self, index: int) -> Slot | None:
        """The derivative's behaviour in argument `index`, None where it is zero."""
        slots = self.slots
        if not slots:
            return None
        slot = slots[index] if index < len(slots) else slots[-1]
        return slot if slot.active else None


class Registry(Mapping[str, Primitive]):
    """All primitives by name, and by the NumPy or SciPy functions they implement."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._primitives: dict[str, Primitive] = {}

    def __getitem__(self, name: str) -> Primitive:
        return self._primitives[name]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._primitives))

    def __len__(self) -> int:
        return len(self._primitives)

    def add(self, primitive: Primitive) -> None:
        with self._lock:
            if primitive.name in self._primitives:
                raise ArgumentError(f"a primitive named {primitive.name!r} exists already; choose another name")
            self._primitives[primitive.name] = primitive


registry = Registry()
by_function: dict[Any, Primitive] = {}


def register(primitive: Primitive, functions: tuple[Any, ...] = ()) -> Primitive:
    """Enter `primitive` into the registry, and as what answers for the given library functions."""
    taken = next((f for f in functions if f in by_function), None)
    if taken is not None:
        raise ArgumentError(
            f"{getattr(taken, '__name__', taken)} has a rule already, {by_function[taken]}, which a second one would "
            "replace everywhere; define the new one for a function of its own"
        )
    registry.add(primitive)
    by_function.update(dict.fromkeys(functions, primitive))
    return primitive


def _lookup(name: str) -> Primitive:
    return registry[name]
