"""The same types, values and modes through pydantic and through ottava: same result, same issues, but for what is listed."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import math
import uuid
from typing import Any, Dict, FrozenSet, List, Literal, Optional, Set, Tuple, Union

import pydantic
import pytest

from typing_extensions import Annotated

from ottava import ConfigDict, Field, Model, TypeAdapter, ValidationError


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class SubInt(int):
    pass


class SubStr(str):
    pass


NUMBER = uuid.UUID("12345678-1234-5678-1234-567812345678")

TYPES: dict[str, Any] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "bytes": bytes,
    "Decimal": decimal.Decimal,
    "datetime": dt.datetime,
    "date": dt.date,
    "time": dt.time,
    "timedelta": dt.timedelta,
    "UUID": uuid.UUID,
    "enum": Color,
    "literal": Literal["a", "b", 7],
    "list of int": List[int],
    "pair": Tuple[int, str],
    "tuple of int": Tuple[int, ...],
    "set of int": Set[int],
    "frozen set of str": FrozenSet[str],
    "dict of int": Dict[str, int],
    "int or null": Optional[int],
    "int or str": Union[int, str],
    "str or int": Union[str, int],
    "int or float": Union[int, float],
    "list or dict": Union[List[int], Dict[str, int]],
    "any": Any,
}

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 1.0, 1.5, -0.0, 1e10, "", "a", "x", "1", "1.0", " 1 ", "1_000", "0x10", "true", "off", "yes",
    "t", "red", "BLUE", "abc", "é", "1e5", "-5", "+5", b"", b"abc", b"1", b"\xff", decimal.Decimal("1.5"),
    dt.datetime(2020, 1, 2, 3, 4, 5, 6), dt.datetime(2020, 1, 2, tzinfo=dt.timezone.utc), dt.datetime(2020, 1, 2),
    dt.date(2020, 1, 2), dt.time(1, 2, 3), dt.timedelta(days=1, seconds=2.5), "2020-01-02", "2020-01-02T03:04:05",
    "2020-01-02T03:04:05Z", "2020-01-02T03:04:05+02:00", "2020-01-02 03:04", "01:02:03", "01:02", "P1DT2H", "1 days 02:03:04",
    "0000-01-01", "0000-01-01T00:00:00", "0000-02-29 12:00:00.5Z", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59.999999Z", "10000-01-01",
    1577836800, 1577836800.5, "1577836800", NUMBER, str(NUMBER), NUMBER.hex, Color.RED, SubInt(3), SubStr("sub"), [], [1, 2], ["1"],
    [1, "x"], (1, "a"), (1, 2, 3), {1, 2}, {"a"}, frozenset([1]), {"a": 1}, {"a": "1"}, {1: 2}, range(2), object,
]  # fmt: skip


def differs_on_purpose(kind: str, value: Any, strict: bool, way: str) -> bool:
    """What ottava does in another way, and means to."""
    if isinstance(value, decimal.Decimal) and kind != "Decimal":
        return True  # pydantic reads decimals as numbers in some places and not in others
    if isinstance(value, enum.Enum) and any(part in kind.split() for part in ("int", "str")):
        return True  # pydantic takes the value of any enum for text
    if kind == "timedelta" and isinstance(value, bool):
        return True  # pydantic takes a truth value for a number of seconds
    if kind == "date" and strict and way == "json" and isinstance(value, str):
        return True  # both refuse text that is no date; the reasons are worded in different ways
    if kind in ("Decimal", "UUID") and strict and way == "python":
        return True  # pydantic has a code of its own, is_instance_of
    if kind == "Decimal" and way == "json" and isinstance(value, float):
        return True  # the digits of the text are kept: Decimal("1.0")
    return kind in ("Decimal", "UUID") and isinstance(value, (bytes, tuple, list))


def plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if isinstance(value, (dt.datetime, dt.time)):
        return type(value).__name__, value.isoformat()
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, sorted(map(repr, value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return type(value).__name__, repr(value)


def outcome(call: Any) -> Any:
    try:
        return plain(call().x)
    except (pydantic.ValidationError, ValidationError) as error:
        return [(found["type"], found["loc"], found["msg"]) for found in error.errors()]


@pytest.mark.parametrize("strict", [False, True], ids=["lax", "strict"])
@pytest.mark.parametrize("kind", TYPES)
def test_same_outcome(kind: str, strict: bool) -> None:
    theirs = pydantic.create_model("M", __config__=pydantic.ConfigDict(strict=strict), x=(TYPES[kind], ...))
    ours = type(Model)(
        "M",
        (Model,),
        {"__annotations__": {"x": TYPES[kind]}, "model_config": ConfigDict(strict=strict), "__module__": __name__},
    )
    different = []
    for value in VALUES:
        if not differs_on_purpose(kind, value, strict, "python"):
            expected = outcome(lambda: theirs.model_validate({"x": value}))
            found = outcome(lambda: ours.model_validate({"x": value}))
            if found != expected:
                different.append(("python", value, expected, found))
        try:
            text = json.dumps({"x": value})
        except (TypeError, ValueError):
            continue
        if not differs_on_purpose(kind, value, strict, "json"):
            expected = outcome(lambda: theirs.model_validate_json(text))
            found = outcome(lambda: ours.model_validate_json(text))
            if found != expected:
                different.append(("json", text, expected, found))
    assert different == []


def same(theirs: Any, ours: Any, value: Any, strict: bool = False) -> None:
    """Both make the same of a value, from Python and from JSON where it has that."""

    def result(adapter: Any, way: str) -> Any:
        call = adapter.validate_python if way == "python" else adapter.validate_json
        try:
            return call(value if way == "python" else json.dumps(value), strict=strict)
        except (pydantic.ValidationError, ValidationError) as error:
            return [(found["type"], found["loc"], found["msg"], found.get("ctx")) for found in error.errors()]

    ways = ["python"]
    try:
        json.dumps(value)
        ways.append("json")
    except TypeError:
        pass
    for way in ways:
        expected, found = result(theirs, way), result(ours, way)
        assert getattr(found, "__dict__", found) == getattr(expected, "__dict__", expected) or (
            repr(found) == repr(expected)
        ), (way, value, expected, found)


@pytest.mark.parametrize("key", [int, bool, float, dt.date, uuid.UUID, decimal.Decimal, Literal["1"], Union[int, str]])
def test_keys_of_json_stand_for_what_they_say_even_in_strict_mode(key: Any) -> None:
    theirs, ours = pydantic.TypeAdapter(Dict[key, int]), TypeAdapter(Dict[key, int])
    for text in ("1", "0", "true", "2020-01-02", str(NUMBER), "x", "1.5", ""):
        for strict in (False, True):
            source = json.dumps({text: 1})
            try:
                expected = theirs.validate_json(source, strict=strict)
            except pydantic.ValidationError:
                with pytest.raises(ValidationError):
                    ours.validate_json(source, strict=strict)
            else:
                found = ours.validate_json(source, strict=strict)
                assert [*map(repr, found)] == [*map(repr, expected)], (text, strict)
                assert ours.validate_json(ours.dump_json(found), strict=True) == found
    with pytest.raises(ValidationError):
        ours.validate_json('{"1": "2"}', strict=True)


@pytest.mark.parametrize(
    "bound",
    [
        dt.date(2020, 1, 1), dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, 1, 2, 3, 450000, dt.timezone.utc),
        dt.datetime(2020, 1, 1, 1, 2, 3, 4, dt.timezone(dt.timedelta(hours=-5, minutes=-30))), dt.time(1, 2), dt.time(1, 2, 3, 40000),
        dt.timedelta(1), dt.timedelta(400, 3, 5), dt.timedelta(-1, 3), dt.timedelta(0, 3661), dt.timedelta(0), 2.5, 3,
    ],
    ids=repr,
)  # fmt: skip
def test_bounds_are_named_alike(bound: Any) -> None:
    for rule in ("gt", "ge", "lt", "le"):
        theirs = pydantic.TypeAdapter(Annotated[type(bound), pydantic.Field(**{rule: bound})])
        ours = TypeAdapter(Annotated[type(bound), Field(**{rule: bound})])
        zone = getattr(bound, "tzinfo", None)
        values: list[Any] = {
            dt.date: [dt.date.min, dt.date.max],
            dt.datetime: [dt.datetime(1, 1, 2, tzinfo=zone), dt.datetime(9999, 12, 30, tzinfo=zone)],
            dt.time: [dt.time.min, dt.time.max],
            dt.timedelta: [dt.timedelta(-(10**6)), dt.timedelta(10**6)],
        }.get(type(bound), [-(10**6), 10**6])
        for value in [*values, bound]:
            same(theirs, ours, value)


class Kind(enum.Enum):
    A = "a"
    B = "b"


def members(base: Any) -> dict[str, Any]:
    def model(name: str, **fields: Any) -> Any:
        space = {"__annotations__": fields, "n": 0, "__module__": __name__}
        return type(base)(name, (base,), space)

    choice = pydantic.Field if base is pydantic.BaseModel else Field
    cat = model("Cat", kind=Literal["cat"], color=Literal["black"], n=int)
    lion = model("Lion", kind=Literal["lion", "tiger"], color=Literal["gold"], n=int)
    dog = model("Dog", kind=Literal["dog"], n=int)
    one, other = model("One", kind=Literal[Kind.A], n=int), model("Other", kind=Literal[Kind.B], n=int)

    def union(discriminator: str, *parts: Any) -> Any:
        return Annotated[Union[parts], choice(discriminator=discriminator)]

    return {
        "plain": union("kind", cat, dog),
        "nested": union("kind", union("kind", cat, lion), dog),
        "by another field": union("kind", union("color", cat, lion), dog),
        "enum": union("kind", one, other),
    }


THEIRS, OURS = members(pydantic.BaseModel), members(Model)


@pytest.mark.parametrize("name", THEIRS)
def test_tags_choose_alike(name: str) -> None:
    theirs, ours = pydantic.TypeAdapter(THEIRS[name]), TypeAdapter(OURS[name])
    if name == "enum":
        # pydantic takes the member alone; here its value stands for it, too, and it is shown by that.
        assert ours.validate_python({"kind": Kind.A}).kind is Kind.A
        assert ours.validate_python({"kind": "b"}).kind is ours.validate_json('{"kind": "b"}').kind is Kind.B
        with pytest.raises(ValidationError, match="Input tag 'Color.RED' found using 'kind'"):
            ours.validate_python({"kind": Color.RED})
        return
    tags = ["cat", "lion", "tiger", "dog", 3, 4, "x", None, True, 1.5, 2**70, [1], {}, {"a": "b"}, b"cat", Kind.A, (1, 2)]
    values = [{"kind": tag, **more} for tag in tags for more in ({}, {"n": "x"}, {"color": "black"}, {"color": "gold", "n": []})]
    for value in [*values, {}, {"color": "black"}, [], 5, None, "x"]:
        same(theirs, ours, value)


def test_numbers_beyond_floats() -> None:
    class Row(Model):
        a: int

    assert Row.model_validate_json('{"a": 1, "b": 1e400}') == Row(a=1)
    assert TypeAdapter(float).validate_json("-1e400") == pydantic.TypeAdapter(float).validate_json("-1e400") == -math.inf
    assert TypeAdapter(Any).validate_json("[1e400]") == [math.inf]
    digits = Annotated[decimal.Decimal, Field(max_digits=500)]
    for kind in (decimal.Decimal, digits, Union[int, decimal.Decimal]):
        assert TypeAdapter(kind).validate_json("1e400") == decimal.Decimal("1e400")
    for kind in (int, Annotated[float, Field(allow_inf_nan=False)]):
        with pytest.raises(ValidationError) as caught:
            TypeAdapter(kind).validate_json("1e400")
        assert caught.value.errors()[0]["type"] == "finite_number"


def test_years_that_python_has_not_are_issues_of_their_row() -> None:
    class Row(Model):
        day: dt.date
        at: dt.datetime

    good = '{"day": "%s-12-31", "at": "%s-01-01T00:00:00"}'
    rows = [good % (year, year) for year in ("0001", "0000", "9999", "0000")]
    text = "\n".join(rows)
    assert [row.day.year for row in Row.model_validate_ndjson(text.encode(), on_error="skip")] == [1, 9999]
    assert [row.day.year for row in Row.model_validate_batch(map(json.loads, rows), on_error="skip")] == [1, 9999]
    columns = Row.to_arrow(text.encode(), on_error="collect")
    assert (columns.rows_good, columns.rows_read) == (2, 4)
    bad = [(error["loc"], error["msg"]) for error in Row.model_validate_ndjson(text.encode(), on_error="collect").errors()]
    assert [place for place, _ in bad] == [(1, "day"), (1, "at"), (3, "day"), (3, "at")]
    assert all("year 0 is out of range" in message for _, message in bad)
