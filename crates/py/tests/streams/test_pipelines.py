"""Real programs, joined."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from watching import SOON, eventually

from ottava import streams
from ottava.errors import PipelineError, StreamLimitError, StreamOptionError

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


def test_a_program_that_does_not_exist(backend: str) -> None:
    with pytest.raises(FileNotFoundError):
        streams.pipeline_sync([["yes"], ["cat"], ["no-such-program"]], observe=True)


@pytest.mark.parametrize("commands", [[], ["ls -l"], [[]], [["cat"], "wc"]])
def test_bad_commands(backend: str, commands: Any) -> None:
    with pytest.raises(StreamOptionError):
        streams.pipeline_sync(commands)


def test_bad_hops(backend: str) -> None:
    with pytest.raises(StreamOptionError, match="hop 1 is not between 0 and 0"):
        streams.pipeline_sync([["cat"], ["cat"]], observe=[1])


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
    import asyncio

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
