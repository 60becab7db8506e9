"""`jit`: a function whose program is read, transformed and compiled at its first call with each kind of arguments.

A call takes its arguments apart, finds the program of their kinds whose guards hold (nothing it was built on has
changed), and runs it. Arrays enter C-contiguous; what the program writes to must not share memory with another
argument.
"""

from __future__ import annotations

import copy
import functools
import importlib
import os
import re
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from chainrule.backends.compile import plain
from chainrule.backends.python import Source, write
from chainrule.core.transformation import Mark, mark, mark_of
from chainrule.errors import AliasError, ArgumentError, ChainruleError
from chainrule.frontends.outside import NO_ARRAYS
from chainrule.frontends.program import Program, read_program
from chainrule.frontends.source import Parsed, read, unwrap
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Array
from chainrule.native.arguments import is_traced, nest, signature, size_of
from chainrule.native.fastcall import MISS, FastCall, direct_call, fast_call
from chainrule.native.memory import read_bytes
from chainrule.native.results import builder
from chainrule.native.rooms import has_effects, roomy, with_rooms
from chainrule.native.traced import call_traced
from chainrule.native.verify import compared
from chainrule.native.workspace import pooled, with_workspace
from chainrule.transforms.contract import contracted
from chainrule.transforms.edges import parted_at_edges
from chainrule.transforms.expand import expanded
from chainrule.transforms.fission import fissioned
from chainrule.transforms.flat import flattened
from chainrule.transforms.forward import jvp
from chainrule.transforms.gather import gathered
from chainrule.transforms.interchange import interchanged
from chainrule.transforms.levels import with_levels_inlined
from chainrule.transforms.parallel import parallelised
from chainrule.transforms.replay import replayed
from chainrule.transforms.reverse import vjp
from chainrule.transforms.roll import rolled
from chainrule.transforms.simplify import simplify
from chainrule.transforms.stretches import stretched
from chainrule.transforms.unsigned import unsigned

__all__ = ["Jitted", "Specialisation", "innermost", "jit", "source"]

_T = TypeVar("_T")
_EXTENTS = re.compile(r"(?:operands )?could not .*broadcast.*: extents (\d+) and (\d+) do not agree")
_ONCE = (
    "; an extent of 1 that is computed is not stretched in a function that writes to its arguments or prints, which "
    "cannot be run twice: have it known by keepdims=True, np.newaxis or an index without a slice"
)
_GONE = (LookupError, AttributeError, ValueError, TypeError)  # what was read from is not what it was
_BACKENDS = ("numba", "python", "interpreter")
_DEFAULTS: dict[str, Any] = {"fastmath": "sums", "cache": True, "backend": "numba", "verify": False}
_DEFAULTS |= {"parallel": False, "memory": None}


def jit(
    f: Callable[..., Any] | None = None,
    *,
    fastmath: bool | str = "sums",
    parallel: bool = False,
    cache: bool = True,
    backend: str = "numba",
    verify: bool = False,
    memory: int | str | None = None,
    checkpoint: bool = False,
) -> Any:
    """Compile a function of ordinary Python: its source is read, transformed and handed to Numba.

    Parameters
    ----------
    f : callable
        A function in the language of native mode, or a transformation of one: ``jit(grad(f))``.
    fastmath : {"sums", True, False}
        Whether rounding may change; see the page on native mode.
    parallel : bool
        Use all processors for outermost loops whose iterations do not depend on each other, `vmap` among them; what
        several iterations add to is added up part by part. Results may differ in rounding, always in the same way.
    cache : bool
        Keep compiled programs on disk.
    backend : {"numba", "python", "interpreter"}
        What runs the program: machine code, the text that `source` prints as ordinary Python (a debugger steps
        through it), or the reference interpreter.
    verify : bool
        Run every call on all back ends, compare them, and raise where they part.
    memory : int or str, optional
        How many bytes the reverse of a counted loop may keep of its iterations: 200_000_000 or "200MB". What does not
        fit is computed again, by the binomial schedule: with s copies of the state C(s + r, r) stretches of iterations
        are repeated at most r times. All are kept by default.
    checkpoint : bool
        Keep of a counted loop about as many bytes as one repetition of it allows, the square root of its length.

    Returns
    -------
    Jitted
        Takes the arguments of `f`; compiled once per types of its arguments.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> @cr.jit
    ... def total(x):
    ...     s = 0.0
    ...     for i in range(len(x)):
    ...         s += x[i] ** 2
    ...     return s
    >>> float(total(np.array([1.0, 2.0])))
    5.0
    >>> cr.grad(total)(np.array([1.0, 2.0]))
    array([2., 4.])
    """
    if backend not in _BACKENDS:
        raise ArgumentError(f"backend={backend!r}: choose one of {', '.join(_BACKENDS)}")
    if fastmath not in ("sums", True, False):
        raise ArgumentError(f'fastmath={fastmath!r}: choose "sums", True or False')
    options: dict[str, Any] = {"fastmath": fastmath, "parallel": parallel, "cache": cache}
    options |= {"backend": backend, "verify": verify}
    if f is None:
        return functools.partial(jit, **options, memory=memory, checkpoint=checkpoint)
    options["memory"] = read_bytes(memory) if memory is not None else 0 if checkpoint else None
    if isinstance(f, Jitted):
        options = {**f.options, **{k: v for k, v in options.items() if v != _DEFAULTS[k]}}
        return Jitted(f.function, options)
    if not callable(f):
        raise ArgumentError(f"jit takes a function, not {type(f).__name__}: write chainrule.jit(f)(x)")
    return Jitted(f, options)


class Specialisation:
    """The program of one kind of arguments, with what it was built on."""

    def __init__(self, program: Program, options: dict[str, Any], stretches: bool = False) -> None:
        self.program = program
        self.stretches = stretches
        self.function = simplify(program.function)
        self.result = builder(program.result)
        self.written = tuple(k for k, p in enumerate(program.function.params) if p in program.function.writes)
        self.unshared = tuple(
            k for k, p in enumerate(program.function.params) if k in self.written or p in program.copied
        )
        self.arrays = tuple(k for k, p in enumerate(program.function.params) if isinstance(p.type, Array))
        self.run = _runner(self.function, options)
        self.direct: Callable[..., Any] | None = None
        self.fast: FastCall | None = None
        self.single = len(self.function.results) == 1

    def holds(self) -> bool:
        """Whether nothing that the program was built on has changed."""
        return all(_unchanged(g) for g in self.program.guards) and all(_fits(c) for c in self.program.captures)

    def __call__(self, flat: list[Any]) -> Any:
        args = [*flat, *[c.get() for c in self.program.captures]]
        back: list[tuple[Any, Any]] = []
        if self.unshared:
            self._check_aliases(args)
        for k in self.arrays:
            value = args[k]
            if not value.flags.carray:
                args[k] = value.copy(order="C")
                if k in self.written:
                    if not value.flags.writeable:
                        raise ArgumentError(
                            f"the function writes to {self.program.function.params[k].hint!r}, a read-only array"
                        )
                    back.append((value, args[k]))
        made = self.run(*args)
        for value, written in back:
            value[...] = written
        return self.result(iter((made,) if self.single else made or ()))  # nothing: compiled code gives None

    def is_tried_again(self, error: Exception) -> bool:
        """Whether an error has to do with an extent of 1 that another program stretches."""
        if not _is_stretch(error):
            return False
        if has_effects(self.function):
            raise ValueError(f"{error}{_ONCE}") from None
        return True

    def _check_aliases(self, args: list[Any]) -> None:
        for k in self.unshared:
            for other in self.arrays:
                if other != k and np.may_share_memory(args[k], args[other]):
                    names = [self.program.function.params[n].hint for n in (k, other)]
                    raise AliasError(
                        f"the function writes to {names[0]!r}, which may share memory with {names[1]!r}: pass copies"
                    )


def _unchanged(guard: Any) -> bool:
    try:
        value = guard.get()
    except _GONE:
        return False
    match guard.kind:
        case "is":
            return value is guard.expected
        case "==":
            return type(value) is type(guard.expected) and bool(value == guard.expected)
        case "len":
            return isinstance(value, (tuple, list)) and len(value) == guard.expected
        case "keys":
            return isinstance(value, dict) and tuple(value) == guard.expected
    return type(value) is guard.expected


def _fits(capture: Any) -> bool:
    """Whether a captured number or array still has its kind."""
    try:
        value = capture.get()
    except _GONE:
        return False
    kind = capture.var.type
    if isinstance(value, NO_ARRAYS):
        return False
    if isinstance(kind, Array):
        if not isinstance(value, np.ndarray) or value.dtype.name != kind.dtype:
            return False
        return bool(tuple([d == 1 for d in value.shape]) == capture.ones)
    return np.asarray(value).dtype.name == kind.dtype and (type(value) in (float, complex)) is capture.weak


def _runner(function: Any, options: dict[str, Any]) -> Callable[..., Any]:
    if options["verify"]:
        return compared(function, options["fastmath"])
    if options["backend"] == "interpreter":
        return lambda *args: _one(evaluate(function, list(args)))
    if options["backend"] == "python":
        return plain(write(function))
    runnable = importlib.import_module("chainrule.backends.numba.program").runnable
    source, wrap = _compiled(function, options)
    made = runnable(source, fastmath=options["fastmath"], cache=options["cache"])
    run: Callable[..., Any] = wrap(made)
    return run


def _compiled(function: Any, options: dict[str, Any]) -> tuple[Source, Callable[..., Any]]:
    """The text that Numba gets, and what makes a function like `function` of the compiled one."""
    function, dtypes = with_rooms(unsigned(tuned(function, options)))
    spacious = with_workspace(function)

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        call = call if spacious is None else pooled(call)
        return roomy(call, dtypes) if dtypes else call

    return write(spacious or function, "compiled"), wrap


def tuned(function: Any, options: dict[str, Any]) -> Any:
    """`function` as machines like it, which computes the same but for the order of sums; see the design notes."""
    parts = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    function = with_levels_inlined(function)
    function = parallelised(function, parts) if options["parallel"] and parts > 1 else function
    sums = options["fastmath"] is not False
    function = stretched(replayed(expanded(contracted(function))))
    function = interchanged(gathered(function)) if sums else function
    return flattened(fissioned(rolled(parted_at_edges(function)), sums=sums))


def _one(results: tuple[Any, ...]) -> Any:
    return results[0] if len(results) == 1 else results


class Jitted:
    """A function that native mode runs; made by `jit`.

    What is called is an attribute: `_call`, or machine code that tests whether it can run the last program.
    """

    __slots__ = ("__call__", "__dict__", "__weakref__")
    __call__: Callable[..., Any]

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.function = function
        self.options = {**_DEFAULTS, **options}
        self._programs: dict[Any, list[Specialisation]] = {}
        self._derived: dict[Any, Jitted] = {}
        self._compiled_type: Any = None
        self._fast: FastCall | None = None
        self._otherwise = _held_weakly(self)
        self.__call__ = self._otherwise
        functools.update_wrapper(self, innermost(function), updated=())
        self.__transformation__ = Mark("jit", function, {}, weakref.ref(self))

    def __repr__(self) -> str:
        return f"<jitted {getattr(self.function, '__qualname__', self.function)}>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def like(self, function: Callable[..., Any]) -> Jitted:
        """`function`, jitted with the same options."""
        return Jitted(function, self.options)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._fast is not None:
            try:
                made = self._fast(args, kwargs)
            except ValueError as error:
                if not _is_stretch(error):
                    raise
                made = MISS
            if made is not MISS:
                return made
        if is_traced(args) or is_traced(kwargs):
            return call_traced(self, args, kwargs)
        flat: list[Any] = []
        key = self.key(args, kwargs, flat)
        for found in self._programs.get(key, ()):
            if found.holds():
                self._take(found)
                return self._run(found, key, flat)
        return self._run(self._specialise(key, flat), key, flat)

    def _run(self, found: Specialisation, key: Any, flat: list[Any]) -> Any:
        """Run a program; if it met an extent of 1 where it took none to be, one that asks is made, and stays."""
        try:
            return found(flat)
        except ValueError as error:
            if found.stretches or not found.is_tried_again(error):
                raise
        return self._specialise(key, flat, stretches=True)(flat)

    @property
    def _numba_type_(self) -> Any:
        """The type of this function in the user's own compiled code."""
        if self._compiled_type is None:
            self._compiled_type = importlib.import_module("chainrule.native.compiled_calls").type_of(self)
        return self._compiled_type

    # -- transformations that are called at once

    def can_run(self, values: Any) -> bool:
        """Whether native mode takes these arguments: none of them is traced."""
        return not is_traced(values)

    def _derive(self, kind: str, **options: Any) -> Jitted:
        """``kind(self, **options)`` as a jitted function."""
        key = (kind, *options.items())
        made = self._derived.get(key)
        if made is None:

            def derived(*args: Any) -> Any:
                raise AssertionError("read, never run")

            marked: Any = mark(functools.wraps(innermost(self))(derived), kind, self, **options)
            made = self._derived[key] = marked
        return made

    def push(self, primals: Any, tangents: Any, chosen: tuple[int, ...], kwargs: dict[str, Any]) -> Any:
        """Value and directional derivative in the `chosen` arguments."""
        return self._derive("push", argnums=chosen)(primals, tangents, **kwargs)

    def pull(self, primals: Any, ct: Any, chosen: tuple[int, ...], kwargs: dict[str, Any]) -> Any:
        """The cotangents of the `chosen` arguments."""
        return self._derive("pull", argnums=chosen)(primals, ct, **kwargs)

    def names_written(self, *args: Any, **kwargs: Any) -> list[str]:
        """The names of the arrays among the arguments that the function writes to."""
        program = self.specialise(*args, **kwargs).program
        return [p.hint for p in program.function.params if p in program.function.writes]

    def jvp(self, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        """Value and directional derivative."""
        return self.push(primals, tangents, tuple(range(len(primals))), {})

    def vjp(self, primals: tuple[Any, ...]) -> Any:
        """Value and pullback, which evaluates the function again."""
        held, everything = copy.deepcopy(primals), tuple(range(len(primals)))
        return self(*copy.deepcopy(primals)), lambda ct: self.pull(held, ct, everything, {})

    def linearize(self, primals: tuple[Any, ...]) -> Any:
        """Value and pushforward, which evaluates the function again."""
        held = copy.deepcopy(primals)
        return self(*copy.deepcopy(primals)), lambda *tangents: self.jvp(held, tangents)[1]

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any], flat: list[Any]) -> Any:
        key = tuple([signature(a, flat, str(k)) for k, a in enumerate(args)])
        if kwargs:
            return key, tuple((k, signature(v, flat, k)) for k, v in kwargs.items())
        return key, ()

    def read(self, *args: Any, **kwargs: Any) -> Program:
        """The program for arguments like these, as it is read."""
        flat: list[Any] = []
        return _briefly(lambda: self.program(self.key(args, kwargs, flat), flat))

    def specialise(self, *args: Any, **kwargs: Any) -> Specialisation:
        """The program for arguments like these, read and compiled if it is not there."""
        flat: list[Any] = []
        key = self.key(args, kwargs, flat)
        return next((s for s in self._programs.get(key, ()) if s.holds()), None) or self._specialise(key, flat)

    def _specialise(self, key: Any, flat: list[Any], stretches: bool = False) -> Specialisation:
        made = _briefly(lambda: Specialisation(self.program(key, flat, stretches), self.options, stretches))
        if self.options["backend"] == "numba" and not self.options["verify"]:
            made.direct = direct_call(key, made.program, made.run, made.is_tried_again, self._otherwise)
        if made.direct is None:
            made.fast = fast_call(key, made.program, made.run)
        self._programs.setdefault(key, []).insert(0, made)
        self._take(made)
        return made

    def _take(self, found: Specialisation) -> None:
        """Have the next calls try this program first."""
        if found.direct is not None:
            self.__call__ = found.direct
        elif found.fast is not None:
            self._fast = found.fast

    def program(self, key: Any, flat: Sequence[Any] = (), stretches: bool = False) -> Program:
        """Read the function for arguments of the kinds `key`, to be fast for the numbers and arrays `flat`."""
        parsed = _parsed(self.function)
        names = tuple(a.arg for a in (*parsed.node.args.posonlyargs, *parsed.node.args.args))
        args, kwargs = key
        return read_program(
            self.function,
            tuple(nest(k) for k in args),
            {k: nest(v) for k, v in kwargs},
            parsed,
            names,
            _forward,
            functools.partial(_reverse, memory=self.options["memory"]),
            [size_of(value) for value in flat],
            stretches,
        )


def _held_weakly(jitted: Jitted) -> Callable[..., Any]:
    """The call of `jitted`, kept by what it keeps itself: with it goes the machine code, not at some later time."""
    function, options, owner = jitted.function, jitted.options, weakref.ref(jitted)

    def call(*args: Any, **kwargs: Any) -> Any:
        return (owner() or Jitted(function, options))._call(args, kwargs)

    return call


def _is_stretch(error: Exception) -> bool:
    """Whether a program failed because an extent that was not known to be 1 is."""
    found = _EXTENTS.fullmatch(str(error))
    return isinstance(error, ValueError) and found is not None and "1" in found.groups()


def _briefly(make: Callable[[], _T]) -> _T:
    """``make()``, whose refusals come without their way through this package; a debugger finds it in __context__."""
    try:
        return make()
    except ChainruleError as error:
        raise type(error)(*error.args) from None


def _forward(function: Any, *directions: Any) -> Any:
    return jvp(simplify(function), *directions)


def _reverse(function: Any, active: Any, wanted: Any = None, *, memory: int | None) -> Any:
    """The reverse of what is left after simplification: what need not be computed need not be kept."""
    return vjp(simplify(function), active, memory, wanted)


def innermost(function: Any) -> Any:
    while (found := mark_of(function)) is not None:
        function = found.function
    return function


def _parsed(function: Any) -> Parsed:
    inner = innermost(function)
    return read(unwrap(inner).function)


def source(g: Any, *args: Any, stage: str = "derivative", **kwargs: Any) -> str:
    """The text of a native program: what `g`, a function or a transformation of one, computes.

    Parameters
    ----------
    g : callable
        A jitted function, ``grad(f)`` or another transformation, or a plain function.
    *args
        Arguments like those it will be called with. May be left out if `g` is jitted and has been called.
    stage : {"derivative", "compiled"}
        The readable program, or the text that Numba gets.

    Examples
    --------
    >>> import chainrule as cr
    >>> def f(x):
    ...     return x * x
    >>> print(cr.source(cr.grad(f), 2.0))  # doctest: +ELLIPSIS
    def ...
    """
    if stage not in ("derivative", "compiled"):
        raise ArgumentError(f'stage={stage!r}: choose "derivative" or "compiled"')
    jitted = g if isinstance(g, Jitted) else Jitted(g, {})
    if not args and not kwargs and jitted._programs:
        function = next(iter(jitted._programs.values()))[0].function
    else:
        function = simplify(jitted.read(*args, **kwargs).function)
    source = _compiled(function, jitted.options)[0] if stage == "compiled" else write(function, stage)
    return source.text
