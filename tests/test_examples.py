"""The examples run with small sizes, meet their goals and save their pictures."""

import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("name", ["orbit", "lynx_hare", "bundle"])
def test_example_meets_its_goals(name, monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(EXAMPLES)
    picture = tmp_path / "picture.png"
    code = importlib.import_module(name).main(["--quick", "--picture", str(picture)])
    text = capsys.readouterr().out
    assert code == 0, text
    assert "every goal is met" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
