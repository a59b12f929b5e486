"""Several writers at once."""

from __future__ import annotations

import errno
import os
import random
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from watching import SOON

from ottava import streams
from ottava.errors import StreamWriteError

PAYLOAD = random.Random(8).randbytes(2_000_000)


@pytest.mark.parametrize("in_kernel", [True, False])
def test_every_sink_sees_every_byte(backend: str, pipes: Any, tmp_path: Path, in_kernel: bool) -> None:
    slow, slow_got = pipes.collect(piece=20_000, delay=0.0005, size=4096)
    quick, quick_got = pipes.collect()
    ours, theirs = socket.socketpair()
    received: list[bytes] = []

    def receive() -> None:
        with theirs:
            while chunk := theirs.recv(65536):
                received.append(chunk)

    reader = threading.Thread(target=receive)
    reader.start()
    with open(tmp_path / "plain", "wb") as plain, open(tmp_path / "log", "ab") as log:
        report = streams.pump_sync(
            pipes.feed(PAYLOAD), quick, tee=[slow, plain, log, ours], in_kernel=in_kernel, pipe_size=0
        )
    ours.close()
    reader.join()
    pipes.join()
    assert b"".join(quick_got) == b"".join(slow_got) == b"".join(received) == PAYLOAD
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "log").read_bytes() == PAYLOAD
    assert [sink.bytes for sink in report.sinks] == [len(PAYLOAD)] * 5
    assert report.way == ("tee" if in_kernel and backend == "rust" else "read/write")
    assert report.sinks[1].blocked > report.sinks[2].blocked == 0


@pytest.mark.parametrize("in_kernel", [True, False])
@pytest.mark.parametrize("dies", ["writer", "tee"])
def test_the_others_go_on_when_one_dies(backend: str, pipes: Any, dies: str, in_kernel: bool) -> None:
    live, got = pipes.collect()
    dead, _ = pipes.collect(most=1, piece=1000)
    first, second = (dead, live) if dies == "writer" else (live, dead)
    report = streams.pump_sync(pipes.feed(PAYLOAD), first, tee=[second], in_kernel=in_kernel)
    pipes.join()
    assert b"".join(got) == PAYLOAD
    assert report.ending == "eof"
    gone = [sink.gone for sink in report.sinks]
    assert gone == ([errno.EPIPE, None] if dies == "writer" else [None, errno.EPIPE])


@pytest.mark.parametrize("in_kernel", [True, False])
def test_a_failing_sink_is_reported(backend: str, pipes: Any, in_kernel: bool) -> None:
    live, got = pipes.collect()
    with open("/dev/full", "wb", buffering=0) as full:
        report = streams.pump_sync(pipes.feed(PAYLOAD), live, tee=[full], in_kernel=in_kernel)
    pipes.join()
    assert b"".join(got) == PAYLOAD
    assert [sink.gone for sink in report.sinks] == [None, errno.ENOSPC]


@pytest.mark.parametrize("in_kernel", [True, False])
def test_all_gone(backend: str, pipes: Any, in_kernel: bool) -> None:
    producer = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    one, _ = pipes.collect(most=1)
    two, _ = pipes.collect(most=200_000)
    assert producer.stdout is not None
    report = streams.pump_sync(producer.stdout, one, tee=[two], in_kernel=in_kernel)
    assert report.ending == "writer-gone"
    assert producer.wait(SOON) == -13


def test_all_gone_with_a_failure(backend: str, pipes: Any) -> None:
    one, _ = pipes.collect(most=1)
    with open("/dev/full", "wb", buffering=0) as full:
        with pytest.raises(StreamWriteError) as caught:
            streams.pump_sync(pipes.feed(*[PAYLOAD] * 3), one, tee=[full])
        assert (caught.value.errno, caught.value.fd) == (errno.ENOSPC, full.fileno())


@pytest.mark.parametrize("in_kernel", [True, False])
def test_a_slow_sink_is_backpressure(backend: str, pipes: Any, in_kernel: bool) -> None:
    source, feed = pipes.pipe(4096)
    _, stuck = pipes.pipe(4096)
    quick, got = pipes.collect()
    os.set_blocking(feed, False)
    pipes.later(0.3, lambda: None)
    outcome: list[BaseException] = []

    def work() -> None:
        try:
            streams.pump_sync(source, quick, tee=[stuck], timeout=0.5, in_kernel=in_kernel, pipe_size=0)
        except TimeoutError as error:
            outcome.append(error)

    pump = threading.Thread(target=work)
    pump.start()
    taken = 0
    while pump.is_alive():
        try:
            taken += os.write(feed, bytes(4096))
        except BlockingIOError:
            time.sleep(0.01)
    pump.join()
    assert isinstance(outcome[0], TimeoutError)
    # The stuck pipe, the source, and what one round holds.
    assert taken <= 4096 * 3 + (256 << 10)


def test_many_small_writes_through_tee(backend: str, pipes: Any) -> None:
    chunks = [bytes([i % 256]) * (i % 97 + 1) for i in range(2_000)]
    one, got_one = pipes.collect(piece=100)
    two, got_two = pipes.collect(piece=1000)
    streams.pump_sync(pipes.feed(*chunks), one, tee=[two])
    pipes.join()
    assert b"".join(got_one) == b"".join(got_two) == b"".join(chunks)
