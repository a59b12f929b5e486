"""What takes long lets signal handlers run meanwhile, and ends with what they raise; what has many issues says how many."""

import json
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Dict, List

import pytest

from ottava import Model, Schema, TypeAdapter, ValidationError
from ottava.errors import Issues


class Point(Model):
    x: int = 0


class Points(Model):
    points: List[Point] = []


MANY = 1_000_000

# Each item is tried many times.
OFTEN = Schema.from_json_schema({"items": {"anyOf": [{"type": "string"}] * 40 + [{"type": "integer"}]}})
ITEMS = "[" + "1," * MANY + "1]"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no timers that send signals")


class Enough(Exception):
    """Raised by the handler."""


@contextmanager
def ticking(most: int) -> Iterator[List[None]]:
    """Signals come all the time; the handler raises at the `most`th. During a call that is not interrupted, all of them count as one."""
    seen: List[None] = []

    def tick(*_: object) -> None:
        seen.append(None)
        if len(seen) >= most:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Enough

    old = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        yield seen
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


@pytest.mark.parametrize("kind", [str, str.encode, lambda text: bytearray(text.encode())], ids=["str", "bytes", "bytearray"])
def test_a_schema_without_a_class_is_interrupted(kind: Callable[[str], Any]) -> None:
    text = kind(ITEMS)
    for call in (OFTEN.is_valid_json, OFTEN.validate_json, OFTEN.issues_json):
        with pytest.raises(Enough), ticking(3):
            call(text)


WAYS: Dict[str, Any] = {
    "items that do not fit": (TypeAdapter(List[int]).validate_json, '["x"' + ',"x"' * MANY + "]"),
    "what is ignored": (Point.model_validate_json, '{"y": [' + "[]," * 4 * MANY + "[]]}"),
    "keys that are ignored": (
        Points.model_validate_json,
        '{"points": [{' + ",".join(f'"k{key}": 0' for key in range(MANY)) + "}]}",
    ),
    "values of any type": (TypeAdapter(Any).validate_json, ITEMS),
    "records": (Points.model_validate_json, '{"points": [{"x": 1}' + ',{"x": 1}' * MANY + "]}"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_large_text_is_interrupted(way: str) -> None:
    read, text = WAYS[way]
    with pytest.raises(Enough), ticking(3):
        read(text)


def test_an_interruption_is_not_lost_where_the_input_of_an_issue_is_read() -> None:
    text = '{"y": [' + "1," * MANY + "1]}"

    class Needs(Model):
        x: int

    with pytest.raises(ValidationError) as caught:
        Needs.model_validate_json(text)
    for _ in range(10):
        with ticking(1) as seen:
            try:
                caught.value.errors()
            except Enough:
                return
        assert not seen
    pytest.fail("no signal came")


def test_the_answer_is_the_same_as_for_a_small_text() -> None:
    with ticking(1 << 60) as seen:
        assert OFTEN.is_valid_json(ITEMS)
        assert not OFTEN.is_valid_json(ITEMS[:-1])
        assert not OFTEN.is_valid_json(ITEMS[:-1] + ",null]")
        assert OFTEN.validate_json(ITEMS) == [1] * (MANY + 1)
        assert [issue["loc"] for issue in OFTEN.issues_json(ITEMS[:-1] + ",null]")] == [(MANY + 1,)]
    assert len(seen) > 4


def test_issues_that_are_not_kept_are_counted() -> None:
    schema = Schema.of(Points)
    wrong = json.dumps({"points": [{"x": "a"}] * 10_500})
    issues = schema.issues_json(wrong)
    assert isinstance(issues, list) and isinstance(issues, Issues)
    assert (len(issues), issues.issues_dropped) == (10_000, 500)
    with pytest.raises(ValidationError) as caught:
        schema.validate_json(wrong)
    assert issues == caught.value.errors() and len(issues) + issues.issues_dropped == caught.value.error_count()
    again = pickle.loads(pickle.dumps(issues))
    assert again == issues and again.issues_dropped == 500
    for text, count in (('{"points": []}', 0), ('{"points": 1}', 1), ("{", 1)):
        issues = schema.issues_json(text)
        assert (len(issues), issues.issues_dropped) == (count, 0)
