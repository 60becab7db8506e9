"""Figures in words."""

from __future__ import annotations

import pytest

from chainrule.report.words import duration, plural


@pytest.mark.parametrize(("count", "text"), [(0, "0 rules"), (1, "1 rule"), (2, "2 rules"), (12345, "12,345 rules")])
def test_plural(count: int, text: str) -> None:
    assert plural(count, "rule") == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.0125, "12.5 ms"), (1.25e-5, "12.5 µs"), (3e-8, "0.03 µs"), (0.0, "0 µs")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
