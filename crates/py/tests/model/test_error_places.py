"""Where an issue is, and what it is called: keys that are no text, collections that are too long, classes that are no models."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
from typing import Any, Dict, FrozenSet, List, NamedTuple, Set

import pydantic
import pytest
from typing_extensions import Annotated

import ottava


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Pair:
    a: int


class Named(NamedTuple):
    a: int


def issues(adapter: Any, value: Any, json: bool = False) -> Any:
    read = adapter.validate_json if json else adapter.validate_python
    with pytest.raises((ottava.ValidationError, pydantic.ValidationError)) as caught:
        read(value)
    return [(one["type"], one["loc"], one["msg"], one.get("ctx")) for one in caught.value.errors()]


def agree(make: Any, value: Any, json: bool = False) -> None:
    assert issues(make(ottava), value, json) == issues(make(pydantic), value, json)


@pytest.mark.parametrize(
    "key", [b"a", True, 1, 2**70, 1.5, None, decimal.Decimal("1.5"), dt.date(2020, 1, 1), (1, "a"), Color.RED, frozenset([1]), "a"]
)
def test_keys_are_shown_as_python_shows_them(key: Any) -> None:
    agree(lambda library: library.TypeAdapter(Dict[Any, int]), {key: "x"})
    agree(lambda library: library.TypeAdapter(Dict[int, Dict[Any, int]]), {1: {key: "x"}})


@pytest.mark.parametrize("extra", ["allow", "forbid"])
@pytest.mark.parametrize("key", [b"a", True, 7, None, 1.5])
def test_a_key_of_a_model_that_is_no_text_is_named(extra: str, key: Any) -> None:
    def make(library: Any) -> Any:
        return library.TypeAdapter(type(library.BaseModel)("M", (library.BaseModel,), {"__module__": __name__}, extra=extra))

    agree(make, {key: 1})


@pytest.mark.parametrize("value", [["x", 1, 2], ["x", "y", "z"], [1, 2, "x"], ("x", 1, 2, 3)])
def test_a_list_that_is_too_long_is_that_whatever_its_items_are(value: Any) -> None:
    agree(lambda library: library.TypeAdapter(Annotated[List[int], library.Field(max_length=2)]), value)


@pytest.mark.parametrize("kind", [Set[int], FrozenSet[int], Dict[int, int]])
def test_what_was_not_counted_to_its_end_has_no_length(kind: Any) -> None:
    value = {1: 1, 2: 2, 3: 3} if kind == Dict[int, int] else [1, 2, 3]
    agree(lambda library: library.TypeAdapter(Annotated[kind, library.Field(max_length=2)]), value)


@pytest.mark.parametrize("kind", [Pair, Named])
@pytest.mark.parametrize("value", [1, "x", None])
def test_a_class_that_is_no_model_has_a_code_of_its_own(kind: Any, value: Any) -> None:
    agree(lambda library: library.TypeAdapter(kind), value)


@pytest.mark.parametrize("text", ["1", '"x"'])
def test_in_json_a_dataclass_is_an_object(text: str) -> None:
    agree(lambda library: library.TypeAdapter(Pair), text, True)
    assert issues(ottava.TypeAdapter(Named), text, True)[0][:2] == ("named_tuple_type", ())
