"""All of ottava in one call: bytes in, checked, columnar, indexed, ready to be asked."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

from ottava import streams
from ottava.errors import PipelineError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ottava.models import ArrowResult, Model
    from ottava.spatial import TokenGrid

__all__ = ["Pipeline", "Stage", "pipeline"]

Source: TypeAlias = "Sequence[str] | str | os.PathLike[str] | bytes"
Positions: TypeAlias = "Sequence[str] | Callable[[Any], npt.NDArray[np.float32]]"


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage of a pipeline did: `amount` of `unit` in `seconds` of wall time."""

    name: str
    amount: int
    unit: str
    seconds: float

    @property
    def rate(self) -> float:
        """Amount per second."""
        return self.amount / self.seconds if self.seconds > 0 else float("inf")

    def __str__(self) -> str:
        return f"{self.name}: {self.amount:,} {self.unit} in {self.seconds:.2f} s ({self.rate:,.0f} {self.unit}/s)"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The outcome of `pipeline`: the grid to ask, what was checked, and what each stage did."""

    grid: TokenGrid
    checked: ArrowResult
    stages: tuple[Stage, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.stages))


def pipeline(
    source: Source,
    model: type[Model],
    *,
    id: str,
    positions: Positions,
    scales: Sequence[float] | Mapping[str, float] | None = None,
    weight: float | str = 1.0,
    field_radius: float | str = 0.0,
    field_strength: float | str = 0.0,
    keep: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    on_progress: Callable[[int], object] | None = None,
) -> Pipeline:
    """Bring NDJSON records into a token grid.

    `source` is a command (a sequence of strings, run as a child process whose standard output is moved by
    `ottava.streams`), the path of an NDJSON file, or NDJSON bytes. Every line is checked against `model`: good rows become
    Arrow columns, bad ones are rows of `checked.issues`, and nothing is dropped in silence. The tokens get their ids from the
    column `id` and their places from `positions`: eight column names, or a function from the good rows to a float32 array of
    shape (n, 8). The other columns are carried along (`grid.rows(ids)`).

    `scales` are the grid's, by axis name or in order; `weight`, `field_radius` and `field_strength` are the tokens', as one
    number or as the name of a column. `keep` is where the bytes of a command are left; by default they are
    deleted. `on_progress` is called with the number of bytes moved so far, a few times a second.

    Raises `OSError` where the command cannot be started or the file not read, `PipelineError` where the command fails (its exit
    code is not 0), and the errors of `TokenGrid.from_arrow` where ids or positions do not fit.
    """
    from ottava.spatial import TokenGrid

    stages: list[Stage] = []
    if isinstance(source, (str, os.PathLike, bytes)):
        checked = _check(source, model, threads, stages)
    else:
        with tempfile.TemporaryDirectory(prefix="ottava-") as folder:
            target = Path(keep) if keep is not None else Path(folder) / "records.ndjson"
            _move(list(source), target, on_progress, stages)
            checked = _check(target, model, threads, stages)
    start = perf_counter()
    axes = list(scales) if isinstance(scales, Mapping) and callable(positions) else None
    grid = TokenGrid.from_arrow(
        checked.table,
        id=id,
        positions=positions(checked.table) if callable(positions) else positions,
        axes=axes,
        scales=scales,
        weight=weight,
        field_radius=field_radius,
        field_strength=field_strength,
    )
    stages.append(Stage("index", len(grid), "tokens", perf_counter() - start))
    return Pipeline(grid, checked, tuple(stages))


def _move(
    command: list[str], target: Path, on_progress: Callable[[int], object] | None, stages: list[Stage]
) -> None:
    start = perf_counter()
    with target.open("wb") as file, subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        try:
            moved = streams.pump_sync(child.stdout, file, on_progress=on_progress)
        except BaseException:
            child.kill()
            raise
    elapsed = perf_counter() - start
    stages.append(Stage("move", moved.bytes, "bytes", elapsed))
    if child.returncode != 0:
        stage = streams.StageReport(tuple(command), child.pid, child.returncode)
        raise PipelineError(streams.PipelineReport((stage,), (), None, None, elapsed))


def _check(
    source: str | os.PathLike[str] | bytes, model: type[Model], threads: int | None, stages: list[Stage]
) -> ArrowResult:
    start = perf_counter()
    checked = model.to_arrow(source, threads=threads, on_error="collect")
    stages.append(Stage("check", checked.rows_read, "rows", perf_counter() - start))
    return checked

