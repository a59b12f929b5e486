"""Which descriptor a reader or writer stands for, and how to close it."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Protocol, Union

from ottava.errors import StreamOptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FileLike", "HasFileno", "close", "descriptor", "descriptors"]


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
        return end
    # A buffered writer may still hold bytes, and a seekable buffered reader may have read ahead.
    if isinstance(end, (io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)) and end.writable():
        end.flush()
    if isinstance(end, (io.BufferedReader, io.BufferedRandom)) and end.readable() and end.seekable():
        here = end.tell()
        # A seek within the buffer would leave the descriptor where it is.
        end.seek(0, os.SEEK_END)
        end.seek(here)
    try:
        fd = end.fileno()
    except (AttributeError, io.UnsupportedOperation):
        raise StreamOptionError(f"{role} is {end!r}, which has no file descriptor") from None
    if not isinstance(fd, int):
        raise StreamOptionError(f"{role} has the file descriptor {fd!r}, not an integer")
    return fd


def descriptors(ends: Sequence[FileLike], role: str) -> list[int]:
    """The descriptors behind `ends`."""
    return [descriptor(end, f"{role}[{index}]") for index, end in enumerate(ends)]


def close(end: FileLike) -> None:
    """Closes `end`, through its own `close` if it has one."""
    if isinstance(end, int):
        os.close(end)
    elif hasattr(end, "close"):
        end.close()
