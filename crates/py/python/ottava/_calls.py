"""Functions whose arguments are checked."""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from ottava._config import ConfigDict
from ottava.errors import ValidationError
from ottava.type_adapter import TypeAdapter

__all__ = ["validate_call"]

F = TypeVar("F", bound=Callable[..., Any])


@typing.overload
def validate_call(*, config: ConfigDict | None = None, validate_return: bool = False) -> Callable[[F], F]: ...
@typing.overload
def validate_call(func: F, /) -> F: ...
def validate_call(func: Any = None, /, *, config: ConfigDict | None = None, validate_return: bool = False) -> Any:
    """A function that checks and converts its arguments by their annotations, and then does what it did.

    `config` is the configuration of the check, as in `TypeAdapter`. With `validate_return` the result is checked, too. Defaults are not.
    A call raises `ValidationError` with all that is wrong; `loc` begins with the place or the name of the argument.
    """
    # Annotations that are text may speak of what is known where the function is defined.
    names = sys._getframe(1).f_locals
    if func is None:
        return functools.partial(_checked, names, config, validate_return)
    return _checked(names, config, validate_return, func)


def _checked(names: dict[str, Any], config: ConfigDict | None, validate_return: bool, func: Any) -> Any:
    parameters = inspect.signature(func).parameters
    place = [p for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = {p.kind: p.name for p in parameters.values() if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    hints = typing.get_type_hints(func, None, names, include_extras=True)
    adapters: dict[str, TypeAdapter[Any]] = {
        name: TypeAdapter(hints.get(name, Any), config=config) for name in (*parameters, "return")
    }
    title = getattr(func, "__qualname__", repr(func))
    named = {p.name for p in parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}

    def check(args: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        issues: list[dict[str, Any]] = []

        def refuse(code: str, loc: Any, words: str, given: Any) -> None:
            issues.append({"type": code, "loc": (loc,), "msg": words, "input": given})

        def checked(name: str, loc: Any, value: Any) -> Any:
            try:
                return adapters[name].validate_python(value)
            except ValidationError as error:
                issues.extend({**issue, "loc": (loc, *issue["loc"])} for issue in error.errors())

        made: list[Any] = []
        for index, value in enumerate(args):
            name = place[index].name if index < len(place) else rest.get(inspect.Parameter.VAR_POSITIONAL)
            if name is None:
                refuse("unexpected_positional_argument", index, "Unexpected positional argument", value)
            else:
                made.append(checked(name, index, value))
        given = {p.name for p in place[: len(args)]}
        for name, p in parameters.items():
            if p.default is p.empty and name not in given and name not in rest.values():
                if p.kind is p.POSITIONAL_ONLY:
                    refuse("missing_positional_only_argument", place.index(p), "Missing required positional only argument", (args, keywords))
                elif name not in keywords:
                    only = p.kind is p.KEYWORD_ONLY
                    code, words = ("missing_keyword_only_argument", "keyword only ") if only else ("missing_argument", "")
                    refuse(code, name, f"Missing required {words}argument", (args, keywords))
        found: dict[str, Any] = {}
        for name, value in keywords.items():
            if name in named and name in given:
                refuse("multiple_argument_values", name, "Got multiple values for argument", value)
            elif name in named or inspect.Parameter.VAR_KEYWORD in rest:
                found[name] = checked(name if name in named else rest[inspect.Parameter.VAR_KEYWORD], name, value)
            else:
                refuse("unexpected_keyword_argument", name, "Unexpected keyword argument", value)
        if issues:
            raise ValidationError(title, issues)
        return made, found

    def returned(result: Any) -> Any:
        try:
            return adapters["return"].validate_python(result)
        except ValidationError as error:
            raise ValidationError(title, error.errors()) from None

    @functools.wraps(func)
    def call(*args: Any, **keywords: Any) -> Any:
        made, found = check(args, keywords)
        result = func(*made, **found)
        return returned(result) if validate_return else result

    @functools.wraps(func)
    async def call_later(*args: Any, **keywords: Any) -> Any:
        made, found = check(args, keywords)
        result = await func(*made, **found)
        return returned(result) if validate_return else result

    return call_later if inspect.iscoroutinefunction(func) else call
