"""Streams of an event loop, which have no descriptor to give away: asyncio's, trio's, anyio's.

Taking the descriptor out of an asyncio transport would lose what it has buffered already and close it twice, so these are
read and written through their own methods, and the bytes pass through the event loop.
"""

from __future__ import annotations

import asyncio
import errno
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol, Union

from ottava.errors import StreamError, StreamOptionError, StreamReadError, StreamWriteError
from ottava.streams._descriptors import GONE, Inlet, Outlet
from ottava.streams._ends import FileLike, close, descriptor
from ottava.streams._reports import PumpReport, Refusal, SinkReport
from ottava.streams._run import PROGRESS, readable, writable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ottava.streams._job import Settings

__all__ = ["AsyncReader", "AsyncWriter", "Reading", "Writing", "close_end", "has_descriptor", "pump_streams"]


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
        self.number = -1
        self._reader: Any = reader
        self._inlet: Inlet | None = None
        if has_descriptor(reader):
            self.number = descriptor(reader, "reader")  # type: ignore[arg-type]
            try:
                self._inlet = Inlet(self.number)
            except OSError as error:
                raise self._error(error) from None
        elif not any(hasattr(reader, name) for name in ("read", "receive_some", "receive")):
            raise StreamOptionError(f"reader is {reader!r}, which has no file descriptor and is no stream")

    def _error(self, error: OSError) -> StreamReadError:
        return StreamReadError(error.errno or errno.EIO, self.number, self.bytes)

    async def read(self, size: int) -> bytes:
        """At most `size` bytes; empty at the end."""
        start = time.perf_counter()
        try:
            chunk = await self._read(size)
        except OSError as error:
            raise self._error(error) from error
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
        if self._inlet is not None:
            self._inlet.close()


class Writing:
    """Any writer, within the event loop."""

    def __init__(self, writer: AsyncWriter, role: str) -> None:
        self.given = 0
        self.gone: int | None = None
        self.blocked = 0.0
        self.number = -1
        self._writer: Any = writer
        self._outlet: Outlet | None = None
        if has_descriptor(writer):
            self.number = descriptor(writer, role)  # type: ignore[arg-type]
            try:
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
            if type(error).__name__ not in ("BrokenResourceError", "ClosedResourceError"):
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

    def close(self) -> None:
        if self._outlet is not None:
            self._outlet.close()

    def report(self) -> SinkReport:
        return SinkReport(self.given, self.gone, self.blocked)


async def pump_streams(
    reader: AsyncReader,
    writers: Sequence[AsyncWriter],
    settings: Settings,
    on_progress: Callable[[int], object] | None = None,
    tap: Callable[[bytes], object] | None = None,
) -> PumpReport:
    """Copies `reader` to `writers` chunk by chunk in the event loop; the contract is that of `ottava.streams.pump`."""
    started = time.perf_counter()
    with ExitStack() as stack:
        source = Reading(reader)
        stack.callback(source.close)
        sinks = []
        for index, writer in enumerate(writers):
            sinks.append(Writing(writer, f"tee[{index - 1}]" if index else "writer"))
            stack.callback(sinks[-1].close)
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
            chunk = await source.read(min(settings.buffer_size, room))
            if not chunk:
                ending = "eof"
                break
            if tap is not None:
                tap(chunk)
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
        refusal = Refusal("splice", "one end is a stream of the event loop")
        reports = tuple(sink.report() for sink in sinks)
        elapsed = time.perf_counter() - started
        return PumpReport(
            source.bytes, discarded, ending, "event loop", (refusal,), source.blocked, elapsed, reports  # type: ignore[arg-type]
        )
