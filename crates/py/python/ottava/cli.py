"""The command `ottava`: schemas in continuous integration, and a doctor for slow ingestion.

Every command takes `--json` and prints one document then. Exit codes: 0 all is well, 1 the answer is no (a schema is not compatible, a
trigger is met), 2 the command or its input is wrong.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn, Optional

try:
    import typer
    from rich.console import Console
    from rich.table import Table
except ImportError:  # pragma: no cover - the extra is installed where the command is tested
    sys.exit("the command line needs an extra: pip install 'ottava[cli]'")

from ottava._lock import default_path, read, write
from ottava.errors import LockError, OttavaError
from ottava.ingest import Schema, SchemaLock

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Schemas, stores and their health.")
schema_app = typer.Typer(no_args_is_help=True, help="Lock schemas, and hold them against what was locked.")
doctor_app = typer.Typer(no_args_is_help=True, help="Measure on your own data.")
app.add_typer(schema_app, name="schema")
app.add_typer(doctor_app, name="doctor")

Target = Annotated[str, typer.Argument(help="package.module:Name of a model or Schema, or an Arrow or Parquet file.")]
LockPath = Annotated[Optional[Path], typer.Option("--lock", help="The lock file; NAME.schema.lock by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def _fail(message: str, as_json: bool) -> NoReturn:
    if as_json:
        print(json.dumps({"ok": False, "error": message}))
    else:
        Console(stderr=True, highlight=False).print(f"ottava: {message}", markup=False, soft_wrap=True)
    raise typer.Exit(2)


def _load(target: str) -> Schema:
    """The schema that a target names."""
    path = Path(target)
    if path.suffix in (".arrow", ".feather", ".ipc", ".parquet") and path.exists():
        import pyarrow as pa
        import pyarrow.parquet

        if path.suffix == ".parquet":
            return Schema.from_arrow(pa.parquet.read_schema(path), name=path.stem)
        with pa.memory_map(str(path)) as file:
            return Schema.from_arrow(pa.ipc.open_file(file).schema, name=path.stem)
    module_name, colon, name = target.partition(":")
    if not colon:
        raise ValueError(f"{target!r} is neither a file nor package.module:Name")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as err:  # whatever a module does while it is imported is no answer of this command
        raise ValueError(f"cannot load {target}: {type(err).__name__}: {err}") from err
    found = getattr(found, "__schema__", found)
    if not isinstance(found, Schema):
        raise ValueError(f"{target} is a {type(found).__name__}, neither a model nor a Schema")
    return found


def _open(target: str, lock: Path | None, as_json: bool) -> tuple[Schema, Path, SchemaLock]:
    try:
        schema = _load(target)
        path = lock or default_path(schema)
        return schema, path, read(path)
    except FileNotFoundError as err:
        _fail(f"no lock file {err.filename}; `ottava schema lock` makes one", as_json)
    except (OttavaError, ValueError, OSError) as err:
        _fail(str(err), as_json)


def _changes(title: str, changes: list[dict[str, Any]]) -> None:
    table = Table("field", "change", "new readers, old data", "old readers, new data", title=title, title_justify="left")
    for change in changes:
        verdicts = ["ok" if change[side] else "BREAKS" for side in ("backward", "forward")]
        table.add_row(change["path"] or "(root)", change["message"], *verdicts)
    Console(highlight=False).print(table)


@schema_app.command("check")
def check(target: Target, lock: LockPath = None, as_json: AsJson = False) -> None:
    """Hold a schema against every locked version. Exit code 1 if the mode of the lock does not allow the changes."""
    schema, path, found = _open(target, lock, as_json)
    verdicts = found.check(schema)
    good = all(verdict["compatible"] for verdict in verdicts)
    if as_json:
        locked_as = found.find(schema)
        document = {"ok": good, "lock": str(path), "mode": found.mode, "locked_as": locked_as, "versions": verdicts}
        print(json.dumps(document))
    else:
        for verdict in verdicts:
            if verdict["broken"]:
                _changes(f"not {found.mode} compatible with version {verdict['version']}", verdict["broken"])
        if good:
            versions = ", ".join(verdict["version"] for verdict in verdicts)
            print(f"{schema.name}: {found.mode} compatible (locked: {versions})")
    raise typer.Exit(0 if good else 1)


@schema_app.command("diff")
def show_diff(
    target: Target,
    version: Annotated[Optional[str], typer.Option(help="The locked version; the newest by default.")] = None,
    lock: LockPath = None,
    as_json: AsJson = False,
) -> None:
    """Show field by field what a schema changes. Exit code 1 if it changes anything."""
    schema, path, found = _open(target, lock, as_json)
    try:
        old = found.schema(version)
    except LockError as err:
        _fail(f"{path}: no version {version}: {err}", as_json)
    changes = old.diff(schema)
    name = version or found.versions[-1][0]
    if as_json:
        print(json.dumps({"ok": not changes, "version": name, "changes": changes}))
    elif changes:
        _changes(f"since version {name}", changes)
    else:
        print(f"{schema.name}: no change since version {name}")
    raise typer.Exit(1 if changes else 0)


@schema_app.command("lock")
def make_lock(
    target: Target,
    version: Annotated[str, typer.Argument(help="The version, such as 1.0.")],
    lock: LockPath = None,
    mode: Annotated[
        Optional[str], typer.Option(help="exact, backward, forward or full, each also with -transitive.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lock a schema as a new version. Exit code 1 if the rules of the lock refuse it; the file is then as it was."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", version):
        _fail(f"{version!r} is not a version: numbers joined by dots", as_json)
    try:
        schema = _load(target)
        path = lock or default_path(schema)
        found = read(path) if path.exists() else SchemaLock(schema.name, mode=mode or "backward")
        if mode:
            found.set_mode(mode)
    except (OttavaError, ValueError, OSError) as err:
        _fail(str(err), as_json)
    if found.name != schema.name:
        _fail(f"{path} is the lock of {found.name}, not of {schema.name}", as_json)
    try:
        found.add(version, schema)
    except LockError as err:
        if as_json:
            print(json.dumps({"ok": False, "error": str(err), "changes": err.changes}))
        else:
            Console(stderr=True, highlight=False).print(str(err), markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    try:
        write(path, found)
    except OSError as err:
        _fail(str(err), as_json)
    if as_json:
        print(json.dumps({"ok": True, "lock": str(path), "version": version, "fingerprint": schema.fingerprint}))
    else:
        print(f"locked {schema.name} {version} in {path}: {schema.fingerprint}")


@doctor_app.command("ingest")
def doctor_ingest(
    file: Annotated[Path, typer.Argument(help="NDJSON or a JSON array, or an Arrow or Parquet file.")],
    target: Annotated[Optional[str], typer.Option("--schema", help="package.module:Name of the records' model.")] = None,
    id: Annotated[str, typer.Option(help="The id column.")] = "id",
    limit: Annotated[float, typer.Option(help="Seconds that an ingestion may take.")] = 30.0,
    rows: Annotated[Optional[int], typer.Option(min=1, help="Measure the first rows alone, and extrapolate.")] = None,
    total: Annotated[Optional[int], typer.Option(help="Rows of the whole workload, if the file is a sample.")] = None,
    as_json: AsJson = False,
) -> None:
    """Time both ways of ingestion on a file, and say whether the fast one is worth it.

    The trigger is met where the flexible way takes longer than `--limit` for the whole workload. Exit code 1 says that it is met.
    """
    from ottava.doctor import measure

    try:
        schema = _load(target) if target else None
        found = measure(file, schema, id=id, limit=limit, rows=rows, total=total)
    except (OttavaError, ValueError, OSError, ImportError) as err:
        _fail(str(err), as_json)
    if as_json:
        print(json.dumps({"ok": not found["triggered"], **found}))
    else:
        table = Table("way", "seconds", "rows/s", title=f"{file}: {found['rows']:,} of {found['total']:,} rows")
        for name, seconds in found["seconds"].items():
            table.add_row(name, f"{seconds:.3f}", f"{found['rows'] / seconds:,.0f}" if seconds else "-")
        Console(highlight=False).print(table)
        print(found["verdict"])
    raise typer.Exit(1 if found["triggered"] else 0)


def main() -> None:
    """Run the command line."""
    app(prog_name="ottava")


if __name__ == "__main__":
    main()
