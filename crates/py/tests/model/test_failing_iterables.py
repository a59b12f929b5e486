"""Iterables that raise: as in pydantic."""

from collections.abc import Iterator
from typing import Any, FrozenSet, List, Set, Tuple

import pydantic
import pytest

import ottava


class Unable:
    def __iter__(self) -> Any:
        raise ValueError("no items")


def failing(error: BaseException, count: int) -> Iterator[Any]:
    for number in range(count):
        yield "q" if number == 5 else number
    raise error


@pytest.mark.parametrize("kind", [List[int], Set[int], FrozenSet[int]])
@pytest.mark.parametrize(
    "make",
    [
        lambda: failing(ValueError("v"), 2),
        lambda: failing(ZeroDivisionError(), 0),
        lambda: failing(KeyError("k"), 7),
        Unable,
    ],
)
def test_as_in_pydantic(kind: Any, make: Any) -> None:
    found = []
    for library in (ottava, pydantic):
        value = make()
        with pytest.raises(library.ValidationError) as caught:  # type: ignore[attr-defined]
            library.TypeAdapter(kind).validate_python(value)  # type: ignore[attr-defined]
        found.append(
            [
                (issue["type"], issue["loc"], issue["msg"], issue.get("ctx"), issue["input"] is value)
                for issue in caught.value.errors()
            ]
        )
    assert found[0] == found[1]


def test_in_a_tuple_at_the_item() -> None:
    with pytest.raises(ottava.ValidationError) as caught:
        ottava.TypeAdapter(Tuple[int, ...]).validate_python(failing(ValueError("v"), 2))
    assert [(issue["type"], issue["loc"]) for issue in caught.value.errors()] == [("iteration_error", (2,))]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_no_error_goes_on(error: Any) -> None:
    with pytest.raises(error):
        ottava.TypeAdapter(List[int]).validate_python(failing(error(), 2))
