"""What issues hold, and for how long."""

import gc
from typing import Any, Iterator

import pytest

import ottava


class Row(ottava.Model):
    x: int


class Counted:
    alive = 0

    def __init__(self) -> None:
        Counted.alive += 1

    def __del__(self) -> None:
        Counted.alive -= 1


@pytest.mark.parametrize("key", ["x", "y"])
@pytest.mark.parametrize(("on_error", "most"), [("skip", 2), ("collect", 10_002)])
def test_bad_rows_are_let_go_of_with_their_issues(on_error: str, most: int, key: str) -> None:
    peak = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal peak
        for _ in range(12_000):
            yield {key: Counted()}
            peak = max(peak, Counted.alive)

    result = Row.model_validate_batch(rows(), on_error=on_error)
    assert peak <= most
    if on_error == "collect":
        assert (len(result.errors()), result.issues_dropped) == (10_000, 2_000)
        assert all(issue["input"] is not None for issue in result.errors())
    del result
    gc.collect()
    assert Counted.alive == 0


def test_values_beyond_the_limit_are_not_held() -> None:
    class Rows(ottava.Model):
        rows: list[int]

    def values() -> Iterator[Counted]:
        for _ in range(12_000):
            yield Counted()

    with pytest.raises(ottava.ValidationError) as caught:
        Rows.model_validate({"rows": values()})
    assert caught.value.error_count() == 12_000
    assert Counted.alive <= 10_001
    del caught
    gc.collect()
