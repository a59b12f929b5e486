"""The main job: a year of flights out of New York through every part of ottava.

A worker process has another one write the flights as NDJSON, moves and checks them, and hands the good ones over as columns in
shared memory; here they are put on an 8-dimensional grid, which then answers a few questions. Run it with `cargo xtask demo`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter
from typing import TypeVar

import model
import numpy as np
import picture
import pyarrow as pa
import pyarrow.compute as pc
import source
import worker
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from tables import CONSOLE, FLIGHT_COLUMNS, flight_cells, show

import ottava
from ottava import handover

T = TypeVar("T")

NAMED = {"carrier": "UA", "flight": 1545, "month": 1, "day": 1, "origin": "EWR"}
RADIUS = 0.5
EXPECTED_BYTES = 118_255_732


def main() -> int:
    options = argparse.ArgumentParser(prog="cargo xtask demo", description=__doc__)
    options.add_argument("--out", type=Path, default=Path("target/demo"), help="where results are left (default: %(default)s)")
    options.add_argument("--threads", type=int, help="threads for checking and queries (default: all)")
    args = options.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    start = perf_counter()
    try:
        flights = load(args.out / "flights.ndjson", args.threads)
    except (FileNotFoundError, ChildProcessError, handover.HandoverError) as error:
        print(error, file=sys.stderr)
        return 1
    report_checks(flights)
    stages = flights.stages
    began = perf_counter()
    grid = ottava.TokenGrid.from_arrow(
        flights.table,
        id="id",
        positions=model.positions(flights.table),
        axes=list(model.AXES),
        scales=model.AXES,
        field_radius=1.0,
        field_strength="arr_delay",
    )
    stages.append(ottava.Stage("index", len(grid), "tokens", perf_counter() - began))
    answer(grid, stages)
    began = perf_counter()
    image = args.out / "flights.png"
    picture.draw(grid, image)
    stages.append(ottava.Stage("picture", len(grid), "tokens", perf_counter() - began))

    show(
        "What each stage did",
        ("stage", "amount", "unit", "seconds", "per second"),
        [(s.name, s.amount, s.unit, s.seconds, s.rate) for s in stages],
    )
    handed = next(stage for stage in stages if stage.name == "hand over")
    CONSOLE.print(
        f"\nthe worker handed {handed.amount:,} rows, {flights.bytes:,} bytes, over in {handed.seconds * 1e3:.1f} ms:"
        " sealed, validated, none of them copied here"
    )
    CONSOLE.print(f"in all {perf_counter() - start:.2f} s")
    CONSOLE.print(f"picture in {image}, records in {args.out / 'flights.ndjson'}")
    return 0


@dataclass
class Flights:
    """What the worker handed over; the columns lie in its memory."""

    table: pa.Table
    issues: pa.Table
    rows_read: int
    stages: list[ottava.Stage]
    bytes: int


def load(records: Path, threads: int | None) -> Flights:
    """Worker process to tables, with a progress bar on a terminal."""
    source.archive()
    columns = (TextColumn("moving flights"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    command = [sys.executable, worker.__file__, str(records), str(threads or 0)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child,
        Progress(*columns, console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal) as progress,
    ):
        assert child.stdout is not None
        said = map(json.loads, child.stdout)
        if (where := next(said, None)) is None:
            raise ChildProcessError("the worker did not start")
        bar = progress.add_task("bytes", total=EXPECTED_BYTES)
        with handover.connect(where["address"], where["token"]) as client:
            for report in said:
                if "moved" not in report:
                    break
                progress.update(bar, completed=report["moved"])
            else:
                raise ChildProcessError("the worker ended early")
            good = client.recv(timeout=30)
            table = pa.table(good)
            elapsed = monotonic() - report["sent"]
            issues = pa.table(client.recv(timeout=30))
    assert good is not None
    stages = [ottava.Stage(*stage) for stage in report["stages"]]
    stages.append(ottava.Stage("hand over", table.num_rows, "rows", elapsed))
    return Flights(table, issues, report["rows_read"], stages, good.nbytes)


def report_checks(flights: Flights) -> None:
    """What was refused, by field and reason, and a few of the rows."""
    issues = flights.issues
    good = flights.table.num_rows
    CONSOLE.print(f"{flights.rows_read:,} flights read, {good:,} good, {flights.rows_read - good:,} refused")
    groups = issues.group_by(["loc", "type", "message"]).aggregate([("row", "count"), ("row", "min")])
    order = groups.sort_by([("row_count", "descending"), ("loc", "ascending")]).to_pylist()
    show(
        "Why flights were refused",
        ("field", "reason", "message", "flights", "first in row"),
        [(g["loc"], g["type"], g["message"], g["row_count"], g["row_min"]) for g in order],
    )


def answer(grid: ottava.TokenGrid, stages: list[ottava.Stage]) -> None:
    """Ask the grid, and time each question."""

    def ask(name: str, amount: int, unit: str, question: Callable[[], T]) -> T:
        began = perf_counter()
        result = question()
        stages.append(ottava.Stage(name, amount, unit, perf_counter() - began))
        return result

    flights = pa.table(grid.rows())
    named = flights
    for column, value in NAMED.items():
        named = named.filter(pc.equal(named[column], value))
    name = flight_cells(named)[0]
    place = grid.get(named["id"][0].as_py()).position

    near = ask("nearest", 1, "queries", lambda: grid.nearest(place, k=10))
    rows = flight_cells(pa.table(grid.rows(near.ids)))
    show(
        f"The ten flights nearest to {name[0]}, {name[1]}, {name[2]}",
        ("distance", *FLIGHT_COLUMNS),
        [(d, *cells) for d, cells in zip(near.distances.tolist(), rows, strict=True)],
    )
    count = ask("count within", 1, "queries", lambda: grid.count_within(place, RADIUS))
    CONSOLE.print(f"\n{count:,} flights lie within {RADIUS} of it")

    cells, counts = ask("cells", len(grid), "tokens", grid.occupied_cells)
    fullest = int(np.argmax(counts))
    inside = pa.table(grid.rows(grid.cell(cells[fullest])))
    show(
        f"The most crowded of {len(counts):,} cells: {counts[fullest]:,} flights; five of them",
        FLIGHT_COLUMNS,
        flight_cells(inside.slice(0, 5)),
    )

    graph = ask("ten nearest of all", len(grid), "queries", lambda: grid.connect(k=10))
    tenth = graph.distances.reshape(len(grid), 10)[:, -1]
    loneliest = np.argsort(-tenth, kind="stable")[:10]
    show(
        "The most isolated flights of the year, by the distance to their tenth neighbor",
        ("distance", *FLIGHT_COLUMNS),
        [
            (d, *cells)
            for d, cells in zip(
                tenth[loneliest].tolist(), flight_cells(pa.table(grid.rows(graph.ids[loneliest]))), strict=True
            )
        ],
    )

    influence = ask("influence", 1, "points", lambda: grid.influence(place))
    density = ask("density", 1, "points", lambda: grid.density(place, RADIUS))
    show(
        f"At {name[0]}, {name[1]}",
        ("measure", "value", "meaning"),
        [
            ("influence", float(influence), "minutes late on arrival, summed over the flights within 1, fading out"),
            ("density", float(density), f"flights within {RADIUS}, per unit of volume"),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
