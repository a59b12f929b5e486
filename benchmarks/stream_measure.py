"""Rounds, rows and neighbors: how the stream benchmarks measure."""

from __future__ import annotations

import hashlib
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ottava.streams._descriptors import raise_pipe_size

MIB = 1 << 20
Pump = Callable[[int, int], object]
"""Copies one descriptor to another; what runs elsewhere returns the processor seconds that it spent there."""

NEIGHBOR = """
import os, sys
role, size = sys.argv[1], int(sys.argv[2])
os.write(int(sys.argv[3]), b"r")
os.read(int(sys.argv[4]), 1)
block = bytes(range(256)) * 4096
if role == "write":
    while size:
        n = os.write(1, memoryview(block)[: min(size, len(block))])
        size -= n
elif role == "read":
    while os.read(0, 1 << 18):
        pass
elif role == "splice-out":
    fd = os.memfd_create("source")
    os.ftruncate(fd, 1 << 20)
    while size:
        n = os.splice(fd, 1, min(size, 1 << 20), offset_src=0)
        size -= n
elif role == "splice-in":
    null = os.open("/dev/null", os.O_WRONLY)
    while os.splice(0, null, 1 << 20):
        pass
"""


class Row:
    """One table: contenders, their rounds, what they moved, and the bars."""

    def __init__(self, name: str, bytes: int, unit: str = "GiB/s") -> None:
        self.name = name
        self.bytes = bytes
        self.unit = unit
        self.seconds: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}
        self.notes: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        """Contenders that are not there, and how to get them."""
        self.bars: list[dict[str, Any]] = []

    def run(self, contenders: dict[str, Callable[[], tuple[float, float]]], rounds: int) -> Row:
        for index in range(rounds + 1):
            for name, measure in contenders.items():
                wall, cpu = measure()
                if index:
                    self.seconds.setdefault(name, []).append(wall)
                    self.cpu.setdefault(name, []).append(cpu)
        self.show()
        return self

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def bar(self, text: str, value: float, least: float | None = None, most: float | None = None) -> None:
        """Notes whether what was asked for holds: `value` is at least, or at most, so much."""
        met = (least is None or value >= least) and (most is None or value <= most)
        self.bars.append({"bar": text, "value": value, "met": met})
        print(f"  {'met ' if met else 'MISS'} {text}: {value:.3g}")

    def times(self, name: str, peer: str, least: float) -> None:
        """The bar that `name` is at least so many times as fast as `peer`."""
        if name in self.seconds and peer in self.seconds:
            self.bar(f"{name}: {least:.2g} x {peer}", self.median(peer) / self.median(name), least=least)

    def rate(self, name: str) -> tuple[str, str]:
        """The median and the spread; the processor time."""
        seconds, cpu = self.seconds[name], statistics.median(self.cpu[name])
        low, mid, high = min(seconds), statistics.median(seconds), max(seconds)
        gib = self.bytes / (1 << 30)
        spent = f"{cpu * 1e3 / gib:.1f} ms/GiB" if self.bytes >= MIB else f"{cpu * 1e3:.3f} ms"
        if self.unit == "ms":
            return f"{mid * 1e3:.3f} ms ({low * 1e3:.3f} to {high * 1e3:.3f})", spent
        scale = gib if self.unit == "GiB/s" else self.bytes / 80 / 1e6
        return f"{scale / mid:.2f} {self.unit} ({scale / high:.2f} to {scale / low:.2f})", spent

    def show(self) -> None:
        print(f"\n{self.name}", flush=True)
        for name in self.seconds:
            rate, cpu = self.rate(name)
            print(f"  {name:38} {rate:40} cpu {cpu:16} {self.notes.get(name, '')}")
        for name, how in self.missing.items():
            print(f"  {name:38} not installed: {how}")

    def record(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "bytes": self.bytes,
            "contenders": {
                name: {
                    "median_s": statistics.median(seconds),
                    "least_s": min(seconds),
                    "most_s": max(seconds),
                    "cpu_s": statistics.median(self.cpu[name]),
                    "rounds": len(seconds),
                    "note": self.notes.get(name, ""),
                }
                for name, seconds in self.seconds.items()
            },
            "missing": self.missing,
            "bars": self.bars,
        }


def markdown(rows: list[Row], about: str) -> str:
    """The rows as tables, the bars behind them, the missed ones last."""
    text = f"### Python\n\n{about}\n\n| row | contender | median (least to most) | processor time | |\n|---|---|---|---|---|\n"
    for row in rows:
        for name in row.seconds:
            rate, cpu = row.rate(name)
            text += f"| {row.name} | {name} | {rate} | {cpu} | {row.notes.get(name, '')} |\n"
        for name, how in row.missing.items():
            text += f"| {row.name} | {name} | not installed | | {how} |\n"
    for title, met in (("Bars that are met", True), ("Rows that are lost", False)):
        found = [(row, bar) for row in rows for bar in row.bars if bar["met"] is met]
        text += f"\n#### {title}\n\n"
        text += "| row | bar | measured |\n|---|---|---|\n" if found else "None.\n"
        text += "".join(f"| {row.name} | {bar['bar']} | {bar['value']:.3g} |\n" for row, bar in found)
    return text


def cpu_now() -> float:
    return time.process_time()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    cpu, start = cpu_now(), time.perf_counter()
    work()
    return time.perf_counter() - start, cpu_now() - cpu


class Neighbors:
    """A producer and consumers in processes of their own, started and waiting for the word."""

    def __init__(self, size: int, source: str, sink: str, sinks: int = 1) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self._go: list[int] = []
        self.read, write = os.pipe()
        self.start(source, size, subprocess.DEVNULL, write)
        os.close(write)
        self.writes = []
        for _ in range(sinks):
            read, write = os.pipe()
            self.start(sink, size, read, subprocess.DEVNULL)
            os.close(read)
            self.writes.append(write)

    def start(self, role: str, size: int, stdin: int, stdout: int) -> None:
        ready_read, ready_write = os.pipe()
        go_read, go_write = os.pipe()
        command = [sys.executable, "-ISc", NEIGHBOR, role, str(size), str(ready_write), str(go_read)]
        self.processes.append(
            subprocess.Popen(command, stdin=stdin, stdout=stdout, pass_fds=(ready_write, go_read))
        )
        os.close(ready_write)
        os.close(go_read)
        assert os.read(ready_read, 1) == b"r"
        os.close(ready_read)
        self._go.append(go_write)

    def measure(self, work: Callable[[int, list[int]], object]) -> tuple[float, float]:
        for go in self._go:
            os.write(go, b"g")
            os.close(go)
        cpu, start = cpu_now(), time.perf_counter()
        elsewhere = work(self.read, self.writes)
        for write in self.writes:
            os.close(write)
        for process in self.processes:
            assert process.wait() == 0
        wall, spent = time.perf_counter() - start, cpu_now() - cpu
        os.close(self.read)
        return wall, spent + (elsewhere if isinstance(elsewhere, float) else 0.0)


def unpumped(size: int, source: str, sink: str) -> Callable[[], tuple[float, float]]:
    """The same neighbors at the two ends of one pipe: what they take without a pump, and no pump can do better with."""

    def measure() -> tuple[float, float]:
        neighbors = Neighbors(size, source, sink, 0)
        raise_pipe_size(neighbors.read, MIB)
        neighbors.start(sink, size, neighbors.read, subprocess.DEVNULL)
        return neighbors.measure(lambda _read, _writes: None)

    return measure


def between(size: int, source: str, sink: str, pump: Pump) -> Callable[[], tuple[float, float]]:
    def measure() -> tuple[float, float]:
        return Neighbors(size, source, sink).measure(lambda read, writes: pump(read, writes[0]))

    return measure


def verify(pump: Pump) -> None:
    """The pump moves random bytes unharmed."""
    payload = os.urandom(3_000_001)
    source, feed = os.pipe()
    drain, sink = os.pipe()
    got = hashlib.sha256()

    def produce() -> None:
        rest = memoryview(payload)
        while rest:
            rest = rest[os.write(feed, rest) :]
        os.close(feed)

    def consume() -> None:
        while chunk := os.read(drain, 65536):
            got.update(chunk)

    threads = [threading.Thread(target=produce), threading.Thread(target=consume)]
    for thread in threads:
        thread.start()
    pump(source, sink)
    os.close(sink)
    for thread in threads:
        thread.join()
    os.close(source)
    os.close(drain)
    assert got.digest() == hashlib.sha256(payload).digest(), pump


def source_file(payload: bytes) -> int:
    fd = os.memfd_create("payload")
    rest = memoryview(payload)
    while rest:
        rest = rest[os.write(fd, rest) :]
    return fd


def fed(size: int, work: Callable[[int], object]) -> Callable[[], tuple[float, float]]:
    """Runs `work` on a pipe that a process fills with ASCII."""

    def measure() -> tuple[float, float]:
        neighbors = Neighbors(size, "write", "read", 0)
        return neighbors.measure(lambda read, _: work(read))

    return measure


def machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "libc": " ".join(platform.libc_ver()),
    }
