"""Containers: tuples, lists, dicts, named tuples and dataclasses, as arguments, results and on the way."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tests.programs.table import program

V3 = [0.3, -0.7, 1.1]


class Point(NamedTuple):
    x: float
    y: float

    def norm(self):
        return np.sqrt(self.x**2 + self.y**2)


@dataclass(frozen=True)
class Layer:
    w: np.ndarray
    b: np.ndarray

    def __call__(self, x):
        return np.tanh(self.w @ x + self.b)


@dataclass(frozen=True)
class Spring:
    k: float
    rest: float = 1.0

    def energy(self, x):
        return 0.5 * self.k * self.stretch(x) ** 2

    def stretch(self, x):
        return x - self.rest


W = np.array([[0.2, -0.4, 0.9], [1.3, 0.6, -0.5]])
B = np.array([0.1, -0.3])
X = np.array(V3)


@program((0.7, 1.2), tags="tuple argument")
def a_tuple_argument(p):
    a, b = p
    return a * b + p[0] ** 2


@program({"w": W, "b": B}, V3, tags="dict argument")
def a_dict_of_parameters(params, x):
    h = np.tanh(params["w"] @ x + params["b"])
    return np.sum(h**2)


@program([{"w": W, "b": B}, {"w": W.T.copy(), "b": X}], V3, tags="list argument")
def layers_in_a_list(layers, x):
    for layer in layers:
        x = np.tanh(layer["w"] @ x + layer["b"])
    return np.sum(x)


@program(Point(0.6, 1.1), tags="namedtuple argument")
def a_named_tuple(p):
    x, y = p
    return p.norm() * p.x + y * x


@program(Layer(W, B), V3, tags="dataclass argument")
def a_dataclass(layer, x):
    return np.sum(layer(x)) + np.sum(layer.w**2)


@program(Spring(2.0, 0.4), 1.3, tags="dataclass methods")
def methods_of_a_dataclass(spring, x):
    return spring.energy(x) + spring.k * spring.stretch(2 * x)


@program(0.6, 1.1, tags="records made")
def records_made_inside(x, y):
    p = Point(x * y, y)
    q = Point(y=x, x=p.x)
    s = Spring(p.y)
    return p.norm() + q.x * q.y + s.energy(x) + s.rest


@program(0.6, 1.1, tags="tuple output")
def a_tuple_result(x, y):
    return x * y, np.sin(x), y


@program(V3, 0.5, tags="dict output")
def a_dict_result(x, t):
    return {"value": x * t, "total": np.sum(x) * t}


@program(V3, tags="nested output")
def nested_results(x):
    return [x[0] * x[1], (np.sin(x), {"last": x[2] ** 2})]


@program(0.6, 1.1, tags="namedtuple output")
def a_named_tuple_result(x, y):
    return Point(x + y, x * y)


@program(V3, tags="list append")
def a_list_that_grows(x):
    parts = [x[0]]
    parts.append(x[1] * x[2])
    parts.append(np.sin(parts[1]))
    parts += [parts[0] * 2]
    return parts[0] * parts[-1] + parts[2] + len(parts)


@program(V3, tags="tuple operations")
def tuples_are_joined_and_sliced(x):
    a = (x[0], x[1])
    b = (*a, x[2], 2.0)
    c = b[1:] + a
    return c[0] * c[-1] + b[-1] * len(c) + sum(c)


@program(0.4, 0.9, 1.3, tags="tuple vectors")
def small_vectors_as_tuples(a, b, c):
    def cross(u, v):
        return u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]

    def dot(u, v):
        return sum(p * q for p, q in zip(u, v))  # noqa: B905

    u, v = (a, b, c), (b * c, 1.0, a)
    w = cross(u, v)
    return dot(w, w) + dot(u, v)


@program(0.4, 0.9, tags="tuple carry")
def a_tuple_in_a_loop(a, b):
    state = (a, b)
    for _ in range(4):
        p, q = state
        state = (q, p * q + 0.5)
    return state[0] + state[1] ** 2


@program(Point(0.6, 1.1), tags="namedtuple carry")
def a_record_in_a_loop(p):
    for k in range(3):
        p = Point(p.x - 0.1 * p.y, p.y + 0.1 * np.sin(p.x) * k)
    return p.norm()


@program(0.7, tags="dict static")
def functions_in_a_dict(x):
    table = {"sin": np.sin, "cos": np.cos}
    total = 0.0
    for name in ("sin", "cos", "sin"):
        total = total * x + table[name](x)
    return total


@program((np.array(V3), (0.5, np.array([1.0, 2.0]))), tags="nested argument")
def nested_arguments(tree):
    x, (t, y) = tree
    return np.sum(x) * t + y[0] * y[1] * x[2]
