"""Instances to plain data: the general way, with every option.

Dumps without options and without serializers written in Python are made natively; this is the oracle of that fast path.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import inspect
import json
import math
import re
import typing
import uuid
from collections import deque
from collections.abc import Generator, Mapping
from typing import Any

from ottava import _native
from ottava import _decorators as decorators
from ottava._fields import FieldInfo, PlainSerializer, Undefined, WrapSerializer
from ottava._standard import TEXTUAL, Secret

__all__ = ["Dump", "Options", "SerializationInfo", "dump_value", "to_json_text"]


class Options:
    """What a dump is to hold, and how."""

    __slots__ = (
        "by_alias",
        "context",
        "exclude_defaults",
        "exclude_none",
        "exclude_unset",
        "fallback",
        "mode",
        "round_trip",
        "serialize_as_any",
        "within",
    )

    def __init__(
        self,
        mode: str = "python",
        *,
        by_alias: bool | None = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        round_trip: bool = False,
        serialize_as_any: bool = False,
        context: Any = None,
        fallback: Any = None,
    ) -> None:
        if mode not in ("python", "json"):
            raise ValueError(f"mode must be 'python' or 'json', not {mode!r}")
        self.mode = mode
        self.by_alias = by_alias
        self.exclude_unset = exclude_unset
        self.exclude_defaults = exclude_defaults
        self.exclude_none = exclude_none
        self.round_trip = round_trip
        self.serialize_as_any = serialize_as_any
        self.context = context
        self.fallback = fallback
        # What is being dumped, from the outermost value inwards.
        self.within: set[int] = set()

    @property
    def mode_is_json(self) -> bool:
        """Whether values become what JSON has."""
        return self.mode == "json"


class SerializationInfo:
    """What a serializer may want to know: `mode`, `context`, `by_alias`, `field_name` and the `exclude_*` options."""

    __slots__ = ("_options", "field_name")

    def __init__(self, options: Options, field_name: str | None) -> None:
        self._options = options
        self.field_name = field_name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._options, name)

    def mode_is_json(self) -> bool:
        """Whether the dump is for JSON."""
        return self._options.mode_is_json


class _FieldDump:
    """How one field is dumped."""

    __slots__ = ("alias", "default", "info", "markers", "method", "name")

    def __init__(self, name: str, info: FieldInfo, method: decorators.FieldSerializer | None) -> None:
        self.name = name
        self.alias = info.serialization_alias or info.alias or name
        self.info = info
        self.method = method
        self.markers: list[PlainSerializer] = [m for m in info.metadata if isinstance(m, PlainSerializer)]


class Dump:
    """How the instances of one class are dumped."""

    def __init__(self, cls: Any) -> None:
        self._cls = cls

    @functools.cached_property
    def fields(self) -> dict[str, _FieldDump]:
        """The fields that dumps hold, in order."""
        cls = self._cls
        marked = cls.__ottava_marked__.values()
        methods: dict[str, decorators.FieldSerializer] = {}
        for mark in marked:
            if isinstance(mark, decorators.FieldSerializer):
                for name in cls.__ottava_fields__ if "*" in mark.fields else mark.fields:
                    methods[name] = mark
        return {
            name: _FieldDump(name, info, methods.get(name)) for name, info in cls.__ottava_fields__.items()
        }

    @functools.cached_property
    def shapes(self) -> dict[str, Any]:
        """The descriptions of the fields' types, by name."""
        return {made["name"]: made["type"] for made in self._cls.__ottava_record__.get("fields", ())}

    @functools.cached_property
    def computed(self) -> dict[str, decorators.Computed]:
        """The computed fields, in order."""
        return {
            name: mark for name, mark in self._cls.__ottava_marked__.items() if isinstance(mark, decorators.Computed)
        }

    @functools.cached_property
    def whole(self) -> decorators.ModelSerializer | None:
        """The serializer of the whole instance."""
        found = [m for m in self._cls.__ottava_marked__.values() if isinstance(m, decorators.ModelSerializer)]
        return found[-1] if found else None

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether the native module can make the dump: nothing here is code, excluded, or of a type that it does not know."""
        return (
            self.whole is None
            and not self.computed
            and not self._cls.model_config.get("serialize_by_alias")
            and all(
                field.method is None and not field.markers and not field.info.exclude
                for field in self.fields.values()
            )
        )

    def python(self, instance: Any, options: Options, include: Any = None, exclude: Any = None) -> Any:
        """The dump of an instance."""
        if self.whole is not None:
            function = self.whole.function
            if self.whole.mode == "wrap":
                handler = functools.partial(self._fields_of, options=options, include=include, exclude=exclude)
                made = _call(function, (instance, handler), SerializationInfo(options, None))
            else:
                made = _call(function, (instance,), SerializationInfo(options, None))
            return dump_value(made, options)
        return self._fields_of(instance, options=options, include=include, exclude=exclude)

    def _fields_of(self, instance: Any, *, options: Options, include: Any, exclude: Any) -> dict[str, Any]:
        include, exclude = _selection(include), _selection(exclude)
        given = _native.fields_set(instance) if options.exclude_unset else None
        config = self._cls.model_config
        by_alias = bool(config.get("serialize_by_alias")) if options.by_alias is None else options.by_alias
        made: dict[str, Any] = {}
        for name, field in self.fields.items():
            if field.info.exclude or not _selected(name, include, exclude):
                continue
            if given is not None and name not in given and _is_untouched(instance, name, field.info):
                continue
            try:
                value = getattr(instance, name)
            except AttributeError:
                continue
            if options.exclude_none and value is None:
                continue
            if options.exclude_defaults and _is_default(instance, name, field.info):
                continue
            key = field.alias if by_alias else name
            made[key] = self._field(instance, field, value, options, _inner(name, include), _inner(name, exclude))
        extra = (instance.model_extra or {}) if config.get("extra") == "allow" else {}
        for name, value in extra.items():
            if name not in self.fields and _selected(name, include, exclude) and not (options.exclude_none and value is None):
                made[name] = dump_value(value, options, _inner(name, include), _inner(name, exclude))
        if not options.round_trip:
            for name, mark in self.computed.items():
                if _selected(name, include, exclude):
                    value = getattr(instance, name)
                    if not (options.exclude_none and value is None):
                        key = mark.alias if by_alias and mark.alias else name
                        made[key] = dump_value(value, options, _inner(name, include), _inner(name, exclude))
        return made

    def _field(
        self, instance: Any, field: _FieldDump, value: Any, options: Options, include: Any, exclude: Any
    ) -> Any:
        method = field.method
        shape = self.shapes.get(field.name)

        def inside(inner: Any) -> Any:
            return dump_value(inner, options, include, exclude, shape)

        if method is not None and _applies(method.when_used, value, options):
            info = SerializationInfo(options, field.name)
            function = method.function
            if isinstance(function, (staticmethod, classmethod)):
                function, args = function.__get__(None, type(instance)), (value,)
            else:
                args = (instance, value)  # type: ignore[assignment]
            if method.mode == "wrap":
                return _call(function, (*args, inside), info)
            return dump_value(_call(function, args, info), options)
        for marker in field.markers:
            if _applies(marker.when_used, value, options):
                info = SerializationInfo(options, field.name)
                if isinstance(marker, WrapSerializer):
                    return _call(marker.func, (value, inside), info)
                return dump_value(_call(marker.func, (value,), info), options)
        return dump_value(value, options, include, exclude, shape)


def _applies(when: str, value: Any, options: Options) -> bool:
    if when.startswith("json") and not options.mode_is_json:
        return False
    return not (when.endswith("unless-none") and value is None)


def _call(function: Any, args: tuple[Any, ...], info: SerializationInfo) -> Any:
    try:
        wants = len(
            [
                p
                for p in inspect.signature(function).parameters.values()
                if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
            ]
        )
    except (TypeError, ValueError):
        wants = len(args)
    return function(*args, info) if wants > len(args) else function(*args)


def _is_untouched(instance: Any, name: str, info: FieldInfo) -> bool:
    """Whether a field that was not given still has its default, as far as one can tell."""
    return info.default_factory is not None or _is_default(instance, name, info)


def _is_default(instance: Any, name: str, info: FieldInfo) -> bool:
    if info.default is Undefined:
        if info.default_factory is None:
            return False
        try:
            default = info.default_factory()
        except TypeError:
            return False
    else:
        default = info.default
    try:
        return bool(getattr(instance, name) == default)
    except AttributeError:
        return True


def _selection(choice: Any) -> Any:
    if choice is None or isinstance(choice, Mapping):
        return choice
    return dict.fromkeys(choice, True)


def _selected(key: Any, include: Any, exclude: Any) -> bool:
    if exclude is not None:
        chosen = exclude.get(key, exclude.get("__all__") if isinstance(key, int) else None)
        if chosen is True or chosen is ...:
            return False
    if include is None:
        return True
    return key in include or (isinstance(key, int) and "__all__" in include)


def _inner(key: Any, choice: Any) -> Any:
    if choice is None:
        return None
    inner = choice.get(key, choice.get("__all__") if isinstance(key, int) else None)
    return None if inner is True or inner is ... or inner is None or inner is False else inner


def dump_value(
    value: Any, options: Options, include: Any = None, exclude: Any = None, shape: dict[str, Any] | None = None
) -> Any:
    """The dump of any value: models and dataclasses become dictionaries; with `mode="json"` everything is what JSON has.

    `shape` is the description of the declared type: of an instance of a subclass the dump has what the declared class has.
    """
    kind = type(value)
    if kind in (str, int, bool, type(None), float):
        return value
    if id(value) in options.within:
        raise ValueError("Circular reference detected (id repeated)")
    options.within.add(id(value))
    try:
        return _dump_whole(value, kind, options, include, exclude, shape)
    finally:
        options.within.discard(id(value))


def _dump_whole(
    value: Any, kind: type, options: Options, include: Any, exclude: Any, shape: dict[str, Any] | None
) -> Any:
    dump: Any = getattr(kind, "__ottava_dump__", None)
    if dump is not None:
        record = _declared_record(kind, _alternatives(shape, options))
        if record is not None:
            dump = record["cls"].__ottava_dump__
        return dump.python(value, options, include, exclude)
    if isinstance(value, dict):
        include, exclude = _selection(include), _selection(exclude)
        shapes = _alternatives(shape, options)
        fields = _typed_dict(value, shapes)
        item_shape = _only(shapes, ("dict",), "value")
        return {
            _json_key(key) if options.mode_is_json else key: dump_value(
                item, options, _inner(key, include), _inner(key, exclude), fields.get(key, item_shape)
            )
            for key, item in value.items()
            if _selected(key, include, exclude)
        }
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        include, exclude = _by_place(include, value), _by_place(exclude, value)
        shapes = _alternatives(shape, options)
        item_shape = _only(shapes, ("list", "set", "frozenset"), "item")
        places = _places(value, shapes) if isinstance(value, tuple) else []
        items = [
            dump_value(
                item,
                options,
                _inner(index, include),
                _inner(index, exclude),
                places[index] if index < len(places) else item_shape,
            )
            for index, item in enumerate(value)
            if _selected(index, include, exclude)
        ]
        if options.mode_is_json:
            return items
        if isinstance(value, tuple):
            return tuple(items)
        return (kind if kind in (list, set, frozenset, deque) else list)(items)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        include, exclude = _selection(include), _selection(exclude)
        record = _declared_record(kind, _alternatives(shape, options))
        types = {} if record is None else {made["name"]: made["type"] for made in record["fields"]}
        return {
            field.name: dump_value(
                getattr(value, field.name),
                options,
                _inner(field.name, include),
                _inner(field.name, exclude),
                types.get(field.name),
            )
            for field in dataclasses.fields(kind if record is None else record["cls"])
            if hasattr(value, field.name)
            and _selected(field.name, include, exclude)
            and not _is_left_out(getattr(value, field.name), field, options)
        }
    return _json_scalar(value, options) if options.mode_is_json else value


def _is_left_out(value: Any, field: dataclasses.Field[Any], options: Options) -> bool:
    """Whether the options leave a field of a dataclass out for its value."""
    if options.exclude_none and value is None:
        return True
    if not options.exclude_defaults:
        return False
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return field.default is not dataclasses.MISSING and bool(value == field.default)


def _alternatives(shape: dict[str, Any] | None, options: Options) -> list[dict[str, Any]]:
    """What a value of the declared type may be: the members of unions, the types behind names. Empty if that does not matter."""
    if shape is None or options.serialize_as_any:
        return []
    if shape["kind"] != "union" and (shape["kind"] != "ref" or "type" not in shape["spec"]):
        return [shape]
    found: list[dict[str, Any]] = []
    seen: list[Any] = []
    waiting = [shape]
    for one in waiting:
        if one["kind"] == "union" and not one.get("as_any"):
            waiting.extend(one["members"])
        elif one["kind"] == "ref" and "type" in one["spec"]:
            if not any(one["spec"] is known for known in seen):
                seen.append(one["spec"])
                waiting.append(one["spec"]["type"])
        else:
            found.append(one)
    return found


def _declared_record(kind: type, shapes: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The declared record that an instance of the class is dumped as; `None` if it is dumped as what it is."""
    base = None
    for shape in shapes:
        if shape["kind"] == "any" or shape.get("as_any"):
            return None
        record = shape["spec"] if shape["kind"] == "ref" else {}
        cls = record.get("cls")
        if cls is kind:
            return typing.cast("dict[str, Any]", record)
        if base is None and cls is not None and issubclass(kind, cls):
            base = record
    return base


def _typed_dict(value: dict[Any, Any], shapes: list[dict[str, Any]]) -> dict[Any, Any]:
    """The types of a typed dictionary's values; empty for another dictionary."""
    records = [shape["spec"] for shape in shapes if shape["kind"] == "ref" and shape["spec"].get("how") == "dict"]
    records = [record for record in records if record["cls"] is None]
    fitting = [record for record in records if value.keys() <= {made["name"] for made in record["fields"]}]
    return {made["name"]: made["type"] for record in (fitting or records)[:1] for made in record["fields"]}


def _places(value: tuple[Any, ...], shapes: list[dict[str, Any]]) -> list[Any]:
    """The types of a tuple's items."""
    for shape in shapes:
        if shape["kind"] == "tuple":
            rest = shape.get("rest")
            if len(value) == len(shape["items"]) or (rest and len(value) > len(shape["items"])):
                return [*shape["items"], *[rest] * (len(value) - len(shape["items"]))]
        elif shape["kind"] == "ref" and shape["spec"].get("cls") is type(value):
            return [made["type"] for made in shape["spec"]["fields"]]
    return []


def _only(shapes: list[dict[str, Any]], kinds: tuple[str, ...], part: str) -> dict[str, Any] | None:
    """The type of the items of whatever collection is declared; of several one of them."""
    found = [shape[part] for shape in shapes if shape["kind"] in kinds]
    if len(found) > 1:
        return {"kind": "union", "members": found}
    return found[0] if found else None


def _by_place(choice: Any, value: Any) -> Any:
    """A selection of items, with places counted from the front."""
    choice = _selection(choice)
    if choice is None or not any(isinstance(key, int) and key < 0 for key in choice):
        return choice
    return {key + len(value) if isinstance(key, int) and key < 0 else key: inner for key, inner in choice.items()}


def _json_key(key: Any) -> str:
    if isinstance(key, str):
        return key if type(key) is str else str(key.value if isinstance(key, enum.Enum) else key)
    if key is None:
        return "None"
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, tuple):
        return ",".join(map(_json_key, key))
    made = _json_scalar(key, Options("json"))
    return made if isinstance(made, str) else _digits(made) if type(made) is int else str(made)


def _json_scalar(value: Any, options: Options) -> Any:
    if isinstance(value, enum.Enum):
        return dump_value(value.value, options)
    if isinstance(value, datetime.datetime):
        return iso_datetime(value)
    if isinstance(value, (datetime.date, datetime.time)):
        text = value.isoformat()
        return f"{text[:-6]}Z" if text.endswith("+00:00") else text
    if isinstance(value, datetime.timedelta):
        return iso_duration(value)
    if isinstance(value, (decimal.Decimal, uuid.UUID, *TEXTUAL)):
        return str(value)
    if isinstance(value, Secret):
        return _json_scalar(value._hidden(), options)
    if isinstance(value, (bytes, bytearray)):
        return value.decode()
    if isinstance(value, (str, int, float)):
        return value.__class__.__mro__[-2](value) if type(value) not in (str, int, float) else value
    if isinstance(value, re.Pattern):
        return value.pattern
    if isinstance(value, (Generator, range)):
        return [dump_value(item, options) for item in value]
    if options.fallback is not None:
        return dump_value(options.fallback(value), options)
    raise TypeError(f"JSON has nothing for a {type(value).__name__}")


def iso_datetime(value: datetime.datetime) -> str:
    """ISO 8601, with `Z` for UTC."""
    text = value.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def iso_duration(value: datetime.timedelta) -> str:
    """ISO 8601, as `P1DT2H3M4.5S`, with the sign in front."""
    micros = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
    sign, micros = ("-" if micros < 0 else ""), abs(micros)
    seconds, micros = divmod(micros, 1_000_000)
    days, seconds = divmod(seconds, 86_400)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{micros:06d}".rstrip("0") if micros else ""
    date = f"{days}D" if days else ""
    time = (
        (f"{hours}H" if hours else "")
        + (f"{minutes}M" if minutes else "")
        + (f"{seconds}{fraction}S" if seconds or micros else "")
    )
    return f"{sign}P{date}{'T' + time if time else ''}" if date or time else "PT0S"


def to_json_text(value: Any, indent: int | None = None) -> str:
    """JSON text of what `dump_value(..., mode="json")` made. NaN and the infinities are null."""
    value = _finite(value)
    separators = (",", ":") if indent is None else None
    try:
        text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False)
    except ValueError:
        # An integer that is longer than CPython writes.
        text = _written(value, indent, "\n")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            wrong = error.object[error.start : error.end]
            raise ValueError(f"JSON has nothing for text with a lone surrogate, {wrong!a}") from None
    return text


def _written(value: Any, indent: int | None, line: str) -> str:
    """As `json.dumps`, with integers of any length."""
    if type(value) is int:
        return _digits(value)
    if not isinstance(value, (dict, list)) or not value:
        return json.dumps(value, ensure_ascii=False)
    inner = line if indent is None else line + " " * indent
    if isinstance(value, dict):
        colon = ":" if indent is None else ": "
        items = [
            f"{json.dumps(key, ensure_ascii=False)}{colon}{_written(item, indent, inner)}" for key, item in value.items()
        ]
        first, last = "{}"
    else:
        items = [_written(item, indent, inner) for item in value]
        first, last = "[]"
    if indent is None:
        return first + ",".join(items) + last
    return first + inner + f",{inner}".join(items) + line + last


def _digits(value: int) -> str:
    """The decimal digits of an integer, however many there are."""
    return str(value) if abs(value) < 1 << 2000 else format(decimal.Decimal(value), "f")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value


