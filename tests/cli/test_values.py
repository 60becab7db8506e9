"""Values typed on the command line and read from files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from chainrule.cli.values import assignments, value
from chainrule.errors import ArgumentError


def same(a: object, b: object) -> bool:
    if isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(b, dict):
        return isinstance(a, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in b)
    if isinstance(b, tuple):
        return isinstance(a, tuple) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5", 1.5),
        ("-3", -3),
        ("1e-3", 1e-3),
        ("1+2j", 1 + 2j),
        ("pi/4", math.pi / 4),
        ("inf", math.inf),
        ("2**3", 8.0),
        ("[1, 2]", np.array([1, 2])),
        ("[1.0, 2]", np.array([1.0, 2.0])),
        ("[[1, 2], [3, 4]]", np.array([[1, 2], [3, 4]])),
        ("[]", np.zeros(0)),
        ("(1.0, [2.0])", (1.0, np.array([2.0]))),
        ("{'a': [1.0], 'b': 2}", {"a": np.array([1.0]), "b": 2}),
        ("'fast'", "fast"),
        ("None", None),
        ("True", True),
    ],
)
def test_text(text: str, expected: object) -> None:
    assert same(value(text), expected)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.arange(6.0).reshape(2, 3))
    np.savez("one.npz", x=np.arange(3))
    np.savez("two.npz", x=np.arange(3), y=np.ones(2))
    np.save("objects.npy", np.array([{}], object), allow_pickle=True)
    Path("plain.csv").write_text("1,2\n3,4\n")
    Path("heading.csv").write_text("\ufefflength, mass\n1,2\n3,4\n", encoding="utf-8")
    Path("column.csv").write_text("1\n2\n3\n")
    Path("words.csv").write_text("a,b\n1,two\n")
    Path("empty.csv").write_text("")
    Path("broken.npy").write_bytes(b"nothing")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.npy", np.arange(6.0).reshape(2, 3)),
        ("one.npz", np.arange(3)),
        ("two.npz:y", np.ones(2)),
        ("plain.csv", np.array([[1.0, 2.0], [3.0, 4.0]])),
        ("heading.csv", np.array([[1.0, 2.0], [3.0, 4.0]])),
        ("heading.csv:mass", np.array([2.0, 4.0])),
        ("heading.csv:length", np.array([1.0, 3.0])),
        ("column.csv", np.array([1.0, 2.0, 3.0])),
    ],
)
def test_files(text: str, expected: object, folder: Path) -> None:
    assert same(value(text), expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "write NAME=VALUE"),
        ("=1", "write NAME=VALUE"),
        ("1x=1", "write NAME=VALUE"),
        ("for=1", "write NAME=VALUE"),
        ("x=", "not an expression"),
        ("x=abc", "'abc' is no number; a value is a number, a list, or a file"),
        ("x=[1, [2]]", "of one length"),
        ("x=['a']", "numbers only"),
        ("x=[{}]", "numbers only"),
        ("x=__import__('os')", "no function '__import__'"),
        ("x=9**9**9", "too large"),
        ("x=1e999j*", "not an expression"),
        ("x=absent.npy", "cannot read absent.npy: No such file"),
        ("x=absent.csv", "cannot read absent.csv: No such file"),
        ("x=two.npz", "choose one of the arrays x, y"),
        ("x=two.npz:z", "choose one of the arrays x, y"),
        ("x=heading.csv:width", "no column 'width'; there are length, mass"),
        ("x=plain.csv:mass", "no column 'mass'; there are none"),
        ("x=words.csv", "words.csv cannot be read as .csv"),
        ("x=empty.csv", "empty.csv is empty"),
        ("x=broken.npy", "broken.npy cannot be read as .npy"),
        ("x=objects.npy", "objects.npy cannot be read as .npy"),
    ],
)
def test_what_is_no_value(text: str, words: str, folder: Path) -> None:
    with pytest.raises(ArgumentError, match=words):
        assignments([text])


def test_a_name_is_given_once() -> None:
    with pytest.raises(ArgumentError, match="x is given twice"):
        assignments(["x=1", "x=2"])
