"""Tables from one process to another, without serialization.

The producer is a `Server`, the consumer a `connect`ed `Client`; either may be Python or Rust. A table travels as an Arrow IPC
file in shared memory, and only small frames go over the socket::

    # producer                                          # consumer
    with Server() as server:                            with connect(address, token) as client:
        tell_the_other(server.address, server.token())      for table in client:
        with server.segment(schema, rows=n) as segment:         arrow = pyarrow.table(table)  # zero copy
            segment["x"][:] = ...  # born in place              ...
        server.send(table)         # or: one copy               table.release()  # or garbage collection

`address` may be told to anybody. The token is a secret that admits one consumer, once: pass it through an inherited
descriptor or standard input, because arguments and environments of a process are visible to others.

*Sealed* mode, the default, is safe against a hostile producer: memory is mapped only after the kernel has confirmed that nobody can
change or truncate it any more, and is then validated in full. *Trusted* mode (`trusted=True` on both ends) is for processes of
one program: a ring of slots that stay mapped, contents not validated. A producer that writes nonsense, or writes to a view after
the table was handed over, corrupts its consumer there.

A forked child may read the tables that its parent holds, but not receive or send any: both ends count as closed in it.

Linux passes anonymous memory over a Unix socket. `transport="tcp"`, and every other Unix system, uses a port of 127.0.0.1 and files
in a private directory, which a sealed-mode consumer reads into memory of its own. Windows is not supported.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

from ottava._native import HandoverClient, HandoverReceipt, HandoverSegment, HandoverServer
from ottava._native import HandoverTable as Table
from ottava.errors import (
    ArgumentError,
    HandoverClosedError,
    HandoverError,
    HandoverTimeoutError,
    HandoverWouldBlockError,
    HandshakeError,
    PeerGoneError,
    SegmentError,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Self

__all__ = [
    "Client",
    "HandoverClosedError",
    "HandoverError",
    "HandoverTimeoutError",
    "HandoverWouldBlockError",
    "HandshakeError",
    "PeerGoneError",
    "Receipt",
    "Segment",
    "SegmentError",
    "Server",
    "Table",
    "connect",
]


class _ArrowSchema(Protocol):
    def __arrow_c_schema__(self) -> object: ...


Schema: TypeAlias = "_ArrowSchema | Mapping[str, str]"
_T = TypeVar("_T")


class _Bell:
    """Lets tasks of any event loop wait until an attempt that would block is worth repeating."""

    def __init__(self, filenos: Callable[[], list[int]], hush: Callable[[], None]) -> None:
        self._filenos = filenos
        self._hush = hush
        self._waiting: dict[asyncio.AbstractEventLoop, set[asyncio.Future[None]]] = {}

    async def wait_for(self, attempt: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        while True:
            waiting = self._waiting.setdefault(loop, set())
            if not waiting:
                for fileno in self._filenos():
                    loop.add_reader(fileno, self.ring)
            turn = loop.create_future()
            waiting.add(turn)
            try:
                try:
                    return attempt()
                except HandoverWouldBlockError:
                    await turn
            finally:
                waiting.discard(turn)
                if not waiting:
                    self._waiting.pop(loop, None)
                    for fileno in self._filenos():
                        loop.remove_reader(fileno)

    def ring(self) -> None:
        self._hush()
        for loop, waiting in list(self._waiting.items()):
            for turn in list(waiting):
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_finish, turn)


def _finish(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


class Receipt:
    """What becomes of a table that was sent."""

    def __init__(self, native: HandoverReceipt, bell: _Bell) -> None:
        self._native = native
        self._bell = bell

    @property
    def settled(self) -> bool:
        """Whether the consumer has let go of the table, which acknowledges it, or is gone."""
        return self._native.settled

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the consumer has let go of the table; `timeout` in seconds.

        Raises `PeerGoneError` if it left without: whether it has seen the table is not known then. `HandoverTimeoutError`, or
        `HandoverWouldBlockError` for a timeout of 0.
        """
        self._native.wait(timeout)

    async def wait_async(self) -> None:
        """`wait` for tasks."""
        await self._bell.wait_for(lambda: self._native.wait(0))


class Segment:
    """A table under construction in the memory that its consumer will read. Made by `Server.segment`, used with `with`.

    `segment["x"]` is a numpy view of a column of fixed width: shape (rows,), or (rows, k) for a list of fixed size k; for booleans
    it is the packed bits. Assignment (`segment["x"] = values`) works for every column: numpy arrays and sequences, sequences of
    `str` or `bytes` (with `None` for null), and Arrow arrays. It replaces the nulls of the column, too, which writing through a view leaves
    as they are, and refuses (`ArgumentError`) values that the column's type does not have; floats are rounded. A view does what numpy
    does: it wraps integers that are too large. In sealed mode all values are zero, empty or false at first; in trusted mode
    those of fixed width are whatever the slot held before.

    Leaving the block sends the table, and sets `receipt`; an exception discards it. Views that outlive the block still show what
    was written; in sealed mode writing to them changes nothing for anybody else.
    """

    def __init__(
        self, server: Server, schema: Schema, rows: int, capacity: Mapping[str, int], timeout: float | None
    ) -> None:
        self._server = server
        self._arguments = (schema, rows, dict(capacity))
        self._timeout = timeout
        self._native: HandoverSegment | None = None
        self.receipt: Receipt | None = None
        """Set when the table was sent."""

    def __enter__(self) -> Self:
        self._enter_once()
        self._native = self._server._native.segment(*self._arguments, self._timeout)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        native = self._open()
        if kind is not None:
            native.discard()
            return
        parcel = native.finish()
        self.receipt = self._server._receipt(self._server._native.deliver(parcel, self._timeout))

    async def __aenter__(self) -> Self:
        self._enter_once()
        server = self._server
        self._native = await server._bell.wait_for(lambda: server._native.segment(*self._arguments, 0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        native = self._open()
        if kind is not None:
            native.discard()
            return
        server, parcel = self._server, native.finish()
        self.receipt = server._receipt(await server._bell.wait_for(lambda: server._native.deliver(parcel, 0)))

    def _enter_once(self) -> None:
        if self._native is not None:
            raise HandoverClosedError("the segment was entered before: make another")

    def _open(self) -> HandoverSegment:
        if self._native is None:
            raise HandoverClosedError("the segment was not entered: use it with `with`")
        return self._native

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self._open().rows

    @property
    def column_names(self) -> list[str]:
        """The names of the columns, in order."""
        return self._open().column_names

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        values, dtype, size, storage = self._open().view(name)
        if storage == "variable":
            raise ArgumentError(f"column {name!r}: values of any length have no view; assign them")
        if storage == "bits":
            return values
        if dtype is None:
            raise ArgumentError(f"column {name!r}: numpy has no such type; assign an Arrow array")
        typed: npt.NDArray[Any] = values.view(dtype)
        return typed if size is None else typed.reshape(-1, size)

    def __setitem__(self, name: str, values: Any) -> None:
        native = self._open()
        if hasattr(values, "__arrow_c_array__") or hasattr(values, "__arrow_c_stream__"):
            native.copy_from(name, values)
            return
        import numpy as np

        view, _, _, storage = native.view(name)
        if storage == "fixed":
            column = self[name]
            try:
                column[...] = _exact(name, values, column.dtype)
            except ValueError as err:
                raise err if isinstance(err, ArgumentError) else ArgumentError(f"column {name!r}: {err}") from None
            native.set_nulls(name, None)
        elif storage == "bits":
            flags = np.asarray(values)
            if flags.dtype != bool and flags.size:
                raise ArgumentError(f"column {name!r}: expected booleans, got {flags.dtype}; set_nulls makes rows null")
            if flags.shape != (self.rows,):
                raise ArgumentError(f"column {name!r}: shape {flags.shape}, expected ({self.rows},)")
            view[:] = np.packbits(flags.astype(bool), bitorder="little")
            native.set_nulls(name, None)
        elif native.data_type(name).endswith("binary"):
            native.set_bytes(name, list(values))
        else:
            native.set_strings(name, list(values))

    def set_nulls(self, name: str, nulls: npt.ArrayLike) -> None:
        """Make the rows of a nullable column null where `nulls`, of shape (rows,), is true."""
        import numpy as np

        self._open().set_nulls(name, np.asarray(nulls, dtype=bool).tolist())

    def truncate(self, rows: int) -> None:
        """Send the first `rows` rows only."""
        self._open().truncate(rows)


def _exact(name: str, values: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """`values` as `dtype`, refused if one of them would become another. Floats are rounded, but not to infinity."""
    import numpy as np

    given = np.asarray(values)
    if dtype.kind == "V" or (given.dtype == dtype and dtype.kind not in "Mm"):
        return given
    try:
        with np.errstate(all="ignore"):
            taken: npt.NDArray[Any] = np.asarray(values, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as err:
        raise ArgumentError(f"column {name!r}: {err}") from err
    if dtype.kind == "f" and given.dtype.kind in "biuf":
        same = np.isfinite(taken) | ~np.isfinite(given)
    elif dtype.kind in "Mm":
        # NaT is a value that others would take for a time.
        same = ~np.isnat(taken)
        if given.dtype.kind in "MmO":
            same &= taken == given
        elif given.dtype.kind == "f":
            same &= taken.astype(np.int64) == given
    else:
        same = np.asarray(taken == given)
    if not same.all():
        wrong = given[~same].flat[0] if given.ndim else given[()]
        raise ArgumentError(f"column {name!r}: {wrong!r} is not a value of {dtype}")
    return taken


class Server:
    """The producer: hands tables to one consumer at a time. Any thread may call it.

    With a `schema` (any Arrow schema, or a mapping of names to types, as `{"id": "uint64", "at": "float32[8]", "name": "utf8?"}`, a
    question mark meaning nullable) it sends such tables only and admits only consumers that expect it or any. `transport` is
    "unix" (the default on Linux) or "tcp". `slots` (1 to 64) is how many tables may be under construction or unacknowledged at a
    time; a call that needs one more waits. `deadline`, in seconds, is for handshakes. `directory` is where the private directory
    is made, by default /dev/shm or the one for temporary files; what crashed servers left there is swept.

    Timeouts are in seconds: `None` waits forever, 0 raises `HandoverWouldBlockError` instead of waiting.
    """

    def __init__(
        self,
        schema: Schema | None = None,
        *,
        transport: Literal["unix", "tcp"] | None = None,
        slots: int = 8,
        trusted: bool = False,
        deadline: float = 5.0,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        self._native = HandoverServer(
            schema=schema,
            transport=transport,
            slots=slots,
            trusted=trusted,
            deadline=deadline,
            directory=None if directory is None else os.fspath(directory),
        )
        native = self._native
        self._bell = _Bell(lambda: [native.fileno()], native.hush)

    @property
    def address(self) -> str:
        """Where to connect: "unix:/path" or "tcp:127.0.0.1:port"."""
        return self._native.address

    def token(self) -> str:
        """A new token of 32 hexadecimal digits, which admits one consumer, once."""
        return self._native.token()

    @property
    def connected(self) -> bool:
        """Whether a consumer is connected."""
        return self._native.connected

    @property
    def outstanding(self) -> int:
        """Tables sent and not acknowledged yet."""
        return self._native.outstanding

    @property
    def fault(self) -> str | None:
        """Why the last consumer was cut off, if it was: it broke the protocol, or died."""
        return self._native.fault

    def wait_connected(self, timeout: float | None = None) -> None:
        """Wait for a consumer."""
        self._native.wait_connected(timeout)

    def segment(
        self, schema: Schema, rows: int, *, capacity: Mapping[str, int] | None = None, timeout: float | None = None
    ) -> Segment:
        """Room for a table whose columns are written where the consumer will read them; use it with `with` or `async with`.

        `capacity` gives the bytes that all values of a column of strings or binaries take together. Entering waits for a slot,
        leaving for a consumer, each for `timeout`. Types: booleans, integers, floats, dates, times, timestamps, durations, decimals, binaries and
        strings, and fixed-size lists of numbers; `ArgumentError` names a column of another type.
        """
        return Segment(self, schema, rows, capacity or {}, timeout)

    def send(self, table: object, *, timeout: float | None = None) -> Receipt:
        """Send a table, copied once: anything with `__arrow_c_stream__` or `__arrow_c_array__`. `timeout` covers the wait for a slot
        and that for a consumer.

        A column that is dictionary-encoded has one dictionary for all batches, or `ArgumentError` is raised; pyarrow's
        `table.unify_dictionaries()` gives it that.
        """
        return self._receipt(self._native.send(table, timeout))

    async def send_async(self, table: object) -> Receipt:
        """`send` for tasks; a task that is cancelled sends nothing."""
        parcel = await self._bell.wait_for(lambda: self._native.pack(table, 0))
        return self._receipt(await self._bell.wait_for(lambda: self._native.deliver(parcel, 0)))

    def close(self, timeout: float = 5.0) -> None:
        """Send no more: tell the consumer, wait until it has let go of what it holds, then close.

        Raises `HandoverTimeoutError` if tables are unacknowledged after `timeout` seconds. It is closed all the same, as it is after Ctrl-C.
        """
        try:
            self._native.close(timeout)
        finally:
            self._bell.ring()

    def _receipt(self, native: HandoverReceipt) -> Receipt:
        return Receipt(native, self._bell)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # An exception must not wait for a consumer, nor be hidden by one that does not let go.
        if kind is None:
            self.close()
        else:
            try:
                self.close(0.0)
            except HandoverError:
                pass


class Client:
    """The consumer, made by `connect`: an iterable, and an asynchronous one, of tables. Any thread may call it.

    A table is true, also without rows, so that `while table := client.recv():` goes on to the end.
    """

    def __init__(self, native: HandoverClient) -> None:
        self._native = native
        # The socket alone does not say that the producer died, if a forked child of it has that, too.
        filenos = [fileno for fileno in (native.fileno(), native.process_fileno()) if fileno is not None]
        self._bell = _Bell(lambda: filenos, lambda: None)

    def recv(self, timeout: float | None = None) -> Table | None:
        """The next table; `None` when the producer has said that there are no more.

        Raises `HandoverTimeoutError`, or `HandoverWouldBlockError` for a timeout of 0; `PeerGoneError` if the producer went away
        without a word; `SegmentError` for what only a broken or hostile producer sends. The last two end the connection.
        """
        return self._native.recv(timeout)

    async def recv_async(self) -> Table | None:
        """`recv` for tasks; a task that is cancelled loses no table."""
        return await self._bell.wait_for(lambda: self._native.recv(0))

    @property
    def held(self) -> int:
        """Tables received whose slots this process still holds."""
        return self._native.held

    def close(self) -> None:
        """Take no more tables, and wake who waits for one. Tables at hand stay valid; those that were not taken go back to the producer,
        whose receipts of them raise `PeerGoneError`.
        """
        self._native.close()
        self._bell.ring()

    def __iter__(self) -> Iterator[Table]:
        while True:
            # Not kept in a variable, so that the loop's own reference is the last.
            if (table := self.recv()) is None:
                return
            yield table
            del table

    async def __aiter__(self) -> AsyncIterator[Table]:
        while True:
            if (table := await self.recv_async()) is None:
                return
            yield table
            del table

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def connect(
    address: str,
    token: str,
    *,
    schema: Schema | None = None,
    trusted: bool = False,
    deadline: float = 5.0,
    max_bytes: int | None = None,
    awake: float = 0.0,
) -> Client:
    """Connect to a `Server` and prove to know `token`; the server proves the same.

    With a `schema`, tables of any other are refused. `max_bytes` is the largest segment to accept, 4 GiB by default.
    `trusted` must be as the server has it. `awake` is how many seconds of a wait for the next table are spent awake before the rest is
    spent asleep, none by default: a processor is busy meanwhile, giving way to others, but none has to be woken when the table
    comes. Raises `HandshakeError` if the token is wrong or spent or the ends do not agree, and `HandoverError` if nobody listens.
    """
    return Client(
        HandoverClient(
            address, token, schema=schema, trusted=trusted, deadline=deadline, max_bytes=max_bytes, awake=awake
        )
    )
