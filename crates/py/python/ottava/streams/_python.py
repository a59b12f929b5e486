"""The pure-Python backend: the reference that the native one is tested against, and all there is without it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ottava.errors import (
    StreamError,
    StreamLimitError,
    StreamReadError,
    StreamWriteError,
)
from ottava.streams._descriptors import GONE, POLLIN, POLLOUT, Inlet, Kind, Outlet, Wakeup, poll, raise_pipe_size
from ottava.streams._job import Settings
from ottava.streams._reports import Consumed, Ending, LineBlob, LinesReport, PumpReport, Refusal, SinkReport
from ottava.streams._split import Splitter, blob, count_endings, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ottava.streams._job import LineSettings

__all__ = ["BACKEND"]

Result = TypeVar("Result")

MOST = 1 << 30
"""The most that one call is asked to move through a pipe, which holds far less."""
COPY = 4 << 20
SEND = 1 << 20
"""The most that one call is asked to copy between files or to send of one: it hears no cancellation meanwhile."""
NONBLOCK = getattr(os, "SPLICE_F_NONBLOCK", 2)

REFUSALS = frozenset(
    {
        errno.EINVAL,
        errno.ENOSYS,
        errno.EOPNOTSUPP,
        errno.EXDEV,
        errno.EPERM,
        errno.EBADF,
        errno.ETXTBSY,
        errno.EOVERFLOW,
        errno.ENOMEM,
    }
)
"""What a move in the kernel fails with when these two ends cannot be joined this way."""


class _Sink:
    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self.given = 0
        self.gone: int | None = None
        self.blocked = 0.0
        self.pending: memoryview = memoryview(b"")

    def report(self) -> SinkReport:
        return SinkReport(self.given, self.gone, self.blocked)


class _Transfer:
    """One pump: its ends, its counters, and the thread's view of the cancel switch."""

    def __init__(self, reader: int, writers: Sequence[int], settings: Settings, tolerant: bool) -> None:
        self.settings = settings
        self.tolerant = tolerant
        self.taken = self.discarded = 0
        self.read_blocked = 0.0
        self.way = "read/write"
        self.refused: list[Refusal] = []
        self.failure: tuple[int, _Sink] | None = None
        self.cancelled = False
        self.started = time.perf_counter()
        self.sinks: list[_Sink] = []
        _check_open(reader, writers)
        try:
            self.inlet = Inlet(reader)
        except OSError as error:
            raise StreamReadError(error.errno or errno.EIO, reader, 0) from None
        try:
            for writer in writers:
                try:
                    outlet = Outlet(writer)
                except OSError as error:
                    raise StreamWriteError(error.errno or errno.EIO, writer, 0) from None
                self.sinks.append(_Sink(outlet))
                both_files = outlet.kind is Kind.FILE and self.inlet.kind is Kind.FILE
                if both_files and outlet.identity == self.inlet.identity:
                    raise StreamError(errno.EINVAL, f"fd {reader} and fd {writer} are the same file")
            self.switch = Wakeup()
        except BaseException:
            self.close_ends()
            raise

    def close_ends(self) -> None:
        self.inlet.close()
        for sink in self.sinks:
            sink.outlet.close()

    def cancel(self) -> None:
        self.cancelled = True
        self.switch.set()

    def open_sinks(self) -> list[_Sink]:
        return [sink for sink in self.sinks if sink.gone is None]

    # Waiting

    def _wait(self, fds: list[tuple[int, int]]) -> tuple[dict[int, int], float]:
        start = time.perf_counter()
        events = poll([*fds, (self.switch.fileno(), POLLIN)], None)
        return events, time.perf_counter() - start

    def check(self) -> None:
        if self.cancelled:
            raise StreamError(errno.ECANCELED, f"cancelled after {self.taken} bytes")

    def await_reader(self) -> None:
        """Sleeps until the reader has something, a writer dies, or somebody cancels."""
        watched = {sink.outlet.fd: sink for sink in self.open_sinks()}
        fds = [(self.inlet.fd, POLLIN), *((fd, 0) for fd in watched)]
        events, took = self._wait(fds)
        self.read_blocked += took
        if self.inlet.fd in events or self.cancelled:
            return
        for fd, happened in events.items():
            sink = watched.get(fd)
            if sink is not None and sink.outlet.is_gone(happened):
                sink.gone = errno.EPIPE
                return
        if events:
            # An error flag that is none of ours to judge: wait for the reader alone, or this would spin.
            _, took = self._wait([(self.inlet.fd, POLLIN)])
            self.read_blocked += took

    def await_writers(self, sinks: list[_Sink]) -> None:
        _, took = self._wait([(sink.outlet.fd, POLLOUT) for sink in sinks])
        for sink in sinks:
            sink.blocked += took

    # Moving

    def read(self, size: int) -> bytes | None:
        """At most `size` bytes, empty at the end; none if a writer died first."""
        while True:
            self.check()
            try:
                return self.inlet.read(size)
            except BlockingIOError:
                alive = len(self.open_sinks())
                self.await_reader()
                if len(self.open_sinks()) != alive:
                    return None
            except OSError as error:
                raise StreamReadError(error.errno or errno.EIO, self.inlet.number, self.taken) from None

    def give(self, chunk: bytes) -> None:
        """Gives `chunk` to every writer that is left; the slowest sets the pace."""
        waiting = self.open_sinks()
        for sink in waiting:
            sink.pending = memoryview(chunk)
        lost = 0
        while waiting:
            self.check()
            blocked = []
            for sink in waiting:
                try:
                    n = sink.outlet.write(sink.pending)
                    sink.given += n
                    sink.pending = sink.pending[n:]
                    if sink.pending:
                        blocked.append(sink)
                except BlockingIOError:
                    blocked.append(sink)
                except OSError as error:
                    lost = len(sink.pending)
                    self.lose(sink, error.errno or errno.EIO)
            waiting = blocked
            if waiting:
                self.await_writers(waiting)
        if not self.open_sinks():
            self.discarded += lost

    def lose(self, sink: _Sink, number: int) -> None:
        sink.gone = number
        if number not in GONE:
            if not self.tolerant:
                raise StreamWriteError(number, sink.outlet.number, sink.given)
            self.failure = self.failure or (number, sink)

    def allowance(self) -> int:
        limit = self.settings.limit
        return MOST if limit is None else min(MOST, limit - self.taken)

    def run(self, tap: Callable[[bytes], None] | None = None) -> Ending:
        """Copies to the end. `tap` sees every chunk, and keeps the kernel from moving the bytes itself."""
        if tap is None:
            self.choose_way()
        while self.allowance() > 0:
            self.check()
            if not self.open_sinks():
                if not self.settings.drain:
                    return self.writer_gone()
                self.way = "read/write" if self.taken == 0 else self.way
            elif self.way != "read/write":
                if not self.move():
                    return "eof"
                continue
            chunk = self.read(min(self.settings.buffer_size, self.allowance()))
            if chunk is None:
                continue
            if not chunk:
                return "eof"
            self.taken += len(chunk)
            if tap is not None:
                tap(chunk)
            if self.open_sinks():
                self.give(chunk)
            else:
                self.discarded += len(chunk)
        return "limit"

    def writer_gone(self) -> Ending:
        if self.failure is not None:
            number, sink = self.failure
            raise StreamWriteError(number, sink.outlet.number, sink.given)
        return "writer-gone"

    def choose_way(self) -> None:
        settings = self.settings
        if not settings.in_kernel:
            self.refused.append(Refusal("splice", "not wanted"))
            return
        if sys.platform != "linux" or not hasattr(os, "splice"):
            self.refused.append(Refusal("splice", "not on this platform"))
            return
        for end in (self.inlet, *(sink.outlet for sink in self.sinks)):
            if end.kind is Kind.PIPE:
                raise_pipe_size(end.fd, settings.pipe_size)
        if len(self.sinks) != 1:
            # Python has no call for it.
            why = "not without the native module" if self.inlet.kind is Kind.PIPE else "neither end is a pipe"
            self.refused.append(Refusal("tee", why))
            return
        way, why = _way(self.inlet, self.sinks[0].outlet, settings.allow_aliasing)
        why = why or _blocks(self.inlet, self.sinks[0].outlet)
        if why:
            self.refused.append(Refusal(way, why))
        else:
            self.way = way

    def refuse(self, why: str) -> None:
        self.refused.append(Refusal(self.way, why))
        self.way = "read/write"

    def move(self) -> bool:
        """One move inside the kernel; whether there is more to come."""
        sink = self.sinks[0]
        if why := _blocks(self.inlet, sink.outlet):
            self.refuse(why)
            return True
        try:
            n = _move(self.way, self.inlet.fd, sink.outlet.fd, self.allowance())
        except BlockingIOError:
            alive = sink.gone
            self.await_reader()
            if sink.gone == alive and not self.cancelled:
                self.await_writers([sink])
            return True
        except OSError as error:
            number, source = error.errno or errno.EIO, self.inlet.kind
            # An error of a file comes again where `read` and `write` tell whose it is. A socket tells its error once, but what
            # it is spliced to is a pipe, which fails in one way only. A pipe cannot fail as a reader.
            if number in REFUSALS or (source is Kind.FILE and number not in GONE):
                self.refuse(os.strerror(number))
            elif source in (Kind.FILE, Kind.PIPE) or number == errno.EPIPE:
                self.lose(sink, number)
            else:
                raise StreamReadError(number, self.inlet.number, self.taken) from None
            return True
        if n == 0 and self.way == "copy_file_range" and self.taken == 0:
            # Files of procfs and the like report nothing here but can be read.
            self.refuse(os.strerror(errno.EOPNOTSUPP))
            return True
        self.taken += n
        sink.given += n
        return n > 0


def _check_open(reader: int, writers: Sequence[int]) -> None:
    """Every descriptor is open; whether it fits its role is asked next."""
    for index, fd in enumerate((reader, *writers)):
        try:
            os.fstat(fd)
        except OSError as error:
            kind = StreamWriteError if index else StreamReadError
            raise kind(error.errno or errno.EIO, fd, 0) from None


def _way(inlet: Inlet, outlet: Outlet, allow_aliasing: bool) -> tuple[str, str]:
    """The fastest way between two ends, and why it is out of the question if it is."""
    source, target = inlet.kind, outlet.kind
    aliasing = "pages of the file would be shared with its next writer"
    append = "the writer is in append mode"
    if Kind.TERMINAL in (source, target):
        return "splice", "one end is a terminal"
    if source is Kind.FILE and target is Kind.FILE:
        return "copy_file_range", append if outlet.append else ""
    if source is Kind.FILE and target is Kind.SOCKET:
        return "sendfile", "" if allow_aliasing else aliasing
    if source is Kind.FILE and target is Kind.PIPE and not allow_aliasing:
        return "splice", aliasing
    if Kind.PIPE not in (source, target):
        return "splice", "neither end is a pipe"
    if source is Kind.PIPE and target is Kind.FILE and outlet.append:
        return "splice", append
    return "splice", ""


def _blocks(inlet: Inlet, outlet: Outlet) -> str:
    """Why a move could block now: `splice` and `sendfile` heed the mode of a socket, not their own flag."""
    if inlet.is_blocking_socket():
        return "the reader is a blocking socket"
    return "the writer is a blocking socket" if outlet.is_blocking_socket() else ""


def _move(way: str, source: int, target: int, most: int) -> int:
    if way == "copy_file_range":
        return os.copy_file_range(source, target, min(most, COPY))
    if way == "sendfile":
        return os.sendfile(target, source, cast("Any", None), min(most, SEND))
    return cast("int", cast("Any", os).splice(source, target, most, flags=NONBLOCK | 1))


class _Home:
    """The process that an operation was started in.

    Its thread is not there after a fork, but its descriptors are, and the wake-ups behind them are shared.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()

    def is_here(self) -> bool:
        return self._pid == os.getpid()

    def check(self) -> None:
        if not self.is_here():
            raise StreamError(errno.EPERM, f"cannot go on in a forked process: {os.strerror(errno.EPERM)}")


class _Job(Generic[Result]):
    """A transfer in a thread."""

    def __init__(self, transfer: _Transfer, work: Callable[[_Transfer], Result]) -> None:
        self._transfer = transfer
        self._outcome: Result | None = None
        self._error: BaseException | None = None
        self._closed = False
        self._home = _Home()
        try:
            self._done = Wakeup()
        except BaseException:
            transfer.close_ends()
            transfer.switch.close()
            raise
        self._thread = threading.Thread(target=self._run, args=(work,), name="ottava-stream", daemon=True)
        self._begun = threading.Lock()
        try:
            self._thread.start()
        except BaseException:
            # Ctrl-C may come while the thread is on its way, or at work: it is that, or this, that begins.
            if self._begun.acquire(blocking=False):
                self._close_descriptors()
            else:
                self.close()
            raise

    def _run(self, work: Callable[[_Transfer], Result]) -> None:
        if not self._begun.acquire(blocking=False):
            return
        _block_sigpipe()
        try:
            self._outcome = work(self._transfer)
        except BaseException as error:
            self._error = error
        finally:
            self._transfer.close_ends()
            self._done.set()

    def fileno(self) -> int:
        return -1 if self._closed else self._done.fileno()

    def cancel(self) -> None:
        if not self._closed and self._home.is_here():
            self._transfer.cancel()

    def progress(self) -> int:
        return self._transfer.taken

    def wait(self, seconds: float) -> bool:
        self._home.check()
        return self._closed or self._done.wait(seconds)

    def result(self) -> Result:
        self._home.check()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return cast("Result", self._outcome)

    def close(self) -> None:
        if not self._closed and self._home.is_here():
            self._transfer.cancel()
            self._thread.join()
            self._closed = True
            self._close_descriptors(ends=False)

    def _close_descriptors(self, ends: bool = True) -> None:
        self._done.close()
        self._transfer.switch.close()
        if ends:
            self._transfer.close_ends()


def _block_sigpipe() -> None:
    """Turns a deadly SIGPIPE into EPIPE in this thread, also where somebody gave the signal back its default."""
    if hasattr(signal, "pthread_sigmask") and hasattr(signal, "SIGPIPE"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPIPE])


def _pump(transfer: _Transfer) -> PumpReport:
    ending = transfer.run()
    return PumpReport(
        bytes=transfer.taken,
        discarded=transfer.discarded,
        ending=ending,
        way=transfer.way,
        refused=tuple(transfer.refused),
        read_blocked=transfer.read_blocked,
        elapsed=time.perf_counter() - transfer.started,
        sinks=tuple(sink.report() for sink in transfer.sinks),
    )


def _consume(transfer: _Transfer, limit: int | None) -> Consumed[bytes] | Consumed[str]:
    raise_pipe_size(transfer.inlet.fd, transfer.settings.pipe_size)
    chunks: list[bytes] = []

    def tap(chunk: bytes) -> None:
        if limit is not None and transfer.taken > limit:
            raise StreamLimitError(transfer.inlet.number, limit)
        chunks.append(chunk)

    transfer.run(tap)
    elapsed = time.perf_counter() - transfer.started
    sinks = tuple(sink.report() for sink in transfer.sinks)
    return Consumed(b"".join(chunks), transfer.taken, transfer.read_blocked, elapsed, sinks)


def _count(transfer: _Transfer) -> LinesReport:
    raise_pipe_size(transfer.inlet.fd, transfer.settings.pipe_size)
    lines = 0
    last = b"\n"

    def tap(chunk: bytes) -> None:
        nonlocal lines, last
        lines += count_endings(chunk, last)
        last = chunk[-1:]

    transfer.run(tap)
    lines += last not in b"\r\n"
    elapsed = time.perf_counter() - transfer.started
    return LinesReport(lines, transfer.taken, transfer.read_blocked, elapsed, ())


class _TooLong(Exception):
    """A line is too long; its number is known to whoever takes the lines before it."""


class _LineJob:
    """Batches of lines, read ahead by a thread."""

    AHEAD = 4

    def __init__(self, transfer: _Transfer, settings: LineSettings) -> None:
        self._splitter = Splitter(transfer.inlet.number, settings.max_line)
        self._settings = settings
        self._batches: deque[bytes] = deque()
        self._room = threading.Condition()
        self._open = threading.RLock()
        """Held by whoever uses the wake-up, or closes it."""
        self._end: LinesReport | BaseException | None = None
        self._lines = 0
        self._error: BaseException | None = None
        self._closed = False
        self._transfer = transfer
        self._home = _Home()
        self._ready = Wakeup()
        try:
            self._job = _Job(transfer, self._read)
        except BaseException:
            self._ready.close()
            raise

    def _read(self, transfer: _Transfer) -> None:
        raise_pipe_size(transfer.inlet.fd, transfer.settings.pipe_size)
        try:
            transfer.run(lambda chunk: self._pass_on(self._splitter.push(chunk)))
            self._pass_on(self._splitter.finish())
            elapsed = time.perf_counter() - transfer.started
            sinks = tuple(sink.report() for sink in transfer.sinks)
            self._end = LinesReport(0, transfer.taken, transfer.read_blocked, elapsed, sinks)
        except BaseException as error:
            self._end = error
        finally:
            with self._room:
                self._room.notify_all()
            self._ready.set()

    def _pass_on(self, lines: bytes) -> None:
        if lines:
            with self._room:
                while len(self._batches) >= self.AHEAD and not self._transfer.cancelled:
                    self._room.wait()
                self._batches.append(lines)
            self._ready.set()
        if self._splitter.too_long:
            raise _TooLong

    def fileno(self) -> int:
        return -1 if self._closed else self._ready.fileno()

    def next(self, seconds: float) -> list[str] | LineBlob | None:
        self._home.check()
        if self._error is not None:
            raise self._error
        lines = self._take()
        if lines is None:
            with self._open:
                if not self._closed:
                    # Cleared before the second look: what arrives after it sets the wake-up again.
                    self._ready.clear()
                    lines = self._take()
                    if lines is None and seconds > 0:
                        self._ready.wait(seconds)
            lines = lines or self._take()
        if lines is None:
            return None
        if self._settings.blob:
            batch = blob(lines)
            self._lines += len(batch)
            return batch
        decoded, self._error = decode(lines, self._settings.encoding, self._settings.errors)
        self._lines += len(decoded)
        return decoded or self.next(0)

    def _take(self) -> bytes | None:
        with self._room:
            if self._batches:
                self._room.notify_all()
                return self._batches.popleft()
            if self._end is None:
                return None
        if isinstance(self._end, _TooLong):
            raise self._splitter.error(self._lines)
        if isinstance(self._end, BaseException):
            raise self._end
        raise StopIteration

    def report(self) -> LinesReport | None:
        return replace(self._end, lines=self._lines) if isinstance(self._end, LinesReport) else None

    def close(self) -> None:
        if not self._home.is_here():
            return
        # Whoever waits for a batch has the end of the wait.
        self._transfer.cancelled = True
        with self._room:
            self._room.notify_all()
        with self._open:
            if not self._closed:
                self._job.close()
                self._ready.close()
                self._closed = True


class _Python:
    name = "python"

    def pump(self, reader: int, writers: Sequence[int], settings: Settings) -> _Job[PumpReport]:
        return _Job(_Transfer(reader, writers, settings, tolerant=len(writers) > 1), _pump)

    def consume(
        self, reader: int, writers: Sequence[int], settings: Settings, errors: str | None
    ) -> _Job[Consumed[bytes] | Consumed[str]]:
        open_ended = replace(settings, drain=True, limit=None)
        transfer = _Transfer(reader, writers, open_ended, tolerant=True)
        return _Job(transfer, lambda transfer: _consume(transfer, settings.limit))

    def count_lines(self, reader: int, settings: Settings) -> _Job[LinesReport]:
        open_ended = replace(settings, drain=True, limit=None)
        return _Job(_Transfer(reader, [], open_ended, tolerant=True), _count)

    def lines(self, reader: int, writers: Sequence[int], settings: LineSettings) -> _LineJob:
        reading = Settings(settings.buffer_size, settings.pipe_size, drain=True)
        return _LineJob(_Transfer(reader, writers, reading, tolerant=True), settings)


BACKEND = _Python()
