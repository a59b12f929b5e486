"""Stores: peers in and out, bad input, duplicates, grids."""

from __future__ import annotations

import ctypes
import io
import json
import pickle
import threading
import tracemalloc
from pathlib import Path
from typing import Any, Optional

import duckdb
import msgspec
import numpy as np
import ottava
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from nodes import Node, fresh, rows
from ottava.errors import ArgumentError, DuplicateIdError, IngestError, SchemaMismatchError
from ottava.ingest import Schema, TokenStore


def image(store: TokenStore) -> bytes:
    """The records as IPC bytes."""
    table = pa.table(store)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def refused(data: Any, kind: type[IngestError] = IngestError, **options: Any) -> IngestError:
    """The error of a batch; the store must be byte for byte what it was, and still take batches."""
    store = fresh()
    before = image(store)
    with pytest.raises(kind) as caught:
        if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
            store.ingest_nodes_arrow(data, **options)
        else:
            store.ingest_nodes_msgspec(data, **options)
    assert image(store) == before
    assert len(store) == 5 and 100 in store and 1 not in store
    store.ingest_nodes_msgspec(rows([1, 2, 3]))
    assert len(store) == 8
    return caught.value


def table(ids: Any) -> pa.Table:
    return pa.Table.from_pylist(rows(ids))


def test_pyarrow_in_and_out() -> None:
    store = TokenStore(Node)
    data = table(range(10))
    report = store.ingest_nodes_arrow(data)
    assert (report.rows, report.inserted, len(store)) == (10, 10, 10)
    assert report.copies == [("kind", 10, "text stored as codes of the enum")]
    out = store.to_pyarrow()
    assert out.column("kind").type == pa.dictionary(pa.int8(), pa.string())
    assert out.column("id").chunk(0).buffers()[1].address == data.column("id").chunk(0).buffers()[1].address
    assert out.to_pylist() == data.to_pylist()
    reader = pa.RecordBatchReader.from_stream(store)
    assert reader.read_all().num_rows == 10
    assert pa.schema(store) == out.schema
    other = TokenStore(Node)
    other.ingest_nodes_arrow(data.to_batches()[0])  # __arrow_c_array__
    assert other.equals(store)


def test_polars_in_and_out() -> None:
    frame = pl.DataFrame(rows(range(10)))
    store = TokenStore(Node)
    store.ingest_nodes_arrow(frame)
    assert store.to_polars().with_columns(pl.col("kind").cast(pl.String)).equals(frame)
    coded = frame.with_columns(pl.col("kind").cast(pl.Enum(["test", "code", "spec"])))
    again = TokenStore(Node)
    again.ingest_nodes_arrow(coded)
    assert again.equals(store)


def test_duckdb_in_and_out_any_number_of_times() -> None:
    data = table(range(3000))
    store = TokenStore(Node)
    store.ingest_nodes_arrow(duckdb.sql("select * from data"))
    assert len(store) == 3000
    for _ in range(3):
        found = duckdb.sql("select a.kind, count(*) n from store a join store b using (id) group by 1 order by 1")
        assert found.fetchall() == [("code", 1000), ("spec", 1000), ("test", 1000)]
    assert store.to_pyarrow().to_pylist() == data.to_pylist()


def test_pandas_in_and_out() -> None:
    frame = pd.DataFrame(rows(range(10)))
    store = TokenStore(Node)
    store.ingest_nodes_arrow(frame)
    pd.testing.assert_frame_equal(
        store.to_pandas().astype({"kind": "str"}), frame.astype({"kind": "str"}), check_dtype=False
    )


def test_chunks_slices_and_empty_chunks() -> None:
    whole = table(range(20))
    chunked = pa.concat_tables([whole.slice(3, 4), whole.slice(0, 0), whole.slice(7, 1), whole.slice(8)])
    store = TokenStore(Node)
    store.ingest_nodes_arrow(chunked)
    assert store.num_chunks == 3
    assert store.to_pyarrow().to_pylist() == whole.to_pylist()[3:]


def test_slices_of_records_in_records() -> None:
    listed: list[dict[str, Any]] = [
        {
            "id": i,
            "a": {"b": {"c": i, "d": {"e": f"e{i}"} if i % 3 else None}, "f": [{"g": {"h": i}}] * (i % 3)},
            "pair": [{"x": {"y": i}}, {"x": {"y": -i}}],
        }
        for i in range(12)
    ]
    plain = pa.Table.from_pylist(listed)
    pair = pa.list_(plain.schema.field("pair").type.value_type, 2)
    whole = plain.set_column(2, "pair", plain.column("pair").cast(pair))
    for start, rows_taken in ((0, 12), (1, 4), (5, 7), (11, 1), (3, 0)):
        part = whole.slice(start, rows_taken)
        expected = listed[start : start + rows_taken]
        for data in (part, part.combine_chunks(), pl.DataFrame(part), *part.to_batches(), part.to_batches() and part.to_batches()[0].to_struct_array()):
            if not isinstance(data, list):
                store = TokenStore(whole.schema)
                store.ingest_nodes_arrow(data)
                assert store.to_pyarrow().to_pylist() == expected
        rows_of_it = TokenStore(whole.schema)
        rows_of_it.ingest_nodes_msgspec(expected)
        assert rows_of_it.to_pyarrow().to_pylist() == expected


def test_an_embedding_is_moved_and_never_read() -> None:
    values = np.arange(10 * 384, dtype=np.float32)
    values[5] = np.nan
    data = table(range(10)).append_column("embedding", pa.FixedSizeListArray.from_arrays(pa.array(values), 384))
    store = TokenStore(Node)
    report = store.ingest_nodes_arrow(data)
    assert report.copies == [("kind", 10, "text stored as codes of the enum")] and report.bytes_copied == 10
    out = store.to_pyarrow().column("embedding").chunk(0)
    assert out.values.buffers()[1].address == data.column("embedding").chunk(0).values.buffers()[1].address
    again = TokenStore(Node)
    again.ingest_nodes_msgspec([{**row, "embedding": values[i * 384 : (i + 1) * 384]} for i, row in enumerate(rows(range(10)))])
    assert np.array_equal(np.stack(again.to_pandas()["embedding"].to_list()), values.reshape(10, 384), equal_nan=True)


def test_every_kind_of_rows_gives_the_same_store() -> None:
    class Struct(msgspec.Struct):
        id: int
        kind: str
        score: float | None = None
        version: int = 1

    listed = rows(range(50))
    structs = [Struct(**row) for row in listed]
    models = [Node(**row) for row in listed]
    lines = b"\n".join(json.dumps(row).encode() for row in listed)
    sources: list[Any] = [
        listed,
        tuple(listed),
        (row for row in listed),
        structs,
        models,
        lines,
        lines.decode(),
        bytearray(lines),
        json.dumps(listed, indent=2).encode(),
        msgspec.json.encode(structs),
        msgspec.msgpack.encode(structs),
        msgspec.msgpack.encode(listed),
    ]
    expected = TokenStore(Node)
    expected.ingest_nodes_arrow(pa.Table.from_pylist(listed))
    for source in sources:
        store = TokenStore(Node)
        store.ingest_nodes_msgspec(source)
        assert store.equals(expected), type(source)
        assert store.to_pyarrow().to_pylist() == listed
    one = TokenStore(Node)
    one.ingest_nodes_msgspec(json.dumps(listed[0], indent=2), format="json")
    one.ingest_nodes_msgspec(msgspec.msgpack.encode(listed[1]))
    assert one.to_pyarrow().to_pylist() == listed[:2]


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "nodes.ndjson"
    path.write_text("\n".join(map(json.dumps, rows(range(4)))))
    store = TokenStore(Node)
    assert store.ingest_nodes_msgspec(path).inserted == 4


def test_defaults_stand_in() -> None:
    bare = [{"id": 1, "kind": "code"}, {"id": 2, "kind": "spec"}]
    stores = [TokenStore(Node) for _ in range(3)]
    stores[0].ingest_nodes_msgspec(bare)
    stores[1].ingest_nodes_msgspec("\n".join(map(json.dumps, bare)))
    stores[2].ingest_nodes_arrow(pa.Table.from_pylist(bare))
    for store in stores:
        assert store.to_pyarrow().to_pylist() == [{**row, "score": None, "version": 1} for row in bare]


def test_undeclared_columns_are_carried_on_every_path() -> None:
    listed = rows(range(4), note="n", tags=["a"], deep={"x": 1})
    del listed[2]["note"]
    stores = [TokenStore(Node) for _ in range(4)]
    stores[0].ingest_nodes_msgspec(listed)
    stores[1].ingest_nodes_msgspec("\n".join(map(json.dumps, listed)))
    stores[2].ingest_nodes_msgspec(msgspec.msgpack.encode(listed))
    stores[3].ingest_nodes_arrow(pa.Table.from_pylist(listed))
    for store in stores:
        assert store.equals(stores[0])
        assert store.to_pyarrow().column("note").to_pylist() == ["n", "n", None, "n"]
    with pytest.raises(SchemaMismatchError):
        stores[0].ingest_nodes_msgspec(rows([9], note=5))


def test_a_store_without_a_schema_takes_it_from_the_first_batch() -> None:
    arrow, flexible = TokenStore(id="id"), TokenStore(id="id")
    arrow.ingest_nodes_arrow(table(range(5)))
    flexible.ingest_nodes_msgspec(rows(range(5)))
    assert arrow.equals(flexible)
    assert arrow.schema is not None and arrow.schema.fields == ["id", "kind", "score", "version"]
    with pytest.raises(SchemaMismatchError):
        arrow.ingest_nodes_arrow(pa.table({"id": ["x"]}))
    with pytest.raises(IngestError, match="no column"):
        TokenStore(id="key").ingest_nodes_arrow(table([1]))


# Bad input.


def test_duplicate_ids() -> None:
    for data in (table([1, 2, 1]), rows([1, 2, 1]), "\n".join(map(json.dumps, rows([1, 2, 1])))):
        err = refused(data, DuplicateIdError)
        assert (err.row, err.column, err.value) == (2, "id", "1")
    for data in (table([1, 103]), rows([1, 103])):
        err = refused(data, DuplicateIdError)
        assert str(err) == "row 1, column id: id 103 is already in the store"


def test_null_ids_wrong_types_and_strangers() -> None:
    nulls = pa.table({"id": pa.array([1, None]), "kind": ["code", "code"]})
    err = refused(nulls)
    assert (err.row, err.column) == (1, "id")
    err = refused([{"id": 1, "kind": "code"}, {"id": None, "kind": "code"}])
    assert (err.row, err.column) == (1, "id")
    mismatch = refused(pa.table({"id": ["a"], "kind": [1]}), SchemaMismatchError)
    assert isinstance(mismatch, SchemaMismatchError)
    assert [m[0] for m in mismatch.mismatches] == ["id", "kind"]
    err = refused([*rows([1]), {"id": "2", "kind": "code"}])
    assert (err.row, err.column, err.value) == (1, "id", "'2'")
    err = refused([*rows([1]), {"id": 2}])
    assert (err.row, err.column) == (1, "kind")
    err = refused('{"id": 1, "kind": "code"}\n{"id": [], "kind": "code"}')
    assert (err.row, err.column) == (1, "id")
    for data in (pa.table({"id": [1, 2], "kind": ["code", "spek"]}), [*rows([1]), {"id": 2, "kind": "spek"}]):
        err = refused(data)
        assert (err.row, err.column, err.value) == (1, "kind", '"spek"')
    err = refused([{"id": 2**63, "kind": "code"}])
    assert (err.row, err.column) == (0, "id")


def test_broken_documents() -> None:
    for data in (b"{", b"[1, 2", b"[1]", b"\xff\xfe", b"[[]]", b'{"id": NaN, "kind": "code"}', b"\x91\xc1", b"\x91\x01"):
        refused(data)
    with pytest.raises(TypeError, match="ingest_nodes_msgspec"):
        fresh().ingest_nodes_arrow([1])
    with pytest.raises(TypeError):
        fresh().ingest_nodes_msgspec({"id": 1})
    with pytest.raises(TypeError):
        fresh().ingest_nodes_msgspec(7)
    with pytest.raises(ValueError, match="on_duplicate"):
        fresh().ingest_nodes_msgspec([], on_duplicate="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="format"):
        fresh().ingest_nodes_msgspec(b"[]", format="xml")  # type: ignore[arg-type]


def test_a_stream_that_raises_midway() -> None:
    data = table(range(4))

    def batches() -> Any:
        yield from data.to_batches()
        raise RuntimeError("the source is gone")

    reader = pa.RecordBatchReader.from_batches(data.schema, batches())
    err = refused(reader)
    assert "record batch 1" in str(err) and "the source is gone" in str(err)


def test_a_stream_whose_second_batch_disagrees() -> None:
    data = table(range(4))
    other = pa.table({"id": ["a"], "kind": ["code"]})

    def batches() -> Any:
        yield from data.to_batches()
        yield from other.to_batches()

    err = refused(pa.RecordBatchReader.from_batches(data.schema, batches()))
    assert "record batch 1" in str(err)


class _Array(ctypes.Structure):
    """`ArrowArray` of the C data interface."""

    _fields_ = [
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.c_void_p),
        ("children", ctypes.c_void_p),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    ]


class _Stream(ctypes.Structure):
    """`ArrowArrayStream` of the C data interface."""

    _fields_ = [
        ("get_schema", ctypes.c_void_p),
        ("get_next", ctypes.c_void_p),
        ("get_last_error", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    ]


def test_a_capsule_whose_second_batch_has_too_few_columns() -> None:
    data = pa.Table.from_batches(table([1, 2, 3]).to_batches(max_chunksize=1))
    capsule = data.__arrow_c_stream__()
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    stream = _Stream.from_address(get(capsule, b"arrow_array_stream"))
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    original = prototype(stream.get_next)
    calls = []

    def lie(this: int, out: int) -> int:
        code = int(original(this, out))
        calls.append(out)
        if len(calls) == 2:
            _Array.from_address(out).n_children -= 1
        return code

    hook = prototype(lie)
    stream.get_next = ctypes.cast(hook, ctypes.c_void_p).value

    class Liar:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return capsule

    err = refused(Liar())
    assert "record batch 1" in str(err)
    assert len(calls) == 2


def test_a_capsule_consumed_twice() -> None:
    class Once:
        def __init__(self) -> None:
            self.capsule = table([1]).__arrow_c_stream__()

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return self.capsule

    source = Once()
    assert TokenStore(Node).ingest_nodes_arrow(source).inserted == 1
    refused(source)


def test_not_a_capsule_at_all() -> None:
    class Wrong:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return "no capsule"

    with pytest.raises((TypeError, IngestError)):
        fresh().ingest_nodes_arrow(Wrong())


def test_errors_are_pickled() -> None:
    for err in (refused(table([1, 1])), refused(pa.table({"id": ["a"]}), SchemaMismatchError)):
        again = pickle.loads(pickle.dumps(err))
        assert (str(again), again.row, again.column, again.value) == (str(err), err.row, err.column, err.value)


# Duplicates by policy.


def test_skip_and_replace() -> None:
    store = fresh()
    report = store.ingest_nodes_arrow(table([103, 104, 105]), on_duplicate="skip")
    assert (report.inserted, report.skipped) == (1, 2)
    new = [{"id": 103, "kind": "spec", "score": 9.0}, {"id": 103, "kind": "test", "score": 10.0}]
    report = store.ingest_nodes_msgspec(new, on_duplicate="replace")
    assert (report.inserted, report.replaced) == (1, 2)
    assert len(store) == 6
    found = pa.table(store.rows([103, 7, 100])).to_pylist()
    assert [(row["id"], row["score"]) for row in found] == [(103, 10.0), (100, None)]


# Coordinates and grids.

AXES = [f"x{i}" for i in range(8)]


def places(ids: Any, seed: int = 0) -> pa.Table:
    points = np.random.default_rng(seed).random((len(ids), 8))
    columns: dict[str, Any] = {name: points[:, i] for i, name in enumerate(AXES)}
    return pa.table({"id": pa.array(ids), **columns})


def test_a_grid_stays_in_step() -> None:
    store = TokenStore()
    store.ingest_nodes_arrow(places(range(100)))
    grid = store.grid(AXES)
    assert len(grid) == 100
    store.ingest_nodes_arrow(places(range(100, 150), seed=1))
    moved = places(range(20), seed=2)
    store.ingest_nodes_arrow(moved, on_duplicate="replace")
    store.ingest_nodes_arrow(places(range(10), seed=3), on_duplicate="skip")
    assert len(grid) == len(store) == 150
    held = pa.table(store).sort_by("id")
    ids = np.asarray(grid.ids)
    order = np.argsort(ids)
    assert np.array_equal(ids[order], held.column("id").to_numpy())
    expected = np.stack([held.column(name).to_numpy() for name in AXES], axis=1).astype(np.float32)
    assert np.array_equal(np.asarray(grid.positions)[order], expected)
    assert pa.table(store.rows_of([3, 149])).column("id").to_pylist() == [3, 149]
    nan = places([900])
    nan = nan.set_column(nan.schema.get_field_index("x4"), "x4", pa.array([float("nan")]))
    with pytest.raises(IngestError) as caught:
        store.ingest_nodes_arrow(nan)
    assert (caught.value.row, caught.value.column, caught.value.value) == (0, "x4", "NaN")
    assert len(grid) == len(store) == 150


def test_a_grid_of_records_with_text_ids_and_lists() -> None:
    points = np.random.default_rng(5).random((30, 8)).astype(np.float32)
    at = pa.FixedSizeListArray.from_arrays(points.ravel(), 8)
    store = TokenStore()
    store.ingest_nodes_arrow(pa.table({"id": [f"n{i}" for i in range(30)], "at": at}))
    grid = store.grid("at")
    found = grid.nearest(points[7], k=1)
    token = int(np.asarray(found.ids).ravel()[0])
    assert pa.table(store.rows_of([token])).column("id").to_pylist() == ["n7"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30, None])
def test_coordinates_that_are_none_are_refused_by_every_way(bad: float | None) -> None:
    columns, lists = TokenStore(), TokenStore(pa.schema([pa.field("id", pa.int64(), False), ("at", pa.list_(pa.float64(), 8))]))
    columns.ingest_nodes_arrow(places(range(5)))
    lists.ingest_nodes_msgspec([{"id": i, "at": [float(i)] * 8} for i in range(5)])
    grids = [columns.grid(AXES), lists.grid("at")]
    good = {"id": 10, **{name: 0.5 for name in AXES}}
    wrong = {**good, "id": 11, "x6": bad}
    listed = [{"id": 10, "at": [0.5] * 8}, {"id": 11, "at": [0.5] * 6 + [bad, 0.5]}]
    for store, column, data in (
        (columns, "x6", [good, wrong]),
        (columns, "x6", pa.Table.from_pylist([good, wrong])),
        (lists, "at[6]", listed),
        (lists, "at[6]", pa.Table.from_pylist(listed, schema=pa.schema(lists))),
    ):
        before = image(store)
        with pytest.raises(IngestError) as caught:
            if isinstance(data, pa.Table):
                store.ingest_nodes_arrow(data)
            else:
                store.ingest_nodes_msgspec(data)
        assert (caught.value.row, caught.value.column) == (1, column)
        assert image(store) == before
    assert [len(grid) for grid in grids] == [5, 5]


def test_grids_follow_every_way_and_every_policy() -> None:
    store = TokenStore()
    store.ingest_nodes_arrow(places(range(10)).append_column("key", pa.array([f"k{i}" for i in range(10)])))
    by_key = TokenStore(id="key")
    by_key.ingest_nodes_arrow(store)
    grids = [(store, store.grid(AXES)), (by_key, by_key.grid(AXES)), (store, store.grid(AXES[::-1]))]
    moved = [{"id": i, "key": f"k{i}", **{name: float(i + at) for at, name in enumerate(AXES)}} for i in range(5, 15)]
    for one in (store, by_key):
        with pytest.raises(DuplicateIdError):
            one.ingest_nodes_msgspec(moved)
        assert all(len(grid) == 10 for other, grid in grids if other is one)
        one.ingest_nodes_msgspec(moved[:7], on_duplicate="replace")
        one.ingest_nodes_msgspec("\n".join(map(json.dumps, moved)), on_duplicate="skip")
    for one, grid in grids:
        assert len(grid) == len(one) == 15
        tokens = np.asarray(grid.ids)
        held = pa.table(one.rows_of(tokens))
        names = grid.axes if hasattr(grid, "axes") else AXES
        expected = np.stack([held.column(name).to_numpy() for name in list(names)], axis=1).astype(np.float32)
        assert np.array_equal(np.asarray(grid.positions), expected)


def test_a_grid_that_refuses_undoes_the_batch() -> None:
    store = TokenStore()
    store.ingest_nodes_arrow(places(range(5)))
    grid = store.grid(AXES)
    before = image(store)
    with pytest.raises(IngestError, match="token id"):
        store.ingest_nodes_arrow(places([7, -1]))
    assert image(store) == before and len(grid) == 5


# Together.


def test_readers_see_whole_batches() -> None:
    store = TokenStore()
    stop = threading.Event()
    seen: set[int] = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(pa.table(store).num_rows)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for start in range(0, 50_000, 1000):
            store.ingest_nodes_arrow(pa.table({"id": np.arange(start, start + 1000)}))
    finally:
        stop.set()
        thread.join()
    assert all(rows % 1000 == 0 for rows in seen)
    assert len(store) == 50_000


def test_rules_hold_on_both_paths() -> None:
    import ottava
    from ottava import Field

    class Ruled(ottava.Model):
        id: int = Field(gt=0)
        name: str = Field(min_length=2, pattern="^[a-z]+$")

    good = [{"id": 1, "name": "ab"}]
    for bad, column in (({"id": 0, "name": "ab"}, "id"), ({"id": 1, "name": "a"}, "name"), ({"id": 1, "name": "A1"}, "name")):
        for data in ([*good, {**bad, "id": bad["id"] or 0}], json.dumps([*good, bad]).encode(), pa.Table.from_pylist([*good, bad])):
            store = TokenStore(Ruled)
            with pytest.raises(IngestError) as caught:
                if isinstance(data, pa.Table):
                    store.ingest_nodes_arrow(data)
                else:
                    store.ingest_nodes_msgspec(data)
            assert (caught.value.row, caught.value.column) == (1, column)
            assert len(store) == 0


def test_schema_from_arrow() -> None:
    schema = Schema.from_arrow(pa.schema([("id", pa.int64()), ("t", pa.timestamp("ms", "Europe/Vienna"))]), name="Row")
    view = Schema.from_arrow(pl.Schema({"t": pl.Datetime("ms", "Europe/Vienna"), "id": pl.Int64}))
    assert schema.fields == ["id", "t"] and schema.name == "Row"
    assert schema == view and hash(schema) == hash(view)
    assert schema.fingerprint == view.fingerprint
    with pytest.raises(ValueError, match="month_interval|interval|Interval"):
        Schema.from_arrow(pa.schema([("x", pa.month_day_nano_interval())]))


@pytest.mark.parametrize(
    "claim",
    [
        b"\xdb\x40\x00\x00\x00",  # text of 1 GiB
        b"\xc6\x40\x00\x00\x00",  # bytes of 1 GiB
        b"\xdd\x40\x00\x00\x00",  # a billion items
        b"\xdf\x40\x00\x00\x00",  # a billion entries
    ],
)
def test_msgpack_that_claims_a_gigabyte_and_has_a_few_bytes(claim: bytes) -> None:
    for text in (claim + b"abc", b"\x91\x81\xa2id" + claim + b"abc"):
        store = TokenStore(Node)
        tracemalloc.start()
        try:
            with pytest.raises(IngestError):
                store.ingest_nodes_msgspec(text)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(store) == 0 and peak < 1 << 24


def test_what_is_no_row_is_said_in_the_words_of_the_package() -> None:
    class Defaults(ottava.Model):
        id: int = 0
        x: Optional[int] = None

    for schema in (Node, None):
        for rows_given in ([{"id": 1, 5: 1}], [{"id": 1, "\ud800": 1}], msgspec.msgpack.encode([{"id": 1, 5: 1}]), '{"id": 1, "a\\u0000b": 2}'):
            store = TokenStore(schema)
            with pytest.raises(IngestError):
                store.ingest_nodes_msgspec(rows_given if schema is None else _with_kind(rows_given))
            assert len(store) == 0
    store = TokenStore(Defaults)
    store.ingest_nodes_msgspec([{}])
    assert store.to_pyarrow().to_pylist() == [{"id": 0, "x": None}]
    for threads in (0, -1, -(2**70), "2", 1.5):
        for ingest in (
            lambda: store.ingest_nodes_msgspec([], threads=threads),
            lambda: store.ingest_nodes_msgspec("[]", threads=threads),
            lambda: store.ingest_nodes_arrow(pa.table({"id": [1]}), threads=threads),
        ):
            with pytest.raises(ArgumentError if isinstance(threads, int) else TypeError, match="^threads: expected "):
                ingest()
    for threads in (2**64, 2**70):
        assert store.ingest_nodes_msgspec([], threads=threads).rows == 0
        assert store.ingest_nodes_msgspec("", threads=threads).rows == 0
        assert store.ingest_nodes_arrow(pa.table({"id": pa.array([], pa.int64())}), threads=threads).rows == 0
    for missing in (-1, 2**64, 2**70, 10**5000):
        assert pa.table(store.rows([missing])).num_rows == 0
        with pytest.raises(ArgumentError, match="is not an id"):
            store.rows_of([missing])
    for wrong in (1.5, None, []):
        with pytest.raises(TypeError, match="^ids: expected integers and text, got "):
            store.rows([wrong])  # type: ignore[list-item]
    for columns in (pd.DataFrame({"id": [1]}), pl.DataFrame({"id": [1]}), np.arange(3), pa.table({"id": [1]})):
        with pytest.raises(TypeError, match="ingest_nodes_arrow"):
            store.ingest_nodes_msgspec(columns)
    store.ingest_nodes_msgspec('\ufeff{"id": 7,\r"y": 2}\r\n')
    assert 7 in store
    empty = TokenStore()
    for nothing in ([], "", "[]"):
        assert empty.ingest_nodes_msgspec(nothing).rows == 0
    with pytest.raises(IngestError, match="NaN"):
        empty.ingest_nodes_msgspec('{"id": 1, "x": NaN}')
    words = TokenStore()
    words.ingest_nodes_msgspec([{"id": "x" * 1000}])
    with pytest.raises(DuplicateIdError) as caught:
        words.ingest_nodes_msgspec([{"id": "x" * 1000}])
    assert len(str(caught.value)) < 200

    class Changing(list):  # type: ignore[type-arg]
        pass

    rows_given: Any = Changing({"id": i} for i in range(100))

    class Shrinks:
        @property
        def id(self) -> int:
            rows_given.clear()
            return 1

    rows_given[0] = Shrinks()
    with pytest.raises(IngestError, match="changed while it was read"):
        TokenStore(Defaults).ingest_nodes_msgspec(rows_given)


def _with_kind(given: Any) -> Any:
    """The rows with what `Node` requires."""
    if isinstance(given, list):
        return [{"kind": "code", "version": 1, **row} for row in given]
    return given if isinstance(given, bytes) else given.replace("{", '{"kind": "code", "version": 1, ', 1)


def test_a_carried_integer_may_have_64_bits_without_a_sign() -> None:
    stores = [fresh(), fresh()]
    row = {**rows([1])[0], "big": 2**63}
    stores[0].ingest_nodes_msgspec([row])
    stores[1].ingest_nodes_arrow(pa.Table.from_pylist([row], schema=pa.Table.from_pylist([row | {"big": 0}]).schema.set(len(row) - 1, pa.field("big", pa.uint64()))))
    assert stores[0].equals(stores[1])
