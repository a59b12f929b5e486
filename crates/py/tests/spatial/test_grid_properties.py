"""Any data, any choices, any changes: answers against brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ottava.errors import UnknownTokenError
from ottava.spatial import MISSING, TokenGrid, simd_level

METRICS = ["euclidean", "squared_euclidean", "manhattan", "chebyshev"]
KINDS = ["uniform", "clustered", "lattice", "one place", "a line", "far off", "tiny", "huge", "mixed"]


def draw(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """n points, all of whose differences have the same order of magnitude: none is lost beside another axis."""
    points = rng.random((n, 8))
    if kind == "clustered":
        points = rng.random((4, 8))[rng.integers(0, 4, n)] + rng.normal(0, 1e-3, (n, 8))
    elif kind == "lattice":
        points = rng.integers(-2, 3, (n, 8)).astype(float)
    elif kind == "one place":
        points = np.repeat(points[:1], n, axis=0) if n else points
    elif kind == "a line":
        points = np.outer(points[:, 0], np.ones(8)) if n else points
    elif kind == "far off":
        points += 1e5
    elif kind == "tiny":
        points *= 1e-15
    elif kind == "huge":
        points = (points - 0.5) * 1e18
    elif kind == "mixed":
        points = np.where(rng.random((n, 1)) < 0.5, points, (points - 0.5) * 1e6)
    return points.astype(np.float32)


def same(found: Any, expected: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(0, 400),
    metric=st.sampled_from(METRICS),
    base=st.lists(st.sampled_from([0.25, 1.0, 3.0]), min_size=8, max_size=8),
    scales=st.none() | st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=7, max_size=7),
    axes=st.none() | st.sets(st.integers(0, 7), min_size=1),
    chosen=st.sampled_from(["all", "mask", "few", "exclude", "made"]),
    k=st.integers(1, 40),
    seed=st.integers(0, 2**16),
)
def test_any_data_and_any_choice(kind, n, metric, base, scales, axes, chosen, k, seed) -> None:
    rng = np.random.default_rng(seed)
    points = draw(kind, n, rng)
    ids = rng.permutation(n).astype(np.uint64) + np.uint64(7)
    grid = TokenGrid.from_arrays(ids, points, metric=metric, scales=base)
    ids, points = grid.ids, grid.positions
    choice: dict[str, Any] = {}
    kept = np.ones(n, bool)
    if chosen == "mask":
        kept = rng.random(n) < 0.4
        choice["where"] = kept
    elif chosen == "few":
        kept = rng.random(n) < 0.02
        choice["where"] = ids[kept]
    elif chosen == "exclude":
        kept = rng.random(n) < 0.9
        choice["exclude"] = ids[~kept]
    elif chosen == "made":
        mask, excluded = rng.random(n) < 0.5, rng.random(n) < 0.1
        kept = mask & ~excluded
        choice["where"] = grid.filter(mask, exclude=ids[excluded])
    used = np.array(base, np.float32)
    if scales is not None:
        used = np.array([*scales, 1.0], np.float32)
        choice["scales"] = used
    if axes is not None and any(used[axis] for axis in axes):
        choice["axes"] = sorted(axes)
        used = np.where(np.isin(np.arange(8), sorted(axes)), used, 0).astype(np.float32)
    queries = np.concatenate([points[:3], draw(kind, 4, rng)])
    answers = []
    levels = {"scalar", simd_level()}
    try:
        for level in sorted(levels):
            simd_level(level)
            for threads in (1, 2):
                table = grid.nearest(queries, k, threads=threads, **choice)
                spread = oracle.distances(queries[0], points, used, metric)
                radius = float(np.quantile(spread, 0.3)) if n else 1.0
                ragged = grid.within(queries, radius, threads=threads, **choice)
                counts = grid.count_within(queries, radius, threads=threads, **choice)
                answers.append((*table, *ragged, counts))
                for row, q in enumerate(queries):
                    expected = oracle.nearest(ids[kept], points[kept], q, k, used, metric)
                    same(grid.nearest(q, k, **choice), expected)
                    m = len(expected[0])
                    same((table.ids[row, :m], table.distances[row, :m]), expected)
                    assert (table.ids[row, m:] == MISSING).all()
                    around = oracle.within(ids[kept], points[kept], q, radius, used, metric)
                    same(grid.within(q, radius, **choice), around)
                    same(ragged.row(row), around)
                    assert counts[row] == len(around[0])
                    same(grid.nearest(q, k, within=radius, **choice), (around[0][:k], around[1][:k]))
    finally:
        simd_level("auto")
    for answer in answers[1:]:
        for a, b in zip(answers[0], answer, strict=True):
            np.testing.assert_array_equal(a, b)


class Twin(RuleBasedStateMachine):
    """A grid beside arrays, under changes of many tokens at once and one by one, interleaved with every kind of question."""

    @initialize(
        kind=st.sampled_from(KINDS),
        metric=st.sampled_from(METRICS),
        scales=st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=8, max_size=8),
        seed=st.integers(0, 2**16),
        n=st.integers(0, 200),
    )
    def begin(self, kind: str, metric: str, scales: list[float], seed: int, n: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.kind, self.metric, self.scales = kind, metric, np.array(scales, np.float32)
        points = draw(kind, n, self.rng)
        self.model = {id: (points[id], 1.0) for id in range(n)}
        self.grid = TokenGrid.from_arrays(range(n), points, metric=metric, scales=scales)
        self.next = n

    def some(self, share: float) -> list[int]:
        return [id for id in self.model if self.rng.random() < share]

    @rule(n=st.integers(1, 60))
    def insert_batch(self, n: int) -> None:
        points, weight = draw(self.kind, n, self.rng), self.rng.random(n, dtype=np.float32)
        ids = range(self.next, self.next + n)
        self.grid.insert_batch(ids, points, weight=weight)
        self.model.update(zip(ids, zip(points, weight.tolist(), strict=True), strict=True))
        self.next += n

    @rule(share=st.sampled_from([0.02, 0.3, 0.9]))
    def remove(self, share: float) -> None:
        gone = self.some(share)
        self.grid.remove(gone)
        for id in gone:
            del self.model[id]
        for id in gone[:2]:
            with pytest.raises(UnknownTokenError):
                self.grid.move(id, [0] * 8)

    @rule(share=st.sampled_from([0.05, 0.5, 1.0]))
    def move(self, share: float) -> None:
        moved = self.some(share)
        points = draw(self.kind, len(moved), self.rng)
        self.grid.move(moved, points)
        self.model.update({id: (point, self.model[id][1]) for id, point in zip(moved, points, strict=True)})

    @rule(times=st.integers(1, 10))
    def one_by_one(self, times: int) -> None:
        for point in draw(self.kind, times, self.rng):
            self.grid.insert(self.next, point)
            self.model[self.next] = (point, 1.0)
            for id in self.some(1 / len(self.model))[:1]:
                self.grid.insert(id, point, weight=2.0, on_duplicate="replace")
                self.model[id] = (point, 2.0)
            self.next += 1

    @rule()
    def optimize(self) -> None:
        self.grid.optimize()

    @rule(falloff=st.sampled_from(["linear", "quadratic", "gaussian"]), axes=st.sampled_from([None, [1], [0, 3, 6]]), limit=st.sampled_from([None, 3]))
    def connections(self, falloff: str, axes: list[int] | None, limit: int | None) -> None:
        if not self.model:
            return
        ids, points = self.arrays()
        id = int(self.rng.choice(ids))
        place, used = self.model[id][0], self.scales if axes is None else np.where(np.isin(np.arange(8), axes), self.scales, 0)
        radius = np.float32(np.quantile(oracle.distances(place, points, used, self.metric), 0.2))
        others = ids != id
        expected = oracle.within(ids[others], points[others], place, float(radius), used, self.metric)
        for _ in range(2):  # made, then cached
            found = self.grid.connections(id, radius, falloff=falloff, axes=axes, limit=limit)
            same(found, (expected[0][:limit], expected[1][:limit]))
            weight = np.array([self.model[int(other)][1] for other in found.ids])
            u = np.divide(found.distances, radius, out=np.zeros(len(found.ids)), where=found.distances > 0, dtype=np.float64)
            np.testing.assert_allclose(found.strengths, weight * oracle.falloff(falloff, u), rtol=1e-5, atol=1e-6)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        points = [point for point, _ in self.model.values()]
        return np.array(list(self.model), np.uint64), np.array(points, np.float32).reshape(-1, 8)

    @invariant()
    def agrees(self) -> None:
        ids, points = self.arrays()
        assert sorted(self.grid) == sorted(self.model)
        mask = self.grid.ids % np.uint64(3) == 0
        third = ids % np.uint64(3) == 0
        for q in draw(self.kind, 2, self.rng):
            same(self.grid.nearest(q, 9), oracle.nearest(ids, points, q, 9, self.scales, self.metric))
            masked = oracle.nearest(ids[third], points[third], q, 9, self.scales, self.metric)
            same(self.grid.nearest(q, 9, where=mask), masked)
        assert self.grid.occupied_cells().counts.sum() == len(ids)


TestTwin = Twin.TestCase
TestTwin.settings = settings(max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_squares_of_tiny_differences_are_0() -> None:
    """Distances are those of float32 arithmetic: squares below its range are 0, and so are differences under about 1e-23."""
    grid = TokenGrid.from_arrays([1, 2, 3], [[0] * 8, [1e-24] * 8, [1e-15] * 8])
    assert grid.within([0] * 8, 0.0).ids.tolist() == [1, 2]
    assert grid.within([0] * 8, 1e-14).ids.tolist() == [1, 2, 3]
    assert grid.nearest([1e-24] * 8, 2).ids.tolist() == [1, 2]
    manhattan = TokenGrid.from_arrays([1, 2], [[0] * 8, [1e-24] * 8], metric="manhattan")
    assert manhattan.nearest([1e-24] * 8, 2).ids.tolist() == [2, 1]


def test_a_radius_is_rounded_to_float32() -> None:
    """0.1 in float32 is above 0.1 in float64: a distance of that float32 is within the radius 0.1 of Python."""
    grid = TokenGrid.from_arrays([1, 2], [[0] * 8, [np.float32(0.1)] + [0] * 7], metric="manhattan")
    assert float(np.float32(0.1)) > 0.1
    assert grid.within([0] * 8, 0.1).ids.tolist() == [1, 2]
    assert grid.count_within(np.zeros((1, 8)), 0.1).tolist() == [2]
    below = float(np.nextafter(np.float32(0.1), np.float32(0)))
    assert grid.within([0] * 8, below).ids.tolist() == [1]
