"""A derivative written out rule by rule, as it is done by hand: sum, product, quotient, power, chain rule.

A derivation is a list of steps from the outside in. Each step names the rule, and rewrites the derivative of
one expression in terms of derivatives of its parts, which later steps rewrite; a part that has been done is not
done again. The end is the derivative itself. Constants leave sums and products before the rules look at them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from chainrule.errors import UnsupportedError
from chainrule.extras import load

__all__ = ["Derivation", "Step", "derive", "latex", "text"]


class Step(NamedTuple):
    """One rule applied: the derivative of `expression` is `result`, in which parts are still to be differentiated."""

    rule: str
    expression: Any
    result: Any


class Derivation(NamedTuple):
    """The derivative of `expression` by `variable`, step by step.

    ``str`` gives it as text; `latex` as an ``align*`` environment, which notebooks show.
    """

    expression: Any
    variable: Any
    steps: tuple[Step, ...]
    result: Any

    def __str__(self) -> str:
        rows = [(text(_pending(s.expression, self.variable)), text(s.result), s.rule) for s in self.steps]
        wide = max(len(f"{left} = {right}") for left, right, _ in rows)
        lines = [f"{f'{left} = {right}'.ljust(wide)}   {rule}" for left, right, rule in rows]
        return "\n".join([*lines, f"{rows[0][0]} = {text(self.result)}"])

    def latex(self) -> str:
        """The derivation in LaTeX, one line per step with the rule's name beside it."""
        lines = [
            rf"{latex(_pending(s.expression, self.variable))} &= {latex(s.result)} && \text{{{s.rule}}} \\"
            for s in self.steps
        ]
        last = f"{latex(_pending(self.expression, self.variable))} &= {latex(self.result)}"
        return "\n".join([r"\begin{align*}", *lines, last, r"\end{align*}"])

    def _repr_latex_(self) -> str:
        return self.latex()


def derive(expression: Any, variable: Any) -> Derivation:
    """Differentiate a SymPy expression by a symbol, one rule at a time."""
    waiting, seen, steps = [expression], {expression}, []
    while waiting:
        current = waiting.pop()
        rule, result = _apply(current, variable)
        steps.append(Step(rule, current, result))
        parts = [part for part in dict.fromkeys(_parts(result)) if part not in seen]
        seen.update(parts)
        waiting.extend(reversed(parts))
    return Derivation(expression, variable, tuple(steps), expression.diff(variable))


def _pending(expression: Any, variable: Any) -> Any:
    """A derivative that is still to be taken."""
    return load("sympy").Derivative(expression, variable, evaluate=False)


def _parts(result: Any) -> Iterator[Any]:
    """What is still to be differentiated in the result of a step, in the order in which its terms are printed."""
    sympy = load("sympy")
    for term in result.as_ordered_terms():
        for node in sympy.preorder_traversal(term):
            if isinstance(node, sympy.Derivative):
                yield node.expr


def _apply(e: Any, x: Any) -> tuple[str, Any]:
    """The outermost rule that fits, and what it gives."""
    if e == x:
        return "identity", x.diff(x)
    if not e.has(x):
        return "constant", x - x
    if e.is_Add:
        return _sum(e, x)
    if e.is_Mul:
        return _product(e, x)
    if e.is_Pow:
        return _power(e, x)
    return _chain(e, x)


def _sum(e: Any, x: Any) -> tuple[str, Any]:
    constant, rest = e.as_independent(x, as_Add=True)
    total = e.func(*[_signed(t, x) for t in e.func.make_args(rest)])
    return ("sum rule, constant" if constant != 0 else "sum rule"), total


def _signed(term: Any, x: Any) -> Any:
    """The pending derivative of a term, a minus in front of it kept outside."""
    return -_pending(-term, x) if term.could_extract_minus_sign() else _pending(term, x)


def _product(e: Any, x: Any) -> tuple[str, Any]:
    constant, rest = e.as_independent(x, as_Add=False)
    if constant != 1:
        return "constant factor", constant * _pending(rest, x)
    above, below = e.as_numer_denom()
    if below.has(x):
        if not above.has(x):
            return "reciprocal rule", -above * _pending(below, x) / below**2
        return "quotient rule", (_pending(above, x) * below - above * _pending(below, x)) / below**2
    factors = e.args
    terms = [e.func(*factors[:k], _pending(f, x), *factors[k + 1 :]) for k, f in enumerate(factors) if f.has(x)]
    return "product rule", sum(terms[1:], terms[0])


def _power(e: Any, x: Any) -> tuple[str, Any]:
    base, n = e.args
    if not n.has(x):
        if n == -1:
            return "reciprocal rule", -_pending(base, x) / base**2
        slope = n * base ** (n - 1)
        return ("power rule", slope) if base == x else ("power rule, chain rule", slope * _pending(base, x))
    logarithm = load("sympy").log(base)
    if not base.has(x):
        return "exponential rule, chain rule", e * logarithm * _pending(n, x)
    return "power with a variable exponent", e * _pending(n * logarithm, x)


def _chain(e: Any, x: Any) -> tuple[str, Any]:
    name = e.func.__name__
    if not e.is_Function and name not in ("Max", "Min"):
        raise UnsupportedError(f"no rule of differentiation for {name} in {e}")
    active = [k for k, u in enumerate(e.args) if u.has(x)]
    terms = [_partial(e, k) * (1 if e.args[k] == x else _pending(e.args[k], x)) for k in active]
    chained = any(e.args[k] != x for k in active)
    return f"derivative of {name}{', chain rule' if chained else ''}", sum(terms[1:], terms[0])


def _partial(e: Any, k: int) -> Any:
    """The partial derivative of a function in its k-th argument."""
    place = load("sympy").Dummy(real=True)
    args = list(e.args)
    args[k] = place
    return e.func(*args).diff(place).subs(place, e.args[k])


def text(expression: Any) -> str:
    """An expression as text, derivatives written as d/dx[...]."""
    return _printers()[0].doprint(expression)  # type: ignore[no-any-return]


def latex(expression: Any) -> str:
    """An expression in LaTeX, derivatives with square brackets around what is differentiated."""
    return _printers()[1].doprint(expression)  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=1)
def _printers() -> tuple[Any, Any]:
    """SymPy's printers of text and LaTeX, with a spelling of their own for what is still to be differentiated."""

    def in_text(self: Any, e: Any) -> str:
        return f"d/d{e.variables[0]}[{self._print(e.expr)}]"

    def in_latex(self: Any, e: Any) -> str:
        return rf"\frac{{\partial}}{{\partial {self._print(e.variables[0])}}}\left[{self._print(e.expr)}\right]"

    made = [
        type("Printer", (base,), {"_print_Derivative": method})()
        for base, method in (
            (load("sympy.printing.str").StrPrinter, in_text),
            (load("sympy.printing.latex").LatexPrinter, in_latex),
        )
    ]
    return made[0], made[1]
