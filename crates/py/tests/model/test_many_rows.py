"""Many rows at once: what one call may ask for, exceptions in any thread, and issues that are counted whatever the way."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import re
import threading
from collections.abc import Callable
from typing import Any, Dict, List, Optional, Set, Union

import pyarrow as pa
import pytest

from ottava import Field, Model, Schema, TypeAdapter, ValidationError, ValidationInfo, field_validator


@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.parametrize("of_class", [None, True])
def test_one_call_may_be_strict(of_class: Optional[bool], strict: Optional[bool]) -> None:
    class Plain(Model, strict=of_class):
        n: int
        when: Optional[dt.date] = None

    class WithCode(Plain):
        @field_validator("n")
        @classmethod
        def same(cls, value: int) -> int:
            return value

    rows: List[Dict[str, Any]] = [{"n": 1, "when": "2020-01-02"}, {"n": "2"}, {"n": 3.0}, {"n": "x"}]
    text = "\n".join(map(json.dumps, rows)).encode()
    good = [0] if (of_class if strict is None else strict) else [0, 1, 2]
    for model in (Plain, WithCode):
        columns = model.to_arrow(text, strict=strict, on_error="collect")
        objects = model.model_validate_ndjson(text, strict=strict, on_error="collect")
        assert pa.table(columns.table).to_pylist() == [row.model_dump() for row in objects.rows]
        assert [row.n for row in objects.rows] == [number + 1 for number in good]
        found = [(issue["row"], issue["type"]) for issue in pa.table(columns.issues).to_pylist()]
        assert found == [(error["loc"][0], error["type"]) for error in objects.errors()]
        for number, row in enumerate(rows):
            if number in good:
                model.model_validate_json(json.dumps(row), strict=strict)
            else:
                with pytest.raises(ValidationError):
                    model.model_validate_json(json.dumps(row), strict=strict)


def test_validators_find_the_context_in_every_row() -> None:
    class Limited(Model):
        n: int

        @field_validator("n")
        @classmethod
        def small(cls, value: int, info: ValidationInfo) -> int:
            if value > info.context["most"]:
                raise ValueError(f"more than {info.context['most']}")
            return value

    context = {"most": 1}
    text = b'{"n": 1}\n{"n": 2}\n'
    for threads in (1, 2):
        columns = Limited.to_arrow(text, context=context, on_error="collect", threads=threads)
        objects = Limited.model_validate_ndjson(text, context=context, on_error="collect", threads=threads)
        assert (columns.rows_good, len(objects)) == (1, 1)
        assert pa.table(columns.issues)["message"].to_pylist() == ["Value error, more than 1"] == [e["msg"] for e in objects.errors()]
    assert Limited.to_arrow(text, context={"most": 2}).rows_good == len(Limited.model_validate_ndjson([text], context={"most": 2})) == 2
    # Where nothing can see it, it does no harm.
    assert Numbers.to_arrow(b'{"items": []}', context=context).rows_good == 1


class Broken(Exception):
    pass


def fragile(monkeypatch: pytest.MonkeyPatch, still: Callable[[], bool] = lambda: True) -> Any:
    """A model with a pattern for Python's `re` that raises at one text, while `still` says so."""

    class Pattern:
        def __init__(self, real: Any) -> None:
            self.real = real

        def search(self, text: str) -> Any:
            if text == "boom" and still():
                raise Broken(text)
            return self.real.search(text)

    real = re.compile
    with monkeypatch.context() as patched:
        patched.setattr(re, "compile", lambda pattern, flags=0: Pattern(real(pattern, flags)))

        class Row(Model):
            id: int
            name: str = Field(pattern="^(?=[a-z])")

    return Row


@pytest.mark.parametrize("on_error", ["raise", "skip", "collect"])
def test_what_a_pattern_raises_is_raised_in_all_threads(monkeypatch: pytest.MonkeyPatch, on_error: Any) -> None:
    model = fragile(monkeypatch)
    good = [b'{"id": %d, "name": "%s"}' % (number, b"x" * 30) for number in range(60_000)]
    bad = [b'{"id": 1, "name": "1"}', b'{"id": "x", "name": "boom"}', b'{"id": 2, "name": "boom"}']
    for text in (b"\n".join(bad), b"\n".join([*good, *bad]), b"\n".join([*good, *bad, *good])):
        for read in (model.to_arrow, model.model_validate_ndjson):
            for threads in (1, 2, None):
                with pytest.raises(Broken):
                    read(text, threads=threads, on_error=on_error)
                with pytest.raises(Broken):
                    read(iter([text]), threads=threads, on_error=on_error)
    with pytest.raises(Broken):
        model.model_validate({"id": 1, "name": "boom"})
    for document in (bad[2], b'{"name": "boom", "id": 2, "more": "' + b"x" * (1 << 17) + b'"}'):
        with pytest.raises(Broken):
            model.model_validate_json(document)
    assert model.to_arrow(b"\n".join(good), threads=2).rows_good == len(good)


def test_what_a_pattern_raises_once_is_no_good_row(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: List[bool] = []

    def in_a_thread() -> bool:
        raised.append(threading.get_ident() != threading.main_thread().ident)
        return raised[-1]

    model = fragile(monkeypatch, in_a_thread)
    with pytest.raises(RuntimeError, match="row 1: a pattern raised"):
        model.to_arrow(b'{"id": 1, "name": "a"}\n{"id": 2, "name": "boom"}', on_error="collect")
    assert raised[0] and not raised[-1]


def test_validity_is_not_known_where_a_pattern_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pattern:
        def search(self, text: str) -> Any:
            raise Broken(text)

    with monkeypatch.context() as patched:
        patched.setattr(re, "compile", lambda pattern, flags=0: Pattern())
        schema = Schema.from_json_schema({"type": "array", "items": {"type": "string", "pattern": "(?=a)"}})
    for document in (b'["a"]', b'["a", "' + b"a" * (1 << 17) + b'"]'):
        for call in (schema.is_valid_json, schema.issues_json, schema.validate_json):
            with pytest.raises(Broken):
                call(document)
    assert schema.is_valid_json(b"[]") and not schema.is_valid_json(b"[1]")


class Numbers(Model):
    items: List[int]


class CheckedNumbers(Numbers):
    @field_validator("items")
    @classmethod
    def same(cls, value: Any) -> Any:
        return value


class Around(Model):
    inner: Any

    @field_validator("inner")
    @classmethod
    def through(cls, value: Any) -> Any:
        return Numbers.model_validate(value)


@pytest.mark.parametrize("model", [Numbers, CheckedNumbers])
def test_of_a_row_with_too_many_issues_the_rest_is_counted(model: Any) -> None:
    value = {"items": ["x"] * 12_345}
    line = json.dumps(value).encode()
    text = b"\n".join([line, b'{"items": ["y"]}', b'{"items": [1]}', *[b'{"items": [1, 2]}'] * 60_000])
    count = 12_346
    whole = (Around, {"inner": value}, 12_345)
    for cls, given, found in [(model, value, 12_345), whole]:
        for call in (lambda: cls.model_validate(given), lambda: cls.model_validate_json(json.dumps(given)), lambda: cls(**given)):
            with pytest.raises(ValidationError, match=f"^{found} errors in") as caught:
                call()
            assert (len(caught.value.errors()), caught.value.error_count()) == (10_000, found)
    for read in (model.model_validate_ndjson, model.to_arrow):
        for threads in (1, 2):
            with pytest.raises(ValidationError) as caught:
                read(text, threads=threads)
            assert caught.value.error_count() == count
            again = pickle.loads(pickle.dumps(caught.value))
            assert (again.error_count(), str(again)) == (count, str(caught.value))
            kept = read(text, threads=threads, on_error="collect")
            issues = kept.errors() if hasattr(kept, "errors") else pa.table(kept.issues).to_pylist()
            assert (len(issues) + kept.issues_dropped, kept.rows_good, kept.rows_read) == (count, 60_001, 60_003)
    batch = model.model_validate_batch([value, {"items": ["y"]}, {"items": [1]}], on_error="collect")
    assert len(batch.errors()) + batch.issues_dropped == count
    array = TypeAdapter(List[model])
    with pytest.raises(ValidationError) as caught:
        array.validate_json(b"[" + line + b"]")
    assert caught.value.error_count() == 12_345


def test_issues_of_members_that_were_not_taken_do_not_count() -> None:
    class Part(Model):
        n: int

    class Row(Model):
        items: List[int]
        either: List[Union[Part, Dict[str, str]]] = []

    # The first member of the union is found wrong where there is no room for more issues, and the second right.
    value = {"items": ["x"] * 10_005, "either": [{"n": "y"}] * 7}
    for call in (lambda: Row.model_validate(value), lambda: Row.model_validate_json(json.dumps(value))):
        with pytest.raises(ValidationError) as caught:
            call()
        assert caught.value.error_count() == 10_005


def test_threads_change_nothing_about_columns() -> None:
    class Part(Model):
        name: str = Field(min_length=2)
        tags: Set[str] = set()

    class Row(Model):
        id: int = Field(ge=0)
        kind: Optional[Part] = None
        parts: List[Part] = []

    made = [
        {"id": number if number % 89 else -number, "parts": [{"name": "ab" if number % 31 else "a", "tags": ["é" * (number % 5)]}] * (number % 4)}
        for number in range(40_000)
    ]  # fmt: skip
    lines = [json.dumps(row).encode() for row in made]
    for number in range(5, len(lines), 1_009):
        lines[number] = [b"{", b"\xff", b"", b"[]", b'{"id": "x"}'][number % 5]
    text = b"\n".join(lines)
    assert len(text) > 1 << 21
    for on_error in ("collect", "skip"):
        one, two = (Row.to_arrow(text, threads=threads, on_error=on_error) for threads in (1, 2))  # type: ignore[arg-type]
        assert pa.table(two.table) == pa.table(one.table)
        assert pa.table(two.issues) == pa.table(one.issues)
        assert pa.table(one.issues).num_rows > 1_000 or on_error == "skip"
        assert (two.rows_read, two.rows_good, two.issues_dropped) == (one.rows_read, one.rows_good, one.issues_dropped)
    raised = []
    for threads in (1, 2):
        with pytest.raises(ValidationError) as caught:
            Row.to_arrow(text, threads=threads)
        raised.append((caught.value.errors(), caught.value.error_count()))
    assert raised[0] == raised[1]
