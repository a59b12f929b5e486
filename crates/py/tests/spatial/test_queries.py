"""Answers against brute force and scipy."""

from __future__ import annotations

import pickle

import numpy as np
import oracle
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial import cKDTree

from ottava.errors import ArgumentError, UnknownTokenError
from ottava.spatial import MISSING, TokenGrid, simd_level

METRICS = ["euclidean", "squared_euclidean", "manhattan", "chebyshev"]


def same(found, expected) -> None:
    ids, distances = expected
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_array_equal(found.distances, distances)


@pytest.mark.parametrize("k", [1, 2, 10, 200, 10_000])
@pytest.mark.parametrize("metric", METRICS)
def test_nearest_is_brute_force(cloud: np.ndarray, rng: np.random.Generator, metric: str, k: int) -> None:
    ids = rng.permutation(len(cloud)).astype(np.uint64)
    grid = TokenGrid.from_arrays(ids, cloud, metric=metric)
    queries = np.concatenate([cloud[:20], rng.random((20, 8), dtype=np.float32), np.full((1, 8), 50, np.float32)])
    table = grid.nearest(queries, k)
    assert table.ids.shape == table.distances.shape == (41, min(k, len(cloud)))
    assert table.ids.dtype == np.uint64
    assert table.distances.dtype == np.float32
    for row, q in enumerate(queries):
        expected = oracle.nearest(ids, cloud, q, k, metric=metric)
        same(grid.nearest(q, k), expected)
        np.testing.assert_array_equal(table.ids[row], expected[0])
        np.testing.assert_array_equal(table.distances[row], expected[1])


def test_nearest_is_scipy(cloud: np.ndarray, grid: TokenGrid, rng: np.random.Generator) -> None:
    queries = rng.random((500, 8), dtype=np.float32)
    expected, _ = cKDTree(cloud.astype(np.float64)).query(queries.astype(np.float64), k=10)
    np.testing.assert_allclose(grid.nearest(queries, 10).distances, expected, rtol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("radius", [0.0, 0.05, 0.3, 1.0, 1e9])
def test_within_is_brute_force(cloud: np.ndarray, metric: str, radius: float) -> None:
    ids = np.arange(len(cloud), dtype=np.uint64)[::-1].copy()
    grid = TokenGrid.from_arrays(ids, cloud, metric=metric)
    queries = cloud[::500]
    ragged = grid.within(queries, radius)
    counts = grid.count_within(queries, radius)
    assert ragged.indptr.dtype == np.int64
    for row, q in enumerate(queries):
        expected = oracle.within(ids, cloud, q, radius, metric=metric)
        same(grid.within(q, radius), expected)
        same(ragged.row(row), expected)
        assert grid.count_within(q, radius) == counts[row] == len(expected[0])
        same(grid.within(q, radius, limit=3), (expected[0][:3], expected[1][:3]))
        unsorted = grid.within(q, radius, sort=False)
        np.testing.assert_array_equal(unsorted.ids, np.sort(expected[0]))


def test_within_is_scipy(cloud: np.ndarray, grid: TokenGrid) -> None:
    # A radius in a gap between distances, so that float32 and float64 cannot disagree.
    tree = cKDTree(cloud.astype(np.float64))
    counts = tree.query_ball_point(cloud[:300].astype(np.float64), 0.251, return_length=True)
    assert np.abs(grid.count_within(cloud[:300], 0.251).astype(int) - counts).max() <= 1


def test_rows_of_a_ragged_answer_are_those_of_a_sequence(cloud: np.ndarray, grid: TokenGrid) -> None:
    found = grid.within(cloud[:3], 0.2)
    rows = [grid.within(q, 0.2) for q in cloud[:3]]
    for i in (0, 2, -1, -3, np.int64(-2)):
        for part, expected in zip(found.row(i), rows[i], strict=True):
            np.testing.assert_array_equal(part, expected)
    for beyond in (3, -4, 2**70):
        with pytest.raises(IndexError, match=f"^i: there is no row {beyond}, there are 3$"):
            found.row(beyond)
    with pytest.raises(IndexError):
        grid.within(cloud[:0], 0.2).row(0)
    with pytest.raises(TypeError):
        found.row(0.5)


def test_the_radius_is_inclusive() -> None:
    grid = TokenGrid.from_arrays([1, 2], [[0.0] * 8, [3.0, 4.0] + [0.0] * 6])
    assert grid.within([0] * 8, 5.0).ids.tolist() == [1, 2]
    assert grid.within([0] * 8, np.nextafter(np.float32(5), np.float32(0))).ids.tolist() == [1]
    assert grid.nearest([0] * 8, 2, within=5.0).ids.tolist() == [1, 2]


def test_axes_and_scales_change_by_query(cloud: np.ndarray) -> None:
    ids = np.arange(len(cloud), dtype=np.uint64)
    base = np.array([1, 2, 0.5, 1, 3, 1, 1, 0.25], np.float32)
    grid = TokenGrid.from_arrays(ids, cloud, axes=list("abcdefgh"), scales=base)
    np.testing.assert_array_equal(grid.scales, base)
    q = cloud[17]
    same(grid.nearest(q, 5), oracle.nearest(ids, cloud, q, 5, base))
    other = np.array([0, 0, 1, 1, 9, 0.1, 0, 4], np.float32)
    same(grid.nearest(q, 5, scales=other), oracle.nearest(ids, cloud, q, 5, other))
    same(grid.within(q, 0.3, scales=other), oracle.within(ids, cloud, q, 0.3, other))
    mixed = base.copy()
    mixed[[1, 3]] = 7, 0
    same(grid.nearest(q, 5, scales={"b": 7, "d": 0}), oracle.nearest(ids, cloud, q, 5, mixed))
    few = np.where(np.isin(np.arange(8), [0, 4]), base, 0).astype(np.float32)
    for axes in (["a", "e"], [0, 4], ("a", 4), np.array([4, 0])):
        same(grid.nearest(q, 5, axes=axes), oracle.nearest(ids, cloud, q, 5, few))
    one = np.where(np.arange(8) == 2, base, 0).astype(np.float32)
    same(grid.nearest(q, 5, axes="c"), oracle.nearest(ids, cloud, q, 5, one))


def test_mahalanobis_is_whitened(cloud: np.ndarray) -> None:
    ids = np.arange(len(cloud), dtype=np.uint64)
    covariance = np.cov(cloud.astype(np.float64), rowvar=False)
    tree = cKDTree(cloud.astype(np.float64) @ np.linalg.cholesky(np.linalg.inv(covariance)))
    expected = tree.query(tree.data[:50], k=4)[0]
    for metric in ("mahalanobis", covariance):
        grid = TokenGrid.from_arrays(ids, cloud, metric=metric)
        assert grid.metric == "mahalanobis"
        np.testing.assert_allclose(grid.nearest(cloud[:50], 4).distances, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.01, 0.3, 0.9, 1.0])
def test_where_at_every_selectivity(cloud: np.ndarray, grid: TokenGrid, rng: np.random.Generator, share: float) -> None:
    ids, points = grid.ids, grid.positions
    mask = rng.random(len(ids)) < share
    allowed = ids[mask]
    chunks = pa.chunked_array([mask[:7], mask[7:]])
    nulls = pa.array([True if admitted else None for admitted in mask], pa.bool_())
    for q in cloud[:3]:
        near = oracle.nearest(allowed, points[mask], q, 10)
        around = oracle.within(allowed, points[mask], q, 0.5)
        for where in (mask, allowed, pa.array(mask), chunks, nulls):
            same(grid.nearest(q, 10, where=where), near)
            same(grid.within(q, 0.5, where=where), around)
            assert grid.count_within(q, 0.5, where=where) == len(around[0])
    table = grid.nearest(cloud[:3], 10, where=mask)
    fewer = min(10, len(allowed))
    assert (table.ids[:, fewer:] == MISSING).all()
    assert np.isinf(table.distances[:, fewer:]).all()
    assert (table.ids[:, :fewer] != MISSING).all()


def test_exclude(cloud: np.ndarray, grid: TokenGrid) -> None:
    q = cloud[100]
    all_four = grid.nearest(q, 4)
    assert all_four.ids[0] == 110
    np.testing.assert_array_equal(grid.nearest(q, 3, exclude=110).ids, all_four.ids[1:])
    np.testing.assert_array_equal(grid.nearest(q, 2, exclude=all_four.ids[:2]).ids, all_four.ids[2:])


def test_boxes(cloud: np.ndarray, grid: TokenGrid) -> None:
    lo, hi = np.full(8, 0.2, np.float32), np.full(8, 0.8, np.float32)
    inside = ((cloud >= lo) & (cloud <= hi)).all(axis=1)
    np.testing.assert_array_equal(grid.box(lo, hi), np.arange(10, len(cloud) + 10)[inside])
    plane = (cloud[:, 3] >= 0.2) & (cloud[:, 3] <= 0.8)
    np.testing.assert_array_equal(grid.box(lo, hi, axes=["x3"]), np.arange(10, len(cloud) + 10)[plane])
    np.testing.assert_array_equal(grid.box(cloud[5], cloud[5]), [15])


def test_cells(cloud: np.ndarray, grid: TokenGrid) -> None:
    cells, counts = grid.occupied_cells()
    assert cells.shape == (len(counts), 8)
    assert counts.sum() == len(grid)
    expected = np.floor(cloud.astype(np.float64) / grid.cell_size).astype(np.int32)
    np.testing.assert_array_equal(grid.cells_of(cloud), expected)
    unique, sizes = np.unique(expected, axis=0, return_counts=True)
    np.testing.assert_array_equal(cells, unique)
    np.testing.assert_array_equal(counts, sizes)
    for position in cloud[::700]:
        mine = np.flatnonzero((expected == grid.cell_of(position)).all(axis=1)) + 10
        np.testing.assert_array_equal(grid.cell(position), mine)
        np.testing.assert_array_equal(grid.cell(grid.cell_of(position)), mine)
        np.testing.assert_array_equal(grid.cell(np.array(grid.cell_of(position))), mine)
        np.testing.assert_array_equal(grid.cell(position.astype(np.float64)), mine)
    assert grid.cell_of(cloud[0]) == tuple(expected[0].tolist())
    assert grid.cells_of(cloud[:0]).shape == (0, 8)
    assert grid.cell([1000] * 8).tolist() == []
    assert grid.cell([1000.0] * 8).tolist() == []


@pytest.mark.parametrize("threads", [1, 2, 64, None])
def test_threads_do_not_change_answers(grid: TokenGrid, rng: np.random.Generator, threads: int | None) -> None:
    queries = rng.random((1_000, 8), dtype=np.float32)
    first, second = grid.nearest(queries, 7, threads=1), grid.nearest(queries, 7, threads=threads)
    np.testing.assert_array_equal(first.ids, second.ids)
    np.testing.assert_array_equal(first.distances, second.distances)
    for a, b in zip(grid.within(queries, 0.4, threads=1), grid.within(queries, 0.4, threads=threads), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(
        grid.influence(queries, threads=1), grid.influence(queries, threads=threads)
    )


def test_levels_do_not_change_answers(grid: TokenGrid, rng: np.random.Generator) -> None:
    queries = rng.random((300, 8), dtype=np.float32)
    best = simd_level()
    answers = {}
    try:
        for level in {"scalar", best}:
            assert simd_level(level) == level
            answers[level] = grid.nearest(queries, 9)
    finally:
        assert simd_level("auto") == best
    np.testing.assert_array_equal(answers["scalar"].ids, answers[best].ids)
    np.testing.assert_array_equal(answers["scalar"].distances, answers[best].distances)


@pytest.mark.parametrize("n", [0, 1, 2, 15, 16, 17, 31, 33])
def test_small_grids(n: int, rng: np.random.Generator) -> None:
    points = rng.random((n, 8), dtype=np.float32)
    ids = np.arange(n, dtype=np.uint64)
    grid = TokenGrid.from_arrays(ids, points)
    assert len(grid) == n
    same(grid.nearest([0.5] * 8, 5), oracle.nearest(ids, points, [0.5] * 8, 5))
    same(grid.within([0.5] * 8, 2.0), oracle.within(ids, points, [0.5] * 8, 2.0))
    assert grid.nearest(np.zeros((4, 8)), 5).ids.shape == (4, min(5, n))
    assert grid.nearest(np.zeros((0, 8)), 5).ids.shape == (0, min(5, n))
    assert grid.within(np.zeros((0, 8)), 5).indptr.tolist() == [0]
    assert grid.count_within(np.zeros((0, 8)), 5).shape == (0,)
    assert grid.box([0] * 8, [1] * 8).tolist() == ids.tolist()
    assert (grid.bounds is None) == (n == 0)


coordinates = st.floats(-4, 4, width=32).map(lambda x: round(x * 4) / 4)
"""Few values, so that ties are common."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    points=hnp.arrays(np.float32, st.tuples(st.integers(0, 60), st.just(8)), elements=coordinates),
    q=hnp.arrays(np.float32, 8, elements=coordinates),
    scales=hnp.arrays(np.float32, 8, elements=st.sampled_from([0.0, 0.5, 1.0, 3.0])),
    k=st.integers(1, 70),
    metric=st.sampled_from(METRICS),
    seed=st.integers(0, 9),
)
def test_ties_by_id(points, q, scales, k, metric, seed) -> None:
    scales[seed % 8] = 1.0
    ids = np.random.default_rng(seed).permutation(len(points)).astype(np.uint64) + 5
    grid = TokenGrid.from_arrays(ids, points, metric=metric, scales=scales)
    same(grid.nearest(q, k), oracle.nearest(ids, points, q, k, scales, metric))
    same(grid.within(q, 2.0), oracle.within(ids, points, q, 2.0, scales, metric))


def test_a_filter_is_made_once_for_many_queries(grid: TokenGrid, cloud: np.ndarray) -> None:
    mask = cloud[:, 0] > 0.5
    ids = grid.ids[mask]
    filters = (grid.filter(mask), grid.filter(where=ids), grid.filter(set(ids.tolist())), grid.filter(exclude=grid.ids[~mask]))
    few = grid.filter(mask, exclude=ids[7:])
    assert [len(made) for made in (*filters, few, grid.filter())] == [len(ids)] * 4 + [7, len(grid)]
    assert repr(filters[0]) == f"Filter({len(ids):,} tokens)"
    assert repr(grid.filter([ids[0]])) == "Filter(1 token)"
    for where in filters:
        for q in (cloud[:40], cloud[3]):
            for found, wanted in (
                (grid.nearest(q, 6, where=where), grid.nearest(q, 6, where=mask)),
                (grid.within(q, 0.4, where=where), grid.within(q, 0.4, where=mask)),
            ):
                for one, other in zip(found, wanted, strict=True):
                    np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(grid.density(q, 0.4, where=where), grid.density(q, 0.4, where=mask))
        assert set(grid.connections(grid.ids[0], 0.5, where=where).ids) <= set(ids)
        assert grid.box([0] * 8, [1] * 8, where=where).tolist() == grid.box([0] * 8, [1] * 8, where=mask).tolist()
        np.testing.assert_array_equal(grid.connect(k=3, where=where).indices, grid.connect(k=3, where=mask).indices)
    assert grid.nearest(cloud[0], len(cloud), where=few).ids.tolist() == grid.nearest(cloud[0], len(cloud), where=ids[:7]).ids.tolist()
    assert grid.filter(few, exclude=ids[:1]).__len__() == 6


def test_a_filter_is_of_one_grid_in_one_state(grid: TokenGrid, cloud: np.ndarray) -> None:
    other = TokenGrid.from_arrays(grid.ids, cloud)
    for change in (lambda: None, lambda: grid.insert(1 << 40, cloud[0]), grid.optimize):
        made = grid.filter()
        change()
        use = other if len(grid) == len(cloud) else grid
        for call in (lambda: use.nearest(cloud[0], where=made), lambda: use.within(cloud, 1, where=made), lambda: use.filter(made)):  # noqa: B023
            with pytest.raises(ArgumentError, match="^where: the filter was made for another grid or an earlier state of this one$"):
                call()
    with pytest.raises(UnknownTokenError, match="^exclude: no token has id 99999999$"):
        grid.filter(exclude=[99999999])
    with pytest.raises(ArgumentError, match="^where: mask has 1 rows"):
        grid.filter([True])
    with pytest.raises(TypeError):
        type(grid.filter())()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot pickle a Filter"):
            pickle.dumps(grid.filter(), protocol)


@given(
    items=st.lists(st.one_of(st.floats(width=32), st.floats(-1e18, 1e18), st.integers(-(2**70), 2**70), st.integers(-9, 9), st.booleans()), min_size=8, max_size=8),
    kind=st.sampled_from([list, tuple]),
)
def test_lists_and_tuples_are_read_as_numpy_reads_them(items: list[float], kind: type) -> None:
    def read(point) -> list[float] | type:
        grid = TokenGrid()
        try:
            grid.insert(1, point)
        except Exception as error:
            return type(error)
        return grid.positions[0].tolist()

    assert read(kind(items)) == read(np.array(items))
    for wrong in (items[:7], [*items, 0.0], [*items[:7], None], [*items[:7], "0"], [*items[:7], [0.0]]):
        with pytest.raises((ArgumentError, TypeError), match="^position: "):
            TokenGrid().insert(1, kind(wrong))


def test_few_points_are_answered_like_many(grid: TokenGrid, cloud: np.ndarray) -> None:
    """They are on the calling thread, whatever `threads` says."""
    many = grid.nearest(cloud[:100], 5)
    for n in (1, 2, 16, 17, 40):
        for threads in (None, 1, 2):
            few = grid.nearest(cloud[:n], 5, threads=threads)
            np.testing.assert_array_equal(few.ids, many.ids[:n])
            np.testing.assert_array_equal(few.distances, many.distances[:n])
    with pytest.raises(ArgumentError, match="^q: row 1, axis 3: coordinate NaN"):
        grid.nearest(np.where(np.arange(16).reshape(2, 8) == 11, np.nan, 0))


@given(ids=st.lists(st.one_of(st.integers(0, 9), st.integers(-3, 2**64 + 1), st.booleans(), st.floats(0, 9)), min_size=1, max_size=4))
def test_lists_of_ids_are_read_as_arrays_are(ids: list[int]) -> None:
    grid = TokenGrid.from_arrays(np.arange(10), np.eye(10, 8))

    def nearest(where) -> list[int] | type:
        try:
            return grid.nearest(np.zeros(8), 10, where=where).ids.tolist()
        except Exception as error:
            return type(error)

    if all(type(id) is int for id in ids):
        whole = all(0 <= id < 2**64 for id in ids)
        assert nearest(ids) == nearest(tuple(ids)) == (nearest(np.array(ids, np.uint64)) if whole else ArgumentError)
    else:
        assert nearest(ids) == nearest(tuple(ids)) == nearest(np.array(ids)) or nearest(ids) in (TypeError, ArgumentError)


def test_an_empty_column_of_ids_is_no_mask(grid: TokenGrid) -> None:
    ids = pa.table({"id": pa.array([1, 2, 3], pa.int64())})
    empty = [
        ids.filter(pa.array([False] * 3))["id"],
        pa.chunked_array([], type=pa.int64()),
        pa.chunked_array([], type=pa.null()),
        pa.array([], pa.null()),
        pa.Table.from_batches([], ids.schema),
    ]
    for column in empty:
        assert len(grid.filter(column)) == 0
        if not isinstance(column, pa.Table):
            assert len(grid.filter(exclude=column)) == len(grid)
