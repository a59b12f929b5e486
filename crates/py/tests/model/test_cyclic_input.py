"""Values that contain themselves, for models that do."""

import dataclasses
from typing import Any, List, Optional, Union

import pydantic
import pytest

import ottava


def models(library: Any) -> dict[str, Any]:
    class Node(library.BaseModel):
        l: "List[Node]" = []
        n: "Optional[Node]" = None
        d: "dict[str, Node]" = {}
        x: int = 0

    class Left(library.BaseModel):
        right: "Optional[Right]" = None

    class Right(library.BaseModel):
        left: Optional[Left] = None

    class Holder(library.BaseModel):
        u: Union[Node, int] = 0
        n: Optional[Node] = None

    Node.model_rebuild(_types_namespace={"Node": Node, "List": List, "Optional": Optional})
    Left.model_rebuild(_types_namespace={"Right": Right, "Left": Left, "Optional": Optional})
    return {"Node": Node, "Left": Left, "Holder": Holder}


def outcome(library: Any, made: dict[str, Any], name: str, value: Any) -> Any:
    try:
        return made[name].model_validate(value).model_dump()
    except library.ValidationError as error:
        return [(issue["type"], issue["loc"], issue["input"] is value) for issue in error.errors()]


def cycles() -> dict[str, tuple[str, Any]]:
    twice: Any = {}
    twice["l"] = [twice, twice]
    plain: Any = {}
    plain["n"] = plain
    wrong: Any = {"x": "q"}
    wrong["n"] = wrong
    named: Any = {}
    named["d"] = {"a": named, "b": {"l": [named]}}
    held: Any = {"u": plain, "n": twice}
    shared: Any = {"x": "5"}
    tree: Any = {"l": [shared, shared, {"n": shared, "l": [shared]}]}
    empty: Any = {"l": [], "n": {"l": []}}
    return {
        "twice": ("Node", twice),
        "plain": ("Node", plain),
        "wrong": ("Node", wrong),
        "named": ("Node", named),
        "held": ("Holder", held),
        "tree": ("Node", tree),
        "empty": ("Node", empty),
    }


@pytest.mark.parametrize("name", sorted(cycles()))
def test_as_in_pydantic(name: str) -> None:
    model, value = cycles()[name]
    expected = outcome(pydantic, models(pydantic), model, value)
    if name == "held":
        # In a union a place says what the member is called, as everywhere.
        expected = [issue for issue in expected if issue[1][0] != "u" or issue[1][1] != "int"]
    found = outcome(ottava, models(ottava), model, value)
    if name == "held":
        found = [issue for issue in found if issue[1][0] != "u" or issue[1][1] != "int"]
    assert found == expected


def test_two_classes_that_contain_each_other() -> None:
    left: Any = {}
    left["right"] = {"left": left}
    assert outcome(ottava, models(ottava), "Left", left) == [("recursion_loop", ("right", "left"), True)]


def test_a_dataclass_that_contains_itself() -> None:
    @dataclasses.dataclass
    class Data:
        items: "list[Data]"

    Data.__annotations__["items"] = List[Data]
    value: Any = {}
    value["items"] = [value, value]
    with pytest.raises(ottava.ValidationError) as caught:
        ottava.TypeAdapter(Data).validate_python(value)
    assert [(issue["type"], issue["loc"]) for issue in caught.value.errors()] == [
        ("recursion_loop", ("items", 0)),
        ("recursion_loop", ("items", 1)),
    ]
