"""What the grid takes, type checkers let pass; what it refuses, they may refuse as well."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

CALLS = """\
import numpy as np

from ottava.spatial import Filter, Neighbors, Ragged, TokenGrid

ids = np.arange(3, dtype=np.int64)
grid = TokenGrid.from_arrays(ids, np.eye(8)[:3], cell_size=np.float32(0.5), scales={"x0": np.float32(2)})
one, many = [0.0] * 8, [[0.0] * 8]
radius, k, flag = np.float32(9), np.int64(2), np.bool_(True)

near: Neighbors = grid.nearest(one, k, within=np.float64(9), threads=np.int32(1), axes=np.array([0, 1]))
within: Neighbors = grid.within(one, radius, limit=k, sort=flag, axes={0, "x1"}, where={np.uint64(1)})
ragged: Ragged = grid.within(many, np.int64(9), axes=(np.int64(0),), exclude={1: None}.keys())
some: Filter = grid.filter([True, False, True], exclude={1})
near = grid.nearest(one, k, where=some)
row: Neighbors = ragged.row(np.int64(-1))
count: int = grid.count_within(one, radius, axes=range(3))
density: float = grid.density(one, radius, threads=k)
grid.connect(k=k)
grid.connect(radius=radius, limit=np.uint8(3))
grid.connections(ids[0], radius)
grid.insert(np.uint64(7), one, weight=np.float32(2), field_radius=1, field_strength=np.float64(1))
grid.get(np.uint64(7))
grid.remove({0, 7})
grid.remove(np.int64(1))
grid.set_cache_capacity(np.int64(9))
"""


def test_numbers_of_numpy_and_sets_have_the_right_types(tmp_path: Path) -> None:
    path = tmp_path / "calls.py"
    path.write_text(CALLS)
    runpy.run_path(str(path))
    checked = subprocess.run([sys.executable, "-m", "mypy", "--strict", str(path)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
