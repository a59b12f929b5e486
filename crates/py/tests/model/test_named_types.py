"""Types with a class or a notation of their own, `SecretStr`, `SecretBytes` and `Json`: as in pydantic."""

import copy
import json
import pickle
from typing import Annotated, Any, Dict, List, Optional, Union

import pyarrow as pa
import pytest
from agreement import agreeing

import ottava


def outcome(library: Any, call: Any) -> Any:
    """How what a call makes is shown, or its issues."""
    try:
        return repr(call())
    except library.ValidationError as error:
        return [(issue["type"], issue["loc"], issue["input"], issue.get("ctx")) for issue in error.errors()]


agree = agreeing(outcome)

VALUES: List[Any] = ["abc", "", b"abc", b"", bytearray(b"x"), 1, None, [], True]


@pytest.mark.parametrize("name", ["SecretStr", "SecretBytes"])
def test_a_secret_is_made_of_what_it_hides(name: str) -> None:
    def make(library: Any) -> Any:
        secret = getattr(library, name)
        return secret, library.TypeAdapter(secret), library.TypeAdapter(Optional[Union[secret, int]])

    for value in VALUES:
        agree(
            make,
            lambda made: made[1].validate_python(value).get_secret_value(),
            lambda made: made[1].validate_python(value, strict=True).get_secret_value(),
            lambda made: made[1].validate_python(made[0]("x" if name == "SecretStr" else b"x")).get_secret_value(),
        )
    for text in ('"abc"', '""', "1", "null", '"'):
        agree(make, lambda made: made[1].validate_json(text).get_secret_value())
    for value in ("abc" if name == "SecretStr" else b"abc", 1, None):
        agree(make, lambda made: made[2].validate_python(value))
    for text in ('"abc"', "1", "null"):
        agree(make, lambda made: made[2].validate_json(text))


@pytest.mark.parametrize(("name", "value"), [("SecretStr", "abc"), ("SecretStr", ""), ("SecretBytes", b"abc"), ("SecretBytes", b"")])
def test_a_secret_is_not_shown(name: str, value: Any) -> None:
    def make(library: Any) -> Any:
        secret = getattr(library, name)

        class Account(library.BaseModel):
            key: secret
            old: List[secret] = []
            more: Dict[str, secret] = {}

        adapter = library.TypeAdapter(secret)
        return secret(value), Account(key=value, old=[value], more={"k": value}), adapter, secret("q" if name == "SecretStr" else b"q")

    agree(
        make,
        lambda made: (str(made[0]), repr(made[0]), len(made[0]), bool(made[0])),
        lambda made: (made[0] == copy.deepcopy(made[0]), made[0] == pickle.loads(pickle.dumps(made[0])), hash(made[0]) == hash(value)),
        lambda made: (made[0] == made[3], made[0] == value, made[1] == copy.copy(made[1])),
        lambda made: (made[1], str(made[1]), made[1].model_dump(), made[1].model_dump(mode="json"), made[1].model_dump_json()),
        lambda made: (made[2].dump_python(made[0]), made[2].dump_json(made[0])),
    )


def test_rules_are_for_what_is_hidden() -> None:
    adapter = ottava.TypeAdapter(Annotated[ottava.SecretStr, ottava.Field(min_length=2)])
    assert adapter.validate_python("ab") == ottava.SecretStr("ab")
    for short in ("a", ottava.SecretStr("a")):
        with pytest.raises(ottava.ValidationError, match="string_too_short"):
            adapter.validate_python(short)

    class Own(ottava.SecretStr):
        """A class of the caller."""

    assert type(ottava.TypeAdapter(Own).validate_python("x")) is Own
    assert adapter.json_schema()["type"] == "string"


class Account(ottava.Model):
    id: int
    key: ottava.SecretStr
    tags: ottava.Json[List[int]] = []


def test_secrets_are_no_columns_of_text_and_json_is() -> None:
    text = b'{"id": 1, "key": "x", "tags": "[1, 2]"}\n'
    assert pa.table(Account.to_arrow(text).table).to_pylist() == [{"id": 1, "key": "**********", "tags": "[1,2]"}]
    with pytest.raises(ottava.errors.IngestError, match="SecretStr"):
        ottava.TokenStore(Account).ingest_nodes_msgspec([{"id": 1, "key": "x"}])


def test_json_inside_of_text() -> None:
    def make(library: Any) -> Any:
        class Inner(library.BaseModel):
            x: int

        class Outer(library.BaseModel):
            numbers: library.Json[List[int]] = [0]
            anything: Optional[library.Json] = None
            inner: library.Json[Inner] = None
            itself: "library.Json[List[Outer]]" = []

        return Outer

    for value in ("[1, 2]", b"[1]", bytearray(b"[1]"), '["1"]', '["x"]', "x", "", "1", "null", '{"x": 1}', '{"x": "y"}', '[{"numbers": "[2]"}]', 1, None, []):
        for field in ("numbers", "anything", "inner", "itself"):
            agree(
                make,
                lambda cls: cls.model_validate({field: value}),
                lambda cls: cls.model_validate({field: value}).model_dump(),
                lambda cls: cls.model_validate({field: value}).model_dump_json(),
            )
            if not isinstance(value, (bytes, bytearray)):
                agree(make, lambda cls: cls.model_validate_json(json.dumps({field: value})))
