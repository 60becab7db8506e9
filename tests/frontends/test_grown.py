"""Lists that grow while the program runs: what is refused, what raises, and the room that they take.

Their values and derivatives are tested with the programs of `tests.programs.grown`.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import UnsupportedError

X = np.array([0.5, -0.3, 0.8, 1.2])
WRITTEN, ITEM = "written to after it was appended", "an item of a list is written to"

APPENDED = "y = x * 1\nfor t in range(n):\n    y = y + 1\n    ys.append(y)"

# what is refused -> part of the reason, and the body of a function of a vector x and a number n of steps.
REFUSED: dict[str, tuple[str, str]] = {
    "the state is changed in place": (WRITTEN, "y = x.copy()\nfor t in range(n):\n    y += 1\n    ys.append(y)"),
    "an element of it": (WRITTEN, "y = x * 1\nfor t in range(n):\n    y[0] = t\n    y = y + 1\n    ys.append(y)"),
    "in an inner loop": (
        WRITTEN,
        "for t in range(n):\n    y = x * t\n    for k in range(n):\n        y[0] = k\n        ys.append(y)",
    ),
    "after the loop": (WRITTEN, f"{APPENDED}\ny[0] = 0"),
    "by a function": (WRITTEN, "y = x * 1\nfor t in range(n):\n    y.fill(t)\n    y = y * 2\n    ys.append(y)"),
    "by out=": (WRITTEN, "y = x * 1\nfor t in range(n):\n    ys.append(y)\n    np.sin(y, out=y)"),
    "through a view": (WRITTEN, "y = x * 1\nv = y[1:]\nfor t in range(n):\n    ys.append(y[:2])\n    v[0] = t"),
    "of a view": (WRITTEN, "y = np.outer(x, x)\nfor t in range(n):\n    ys.append(y[t])\ny[0, 0] = 1"),
    "on a path": (
        WRITTEN,
        "y = x * 1\nfor t in range(n):\n    if t == 2:\n        y[0] = 5\n"
        "    else:\n        y = y * 2\n    ys.append(y)",
    ),
    "in a while": (WRITTEN, "y = x * 1\nwhile len(ys) < n:\n    y -= 0.1 * y\n    ys.append(y)"),
    "in a comprehension": (WRITTEN, "y = x * 1\ndef go(y):\n    y *= 2\n    return y\nys = [go(y) for t in range(n)]"),
    "an argument": (WRITTEN, "for t in range(n):\n    ys.append(x)\nx[0] = 1"),
    "a tuple's part": (WRITTEN, "y = x * 1\nfor t in range(n):\n    ys.append((y, y))\n    y[0] = t"),
    "what another list holds": (
        WRITTEN,
        "y = x * 1\nzs = []\nfor t in range(n):\n    zs.append(y)\n    ys.append(zs[t])\ny[0] = 1",
    ),
    "in a slice": (WRITTEN, "y = x * 1\nfor t in range(n):\n    ys.append(y)\nys = ys[1:]\ny[0] = 1"),
    "an item": (ITEM, "for t in range(n):\n    ys.append(x * t)\n    ys[-1][0] = 1"),
    "an item with a name": (ITEM, "for t in range(n):\n    ys.append(x * t)\nrow = ys[0]\nrow[0] = 1"),
    "an item in a loop": (ITEM, "for t in range(n):\n    ys.append(x * t)\nfor row in ys:\n    row[0] = 1"),
    "an item in place": (ITEM, "for t in range(n):\n    ys.append(x * t)\nys[1] += x"),
    "an item by a function": (ITEM, "for t in range(n):\n    ys.append(x * t)\nys[1].fill(0)"),
    "both ends of a branch": (
        "depending on a branch",
        "for t in range(n):\n    if t > 1:\n        y = x + 1\n        ys.append(y)\n"
        "    else:\n        y = x + 2\n    y[0] = 1",
    ),
    "begun anew": ("ys.clear()", "for t in range(n):\n    ys.append(t)\n    if t == 2:\n        ys = []"),
    "insert": ("list.insert", "for t in range(n):\n    ys.append(t)\nys.insert(0, 1)"),
    "pop": ("list.pop of an item that may not be the last", "for t in range(n):\n    ys.append(t)\nys.pop(0)"),
    "sort": ("list.sort", "for t in range(n):\n    ys.append(t)\nys.sort()"),
    "a slice": ("a slice of a list", "for t in range(n):\n    ys.append(t)\nys[1:2] = [1, 2]"),
    "repetition": ("an operator on a list", "for t in range(n):\n    ys.append(t)\nys = ys * 2"),
    "joining": ("an operator on a list", "for t in range(n):\n    ys.append(t)\nys = [1] + ys"),
    "a new list": ("ys.append(...)", "for t in range(n):\n    ys = ys + [t]"),
    "comparing": ("an operator on a list", "for t in range(n):\n    ys.append(t)\nys = ys == [1]"),
    "a list in a list": (
        "append np.array(...)",
        "for t in range(n):\n    zs = []\n    for k in range(t):\n        zs.append(k)\n    ys.append(zs)",
    ),
    "text": ("'a' in a list that grows", "for t in range(n):\n    ys.append('a')"),
    "numbers and arrays": ("keep a list for each", "for t in range(n):\n    ys.append(t)\n    ys.append(x)"),
    "shapes": (
        "keep a list for each",
        "for t in range(n):\n    ys.append(x[:1] * np.ones(2))\n    ys.append(np.ones(3))",
    ),
    "dtypes": ("one dtype", "for t in range(n):\n    ys.append(x)\n    ys.append(np.arange(4))"),
    "an item that grows": ("item of another", "for t in range(n):\n    zs = [t]\n    ys.append(zs)\n    zs.append(2)"),
    "growing in a loop over it": (
        "loop over a copy",
        "for t in range(n):\n    ys.append(t)\nfor y in ys:\n    ys.append(y)",
    ),
    "in a recursion": (
        "recursi",
        "def go(k):\n    if k > 0:\n        ys.append(k)\n        go(k - 1)\n"
        "for t in range(n):\n    ys.append(t)\ngo(n)",
    ),
    "in a derivative": (
        "return the values",
        "def g(z):\n    ys.append(z)\n    return z * z\nfor t in range(n):\n    ys.append(cr.grad(g)(x[t]))",
    ),
    "as an argument of a derivative": ("pass np.array", "for t in range(n):\n    ys.append(x[t])\ncr.grad(sum)(ys)"),
    "one that stays empty": ("index -1 of 0 items", "s = 0\nfor t in range(n):\n    if t < 0:\n        s += ys[-1]"),
    "from outside": ("not made in the program", "for t in range(n):\n    GIVEN.append(t)"),
}

# what raises -> the exception and the body.
RAISES: dict[str, tuple[type[Exception], str]] = {
    "beyond the end": (IndexError, "for t in range(n):\n    ys.append(t)\ns = ys[n]"),
    "before the start": (IndexError, "for t in range(n):\n    ys.append(t)\ns = ys[-n - 1]"),
    "of none": (IndexError, "for t in range(0 * n):\n    ys.append(t)\ns = ys[-1]"),
    "storing": (IndexError, "for t in range(n):\n    ys.append(t)\nys[n] = 1"),
    "pop": (
        IndexError,
        "for t in range(n):\n    ys.append(t)\nwhile True:\n    ys.pop()\n    if n < 0:\n        break",
    ),
    "max": (ValueError, "for t in range(0 * n):\n    ys.append(t)\ns = max(ys)"),
    "stack": (ValueError, "for t in range(0 * n):\n    ys.append(x)\ns = np.stack(ys)"),
    "ragged": (ValueError, "for t in range(n):\n    ys.append(x[t:])\ns = np.array(ys)"),
    "strict": (
        ValueError,
        "for t in range(n):\n    ys.append(t)\nfor y, a in zip(ys, x[1:], strict=True):\n    s = y",
    ),
}
GIVEN: list[int] = [1]


def function(name: str, body: str) -> Callable[..., Any]:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    source = f"def f(x, n):\n    ys = []\n{lines}    return np.array(ys)\n"
    file = f"<grown {name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"np": np, "cr": cr, "GIVEN": GIVEN}
    exec(compile(source, file, "exec"), scope)
    made: Callable[..., Any] = scope["f"]
    return made


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    reason, body = REFUSED[name]
    with pytest.raises(UnsupportedError) as error:
        cr.jit(function(name, body), backend="python")(X.copy(), 4)
    message = str(error.value)
    assert reason in message
    assert f'File "<grown {name}>"' in message
    assert "^" in message


@pytest.mark.parametrize("backend", ["python", "interpreter"])
@pytest.mark.parametrize("name", RAISES)
def test_raises_as_python_does(name: str, backend: str) -> None:
    exception, body = RAISES[name]
    f = function(name, body)
    with pytest.raises(exception):
        f(X.copy(), 4)
    with pytest.raises(exception):
        cr.jit(f, backend=backend)(X.copy(), 4)


def test_known_lists_stay_known() -> None:
    def f(x):
        ys = [x]
        ys.append(x * x)
        same = ys
        ys += [1.0]
        same.extend((2.0, x))
        last = ys.pop()
        for k in range(3):
            ys.append(last * k)
        return same[-1] * len(same) + sum(ys)

    assert cr.jit(f, backend="python")(0.7) == pytest.approx(f(0.7))
    assert "ys" not in cr.source(cr.jit(f), 0.7).partition("return")[0].replace("# ", "").splitlines()[-1].split("=")[0]


def test_lists_from_outside_are_not_made_longer() -> None:
    def f(xs):
        ys = xs
        ys += [1.0]
        return len(xs)

    with pytest.raises(UnsupportedError, match="not made in the program"):
        cr.jit(f, backend="python")([0.5])


@pytest.mark.parametrize("appended", ["ys.append(x[t])", "if x[t] > 0:\n        ys.append(x[t])", "ys += [x[t], 1]"])
def test_counted_loops_make_room_once(appended: str) -> None:
    f = function(appended, f"for t in range(n):\n    {appended}\nfor t in range(n):\n    ys.append(1)")
    text = cr.source(cr.jit(f), X, 4)
    assert "grow(" not in text
    np.testing.assert_array_equal(cr.jit(f, backend="python")(X, 4), f(X, 4))


def test_other_loops_make_room_as_they_go() -> None:
    f = function("while", "t = 0\nwhile t < n:\n    ys.append(x[t] * t)\n    t += 1")
    assert "grow(" in cr.source(cr.jit(f), X, 4)
    for n in (0, 1, 4):
        np.testing.assert_array_equal(cr.jit(f, backend="python")(X, n), f(X, n))


def test_one_list_for_each_type() -> None:
    def trajectory(y, n):
        ys = []
        for _ in range(n):
            y = y * 0.9
            ys.append(y)
        return ys

    def f(x, n):
        return np.array(trajectory(x, n)) * trajectory(x[0], n)[-1] + np.array(trajectory(n, n))[0]

    np.testing.assert_allclose(cr.jit(f, backend="python")(X, 3), f(X, 3))


def test_the_array_is_a_copy() -> None:
    f = function(
        "copy", "y = x * 1\nfor t in range(n):\n    y = y + 1\n    ys.append(y)\ns = np.array(ys)\ny[0] = 9\nys = s * y"
    )
    np.testing.assert_array_equal(cr.jit(f, backend="python")(X, 3), f(X, 3))


def test_transformations() -> None:
    def powers(x, n):
        ys = []
        for k in range(n):
            ys.append(x**k)
        return np.stack(ys)

    def many(x, n):
        return cr.vmap(lambda a: powers(a, n))(x)

    def matrix(x, n):
        return cr.jacobian(lambda a: powers(a[0] * a, n))(x)

    want = np.array([powers(a, 4) for a in X])
    np.testing.assert_allclose(cr.jit(many, backend="python")(X, 4), want)
    np.testing.assert_allclose(cr.jit(cr.vmap(powers, in_axes=(0, None)), backend="python")(X, 4), want)
    numeric = np.stack(
        [(powers((X + d)[0] * (X + d), 4) - powers((X - d)[0] * (X - d), 4)) / 2e-6 for d in 1e-6 * np.eye(4)], axis=-1
    )
    np.testing.assert_allclose(cr.jit(matrix, backend="python")(X, 4), numeric, rtol=1e-6, atol=1e-8)


def test_lists_that_leave_a_derivative() -> None:
    def multiples(x, y, n):
        ys = []
        for k in range(n):
            ys.append(x * k * y)
        return ys

    def stopped(x, n):
        return cr.stop_gradient(multiples(x, 2.0, n))[1] * x

    assert cr.jit(cr.grad(stopped), backend="python")(0.5, 3) == 1.0
    got = cr.jit(cr.jacobian(multiples), backend="python")(X, 2.0, 3)
    np.testing.assert_allclose(got, [np.eye(4) * 2 * k for k in range(3)])
    with pytest.raises(UnsupportedError, match=r"return np\.array"):
        cr.jit(cr.jacobian(multiples, (0, 1)), backend="python")(X, 2.0, 3)
    with pytest.raises(UnsupportedError, match=r"return np\.array"):
        cr.jit(cr.vmap(multiples, in_axes=(0, None, None)), backend="python")(X, 2.0, 3)
