"""What a model is: fields, slots, constructor, configuration, subclasses, copies, pickles."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
from typing import Any, ClassVar, Generic, List, Optional, TypeVar

import pytest

from ottava import (
    ConfigDict,
    Field,
    Model,
    PrivateAttr,
    ValidationError,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)

T = TypeVar("T")


class User(Model):
    id: int = Field(gt=0)
    name: str = Field(min_length=1)
    age: int = Field(ge=0, le=150)
    email: str = Field(email=True)


class Node(Model):
    value: int
    next: Optional[Node] = None
    children: List[Node] = Field(default_factory=list)


class Secret(Model):
    shown: int
    _hidden: list[int] = PrivateAttr(default_factory=list)
    kind: ClassVar[str] = "secret"


GOOD: dict[str, Any] = {"id": 1, "name": "Ada", "age": 36, "email": "ada@example.org"}


def types_of(error: ValidationError) -> list[tuple[tuple[Any, ...], str]]:
    return [(found["loc"], found["type"]) for found in error.errors()]


def test_an_instance_has_its_fields_in_slots() -> None:
    user = User(**GOOD)
    assert (user.id, user.name, user.age, user.email) == (1, "Ada", 36, "ada@example.org")
    assert repr(user) == "User(id=1, name='Ada', age=36, email='ada@example.org')"
    assert str(user) == "id=1 name='Ada' age=36 email='ada@example.org'"
    assert not hasattr(user, "__dict__")
    assert type(User.__dict__["id"]).__name__ == "member_descriptor"
    assert user.__sizeof__() <= 56
    assert User.__match_args__ == ("id", "name", "age", "email")
    assert dict(user) == GOOD
    assert not gc.is_tracked(user)
    match user:
        case User(number, name):
            assert (number, name) == (1, "Ada")


@pytest.mark.parametrize("way", ["call", "dict", "json", "bytes", "reversed", "subdict"])
def test_every_way_gives_the_same_instance(way: str) -> None:
    class Sub(dict[str, Any]):
        pass

    made = {
        "call": lambda: User(**GOOD),
        "dict": lambda: User.model_validate(GOOD),
        "json": lambda: User.model_validate_json('{"id":1,"name":"Ada","age":36,"email":"ada@example.org"}'),
        "bytes": lambda: User.model_validate_json(b'{"email":"ada@example.org","age":36,"name":"Ada","id":1}'),
        "reversed": lambda: User.model_validate(dict(reversed(GOOD.items()))),
        "subdict": lambda: User.model_validate(Sub(GOOD)),
    }[way]()
    assert made == User(**GOOD)
    assert made.model_fields_set == set(GOOD)


@pytest.mark.parametrize("way", ["call", "dict", "json"])
def test_every_bad_field_is_named(way: str) -> None:
    bad = {"id": 0, "name": "", "age": 151, "email": "nobody"}
    with pytest.raises(ValidationError) as caught:
        if way == "call":
            User(**bad)
        elif way == "dict":
            User.model_validate(bad)
        else:
            User.model_validate_json(b'{"id":0,"name":"","age":151,"email":"nobody"}')
    assert types_of(caught.value) == [
        (("id",), "greater_than"),
        (("name",), "string_too_short"),
        (("age",), "less_than_equal"),
        (("email",), "value_error"),
    ]
    assert [found["input"] for found in caught.value.errors()] == [0, "", 151, "nobody"]
    text = str(caught.value)
    assert text.startswith("4 errors in User\n")
    assert all(f"\n  {name}: " in text for name in bad)
    assert isinstance(caught.value, ValueError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.errors() == caught.value.errors() and str(again) == text


def test_missing_fields_are_named() -> None:
    with pytest.raises(ValidationError) as caught:
        User()  # type: ignore[call-arg]
    assert types_of(caught.value) == [((name,), "missing") for name in GOOD]


def test_positional_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="keyword arguments only"):
        User(1, "Ada")  # type: ignore[misc]


def test_equality_and_hash() -> None:
    class Frozen(Model, frozen=True):
        a: int
        b: tuple[int, ...] = ()

    assert User(**GOOD) == User(**GOOD)
    assert User(**GOOD) != User(**{**GOOD, "id": 2})
    assert User(**GOOD) != GOOD
    with pytest.raises(TypeError, match="unhashable"):
        hash(User(**GOOD))
    assert hash(Frozen(a=1, b=(2,))) == hash(Frozen(a=1, b=(2,)))
    assert len({Frozen(a=1), Frozen(a=1), Frozen(a=2)}) == 2
    with pytest.raises(ValidationError) as caught:
        Frozen(a=1).a = 2  # type: ignore[misc]
    assert types_of(caught.value) == [(("a",), "frozen_instance")]
    with pytest.raises(ValidationError):
        del Frozen(a=1).a


def test_one_frozen_field() -> None:
    class Account(Model):
        id: int = Field(frozen=True)
        name: str = ""

    account = Account(id=1)
    account.name = "x"
    with pytest.raises(ValidationError) as caught:
        account.id = 2
    assert types_of(caught.value) == [(("id",), "frozen_field")]
    assert account.id == 1


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), Model.model_copy])
def test_copies_and_pickles(duplicate: Any) -> None:
    user = User(**GOOD)
    assert duplicate(user) == user and duplicate(user) is not user
    assert duplicate(user).model_fields_set == set(GOOD)
    node = Node(value=1, next=Node(value=2), children=[Node(value=3)])
    assert duplicate(node) == node
    secret = Secret(shown=1)
    secret._hidden.append(5)
    assert duplicate(secret)._hidden == [5]


def test_a_deep_copy_shares_nothing_and_keeps_cycles() -> None:
    node = Node(value=1, next=Node(value=2))
    assert node.next is not None
    node.next.next = node
    made = copy.deepcopy(node)
    assert made is not node and made.next is not node.next
    assert made.next is not None and made.next.next is made


def test_copies_with_updates() -> None:
    user = User(**GOOD)
    assert user.model_copy(update={"id": -5}).id == -5
    with pytest.raises(TypeError, match="no field called 'other'"):
        user.model_copy(update={"other": 1})


def test_defaults() -> None:
    class Defaults(Model):
        a: int = 1
        b: list[int] = []
        c: dict[str, int] = Field(default_factory=dict)
        d: list[int] = Field(default_factory=lambda: [1, 2])
        e: str | None = None
        f: Any = Field(default_factory=lambda data: sorted(data))

    one, other = Defaults(), Defaults()
    assert (one.a, one.b, one.c, one.d, one.e, one.f) == (1, [], {}, [1, 2], None, list("abcde"))
    assert one.b is not other.b and one.c is not other.c and one.d is not other.d
    assert one.model_fields_set == set()
    assert Defaults(a=1, e=None).model_fields_set == {"a", "e"}
    assert Defaults(a=1).model_dump(exclude_unset=True) == {"a": 1}


def test_aliases() -> None:
    class Aliased(Model):
        number: int = Field(alias="n")

    class Both(Aliased):
        model_config = ConfigDict(populate_by_name=True)

    assert Aliased(n=1).number == 1  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Aliased(number=1)
    assert Both(number=1) == Both(n=1)  # type: ignore[call-arg]
    assert Aliased(n=1).model_dump(by_alias=True) == {"n": 1}  # type: ignore[call-arg]
    assert Aliased(n=1).model_dump() == {"number": 1}  # type: ignore[call-arg]


def test_extra_fields() -> None:
    class Allow(Model, extra="allow"):
        a: int

    class Forbid(Model, extra="forbid"):
        a: int

    made = Allow(a=1, b=2)  # type: ignore[call-arg]
    assert made.model_extra == {"b": 2} and made.model_dump() == {"a": 1, "b": 2}
    assert made.b == 2  # type: ignore[attr-defined]
    made.c = 3  # type: ignore[attr-defined]
    assert made.model_extra == {"b": 2, "c": 3}
    assert pickle.loads(pickle.dumps(User(**GOOD))) == User(**GOOD)
    assert not hasattr(User.model_validate({**GOOD, "more": 1}), "more")
    with pytest.raises(ValidationError) as caught:
        Forbid.model_validate({"a": 1, "b": 2, "c": 3})
    assert types_of(caught.value) == [(("b",), "extra_forbidden"), (("c",), "extra_forbidden")]


def test_checked_assignment() -> None:
    class Checked(Model, validate_assignment=True):
        a: int = Field(ge=0)
        b: str = ""

    made = Checked(a=1)
    made.a = 5
    made.b = "x"
    assert (made.a, made.b) == (5, "x")
    made.a = "7"  # type: ignore[assignment]
    assert made.a == 7
    with pytest.raises(ValidationError) as caught:
        made.a = -1
    assert types_of(caught.value) == [(("a",), "greater_than_equal")]
    assert made.a == 7 and made.model_fields_set == {"a", "b"}
    with pytest.raises(AttributeError):
        made.other = 1  # type: ignore[attr-defined]


def test_a_class_with_a_dictionary() -> None:
    class Loose(Model):
        __ottava_native__ = False
        a: int
        b: str = "b"

    made = Loose(a="1")  # type: ignore[arg-type]
    assert vars(made) == {"a": 1, "b": "b"}
    made.more = 1  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(copy.copy(User(**GOOD)))) == User(**GOOD)
    assert copy.copy(made).more == 1  # type: ignore[attr-defined]
    assert made.model_dump() == {"a": 1, "b": "b"}
    with pytest.raises(ValidationError):
        Loose(a="x")  # type: ignore[arg-type]


def test_subclasses_methods_and_properties() -> None:
    class Named(User):
        title: str = ""

        @property
        def full(self) -> str:
            return f"{self.title} {self.name}"

        def greet(self) -> str:
            return f"hello, {self.full}"

    named = Named(**GOOD, title="Countess")
    assert named.greet() == "hello, Countess Ada"
    assert isinstance(named, User) and named != User(**GOOD)
    assert list(Named.model_fields) == [*GOOD, "title"]

    class Other(Model):
        __ottava_native__ = False
        extra: int = 0

    class Joined(User, Other):
        pass

    assert Joined(**GOOD, extra=3).extra == 3

    class Third(Model):
        third: int = 0

    with pytest.raises(TypeError, match="__ottava_native__ = False"):

        class Conflict(User, Third):
            pass


def test_its_own_init() -> None:
    class Custom(Model):
        a: int
        b: int = 0

        def __init__(self, a: int, **rest: Any) -> None:
            super().__init__(a=a + 1, **rest)

    class Holder(Model):
        inner: Custom

    assert Custom(1).a == 2
    assert Holder.model_validate({"inner": {"a": 1}}).inner.a == 2
    with pytest.raises(ValidationError):
        Custom(1, b="x")


def test_validators() -> None:
    class Checked(Model):
        a: int
        b: str
        c: list[int] = []

        @field_validator("a")
        @classmethod
        def even(cls, value: int) -> int:
            if value % 2:
                raise ValueError("must be even")
            return value

        @field_validator("b", mode="before")
        @classmethod
        def text(cls, value: Any, info: Any) -> Any:
            assert info.field_name == "b" and info.data == ({"a": 2} if "a" in info.data else {})
            return str(value)

        @field_validator("c", mode="wrap")
        @classmethod
        def at_least_one(cls, value: Any, handler: Any) -> Any:
            return handler(value) or [0]

        @model_validator(mode="after")
        def whole(self) -> Checked:
            if self.b == "stop":
                raise ValueError("stopped")
            return self

        @model_validator(mode="before")
        @classmethod
        def rename(cls, data: Any) -> Any:
            if isinstance(data, dict) and "A" in data:
                return {**data, "a": data["A"]}
            return data

    made = Checked.model_validate({"A": 2, "b": 5, "c": []})
    assert (made.a, made.b, made.c) == (2, "5", [0])
    assert Checked.model_validate_json('{"a": 2, "b": 5, "c": ["1"]}').c == [1]
    for bad, expected in [
        ({"a": 1, "b": "", "c": ["x"]}, [(("a",), "value_error"), (("c", 0), "int_parsing")]),
        ({"a": 2, "b": "stop"}, [((), "value_error")]),
    ]:
        with pytest.raises(ValidationError) as caught:
            Checked.model_validate(bad)
        assert types_of(caught.value) == expected
    assert isinstance(caught.value.errors()[0]["ctx"]["error"], ValueError)


def test_an_exception_that_is_no_verdict_passes_through() -> None:
    class Broken(Model):
        a: int

        @field_validator("a")
        @classmethod
        def fail(cls, value: int) -> int:
            raise KeyError("not about the value")

    for call in (lambda: Broken(a=1), lambda: Broken.model_validate_json('{"a": 1}')):
        with pytest.raises(KeyError):
            call()


def test_serializers_and_computed_fields() -> None:
    class Shape(Model):
        width: int
        height: int
        secret: str = Field("s", exclude=True)

        @field_serializer("width")
        def as_text(self, value: int) -> str:
            return f"{value} m"

        @computed_field  # type: ignore[prop-decorator]
        @property
        def area(self) -> int:
            return self.width * self.height

    made = Shape(width=2, height=3)
    assert made.area == 6
    assert made.model_dump() == {"width": "2 m", "height": 3, "area": 6}
    assert made.model_dump_json() == '{"width":"2 m","height":3,"area":6}'
    assert made.model_dump(include={"height", "area"}) == {"height": 3, "area": 6}


def test_private_attributes_and_post_init() -> None:
    class Counted(Model):
        a: int
        _calls: int = 0

        def model_post_init(self, context: Any, /) -> None:
            self._calls += self.a

    assert Counted(a=2)._calls == 2
    assert Counted.model_validate_json('{"a": 3}')._calls == 3
    assert Secret(shown=1)._hidden == [] and Secret.kind == "secret"


def test_recursion_and_forward_references() -> None:
    made = Node.model_validate({"value": 1, "next": {"value": 2}, "children": [{"value": 3, "children": [{"value": "4"}]}]})
    assert made.children[0].children[0].value == 4
    with pytest.raises(ValidationError) as caught:
        Node.model_validate({"value": 1, "children": [{"value": 2, "next": {"value": "x"}}]})
    assert types_of(caught.value) == [(("children", 0, "next", "value"), "int_parsing")]

    class Early(Model):
        later: Optional[Later] = None

    with pytest.raises(TypeError, match="not complete"):
        Early()

    class Later(Model):
        a: int

    assert Early.model_rebuild() is True
    assert Early.model_validate({"later": {"a": 1}}).later == Later(a=1)


def test_generics() -> None:
    class Page(Model, Generic[T]):
        items: List[T]
        total: int = 0

    assert Page[int] is Page[int]
    assert Page[int](items=["1"]).items == [1]  # type: ignore[list-item]
    assert Page[User].model_validate({"items": [GOOD]}).items == [User(**GOOD)]
    assert Page(items=["x"]).items == ["x"]
    with pytest.raises(ValidationError):
        Page[int](items=["x"])  # type: ignore[list-item]


def test_from_attributes() -> None:
    class Plain:
        def __init__(self) -> None:
            self.__dict__.update(GOOD)

    with pytest.raises(ValidationError):
        User.model_validate(Plain())
    assert User.model_validate(Plain(), from_attributes=True) == User(**GOOD)


def test_strict() -> None:
    class Strict(Model, strict=True):
        a: int
        b: float = 0.0

    assert Strict(a=1, b=2).b == 2.0
    with pytest.raises(ValidationError) as caught:
        Strict.model_validate({"a": "1"})
    assert types_of(caught.value) == [(("a",), "int_type")]
    with pytest.raises(ValidationError):
        User.model_validate({**GOOD, "id": "1"}, strict=True)


def test_batches() -> None:
    rows: list[Any] = [GOOD, {**GOOD, "id": 0}, GOOD, {"id": "x"}, 5]
    with pytest.raises(ValidationError) as caught:
        User.model_validate_batch(rows)
    expected = [
        ((1, "id"), "greater_than"),
        ((3, "id"), "int_parsing"),
        ((3, "name"), "missing"),
        ((3, "age"), "missing"),
        ((3, "email"), "missing"),
        ((4,), "model_type"),
    ]
    assert types_of(caught.value) == expected
    assert User.model_validate_batch(rows, on_error="skip") == [User(**GOOD)] * 2
    result = User.model_validate_batch(iter(rows), on_error="collect")
    assert (result.rows, result.rows_read, result.rows_good) == ([User(**GOOD)] * 2, 5, 2)
    assert [(found["loc"], found["type"]) for found in result.errors()] == expected
    with pytest.raises(ValueError, match="on_error"):
        User.model_validate_batch(rows, on_error="ignore")


def test_construct_checks_nothing() -> None:
    made = User.model_construct(id="x", name=5)
    assert (made.id, made.name) == ("x", 5) and not hasattr(made, "age")
    assert made.model_fields_set == {"id", "name"}


def test_mistakes_in_a_class_are_named() -> None:
    with pytest.raises(TypeError, match=r"Bad\.a: rule 'pattern' is not for int"):

        class Bad(Model):
            a: int = Field(pattern="x")

    with pytest.raises(TypeError, match=r"no field called 'z'"):

        class Unknown(Model):
            a: int

            @field_validator("z")
            @classmethod
            def check(cls, value: Any) -> Any:
                return value

    with pytest.raises(ValueError, match="pattern"):

        class Pattern(Model):
            a: str = Field(pattern="(")


def test_many_fields() -> None:
    wide = type(Model)("Wide", (Model,), {"__annotations__": {f"f{i}": int for i in range(150)}, "f140": 5, "__module__": __name__})
    values = {f"f{i}": i for i in range(140)} | {f"f{i}": i for i in range(141, 150)}
    made = wide(**values)
    assert made.f149 == 149 and made.f140 == 5
    assert made.model_fields_set == set(values)
    assert copy.copy(made) == made


@pytest.mark.parametrize("make", [lambda: User(**GOOD), lambda: User.model_validate(GOOD), lambda: User.model_validate_json('{"id":1,"name":"Ada","age":36,"email":"ada@example.org"}'), lambda: User(**GOOD).model_dump(), lambda: Node(value=1, next=Node(value=2))])
def test_nothing_leaks(make: Any) -> None:
    gc.collect()
    values = list(GOOD.values())
    before = [sys.getrefcount(value) for value in values]
    blocks = sys.getallocatedblocks()
    for _ in range(1000):
        make()
    gc.collect()
    after = [sys.getrefcount(value) for value in values]
    assert all(abs(a - b) < 50 for a, b in zip(after, before))
    assert sys.getallocatedblocks() - blocks < 500


def test_failures_do_not_leak() -> None:
    def fail() -> None:
        try:
            User.model_validate({**GOOD, "email": "x", "age": "y"})
        except ValidationError as error:
            error.errors()

    fail()
    gc.collect()
    blocks = sys.getallocatedblocks()
    for _ in range(1000):
        fail()
    gc.collect()
    assert sys.getallocatedblocks() - blocks < 500


def test_classes_are_collected() -> None:
    import weakref

    def make() -> Any:
        class Short(Model):
            a: int
            other: Short | None = None

            @field_validator("a")
            @classmethod
            def check(cls, value: int) -> int:
                return value

        Short(a=1, other=Short(a=2))
        return weakref.ref(Short)

    refs = [make() for _ in range(5)]
    gc.collect()
    gc.collect()
    assert sum(ref() is not None for ref in refs) <= 1


def test_a_long_chain_is_freed_without_recursion() -> None:
    node = Node(value=0)
    for value in range(100_000):
        node = Node.model_construct(value=value, next=node, children=[])
    del node


def test_cycles_are_collected() -> None:
    before = sum(type(obj) is Node for obj in gc.get_objects())
    for _ in range(10):
        node = Node(value=1)
        node.next = node
        del node
    gc.collect()
    assert sum(type(obj) is Node for obj in gc.get_objects()) <= before
