"""Streams of an event loop, which have no descriptor to give away: asyncio's, trio's, anyio's.

Taking the descriptor out of an asyncio transport would lose what it has buffered already and close it twice, so these are
read and written through their own methods, and the bytes pass through the event loop.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol, Union

from ottava.errors import StreamError, StreamOptionError, StreamReadError, StreamWriteError
from ottava.streams._descriptors import GONE, Inlet, Outlet
from ottava.streams._ends import FileLike, close, descriptor
from ottava.streams._reports import PumpReport, Refusal, SinkReport
from ottava.streams._run import PROGRESS, Turns, readable, unless_readable, writable
from ottava.streams._signals import sigpipe_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ottava.streams._job import Settings

__all__ = ["IN_LOOP", "AsyncReader", "AsyncWriter", "Reading", "Writing", "close_end", "has_descriptor", "pump_streams"]


class TrioReader(Protocol):
    """A receive stream of trio."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Some bytes; none at the end."""


class AnyioReader(Protocol):
    """A byte receive stream of anyio."""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Some bytes; `anyio.EndOfStream` at the end."""


class TrioWriter(Protocol):
    """A send stream of trio."""

    async def send_all(self, data: bytes) -> None:
        """Sends all of it."""


class AnyioWriter(Protocol):
    """A byte send stream of anyio."""

    async def send(self, item: bytes) -> None:
        """Sends all of it."""


AsyncReader = Union[FileLike, asyncio.StreamReader, TrioReader, AnyioReader]
AsyncWriter = Union[FileLike, asyncio.StreamWriter, TrioWriter, AnyioWriter]

BROKEN = {"BrokenResourceError": errno.ECONNRESET, "ClosedResourceError": errno.EBADF}
"""What trio and anyio raise where a stream was cut off or closed, and what a descriptor would say of it."""

IN_LOOP = Refusal("splice", "one end is a stream of the event loop")


def has_descriptor(end: object) -> bool:
    """Whether `end` is a descriptor or stands for one, rather than a stream of an event loop."""
    return isinstance(end, int) or hasattr(end, "fileno")


async def close_end(end: AsyncReader | AsyncWriter) -> None:
    """Closes `end`, whatever it is."""
    if isinstance(end, asyncio.StreamReader):
        # A reader has no close of its own; its transport has, and that is how the producer learns.
        transport = getattr(end, "_transport", None)
        if transport is not None:
            transport.close()
    elif isinstance(end, asyncio.StreamWriter):
        end.close()
        try:
            await end.wait_closed()
        except OSError:
            pass
    elif hasattr(end, "aclose"):
        await end.aclose()
    elif has_descriptor(end):
        close(end)  # type: ignore[arg-type]


class Reading:
    """Any reader, one chunk at a time, within the event loop."""

    def __init__(self, reader: AsyncReader) -> None:
        self.bytes = 0
        self.blocked = 0.0
        self.number: int | None = None
        self._reader: Any = reader
        self._inlet: Inlet | None = None
        self._turns = Turns()
        if has_descriptor(reader):
            self.number = descriptor(reader, "reader")  # type: ignore[arg-type]
            try:
                os.fstat(self.number)
                self._inlet = Inlet(self.number)
            except OSError as error:
                raise self._error(error) from None
        elif not any(hasattr(reader, name) for name in ("read", "receive_some", "receive")):
            raise StreamOptionError(f"reader is {reader!r}, which has no file descriptor and is no stream")

    def _error(self, error: OSError) -> StreamReadError:
        return StreamReadError(error.errno or errno.EIO, self.number, self.bytes)

    async def read(self, size: int) -> bytes:
        """At most `size` bytes; empty at the end."""
        await self._turns.give_way()
        start = time.perf_counter()
        try:
            chunk = await self._read(size)
        except OSError as error:
            raise self._error(error) from error
        except Exception as error:
            number = BROKEN.get(type(error).__name__)
            if number is None:
                raise
            raise StreamReadError(number, self.number, self.bytes) from error
        finally:
            self.blocked += time.perf_counter() - start
        self.bytes += len(chunk)
        return chunk

    async def _read(self, size: int) -> bytes:
        if self._inlet is not None:
            while True:
                try:
                    return self._inlet.read(size)
                except BlockingIOError:
                    await readable(self._inlet.fd)
        if isinstance(self._reader, asyncio.StreamReader):
            return await self._reader.read(size)
        if hasattr(self._reader, "receive_some"):
            return bytes(await self._reader.receive_some(size))
        if not hasattr(self._reader, "receive"):
            chunk: bytes = await self._reader.read(size)
            return chunk
        try:
            return bytes(await self._reader.receive(size))
        except Exception as error:
            # anyio says the end with an exception of its own, and need not be importable here.
            if type(error).__name__ == "EndOfStream":
                return b""
            raise

    def close(self) -> None:
        """Lets go of what was made here; the caller's reader stays open."""
        inlet, self._inlet = self._inlet, None
        if inlet is not None:
            inlet.close()


class Writing:
    """Any writer, within the event loop."""

    def __init__(self, writer: AsyncWriter, role: str) -> None:
        self.given = 0
        self.gone: int | None = None
        self.blocked = 0.0
        self.number: int | None = None
        self._writer: Any = writer
        self._outlet: Outlet | None = None
        if has_descriptor(writer):
            self.number = descriptor(writer, role)  # type: ignore[arg-type]
            try:
                os.fstat(self.number)
                self._outlet = Outlet(self.number)
            except OSError as error:
                raise self.error(error.errno or errno.EIO) from None
        elif not any(hasattr(writer, name) for name in ("write", "send_all", "send")):
            raise StreamOptionError(f"{role} is {writer!r}, which has no file descriptor and is no stream")

    def error(self, number: int) -> StreamWriteError:
        return StreamWriteError(number, self.number, self.given)

    async def write(self, chunk: bytes) -> None:
        """Writes all of `chunk`; notes it if the other end is gone. Any other failure is a `StreamWriteError`."""
        start = time.perf_counter()
        try:
            await self._write(chunk)
        except OSError as error:
            self.gone = error.errno or errno.EPIPE
            if self.gone not in GONE:
                raise self.error(self.gone) from error
        except Exception as error:
            if type(error).__name__ not in BROKEN:
                raise
            self.gone = errno.EPIPE
        finally:
            self.blocked += time.perf_counter() - start

    async def offer(self, chunk: bytes) -> None:
        """Writes all of `chunk`, unless the other end is gone; any failure only ends this writer."""
        if self.gone is None and chunk:
            try:
                await self.write(chunk)
            except StreamWriteError:
                pass

    async def _write(self, chunk: bytes) -> None:
        if self._outlet is not None:
            rest = memoryview(chunk)
            while rest:
                try:
                    with sigpipe_blocked():
                        n = self._outlet.write(rest)
                except BlockingIOError:
                    await writable(self._outlet.fd)
                else:
                    self.given += n
                    rest = rest[n:]
            return
        if isinstance(self._writer, asyncio.StreamWriter):
            if self._writer.is_closing():
                raise BrokenPipeError(errno.EPIPE, "the stream is closing")
            self._writer.write(chunk)
            await self._writer.drain()
        elif hasattr(self._writer, "send_all"):
            await self._writer.send_all(chunk)
        else:
            await self._writer.send(chunk)
        self.given += len(chunk)

    def note(self, events: int) -> bool:
        """Takes a look at what a poll said of the descriptor; whether the other end is gone, which was not known."""
        if self.gone is not None or self._outlet is None or not self._outlet.is_gone(events):
            return False
        self.gone = errno.EPIPE
        return True

    def fileno(self) -> int | None:
        """The descriptor that is written to, if there is one."""
        return None if self._outlet is None else self._outlet.fd

    def close(self) -> None:
        outlet, self._outlet = self._outlet, None
        if outlet is not None:
            outlet.close()

    def report(self) -> SinkReport:
        return SinkReport(self.given, self.gone, self.blocked)


class _Deaths:
    """Notices while the reader is quiet that the other end of a descriptor among the writers is gone. Only on Linux."""

    def __init__(self, sinks: Sequence[Writing]) -> None:
        self._sinks: dict[int, Writing] = {}
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        for sink in sinks:
            fd = sink.fileno()
            if self._epoll is not None and fd is not None:
                try:
                    # No event is asked for: errors and hang-ups come unasked.
                    self._epoll.register(fd, 0)
                except PermissionError:
                    # Files cannot be polled, and have no other end.
                    continue
                self._sinks[fd] = sink

    async def read(self, source: Reading, size: int) -> bytes | None:
        """The next chunk; none if a writer died before there was one."""
        while self._epoll is not None and self._sinks:
            chunk = await unless_readable(self._epoll.fileno(), source.read(size))
            if chunk is not None:
                return chunk
            died = False
            for fd, events in self._epoll.poll(0):
                # Its event stays; it would keep the reader from its turn.
                self._epoll.unregister(fd)
                died |= self._sinks.pop(fd).note(events)
            if died:
                return None
        return await source.read(size)

    def close(self) -> None:
        if self._epoll is not None:
            self._epoll.close()


async def pump_streams(
    reader: AsyncReader,
    writers: Sequence[AsyncWriter],
    settings: Settings,
    on_progress: Callable[[int], object] | None = None,
    tap: Callable[[bytes, int | None], object] | None = None,
) -> PumpReport:
    """Copies `reader` to `writers` chunk by chunk in the event loop; the contract is that of `ottava.streams.pump`.

    `tap` sees every chunk and the reader's descriptor; all writers are those of a tee then.
    """
    started = time.perf_counter()
    with ExitStack() as stack:
        source = Reading(reader)
        stack.callback(source.close)
        sinks = []
        for index, writer in enumerate(writers):
            place = index if tap is not None else index - 1
            sinks.append(Writing(writer, f"tee[{place}]" if place >= 0 else "writer"))
            stack.callback(sinks[-1].close)
        deaths = _Deaths(sinks)
        stack.callback(deaths.close)
        tolerant = tap is not None or len(sinks) > 1
        failure: StreamError | None = None
        discarded = 0
        told = time.monotonic()
        ending = "limit"
        while settings.limit is None or source.bytes < settings.limit:
            if not settings.drain and not any(sink.gone is None for sink in sinks):
                if failure is not None:
                    raise failure
                ending = "writer-gone"
                break
            room = settings.buffer_size if settings.limit is None else settings.limit - source.bytes
            chunk = await deaths.read(source, min(settings.buffer_size, room))
            if chunk is None:
                continue
            if not chunk:
                ending = "eof"
                break
            if tap is not None:
                tap(chunk, source.number)
            most = 0
            for sink in sinks:
                if sink.gone is not None:
                    continue
                before = sink.given
                try:
                    await sink.write(chunk)
                except StreamWriteError as error:
                    if not tolerant:
                        raise
                    failure = failure or error
                most = max(most, sink.given - before)
            discarded += len(chunk) - most
            if on_progress is not None and time.monotonic() - told >= PROGRESS:
                told = time.monotonic()
                on_progress(source.bytes)
        if on_progress is not None:
            on_progress(source.bytes)
        reports = tuple(sink.report() for sink in sinks)
        elapsed = time.perf_counter() - started
        return PumpReport(
            source.bytes, discarded, ending, "event loop", (IN_LOOP,), source.blocked, elapsed, reports  # type: ignore[arg-type]
        )
