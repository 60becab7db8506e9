"""What programs say when they stop, and what they print: as Python says it, on every back end."""

from __future__ import annotations

import linecache

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import UnsupportedError

BACKENDS = ["interpreter", "python", "numba"]
A = np.array([1.0, 1 / 3])


def fixed(x):
    if x > 0:
        raise ValueError(f"step {x:.3g} too small")
    return x


def made(text):
    """A function from its text; pytest rewrites the assertions of test modules."""
    linecache.cache[f"<{text}>"] = (len(text), None, text.splitlines(keepends=True), f"<{text}>")
    space = {}
    exec(compile(text, f"<{text}>", "exec"), space)
    return space.popitem()[1]


signs = made("""\
def signs(x):
    assert x < 0, f"{x:+.2e} and {x!r}, {x!s:>10}|{x:>12}|{x:<9.1f}|{{}}"
    return x
""")
nothing = made("def nothing(x):\n    assert x < 0\n    return x\n")


def integers(x):
    n = int(x * 3)
    if x > 0:
        raise ValueError(f"{n:03d} {n} {n:x} {n / 3:.1%} {n > 2} {n:,}")
    return x


def nested(x):
    width = 9
    if x > 0:
        raise RuntimeError(f"{x:{width}.{2}f}|{'name':>6}|{'name'!r}|{width:>4}|{1.5:.3f}")
    return x


def several(x):
    if x > 0:
        raise ValueError("a", f"b {x:.1f}", None)
    return x


def lone(x):
    if x > 0:
        raise ValueError(x)
    return x


def silent(x):
    if x > 0:
        raise ArithmeticError()
    return x


def shapes(x):
    y = A * x
    if x > 0:
        raise ValueError(f"{y[0]:.2f} {y[1]} {y[1]!r} {y.shape} {len(y)} {(x, 2)} {[1]}")
    return x


def texts(x):
    name = f"{'speed':<7}{3:02d}"
    if x > 0:
        raise KeyError(f"{name}: {x:.2f}")
    return x


PROGRAMS = [fixed, signs, integers, nested, several, lone, nothing, silent, shapes, texts]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_exceptions_say_what_pythons_do(f, backend):
    with pytest.raises(Exception) as expected:  # noqa: PT011 whatever Python raises
        f(1.23456)
    for g in (f, cr.grad(f)) if backend == "python" else (f,):
        with pytest.raises(type(expected.value)) as caught:
            cr.jit(g, backend=backend)(1.23456)
        assert [str(a) for a in caught.value.args] == [str(a) for a in expected.value.args]
        assert len(caught.value.args) == len(expected.value.args)


def test_a_gradient_says_it_in_machine_code():
    with pytest.raises(ValueError, match=r"^step 1\.23 too small$"):
        cr.jit(cr.grad(fixed))(1.23456)
    assert cr.jit(cr.grad(fixed))(-1.0) == 1.0


def test_the_text_of_the_program_is_the_users():
    assert 'raise ValueError(f"step {x:.3g} too small")' in cr.source(fixed, 1.0).replace("'", '"')


def test_prints(capsys):
    def f(x):
        print(f"v{x:8.3f}|", x, f"{x}", "end")
        print()
        return x

    f(1.23456)
    expected = capsys.readouterr().out
    for backend in ("interpreter", "python"):
        cr.jit(f, backend=backend)(1.23456)
        assert capsys.readouterr().out == expected


@pytest.mark.parametrize("spec", ["d", "s", ".2q"])
def test_formats_that_python_would_not_take_are_refused(spec):
    f = made(f"def f(x):\n    assert x < 0, f'{{x:{spec}}}'\n    return x\n")
    with pytest.raises(UnsupportedError, match="the format"):
        cr.jit(f, backend="python")(1.0)


def test_a_computed_format_is_refused():
    def f(x):
        assert x < 0, f"{x:{int(x)}.2f}"
        return x

    with pytest.raises(UnsupportedError, match="a format that depends on computed numbers"):
        cr.jit(f, backend="python")(3.0)
