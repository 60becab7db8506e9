"""What holds for every test: the minute of `test_tiny` comes first, and no test leaves NumPy's error state changed.

Machine code is kept with the other things that pytest keeps, apart from the user's.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator

import numpy as np
import pytest


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("CHAINRULE_CACHE_DIR", str(config.rootpath / ".pytest_cache" / "chainrule"))


def pytest_report_header() -> str:
    return f"numpy {np.__version__}, {platform.machine()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name != "test_tiny.py")


@pytest.fixture(autouse=True)
def _error_state_is_restored() -> Iterator[None]:
    before = np.geterr()
    yield
    assert np.geterr() == before, "derivative arithmetic has changed how NumPy warns"
