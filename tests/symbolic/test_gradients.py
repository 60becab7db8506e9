"""Symbolic gradients against SymPy's derivatives of the same formulae written by hand, and against differences."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special as sc
import sympy

import chainrule as cr
from chainrule import numerical, symbolic
from chainrule.errors import ArgumentError, ChainruleError, LeakedTracerError, UnsupportedError

x, y, z = sympy.symbols("x y z", real=True)
A, B = np.array([[2.0, 1.0], [0.5, 3.0]]), np.array([1.0, -2.0])

BY_HAND = [  # program, expression by hand
    (lambda x, y: x * y + np.exp(x * y) - np.sin(y), x * y + sympy.exp(x * y) - sympy.sin(y)),
    (lambda x, y: x * np.sqrt(np.log(x / np.sin(y**2))), x * sympy.sqrt(sympy.log(x / sympy.sin(y**2)))),
    (lambda x, y: np.log(x * y * (x + y)) / (x - y) ** 2, sympy.log(x * y * (x + y)) / (x - y) ** 2),
    (lambda x, y, z: 2 * x * y * z * (x**2 + y**2 + z**2), 2 * x * y * z * (x**2 + y**2 + z**2)),
    (lambda x: np.log(x) * np.sin(x) ** 2, sympy.log(x) * sympy.sin(x) ** 2),
    (lambda x: sum(x**k / (k + 1) for k in range(4)), 1 + x / 2 + x**2 / 3 + x**3 / 4),
    (lambda x, y: np.hypot(x, y) + np.arctan2(x, y), sympy.sqrt(x**2 + y**2) + sympy.atan2(x, y)),
    (lambda x: np.abs(x) * np.maximum(x, 2.0), sympy.Abs(x) * sympy.Max(x, 2)),
]


@pytest.mark.parametrize(("f", "wanted"), BY_HAND)
def test_the_expression_and_its_derivatives_are_those_written_by_hand(f, wanted) -> None:
    names = f.__code__.co_varnames[: f.__code__.co_argcount]
    found = symbolic.gradient(f, *names, steps=True)
    assert found.symbols == tuple(sympy.Symbol(n, real=True) for n in names)
    assert sympy.simplify(found.expression - wanted) == 0
    for symbol, partial, derivation in zip(found.symbols, found.partials, found.derivations, strict=True):
        assert sympy.simplify(partial - wanted.diff(symbol)) == 0
        assert derivation.result == partial


def filled(x):
    out = cr.numpy.zeros(3)
    out[0] = x[0]
    for k in range(1, 3):
        out[k] = np.sin(out[k - 1]) * x[k]
    out *= 2.0
    return out[2] + out.sum()


def branching(x):
    total = x
    while total < 10.0:
        total = total * x if x > 2.0 else total + x
    return total


PROGRAMS = [
    (filled, (np.array([0.3, 0.5, 0.7]),)),
    (branching, (1.7,)),
    (branching, (2.5,)),
    (lambda w: np.sum(np.log1p(np.exp(-(A @ w)))) + np.linalg.norm(w), (np.array([0.1, 0.2]),)),
    (lambda a: np.linalg.det(a) + np.linalg.solve(a, B)[0] + np.trace(np.linalg.inv(a)), (A,)),
    (lambda x: np.prod(x) + np.cumsum(x)[1] + np.var(x) + np.max(x) - np.min(x), (np.array([0.5, 1.5, 0.9]),)),
    (lambda x: np.sort(x)[0] + np.median(x) + np.sum(np.where(x > 0.8, x**2, x)), (np.array([0.5, 1.5, 0.9]),)),
    (lambda x: np.sum(np.outer(x, x)[np.triu_indices(2)]) + np.einsum("i,i->", x, x), (np.array([0.5, 1.5]),)),
    (lambda x: sc.gammaln(x) + sc.erf(x) + sc.expit(x) + sc.digamma(x) + sc.xlogy(x, 2 * x), (1.3,)),
    (lambda x: x * np.floor(x) + np.round(x) * x + np.sign(x) * x, (2.3,)),
    (lambda p: np.sum(np.tanh(A @ p["w"] + p["b"])), ({"w": np.array([0.1, 0.2]), "b": 0.3},)),
    (lambda x, n: x**n, (1.5, 3)),
    (lambda x: x * cr.grad(lambda t: t**3)(x), (1.5,)),
    (np.tanh, (0.4,)),
]


@pytest.mark.parametrize(("f", "args"), PROGRAMS)
def test_gradients_of_programs_agree_with_differences(f, args) -> None:
    found = symbolic.gradient(f, *args)
    leaves = [v for a in args for v in (a.values() if isinstance(a, dict) else [a])]
    order = sorted(args[0]) if isinstance(args[0], dict) else None
    flat = np.concatenate([np.ravel(args[0][k]) for k in order] if order else [np.ravel(v) for v in leaves]).astype(
        float
    )

    def of_flat(v):
        if order:
            return f({"b": v[0], "w": v[1:]})
        parts, start = [], 0
        for leaf in leaves:
            n = np.size(leaf)
            parts.append(v[start : start + n].reshape(np.shape(leaf)) if np.ndim(leaf) else v[start])
            start += n
        return f(*parts)

    wanted = numerical.gradient(of_flat, flat)
    np.testing.assert_allclose(found(*flat), wanted, rtol=1e-6, atol=1e-8)


def test_the_hessian_is_symmetric_and_right() -> None:
    found = symbolic.hessian(lambda x, y: x**2 * y + np.sin(x * y), "x", "y", steps=True)
    wanted = sympy.hessian(x**2 * y + sympy.sin(x * y), [x, y])
    assert sympy.simplify(found.matrix - wanted) == sympy.zeros(2)
    assert found["x", "y"] == found.matrix[0, 1]
    assert found(0.5, 2.0).shape == (2, 2)
    assert len(found.derivations) == 3  # the upper triangle
    assert [d.result for d in found.derivations] == [found["x", "x"], found["x", "y"], found["y", "y"]]


def test_operation_counts_are_sympys() -> None:
    found = symbolic.gradient(lambda x: 4 * (4 * x * (1 - x)) * (1 - 4 * x * (1 - x)), "x")
    counts = found.counts()
    assert counts.function == sympy.count_ops(found.expression)
    assert counts.derivative == sympy.count_ops(found.partials[0])
    assert counts.simplified == sympy.count_ops(sympy.simplify(found.partials[0]))
    common, reduced = found.cse()
    assert counts.derivative_cse == sum(sympy.count_ops(e) for e in [*(e for _, e in common), *reduced])
    assert counts.derivative > counts.derivative_cse


def test_names_of_symbols_come_from_the_program() -> None:
    assert [str(s) for s in symbolic.gradient(lambda w: np.sum(w), np.zeros((2, 2))).symbols] == [
        "w_0_0",
        "w_0_1",
        "w_1_0",
        "w_1_1",
    ]
    assert [str(s) for s in symbolic.gradient(lambda *xs: xs[0] * xs[1], 1.0, 2.0).symbols] == ["xs_0", "xs_1"]
    assert [str(s) for s in symbolic.gradient(np.multiply, 1.0, "t").symbols][1] == "t"
    assert str(symbolic.gradient(lambda q: q**2, sympy.Symbol("theta"))["theta"]) == "2*theta"


@pytest.mark.parametrize(
    ("f", "args", "error", "message"),
    [
        (lambda x: x if x > 0 else -x, ("x",), UnsupportedError, r"greater of a symbol .*`.*x > 0.*give"),
        (lambda x: np.floor(x), ("x",), UnsupportedError, "floor of a symbol"),
        (lambda x: np.sort(np.ones(2) * x)[0], ("x",), UnsupportedError, "argsort of a symbol"),
        (lambda x: np.ones(2) * x, ("x",), UnsupportedError, "one number"),
        (lambda x: (x, x), ("x",), UnsupportedError, "one number"),
        (lambda x: np.real(np.sqrt(x + 0j)), (2.0,), UnsupportedError, "complex"),
        (lambda x: np.linalg.eigvalsh(x * A)[0], (2.0,), UnsupportedError, "eigh has no counterpart"),
        (lambda x: float(x), ("x",), ChainruleError, "float"),
        (lambda x, y: x * y, ("x", "x"), ArgumentError, "same name"),
        (3.0, ("x",), ArgumentError, "function"),
        (lambda x: np.linalg.det(x).sum(), (np.ones((2, 2, 2)),), UnsupportedError, "stack"),
    ],
)
def test_what_has_no_formula_raises(f, args, error, message) -> None:
    with pytest.raises(error, match=message):
        symbolic.gradient(f, *args)


def test_a_symbol_does_not_outlive_its_evaluation() -> None:
    kept = []
    symbolic.gradient(lambda x: kept.append(x) or x, "x")
    with pytest.raises(LeakedTracerError):
        kept[0] * 2


def test_a_value_being_differentiated_does_not_become_a_constant() -> None:
    def outer(a):
        return symbolic.gradient(lambda x: x * a, 2.0)(1.0)[0]

    with pytest.raises(UnsupportedError, match="being differentiated"):
        cr.grad(outer)(3.0)


def test_a_constant_function_has_zero_derivatives() -> None:
    assert symbolic.gradient(lambda x: 3.0, "x").partials == (0,)
    np.testing.assert_array_equal(symbolic.gradient(lambda x: 3.0, "x")(5.0), [0.0])


def test_wrong_numbers_of_values_and_names_raise() -> None:
    found = symbolic.gradient(lambda x, y: x * y, "x", "y")
    with pytest.raises(ArgumentError, match="2 numbers"):
        found(1.0)
    with pytest.raises(ArgumentError, match="no symbol w"):
        found["w"]
    with pytest.raises(ArgumentError, match="two of the symbols"):
        symbolic.hessian(lambda x: x**2, "x")["x"]


def test_text_and_latex() -> None:
    found = symbolic.gradient(lambda x1, x2: x1 * np.sin(x2), "x1", "x2")
    assert str(found) == "f = x1*sin(x2)\ndf/dx1 = sin(x2)\ndf/dx2 = x1*cos(x2)"
    assert (
        found.latex()
        == found._repr_latex_()
        == (
            "\\begin{align*}\nf &= x_{1} \\sin{\\left(x_{2} \\right)} \\\\\n"
            "\\frac{\\partial f}{\\partial x_{1}} &= \\sin{\\left(x_{2} \\right)} \\\\\n"
            "\\frac{\\partial f}{\\partial x_{2}} &= x_{1} \\cos{\\left(x_{2} \\right)}\n\\end{align*}"
        )
    )
