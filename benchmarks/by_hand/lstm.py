"""Gates, cells and their tanh are kept for every character; elementary functions stand in loops of their own.

Rows of b letters are padded to a multiple of 8, so that every loop is whole vectors. The four rows of a layer, and of
its weights, stand one after the other: forget, ingate, outgate, change. Indices into these are unsigned.
"""

import numpy as np

from .compiled import compiled, exp, inlined, tanh

ONE, TWO, THREE, FOUR = map(np.uintp, (1, 2, 3, 4))


@compiled
def gradient(main, extra, state, sequence):
    layers, count, b = np.uintp(main.shape[0]) // TWO, np.uintp(sequence.shape[0]), np.uintp(sequence.shape[1])
    w = (b + np.uintp(7)) // np.uintp(8) * np.uintp(8)
    row = layers * w
    weights, biases = padded(main[0::2], b, w), padded(main[1::2], b, w)
    into, out, shift = padded(extra[:1], b, w), padded(extra[1:2], b, w), padded(extra[2:], b, w)
    letters = padded(sequence, b, w)
    hidden, cells = np.empty(count * row), np.empty(count * row)
    hidden[:row], cells[:row] = padded(state[0::2], b, w), padded(state[1::2], b, w)
    tanhs, gates = np.empty(count * row), np.empty(count * row * FOUR)
    shares = np.zeros(count * w)
    x, z, y = np.empty(w), np.empty(FOUR * w), np.empty(w)
    for t in range(count - ONE):
        for j in range(w):
            x[j] = letters[t * w + j] * into[j]
        for layer in range(layers):
            forward(t * row + layer * w, layer * w, row, w, x, y, z, weights, biases, hidden, cells, tanhs, gates)
        softmax(t * w, b, x, y, out, shift, shares)
    weights_bar, biases_bar = np.zeros_like(weights), np.zeros_like(biases)
    into_bar, out_bar, shift_bar = np.zeros(w), np.zeros(w), np.zeros(w)
    hidden_bar, cells_bar, x_bar = np.zeros(row), np.zeros(row), np.empty(w)
    for before in range(count - ONE):
        t = count - TWO - before
        gold = 0.0
        for j in range(w):
            gold += letters[(t + ONE) * w + j]
        for j in range(w):
            y_bar = (gold * shares[t * w + j] - letters[(t + ONE) * w + j]) / float(count - ONE)
            out_bar[j] += y_bar * hidden[(t + TWO) * row - w + j]
            shift_bar[j] += y_bar
            x_bar[j] = y_bar * out[j]
        for above in range(layers):
            at = row - w - above * w
            if at:
                for j in range(w):
                    x[j] = hidden[(t + ONE) * row + at - w + j]
            else:
                for j in range(w):
                    x[j] = letters[t * w + j] * into[j]
            now = t * row + at
            back(now, FOUR * at, at, w, x, z, weights, hidden, cells, tanhs, gates, x_bar, hidden_bar, cells_bar)
            collect(now, FOUR * at, w, x, z, hidden, weights_bar, biases_bar)
        for j in range(w):
            into_bar[j] += x_bar[j] * letters[t * w + j]
    main_bar, extra_bar = np.empty_like(main), np.empty_like(extra)
    main_bar[0::2], main_bar[1::2] = cut(weights_bar, b, w), cut(biases_bar, b, w)
    extra_bar[0], extra_bar[1], extra_bar[2] = into_bar[:b], out_bar[:b], shift_bar[:b]
    return main_bar, extra_bar


@inlined
def forward(now, at, row, w, x, y, z, weights, biases, hidden, cells, tanhs, gates):
    i, o, g, first = w, TWO * w, THREE * w, FOUR * at
    for j in range(w):
        z[j] = x[j] * weights[first + j] + biases[first + j]
        z[i + j] = hidden[now + j] * weights[first + i + j] + biases[first + i + j]
        z[o + j] = x[j] * weights[first + o + j] + biases[first + o + j]
        z[g + j] = hidden[now + j] * weights[first + g + j] + biases[first + g + j]
    for j in range(g):
        z[j] = 1 / (1 + exp(-z[j]))
    for j in range(g, g + w):
        z[j] = tanh(z[j])
    for j in range(FOUR * w):
        gates[FOUR * now + j] = z[j]
    for j in range(w):
        y[j] = cells[now + j] * z[j] + z[i + j] * z[g + j]
        cells[now + row + j] = y[j]
    for j in range(w):
        y[j] = tanh(y[j])
    for j in range(w):
        tanhs[now + j] = y[j]
        x[j] = z[o + j] * y[j]
        hidden[now + row + j] = x[j]


@inlined
def back(now, first, at, w, x, z, weights, hidden, cells, tanhs, gates, x_bar, hidden_bar, cells_bar):
    i, o, g, gate = w, TWO * w, THREE * w, FOUR * now
    for j in range(w):
        forget, ingate, outgate, change = gates[gate + j], gates[gate + i + j], gates[gate + o + j], gates[gate + g + j]
        bar = x_bar[j] + hidden_bar[at + j]
        cell_bar = bar * outgate * (1 - tanhs[now + j] ** 2) + cells_bar[at + j]
        cells_bar[at + j] = cell_bar * forget
        z[j] = cell_bar * cells[now + j] * forget * (1 - forget)
        z[i + j] = cell_bar * change * ingate * (1 - ingate)
        z[o + j] = bar * tanhs[now + j] * outgate * (1 - outgate)
        z[g + j] = cell_bar * ingate * (1 - change**2)
    for j in range(w):
        hidden_bar[at + j] = z[i + j] * weights[first + i + j] + z[g + j] * weights[first + g + j]
        x_bar[j] = z[j] * weights[first + j] + z[o + j] * weights[first + o + j]


@inlined
def collect(now, first, w, x, z, hidden, weights_bar, biases_bar):
    i, o, g = w, TWO * w, THREE * w
    for j in range(FOUR * w):
        biases_bar[first + j] += z[j]
    for j in range(w):
        weights_bar[first + j] += z[j] * x[j]
        weights_bar[first + i + j] += z[i + j] * hidden[now + j]
        weights_bar[first + o + j] += z[o + j] * x[j]
        weights_bar[first + g + j] += z[g + j] * hidden[now + j]


@inlined
def softmax(at, b, x, y, out, shift, shares):
    for j in range(len(x)):
        y[j] = exp(x[j] * out[j] + shift[j])
    norm = 2.0
    for j in range(b):
        norm += y[j]
    for j in range(b):
        shares[at + j] = y[j] / norm


@compiled
def padded(rows, b, w):
    """The rows, cut into pieces of b and each piece filled up to w, one after the other."""
    pieces = np.uintp(rows.shape[1]) // b
    made = np.zeros(np.uintp(rows.shape[0]) * pieces * w)
    for k in range(np.uintp(rows.shape[0])):
        for piece in range(pieces):
            for j in range(b):
                made[(k * pieces + piece) * w + j] = rows[k, piece * b + j]
    return made


@compiled
def cut(flat, b, w):
    """The rows of four pieces that `padded` was given."""
    made = np.empty((len(flat) // int(w), int(b)))
    for k in range(made.shape[0]):
        for j in range(b):
            made[k, j] = flat[np.uintp(k) * w + j]
    return made.reshape(-1, 4 * int(b))
