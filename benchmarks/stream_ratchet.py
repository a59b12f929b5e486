"""The ratchet: how many times less processor time the native backend takes than the pure-Python one.

    cargo xtask bench streams --ratchet [--profile small|full] [--keep RUNS]

Only ratios are compared, never times, and only processor time of this process, which neither a busy machine nor a slow one changes much:
the least of several rounds, in which both backends take turns. A ratio fails when it is more than a tenth below the recorded one, and
still is after twice and four times as many rounds more. `--keep` records the least ratio of so many runs, for those rows whose ratio hardly
differed between them; let it run with and without something else on the machine. The small profile takes fewer rounds of the same rows.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ottava import streams
from stream_measure import MIB, machine, source_file
from stream_peers import backend

RATCHET = Path(__file__).parent / "streams.ratchet.json"

FALL = 0.9
"""The least part of the recorded ratio that passes."""

STEADY = 1.2
"""The most by which the ratios of several runs may differ for a row to be recorded: the greatest over the least."""

LINE = b"x" * 79 + b"\n"

Work = Callable[[], object]


def on_file(payload: bytes, work: Callable[[int], object]) -> Work:
    """Runs `work` on a file in memory, from its beginning."""
    fd = source_file(payload)

    def run() -> object:
        os.lseek(fd, 0, os.SEEK_SET)
        return work(fd)

    return run


def many(times: int, work: Work) -> Work:
    def run() -> None:
        for _ in range(times):
            work()

    return run


def short(size: int, pump: Callable[[int, int], object]) -> Work:
    """A transfer that fits into a pipe, call included."""
    payload = bytes(size)

    def run() -> None:
        source, feed = os.pipe()
        drain, sink = os.pipe()
        os.write(feed, payload)
        os.close(feed)
        pump(source, sink)
        assert len(os.read(drain, size + 1)) == size
        for fd in (source, drain, sink):
            os.close(fd)

    return run


def stages(count: int, end: Callable[[int], object]) -> Callable[[int], object]:
    """`count` pumps in a row, each in a thread, and `end` behind the last pipe."""

    def run(fd: int) -> None:
        threads, pipes = [], []
        for _ in range(count):
            read, write = os.pipe()
            options = {"close_writer": True, "in_kernel": False}
            threads.append(threading.Thread(target=streams.pump_sync, args=(fd, write), kwargs=options))
            threads[-1].start()
            pipes.append(read)
            fd = read
        end(fd)
        for thread in threads:
            thread.join()
        for fd in pipes:
            os.close(fd)

    return run


def drop(fd: int) -> None:
    while os.read(fd, 1 << 18):
        pass


def each(fd: int) -> int:
    counter = itertools.count()
    return streams.each_line_sync(fd, lambda _: next(counter)).lines


def to_null(fd: int, **options: Any) -> None:
    with open("/dev/null", "wb") as null:
        streams.pump_sync(fd, null, **options)


def rows() -> dict[str, Work]:
    """Each row's work, for whichever backend is chosen; it takes some ten milliseconds."""
    loop = asyncio.new_event_loop()

    def awaited(read: int, write: int) -> object:
        return loop.run_until_complete(streams.pump(read, write))

    lines = LINE * (16 * MIB // 80)
    ascii, mixed = b"plain ascii text, line after line\n" * (MIB // 2), "grüße aus der Ferne — 日本語 ".encode() * (MIB // 8)
    found: dict[str, Work] = {
        "pump, 1 KiB, call included": many(300, short(1 << 10, streams.pump_sync)),
        "pump, 1 KiB, awaited": many(300, short(1 << 10, awaited)),
        "pump, 32 KiB, call included": many(300, short(1 << 15, streams.pump_sync)),
        "copy to /dev/null, 1 KiB": many(300, on_file(bytes(1 << 10), lambda fd: to_null(fd, in_kernel=False))),
        "copy to /dev/null, 32 MiB": on_file(bytes(32 * MIB), lambda fd: to_null(fd, in_kernel=False)),
        "consume to bytes, 1 KiB": many(300, on_file(bytes(1 << 10), lambda fd: streams.consume_sync(fd, None))),
        "consume to bytes, 32 MiB": on_file(bytes(32 * MIB), lambda fd: streams.consume_sync(fd, None)),
        "consume to str, ASCII, 17 MiB": on_file(ascii, streams.consume_sync),
        "consume to str, mixed, 5 MiB": on_file(mixed, streams.consume_sync),
        "consume to str, garbage, 1 MiB": on_file(os.urandom(MIB), streams.consume_sync),
        "lines, batches": on_file(lines, lambda fd: sum(map(len, streams.lines_sync(fd)))),
        "lines, bytes and spans": on_file(lines, lambda fd: sum(map(len, streams.lines_sync(fd, blob=True)))),
        "lines, a call per line": on_file(lines, each),
        "lines, counting": on_file(lines, streams.count_lines_sync),
    }
    for shown, payload, times in (("1 KiB", LINE * 12, 20), ("1 MiB", LINE * (MIB // 80), 5), ("16 MiB", lines, 1)):
        for count in (1, 3):
            named = f"{shown} through {count} {'stage' if count == 1 else 'stages'}"
            found[named] = many(times, on_file(payload, stages(count, drop)))
            found[f"{named}, a call per line"] = many(times, on_file(payload, stages(count, each)))
    return found


class Pair:
    """One row: processor seconds of both backends, round after round."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.seconds: dict[str, list[float]] = {"rust": [], "python": []}
        self.measure(1)
        self.seconds = {"rust": [], "python": []}

    def measure(self, rounds: int) -> float:
        """Takes so many rounds more; the ratio of the least."""
        for _ in range(rounds):
            for name, taken in self.seconds.items():
                with backend(name):
                    start = time.process_time()
                    self._work()
                    taken.append(time.process_time() - start)
        return round(min(self.seconds["python"]) / min(self.seconds["rust"]), 3)


def compare(rounds: int) -> int:
    """Measures what was recorded; 1 if a ratio fell."""
    recorded: dict[str, float] = json.loads(RATCHET.read_text())["ratios"]
    work = rows()
    if not recorded or recorded.keys() - work.keys():
        print(f"{RATCHET.name} holds what is no row: {sorted(recorded.keys() - work.keys())}")
        return 1
    fallen = 0
    print("processor time of the pure-Python backend over that of the native one")
    for name, before in recorded.items():
        pair = Pair(work[name])
        for more in (1, 2, 4):
            now = pair.measure(rounds * more)
            if now >= FALL * before:
                break
        fell = now < FALL * before
        fallen += fell
        print(f"  {name:42} {now:8.3f}   recorded {before:.3f}{'   FELL' if fell else ''}", flush=True)
    print(f"{len(recorded)} ratios compared, {fallen} fell by more than a tenth")
    return 1 if fallen else 0


def record(runs: int, rounds: int) -> None:
    """Keeps the least ratio of several runs, where they agree."""
    every: dict[str, list[float]] = {}
    for run in range(runs):
        for name, work in rows().items():
            every.setdefault(name, []).append(Pair(work).measure(rounds))
        print(f"run {run + 1} of {runs}", flush=True)
    kept = {}
    for name, ratios in every.items():
        spread = max(ratios) / min(ratios)
        steady = spread <= STEADY
        if steady:
            kept[name] = min(ratios)
        print(f"  {name:42} {min(ratios):8.3f} to {max(ratios):.3f} {'' if steady else 'left out: not steady'}")
    about = {"runs": runs, "fall": FALL, "steady": STEADY, "machine": machine()}
    RATCHET.write_text(json.dumps({**about, "ratios": kept}, indent=2) + "\n")


def rounds_of(profile: str) -> int:
    return 9 if profile == "small" else 50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=["small", "full"], default="small")
    parser.add_argument("--keep", type=int, metavar="RUNS", help="record the ratios of so many runs, instead of comparing")
    options = parser.parse_args()
    if options.keep:
        record(options.keep, rounds_of(options.profile))
        return 0
    return compare(rounds_of(options.profile))


if __name__ == "__main__":
    sys.exit(main())
