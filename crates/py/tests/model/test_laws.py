"""Laws: dumps validate to the same instance, every way agrees with every other, batches are rows, and nothing breaks the reader."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, Dict, List, Literal, Optional

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottava import Field, Model, TypeAdapter, ValidationError
from ottava._dump import Options, to_json_text


class Part(Model):
    name: str = Field(max_length=20)
    size: float
    tags: List[str] = []


class Whole(Model):
    id: int = Field(ge=0)
    kind: Literal["a", "b"]
    at: Optional[dt.datetime] = None
    parts: List[Part] = []
    counts: Dict[str, int] = {}
    flag: bool = False


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
parts = st.builds(Part, name=text, size=st.floats(allow_nan=False, allow_infinity=False), tags=st.lists(text, max_size=3))
wholes = st.builds(
    Whole,
    id=st.integers(min_value=0, max_value=2**70),
    kind=st.sampled_from(["a", "b"]),
    at=st.none() | st.datetimes(timezones=st.none() | st.just(dt.timezone.utc)),
    parts=st.lists(parts, max_size=3),
    counts=st.dictionaries(text, st.integers(-(2**40), 2**40), max_size=3),
    flag=st.booleans(),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
rows = st.fixed_dictionaries(
    {}, optional={"id": anything, "kind": st.sampled_from(["a", "c", 1]), "parts": anything, "counts": anything, "flag": anything}
)


def verdict(call: Any) -> Any:
    try:
        return call()
    except ValidationError as error:
        return [(found["loc"], found["type"]) for found in error.errors()]


@given(wholes)
def test_a_dump_validates_to_the_same(whole: Whole) -> None:
    assert Whole.model_validate(whole.model_dump()) == whole
    assert Whole.model_validate_json(whole.model_dump_json()) == whole
    assert Whole.model_validate(whole.model_dump(mode="json")) == whole
    assert Whole(**whole.model_dump()) == whole


@given(wholes)
def test_the_fast_dump_is_the_general_one(whole: Whole) -> None:
    general = Whole.__ottava_dump__
    assert whole.model_dump() == general.python(whole, Options())
    assert whole.model_dump_json() == to_json_text(general.python(whole, Options("json")))


@settings(max_examples=200)
@given(rows)
def test_every_way_agrees(row: dict[str, Any]) -> None:
    expected = verdict(lambda: Whole.model_validate(row))
    assert verdict(lambda: Whole(**row)) == expected

    class Row(dict[str, Any]):
        """Not an exact dictionary: the fast path does not take it."""

    assert verdict(lambda: Whole.model_validate(Row(row))) == expected
    from_json = verdict(lambda: Whole.model_validate_json(json.dumps(row)))
    if isinstance(expected, Whole) or isinstance(from_json, Whole):
        assert from_json == expected


@given(st.lists(rows, max_size=6))
def test_a_batch_is_its_rows(batch: list[dict[str, Any]]) -> None:
    result = Whole.model_validate_batch(batch, on_error="collect")
    singles = [verdict(lambda row=row: Whole.model_validate(row)) for row in batch]  # type: ignore[misc]
    assert result.rows == [one for one in singles if isinstance(one, Whole)]
    expected = [
        ((number, *loc), kind)
        for number, one in enumerate(singles)
        if isinstance(one, list)
        for loc, kind in one
    ]
    assert [(found["loc"], found["type"]) for found in result.errors()] == expected


class Line(Model):
    id: int
    name: str = Field(min_length=1)
    score: Optional[float] = None


@given(st.lists(st.fixed_dictionaries({"id": st.integers(-5, 5) | text, "name": text, "score": st.none() | st.integers(0, 9)}), max_size=8))
def test_columns_are_rows(lines: list[dict[str, Any]]) -> None:
    source = "\n".join(map(json.dumps, lines)).encode()
    result = Line.to_arrow(source, on_error="collect")
    objects = Line.model_validate_ndjson(source, on_error="collect")
    assert pa.table(result.table).to_pylist() == [line.model_dump() for line in objects.rows]
    assert (result.rows_read, result.rows_good) == (objects.rows_read, objects.rows_good)
    found = [(issue["row"], issue["loc"], issue["type"]) for issue in pa.table(result.issues).to_pylist()]
    assert found == [
        (error["loc"][0], ".".join(map(str, error["loc"][1:])), error["type"]) for error in objects.errors()
    ]


@given(st.binary(max_size=40))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    verdict(lambda: Whole.model_validate_json(data))
    Line.to_arrow(data, on_error="collect")
    verdict(lambda: TypeAdapter(Any).validate_json(data))


class Spiteful:
    """Raises wherever it is touched."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("touched")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    def __hash__(self) -> int:
        raise RuntimeError("hashed")


def test_hostile_objects() -> None:
    for value in (Spiteful(), [Spiteful()], {"a": Spiteful()}, "\ud800", {"\ud800": 1}):
        for name in ("id", "kind", "parts", "counts"):
            with pytest.raises((ValidationError, RuntimeError)):
                Whole.model_validate({"id": 1, "kind": "a", name: value})


def test_a_container_that_changes_while_it_is_read() -> None:
    victim: list[Any] = []

    class Changer(str):
        def __str__(self) -> str:
            victim.clear()
            return "x"

        def __eq__(self, other: object) -> bool:
            victim.clear()
            return True

        __hash__ = str.__hash__

    victim += [Changer("a"), *map(str, range(100))]
    try:
        TypeAdapter(List[str]).validate_python(victim)
    except ValidationError:
        pass
    mapping: dict[Any, Any] = {"id": 1, "kind": "a"}

    class Shrinker(dict[str, Any]):
        def items(self) -> Any:
            mapping.clear()
            return super().items()

    mapping["counts"] = Shrinker(a=1)
    assert Whole.model_validate(mapping).id == 1


def test_depth_is_bounded() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(List[Any]).validate_json(b"[" * 100_000 + b"]" * 100_000)
    class Tree(Model):
        children: List[Tree] = []

    top: dict[str, Any] = {}
    top["children"] = [top]
    with pytest.raises(ValidationError):
        Tree.model_validate(top)
