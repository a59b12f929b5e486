"""Measurements on a user's own data."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from ottava.ingest import Schema, TokenStore

__all__ = ["measure"]


def measure(
    path: str | os.PathLike[str],
    schema: Schema | None = None,
    *,
    id: str = "id",
    limit: float = 30.0,
    rows: int | None = None,
    total: int | None = None,
) -> dict[str, Any]:
    """Time the ways of ingestion on the rows of a file: NDJSON, a JSON array, Arrow IPC (`.arrow`, `.feather`, `.ipc`) or Parquet.

    The flexible way is timed from Python objects and, unless values such as NaN have no JSON, from NDJSON bytes, the Arrow way from a table in memory; reading the file is not counted.
    `rows` measures the first rows alone. `total` is the size of the whole workload (by default the rows of the file), to which seconds are
    extrapolated; the trigger is met where the flexible way then takes more than `limit` seconds.

    Keys of the answer: `rows`, `total`, `limit`, `seconds` (by way), `extrapolated` (by way), `triggered`, `verdict`.
    """
    import json

    import pyarrow as pa

    if rows is not None and rows < 1:
        raise ValueError(f"rows: expected 1 or more, got {rows}")
    source = Path(path)
    text: bytes | None
    if source.suffix in (".arrow", ".feather", ".ipc", ".parquet"):
        table = _read_table(source)
        available = table.num_rows
        listed = table.slice(0, rows).to_pylist(maps_as_pydicts="strict")
        try:
            text = b"\n".join(json.dumps(row, default=str, allow_nan=False).encode() for row in listed)
        except ValueError:  # NaN and infinity are no JSON
            text = None
    else:
        with source.open("rb") as file:
            start = next((byte for byte in iter(lambda: file.read(1), b"") if not byte.isspace()), b"")
            file.seek(0)
            if start == b"[":
                whole_array = json.load(file)
                lines = [json.dumps(row).encode() + b"\n" for row in whole_array[:rows]]
                available = len(whole_array)
            else:
                lines = [line for line in islice(file, rows) if line.strip()]
                available = len(lines) + sum(1 for line in file if line.strip())
        text = b"".join(lines)
        listed = [json.loads(line) for line in lines]
    if not listed:
        raise ValueError(f"{source} has no rows")

    def timed(take: Callable[[TokenStore], object]) -> tuple[float, TokenStore]:
        store = TokenStore(schema, id=id)
        start = perf_counter()
        take(store)
        return perf_counter() - start, store

    seconds: dict[str, float] = {}
    first = None
    if text is not None:
        seconds["flexible, NDJSON"], first = timed(lambda store: store.ingest_nodes_msgspec(text, format="ndjson"))
    plain = listed if schema is None or first is None else _plain(first, listed)
    seconds["flexible, Python objects"], again = timed(lambda store: store.ingest_nodes_msgspec(plain))
    table = pa.table(again if first is None else first)
    seconds["Arrow"], _ = timed(lambda store: store.ingest_nodes_arrow(table))
    whole = total or available
    extrapolated = {name: value * whole / len(listed) for name, value in seconds.items()}
    slowest = max(value for name, value in extrapolated.items() if name != "Arrow")
    triggered = slowest > limit
    if triggered:
        verdict = (
            f"the trigger is met: the flexible way takes {slowest:.1f} s for {whole:,} rows, more than {limit:g} s; "
            f"ingest_nodes_arrow takes {extrapolated['Arrow']:.1f} s from a table in memory"
        )
    else:
        verdict = f"stay with ingest_nodes_msgspec: {slowest:.1f} s for {whole:,} rows is within {limit:g} s"
    return {
        "rows": len(listed),
        "total": whole,
        "limit": limit,
        "seconds": seconds,
        "extrapolated": extrapolated,
        "triggered": triggered,
        "verdict": verdict,
    }


def _plain(store: TokenStore, listed: list[Any]) -> list[Any]:
    """Rows with values of their declared types, which JSON does not have: those of the store."""
    rows: list[Any] = store.to_pyarrow().to_pylist()
    return rows or listed


def _read_table(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet

    if path.suffix == ".parquet":
        return pa.parquet.read_table(path)
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()
