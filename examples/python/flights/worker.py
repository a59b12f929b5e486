"""The worker: a process of its own that moves the flights, checks them, and hands the good ones over.

It is told where to keep the records, and on how many threads to check. On its standard output, which only its parent reads, it
says first where it hands over and with which token, then how many bytes have moved so far, and last what it found: one JSON
object a line.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from time import monotonic, perf_counter

import model
import source

from ottava import handover, streams


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def main(records: Path, threads: int | None) -> int:
    server = handover.Server()
    say(address=server.address, token=server.token())

    start = perf_counter()
    with records.open("wb") as file, subprocess.Popen([sys.executable, source.__file__], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        moved = streams.pump_sync(child.stdout, file, on_progress=lambda so_far: say(moved=so_far))
    if child.returncode != 0:
        return child.returncode
    checking = perf_counter()
    checked = model.Flight.to_arrow(records, threads=threads, on_error="collect")
    done = perf_counter()
    stages = [("move", moved.bytes, "bytes", checking - start), ("check", checked.rows_read, "rows", done - checking)]

    # The clock is the system's, the same for both processes.
    say(stages=stages, rows_read=checked.rows_read, sent=monotonic())
    server.send(checked.table, timeout=30)
    server.send(checked.issues, timeout=30)
    # The parent keeps the tables for as long as it likes; they do not need this process.
    with contextlib.suppress(handover.HandoverTimeoutError):
        server.close(timeout=0)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) or None))
