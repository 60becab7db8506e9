"""The benchmarks run, with sizes too small to tell anything, so that they cannot rot unnoticed."""

import importlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY = {
    "steps": 3,
    "elements": (4, 2000),
    "layers": (5, 4, 3),
    "batch": 2,
    "training": 2,
    "jacobian": 3,
    "memory": 10**5,
    "memory_steps": 4,
}


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    environment = dict(os.environ)
    yield importlib.import_module
    os.environ.clear()
    os.environ.update(environment)


def test_eager_measures_every_case(load):
    eager, timing, rivals = map(load, ("eager", "timing", "rivals"))
    effort = timing.Effort(budget=0, fewest=1, most=1, sample=0)
    tools = rivals.installed(["chainrule"])
    lines = list(eager.measure(tools, eager.Sizes(**TINY), effort))
    assert len(lines) == 11
    assert all("chainrule" in line.figures for line in lines)
    assert all(met for line in lines for met in line.verdicts.values())  # memory needs no rival
    text = eager.report(lines, list(tools))
    assert len(text.splitlines()) == len(lines) + 2


def test_figures_can_be_written(load, tmp_path):
    eager = load("eager")
    line = eager.Line("case", {"chainrule": 1e-3}, {"torch 1": True}, str)
    eager.write(tmp_path / "figures.json", {"date": "today"}, [line])
    assert json.loads((tmp_path / "figures.json").read_text())["lines"][0]["figures"] == {"chainrule": 1e-3}


def test_wrong_results_are_not_timed(load):
    timing = load("timing")
    with pytest.raises(AssertionError, match="slow against fast"):
        timing.check_equal({"fast": lambda: 1.0, "slow": lambda: np.float64(1.1)}, 1e-3)
    timing.check_equal({"fast": lambda: [1.0, np.ones(2)], "slow": lambda: (1.0, [1, 1])}, 1e-3)


def test_faster_contestants_have_smaller_medians(load):
    timing = load("timing")
    effort = timing.Effort(budget=0.02, sample=1e-4)
    seconds = timing.medians({"short": lambda: None, "long": lambda: sum(range(2000))}, effort)
    assert 0 < seconds["short"] < seconds["long"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.34, "12.3 s"), (1.0, "1.00 s"), (0.0123, "12.3 ms"), (4.56e-7, "0.456 µs"), (0.999, "999 ms")],
)
def test_durations_have_three_digits(load, seconds, text):
    assert load("timing").show_time(seconds) == text
