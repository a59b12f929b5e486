"""Models whose fields are changed, checked or filled on the way in: the same by every way, or refused."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, Literal, Optional

import msgspec
import numpy as np
import ottava
import pyarrow as pa
import pytest
from ottava import Field, field_validator, model_validator
from ottava.errors import IngestError
from ottava.ingest import TokenStore


class Sub(ottava.Model):
    label: str = Field(strip_whitespace=True, to_upper=True)


class Texts(ottava.Model):
    id: str = Field(strip_whitespace=True)
    name: str = Field(strip_whitespace=True, to_lower=True, min_length=2)
    tags: list[str] = Field(default=["Some", "tag"])
    sub: Optional[Sub] = None


class Checked(ottava.Model):
    id: int
    name: str
    tags: list[str] = Field(default_factory=lambda: ["fresh"])

    @field_validator("name")
    @classmethod
    def no_x(cls, value: str) -> str:
        if "x" in value:
            raise ValueError("no x, please")
        return value.title()


class Whole(ottava.Model):
    id: int
    low: float
    high: float

    @model_validator(mode="after")
    def ordered(self) -> Whole:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Filled(ottava.Model):
    id: int
    tags: list[str] = Field(default_factory=lambda: ["fresh"])


def flexible(listed: list[dict[str, Any]]) -> list[Any]:
    """The same rows in every form that the flexible way takes."""
    names = list(dict.fromkeys(name for row in listed for name in row))
    struct = msgspec.defstruct("Row", [(name, Any, msgspec.UNSET) for name in names])
    lines = "\n".join(map(json.dumps, listed))
    return [listed, lines, json.dumps(listed), msgspec.msgpack.encode(listed), [struct(**row) for row in listed]]


def test_text_is_stripped_and_cased_by_every_way() -> None:
    listed: list[dict[str, Any]] = [
        {"id": " a ", "name": "  Ab ", "tags": [" T "], "sub": {"label": " x\u00df "}},
        {"id": "b", "name": "cd", "tags": [], "sub": None},
        {"id": "c\u2003", "name": "EF", "tags": ["t"], "sub": {"label": "Z"}},
    ]
    expected = [
        {"id": "a", "name": "ab", "tags": [" T "], "sub": {"label": "XSS"}},
        {"id": "b", "name": "cd", "tags": [], "sub": None},
        {"id": "c", "name": "ef", "tags": ["t"], "sub": {"label": "Z"}},
    ]
    for source in flexible(listed):
        store = TokenStore(Texts)
        store.ingest_nodes_msgspec(source)
        assert store.to_pyarrow().to_pylist() == expected
        assert "a" in store and " a " not in store
    table = pa.Table.from_pylist(listed)
    for text in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        fields = [pa.field("id", pa.string()), pa.field("name", text), *(table.schema.field(at) for at in (2, 3))]
        store = TokenStore(Texts)
        report = store.ingest_nodes_arrow(pa.Table.from_pylist(listed, schema=pa.schema(fields)))
        assert [row | {} for row in store.to_pyarrow().to_pylist()] == expected, text
        assert {column for column, _, _ in report.copies} == {"id", "name", "sub"}
    for data in (table.set_column(1, "name", pa.array(["  a  ", "cd", "ef"])), [{**listed[0], "name": " a "}], '{"id": "a", "name": " a "}'):
        store = TokenStore(Texts)
        with pytest.raises(IngestError) as caught:
            if isinstance(data, pa.Table):
                store.ingest_nodes_arrow(data)
            else:
                store.ingest_nodes_msgspec(data)
        assert (caught.value.row, caught.value.column) == (0, "name")
        assert len(store) == 0


def test_a_default_of_any_kind_fills_by_every_way() -> None:
    bare = [{"id": "a", "name": "ab"}, {"id": "b", "name": "cd"}]
    stores = [TokenStore(Texts) for _ in range(6)]
    for store, source in zip(stores, flexible(bare)):
        store.ingest_nodes_msgspec(source)
    stores[5].ingest_nodes_arrow(pa.Table.from_pylist(bare))
    for store in stores:
        assert store.to_pyarrow().to_pylist() == [{**row, "tags": ["Some", "tag"], "sub": None} for row in bare]


def test_validators_run_by_every_flexible_way() -> None:
    listed: list[dict[str, Any]] = [{"id": 1, "name": "ann", "tags": ["t"], "note": "n"}, {"id": 2, "name": "bob", "note": None}]
    expected = [
        {"id": 1, "name": "Ann", "tags": ["t"], "note": "n"},
        {"id": 2, "name": "Bob", "tags": ["fresh"], "note": None},
    ]
    for source in flexible(listed)[:-1]:
        store = TokenStore(Checked)
        store.ingest_nodes_msgspec(source)
        assert store.to_pyarrow().to_pylist() == expected
    instances = TokenStore(Checked)
    instances.ingest_nodes_msgspec([Checked(id=1, name="ann")])
    assert instances.to_pyarrow().column("name").to_pylist() == ["Ann"]


def test_what_a_validator_refuses_is_told_with_its_place() -> None:
    listed = [{"id": 1, "name": "ann"}, {"id": 2, "name": "max"}]
    for source in flexible(listed)[:-1]:
        store = TokenStore(Checked)
        with pytest.raises(IngestError, match="no x, please") as caught:
            store.ingest_nodes_msgspec(source)
        assert (caught.value.row, caught.value.column) == (1, "name")
        assert len(store) == 0
    store = TokenStore(Whole)
    with pytest.raises(IngestError, match="low is above high") as caught:
        store.ingest_nodes_msgspec([{"id": 1, "low": 1.0, "high": 2.0}, {"id": 2, "low": 3.0, "high": 2.0}])
    assert (caught.value.row, caught.value.column) == (1, None)
    assert len(store) == 0


def test_columns_of_a_model_with_validators_are_refused() -> None:
    table = pa.table({"id": [1], "name": ["max"], "tags": [["t"]]})
    store = TokenStore(Checked)
    with pytest.raises(IngestError, match="validators written in Python") as caught:
        store.ingest_nodes_arrow(table)
    assert caught.value.column == "name"
    with pytest.raises(IngestError, match="the model has validators"):
        TokenStore(Whole).ingest_nodes_arrow(pa.table({"id": [1], "low": [1.0], "high": [0.0]}))
    plain = TokenStore(Checked.__schema__)
    assert plain.ingest_nodes_arrow(table).inserted == 1
    plain.ingest_nodes_msgspec('{"id": 2, "name": "max", "tags": []}')
    plain.ingest_nodes_msgspec([{"id": 3, "name": "max", "tags": []}])
    for source in flexible([{"id": 4, "name": "max"}])[:-1]:
        with pytest.raises(IngestError) as caught:  # the factory is code, too
            plain.ingest_nodes_msgspec(source)
        assert (caught.value.row, caught.value.column) == (0, "tags")


def test_factories_fill_rows_and_columns_must_bring_theirs() -> None:
    listed: list[dict[str, Any]] = [{"id": 1}, {"id": 2, "tags": ["t"]}]
    for source in flexible(listed)[:-1]:
        store = TokenStore(Filled)
        store.ingest_nodes_msgspec(source)
        assert store.to_pyarrow().to_pylist() == [{"id": 1, "tags": ["fresh"]}, {"id": 2, "tags": ["t"]}]
    store = TokenStore(Filled)
    with pytest.raises(IngestError, match="factory") as caught:
        store.ingest_nodes_arrow(pa.table({"id": [1]}))
    assert caught.value.column == "tags"
    store.ingest_nodes_arrow(pa.table({"id": [1], "tags": [["t"]]}))
    assert len(store) == 1


class Coded(ottava.Model):
    id: int
    code: str = Field(pattern="^[a-z]+$")
    sub: Optional[Sub] = None

    @field_validator("code")
    @classmethod
    def same(cls, value: str) -> str:
        return value


def test_an_instance_that_was_changed_is_held_against_the_rules() -> None:
    changed = Coded(id=1, code="abc")
    changed.code = "BAD1"
    for model in (Coded, Coded.__schema__):
        store = TokenStore(model)
        store.ingest_nodes_msgspec([Coded(id=1, code="abc")])
        with pytest.raises(IngestError) as caught:
            store.ingest_nodes_msgspec([Coded(id=2, code="abc"), changed])
        assert (caught.value.row, caught.value.column, len(store)) == (1, "code", 1)
    more = [{"id": 3, "code": "c", "sub": {"label": "a", "extra": 1}}]
    for source in (more, json.dumps(more)):
        with pytest.raises(IngestError, match="carries no undeclared fields inside") as caught:
            TokenStore(Coded).ingest_nodes_msgspec(source)
        assert caught.value.column == "sub.extra"


class Timed(ottava.Model):
    id: int
    at: Optional[dt.time] = None


def test_a_value_that_a_column_cannot_hold_is_refused_and_not_changed() -> None:
    single = pa.schema([pa.field("id", pa.int64(), nullable=False), ("x", pa.float32())])
    for source in ([{"id": 1, "x": 1e300}], '{"id": 1, "x": 1e300}'):
        with pytest.raises(IngestError) as caught:
            TokenStore(single).ingest_nodes_msgspec(source)
        assert (caught.value.row, caught.value.column) == (0, "x")
    store = TokenStore(single)
    store.ingest_nodes_msgspec([{"id": 1, "x": float("inf")}, {"id": 2, "x": 0.1}])
    assert store.to_pyarrow()["x"].to_pylist() == [float("inf"), np.float32(0.1)]
    zone = dt.timezone(dt.timedelta(hours=2))
    for rows in ([{"id": 1, "at": dt.time(1, 2, 3, tzinfo=zone)}], '{"id": 1, "at": "01:02:03+02:00"}'):
        with pytest.raises(IngestError) as caught:
            TokenStore(Timed).ingest_nodes_msgspec(rows)
        assert (caught.value.row, caught.value.column) == (0, "at")


class Tree(ottava.Model):
    id: int
    children: list[Tree] = []


def test_a_model_that_contains_itself() -> None:
    listed: list[dict[str, Any]] = [{"id": 1, "children": [{"id": 2, "children": []}]}, {"id": 3}]
    stores = [TokenStore(Tree) for _ in range(3)]
    for store, source in zip(stores, flexible(listed)):
        store.ingest_nodes_msgspec(source)
    assert stores[0].equals(stores[1]) and stores[0].equals(stores[2])


def test_rows_of_many_shapes_are_the_same_rows() -> None:
    class Row(ottava.Model):
        id: int
        name: str = Field("none", alias="label")
        size: Optional[int] = None

    struct = msgspec.defstruct("Struct", [("id", int), ("name", str, "none"), ("size", Optional[int], None)])
    unset = msgspec.defstruct("Unset", [("id", int), ("name", Any, msgspec.UNSET), ("size", Any, msgspec.UNSET)])

    class Plain:
        def __init__(self, id: int) -> None:
            self.id, self.label = id, f"n{id}"

    class Asked:
        def __init__(self, id: int) -> None:
            self.id = id

        def __getattr__(self, name: str) -> Any:
            if name == "name":
                return f"n{self.id}"
            raise AttributeError(name)

    listed: list[Any] = [
        {"id": 0, "name": "n0", "size": 5},
        {"id": 1, "name": "n1", "size": 6},
        {"size": 7, "name": "n2", "id": 2},
        {"id": 3, "label": "n3"},
        {"id": 4, "label": "alias", "name": "n4", "size": None},
        {"id": 5},
        struct(6, "n6", 9),
        struct(7),
        unset(8),
        Plain(9),
        Asked(10),
        {"id": 11, "name": "n11", "size": 5},
        {"".join(["i", "d"]): 12, "".join(["na", "me"]): "n12", "".join(["si", "ze"]): 6},
    ]
    store = TokenStore(Row)
    store.ingest_nodes_msgspec(listed)
    names = ["n0", "n1", "n2", "n3", "n4", "none", "n6", "none", "none", "n9", "n10", "n11", "n12"]
    sizes = [5, 6, 7, None, None, None, 9, None, None, None, None, 5, 6]
    assert store.to_pyarrow().to_pylist() == [
        {"id": at, "name": name, "size": size} for at, (name, size) in enumerate(zip(names, sizes))
    ]
    with pytest.raises(IngestError) as caught:
        store.ingest_nodes_msgspec([{"id": 20}, {"id": 21, "size": "x"}])
    assert (caught.value.row, caught.value.column, caught.value.value) == (1, "size", "'x'")


class Pair(ottava.Model):
    id: int
    at: tuple[int, str]
    more: tuple[float, ...] = ()


def test_tuples_by_every_way() -> None:
    listed = [{"id": 1, "at": [1, "a"], "more": [0.5, 1.5]}, {"id": 2, "at": [2, "b"], "more": []}]
    stores = [TokenStore(Pair) for _ in range(6)]
    for store, source in zip(stores, [*flexible(listed), [Pair(id=1, at=(1, "a"), more=(0.5, 1.5)), Pair(id=2, at=(2, "b"))]]):
        store.ingest_nodes_msgspec(source)
        assert store.equals(stores[0])
    again = TokenStore(Pair)
    again.ingest_nodes_arrow(stores[0])
    assert again.equals(stores[0])
    for bad in ([1, None], [1], [1, "a", 2], ["x", "a"]):
        for data in ([{"id": 3, "at": bad}], json.dumps({"id": 3, "at": bad})):
            with pytest.raises(IngestError) as caught:
                again.ingest_nodes_msgspec(data)
            assert caught.value.row == 0 and str(caught.value.column).startswith("at")
    assert len(again) == 2


class Tagged(ottava.Model):
    id: int
    tags: set[str]
    codes: frozenset[Literal["a", "b"]] = frozenset()


def test_a_set_has_no_item_twice() -> None:
    good = [{"id": 1, "tags": ["b", "a"], "codes": ["b"]}, {"id": 2, "tags": [], "codes": []}]
    stores = [TokenStore(Tagged) for _ in range(6)]
    for store, source in zip(stores, flexible(good)):
        store.ingest_nodes_msgspec(source)
        assert store.equals(stores[0])
    stores[5].ingest_nodes_arrow(pa.Table.from_pylist(good))
    assert stores[5].equals(stores[0])
    twice = [{"id": 3, "tags": ["x"]}, {"id": 4, "tags": ["b", "a", "b"]}]
    for take, data in [(stores[0].ingest_nodes_msgspec, twice), (stores[0].ingest_nodes_arrow, pa.Table.from_pylist(twice))]:
        with pytest.raises(IngestError) as caught:
            take(data)
        assert (caught.value.row, caught.value.column) == (1, "tags")
    assert len(stores[0]) == 2
    # JSON has no sets, and is converted as by models.
    stores[0].ingest_nodes_msgspec(json.dumps(twice))
    assert pa.table(stores[0].rows([4])).to_pylist()[0]["tags"] == ["b", "a"]


class Linked(ottava.Model):
    id: int
    next: Optional[Later] = None


def test_a_class_is_completed_when_a_store_needs_it() -> None:
    with pytest.raises(TypeError, match="in the annotations of Linked, name 'Later' is not defined"):
        TokenStore(Linked)
    globals()["Later"] = Sub
    try:
        assert TokenStore(Linked).ingest_nodes_msgspec([{"id": 1, "next": {"label": "a"}}]).inserted == 1
    finally:
        del globals()["Later"]
    with pytest.raises(TypeError, match="expected a Schema, a Model or an Arrow schema, got int"):
        TokenStore(5)
