"""Which backend does the work: `OTTAVA_STREAM_BACKEND`."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, cast

from ottava.errors import StreamOptionError

if TYPE_CHECKING:
    from ottava.streams._job import Backend

__all__ = ["backend", "backend_name"]

VARIABLE = "OTTAVA_STREAM_BACKEND"


def backend() -> Backend:
    """The backend that the environment asks for now.

    `auto`, or nothing: the native one if it can be imported, else the pure-Python one. `rust`: the native one.
    `python`: the pure-Python one.

    Raises `ImportError` if the native module was asked for and is missing, `StreamOptionError` for any other word.
    """
    wish = os.environ.get(VARIABLE) or "auto"
    if wish == "python":
        return _load("_python")
    if wish == "rust":
        return _load("_native")
    if wish != "auto":
        raise StreamOptionError(f"{VARIABLE} is {wish!r}, not 'auto', 'rust' or 'python'")
    try:
        return _load("_native")
    except ImportError:
        return _load("_python")


def backend_name() -> str:
    """Name of the backend that is used now: "rust" or "python". Raises as `backend` does."""
    return backend().name


def _load(name: str) -> Backend:
    return cast("Backend", import_module(f"ottava.streams.{name}").BACKEND)
