"""One end of a hand-over in Python: the twin of `crates/streams/examples/handover_peer.rs`, with the same arguments and lines."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ottava import handover

SCHEMA = {"id": "uint64", "at": "float32[8]", "name": "utf8?"}
ROWS = 1000


def produce(transport: str, mode: str, turns: str, directory: str | None = None) -> None:
    """Hand over a table a turn that is born in its segment, and the same again by one copy."""
    trusted = mode == "trusted"
    with handover.Server(
        SCHEMA,
        transport=transport,  # type: ignore[arg-type]
        trusted=trusted,
        slots=2,
        directory=directory,
    ) as server:
        print(server.address, server.token(), flush=True)
        for turn in range(int(turns)):
            rows = ROWS + turn % 3
            ids = np.arange(turn * ROWS, turn * ROWS + rows, dtype=np.uint64)
            at = (np.arange(rows * 8) % 100).astype(np.float32)
            names = [None if row % 7 == 0 else f"token {row} ü" for row in range(rows)]
            with server.segment(SCHEMA, rows, capacity={"name": 20 * rows}, timeout=60) as segment:
                segment["id"][:] = ids
                segment["at"][:] = at.reshape(rows, 8)
                segment["name"] = names
            item = pa.field("item", pa.float32(), nullable=False)
            table = pa.table(
                [ids, pa.FixedSizeListArray.from_arrays(at, type=pa.list_(item, 8)), names],
                schema=pa.schema(
                    [
                        pa.field("id", pa.uint64(), nullable=False),
                        pa.field("at", pa.list_(item, 8), nullable=False),
                        pa.field("name", pa.utf8()),
                    ]
                ),
            )
            for _ in range(2):
                sum_up(table)
            server.send(table, timeout=60)


def consume(mode: str) -> None:
    address, token = sys.stdin.readline().split()
    with handover.connect(address, token, schema=SCHEMA, trusted=mode == "trusted") as client:
        for received in client:
            sum_up(pa.table(received))
            del received


def sum_up(table: pa.Table) -> None:
    """Rows, the sum of the ids, the sum of the coordinates, the nulls and the bytes of the names."""
    at = pc.sum(pc.list_flatten(table["at"])).as_py()
    ids, nulls, length = pc.sum(table["id"]).as_py(), table["name"].null_count, pc.sum(pc.binary_length(table["name"])).as_py()
    # In one piece: who is killed leaves a whole line or none.
    sys.stdout.write(f"{table.num_rows} {ids} {at:.0f} {nulls} {length}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "produce":
        produce(*sys.argv[2:])
    else:
        consume(*sys.argv[2:])
