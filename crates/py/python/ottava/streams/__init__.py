"""Bytes between file descriptors: pump, consume, lines, tee, pipelines.

Readers and writers are descriptors or anything with `fileno()`. Under asyncio (and uvloop, and anyio) asyncio's own
streams can be used too. Each operation exists twice: `pump` to be awaited under asyncio, uvloop or trio, `pump_sync` to be
called from a thread. Either does its work in a thread of its own, without the interpreter lock where the native module
is there, and without any executor.

The environment variable `OTTAVA_STREAM_BACKEND` selects the backend at each call: `auto` (the native module if it can be
imported, else pure Python), `rust`, or `python`. Both give the same bytes, text, lines and exceptions.
"""

from __future__ import annotations

from ottava.errors import PipelineError
from ottava.streams._asyncio import AsyncReader, AsyncWriter
from ottava.streams._backend import backend_name
from ottava.streams._ends import FileLike
from ottava.streams._lines import AsyncLines, Lines, each_line, each_line_sync, lines, lines_sync
from ottava.streams._pipelines import (
    CAPTURE,
    HopReport,
    PipelineReport,
    StageReport,
    pipeline,
    pipeline_sync,
)
from ottava.streams._reports import Consumed, Ending, LineBlob, LinesReport, PumpReport, Refusal, SinkReport
from ottava.streams._transfers import consume, consume_sync, count_lines, count_lines_sync, pump, pump_sync

__all__ = [
    "CAPTURE",
    "AsyncLines",
    "AsyncReader",
    "AsyncWriter",
    "Consumed",
    "Ending",
    "FileLike",
    "HopReport",
    "LineBlob",
    "Lines",
    "LinesReport",
    "PipelineError",
    "PipelineReport",
    "PumpReport",
    "Refusal",
    "SinkReport",
    "StageReport",
    "backend_name",
    "consume",
    "consume_sync",
    "count_lines",
    "count_lines_sync",
    "each_line",
    "each_line_sync",
    "lines",
    "lines_sync",
    "pipeline",
    "pipeline_sync",
    "pump",
    "pump_sync",
]
