"""Every program means the same as text and in the interpreter."""

from __future__ import annotations

import pytest

from tests.backends.agreement import assert_text_agrees
from tests.ir.programs import PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_text_agrees_with_the_interpreter(name: str) -> None:
    program = PROGRAMS[name]
    assert_text_agrees(program.function, program.arguments(), ulps=4)
