"""Functions that call themselves: once and more often, in loops, for two halves, with arrays that they write to."""

import math

import numpy as np

from tests.programs.table import program

V4 = [0.4, -0.3, 0.8, 1.1]

# -- once, whichever way is taken ---------------------------------------------------------------------


def chained(x, n):
    if n == 0:
        return 1.0
    return x[n - 1] * np.sin(chained(x, n - 1)) + 0.5


@program(V4, tags="recursion linear array")
def linear_recursion(x):
    return chained(x, len(x))


def accumulated(x, n, total):
    if n == 0:
        return total
    return accumulated(x, n - 1, total * x + 0.01)


@program(1.1, 6, tags="recursion linear tail")
def tail_recursion(x, n):
    return accumulated(x, n, 1.0)


def divided(a, b, x):
    if b == 0:
        return a * x
    return divided(b, a % b, x * 1.1 + b)


@program(0.3, tags="recursion linear tail integers")
def recursion_of_euclid(x):
    return divided(12, 18, x)


def nested(c, k, x):
    if k == len(c) - 1:
        return c[k]
    s = np.sin(c[k])
    return s + x * nested(c, k + 1, x * 1.01)


@program(V4, 0.7, tags="recursion linear array")
def recursion_that_keeps_values(c, x):
    return nested(c, 0, x)


def pair(x, n):
    if n == 0:
        return x, 1.0
    a, b = pair(x, n - 1)
    return a * b, b + x


@program(0.3, 4, tags="recursion linear tuple")
def linear_recursion_of_pairs(x, n):
    a, b = pair(x, n)
    return a + b


def up_and_down(u, n):
    if n == len(u):
        return 0.0
    t = u[n]
    u[n] = t * t
    r = up_and_down(u, n + 1)
    u[n] += r
    return r + t * u[n]


@program(V4, tags="recursion linear store")
def linear_recursion_that_writes(u):
    return up_and_down(u, 0)


def stepwise(x, n):
    if n > 5:
        return stepwise(x * 0.9, n - 3) + 1
    if n == 0:
        return x
    if n == 1:
        return x * x
    return np.sin(x) * stepwise(x, n - 2)


@program(0.4, 13, tags="recursion linear branches")
def linear_recursion_with_several_ends(x, n):
    return stepwise(x, n)


# -- more often ---------------------------------------------------------------------------------------


def visited(x, left, right, k):
    if k < 0:
        return 0.0, 1.0
    a, b = visited(x, left, right, left[k])
    c, d = visited(x, left, right, right[k])
    if a > c:
        return a * d + x[k], b * d
    return c * b - math.sin(x[k]) * a, b + d * x[k]


@program([0.3, -0.2, 0.5, 0.9, 0.1], tags="recursion tree tuple", eager=False)
def recursion_over_a_tree(x):
    a, b = visited(x, np.array([1, 3, -1, -1, -1]), np.array([2, 4, -1, -1, -1]), 0)
    return a * b


def evaluated(c, lo, hi, x):
    if hi - lo <= 2:
        s = 0.0
        k = hi
        while k > lo:
            k -= 1
            s = s * x + c[k]
        return s
    mid = (lo + hi) // 2
    p = 1.0
    for i in range(lo, mid):
        p = p * x if i % 2 == 0 else x * p
    return evaluated(c, lo, mid, x) + p * evaluated(c, mid, hi, x)


@program([0.5, -1.0, 2.0, 0.25, 0.3, 0.1, 0.7], 0.9, tags="recursion loops")
def recursion_with_loops(c, x):
    return evaluated(c, 0, len(c), x) ** 2


def transformed(x, n):
    if n == 1:
        return x * x[0]
    h = n // 2
    even, odd = np.zeros(h), np.zeros(h)
    for i in range(h):
        even[i] = x[2 * i]
        odd[i] = math.sin(x[2 * i + 1])
    a = transformed(even, h)
    b = transformed(odd, h)
    r = np.zeros(n)
    for i in range(h):
        r[i] = a[i] + b[i] * even[i]
        r[i + h] = a[i] * b[i] - odd[i]
    return r


@program(V4, tags="recursion array results", eager=False)
def recursion_of_arrays(x):
    r = transformed(x, len(x))
    return np.sum(r * r)


def partitioned(x, lo, hi):
    if hi - lo < 2:
        return
    p = x[hi - 1]
    i = lo
    for j in range(lo, hi - 1):
        if x[j] < p:
            t = x[i]
            x[i] = x[j]
            x[j] = t * 1.01
            i += 1
    t = x[i]
    x[i] = p * 0.99
    x[hi - 1] = t
    partitioned(x, lo, i)
    partitioned(x, i + 1, hi)


@program([0.4, 0.1, 0.9, -0.3, 0.35, 0.8], [1.0, 2.0, -1.0, 0.5, 0.3, 0.2], tags="recursion store in place")
def quicksort(x, w):
    y = x * 1.0
    partitioned(y, 0, len(y))
    return np.sum(y * w * y)


def branching(x, t, n):
    if n == 0:
        return t + x[0]
    s = 0.0
    for i in range(n):
        s = s + branching(x, t * x[i], i) * 0.5
    return s * math.cos(t)


@program(V4, tags="recursion loop while store", eager=False)
def recursion_in_loops(x):
    s = 0.0
    for i in range(len(x)):
        k = 0
        while k < i:
            s += branching(x, x[i] * s, k)
            k += 1
        x[i] = s * 0.3 + x[i]
    return s


def settled(k, x):
    if k < 1:
        return np.sqrt(1.3 + x * x)
    x = np.sin(x)
    return 0.7 * settled(k - 1, 0.4 * x) + x


@program(0.3, tags="recursion while")
def recursion_in_a_condition(x):
    """A loop asks at each round, and in one case uses, what a function that calls itself says."""
    s, m = 0.0, 0
    while m < 4 and settled(3, x) <= 1.5:
        m += 1
        s += x * settled(m, s)
    while (r := settled(2, s)) <= 2.0 and m < 9:
        s += r * x
        m += 1
    return s


def minor(a, n, m, rows, columns):
    if m == 1:
        return a[rows[n] * n + columns[n]]
    row, column, former = rows[n], columns[n], n
    total, sign = 0.0, 1.0
    rows[n] = rows[row]
    for _ in range(m):
        element = a[row * n + column]
        columns[former] = columns[column]
        total += sign * element * minor(a, n, m - 1, rows, columns)
        columns[former] = column
        former, column, sign = column, columns[column], -sign
    rows[n] = row
    return total


@program([2.0, -1.0, 0.3, 0.5, 1.5, 0.7, -0.2, 0.4, 1.1], tags="recursion store integers loop")
def determinant_by_lists_of_what_is_left(a):
    n = 3
    rows, columns = np.arange(1, n + 2), np.arange(1, n + 2)
    rows[n] = columns[n] = 0
    return minor(a, n, n, rows, columns)


def decided(x, n):
    if n == 0:
        return x
    a = decided(x * 0.7, n - 1)
    flag = a > 0.1 * n
    if flag:
        b = decided(a, n - 1)
    else:
        b = a * a
    return b + x if flag else b * x


@program(0.8, 3, tags="recursion branch bool")
def recursion_that_decides_by_its_results(x, n):
    return decided(x, n)


def first(x, n):
    if n <= 0:
        return x * x
    return first(x, n - 1) * second(x, n - 2)


def second(x, n):
    if n <= 0:
        return np.sin(x)
    return first(x * 0.5, n - 2) + second(x, n - 1)


@program(0.7, 6, tags="recursion mutual double")
def two_functions_of_both(x, n):
    return first(x, n)


def filled(x, w, lo, hi):
    if hi - lo == 1:
        w[lo] = x[lo] * x[lo]
        return w[lo]
    mid = (lo + hi) // 2
    a = filled(x, w, lo, mid)
    b = filled(x, w, mid, hi)
    for i in range(lo, hi):
        w[i] = w[i] * a + b
    return w[lo] + w[hi - 1]


@program([0.4, 1.1, 0.9, -0.3, 0.35], tags="recursion store workspace", eager=False)
def recursion_with_a_workspace(x):
    return filled(x, np.zeros(len(x)), 0, len(x))


def of_rows(a, lo, hi):
    if hi - lo == 1:
        return of_row(a[lo], 2)
    mid = (lo + hi) // 2
    return of_rows(a, lo, mid) * of_rows(a, mid, hi)


def of_row(r, n):
    if n == 0:
        return r[0] * r[1]
    return of_row(r, n - 1) + np.sin(of_row(r, n - 1) * r[0])


@program([[0.3, 0.4], [0.5, -0.2], [1.1, 0.7]], tags="recursion views")
def recursion_over_rows(a):
    return of_rows(a, 0, a.shape[0])


def averaged(u, lo, hi):
    if hi - lo == 1:
        return np.sin(u[lo])
    mid = (lo + hi) // 2
    return averaged(u, lo, mid) * 0.5 + averaged(u, mid, hi) * u[mid]


@program(V4, tags="recursion store between")
def writes_between_recursions(u):
    s = 0.0
    for k in range(3):
        u[k] = u[k] * (1.0 + s)
        s += averaged(u, 0, len(u))
    return s


def rewritten(u, n):
    if n == 0:
        return u[0]
    u[n] = u[n] * u[n - 1]
    s = averaged(u, 0, len(u))
    return rewritten(u, n - 1) * s + rewritten(u, n - 1)


@program(V4, tags="recursion store between")
def recursion_that_calls_another(u):
    return rewritten(u, 3)


# -- local functions, which read what is around them --------------------------------------------------


def locally(x):
    def r(u, k):
        if k < 1:
            return u * x[0]
        return np.sin(r(u, k - 1)) + r(u * 0.5, k - 2) * x[1]

    return r(0.3, 3)


@program([0.4, 0.7], [0.8, -0.3], tags="recursion closure")
def a_local_recursion_of_two_arrays(x, y):
    return locally(x) + 10.0 * locally(y)


@program([[0.4, 0.7], [0.8, -0.3], [0.2, 0.5]], tags="recursion closure loop")
def a_local_recursion_of_every_row(rows):
    s = 0.0
    for i in range(rows.shape[0]):
        s += locally(rows[i]) * (i + 1)
    return s


@program(0.3, tags="recursion closure rebinding")
def a_local_recursion_whose_surroundings_change(x):
    def r(u, k):
        if k < 1:
            return u * x
        return np.sin(r(u, k - 1)) + r(u * 0.5, k - 2) * x

    a = r(0.3, 3)
    x = x * 2.0
    return a + 10.0 * r(0.3, 3)


def through_another(x):
    def scaled(v):
        return v * x

    def r(u, k):
        if k < 1:
            return scaled(u)
        return np.sin(r(u, k - 1)) + r(u * 0.5, k - 2)

    return r(0.3, 3)


@program(0.3, tags="recursion closure call")
def a_local_recursion_that_calls_a_local_function(x):
    return through_another(x) + 10.0 * through_another(2.0 * x)
