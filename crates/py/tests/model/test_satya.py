"""Code written for Satya, with the import changed: every spelling that `docs/migrating.md` names."""

from __future__ import annotations

import json
from typing import Any, List, Optional

import pytest

from ottava import Field, Model, ValidationError


class User(Model):
    __satya_native__ = True

    id: int = Field(gt=0)
    name: str = Field(min_length=1)
    age: int = Field(ge=0, le=150)
    email: str = Field(email=True)


class Profile(Model):
    site: str = Field(url=True)
    level: int = Field(min_value=1, max_value=5)
    tags: List[str] = Field(min_items=1, max_items=3, unique_items=True)
    color: str = Field(enum=["red", "blue"])
    note: Optional[str] = Field(required=False)
    code: str = Field("AB-1", pattern=r"^[A-Z]+-[0-9]+$", example="AB-1", description="what it is called")
    trimmed: str = Field("x", strip_whitespace=True, to_lower=True)


GOOD: dict[str, Any] = {"id": 1, "name": "Ada", "age": 36, "email": "ada@example.org"}
PROFILE: dict[str, Any] = {"site": "https://example.org", "level": 2, "tags": ["a", "b"], "color": "red"}


def test_the_sample_of_the_readme() -> None:
    user = User(**GOOD)
    assert user.name == "Ada"
    assert user.dict() == GOOD
    assert json.loads(user.json()) == GOOD
    assert User.validate(GOOD) == user == User.model_validate(GOOD) == User.parse_obj(GOOD)
    assert User.parse_raw(json.dumps(GOOD)) == user
    assert User.validate_batch([GOOD, GOOD]) == [user, user] == User.validate_many([GOOD, GOOD])
    with pytest.raises(ValidationError) as caught:
        User.validate_batch([GOOD, {**GOOD, "id": 0, "email": "nobody"}])
    assert [(error["loc"], error["type"]) for error in caught.value.errors()] == [
        ((1, "id"), "greater_than"), ((1, "email"), "value_error"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [("site", "example"), ("level", 0), ("level", 6), ("tags", []), ("tags", list("abcd")), ("tags", ["a", "a"]), ("color", "green"),
     ("code", "ab"), ("note", 5)],
)  # fmt: skip
def test_every_rule_of_a_field_is_checked(field: str, value: Any) -> None:
    assert Profile(**PROFILE).note is None
    assert Profile(**PROFILE, trimmed=" AbC ").trimmed == "abc"
    with pytest.raises(ValidationError) as caught:
        Profile(**{**PROFILE, field: value})
    assert [error["loc"][0] for error in caught.value.errors()] == [field]


def test_what_a_field_says_is_in_the_schema() -> None:
    properties = Profile.schema()["properties"]
    assert properties["code"]["description"] == "what it is called"
    assert properties["code"]["examples"] == ["AB-1"]
    assert Profile.model_json_schema() == Profile.schema()


def test_one_switch_for_all_classes_that_are_made_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import ottava

    class Before(Model):
        id: int

    assert ottava.config.native_mode
    monkeypatch.setattr(ottava.config, "native_mode", False)

    class Loose(Model):
        id: int

    class Native(Model):
        __ottava_native__ = True
        id: int

    class Below(Before):
        name: str = "x"

    assert Loose(id="1").__dict__ == {"id": 1}
    for native in (Before(id=1), Native(id=1)):
        assert not hasattr(native, "__dict__")
    assert Below(id="1").dict() == {"id": 1, "name": "x"} and hasattr(Below(id=1), "__dict__")
    monkeypatch.undo()
    assert not hasattr(type(Model)("After", (Model,), {"__annotations__": {"id": int}})(id=1), "__dict__")


@pytest.mark.parametrize("spelling", ["__ottava_native__", "__satya_native__"])
def test_native_storage_is_the_default_and_can_be_turned_off(spelling: str) -> None:
    def made(**body: Any) -> Any:
        return type(Model)("Made", (Model,), {"__module__": __name__, "__annotations__": {"id": int}, **body})

    for native in (made(), made(**{spelling: True})):
        assert not hasattr(native(id=1), "__dict__")
    other = made(**{spelling: False})(id="1")
    assert other.__dict__ == {"id": 1}
    other.more = 5
    assert other.dict() == {"id": 1} and other.more == 5
