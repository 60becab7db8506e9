"""Reverse mode on programs as people write them, to the second order."""

from __future__ import annotations

import pytest

from chainrule.transforms.simplify import simplify
from tests.transforms.differences import check_jvp, check_vjp
from tests.transforms.reading import program_of
from tests.transforms.zoo import ZOO


@pytest.mark.parametrize("name", ZOO)
def test_reverse(name: str) -> None:
    function, args = ZOO[name]
    made, more = check_vjp(program_of(function, args), args)
    check_vjp(made, more)
    check_vjp(simplify(made), more)


@pytest.mark.parametrize("name", ZOO)
def test_with_forward_mode(name: str) -> None:
    function, args = ZOO[name]
    program = program_of(function, args)
    check_jvp(*check_vjp(program, args))
    check_vjp(*check_jvp(program, args))
