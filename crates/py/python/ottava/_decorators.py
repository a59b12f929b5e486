"""Methods of models that take part in validation and dumping."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeVar

__all__ = [
    "Computed",
    "FieldSerializer",
    "FieldValidator",
    "ModelSerializer",
    "ModelValidator",
    "computed_field",
    "field_serializer",
    "field_validator",
    "model_serializer",
    "model_validator",
    "root_validator",
    "validator",
]

F = TypeVar("F", bound=Callable[..., Any])


class _Marked:
    """A function of a class body with what its decorator says. In the finished class it is the plain function again."""

    __slots__ = ("function", "name")

    def __init__(self, function: Any) -> None:
        self.function = function
        self.name = ""

    def bound(self, cls: type) -> Any:
        """The function as the engine calls it."""
        return self.function.__get__(None, cls) if hasattr(self.function, "__get__") else self.function

    @property
    def plain(self) -> Any:
        """What stands in the finished class."""
        return self.function


class FieldValidator(_Marked):
    """`@field_validator`."""

    __slots__ = ("fields", "mode")

    def __init__(self, function: Any, fields: tuple[str, ...], mode: str) -> None:
        super().__init__(_classmethod(function))
        self.fields = fields
        self.mode = mode


class ModelValidator(_Marked):
    """`@model_validator`."""

    __slots__ = ("mode",)

    def __init__(self, function: Any, mode: str) -> None:
        super().__init__(function if mode == "after" else _classmethod(function))
        self.mode = mode

    def bound(self, cls: type) -> Any:
        if self.mode == "after" and not isinstance(self.function, (classmethod, staticmethod)):
            return self.function
        return super().bound(cls)


class FieldSerializer(_Marked):
    """`@field_serializer`."""

    __slots__ = ("fields", "mode", "when_used")

    def __init__(self, function: Any, fields: tuple[str, ...], mode: str, when_used: str) -> None:
        super().__init__(function)
        self.fields = fields
        self.mode = mode
        self.when_used = when_used


class ModelSerializer(_Marked):
    """`@model_serializer`."""

    __slots__ = ("mode",)

    def __init__(self, function: Any, mode: str) -> None:
        super().__init__(function)
        self.mode = mode


class Computed(_Marked):
    """`@computed_field`."""

    __slots__ = ("alias", "description", "repr", "title")

    def __init__(self, function: Any, alias: str | None, title: str | None, description: str | None, repr: bool) -> None:
        if not isinstance(function, (property, functools.cached_property)):
            function = property(function)
        super().__init__(function)
        self.alias = alias
        self.title = title
        self.description = description
        self.repr = repr


def _classmethod(function: Any) -> Any:
    return function if isinstance(function, (classmethod, staticmethod)) else classmethod(function)


def field_validator(
    field: str,
    /,
    *fields: str,
    mode: Literal["before", "after", "wrap", "plain"] = "after",
    check_fields: bool | None = None,
) -> Callable[[F], F]:
    """A validator of one or more fields (`"*"`: of all), as a class method `(cls, value)` or `(cls, value, info)`.

    It returns the value or another, or raises `ValueError` or `AssertionError`. `mode="before"` sees the value as it came;
    `"after"` as the field's type made it; `"wrap"` gets a function that does the check as second argument; `"plain"` takes
    the place of the check. `check_fields=False` allows names that the class does not have.
    """
    if not isinstance(field, str):
        raise TypeError("field_validator needs the names of fields: @field_validator('name')")
    names = (field, *fields)

    def mark(function: Any) -> Any:
        made = FieldValidator(function, names, mode)
        made.name = "" if check_fields is False else "checked"
        return made

    return mark


def model_validator(*, mode: Literal["before", "after", "wrap"]) -> Callable[[F], F]:
    """A validator of whole models.

    `mode="before"` is a class method that sees the input and returns it or another; `"after"` a method of the finished instance that
    returns it; `"wrap"` a class method that also gets a function that does the validation.
    """
    return lambda function: ModelValidator(function, mode)  # type: ignore[return-value]


def validator(
    *fields: str,
    pre: bool = False,
    each_item: bool = False,
    always: bool = False,
    check_fields: bool | None = None,
    allow_reuse: bool = False,
) -> Callable[[F], F]:
    """The older name of `field_validator`. The function may have an argument `values`: the fields that were checked before.

    Raises `TypeError` for `each_item` (annotate the item instead) and `always` (say `Field(validate_default=True)`).
    """
    if each_item:
        raise TypeError("validator(each_item=True) has no equivalent; use Annotated[item, AfterValidator(...)]")
    if always:
        raise TypeError("validator(always=True) has no equivalent; use Field(validate_default=True)")
    if not fields or not all(isinstance(field, str) for field in fields):
        raise TypeError("validator needs the names of fields: @validator('name')")
    mark = field_validator(*fields, mode="before" if pre else "after", check_fields=check_fields)
    return lambda function: mark(_without_values(function))


def _without_values(function: Any) -> Any:
    """An older validator as one of today: `values` becomes `info.data`."""
    plain = function.__func__ if isinstance(function, (classmethod, staticmethod)) else function
    names = list(inspect.signature(plain).parameters)
    unknown = [name for name in names[2:] if name not in ("values", "kwargs", "info")]
    if unknown:
        raise TypeError(f"the argument {unknown[0]!r} of a validator has no equivalent; use field_validator")
    if "values" not in names and "kwargs" not in names:
        return function

    @functools.wraps(plain)
    def call(cls: Any, value: Any, info: Any) -> Any:
        return plain(cls, value, values=info.data)

    del call.__wrapped__  # Its signature is its own.
    return call


def root_validator(*fields: Any, pre: bool = False, skip_on_failure: bool = False, allow_reuse: bool = False) -> Callable[[F], F]:
    """The older name of `model_validator(mode="before")`: `@root_validator(pre=True)`."""
    if fields or not pre:
        raise TypeError("root_validator without pre=True has no equivalent; use model_validator(mode='after')")
    return model_validator(mode="before")


def field_serializer(
    field: str,
    /,
    *fields: str,
    mode: Literal["plain", "wrap"] = "plain",
    return_type: Any = None,
    when_used: Literal["always", "json", "unless-none", "json-unless-none"] = "always",
) -> Callable[[F], F]:
    """A method `(self, value)` or `(self, value, info)` that makes what dumps hold of a field's value.

    With `mode="wrap"` it gets a function that dumps the value as third argument.
    """
    return lambda function: FieldSerializer(function, (field, *fields), mode, when_used)  # type: ignore[return-value]


def model_serializer(function: Any = None, /, *, mode: Literal["plain", "wrap"] = "plain") -> Any:
    """A method `(self)` or, with `mode="wrap"`, `(self, handler)` that makes what dumps hold of the whole instance."""
    if function is not None:
        return ModelSerializer(function, mode)
    return lambda function: ModelSerializer(function, mode)


def computed_field(
    function: Any = None,
    /,
    *,
    alias: str | None = None,
    title: str | None = None,
    description: str | None = None,
    repr: bool = True,
    return_type: Any = None,
) -> Any:
    """A property that dumps include."""
    if function is not None:
        return Computed(function, alias, title, description, repr)
    return lambda function: Computed(function, alias, title, description, repr)
