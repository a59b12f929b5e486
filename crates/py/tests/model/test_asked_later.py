"""What exceptions say when they are asked later, of any input, and in which order."""

import json
from typing import Any

import pydantic
import pytest

import ottava


class Row(ottava.Model):
    x: int


@pytest.mark.parametrize("view", [lambda data: data, memoryview])
def test_a_document_that_changes_later(view: Any) -> None:
    data = bytearray(b'{"x": "quite wrong"}')
    with pytest.raises(ottava.ValidationError) as caught:
        Row.model_validate_json(view(data))
    data[:] = b"#" * len(data)
    assert [(issue["loc"], issue["input"]) for issue in caught.value.errors()] == [(("x",), "quite wrong")]
    assert "quite wrong" in str(caught.value)


def test_a_context_that_the_caller_changes() -> None:
    class Model(ottava.Model):
        x: int

        @ottava.field_validator("x")
        @classmethod
        def refuse(cls, value: int) -> int:
            raise ottava.PydanticCustomError("mine", "no {k}", {"k": 1})

    class Outer(ottava.Model):
        y: int

        @ottava.field_validator("y")
        @classmethod
        def pass_on(cls, value: int) -> int:
            Model(x=value)
            return value

    for call in (lambda: Model(x=1), lambda: Outer(y=1)):
        with pytest.raises(ottava.ValidationError) as caught:
            call()
        for error in caught.value.errors():
            error["ctx"]["k"] = 2
        assert caught.value.errors()[0]["ctx"] == {"k": 1}


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("mute")


def cyclic() -> Any:
    value: Any = {}
    value["v"] = [value]
    return value


DEEP: Any = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({(1, 2): 3}, {"(1, 2)": 3}),
        ({b"k": 1}, {"b'k'": 1}),
        ({None: 1, 2: 3}, {"null": 1, "2": 3}),
        (Mute(), "<unprintable Mute object>"),
        ({"a": Mute()}, {"a": "<unprintable Mute object>"}),
        (cyclic(), {"v": ["..."]}),
        ([1, "2", [3.5, None, True]], [1, "2", [3.5, None, True]]),
    ],
)
def test_json_of_any_input(value: Any, shown: Any) -> None:
    with pytest.raises(ottava.ValidationError) as caught:
        Row.model_validate({"x": value})
    assert json.loads(caught.value.json())[0]["input"] == shown


def test_json_of_a_deep_input() -> None:
    with pytest.raises(ottava.ValidationError) as caught:
        Row.model_validate({"x": DEEP})
    assert "..." in caught.value.json()


def forbidding(library: Any) -> Any:
    class Model(library.BaseModel):
        model_config = library.ConfigDict(extra="forbid", populate_by_name=True)
        x: int = library.Field(alias="X")
        y: int

        @library.field_validator("y")
        @classmethod
        def after(cls, value: int, info: Any) -> int:
            return value

    class Plain(library.BaseModel):
        model_config = library.ConfigDict(extra="forbid", populate_by_name=True)
        x: int = library.Field(alias="X")
        y: int

    return Model, Plain


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "data",
    [
        {"X": 1, "x": 2, "y": "q"},
        {"X": "q", "x": 2, "y": "q"},
        {"x": "q", "y": "q", "z": 1},
        {"X": 1, "y": 1, 3: 4},
        {"X": 1, "y": 1, None: 4, 2.5: 1, (1, 2): 3, b"q": 1},
    ],
)
def test_places_and_order_of_extra_keys(data: Any, which: int) -> None:
    places = []
    for library in (ottava, pydantic):
        with pytest.raises(library.ValidationError) as caught:  # type: ignore[attr-defined]
            forbidding(library)[which].model_validate(data)
        places.append([(issue["type"], issue["loc"]) for issue in caught.value.errors()])
    assert places[0] == places[1]
