"""Matrix products and linear algebra."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.frontends import indexing
from chainrule.frontends.arrays import array_of, copy_of, reshape, transpose
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import apply, broadcast, cast, describe, load, materialise, reads
from chainrule.frontends.library.shapes import ravel
from chainrule.frontends.library.table import (
    find,
    handles,
    known_int,
)
from chainrule.frontends.values import ArrayRef, Lazy, Number, Record, Slicing, Static, number
from chainrule.ir.build import constant, integer
from chainrule.ir.nodes import Atom, Var
from chainrule.ir.walk import is_number

# -- products and linear algebra ----------------------------------------------------------------------


def matmul(ctx: Context, a: Any, b: Any) -> Any:
    """``a @ b``: a dot product is a loop, matrices go to BLAS."""
    a, b = array_of(ctx, a), array_of(ctx, b)
    if isinstance(a, Number) or isinstance(b, Number):
        raise ctx.fail("@ of a number: use *")
    ctx.equal(a.dims[-1], b.dims[-2 if b.ndim > 1 else -1], "the inner extents of a matrix product")
    if a.ndim == b.ndim == 1:
        return dot(ctx, a, b)
    if b.ndim > 2 or (a.ndim > 2 and b.ndim < 2):
        return _batches(ctx, materialise(ctx, a), materialise(ctx, b))
    if a.ndim > 2:  # one product of many rows
        rows = matmul(ctx, reshape(ctx, a, (_size(ctx, a.dims[:-1]), a.dims[-1])), b)
        return reshape(ctx, rows, (*a.dims[:-1], *b.dims[1:]))
    if a.dtype in ("int64", "bool") and b.dtype in ("int64", "bool"):
        raise ctx.fail("@ of arrays of integers: convert them to float64")
    (out,) = ctx.builder.op("matmul", *_of_one_dtype(ctx, a, b))
    return ArrayRef(out, (*a.dims[:-1], *(b.dims[1:] if b.ndim > 1 else ())), out)


def _of_one_dtype(ctx: Context, *values: Any) -> list[Var]:
    """The variables of arrays, after conversions to what they have in common."""
    dtype = np.result_type(*[v.dtype for v in values]).name
    return [materialise(ctx, v if v.dtype == dtype else cast(ctx, v, dtype)).var for v in values]


def _batches(ctx: Context, a: Any, b: Any) -> Any:
    """The products of matrices that are stacked along leading axes."""
    if a.ndim == 1:
        made = _batches(ctx, reshape(ctx, a, (integer(1), *a.dims)), b)
        return indexing.subscript(ctx, made, (Static(Ellipsis), number(0), Slicing(None, None, None)))
    if b.ndim == 1:
        made = _batches(ctx, a, reshape(ctx, b, (*b.dims, integer(1))))
        return indexing.subscript(ctx, made, (Static(Ellipsis), number(0)))
    stacks = broadcast(ctx, [v.dims[:-2] for v in (a, b) if v.ndim > 2])
    result = ctx.new(np.result_type(a.dtype, b.dtype).name, (*stacks, a.dims[-2], b.dims[-1]))
    with ctx.nest(stacks) as index:
        factors = []
        for v in (a, b):
            own = zip(index[len(index) - (v.ndim - 2) :], v.dims, strict=False)
            place = tuple(number(0) if is_number(d, 1) else Number(i) for i, d in own)
            factors.append(indexing.subscript(ctx, v, place) if place else v)
        indexing.assign(ctx, result, tuple(Number(i) for i in index), matmul(ctx, *factors))
    return result


def dot(ctx: Context, a: Any, b: Any) -> Number:
    product = apply(ctx, "multiply", a, b)
    zero = constant(0, product.dtype)
    return Number(ctx.reduce(product.dims, zero, lambda i, s: ctx.let("add", s, product.element(i), hint="s"), "s"))


@handles(np.matmul)
def _matmul(frame: Any, a: Any, b: Any) -> Any:
    return matmul(frame.ctx, a, b)


@handles(np.dot)
def _dot(frame: Any, a: Any, b: Any) -> Any:
    ctx = frame.ctx
    a, b = array_of(ctx, a), array_of(ctx, b)
    if isinstance(a, Number) or isinstance(b, Number):
        return apply(ctx, "multiply", a, b)
    if b.ndim > 2 or (a.ndim > 2 and b.ndim == 1):
        return _tensordot(frame, a, b, (number(-1), number(-2 if b.ndim > 1 else -1)))
    return matmul(ctx, a, b)


def _size(ctx: Context, extents: Sequence[Atom]) -> Atom:
    found: Atom = integer(1)
    for extent in extents:
        found = ctx.let("multiply", found, extent, hint="n")
    return found


@handles(np.tensordot)
def _tensordot(frame: Any, a: Any, b: Any, axes: Any = None) -> Any:
    """One product of matrices, for which the axes are brought together."""
    ctx = frame.ctx
    a, b = array_of(ctx, a), array_of(ctx, b)
    if isinstance(a, Number) or isinstance(b, Number):
        raise ctx.fail("np.tensordot of a number: use *")
    if axes is None or isinstance(axes, Number):
        n = 2 if axes is None else known_int(ctx, axes, "axes")
        pair: list[list[int]] = [list(range(a.ndim - n, a.ndim)), list(range(n))]
    else:
        pair = [[known_int(ctx, k, "axes") for k in (p if isinstance(p, (list, tuple)) else [p])] for p in axes]
    left, right = ([k % v.ndim for k in p] for v, p in zip((a, b), pair, strict=True))
    for i, j in zip(left, right, strict=True):
        ctx.equal(a.dims[i], b.dims[j], "the summed extents of tensordot")
    rows = [k for k in range(a.ndim) if k not in left]
    columns = [k for k in range(b.ndim) if k not in right]
    high, wide = [a.dims[k] for k in rows], [b.dims[k] for k in columns]
    count = _size(ctx, [a.dims[k] for k in left])
    first = reshape(ctx, transpose(ctx, a, (*rows, *left)), (_size(ctx, high), count))
    second = reshape(ctx, transpose(ctx, b, (*right, *columns)), (count, _size(ctx, wide)))
    dims = (*high, *wide)
    product = matmul(ctx, first, second)
    return reshape(ctx, product, dims) if dims else indexing.subscript(ctx, product, (number(0), number(0)))


@handles(np.linalg.matrix_power)
def _matrix_power(frame: Any, a: Any, n: Any) -> Any:
    ctx = frame.ctx
    times = known_int(ctx, n, "the power of a matrix")
    base = _matrix(ctx, a) if times >= 0 else _inv(frame, a)
    result = None
    for digit in bin(abs(times))[2:]:
        result = None if result is None else matmul(ctx, result, result)
        if digit == "1":
            result = base if result is None else matmul(ctx, result, base)
    if result is None:
        return find(np.eye)(frame, Number(base.dims[0], weak=True))  # type: ignore[misc]
    return copy_of(ctx, result) if result is base else result


@handles(np.linalg.multi_dot)
def _multi_dot(frame: Any, arrays: Any) -> Any:
    return functools.reduce(lambda a, b: matmul(frame.ctx, a, b), arrays)


@handles(np.vdot)
def _vdot(frame: Any, a: Any, b: Any) -> Any:
    ctx = frame.ctx
    a, b = ravel(frame, a), ravel(frame, b)
    ctx.equal(a.dims[0], b.dims[0], "vdot")
    return dot(ctx, apply(ctx, "conjugate", a) if a.dtype.startswith("complex") else a, b)


@handles(np.inner)
def _inner(frame: Any, a: Any, b: Any) -> Any:
    ctx = frame.ctx
    a, b = array_of(ctx, a), array_of(ctx, b)
    if isinstance(a, Number) or isinstance(b, Number):
        return apply(ctx, "multiply", a, b)
    if b.ndim > 2:
        return _tensordot(frame, a, b, (number(-1), number(-1)))
    return matmul(ctx, a, transpose(ctx, b) if b.ndim == 2 else b)


@handles(np.outer)
def _outer(frame: Any, a: Any, b: Any) -> Any:
    ctx = frame.ctx
    a, b = materialise(ctx, ravel(frame, a)), materialise(ctx, ravel(frame, b))
    return apply(ctx, "multiply", reshape(ctx, a, (a.dims[0], integer(1))), b)


def _matrix(ctx: Context, a: Any) -> Any:
    value = array_of(ctx, a)
    if isinstance(value, Number) or value.ndim != 2:
        raise ctx.fail(f"{describe(value)} where a square matrix is expected")
    ctx.equal(value.dims[0], value.dims[1], "a square matrix")
    if value.dtype in ("int64", "bool"):
        value = cast(ctx, value, "float64")
    return materialise(ctx, value)


@handles(np.linalg.solve)
def _solve(frame: Any, a: Any, b: Any) -> Any:
    ctx = frame.ctx
    a, b = _matrix(ctx, a), array_of(ctx, b)
    if isinstance(b, Number) or b.ndim > 2:
        raise ctx.fail(f"np.linalg.solve for {describe(b)}: a vector or a matrix is expected")
    ctx.equal(a.dims[0], b.dims[0], "a matrix and the right-hand side of np.linalg.solve")
    (out,) = ctx.builder.op("solve", *_of_one_dtype(ctx, a, b), hint="x")
    return ArrayRef(out, b.dims, out)


@handles(np.linalg.inv)
def _inv(frame: Any, a: Any) -> Any:
    a = _matrix(frame.ctx, a)
    (out,) = frame.ctx.builder.op("inv", a.var)
    return ArrayRef(out, a.dims, out)


@handles(np.linalg.cholesky)
def _cholesky(frame: Any, a: Any) -> Any:
    a = _matrix(frame.ctx, a)
    (out,) = frame.ctx.builder.op("cholesky", a.var)
    return ArrayRef(out, a.dims, out)


@handles(np.linalg.det)
def _det(frame: Any, a: Any) -> Any:
    (out,) = frame.ctx.builder.op("det", _matrix(frame.ctx, a).var, hint="det")
    return Number(out)


@handles(np.linalg.slogdet)
def _slogdet(frame: Any, a: Any) -> Any:
    sign, log = frame.ctx.builder.op("slogdet", _matrix(frame.ctx, a).var, hint="logdet")
    result = type(np.linalg.slogdet(np.eye(1)))
    return Record(result, {"sign": Number(sign), "logabsdet": Number(log)})


@handles(np.einsum)
def _einsum(frame: Any, subscripts: Any, *operands: Any) -> Any:
    """A sum of products: loops over the indices of the result, and within them over the others."""
    ctx = frame.ctx
    text = subscripts.value.replace(" ", "") if isinstance(subscripts, Static) else ""
    inputs, arrow, output = text.partition("->")
    names = inputs.split(",")
    if not arrow:
        output = "".join(sorted(c for c in set(inputs) - {","} if inputs.count(c) == 1))
    if len(set(output)) < len(output) or not set(output) <= set(inputs) - {","}:
        raise ctx.fail(f"einsum of {text!r}: each index of the result is one of an operand, and stands there once")
    if not inputs.replace(",", "").isalpha() or len(names) != len(operands):
        raise ctx.fail(f"einsum of {text!r}: write the indices of every operand as letters")
    values = [array_of(ctx, v) for v in operands]
    dims: dict[str, Atom] = {}
    for name, value in zip(names, values, strict=True):
        if isinstance(value, Number) or value.ndim != len(name):
            raise ctx.fail(f"einsum: {name!r} does not fit {describe(value)}")
        for letter, extent in zip(name, value.dims, strict=True):
            ctx.equal(dims.setdefault(letter, extent), extent, f"einsum index {letter}")
    summed = [c for c in dims if c not in output]
    dtype = np.result_type(*[v.dtype for v in values]).name

    def at(outer: tuple[Atom, ...]) -> Atom:
        def term(inner: tuple[Atom, ...], total: Atom) -> Atom:
            index = dict(zip(output, outer, strict=True)) | dict(zip(summed, inner, strict=True))
            product: Atom | None = None
            for name, value in zip(names, values, strict=True):
                own = tuple(index[c] for c in name)
                factor = value.element(own) if isinstance(value, Lazy) else load(ctx, value, own)
                factor = ctx.builder.cast(factor, dtype)
                product = factor if product is None else ctx.let("multiply", product, factor)
            assert product is not None
            added: Atom = ctx.let("add", total, product, hint="s")
            return added

        sum_: Atom = ctx.reduce([dims[c] for c in summed], constant(0, dtype), term, "s")
        return sum_

    arrays = tuple(a for v in values for a in reads(v))
    if not output:
        return Number(at(()))
    return Lazy(dtype, tuple(dims[c] for c in output), at, arrays)
