"""Iterators over batches of lines."""

from __future__ import annotations

import errno
import time
from inspect import isawaitable
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

from ottava.errors import InternalError, StreamError
from ottava.streams import _run, _split
from ottava.streams._asyncio import IN_LOOP, AsyncReader, AsyncWriter, Reading, Writing, has_descriptor
from ottava.streams._backend import backend
from ottava.streams._ends import FileLike, descriptor, descriptors
from ottava.streams._job import LineSettings
from ottava.streams._reports import LineBlob, LinesReport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from types import TracebackType

    from ottava.streams._job import LineJob

__all__ = ["AsyncLines", "Lines", "each_line", "each_line_sync", "lines", "lines_sync"]

Batch = TypeVar("Batch")


class _Batches:
    """A job that is closed once, and its report."""

    def __init__(self, job: LineJob | StreamLineJob) -> None:
        self._job = job
        self._report: LinesReport | None = None
        self._closed = False

    @property
    def report(self) -> LinesReport | None:
        """What was done, once the end was reached."""
        return self._report

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, (StopIteration, StopAsyncIteration)):
            self._report = self._job.report()
        self._end()

    def _end(self) -> None:
        self._closed = True
        self._job.close()

    def __del__(self) -> None:
        if hasattr(self, "_job"):
            self._job.close()


class Lines(_Batches, Generic[Batch]):
    """Batches of lines for a `for` loop. Close it, use it in a `with`, or read it to the end."""

    _job: LineJob

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._closed:
            raise StopIteration
        try:
            # Short waits: Python's signal handlers run between them.
            while (batch := self._job.next(_run.TICK)) is None:
                pass
        except BaseException as error:
            if self._closed and isinstance(error, StreamError) and error.errno == errno.ECANCELED:
                # Closed by another thread meanwhile.
                raise StopIteration from None
            self._fail(error)
            raise
        return batch  # type: ignore[return-value]

    def close(self) -> None:
        """Stops the reading. What was read ahead is lost."""
        self._end()

    def __enter__(self) -> Lines[Batch]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()


class AsyncLines(_Batches, Generic[Batch]):
    """Batches of lines for an `async for` loop. Close it, use it in an `async with`, or read it to the end."""

    def __init__(self, job: LineJob | StreamLineJob) -> None:
        super().__init__(job)
        self._turns = _run.Turns()

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self

    async def __anext__(self) -> Batch:
        if self._closed:
            raise StopAsyncIteration
        # A cancellation loses nothing, here or below: the next call goes on from there.
        await self._turns.give_way()
        job = self._job
        try:
            batch: Any
            if isinstance(job, StreamLineJob):
                batch = await job.next_async()
            else:
                while (batch := job.next(0)) is None:
                    await _run.readable(job.fileno())
        except Exception as error:
            self._fail(error)
            if isinstance(error, StopIteration):
                raise StopAsyncIteration from None
            raise
        return batch  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Stops the reading. What was read ahead is lost."""
        self._end()

    async def __aenter__(self) -> AsyncLines[Batch]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()


class StreamLineJob:
    """Lines of a stream of the event loop, read when they are asked for."""

    def __init__(self, reader: AsyncReader, tee: Sequence[AsyncWriter], settings: LineSettings) -> None:
        self._settings = settings
        self._error: BaseException | None = None
        self._lines = 0
        self._ended = False
        self._started = time.perf_counter()
        self._elapsed = 0.0
        self._reading = Reading(reader)
        self._sinks: list[Writing] = []
        try:
            for index, writer in enumerate(tee):
                self._sinks.append(Writing(writer, f"tee[{index}]"))
        except BaseException:
            self.close()
            raise
        self._splitter = _split.Splitter(self._reading.number, settings.max_line)

    async def next_async(self) -> list[str] | LineBlob:
        """The next batch. Raises `StopAsyncIteration` at the end."""
        while True:
            if self._error is not None:
                raise self._error
            if self._ended:
                self._elapsed = time.perf_counter() - self._started
                raise StopAsyncIteration
            chunk = await self._reading.read(self._settings.buffer_size)
            try:
                for sink in self._sinks:
                    await sink.offer(chunk)
            except BaseException:
                # Which of the writers have it, and how much of it, is not known any more.
                self._error = StreamError(errno.ECANCELED, f"cancelled after {self._reading.bytes} bytes")
                raise
            self._ended = not chunk
            lines = self._splitter.push(chunk) if chunk else self._splitter.finish()
            batch: list[str] | LineBlob = []
            if lines and self._settings.blob:
                batch = _split.blob(lines)
            elif lines:
                batch, self._error = _split.decode(lines, self._settings.encoding, self._settings.errors)
            self._lines += len(batch)
            if self._splitter.too_long and self._error is None:
                self._error = self._splitter.error(self._lines)
            if len(batch):
                return batch

    def report(self) -> LinesReport | None:
        """What was done, once the end was reached."""
        if not self._ended:
            return None
        sinks = tuple(sink.report() for sink in self._sinks)
        return LinesReport(
            self._lines, self._reading.bytes, self._reading.blocked, self._elapsed, sinks, "event loop", (IN_LOOP,)
        )

    def close(self) -> None:
        """Lets go of the reader, which stays open."""
        self._reading.close()
        for sink in self._sinks:
            sink.close()


@overload
def lines_sync(
    reader: FileLike,
    *,
    blob: Literal[False] = ...,
    encoding: str = ...,
    errors: str = ...,
    max_line: int = ...,
    tee: Sequence[FileLike] = ...,
    buffer_size: int = ...,
    pipe_size: int = ...,
) -> Lines[list[str]]: ...


@overload
def lines_sync(
    reader: FileLike,
    *,
    blob: Literal[True],
    max_line: int = ...,
    tee: Sequence[FileLike] = ...,
    buffer_size: int = ...,
    pipe_size: int = ...,
) -> Lines[LineBlob]: ...


def lines_sync(
    reader: FileLike,
    *,
    blob: bool = False,
    encoding: str = "utf-8",
    errors: str = "strict",
    max_line: int = 64 << 20,
    tee: Sequence[FileLike] = (),
    buffer_size: int = 256 << 10,
    pipe_size: int = 1 << 20,
) -> Lines[list[str]] | Lines[LineBlob]:
    """The lines of `reader`, in batches: `for batch in lines_sync(reader): for line in batch: ...`.

    A batch is what arrived together: a list of text without line endings, or, with `blob`, a `LineBlob` of bytes and spans,
    which makes no object per line. A line ends with LF, CRLF or a lone CR, also where CR and LF arrive apart; the last one
    needs no ending. `max_line` is the most bytes one line may have.

    `encoding` must write line endings as ASCII does. A line that cannot be decoded raises after all lines before it were
    passed on. A thread reads a few batches ahead; what it has read when the iterator is closed is lost to the reader,
    which stays open. Every one of `tee` gets every byte.

    Raises `LineTooLongError`, `UnicodeDecodeError`, `StreamOptionError`, `StreamReadError`.
    """
    settings = LineSettings(encoding, errors, blob, max_line, buffer_size, pipe_size)
    return Lines(backend().lines(descriptor(reader, "reader"), descriptors(tee, "tee"), settings))


@overload
def lines(
    reader: AsyncReader,
    *,
    blob: Literal[False] = ...,
    encoding: str = ...,
    errors: str = ...,
    max_line: int = ...,
    tee: Sequence[AsyncWriter] = ...,
    buffer_size: int = ...,
    pipe_size: int = ...,
) -> AsyncLines[list[str]]: ...


@overload
def lines(
    reader: AsyncReader,
    *,
    blob: Literal[True],
    max_line: int = ...,
    tee: Sequence[AsyncWriter] = ...,
    buffer_size: int = ...,
    pipe_size: int = ...,
) -> AsyncLines[LineBlob]: ...


def lines(
    reader: AsyncReader,
    *,
    blob: bool = False,
    encoding: str = "utf-8",
    errors: str = "strict",
    max_line: int = 64 << 20,
    tee: Sequence[AsyncWriter] = (),
    buffer_size: int = 256 << 10,
    pipe_size: int = 1 << 20,
) -> AsyncLines[list[str]] | AsyncLines[LineBlob]:
    """As `lines_sync`, for `async for batch in lines(reader)`; with streams of the event loop as `pump` takes them.

    A cancellation of the wait for a batch loses nothing: the next one takes up where it was, unless bytes were on their
    way to a stream in `tee`, where it raises `StreamError`. Close what you do not read on.
    """
    settings = LineSettings(encoding, errors, blob, max_line, buffer_size, pipe_size)
    if not all(map(has_descriptor, (reader, *tee))):
        return AsyncLines(StreamLineJob(reader, tee, settings))
    writers = descriptors(cast("Sequence[FileLike]", tee), "tee")
    return AsyncLines(backend().lines(descriptor(cast("FileLike", reader), "reader"), writers, settings))


def each_line_sync(
    reader: FileLike,
    on_line: Callable[[str], object],
    *,
    encoding: str = "utf-8",
    errors: str = "strict",
    max_line: int = 64 << 20,
    tee: Sequence[FileLike] = (),
    buffer_size: int = 256 << 10,
    pipe_size: int = 1 << 20,
) -> LinesReport:
    """Calls `on_line` with each line of `reader`, one at a time. What it raises ends the reading.

    A call per line costs as much as the line itself: where speed matters, take batches from `lines_sync`, whose arguments
    these are.
    """
    with lines_sync(
        reader,
        encoding=encoding,
        errors=errors,
        max_line=max_line,
        tee=tee,
        buffer_size=buffer_size,
        pipe_size=pipe_size,
    ) as batches:
        for batch in batches:
            for line in batch:
                on_line(line)
    return _ended(batches.report)


async def each_line(
    reader: AsyncReader,
    on_line: Callable[[str], object],
    *,
    encoding: str = "utf-8",
    errors: str = "strict",
    max_line: int = 64 << 20,
    tee: Sequence[AsyncWriter] = (),
    buffer_size: int = 256 << 10,
    pipe_size: int = 1 << 20,
) -> LinesReport:
    """As `each_line_sync`, to be awaited; a coroutine that `on_line` returns is awaited before the next line.

    Others in the event loop have their turns between the lines, and a cancellation is heard there.
    """
    turns = _run.Turns()
    # As many lines without a look at the clock, which costs as much as a line, as take less than a turn.
    stride = 1
    async with lines(
        reader,
        encoding=encoding,
        errors=errors,
        max_line=max_line,
        tee=tee,
        buffer_size=buffer_size,
        pipe_size=pipe_size,
    ) as batches:
        async for batch in batches:
            rest = iter(batch)
            while some := list(islice(rest, stride)):
                for line in some:
                    result = on_line(line)
                    if isawaitable(result):
                        await result
                stride = 1 if await turns.give_way() else min(2 * stride, 1024)
    return _ended(batches.report)


def _ended(report: LinesReport | None) -> LinesReport:
    if report is None:  # pragma: no cover - the loop above ends by exhaustion or by an exception
        raise InternalError("the end of the lines left no report")
    return report
