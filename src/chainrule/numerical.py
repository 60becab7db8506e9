"""The numerical approach: derivatives estimated from a few values of the function.

Comes in: any callable that takes real numbers or real arrays, and the point. Goes out: an array of the
point's own precision. Nothing is traced and no rule is used, which makes these functions the independent
referee of every exact derivative in this library, and the slow, approximate rival in comparisons.

Holds for every method: ``f`` gets a private copy of the point and its result is copied, so that a function
which reuses buffers is differenced correctly; a step is the difference of two representable numbers; lost
information (a step too small to move ``x``, an imaginary part thrown away) raises `ArgumentError`; our own
arithmetic never warns. Integers are promoted to float64, booleans and complex numbers refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.exceptions import ComplexWarning
from numpy.typing import ArrayLike, NDArray

from chainrule.errors import ArgumentError

__all__ = ["derivative", "gradient", "jacobian"]

Function: TypeAlias = Callable[..., Any]
Array: TypeAlias = NDArray[Any]
Index: TypeAlias = tuple[int, ...]
Method: TypeAlias = Literal["central", "forward", "complex", "adaptive"]


def derivative(
    f: Function,
    x: ArrayLike,
    *,
    method: Method = "central",
    step: ArrayLike | None = None,
    return_error: bool = False,
) -> Any:
    """Estimate the derivative of a function of one real variable at each element of ``x``.

    Parameters
    ----------
    f : callable
        Takes one number and returns one; called for each element by itself, so it need not be vectorised.
    x : array_like, real, any shape
        The points. Integers are promoted to float64, other dtypes keep their precision.
    method : {"central", "forward", "complex", "adaptive"}
        With machine epsilon ε of ``x`` or of ``f(x)``, the coarser one:

        ========== ===================================== ============= ==================== ==================
        method     formula                               error in step default step         digits of float64
        ========== ===================================== ============= ==================== ==================
        forward    (f(x + h) - f(x)) / h                 h             ``√ε max(1, |x|)``   8
        central    (f(x + h) - f(x - h)) / 2h            h²            ``∛ε max(1, |x|)``   10
        complex    Im f(x + ih) / h                      h²            ∛tiny, about 1e-103  15
        adaptive   eighth order, steps halved until the  h⁸            ``max(½, ∜ε |x|)``   12, estimate given
                   estimate settles (SciPy)
        ========== ===================================== ============= ==================== ==================
    step : array_like, positive, broadcastable to the shape of ``x``, optional
        The step (the first step of "adaptive") instead of the default one.
    return_error : bool
        With ``method="adaptive"`` only: return ``(value, error)``, the error absolute and estimated.

    Returns
    -------
    array or scalar
        Shape of ``x``; dtype of ``x`` and ``f(x)`` together.

    Raises
    ------
    ArgumentError
        Unknown method, boolean or complex ``x``, a step that is not positive or does not move ``x``, a result
        that is not one number, or, with "complex", a function that drops the imaginary part.

    Notes
    -----
    The complex step has no subtraction, hence no round-off, but is right only where ``f`` is analytic:
    ``abs``, ``conj``, ``real`` and ``angle`` are not, and inside a longer formula this cannot be seen from
    outside. It needs no margin around ``x``; the other methods evaluate ``f`` on both sides of it.

    References
    ----------
    J. Nocedal and S. Wright, *Numerical Optimization*, 2nd ed., Springer 2006, section 8.1 (steps).

    W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real functions",
    SIAM Review 40(1), 1998, 110-112.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule import numerical
    >>> print(numerical.derivative(np.exp, 0.0, method="complex"))
    1.0
    >>> print(numerical.derivative(lambda x: x**3, [1, 2]).round(6))
    [ 3. 12.]
    """
    _check(f, method, return_error)
    points = _point(x)
    steps = np.zeros(points.shape) if step is None else _steps(step, points)
    scalar = _returning_scalar(f, "derivative")
    parts = [
        _estimate(scalar, np.asarray(point), method, None if step is None else np.asarray(h))
        for point, h in zip(points.flat, steps.flat, strict=True)
    ]
    columns = zip(*parts, strict=True) if parts else (points, points)
    return _answer([np.array(column).reshape(points.shape) for column in columns], return_error)


def gradient(
    f: Function,
    x: ArrayLike,
    *,
    method: Method = "central",
    step: ArrayLike | None = None,
    return_error: bool = False,
) -> Any:
    """Estimate the gradient of a scalar-valued function of an array.

    Parameters
    ----------
    f : callable
        Takes an array of the shape of ``x`` (a scalar if ``x`` is one) and returns one number. Called once at
        ``x`` and per element once ("forward", "complex"), twice ("central") or 10 to 30 times ("adaptive").
    x : array_like, real, any shape
        The point.
    method, step, return_error
        As in `derivative`; ``step`` broadcasts to the shape of ``x``.

    Returns
    -------
    array or scalar
        Shape of ``x``; dtype of ``x`` and ``f(x)`` together.

    Raises
    ------
    ArgumentError
        As in `derivative`.

    References
    ----------
    J. Nocedal and S. Wright, *Numerical Optimization*, 2nd ed., Springer 2006, section 8.1.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule import numerical
    >>> print(numerical.gradient(lambda x: np.sum(x**2), [1.0, 2.0], method="complex"))
    [2. 4.]
    """
    _check(f, method, return_error)
    scalar = _returning_scalar(f, "gradient")
    return jacobian(scalar, x, method=method, step=step, return_error=return_error)


def jacobian(
    f: Function,
    x: ArrayLike,
    *,
    method: Method = "central",
    step: ArrayLike | None = None,
    return_error: bool = False,
) -> Any:
    """Estimate the Jacobian of an array-valued function of an array.

    Parameters
    ----------
    f : callable
        Takes an array of the shape of ``x`` (a scalar if ``x`` is one) and returns an array, always of the
        same shape.
    x : array_like, real, any shape
        The point.
    method, step, return_error
        As in `derivative`; ``step`` broadcasts to the shape of ``x``.

    Returns
    -------
    array or scalar
        ``J[i, j] = ∂f(x)[i] / ∂x[j]`` for index tuples ``i`` and ``j``: shape ``f(x).shape + x.shape``;
        dtype of ``x`` and ``f(x)`` together.

    Raises
    ------
    ArgumentError
        As in `derivative`, and where the shape of ``f(x)`` changes between evaluations.

    References
    ----------
    J. Nocedal and S. Wright, *Numerical Optimization*, 2nd ed., Springer 2006, section 8.1.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule import numerical
    >>> print(numerical.jacobian(lambda x: np.array([x[0] * x[1], x[1]]), [2.0, 3.0], method="complex"))
    [[3. 2.]
     [0. 1.]]
    """
    _check(f, method, return_error)
    point = _point(x)
    steps = None if step is None else _steps(step, point)
    return _answer(_estimate(f, point, method, steps), return_error)


def _check(f: Function, method: str, return_error: bool) -> None:
    if not callable(f):
        raise ArgumentError(f"f must be callable; got {type(f).__name__}.")
    if method not in _METHODS:
        raise ArgumentError(f"method must be one of {', '.join(map(repr, _METHODS))}; got {method!r}.")
    if return_error and method != "adaptive":
        raise ArgumentError(f'return_error=True needs method="adaptive"; {method!r} gives no error estimate.')


def _estimate(f: Function, x: Array, method: str, step: Array | None) -> Sequence[Array]:
    """Return the Jacobian and, where the method has one, the estimated error."""
    y = _evaluate(f, x)
    if x.size and y.size:
        return _METHODS[method](f, x, y, step)
    return _blank(x, y), np.zeros(y.shape + x.shape)


def _answer(parts: Sequence[Array], with_error: bool) -> Any:
    return (parts[0][()], parts[1][()]) if with_error else parts[0][()]


def _forward(f: Function, x: Array, y: Array, step: Array | None) -> Sequence[Array]:
    h = _default_step(x, y, 1 / 2) if step is None else step

    def column(index: Index) -> Array:
        ahead = _moved(x, index, h)
        width = _width(ahead, x, index)
        return _slope(_evaluate(f, ahead, y), y, width)

    return (_columns(x, y, column),)


def _central(f: Function, x: Array, y: Array, step: Array | None) -> Sequence[Array]:
    h = _default_step(x, y, 1 / 3) if step is None else step

    def column(index: Index) -> Array:
        ahead, behind = _moved(x, index, h), _moved(x, index, -h)
        width = _width(ahead, behind, index)
        return _slope(_evaluate(f, ahead, y), _evaluate(f, behind, y), width)

    return (_columns(x, y, column),)


def _complex(f: Function, x: Array, y: Array, step: Array | None) -> Sequence[Array]:
    y = _real(y, "complex")
    plane = x.astype(np.result_type(x.dtype, 1j))
    h = np.broadcast_to(np.finfo(plane.dtype).tiny ** (1 / 3) if step is None else step, x.shape)

    def column(index: Index) -> Array:
        z = _evaluate(f, _moved(plane, index, 1j * h), y)
        if not np.iscomplexobj(z):
            raise ArgumentError(f"{_DROPPED}: it returned {z.dtype} for {plane.dtype}.")
        return np.asarray(z.imag / h[index])

    with warnings.catch_warnings():
        warnings.simplefilter("error", ComplexWarning)
        try:
            return (_columns(x, y, column),)
        except ComplexWarning as error:
            raise ArgumentError(f"{_DROPPED} ({error}).") from error


def _adaptive(f: Function, x: Array, y: Array, step: Array | None) -> Sequence[Array]:
    y = _real(y, "adaptive")
    value, error = _blank(x, y), np.empty(y.shape + x.shape)
    for index in np.ndindex(x.shape):
        h = max(0.5, np.finfo(x.dtype).eps ** (1 / 4) * abs(x[index])) if step is None else step[index]
        best, least = _settled(
            lambda t, i=index: _real(_evaluate(f, _replaced(x, i, t), y), "adaptive").ravel(), x[index], y, h
        )
        value[(..., *index)], error[(..., *index)] = best.reshape(y.shape), least.reshape(y.shape)
    return value, error


def _settled(curve: Function, t: Any, y: Array, h: Any) -> tuple[Array, Array]:
    """Differentiate ``curve`` from numbers to flat arrays; keep the estimates that changed least."""
    from scipy.differentiate import derivative

    best = np.full(y.size, np.nan, np.result_type(t, y))
    least = np.full(y.size, np.inf)

    def keep(result: Any) -> None:
        better = result.error < least
        best[better], least[better] = result.df[better], result.error[better]

    def stencil(points: Array) -> Array:
        """Take (y.size,) or (y.size, k) abscissae, the same in every row."""
        return np.stack([curve(p) for p in np.atleast_1d(points[0])], axis=-1).reshape(points.shape)

    eps = np.finfo(t.dtype).eps
    options: dict[str, Any] = {"tolerances": {"rtol": eps**0.75}, "preserve_shape": True, "callback": keep}
    for attempt in range(6):  # a large step may leave the domain of f or miss its features
        with np.errstate(all="ignore"):
            derivative(stencil, np.full(y.size, t), initial_step=h / 16**attempt, **options)
            scale = np.maximum(np.abs(best), np.abs(y.ravel()) / max(1, abs(t)))
        if (least <= eps**0.5 * scale).all():
            break
    return best, least


_METHODS: dict[str, Callable[[Function, Array, Array, Array | None], Sequence[Array]]] = {
    "central": _central,
    "forward": _forward,
    "complex": _complex,
    "adaptive": _adaptive,
}


def _blank(x: Array, y: Array) -> Array:
    return np.empty(y.shape + x.shape, np.result_type(x.dtype, y.dtype))


def _columns(x: Array, y: Array, column: Callable[[Index], Array]) -> Array:
    """Fill a Jacobian column by column, one for each element of ``x``."""
    jacobian = _blank(x, y)
    for index in np.ndindex(x.shape):
        jacobian[(..., *index)] = column(index)
    return jacobian


def _width(ahead: Array, behind: Array, index: Index) -> Any:
    """Return the step really taken, the difference of two representable numbers."""
    with np.errstate(all="ignore"):
        width = ahead[index] - behind[index]
    if width == 0:
        raise ArgumentError(f"step is too small to move x{list(index) or ''} = {behind[index]}; enlarge it.")
    return width


def _slope(ahead: Array, behind: Array, width: Any) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray((ahead - behind) / width)


_DROPPED = (
    'method="complex" needs an analytic function that computes with complex numbers (np.sin, not math.sin; '
    "no abs, real, conj or conversion); f dropped the imaginary part"
)


def _moved(x: Array, index: Index, step: Array) -> Array:
    with np.errstate(all="ignore"):
        return _replaced(x, index, x[index] + np.broadcast_to(step, x.shape)[index])


def _replaced(x: Array, index: Index, value: Any) -> Array:
    replaced = x.copy()
    replaced[index] = value
    return replaced


def _evaluate(f: Function, x: Array, like: Array | None = None) -> Array:
    """Call ``f`` on a private copy of ``x`` and copy its result, which must have the shape of ``like``."""
    y = _array(f(x.copy() if x.ndim else x[()]), "the result of f")
    if y.dtype.kind in "iub":
        y = y.astype(np.float64)
    if y.dtype.kind not in "fc":
        raise ArgumentError(f"f must return numbers; got dtype {y.dtype}.")
    if like is not None and y.shape != like.shape:
        raise ArgumentError(f"f returned shape {like.shape} and, a step further, {y.shape}.")
    return y


def _real(y: Array, method: str) -> Array:
    if np.any(y.imag):
        raise ArgumentError(f'method="{method}" needs f to be real at real x; use method="central".')
    return y.real


def _returning_scalar(f: Function, name: str) -> Function:
    def scalar(x: Any) -> Any:
        y = _array(f(x), "the result of f")
        if y.ndim:
            raise ArgumentError(f"{name} needs one number from f; got shape {y.shape}. Use jacobian.")
        return y

    return scalar


def _point(x: ArrayLike) -> Array:
    point = _array(x, "x")
    if point.dtype.kind in "iu":
        return point.astype(np.float64)
    if point.dtype.kind != "f":
        raise ArgumentError(f"x must be real numbers; got dtype {point.dtype}. Convert it first: x.astype(float).")
    return point


def _array(x: Any, what: str) -> Array:
    try:
        return np.array(x)
    except ValueError as error:
        raise ArgumentError(f"{what} is not an array: {error}") from error


def _steps(step: ArrayLike, x: Array) -> Array:
    try:
        steps = np.broadcast_to(np.asarray(step, dtype=x.dtype), x.shape)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"step must be a number or broadcast to the shape {x.shape} of x: {error}") from error
    if not (np.isfinite(steps) & (steps > 0)).all():
        raise ArgumentError(f"step must be positive and finite; got {step!r}.")
    return steps


def _default_step(x: Array, y: Array, power: float) -> Array:
    eps = max(np.finfo(x.dtype).eps, np.finfo(y.dtype).eps)
    return np.asarray(eps**power * np.maximum(1, np.abs(x)), dtype=x.dtype)
