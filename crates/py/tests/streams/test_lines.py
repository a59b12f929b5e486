"""Lines: endings, splits, caps, blobs, callbacks."""

from __future__ import annotations

import codecs
import io
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from corpus import CORPUS, HANDLERS
from watching import SOON

from ottava import streams
from ottava.errors import LineTooLongError, StreamOptionError


def universal(data: bytes, errors: str = "strict") -> list[str]:
    """The oracle: what Python's own text files say."""
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", errors, newline=None).read()
    lines = text.split("\n")
    return lines[:-1] if not lines[-1] else lines


def gather(read: int, **options: Any) -> list[str]:
    return list(itertools.chain.from_iterable(streams.lines_sync(read, **options)))


TEXTS = [b"", b"\n", b"a", b"a\n", b"a\r\nb\rc\nd", b"\r\n\r\n", b"\n\r", b"\r\r\n\n", b"x\r", b"\r\na", b"\x0b\x0c\x1c\xc2\x85\n"]


@pytest.mark.parametrize("data", TEXTS)
@pytest.mark.parametrize("buffer_size", [1, 2, 3, 100])
def test_endings_at_every_split(backend: str, pipes: Any, data: bytes, buffer_size: int) -> None:
    assert gather(pipes.feed(data), buffer_size=buffer_size) == universal(data)
    blobs = list(streams.lines_sync(pipes.feed(data), blob=True, buffer_size=buffer_size))
    assert [line.decode() for blob in blobs for line in blob.lines()] == universal(data)
    counted = streams.count_lines_sync(pipes.feed(data), buffer_size=buffer_size)
    assert (counted.lines, counted.bytes) == (len(universal(data)), len(data))


def test_a_line_is_passed_on_as_soon_as_it_has_ended(backend: str, pipes: Any) -> None:
    read, write = pipes.pipe()
    lines = streams.lines_sync(read)
    for ending in (b"\n", b"\r", b"\r\n"):
        os.write(write, b"x" + ending)
        assert next(lines) == ["x"]
    lines.close()


def test_crlf_that_arrives_apart(backend: str, pipes: Any) -> None:
    read, write = pipes.pipe()
    with streams.lines_sync(read) as lines:
        os.write(write, b"one\r")
        assert next(lines) == ["one"]
        os.write(write, b"\ntwo\n")
        assert next(lines) == ["two"]


@pytest.mark.parametrize("errors", HANDLERS)
@pytest.mark.parametrize("data", CORPUS)
def test_decoding(backend: str, pipes: Any, data: bytes, errors: str) -> None:
    for data in (data, b"first\n" + data + b"\nlast"):
        for size in (1, 2, 3, 1000):
            got: list[str] = []
            failure = None
            try:
                for batch in streams.lines_sync(pipes.feed(data), errors=errors, buffer_size=size):
                    got += batch
            except UnicodeDecodeError as error:
                failure = error
            raw = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            wanted: list[str] = []
            try:
                for line in raw[:-1] if not raw[-1] else raw:
                    wanted.append(line.decode("utf-8", errors))
            except UnicodeDecodeError as error:
                assert failure is not None
                assert (failure.object, failure.start, failure.end) == (error.object, error.start, error.end)
            else:
                assert failure is None
                # Where bytes are dropped, a CR and a LF may meet that arrived as two endings.
                if errors != "ignore":
                    assert wanted == universal(data, errors)
            assert got == wanted


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii", "gb18030", "shift_jis"])
def test_encodings_that_contain_ascii(backend: str, pipes: Any, encoding: str) -> None:
    data = "one\r\ntwo\n".encode(encoding)
    assert gather(pipes.feed(data), encoding=encoding) == ["one", "two"]


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-32-le", "utf-7", "iso2022_jp", "klingon", "hex", "undefined", "a\0b", None, 3]
)
def test_encodings_that_do_not(backend: str, pipes: Any, encoding: Any) -> None:
    with pytest.raises(StreamOptionError, match="encoding"):
        streams.lines_sync(pipes.feed(b"x"), encoding=encoding)


@pytest.mark.parametrize("errors", ["shrug", "a\0b", None])
def test_error_handlers_that_do_not_exist(backend: str, pipes: Any, errors: Any) -> None:
    with pytest.raises(StreamOptionError, match="errors"):
        streams.lines_sync(pipes.feed(b"x"), errors=errors)


@pytest.mark.parametrize("encoding", ["UTF-8", "latin-1", "cp1252", "ascii", "gb18030", "shift_jis", "raw_unicode_escape"])
@pytest.mark.parametrize("errors", [*HANDLERS, "surrogatepass", "test-newline", "test-swallow"])
def test_every_line_is_decoded_by_itself(backend: str, pipes: Any, encoding: str, errors: str) -> None:
    # What a codec or an error handler makes of a line neither ends it nor takes its ending.
    codecs.register_error("test-newline", lambda error: ("\n", error.end))
    codecs.register_error("test-swallow", lambda error: ("", error.end + 1))
    data = b"a\xffb\n\x81\n\x810\r\nend \xe2\x82\n\\u000a\r\\u\n\n\x8f\xa2\xc3\xa9\nlast\xc3"
    raw = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for size in (3, 1000):
        got: list[str] = []
        failure: Exception | None = None
        try:
            for batch in streams.lines_sync(pipes.feed(data), encoding=encoding, errors=errors, buffer_size=size):
                got += batch
        except (UnicodeDecodeError, IndexError) as error:
            failure = error
        wanted: list[str] = []
        try:
            for line in raw:
                wanted.append(line.decode(encoding, errors))
        except (UnicodeDecodeError, IndexError) as error:
            assert type(failure) is type(error)
            assert str(failure) == str(error)
        else:
            assert failure is None
        assert got == wanted


def test_text_of_one_byte_per_character(backend: str, pipes: Any) -> None:
    text = "é\r\nüß\n\n" * 30_000
    assert gather(pipes.feed(text.encode("latin-1")), encoding="ISO-8859-1") == universal(text.encode())


@pytest.mark.parametrize("blob", [False, True])
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_line_too_long(backend: str, pipes: Any, blob: bool, size: int) -> None:
    read = pipes.feed(b"one\ntwo\r\n" + b"x" * 101 + b"\nafter\n")
    got: list[Any] = []
    with pytest.raises(LineTooLongError) as caught:
        for batch in streams.lines_sync(read, max_line=100, buffer_size=size, blob=blob):  # type: ignore[call-overload]
            got += batch.lines() if blob else batch
    assert (caught.value.line, caught.value.limit, caught.value.fd) == (2, 100, read)
    assert str(caught.value) == f"line 2 of fd {read} is longer than the limit of 100 bytes"
    assert len(got) == 2


def test_a_line_just_long_enough(backend: str, pipes: Any) -> None:
    for size in (1, 7, 1000):
        data = b"x" * 100 + b"\r\n" + b"y" * 100
        assert gather(pipes.feed(data), max_line=100, buffer_size=size) == ["x" * 100, "y" * 100]


def test_one_very_long_line_is_linear(backend: str, pipes: Any) -> None:
    took = {8 << 20: 1e9, 64 << 20: 1e9}
    for size in [*took] * 3:
        source = pipes.own(os.memfd_create("line"))
        os.write(source, b"x" * size)
        os.lseek(source, 0, os.SEEK_SET)
        start = time.process_time()
        (batch,) = streams.lines_sync(source, max_line=1 << 30)
        took[size] = min(took[size], time.process_time() - start)
        assert len(batch) == 1
        assert len(batch[0]) == size
        pipes.close(source)
    # Processor time, not wall time, the best of three; were it quadratic, it would be 64 times as much.
    assert took[64 << 20] < 40 * took[8 << 20]


def test_report(backend: str, pipes: Any) -> None:
    lines = streams.lines_sync(pipes.feed(b"a\r\nbb\nccc"))
    assert lines.report is None
    assert list(itertools.chain.from_iterable(lines)) == ["a", "bb", "ccc"]
    assert lines.report is not None
    assert (lines.report.lines, lines.report.bytes) == (3, 9)
    with pytest.raises(StopIteration):
        next(lines)
    assert (lines.report.way, [refusal.way for refusal in lines.report.refused]) == ("read/write", ["splice"])


def test_no_report_without_an_end(backend: str, pipes: Any) -> None:
    lines = streams.lines_sync(pipes.feed(b"a\n\xff\nb\n"))
    with pytest.raises(UnicodeDecodeError):
        list(lines)
    assert lines.report is None


def test_closed_while_another_thread_waits(backend: str, pipes: Any) -> None:
    for _ in range(20):
        read, _write = pipes.pipe()
        lines = streams.lines_sync(read)
        came: list[Any] = []

        def wait(lines: Any = lines, came: list[Any] = came) -> None:
            try:
                came.append(next(lines))
            except BaseException as error:
                came.append(type(error))

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.002)
        lines.close()
        thread.join(SOON)
        assert came == [StopIteration]


def test_errors_of_python_and_native_code_are_the_same(pipes: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    directory = pipes.own(os.open(tmp_path, os.O_RDONLY))
    read, write = pipes.pipe()
    data = tmp_path / "data"
    data.write_bytes(b"one\ntwo \xff\nthree is longer\n")
    source = pipes.own(os.open(data, os.O_RDONLY))

    def lines(**options: Any) -> Any:
        os.lseek(source, 0, os.SEEK_SET)
        return gather(options.pop("reader", source), **options)

    operations: list[Callable[[], object]] = [
        *(partial(gather, fd) for fd in (-1, 4000, directory, write)),
        *(partial(streams.count_lines_sync, fd) for fd in (-1, 4000, directory, write)),
        *(lambda fd=fd: lines(tee=[fd]) for fd in (-1, 4000, directory, read, source)),
        lambda: lines(),
        lambda: lines(encoding="ascii"),
        lambda: lines(max_line=10, errors="replace"),
        lambda: lines(max_line=2),
        *(lambda options=options: lines(**options) for options in BAD_OPTIONS),
        lambda: streams.count_lines_sync(read, timeout=0.01),
        lambda: streams.count_lines_sync(source, pipe_size=-1),
        lambda: streams.count_lines_sync(source, buffer_size=0),
    ]
    outcomes = []
    for backend in ("rust", "python"):
        monkeypatch.setenv("OTTAVA_STREAM_BACKEND", backend)
        outcome: list[tuple[type, str]] = []
        for operation in operations:
            with pytest.raises(Exception, match=".") as caught:
                operation()
            outcome.append((caught.type, str(caught.value)))
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1]


BAD_OPTIONS: list[dict[str, Any]] = [
    {"max_line": -1},
    {"max_line": "1"},
    {"buffer_size": 0},
    {"buffer_size": 1 << 40},
    {"pipe_size": -1},
    {"pipe_size": 1 << 31},
    {"errors": "shrug"},
    {"errors": "a\0b"},
    {"encoding": "hex"},
    {"encoding": None},
    {"tee": 5},
    {"tee": [object()]},
    {"reader": object()},
]


def test_one_at_a_time(backend: str, pipes: Any) -> None:
    got: list[str] = []
    report = streams.each_line_sync(pipes.feed(b"a\nb\n"), got.append, buffer_size=1, pipe_size=0)
    assert (got, report.lines) == (["a", "b"], 2)

    def fail(line: str) -> None:
        raise LookupError(line)

    with pytest.raises(LookupError, match="a"):
        streams.each_line_sync(pipes.feed(b"a\nb\n"), fail)


def test_tee(backend: str, pipes: Any) -> None:
    data = b"".join(b"line %d\r\n" % i for i in range(50_000))
    write, got = pipes.collect(piece=3000)
    lines = streams.lines_sync(pipes.feed(data), tee=[write])
    assert list(itertools.chain.from_iterable(lines)) == universal(data)
    pipes.join()
    assert b"".join(got) == data
    assert lines.report is not None
    assert [sink.bytes for sink in lines.report.sinks] == [len(data)]


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_leaving_early(backend: str, batches: int) -> None:
    producer = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    assert producer.stdout is not None
    for _ in itertools.islice(streams.lines_sync(producer.stdout), batches):
        pass
    producer.stdout.close()
    assert producer.wait(SOON) == -13


def test_reading_ahead_is_bounded(backend: str) -> None:
    producer = subprocess.Popen(
        [sys.executable, "-c", "import sys\nn=0\ntry:\n  while 1: sys.stdout.write('x'*999+'\\n'); n+=1000\nexcept BrokenPipeError: pass\nsys.stderr.write(str(n))\nimport os; os._exit(0)"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert producer.stdout is not None
    assert producer.stderr is not None
    with streams.lines_sync(producer.stdout) as lines:
        next(lines)
        time.sleep(0.3)
    producer.stdout.close()
    taken = int(producer.stderr.read())
    producer.stderr.close()
    producer.wait()
    assert taken < 8 << 20


def test_blob_spans(backend: str, pipes: Any) -> None:
    batches = list(streams.lines_sync(pipes.feed(b"ab\r\n\ncde\n"), blob=True))
    assert [b.spans.dtype.name for b in batches] == ["int64"] * len(batches)
    assert all(b.spans.shape == (len(b), 2) for b in batches)
    assert [line for b in batches for line in b.lines()] == [b"ab", b"", b"cde"]
