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
import re
import sys
import types
import typing
import uuid
from collections.abc import Callable, Mapping
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
from ottava._standard import (
    TEXTUAL,
    Refusal,
    Secret,
    checked_by,
    default_dict,
    is_callable,
    made_of_text,
    member_of,
    pattern,
    predicate,
    subclass_of,
)

__all__ = ["Context", "Described", "describe", "evaluate", "hooked", "substitute"]

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

# Of `typing` or of `typing_extensions`, which has its own where `typing` has none.
_QUALIFIERS = frozenset({"Required", "NotRequired", "ReadOnly", "Final"})


class Context:
    """What the translation of one class needs beside its annotations."""

    __slots__ = ("aliases", "classes", "config", "typevars")

    def __init__(self, config: Mapping[str, Any] | None = None, *, typevars: dict[Any, Any] | None = None) -> None:
        self.config: Mapping[str, Any] = config or {}
        self.typevars: dict[Any, Any] = typevars or {}
        self.classes: list[Any] = []
        # Named types in the making, by name and type variables.
        self.aliases: dict[Any, Description] = {}

    def within(self, typevars: dict[Any, Any], config: Mapping[str, Any] | None = None) -> Context:
        """The same with other type variables, for a part that has its own."""
        made = Context(self.config if config is None else config, typevars=typevars)
        made.classes, made.aliases = self.classes, self.aliases
        return made


class Described:
    """A marker of `Annotated` that changes the description of the type, or with `whole` makes one without looking at the type."""

    __slots__ = ("change", "whole")

    def __init__(self, change: Callable[[Description], Description], *, whole: bool = False) -> None:
        self.change = change
        self.whole = whole


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
    if _is_alias(annotation):
        return _named(annotation, (), context)
    if _is_alias(origin):
        return _named(origin, typing.get_args(annotation), context)
    if isinstance(annotation, (str, ForwardRef)):
        raise NameError(str(annotation))
    if origin is not None:
        return _generic(annotation, origin, typing.get_args(annotation), context)
    if isinstance(annotation, type):
        return _class(annotation, context)
    if annotation is typing.Callable or annotation is abc.Callable:
        return checked_by(is_callable)
    name = getattr(annotation, "_name", None)
    if name is not None and hasattr(typing, str(name)):
        return _generic(annotation, getattr(annotation, "__origin__", annotation), (), context)
    raise TypeError(f"no schema for {annotation!r}")


def _is_alias(annotation: Any) -> bool:
    return hasattr(annotation, "__value__") and type(annotation).__name__ == "TypeAliasType"


def _named(alias: Any, args: tuple[Any, ...], context: Context) -> Description:
    """The description of a type with a name; a reference, if the type refers to itself."""
    args = tuple(substitute(arg, context.typevars) for arg in args)
    key = (id(alias), args)
    known = context.aliases.get(key)
    if known is not None:
        known["recursive"] = True
        return {"kind": "ref", "spec": known}
    spec: Description = {"name": alias.__name__, "module": alias.__module__}
    context.aliases[key] = spec
    try:
        value = evaluate(alias.__value__, alias.__module__, {alias.__name__: alias})
        spec["type"] = describe(value, context.within(dict(zip(alias.__type_params__, args))))
    finally:
        if "type" not in spec or "recursive" not in spec:
            del context.aliases[key]
    return {"kind": "ref", "spec": spec} if "recursive" in spec else spec["type"]


def substitute(annotation: Any, typevars: Mapping[Any, Any]) -> Any:
    """An annotation with type variables replaced."""
    if isinstance(annotation, TypeVar):
        return typevars.get(annotation, annotation)
    parameters = getattr(annotation, "__parameters__", ())
    if not any(parameter in typevars for parameter in parameters):
        return annotation
    return annotation[tuple(typevars.get(parameter, parameter) for parameter in parameters)]


def apply(description: Description, info: FieldInfo, context: Context) -> Description:
    """The description with a field's rules, strictness and choice among members."""
    if info.enum is not None:
        description = _one_of(description, info.enum)
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


def _one_of(description: Description, values: list[Any]) -> Description:
    """What `Field(enum=...)` makes of a type: a literal, or a check of what the type has made."""
    if description["kind"] in _COLLECTIONS or description["kind"] == "ref":
        raise TypeError(f"enum lists plain values; it is not for {_kind_name(description['kind'])}")
    if all(isinstance(value, (str, int, bool, type(None))) for value in values):
        return {"kind": "literal", "values": values, "nullable": description.get("nullable", False)}
    shown = [repr(value) for value in values]
    expected = " or ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))

    def check(value: Any) -> Any:
        if value is not None and value not in values:
            raise Refusal("literal_error", f"Input should be {expected}", expected=expected)
        return value

    return hooked(description, "after", check)


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
    pattern = known.get("pattern")
    if isinstance(pattern, re.Pattern):
        if pattern.flags & ~re.UNICODE:
            # The flags are no part of the source.
            del known["pattern"]
            return hooked({**description, "rules": known}, "pattern", pattern)
        known["pattern"] = pattern.pattern
    return {**description, "rules": known}


def _fits(rule: str, description: Description) -> bool:
    if description["kind"] == "union":
        return any(_fits(rule, member) for member in description["members"])
    return description["kind"] in _RULES[rule]


def _kind_name(kind: str) -> str:
    names = {"any": "a value of any type", "ref": "a record", "bool": "a bool", "literal": "a literal"}
    return names.get(kind, kind)


def _annotated(annotation: Any, context: Context) -> Description:
    base, *extras = typing.get_args(annotation)
    description = _base(base, extras, context)
    for extra in extras:
        description = _with_extra(description, extra, context)
    return description


def _base(annotation: Any, markers: list[Any], context: Context) -> Description:
    """The description that markers change."""
    whole = markers and isinstance(markers[0], Described) and markers[0].whole
    return {"kind": "any"} if whole else describe(annotation, context)


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
    if isinstance(extra, Described):
        return extra.change(description)
    if isinstance(extra, PlainSerializer):
        return description
    rules = rules_of_marker(extra)
    if rules:
        return _ruled(description, rules)
    test = getattr(extra, "func", None)
    if callable(test) and type(extra).__name__ in ("Predicate", "Not"):
        return hooked(description, "after", predicate(test, type(extra).__name__ == "Not"))
    if hasattr(extra, "__iter__") and type(extra).__module__.startswith("annotated_types"):
        for inner in extra:
            description = _with_extra(description, inner, context)
    return description


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
    info = mode not in ("instance", "construct", "init", "post_init", "pattern", "exact") and takes_info(
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
    given = context.typevars.get(var, var)
    if given is not var:
        # What was given has type variables of its own, if any.
        return describe(given, context.within({}))
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
        return checked_by(subclass_of(args[0] if args else Any), info=True)
    if origin in (abc.Callable, typing.Callable):
        return checked_by(is_callable)
    if origin is re.Pattern:
        return checked_by(pattern)
    if origin is tuple:
        return _tuple(annotation, args, context)
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
            return hooked(description, "after", default_dict(args[1] if len(args) > 1 else None))
        return description
    if origin is collections.Counter:
        return hooked({"kind": "dict", "key": item, "value": {"kind": "int"}}, "after", collections.Counter)
    if isinstance(origin, type):
        if dataclasses.is_dataclass(origin) or _is_typed_dict(origin):
            parameters = getattr(origin, "__parameters__", ())
            args = tuple(substitute(arg, context.typevars) for arg in args)
            return _record_class(origin, context.within(dict(zip(parameters, args))))
        return _class(origin, context)
    raise TypeError(f"no schema for {annotation!r}")


def _tuple(annotation: Any, args: tuple[Any, ...], context: Context) -> Description:
    if annotation in (tuple, typing.Tuple):  # noqa: UP006
        return {"kind": "tuple", "items": [], "rest": {"kind": "any"}}
    if len(args) == 2 and args[1] is ...:
        return {"kind": "tuple", "items": [], "rest": describe(args[0], context)}
    return {"kind": "tuple", "items": [describe(arg, context) for arg in args]}


def _class(cls: type, context: Context) -> Description:
    stands_for = cls.__dict__.get("__ottava_type__")
    if stands_for is not None:
        return describe(stands_for, context)
    record = cls.__dict__.get("__ottava_record__")
    if record is not None:
        specialized = substitute(cls, context.typevars)
        if specialized is not cls:
            return _class(specialized, context)
        context.classes.append(cls)
        return {"kind": "ref", "spec": record}
    if issubclass(cls, enum.Enum):
        if not list(cls):
            raise TypeError(f"the enum {cls.__name__} has no members")
        try:
            return _enum(cls)
        except TypeError:
            return checked_by(member_of(cls))
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
        return checked_by(pattern)
    if cls is type:
        return checked_by(subclass_of(Any), info=True)
    if issubclass(cls, Secret):
        return hooked({"kind": cls._kind}, "wrap", cls._take)
    if issubclass(cls, TEXTUAL):
        return checked_by(made_of_text(cls))
    if cls.__dict__.get("__ottava_base__"):
        return hooked({"kind": "any"}, "instance", cls)
    if cls in (complex, range, slice):
        return hooked({"kind": "any"}, "instance", cls)
    if context.config.get("arbitrary_types_allowed"):
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
        return hooked(checked_by(member_of(cls)), "exact", cls)
    return description


def _record_class(cls: Any, context: Context) -> Description:
    """Dataclasses, named tuples and typed dictionaries."""
    from ottava import _config

    own = getattr(cls, "__pydantic_config__", None) or getattr(cls, "__ottava_config__", None)
    config = _config.inherited(context.config) if own is None else _config.checked(own)
    context = context.within(context.typevars, config)
    if "__ottava_records__" not in cls.__dict__:
        # With the class, so that both are freed together.
        cls.__ottava_records__ = []
    records = cls.__ottava_records__
    for typevars, known, record in records:
        if typevars == context.typevars and known == config:
            return {"kind": "ref", "spec": record}
    record = {}
    records.append((context.typevars, config, record))
    try:
        _fill_record(record, cls, config, context, own is not None)
    except BaseException:
        records[:] = [entry for entry in records if entry[2] is not record]
        raise
    description: Description = {"kind": "ref", "spec": record}
    return description


def _fill_record(record: Description, cls: Any, config: dict[str, Any], context: Context, own: bool) -> None:
    from ottava import _config

    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise NameError(f"{cls.__name__}: {error}") from None
    record.update(
        name=cls.__name__,
        module=cls.__module__,
        cls=None if _is_typed_dict(cls) else cls,
        how="dict",
        config={
            key: config[key]
            for key in ("strict", "extra", "populate_by_name")
            if config.get(key) is not None
        },
        docs={},
        fields=[],
    )
    fields: list[Description] = record["fields"]
    if _is_typed_dict(cls):
        required = cls.__required_keys__
        for name, hint in hints.items():
            # In annotations that are text, the class itself has not seen what says so.
            said = {"Required": True, "NotRequired": False}.get(getattr(typing.get_origin(hint), "_name", ""), name in required)
            default: tuple[Any, ...] = ("required",) if said else ("absent",)
            fields.append(field(name, hint, FieldInfo(), default, context))
    elif dataclasses.is_dataclass(cls):
        for item in cls.__dataclass_fields__.values():
            # Of the constructor's arguments, some are no fields of the instance.
            hint = hints[item.name]
            if isinstance(hint, dataclasses.InitVar):
                hint = hint.type
            elif typing.get_origin(hint) is typing.ClassVar or hint is typing.ClassVar:
                continue
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
            fields.append(field(item.name, hint, info, default, context))
        record["form"] = "dataclass"
        make = cls
        if config.get("extra") == "allow":
            if own:
                make = _with_extras(cls, frozenset(made["name"] for made in fields))
            else:
                record["config"]["extra"] = "ignore"
        record["hooks"] = [("construct", make, False, None)]
    else:
        for name in cls._fields:
            default = ("value", cls._field_defaults[name]) if name in cls._field_defaults else ("required",)
            fields.append(field(name, hints.get(name, Any), FieldInfo(), default, context))
        record["form"] = "named tuple"
        record["config"]["extra"] = "forbid"
        record["hooks"] = [("construct", cls, False, None)]
    for made in fields:
        made["type"] = _config.configured(made["type"], config)


def _with_extras(cls: Any, names: frozenset[str]) -> Any:
    def make(**given: Any) -> Any:
        made = cls(**{name: value for name, value in given.items() if name in names})
        for name, value in given.items():
            if name not in names:
                object.__setattr__(made, name, value)
        return made

    return make


def field(name: str, hint: Any, info: FieldInfo, default: tuple[Any, ...], context: Context) -> Description:
    """The description of one field of a record."""
    description = apply(_base(hint, info.metadata, context), info, context)
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
