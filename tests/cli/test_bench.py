"""`bench`: every way is timed, and what cannot be timed says why."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from chainrule.cli import bench
from chainrule.cli.main import main


def test_the_median_is_the_time_of_a_call() -> None:
    calls = 0

    def run() -> None:
        nonlocal calls
        calls += 1
        time.sleep(0.0 if calls % 5 == 0 else 2e-3)  # some are faster

    assert 2e-3 <= bench._median(run, 0.05) < 2e-2


def test_every_way_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "x*exp(y)", "x=1", "y=2", "--seconds", "0.01", "--json"]) == 0
    timings = json.loads(capsys.readouterr().out)["timings"]
    assert len(timings) == 6
    assert all(0 < t["seconds"] < 1 for t in timings)


def test_what_native_mode_does_not_take_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lists.py").write_text("def f(x):\n    with open('/dev/null'):\n        return x * x\n")
    assert main(["bench", "lists.py:f", "x=1.0", "--seconds", "0.01"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "native mode" in line]
    assert len(lines) == 2
    assert all("–" in line and "lists.py" in line for line in lines)
