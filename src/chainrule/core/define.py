"""Constructors of primitives: how a line of a rule table becomes a rule.

Four forms cover every operation:

* `elementwise`: one partial derivative per argument;
* `multilinear`: linear in each argument alone, one transpose per argument (products);
* `linear`: linear in all its array arguments together (moves, sums, `where`, concatenation);
* `general`: any linear function of the tangent;

and `nondifferentiable` says that the derivative is zero wherever it exists. A partial is a function of
``(output, *arguments)`` in terms of primitives, a number, or None (zero everywhere). It is evaluated only
if its argument carries a derivative, and a value that no partial reads is not kept.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from chainrule.core.linear import ElementwiseSlot, GeneralSlot, LinearSlot, Selection, Slot, Wirtinger
from chainrule.core.primitive import Primitive, register

__all__ = ["elementwise", "general", "linear", "multilinear", "nondifferentiable", "primitive", "shorten"]

_ZERO = Slot(None, active=False)


def elementwise(
    name: str,
    impl: Callable[..., Any],
    *partials: Any,
    functions: tuple[Any, ...] = (),
    samples: Callable[..., Any] | None = None,
    tie: str | None = None,
) -> Primitive:
    """Define an elementwise operation by its partial derivatives, one per argument.

    Parameters
    ----------
    name : str
        A name that no other primitive has.
    impl : callable
        The operation on arrays and numbers; it broadcasts as NumPy does.
    *partials : callable, number, Wirtinger or None
        ``partial(y, *arguments)`` in terms of primitives; a number is a constant partial and None is
        zero everywhere.
    functions : tuple of callables
        Library functions that this primitive answers for, besides `impl`.
    samples : callable, optional
        ``samples(rng)`` gives an iterable of ``(arguments, parameters)`` to test the rule at.
    tie : str, optional
        What the rule answers at a kink.

    Returns
    -------
    Primitive
        A function; call it as `impl` is called.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> from chainrule.core.define import elementwise
    >>> cube = elementwise("docs.cube", lambda x: x * x * x, lambda y, x: 3 * x * x)
    >>> cr.grad(cube)(2.0)
    12.0
    """
    slots = tuple(_elementwise_slot(p) for p in partials)
    made = Primitive(name, impl, slots, kind="elementwise", samples=samples, tie=tie)
    return register(made, (impl, *functions))


def shorten(primitive: Primitive) -> tuple[Any, ...]:
    """The rule of an elementwise operation for plain arrays of one shape, empty if it is not that simple.

    One operand: ``(partial, reads_y, reads_x)``. Two: both partials, what each reads, what either reads.
    The partials are plain functions or ±1; the primitives they mention are replaced by what evaluates them.
    """
    rules: list[tuple[Any, Any]] = []
    slots = primitive.slots if primitive.kind == "elementwise" else None
    for slot in slots or ():
        partial, reads = slot.statement, slot.reads
        if partial.__class__ is int and partial in (1, -1):
            reads = (False,) * (len(slots or ()) + 1)
        elif inspect.isfunction(partial) and reads is not None:
            partial = _on_plain_values(partial)
        else:
            rules = []
            break
        rules.append((partial, reads))
    primitive.short = ()
    if len(rules) == 1:
        primitive.short = (rules[0][0], *rules[0][1])
    elif len(rules) == 2:
        (first, a), (second, b) = rules
        primitive.short = (first, second, a, b, tuple(x or y for x, y in zip(a, b, strict=True)))
    return primitive.short


def _on_plain_values(partial: FunctionType) -> FunctionType:
    """`partial` with the primitives among its globals replaced by the functions that evaluate them."""
    names = {name: partial.__globals__[name] for name in partial.__code__.co_names if name in partial.__globals__}
    if not any(isinstance(value, Primitive) for value in names.values()):
        return partial
    evaluated = {name: value.impl if isinstance(value, Primitive) else value for name, value in names.items()}
    space = {**partial.__globals__, **evaluated}
    return FunctionType(partial.__code__, space, partial.__name__, partial.__defaults__, partial.__closure__)


def _elementwise_slot(partial: Any) -> Slot:
    if partial is None:
        return _ZERO
    if isinstance(partial, Selection):
        return ElementwiseSlot(partial, _reads(partial.share))
    if isinstance(partial, Wirtinger):
        parts = (partial.real, partial.partial, partial.partial_conj)
        return ElementwiseSlot(partial, _union([_reads(p) for p in parts if callable(p)]))
    return ElementwiseSlot(partial, _reads(partial) if callable(partial) else (False,))


def multilinear(
    name: str,
    impl: Callable[..., Any],
    *transposes: Callable[..., Any] | None,
    functions: tuple[Any, ...] = (),
    samples: Callable[..., Any] | None = None,
) -> Primitive:
    """Define an operation that is linear in each argument alone by its transposes.

    ``transpose(ct, *arguments, **parameters)`` pulls a cotangent back to its argument, in whose own place
    it sees a `Meta` (shape and dtype only: a linear map does not depend on where it is taken).

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> apply = cr.multilinear(
    ...     "docs.apply", lambda a, x: a @ x, lambda ct, a, x: np.outer(ct, x), lambda ct, a, x: a.T @ ct
    ... )
    >>> cr.grad(lambda x: np.sum(apply(np.array([[1.0, 2.0], [3.0, 4.0]]), x)))(np.ones(2))
    array([4., 6.])
    """
    slots = tuple(
        _ZERO if t is None else LinearSlot(t, _other_reads(k, len(transposes)), dense=True)
        for k, t in enumerate(transposes)
    )
    made = Primitive(name, impl, slots, kind="multilinear", samples=samples)
    return register(made, (impl, *functions))


def linear(
    name: str,
    impl: Callable[..., Any],
    *transposes: Callable[..., Any] | None,
    zeros: str | None = None,
    dense: bool = False,
    variadic: bool = False,
    views: bool = False,
    functions: tuple[Any, ...] = (),
    samples: Callable[..., Any] | None = None,
) -> Primitive:
    """Define an operation that is linear in all its differentiable arguments together.

    Parameters
    ----------
    *transposes : callable or None
        As for `multilinear`; None for an array argument without derivative (a condition, indices).
    zeros : {"apply", "transpose", "both"}, optional
        The directions in which the map leaves elements that no argument reaches: structural zeros.
    dense : bool
        Coefficients may be negative or complex, so that contributions can cancel.
    variadic : bool
        The one transpose serves any number of arguments and is called ``(ct, index, *arguments)``.
    views : bool
        The result may share memory with the first argument.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> every_other = cr.linear(
    ...     "docs.every_other", lambda x: x[::2], lambda ct, x: np.stack([ct, 0 * ct], axis=1).ravel()
    ... )
    >>> cr.grad(lambda x: np.sum(every_other(x) ** 2))(np.array([3.0, 4.0]))
    array([6., 0.])
    """
    slots = tuple(
        _ZERO
        if t is None
        else LinearSlot(t, () if variadic else _joint_reads(transposes), zeros=zeros, dense=dense, variadic=variadic)
        for t in transposes
    )
    joint = variadic or sum(t is not None for t in transposes) > 1
    made = Primitive(name, impl, slots, kind="linear", joint=joint, views=views, samples=samples)
    return register(made, (impl, *functions))


def general(
    name: str,
    impl: Callable[..., Any],
    *maps: Callable[..., Any] | None,
    outputs: int = 1,
    functions: tuple[Any, ...] = (),
    samples: Callable[..., Any] | None = None,
    tie: str | None = None,
) -> Primitive:
    """Define an operation by linear functions of the tangent.

    ``map(y, *arguments, **parameters)`` returns, for its argument, a function from a tangent of that
    argument to the change of the output (a tuple of changes if there are several `outputs`), written with
    primitives. Its transpose is derived.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> inverse = cr.general("docs.inverse", lambda x: np.linalg.inv(x), lambda y, x: lambda dx: -(y @ dx @ y))
    >>> cr.grad(lambda x: np.trace(inverse(x)))(np.diag([1.0, 2.0])) + 0.0
    array([[-1.  ,  0.  ],
           [ 0.  , -0.25]])
    """
    slots = tuple(_ZERO if m is None else GeneralSlot(m, _reads(m)) for m in maps)
    made = Primitive(name, impl, slots, outputs=outputs, samples=samples, tie=tie)
    return register(made, (impl, *functions))


def nondifferentiable(
    name: str, impl: Callable[..., Any], *, functions: tuple[Any, ...] = (), tie: str | None = None
) -> Primitive:
    """Define an elementwise operation whose derivative is zero wherever it exists (floor, comparisons).

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> steps = cr.nondifferentiable("docs.steps", lambda x: np.floor(2 * x))
    >>> cr.grad(lambda x: x * steps(x))(1.7)
    3.0
    """
    made = Primitive(name, impl, (), kind="elementwise", tie=tie)
    return register(made, (impl, *functions))


def primitive(name: str, impl: Callable[..., Any]) -> Primitive:
    """Define an operation without a rule: it evaluates, and differentiating it raises.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> opaque = cr.primitive("docs.opaque", lambda x: np.frexp(x)[0])
    >>> opaque(3.0)
    np.float64(0.75)
    """
    return register(Primitive(name, impl, None), (impl,))


# -- what a rule reads --------------------------------------------------------------------------------


def _reads(function: Callable[..., Any]) -> tuple[bool, ...] | None:
    """Which positional parameters the body of `function` mentions; None if it cannot be told."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & inspect.CO_VARARGS:
        return None
    used = set(code.co_cellvars)
    for instruction in dis.get_instructions(code):
        if "FAST" in instruction.opname and instruction.opname != "STORE_FAST":
            value = instruction.argval
            used.update(value if isinstance(value, tuple) else (value,))
    return tuple(name in used for name in code.co_varnames[: code.co_argcount])


def _union(reads: list[tuple[bool, ...] | None]) -> tuple[bool, ...] | None:
    if any(r is None for r in reads):
        return None
    return tuple(any(column) for column in zip(*filter(None, reads), strict=True))


def _other_reads(index: int, count: int) -> tuple[bool, ...]:
    """`apply` needs every other argument, and the argument's own value is never needed."""
    return (False, *(k != index for k in range(count)))


def _joint_reads(transposes: tuple[Callable[..., Any] | None, ...]) -> tuple[bool, ...]:
    """Of a joint map only the static array arguments are kept."""
    return (False, *(t is None for t in transposes))
