"""Processes joined by pipes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import IO, TYPE_CHECKING, Any, Literal, Union

from ottava.errors import PipelineError, StreamOptionError, StreamReadError, StreamWriteError
from ottava.streams import _run
from ottava.streams._backend import backend
from ottava.streams._descriptors import POLLIN, poll, raise_pipe_size
from ottava.streams._ends import FileLike, descriptor, descriptors
from ottava.streams._job import Settings, check_encoding
from ottava.streams._reports import Consumed, PumpReport
from ottava.streams._signals import handlers_later

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ottava.streams._job import Job

__all__ = ["CAPTURE", "HopReport", "PipelineReport", "StageReport", "pipeline", "pipeline_sync"]


class Capture(Enum):
    """The type of `CAPTURE`."""

    CAPTURE = "capture"


CAPTURE = Capture.CAPTURE
"""Collects an output of a pipeline in its report."""

Command = "Sequence[str | os.PathLike[str]]"
Output = Union[FileLike, Literal[Capture.CAPTURE], None]


@dataclass(frozen=True)
class StageReport:
    """One process: its command, its id, its exit status (negative: the signal that killed it)."""

    command: tuple[str, ...]
    pid: int
    returncode: int


@dataclass(frozen=True)
class HopReport:
    """What joined two stages."""

    way: str
    """"direct" if one process wrote into the pipe that the other read; else as in `PumpReport`."""
    bytes: int | None
    """Bytes that passed; unknown where nobody counted."""
    pump: PumpReport | None
    """The pump's own report, unless the stages were wired directly."""
    why: str
    """Why it was wired directly ("nobody observes it"), or what asked for a pump: "observe", "tee", "limit"."""


@dataclass(frozen=True)
class PipelineReport:
    """What a pipeline did."""

    stages: tuple[StageReport, ...]
    hops: tuple[HopReport, ...]
    """One between each two stages."""
    stdout: bytes | str | None
    """The last stage's output, if captured."""
    stderr: bytes | str | None
    """The diagnostics of all stages, if captured."""
    elapsed: float
    """Seconds in all."""

    @property
    def ok(self) -> bool:
        """Whether every stage succeeded. One that only lost its reader (SIGPIPE) did, unless it was the last."""
        return not self.failed

    @property
    def failed(self) -> tuple[int, ...]:
        """The numbers of the stages that did not succeed."""
        sigpipe = -int(getattr(signal, "SIGPIPE", 0))
        last = len(self.stages) - 1
        return tuple(
            index
            for index, stage in enumerate(self.stages)
            if stage.returncode != 0 and (index == last or stage.returncode != sigpipe)
        )


class _Pipeline:
    """Processes and jobs: `start`, perhaps `finish`, and in any case `abort`."""

    def __init__(
        self,
        commands: Sequence[Sequence[str | os.PathLike[str]]],
        stdin: FileLike | bytes | None,
        stdout: Output,
        stderr: Output,
        encoding: str | None,
        errors: str,
        observe: bool | Collection[int],
        tee: Mapping[int, Sequence[FileLike]] | None,
        limit: Mapping[int, int] | None,
        capture_limit: int | None,
        timeout: float | None,
        pipe_size: int,
        cwd: str | os.PathLike[str] | None,
        env: Mapping[str, str] | None,
    ) -> None:
        self.started = time.perf_counter()
        self.commands = _checked(commands)
        if encoding is not None:
            check_encoding(encoding, errors)
        self._encoding, self._errors = encoding, errors
        self._timeout = timeout
        self._deadline = _run.deadline(timeout)
        self._stdin, self._stdout, self._stderr = stdin, stdout, stderr
        self._tee = _mapping("tee", tee)
        self._limit = _mapping("limit", limit)
        self._observed = _observed(observe, self._tee, self._limit, len(self.commands) - 1)
        self._capture = Settings(pipe_size=pipe_size, limit=capture_limit)
        self._cwd, self._env = cwd, env
        self.processes: list[subprocess.Popen[bytes]] = []
        self.pidfds: list[int] = []
        self.pumps: dict[int, Job[PumpReport]] = {}
        self.captures: dict[str, Job[Consumed[bytes] | Consumed[str]]] = {}
        self._ours: set[int] = set()
        self._input: IO[bytes] | None = None
        self._pipe_size = pipe_size
        self._backend = backend()

    # Starting

    def start(self) -> Iterator[None]:
        """Starts one stage after the other; others may have a turn after each."""
        # What a signal handler raises while a stage starts would leave a process, or a descriptor, that nobody knows of.
        with handlers_later():
            source = self._source(self._stdin)
            errors = self._sink(self._stderr, "stderr", inherit=True)
        last = len(self.commands) - 1
        for index, command in enumerate(self.commands):
            with handlers_later():
                following = -1
                if index == last:
                    target = self._sink(self._stdout, "stdout", inherit=False)
                else:
                    following, target = self._pipe()
                    if index in self._observed:
                        settings = Settings(pipe_size=self._pipe_size, limit=self._limit.get(index))
                        following = self._watch(index, following, self._tee.get(index, ()), settings)
                self._spawn(command, source, target, errors)
                self._close(source, *(() if target == errors else (target,)))
                source = following
            yield
        if errors is not None:
            self._close(errors)

    def _pipe(self) -> tuple[int, int]:
        read, write = os.pipe()
        self._ours |= {read, write}
        raise_pipe_size(read, self._pipe_size)
        return read, write

    def _close(self, *fds: int) -> None:
        for fd in fds:
            if fd in self._ours:
                self._ours.discard(fd)
                os.close(fd)

    def _source(self, stdin: FileLike | bytes | None) -> int:
        if stdin is None:
            return subprocess.DEVNULL
        if not isinstance(stdin, bytes):
            return _usable(stdin, "stdin", read=True)
        # A file feeds the first stage without anybody having to.
        if hasattr(os, "memfd_create"):
            self._input = os.fdopen(os.memfd_create("ottava-stdin"), "w+b")
        else:  # pragma: no cover - not on Linux
            self._input = tempfile.TemporaryFile()
        self._input.write(stdin)
        self._input.seek(0)
        return self._input.fileno()

    def _sink(self, output: Output, role: str, inherit: bool) -> Any:
        if output is None:
            return None if inherit else subprocess.DEVNULL
        if output is not CAPTURE:
            return _usable(output, role, read=False)
        read, write = self._pipe()
        self.captures[role] = self._backend.consume(read, (), self._capture, None)
        self._close(read)
        return write

    def _watch(self, index: int, source: int, tee: Sequence[FileLike], settings: Settings) -> int:
        read, write = self._pipe()
        writers = [write, *descriptors(tee, f"tee[{index}]")]
        self.pumps[index] = self._backend.pump(source, writers, settings)
        self._close(source, write)
        return read

    def _spawn(self, command: tuple[str, ...], stdin: int, stdout: int, stderr: int | None) -> None:
        # A group of its own, so that whatever a stage has started can be ended with it.
        group: dict[str, Any] = {"process_group": 0} if sys.version_info >= (3, 11) else {"start_new_session": True}
        # But a terminal stops whoever reads from it in another group than the one in its foreground.
        if sys.platform == "win32" or (stdin >= 0 and os.isatty(stdin)):
            group = {}
        process = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=self._cwd, env=self._env, **group
        )
        self.processes.append(process)
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):
                self.pidfds.append(os.pidfd_open(process.pid))

    # Waiting

    def pause(self, longest: float) -> float:
        """How long to wait at most; `TimeoutError` if the time is over."""
        if self._deadline is None:
            return longest
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"not over after {self._timeout} seconds")
        return min(left, longest)

    def waits(self) -> Iterator[int]:
        """Descriptors that are readable once all is over, one after the other."""
        for job in (*self.pumps.values(), *self.captures.values()):
            if not job.wait(0):
                yield job.fileno()
        yield from self.pidfds

    def exited(self) -> bool:
        """Whether every process is over; none is reaped, so that its group keeps its number."""
        if len(self.pidfds) == len(self.processes) or not hasattr(os, "waitid"):
            return all(process.poll() is not None for process in self.processes)
        return all(map(_is_over, self.processes))

    # Ending

    def finish(self, check: bool) -> PipelineReport:
        """What it came to, once all is over."""
        pumps = {index: job.result() for index, job in self.pumps.items()}
        captured = {role: job.result().data for role, job in self.captures.items()}
        stages = tuple(
            StageReport(command, process.pid, process.wait())
            for command, process in zip(self.commands, self.processes, strict=True)
        )
        hops = []
        for index in range(len(stages) - 1):
            if index in pumps:
                pump = pumps[index]
                hops.append(HopReport(pump.way, pump.bytes, pump, self._observed[index]))
            else:
                hops.append(HopReport("direct", None, None, "nobody observes it"))
        texts: dict[str, bytes | str] = captured
        if self._encoding is not None:
            texts = {
                role: data.decode(self._encoding, self._errors) if isinstance(data, bytes) else data
                for role, data in captured.items()
            }
        elapsed = time.perf_counter() - self.started
        report = PipelineReport(stages, tuple(hops), texts.get("stdout"), texts.get("stderr"), elapsed)
        if check and not report.ok:
            raise PipelineError(report)
        return report

    def abort(self) -> None:
        """Ends whatever still runs, and lets go of everything."""
        # The processes first: they take longest to go, and go meanwhile.
        for process in self.processes:
            if process.returncode is None:
                _kill(process)
        jobs = (*self.pumps.values(), *self.captures.values())
        for job in jobs:
            job.cancel()
        for job in jobs:
            job.close()
        for process in self.processes:
            process.wait()
        self._close(*self._ours.copy())
        while self.pidfds:
            os.close(self.pidfds.pop())
        if self._input is not None:
            self._input.close()


def _checked(commands: Sequence[Sequence[str | os.PathLike[str]]]) -> tuple[tuple[str, ...], ...]:
    checked = []
    for index, command in enumerate(commands):
        if isinstance(command, (str, bytes)) or not command:
            raise StreamOptionError(f"command {index} is {command!r}, not a list of a program and its arguments")
        checked.append(tuple(os.fspath(word) for word in command))
    if not checked:
        raise StreamOptionError("a pipeline needs at least one command")
    return tuple(checked)


def _mapping(option: str, value: Mapping[int, Any] | None) -> Mapping[int, Any]:
    if value is None:
        return {}
    if not hasattr(value, "keys"):
        raise StreamOptionError(f"{option} is {value!r}, not a mapping from numbers of hops")
    return value


def _observed(
    observe: bool | Collection[int], tee: Mapping[int, object], limit: Mapping[int, object], hops: int
) -> dict[int, str]:
    """The hops that are pumped, and what asks for it."""
    if not isinstance(observe, bool) and (isinstance(observe, str) or not hasattr(observe, "__iter__")):
        raise StreamOptionError(f"observe is {observe!r}, neither a truth value nor a collection of hops")
    asked: list[tuple[str, Any]] = [("observe", range(hops) if observe is True else observe or ())]
    asked += [("tee", tee), ("limit", limit)]
    observed: dict[int, str] = {}
    for option, numbers in asked:
        for number in numbers:
            if not isinstance(number, int) or isinstance(number, bool):
                raise StreamOptionError(f"{option} has {number!r}, which is no number of a hop")
            if not 0 <= number < hops:
                between = f"not between 0 and {hops - 1}" if hops else "and one command has none"
                raise StreamOptionError(f"{option} has hop {number}, {between}")
            observed.setdefault(number, option)
    return observed


def _usable(end: FileLike, role: str, read: bool) -> int:
    """The descriptor of `end`, which a process is to read or to write."""
    fd = descriptor(end, role)
    if fd < 0:
        # Not the numbers of `subprocess` either: their pipes would have nobody at the other end.
        raise StreamOptionError(f"{role} is {end!r}, which is no file descriptor")
    try:
        os.fstat(fd)
        unusable = os.O_WRONLY if read else os.O_RDONLY
        usable = fcntl is None or fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != unusable
    except (OSError, OverflowError):
        usable = False
    if not usable:
        raise (StreamReadError if read else StreamWriteError)(errno.EBADF, fd, 0)
    return fd


def _is_over(process: subprocess.Popen[bytes]) -> bool:
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
            return
    process.kill()


def pipeline_sync(
    commands: Sequence[Sequence[str | os.PathLike[str]]],
    *,
    stdin: FileLike | bytes | None = None,
    stdout: Output = CAPTURE,
    stderr: Output = None,
    encoding: str | None = None,
    errors: str = "strict",
    observe: bool | Collection[int] = False,
    tee: Mapping[int, Sequence[FileLike]] | None = None,
    limit: Mapping[int, int] | None = None,
    capture_limit: int | None = None,
    check: bool = False,
    timeout: float | None = None,
    pipe_size: int = 256 << 10,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> PipelineReport:
    """Runs `commands`, each a program and its arguments, the output of each being the input of the next.

    Two stages are wired directly, which costs this process nothing, unless their hop (hop 0 joins stages 0 and 1) is
    observed: named in `observe` (`True`: every hop), given writers in `tee`, or a number of bytes after which it ends in
    `limit`. An observed hop is pumped and counted.

    `stdin`: bytes, a file, or `None` for nothing. `stdout`, `stderr`: `CAPTURE`, a file, or `None`, which drops the
    last stage's output but leaves diagnostics where ours go; the numbers of `subprocess` (`PIPE`) are refused. What is
    captured is text if `encoding` is given, and may have `capture_limit` bytes at most. `check` raises `PipelineError`
    unless the report is `ok`. `timeout`: seconds until `TimeoutError`. `pipe_size`: capacity of the pipes in bytes.

    Each stage has a process group of its own, but for one whose input is a terminal: it stays in ours, since a terminal is
    read by the group in its foreground alone. On a timeout or any other exception all stages are killed, with whatever else
    is in their groups, and reaped; a process that left its group (`setsid`, a daemon), or that was started by a stage in
    ours, is not found and goes on.

    Raises `OSError` if a program cannot be started, `StreamReadError` and `StreamWriteError` if `stdin`, `stdout` or `stderr`
    cannot be used, `StreamOptionError`, `StreamLimitError`, `PipelineError`, `TimeoutError`.
    """
    run = _Pipeline(
        commands,
        stdin,
        stdout,
        stderr,
        encoding,
        errors,
        observe,
        tee,
        limit,
        capture_limit,
        timeout,
        pipe_size,
        cwd,
        env,
    )
    try:
        for _ in run.start():
            pass
        for fd in run.waits():
            while not poll([(fd, POLLIN)], run.pause(_run.TICK)):
                pass
        while not run.exited():
            time.sleep(run.pause(0.005))
        return run.finish(check)
    finally:
        run.abort()


async def pipeline(
    commands: Sequence[Sequence[str | os.PathLike[str]]],
    *,
    stdin: FileLike | bytes | None = None,
    stdout: Output = CAPTURE,
    stderr: Output = None,
    encoding: str | None = None,
    errors: str = "strict",
    observe: bool | Collection[int] = False,
    tee: Mapping[int, Sequence[FileLike]] | None = None,
    limit: Mapping[int, int] | None = None,
    capture_limit: int | None = None,
    check: bool = False,
    timeout: float | None = None,
    pipe_size: int = 256 << 10,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> PipelineReport:
    """As `pipeline_sync`, to be awaited. A cancellation kills every stage before it is passed on."""
    run = _Pipeline(
        commands,
        stdin,
        stdout,
        stderr,
        encoding,
        errors,
        observe,
        tee,
        limit,
        capture_limit,
        timeout,
        pipe_size,
        cwd,
        env,
    )
    try:
        turns = _run.Turns()
        for _ in run.start():
            await turns.give_way()
        for fd in run.waits():
            while not await _run.readable(fd, None if timeout is None else run.pause(3600.0)):
                pass
        while not run.exited():
            await _run.sleep(run.pause(0.005))
        return run.finish(check)
    finally:
        run.abort()
