"""Pumping and consuming: what moves whole streams."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast, overload

from ottava.errors import StreamLimitError
from ottava.streams import _run
from ottava.streams._asyncio import AsyncReader, AsyncWriter, close_end, has_descriptor, pump_streams
from ottava.streams._backend import backend
from ottava.streams._ends import FileLike, close, descriptor, descriptors, identity
from ottava.streams._job import Settings, check_encoding
from ottava.streams._reports import Consumed, LinesReport, PumpReport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["consume", "consume_sync", "count_lines", "count_lines_sync", "pump", "pump_sync"]


def pump_sync(
    reader: FileLike,
    writer: FileLike,
    *,
    drain: bool = False,
    tee: Sequence[FileLike] = (),
    limit: int | None = None,
    on_progress: Callable[[int], object] | None = None,
    timeout: float | None = None,
    close_writer: bool = False,
    buffer_size: int = 256 << 10,
    pipe_size: int = 1 << 20,
    allow_aliasing: bool = False,
    in_kernel: bool = True,
) -> PumpReport:
    """Copies `reader` to `writer`, and to every one of `tee`, until the end of file.

    The slowest writer sets the pace. A writer whose other end is gone ends the pump without an exception: the reader is
    closed (through its own `close` if it has one, and not if it is a number that another thread has given to another file),
    so that its producer learns of it, unless `drain` asks to read the rest and drop it. With `tee`, a writer that is gone
    or fails is reported, and the others go on until none is left.

    Descriptors keep their mode and stay open, but for that case and `close_writer`, which closes `writer` at the end, also if
    that is an exception. A file of Python that was read from gives what comes next, text files included, if it can seek;
    what others (a pipe) have buffered cannot be seen and is lost: do not read from them before.

    `limit`: stops after this many bytes. `on_progress` is called with the bytes so far, at most twenty times a second, and
    at the end. `timeout`: seconds until `TimeoutError`, which 0 or less raises before a byte is moved. `buffer_size`: bytes
    of the buffer where the kernel cannot move the bytes itself, 1 to 64 MiB. `pipe_size`: bytes that pipes at either end
    are enlarged to, where the system lets us; 0 leaves them. `allow_aliasing`: lets the kernel hand out pages of a regular
    file instead of copies, so that whoever writes to the file next changes bytes still on their way. `in_kernel=False`
    forces `read` and `write`.

    Signal handlers run while this waits; what they raise (`KeyboardInterrupt`) ends the pump.

    Raises `StreamReadError`, `StreamWriteError`, `StreamError`, `StreamOptionError`, `TimeoutError`.
    """
    try:
        settings = Settings(buffer_size, pipe_size, drain, limit, allow_aliasing, in_kernel)
        writers = [descriptor(writer, "writer"), *descriptors(tee, "tee")]
        fd, before = descriptor(reader, "reader"), identity(reader)
        report = _run.run(lambda: backend().pump(fd, writers, settings), on_progress, timeout)
    except BaseException:
        if close_writer:
            # What ended the pump says more than what the close might say.
            with suppress(OSError):
                close(writer)
        raise
    if close_writer:
        close(writer)
    if report.ending == "writer-gone" and identity(reader) == before:
        close(reader)
    return report


async def pump(
    reader: AsyncReader,
    writer: AsyncWriter,
    *,
    drain: bool = False,
    tee: Sequence[AsyncWriter] = (),
    limit: int | None = None,
    on_progress: Callable[[int], object] | None = None,
    close_writer: bool = False,
    buffer_size: int = 256 << 10,
    pipe_size: int = 1 << 20,
    allow_aliasing: bool = False,
    in_kernel: bool = True,
) -> PumpReport:
    """As `pump_sync`, to be awaited under asyncio, uvloop, trio, or anyio.

    Either end, and every one of `tee`, may also be a stream of the event loop: asyncio's `StreamReader` and
    `StreamWriter`, a trio stream, an anyio byte stream. The bytes then pass through the event loop, those that such a
    reader has buffered already first of all. On Linux a descriptor among the writers whose other end goes is noticed also
    while the reader is quiet; a stream only when it is written to. A stream of asyncio writes by itself, and is not kept from
    SIGPIPE where a program gave that its default back.

    A cancellation ends the pump at once.
    """
    before = identity(reader)
    try:
        settings = Settings(buffer_size, pipe_size, drain, limit, allow_aliasing, in_kernel)
        if all(map(has_descriptor, (reader, writer, *tee))):
            writers = [
                descriptor(cast("FileLike", writer), "writer"),
                *descriptors(cast("Sequence[FileLike]", tee), "tee"),
            ]
            job = backend().pump(descriptor(cast("FileLike", reader), "reader"), writers, settings)
            report = await _run.run_async(job, on_progress)
        else:
            report = await pump_streams(reader, (writer, *tee), settings, on_progress)
    except BaseException:
        if close_writer:
            with suppress(OSError):
                await close_end(writer)
        raise
    if close_writer:
        await close_end(writer)
    if report.ending == "writer-gone" and identity(reader) == before:
        await close_end(reader)
    return report


@overload
def consume_sync(
    reader: FileLike,
    encoding: None,
    errors: str = ...,
    limit: int | None = ...,
    *,
    tee: Sequence[FileLike] = ...,
    on_progress: Callable[[int], object] | None = ...,
    timeout: float | None = ...,
    buffer_size: int = ...,
    pipe_size: int = ...,
) -> Consumed[bytes]: ...


@overload
def consume_sync(
    reader: FileLike,
    encoding: str = ...,
    errors: str = ...,
    limit: int | None = ...,
    *,
    tee: Sequence[FileLike] = ...,
    on_progress: Callable[[int], object] | None = ...,
    timeout: float | None = ...,
    buffer_size: int = ...,
    pipe_size: int = ...,
) -> Consumed[str]: ...


def consume_sync(
    reader: FileLike,
    encoding: str | None = "utf-8",
    errors: str = "replace",
    limit: int | None = None,
    *,
    tee: Sequence[FileLike] = (),
    on_progress: Callable[[int], object] | None = None,
    timeout: float | None = None,
    buffer_size: int = 256 << 10,
    pipe_size: int = 1 << 20,
) -> Consumed[str] | Consumed[bytes]:
    """Reads `reader` to its end: text, or bytes with `encoding=None`.

    Bytes are decoded as `bytes.decode(encoding, errors)` does; an encoding or error handler that does not exist is refused
    before anything is read. `limit` is the most bytes that are accepted; one more is
    an error, since a part would pass for the whole. Every one of `tee` gets every byte; one that is gone or fails is
    reported, and the reading goes on. `reader` stays open. The other arguments are those of `pump_sync`.

    Raises `StreamLimitError`, `UnicodeDecodeError`, and what `pump_sync` raises.
    """
    settings = Settings(buffer_size, pipe_size, limit=limit)
    errors_in_utf8 = _errors_in_utf8(encoding, errors)
    fd, writers = descriptor(reader, "reader"), descriptors(tee, "tee")
    consumed = _run.run(lambda: backend().consume(fd, writers, settings, errors_in_utf8), on_progress, timeout)
    return _decoded(consumed, encoding, errors)


@overload
async def consume(
    reader: AsyncReader,
    encoding: None,
    errors: str = ...,
    limit: int | None = ...,
    *,
    tee: Sequence[AsyncWriter] = ...,
    on_progress: Callable[[int], object] | None = ...,
    buffer_size: int = ...,
    pipe_size: int = ...,
) -> Consumed[bytes]: ...


@overload
async def consume(
    reader: AsyncReader,
    encoding: str = ...,
    errors: str = ...,
    limit: int | None = ...,
    *,
    tee: Sequence[AsyncWriter] = ...,
    on_progress: Callable[[int], object] | None = ...,
    buffer_size: int = ...,
    pipe_size: int = ...,
) -> Consumed[str]: ...


async def consume(
    reader: AsyncReader,
    encoding: str | None = "utf-8",
    errors: str = "replace",
    limit: int | None = None,
    *,
    tee: Sequence[AsyncWriter] = (),
    on_progress: Callable[[int], object] | None = None,
    buffer_size: int = 256 << 10,
    pipe_size: int = 1 << 20,
) -> Consumed[str] | Consumed[bytes]:
    """As `consume_sync`, to be awaited; with streams of the event loop as `pump` takes them."""
    settings = Settings(buffer_size, pipe_size, limit=limit)
    errors_in_utf8 = _errors_in_utf8(encoding, errors)
    if all(map(has_descriptor, (reader, *tee))):
        writers = descriptors(cast("Sequence[FileLike]", tee), "tee")
        fd = descriptor(cast("FileLike", reader), "reader")
        job = backend().consume(fd, writers, settings, errors_in_utf8)
        return _decoded(await _run.run_async(job, on_progress), encoding, errors)
    chunks: list[bytes] = []
    count = 0

    def tap(chunk: bytes, fd: int | None) -> None:
        nonlocal count
        count += len(chunk)
        if limit is not None and count > limit:
            raise StreamLimitError(fd, limit)
        chunks.append(chunk)

    open_ended = Settings(buffer_size, pipe_size, drain=True)
    report = await pump_streams(reader, tee, open_ended, on_progress, tap)
    data = b"".join(chunks)
    consumed = Consumed(
        data, len(data), report.read_blocked, report.elapsed, report.sinks, report.way, report.refused
    )
    return _decoded(consumed, encoding, errors)


def _errors_in_utf8(encoding: str | None, errors: str) -> str | None:
    """The error handler, if the encoding is UTF-8, which a backend may decode by itself."""
    return errors if encoding is not None and check_encoding(encoding, errors) == "utf-8" else None


def _decoded(
    consumed: Consumed[bytes] | Consumed[str], encoding: str | None, errors: str
) -> Consumed[str] | Consumed[bytes]:
    if encoding is None or not isinstance(consumed.data, bytes):
        return consumed
    text = consumed.data.decode(encoding, errors)
    return Consumed(
        text,
        consumed.bytes,
        consumed.read_blocked,
        consumed.elapsed,
        consumed.sinks,
        consumed.way,
        consumed.refused,
    )


def count_lines_sync(
    reader: FileLike,
    *,
    on_progress: Callable[[int], object] | None = None,
    timeout: float | None = None,
    buffer_size: int = 256 << 10,
    pipe_size: int = 1 << 20,
) -> LinesReport:
    """Counts the lines of `reader`, as `lines_sync` would split them, without making any. `reader` stays open.

    Raises what `pump_sync` raises for its reader.
    """
    fd, settings = descriptor(reader, "reader"), Settings(buffer_size, pipe_size)
    return _run.run(lambda: backend().count_lines(fd, settings), on_progress, timeout)


async def count_lines(
    reader: FileLike,
    *,
    on_progress: Callable[[int], object] | None = None,
    buffer_size: int = 256 << 10,
    pipe_size: int = 1 << 20,
) -> LinesReport:
    """As `count_lines_sync`, to be awaited."""
    job = backend().count_lines(descriptor(reader, "reader"), Settings(buffer_size, pipe_size))
    return await _run.run_async(job, on_progress)
