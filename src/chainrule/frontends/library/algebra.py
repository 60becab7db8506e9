"""Matrix products and linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.frontends.arrays import array_of, reshape, transpose
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import apply, cast, describe, load, materialise, reads
from chainrule.frontends.library.shapes import ravel
from chainrule.frontends.library.table import (
    handles,
)
from chainrule.frontends.values import ArrayRef, Lazy, Number, Record, Static
from chainrule.ir.build import constant, integer
from chainrule.ir.nodes import Atom

# -- products and linear algebra ----------------------------------------------------------------------


def matmul(ctx: Context, a: Any, b: Any) -> Any:
    """``a @ b``: a dot product is a loop, matrices go to BLAS."""
    a, b = array_of(ctx, a), array_of(ctx, b)
    if isinstance(a, Number) or isinstance(b, Number):
        raise ctx.fail("@ of a number: use *")
    ctx.equal(a.dims[-1], b.dims[-2 if b.ndim > 1 else -1], "the inner extents of a matrix product")
    if a.ndim == b.ndim == 1:
        return dot(ctx, a, b)
    if a.ndim > 2 or b.ndim > 2:
        raise ctx.fail("@ of arrays with more than two dimensions: loop over the matrices")
    dtype = np.result_type(a.dtype, b.dtype).name
    if dtype in ("int64", "bool"):
        raise ctx.fail("@ of arrays of integers: convert them to float64")
    operands = [materialise(ctx, v if v.dtype == dtype else cast(ctx, v, dtype)) for v in (a, b)]
    (out,) = ctx.builder.op("matmul", *(v.var for v in operands))
    return ArrayRef(out, (*a.dims[:-1], *(b.dims[1:] if b.ndim > 1 else ())), out)


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
    return matmul(ctx, a, b)


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
    a, b = _matrix(ctx, a), materialise(ctx, cast(ctx, array_of(ctx, b), _matrix(ctx, a).dtype))
    (out,) = ctx.builder.op("solve", a.var, b.var, hint="x")
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
