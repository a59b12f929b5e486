"""Where the native module is loaded: in the main interpreter alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
sys.path[:] = {path!r}
try:
    import ottava
    class Row(ottava.Model):
        a: int
    Row(a="1")
except ImportError as error:
    assert "subinterpreter" in str(error), error
else:
    raise AssertionError("not refused")
import ottava.streams
"""

PROGRAM = """
try:
    import _interpreters as interpreters
    make = lambda: interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as interpreters
    make = interpreters.create
import sys

def run(one):
    failed = interpreters.run_string(one, {code!r}.format(path=sys.path))
    assert not failed, failed

first = make()
run(first)
import ottava
class Row(ottava.Model):
    a: int
assert Row(a="1").a == 1
run(first)
second = make()
run(second)
interpreters.destroy(first)
interpreters.destroy(second)
assert Row(a="2").a == 2
print("done")
"""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="subinterpreters of CPython")
def test_a_subinterpreter_is_refused() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(code=CODE)], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout.endswith("done\n"), run.stderr
