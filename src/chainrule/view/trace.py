"""`trace`: one evaluation of a function as the table that textbooks print.

The inputs are the rows v₁₋ₙ … v₀, every operation is a row v₁, v₂, … with its formula, its value, the line of
the program and the program's name for it. Forward mode adds the tangent of each row, reverse mode the list
of everything that is added to an adjoint, in the order of the sweep. All formulae are what the rules of the
registry say when they are run on names (`formulae`), all numbers what they give on values (`sweeps`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.arrays.buffers import unwrap
from chainrule.calls import Call, check_callable
from chainrule.core.dispatch import dtype_of, shape_of
from chainrule.core.live import dense
from chainrule.errors import ArgumentError
from chainrule.leaves import build, checked, result_leaves
from chainrule.view import naming, pictures, table
from chainrule.view.expression import Expr, Name
from chainrule.view.formulae import Formulae, Partial, partial_value
from chainrule.view.graph import Graph, graph_of
from chainrule.view.naming import Place
from chainrule.view.notation import summary
from chainrule.view.page import page
from chainrule.view.record import Decision, Operation, Record, Recorded, record
from chainrule.view.sweeps import Contribution, run_forward, run_reverse
from chainrule.view.symbols import expression_of

__all__ = ["Accumulation", "Row", "Trace", "trace"]

_MODES = ("reverse", "forward")
_CONSTANTS = (bool, np.bool_, str, bytes, type(None))


class Row:
    """One line of the primal trace.

    Attributes
    ----------
    kind : {"input", "operation", "decision", "output"}
        A decision is a value the program looked at (a comparison); an output is what it returned.
    label : Name or str
        ``v_i``, or what the output is called; empty for a decision.
    name : str
        What the program calls the value, if it has a name.
    value : number or array
    place : Place or None
        The line of the user's program.
    tangent : number, array or None
        In forward mode.
    """

    def __init__(
        self,
        kind: str,
        label: Any,
        value: Any,
        name: str,
        step: Operation | Decision | None,
        formula: Any,
        tangent: Any,
    ) -> None:
        self.kind = kind
        self.label = label
        self.value = value
        self.name = name
        self.step = step
        self.tangent = tangent
        self._formula = formula

    @cached_property
    def formula(self) -> Expr | str:
        """What gives the value."""
        return self._formula[0]()  # type: ignore[no-any-return]

    @cached_property
    def tangent_formula(self) -> Expr | str | None:
        """What gives the tangent, in forward mode."""
        return self._formula[1]()  # type: ignore[no-any-return]

    @property
    def places(self) -> tuple[Place, ...]:
        """The lines of the program under way, innermost first."""
        return self.step.places if self.step is not None else ()

    @property
    def place(self) -> Place | None:
        """The line of the program."""
        return self.places[0] if self.places else None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.label} = {summary(self.value)}>"


class Accumulation:
    """One addition to an adjoint in the reverse sweep: ``target += source * partial``.

    Attributes
    ----------
    target, source : Name
        The adjoints of the operand and of the operation's output.
    value, total : number or array
        What is added, and the adjoint of the operand after it.
    operation, position : Operation and int
        The operation, and which of its operands it is.
    """

    def __init__(self, contribution: Contribution, formulae: Formulae) -> None:
        self._contribution = contribution
        self._formulae = formulae
        self.operation = contribution.operation
        self.position = contribution.operand
        self.value = contribution.value
        self.total = contribution.total
        self.target = formulae.name(contribution.target, "bar")
        self.source = formulae.name(contribution.operation.outs[0], "bar")

    @cached_property
    def _partial(self) -> Partial:
        found = self._formulae.partials(self.operation)
        return next(p for p in found if p.operand == self.position)

    @property
    def formula(self) -> Expr:
        """What is added."""
        return self._partial.pulled

    @property
    def partial(self) -> Expr:
        """The local partial derivative; of a move, a sum or a product the linear map, □ standing for its argument."""
        return self._partial.shown

    @cached_property
    def partial_value(self) -> Any:
        """The number, or the array of numbers, that the partial derivative is; None for a map that is neither."""
        step = self.operation
        return partial_value(self._contribution.linear, step.values[self.position], step.y)

    def __repr__(self) -> str:
        return f"<v̄{self.target.index} += {summary(self.value)}>"


class Trace:
    """The evaluation trace of a function at a point; made by `trace`.

    Attributes
    ----------
    rows : tuple of Row
        The primal trace; in forward mode with tangents.
    accumulations : tuple of Accumulation
        In reverse mode, every addition to an adjoint in the order of the sweep.
    value : the result of the function
    derivative : in reverse mode a tuple with the adjoint of each differentiated argument, in forward mode the
        tangent of the result
    """

    def __init__(self, call: Call, names: list[str], mode: str, seed: Any, record: Record) -> None:
        self.mode = mode
        self._call = call
        self.function = getattr(call.function, "__name__", type(call.function).__name__)
        self.names = names
        self.record = record
        self.formulae = Formulae(record)
        self.value = build(record.structure, [_plain(leaf) for leaf in record.leaves])
        self.result_names = naming.leaf_names(_result_name(names), self.value)
        if mode == "forward":
            self.seeds = _tangent_seeds(call, seed)
            self.tangents: list[Any] = run_forward(record, self.seeds)
            self.accumulations: tuple[Accumulation, ...] = ()
            changes = [self._slot_value(leaf, self.tangents) for leaf in record.leaves]
            self.derivative = build(record.structure, changes)
        else:
            self.seeds = _cotangent_seeds(record, seed)
            self.adjoints, found = run_reverse(record, self.seeds)
            self.accumulations = tuple(Accumulation(c, self.formulae) for c in found)
            self.derivative = tuple(call.point.restore(self.adjoints[: len(record.inputs)]))

    def _slot_value(self, leaf: Any, table: list[Any]) -> Any:
        """What `table` has for a leaf of the result; zero for a constant."""
        found = table[leaf.slot] if isinstance(leaf, Recorded) else None
        value = _plain(leaf)
        return found if found is not None else np.zeros(shape_of(value))[()] if dtype_of(value).kind in "fc" else None

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The primal trace, in forward mode with tangents."""
        record, tangents = self.record, getattr(self, "tangents", None)
        rows = [self._input(slot, tangents) for slot in range(len(record.inputs))]
        for step in record.steps:
            if isinstance(step, Decision):
                formula = (lambda step=step: self.formulae.primal(step)), (lambda: None)
                rows.append(Row("decision", "", step.y, "", step, formula, None))
            else:
                rows += [self._operation(step, k, tangents) for k in range(len(step.outs))]
        return (*rows, *[self._output(k, tangents) for k in range(len(record.leaves))])

    def _input(self, slot: int, tangents: Any) -> Row:
        tangent = None if tangents is None else _filled(tangents[slot], self.record.values[slot])
        formula = (lambda: self.names[slot]), (lambda: expression_of(tangent))
        label = self.formulae.name(slot)
        return Row("input", label, self.record.values[slot], self.names[slot], None, formula, tangent)

    def _operation(self, step: Operation, k: int, tangents: Any) -> Row:
        out = step.outs[k]
        formula = (
            lambda: self.formulae.primal(step, k),
            lambda: self.formulae.tangent(step, [None if s is None else tangents[s] for s in step.operands], k),
        )
        tangent = None if tangents is None else _filled(tangents[out], self.record.values[out])
        return Row(
            "operation",
            self.formulae.name(out),
            self.record.values[out],
            self.record.names.get(out, ""),
            step,
            formula,
            tangent,
        )

    def _output(self, k: int, tangents: Any) -> Row:
        leaf = self.record.leaves[k]
        traced = isinstance(leaf, Recorded)
        formula = (
            lambda: self.formulae.operand(leaf.slot if traced else None, leaf),
            lambda: self.formulae.name(leaf.slot, "dot") if traced else "0",
        )
        tangent = None if tangents is None else self._slot_value(leaf, tangents)
        return Row("output", self.result_names[k], _plain(leaf), "", None, formula, tangent)

    def in_mode(self, mode: str) -> Trace:
        """The same evaluation in the other mode, with its usual seed."""
        return self if mode == self.mode else Trace(self._call, self.names, mode, None, self.record)

    def partials(self, row: Row) -> list[tuple[Name, Expr, Any]]:
        """For each operand of a row's operation that carries a derivative its name, the partial and its value."""
        step = row.step
        if not isinstance(step, Operation):
            return []
        return self.formulae.edges(step)

    # -- text --

    def text(self, style: str = "unicode", max_rows: int = 200) -> str:
        """The tables as plain text.

        Parameters
        ----------
        style : {"unicode", "ascii"}
        max_rows : int
            Of longer tables the middle is left out.
        """
        return table.text(self, style, max_rows)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        operations = sum(isinstance(s, Operation) for s in self.record.steps)
        return f"<Trace of {self.function}: {self.mode} mode, {operations} operations, value {_shown(self.value)}>"

    def markdown(self, style: str = "unicode", max_rows: int = 200) -> str:
        """The tables in Markdown."""
        return table.markdown(self, style, max_rows)

    def latex(self, max_rows: int = 200) -> str:
        """The tables as LaTeX arrays, to be set in display mathematics."""
        return table.latex(self, max_rows)

    def html(self, max_rows: int = 200) -> str:
        """The tables as HTML."""
        return table.html(self, max_rows)

    def to_dataframe(self, part: str = "primal") -> Any:
        """A pandas DataFrame of the primal trace, or with ``part="adjoint"`` of the reverse sweep."""
        return table.to_dataframe(self, part)

    def _repr_html_(self) -> str:
        return f"<div>{self.svg()}{self.html(max_rows=60)}</div>"

    # -- pictures --

    def graph(self, max_nodes: int = 60) -> Graph:
        """The computational graph; one of more than `max_nodes` operations is folded by line, loop and function."""
        return graph_of(self, max_nodes)

    def mermaid(self, max_nodes: int = 60) -> str:
        """The graph as Mermaid text, which GitHub draws."""
        return pictures.mermaid(self.graph(max_nodes))

    def dot(self, max_nodes: int = 60) -> str:
        """The graph in Graphviz's DOT language."""
        return pictures.dot(self.graph(max_nodes))

    def svg(self, max_nodes: int = 60) -> str:
        """The graph as an SVG picture."""
        return pictures.svg(self.graph(max_nodes))

    def plot(self, ax: Any = None, max_nodes: int = 60) -> Any:
        """Draw the graph into Matplotlib axes, new ones if None; returns the axes."""
        return pictures.plot(self.graph(max_nodes), ax)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """One self-contained page that steps through the sweeps; written to `path` if given, and returned."""
        text = page(self)
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return text


def trace(
    f: Callable[..., Any],
    *args: Any,
    mode: str = "reverse",
    seed: Any = None,
    argnums: int | tuple[int, ...] | None = None,
) -> Trace:
    """The evaluation trace of `f` at a point: every operation with its value and its derivative.

    Parameters
    ----------
    f : callable
    *args : numbers, arrays or containers
        The arguments of `f`.
    mode : {"reverse", "forward"}
        Whether adjoints or tangents are shown.
    seed : optional
        In forward mode a tuple of tangents, one per differentiated argument, as for `jvp`; by default the
        derivative is taken along the first input. In reverse mode a cotangent of the result, by default ones.
    argnums : int or tuple of int, optional
        The differentiated arguments; by default all that can be.

    Returns
    -------
    Trace
        ``str(trace)`` is the table; it also writes Markdown, LaTeX, HTML, data frames, Mermaid, DOT, SVG,
        Matplotlib pictures and a page to explore.

    Raises
    ------
    ArgumentError
        If an argument cannot be differentiated, or the seed does not fit.

    References
    ----------
    Griewank and Walther, *Evaluating Derivatives*, 2nd ed., section 2.2.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> def f(x1, x2):
    ...     return x1 * x2 + np.exp(x1 * x2) - np.sin(x2)
    >>> t = cr.trace(f, 1.5, 0.5)
    >>> [round(d, 4) for d in t.derivative]
    [1.5585, 3.7979]
    >>> print(cr.trace(np.sqrt, 4.0, mode="forward"))
    sqrt(x) at x = 4
    <BLANKLINE>
    primal and tangent trace
          formula  value      tangent       value
      v₀  x        4      v̇₀  1             1
      v₁  √v₀      2      v̇₁  ½·v₀^(−½)·v̇₀  0.25
      y   v₁       2      ẏ   v̇₁            0.25
    """
    check_callable(f, "trace")
    if mode not in _MODES:
        raise ArgumentError(f"mode={mode!r}: a trace is of mode 'reverse' or 'forward'")
    if argnums is None:
        argnums = tuple(n for n, a in enumerate(args) if not (isinstance(a, _CONSTANTS) or callable(a)))
    if not isinstance(argnums, tuple):
        argnums = (argnums,)
    call = Call(f, argnums, args, {})
    every = naming.argument_names(f, len(args))
    given = [naming.leaf_names(every[n], args[n]) for n in argnums]
    active = [leaf.active for leaf in call.point.leaves]
    names = [name for name, a in zip([n for part in given for n in part], active, strict=True) if a]
    made = record(call.run, call.point.values, names, f)
    return Trace(call, names, mode, seed, made)


# -- seeds --------------------------------------------------------------------------------------------


def _tangent_seeds(call: Call, seed: Any) -> list[Any]:
    values = call.point.values
    if seed is None:
        return [(_ones(v) if k == 0 else None) for k, v in enumerate(values)]
    if not isinstance(seed, (tuple, list)):
        raise ArgumentError("seed: forward mode takes a tuple of tangents, one per differentiated argument")
    return call.point.tangents(seed, call.describe)


def _cotangent_seeds(record: Record, seed: Any) -> list[Any]:
    active = [isinstance(leaf, Recorded) for leaf in record.leaves]
    if seed is None:
        return [_ones(_plain(leaf)) if a else None for leaf, a in zip(record.leaves, active, strict=True)]
    given, structure = result_leaves(seed)
    if len(given) != len(active) or structure != record.structure:
        raise ArgumentError("seed: the cotangent has not the structure of the result")
    return [
        checked(ct, _plain(leaf), "seed") if a else None
        for ct, leaf, a in zip(given, record.leaves, active, strict=True)
    ]


def _ones(value: Any) -> Any:
    return np.ones(shape_of(value), dtype_of(value))[()]


def _plain(leaf: Any) -> Any:
    return leaf.value if isinstance(leaf, Recorded) else unwrap(leaf)


def _filled(tangent: Any, value: Any) -> Any:
    """A tangent as it is shown: zeros for none."""
    return np.zeros(shape_of(value))[()] if tangent is None else dense(tangent)


def _result_name(taken: list[str]) -> str:
    roots = {name.split("[")[0].split(".")[0] for name in taken}
    return next(name for name in ("y", "f", "result") if name not in roots)


def _shown(value: Any) -> str:
    return summary(value) if trees.is_leaf_type(value) else type(value).__name__
