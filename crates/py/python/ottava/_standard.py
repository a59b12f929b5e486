"""Checks of the types of the standard library that the engine does not know."""

from __future__ import annotations

import collections
import ipaddress
import pathlib
import re
import typing
from typing import Any

__all__ = [
    "TEXTUAL",
    "Refusal",
    "checked_by",
    "default_dict",
    "is_callable",
    "made_of_text",
    "member_of",
    "pattern",
    "predicate",
    "subclass_of",
]

# Classes that are made of their text.
TEXTUAL: tuple[type, ...] = (
    pathlib.PurePath,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
)


class Refusal(ValueError):
    """A value that does not fit, with the code and the parameters of the issue."""

    def __init__(self, code: str, message: str, **params: str) -> None:
        super().__init__(message)
        self.ottava_code = code
        vars(self).update(params)


def predicate(test: Any, negated: bool) -> Any:
    name = getattr(test, "__qualname__", repr(test))

    def check(value: Any) -> Any:
        if bool(test(value)) is negated:
            if negated:
                raise Refusal("not_operation_failed", f"Not of {name} failed", func=name)
            raise Refusal("predicate_failed", f"Predicate {name} failed", func=name)
        return value

    return check


def checked_by(function: Any, info: bool = False) -> dict[str, Any]:
    """Whatever the function makes of a value; it raises `ValueError` for one that it does not take."""
    hook = (
        ("plain", function, info, None)
        if not isinstance(function, type)
        else ("plain", _made_by(function), False, None)
    )
    return {"kind": "any", "hooks": [hook]}


def member_of(cls: Any) -> Any:
    expected = [repr(member.value) for member in cls]
    words = " or ".join(filter(None, [", ".join(expected[:-1]), expected[-1] if expected else ""]))

    def member(value: Any) -> Any:
        try:
            return value if isinstance(value, cls) else cls(value)
        except ValueError:
            raise Refusal("enum", f"Input should be {words}", expected=words) from None

    return member


def _made_by(cls: type) -> Any:
    def make(value: Any) -> Any:
        return value if isinstance(value, cls) else cls(value)

    return make


def made_of_text(cls: type) -> Any:
    def make(value: Any) -> Any:
        if isinstance(value, cls):
            return value
        path = issubclass(cls, pathlib.PurePath)
        if isinstance(value, str) or (isinstance(value, (bytes, int)) and not path):
            try:
                return cls(value)
            except ValueError:
                pass
        if path:
            raise Refusal("path_type", f"Input is not a valid path for {cls}")
        words = _ADDRESSES[cls.__name__[4:]]
        code = f"ip_{cls.__name__[2:4]}_{cls.__name__[4:].lower()}"
        raise Refusal(code, f"Input is not a valid I{cls.__name__[1:4]} {words}")

    return make


def pattern(value: Any) -> Any:
    if isinstance(value, re.Pattern):
        return value
    if isinstance(value, (str, bytes)):
        try:
            return re.compile(value)
        except re.error:
            raise Refusal("pattern_regex", "Input should be a valid regular expression") from None
    raise Refusal("pattern_type", "Input should be a valid pattern")


def is_callable(value: Any) -> Any:
    if not callable(value):
        raise Refusal("callable_type", "Input should be callable")
    return value


def subclass_of(wanted: Any) -> Any:
    """A check for classes; a `wanted` that is no class, or `Any` (which is one since Python 3.11), takes all of them."""
    takes_all = wanted is Any or not isinstance(wanted, type)

    def check(value: Any, info: Any) -> Any:
        if isinstance(value, type) and (takes_all or issubclass(value, wanted)):
            return value
        if takes_all:
            raise Refusal("is_type", "Input should be a type")
        if info.mode == "json":
            words = "Cannot check `issubclass` when validating from json, use a JsonOrPython validator instead"
            raise Refusal("needs_python_object", words, method_name="issubclass")
        name = wanted.__qualname__
        raise Refusal("is_subclass_of", f"Input should be a subclass of {name}", **{"class": name})

    return check


_ADDRESSES = {"Address": "address", "Network": "network", "Interface": "interface"}


def default_dict(value: Any) -> Any:
    factory = typing.get_origin(value) or value
    factory = factory if callable(factory) and factory is not Any else None
    return lambda entries: collections.defaultdict(factory, entries)
