"""Everything works where the native module cannot be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "ottava._native":
            raise ImportError("no native module here")
sys.meta_path.insert(0, Absent())
"""


def python(script: str, backend: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "OTTAVA_STREAM_BACKEND"}
    if backend is not None:
        environment["OTTAVA_STREAM_BACKEND"] = backend
    return subprocess.run([sys.executable, "-c", BLOCK + script], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("backend", [None, "", "auto", "python"])
def test_auto_falls_back(backend: str | None) -> None:
    script = "from ottava import streams; print(streams.backend_name())"
    assert python(script, backend).stdout == "python\n"


def test_rust_insists() -> None:
    script = """
from ottava import streams
try:
    streams.pump_sync(0, 1)
except ImportError as error:
    print(error)
"""
    assert python(script, "rust").stdout == "no native module here\n"


def test_other_words_are_refused() -> None:
    script = """
from ottava import streams
try:
    streams.pump_sync(0, 1)
except ValueError as error:
    print(error)
"""
    assert python(script, "Rust").stdout == "OTTAVA_STREAM_BACKEND is 'Rust', not 'auto', 'rust' or 'python'\n"


def test_the_import_is_cheap() -> None:
    script = """
import sys
from ottava import streams
heavy = {"numpy", "pyarrow", "trio", "anyio", "uvloop", "ottava._native"}
print(sorted(heavy & set(sys.modules)))
"""
    assert python(script, None).stdout == "[]\n"


@pytest.mark.timeout(1200)
def test_the_whole_suite_without_the_native_module(tmp_path: Path) -> None:
    here = Path(__file__).parent
    plugin = tmp_path / "absent_native.py"
    plugin.write_text(BLOCK)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    names = ["test_pump.py", "test_consume.py", "test_lines.py", "test_tee.py", "test_event_loops.py"]
    names += ["test_pipelines.py", "test_signals.py", "test_properties.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "absent_native", "-p", "no:cacheprovider", "-x"]
    command += ["-k", "not rust and not native"]
    done = subprocess.run([*command, *(str(here / name) for name in names)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
