"""Benchmarks of `ottava.streams` beside its peers. Correctness is checked before anything is timed.

    python benchmarks/streams.py [--profile small|full] [--json PATH] [--ratchet | --record] [--only WORDS]

Contenders of one row take turns, round after round, so that a busy moment hits all of them. Each line shows the median,
the spread (least and most), and the processor seconds that the measuring process spent per GiB.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import io
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ottava import streams
from ottava.streams._descriptors import raise_pipe_size
from stream_measure import MIB, Neighbors, Row, between, fed, machine, source_file, timed, verify
from stream_peers import Pump, asyncio_pump_once, backend, bare_splice, ottava, ottava_async, peers

HERE = Path(__file__).parent
RATCHET = HERE / "streams.ratchet.json"

# Rows


def rows_pump(profile: str) -> Iterator[Row]:
    contenders = peers()
    mine: dict[str, Pump] = {
        "ottava rust": ottava("rust"),
        "ottava rust, 256 KiB pipes": ottava("rust", pipe_size=256 << 10),
        "ottava rust, awaited": ottava_async("rust"),
        "ottava rust, read/write": ottava("rust", in_kernel=False),
        "ottava python": ottava("python"),
        "bare os.splice loop, 1 MiB pipes": bare_splice(MIB),
    }
    for pump in (*contenders.values(), *mine.values()):
        verify(pump)
    size = (256 if profile == "small" else 1024) * MIB
    rounds = 3 if profile == "small" else 7
    every = {name: between(size, "write", "read", pump) for name, pump in {**contenders, **mine}.items()}
    yield Row(f"pump, pipe to pipe, copying neighbors, {size // MIB} MiB", size).run(every, rounds)
    quick = ("ottava rust", "ottava python", "bare os.splice loop, 1 MiB pipes", "cat")
    size *= 4
    fast = {
        name: between(size, "splice-out", "splice-in", pump)
        for name, pump in {**contenders, **mine}.items()
        if name in quick
    }
    yield Row(f"pump, pipe to pipe, zero-copy neighbors, {size // MIB} MiB", size).run(fast, rounds)


def rows_busy(profile: str) -> Iterator[Row]:
    """A pump whose source and sink cost nothing, alone and beside a thread that only computes.

    Each contender is compared with itself. What holds the interpreter lock between two calls moves less, in the time
    that one switch of threads takes, than what does not: so it is given less to move.
    """
    most = (2048 if profile == "small" else 8192) * MIB
    stop = False

    def spin() -> None:
        while not stop:
            sum(range(1000))

    def beside(measure: Callable[[], tuple[float, float]]) -> Callable[[], tuple[float, float]]:
        def run() -> tuple[float, float]:
            nonlocal stop
            stop = False
            thread = threading.Thread(target=spin)
            thread.start()
            try:
                return measure()
            finally:
                stop = True
                thread.join()

        return run

    def alone(pump: Pump, size: int) -> Callable[[], tuple[float, float]]:
        def measure() -> tuple[float, float]:
            source = os.memfd_create("source")
            os.ftruncate(source, size)
            read, write = os.pipe()
            raise_pipe_size(read, MIB)
            feeder = subprocess.Popen(
                [sys.executable, "-ISc", f"import os\nwhile os.splice({source}, 1, 1 << 20): pass"],
                stdout=write,
                pass_fds=(source,),
            )
            os.close(write)
            os.read(read, 1)
            with open("/dev/null", "wb") as null:
                wall, cpu = timed(lambda: pump(read, null.fileno()))
            feeder.wait()
            os.close(read)
            os.close(source)
            # As if all contenders had moved as much.
            return wall * most / size, cpu * most / size

        return measure

    def loop(read: int, write: int) -> None:
        while os.splice(read, write, MIB):
            pass

    pumps = {"rust": (ottava("rust"), most), "python": (ottava("python"), most // 16), "os.splice loop": (loop, most // 16)}
    contenders = {}
    for name, (pump, size) in pumps.items():
        contenders[f"{name}, alone"] = alone(pump, size)
        contenders[f"{name}, beside a busy thread"] = beside(alone(pump, size))
    row = Row(f"pump beside a busy Python thread, {most // MIB} MiB", most)
    row.run(contenders, 3 if profile == "small" else 7)
    for name in pumps:
        kept = row.median(f"{name}, alone") / row.median(f"{name}, beside a busy thread")
        print(f"    {name} keeps {kept:.0%}")
    yield row


def rows_tee(profile: str) -> Iterator[Row]:
    size = (512 if profile == "small" else 2048) * MIB

    def tee(name: str, **options: Any) -> Callable[[], tuple[float, float]]:
        def measure() -> tuple[float, float]:
            def work(read: int, writes: list[int]) -> None:
                with backend(name):
                    streams.pump_sync(read, writes[0], tee=writes[1:], **options)

            return Neighbors(size, "splice-out", "splice-in", 2).measure(work)

        return measure

    contenders = {
        "ottava rust, tee": tee("rust"),
        "ottava rust, read/write": tee("rust", in_kernel=False),
        "ottava python, read/write": tee("python"),
    }
    yield Row(f"tee to two pipes, {size // MIB} MiB", size).run(contenders, 3 if profile == "small" else 7)


def rows_pipeline(profile: str) -> Iterator[Row]:
    size = 256 * MIB
    commands = [["head", "-c", str(size), "/dev/zero"], ["cat"], ["wc", "-c"]]

    def mine(name: str, observe: bool) -> Callable[[], object]:
        def run() -> None:
            with backend(name):
                report = asyncio.run(streams.pipeline(commands, observe=observe))
            assert report.stdout == b"%d\n" % size

        return run

    async def by_asyncio(chunk_size: int) -> None:
        start = functools.partial(asyncio.create_subprocess_exec, limit=chunk_size * 2)
        pipe = asyncio.subprocess.PIPE
        first = await start(*commands[0], stdout=pipe)
        second = await start(*commands[1], stdin=pipe, stdout=pipe)
        third = await start(*commands[2], stdin=pipe, stdout=pipe)

        async def pump(reader: Any, writer: Any) -> None:
            while chunk := await reader.read(chunk_size):
                writer.write(chunk)
                await writer.drain()
            writer.close()

        await asyncio.gather(pump(first.stdout, second.stdin), pump(second.stdout, third.stdin))
        assert await third.stdout.read() == b"%d\n" % size
        await asyncio.gather(first.wait(), second.wait(), third.wait())

    def shell() -> None:
        line = " | ".join(" ".join(command) for command in commands)
        assert subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout == b"%d\n" % size

    runs: dict[str, Callable[[], object]] = {
        "asyncio 4 KiB": lambda: asyncio.run(by_asyncio(4096)),
        "asyncio 64 KiB": lambda: asyncio.run(by_asyncio(65536)),
        "sh": shell,
        "ottava rust, wired directly": mine("rust", False),
        "ottava rust, every hop observed": mine("rust", True),
        "ottava python, every hop observed": mine("python", True),
    }
    contenders = {name: functools.partial(timed, run) for name, run in runs.items()}
    yield Row(f"pipeline of three, {size // MIB} MiB", size, "ms").run(contenders, 3 if profile == "small" else 7)


def rows_consume(profile: str) -> Iterator[Row]:
    size = (256 if profile == "small" else 1024) * MIB

    def consume(name: str, encoding: Any, errors: str = "replace") -> Callable[[int], object]:
        def run(read: int) -> None:
            with backend(name):
                streams.consume_sync(read, encoding, errors)

        return run

    def readall(read: int) -> bytes:
        return io.FileIO(read, closefd=False).readall()

    rounds = 3 if profile == "small" else 5
    contenders = {
        "readall": fed(size, readall),
        "ottava rust": fed(size, consume("rust", None)),
        "ottava python": fed(size, consume("python", None)),
    }
    yield Row(f"consume to bytes, from a pipe, {size // MIB} MiB", size).run(contenders, rounds)

    def texts(payload: bytes, what: str) -> Row:
        fd = source_file(payload)

        def rewound(work: Callable[[int], object]) -> Callable[[], tuple[float, float]]:
            def measure() -> tuple[float, float]:
                os.lseek(fd, 0, os.SEEK_SET)
                return timed(lambda: work(fd))

            return measure

        with backend("rust"):
            os.lseek(fd, 0, os.SEEK_SET)
            assert streams.consume_sync(fd).data == payload.decode("utf-8", "replace")
        row = Row(f"consume to str, {what}, {len(payload) // MIB} MiB", len(payload))
        row.run(
            {
                "readall, then bytes.decode": rewound(lambda fd: readall(fd).decode("utf-8", "replace")),
                "ottava rust": rewound(consume("rust", "utf-8")),
                "ottava python": rewound(consume("python", "utf-8")),
            },
            rounds,
        )
        os.close(fd)
        return row

    yield texts(b"plain ascii text, line after line\n" * (size // 34), "ASCII")
    yield texts("grüße aus der Ferne — 日本語 ".encode() * (size // 4 // 41), "mixed")
    yield texts(os.urandom(8 * MIB), "garbage")


def rows_lines(profile: str) -> Iterator[Row]:
    size = (256 if profile == "small" else 1024) * MIB // 80 * 80
    fd = source_file((b"x" * 79 + b"\n") * (size // 80))
    count = size // 80

    def rewound(work: Callable[[], int]) -> Callable[[], tuple[float, float]]:
        def measure() -> tuple[float, float]:
            os.lseek(fd, 0, os.SEEK_SET)
            counted = 0

            def run() -> None:
                nonlocal counted
                counted = work()

            took = timed(run)
            assert counted == count, counted
            return took

        return measure

    def batches(name: str, blob: bool) -> Callable[[], int]:
        def run() -> int:
            with backend(name):
                lines: Any = streams.lines_sync(fd, blob=True) if blob else streams.lines_sync(fd)
                return sum(map(len, lines))

        return run

    def each(name: str) -> Callable[[], int]:
        def run() -> int:
            with backend(name):
                counter = itertools.count()
                return streams.each_line_sync(fd, lambda _: next(counter)).lines

        return run

    def count_lines(name: str) -> Callable[[], int]:
        def run() -> int:
            with backend(name):
                return streams.count_lines_sync(fd).lines

        return run

    def plain() -> int:
        """What one would write by hand: 256 KiB at a time, decode, split."""
        total, rest = 0, ""
        while chunk := os.read(fd, 1 << 18):
            *lines, rest = (rest + chunk.decode()).split("\n")
            total += len(lines)
        return total

    def text_file() -> int:
        with open(os.dup(fd), encoding="utf-8") as file:
            return sum(1 for _ in file)

    def wc() -> int:
        return int(subprocess.run(["wc", "-l"], stdin=fd, capture_output=True, check=True).stdout)

    contenders = {
        "text file, line by line": rewound(text_file),
        "by hand, batches": rewound(plain),
        "ottava rust, batches": rewound(batches("rust", False)),
        "ottava python, batches": rewound(batches("python", False)),
        "ottava rust, bytes and spans": rewound(batches("rust", True)),
        "ottava python, bytes and spans": rewound(batches("python", True)),
        "ottava rust, a call per line": rewound(each("rust")),
        "ottava python, a call per line": rewound(each("python")),
        "wc -l": rewound(wc),
        "ottava rust, counting": rewound(count_lines("rust")),
        "ottava python, counting": rewound(count_lines("python")),
    }
    yield Row(f"lines of 80 bytes, {size // MIB} MiB", size, "M lines/s").run(contenders, 3 if profile == "small" else 5)
    os.close(fd)


def rows_small(profile: str) -> Iterator[Row]:
    times = 200 if profile == "small" else 1000

    def repeated(pump: Pump) -> Callable[[], tuple[float, float]]:
        def measure() -> tuple[float, float]:
            wall = cpu = 0.0
            for _ in range(times):
                source, feed = os.pipe()
                drain, sink = os.pipe()
                os.write(feed, bytes(1024))
                os.close(feed)
                took = timed(lambda: pump(source, sink))
                wall, cpu = wall + took[0], cpu + took[1]
                assert len(os.read(drain, 2048)) == 1024
                for fd in (source, drain, sink):
                    os.close(fd)
            return wall / times, cpu / times

        return measure

    def within(make: Callable[[int, int], Any]) -> Pump:
        loop = asyncio.new_event_loop()
        return lambda read, write: loop.run_until_complete(make(read, write))

    def awaited(name: str) -> Pump:
        run = within(lambda read, write: streams.pump(read, write))

        def pump(read: int, write: int) -> None:
            with backend(name):
                run(read, write)

        return pump

    contenders = {
        "asyncio 4 KiB, running loop": repeated(within(lambda read, write: asyncio_pump_once(read, write, 4096))),
        "ottava rust, awaited": repeated(awaited("rust")),
        "ottava rust, sync": repeated(ottava("rust")),
        "ottava python, awaited": repeated(awaited("python")),
        "ottava python, sync": repeated(ottava("python")),
    }
    yield Row("1 KiB, call included", 1024, "ms").run(contenders, 5)


def rows_stop(profile: str) -> Iterator[Row]:
    """From the cancellation of a pipeline of 64 observed stages to its end."""

    async def once() -> float:
        commands = [["yes"], *[["cat"]] * 62, ["sleep", "60"]]
        task = asyncio.ensure_future(streams.pipeline(commands, observe=True))
        await asyncio.sleep(0.3)
        start = time.perf_counter()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        return time.perf_counter() - start

    async def pump_once() -> float:
        read, write = os.pipe()
        task = asyncio.ensure_future(streams.pump(read, write))
        await asyncio.sleep(0.005)
        start = time.perf_counter()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        took = time.perf_counter() - start
        os.close(read)
        os.close(write)
        return took

    rounds = 5 if profile == "small" else 20
    row = Row("cancelled to stopped", 0, "ms")
    for name, work, times in (("64 stages", once, rounds), ("one pump", pump_once, 200)):
        for kind in ("rust", "python"):
            with backend(kind):
                took = [asyncio.run(work()) for _ in range(times)]
            row.seconds[f"ottava {kind}, {name}"] = took
            row.cpu[f"ottava {kind}, {name}"] = [0.0]
            row.notes[f"ottava {kind}, {name}"] = f"p99 {sorted(took)[int(len(took) * 0.99)] * 1e3:.3f} ms"
    row.show()
    yield row


def rows_matrix(profile: str) -> Iterator[Row]:
    """The recorded matrix: sizes, one or three stages, with and without line callbacks, both backends."""
    sizes = [1 << 10, 1 << 20, 100 << 20] + ([1 << 30] if profile == "full" else [])
    for size in sizes:
        for stages in (1, 3):
            for callbacks in (False, True):
                if callbacks and size > 100 << 20:
                    continue
                contenders = {
                    f"ottava {name}": functools.partial(_matrix, name, size, stages, callbacks) for name in ("rust", "python")
                }
                shown = f"{size // MIB} MiB" if size >= MIB else f"{size >> 10} KiB"
                title = f"matrix: {shown}, {stages} {'stage' if stages == 1 else 'stages'}"
                title += ", a call per line" if callbacks else ""
                rounds = 11 if size <= MIB else 3 if profile == "small" else 7
                yield Row(title, size, "ms").run(contenders, rounds)


def _matrix(name: str, size: int, stages: int, callbacks: bool) -> tuple[float, float]:
    commands = [["sh", "-c", f"yes {'x' * 78} | head -c {size}"], *[["cat"]] * (stages - 1)]
    with backend(name):
        if not callbacks:
            null = os.open("/dev/null", os.O_WRONLY)
            try:
                return timed(lambda: streams.pipeline_sync([*commands, ["cat"]], stdout=null, observe=True))
            finally:
                os.close(null)
        producer = subprocess.Popen(commands[0], stdout=subprocess.PIPE)
        assert producer.stdout is not None
        seen = [0]

        def note(line: str) -> None:
            seen[0] += len(line) + 1

        def work() -> None:
            read = producer.stdout
            for _ in range(stages - 1):
                source, sink = os.pipe()
                threads.append(threading.Thread(target=streams.pump_sync, args=(read, sink), kwargs={"close_writer": True}))
                threads[-1].start()
                fds.append(source)
                read = source  # type: ignore[assignment]
            streams.each_line_sync(read, note)  # type: ignore[arg-type]
            for thread in threads:
                thread.join()

        threads: list[threading.Thread] = []
        fds: list[int] = []
        took = timed(work)
        producer.stdout.close()
        producer.wait()
        for fd in fds:
            os.close(fd)
        assert size <= seen[0] <= size + 1
        return took


ROWS: dict[str, Callable[[str], Iterator[Row]]] = {
    "pump": rows_pump,
    "busy": rows_busy,
    "tee": rows_tee,
    "pipeline": rows_pipeline,
    "consume": rows_consume,
    "lines": rows_lines,
    "small": rows_small,
    "stop": rows_stop,
    "matrix": rows_matrix,
}

RATCHETED = ["tee", "consume", "lines", "small", "matrix"]
"""Rows whose ratios are recorded and compared: those that need few rounds to be steady."""


def ratios(rows: list[Row]) -> dict[str, float]:
    """How many times the speed of the Python path the native path has, wherever a row has both."""
    found = {}
    for row in rows:
        for name, seconds in row.seconds.items():
            kind, _, rest = name.partition("ottava rust")
            python = row.seconds.get(f"ottava python{rest}")
            if not kind and python:
                # The best of each is the steadiest figure on a machine that others use too.
                found[row.name + rest] = round(min(python) / min(seconds), 3)
    return found


def ratchet(found: dict[str, float]) -> int:
    """Compares with what was recorded; 1 if a ratio fell by more than a tenth."""
    recorded = json.loads(RATCHET.read_text())["ratios"]
    fallen = {name: (recorded[name], now) for name, now in found.items() if name in recorded and now < 0.9 * recorded[name]}
    compared = recorded.keys() & found.keys()
    print(f"\nratchet: {len(compared)} of {len(recorded)} recorded ratios compared, {len(fallen)} fell")
    for name, (before, now) in fallen.items():
        print(f"  {name}: {before} before, {now} now")
    if not compared:
        print("  nothing to compare: no row of this run was recorded")
    return 1 if fallen or not compared else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=["small", "full"], default="small")
    parser.add_argument("--json", type=Path, help="where to write the results")
    parser.add_argument("--ratchet", action="store_true", help="compare with the recorded ratios, fail if one fell by a tenth")
    parser.add_argument("--record", action="store_true", help="record the ratios of this run")
    parser.add_argument("--only", nargs="+", choices=list(ROWS), help="run only these rows")
    options = parser.parse_args()
    only = options.only or (RATCHETED if options.ratchet or options.record else list(ROWS))
    rows = [row for name in only for row in ROWS[name](options.profile)]
    found = ratios(rows)
    if options.json:
        result = {"machine": machine(), "profile": options.profile, "rows": [row.record() for row in rows], "ratios": found}
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    if options.record:
        RATCHET.write_text(json.dumps({"profile": options.profile, "ratios": found}, indent=2) + "\n")
    return ratchet(found) if options.ratchet else 0


if __name__ == "__main__":
    sys.exit(main())
