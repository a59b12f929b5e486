"""Pumps to compare: those of `ottava.streams` and what else there is. Each copies one descriptor to another."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ottava import streams
from stream_measure import Pump


@contextmanager
def backend(name: str) -> Iterator[None]:
    before = os.environ.get("OTTAVA_STREAM_BACKEND")
    os.environ["OTTAVA_STREAM_BACKEND"] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ["OTTAVA_STREAM_BACKEND"]
        else:
            os.environ["OTTAVA_STREAM_BACKEND"] = before


def ottava(name: str, **options: Any) -> Pump:
    def run(read: int, write: int) -> None:
        with backend(name):
            streams.pump_sync(read, write, **options)

    return run


def ottava_async(name: str, **options: Any) -> Pump:
    def run(read: int, write: int) -> None:
        with backend(name):
            asyncio.run(streams.pump(read, write, **options))

    return run


async def asyncio_pump_once(read: int, write: int, size: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=size * 2)
    source, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(read), "rb", 0))
    protocol = asyncio.streams.FlowControlMixin()
    target, _ = await loop.connect_write_pipe(lambda: protocol, os.fdopen(os.dup(write), "wb", 0))
    writer = asyncio.StreamWriter(target, protocol, None, loop)
    while chunk := await reader.read(size):
        writer.write(chunk)
        await writer.drain()
    while target.get_write_buffer_size():
        await asyncio.sleep(0)
    source.close()
    target.close()
    await asyncio.sleep(0)


def asyncio_pump(size: int) -> Pump:
    return lambda read, write: asyncio.run(asyncio_pump_once(read, write, size))


def uvloop_pump(size: int) -> Pump:
    import uvloop

    def run(read: int, write: int) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio_pump_once(read, write, size))

    return run


def anyio_pump(read: int, write: int) -> None:
    import anyio

    async def main() -> None:
        source = os.fdopen(os.dup(read), "rb", 0)
        target = os.fdopen(os.dup(write), "wb", 0)
        async with anyio.wrap_file(source) as reader, anyio.wrap_file(target) as writer:
            while chunk := await reader.read(65536):
                await writer.write(chunk)

    anyio.run(main)


def thread_pump(read: int, write: int) -> None:
    def work() -> None:
        while chunk := os.read(read, 65536):
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(write, rest) :]

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def program(*command: str) -> Pump:
    def run(read: int, write: int) -> float:
        process = subprocess.Popen(command, stdin=read, stdout=write)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, command
        return usage.ru_utime + usage.ru_stime

    return run


def bare_splice(pipe_size: int) -> Pump:
    def run(read: int, write: int) -> None:
        import fcntl

        for fd in (read, write):
            fcntl.fcntl(fd, 1031, pipe_size)
        while os.splice(read, write, pipe_size):
            pass

    return run


def peers() -> tuple[dict[str, Pump], dict[str, str]]:
    """The pumps of others, and those that are not installed, with what would."""
    found: dict[str, Pump] = {"asyncio 4 KiB": asyncio_pump(4096), "asyncio 64 KiB": asyncio_pump(65536)}
    missing = {}
    try:
        import uvloop as _  # noqa: F401

        found["uvloop 64 KiB"] = uvloop_pump(65536)
    except ImportError:
        missing["uvloop 64 KiB"] = "pip install uvloop"
    try:
        import anyio as _  # noqa: F401

        found["anyio files"] = anyio_pump
    except ImportError:
        missing["anyio files"] = "pip install anyio"
    found["subprocess + thread"] = thread_pump
    for tool, *options in (("cat",), ("pv", "-q")):
        if shutil.which(tool):
            found[tool] = program(tool, *options)
        else:
            missing[tool] = f"apt-get install {tool}, or your system's package of that name"
    return found, missing
