"""Benchmarks of `ottava.streams` beside its peers. Correctness is checked before anything is timed.

    python benchmarks/streams.py [--profile small|full] [--json PATH] [--only WORDS]

Contenders of one row take turns, round after round, so that a busy moment hits all of them. Each line shows the median,
the spread (least and most), and the processor time that the pump itself took, per GiB. What is recorded
and compared by machine is another script's affair: `stream_ratchet.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ottava import streams
from ottava.streams._descriptors import raise_pipe_size
from stream_measure import MIB, Neighbors, Pump, Row, between, fed, machine, markdown, source_file, timed, unpumped, verify
from stream_peers import asyncio_pump_once, backend, bare_splice, ottava, ottava_async, peers

# Rows


def rows_pump(profile: str) -> Iterator[Row]:
    contenders, missing = peers()
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
    every["no pump, one pipe of 1 MiB"] = unpumped(size, "write", "read")
    row = Row(f"pump, pipe to pipe, copying neighbors, {size // MIB} MiB", size)
    row.missing = missing
    row.notes["no pump, one pipe of 1 MiB"] = "what the neighbors take by themselves"
    row.run(every, rounds)
    row.times("ottava rust", "asyncio 4 KiB", 8)
    row.times("ottava rust", "bare os.splice loop, 1 MiB pipes", 0.95)
    yield row
    quick = ("ottava rust", "ottava python", "bare os.splice loop, 1 MiB pipes", "cat")
    size *= 4
    fast = {
        name: between(size, "splice-out", "splice-in", pump)
        for name, pump in {**contenders, **mine}.items()
        if name in quick
    }
    row = Row(f"pump, pipe to pipe, zero-copy neighbors, {size // MIB} MiB", size).run(fast, rounds)
    row.times("ottava rust", "bare os.splice loop, 1 MiB pipes", 0.95)
    row.bar("ottava rust: 25 GiB/s", size / (1 << 30) / row.median("ottava rust"), least=25)
    yield row


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
        if name == "rust":
            row.bar("ottava rust: keeps 0.9 of its speed", kept, least=0.9)
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
    row = Row(f"tee to two pipes, {size // MIB} MiB", size).run(contenders, 3 if profile == "small" else 7)
    row.times("ottava rust, tee", "ottava rust, read/write", 8)
    yield row


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
    row = Row(f"pipeline of three, {size // MIB} MiB", size, "ms")
    row.notes["sh"] = "what the programs themselves take, started by a shell"
    row.run(contenders, 3 if profile == "small" else 7)
    row.times("ottava rust, wired directly", "asyncio 4 KiB", 10)
    row.times("ottava rust, wired directly", "sh", 0.9)
    spent = min(row.cpu["ottava rust, wired directly"]) * 1e3
    row.bar("ottava rust, wired directly: 3 ms of our own processor time, starting three programs included", spent, most=3)
    yield row


PEAK = """
import os, subprocess
from ottava import streams
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))
size = 256 << 20
producer = subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE)
streams.consume_sync(os.open("/dev/null", os.O_RDONLY))
before = peak()
assert len(streams.consume_sync(producer.stdout, None).data) == size
print((peak() - before) / size)
"""


def peak_memory() -> float:
    """The most memory that a process needs more when it consumes 256 MiB, over these."""
    environment = {**os.environ, "OTTAVA_STREAM_BACKEND": "rust"}
    return float(subprocess.run([sys.executable, "-c", PEAK], env=environment, capture_output=True, check=True).stdout)


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
    row = Row(f"consume to bytes, from a pipe, {size // MIB} MiB", size).run(contenders, rounds)
    row.times("ottava rust", "readall", 0.95)
    row.bar("ottava rust: at most 1.05 x the payload in memory", peak_memory(), most=1.05)
    yield row

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
        if what == "garbage":
            row.times("ottava rust", "readall, then bytes.decode", 0.9)
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

    def wc() -> tuple[float, float]:
        os.lseek(fd, 0, os.SEEK_SET)
        start = time.perf_counter()
        process = subprocess.Popen(["wc", "-l"], stdin=fd, stdout=subprocess.PIPE)
        assert process.stdout is not None
        with process.stdout as answer:
            assert int(answer.read()) == count
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return time.perf_counter() - start, usage.ru_utime + usage.ru_stime

    contenders = {
        "text file, line by line": rewound(text_file),
        "by hand, batches": rewound(plain),
        "ottava rust, batches": rewound(batches("rust", False)),
        "ottava python, batches": rewound(batches("python", False)),
        "ottava rust, bytes and spans": rewound(batches("rust", True)),
        "ottava python, bytes and spans": rewound(batches("python", True)),
        "ottava rust, a call per line": rewound(each("rust")),
        "ottava python, a call per line": rewound(each("python")),
        "wc -l": wc,
        "ottava rust, counting": rewound(count_lines("rust")),
        "ottava python, counting": rewound(count_lines("python")),
    }
    row = Row(f"lines of 80 bytes, {size // MIB} MiB", size, "M lines/s").run(contenders, 3 if profile == "small" else 5)
    os.close(fd)
    for name, over, rate in (("ottava rust, batches", 1.7, 17), ("ottava rust, bytes and spans", 3.4, 34)):
        row.times(name, "by hand, batches", over)
        row.bar(f"{name}: {rate} M lines/s", count / 1e6 / row.median(name), least=rate)
    row.times("ottava rust, counting", "wc -l", 1 / 1.2)
    yield row


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
    row = Row("1 KiB, call included", 1024, "ms").run(contenders, 5)
    row.times("ottava rust, awaited", "asyncio 4 KiB, running loop", 1)
    yield row


def rows_stop(profile: str) -> Iterator[Row]:
    """From the cancellation of a pipeline of 64 observed stages to its end."""
    commands = [["yes"], *[["cat"]] * 62, ["sleep", "60"]]

    async def once() -> float:
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

    def by_hand() -> float:
        processes: list[subprocess.Popen[bytes]] = []
        for command in commands:
            source = processes[-1].stdout if processes else subprocess.DEVNULL
            processes.append(subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, start_new_session=True))
            if len(processes) > 1:
                processes[-2].stdout.close()  # type: ignore[union-attr]
        time.sleep(0.3)
        start = time.perf_counter()
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
        for process in processes:
            process.wait()
        took = time.perf_counter() - start
        processes[-1].stdout.close()  # type: ignore[union-attr]
        return took

    rounds = 5 if profile == "small" else 20
    row = Row("cancelled to stopped", 0, "ms")
    floor = "no pump: 64 programs killed and waited for"
    row.seconds[floor], row.cpu[floor] = [by_hand() for _ in range(rounds)], [0.0]
    row.notes[floor] = f"p99 {max(row.seconds[floor]) * 1e3:.3f} ms: what the system takes by itself"
    for name, work, times in (("64 stages", once, rounds), ("one pump", pump_once, 200)):
        for kind in ("rust", "python"):
            with backend(kind):
                took = [asyncio.run(work()) for _ in range(times)]
            row.seconds[f"ottava {kind}, {name}"] = took
            row.cpu[f"ottava {kind}, {name}"] = [0.0]
            row.notes[f"ottava {kind}, {name}"] = f"p99 {sorted(took)[int(len(took) * 0.99)] * 1e3:.3f} ms"
    row.show()
    for kind in ("rust", "python"):
        took = sorted(row.seconds[f"ottava {kind}, 64 stages"])
        row.bar(f"ottava {kind}, 64 stages: 5 ms, p99", took[int(len(took) * 0.99)] * 1e3, most=5)
    yield row


def rows_interrupt(profile: str) -> Iterator[Row]:
    """From SIGINT to the KeyboardInterrupt that the caller sees, all that was begun being ended."""
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def quiet(work: Callable[[int, int], object]) -> Callable[[], object]:
        def run() -> None:
            read, feed = os.pipe()
            drain, write = os.pipe()
            try:
                work(read, write)
            finally:
                for fd in (read, feed, drain, write):
                    os.close(fd)

        return run

    operations = {
        "pump": quiet(streams.pump_sync),
        "consume": quiet(lambda read, _: streams.consume_sync(read)),
        "lines": quiet(lambda read, _: list(streams.lines_sync(read))),
        "pipeline of three": lambda: streams.pipeline_sync([["yes"], ["cat"], ["sleep", "60"]], observe=True),
    }
    row = Row("SIGINT to KeyboardInterrupt", 0, "ms")
    for name, operation in operations.items():
        for kind in ("rust", "python"):
            named = f"ottava {kind}, {name}"
            with backend(kind):
                took = [_interrupted(operation) for _ in range(20 if profile == "small" else 100)]
            row.seconds[named], row.cpu[named] = took, [0.0]
    row.show()
    row.bar("every one: 50 ms, the slowest", max(map(max, row.seconds.values())) * 1e3, most=50)
    yield row


def _interrupted(operation: Callable[[], object]) -> float:
    sent = 0.0

    def send() -> None:
        nonlocal sent
        time.sleep(0.1)
        sent = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    try:
        thread.start()
        operation()
    except KeyboardInterrupt:
        took = time.perf_counter() - sent
        thread.join()
        return took
    raise AssertionError("it ended by itself")


def rows_matrix(profile: str) -> Iterator[Row]:
    """The recorded matrix: sizes, one or three stages, with and without line callbacks, both backends."""
    sizes = [1 << 10, 1 << 20, 100 << 20] + ([1 << 30] if profile == "full" else [])
    for size in sizes:
        for stages in (1, 3):
            for callbacks in (False, True):
                contenders = {
                    f"ottava {name}": functools.partial(_matrix, name, size, stages, callbacks) for name in ("rust", "python")
                }
                shown = f"{size // MIB} MiB" if size >= MIB else f"{size >> 10} KiB"
                title = f"matrix: {shown}, {stages} {'stage' if stages == 1 else 'stages'}"
                title += ", a call per line" if callbacks else ""
                rounds = 11 if size <= MIB else 3 if profile == "small" or size > 100 * MIB else 7
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
    "interrupt": rows_interrupt,
    "matrix": rows_matrix,
}

def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=["small", "full"], default="small")
    parser.add_argument("--json", type=Path, help="where to write the results")
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), help="run only these rows")
    options = parser.parse_args()
    rows = [row for name in options.only for row in ROWS[name](options.profile)]
    bars = [bar for row in rows for bar in row.bars]
    print(f"\n{sum(bar['met'] for bar in bars)} of {len(bars)} bars are met")
    if options.json:
        about = machine()
        result = {
            "machine": about,
            "profile": options.profile,
            "rows": [row.record() for row in rows],
            "markdown": markdown(rows, ", ".join(f"{key} {value}" for key, value in about.items())),
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
