"""Derivatives inside the program that is differentiated."""

import numpy as np

import chainrule as cr
from tests.programs.table import program

V3 = [0.3, -0.7, 1.1]


@program(0.7, 1.3, tags="grad inside")
def a_gradient_inside(x, y):
    return cr.grad(lambda t: np.sin(t * y) * t)(x) + y


@program(0.7, 1.3, tags="jvp inside")
def a_tangent_inside(x, y):
    value, tangent = cr.jvp(lambda a, b: a * np.sin(b), (x, y), (1.0, x))
    return value * tangent


@program(V3, tags="vjp inside")
def a_pullback_inside(x):
    y, pullback = cr.vjp(lambda v: v**3 * np.sum(v), x)
    (ct,) = pullback(y)
    return np.sum(ct)


@program(0.7, tags="value_and_grad inside")
def value_and_gradient_inside(x):
    value, gradient = cr.value_and_grad(lambda t: np.exp(t) * x)(x * x)
    return value + gradient**2


@program(0.7, tags="derivative inside", order=1)
def higher_derivatives_inside(x):
    return cr.derivative(lambda t: np.sin(t) * t**3, 3)(x)


@program(V3, tags="grad array inside")
def a_gradient_of_an_array_inside(x):
    g = cr.grad(lambda v: np.sum(v**3) * v[0])(x)
    return g @ x


@program(0.7, 1.3, tags="confusion")
def perturbations_are_not_confused(x, y):
    return x * cr.grad(lambda t: t * cr.grad(lambda s: s * t * x)(y))(x * 2)


@program(0.4, tags="grad while inside")
def gradient_descent_inside(a):
    x = 2.0
    while abs(cr.grad(lambda t: (t - a) ** 2 + 0.1 * t**4)(x)) > 1e-6:
        x = x - 0.2 * cr.grad(lambda t: (t - a) ** 2 + 0.1 * t**4)(x)
    return x


@program(2.0, 0.7, tags="saddle grad grad")
def saddle_reverse_reverse(x, y):
    def inner(x):
        z = y
        for _ in range(6):
            z = z + 0.2 * cr.grad(lambda t: x * t - t * t)(z)
        return x * x + x * z - z * z

    for _ in range(4):
        x = x - 0.1 * cr.grad(inner)(x)
    return x


@program(2.0, 0.7, tags="saddle jvp jvp")
def saddle_forward_forward(x, y):
    def inner(x):
        z = y
        for _ in range(6):
            _, slope = cr.jvp(lambda t: x * t - t * t, (z,), (1.0,))
            z = z + 0.2 * slope
        return x * x + x * z - z * z

    for _ in range(4):
        _, slope = cr.jvp(inner, (x,), (1.0,))
        x = x - 0.1 * slope
    return x


@program(2.0, 0.7, tags="saddle jvp grad")
def saddle_mixed(x, y):
    def inner(x):
        z = y
        for _ in range(6):
            z = z + 0.2 * cr.grad(lambda t: x * t - t * t)(z)
        return x * x + x * z - z * z

    for _ in range(4):
        _, slope = cr.jvp(inner, (x,), (1.0,))
        x = x - 0.1 * slope
    return x


@program(V3, tags="hessian inside", order=1)
def a_hessian_inside(x):
    h = cr.hessian(lambda v: np.sum(v**3) + v[0] * v[1] ** 2)(x)
    return np.sum(h @ x)


@program(V3, tags="stop_gradient inside", order=0)
def a_stopped_gradient(x):
    return np.sum(x * cr.stop_gradient(x * x))


@program([0.5, 1.5, -0.8], tags="vjp linearize overwritten")
def pullbacks_of_what_is_overwritten(x):
    y, pull = cr.vjp(lambda v: np.sin(v) * x, x)
    z, push = cr.linearize(lambda v: v**2 * x[1], x)
    x[0] = 5.0 * x[1]
    return np.sum(pull(y)[0] * x) + np.sum(push(z) * x)
