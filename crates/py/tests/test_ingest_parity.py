"""Both ways of ingestion give equal stores, for random schemas, rows, layouts and chunks."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
from typing import Any

import hypothesis.strategies as st
import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from nodes import Node, rows
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
