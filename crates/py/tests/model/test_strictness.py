"""What is strict and how far that reaches, and what else of a call reaches through validators: as in pydantic."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import types
import uuid
from typing import Annotated, Any, Dict, List, NamedTuple, Optional, Set, Tuple, Union

import pydantic
import pytest
from agreement import agreeing
from typing_extensions import TypedDict

import ottava


class Letter(enum.Enum):
    A = "a"


class Digit(enum.IntEnum):
    ONE = 1


def outcome(library: Any, call: Any) -> Any:
    """What a call makes, or the codes and places of its issues."""
    try:
        made = call()
    except library.ValidationError as error:
        return [(issue["type"], issue["loc"]) for issue in error.errors()]
    return made.model_dump() if hasattr(made, "model_dump") else made


agree = agreeing(outcome)


def same(value: Any) -> Any:
    return value


def around(value: Any, handler: Any) -> Any:
    return handler(value)


class Thing:
    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


KINDS = {
    "int": (int, 1, "1"),
    "list": (List[int], [1], ["1"]),
    "enum": (Letter, "a", "b"),
    "int enum": (Digit, 1, 2),
    "date": (dt.date, "2020-01-01", "x"),
    "uuid": (uuid.UUID, str(uuid.UUID(int=5)), "x"),
    "decimal": (decimal.Decimal, "1.5", "x"),
    "bytes": (bytes, "a", 1),
    "tuple": (Tuple[int, int], [1, 2], [1]),
    "set": (Set[int], [1], ["1"]),
    "enums": (List[Letter], ["a"], ["b"]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["Wrap", "Before", "After"])
def test_the_strictness_of_a_call_reaches_through_validators(kind: str, mode: str) -> None:
    annotation, *values = KINDS[kind]

    def make(library: Any) -> Any:
        validator = getattr(library, mode + "Validator")(around if mode == "Wrap" else same)
        return library.TypeAdapter(Annotated[annotation, validator])

    theirs, ours = make(pydantic), make(ottava)
    for value in values:
        for strict in (None, False, True):
            for call in (
                lambda adapter: adapter.validate_python(value, strict=strict),
                lambda adapter: adapter.validate_json(json.dumps(value), strict=strict),
            ):
                expected = outcome(pydantic, lambda: call(theirs))
                found = outcome(ottava, lambda: call(ours))
                if kind in ("uuid", "decimal") and isinstance(found, list):
                    # The code of a wrong type is another one on purpose.
                    assert isinstance(expected, list)
                    continue
                assert found == expected, (value, strict)


@pytest.mark.parametrize("mode", ["before", "after", "wrap"])
def test_the_strictness_of_a_call_reaches_through_validators_of_models(mode: str) -> None:
    def make(library: Any) -> Any:
        class Base(library.BaseModel):
            n: int
            e: Optional[Letter] = None
            t: Tuple[int, ...] = ()

        if mode == "before":

            class Inner(Base):
                @library.model_validator(mode="before")
                @classmethod
                def check(cls, value: Any) -> Any:
                    return value

        elif mode == "wrap":

            class Inner(Base):  # type: ignore[no-redef]
                @library.model_validator(mode="wrap")
                @classmethod
                def check(cls, value: Any, handler: Any) -> Any:
                    return handler(value)

        else:

            class Inner(Base):  # type: ignore[no-redef]
                @library.model_validator(mode="after")
                def check(self) -> Any:
                    return self

        class Outer(library.BaseModel):
            inner: Inner

        return Outer

    for inner in ({"n": "1"}, {"n": 1}, {"n": 1, "e": "a"}, {"n": 1, "t": [1]}):
        for strict in (None, True):
            agree(
                make,
                lambda model: model.model_validate({"inner": inner}, strict=strict),
                lambda model: model.model_validate_json(json.dumps({"inner": inner}), strict=strict),
            )


def test_rows_are_as_strict_behind_a_wrapping_validator() -> None:
    class Row(ottava.Model):
        x: Annotated[int, ottava.WrapValidator(around)]

    for text in (b'{"x":"1"}', b'{"x":"1"}\n{"x":"1"}'):
        with pytest.raises(ottava.ValidationError, match="int_type"):
            Row.model_validate_ndjson(text, strict=True)
    with pytest.raises(ottava.ValidationError, match="int_type"):
        Row.model_validate_batch([{"x": "1"}], strict=True)
    assert Row.model_validate_ndjson(b'{"x":"1"}')[0].x == 1


@pytest.mark.parametrize("mode", ["Wrap", "Before"])
def test_context_and_attributes_reach_through_validators(mode: str) -> None:
    def make(library: Any) -> Any:
        validator = getattr(library, mode + "Validator")(around if mode == "Wrap" else same)

        class Inner(library.BaseModel):
            d: int

            @library.field_validator("d")
            @classmethod
            def check(cls, value: Any, info: Any) -> Any:
                return value if info.context is None else info.context["k"]

        class Outer(library.BaseModel):
            before: int = 0
            inner: Annotated[Inner, validator]

        return Outer

    agree(
        make,
        lambda model: model.model_validate({"inner": {"d": 1}}, context={"k": 7}),
        lambda model: model.model_validate_json('{"inner": {"d": 1}}', context={"k": 7}),
        lambda model: model.model_validate(Thing(inner=Thing(d=1)), from_attributes=True),
        lambda model: model.model_validate({"inner": Thing(d=1)}, from_attributes=True),
        lambda model: model.model_validate({"inner": Thing(d=1)}),
    )
    if mode == "Wrap":
        rows = make(ottava).model_validate_batch([{"inner": {"d": 1}}], context={"k": 7})
        assert rows[0].inner.d == 7


def test_validators_behind_a_wrapping_one_see_the_fields_before() -> None:
    def make(library: Any) -> Any:
        class Model(library.BaseModel):
            a: int
            b: Annotated[int, library.WrapValidator(around)]

            @library.field_validator("b", mode="wrap")
            @classmethod
            def outer(cls, value: Any, handler: Any) -> Any:
                return handler(value)

            @library.field_validator("b")
            @classmethod
            def inner(cls, value: Any, info: Any) -> Any:
                return value + info.data["a"]

        return Model

    agree(make, lambda model: model(a=1, b=2), lambda model: model.model_validate_json('{"a": 1, "b": 2}'))


def test_a_constructor_of_ones_own_fills_the_instance_through_a_wrapping_validator() -> None:
    class Model(ottava.Model):
        x: int

        def __init__(self, **fields: Any) -> None:
            super().__init__(**fields)

        @ottava.model_validator(mode="wrap")
        @classmethod
        def check(cls, value: Any, handler: Any) -> Any:
            return handler(value)

    assert Model(x="1").x == 1


def test_how_well_a_value_fits_is_known_behind_a_wrapping_validator() -> None:
    agree(
        lambda library: library.TypeAdapter(Union[Annotated[int, library.WrapValidator(around)], str]),
        lambda adapter: adapter.validate_python("1"),
        lambda adapter: adapter.validate_python(1),
    )


def test_a_strict_configuration_ends_where_another_record_begins() -> None:
    def make(library: Any) -> Any:
        class Inner(library.BaseModel):
            d: int

        class Typed(TypedDict):
            i: Inner
            n: int

        @dataclasses.dataclass
        class Data:
            n: int

        class Outer(library.BaseModel):
            model_config = {"strict": True}
            i: Optional[Inner] = None
            many: List[Inner] = []
            either: Union[Inner, int] = 1
            typed: Optional[Typed] = None
            data: Optional[Data] = None
            numbers: Optional[List[int]] = None
            named: Dict[str, int] = {}

        return Outer

    for fields in (
        {"i": {"d": "1"}},
        {"many": [{"d": "1"}]},
        {"either": {"d": "1"}},
        {"typed": {"i": {"d": "1"}, "n": 1}},
        {"typed": {"i": {"d": 1}, "n": "1"}},
        {"data": {"n": 1}},
        {"data": {"n": "1"}},
        {"numbers": ["1"]},
        {"named": {"a": "1"}},
    ):
        agree(
            make,
            lambda model: model.model_validate(fields),
            lambda model: model.model_validate_json(json.dumps(fields)),
        )


class Node(ottava.Model, strict=True):
    n: int
    next: Optional["Node"] = None


def test_a_strict_model_inside_of_itself_and_of_others() -> None:
    class Holder(ottava.Model):
        n: int
        node: Optional[Node] = None

    assert Holder(n="1", node={"n": 1}).n == 1
    for wrong in ({"n": "1"}, {"n": 1, "next": {"n": "1"}}):
        with pytest.raises(ottava.ValidationError, match="int_type"):
            Holder(n=1, node=wrong)


def test_strictness_of_a_field_is_that_of_the_collection_and_not_of_its_items() -> None:
    for annotation in (List[int], Dict[str, int], Tuple[int, int], Set[int], Optional[List[int]]):
        agree(
            lambda library: library.TypeAdapter(Annotated[annotation, library.Field(strict=True)]),
            *[
                lambda adapter, value=value: adapter.validate_python(value)
                for value in (["1"], ("1", 2), (1,), {"a": "1"}, {1}, {"1"}, "1", collections.UserDict(a=1))
            ],
        )


def test_attributes_are_those_of_models() -> None:
    def make(library: Any) -> Any:
        class Typed(TypedDict):
            n: int

        @dataclasses.dataclass
        class Data:
            n: int

        class Inner(library.BaseModel):
            model_config = {"from_attributes": True}
            n: int

        class Outer(library.BaseModel):
            model_config = {"from_attributes": True}
            typed: Optional[Typed] = None
            data: Optional[Data] = None
            inner: Optional[Inner] = None

        return Outer

    for field in ("typed", "data", "inner"):
        agree(make, lambda model: model.model_validate({field: Thing(n=1)}))
        agree(make, lambda model: model.model_validate({field: Thing(n=1)}, from_attributes=True))
    agree(make, lambda model: model.model_validate_json("[]"), lambda model: model.model_validate([]))
    for value in (dt.datetime(2020, 1, 1), dt.date(2020, 1, 1), len, int, json, collections.deque(), collections.OrderedDict()):
        agree(make, lambda model: model.model_validate(value))


def test_mappings_that_are_no_dictionaries_in_strict_mode() -> None:
    def make(library: Any) -> Any:
        class Typed(TypedDict):
            a: int

        class Model(library.BaseModel):
            model_config = {"strict": True}
            a: int = 1
            typed: Optional[Typed] = None

        return Model

    for value in (collections.UserDict(a=1), types.MappingProxyType({"a": 1})):
        agree(
            make,
            lambda model: model.model_validate(value),
            lambda model: model.model_validate({"typed": value}),
            lambda model: model.model_validate(value, strict=False),
        )


class Pair(NamedTuple):
    e: Letter
    d: dt.date
    s: Set[int] = set()


def test_a_named_tuple_in_strict_json() -> None:
    agree(
        lambda library: library.TypeAdapter(Pair),
        *[
            lambda adapter, text=text, strict=strict: adapter.validate_json(text, strict=strict)
            for strict in (None, True)
            for text in (
                '["a","2020-01-01",[1]]',
                '{"e":"a","d":"2020-01-01"}',
                '["a"]',
                '["b","x"]',
                '["a","2020-01-01",["1"]]',
                '["a","2020-01-01",[1],2]',
                '{"e":"a","d":"2020-01-01","z":1}',
                "5",
                "[]",
                "{}",
            )
        ],
    )


def test_strict_keys_of_json_are_dates_or_moments_and_not_the_other() -> None:
    for key in (dt.date, dt.datetime):
        agree(
            lambda library: library.TypeAdapter(Dict[key, int]),
            *[
                lambda adapter, text=text, strict=strict: adapter.validate_json(json.dumps({text: 1}), strict=strict)
                for strict in (None, True)
                for text in ("2020-01-02", "2020-01-02T00:00:00", "2020-01-02T03:04:05Z")
            ],
        )
