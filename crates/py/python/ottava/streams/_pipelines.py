"""Processes joined by pipes."""

from __future__ import annotations

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

from ottava.errors import PipelineError, StreamOptionError
from ottava.streams import _run
from ottava.streams._backend import backend
from ottava.streams._descriptors import POLLIN, poll, raise_pipe_size
from ottava.streams._ends import FileLike, descriptor, descriptors
from ottava.streams._job import Settings
from ottava.streams._reports import Consumed, PumpReport

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
        sigpipe = -int(getattr(signal, "SIGPIPE", 0))
        *inner, last = self.stages
        return last.returncode == 0 and all(stage.returncode in (0, sigpipe) for stage in inner)


class _Pipeline:
    """Processes and jobs under way. Either `finish` it or `abort` it."""

    def __init__(
        self,
        commands: Sequence[Sequence[str | os.PathLike[str]]],
        stdin: FileLike | bytes | None,
        stdout: Output,
        stderr: Output,
        observe: bool | Collection[int],
        tee: Mapping[int, Sequence[FileLike]],
        limit: Mapping[int, int],
        capture_limit: int | None,
        pipe_size: int,
        cwd: str | os.PathLike[str] | None,
        env: Mapping[str, str] | None,
    ) -> None:
        self.started = time.perf_counter()
        self.commands = _checked(commands)
        hops = range(len(self.commands) - 1)
        watched = set(hops if observe is True else observe or ()) | set(tee) | set(limit)
        if not watched <= set(hops):
            raise StreamOptionError(f"hop {max(watched)} is not between 0 and {len(hops) - 1}")
        self.processes: list[subprocess.Popen[bytes]] = []
        self.pidfds: list[int] = []
        self.pumps: dict[int, Job[PumpReport]] = {}
        self.captures: dict[str, Job[Consumed[bytes] | Consumed[str]]] = {}
        self._ours: set[int] = set()
        self._input: IO[bytes] | None = None
        self._pipe_size = pipe_size
        self._backend = backend()
        capture = Settings(pipe_size=pipe_size, limit=capture_limit)
        try:
            source = self._source(stdin)
            errors = self._sink(stderr, "stderr", capture, inherit=True)
            for index, command in enumerate(self.commands):
                following = -1
                if index == len(hops):
                    target = self._sink(stdout, "stdout", capture, inherit=False)
                else:
                    following, target = self._pipe()
                    if index in watched:
                        settings = Settings(pipe_size=pipe_size, limit=limit.get(index))
                        following = self._watch(index, following, tee.get(index, ()), settings)
                self._spawn(command, source, target, errors, cwd, env)
                self._close(source, *(() if target == errors else (target,)))
                source = following
            if errors is not None:
                self._close(errors)
        except BaseException:
            self.abort()
            raise

    # Starting

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
            return descriptor(stdin, "stdin")
        # A file feeds the first stage without anybody having to.
        if hasattr(os, "memfd_create"):
            self._input = os.fdopen(os.memfd_create("ottava-stdin"), "w+b")
        else:  # pragma: no cover - not on Linux
            self._input = tempfile.TemporaryFile()
        self._input.write(stdin)
        self._input.seek(0)
        return self._input.fileno()

    def _sink(self, output: Output, role: str, settings: Settings, inherit: bool) -> Any:
        if output is None:
            return None if inherit else subprocess.DEVNULL
        if output is not CAPTURE:
            return descriptor(output, role)
        read, write = self._pipe()
        self.captures[role] = self._backend.consume(read, (), settings, None)
        self._close(read)
        return write

    def _watch(self, index: int, source: int, tee: Sequence[FileLike], settings: Settings) -> int:
        read, write = self._pipe()
        writers = [write, *descriptors(tee, f"tee[{index}]")]
        self.pumps[index] = self._backend.pump(source, writers, settings)
        self._close(source, write)
        return read

    def _spawn(
        self,
        command: tuple[str, ...],
        stdin: int,
        stdout: int,
        stderr: int | None,
        cwd: str | os.PathLike[str] | None,
        env: Mapping[str, str] | None,
    ) -> None:
        # A group of its own, so that whatever a stage has started can be ended with it.
        group: dict[str, Any] = {"process_group": 0} if sys.version_info >= (3, 11) else {"start_new_session": True}
        if sys.platform == "win32":
            group = {}
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=env, **group)
        self.processes.append(process)
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):
                self.pidfds.append(os.pidfd_open(process.pid))

    # Waiting

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

    def finish(self, encoding: str | None, errors: str) -> PipelineReport:
        try:
            pumps = {index: job.result() for index, job in self.pumps.items()}
            captured = {role: job.result().data for role, job in self.captures.items()}
            stages = tuple(
                StageReport(command, process.pid, process.wait())
                for command, process in zip(self.commands, self.processes, strict=True)
            )
        finally:
            self.abort()
        hops = []
        for index in range(len(stages) - 1):
            pump = pumps.get(index)
            hops.append(HopReport("direct", None, None) if pump is None else HopReport(pump.way, pump.bytes, pump))
        texts: dict[str, bytes | str] = captured
        if encoding is not None:
            texts = {
                role: data.decode(encoding, errors) if isinstance(data, bytes) else data
                for role, data in captured.items()
            }
        elapsed = time.perf_counter() - self.started
        return PipelineReport(stages, tuple(hops), texts.get("stdout"), texts.get("stderr"), elapsed)

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
    last stage's output but leaves diagnostics where ours go. What is captured is text if `encoding` is given, and may have
    `capture_limit` bytes at most. `check` raises `PipelineError` unless the report is `ok`. `timeout`: seconds until
    `TimeoutError`. `pipe_size`: capacity of the pipes in bytes.

    Each stage has a process group of its own. On a timeout or any other exception all of them are killed, with whatever
    they have started, and reaped.

    Raises `OSError` if a program cannot be started, `StreamLimitError`, `PipelineError`, `TimeoutError`.
    """
    run = _Pipeline(
        commands, stdin, stdout, stderr, observe, tee or {}, limit or {}, capture_limit, pipe_size, cwd, env
    )
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        for fd in run.waits():
            while not poll([(fd, POLLIN)], _pause(deadline, timeout, _run.TICK)):
                pass
        while not run.exited():
            time.sleep(_pause(deadline, timeout, 0.005))
    except BaseException:
        run.abort()
        raise
    return _judge(run.finish(encoding, errors), check)


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
        commands, stdin, stdout, stderr, observe, tee or {}, limit or {}, capture_limit, pipe_size, cwd, env
    )
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        for fd in run.waits():
            while not await _run.readable(fd, None if deadline is None else _pause(deadline, timeout, 3600.0)):
                pass
        while not run.exited():
            await _run.sleep(_pause(deadline, timeout, 0.005))
    except BaseException:
        run.abort()
        raise
    return _judge(run.finish(encoding, errors), check)


def _pause(deadline: float | None, timeout: float | None, longest: float) -> float:
    """How long to wait at most; `TimeoutError` if the time is over."""
    if deadline is None:
        return longest
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"not over after {timeout} seconds")
    return min(left, longest)


def _judge(report: PipelineReport, check: bool) -> PipelineReport:
    if check and not report.ok:
        raise PipelineError(report)
    return report
