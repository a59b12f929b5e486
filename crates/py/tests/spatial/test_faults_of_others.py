"""What earlier systems of this kind got wrong."""

from __future__ import annotations

import numpy as np
import pytest

from ottava.errors import ArgumentError, UnknownTokenError
from ottava.spatial import TokenGrid


def test_an_unknown_id_is_an_error(grid: TokenGrid) -> None:
    for ask in (
        lambda: grid.get(9),
        lambda: grid.remove(9),
        lambda: grid.move(9, [0] * 8),
        lambda: grid.connections(9, 1.0),
        lambda: grid.rows([9]),
    ):
        with pytest.raises(UnknownTokenError, match="^no token has id 9$"):
            ask()
        with pytest.raises(KeyError):
            ask()


def test_a_removed_token_leaves_no_connection(grid: TokenGrid) -> None:
    near = grid.connections(2_600, 0.5).ids
    gone = near[::2]
    grid.remove(gone)
    assert not np.isin(grid.connections(2_600, 0.5).ids, gone).any()
    graph = grid.connect(radius=0.2)
    assert not np.isin(graph.ids, gone).any()
    assert graph.indices.max() < len(graph.ids)


def test_a_move_is_atomic(grid: TokenGrid, cloud: np.ndarray) -> None:
    before, neighbors = grid.get(10).position, grid.connections(10, 0.4).ids.tolist()
    for bad in ([np.nan] * 8, [0] * 7, [1e30] * 8):
        with pytest.raises(ArgumentError):
            grid.move(10, bad)
        with pytest.raises(ArgumentError):
            grid.move([11, 10], [[0.5] * 8, bad] if len(bad) == 8 else bad)
    np.testing.assert_array_equal(grid.get(10).position, before)
    np.testing.assert_array_equal(grid.get(11).position, cloud[1])
    assert grid.connections(10, 0.4).ids.tolist() == neighbors
    grid.move(10, [7.0] * 8)
    assert grid.connections(10, 0.4).ids.tolist() == []
    assert grid.within([7.0] * 8, 0.1).ids.tolist() == [10]
    assert 10 not in grid.within(before, 0.0).ids


def test_a_huge_radius_does_not_hang() -> None:
    """Upstream looked into (2R + 1)^3 cells: this many would take longer than the tests may."""
    grid = TokenGrid.from_arrays([1], [[0.0] * 8], cell_size=1e-6)
    assert grid.within([1] * 8, 1e18).ids.tolist() == [1]
    assert grid.count_within([1] * 8, np.inf) == 1
    assert grid.connections(1, 1e18).ids.tolist() == []


def test_a_source_is_felt_beyond_any_query_radius() -> None:
    grid = TokenGrid.from_arrays([1], [[100.0] + [0.0] * 7], field_radius=200.0, field_strength=8.0)
    assert grid.influence([0] * 8) == pytest.approx(4.0)


def test_no_field_is_no_influence() -> None:
    grid = TokenGrid.from_arrays([1], [[0.0] * 8], field_radius=0.0, field_strength=5.0)
    assert grid.influence([0] * 8) == 0.0
    assert not np.signbit(grid.influence([0] * 8))
    assert grid.influence_gradient([0] * 8).tolist() == [0.0] * 8


def test_density_in_no_volume_is_an_error(grid: TokenGrid) -> None:
    for radius in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ArgumentError, match="is not a usable radius"):
            grid.density([0] * 8, radius)


def test_axes_of_different_size_are_no_full_scan() -> None:
    rng = np.random.default_rng(3)
    points = rng.random((200_000, 8), dtype=np.float32) * np.float32([2, 2, 2000, 2e6, 2, 2, 1, 1])
    grid = TokenGrid.from_arrays(np.arange(len(points)), points, scales=1 / np.float32([2, 2, 2000, 2e6, 2, 2, 1, 1]))
    counts = grid.occupied_cells().counts
    assert counts.max() < len(points) / 1_000  # not all in one cell, however long an axis is
    found = grid.nearest(points[:20], 10)
    scaled = points / np.float32([2, 2, 2000, 2e6, 2, 2, 1, 1])
    for i in range(20):
        np.testing.assert_allclose(found.distances[i], np.sort(np.linalg.norm(scaled - scaled[i], axis=1))[:10], atol=1e-5)
