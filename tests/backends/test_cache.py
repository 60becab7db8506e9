"""The folder of machine code: whole entries or none, and never an error."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from chainrule.backends import cache


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(tmp_path / "a" / "b"))
    return tmp_path / "a" / "b"


def test_what_is_saved_is_loaded(place: Path) -> None:
    assert cache.load("entry") is None
    assert cache.save("entry", b"content")
    assert cache.load("entry") == b"content"
    assert [p.name for p in place.iterdir()] == ["entry"]


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c[:10], lambda c: b"", lambda c: c + b"!"])
def test_a_damaged_entry_is_none(place: Path, damage: object) -> None:
    cache.save("entry", b"content")
    (place / "entry").write_bytes(damage((place / "entry").read_bytes()))  # type: ignore[operator]
    assert cache.load("entry") is None


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(tmp_path / "file" / "inside"))
    assert not cache.save("entry", b"content")
    assert cache.load("entry") is None


def test_an_entry_that_cannot_be_replaced_leaves_nothing_behind(place: Path) -> None:
    (place / "entry").mkdir(parents=True)
    assert not cache.save("entry", b"content")
    assert [p.name for p in place.iterdir()] == ["entry"]


def test_an_empty_name_switches_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", "")
    assert cache.folder() is None
    assert not cache.save("entry", b"content")
    assert cache.load("entry") is None


def test_the_usual_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINRULE_CACHE_DIR")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.folder() == Path("/home/somebody/.cache/chainrule")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache.folder() == Path("/caches/chainrule")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.folder() == Path("/home/somebody/Library/Caches/chainrule")


def test_names_depend_on_every_part() -> None:
    names = {cache.digest(*parts) for parts in (("a", 1), ("a", 2), ("a1",), ("a", "1"), ("a",), ())}
    assert len(names) == 6


def test_writers_at_the_same_time_leave_one_whole_entry(place: Path) -> None:
    contents = [bytes([k]) * 100_000 for k in range(8)]
    threads = [threading.Thread(target=cache.save, args=("entry", c)) for c in contents]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert cache.load("entry") in contents
    assert os.listdir(place) == ["entry"]


def test_what_was_used_longest_ago_makes_room(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT", 1000)
    for k in range(8):
        cache.save(f"entry{k}", bytes(68))  # 100 with the checksum
        os.utime(place / f"entry{k}", (k, k))
    assert cache.load("entry0") == bytes(68)  # used again: now it is the last
    cache.save("large", bytes(268))
    left = {p.name for p in place.iterdir()}
    assert left == {"entry0", "entry5", "entry6", "entry7", "large"}


def test_writers_at_the_same_time_make_room_together(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT", 3000)
    kept = []

    def write(first: int) -> None:
        kept.extend(cache.save(f"{first}-{k}", bytes(68)) for k in range(40))

    threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(kept) == 160
    assert sum(p.stat().st_size for p in place.iterdir()) <= 3000 + 400
    assert cache.save("last", b"content")
    assert cache.load("last") == b"content"
