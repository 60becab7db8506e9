"""The four gates of a layer are one array; JAX and CasADi have a loop for the characters."""

from .tools import by_autograd, by_casadi, by_jax, by_torch, load


def letter(xp, join):
    """One character: the new states of the layers, and the output of the last."""

    def step(main, extra, states, character):
        layers, b = main.shape[0] // 2, main.shape[1] // 4
        x = character * extra[0]
        new = []
        for k in range(layers):
            hidden, cell = states[2 * k], states[2 * k + 1]
            z = join([x, hidden, x, hidden]) * main[2 * k] + main[2 * k + 1]
            gates = 1 / (1 + xp.exp(-z[: 3 * b]))
            cell = cell * gates[:b] + gates[b : 2 * b] * xp.tanh(z[3 * b :])
            x = gates[2 * b :] * xp.tanh(cell)
            new += [x, cell]
        return new, x * extra[1] + extra[2]

    return step


def chain(xp, join, stack):
    step = letter(xp, join)

    def f(main, extra, state, sequence):
        states, outputs = list(state), []
        for character in sequence[:-1]:
            states, y = step(main, extra, states, character)
            outputs.append(y)
        return loss(xp, stack(outputs), sequence)

    return f


def loss(xp, y, sequence):
    log_norms = xp.log(2 + xp.exp(y).sum(1))
    return -(sequence[1:] * (y - log_norms[:, None])).sum() / (len(sequence) - 1)


def jax(*args):
    jax = load("jax")
    step = letter(jax.numpy, jax.numpy.concatenate)

    def f(main, extra, state, sequence):
        _, y = jax.lax.scan(lambda s, c: step(main, extra, s, c), list(state), sequence[:-1])
        return loss(jax.numpy, y, sequence)

    return by_jax(f, args, (0, 1))


def torch(*args):
    torch = load("torch")
    return by_torch(chain(torch, torch.cat, torch.stack), args, (0, 1))


def autograd(*args):
    anp = load("autograd.numpy")
    return by_autograd(chain(anp, anp.concatenate, anp.stack), args, (0, 1))


def casadi(main, extra, state, sequence):
    """One character is a function, which is accumulated over the sequence."""
    ca = load("casadi")
    rows, columns = main.shape
    b = columns // 4
    symbols = [ca.SX.sym(name, n) for name, n in (("s", rows * b), ("m", main.size), ("e", extra.size), ("c", b))]
    s, m, e, character = (ca.vertsplit(x, n) for x, n in zip(symbols, (b, 4 * b, b, b), strict=True))
    new, y = letter(ca, lambda parts: ca.vertcat(*parts))(Rows(m), e, s, character[0])
    after = ca.SX.sym("gold", b)
    term = ca.dot(after, y) - ca.sum1(after) * ca.log(2 + ca.sum1(ca.exp(y)))
    one = ca.Function("one", [symbols[0], *symbols[1:], after], [ca.vertcat(*new), term])
    count = len(sequence) - 1
    accumulated = one.mapaccum("accumulated", count)

    def f(main, extra, state, sequence):
        flat = [ca.repmat(ca.vec(x.T), 1, count) for x in (main, extra)]
        _, terms = accumulated(state.ravel(), *flat, sequence[:-1].T, sequence[1:].T)
        return -ca.sum2(terms) / count

    return by_casadi(f, (main, extra, state, sequence), (0, 1), "MX")


class Rows(list):
    """Rows of four pieces, as `letter` sees them."""

    @property
    def shape(self):
        return len(self), self[0].shape[0]
