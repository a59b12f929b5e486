"""Instances that contain themselves: shown, pickled, copied and dumped."""

from __future__ import annotations

import copy
import pickle
from typing import Any, Dict, Generic, List, Optional, TypeVar

import pytest

from ottava import Model, PrivateAttr, TypeAdapter

T = TypeVar("T")


class Node(Model):
    v: int
    n: Optional[Node] = None
    many: List[Node] = []
    named: Dict[str, Any] = {}


class Slow(Model):
    __ottava_native__ = False
    v: int
    n: Any = None


class Open(Model, extra="allow"):
    v: int
    n: Any = None


class Frozen(Model, frozen=True):
    v: int
    n: Any = None
    _hidden: int = PrivateAttr(3)


class Generous(Model, Generic[T]):
    v: T
    n: Any = None


CLASSES: list[Any] = [Node, Slow, Open, Frozen, Generous[int], Generous]


def closed(one: Any) -> Any:
    """The instance with itself inside."""
    if type(one) is not Frozen:
        one.n = one
    else:
        one._hidden = one
    return one


@pytest.mark.parametrize("make", CLASSES)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dumps", [pickle.dumps, pickle._dumps])  # type: ignore[attr-defined]
def test_pickles(make: Any, protocol: int, dumps: Any) -> None:
    plain = make(v=1) if make is not Open else make(v=1, more=[2])
    made = pickle.loads(dumps(plain, protocol))
    assert made == plain and type(made) is type(plain) and made.model_fields_set == plain.model_fields_set
    assert made.model_extra == plain.model_extra
    made = pickle.loads(dumps(closed(make(v=1)), protocol))
    assert made.v == 1 and (made._hidden if make is Frozen else made.n) is made


def test_pickles_of_longer_cycles() -> None:
    node = Node(v=1, n=Node(v=2))
    node.n.n, node.many, node.named = node, [node], {"a": node.n}
    made = pickle.loads(pickle.dumps(node))
    assert made.n.n is made and made.many[0] is made and made.named["a"] is made.n
    made = copy.deepcopy(node)
    assert made.n.n is made and made.many[0] is made
    extra = Open(v=1)
    extra.more = extra
    made = pickle.loads(pickle.dumps(extra))
    assert made.more is made


@pytest.mark.parametrize("make", [Node, Slow, Open, Generous[int]])
def test_shown_with_a_mark(make: Any) -> None:
    one = closed(make(v=1))
    mark = f"<Recursion on {make.__name__} with id={id(one)}>"
    assert f"n={mark}" in repr(one) and f"n={mark}" in str(one)
    # It is shown whole again afterwards, and twice where it is no cycle.
    assert repr(one) == repr(one)
    inner = make(v=2)
    assert repr([inner, inner]) == f"[{inner!r}, {inner!r}]"


@pytest.mark.parametrize("make", [Node, Slow, Open, Generous[int]])
def test_dumps_refuse_a_cycle(make: Any) -> None:
    one = closed(make(v=1))
    for dump in (
        one.model_dump,
        one.model_dump_json,
        lambda: one.model_dump(mode="json", exclude_none=True),
        lambda: TypeAdapter(Any).dump_python(one),
        lambda: TypeAdapter(Any).dump_json([one]),
    ):
        with pytest.raises(ValueError, match=r"Circular reference detected \(id repeated\)"):
            dump()


@pytest.mark.parametrize("options", [{}, {"mode": "json"}, {"exclude_none": True}])
def test_containers_that_contain_themselves(options: Any) -> None:
    items: list[Any] = [1]
    items.append(items)
    entries: dict[str, Any] = {}
    entries["a"] = {"b": entries}
    for value in (items, entries):
        with pytest.raises(ValueError, match="Circular reference"):
            Slow(v=1, n=value).model_dump(**options)
    # The same twice is no cycle.
    part = [1]
    assert Slow(v=1, n=[part, part, {"a": part}]).model_dump(**options)["n"] == [[1], [1], {"a": [1]}]
    inner = Slow(v=2)
    assert len(Slow(v=1, n=[inner, inner]).model_dump(**options)["n"]) == 2
