"""The token grid: exact neighbors, connections and fields of tokens in eight dimensions, live.

A token has an id, a position (eight float32 coordinates), a weight and a field. Distances are scaled: `d(p, q)` is the norm of
`scales * (p - q)` along the chosen axes. Every answer is exact, ties are broken by id, and no answer depends on the number of
threads or on the processor.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

from ottava._native import Filter, Table, TokenGrid, distance, distances, pairwise, simd_level

if TYPE_CHECKING:
    import networkx
    import numpy as np
    import numpy.typing as npt
    import scipy.sparse

__all__ = [
    "MISSING",
    "CacheStats",
    "Cells",
    "Connections",
    "Filter",
    "Graph",
    "Neighbors",
    "Ragged",
    "Table",
    "Token",
    "TokenGrid",
    "distance",
    "distances",
    "pairwise",
    "simd_level",
]

MISSING = 2**64 - 1
"""The id in the place of a neighbor that does not exist; no token can have it. Its distance is infinite."""


class Token(NamedTuple):
    """One record of a grid."""

    id: int
    position: npt.NDArray[np.float32]
    """Shape (8,)."""
    weight: float
    field_radius: float
    field_strength: float


class Neighbors(NamedTuple):
    """Tokens found, by ascending distance, ties by id.

    For one query point both arrays have shape (m,), with m at most k. For n points they have shape (n, k'), where k' is the smaller of
    k and the number of tokens; where a row has fewer neighbors, the rest is filled with the id `MISSING` and an infinite distance.
    """

    ids: npt.NDArray[np.uint64]
    distances: npt.NDArray[np.float32]


class Ragged(NamedTuple):
    """Answers of different lengths: that of query i is `indptr[i]:indptr[i + 1]` of the other two."""

    indptr: npt.NDArray[np.int64]
    """Shape (n + 1,)."""
    ids: npt.NDArray[np.uint64]
    distances: npt.NDArray[np.float32]

    def row(self, i: SupportsIndex) -> Neighbors:
        """The answer of query i; a negative one counts from the end. `IndexError` if there is none."""
        at, n = operator.index(i), len(self.indptr) - 1
        if not -n <= at < n:
            raise IndexError(f"i: there is no row {at}, there are {n}")
        at %= n
        part = slice(self.indptr[at], self.indptr[at + 1])
        return Neighbors(self.ids[part], self.distances[part])


class Connections(NamedTuple):
    """What a token is connected to, by ascending distance, ties by id: three arrays of shape (m,), read-only."""

    ids: npt.NDArray[np.uint64]
    distances: npt.NDArray[np.float32]
    strengths: npt.NDArray[np.float32]
    """Weight of the other token times the falloff over the radius."""


class Cells(NamedTuple):
    """Occupied cells, in ascending order of their coordinates."""

    cells: npt.NDArray[np.int32]
    """Shape (m, 8)."""
    counts: npt.NDArray[np.int64]
    """Tokens in each cell, shape (m,)."""


class CacheStats(NamedTuple):
    """What the cache of `TokenGrid.connections` did since the grid was made, and what it holds."""

    hits: int
    """Calls answered from it."""
    misses: int
    """Calls that looked for an answer."""
    invalidated: int
    """Answers dropped: a token in or near their ball changed, or so much changed elsewhere that looking anew was quicker."""
    entries: int
    """Answers held now."""
    connections: int
    """Connections held now: those of all answers, and one more for each answer."""
    capacity: int
    """The most connections to hold, 16 bytes each; 4,194,304 by default, 0 if the cache is off."""


class Graph(NamedTuple):
    """Connections of all tokens, in compressed sparse rows: those of token `ids[i]` are `indptr[i]:indptr[i + 1]` of the last three."""

    ids: npt.NDArray[np.uint64]
    """The token of each row, shape (n,), in the order of `grid.ids`."""
    indptr: npt.NDArray[np.int64]
    """Shape (n + 1,)."""
    indices: npt.NDArray[np.uint32]
    """The row of the other token, shape (m,)."""
    distances: npt.NDArray[np.float32]
    """Shape (m,)."""
    strengths: npt.NDArray[np.float32]
    """Shape (m,)."""

    def to_scipy(self, values: str = "distances") -> scipy.sparse.csr_array:
        """A scipy CSR array of shape (n, n) of `"distances"` or `"strengths"`, a copy; needs scipy.

        It holds no memory of the graph, because scipy sorts its rows in place when it sums them, say.
        """
        from scipy.sparse import csr_array

        if values not in ("distances", "strengths"):
            raise ValueError(f"values: {values!r} is neither 'distances' nor 'strengths'")
        n = len(self.ids)
        parts = (getattr(self, values), self.indices.astype("int64"), self.indptr)
        return csr_array(parts, shape=(n, n), copy=True)

    def to_networkx(self) -> networkx.DiGraph[int]:
        """A networkx graph whose nodes are token ids, with `distance` and `strength` on each edge; needs networkx."""
        import networkx as nx

        ids = self.ids.tolist()
        sources = (i for i, (a, b) in enumerate(zip(self.indptr, self.indptr[1:], strict=False)) for _ in range(b - a))
        edges = zip(sources, self.indices.tolist(), self.distances.tolist(), self.strengths.tolist(), strict=True)
        graph: networkx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(ids)
        graph.add_edges_from((ids[i], ids[j], {"distance": d, "strength": s}) for i, j, d, s in edges)
        return graph
