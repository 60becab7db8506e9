"""Recording an evaluation: an interpreter that writes down every operation with what the user sees of it.

A `Recorded` value is a value with the number of the row it came from. Its tape holds, in the order of
evaluation, one `Operation` per primitive, and one `Decision` wherever the program looks at a value (a
comparison, a cast to an integer): what comes after holds for the path that was taken. Recorded arrays are
never overwritten, so that every row keeps its value.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np

from chainrule.arrays.buffers import replace_traced, set_traced
from chainrule.core.dispatch import Tracer, bind, dtype_of
from chainrule.core.primitive import Primitive, by_function
from chainrule.core.views import link, private
from chainrule.eager.tape import Tape
from chainrule.errors import ArgumentError, UnsupportedError, unmask, user_line
from chainrule.leaves import differentiable_leaves
from chainrule.view import naming
from chainrule.view.naming import Place

__all__ = ["Decision", "Operation", "Record", "Recorded", "record"]


@dataclass(slots=True)
class Operation:
    """One primitive: its operands (slots, None for constants), its values, and where the program does it."""

    primitive: Primitive
    outs: tuple[int, ...]
    operands: tuple[int | None, ...]
    values: tuple[Any, ...]
    params: dict[str, Any]
    y: Any
    places: tuple[Place, ...]  # innermost first


@dataclass(slots=True)
class Decision:
    """A value the program looked at: nothing after it is differentiated through it."""

    primitive: Primitive
    operands: tuple[int | None, ...]
    values: tuple[Any, ...]
    params: dict[str, Any]
    y: Any
    places: tuple[Place, ...]
    before: int  # the slot that the next operation takes


@dataclass(slots=True)
class Record:
    """One evaluation."""

    inputs: list[Any]
    steps: list[Operation | Decision]
    leaves: list[Any]  # of the result: Recorded, or constant
    structure: Any
    values: list[Any]  # by slot
    names: dict[int, str]
    constants: dict[int, tuple[Any, str | Decision]]  # id -> array; the user's name, or what gave it
    nested: bool  # a transformation inside the function compares values without this record's knowing


class Recorder(Tape):
    """The tape of a recording, with the names the program gives."""

    __slots__ = ("base", "constants", "looked", "names", "nested", "pending", "values")

    def __init__(self, where: object) -> None:
        super().__init__(where)
        self.names: dict[int, str] = {}
        self.values: list[Any] = []
        self.constants: dict[int, tuple[Any, str | Decision]] = {}
        self.looked: dict[int, Decision] = {}  # by the identity of their arrays
        self.base: FrameType | None = None
        self.nested = False
        self.pending: tuple[int, str, FrameType, int] | None = None

    def new(self, value: Any) -> int:
        """The slot of a new value."""
        self.values.append(value)
        return len(self.values) - 1

    def kept(self, value: Any, frames: list[FrameType]) -> Any:
        """A constant operand, secured against later writes; an array with the name the user has for it."""
        if value.__class__ is not np.ndarray or not value.ndim:
            return value
        copy = self.snapshot(value)
        if id(copy) not in self.constants:
            self.constants[id(copy)] = (copy, self.looked.get(id(value)) or _name_of_array(value, frames))
        return copy

    def call(self, slot: int, frames: list[FrameType]) -> None:
        """Note what the program is about to call the value in `slot`."""
        self._settle(frames)
        stored = naming.stored_as(frames)
        if stored is not None:
            name, frame = stored
            self.names[slot] = name
            self.pending = (slot, name, frame, frame.f_lasti)

    def _settle(self, frames: list[FrameType]) -> None:
        """Take a name back if the instruction that was to store it is still under way."""
        if self.pending is None:
            return
        slot, name, frame, instruction = self.pending
        self.pending = None
        if frame in frames and frame.f_lasti == instruction:
            holder = frame.f_locals.get(name)
            if getattr(holder, "slot", None) != slot:
                self.names.pop(slot, None)


def _name_of_array(array: Any, frames: list[FrameType]) -> str:
    for frame in frames:
        for scope in (frame.f_locals, frame.f_globals):
            for name, value in scope.items():
                if value is array:
                    return name
    return ""


class Recorded(Tracer):
    """A number of a recorded evaluation."""

    __slots__ = ("slot", "tape", "value")

    def __init__(self, value: Any, tape: Recorder, slot: int) -> None:
        self.value = value
        self.tape = tape
        self.slot = slot

    @property
    def level(self) -> int:  # type: ignore[override]
        return self.tape.level

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        tape = self.tape
        ours = [isinstance(a, Recorded) and a.tape is tape for a in args]
        values = [a.value if o else a for a, o in zip(args, ours, strict=True)]
        if params.get("donate"):
            params = {**params, "donate": False}
        y = bind(primitive, *values, **params)
        if isinstance(y, Tracer):
            raise UnsupportedError(
                f"trace shows numbers and is itself not differentiated (at {user_line()}): a value of an enclosing "
                "transformation is used in the traced function"
            )
        frames, nested = naming.stack(sys._getframe(1), tape.base)
        tape.nested = tape.nested or nested
        kept = tuple(v if o else tape.kept(v, frames) for v, o in zip(values, ours, strict=True))
        operands = tuple(a.slot if o else None for a, o in zip(args, ours, strict=True))
        places = tuple(map(naming.place_of, frames))
        if not _differentiable(primitive, y):
            decision = Decision(primitive, operands, kept, params, y, places, len(tape.values))
            tape.append(decision)
            if isinstance(y, np.ndarray):
                tape.looked[id(y)] = decision
            return y
        outputs = y if isinstance(y, tuple) else (y,)
        outs = tuple(tape.new(value) for value in outputs)
        tape.append(Operation(primitive, outs, operands, kept, params, y, places))
        if len(outs) == 1:
            tape.call(outs[0], frames)
        traced = tuple(lift(value, tape, out) for value, out in zip(outputs, outs, strict=True))
        if primitive.views:
            link(traced[0], args[0], primitive, args, params)
        return traced if isinstance(y, tuple) else traced[0]

    def twin(self) -> Recorded:
        return Recorded(self.value, self.tape, self.slot)

    def __bool__(self) -> bool:
        return bool(_decide(np.not_equal, operator.ne, self, 0))

    def __round__(self, digits: int | None = None) -> Any:
        if digits is None and not self.shape:
            return int(_decide(np.rint, lambda a, _: round(a), self))
        return np.round(self, digits or 0)


class RecordedArray(Recorded):
    """An array of a recorded evaluation."""

    __slots__ = ("key", "made", "owner", "views", "written")

    def __init__(self, value: Any, tape: Recorder, slot: int) -> None:
        super().__init__(value, tape, slot)
        self.owner = None
        self.views = None
        self.written = False

    # Rows keep their values: a write always makes a new array.
    captured = property(lambda self: True, lambda self, value: None)

    def twin(self) -> RecordedArray:
        return RecordedArray(self.value, self.tape, self.slot)

    def adopt(self, other: Recorded) -> None:
        """Take over the state that a write has computed, and keep the name."""
        name = self.tape.names.get(self.slot)
        self.value = other.value
        self.slot = other.slot
        if name is not None:
            self.tape.names.setdefault(self.slot, name)

    set = set_traced
    replace = replace_traced


def lift(value: Any, tape: Recorder, slot: int) -> Any:
    """The recorded value in a slot."""
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value[()]
    return (RecordedArray if np.ndim(value) else Recorded)(value, tape, slot)


def _differentiable(primitive: Primitive, y: Any) -> bool:
    """Whether the result is a value the derivative passes, or a step function that belongs among the rows."""
    if not isinstance(y, tuple) and dtype_of(y).kind not in "fc":
        return False
    if primitive.slots is None:
        raise UnsupportedError(
            f"{primitive.name} has no derivative rule (at {user_line()}). Define one with "
            "chainrule.custom_jvp or chainrule.custom_vjp, or cut the derivative with chainrule.stop_gradient."
        )
    return bool(primitive.slots) or primitive.tie is not None


# -- decisions ----------------------------------------------------------------------------------------


def _decide(ufunc: Any, plain: Callable[[Any, Any], Any], value: Recorded, *others: Any) -> Any:
    """Look at a recorded number, and note that the program did."""
    tape = value.tape
    ours = [isinstance(a, Recorded) and a.tape is tape for a in (value, *others)]
    values = tuple(a.value if o else a for a, o in zip((value, *others), ours, strict=True))
    y = plain(values[0], values[1] if others else None)
    if isinstance(y, Tracer):
        return y
    frames, _ = naming.stack(sys._getframe(2), tape.base)
    operands = tuple(a.slot if o else None for a, o in zip((value, *others), ours, strict=True))
    places = tuple(map(naming.place_of, frames))
    tape.append(Decision(by_function[ufunc], operands, values, {}, y, places, len(tape.values)))
    return y


def _comparison(name: str, ufunc: Any) -> Callable[..., Any]:
    usual = getattr(Tracer, f"__{name}__")
    plain = getattr(operator, name)

    def method(self: Any, other: Any) -> Any:
        # Python's own numbers are compared by Python, which no primitive sees.
        if self.value.__class__ is float and getattr(other, "value", other).__class__ in (float, int, bool):
            return _decide(ufunc, plain, self, other)
        return usual(self, other)

    return method


for _name, _ufunc in {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}.items():
    setattr(Recorded, f"__{_name}__", _comparison(_name, _ufunc))
Recorded.__hash__ = Tracer.__hash__  # type: ignore[method-assign]


# -- one evaluation -----------------------------------------------------------------------------------


def record(run: Callable[[list[Any]], Any], values: Sequence[Any], names: Sequence[str], where: object) -> Record:
    """Run a function of leaves on recorded `values` and keep what it did."""
    tape = Recorder(where)
    for name, value in zip(names, values, strict=True):
        if isinstance(value, Tracer):
            raise ArgumentError("trace shows numbers: its arguments cannot be values of another transformation")
        own = private(value) if isinstance(value, np.ndarray) else value
        tape.names[tape.new(own)] = name
    inputs = [lift(value, tape, slot) for slot, value in enumerate(tape.values)]
    tape.inputs = [(id(x), x.value) for x in inputs if x.__class__ is RecordedArray]
    tape.base = sys._getframe()
    try:
        leaves, structure = differentiable_leaves(run(list(inputs)))
    except ValueError as error:
        unmask(error)
        raise
    finally:
        tape.close()
        tape.base = tape.pending = None
    steps = tape.entries[1:]
    own = tape.values[: len(inputs)]
    return Record(own, steps, leaves, structure, tape.values, tape.names, tape.constants, tape.nested)
