"""Python annotations to descriptions that the native module compiles.

A description is a dictionary with a `kind`, what belongs to the kind, and `nullable`, `strict`, `rules` and `hooks` where they
are wanted. Descriptions of records (models, dataclasses, typed dictionaries) are made once for each class and shared.
"""

from __future__ import annotations

import collections
import collections.abc as abc
import dataclasses
import datetime
import decimal
import enum
import inspect
import ipaddress
import pathlib
import re
import sys
import types
import typing
import uuid
from typing import Any, ForwardRef, Literal, TypeVar, Union

from ottava._fields import (
    AfterValidator,
    BeforeValidator,
    FieldInfo,
    PlainSerializer,
    PlainValidator,
    Strict,
    Undefined,
    WrapValidator,
)

__all__ = ["Context", "describe", "evaluate", "is_acyclic"]

Description = dict[str, Any]

_SCALARS: dict[Any, str] = {
    Any: "any",
    object: "any",
    None: "null",
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    bytes: "bytes",
    decimal.Decimal: "decimal",
    datetime.datetime: "datetime",
    datetime.date: "date",
    datetime.time: "time",
    datetime.timedelta: "duration",
    uuid.UUID: "uuid",
}

_NUMBERS = frozenset({"int", "float", "decimal"})
_ORDERED = _NUMBERS | {"date", "datetime", "time", "duration"}
_COLLECTIONS = frozenset({"list", "set", "frozenset", "tuple", "dict"})

# Which kinds each rule is for.
_RULES: dict[str, frozenset[str]] = {
    "gt": _ORDERED,
    "ge": _ORDERED,
    "lt": _ORDERED,
    "le": _ORDERED,
    "multiple_of": _NUMBERS,
    "min_length": _COLLECTIONS | {"str", "bytes"},
    "max_length": _COLLECTIONS | {"str", "bytes"},
    "pattern": frozenset({"str"}),
    "format": frozenset({"str"}),
    "strip_whitespace": frozenset({"str"}),
    "to_lower": frozenset({"str"}),
    "to_upper": frozenset({"str"}),
    "unique_items": frozenset({"list"}),
    "max_digits": frozenset({"decimal"}),
    "decimal_places": frozenset({"decimal"}),
    "allow_inf_nan": frozenset({"float", "decimal"}),
}

_LISTS = (list, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection)
_SETS = (set, abc.Set, abc.MutableSet)
_DICTS = (dict, abc.Mapping, abc.MutableMapping)

# Classes that are made of their text.
_TEXTUAL: tuple[type, ...] = (
    pathlib.PurePath,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
)


# Of `typing` or of `typing_extensions`, which has its own where `typing` has none.
_QUALIFIERS = frozenset({"Required", "NotRequired", "ReadOnly", "Final"})


class Context:
    """What the translation of one class needs beside its annotations."""

    __slots__ = ("arbitrary", "classes", "typevars")

    def __init__(self, *, arbitrary: bool = False, typevars: dict[Any, Any] | None = None) -> None:
        self.arbitrary = arbitrary
        self.typevars: dict[Any, Any] = typevars or {}
        self.classes: list[Any] = []


def evaluate(annotation: Any, module: str | None, local: dict[str, Any] | None) -> Any:
    """An annotation with its strings resolved. Raises `NameError` for a name that is not known yet."""
    if not _has_strings(annotation):
        return annotation
    carrier = types.SimpleNamespace(__annotations__={"value": annotation})
    names = vars(sys.modules[module]) if module in sys.modules else {}
    return typing.get_type_hints(carrier, names, local, include_extras=True)["value"]


def _has_strings(annotation: Any) -> bool:
    if isinstance(annotation, (str, ForwardRef)):
        return True
    if typing.get_origin(annotation) is Literal:
        return False
    return any(_has_strings(part) for part in getattr(annotation, "__args__", ()) or ())


def describe(annotation: Any, context: Context) -> Description:
    """The description of an annotation. Raises `TypeError` for a type that cannot be checked."""
    try:
        kind = _SCALARS.get(annotation)
    except TypeError:
        kind = None
    if kind is not None:
        return {"kind": kind}
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _annotated(annotation, context)
    if origin is Union or isinstance(annotation, types.UnionType):
        return _union(typing.get_args(annotation), context)
    if origin is Literal:
        return _literal(annotation)
    if getattr(origin, "_name", None) in _QUALIFIERS:
        return describe(typing.get_args(annotation)[0], context)
    if isinstance(annotation, TypeVar):
        return _typevar(annotation, context)
    if hasattr(annotation, "__supertype__"):
        return describe(annotation.__supertype__, context)
    if hasattr(annotation, "__value__") and type(annotation).__name__ == "TypeAliasType":
        return describe(annotation.__value__, context)
    if isinstance(annotation, (str, ForwardRef)):
        raise NameError(str(annotation))
    if origin is not None:
        return _generic(annotation, origin, typing.get_args(annotation), context)
    if isinstance(annotation, type):
        return _class(annotation, context)
    if annotation is typing.Callable or annotation is abc.Callable:
        return _checked_by(_callable)
    name = getattr(annotation, "_name", None)
    if name is not None and hasattr(typing, str(name)):
        return _generic(annotation, getattr(annotation, "__origin__", annotation), (), context)
    raise TypeError(f"no schema for {annotation!r}")


def apply(description: Description, info: FieldInfo, context: Context) -> Description:
    """The description with a field's rules, strictness and choice among members."""
    if info.enum is not None:
        description = {"kind": "literal", "values": list(info.enum), "nullable": description.get("nullable", False)}
    if info.strict is not None:
        description = _strict(description, info.strict)
    if info.discriminator is not None:
        if description["kind"] != "union":
            raise TypeError("a discriminator needs a union of several records")
        description = {**description, "tag": info.discriminator}
    if info.left_to_right and description["kind"] == "union":
        description = {**description, "left_to_right": True}
    if info.rules:
        description = _ruled(description, info.rules)
    return description


def _strict(description: Description, strict: bool) -> Description:
    made = {**description, "strict": strict}
    if description["kind"] == "union":
        made["members"] = [_strict(member, strict) for member in description["members"]]
    return made


def _ruled(description: Description, rules: dict[str, Any]) -> Description:
    kind = description["kind"]
    if kind == "union":
        members = []
        left = dict(rules)
        for member in description["members"]:
            fitting = {name: value for name, value in rules.items() if _fits(name, member)}
            members.append(_ruled(member, fitting) if fitting else member)
            for name in fitting:
                left.pop(name, None)
        if left:
            raise TypeError(f"rule {next(iter(left))!r} is for none of the union's members")
        return {**description, "members": members}
    for name in rules:
        if not _fits(name, description):
            raise TypeError(f"rule {name!r} is not for {_kind_name(kind)}")
    known = dict(description.get("rules", {}))
    if kind == "tuple" and description.get("rest") is None:
        raise TypeError("a tuple of fixed length takes no rules")
    known.update(rules)
    return {**description, "rules": known}


def _fits(rule: str, description: Description) -> bool:
    if description["kind"] == "union":
        return any(_fits(rule, member) for member in description["members"])
    return description["kind"] in _RULES[rule]


def _kind_name(kind: str) -> str:
    return {"any": "a value of any type", "ref": "a record", "bool": "a bool"}.get(kind, kind)


def _annotated(annotation: Any, context: Context) -> Description:
    base, *extras = typing.get_args(annotation)
    description = describe(base, context)
    for extra in extras:
        description = _with_extra(description, extra, context)
    return description


def _with_extra(description: Description, extra: Any, context: Context) -> Description:
    if isinstance(extra, FieldInfo):
        description = apply(description, extra, context)
        for inner in extra.metadata:
            description = _with_extra(description, inner, context)
        return description
    if isinstance(extra, (BeforeValidator, AfterValidator, PlainValidator, WrapValidator)):
        return hooked(description, extra.mode, extra.func)
    if isinstance(extra, Strict):
        return _strict(description, extra.strict)
    if isinstance(extra, PlainSerializer):
        return description
    rules = rules_of_marker(extra)
    if rules:
        return _ruled(description, rules)
    predicate = getattr(extra, "func", None)
    if callable(predicate) and type(extra).__name__ in ("Predicate", "Not"):
        return hooked(description, "after", _predicate(predicate, type(extra).__name__ == "Not"))
    if hasattr(extra, "__iter__") and type(extra).__module__.startswith("annotated_types"):
        for inner in extra:
            description = _with_extra(description, inner, context)
    return description


def _predicate(test: Any, negated: bool) -> Any:
    name = getattr(test, "__qualname__", repr(test))

    def check(value: Any) -> Any:
        if bool(test(value)) is negated:
            raise ValueError(f"Predicate {name} failed")
        return value

    return check


def rules_of_marker(marker: Any) -> dict[str, Any]:
    """The rules of a marker of `annotated_types` (`Gt`, `Len`, ...), recognized by its attributes."""
    if isinstance(marker, type) or not type(marker).__module__.startswith("annotated_types"):
        return {}
    rules: dict[str, Any] = {}
    for name in ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length"):
        value = getattr(marker, name, None)
        if value is not None:
            rules[name] = value
    return rules


def hooked(description: Description, mode: str, function: Any, field: str | None = None) -> Description:
    """The description with a validator around it."""
    info = mode not in ("instance", "construct", "init", "post_init", "pattern") and takes_info(
        function, 2 if mode == "wrap" else 1
    )
    hooks = [(mode, function, info, field), *description.get("hooks", ())]
    return {**description, "hooks": hooks}


def takes_info(function: Any, values: int) -> bool:
    """Whether a validator takes one argument more than its values."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [
        p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return len(needed) > values


def _union(members: tuple[Any, ...], context: Context) -> Description:
    nullable = any(member in (None, type(None)) for member in members)
    rest = [describe(member, context) for member in members if member not in (None, type(None))]
    if not rest:
        return {"kind": "null"}
    if len(rest) == 1:
        description = rest[0]
        if not nullable:
            return description
        if description.get("hooks"):
            # The validators are for the value inside; null does not reach them.
            return {"kind": "union", "members": [description], "nullable": True}
        return {**description, "nullable": True}
    return {"kind": "union", "members": rest, "nullable": nullable}


def _literal(annotation: Any) -> Description:
    values = typing.get_args(annotation)
    members = [value for value in values if isinstance(value, enum.Enum)]
    if members:
        if len(members) != len(values) or len({type(member) for member in members}) != 1:
            raise TypeError("a literal of enum members has no other values")
        return {"kind": "enum", "cls": type(members[0]), "members": members}
    flat: list[Any] = []
    for value in values:
        if not isinstance(value, (str, int, bool, type(None))):
            raise TypeError(f"a literal is None, a bool, an int or a str, not {value!r}")
        flat.append(value)
    return {"kind": "literal", "values": flat}


def _typevar(var: TypeVar, context: Context) -> Description:
    if var in context.typevars:
        return describe(context.typevars[var], context)
    default = getattr(var, "__default__", None)
    if default is not None and type(default).__name__ not in ("NoDefaultType", "NoDefault"):
        return describe(default, context)
    if var.__bound__ is not None:
        return describe(var.__bound__, context)
    if var.__constraints__:
        return _union(var.__constraints__, context)
    return {"kind": "any"}


def _generic(annotation: Any, origin: Any, args: tuple[Any, ...], context: Context) -> Description:
    if origin in (type, typing.Type):  # noqa: UP006
        return _checked_by(_subclass_of(args[0] if args else Any))
    if origin in (abc.Callable, typing.Callable):
        return _checked_by(_callable)
    if origin is re.Pattern:
        return _checked_by(_pattern)
    if origin is tuple:
        return _tuple(args, context)
    item = describe(args[0], context) if args else {"kind": "any"}
    if origin in _LISTS:
        return {"kind": "list", "item": item}
    if origin is collections.deque:
        return hooked({"kind": "list", "item": item}, "after", collections.deque)
    if origin in _SETS:
        return {"kind": "set", "item": item}
    if origin is frozenset:
        return {"kind": "frozenset", "item": item}
    if origin in _DICTS or origin in (collections.OrderedDict, collections.defaultdict):
        value = describe(args[1], context) if len(args) > 1 else {"kind": "any"}
        description = {"kind": "dict", "key": item, "value": value}
        if origin is collections.OrderedDict:
            return hooked(description, "after", collections.OrderedDict)
        if origin is collections.defaultdict:
            return hooked(description, "after", _default_dict(args[1] if len(args) > 1 else None))
        return description
    if origin is collections.Counter:
        return hooked({"kind": "dict", "key": item, "value": {"kind": "int"}}, "after", collections.Counter)
    if isinstance(origin, type):
        if dataclasses.is_dataclass(origin) or _is_typed_dict(origin):
            parameters = getattr(origin, "__parameters__", ())
            inner = Context(arbitrary=context.arbitrary, typevars=dict(zip(parameters, args)))
            return _record_class(origin, inner)
        return _class(origin, context)
    raise TypeError(f"no schema for {annotation!r}")


def _tuple(args: tuple[Any, ...], context: Context) -> Description:
    if not args:
        return {"kind": "tuple", "items": [], "rest": {"kind": "any"}}
    if len(args) == 2 and args[1] is ...:
        return {"kind": "tuple", "items": [], "rest": describe(args[0], context)}
    if args == ((),):
        return {"kind": "tuple", "items": []}
    return {"kind": "tuple", "items": [describe(arg, context) for arg in args]}


def _class(cls: type, context: Context) -> Description:
    record = cls.__dict__.get("__ottava_record__")
    if record is not None:
        context.classes.append(cls)
        return {"kind": "ref", "spec": record}
    if issubclass(cls, enum.Enum):
        if not list(cls):
            raise TypeError(f"the enum {cls.__name__} has no members")
        try:
            return _enum(cls)
        except TypeError:
            return _checked_by(cls)
    if dataclasses.is_dataclass(cls) or _is_typed_dict(cls):
        return _record_class(cls, context)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _record_class(cls, context)
    for plain in (list, set, frozenset, dict, tuple):
        if cls is plain:
            return _generic(cls, cls, (), context)
    if cls in (*_LISTS, *_SETS, *_DICTS, collections.deque, collections.OrderedDict, collections.defaultdict):
        return _generic(cls, cls, (), context)
    if cls is bytearray:
        return hooked({"kind": "bytes"}, "after", bytearray)
    if cls is re.Pattern:
        return _checked_by(_pattern)
    if issubclass(cls, _TEXTUAL):
        return _checked_by(_made_of_text(cls))
    if cls in (complex, range, slice):
        return hooked({"kind": "any"}, "instance", cls)
    if context.arbitrary:
        return hooked({"kind": "any"}, "instance", cls)
    raise TypeError(
        f"no schema for {cls!r}; arbitrary_types_allowed=True in model_config checks that values are instances of it"
    )


def _is_typed_dict(cls: Any) -> bool:
    # Those of `typing_extensions`, too, which `typing.is_typeddict` does not know.
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__required_keys__") and hasattr(cls, "__total__")


def _enum(cls: type[enum.Enum]) -> Description:
    members = list(cls)
    missing = cls.__dict__.get("_missing_")
    description: Description = {"kind": "enum", "cls": cls, "members": members}
    for member in members:
        if not isinstance(member.value, (str, int, float, bool, type(None), bytes)):
            raise TypeError(cls.__name__)
    if missing is not None or issubclass(cls, enum.Flag):
        return _checked_by(cls)
    return description


_RECORDS: dict[Any, Description] = {}


def _record_class(cls: Any, context: Context) -> Description:
    """Dataclasses, named tuples and typed dictionaries."""
    key = (cls, tuple(context.typevars.items()), context.arbitrary)
    record = _RECORDS.get(key)
    if record is None:
        record = {}
        _RECORDS[key] = record
        try:
            _fill_record(record, cls, context)
        except BaseException:
            del _RECORDS[key]
            raise
    description: Description = {"kind": "ref", "spec": record}
    return description


def _fill_record(record: Description, cls: Any, context: Context) -> None:
    config: dict[str, Any] = getattr(cls, "__pydantic_config__", None) or getattr(cls, "__ottava_config__", None) or {}
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise NameError(f"{cls.__name__}: {error}") from None
    record.update(
        name=cls.__name__,
        module=cls.__module__,
        cls=None if _is_typed_dict(cls) else cls,
        how="dict",
        config={"strict": bool(config.get("strict")), "extra": config.get("extra", "ignore")},
        docs={},
        fields=[],
    )
    fields: list[Description] = record["fields"]
    if _is_typed_dict(cls):
        required = cls.__required_keys__
        for name, hint in hints.items():
            default: tuple[Any, ...] = ("required",) if name in required else ("absent",)
            fields.append(field(name, hint, FieldInfo(), default, context))
    elif dataclasses.is_dataclass(cls):
        for item in dataclasses.fields(cls):
            if not item.init:
                continue
            info = item.default if isinstance(item.default, FieldInfo) else FieldInfo()
            default = ("required",)
            if isinstance(item.default, FieldInfo):
                default = default_of(item.default)
            elif item.default is not dataclasses.MISSING:
                default = ("value", item.default)
            elif item.default_factory is not dataclasses.MISSING:
                default = ("factory", item.default_factory, False)
            fields.append(field(item.name, hints[item.name], info, default, context))
        record["hooks"] = [("construct", cls, False, None)]
    else:
        for name in cls._fields:
            default = ("value", cls._field_defaults[name]) if name in cls._field_defaults else ("required",)
            fields.append(field(name, hints.get(name, Any), FieldInfo(), default, context))
        record["hooks"] = [("before", _named(cls), False, None), ("construct", cls, False, None)]


def _named(cls: Any) -> Any:
    def name_items(value: Any) -> Any:
        if isinstance(value, (list, tuple)) and not isinstance(value, cls) and len(value) <= len(cls._fields):
            return dict(zip(cls._fields, value))
        return value

    return name_items


def field(name: str, hint: Any, info: FieldInfo, default: tuple[Any, ...], context: Context) -> Description:
    """The description of one field of a record."""
    description = apply(describe(hint, context), info, context)
    for extra in info.metadata:
        description = _with_extra(description, extra, context)
    made: Description = {"name": name, "type": description, "default": default}
    if info.validation_alias or info.alias:
        made["alias"] = info.validation_alias or info.alias
    docs = {
        key: value
        for key, value in (
            ("title", info.title),
            ("description", info.description),
            ("examples", info.examples),
            ("deprecated_since", info.deprecated_since),
            ("removed_in", info.removed_in),
            ("keywords", _keywords(info)),
        )
        if value is not None
    }
    if docs:
        made["docs"] = docs
    return made


def _keywords(info: FieldInfo) -> dict[str, Any] | None:
    keywords = {"deprecated": True} if info.deprecated else {}
    return {**keywords, **(info.json_schema_extra or {})} or None


def default_of(info: FieldInfo) -> tuple[Any, ...]:
    """A field's default, as descriptions have it."""
    if info.default_factory is not None:
        if info.default_factory in (list, dict, set):
            return ("value", info.default_factory())
        return ("factory", info.default_factory, takes_info(info.default_factory, 0))
    if info.default is not Undefined:
        return ("value", info.default)
    return ("required",)


def _checked_by(function: Any) -> Description:
    """Whatever the function makes of a value; it raises `ValueError` for one that it does not take."""
    hook = (
        ("plain", function, False, None)
        if not isinstance(function, type)
        else ("plain", _made_by(function), False, None)
    )
    return {"kind": "any", "hooks": [hook]}


def _made_by(cls: type) -> Any:
    def make(value: Any) -> Any:
        return value if isinstance(value, cls) else cls(value)

    return make


def _made_of_text(cls: type) -> Any:
    def make(value: Any) -> Any:
        if isinstance(value, cls):
            return value
        if isinstance(value, str) or (isinstance(value, (bytes, int)) and not issubclass(cls, pathlib.PurePath)):
            return cls(value)
        raise ValueError(f"a {cls.__name__} is made of text")

    return make


def _pattern(value: Any) -> Any:
    if isinstance(value, re.Pattern):
        return value
    if isinstance(value, (str, bytes)):
        try:
            return re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
    raise ValueError("not a regular expression")


def _callable(value: Any) -> Any:
    if not callable(value):
        raise ValueError("not callable")
    return value


def _subclass_of(wanted: Any) -> Any:
    def check(value: Any) -> Any:
        if not isinstance(value, type) or (isinstance(wanted, type) and not issubclass(value, wanted)):
            raise ValueError(f"not a subclass of {getattr(wanted, '__name__', wanted)}")
        return value

    return check


def _default_dict(value: Any) -> Any:
    factory = typing.get_origin(value) or value
    factory = factory if callable(factory) and factory is not Any else None
    return lambda entries: collections.defaultdict(factory, entries)


_LEAVES = frozenset(_SCALARS.values()) - {"any"} | {"enum", "literal"}


def is_acyclic(description: Description) -> bool:
    """Whether no value of the description can come to refer to the instance that holds it."""
    if any(mode not in ("pattern", "before") for mode, *_ in description.get("hooks", ())):
        return False
    kind = description["kind"]
    if kind in _LEAVES:
        return True
    if kind == "frozenset":
        return is_acyclic(description["item"])
    if kind == "tuple":
        parts = [*description["items"], *([description["rest"]] if description.get("rest") else [])]
        return all(map(is_acyclic, parts))
    if kind == "union":
        return all(map(is_acyclic, description["members"]))
    if kind == "ref":
        return bool(description["spec"].get("acyclic"))
    return False
