"""The command line: exit codes, JSON, and what people read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

MODEL = """
from typing import Literal
import ottava

class Node(ottava.Model):
    id: int
    kind: Literal["code", "spec"]
"""


def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ottava.cli", *arguments], cwd=folder, capture_output=True, text=True, timeout=240
    )
    return done.returncode, done.stdout, done.stderr


def run_json(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = run(folder, *arguments, "--json")
    document: dict[str, Any] = json.loads(out)
    return code, document


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shapes.py").write_text(MODEL)
    return tmp_path


def test_lock_check_diff(folder: Path) -> None:
    code, document = run_json(folder, "schema", "check", "shapes:Node")
    assert code == 2 and "no lock file" in document["error"]
    code, document = run_json(folder, "schema", "lock", "shapes:Node", "1.0")
    assert (code, document["lock"], document["version"]) == (0, "node.schema.lock", "1.0")
    code, document = run_json(folder, "schema", "check", "shapes:Node")
    assert (code, document["ok"], document["locked_as"], document["mode"]) == (0, True, "1.0", "backward")
    assert run(folder, "schema", "diff", "shapes:Node")[0] == 0
    (folder / "shapes.py").write_text(MODEL + "    owner: str\n")
    code, document = run_json(folder, "schema", "check", "shapes:Node")
    assert code == 1 and not document["ok"]
    assert [c["path"] for c in document["versions"][0]["broken"]] == ["owner"]
    code, out, _ = run(folder, "schema", "check", "shapes:Node")
    assert code == 1 and "owner" in out and "BREAKS" in out
    code, document = run_json(folder, "schema", "diff", "shapes:Node", "--version", "1.0")
    assert code == 1 and document["changes"][0]["change"] == "field_added"
    before = (folder / "node.schema.lock").read_bytes()
    code, document = run_json(folder, "schema", "lock", "shapes:Node", "1.1")
    assert code == 1 and document["changes"] == ["owner: added, without a default"]
    assert (folder / "node.schema.lock").read_bytes() == before
    assert run(folder, "schema", "lock", "shapes:Node", "1.1", "--mode", "forward")[0] == 0


def test_a_check_fails_where_locking_would(folder: Path) -> None:
    for version, line in (("1.0", "    a: int = 0\n"), ("1.1", "")):
        (folder / "shapes.py").write_text(MODEL + line)
        assert run(folder, "schema", "lock", "shapes:Node", version)[0] == 0
    (folder / "shapes.py").write_text(MODEL + '    a: str = ""\n')
    code, document = run_json(folder, "schema", "check", "shapes:Node")
    assert code == 1 and [c["change"] for c in document["versions"][-1]["broken"]] == ["name_reserved"]
    code, document = run_json(folder, "schema", "lock", "shapes:Node", "1.2")
    assert code == 1 and "reserved" in document["error"]
    (folder / "shapes.py").write_text(MODEL.replace("Node", "Edge"))
    code, document = run_json(folder, "schema", "lock", "shapes:Edge", "1.2", "--lock", "node.schema.lock")
    assert code == 2 and "the lock of Node, not of Edge" in document["error"]


def test_wrong_input_is_exit_code_2(folder: Path) -> None:
    (folder / "syntax.py").write_text("class")
    (folder / "raises.py").write_text("raise RuntimeError('no')")
    (folder / "exits.py").write_text("raise SystemExit(0)")
    for arguments in (
        ("schema", "lock", "shapes:Nothing", "1.0"),
        ("schema", "lock", "nowhere:Node", "1.0"),
        ("schema", "lock", "shapes", "1.0"),
        ("schema", "lock", "shapes:MODEL", "1.0"),
        ("schema", "lock", "shapes:Node", "1.0", "--mode", "sideways"),
        ("schema", "lock", "shapes:Node", "bad"),
        ("schema", "lock", ".shapes:Node", "1.0"),
        ("schema", "lock", "syntax:Node", "1.0"),
        ("schema", "lock", "raises:Node", "1.0"),
        ("schema", "lock", "exits:Node", "1.0"),
        ("doctor", "ingest", "missing.ndjson"),
    ):
        code, document = run_json(folder, *arguments)
        assert code == 2 and document["error"], arguments
    assert run(folder, "schema", "lock", "shapes:Node", "1.0")[0] == 0
    lock = folder / "node.schema.lock"
    lock.write_text(lock.read_text().replace("code", "cod"))
    code, _, err = run(folder, "schema", "check", "shapes:Node")
    assert code == 2 and "edited" in err
    assert run(folder, "schema", "explode")[0] == 2


def test_the_schema_of_a_file(folder: Path) -> None:
    pa.parquet.write_table(pa.table({"id": [1]}), folder / "nodes.parquet")
    code, document = run_json(folder, "schema", "lock", "nodes.parquet", "1.0")
    assert (code, document["lock"]) == (0, "nodes.schema.lock")


def test_the_doctor_measures_both_ways(folder: Path) -> None:
    rows = [{"id": i, "kind": "code"} for i in range(500)]
    (folder / "nodes.ndjson").write_text("\n".join(map(json.dumps, rows)))
    arguments = ("doctor", "ingest", "nodes.ndjson", "--schema", "shapes:Node")
    code, document = run_json(folder, *arguments)
    assert (code, document["triggered"], document["rows"], document["total"]) == (0, False, 500, 500)
    assert set(document["seconds"]) == {"flexible, NDJSON", "flexible, Python objects", "Arrow"}
    code, document = run_json(folder, *arguments, "--limit", "0.0000001", "--rows", "100")
    assert (code, document["triggered"], document["rows"]) == (1, True, 100)
    code, out, _ = run(folder, *arguments, "--total", "1000000000000")
    assert code == 1 and "the trigger is met" in out
    (folder / "nodes.json").write_text(json.dumps(rows, indent=1))
    code, document = run_json(folder, "doctor", "ingest", "nodes.json", "--schema", "shapes:Node", "--rows", "20")
    assert (code, document["rows"], document["total"]) == (0, 20, 500)
    maps = pa.array([[("a", 1)]] * 100, pa.map_(pa.string(), pa.int64()))
    x = pa.array([float("nan")] * 100)
    pa.parquet.write_table(pa.table({"id": range(100), "x": x, "by": maps}), folder / "nodes.parquet")
    (folder / "maps.py").write_text("import ottava\nclass Node(ottava.Model):\n    id: int\n    x: float\n    by: dict[str, int]\n")
    for schema in ((), ("--schema", "maps:Node")):
        code, document = run_json(folder, "doctor", "ingest", "nodes.parquet", *schema)
        assert code == 0 and set(document["seconds"]) == {"flexible, Python objects", "Arrow"}
    for wrong in ("0", "-1"):
        assert run(folder, "doctor", "ingest", "nodes.ndjson", "--rows", wrong)[0] == 2
