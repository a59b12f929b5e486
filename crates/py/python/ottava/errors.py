"""The exceptions of ottava: one tree, shared by the native and the pure-Python code."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ottava.streams._pipelines import PipelineReport

__all__ = [
    "ArgumentError",
    "DuplicateIdError",
    "DuplicateTokenError",
    "HandoverClosedError",
    "HandoverError",
    "HandoverTimeoutError",
    "HandoverWouldBlockError",
    "HandshakeError",
    "IngestError",
    "InternalError",
    "Issues",
    "LineTooLongError",
    "LockError",
    "OttavaError",
    "PeerGoneError",
    "PipelineError",
    "SchemaMismatchError",
    "SegmentError",
    "SnapshotError",
    "StreamError",
    "StreamLimitError",
    "StreamOptionError",
    "StreamReadError",
    "StreamWriteError",
    "UnknownTokenError",
    "ValidationError",
]


class OttavaError(Exception):
    """Base of every exception that ottava defines."""


class ArgumentError(OttavaError, ValueError):
    """An argument of the wrong shape or value; the message begins with its name."""


class DuplicateTokenError(OttavaError, ValueError):
    """The id of a new token is on the grid already, or twice in the batch."""


class HandoverError(OttavaError):
    """A table could not be handed over: base of the others, and what the system refused."""


class HandoverClosedError(HandoverError):
    """The server, client, segment or table was closed, sent or released."""


class HandoverTimeoutError(HandoverError, TimeoutError):
    """A timeout passed."""


class HandoverWouldBlockError(HandoverError, BlockingIOError):
    """The call would have to wait, and was told not to."""


class HandshakeError(HandoverError, ConnectionError):
    """The token is wrong or spent, or the other end refused the connection and says why."""


class PeerGoneError(HandoverError, ConnectionError):
    """The other process ended or closed the connection."""


class SegmentError(HandoverError, ValueError):
    """What the other process sent is malformed, not sealed, too large, or against the protocol. The connection is closed."""


class InternalError(OttavaError, RuntimeError):
    """A defect of ottava itself (a panic in native code, caught). Please report it."""


class SnapshotError(OttavaError):
    """A file is not a snapshot of a grid, is damaged, or was written by a version that is not understood."""


class IngestError(OttavaError, ValueError):
    """A batch that a store does not take in; nothing of it is in the store.

    `row` counts from 0 through the whole call, `column` is the path of the column (`a.b[]` for the items of the list `b` in the record
    `a`), `value` the refused value as text. Each is `None` where there is none.
    """

    def __init__(
        self, message: str, row: int | None = None, column: str | None = None, value: str | None = None
    ) -> None:
        super().__init__(message)
        self.row = row
        self.column = column
        self.value = value

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.row, self.column, self.value)


class DuplicateIdError(IngestError):
    """The id of a row is in the store already, or in an earlier row of the batch."""


class SchemaMismatchError(IngestError):
    """The columns of a batch do not fit the schema of the store. No row was looked at.

    `mismatches` has `(path, expected, found)` for every field that does not fit.
    """

    def __init__(self, message: str, mismatches: list[tuple[str, str, str]] | None = None) -> None:
        super().__init__(message, column=mismatches[0][0] if mismatches else None)
        self.mismatches = mismatches or []

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.mismatches)


class LockError(OttavaError, ValueError):
    """A schema that cannot be locked, or a lock file that is not as it was written.

    `changes` has the changes that the mode of the lock does not allow, in words.
    """

    def __init__(self, message: str, changes: list[str] | None = None) -> None:
        super().__init__(message)
        self.changes = changes or []

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.changes)


class UnknownTokenError(OttavaError, KeyError):
    """No token of the grid has this id."""

    # KeyError shows the repr of its argument.
    __str__ = Exception.__str__


class StreamError(OttavaError, OSError):
    """A stream operation failed.

    `errno` and `strerror` are as in every `OSError`.
    """

    def __init__(self, errno: int, message: str) -> None:
        super().__init__(errno, message)


def _place(fd: int | None) -> str:
    return "a stream of the event loop" if fd is None else f"fd {fd}"


class StreamReadError(StreamError):
    """A reader could not be read: closed, the wrong end of a pipe, a directory, an I/O error.

    `fd` is the descriptor (`None` for a stream of an event loop) and `bytes` what had been taken from it before.
    """

    def __init__(self, errno: int, fd: int | None, bytes: int) -> None:
        super().__init__(errno, f"cannot read from {_place(fd)} after {bytes} bytes: {os.strerror(errno)}")
        self.fd = fd
        self.bytes = bytes

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errno, self.fd, self.bytes)


class StreamWriteError(StreamError):
    """A writer could not be written, for another reason than that its other end is gone.

    `fd` is the descriptor (`None` for a stream of an event loop) and `bytes` what it had accepted before.
    """

    def __init__(self, errno: int, fd: int | None, bytes: int) -> None:
        super().__init__(errno, f"cannot write to {_place(fd)} after {bytes} bytes: {os.strerror(errno)}")
        self.fd = fd
        self.bytes = bytes

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errno, self.fd, self.bytes)


class StreamLimitError(OttavaError, ValueError):
    """A stream holds more than the caller accepts: `limit` bytes from the descriptor `fd`.

    `fd` is `None` for a stream of an event loop.
    """

    def __init__(self, fd: int | None, limit: int, message: str | None = None) -> None:
        super().__init__(message or f"{_place(fd)} holds more than the limit of {limit} bytes")
        self.fd = fd
        self.limit = limit

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.fd, self.limit)


class LineTooLongError(StreamLimitError):
    """The line with the zero-based number `line` is longer than `limit` bytes."""

    def __init__(self, fd: int | None, line: int, limit: int) -> None:
        super().__init__(fd, limit, f"line {line} of {_place(fd)} is longer than the limit of {limit} bytes")
        self.line = line

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.fd, self.line, self.limit)


class StreamOptionError(OttavaError, ValueError):
    """An option of a stream operation lies outside its range, or its type is none that can be pumped."""


class PipelineError(OttavaError):
    """A stage of a pipeline failed; `report` is the whole `PipelineReport`, captured output included."""

    def __init__(self, report: PipelineReport) -> None:
        failed = [(index, report.stages[index]) for index in report.failed]
        words = ", ".join(f"stage {index} ({stage.command[0]}) with {stage.returncode}" for index, stage in failed)
        super().__init__(f"the pipeline failed: {words}")
        self.report = report

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.report,)


class ValidationError(OttavaError, ValueError):
    """Data that does not fit: every place where it does not, not the first alone.

    `title` is the name of the model. `errors()` gives a dictionary for each issue; `str()` one line for each.
    """

    # The arguments are the title, what holds the issues (a list of dictionaries, or the native list that makes one when asked), and
    # how many more there were than the list of dictionaries has.

    @property
    def title(self) -> str:
        """The name of the model, or of the type that was validated."""
        return str(self.args[0]) if self.args else ""

    def errors(
        self, *, include_url: bool = False, include_context: bool = True, include_input: bool = True
    ) -> list[dict[str, Any]]:
        """All issues, in order: `type`, `loc` (a tuple of names and indices), `msg`, `input`, and `ctx` where there are parameters.

        Of more than 10,000 (of `to_arrow`: 1,000) only the first are kept; `error_count()` counts all.

        `include_url` is accepted for compatibility; there are no URLs.
        """
        held = self.args[1] if len(self.args) > 1 else []
        found: list[dict[str, Any]] = held.errors() if hasattr(held, "errors") else [dict(error) for error in held]
        for error in found:
            if not include_context:
                error.pop("ctx", None)
            if not include_input:
                error.pop("input", None)
        return found

    def error_count(self) -> int:
        """How many issues there are, with those that `errors()` no longer has."""
        return len(self.args[1]) + self._dropped() if len(self.args) > 1 else 0

    def _dropped(self) -> int:
        return int(self.args[2]) if len(self.args) > 2 else getattr(self.args[1], "dropped", 0)

    def json(
        self,
        *,
        indent: int | None = None,
        include_url: bool = False,
        include_context: bool = True,
        include_input: bool = True,
    ) -> str:
        """`errors()` as JSON text; values that JSON does not know are shown by their `repr`."""
        import json

        errors = self.errors(include_url=include_url, include_context=include_context, include_input=include_input)
        return json.dumps(_as_json(errors, set()), indent=indent)

    def __str__(self) -> str:
        errors = self.errors()
        found = self.error_count()
        count = f"{found} error{'' if found == 1 else 's'} in {self.title}"
        lines = [count]
        for error in errors[:_MOST_LINES]:
            place = ".".join(map(str, error["loc"]))
            lines.append(f"  {place or '(value)'}: {error['msg']} [{error['type']}, got {_shown(error.get('input'))}]")
        rest = found - _MOST_LINES
        if rest > 0:
            lines.append(f"  and {rest} more")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"ValidationError({self.title!r}, {self.error_count()} errors)"

    def __reduce__(self) -> tuple[object, ...]:
        dropped = self._dropped() if len(self.args) > 1 else 0
        return type(self), (self.title, self.errors(), *([dropped] if dropped else []))


class Issues(list[dict[str, Any]]):
    """What does not fit, as `ValidationError.errors()` has it, without an exception: what `Schema.issues_json` gives.

    `issues_dropped` says how many issues there were beyond those in the list.
    """

    def __init__(self, issues: Iterable[dict[str, Any]] = (), issues_dropped: int = 0) -> None:
        super().__init__(issues)
        self.issues_dropped = issues_dropped


# Levels of a value that `json()` shows.
_MOST_LEVELS = 200


def _as_json(value: Any, around: set[int]) -> Any:
    """The value with texts for all that JSON does not know. `around` has the containers that the value lies in."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if not isinstance(value, (dict, list, tuple)):
        return _text(value)
    if id(value) in around or len(around) >= _MOST_LEVELS:
        return "..."
    around.add(id(value))
    try:
        if isinstance(value, dict):
            return {_as_key(key): _as_json(item, around) for key, item in list(value.items())}
        return [_as_json(item, around) for item in value]
    finally:
        around.discard(id(value))


def _as_key(key: Any) -> Any:
    return key if key is None or isinstance(key, (str, int, float)) else _text(key)


def _text(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<unprintable {type(value).__name__} object>"


_MOST_LINES = 100
_MOST_CHARACTERS = 60


def _shown(value: object) -> str:
    text = _text(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 3]}..."
