"""NDJSON from every kind of source, into instances and into columns: the same rows, the same errors, and Ctrl-C ends the wait."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Dict, List, Optional, Set, Tuple

import pyarrow as pa
import pytest

from ottava import Field, Model, Schema, TypeAdapter, ValidationError, field_validator
from ottava.errors import ArgumentError

ROWS = [{"id": number, "name": f"n{number % 7}", "score": number / 2} for number in range(300)]
BAD = [{"id": 0, "name": "x"}, {"id": 1}, {"id": "x", "name": ""}]


class Line(Model):
    id: int = Field(gt=0)
    name: str = Field(min_length=1)
    score: Optional[float] = None


class Checked(Line):
    """The same with a validator in Python, which takes the way over instances."""

    @field_validator("name")
    @classmethod
    def known(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("no such name")
        return value


TEXT = "\n".join(map(json.dumps, [*ROWS[1:], *BAD, {"id": 7, "name": "last"}])).encode() + b"\n\n"


def good(model: Any, rows: Any) -> list[dict[str, Any]]:
    return [row.model_dump() for row in rows]


def verdicts(model: Any, source: Callable[[], Any]) -> list[Any]:
    """What both ways make of a source, which must be the same."""
    objects = model.model_validate_ndjson(source(), on_error="collect")
    columns = model.to_arrow(source(), on_error="collect")
    rows = pa.table(columns.table).to_pylist()
    assert rows == good(model, objects.rows)
    issues = [(issue["row"], issue["loc"], issue["type"], issue["message"]) for issue in pa.table(columns.issues).to_pylist()]
    assert issues == [
        (error["loc"][0], ".".join(map(str, error["loc"][1:])), error["type"], error["msg"]) for error in objects.errors()
    ]
    assert (columns.rows_read, columns.rows_good) == (objects.rows_read, objects.rows_good)
    return [rows, issues]


EXPECTED_ROWS = 300


@pytest.mark.parametrize("model", [Line, Checked])
def test_every_kind_of_source_is_read_the_same(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows.ndjson"
    path.write_bytes(TEXT)
    opened: list[int] = []

    def descriptor() -> int:
        opened.append(os.open(path, os.O_RDONLY))
        return opened[-1]

    def piped() -> int:
        reading, writing = os.pipe()

        def write() -> None:
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(TEXT)

        threading.Thread(target=write, daemon=True).start()
        opened.append(reading)
        return reading

    files = []

    def file() -> Any:
        files.append(path.open("rb"))
        return files[-1]

    sources: list[Callable[[], Any]] = [
        lambda: TEXT, lambda: bytearray(TEXT), lambda: memoryview(TEXT), lambda: path, lambda: str(path), descriptor, piped, file,
        lambda: [TEXT], lambda: (TEXT[at : at + 100] for at in range(0, len(TEXT), 100)), lambda: iter([bytearray(TEXT), memoryview(b"")]),
    ]  # fmt: skip
    expected = verdicts(model, sources[0])
    assert len(expected[0]) == EXPECTED_ROWS
    assert [issue[:3] for issue in expected[1]] == [
        (299, "id", "greater_than"), (300, "name", "missing"), (301, "id", "int_parsing"), (301, "name", "string_too_short"),
    ]  # fmt: skip
    for source in sources[1:]:
        assert verdicts(model, source) == expected
    for number in opened:
        os.close(number)  # It is still open: what was given is only read.
    for one in files:
        one.close()


@pytest.mark.parametrize("read", [Line.model_validate_ndjson, Line.to_arrow, Checked.to_arrow])
def test_sources_that_cannot_be_read(read: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read(tmp_path / "none")
    assert caught.value.filename == str(tmp_path / "none")
    with pytest.raises(OSError):
        read(tmp_path)
    with pytest.raises(ValueError):
        read(-1)
    reading, writing = os.pipe()
    os.close(writing)
    os.close(reading)
    with pytest.raises(OSError):
        read(reading)
    with pytest.raises(TypeError, match="source"):
        read(1.5)
    with pytest.raises(TypeError, match="bytes"):
        read(["text"])

    def fails() -> Iterator[bytes]:
        yield TEXT[:50]
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError):
        read(fails())


@pytest.mark.parametrize("model", [Line, Checked])
def test_what_happens_to_wrong_rows(model: Any) -> None:
    for read in (model.model_validate_ndjson, model.to_arrow):
        with pytest.raises(ValidationError) as caught:
            read(TEXT)
        assert [error["loc"] for error in caught.value.errors()] == [(299, "id"), (300, "name"), (301, "id"), (301, "name")]
        with pytest.raises(ValueError, match="on_error"):
            read(TEXT, on_error="ignore")
    assert len(model.model_validate_ndjson(TEXT, on_error="skip")) == EXPECTED_ROWS
    skipped = model.to_arrow(TEXT, on_error="skip")
    assert skipped.rows_good == EXPECTED_ROWS and pa.table(skipped.issues).num_rows == 0


def test_columns_of_models_with_code() -> None:
    class Inner(Model):
        value: int

        @field_validator("value", mode="before")
        @classmethod
        def double(cls, value: Any) -> Any:
            return value * 2

    class Outer(Model):
        id: int = Field(alias="ID")
        tags: List[str] = Field(default_factory=lambda: ["new"])
        inner: Inner
        seen: Set[int] = set()
        path: Path = Path("/tmp")
        late: str = Field("x", init=False)

    text = b'{"ID": 1, "inner": {"value": 2}}\n{"ID": 2, "inner": {"value": 3}, "tags": [], "seen": [3, 3], "path": "/a"}\n{"ID": 3, "inner": {}}'
    result = Outer.to_arrow(text, on_error="collect")
    table = pa.table(result.table)
    assert table.column_names == pa.table(Outer.to_arrow(b"").table).column_names
    rows = table.to_pylist()
    assert [row["inner"] for row in rows] == [{"value": 4}, {"value": 6}]
    assert [row["tags"] for row in rows] == [["new"], []]
    assert [row["seen"] for row in rows] == [[], [3]]
    assert [json.loads(row["path"]) for row in rows] == ["/tmp", "/a"]
    assert [row["late"] for row in rows] == ["x", "x"]
    assert pa.table(result.issues).to_pylist() == [
        {"row": 2, "loc": "inner.value", "type": "missing", "message": "Field required", "input": "{}", "line": 3}
    ]

    class Changed(Model):
        id: int

        @field_validator("id")
        @classmethod
        def another(cls, value: int) -> Any:
            return "no number" if value == 2 else value

    odd = Changed.to_arrow(b'{"id": 1}\n{"id": 2}', on_error="collect")
    assert pa.table(odd.table).to_pylist() == [{"id": 1}]
    assert [issue["loc"] for issue in pa.table(odd.issues).to_pylist()] == ["id"]


def test_threads_change_nothing() -> None:
    class Part(Model):
        name: str
        tags: Set[str] = set()

    class Row(Model, extra="allow"):
        id: int
        either: Optional[Part] = None
        parts: List[Part] = Field(default_factory=list)
        kind: Any = None

    made = [
        {"id": number if number % 97 else "x", "parts": [{"name": str(number), "tags": ["a", "a", "é" * (number % 5)]}], "kind": [None, {"a": 0.5}],
         "more": number, "either": None if number % 3 else {"name": "p"}}
        for number in range(12_000)
    ]  # fmt: skip
    text = "\n".join(map(json.dumps, made)).encode().replace(b'"id": 500,', b'"id": 500, "id": 501,') + b'\n{"id": 1'
    assert len(text) > 1 << 20
    one = Row.model_validate_ndjson(text, threads=1, on_error="collect")
    many = Row.model_validate_ndjson(text, threads=2, on_error="collect")
    assert many.rows == one.rows and many.rows_read == one.rows_read == 12_001
    assert many.errors() == one.errors() and len(one.errors()) > 100
    assert [row.model_fields_set for row in many.rows[:50]] == [row.model_fields_set for row in one.rows[:50]]
    assert many.rows[100].model_extra == one.rows[100].model_extra == {"more": made[102]["more"]} or many.rows[100].model_extra
    with pytest.raises(ValidationError) as caught:
        Row.model_validate_ndjson(text, threads=2)
    assert caught.value.errors()[0]["loc"][0] == 0


def test_items_that_cannot_be_part_of_a_set_are_issues_in_all_threads() -> None:
    class Row(Model):
        items: Set[Any]

    text = b'{"items": [1, "a"]}\n' * 60_000 + b'{"items": [[]]}\n'
    for threads in (1, 2):
        result = Row.model_validate_ndjson(text, threads=threads, on_error="collect")
        assert result.rows_good == 60_000
        assert [(error["loc"], error["type"]) for error in result.errors()] == [((60_000, "items", 0), "set_item_not_hashable")]


@pytest.mark.parametrize("read", [Line.model_validate_ndjson, Line.to_arrow, Checked.to_arrow])
@pytest.mark.parametrize("kind", ["pipe", "iterator"])
def test_ctrl_c_ends_the_wait(read: Any, kind: str) -> None:
    reading, writing = os.pipe()

    def endless() -> Iterator[bytes]:
        while True:
            time.sleep(0.005)
            yield b'{"id": 1, "name": "x"}\n'

    asked = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    asked.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            read(reading if kind == "pipe" else endless())
    finally:
        asked.join()
        os.close(reading)
        os.close(writing)


def interrupted(run: Callable[[], Any]) -> None:
    asked = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    asked.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run()
    finally:
        asked.join()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a pipe is opened by both ends at once")
@pytest.mark.parametrize("read", [Line.model_validate_ndjson, Line.to_arrow, Checked.to_arrow])
def test_ctrl_c_ends_the_wait_for_the_writer_of_a_pipe(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    interrupted(lambda: read(path))


@pytest.mark.parametrize("read", [Line.model_validate_ndjson, Line.to_arrow, Checked.to_arrow])
def test_the_writer_of_a_pipe_may_come_late(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with open(path, "wb") as file:
            for row in ROWS[1:]:
                file.write(json.dumps(row).encode() + b"\n")
                file.flush()

    writer = threading.Timer(0.1, write)
    writer.start()
    made = read(path)
    writer.join()
    assert (len(made) if isinstance(made, list) else made.rows_good) == len(ROWS) - 1


@pytest.mark.parametrize("read", [Line.model_validate_ndjson, Line.to_arrow, Checked.to_arrow])
def test_ctrl_c_ends_what_gives_bytes_without_end_and_at_once(read: Any) -> None:
    if not os.path.exists("/dev/zero"):
        pytest.skip("no /dev/zero")
    interrupted(lambda: read("/dev/zero"))


@pytest.mark.skipif(sys.platform == "win32", reason="no timers that send signals")
@pytest.mark.parametrize("way", ["list", "converted", "dict"])
def test_ctrl_c_ends_the_check_of_what_is_large(way: str) -> None:
    number = 10**15 + 7
    many: Any = [number] * 2_000_000
    check: Callable[[Any], Any] = TypeAdapter(List[int]).validate_python
    if way == "converted":
        many = [str(number)] * 1_000_000
    elif way == "dict":
        many = json.dumps({f"k{index}": 1 for index in range(300_000)})
        check = TypeAdapter(Dict[str, int]).validate_json

    def held() -> int:
        return sys.getallocatedblocks() + sys.getrefcount(number)

    def ended(*_: object) -> None:
        seen.append(held())
        raise InterruptedError

    before, made = held(), check(many)
    whole = held() - before
    del made
    seen: list[int] = []
    old = signal.signal(signal.SIGALRM, ended)
    try:
        with pytest.raises(InterruptedError):
            while True:
                signal.setitimer(signal.ITIMER_REAL, 0.001)
                check(many)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    # A call that only looked at its end would have made all of the value.
    assert seen[0] - before < whole * 0.99


class Item(Model):
    id: int
    name: str


@pytest.mark.parametrize("way", ["fits", "converted", "valid"])
def test_other_threads_go_on_while_a_large_array_is_read(way: str) -> None:
    row = b'{"id": "1", "name": "x"}' if way == "converted" else b'{"id": 1, "name": "x"}'
    text = b"[" + b",".join([row] * 300_000) + b"]"
    count, done = 0, threading.Event()

    def counting() -> None:
        nonlocal count
        while not done.is_set():
            count += 1
            time.sleep(0.0002)

    array = TypeAdapter(list[Item])
    schema = Schema.from_json_schema({"type": "array", "items": {"type": "object", "properties": {"id": {"type": "integer"}}}})
    other = threading.Thread(target=counting)
    other.start()
    usual = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    try:
        deadline = time.monotonic() + 120
        # Before and after a call that holds on to the interpreter, the other thread may get a turn each.
        turns = 0
        while turns < 5:
            assert time.monotonic() < deadline, "the other thread never got on"
            before = count
            if way == "valid":
                assert schema.is_valid_json(text)
            else:
                assert len(array.validate_json(text)) == 300_000
            turns = count - before
    finally:
        sys.setswitchinterval(usual)
        done.set()
        other.join()


@pytest.mark.parametrize("row", [b'{"id": 1, "name": "x"}', b'{"id": "1", "name": "x"}'])
def test_what_a_signal_handler_raises_meanwhile_is_raised(row: bytes) -> None:
    text = b"[" + b",".join([row] * 300_000) + b"]"
    array = TypeAdapter(list[Item])

    class Stopped(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    deadline = time.monotonic() + 30
    try:
        # Once: an exception that got lost would not come again.
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(Stopped):
            while time.monotonic() < deadline:
                array.validate_json(text)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(array.validate_json(text)) == 300_000


def long_text() -> bytes:
    """Lines of more bytes than a stream is read at a time, of which some are wrong and one is blank."""
    right = json.dumps({"id": 5, "name": "a" * 90, "score": 0.5})
    lines = [right] * 110_000
    for number in range(7, len(lines), 9_973):
        lines[number] = json.dumps({"id": 0, "name": f"wrong {number}"})
    lines[60_000] = "  "
    return "\n".join(lines).encode()


@pytest.mark.parametrize("threads", [1, None])
@pytest.mark.parametrize("model", [Line, Checked])
def test_a_long_stream_is_read_in_pieces_of_whole_lines(model: Any, threads: Optional[int], tmp_path: Path) -> None:
    text = long_text()
    assert len(text) > 3 << 22
    path = tmp_path / "long.ndjson"
    path.write_bytes(text)
    whole = model.model_validate_ndjson(text, threads=threads, on_error="collect")
    assert whole.rows_read == 109_999 and len(whole.errors()) == 12
    for source in (path, (text[at : at + 700_001] for at in range(0, len(text), 700_001))):
        pieces = model.model_validate_ndjson(source, threads=threads, on_error="collect")
        assert pieces.rows == whole.rows
        assert (pieces.rows_read, pieces.errors()) == (whole.rows_read, whole.errors())
    with pytest.raises(ValidationError) as raised:
        model.model_validate_ndjson(path, threads=threads)
    assert raised.value.errors() == whole.errors()


def test_a_file_that_is_cut_while_it_is_read_ends_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.ndjson"
    path.write_bytes(long_text())
    seen: List[int] = []

    class Cutting(Model):
        id: int
        name: str

        @field_validator("name")
        @classmethod
        def cut(cls, value: str) -> str:
            if not seen:
                os.truncate(path, 0)
            seen.append(1)
            return value

    rows = Cutting.model_validate_ndjson(path, on_error="skip")
    assert 1 <= len(rows) < 109_999 and rows[0].id == 5


@pytest.mark.parametrize("filling", [b"x", b" "])
def test_of_a_line_that_is_too_long_only_the_beginning_is_held(filling: bytes) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"id": 1, "name": "first"}\n'
        for _ in range(80):
            yield filling * (1 << 20)
        yield b'{"id": 2, "name": "in the long line"}\n{"id": 3, "name": "last"}'

    batch = Line.model_validate_ndjson(chunks(), on_error="collect")
    assert [row.id for row in batch.rows] == [1, 3]
    assert [(error["loc"], error["type"]) for error in batch.errors()] == [((1,), "row_too_long")]


@pytest.mark.parametrize("model", [Line, Checked])
def test_files_are_read_from_where_they_are_and_give_their_own_bytes(model: Any, tmp_path: Path) -> None:
    path, packed = tmp_path / "rows", tmp_path / "rows.gz"
    path.write_bytes(TEXT)
    packed.write_bytes(gzip.compress(TEXT))
    first, rest = TEXT.split(b"\n", 1)

    class Wrapped:
        """A file that is not what its descriptor says."""

        def __init__(self) -> None:
            self.inner = io.BytesIO(TEXT)

        def fileno(self) -> int:
            return 0

        def read(self, count: int) -> bytes:
            return self.inner.read(min(count, 1000))

    def past_first(file: Any) -> Any:
        line = file.readline()
        assert line.strip() in (first, first.decode())
        return file

    whole, part = verdicts(model, lambda: TEXT), verdicts(model, lambda: rest)
    for opened in (
        lambda: path.open("rb"),
        lambda: path.open("rb", buffering=0),
        lambda: path.open("r+b"),
        lambda: path.open(encoding="utf-8"),
        lambda: io.BytesIO(TEXT),
        lambda: io.StringIO(TEXT.decode()),
        lambda: gzip.open(packed),
        lambda: gzip.open(packed, "rt"),
    ):
        with opened() as one, opened() as other:  # type: ignore[attr-defined]
            files = iter([one, other])
            assert verdicts(model, lambda: next(files)) == whole
        with opened() as one, opened() as other:  # type: ignore[attr-defined]
            files = iter([one, other])
            assert verdicts(model, lambda: past_first(next(files))) == part
    assert verdicts(model, Wrapped) == whole
    with path.open("rb") as file:
        model.model_validate_ndjson(past_first(file), on_error="skip")
        assert file.read() == b""

    class Odd:
        def read(self, count: int) -> object:
            return 1

    for read in (model.model_validate_ndjson, model.to_arrow):
        with pytest.raises(TypeError, match="source: expected a file that gives bytes or text, it gave int"):
            read(Odd())


def test_lines_of_other_space_than_that_of_json_are_rows() -> None:
    row = b'{"id": 1, "name": "a", "score": 1.5}'
    for space in (b"\x0c", b"\x0b", b"\x1c", b"\x85", b"\xc2\xa0", b"\x00"):
        for text in ((row + space + b"\n") * 300, (row + b"\n") * 150 + space + row + b"\n" + (row + b"\n") * 150, space):
            [rows, issues] = verdicts(Line, lambda text=text: text)
            count = text.count(b"\n") + (text == space)
            wrong = {0: count}.get(text.count(row + b"\n"), 1)
            assert (len(rows), len(issues)) == (count - wrong, wrong)
            assert {issue[2] for issue in issues} == {"json_invalid"}


class Inner(Model):
    n: int


class Everything(Model):
    a: int
    items: List[int] = []
    inner: Optional[Inner] = None
    nothing: None = None
    pair: Tuple[int, int] = (0, 0)
    table: Dict[str, int] = {}
    span: dt.timedelta = dt.timedelta()


@pytest.mark.parametrize("repeat", [1, 20_000], ids=["one thread", "many"])
def test_errors_of_many_rows_are_those_of_each(repeat: int) -> None:
    rows = [
        b"[]", b"1", b"null", b'{"a": 1, "items": {}}', b'{"a": 1, "inner": []}', b'{"a": 1, "inner": {}}', b'{"a": 1, "nothing": 1}',
        b'{"a": 1, "pair": {}}', b'{"a": 1, "table": []}', b'{"a": 1, "span": []}', b'{"a": 1, "span": "x"}', b'{"a": ', b"{}", b"\xff",
    ]  # fmt: skip
    expected = []
    for number, row in enumerate(rows):
        with pytest.raises(ValidationError) as caught:
            Everything.model_validate_json(row)
        expected += [{**error, "loc": (number, *error["loc"])} for error in caught.value.errors()]
    text = b"\n".join([*rows, *[b'{"a": 1, "items": [1, 2, 3]}'] * repeat])
    assert Everything.model_validate_ndjson(text, on_error="collect").errors() == expected
    columns = pa.table(Everything.to_arrow(text, on_error="collect").issues).to_pylist()
    assert [(issue["row"], issue["message"]) for issue in columns] == [(error["loc"][0], error["msg"]) for error in expected]
    for read, kept in ((Everything.model_validate_ndjson, 10_000), (Everything.to_arrow, 1000)):
        with pytest.raises(ValidationError) as caught:
            read(text)
        assert [error["msg"] for error in caught.value.errors()] == [error["msg"] for error in expected][:kept]
    objects = [{"a": "x"}, {"a": 1, "inner": []}, [], {"a": 1, "items": 5}]
    expected = []
    for number, item in enumerate(objects):
        with pytest.raises(ValidationError) as caught:
            Everything.model_validate(item)
        expected += [{**error, "loc": (number, *error["loc"])} for error in caught.value.errors()]
    assert Everything.model_validate_batch(objects, on_error="collect").errors() == expected


def test_issues_beyond_the_first_are_counted() -> None:
    rows, most = [{"id": 0, "name": "x"}] * 10_500, 10_000
    text = "\n".join(map(json.dumps, rows)).encode()
    for collected in (Line.model_validate_batch(rows, on_error="collect"), Line.model_validate_ndjson(text, on_error="collect")):
        assert (len(collected.errors()), collected.issues_dropped, len(collected)) == (most, 500, 0)
    columns = Line.to_arrow(text, on_error="collect")
    assert pa.table(columns.issues).num_rows + columns.issues_dropped == 10_500
    for read, source, kept in (
        (Line.model_validate_batch, rows, most), (Line.model_validate_ndjson, text, most), (Line.to_arrow, text, 1000)
    ):  # fmt: skip
        with pytest.raises(ValidationError, match="^10500 errors in Line") as caught:
            read(source)
        assert (len(caught.value.errors()), caught.value.error_count()) == (kept, 10_500)
    assert Line.model_validate_batch([], on_error="collect").issues_dropped == 0


@pytest.mark.parametrize("read", [Line.model_validate_ndjson, Line.to_arrow])
@pytest.mark.parametrize("threads", [0, -1, -(2**40), -(2**70)])
def test_threads_are_one_or_more(read: Any, threads: int) -> None:
    with pytest.raises(ArgumentError, match=f"^threads: expected 1 or more, or None for all, got {threads}"):
        read(TEXT, threads=threads)


@pytest.mark.parametrize("read", [Line.model_validate_ndjson, Line.to_arrow, Checked.model_validate_ndjson, Checked.to_arrow])
def test_there_are_never_too_many_threads(read: Any) -> None:
    def made(**options: Any) -> Any:
        found = read(TEXT, on_error="skip", **options)
        return found if isinstance(found, list) else pa.table(found.table)

    for threads in (2**31, 2**63, 2**64, 2**70, 10**5000):
        assert made(threads=threads) == made()
    for wrong in ("2", 1.5, [], {}):
        with pytest.raises(TypeError, match=f"^threads: expected an integer, got {type(wrong).__name__}"):
            made(threads=wrong)
