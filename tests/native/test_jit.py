"""jit: what it runs, what it notices, what it refuses; derivatives against differences and eager mode."""

from __future__ import annotations

import dataclasses
import functools
import math
import traceback
from collections import namedtuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import AliasError, ArgumentError, ChainruleError, UnsupportedError

BACKENDS = ["interpreter", "python", "numba"]
X = np.array([0.5, -1.2, 2.0, 0.7])


def slope(f, x, h=1e-6):
    """The gradient by central differences."""
    if np.ndim(x) == 0:
        return (f(x + h) - f(x - h)) / (2 * h)
    g = np.zeros_like(x)
    for k in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[k] = h
        g[k] = (f(x + e) - f(x - e)) / (2 * h)
    return g


def sweep(x):
    u = x.copy()
    for i in range(1, len(u) - 1):
        u[i] = np.sin(u[i - 1]) + u[i + 1] * u[i] / 2
    return np.sum(u**2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_value_and_derivatives_of_a_loop_with_stores(backend):
    f = cr.jit(sweep, backend=backend)
    assert np.isclose(f(X), sweep(X))
    np.testing.assert_allclose(cr.grad(f)(X), slope(sweep, X), rtol=1e-6)
    y, gradient = cr.value_and_grad(f)(X)
    assert np.isclose(y, sweep(X))
    np.testing.assert_allclose(gradient, cr.grad(sweep)(X))
    np.testing.assert_allclose(cr.hessian(f)(X), cr.hessian(sweep)(X), atol=1e-12)
    np.testing.assert_allclose(cr.hvp(f, (X,), (X,)), cr.hessian(sweep)(X) @ X, atol=1e-12)


def test_grad_of_jit_is_jit_of_grad():
    of_jitted = cr.grad(cr.jit(sweep, backend="python"))
    jitted = cr.jit(cr.grad(sweep), backend="python")
    assert type(of_jitted) is type(jitted)
    np.testing.assert_array_equal(of_jitted(X), jitted(X))


def test_a_wrapper_of_a_gradient_is_not_the_gradient():
    import functools

    inner = cr.grad(sweep)

    @functools.wraps(inner)
    def doubled(x):
        return 2 * inner(x)

    np.testing.assert_allclose(cr.jit(doubled, backend="python")(X), 2 * cr.grad(sweep)(X))


def test_jvp_vjp_linearize_of_jitted_functions():
    f = cr.jit(lambda x, s: s * np.sin(x), backend="python")
    y, y_dot = cr.jvp(f, (X, 2.0), (np.ones(4), 0.5))
    np.testing.assert_allclose(y, 2 * np.sin(X))
    np.testing.assert_allclose(y_dot, 2 * np.cos(X) + 0.5 * np.sin(X))
    y, pullback = cr.vjp(f, X, 2.0)
    x_bar, s_bar = pullback(np.ones(4))
    np.testing.assert_allclose(x_bar, 2 * np.cos(X))
    assert np.isclose(s_bar, np.sin(X).sum())
    _, pushforward = cr.linearize(f, X, 2.0)
    np.testing.assert_allclose(pushforward(np.ones(4), 0.0), 2 * np.cos(X))


def test_a_pullback_keeps_its_point():
    f = cr.jit(lambda x: x * x, backend="python")
    x = X.copy()
    _, pullback = cr.vjp(f, x)
    x[:] = 100.0
    np.testing.assert_allclose(pullback(np.ones(4))[0], 2 * X)


# -- nested derivatives -------------------------------------------------------------------------------


def newton(inner, outer_point):
    y = outer_point
    while abs(inner(y)) > 1e-12:
        y = y - inner(y) / cr.jvp(inner, (y,), (1.0,))[1]
    return y


def minimum(c):
    """The y that minimises (y^2 - c)^2 / 4 + y^2 / 2, by Newton's method on its derivative."""
    y = 2.0
    step = 1.0
    while abs(step) > 1e-13:
        slope = cr.grad(lambda z: (z * z - c) ** 2 / 4 + z * z / 2)(y)
        curvature = cr.jvp(cr.grad(lambda z: (z * z - c) ** 2 / 4 + z * z / 2), (y,), (1.0,))[1]
        step = slope / curvature
        y = y - step
    return y


@pytest.mark.parametrize("backend", ["interpreter", "python"])
def test_derivatives_inside_a_while_loop(backend):
    # y^2 = c - 1, so dy/dc = 1 / (2 y)
    f = cr.jit(minimum, backend=backend)
    assert np.isclose(f(5.0), 2.0)
    assert np.isclose(cr.grad(f)(5.0), 0.25)
    assert np.isclose(cr.jvp(f, (5.0,), (1.0,))[1], 0.25)


def by_grad(g, x):
    return cr.grad(g)(x)


def by_jvp(g, x):
    return cr.jvp(g, (x,), (1.0,))[1]


@pytest.mark.parametrize("outer", [by_grad, by_jvp])
@pytest.mark.parametrize("inner", [by_grad, by_jvp])
def test_all_pairs_of_modes(outer, inner):
    def f(x):
        return outer(lambda y: y * inner(lambda z: x * np.sin(z) * y, y), x)

    # inner: x y cos y; times y: x y^2 cos y; outer at y = x with x held
    def expected(x):
        return x * (2 * x * np.cos(x) - x * x * np.sin(x))

    assert np.isclose(cr.jit(f, backend="python")(0.7), expected(0.7))


def test_third_derivative():
    f = cr.jit(lambda x: x**4 * np.sin(x), backend="python")
    h = 1e-3

    def second(x):
        return cr.derivative(cr.derivative(lambda x: x**4 * np.sin(x)))(x)

    assert np.isclose(cr.derivative(f, 3)(0.8), (second(0.8 + h) - second(0.8 - h)) / (2 * h), rtol=1e-5)


@pytest.mark.parametrize("jacobian", [cr.jacfwd, cr.jacrev, cr.jacobian])
def test_jacobians(jacobian):
    def f(x):
        y = np.zeros(3)
        for i in range(3):
            y[i] = x[i] * x[i + 1]
        return y

    expected = np.zeros((3, 4))
    for i in range(3):
        expected[i, i], expected[i, i + 1] = X[i + 1], X[i]
    np.testing.assert_allclose(jacobian(cr.jit(f, backend="python"))(X), expected)


def test_vmap():
    rows = np.stack([X, 2 * X, X + 1])
    f = cr.jit(cr.vmap(cr.grad(sweep)), backend="python")
    np.testing.assert_allclose(f(rows), np.stack([cr.grad(sweep)(r) for r in rows]))
    g = cr.jit(cr.vmap(lambda a, b: a * b.sum(), in_axes=(0, None)), backend="python")
    np.testing.assert_allclose(g(rows, X), rows * X.sum())


# -- containers ---------------------------------------------------------------------------------------


@dataclasses.dataclass
class Spring:
    stiffness: float
    rest: np.ndarray

    def energy(self, x):
        return 0.5 * self.stiffness * np.sum((x - self.rest) ** 2)


Pair = namedtuple("Pair", "a b")


def test_containers_in_and_out():
    def f(p):
        return p["w"][0] * p["w"][1] + p["b"] ** 2

    p = {"w": (2.0, 3.0), "b": 4.0}
    assert cr.jit(f, backend="python")(p) == 22.0
    assert cr.grad(cr.jit(f, backend="python"))(p) == {"w": (3.0, 2.0), "b": 8.0}
    made = cr.jit(lambda x: {"y": (x, [2 * x]), "n": None}, backend="python")(1.5)
    assert made == {"y": (1.5, [3.0]), "n": None}
    pair = cr.grad(cr.jit(lambda q: q.a * q.b, backend="python"))(Pair(2.0, 5.0))
    assert pair == Pair(5.0, 2.0)


def test_methods_of_dataclasses():
    spring = Spring(2.0, np.zeros(4))
    energy = cr.jit(lambda s, x: s.energy(x), backend="python")
    assert np.isclose(energy(spring, X), np.sum(X**2))
    gradient = cr.grad(energy)(spring, X)
    assert isinstance(gradient, Spring)
    assert np.isclose(gradient.stiffness, 0.5 * np.sum(X**2))
    np.testing.assert_allclose(gradient.rest, -2 * X)


def test_traced_values_in_a_dataclass():
    energy = cr.jit(lambda s, x: s.energy(x), backend="python")
    made = cr.grad(lambda k, x: energy(Spring(k, np.zeros(4)), x) * k, argnums=(0, 1))(2.0, X)
    np.testing.assert_allclose(made[0], 2.0 * np.sum(X**2))
    np.testing.assert_allclose(made[1], 4.0 * X)


def test_argnums_aux_and_keywords():
    def f(x, y, *, scale=1.0):
        return scale * x * y, x + y

    g = cr.jit(cr.grad(f, argnums=(0, 1), has_aux=True), backend="python")
    assert g(2.0, 3.0) == ((3.0, 2.0), 5.0)
    assert g(2.0, 3.0, scale=2.0) == ((6.0, 4.0), 5.0)


def test_integers_are_promoted_and_booleans_refused():
    f = cr.jit(lambda x: x**2 * 1.0, backend="python")
    assert cr.grad(f)(3) == 6.0
    with pytest.raises(ChainruleError):
        cr.grad(f)(True)


def test_float32_stays_float32():
    f = cr.jit(lambda x: np.sum(np.sin(x) * 2.0), backend="numba")
    x = X.astype(np.float32)
    assert type(f(x)) is np.float32
    assert cr.grad(f)(x).dtype == np.float32


# -- what the program was built on ---------------------------------------------------------------------

FACTOR = 2.0
COUNT = 3
TABLE = np.array([1.0, 2.0])


def helper(x):
    return x * x


def uses_globals(x):
    s = 0.0
    for _ in range(COUNT):
        s += FACTOR * helper(x) * TABLE[0]
    return s


def test_changed_globals_are_seen(monkeypatch):
    f = cr.jit(uses_globals, backend="python")
    g = cr.grad(f)
    assert (f(2.0), g(2.0)) == (24.0, 24.0)
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert (f(2.0), g(2.0)) == (36.0, 36.0)
    monkeypatch.setitem(globals(), "COUNT", 1)
    assert (f(2.0), g(2.0)) == (12.0, 12.0)
    monkeypatch.setitem(globals(), "helper", lambda x: x)
    assert (f(2.0), g(2.0)) == (6.0, 3.0)
    monkeypatch.setitem(globals(), "TABLE", np.array([10.0]))
    assert (f(2.0), g(2.0)) == (60.0, 30.0)
    TABLE[0] = 20.0
    assert f(2.0) == 120.0
    monkeypatch.setitem(globals(), "FACTOR", 1)
    assert f(2.0) == 40.0


def test_rebound_closure_cells_are_seen():
    k = 2.0

    def f(x):
        return k * x

    g = cr.jit(f, backend="python")
    assert g(1.0) == 2.0
    k = 5.0
    assert g(1.0) == 5.0
    assert cr.grad(g)(1.0) == 5.0


def test_changed_defaults_and_code_are_seen():
    def f(x, scale=2.0, *, powers=(1, 2)):
        return scale * x ** powers[1]

    def other(x, scale, *, powers):
        return scale * x ** powers[0]

    g = cr.jit(cr.grad(f), backend="python")
    assert g(3.0) == 12.0
    f.__defaults__ = (5.0,)
    assert g(3.0) == 30.0
    f.__kwdefaults__["powers"] = (1, 3)
    assert g(3.0) == 135.0
    f.__code__ = other.__code__  # as reloaders do
    assert g(3.0) == 5.0


def test_a_shadowed_builtin_is_seen(monkeypatch):
    f = cr.jit(lambda x: abs(x) + 0.0, backend="python")
    assert f(-2.0) == 2.0
    monkeypatch.setitem(globals(), "abs", lambda x: 10 * x)
    assert f(-2.0) == -20.0


# -- memory -------------------------------------------------------------------------------------------


def writes(x):
    x[0] = x[1] * 2
    return x.sum()


@pytest.mark.parametrize("backend", BACKENDS)
def test_jit_writes_what_the_function_writes_and_grad_does_not(backend):
    f = cr.jit(writes, backend=backend)
    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(cr.grad(f)(x), [0.0, 3.0])
    np.testing.assert_array_equal(x, [1.0, 2.0])
    assert f(x) == 6.0
    np.testing.assert_array_equal(x, [4.0, 2.0])


def test_views_and_read_only_arrays():
    f = cr.jit(sweep)
    base = np.zeros((4, 2))
    base[:, 0] = X
    for x in (base[:, 0], np.asfortranarray(base)[:, 0], np.broadcast_to(0.5, 4)):
        assert np.isclose(f(x), sweep(x))
        np.testing.assert_allclose(cr.grad(f)(x), cr.grad(sweep)(np.array(x)), rtol=1e-12)
    strided = np.zeros(8)[::2]
    strided[:] = X
    w = cr.jit(writes)
    w(strided)
    assert strided[0] == 2 * X[1]
    frozen = X.copy()
    frozen.flags.writeable = False
    assert np.isclose(f(frozen), sweep(X))
    with pytest.raises(ArgumentError, match="read-only"):
        w(frozen)


def test_arrays_that_share_memory():
    def f(a, b):
        a[0] = b[0] * 2
        return a.sum()

    g = cr.jit(f, backend="python")
    x = X.copy()
    with pytest.raises(AliasError):
        g(x, x)
    with pytest.raises(AliasError):
        g(x[:3], x[1:])
    h = cr.jit(lambda a, b: np.sum(a * b), backend="python")
    assert h(x, x) == np.sum(x * x)
    np.testing.assert_allclose(cr.grad(h, argnums=(0, 1))(x, x), (x, x))


def test_results_do_not_share_memory_with_each_other():
    f = cr.jit(cr.value_and_grad(lambda x: np.sum(x)))
    _, first = f(X)
    _, second = f(2 * X)
    assert first is not second
    np.testing.assert_array_equal(first, np.ones(4))


# -- beside eager mode and compiled code --------------------------------------------------------------


def test_jitted_functions_inside_eager_transformations():
    f = cr.jit(sweep, backend="python")
    np.testing.assert_allclose(cr.grad(lambda x: f(x) ** 2)(X), 2 * sweep(X) * cr.grad(sweep)(X))
    np.testing.assert_allclose(cr.hessian(lambda x: 3 * f(x))(X), 3 * cr.hessian(sweep)(X), atol=1e-12)
    y, y_dot = cr.jvp(lambda x: f(x) + x[0], (X,), (X,))
    assert np.isclose(y_dot, cr.grad(sweep)(X) @ X + X[0])


def test_calls_from_compiled_code():
    numba = pytest.importorskip("numba")
    f, g = cr.jit(sweep), cr.jit(cr.grad(sweep))

    @numba.njit
    def descend(x):
        for _ in range(5):
            x = x - 0.01 * g(x)
        return f(x)

    x = X
    for _ in range(5):
        x = x - 0.01 * cr.grad(sweep)(x)
    assert np.isclose(descend(X), sweep(x))


def test_a_numba_function_is_read():
    numba = pytest.importorskip("numba")
    f = numba.njit(sweep)
    np.testing.assert_allclose(cr.jit(cr.grad(f), backend="python")(X), cr.grad(sweep)(X))


def test_custom_rules():
    @cr.custom_jvp
    def f(x, y):
        return np.sin(x) * y

    f.defjvp(lambda p, t: (f(*p), 100 * np.cos(p[0]) * p[1] * t[0] + np.sin(p[0]) * t[1]))

    @cr.custom_vjp
    def g(x, y):
        return np.sum(x * y)

    g.defvjp(lambda x, y: (g(x, y), (x, y)), lambda kept, ct: (3 * ct * kept[1], ct * kept[0]))

    def by_jvp(x):
        return f(x, x) * 2 + f(x, 3.0)

    def by_vjp(x):
        return g(x, x * x) + g(2 * x, x)

    for h, x in ((by_jvp, 0.7), (by_vjp, X)):
        native = cr.jit(h, backend="python")
        np.testing.assert_allclose(cr.grad(native)(x), cr.grad(h)(x))
        np.testing.assert_allclose(cr.jacfwd(native)(x), cr.jacfwd(h)(x))
        np.testing.assert_allclose(cr.hessian(native)(x), cr.hessian(h)(x))


# -- source, verify, refusals -------------------------------------------------------------------------


def test_source_runs_and_is_short():
    text = cr.source(cr.grad(sweep), X)
    space: dict = {}
    exec(text, space)
    made = [v for k, v in space.items() if (callable(v) and getattr(v, "__module__", None) is None) or k == "sweep"]
    np.testing.assert_allclose(made[-1](X), cr.grad(sweep)(X))
    assert "u[i] = np.sin(u[i - 1])" in text  # the user's line, as a comment or as code
    assert len(text.splitlines()) < 45


def test_verify():
    f = cr.jit(cr.grad(sweep), verify=True)
    np.testing.assert_allclose(f(X), cr.grad(sweep)(X))


def unknown(x):
    return np.linalg.eig(x)


def test_refusals_name_the_line():
    with pytest.raises(UnsupportedError, match=r"np.linalg.eig|numpy.linalg.eig") as error:
        cr.jit(unknown)(np.eye(2))
    assert "test_jit.py" in str(error.value)
    assert "return np.linalg.eig(x)" in str(error.value)


def test_a_refusal_does_not_show_its_way_through_the_package():
    def careful(x):
        try:
            return x
        except ValueError:
            return 0.0

    for call in (cr.jit(careful), cr.jit(cr.grad(careful)), functools.partial(cr.source, cr.grad(careful))):
        with pytest.raises(UnsupportedError, match="not caught") as caught:
            call(2.0)
        assert len(traceback.extract_tb(caught.value.__traceback__)) <= 5
        assert len(traceback.extract_tb(caught.value.__context__.__traceback__)) > 5  # for a debugger


def test_bad_options():
    with pytest.raises(ArgumentError, match="backend"):
        cr.jit(sweep, backend="c")
    with pytest.raises(ArgumentError, match="fastmath"):
        cr.jit(sweep, fastmath="fast")
    with pytest.raises(ArgumentError, match="function"):
        cr.jit(3.0)
    with pytest.raises(ArgumentError, match="stage"):
        cr.source(sweep, X, stage="x")


def test_user_exceptions_keep_their_message():
    def f(x):
        if x < 0:
            raise ValueError(f"negative: {x}")
        return math.sqrt(x)

    for backend in BACKENDS:
        g = cr.jit(f, backend=backend)
        assert g(4.0) == 2.0
        with pytest.raises(ValueError, match=r"negative: -1.0"):
            g(-1.0)
