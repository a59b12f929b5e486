"""The native backend: results of `ottava._native` in the types that users see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from ottava import _native
from ottava.streams._reports import Consumed, LineBlob, LinesReport, PumpReport, Refusal, SinkReport
from ottava.streams._signals import sigpipe_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ottava.streams._job import LineSettings, Settings

__all__ = ["BACKEND"]

if not hasattr(_native, "stream_pump"):  # pragma: no cover - Windows
    raise ImportError("the native module has no streams on this system")

Result = TypeVar("Result")


def sinks(raw: Sequence[tuple[int, int | None, float]]) -> tuple[SinkReport, ...]:
    return tuple(SinkReport(*sink) for sink in raw)


class _Job(Generic[Result]):
    def __init__(self, job: _native.StreamJob, convert: Callable[..., Result]) -> None:
        self._job = job
        self._convert = convert
        self.fileno = job.fileno
        self.cancel = job.cancel
        self.progress = job.progress
        self.wait = job.wait
        self.close = job.close

    def result(self) -> Result:
        return self._convert(*self._job.result())


class _LineJob:
    def __init__(self, job: _native.StreamLines, blob: bool) -> None:
        self._job = job
        self._blob = blob
        self.fileno = job.fileno
        self.close = job.close

    def next(self, seconds: float) -> list[str] | LineBlob | None:
        batch: Any = self._job.next(seconds)
        if batch is None or not self._blob:
            return batch  # type: ignore[no-any-return]
        return LineBlob(*batch)

    def report(self) -> LinesReport | None:
        raw = self._job.report()
        return None if raw is None else LinesReport(*raw[:4], sinks(raw[4]))


class _Rust:
    name = "rust"

    def pump(self, reader: int, writers: Sequence[int], settings: Settings) -> _Job[PumpReport]:
        with sigpipe_blocked():
            job = _native.stream_pump(
                reader,
                list(writers),
                buffer_size=settings.buffer_size,
                pipe_size=settings.pipe_size,
                drain=settings.drain,
                limit=settings.limit,
                allow_aliasing=settings.allow_aliasing,
                in_kernel=settings.in_kernel,
            )
        return _Job(job, _pumped)

    def consume(
        self, reader: int, writers: Sequence[int], settings: Settings, errors: str | None
    ) -> _Job[Consumed[bytes] | Consumed[str]]:
        with sigpipe_blocked():
            job = _native.stream_consume(
                reader,
                list(writers),
                errors=errors,
                buffer_size=settings.buffer_size,
                pipe_size=settings.pipe_size,
                limit=settings.limit,
            )
        return _Job(job, _consumed)

    def count_lines(self, reader: int, settings: Settings) -> _Job[LinesReport]:
        job = _native.stream_count_lines(reader, buffer_size=settings.buffer_size, pipe_size=settings.pipe_size)
        return _Job(job, _counted)

    def lines(self, reader: int, writers: Sequence[int], settings: LineSettings) -> _LineJob:
        with sigpipe_blocked():
            job = _native.stream_lines(
                reader,
                list(writers),
                encoding=settings.encoding,
                errors=settings.errors,
                blob=settings.blob,
                max_line=settings.max_line,
                buffer_size=settings.buffer_size,
                pipe_size=settings.pipe_size,
            )
        return _LineJob(job, settings.blob)


def _pumped(
    bytes: int,
    discarded: int,
    ending: Any,
    way: str,
    refused: list[tuple[str, str]],
    read_blocked: float,
    elapsed: float,
    raw: list[tuple[int, int | None, float]],
) -> PumpReport:
    reasons = tuple(Refusal(*refusal) for refusal in refused)
    return PumpReport(bytes, discarded, ending, way, reasons, read_blocked, elapsed, sinks(raw))


def _consumed(
    data: Any, count: int, read_blocked: float, elapsed: float, raw: list[tuple[int, int | None, float]]
) -> Consumed[bytes] | Consumed[str]:
    return Consumed(data, count, read_blocked, elapsed, sinks(raw))


def _counted(lines: int, bytes: int, read_blocked: float, elapsed: float) -> LinesReport:
    return LinesReport(lines, bytes, read_blocked, elapsed, ())


BACKEND = _Rust()
