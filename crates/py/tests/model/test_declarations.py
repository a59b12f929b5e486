"""What a class statement may say: configuration, generics, bases that are no models, keywords; and what its instances then do."""

from __future__ import annotations

import abc
import copy
import dataclasses
import datetime as dt
import doctest
import functools
import gc
import json
import pickle
import re
import weakref
from decimal import Decimal
from typing import Any, ClassVar, Dict, Generic, List, Optional, TypeVar

import pytest
from typing_extensions import Annotated, TypedDict

import ottava.models
from ottava import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Model,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
    root_validator,
    validator,
    with_config,
)
from ottava.errors import ArgumentError

K = TypeVar("K")
T = TypeVar("T")
U = TypeVar("U")


class Result(Model, Generic[T]):
    a: T


class Loose(Model):
    __ottava_native__ = False
    a: int


class Open(Model, extra="allow"):
    a: int


def issues(error: ValidationError) -> list[tuple[Any, ...]]:
    return [(found["loc"], found["type"]) for found in error.errors()]


@pytest.mark.parametrize("config", [{}, {"populate_by_name": True}, {"extra": "allow"}, {"from_attributes": True}], ids=str)
@pytest.mark.parametrize("native", [True, False], ids=["slots", "dict"])
@pytest.mark.parametrize("key", ["b", "\0b"])
def test_no_input_reaches_a_field_with_init_false(config: dict[str, Any], native: bool, key: str) -> None:
    body = {"__annotations__": {"a": int, "b": int}, "b": Field(3, init=False), "__module__": __name__}
    made_by = type(Model)("Closed", (Model,), {**body, "model_config": config, "__ottava_native__": native})
    given = {"a": 1, key: 99}
    made = [
        made_by(**given),
        made_by.model_validate(given),
        made_by.model_validate({**{str(n): n for n in range(3)}, **given}),
        made_by.model_validate_json(json.dumps(given)),
        *made_by.model_validate_ndjson(json.dumps(given).encode()),
        *made_by.model_validate_batch([given]),
    ]
    if "from_attributes" in config:
        made.append(made_by.model_validate(type("Source", (), given)()))
    for one in made:
        assert one.b == 3 and one.model_dump()["b"] == 3 and json.loads(one.model_dump_json())["b"] == 3
    pa = pytest.importorskip("pyarrow")
    assert pa.table(made_by.to_arrow(json.dumps(given).encode()).table)["b"].to_pylist() == [3]


@pytest.mark.parametrize(
    "option",
    [
        {"revalidate_instances": "always"}, {"hide_input_in_errors": True}, {"loc_by_alias": False}, {"ser_json_timedelta": "float"},
        {"ser_json_bytes": "base64"}, {"ser_json_inf_nan": "constants"}, {"val_json_bytes": "hex"}, {"json_encoders": {int: str}},
        {"use_attribute_docstrings": True}, {"validate_by_alias": False}, {"json_schema_extra": len}, {"extras": "forbid"},
    ],
    ids=str,
)  # fmt: skip
def test_options_that_would_be_ignored_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(option))):
        type(Model)("M", (Model,), {"__annotations__": {"a": int}, "model_config": option, "__module__": __name__})


def test_options_that_say_what_holds_anyway() -> None:
    class M(Model):
        model_config = ConfigDict(revalidate_instances="never", protected_namespaces=(), json_encoders={}, defer_build=True)  # type: ignore[typeddict-unknown-key]
        a: int

    assert M(a=1).a == 1
    with pytest.raises(TypeError, match="did you mean 'frozen'"):
        ConfigDict
        type(Model)("M", (Model,), {"model_config": {"forzen": True}, "__module__": __name__})

    class Older(Model):
        a: str

        class Config:
            anystr_strip_whitespace = True
            allow_mutation = False

    with pytest.raises(ValidationError):
        Older(a=" x ").a = "y"
    assert Older(a=" x ").a == "x"


def test_keywords_of_the_class_statement_reach_the_hooks() -> None:
    seen: list[Any] = []

    class Base(Model):
        def __init_subclass__(cls, **keywords: Any) -> None:
            seen.append(("plain", keywords))

        @classmethod
        def __pydantic_init_subclass__(cls, **keywords: Any) -> None:
            seen.append((list(cls.model_fields), keywords))

    class Sub(Base, frozen=True, table="subs"):
        a: int

    assert seen == [("plain", {"table": "subs"}), (["a"], {"table": "subs"})]
    with pytest.raises(TypeError):

        class Wrong(Model, forzen=True):  # type: ignore[call-arg]
            a: int


def test_config_of_adapters_dataclasses_and_typed_dictionaries() -> None:
    config = ConfigDict(str_strip_whitespace=True, str_max_length=2)
    assert TypeAdapter(List[str], config=config).validate_python([" a "]) == ["a"]
    with pytest.raises(ValidationError):
        TypeAdapter(List[str], config=config).validate_json('["abc"]')

    @with_config(str_to_upper=True, extra="forbid")
    class Named(TypedDict):
        name: str

    assert TypeAdapter(Named).validate_python({"name": "a"}) == {"name": "A"}
    with pytest.raises(ValidationError):
        TypeAdapter(Named).validate_python({"name": "a", "more": 1})

    @dataclasses.dataclass
    class Data:
        __pydantic_config__ = ConfigDict(str_to_lower=True)
        name: str

    assert TypeAdapter(Data).validate_python({"name": "A"}) == Data("a")

    class Outer(Model, str_to_upper=True):
        data: Data
        name: str

    assert Outer.model_validate({"data": {"name": "Ab"}, "name": "Ab"}).model_dump() == {"data": {"name": "ab"}, "name": "AB"}


@pytest.mark.parametrize("mode", ["before", "wrap", "after"])
def test_assignments_run_the_validators_of_the_model(mode: Any) -> None:
    class Bounds(Model, validate_assignment=True):
        low: int
        high: int = 9

        if mode == "after":

            @model_validator(mode="after")
            def whole(self) -> Bounds:
                if self.low > self.high:
                    raise ValueError("low > high")
                return self

        elif mode == "before":

            @model_validator(mode="before")
            @classmethod
            def data(cls, data: Any) -> Any:
                assert int(data["low"]) <= int(data.get("high", 9))
                return data

        else:

            @model_validator(mode="wrap")
            @classmethod
            def both(cls, data: Any, handler: Any) -> Any:
                made = handler(data)
                if made.low > made.high:
                    raise ValueError("low > high")
                return made

    made = Bounds(low=1)
    made.low = "5"  # type: ignore[assignment]
    assert (made.low, made.model_fields_set) == (5, {"low"})
    with pytest.raises(ValidationError) as caught:
        made.low = 10
    assert issues(caught.value) == [((), "assertion_error" if mode == "before" else "value_error")]
    with pytest.raises(ValidationError):
        made.high = 2
    assert (made.low, made.high, made.model_fields_set) == (5, 9, {"low"})
    made.high = 5
    assert (made.high, made.model_fields_set) == (5, {"low", "high"})
    with pytest.raises(ValidationError) as caught:
        made.low = 4.5  # type: ignore[assignment]
    assert issues(caught.value) == [(("low",), "int_from_float")]


def test_validators_of_the_model_follow_each_other_on_assignment() -> None:
    class Chained(Model, validate_assignment=True):
        a: int
        b: int = 0

        @model_validator(mode="before")
        @classmethod
        def second(cls, data: Any) -> Any:
            return {**data, "a": data["a"] * 10}

        @model_validator(mode="before")
        @classmethod
        def first(cls, data: Any) -> Any:
            return {**data, "a": data["a"] + 1}

        @model_validator(mode="after")
        def last(self) -> Chained:
            object.__setattr__(self, "b", self.a)
            if self.a > 100:
                raise ValueError("a > 100")
            return self

    made = Chained(a=1)
    assert (made.a, made.b) == (20, 20)
    made.a = 2
    assert (made.a, made.b) == (30, 30)
    with pytest.raises(ValidationError):
        made.a = 20
    assert (made.a, made.b) == (30, 30)


def test_validators_see_the_other_fields_on_assignment() -> None:
    class Checked(Model, validate_assignment=True):
        a: int
        b: int

        @field_validator("b")
        @classmethod
        def check(cls, value: int, info: Any) -> int:
            assert "b" not in info.data
            if value < info.data["a"]:
                raise ValueError("b < a")
            return value

    made = Checked(a=1, b=2)
    made.b = 1
    with pytest.raises(ValidationError):
        made.b = 0


def test_generic_models_in_steps() -> None:
    class Pair(Model, Generic[K, T]):
        key: K
        value: T
        next: Optional["Pair[K, T]"] = None

    Pair.model_rebuild()
    partly = Pair[int, T]  # type: ignore[valid-type]
    assert partly[str] is Pair[int, str]  # type: ignore[misc]
    assert Pair[K, T] is Pair  # type: ignore[misc]
    whole = Pair[int, str]
    assert whole.__name__ == "Pair[int, str]"
    made = whole.model_validate({"key": "1", "value": "a", "next": {"key": "2", "value": "b"}})
    assert type(made.next) is whole and made.next.key == 2
    with pytest.raises(ValidationError):
        whole.model_validate({"key": 1, "value": "a", "next": {"key": "x", "value": "b"}})
    with pytest.raises(TypeError, match="not generic"):
        whole[int]

    class Derived(Result[List[T]], Generic[T]):
        b: T

    assert Derived[int].model_validate({"a": ["1"], "b": "2"}).model_dump() == {"a": [1], "b": 2}
    assert Result[List[int]].__name__ == "Result[List[int]]"
    names = Derived[Result[List[str]]].model_json_schema()["$defs"]  # type: ignore[type-arg]
    assert list(names) == ["Result[List[str]]"]


def test_instances_of_generic_models() -> None:
    made = Result[int](a=1)
    assert made == Result(a=1) and Result(a=1) == made and made != Result[int](a=2)
    assert made == Result[float](a=1)  # type: ignore[comparison-overlap]
    assert pickle.loads(pickle.dumps(made)) == made and type(pickle.loads(pickle.dumps(made))) is Result[int]
    inner = Result[Result[List[int]]](a={"a": ["1"]})  # type: ignore[arg-type]
    assert type(pickle.loads(pickle.dumps(inner)).a) is Result[List[int]]
    assert copy.deepcopy(inner) == inner


def test_specializations_are_collected() -> None:
    def make() -> Any:
        class Local(Model, Generic[T]):
            a: T

        return weakref.ref(Local[int]), weakref.ref(Local)

    refs = [ref for _ in range(3) for ref in make()]

    @dataclasses.dataclass
    class Part:
        a: int

    TypeAdapter(Part).validate_python({"a": 1})
    refs.append(weakref.ref(Part))
    del Part
    gc.collect()
    gc.collect()
    assert sum(ref() is not None for ref in refs) <= 2


@pytest.mark.parametrize("made", [Loose(a=1), Open(a=1, b=[2]), Result[int](a=1)], ids=["dict", "extra", "generic"])
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), Model.model_copy])
def test_copies(made: Any, duplicate: Any) -> None:
    other = duplicate(made)
    assert other == made and other is not made and type(other) is type(made)
    assert other.model_dump() == made.model_dump() and other.model_extra == made.model_extra


def test_abstract_models() -> None:
    class Shape(Model, abc.ABC):
        name: str

        @abc.abstractmethod
        def area(self) -> float: ...

    class Square(Shape):
        side: float

        def area(self) -> float:
            return self.side**2

    class Drawing(Model):
        shape: Shape

    for call in (lambda: Shape(name="x"), lambda: Shape.model_validate({"name": "x"}), lambda: Shape.model_validate_json('{"name": "x"}'), lambda: Drawing.model_validate({"shape": {"name": "x"}})):  # type: ignore[abstract]
        with pytest.raises(TypeError, match="Shape has abstract methods and no instances: area"):
            call()
    square = Square(name="s", side=2)
    assert square.area() == 4 and Drawing(shape=square).shape is square
    assert isinstance(square, Shape) and not isinstance(square, Drawing) and issubclass(Square, abc.ABC)
    assert Shape.model_json_schema()["required"] == ["name"]


def test_fields_of_bases_that_are_no_models() -> None:
    class Stamped:
        created: dt.date = dt.date(2020, 1, 1)
        by: str = Field(min_length=1)

        def shown(self) -> str:
            return f"{self.by} {self.created}"

    class Row(Stamped, Model):
        id: int

    assert list(Row.model_fields) == ["created", "by", "id"]
    assert Row(id=1, by="me").shown() == "me 2020-01-01"  # type: ignore[call-arg]
    with pytest.raises(ValidationError) as caught:
        Row(id=1, by="", created="x")  # type: ignore[call-arg]
    assert [loc for loc, _ in issues(caught.value)] == [("created",), ("by",)]


def test_older_validators() -> None:
    class Older(Model):
        a: int
        b: int

        @validator("b")
        def check(cls, value: int, values: Dict[str, Any]) -> int:
            if value < values["a"]:
                raise ValueError("b < a")
            return value

        @root_validator(pre=True)
        def rename(cls, values: Any) -> Any:
            return {"a": values.get("A", 0), **values}

    assert Older(A=1, b=2).a == 1  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Older(a=2, b=1)
    for wrong in (lambda: validator("a", each_item=True), lambda: validator("a", always=True), lambda: root_validator(), lambda: root_validator(len)):
        with pytest.raises(TypeError, match="has no equivalent"):
            wrong()


def test_patterns_keep_their_flags() -> None:
    class M(Model):
        a: str = Field(pattern=re.compile("^abc$", re.I))
        b: Optional[str] = Field(None, pattern=re.compile("x"))

    assert M(a="ABC", b="x").a == "ABC"
    with pytest.raises(ValidationError) as caught:
        M(a="abcd", b="y")
    assert issues(caught.value) == [(("a",), "string_pattern_mismatch"), (("b",), "string_pattern_mismatch")]
    properties = M.model_json_schema()["properties"]
    assert "pattern" not in properties["a"] and "x" in json.dumps(properties["b"])


def test_enum_of_other_values_than_literals() -> None:
    class M(Model):
        a: float = Field(enum=[0.5, 1.5])
        b: Optional[str] = Field(None, enum=["x", "y"])

    assert M(a="1.5", b="x").a == 1.5  # type: ignore[arg-type]
    with pytest.raises(ValidationError) as caught:
        M(a=1, b="z")
    assert issues(caught.value) == [(("a",), "literal_error"), (("b",), "literal_error")]
    assert caught.value.errors()[0]["msg"] == "Input should be 0.5 or 1.5"
    with pytest.raises(TypeError, match="enum lists plain values; it is not for list"):

        class Wrong(Model):
            a: List[str] = Field(enum=["x"])


@pytest.mark.parametrize("native", [True, False], ids=["slots", "dict"])
def test_patterns_of_match_leave_out_fields_that_cannot_be_given(native: bool) -> None:
    class Base(Model):
        __ottava_native__ = native
        a: int
        made: str = Field("m", init=False)
        b: int = 2

    class Derived(Base):
        c: int = 3
        late: List[int] = Field(default_factory=list, init=False)

    class Other(Base):
        __match_args__ = ("made", "a")
        d: int = 4

    assert Base.__match_args__ == ("a", "b") and Derived.__match_args__ == ("a", "b", "c")
    assert Other.__match_args__ == ("made", "a")
    match Derived(a=1):
        case Base(1, b, c=3, late=[], made=made):
            assert (b, made) == (2, "m")
        case _:
            raise AssertionError
    match Base(a=1):
        case Derived() | Base(1, 3):
            raise AssertionError
        case Base(a, b):
            assert (a, b) == (1, 2)
    match Other(a=7):
        case Other(made, a):
            assert (made, a) == ("m", 7)
    with pytest.raises(TypeError, match="accepts 2 positional sub-patterns"):
        match Base(a=1):
            case Base(1, 2, 3):  # type: ignore[misc]
                pass


@pytest.mark.parametrize("extra", ["ignore", "allow", "forbid"])
def test_validators_see_all_fields_before_their_own_whatever_the_order(extra: Any) -> None:
    seen: List[tuple[str, dict[str, Any]]] = []

    class Ordered(Model, extra=extra, from_attributes=True):
        a: int = 0
        x: int = Field(alias="X")
        y: List[str] = Field(default_factory=lambda: ["new"])
        z: Optional[int] = None
        late: int = Field(default_factory=lambda data: data.get("x", 0) + 1)

        @field_validator("x", "z")
        @classmethod
        def note(cls, value: Any, info: Any) -> Any:
            seen.append((info.field_name, dict(info.data)))
            return value

    class Source:
        z, X = 1, 2
        y: List[str] = []

    before = {"a": 0}
    for call in (
        lambda: Ordered(z=1, X=2),  # type: ignore[call-arg]
        lambda: Ordered.model_validate({"z": 1, "X": 2}),
        lambda: Ordered.model_validate_json('{"z": 1, "X": 2}'),
        lambda: Ordered.model_validate_json('{"z": 7, "X": 8, "z": 1, "X": 2}'),
        lambda: Ordered.model_validate_ndjson(b'{"z": 1, "X": 2}')[0],
        lambda: Ordered.model_validate_batch([{"z": 1, "X": 2}])[0],
    ):
        seen.clear()
        made = call()
        assert made.model_dump() == {"a": 0, "x": 2, "y": ["new"], "z": 1, "late": 3} and made.model_fields_set == {"x", "z"}
        assert seen == [("x", before), ("z", {**before, "x": 2, "y": ["new"]})]
    seen.clear()
    assert Ordered.model_validate(Source()).late == 3 and [name for name, _ in seen] == ["x", "z"]
    # What is wrong is not seen, and the rest is checked as ever; the issues are in the order of the fields.
    for read in (lambda value: Ordered.model_validate(value), lambda value: Ordered.model_validate_json(json.dumps(value))):
        seen.clear()
        with pytest.raises(ValidationError) as caught:
            read({"more": 1, "z": 5, "y": 3, "a": "a"})
        assert issues(caught.value)[:3] == [(("a",), "int_parsing"), (("X",), "missing"), (("y",), "list_type")]
        late = (("late",), "default_factory_not_called")
        more = [(("more",), "extra_forbidden")] if extra == "forbid" else []
        assert issues(caught.value)[3:] == [late, *more]
        assert seen == [("z", {})]


def test_validators_inside_of_others_are_told_what_those_are() -> None:
    seen: List[tuple[Any, ...]] = []

    def note(value: Any, info: Any) -> Any:
        seen.append((info.mode, info.context, info.data))
        return value

    class Noted(Model):
        a: int = 0
        x: Annotated[int, AfterValidator(note), WrapValidator(lambda value, handler: handler(value))]
        y: Annotated[int, AfterValidator(note), BeforeValidator(lambda value: value)] = 1

        def model_post_init(self, context: Any, /) -> None:
            seen.append(("post", context))

    fields = {"a": 5, "x": 6, "y": 7}
    for way, make in (("python", Noted.model_validate), ("json", lambda value, **more: Noted.model_validate_json(json.dumps(value), **more))):
        seen.clear()
        assert make(fields, context="c") == Noted.model_construct(**fields)
        assert seen == [(way, "c", {"a": 5}), (way, "c", {"a": 5, "x": 6}), ("post", "c")]
        with pytest.raises(ValidationError) as caught:
            make({"x": "6", "y": "7"}, strict=True)
        assert issues(caught.value) == [(("x",), "int_type"), (("y",), "int_type")]
        assert make({"x": "6", "y": "7"}).x == 6
    seen.clear()
    Noted(x=1)
    assert seen == [("python", None, {"a": 0}), ("post", None)]


def test_instances_that_lack_a_field() -> None:
    class Frozen(BaseModel, frozen=True):
        a: int
        b: int

    part = Frozen.model_construct(a=1)
    assert dict(part) == {"a": 1} and hash(part) == hash(Frozen.model_construct(a=1)) and hash(part) != hash(Frozen(a=1, b=1))
    made = Loose(a=1)
    del made.a
    assert list(made) == [] and made.model_fields is Loose.model_fields
    extra = Open(a=1, b=2)  # type: ignore[call-arg]
    del extra.b  # type: ignore[attr-defined]
    assert extra.model_extra == {} and not hasattr(extra, "b")


class Manager:
    pass


@pytest.mark.parametrize("value", [1, None, [], "x", Manager(), int, dt])
def test_what_has_no_annotation_is_not_dropped(value: Any) -> None:
    with pytest.raises(TypeError, match=r"Forgotten\.x: a field needs an annotation"):
        type(Model)("Forgotten", (Model,), {"__module__": __name__, "__qualname__": "Forgotten", "x": value})


def test_what_needs_no_annotation() -> None:
    class Base:
        limit = 1

    class Kept(Base, Model):
        a: int
        constant: ClassVar[int] = 2
        limit = 3
        _hidden = 4

        class Inner:
            pass

        @property
        def b(self) -> int:
            return self.a

        @staticmethod
        def c() -> int:
            return 1

        @functools.cached_property
        def d(self) -> int:
            return 2

        e = lambda self: self.a  # noqa: E731
        f = functools.partial(int, "7")

    made = Kept(a=5)
    assert list(Kept.model_fields) == ["a"]
    assert (made.limit, made.b, made.c(), made.e(), made.f(), Kept.Inner.__name__) == (3, 5, 1, 5, 7, "Inner")


@pytest.mark.parametrize("name", ["model_dump", "model_validate", "model_fields", "model_extra", "model_fields_set"])
def test_fields_cannot_be_called_as_what_every_model_has(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        type(Model)("Named", (Model,), {"__module__": __name__, "__annotations__": {name: int}})


def test_other_fields_may_begin_with_model() -> None:
    class Car(Model):
        model_name: str

    class Sport(Car):
        model_name: str = "x"

    assert Sport().model_dump() == {"model_name": "x"}


@pytest.mark.parametrize(
    ("rule", "kind"),
    [("min_length", List[int]), ("max_length", str), ("max_length", Dict[str, int]), ("max_digits", Decimal), ("decimal_places", Decimal)],
)
def test_sizes_are_counts(rule: str, kind: Any) -> None:
    def adapter(size: Any) -> TypeAdapter[Any]:
        return TypeAdapter(Annotated[kind, Field(**{rule: size})])

    for size in (-1, -(2**70)):
        with pytest.raises(ArgumentError, match=f"^{rule}: expected 0 or more, got {size}$"):
            adapter(size)
    for wrong in ("2", 1.5, []):
        with pytest.raises(TypeError, match=f"{rule}: expected an integer, got {type(wrong).__name__}$"):
            adapter(wrong)
    # As good as no limit, or as one that nothing reaches.
    for size in (2**63, 2**64, 2**70):
        if rule == "min_length":
            with pytest.raises(ValidationError, match="too_short"):
                adapter(size).validate_python([1])
        else:
            adapter(size).validate_python({str: "x", Dict[str, int]: {"a": 1}, Decimal: "1.5"}[kind])


def test_the_base_of_all_models_has_no_instances() -> None:
    for make in (Model, lambda: Model.model_validate({}), lambda: Model.model_validate_json("{}"), Model.model_json_schema):
        with pytest.raises(TypeError, match="make a class of it"):
            make()


def test_errors_as_json_without_their_inputs() -> None:
    with pytest.raises(ValidationError) as caught:
        Loose(a="secret")  # type: ignore[arg-type]
    assert "secret" in caught.value.json() and "secret" not in caught.value.json(include_input=False)


def test_the_examples_of_the_documentation_hold() -> None:
    assert doctest.testmod(ottava.models).failed == 0
