"""What is taken, what is refused, and what the refusal says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import ottava
from ottava.errors import ArgumentError, DuplicateTokenError, OttavaError, UnknownTokenError
from ottava.spatial import TokenGrid, distance, distances, pairwise, simd_level

ZERO = np.zeros(8, np.float32)


@pytest.fixture(scope="module")
def tiny() -> TokenGrid:
    return TokenGrid.from_arrays([1, 2, 3], np.eye(8)[:3], axes=list("abcdefgh"))


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "float64": lambda a: a.astype(np.float64),
    "float16": lambda a: a.astype(np.float16).astype(np.float64),
    "longdouble": lambda a: a.astype(np.longdouble),
    "big endian": lambda a: a.astype(">f4"),
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "columns of a wider one": lambda a: np.concatenate([a, a], axis=1)[:, :8],
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(np.float32).reshape(a.shape),
    "lists": lambda a: a.tolist(),
    "arrays in a list": list,
    "array interface": lambda a: pa.FixedSizeListArray.from_arrays(pa.array(a.ravel()), 8).to_numpy(zero_copy_only=False).tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(cloud: np.ndarray, grid: TokenGrid, layout: str) -> None:
    queries = cloud[:40].astype(np.float16).astype(np.float32)
    expected = grid.nearest(queries, 3)
    other = LAYOUTS[layout](queries)
    found = grid.nearest(other, 3)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.distances, expected.distances)
    for row in range(3):
        np.testing.assert_array_equal(grid.nearest(other[row], 3).ids, expected.ids[row])
    again = TokenGrid.from_arrays(np.arange(40), other)
    np.testing.assert_array_equal(again.positions, queries)


def test_read_only_and_integers(grid: TokenGrid) -> None:
    frozen = np.zeros((2, 8), np.float32)
    frozen.flags.writeable = False
    expected = grid.nearest(frozen[0], 4).ids
    for zeros in (frozen[0], [0] * 8, (0,) * 8, np.zeros(8, np.int64), np.zeros(8, np.uint8), np.zeros(8)):
        np.testing.assert_array_equal(grid.nearest(zeros, 4).ids, expected)
    np.testing.assert_array_equal(grid.nearest(frozen, 4).ids, [expected, expected])


@pytest.mark.parametrize(
    "ids",
    [[3, 1, 2], np.array([3, 1, 2]), np.array([3, 1, 2], np.int8), np.array([3, 1, 2], ">u8"), np.array([3, 0, 1, 0, 2, 0], np.uint64)[::2]],
)
def test_ids(ids: Any) -> None:
    grid = TokenGrid.from_arrays(ids, np.eye(8)[:3])
    assert sorted(grid) == [1, 2, 3]
    np.testing.assert_array_equal(grid.get(3).position, np.eye(8)[0])


REFUSED: list[tuple[Callable[[TokenGrid], Any], type[Exception], str]] = [
    # shapes
    (lambda g: g.nearest([1, 2, 3]), ArgumentError, "q: expected shape (8,) or (n, 8), got (3,); one row per point, one column per axis"),
    (lambda g: g.nearest(np.zeros((3, 7))), ArgumentError, "q: expected shape (8,) or (n, 8), got (3, 7); one row per point, one column per axis"),
    (lambda g: g.within(np.zeros((1, 1, 8)), 1), ArgumentError, "q: expected shape (8,) or (n, 8), got (1, 1, 8); one row per point, one column per axis"),
    (lambda g: g.count_within(3.0, 1), ArgumentError, "q: expected shape (8,) or (n, 8), got (); one row per point, one column per axis"),
    (lambda g: g.insert(9, np.zeros((1, 8))), ArgumentError, "position: expected shape (8,), got (1, 8); one coordinate per axis"),
    (lambda g: g.insert_batch([9], ZERO), ArgumentError, "positions: expected shape (n, 8), got (8,); one row per point, one column per axis"),
    (lambda g: g.insert_batch([9, 8], np.zeros((3, 8))), ArgumentError, "positions: expected one row for each of the 2 ids, got 3"),
    (lambda g: g.insert_batch([[9]], np.zeros((1, 8))), ArgumentError, "ids: expected shape (n,), got (1, 1); one id per token"),
    (lambda g: g.insert_batch([9], np.zeros((1, 8)), weight=[1, 2]), ArgumentError, "weight: expected shape () or (1,), got (2,); one number, or one for each id"),
    (lambda g: g.move([1, 2], np.zeros((1, 8))), ArgumentError, "position: expected one row for each of the 2 ids, got 1"),
    (lambda g: g.nearest(ZERO, where=[True]), ArgumentError, "where: mask has 1 rows, expected 3"),
    (lambda g: g.nearest(ZERO, where=np.ones((3, 1), bool)), ArgumentError, "where: expected shape (n,), got (3, 1); one entry per token, in the order of grid.ids"),
    (lambda g: g.nearest(ZERO, scales=[1, 2]), ArgumentError, "scales: expected shape (8,), got (2,); one scale per axis, or a mapping from axis names"),
    (lambda g: pairwise(np.zeros((2, 8)), ZERO), ArgumentError, "q: expected shape (n, 8), got (8,); one row per point, one column per axis"),
    (lambda g: distance(ZERO, ZERO[:7]), ArgumentError, "b: expected shape (8,), got (7,); one coordinate per axis"),
    (lambda g: TokenGrid(metric=np.eye(7)), ArgumentError, "metric: expected shape (8, 8), got (7, 7); a covariance of the eight axes"),
    # types
    (lambda g: g.nearest("abc"), TypeError, "q: expected real numbers, got dtype <U3; convert it with np.asarray(..., np.float32)"),
    (lambda g: g.nearest(ZERO + 1j), TypeError, "q: expected real numbers, got dtype complex64; take .real or .imag"),
    (lambda g: g.nearest(ZERO > 1), TypeError, "q: expected real numbers, got dtype bool; convert it with .astype(np.float32)"),
    (lambda g: g.nearest(None), TypeError, "q: expected real numbers, got NoneType"),
    (lambda g: g.remove([1.5]), TypeError, "id: expected integers, got dtype float64; ids are whole numbers, of which floats hold only those up to 2**53; make them with dtype=np.uint64"),
    (lambda g: g.remove("1"), TypeError, "id: expected integers, got dtype <U1; ids are 0 to 2**64 - 2"),
    (lambda g: g.nearest(ZERO, where="x"), TypeError, "where: expected integers, got dtype <U1; ids are 0 to 2**64 - 2"),
    (lambda g: g.nearest(ZERO, where=pa.array([1.0, 2.0])), TypeError, "where: expected an Arrow column of booleans or ids, got Float64"),
    (lambda g: TokenGrid(axes="abcdefgh"), TypeError, "axes: expected eight names, got str"),
    (lambda g: TokenGrid(axes=3), TypeError, "axes: expected eight names, got int"),
    (lambda g: TokenGrid(axes=range(8)), TypeError, "axes: axis 0: expected a name, got int"),
    (lambda g: TokenGrid(axes=[*"abcdefg", None]), TypeError, "axes: axis 7: expected a name, got NoneType"),
    (lambda g: TokenGrid(scales={"x0": "y"}), TypeError, "scales: expected a number, got str"),
    (lambda g: g.connections(1, 1, falloff=2), TypeError, "falloff: expected a name, got int"),
    (lambda g: g.nearest(ZERO, axes=3), TypeError, "axes: expected axis names or numbers, got int"),
    (lambda g: g.nearest(ZERO, axes=[True, False] * 4), TypeError, "axes: True is neither an axis name nor 0 to 7; np.flatnonzero(mask) are the numbers of a mask"),
    (lambda g: g.nearest(ZERO, axes=np.ones(8, bool)), TypeError, f"axes: {np.True_!r} is neither an axis name nor 0 to 7; np.flatnonzero(mask) are the numbers of a mask"),
    (lambda g: g.within(ZERO, 1, sort=3), TypeError, "sort: expected True or False, got int"),
    (lambda g: g.connections(1, 1, sort="no"), TypeError, "sort: expected True or False, got str"),
    (lambda g: g.connect(radius=1, sort=None), TypeError, "sort: expected True or False, got NoneType"),
    (lambda g: g.insert(9, ZERO, on_duplicate=None), TypeError, "on_duplicate: expected a str, got NoneType"),
    (lambda g: g.insert_batch([9], [ZERO], on_duplicate=1), TypeError, "on_duplicate: expected a str, got int"),
    (lambda g: TokenGrid.from_arrays([9], [ZERO], on_duplicate=1), TypeError, "on_duplicate: expected a str, got int"),
    (lambda g: TokenGrid.open("x", mmap=3), TypeError, "mmap: expected True or False, got int"),
    (lambda g: TokenGrid.open("x", verify=3), TypeError, "verify: expected True or False, got int"),
    (lambda g: TokenGrid.open(b"x"), TypeError, "path: expected a str or an os.PathLike, got bytes; os.fsdecode(path) makes one of them"),
    (lambda g: TokenGrid.open(5), TypeError, "path: expected a str or an os.PathLike, got int"),
    (lambda g: g.save(b"x"), TypeError, "path: expected a str or an os.PathLike, got bytes; os.fsdecode(path) makes one of them"),
    (lambda g: simd_level(3), TypeError, "level: expected a str, got int"),
    (lambda g: g.get(True), TypeError, "id: expected an integer, got bool"),
    (lambda g: g.remove(True), TypeError, "id: expected an integer, got bool"),
    (lambda g: g.remove(np.array([True, False], object)), TypeError, "id: row 0: expected an integer, got bool; grid.ids[mask] are the ids of a mask"),
    (lambda g: g.remove(np.array([True, False])), TypeError, f"id: row 0: expected an integer, got {np.bool_.__name__}; grid.ids[mask] are the ids of a mask"),
    (lambda g: g.remove([1, None]), TypeError, "id: row 1: expected an integer, got NoneType; grid.ids[mask] are the ids of a mask"),
    (lambda g: g.remove([1, b"2"]), TypeError, "id: row 1: expected an integer, got bytes; ids are 0 to 2**64 - 2"),
    (lambda g: g.remove(i for i in [1]), TypeError, "id: expected a sequence of integers, got generator; list(...) makes one of it"),
    (lambda g: g.move({1}, [ZERO]), TypeError, "id: expected a sequence of integers, got set; list(...) makes one of it"),
    (lambda g: g.rows({1}), TypeError, "ids: expected a sequence of integers, got set; list(...) makes one of it"),
    (lambda g: TokenGrid.from_arrays({1}, [ZERO]), TypeError, "ids: expected a sequence of integers, got set; list(...) makes one of it"),
    (lambda g: g.nearest(ZERO, where=np.ones(3, bool).astype(object)), TypeError, "where: row 0: expected an integer, got bool; a mask is an array of dtype bool, np.array(..., bool) makes one"),
    (lambda g: g.nearest(ZERO, where=[True, None, False]), TypeError, "where: row 0: expected an integer, got bool; a mask is an array of dtype bool, np.array(..., bool) makes one"),
    (lambda g: g.nearest(ZERO, where=[None, True, False]), TypeError, "where: row 0: expected an integer, got NoneType; a mask is an array of dtype bool, np.array(..., bool) makes one"),
    (lambda g: g.nearest(ZERO, where={True}), TypeError, "where: row 0: expected an integer, got bool; a mask is an array of dtype bool, np.array(..., bool) makes one"),
    (lambda g: g.nearest(ZERO, exclude={True}), TypeError, "exclude: row 0: expected an integer, got bool; grid.ids[mask] are the ids of a mask"),
    (lambda g: g.plot([True, False]), TypeError, "axes: True is neither an axis name nor 0 to 7; np.flatnonzero(mask) are the numbers of a mask"),
    (lambda g: g.plot([1.0, 2.0]), ArgumentError, "axes: 1.0 is neither an axis name nor 0 to 7; the axes are a, b, c, d, e, f, g, h"),
    (lambda g: g.plot(["a", 8]), ArgumentError, "axes: 8 is neither an axis name nor 0 to 7; the axes are a, b, c, d, e, f, g, h"),
    (lambda g: g.plot(["a", "z"]), ArgumentError, "axes: 'z' is neither an axis name nor 0 to 7; the axes are a, b, c, d, e, f, g, h"),
    (lambda g: g.plot(3), TypeError, "axes: expected two axis names or numbers, got int"),
    (lambda g: g.plot("ab"), TypeError, "axes: expected two axis names or numbers, got str"),
    (lambda g: distances(ZERO, [ZERO], [0.0]), TypeError, "out: expected a float32 array of shape (1,), got list; np.empty((1,), np.float32) makes one"),
    (lambda g: distances(ZERO, [ZERO], np.zeros(1)), TypeError, "out: expected float32, got dtype float64; np.empty((1,), np.float32) makes one"),
    # values
    (lambda g: g.nearest([[0] * 8, [0] * 7 + [np.nan]]), ArgumentError, "q: row 1, axis 7: coordinate NaN is not finite or beyond 2^61"),
    (lambda g: g.nearest(np.full((1, 8), 1e300)), ArgumentError, "q: row 0, axis 0: coordinate inf is not finite or beyond 2^61"),
    (lambda g: g.insert(9, [0, 0, np.inf, 0, 0, 0, 0, 0]), ArgumentError, "position: row 0, axis 2: coordinate inf is not finite or beyond 2^61"),
    (lambda g: g.insert(9, ZERO, field_radius=-1), ArgumentError, "field_radius: row 0: field radius -1 is out of range"),
    (lambda g: g.insert(2**64 - 1, ZERO), ArgumentError, "id: row 0: id 18446744073709551615 is reserved"),
    (lambda g: g.nearest(ZERO, 0), ArgumentError, "k: expected 1 or more, got 0"),
    (lambda g: g.nearest(ZERO, -3), ArgumentError, "k: expected 1 or more, got -3"),
    (lambda g: g.within(ZERO, 1, limit=-1), ArgumentError, "limit: expected 0 or more, got -1"),
    (lambda g: g.within(ZERO, -1), ArgumentError, "radius: radius -1 is not a usable radius"),
    (lambda g: g.within(ZERO, np.nan), ArgumentError, "radius: radius NaN is not a usable radius"),
    (lambda g: g.nearest([ZERO], threads=0), ArgumentError, "threads: expected 1 or more, or None for all, got 0"),
    (lambda g: g.nearest(ZERO, axes=["zz"]), ArgumentError, 'axes: no axis is named "zz"; the axes are a, b, c, d, e, f, g, h'),
    (lambda g: g.nearest(ZERO, axes=[8]), ArgumentError, "axes: axis 8 does not exist, axes are 0 to 7; the axes are a, b, c, d, e, f, g, h"),
    (lambda g: g.nearest(ZERO, axes=[]), ArgumentError, "axes: no axis is chosen, or every chosen axis has scale 0; the axes are a, b, c, d, e, f, g, h"),
    (lambda g: g.nearest(ZERO, axes=[1.5]), ArgumentError, "axes: 1.5 is neither an axis name nor 0 to 7"),
    (lambda g: g.nearest(ZERO, scales=[-1] + [1] * 7), ArgumentError, "scales: axis 0: scale -1 is negative, not finite or beyond 2^61"),
    (lambda g: g.nearest(ZERO, scales={"q": 1}), ArgumentError, 'scales: no axis is named "q"; the axes are a, b, c, d, e, f, g, h, axes=[...] names them'),
    (lambda g: g.nearest(ZERO, scales={1: 1}), ArgumentError, "scales: 1 is not an axis name"),
    (lambda g: g.box([1] * 8, [0] * 8), ArgumentError, "lo: axis 0: box from 1 to 0 is empty or not a number"),
    (lambda g: g.cell_of(np.zeros((2, 8))), ArgumentError, "position: expected shape (8,), got (2, 8); one coordinate per axis"),
    (lambda g: g.cells_of([[0.0] * 8, [np.nan] * 8]), ArgumentError, "positions: row 1, axis 0: coordinate NaN is not finite or beyond 2^61"),
    (lambda g: g.cell((2**40,) * 8), ArgumentError, "cell: axis 0: no cell has the coordinate 1099511627776"),
    (lambda g: g.cell([2**40] * 8), ArgumentError, "cell: axis 0: no cell has the coordinate 1099511627776"),
    (lambda g: g.connections(1, 1, falloff="cubic"), ArgumentError, "falloff: \"cubic\" is none of 'linear', 'quadratic', 'gaussian'"),
    (lambda g: g.remove(-1), ArgumentError, "id: -1 is not an id: ids are 0 to 2**64 - 2"),
    (lambda g: g.remove([1, -1]), ArgumentError, "id: row 1: id -1 is negative"),
    (lambda g: g.insert(2**64, ZERO), ArgumentError, "id: 18446744073709551616 is not an id: ids are 0 to 2**64 - 2"),
    (lambda g: g.get(-1), ArgumentError, "id: -1 is not an id: ids are 0 to 2**64 - 2"),
    (lambda g: g.connections(-1, 1), ArgumentError, "id: -1 is not an id: ids are 0 to 2**64 - 2"),
    (lambda g: g.get("1"), TypeError, "id: expected an integer, got str"),
    (lambda g: g.insert_batch([4, 2**64], np.zeros((2, 8))), ArgumentError, "ids: row 1: 18446744073709551616 is not an id: ids are 0 to 2**64 - 2"),
    (lambda g: g.nearest(ZERO, where=[1, -1, 2**63]), ArgumentError, "where: row 1: -1 is not an id: ids are 0 to 2**64 - 2"),
    (lambda g: g.nearest(ZERO, where=[1, 9]), UnknownTokenError, "where: no token has id 9"),
    (lambda g: g.nearest(ZERO, exclude=[9]), UnknownTokenError, "exclude: no token has id 9"),
    (lambda g: g.connect(k=1, where=[9]), UnknownTokenError, "where: no token has id 9"),
    (lambda g: g.insert_batch([9, 9], np.zeros((2, 8))), DuplicateTokenError, "ids: row 1: id 9 is a duplicate"),
    (lambda g: g.move([1, 1], np.zeros((2, 8))), DuplicateTokenError, "id: row 1: id 1 is a duplicate"),
    (lambda g: g.move(1, [np.nan] * 8), ArgumentError, "position: row 0, axis 0: coordinate NaN is not finite or beyond 2^61"),
    (lambda g: g.insert_batch([9], np.full((1, 8), np.nan)), ArgumentError, "positions: row 0, axis 0: coordinate NaN is not finite or beyond 2^61"),
    (lambda g: g.within(ZERO, "x"), TypeError, "radius: expected a number, got str"),
    (lambda g: g.within(ZERO, 10**400), ArgumentError, f"radius: {10**400} is beyond the range of float32"),
    (lambda g: g.connections(1, -1), ArgumentError, "radius: radius -1 is not a usable radius"),
    (lambda g: g.density(ZERO, 0), ArgumentError, "radius: radius 0 is not a usable radius"),
    (lambda g: g.connect(radius=-1), ArgumentError, "radius: radius -1 is not a usable radius"),
    (lambda g: g.nearest(ZERO, within=-1), ArgumentError, "within: radius -1 is not a usable radius"),
    (lambda g: g.connect(k=1, within=-1), ArgumentError, "within: radius -1 is not a usable radius"),
    (lambda g: g.connect(radius=1, within=1), ArgumentError, "within: it goes with k=...; with radius=... that is the bound"),
    (lambda g: g.connect(k=1, limit=1), ArgumentError, "limit: it goes with radius=..."),
    (lambda g: g.connect(k=1, sort=False), ArgumentError, "sort: it goes with radius=..."),
    (lambda g: g.nearest([ZERO], threads=-1), ArgumentError, "threads: expected 1 or more, or None for all, got -1"),
    (lambda g: g.nearest(ZERO, k="x"), TypeError, "k: expected an integer, got str"),
    (lambda g: g.set_cache_capacity(-1), ArgumentError, "connections: expected 0 or more, got -1"),
    (lambda g: g.cell(np.array([2**63] * 8, np.uint64)), ArgumentError, "cell: axis 0: no cell has the coordinate 9223372036854775808"),
    (lambda g: g.nearest(np.ma.masked_equal(np.eye(8), 1)), ArgumentError, "q: masked entries have no value; fill them with .filled(...) or drop their rows"),
    (lambda g: g.remove(np.ma.masked_equal([1, 2], 2)), ArgumentError, "id: masked entries have no value; fill them with .filled(...) or drop their rows"),
    (lambda g: g.influence(np.where(np.arange(800).reshape(100, 8) == 320, np.nan, 0)), ArgumentError, "points: row 40, axis 0: coordinate NaN is not finite or beyond 2^61"),
    (lambda g: TokenGrid(metric=np.eye(8), scales=[2] * 8), ArgumentError, "scales: the Mahalanobis distance has no axes or scales to choose"),
    (lambda g: TokenGrid(metric=np.eye(8)).nearest(ZERO, axes=["x0"]), ArgumentError, "axes: the Mahalanobis distance has no axes or scales to choose"),
    (lambda g: distances(ZERO + np.inf, [ZERO]), ArgumentError, "q: row 0, axis 0: coordinate inf is not finite or beyond 2^61"),
    (lambda g: pairwise([ZERO, ZERO + np.inf], [ZERO]), ArgumentError, "p: row 1, axis 0: coordinate inf is not finite or beyond 2^61"),
    (lambda g: g.plot(["nope", "a"]), ArgumentError, "axes: 'nope' is neither an axis name nor 0 to 7; the axes are a, b, c, d, e, f, g, h"),
    (lambda g: g.plot([-1, 0]), ArgumentError, "axes: -1 is neither an axis name nor 0 to 7; the axes are a, b, c, d, e, f, g, h"),
    (lambda g: g.plot([9, 0]), ArgumentError, "axes: 9 is neither an axis name nor 0 to 7; the axes are a, b, c, d, e, f, g, h"),
    (lambda g: TokenGrid(cell_size=0), ArgumentError, "cell_size: cell size 0 is not positive and finite"),
    (lambda g: TokenGrid(axes=["a"] * 8), ArgumentError, 'axes: axis 1: name "a" is empty or taken'),
    (lambda g: TokenGrid(axes=["a"]), ArgumentError, "axes: expected eight names, got 1"),
    (lambda g: TokenGrid(scales=[0] * 8), ArgumentError, "scales: no axis is chosen, or every chosen axis has scale 0"),
    (lambda g: TokenGrid(metric="cosine"), ArgumentError, "metric: \"cosine\" is none of 'euclidean', 'squared_euclidean', 'manhattan', 'chebyshev', 'mahalanobis', nor a covariance of shape (8, 8)"),
    (lambda g: TokenGrid(metric="mahalanobis"), ArgumentError, "metric: without positions 'mahalanobis' needs a covariance: metric=<(8, 8) array>"),
    (lambda g: TokenGrid(metric=-np.eye(8)), ArgumentError, "metric: the covariance is not symmetric positive definite"),
    (lambda g: distances(ZERO, [ZERO], np.zeros(2, np.float32)), ArgumentError, "out: expected shape (1,), got (2,); np.empty((1,), np.float32) makes one"),
    (lambda g: pairwise([ZERO], [ZERO] * 2, np.zeros((1, 4), np.float32)[:, ::2]), ArgumentError, "out: expected a writable array in C order; np.empty((1, 2), np.float32) makes one"),
    (lambda g: simd_level("mmx"), ArgumentError, 'level: instruction level "mmx" is unknown or not available on this processor'),
]


@pytest.mark.parametrize(("ask", "kind", "message"), REFUSED, ids=[f"{at} {message[:90]}" for at, (_, _, message) in enumerate(REFUSED)])
def test_refusals(tiny: TokenGrid, ask: Callable[[TokenGrid], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        ask(tiny)
    assert str(caught.value) == message
    if kind is ArgumentError:
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, OttavaError)
    assert sorted(tiny) == [1, 2, 3]


def test_a_read_only_out_is_refused() -> None:
    out = np.zeros(1, np.float32)
    out.flags.writeable = False
    with pytest.raises(ArgumentError, match="out: expected a writable array"):
        distances(ZERO, [ZERO], out)


def test_an_out_that_is_an_input_is_refused() -> None:
    points = np.zeros((8, 8), np.float32)
    with pytest.raises(ArgumentError, match="^out: it overlaps an input"):
        pairwise(points, np.ones((8, 8), np.float32), out=points)


def test_what_is_taken_as_ids_and_counts(tiny: TokenGrid) -> None:
    far = [1, 2**63 + 1, 2**64 - 2]
    grid = TokenGrid.from_arrays(far, np.eye(8)[:3])
    assert sorted(grid) == far
    for where in (far[1:], tuple(far[1:]), set(far[1:]), np.array(far[1:], object), pa.array(far[1:], pa.uint64()), pl.Series(far[1:], dtype=pl.UInt64)):
        assert grid.nearest(ZERO, 2**70, where=where).ids.tolist() == far[1:]
        if not isinstance(where, pa.Array):
            assert grid.nearest(ZERO, 3, exclude=where).ids.tolist() == far[:1]
    grid.remove(far[1:])
    assert list(grid) == [1]
    changed = TokenGrid.from_arrays([1, 2, 3, 4], np.eye(8)[:4])
    changed.remove({1, 2})
    changed.remove(dict.fromkeys([3]).keys())
    assert list(changed) == [4]
    assert tiny.nearest(ZERO, where=frozenset({3})).ids.tolist() == [3]
    assert tiny.nearest(ZERO, 3, where={1: "a", 3: "b"}.keys()).ids.tolist() == [1, 3]
    assert tiny.nearest(ZERO, 3, axes={0, "b"}, where={1, np.uint64(3)}).ids.tolist() == [3, 1]
    assert tiny.nearest(ZERO, 3, axes=np.array([0])).ids.tolist() == [2, 3, 1]
    assert tiny.within(ZERO, 1, sort=np.False_).ids.tolist() == [1, 2, 3]
    assert tiny.nearest(ZERO, where=pa.table({"id": [3]})).ids.tolist() == [3]
    assert tiny.nearest(ZERO, where=pl.DataFrame({"near": [False, True, False]})).ids.tolist() == [2]
    assert tiny.nearest(ZERO, where=pd.Series([False, True, False])).ids.tolist() == [2]
    assert tiny.nearest([ZERO], threads=2**70).ids.tolist() == [[1]]
    assert tiny.nearest([], 2).ids.shape == (0, 2)
    assert tiny.nearest(np.ma.masked_array(np.eye(8)), 1).ids.shape == (8, 1)


@pytest.mark.parametrize("true", [1, 2, 255])
def test_every_byte_but_zero_is_true(tiny: TokenGrid, true: int) -> None:
    for bytes, ids in (([0, 0, true], [3]), ([true, 0, 0], [1]), ([true, 0, true], [1, 3])):
        mask = np.array(bytes, np.uint8).view(bool)
        for where in (mask, np.repeat(mask, 2)[::2]):
            assert tiny.within(ZERO, 9, where=where).ids.tolist() == ids
            assert tiny.count_within(ZERO, 9, where=where) == len(ids)
            graph = tiny.connect(k=2, where=where)
            assert set(graph.ids[graph.indices].tolist()) <= set(ids)
    tiny_with_gaps = TokenGrid.from_arrays([1, 2, 3, 4], np.eye(8)[:4])
    tiny_with_gaps.remove(2)
    assert tiny_with_gaps.within(ZERO, 9, where=np.array([0, 0, true], np.uint8).view(bool)).ids.tolist() == [4]


def test_a_ragged_list_is_refused(tiny: TokenGrid) -> None:
    with pytest.raises(ArgumentError, match="q: expected an array of numbers, got list"):
        tiny.nearest([[0] * 8, [0] * 7])


def test_wrong_keywords_are_type_errors(tiny: TokenGrid) -> None:
    with pytest.raises(TypeError):
        tiny.nearest(ZERO, 1, 2)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        tiny.nearest(ZERO, k=1.5)
    with pytest.raises(TypeError):
        tiny.within(ZERO)


def test_kernels(cloud: np.ndarray) -> None:
    import oracle

    p, q = cloud[:30], cloud[100:170]
    for metric in ("euclidean", "squared_euclidean", "manhattan", "chebyshev"):
        expected = np.stack([oracle.distances(row, q, metric=metric) for row in p])
        np.testing.assert_array_equal(pairwise(p, q, metric=metric), expected)
        np.testing.assert_array_equal(distances(p[0], q, metric=metric), expected[0])
        assert distance(p[0], q[0], metric=metric) == expected[0, 0]
    out = np.empty((30, 70), np.float32)
    assert pairwise(p, q, out) is out
    large = np.resize(cloud, (3_000, 8))  # in blocks
    np.testing.assert_array_equal(pairwise(large, large)[-7:], pairwise(large[-7:], large))
    np.testing.assert_array_equal(out, pairwise(p.astype(np.float64), q))
    column = np.empty(70, np.float32)
    assert distances(p[3], q, out=column) is column
    np.testing.assert_array_equal(column, out[3])
    np.testing.assert_allclose(
        distance(p[0], q[0], metric=np.diag(np.arange(1, 9.0))),
        np.sqrt((((p[0] - q[0]).astype(np.float64)) ** 2 / np.arange(1, 9)).sum()),
        rtol=1e-5,
    )


def test_how_a_grid_looks(grid: TokenGrid) -> None:
    text = repr(grid)
    assert text.startswith("<ottava.TokenGrid tokens: 5,000; metric: euclidean; cell size: ")
    assert "x7" in text
    assert "memory: " in text
    named = TokenGrid.from_arrays([1], [[0] * 8], axes=["<b>", *"bcdefgh"])
    assert "&lt;b&gt; 0.0000 to 0.0000" in named._repr_html_()
    assert repr(TokenGrid()) == "<ottava.TokenGrid tokens: 0; metric: euclidean; cell size: 1; memory: " + repr(TokenGrid()).split("memory: ")[1]


def test_plots(grid: TokenGrid) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    ax = grid.plot()
    assert ax.get_xlabel() == "first principal component"
    assert len(ax.collections[0].get_offsets()) == len(grid)
    ax = grid.plot(["x1", np.int64(4)], ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x1", "x4")
    with pytest.raises(ValueError, match="axes: expected two axis names or numbers"):
        grid.plot(["x1"])
    rng = np.random.default_rng(0)
    many = TokenGrid.from_arrays(np.arange(30_000), rng.random((30_000, 8)))
    assert many.plot(("x0", "x1")).get_title() == "30,000 tokens"
    TokenGrid().plot()
    plt.close("all")


def test_public_names() -> None:
    import ottava.spatial as spatial

    for name in spatial.__all__:
        assert getattr(spatial, name) is not None
    assert ottava.TokenGrid is spatial.TokenGrid
    assert TokenGrid.__module__ == "ottava"


def test_help_is_what_the_stub_says() -> None:
    import ast
    import inspect

    import ottava.spatial as spatial

    stub = ast.parse(Path(ottava.__file__).with_name("_native.pyi").read_text())
    grid = next(node for node in stub.body if isinstance(node, ast.ClassDef) and node.name == "TokenGrid")
    assert inspect.getdoc(TokenGrid) == ast.get_docstring(grid)
    for owner, body in ((TokenGrid, grid.body), (spatial, stub.body)):
        texts = {node.name: ast.get_docstring(node) for node in body if isinstance(node, ast.FunctionDef)}
        names = [name for name in texts if not name.startswith("_") and hasattr(owner, name)]
        assert {"nearest", "within", "open", "ids"} <= set(names) or {"distance", "pairwise"} <= set(names)
        for name in names:
            assert texts[name], name
            assert inspect.getdoc(getattr(owner, name)) == texts[name], name


class Interrupting:
    """Raises something that is no complaint about the value."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __index__(self) -> int:
        raise self.error("from the object")

    __float__ = __index__


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_a_conversion_raises_is_passed_on(error: type[BaseException], grid: TokenGrid) -> None:
    bad: Any = Interrupting(error)
    q = np.zeros(8)
    calls: list[Callable[[], object]] = [
        lambda: bad in grid,
        lambda: grid.get(bad),
        lambda: grid.remove(bad),
        lambda: grid.remove([1, bad]),
        lambda: grid.rows([bad]),
        lambda: grid.nearest(q, bad),
        lambda: grid.nearest(q, 1, exclude=[bad]),
        lambda: grid.nearest(q, 1, within=bad),
        lambda: grid.nearest(q[None], 1, threads=bad),
        lambda: grid.within(q, bad),
        lambda: grid.within(q, 1.0, limit=bad),
        lambda: grid.connect(k=bad),
        lambda: grid.connect(radius=bad),
        lambda: TokenGrid(cell_size=bad),
    ]
    for call in calls:
        with pytest.raises(error, match="from the object"):
            call()


def test_a_count_that_only_has_an_index_is_named() -> None:
    class Huge:
        def __index__(self) -> int:
            return -(10**30)

    bad: Any = Huge()
    with pytest.raises(ArgumentError, match="^k: expected 1 or more"):
        TokenGrid().nearest(np.zeros(8), bad)


def test_a_negative_number_too_small_for_float32_is_negative(grid: TokenGrid) -> None:
    with pytest.raises(ArgumentError, match="radius"):
        grid.within(np.zeros(8), -1e-50)
    with pytest.raises(ArgumentError, match="within"):
        grid.nearest(np.zeros(8), within=-1e-50)
    assert len(grid.within(np.zeros(8), -0.0).ids) == len(grid.within(np.zeros(8), 0.0).ids)


def test_no_array_at_all_is_named_by_its_type(grid: TokenGrid) -> None:
    for bad in (None, (x for x in range(8)), {1.0}):
        with pytest.raises(TypeError, match="^q: expected real numbers, got (NoneType|generator|set)$"):
            grid.nearest(bad)
