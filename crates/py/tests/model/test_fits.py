"""Which member of a union a value fits best, and which values a type takes at all: as in pydantic."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import uuid
from typing import Annotated, Any, Dict, FrozenSet, Generic, List, Literal, NamedTuple, Optional, Set, Tuple, TypeVar, Union

import pydantic
import pytest
from agreement import agreeing

import ottava

NUMBER = str(uuid.UUID("12345678-1234-5678-1234-567812345678"))


def outcome(library: Any, call: Any) -> Any:
    """The class of what a call makes and how it is shown, or the codes and places of its issues."""
    try:
        made = call()
    except library.ValidationError as error:
        return [(issue["type"], issue["loc"]) for issue in error.errors()]
    return type(made).__name__, made.isoformat() if isinstance(made, (dt.date, dt.time)) else repr(made)


agree = agreeing(outcome)


def same(value: Any) -> Any:
    return value


UNIONS: list[tuple[Any, list[Any]]] = [
    (Union[Set[int], List[int]], [[1], [], {1}, (1,)]),
    (Union[Set[bool], List[bool]], [[True], [1]]),
    (Union[Tuple[int, ...], List[int]], [[1], [], (1,)]),
    (Union[List[int], Tuple[int, ...]], [[1], (1,), {1}]),
    (Union[FrozenSet[int], Set[int]], [{1}, set(), frozenset([1]), [1]]),
    (Union[Set[str], Dict[str, int]], [{}, {"a"}]),
    (Union[List[float], List[int]], [[1], [1.0], []]),
    (Union[Tuple[float, ...], Tuple[int, ...]], [[1], (1,)]),
    (Union[Dict[str, float], Dict[str, int]], [{"a": 1}, {"a": 1.5}, {}]),
    (Union[dt.timedelta, str], ["P1D", "x"]),
    (Union[str, dt.timedelta], ["P1D"]),
    (Union[dt.timedelta, bytes], ["P1D", "x"]),
    (Union[dt.timedelta, Any], ["P1D", "x", 1]),
    (Union[dt.date, str], ["2020-01-01", "x", "2020-01-01T00:00:00"]),
    (Union[dt.date, bytes], ["2020-01-01", "x"]),
    (Union[dt.datetime, dt.date], ["2020-01-01", "2020-01-01T00:00:00", 0]),
    (Union[dt.date, dt.datetime], ["2020-01-01", "2020-01-01T00:00:00", "2020-01-01T01:00:00"]),
    (Union[dt.datetime, str], ["2020-01-01", "2020-01-01T00:00:00", "2020-01-01T01:00:00Z"]),
    (Union[dt.time, str], ["12:00", "x"]),
    (Union[dt.time, float, Any], [1, 1.5, "x"]),
    (Union[float, Any], [1, 1.5, "1", True]),
    (Union[Any, int], [1, "1"]),
    (Union[uuid.UUID, str], [NUMBER, "x"]),
    (Union[str, uuid.UUID], [NUMBER, "x"]),
    (Union[uuid.UUID, bytes], [NUMBER, "x"]),
    (Union[str, bytes], ["a"]),
    (Union[bytes, str], ["a"]),
    (Union[int, str], ["1", 1, "a"]),
    (Union[str, int, None], ["1", 1, None]),
    (Union[int, Literal["1"]], ["1", 1]),
    (Union[str, Literal["a"], int], ["a", "1", 1]),
    (Union[float, int], [1, 1.0, "1"]),
    (Union[bool, int], [1, True, "1"]),
    (Union[decimal.Decimal, str], ["1", "x"]),
    (Union[Union[int, str], dt.date], ["2020-01-01", "1", 1]),
    (Optional[Union[dt.date, str]], ["2020-01-01", None]),
    (Union[dt.date, Annotated[str, pydantic.PlainValidator(same), ottava.PlainValidator(same)]], ["2020-01-01", "x"]),
    (Union[dt.date, Annotated[uuid.UUID, pydantic.BeforeValidator(same), ottava.BeforeValidator(same)]], [NUMBER]),
    (Union[float, Annotated[int, pydantic.BeforeValidator(same), ottava.BeforeValidator(same)]], [1, 1.0]),
]


@pytest.mark.parametrize(("union", "values"), UNIONS, ids=[str(union).replace("typing.", "") for union, _ in UNIONS])
def test_the_member_that_fits_best(union: Any, values: list[Any]) -> None:
    for value in values:
        calls = [lambda adapter: adapter.validate_python(value)]
        if isinstance(value, (str, int, float, list, dict, type(None))):
            text = json.dumps(value)
            calls.append(lambda adapter: adapter.validate_json(text))
            calls.append(lambda adapter: adapter.validate_json(text, strict=True))
        agree(lambda library: library.TypeAdapter(union), *calls)


def test_of_models_the_one_with_more_fields_and_then_the_first() -> None:
    def make(library: Any) -> Any:
        class A(library.BaseModel):
            v: float = 0

        class B(library.BaseModel):
            v: int = 0
            w: int = 0

        @dataclasses.dataclass
        class C:
            v: int = 0

        return library.TypeAdapter(Union[A, B]), library.TypeAdapter(Union[A, C]), library.TypeAdapter(Union[C, A])

    for value in ({"v": 1}, {"v": 1.5}, {"v": 1, "w": 1}, {}, {"v": "1"}):
        for number in range(3):
            agree(
                make,
                lambda adapters: adapters[number].validate_python(value),
                lambda adapters: adapters[number].validate_json(json.dumps(value)),
            )


def test_integers_beyond_floats() -> None:
    for value in (10**400, -(10**400), 2**1024, 2**1023):
        agree(
            lambda library: library.TypeAdapter(float),
            lambda adapter: adapter.validate_python(value),
            lambda adapter: adapter.validate_python(value, strict=True),
            lambda adapter: adapter.validate_json(str(value)),
        )
    agree(lambda library: library.TypeAdapter(Union[float, int]), lambda adapter: adapter.validate_python(10**400))


@pytest.mark.parametrize("annotation", [Tuple[()], tuple[()]])
def test_the_tuple_without_items(annotation: Any) -> None:
    def make(library: Any) -> Any:
        class Model(library.BaseModel):
            t: annotation

        return library.TypeAdapter(annotation), Model

    for value in ((), (1,), [1, 2], []):
        agree(
            make,
            lambda made: made[0].validate_python(value),
            lambda made: made[0].validate_json(json.dumps(value)),
            lambda made: made[1].model_validate({"t": value}),
        )
    schema = ottava.TypeAdapter(annotation).json_schema()
    assert (schema["type"], schema["maxItems"]) == ("array", 0)
    assert ottava.TypeAdapter(tuple).validate_python([1, "a"]) == (1, "a")
    assert ottava.TypeAdapter(Tuple).validate_python([1, "a"]) == (1, "a")


class Color(enum.Enum):
    RED = "red"


def test_values_of_enums_and_null() -> None:
    def make(library: Any) -> Any:
        class Model(library.BaseModel):
            model_config = {"use_enum_values": True}
            c: Optional[Color] = None
            many: List[Optional[Color]] = []
            named: Dict[str, Optional[Color]] = {}

        return Model

    fields = {"c": None, "many": [None, "red"], "named": {"a": None, "b": "red"}}
    agree(
        make,
        lambda model: model.model_validate(fields),
        lambda model: model.model_validate_json(json.dumps(fields)),
        lambda model: model(c="red"),
    )
    arrow = make(ottava).to_arrow(json.dumps(fields).encode())
    assert (arrow.rows_good, arrow.rows_read) == (1, 1)


class Truth(enum.Enum):
    NO = False
    YES = True


class Share(enum.Enum):
    ALL = 1.0
    HALF = 0.5


EQUALS: list[Any] = [
    Literal[1], Literal[0], Literal[True], Literal[False], Literal[2], Literal["a", 1], Literal["1", 0], Literal[1, None],
    Literal[1, 2, True], Union[bool, Literal[1]], Union[Literal[1], bool], Union[Literal[True], int], Union[Literal["a"], bool],
    Truth, Share, List[Truth], List[Optional[Share]], Union[List[Optional[int]], List[bool]],
]  # fmt: skip


@pytest.mark.parametrize("union", EQUALS, ids=str)
def test_equal_numbers_are_one_value(union: Any) -> None:
    values = (0, 1, 2, False, True, 0.0, 1.0, 2.0, 0.5, -1, "1", "true", "a", None)
    for value in (*values, *([value] for value in values)):
        text = json.dumps(value)
        agree(
            lambda library: library.TypeAdapter(union),
            lambda adapter: adapter.validate_python(value),
            lambda adapter: adapter.validate_python(value, strict=True),
            lambda adapter: adapter.validate_json(text),
            lambda adapter: adapter.validate_json(text, strict=True),
        )


def test_equal_numbers_are_one_tag() -> None:
    def make(library: Any) -> Any:
        class A(library.BaseModel):
            kind: Literal[1]
            a: int = 0

        class B(library.BaseModel):
            kind: Literal[0, "b"]
            b: int = 0

        return library.TypeAdapter(Annotated[Union[A, B], library.Field(discriminator="kind")])

    for tag in (1, True, 1.0, 0, False, 0.0, "b", 2, "1", None):
        for value in ({"kind": tag}, {"kind": tag, "a": "x", "b": "x"}):
            agree(
                make,
                lambda adapter: adapter.validate_python(value),
                lambda adapter: adapter.validate_json(json.dumps(value)),
            )


def test_an_ellipsis_is_no_default() -> None:
    def make(library: Any) -> Any:
        class Strict(library.BaseModel):
            a: int = ...
            b: Annotated[int, library.Field(gt=1)] = ...
            c: int = library.Field(...)

        return Strict

    agree(
        make,
        lambda cls: cls(),
        lambda cls: cls(a=1, b=2, c=3),
        lambda cls: [(name, info.is_required()) for name, info in cls.model_fields.items()],
    )


def test_a_default_made_of_fields_that_are_wrong() -> None:
    def make(library: Any) -> Any:
        class Model(library.BaseModel):
            first: int = library.Field(default_factory=lambda data: 0)
            a: int
            b: int = library.Field(default_factory=lambda data: data["a"] + 1)
            c: int = library.Field(default_factory=lambda data: data["b"] + 1)
            d: List[int] = library.Field(default_factory=list)

        return Model

    for fields in ({"a": "x"}, {}, {"a": 1}, {"a": "x", "b": 1}, {"a": 1, "b": "x"}):
        agree(
            make,
            lambda model: model.model_validate(fields),
            lambda model: model.model_validate_json(json.dumps(fields)),
        )


@dataclasses.dataclass
class Data:
    a: int = 0


class Pair(NamedTuple):
    x: int
    y: int = 2


@pytest.mark.parametrize("extra", ["allow", "ignore", "forbid"])
def test_extra_keys_of_what_a_class_is_called_with(extra: str) -> None:
    def make(library: Any) -> Any:
        class Outer(library.BaseModel):
            model_config = {"extra": extra}
            data: Optional[Data] = None
            pair: Optional[Pair] = None

        return Outer

    for fields in ({"data": {"a": 1, "z": 2}}, {"pair": {"x": 1, "z": 2}}, {"pair": [1, 2, 3]}, {"data": {"a": 1}}):
        if extra == "forbid" and "data" in fields:
            continue  # pydantic's code is that of an unknown keyword
        agree(
            make,
            lambda model: model.model_validate(fields),
            lambda model: model.model_validate_json(json.dumps(fields)),
        )


def test_a_dataclass_that_keeps_extra_keys() -> None:
    def make(library: Any) -> Any:
        @library.with_config({"extra": "allow"})
        @dataclasses.dataclass
        class Open:
            a: int = 0

        return library.TypeAdapter(Open)

    agree(make, lambda adapter: vars(adapter.validate_python({"a": "1", "b": 2})))


def test_what_dataclasses_and_named_tuples_are_made_of() -> None:
    for annotation in (Data, Pair):
        agree(
            lambda library: library.TypeAdapter(annotation),
            *[
                lambda adapter, value=value, strict=strict: adapter.validate_python(value, strict=strict)
                for strict in (None, True)
                for value in (
                    {"a": 1, "x": 1} if annotation is Data else {"x": 1},
                    [1],
                    (1, "2"),
                    [],
                    [1, 2, 3],
                    ["a", "b"],
                    range(2),
                    collections.UserDict(x=1, **({"a": 1} if annotation is Data else {})),
                    annotation(1),
                    "x",
                    5,
                    None,
                )
            ],
        )
    agree(lambda library: library.TypeAdapter(Pair), lambda adapter: adapter.validate_python(iter([1, 2])))
    for annotation in (Data, Pair):
        with pytest.raises(ottava.ValidationError, match="invalid_key"):
            ottava.TypeAdapter(annotation).validate_python({1: 2, "x": 1})


class Mixed(enum.Enum):
    ONE = 1
    X = "x"


class Plain(enum.Enum):
    ONE = 1
    TWO = 2


class Whole(enum.IntEnum):
    ONE = 1
    TWO = 2


def test_text_of_numbers_is_for_enums_of_integers() -> None:
    for annotation in (Mixed, Plain, Whole):
        for value in ("1", 1, 1.0, True, "2", "x", 3):
            agree(
                lambda library: library.TypeAdapter(annotation),
                lambda adapter: adapter.validate_python(value),
                lambda adapter: adapter.validate_json(json.dumps(value)),
                lambda adapter: adapter.validate_json(json.dumps(value), strict=True),
            )


def test_byte_arrays() -> None:
    for annotation in (str, bytes, int, bool, dt.date, List[int], Union[str, bytes], Annotated[bytes, "x"]):
        for value in (bytearray(b"1"), bytearray(b"\xff")):
            agree(
                lambda library: library.TypeAdapter(annotation),
                lambda adapter: adapter.validate_python(value),
                lambda adapter: adapter.validate_python(value, strict=True),
            )
    held = bytearray(b"abc")
    made = ottava.TypeAdapter(bytes).validate_python(held)
    held[0] = 0
    assert made == b"abc" and type(made) is bytes


T = TypeVar("T")


def test_instances_of_a_generic_class_with_other_arguments() -> None:
    def make(library: Any) -> Any:
        class Box(library.BaseModel, Generic[T]):
            x: T
            y: int = library.Field(1, alias="why")

        class Outer(library.BaseModel):
            box: Box[int]

        return Box, Outer

    for value, found in (("2", 2), (3, 3)):
        box, outer = make(ottava)
        for made in (box(x=value, why=5), box[str](x=str(value), why=5), box[int](x=value, why=5)):
            held = outer(box=made).box
            assert type(held) is box[int] and (held.x, held.y) == (found, 5)
    box, outer = make(ottava)
    with pytest.raises(ottava.ValidationError, match="int_parsing"):
        outer(box=box[str](x="a"))


def test_a_field_of_any_model() -> None:
    class Inner(ottava.BaseModel):
        n: int = 1

    class Outer(ottava.BaseModel):
        any: ottava.BaseModel

    assert Outer(any=Inner()).any == Inner()
    with pytest.raises(ottava.ValidationError):
        Outer(any=5)


def test_a_wrapping_validator_encloses_the_ones_before_it() -> None:
    def make(library: Any) -> Any:
        seen: List[str] = []

        class Model(library.BaseModel):
            model_config = {"validate_assignment": True}
            x: int = 1

            @library.model_validator(mode="after")
            def first(self) -> Any:
                seen.append("first")
                return self

            @library.model_validator(mode="wrap")
            @classmethod
            def second(cls, value: Any, handler: Any) -> Any:
                seen.append("second<")
                made = handler(value)
                seen.append("second>")
                return made

            @library.model_validator(mode="before")
            @classmethod
            def third(cls, value: Any) -> Any:
                seen.append("third")
                return value

            @library.model_validator(mode="after")
            def fourth(self) -> Any:
                seen.append("fourth")
                return self

            @library.model_validator(mode="before")
            @classmethod
            def fifth(cls, value: Any) -> Any:
                seen.append("fifth")
                return value

        held = Model()
        made, seen[:] = list(seen), []
        held.x = 2
        return made, seen

    assert make(ottava) == make(pydantic)
