"""Hand-over of tables: what both ends may do, in Python and across languages."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from handed import MODES, Pair, table
from hypothesis import given, settings
from hypothesis import strategies as st

from ottava import handover
from ottava.errors import ArgumentError


NOT_NULL = pa.schema([pa.field("x", pa.int64(), False)])


def test_a_sent_table_arrives_as_it_is(pair: Pair) -> None:
    server, client = pair
    for rows in (0, 1, 1000):
        sent = pa.concat_tables([table(rows), table(rows)])
        receipt = server.send(sent, timeout=60)
        received = client.recv(timeout=60)
        assert received  # Also without rows.
        assert pa.table(received).equals(sent)
        assert received.num_rows == len(received) == sent.num_rows
        assert received.column_names == sent.column_names
        assert not receipt.settled
        received.release()
        receipt.wait(60)
        with pytest.raises(handover.HandoverClosedError):
            pa.table(received)


def test_a_table_is_born_in_numpy_views(pair: Pair) -> None:
    server, client = pair
    schema = {
        "id": "uint64",
        "at": "float32[8]",
        "flag": "bool",
        "when": "timestamp[us]",
        "name": "utf8?",
        "blob": "large_binary",
    }
    for turn in range(5):
        rows = 50 + turn
        with server.segment(schema, rows, capacity={"name": 1000, "blob": 1000}, timeout=60) as segment:
            assert segment.column_names == list(schema)
            assert segment.rows == rows
            segment["id"][:] = np.arange(rows)
            segment["at"][:] = np.arange(rows * 8).reshape(rows, 8)
            segment["flag"] = np.arange(rows) % 3 == 0
            segment["when"] = np.datetime64("2026-01-01T00:00:00", "us")
            segment["name"] = [None if i % 2 else f"n{i}" for i in range(rows)]
            segment["blob"] = [bytes([i]) * 2 for i in range(rows)]
        assert segment.receipt is not None
        received = client.recv(timeout=60)
        got = pa.table(received)
        assert got["id"].to_pylist() == list(range(rows))
        assert got["at"].chunk(0).flatten().to_pylist() == list(range(rows * 8))
        assert got["flag"].to_pylist() == [i % 3 == 0 for i in range(rows)]
        assert str(got["when"][0]) == "2026-01-01 00:00:00"
        assert got["name"].to_pylist() == [None if i % 2 else f"n{i}" for i in range(rows)]
        assert got["blob"].to_pylist() == [bytes([i]) * 2 for i in range(rows)]
        del received, got
        segment.receipt.wait(60)


def test_a_consumer_may_wait_awake(place: Path) -> None:
    with handover.Server({"x": "int64"}, directory=place) as server:
        with handover.connect(server.address, server.token(), awake=60.0) as client:
            with pytest.raises(handover.HandoverTimeoutError):
                client.recv(timeout=0.1)
            threading.Timer(0.1, server.send, [pa.table({"x": pa.array([1, 2])}, schema=NOT_NULL)]).start()
            received = client.recv(timeout=60)
            assert received is not None and pa.table(received)["x"].to_pylist() == [1, 2]
            received.release()
            threading.Timer(0.1, client.close).start()
            with pytest.raises(handover.HandoverClosedError):
                client.recv(timeout=60)


def test_columns_are_zero_copy_and_keep_their_segment(pair: Pair) -> None:
    server, client = pair
    receipt = server.send(table(1000), timeout=60)
    received = client.recv(timeout=60)
    assert received is not None
    before = pa.total_allocated_bytes()
    column = pa.table(received)["x"].chunk(0).slice(10, 5)
    values = column.to_numpy(zero_copy_only=True)
    assert pa.total_allocated_bytes() - before < 1000
    received.release()
    del received, column
    gc.collect()
    with pytest.raises(handover.HandoverTimeoutError):
        receipt.wait(0.02)
    assert values.tolist() == np.linspace(0, 1, 1000, dtype=np.float32)[10:15].tolist()
    del values
    gc.collect()
    receipt.wait(60)
    assert client.held == 0


def _anonymous(name: str) -> dict[str, int]:
    """Per mapping whose name contains `name`: the bytes of it that are this process's alone."""
    found: dict[str, int] = {}
    current = ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            current = line if name in line else ""
        elif first == "Anonymous:" and current:
            found[current] = int(rest[0]) * 1024
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/smaps")
@pytest.mark.parametrize("trusted", [False, True])
def test_a_consumer_has_no_memory_of_its_own_for_a_table(trusted: bool, place: Path) -> None:
    producer = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("handover_peer.py"), "produce", "unix", "trusted" if trusted else "sealed", "3"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert producer.stdout is not None
    address, token = producer.stdout.readline().split()
    with handover.connect(address, token, trusted=trusted) as client:
        received = client.recv(timeout=60)
        # Read to the last byte.
        assert pa.table(received).num_rows == len(pa.table(received).to_pylist())
        mapped = _anonymous("memfd:ottava-segment")
        assert list(mapped.values()) == [0]
        del received
        for received in client:
            del received
    producer.stdout.read()
    producer.stdout.close()
    producer.wait(60)


def test_detach_copies_and_gives_the_slot_back(pair: Pair) -> None:
    server, client = pair
    receipt = server.send(table(), timeout=60)
    received = client.recv(timeout=60)
    assert received is not None
    own = received.detach()
    receipt.wait(60)
    assert pa.table(own).equals(table())
    assert received.released and not own.released


def test_credits_hold_the_producer_back(pair: Pair) -> None:
    server, client = pair
    receipts = [server.send(table(5), timeout=60) for _ in range(3)]
    with pytest.raises(handover.HandoverWouldBlockError):
        server.send(table(5), timeout=0)
    with pytest.raises(BlockingIOError), server.segment({"x": "int8"}, 1, timeout=0):
        pass
    with pytest.raises(TimeoutError):
        server.send(table(5), timeout=0.02)
    assert server.outstanding == 3
    for _ in receipts:
        received = client.recv(timeout=60)
        assert received is not None
        received.release()
    for receipt in receipts:
        receipt.wait(60)
    with pytest.raises(handover.HandoverWouldBlockError):
        client.recv(timeout=0)


def test_views_outlive_their_segment_harmlessly(place: Path) -> None:
    server = handover.Server(directory=place)
    client = handover.connect(server.address, server.token())
    with server.segment({"x": "int64"}, 1000) as segment:
        view = segment["x"]
        view[:] = 7
    received = client.recv(timeout=60)
    # The consumer's copy is sealed: this writes to a page of the producer's own.
    view[:] = 9
    assert pa.table(received)["x"].to_numpy().tolist() == [7] * 1000
    assert view.tolist() == [9] * 1000
    del segment
    gc.collect()
    assert view.sum() == 9000
    del received
    gc.collect()
    client.close()
    server.close(0)


def test_a_trusted_slot_that_is_looked_at_is_not_used_again(place: Path) -> None:
    server = handover.Server(directory=place, trusted=True, slots=1)
    client = handover.connect(server.address, server.token(), trusted=True)
    views = []
    for turn in range(3):
        with server.segment({"x": "int64"}, 10, timeout=60) as segment:
            view = segment["x"]
            view[:] = turn
        views.append(view)
        received = client.recv(timeout=60)
        assert received is not None
        assert pa.table(received)["x"].to_pylist() == [turn] * 10
        received.release()
        gc.collect()
    assert [view[0] for view in views] == [0, 1, 2]
    client.close()
    server.close(0)


def test_an_exception_discards_the_segment(pair: Pair) -> None:
    server, client = pair
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), server.segment({"x": "int8"}, 1, timeout=60) as segment:
            segment["x"][0] = 1 / 0
    assert server.outstanding == 0
    with pytest.raises(handover.HandoverTimeoutError):
        client.recv(timeout=0.02)
    with pytest.raises(handover.HandoverClosedError):
        segment["x"]


ASSIGNED: list[tuple[str, Any, list[Any] | str]] = [
    ("int64", [5, 6], [5, 6]),
    ("int64", 5, [5, 5]),
    ("uint64", [1, 2**64 - 1], [1, 2**64 - 1]),
    ("int8", np.array([1.0, 2.0]), [1, 2]),
    ("float32", [0.5, math.inf], [0.5, math.inf]),
    ("float32", np.array([0.1, math.nan]), [float(np.float32(0.1)), math.nan]),
    ("bool?", [True, False], [True, False]),
    ("timestamp[s]", ["2026-01-01", "2026-01-02"], [datetime(2026, 1, 1), datetime(2026, 1, 2)]),
    ("timestamp[s]", [datetime(2026, 1, 1)] * 2, [datetime(2026, 1, 1)] * 2),
    ("timestamp[s]", np.array([0, 1000], "M8[ms]"), [datetime(1970, 1, 1), datetime(1970, 1, 1, 0, 0, 1)]),
    ("int8?", pa.array([1, None]), [1, None]),
    ("int8?", pa.nulls(2), [None, None]),
    ("int8", pa.array([1, 2]).dictionary_encode(), [1, 2]),
    ("int64", pa.array([1.0, 2.0]), [1, 2]),
    ("float32", pa.array([0.1, 1.0]), [float(np.float32(0.1)), 1.0]),
    ("float32[2]", pa.array([[1.0, 2.0], [3.0, 4.0]]), [[1.0, 2.0], [3.0, 4.0]]),
    ("utf8?", pa.array(["a", None], pa.large_string()), ["a", None]),
    ("utf8", pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
    ("timestamp[s]", pa.array([datetime(2026, 1, 1)] * 2, pa.timestamp("us")), [datetime(2026, 1, 1)] * 2),
    ("int8", [300, 1], "'x'"),
    ("int8", np.array([300, 1]), "300.* is not a value of int8"),
    ("uint8", np.array([-1, 1]), "-1.* is not a value of uint8"),
    ("int64", [1.5, 2], "1.5.* is not a value of int64"),
    ("int64", [1, None], "'x'"),
    ("int64", np.array([1.0, math.nan]), "nan.* is not a value"),
    ("int64", ["1", "2"], "'x'"),
    ("int64", [1, 2, 3], "'x'.*broadcast"),
    ("float32", [1.0, None], "None is not a value of float32"),
    ("float32", np.array([1e300, 1.0]), "1e\\+300.* is not a value"),
    ("bool?", [True, None], "expected booleans, got object"),
    ("bool", [1, 2], "expected booleans, got int64"),
    ("timestamp[s]", ["2026-01-01", None], "'x'"),
    ("timestamp[s]", np.array(["2026-01-01", "NaT"], "M8[s]"), "NaT.* is not a value"),
    ("timestamp[s]", np.array([0, 1], "M8[ms]"), "is not a value"),
    ("int8?", pa.array([300, 1]), "300"),
    ("int8", pa.array([300, 1]), "300"),
    ("int64", pa.array([1.5, 2.0]), "has values that Int64 has not"),
    ("int64?", pa.array(["a", "5"]), "is of type Int64, not Utf8"),
    ("int64", pa.array([1, None]), "is not nullable"),
    ("float32", pa.array([1e300, 1.0]), "\"x\": "),
    ("float32[2]", pa.array([[1e300, 2.0], [3.0, 4.0]]), "\"x\": "),
    ("float32[2]", pa.array([[1.0], [3.0, 4.0]]), "\"x\": "),
    ("timestamp[s]", pa.array([0, 1], pa.timestamp("ms")), "has values that"),
]


@pytest.mark.parametrize(("kind", "values", "expected"), ASSIGNED, ids=str)
def test_what_is_assigned_arrives_or_is_refused(kind: str, values: Any, expected: list[Any] | str) -> None:
    with handover.Server() as server, handover.connect(server.address, server.token()) as client:
        with server.segment({"x": kind}, 2, capacity={"x": 10}) as segment:
            if isinstance(expected, str):
                with pytest.raises(ArgumentError, match=expected):
                    segment["x"] = values
            else:
                segment["x"] = values
        received = client.recv(timeout=60)
        got = pa.table(received)["x"].to_pylist()
        if not isinstance(expected, str):
            assert str(got) == str(expected)
        del received


def test_an_assignment_replaces_nulls_and_a_view_does_not(pair: Pair) -> None:
    server, client = pair
    with server.segment({"x": "int64?", "b": "bool?"}, 2, timeout=60) as segment:
        for values, flags in ((pa.array([None, 1]), pa.array([True, None])), ([5, 6], [False, True])):
            segment["x"] = values
            segment["b"] = flags
    with server.segment({"x": "int64?"}, 2, timeout=60) as segment:
        segment["x"] = pa.array([None, 1])
        segment["x"][:] = [5, 6]
    for expected in ({"x": [5, 6], "b": [False, True]}, {"x": [None, 6]}):
        received = client.recv(timeout=60)
        assert pa.table(received).to_pydict() == expected
        del received


def test_a_segment_is_sent_once(pair: Pair) -> None:
    server, client = pair
    with server.segment({"x": "int8"}, 1, timeout=60) as segment:
        segment["x"] = 1
    with pytest.raises(handover.HandoverClosedError, match="entered before"), segment:
        pass
    assert server.outstanding == 1
    received = client.recv(timeout=60)
    assert pa.table(received)["x"].to_pylist() == [1]


def _of_two_dictionaries() -> pa.Table:
    return pa.table({"w": pa.chunked_array([pa.array([word]).dictionary_encode() for word in "ab"])})


def test_one_dictionary_for_all_batches_arrives(pair: Pair) -> None:
    server, client = pair
    server.send(_of_two_dictionaries().unify_dictionaries(), timeout=60)
    received = client.recv(timeout=60)
    assert pa.table(received)["w"].to_pylist() == ["a", "b"]


@pytest.mark.parametrize("deadline", [math.inf, 1e19])
def test_a_deadline_may_be_never(deadline: float, place: Path) -> None:
    with handover.Server(deadline=deadline, directory=place) as server:
        with handover.connect(server.address, server.token(), deadline=deadline) as client:
            receipt = server.send(table(), timeout=deadline)
            received = client.recv(timeout=60)
            assert received is not None
            received.release()
            receipt.wait(60)
    assert server.fault is None


def test_a_timeout_covers_both_waits_of_a_send(place: Path) -> None:
    with handover.Server(slots=1, directory=place) as server:
        segment = server.segment({"x": "int8"}, 1)
        segment.__enter__()
        timer = threading.Timer(2.5, segment.__exit__, [ValueError, ValueError(), None])
        timer.start()
        start = time.monotonic()
        with pytest.raises(handover.HandoverTimeoutError):
            server.send(table(), timeout=3)
        # 5.5 if the wait for a consumer had a timeout of its own.
        assert time.monotonic() - start < 5.4
        timer.join()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda s: s.segment({"x": "int9"}, 1).__enter__(), "column 'x'|\"x\": unknown type"),
        (lambda s: s.segment({"x": "utf8"}, 1).__enter__(), "needs a capacity"),
        (lambda s: s.segment(pa.schema([("l", pa.list_(pa.int8()))]), 1).__enter__(), "cannot be born"),
        (lambda s: s.segment({"x": "int8"}, 1).__enter__()["y"], "not in the schema"),
        (lambda s: handover.connect("http://x", "0" * 32), "neither unix: nor tcp:"),
        (lambda s: handover.connect("tcp:8.8.8.8:1", "0" * 32), "loopback"),
        (lambda s: handover.connect(s.address, "secret"), "32 hexadecimal digits, not 6"),
        (lambda s: handover.Server(slots=0), "slots is 0, not between 1 and 64"),
        (lambda s: handover.Server(transport="carrier pigeon"), "transport"),  # type: ignore[arg-type]
        (lambda s: handover.Server(deadline=math.nan), "deadline"),
        (lambda s: handover.connect(s.address, s.token(), deadline=math.nan), "deadline"),
        (lambda s: s.segment({"a\0b": "int8"}, 1).__enter__(), "null character"),
        (lambda s: s.send(_of_two_dictionaries()), "unify_dictionaries"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[Any], object], text: str, place: Path) -> None:
    server = handover.Server(directory=place)
    with pytest.raises(ArgumentError, match=text):
        call(server)
    with pytest.raises(TypeError, match="expected an Arrow table"):
        server.send([1, 2, 3])
    with pytest.raises(TypeError, match="expected an Arrow schema"):
        server.segment(7, 1).__enter__()  # type: ignore[arg-type]
    server.close(0)


def test_the_ends_must_agree(place: Path) -> None:
    server = handover.Server({"x": "int8"}, directory=place)
    with pytest.raises(handover.HandshakeError, match="schema"):
        handover.connect(server.address, server.token(), schema={"y": "int8"})
    with pytest.raises(handover.HandshakeError, match="trusted"):
        handover.connect(server.address, server.token(), trusted=True)
    with pytest.raises(handover.HandshakeError, match="wrong or spent"):
        handover.connect(server.address, "0" * 32)
    client = handover.connect(server.address, server.token(), schema={"x": "int8"})
    with pytest.raises(handover.HandshakeError, match="another consumer"):
        handover.connect(server.address, server.token())
    with pytest.raises(ArgumentError, match="schema: has the columns id, x, name, word, list, expected x"):
        server.send(table())
    with pytest.raises(ArgumentError, match='column "x" is nullable Int8, expected Int8'):
        server.send(pa.table({"x": pa.array([1], pa.int8())}))
    client.close()
    server.close(0)


def test_threads_share_both_ends(pair: Pair) -> None:
    server, client = pair
    seen: list[int] = []

    def produce() -> None:
        for _ in range(20):
            server.send(table(20), timeout=60)

    def consume() -> None:
        for _ in range(20):
            received = client.recv(timeout=60)
            assert received is not None
            seen.append(pa.table(received).num_rows)
            received.release()

    threads = [threading.Thread(target=target) for target in (produce, consume) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == [20] * 60


def test_tasks_share_both_ends(pair: Pair) -> None:
    server, client = pair

    async def produce(count: int) -> None:
        for _ in range(count):
            receipt = await server.send_async(table(10))
            async with server.segment({"id": "uint64"}, 10) as segment:
                segment["id"][:] = 1
            await receipt.wait_async()

    async def consume() -> int:
        rows = 0
        async for received in client:
            rows += received.num_rows
            # Other tasks run while the table is held.
            await asyncio.sleep(0)
            received.release()
        return rows

    async def main() -> int:
        consumer = asyncio.create_task(consume())
        await asyncio.gather(produce(15), produce(15))
        await asyncio.to_thread(server.close, 60)
        return await asyncio.wait_for(consumer, 60)

    assert asyncio.run(main()) == 2 * 15 * 20


def test_a_cancelled_task_loses_nothing(pair: Pair) -> None:
    server, client = pair

    async def main() -> None:
        for _ in range(20):
            waiting = asyncio.create_task(client.recv_async())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await server.send_async(table(3))
        received = await asyncio.wait_for(client.recv_async(), 60)
        assert received is not None and received.num_rows == 3
        waiting = asyncio.create_task(client.recv_async())
        await asyncio.sleep(0.01)
        client.close()
        with pytest.raises(handover.HandoverClosedError):
            await asyncio.wait_for(waiting, 60)

    asyncio.run(main())


@pytest.mark.parametrize("call", ["client.recv()", "server.close(120)"])
def test_ctrl_c_ends_a_wait(call: str, pair: Pair) -> None:
    server, client = pair
    if "close" in call:
        server.send(table(), timeout=60)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    start = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            eval(call)
    finally:
        signal.signal(signal.SIGALRM, old)
    assert time.monotonic() - start < 60
    if "close" in call:
        with pytest.raises(handover.HandoverClosedError):
            server.token()


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="needs fork and /dev/shm")
def test_a_forked_child_changes_nothing(place: Path) -> None:
    server = handover.Server(directory=place)
    client = handover.connect(server.address, server.token())
    receipt = server.send(table())
    received = client.recv(timeout=60)
    pid = os.fork()
    if pid == 0:
        del received
        gc.collect()
        os._exit(0)
    os.waitpid(pid, 0)
    time.sleep(0.05)
    assert not receipt.settled
    assert pa.table(received).equals(table())
    del received
    gc.collect()
    receipt.wait(60)
    client.close()
    server.close(0)


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="needs fork")
def test_a_forked_child_does_not_hold_up_the_next_table(place: Path) -> None:
    server = handover.Server(directory=place)
    client = handover.connect(server.address, server.token())

    def hand_over() -> None:
        for born in (False, True):
            if born:
                with server.segment({"x": "int64"}, 100, timeout=60) as segment:
                    segment["x"][:] = 7
            else:
                server.send(table(), timeout=60)
            received = client.recv(timeout=60)
            assert received is not None and received.num_rows == 100
            received.release()

    hand_over()
    # The server gets memory for the next table ready meanwhile, which the child must not have.
    time.sleep(0.1)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    hand_over()
    os.close(write)
    os.waitpid(pid, 0)
    client.close()
    server.close(60)


FORKER = '''
import os, sys
import pyarrow as pa
from ottava import handover

act, transport, trusted, directory = sys.argv[1:]
trusted = trusted == "True"
server = handover.Server(transport=transport, trusted=trusted, directory=directory, slots=2)
client = handover.connect(server.address, server.token(), trusted=trusted)
receipt = server.send(pa.table({"x": [1]}))
received = client.recv(60)

def refused(call):
    try:
        call()
    except handover.HandoverClosedError:
        return
    sys.exit("not refused")

with server.segment({"y": "int64"}, 3) as segment:
    segment["y"] = 7
    if (pid := os.fork()) == 0:
        exec(act)
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
assert server.connected and server.fault is None and server.outstanding == 2
assert not receipt.settled
assert pa.table(received)["x"].to_pylist() == [1]
received.release()
receipt.wait(60)
received = client.recv(60)
assert pa.table(received)["y"].to_pylist() == [7, 7, 7]
received.release()
server.close(60)
assert client.recv(60) is None
assert os.listdir(directory) == []
'''


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("transport", "trusted"), MODES)
@pytest.mark.parametrize(
    "act",
    [
        "pass",
        "del client, server",
        "client.close()",
        "server.close()",
        "refused(lambda: client.recv(60)); refused(lambda: server.send(pa.table({'x': [1]}))); refused(server.token)",
        "assert (server.connected, server.outstanding, server.fault, client.held) == (False, 0, None, 0)",
    ],
)
def test_a_forked_child_that_ends_in_order_ends_nothing(act: str, transport: str, trusted: bool, place: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKER, act, transport, str(trusted), str(place)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_segment_may_be_open_when_a_child_is_forked(pair: Pair) -> None:
    server, client = pair
    read, write = os.pipe()
    with server.segment({"x": "int64", "s": "utf8"}, 500_000, capacity={"s": 10}, timeout=60) as segment:
        view = segment["x"]
        view[:] = np.arange(500_000)
        pid = os.fork()
        if pid == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    os.close(read)
    received = client.recv(timeout=60)
    assert pa.table(received)["x"].to_pylist() == list(range(500_000))
    assert view[-1] == 499_999
    os.close(write)
    os.waitpid(pid, 0)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
            st.booleans(),
            st.one_of(st.none(), st.text(max_size=5)),
            st.one_of(st.none(), st.binary(max_size=5)),
        ),
        max_size=30,
    )
)
def test_born_and_sent_are_the_same(rows: list[tuple[int | None, bool, str | None, bytes | None]]) -> None:
    schema = pa.schema(
        [("n", pa.int32()), pa.field("b", pa.bool_(), nullable=False), ("s", pa.utf8()), ("o", pa.binary())]
    )
    numbers, flags, texts, blobs = (list(column) for column in zip(*rows)) if rows else ([], [], [], [])
    expected = pa.table([numbers, flags, texts, blobs], schema=schema)
    with handover.Server() as server, handover.connect(server.address, server.token()) as client:
        with server.segment(schema, len(rows), capacity={"s": 1000, "o": 1000}) as segment:
            segment["n"][:] = [n or 0 for n in numbers]
            segment.set_nulls("n", [n is None for n in numbers])
            segment["b"] = flags
            segment["s"] = texts
            segment["o"] = blobs
        server.send(expected)
        for _ in range(2):
            received = client.recv(timeout=60)
            assert pa.table(received).equals(expected)
            del received


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("transport", "trusted"), MODES)
@pytest.mark.parametrize("consumer", ["rust", "python"])
@pytest.mark.parametrize("producer", ["rust", "python"])
def test_either_end_is_rust_or_python(
    producer: str, consumer: str, transport: str, trusted: bool, peers: dict[str, list[str]]
) -> None:
    mode = "trusted" if trusted else "sealed"
    with subprocess.Popen(
        [*peers[producer], "produce", transport, mode, "3"], stdout=subprocess.PIPE, text=True
    ) as sender:
        assert sender.stdout is not None
        where = sender.stdout.readline()
        command = [*peers[consumer], "consume", mode]
        receiver = subprocess.run(command, input=where, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
        sent = sender.stdout.read()
    assert sender.returncode == 0
    assert len(sent.splitlines()) == 6
    assert receiver.stdout == sent
