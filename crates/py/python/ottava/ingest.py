"""Records in columns: taken in by whole batches, from Python objects, JSON and msgpack, or from Arrow without copies."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ottava import _native
from ottava._native import IngestReport, Schema, SchemaLock
from ottava.errors import ArgumentError, IngestError

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

    from ottava.spatial import TokenGrid

__all__ = ["IngestReport", "Schema", "SchemaLock", "TokenStore"]

OnDuplicate: TypeAlias = Literal["error", "skip", "replace"]
Format: TypeAlias = Literal["auto", "json", "ndjson", "msgpack"]
_AXES = 8


class TokenStore(_native.TokenStore):
    """Records with a unique id, in columns.

    `schema` is a `Schema`, a model class, or an Arrow schema; without one, the first batch declares the records. `id` names the column
    of ids: integers or text, never null. `lock` is a `SchemaLock` or the path of a lock file; the schema must then be one of
    its versions (by default the newest), and removed columns are refused.

    A batch is taken in as a whole or not at all. Its columns are held against the schema, its values against nullability, symbols and
    rules, its ids against each other and the store; only then does it become visible, in one step. Columns that the schema does not
    have are carried along. Errors are `IngestError`s that name row, column and value.

    The store is an Arrow table to others (`pyarrow.table(store)`, `polars.DataFrame(store)`, `duckdb.sql("from store")`), any number of
    times, and without copies.
    """

    def __new__(
        cls,
        schema: object = None,
        *,
        id: str = "id",
        lock: SchemaLock | str | os.PathLike[str] | None = None,
    ) -> TokenStore:
        if lock is not None and not isinstance(lock, SchemaLock):
            from ottava._lock import read

            lock = read(lock)
        return super().__new__(cls, schema, id=id, lock=lock)

    def ingest_nodes_msgspec(
        self,
        rows: object,
        *,
        format: Format = "auto",
        on_duplicate: OnDuplicate = "error",
        threads: int | None = None,
    ) -> IngestReport:
        """Take in rows: the flexible way, and the default one.

        `rows` is a sequence of msgspec Structs, models, dictionaries or objects with attributes; or bytes or text of JSON (an array of
        records, or one record), NDJSON or msgpack (an array of maps); or the `Path` of such a file. `format` says which if it cannot be seen from
        the first byte. What rows and the records inside of them have beyond the schema is carried: keys, fields of Structs and models, slots,
        and attributes of objects; not names with an underscore in front.

        Python objects must have their declared types, as in msgspec. JSON is checked by the validator, on all threads and without Python
        objects. `on_duplicate` says what becomes of a row whose id is there already: `"error"` refuses the batch, `"skip"` keeps the
        earlier row, `"replace"` the later one. `threads` is by default as many as there are cores.

        `IngestError` where a row is refused; the store is then as it was.
        """
        # For large batches of a settled schema, see "Performance escape hatches" in ARCHITECTURE.md: `ottava doctor ingest FILE` tells
        # whether `ingest_nodes_arrow` is worth it.
        if isinstance(rows, os.PathLike):
            rows = Path(rows).read_bytes()
        if isinstance(rows, str):
            rows = rows.encode()
        if isinstance(rows, (bytes, bytearray, memoryview)):
            data = bytes(rows).removeprefix(b"\xef\xbb\xbf")  # a byte order mark, which is no part of the text
            kind = _format(data) if format == "auto" else format
            if kind == "msgpack":
                return self._done(self._ingest_rows(_from_msgpack(data), on_duplicate, threads))
            if kind not in ("json", "ndjson"):
                raise ArgumentError(f"format: expected auto, json, ndjson or msgpack, got {format!r}")
            return self._done(self._ingest_json(data, kind == "json", _from_ndjson, on_duplicate, threads))
        if hasattr(rows, "__arrow_c_stream__") or getattr(rows, "dtype", object) != object:
            raise TypeError(
                f"rows: expected a sequence of rows, got {type(rows).__name__}, which has columns; ingest_nodes_arrow takes tables"
            )
        if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
            raise TypeError(
                f"rows: expected a sequence of rows, or JSON, NDJSON or msgpack as bytes, got {type(rows).__name__}"
            )
        listed = rows if isinstance(rows, list) else list(rows)
        return self._done(self._ingest_rows(listed, on_duplicate, threads))

    def ingest_nodes_arrow(
        self, data: object, *, on_duplicate: OnDuplicate = "error", threads: int | None = None
    ) -> IngestReport:
        """Take in an Arrow table: anything with `__arrow_c_stream__` or `__arrow_c_array__`, such as a pyarrow, polars or pandas table, a
        reader, or the result of a duckdb query.

        Buffers are kept, not copied; `report.copies` says what was not, and why. Text in any layout is text, dictionaries included; enums
        are stored as codes; chunks stay chunks; lists of fixed size are moved and never read. Numbers may be narrower than declared, not
        wider. The result is the same as that of `ingest_nodes_msgspec` for the same rows.

        `SchemaMismatchError` where the columns do not fit, before any row is looked at; `IngestError` where a row or the stream is refused.
        """
        return self._done(super().ingest_nodes_arrow(data, on_duplicate=on_duplicate, threads=threads))

    def _done(self, report: IngestReport) -> IngestReport:
        for column, since, removed_in in report.deprecated:
            when = f"deprecated since version {since}" if since else "deprecated"
            until = f" and will be removed in version {removed_in}" if removed_in else ""
            warnings.warn(f"column {column} is {when}{until}", DeprecationWarning, stacklevel=3)
        return report

    def grid(self, columns: str | Sequence[str], **options: Any) -> TokenGrid:
        """The token grid over eight columns of numbers, or over one column of lists of eight. It is kept in step with the store.

        Every batch from now on must have finite coordinates. The tokens have the ids of the records, if those are integers, and else
        numbers that `rows_of(tokens)` turns into records. `options` are those of `TokenGrid.from_arrays`, such as `scales` and `metric`.
        """
        from ottava.spatial import TokenGrid

        names = [columns] if isinstance(columns, str) else list(columns)
        if len(names) == _AXES:
            options.setdefault("axes", names)

        def make(ids: Any, positions: Any) -> TokenGrid:
            return TokenGrid.from_arrays(ids, positions, **options)

        grid: TokenGrid = self._grid(names, make)
        return grid

    def rows_of(self, tokens: Iterable[int]) -> _native.Table:
        """The records of tokens that a grid of this store found, in their order. Tokens that are gone are passed over."""
        import numpy as np

        return self._rows_of([int(token) for token in np.asarray(tokens).ravel()])

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The records as an Arrow C stream, any number of times."""
        return self.table().__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """The Arrow schema of the records."""
        return self.table().__arrow_c_schema__()

    def to_pyarrow(self) -> pyarrow.Table:
        """The records as a `pyarrow.Table`, without copies."""
        import pyarrow

        return pyarrow.table(self)

    def to_polars(self) -> polars.DataFrame:
        """The records as a `polars.DataFrame`."""
        import polars

        return polars.DataFrame(self)

    def to_pandas(self, **options: Any) -> pandas.DataFrame:
        """The records as a `pandas.DataFrame`; `options` are those of `pyarrow.Table.to_pandas`."""
        frame: pandas.DataFrame = self.to_pyarrow().to_pandas(**options)
        return frame


def _format(data: bytes) -> str:
    """What a document is, by its first byte that is no white space."""
    first = data.lstrip()[:1]
    if first == b"[":
        return "json"
    if first == b"{" or not first:
        return "ndjson"
    if 0x80 <= data[0] <= 0x9F or 0xDC <= data[0] <= 0xDF:
        return "msgpack"
    raise IngestError(f"neither JSON nor msgpack: the first byte is {data[0]:#04x}")


def _from_msgpack(data: bytes) -> list[Any]:
    try:
        import msgspec
    except ImportError as err:  # pragma: no cover - msgspec is an extra
        raise ImportError("reading msgpack needs msgspec: pip install msgspec") from err
    try:
        rows = msgspec.msgpack.decode(data)
    except msgspec.DecodeError as err:
        raise IngestError(f"not msgpack: {err}") from err
    if isinstance(rows, dict):
        return [rows]
    if not isinstance(rows, list):
        raise IngestError(f"expected an array of maps, found {type(rows).__name__}")
    return rows


def _from_ndjson(data: bytes) -> list[Any]:
    rows = []
    # A carriage return alone is white space and ends no line.
    for number, line in enumerate(line for line in data.split(b"\n") if line.strip()):
        try:
            row = json.loads(line, parse_constant=_no_number)
        except ValueError as err:
            raise IngestError(f"row {number}: not JSON: {err}", number) from err
        if not isinstance(row, dict):
            raise IngestError(f"row {number}: expected an object, found {type(row).__name__}", number)
        rows.append(row)
    return rows


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _to_json(value: object) -> str:
    """The JSON of a value that has no column type."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
