"""The same types, values and modes through pydantic and through ottava: same result, same issues, but for what is listed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import ipaddress
import json
import math
import pathlib
import re
import uuid
from typing import (
    Annotated,
    Any,
    Callable,
    Dict,
    Final,
    FrozenSet,
    Generic,
    List,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    Set,
    Tuple,
    Type,
    TypeVar,
    Union,
)

import annotated_types
import pyarrow as pa
import pydantic
import pytest
from typing_extensions import NotRequired, TypeAliasType, TypedDict

import ottava
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
    "int or bool or float": Union[int, bool, float],
    "bool or int": Union[bool, int],
    "int, Decimal or str": Union[int, decimal.Decimal, str],
    "str or Decimal": Union[str, decimal.Decimal],
    "float or Decimal": Union[float, decimal.Decimal],
    "list or dict": Union[List[int], Dict[str, int]],
    "any": Any,
}

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 1.0, 1.5, -0.0, 1e10, "", "a", "x", "1", "1.0", " 1 ", "1_000", "0x10", "true", "off", "yes",
    "t", "red", "BLUE", "abc", "é", "1e5", "-5", "+5", b"", b"abc", b"1", b"\xff",
    *map(decimal.Decimal, ["1.5", "1", "0.0", "2", "-7", "1E+3", "1E+40", "Infinity", "NaN"]),
    dt.datetime(2020, 1, 2, 3, 4, 5, 6), dt.datetime(2020, 1, 2, tzinfo=dt.timezone.utc), dt.datetime(2020, 1, 2),
    dt.date(2020, 1, 2), dt.time(1, 2, 3), dt.timedelta(days=1, seconds=2.5), "2020-01-02", "2020-01-02T03:04:05",
    "2020-01-02T03:04:05Z", "2020-01-02T03:04:05+02:00", "2020-01-02 03:04", "01:02:03", "01:02", "P1DT2H", "1 days 02:03:04",
    "0000-01-01", "0000-01-01T00:00:00", "0000-02-29 12:00:00.5Z", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59.999999Z", "10000-01-01",
    1577836800, 1577836800.5, "1577836800", NUMBER, str(NUMBER), NUMBER.hex, Color.RED, SubInt(3), SubStr("sub"), [], [1, 2], ["1"],
    [1, "x"], (1, "a"), (1, 2, 3), {1, 2}, {"a"}, frozenset([1]), {"a": 1}, {"a": "1"}, {1: 2}, range(2), object,
]  # fmt: skip


def differs_on_purpose(kind: str, value: Any, strict: bool, way: str) -> bool:
    """What ottava does in another way, and means to."""
    if isinstance(value, decimal.Decimal) and kind in ("datetime", "date", "time", "timedelta"):
        return True  # pydantic reads decimals as numbers of seconds
    if isinstance(value, enum.Enum) and any(part in kind.split() for part in ("int", "str")):
        return True  # pydantic takes the value of any enum for text
    if kind == "timedelta" and isinstance(value, bool):
        return True  # pydantic takes a truth value for a number of seconds
    if kind == "date" and strict and way == "json" and isinstance(value, str):
        return True  # both refuse text that is no date; the reasons are worded in different ways
    textual = "Decimal" in kind or kind == "UUID"
    if textual and strict and way == "python":
        return True  # pydantic has a code of its own, is_instance_of
    if "Decimal" in kind and way == "json" and isinstance(value, float):
        return True  # the digits of the text are kept: Decimal("1.0")
    return textual and isinstance(value, (bytes, tuple, list))


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

    three, four, five = model("Three", kind=Literal[3], n=int), model("Four", kind=Literal[4, -4], n=int), model("Five", kind=Literal["cat", 5], n=int)

    def union(discriminator: str, *parts: Any) -> Any:
        return Annotated[Union[parts], choice(discriminator=discriminator)]

    # Tags inside of what a tag has chosen, as a field and in a list.
    house = model("House", kind=Literal["house"], n=int, pet=union("kind", cat, dog), more=List[union("kind", three, union("kind", four, five))])
    return {
        "numbers": union("kind", three, four, five),
        "numbers inside": union("kind", union("kind", three, four), five),
        "inside of each other": union("kind", house, model("Street", kind=Literal["street", 5], n=int, houses=List[house])),
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
        for tag in (Kind.B, "b"):
            with pytest.raises(ValidationError) as caught:
                ours.validate_python({"kind": tag, "n": "x"})
            assert caught.value.errors()[0]["loc"] == ("b", "n")
        with pytest.raises(ValidationError, match="Input tag 'Color.RED' found using 'kind'"):
            ours.validate_python({"kind": Color.RED})
        return
    tags = ["cat", "lion", "tiger", "dog", 3, 4, -4, 5, 3.0, "3", "x", None, True, 1.5, 2**70, [1], {}, {"a": "b"}, b"cat", Kind.A, (1, 2)]
    values = [{"kind": tag, **more} for tag in tags for more in ({}, {"n": "x"}, {"color": "black"}, {"color": "gold", "n": []})]
    houses = [
        {"kind": "house", "pet": pet, "more": more}
        for pet in ({"kind": "cat", "color": "black"}, {"kind": "cat", "n": "x"}, {"kind": 3}, {}, 5)
        for more in ([], [{"kind": 3}, {"kind": -4, "n": "x"}, {"kind": "cat"}], [{"kind": 5, "n": []}, {"kind": "5"}, {}, {"kind": 3, "n": "x"}])
    ]
    values += [*houses, {"kind": "street", "houses": houses}, {"kind": 5, "houses": houses[4:6]}]
    for value in [*values, {}, {"color": "black"}, [], 5, None, "x"]:
        same(theirs, ours, value)


@pytest.mark.parametrize("text", ["１２", "-١٢.٥", "１_０e٢", "𝟙𝟚", "１２x", "Ⅷ", "²", "NaN１", "1２3 ", "\u3000７"])
def test_decimals_of_the_digits_of_all_scripts(text: str) -> None:
    same(pydantic.TypeAdapter(decimal.Decimal), TypeAdapter(decimal.Decimal), text)
    same(
        pydantic.TypeAdapter(Annotated[decimal.Decimal, pydantic.Field(max_digits=2, gt=0)]),
        TypeAdapter(Annotated[decimal.Decimal, Field(max_digits=2, gt=0)]),
        text,
    )

    class Row(Model):
        x: Annotated[decimal.Decimal, Field(max_digits=20, decimal_places=2)]

    rows = Row.model_validate_batch([{"x": text}], on_error="skip")
    columns = Row.to_arrow(json.dumps({"x": text}).encode(), on_error="skip")
    assert [row["x"] for row in pa.table(columns.table).to_pylist()] == [row.x for row in rows]


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


class SomeClass:
    pass


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Shade(enum.IntEnum):
    LIGHT = 1
    DARK = 2


K = TypeVar("K")
V = TypeVar("V")


class Point(NamedTuple):
    x: int
    y: int = 0


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


@dataclasses.dataclass
class Box:
    width: int
    scale: dataclasses.InitVar[int] = 1
    names: List[str] = dataclasses.field(default_factory=list)

    def __post_init__(self, scale: int) -> None:
        self.width *= scale


UserId = NewType("UserId", int)
Json = TypeAliasType("Json", "Union[int, str, None, List[Json], Dict[str, Json]]")
Pairs = TypeAliasType("Pairs", List[Tuple[K, K]], type_params=(K,))


def model(lib: Any, **fields: Any) -> Any:
    """A model of either library; a field is its annotation, or that and a default."""
    return configured(lib, {}, **fields)


def configured(lib: Any, config: dict[str, Any], **fields: Any) -> Any:
    body: dict[str, Any] = {"__annotations__": {}, "__module__": __name__, "__qualname__": "M", "model_config": config}
    for name, said in fields.items():
        body["__annotations__"][name], *default = said if isinstance(said, tuple) else (said,)
        body.update({name: default[0]} if default else {})
    return type(lib.BaseModel)("M", (lib.BaseModel,), body)


def rows(*values: Any) -> list[dict[str, Any]]:
    return [{"x": value} for value in values]


NUMBERS = rows(-1, 0, 1, 2, 3, 3.5, 10, "4", "x", None, float("nan"))
TEXTS = rows("", "a", " ab ", "ABC", "abc", "abcdef", 5, 1.5, True, None)
LISTS = rows([], [1], [1, 2], [1, 2, 3], ["1", "x"], {}, "ab", None)


def discriminated(lib: Any, **more: Any) -> Any:
    cat = model(lib, kind=(Literal["cat"], "cat"), lives=int)
    dog = model(lib, kind=(Literal["dog", "hound"], "dog"), barks=(bool, True))
    return model(lib, x=(Union[cat, dog], lib.Field(discriminator="kind", **more)))


def generic(lib: Any) -> Any:
    class Page(lib.BaseModel, Generic[K, V]):
        items: List[K]
        notes: Dict[str, V] = {}
        next: Optional["Page[K, V]"] = None

    Page.model_rebuild(_types_namespace={"Page": Page})
    return Page


def sorted_bounds(lib: Any, mode: str) -> Any:
    class Bounds(lib.BaseModel):
        low: int
        high: int = 9

        if mode == "after":

            @lib.model_validator(mode="after")
            def check(self) -> Any:
                if self.low > self.high:
                    raise ValueError("low > high")
                return self

        else:

            @lib.model_validator(mode="before")
            @classmethod
            def check(cls, data: Any) -> Any:
                assert data.get("low") != "bad", "bad low"
                return data

    return Bounds


def checked_optional(lib: Any) -> Any:
    class Checked(lib.BaseModel):
        x: Optional[int] = None
        y: Optional[Annotated[str, lib.AfterValidator(str.upper)]] = None

        @lib.field_validator("x")
        @classmethod
        def small(cls, value: Any) -> Any:
            assert value is None or value < 5, "too large"
            return value

    return Checked


def serialized(lib: Any, whole: str = "") -> Any:
    class Serialized(lib.BaseModel):
        x: int
        y: Optional[str]
        z: Annotated[int, lib.PlainSerializer(lambda value: f"{value}!", when_used="json")] = lib.Field(1, serialization_alias="Z")

        @lib.field_serializer("x", mode="wrap")
        def boxed(self, value: int, handler: Any) -> Any:
            return [handler(value)]

        @lib.field_serializer("y", when_used="json-unless-none")
        def doubled(self, value: str) -> str:
            return value * 2

        @lib.computed_field(alias="Twice")
        @property
        def twice(self) -> int:
            return self.x * 2

        @lib.computed_field(repr=False)
        @property
        def hidden(self) -> str:
            return "h"

        if whole == "wrap":

            @lib.model_serializer(mode="wrap")
            def around(self, handler: Any) -> Any:
                return {**handler(self), "n": 1}

        elif whole:

            @lib.model_serializer
            def instead(self) -> Any:
                return {"only": self.x}

    return model(lib, x=Serialized)


def mixed_in(lib: Any) -> Any:
    class Stamped:
        by: str
        at: int = 0

    class Row(Stamped, lib.BaseModel):
        x: int

    return Row


def subclass_of_generic(lib: Any) -> Any:
    class Base(lib.BaseModel, Generic[K]):
        x: K

    class Derived(Base[List[V]], Generic[V]):
        y: V

    return Derived[int]


MODELS: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
    "gt": (lambda lib: model(lib, x=(int, lib.Field(gt=0, lt=10))), NUMBERS),
    "ge": (lambda lib: model(lib, x=(float, lib.Field(ge=0, le=3))), NUMBERS),
    "multiple_of": (lambda lib: model(lib, x=(int, lib.Field(multiple_of=3))), NUMBERS),
    "annotated": (lambda lib: model(lib, x=Annotated[Optional[int], lib.Field(gt=0)]), NUMBERS),
    "predicate": (lambda lib: model(lib, x=Annotated[int, annotated_types.Predicate(str)]), NUMBERS),
    "decimal": (
        lambda lib: model(lib, x=(decimal.Decimal, lib.Field(max_digits=3, decimal_places=1))),
        rows("1.5", "1.55", "1234", 1, "x"),
    ),
    "length": (lambda lib: model(lib, x=(str, lib.Field(min_length=2, max_length=4))), TEXTS),
    "pattern": (lambda lib: model(lib, x=(str, lib.Field(pattern="^a"))), TEXTS),
    "pattern with flags": (lambda lib: model(lib, x=(str, lib.Field(pattern=re.compile("^a b? c$", re.I | re.X)))), rows("ac", "AC", "abc", "x", 5)),
    "compiled pattern": (lambda lib: model(lib, x=(Optional[str], lib.Field(pattern=re.compile("^ab")))), TEXTS),
    "items": (lambda lib: model(lib, x=(List[int], lib.Field(min_length=1, max_length=2))), LISTS),
    "strict field": (lambda lib: model(lib, x=(int, lib.Field(strict=True))), NUMBERS),
    "bounds of dates": (
        lambda lib: model(lib, x=(dt.date, lib.Field(ge=dt.date(2020, 1, 1)))),
        rows("2020-01-01", dt.date(2021, 1, 1), "x"),
    ),
    "enum of ints": (lambda lib: model(lib, x=Shade), rows(1, 2, 3, "1", Shade.DARK)),
    "nested": (lambda lib: model(lib, x=model(lib, y=(int, lib.Field(gt=0)))), rows({"y": 1}, {"y": 0}, {}, 5, None)),
    "list of models": (lambda lib: model(lib, x=List[model(lib, y=int)]), rows([], [{"y": "1"}, {"y": "x"}, {}], {})),
    "typed dict": (lambda lib: model(lib, x=Movie), rows({"title": "a"}, {"title": "a", "year": "7"}, {"year": "x"}, {"title": "a", "z": 1}, [])),
    "dataclass": (lambda lib: model(lib, x=Box), rows({"width": "2"}, {"width": 2, "scale": "3", "names": ["a"]}, {"width": "x", "scale": "y"}, {})),
    "named tuple": (lambda lib: model(lib, x=Point), rows([1], ["1", "2"], (1, 2))),
    "new type": (lambda lib: model(lib, x=UserId), NUMBERS[:-1]),
    "recursive alias": (lambda lib: model(lib, x=Json), rows(1, "a", None, [1, ["b", {"c": None}]], {"k": []})),
    "generic alias": (lambda lib: model(lib, x=Pairs[int]), rows([], [["1", 2]], [["x", 2]], 5)),
    "generic": (
        lambda lib: generic(lib)[int, str],
        [{"items": ["1"]}, {"items": ["x"], "notes": {"a": 5}}, {"items": [], "next": {"items": ["y"]}}, {"items": [], "next": {"items": ["2"]}}],
    ),
    "generic in steps": (lambda lib: generic(lib)[int, V][bool], [{"items": [1], "notes": {"a": "on"}}, {"items": ["x"], "notes": {"a": 7}}]),
    "subclass of a generic": (subclass_of_generic, [{"x": ["1"], "y": "2"}, {"x": 1, "y": "z"}]),
    "mixed in": (mixed_in, [{"x": 1, "by": "a"}, {"x": 1}, {"by": "a", "at": "5", "x": "x"}]),
    "alias": (lambda lib: model(lib, x=(int, lib.Field(alias="X"))), [{"X": "1"}, {"x": 1}, {"X": "a"}, {}]),
    "aliases of one direction": (
        lambda lib: model(lib, x=(int, lib.Field(validation_alias="in", serialization_alias="out"))),
        [{"in": "1"}, {"x": 1}, {"out": 1}],
    ),
    "alias generator": (lambda lib: configured(lib, {"alias_generator": str.upper}, x=int, y=(int, 0)), [{"X": 1, "Y": 2}, {"x": 1}]),
    "by name": (lambda lib: configured(lib, {"populate_by_name": True}, x=(int, lib.Field(alias="X"))), [{"X": 1}, {"x": 2}, {"x": "a"}]),
    "by name alone": (
        lambda lib: configured(lib, {"validate_by_name": True, "validate_by_alias": False}, x=(int, lib.Field(alias="X"))),
        [{"X": 1}, {"x": 2}, {"x": "a"}],
    ),
    "dumped by alias": (lambda lib: configured(lib, {"serialize_by_alias": True}, x=(int, lib.Field(alias="X"))), [{"X": 1}]),
    "extra ignored": (lambda lib: model(lib, x=int), [{"x": 1, "y": 2}]),
    "extra allowed": (lambda lib: configured(lib, {"extra": "allow"}, x=int), [{"x": 1, "y": [2], "z": None}, {"y": 1}]),
    "extra forbidden": (lambda lib: configured(lib, {"extra": "forbid"}, x=int), [{"x": 1, "y": 2}, {"z": 1}]),
    "discriminator": (
        discriminated,
        rows({"kind": "cat", "lives": "9"}, {"kind": "hound"}, {"kind": "cow"}, {}, {"kind": "dog", "barks": 5}),
    ),
    "strict model": (lambda lib: configured(lib, {"strict": True}, x=int, y=(List[float], [])), [{"x": 1}, {"x": "1", "y": [1, "2"]}]),
    "strip": (lambda lib: configured(lib, {"str_strip_whitespace": True, "str_min_length": 2}, x=str), TEXTS),
    "lower": (lambda lib: configured(lib, {"str_to_lower": True, "str_max_length": 4}, x=str, y=(List[str], [])), TEXTS),
    "numbers as text": (lambda lib: configured(lib, {"coerce_numbers_to_str": True}, x=Optional[str]), TEXTS),
    "re": (lambda lib: configured(lib, {"regex_engine": "python-re"}, x=(str, lib.Field(pattern="^(?=a)"))), TEXTS),
    "finite": (lambda lib: configured(lib, {"allow_inf_nan": False}, x=float), NUMBERS),
    "enum values": (lambda lib: configured(lib, {"use_enum_values": True}, x=Color), rows("red", "green", Color.BLUE)),
    "config of a dataclass": (
        lambda lib: configured(lib, {"str_strip_whitespace": True, "extra": "forbid"}, x=Box),
        rows({"width": 1, "names": [" a "]}, {"names": "x"}),
    ),
    "config of a typed dict": (
        lambda lib: configured(lib, {"str_to_upper": True, "strict": True}, x=Movie),
        rows({"title": "a"}, {"title": "a", "year": "7"}),
    ),
    "after validator of a model": (lambda lib: sorted_bounds(lib, "after"), [{"low": 1}, {"low": 10}, {"low": "x"}]),
    "before validator of a model": (lambda lib: sorted_bounds(lib, "before"), [{"low": 1}, {"low": "bad"}, {"high": 2}]),
    "validators of optional fields": (checked_optional, [{"x": 1, "y": "a"}, {"x": "x", "y": 5}, {"x": 9}, {"x": None, "y": None}]),
    "serializers": (serialized, rows({"x": 1, "y": None}, {"x": 2, "y": "a", "z": 3})),
    "serializer around a model": (lambda lib: serialized(lib, "wrap"), rows({"x": 1, "y": "a"})),
    "serializer of a model": (lambda lib: serialized(lib, "plain"), rows({"x": 1, "y": "a"})),
    "callable": (lambda lib: model(lib, x=Callable[[], int]), rows(len, 5)),
    "class": (lambda lib: model(lib, x=Type[int], y=(Type[Any], str), z=(type, int)), [*rows(int, bool, str, len, 5), {"x": int, "y": len}, {"x": int, "y": int, "z": str}, {"x": int, "y": "a", "z": 1}]),
    "path": (lambda lib: model(lib, x=pathlib.Path), rows("/a", 5)),
    "address": (lambda lib: model(lib, x=ipaddress.IPv4Address, y=(Optional[ipaddress.IPv6Network], None)), [{"x": "1.2.3.4"}, {"x": "1.2"}, {"x": "1.2.3.4", "y": "x"}]),
    "regular expression": (lambda lib: model(lib, x=re.Pattern), rows("a+", "(", 5)),
    "flags": (lambda lib: model(lib, x=Right), rows(2, 3, 9, "x")),
    "instance": (lambda lib: configured(lib, {"arbitrary_types_allowed": True}, x=SomeClass, y=(Optional[SomeClass], None)), rows(SomeClass(), object, 5, None)),
    "named types": (
        lambda lib: model(lib, x=lib.PositiveInt, y=(lib.constr(min_length=2, pattern="^a"), "ab"), z=(lib.StrictInt, 1)),
        [{"x": 1}, {"x": 0, "y": "b", "z": "1"}, {"x": "2", "y": "bb"}],
    ),
    "aware": (lambda lib: model(lib, x=lib.AwareDatetime), rows("2020-01-01T00:00:00Z", "2020-01-01T00:00:00")),
    "past": (lambda lib: model(lib, x=lib.PastDate, y=(Optional[lib.UUID4], None)), [{"x": "2020-01-01"}, {"x": "9999-01-01", "y": NUMBER}]),
    "instance of": (lambda lib: model(lib, x=lib.InstanceOf[SomeClass], y=(lib.SkipValidation[int], 5)), rows(SomeClass(), object, 5, "x")),
    "items of a list": (lambda lib: model(lib, x=lib.conlist(int, min_length=1, max_length=2)), LISTS),
    "final": (lambda lib: model(lib, x=int, y=(Final[int], 3)), [{"x": 1, "y": 5}]),
}

DUMPS: list[dict[str, Any]] = [
    {}, {"by_alias": True}, {"by_alias": False}, {"exclude_unset": True}, {"exclude_defaults": True}, {"exclude_none": True},
    {"include": {"x"}}, {"exclude": {"x"}}, {"include": {"x": {0, "y", "width"}}}, {"exclude": {"x": {-1}}}, {"exclude": {"x": {"__all__": {"y"}}}},
]  # fmt: skip


def contents(value: Any) -> Any:
    """An instance as its fields and their values, whatever library it is of."""
    if isinstance(value, (pydantic.BaseModel, Model)):
        given = sorted(value.model_fields_set)
        return {**{name: contents(item) for name, item in value}, "given": given}
    if dataclasses.is_dataclass(value):
        return {"of": type(value).__name__, **{name: contents(item) for name, item in vars(value).items()}}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [contents(item) for item in value]
    if isinstance(value, dict):
        return {key: contents(item) for key, item in value.items()}
    return plain(value)


def outcomes(cls: Any, data: Any, way: str) -> Any:
    """What an instance holds and all its dumps, or the issues."""
    try:
        made = cls.model_validate(data) if way == "python" else cls.model_validate_json(data)
    except (pydantic.ValidationError, ValidationError) as error:
        return [(found["type"], found["loc"], found["msg"]) for found in error.errors()]
    found: list[Any] = [contents(made)]
    for options in DUMPS:
        found.append(contents(made.model_dump(**options)))
        try:
            found.append(made.model_dump_json(**options))
        except Exception as error:
            found.append("no JSON" if "serialize" in str(error) or isinstance(error, TypeError) else repr(error))
    return found


@pytest.mark.filterwarnings("ignore:Annotation 'y' is marked as final")
@pytest.mark.parametrize("kind", MODELS)
def test_same_models(kind: str) -> None:
    make, values = MODELS[kind]
    theirs, ours = make(pydantic), make(ottava)
    different = []
    for value in values:
        found, expected = outcomes(ours, value, "python"), outcomes(theirs, value, "python")
        if found != expected:
            different.append(("python", value, expected, found))
        try:
            text = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            continue
        found, expected = outcomes(ours, text, "json"), outcomes(theirs, text, "json")
        if found != expected:
            different.append(("json", text, expected, found))
    assert different == []
