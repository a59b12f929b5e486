"""Consumers and producers that are killed."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from handed import MODES, table

from ottava import handover


def _held() -> tuple[int, int]:
    """Descriptors and threads of this process."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


KILLS = [("rust", "unix", False, 200), ("rust", "tcp", True, 40), ("python", "unix", False, 5)]
in_proc = pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors and threads in /proc")


@in_proc
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("kind", "transport", "trusted", "kills"), KILLS)
def test_killed_consumers(
    kind: str, transport: Any, trusted: bool, kills: int, place: Path, peers: dict[str, list[str]]
) -> None:
    """Fifty tables per kill: nothing that was acknowledged is lost, and nothing is left."""
    count = 50 * kills
    chance = random.Random(20260101)
    log, base = place / "log", place / "base"
    base.mkdir()
    held = _held()
    acknowledged: list[int] = []
    schema = {"id": "uint64", "at": "float32[8]", "name": "utf8?"}
    with handover.Server(schema, transport=transport, trusted=trusted, slots=4, directory=base) as server:
        workers: list[subprocess.Popen[str]] = []

        def hire() -> None:
            with log.open("a") as seen:
                command = [*peers[kind], "consume", "trusted" if trusted else "sealed"]
                worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=seen, stderr=subprocess.DEVNULL, text=True)
            assert worker.stdin is not None
            worker.stdin.write(f"{server.address} {server.token()}\n")
            worker.stdin.close()
            workers.append(worker)

        hire()
        deaths = set(chance.sample(range(count), kills))
        pending: list[tuple[int, handover.Receipt]] = []
        todo = list(range(count))
        sent = 0
        while todo or pending:
            if todo:
                number = todo.pop()
                with server.segment(schema, 16, capacity={"name": 0}, timeout=60) as segment:
                    segment["id"][:] = number
                    segment["at"][:] = number
                assert segment.receipt is not None
                pending.append((number, segment.receipt))
                if sent in deaths:
                    workers[-1].kill()
                    workers[-1].wait()
                    deadline = time.monotonic() + 60
                    while server.connected and time.monotonic() < deadline:
                        time.sleep(0.001)
                    hire()
                sent += 1
            still = []
            for number, receipt in pending:
                try:
                    receipt.wait(0 if todo else 60)
                    acknowledged.append(number)
                except handover.HandoverWouldBlockError:
                    still.append((number, receipt))
                except handover.PeerGoneError:
                    todo.append(number)
            pending = still
    workers[-1].wait(60)
    # Rows, then the sum of the ids.
    seen = {int(line.split()[1]) // 16 for line in log.read_text().splitlines()}
    assert sorted(acknowledged) == list(range(count))
    assert set(acknowledged) <= seen
    assert len(workers) == kills + 1
    del server, segment, pending, receipt
    assert _held() == held
    assert list(base.iterdir()) == []


@in_proc
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("kind", "transport", "trusted", "kills"), KILLS)
def test_killed_producers(
    kind: str, transport: str, trusted: bool, kills: int, place: Path, peers: dict[str, list[str]]
) -> None:
    """A consumer outlives its producers and keeps what it holds; the next server sweeps what is left."""
    chance = random.Random(1)
    held = _held()
    kept: list[tuple[int, handover.Table]] = []
    mode = "trusted" if trusted else "sealed"

    def take(client: handover.Client, number: int) -> handover.Table:
        received = client.recv(timeout=60)
        assert received is not None
        ids = pa.table(received)["id"]
        assert (ids[0].as_py(), ids[-1].as_py()) == (number // 2 * 1000, number // 2 * 1000 + len(ids) - 1)
        return received

    for _ in range(kills):
        producer = subprocess.Popen(
            [*peers[kind], "produce", transport, mode, "1000000", str(place)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert producer.stdout is not None
        address, token = producer.stdout.readline().split()
        # One directory: that of the one before was swept.
        assert len(list(place.iterdir())) == 1
        client = handover.connect(address, token, trusted=trusted)
        number = 0
        for number in range(chance.randrange(1, 100)):
            received = take(client, number)
        # In trusted mode, the slots of a producer that is gone stay as they were.
        kept.append((number, received))
        producer.kill()
        producer.wait()
        with pytest.raises(handover.HandoverError):
            while True:
                number += 1
                received = take(client, number)
        producer.stdout.close()
        client.close()
        del client, received
    for number, received in kept:
        assert pa.table(received)["id"][0].as_py() == number // 2 * 1000
    kept.clear()
    del received
    assert _held() == held
    with handover.Server(directory=place):
        pass
    assert list(place.iterdir()) == []


PRODUCER = """
import os, signal, sys
from ottava import handover

server = handover.Server(directory=sys.argv[1])
print(server.address, server.token(), flush=True)
if os.fork() == 0:
    # It has the socket, until the test lets it go.
    sys.stdin.read()
    os._exit(0)
signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have only the socket to go by")
@pytest.mark.parametrize("way", ["wait", "poll", "task"])
def test_a_death_is_noticed_although_a_child_has_the_socket(way: str, place: Path) -> None:
    producer = subprocess.Popen(
        [sys.executable, "-c", PRODUCER, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert producer.stdin is not None and producer.stdout is not None
    address, token = producer.stdout.readline().split()

    async def task(client: handover.Client) -> None:
        waiting = asyncio.create_task(client.recv_async())
        await asyncio.sleep(0.05)
        producer.kill()
        await asyncio.wait_for(waiting, 60)

    with handover.connect(address, token) as client:
        with pytest.raises(handover.HandoverWouldBlockError):
            client.recv(timeout=0)
        with pytest.raises(handover.PeerGoneError):
            if way == "task":
                asyncio.run(task(client))
            producer.kill()
            producer.wait()
            deadline = time.monotonic() + 60
            while way == "poll" and time.monotonic() < deadline:
                try:
                    client.recv(timeout=0)
                except handover.HandoverWouldBlockError:
                    time.sleep(0.001)
            client.recv(timeout=60)
    producer.kill()
    producer.wait()
    producer.stdin.close()
    # The child has it, too, and ends.
    producer.stdout.read()
    producer.stdout.close()


@pytest.mark.parametrize(("transport", "trusted"), MODES)
def test_tables_that_a_consumer_leaves_unread_come_back(transport: Any, trusted: bool, place: Path) -> None:
    with handover.Server(transport=transport, trusted=trusted, slots=2, directory=place) as server:
        client = handover.connect(server.address, server.token(), trusted=trusted)
        read, unread = server.send(table(), timeout=60), server.send(table(), timeout=60)
        column = pa.table(client.recv(timeout=60))["id"]
        client.close()
        del client
        with pytest.raises(handover.PeerGoneError):
            unread.wait(60)
        assert (server.outstanding, server.fault) == (1, None)
        with handover.connect(server.address, server.token(), trusted=trusted) as following:
            server.send(table(7), timeout=60)
            received = following.recv(timeout=60)
            assert received is not None and received.num_rows == 7
            received.release()
        assert not read.settled
        assert column.to_pylist() == list(range(100))
        del column
        gc.collect()
        read.wait(60)
