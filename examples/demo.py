"""Fit two models to real data with exact gradients of plain NumPy code, and look at a derivative.

`make demo` runs this file. The losses know nothing of derivatives: `cr.value_and_grad` gives
`scipy.optimize.minimize` the gradient that it would otherwise estimate by finite differences. The report
compares the two ways and checks the gradients; the exit code is 0 only if every goal is met. Then it prints the
evaluation trace of a textbook function and the four approaches side by side, and writes a page that steps through
the logistic loss of the first rows.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer, load_digits
from tqdm import tqdm

import chainrule as cr

HIDDEN, CLASSES = 32, 10
PENALTY = 1e-3
# Digits to which an exact gradient agrees with each numerical one, at least.
REFEREES = {"complex": ("complex step", 11), "central": ("central differences", 7)}


# -- the models: ordinary NumPy ------------------------------------------------------------------------


def logistic_scores(w, x):
    """The last weight is the intercept."""
    return x @ w[:-1] + w[-1]


def logistic_loss(w, x, y):
    """Mean logistic loss for labels y = ±1, with an L2 penalty."""
    return np.log1p(np.exp(-y * logistic_scores(w, x))).mean() + PENALTY * (w[:-1] ** 2).sum()


def network_scores(w, x):
    """Scores of the classes: one hidden layer of tanh units; `w` holds all the weights."""
    inputs = x.shape[1]
    w1, b1, w2, b2 = np.split(w, np.cumsum([inputs * HIDDEN, HIDDEN, HIDDEN * CLASSES]))
    hidden = np.tanh(x @ w1.reshape(inputs, HIDDEN) + b1)
    return hidden @ w2.reshape(HIDDEN, CLASSES) + b2


def network_loss(w, x, y):
    """Mean cross-entropy of the softmax for labels y = 0 … 9, with an L2 penalty."""
    scores = network_scores(w, x)
    scores = scores - scores.max(axis=1, keepdims=True)
    log_likelihood = scores[np.arange(len(y)), y] - np.log(np.exp(scores).sum(axis=1))
    return -log_likelihood.mean() + PENALTY * (w**2).sum()


# -- fitting them --------------------------------------------------------------------------------------


class Fit(NamedTuple):
    name: str
    w: np.ndarray
    loss: float
    iterations: int
    evaluations: int
    seconds: float


def fit(name, objective, w0, data, *, jac, iterations=200):
    """Minimise by L-BFGS-B; with jac=None SciPy estimates the gradient, n + 1 evaluations for each."""
    evaluations = 0

    def counted(w, *data):
        nonlocal evaluations
        evaluations += 1
        return objective(w, *data)

    options = {"maxiter": iterations, "maxfun": 10**9}
    # disable=None: no bar unless the standard error is a terminal.
    with tqdm(desc=f"  {name}", total=iterations, leave=False, disable=None) as bar:

        def callback(intermediate_result):
            bar.set_postfix(loss=f"{intermediate_result.fun:.4f}", refresh=False)
            bar.update()

        start = time.perf_counter()
        result = minimize(counted, w0, data, "L-BFGS-B", jac=jac, callback=callback, options=options)
        seconds = time.perf_counter() - start
    return Fit(name, result.x, result.fun, result.nit, evaluations, seconds)


def split(x, y, rng):
    """Hold out a quarter of the rows; standardise all by the mean and deviation of the others."""
    held, kept = np.split(rng.permutation(len(x)), [len(x) // 4])
    deviation = x[kept].std(axis=0)
    x = (x - x[kept].mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    return (x[kept], y[kept]), (x[held], y[held])


def digits(exact, numerical):
    """Decimal digits to which two vectors agree, relative to the largest element; 16 at most."""
    exact, numerical = np.asarray(exact), np.asarray(numerical)
    return -np.log10(max(abs(exact - numerical).max() / abs(exact).max(), 1e-16))


# -- the report ----------------------------------------------------------------------------------------


class Report:
    """Prints what was measured and remembers which goals were missed."""

    def __init__(self):
        self.missed = []

    def model(self, title, weights, kept, held):
        print(f"\n{title}: {weights:,} weights, {kept:,} rows to fit, {held:,} held out\n")
        print(f"  {'gradient by':<40}{'iterations':>12}{'evaluations':>13}{'time':>11}{'loss':>11}")

    def fit(self, fit):
        counts = f"{fit.iterations:>12,}{fit.evaluations:>13,}"
        print(f"  {fit.name:<40}{counts}{fit.seconds:>9.2f} s{fit.loss:>11.6f}", flush=True)

    def goal(self, name, value, at_least, unit):
        met = value >= at_least
        if not met:
            self.missed.append(name)
        verdict = "ok" if met else "MISSED"
        print(f"  {name:<40}{value:>12.1f} {unit:<8} goal: {at_least} or more, {verdict}", flush=True)


def report_logistic(report, rng):
    """Both ways to the end; the whole gradient against numerical ones."""
    x, y = load_breast_cancer(return_X_y=True)
    data, (x_held, y_held) = split(x, 2.0 * y - 1.0, rng)
    w0 = 0.1 * rng.standard_normal(x.shape[1] + 1)

    report.model("1. Logistic regression, breast-cancer data", len(w0), len(data[0]), len(x_held))
    exact = fit("chainrule", cr.value_and_grad(logistic_loss), w0, data, jac=True)
    report.fit(exact)
    report.fit(fit("SciPy's finite differences", logistic_loss, w0, data, jac=None))

    print()
    hits = np.sign(logistic_scores(exact.w, x_held)) == y_held
    report.goal("accuracy on held-out rows", 100 * hits.mean(), 95, "%")
    gradient = cr.grad(logistic_loss)(w0, *data)
    for method, (name, goal) in REFEREES.items():
        numerical = cr.numerical.gradient(lambda w: logistic_loss(w, *data), w0, method=method)
        report.goal(f"gradient against {name}", digits(gradient, numerical), goal, "digits")


def report_network(report, rng):
    """Finite differences for one iteration only; the gradient against derivatives along 20 directions."""
    x, y = load_digits(return_X_y=True)
    data, (x_held, y_held) = split(x, y, rng)
    size = x.shape[1] * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES
    w0 = 0.1 * rng.standard_normal(size)

    report.model("2. Network with a hidden layer, digits data", size, len(data[0]), len(x_held))
    objective = cr.value_and_grad(network_loss)
    exact = fit("chainrule", objective, w0, data, jac=True)
    report.fit(exact)
    report.fit(fit("chainrule, one iteration", objective, w0, data, jac=True, iterations=1))
    report.fit(fit("SciPy's differences, one iteration", network_loss, w0, data, jac=None, iterations=1))
    needed = exact.evaluations * (size + 1)
    print(f"  (all {exact.evaluations} gradients by SciPy's differences: {needed:,} evaluations; not run)\n")

    hits = network_scores(exact.w, x_held).argmax(axis=1) == y_held
    report.goal("accuracy on held-out rows", 100 * hits.mean(), 93, "%")
    directions = rng.standard_normal((20, size)) / np.sqrt(size)
    slopes = directions @ cr.grad(network_loss)(w0, *data)
    for method, (name, goal) in REFEREES.items():
        numerical = [
            cr.numerical.derivative(lambda t, v=v: network_loss(w0 + t * v, *data), 0.0, method=method)
            for v in directions
        ]
        report.goal(f"20 slopes against {name}", digits(slopes, numerical), goal, "digits")


# -- looking at a derivative ---------------------------------------------------------------------------

PAGE = Path(__file__).with_name("demo-trace.html")


def textbook(x1, x2):
    product = x1 * x2
    return product + np.exp(product) - np.sin(x2)


def report_trace():
    print("\n3. A derivative, step by step: the evaluation trace with its adjoints\n")
    print(cr.trace(textbook, 1.5, 0.5).text())
    print("\n4. The same derivative by all approaches\n")
    print(cr.compare(textbook, 1.5, 0.5))
    data = load_breast_cancer()
    x = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    rows, columns = 20, 3
    y = np.where(data.target[:rows] == 1, 1.0, -1.0)
    w = np.full(columns + 1, 0.1)
    cr.trace(logistic_loss, w, x[:rows, :columns], y, argnums=0).to_html(PAGE)
    print(f"\n{PAGE.name}, beside this file: the logistic loss of the first {rows} rows, to step through in a browser.")


def main():
    print("Losses written in plain NumPy, minimised by SciPy's L-BFGS-B. One evaluation of chainrule's gives")
    print("the loss and its gradient; finite differences evaluate the loss n + 1 times for a gradient.")
    report, rng = Report(), np.random.default_rng(0)
    report_logistic(report, rng)
    report_network(report, rng)
    report_trace()
    if report.missed:
        print(f"\nMissed: {', '.join(report.missed)}.")
        return 1
    print("\nEvery goal is met.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
