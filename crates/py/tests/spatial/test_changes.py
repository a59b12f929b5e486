"""Tokens that come, move and go."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ottava.errors import ArgumentError, DuplicateTokenError, UnknownTokenError
from ottava.spatial import TokenGrid


def test_one_token(grid: TokenGrid) -> None:
    before = len(grid)
    grid.insert(7, [0.5] * 8, weight=2.0, field_radius=0.1, field_strength=-1.0)
    assert len(grid) == before + 1
    assert 7 in grid
    token = grid.get(7)
    assert (token.id, token.weight, token.field_strength) == (7, 2.0, -1.0)
    assert token.field_radius == np.float32(0.1)
    assert token.position.dtype == np.float32
    assert token.position.tolist() == [0.5] * 8
    assert grid.nearest([0.5] * 8).ids.tolist() == [7]
    grid.move(7, np.full(8, 40.0))
    assert grid.nearest([39] * 8).ids.tolist() == [7]
    assert grid.get(7).weight == 2.0
    grid.remove(7)
    assert 7 not in grid
    assert len(grid) == before


def test_what_is_in_a_grid(grid: TokenGrid, cloud: np.ndarray) -> None:
    assert list(grid) == list(range(10, len(cloud) + 10)) == grid.ids.tolist()
    np.testing.assert_array_equal(grid.positions, cloud)
    lo, hi = grid.bounds
    np.testing.assert_array_equal(lo, cloud.min(axis=0))
    np.testing.assert_array_equal(hi, cloud.max(axis=0))
    assert 10 in grid
    assert np.uint64(10) in grid
    for stranger in (9, -1, 2**64, 2**70, "10", None, 10.5):
        assert stranger not in grid


def test_batches_are_all_or_nothing(grid: TokenGrid, cloud: np.ndarray) -> None:
    def unchanged() -> None:
        np.testing.assert_array_equal(grid.ids, ids)
        np.testing.assert_array_equal(grid.positions, positions)

    ids, positions = grid.ids, grid.positions
    with pytest.raises(DuplicateTokenError, match=r"row 1: id 12 is a duplicate"):
        grid.insert_batch([1, 12], np.zeros((2, 8)))
    unchanged()
    with pytest.raises(DuplicateTokenError, match=r"row 1: id 1 is a duplicate"):
        grid.insert_batch([1, 1], np.zeros((2, 8)))
    unchanged()
    wrong = np.zeros((2, 8))
    wrong[1, 3] = np.inf
    with pytest.raises(ArgumentError, match=r"row 1, axis 3"):
        grid.insert_batch([1, 2], wrong)
    unchanged()
    with pytest.raises(ArgumentError, match=r"row 1: weight"):
        grid.insert_batch([1, 2], np.zeros((2, 8)), weight=[1, np.nan])
    unchanged()
    with pytest.raises(UnknownTokenError, match="no token has id 1"):
        grid.remove([10, 1])
    unchanged()
    with pytest.raises(UnknownTokenError, match="no token has id 1"):
        grid.move([10, 1], np.zeros((2, 8)))
    unchanged()
    with pytest.raises(ArgumentError, match=r"row 1, axis 3"):
        grid.move([10, 11], wrong)
    unchanged()


def test_what_to_do_with_duplicates(grid: TokenGrid, cloud: np.ndarray) -> None:
    new = np.full((3, 8), 9.0, np.float32)
    assert grid.insert_batch([1, 12, 2], new, on_duplicate="skip") == 2
    np.testing.assert_array_equal(grid.get(12).position, cloud[2])
    assert grid.insert_batch([12, 3], new[:2], on_duplicate="replace") == 2
    assert grid.get(12).position.tolist() == [9.0] * 8
    assert grid.get(12).weight == 1.0
    with pytest.raises(ArgumentError, match="on_duplicate: \"keep\" is none of"):
        grid.insert_batch([12], new[:1], on_duplicate="keep")
    grid.insert(13, new[0], on_duplicate="skip")
    np.testing.assert_array_equal(grid.get(13).position, cloud[3])
    grid.insert(13, new[0], weight=3.0, field_radius=0.25, field_strength=-2, on_duplicate="replace")
    token = grid.get(13)
    assert (token.position.tolist(), token.weight, token.field_radius, token.field_strength) == ([9.0] * 8, 3.0, 0.25, -2.0)
    assert grid.nearest([9] * 8, where=[13]).distances[0] == 0
    with pytest.raises(ArgumentError, match="^weight: "):
        grid.insert(13, new[0], weight=np.inf, on_duplicate="replace")
    assert grid.get(13).weight == 3.0
    twice = TokenGrid.from_arrays([1, 1], [[0] * 8, [1] * 8], on_duplicate="skip")
    assert twice.get(1).position[0] == 0
    twice = TokenGrid.from_arrays([1, 1], [[0] * 8, [1] * 8], on_duplicate="replace")
    assert twice.get(1).position[0] == 1
    with pytest.raises(DuplicateTokenError):
        TokenGrid.from_arrays([1, 1], [[0] * 8, [1] * 8])


def test_moves_are_seen_at_once(grid: TokenGrid, cloud: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    ids, new = grid.ids[::3], rng.random((len(grid.ids[::3]), 8), dtype=np.float32)
    grid.move(ids, new)
    expected = cloud.copy()
    expected[::3] = new
    order = np.argsort(grid.ids)
    np.testing.assert_array_equal(grid.positions[order], expected)
    for q in cloud[:20]:
        want = oracle.nearest(np.arange(10, len(cloud) + 10, dtype=np.uint64), expected, q, 8)
        np.testing.assert_array_equal(grid.nearest(q, 8).ids, want[0])
    grid.optimize()
    for q in cloud[:20]:
        want = oracle.nearest(np.arange(10, len(cloud) + 10, dtype=np.uint64), expected, q, 8)
        np.testing.assert_array_equal(grid.nearest(q, 8).ids, want[0])


few_ids = st.integers(0, 40)
places = st.lists(st.integers(-3, 3).map(float), min_size=8, max_size=8)


class Live(RuleBasedStateMachine):
    """A grid beside a dict, under any sequence of changes."""

    def __init__(self) -> None:
        super().__init__()
        self.grid = TokenGrid(cell_size=1.0)
        self.model: dict[int, list[float]] = {}

    @rule(id=few_ids, place=places)
    def insert(self, id: int, place: list[float]) -> None:
        if id in self.model:
            with pytest.raises(DuplicateTokenError):
                self.grid.insert(id, place)
        else:
            self.grid.insert(id, place)
            self.model[id] = place

    @rule(ids=st.lists(few_ids, max_size=30), place=places, skip=st.booleans())
    def insert_batch(self, ids: list[int], place: list[float], skip: bool) -> None:
        rows = [[x + i for x in place] for i in range(len(ids))]
        self.grid.insert_batch(ids, np.array(rows).reshape(-1, 8), on_duplicate="skip" if skip else "replace")
        for id, row in zip(ids, rows, strict=True):
            if not (skip and id in self.model):
                self.model[id] = row

    @rule(id=few_ids)
    def remove(self, id: int) -> None:
        if id in self.model:
            self.grid.remove(id)
            del self.model[id]
        else:
            with pytest.raises(UnknownTokenError):
                self.grid.remove(id)

    @rule(id=few_ids, place=places)
    def move(self, id: int, place: list[float]) -> None:
        if id in self.model:
            self.grid.move(id, place)
            self.model[id] = place
        else:
            with pytest.raises(UnknownTokenError):
                self.grid.move(id, place)

    @rule()
    def optimize(self) -> None:
        self.grid.optimize()

    @rule(id=few_ids, radius=st.integers(0, 6).map(float))
    def connections(self, id: int, radius: float) -> None:
        if id not in self.model:
            with pytest.raises(UnknownTokenError):
                self.grid.connections(id, radius)
            return
        others = {other: place for other, place in self.model.items() if other != id}
        points = np.array(list(others.values()), np.float32).reshape(-1, 8)
        expected = oracle.within(np.array(list(others), np.uint64), points, self.model[id], radius)
        for _ in range(2):  # made, then cached
            found = self.grid.connections(id, radius)
            np.testing.assert_array_equal(found.ids, expected[0])
            np.testing.assert_array_equal(found.distances, expected[1])

    @invariant()
    def agrees(self) -> None:
        ids = np.array(list(self.model), np.uint64)
        points = np.array(list(self.model.values()), np.float32).reshape(-1, 8)
        assert len(self.grid) == len(ids)
        assert sorted(self.grid) == sorted(self.model)
        expected = oracle.nearest(ids, points, [0.5] * 8, 5)
        found = self.grid.nearest([0.5] * 8, 5)
        np.testing.assert_array_equal(found.ids, expected[0])
        np.testing.assert_array_equal(found.distances, expected[1])
        counts = self.grid.occupied_cells().counts
        assert counts.sum() == len(ids)


TestLive = Live.TestCase
TestLive.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_a_refused_change_of_an_empty_grid_does_not_move_its_cells() -> None:
    factor = np.random.default_rng(1).standard_normal((8, 8))
    grid = TokenGrid(metric=factor @ factor.T + np.eye(8))
    cell = grid.cell_of([5] * 8)
    with pytest.raises(DuplicateTokenError):
        grid.insert_batch([1, 1], [[100.0] * 8] * 2)
    assert grid.insert_batch([], np.empty((0, 8))) in (0, None)
    assert grid.cell_of([5] * 8) == cell
    grid.insert(1, [100.0] * 8)
    assert grid.cell_of([5] * 8) != cell
