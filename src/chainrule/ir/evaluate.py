"""The reference interpreter: what a program means, statement by statement.

Numbers are Python's float, int and bool, and NumPy's scalars in the other precisions; arrays are NumPy's, and the
program's own: nothing is copied that the program does not copy, and what it writes to is written to. Memory that
it has not filled holds NaN, or the most negative integer. An undefined value may be handed on and calculated with,
so that a pass may move arithmetic; what decides, stores, indexes, prints or returns one raises `UnboundLocalError`.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.ir import ops
from chainrule.ir.messages import arguments
from chainrule.ir.nodes import (
    AddInto,
    Alloc,
    Array,
    Atom,
    Block,
    Call,
    Carry,
    Check,
    Const,
    Copy,
    Dim,
    For,
    Function,
    If,
    Incr,
    Let,
    Load,
    Node,
    Op,
    Print,
    Raise,
    Reserve,
    Slice,
    Store,
    Type,
    Var,
    View,
    While,
)
from chainrule.ir.walk import defines, grown

__all__ = ["evaluate"]

Probe = Callable[[Node, tuple[Any, ...]], None]
Environment = dict[Var, Any]

_UNDEFINED: Any = type("Undefined", (), {"__slots__": (), "__repr__": lambda self: "undefined"})()
_PLAIN = frozenset({"float64", "int64", "bool"})
_ARRAY_OPS: dict[str, Callable[..., Any]] = {
    "matmul": np.matmul,
    "solve": np.linalg.solve,
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "slogdet": np.linalg.slogdet,
    "cholesky": np.linalg.cholesky,
    "argsort": lambda a: np.argsort(a, kind="stable"),
}


def evaluate(function: Function, args: Sequence[Any], probe: Probe | None = None) -> tuple[Any, ...]:
    """Run `function` on numbers and arrays, and return its results.

    Parameters
    ----------
    function : Function
    args : sequence
        A number for every scalar parameter, an array of its type for every array parameter.
    probe : callable, optional
        ``probe(node, values)`` is called after every statement with the values of what it defines.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT, Builder
    >>> x = Var("x", FLOAT)
    >>> build = Builder()
    >>> evaluate(Function("double", (x,), build.block, (build.let("add", x, x),)), [3])
    (6.0,)
    """
    values = [_argument(p, a) for p, a in zip(function.params, args, strict=True)]
    with np.errstate(all="ignore"):
        return _Interpreter(probe).call(function, values)


def _argument(param: Var, value: Any) -> Any:
    if not isinstance(param.type, Array):
        return ops.number(value, param.type.dtype)
    if not isinstance(value, np.ndarray) or (value.dtype.name, value.ndim) != param.type:
        raise TypeError(f"the argument {param.hint} is to be an array {param.type}, and {value!r} is not")
    return value


def _value(atom: Any, env: Environment) -> Any:
    """What `atom` stands for, perhaps undefined."""
    if atom.__class__ is Var:
        return env[atom]
    if atom.__class__ is not Const:
        return _UNDEFINED
    return atom.value if atom.type.dtype in _PLAIN else ops.number(atom.value, atom.type.dtype)


def _used(atom: Any, env: Environment) -> Any:
    """What `atom` stands for, where it matters."""
    value = _value(atom, env)
    if value is _UNDEFINED:
        name = atom.hint if isinstance(atom, Var) else "a variable"
        raise UnboundLocalError(f"{name} is used, and the path taken did not assign it")
    return value


def _all(atoms: Sequence[Atom], env: Environment) -> tuple[Any, ...]:
    return tuple([_used(a, env) for a in atoms])


def _result(value: Any, type: Type) -> Any:
    if isinstance(type, Array):
        return np.ascontiguousarray(value, type.dtype)
    return ops.number(value, type.dtype)


def _empty(shape: tuple[int, ...], dtype: str) -> Any:
    """An array that nobody is to read before it is filled."""
    return np.full(shape, ops.unfilled(dtype), dtype)


class _Interpreter:
    def __init__(self, probe: Probe | None) -> None:
        self.probe = probe
        self.implementations: dict[Let, Callable[..., Any]] = {}

    def call(self, function: Function, args: Sequence[Any]) -> tuple[Any, ...]:
        """The results, and what has become of the arrays that the function grows, in the order of the parameters."""
        env = dict(zip(function.params, args, strict=True))
        self.run(function.body, env)
        return (*_all(function.results, env), *(env[p] for p in function.params if p in function.grows))

    def run(self, block: Block, env: Environment) -> None:
        for node in block.nodes:
            _MEANING[node.__class__](self, node, env)
            if self.probe is not None:
                self.probe(node, tuple(env[v] for v in defines(node)))

    # -- scalars and memory

    def let(self, node: Let, env: Environment) -> None:
        args = [_value(a, env) for a in node.args]
        if _UNDEFINED in args and (node.op != "where" or args[0] is _UNDEFINED):
            env[node.out] = _UNDEFINED
            return
        try:
            implementation = self.implementations[node]
        except KeyError:
            implementation = ops.implementation(node.op, tuple(a.type.dtype for a in node.args), node.out.type.dtype)
            self.implementations[node] = implementation
        env[node.out] = implementation(*args)

    def load(self, node: Load, env: Environment) -> None:
        array, index = env[node.array], _all(node.index, env)
        env[node.out] = array.item(*index) if node.out.type.dtype in _PLAIN else array[index]

    def store(self, node: Store, env: Environment) -> None:
        env[node.array][_all(node.index, env)] = _used(node.value, env)

    def increment(self, node: Incr, env: Environment) -> None:
        env[node.array][_all(node.index, env)] += _used(node.value, env)

    def view(self, node: View, env: Environment) -> None:
        array = env[node.array]
        match node.kind:
            case "index":
                env[node.out] = array[tuple(_item(i, env) for i in node.items)]
            case "transpose":
                env[node.out] = array.transpose(_all(node.items, env))
            case "reshape":
                if not array.flags.c_contiguous:
                    raise AssertionError(f"{node.array.hint} is reshaped and not C-contiguous")
                env[node.out] = array.reshape(_all(node.items, env))

    def alloc(self, node: Alloc, env: Environment) -> None:
        shape, dtype = _all(node.shape, env), node.out.type.dtype
        env[node.out] = _empty(shape, dtype) if node.fill is None else np.full(shape, node.fill.value, dtype)

    def copy(self, node: Copy, env: Environment) -> None:
        env[node.out] = env[node.array].copy()

    def add_into(self, node: AddInto, env: Environment) -> None:
        array, source = env[node.array], env[node.source]
        if array.shape != source.shape:
            raise AssertionError(f"{node.source.hint} {source.shape} is added into {node.array.hint} {array.shape}")
        array += source

    def dim(self, node: Dim, env: Environment) -> None:
        env[node.out] = env[node.array].shape[node.axis]

    def reserve(self, node: Reserve, env: Environment) -> None:
        array, size = env[node.array], _used(node.size, env)
        if size > len(array):
            larger = _empty((max(size, 2 * len(array)), *array.shape[1:]), node.array.type.dtype)
            larger[: len(array)] = array
            env[node.array] = larger

    # -- operations on whole arrays, calls

    def op(self, node: Op, env: Environment) -> None:
        results = _ARRAY_OPS[node.op](*_all(node.args, env))
        for out, result in zip(node.outs, results if len(node.outs) > 1 else (results,), strict=True):
            env[out] = _result(result, out.type)

    def call_function(self, node: Call, env: Environment) -> None:
        made = self.call(node.function, [_value(a, env) for a in node.args])
        env.update(zip((*node.outs, *grown(node)), made, strict=True))

    # -- control

    def branch(self, node: If, env: Environment) -> None:
        if _used(node.test, env):
            self.run(node.then, env)
            env.update([(m.out, _value(m.then, env)) for m in node.merges])
        else:
            self.run(node.orelse, env)
            env.update([(m.out, _value(m.orelse, env)) for m in node.merges])

    def count(self, node: For, env: Environment) -> None:
        bounds = _all((node.lower, node.upper, node.step), env)
        _enter(node.carries, env)
        for k in range(*bounds):
            env[node.index] = k
            self.run(node.body, env)
            _advance(node.carries, env)
        _leave(node.carries, env)

    def repeat(self, node: While, env: Environment) -> None:
        _enter(node.carries, env)
        while True:
            self.run(node.head, env)
            if not _used(node.test, env):
                break
            self.run(node.body, env)
            _advance(node.carries, env)
        _leave(node.carries, env)

    def stop(self, node: Raise, env: Environment) -> None:
        raise getattr(builtins, node.exception)(*arguments(_values(node.parts, env)))

    def check(self, node: Check, env: Environment) -> None:
        if not _used(node.test, env):
            raise getattr(builtins, node.exception)(*arguments(_values(node.parts, env)))

    def write(self, node: Print, env: Environment) -> None:
        sys.stdout.write(" ".join(map(str, arguments(_values(node.parts, env)))) + "\n")


def _enter(carries: Sequence[Carry], env: Environment) -> None:
    env.update([(c.param, _value(c.init, env)) for c in carries])


def _advance(carries: Sequence[Carry], env: Environment) -> None:
    env.update([(c.param, _value(c.next, env)) for c in carries])


def _leave(carries: Sequence[Carry], env: Environment) -> None:
    env.update([(c.out, env[c.param]) for c in carries])


def _item(item: Any, env: Environment) -> Any:
    if isinstance(item, Slice):
        return slice(*(None if bound is None else _used(bound, env) for bound in item))
    return None if item is None else _used(item, env)


def _values(parts: Sequence[str | Atom], env: Environment) -> list[Any]:
    return [p if isinstance(p, str) else _used(p, env) for p in parts]


_MEANING: dict[type[Node], Callable[[_Interpreter, Any, Environment], None]] = {
    Let: _Interpreter.let,
    Load: _Interpreter.load,
    Store: _Interpreter.store,
    Incr: _Interpreter.increment,
    View: _Interpreter.view,
    Alloc: _Interpreter.alloc,
    Copy: _Interpreter.copy,
    AddInto: _Interpreter.add_into,
    Dim: _Interpreter.dim,
    Reserve: _Interpreter.reserve,
    Op: _Interpreter.op,
    Call: _Interpreter.call_function,
    If: _Interpreter.branch,
    For: _Interpreter.count,
    While: _Interpreter.repeat,
    Raise: _Interpreter.stop,
    Check: _Interpreter.check,
    Print: _Interpreter.write,
}
