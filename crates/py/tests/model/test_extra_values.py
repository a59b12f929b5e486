"""Extra values that are set, deleted and copied: as in pydantic."""

import copy
import pickle
from typing import Any

import pytest
from agreement import agreeing

from ottava import Model


def outcome(library: Any, call: Any) -> Any:
    try:
        return call()
    except (AttributeError, library.ValidationError) as error:
        return type(error).__name__


agree = agreeing(outcome)


def state(made: Any) -> Any:
    return sorted(made.model_fields_set), made.model_extra, made.model_dump(exclude_unset=True), repr(made)


def changed(*steps: Any) -> Any:
    """What an instance is after each step."""

    def run(cls: Any) -> Any:
        made = cls(a=1, x=5, y=6)
        seen = [state(made)]
        for step in steps:
            kept = step(made)
            made = made if kept is None else kept
            seen.append(state(made))
        return seen

    return run


@pytest.mark.parametrize("options", [{}, {"validate_assignment": True}, {"frozen": True}], ids=str)
def test_what_is_deleted_was_given(options: dict[str, Any]) -> None:
    def make(library: Any) -> Any:
        class Loose(library.BaseModel):
            model_config = library.ConfigDict(extra="allow", **options)
            a: int = 1
            b: int = 2

        return Loose

    agree(
        make,
        changed(lambda made: delattr(made, "x")),
        changed(lambda made: delattr(made, "x"), lambda made: setattr(made, "x", 7), lambda made: delattr(made, "x")),
        changed(lambda made: setattr(made, "z", 7), lambda made: delattr(made, "z")),
        changed(lambda made: delattr(made, "a"), lambda made: delattr(made, "y")),
        changed(lambda made: delattr(made, "x"), copy.copy),
        changed(lambda made: delattr(made, "x"), copy.deepcopy),
        changed(lambda made: delattr(made, "x"), lambda made: made.model_copy()),
        changed(lambda made: delattr(made, "x"), lambda made: made.model_copy(update={"b": 3, "w": 4})),
        changed(lambda made: delattr(made, "x"), lambda made: copy.copy(made).model_copy(deep=True)),
        lambda cls: delattr(cls(x=1), "nope"),
    )


def test_what_is_deleted_is_not_compared() -> None:
    def make(library: Any) -> Any:
        class Loose(library.BaseModel):
            model_config = library.ConfigDict(extra="allow")
            a: int = 1

        return Loose

    def without(cls: Any, **values: Any) -> Any:
        made = cls(**values)
        for name in values:
            delattr(made, name)
        return made

    agree(
        make,
        lambda cls: without(cls, x=1) == cls(),
        lambda cls: cls() == without(cls, x=1),
        lambda cls: without(cls, x=1) == without(cls, y=1),
        lambda cls: without(cls, x=1) == cls(x=1),
        lambda cls: (cls().model_extra == {}, cls() == cls()),
    )


def test_the_extra_values_are_the_very_ones() -> None:
    def make(library: Any) -> Any:
        class Loose(library.BaseModel):
            model_config = library.ConfigDict(extra="allow")

        return Loose

    def added(cls: Any, **values: Any) -> Any:
        made = cls(**values)
        made.model_extra["new"] = 1
        return made.new, made.model_extra, made.model_dump(), made == cls(**values, new=1)

    agree(make, lambda cls: added(cls), lambda cls: added(cls, x=1))


class Kept(Model, extra="allow"):
    a: int = 1


class More(Kept):
    b: int = 2


class Many(Model, extra="allow"):
    a: int = 1
    b: int = 2
    __annotations__.update({f"f{number}": int for number in range(80)})
    locals().update({f"f{number}": number for number in range(80)})


@pytest.mark.parametrize("cls", [Kept, More, Many])
def test_pickles_and_other_layouts(cls: Any) -> None:
    made = cls(a=1, x=5, y=6)
    del made.x
    for other in (made, pickle.loads(pickle.dumps(made)), copy.deepcopy(made), cls.model_validate(made)):
        assert (other.model_fields_set, other.model_extra) == ({"a", "x", "y"}, {"y": 6})
    assert not hasattr(made, "x") and made == cls(a=1, y=6)
    del made.y
    assert made.model_fields_set == {"a", "x", "y"} and made == cls(a=1)
