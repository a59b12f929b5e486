"""JSON Schema out of models and in: right by the metaschema, and of one mind with the model about every document."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import re
import uuid
from typing import Any, Dict, FrozenSet, List, Literal, NamedTuple, Optional, Tuple, Union

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import Annotated, TypedDict

from ottava import ConfigDict, Field, Model, Schema, TypeAdapter, ValidationError


class Color(enum.Enum):
    RED = "red"
    ONE = 1


class Cat(Model):
    kind: Literal["cat"]
    lives: int = Field(9, ge=0, le=9)


class Dog(Model, extra="forbid"):
    kind: Literal["dog"]
    name: Optional[str] = None


class Tree(Model):
    value: int
    children: List[Tree] = []


class Flags(TypedDict, total=False):
    a: bool
    b: int


class Everything(Model):
    """One field of each kind."""

    whole: int = Field(gt=-3, multiple_of=2)
    real: float = Field(lt=4.5, description="less than that")
    flag: bool
    text: str = Field(min_length=1, max_length=3, pattern="^[ab1]*$")
    nothing: None = None
    maybe: Optional[int] = Field(None, ge=0)
    either: Union[int, str, None] = None
    pick: Literal["a", "b", 7] = "a"
    color: Color = Color.RED
    some: List[int] = Field([], min_length=1, max_length=3, unique_items=True)
    pair: Tuple[int, str] = (1, "a")
    many: Tuple[int, ...] = ()
    names: FrozenSet[str] = frozenset()
    counts: Dict[str, int] = Field(default_factory=dict, max_length=2)
    by_number: Dict[Annotated[str, Field(max_length=1)], bool] = {}
    pet: Union[Cat, Dog, None] = Field(None, discriminator="kind")
    tree: Optional[Tree] = None
    flags: Flags = {}
    amount: decimal.Decimal = decimal.Decimal("1.50")
    renamed: int = Field(0, alias="other")
    hidden: int = Field(5, init=False)
    anything: Any = None


MODELS: list[Any] = [Everything, Cat, Dog, Tree]
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-4, 10)
    | st.sampled_from([0.5, -2.5, 4.25])  # 1.0 is an integer to JSON Schema, but not to a strict model
    | st.text("ab1", max_size=4)
    | st.sampled_from(["cat", "dog", "red", "1.5", "-.5e3", "1.", ".", "+", "NaN", " 1 "])
)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3, unique_by=json.dumps)
    | st.dictionaries(st.sampled_from(["a", "b", "ab", "kind", "lives", "name", "value", "children"]), inner, max_size=3),
    max_leaves=8,
)
near: dict[str, st.SearchStrategy[Any]] = {
    "pet": st.fixed_dictionaries(
        {"kind": st.sampled_from(["cat", "dog", "cow"])}, optional={"lives": st.integers(-1, 10), "name": leaves, "x": leaves}
    ),
    "tree": st.recursive(
        st.fixed_dictionaries({"value": st.integers(0, 1)}),
        lambda inner: st.fixed_dictionaries({"value": leaves}, optional={"children": st.lists(inner, max_size=2)}),
        max_leaves=4,
    ),
    "counts": st.dictionaries(st.text("ab", max_size=2), st.integers(0, 1), max_size=3),
    "some": st.lists(st.integers(0, 3), max_size=4),
    "pair": st.tuples(leaves, leaves).map(list),
    "flags": st.fixed_dictionaries({}, optional={"a": st.booleans(), "b": leaves, "c": leaves}),
}
PROPERTIES = [*(name for name in Everything.model_fields if name not in ("renamed", "hidden")), "other"]
GOOD = {"whole": 2, "real": 1.5, "flag": True, "text": "ab"}


def taken(model: Any, document: Any) -> bool:
    try:
        model.model_validate_json(json.dumps(document), strict=True)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("model", MODELS)
def test_the_metaschema_takes_what_models_say(model: Any) -> None:
    for by_alias in (True, False):
        schema = model.model_json_schema(by_alias)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        json.dumps(schema)


@settings(max_examples=600)
@given(st.sampled_from(PROPERTIES).flatmap(lambda name: st.tuples(st.just(name), anything | near.get(name, anything))))
def test_schema_and_model_agree_about_each_field(changed: tuple[str, Any]) -> None:
    document = {**GOOD, changed[0]: changed[1]}
    assert VALIDATOR.is_valid(document) == taken(Everything, document), document


@given(anything)
def test_schema_and_model_agree_about_documents(document: Any) -> None:
    for model in MODELS:
        assert jsonschema.Draft202012Validator(model.model_json_schema()).is_valid(document) == taken(model, document)


VALIDATOR = jsonschema.Draft202012Validator(Everything.model_json_schema())


@settings(max_examples=200)
@given(st.sampled_from(PROPERTIES).flatmap(lambda name: st.tuples(st.just(name), anything | near.get(name, anything))))
def test_what_is_written_is_read_with_the_same_meaning(changed: tuple[str, Any]) -> None:
    document = {**GOOD, changed[0]: changed[1]}
    again = Schema.from_json_schema(Everything.model_json_schema())
    expected = VALIDATOR.is_valid(document)
    text = json.dumps(document)
    assert again.is_valid_json(text) == expected
    assert again.is_valid(document) == expected
    assert (again.issues_json(text) == []) == expected
    if expected:
        assert again.validate_json(text) == document


def test_what_a_schema_says() -> None:
    class Said(Model, json_schema_extra={"$comment": "made by hand", "title": "Other"}):
        """What it is for."""

        first: int = Field(3, title="First", description="the first", examples=[1, 2], deprecated=True)
        second: dt.date = Field(dt.date(2020, 1, 2), json_schema_extra={"format": "x-day"})
        third: List[uuid.UUID] = []
        model_config = ConfigDict(extra="allow")

    schema = Said.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == "Other"
    assert schema["$comment"] == "made by hand"
    assert schema["description"] == "What it is for."
    assert schema["additionalProperties"] is True
    assert "required" not in schema
    first = schema["properties"]["first"]
    assert {**first, "type": "integer"} == {
        "type": "integer", "title": "First", "description": "the first", "examples": [1, 2], "default": 3, "deprecated": True,
    }  # fmt: skip
    assert schema["properties"]["second"] == {"type": "string", "format": "x-day", "default": "2020-01-02"}
    assert schema["properties"]["third"]["items"] == {"type": "string", "format": "uuid"}
    with pytest.raises(ValueError, match="mode"):
        Said.model_json_schema(mode="serialization")  # type: ignore[arg-type]


def test_names_and_aliases() -> None:
    assert set(Everything.model_json_schema()["properties"]) == set(PROPERTIES)
    named = Everything.model_json_schema(by_alias=False)["properties"]
    assert "renamed" in named and "other" not in named and "hidden" not in named


def test_the_schema_of_a_type() -> None:
    schema = TypeAdapter(Dict[str, List[Optional[Tree]]]).json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"a": [{"value": 1}, None]})
    assert not validator.is_valid({"a": [{"value": "x"}]})
    assert TypeAdapter(int).json_schema()["type"] == "integer"


@pytest.mark.parametrize("form", [lambda schema: schema, json.dumps, lambda schema: json.dumps(schema).encode()])
def test_schemas_come_as_dictionaries_and_as_text(form: Any) -> None:
    schema = Schema.from_json_schema(form({"type": "object", "properties": {"a": {"minimum": 1}}, "required": ["a"]}))
    assert schema.is_valid({"a": 1}) and schema.is_valid({"a": "x"}) and not schema.is_valid({"a": 0})
    assert not schema.is_valid_json(b"{}")
    assert [(found["loc"], found["type"]) for found in schema.issues_json('{"a": 0}')] == [(("a",), "greater_than_equal")]
    with pytest.raises(ValidationError):
        schema.validate_json("{}")
    assert schema.validate_json('{"a": 1, "b": [null]}') == {"a": 1, "b": [None]}
    assert schema.json_schema()["required"] == ["a"]


def test_boolean_schemas_and_patterns_of_python() -> None:
    assert Schema.from_json_schema(True).is_valid(object())
    assert not Schema.from_json_schema(False).is_valid(1)
    ahead = Schema.from_json_schema({"type": "string", "pattern": "a(?=b)"})
    assert ahead.is_valid("ab") and not ahead.is_valid("ac")


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"unevaluatedProperties": False}, "#/unevaluatedProperties"),
        ({"properties": {"a/b": {"typ": 1}}}, "#/properties/a~1b/typ"),
        ({"type": "int"}, "#/type"),
        ({"$ref": "#/$defs/none"}, "#/$ref"),
        ({"$ref": "#/$defs/a~2", "$defs": {"a~2": {}}}, "#/$ref: reference '#/$defs/a~2' is no JSON pointer"),
        ({"properties": {"a": {"$id": "http://x/y", "$ref": "#/$defs/b"}}}, "#/properties/a/$id"),
        ({"$defs": {"b": {"$id": "inner"}}}, "#/$defs/b/$id"),
        ({"type": []}, "#/type"),
        ({"type": ["string", "null", "string"]}, "#/type"),
        ({"$ref": "#/$defs/a%b", "$defs": {"a%b": {}}}, "#/$ref"),
        ({"items": {"pattern": "("}}, "#/items/pattern"),
        ({"patternProperties": {"(/": {}}}, "#/patternProperties/(~1"),
        ({"items": {"multipleOf": 0}}, "#/items/multipleOf"),
        ({"minimum": "1"}, "#/minimum"),
        ({1: 2}, "#"),
        ("{", ""),
        ("[]", ""),
        ({"const": object()}, ""),
    ],
)
def test_what_cannot_be_compiled_is_refused_with_its_place(schema: Any, place: str) -> None:
    with pytest.raises(ValueError) as caught:
        Schema.from_json_schema(schema)
    assert place in str(caught.value)


def test_names_with_percent_signs_are_names() -> None:
    names = {"percent%field": {"type": "integer"}, "tilde~field": {"type": "integer"}, "a%25b": {"type": "integer"}, "a%b": {}}
    for reference in ("#/$defs/percent%25field", "#/$defs/tilde~0field", "#/$defs/a%2525b"):
        schema = Schema.from_json_schema({"$id": "http://x/root", "$defs": names, "$ref": reference})
        assert schema.is_valid(1) and not schema.is_valid("a"), reference


@pytest.mark.parametrize("word", ["const", "enum"])
@pytest.mark.parametrize(
    ("said", "equal", "other"),
    [
        (2**53, 9007199254740992.0, 9007199254740994.0),
        (9007199254740992.0, 2**53, 2**53 + 1),
        (10**20, 1e20, 10**20 + 1),
        (1e20, 10**20, 10**20 + 1),
        (-(2**60), -(2.0**60), -(2**60) - 1),
        (2**53 - 1, 9007199254740991.0, 9007199254740992.0),
        ([10**20], [1e20], [1e19]),
    ],
)
def test_large_numbers_equal_floats_of_their_value(word: str, said: Any, equal: Any, other: Any) -> None:
    schema = Schema.from_json_schema({word: said if word == "const" else ["x", said]})
    for value, right in ((said, True), (equal, True), (other, False)):
        assert schema.is_valid(value) is right, value
        assert schema.is_valid_json(json.dumps(value)) is right, value


class Shade(enum.Enum):
    LIGHT = "light"
    DARK = "dark"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 20


KEYS = ["a", "b", "light", "1", "20", "-3", "1.5", "true", "false", "2020-01-01", "x y", "", "1e3"]


KINDS: list[Any] = [
    *(Literal["a", "b"], int, bool, float, Shade, Level, dt.date, decimal.Decimal, Union[int, Literal["a"]], Literal[1], str)
]


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_dictionaries_are_described(kind: Any) -> None:
    adapter = TypeAdapter(Dict[kind, int])
    schema = Schema.from_json_schema(adapter.json_schema())
    taken = 0
    for key in KEYS:
        text = json.dumps({key: 1})
        try:
            adapter.validate_json(text)
        except ValidationError:
            assert not schema.is_valid_json(text), key
        else:
            # Of what is read with a conversion the schema says the plainest form.
            assert schema.is_valid_json(text) or (kind is bool and key == "1"), key
            taken += 1
    assert taken < len(KEYS) or kind is str


class Place(NamedTuple):
    a: int
    b: str = "x"


def test_a_named_tuple_is_an_array() -> None:
    class Holder(Model):
        places: List[Place]

    described = Holder.model_json_schema()["$defs"]["Place"]
    assert described == {
        "type": "array",
        "title": "Place",
        "prefixItems": [{"type": "integer"}, {"type": "string", "default": "x"}],
        "minItems": 1,
        "maxItems": 2,
    }
    schema = Schema.from_json_schema(Holder.model_json_schema())
    for text in ('{"places": [[1, "b"]]}', '{"places": [[1]]}'):
        assert schema.is_valid_json(text)
        assert Holder.model_validate_json(text).places[0].a == 1
    for text in ('{"places": [[]]}', '{"places": [["x"]]}', '{"places": [[1, "b", 2]]}', '{"places": [7]}'):
        assert not schema.is_valid_json(text)
        with pytest.raises(ValidationError):
            Holder.model_validate_json(text)


def test_a_schema_that_contains_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["not"] = endless
    with pytest.raises(ValueError):
        Schema.from_json_schema(endless)
    deep: dict[str, Any] = {}
    for _ in range(900):
        deep = {"items": deep}
    with pytest.raises(ValueError, match="at most 100 inside of each other"):
        Schema.from_json_schema(deep)
    for text, place in (
        ({"$ref": "#"}, "#"),
        ({"allOf": [{"$ref": "#"}]}, "#"),
        ({"$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}, "#/$defs/a"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(place)}: only refers to itself"):
            Schema.from_json_schema(text)
