"""All observations at once: two sweeps give both rows of every block, because an observation has its own copies.

A rotation by nothing, which would need a branch, does not occur.
"""

import numpy as np
from programs.ba import cross, filled

from .tools import load, tensor


def residuals(sqrt, sin, cos):
    def f(numbers, features):
        c0, c1, c2, *centre, focal, u, v, k1, k2, x, y, z, weight = numbers
        r = c0, c1, c2
        moved = x - centre[0], y - centre[1], z - centre[2]
        square = c0**2 + c1**2 + c2**2
        angle = sqrt(square)
        s, c = sin(angle) / angle, (1 - cos(angle)) / square
        once = cross(r, moved)
        x, y, z = (m + s * a + c * b for m, a, b in zip(moved, once, cross(r, once), strict=True))
        p, q = x / z, y / z
        square = p * p + q * q
        scale = focal * (1 + k1 * square + k2 * square**2)
        return weight * (scale * p + u - features[0]), weight * (scale * q + v - features[1])

    return f


def gathered(cameras, points, weights, camera_of, point_of, features):
    """The numbers of each observation, one row for each kind, and the features likewise."""
    return np.concatenate([cameras[camera_of].T, points[point_of].T, weights[None]]), features.T.copy()


def run(blocks, args):
    """`blocks` has the axes residual, number, observation."""

    def fill(values, cameras, points, weights, *rest):
        count = len(weights)
        made = blocks(*gathered(cameras, points, weights, *rest))
        values[: 30 * count].reshape(count, 2, 15)[:] = np.moveaxis(made, 2, 0)
        values[30 * count :] = -2 * weights

    return filled(fill, args)


def jax(*args):
    jax = load("jax")
    f = residuals(jax.numpy.sqrt, jax.numpy.sin, jax.numpy.cos)

    @jax.jit
    def jacobian(numbers, features):
        _, pull = jax.vjp(lambda n: f(n, features), numbers)
        one, zero = jax.numpy.ones(features.shape[1]), jax.numpy.zeros(features.shape[1])
        return jax.numpy.stack([pull((one, zero))[0], pull((zero, one))[0]])

    return run(lambda *given: np.asarray(jacobian(*given)), args)


def torch(*args):
    torch = load("torch")
    f = residuals(torch.sqrt, torch.sin, torch.cos)

    def blocks(numbers, features):
        x = tensor(numbers, active=True)
        u, v = f(x, tensor(features))
        rows = torch.autograd.grad(u.sum(), x, retain_graph=True) + torch.autograd.grad(v.sum(), x)
        return torch.stack(rows).numpy()

    return run(blocks, args)


def autograd(*args):
    anp, autograd = load("autograd.numpy"), load("autograd")
    f = residuals(anp.sqrt, anp.sin, anp.cos)
    rows = [autograd.grad(lambda numbers, features, k=k: f(numbers, features)[k].sum()) for k in (0, 1)]
    return run(lambda *given: np.stack([row(*given) for row in rows]), args)


def casadi(*args):
    """One observation is a function, whose Jacobian is mapped over the observations."""
    ca = load("casadi")
    numbers, feature = ca.SX.sym("n", 15), ca.SX.sym("f", 2)
    pair = residuals(ca.sqrt, ca.sin, ca.cos)(ca.vertsplit(numbers), ca.vertsplit(feature))
    rows = ca.densify(ca.jacobian(ca.vertcat(*pair), numbers))
    block = ca.Function("block", [numbers, feature], [ca.vec(rows.T)]).map(len(args[2]))

    def blocks(numbers, features):
        return block(numbers, features).full().reshape(2, 15, -1)

    return run(blocks, args)
