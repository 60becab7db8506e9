"""Every program means the same as text and in the interpreter."""

from __future__ import annotations

import inspect
import sys

import pytest

from chainrule.backends.compile import module_of, plain
from chainrule.backends.python import write
from chainrule.ir.build import FLOAT, Builder, constant
from chainrule.ir.nodes import Check, Function, Var
from tests.backends.agreement import assert_text_agrees
from tests.ir.programs import PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_text_agrees_with_the_interpreter(name: str) -> None:
    program = PROGRAMS[name]
    assert_text_agrees(program.function, program.arguments(), ulps=4)


def test_tracebacks_show_the_line_of_the_text() -> None:
    b, x = Builder(), Var("x", FLOAT)
    b.emit(Check(b.let("greater", x, constant(0.0)), "ValueError", ("negative: ", x)))
    call = plain(write(Function("checked", (x,), b.block, (x,))))
    assert call(2.0) == 2.0
    with pytest.raises(ValueError, match=r"^negative: -1\.0$") as caught:
        call(-1.0)
    assert str(caught.traceback[-1].statement).strip() == 'raise ValueError(f"negative: {x}")'


def test_a_module_is_known_to_python() -> None:
    b, x = Builder(), Var("x", FLOAT)
    module = module_of(write(Function("twice", (x,), b.block, (b.let("add", x, x),))))
    assert sys.modules[module.__name__] is module
    assert inspect.getsource(module.twice) == "def twice(x):\n    return x + x\n"
