"""NDJSON to columns where rows become instances first: the columns hold what the instances' dumps hold, and bad data is an issue of its row."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import json
from typing import Any, Dict, List, NamedTuple, Optional, Union

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import Annotated, TypedDict

from ottava import AfterValidator, Model, PlainValidator, WrapValidator


class Color(enum.Enum):
    RED = "red"
    ONE = 1


@dataclasses.dataclass
class Pair:
    a: int
    b: str = "x"


@dataclasses.dataclass
class Twin:
    a: int


class TwinModel(Model):
    a: int
    c: int = 3


class Named(NamedTuple):
    a: int
    b: Optional[str] = None


class Typed(TypedDict):
    a: int


class Closed(Model):
    a: int
    b: List[int] = []


class Open(Model, extra="allow"):
    a: int


class Deep(Model, extra="allow"):
    o: Open
    many: List[Open] = []
    t: Optional[Typed] = None


def kept(value: Any) -> Any:
    return value


def passed(value: Any, handler: Any) -> Any:
    return handler(value)


TEXT = st.text(st.characters(codec="utf-8"), max_size=4)
SMALL = st.integers(-5, 5)
EXTRA = st.dictionaries(st.sampled_from(["y", "z"]), SMALL | TEXT | st.none() | st.lists(SMALL, max_size=2), max_size=2)


def objects(extra: bool = False, **fields: Any) -> Any:
    made = st.fixed_dictionaries(fields)
    return st.builds(lambda one, more: {**more, **one}, made, EXTRA) if extra else made


OPEN = objects(True, a=SMALL)
# Types of fields with the values that they take in JSON.
TYPES: list[tuple[Any, Any]] = [
    (int, SMALL),
    (str, TEXT),
    (Optional[int], SMALL | st.none()),
    (List[int], st.lists(SMALL, max_size=3)),
    (Dict[str, Optional[int]], st.dictionaries(TEXT, SMALL | st.none(), max_size=2)),
    (Color, st.sampled_from(["red", 1])),
    (Closed, objects(a=SMALL, b=st.lists(SMALL, max_size=2))),
    (Open, OPEN),
    (List[Open], st.lists(OPEN, max_size=2)),
    (Deep, objects(True, o=OPEN, many=st.lists(OPEN, max_size=2), t=objects(a=SMALL))),
    (Pair, objects(a=SMALL, b=TEXT)),
    (Optional[Pair], objects(a=SMALL) | st.none()),
    (Named, st.tuples(SMALL, TEXT).map(list)),
    (Typed, objects(a=SMALL)),
    (Union[Pair, str], objects(a=SMALL) | TEXT),
    (Union[Named, str], st.tuples(SMALL, TEXT).map(list) | TEXT),
    (Union[Open, int], OPEN | SMALL),
    (Union[Pair, Annotated[Any, PlainValidator(lambda value: Twin(**value))]], objects(a=SMALL)),
    (Annotated[Union[Pair, Twin, None], PlainValidator(lambda value: Twin(**value))], objects(a=SMALL)),
    (Annotated[Union[TwinModel, Closed, Open], PlainValidator(lambda value: Open(**value))], OPEN),
    (Annotated[Union[TwinModel, Closed], PlainValidator(lambda value: Closed(**value))], objects(a=SMALL)),
    (Union[Color, dt.timedelta], st.sampled_from(["red", 1])),
    (Union[List[Closed], Dict[str, int], None], st.lists(objects(a=SMALL), max_size=2) | st.none()),
    (Any, SMALL | TEXT | st.lists(SMALL, max_size=2) | st.dictionaries(TEXT, SMALL, max_size=2)),
]
MARKS = [None, AfterValidator(kept), WrapValidator(passed), AfterValidator(kept)]


def model_of(fields: list[tuple[tuple[Any, Any], Any]], extra: str) -> Any:
    notes = {
        f"f{index}": kind if mark is None else Annotated[kind, mark] for index, ((kind, _), mark) in enumerate(fields)
    }
    return type(Model)("Made", (Model,), {"__annotations__": notes, "__module__": __name__}, extra=extra)


def unpacked(column: Any, value: Any) -> Any:
    """A value of a column as JSON has it."""
    if value is None:
        return None
    if str(column.type).startswith("extension<arrow.json"):
        return json.loads(value)
    if pa.types.is_struct(column.type):
        made = {inner.name: unpacked(inner, value[inner.name]) for inner in column.type}
        return {**(made.pop("__extra__", None) or {}), **made}
    if pa.types.is_map(column.type):
        return {key: unpacked(column.type.item_field, item) for key, item in value}
    if pa.types.is_list(column.type):
        return [unpacked(column.type.value_field, item) for item in value]
    return value


def alike(held: Any, dumped: Any) -> bool:
    """Whether a column holds what a dump has: a named tuple has columns by name."""
    if isinstance(held, dict) and isinstance(dumped, list):
        return alike(list(held.values()), dumped)
    if isinstance(held, dict) and isinstance(dumped, dict):
        return held.keys() == dumped.keys() and all(alike(held[key], dumped[key]) for key in held)
    if isinstance(held, list) and isinstance(dumped, list):
        return len(held) == len(dumped) and all(map(alike, held, dumped))
    return bool(held == dumped)


@settings(max_examples=150)
@given(st.data())
def test_columns_hold_what_dumps_hold(data: st.DataObject) -> None:
    fields = data.draw(st.lists(st.tuples(st.sampled_from(TYPES), st.sampled_from(MARKS)), min_size=1, max_size=4))
    made = model_of(fields, data.draw(st.sampled_from(["ignore", "allow", "forbid"])))
    row = {f"f{index}": values for index, ((_, values), _) in enumerate(fields)}
    rows = data.draw(st.lists(objects(made.model_config["extra"] == "allow", **row), min_size=1, max_size=3))
    text = "\n".join(map(json.dumps, rows)).encode()
    table = pa.table(made.to_arrow(text, on_error="raise").table)
    held = [
        {**(found.pop("__extra__", None) or {}), **found}
        for found in (
            {column.name: unpacked(column, value[column.name]) for column in table.schema} for value in table.to_pylist()
        )
    ]
    dumps = [one.model_dump(mode="json") for one in made.model_validate_ndjson(text)]
    assert len(held) == len(dumps)
    for one, other in zip(held, dumps):
        assert alike(one, other), (one, other)


class Whatever:
    pass


class Odd(Model):
    a: Annotated[Any, PlainValidator(lambda value: Whatever() if value == 1 else collections.deque([value]))]


class Bad(Model):
    n: Optional[int] = []  # type: ignore[assignment]


class BadInside(Model):
    b: Bad
    p: Closed = 7  # type: ignore[assignment]


class BadNull(Model):
    c: Closed = {"a": None}  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("model", "text", "good", "loc"),
    [
        (Bad, b'{}\n{"n": 1}', [{"n": 1}], "n"),
        (BadInside, b'{"b": {}, "p": {"a": 1}}\n{"b": {"n": 2}, "p": {"a": 1}}', [{"b": {"n": 2}, "p": {"a": 1, "b": []}}], "b.n"),
        (BadInside, b'{"b": {"n": 1}}\n{"b": {"n": 2}, "p": {"a": 1}}', [{"b": {"n": 2}, "p": {"a": 1, "b": []}}], "p"),
        (BadNull, b'{}\n{"c": {"a": 1}}', [{"c": {"a": 1, "b": []}}], "c"),
        (Odd, b'{"a": 1}\n{"a": 2}', [{"a": "[2]"}], ""),
    ],
)
def test_what_no_column_holds_is_an_issue_of_its_row(model: Any, text: bytes, good: Any, loc: str) -> None:
    result = model.to_arrow(text, on_error="collect")
    assert pa.table(result.table).to_pylist() == good
    assert [(one["row"], one["loc"], one["type"]) for one in pa.table(result.issues).to_pylist()] == [(0, loc, "custom")]
    assert pa.table(model.to_arrow(text, on_error="skip").table).to_pylist() == good
