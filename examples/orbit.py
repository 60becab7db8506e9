"""Weigh the planets of a star by their tugs on each other: an n-body orbit fit.

A star and three heavy planets are watched for ten years, every position with an error of 0.01 au. From their first
positions and all the noisy later ones, least squares finds the four masses and the planets' first velocities. The
simulation is a leapfrog integrator of plain loops that write into arrays, and `cr.jit(cr.value_and_grad(loss))` is
its compiled gradient. Run it: python examples/orbit.py
"""

from __future__ import annotations

import sys

import numpy as np
from report import BLUE, DIFFERENCES, EXACT, GREEN, GREY, ORANGE, PURPLE, Report, minimised, options, picture

import chainrule as cr

G = 4 * np.pi**2  # au³ / (solar mass · year²)
ERROR = 0.01  # of an observed coordinate, au
STEP = 0.005  # of the integrator, years
EVERY = 20  # steps between observations
JUPITERS = 1047.35  # in a solar mass
NAMES, COLOURS = ("star", "planet b", "planet c", "planet d"), (ORANGE, BLUE, GREEN, PURPLE)


# -- the model: loops and in-place stores --------------------------------------------------------------


def accelerate(a, x, m):
    """Write the acceleration of every body by Newton's law into `a`."""
    a[:] = 0.0
    for i in range(len(m)):
        for j in range(i):
            r2 = 0.0
            for k in range(3):
                r2 += (x[i, k] - x[j, k]) ** 2
            pull = G / (r2 * np.sqrt(r2))
            for k in range(3):
                d = x[i, k] - x[j, k]
                a[i, k] -= pull * m[j] * d
                a[j, k] += pull * m[i] * d


def simulate(m, x, v, steps, every):
    """Positions after each `every` steps of the leapfrog integrator."""
    x, v = x.copy(), v.copy()
    a = np.empty_like(x)
    seen = np.empty((steps // every, len(m), 3), x.dtype)
    accelerate(a, x, m)
    for s in range(steps):
        v += STEP / 2 * a
        x += STEP * v
        accelerate(a, x, m)
        v += STEP / 2 * a
        if (s + 1) % every == 0:
            seen[s // every] = x
    return seen


def unpack(p, start):
    """Masses, positions and velocities; the star moves so that the centre of mass rests."""
    n = len(start)
    m = np.exp(p[:n])
    v = np.zeros((n, 3), p.dtype)
    v[1:] = p[n:].reshape(n - 1, 3)
    for i in range(1, n):
        v[0] -= m[i] / m[0] * v[i]
    return m, start.astype(p.dtype), v


def residuals(p, start, observed):
    """Errors of the simulated positions, in units of the observations' own error."""
    m, x, v = unpack(p, start)
    return (simulate(m, x, v, EVERY * len(observed), EVERY) - observed) / ERROR


def loss(p, start, observed):
    return 0.5 * np.sum(residuals(p, start, observed) ** 2)


# -- the data and the fit ------------------------------------------------------------------------------


def true_system():
    """The unknowns as they are, and the positions at the start."""
    masses = np.array([1.0, 0.008, 0.004, 0.012])
    radius, angle = np.array([1.0, 1.7, 2.9]), np.array([0.5, 2.5, 4.4])
    tilt, slowness = np.array([0.1, -0.2, 0.15]), np.array([0.95, 0.9, 0.97])
    start = np.zeros((4, 3))
    start[1:] = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], axis=1)
    ahead = np.stack([-np.sin(angle) * np.cos(tilt), np.cos(angle) * np.cos(tilt), np.sin(tilt)], axis=1)
    velocities = (np.sqrt(G / radius) * slowness)[:, None] * ahead
    return np.concatenate([np.log(masses), velocities.ravel()]), start


def first_guess(truth, rng):
    """Planets as heavy as Jupiter, and velocities wrong by up to two percent."""
    speeds = truth[4:] * rng.uniform(0.98, 1.02, 9)
    return np.concatenate([np.log([1.0, *[1 / JUPITERS] * 3]), speeds])


def draw(path, fitted, guessed, observed, runs):
    times, seen = STEP * np.arange(1, len(fitted) + 1), STEP * EVERY * np.arange(1, len(observed) + 1)
    with picture(path, 12, 6.6) as figure:
        axes = figure.subplot_mosaic("oow;oor", width_ratios=(1, 1, 1.7))
        orbits, wobble, race = axes["o"], axes["w"], axes["r"]
        for i, (name, colour) in enumerate(zip(NAMES, COLOURS, strict=True)):
            orbits.plot(*fitted[:, i, :2].T, color=colour, lw=0.7, alpha=0.7)
            orbits.plot(*observed[:, i, :2].T, "o", color=colour, ms=2.5, mew=0)
            orbits.text(0, fitted[:, i, 1].max() + 0.08, name, color=colour, ha="center", weight="bold")
        orbits.set(title="Observed positions, fitted orbits", xlabel="x (au)", ylabel="y (au)", aspect="equal")

        wobble.plot(seen, observed[:, 0, 0], "o", color=GREY, ms=2.5, mew=0, label="observed")
        wobble.plot(times, guessed[:, 0, 0], ":", color=GREY, lw=1.2, label="first guess")
        wobble.plot(times, fitted[:, 0, 0], color=ORANGE, lw=1.4, label="fit")
        wobble.set(title="The planets tug at the star", xlabel="time (years)", ylabel="x of the star (au)")
        wobble.margins(y=0.3)
        wobble.legend(loc="upper left", ncols=3)

        for run, colour in zip(runs, (BLUE, PURPLE), strict=True):
            label = f"{run.name}: {run.evaluations:,} evaluations"
            race.plot(1e3 * np.array(run.times), run.losses, "-", color=colour, lw=1.6, label=label)
            race.plot(1e3 * run.seconds, run.losses[-1], "o", color=colour, ms=6)
        race.axhline(observed.size / 2, color=GREY, lw=1, ls="--", label="errors of the observations alone")
        race.set(yscale="log", title="The way to the minimum", xlabel="time (ms)", ylabel="loss (no unit)")
        race.legend(loc="upper right")


def main(arguments=None):
    chosen = options(__file__).parse_args(arguments)
    rng = np.random.default_rng(1)
    truth, start = true_system()
    value, objective = cr.jit(loss), cr.jit(cr.value_and_grad(loss))

    steps = 400 if chosen.quick else 2000
    observed = simulate(*unpack(truth, start), steps, EVERY)
    observed += ERROR * rng.standard_normal(observed.shape)
    guess, data = first_guess(truth, rng), (start, observed)
    report = Report(f"Orbits: {len(truth)} unknowns, {observed.size:,} observed coordinates, {steps:,} steps")
    report.costs(value, objective, guess, data)
    found, exact = minimised(EXACT, objective, value, guess, data, True, gtol=0.1)
    _, differences = minimised(DIFFERENCES, value, value, guess, data, None, gtol=0.1)
    report.runs([exact, differences])

    slopes = cr.jit(cr.jacfwd(residuals))(found, *data).reshape(observed.size, -1)
    deviations = np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes)))
    for i, name in enumerate(NAMES):
        mass = np.exp(found[i]) * (1 if i == 0 else JUPITERS)
        unit = "suns" if i == 0 else "Jupiters"
        true = np.exp(truth[i] - found[i]) * mass
        report.say(f"mass of {name}", f"{mass:.4f}", unit, f"± {mass * deviations[i]:.4f}, true {true:.4f}")
    report.goal("farthest unknown from the truth", abs((found - truth) / deviations).max(), high=4, unit="σ")
    report.goal("loss, relative to what noise leaves", exact.losses[-1] / ((observed.size - len(truth)) / 2), high=1.2)
    report.goal("evaluations saved", differences.evaluations / exact.evaluations, 5, unit="times")

    curves = [simulate(*unpack(p, start), steps, 1) for p in (found, guess)]
    draw(chosen.picture, *curves, observed, (exact, differences))
    return report.finish(chosen.picture)


if __name__ == "__main__":
    sys.exit(main())
