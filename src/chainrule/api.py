"""The public transformations: check the arguments, call one engine.

Names and argument conventions follow JAX and ``torch.func``. A differentiated argument is a number, an
array, or a nesting of containers of them; results and derivatives have the structure of what they belong to.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.core.batch import Batch, Rows
from chainrule.core.dispatch import Tracer, dtype_of, innermost, shape_of
from chainrule.core.live import Masked, dense
from chainrule.eager.drivers import Trace, filled, gradient_of_plain, lower, run_forward, trace_reverse
from chainrule.eager.reverse import Reverse
from chainrule.errors import ArgumentError, name_of
from chainrule.leaves import Leaf, Point, build, checked, is_plain, result_leaves

__all__ = [
    "derivative",
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jvp",
    "linearize",
    "value_and_grad",
    "vjp",
]

Function = Callable[..., Any]


# -- which arguments ----------------------------------------------------------------------------------


class Call:
    """One call of a transformed function: the chosen arguments as a `Point`, the rest as given."""

    __slots__ = ("_args", "_argnums", "_kwargs", "_single", "function", "point")

    def __init__(self, function: Function, argnums: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function, self._args, self._kwargs = function, args, kwargs
        self._single = argnums.__class__ is not tuple
        numbers = (argnums,) if self._single else argnums
        self._argnums = [_argnum(n, len(args), function) for n in numbers]
        if len(set(self._argnums)) != len(self._argnums):
            raise ArgumentError(f"argnums={argnums} names an argument twice")
        self.point = Point([args[n] for n in self._argnums], self.describe)

    @property
    def name(self) -> str:
        """How messages call the function."""
        return name_of(self.function)

    def describe(self, k: int) -> str:
        """How messages call the k-th differentiated argument."""
        return f"argument {self._argnums[k]} of {self.name}"

    def run(self, values: list[Any]) -> Any:
        """Call the function with `values` in the place of the differentiated leaves."""
        args = list(self._args)
        for n, argument in zip(self._argnums, self.point.rebuild(values), strict=True):
            args[n] = argument
        return self.function(*args, **self._kwargs)

    def pick(self, results: list[Any]) -> Any:
        """One result per differentiated argument: a tuple if argnums was one."""
        return results[0] if self._single else tuple(results)


def _argnum(number: Any, count: int, function: Function) -> int:
    if number.__class__ is int and 0 <= number < count:
        return number  # type: ignore[no-any-return]
    try:
        n = operator.index(number)
    except TypeError:
        raise ArgumentError(f"argnums must be an integer or a tuple of integers, not {number!r}") from None
    if not -count <= n < count:
        raise ArgumentError(f"argnums={n} for a call of {name_of(function)} with {count} positional arguments")
    return n % count


def _check_callable(function: Any, transformation: str) -> None:
    if not callable(function):
        raise ArgumentError(
            f"{transformation} takes a function, not {type(function).__name__}: write "
            f"chainrule.{transformation}(f)(x), not chainrule.{transformation}(f(x))"
        )


# -- reverse mode -------------------------------------------------------------------------------------


def grad(f: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False, holomorphic: bool = False) -> Function:
    """Gradient of a scalar-valued function, by reverse mode.

    Parameters
    ----------
    f : callable
        Returns a real number (or an array of shape ``()``), with `has_aux` a pair of it and anything.
    argnums : int or tuple of int
        The positional arguments to differentiate with respect to.
    has_aux : bool
        `f` returns ``(value, aux)``; the result is ``(gradient, aux)``.
    holomorphic : bool
        `f` is a holomorphic function of complex numbers: return df/dz. Otherwise the gradient of a real
        `f` with respect to complex z = x + iy is df/dx + i df/dy, the direction of steepest ascent.

    Returns
    -------
    callable
        Takes the arguments of `f`. Its result has the shape, dtype and container of the argument (integers
        are promoted to float64); a tuple of such results if `argnums` is a tuple.

    Raises
    ------
    ArgumentError
        If `f` does not return a real scalar, or an argument cannot be differentiated.

    References
    ----------
    Griewank and Walther, *Evaluating Derivatives*, 2nd ed., section 3.2.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> def f(x, y):
    ...     return x * y + np.exp(x * y) - np.sin(y)
    >>> round(cr.grad(f)(1.5, 0.5), 4)
    1.5585
    >>> cr.grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    array([2., 4.])
    """
    inner = value_and_grad(f, argnums, has_aux, holomorphic)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, result = inner(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return gradient


def value_and_grad(
    f: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Function:
    """Value and gradient of a scalar-valued function from one evaluation; see `grad`.

    Examples
    --------
    >>> import chainrule as cr
    >>> cr.value_and_grad(lambda x: x**3)(2.0)
    (8.0, 12.0)
    """
    _check_callable(f, "value_and_grad")
    plain = argnums if argnums.__class__ is int and not has_aux and not holomorphic else None

    @functools.wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        trace: Any = None
        if plain is not None and 0 <= plain < len(args) and is_plain(args[plain]):
            trace = gradient_of_plain(f, args, plain, kwargs)
            if trace.__class__ is tuple:
                value, ct = trace
                if ct.__class__ is np.ndarray and ct.base is None:
                    return value, ct
                return value, Leaf(args[plain], str, True).restore(ct)
        call = Call(f, argnums, args, kwargs)
        aux: list[Any] = []
        if trace is None:
            run = _with_aux(call, aux) if has_aux else call.run
            trace = trace_reverse(run, call.point.values, call.function)
        seed = _scalar_seed(trace, call, holomorphic)
        value = trace.result()
        extra = lower(aux[0], trace) if has_aux else None
        cts = trace.pull([seed], free=True)
        if holomorphic:
            cts = [None if ct is None else np.conj(dense(ct)) for ct in cts]
        result = call.pick(call.point.restore(cts))
        return ((value, extra), result) if has_aux else (value, result)

    return value_and_gradient


def _with_aux(call: Call, aux: list[Any]) -> Callable[[list[Any]], Any]:
    def run(values: list[Any]) -> Any:
        result = call.run(values)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise ArgumentError(f"has_aux=True: {call.name} must return a pair (value, aux)")
        aux.append(result[1])
        return result[0]

    return run


def _scalar_seed(trace: Trace, call: Call, holomorphic: bool) -> Any:
    """1 in the dtype of the result, after checking that the result is a scalar."""
    if trace.structure is None and trace.leaves[0].__class__ is Reverse and not holomorphic:
        if trace.leaves[0].value.__class__ in (float, np.float64):
            return 1.0
    if trace.structure is not None or len(trace.leaves) != 1:
        raise ArgumentError(
            f"{call.name} returns a container; grad needs a real number. Return one, use has_aux=True for the "
            "rest, or use jacobian."
        )
    (leaf,) = trace.leaves
    value = innermost(leaf)
    if leaf is None or not isinstance(value, (int, float, complex, np.ndarray, np.generic)):
        raise ArgumentError(f"{call.name} returns {value!r}; grad needs a real number")
    if shape_of(leaf) != ():
        raise ArgumentError(
            f"{call.name} returns an array of shape {shape_of(leaf)}; grad needs a real number. Reduce it "
            "(np.sum, np.mean), or use jacobian or vjp."
        )
    dtype = dtype_of(leaf)
    if dtype.kind == "c" and not holomorphic:
        raise ArgumentError(
            f"{call.name} returns a complex number; grad needs a real one. Return np.real or np.abs of it, or "
            "use holomorphic=True if the function is holomorphic."
        )
    if holomorphic and (dtype.kind != "c" or any(dtype_of(v).kind != "c" for v in call.point.values)):
        raise ArgumentError(f"holomorphic=True: {call.name} must take and return complex numbers")
    if value.__class__ is float:
        return 1.0
    return dtype.type(1) if dtype.kind in "fc" else 1.0


def vjp(f: Function, *primals: Any, has_aux: bool = False) -> Any:
    """Vector-Jacobian products: the value of a function and its pullback.

    Parameters
    ----------
    f : callable
    *primals : numbers, arrays or containers
        All positional arguments of `f`; each is differentiated.
    has_aux : bool
        `f` returns ``(value, aux)``; the result is ``(value, pullback, aux)``.

    Returns
    -------
    y : the result of `f`
    pullback : callable
        ``pullback(y_bar)`` takes a cotangent like `y` and returns a tuple of cotangents, one per primal. It
        may be called any number of times and differentiated. It keeps the tape alive. For complex numbers
        it is the adjoint under Re<u, v>, the conjugate of what JAX's vjp computes.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> y, pullback = cr.vjp(lambda x, w: x * w, np.array([1.0, 2.0]), 3.0)
    >>> pullback(np.array([1.0, 1.0]))
    (array([3., 3.]), 3.0)
    """
    _check_callable(f, "vjp")
    call = Call(f, tuple(range(len(primals))), primals, {})
    aux: list[Any] = []
    trace = trace_reverse(_with_aux(call, aux) if has_aux else call.run, call.point.values, call.function)
    y = trace.result(private=True)
    point = call.point

    def pullback(y_bar: Any) -> tuple[Any, ...]:
        return tuple(point.restore(trace.pull(_cotangents(y_bar, trace))))

    return (y, pullback, lower(aux[0], trace)) if has_aux else (y, pullback)


def _cotangents(y_bar: Any, trace: Trace) -> list[Any]:
    """The leaves of a cotangent of the result, checked."""
    leaves, structure = result_leaves(y_bar)
    if (structure is None) != (trace.structure is None) or len(leaves) != len(trace.leaves):
        raise ArgumentError("the cotangent has not the structure of the result")
    return [
        None if dtype_of(y).kind not in "fc" else checked(ct, y, "cotangent")
        for ct, y in zip(leaves, trace.leaves, strict=True)
    ]


# -- forward mode -------------------------------------------------------------------------------------


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """Jacobian-vector product: value and directional derivative, by forward mode (dual numbers).

    Parameters
    ----------
    f : callable
    primals, tangents : tuple or list
        The arguments of `f` and the direction; each tangent has the shape of its primal.
    has_aux : bool
        `f` returns ``(value, aux)``; the result is ``(value, tangent, aux)``.

    Returns
    -------
    y, y_dot
        The result of `f` and its change, of the same structure.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> cr.jvp(lambda x: x**2, (3.0,), (1.0,))
    (9.0, 6.0)
    """
    _check_callable(f, "jvp")
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise ArgumentError("jvp takes a tuple of primals and a tuple of tangents: jvp(f, (x,), (x_dot,))")
    if len(primals) != len(tangents):
        raise ArgumentError(f"jvp: {len(primals)} primals and {len(tangents)} tangents")
    call = Call(f, tuple(range(len(primals))), tuple(primals), {})
    directions = call.point.tangents(tangents, call.describe)
    aux: list[Any] = []
    run = _with_aux(call, aux) if has_aux else call.run
    structure, values, changes = run_forward(run, call.point.values, directions, call.function)
    y = build(structure, values)
    y_dot = build(structure, [filled(t, v) for t, v in zip(changes, values, strict=True)])
    return (y, y_dot, _strip(aux[0])) if has_aux else (y, y_dot)


def _strip(tree: Any) -> Any:
    leaves, structure = result_leaves(tree)
    return build(structure, [x.value if isinstance(x, Tracer) else x for x in leaves])


def linearize(f: Function, *primals: Any) -> Any:
    """Value of a function and its pushforward: one evaluation, then many cheap tangents.

    Returns
    -------
    y : the result of `f`
    pushforward : callable
        ``pushforward(*tangents)`` returns the change of `y`; it may be called any number of times.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> y, pushforward = cr.linearize(np.sin, 0.0)
    >>> pushforward(2.0)
    2.0
    """
    _check_callable(f, "linearize")
    call = Call(f, tuple(range(len(primals))), primals, {})
    trace = trace_reverse(call.run, call.point.values, call.function)
    values = trace.primals(True)

    def pushforward(*tangents: Any) -> Any:
        if len(tangents) != len(primals):
            raise ArgumentError(f"the pushforward takes {len(primals)} tangents, not {len(tangents)}")
        changes = trace.push(call.point.tangents(tangents, call.describe))
        return build(trace.structure, [filled(t, v) for t, v in zip(changes, values, strict=True)])

    return build(trace.structure, values), pushforward


# -- Jacobians and Hessians ---------------------------------------------------------------------------


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
    _check_callable(f, "jacfwd")

    @functools.wraps(f)
    def jacobian_forward(*args: Any, **kwargs: Any) -> Any:
        call = Call(f, argnums, args, kwargs)
        return _jacobian_forward(call, has_aux)

    return jacobian_forward


def jacrev(f: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """Jacobian by reverse mode, all rows in one vectorised sweep; best where outputs are few; see `jacfwd`.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> cr.jacrev(lambda x: x[0] * x[1])(np.array([2.0, 3.0]))
    array([3., 2.])
    """
    _check_callable(f, "jacrev")

    @functools.wraps(f)
    def jacobian_reverse(*args: Any, **kwargs: Any) -> Any:
        call = Call(f, argnums, args, kwargs)
        aux: list[Any] = []
        trace = trace_reverse(_with_aux(call, aux) if has_aux else call.run, call.point.values, call.function)
        result = _jacobian_from_trace(call, trace)
        return (result, lower(aux[0], trace)) if has_aux else result

    return jacobian_reverse


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
    array([[ 1., -0.],
           [ 0., -1.]])
    """
    _check_callable(f, "jacobian")
    if mode not in ("auto", "forward", "reverse"):
        raise ArgumentError(f'mode={mode!r}: choose "auto", "forward" or "reverse"')

    @functools.wraps(f)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        call = Call(f, argnums, args, kwargs)
        if any(dtype_of(v).kind == "c" for v in call.point.values) and not holomorphic:
            raise ArgumentError("a Jacobian with respect to complex arguments needs holomorphic=True, or jvp and vjp")
        if mode == "forward" or holomorphic:
            return _jacobian_forward(call, has_aux)
        aux: list[Any] = []
        trace = trace_reverse(_with_aux(call, aux) if has_aux else call.run, call.point.values, call.function)
        columns = sum(_size(v) for v in call.point.values)
        rows = sum(_size(leaf) for leaf in trace.leaves)
        if mode == "reverse" or rows <= columns:
            result = _jacobian_from_trace(call, trace)
        else:
            result = _jacobian_by_push(call, trace)
        return (result, lower(aux[0], trace)) if has_aux else result

    return jacobian_of


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
    total = sum(_size(y) for y in outputs)
    passes = []
    for rows in _chunks(total, max([_size(v) for v in values], default=1)):
        batch = Batch(len(rows))
        passes.append((rows, trace.pull(_seeds(rows, outputs, batch)), batch))
    blocks = _blocks(passes, values)
    leaves, offset = [], 0
    for y in outputs:
        span = slice(offset, offset + _size(y))
        offset += _size(y)
        leaves.append(
            call.pick(
                call.point.map(
                    lambda k, span=span, y=y: np.reshape(blocks[k][span], shape_of(y) + shape_of(values[k]))
                )
            )
        )
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
    run = _with_aux(call, aux) if has_aux else call.run
    passes, structure, outputs = [], None, None
    width = max([_size(v) for v in values], default=1)
    for columns in _chunks(sum(_size(v) for v in values), width):
        batch = Batch(len(columns))
        seeds = [_zero_seed(v, batch) if s is None else s for s, v in zip(_seeds(columns, values, batch), values, strict=True)]
        structure, outputs, changes = run_forward(run, values, seeds, call.function)
        passes.append((columns, changes, batch))
    if outputs is None:
        structure, outputs, _ = run_forward(run, values, [np.zeros(shape_of(v)) for v in values], call.function)
    result = _assemble_columns(call, structure, outputs, _blocks(passes, outputs))
    return (result, _strip(aux[-1])) if has_aux else result


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
        call.pick(call.point.map(lambda k, y=y, block=block: piece(y, block, k)))
        for y, block in zip(outputs, blocks, strict=True)
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


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Hessian-vector product of a scalar-valued function, without forming the Hessian.

    Parameters
    ----------
    primals, tangents : tuple or list
        The arguments of `f` and the direction.

    Returns
    -------
    array, or a tuple of them
        One value for one primal, a tuple for several.

    References
    ----------
    Pearlmutter, Fast exact multiplication by the Hessian (1994).

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> cr.hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    array([6., 0.])
    """
    gradient = grad(f, tuple(range(len(primals))))
    _, change = jvp(gradient, primals, tangents)
    return change[0] if len(primals) == 1 else change


def derivative(f: Function, n: int = 1) -> Function:
    """n-th derivative of a function of one variable, elementwise on arrays.

    Parameters
    ----------
    f : callable
        Its result at an element of the argument depends on that element alone.
    n : int
        Order, zero or more.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> cr.derivative(np.sin)(0.0)
    1.0
    >>> cr.derivative(lambda x: x**4, 3)(2.0)
    48.0
    """
    _check_callable(f, "derivative")
    order = operator.index(n)
    if order < 0:
        raise ArgumentError(f"derivative: the order n={n} is negative")
    for _ in range(order):
        f = _slope(f)
    return f


def _slope(f: Function) -> Function:
    @functools.wraps(f)
    def slope(x: Any) -> Any:
        one = np.ones(shape_of(x), dtype_of(x)) if shape_of(x) else 1.0
        return jvp(f, (x,), (one,))[1]

    return slope
