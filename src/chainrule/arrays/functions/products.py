"""Products of traced values: dot, matmul, einsum and their relatives, as compositions of primitives.

Sums of products of two operands are one primitive, `rules.linalg.einsum`, to which everything beyond plain
matrix products comes down: operands are first brought to diagonals, rid of broadcast axes and summed over
what only they have. Three and more operands are contracted in the order that ``np.einsum_path`` finds.
"""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from chainrule.arrays.arguments import asarray, plain
from chainrule.arrays.buffers import write_out
from chainrule.arrays.protocols import implements
from chainrule.core.dispatch import shape_of
from chainrule.errors import UnsupportedError
from chainrule.rules import elementwise as ew
from chainrule.rules import linalg
from chainrule.rules.reduce import sum_
from chainrule.rules.shape import diagonal, reshape, transpose

__all__ = ["contract"]

_NO = np._NoValue
Labels = Sequence[Any]


def _into(out: Any, result: Any) -> Any:
    """`result`, written to ``out=`` if there is one (a tuple in calls of ufuncs)."""
    if isinstance(out, tuple):
        (out,) = out
    return result if out is None else write_out(out, result)


def _conj(x: Any) -> Any:
    return ew.conjugate(x) if x.dtype.kind == "c" else x


def _flat(x: Any) -> Any:
    return x if x.ndim == 1 else reshape(x, shape=(x.size,))


# -- sums of products ---------------------------------------------------------------------------------


def contract(operands: Sequence[Any], labels: Sequence[Labels], out: Labels, optimize: Any = False) -> Any:
    """Sum of products over named axes: those of `out` are kept, all others summed.

    Parameters
    ----------
    operands : sequence of arrays
    labels : sequence of sequences
        One hashable name per axis of each operand; axes of one name run together, axes of length one
        broadcast.
    out : sequence
        The names of the axes of the result.
    optimize : as for ``np.einsum``
        The order in which more than two operands are contracted.
    """
    if len(operands) == 2:
        ready = _ready(tuple(map(tuple, labels)), tuple([x.shape for x in operands]), tuple(out))
        if ready is not None:
            return linalg.einsum(*operands, subscripts=ready)
    sizes = _sizes(operands, labels)
    terms = [_reduced(x, tuple(t), sizes) for x, t in zip(operands, labels, strict=True)]
    path = _path(terms, out, optimize) if len(terms) > 2 else [tuple(range(len(terms)))]
    for step in path:
        picked = [terms.pop(k) for k in sorted(step, reverse=True)][::-1]
        terms.append(functools.reduce(_joined(terms, picked, out), picked))
    (x, have), out = terms[0], tuple(out)
    x, have = _without(x, have, [i for i in have if i not in out])
    return x if have == out else transpose(x, axes=tuple(have.index(i) for i in out))


@functools.lru_cache(maxsize=1024)
def _ready(labels: tuple[Labels, ...], shapes: tuple[tuple[int, ...], ...], out: Labels) -> str | None:
    """The subscripts of a sum of products that is in the primitive's form already."""
    left, right = labels
    sizes = dict(zip(left + right, shapes[0] + shapes[1], strict=True))  # type: ignore[operator]
    for term, other, shape in ((left, right, shapes[0]), (right, left, shapes[1])):
        if len(set(term)) < len(term) or any(i not in other and i not in out for i in term):
            return None
        if any(sizes[i] != n for n, i in zip(shape, term, strict=True)):
            return None
    return _subscripts(left, right, out)


def _sizes(operands: Sequence[Any], labels: Sequence[Labels]) -> dict[Any, int]:
    sizes: dict[Any, int] = {}
    for x, term in zip(operands, labels, strict=True):
        for n, i in zip(x.shape, term, strict=True):
            have = sizes.get(i, 1)
            if n != have and n != 1 and have != 1:
                raise ValueError(f"einsum: operands could not be broadcast together: axes of lengths {have} and {n}")
            sizes[i] = n if have == 1 else have
    return sizes


Term = tuple[Any, tuple[Any, ...]]


def _reduced(x: Any, term: tuple[Any, ...], sizes: dict[Any, int]) -> Term:
    """An operand with each name once and no axis that broadcasts."""
    while len(set(term)) < len(term):
        first = next(k for k, i in enumerate(term) if i in term[k + 1 :])
        second = term.index(term[first], first + 1)
        if x.shape[first] != x.shape[second]:
            raise ValueError(
                f"einsum: dimensions in single operand for collapsing index don't match "
                f"({x.shape[first]} != {x.shape[second]})"
            )
        x = diagonal(x, offset=0, axis1=first, axis2=second)
        term = (*[i for k, i in enumerate(term) if k not in (first, second)], term[first])
    kept = tuple(i for n, i in zip(x.shape, term, strict=True) if n == sizes[i])
    if kept != term:
        x = reshape(x, shape=tuple(sizes[i] for i in kept))
    return x, kept


def _without(x: Any, term: tuple[Any, ...], summed: Labels) -> Term:
    if not summed:
        return x, term
    axes = tuple(term.index(i) for i in summed)
    return sum_(x, axis=axes, keepdims=False), tuple(i for i in term if i not in summed)


def _path(terms: list[Term], out: Labels, optimize: Any) -> list[tuple[int, ...]]:
    names = dict.fromkeys(i for _, term in terms for i in term)
    letters = dict(zip(names, linalg._LETTERS, strict=False))
    subscripts = ",".join("".join(letters[i] for i in term) for _, term in terms)
    shapes = [np.broadcast_to(0.0, x.shape) for x, _ in terms]
    how = "greedy" if isinstance(optimize, bool) else optimize
    subscripts += "->" + "".join(letters[i] for i in out)
    return np.einsum_path(subscripts, *shapes, optimize=how)[0][1:]


def _joined(others: list[Term], picked: list[Term], out: Labels) -> Callable[[Term, Term], Term]:
    """How the terms of one step are multiplied two at a time, from the left."""
    remaining = picked[1:]

    def join(left: Term, right: Term) -> Term:
        remaining.pop(0)
        needed = {i for _, term in (*others, *remaining) for i in term} | set(out)
        (a, left_term), (b, right_term) = left, right
        a, left_term = _without(a, left_term, [i for i in left_term if i not in needed and i not in right_term])
        b, right_term = _without(b, right_term, [i for i in right_term if i not in needed and i not in left_term])
        kept = tuple(i for i in dict.fromkeys(left_term + right_term) if i in needed)
        if len(kept) == len(out) and not others and not remaining:
            kept = tuple(out)
        return linalg.einsum(a, b, subscripts=_subscripts(left_term, right_term, kept)), kept

    return join


@functools.lru_cache(maxsize=1024)
def _subscripts(left: tuple[Any, ...], right: tuple[Any, ...], out: tuple[Any, ...]) -> str:
    letters = dict(zip(dict.fromkeys(left + right), linalg._LETTERS, strict=False))
    a, b, c = ("".join(letters[i] for i in term) for term in (left, right, out))
    return f"{a},{b}->{c}"


@functools.lru_cache(maxsize=1024)
def _parsed(subscripts: str, ranks: tuple[int, ...]) -> tuple[tuple[Labels, ...], Labels]:
    """The names of all axes in the terms and in the output; axes of an ellipsis are numbers from the last."""
    terms, arrow, out = subscripts.replace(" ", "").partition("->")
    inputs = terms.split(",")
    if len(inputs) != len(ranks):
        raise ValueError(f"einsum: {len(inputs)} terms in {subscripts!r} for {len(ranks)} operands")
    labels = tuple(_term(t, n) for t, n in zip(inputs, ranks, strict=True))
    width = max([sum(isinstance(i, int) for i in term) for term in labels])
    shared = tuple(range(width, 0, -1))
    if arrow:
        result = _letters(out.replace("...", "", 1))
        if len(set(result)) < len(result):
            raise ValueError(f"einsum: the output of {subscripts!r} names an axis twice")
        if any(i not in terms for i in result):
            raise ValueError(f"einsum: the output of {subscripts!r} names an axis that no operand has")
        if "..." in out:
            before = out.index("...")
            return labels, (*result[:before], *shared, *result[before:])
        if width:
            raise ValueError("einsum: the output must contain the ellipsis that the operands broadcast over")
        return labels, result
    letters = [i for term in labels for i in term if isinstance(i, str)]
    return labels, (*shared, *sorted(i for i in set(letters) if letters.count(i) == 1))


def _letters(text: str) -> tuple[Any, ...]:
    if not all(c.isalpha() and c.isascii() for c in text):
        raise ValueError(f"einsum: invalid subscripts {text!r}: only letters are allowed")
    return tuple(text)


def _term(text: str, rank: int) -> tuple[Any, ...]:
    head, dots, tail = text.partition("...")
    names = _letters(head + tail)
    if len(names) > rank or (len(names) < rank and not dots):
        raise ValueError(f"einsum: the subscripts {text!r} do not fit an operand of {rank} dimensions")
    return (*names[: len(head)], *range(rank - len(names), 0, -1), *names[len(head) :])


_SUBLIST = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _sublist(entries: Any) -> str:
    return "".join("..." if i is Ellipsis else _SUBLIST[operator.index(i)] for i in entries)


def _spelled(arguments: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """Subscripts and operands, also of the form that alternates operands and lists of axes."""
    if isinstance(arguments[0], str):
        return arguments[0], [asarray(x) for x in arguments[1:]]
    count = len(arguments) // 2
    subscripts = ",".join(_sublist(entries) for entries in arguments[1 : 2 * count : 2])
    if len(arguments) % 2:
        subscripts += "->" + _sublist(arguments[-1])
    return subscripts, [asarray(x) for x in arguments[: 2 * count : 2]]


@implements(np.einsum)
def einsum(
    *operands: Any,
    out: Any = None,
    optimize: Any = False,
    dtype: Any = None,
    order: str = "K",
    casting: str = "safe",
) -> Any:
    if order not in ("K", "C", "A"):
        raise UnsupportedError(f"numpy.einsum: the option order={order!r} is not supported for traced values")
    subscripts, arrays = _spelled(operands)
    if dtype is not None:
        for x in arrays:
            if not np.can_cast(x.dtype, dtype, casting):  # type: ignore[arg-type]
                raise TypeError(f"einsum: cannot cast from {x.dtype} to {np.dtype(dtype)} by the rule {casting!r}")
        arrays = [x.astype(dtype) for x in arrays]
    labels, result = _parsed(subscripts, tuple(x.ndim for x in arrays))
    return _into(out, contract(arrays, labels, result, optimize))


@implements(np.tensordot, np.linalg.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = asarray(a), asarray(b)
    over_a, over_b = _paired_axes(plain(axes, "numpy.tensordot", "axes"), a.ndim)
    over_a = [normalize_axis_index(operator.index(k), a.ndim) for k in over_a]
    over_b = [normalize_axis_index(operator.index(k), b.ndim) for k in over_b]
    lengths = [a.shape[k] for k in over_a], [b.shape[k] for k in over_b]
    if lengths[0] != lengths[1] or len(set(over_a)) < len(over_a) or len(set(over_b)) < len(over_b):
        raise ValueError("shape-mismatch for sum")
    left: list[Any] = [("a", k) for k in range(a.ndim)]
    right: list[Any] = [("b", k) for k in range(b.ndim)]
    for j, k in zip(over_a, over_b, strict=True):
        right[k] = left[j]
    kept = [i for i in left if i not in right] + [i for i in right if i not in left]
    return contract([a, b], [left, right], kept)


def _paired_axes(axes: Any, rank: int) -> tuple[Any, Any]:
    try:
        first, second = axes
    except TypeError:
        n = operator.index(axes)
        return range(rank - n, rank), range(n)
    return tuple(np.ravel(first).tolist()), tuple(np.ravel(second).tolist())


# -- products of vectors and matrices -----------------------------------------------------------------


def _gufunc_options(name: str, options: dict[str, Any]) -> Any:
    """The dtype among the options of a generalised ufunc; others that say something raise."""
    dtype = options.pop("dtype", None)
    neutral = {"casting": "same_kind", "order": "K", "subok": True, "keepdims": False}
    for key, value in options.items():
        if value is not None and value is not _NO and not (key in neutral and value == neutral[key]):
            raise UnsupportedError(f"numpy.{name}: the option {key}= is not supported for traced values")
    return dtype


def _as_dtype(dtype: Any, *arrays: Any) -> tuple[Any, ...]:
    return arrays if dtype is None else tuple(x.astype(dtype) for x in arrays)


@implements(np.matmul, np.linalg.matmul)
def matmul(x1: Any, x2: Any, /, out: Any = None, **options: Any) -> Any:
    a, b = asarray(x1), asarray(x2)
    if options:
        a, b = _as_dtype(_gufunc_options("matmul", options), a, b)
    result = linalg.matmul(a, b)
    return result if out is None else _into(out, result)


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    a, b = asarray(a), asarray(b)
    if not a.ndim or not b.ndim:
        result = ew.multiply(a, b)
    elif b.ndim <= 2 or a.ndim == 1:
        result = linalg.matmul(a, b)
    else:
        result = tensordot(a, b, axes=(-1, -2))
    return _into(out, result)


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    a, b = _flat(asarray(a)), _flat(asarray(b))
    return linalg.matmul(_conj(a), b)


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    a, b = asarray(a), asarray(b)
    if not a.ndim or not b.ndim:
        return ew.multiply(a, b)
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"shapes {a.shape} and {b.shape} not aligned: {a.shape[-1]} != {b.shape[-1]}")
    if b.ndim <= 2:
        return linalg.matmul(a, linalg.mT(b) if b.ndim == 2 else b)
    return tensordot(a, b, axes=(-1, -1))


@implements(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    a, b = _flat(asarray(a)), _flat(asarray(b))
    return _into(out, ew.multiply(reshape(a, shape=(a.size, 1)), b))


@implements(np.linalg.outer)
def linalg_outer(x1: Any, x2: Any, /) -> Any:
    a, b = asarray(x1), asarray(x2)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"Input arrays must be one-dimensional, but they are x1.ndim={a.ndim} and x2.ndim={b.ndim}.")
    return outer(a, b)


def _core_last(x: Any, axis: int) -> Any:
    """`x` with one axis moved to the end."""
    k = normalize_axis_index(operator.index(axis), x.ndim)
    if k == x.ndim - 1:
        return x
    return transpose(x, axes=(*[j for j in range(x.ndim) if j != k], k))


def _check_core(name: str, *lengths: tuple[int, int]) -> None:
    for m, n in lengths:
        if m != n:
            raise ValueError(f"{name}: the operands do not match in their core dimensions: {m} and {n}")


@implements(np.vecdot)
def vecdot(x1: Any, x2: Any, /, out: Any = None, *, axis: Any = -1, keepdims: bool = False, **options: Any) -> Any:
    a, b = asarray(x1), asarray(x2)
    a, b = _as_dtype(_gufunc_options("vecdot", options), a, b)
    axis = -1 if axis is _NO else axis
    a, b = _conj(_core_last(a, axis)), _core_last(b, axis)
    _check_core("vecdot", (a.shape[-1], b.shape[-1]))
    result = _stacked_product(a, b, 1, 1)
    if keepdims:
        k = normalize_axis_index(operator.index(axis), result.ndim + 1)
        result = reshape(result, shape=(*shape_of(result)[:k], 1, *shape_of(result)[k:]))
    return _into(out, result)


@implements(np.linalg.vecdot)
def linalg_vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return vecdot(x1, x2, axis=axis)


def _stacked_product(a: Any, b: Any, left: int, right: int) -> Any:
    """Product over the last axis of each: `left` and `right` core axes, all axes before broadcast."""
    stack_a, stack_b = range(a.ndim - left, 0, -1), range(b.ndim - right, 0, -1)
    core_a = ("row", "sum")[2 - left :]
    core_b = ("column", "sum")[2 - right :]
    kept = range(max(len(stack_a), len(stack_b)), 0, -1)
    labels = ((*stack_a, *core_a), (*stack_b, *core_b))
    return contract([a, b], labels, (*kept, *core_a[:-1], *core_b[:-1]))


@implements(np.matvec)
def matvec(x1: Any, x2: Any, /, out: Any = None, **options: Any) -> Any:
    a, b = _as_dtype(_gufunc_options("matvec", options), asarray(x1), asarray(x2))
    if a.ndim < 2 or b.ndim < 1:
        raise ValueError("matvec: takes a stack of matrices and a stack of vectors")
    _check_core("matvec", (a.shape[-1], b.shape[-1]))
    result = linalg.matmul(a, b) if b.ndim == 1 else _stacked_product(a, b, 2, 1)
    return _into(out, result)


@implements(np.vecmat)
def vecmat(x1: Any, x2: Any, /, out: Any = None, **options: Any) -> Any:
    a, b = _as_dtype(_gufunc_options("vecmat", options), asarray(x1), asarray(x2))
    if a.ndim < 1 or b.ndim < 2:
        raise ValueError("vecmat: takes a stack of vectors and a stack of matrices")
    _check_core("vecmat", (a.shape[-1], b.shape[-2]))
    a = _conj(a)
    result = linalg.matmul(a, b) if a.ndim == 1 or b.ndim == 2 else _stacked_product(a, linalg.mT(b), 1, 2)
    return _into(out, result)


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    operands = [asarray(x) for x in arrays]
    if len(operands) < 2:
        raise ValueError("Expecting at least two arrays.")
    for x in operands[1:-1]:
        if x.ndim != 2:
            raise np.linalg.LinAlgError(f"{x.ndim}-dimensional array given. Array must be two-dimensional")
    if operands[0].ndim > 2 or operands[-1].ndim > 2:
        raise np.linalg.LinAlgError("multi_dot: the first and the last array have one or two dimensions")
    sizes = [1 if operands[0].ndim == 1 else operands[0].shape[0], operands[0].shape[-1]]
    sizes += [1 if x.ndim == 1 else x.shape[1] for x in operands[1:]]
    return _into(out, _chain(operands, _splits(tuple(sizes)), 0, len(operands) - 1))


def _splits(sizes: tuple[int, ...]) -> dict[tuple[int, int], int]:
    """Where to split each run of a chain of matrices so that multiplications are fewest."""
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    splits: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            cost[i, j], splits[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )
    return splits


def _chain(operands: list[Any], splits: dict[tuple[int, int], int], i: int, j: int) -> Any:
    if i == j:
        return operands[i]
    k = splits[i, j]
    return linalg.matmul(_chain(operands, splits, i, k), _chain(operands, splits, k + 1, j))


# -- Kronecker and cross products ---------------------------------------------------------------------


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    a, b = asarray(a), asarray(b)
    if not a.ndim or not b.ndim:
        return ew.multiply(a, b)
    rank = max(a.ndim, b.ndim)
    shape_a = (1,) * (rank - a.ndim) + a.shape
    shape_b = (1,) * (rank - b.ndim) + b.shape
    wide_a = reshape(a, shape=tuple(k for n in shape_a for k in (n, 1)))
    wide_b = reshape(b, shape=tuple(k for n in shape_b for k in (1, n)))
    product = ew.multiply(wide_a, wide_b)
    return reshape(product, shape=tuple(m * n for m, n in zip(shape_a, shape_b, strict=True)))


@implements(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = asarray(a), asarray(b)
    if a.ndim < 1 or b.ndim < 1:
        raise ValueError("At least one array has zero dimension")
    a, b = _core_last(a, axisa), _core_last(b, axisb)
    lengths = a.shape[-1], b.shape[-1]
    if not {2, 3}.issuperset(lengths):
        raise ValueError("incompatible dimensions for cross product\n(dimension must be 2 or 3)")
    if lengths != (3, 3):
        warnings.warn(
            "Arrays of 2-dimensional vectors are deprecated. Use arrays of 3-dimensional vectors instead. "
            "(deprecated in NumPy 2.0)",
            DeprecationWarning,
            stacklevel=4,
        )
        if lengths == (2, 2):
            return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
        a, b = _in_space(a), _in_space(b)
    result = _cross(a, b)
    last = result.ndim - 1
    to = normalize_axis_index(operator.index(axisc), result.ndim, "axisc")
    order = list(range(last))
    order.insert(to, last)
    return result if to == last else transpose(result, axes=tuple(order))


def _in_space(x: Any) -> Any:
    """A vector of the plane with a third component 0."""
    if x.shape[-1] == 3:
        return x
    return np.concatenate([x, np.zeros((*x.shape[:-1], 1), x.dtype)], -1)


_NEXT, _LAST = np.array([1, 2, 0]), np.array([2, 0, 1])


def _cross(a: Any, b: Any) -> Any:
    return a[..., _NEXT] * b[..., _LAST] - a[..., _LAST] * b[..., _NEXT]


@implements(np.linalg.cross)
def linalg_cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    a, b = asarray(x1), asarray(x2)
    if a.shape[axis] != 3 or b.shape[axis] != 3:
        raise ValueError(
            "Both input arrays must be (arrays of) 3-dimensional vectors, "
            f"but they are {a.shape[axis]} and {b.shape[axis]} dimensional instead."
        )
    return cross(a, b, axis=axis)
