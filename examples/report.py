"""What the examples share: a report of what was measured, clocks, progress and the look of the pictures.

Each example is a program of its own: it prints what it finds, saves a picture as PNG beside itself, and its exit
code is 0 only if every goal is met. `--quick` runs it with sizes for a test, `--picture PATH` saves elsewhere.
"""

from __future__ import annotations

import argparse
import time
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import minimize
from tqdm import tqdm

import chainrule as cr

# Okabe and Ito's colours, told apart by those who see few of them.
BLUE, ORANGE, GREEN, PURPLE, SKY, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#8a8a8a"
STYLE = {
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "savefig.dpi": 160,
}
# Digits to which an exact gradient agrees with each numerical one, at least.
REFEREES = {"complex": ("complex step", 10), "central": ("central differences", 6)}
EXACT, DIFFERENCES = "chainrule", "SciPy's differences"


class Report:
    """Prints what was measured and remembers which goals were missed."""

    def __init__(self, title):
        self.missed = []
        print(f"{title}. Programs are compiled at their first call, which takes seconds.\n", flush=True)

    def say(self, name, value, unit="", note=""):
        print(f"  {name:<44}{value:>12} {unit:<8} {note}".rstrip(), flush=True)

    def goal(self, name, value, low=-np.inf, high=np.inf, unit=""):
        met = low <= value <= high
        if not met:
            self.missed.append(name)
        wanted = f"{low:g} or more" if high == np.inf else f"{high:g} or less"
        self.say(name, f"{value:.3g}", unit, f"goal: {wanted}, {'ok' if met else 'MISSED'}")

    def costs(self, value, objective, x, data):
        """What a value and a gradient cost, and how exact the gradient is at the point `x`."""
        first, seconds = first_and_later(value, x, *data)
        self.say("the loss", f"{1e3 * seconds:.3f}", "ms", f"first call {first:.1f} s")
        first, both = first_and_later(objective, x, *data)
        self.say("the loss and its gradient", f"{1e3 * both:.3f}", "ms", f"first call {first:.1f} s")
        self.say("that is", f"{both / seconds:.1f}", "losses", f"by differences {x.size + 1}")
        gradient = objective(x, *data)[1]
        for method, (name, low) in REFEREES.items():
            numerical = cr.numerical.gradient(lambda p: value(p, *data), x, method=method)
            self.goal(f"gradient against {name}", digits(gradient, numerical), low, unit="digits")

    def runs(self, runs):
        """One line per way to the minimum."""
        print(f"\n  {'gradient by':<26}{'iterations':>11}{'evaluations':>13}{'time':>12}{'loss':>14}")
        for run in runs:
            counts = f"{run.iterations:>11,}{run.evaluations:>13,}"
            print(f"  {run.name:<26}{counts}{run.seconds:>10.2f} s{run.losses[-1]:>14.6g}", flush=True)
        print()

    def finish(self, picture):
        print(f"\n  picture: {picture}")
        print(f"  missed: {', '.join(self.missed)}" if self.missed else "  every goal is met")
        return 1 if self.missed else 0


class Run:
    """One minimisation: counts the evaluations of functions, and notes the loss after every iteration."""

    def __init__(self, name, loss):
        self.name, self.iterations, self.evaluations, self.losses, self.times = name, 0, 0, [loss], [0.0]
        self.bar = tqdm(desc=f"  {name}", leave=False, disable=None)  # a bar on terminals only
        self.start = time.perf_counter()

    def note(self, loss):
        self.times.append(time.perf_counter() - self.start)
        self.losses.append(float(loss))
        self.iterations += 1
        self.bar.set_postfix(loss=f"{loss:.6g}", refresh=False)
        self.bar.update()

    def close(self):
        self.bar.close()
        return self

    @property
    def seconds(self):
        return self.times[-1]


def minimised(name, objective, value, guess, data, jac, **options):
    """Where BFGS ends, and its run; with jac=None SciPy estimates the gradient, n + 1 evaluations for each."""
    run = Run(name, value(guess, *data))

    def counted(*args):
        run.evaluations += 1
        return objective(*args)

    def callback(intermediate_result):
        run.note(intermediate_result.fun)

    result = minimize(counted, guess, data, "BFGS", jac=jac, callback=callback, options=options)
    return result.x, run.close()


def options(file):
    """The command line of the example `file`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="small sizes, for the tests")
    parser.add_argument("--picture", type=Path, default=Path(file).with_suffix(".png"), help="where the PNG goes")
    return parser


@contextmanager
def picture(path, width, height):
    """A new figure, saved when the block ends."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        yield figure
        figure.savefig(path)


def first_and_later(f, *args, calls=20):
    """Seconds of the first call, in which the program is compiled, and of the fastest later one."""
    seconds = []
    for _ in range(calls + 1):
        start = time.perf_counter()
        f(*args)
        seconds.append(time.perf_counter() - start)
    return seconds[0], min(seconds[1:])


def digits(exact, numerical):
    """Decimal digits to which two arrays agree, relative to the largest element; 16 at most."""
    exact, numerical = np.asarray(exact), np.asarray(numerical)
    return -np.log10(max(abs(exact - numerical).max() / abs(exact).max(), 1e-16))
