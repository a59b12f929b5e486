"""What both libraries make of the same calls."""

from collections.abc import Callable
from typing import Any

import pydantic

import ottava


def agreeing(outcome: Callable[[Any, Any], Any]) -> Callable[..., None]:
    """A check that calls have the same outcome in both libraries: `outcome(library, call)` says what a call has come to."""

    def agree(make: Any, *calls: Any) -> None:
        """Each call has the same outcome in both libraries with what `make` makes of them."""
        theirs, ours = make(pydantic), make(ottava)
        for number, call in enumerate(calls):
            expected = outcome(pydantic, lambda: call(theirs))
            assert outcome(ottava, lambda: call(ours)) == expected, number

    return agree


def made_or_issues(library: Any, call: Any) -> Any:
    """The class and the text of what the call makes of the field `x`, or the types and the places of its issues."""
    try:
        made = call()
    except library.ValidationError as error:
        return [(issue["type"], issue["loc"]) for issue in error.errors()]
    return type(made.x).__name__, repr(made.x)
