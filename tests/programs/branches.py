"""Branches, conditions, early returns, messages."""

import math

import numpy as np

from tests.programs.table import program

V4 = [0.5, 1.5, -0.8, 2.2]


@program(1.2, tags="if")
def either_or(x):
    if x > 1:
        y = x * x
    else:
        y = np.sin(x)
    return y * x


@program(-0.7, tags="elif")
def ladder(x):
    if x > 2:
        y = x
    elif x > 0:
        y = x**2
    elif x > -1:
        y = np.exp(x) * x
    else:
        y = -x
    return y + x


@program(0.7, tags="if")
def if_without_else(x):
    y = x
    if x < 1:
        y = y * 3
        y += np.cos(y)
    return y


@program(0.7, 1.2, tags="if nested")
def branches_in_branches(x, y):
    if x > 0:
        if y > 1:
            z = x * y
        else:
            z = x / y
        z = z + 1
    else:
        z = y - x
    return z * z


@program(0.7, tags="return")
def guard_clauses(x):
    if x < 0:
        return -x
    if x < 0.5:
        return x * 2
    y = x * x
    if y > 4:
        return np.log(y)
    return y * np.sin(y)


@program(0.7, 1.2, tags="return nested")
def returns_at_every_depth(x, y):
    if x > 0:
        if y > 2:
            return x
        x = x * y
        if y > 1:
            z = x + y
        else:
            return y
    else:
        z = y
        if y < 0:
            return z * z
    w = z * x
    v = w + np.sin(w)
    u = v * v
    u = u + w / 3
    u = u - v * x
    u = u / (1 + y)
    u = u * 1.1
    t = u + z
    s = t * t
    r = s - u
    q = r + np.exp(-s / 40)
    p = q * w
    o = p - v
    return o * 0.01


@program(0.7, tags="return if")
def a_variable_of_one_branch(x):
    if x > 0:
        helper = x * 3
    if x > 0.5:
        return helper * x
    return x


@program(-1.4, tags="ifexp")
def conditional_expressions(x):
    y = x if x > 0 else -x
    return (y * 2 if y < 1 else y**2 if y < 2 else y**3) + (0.0 if x > 0 else x)


@program(0.0, tags="ifexp poles", order=1)
def a_branch_guards_the_pole(x):
    y = np.log(x) if x > 1 else 2 * x
    return y + (np.sin(x) / x if x != 0.0 else 1.0)


@program(0.7, 1.3, tags="logic")
def logic(x, y):
    if (x > 0 and y > 0) or not x < 1:
        return x * y
    return x + y


@program(0, 1.3, tags="logic shortcircuit integers")
def the_right_side_is_not_evaluated(n, y):
    if n != 0 and y / n > 1:
        return y / n
    if n == 0 or y / n > 2:
        return y * (n + y)
    return y


@program(0.7, tags="compare")
def chained_comparisons(x):
    if 0 < x <= 1 < 2:
        return x**2
    if 1 < x < 2 != 3:
        return x**3
    return x


@program(V4, tags="if array")
def an_array_of_either_branch(x):
    if x[0] > 0:
        y = x * x
    else:
        y = np.sin(x)
    return np.sum(y * x)


@program(V4, tags="ifexp array")
def an_array_by_a_conditional_expression(x):
    y = x[1:] * 2.0 if x[3] > 1 else x[:3] - 1.0
    return np.sum(y * y)


@program(V4, tags="if array views")
def a_row_rebound_in_a_branch(x):
    a = x.reshape(2, 2)
    row = a[0]
    if x[3] > 2:
        row = a[1]
    return row[0] * row[1] + np.sum(row)


@program(0.6, 1.4, tags="return tuple")
def returns_of_pairs(x, y):
    if x > y:
        return x, y * x
    z = np.sin(y)
    return z * x, y


@program(0.6, tags="raise")
def raise_if_wrong(x):
    if x < 0:
        raise ValueError("x must be positive")
    if x > 10:
        raise OverflowError(f"x = {x} is too large")
    return np.sqrt(x)


@program(V4, tags="raise loop")
def raise_in_a_loop(x):
    s = 0.0
    for i in range(len(x)):
        if x[i] > 5.0:
            raise ValueError(f"element {i} is too large")
        s += x[i] ** 2
    return s


@program(0.6, tags="assert")
def assertions(x):
    assert x > 0, "x must be positive"
    y = x * 2
    assert y < 10
    return y * y


@program(0.6, tags="print")
def prints(x):
    print("x =", 1)
    return np.tanh(x)


@program(0.6, "cube", tags="static string")
def a_string_chooses(x, kind):
    if kind == "square":
        return x * x
    if kind == "cube":
        return x * x * x
    raise ValueError(kind)


@program(0.6, tags="static none default")
def none_as_default(x, scale=None, power=3):
    if scale is None:
        scale = 2.0
    if power is not None and power > 2:
        scale = scale * x
    return scale * x


@program(0.3, 1.0, tags="if")
def huber(x, delta):
    if abs(x) <= delta:
        return 0.5 * x**2
    return delta * (abs(x) - 0.5 * delta)


@program(1.5, tags="if kinks")
def smooth_step(x):
    t = min(max((x - 1.0) / 2.0, 0.0), 1.0)
    return t * t * (3 - 2 * t)


@program(2.3, tags="match if integers", eager=False)
def integer_decides(x):
    n = int(x)
    if n % 2 == 0:
        y = x * n
    else:
        y = x / n
    return y**n


@program(0.6, 0.4, tags="if booleans")
def flags_kept_in_variables(x, y):
    inside = x * x + y * y < 1
    positive = x > 0
    if inside and not positive:
        return x
    both = inside and positive
    return (x + y) ** 3 if both else math.pi * y


@program([0.5, 1.5, -0.8], tags="first nested")
def first_assigned_in_one_of_three_ways(x):
    if x[1] > 1:
        z = x[1] * x[0]
    elif x[2] > 0:
        z = 3.0
    if x[0] > 1:
        w = x[2]
    else:
        if x[1] > 5:
            pass
        elif x[1] > 1:
            w = z * x[2]
    return w * z
