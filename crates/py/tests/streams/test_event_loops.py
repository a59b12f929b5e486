"""One contract under asyncio, uvloop, trio, and anyio on either."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from ends import unread
from loops import LOOPS
from watching import SOON

from ottava import streams
from ottava.errors import (
    LineTooLongError,
    StreamError,
    StreamLimitError,
    StreamOptionError,
    StreamReadError,
    StreamWriteError,
)

PAYLOAD = random.Random(8).randbytes(1_000_000)


def test_pump(backend: str, loop: Any, pipes: Any) -> None:
    write, got = pipes.collect()
    counts: list[int] = []
    report = loop(lambda: streams.pump(pipes.feed(PAYLOAD), write, on_progress=counts.append))
    pipes.join()
    assert b"".join(got) == PAYLOAD
    assert report.way == "splice"
    assert counts[-1] == len(PAYLOAD)


def test_consume_and_count(backend: str, loop: Any, pipes: Any) -> None:
    assert loop(lambda: streams.consume(pipes.feed(b"text\n"))).data == "text\n"
    assert loop(lambda: streams.consume(pipes.feed(PAYLOAD), None)).data == PAYLOAD
    assert loop(lambda: streams.count_lines(pipes.feed(b"a\nb"))).lines == 2


def test_lines(backend: str, loop: Any, pipes: Any) -> None:
    async def work() -> tuple[list[str], Any]:
        lines = streams.lines(pipes.feed(b"one\r", b"\ntwo\n", delay=0.01))
        return [line async for batch in lines for line in batch], lines.report

    got, report = loop(work)
    assert got == ["one", "two"]
    assert report.lines == 2

    seen: list[str] = []

    async def note(line: str) -> None:
        seen.append(line)

    assert loop(lambda: streams.each_line(pipes.feed(b"x\ny"), note)).lines == 2
    assert seen == ["x", "y"]


def test_leaving_lines_early(backend: str, loop: Any, pipes: Any) -> None:
    async def work() -> list[str]:
        async with streams.lines(pipes.feed(*[b"line\n"] * 1000, delay=0.001)) as lines:
            async for batch in lines:
                return batch
        return []

    assert loop(work)[0] == "line"


def test_pipeline(backend: str, loop: Any) -> None:
    report = loop(lambda: streams.pipeline([["cat"], ["wc", "-c"]], stdin=PAYLOAD, observe=True))
    assert report.stdout == b"1000000\n"


def test_the_loop_stays_free(backend: str, loop: Any, pipes: Any) -> None:
    read, feed = pipes.pipe()
    _, write = pipes.pipe()

    async def work() -> int:
        moved = 0

        async def pump() -> None:
            nonlocal moved
            moved = (await streams.pump(read, write)).bytes

        async with anyio.create_task_group() as group:
            group.start_soon(pump)
            # A loop that the pump holds would never come to close the feed.
            for _ in range(20):
                await anyio.sleep(0.002)
                os.write(feed, b"x")
            assert moved == 0
            pipes.close(feed)
        return moved

    assert loop(work) == 20


STATES = ["reader quiet", "tcp quiet", "udp quiet", "writer full", "moving", "draining", "copying files"]


@pytest.mark.parametrize("in_kernel", [True, False])
@pytest.mark.parametrize("state", STATES)
def test_cancelled_in_every_state(backend: str, loop: Any, pipes: Any, state: str, in_kernel: bool) -> None:
    producer = None
    options: dict[str, Any] = {"in_kernel": in_kernel}
    if state in ("moving", "draining"):
        producer = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
        assert producer.stdout is not None
        read = producer.stdout.fileno()
    elif state == "copying files":
        read = pipes.sparse(2 << 30)
    elif state.endswith("quiet"):
        read = pipes.quiet(state.removesuffix(" quiet").replace("reader", "pipe"))
    else:
        read = pipes.feed(*[PAYLOAD] * 3)
    if state == "moving":
        write = pipes.own(os.open("/dev/null", os.O_WRONLY))
    elif state == "copying files":
        write = pipes.own(os.memfd_create("copy"))
    else:
        target, write = pipes.pipe()
        if state == "draining":
            pipes.close(target)
            options["drain"] = True

    async def work() -> bool:
        with anyio.move_on_after(0.1) as scope:
            await streams.pump(read, write, **options)
        return scope.cancelled_caught

    assert loop(work)
    if state == "copying files":
        assert os.fstat(write).st_size < 2 << 30
    if producer is not None and producer.stdout is not None:
        producer.stdout.close()
        producer.wait(SOON)


def test_cancelled_consumers_and_pipelines(backend: str, loop: Any, pipes: Any) -> None:
    read, _ = pipes.pipe()

    async def lines() -> None:
        async for _ in streams.lines(read):
            pass

    async def each() -> None:
        await streams.pipeline([["sleep", "1000"], ["cat"]], observe=True)

    for operation in (lambda: streams.consume(read), lambda: streams.count_lines(read), lines, each):

        async def work(operation: Any = operation) -> bool:
            with anyio.move_on_after(0.05) as scope:
                await operation()
            return scope.cancelled_caught

        assert loop(work)


async def _each(reader: Any, deadline: float) -> None:
    def late(line: str) -> None:
        assert time.monotonic() < deadline, "a cancellation did not come through"

    await streams.each_line(reader, late)


async def _batches(reader: Any, deadline: float) -> None:
    async for _ in streams.lines(reader):
        assert time.monotonic() < deadline, "a cancellation did not come through"


@pytest.mark.parametrize("take", [_batches, _each])
def test_a_fast_producer_does_not_keep_the_loop(backend: str, loop: Any, take: Any) -> None:
    producer = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    assert producer.stdout is not None

    async def work() -> tuple[bool, int]:
        turns = 0
        scope = anyio.move_on_after(0.2)

        async def count() -> None:
            nonlocal turns
            while not scope.cancelled_caught:
                await anyio.sleep(0.001)
                turns += 1

        async with anyio.create_task_group() as group:
            group.start_soon(count)
            with scope:
                await take(producer.stdout, time.monotonic() + SOON)
        return scope.cancelled_caught, turns

    cancelled, turns = loop(work)
    assert cancelled
    assert turns > 0
    producer.stdout.close()
    assert producer.wait(SOON) == -13


def test_each_line_gives_way_to_others_within_a_batch(backend: str, loop: Any, pipes: Any) -> None:
    read = pipes.feed(b"x\n" * 2000)

    async def work() -> int:
        seen = 0

        def slow(line: str) -> None:
            nonlocal seen
            seen += 1
            time.sleep(0.01)

        with anyio.move_on_after(0.05):
            await streams.each_line(read, slow)
        return seen

    # One batch has them all, and takes 20 seconds.
    assert loop(work) < 1000


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("take", [_batches, _each])
def test_asyncio_streams_of_a_fast_producer(backend: str, kind: str, take: Any) -> None:
    async def work() -> None:
        process = await asyncio.create_subprocess_exec("yes", stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        for operation in (
            take(process.stdout, time.monotonic() + SOON),
            streams.consume(process.stdout),
            streams.pump(process.stdout, os.open(os.devnull, os.O_WRONLY), close_writer=True),
        ):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(operation, 0.1)
        process.kill()
        await streams.consume(process.stdout)
        await process.wait()

    LOOPS[kind](work)


class Always:
    """A stream whose bytes never keep anybody waiting."""

    async def receive_some(self, most: int) -> bytes:
        return b"line\n" * 100


@pytest.mark.parametrize("take", [_batches, _each, lambda reader, _: streams.consume(reader, tee=[])])
def test_a_stream_that_is_always_ready(backend: str, loop: Any, take: Any) -> None:
    async def work() -> bool:
        with anyio.move_on_after(0.1) as scope:
            await take(Always(), time.monotonic() + SOON)
        return scope.cancelled_caught

    assert loop(work)


class Memory:
    """A stream that gives these chunks, waits when it has given one that is empty, and notes what it gets."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.got: list[bytes] = []

    async def receive_some(self, most: int) -> bytes:
        if not self.chunks:
            return b""
        if not self.chunks[0]:
            await anyio.sleep(SOON)
        return self.chunks.pop(0)

    async def send_all(self, data: bytes) -> None:
        self.got.append(data)
        await anyio.sleep(SOON)


@pytest.mark.parametrize("stream", [False, True])
def test_lines_go_on_after_a_timeout(backend: str, loop: Any, pipes: Any, stream: bool) -> None:
    read, write = pipes.pipe()
    reader: Any = Memory(b"one\ntw", b"", b"o\n") if stream else read

    async def work() -> list[Any]:
        if not stream:
            os.write(write, b"one\ntw")
        got = []
        lines = streams.lines(reader)
        got.append(await lines.__anext__())
        for _ in range(3):
            with anyio.move_on_after(0.02) as scope:
                await lines.__anext__()
            got.append(scope.cancelled_caught)
        if stream:
            reader.chunks.pop(0)
        else:
            os.write(write, b"o\n")
            pipes.close(write)
        got.append(await lines.__anext__())
        assert [batch async for batch in lines] == []
        assert lines.report is not None
        return [*got, lines.report.lines]

    assert loop(work) == [["one"], True, True, True, ["two"], 2]


def test_lines_whose_tee_was_cut_off(backend: str, loop: Any, pipes: Any) -> None:
    async def work() -> None:
        writer = Memory()
        lines = streams.lines(pipes.feed(b"one\n"), tee=[writer])
        with anyio.move_on_after(0.02) as scope:
            await lines.__anext__()
        assert scope.cancelled_caught
        assert writer.got == [b"one\n"]
        # Not an end, which would pass for that of the reader.
        with pytest.raises(StreamError, match="cancelled after 4 bytes"):
            await lines.__anext__()
        assert lines.report is None

    loop(work)


@pytest.mark.parametrize("tee", [False, True])
def test_a_writer_that_dies_while_a_stream_is_quiet(backend: str, loop: Any, pipes: Any, tee: bool) -> None:
    target, write = pipes.pipe()
    other, another = pipes.pipe()

    async def work() -> Any:
        reader = Memory(b"bytes", b"")

        async def leave() -> None:
            while unread(target) < 5:
                await anyio.sleep(0.01)
            pipes.close(target)
            await anyio.sleep(0.02)
            pipes.close(other)

        async with anyio.create_task_group() as group:
            group.start_soon(leave)
            return await streams.pump(reader, write, tee=[another] if tee else [])  # type: ignore[arg-type]

    report = loop(work)
    assert (report.ending, report.bytes) == ("writer-gone", 5)
    assert [sink.gone for sink in report.sinks] == [errno.EPIPE] * (1 + tee)


def test_errors_name_the_place(backend: str, pipes: Any, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 100)

    async def work() -> None:
        read, _ = pipes.pipe()
        with pytest.raises(StreamLimitError, match="^a stream of the event loop holds more than the limit of 10 bytes$"):
            await streams.consume(Always(), limit=10)
        with pytest.raises(LineTooLongError, match="^line 0 of a stream of the event loop is longer than the limit of 2"):
            await streams.lines(Always(), max_line=2).__anext__()
        with open(tmp_path / "data", "rb") as file:
            with pytest.raises(StreamLimitError, match=f"^fd {file.fileno()} holds more"):
                await streams.consume(file, limit=10, tee=[Memory()])
            with pytest.raises(StreamOptionError, match=r"^tee\[1\] is <object"):
                await streams.consume(file, tee=[read + 1, object()])  # type: ignore[list-item]
        for bad in (-1, 4000):
            with pytest.raises(StreamWriteError, match=f"cannot write to fd {bad} after 0 bytes: Bad file descriptor"):
                await streams.pump(Always(), bad)
            with pytest.raises(StreamReadError, match=f"cannot read from fd {bad} after 0 bytes: Bad file descriptor"):
                await streams.pump(bad, Memory())
        broken = asyncio.StreamReader()
        broken.set_exception(ConnectionResetError(errno.ECONNRESET, "reset"))
        with pytest.raises(StreamReadError, match="a stream of the event loop after 0 bytes: Connection reset by peer"):
            await streams.consume(broken)
        with pytest.raises(StreamOptionError, match="encoding is 'hex'"):
            await streams.consume(Always(), "hex")

    asyncio.run(work())


def test_trio_streams_that_are_closed(backend: str) -> None:
    import trio
    import trio.testing

    async def work() -> None:
        left, _ = trio.testing.memory_stream_pair()
        await left.aclose()
        with pytest.raises(StreamReadError, match="cannot read from a stream of the event loop") as caught:
            await streams.consume(left)
        assert (caught.value.errno, caught.value.fd) == (errno.EBADF, None)

    trio.run(work)


def test_reports_of_streams(backend: str) -> None:
    async def work() -> None:
        consumed = await streams.consume(Memory(b"a\nb\n"))
        lines = await streams.each_line(Memory(b"a\nb\n"), len, buffer_size=100, pipe_size=0)
        for report in (consumed, lines):
            assert (report.way, [refusal.way for refusal in report.refused]) == ("event loop", ["splice"])

    asyncio.run(work())


def test_asyncio_timeout(backend: str, pipes: Any) -> None:
    read, _ = pipes.pipe()
    _, write = pipes.pipe()

    async def work() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(streams.pump(read, write), 0.05)
        task = asyncio.ensure_future(streams.pump(read, write))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())


async def cat() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_asyncio_streams_with_bytes_already_buffered(backend: str, pipes: Any, kind: str) -> None:
    write, got = pipes.collect()

    async def work() -> tuple[bytes, streams.PumpReport]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import sys; sys.stdout.write('first\\n' + 'rest\\n' * 100_000)", stdout=-1
        )
        assert process.stdout is not None
        first = await process.stdout.readline()
        await asyncio.sleep(0.1)
        report = await streams.pump(process.stdout, write)
        await process.wait()
        return first, report

    first, report = LOOPS[kind](work)
    pipes.join()
    assert first == b"first\n"
    assert b"".join(got) == b"rest\n" * 100_000
    assert report.way == "event loop"
    assert report.bytes == 500_000


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_asyncio_streams_everywhere(backend: str, pipes: Any, kind: str) -> None:
    async def work() -> None:
        process = await cat()
        assert process.stdin is not None
        assert process.stdout is not None
        pump = asyncio.ensure_future(streams.pump(pipes.feed(PAYLOAD), process.stdin, close_writer=True))
        consumed = await streams.consume(process.stdout, None)
        report = await pump
        await process.wait()
        assert consumed.data == PAYLOAD
        assert report.bytes == len(PAYLOAD)

        process = await cat()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"one\r\ntwo\nthree")
        process.stdin.close()
        lines = streams.lines(process.stdout)
        assert [line async for batch in lines for line in batch] == ["one", "two", "three"]
        assert lines.report is not None
        assert lines.report.bytes == 14
        await process.wait()

    LOOPS[kind](work)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_asyncio_streams_that_hang_up(backend: str, kind: str) -> None:
    async def work() -> None:
        producer = await asyncio.create_subprocess_exec("yes", stdout=asyncio.subprocess.PIPE)
        consumer = await asyncio.create_subprocess_exec("true", stdin=asyncio.subprocess.PIPE)
        assert producer.stdout is not None
        assert consumer.stdin is not None
        await consumer.wait()
        report = await asyncio.wait_for(streams.pump(producer.stdout, consumer.stdin), SOON)
        assert report.ending == "writer-gone"
        # uvloop gives its children sockets, where a reader that is gone can be a reset.
        assert await asyncio.wait_for(producer.wait(), SOON) in (-13, 1)
        consumer.stdin.close()

    LOOPS[kind](work)


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
def test_anyio_streams(backend: str, pipes: Any, kind: str) -> None:
    async def work() -> None:
        async with await anyio.open_process(["cat"], stderr=None) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            async with anyio.create_task_group() as group:

                async def feed() -> None:
                    assert process.stdin is not None
                    await streams.pump(pipes.feed(PAYLOAD), process.stdin, close_writer=True)

                group.start_soon(feed)
                consumed = await streams.consume(process.stdout, None)
            assert consumed.data == PAYLOAD

    anyio.run(work, backend=kind)


def test_trio_streams(backend: str, pipes: Any) -> None:
    import trio

    async def work() -> None:
        left, right = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:

            async def feed() -> None:
                report = await streams.pump(pipes.feed(PAYLOAD), left)
                assert report.bytes == len(PAYLOAD)
                await left.aclose()

            nursery.start_soon(feed)
            consumed = await streams.consume(right, None)
        assert consumed.data == PAYLOAD

    import trio.testing

    trio.run(work)


@pytest.mark.parametrize("end", [object(), "path"])
def test_neither_descriptor_nor_stream(backend: str, pipes: Any, end: Any) -> None:
    read, write = pipes.pipe()
    with pytest.raises(ValueError, match="is no stream"):
        asyncio.run(_pump(end, write))
    with pytest.raises(ValueError, match="is no stream"):
        asyncio.run(_pump(read, end))


async def _pump(reader: Any, writer: Any) -> Any:
    return await streams.pump(reader, writer)
