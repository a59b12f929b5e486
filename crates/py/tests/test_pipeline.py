"""The composition: bytes in, checked, columnar, indexed, asked; and everything that can be wrong on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

import ottava
from ottava import Field, Model
from ottava.errors import PipelineError

AXES = [f"x{axis}" for axis in range(8)]


class Point(Model):
    id: int = Field(ge=0)
    x0: float = Field(ge=0, le=1)
    x1: float
    x2: float
    x3: float
    x4: float
    x5: float
    x6: float
    x7: float
    name: str | None = None


def record(number: int, **changes: object) -> bytes:
    row: dict[str, object] = {"id": number, **{axis: number / 1000 for axis in AXES}, "name": f"n{number}"}
    return json.dumps(row | changes).encode()


def rows(count: int) -> bytes:
    return b"\n".join(record(number) for number in range(count)) + b"\n"


def test_bytes_path_and_command_give_the_same_grid(tmp_path: Path) -> None:
    data = rows(500)
    path = tmp_path / "points.ndjson"
    path.write_bytes(data)
    seen: list[int] = []
    kept = tmp_path / "kept.ndjson"
    command = [sys.executable, "-c", f"import sys; sys.stdout.buffer.write(open({str(path)!r}, 'rb').read())"]
    from_bytes = ottava.pipeline(data, Point, id="id", positions=AXES)
    from_path = ottava.pipeline(path, Point, id="id", positions=AXES)
    from_command = ottava.pipeline(command, Point, id="id", positions=AXES, keep=kept, on_progress=seen.append)

    assert kept.read_bytes() == data
    assert seen[-1] == len(data)
    assert [s.name for s in from_command.stages] == ["move", "check", "index"]
    assert from_command.stages[0].amount == len(data)
    for result in (from_bytes, from_path, from_command):
        assert len(result.grid) == 500
        near = result.grid.nearest(np.full(8, 0.1), k=3)
        assert near.ids.tolist() == [100, 99, 101]
        assert pa.table(result.grid.rows(near.ids))["name"].to_pylist() == ["n100", "n99", "n101"]
    assert "500 rows" in str(from_bytes)


def test_bad_lines_are_reported_and_the_good_go_on() -> None:
    data = b"\n".join(
        [
            record(0),
            b'{"id": 1, "x0": 0.5',  # truncated
            b"\x00\xff garbage",
            record(3, x0=7),  # out of range
            record(4, x1=None),
            b"",
            record(6, id="six"),
            record(7),
            b'{"id": 8, "x0"',  # truncated, and no line end
        ]
    )
    result = ottava.pipeline(data, Point, id="id", positions=AXES)
    assert sorted(result.grid.ids.tolist()) == [0, 7]
    issues = pa.table(result.checked.issues).to_pylist()
    assert {(i["loc"], i["type"]) for i in issues if i["loc"]} == {
        ("x0", "less_than_equal"),
        ("x1", "float_type"),
        ("id", "int_parsing"),
    }
    broken = [i["row"] for i in issues if i["type"] == "json_invalid"]
    assert len(broken) == 3 and len(set(broken)) == 3
    assert result.checked.rows_read == result.checked.rows_good + 6


def test_nothing_to_read_is_an_empty_grid() -> None:
    result = ottava.pipeline(b"", Point, id="id", positions=AXES)
    assert len(result.grid) == 0
    assert result.grid.nearest(np.zeros(8), k=1).ids.tolist() == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.ndjson"):
        ottava.pipeline(tmp_path / "nowhere.ndjson", Point, id="id", positions=AXES)


def test_a_command_that_cannot_start_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        ottava.pipeline(["no-such-program"], Point, id="id", positions=AXES)


def test_a_command_that_fails_is_an_error_and_leaves_no_child() -> None:
    with pytest.raises(PipelineError, match="3") as raised:
        ottava.pipeline([sys.executable, "-c", "print('{}'); raise SystemExit(3)"], Point, id="id", positions=AXES)
    with pytest.raises(ProcessLookupError):
        os.kill(raised.value.report.stages[0].pid, 0)


def test_positions_that_are_not_numbers_are_refused() -> None:
    def broken(table: object) -> npt.NDArray[np.float32]:
        places = np.zeros((10, 8), dtype=np.float32)
        places[4, 2] = np.nan
        return places

    with pytest.raises(ValueError, match="row 4.*axis 2"):
        ottava.pipeline(rows(10), Point, id="id", positions=broken)


def test_positions_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError):
        ottava.pipeline(rows(10), Point, id="id", positions=lambda _: np.zeros((9, 8), dtype=np.float32))


def test_an_unknown_column_is_named() -> None:
    with pytest.raises((KeyError, ValueError), match="nope"):
        ottava.pipeline(rows(10), Point, id="nope", positions=AXES)


def test_duplicate_ids_are_refused() -> None:
    with pytest.raises((KeyError, ValueError), match="5"):
        ottava.pipeline(rows(10) + record(5), Point, id="id", positions=AXES)


def test_interrupting_a_transfer_ends_the_child(tmp_path: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import ottava
from test_pipeline import AXES, Point
ottava.pipeline(["sh", "-c", "echo $$ > {tmp_path}/pid; exec sleep 600"], Point, id="id", positions=AXES)
"""
    child = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    pid_file = tmp_path / "pid"
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=20)
    assert b"KeyboardInterrupt" in err
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
