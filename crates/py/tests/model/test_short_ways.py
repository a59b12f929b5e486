"""Short ways through the models make what the long ways make: rows that fit in part, integers of every length, memory that is used again."""

from __future__ import annotations

import gc
import itertools
import signal
import sys
import weakref
from typing import Any, Dict, List, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottava import ConfigDict, Field, Model, ValidationError

class Item(Model):
    sku: str
    count: int = Field(ge=1)


class Order(Model):
    model_config = ConfigDict(populate_by_name=True)
    id: int = Field(gt=0)
    name: str = Field(min_length=1, pattern="^[a-z]+$", alias="Name")
    price: float = 1.5
    kind: Literal["sale", "return"] = "sale"
    items: List[Item] = []
    totals: Dict[str, int] = {}
    note: Optional[str] = None


class Closed(Order, extra="forbid"):
    pass


class Row(Dict[str, Any]):
    """No exact dictionary, so that the engine reads it from end to end."""


def outcome(call: Any) -> Any:
    try:
        made = call()
    except ValidationError as error:
        return error.errors(), str(error)
    if isinstance(made, list):
        return [(repr(one), one.model_fields_set) for one in made]
    return repr(made), made.model_fields_set


VALUES: Dict[str, List[Any]] = {
    "id": [1, 0, "7", "x", True, 2.0, None, 2**70, -(2**70)],
    "name": ["abc", "", "A", 5, b"abc"],
    "Name": ["abc", "", "A", 5, b"abc"],
    "price": [0.25, 1, "2.5", "x", None],
    "kind": ["sale", "gift", 1],
    "items": [[], [{"sku": "a", "count": 1}], [{"sku": "a", "count": "2"}], [{"sku": 1, "count": 0}, 5], ({"sku": "a", "count": 3},), 5],
    "totals": [{}, {"net": 1}, {"net": "1"}, {"net": "x", "gross": None}, {1: 1}],
    "note": [None, "x", 5],
    "other": [1],
}


@pytest.mark.parametrize("model", [Order, Closed])
@pytest.mark.parametrize("strict", [None, True, False])
@given(
    keys=st.lists(st.sampled_from(sorted(VALUES)), unique=True),
    data=st.data(),
)
def test_a_row_that_fits_in_part_is_that_of_the_engine(model: Any, strict: Any, keys: list[str], data: Any) -> None:
    row = {key: data.draw(st.sampled_from(VALUES[key])) for key in keys}
    expected = outcome(lambda: model.model_validate(Row(row), strict=strict))
    assert outcome(lambda: model.model_validate(row, strict=strict)) == expected
    assert outcome(lambda: model.model_validate_batch([row], strict=strict)) == outcome(
        lambda: model.model_validate_batch([Row(row)], strict=strict)
    )
    if strict is None:
        assert outcome(lambda: model(**row)) == expected


def test_issues_come_in_the_order_of_the_fields() -> None:
    wrong = {"kind": 1, "id": 0, "items": [{"sku": 1, "count": 0}], "Name": ""}
    for keys in itertools.permutations(wrong):
        with pytest.raises(ValidationError) as caught:
            Order.model_validate({key: wrong[key] for key in keys})
        places = [found["loc"] for found in caught.value.errors()]
        assert places == [("id",), ("Name",), ("kind",), ("items", 0, "sku"), ("items", 0, "count")]
        assert caught.value.errors() == caught.value.errors()


def test_a_row_may_change_while_a_part_of_it_is_checked() -> None:
    row: Dict[str, Any] = {"id": 1, "Name": "abc", "totals": {}}

    class Items:
        def __iter__(self) -> Any:
            row.clear()
            gc.collect()
            return iter([{"sku": "a", "count": 1}])

    row |= {"items": Items(), "price": "2.5"}
    order = Order.model_validate(row)
    assert (order.id, order.name, order.price, order.items) == (1, "abc", 2.5, [Item(sku="a", count=1)])


class Wide(Model):
    free: int
    bound: int = Field(ge=-(2**63), le=2**63 - 1)
    small: int = Field(ge=-(2**30), le=2**30)


EDGES = sorted({sign * (2**power + step) for power in (0, 1, 29, 30, 31, 59, 60, 61, 62, 63, 64) for step in (-1, 0, 1) for sign in (1, -1)})


@pytest.mark.parametrize("value", EDGES)
def test_integers_of_every_length(value: int) -> None:
    for name, low, high in (("free", -sys.maxsize**2, sys.maxsize**2), ("bound", -(2**63), 2**63 - 1), ("small", -(2**30), 2**30)):
        row = {"free": 0, "bound": 0, "small": 0, name: value}
        # Made anew, so that it is no object that lives on.
        row[name] = int(str(value))
        if low <= value <= high:
            assert getattr(Wide.model_validate(row), name) == value
            assert getattr(Wide(**row), name) == value
            assert getattr(Wide.model_validate_json(str(row).replace("'", '"')), name) == value
        else:
            for call in (lambda: Wide.model_validate(row), lambda: Wide(**row)):
                with pytest.raises(ValidationError) as caught:
                    call()
                assert [found["loc"] for found in caught.value.errors()] == [(name,)]


class Keyed(Model):
    a: int
    short_of_a_word: int
    longer_than_two_words_by_far: int
    z: int


@pytest.mark.parametrize("space", ["", " ", "\n", "\t \r\n"])
@pytest.mark.parametrize("first", ["a", "z", "longer_than_two_words_by_far"])
def test_keys_are_found_whatever_stands_around_them(space: str, first: str) -> None:
    names = sorted(Keyed.model_fields, key=lambda name: name != first)
    whole = "{" + ",".join(f'{space}"{name}"{space}:{space}{number}{space}' for number, name in enumerate(names)) + "}"
    made = Keyed.model_validate_json(whole)
    assert made.model_dump() == {name: number for number, name in enumerate(names)}
    for broken in (whole.replace(",", ""), whole.replace(",", ",,"), whole.replace(":", ""), whole.replace("}", ",}")):
        with pytest.raises(ValidationError, match="json_invalid"):
            Keyed.model_validate_json(broken)


class One(Model):
    first: Optional[str] = None
    second: Optional[str] = None


class Other(Model):
    left: Optional[str] = None
    right: Optional[str] = None


class Extended(Model):
    __slots__ = ("__mangled", "hidden")
    only: Optional[str] = None

    def set_mangled(self) -> None:
        object.__setattr__(self, "_Extended__mangled", object())


def test_memory_that_is_used_again_is_empty() -> None:
    for _ in range(100):
        many = [One(first="a", second="b") for _ in range(50)]
        del many
        bare = Other()
        assert (bare.left, bare.right, bare.model_fields_set) == (None, None, set())
        instance = Other.__new__(Other)
        for name in ("left", "right"):
            with pytest.raises(AttributeError):
                getattr(instance, name)
        assert instance.model_fields_set == set()
        del bare, instance


def test_a_slot_that_is_no_field_is_empty_in_the_next_instance() -> None:
    for _ in range(100):
        instance = Extended(only="x")
        for name in ("hidden", "_Extended__mangled"):
            with pytest.raises(AttributeError):
                getattr(instance, name)
        object.__setattr__(instance, "hidden", object())
        instance.set_mangled()
        del instance


def test_what_an_instance_held_is_freed_with_it() -> None:
    class Held(str):
        __slots__ = ("__weakref__",)

    value = Held("x")
    gone = weakref.ref(value)
    holder = One.model_construct(first=value)
    del value
    assert gone() is not None
    del holder
    assert gone() is None


def test_a_class_is_freed_after_its_instances() -> None:
    def make() -> Any:
        class Passing(Model):
            value: int

        for number in range(100):
            Passing(value=number)
        return weakref.ref(Passing)

    gone = make()
    for _ in range(3):
        gc.collect()
    assert gone() is None


@pytest.mark.skipif(sys.platform == "win32", reason="there is no timer that sends a signal")
def test_a_signal_ends_columns_of_a_long_text() -> None:
    class Stopped(Exception):
        pass

    def stop(*_: Any) -> None:
        raise Stopped

    class Number(Model):
        id: int

    text = b'{"id":1}\n' * 20_000_000
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(Stopped):
            Number.to_arrow(text, threads=1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
