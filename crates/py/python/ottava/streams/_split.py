"""Lines out of chunks (pure Python): what `crates/streams/src/lines.rs` does natively."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottava.errors import LineTooLongError
from ottava.streams._reports import LineBlob

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Splitter", "blob", "count_endings", "decode"]

HANDLERS = frozenset({"strict", "ignore", "replace", "backslashreplace", "surrogateescape", "surrogatepass"})
"""Python's own error handlers, which turn bytes that are no UTF-8 into no line ending."""


class Splitter:
    """Collects chunks, and gives back the lines that they complete. Linear, also for one very long line."""

    def __init__(self, fd: int | None, max_line: int) -> None:
        self.too_long = False
        """A line was longer than `max_line`; all lines before it were given back."""
        self._fd = fd
        self._max_line = max_line
        self._pieces: list[bytes] = []
        self._held = 0
        self._after_cr = False

    def push(self, chunk: bytes) -> bytes:
        """Takes `chunk`; returns complete lines with their endings, or nothing."""
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        cut = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        if cut == 0:
            self._hold(chunk)
            return b""
        self._after_cr = chunk[cut - 1 : cut] == b"\r" and cut == len(chunk)
        self._pieces.append(chunk[:cut])
        complete = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        if len(complete) > self._max_line:
            complete = self._cut_at_long(complete)
        if not self.too_long:
            self._hold(chunk[cut:])
        return complete

    def finish(self) -> bytes:
        """The last line, if it has no ending."""
        rest = b"".join(self._pieces)
        self._pieces.clear()
        return rest

    def error(self, lines: int) -> LineTooLongError:
        """What to raise after `lines` lines were passed on."""
        return LineTooLongError(self._fd, lines, self._max_line)

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._held += len(piece)
        self.too_long = self._held > self._max_line

    def _cut_at_long(self, complete: bytes) -> bytes:
        start = 0
        for line in complete.splitlines(keepends=True):
            if len(line.rstrip(b"\r\n")) > self._max_line:
                self.too_long = True
                return complete[:start]
            start += len(line)
        return complete


def count_endings(chunk: bytes, last: bytes) -> int:
    """Line endings in `chunk`, where the byte before it was `last`."""
    count = chunk.count(b"\n")
    if b"\r" in chunk:
        count += chunk.count(b"\r") - chunk.count(b"\r\n")
    return count - (last == b"\r" and chunk[:1] == b"\n")


def decode(lines: bytes, encoding: str, errors: str) -> tuple[list[str], Exception | None]:
    """The lines as text without their endings, up to the first that cannot be decoded, and its error."""
    ended = lines[-1:] in (b"\n", b"\r")
    if b"\r" in lines:
        lines = lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if ended:
        lines = lines[:-1]
    # Each line is decoded by itself; all at once is the same, and faster, if no error handler can make or take an ending.
    at_once = errors if encoding == "utf-8" and errors in HANDLERS else "strict"
    try:
        decoded = lines.decode(encoding, at_once).split("\n")
    except UnicodeDecodeError:
        return _decode_each(lines.split(b"\n"), encoding, errors)
    if len(decoded) != lines.count(b"\n") + 1:
        return _decode_each(lines.split(b"\n"), encoding, errors)
    return decoded, None


def _decode_each(lines: list[bytes], encoding: str, errors: str) -> tuple[list[str], Exception | None]:
    decoded: list[str] = []
    for line in lines:
        try:
            decoded.append(line.decode(encoding, errors))
        except Exception as error:
            # A UnicodeDecodeError, or what an error handler raises.
            return decoded, error
    return decoded, None


def blob(lines: bytes) -> LineBlob:
    """The lines as one block of bytes and their spans."""
    import numpy as np

    data = np.frombuffer(lines, dtype=np.uint8)
    feeds = data == 0x0A
    if b"\r" in lines:
        returns = data == 0x0D
        second = np.zeros(len(data) + 1, dtype=np.bool_)
        second[1:-1] = feeds[1:] & returns[:-1]
        ends = np.flatnonzero((feeds | returns) & ~second[:-1])
        after = ends + 1 + second[ends + 1]
    else:
        ends = np.flatnonzero(feeds)
        after = ends + 1
    spans: npt.NDArray[np.int64]
    if not len(lines) or lines[-1:] in (b"\n", b"\r"):
        spans = np.empty((len(ends), 2), dtype=np.int64)
    else:
        spans = np.empty((len(ends) + 1, 2), dtype=np.int64)
        spans[-1, 1] = len(data)
    spans[: len(ends), 1] = ends
    spans[0:1, 0] = 0
    spans[1:, 0] = after[: len(spans) - 1]
    return LineBlob(lines, spans)
