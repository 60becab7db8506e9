"""Loops of all kinds, and the ways out of them."""

import numpy as np

from tests.programs.table import program

V4 = [0.5, 1.5, -0.8, 2.2]
W4 = [1.1, -0.3, 0.7, 0.4]
M23 = [[0.2, -0.4, 0.9], [1.3, 0.6, -0.5]]
M33 = [[2.0, 0.3, -0.1], [0.4, 1.7, 0.2], [-0.3, 0.5, 2.4]]


@program(0.4, tags="for range")
def scalar_loop(x):
    y = x
    for _ in range(20):
        y = np.sin(y) * x + y / 2
    return y


@program(V4, 4, tags="for range integers")
def the_bound_is_an_argument(x, n):
    s = 0.0
    for i in range(n):
        s += x[i] * x[i]
    return s


@program(V4, tags="for range start")
def from_one_on(x):
    s = x[0]
    for i in range(1, len(x)):
        s = s * 0.5 + x[i] * x[i - 1]
    return s


@program(V4, tags="for range step negative")
def backwards(x):
    s = 0.0
    for i in range(len(x) - 1, -1, -1):
        s = s * 0.7 + x[i]
    return s * s


@program([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], 3, tags="for range step")
def steps(x, k):
    s = 0.0
    for i in range(1, 8, 3):
        s += np.sin(x[i]) * i
    for i in range(7, 0, -k):
        s += x[i] ** 2
    for i in range(0, 8, k):
        s *= 1 + x[i]
    return s


@program(V4, tags="for range empty")
def loops_that_never_run(x):
    y = x[0]
    for i in range(0):
        y = y * x[i]
    for i in range(3, 3):
        y = y + x[i]
    for i in range(2, 5, -1):
        y = y / x[i]
    return y


@program(V4, tags="for array")
def over_an_array(x):
    s = 0.0
    for value in x:
        s += value**3
    return s


@program(M23, tags="for array rows")
def over_the_rows(a):
    s = 0.0
    for row in a:
        s += np.sum(row**2) * row[0]
    return s


@program(V4, W4, tags="for zip")
def over_pairs(x, w):
    s = 0.0
    for a, b in zip(x, w):  # noqa: B905
        s += a * np.exp(b)
    return s


@program(V4, tags="for enumerate")
def over_numbered_items(x):
    s = 0.0
    for k, value in enumerate(x):
        s += (k + 1) * value**2
    for k, value in enumerate(x, 2):
        s += value * k
    return s


@program(V4, W4, tags="for enumerate zip slices")
def over_numbered_pairs(x, w):
    s = 1.0
    for k, (a, b) in enumerate(zip(x[1:], w[:-1])):  # noqa: B905
        s = s * np.cos(a * b) + k
    return s


@program(V4, tags="for reversed")
def over_the_reverse(x):
    s = 0.0
    for value in reversed(x):
        s = s * 0.5 + value
    for value in x[::-1]:
        s = s * 0.5 + value
    return s


@program(M33, tags="for nested")
def nested(a):
    s = 0.0
    for i in range(3):
        for j in range(3):
            s += a[i, j] * a[j, i] * (i + 1) / (j + 1)
    return s


@program(V4, tags="for nested triangular")
def triangular(x):
    s = 0.0
    for i in range(4):
        for j in range(i):
            s += np.exp(-((x[i] - x[j]) ** 2))
    return s


@program(V4, tags="for nested triangular carry")
def a_product_per_row(x):
    total = 0.0
    for i in range(len(x)):
        p = 1.0
        for j in range(i, len(x)):
            p = p * x[j] + 0.1
        total += p * x[i]
    return total


@program(M33, tags="for nested three")
def matrix_product_by_hand(a):
    s = 0.0
    for i in range(3):
        for j in range(3):
            c = 0.0
            for k in range(3):
                c += a[i, k] * a[k, j]
            s += c * c
    return s


@program(V4, tags="for tuple static")
def over_a_tuple(x):
    s = 0.0
    for c in (1.0, -0.5, 0.25):
        s += np.sin(c * x[0])
    for f in (np.sin, np.cos):
        s *= f(x[1])
    for i, j in ((0, 1), (2, 3)):
        s += x[i] * x[j]
    return s


@program(V4, tags="for carry promotion")
def an_integer_becomes_a_float(x):
    s = 0
    p = 1
    for i in range(4):
        s += x[i]
        p *= s
    return p


@program(0.3, 0.8, tags="for carry parallel")
def parallel_assignment(a, b):
    for _ in range(5):
        a, b = b * np.sin(a), a + b
    return a * b


@program(0.3, 0.8, tags="for carry swap")
def fibonacci_of_floats(a, b):
    for _ in range(10):
        a, b = b, a + b * 0.3
    return b


@program(V4, tags="for index after")
def the_index_after_the_loop(x):
    for i in range(3):
        y = x[i] * 2
    return y * x[i] + i


@program(V4, tags="for carry unused")
def values_that_nobody_needs(x):
    s = 0.0
    t = 1.0
    last = 0.0
    for i in range(4):
        s += x[i] ** 2
        t = t * x[i] + s
        last = np.sin(x[i])
    return s + last


@program(V4, tags="for integers carry")
def integers_in_a_loop(x):
    k = 1
    s = 0.0
    for i in range(4):
        k = (k * 3 + i) % 4
        s += x[k] * (i - k)
    return s


@program(2.0, tags="while newton")
def newton(a):
    x = a
    while abs(x * x - a) > 1e-13:
        x = 0.5 * (x + a / x)
    return x


@program([1.1, 2.3, 0.7], tags="while for nested")
def newton_for_each(a):
    s = 0.0
    for k in range(len(a)):
        x = a[k]
        while abs(x * x * x - a[k]) > 1e-13:
            x = x - (x * x * x - a[k]) / (3 * x * x)
        s += x * (k + 1)
    return s


@program(0.7, tags="while and")
def until_one_of_two(x):
    y, k = x, 0
    while y < 3.0 and k < 10:
        y = y * (1 + x)
        k += 1
    return y * k


@program(0.7, tags="while break")
def an_endless_loop_with_break(x):
    y = x
    while True:
        y = y * 1.5 + 0.1
        if y > 5:
            break
        y = y + np.sin(y) * 0.1
    return y


@program(0.5, tags="while break bisection")
def bisection(c):
    lo, hi = 0.0, 2.0 + c * 0.0
    for _ in range(30):
        mid = 0.5 * (lo + hi)
        if mid * mid < 0.5:
            lo = mid
        else:
            hi = mid
    return c * mid + c**2


@program(V4, tags="for continue")
def skip_the_negative(x):
    s = 1.0
    for i in range(4):
        if x[i] < 0:
            continue
        s *= x[i]
        if s > 100:
            continue
        s += 1
    return s


@program(V4, tags="for break")
def stop_at_the_negative(x):
    s = 0.0
    for i in range(4):
        if x[i] < 0:
            break
        s += x[i] ** 2
    return s * i


@program(V4, tags="for break nested")
def break_the_inner_loop(x):
    s = 0.0
    for i in range(4):
        for j in range(4):
            if j > i or x[j] < 0:
                break
            s += x[i] * x[j]
        s += x[i]
    return s


@program(V4, tags="for break array")
def break_a_loop_over_values(x):
    s = 0.0
    for k, value in enumerate(x):
        s += value * (k + 1)
        if s > 3:
            break
    return s * value


@program(V4, tags="for else break")
def else_after_a_break(x):
    s = 0.0
    for value in x:
        s += value
        if s > 1.5:
            s *= 2
            break
    else:
        s = -s
    return s * s


@program(V4, tags="for else")
def else_without_a_break(x):
    s = 0.0
    for value in x:
        if value > 100:
            break
        s += value**2
    else:
        s = s * x[0]
    return s


@program(0.9, tags="while else")
def else_of_while(x):
    y = x
    while y < 4:
        y = y * 2
        if y > 100:
            break
    else:
        y = y + x
    return y


@program(V4, tags="for return")
def return_from_a_loop(x):
    s = 0.0
    for i in range(4):
        s += x[i] ** 2
        if s > 2:
            return s * x[i]
    return s


@program(M33, tags="for return nested")
def return_from_the_inner_loop(a):
    s = 1.0
    for i in range(3):
        for j in range(3):
            s = s * 1.1 + a[i, j]
            if s > 4.5:
                return s * a[j, i] + i
        s = s + 0.1
    return s


@program(0.9, tags="while return break continue")
def every_jump(x):
    y, k = x, 0
    while k < 20:
        k += 1
        if k % 3 == 0:
            continue
        y = y * 1.3
        if y > 50:
            return y
        for j in range(5):
            if j * y > 6:
                break
            y = y + 0.05 * j
        if y > 4 and k > 4:
            break
    else:
        return -y
    return y * x


@program(V4, tags="for continue long")
def continue_in_nested_branches(x):
    s = 1.0
    for i in range(4):
        if x[i] > 0:
            if x[i] > 2:
                continue
            s += x[i]
        else:
            s -= x[i]
        a = s * x[i]
        b = a + s
        c = b * 0.5
        d = c - a
        e = d * d
        s = s + e * 0.1
        s = s * 1.01
    return s


@program(V4, tags="for argmax")
def the_largest_by_hand(x):
    best = x[0]
    at = 0
    for i in range(1, 4):
        if x[i] > best:
            best = x[i]
            at = i
    return best * x[at - 1]


@program(0.8, tags="while series")
def series_until_small(x):
    term, total, k = 1.0, 1.0, 1
    while abs(term) > 1e-16:
        term = term * x / k
        total += term
        k += 1
    return total


@program([2.0, 0.5], tags="while branch")
def adaptive_steps(p):
    t, y, h = 0.0, p[0], 0.1
    while t < 1.0:
        k1 = -p[1] * y * y
        k2 = -p[1] * (y + h * k1) ** 2
        if abs(k2 - k1) * h < 0.02:
            t = t + h
            y = y + h * 0.5 * (k1 + k2)
            h = h * 1.2
        else:
            h = h * 0.5
    return y


@program(V4, tags="comprehension sum")
def sums_of_generators(x):
    return sum(x[i] * x[i] for i in range(4)) + sum(v**3 for v in x)


@program(V4, tags="comprehension list")
def lists_by_comprehension(x):
    squares = [v * v for v in x]
    total = 0.0
    for i in range(len(squares)):
        total += squares[i] * (i + 1)
    return total + squares[-1]


@program(V4, tags="comprehension nested", eager=False)
def an_array_by_comprehension(x):
    a = np.array([[x[i] * x[j] for j in range(4)] for i in range(3)])
    return np.sum(np.sin(a))


@program(V4, tags="comprehension condition")
def comprehension_with_a_condition(x):
    return sum([x[i] ** 2 for i in range(4) if i % 2 == 0]) + sum(np.sin(v) for v in x if v > 0)


@program(V4, tags="while array index")
def walk_along_an_array(x):
    i, s = 0, 0.0
    while i < len(x) and x[i] > 0:
        s += x[i] ** 2
        i += 1
    return s + i


@program(V4, tags="for bounds")
def the_bound_changes_in_the_loop(x):
    n, s = 2, 0.0
    for i in range(n):
        n = n + 1
        s += x[i] * n
    for i in range(n):
        s = s + x[i] ** 2
    return s


@program(V4, tags="for rebound index")
def the_index_is_assigned(x):
    s = 0.0
    for i in range(3):
        s += x[i]
        i = i + 1
        s += x[i] * i
    return s


@program(1.5, 5, tags="while nested integers")
def collatz(x, n):
    y = x
    while n != 1:
        if n % 2 == 0:
            n = n // 2
            y = y / 1.1
        else:
            n = 3 * n + 1
            y = np.sqrt(y + n)
    return y


@program([0.3, 0.9, 0.1], 2, tags="for carry condition")
def two_coupled_recurrences(c, n):
    h = c[0]
    g = c[1]
    for k in range(6):
        g_new = np.tanh(h * c[2] + g)
        if k >= n:
            h = h * g_new + c[0]
        g = g_new
    return h - g


@program([[3.0, 0.2], [0.5, 2.5]], tags="while head view reduction")
def halved_until_all_are_small(x):
    x = x.copy()
    s = 0.0
    for i in range(x.shape[0]):
        while np.max(x[i]) > 1 and np.sum(x.reshape(4)[1:]) > 0.1:
            x[i] *= 0.5
            s += x[i, 0]
    return s + np.sum(x)
