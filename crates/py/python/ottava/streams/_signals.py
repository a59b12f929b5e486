"""Signals kept away from what they would break."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["handlers_later", "sigpipe_blocked"]

RAISING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGPROF")
    if hasattr(signal, name)
)
"""Signals whose handlers programs have raise exceptions. To look at all there are would take as long as to start a process."""


@contextmanager
def sigpipe_blocked() -> Iterator[None]:
    """Keeps SIGPIPE from what happens in here and from threads started in here, where its default is to kill."""
    sigpipe = getattr(signal, "SIGPIPE", None)
    if sigpipe is None or signal.getsignal(sigpipe) is not signal.SIG_DFL:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [sigpipe])
    try:
        yield
    finally:
        # A short transfer is over by now, in this very thread; what it has raised must not be let through.
        if sigpipe in signal.sigpending() and sigpipe not in before:
            signal.sigwait([sigpipe])
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def handlers_later() -> Iterator[None]:
    """Has Python's signal handlers wait until all in here is done, where what they raise would lose track of a child.

    Blocking the signals would not do: a child inherits what is blocked.
    """
    if threading.current_thread() is not threading.main_thread():
        # Handlers run in the main thread alone.
        yield
        return
    came: list[tuple[int, Any]] = []
    handlers: dict[int, Any] = {}

    def deliver() -> None:
        while came:
            number, frame = came.pop(0)
            try:
                handlers[number](number, frame)
            finally:
                deliver()

    with ExitStack() as stack:
        stack.callback(deliver)
        for number in RAISING:
            handler = signal.getsignal(number)
            # Neither the default nor ignoring is a callable, nor is a handler that is not Python's.
            if callable(handler):
                handlers[number] = handler
                stack.callback(signal.signal, number, handler)
                signal.signal(number, lambda number, frame: came.append((number, frame)))
        yield
