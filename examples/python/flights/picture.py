"""One picture of the token space: its two widest directions, how crowded they are, and when flights leave."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pyarrow as pa

import ottava

matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402


def draw(grid: ottava.TokenGrid, path: Path) -> None:
    """Writes a PNG: the tokens on the first two principal components of their scaled positions."""
    scaled = grid.positions * grid.scales
    centered = scaled - scaled.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(centered, rowvar=False))
    across, up = (centered @ vectors[:, [-1, -2]]).T
    hour = pa.table(grid.rows())["hour"].to_numpy()

    figure, panels = plt.subplots(1, 2, figsize=(12, 5), sharex=True, sharey=True, layout="constrained")
    crowd = panels[0].hexbin(across, up, gridsize=120, bins="log", cmap="viridis", mincnt=1)
    leaving = panels[1].hexbin(across, up, C=hour, gridsize=120, cmap="plasma", mincnt=1)
    figure.colorbar(crowd, ax=panels[0], label="flights")
    figure.colorbar(leaving, ax=panels[1], label="mean hour of departure")
    panels[0].set_title(f"{len(grid):,} flights on their two widest directions")
    panels[1].set_title("when they leave")
    for panel in panels:
        panel.set_xlabel("first principal component")
    panels[0].set_ylabel("second principal component")
    figure.savefig(path, dpi=110)
    plt.close(figure)
