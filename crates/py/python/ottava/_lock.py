"""Lock files on disk."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from ottava._native import Schema, SchemaLock
from ottava.errors import LockError

__all__ = ["default_path", "lock", "read", "write"]


def default_path(schema: Schema) -> Path:
    """`node.schema.lock` in the current folder, for a record called `Node`."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", schema.name or "schema").lower()
    return Path(re.sub(r"[^a-z0-9_.-]", "_", name) + ".schema.lock")


def read(path: str | os.PathLike[str]) -> SchemaLock:
    """The lock in a file. `LockError` where the file is not what was written, `OSError` where it cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as err:
        raise LockError(f"{os.fspath(path)}: not UTF-8") from err
    try:
        return SchemaLock.parse(text)
    except LockError as err:
        raise LockError(f"{os.fspath(path)}: {err}", err.changes) from None


def write(path: str | os.PathLike[str], lock: SchemaLock) -> None:
    """Write a lock file in one step: a reader sees the old one or the new one."""
    target = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=target.name + ".", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(lock.to_json())
            file.flush()
            os.fsync(file.fileno())
        mode = target.stat().st_mode if target.exists() else 0o644
        os.chmod(temporary, mode & 0o777)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def lock(
    schema: Schema, version: str, path: str | os.PathLike[str] | None = None, mode: str | None = None
) -> SchemaLock:
    """Lock a schema as the next version of a lock file, which is made if there is none."""
    target = default_path(schema) if path is None else Path(path)
    if target.exists():
        found = read(target)
        if found.name != schema.name:
            raise LockError(f"{target} is the lock of {found.name}, not of {schema.name}")
        if mode is not None:
            found.set_mode(mode)
    else:
        found = SchemaLock(schema.name, mode=mode or "backward")
    found.add(version, schema)
    write(target, found)
    return found
