"""Descriptors that others use, and change, while we read and write them."""

from __future__ import annotations

import os
import pty
import random
import threading
import time
import tty
from typing import Any

import pytest
from ends import connected
from watching import SOON, eventually

from ottava import streams

PAYLOAD = random.Random(8).randbytes(1_500_000)

FLIPPED: dict[str, Any] = {
    "pump": lambda read, write: streams.pump_sync(read, write, timeout=0.5),
    "copy": lambda read, write: streams.pump_sync(read, write, in_kernel=False, timeout=0.5),
    "tee": lambda read, write: streams.pump_sync(read, write, tee=[write], timeout=0.5),
    "consume": lambda read, write: streams.consume_sync(read, timeout=0.5),
    "count": lambda read, write: streams.count_lines_sync(read, timeout=0.5),
}


@pytest.mark.parametrize("operation", FLIPPED)
@pytest.mark.parametrize("kind", ["pipe", "tcp", "terminal"])
def test_others_may_make_the_reader_blocking(backend: str, pipes: Any, kind: str, operation: str) -> None:
    if kind == "terminal":
        feed, read = map(pipes.own, pty.openpty())
        tty.setraw(read)
    elif kind == "tcp":
        read, feed = (pipes.own(end.detach()) for end in connected("tcp"))
    else:
        read, feed = pipes.pipe()
    with open("/dev/null", "wb") as null:
        target = pipes.collect()[0] if operation == "pump" else null
        os.set_blocking(read, False)
        pipes.forget(feed)

        def flip() -> None:
            os.set_blocking(read, True)
            os.write(feed, b"x")
            # Nothing ends a read that blocks but the end of the stream.
            pipes.later(SOON, lambda: os.close(feed))

        pipes.later(0.1, flip)
        with pytest.raises(TimeoutError):
            FLIPPED[operation](read, target)


@pytest.mark.parametrize("in_kernel", [True, False])
@pytest.mark.parametrize("kind", ["pipe", "tcp"])
def test_others_may_make_the_writer_blocking(backend: str, pipes: Any, kind: str, in_kernel: bool) -> None:
    read = pipes.feed(PAYLOAD * 8)
    if kind == "tcp":
        write, peer = (pipes.own(end.detach()) for end in connected("tcp"))
    else:
        peer, write = pipes.pipe()
    os.set_blocking(write, False)
    pipes.forget(peer)

    def flip() -> None:
        os.set_blocking(write, True)
        os.read(peer, 8192)
        # Nothing ends a write that blocks but the death of the reader.
        pipes.later(SOON, lambda: os.close(peer))

    pipes.later(0.1, flip)
    with pytest.raises(TimeoutError):
        streams.pump_sync(read, write, in_kernel=in_kernel, timeout=0.5)


@pytest.mark.parametrize("operation", ["copy", "consume", "count"])
def test_several_readers_of_one_pipe(backend: str, pipes: Any, operation: str) -> None:
    read, feed = pipes.pipe()
    timed_out: list[bool] = []

    def work() -> None:
        try:
            FLIPPED[operation](read, null)
        except TimeoutError:
            timed_out.append(True)

    with open("/dev/null", "wb") as null:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) and not len(timed_out):
            os.write(feed, b"x")
            time.sleep(0.0005)
        # Whoever lost a race for the last byte must not wait for another.
        assert eventually(lambda: len(timed_out) == 4)
        for thread in threads:
            thread.join()


def test_a_number_that_another_thread_uses_anew_is_left_alone(backend: str, pipes: Any) -> None:
    read, feed = pipes.pipe()
    target, write = pipes.pipe()

    def reuse() -> None:
        os.dup2(null.fileno(), read)
        pipes.close(target)

    with open("/dev/null", "rb") as null:
        pipes.later(0.1, reuse)
        assert streams.pump_sync(read, write, timeout=SOON).ending == "writer-gone"
        assert os.path.sameopenfile(read, null.fileno())
