"""Elementary functions that LLVM vectorises: several numbers at once by the C library's libmvec.

Compiled code calls the scalar function of libm, on whose declaration stands which functions do the same to a vector
of 4 or 8 numbers; LLVM takes them where it vectorises a loop. They are looked up before anything names them, and
where there is none (another system or C library, an old processor, ``CHAINRULE_SIMD=0``) the call stays plain.
A vector's results are within 4 units in the last place of the exact ones, and special values are the scalar's.
"""

from __future__ import annotations

import functools
import math
import types as python_types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from chainrule.backends.numba.symbols import provide, vector, vectors

__all__ = ["available", "math_module", "minus", "numpy_module", "opaque", "plus"]

# What NumPy calls it -> what C does.
_NAMES = {
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "cbrt": "cbrt",
    "cos": "cos",
    "cosh": "cosh",
    "exp": "exp",
    "exp2": "exp2",
    "expm1": "expm1",
    "hypot": "hypot",
    "log": "log",
    "log10": "log10",
    "log1p": "log1p",
    "log2": "log2",
    "power": "pow",
    "sin": "sin",
    "sinh": "sinh",
    "tan": "tan",
    "tanh": "tanh",
}
_MATH = {"erf": "erf", "erfc": "erfc"}
_OF_TWO = frozenset({"atan2", "hypot", "pow"})
# What the processor must have, the letter of its vectors in names, and how many bytes one holds.
_SETS = (("+avx512f", "e", 64), ("+avx2", "d", 32))
_ATTRIBUTES = ("nounwind", "willreturn", "memory(none)")


class Variant(NamedTuple):
    """A function of libmvec, and how many numbers it takes at once."""

    symbol: str
    lanes: int


@functools.cache
def _features() -> list[str]:
    """What the processor that Numba compiles for has."""
    return cpu_target.target_context.codegen().magic_tuple()[2].split(",")  # type: ignore[no-any-return]


@functools.cache
def available(name: str, size: int = 8) -> tuple[Variant, ...]:
    """The variants of C's function `name` of numbers of `size` bytes that this process may call, wide ones first."""
    if vectors() is None:
        return ()
    features = _features()
    letters = "vv" if name in _OF_TWO else "v"
    found = []
    for feature, letter, width in _SETS:
        variant = Variant(f"_ZGV{letter}N{width // size}{letters}_{_scalar(name, size)}", width // size)
        if feature in features and vector(variant.symbol) is not None:
            found.append(variant)
    return tuple(found)


@functools.cache
def numpy_module() -> python_types.ModuleType:
    """What compiled code sees as `numpy`."""
    return _module(np, _NAMES)


@functools.cache
def math_module() -> python_types.ModuleType:
    """What compiled code sees as `math`."""
    return _module(math, _MATH)


def _module(original: python_types.ModuleType, names: dict[str, str]) -> python_types.ModuleType:
    """`original`, where the functions of these names may be vectorised."""
    made = python_types.ModuleType(original.__name__)
    vars(made).update(vars(original))
    for name, c_name in names.items():
        if available(c_name):
            setattr(made, name, _vectorisable(getattr(original, name), c_name))
    return made


def _scalar(name: str, size: int) -> str:
    return name if size == 8 else f"{name}f"


# -- sums ---------------------------------------------------------------------------------------------


@intrinsic
def plus(context: Any, total: Any, x: Any) -> Any:
    """total + x, which LLVM may take in another order than other additions of this kind."""
    return _reordered(total, "fadd")


@intrinsic
def minus(context: Any, total: Any, x: Any) -> Any:
    """total - x, which LLVM may take in another order than other subtractions of this kind."""
    return _reordered(total, "fsub")


def _reordered(number: Any, instruction: str) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args, flags=("reassoc", "contract"))

    return number(number, number), code


# -- indices ------------------------------------------------------------------------------------------


@intrinsic
def opaque(context: Any, index: Any) -> Any:
    """`index`, of which LLVM knows nothing: not that it counts, nor in which direction."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (value,) = args
        made = builder.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", args, side_effect=False)
        for attribute in ("nounwind", "readnone"):
            made.attributes.add(attribute)
        return made

    return index(index), code


# -- code ---------------------------------------------------------------------------------------------


def _vectorisable(plain: Callable[..., Any], name: str) -> Any:
    """C's function `name` of real numbers; what else it is called with goes to `plain`."""

    def typed(context: Any, *args: Any) -> Any:
        if args[0] in (types.float64, types.float32) and all(a == args[0] for a in args):
            return args[0](*args), _code(name, args[0].bitwidth // 8, len(args))
        function = context.resolve_value_type(plain)
        found = context.resolve_function_type(function, args, {})
        return found, lambda context, builder, signature, values: context.get_function(function, signature)(
            builder, values
        )

    def of_one(context: Any, x: Any) -> Any:
        return typed(context, x)

    def of_two(context: Any, x: Any, y: Any) -> Any:
        return typed(context, x, y)

    made = of_two if name in _OF_TWO else of_one
    made.__name__ = made.__qualname__ = name
    return intrinsic(made)


def _code(name: str, size: int, count: int) -> Callable[..., Any]:
    """What writes the call."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.call(_declared(builder.module, name, size, count), args)

    return code


def _declared(module: Any, name: str, size: int, count: int) -> Any:
    """The scalar function, with the names of those that stand for it in vectors."""
    number = ir.DoubleType() if size == 8 else ir.FloatType()
    scalar = _scalar(name, size)
    if scalar in module.globals:
        return module.globals[scalar]
    function = ir.Function(module, ir.FunctionType(number, [number] * count), scalar)
    found = available(name, size)
    kept = []
    for symbol, lanes in found:
        provide(symbol)
        vector = ir.VectorType(number, lanes)
        kept.append(ir.Function(module, ir.FunctionType(vector, [vector] * count), symbol))
    letters = "v" * count
    names = ",".join(f"_ZGV_LLVM_N{lanes}{letters}_{scalar}({symbol})" for symbol, lanes in found)
    for attribute in (*_ATTRIBUTES, f'"vector-function-abi-variant"="{names}"'):
        set.add(function.attributes, attribute)  # the method of the class knows names only, and not all
    _keep(module, kept)
    return function


def _keep(module: Any, functions: list[Any]) -> None:
    """Keep declarations that nothing calls yet."""
    pointer = ir.IntType(8).as_pointer()
    name = "llvm.compiler.used"
    kept = module.globals.get(name)
    values = [*(kept.initializer.constant if kept else ()), *(f.bitcast(pointer) for f in functions)]
    array = ir.ArrayType(pointer, len(values))
    if kept is None:
        kept = ir.GlobalVariable(module, array, name)
        kept.linkage, kept.section = "appending", "llvm.metadata"
    kept.value_type, kept.type = array, array.as_pointer()
    kept.initializer = ir.Constant(array, values)
