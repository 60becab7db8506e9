"""What must hold of a program: values, first and second derivatives, by every road, against the plain function.

The referee is the function as Python runs it: central differences, extrapolated from two step sizes. A point is left
out if the two, or the differences to either side, disagree: a branch turns there, or a kink is near.
"""

from __future__ import annotations

import copy
import itertools
import linecache
import math
import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.backends.python import write
from chainrule.errors import ChainruleError
from chainrule.ir.check import check as check_ir
from chainrule.ir.evaluate import evaluate
from chainrule.native.jit import Jitted
from tests.fuzz.programs import Program

__all__ = ["ROADS", "STAGES", "Disagreement", "Module", "Skip", "check", "differences"]

STAGES = ("value", "grad", "jvp", "second")
ROADS = ("value", "grad", "jvp", "forward over reverse", "reverse over reverse", "reverse over forward")
_STEP = 1e-4
_numbers = itertools.count()


class Skip(Exception):
    """The program says nothing: it fails in plain Python, or is not smooth at its arguments."""


class Disagreement(AssertionError):
    """Two roads to one number part, or a program ends in an exception that is not chainrule's."""


class Module:
    """The program, run: its functions, the arguments, a direction, and how its derivatives are asked for."""

    def __init__(self, program: Program) -> None:
        rng = np.random.default_rng(program.seed)
        self.arguments = [_argument(rng, kind, shape) for _, kind, shape in program.params]
        names = [name for name, _, _ in program.params]
        self.active = tuple(k for k, (_, kind, _) in enumerate(program.params) if kind in ("float", "array"))
        self.primals = tuple(self.arguments[k] for k in self.active)
        self.directions = tuple(
            rng.standard_normal(np.shape(p)) if isinstance(p, np.ndarray) else float(rng.standard_normal())
            for p in self.primals
        )
        self.text = program.text + _derived(names, self.active)
        self.namespace: dict[str, Any] = {"np": np, "math": math, "cr": cr, "__name__": "fuzz"}
        for k, value in enumerate(self.arguments):
            if k not in self.active:
                self.namespace[f"GIVEN_{names[k]}"] = value
        file = f"<program {program.seed} {next(_numbers)}>"
        linecache.cache[file] = (len(self.text), None, self.text.splitlines(keepends=True), file)
        self.file = file
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of programs that are being made small
            exec(compile(self.text, file, "exec"), self.namespace)
        self.f = self.namespace["f"]

    def close(self) -> None:
        linecache.cache.pop(self.file, None)

    def __getitem__(self, name: str) -> Any:
        return self.namespace[name]

    # -- the plain function

    def call(self, primals: Sequence[Any]) -> tuple[float, list[Any]]:
        """The value of the plain function, and its arguments afterwards."""
        args = copy.deepcopy(self.arguments)
        for k, p in zip(self.active, primals, strict=True):
            args[k] = copy.deepcopy(p)
        kept = copy.deepcopy(self.namespace.get("W"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                value = float(self.f(*args))
        except Exception as error:
            raise Skip(f"plain Python: {error!r}") from None
        if kept is not None and not np.array_equal(kept, self.namespace["W"]):
            raise Skip("writes to a global array")
        if not np.isfinite(value) or abs(value) > 1e4:
            raise Skip("too large")
        return value, args


def _argument(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> Any:
    match kind:
        case "array":
            return np.round(rng.uniform(-1, 1, shape), 3)
        case "float":
            return round(float(rng.uniform(-1, 1)), 3)
        case "index":
            return rng.integers(0, 2, shape)
        case "int":
            return int(rng.integers(0, 2))
    return bool(rng.integers(2))


def _derived(names: list[str], active: tuple[int, ...]) -> str:
    """Derivatives of `f` as the program itself may take them."""
    chosen = [names[k] for k in active]
    given = [n if k in active else f"GIVEN_{n}" for k, n in enumerate(names)]
    ways = [f"d_{n}" for n in chosen]
    dots = " + ".join(f"np.sum(g[{k}] * {w})" for k, w in enumerate(ways))
    comma = "," * (len(chosen) == 1)
    return f"""
def slopes({", ".join(chosen)}):
    return cr.grad(f, {active})({", ".join(given)})

def along({", ".join([*names, *ways])}):
    g = cr.grad(f, {active})({", ".join(names)})
    return {dots}

def forward({", ".join([*names, *ways])}):
    g = lambda {", ".join(chosen)}: f({", ".join(names)})
    return cr.jvp(g, ({", ".join(chosen)}{comma}), ({", ".join(ways)}{comma}))

def change({", ".join([*names, *ways])}):
    return forward({", ".join([*names, *ways])})[1]

def bend({", ".join([*chosen, *ways])}):
    return cr.jvp(slopes, ({", ".join(chosen)}{comma}), ({", ".join(ways)}{comma}))[1]
"""


# -- the referee --------------------------------------------------------------------------------------


def _moved(primals: Sequence[Any], directions: Sequence[Any], h: float) -> list[Any]:
    return [p + h * d for p, d in zip(primals, directions, strict=True)]


def differences(f: Callable[[Sequence[Any]], Any], primals: Sequence[Any], directions: Sequence[Any]) -> Any:
    """The derivative of `f` along a direction."""
    middle = np.asarray(f(primals))
    values = [np.asarray(f(_moved(primals, directions, h))) for h in (_STEP, -_STEP, _STEP / 2, -_STEP / 2)]
    coarse, fine = (values[0] - values[1]) / (2 * _STEP), (values[2] - values[3]) / _STEP
    sides = (values[0] - middle) / _STEP, (middle - values[1]) / _STEP
    scale = 1 + np.max(np.abs(fine), initial=0.0)
    if not np.isfinite(scale) or scale > 1e4:
        raise Skip("steep")
    if np.any(np.abs(coarse - fine) > 1e-5 * scale) or np.any(np.abs(sides[0] - sides[1]) > 2e-2 * scale):
        raise Skip("not smooth here")
    return (4 * fine - coarse) / 3


def gradient(module: Module) -> list[Any]:
    """The gradient of the plain function, one difference per number."""
    found = []
    for k, p in enumerate(module.primals):
        slope = np.zeros(np.shape(p))
        for at in np.ndindex(np.shape(p)):
            unit = [np.zeros(np.shape(q)) for q in module.primals]
            unit[k][at] = 1.0
            slope[at] = differences(lambda q: module.call(q)[0], _arrays(module.primals), unit)
        found.append(slope)
    return found


def _arrays(primals: Sequence[Any]) -> list[Any]:
    return [p if isinstance(p, np.ndarray) else np.float64(p) for p in primals]


# -- roads --------------------------------------------------------------------------------------------


def _leaves(value: Any) -> list[np.ndarray]:
    if isinstance(value, (tuple, list)):
        return [leaf for v in value for leaf in _leaves(v)]
    return [np.asarray(value, dtype=float)]


def _agree(what: str, got: Any, expected: Any, tolerance: float) -> None:
    ours, theirs = _leaves(got), _leaves(expected)
    if [a.shape for a in ours] != [b.shape for b in theirs]:
        raise Disagreement(f"{what}: shapes {[a.shape for a in ours]} and {[b.shape for b in theirs]}")
    scale = 1 + max((float(np.max(np.abs(b), initial=0.0)) for b in theirs), default=0.0)
    for a, b in zip(ours, theirs, strict=True):
        if not np.all(np.abs(a - b) <= tolerance * scale):
            raise Disagreement(f"{what}:\n  got      {got}\n  expected {expected}")


class Roads:
    """One derivative, run by several back ends on the same program."""

    def __init__(self, numba: Collection[str]) -> None:
        self.numba = numba

    def __call__(self, what: str, function: Any, args: Sequence[Any], writes: bool = False) -> Any:
        """What `function` is at `args`, the same by every back end; `writes`: it may write to its arguments."""
        jitted = function if isinstance(function, Jitted) else cr.jit(function, backend="python")
        found, after = self._guarded(what, lambda: self._python(jitted, args))
        if not writes:
            _same_arguments(what, after, args)
        flat: list[Any] = []
        jitted.key(tuple(args), {}, flat)
        made = jitted.specialise(*args)
        self._guarded(what, lambda: check_ir(made.function))
        flat += [c.get() for c in made.program.captures]
        inner = copy.deepcopy(flat)
        results = self._guarded(f"{what}, interpreter", lambda: evaluate(made.function, inner))
        _agree(f"{what}, interpreter and python", list(results), _leaves(found), 1e-11)
        if what in self.numba:
            from chainrule.backends.numba.compile import compiled

            run = self._guarded(
                f"{what}, numba", lambda: compiled(write(made.function, "compiled"), fastmath="sums").call
            )
            results = self._guarded(f"{what}, numba", lambda: run(*copy.deepcopy(flat)))
            _agree(f"{what}, numba and python", results, _leaves(found), 1e-9)
        return (found, after) if writes else found

    @staticmethod
    def _python(jitted: Jitted, args: Sequence[Any]) -> tuple[Any, list[Any]]:
        given = copy.deepcopy(list(args))
        return jitted(*given), given

    @staticmethod
    def _guarded(what: str, run: Callable[[], Any]) -> Any:
        try:
            return run()
        except ChainruleError:
            raise
        except Exception as error:
            raise Disagreement(f"{what}: {type(error).__name__}: {error}") from error


def _same_arguments(what: str, after: Sequence[Any], before: Sequence[Any]) -> None:
    for a, b in zip(_leaves(after), _leaves(before), strict=True):
        if not np.array_equal(a, b):
            raise Disagreement(f"{what} writes to its arguments")


def check(program: Program, numba: Collection[str] = (), last: str = "second") -> str:
    """Compare every road up to the stage `last`; "agree", or why the program says nothing or is refused.

    `numba` are the roads that Numba goes too, of `ROADS`.
    """
    module = Module(program)
    try:
        return _check(module, numba, STAGES.index(last))
    except Skip as why:
        return f"skipped: {why}"
    except ChainruleError as refusal:
        return f"refused: {type(refusal).__name__}: {refusal}"
    finally:
        module.close()


def _check(module: Module, numba: Collection[str], last: int) -> str:
    value, after = module.call(_arrays(module.primals))
    roads, args, ways = Roads(numba), module.arguments, module.directions
    got, ours = roads("value", module.f, args, writes=True)
    _agree("value", got, value, 1e-11)
    _agree("value, the arguments after the call", ours, after, 1e-11)
    if last >= 1:
        slope = gradient(module)
        grad = roads("grad", cr.grad(module.f, module.active), args)
        _agree("grad", grad, slope, 1e-6)
    if last >= 2:
        exact = sum(float(np.sum(g * d)) for g, d in zip(grad, ways, strict=True))
        pushed = roads("jvp", module["forward"], [*args, *ways])
        _agree("jvp", pushed, (value, exact), 1e-9)
    if last >= 3:
        _second(module, roads)
    return "agree"


def _second(module: Module, roads: Roads) -> None:
    args, ways = [*module.arguments, *module.directions], module.directions
    slopes = cr.jit(module["slopes"], backend="python")
    bent = differences(
        lambda q: np.concatenate([np.ravel(g) for g in slopes(*_plain(q))]), _arrays(module.primals), ways
    )
    ends = np.cumsum([np.size(p) for p in module.primals])
    bent = [b.reshape(np.shape(p)) for b, p in zip(np.split(bent, ends[:-1]), module.primals, strict=True)]
    hvp = roads("forward over reverse", module["bend"], [*module.primals, *ways])
    _agree("forward over reverse", hvp, bent, 1e-6)
    _agree(
        "reverse over reverse", roads("reverse over reverse", cr.grad(module["along"], module.active), args), hvp, 1e-8
    )
    if int(1e6 * abs(module.directions[0].flat[0])) % 2:
        _agree(
            "reverse over forward",
            roads("reverse over forward", cr.grad(module["change"], module.active), args),
            hvp,
            1e-8,
        )


def _plain(values: Sequence[Any]) -> list[Any]:
    return [v if isinstance(v, np.ndarray) else float(v) for v in values]
