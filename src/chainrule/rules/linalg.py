"""Derivative rules of products of arrays and of linear algebra.

Matrices are the last two axes, everything before is a stack of them, and every rule works on stacks.
What is stated is the derivative of what NumPy computes, at every order:

* `cholesky` and `eigh` read one triangle of their argument (and the real part of its diagonal), so the
  derivative with respect to the other triangle is zero; nothing is symmetrised.
* Eigenvalues and singular values that coincide share their derivatives equally (a kink unless the program
  treats them alike), a singular value that is zero has derivative 0, as ``abs`` has; their vectors have
  derivatives that are not finite. Values closer than rounding errors coincide.
* The phases of complex vectors are LAPACK's: `eigh` makes their first entry real (the last one for
  ``UPLO="U"``), `svd` the first entry of those of the shorter side, `eig` the largest one. If a library does
  otherwise the derivatives of the vectors are NaN. Entries near zero are not used for this.
* `det` is differentiated through its cofactors, which are exact at singular matrices too.

References: Giles, Collected matrix derivative results for forward and reverse mode algorithmic
differentiation (2008); Minka, Old and new matrix algebra useful for statistics (2000); Golub and Pereyra,
The differentiation of pseudo-inverses and nonlinear least squares problems (1973); Townsend,
Differentiating the singular value decomposition (2016); Walter, Lehmann, On algorithmic differentiation of
the QR decomposition (2010).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from chainrule.core.batch import Rows, align, batching
from chainrule.core.define import elementwise, general, multilinear
from chainrule.core.dispatch import Tracer, bind, dtype_of, innermost, is_symbol, shape_of
from chainrule.core.linear import GeneralSlot, LinearSlot, fit
from chainrule.core.primitive import Primitive, register
from chainrule.errors import UnsupportedError, user_line
from chainrule.rules import elementwise as ew
from chainrule.rules.elementwise import Samples
from chainrule.rules.reduce import sum_
from chainrule.rules.shape import concatenate, diagonal, reshape, transpose, tri

__all__ = [
    "cholesky",
    "det",
    "eig",
    "eigh",
    "einsum",
    "inv",
    "mT",
    "matmul",
    "matrix_rank",
    "pinv",
    "qr",
    "read_triangle",
    "root",
    "slogdet",
    "solve",
    "svd",
]


# -- pieces -------------------------------------------------------------------------------------------


def mT(x: Any) -> Any:
    """The matrix transpose: the last two axes exchanged."""
    if x.__class__ is np.ndarray:
        return x.swapaxes(-1, -2)
    n = len(shape_of(x))
    return transpose(x, axes=(*range(n - 2), n - 1, n - 2))


def _conj(x: Any) -> Any:
    return ew.conjugate(x) if dtype_of(x).kind == "c" else x


def _mH(x: Any) -> Any:
    """The conjugate transpose."""
    return mT(_conj(x))


def _real(x: Any) -> Any:
    return ew.real_part(x) if dtype_of(x).kind == "c" else x


def _main(x: Any) -> Any:
    """The diagonals of a stack of matrices."""
    n = len(shape_of(x))
    return diagonal(x, offset=0, axis1=n - 2, axis2=n - 1)


def _trace(x: Any) -> Any:
    return sum_(_main(x), axis=(len(shape_of(x)) - 2,), keepdims=False)


def _row(x: Any) -> Any:
    """A stack of vectors as rows, to scale the columns of a matrix."""
    shape = shape_of(x)
    return reshape(x, shape=(*shape[:-1], 1, shape[-1]))


def _column(x: Any) -> Any:
    return reshape(x, shape=(*shape_of(x), 1))


def _frobenius(x: Any, y: Any) -> Any:
    """The sum of the products of the elements of two matrices."""
    n = len(shape_of(y))
    return sum_(x * y, axis=(n - 2, n - 1), keepdims=False)


def _matrix(rng: np.random.Generator, *shape: int, dtype: str = "d") -> Any:
    """A random matrix with singular values of order one, apart from each other."""
    x = rng.normal(size=shape) + (1j * rng.normal(size=shape) if dtype == "D" else 0)
    return x + 2 * np.eye(shape[-2], shape[-1]) * np.arange(1, shape[-1] + 1)


def _stacks(*shapes: tuple[int, ...], dtypes: str = "dD", **params: Any) -> Any:
    def samples(rng: np.random.Generator) -> Samples:
        for dtype in dtypes:
            for shape in shapes:
                yield (_matrix(rng, *shape, dtype=dtype),), params

    return samples


def _pairs(*shapes: tuple[tuple[int, ...], tuple[int, ...]], **params: Any) -> Any:
    def samples(rng: np.random.Generator) -> Samples:
        for a, b in shapes:
            yield (rng.normal(size=a), rng.normal(size=b)), params
        a, b = shapes[0]
        yield (rng.normal(size=a) + 1j * rng.normal(size=a), rng.normal(size=b)), params

    return samples


# -- products -----------------------------------------------------------------------------------------


def _are_matrices(ct: Any, other: Any) -> bool:
    """Whether both are plain real matrices, for which the short way is taken."""
    return (
        ct.__class__ is np.ndarray
        and other.__class__ is np.ndarray
        and ct.ndim == 2
        and other.ndim == 2
        and other.dtype.kind == "f"
    )


def _matmul_left(ct: Any, a: Any, b: Any) -> Any:
    """ct b^T, for vectors, matrices and stacks of them."""
    if _are_matrices(ct, b) and len(a.shape) == 2:
        return np.matmul(ct, b.T)
    b = _conj(b)
    if b.ndim == 1:
        return ct * b if a.ndim == 1 else _column(ct) * b
    if a.ndim > 1:
        return fit(matmul(ct, mT(b)), a)
    if b.ndim == 2:
        return matmul(b, ct)
    product = matmul(b, _column(ct))
    return fit(reshape(product, shape=shape_of(product)[:-1]), a)


def _matmul_right(ct: Any, a: Any, b: Any) -> Any:
    """a^T ct."""
    if _are_matrices(ct, a) and len(b.shape) == 2:
        return np.matmul(a.T, ct)
    a = _conj(a)
    n = a.shape[-1]
    if a.ndim == 1:
        return ct * a if b.ndim == 1 else fit(_column(a) * _row(ct), b)
    if b.ndim == 1:
        return matmul(ct, a) if a.ndim == 2 else matmul(reshape(ct, shape=(ct.size,)), reshape(a, shape=(ct.size, n)))
    if b.ndim == 2 and a.ndim > 2:  # one product of large matrices, not a sum over a stack
        k = shape_of(ct)[-1]
        rows = a.size // n if n else 0
        return matmul(mT(reshape(a, shape=(rows, n))), reshape(ct, shape=(rows, k)))
    return fit(matmul(mT(a), ct), b)


matmul = multilinear(
    "matmul",
    lambda a, b: np.matmul(a, b),
    _matmul_left,
    _matmul_right,
    samples=_pairs(
        ((2, 3), (3, 4)),
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 1, 2, 3), (4, 3, 2)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 2)),
        ((2, 0), (0, 3)),
    ),
)


@batching(matmul)
def _matmul_rows(
    primitive: Any, values: tuple[Any, ...], batched: tuple[bool, ...], size: int, params: dict[str, Any]
) -> Any:
    a, b = values
    left, right = (len(shape_of(v)) - flag for v, flag in zip(values, batched, strict=True))
    if not batched[1] and (right == 1 or (right == 2 and left == 1)):
        return primitive(a, b)
    if not batched[1] and right == 2:  # one product of large matrices
        lead = shape_of(a)[:-1]
        flat = reshape(a, shape=(int(np.prod(lead)), shape_of(a)[-1]))
        return reshape(primitive(flat, b), shape=(*lead, shape_of(b)[-1]))
    if not batched[0] and right == 1 and left <= 2:
        return primitive(b, mT(a) if left == 2 else a)
    if not batched[0] and left == 1:
        return primitive(a, b)
    if left == 1:
        shape = shape_of(a)
        a = reshape(a, shape=(*shape[:-1], 1, shape[-1]))
    y = align(primitive, (a, _column(b) if right == 1 else b), batched, size, params)
    shape = shape_of(y)
    kept = shape[:-2] + (() if left == 1 else shape[-2:-1]) + (() if right == 1 else shape[-1:])
    return y if kept == shape else reshape(y, shape=kept)


# Of two operands, each index of an operand is in the other one or in the output, once: `arrays.functions`
# brings every sum of products to that form.
Plan = tuple[str, int, int, int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]


@functools.lru_cache(maxsize=1024)
def _plan(subscripts: str) -> Plan:
    """How a sum of products is a product of matrices: counts of axes and the orders they are brought to."""
    operands, out = subscripts.split("->")
    a, b = operands.split(",")
    stack = [i for i in a if i in b and i in out]
    summed = [i for i in a if i in b and i not in out]
    left, right = [i for i in a if i not in b], [i for i in b if i not in a]
    natural = stack + left + right
    return (
        out,
        len(stack),
        len(summed),
        len(left),
        tuple(a.index(i) for i in stack + left + summed),
        tuple(b.index(i) for i in stack + summed + right),
        tuple(natural.index(i) for i in out),
    )


# Below so many multiplications the loop of NumPy's einsum beats the detour over matmul.
_FEW = 2000


def _einsum(a: Any, b: Any, *, subscripts: str) -> Any:
    out, stack, summed, left, order_a, order_b, order = _plan(subscripts)
    right = len(order_b) - stack - summed
    pointwise = not summed or (stack and not (left and right))
    if pointwise or a.size * b.size < _FEW:
        return np.einsum(subscripts, a, b)
    a, b = a.transpose(order_a), b.transpose(order_b)
    lead, rows = a.shape[:stack], a.shape[stack : stack + left]
    inner, columns = b.shape[stack : stack + summed], b.shape[stack + summed :]
    k = int(np.prod(inner))
    m, n = int(np.prod(rows)), int(np.prod(columns))
    y = np.matmul(a.reshape(*lead, m, k), b.reshape(*lead, k, n)).reshape(lead + rows + columns)
    return y.transpose(order) if out else y[()]


def _einsum_left(ct: Any, a: Any, b: Any, *, subscripts: str) -> Any:
    operands, out = subscripts.split("->")
    left, right = operands.split(",")
    return einsum(ct, _conj(b), subscripts=f"{out},{right}->{left}")


def _einsum_right(ct: Any, a: Any, b: Any, *, subscripts: str) -> Any:
    operands, out = subscripts.split("->")
    left, right = operands.split(",")
    return einsum(_conj(a), ct, subscripts=f"{left},{out}->{right}")


def _einsum_samples(rng: np.random.Generator) -> Samples:
    for a, b, subscripts in (
        ((2, 3), (3, 4), "ab,bc->ca"),
        ((2, 3), (2, 3), "ab,ab->"),
        ((2, 3), (2, 3), "ab,ab->a"),
        ((5, 2, 3), (3, 5), "abc,ca->ab"),
        ((20, 6, 5), (5, 20, 7), "abc,cad->dab"),
        ((2,), (3,), "a,b->ba"),
        ((0, 3), (3, 2), "ab,bc->ac"),
    ):
        yield (rng.normal(size=a), rng.normal(size=b)), {"subscripts": subscripts}
        yield (rng.normal(size=a) + 1j * rng.normal(size=a), rng.normal(size=b)), {"subscripts": subscripts}


einsum = multilinear("einsum", _einsum, _einsum_left, _einsum_right, samples=_einsum_samples)


@batching(einsum)
def _einsum_rows(
    primitive: Any, values: tuple[Any, ...], batched: tuple[bool, ...], size: int, params: dict[str, Any]
) -> Any:
    operands, out = params["subscripts"].split("->")
    terms = operands.split(",")
    letter = next(c for c in _LETTERS if c not in operands)
    a, b = (letter + t if flag else t for t, flag in zip(terms, batched, strict=True))
    return primitive(*values, subscripts=f"{a},{b}->{letter}{out}")


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


# -- inverse and linear equations ---------------------------------------------------------------------

inv = general(
    "inv",
    lambda x: np.linalg.inv(x),
    lambda y, x: lambda dx: -matmul(matmul(y, dx), y),
    samples=_stacks((3, 3), (1, 1), (2, 3, 3)),
)


def _solve_matrix(y: Any, a: Any, b: Any) -> Any:
    return lambda da: -solve(a, matmul(da, y))


def _solve_right(ct: Any, a: Any, b: Any) -> Any:
    return fit(solve(_mH(a), ct), b)


def _solve_samples(rng: np.random.Generator) -> Samples:
    for dtype in "dD":
        for a, b in (((3, 3), (3, 2)), ((1, 1), (1, 1)), ((2, 3, 3), (3, 2)), ((3, 3), (2, 3, 1))):
            yield (_matrix(rng, *a, dtype=dtype), rng.normal(size=b)), {}


# The right-hand sides are matrices; `arrays.functions` brings vectors to that form.
solve = register(
    Primitive(
        "solve",
        lambda a, b: np.linalg.solve(a, b),
        (
            GeneralSlot(_solve_matrix, (True, True, False)),
            LinearSlot(_solve_right, (False, True, False), dense=True),
        ),
        samples=_solve_samples,
    )
)


@batching(solve)
def _solve_rows(
    primitive: Any, values: tuple[Any, ...], batched: tuple[bool, ...], size: int, params: dict[str, Any]
) -> Any:
    a, b = values
    if batched[0] or len(shape_of(a)) != 2 or len(shape_of(b)) != 3:
        return align(primitive, values, batched, size, params)
    # One matrix for all rows: they are its right-hand sides.
    n, k = shape_of(b)[1:]
    sides = reshape(transpose(b, axes=(1, 0, 2)), shape=(n, size * k))
    return transpose(reshape(primitive(a, sides), shape=(n, size, k)), axes=(1, 0, 2))


# -- determinants -------------------------------------------------------------------------------------

_frame = register(Primitive("svd.constant", lambda x: tuple(np.linalg.svd(x)), (), outputs=3))


def _threshold(dtype: Any) -> float:
    """The condition number up to which an inverse is as good as the cofactors."""
    return float(np.finfo(dtype).eps ** (-1 / 3))


def _regular_inverse(x: Any) -> Any:
    """The inverses of plain matrices, None if one is near singular; what is not finite does not matter."""
    try:
        inverse = np.linalg.inv(x)
    except np.linalg.LinAlgError:
        return None
    if x.size:
        with np.errstate(all="ignore"):
            condition = abs(x).sum(-1).max(-1) * abs(inverse).sum(-1).max(-1)
        if np.any(condition > _threshold(x.dtype)):
            return None
    return inverse


def _cofactors(y: Any, x: Any) -> Any:
    """The derivatives of the determinant y with respect to the elements of x."""
    if is_symbol(x):  # a program raises at singular matrices
        inverse = inv(x)
    else:
        inverse = _regular_inverse(innermost(x))
        if inverse is None:
            return _singular_cofactors(x)
        if isinstance(x, Tracer):
            inverse = inv(x)
    return reshape(y, shape=(*shape_of(y), 1, 1)) * mT(inverse)


def _singular_cofactors(x: Any) -> Any:
    """Cofactors of matrices that may be singular.

    In the frame of its singular vectors, held constant, the matrix has a regular block and a small rest;
    the determinant is that of the block times that of the Schur complement, which is a polynomial.
    """
    u, s, vh = _frame(x)
    b = matmul(matmul(_mH(u), x), _mH(vh))
    scale = det(u) * det(vh)
    n = shape_of(x)[-1]
    values = innermost(s)
    small = int(np.sum(values * _threshold(values.dtype) < values[..., :1], -1).max(initial=1))
    small = n if not np.all(values[..., 0]) else small
    p = n - small
    k, d = inv(b[..., :p, :p]), det(b[..., :p, :p])
    right, below = b[..., :p, p:], b[..., p:, :p]
    rest, q = _polynomial_det(b[..., p:, p:] - matmul(matmul(below, k), right))
    t, w = matmul(mT(k), mT(below)), matmul(mT(right), mT(k))
    rest = reshape(rest, shape=(*shape_of(rest), 1, 1))
    top = concatenate(rest * mT(k) + matmul(matmul(t, q), w), -matmul(t, q), axis=b.ndim - 1)
    bottom = concatenate(-matmul(q, w), q, axis=b.ndim - 1)
    inner = concatenate(top, bottom, axis=b.ndim - 2)
    factor = scale * d
    factor = reshape(factor, shape=(*shape_of(factor), 1, 1))
    return factor * matmul(matmul(_conj(u), inner), _conj(vh))


def _polynomial_det(s: Any) -> tuple[Any, Any]:
    """Determinant and cofactors without division (Faddeev and LeVerrier), for small matrices."""
    r = shape_of(s)[-1]
    eye = np.eye(r, dtype=dtype_of(s))
    m: Any = np.broadcast_to(eye, shape_of(s))
    c: Any = None
    for k in range(1, r + 1):
        if k > 1:
            m = matmul(s, m) + reshape(c, shape=(*shape_of(c), 1, 1)) * eye
        c = _trace(matmul(s, m)) / -k
    sign = -1 if r % 2 else 1
    return sign * c, -sign * mT(m)


det = general(
    "det",
    lambda x: np.linalg.det(x),
    lambda y, x: lambda dx: _frobenius(_cofactors(y, x), dx),
    samples=lambda rng: iter(
        [
            *_stacks((3, 3), (1, 1), (2, 3, 3))(rng),
            ((np.array([[1.0, 2.0], [2.0, 4.0]]),), {}),
            ((np.zeros((3, 3)),), {}),
        ]
    ),
)


def _log_cofactors(x: Any) -> Any:
    """Cofactors over determinant: the transposed inverse, and signed infinities at singular matrices."""
    try:
        return mT(inv(x))
    except np.linalg.LinAlgError:
        y = det(x)
        return _singular_cofactors(x) / reshape(y, shape=(*shape_of(y), 1, 1))


def _slogdet_map(y: Any, x: Any) -> Any:
    sign = y[0]

    def push(dx: Any) -> Any:
        change = _frobenius(_log_cofactors(x), dx)
        if dtype_of(sign).kind != "c":
            return np.zeros(shape_of(sign), dtype_of(sign)), change
        return 1j * sign * ew.imag_part(change), ew.real_part(change)

    return push


slogdet = general(
    "slogdet",
    lambda x: tuple(np.linalg.slogdet(x)),
    _slogdet_map,
    outputs=2,
    samples=_stacks((3, 3), (1, 1), (2, 3, 3)),
)


# -- matrices of which one triangle is read -----------------------------------------------------------


def read_triangle(x: Any, upper: bool) -> Any:
    """The Hermitian matrix whose one triangle is that of x."""
    half = _halved_triangle(x, upper)
    return half + _mH(half)


def _halved_triangle(x: Any, upper: bool) -> Any:
    """One triangle of x and half of its diagonal."""
    return 0.5 * (tri(x, k=0, upper=upper) + tri(x, k=1 if upper else -1, upper=upper))


def _cholesky_map(y: Any, x: Any) -> Any:
    def push(dx: Any) -> Any:
        inverse = inv(y)
        inner = matmul(matmul(inverse, read_triangle(dx, False)), _mH(inverse))
        return matmul(y, _halved_triangle(inner, False))

    return push


def _definite(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    x = _matrix(rng, *shape, dtype=dtype)
    return x @ np.conj(np.swapaxes(x, -1, -2)) + np.eye(shape[-1])


def _definite_samples(rng: np.random.Generator) -> Samples:
    for dtype in "dD":
        for shape in ((3, 3), (1, 1), (2, 3, 3)):
            yield (_definite(rng, shape, dtype),), {}


cholesky = general("cholesky", lambda x: np.linalg.cholesky(x), _cholesky_map, samples=_definite_samples)


# -- norms, eigenvalues and singular values ------------------------------------------------------------------


def _root_slope(y: Any, x: Any) -> Any:
    if not isinstance(y, Tracer) and np.all(y):
        return 0.5 / y
    zero = y == 0
    return ew.where(zero, 0.0, 0.5 / ew.where(zero, 1.0, y))


# The root of a sum of squares: a norm has derivative 0 where it vanishes.
root = elementwise("norm.root", lambda x: np.sqrt(x), _root_slope, samples=ew.positive, tie="0 at 0")


def _shares(w: Any) -> Any:
    """For sorted values the matrix that averages over those that coincide (up to rounding)."""
    n = w.shape[-1]
    if n == 0:
        return np.zeros((*w.shape, 0), w.dtype)
    tolerance = 4 * n * np.finfo(w.dtype).eps * np.abs(w).max(-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.diff(w)) > tolerance
    group = np.concatenate([np.zeros((*w.shape[:-1], 1), np.intp), np.cumsum(apart, -1)], -1)
    same = (group[..., :, None] == group[..., None, :]).astype(w.dtype)
    return same / same.sum(-1, keepdims=True)


shares = register(Primitive("coinciding", _shares, ()))


def _largest_real(v: Any) -> Any:
    """In each column a one at the largest entry if that is real; NaN in columns where it is not."""
    size = np.abs(v)
    candidates = np.where(np.imag(v) == 0, size, -1.0)
    chosen = np.argmax(candidates, -2)[..., None, :]
    good = np.take_along_axis(candidates, chosen, -2) >= size.max(-2, keepdims=True) * (1 - 1e-6)
    mark = np.zeros(v.shape, size.dtype)
    np.put_along_axis(mark, chosen, np.where(good, 1.0, np.nan), -2)
    return mark


largest_real = register(Primitive("largest_real", _largest_real, ()))


def _shared(share: Any, values: Any) -> Any:
    """`values` averaged over those that coincide."""
    if not _coincide(share):
        return values
    product = matmul(share, _column(values))
    return reshape(product, shape=shape_of(values))


def _coincide(share: Any) -> bool:
    plain = innermost(share)
    return bool(plain.size) and bool(np.any(_main(plain) != 1))


def _reciprocal(gap: Any, share: Any) -> Any:
    """1 / gap off the diagonal, infinite where values coincide, and 0 on the diagonal."""
    eye = np.eye(shape_of(gap)[-1], dtype=dtype_of(gap))
    if _coincide(share):
        same = np.logical_and(np.not_equal(share, 0), eye == 0)
        gap = ew.where(same, 0.0, gap)
    return 1 / (gap + eye) - eye


def _turned(row: Any, change: Any) -> Any:
    """By how much columns must turn for their entry in `row` to stay real when it changes.

    Entries that are nearly zero do not tell the phase: there the columns are not turned.
    """
    size = _real(row)
    vague = abs(size) < 1e-5
    turn = -ew.imag_part(change) / ew.where(vague, 1.0, size)
    known = ew.where(_is_real(row), 0.0, np.nan)
    return ew.where(vague, 0.0, turn) + known


def _is_real(row: Any) -> Any:
    return np.less(abs(ew.imag_part(row)), 1e-13)


def _entry(x: Any, k: int) -> Any:
    """Row k of a stack of matrices."""
    return x[..., k, :]


def _eigh_map(y: Any, x: Any, *, upper: bool) -> Any:
    w, v = y

    def push(dx: Any) -> Any:
        share = shares(w)
        e = matmul(matmul(_mH(v), read_triangle(dx, upper)), v)
        dv = matmul(v, _reciprocal(_row(w) - _column(w), share) * e)
        if dtype_of(v).kind == "c":
            k = -1 if upper else 0
            dv = dv + v * (1j * _row(_turned(_entry(v, k), _entry(dv, k))))
        return _shared(share, _real(_main(e))), dv

    return push


def _eigh_samples(rng: np.random.Generator) -> Samples:
    for upper in (False, True):
        for dtype in "dD":
            for shape in ((3, 3), (1, 1), (2, 3, 3)):
                yield (_matrix(rng, *shape, dtype=dtype),), {"upper": upper}


_COINCIDING = "coinciding values share equally; the derivatives of their vectors are not finite"
eigh = general(
    "eigh",
    lambda x, *, upper: tuple(np.linalg.eigh(x, "U" if upper else "L")),
    _eigh_map,
    outputs=2,
    samples=_eigh_samples,
    tie=_COINCIDING,
)


def _eig_map(y: Any, x: Any) -> Any:
    w, v = y

    def push(dx: Any) -> Any:
        e = matmul(matmul(inv(v), dx), v)
        eye = np.eye(shape_of(w)[-1], dtype=dtype_of(w))
        dv = matmul(v, (1 / (_row(w) - _column(w) + eye) - eye) * e)
        axis = (len(shape_of(v)) - 2,)
        dv = dv - v * sum_(_real(_conj(v) * dv), axis=axis, keepdims=True)
        if dtype_of(v).kind == "c":
            mark = largest_real(v)
            change = sum_(mark * ew.imag_part(dv), axis=axis, keepdims=True)
            dv = dv - v * (1j * change / sum_(mark * _real(v), axis=axis, keepdims=True))
        return _main(e), dv

    return push


eig = general(
    "eig",
    lambda x: tuple(np.linalg.eig(x)),
    _eig_map,
    outputs=2,
    samples=_stacks((3, 3), (1, 1), (2, 3, 3)),
    tie="the derivatives of vectors of coinciding values are not finite",
)


def _svd_map(y: Any, x: Any) -> Any:
    u, s, vh = y
    v = _mH(vh)
    m, n, k = shape_of(u)[-2], shape_of(v)[-2], shape_of(s)[-1]

    def push(dx: Any) -> Any:
        share = shares(s)
        row, column = _row(s), _column(s)
        dxv, dxu = matmul(dx, v), matmul(_mH(dx), u)
        e = matmul(_mH(u), dxv)
        eh = _mH(e)
        f = _reciprocal((row - column) * (row + column), share)
        du = matmul(u, f * (e * row + column * eh))
        dv = matmul(v, f * (column * e + eh * row))
        if m > k:
            du = du + (dxv - matmul(u, e)) / row
        if n > k:
            dv = dv + (dxu - matmul(v, eh)) / row
        ds = _shared(share, _real(_main(e)))
        if dtype_of(u).kind == "c":
            du = du + u * (1j * _row(ew.imag_part(_main(e)) / s))
            base, change = (v, dv) if m >= n else (u, du)
            turn = 1j * _row(_turned(_entry(base, 0), _entry(change, 0)))
            du, dv = du + u * turn, dv + v * turn
        return du, ew.where(s == 0, 0.0, ds), _mH(dv)

    return push


svd = general(
    "svd",
    lambda x: tuple(np.linalg.svd(x, full_matrices=False)),
    _svd_map,
    outputs=3,
    samples=_stacks((3, 3), (1, 1), (4, 2), (2, 3), (2, 3, 3)),
    tie=_COINCIDING + "; a singular value that is zero has derivative 0",
)


# -- orthogonal factors and pseudo-inverses -----------------------------------------------------------


def _qr_map(y: Any, x: Any) -> Any:
    q, r = y

    def push(dx: Any) -> Any:
        t = matmul(dx, inv(r))
        c = matmul(_mH(q), t)
        low = tri(c, k=-1, upper=False)
        turn = low - _mH(low)
        if dtype_of(q).kind == "c":  # the diagonal of r is real
            turn = turn + 1j * ew.imag_part(c) * np.eye(shape_of(c)[-1])
        dq = matmul(q, turn)
        if shape_of(q)[-2] != shape_of(q)[-1]:
            dq = dq + (t - matmul(q, c))
        return dq, matmul(c - turn, r)

    return push


# At least as many rows as columns; `arrays.functions` brings wide matrices to that form.
qr = general(
    "qr",
    lambda x: tuple(np.linalg.qr(x)),
    _qr_map,
    outputs=2,
    samples=_stacks((3, 3), (1, 1), (4, 2), (2, 3, 3)),
)


def _check_rank(x: Any, rcond: Any) -> None:
    """Raise where the formula for pseudo-inverses is not the derivative of what NumPy computes.

    Singular values that are cut off by the tolerance must be zero up to rounding, and then the formula holds
    to first order only.
    """
    plain = innermost(x)
    if plain.size == 0:
        return
    s = np.linalg.svd(plain, compute_uv=False)
    largest = s.max(-1, keepdims=True)
    cut = s <= np.asarray(rcond)[..., None] * largest
    if np.any(s[cut] > 100 * np.finfo(s.dtype).eps * np.broadcast_to(largest, s.shape)[cut]):
        raise UnsupportedError(
            f"numpy.linalg.pinv (at {user_line()}): the derivative where rcond cuts off singular values that "
            "are not zero. Regularise with solve(a.T @ a + c * I, a.T), or use svd."
        )
    while isinstance(x, Rows):
        x = x.value
    if np.any(cut) and isinstance(x, Tracer):
        raise UnsupportedError(
            f"numpy.linalg.pinv (at {user_line()}): second derivatives at a matrix without full rank"
        )


def _pinv_map(y: Any, x: Any, *, rcond: Any) -> Any:
    def push(dx: Any) -> Any:
        _check_rank(x, rcond)
        yh, dxh = _mH(y), _mH(dx)
        dy = -matmul(matmul(y, dx), y)
        left = matmul(matmul(y, yh), dxh)
        right = matmul(dxh, matmul(yh, y))
        return dy + (left - matmul(matmul(left, x), y)) + (right - matmul(y, matmul(x, right)))

    return push


pinv = general(
    "pinv",
    lambda x, *, rcond: np.linalg.pinv(x, rcond),
    _pinv_map,
    samples=_stacks((3, 3), (1, 1), (4, 2), (2, 3), (2, 3, 2), rcond=1e-15),
)
matrix_rank = register(
    Primitive("matrix_rank", lambda x, **options: np.linalg.matrix_rank(x, **options), (), tie="0, an integer")
)


@batching(inv, det, slogdet, cholesky, eigh, eig, svd, qr, pinv, matrix_rank, shares, largest_real, _frame)
def _stacked(
    primitive: Any, values: tuple[Any, ...], batched: tuple[bool, ...], size: int, params: dict[str, Any]
) -> Any:
    """All of these take stacks as they are."""
    return bind(primitive, *values, **params)
