"""The examples of the README and of the user guide do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/spatial.md", "docs/ingestion.md", "docs/streams.md", "docs/validation.md"])
def test_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "document"}
    examples = blocks(page)
    assert len(examples) >= 3
    for number, block in enumerate(examples, start=1):
        exec(compile(block, f"{page} example {number}", "exec", dont_inherit=True), namespace)


def test_the_worker_of_the_guide_hands_its_tables_over(tmp_path: Path) -> None:
    (example,) = blocks("docs/handover.md")[:1]
    program = tmp_path / "handover_demo.py"
    program.write_text(example, encoding="utf-8")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"100000 rows, ids up to {n}99999" for n in ("", "1", "2")]
