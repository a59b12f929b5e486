"""What the tests of the hand-over share: ways to connect, and a table."""

from __future__ import annotations

import sys
from typing import Literal

import numpy as np
import pyarrow as pa

from ottava import handover

TRANSPORTS: list[Literal["unix", "tcp"]] = ["unix", "tcp"] if sys.platform == "linux" else ["tcp"]
MODES = [(transport, trusted) for transport in TRANSPORTS for trusted in (False, True)]

Pair = tuple[handover.Server, handover.Client]


def table(rows: int = 100) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(rows), pa.uint64()),
            "x": pa.array(np.linspace(0, 1, rows, dtype=np.float32)),
            "name": [None if i % 7 == 0 else f"token {i} ü" for i in range(rows)],
            "word": pa.array([f"w{i % 3}" for i in range(rows)]).dictionary_encode(),
            "list": [[i] * (i % 4) for i in range(rows)],
        }
    )
