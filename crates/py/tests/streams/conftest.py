"""Both backends, every event loop, and a look at descriptors and threads before and after each test."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from ends import connected, unread
from loops import LOOPS, Runner
from watching import SOON, open_descriptors, stream_threads

from ottava.streams._descriptors import raise_pipe_size


@pytest.fixture(params=["rust", "python"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The backend under test. A missing native module is a failure, not a reason to skip."""
    monkeypatch.setenv("OTTAVA_STREAM_BACKEND", request.param)
    return str(request.param)


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """The same descriptors after a test as before it, and no thread of ours left."""
    before = open_descriptors()
    yield
    deadline = time.monotonic() + SOON
    while True:
        after, threads = open_descriptors(), stream_threads()
        leaked = {fd: after[fd] for fd in after.keys() - before.keys()}
        if not leaked and not threads or time.monotonic() > deadline:
            break
        # No garbage is collected: what is closed holds no descriptor, whoever keeps it.
        time.sleep(0.01)
    assert not leaked
    assert not threads
    assert not before.keys() - after.keys(), "a test closed what was not its own"


class Pipes:
    """Pipes that are closed when the test is over, and threads at their far ends."""

    def __init__(self) -> None:
        self._fds: set[int] = set()
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()

    def own(self, fd: int) -> int:
        self._fds.add(fd)
        return fd

    def pipe(self, size: int | None = None) -> tuple[int, int]:
        read, write = os.pipe()
        if size is not None:
            raise_pipe_size(read, size)
        return self.own(read), self.own(write)

    def close(self, fd: int) -> None:
        self._fds.discard(fd)
        os.close(fd)

    def forget(self, fd: int) -> None:
        self._fds.discard(fd)

    def quiet(self, kind: str) -> int:
        """A reader that gives nothing, until the test is over or has waited for too long: a pipe or a kind of socket."""
        if kind == "pipe":
            return self.pipe()[0]
        ours, theirs = connected(kind.removeprefix("nonblocking-"))
        ours.setblocking(not kind.startswith("nonblocking-"))

        def end() -> None:
            with theirs:
                # For a datagram socket, an empty one is the end.
                theirs.send(b"") if kind == "udp" else None

        self.later(SOON, end)
        return self.own(ours.detach())

    def sparse(self, size: int) -> int:
        """A file of so many zeros, which takes no room."""
        file = self.own(os.memfd_create("sparse"))
        os.ftruncate(file, size)
        return file

    def feed(self, *chunks: bytes, delay: float = 0.0, apart: bool = False) -> int:
        """A read end that gives these chunks and ends; `apart`: each only when the one before it was read."""
        read, write = self.pipe()
        self._fds.discard(write)

        def work() -> None:
            try:
                for chunk in chunks:
                    while apart and unread(write) and not self._stop.is_set():
                        time.sleep(0)
                    rest = memoryview(chunk)
                    while rest:
                        rest = rest[os.write(write, rest) :]
                    if delay and self._stop.wait(delay):
                        return
            except BrokenPipeError:
                pass
            finally:
                os.close(write)

        self._start(work)
        return read

    def collect(
        self, piece: int = 1 << 16, delay: float = 0.0, most: int | None = None, size: int | None = None
    ) -> tuple[int, list[bytes]]:
        """A write end, and the bytes that arrive at its other end, complete once `join` returned."""
        read, write = self.pipe(size)
        self._fds.discard(read)
        got: list[bytes] = []

        def work() -> None:
            count = 0
            try:
                while (most is None or count < most) and (chunk := os.read(read, piece)):
                    got.append(chunk)
                    count += len(chunk)
                    if delay:
                        time.sleep(delay)
            finally:
                os.close(read)

        self._start(work)
        return write, got

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work)
        self._threads.append(thread)
        thread.start()

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        self._start(lambda: (self._stop.wait(seconds), call()) and None)

    def join(self) -> None:
        self._stop.set()
        for fd in list(self._fds):
            self.close(fd)
        for thread in self._threads:
            thread.join(SOON)
            assert not thread.is_alive()


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    made.join()


@pytest.fixture(scope="session", autouse=True)
def every_loop_has_run() -> None:
    """Some event loops keep descriptors for the whole process once they have run, which is no leak of ours."""

    async def nothing() -> None:
        return None

    for run in LOOPS.values():
        run(nothing)


@pytest.fixture(params=list(LOOPS))
def loop(request: pytest.FixtureRequest) -> Runner:
    """Runs a coroutine function in each kind of event loop."""
    return LOOPS[request.param]
