"""Hand a table from one Python process to another: ottava beside what people use for it.

    python benchmarks/handover.py --profile small

Per way and size: latency from "the producer begins to hand over" to "the consumer has the table as a pyarrow.Table" (available) and to "it
has summed one column" (summed), as p50 and p99 over the rounds; for ottava also to "the consumer holds its own table", which any library
can take over `__arrow_c_stream__` (held); anonymous memory, which is what is a process's own, by which the consumer has grown since
before its first table, and the peak of both processes. Rounds of all ways are interleaved. The consumer's sum is compared with the producer's in
every round, and every column in the first.

For ways that begin with a table of their own (all but "born"), the table exists before the clock starts. A table that is born in
its segment is filled before the clock starts, too: that is the work that any way needs to make one. One row hands nothing over: it shows what it
takes until a process that sleeps runs at all. A server in sealed mode gets memory for its next table ready when one was acknowledged; these ways
come last in a round, so that this falls on themselves and on the row that hands nothing over.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import pickle
import platform
import struct
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from multiprocessing import resource_tracker, shared_memory
from typing import Any, BinaryIO, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight

from ottava import handover

AXES = [f"x{axis}" for axis in range(8)]
SCHEMA = {"id": "uint64", **dict.fromkeys(AXES, "float32"), "name": "utf8"}


def make(rows: int) -> pa.Table:
    """An id, eight coordinates and a name per row."""
    ids = np.arange(rows, dtype=np.uint64)
    columns: dict[str, Any] = {"id": ids}
    for axis, name in enumerate(AXES):
        columns[name] = ((np.arange(rows) * 31 + axis * 17) % 1000).astype(np.float32)
    columns["name"] = pa.array([f"token {row}" for row in range(rows)])
    schema = pa.schema(
        [pa.field("id", pa.uint64(), False), *(pa.field(name, pa.float32(), False) for name in AXES)]
        + [pa.field("name", pa.utf8(), False)]
    )
    return pa.table(columns, schema=schema)


def send_bytes(pipe: BinaryIO, data: bytes | memoryview | pa.Buffer) -> None:
    view = memoryview(data)
    pipe.write(struct.pack("<q", len(view)))
    pipe.write(view)
    pipe.flush()


def read_bytes(pipe: BinaryIO) -> bytes | None:
    head = pipe.read(8)
    if len(head) < 8:
        return None
    return pipe.read(struct.unpack("<q", head)[0])


def shared_block(**arguments: Any) -> shared_memory.SharedMemory:
    """A block that its users unlink themselves: a tracker would say that it leaks."""
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(track=False, **arguments)
    block = shared_memory.SharedMemory(**arguments)
    resource_tracker.unregister(block._name, "shared_memory")  # type: ignore[attr-defined]
    return block


# Ways. Each has a producer (`Way.hand` does one round) and a consumer (a function that yields tables, in the other process).


class Way(ABC):
    name = ""
    most_rows = 10**9

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.child = subprocess.Popen(
            [sys.executable, __file__, "--consume", type(self).__name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.child.stdin is not None and self.child.stdout is not None
        self.pipe = self.child.stdin
        self.answers = self.child.stdout
        self.start()

    def start(self) -> None:
        """What comes once, before the first round."""

    def prepare(self) -> None:
        """What is not part of the hand-over."""

    @abstractmethod
    def hand(self) -> None:
        """One hand-over: what is timed."""

    def stop(self) -> None:
        """Ends the consumer, if the end of its standard input does not."""


class Word(Way):
    """Hands nothing over: its consumer has a table of its own."""

    name = "one byte over a pipe, after the same work"

    def prepare(self) -> None:
        self.copies = [column.to_numpy().copy() for column in self.table.columns[:9]]

    def hand(self) -> None:
        self.pipe.write(b".")
        self.pipe.flush()

    @staticmethod
    def consume(pipe: BinaryIO) -> Any:
        table = make(10)
        while pipe.read(1):
            yield table


class JsonBase64(Way):
    name = "JSON + base64 over a pipe"
    most_rows = 1_000_000

    def hand(self) -> None:
        body: dict[str, Any] = {}
        for name in ("id", *AXES):
            body[name] = base64.b64encode(self.table[name].to_numpy().tobytes()).decode()
        body["name"] = self.table["name"].to_pylist()
        send_bytes(self.pipe, json.dumps(body).encode())

    @staticmethod
    def consume(pipe: BinaryIO) -> Any:
        while (data := read_bytes(pipe)) is not None:
            body = json.loads(data)
            columns: dict[str, Any] = {"id": np.frombuffer(base64.b64decode(body["id"]), np.uint64)}
            for name in AXES:
                columns[name] = np.frombuffer(base64.b64decode(body[name]), np.float32)
            columns["name"] = pa.array(body["name"])
            yield pa.table(columns)


class Pickle(Way):
    name = "pickle over a pipe"

    def hand(self) -> None:
        send_bytes(self.pipe, pickle.dumps(self.table, protocol=5))

    @staticmethod
    def consume(pipe: BinaryIO) -> Any:
        while (data := read_bytes(pipe)) is not None:
            yield pickle.loads(data)


class SharedMemory(Way):
    name = "multiprocessing.shared_memory + numpy"

    def hand(self) -> None:
        columns = [self.table[name].combine_chunks() for name in self.table.column_names]
        parts = [buffer for column in columns for buffer in column.buffers() if buffer is not None]
        size = sum(part.size for part in parts)
        block = shared_block(create=True, size=max(size, 1))
        at, ends = 0, []
        for part in parts:
            np.frombuffer(block.buf, np.uint8, part.size, at)[:] = np.frombuffer(part, np.uint8)
            at += part.size
            ends.append(at)
        send_bytes(self.pipe, json.dumps([block.name, self.table.num_rows, ends]).encode())
        block.close()

    @staticmethod
    def consume(pipe: BinaryIO) -> Any:
        while (data := read_bytes(pipe)) is not None:
            name, rows, ends = json.loads(data)
            block = shared_block(name=name)
            whole = pa.py_buffer(block.buf)
            starts = [0, *ends]
            parts = [whole.slice(start, end - start) for start, end in zip(starts, ends)]
            columns = [pa.Array.from_buffers(pa.uint64(), rows, [None, parts[0]])]
            columns += [pa.Array.from_buffers(pa.float32(), rows, [None, part]) for part in parts[1:9]]
            columns.append(pa.Array.from_buffers(pa.utf8(), rows, [None, *parts[9:11]]))
            yield pa.table(columns, names=list(SCHEMA))
            del whole, parts, columns
            try:
                block.close()
            except BufferError:
                pass
            os.unlink(f"/dev/shm/{name}")


class IpcPipe(Way):
    name = "Arrow IPC stream over a pipe"

    def hand(self) -> None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.table.schema) as writer:
            writer.write_table(self.table)
        send_bytes(self.pipe, sink.getvalue())

    @staticmethod
    def consume(pipe: BinaryIO) -> Any:
        while (data := read_bytes(pipe)) is not None:
            yield pa.ipc.open_stream(data).read_all()


class IpcFile(Way):
    name = "Arrow IPC file mapped from /dev/shm"

    def hand(self) -> None:
        handle, path = tempfile.mkstemp(dir="/dev/shm", prefix="bench-handover-")
        os.close(handle)
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, self.table.schema) as writer:
            writer.write_table(self.table)
        send_bytes(self.pipe, path.encode())

    @staticmethod
    def consume(pipe: BinaryIO) -> Any:
        while (data := read_bytes(pipe)) is not None:
            path = data.decode()
            with pa.memory_map(path) as source:
                os.unlink(path)
                yield pa.ipc.open_file(source).read_all()


class Flight(Way):
    name = "Arrow Flight (gRPC on loopback)"

    def start(self) -> None:
        self.port = int(self.answers.readline())
        self.client = flight.FlightClient(f"grpc://127.0.0.1:{self.port}")

    def hand(self) -> None:
        descriptor = flight.FlightDescriptor.for_path("table")
        writer, _ = self.client.do_put(descriptor, self.table.schema)
        writer.write_table(self.table)
        writer.close()

    def stop(self) -> None:
        self.client.do_action("stop")
        self.client.close()


class _Handover(Way):
    trusted = False
    awake = 0
    """Seconds that the consumer waits awake."""
    held: ClassVar[int] = 0
    """Consumer: when the table was there that is made a `pyarrow.Table` next."""

    def start(self) -> None:
        self.server = handover.Server(slots=2, trusted=self.trusted)
        self.pipe.write(f"{self.server.address} {self.server.token()} {int(self.trusted)} {self.awake}\n".encode())
        self.pipe.flush()
        self.server.wait_connected(20)

    def hand(self) -> None:
        self.server.send(self.table)

    def stop(self) -> None:
        self.server.close()

    @staticmethod
    def consume(pipe: BinaryIO) -> Any:
        address, token, trusted, awake = pipe.readline().decode().split()
        with handover.connect(address, token, trusted=trusted == "1", awake=float(awake)) as client:
            while True:
                if float(awake):
                    # From now on it waits awake, and only then: it would be in the way of the others.
                    pipe.read(1)
                if (received := client.recv()) is None:
                    return
                _Handover.held = time.monotonic_ns()
                yield pa.table(received)
                del received


class SendSealed(_Handover):
    name = "ottava, one copy, sealed and validated"


class SendTrusted(_Handover):
    name = "ottava, one copy, trusted"
    trusted = True


class BornSealed(_Handover):
    name = "ottava, born in the segment, sealed and validated"

    def prepare(self) -> None:
        names = self.table["name"].combine_chunks()
        capacity = {"name": names.buffers()[2].size}
        self.segment = self.server.segment(SCHEMA, self.table.num_rows, capacity=capacity).__enter__()
        for name in ("id", *AXES):
            self.segment[name][:] = self.table[name].to_numpy()
        self.segment["name"] = names

    def hand(self) -> None:
        self.segment.__exit__(None, None, None)
        del self.segment


class BornTrusted(BornSealed):
    name = "ottava, born in the segment, trusted"
    trusted = True


class BornAwake(BornTrusted):
    name = "ottava, born in the segment, trusted, consumer awake"
    awake = 60

    def prepare(self) -> None:
        self.pipe.write(b".")
        self.pipe.flush()
        super().prepare()


WAYS: list[type[Way]] = [
    Word, JsonBase64, Pickle, SharedMemory, IpcPipe, IpcFile, Flight, BornTrusted, BornAwake, SendTrusted, SendSealed, BornSealed,
]  # fmt: skip


def peak(field: str) -> int:
    """A line of /proc/self/status, in bytes."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def answer(table: pa.Table, available: int, check: bool, before: int) -> bytes:
    total = float(table["x0"].to_numpy().sum(dtype=np.float64))
    summed = time.monotonic_ns()
    checks = ""
    if check:
        checks = " " + str(pa.compute.sum(table["id"]).as_py()) + " " + str(len("".join(table["name"].to_pylist())))
    now = peak("RssAnon")
    held = _Handover.held or available
    return f"{available} {summed} {total} {now} {now - before} {held}{checks}\n".encode()


def settle() -> int:
    """Anonymous memory in bytes, once everything that reading a table takes is loaded."""
    answer(make(10), 0, True, 0)
    return peak("RssAnon")


def consume(name: str) -> None:
    out = sys.stdout.buffer
    way = next(way for way in WAYS if way.__name__ == name)
    if way is Flight:

        class Server(flight.FlightServerBase):  # type: ignore[misc]
            rounds = 0
            before = settle()

            def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
                table = reader.read_all()
                available = time.monotonic_ns()
                out.write(answer(table, available, self.rounds == 0, self.before))
                out.flush()
                self.rounds += 1

            def do_action(self, context: Any, action: Any) -> list[Any]:
                import threading

                threading.Thread(target=self.shutdown).start()
                return []

        server = Server("grpc://127.0.0.1:0")
        out.write(f"{server.port}\n".encode())
        out.flush()
        server.serve()
        return
    before = settle()
    first = True
    for table in way.consume(sys.stdin.buffer):  # type: ignore[attr-defined]
        available = time.monotonic_ns()
        line = answer(table, available, first, before)
        del table
        first = False
        out.write(line)
        out.flush()


def measure(rows: int, rounds: int, ways: list[type[Way]]) -> list[dict[str, Any]]:
    table = make(rows)
    total = float(table["x0"].to_numpy().sum(dtype=np.float64))
    ids = str(pa.compute.sum(table["id"]).as_py())
    letters = str(len("".join(table["name"].to_pylist())))
    lanes = [way(table) for way in ways if rows <= way.most_rows]
    figures: dict[str, dict[str, list[float]]] = {
        lane.name: {"available": [], "summed": [], "held": [], "private": [], "grown": [], "handed": []} for lane in lanes
    }
    for turn in range(rounds + 3):
        for lane in lanes:
            lane.prepare()
            start = time.monotonic_ns()
            lane.hand()
            handed = time.monotonic_ns()
            words = lane.answers.readline().split()
            handed_over = not isinstance(lane, Word)
            if handed_over and float(words[2]) != total:
                raise SystemExit(f"{lane.name}: the consumer sums to {words[2]!r}, not {total}")
            if handed_over and turn == 0 and [word.decode() for word in words[6:]] != [ids, letters]:
                raise SystemExit(f"{lane.name}: the consumer reads {words[6:]}, not {[ids, letters]}")
            if turn >= 3:
                own = figures[lane.name]
                own["available"].append((int(words[0]) - start) / 1e3)
                own["summed"].append((int(words[1]) - start) / 1e3)
                own["held"].append((int(words[5]) - start) / 1e3)
                own["handed"].append((handed - start) / 1e3)
                own["private"].append(int(words[3]))
                own["grown"].append(int(words[4]))
    results = []
    for lane in lanes:
        lane.stop()
        lane.pipe.close()
        lane.child.wait(30)
        lane.answers.close()
        own = figures[lane.name]
        results.append(
            {
                "rows": rows,
                "way": lane.name,
                "rounds": rounds,
                **{
                    f"{kind}_p{share}_us": float(np.percentile(own[kind], share))
                    for kind in ("held", "available", "summed")
                    for share in (50, 99)
                },
                "available_least_us": min(own["available"]),
                "consumer_peak_private_bytes": int(max(own["private"])),
                "consumer_private_bytes_per_row": max(0, *own["grown"]) / rows,
            }
        )
    return results


def producer_peak(rows: int, way: str) -> int:
    """Peak anonymous memory of a producer that does nothing else, beyond the table itself, in bytes."""
    done = subprocess.run(
        [sys.executable, __file__, "--produce", way, str(rows)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def produce(name: str, rows: int) -> None:
    way = next(way for way in WAYS if way.__name__ == name)
    table = make(rows)
    before = peak("VmRSS")
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")  # resets the high-water mark
    lane = way(table)
    for _ in range(3):
        lane.prepare()
        lane.hand()
        lane.answers.readline()
    print(max(0, peak("VmHWM") - before))
    lane.stop()
    lane.pipe.close()
    lane.child.wait(30)


PEERS = (Flight.name, SharedMemory.name, IpcPipe.name)
"""What every way of ours is to be ahead of, and one copy five times at a million rows."""


def bars(result: dict[str, Any], others: dict[str, float]) -> list[tuple[str, bool]]:
    """What was asked of a way of ours, and whether it holds."""
    way, rows, took, held = result["way"], result["rows"], result["available_p50_us"], result["held_p50_us"]
    if not way.startswith("ottava"):
        return []
    limit = None
    if way in (BornTrusted.name, BornAwake.name):
        limit = 150
    elif rows == 100_000:
        limit = 300 if way == BornSealed.name else 800
    checked = [] if limit is None else [(f"at most {limit} us until held", held <= limit)]
    times = 5.0 if rows == 1_000_000 else 1.0
    slow = [peer for peer in PEERS if peer in others and others[peer] < times * took]
    checked.append((f"{times:g} x ahead of Flight, shared_memory, pipe" + "".join(f"; not of {peer}" for peer in slow), not slow))
    return checked


def held(result: dict[str, Any]) -> str:
    """Until the table was held that a `pyarrow.Table` was made of, where there is one."""
    return f"{result['held_p50_us']:,.0f}" if result["way"].startswith("ottava") else ""


def markdown(results: list[dict[str, Any]]) -> str:
    """The figures as a table, and those that miss a bar again."""
    head = (
        "| rows | way | held, p50, us | available, p50 (least, p99), us | summed, p50 (p99), us | over one copy, sealed | consumer's own memory, bytes per row "
        "| consumer's peak, MB | producer's peak beyond its table, MB | bar |\n|---|---|---|---|---|---|---|---|---|---|\n"
    )
    lines, lost = "", ""
    for result in results:
        others = {other["way"]: other["available_p50_us"] for other in results if other["rows"] == result["rows"]}
        checked = bars(result, others)
        line = (
            f"| {result['rows']:,} | {result['way']} | {held(result)} | {result['available_p50_us']:,.0f} ({result['available_least_us']:,.0f}, "
            f"{result['available_p99_us']:,.0f}) | {result['summed_p50_us']:,.0f} ({result['summed_p99_us']:,.0f}) "
            f"| {result['available_p50_us'] / others[SendSealed.name]:.2f} x | {result['consumer_private_bytes_per_row']:,.1f} "
            f"| {result['consumer_peak_private_bytes'] / 1e6:,.1f} | {result['producer_peak_extra_bytes'] / 1e6:,.1f} "
            f"| {'; '.join(text + (': met' if met else ': **missed**') for text, met in checked)} |\n"
        )
        lines += line
        lost += "" if all(met for _, met in checked) else line
    about = f"CPython {platform.python_version()}, pyarrow {pa.__version__}, numpy {np.__version__}; an id, eight coordinates and a name per row."
    return f"### Python to Python\n\n{about}\n\n{head}{lines}\n#### Rows that are lost\n\n{head + lost if lost else 'None.'}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--profile", choices=["small", "full"], default="small")
    parser.add_argument("--consume", help=argparse.SUPPRESS)
    parser.add_argument("--produce", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.consume:
        consume(args.consume)
        return
    if args.produce:
        produce(args.produce[0], int(args.produce[1]))
        return
    sizes = [(1_000, 30), (100_000, 15)]
    if args.profile == "full":
        sizes = [(1_000, 200), (100_000, 60), (1_000_000, 15), (10_000_000, 5)]
    results = []
    for rows, rounds in sizes:
        part = measure(rows, rounds, WAYS)
        for result in part:
            way = next(way for way in WAYS if way.name == result["way"])
            result["producer_peak_extra_bytes"] = producer_peak(rows, way.__name__)
            print(
                f"{rows:>10,} rows  {result['way']:<50} available p50 {result['available_p50_us']:>11,.1f} us"
                f"  p99 {result['available_p99_us']:>11,.1f} us  summed p50 {result['summed_p50_us']:>11,.1f} us"
                f"  consumer's own {result['consumer_private_bytes_per_row']:>6,.1f} B/row, peak {result['consumer_peak_private_bytes'] / 1e6:>8,.1f} MB"
                f"  producer extra {result['producer_peak_extra_bytes'] / 1e6:>8,.1f} MB",
                flush=True,
            )
        results += part
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"handover": results, "markdown": markdown(results)}, file, indent=2)


if __name__ == "__main__":
    main()
