"""The public transformations: check the arguments, call one engine.

Names and argument conventions follow JAX and ``torch.func``. A differentiated argument is a number, an
array, or a nesting of containers of them; results and derivatives have the structure of what they belong to.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.calls import Call, Function, check_callable, with_aux
from chainrule.core.dispatch import dtype_of, innermost, shape_of
from chainrule.core.live import dense
from chainrule.core.transformation import jitted, mark
from chainrule.eager.drivers import Trace, filled, gradient_of_plain, lower, run_forward, trace_reverse
from chainrule.errors import ArgumentError, name_of
from chainrule.leaves import Leaf, build, checked, distinct, is_plain_call, result_leaves

__all__ = [
    "derivative",
    "grad",
    "hvp",
    "jvp",
    "linearize",
    "value_and_grad",
    "vjp",
]


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
    check_callable(f, "grad")
    evaluate = _evaluator(f, argnums, has_aux, holomorphic)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, result = evaluate(args, kwargs)
        return (result, value[1]) if has_aux else result

    return mark(gradient, "grad", f, argnums=argnums, has_aux=has_aux, holomorphic=holomorphic)


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
    check_callable(f, "value_and_grad")
    evaluate = _evaluator(f, argnums, has_aux, holomorphic)

    @functools.wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        return evaluate(args, kwargs)

    return mark(value_and_gradient, "value_and_grad", f, argnums=argnums, has_aux=has_aux, holomorphic=holomorphic)


def _evaluator(f: Function, argnums: Any, has_aux: bool, holomorphic: bool) -> Callable[[Any, Any], tuple[Any, Any]]:
    """What `grad` and `value_and_grad` share: from a call's arguments to value and gradient."""
    plain = argnums if argnums.__class__ is int and not has_aux and not holomorphic else None

    def evaluate(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        trace: Any = None
        if plain is not None and not kwargs and is_plain_call(args, plain):
            trace = gradient_of_plain(f, args, plain)
            if trace.__class__ is tuple:
                value, ct = trace
                if ct.__class__ is np.ndarray and ct.base is None:
                    return value, ct
                return value, Leaf(args[plain], str, True).restore(ct)
        call = Call(f, argnums, args, kwargs)
        aux: list[Any] = []
        if trace is None:
            run = with_aux(call, aux) if has_aux else call.run
            trace = trace_reverse(run, call.point.values, call.function, call.others)
        seed = _scalar_seed(trace, call, holomorphic)
        value = trace.result()
        extra = lower(aux[0], trace) if has_aux else None
        if holomorphic:
            _check_holomorphic(trace, seed, call)
        cts = trace.pull([seed], free=True)
        if holomorphic:
            cts = [None if ct is None else np.conj(dense(ct)) for ct in cts]
        result = call.pick(call.point.restore(cts))
        return ((value, extra), result) if has_aux else (value, result)

    return evaluate


def turns(change: Any, other: Any) -> bool:
    """Whether `other` is i times `change`, up to rounding and where finite."""
    change, other = 1j * np.asarray(change), np.asarray(other)
    finite = np.isfinite(change) & np.isfinite(other)
    scale = np.max(np.abs(change), initial=0.0, where=finite)
    tolerance = np.sqrt(np.finfo(change.dtype).eps) * scale
    return bool(np.all(np.abs(np.where(finite, change - other, 0.0)) <= tolerance))


def _check_holomorphic(trace: Trace, seed: Any, call: Call) -> None:
    """Raise unless the cotangent of i is what a complex derivative makes of it."""
    for ct, turned in zip(trace.pull([seed]), trace.pull([1j * seed]), strict=True):
        if ct is None and turned is None:
            continue
        pair = [0.0 if c is None else innermost(dense(c)) for c in (ct, turned)]
        if not turns(*pair):
            raise ArgumentError(f"holomorphic=True: {call.name} is not holomorphic at this point")


def _scalar_seed(trace: Trace, call: Call, holomorphic: bool) -> Any:
    """1 in the dtype of the result, after checking that the result is a scalar."""
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
    check_callable(f, "vjp")
    native = jitted(f)
    if native is not None and not has_aux and native.can_run(primals):
        return native.vjp(primals)
    call = Call(native or f, tuple(range(len(primals))), primals, {})
    aux: list[Any] = []
    trace = trace_reverse(with_aux(call, aux) if has_aux else call.run, call.point.values, call.function, call.others)
    y = trace.result(private=True)
    point = call.point

    def pullback(y_bar: Any) -> tuple[Any, ...]:
        cts = _cotangents(y_bar, trace)
        return tuple(point.restore(trace.pull(cts), cts))

    return (y, pullback, lower(aux[0], trace)) if has_aux else (y, pullback)


def _cotangents(y_bar: Any, trace: Trace) -> list[Any]:
    """The leaves of a cotangent of the result, checked."""
    leaves, structure = result_leaves(y_bar)
    if len(leaves) != len(trace.leaves) or structure != trace.structure:
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
    check_callable(f, "jvp")
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise ArgumentError("jvp takes a tuple of primals and a tuple of tangents: jvp(f, (x,), (x_dot,))")
    if len(primals) != len(tangents):
        raise ArgumentError(f"jvp: {len(primals)} primals and {len(tangents)} tangents")
    native = jitted(f)
    if native is not None and not has_aux and native.can_run((*primals, *tangents)):
        return native.jvp(tuple(primals), tuple(tangents))
    call = Call(native or f, tuple(range(len(primals))), tuple(primals), {})
    directions = call.point.tangents(tangents, call.describe)
    aux: list[Any] = []
    run = with_aux(call, aux) if has_aux else call.run
    structure, values, changes = run_forward(run, call.point.values, directions, call.function, call.others, aux)
    y = build(structure, values)
    changes = [filled(t, v) for t, v in zip(changes, values, strict=True)]
    y_dot = build(structure, distinct(changes, (*directions, *values)))
    return (y, y_dot, aux[0]) if has_aux else (y, y_dot)


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
    >>> float(pushforward(2.0))
    2.0
    """
    check_callable(f, "linearize")
    native = jitted(f)
    if native is not None and native.can_run(primals):
        return native.linearize(primals)
    call = Call(native or f, tuple(range(len(primals))), primals, {})
    trace = trace_reverse(call.run, call.point.values, call.function, call.others)
    values = trace.primals(True)

    def pushforward(*tangents: Any) -> Any:
        if len(tangents) != len(primals):
            raise ArgumentError(f"the pushforward takes {len(primals)} tangents, not {len(tangents)}")
        directions = call.point.tangents(tangents, call.describe)
        changes = [filled(t, v) for t, v in zip(trace.push(directions), values, strict=True)]
        return build(trace.structure, distinct(changes, directions))

    return build(trace.structure, values), pushforward


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
    check_callable(f, "derivative")
    try:
        order = operator.index(n)
    except TypeError:
        raise ArgumentError(f"derivative: the order n={n!r} is not an integer") from None
    if order < 0:
        raise ArgumentError(f"derivative: the order n={n} is negative")
    for _ in range(order):
        f = _slope(f)
    return f


def _slope(f: Function) -> Function:
    @functools.wraps(f)
    def slope(x: Any) -> Any:
        one = np.ones(shape_of(x), dtype_of(x)) if shape_of(x) else 1.0
        change = jvp(f, (x,), (one,))[1]
        if dtype_of(x).kind == "c" and not turns(innermost(change), innermost(jvp(f, (x,), (1j * one,))[1])):
            raise ArgumentError(f"derivative: {name_of(f)} is not holomorphic at this point")
        return float(change) if x.__class__ is float and change.__class__ is np.float64 else change

    return mark(slope, "derivative", f)
