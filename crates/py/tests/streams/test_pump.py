"""Pumping between every kind of descriptor."""

from __future__ import annotations

import asyncio
import errno
import os
import pty
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tty
from pathlib import Path
from typing import Any

import pytest
from ends import connected, unread
from watching import PEAK, SOON, eventually, open_descriptors

from ottava import streams
from ottava.errors import StreamError, StreamOptionError, StreamReadError, StreamWriteError

PAYLOAD = random.Random(8).randbytes(1_500_000)


def test_pipe_to_pipe(backend: str, pipes: Any) -> None:
    write, got = pipes.collect()
    report = streams.pump_sync(pipes.feed(PAYLOAD), write)
    pipes.join()
    assert b"".join(got) == PAYLOAD
    assert report.bytes == len(PAYLOAD)
    assert report.ending == "eof"
    assert report.discarded == 0
    assert report.way == "splice"
    assert report.refused == ()
    assert [sink.bytes for sink in report.sinks] == [len(PAYLOAD)]
    assert report.read_blocked + report.write_blocked <= report.elapsed


@pytest.mark.parametrize("buffer_size", [1, 7, 4096, 1 << 20])
def test_copying_by_ourselves(backend: str, pipes: Any, buffer_size: int) -> None:
    payload = PAYLOAD[: buffer_size * 2000]
    write, got = pipes.collect()
    report = streams.pump_sync(pipes.feed(payload), write, in_kernel=False, buffer_size=buffer_size)
    pipes.join()
    assert b"".join(got) == payload
    assert report.way == "read/write"
    assert report.refused == (streams.Refusal("splice", "not wanted"),)


def test_empty(backend: str, pipes: Any) -> None:
    read, write = pipes.pipe()
    pipes.close(write)
    _, sink = pipes.pipe()
    report = streams.pump_sync(read, sink)
    assert (report.bytes, report.ending) == (0, "eof")


def make_reader(kind: str, pipes: Any, path: Path, payload: bytes) -> int:
    if kind == "pipe":
        return int(pipes.feed(payload))
    if kind == "fifo":
        os.mkfifo(path)
        opened: list[int] = []

        def work() -> None:
            with open(path, "wb", buffering=0) as file:
                rest = memoryview(payload)
                while rest:
                    rest = rest[file.write(rest) :]

        pipes._start(work)
        opened.append(pipes.own(os.open(path, os.O_RDONLY)))
        return opened[0]
    if kind == "file":
        path.write_bytes(payload)
        return int(pipes.own(os.open(path, os.O_RDONLY)))
    ours, theirs = socket.socketpair()
    if kind == "nonblocking-socket":
        ours.setblocking(False)

    def send() -> None:
        with theirs:
            theirs.sendall(payload)

    pipes._start(send)
    return int(pipes.own(ours.detach()))


def make_writer(kind: str, pipes: Any, path: Path) -> tuple[int, Any]:
    if kind == "pipe":
        write, got = pipes.collect()
        return write, lambda: b"".join(got)
    if kind == "nonblocking-pipe":
        write, got = pipes.collect()
        os.set_blocking(write, False)
        return write, lambda: b"".join(got)
    if kind == "fifo":
        os.mkfifo(path)
        chunks: list[bytes] = []
        pipes._start(lambda: chunks.append(path.read_bytes()))
        return pipes.own(os.open(path, os.O_WRONLY)), lambda: b"".join(chunks)
    if kind in ("file", "append"):
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if kind == "append" else 0)
        return pipes.own(os.open(path, flags)), path.read_bytes
    ours, theirs = socket.socketpair()
    if kind == "nonblocking-socket":
        ours.setblocking(False)
    received: list[bytes] = []

    def receive() -> None:
        with theirs:
            while chunk := theirs.recv(1 << 16):
                received.append(chunk)

    pipes._start(receive)
    return pipes.own(ours.detach()), lambda: b"".join(received)


WAYS = {
    ("pipe", "pipe"): "splice",
    ("pipe", "file"): "splice",
    ("pipe", "append"): "read/write",
    ("pipe", "socket"): "read/write",
    ("pipe", "nonblocking-socket"): "splice",
    ("file", "file"): "copy_file_range",
    ("file", "append"): "read/write",
    ("file", "pipe"): "read/write",
    ("file", "socket"): "read/write",
    ("file", "nonblocking-socket"): "read/write",
    ("socket", "pipe"): "read/write",
    ("nonblocking-socket", "pipe"): "splice",
    ("socket", "socket"): "read/write",
}


@pytest.mark.parametrize("in_kernel", [True, False])
@pytest.mark.parametrize(
    "target", ["pipe", "nonblocking-pipe", "fifo", "file", "append", "socket", "nonblocking-socket"]
)
@pytest.mark.parametrize("source", ["pipe", "fifo", "file", "socket", "nonblocking-socket"])
def test_every_kind_of_descriptor(
    backend: str, pipes: Any, tmp_path: Path, source: str, target: str, in_kernel: bool
) -> None:
    read = make_reader(source, pipes, tmp_path / "source", PAYLOAD)
    write, got = make_writer(target, pipes, tmp_path / "target")
    blocking = os.get_blocking(read), os.get_blocking(write)
    report = streams.pump_sync(read, write, in_kernel=in_kernel)
    assert (os.get_blocking(read), os.get_blocking(write)) == blocking
    pipes.join()
    assert got() == PAYLOAD
    assert report.bytes == len(PAYLOAD)
    if in_kernel and (source, target) in WAYS:
        way = WAYS[source, target]
        # Some file systems know no copy_file_range; then the report says so.
        assert report.way == way or (way == "copy_file_range" and report.refused)
        assert (report.way != "read/write") or report.refused


@pytest.mark.parametrize(("target", "way"), [("pipe", "splice"), ("nonblocking-socket", "sendfile")])
def test_aliasing_only_when_allowed(backend: str, pipes: Any, tmp_path: Path, target: str, way: str) -> None:
    read = make_reader("file", pipes, tmp_path / "source", PAYLOAD)
    write, got = make_writer(target, pipes, tmp_path / "target")
    report = streams.pump_sync(read, write, allow_aliasing=True)
    pipes.join()
    assert got() == PAYLOAD
    assert report.way == way


def test_append_goes_to_the_end(backend: str, pipes: Any, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    with open(path, "ab") as file:
        report = streams.pump_sync(pipes.feed(b"after\n"), file)
    assert path.read_bytes() == b"before\nafter\n"
    assert report.refused == (streams.Refusal("splice", "the writer is in append mode"),)


def test_files_keep_their_offsets(backend: str, pipes: Any, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"0123456789")
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as target:
        assert source.read(3) == b"012"
        target.write(b"<")
        report = streams.pump_sync(source, target, limit=4)
        assert source.read() == b"789"
        target.write(b">")
    assert report.ending == "limit"
    assert (tmp_path / "out").read_bytes() == b"<3456>"


def test_procfs_is_read_although_it_claims_to_be_empty(backend: str, tmp_path: Path) -> None:
    with open("/proc/self/status", "rb", buffering=0) as source, open(tmp_path / "out", "wb") as target:
        report = streams.pump_sync(source, target)
    assert (tmp_path / "out").read_bytes().startswith(b"Name:")
    assert report.bytes > 100


def test_same_file_is_refused(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "both"
    path.write_bytes(b"tail")
    with open(path, "rb") as source, open(path, "ab") as target:
        with pytest.raises(StreamError, match="are the same file"):
            streams.pump_sync(source, target)
    assert path.read_bytes() == b"tail"


def test_from_devices(backend: str, pipes: Any) -> None:
    write, got = pipes.collect()
    with open("/dev/null", "rb", buffering=0) as null:
        assert streams.pump_sync(null, write).bytes == 0
    with open("/dev/zero", "rb", buffering=0) as zero:
        assert streams.pump_sync(zero, write, limit=100_001).ending == "limit"
    pipes.join()
    assert b"".join(got) == bytes(100_001)


def test_to_dev_null_and_dev_full(backend: str, pipes: Any) -> None:
    with open("/dev/null", "wb") as null:
        assert streams.pump_sync(pipes.feed(PAYLOAD), null).bytes == len(PAYLOAD)
    with open("/dev/full", "wb", buffering=0) as full:
        with pytest.raises(StreamWriteError) as caught:
            streams.pump_sync(pipes.feed(b"x"), full)
        assert (caught.value.errno, caught.value.fd) == (errno.ENOSPC, full.fileno())


def test_terminals(backend: str, pipes: Any) -> None:
    primary, secondary = map(pipes.own, pty.openpty())
    tty.setraw(secondary)
    got: list[bytes] = []

    def read() -> None:
        while len(b"".join(got)) < 30_000:
            got.append(os.read(primary, 4096))

    reader = threading.Thread(target=read)
    reader.start()
    report = streams.pump_sync(pipes.feed(PAYLOAD[:30_000]), secondary)
    reader.join()
    assert b"".join(got) == PAYLOAD[:30_000]
    assert report.refused == (streams.Refusal("splice", "one end is a terminal"),)
    os.write(secondary, b"typed\n")
    pipes.close(secondary)
    write, answered = pipes.collect()
    assert streams.pump_sync(primary, write).ending == "eof"
    pipes.join()
    assert b"".join(answered) == b"typed\n"


def test_cancelled_while_a_terminal_is_stopped(backend: str, pipes: Any) -> None:
    _, secondary = map(pipes.own, pty.openpty())
    with pytest.raises(TimeoutError):
        streams.pump_sync(pipes.feed(PAYLOAD), secondary, timeout=0.2)


def test_closed_and_invalid(backend: str, pipes: Any) -> None:
    read, write = pipes.pipe()
    for bad in (-1, 4_000, 1 << 30, 1 << 31, -(1 << 40)):
        with pytest.raises(StreamReadError) as caught_read:
            streams.pump_sync(bad, write)
        assert (caught_read.value.errno, caught_read.value.fd) == (errno.EBADF, bad)
        with pytest.raises(StreamWriteError) as caught_write:
            streams.pump_sync(read, bad)
        assert (caught_write.value.errno, caught_write.value.fd) == (errno.EBADF, bad)


def test_wrong_ends(backend: str, pipes: Any) -> None:
    read, write = pipes.pipe()
    with pytest.raises(StreamReadError) as caught_read:
        streams.pump_sync(write, write)
    assert str(caught_read.value) == (
        f"[Errno 9] cannot read from fd {write} after 0 bytes: Bad file descriptor"
    )
    with pytest.raises(StreamWriteError) as caught_write:
        streams.pump_sync(read, read)
    assert caught_write.value.fd == read


def test_directory(backend: str, pipes: Any, tmp_path: Path) -> None:
    _, write = pipes.pipe()
    directory = pipes.own(os.open(tmp_path, os.O_RDONLY))
    with pytest.raises(StreamReadError) as caught:
        streams.pump_sync(directory, write)
    assert caught.value.errno == errno.EISDIR


def test_the_writer_is_closed_whatever_happens(backend: str, pipes: Any) -> None:
    read, _ = pipes.pipe()
    # That a descriptor cannot be closed says less than that it cannot be written.
    with pytest.raises(StreamWriteError):
        streams.pump_sync(read, 4_000, close_writer=True)
    for close in (
        lambda write: streams.pump_sync(read, write, close_writer=True, buffer_size=0),
        lambda write: asyncio.run(_pump(read, write, close_writer=True, buffer_size=0)),
        lambda write: streams.pump_sync(-1, write, close_writer=True),
    ):
        target, write = os.pipe()
        pipes.own(target)
        with pytest.raises((StreamOptionError, StreamReadError)):
            close(write)
        assert os.read(target, 1) == b""


async def _pump(*ends: Any, **options: Any) -> Any:
    return await streams.pump(*ends, **options)


def test_what_a_named_temporary_file_holds_comes_first(backend: str, pipes: Any) -> None:
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write("head ")
        streams.pump_sync(pipes.feed(b"tail"), file)
        assert Path(file.name).read_bytes() == b"head tail"


@pytest.mark.parametrize("size", [0, -1, 1 << 40, (64 << 20) + 1, True, 1.5, "64"])
def test_buffer_size_out_of_range(backend: str, pipes: Any, size: Any) -> None:
    read, write = pipes.pipe()
    for operation in (
        lambda: streams.pump_sync(read, write, buffer_size=size),
        lambda: streams.consume_sync(read, buffer_size=size),
        lambda: streams.count_lines_sync(read, buffer_size=size),
        lambda: streams.lines_sync(read, buffer_size=size),
    ):
        with pytest.raises(StreamOptionError, match=r"^buffer_size is "):
            operation()


def test_numbers_that_python_does_not_show(backend: str, pipes: Any) -> None:
    read, write = pipes.pipe()
    for option in ("buffer_size", "pipe_size", "limit"):
        for number in (1 << 20_000, -1 << 20_000):
            with pytest.raises(StreamOptionError, match=f"^{option} is an integer of 20001 bits, not between "):
                streams.pump_sync(read, write, **{option: number})


@pytest.mark.parametrize("option", ["drain", "in_kernel", "allow_aliasing"])
@pytest.mark.parametrize("value", [1, 0, None, "no"])
def test_switches_are_true_or_false(backend: str, pipes: Any, option: str, value: Any) -> None:
    read, write = pipes.pipe()
    with pytest.raises(StreamOptionError, match=f"^{option} is {value!r}, not True or False$"):
        streams.pump_sync(read, write, **{option: value})


@pytest.mark.parametrize("end", [True, "path", None, 1.0, object()])
def test_no_descriptor(backend: str, pipes: Any, end: Any) -> None:
    read, write = pipes.pipe()
    with pytest.raises(StreamOptionError, match=r"^reader is "):
        streams.pump_sync(end, write)
    with pytest.raises(StreamOptionError, match=r"^writer is "):
        streams.pump_sync(read, end)


@pytest.mark.parametrize("in_kernel", [True, False])
def test_reader_is_closed_when_the_writer_is_gone(backend: str, pipes: Any, in_kernel: bool) -> None:
    producer = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    assert producer.stdout is not None
    write, got = pipes.collect(most=1)
    report = streams.pump_sync(producer.stdout, write, in_kernel=in_kernel)
    assert report.ending == "writer-gone"
    assert producer.stdout.closed
    assert producer.wait(SOON) == -13
    assert report.sinks[0].gone == errno.EPIPE


def test_a_plain_number_is_closed_too(backend: str, pipes: Any) -> None:
    read = pipes.feed(PAYLOAD)
    target, write = pipes.pipe()
    pipes.close(target)
    assert streams.pump_sync(read, write).ending == "writer-gone"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(read)
    pipes.forget(read)


def test_a_dead_writer_is_noticed_while_the_reader_is_quiet(backend: str, pipes: Any) -> None:
    read, _quiet = pipes.pipe()
    target, write = pipes.pipe()
    pipes.later(0.1, lambda: pipes.close(target))
    assert streams.pump_sync(read, write, timeout=SOON).ending == "writer-gone"
    pipes.forget(read)


@pytest.mark.parametrize("in_kernel", [True, False])
def test_drain_reads_the_rest(backend: str, pipes: Any, in_kernel: bool) -> None:
    write, got = pipes.collect(most=1, piece=1000)
    read = pipes.feed(PAYLOAD, PAYLOAD)
    report = streams.pump_sync(read, write, drain=True, in_kernel=in_kernel)
    assert (report.ending, report.bytes) == ("eof", 2 * len(PAYLOAD))
    assert report.discarded == report.bytes - report.sinks[0].bytes
    assert os.fstat(read)


def test_sockets_that_hang_up(backend: str, pipes: Any) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    read = pipes.feed(PAYLOAD)
    with ours:
        assert streams.pump_sync(read, ours).ending == "writer-gone"
    pipes.forget(read)


@pytest.mark.parametrize("in_kernel", [True, False])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_quiet_blocking_socket_does_not_hold_the_pump(backend: str, pipes: Any, kind: str, in_kernel: bool) -> None:
    read = pipes.quiet(kind)
    _, write = pipes.pipe()
    assert os.get_blocking(read)
    with pytest.raises(TimeoutError):
        streams.pump_sync(read, write, timeout=0.1, in_kernel=in_kernel)


def test_a_blocking_socket_is_not_spliced_from(backend: str, pipes: Any) -> None:
    ours, theirs = connected("tcp")
    write, got = pipes.collect()
    with ours:
        with theirs:
            theirs.sendall(PAYLOAD[:100_000])
        report = streams.pump_sync(ours, write)
    pipes.join()
    assert b"".join(got) == PAYLOAD[:100_000]
    assert report.refused == (streams.Refusal("splice", "the reader is a blocking socket"),)


@pytest.mark.parametrize("in_kernel", [True, False])
@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_reader_that_resets_is_an_error(backend: str, pipes: Any, kind: str, blocking: bool, in_kernel: bool) -> None:
    ours, theirs = connected(kind)
    ours.setblocking(blocking)
    # A peer that closes without having read everything resets, and so does one that is told not to linger.
    ours.send(b"never read")
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.sendall(b"half of the data")
    target, write = pipes.pipe()
    with ours:
        pipes.later(0.1, lambda: (eventually(lambda: unread(target) == 16), theirs.close()))
        with pytest.raises(StreamReadError) as caught:
            streams.pump_sync(ours, write, in_kernel=in_kernel)
        assert (caught.value.errno, caught.value.fd, caught.value.bytes) == (errno.ECONNRESET, ours.fileno(), 16)


UNPRIVILEGED = """
import fcntl, os
from ottava import streams
GET, SET = 1032, 1031
source, feed = os.pipe()
fcntl.fcntl(feed, SET, 1 << 20)
os.write(feed, b"bytes" * 100)
os.close(feed)
streams.backend_name()
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
ends = [os.pipe() for _ in range(2)]
hoard = []
try:
    while True:
        hoard.append(os.pipe())
        fcntl.fcntl(hoard[-1][0], SET, 1 << 20)
except OSError as error:
    print(error.strerror)
(target, write), (other, second) = ends
if {tee}:
    report = streams.pump_sync(source, write, tee=[second])
    print(report.refused[0].way, report.refused[0].why)
else:
    report = streams.pump_sync(source, write)
print(report.bytes, fcntl.fcntl(target, GET) < 1 << 20)
"""


@pytest.mark.parametrize("tee", [False, True])
def test_pipes_that_the_system_does_not_let_us_enlarge(backend: str, tee: bool) -> None:
    environment = {**os.environ, "OTTAVA_STREAM_BACKEND": backend}
    script = UNPRIVILEGED.replace("{tee}", str(tee))
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=SOON)
    refusal = "Operation not permitted" if backend == "rust" else "not without the native module"
    words = ["Operation not permitted", *([f"tee {refusal}"] if tee else []), "500 True"]
    assert done.stdout.splitlines() == words, done.stderr


@pytest.mark.parametrize("limit", [0, 1, 65_536, 1_000_000])
@pytest.mark.parametrize("in_kernel", [True, False])
def test_limit(backend: str, pipes: Any, limit: int, in_kernel: bool) -> None:
    read = pipes.feed(PAYLOAD)
    write, got = pipes.collect()
    report = streams.pump_sync(read, write, limit=limit, in_kernel=in_kernel)
    rest = streams.consume_sync(read, None)
    pipes.join()
    assert (report.ending, report.bytes) == ("limit", limit)
    assert b"".join(got) + rest.data == PAYLOAD


def test_close_writer(backend: str, pipes: Any) -> None:
    write, got = pipes.collect()
    streams.pump_sync(pipes.feed(b"bytes"), write, close_writer=True)
    pipes.forget(write)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(write)


def test_buffered_python_files(backend: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("one\ntwo\nthree\n")
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "w") as target:
        assert source.readline() == b"one\n"
        target.write("zero\n")
        streams.pump_sync(source, target)
    assert (tmp_path / "out").read_text() == "zero\ntwo\nthree\n"


def test_progress(backend: str, pipes: Any) -> None:
    read, feed = pipes.pipe()
    write, _ = pipes.collect()
    chunks = iter([bytes(1000)] * 5)
    counts: list[int] = []

    def note(count: int) -> None:
        counts.append(count)
        if chunk := next(chunks, b""):
            os.write(feed, chunk)
        elif feed in pipes._fds:
            pipes.close(feed)

    start = time.monotonic()
    report = streams.pump_sync(read, write, on_progress=note)
    assert counts == sorted(set(counts))
    assert counts[-1] == report.bytes == 5000
    assert len(counts) >= 5
    # At most twenty times a second, and at the end.
    assert time.monotonic() - start >= 0.05 * (len(counts) - 1)


def test_progress_that_raises_ends_the_pump(backend: str, pipes: Any) -> None:
    read, write = pipes.pipe()
    os.write(write, b"one")
    _, sink = pipes.pipe()

    def fail(_: int) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        streams.pump_sync(read, sink, on_progress=fail)


def test_timeout(backend: str, pipes: Any) -> None:
    read, write = pipes.pipe()
    os.write(write, b"12345")
    _, sink = pipes.pipe()
    start = time.monotonic()
    # Whether the bytes were taken by then depends on the machine.
    with pytest.raises(TimeoutError, match="not over after 0.1 seconds and [05] bytes"):
        streams.pump_sync(read, sink, timeout=0.1)
    assert time.monotonic() - start >= 0.1


@pytest.mark.parametrize("timeout", [0, -1, -0.5])
def test_a_timeout_that_is_over_moves_nothing(backend: str, pipes: Any, timeout: float) -> None:
    read, write = pipes.feed(b"bytes"), pipes.collect()[0]
    for operation in (
        lambda: streams.pump_sync(read, write, timeout=timeout),
        lambda: streams.consume_sync(read, timeout=timeout),
        lambda: streams.count_lines_sync(read, timeout=timeout),
    ):
        with pytest.raises(TimeoutError, match=f"^not over after {timeout} seconds and 0 bytes$"):
            operation()
    assert streams.consume_sync(read, None, timeout=SOON).data == b"bytes"


@pytest.mark.parametrize("timeout", [float("nan"), "5", True, [1]])
def test_a_timeout_that_is_no_number(backend: str, pipes: Any, timeout: Any) -> None:
    read, write = pipes.pipe()
    with pytest.raises(StreamOptionError, match="^timeout is .*, not a number of seconds$"):
        streams.pump_sync(read, write, timeout=timeout)


def test_an_error_that_is_kept_holds_no_descriptor(backend: str, pipes: Any) -> None:
    read, _ = pipes.pipe()
    _, write = pipes.pipe()
    kept: list[BaseException] = []
    before = open_descriptors()
    for _ in range(5):
        with pytest.raises(TimeoutError) as caught:
            streams.pump_sync(read, write, timeout=0.001)
        kept.append(caught.value)
        with pytest.raises(TimeoutError) as caught:
            streams.consume_sync(read, timeout=0.001)
        kept.append(caught.value)
    closed = [streams.lines_sync(read) for _ in range(5)]
    for lines in closed:
        lines.close()
    assert open_descriptors() == before
    assert (len(kept), [lines.report for lines in closed]) == (10, [None] * 5)


def test_more_than_four_gibibytes(backend: str, pipes: Any) -> None:
    size = (4 << 30) + 12_345
    source = pipes.sparse(size)
    with open("/dev/null", "wb") as null:
        read, write = pipes.pipe(1 << 20)
        filler = threading.Thread(target=streams.pump_sync, args=(source, write), kwargs={"allow_aliasing": True})
        filler.start()
        report = streams.pump_sync(read, null, limit=size)
        filler.join()
    assert report.bytes == size
    assert report.sinks[0].bytes == size


def test_memory_stays_bounded(backend: str) -> None:
    script = f"""
import os, threading, time
os.environ["OTTAVA_STREAM_BACKEND"] = {backend!r}
from ottava import streams
source, feed = os.pipe()
drain, sink = os.pipe()
def produce():
    block = bytes(1 << 20)
    for _ in range(200):
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(feed, rest):]
    os.close(feed)
def consume():
    while os.read(drain, 1 << 16):
        time.sleep(0.00005)
streams.pump_sync(os.open("/dev/null", os.O_RDONLY), os.open("/dev/null", os.O_WRONLY))
{PEAK}
before = peak()
threads = [threading.Thread(target=produce), threading.Thread(target=consume)]
for thread in threads:
    thread.start()
report = streams.pump_sync(source, sink, in_kernel=False)
os.close(sink)
for thread in threads:
    thread.join()
assert report.bytes == 200 << 20
print(peak() - before)
"""
    grown = int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)
    assert grown < 64 << 20, "bytes more than before, of 200 MiB that passed"
