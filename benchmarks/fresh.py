"""What a new process needs for one derivative: the time to its first result, and the memory of a call.

    python benchmarks/fresh.py PROGRAM SIZE_NUMBER

Prints a line of JSON: seconds of processor time from the start of the process to the first result, all imports
included, and the bytes by which the largest memory of the process exceeds that before a call of the given size.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")


def measured(name: str, sizes: int) -> tuple[float, float, list[int]]:
    """Seconds to the first result without and with machine code on disk, and bytes for each size."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"CHAINRULE_CACHE_DIR": folder}
        cold, *warm = [_child(name, 0, settings)["seconds"] for _ in range(4)]
        settings["MALLOC_MMAP_THRESHOLD_"] = "65536"  # large arrays get pages of their own, not freed memory
        return cold, sorted(warm)[1], [_child(name, k, settings)["bytes"] for k in range(sizes)]


def _child(name: str, number: int, settings: dict[str, str]) -> dict[str, Any]:
    """Run this file in a new process with these settings in its environment."""
    command = [sys.executable, __file__, name, str(number)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | settings
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    name, number = sys.argv[1], int(sys.argv[2])
    program = importlib.import_module(f"programs.{name}")
    ours = importlib.import_module("ours").ours
    ours(program, program.data(program.SMALL[0]))()
    seconds = time.process_time()
    for size in program.SMALL[1:]:  # other kinds of arguments, which are compiled or loaded on their own
        ours(program, program.data(size))()
    run = ours(program, program.data(program.SIZES[number]))
    print(json.dumps({"seconds": seconds, "bytes": peak(run)}))


def peak(run: Any) -> int | None:
    """The bytes that a call needs at its peak; none where the system does not tell."""
    if not STATUS.exists():
        return None
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    run()
    return max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    found = re.search(rf"{field}:\s*(\d+) kB", STATUS.read_text())
    assert found
    return 1024 * int(found.group(1))


if __name__ == "__main__":
    main()
