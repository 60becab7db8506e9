"""Small versions of what people differentiate: estimation, dynamics, vision, language, finance."""

import math

import numpy as np

from tests.programs.table import program

_RNG = np.random.default_rng(20)


def _normal(*shape):
    return _RNG.normal(size=shape).round(3)


def _logsumexp(x):
    m = np.max(x)
    return m + np.log(np.sum(np.exp(x - m)))


@program(_normal(2), _normal(2, 3), _normal(2, 3) * 0.3, _normal(2, 3) * 0.3, _normal(5, 3), tags="gmm", eager=False)
def gmm(alpha, mu, q, low, x):
    k_max, d_max = mu.shape
    n_max = x.shape[0]
    terms = np.zeros(k_max)
    total = 0.0
    for i in range(n_max):
        for k in range(k_max):
            norm = 0.0
            for a in range(d_max):
                v = np.exp(q[k, a]) * (x[i, a] - mu[k, a])
                for b in range(a):
                    at = b * d_max - b * (b + 1) // 2 + a - b - 1
                    v += low[k, at] * (x[i, b] - mu[k, b])
                norm += v * v
            terms[k] = alpha[k] + np.sum(q[k]) - 0.5 * norm
        total += _logsumexp(terms)
    total -= n_max * _logsumexp(alpha)
    for k in range(k_max):
        total += 2.0 * np.sum(q[k]) - 0.5 * (np.sum(np.exp(q[k]) ** 2) + np.sum(low[k] ** 2))
    return total


def _rotate(r, v):
    t2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2]
    if t2 > 0:
        t = np.sqrt(t2)
        c, s = np.cos(t), np.sin(t)
        w = (r[0] / t, r[1] / t, r[2] / t)
        d = (w[0] * v[0] + w[1] * v[1] + w[2] * v[2]) * (1 - c)
        return (
            v[0] * c + (w[1] * v[2] - w[2] * v[1]) * s + w[0] * d,
            v[1] * c + (w[2] * v[0] - w[0] * v[2]) * s + w[1] * d,
            v[2] * c + (w[0] * v[1] - w[1] * v[0]) * s + w[2] * d,
        )
    return (
        v[0] + r[1] * v[2] - r[2] * v[1],
        v[1] + r[2] * v[0] - r[0] * v[2],
        v[2] + r[0] * v[1] - r[1] * v[0],
    )


CAMERA = np.array([0.1, -0.2, 0.15, 0.3, 0.2, -4.0, 1.5, 0.05, -0.03, 0.01, 0.002])


@program(CAMERA, _normal(3), 0.9, np.array([0.2, 0.1]), tags="ba", eager=False)
def bundle_adjustment_residual(camera, point, w, feature):
    x = _rotate(camera[:3], (point[0] - camera[3], point[1] - camera[4], point[2] - camera[5]))
    u, v = x[0] / x[2], x[1] / x[2]
    rho = u * u + v * v
    distortion = 1 + camera[9] * rho + camera[10] * rho * rho
    out = np.zeros(3)
    out[0] = w * (u * distortion * camera[6] + camera[7] - feature[0])
    out[1] = w * (v * distortion * camera[6] + camera[8] - feature[1])
    out[2] = 1 - w * w
    return out


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


@program(_normal(4, 8) * 0.5, _normal(3, 2) * 0.5, _normal(4, 2) * 0.3, _normal(5, 2), tags="lstm")
def lstm(main, extra, state, text):
    b = text.shape[1]
    layers = state.shape[0] // 2
    s = state.copy()
    total = 0.0
    for t in range(text.shape[0] - 1):
        x = text[t] * extra[0]
        for k in range(layers):
            w, bias = main[2 * k], main[2 * k + 1]
            h, c = s[2 * k], s[2 * k + 1]
            forget = _sigmoid(x * w[:b] + bias[:b])
            take = _sigmoid(h * w[b : 2 * b] + bias[b : 2 * b])
            give = _sigmoid(x * w[2 * b : 3 * b] + bias[2 * b : 3 * b])
            change = np.tanh(h * w[3 * b :] + bias[3 * b :])
            s[2 * k + 1] = c * forget + take * change
            s[2 * k] = give * np.tanh(s[2 * k + 1])
            x = s[2 * k]
        y = x * extra[1] + extra[2]
        total += np.sum(text[t + 1] * (y - np.log(2 + np.sum(np.exp(y)))))
    return -total / (b * (text.shape[0] - 1))


@program([0.5, -0.3, 0.8, 0.2], 4, tags="ode", eager=False)
def runge_kutta(x, steps):
    n = len(x)
    y, z = np.zeros(n), np.zeros(n)
    k = np.zeros((4, n))
    h = 2.0 / steps
    for _ in range(steps):
        for stage in range(4):
            shift = 0.0 if stage == 0 else (h if stage == 3 else h / 2)
            for i in range(n):
                z[i] = y[i] + shift * k[stage - 1, i]
            k[stage, 0] = x[0]
            for i in range(1, n):
                k[stage, i] = x[i] * z[i - 1]
        for i in range(n):
            y[i] += h / 6 * (k[0, i] + 2 * k[1, i] + 2 * k[2, i] + k[3, i])
    return y[n - 1]


@program(_normal(4), 6, tags="llsq")
def least_squares(x, n):
    total = 0.0
    for i in range(n):
        t = -1.0 + 2.0 * i / (n - 1)
        value, power = np.sign(t), 1.0
        for j in range(len(x)):
            value -= x[j] * power
            power *= t
        total += value * value
    return 0.5 * total


@program(_normal(2, 2), _normal(6, 2), tags="kmeans")
def k_means(centres, points):
    total = 0.0
    for p in points:
        best = np.inf
        for c in centres:
            d = np.sum((p - c) ** 2)
            if d < best:
                best = d
        total += best
    return total


@program([0.1, 0.02, 0.4, 0.01], [30.0, 4.0], tags="lotka volterra", eager=False)
def lotka_volterra(p, start):
    a, b, c, d = p[0], p[1], p[2], p[3]

    def rates(x, y):
        return a * x - b * x * y, d * x * y - c * y

    x, y, h = start[0], start[1], 0.25
    path = np.empty((8, 2))
    for k in range(8):
        k1 = rates(x, y)
        k2 = rates(x + h / 2 * k1[0], y + h / 2 * k1[1])
        x, y = x + h * k2[0], y + h * k2[1]
        path[k, 0], path[k, 1] = x, y
    return np.sum(np.log(path) ** 2)


@program([0.0, 0.0, 0.0, 0.1, 1.0, 0.0, -0.1, 0.9], tags="nbody verlet", eager=False)
def two_bodies(state):
    q, v = state[:4].copy(), state[4:] * 0.1
    q[2] += 1.0
    force = np.zeros(4)
    for _ in range(5):
        dx, dy = q[2] - q[0], q[3] - q[1]
        r2 = dx * dx + dy * dy
        f = 1 / (r2 * np.sqrt(r2))
        force[0], force[1], force[2], force[3] = dx * f, dy * f, -dx * f, -dy * f
        for i in range(4):
            v[i] += 0.05 * force[i]
            q[i] += 0.05 * v[i]
    return q @ q + v[0]


@program(2.5, 0.8, tags="particle while")
def falling_ball(speed, bounce):
    height, velocity, t = 1.0, speed, 0.0
    while t < 1.5:
        velocity = velocity - 9.81 * 0.01
        height = height + velocity * 0.01
        if height < 0.0 and velocity < 0.0:
            velocity = -bounce * velocity
            height = -height
        t += 0.01
    return height + velocity * 0.1


@program(_normal(3, 2) * 0.5, _normal(3), _normal(3), 0.1, _normal(6, 2), _normal(6), tags="network")
def neural_network(w1, b1, w2, b2, x, y):
    h = np.tanh(x @ w1.T + b1)
    out = h @ w2 + b2
    return np.mean((out - y) ** 2) + 0.01 * np.sum(w1**2)


@program(_normal(3), 0.2, _normal(5, 3), np.array([1, 0, 1, 1, 0]), tags="logistic")
def logistic_regression(w, b, x, labels):
    loss = 0.0
    for i in range(5):
        z = x[i] @ w + b
        loss += np.log1p(np.exp(-z)) if labels[i] == 1 else np.log1p(np.exp(z))
    return loss / 5


@program(100.0, 95.0, 0.5, 0.02, 0.25, tags="finance math", eager=False)
def black_scholes(spot, strike, t, r, sigma):
    def cdf(x):
        return 0.5 * math.erfc(-x / math.sqrt(2))

    d1 = (math.log(spot / strike) + (r + 0.5 * sigma**2) * t) / (sigma * math.sqrt(t))
    d2 = d1 - sigma * math.sqrt(t)
    return spot * cdf(d1) - strike * math.exp(-r * t) * cdf(d2)


@program(100.0, 0.25, _normal(4, 3), tags="finance paths")
def asian_option(spot, sigma, noise):
    total = 0.0
    for path in noise:
        s, mean = spot, 0.0
        for z in path:
            s = s * np.exp(sigma * z * 0.1 - 0.5 * sigma**2 * 0.01)
            mean += s / 3
        payoff = mean - 99.0
        if payoff > 0:
            total += payoff
    return total / 4


@program(0.4, 0.9, _normal(6), tags="filter")
def kalman_filter(q, r, z):
    x, p, loss = 0.0, 1.0, 0.0
    for value in z:
        p = p + q
        gain = p / (p + r)
        innovation = value - x
        loss += 0.5 * (np.log(p + r) + innovation**2 / (p + r))
        x = x + gain * innovation
        p = (1 - gain) * p
    return loss


@program(_normal(3, 3), _normal(3, 2), np.array([0, 1, 1, 0]), tags="hmm", eager=False)
def hidden_markov_model(transition, emission, symbols):
    n = transition.shape[0]
    alpha, new = np.zeros(n), np.zeros(n)
    for t in range(len(symbols)):
        for j in range(n):
            s = 0.0
            for i in range(n):
                s += np.exp(alpha[i] + transition[i, j])
            new[j] = np.log(s) + emission[j, symbols[t]]
        alpha, new = new, alpha
    return _logsumexp(alpha)


@program([0.0, 1.0, 0.5, 2.0], 1.3, tags="spline integers", eager=False)
def piecewise_linear(heights, x):
    i = int(x)
    t = x - i
    return (1 - t) * heights[i] + t * heights[i + 1] + t * t


@program([0.1, 0.4], tags="mandelbrot")
def orbit(c):
    x, y, n = 0.0, 0.0, 0
    while x * x + y * y < 4 and n < 12:
        x, y = x * x - y * y + c[0], 2 * x * y + c[1]
        n += 1
    return x * x + y


@program([1.2, 0.5], tags="rosenbrock")
def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


@program(_normal(6), np.array([0, 2, 3, 5]), np.array([0, 3, 1, 2, 0]), _normal(5), tags="csr", eager=False)
def sparse_product(x, offsets, columns, data):
    y = np.zeros(3)
    for i in range(3):
        for k in range(offsets[i], offsets[i + 1]):
            y[i] += data[k] * x[columns[k]]
    return np.sum(y**2)


@program(_normal(5), _normal(3), tags="convolution", eager=False)
def convolution(x, kernel):
    n, m = len(x), len(kernel)
    y = np.zeros(n - m + 1)
    for i in range(n - m + 1):
        for j in range(m):
            y[i] += x[i + j] * kernel[j]
    return np.max(y) + np.sum(np.maximum(y, 0.0) ** 2)


@program(_normal(3, 2), tags="dtw", eager=False)
def soft_alignment(x):
    d = np.zeros((4, 3))
    d[0, 1:] = 10.0
    d[1:, 0] = 10.0
    for i in range(1, 4):
        for j in range(1, 3):
            cost = (x[i - 1, 0] - x[j - 1, 1]) ** 2
            d[i, j] = cost - np.log(np.exp(-d[i - 1, j]) + np.exp(-d[i, j - 1]) + np.exp(-d[i - 1, j - 1]))
    return d[3, 2]


@program(_normal(8), tags="fft", eager=False)
def butterfly_transform(x):
    n = len(x)
    re, im = x.copy(), np.zeros(n)
    half = 1
    while half < n:
        for start in range(0, n, 2 * half):
            for k in range(half):
                angle = -math.pi * k / half
                c, s = math.cos(angle), math.sin(angle)
                i, j = start + k, start + k + half
                a, b = re[j] * c - im[j] * s, re[j] * s + im[j] * c
                re[j], im[j] = re[i] - a, im[i] - b
                re[i], im[i] = re[i] + a, im[i] + b
        half *= 2
    return np.sum((re**2 + im**2) ** 2) * 0.01


@program(_normal(4), tags="quaternion tuple")
def rotation_by_a_quaternion(q):
    n = np.sqrt(q @ q)
    w, x, y, z = q / n
    v = (1.0, 2.0, 3.0)
    return (1 - 2 * (y * y + z * z)) * v[0] + 2 * (x * y - w * z) * v[1] + 2 * (x * z + w * y) * v[2] + n
