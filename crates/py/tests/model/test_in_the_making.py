"""Nobody finds a collection among the objects of the collector before it is done."""

import gc
import json
from typing import Annotated, Any, Callable

import pytest

import ottava

COUNT = 5003


class Item(ottava.Model):
    x: Any


class Items(ottava.Model):
    items: list[Item]


@pytest.mark.parametrize("way", ["python", "json", "engine", "dump"])
def test_a_list_is_hidden_until_it_is_full(way: str) -> None:
    data = {"items": [{"x": 1} for _ in range(COUNT)]}
    text = json.dumps(data)
    looks: list[int] = []
    seen: list[int] = []

    def look(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and len(looks) < 20 and info["generation"] == 0:
            looks.append(1)
            # Its items are not to be touched: there may be none.
            given = (data["items"], whole.items)
            lists = [found for found in gc.get_objects() if type(found) is list and all(found is not one for one in given)]
            own = (lists, seen, looks)
            seen.extend(len(found) for found in lists if 1000 < len(found) <= COUNT and all(found is not one for one in own))

    whole = Items.model_validate(data)

    def dump() -> Items:
        return Items.model_construct(items=whole.model_dump()["items"])

    calls: dict[str, Callable[[], Items]] = {
        "dump": dump,
        "python": lambda: Items.model_validate(data),
        "json": lambda: Items.model_validate_json(text),
        "engine": lambda: Items.model_validate(data, strict=False),
    }
    gc.collect()
    gc.callbacks.append(look)
    threshold = gc.get_threshold()
    known = sorted(len(found) for found in gc.get_objects() if type(found) is list and 1000 < len(found) <= COUNT)
    gc.set_threshold(200, 1000, 1000)
    try:
        made = calls[way]()
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(look)
    assert not [length for length in seen if length not in known]
    assert len(made.items) == COUNT
    assert gc.is_tracked(made.items)


@pytest.mark.parametrize("kind", [list, set, frozenset, tuple])
def test_what_a_validator_adds_to_is_hidden(kind: Any) -> None:
    found: list[Any] = []
    first = f"the first of a {kind.__name__}"

    def look(value: str) -> str:
        for held in gc.get_objects():
            if type(held) in (list, set, frozenset) and held is not given and len(held) <= 3:
                found.extend(type(held) for one in held if one is first)
        return value

    item = Annotated[str, ottava.AfterValidator(look)]
    adapter = ottava.TypeAdapter(tuple[item, ...] if kind is tuple else kind[item])
    given = [first, "second", "third"]
    made = adapter.validate_python(given)
    assert made == kind(given)
    assert found == []
    assert gc.is_tracked(made) or kind is tuple
