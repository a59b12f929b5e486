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
    "PydanticCustomError",
    "Refusal",
    "Secret",
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


class PydanticCustomError(ValueError):
    """For validators: the value does not fit, and the issue has this `type`, this message and `context` as its `ctx`.

    `{name}` in the message is replaced by what the context has under that name.
    """

    def __init__(self, error_type: str, message_template: str, context: dict[str, Any] | None = None, /) -> None:
        super().__init__(error_type, message_template, *([] if context is None else [context]))
        self.type = error_type
        self.message_template = message_template
        self.context = context

    def message(self) -> str:
        """The message, with the values of the context in their places."""
        text = self.message_template
        for name, value in (self.context or {}).items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    __str__ = message

    @property
    def ottava_issue(self) -> dict[str, Any]:
        """What the issue has beside its place and the value."""
        return {"type": self.type, "msg": self.message(), **({} if self.context is None else {"ctx": self.context})}


class Secret:
    """A value that is not shown: the base of `SecretStr` and `SecretBytes`."""

    __slots__ = ("_secret_value",)
    _kind: str
    _shown: Any

    def __init__(self, secret_value: Any) -> None:
        self._secret_value = secret_value

    def get_secret_value(self) -> Any:
        """The value."""
        return self._secret_value

    def __len__(self) -> int:
        return len(self._secret_value)

    def __eq__(self, other: object) -> bool:
        from hmac import compare_digest  # slow to load

        # How long it takes does not depend on where they differ.
        return isinstance(other, self.__class__) and compare_digest(self._bytes(), other._bytes())

    def _bytes(self) -> bytes:
        value = self._secret_value
        return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)

    def __hash__(self) -> int:
        return hash(self._secret_value)

    def _hidden(self) -> Any:
        return self._shown if self._secret_value else type(self._shown)()

    def __str__(self) -> str:
        return str(self._hidden())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._hidden()!r})"

    @classmethod
    def _take(cls, value: Any, handler: Any) -> Any:
        return cls(handler(value._secret_value if isinstance(value, cls) else value))


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
