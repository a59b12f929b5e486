"""What both backends offer: operations that run in a thread of their own, their end announced on a descriptor."""

from __future__ import annotations

import codecs
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from ottava.errors import StreamOptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottava.streams._reports import Consumed, LineBlob, LinesReport, PumpReport

__all__ = ["Backend", "Job", "LineJob", "LineSettings", "Settings", "check_encoding"]

Result_co = TypeVar("Result_co", covariant=True)

MAX_BUFFER = 64 << 20
MAX_PIPE = (1 << 31) - 1


@dataclass(frozen=True)
class Settings:
    """How to move bytes; every field is explained at `ottava.streams.pump_sync`."""

    buffer_size: int = 256 << 10
    pipe_size: int = 1 << 20
    drain: bool = False
    limit: int | None = None
    allow_aliasing: bool = False
    in_kernel: bool = True

    def __post_init__(self) -> None:
        _check("buffer_size", self.buffer_size, 1, MAX_BUFFER)
        _check("pipe_size", self.pipe_size, 0, MAX_PIPE)
        if self.limit is not None:
            _check("limit", self.limit, 0, (1 << 64) - 1)
        for option in ("drain", "allow_aliasing", "in_kernel"):
            _check_switch(option, getattr(self, option))


@dataclass(frozen=True)
class LineSettings:
    """How to read lines; every field is explained at `ottava.streams.lines_sync`."""

    encoding: str = "utf-8"
    errors: str = "strict"
    blob: bool = False
    max_line: int = 64 << 20
    buffer_size: int = 256 << 10
    pipe_size: int = 1 << 20

    def __post_init__(self) -> None:
        _check("buffer_size", self.buffer_size, 1, MAX_BUFFER)
        _check("pipe_size", self.pipe_size, 0, MAX_PIPE)
        _check("max_line", self.max_line, 0, sys.maxsize)
        _check_switch("blob", self.blob)
        if _check_lines_encoding(self.encoding, self.errors) == "utf-8":
            # The fast path of both backends goes by this name.
            object.__setattr__(self, "encoding", "utf-8")


def _check(option: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise StreamOptionError(f"{option} is {value!r}, not an integer")
    if not least <= value <= most:
        # Python shows no number of thousands of digits.
        shown = value if abs(value) < 1 << 1000 else f"an integer of {value.bit_length()} bits"
        raise StreamOptionError(f"{option} is {shown}, not between {least} and {most}")


def _check_switch(option: str, value: object) -> None:
    if not isinstance(value, bool):
        raise StreamOptionError(f"{option} is {value!r}, not True or False")


def check_encoding(encoding: str, errors: str) -> str:
    """Python's own name of the encoding, which must be one of text. So must be the error handler."""
    for option, value in (("encoding", encoding), ("errors", errors)):
        if not isinstance(value, str):
            raise StreamOptionError(f"{option} is {value!r}, not a string")
    try:
        codec = codecs.lookup(encoding)
        codecs.lookup_error(errors)
    except (LookupError, ValueError) as error:
        # A zero character is a ValueError.
        raise StreamOptionError(f"encoding is {encoding!r} with errors {errors!r}: {error}") from None
    if not getattr(codec, "_is_text_encoding", True):
        raise StreamOptionError(f"encoding is {encoding!r}, which is not one of text")
    return codec.name


def _check_lines_encoding(encoding: str, errors: str) -> str:
    """Lines are split before they are decoded, so the encoding must write their endings as ASCII does."""
    name = check_encoding(encoding, errors)
    try:
        ascii_endings = "\r\n".encode(name) == b"\r\n"
    except UnicodeError:
        ascii_endings = False
    if name.startswith(("utf-7", "iso2022", "hz")) or not ascii_endings:
        raise StreamOptionError(f"encoding is {encoding!r}, whose line endings are not those of ASCII")
    return name


class Job(Protocol[Result_co]):
    """An operation under way. Close it, whatever happens.

    In a forked process it is none of ours: cancelling and closing it do nothing there, all else is a `StreamError`.
    """

    def fileno(self) -> int:
        """A descriptor that is readable once the job is over; -1 if it was over at once, or is closed."""

    def cancel(self) -> None:
        """Asks the job to stop, and does not wait for it."""

    def progress(self) -> int:
        """Bytes taken from the reader so far."""

    def wait(self, seconds: float) -> bool:
        """Waits for at most `seconds`; whether the job is over. Returns early if a signal comes."""

    def result(self) -> Result_co:
        """What the job came to; raises what ended it."""

    def close(self) -> None:
        """Cancels the job if it still runs; returns when its thread and descriptors are gone."""


class LineJob(Protocol):
    """Batches of lines, read ahead by a thread. Close it, whatever happens. In a forked process, as `Job`."""

    def fileno(self) -> int:
        """A descriptor that is readable while a batch, the end or an error waits to be taken; -1 once it is closed."""

    def next(self, seconds: float) -> list[str] | LineBlob | None:
        """The next batch; none if there is none within `seconds`. Raises `StopIteration` at the end."""

    def report(self) -> LinesReport | None:
        """What was done, once the end was reached."""

    def close(self) -> None:
        """Cancels the reading if it still runs; returns when its thread and descriptors are gone."""


class Backend(Protocol):
    """One of the two ways to do it all."""

    name: str

    def pump(self, reader: int, writers: Sequence[int], settings: Settings) -> Job[PumpReport]:
        """Starts copying `reader` to every one of `writers`."""

    def consume(
        self, reader: int, writers: Sequence[int], settings: Settings, errors: str | None
    ) -> Job[Consumed[bytes] | Consumed[str]]:
        """Starts reading `reader` to its end, copying it to `writers` on the way.

        With `errors`, the bytes may come back as UTF-8 text already.
        """

    def count_lines(self, reader: int, settings: Settings) -> Job[LinesReport]:
        """Starts counting the lines of `reader`."""

    def lines(self, reader: int, writers: Sequence[int], settings: LineSettings) -> LineJob:
        """Starts reading the lines of `reader`, copying it to `writers` on the way."""
