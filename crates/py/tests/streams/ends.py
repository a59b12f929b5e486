"""Sockets that are connected, and what a pipe holds."""

from __future__ import annotations

import fcntl
import socket
import sys
import termios


def unread(pipe: int) -> int:
    """Bytes that a pipe holds."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def connected(kind: str) -> tuple[socket.socket, socket.socket]:
    """Two sockets that are connected to each other, in blocking mode."""
    if kind == "unix":
        return socket.socketpair()
    if kind == "tcp":
        with socket.create_server(("127.0.0.1", 0)) as server:
            return socket.create_connection(server.getsockname()), server.accept()[0]
    ours, theirs = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for end in (ours, theirs):
        end.bind(("127.0.0.1", 0))
    ours.connect(theirs.getsockname())
    theirs.connect(ours.getsockname())
    return ours, theirs
