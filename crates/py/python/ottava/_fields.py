"""Fields of models: what `Field` says, and the markers that stand in annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

__all__ = [
    "AfterValidator",
    "BeforeValidator",
    "Field",
    "FieldInfo",
    "PlainSerializer",
    "PlainValidator",
    "PrivateAttr",
    "Strict",
    "Undefined",
    "WrapSerializer",
    "WrapValidator",
]


class _Undefined:
    """The type of `Undefined`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Undefined"

    def __reduce__(self) -> str:
        return "Undefined"

    def __copy__(self) -> _Undefined:
        return self

    def __deepcopy__(self, memo: object) -> _Undefined:
        return self

    def __bool__(self) -> bool:
        return False


Undefined: Any = _Undefined()
"""Stands for a value that nobody gave."""

RULES = (
    "gt",
    "ge",
    "lt",
    "le",
    "multiple_of",
    "min_length",
    "max_length",
    "pattern",
    "format",
    "unique_items",
    "strip_whitespace",
    "to_lower",
    "to_upper",
    "max_digits",
    "decimal_places",
    "allow_inf_nan",
)
"""Names of the rules that a field may set."""


class FieldInfo:
    """What is known of a field: its annotation, default, rules and documentation. `Model.model_fields` holds these."""

    __slots__ = (
        "alias",
        "annotation",
        "default",
        "default_factory",
        "deprecated",
        "deprecated_since",
        "description",
        "discriminator",
        "enum",
        "examples",
        "exclude",
        "frozen",
        "init",
        "json_schema_extra",
        "left_to_right",
        "metadata",
        "removed_in",
        "repr",
        "rules",
        "serialization_alias",
        "strict",
        "title",
        "validate_default",
        "validation_alias",
    )

    def __init__(self, **given: Any) -> None:
        self.annotation: Any = given.pop("annotation", Undefined)
        self.default: Any = given.pop("default", Undefined)
        if self.default is ...:
            self.default = Undefined
        self.default_factory: Callable[..., Any] | None = given.pop("default_factory", None)
        self.alias: str | None = given.pop("alias", None)
        self.validation_alias: str | None = given.pop("validation_alias", None)
        self.serialization_alias: str | None = given.pop("serialization_alias", None)
        self.title: str | None = given.pop("title", None)
        self.description: str | None = given.pop("description", None)
        self.examples: list[Any] | None = given.pop("examples", None)
        self.deprecated: bool | str | None = given.pop("deprecated", None)
        self.deprecated_since: str | None = given.pop("deprecated_since", None)
        self.removed_in: str | None = given.pop("removed_in", None)
        self.json_schema_extra: dict[str, Any] | None = given.pop("json_schema_extra", None)
        self.strict: bool | None = given.pop("strict", None)
        self.frozen: bool | None = given.pop("frozen", None)
        self.exclude: bool | None = given.pop("exclude", None)
        self.init: bool = given.pop("init", True)
        self.repr: bool = given.pop("repr", True)
        self.discriminator: str | None = given.pop("discriminator", None)
        self.left_to_right: bool = given.pop("left_to_right", False)
        self.enum: list[Any] | None = given.pop("enum", None)
        self.validate_default: bool | None = given.pop("validate_default", None)
        self.metadata: list[Any] = given.pop("metadata", [])
        self.rules: dict[str, Any] = given.pop("rules", {})
        if given:
            raise TypeError(f"unknown arguments of a field: {', '.join(sorted(given))}")
        if self.default is not Undefined and self.default_factory is not None:
            raise TypeError("a field has a default or a default_factory, not both")

    def is_required(self) -> bool:
        """Whether the field has no default."""
        return self.default is Undefined and self.default_factory is None

    def get_default(self, *, call_default_factory: bool = False) -> Any:
        """The default; with `call_default_factory` what the factory makes."""
        if self.default_factory is not None:
            return self.default_factory() if call_default_factory else None
        return self.default

    def copy(self, **changes: Any) -> FieldInfo:
        """The same with other attributes."""
        made = object.__new__(FieldInfo)
        for name in FieldInfo.__slots__:
            setattr(made, name, changes[name] if name in changes else getattr(self, name))
        made.rules = dict(made.rules)
        made.metadata = list(made.metadata)
        return made

    def merged(self, other: FieldInfo) -> FieldInfo:
        """The same with everything that `other` says, which wins."""
        made = self.copy()
        empty = _EMPTY
        for name in FieldInfo.__slots__:
            if name in ("rules", "metadata"):
                continue
            value = getattr(other, name)
            if value is not getattr(empty, name) and value != getattr(empty, name):
                setattr(made, name, value)
        if other.default is not Undefined:
            made.default, made.default_factory = other.default, None
        elif other.default_factory is not None:
            made.default, made.default_factory = Undefined, other.default_factory
        made.rules.update(other.rules)
        made.metadata.extend(other.metadata)
        return made

    def __repr__(self) -> str:
        parts = [f"annotation={_type_name(self.annotation)}", f"required={self.is_required()}"]
        if self.default is not Undefined:
            parts.append(f"default={self.default!r}")
        parts += [
            f"{name}={getattr(self, name)!r}"
            for name in ("alias", "title", "description")
            if getattr(self, name) is not None
        ]
        parts += [f"{name}={value!r}" for name, value in self.rules.items()]
        return f"FieldInfo({', '.join(parts)})"


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


_EMPTY = FieldInfo()


def Field(
    default: Any = Undefined,
    *,
    default_factory: Callable[[], Any] | Callable[[dict[str, Any]], Any] | None = None,
    alias: str | None = None,
    validation_alias: str | None = None,
    serialization_alias: str | None = None,
    gt: Any = None,
    ge: Any = None,
    lt: Any = None,
    le: Any = None,
    multiple_of: Any = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | re.Pattern[str] | None = None,
    email: bool = False,
    url: bool = False,
    uuid: bool = False,
    min_items: int | None = None,
    max_items: int | None = None,
    unique_items: bool = False,
    enum: Iterable[Any] | None = None,
    strip_whitespace: bool = False,
    to_lower: bool = False,
    to_upper: bool = False,
    max_digits: int | None = None,
    decimal_places: int | None = None,
    allow_inf_nan: bool | None = None,
    strict: bool | None = None,
    frozen: bool | None = None,
    exclude: bool | None = None,
    init: bool = True,
    repr: bool = True,
    kw_only: bool = True,
    discriminator: str | None = None,
    union_mode: Literal["smart", "left_to_right"] | None = None,
    validate_default: bool | None = None,
    title: str | None = None,
    description: str | None = None,
    example: Any = Undefined,
    examples: Sequence[Any] | None = None,
    deprecated: bool | str | None = None,
    deprecated_since: str | None = None,
    removed_in: str | None = None,
    json_schema_extra: dict[str, Any] | None = None,
    min_value: Any = None,
    max_value: Any = None,
    regex: str | re.Pattern[str] | None = None,
    required: bool | None = None,
) -> Any:
    """Says what a field must satisfy, what stands in when it is missing, and what it means.

    Args:
        default: stands in when the field is missing; without it (or `...`) the field is required. It is not validated.
        default_factory: called to make the default; with one parameter it gets the fields before it.
        alias: name in data. `validation_alias` and `serialization_alias` are for one direction only.
        gt, ge, lt, le: bounds of a number, date or time.
        multiple_of: the value divided by this is whole.
        min_length, max_length: characters of text, bytes, or items (`min_items` and `max_items` are the same).
        pattern: a regular expression that is found somewhere in the text. A compiled one keeps its flags; one with flags is left to
            Python's `re` and is not part of the JSON Schema.
        email, url, uuid: well-known shapes of text.
        unique_items: no two items of a list are equal.
        enum: the plain values that are allowed. Not for a list or another collection.
        strip_whitespace, to_lower, to_upper: change text before it is checked (stripping) or after (case).
        max_digits, decimal_places: digits of a decimal, and those after its point.
        allow_inf_nan: whether a number may be infinite or NaN.
        strict: no conversion. Default: as the class says.
        frozen: the field cannot be set after construction.
        exclude: the field is left out of dumps.
        init: `False` leaves the field out of the constructor; its default always stands.
        repr: `False` leaves the field out of `repr`.
        discriminator: the field that tells the members of a union apart.
        union_mode: `"smart"` (best fit, the default) or `"left_to_right"` (first fit).
        title, description, example, examples, deprecated, json_schema_extra: documentation, for the JSON Schema.
        deprecated_since, removed_in: versions of a locked schema: the first that warns of the field, the first without it.
        min_value, max_value, regex, required: older names of `ge`, `le`, `pattern`, and of having no default.
        kw_only: accepted for compatibility; constructors take keywords only.

    Raises:
        TypeError: where arguments contradict each other.
    """
    annotation: Any = Undefined
    if isinstance(default, type) and required is not None:
        annotation, default = default, Undefined
    if default is ...:
        default = Undefined
    if required is False and default is Undefined and default_factory is None:
        default = None
    formats = [name for name, wanted in (("email", email), ("url", url), ("uuid", uuid)) if wanted]
    if len(formats) > 1:
        raise TypeError(f"a field has one format, not {' and '.join(formats)}")
    given = {
        "gt": gt,
        "ge": ge if ge is not None else min_value,
        "lt": lt,
        "le": le if le is not None else max_value,
        "multiple_of": multiple_of,
        "min_length": min_length if min_length is not None else min_items,
        "max_length": max_length if max_length is not None else max_items,
        "pattern": pattern if pattern is not None else regex,
        "format": formats[0] if formats else None,
        "unique_items": unique_items or None,
        "strip_whitespace": strip_whitespace or None,
        "to_lower": to_lower or None,
        "to_upper": to_upper or None,
        "max_digits": max_digits,
        "decimal_places": decimal_places,
        "allow_inf_nan": allow_inf_nan,
    }
    return FieldInfo(
        annotation=annotation,
        default=default,
        default_factory=default_factory,
        alias=alias,
        validation_alias=validation_alias,
        serialization_alias=serialization_alias,
        rules={name: value for name, value in given.items() if value is not None},
        enum=None if enum is None else list(enum),
        strict=strict,
        frozen=frozen,
        exclude=exclude,
        init=init,
        repr=repr,
        discriminator=discriminator,
        left_to_right=union_mode == "left_to_right",
        validate_default=validate_default,
        title=title,
        description=description,
        examples=list(examples) if examples is not None else None if example is Undefined else [example],
        deprecated=deprecated,
        deprecated_since=deprecated_since,
        removed_in=removed_in,
        json_schema_extra=json_schema_extra,
    )


class PrivateInfo:
    """What is put into a private attribute."""

    __slots__ = ("default", "default_factory")

    def __init__(self, default: Any, default_factory: Callable[[], Any] | None) -> None:
        self.default = default
        self.default_factory = default_factory


def PrivateAttr(default: Any = Undefined, *, default_factory: Callable[[], Any] | None = None, init: bool = False) -> Any:
    """A private attribute (its name begins with an underscore): not validated, not dumped, not part of the constructor."""
    if default is not Undefined and default_factory is not None:
        raise TypeError("a private attribute has a default or a default_factory, not both")
    return PrivateInfo(default, default_factory)


class _Function:
    """A function that stands in an annotation."""

    __slots__ = ("func",)
    mode: str

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.func!r})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, _Function) and self.func == other.func

    def __hash__(self) -> int:
        return hash((type(self), self.func))


class BeforeValidator(_Function):
    """`Annotated[T, BeforeValidator(f)]`: `f` sees the value as it came, before it is checked."""

    __slots__ = ()
    mode = "before"


class AfterValidator(_Function):
    """`Annotated[T, AfterValidator(f)]`: `f` sees the checked value and returns it or another."""

    __slots__ = ()
    mode = "after"


class PlainValidator(_Function):
    """`Annotated[T, PlainValidator(f)]`: `f` takes the place of the check."""

    __slots__ = ()
    mode = "plain"


class WrapValidator(_Function):
    """`Annotated[T, WrapValidator(f)]`: `f` gets the value and a function that checks it."""

    __slots__ = ()
    mode = "wrap"


class PlainSerializer:
    """`Annotated[T, PlainSerializer(f)]`: dumps hold what `f` makes of the value."""

    __slots__ = ("func", "when_used")

    def __init__(
        self,
        func: Callable[..., Any],
        *,
        return_type: Any = None,
        when_used: Literal["always", "json", "unless-none", "json-unless-none"] = "always",
    ) -> None:
        self.func = func
        self.when_used = when_used


class WrapSerializer(PlainSerializer):
    """`Annotated[T, WrapSerializer(f)]`: `f` gets the value and a function that dumps it."""

    __slots__ = ()


class Strict:
    """`Annotated[T, Strict()]`: no conversion."""

    __slots__ = ("strict",)

    def __init__(self, strict: bool = True) -> None:
        self.strict = strict


