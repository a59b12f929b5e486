"""Pictures of a grid; needs matplotlib."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

from ottava.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ottava._native import TokenGrid

CROWD = 20_000
"""Above this many tokens, single points hide each other: the picture shows how crowded each place is."""


def chosen_axes(axes: Iterable[str | SupportsIndex], names: Sequence[str]) -> list[int]:
    """The numbers of two axes, of which each is a name or a number."""
    if isinstance(axes, str) or not isinstance(axes, Iterable):
        raise TypeError(f"axes: expected two axis names or numbers, got {type(axes).__name__}")
    pair = list(axes)
    if len(pair) != 2:
        raise ArgumentError(f"axes: expected two axis names or numbers, got {axes!r}")
    chosen = []
    for axis in pair:
        wrong = f"axes: {axis!r} is neither an axis name nor 0 to 7"
        if isinstance(axis, (bool, np.bool_)):
            raise TypeError(f"{wrong}; np.flatnonzero(mask) are the numbers of a mask")
        try:
            at = names.index(axis) if isinstance(axis, str) else operator.index(axis)
        except (TypeError, ValueError):
            at = -1
        if at not in range(8):
            raise ArgumentError(f"{wrong}; the axes are {', '.join(names)}")
        chosen.append(at)
    return chosen


def plot(grid: TokenGrid, axes: Iterable[str | SupportsIndex] | None = None, ax: Axes | None = None) -> Axes:
    """Draws the tokens on two axes, or on the first two principal components of their scaled positions."""
    chosen = None if axes is None else chosen_axes(axes, grid.axes)
    if ax is None:
        from matplotlib import pyplot as plt

        ax = plt.subplots(layout="constrained")[1]
    scaled = grid.positions * grid.scales
    if chosen is None:
        centered = scaled - scaled.mean(axis=0) if len(scaled) else scaled
        vectors = np.linalg.eigh(np.cov(centered, rowvar=False))[1] if len(scaled) > 1 else np.eye(8)
        across, up = (centered @ vectors[:, [-1, -2]]).T
        labels = ["first principal component", "second principal component"]
    else:
        across, up = scaled[:, chosen].T
        labels = [grid.axes[axis] for axis in chosen]
    if len(scaled) > CROWD:
        crowd = ax.hexbin(across, up, gridsize=100, bins="log", mincnt=1)
        ax.figure.colorbar(crowd, ax=ax, label="tokens")
    else:
        ax.scatter(across, up, s=4)
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    ax.set_title(f"{len(scaled):,} tokens")
    return ax
