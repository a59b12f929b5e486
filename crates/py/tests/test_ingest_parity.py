"""Both ways of ingestion give equal stores, for random schemas, rows, layouts and chunks."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
import uuid
from types import SimpleNamespace
from typing import Any, Literal, Optional, Union

import hypothesis.strategies as st
import msgspec
import ottava
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from nodes import Node, rows
from ottava import Field
from ottava.errors import IngestError
from ottava.ingest import Schema, TokenStore

# On a loaded machine drawing is slow, which says nothing about the stores.
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
ZONED = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.timezone.utc))


def whole_seconds(time: dt.datetime) -> dt.datetime:
    return time.replace(microsecond=0)


# Arrow types and the values that they hold.
LEAVES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint16(), st.integers(0, 2**16 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.string(), TEXT),
    (pa.large_string(), TEXT),
    (pa.string_view(), TEXT),
    (pa.binary(), st.binary(max_size=20)),
    (pa.date32(), st.dates()),
    (pa.time64("us"), st.times()),
    (pa.time32("s"), st.times().map(lambda time: time.replace(microsecond=0))),
    (pa.duration("ms"), st.integers(-(10**9), 10**9).map(lambda n: dt.timedelta(milliseconds=n))),
    (pa.timestamp("ms"), st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)).map(whole_seconds)),
    (pa.timestamp("ns", "Europe/Vienna"), ZONED),
    (pa.timestamp("s", "+05:30"), ZONED.map(whole_seconds)),
    (pa.duration("us"), st.timedeltas(dt.timedelta(-10_000), dt.timedelta(10_000))),
    (pa.timestamp("us"), st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1))),
    (pa.timestamp("us", "UTC"), ZONED),
    (pa.decimal128(12, 3), st.decimals(-(10**8), 10**8, places=3)),
    (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["red", "green", "a longer color than twelve"])),
]


def nullable(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


@st.composite
def columns(draw: st.DrawFn, depth: int = 3) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    kind = draw(st.integers(0, 6)) if depth else 0
    if kind == 4:
        item, values = draw(columns(depth - 1))
        return pa.list_(item), st.lists(nullable(values), max_size=4)
    if kind == 5:
        parts = draw(st.lists(columns(depth - 1), min_size=1, max_size=3))
        fields = {f"f{at}": values for at, (_, values) in enumerate(parts)}
        struct = pa.struct([(f"f{at}", ty) for at, (ty, _) in enumerate(parts)])
        return struct, st.fixed_dictionaries({name: nullable(values) for name, values in fields.items()})
    if kind == 6:
        item, values = draw(columns(depth - 1))
        length = draw(st.integers(1, 3))
        return pa.list_(item, length), st.lists(nullable(values), min_size=length, max_size=length)
    leaf: tuple[pa.DataType, st.SearchStrategy[Any]] = draw(st.sampled_from(LEAVES))
    return leaf


def padded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same column in dictionaries that have a value which no row uses, and every other one twice."""
    chunks = []
    for chunk in column.chunks:
        values = pa.concat_arrays([pa.array(["unused"]), chunk.dictionary, chunk.dictionary])
        second = [None if key is None else key + 1 + len(chunk.dictionary) * (at % 2) for at, key in enumerate(chunk.indices.to_pylist())]
        chunks.append(pa.DictionaryArray.from_arrays(pa.array(second, pa.int32()), values))
    return pa.chunked_array(chunks, column.type)


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, list[dict[str, Any]], pa.Table]:
    """A table, its rows, and the same table in other chunks."""
    parts = draw(st.lists(columns(), min_size=1, max_size=4))
    text_ids = draw(st.booleans())
    ids: Any = draw(st.lists(TEXT if text_ids else st.integers(-(2**63), 2**63 - 1), unique=True, max_size=25))
    listed = [{"id": id, **{f"c{at}": draw(nullable(values)) for at, (_, values) in enumerate(parts)}} for id in ids]
    fields = [pa.field("id", pa.string() if text_ids else pa.int64(), nullable=False)]
    schema = pa.schema(fields + [pa.field(f"c{at}", ty) for at, (ty, _) in enumerate(parts)])
    table = pa.Table.from_pylist(listed, schema=schema)
    cut = draw(st.integers(0, len(ids)))
    # A slice of something longer has offsets; an empty chunk has nothing.
    longer = pa.concat_tables([table.slice(0, 1), table, table.slice(0, 1)]).combine_chunks()
    for at, field in enumerate(longer.schema):
        if pa.types.is_dictionary(field.type):
            longer = longer.set_column(at, field, padded(longer.column(at)))
    inner = longer.slice(min(1, len(ids)), len(ids))
    return table, listed, pa.concat_tables([inner.slice(0, cut), table.slice(0, 0), inner.slice(cut)])


@settings(max_examples=120, deadline=None, suppress_health_check=SLOW)
@given(tables())
def test_both_ways_give_equal_stores(drawn: tuple[pa.Table, list[dict[str, Any]], pa.Table]) -> None:
    table, listed, chunked = drawn
    schema = Schema.from_arrow(table.schema)
    arrow, again, flexible = (TokenStore(schema) for _ in range(3))
    arrow.ingest_nodes_arrow(table)
    again.ingest_nodes_arrow(chunked)
    flexible.ingest_nodes_msgspec(listed)
    assert len(arrow) == len(listed)
    assert arrow.equals(again) and again.equals(arrow)
    assert arrow.equals(flexible) and flexible.equals(arrow)
    out = pa.table(arrow)
    for name in table.column_names:
        kept = table.schema.field(name).type
        if not pa.types.is_nested(kept) and not pa.types.is_dictionary(kept):
            assert out.column(name).combine_chunks().cast(kept).equals(table.column(name).combine_chunks()) or _nan(kept)
    back = TokenStore(schema)
    back.ingest_nodes_arrow(arrow)
    assert back.equals(arrow)


def _nan(kept: pa.DataType) -> bool:
    """Arrow calls no two NaNs equal."""
    return bool(pa.types.is_floating(kept))


JSON_VALUES = {
    "flag": (pa.bool_(), st.booleans()),
    "count": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "x": (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    "text": (pa.string(), TEXT),
    "tags": (pa.list_(pa.string()), st.lists(nullable(TEXT), max_size=3)),
    "deep": (pa.struct([("a", pa.int64())]), st.fixed_dictionaries({"a": nullable(st.integers(-100, 100))})),
}


@settings(max_examples=120, deadline=None, suppress_health_check=SLOW)
@given(st.data())
def test_json_and_msgpack_are_the_same_rows(data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, 1000), unique=True, min_size=1, max_size=20))
    listed = [
        {"id": id, **{name: data.draw(nullable(values)) for name, (_, values) in JSON_VALUES.items()}} for id in ids
    ]
    fields = [pa.field("id", pa.int64(), nullable=False)]
    schema = pa.schema(fields + [pa.field(name, ty) for name, (ty, _) in JSON_VALUES.items()])
    expected = TokenStore(schema)
    expected.ingest_nodes_arrow(pa.Table.from_pylist(listed, schema=schema))
    lines = "\n".join(json.dumps(row, ensure_ascii=data.draw(st.booleans())) for row in listed)
    for source in (listed, lines, json.dumps(listed, indent=1), msgspec.msgpack.encode(listed)):
        store = TokenStore(schema)
        store.ingest_nodes_msgspec(source)
        assert store.equals(expected)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["code", "spec", "test", "none"])), max_size=8),
    st.sampled_from(["error", "skip", "replace"]),
)
def test_both_ways_refuse_the_same_and_leave_the_store(drawn: list[tuple[int, str]], policy: Any) -> None:
    listed = [{"id": id, "kind": kind, "score": None, "version": 1} for id, kind in drawn]
    outcomes = []
    stores = []
    for arrow in (True, False):
        store = TokenStore(Node)
        store.ingest_nodes_msgspec(rows([3, 4, 5]))
        before = _image(store)
        try:
            if arrow:
                store.ingest_nodes_arrow(pa.Table.from_pylist(listed, schema=_SCHEMA), on_duplicate=policy)
            else:
                store.ingest_nodes_msgspec(listed, on_duplicate=policy)
            outcomes.append("taken")
        except IngestError as err:
            outcomes.append(str(err))
            assert _image(store) == before
        stores.append(store)
    assert outcomes[0] == outcomes[1]
    assert stores[0].equals(stores[1])


_SCHEMA = pa.schema([("id", pa.int64()), ("kind", pa.string()), ("score", pa.float64()), ("version", pa.int64())])


def _image(store: TokenStore) -> bytes:
    table = pa.table(store)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


class Inner(ottava.Model):
    label: str


class Outer(ottava.Model):
    id: int
    sub: Optional[Inner] = None
    subs: list[Inner] = []
    by: dict[str, Inner] = {}


CARRIED: list[dict[str, Any]] = [
    {"id": 1, "sub": {"label": "a"}, "subs": [], "by": {}},
    {"id": 2, "sub": {"label": "b", "n": 7, "deep": {"x": [1, 2]}}, "subs": [{"label": "c", "n": 1}, {"label": "d"}], "by": {}},
    {"id": 3, "sub": None, "subs": [{"label": "e"}], "by": {"k": {"label": "f", "note": "g"}}, "more": {"a": 1}},
]


def _as(row: Any, make: Any) -> Any:
    """The row with an object in the place of every record that is declared."""
    parts = {name: _as(value, make) if name == "sub" and value else value for name, value in row.items()}
    parts |= {name: [_as(item, make) for item in value] for name, value in row.items() if name == "subs"}
    parts |= {name: {key: _as(item, make) for key, item in value.items()} for name, value in row.items() if name == "by"}
    return make(parts)


def _struct(parts: dict[str, Any]) -> Any:
    return msgspec.defstruct("Row", [(name, Any) for name in parts])(**parts)


class _Slotted:
    __slots__ = ("id", "sub", "subs", "by", "label", "n", "deep", "note", "more", "x", "a")

    def __init__(self, parts: dict[str, Any]) -> None:
        for name, value in parts.items():
            setattr(self, name, value)


class _Open(ottava.Model):
    model_config = ottava.ConfigDict(extra="allow")


@pytest.mark.parametrize("make", [dict, _struct, _Slotted, lambda parts: SimpleNamespace(**parts), lambda parts: _Open(**parts)])
def test_what_is_not_declared_is_carried_from_rows_of_every_kind(make: Any) -> None:
    expected = TokenStore(Outer)
    expected.ingest_nodes_msgspec(CARRIED)
    store = TokenStore(Outer)
    store.ingest_nodes_msgspec([_as(row, make) for row in CARRIED])
    assert store.equals(expected) and expected.equals(store)


def test_what_is_not_declared_is_carried_by_every_way() -> None:
    lines = "\n".join(map(json.dumps, CARRIED))
    schema = pa.schema([
        ("id", pa.int64()),
        ("sub", pa.struct([("label", pa.string()), ("n", pa.int64()), ("deep", pa.struct([("x", pa.list_(pa.int64()))]))])),
        ("subs", pa.list_(pa.struct([("n", pa.int64()), ("label", pa.string())]))),
        ("by", pa.map_(pa.string(), pa.struct([("label", pa.string()), ("note", pa.string())]))),
        ("more", pa.struct([("a", pa.int64())])),
    ])
    table = pa.Table.from_pylist([row | {"by": list(row["by"].items())} for row in CARRIED], schema=schema)
    expected = TokenStore(Outer)
    expected.ingest_nodes_arrow(table)
    rows = expected.to_pyarrow().to_pylist(maps_as_pydicts="strict")
    assert rows[1]["sub"] == CARRIED[1]["sub"] and rows[0]["sub"] == {"label": "a", "n": None, "deep": None}
    assert rows[2]["by"] == CARRIED[2]["by"] and rows[2]["more"] == {"a": 1}
    for source in (CARRIED, lines, json.dumps(CARRIED), msgspec.msgpack.encode(CARRIED)):
        store = TokenStore(Outer)
        store.ingest_nodes_msgspec(source)
        assert store.equals(expected) and expected.equals(store)
    # One batch for each row, in either order: what is carried is carried by all.
    for order in (CARRIED, CARRIED[::-1]):
        for ways in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
            store = TokenStore(Outer)
            for row, way in zip(order, ways):
                if way == 2:
                    store.ingest_nodes_arrow(table.slice(row["id"] - 1, 1))
                else:
                    store.ingest_nodes_msgspec([row] if way else json.dumps(row))
            found = sorted(store.to_pyarrow().to_pylist(maps_as_pydicts="strict"), key=lambda row: row["id"])
            assert [_without_nulls(row) for row in found] == [_without_nulls(row) for row in rows]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


class Closed(ottava.Model):
    model_config = ottava.ConfigDict(extra="forbid")
    label: str


class Strict(ottava.Model):
    model_config = ottava.ConfigDict(extra="forbid")
    id: int
    sub: Optional[Closed] = None


def test_records_that_forbid_more_refuse_it_by_every_way() -> None:
    more = {"id": 1, "sub": {"label": "a", "extra": 1}}
    for row, path in ((more, "sub.extra"), ({"id": 1, "extra": 1}, "extra")):
        struct = msgspec.defstruct("Row", [(name, Any) for name in row])(**row)
        for take, data in (
            ("ingest_nodes_msgspec", [row]),
            ("ingest_nodes_msgspec", [struct]),
            ("ingest_nodes_msgspec", json.dumps(row)),
            ("ingest_nodes_arrow", pa.Table.from_pylist([row])),
        ):
            store = TokenStore(Strict)
            with pytest.raises(IngestError) as caught:
                getattr(store, take)(data)
            assert path in str(caught.value) and len(store) == 0


def test_a_schemaless_store_widens_what_is_in_records() -> None:
    store = TokenStore()
    store.ingest_nodes_msgspec([{"id": 1, "n": {"a": 1}, "l": [], "c": {"a": 1}}])
    store.ingest_nodes_msgspec([{"id": 2, "n": {"a": 1, "b": 2}, "l": [], "c": {"a": 1, "b": "x"}}])
    store.ingest_nodes_msgspec('{"id": 3, "n": {"c": true}}')
    assert store.to_pyarrow()["n"].to_pylist() == [
        {"a": 1, "b": None, "c": None}, {"a": 1, "b": 2, "c": None}, {"a": None, "b": None, "c": True},
    ]


LAYOUTS: list[tuple[pa.DataType, list[pa.DataType], Any]] = [
    (pa.list_(pa.float64()), [pa.list_(pa.float64(), 2), pa.large_list(pa.float64()), pa.list_view(pa.float64())], [1.0, 2.0]),
    (pa.binary(), [pa.binary(4), pa.large_binary(), pa.binary_view()], b"abcd"),
    (pa.string(), [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())], "text"),
    (pa.list_(pa.string()), [pa.list_(pa.large_string(), 1), pa.large_list(pa.string_view())], ["a"]),
    (pa.map_(pa.string(), pa.string()), [pa.map_(pa.large_string(), pa.string())], [("k", "v")]),
    (pa.struct([("s", pa.string())]), [pa.struct([("s", pa.large_string())]), pa.struct([("s", pa.string()), ("t", pa.int8())])], {"s": "x"}),
]


@pytest.mark.parametrize(("declared", "layouts", "value"), LAYOUTS, ids=lambda given: str(given)[:20])
@pytest.mark.parametrize("nullable_column", [True, False])
def test_batches_in_different_layouts_keep_every_value(
    declared: pa.DataType, layouts: list[pa.DataType], value: Any, nullable_column: bool
) -> None:
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("v", declared, nullable=nullable_column)])
    longer: Any = {list: [9.0, 8.0, 7.0], bytes: b"longer than four", str: "longer than twelve bytes", dict: {"s": "y"}}[type(value)]
    if pa.types.is_map(declared):
        longer = [("k", "v"), ("l", "w")]
    elif isinstance(value, list) and value == ["a"]:
        longer = ["a", "b", "c"]
    for order in (layouts, layouts[::-1]):
        # A carried column is not declared, and widens in the same way.
        for store in (TokenStore(Schema.from_arrow(schema)), TokenStore(schema.remove(1))):
            given = []
            for at, layout in enumerate([*order, declared]):
                store.ingest_nodes_arrow(pa.table({"id": [2 * at], "v": pa.array([value], layout)}))
                given.append(value)
                if layout == declared or not pa.types.is_map(declared):
                    rows_value = dict(longer) if pa.types.is_map(declared) else longer
                    if store.schema and "v" in store.schema.fields:
                        store.ingest_nodes_msgspec([{"id": 2 * at + 1, "v": rows_value}])
                        given.append(longer)
            found = [_without_nulls(item) for item in store.to_pyarrow()["v"].to_pylist()]
            assert found == given
            again = TokenStore(store.schema)
            again.ingest_nodes_arrow(store)
            assert again.equals(store) and store.equals(again)


def test_an_id_is_never_null_by_any_way() -> None:
    class Maybe(ottava.Model):
        id: Optional[int] = None

    for schema in (Maybe, pa.schema([("id", pa.int64())])):
        store = TokenStore(schema)
        for take, data in (
            ("ingest_nodes_msgspec", [{"id": None}]),
            ("ingest_nodes_msgspec", [{}]),
            ("ingest_nodes_msgspec", '{"id": null}'),
            ("ingest_nodes_arrow", pa.table({"id": pa.array([None], pa.int64())})),
            ("ingest_nodes_arrow", pa.table({"id": pa.nulls(1)})),
        ):
            with pytest.raises(IngestError) as caught:
                getattr(store, take)(data)
            assert (caught.value.row, caught.value.column) == (0, "id")
        assert 0 not in store and store.to_pyarrow().num_rows == 0


class Kinds(ottava.Model):
    id: int
    day: Optional[dt.date] = None
    when: Optional[dt.datetime] = None
    time: Optional[dt.time] = None
    span: Optional[dt.timedelta] = None
    key: Optional[uuid.UUID] = None
    amount: Optional[decimal.Decimal] = Field(None, max_digits=12, decimal_places=3)
    kind: Optional[Literal["a", "b"]] = None
    either: Optional[Union[int, str]] = None
    by: dict[str, int] = {}


def test_kinds_that_json_has_no_word_for_are_equal_by_every_way() -> None:
    listed: list[dict[str, Any]] = [
        {
            "id": 1, "day": dt.date(2024, 2, 29), "when": dt.datetime(2024, 1, 1, 12, tzinfo=dt.timezone.utc), "time": dt.time(1, 2, 3, 4),
            "span": dt.timedelta(days=-1, microseconds=5), "key": uuid.UUID(int=7), "amount": decimal.Decimal("12.5"), "kind": "b",
            "either": "x", "by": {"k": 1, "l": 2},
        },
        {"id": 2, "either": 3},
    ]
    texts = [{name: value if isinstance(value, (int, str, dict)) else str(value) for name, value in row.items()} for row in listed]
    texts[0]["span"] = listed[0]["span"].total_seconds()
    stores = [TokenStore(Kinds) for _ in range(4)]
    stores[0].ingest_nodes_msgspec(listed)
    stores[1].ingest_nodes_msgspec("\n".join(map(json.dumps, texts)))
    stores[2].ingest_nodes_msgspec([Kinds(**row) for row in listed])
    stores[3].ingest_nodes_arrow(stores[0])
    for store in stores[1:]:
        assert store.equals(stores[0]) and stores[0].equals(store), store.to_pyarrow().to_pylist()


def test_dictionaries_with_unused_and_repeated_values() -> None:
    values = pa.array(["nothing uses this", "code", "test", "code", "spec"])
    coded = pa.DictionaryArray.from_arrays(pa.array([1, 3, 2, 4], pa.int16()), values)
    store, plain = TokenStore(Node), TokenStore(Node)
    store.ingest_nodes_arrow(pa.table({"id": [1, 2, 3, 4], "kind": coded}))
    plain.ingest_nodes_arrow(pa.table({"id": [1, 2, 3, 4], "kind": ["code", "code", "test", "spec"]}))
    assert store.equals(plain)
    used = pa.DictionaryArray.from_arrays(pa.array([0], pa.int16()), values)
    with pytest.raises(IngestError) as caught:
        store.ingest_nodes_arrow(pa.table({"id": [9], "kind": used}))
    assert (caught.value.row, caught.value.value) == (0, '"nothing uses this"')


def test_decimals_keep_their_digits() -> None:
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), ("amount", pa.decimal128(6, 2))])
    store = TokenStore(schema)
    store.ingest_nodes_msgspec([{"id": 1, "amount": decimal.Decimal("1E+3")}, {"id": 2, "amount": "12.5"}])
    assert store.to_pyarrow().column("amount").to_pylist() == [decimal.Decimal("1000.00"), decimal.Decimal("12.50")]
    for bad in ("12345.00", "0.001", decimal.Decimal("NaN"), "x", [1]):
        with pytest.raises(IngestError) as caught:
            store.ingest_nodes_msgspec([{"id": 3, "amount": bad}])
        assert (caught.value.row, caught.value.column) == (0, "amount")


def test_what_stands_below_a_null_is_no_value() -> None:
    """Below a null list or record the keys of a dictionary may be anything; a layout of its own for each."""
    key = pa.DictionaryArray.from_arrays(pa.array([0, 7, 0, 7], pa.int32()), pa.array(["a"]), safe=False)
    absent = pa.array([False, True, False, True])
    offsets, sizes = pa.array([0, 1, 2, 3, 4], pa.int32()), pa.array([1] * 4, pa.int32())
    columns = [
        pa.FixedSizeListArray.from_arrays(key, 1, mask=absent),
        pa.ListArray.from_arrays(offsets, key, mask=absent),
        pa.LargeListArray.from_arrays(offsets.cast(pa.int64()), key, mask=absent),
        pa.ListViewArray.from_arrays(offsets[:4], sizes, key, mask=absent),
        pa.LargeListViewArray.from_arrays(offsets[:4].cast(pa.int64()), sizes.cast(pa.int64()), key, mask=absent),
    ]
    for column in columns:
        inside = pa.StructArray.from_arrays([column], ["list"])
        for made, rows in [(column, [["a"], None, ["a"], None]), (inside, [{"list": row} for row in [["a"], None, ["a"], None]])]:
            given = pa.table({"id": pa.array(range(4)), "value": made})
            listed = [{"id": id, "value": row} for id, row in enumerate(rows)]
            stores = [TokenStore(Schema.from_arrow(given.schema)) for _ in range(2)]
            stores[0].ingest_nodes_arrow(given)
            stores[1].ingest_nodes_msgspec(listed)
            assert stores[0].equals(stores[1]) and stores[1].equals(stores[0])
