"""Functions that call themselves, as text: who is guarded, and what they hand to each other."""

from __future__ import annotations

import pytest

from chainrule.backends.python import write
from chainrule.backends.recursion import Recursion, is_repeatable, name_of
from chainrule.ir.build import INT, Builder, constant, integer
from chainrule.ir.nodes import Array, Block, Call, Function, Print, Reserve, Var
from chainrule.transforms.activity import called_by
from chainrule.transforms.reverse import vjp
from tests.backends.agreement import assert_text_agrees
from tests.programs import calls
from tests.transforms.reading import program_of


def chain() -> list[Function]:
    """f calls g, g calls itself and h, h calls nothing."""
    functions = [Function(name, (Var("n", INT),), Block(), (integer(0),)) for name in "fgh"]
    f, g, h = functions
    for caller, callee in ((f, g), (g, g), (g, h)):
        caller.body.nodes.append(Call((Var("y", INT),), callee, (integer(1),)))
    return functions


def test_who_is_guarded() -> None:
    f, g, h = chain()
    found = Recursion([f, g, h])
    assert found.cyclic == {g}
    assert found.guarded == {f, g}


def test_the_floor_is_handed_down_in_compiled_text() -> None:
    f, _, _ = chain()
    text = write(f, "compiled").text
    assert "    floor = support.stack_floor()\n" in text
    assert "def g(n, floor):\n    if support.is_deep(floor):\n        raise RecursionError(" in text
    assert "def h(n):" in text
    assert "floor" not in write(f).text


@pytest.mark.parametrize("name", ["minors", "minors_recording", "minors_pullback_recording", "minors_dot_jvp"])
def test_names(name: str) -> None:
    assert name_of(Function(name, (), Block(), ())) == "minors"


def test_what_can_be_run_again() -> None:
    f, g, h = chain()
    assert is_repeatable(f, [f, g, h])
    h.body.nodes.append(Print(("here",)))
    assert not is_repeatable(f, [f, g, h])


def test_tapes_in_both_texts() -> None:
    """The readable text returns what has become longer, the compiled one hands tapes to those who make it longer."""
    made = vjp(program_of(calls.double_recursion, (0.4, 6)), [True, False])
    assert any(f.grows for f in called_by(made))
    assert_text_agrees(made, [0.4, 6, 1.0])
    assert "tape_f = fibonacci_like_recording(" in write(made).text
    compiled = write(made, "compiled").text
    assert "support.new_tape(0, 512)" in compiled
    assert "support.release(0, tape_f)" in compiled


def test_elements_and_extents_of_a_tape() -> None:
    """What a call makes longer is an array for everyone else: it is filled, read and measured."""
    tape, size = Var("tape", Array("float64", 1)), Var("size", INT)
    longer = Function("longer", (tape, size), Block([Reserve(tape, size)]), ())
    b = Builder(longer.body)
    b.store(tape, [b.let("subtract", size, integer(1))], constant(2.5))
    longer.writes = longer.grows = frozenset([tape])
    n, b = Var("n", INT), Builder()
    own = b.alloc("float64", [integer(3)])
    b.store(own, [integer(0)], constant(1.5))
    b.emit(Call((), longer, (own, n)))
    found = b.let("add", b.load(own, integer(0)), b.load(own, b.let("subtract", n, integer(1))))
    is_long = b.let("less_equal", n, b.dim(own, 0))
    assert_text_agrees(Function("f", (n,), b.block, (found, is_long)), [100])
