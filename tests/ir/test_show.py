"""The text of programs."""

from __future__ import annotations

import re

import pytest

from chainrule.ir.show import show
from tests.ir.programs import PROGRAMS

BACKSUBSTITUTION = """\
backsubstitution(u: float64[:,:], c: float64[:])
    n_c = c.shape[0]
    t = subtract(n_c, 1)
    for i in range(t, -1, -1):
        t_2 = add(i, 1)
        for j in range(t_2, n_c, 1):
            t_3 = u[i, j]
            t_4 = c[j]
            t_5 = multiply(t_3, t_4)
            t_6 = negative(t_5)
            c[i] += t_6
        t_7 = c[i]
        t_8 = u[i, i]
        t_9 = divide(t_7, t_8)
        c[i] = t_9
    return c"""


def test_a_program_as_text() -> None:
    assert show(PROGRAMS["backsubstitution"].function) == BACKSUBSTITUTION


SAID = {
    "stopped": ["while with i_2 = 0, s_2 = 0.0, stop_2 = False, rv_2 = undefined:", "    test t", "do:", "give rv_2"],
    "views": ["a.transpose(1, 0)", "row = at[1, :]", "row[::-1]", "back[None, 1:]", "a.reshape(t)", "row[-1]"],
    "born_in_a_loop": ["new float64(3), filled with 0.0", "kept = copy of t_4", "y[...] += t_4"],
    "reserved": ["r = new float64(1)", "reserve r, t_"],
    "linear_algebra": ["y = solve(a, c)", "a_3, a_4 = slogdet(p)"],
    "spoken": [
        "print('start', x)",
        "unless t_2 raise ValueError('too large: ', s_2)",
        "raise ArithmeticError('is ', s)",
    ],
    "decisions": ["int64(x)", "float64(t", "give x"],
    "halves": ["s = halves(y_2)", "halves(x: float64[:])", "part = x[:middle]"],
}


@pytest.mark.parametrize("name", SAID)
def test_every_construct_has_its_words(name: str) -> None:
    text = show(PROGRAMS[name].function)
    for part in SAID[name]:
        assert part in text


@pytest.mark.parametrize("name", PROGRAMS)
def test_names_are_distinct_and_every_name_is_introduced(name: str) -> None:
    for text in show(PROGRAMS[name].function).split("\n\n"):
        left = [line.strip().split(" = ")[0] for line in text.splitlines() if " = " in line]
        names = [n for part in left if re.fullmatch(r"[\w, ]+", part) for n in part.split(", ") if "while" not in n]
        assert len(names) == len(set(names))
