"""A character model by long short-term memory with diagonal weights (ADBench)."""

import numpy as np

SIZES = [(2, 1024), (4, 1024), (2, 4096)]  # layers, characters
SMALL = [(2, 4), (3, 3)]
ARGNUMS = (0, 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def objective(main, extra, state, sequence):
    layers = main.shape[0] // 2
    count, b = sequence.shape
    s = state.copy()
    x = np.zeros(b)
    y = np.zeros(b)
    total = 0.0
    for t in range(count - 1):
        for j in range(b):
            x[j] = sequence[t, j] * extra[0, j]
        for layer in range(layers):
            for j in range(b):
                hidden = s[2 * layer, j]
                cell = s[2 * layer + 1, j]
                forget = sigmoid(x[j] * main[2 * layer, j] + main[2 * layer + 1, j])
                ingate = sigmoid(hidden * main[2 * layer, b + j] + main[2 * layer + 1, b + j])
                outgate = sigmoid(x[j] * main[2 * layer, 2 * b + j] + main[2 * layer + 1, 2 * b + j])
                change = np.tanh(hidden * main[2 * layer, 3 * b + j] + main[2 * layer + 1, 3 * b + j])
                cell = cell * forget + ingate * change
                hidden = outgate * np.tanh(cell)
                s[2 * layer, j] = hidden
                s[2 * layer + 1, j] = cell
                x[j] = hidden
        norm = 2.0
        for j in range(b):
            y[j] = x[j] * extra[1, j] + extra[2, j]
            norm += np.exp(y[j])
        log_norm = np.log(norm)
        for j in range(b):
            total += sequence[t + 1, j] * (y[j] - log_norm)
    return -total / (count - 1)


def data(size):
    layers, count = size
    b = 14
    rng = np.random.default_rng(2)
    letters = np.zeros((count, b))
    letters[np.arange(count), rng.integers(0, b, count)] = 1.0
    return (
        rng.normal(size=(2 * layers, 4 * b)),
        rng.normal(size=(3, b)),
        rng.normal(size=(2 * layers, b)),
        letters,
    )
