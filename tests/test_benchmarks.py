"""The benchmarks run, with sizes too small to tell anything, so that they cannot rot unnoticed."""

import functools
import importlib
import json
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr

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
    ours = {path.stem for path in BENCHMARKS.iterdir()}
    for name, module in list(sys.modules.items()):  # other modules of these names may have been imported
        if name.partition(".")[0] in ours and str(BENCHMARKS) not in (getattr(module, "__file__", None) or ""):
            monkeypatch.delitem(sys.modules, name)

    def imported(name):
        environment = dict(os.environ)
        module = importlib.import_module(name)
        os.environ.clear()  # numbers of threads, which may not change once there are some
        os.environ.update(environment)
        return module

    return imported


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


def test_passes_are_taken_away_and_measured(load):
    passes, timing = map(load, ("passes", "timing"))
    for without in passes.PASSES.values():
        with without():
            pass
    case = list(passes.cases())[-1]._replace(args=(np.arange(4.0), 2))
    row = passes.measure(case, timing.Effort(budget=0, fewest=1, most=1, sample=0))
    assert row[:2] == [case.what, case.name]
    assert all(float(cell) > 0 for cell in row[2:])


@pytest.fixture
def uncompiled(load, monkeypatch):
    """The programs without Numba: what it makes of them is compared when the benchmark runs."""
    elementary = {name: getattr(np, name) for name in ("cos", "exp", "sin", "tanh")}
    decorators = dict.fromkeys(("compiled", "inlined"), lambda f: f)
    names = ("programs", "by_hand", "contestants", "ours")
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in names}
    monkeypatch.setattr(cr, "jit", functools.partial(cr.jit, backend="python"))
    monkeypatch.setitem(sys.modules, "by_hand.compiled", types.SimpleNamespace(**elementary, **decorators))
    yield load
    for name in [name for name in sys.modules if name.split(".")[0] in names]:
        del sys.modules[name]
    sys.modules.update(before)


PROGRAMS = ("gmm", "ba", "lstm", "ode", "llsq", "saddle", "sweep", "scalar", "small")


@pytest.mark.parametrize("name", PROGRAMS)
def test_derivatives_of_programs_agree(uncompiled, name):
    contestants = uncompiled("contestants")
    assert contestants.PROGRAMS == PROGRAMS
    contestants.check(name, [])  # with the one written by hand and with finite differences


def test_the_sparse_jacobian_is_that_of_the_residuals(uncompiled):
    program = uncompiled("programs.ba")
    args = program.data(program.SMALL[0])
    ends = np.cumsum([a.size for a in args[:3]])[:2]

    def residuals(x):
        parts = [p.reshape(a.shape) for p, a in zip(np.split(x, ends), args[:3], strict=True)]
        return program.objective(*parts, *args[3:])

    x = np.concatenate([a.ravel() for a in args[:3]])
    expected = cr.numerical.jacobian(residuals, x, method="central")
    np.testing.assert_allclose(program.derivative(*args)().toarray(), expected, 1e-6, 1e-4)


def test_the_search_ends_in_the_saddle_point(uncompiled):
    program, start = uncompiled("programs.saddle"), (0.3, -0.7)
    for size in program.SIZES:
        np.testing.assert_allclose(program.derivative(start, start, *size)(), 0, atol=2e-5)


def test_native_measures_a_program_and_writes_it_into_a_page(load, tmp_path, monkeypatch):
    native, timing, fresh = map(load, ("native", "timing", "fresh"))
    monkeypatch.setattr(load("programs.small"), "SIZES", [4])
    monkeypatch.setattr(fresh, "measured", lambda name, sizes: (1.0, 0.5, [3 * 2**20] * sizes))
    effort = timing.Effort(budget=0, fewest=1, most=1, sample=0)
    measured = native.measure("small", [], effort)
    assert measured.lines[0].seconds.keys() == {"objective", "chainrule", "by hand"}
    assert "4 elements" in native.report(measured, [])
    page = tmp_path / "page.md"
    columns = len(native.heads(list(native.TITLES))) + 1
    rows = f"| gmm | {'x | ' * columns}\n| small | old |"
    page.write_text(f"before\n{native.BEGIN}\n{rows}\n{native.END}\nafter\n", encoding="utf-8")
    header = {"date": "today", "processor": "P", "system": "S", "software": "N"}
    native.write(page, header, [measured])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "3.0 MB" in text
    assert "| small | old |" not in text
    assert "| gmm | x |" in text


def test_slow_contestants_are_timed_once(load):
    timing = load("timing")
    calls = []
    effort = timing.Effort(budget=1, patience=0, most=5)
    seconds = timing.spreads({"slow": lambda: calls.append(1)}, effort)
    assert len(calls) == 1
    assert seconds["slow"].spread == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.34, "12.3 s"), (1.0, "1.00 s"), (0.0123, "12.3 ms"), (4.56e-7, "0.456 µs"), (0.999, "999 ms")],
)
def test_durations_have_three_digits(load, seconds, text):
    assert load("timing").show_time(seconds) == text
