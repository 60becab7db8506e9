"""The folder in which machine code is kept between processes.

Entries are named by what they depend on, so that one is never changed; it is written under another name and moved
into place, whole or not at all, and carries its own checksum. Where the folder cannot be read or written there
is no cache, and no error. ``CHAINRULE_CACHE_DIR`` names the folder; empty, it switches the cache off. The folder does
not grow beyond `LIMIT`: what was used longest ago is removed, and compiled again if it is wanted again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from pathlib import Path

__all__ = ["digest", "folder", "load", "save"]

LIMIT = 256 << 20  # bytes, some ten thousand programs
_CHECKSUM = hashlib.sha256().digest_size


def folder() -> Path | None:
    """Where entries are kept; None if they are not.

    Examples
    --------
    >>> before = os.environ.get("CHAINRULE_CACHE_DIR")
    >>> os.environ["CHAINRULE_CACHE_DIR"] = "/tmp/derivatives"
    >>> print(folder())
    /tmp/derivatives
    >>> _ = os.environ.pop("CHAINRULE_CACHE_DIR") if before is None else os.environ.update(CHAINRULE_CACHE_DIR=before)
    """
    named = os.environ.get("CHAINRULE_CACHE_DIR")
    if named is not None:
        return Path(named) if named else None
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "chainrule" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "chainrule"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "chainrule"


def digest(*parts: object) -> str:
    """The name of the entry that depends on `parts`."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def load(name: str) -> bytes | None:
    """The entry `name`, None if there is none, or none that is whole."""
    place = folder()
    if place is None:
        return None
    try:
        found = (place / name).read_bytes()
    except OSError:
        return None
    with contextlib.suppress(OSError):
        os.utime(place / name)  # it was used now
    content = found[_CHECKSUM:]
    return content if hashlib.sha256(content).digest() == found[:_CHECKSUM] else None


def save(name: str, content: bytes) -> bool:
    """Keep `content` as the entry `name`; return whether that was possible."""
    place = folder()
    if place is None:
        return False
    try:
        place.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place)
    except OSError:
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        os.replace(temporary, place / name)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        return False
    with contextlib.suppress(OSError):
        _make_room(place)
    return True


def _make_room(place: Path) -> None:
    """Remove what was used longest ago if there is too much; another process may be doing the same."""
    with os.scandir(place) as found:
        entries = sorted((e.stat().st_mtime_ns, e.stat().st_size, e.path) for e in found)
    size = sum(s for _, s, _ in entries)
    if size <= LIMIT:
        return
    for _, freed, path in entries:
        with contextlib.suppress(OSError):
            os.unlink(path)
        size -= freed
        if size <= LIMIT * 3 // 4:
            return
