"""How model classes are made: their fields collected, their slots laid out, their declaration compiled."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict, TypeVar

from ottava import _annotations as notation
from ottava import _decorators as decorators
from ottava import _native
from ottava import config as settings
from ottava._dump import Dump
from ottava._fields import Field, FieldInfo, PrivateAttr, PrivateInfo, Undefined

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_):
        return lambda cls: cls


__all__ = ["EXTRA", "ConfigDict", "ModelMeta", "has_slot", "rebuild", "set_checked", "specialize"]


class ConfigDict(TypedDict, total=False):
    """Configuration of a model class: `model_config = ConfigDict(...)`, or keywords of the class statement."""

    strict: bool
    """Values must have the declared type already; nothing converts."""
    extra: Literal["ignore", "allow", "forbid"]
    """What happens to keys that are no fields. Default: `"ignore"`."""
    frozen: bool
    """Instances cannot be changed, and can be hashed."""
    populate_by_name: bool
    """A field with an alias is found under its name, too."""
    validate_by_name: bool
    """The same as `populate_by_name`."""
    from_attributes: bool
    """Fields may be read from the attributes of an object."""
    validate_assignment: bool
    """Setting a field checks the value."""
    validate_default: bool
    """Defaults are checked, when the class is made."""
    arbitrary_types_allowed: bool
    """Fields may have types that are only checked with `isinstance`."""
    str_strip_whitespace: bool
    """White space is removed from both ends of all text."""
    str_to_lower: bool
    """All text is lowered."""
    str_to_upper: bool
    """All text is raised."""
    str_min_length: int
    """Fewest characters of all text."""
    str_max_length: int
    """Most characters of all text."""
    allow_inf_nan: bool
    """`True`: JSON text may have `NaN` and `Infinity`, too. `False`: numbers are finite. Default: as Python objects, not as text."""
    use_enum_values: bool
    """Enum fields hold the value of the member."""
    alias_generator: Callable[[str], str]
    """Makes the aliases of fields that have none."""
    title: str
    """Title in the JSON Schema."""
    json_schema_extra: dict[str, Any]
    """Added to the JSON Schema."""


EXTRA = "__ottava_extra__"
_GIVEN = "__ottava_given__"
_TEXT_RULES = (
    ("str_strip_whitespace", "strip_whitespace"),
    ("str_to_lower", "to_lower"),
    ("str_to_upper", "to_upper"),
    ("str_min_length", "min_length"),
    ("str_max_length", "max_length"),
)


@dataclass_transform(kw_only_default=True, field_specifiers=(Field, PrivateAttr))
class ModelMeta(_native.ModelMeta):
    """The metaclass of models: collects the fields, lays out the slots, has the declaration compiled."""

    if TYPE_CHECKING:
        __ottava_fields__: dict[str, FieldInfo]
        __ottava_private__: dict[str, PrivateInfo]
        __ottava_record__: dict[str, Any]
        __ottava_dump__: Dump
        __ottava_marked__: dict[str, Any]
        model_config: ConfigDict

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any
    ) -> Any:  # the class, which type checkers know
        parents = [base for base in bases if isinstance(base, ModelMeta)]
        if not parents:
            namespace["__slots__"] = ()
            cls = super().__new__(mcs, name, bases, namespace)
            _native.lay_out(cls, [], [], None, None, True, False, False)
            cls.__ottava_fields__ = {}
            cls.__ottava_private__ = {}
            cls.model_config = ConfigDict()
            cls.__ottava_marked__ = {}
            return cls
        return _make_class(mcs, name, bases, parents, namespace, keywords)

    @property
    def __signature__(cls) -> Any:
        from ottava._signature import signature

        return signature(cls)

    @property
    def __schema__(cls) -> _native.Schema:
        """What the records of this model are: to lock, to compare, to make a `TokenStore` of."""
        return _native.Schema.of(cls)

    @property
    def model_fields(cls) -> dict[str, FieldInfo]:
        """The fields by name, in order."""
        return cls.__ottava_fields__

    @property
    def model_computed_fields(cls) -> dict[str, Any]:
        """The computed fields by name."""
        return {
            name: mark for name, mark in cls.__ottava_marked__.items() if isinstance(mark, decorators.Computed)
        }

    @property
    def __pydantic_complete__(cls) -> bool:
        return _native.plan_of(cls) is not None

    def __dir__(cls) -> list[str]:
        return [*super().__dir__(), "model_fields", "model_computed_fields"]


def _make_class(
    mcs: type[ModelMeta],
    name: str,
    bases: tuple[type, ...],
    parents: list[ModelMeta],
    namespace: dict[str, Any],
    keywords: dict[str, Any],
) -> Any:
    config = _config(parents, namespace, keywords)
    own, private = _own_fields(name, namespace, parents)
    fields: dict[str, FieldInfo] = {}
    privates: dict[str, PrivateInfo] = {}
    marked: dict[str, Any] = {}
    for parent in reversed(parents):
        fields.update({key: info.copy() for key, info in parent.__ottava_fields__.items()})
        privates.update(parent.__ottava_private__)
        marked.update(parent.__ottava_marked__)
    marked = {key: mark for key, mark in marked.items() if key not in namespace}
    fields.update(own)
    privates.update(private)
    for key, value in list(namespace.items()):
        if isinstance(value, decorators._Marked):
            value.name = value.name and key
            marked[key] = value
            namespace[key] = value.plain
    native = namespace.get("__ottava_native__", namespace.get("__satya_native__"))
    if native is None:
        # The base of all has no fields, and is native whenever it is loaded.
        wanted = settings.native_mode or not parents
        native = wanted and all(getattr(parent, "__ottava_native__", True) for parent in parents)
    namespace["__ottava_native__"] = native
    slots, has_dict = _slots(namespace, bases, native, own, private, config, len(fields), fields)
    namespace["__slots__"] = tuple(slots)
    if "__eq__" in namespace and "__hash__" not in namespace:
        namespace["__hash__"] = None
    elif config.get("frozen") and "__hash__" not in namespace and "__eq__" not in namespace:
        namespace["__hash__"] = _hash
    if "__setattr__" not in namespace:
        guard = _setter(config, fields)
        if guard is not None:
            namespace["__setattr__"] = guard
            namespace.setdefault("__delattr__", _delattr)
    if EXTRA in slots:
        namespace.setdefault("__getattr__", _extra_getattr)
    namespace["__match_args__"] = namespace.get("__match_args__", tuple(k for k, f in fields.items() if f.init))
    namespace.pop("model_config", None)
    namespace.pop("Config", None)
    record: dict[str, Any] = {}
    namespace["__ottava_record__"] = record
    try:
        cls: Any = _native.ModelMeta.__new__(mcs, name, bases, namespace)
    except TypeError as error:
        if "lay-out conflict" in str(error) or "layout conflict" in str(error):
            raise TypeError(
                f"{name}: several bases have slots of their own; set __ottava_native__ = False in all of them but one"
            ) from None
        raise
    cls.__ottava_fields__ = fields
    cls.__ottava_private__ = privates
    cls.__ottava_marked__ = marked
    cls.model_config = config
    _check_names(cls, fields, marked)
    frame = sys._getframe(2)
    local = frame.f_locals if frame.f_locals is not frame.f_globals else {}
    try:
        ready = _describe(cls, {**local, name: cls})
    except NameError:
        ready = False  # Until `model_rebuild`, or the first use.
    hidden = [slot for slot in (*privates, *_other_slots(cls, fields)) if has_slot(cls, slot)]
    cls.__ottava_dump__ = dump = Dump(cls)
    _native.lay_out(
        cls,
        list(fields),
        hidden,
        EXTRA if has_slot(cls, EXTRA) else None,
        _GIVEN if len(fields) > 64 else None,
        bool(record.get("acyclic")) and not has_dict,
        ready and dump.is_plain and config.get("extra") != "allow",
        cls.__setattr__ is _native.ModelBase._ottava_set and not any(info.frozen for info in fields.values()),
    )
    if ready:
        _complete(cls)
    else:
        cls.__ottava_local__ = dict(local)
    return cls


def _config(parents: list[ModelMeta], namespace: dict[str, Any], keywords: dict[str, Any]) -> ConfigDict:
    config: dict[str, Any] = {}
    for parent in reversed(parents):
        config.update(parent.model_config)
    older = namespace.get("Config")
    if isinstance(older, type):
        config.update({key: value for key, value in vars(older).items() if not key.startswith("_")})
    config.update(namespace.get("model_config", {}))
    for key in list(keywords):
        config[key] = keywords.pop(key)
    if config.get("orm_mode"):
        config["from_attributes"] = True
    if config.get("validate_by_name") or config.get("allow_population_by_field_name"):
        config["populate_by_name"] = True
    if config.get("extra") not in (None, "ignore", "allow", "forbid"):
        raise TypeError(f"extra must be 'ignore', 'allow' or 'forbid', not {config['extra']!r}")
    return typing.cast(ConfigDict, config)


def _own_fields(
    name: str, namespace: dict[str, Any], parents: list[ModelMeta]
) -> tuple[dict[str, FieldInfo], dict[str, PrivateInfo]]:
    """Takes the fields and the private attributes out of a class body."""
    fields: dict[str, FieldInfo] = {}
    private: dict[str, PrivateInfo] = {}
    notes: dict[str, Any] = namespace.get("__annotations__", {})
    if not notes and "__annotate_func__" in namespace:  # CPython 3.14
        import annotationlib  # type: ignore[import-not-found,unused-ignore]

        notes = annotationlib.call_annotate_function(
            namespace["__annotate_func__"], annotationlib.Format.FORWARDREF
        )
    for key, value in list(namespace.items()):
        if isinstance(value, FieldInfo) and key not in notes:
            if value.annotation is Undefined:
                raise TypeError(f"{name}.{key}: a field needs an annotation")
            notes = {**notes, key: value.annotation}
        elif isinstance(value, PrivateInfo) and key not in notes:
            if not key.startswith("_"):
                raise TypeError(f"{name}.{key}: the name of a private attribute begins with an underscore")
            private[key] = namespace.pop(key)
    for key, note in notes.items():
        if key == "model_config" or (key.startswith("__") and key.endswith("__")) or _is_class_var(note):
            continue
        value = namespace.get(key, Undefined)
        if isinstance(value, (property, classmethod, staticmethod, decorators._Marked)):
            raise TypeError(f"{name}.{key}: a field and a method have the same name")
        if key.startswith("_"):
            namespace.pop(key, None)
            private[key] = value if isinstance(value, PrivateInfo) else PrivateInfo(value, None)
            continue
        namespace.pop(key, None)
        if isinstance(value, FieldInfo):
            info = value.copy(annotation=note)
        elif type(value).__name__ == "member_descriptor":
            info = FieldInfo(annotation=note)
        else:
            info = FieldInfo(annotation=note, default=value)
        fields[key] = info
    for parent in parents:
        for key in parent.__ottava_fields__:
            if key in namespace and key not in fields and not callable(namespace[key]):
                raise TypeError(f"{name}.{key}: a field of a base class needs an annotation to be changed")
    return fields, private


def _is_class_var(note: Any) -> bool:
    if isinstance(note, str):
        return note.split("[")[0].strip() in ("ClassVar", "typing.ClassVar", "t.ClassVar")
    return note is ClassVar or typing.get_origin(note) is ClassVar


def has_slot(cls: type, name: str) -> bool:
    return any(type(base.__dict__.get(name)).__name__ == "member_descriptor" for base in cls.__mro__)


def _other_slots(cls: type, fields: dict[str, FieldInfo]) -> list[str]:
    """Slots of a class and its bases that are no fields."""
    found: list[str] = []
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot not in ("__dict__", "__weakref__") and slot not in fields and slot not in found:
                found.append(slot)
    return [slot for slot in found if slot not in getattr(cls, "__ottava_private__", {})]


def _slots(
    namespace: dict[str, Any],
    bases: tuple[type, ...],
    native: bool,
    own: dict[str, FieldInfo],
    private: dict[str, PrivateInfo],
    config: ConfigDict,
    count: int,
    fields: dict[str, FieldInfo],
) -> tuple[list[str], bool]:
    """The slots of a new class, and whether its instances have a dictionary."""

    def inherited(slot: str) -> bool:
        return any(has_slot(base, slot) for base in bases)

    given = namespace.get("__slots__", ())
    slots = [given] if isinstance(given, str) else list(given)
    has_dict = any(getattr(base, "__dictoffset__", 0) != 0 for base in bases) or "__dict__" in slots
    if native:
        slots += [key for key in own if not inherited(key)]
        if config.get("extra") == "allow" and not inherited(EXTRA) and not has_dict:
            slots.append(EXTRA)
    elif not has_dict:
        slots.append("__dict__")
        has_dict = True
        if not any(getattr(base, "__weakrefoffset__", 0) != 0 for base in bases) and "__weakref__" not in slots:
            slots.append("__weakref__")
    slots += [key for key in private if not inherited(key)]
    if count > 64 and not inherited(_GIVEN):
        slots.append(_GIVEN)
    return slots, has_dict


def _check_names(cls: Any, fields: dict[str, FieldInfo], marked: dict[str, Any]) -> None:
    for mark in marked.values():
        if not isinstance(mark, decorators.FieldValidator):
            continue
        unknown = [name for name in mark.fields if name != "*" and name not in fields]
        if unknown and mark.name and mark.name in cls.__dict__:
            raise TypeError(f"{cls.__name__}.{mark.name}: no field called {unknown[0]!r} (check_fields=False allows it)")


def _describe(cls: Any, local: dict[str, Any]) -> bool:
    """Fills the description of a class; `False` if a class that it refers to has none yet. `NameError` for a name that is not known."""
    config = cls.model_config
    context = notation.Context(
        arbitrary=bool(config.get("arbitrary_types_allowed")), typevars=cls.__dict__.get("__ottava_typevars__")
    )
    described: list[dict[str, Any]] = []
    for name, info in cls.__ottava_fields__.items():
        home = next((base for base in cls.__mro__ if name in base.__dict__.get("__annotations__", ())), cls)
        names = {**getattr(home, "__ottava_local__", {}), **local, home.__name__: home}
        try:
            hint = notation.evaluate(info.annotation, home.__module__, names)
            info.annotation = hint
            inner, info_now = _field_info(hint, info)
            cls.__ottava_fields__[name] = info_now
            described.append(_describe_field(cls, name, inner, info_now, context))
        except TypeError as error:
            raise TypeError(f"{cls.__name__}.{name}: {error}") from None
    incomplete = [other for other in context.classes if other is not cls and not other.__ottava_record__]
    record = cls.__ottava_record__
    docs = {"title": config.get("title"), "description": _doc(cls), "keywords": config.get("json_schema_extra")}
    record.update(
        name=cls.__name__,
        module=cls.__module__,
        cls=cls,
        how="model",
        config={
            key: config[key]
            for key in ("strict", "extra", "populate_by_name", "from_attributes")
            if config.get(key) is not None
        },
        docs={key: value for key, value in docs.items() if value},
        fields=described,
        privates=[
            (name, ("factory", private.default_factory, False) if private.default_factory else ("value", private.default))
            for name, private in cls.__ottava_private__.items()
            if private.default is not Undefined or private.default_factory is not None
        ],
        hooks=_record_hooks(cls),
        refs=context.classes,
    )
    leaf = all(notation.is_acyclic(field["type"]) for field in described)
    record["acyclic"] = leaf and not cls.__ottava_private__ and not record["hooks"] and cls.__ottava_native__
    return not incomplete


def _field_info(hint: Any, info: FieldInfo) -> tuple[Any, FieldInfo]:
    """The type inside `Annotated`, and the field with what the `Field`s in there say. The outer one wins."""
    if typing.get_origin(hint) is not typing.Annotated:
        return hint, info
    inner, *extras = typing.get_args(hint)
    merged = FieldInfo(annotation=hint)
    for extra in extras:
        if isinstance(extra, FieldInfo):
            merged = merged.merged(extra)
        else:
            merged.metadata.append(extra)
    return inner, merged.merged(info).copy(annotation=hint, metadata=[*merged.metadata])


def _describe_field(
    cls: Any, name: str, hint: Any, info: FieldInfo, context: notation.Context
) -> dict[str, Any]:
    config = cls.model_config
    default = notation.default_of(info)
    if default[0] == "required" and not info.init:
        raise TypeError("init=False needs a default")
    if config.get("use_enum_values") and default[0] == "value" and hasattr(default[1], "value"):
        default = ("value", default[1].value)
    generator = config.get("alias_generator")
    if generator is not None and info.alias is None:
        info.alias = getattr(generator, "alias", generator)(name)
    described: dict[str, Any] = notation.field(name, hint, info, default, context)
    rules = {rule: config[key] for key, rule in _TEXT_RULES if config.get(key)}
    kind = described["type"]
    if rules:
        kind = _ruled(kind, ("str",), rules)
    if config.get("allow_inf_nan") is not None:
        kind = _ruled(kind, ("float", "decimal"), {"allow_inf_nan": config["allow_inf_nan"]})
    if config.get("use_enum_values"):
        kind = _enum_values(kind)
    for mark in cls.__ottava_marked__.values():
        if isinstance(mark, decorators.FieldValidator) and (name in mark.fields or "*" in mark.fields):
            if kind.get("nullable"):
                # Validators of the field see null, too.
                kind = {"kind": "union", "members": [kind]}
            kind = notation.hooked(kind, mark.mode, mark.bound(cls), name)
    described["type"] = kind
    if not info.init:
        # No key of the input is the field's.
        described["alias"] = f"\0{name}"
    if info.validate_default or (info.validate_default is None and config.get("validate_default")):
        described["default"] = _checked_default(cls, name, described)
    return described


def _checked_default(cls: Any, name: str, described: dict[str, Any]) -> tuple[Any, ...]:
    default: tuple[Any, ...] = described["default"]
    if default[0] == "value":
        return ("value", _native.Plan(f"{cls.__name__}.{name}", described["type"]).validate(default[1]))
    if default[0] == "factory":
        plan = _native.Plan(f"{cls.__name__}.{name}", described["type"])
        factory, takes_data = default[1], default[2]
        if takes_data:
            return ("factory", lambda data: plan.validate(factory(data)), True)
        return ("factory", lambda: plan.validate(factory()), False)
    return default


def _ruled(description: dict[str, Any], kinds: tuple[str, ...], rules: dict[str, Any]) -> dict[str, Any]:
    """The description with rules for all parts of these kinds; those that a part has already count for more."""
    if description["kind"] in kinds:
        return {**description, "rules": {**rules, **description.get("rules", {})}}
    made = dict(description)
    for key in ("item", "key", "value", "rest"):
        if isinstance(made.get(key), dict):
            made[key] = _ruled(made[key], kinds, rules)
    for key in ("items", "members"):
        if key in made and made["kind"] != "enum":
            made[key] = [_ruled(part, kinds, rules) for part in made[key]]
    return made


def _enum_values(description: dict[str, Any]) -> dict[str, Any]:
    if description["kind"] == "enum":
        made: dict[str, Any] = notation.hooked(description, "after", lambda member: member.value)
        return made
    made = dict(description)
    for key in ("item", "key", "value", "rest"):
        if isinstance(made.get(key), dict):
            made[key] = _enum_values(made[key])
    for key in ("items", "members"):
        if key in made:
            made[key] = [_enum_values(part) for part in made[key]]
    return made


def _record_hooks(cls: Any) -> list[tuple[str, Any, bool, None]]:
    """The validators around a record, outermost first."""
    before: list[tuple[str, Any, bool, None]] = []
    wrap: list[tuple[str, Any, bool, None]] = []
    after: list[tuple[str, Any, bool, None]] = []
    for mark in cls.__ottava_marked__.values():
        if not isinstance(mark, decorators.ModelValidator):
            continue
        function = mark.bound(cls)
        if mark.mode == "before":
            before.insert(0, ("before", function, notation.takes_info(function, 1), None))
        elif mark.mode == "wrap":
            wrap.insert(0, ("wrap", function, notation.takes_info(function, 2), None))
        else:
            after.insert(0, ("model", function, notation.takes_info(function, 1), None))
    init: list[tuple[str, Any, bool, None]] = []
    if cls.__init__ is not _native.ModelBase.__init__ or cls.__new__ is not _native.ModelBase.__new__:
        init = [("init", cls, False, None)]
    post = cls.model_post_init
    post_init: list[tuple[str, Any, bool, None]] = []
    if not getattr(post, "__ottava_default__", False):
        post_init = [("post_init", post, False, None)]
    return [*init, *after, *wrap, *before, *post_init]


def _doc(cls: type) -> str | None:
    doc = cls.__dict__.get("__doc__")
    if not doc:
        return None
    return inspect.cleandoc(doc)


def _complete(cls: Any) -> None:
    _native.complete(cls, cls.__name__, {"kind": "ref", "spec": cls.__ottava_record__})


def _setter(config: ConfigDict, fields: dict[str, FieldInfo]) -> Any:
    if config.get("frozen"):
        return _frozen_setattr
    if config.get("validate_assignment"):
        return _native.ModelBase._ottava_set
    if any(info.frozen for info in fields.values()):
        return _partly_frozen_setattr
    if config.get("extra") == "allow":
        return _extra_setattr
    return None


def _frozen_setattr(self: Any, name: str, value: Any) -> None:
    if name in type(self).__ottava_private__:
        object.__setattr__(self, name, value)
        return
    raise _native.frozen_error(type(self).__name__, name, value, True)


def _partly_frozen_setattr(self: Any, name: str, value: Any) -> None:
    info = type(self).__ottava_fields__.get(name)
    if info is not None and info.frozen:
        raise _native.frozen_error(type(self).__name__, name, value, False)
    _extra_setattr(self, name, value)


def set_checked(self: Any, name: str, value: Any) -> None:
    info = type(self).__ottava_fields__.get(name)
    if info is None:
        _extra_setattr(self, name, value)
        return
    if info.frozen:
        raise _native.frozen_error(type(self).__name__, name, value, False)
    _native.assign(self, name, value)


def _extra_getattr(self: Any, name: str) -> Any:
    if name != EXTRA:
        extra = getattr(self, EXTRA, None)
        if extra and name in extra:
            return extra[name]
    raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _extra_setattr(self: Any, name: str, value: Any) -> None:
    cls = type(self)
    if (
        cls.model_config.get("extra") == "allow"
        and name not in cls.__ottava_fields__
        and not name.startswith("_")
        and has_slot(cls, EXTRA)
    ):
        extra = getattr(self, EXTRA, None)
        if extra is None:
            extra = {}
            object.__setattr__(self, EXTRA, extra)
        extra[name] = value
        return
    object.__setattr__(self, name, value)


def _delattr(self: Any, name: str) -> None:
    cls = type(self)
    info = cls.__ottava_fields__.get(name)
    if cls.model_config.get("frozen") or (info is not None and info.frozen):
        raise _native.frozen_error(cls.__name__, name, None, bool(cls.model_config.get("frozen")))
    object.__delattr__(self, name)


def _hash(self: Any) -> int:
    return hash((type(self), *(getattr(self, name) for name in type(self).__ottava_fields__)))


_SPECIALIZED: dict[tuple[Any, Any], Any] = {}


def specialize(cls: Any, parameters: Any) -> Any:
    """`Page[int]`: a subclass whose type variables are replaced."""
    given = parameters if isinstance(parameters, tuple) else (parameters,)
    variables = cls.__dict__.get("__parameters__") or getattr(cls, "__parameters__", ())
    if not variables:
        raise TypeError(f"{cls.__name__} is not generic")
    if len(given) != len(variables):
        raise TypeError(f"{cls.__name__} takes {len(variables)} type arguments, not {len(given)}")
    try:
        known = _SPECIALIZED.get((cls, given))
    except TypeError:
        known = None
    if known is not None:
        return known
    replaced = dict(zip(variables, given))
    outer = cls.__dict__.get("__ottava_typevars__", {})
    typevars = {**{key: replaced.get(value, value) for key, value in outer.items()}, **replaced}
    names = ", ".join(getattr(one, "__name__", None) or repr(one) for one in given)
    left = tuple(dict.fromkeys(one for one in given if isinstance(one, TypeVar)))
    made = type(cls)(
        f"{cls.__name__}[{names}]",
        (cls,),
        {
            "__module__": cls.__module__,
            "__doc__": cls.__doc__,
            "__ottava_typevars__": typevars,
            "__parameters__": left,
            "__slots__": (),
        },
    )
    try:
        _SPECIALIZED[cls, given] = made
    except TypeError:
        pass
    return made


def rebuild(cls: Any, local: dict[str, Any], raise_errors: bool) -> bool:
    """Describes a class and all that its fields refer to, then compiles it."""
    names = dict(local)
    seen: list[Any] = [cls]
    unresolved: list[str] = []
    for one in seen:
        names = {**one.__dict__.get("__ottava_local__", {}), **names, one.__name__: one}
        if one is cls or not one.__ottava_record__:
            try:
                _describe(one, names)
            except NameError as error:
                unresolved.append(f"in the annotations of {one.__name__}, {error}")
                continue
        seen.extend(other for other in one.__ottava_record__["refs"] if other not in seen)
    if unresolved:
        if raise_errors:
            raise TypeError(f"{cls.__name__} is not complete: {unresolved[0]}; define it, then call model_rebuild()")
        return False
    _complete(cls)
    return True
