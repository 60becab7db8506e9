"""How formulae and numbers are written: Unicode text, plain ASCII, LaTeX.

One renderer walks an expression and asks a `Style` for the pieces. The tables here say how a primitive is
written (an infix sign, bars, the name of a function), never what it means.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from chainrule.view.expression import Call, Expr, Given, Name, Number, Product, Sum

__all__ = ["ASCII", "LATEX", "STYLES", "UNICODE", "Style", "brief", "format_number", "render", "summary", "width"]

# How tightly an expression holds together.
_SUM, _PRODUCT, _POWER, _ATOM = range(4)
_LOWERED = str.maketrans("0123456789-", "₀₁₂₃₄₅₆₇₈₉₋")
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_ACCENTS = {"v": "", "dot": "\u0307", "bar": "\u0304"}
# Primitives whose name says less than their usual notation.
_WORDS = {"amax": "max", "maximum": "max", "minimum": "min", "logistic": "sigmoid", "expit": "sigmoid", "rint": "round"}
_COMPARISONS = {
    "equal": ("=", "==", "="),
    "not_equal": ("≠", "!=", r"\ne"),
    "less": ("<", "<", "<"),
    "less_equal": ("≤", "<=", r"\le"),
    "greater": (">", ">", ">"),
    "greater_equal": ("≥", ">=", r"\ge"),
}


class Style:
    """The pieces of a notation; this one is Unicode text."""

    dot, times, minus, matmul = "·", " ⊙ ", "−", " @ "
    column = 0  # of the table of comparisons
    fences: ClassVar[dict[str, tuple[str, str]]] = {"absolute": ("|", "|"), "fabs": ("|", "|"), "floor": ("⌊", "⌋")}

    def name(self, name: Name) -> str:
        if name.kind == "hole":
            return "□"
        return f"v{_ACCENTS[name.kind]}{str(name.index).translate(_LOWERED)}"

    def identifier(self, text: str, accent: str = "v") -> str:
        """A name from the user's program."""
        return unicodedata.normalize("NFC", text[:1] + _ACCENTS[accent]) + text[1:]

    def derivative(self, above: Name, below: Name) -> str:
        return f"∂{self.name(above)}/∂{self.name(below)}"

    def number(self, value: Any) -> str:
        if isinstance(value, Fraction):
            if value in _VULGAR:
                return _VULGAR[value]
            text = format_number(float(value)) if _is_decimal(value) else str(value)
            return text.replace("-", self.minus)
        return format_number(value).replace("-", self.minus)

    def power(self, base: str, exponent: str, plain: str) -> str:
        """`exponent` rendered, and `plain` its ASCII digits if it is an integer."""
        return base + plain.translate(_RAISED) if plain else f"{base}^{exponent}"

    def fraction(self, above: str, below: str, simple: bool) -> str:
        return f"{above}/{below}" if simple else f"{above}/({below})"

    def transpose(self, inner: str) -> str:
        return f"{inner}ᵀ"

    def function(self, name: str) -> str:
        return _WORDS.get(name, name)

    def text(self, word: str) -> str:
        return word

    def left(self, fence: str) -> str:
        return fence

    right = left


_VULGAR = {Fraction(1, 2): "½", Fraction(1, 3): "⅓", Fraction(2, 3): "⅔", Fraction(1, 4): "¼", Fraction(3, 4): "¾"}
_VULGAR.update({-k: f"−{v}" for k, v in _VULGAR.items()})


def _is_decimal(value: Fraction) -> bool:
    """Whether a fraction reads better as 0.9 than as 9/10."""
    return value.denominator in (5, 8, 10)


class Ascii(Style):
    """What every terminal shows: v1, dv1 for tangents, bv1 for adjoints."""

    dot, times, minus, matmul = "*", " * ", "-", " @ "
    column = 1
    fences: ClassVar[dict[str, tuple[str, str]]] = {"absolute": ("abs(", ")"), "fabs": ("abs(", ")")}

    def name(self, name: Name) -> str:
        if name.kind == "hole":
            return "_"
        return {"v": "v", "dot": "dv", "bar": "bv"}[name.kind] + str(name.index).replace("-", "_")

    def identifier(self, text: str, accent: str = "v") -> str:
        return {"v": "", "dot": "d", "bar": "b"}[accent] + text

    def derivative(self, above: Name, below: Name) -> str:
        return f"d{self.name(above)}/d{self.name(below)}"

    def number(self, value: Any) -> str:
        return format_number(float(value) if isinstance(value, Fraction) else value)

    def power(self, base: str, exponent: str, plain: str) -> str:
        return f"{base}**{plain if plain and not plain.startswith('-') else exponent}"

    def transpose(self, inner: str) -> str:
        return f"{inner}.T"


class Latex(Style):
    """LaTeX mathematics, without the dollar signs."""

    dot, times, minus, matmul = r" \, ", r" \odot ", "-", r" \, "
    column = 2
    fences: ClassVar[dict[str, tuple[str, str]]] = {
        "absolute": (r"\left|", r"\right|"),
        "fabs": (r"\left|", r"\right|"),
        "floor": (r"\left\lfloor ", r"\right\rfloor"),
    }

    def name(self, name: Name) -> str:
        if name.kind == "hole":
            return r"\square"
        letter = {"v": "v", "dot": r"\dot v", "bar": r"\bar v"}[name.kind]
        return f"{letter}_{{{name.index}}}"

    def identifier(self, text: str, accent: str = "v") -> str:
        stem, digits = re.fullmatch(r"(.*?)(\d*)", text, re.S).groups()  # type: ignore[union-attr]
        if not re.fullmatch("[A-Za-z]", stem):
            stem, digits = rf"\mathtt{{{_escaped(text)}}}", ""
        if accent != "v":
            stem = (
                rf"\{accent}{{{stem}}}"
                if len(stem) == 1
                else rf"\{'overline' if accent == 'bar' else accent}{{{stem}}}"
            )
        return f"{stem}_{{{digits}}}" if digits else stem

    def derivative(self, above: Name, below: Name) -> str:
        return rf"\frac{{\partial {self.name(above)}}}{{\partial {self.name(below)}}}"

    def number(self, value: Any) -> str:
        if isinstance(value, Fraction) and value.denominator != 1 and not _is_decimal(value):
            sign = "-" if value < 0 else ""
            return rf"{sign}\tfrac{{{abs(value.numerator)}}}{{{value.denominator}}}"
        whole = isinstance(value, Fraction) and value.denominator == 1
        text = str(value) if whole else format_number(float(value) if isinstance(value, Fraction) else value)
        return re.sub(r"e([+-])0*(\d+)", lambda m: rf" \cdot 10^{{{m[1].strip('+')}{m[2]}}}", text)

    def power(self, base: str, exponent: str, plain: str) -> str:
        return f"{base}^{{{plain or exponent.removeprefix('(').removesuffix(')')}}}"

    def fraction(self, above: str, below: str, simple: bool) -> str:
        return rf"\frac{{{above}}}{{{below}}}"

    def transpose(self, inner: str) -> str:
        return rf"{inner}^{{\mathsf T}}"

    def function(self, name: str) -> str:
        word = _WORDS.get(name, name)
        return f"\\{word}" if word in _LATEX_FUNCTIONS else rf"\operatorname{{{_escaped(word)}}}"

    def text(self, word: str) -> str:
        return rf"\mathtt{{{_escaped(word)}}}"

    def left(self, fence: str) -> str:
        return rf"\left{fence}"

    def right(self, fence: str) -> str:
        return rf"\right{fence}"


_LATEX_FUNCTIONS = frozenset(
    ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "exp", "log", "max", "min", "det")
)


def _escaped(text: str) -> str:
    return re.sub(r"[_%&#${}]", lambda m: f"\\{m[0]}", text)


UNICODE, ASCII, LATEX = Style(), Ascii(), Latex()
STYLES = {"unicode": UNICODE, "ascii": ASCII, "latex": LATEX}


# -- expressions --------------------------------------------------------------------------------------


def render(expr: Expr, style: Style = UNICODE) -> str:
    """`expr` in a notation."""
    return _render(expr, style)[0]


def _render(expr: Expr, style: Style) -> tuple[str, int]:
    """The text, and how tightly it holds together."""
    if isinstance(expr, Name):
        return style.name(expr), _ATOM
    if isinstance(expr, Number):
        return _number(expr.value, style)
    if isinstance(expr, Given):
        return style.text(expr.text), _ATOM
    if isinstance(expr, Sum):
        return _sum(expr.terms, style), _SUM
    if isinstance(expr, Product):
        return _product(expr, style)
    return _call(expr, style)


def _number(value: Any, style: Style) -> tuple[str, int]:
    text = style.number(value)
    negative = isinstance(value, (float, Fraction)) and value < 0
    return text, _SUM if negative or isinstance(value, complex) else _PRODUCT if "/" in text else _ATOM


def _held(expr: Expr, style: Style, least: int) -> str:
    """`expr` in parentheses unless it holds together as tightly as `least`."""
    text, strength = _render(expr, style)
    return f"{style.left('(')}{text}{style.right(')')}" if strength < least else text


def _sum(terms: tuple[Expr, ...], style: Style) -> str:
    text = ""
    for term in terms:
        part, strength = _render(term, style)
        negative = part.startswith(style.minus)
        if not text:
            text = part
        elif negative:
            text += f" {style.minus} {part[len(style.minus) :]}"
        else:
            text += f" + {part}" if strength > _SUM or isinstance(term, Number) else f" + ({part})"
    return text


def _product(expr: Product, style: Style) -> tuple[str, int]:
    coefficient = expr.coefficient
    above = [(b, e) for b, e in expr.factors if e > 0 or e.denominator != 1]
    below = [(b, -e) for b, e in expr.factors if e < 0 and e.denominator == 1]
    split = (
        isinstance(coefficient, Fraction) and below and coefficient.denominator != 1 and not _is_decimal(coefficient)
    )
    over = coefficient.denominator if split else 1
    coefficient = coefficient.numerator if split else coefficient
    sign, size = ("", coefficient)
    if not isinstance(coefficient, complex) and coefficient < 0:
        sign, size = style.minus, -coefficient
    numerator = _factors(above, style, None if size == 1 and above else size)
    if not below:
        return sign + numerator, _PRODUCT if above[1:] or size != 1 or sign else _POWER
    denominator = _factors(below, style, None if over == 1 else Fraction(over))
    if style.column != 2 and above and len(above) == 1 and isinstance(above[0][0], Sum) and above[0][1] == 1:
        numerator = f"({numerator})" if not numerator.startswith("(") else numerator
    simple = len(below) == 1 and over == 1
    return sign + style.fraction(numerator, denominator, simple), _PRODUCT


def _factors(factors: list[tuple[Expr, Fraction]], style: Style, scale: Any) -> str:
    alone = len(factors) == 1 and scale is None
    text = "" if scale is None else _held(Number(scale), style, _PRODUCT)
    before = None
    for base, exponent in factors:
        part = _power(base, exponent, style, alone)
        if not text:
            text = part
        else:
            sign = style.times if before is not None and before.ndim and base.ndim else style.dot
            text += sign + part
        if base.ndim or before is None:
            before = base
    return text


def _power(base: Expr, exponent: Fraction, style: Style, alone: bool) -> str:
    if exponent == 1:
        return _held(base, style, _SUM if alone and style.column == 2 else _PRODUCT + (not alone))
    plain = str(exponent.numerator) if exponent.denominator == 1 else ""
    return style.power(_held(base, style, _ATOM), f"({style.number(exponent)})", plain)


_INFIX = {"add": _SUM, "subtract": _SUM, "multiply": _PRODUCT, "divide": _PRODUCT, "matmul": _PRODUCT}
_POWERS = ("power", "float_power", "pow")


def _call(call: Call, style: Style) -> tuple[str, int]:
    name, args = call.name, call.args
    if name in _INFIX and len(args) == 2:
        return _infix(name, args, style), _INFIX[name]
    if name in _POWERS and len(args) == 2:
        return _raised(args[0], args[1], style), _POWER
    if name == "square":
        return style.power(_held(args[0], style, _ATOM), "2", "2"), _POWER
    if name == "negative":
        return style.minus + _held(args[0], style, _PRODUCT), _PRODUCT
    if name in style.fences:
        left, right = style.fences[name]
        return f"{left}{render(args[0], style)}{right}", _ATOM
    if name in _COMPARISONS:
        sign = _COMPARISONS[name][style.column]
        inner = f" {sign} ".join(_held(a, style, _PRODUCT) for a in args)
        return f"{style.left('[')}{inner}{style.right(']')}", _ATOM
    special = _SPECIAL.get(name)
    if special is not None:
        return special(call, style)
    return _function(call, style)


def _raised(base: Expr, exponent: Expr, style: Style) -> str:
    plain = ""
    if isinstance(exponent, Number) and isinstance(exponent.value, Fraction) and exponent.value.denominator == 1:
        plain = str(exponent.value)
    text, strength = _render(exponent, style)
    return style.power(_held(base, style, _ATOM), text if strength == _ATOM else f"({text})", plain)


def _infix(name: str, args: tuple[Expr, ...], style: Style) -> str:
    a, b = args
    both = bool(a.ndim and b.ndim)
    if name == "divide":
        if style.column == 2:
            return style.fraction(render(a, style), render(b, style), True)
        return f"{_held(a, style, _PRODUCT)}{' / ' if both else '/'}{_held(b, style, _POWER)}"
    if name == "add":
        return f"{_held(a, style, _SUM)} + {_held(b, style, _PRODUCT)}"
    if name == "subtract":
        return f"{_held(a, style, _SUM)} {style.minus} {_held(b, style, _PRODUCT)}"
    sign = style.matmul if name == "matmul" else style.times if both else style.dot
    if style.column == 2 and isinstance(b, Number):
        sign = r" \cdot "
    least = _POWER if name == "matmul" else _PRODUCT
    return f"{_held(a, style, least)}{sign}{_held(b, style, _POWER)}"


def _function(call: Call, style: Style) -> tuple[str, int]:
    parts = [render(a, style) for a in call.args]
    parts += [style.text(text if key == "shape" else f"{key}={text}") for key, text in call.params]
    return f"{style.function(call.name)}{style.left('(')}{', '.join(parts)}{style.right(')')}", _ATOM


def _getitem(call: Call, style: Style) -> tuple[str, int]:
    return f"{_held(call.args[0], style, _ATOM)}[{style.text(dict(call.params)['index'])}]", _ATOM


def _set_item(call: Call, style: Style) -> tuple[str, int]:
    arrow = r" \leftarrow " if style.column == 2 else " <- " if style.column == 1 else " ← "
    value, array = (render(a, style) for a in call.args)
    return f"{array}[{style.text(dict(call.params)['index'])}{arrow}{value}]", _ATOM


def _transposed(call: Call, style: Style) -> tuple[str, int]:
    if call.params and dict(call.params).get("axes") != "(1, 0)":
        return _function(call, style)
    return style.transpose(_held(call.args[0], style, _ATOM)), _ATOM


def _root(call: Call, style: Style) -> tuple[str, int]:
    inner = render(call.args[0], style)
    if style.column == 2:
        return rf"\sqrt{{{inner}}}", _ATOM
    return (f"sqrt({inner})" if style.column == 1 else f"√({inner})" if len(inner) > 3 else f"√{inner}"), _ATOM


_SPECIAL = {"getitem": _getitem, "set_item": _set_item, "transpose": _transposed, "sqrt": _root}


# -- numbers ------------------------------------------------------------------------------------------


def format_number(value: Any, digits: int = 6) -> str:
    """A number in `digits` significant digits, without an exponent or zeros that say nothing."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (complex, np.complexfloating)):
        imaginary = format_number(value.imag, digits)
        return f"{format_number(value.real, digits)}{'' if imaginary.startswith('-') else '+'}{imaginary}i"
    text = f"{float(value) + 0.0:.{digits}g}"
    return re.sub(r"e([+-])0(\d)$", r"e\1\2", text).replace("e+", "e")


def summary(value: Any, digits: int = 6) -> str:
    """A number, the elements of a short vector, or shape, range and mean of an array."""
    text, array = brief(value, digits), np.asarray(value)
    if "…" not in text:
        return text
    with np.errstate(all="ignore"):
        return f"{text}, mean {format_number(array.mean(), 3)}"


def brief(value: Any, digits: int = 6) -> str:
    """A number, the elements of a short vector, or shape and range of an array."""
    array = np.asarray(value)
    if not array.ndim:
        return format_number(array[()], digits)
    if array.ndim == 1 and 0 < array.size <= 3:
        return "[" + ", ".join(format_number(x, min(digits, 4)) for x in array) + "]"
    if not array.size or array.dtype.kind not in "fiu":
        return f"{array.shape} {array.dtype}"
    low, high = (format_number(x, 3) for x in (array.min(), array.max()))
    return f"{array.shape} all {low}" if array.min() == array.max() else f"{array.shape} {low} … {high}"


def width(text: str) -> int:
    """Columns of a terminal that `text` takes: accents are written over the letter before them."""
    return len(text) - sum(text.count(accent) for accent in _ACCENTS.values() if accent)
