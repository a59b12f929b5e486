"""Signals while native or Python code waits."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from ends import connected
from watching import SOON, children, eventually, open_descriptors, stream_threads

from ottava import streams


@pytest.fixture
def interrupt(pipes: Any) -> Callable[[], None]:
    """Sends SIGINT to this process once a thread of ours is at work."""

    def send() -> None:
        eventually(stream_threads)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    return lambda: pipes.later(0, send)


OPERATIONS: dict[str, Any] = {
    "pump": lambda read, write: streams.pump_sync(read, write),
    "copy": lambda read, write: streams.pump_sync(read, write, in_kernel=False),
    "tee": lambda read, write: streams.pump_sync(read, write, tee=[write]),
    "consume": lambda read, write: streams.consume_sync(read),
    "count": lambda read, write: streams.count_lines_sync(read),
    "lines": lambda read, write: list(streams.lines_sync(read)),
}


@pytest.mark.parametrize("reader", ["pipe", "tcp", "nonblocking-tcp", "udp"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_interrupted_while_waiting(
    backend: str, pipes: Any, interrupt: Callable[[], None], operation: str, reader: str
) -> None:
    read = pipes.quiet(reader)
    _, write = pipes.pipe()
    with pytest.raises(KeyboardInterrupt):
        interrupt()
        OPERATIONS[operation](read, write)


@pytest.mark.parametrize("operation", ["pump", "copy", "tee", "count"])
def test_interrupted_while_bytes_flow(
    backend: str, pipes: Any, interrupt: Callable[[], None], operation: str
) -> None:
    producer = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    assert producer.stdout is not None
    with open("/dev/null", "wb") as null, pytest.raises(KeyboardInterrupt):
        interrupt()
        OPERATIONS[operation](producer.stdout, null)
    producer.stdout.close()
    assert producer.wait(SOON) == -signal.SIGPIPE


@pytest.mark.parametrize("in_kernel", [True, False])
@pytest.mark.parametrize("target", ["file", "pipe", "socket"])
def test_interrupted_while_a_file_is_copied(backend: str, pipes: Any, target: str, in_kernel: bool) -> None:
    size = 2 << 30
    source = pipes.sparse(size)
    if target == "file":
        write = pipes.own(os.memfd_create("copy"))
    elif target == "pipe":
        write, _ = pipes.collect(piece=1 << 20, delay=0.001)
    else:
        ours, theirs = connected("unix")
        ours.setblocking(False)
        write = pipes.own(ours.detach())

        def receive() -> None:
            with theirs:
                while theirs.recv(1 << 20):
                    time.sleep(0.001)

        pipes._start(receive)

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            streams.pump_sync(source, write, in_kernel=in_kernel, allow_aliasing=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert os.lseek(source, 0, os.SEEK_CUR) < size


def test_interrupted_pipeline(backend: str, pipes: Any) -> None:
    def interrupt() -> None:
        # By then all three have been started, and are waited for.
        eventually(lambda: list(open_descriptors().values()).count("anon_inode:[pidfd]") == 3)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        pipes.later(0, interrupt)
        streams.pipeline_sync([["yes"], ["cat"], ["sleep", "1000"]], observe=True)


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
@pytest.mark.parametrize("stages", [1, 2, 5])
def test_interrupted_while_a_pipeline_starts(
    backend: str, monkeypatch: pytest.MonkeyPatch, stages: int, kind: str
) -> None:
    others, started = children(), 0
    real = subprocess.Popen

    def popen(*arguments: Any, **options: Any) -> Any:
        nonlocal started
        started += 1
        process = real(*arguments, **options)
        if started == stages:
            # The process is there, and who asked for it has not yet heard of it.
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(subprocess, "Popen", popen)
    before = signal.getsignal(signal.SIGINT)
    commands = [["sleep", "1000"]] * 64
    with pytest.raises(KeyboardInterrupt):
        if kind == "sync":
            streams.pipeline_sync(commands, observe=True)
        else:
            asyncio.run(_pipeline(commands))
    assert signal.getsignal(signal.SIGINT) is before
    assert kind == "asyncio" or started == stages
    assert children() == others


async def _pipeline(commands: list[list[str]]) -> None:
    await streams.pipeline(commands, observe=True)


def test_interrupted_while_a_thread_starts(backend: str, pipes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupt(BaseException):
        pass

    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "ottava-stream":
            raise Interrupt

    read, write = pipes.pipe()
    _, target = pipes.pipe()
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    for _ in range(5):
        # Threads of native code start without it.
        with pytest.raises((Interrupt, TimeoutError)):
            streams.pump_sync(read, target, timeout=0.01)
        with pytest.raises((Interrupt, TimeoutError)):
            streams.count_lines_sync(read, timeout=0.01)
    # No thread is left that would close these once more.
    others = [pipes.own(os.dup(read)) for _ in range(8)]
    os.write(write, b"x")
    assert eventually(lambda: not stream_threads())
    for other in others:
        os.fstat(other)


def test_handlers_run_and_the_pump_goes_on(backend: str, pipes: Any) -> None:
    calls: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: calls.append(number))
    try:
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
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, timeout=SOON
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


def test_sigpipe_is_epipe_in_an_event_loop(backend: str) -> None:
    done = run(
        """
        import asyncio, os, signal
        from ottava import streams
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

        class Reader:
            async def receive_some(self, most):
                return b"bytes"

        async def main():
            target, sink = os.pipe()
            os.close(target)
            print((await streams.pump(Reader(), sink)).ending)
            print((await streams.pump(Reader(), sink, tee=[sink])).ending)
            lines = streams.lines(Reader(), tee=[sink], max_line=100)
            try:
                await lines.__anext__()
            except ValueError as error:
                print(error)

        asyncio.run(main())
        print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
        """,
        backend,
    )
    lines = ["writer-gone", "writer-gone", "line 0 of a stream of the event loop is longer than the limit of 100 bytes", "set()"]
    assert (done.returncode, done.stdout.splitlines()) == (0, lines), done.stderr


def test_an_interrupt_while_the_native_module_loads() -> None:
    done = run(
        """
        import sys
        import ottava.streams as streams

        class Interrupt:
            def find_spec(self, name, path=None, target=None):
                if name == "datetime":
                    raise KeyboardInterrupt

        import numpy
        sys.modules.pop("datetime", None)
        sys.meta_path.insert(0, Interrupt())
        try:
            print(streams.backend_name())
        except KeyboardInterrupt:
            print("interrupted")
        """,
        "auto",
    )
    assert done.stdout == "interrupted\n", done.stderr


def test_ctrl_c_ends_the_program(backend: str) -> None:
    done = run(
        """
        import asyncio, os, signal, threading, time
        from ottava import streams
        read, quiet = os.pipe()
        tasks = lambda: len(os.listdir("/proc/self/task"))
        def interrupt():
            # This thread, the main one, and that of the consumer.
            while tasks() < 3:
                time.sleep(0.01)
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)
        thread = threading.Thread(target=interrupt)
        try:
            thread.start()
            asyncio.run(streams.consume(read))
        except KeyboardInterrupt:
            thread.join()
            # A thread that was joined may be on the system's list for a moment more.
            while tasks() > 1:
                time.sleep(0.01)
            print("interrupted")
        """,
        backend,
    )
    assert done.stdout == "interrupted\n", done.stderr


@pytest.mark.parametrize("leave", ["del lines", "lines.close()", "use()"])
def test_a_forked_child_leaves_its_parent_alone(backend: str, leave: str) -> None:
    done = run(
        f"""
        import os, sys
        from pathlib import Path
        from ottava import streams
        from ottava.errors import StreamError
        def raised():
            # How often each wake-up of this process was raised, but for that of a batch, which comes and goes.
            ready = str(lines._job.fileno())
            infos = [Path(f"/proc/self/fdinfo/{{fd}}") for fd in os.listdir("/proc/self/fd") if fd != ready]
            texts = [info.read_text() for info in infos if info.exists()]
            return [line for text in texts for line in text.splitlines() if line.startswith("eventfd-count")]
        def use():
            try:
                next(lines)
            except StreamError as error:
                sys.exit(0 if error.strerror == "cannot go on in a forked process: Operation not permitted" else error.strerror)
            sys.exit("no error")
        read, write = os.pipe()
        lines = streams.lines_sync(read)
        os.write(write, b"before\\n")
        print(next(lines))
        before = raised()
        child = os.fork()
        if child == 0:
            {leave}
            os._exit(0)
        print(os.waitpid(child, 0)[1], raised() == before)
        os.write(write, b"after\\n")
        print(next(lines))
        lines.close()
        """,
        backend,
    )
    assert done.stdout == "['before']\n0 True\n['after']\n", done.stderr


def test_a_forked_child_leaves_the_job_of_its_parent_alone(backend: str) -> None:
    done = run(
        """
        import os, sys
        from ottava import streams
        from ottava.errors import StreamError
        from ottava.streams._backend import backend
        from ottava.streams._job import Settings
        read, feed = os.pipe()
        target, write = os.pipe()
        job = backend().pump(read, [write], Settings())
        child = os.fork()
        if child == 0:
            refused = 0
            for use in (lambda: job.wait(0.0), job.result):
                try:
                    use()
                except StreamError:
                    refused += 1
            job.cancel()
            job.close()
            del job, use
            os._exit(refused)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os.write(feed, b"bytes")
        os.close(feed)
        print(job.result().bytes)
        job.close()
        """,
        backend,
    )
    assert done.stdout == "2\n5\n", done.stderr


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


@pytest.mark.parametrize("runs", [False, True])
def test_interrupted_while_a_thread_is_started(pipes: Any, monkeypatch: pytest.MonkeyPatch, runs: bool) -> None:
    monkeypatch.setenv("OTTAVA_STREAM_BACKEND", "python")
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if runs:
            start(thread)
        raise KeyboardInterrupt

    read = pipes.quiet("pipe")
    before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            streams.consume_sync(read)
    assert open_descriptors() == before
