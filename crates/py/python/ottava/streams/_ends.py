"""Which descriptor a reader or writer stands for, and how to close it."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING, Protocol, Union

from ottava.errors import StreamOptionError, StreamReadError, StreamWriteError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FileLike", "HasFileno", "close", "descriptor", "descriptors", "identity"]


class HasFileno(Protocol):
    """Anything that stands for a descriptor: files, sockets, pipes of `subprocess`."""

    def fileno(self) -> int:
        """The descriptor."""


FileLike = Union[int, HasFileno]


def descriptor(end: FileLike, role: str) -> int:
    """The descriptor behind `end`; `role` names the argument in the error."""
    if isinstance(end, int):
        if isinstance(end, bool):
            raise StreamOptionError(f"{role} is {end!r}, which has no file descriptor")
        return _possible(end, role)
    try:
        # A named temporary file keeps the real one inside.
        _settle(getattr(end, "file", end), role)
        fd = end.fileno()
    except (AttributeError, io.UnsupportedOperation):
        raise StreamOptionError(f"{role} is {end!r}, which has no file descriptor") from None
    except ValueError as error:
        if not getattr(end, "closed", False):
            raise
        raise StreamOptionError(f"{role} is {end!r}, which is closed") from error
    if not isinstance(fd, int):
        raise StreamOptionError(f"{role} has the file descriptor {fd!r}, not an integer")
    return _possible(fd, role)


def _possible(fd: int, role: str) -> int:
    """`fd`, unless the system could not even be asked about such a number."""
    if not -(1 << 31) <= fd < 1 << 31:
        kind = StreamReadError if role in ("reader", "stdin") else StreamWriteError
        raise kind(errno.EBADF, fd, 0)
    return fd


def _settle(file: object, role: str) -> None:
    """Brings the descriptor of a file of Python to where the file itself is."""
    # A buffered writer may still hold bytes, and a seekable buffered reader may have read ahead.
    if isinstance(file, (io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)) and file.writable():
        file.flush()
    if not isinstance(file, (io.BufferedReader, io.BufferedRandom, io.TextIOWrapper)):
        return
    if not (file.readable() and file.seekable()):
        return
    try:
        here = file.tell()
    except OSError as error:
        if isinstance(file, io.TextIOWrapper):
            # It is in the middle of a `for` loop over its lines.
            raise StreamOptionError(f"{role} is {file!r}, which cannot tell where it is: {error}") from None
        raise
    if here >> 64:
        raise StreamOptionError(f"{role} is {file!r}, which is in the middle of a character or of a line ending")
    ahead = os.lseek(file.fileno(), 0, os.SEEK_CUR)
    if ahead != here:
        # A seek within the buffer would leave the descriptor where it is. Files of procfs know no end to seek to.
        file.seek(ahead + 1)
        file.seek(here)


def descriptors(ends: Sequence[FileLike], role: str) -> list[int]:
    """The descriptors behind `ends`."""
    try:
        return [descriptor(end, f"{role}[{index}]") for index, end in enumerate(ends)]
    except TypeError:
        if hasattr(ends, "__iter__"):
            raise
        raise StreamOptionError(f"{role} is {ends!r}, not a sequence of writers") from None


def identity(end: object) -> tuple[int, int] | None:
    """The device and inode behind a plain number; none for a number that is not open, and for all else.

    Another thread may close a number and open another file under it.
    """
    if not isinstance(end, int):
        return None
    try:
        status = os.fstat(end)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def close(end: FileLike) -> None:
    """Closes `end`, through its own `close` if it has one."""
    if isinstance(end, int):
        os.close(end)
    elif hasattr(end, "close"):
        end.close()
