"""Lock files: written, read, refused; what a locked store does with deprecated and removed columns."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, Literal, Optional

import ottava
import pyarrow as pa
import pytest
from ottava import Field
from ottava.errors import IngestError, LockError, SchemaMismatchError
from ottava.ingest import Schema, SchemaLock, TokenStore


class Node(ottava.Model):
    id: int
    kind: Literal["code", "spec"]
    score: Optional[float] = 0.5


def changed(name: str, **fields: Any) -> Schema:
    """The schema of a model with other fields."""
    annotations = {key: value[0] if isinstance(value, tuple) else value for key, value in fields.items()}
    namespace: dict[str, Any] = {"__annotations__": annotations, "__module__": __name__}
    namespace |= {key: value[1] for key, value in fields.items() if isinstance(value, tuple)}
    model: Any = type(ottava.Model)(name, (ottava.Model,), namespace)
    schema: Schema = model.__schema__
    return schema


BASE: dict[str, Any] = {"id": int, "kind": Literal["code", "spec"], "score": (Optional[float], 0.5)}


def test_a_lock_file_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "node.schema.lock"
    lock = Node.__schema__.lock("1.0", path)
    text = path.read_text()
    assert json.loads(text)["format"] == "ottava-schema-lock-1"
    assert SchemaLock.parse(text).versions == lock.versions == [("1.0", Node.__schema__.fingerprint)]
    assert lock.find(Node.__schema__) == "1.0"
    assert lock.schema().fingerprint == Node.__schema__.fingerprint
    shuffled = json.dumps(dict(reversed(list(json.loads(text).items()))))
    assert SchemaLock.parse(shuffled).versions == lock.versions


def test_the_default_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changed("TreeNode", **BASE).lock("1.0")
    assert [p.name for p in tmp_path.iterdir()] == ["tree_node.schema.lock"]


def test_an_edit_by_hand_is_found(tmp_path: Path) -> None:
    path = tmp_path / "node.schema.lock"
    Node.__schema__.lock("1.0", path)
    text = path.read_text()
    for old, new in (("spec", "spek"), ("0.5", "0.25"), ("backward", "forward"), ("Utf8", "Utf9"), ("{", "["), ("1.0", "1.5")):
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(LockError) as caught:
            TokenStore(Node, lock=path)
        assert str(path) in str(caught.value)
    path.write_bytes(b"\xff")
    with pytest.raises(LockError):
        TokenStore(Node, lock=path)
    with pytest.raises(FileNotFoundError):
        TokenStore(Node, lock=tmp_path / "none")


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("default", {**BASE, "score": (Optional[float], 0.25)}),
        ("symbol order", {**BASE, "kind": Literal["spec", "code"]}),
        ("nullability", {**BASE, "score": (float, 0.5)}),
        ("name", {**{k: v for k, v in BASE.items() if k != "score"}, "points": (Optional[float], 0.5)}),
        ("type", {**BASE, "id": str}),
        ("rule", {**BASE, "id": (int, Field(gt=0))}),
    ],
)
def test_a_change_of_meaning_is_no_locked_schema(what: str, fields: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "node.schema.lock"
    assert changed("Node", **BASE) == Node.__schema__
    Node.__schema__.lock("1.0", path)
    other = changed("Node", **fields)
    assert other.fingerprint != Node.__schema__.fingerprint, what
    with pytest.raises(IngestError, match="not the locked version 1.0"):
        TokenStore(other, lock=path)
    assert Node.__schema__.diff(other), what


def test_units_and_zones_count_and_layouts_do_not() -> None:
    base = pa.schema([("id", pa.string()), ("t", pa.timestamp("us", "UTC"))])
    layout = pa.schema([("t", pa.timestamp("us", "UTC"), True, {"pandas": "private"}), ("id", pa.large_string())])
    unit = pa.schema([("id", pa.string()), ("t", pa.timestamp("ms", "UTC"))])
    zone = pa.schema([("id", pa.string()), ("t", pa.timestamp("us", "Europe/Vienna"))])
    prints = [Schema.from_arrow(schema).fingerprint for schema in (base, layout, unit, zone)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_modes_and_reserved_names(tmp_path: Path) -> None:
    path = tmp_path / "node.schema.lock"
    Node.__schema__.lock("1.0", path)
    before = path.read_bytes()
    with pytest.raises(LockError, match="added, without a default") as caught:
        changed("Node", **BASE, owner=str).lock("1.1", path)
    assert caught.value.changes == ["owner: added, without a default"]
    assert path.read_bytes() == before
    without = changed("Node", **{k: v for k, v in BASE.items() if k != "score"})
    lock = without.lock("2.0", path)
    assert lock.reserved == [("score", "2.0")]
    with pytest.raises(LockError, match="reserved"):
        Node.__schema__.lock("3.0", path)
    store = TokenStore(without, lock=path)
    with pytest.raises(SchemaMismatchError, match="removed in version 2.0") as refused:
        store.ingest_nodes_arrow(pa.table({"id": [1], "kind": ["code"], "score": [1.0]}))
    assert refused.value.column == "score"
    assert store.ingest_nodes_arrow(pa.table({"id": [1], "kind": ["code"]})).inserted == 1
    with pytest.raises(LockError, match="mode"):
        Node.__schema__.lock("3.0", path, mode="sideways")


def test_a_deprecated_column_warns_and_is_then_refused(tmp_path: Path) -> None:
    path = tmp_path / "node.schema.lock"
    fields = {**BASE, "score": (Optional[float], Field(0.5, deprecated_since="1.1", removed_in="2.0"))}
    try:
        schema = changed("Node", **fields)
    except TypeError as err:  # `Field` of this version has no such words
        pytest.fail(str(err))
    Node.__schema__.lock("1.0", path)
    schema.lock("1.1", path)
    store = TokenStore(schema, lock=path)
    with pytest.warns(DeprecationWarning, match="score is deprecated since version 1.1 and will be removed in version 2.0"):
        store.ingest_nodes_arrow(pa.table({"id": [1], "kind": ["code"], "score": [1.0]}))
    store.ingest_nodes_arrow(pa.table({"id": [2], "kind": ["code"]}))
    with pytest.raises(LockError, match="to be removed in version 2.0"):
        schema.lock("2.0", path)


class Part(ottava.Model):
    x: Optional[int] = Field(None, deprecated_since="1.0", removed_in="2.0")
    y: Optional[int] = None


class Whole(ottava.Model):
    id: int
    old: Optional[int] = Field(None, alias="previous", deprecated_since="1.0", removed_in="2.0")
    sub: Optional[Part] = None
    subs: list[Part] = []


class Less(ottava.Model):
    y: Optional[int] = None


class Later(ottava.Model):
    id: int
    sub: Optional[Less] = None
    subs: list[Less] = []


def test_only_what_a_batch_brings_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "whole.schema.lock"
    Whole.__schema__.lock("1.0", path)
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({}, set()),
        ({"old": 1}, {"old"}),
        ({"previous": 1}, {"old"}),
        ({"sub": {"y": 1}, "subs": [{"y": 1}]}, set()),
        ({"sub": {"x": 1}, "subs": [{"y": 1}, {"x": None}]}, {"sub.x", "subs[].x"}),
    ]
    for number, (row, expected) in enumerate(cases):
        for way, make in enumerate((lambda row: [row], json.dumps, lambda row: pa.Table.from_pylist([row]))):
            store = TokenStore(Whole, lock=path)
            data = make({"id": number, **row})
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                store.ingest_nodes_arrow(data) if way == 2 else store.ingest_nodes_msgspec(data)
            assert {str(w.message).split()[1] for w in caught} == expected, (row, way)
    with pytest.raises(LockError, match="to be removed in version 2.0"):
        Whole.__schema__.lock("2.0", path)

    _add(path, Later.__schema__)
    store = TokenStore(Later, lock=path)
    for row in ({"sub": {"x": 1}}, {"subs": [{"x": 1}]}, {"old": 1}, {"previous": 1}):
        for take, data in (
            (store.ingest_nodes_msgspec, [{"id": 1, **row}]),
            (store.ingest_nodes_msgspec, json.dumps({"id": 1, **row})),
            (store.ingest_nodes_arrow, pa.Table.from_pylist([{"id": 1, **row}])),
        ):
            with pytest.raises(SchemaMismatchError, match="removed in version 2.0"):
                take(data)
    store.ingest_nodes_msgspec([{"id": 1, "sub": {"y": 1}}])


def _add(path: Path, schema: Schema) -> None:
    """Locks a schema under another name of its record."""
    lock = SchemaLock.parse(path.read_text())
    lock.add("2.0", schema)
    path.write_text(lock.to_json())


def test_a_lock_without_versions_promises_nothing_and_is_refused() -> None:
    for schema in (None, Node):
        with pytest.raises(IngestError, match="holds no version|not the locked version"):
            TokenStore(schema, lock=SchemaLock("Node"))


def test_the_lock_of_another_record_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "node.schema.lock"
    Node.__schema__.lock("1.0", path)
    with pytest.raises(LockError, match="the lock of Node, not of Other"):
        changed("Other", **BASE).lock("1.1", path)
    with pytest.raises(LockError, match="no version 9.9"):
        SchemaLock.parse(path.read_text()).schema("9.9")


def test_a_store_takes_its_schema_from_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "node.schema.lock"
    Node.__schema__.lock("1.0", path)
    store = TokenStore(lock=path)
    assert store.schema == Node.__schema__
    with pytest.raises(SchemaMismatchError) as caught:
        store.ingest_nodes_arrow(pa.table({"id": ["a"], "kind": ["code"]}))
    assert caught.value.mismatches == [("id", "int64", "utf8")]
