"""Real programs, joined."""

from __future__ import annotations

import asyncio
import gzip
import os
import pty
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from watching import SOON, children, eventually

from ottava import streams
from ottava.errors import PipelineError, StreamLimitError, StreamOptionError, StreamReadError, StreamWriteError

TEXT = "".join(f"{random.Random(i).randrange(10_000)} line\n" for i in range(20_000)).encode()
PYTHON = [sys.executable, "-c"]


def processes(word: str) -> list[Path]:
    """Processes with `word` in their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes():
                found.append(path)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def shell(command: str, data: bytes) -> bytes:
    return subprocess.run(["sh", "-c", command], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("observe", [False, True])
@pytest.mark.parametrize(
    ("commands", "line"),
    [
        ([["cat"]], "cat"),
        ([["sort"], ["uniq", "-c"], ["sort", "-rn"]], "sort | uniq -c | sort -rn"),
        ([["gzip", "-c"], ["gzip", "-dc"], ["wc", "-c"]], "gzip -c | gzip -dc | wc -c"),
        ([["grep", "7"], ["tail", "-5"]], "grep 7 | tail -5"),
        ([["cat"], [*PYTHON, "import sys; print(sum(1 for _ in sys.stdin))"]], "wc -l"),
        (
            [
                ["sort", "-n"],
                ["gzip", "-c"],
                ["cat"],
                ["gzip", "-dc"],
                ["grep", "-v", "3"],
                [*PYTHON, "import sys; sys.stdout.writelines(line.upper() for line in sys.stdin)"],
                ["uniq"],
                ["tail", "-1000"],
            ],
            "sort -n | grep -v 3 | tr a-z A-Z | uniq | tail -1000",
        ),
    ],
)
def test_as_the_shell(backend: str, commands: list[list[str]], line: str, observe: bool) -> None:
    report = streams.pipeline_sync(commands, stdin=TEXT, observe=observe)
    assert report.stdout == shell(line, TEXT)
    assert report.ok
    assert {hop.way for hop in report.hops} <= ({"splice"} if observe else {"direct"})
    assert [stage.command for stage in report.stages] == [tuple(command) for command in commands]
    if observe and line.startswith("sort"):
        assert report.hops[0].bytes == len(TEXT)


@pytest.mark.parametrize("observe", [False, True])
def test_yes_head(backend: str, observe: bool) -> None:
    report = streams.pipeline_sync([["yes"], ["head", "-1"]], observe=observe)
    assert report.stdout == b"y\n"
    assert [stage.returncode for stage in report.stages] == [-signal.SIGPIPE, 0]
    assert report.ok


def test_tee_and_limit(backend: str, tmp_path: Path) -> None:
    with open(tmp_path / "copy", "wb") as copy:
        report = streams.pipeline_sync(
            [["cat"], ["cat"], ["wc", "-c"]], stdin=TEXT, tee={0: [copy]}, limit={1: 1000}
        )
    assert report.stdout == b"1000\n"
    assert report.hops[1].bytes == 1000
    assert TEXT.startswith((tmp_path / "copy").read_bytes())
    assert report.hops[0].way == ("tee" if backend == "rust" else "read/write")


def test_files_in_and_out(backend: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(TEXT)
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out.gz", "wb") as target:
        report = streams.pipeline_sync([["cat"], ["gzip", "-c"]], stdin=source, stdout=target)
    assert report.stdout is None
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == TEXT


def test_text_and_diagnostics(backend: str) -> None:
    commands = [[*PYTHON, "import sys; print('é'); print('one', file=sys.stderr)"], ["sh", "-c", "cat; echo two >&2"]]
    report = streams.pipeline_sync(commands, stderr=streams.CAPTURE, encoding="utf-8")
    assert report.stdout == "é\n"
    assert sorted(str(report.stderr).split()) == ["one", "two"]


def test_check(backend: str) -> None:
    commands = [["sh", "-c", "exit 3"], ["cat"]]
    report = streams.pipeline_sync(commands)
    assert not report.ok
    with pytest.raises(PipelineError, match=r"the pipeline failed: stage 0 \(sh\) with 3"):
        streams.pipeline_sync(commands, check=True)


def test_only_what_failed_is_named(backend: str) -> None:
    # The first only lost its reader.
    commands = [["yes"], ["head", "-1"], ["sh", "-c", "cat; exit 3"], ["sh", "-c", "cat; exit 4"]]
    with pytest.raises(PipelineError) as caught:
        streams.pipeline_sync(commands, check=True)
    assert str(caught.value) == "the pipeline failed: stage 2 (sh) with 3, stage 3 (sh) with 4"
    assert caught.value.report.failed == (2, 3)


def test_a_program_that_does_not_exist(backend: str) -> None:
    with pytest.raises(FileNotFoundError):
        streams.pipeline_sync([["yes"], ["cat"], ["no-such-program"]], observe=True)


@pytest.mark.parametrize("commands", [[], ["ls -l"], [[]], [["cat"], "wc"]])
def test_bad_commands(backend: str, commands: Any) -> None:
    with pytest.raises(StreamOptionError):
        streams.pipeline_sync(commands)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"observe": [1]}, "observe has hop 1, not between 0 and 0"),
    ({"observe": [0, -1]}, "observe has hop -1, not between 0 and 0"),
    ({"observe": 1}, "observe is 1, neither a truth value nor a collection of hops"),
    ({"observe": "0"}, "observe is '0', neither a truth value nor a collection of hops"),
    ({"observe": ["0"]}, "observe has '0', which is no number of a hop"),
    ({"tee": {2: []}}, "tee has hop 2, not between 0 and 0"),
    ({"tee": 5}, "tee is 5, not a mapping from numbers of hops"),
    ({"tee": {0: 5}}, r"tee\[0\] is 5, not a sequence of writers"),
    ({"limit": {-1: 5}}, "limit has hop -1, not between 0 and 0"),
    ({"limit": [5]}, r"limit is \[5\], not a mapping from numbers of hops"),
    ({"timeout": "5"}, "timeout is '5', not a number of seconds"),
    ({"timeout": float("nan")}, "timeout is nan, not a number of seconds"),
    ({"encoding": "klingon"}, "encoding is 'klingon'"),
    ({"encoding": "hex"}, "encoding is 'hex', which is not one of text"),
    ({"encoding": "utf-8", "errors": "shrug"}, "errors 'shrug'"),
    ({"stdin": subprocess.PIPE}, "stdin is -1, which is no file descriptor"),
    ({"stdout": subprocess.PIPE}, "stdout is -1, which is no file descriptor"),
    ({"stdout": subprocess.DEVNULL}, "stdout is -3, which is no file descriptor"),
    ({"stderr": subprocess.STDOUT}, "stderr is -2, which is no file descriptor"),
]


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_options(backend: str, options: dict[str, Any], message: str, kind: str) -> None:
    before = children()
    with pytest.raises(StreamOptionError, match=message):
        if kind == "sync":
            streams.pipeline_sync([["sleep", "1000"], ["cat"]], **options)
        else:
            asyncio.run(_pipeline([["sleep", "1000"], ["cat"]], **options))
    assert children() == before


async def _pipeline(*arguments: Any, **options: Any) -> streams.PipelineReport:
    return await streams.pipeline(*arguments, **options)


def test_one_command_has_no_hops(backend: str) -> None:
    with pytest.raises(StreamOptionError, match="observe has hop 0, and one command has none"):
        streams.pipeline_sync([["cat"]], observe=[0])


def test_bad_descriptors(backend: str, pipes: Any) -> None:
    before = children()
    read, write = pipes.pipe()
    for bad in (4000, 1 << 31, 1 << 40, write):
        with pytest.raises(StreamReadError, match=f"cannot read from fd {bad} after 0 bytes: Bad file descriptor"):
            streams.pipeline_sync([["cat"]], stdin=bad)
    for role in ("stdout", "stderr"):
        for bad in (4000, 1 << 31, 1 << 40, read):
            with pytest.raises(StreamWriteError, match=f"cannot write to fd {bad} after 0 bytes: Bad file descriptor"):
                streams.pipeline_sync([["cat"]], **{role: bad})
    assert children() == before


def test_a_stage_reads_the_terminal(backend: str) -> None:
    script = """
import sys
from ottava import streams
print("ready", flush=True)
print("got", streams.pipeline_sync([["head", "-1"], ["cat"]], stdin=sys.stdin, timeout=60).stdout, flush=True)
"""
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover - another process
        os.execv(sys.executable, [*PYTHON, script])
    out, typed = b"", False
    try:
        while b"got b'typed\\n'" not in out:
            out += os.read(terminal, 1000)
            if not typed and b"ready" in out:
                typed = os.write(terminal, b"typed\n") > 0
    finally:
        os.close(terminal)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def test_why_a_hop_is_as_it_is(backend: str, pipes: Any) -> None:
    _, write = pipes.pipe()
    report = streams.pipeline_sync([["true"]] * 5, observe=[1], tee={2: [write]}, limit={3: 5})
    assert [hop.why for hop in report.hops] == ["nobody observes it", "observe", "tee", "limit"]
    assert [hop.pump is None for hop in report.hops] == [True, False, False, False]


def test_the_loop_has_turns_while_stages_start(backend: str) -> None:
    async def work() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.ensure_future(count())
        with pytest.raises(FileNotFoundError):
            await streams.pipeline([*[["true"]] * 40, ["no-such-program"]], observe=True)
        counting.cancel()
        return turns

    # All of them start in no time only if they take no more than one turn of 5 ms together.
    assert asyncio.run(work()) > 0


def test_capture_limit(backend: str) -> None:
    with pytest.raises(StreamLimitError):
        streams.pipeline_sync([["yes"]], capture_limit=100_000)


@pytest.mark.parametrize("observe", [False, True])
def test_a_grandchild_cannot_defeat_a_timeout(backend: str, tmp_path: Path, observe: bool) -> None:
    script = f"(sleep 1000; touch {tmp_path}/survived) & echo started"
    with pytest.raises(TimeoutError, match="not over after 0.5 seconds"):
        streams.pipeline_sync([["sh", "-c", script], ["cat"]], timeout=0.5, observe=observe)
    assert eventually(lambda: not processes(f"{tmp_path}/survived"))


@pytest.mark.parametrize("observe", [False, True])
def test_a_killed_producer(backend: str, observe: bool) -> None:
    report = streams.pipeline_sync([["sh", "-c", "echo before; kill -9 $$"], ["cat"]], observe=observe)
    assert report.stdout == b"before\n"
    assert report.stages[0].returncode == -signal.SIGKILL
    assert not report.ok


def test_a_consumer_that_stops_reading(backend: str) -> None:
    reader = "import os,sys,time; os.read(0, 10); os.close(0); time.sleep(0.2); print('done')"
    report = streams.pipeline_sync([["yes"], [*PYTHON, reader]], observe=True, timeout=SOON)
    assert report.stdout == b"done\n"
    assert report.stages[0].returncode == -signal.SIGPIPE


@pytest.mark.parametrize("observe", [False, True])
def test_sixty_four_stages(backend: str, observe: bool) -> None:
    report = streams.pipeline_sync([["cat"]] * 64, stdin=TEXT, observe=observe, timeout=SOON * 4)
    assert report.stdout == TEXT
    assert report.ok
    assert len(report.hops) == 63


def test_sixty_four_stages_stop_at_once(backend: str) -> None:
    with pytest.raises(TimeoutError):
        streams.pipeline_sync([["yes"], *[["cat"]] * 62, ["sleep", "1000"]], observe=True, timeout=1)


def test_environment_and_directory(backend: str, tmp_path: Path) -> None:
    report = streams.pipeline_sync(
        [["sh", "-c", "echo $WORD; pwd"]], env={"WORD": "here", "PATH": os.environ["PATH"]}, cwd=tmp_path
    )
    assert report.stdout == f"here\n{tmp_path}\n".encode()


def test_nothing_to_read(backend: str) -> None:
    assert streams.pipeline_sync([["cat"]]).stdout == b""
    assert streams.pipeline_sync([["cat"]], stdin=b"").stdout == b""


def test_a_storm_of_processes(backend: str) -> None:
    async def storm() -> int:
        done = 0
        for _ in range(10):
            runs = [
                streams.pipeline([["echo", str(i)], ["cat"]], observe=i % 2 == 0, timeout=SOON * 4) for i in range(50)
            ]
            reports = await asyncio.gather(*runs)
            assert [report.stdout for report in reports] == [b"%d\n" % i for i in range(50)]
            done += sum(len(report.stages) for report in reports)
        return done

    assert asyncio.run(storm()) == 1000
