"""What a strict call does without: as in pydantic."""

import decimal
import enum
import json
from typing import Annotated, Any, List, Union

import pydantic
import pytest
from agreement import made_or_issues

import ottava


class Bits(enum.IntFlag):
    A = 1
    B = 2


class Letter(enum.Enum):
    X = "x"

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return cls.X if value == "any" else None


ENUMS: dict[str, Any] = {
    "flag": Bits,
    "enum": Letter,
    "list": List[Letter],
    "strict": Annotated[Letter, "strict"],
}


@pytest.mark.parametrize("kind", sorted(ENUMS))
@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.parametrize("value", [1, 3, Bits.A | Bits.B, "x", "any", "no", Letter.X])
def test_enums_that_find_their_members(kind: str, strict: Any, value: Any) -> None:
    found = []
    for library in (ottava, pydantic):
        wanted = Annotated[Letter, library.Field(strict=True)] if kind == "strict" else ENUMS[kind]

        class Some(library.BaseModel):  # type: ignore[name-defined, misc]
            x: wanted

        if kind == "flag" and value is Letter.X:
            value = Bits.B
        given = [value] if kind == "list" else value
        found.append(made_or_issues(library, lambda: Some.model_validate({"x": given}, strict=strict)))  # noqa: B023
        if not isinstance(value, enum.Enum):
            text = json.dumps({"x": given})
            found.append(made_or_issues(library, lambda: Some.model_validate_json(text, strict=strict)))  # noqa: B023
    half = len(found) // 2
    assert found[:half] == found[half:]


@pytest.mark.parametrize("kind", ["str", "own", "int or str", "str or int", "list", "float or str"])
@pytest.mark.parametrize("config", [None, True])
@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.parametrize("value", [1, 1.5, 2.0, True, decimal.Decimal("1.5"), "text"])
def test_numbers_that_become_text(kind: str, config: Any, strict: Any, value: Any) -> None:
    found = []
    for library in (ottava, pydantic):
        types: dict[str, Any] = {
            "str": str,
            "own": Annotated[str, library.Field(strict=True)],
            "int or str": Union[int, str],
            "str or int": Union[str, int],
            "list": List[Union[int, str]],
            "float or str": Union[float, str, None],
        }

        class Some(library.BaseModel):  # type: ignore[name-defined, misc]
            model_config = library.ConfigDict(coerce_numbers_to_str=True, strict=bool(config))
            x: types[kind]  # type: ignore[valid-type]

        given = [value] if kind == "list" else value
        found.append(made_or_issues(library, lambda: Some.model_validate({"x": given}, strict=strict)))  # noqa: B023
        # Of JSON, pydantic makes "2" of 2.0.
        if not isinstance(value, decimal.Decimal) and value != 2.0:
            text = json.dumps({"x": given})
            found.append(made_or_issues(library, lambda: Some.model_validate_json(text, strict=strict)))  # noqa: B023
    half = len(found) // 2
    assert found[:half] == found[half:]
