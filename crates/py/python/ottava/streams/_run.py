"""Waiting for a job: in a thread, under asyncio (and uvloop), under trio (and anyio on either)."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

from ottava.errors import StreamOptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ottava.streams._job import Job

__all__ = [
    "TICK",
    "Turns",
    "deadline",
    "readable",
    "run",
    "run_async",
    "running_trio",
    "sleep",
    "unless_readable",
    "writable",
]

Result = TypeVar("Result")

TICK = 0.02
"""Seconds between two looks at Python's pending signals, should the waking one have hit another thread."""

PROGRESS = 0.05
"""Least seconds between two calls of a progress callback."""

TURN = 0.005
"""Seconds for which a task whose bytes never keep it waiting has the event loop to itself."""


class _Watch:
    """Calls `on_progress` with the bytes so far, at most twenty times a second, and once at the end."""

    def __init__(self, job: Job[Any], on_progress: Callable[[int], object] | None) -> None:
        self._job = job
        self._call = on_progress
        self._next = time.monotonic() + PROGRESS
        self._told = -1

    def look(self, over: bool = False) -> None:
        if self._call is None or not (over or time.monotonic() >= self._next):
            return
        bytes = self._job.progress()
        if bytes != self._told:
            self._told = bytes
            self._next = time.monotonic() + PROGRESS
            self._call(bytes)


def deadline(timeout: float | None) -> float | None:
    """When `timeout` seconds from now are over.

    Raises `StreamOptionError` if that is no number, and `TimeoutError` if they are over already.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, Real) or math.isnan(timeout):
        raise StreamOptionError(f"timeout is {timeout!r}, not a number of seconds")
    if timeout <= 0:
        raise TimeoutError(f"not over after {timeout} seconds and 0 bytes")
    return time.monotonic() + timeout


def run(
    start: Callable[[], Job[Result]], on_progress: Callable[[int], object] | None, timeout: float | None
) -> Result:
    """Starts a job and waits for it in the calling thread; signal handlers run meanwhile, and what they raise ends it."""
    end = deadline(timeout)
    job = start()
    try:
        watch = _Watch(job, on_progress)
        while not job.wait(TICK if end is None else min(TICK, max(0.0, end - time.monotonic()))):
            watch.look()
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"not over after {timeout} seconds and {job.progress()} bytes")
        watch.look(over=True)
        return job.result()
    finally:
        job.close()


async def run_async(job: Job[Result], on_progress: Callable[[int], object] | None) -> Result:
    """Waits in the running event loop; a cancellation ends the job before it is passed on."""
    try:
        watch = _Watch(job, on_progress)
        if job.wait(0):
            await checkpoint()
        elif on_progress is None:
            await readable(job.fileno())
        else:
            while not await readable(job.fileno(), PROGRESS):
                watch.look()
        watch.look(over=True)
        return job.result()
    finally:
        job.close()


def running_trio() -> bool:
    """Whether the running event loop is trio's."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


async def readable(fd: int, seconds: float | None = None) -> bool:
    """Waits until `fd` is readable, or `seconds` are over; whether it is."""
    if running_trio():
        import trio

        with trio.move_on_after(float("inf") if seconds is None else seconds):
            await trio.lowlevel.wait_readable(fd)
            return True
        return False
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    stop = add_watcher(loop, fd, wake)
    try:
        await asyncio.wait([future], timeout=seconds)
        return future.done()
    finally:
        stop()


async def checkpoint() -> None:
    """Lets a cancellation in, which trio promises of every call; asyncio makes no such promise."""
    if running_trio():
        import trio

        await trio.lowlevel.checkpoint()


class Turns:
    """Gives way to others in the event loop now and then, where nothing else makes a task wait."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def give_way(self) -> bool:
        """Lets others run, and a cancellation in, if none had a turn for a while; whether that was so."""
        if time.monotonic() - self._since < TURN:
            return False
        await sleep(0)
        self._since = time.monotonic()
        return True


async def unless_readable(fd: int, work: Coroutine[Any, Any, Result]) -> Result | None:
    """What `work` gives; none, and `work` is cancelled, if `fd` is readable before it is done."""
    if running_trio():
        return await _unless_readable_in_trio(fd, work)
    task = asyncio.ensure_future(work)
    stop = add_watcher(asyncio.get_running_loop(), fd, task.cancel)
    try:
        await asyncio.wait([task])
    finally:
        stop()
        if not task.done():
            task.cancel()
            # Whatever it still comes to is of no interest.
            await asyncio.gather(task, return_exceptions=True)
    return None if task.cancelled() else task.result()


async def _unless_readable_in_trio(fd: int, work: Coroutine[Any, Any, Result]) -> Result | None:
    import trio

    result: Result | None = None
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            await trio.lowlevel.wait_readable(fd)
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        try:
            result = await work
        except Exception as error:
            # Raised below: a nursery would wrap it in a group.
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result


async def sleep(seconds: float) -> None:
    """Lets others run for `seconds`."""
    if running_trio():
        import trio

        await trio.sleep(seconds)
    else:
        await asyncio.sleep(seconds)


async def writable(fd: int) -> None:
    """Waits until `fd` is writable, or its other end is gone."""
    if running_trio():
        import trio

        await trio.lowlevel.wait_writable(fd)
        return
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    loop.add_writer(fd, wake)
    try:
        await future
    finally:
        loop.remove_writer(fd)


def add_watcher(loop: asyncio.AbstractEventLoop, fd: int, wake: Callable[[], object]) -> Callable[[], object]:
    """Has `wake` called in `loop` when `fd` is readable; the function that takes it back."""
    try:
        loop.add_reader(fd, wake)
    except NotImplementedError:  # pragma: no cover - the proactor loop of Windows
        from ottava.streams._descriptors import POLLIN, poll

        stopped = threading.Event()

        def look() -> None:
            while not stopped.is_set() and not poll([(fd, POLLIN)], 0.05):
                pass
            if not stopped.is_set():
                loop.call_soon_threadsafe(wake)

        threading.Thread(target=look, daemon=True).start()
        return stopped.set
    return lambda: loop.remove_reader(fd)
