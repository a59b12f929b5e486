"""What a grid must answer, by brute force in numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]


def distances(q: npt.ArrayLike, points: F32, scales: npt.ArrayLike = 1.0, metric: str = "euclidean") -> F32:
    """Distances in float32, summed in the order that the grid promises."""
    d = (np.asarray(scales, np.float32) * (np.asarray(points, np.float32) - np.asarray(q, np.float32))).astype(np.float32)
    if metric == "chebyshev":
        return np.abs(d).max(axis=-1)
    t = np.abs(d) if metric == "manhattan" else d * d
    total = ((t[..., 0] + t[..., 4]) + (t[..., 2] + t[..., 6])) + ((t[..., 1] + t[..., 5]) + (t[..., 3] + t[..., 7]))
    return np.sqrt(total) if metric == "euclidean" else total


def order(ids: npt.NDArray[np.uint64], found: F32) -> npt.NDArray[np.intp]:
    """By distance, ties by id."""
    return np.lexsort((ids, found))


def nearest(
    ids: npt.NDArray[np.uint64], points: F32, q: npt.ArrayLike, k: int, scales: npt.ArrayLike = 1.0, metric: str = "euclidean"
) -> tuple[npt.NDArray[np.uint64], F32]:
    found = distances(q, points, scales, metric)
    first = order(ids, found)[:k]
    return ids[first], found[first]


def within(
    ids: npt.NDArray[np.uint64], points: F32, q: npt.ArrayLike, radius: float, scales: npt.ArrayLike = 1.0, metric: str = "euclidean"
) -> tuple[npt.NDArray[np.uint64], F32]:
    found = distances(q, points, scales, metric)
    near = order(ids, found)
    near = near[found[near] <= np.float32(radius)]
    return ids[near], found[near]


def falloff(name: str, u: npt.ArrayLike) -> npt.NDArray[np.float64]:
    u = np.asarray(u, np.float64)
    return {"linear": 1 - u, "quadratic": 1 - u**2, "gaussian": np.exp(-4.5 * u**2)}[name]


def influence(
    points: F32, weight: npt.ArrayLike, radius: npt.ArrayLike, strength: npt.ArrayLike, q: npt.ArrayLike, name: str = "linear"
) -> float:
    found = distances(q, points).astype(np.float64)
    weight, radius, strength = (np.asarray(a, np.float64) for a in (weight, radius, strength))
    reach = (radius > 0) & (found <= radius)
    return float((weight[reach] * strength[reach] * falloff(name, found[reach] / radius[reach])).sum())
