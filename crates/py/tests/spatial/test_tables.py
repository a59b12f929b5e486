"""Arrow tables in and out."""

from __future__ import annotations

import datetime as dt
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ottava.errors import ArgumentError, DuplicateTokenError, SnapshotError
from ottava.spatial import Table, TokenGrid

NAMES = [f"a{axis}" for axis in range(8)]


@pytest.fixture(scope="module")
def table(rng: np.random.Generator) -> pa.Table:
    n = 1_000
    words = [None if i % 11 == 0 else f"word {i}" for i in range(n)]
    columns: dict[str, object] = {
        "key": pa.array(rng.permutation(n).astype(np.int32) * 3),
        "word": pa.array(words),
        "label": pa.array([f"l{i % 5}" for i in range(n)]).dictionary_encode(),
        "list": pa.array([[i] * (i % 4) for i in range(n)]),
        "struct": pa.array([{"x": i, "y": str(i)} for i in range(n)]),
        "when": pa.array([dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(minutes=i) for i in range(n)]),
        "flag": pa.array([i % 3 == 0 for i in range(n)]),
        "size": pa.array(np.linspace(0, 1, n)),
    }
    for name in NAMES:
        columns[name] = rng.random(n, dtype=np.float32)
    made = pa.table(columns)
    return pa.concat_tables([made.slice(0, 300), made.slice(300, 0), made.slice(300, 1), made.slice(301)])


@pytest.fixture
def loaded(table: pa.Table) -> TokenGrid:
    return TokenGrid.from_arrow(table, id="key", positions=NAMES, weight="size", field_radius=0.5, field_strength="size")


def test_columns_name_the_axes(loaded: TokenGrid, table: pa.Table) -> None:
    assert loaded.axes == NAMES
    assert len(loaded) == 1_000
    row = table.slice(300, 1).to_pylist()[0]
    token = loaded.get(row["key"])
    np.testing.assert_array_equal(token.position, [row[name] for name in NAMES])
    assert token.weight == token.field_strength == np.float32(row["size"])
    assert token.field_radius == 0.5


def test_all_rows_are_the_table_itself(loaded: TokenGrid, table: pa.Table) -> None:
    rows = loaded.rows()
    back = pa.table(rows)
    assert isinstance(rows, Table)
    assert (rows.num_rows, rows.num_columns, len(rows)) == (1_000, 16, 1_000)
    assert rows.column_names == table.column_names
    assert repr(rows).startswith("<ottava.Table of 1000 rows: key: Int32, word: Utf8")
    assert pa.schema(rows) == table.schema
    np.testing.assert_array_equal(back["key"].to_numpy(), loaded.ids)
    by_key = back.sort_by("key")
    assert by_key.equals(table.sort_by("key"))
    # Without a copy: the same memory.
    before = table["a3"].chunk(0).buffers()[1].address
    assert before in {chunk.buffers()[1].address for chunk in back["a3"].chunks}


def test_rows_of_some(loaded: TokenGrid, table: pa.Table) -> None:
    near = loaded.nearest([0.5] * 8, 40).ids
    back = pa.table(loaded.rows(near))
    np.testing.assert_array_equal(back["key"].to_numpy(), near)
    expected = {row["key"]: row for row in table.to_pylist()}
    assert back.to_pylist() == [expected[id] for id in near.tolist()]
    assert pa.table(loaded.rows([])).num_rows == 0
    assert pa.table(loaded.rows(int(near[0]))).num_rows == 1
    twice = pa.table(loaded.rows([near[0], near[0]]))
    assert twice.num_rows == 2


def test_many_rows(rng: np.random.Generator) -> None:
    n = 200_000
    made = pa.table({"key": rng.permutation(n), "text": [str(i) for i in range(n)], **{name: rng.random(n) for name in NAMES}})
    grid = TokenGrid.from_arrow(made, id="key", positions=NAMES)
    shuffled = rng.permutation(n)
    back = pa.table(grid.rows(shuffled))
    np.testing.assert_array_equal(back["key"].to_numpy(), shuffled)
    texts = np.empty(n, object)
    texts[made["key"].to_numpy()] = made["text"].to_numpy()
    assert back["text"].to_pylist() == texts[shuffled].tolist()


def test_changes_and_rows(loaded: TokenGrid, table: pa.Table) -> None:
    loaded.insert(1, [0.5] * 8)
    loaded.remove([0, 3])
    loaded.insert(3, [0.5] * 8)
    loaded.insert_batch([6], [[0.5] * 8], on_duplicate="replace")
    loaded.move(9, [0.5] * 8)
    back = pa.table(loaded.rows())
    np.testing.assert_array_equal(back["key"].to_numpy(), loaded.ids)
    rows = {row["key"]: row for row in back.to_pylist()}
    assert set(rows) == (set(range(0, 3_000, 3)) | {1}) - {0}
    for new in (1, 3, 6):
        assert [rows[new][name] for name in table.column_names if name != "key"] == [None] * 15
    kept = {row["key"]: row for row in table.to_pylist()}
    assert rows[9] == kept[9]
    assert rows[12] == kept[12]


def reopened(grid: TokenGrid, way: str, path: Path) -> TokenGrid:
    if way == "pickle":
        return pickle.loads(pickle.dumps(grid))
    grid.save(path)
    return TokenGrid.open(path, mmap=way == "map")


@pytest.mark.parametrize("way", ["map", "read", "pickle"])
def test_snapshots_keep_the_columns(loaded: TokenGrid, table: pa.Table, tmp_path: Path, way: str) -> None:
    again = reopened(loaded, way, tmp_path / "grid")
    back = pa.table(again.rows())
    assert back.schema == table.schema
    assert back.sort_by("key").equals(table.sort_by("key"))
    np.testing.assert_array_equal(back["key"].to_numpy(), again.ids)

    # Changes, before the columns were read and after; then once more through a file.
    again = reopened(loaded, way, tmp_path / "grid")
    again.remove([0, 3])
    again.insert(3, [0.5] * 8)
    again.insert(2**40, [0.5] * 8)  # more than the type of its column holds
    again.move(9, [0.5] * 8)
    expected = {row["key"]: row for row in table.to_pylist() if row["key"] not in (0, 3)}
    for _ in range(3):
        assert set(again) == {*expected, 3, 2**40}
        kept = pa.table(again.rows(list(expected)))
        assert kept.to_pylist() == list(expected.values())
        new = pa.table(again.rows([3, 2**40])).to_pylist()
        assert [row["key"] for row in new] == [3, 2**40]
        assert all(value is None for row in new for name, value in row.items() if name != "key")
        again = reopened(again, way, tmp_path / "grid")
    again.insert_batch([12], [[0.5] * 8], on_duplicate="replace")
    assert pa.table(again.rows([12])).to_pylist()[0]["word"] is None
    assert pa.table(reopened(again, way, tmp_path / "grid").rows([12])).to_pylist()[0]["word"] is None


@pytest.mark.parametrize(("kind", "id"), [(pa.int32(), 2**40), (pa.int64(), 2**63 + 5), (pa.uint8(), 300), (pa.uint64(), 2**64 - 2)])
def test_ids_too_large_for_their_column(tmp_path: Path, kind: pa.DataType, id: int) -> None:
    table = pa.table({"k": pa.array([1, 2, 3], kind), "word": ["a", "b", "c"]})
    grid = TokenGrid.from_arrow(table, id="k", positions=np.eye(8)[:3])
    grid.insert(4, [0] * 8)
    assert pa.table(grid.rows()).schema == table.schema
    grid.insert(id, [0] * 8)
    for way in ("map", "pickle"):
        assert pa.table(grid.rows()).to_pydict() == {"k": [1, 2, 3, 4, id], "word": ["a", "b", "c", None, None]}
        assert pa.table(grid.rows([2])).schema.field("word") == table.schema.field("word")
        grid = reopened(grid, way, tmp_path / "grid")


def test_carried_columns_are_in_the_memory(table: pa.Table) -> None:
    grid = TokenGrid.from_arrow(table, id="key", positions=NAMES)
    plain = TokenGrid.from_arrays(np.arange(len(table)), grid.positions)
    assert grid.memory["columns"] >= table.nbytes // 2
    assert plain.memory["columns"] == 0
    shown = lambda grid: int(repr(grid).split("memory: ")[1].split(" bytes")[0].replace(",", ""))  # noqa: E731
    assert shown(grid) == sum(grid.memory.values())
    assert shown(plain) == sum(plain.memory.values())


def test_a_replaced_token_has_no_row(table: pa.Table) -> None:
    grid = TokenGrid.from_arrow(table, id="key", positions=NAMES)
    id = int(grid.ids[0])
    grid.insert(id, [0.5] * 8, on_duplicate="skip")
    assert pa.table(grid.rows([id]))["a0"][0].as_py() is not None
    grid.insert(id, [0.5] * 8, on_duplicate="replace")
    assert pa.table(grid.rows([id])).to_pylist()[0]["a0"] is None


def test_snapshots_of_empty_tables(table: pa.Table, tmp_path: Path) -> None:
    grid = TokenGrid.from_arrow(table.slice(0, 0), id="key", positions=NAMES)
    grid.save(tmp_path / "grid")
    back = pa.table(TokenGrid.open(tmp_path / "grid").rows())
    assert back.equals(table.slice(0, 0).combine_chunks())


def test_damaged_columns_are_refused(loaded: TokenGrid, tmp_path: Path) -> None:
    path = tmp_path / "grid"
    loaded.save(path)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"word 7")
    whole[at] ^= 1
    path.write_bytes(whole)
    with pytest.raises(SnapshotError, match="section attachment: checksum mismatch"):
        TokenGrid.open(path)


def test_rows_without_a_table() -> None:
    grid = TokenGrid.from_arrays([5, 2], [[1] * 8, [2] * 8], weight=[3, 4], axes=list("abcdefgh"))
    back = pa.table(grid.rows([2, 5]))
    assert back.column_names == ["id", *"abcdefgh", "weight", "field_radius", "field_strength"]
    assert back.to_pylist()[0] == {"id": 2, **dict.fromkeys("abcdefgh", 2.0), "weight": 4.0, "field_radius": 0.0, "field_strength": 0.0}


@pytest.mark.parametrize("positions", ["list", "array", "sequence of names"])
def test_ways_to_give_positions(table: pa.Table, positions: str) -> None:
    matrix = np.stack([table[name].to_numpy() for name in NAMES], axis=1)
    made, given = table, NAMES
    if positions == "list":
        lists = pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate([matrix[:10].ravel(), matrix.ravel()])), 8)[10:]
        made, given = table.append_column("place", pa.chunked_array([lists[:400], lists[400:]])), "place"
    elif positions == "array":
        given = matrix
    grid = TokenGrid.from_arrow(made, id="key", positions=given)
    order = np.argsort(grid.ids)
    np.testing.assert_array_equal(grid.positions[order], matrix[np.argsort(table["key"].to_numpy())])
    assert grid.axes == (NAMES if given is NAMES else [f"x{axis}" for axis in range(8)])
    assert TokenGrid.from_arrow(made, id="key", positions=given, axes=list("abcdefgh")).axes == list("abcdefgh")


def test_other_libraries(table: pa.Table) -> None:
    plain = table.select(["key", "word", *NAMES])
    for other in (
        plain.to_batches()[0],
        pa.RecordBatchReader.from_batches(plain.schema, plain.to_batches()),
        pl.from_arrow(plain),
        plain.to_pandas(),
        TokenGrid.from_arrow(plain, id="key", positions=NAMES).rows(),
    ):
        grid = TokenGrid.from_arrow(other, id="key", positions=NAMES)
        assert pa.table(grid.rows(grid.ids[:2]))["word"].to_pylist() == [
            {row["key"]: row["word"] for row in plain.to_pylist()}[id] for id in grid.ids[:2].tolist()
        ]
    grid = TokenGrid.from_arrow(plain, id="key", positions=NAMES)
    assert pl.DataFrame(grid.rows()).height == 1_000
    if hasattr(pd.DataFrame, "from_arrow"):  # pandas 3, which needs Python 3.11
        assert len(pd.DataFrame.from_arrow(grid.rows())) == 1_000


def test_repeated_ids(table: pa.Table) -> None:
    twice = pa.concat_tables([table, table.set_column(1, "word", pa.array(["second"] * 1_000))])
    with pytest.raises(DuplicateTokenError):
        TokenGrid.from_arrow(twice, id="key", positions=NAMES)
    for how, second in (("skip", False), ("replace", True)):
        grid = TokenGrid.from_arrow(twice, id="key", positions=NAMES, on_duplicate=how)
        assert len(grid) == 1_000
        assert (set(pa.table(grid.rows())["word"].to_pylist()) == {"second"}) is second


def test_refusals(table: pa.Table) -> None:
    def check(match: str, kind: type[Exception] = ArgumentError, made: object = table, **arguments: object) -> None:
        given = {"id": "key", "positions": NAMES, **arguments}
        with pytest.raises(kind, match=match):
            TokenGrid.from_arrow(made, **given)

    n = len(table)
    nulls = pa.array([None if i == 7 else i for i in range(n)])
    check("^table: expected an Arrow table .* got dict", TypeError, made={"key": [1]})
    check('^id: the table has no column "nope", it has key, word', id="nope")
    check("^id: expected a column of integers, got Utf8; cast it to uint64 first", TypeError, id="word")
    check("^id: expected a column of integers, got Float32; cast it to uint64 first", TypeError, id="a0")
    check("^id: expected a str, got int", TypeError, id=0)
    twice = pa.table([*table.columns, table["key"], table["a0"]], names=[*table.column_names, "key", "a0"])
    check('^id: the table has more than one column "key"; rename the others', made=twice)
    renamed = twice.rename_columns([*table.column_names, "second", "a0"])
    check('^positions: the table has more than one column "a0"; rename the others', made=renamed)
    check('^weight: the table has more than one column "a0"', made=renamed, positions=np.zeros((n, 8)), weight="a0")
    assert len(TokenGrid.from_arrow(renamed, id="key", positions=np.zeros((n, 8)))) == n
    check("^id: row 7: the id is null", made=table.append_column("n", nulls), id="n")
    check("^id: row 0: the id is negative", made=table.append_column("n", pa.array(np.arange(n) - 1)), id="n")
    check("^positions: expected eight column names, got 7", positions=NAMES[:7])
    check('^positions: the table has no column "z"', positions=["z", *NAMES[1:]])
    check('^positions: column "word": expected a column of numbers, got Utf8; cast it', TypeError, positions=["word", *NAMES[1:]])
    check('^positions: column "n": row 7: the value is null', made=table.append_column("n", nulls), positions=["n", *NAMES[1:]])
    check("^positions: expected a column of fixed-size lists of eight numbers, got Float32", TypeError, positions="a0")
    check("^positions: axis 1: name", positions=["a0"] * 8)
    check("^positions: expected one row for each of the 1000 ids, got 5", positions=np.zeros((5, 8)))
    check("^weight: expected a column of numbers", TypeError, weight="word")
    check("^positions: row 7, axis 2: coordinate NaN", positions=np.where(np.arange(n * 8).reshape(n, 8) == 58, np.nan, 0))


def test_an_empty_table(table: pa.Table) -> None:
    grid = TokenGrid.from_arrow(table.slice(0, 0), id="key", positions=NAMES)
    assert len(grid) == 0
    assert pa.table(grid.rows()).schema == table.schema
    grid.insert(1, [0] * 8)
    assert pa.table(grid.rows()).num_rows == 1
