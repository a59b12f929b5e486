"""The native half of ottava. Private: import from `ottava` and its modules."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import (
    Any,
    Literal,
    Protocol,
    SupportsFloat,
    SupportsIndex,
    TypeAlias,
    final,
    overload,
    type_check_only,
)

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from typing_extensions import Self, disjoint_base

from ottava.errors import Issues
from ottava.spatial import CacheStats, Cells, Connections, Graph, Neighbors, Ragged, Token

__all__ = [
    "ArrowResult",
    "BatchResult",
    "Filter",
    "HandoverClient",
    "HandoverParcel",
    "HandoverReceipt",
    "HandoverSegment",
    "HandoverServer",
    "HandoverTable",
    "IngestReport",
    "IssueList",
    "ModelBase",
    "ModelMeta",
    "Plan",
    "Schema",
    "SchemaLock",
    "StreamJob",
    "StreamLines",
    "Table",
    "TokenGrid",
    "TokenStore",
    "__version__",
    "assign",
    "complete",
    "construct",
    "distance",
    "distances",
    "fields_set",
    "frozen_error",
    "get_state",
    "lay_out",
    "model_validate",
    "model_validate_batch",
    "model_validate_json",
    "pairwise",
    "plan_of",
    "read_arrow",
    "same",
    "schema_of",
    "set_state",
    "simd_level",
    "stream_consume",
    "stream_count_lines",
    "stream_lines",
    "stream_pump",
    "to_arrow",
    "validate_ndjson",
]

__version__: str

# Streams: jobs that run in a thread of their own. `ottava.streams` is their public face.

@final
class StreamJob:
    def fileno(self) -> int: ...
    def progress(self) -> int: ...
    def cancel(self) -> None: ...
    def wait(self, seconds: float) -> bool: ...
    def result(self) -> tuple[Any, ...]: ...
    def close(self) -> None: ...

@final
class StreamLines:
    def fileno(self) -> int: ...
    def cancel(self) -> None: ...
    def next(self, seconds: float) -> Any: ...
    def report(self) -> tuple[int, int, float, float, list[tuple[int, int | None, float]]] | None: ...
    def close(self) -> None: ...

def stream_pump(
    reader: int,
    writers: Sequence[int],
    *,
    buffer_size: int,
    pipe_size: int,
    drain: bool,
    limit: int | None,
    allow_aliasing: bool,
    in_kernel: bool,
) -> StreamJob: ...
def stream_consume(
    reader: int,
    writers: Sequence[int],
    *,
    errors: str | None,
    buffer_size: int,
    pipe_size: int,
    limit: int | None,
) -> StreamJob: ...
def stream_count_lines(reader: int, *, buffer_size: int, pipe_size: int) -> StreamJob: ...
def stream_lines(
    reader: int,
    writers: Sequence[int],
    *,
    encoding: str,
    errors: str,
    blob: bool,
    max_line: int,
    buffer_size: int,
    pipe_size: int,
) -> StreamLines: ...

# Arrow and the token grid. `ottava.spatial` is their public face.

@final
class Table:
    """An Arrow table: record batches of one schema, for any library that reads the Arrow C stream interface.

    `pyarrow.table(t)` and `polars.DataFrame(t)` take it as it is, without copies.
    """

    @property
    def num_rows(self) -> int: ...
    @property
    def num_columns(self) -> int: ...
    @property
    def column_names(self) -> list[str]: ...
    def __len__(self) -> int: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

_Metric: TypeAlias = (
    Literal["euclidean", "squared_euclidean", "manhattan", "chebyshev", "mahalanobis"] | npt.ArrayLike
)
_Falloff: TypeAlias = Literal["linear", "quadratic", "gaussian"]
# What Python and numpy take for a number, a whole one, and a boolean.
_Real: TypeAlias = SupportsFloat | SupportsIndex
_Whole: TypeAlias = SupportsIndex
_Flag: TypeAlias = bool | np.bool_
_Axes: TypeAlias = str | Iterable[str | SupportsIndex]
_Scales: TypeAlias = npt.ArrayLike | Mapping[str, _Real]
_Where: TypeAlias = Filter | npt.ArrayLike | SupportsArrow | AbstractSet[SupportsIndex]
_Ids: TypeAlias = npt.ArrayLike | AbstractSet[SupportsIndex]
_OnDuplicate: TypeAlias = Literal["error", "replace", "skip"]
# What is known to be one point, or several. An array may be either, which its type does not say for sure: the answer is `Any`.
_One: TypeAlias = Sequence[float]
_Many: TypeAlias = Sequence[Sequence[float]] | Sequence[npt.NDArray[Any]]

@type_check_only
class SupportsArrow(Protocol):
    """Anything that speaks the Arrow C data interface."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...

@final
class Filter:
    """A set of tokens of a grid in its present state, made by `TokenGrid.filter`; its length is their number."""

    def __len__(self) -> int: ...

@final
class TokenGrid:
    """A live set of tokens in eight dimensions: each has an id, a position, a weight and a field.

    Parameters
    ----------
    cell_size
        Edge of a cell in scaled units; by default chosen from the data of the bulk load, 1 for an empty grid.
    scales
        Factors of the axes in the distance: eight numbers, or a mapping from axis names (others keep 1). 0 drops an axis.
    axes
        Names of the eight axes; `x0` to `x7` by default.
    metric
        A name, or a covariance of shape (8, 8) for the Mahalanobis distance; `"mahalanobis"` takes it from the tokens loaded.

    Points are arrays of shape (8,) or (n, 8). float32 in C order is read in place; float64, integers, other layouts and sequences
    are converted to float32 first. Ids are integers from 0 to 2**64 - 2.

    A grid may be used by several threads at once. Queries run side by side, a change waits for them and then runs alone. Long
    calls release the interpreter. Batches of queries, `connect`, `pairwise`, a bulk load, `optimize` and `save` end on Ctrl-C, and so does
    whatever waits for another thread's call; a query of one point, a change and `occupied_cells` run to their end first.

    Errors: `ArgumentError` (a ValueError) names the argument, row and axis; `TypeError` the argument; `UnknownTokenError` (a KeyError);
    `DuplicateTokenError` (a ValueError). A call that raises has changed nothing.
    """

    def __new__(
        cls,
        cell_size: _Real | None = None,
        scales: _Scales | None = None,
        axes: Sequence[str] | None = None,
        metric: _Metric | None = None,
    ) -> Self: ...
    @staticmethod
    def from_arrays(
        ids: npt.ArrayLike,
        positions: npt.ArrayLike,
        *,
        weight: npt.ArrayLike | None = None,
        field_radius: npt.ArrayLike | None = None,
        field_strength: npt.ArrayLike | None = None,
        cell_size: _Real | None = None,
        scales: _Scales | None = None,
        axes: Sequence[str] | None = None,
        metric: _Metric | None = None,
        on_duplicate: _OnDuplicate = "error",
    ) -> TokenGrid:
        """Bulk load: the fastest way to fill a grid, and to query it after.

        `ids` has shape (n,), whole numbers; `positions` shape (n, 8). `weight` (1 by default), `field_radius` and `field_strength` (0)
        are one number or have shape (n,), float32. A repeated id is a `DuplicateTokenError`, or the last (`"replace"`) or first
        (`"skip"`) row counts. The other arguments are those of `TokenGrid`.
        """

    @staticmethod
    def from_arrow(
        table: SupportsArrow,
        *,
        id: str,
        positions: str | Sequence[str] | npt.ArrayLike,
        weight: _Real | str | npt.ArrayLike | None = None,
        field_radius: _Real | str | npt.ArrayLike | None = None,
        field_strength: _Real | str | npt.ArrayLike | None = None,
        cell_size: _Real | None = None,
        scales: _Scales | None = None,
        axes: Sequence[str] | None = None,
        metric: _Metric | None = None,
        on_duplicate: _OnDuplicate = "error",
    ) -> TokenGrid:
        """Bulk load from an Arrow table: anything with `__arrow_c_stream__` or `__arrow_c_array__`.

        `id` names the column of ids. `positions` is eight column names, which then name the axes too; or the name of a column of
        fixed-size lists of eight; or an array of shape (n, 8). The attributes are a number, a column name or an array. All columns
        are carried along without a copy and given back by `rows`. Nulls in the columns used here are an `ArgumentError` that names the
        row, as is a name that two columns have; a column of another type is a `TypeError`. The other arguments are those of
        `from_arrays`.
        """

    def insert(
        self,
        id: _Whole,
        position: npt.ArrayLike,
        weight: _Real = 1.0,
        field_radius: _Real = 0.0,
        field_strength: _Real = 0.0,
        *,
        on_duplicate: _OnDuplicate = "error",
    ) -> None:
        """Adds a token at a position of shape (8,).

        If the id is taken: `DuplicateTokenError`; with `on_duplicate="replace"` the token takes the place of the old one, weight and
        field included; with `"skip"` nothing happens. `ArgumentError` for an id beyond 2**64 - 2, a coordinate, weight or field that is
        not finite or beyond 2**61, or a negative field radius.
        """

    def insert_batch(
        self,
        ids: npt.ArrayLike,
        positions: npt.ArrayLike,
        *,
        weight: npt.ArrayLike | None = None,
        field_radius: npt.ArrayLike | None = None,
        field_strength: npt.ArrayLike | None = None,
        on_duplicate: _OnDuplicate = "error",
    ) -> int:
        """Adds many tokens, or none if one is refused; returns how many were inserted or replaced.

        Arguments and errors are those of `from_arrays` and `insert`; errors name the row.
        """

    def remove(self, id: _Ids) -> None:
        """Removes a token, or many (shape (n,), or a set), or none if one is unknown (`UnknownTokenError`) or comes twice."""

    def move(self, id: npt.ArrayLike, position: npt.ArrayLike) -> None:
        """Moves a token to a position of shape (8,), or many, shape (n,), to the rows of one of shape (n, 8).

        All or none: `UnknownTokenError` for an unknown id, `DuplicateTokenError` for one that comes twice, `ArgumentError` for a bad
        coordinate. Nobody sees a token at neither place. Weight and field stay.
        """

    def get(self, id: _Whole) -> Token:
        """The token with this id: `Token(id, position, weight, field_radius, field_strength)`, the position of shape (8,), float32.

        `UnknownTokenError` if there is none.
        """

    def __contains__(self, id: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[int]:
        """The ids."""

    def __reduce__(self) -> tuple[Any, tuple[bytes]]: ...
    @classmethod
    def _from_snapshot(cls, bytes: bytes) -> TokenGrid: ...
    def _repr_html_(self) -> str: ...
    @property
    def ids(self) -> npt.NDArray[np.uint64]:
        """All ids, shape (n,), uint64. `positions`, `rows()`, masks and `connect` have the same order; any change may change it."""

    @property
    def positions(self) -> npt.NDArray[np.float32]:
        """All positions, shape (n, 8), float32, before scaling, in the order of `ids`."""

    @property
    def scales(self) -> npt.NDArray[np.float32]:
        """The scale of each axis, shape (8,), float32."""

    @property
    def axes(self) -> list[str]:
        """The names of the eight axes."""

    @property
    def metric(self) -> str:
        """The name of the metric."""

    @property
    def bounds(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
        """The lowest and highest coordinates, each of shape (8,), float32; None for an empty grid."""

    @property
    def memory(self) -> dict[str, int]:
        """Bytes allocated: `tokens`, `index`, `cells`, `cache`, and `columns`, those of a table carried along.

        Room for tokens that are inserted is made for 16,384 at a time: one takes as many bytes as so many. What a grid was opened from is not
        counted, columns until `rows` first asks for them.
        """

    @property
    def cell_size(self) -> float:
        """The edge of a cell, in scaled units."""

    def optimize(self) -> None:
        """Merges what was inserted since the bulk load into one tree, for the fastest queries."""

    def filter(self, where: _Where | None = None, *, exclude: _Ids | None = None) -> Filter:
        """A set of tokens to give many queries as their `where`; all tokens by default.

        `where` and `exclude` are as in `nearest`; a filter is made from them once, and not by every query. Any change of the grid makes
        it stale: `ArgumentError` then, and for another grid. `UnknownTokenError` for an id that no token has.
        """

    def rows(self, ids: npt.ArrayLike | None = None) -> Table:
        """The carried columns of these tokens, in this order; of all tokens, in the order of `ids`, by default.

        A token that was inserted after the table was loaded has its id and nulls; where the id column is too narrow for such an id, it
        becomes one of unsigned 64-bit integers. Without a table the columns are `id` (uint64), one for each axis, `weight`,
        `field_radius`, `field_strength` (float32). `UnknownTokenError` for an unknown id.
        """

    def nearest(
        self,
        q: npt.ArrayLike,
        k: _Whole = 1,
        *,
        axes: _Axes | None = None,
        scales: _Scales | None = None,
        within: _Real | None = None,
        where: _Where | None = None,
        exclude: _Ids | None = None,
        threads: _Whole | None = None,
    ) -> Neighbors:
        """The k nearest tokens, exact, by ascending distance, ties by id; fewer if there are fewer.

        `axes` measures along these axes only, by name or number; `scales` replaces scales of the grid; `within` is the largest
        distance, inclusive. `where` admits some tokens only: a boolean mask of shape (n,) in the order of `grid.ids`, or ids; both may be
        an Arrow column, in which a null admits nothing, ids a set too; or what `filter` has made of them. `exclude` leaves ids out.
        `threads` is at most how many to use for many points: all by default.

        For one point: ids (uint64) and distances (float32) of shape (m,), m at most k. For n points: shape (n, k'), where k' is the
        smaller of k and the number of tokens, missing ones filled with the id `MISSING` and an infinite distance.

        `ArgumentError` names the argument; `UnknownTokenError` for an id in `where` or `exclude` that no token has.
        """

    @overload
    def within(
        self,
        q: _One,
        radius: _Real,
        *,
        limit: _Whole | None = None,
        sort: _Flag = True,
        axes: _Axes | None = None,
        scales: _Scales | None = None,
        where: _Where | None = None,
        exclude: _Ids | None = None,
        threads: _Whole | None = None,
    ) -> Neighbors: ...
    @overload
    def within(
        self,
        q: _Many,
        radius: _Real,
        *,
        limit: _Whole | None = None,
        sort: _Flag = True,
        axes: _Axes | None = None,
        scales: _Scales | None = None,
        where: _Where | None = None,
        exclude: _Ids | None = None,
        threads: _Whole | None = None,
    ) -> Ragged: ...
    @overload
    def within(
        self,
        q: npt.ArrayLike,
        radius: _Real,
        *,
        limit: _Whole | None = None,
        sort: _Flag = True,
        axes: _Axes | None = None,
        scales: _Scales | None = None,
        where: _Where | None = None,
        exclude: _Ids | None = None,
        threads: _Whole | None = None,
    ) -> Any:
        """The tokens at most `radius` away: `Neighbors` for one point, `Ragged` for n.

        By ascending distance, ties by id, or with `sort=False` by id. `limit` keeps the nearest ones. The radius is inclusive, in the
        units of the metric, 0 or more. The rest is as in `nearest`. `Ragged` has `indptr`, shape (n + 1,), int64, beside ids and
        distances.
        """

    @overload
    def count_within(
        self,
        q: _One,
        radius: _Real,
        *,
        axes: _Axes | None = None,
        scales: _Scales | None = None,
        where: _Where | None = None,
        exclude: _Ids | None = None,
        threads: _Whole | None = None,
    ) -> int: ...
    @overload
    def count_within(
        self,
        q: _Many,
        radius: _Real,
        *,
        axes: _Axes | None = None,
        scales: _Scales | None = None,
        where: _Where | None = None,
        exclude: _Ids | None = None,
        threads: _Whole | None = None,
    ) -> npt.NDArray[np.uint64]: ...
    @overload
    def count_within(
        self,
        q: npt.ArrayLike,
        radius: _Real,
        *,
        axes: _Axes | None = None,
        scales: _Scales | None = None,
        where: _Where | None = None,
        exclude: _Ids | None = None,
        threads: _Whole | None = None,
    ) -> Any:
        """How many tokens are at most `radius` away: an int for one point, shape (n,), uint64, for n. As `within`."""

    def box(
        self,
        lo: npt.ArrayLike,
        hi: npt.ArrayLike,
        *,
        axes: _Axes | None = None,
        where: _Where | None = None,
        exclude: _Ids | None = None,
    ) -> npt.NDArray[np.uint64]:
        """The ids, ascending, uint64, of the tokens from corner `lo` to corner `hi`, both of shape (8,) and included.

        Coordinates are not scaled. `axes`, `where` and `exclude` are as in `nearest`. `ArgumentError` if a corner is not a number or
        `lo` is above `hi`.
        """

    def cell_of(self, position: npt.ArrayLike) -> tuple[int, int, int, int, int, int, int, int]:
        """The cell of a position of shape (8,): `floor(scale * coordinate / cell_size)` on each axis. It can be a key of a dict.

        With the Mahalanobis metric cells divide the whitened coordinates, in which distances are Euclidean, and not those of the
        position. What is beyond the range of int32 is in the outermost cell: positions far apart may share it.
        """

    def cells_of(self, positions: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """The cells of many positions, shape (n, 8), int32, as `cell_of` has them for one."""

    def cell(self, cell: npt.ArrayLike) -> npt.NDArray[np.uint64]:
        """The ids, ascending, uint64, of the tokens in a cell: eight integers name it, as from `cell_of`; floats are a position in it.

        The first call after a load makes an index of the cells, in time that grows with the number of tokens.
        """

    def occupied_cells(self) -> Cells:
        """The cells that hold tokens, shape (m, 8), int32, in ascending order, and how many each holds, shape (m,), int64.

        Like the first `cell`, it takes time that grows with the number of tokens.
        """

    def connections(
        self,
        id: _Whole,
        radius: _Real,
        *,
        limit: _Whole | None = None,
        sort: _Flag = True,
        falloff: _Falloff | None = None,
        axes: _Axes | None = None,
        scales: _Scales | None = None,
        where: _Where | None = None,
        exclude: _Ids | None = None,
    ) -> Connections:
        """The other tokens at most `radius` away from a token, with the strength of each connection.

        The strength is the weight of the other token times the falloff at `u = distance / radius`: `"linear"` 1 - u (the default),
        `"quadratic"` 1 - u**2, `"gaussian"` exp(-4.5 u**2). `limit` and `sort` are as in `within`, the rest as in `nearest`.

        Three read-only arrays of shape (m,): ids (uint64), distances and strengths (float32). Answers without `where` and `exclude` are
        cached until a change could alter them. `UnknownTokenError` if no token has the id.
        """

    def connect(
        self,
        *,
        radius: _Real | None = None,
        k: _Whole | None = None,
        within: _Real | None = None,
        limit: _Whole | None = None,
        sort: _Flag = True,
        falloff: _Falloff | None = None,
        axes: _Axes | None = None,
        scales: _Scales | None = None,
        where: _Where | None = None,
        exclude: _Ids | None = None,
        threads: _Whole | None = None,
    ) -> Graph:
        """Connects every token with all others within `radius`, or with its `k` nearest others.

        Either `radius`, with `limit` and `sort` as in `within`; or `k`, with `within` as in `nearest`. The strength is as in
        `connections`, with `k` over the radius `within`; without one there is nothing to fade over, it is the weight of the other
        token. `where` and `exclude` choose the other tokens. The answer is a `Graph` in compressed sparse rows.
        """

    def cache_stats(self) -> CacheStats:
        """What the cache of `connections` did so far, and what it holds: `CacheStats`."""

    def clear_cache(self) -> None:
        """Drops all cached connections; counts of `cache_stats` go on."""

    def set_cache_capacity(self, connections: _Whole) -> None:
        """Sets how many connections the cache holds at most, 16 bytes each: 4,194,304 by default; 0 turns it off.

        An answer counts as its connections and one more.
        """

    @overload
    def influence(
        self, points: _One, *, falloff: _Falloff | None = None, threads: _Whole | None = None
    ) -> float: ...
    @overload
    def influence(
        self, points: _Many, *, falloff: _Falloff | None = None, threads: _Whole | None = None
    ) -> npt.NDArray[np.float32]: ...
    @overload
    def influence(
        self, points: npt.ArrayLike, *, falloff: _Falloff | None = None, threads: _Whole | None = None
    ) -> Any:
        """The sum of the token fields at a point (a float) or at n points (shape (n,), float32).

        Points have shape (8,) or (n, 8). A token within its field radius r of the point, in scaled units, adds
        `weight * field_strength * f(distance / r)`, with f as in `connections`; one with a field radius of 0 adds nothing.
        """

    def influence_gradient(
        self, points: npt.ArrayLike, *, falloff: _Falloff | None = None, threads: _Whole | None = None
    ) -> npt.NDArray[np.float32]:
        """The gradient of `influence` by the coordinates: shape (8,), float32, for one point, (n, 8) for n.

        At the place of a token, where a linear field has a kink, that token adds 0.
        """

    @overload
    def density(
        self,
        points: _One,
        radius: _Real,
        *,
        axes: _Axes | None = None,
        scales: _Scales | None = None,
        where: _Where | None = None,
        exclude: _Ids | None = None,
        threads: _Whole | None = None,
    ) -> float: ...
    @overload
    def density(
        self,
        points: _Many,
        radius: _Real,
        *,
        axes: _Axes | None = None,
        scales: _Scales | None = None,
        where: _Where | None = None,
        exclude: _Ids | None = None,
        threads: _Whole | None = None,
    ) -> npt.NDArray[np.float64]: ...
    @overload
    def density(
        self,
        points: npt.ArrayLike,
        radius: _Real,
        *,
        axes: _Axes | None = None,
        scales: _Scales | None = None,
        where: _Where | None = None,
        exclude: _Ids | None = None,
        threads: _Whole | None = None,
    ) -> Any:
        """Tokens within `radius` over the volume of the ball, `pi**4 / 24 * radius**8` on eight axes.

        In scaled units, over the m axes measured and for the ball of the metric; a float for one point, shape (n,), float64, for n. The
        radius must be positive and finite (`ArgumentError`). The rest is as in `within`.
        """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a snapshot: tokens and index, checksummed. It is put in place at once: no reader sees half of it.

        The columns carried from an Arrow table are in it too, for the tokens that are there. A grid that was opened from a snapshot is
        verified first: `SnapshotError` if that one is damaged, and nothing is written. `OSError` if the file cannot be written.

        A file at the path is replaced, or the one that a symbolic link there leads to. Anything else is left as it is: `ArgumentError`
        for a pipe, a socket or a device, `IsADirectoryError` for a folder. Until the snapshot is whole it is `.ottava-*.tmp` beside its
        place; a process that is killed meanwhile leaves that behind, and it may be deleted.
        """

    @staticmethod
    def open(path: str | os.PathLike[str], mmap: _Flag = True, *, verify: _Flag | None = None) -> TokenGrid:
        """Opens a snapshot; mapped, it answers at once, whatever its size. Tokens inserted later are held in memory.

        `SnapshotError` for a damaged file or one of a newer version, `OSError` for one that cannot be read, `ArgumentError` for a pipe
        or a device. `verify=True` computes all checksums, which reads the whole file. By default, that is done for a file of at most
        64 MiB and with `mmap=False`; of a larger one, every 16 KiB are checked when something in them is first read, and a call that
        meets damage raises `SnapshotError`, as do all that read the grid after it. With `verify=False` a damaged byte may change an answer, until
        `verify()` or `save` finds it.
        """

    def verify(self) -> None:
        """Computes all checksums of the snapshot that the grid was opened from; `SnapshotError` names a damaged section."""

    def plot(self, axes: Iterable[str | SupportsIndex] | None = None, ax: Axes | None = None) -> Axes:
        """Draws the tokens on two axes, or on the first two principal components of their scaled positions; needs matplotlib."""

def distance(a: npt.ArrayLike, b: npt.ArrayLike, *, metric: _Metric | None = None) -> float:
    """The distance of two points, each of shape (8,), in float32; `metric` is that of `TokenGrid`, Euclidean by default."""

def distances(
    q: npt.ArrayLike,
    points: npt.ArrayLike,
    out: npt.NDArray[np.float32] | None = None,
    *,
    metric: _Metric | None = None,
) -> npt.NDArray[np.float32]:
    """The distances of a point, shape (8,), to points of shape (n, 8): shape (n,), float32, in `out` if given."""

def pairwise(
    p: npt.ArrayLike,
    q: npt.ArrayLike,
    out: npt.NDArray[np.float32] | None = None,
    *,
    metric: _Metric | None = None,
    threads: _Whole | None = None,
) -> npt.NDArray[np.float32]:
    """The distances of points of shape (n, 8) to points of shape (m, 8): shape (n, m), float32, in `out` if given."""

def simd_level(level: str | None = None) -> str:
    """The instruction level of the kernels: `"scalar"`, `"neon"`, `"avx2"` or `"avx512"`.

    With an argument, forces that level for the whole process; `"auto"` goes back to the best one. Answers are the same at every level.
    """

# Hand-over of tables between processes. `ottava.handover` is its public face.

@final
class HandoverServer:
    def __new__(
        cls,
        *,
        schema: object,
        transport: str | None,
        slots: int,
        trusted: bool,
        deadline: float,
        directory: str | None,
    ) -> Self: ...
    @property
    def address(self) -> str: ...
    @property
    def connected(self) -> bool: ...
    @property
    def outstanding(self) -> int: ...
    @property
    def fault(self) -> str | None: ...
    def token(self) -> str: ...
    def fileno(self) -> int: ...
    def hush(self) -> None: ...
    def wait_connected(self, seconds: float | None) -> None: ...
    def segment(
        self, schema: object, rows: int, capacity: dict[str, int], seconds: float | None
    ) -> HandoverSegment: ...
    def pack(self, table: object, seconds: float | None) -> HandoverParcel: ...
    def send(self, table: object, seconds: float | None) -> HandoverReceipt: ...
    def deliver(self, parcel: HandoverParcel, seconds: float | None) -> HandoverReceipt: ...
    def close(self, seconds: float) -> None: ...

@final
class HandoverSegment:
    @property
    def rows(self) -> int: ...
    @property
    def column_names(self) -> list[str]: ...
    def view(self, name: str) -> tuple[npt.NDArray[np.uint8], str | None, int | None, str]: ...
    def data_type(self, name: str) -> str: ...
    def copy_from(self, name: str, column: object) -> None: ...
    def set_strings(self, name: str, values: Sequence[str | None]) -> None: ...
    def set_bytes(self, name: str, values: Sequence[bytes | None]) -> None: ...
    def set_nulls(self, name: str, nulls: Sequence[bool] | None) -> None: ...
    def truncate(self, rows: int) -> None: ...
    def finish(self) -> HandoverParcel: ...
    def discard(self) -> None: ...

@final
class HandoverParcel:
    @property
    def bytes(self) -> int: ...

@final
class HandoverReceipt:
    @property
    def settled(self) -> bool: ...
    def wait(self, seconds: float | None) -> None: ...

@final
class HandoverClient:
    def __new__(
        cls,
        address: str,
        token: str,
        *,
        schema: object,
        trusted: bool,
        deadline: float,
        max_bytes: int | None,
        awake: float,
    ) -> Self: ...
    @property
    def held(self) -> int: ...
    def fileno(self) -> int: ...
    def process_fileno(self) -> int | None: ...
    def recv(self, seconds: float | None) -> HandoverTable | None: ...
    def close(self) -> None: ...

@final
class HandoverTable:
    @property
    def num_rows(self) -> int: ...
    @property
    def column_names(self) -> list[str]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def released(self) -> bool: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def release(self) -> None: ...
    def detach(self) -> HandoverTable: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_args: object) -> None: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...

# Models. `ottava.models` is their public face.

@disjoint_base
class ModelMeta(type):
    """Metaclass of model classes: an ordinary type with a compiled plan behind it."""

@disjoint_base
class ModelBase:
    """What every model instance begins with."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def __init__(self, /, *args: Any, **kwargs: Any) -> None: ...
    @classmethod
    def model_validate(
        cls,
        obj: Any,
        *,
        strict: bool | None = None,
        from_attributes: bool | None = None,
        context: Any = None,
    ) -> Self: ...
    @classmethod
    def model_validate_json(
        cls, json_data: str | bytes | bytearray, *, strict: bool | None = None, context: Any = None
    ) -> Self: ...
    def model_dump(self, *args: Any, **options: Any) -> Any: ...
    def model_dump_json(self, *args: Any, **options: Any) -> Any: ...
    def _ottava_set(self, name: str, value: Any, /) -> None: ...

@final
class Plan:
    """A compiled declaration and the classes, validators and defaults that it refers to."""

    def __new__(cls, name: str, description: dict[str, Any], class_: type | None = None, /) -> Self: ...
    def validate(
        self,
        obj: Any,
        *,
        strict: bool | None = None,
        from_attributes: bool | None = None,
        context: Any = None,
    ) -> Any: ...
    def validate_json(self, json_data: Any, *, strict: bool | None = None, context: Any = None) -> Any: ...
    def json_schema(self, by_alias: bool) -> dict[str, Any]: ...

@final
class IssueList:
    """The issues of one run, with the objects and the document that they speak of."""

    def errors(self) -> list[dict[str, Any]]: ...
    def __len__(self) -> int: ...
    @property
    def dropped(self) -> int: ...

@final
class BatchResult:
    """The good rows of a batch, and what is wrong with the others."""

    @property
    def rows(self) -> list[Any]: ...
    @property
    def rows_read(self) -> int: ...
    @property
    def rows_good(self) -> int: ...
    @property
    def issues_dropped(self) -> int: ...
    def errors(self) -> list[dict[str, Any]]: ...
    def __len__(self) -> int: ...

@final
class ArrowResult:
    """The good rows of a stream as columns, and what is wrong with the others."""

    @property
    def table(self) -> Table: ...
    @property
    def issues(self) -> Table: ...
    @property
    def rows_read(self) -> int: ...
    @property
    def rows_good(self) -> int: ...
    @property
    def issues_dropped(self) -> int: ...

def lay_out(
    class_: type,
    fields: list[str],
    others: list[str],
    extra: str | None,
    deleted: str | None,
    given: str | None,
    acyclic: bool,
    dumps_plainly: bool,
    checks_assignment: bool,
    declared: list[list[type] | None],
    /,
) -> None: ...
def complete(class_: type, name: str, description: dict[str, Any], /) -> None: ...
def plan_of(class_: type, /) -> Plan | None: ...
def schema_of(class_: type, /) -> Schema: ...
def validate_ndjson(
    class_: type,
    source: Any,
    threads: int | None,
    on_error: str,
    strict: bool | None,
    context: Any,
    /,
) -> Any: ...
def model_validate(
    class_: type,
    /,
    obj: Any,
    *,
    strict: bool | None = None,
    from_attributes: bool | None = None,
    context: Any = None,
) -> Any: ...
def model_validate_json(
    class_: type, /, json_data: Any, *, strict: bool | None = None, context: Any = None
) -> Any: ...
def model_validate_batch(
    class_: type,
    /,
    rows: Any,
    *,
    strict: bool | None = None,
    on_error: str = "raise",
    context: Any = None,
) -> Any: ...
def to_arrow(
    class_: type,
    source: Any,
    threads: int | None,
    on_error: str,
    strict: bool | None,
    context: Any,
    /,
) -> ArrowResult: ...
def fields_set(object: Any) -> set[str]: ...
def get_state(
    object: Any,
) -> tuple[dict[str, Any], set[str], dict[str, Any], dict[str, Any] | None]: ...
def set_state(
    object: Any,
    fields: dict[str, Any],
    given: set[str],
    others: dict[str, Any],
    extra: dict[str, Any] | None,
) -> None: ...
def same(a: Any, b: Any) -> bool: ...
def assign(object: Any, name: str, value: Any) -> None: ...
def frozen_error(title: str, name: str, value: Any, whole: bool) -> BaseException: ...
def construct(class_: type, given: set[str] | None, values: dict[str, Any], /) -> Any: ...

# Schemas, lock files and stores. `ottava.ingest` is their public face.

@disjoint_base
class Schema:
    @staticmethod
    def from_arrow(schema: Any, *, name: str = "record") -> Schema: ...
    @staticmethod
    def of(model: type) -> Schema: ...
    @property
    def name(self) -> str: ...
    @property
    def fields(self) -> list[str]: ...
    @property
    def fingerprint(self) -> str: ...
    def canonical_json(self) -> str: ...
    def diff(self, newer: Schema) -> list[dict[str, Any]]: ...
    def lock(
        self, version: str, path: str | os.PathLike[str] | None = None, *, mode: str | None = None
    ) -> SchemaLock: ...
    def is_valid(self, obj: Any, *, strict: bool | None = None) -> bool: ...
    def is_valid_json(self, json_data: str | bytes | bytearray) -> bool: ...
    def issues_json(self, json_data: str | bytes | bytearray) -> Issues: ...
    def validate(self, obj: Any, *, strict: bool | None = None) -> Any: ...
    def validate_json(self, json_data: str | bytes | bytearray, *, strict: bool | None = None) -> Any: ...
    @staticmethod
    def from_json_schema(schema: dict[str, Any] | bool | str | bytes) -> Schema: ...
    def json_schema(self, *, by_alias: bool = True) -> dict[str, Any]: ...
    def __arrow_c_schema__(self) -> object: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class SchemaLock:
    def __new__(cls, name: str, *, mode: str = "backward") -> Self: ...
    @staticmethod
    def parse(text: str) -> SchemaLock: ...
    def to_json(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def mode(self) -> str: ...
    def set_mode(self, mode: str) -> None: ...
    @property
    def versions(self) -> list[tuple[str, str]]: ...
    @property
    def reserved(self) -> list[tuple[str, str]]: ...
    def schema(self, version: str | None = None) -> Schema: ...
    def find(self, schema: Schema) -> str | None: ...
    def check(self, schema: Schema) -> list[dict[str, Any]]: ...
    def add(self, version: str, schema: Schema, layout: Any = None) -> None: ...

@final
class IngestReport:
    @property
    def rows(self) -> int: ...
    @property
    def inserted(self) -> int: ...
    @property
    def replaced(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def bytes_copied(self) -> int: ...
    @property
    def copies(self) -> list[tuple[str, int, str]]: ...
    @property
    def deprecated(self) -> list[tuple[str, str | None, str | None]]: ...

@disjoint_base
class TokenStore:
    def __new__(cls, schema: Any = None, *, id: str = "id", lock: SchemaLock | None = None) -> Self: ...
    def ingest_nodes_arrow(
        self, data: Any, *, on_duplicate: Literal["error", "skip", "replace"] = "error", threads: int | None = None
    ) -> IngestReport: ...
    def _ingest_rows(self, rows: list[Any], on_duplicate: str, threads: int | None) -> IngestReport: ...
    def _ingest_json(
        self, text: bytes, array: bool, decode: Any, on_duplicate: str, threads: int | None
    ) -> IngestReport: ...
    def _grid(self, columns: Sequence[str], make: Any) -> Any: ...
    def rows(self, ids: Sequence[int | str]) -> Table: ...
    def _rows_of(self, tokens: Sequence[int]) -> Table: ...
    def table(self) -> Table: ...
    def equals(self, other: TokenStore) -> bool: ...
    @property
    def schema(self) -> Schema | None: ...
    @property
    def id(self) -> str: ...
    @property
    def num_chunks(self) -> int: ...
    @property
    def index_bytes(self) -> int: ...
    @property
    def column_bytes(self) -> int: ...
    def __len__(self) -> int: ...
    def __contains__(self, id: object, /) -> bool: ...

def read_arrow(data: Any) -> Table: ...
