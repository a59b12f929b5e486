"""The demo's answers, as tables a person can read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

# A pipe or a file has no width to fit.
CONSOLE = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints one table; numbers to the right, text to the left."""
    body = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    for index, name in enumerate(columns):
        number = bool(body) and isinstance(body[0][index], (int, float))
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in body:
        table.add_row(*map(_text, row))
    CONSOLE.print()
    CONSOLE.print(table)


def flight_cells(flights: pa.Table) -> list[list[object]]:
    """A few telling columns of each flight."""
    return [
        [
            f"{f['carrier']} {f['flight']}",
            f"{f['year']}-{f['month']:02}-{f['day']:02} {f['hour']:02}:{f['minute']:02}",
            f"{f['origin']}-{f['dest']}",
            f["dep_delay"],
            f["arr_delay"],
            f["air_time"],
            f["distance"],
        ]
        for f in flights.to_pylist()
    ]


FLIGHT_COLUMNS = ("flight", "scheduled", "route", "dep. delay", "arr. delay", "in the air", "miles")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
