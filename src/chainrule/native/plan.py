"""`plan`: how native mode would compute a derivative, before it runs: modes, sweeps, operations, bytes kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from chainrule.core.transformation import mark, mark_of
from chainrule.errors import ArgumentError
from chainrule.frontends.context import Decision
from chainrule.frontends.joins import leaves
from chainrule.frontends.program import Program
from chainrule.frontends.values import Number
from chainrule.ir.estimate import Estimate, Repeated, estimate
from chainrule.ir.nodes import Alloc, Function, Line
from chainrule.native.arguments import size_of
from chainrule.native.jit import Jitted, innermost, jit
from chainrule.native.memory import show_bytes
from chainrule.transforms.contract import contracted
from chainrule.transforms.simplify import simplify

__all__ = ["Kept", "Plan", "plan"]


class Kept(NamedTuple):
    """Values of the primal sweep that the reverse one finds in memory."""

    name: str
    line: int | None
    bytes: int


class Plan(NamedTuple):
    """What `plan` found; its text is a table.

    Attributes
    ----------
    name : str
        What is computed.
    decisions : tuple of Decision
        For every transformation its mode and the number of its sweeps.
    operations, objective : float
        Scalar operations of the derivative and of the function itself.
    kept : tuple of Kept
        What the reverse sweep finds in memory.
    bytes : int
        Of all arrays that the program makes, the kept ones included.
    repeated : tuple of Repeated
        Loops of which not all is kept, see ``jit(memory=…)``.
    unknown : tuple of str
        What does not follow from the sizes of the arguments; it is counted once.
    """

    name: str
    decisions: tuple[Decision, ...]
    operations: float
    objective: float
    kept: tuple[Kept, ...]
    bytes: int
    repeated: tuple[Repeated, ...]
    unknown: tuple[str, ...]

    def __str__(self) -> str:
        lines = [self.name]
        for d in self.decisions:
            sweeps = "sweeps: not known" if d.sweeps is None else f"{d.sweeps} sweep{'s' * (d.sweeps != 1)}"
            lines.append(f"  {d.transformation:<12}{d.mode} mode, {sweeps}")
        ratio = f", {self.operations / self.objective:.1f} times those of the function" if self.objective else ""
        lines.append(f"  operations  {self.operations:,.0f}{ratio}")
        lines.append(f"  memory      {show_bytes(self.bytes)}, of which kept for the reverse {show_bytes(self._kept)}")
        lines += [f"    {k.name:<10}{show_bytes(k.bytes):>10}{f'  line {k.line}' if k.line else ''}" for k in self.kept]
        lines += [f"  repeated    {r}{f' (line {r.line.number})' if r.line else ''}" for r in self.repeated]
        lines += [f"  not known   {u}" for u in self.unknown]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    @property
    def _kept(self) -> int:
        return sum(k.bytes for k in self.kept)


def plan(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Plan:
    """How native mode would compute a derivative at arguments of these sizes; nothing is compiled or run.

    Parameters
    ----------
    f : callable
        A function of a program's language, or a transformation of one: ``plan(grad(f), x)``. For a plain function its
        gradient is planned, or its Jacobian if it does not return one number.
    *args, **kwargs
        Arguments to call it with.

    Returns
    -------
    Plan
        Modes, sweeps, operations, and bytes (estimates from sizes: of a branch the dearer side counts).

    Raises
    ------
    UnsupportedError
        If `f` is outside the language of native mode.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> def f(x):
    ...     p = 1.0
    ...     for i in range(len(x)):
    ...         p = np.sin(p * x[i])
    ...     return p
    >>> print(cr.plan(cr.grad(f), np.ones(1000)))
    grad(f)
      grad        reverse mode, 1 sweep
      operations  8,001, 4.0 times those of the function
      memory      16.0 kB, of which kept for the reverse 8.0 kB
        p             8.0 kB  line 3
    """
    if not callable(f):
        raise ArgumentError(f"plan takes a function, not {type(f).__name__}: write chainrule.plan(f, x)")
    jitted = f if isinstance(f, Jitted) else jit(f)
    inner = Jitted(innermost(jitted.function), jitted.options).read(*args, **kwargs)
    if mark_of(jitted.function) is None:
        jitted = Jitted(_derivative(jitted.function, inner), jitted.options)
    program = jitted.read(*args, **kwargs)
    function = simplify(program.function)
    function = function if jitted.options["parallel"] else contracted(function)
    flat: list[Any] = []
    jitted.key(args, kwargs, flat)
    found = _estimated(function, program, flat)
    kept = [
        Kept(node.out.hint.removesuffix("_kept"), _number(node.line), size)
        for node, size in found.arrays
        if isinstance(node, Alloc) and node.kept
    ]
    return Plan(
        _name(jitted.function),
        program.decisions,
        found.operations,
        _estimated(simplify(inner.function), inner, flat).operations,
        tuple(kept),
        found.bytes,
        tuple(found.repeated),
        tuple(f"{text}{f' (line {line.number})' if line else ''}" for line, text in found.unknown.items()),
    )


def _derivative(f: Callable[..., Any], program: Program) -> Callable[..., Any]:
    """The transformation that is planned for a plain function."""
    numbers = [leaf for leaf in leaves(program.result) if isinstance(leaf, Number)]
    kind = "grad" if len(numbers) == len(leaves(program.result)) == 1 else "jacobian"

    def derived(*args: Any) -> Any:
        raise AssertionError("read, never run")

    return mark(derived, kind, f)


def _estimated(function: Function, program: Program, flat: list[Any]) -> Estimate:
    return estimate(function, [size_of(v) for v in (*flat, *(c.get() for c in program.captures))])


def _number(line: Line | None) -> int | None:
    return line.number if line else None


def _name(f: Any) -> str:
    made = mark_of(f)
    return f"{made.kind}({_name(made.function)})" if made else getattr(f, "__name__", "f")
