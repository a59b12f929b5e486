"""Ingestion beside msgspec with rustworkx, polars and pyarrow: time, and the memory that it adds.

    python benchmarks/ingest.py [--profile small|full] [--json PATH] [--only TEXT]

The answers of all rows are compared first. Every row has a process of its own: the data is made, the growth of the peak of resident memory over a first run is taken, then the
work is timed (the median of several rounds). Rows that are compared with each other take turns, round by round, first in one order, then in the other; those that wait do nothing.
`cargo xtask bench ingest` runs it in the environment that has the peers.

Nodes: `flat` has eleven columns (an integer id, three enums, three texts, numbers). `paragon` has the fourteen fields of a provenance graph's node: id,
type, status, content, data, metadata (fifteen fields), created_by, created_at, updated_at, version, checksum, merkle_hash, embedding,
teleology_status.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, Optional

EMBEDDING = 384
KINDS = ("REQ", "CODE", "SPEC", "RESEARCH", "TEST", "PLAN", "DECISION", "MESSAGE")
STATES = ("PENDING", "PROCESSING", "VERIFIED", "FAILED")
TELEOLOGY = ("justified", "unjustified", "root", "orphaned", "unchecked")
AUTHORS = ("system", "human", "agent-7")


def cached(name: str, make: Callable[[], bytes]) -> bytes:
    """What `make` gives, made once for all processes of a run."""
    folder = os.environ.get("INGEST_BENCH_DATA")
    if not folder:
        return make()
    path = Path(folder, name)
    if not path.exists():
        path.write_bytes(make())
    return path.read_bytes()


def flat_table(rows: int, coded: bool = False, embedding: bool = False) -> Any:
    """Eleven flat columns; `coded` has the enums as dictionaries."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(1)
    pick = lambda symbols: pa.DictionaryArray.from_arrays(
        pa.array(rng.integers(0, len(symbols), rows).astype(np.int8)), pa.array(symbols)
    )
    enums = {"type": pick(KINDS), "status": pick(STATES), "teleology_status": pick(TELEOLOGY)}
    ids = rng.permutation(rows).astype(np.int64) * 7919
    columns: dict[str, Any] = {"id": ids}
    columns |= enums if coded else {name: values.cast(pa.string()) for name, values in enums.items()}
    columns |= {
        "created_by": pick(AUTHORS).cast(pa.string()),
        "version": rng.integers(1, 100, rows),
        "cost": rng.random(rows),
        "score": rng.random(rows),
        "attempts": rng.integers(0, 4, rows),
        "title": pa.array([f"node {id}" for id in ids]),
        "created_at": pa.array(rng.integers(1_600_000_000_000_000, 1_700_000_000_000_000, rows), pa.timestamp("us", "UTC")),
    }
    if embedding:
        columns["embedding"] = embeddings(rows)
    return pa.table(columns)


def embeddings(rows: int) -> Any:
    """A column of lists of 384 floats."""
    import numpy as np
    import pyarrow as pa

    values = np.random.default_rng(2).random(rows * EMBEDDING, dtype=np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(values), EMBEDDING)


def flat_model(embedding: bool = False) -> Any:
    import datetime as dt

    import ottava

    class Node(ottava.Model):
        id: int
        type: Literal["REQ", "CODE", "SPEC", "RESEARCH", "TEST", "PLAN", "DECISION", "MESSAGE"]
        status: Literal["PENDING", "PROCESSING", "VERIFIED", "FAILED"]
        teleology_status: Literal["justified", "unjustified", "root", "orphaned", "unchecked"]
        created_by: str
        version: int
        cost: float
        score: float
        attempts: int
        title: str
        created_at: dt.datetime

    class Embedded(Node):
        embedding: list[float]

    return Embedded if embedding else Node


def paragon_rows(rows: int, embedding: bool) -> list[dict[str, Any]]:
    """Rows of fourteen fields, one of them a record of fifteen."""
    import hashlib
    import random

    rng = random.Random(3)
    metadata = {
        "cost_limit": None, "cost_actual": 0.25, "security_level": 1, "required_clearance": 0, "version": "1.0.0",
        "parent_version": None, "approval_status": "none", "approved_by": None, "approval_required": False, "attempts": 0,
        "max_attempts": 3, "last_error": None, "timeout_seconds": 30, "deadline": None, "extra": "",
    }  # fmt: skip
    made = []
    for number in range(rows):
        digest = hashlib.md5(str(number).encode()).hexdigest()
        made.append({
            "id": digest, "type": rng.choice(KINDS), "status": rng.choice(STATES),
            "content": f"def function_{number}(x): return x + {number}", "data": {"path": f"src/{number % 999}.py", "turn": number % 40},
            "metadata": {**metadata, "attempts": number % 4}, "created_by": rng.choice(AUTHORS),
            "created_at": "2026-01-02T03:04:05.000006+00:00", "updated_at": "2026-01-02T03:04:05.000006+00:00", "version": 1,
            "checksum": digest if number % 2 else None, "merkle_hash": None,
            "embedding": [rng.random() for _ in range(EMBEDDING)] if embedding else None,
            "teleology_status": rng.choice(TELEOLOGY),
        })  # fmt: skip
    return made


def paragon_model() -> Any:
    import ottava

    class Metadata(ottava.Model):
        cost_limit: Optional[float] = None
        cost_actual: float = 0.0
        security_level: int = 0
        required_clearance: int = 0
        version: str = "1.0.0"
        parent_version: Optional[str] = None
        approval_status: str = "none"
        approved_by: Optional[str] = None
        approval_required: bool = False
        attempts: int = 0
        max_attempts: int = 3
        last_error: Optional[str] = None
        timeout_seconds: Optional[int] = None
        deadline: Optional[str] = None
        extra: str = ""

    class Data(ottava.Model):
        path: str
        turn: int

    class Node(ottava.Model):
        id: str
        type: Literal["REQ", "CODE", "SPEC", "RESEARCH", "TEST", "PLAN", "DECISION", "MESSAGE"]
        status: Literal["PENDING", "PROCESSING", "VERIFIED", "FAILED"] = "PENDING"
        content: str = ""
        data: Data
        metadata: Metadata
        created_by: str = "system"
        created_at: str
        updated_at: str
        version: int = 1
        checksum: Optional[str] = None
        merkle_hash: Optional[str] = None
        embedding: Optional[list[float]] = None
        teleology_status: Literal["justified", "unjustified", "root", "orphaned", "unchecked"] = "unchecked"

    return Node


def paragon_table(rows: int, embedding: bool) -> Any:
    import pyarrow as pa

    def ipc() -> bytes:
        table = pa.Table.from_pylist(paragon_rows(rows, False))
        table = table.set_column(table.schema.get_field_index("merkle_hash"), "merkle_hash", pa.nulls(rows, pa.string()))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    table = pa.ipc.open_stream(cached(f"paragon-{rows}.arrows", ipc)).read_all()
    column = embeddings(rows) if embedding else pa.nulls(rows, pa.list_(pa.float32()))
    return table.set_column(table.schema.get_field_index("embedding"), "embedding", column)


def msgspec_struct(row: dict[str, Any]) -> Any:
    """A Struct class for rows like this one."""
    import msgspec

    fields: list[Any] = []
    for name, value in row.items():
        if isinstance(value, dict):
            fields.append((name, msgspec_struct(value)))
        elif name == "embedding":
            fields.append((name, Optional[list[float]]))
        elif name in ("type", "status", "teleology_status"):
            fields.append((name, Literal[{"type": KINDS, "status": STATES, "teleology_status": TELEOLOGY}[name]]))
        else:
            fields.append((name, Optional[type(value)] if value is not None else Optional[str]))
    # Nodes are in no cycles, so the garbage collector need not know them, which makes them cheaper.
    return msgspec.defstruct("Node", fields, gc=False)


def ndjson(rows: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(row, default=str).encode() for row in rows)


def store(schema: Any, threads: int | None = 1) -> Callable[[Any], Any]:
    """Takes a table into a new store; gives back the store, so that its memory counts."""
    from ottava.ingest import TokenStore

    def run(data: Any) -> Any:
        made = TokenStore(schema)
        made.ingest_nodes_arrow(data, threads=threads)
        return made

    return run


def flexible(schema: Any, threads: int | None = 1) -> Callable[[Any], Any]:
    from ottava.ingest import TokenStore

    def run(data: Any) -> Any:
        made = TokenStore(schema)
        made.ingest_nodes_msgspec(data, threads=threads)
        return made

    return run


def into_rustworkx(struct: Any) -> Callable[[Any], Any]:
    """What a graph program does today: decode to Structs, add them to a graph, index ids by dictionaries."""
    import msgspec
    import rustworkx

    decoder = msgspec.json.Decoder(struct)

    def run(data: Any) -> Any:
        nodes = decoder.decode_lines(data)
        graph = rustworkx.PyDiGraph()
        numbers = graph.add_nodes_from(nodes)
        ids = [node.id for node in nodes]
        by_id, by_number = dict(zip(ids, numbers)), dict(zip(numbers, ids))
        assert len(by_id) == len(nodes), "an id is there twice"
        return graph, by_id, by_number

    return run


def polars_ndjson(then: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    import polars as pl

    def run(data: Any) -> Any:
        frame = pl.read_ndjson(data)
        return (frame, then(frame)) if then else frame

    return run


def pyarrow_checks(data: Any) -> Any:
    """The checks of a store, as far as pyarrow has them: unique ids, symbols, nulls. It keeps no index."""
    import pyarrow as pa
    import pyarrow.compute as pc

    assert pc.count_distinct(data["id"]).as_py() == len(data)
    for name, symbols in (("type", KINDS), ("status", STATES), ("teleology_status", TELEOLOGY)):
        column = data[name].cast(pa.string()) if pa.types.is_dictionary(data[name].type) else data[name]
        assert pc.all(pc.is_in(column, pa.array(symbols))).as_py()
        data = data.set_column(data.schema.get_field_index(name), name, column.dictionary_encode())
    return data


def pyarrow_json(data: Any) -> Any:
    import io

    import pyarrow.json

    return pyarrow_checks(pyarrow.json.read_json(io.BytesIO(data)))


def capsule(data: Any) -> Any:
    """The import of a table without a look at its rows."""
    from ottava import _native

    return _native.read_arrow(data)


def row_arrow(rows: int, *, coded: bool = False, embedding: bool = False, threads: int | None = 1) -> Any:
    return store(flat_model(), threads), flat_table(rows, coded, embedding)


def row_ndjson_flat(rows: int) -> bytes:
    return cached(f"flat-{rows}.ndjson", lambda: ndjson(flat_table(rows).to_pylist()))


def row_ndjson_embedded(rows: int) -> bytes:
    """Lines with a list of 384 floats, of which a thousand are different."""

    def make() -> bytes:
        texts = [json.dumps([round(x, 6) for x in values]).encode() for values in vectors(min(rows, 1000))]
        lines = row_ndjson_flat(rows).split(b"\n")
        return b"\n".join(line[:-1] + b', "embedding": ' + texts[at % len(texts)] + b"}" for at, line in enumerate(lines))

    return cached(f"embedded-{rows}.ndjson", make)


def vectors(rows: int) -> list[list[float]]:
    import numpy as np

    return list(np.random.default_rng(2).random((rows, EMBEDDING)).tolist())


def embedded_dicts(rows: int) -> list[dict[str, Any]]:
    return [{**row, "embedding": vector} for row, vector in zip(flat_table(rows).to_pylist(), vectors(rows))]


def row_ndjson_paragon(rows: int) -> bytes:
    return cached(f"paragon-{rows}.ndjson", lambda: ndjson(paragon_rows(rows, False)))


def structs(rows: int) -> list[Any]:
    import msgspec

    listed = flat_table(rows).to_pylist()
    kind = msgspec_struct(listed[0])
    return [kind(**row) for row in listed]


Row = tuple[str, Callable[[int], tuple[Callable[[Any], Any], Any]]]

ROWS: list[Row] = [
    ("capsule import, flat", lambda n: (capsule, flat_table(n))),
    ("Arrow to store, flat, 1 thread", lambda n: row_arrow(n)),
    ("Arrow to store, flat, all threads", lambda n: row_arrow(n, threads=None)),
    ("Arrow to store, flat, enums as dictionaries, 1 thread", lambda n: row_arrow(n, coded=True)),
    ("Arrow to store, flat, enums as dictionaries, all threads", lambda n: row_arrow(n, coded=True, threads=None)),
    ("Arrow to store, flat, with embeddings, 1 thread", lambda n: row_arrow(n, embedding=True)),
    ("Arrow to store, paragon, 1 thread", lambda n: (store(paragon_schema()), paragon_table(n, False))),
    ("Arrow to store, paragon, with embeddings, 1 thread", lambda n: (store(None), paragon_table(n, True))),
    ("NDJSON to store, flat, 1 thread", lambda n: (flexible(flat_model()), row_ndjson_flat(n))),
    ("NDJSON to store, flat, all threads", lambda n: (flexible(flat_model(), None), row_ndjson_flat(n))),
    ("NDJSON to store, paragon, 1 thread", lambda n: (flexible(paragon_model()), row_ndjson_paragon(n))),
    ("NDJSON to store, flat, with embeddings, 1 thread", lambda n: (flexible(flat_model(True)), row_ndjson_embedded(n))),
    ("dicts to store, flat, with embeddings", lambda n: (flexible(flat_model(True)), embedded_dicts(n))),
    ("dicts to store, flat", lambda n: (flexible(flat_model()), flat_table(n).to_pylist())),
    ("Structs to store, flat", lambda n: (flexible(flat_model()), structs(n))),
    ("peer: msgspec to rustworkx with id dicts, flat", lambda n: (into_rustworkx(_flat_struct()), row_ndjson_flat(n))),
    (
        "peer: msgspec to rustworkx with id dicts, paragon",
        lambda n: (into_rustworkx(msgspec_struct(paragon_rows(1, False)[0])), row_ndjson_paragon(n)),
    ),
    (
        "peer: msgspec to rustworkx with id dicts, flat, with embeddings",
        lambda n: (into_rustworkx(msgspec_struct(embedded_dicts(1)[0])), row_ndjson_embedded(n)),
    ),
    ("peer: polars.read_ndjson, flat", lambda n: (polars_ndjson(None), row_ndjson_flat(n))),
    ("peer: polars.read_ndjson, then Arrow to store, flat", lambda n: (polars_ndjson(store(None)), row_ndjson_flat(n))),
    ("peer: pyarrow checks without an index, flat", lambda n: (pyarrow_checks, flat_table(n))),
    ("peer: pyarrow.json and the same checks, flat", lambda n: (pyarrow_json, row_ndjson_flat(n))),
]


# These make hundreds of megabytes of text or of Python objects for 100,000 nodes, and are not measured with more.
LARGE = frozenset(name for name, _ in ROWS if "with embeddings" in name and "Arrow" not in name)
MOST_LARGE = 100_000


def paragon_schema() -> Any:
    return paragon_model()


def _flat_struct() -> Any:
    return msgspec_struct(flat_table(1).to_pylist()[0])


def resident(key: str) -> int:
    """`VmRSS` or `VmHWM` in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    return 0


def size_of(data: Any) -> int | None:
    if hasattr(data, "nbytes"):
        return int(data.nbytes)
    return len(data) if isinstance(data, bytes) else None


def one(name: str, rows: int) -> None:
    """Measures one row, in this process: a round for each line that is read. Prints its memory first, then the seconds of each round."""
    run, data = dict(ROWS)[name](rows)
    warm, small = dict(ROWS)[name](100)
    warm(small)
    gc.collect()
    added: int | None = None
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        kept = run(data)
        added = max(resident("VmHWM") - before, 0)
        del kept
    size = size_of(data)
    gc.disable()
    print(json.dumps({"data_bytes": size, "peak_added_bytes": added}), flush=True)
    for _ in sys.stdin:
        start = perf_counter()
        kept = run(data)
        seconds = perf_counter() - start
        del kept
        print(seconds, flush=True)


LEAST_ROUNDS, MOST_ROUNDS = 3, 15
# Rounds go on until a row was timed for so long.
SECONDS = 1.5


class Contender:
    """A row in a process of its own, ready to be timed."""

    def __init__(self, name: str, rows: int, environment: dict[str, str]) -> None:
        self.name, self.rows = name, rows
        self.times: list[float] = []
        child = [sys.executable, __file__, "--one", name, str(rows)]
        self.process = subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.memory = json.loads(self.answer())

    def answer(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name}: ended with {self.process.wait()}")
        return line

    def round(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("round\n")
        self.process.stdin.flush()
        self.times.append(float(self.answer()))

    def done(self) -> bool:
        return len(self.times) >= LEAST_ROUNDS and (sum(self.times) >= SECONDS or len(self.times) >= MOST_ROUNDS)

    def found(self) -> dict[str, Any]:
        """Ends the process and says what was measured."""
        self.process.communicate()
        times = sorted(self.times)
        middle, size, added = times[len(times) // 2], self.memory["data_bytes"], self.memory["peak_added_bytes"]
        return {
            "row": self.name,
            "nodes": self.rows,
            "seconds": middle,
            "least": times[0],
            "most": times[-1],
            "runs": len(times),
            "nodes_per_second": self.rows / middle,
            **self.memory,
            "peak_added_per_data": added / size if added is not None and size else None,
        }


def in_turns(names: list[str], rows: int, environment: dict[str, str]) -> list[dict[str, Any]]:
    """Measures rows that are compared with each other, all of them as often."""
    contenders = [Contender(name, rows, environment) for name in names]
    turn = list(contenders)
    while not all(contender.done() for contender in contenders):
        for contender in turn:
            contender.round()
        turn.reverse()
    return [contender.found() for contender in contenders]


def groups(names: list[str]) -> list[list[str]]:
    """Rows, in order, with those that they are compared with."""
    made: list[list[str]] = []
    for name in names:
        near = {name} | {other for pair in PAIRS if name in pair for other in pair}
        joined = [group for group in made if near & set(group)]
        made = [group for group in made if group not in joined]
        made.append([name for group in joined for name in group] + [name])
    return made


def compare_answers(rows: int) -> None:
    """Every way must give the same store, and every peer the same records, or nothing is timed."""
    made = dict(ROWS)

    def answer(name: str) -> Any:
        run, data = made[name](rows)
        return run(data)

    table = flat_table(rows)
    ids = set(table["id"].to_pylist())
    first = answer("Arrow to store, flat, 1 thread")
    for name in made:
        if "to store, flat" in name and "peer" not in name and "embeddings" not in name:
            assert answer(name).equals(first), name
    paragon = answer("Arrow to store, paragon, 1 thread")
    assert answer("NDJSON to store, paragon, 1 thread").equals(paragon)
    embedded = answer("NDJSON to store, flat, with embeddings, 1 thread").to_pyarrow()["embedding"].to_pylist()
    graph = answer("peer: msgspec to rustworkx with id dicts, flat, with embeddings")[0]
    assert embedded == [node.embedding for node in graph.nodes()]
    assert answer("dicts to store, flat, with embeddings").to_pyarrow()["embedding"].to_pylist() == vectors(rows)
    assert {row["id"] for row in first.to_pyarrow().select(["id"]).to_pylist()} == ids
    assert answer("peer: msgspec to rustworkx with id dicts, flat")[1].keys() == ids
    assert answer("peer: msgspec to rustworkx with id dicts, paragon")[1].keys() == set(paragon.to_pyarrow()["id"].to_pylist())
    assert set(answer("peer: polars.read_ndjson, flat")["id"].to_list()) == ids
    assert len(answer("peer: polars.read_ndjson, then Arrow to store, flat")[1]) == rows
    for name in ("peer: pyarrow checks without an index, flat", "peer: pyarrow.json and the same checks, flat"):
        assert set(answer(name)["id"].to_pylist()) == ids, name


# A row, what is asked of it, and the measure: more is better, less is better.
RATES = {
    "Arrow to store, flat, 1 thread": 25e6,
    "Arrow to store, flat, enums as dictionaries, all threads": 50e6,
    "NDJSON to store, flat, 1 thread": 3e6,
    "dicts to store, flat": 3e6,
    "Structs to store, flat": 3e6,
}
IMPORT_SECONDS = 200e-6
PEAK = 0.3
# Ours, the peer, and how many times faster than it we must be; `None` where nothing was asked.
VERSUS: list[tuple[str, str, float | None]] = [
    # From end to end, as the call is made: its threads are a part of it.
    ("NDJSON to store, flat, all threads", "peer: msgspec to rustworkx with id dicts, flat", 7.0),
    ("NDJSON to store, flat, 1 thread", "peer: msgspec to rustworkx with id dicts, flat", None),
    ("NDJSON to store, paragon, 1 thread", "peer: msgspec to rustworkx with id dicts, paragon", None),
    ("NDJSON to store, flat, with embeddings, 1 thread", "peer: msgspec to rustworkx with id dicts, flat, with embeddings", None),
    ("NDJSON to store, flat, all threads", "peer: polars.read_ndjson, flat", None),
    ("NDJSON to store, flat, all threads", "peer: polars.read_ndjson, then Arrow to store, flat", None),
    ("NDJSON to store, flat, 1 thread", "peer: pyarrow.json and the same checks, flat", None),
    ("Arrow to store, flat, 1 thread", "peer: pyarrow checks without an index, flat", None),
]


# The same rows with embeddings and without must take as long.
CARRIED = ("Arrow to store, flat, with embeddings, 1 thread", "Arrow to store, flat, 1 thread")
PAIRS = [CARRIED, *((ours, peer) for ours, peer, _ in VERSUS)]


def judge(found: dict[str, Any]) -> list[tuple[str, bool]]:
    """The bars of one row, and whether they are met."""
    bars = []
    name, ratio = found["row"], found["peak_added_per_data"]
    if name in RATES:
        bars.append((f"{RATES[name] / 1e6:g} M nodes/s", found["nodes_per_second"] >= RATES[name]))
    if name.startswith("capsule"):
        bars.append((f"{IMPORT_SECONDS * 1e6:g} us", found["seconds"] <= IMPORT_SECONDS))
    if name.startswith("Arrow") and ratio is not None:
        bars.append((f"peak {PEAK:g} of the data", ratio <= PEAK))
    return bars


def versus(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ratios of medians, with the range that the least and the most of both allow."""
    by_row = {(found["row"], found["nodes"]): found for found in results}
    carried, plain = CARRIED
    made = []
    for ours, peer, bar in [*VERSUS, (carried, plain, None)]:
        for nodes in sorted({found["nodes"] for found in results}):
            a, b = by_row.get((ours, nodes)), by_row.get((peer, nodes))
            if a and b:
                times = b["seconds"] / a["seconds"]
                spread = (b["least"] / a["most"], b["most"] / a["least"])
                # No slower with embeddings: one is as fast as the other within what repeated runs differ.
                met = spread[1] >= 1 if ours == carried else None if bar is None else times >= bar
                made.append({"row": ours, "than": peer, "nodes": nodes, "times": times, "spread": spread, "bar": bar, "met": met})
    return made


def markdown(results: list[dict[str, Any]], ratios: list[dict[str, Any]], about: str) -> str:
    """The rows as tables; those that miss a bar or lose to a peer come again."""
    rows, lost = "", ""
    for found in results:
        bars = judge(found)
        words = ", ".join(f"{bar}: {'met' if met else '**missed**'}" for bar, met in bars)
        spread = f"{found['least'] * 1e3:.2f} to {found['most'] * 1e3:.2f}"
        ratio = found["peak_added_per_data"]
        peak = "" if ratio is None else f"{ratio:.2f}"
        rate = f"{found['nodes_per_second'] / 1e6:.2f}"
        line = f"| {found['row']} | {found['nodes']:,} | {found['seconds'] * 1e3:.2f} ({spread}) | {rate} | {peak} | {words} |\n"
        rows += line
        lost += "" if all(met for _, met in bars) else line
    head = "| row | nodes | ms (least to most) | M nodes/s | peak memory over data | bar |\n|---|---|---|---|---|---|\n"
    against = "| row | than | nodes | times faster (range) | bar |\n|---|---|---|---|---|\n"
    behind = ""
    for ratio in ratios:
        low, high = ratio["spread"]
        words = "" if ratio["met"] is None else "met" if ratio["met"] else "**missed**"
        words = f"{ratio['bar']:g} x: {words}" if ratio["bar"] else words
        line = f"| {ratio['row']} | {ratio['than']} | {ratio['nodes']:,} | {ratio['times']:.2f} x ({low:.2f} to {high:.2f}) | {words} |\n"
        against += line
        behind += line if ratio["met"] is False or (ratio["met"] is None and ratio["times"] < 1) else ""
    again = (head + lost + "\n" if lost else "") + (against.split("\n|", 1)[0] + "\n|---|---|---|---|---|\n" + behind if behind else "")
    return f"{about}\n\n{head}{rows}\n{against}\n#### Rows that are lost\n\n{again or 'None.'}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=("small", "full"), default="full")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="rows whose name has this text")
    parser.add_argument("--one", nargs=2, metavar=("ROW", "NODES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one[0], int(arguments.one[1]))
        return
    sizes = (20_000,) if arguments.profile == "small" else (100_000, 1_000_000)
    results = []
    compare_answers(1_000)
    print(f"{'row':<58} {'nodes':>9} {'ms':>9} {'M nodes/s':>10} {'peak/data':>9}")
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONHASHSEED": "0", "INGEST_BENCH_DATA": folder}
        for names in groups([name for name, _ in ROWS if arguments.only in name]):
            for size in sizes:
                measured = [name for name in names if name not in LARGE or size <= MOST_LARGE]
                for found in in_turns(measured, size, environment):
                    results.append(found)
                    ratio = found["peak_added_per_data"]
                    bars = "".join("" if met else f"  MISSED: {bar}" for bar, met in judge(found))
                    print(
                        f"{found['row']:<58} {size:>9} {found['seconds'] * 1e3:>9.2f} {found['nodes_per_second'] / 1e6:>10.2f} "
                        f"{'-' if ratio is None else format(ratio, '.2f'):>9}{bars}",
                        flush=True,
                    )
    ratios = versus(results)
    for ratio in ratios:
        low, high = ratio["spread"]
        missed = f"  MISSED: {ratio['bar'] or 1:g} x" if ratio["met"] is False else ""
        print(f"{ratio['row']}, {ratio['nodes']:,}: {ratio['times']:.2f} x ({low:.2f} to {high:.2f}) faster than {ratio['than']}{missed}")
    if arguments.json:
        machine = {"cpus": os.cpu_count(), "python": sys.version.split()[0], "profile": arguments.profile}
        about = f"CPython {machine['python']}, {machine['cpus']} cores. Each row in a process of its own, in turns with those it is compared with; medians of at least three rounds."
        document = {"machine": machine, "rows": results, "ratios": ratios, "markdown": markdown(results, ratios, about)}
        arguments.json.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
