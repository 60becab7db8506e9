"""Strings known when a program is read: methods, operators and indices of them are known too, as in Python."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule.errors import UnsupportedError

KINDS = ("relu", "tanh")


def by_letters(x, m):
    s = 0.0
    for c in m:
        if c == "a":
            s += x
        elif c.isupper():
            s -= x * x
    return s


def by_words(x, m):
    s = 0.0
    for word in m.split():
        s += x if word.startswith("a") else 0.5 * x
    return s


PROGRAMS = [
    (lambda x, m: x if m.upper() == "RELU" else -x, ["relu", "Relu", "tanh"]),
    (lambda x, m: x if m.startswith(("k", "re")) else -x, ["relu", "kelu", "tanh"]),
    (lambda x, m: x if "l" in m else -x, ["relu", "tanh"]),
    (lambda x, m: x if m not in KINDS else -x, ["relu", "x"]),
    (lambda x, m: x * len(m.strip().split(",")), [" a,b,c ", ""]),
    (lambda x, m: x if (m + "x").endswith("bx") and m < "b" else -x, ["ab", "bb", "a"]),
    (lambda x, m: x * m.count("a") + m.find("b") + len(m * 2), ["aab", "c"]),
    (lambda x, m: x * float(m.replace("k", "")) + int(m[0]), ["3.5k", "12"]),
    (lambda x, m: x if m[0] == "k" and m[-2:] == "35" else -x, ["k35", "k36"]),
    (lambda x, m: x if "_".join([m, "z"]) == f"{m}_z" else -x, ["a"]),
    (lambda x, m: x if "{}-{:02d}".format(m, 1) == "a-01" and "%s%d" % (m, 3) == "a3" else -x, ["a", "b"]),  # noqa: UP031, UP032
    (lambda x, m: {"a": x, "b": -x}[m.lower()], ["A", "b"]),
    (lambda x, m: sum([x for c in m if c == "a"]), ["aba"]),
    (by_letters, ["aBa", ""]),
    (by_words, ["ab ca ad"]),
]


@pytest.mark.parametrize(("f", "values"), PROGRAMS, ids=[str(k) for k in range(len(PROGRAMS))])
def test_what_is_made_of_a_known_text_is_known(f, values):
    jitted = cr.jit(f, backend="python")
    for m in values:
        assert jitted(2.0, m) == f(2.0, m)
    assert "    if" not in cr.source(f, 2.0, values[0])


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x, m: m.nosuch(), "'text' has no attribute 'nosuch'"),
        (lambda x, m: m.index("q"), "'text'.index raises ValueError: substring not found"),
        (lambda x, m: m[9], "raises IndexError"),
        (lambda x, m: x if m.ljust(x) else -x, "a number of type float64: text is made of what is known"),
        (lambda x, m: m % x, "text is made of what is known"),
    ],
)
def test_refusals(f, message):
    with pytest.raises(UnsupportedError) as caught:
        cr.jit(f, backend="python")(2.0, "text")
    assert message in str(caught.value)
