"""Bad input: text and objects that were made to break whoever reads them. Clean errors, no leak, no crash."""

from __future__ import annotations

import decimal
import enum
import gc
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterable, List, Literal, Optional, Set, Tuple, Union

import pytest
from typing_extensions import Annotated

from ottava import BeforeValidator, Field, Model, Schema, TypeAdapter, ValidationError, WrapValidator, field_validator


class Color(enum.Enum):
    RED = "red"


class Part(Model):
    name: str
    tags: List[str] = []


class Whole(Model):
    id: int
    kind: Literal["a", 1] = "a"
    color: Color = Color.RED
    parts: List[Part] = []
    counts: Dict[str, int] = {}
    names: Set[str] = set()
    either: Union[int, str, None] = None


class A(Model):
    x: Optional[Union[A, B]] = None
    a: int = 0


class B(Model):
    x: Optional[Union[A, B]] = None
    b: int = 0


A.model_rebuild()


def codes(call: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        call()
    return [error["type"] for error in caught.value.errors()]


# Text


def test_a_hundred_megabytes_of_brackets() -> None:
    for text in (b"[" * 100_000_000, b'{"a":' * 20_000_000):
        for adapter in (TypeAdapter(Any), TypeAdapter(List[Any]), TypeAdapter(Dict[str, Any])):
            assert codes(lambda: adapter.validate_json(text)) == ["json_invalid"]
        assert codes(lambda: Whole.model_validate_json(text)) == ["json_invalid"]


def test_a_string_that_never_ends() -> None:
    text = b'{"id": 1, "kind": "' + b"x" * 50_000_000
    assert codes(lambda: Whole.model_validate_json(text)) == ["json_invalid"]
    assert codes(lambda: Whole.model_validate_json(text[:-1] + b"\\")) == ["json_invalid"]


def test_a_row_of_a_gigabyte_is_passed_over_in_little_memory(tmp_path: Path) -> None:
    # A file with a hole: a string of 1 GiB that takes no room on the disk.
    path = tmp_path / "rows.ndjson"
    with path.open("wb") as file:
        file.write(b'{"id": 1, "name": "a"}\n{"id": 2, "name": "')
        file.seek(1 << 30, os.SEEK_CUR)
        file.write(b'"}\n{"id": 3, "name": "c"}\n')
    program = (
        "import resource, sys\nimport pyarrow as pa\n"
        "from ottava import Model\n"
        "class Row(Model):\n    id: int\n    name: str\n"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = used()\n"
        "found = Row.to_arrow(sys.argv[1], threads=1, on_error='collect')\n"
        "print(found.rows_good, pa.table(found.issues)['type'].to_pylist(), (used() - before) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    good, _, rest = done.stdout.strip().partition(" ")
    kinds, _, grown = rest.rpartition(" ")
    assert (good, kinds) == ("2", "['row_too_long']")
    # Whatever the row claims to be, no more than the longest row that is looked at is kept, and what is read beyond it.
    assert int(grown) < 512


@pytest.mark.parametrize("digits", [b"1" * 1_000_000, b"-" + b"9" * 1_000_000, b"1" * 5_000])
def test_integers_of_a_million_digits(digits: bytes) -> None:
    assert codes(lambda: Whole.model_validate_json(b'{"id": ' + digits + b"}")) == ["int_parsing_size"]
    assert codes(lambda: Whole.model_validate_json(b'{"id": "' + digits + b'"}')) in (["int_parsing_size"], ["int_parsing"])
    assert codes(lambda: TypeAdapter(Any).validate_json(digits)) == ["int_parsing_size"]
    assert codes(lambda: TypeAdapter(List[Any]).validate_json(b"[" + digits + b"]")) == ["int_parsing_size"]
    assert codes(lambda: TypeAdapter(bool).validate_json(digits))
    assert codes(lambda: TypeAdapter(str).validate_json(digits)) == ["string_type"]
    assert TypeAdapter(float).validate_json(b"1" * 300) == float("1" * 300)
    number = TypeAdapter(decimal.Decimal).validate_json(b"1" * 5_000)
    assert number == decimal.Decimal("1" * 5_000)


def test_python_integers_are_exact_at_any_size() -> None:
    huge = 10**5000 + 7
    assert Whole(id=huge).id == huge
    assert Whole(id=-huge).id == -huge
    assert Whole.model_validate({"id": huge}).id == huge
    assert codes(lambda: TypeAdapter(Annotated[int, Field(lt=0)]).validate_python(huge)) == ["less_than"]
    assert TypeAdapter(Annotated[int, Field(gt=0)]).validate_python(huge) == huge


def test_duplicate_keys_the_last_one_wins() -> None:
    assert Whole.model_validate_json(b'{"id": 1, "id": 2}').id == 2
    assert Whole.model_validate_json(b'{"id": "x", "id": 2}').id == 2
    assert codes(lambda: Whole.model_validate_json(b'{"id": 2, "id": "x"}')) == ["int_parsing"]
    counts = Whole.model_validate_json(b'{"id": 1, "counts": {"a": 1, "a": 2}}').counts
    assert counts == {"a": 2}


def test_lone_surrogates() -> None:
    for text in (b'{"id": 1, "either": "\\ud800"}', b'{"id": 1, "either": "\\udc00\\ud800"}', b'{"\\ud800": 1}'):
        assert codes(lambda: Whole.model_validate_json(text)) == ["json_invalid"]
    assert codes(lambda: Whole.model_validate_json('{"id": 1, "either": "\ud800"}')) == ["json_invalid"]
    assert codes(lambda: Part(name="\ud800")) == ["string_unicode"]
    assert codes(lambda: Part(name="a", tags=["\udfff"])) == ["string_unicode"]
    assert codes(lambda: Whole.model_validate({"id": 1, "counts": {"\ud800": 1}})) == ["string_unicode"]
    assert codes(lambda: Whole(id="\ud800"))
    assert codes(lambda: Whole(id=1, kind="\ud800")) == ["literal_error"]
    Whole.model_validate({"id": 1, "\ud800": 1})


def test_unions_of_themselves_take_no_more_than_a_moment() -> None:
    text = '{"x":' * 100 + '{"b":1}' + "}" * 100
    value = json.loads(text)
    for made in (TypeAdapter(Union[A, B]).validate_json(text), TypeAdapter(Union[A, B]).validate_python(value)):
        while made.x is not None:
            made = made.x
        assert isinstance(made, B) and made.b == 1
    bad = text.replace('"b":1', '"b":"x","a":"x"')
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Union[A, B]).validate_json(bad)
    assert caught.value.error_count() > 0
    with pytest.raises(ValidationError):
        TypeAdapter(Union[A, B]).validate_python(json.loads(bad))


# Objects


class Raises:
    """Raises wherever it is touched."""

    def __init__(self, error: BaseException) -> None:
        object.__setattr__(self, "error", error)

    def __getattribute__(self, name: str) -> Any:
        raise object.__getattribute__(self, "error")

    def __eq__(self, other: object) -> bool:
        raise object.__getattribute__(self, "error")

    def __hash__(self) -> int:
        raise object.__getattribute__(self, "error")

    def __iter__(self) -> Iterator[Any]:
        raise object.__getattribute__(self, "error")

    def __len__(self) -> int:
        raise object.__getattribute__(self, "error")

    def __int__(self) -> int:
        raise object.__getattribute__(self, "error")

    __index__ = __float__ = __str__ = __repr__ = __bool__ = __int__  # type: ignore[assignment]


TARGETS: list[Any] = [
    int, float, str, bytes, bool, decimal.Decimal, List[int], Set[int], FrozenSet[str], Tuple[int, ...], Dict[str, int],
    Iterable[int], Literal["a", 1], Color, Union[int, str], Optional[Part], Part, Whole, Any,
]  # fmt: skip


@pytest.mark.parametrize("error", [RuntimeError("no"), ValueError("no"), TypeError("no"), AttributeError("no"), KeyError("no")])
@pytest.mark.parametrize("target", TARGETS)
def test_objects_that_raise(target: Any, error: Exception) -> None:
    adapter = TypeAdapter(target)
    for make in (lambda one: one, lambda one: [one], lambda one: {"id": one}, lambda one: {one_key(): one}):
        value = make(Raises(error))
        for way in (lambda: adapter.validate_python(value), lambda: adapter.validate_python(value, from_attributes=True)):
            try:
                way()
            except (ValidationError, type(error)):
                pass


def one_key() -> Any:
    class Key(str):
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("compared")

        __hash__ = str.__hash__

    return Key("id")


def test_attributes_that_raise() -> None:
    class Row:
        id = 1

        @property
        def kind(self) -> Any:
            raise ZeroDivisionError("no")

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(name)

    with pytest.raises(ZeroDivisionError):
        Whole.model_validate(Row(), from_attributes=True)

    class Other:
        def __getattr__(self, name: str) -> Any:
            if name == "id":
                return 5
            raise AttributeError(name)

    assert Whole.model_validate(Other(), from_attributes=True).id == 5


class OddInt(int):
    """An integer whose methods say something else."""

    def __int__(self) -> int:
        raise RuntimeError("asked")

    __index__ = __float__ = __str__ = __repr__ = __int__  # type: ignore[assignment]

    def __lt__(self, other: object) -> bool:
        raise RuntimeError("compared")

    __gt__ = __le__ = __ge__ = __eq__ = __lt__  # type: ignore[assignment]

    def __hash__(self) -> int:
        raise RuntimeError("hashed")


class OddStr(str):
    def __str__(self) -> str:
        raise RuntimeError("asked")

    __eq__ = __len__ = __repr__ = __str__  # type: ignore[assignment]

    def __hash__(self) -> int:
        raise RuntimeError("hashed")


class OddDict(Dict[Any, Any]):
    def items(self) -> Any:
        raise RuntimeError("asked")

    keys = values = __iter__ = __len__ = items  # type: ignore[assignment]

    def __getitem__(self, key: Any) -> Any:
        raise RuntimeError("asked")


class OddList(List[Any]):
    def __iter__(self) -> Any:
        raise RuntimeError("asked")

    __len__ = __iter__

    def __getitem__(self, key: Any) -> Any:
        raise RuntimeError("asked")


def test_subclasses_are_read_by_what_they_hold() -> None:
    made = Whole.model_validate(OddDict(id=OddInt(7), parts=OddList([OddDict(name=OddStr("x"))]), counts=OddDict(a=OddInt(1))))
    assert int.__eq__(made.id, 7) and type(made.id) is int
    assert str.__eq__(made.parts[0].name, "x") is True
    assert int.__eq__(made.counts["a"], 1)
    bounded = TypeAdapter(Annotated[int, Field(gt=3, lt=9, multiple_of=7)]).validate_python(OddInt(7))
    assert int.__eq__(bounded, 7)
    assert codes(lambda: Whole.model_validate(OddDict(id=OddStr("x")))) == ["int_parsing"]


class Liar(Mapping[Any, Any]):
    """A mapping whose methods do not agree with each other."""

    def __init__(self, items: Any) -> None:
        self.given = items

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[Any]:
        return iter(["id"])

    def __len__(self) -> int:
        return -5

    def items(self) -> Any:
        return self.given


@pytest.mark.parametrize("items", [None, 5, [1], [(1,)], [("id", 1, 2)], [("id", 1)], [([], 1)], "ab", [Raises(RuntimeError())]])
def test_mappings_that_lie(items: Any) -> None:
    for adapter in (TypeAdapter(Whole), TypeAdapter(Dict[str, int]), TypeAdapter(Dict[Any, Any])):
        try:
            adapter.validate_python(Liar(items))
        except (ValidationError, TypeError, ValueError, RuntimeError):
            pass


def test_iterators_that_raise_or_do_not_end() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError("no")

    for target in (List[int], Set[int], Tuple[int, ...]):
        with pytest.raises((ZeroDivisionError, ValidationError)):
            TypeAdapter(target).validate_python(fails())
    assert codes(lambda: TypeAdapter(Annotated[List[int], Field(max_length=3)]).validate_python(itertools.count())) == ["too_long"]
    assert codes(lambda: TypeAdapter(Tuple[int, int]).validate_python(itertools.count())) == ["too_long"]
    asked = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    asked.start()
    with pytest.raises(KeyboardInterrupt):
        TypeAdapter(Set[int]).validate_python(itertools.repeat(1))
    asked.join()


def change(container: Any) -> None:
    container.clear()
    if isinstance(container, list):
        container.extend(range(1000))
    elif isinstance(container, dict):
        container.update({str(number): number for number in range(1000)})
    else:
        container.update(range(1000))


@pytest.mark.parametrize("container", [["1"] * 50, dict.fromkeys(map(str, range(50)), "1"), set(map(str, range(50)))], ids=str)
def test_containers_that_change_while_they_are_read(container: Any) -> None:
    kind = type(container)

    def meddle(value: Any) -> Any:
        if len(container) < 1000:
            change(container)
        return value

    item: Any = Annotated[int, BeforeValidator(meddle)]
    target: Any = Dict[str, item] if kind is dict else List[item] if kind is list else Set[item]
    for _ in range(5):
        fresh = kind(container)
        try:
            made = TypeAdapter(target).validate_python(container)
        except (ValidationError, RuntimeError):
            pass
        else:
            assert all(type(one) is int for one in (made.values() if kind is dict else made))
        container.clear()
        container.extend(fresh) if kind is list else container.update(fresh)


def test_keys_that_change_the_dictionary_they_are_in() -> None:
    victim: dict[Any, Any] = {}

    class Key(str):
        def __eq__(self, other: object) -> bool:
            victim.clear()
            return str.__eq__(self, other) is True

        __hash__ = str.__hash__

    for target in (Dict[str, int], Dict[Any, int], Whole, Part):
        victim.update({Key("id"): 1, Key("name"): "x", **{f"k{number}": number for number in range(50)}})
        try:
            TypeAdapter(target).validate_python(victim)
        except (ValidationError, RuntimeError):
            pass


def test_depth_is_bounded_for_objects() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    itself: dict[str, Any] = {"id": 1}
    itself["parts"] = [itself]
    nested: Any = List[int]
    for _ in range(200):
        nested = List[nested]
    for adapter, value in ((TypeAdapter(nested), deep), (TypeAdapter(Whole), itself)):
        with pytest.raises(ValidationError):
            adapter.validate_python(value)
    assert TypeAdapter(Any).validate_python(deep) is deep
    while deep:
        deep = deep[0]


# Code of the caller


class Escaped(BaseException):
    """No exception that a validator may mean."""


@pytest.mark.parametrize("error", [Escaped(), KeyboardInterrupt(), SystemExit(3), RecursionError("deep"), MemoryError()])
@pytest.mark.parametrize("mode", ["before", "after", "plain", "wrap"])
def test_callbacks_that_raise_what_is_no_verdict(error: BaseException, mode: Any) -> None:
    def check(cls: Any, value: Any, *_: Any) -> Any:
        raise error

    made = type(Model)(
        "Made",
        (Model,),
        {"__module__": __name__, "__annotations__": {"a": int}, "check": field_validator("a", mode=mode)(check)},
    )
    for way in (lambda: made(a=1), lambda: made.model_validate({"a": 1}), lambda: made.model_validate_json('{"a": 1}'),
                lambda: made.model_validate_batch([{"a": 1}], on_error="skip"), lambda: made.model_validate_ndjson(b'{"a": 1}', on_error="skip"),
                lambda: made.to_arrow(b'{"a": 1}', on_error="skip")):  # fmt: skip
        with pytest.raises(type(error)):
            way()


def test_defaults_that_raise() -> None:
    def fail() -> int:
        raise ZeroDivisionError("no")

    class Made(Model):
        a: int = Field(default_factory=fail)

    for way in (Made, lambda: Made.model_validate({}), lambda: Made.model_validate_json("{}"), lambda: Made.to_arrow(b"{}")):
        with pytest.raises(ZeroDivisionError):
            way()
    assert Made(a=1).a == 1


def test_validators_may_call_themselves_and_change_what_is_read() -> None:
    data: dict[str, Any] = {"id": 1, "parts": [{"name": "x"}] * 3}

    def again(value: Any, handler: Any) -> Any:
        data.clear()
        first = handler(value)
        assert handler(value) == first
        return first

    class Made(Model):
        id: int
        parts: Annotated[List[Part], WrapValidator(again)]

    assert len(Made.model_validate(data).parts) == 3
    kept: list[Any] = []

    def keep(value: Any, handler: Any) -> Any:
        kept.append(handler)
        return handler(value)

    class Keeper(Model):
        id: Annotated[int, WrapValidator(keep)]

    assert Keeper(id="5").id == 5
    try:
        kept[0]("6")
    except RuntimeError:
        pass


def test_hostile_input_leaks_nothing() -> None:
    shared = object()
    texts = [b'{"id": 1, "parts": [{"name": 5}]}', b'{"id": "x"', b'{"id": 1, "counts": {"a": "x"}, "either": [[]]}', b"\xff"]

    def all_of_it() -> None:
        for text in texts:
            for way in (Whole.model_validate_json, Whole.model_validate_ndjson, Part.to_arrow):
                try:
                    way(text)
                except ValidationError as error:
                    error.errors()
        for value in ({"id": shared}, {"id": 1, "parts": [shared]}, OddDict(id=OddStr("x")), {"id": 1, shared: 1}, [shared], Liar([(shared, shared)])):
            for target in (Whole.model_validate, TypeAdapter(Dict[str, int]).validate_python):
                try:
                    target(value)
                except (ValidationError, RuntimeError) as error:
                    str(error)
        try:
            Whole.model_validate_batch([{"id": 1}, {"id": shared}, shared])
        except ValidationError as error:
            error.errors()

    all_of_it()
    gc.collect()
    references, blocks = sys.getrefcount(shared), sys.getallocatedblocks()
    for _ in range(300):
        all_of_it()
    gc.collect()
    assert sys.getrefcount(shared) - references < 5
    assert sys.getallocatedblocks() - blocks < 600


@pytest.mark.parametrize("container", ["array", "object"])
@pytest.mark.parametrize("nullable", [False, True])
def test_a_schema_of_nothing_but_itself(container: str, nullable: bool) -> None:
    kinds = [container, "null"] if nullable else container
    own: Any = {"type": kinds, "items" if container == "array" else "additionalProperties": {"$ref": "#"}}
    defined = {"$ref": "#/$defs/a", "$defs": {"a": json.loads(json.dumps(own).replace("#", "#/$defs/a"))}}
    empty: Any = [] if container == "array" else {}
    good: Any = [[], [[]]] if container == "array" else {"a": {"b": {}}}
    bad: Any = [[], [[1]]] if container == "array" else {"a": {"b": 1}}
    for source in (own, defined):
        schema = Schema.from_json_schema(source)
        for value, verdict in ((empty, True), (good, True), (bad, False), (None, nullable)):
            assert schema.is_valid(value) is schema.is_valid_json(json.dumps(value)) is verdict


@pytest.mark.parametrize("length", [100, 3000])
def test_a_long_chain_of_definitions(length: int) -> None:
    for next_one in (
        lambda name: {"type": "object", "properties": {"a": {"$ref": name}}},
        lambda name: {"type": "array", "items": {"$ref": name}},
        lambda name: {"$ref": name},
    ):
        defined = {f"d{number}": next_one(f"#/$defs/d{number + 1}") for number in range(length)}
        schema = Schema.from_json_schema({"$ref": "#/$defs/d0", "$defs": {**defined, f"d{length}": {"type": "integer"}}})
        assert not schema.is_valid("x") and not schema.is_valid_json('"x"')


# Each needs Python's `re`, but the first, and means there what it means to the engine of our own.
@pytest.mark.parametrize(
    ("pattern", "good"),
    [
        ("^a$", "a"),
        ("^(?=a)a$", "a"),
        ("(?i)^(?=A)a$", "A"),
        (r"(?=.)\$a[$]$", "$a$"),
        (r"(?=.)[]$][^]$][\]$]$", "]a$"),
        ("(?#$)(?P<x>a)(?P=x)$", "aa"),
        ("(?m:(?=a)a$)\nb$", "a\nb"),
        ("(?m:(?=a)a$(?-m:\nb$))", "a\nb"),
        ("(?=a)a$|b$", "b"),
    ],
)
def test_the_end_is_the_end_for_every_engine_of_patterns(pattern: str, good: str) -> None:
    adapter = TypeAdapter(Annotated[str, Field(pattern=pattern)])
    assert adapter.validate_python(good) == adapter.validate_json(json.dumps(good)) == good
    for bad in (good + "\n", good + "\n\n", "x"):
        for call in (lambda: adapter.validate_python(bad), lambda: adapter.validate_json(json.dumps(bad))):
            with pytest.raises(ValidationError):
                call()
    lines = TypeAdapter(Annotated[str, Field(pattern="(?m)^a$(?=\n)")])
    assert lines.validate_python("b\na\nc") == "b\na\nc"


class Slow(Model):
    first: int
    text: str = Field(pattern=r"^(a+)+(?=$)$")
    last: int


@pytest.mark.skipif(sys.platform == "win32", reason="there is no timer signal")
@pytest.mark.parametrize("way", ["object", "json", "ndjson", "batch", "lax"])
def test_what_is_raised_while_a_pattern_is_looked_for_is_raised(way: str) -> None:
    class Late(Exception):
        pass

    def ring(*_: object) -> None:
        raise Late

    row = {"first": 1, "text": "a" * 28 + "b", "last": 2}
    ways: dict[str, Any] = {
        "object": lambda: Slow.model_validate(row),
        "lax": lambda: Slow.model_validate({**row, "first": "1"}),
        "json": lambda: Slow.model_validate_json(json.dumps(row)),
        "ndjson": lambda: Slow.model_validate_ndjson(json.dumps(row).encode() + b"\n", threads=1),
        "batch": lambda: Slow.model_validate_batch([row, row], on_error="skip"),
    }
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(Late):
            ways[way]()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert Slow(first=1, text="aa", last=2).text == "aa"
