"""Names for often used types: `PositiveInt`, `StrictStr`, `constr(...)`, `AwareDatetime` and their like, as pydantic calls them."""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from ottava import _native
from ottava._annotations import Described, hooked
from ottava._config import ConfigDict, checked
from ottava._fields import AfterValidator, Field, Strict
from ottava._standard import Refusal, Secret

__all__ = [
    "UUID1",
    "UUID3",
    "UUID4",
    "UUID5",
    "AwareDatetime",
    "EmailStr",
    "FiniteFloat",
    "FutureDate",
    "FutureDatetime",
    "InstanceOf",
    "Json",
    "NaiveDatetime",
    "NegativeFloat",
    "NegativeInt",
    "NonNegativeFloat",
    "NonNegativeInt",
    "NonPositiveFloat",
    "NonPositiveInt",
    "PastDate",
    "PastDatetime",
    "PositiveFloat",
    "PositiveInt",
    "SecretBytes",
    "SecretStr",
    "SerializeAsAny",
    "SkipValidation",
    "StrictBool",
    "StrictBytes",
    "StrictFloat",
    "StrictInt",
    "StrictStr",
    "StringConstraints",
    "confloat",
    "conint",
    "conlist",
    "constr",
    "with_config",
]

T = TypeVar("T")

PositiveInt = Annotated[int, Field(gt=0)]
NegativeInt = Annotated[int, Field(lt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
NonPositiveInt = Annotated[int, Field(le=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NegativeFloat = Annotated[float, Field(lt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
NonPositiveFloat = Annotated[float, Field(le=0)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
StrictBool = Annotated[bool, Strict()]
StrictBytes = Annotated[bytes, Strict()]
StrictFloat = Annotated[float, Strict()]
StrictInt = Annotated[int, Strict()]
StrictStr = Annotated[str, Strict()]
EmailStr = Annotated[str, Field(email=True)]
AwareDatetime = Annotated[datetime.datetime, Described(lambda described: {**described, "aware": True})]
NaiveDatetime = Annotated[datetime.datetime, Described(lambda described: {**described, "aware": False})]


class SecretStr(Secret):
    """Text that is not shown, neither by `repr` nor in JSON: `get_secret_value()` is the text."""

    __slots__ = ()
    _kind = "str"
    _shown = "**********"

    if TYPE_CHECKING:

        def __init__(self, secret_value: str) -> None: ...

        def get_secret_value(self) -> str: ...


class SecretBytes(Secret):
    """Bytes that are not shown, neither by `repr` nor in JSON: `get_secret_value()` is the bytes."""

    __slots__ = ()
    _kind = "bytes"
    _shown = b"**********"

    if TYPE_CHECKING:

        def __init__(self, secret_value: bytes) -> None: ...

        def get_secret_value(self) -> bytes: ...


def _of_json(described: dict[str, Any]) -> dict[str, Any]:
    plan: Any = None

    def read(value: Any, info: Any) -> Any:
        nonlocal plan
        # What the type refers to may come later.
        plan = plan or _native.Plan("Json", described)
        return plan.validate_json(value, context=info.context)

    return hooked({"kind": "any"}, "plain", read)


if TYPE_CHECKING:
    Json = Annotated[T, ...]
    InstanceOf = Annotated[T, ...]
    SerializeAsAny = Annotated[T, ...]
    SkipValidation = Annotated[T, ...]
else:

    class Json:
        """`Json[T]`: JSON text, of which the value is a `T`. `Json` alone takes any JSON."""

        def __class_getitem__(cls, item: Any) -> Any:
            return Annotated[item, Described(_of_json)]

    Json.__ottava_type__ = Json[Any]

    class InstanceOf:
        """`InstanceOf[T]`: the value is an instance of the class `T`, and is not looked into."""

        def __class_getitem__(cls, item: Any) -> Any:
            return Annotated[item, Described(lambda _: hooked({"kind": "any"}, "instance", item), whole=True)]

    class SerializeAsAny:
        """`SerializeAsAny[Base]`, or `Annotated[Base, SerializeAsAny()]`: dumps hold the fields of the value's own class, not of `Base` alone."""

        def __new__(cls) -> Described:
            return Described(lambda described: {**described, "as_any": True})

        def __class_getitem__(cls, item: Any) -> Any:
            return Annotated[item, cls()]

    class SkipValidation:
        """`SkipValidation[T]`: the value may be anything; `T` is for readers and type checkers."""

        def __class_getitem__(cls, item: Any) -> Any:
            return Annotated[item, Described(lambda _: {"kind": "any"}, whole=True)]


def _on_side_of_now(kind: Any, code: str, past: bool) -> Any:
    words = f"{'Date' if code.startswith('date_') else 'Datetime'} should be in the {'past' if past else 'future'}"

    def check(value: Any) -> Any:
        now = datetime.datetime.now(value.tzinfo) if isinstance(value, datetime.datetime) else datetime.date.today()
        if (value < now) if past else (value > now):
            return value
        raise Refusal(code, words)

    return Annotated[kind, AfterValidator(check)]


PastDate = _on_side_of_now(datetime.date, "date_past", True)
FutureDate = _on_side_of_now(datetime.date, "date_future", False)
PastDatetime = _on_side_of_now(datetime.datetime, "datetime_past", True)
FutureDatetime = _on_side_of_now(datetime.datetime, "datetime_future", False)


def _of_version(version: int) -> Any:
    def check(value: uuid.UUID) -> uuid.UUID:
        if value.version != version:
            raise Refusal("uuid_version", f"UUID version {version} expected")
        return value

    return Annotated[uuid.UUID, AfterValidator(check)]


UUID1 = _of_version(1)
UUID3 = _of_version(3)
UUID4 = _of_version(4)
UUID5 = _of_version(5)


def StringConstraints(
    *,
    strip_whitespace: bool | None = None,
    to_upper: bool | None = None,
    to_lower: bool | None = None,
    strict: bool | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | re.Pattern[str] | None = None,
) -> Any:
    """Rules of text, for `Annotated[str, StringConstraints(...)]`: those of `Field`."""
    return Field(
        strip_whitespace=bool(strip_whitespace),
        to_upper=bool(to_upper),
        to_lower=bool(to_lower),
        strict=strict,
        min_length=min_length,
        max_length=max_length,
        pattern=pattern,
    )


def constr(**rules: Any) -> Any:
    """Text with the rules of `StringConstraints`."""
    return Annotated[str, StringConstraints(**rules)]


def conint(
    *, strict: bool | None = None, gt: Any = None, ge: Any = None, lt: Any = None, le: Any = None, multiple_of: Any = None
) -> Any:
    """Integers with these rules of `Field`."""
    return Annotated[int, Field(strict=strict, gt=gt, ge=ge, lt=lt, le=le, multiple_of=multiple_of)]


def confloat(
    *,
    strict: bool | None = None,
    gt: Any = None,
    ge: Any = None,
    lt: Any = None,
    le: Any = None,
    multiple_of: Any = None,
    allow_inf_nan: bool | None = None,
) -> Any:
    """Floats with these rules of `Field`."""
    rules = Field(strict=strict, gt=gt, ge=ge, lt=lt, le=le, multiple_of=multiple_of, allow_inf_nan=allow_inf_nan)
    return Annotated[float, rules]


def conlist(item_type: Any, *, min_length: int | None = None, max_length: int | None = None) -> Any:
    """Lists of `item_type` with these rules of `Field`."""
    return Annotated[list[item_type], Field(min_length=min_length, max_length=max_length)]


def with_config(config: ConfigDict | None = None, /, **options: Any) -> Callable[[T], T]:
    """Gives a dataclass or a typed dictionary a configuration of its own: `@with_config(extra="forbid")`."""
    given = checked({**(config or {}), **options})

    def decorate(cls: Any) -> Any:
        cls.__pydantic_config__ = given
        return cls

    return decorate
