"""Models are used until the interpreter is gone."""

import subprocess
import sys

import pytest

CALLS = {
    "convert": "A.model_validate({'x': '1'})",
    "refuse": "refused({'x': 'q'})",
    "call": "A(x='1')",
    "compare": "A(x=1) == A(x=1)",
    "dump": "A(x=1).model_dump(exclude_none=True)",
    "json": "A.model_validate_json('{\"x\": \"1\"}')",
}

SCRIPT = """
import ottava

class A(ottava.Model):
    x: int

def refused(value, A=A, Error=ottava.ValidationError):
    try:
        A.model_validate(value)
    except Error as error:
        return str(error)

class Closer:
    def __del__(self, A=A, refused=refused, print=print):
        {call}
        print("done")

closer = Closer()
"""


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_call_while_the_interpreter_shuts_down(name: str) -> None:
    script = SCRIPT.format(call=CALLS[name])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
