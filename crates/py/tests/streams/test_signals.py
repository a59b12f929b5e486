"""Signals while native or Python code waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ottava import streams


@pytest.fixture
def interrupt(pipes: Any) -> Iterator[list[float]]:
    """SIGINT to this process in 0.15 s; the moment is noted."""
    sent: list[float] = []

    def send() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    pipes.later(0.15, send)
    yield sent


OPERATIONS: dict[str, Any] = {
    "pump": lambda read, write: streams.pump_sync(read, write),
    "copy": lambda read, write: streams.pump_sync(read, write, in_kernel=False),
    "tee": lambda read, write: streams.pump_sync(read, write, tee=[write]),
    "consume": lambda read, write: streams.consume_sync(read),
    "count": lambda read, write: streams.count_lines_sync(read),
    "lines": lambda read, write: list(streams.lines_sync(read)),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_interrupted_while_waiting(backend: str, pipes: Any, interrupt: list[float], operation: str) -> None:
    read, _quiet = pipes.pipe()
    _, write = pipes.pipe()
    with pytest.raises(KeyboardInterrupt):
        OPERATIONS[operation](read, write)
    assert time.monotonic() - interrupt[0] < 0.05


@pytest.mark.parametrize("operation", ["pump", "copy", "tee", "count"])
def test_interrupted_while_bytes_flow(backend: str, pipes: Any, interrupt: list[float], operation: str) -> None:
    producer = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    assert producer.stdout is not None
    with open("/dev/null", "wb") as null, pytest.raises(KeyboardInterrupt):
        OPERATIONS[operation](producer.stdout, null)
    took = time.monotonic() - interrupt[0]
    producer.stdout.close()
    assert producer.wait(5) == -signal.SIGPIPE
    assert took < 0.05


def test_interrupted_pipeline(backend: str, interrupt: list[float]) -> None:
    with pytest.raises(KeyboardInterrupt):
        streams.pipeline_sync([["yes"], ["cat"], ["sleep", "30"]], observe=True)
    assert time.monotonic() - interrupt[0] < 0.1


def test_handlers_run_and_the_pump_goes_on(backend: str, pipes: Any) -> None:
    calls: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: calls.append(number))
    try:
        for i in range(5):
            pipes.later(0.03 * i, lambda: None)
        read = pipes.feed(*[b"x" * 100] * 30, delay=0.01)
        write, got = pipes.collect()

        def storm() -> None:
            for _ in range(20):
                os.kill(os.getpid(), signal.SIGUSR1)
                time.sleep(0.01)

        pipes._start(storm)
        assert streams.pump_sync(read, write).bytes == 3000
    finally:
        pipes.join()
        signal.signal(signal.SIGUSR1, before)
    assert b"".join(got) == b"x" * 3000
    assert calls


def run(script: str, backend: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OTTAVA_STREAM_BACKEND": backend}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, timeout=20
    )


@pytest.mark.parametrize("in_kernel", [True, False])
def test_sigpipe_is_epipe_even_where_it_kills(backend: str, in_kernel: bool) -> None:
    done = run(
        f"""
        import os, signal
        from ottava import streams
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        source, feed = os.pipe()
        target, sink = os.pipe()
        os.write(feed, b"bytes")
        os.close(target)
        print(streams.pump_sync(source, sink, in_kernel={in_kernel}).ending)
        """,
        backend,
    )
    assert (done.returncode, done.stdout) == (0, "writer-gone\n"), done.stderr


def test_ctrl_c_ends_the_program(backend: str) -> None:
    done = run(
        """
        import asyncio, os, signal, threading
        from ottava import streams
        read, quiet = os.pipe()
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            asyncio.run(streams.consume(read))
        except KeyboardInterrupt:
            print("interrupted", len([t for t in os.listdir("/proc/self/task")]))
        """,
        backend,
    )
    assert done.stdout == "interrupted 1\n", done.stderr


def test_the_interpreter_can_end_under_a_pump(backend: str) -> None:
    done = run(
        """
        import os, threading, time
        from ottava import streams
        read, quiet = os.pipe()
        threading.Thread(target=streams.pump_sync, args=(read, 1), daemon=True).start()
        threading.Thread(target=streams.consume_sync, args=(read,), daemon=True).start()
        time.sleep(0.1)
        print("over")
        """,
        backend,
    )
    assert (done.returncode, done.stdout) == (0, "over\n"), done.stderr
