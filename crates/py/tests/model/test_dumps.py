"""Dumps: what they show of subclasses, and each option, natively and in the general way."""

import contextlib
import dataclasses
import datetime as dt
import json
import sys
from collections.abc import Iterator
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import pydantic
import pytest
from typing_extensions import TypedDict

import ottava
from ottava import ConfigDict, Field, Model, SerializeAsAny, TypeAdapter


def family(lib: Any) -> Any:
    class Public(lib.BaseModel):
        name: str

    class Private(Public):
        password: str

    class Other(lib.BaseModel):
        name: str
        code: int = 0

    class Deeper(Other):
        token: str = "t"

    @dataclasses.dataclass
    class Data:
        user: Public

    @dataclasses.dataclass
    class More(Data):
        secret: str = "s"

    class Entry(NamedTuple):
        user: Public

    class Typed(TypedDict):
        user: Public

    class Holder(lib.BaseModel):
        one: Public
        maybe: Optional[Public] = None
        many: List[Public] = []
        named: Dict[str, Public] = {}
        pair: Optional[Tuple[int, Public]] = None
        either: Union[Public, Other, None] = None
        mixed: List[Union[int, Public]] = []
        free: Any = None
        bare: list = []
        data: Optional[Data] = None
        entry: Optional[Entry] = None
        typed: Optional[Typed] = None
        shown: Optional[lib.SerializeAsAny[Public]] = None

    private = Private(name="a", password="secret")
    yield "one", Holder(one=private)
    for field, value in {
        "maybe": private,
        "many": [private, Public(name="b")],
        "named": {"k": private},
        "pair": (1, private),
        "either": Deeper(name="c"),
        "mixed": [1, private],
        "free": private,
        "bare": [private],
        "data": Data(private),
        "entry": Entry(private),
        "typed": {"user": private},
        "shown": private,
    }.items():
        yield field, Holder(one=Public(name="p"), **{field: value})
    yield "data of a subclass", Holder(one=Public(name="p"), data=More(private))
    yield "private itself", private


OPTIONS: list[dict[str, Any]] = [{}, {"exclude_unset": True}, {"mode": "json"}, {"exclude_none": True}, {"serialize_as_any": True}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_of_a_subclass_dumps_show_what_is_declared(options: dict[str, Any]) -> None:
    for (name, theirs), (_, ours) in zip(family(pydantic), family(ottava)):
        expected = theirs.model_dump(**options)
        assert ours.model_dump(**options) == expected, name
        rest = {key: value for key, value in options.items() if key != "mode"}
        assert json.loads(ours.model_dump_json(**rest)) == json.loads(theirs.model_dump_json(**rest)), name


def test_adapters_show_what_is_declared() -> None:
    class Public(Model):
        name: str

    class Private(Public):
        password: str

    private = Private(name="a", password="secret")
    assert TypeAdapter(List[Public]).dump_python([private]) == [{"name": "a"}]
    assert TypeAdapter(Public).dump_json(private) == b'{"name":"a"}'
    assert TypeAdapter(SerializeAsAny[Public]).dump_python(private) == {"name": "a", "password": "secret"}
    assert TypeAdapter(Private).dump_python(private) == {"name": "a", "password": "secret"}


def test_an_extra_value_does_not_stand_in_for_a_field() -> None:
    class Renamed(Model, extra="allow"):
        name: str = Field(alias="Name")

    made = Renamed.model_validate({"Name": "a", "name": "b", "more": 1})
    assert made.name == "a" and made.model_dump() == {"name": "a", "more": 1}


def test_keys_by_alias_as_the_class_says() -> None:
    class Inner(Model):
        x: int = Field(serialization_alias="X")

    class Outer(Model):
        model_config = ConfigDict(serialize_by_alias=True)
        inner: Inner = Field(alias="in")

    made = Outer.model_validate({"in": {"x": 1}})
    assert made.model_dump() == {"in": {"x": 1}} and made.model_dump_json() == '{"in":{"x":1}}'
    assert made.model_dump(by_alias=False) == {"inner": {"x": 1}}
    assert made.model_dump(by_alias=True) == {"in": {"X": 1}}


def test_items_counted_from_the_end_and_keys_of_several_parts() -> None:
    class M(Model):
        items: List[int] = [1, 2, 3]
        places: Dict[Tuple[int, str], dt.date] = {}

    assert M().model_dump(exclude={"items": {-1}}) == {"items": [1, 2], "places": {}}
    assert M().model_dump(include={"items": {0, -1}}) == {"items": [1, 3]}
    made = M(places={(1, "a"): dt.date(2020, 1, 1)})
    assert json.loads(made.model_dump_json())["places"] == {"1,a": "2020-01-01"}


LONG = 10**5000 + 7


@contextlib.contextmanager
def any_length() -> Iterator[None]:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.skipif(not hasattr(sys, "set_int_max_str_digits"), reason="no limit to go beyond")
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "value",
    [LONG, -LONG, [LONG, "é", 1.5, None, True, {}, []], {"a": {"b": [LONG]}, "ü": "x"}, {"x": float("nan"), "y": LONG}],
    ids=["plain", "negative", "list", "dictionary", "nan"],
)
def test_integers_of_any_length_are_dumped(value: Any, indent: Optional[int]) -> None:
    class Holder(Model):
        x: Any

    text = Holder(x=value).model_dump_json(indent=indent)
    whole = TypeAdapter(Any).dump_json(value, indent=indent).decode()
    with any_length():
        separators = (",", ":") if indent is None else None
        for made in (text, whole):
            assert made == json.dumps(json.loads(made), indent=indent, separators=separators, ensure_ascii=False)
        if not isinstance(value, dict) or "y" not in value:
            assert json.loads(text) == {"x": value} and json.loads(whole) == value
    assert TypeAdapter(Dict[int, int]).dump_json({LONG: 1}).decode().endswith('7":1}')


@pytest.mark.parametrize("value", ["\ud800", ["é", "a\udfff"], {"\ud800": 1}], ids=ascii)
def test_text_that_json_has_not_is_refused(value: Any) -> None:
    class Holder(Model):
        x: Any

    for dump in (lambda: Holder(x=value).model_dump_json(), lambda: TypeAdapter(Any).dump_json(value)):
        with pytest.raises(ValueError, match="lone surrogate"):
            dump()
    assert Holder(x=value).model_dump() == {"x": value}
