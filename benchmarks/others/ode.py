"""A step is a whole-array operation; JAX and CasADi have a loop for the steps."""

from .tools import by_autograd, by_casadi, by_jax, by_torch, load


def step_of(shifted):
    """One step of length h; `shifted` moves an array by one place and puts 1 in front."""

    def step(x, y, h):
        k1 = x * shifted(y)
        k2 = x * shifted(y + h / 2 * k1)
        k3 = x * shifted(y + h / 2 * k2)
        k4 = x * shifted(y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    return step


def steps(step, zeros_like):
    def f(x, steps):
        y = zeros_like(x)
        for _ in range(steps):
            y = step(x, y, 2.0 / steps)
        return y[-1]

    return f


def jax(*args):
    jax = load("jax")
    one = jax.numpy.ones(1)
    step = step_of(lambda y: jax.numpy.concatenate([one, y[:-1]]))

    def f(x, steps):
        return jax.lax.scan(lambda y, _: (step(x, y, 2.0 / steps), None), 0.0 * x, length=steps)[0][-1]

    return by_jax(f, args, (0,))


def torch(*args):
    torch = load("torch")
    one = torch.ones(1)
    return by_torch(steps(step_of(lambda y: torch.cat([one, y[:-1]])), torch.zeros_like), args, (0,))


def autograd(*args):
    anp = load("autograd.numpy")
    one = anp.ones(1)
    return by_autograd(steps(step_of(lambda y: anp.concatenate([one, y[:-1]])), lambda x: 0.0 * x), args, (0,))


def casadi(*args):
    ca = load("casadi")
    n, steps = len(args[0]), args[1]
    y, x = ca.SX.sym("y", n), ca.SX.sym("x", n)
    step = step_of(lambda y: ca.vertcat(1, y[:-1]))
    function = ca.Function("step", [y, x], [step(x, y, 2.0 / steps)])
    all_steps = function.mapaccum("steps", steps)

    def f(x, steps):
        return all_steps(ca.DM.zeros(n), ca.repmat(x, 1, steps))[n - 1, steps - 1]

    return by_casadi(f, args, (0,), "MX")
