"""What a stream operation did, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Consumed", "Ending", "LineBlob", "LinesReport", "PumpReport", "Refusal", "SinkReport"]

Ending = Literal["eof", "writer-gone", "limit"]

Payload = TypeVar("Payload", bytes, str)


@dataclass(frozen=True)
class Refusal:
    """A faster way that was not taken, and why."""

    way: str
    why: str


@dataclass(frozen=True)
class SinkReport:
    """What one writer got: `bytes` accepted, the `errno` with which it stopped if it did, seconds spent waiting for it."""

    bytes: int
    gone: int | None
    blocked: float


@dataclass(frozen=True)
class PumpReport:
    """What a pump did."""

    bytes: int
    """Bytes taken from the reader, the discarded ones included."""
    discarded: int
    """Bytes taken from the reader that no writer accepted."""
    ending: Ending
    """Why it stopped: the reader's end, every writer gone, or the limit."""
    way: str
    """How the bytes travelled: "splice", "tee", "sendfile", "copy_file_range", "read/write" or "event loop"."""
    refused: tuple[Refusal, ...]
    """Faster ways that were not taken."""
    read_blocked: float
    """Seconds spent waiting for the reader."""
    elapsed: float
    """Seconds in all."""
    sinks: tuple[SinkReport, ...]
    """One per writer: the writer itself first, then those of `tee`."""

    @property
    def write_blocked(self) -> float:
        """Seconds spent waiting for the writer."""
        return self.sinks[0].blocked if self.sinks else 0.0


WANTED = Refusal("splice", "the bytes are wanted here")


@dataclass(frozen=True)
class Consumed(Generic[Payload]):
    """Everything a reader had to give, and how it went."""

    data: Payload
    """The bytes, or the text if an encoding was given."""
    bytes: int
    """Bytes taken from the reader."""
    read_blocked: float
    """Seconds spent waiting for the reader."""
    elapsed: float
    """Seconds in all."""
    sinks: tuple[SinkReport, ...]
    """One per writer of `tee`."""
    way: str = "read/write"
    """How the bytes travelled: "read/write" or "event loop"."""
    refused: tuple[Refusal, ...] = (WANTED,)
    """Faster ways that were not taken."""


@dataclass(frozen=True)
class LinesReport:
    """What a line reader did."""

    lines: int
    """Lines passed on."""
    bytes: int
    """Bytes taken from the reader, line endings included."""
    read_blocked: float
    """Seconds spent waiting for the reader."""
    elapsed: float
    """Seconds in all."""
    sinks: tuple[SinkReport, ...]
    """One per writer of `tee`."""
    way: str = "read/write"
    """How the bytes travelled: "read/write" or "event loop"."""
    refused: tuple[Refusal, ...] = (WANTED,)
    """Faster ways that were not taken."""


@dataclass(frozen=True, eq=False)
class LineBlob:
    """Lines as one block of bytes, for code that wants no object per line."""

    data: bytes
    """The bytes, line endings included."""
    spans: npt.NDArray[np.int64]
    """Shape (n, 2): where in `data` each line starts and ends, without its ending."""

    def __len__(self) -> int:
        return len(self.spans)

    def lines(self) -> list[bytes]:
        """The lines, one object each."""
        return [self.data[start:end] for start, end in self.spans.tolist()]
