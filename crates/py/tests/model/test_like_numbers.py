"""Objects that are used as numbers: as in pydantic."""

import decimal
import fractions
from typing import Any, List, Optional, Union

import numpy as np
import pydantic
import pytest
from agreement import made_or_issues

import ottava


def fail(_: Any) -> Any:
    raise ZeroDivisionError("never")


def object_with(**methods: Any) -> Any:
    made = {name: value if callable(value) else (lambda _, value=value: value) for name, value in methods.items()}
    return type("Some", (), made)()


VALUES: dict[str, Any] = {
    "index": object_with(__index__=1),
    "large index": object_with(__index__=2**70),
    "huge index": object_with(__index__=10**400),
    "int": object_with(__int__=1),
    "float": object_with(__float__=1.5),
    "whole": object_with(__float__=2.0),
    "one": object_with(__float__=1.0),
    "zero": object_with(__float__=0.0),
    "minus one": object_with(__float__=-1.0),
    "nan": object_with(__float__=float("nan")),
    "inf": object_with(__float__=float("inf")),
    "both": object_with(__index__=3, __float__=4.0),
    "raises": object_with(__float__=fail),
    "index raises": object_with(__index__=fail),
    "no float": object_with(__float__="x"),
    "true": object_with(__bool__=True),
    "int64": np.int64(5),
    "int8": np.int8(-1),
    "uint64": np.uint64(2**63),
    "float32": np.float32(1.5),
    "float64": np.float64(2.0),
    "bool": np.bool_(True),
    "false": np.bool_(False),
    "array": np.array(3),
    "array of two": np.array([3, 4]),
    "complex": 1j,
    "fraction": fractions.Fraction(2, 1),
    "half": fractions.Fraction(1, 2),
    "date": np.datetime64("2020-01-01"),
    "lowest": -(2.0**63),
    "above lowest": -(2.0**62),
    "highest": 2.0**63,
    "decimal": decimal.Decimal(2),
}

TYPES: dict[str, Any] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "optional": Optional[int],
    "int or str": Union[int, str],
    "int or float": Union[int, float],
    "float or int": Union[float, int],
    "bool or int": Union[bool, int],
    "list": List[int],
}


@pytest.mark.parametrize("kind", sorted(TYPES))
@pytest.mark.parametrize("name", sorted(VALUES))
def test_objects_that_are_used_as_numbers(kind: str, name: str) -> None:
    def make(library: Any) -> Any:
        class Some(library.BaseModel):
            x: TYPES[kind]  # type: ignore[valid-type]

        return Some

    value = [VALUES[name]] if kind == "list" else VALUES[name]
    for strict in (None, True, False):
        ours, theirs = (
            made_or_issues(library, lambda: make(library).model_validate({"x": value}, strict=strict))  # noqa: B023
            for library in (ottava, pydantic)
        )
        assert ours == theirs, strict


def test_an_interruption_goes_on() -> None:
    def interrupt(_: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ottava.TypeAdapter(float).validate_python(object_with(__float__=interrupt))


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 2**62 + 1, -(2**63) + 1025])
def test_integers_of_other_kinds_keep_their_digits(number: int) -> None:
    """Pydantic rounds them to floats."""
    adapter = ottava.TypeAdapter(int)
    assert adapter.validate_python(np.int64(number)) == number
    assert adapter.validate_python(object_with(__index__=number)) == number
    assert type(adapter.validate_python(np.int64(number))) is int
