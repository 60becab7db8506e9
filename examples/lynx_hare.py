"""Hares and lynxes: the Lotka-Volterra equations fitted to a fur company's books.

The numbers of pelts that the Hudson's Bay Company took in from 1900 to 1920 rise and fall as those of prey and
predator do. A Runge-Kutta method written by hand follows the two populations; least squares on logarithms finds the
four rates and the two first populations; the compiled gradient, Jacobian and Hessian come from `cr.jit`.
Run it: python examples/lynx_hare.py
"""

from __future__ import annotations

import sys

import numpy as np
from report import (
    BLUE,
    DIFFERENCES,
    EXACT,
    GREEN,
    GREY,
    ORANGE,
    Report,
    digits,
    minimised,
    options,
    picture,
)

import chainrule as cr

# Thousands of pelts taken in by the Hudson's Bay Company. From the table in P. Howard, Modeling Basics (lecture
# notes, Texas A&M University, 2009); earlier in E. P. Odum, Fundamentals of Ecology (1953), and as a diagram in
# C. G. Hewitt, The Conservation of the Wild Life of Canada (1921).
FIRST_YEAR = 1900
HARES = [30.0, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22.0, 25.4, 27.1,
         40.3, 57.0, 76.6, 52.3, 19.5, 11.2, 7.6, 14.6, 16.2, 24.7]  # fmt: skip
LYNXES = [4.0, 6.1, 9.8, 35.2, 59.4, 41.7, 19.0, 13.0, 8.3, 9.1, 7.4,
          8.0, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7, 10.1, 8.6]  # fmt: skip
NAMES = (
    "α, births of hares",
    "β, hares eaten",
    "γ, deaths of lynxes",
    "δ, lynxes fed",
    "hares in 1900",
    "lynxes in 1900",
)
# Posterior means of the same model: B. Carpenter, Predator-Prey Population Dynamics, Stan case study (2018).
PUBLISHED = (0.55, 0.028, 0.80, 0.024)
STEP = 0.01  # of the integrator, years


# -- the model -----------------------------------------------------------------------------------------


def rates(hares, lynxes, alpha, beta, gamma, delta):
    return (alpha - beta * lynxes) * hares, (delta * hares - gamma) * lynxes


def populations(p, count, steps):
    """Both populations `count` times, with `steps` steps of the Runge-Kutta method between them."""
    alpha, beta, gamma, delta, u, v = np.exp(p)
    h = STEP
    seen = np.empty((count, 2), p.dtype)
    seen[0] = u, v
    for k in range(1, count):
        for _ in range(steps):
            u1, v1 = rates(u, v, alpha, beta, gamma, delta)
            u2, v2 = rates(u + h / 2 * u1, v + h / 2 * v1, alpha, beta, gamma, delta)
            u3, v3 = rates(u + h / 2 * u2, v + h / 2 * v2, alpha, beta, gamma, delta)
            u4, v4 = rates(u + h * u3, v + h * v3, alpha, beta, gamma, delta)
            u += h / 6 * (u1 + 2 * u2 + 2 * u3 + u4)
            v += h / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
        seen[k] = u, v
    return seen


def loss(p, pelts, steps):
    """Half the sum of squared differences of logarithms."""
    error = np.log(populations(p, len(pelts), steps)) - np.log(pelts)
    return 0.5 * np.sum(error**2)


# -- the fit -------------------------------------------------------------------------------------------


def first_guess(pelts):
    """Small oscillations last 2π/√(αγ) years, here about ten, around γ/δ hares and α/β lynxes."""
    rate, (hares, lynxes) = 2 * np.pi / 10, pelts.mean(axis=0)
    return np.log([rate, rate / lynxes, rate, rate / hares, *pelts[0]])


def draw(path, times, middle, spread, pelts):
    """The curves, each with the band in which it lies with 95 % probability."""
    years = FIRST_YEAR + np.arange(len(pelts))
    low, high = middle * np.exp(-2 * spread), middle * np.exp(2 * spread)
    with picture(path, 12, 4.8) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
        for k, (name, colour) in enumerate((("hares", BLUE), ("lynxes", ORANGE))):
            left.fill_between(times, low[:, k], high[:, k], color=colour, alpha=0.18, lw=0)
            left.plot(times, middle[:, k], color=colour, lw=1.8, label=f"{name}, fit and its 95 % band")
            left.plot(years, pelts[:, k], "o", color=colour, ms=5, mec="white", mew=0.7, label=f"{name}, counted")
        left.set(title="Pelts of the Hudson's Bay Company", xlabel="year", ylabel="pelts (thousands)", ylim=(0, 125))
        left.set_xticks(range(FIRST_YEAR, years[-1] + 1, 5))
        left.legend(loc="upper center", ncols=2)

        right.plot(*middle.T, color=GREEN, lw=1.8, label="fit")
        for k in np.searchsorted(times, FIRST_YEAR + np.array([1.0, 2.6, 3.6, 5.2, 8.5])):
            arrow = {"arrowstyle": "-|>", "color": GREEN, "mutation_scale": 16}
            right.annotate("", middle[k + 1], middle[k], arrowprops=arrow)
        right.plot(*pelts.T, "o-", color=GREY, ms=4, lw=0.6, alpha=0.8, label="counted")
        right.set(title="Prey and predator", xlabel="hares (thousands)", ylabel="lynxes (thousands)")
        right.legend(loc="upper right")


def main(arguments=None):
    chosen = options(__file__).parse_args(arguments)
    steps = round(1 / STEP)
    pelts = np.column_stack([HARES, LYNXES])
    guess, data = first_guess(pelts), (pelts, steps)
    value, objective = cr.jit(loss), cr.jit(cr.value_and_grad(loss))
    count = (len(pelts) - 1) * steps
    report = Report(f"Hares and lynxes: {len(guess)} unknowns, {pelts.size} counts, {count:,} steps")
    report.costs(value, objective, guess, data)
    found, exact = minimised(EXACT, objective, value, guess, data, True)
    _, differences = minimised(DIFFERENCES, value, value, guess, data, None)
    report.runs([exact, differences])

    curvature = cr.jit(cr.hessian(loss))(found, *data)
    slopes = cr.numerical.jacobian(lambda p: objective(p, *data)[1], found, method="central")
    report.goal("Hessian against differences of gradients", digits(curvature, slopes), 6, unit="digits")
    variance = 2 * exact.losses[-1] / (pelts.size - len(found))
    covariance = variance * np.linalg.inv(curvature)
    deviations = np.sqrt(np.diag(covariance))
    for name, log, deviation in zip(NAMES, found, deviations, strict=True):
        report.say(name, f"{np.exp(log):.4g}", "", f"± {np.exp(log) * deviation:.2g}")
    away = abs(found[:4] - np.log(PUBLISHED)) / deviations[:4]
    report.goal("farthest rate from the published ones", away.max(), high=1, unit="σ")
    report.goal("scatter around the curves", 100 * np.sqrt(variance), high=30, unit="%")
    report.goal("evaluations saved", differences.evaluations / exact.evaluations, 4, unit="times")

    fine = 5
    count = (len(pelts) - 1) * steps // fine + 1
    middle = populations(found, count, fine)
    slopes = cr.jit(cr.jacobian(populations))(found, count, fine) / middle[..., None]
    spread = np.sqrt(np.einsum("tki,ij,tkj->tk", slopes, covariance, slopes))
    draw(chosen.picture, FIRST_YEAR + STEP * fine * np.arange(count), middle, spread, pelts)
    return report.finish(chosen.picture)


if __name__ == "__main__":
    sys.exit(main())
