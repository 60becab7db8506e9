"""Jacobians and Hessians: derivatives whose tangents or cotangents are rows of the identity.

All rows or columns run through one vectorised pass (`core.batch`), in chunks that bound its memory. The
elements off the diagonal of a seed are structural zeros.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from chainrule.api import grad, turns
from chainrule.calls import Call, Function, check_callable, with_aux
from chainrule.core.batch import Batch, Rows
from chainrule.core.dispatch import dtype_of, innermost, shape_of
from chainrule.core.live import Masked, dense
from chainrule.core.transformation import mark
from chainrule.eager.drivers import Trace, lower, run_forward, trace_reverse
from chainrule.errors import ArgumentError
from chainrule.leaves import build

__all__ = ["hessian", "jacfwd", "jacobian", "jacrev"]


def jacfwd(f: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """Jacobian by forward mode, all columns in one vectorised pass; best where inputs are few.

    Returns
    -------
    callable
        Takes the arguments of `f`. For a result of shape s and an argument of shape t the Jacobian has shape
        ``s + t``; containers nest outside (result) and inside (argument).

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> cr.jacfwd(lambda x: np.array([2.0, 3.0]) * x)(1.0)
    array([2., 3.])
    """
    check_callable(f, "jacfwd")

    @functools.wraps(f)
    def jacobian_forward(*args: Any, **kwargs: Any) -> Any:
        return _jacobian_forward(_real_call(f, argnums, args, kwargs), has_aux)

    return mark(jacobian_forward, "jacfwd", f, argnums=argnums, has_aux=has_aux)


def jacrev(f: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """Jacobian by reverse mode, all rows in one vectorised sweep; best where outputs are few; see `jacfwd`.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> cr.jacrev(lambda x: x[0] * x[1])(np.array([2.0, 3.0]))
    array([3., 2.])
    """
    check_callable(f, "jacrev")

    @functools.wraps(f)
    def jacobian_reverse(*args: Any, **kwargs: Any) -> Any:
        call = _real_call(f, argnums, args, kwargs)
        aux: list[Any] = []
        trace = trace_reverse(
            with_aux(call, aux) if has_aux else call.run, call.point.values, call.function, call.others
        )
        result = _jacobian_from_trace(call, trace)
        return (result, lower(aux[0], trace)) if has_aux else result

    return mark(jacobian_reverse, "jacrev", f, argnums=argnums, has_aux=has_aux)


def jacobian(
    f: Function,
    argnums: int | tuple[int, ...] = 0,
    mode: str = "auto",
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Function:
    """Jacobian of an array-valued function.

    Parameters
    ----------
    mode : {"auto", "forward", "reverse"}
        ``"auto"`` evaluates once with a tape and runs it backwards or forwards, whichever needs fewer passes.
    holomorphic : bool
        Complex arguments and results of a holomorphic function: entries are df/dz.

    Other parameters, the result and its shape are those of `jacfwd`.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> cr.jacobian(np.sin)(np.array([0.0, np.pi]))
    array([[ 1.,  0.],
           [ 0., -1.]])
    """
    check_callable(f, "jacobian")
    if mode not in ("auto", "forward", "reverse"):
        raise ArgumentError(f'mode={mode!r}: choose "auto", "forward" or "reverse"')

    @functools.wraps(f)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        call = (Call if holomorphic else _real_call)(f, argnums, args, kwargs)
        if holomorphic:
            _check_holomorphic(call, has_aux)
        if mode == "forward" or holomorphic:
            return _jacobian_forward(call, has_aux)
        aux: list[Any] = []
        trace = trace_reverse(
            with_aux(call, aux) if has_aux else call.run, call.point.values, call.function, call.others
        )
        columns = sum(_size(v) for v in call.point.values)
        rows = sum(_size(leaf) for leaf in trace.leaves)
        if mode == "reverse" or rows <= columns:
            result = _jacobian_from_trace(call, trace)
        else:
            result = _jacobian_by_push(call, trace)
        return (result, lower(aux[0], trace)) if has_aux else result

    return mark(jacobian_of, "jacobian", f, argnums=argnums, mode=mode, has_aux=has_aux, holomorphic=holomorphic)


def _real_call(f: Function, argnums: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """A call whose differentiated arguments are real."""
    call = Call(f, argnums, args, kwargs)
    if any(dtype_of(v).kind == "c" for v in call.point.values):
        raise ArgumentError(
            f"the Jacobian of {call.name} with respect to complex arguments: use jacobian(f, holomorphic=True) if "
            "the function is holomorphic, else jvp and vjp"
        )
    return call


def _check_holomorphic(call: Call, has_aux: bool) -> None:
    """Raise unless the derivative along i t is i times that along a random t."""
    rng = np.random.default_rng(0)
    values = call.point.values
    along = [(rng.normal(size=shape_of(v)) + 1j * rng.normal(size=shape_of(v))).astype(dtype_of(v)) for v in values]
    run = with_aux(call, []) if has_aux else call.run
    changes = [run_forward(run, values, [c * t for t in along], call.function, call.others)[2] for c in (1, 1j)]
    for a, b in zip(*changes, strict=True):
        if a is not None and not turns(innermost(dense(a)), innermost(dense(b))):
            raise ArgumentError(f"holomorphic=True: {call.name} is not holomorphic at this point")


def _size(value: Any) -> int:
    return math.prod(shape_of(value))


def _chunks(total: int, width: int) -> Any:
    """Ranges of seeds, so that one array of a vectorised pass stays near 32 MB."""
    step = max(16, (1 << 22) // max(width, 1))
    return [range(start, min(start + step, total)) for start in range(0, total, step)]


def _seed(rows: range, offset: int, like: Any, batch: Batch) -> Any:
    """Rows of the identity for one leaf, the elements off the diagonal structural zeros; None if all are."""
    size, dtype = _size(like), dtype_of(like)
    low, high = max(rows.start, offset), min(rows.stop, offset + size)
    if low >= high:
        return None
    block = np.zeros((len(rows), size), dtype if dtype.kind in "fc" else np.float64)
    picked = np.arange(low, high)
    block[picked - rows.start, picked - offset] = 1
    block = block.reshape(len(rows), *shape_of(like))
    return Masked(Rows(block, batch), lambda: Rows(block != 0, batch))


def _seeds(rows: range, likes: list[Any], batch: Batch) -> list[Any]:
    seeds, offset = [], 0
    for like in likes:
        seeds.append(_seed(rows, offset, like, batch))
        offset += _size(like)
    return seeds


def _block(value: Any, rows: range, like: Any, batch: Batch) -> Any:
    """The rows of one leaf's (co)tangent; zeros where nothing arrived."""
    value = None if value is None else dense(value)
    dtype = dtype_of(like)
    if isinstance(value, Rows) and value.batch is batch:
        return value.value
    if value is None:
        return np.zeros((len(rows), *shape_of(like)), dtype if dtype.kind in "fc" else np.float64)
    return np.broadcast_to(value, (len(rows), *shape_of(like)))


def _blocks(passes: list[tuple[range, list[Any], Batch]], likes: list[Any]) -> list[Any]:
    """Per leaf, the rows of all passes joined."""
    joined = []
    for k, like in enumerate(likes):
        parts = [_block(values[k], rows, like, batch) for rows, values, batch in passes]
        if not parts:
            joined.append(np.zeros((0, *shape_of(like))))
        else:
            joined.append(parts[0] if len(parts) == 1 else np.concatenate(parts))
    return joined


def _jacobian_from_trace(call: Call, trace: Trace) -> Any:
    """All rows of the Jacobian, by vectorised sweeps of the tape."""
    values, outputs = call.point.values, trace.leaves
    if any(dtype_of(y).kind == "c" for y in outputs):  # a cotangent sees only the real part of what it is paired with
        return _jacobian_by_push(call, trace)
    total = sum(_size(y) for y in outputs)
    passes = []
    for rows in _chunks(total, max([_size(v) for v in values], default=1)):
        batch = Batch(len(rows))
        passes.append((rows, trace.pull(_seeds(rows, outputs, batch)), batch))
    blocks = _blocks(passes, values)
    leaves, offset = [], 0

    def rows_of(y: Any, span: slice, k: int) -> Any:
        return np.reshape(blocks[k][span], shape_of(y) + shape_of(values[k]))

    for y in outputs:
        span = slice(offset, offset + _size(y))
        offset += _size(y)
        leaves.append(call.pick(call.point.map(functools.partial(rows_of, y, span))))
    return build(trace.structure, [_number(leaf) for leaf in leaves])


def _number(value: Any) -> Any:
    return value[()] if isinstance(value, np.ndarray) and not value.ndim else value


def _jacobian_by_push(call: Call, trace: Trace) -> Any:
    """All columns of the Jacobian, by running a recorded tape forwards."""
    values, outputs = call.point.values, trace.leaves
    passes = []
    for columns in _chunks(sum(_size(v) for v in values), max([_size(y) for y in outputs], default=1)):
        batch = Batch(len(columns))
        passes.append((columns, trace.push(_seeds(columns, values, batch)), batch))
    return _assemble_columns(call, trace.structure, outputs, _blocks(passes, outputs))


def _jacobian_forward(call: Call, has_aux: bool = False) -> Any:
    values = call.point.values
    aux: list[Any] = []
    run = with_aux(call, aux) if has_aux else call.run
    passes, structure, outputs = [], None, None
    width = max([_size(v) for v in values], default=1)
    for columns in _chunks(sum(_size(v) for v in values), width):
        batch = Batch(len(columns))
        seeds = [
            _zero_seed(v, batch) if s is None else s
            for s, v in zip(_seeds(columns, values, batch), values, strict=True)
        ]
        structure, outputs, changes = run_forward(run, values, seeds, call.function, call.others, aux)
        passes.append((columns, changes, batch))
    if outputs is None:
        zeros = [np.zeros(shape_of(v)) for v in values]
        structure, outputs, _ = run_forward(run, values, zeros, call.function, call.others, aux)
    result = _assemble_columns(call, structure, outputs, _blocks(passes, outputs))
    return (result, aux[-1]) if has_aux else result


def _zero_seed(like: Any, batch: Batch) -> Any:
    zero = np.zeros((batch.size, *shape_of(like)), dtype_of(like))
    return Masked(Rows(zero, batch), lambda: Rows(np.zeros(zero.shape, bool), batch))


def _assemble_columns(call: Call, structure: Any, outputs: list[Any], blocks: list[Any]) -> Any:
    """The Jacobian from blocks of columns, one per output leaf with the columns along the first axis."""
    values = call.point.values
    offsets = np.cumsum([0, *[_size(v) for v in values]])

    def piece(y: Any, block: Any, k: int) -> Any:
        columns = np.moveaxis(block[offsets[k] : offsets[k + 1]], 0, -1)
        return _number(np.reshape(columns, shape_of(y) + shape_of(values[k])))

    leaves = [
        call.pick(call.point.map(functools.partial(piece, y, block))) for y, block in zip(outputs, blocks, strict=True)
    ]
    return build(structure, leaves)


def hessian(f: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """Hessian of a scalar-valued function: forward mode over reverse mode.

    Returns
    -------
    callable
        Takes the arguments of `f`; for an argument of shape t the result has shape ``t + t``.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> cr.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0]))
    array([[4., 2.],
           [2., 0.]])
    """
    return jacfwd(grad(f, argnums, has_aux), argnums, has_aux)
