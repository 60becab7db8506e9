"""Vectors of elementary functions: against mpmath, with the scalar's special values, and only where they may be."""

from __future__ import annotations

import ctypes
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import mpmath
import numba
import numpy as np
import pytest
from llvmlite import ir

import chainrule as cr
from chainrule.backends.numba import simd, symbols
from chainrule.backends.numba.compile import compiled
from chainrule.backends.python import write

ROOT = Path(__file__).parents[3]
ULPS = 4
HERE = bool(simd.available("exp"))
needs_vectors = pytest.mark.skipif(not HERE, reason="no libmvec, or a processor without AVX2")

# What it is called, what it is, and magnitudes to try it at.
SMALL, MEDIUM, LARGE = (1e-300, 1.0), (1e-3, 30.0), (1e-2, 1e200)
EXACT: dict[str, tuple[Callable[..., Any], tuple[float, float]]] = {
    "arccos": (mpmath.acos, SMALL),
    "arccosh": (mpmath.acosh, LARGE),
    "arcsin": (mpmath.asin, SMALL),
    "arcsinh": (mpmath.asinh, LARGE),
    "arctan": (mpmath.atan, LARGE),
    "arctan2": (mpmath.atan2, MEDIUM),
    "arctanh": (mpmath.atanh, (1e-3, 0.999)),
    "cbrt": (lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), LARGE),
    "cos": (mpmath.cos, LARGE),
    "cosh": (mpmath.cosh, MEDIUM),
    "erf": (mpmath.erf, (1e-3, 5.0)),
    "erfc": (mpmath.erfc, (1e-3, 9.0)),
    "exp": (mpmath.exp, (1e-3, 85.0)),
    "exp2": (lambda x: mpmath.mpf(2) ** x, (1e-3, 120.0)),
    "expm1": (mpmath.expm1, (1e-12, 80.0)),
    "hypot": (mpmath.hypot, MEDIUM),
    "log": (mpmath.log, LARGE),
    "log10": (mpmath.log10, LARGE),
    "log1p": (mpmath.log1p, (1e-12, 0.99)),
    "log2": (lambda x: mpmath.log(x, 2), LARGE),
    "power": (mpmath.power, (1e-3, 9.0)),
    "sin": (mpmath.sin, LARGE),
    "sinh": (mpmath.sinh, MEDIUM),
    "tan": (mpmath.tan, LARGE),
    "tanh": (mpmath.tanh, MEDIUM),
}
POSITIVE = {"log", "log2", "log10", "power"}
TWO = {"arctan2", "hypot", "power"}
SPECIAL = [0.0, 1.0, math.inf, math.nan, 0.5, 2.0, 3.0, 1e-20, 1e10, 1e22, 30.0, 88.8, 104.0, 710.0, 746.0]
EDGES = ["smallest_subnormal", "tiny", "max", "eps"]


def loop(name: str) -> Any:
    """The function over vectors; its last argument takes the results."""
    module = "math" if name.startswith("erf") else "np"
    names = {"math": simd.math_module(), "np": simd.numpy_module()}
    args = "xy"[: 2 if name in TWO else 1]
    text = f"def f({', '.join(args)}, out):\n    for i in range(out.shape[0]):\n        out[i] = {module}.{name}("
    exec(text + ", ".join(f"{a}[i]" for a in args) + ")", names)
    return numba.njit(error_model="numpy", fastmath={"contract"})(names["f"])


def points(name: str, dtype: Any) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    low, high = EXACT[name][1]
    limit = np.finfo(dtype)
    low, high = max(low, float(limit.tiny)), min(high, float(limit.max) / 4)
    columns = []
    for _ in range(2 if name in TWO else 1):
        x = np.exp(rng.uniform(np.log(low), np.log(high), 128))
        x *= 1 if name in POSITIVE and not columns else rng.choice([-1, 1], 128)
        columns.append((1 + abs(x) if name == "arccosh" else x).astype(dtype))
    return columns


@needs_vectors
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", EXACT)
def test_accuracy_and_special_values(name: str, dtype: Any) -> None:
    function, columns = loop(name), points(name, dtype)
    out = np.empty_like(columns[0])
    function(*columns, out)
    assert "_ZGV" in next(iter(function.inspect_asm().values())), "it is a vector that is tested"
    with mpmath.workprec(1200):  # the sine of 1e200
        for got, *at in zip(out, *columns, strict=True):
            exact = EXACT[name][0](*(mpmath.mpf(float(a)) for a in at))
            unit = float(np.spacing(dtype(abs(float(exact)))))
            assert abs(mpmath.mpf(float(got)) - exact) <= ULPS * unit, f"{name}{at}"
    _special(name, function, dtype)


def _special(name: str, function: Any, dtype: Any) -> None:
    """What is infinite, NaN, a zero of either sign or subnormal is so in the same places, with the same sign."""
    with np.errstate(over="ignore"):
        values = np.array([*SPECIAL, *(float(getattr(np.finfo(dtype), e)) for e in EDGES)]).astype(dtype)
    values = np.concatenate([values, -values])
    grid = np.meshgrid(values, values) if name in TWO else [values]
    columns = [np.resize(g.ravel(), -(-g.size // 32) * 32) for g in grid]  # no iteration is left to scalar code
    got, plain = np.empty_like(columns[0]), np.empty_like(columns[0])
    function(*columns, got)
    for k in range(len(plain)):  # one number alone is for the scalar function
        function(*(c[k : k + 1] for c in columns), plain[k : k + 1])
    np.testing.assert_array_equal(np.isnan(got), np.isnan(plain))
    special = ~np.isfinite(plain) | (plain == 0)
    np.testing.assert_array_equal(got[special], plain[special])
    real = ~np.isnan(plain)
    np.testing.assert_array_equal(np.signbit(got[real]), np.signbit(plain[real]))
    usual = real & ~special
    limit = np.finfo(dtype)
    np.testing.assert_allclose(got[usual], plain[usual], 2 * ULPS * limit.eps, 2 * ULPS * limit.smallest_subnormal)


def test_other_arguments_are_numpys() -> None:
    """Complex numbers and integers have no vectors."""
    names = {"np": simd.numpy_module()}
    exec("def f(z, n, x):\n    return np.exp(z), np.sin(n), np.power(x, n), np.sqrt(x), np.pi", names)
    got = numba.njit(names["f"])(1 + 2j, 3, 2.0)
    np.testing.assert_allclose(got, [np.exp(1 + 2j), np.sin(3), 8.0, 2**0.5, np.pi], rtol=1e-15)


# -- programs -----------------------------------------------------------------------------------------


def softplus(x: Any) -> Any:
    total = 0.0
    for i in range(len(x)):
        total += np.log1p(np.exp(x[i]))
    return total


def machine_code(jitted: Any) -> str:
    (found,) = next(iter(jitted._programs.values()))
    return "".join(compiled(write(found.function, "compiled")).dispatcher.inspect_asm().values())


@needs_vectors
def test_gradients_call_vectors() -> None:
    gradient = cr.jit(cr.grad(softplus), cache=False)
    x = np.linspace(-3, 3, 101)
    np.testing.assert_allclose(gradient(x), 1 / (1 + np.exp(-x)), rtol=1e-15)
    assert any(variant.symbol in machine_code(gradient) for variant in simd.available("exp"))


@needs_vectors
def test_foreign_code_has_none() -> None:
    """It may be kept on disk by others, and run where libmvec is not loaded."""
    total = cr.jit(softplus, cache=False)

    @numba.njit
    def twice(x: Any) -> Any:
        return 2 * total(x)

    assert twice(np.zeros(2)) == pytest.approx(4 * math.log(2))
    assert "_ZGV" not in "".join(twice.inspect_asm().values())


# -- where there is no libmvec ------------------------------------------------------------------------

PROGRAM = """
import ctypes, sys
import numpy as np
if sys.argv[1] == "missing":
    load = ctypes.CDLL
    def refuse(name, *args, **kwargs):
        if "mvec" in str(name):
            raise OSError("no such library")
        return load(name, *args, **kwargs)
    ctypes.CDLL = refuse
from chainrule.backends import cache
import chainrule as cr
found = []
def watched(name, load=cache.load):
    found.append(load(name))
    return found[-1]
cache.load = watched
def total(x):
    s = 0.0
    for i in range(len(x)):
        s += np.exp(x[i])
    return s
made = cr.jit(total)
value = made(np.zeros(1001))
from chainrule.backends.numba import symbols
print(value, found[0] is not None, symbols.vectors() is not None)
"""


def started(folder: Path, kind: str, **environment: str) -> list[str]:
    settings = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "CHAINRULE_CACHE_DIR": str(folder), **environment}
    program = folder.parent / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program), kind], env=settings, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@needs_vectors
def test_cached_code_runs_only_where_its_vectors_are(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert started(folder, "here") == ["1001.0", "False", "True"]
    assert started(folder, "missing") == ["1001.0", "False", "False"]
    assert started(folder, "here", CHAINRULE_SIMD="0") == ["1001.0", "True", "False"]  # what "missing" has made
    assert started(folder, "here") == ["1001.0", "True", "True"]


# -- other processors ---------------------------------------------------------------------------------


@pytest.fixture
def pretending(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """The same library on a processor with other features."""

    def pretend(features: str) -> None:
        monkeypatch.setattr(simd, "_features", lambda: features.split(","))
        simd.available.cache_clear()

    yield pretend
    monkeypatch.undo()
    simd.available.cache_clear()


@needs_vectors
def test_variants_follow_the_processor(pretending: Callable[[str], None]) -> None:
    pretending("-avx2,+sse2")
    assert simd.available("exp") == ()
    pretending("+avx2,-avx512f")
    assert simd.available("exp") == (("_ZGVdN4v_exp", 4),)
    pretending("+avx2,+avx512f")
    assert simd.available("pow", 4) == (("_ZGVeN16vv_powf", 16), ("_ZGVdN8vv_powf", 8))
    assert simd.available("nothing") == ()


@needs_vectors
def test_wide_vectors_are_called(pretending: Callable[[str], None]) -> None:
    """Compiled for another processor, not run."""
    pretending("+avx2,+avx512f")
    module = ir.Module()
    module.triple = llvm.get_default_triple()
    number, count = ir.DoubleType(), ir.IntType(64)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [number.as_pointer()] * 2), "f")
    builder = ir.IRBuilder(function.append_basic_block())
    before, body = builder.block, builder.append_basic_block()
    builder.branch(body)
    builder.position_at_end(body)
    k = builder.phi(count)
    value = builder.load(builder.gep(function.args[0], [k]))
    result = builder.call(simd._declared(module, "exp", 8, 1), [value])
    builder.store(result, builder.gep(function.args[1], [k]))
    after = builder.add(k, count(1))
    k.add_incoming(count(0), before)
    k.add_incoming(after, body)
    end = builder.append_basic_block()
    builder.cbranch(builder.icmp_signed("<", after, count(4096)), body, end)
    builder.position_at_end(end)
    builder.ret_void()
    assert "_ZGVeN8v_exp" in _assembled(str(module), "skylake-avx512")


def _assembled(text: str, processor: str) -> str:
    module = llvm.parse_assembly(text)
    target = llvm.Target.from_default_triple().create_target_machine(cpu=processor, features="-prefer-256-bit", opt=3)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    passes = llvm.create_pass_builder(target, options)
    passes.getModulePassManager().run(module, passes)
    return str(target.emit_assembly(module))


def test_nothing_is_loaded_where_it_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_SIMD", "0")
    monkeypatch.setattr(ctypes, "CDLL", None)
    assert symbols.vectors.__wrapped__() is None
