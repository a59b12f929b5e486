"""Long chains of instances are freed one after another, and each as if it were alone."""

import gc
import subprocess
import sys
from typing import Any

import ottava

LONG = """
import ottava

class Link(ottava.Model):
    next: int
    name: str = "x"

class Wide(ottava.Model):
    {fields}

for cls, field in ((Link, "next"), (Wide, "f3")):
    link = cls.model_construct()
    for _ in range(300_000):
        link = cls.model_construct(**{{field: link}})
    del link
print("freed")
"""


class Link(ottava.Model):
    next: int
    other: int = 0


def test_a_chain_longer_than_a_stack_is_freed() -> None:
    script = LONG.format(fields="\n    ".join(f"f{number}: int = 0" for number in range(40)))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "freed"), done.stderr


def test_finalizers_run_once_and_may_keep_what_they_free() -> None:
    assert not gc.is_tracked(Link(next=1))
    freed: list[Any] = []
    kept: list[Any] = []

    class Last(Link):
        def __del__(self) -> None:
            freed.append(self.other)
            if self.other == 2:
                kept.append(self)

    made = [Last(next=0, other=number) for number in range(4)]
    chain = Link.model_construct(next=Link.model_construct(next=made[1], other=made[2]), other=made[3])
    del made[1:]
    del chain
    assert sorted(freed) == [1, 2, 3]
    assert [link.other for link in kept] == [2]
    assert kept[0].model_dump() == {"next": 0, "other": 2}


def test_what_others_refer_to_stays() -> None:
    inner = Link(next=1)
    chain = Link.model_construct(next=inner, other=Link.model_construct(next=inner, other=[inner]))
    del chain
    assert sys.getrefcount(inner) == 2
    assert inner == Link(next=1)
