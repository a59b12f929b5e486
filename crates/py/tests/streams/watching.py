"""What tests watch, and how long they wait for it: descriptors, threads, memory."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

SOON = 60.0
"""Seconds that something may take which happens at once on an idle machine. Tests poll until then, and never measure."""


def eventually(condition: Callable[[], object]) -> bool:
    """Whether `condition` becomes true soon."""
    deadline = time.monotonic() + SOON
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


PEAK = """
def peak():
    # Not `ru_maxrss`, which a child inherits from whoever started it.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))
"""
"""For scripts: the most bytes of memory that the process had at once."""


def open_descriptors() -> dict[str, str]:
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            pass
    return found


def children() -> list[str]:
    """Numbers of the processes that any thread of this one has started and not yet waited for."""
    found: list[str] = []
    for task in os.listdir("/proc/self/task"):
        try:
            found += Path(f"/proc/self/task/{task}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def stream_threads() -> list[str]:
    names = [Path(f"/proc/self/task/{task}/comm") for task in os.listdir("/proc/self/task")]
    found = []
    for name in names:
        try:
            found.append(name.read_text().strip())
        except (FileNotFoundError, ProcessLookupError):
            pass
    return [n for n in found if n == "ottava-stream"] + [
        t.name for t in threading.enumerate() if t.name == "ottava-stream"
    ]
