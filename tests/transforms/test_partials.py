"""The registry's rules as programs, against the same rules run on numbers (which `test_every_rule` refers)."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest

from chainrule.core.dispatch import meta_of
from chainrule.core.live import dense
from chainrule.core.primitive import Primitive, registry
from chainrule.core.quiet import quiet
from chainrule.errors import UnsupportedError
from chainrule.ir import ops
from chainrule.ir.build import Builder
from chainrule.ir.check import check as well_formed
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Array, Atom, Const, Function, Let, Scalar, Var
from chainrule.ir.walk import storage
from chainrule.transforms.partials import Partial, array_cotangent, array_tangent, partial, pull, push
from tests.rule_checks import is_active, pools

# A cast is no operation of the registry's; the results of these are complex for real arguments.
EXCLUDED = {"astype", "lambertw", "hankel1", "hankel2", "hankel1e", "hankel2e"}
SCALAR = [p for p in registry.values() if p.kind == "elementwise" and p.samples and p.name not in EXCLUDED]
SLOTS = [(p, k) for p in SCALAR for k in range(len(p.slots or ())) if is_active(p, k)]
HOLOMORPHIC = (
    "add subtract multiply divide negative reciprocal square sqrt exp exp2 expm1 log log2 log10 log1p sin cos tan "
    "arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh power sinc"
)
WIRTINGER = "absolute sign conjugate real imag angle"
# Of a rule on symbols less is asked: the sign of an infinity at -0.0, NaN where the primal is NaN.
SPECIAL = (0.0, 1.0, -1.0, 0.5, 2.0, np.inf, -np.inf)


def names(pairs: list[tuple[Primitive, int]]) -> list[str]:
    return [f"{p.name}-{k}" for p, k in pairs]


@functools.cache
def contributions(rule: Partial, index: int) -> tuple[Function, Function]:
    """What a partial contributes forwards and backwards, as functions of ``(out, *args, tangent or cotangent)``."""
    out, *operands = (Var(p.hint, p.type) for p in rule.function.params)
    made = []
    for contribute, given, result in ((push, operands[index], out), (pull, out, operands[index])):
        build, change = Builder(), Var("change", given.type)
        value = contribute(build, rule, (out, *operands), change, result.type)
        made.append(well_formed(Function("f", (out, *operands, change), build.block, (value,))))
    return made[0], made[1]


def both_ways(rule: Partial, y: Any, args: tuple[Any, ...], index: int, tangent: Any, ct: Any) -> tuple[Any, Any]:
    pushed, pulled = contributions(rule, index)
    return evaluate(pushed, (y, *args, tangent))[0], evaluate(pulled, (y, *args, ct))[0]


def referee(primitive: Primitive, y: Any, args: tuple[Any, ...], index: int, tangent: Any, ct: Any) -> tuple[Any, Any]:
    """The same by the rule on numbers."""
    with quiet():
        map_ = primitive.slot(index).map(primitive, index, y, args, {}, meta_of(args[index]), meta_of(y))
        if map_ is None:
            return np.zeros_like(y), np.zeros_like(args[index])
        return dense(map_.apply(tangent)), dense(map_.transpose(ct))


def check(primitive: Primitive, index: int, args: tuple[Any, ...], tolerance: float) -> None:
    types = tuple(Scalar(np.asarray(a).dtype.name) for a in args)
    out = ops.result_type(primitive.name, types)
    with quiet():
        y = np.dtype(out.dtype).type(primitive.impl(*args))
    tangent = (types[index].dtype.startswith("complex") and 0.7 - 0.4j) or 0.7
    tangent = np.dtype(types[index].dtype).type(tangent)
    ct = np.dtype(out.dtype).type(1.3 + 0.2j if out.dtype.startswith("complex") else 1.3)
    expected = referee(primitive, y, args, index, tangent, ct)
    # An integer is the order of a function, and known when the program is written.
    operands = tuple(Const(a.item(), t) if t.dtype == "int64" else t for a, t in zip(args, types, strict=True))
    rule = partial(primitive.name, index, operands)
    if rule is None:
        assert not any(np.any(e) for e in expected if not np.isnan(e))
        return
    got_both = both_ways(rule, y, args, index, tangent, ct)
    for got, want, declared in zip(got_both, expected, (out.dtype, types[index].dtype), strict=True):
        assert np.asarray(got).dtype == declared
        if not np.isnan(y):
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=f"{args}")


def arguments(primitive: Primitive, dtype: Any) -> list[tuple[Any, ...]]:
    """Points of the samples, and every combination of special numbers."""
    columns = pools(primitive)
    count = max(map(len, columns))
    points = [tuple(column[k % len(column)] for column in columns) for k in range(count)]
    if len(columns) <= 2 and all(len(set(c)) > 1 and c.dtype.kind == "f" for c in columns):
        points += itertools.product(SPECIAL, repeat=len(columns))
    integers = primitive.name in ("ldexp", "power_log")
    return [(*map(dtype, p[:-1]), np.int64(p[-1])) if integers else tuple(map(dtype, p)) for p in points]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("primitive", "index"), SLOTS, ids=names(SLOTS))
def test_partial_is_the_rule(primitive: Primitive, index: int, dtype: Any) -> None:
    if primitive.name == "float_power" and dtype is np.float32:
        pytest.skip("its result is always a double")
    for args in arguments(primitive, dtype):
        check(primitive, index, args, 1e-12 if dtype is np.float64 else 3e-5)


def complex_points() -> list[complex]:
    rng = np.random.default_rng(3)
    return [complex(a, b) for a, b in rng.uniform(0.1, 0.9, (4, 2))]


@pytest.mark.parametrize("name", f"{HOLOMORPHIC} {WIRTINGER}".split())
def test_partial_of_complex_numbers_is_the_rule(name: str) -> None:
    primitive = registry[name]
    count = len(primitive.slots or ())
    for args in itertools.product(map(np.complex128, complex_points()), repeat=count):
        for index in range(count):
            check(primitive, index, args, 1e-12)


def text(op: str, index: int, *operands: Any) -> str:
    """The program of a partial in one line."""
    rule = partial(op, index, operands)
    if rule is None:
        return "none"
    known: dict[Atom, str] = dict(zip(rule.function.params, ["out", "x", "y"], strict=False))

    def of(atom: Atom) -> str:
        return f"{atom.value:g}" if isinstance(atom, Const) else known[atom]

    for node in rule.function.body:
        assert isinstance(node, Let)
        known[node.out] = f"{node.op}({', '.join(map(of, node.args))})"
    return of(rule.function.results[0]) + (" structural" if rule.structural else "")


F = Scalar("float64")
TEXTS = [
    ("exp", 0, (F,), "out"),
    ("sin", 0, (F,), "cos(x)"),
    ("log", 0, (F,), "divide(1, x)"),
    ("sqrt", 0, (F,), "divide(0.5, out)"),
    ("tanh", 0, (F,), "subtract(1, multiply(out, out))"),
    ("multiply", 0, (F, F), "y"),
    ("subtract", 1, (F, F), "-1"),
    ("divide", 0, (F, F), "divide(1, y)"),
    ("divide", 1, (F, F), "divide(negative(out), y)"),
    ("power", 0, (F, Const(2.0, F)), "multiply(2, x)"),
    ("pow", 0, (F, Const(3.0, F)), "multiply(3, square(x))"),
    ("power", 0, (F, Const(0.5, F)), "multiply(0.5, power(x, -0.5))"),
    ("power", 0, (F, Const(1.0, F)), "1"),
    ("power", 0, (F, Const(0.0, F)), "none"),
    ("power", 1, (Const(2.0, F), F), "multiply(out, 0.693147)"),
    ("power", 1, (F, F), "power_log(x, y, 1)"),
    ("floor", 0, (F,), "none"),
    ("less", 0, (F, F), "none"),
    ("add", 0, (Scalar("int64"), Scalar("int64")), "none"),
    (
        "maximum",
        0,
        (F, F),
        "where(greater_equal(x, y), where(greater_equal(y, x), 0.5, 1), where(greater_equal(y, x), 0, nan)) structural",
    ),
]


@pytest.mark.parametrize(("op", "index", "operands", "expected"), TEXTS)
def test_partials_are_short(op: str, index: int, operands: tuple[Any, ...], expected: str) -> None:
    assert text(op, index, *operands) == expected


def test_a_partial_says_what_it_reads() -> None:
    for op, operands, expected in (
        ("exp", (F,), (True, False)),
        ("sin", (F,), (False, True)),
        ("multiply", (F, F), (False, False, True)),
        ("divide", (F, F), (False, False, True)),
    ):
        rule = partial(op, 0, operands)
        assert rule is not None
        assert rule.reads == expected


def test_constants_are_told_apart() -> None:
    for zero, expected in ((0.0, 1.0), (-0.0, -1.0)):
        operands = (F, Const(zero, F))
        rule = partial("copysign", 0, operands)
        assert rule is not None
        assert evaluate(rule.function, [0.0, 3.0, zero]) == (expected,)


def test_what_has_no_derivative_says_so() -> None:
    with pytest.raises(UnsupportedError, match="jv has no derivative in its argument v"):
        partial("jv", 0, (F, F))


def test_a_zero_share_is_structural() -> None:
    rule = partial("maximum", 0, (F, F))
    assert rule is not None
    args = (np.float64(1.0), np.float64(2.0))
    assert both_ways(rule, np.float64(2.0), args, 0, np.float64(np.inf), np.float64(np.inf)) == (0.0, 0.0)


# -- operations on whole arrays ------------------------------------------------------------------------

SHAPES = [
    ("matmul", (2, 3), (3, 4)),
    ("matmul", (2, 3), (3,)),
    ("matmul", (3,), (3, 4)),
    ("solve", (3, 3), (3, 2)),
    ("solve", (3, 3), (3,)),
    ("inv", (3, 3)),
    ("inv", (1, 1)),
    ("det", (3, 3)),
    ("slogdet", (3, 3)),
    ("cholesky", (3, 3)),
]
CASES = [(op, k, *shapes) for op, *shapes in SHAPES for k in range(len(shapes))]


def random(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    value = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        value = value + 1j * rng.normal(size=shape)
    return value.astype(dtype)


def outputs(op: str, args: list[Any]) -> tuple[Any, ...]:
    implementation = np.matmul if op == "matmul" else getattr(np.linalg, op)
    results = implementation(*args)
    return tuple(results) if isinstance(results, tuple) else (results,)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
@pytest.mark.parametrize(("op", "index", "shapes"), [(op, k, s) for op, k, *s in CASES])
def test_array_rules(op: str, index: int, shapes: list[tuple[int, ...]], dtype: Any) -> None:
    rng = np.random.default_rng(5)
    args = [random(rng, s, dtype) for s in shapes]
    args[0] = args[0] + 3 * np.eye(*shapes[0], dtype=dtype) if len(shapes[0]) == 2 else args[0]
    if op == "cholesky":
        args[0] = args[0] @ args[0].conj().T
    types = tuple(Array(np.dtype(dtype).name, a.ndim) for a in args)
    outs = outputs(op, args)
    tangent = random(rng, shapes[index], dtype)
    cts = [random(rng, np.shape(y), np.asarray(y).dtype)[()] for y in outs]

    pushed = array_tangent(op, index, types)
    pulled = array_cotangent(op, index, types)
    assert pushed is not None
    assert pulled is not None
    changes = evaluate(well_formed(pushed), [*outs, *args, tangent])
    (share,) = evaluate(well_formed(pulled), [*outs, *args, *cts])
    assert all(np.asarray(c).dtype == np.asarray(y).dtype for c, y in zip(changes, outs, strict=True))
    assert share.dtype == dtype

    def moved(h: float) -> tuple[Any, ...]:
        wide = [a.astype(np.result_type(a, np.float64)) for a in args]
        wide[index] = wide[index] + h * tangent
        return outputs(op, wide)

    tolerance = 1e-3 if dtype is np.float32 else 1e-8
    for change, *around in zip(changes, *[moved(k * 1e-3) for k in (1, -1, 2, -2)], strict=True):
        difference = (8 * (around[0] - around[1]) - (around[2] - around[3])) / 12e-3
        np.testing.assert_allclose(change, difference, rtol=tolerance, atol=tolerance)
    forwards = sum(np.sum((np.conj(ct) * c).real) for ct, c in zip(cts, changes, strict=True))
    tolerance = 1e-4 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(np.sum((np.conj(share) * tangent).real), forwards, rtol=tolerance, atol=tolerance)


def test_array_operations_without_derivative() -> None:
    assert array_tangent("argsort", 0, (Array("float64", 1),)) is None
    assert array_cotangent("argsort", 0, (Array("float64", 1),)) is None


def test_results_of_array_rules_are_memory_of_their_own() -> None:
    """So that who is given them may write to them."""
    for op, index, *shapes in CASES:
        types = tuple(Array("float64", len(s)) for s in shapes)
        for rule in (array_tangent(op, index, types), array_cotangent(op, index, types)):
            assert rule is not None
            own = {v for node in rule.body for v in storage(node)}
            assert all(not isinstance(r.type, Array) or r in own for r in rule.results)


def test_a_singular_matrix_raises_where_its_determinant_is_differentiated() -> None:
    rule = array_tangent("det", 0, (Array("float64", 2),))
    assert rule is not None
    with pytest.raises(np.linalg.LinAlgError):
        evaluate(rule, [0.0, np.ones((2, 2)), np.eye(2)])
