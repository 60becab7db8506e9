"""Random programs of the language of native mode: every road to a value or a derivative gives the same, or refuses.

`make fuzz` does this for 2,000 programs, and makes those that disagree small.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.fuzz import checks
from tests.fuzz.checks import Disagreement, Module, check, differences
from tests.fuzz.programs import Program, make
from tests.fuzz.shrink import smallest

BATCH = 10


def outcomes(batch: int, size: int, last: str, numba: tuple[str, ...] = ()) -> Counter[str]:
    """What became of ten programs; the first of them is differentiated twice."""
    found: Counter[str] = Counter()
    for k, seed in enumerate(range(batch * BATCH, (batch + 1) * BATCH)):
        program = make(seed, size)
        try:
            outcome = check(program, numba, last if k or numba else "second")
        except Disagreement as error:
            pytest.fail(f"python -m tests.fuzz.many 1 --first {seed} --size {size}: {error}\n{program.text}")
        found[outcome.split(":")[0]] += 1
    return found


@pytest.mark.parametrize("batch", range(20))
def test_interpreter_and_python_agree_with_differences(batch: int) -> None:
    assert outcomes(batch, 3, "jvp")["agree"] >= BATCH // 2


@pytest.mark.parametrize("batch", range(100, 104))
def test_numba_agrees(batch: int) -> None:
    assert outcomes(batch, 2, "grad", numba=("grad",))["agree"] >= BATCH // 2


def test_a_seed_gives_the_same_program() -> None:
    assert make(7, 12) == make(7, 12)
    assert make(7, 12).text != make(8, 12).text


def small(body: str) -> Program:
    return Program(3, f"def f(x):\n    {body}\n", (("x", "array", (2,)),), 1)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("return np.sum(np.sin(x) * x)", "agree"),
        ("return x[5]", "skipped: plain Python: IndexError"),
        ("return np.sqrt(-1.0 - x[0] ** 2)", "skipped: plain Python: RuntimeWarning"),
        ("return np.abs(x[0] - float(X))", "skipped: not smooth here"),
        ("return 1e3 * np.floor((x[0] - float(X)) * 1e5)", "skipped: steep"),
        ("try: return x[0]\n    finally: pass", "refused: UnsupportedError"),
    ],
)
def test_programs_say_what_they_say(body: str, outcome: str) -> None:
    at = Module(small("return x[0]")).arguments[0][0]
    assert check(small(body.replace("X", repr(float(at))))).startswith(outcome)


def test_a_wrong_derivative_is_seen_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    right = checks.gradient
    monkeypatch.setattr(
        checks, "gradient", lambda module: [g + 0.01 * ("np.sin" in module.text) for g in right(module)]
    )
    found = small(
        "y = x * 2\n    s = 0.0\n    for k in range(2):\n        s += np.sin(y[k]) * x[0]\n    return s + x[1]"
    )
    with pytest.raises(Disagreement, match="grad:") as error:
        check(found)
    text, message = smallest(found, error.value)
    assert "np.sin" in text
    assert len(text.splitlines()) <= 4
    assert message.startswith("grad:")


def test_differences_are_exact_for_smooth_functions() -> None:
    point, way = [np.array([0.3, -0.4])], [np.array([1.0, 2.0])]
    got = differences(lambda p: np.sum(np.exp(p[0])), point, way)
    assert got == pytest.approx(np.exp(0.3) + 2 * np.exp(-0.4), rel=1e-10)
