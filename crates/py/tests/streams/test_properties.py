"""Random payloads, chunkings, delays and early closes."""

from __future__ import annotations

import codecs
import itertools
import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from watching import open_descriptors

from ottava import streams

QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)

chunks = st.lists(st.binary(min_size=1, max_size=5000), max_size=12)
texts = st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"\xc3\xa9", b"\xe2\x82", b"\xff", b"long " * 40]), max_size=40)


class Ends:
    """A producer and a consumer with their own rhythm."""

    def __init__(self, chunks: list[bytes], pauses: list[int], most: int | None, piece: int) -> None:
        self.read, self._feed = os.pipe()
        self._drain, self.write = os.pipe()
        self.got: list[bytes] = []
        self._threads = [
            threading.Thread(target=self._produce, args=(chunks, pauses)),
            threading.Thread(target=self._consume, args=(most, piece)),
        ]
        for thread in self._threads:
            thread.start()

    def _produce(self, chunks: list[bytes], pauses: list[int]) -> None:
        try:
            for chunk, pause in zip(chunks, itertools.cycle(pauses or [0]), strict=False):
                time.sleep(pause / 5000)
                rest = memoryview(chunk)
                while rest:
                    rest = rest[os.write(self._feed, rest) :]
        except BrokenPipeError:
            pass
        os.close(self._feed)

    def _consume(self, most: int | None, piece: int) -> None:
        count = 0
        while most is None or count < most:
            chunk = os.read(self._drain, piece)
            if not chunk:
                break
            count += len(chunk)
            self.got.append(chunk)
        os.close(self._drain)

    def close(self) -> bytes:
        for fd in (self.read, self.write):
            try:
                os.close(fd)
            except OSError:
                pass
        for thread in self._threads:
            thread.join()
        return b"".join(self.got)


@QUICK
@given(
    chunks=chunks,
    pauses=st.lists(st.integers(0, 3), max_size=4),
    piece=st.integers(1, 8000),
    buffer_size=st.integers(1, 9000),
    in_kernel=st.booleans(),
    pipe_size=st.sampled_from([0, 4096, 1 << 20]),
    limit=st.none() | st.integers(0, 30_000),
)
def test_pump_is_exact(
    backend: str,
    chunks: list[bytes],
    pauses: list[int],
    piece: int,
    buffer_size: int,
    in_kernel: bool,
    pipe_size: int,
    limit: int | None,
) -> None:
    payload = b"".join(chunks)
    ends = Ends(chunks, pauses, None, piece)
    report = streams.pump_sync(
        ends.read, ends.write, buffer_size=buffer_size, in_kernel=in_kernel, pipe_size=pipe_size, limit=limit
    )
    rest = streams.consume_sync(ends.read, None).data
    moved = len(payload) if limit is None else min(limit, len(payload))
    assert report.bytes == report.sinks[0].bytes == moved
    assert ends.close() == payload[:moved]
    assert rest == payload[moved:]


@QUICK
@given(
    chunks=chunks,
    most=st.integers(1, 20_000),
    piece=st.integers(1, 8000),
    in_kernel=st.booleans(),
    drain=st.booleans(),
)
def test_early_close(backend: str, chunks: list[bytes], most: int, piece: int, in_kernel: bool, drain: bool) -> None:
    payload = b"".join(chunks)
    ends = Ends(chunks, [], most, piece)
    report = streams.pump_sync(ends.read, ends.write, in_kernel=in_kernel, drain=drain, buffer_size=1000)
    got = ends.close()
    assert payload.startswith(got)
    assert len(got) >= min(most, len(payload))
    sink = report.sinks[0]
    assert report.discarded == report.bytes - sink.bytes
    assert len(got) <= sink.bytes <= report.bytes <= len(payload)
    if drain or report.ending == "eof":
        assert report.bytes == len(payload)
    assert (report.ending == "writer-gone") <= (not drain)


@QUICK
@given(chunks=chunks, in_kernel=st.booleans(), pieces=st.lists(st.integers(1, 8000), min_size=1, max_size=4))
def test_tee_is_exact(backend: str, chunks: list[bytes], in_kernel: bool, pieces: list[int]) -> None:
    source = Ends(chunks, [], None, 1)
    others = [Ends([], [], None, piece) for piece in pieces]
    first, *rest = (other.write for other in others)
    report = streams.pump_sync(source.read, first, tee=rest, in_kernel=in_kernel)
    payload = b"".join(chunks)
    assert [other.close() for other in others] == [payload] * len(others)
    assert [sink.bytes for sink in report.sinks] == [len(payload)] * len(others)
    source.close()


@QUICK
@given(parts=texts, errors=st.sampled_from(["replace", "ignore", "surrogateescape", "backslashreplace"]), buffer_size=st.integers(1, 60))
def test_text_and_lines(backend: str, parts: list[bytes], errors: str, buffer_size: int) -> None:
    payload = b"".join(parts)
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    wanted = "".join(map(decoder.decode, parts)) + decoder.decode(b"", final=True)
    ends = Ends(parts, [], 0, 1)
    assert streams.consume_sync(ends.read, "utf-8", errors, buffer_size=buffer_size).data == wanted
    ends.close()

    raw = payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    lines = [line.decode("utf-8", errors) for line in (raw[:-1] if not raw[-1] else raw)]
    ends = Ends(parts, [], 0, 1)
    got = list(itertools.chain.from_iterable(streams.lines_sync(ends.read, errors=errors, buffer_size=buffer_size)))
    ends.close()
    assert got == lines
    ends = Ends(parts, [], 0, 1)
    assert streams.count_lines_sync(ends.read, buffer_size=buffer_size).lines == len(lines)
    ends.close()
    ends = Ends(parts, [], 0, 1)
    blobs = list(streams.lines_sync(ends.read, blob=True, buffer_size=buffer_size))
    assert [line.decode("utf-8", errors) for blob in blobs for line in blob.lines()] == lines
    ends.close()


class Odd:
    """Descriptors of every kind, the wrong ones among them, by name."""

    def __init__(self, folder: Path, payload: bytes) -> None:
        (folder / "in").write_bytes(payload)
        (folder / "out").write_bytes(b"")
        read, write = os.pipe()
        os.write(write, payload)
        os.close(write)
        other, full = os.pipe()
        gone, dead = os.pipe()
        os.close(gone)
        self.fds = {
            "pipe": read,
            "quiet": other,
            "full": full,
            "dead": dead,
            "file": os.open(folder / "in", os.O_RDONLY),
            "copy": os.open(folder / "out", os.O_WRONLY),
            "log": os.open(folder / "out", os.O_WRONLY | os.O_APPEND),
            "folder": os.open(folder, os.O_RDONLY),
            "null": os.open("/dev/null", os.O_RDWR),
            "no space": os.open("/dev/full", os.O_RDWR),
        }
        self.named = {fd: name for name, fd in self.fds.items()} | {-1: "none", 4000: "closed"}
        self.folder = folder

    def __getitem__(self, name: str) -> int:
        return {"none": -1, "closed": 4000}.get(name) or self.fds[name]

    def close(self) -> bytes:
        for fd in self.fds.values():
            with suppress(OSError):
                os.close(fd)
        return (self.folder / "out").read_bytes()


READERS = ["pipe", "file", "null", "folder", "copy", "full", "none", "closed"]
WRITERS = ["full", "dead", "copy", "log", "null", "no space", "quiet", "folder", "none", "closed"]


def outcome(name: str, folder: Path, payload: bytes, call: Callable[[Odd], object]) -> object:
    """What the call comes to with this backend: the report without its times, or the exception; and the file."""
    odd = Odd(folder, payload)
    os.environ["OTTAVA_STREAM_BACKEND"] = name
    before = len(open_descriptors())
    try:
        report: Any = call(odd)
        told: object = (report.bytes, [(sink.bytes, sink.gone) for sink in report.sinks])
        told = (told, getattr(report, "ending", None), getattr(report, "discarded", None), getattr(report, "data", None))
    except Exception as error:
        fds = re.sub(r"fd (-?\d+)", lambda found: odd.named[int(found[1])], str(error))
        told = (type(error), fds, getattr(error, "errno", None))
    else:
        # A reader is closed where its writer is gone.
        before -= getattr(report, "ending", None) == "writer-gone"
    left = len(open_descriptors()) - before
    return told, left, odd.close()


@QUICK
@given(
    payload=st.binary(max_size=5000),
    reader=st.sampled_from(READERS),
    writers=st.lists(st.sampled_from(WRITERS), min_size=1, max_size=3, unique=True),
    options=st.fixed_dictionaries(
        {},
        optional={
            "limit": st.none() | st.integers(-1, 6000),
            "buffer_size": st.sampled_from([0, 1, 7, 4096, 1 << 20, 1 << 40]),
            "pipe_size": st.sampled_from([-1, 0, 4096, 1 << 40]),
            "drain": st.booleans(),
            "in_kernel": st.booleans(),
        },
    ),
)
def test_native_and_python_come_to_the_same(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    payload: bytes,
    reader: str,
    writers: list[str],
    options: dict[str, Any],
) -> None:
    monkeypatch.setenv("OTTAVA_STREAM_BACKEND", "auto")
    first, *rest = writers

    def pump(odd: Odd) -> object:
        return streams.pump_sync(odd[reader], odd[first], tee=[odd[name] for name in rest], **options)

    def consume(odd: Odd) -> object:
        chosen = {key: value for key, value in options.items() if key in ("limit", "buffer_size", "pipe_size")}
        return streams.consume_sync(odd[reader], None, tee=[odd[name] for name in writers], **chosen)

    for call in (pump, consume):
        assert outcome("rust", tmp_path, payload, call) == outcome("python", tmp_path, payload, call)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 63, 64, 65, 4095, 65_536, 262_144, 262_145])
@pytest.mark.parametrize("encoding", [None, "utf-8"])
def test_consume_around_every_growth(backend: str, pipes: Any, size: int, encoding: str | None) -> None:
    payload = (b"ascii only " * (size // 11 + 1))[:size]
    data: bytes | str = streams.consume_sync(pipes.feed(payload), encoding).data  # type: ignore[call-overload]
    assert data == (payload if encoding is None else payload.decode())
    if isinstance(data, str):
        assert hash(data) == hash(payload.decode())
        assert (data + "é")[:-1] == data
