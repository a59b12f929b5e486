"""Connections, graphs, influence, density."""

from __future__ import annotations

import math
import warnings

import networkx as nx
import numpy as np
import oracle
import pytest
from scipy.spatial import cKDTree

from ottava.errors import ArgumentError
from ottava.spatial import TokenGrid

FALLOFFS = ["linear", "quadratic", "gaussian"]


@pytest.mark.parametrize("falloff", FALLOFFS)
def test_connections(grid: TokenGrid, cloud: np.ndarray, falloff: str) -> None:
    ids = np.arange(10, len(cloud) + 10, dtype=np.uint64)
    weight = np.linspace(0.5, 2.0, len(cloud), dtype=np.float32)
    for row in (0, 2_500, 4_000):
        others = ids != ids[row]
        expected = oracle.within(ids[others], cloud[others], cloud[row], 0.5)
        found = grid.connections(int(ids[row]), 0.5, falloff=falloff)
        np.testing.assert_array_equal(found.ids, expected[0])
        np.testing.assert_array_equal(found.distances, expected[1])
        strengths = weight[(expected[0] - np.uint64(10)).astype(int)] * oracle.falloff(falloff, expected[1] / np.float32(0.5))
        np.testing.assert_allclose(found.strengths, strengths, rtol=1e-5, atol=1e-7)


def test_cached_connections_are_the_same_and_read_only(grid: TokenGrid) -> None:
    first = grid.connections(2_600, 0.4)
    hits = grid.cache_stats().hits
    second = grid.connections(2_600, 0.4)
    assert grid.cache_stats().hits == hits + 1
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not b.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            b.flags.writeable = True
        assert not isinstance(b.base, np.ndarray)


def test_a_change_nearby_is_seen(grid: TokenGrid, cloud: np.ndarray) -> None:
    id, place = 2_600, cloud[2_590]
    before = grid.connections(id, 0.3)
    grid.insert(1, place + np.float32(0.01))
    assert 1 in grid.connections(id, 0.3).ids
    grid.move(1, place + np.float32(5))
    np.testing.assert_array_equal(grid.connections(id, 0.3).ids, before.ids)
    grid.remove(int(before.ids[0]))
    np.testing.assert_array_equal(grid.connections(id, 0.3).ids, before.ids[1:])


def test_connect_by_k(grid: TokenGrid, cloud: np.ndarray) -> None:
    graph = grid.connect(k=10)
    np.testing.assert_array_equal(graph.ids, grid.ids)
    np.testing.assert_array_equal(np.diff(graph.indptr), 10)
    table = graph.distances.reshape(len(grid), 10)
    expected, _ = cKDTree(cloud.astype(np.float64)).query(cloud.astype(np.float64), k=11)
    np.testing.assert_allclose(table, expected[:, 1:], rtol=1e-4, atol=1e-6)
    rows = np.repeat(np.arange(len(grid)), 10)
    assert (graph.indices != rows).all()
    np.testing.assert_array_equal(graph.strengths, np.linspace(0.5, 2.0, len(cloud), dtype=np.float32)[graph.indices])


def test_connect_by_radius(grid: TokenGrid, cloud: np.ndarray) -> None:
    graph = grid.connect(radius=0.2, falloff="gaussian")
    assert graph.ids.dtype == np.uint64
    assert graph.indptr[-1] == len(graph.indices) == len(graph.distances) == len(graph.strengths)
    for row in range(0, len(cloud), 250):
        part = slice(graph.indptr[row], graph.indptr[row + 1])
        expected = grid.connections(int(graph.ids[row]), 0.2, falloff="gaussian")
        np.testing.assert_array_equal(graph.ids[graph.indices[part]], expected.ids)
        np.testing.assert_array_equal(graph.distances[part], expected.distances)
        np.testing.assert_array_equal(graph.strengths[part], expected.strengths)


def test_graphs_for_others(rng: np.random.Generator) -> None:
    points = rng.random((50, 8), dtype=np.float32)
    graph = TokenGrid.from_arrays(np.arange(100, 150), points).connect(radius=0.9)
    dense = cKDTree(points).sparse_distance_matrix(cKDTree(points), 0.9).toarray()
    np.testing.assert_allclose(graph.to_scipy().toarray(), dense, rtol=1e-5)
    assert graph.to_scipy("strengths").toarray().max() <= 1
    with pytest.raises(ValueError, match="neither 'distances' nor 'strengths'"):
        graph.to_scipy("weights")
    network = graph.to_networkx()
    assert set(network) == set(range(100, 150))
    assert nx.to_numpy_array(network, nodelist=range(100, 150), weight="distance") == pytest.approx(dense, rel=1e-5)
    for _, _, data in network.edges(data=True):
        assert data["strength"] == pytest.approx(1 - data["distance"] / 0.9, abs=1e-5)


def test_connect_wants_one_of_two(grid: TokenGrid) -> None:
    for wrong, message in (({}, "^radius: expected radius=... or k=...$"), ({"k": 1, "radius": 1.0}, "^k: expected radius=... or k=..., not both$")):
        with pytest.raises(ArgumentError, match=message):
            grid.connect(**wrong)


def test_connect_by_k_within_a_radius(grid: TokenGrid, cloud: np.ndarray) -> None:
    graph = grid.connect(k=4, within=0.15, falloff="quadratic")
    for row in range(0, len(cloud), 250):
        part = slice(graph.indptr[row], graph.indptr[row + 1])
        expected = grid.connections(int(graph.ids[row]), 0.15, falloff="quadratic", limit=4)
        np.testing.assert_array_equal(graph.ids[graph.indices[part]], expected.ids)
        np.testing.assert_array_equal(graph.distances[part], expected.distances)
        np.testing.assert_array_equal(graph.strengths[part], expected.strengths)


def test_limit_and_sort(grid: TokenGrid) -> None:
    whole = grid.connections(2_600, 0.4)
    assert len(whole.ids) > 3
    for _ in range(2):
        for found, expected in zip(grid.connections(2_600, 0.4, limit=3), whole, strict=True):
            np.testing.assert_array_equal(found, expected[:3])
        by_id = grid.connections(2_600, 0.4, sort=False)
        for found, expected in zip(by_id, whole, strict=True):
            np.testing.assert_array_equal(found, expected[np.argsort(whole.ids)])
        np.testing.assert_array_equal(grid.connections(2_600, 0.4).ids, whole.ids)
    graph = grid.connect(radius=0.4, limit=3)
    row = int(np.flatnonzero(graph.ids == 2_600)[0])
    part = slice(graph.indptr[row], graph.indptr[row + 1])
    np.testing.assert_array_equal(graph.ids[graph.indices[part]], whole.ids[:3])
    np.testing.assert_array_equal(graph.strengths[part], whole.strengths[:3])


def test_the_cache_can_be_sized_and_cleared(grid: TokenGrid) -> None:
    first = grid.connections(2_600, 0.4)
    assert grid.connections(2_600, 0.4).ids is first.ids
    stats = grid.cache_stats()
    assert (stats.entries, stats.connections, stats.capacity) == (1, len(first.ids) + 1, 2**22)
    grid.clear_cache()
    assert grid.cache_stats()[3:5] == (0, 0)
    misses = grid.cache_stats().misses
    again = grid.connections(2_600, 0.4)
    assert again.ids is not first.ids
    np.testing.assert_array_equal(again.ids, first.ids)
    grid.set_cache_capacity(0)
    for _ in range(2):
        np.testing.assert_array_equal(grid.connections(2_600, 0.4).ids, first.ids)
    assert grid.cache_stats().misses == misses + 3
    assert grid.cache_stats()[3:] == (0, 0, 0)


@pytest.mark.parametrize("falloff", FALLOFFS)
def test_influence(grid: TokenGrid, cloud: np.ndarray, falloff: str) -> None:
    n = len(cloud)
    weight = np.linspace(0.5, 2.0, n, dtype=np.float32)
    radius = np.where(np.arange(n) % 3 == 0, np.float32(0.4), np.float32(0))
    strength = np.linspace(-1, 3, n, dtype=np.float32)
    points = cloud[::331]
    found = grid.influence(points, falloff=falloff)
    assert found.dtype == np.float32
    for point, value in zip(points, found, strict=True):
        expected = oracle.influence(cloud, weight, radius, strength, point, falloff)
        assert value == pytest.approx(expected, rel=1e-4, abs=1e-4)
        assert grid.influence(point, falloff=falloff) == value
    assert grid.influence([90] * 8) == 0.0


@pytest.mark.parametrize("metric", ["euclidean", "squared_euclidean", "manhattan", "chebyshev", "mahalanobis"])
def test_influence_and_density_of_every_metric(metric: str) -> None:
    rng = np.random.default_rng(2)
    points = rng.random((300, 8), dtype=np.float32)
    scales = np.ones(8) if metric == "mahalanobis" else np.array([1, 2, 0.5, 1, 3, 1, 1, 0.25])
    reach = {"euclidean": 1.5, "squared_euclidean": 2.0, "manhattan": 4.0, "chebyshev": 0.8, "mahalanobis": 3.0}[metric]
    radius, strength = rng.uniform(0.5, 1, 300) * reach, rng.normal(size=300)
    grid = TokenGrid.from_arrays(np.arange(300), points, metric=metric, scales=None if metric == "mahalanobis" else scales, field_radius=radius, field_strength=strength)
    white = points.astype(float) * scales
    if metric == "mahalanobis":
        white = white @ np.linalg.cholesky(np.linalg.inv(np.cov(white, rowvar=False)))
    norm = {
        "squared_euclidean": lambda d: (d**2).sum(axis=1),
        "manhattan": lambda d: np.abs(d).sum(axis=1),
        "chebyshev": lambda d: np.abs(d).max(axis=1),
    }.get(metric, lambda d: np.sqrt((d**2).sum(axis=1)))
    volume = {
        "squared_euclidean": math.pi**4 / 24 * reach**4,
        "manhattan": (2 * reach) ** 8 / math.factorial(8),
        "chebyshev": (2 * reach) ** 8,
    }.get(metric, math.pi**4 / 24 * reach**8)
    for row in range(10):
        d = norm(white - white[row])
        inside = d <= radius
        expected = (strength[inside] * (1 - d[inside] / radius[inside])).sum()
        assert grid.influence(points[row]) == pytest.approx(expected, rel=1e-4, abs=1e-4)
        assert grid.influence(points[: row + 1])[row] == grid.influence(points[row])
        count = int((d <= reach).sum())
        assert 1 < count < 300
        assert grid.density(points[row], reach) == pytest.approx(count / volume, rel=1e-5)


@pytest.mark.parametrize("falloff", FALLOFFS)
def test_the_gradient_is_the_slope(falloff: str) -> None:
    rng = np.random.default_rng(1)
    points = rng.random((40, 8), dtype=np.float32)
    grid = TokenGrid.from_arrays(
        np.arange(40), points, weight=2.0, field_radius=3.0, field_strength=rng.random(40), scales=[1, 2, 1, 1, 0.5, 1, 1, 1]
    )
    at = np.full(8, 0.45)
    gradient = grid.influence_gradient(at, falloff=falloff)
    assert gradient.shape == (8,)
    h = 0.02
    for axis in range(8):
        step = np.eye(8)[axis] * h
        slope = (grid.influence(at + step, falloff=falloff) - grid.influence(at - step, falloff=falloff)) / (2 * h)
        assert gradient[axis] == pytest.approx(slope, rel=2e-2, abs=2e-2)
    np.testing.assert_array_equal(grid.influence_gradient(np.stack([at, at]), falloff=falloff), np.stack([gradient, gradient]))


def test_density(grid: TokenGrid, cloud: np.ndarray) -> None:
    volume = math.pi**4 / 24 * 0.4**8
    counts = grid.count_within(cloud[:9], 0.4)
    np.testing.assert_allclose(grid.density(cloud[:9], 0.4), counts / volume, rtol=1e-5)
    assert grid.density(cloud[0], 0.4) == pytest.approx(int(counts[0]) / volume, rel=1e-5)
    disc = grid.count_within(cloud[0], 0.1, axes=[0, 1]) / (math.pi * 0.01)
    assert grid.density(cloud[0], 0.1, axes=[0, 1]) == pytest.approx(disc, rel=1e-5)


@pytest.mark.parametrize("values", ["distances", "strengths"])
def test_what_scipy_does_to_its_matrix_does_not_change_the_graph(values: str) -> None:
    points = np.random.default_rng(0).random((50, 8), dtype=np.float32)
    graph = TokenGrid.from_arrays(np.arange(50), points).connect(k=5)
    before = [array.copy() for array in graph]
    dense = graph.to_scipy(values).toarray()
    matrix = graph.to_scipy(values)
    matrix.max(axis=1)  # sorts the rows
    matrix *= 2
    matrix.data[:] = 0
    matrix.eliminate_zeros()
    assert all(map(np.array_equal, graph, before))
    assert np.array_equal(graph.to_scipy(values).toarray(), dense)


@pytest.mark.parametrize("change", ["shape", "dtype", "strides", "state"])
def test_what_a_caller_makes_of_cached_arrays_is_not_seen_by_others(change: str) -> None:
    grid = TokenGrid.from_arrays(np.arange(100), np.random.default_rng(0).random((100, 8)))
    expected = [array.copy() for array in grid.connections(1, 1.2)]
    assert grid.connections(1, 1.2).ids is grid.connections(1, 1.2).ids
    for index in range(3):
        array = grid.connections(1, 1.2)[index]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            if change == "shape":
                array.shape = (1, -1)
            elif change == "dtype":
                array.dtype = np.dtype(f"i{array.itemsize}")
            elif change == "strides":
                array.strides = (0,)
            else:
                array.__setstate__((1, array.shape, array.dtype, False, bytes(array.nbytes)))
        again = grid.connections(1, 1.2)
        assert [a.dtype for a in again] == [a.dtype for a in expected]
        assert all(map(np.array_equal, again, expected))
    assert grid.cache_stats().misses == 1
