"""Reads and writes that never block, whatever the mode of the descriptor (pure Python).

A blocking descriptor is not switched to non-blocking mode, since whoever shares it would notice, and a non-blocking one
is not relied on, since whoever shares it may switch it back. Linux takes the wish not to block with each call, or opens a
pipe anew; where that is missing, a poll comes first and a write is short enough to fit.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import sys
import time
from enum import Enum, auto

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["GONE", "Inlet", "Kind", "Outlet", "Wakeup", "poll", "raise_pipe_size"]

GONE = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN})
"""What a write fails with when the other end is gone, rather than when the data cannot be stored."""

UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})

NOWAIT = getattr(os, "RWF_NOWAIT", 0) if sys.platform == "linux" else 0
ATOMIC = 4096 if sys.platform == "linux" else 512
"""What a pipe takes for sure once it polls as writable."""
TERMINAL = 256
"""What is written in one call to a blocking terminal that could not be opened anew."""

POLLIN = getattr(select, "POLLIN", 1)
POLLOUT = getattr(select, "POLLOUT", 4)
POLLERR = getattr(select, "POLLERR", 8)
POLLHUP = getattr(select, "POLLHUP", 16)


class Kind(Enum):
    """What a descriptor refers to, as far as reading and writing differ."""

    PIPE = auto()
    SOCKET = auto()
    FILE = auto()
    TERMINAL = auto()
    DEVICE = auto()


class _End:
    """A duplicate of a caller's descriptor, and what is known of it."""

    def __init__(self, fd: int, unusable: int) -> None:
        self.number = fd
        self.append = False
        if fcntl is not None:
            flags = fcntl.fcntl(fd, fcntl.F_GETFL)
            if flags & os.O_ACCMODE == unusable:
                # A poll would wait forever on the wrong end of a pipe.
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self.append = bool(flags & os.O_APPEND)
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        self.kind = _kind(fd, status.st_mode)
        self.identity = (status.st_dev, status.st_ino)
        self.fd = os.dup(fd)
        self._nowait = bool(NOWAIT) and self.kind is Kind.PIPE
        self._reopened: int | None = None
        # The master side of a Linux terminal, which makes a new terminal each time it is opened.
        linux = sys.platform == "linux"
        self._multiplexer = linux and os.major(status.st_rdev) == 5 and os.minor(status.st_rdev) == 2
        self._socket = socket.socket(fileno=os.dup(self.fd)) if self.kind is Kind.SOCKET else None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        os.close(self.fd)
        if self._reopened is not None:
            os.close(self._reopened)

    def ready(self, event: int) -> bool:
        return bool(poll([(self.fd, event)], 0))

    def is_blocking_socket(self) -> bool:
        """Whether this is a socket in blocking mode now. Whoever shares it may change that at any time."""
        return self.kind is Kind.SOCKET and os.get_blocking(self.fd)

    def _reopen(self, direction: int) -> None:
        """Opens the same pipe or terminal once more, as a description of our own that may be non-blocking."""
        try:
            flags = direction | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
            self._reopened = os.open(f"/proc/self/fd/{self.fd}", flags)
        except OSError:
            pass


def _kind(fd: int, mode: int) -> Kind:
    if stat.S_ISFIFO(mode):
        return Kind.PIPE
    if stat.S_ISSOCK(mode):
        return Kind.SOCKET
    if stat.S_ISREG(mode) or stat.S_ISBLK(mode):
        return Kind.FILE
    return Kind.TERMINAL if os.isatty(fd) else Kind.DEVICE


class Inlet(_End):
    """The end that bytes come from."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, os.O_WRONLY)

    def read(self, size: int) -> bytes:
        """At most `size` bytes; empty at the end. `BlockingIOError` if there is nothing yet."""
        if self._socket is not None:
            return self._socket.recv(size, socket.MSG_DONTWAIT)
        if self._nowait:
            # Others may read the same pipe: what a poll has seen can be gone by the time of the read. The original remains
            # the one to poll, as the new one does not hang up if all writers are gone by now.
            self._nowait = False
            self._reopen(os.O_RDONLY)
        if self._reopened is not None:
            return os.read(self._reopened, size)
        if self.kind is not Kind.FILE and not self.ready(POLLIN):
            raise BlockingIOError
        try:
            return os.read(self.fd, size)
        except OSError as error:
            # The master of a terminal whose last user is gone.
            if error.errno == errno.EIO and self.kind is Kind.TERMINAL:
                return b""
            raise


class Outlet(_End):
    """The end that bytes go to."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, os.O_RDONLY)
        # A stopped terminal would hold a blocking write for as long as it likes. Its master cannot be opened twice.
        if self.kind is Kind.TERMINAL and not self._multiplexer:
            self._reopen(os.O_WRONLY)

    def write(self, data: memoryview) -> int:
        """Writes some of `data`. `BlockingIOError` if none can be taken now."""
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0))
        if self._reopened is not None:
            return os.write(self._reopened, data)
        if self.kind is Kind.FILE:
            return os.write(self.fd, data)
        if self._nowait:
            try:
                return os.pwritev(self.fd, [data], -1, NOWAIT)
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    raise
            self._nowait = False
            self._reopen(os.O_WRONLY)
            return self.write(data)
        if not self.ready(POLLOUT):
            raise BlockingIOError
        if self.kind is Kind.PIPE:
            data = data[:ATOMIC]
        elif self.kind is Kind.TERMINAL:
            data = data[:TERMINAL]
        return os.write(self.fd, data)

    def is_gone(self, events: int) -> bool:
        """Whether the poll result `events` means that this end will never take another byte."""
        if self.kind is Kind.PIPE:
            return bool(events & POLLERR)
        return self.kind is Kind.SOCKET and bool(events & POLLHUP)


class Wakeup:
    """A wake-up that a poll can wait for: an eventfd on Linux, a pipe elsewhere."""

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            self._read = self._write = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        else:
            self._read, self._write = os.pipe()
            os.set_blocking(self._read, False)
            os.set_blocking(self._write, False)

    def fileno(self) -> int:
        return self._read

    def set(self) -> None:
        """Makes the descriptor readable until `clear`."""
        try:
            os.write(self._write, (1).to_bytes(8, sys.byteorder))
        except BlockingIOError:
            pass

    def clear(self) -> None:
        """Makes the descriptor unreadable until the next `set`."""
        try:
            while len(os.read(self._read, 64)) == 64:
                pass
        except BlockingIOError:
            pass

    def wait(self, seconds: float) -> bool:
        """Waits for at most `seconds`; whether it is set."""
        return bool(poll([(self._read, POLLIN)], seconds))

    def close(self) -> None:
        os.close(self._read)
        if self._write != self._read:
            os.close(self._write)


def poll(fds: list[tuple[int, int]], seconds: float | None) -> dict[int, int]:
    """What happened to each descriptor within `seconds`; nothing is left out that did."""
    if not hasattr(select, "poll"):  # pragma: no cover - Windows, where pipes cannot be polled and are just tried
        if seconds is None or seconds > 0:
            time.sleep(0.001)
        return dict(fds)
    poller = select.poll()
    for fd, events in fds:
        poller.register(fd, events)
    return dict(poller.poll(None if seconds is None else seconds * 1000))


def raise_pipe_size(fd: int, size: int) -> None:
    """Raises the capacity of a pipe to `size` bytes, if it is smaller and the system lets us. Never an error."""
    command = getattr(fcntl, "F_SETPIPE_SZ", 1031)
    if sys.platform != "linux" or size <= 0:
        return
    try:
        if fcntl.fcntl(fd, command + 1) < size:
            fcntl.fcntl(fd, command, size)
    except OSError:
        pass
