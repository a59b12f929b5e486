"""Pictures of a grid; needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ottava.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ottava._native import TokenGrid

CROWD = 20_000
"""Above this many tokens, single points hide each other: the picture shows how crowded each place is."""


def plot(grid: TokenGrid, axes: Sequence[str | int] | None = None, ax: Axes | None = None) -> Axes:
    """Draws the tokens on two axes, or on the first two principal components of their scaled positions."""
    if ax is None:
        from matplotlib import pyplot as plt

        ax = plt.subplots(layout="constrained")[1]
    scaled = grid.positions * grid.scales
    if axes is None:
        centered = scaled - scaled.mean(axis=0) if len(scaled) else scaled
        vectors = np.linalg.eigh(np.cov(centered, rowvar=False))[1] if len(scaled) > 1 else np.eye(8)
        across, up = (centered @ vectors[:, [-1, -2]]).T
        labels = ["first principal component", "second principal component"]
    else:
        if isinstance(axes, str) or len(axes) != 2:
            raise ArgumentError(f"axes: expected two axis names or numbers, got {axes!r}")
        names = grid.axes
        for axis in axes:
            if axis not in names and axis not in range(8):
                raise ArgumentError(f"axes: {axis!r} is neither an axis name nor 0 to 7; the axes are {', '.join(names)}")
        chosen = [names.index(axis) if isinstance(axis, str) else axis for axis in axes]
        across, up = scaled[:, chosen].T
        labels = [names[axis] for axis in chosen]
    if len(scaled) > CROWD:
        crowd = ax.hexbin(across, up, gridsize=100, bins="log", mincnt=1)
        ax.figure.colorbar(crowd, ax=ax, label="tokens")
    else:
        ax.scatter(across, up, s=4)
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    ax.set_title(f"{len(scaled):,} tokens")
    return ax
