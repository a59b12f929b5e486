"""How model classes are made: their fields collected, their slots laid out, their declaration compiled."""

from __future__ import annotations

import abc
import copyreg
import inspect
import sys
import typing
from typing import TYPE_CHECKING, Any, ClassVar

from ottava import _annotations as notation
from ottava import _config, _native
from ottava import _decorators as decorators
from ottava import config as settings
from ottava._assignment import DELETED, EXTRA, delete, extra_getattr, has_slot, setter
from ottava._config import ConfigDict
from ottava._dump import Dump
from ottava._fields import Field, FieldInfo, PrivateAttr, PrivateInfo, Undefined
from ottava._generics import reduced, remember, typevars
from ottava._shapes import declared, is_acyclic

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_):
        return lambda cls: cls


__all__ = ["ModelMeta", "rebuild"]


_GIVEN = "__ottava_given__"

@dataclass_transform(kw_only_default=True, field_specifiers=(Field, PrivateAttr))
class ModelMeta(_native.ModelMeta, abc.ABCMeta):
    """The metaclass of models: collects the fields, lays out the slots, has the declaration compiled."""

    if TYPE_CHECKING:
        __ottava_fields__: dict[str, FieldInfo]
        __ottava_private__: dict[str, PrivateInfo]
        __ottava_record__: dict[str, Any]
        __ottava_dump__: Dump
        __ottava_marked__: dict[str, Any]
        __ottava_base__: bool
        model_config: ConfigDict

    # Of a model a virtual subclass would be of no use, and `isinstance` is what it is for plain classes.
    __instancecheck__ = type.__instancecheck__
    __subclasscheck__ = type.__subclasscheck__

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any
    ) -> Any:  # the class, which type checkers know
        parents = [base for base in bases if isinstance(base, ModelMeta)]
        if not parents:
            namespace["__slots__"] = ()
            cls = super().__new__(mcs, name, bases, namespace)
            _native.lay_out(cls, [], [], None, None, None, True, False, False, [])
            cls.__ottava_fields__ = {}
            cls.__ottava_private__ = {}
            cls.model_config = ConfigDict()
            cls.__ottava_marked__ = {}
            cls.__ottava_base__ = True
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


copyreg.pickle(ModelMeta, reduced)


def _make_class(
    mcs: type[ModelMeta],
    name: str,
    bases: tuple[type, ...],
    parents: list[ModelMeta],
    namespace: dict[str, Any],
    keywords: dict[str, Any],
) -> Any:
    config = _config_of(name, parents, namespace, keywords)
    own, private = _own_fields(name, namespace, bases, parents)
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
        guard = setter(config, fields)
        if guard is not None:
            namespace["__setattr__"] = guard
            namespace.setdefault("__delattr__", delete)
    if EXTRA in slots:
        namespace.setdefault("__getattr__", extra_getattr)
    namespace["__match_args__"] = namespace.get("__match_args__", tuple(k for k, f in fields.items() if f.init))
    namespace.setdefault("__ottava_origin__", None)
    namespace.pop("model_config", None)
    namespace.pop("Config", None)
    record: dict[str, Any] = {}
    namespace["__ottava_record__"] = record
    try:
        cls: Any = type.__new__(mcs, name, bases, namespace, **keywords)
    except TypeError as error:
        if "lay-out conflict" in str(error) or "layout conflict" in str(error):
            raise TypeError(
                f"{name}: several bases have slots of their own; set __ottava_native__ = False in all of them but one"
            ) from None
        raise
    abstract = [key for key, value in namespace.items() if getattr(value, "__isabstractmethod__", False)]
    for base in bases:
        for key in getattr(base, "__abstractmethods__", ()):
            if getattr(getattr(cls, key, None), "__isabstractmethod__", False):
                abstract.append(key)
    if abstract:
        cls.__abstractmethods__ = frozenset(abstract)
    cls.__ottava_fields__ = fields
    cls.__ottava_private__ = privates
    cls.__ottava_marked__ = marked
    cls.model_config = config
    if cls.__ottava_origin__ is not None:
        # Known before its fields are looked at, because they may refer to it.
        remember(cls)
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
        DELETED if has_slot(cls, DELETED) else None,
        _GIVEN if len(fields) > 64 else None,
        bool(record.get("acyclic")) and not has_dict,
        ready and dump.is_plain and config.get("extra") != "allow",
        cls.__setattr__ is _native.ModelBase._ottava_set
        and not any(info.frozen for info in fields.values())
        and not any(isinstance(mark, decorators.ModelValidator) for mark in marked.values()),
        [declared(made["type"]) for made in record["fields"]] if ready else [None] * len(fields),
    )
    if ready:
        _complete(cls)
    else:
        cls.__ottava_local__ = dict(local)
    super(cls, cls).__pydantic_init_subclass__(**keywords)
    return cls


def _config_of(
    name: str, parents: list[ModelMeta], namespace: dict[str, Any], keywords: dict[str, Any]
) -> ConfigDict:
    """The configuration of a new class; takes the options out of the keywords."""
    config: dict[str, Any] = {}
    for parent in reversed(parents):
        config.update(parent.model_config)
    older = namespace.get("Config")
    if isinstance(older, type):
        config.update({key: value for key, value in vars(older).items() if not key.startswith("_")})
    config.update(namespace.get("model_config", {}))
    for key in list(keywords):
        if _config.is_option(key):
            config[key] = keywords.pop(key)
    try:
        return typing.cast(ConfigDict, _config.checked(config))
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None


def _own_fields(
    name: str, namespace: dict[str, Any], bases: tuple[type, ...], parents: list[ModelMeta]
) -> tuple[dict[str, FieldInfo], dict[str, PrivateInfo]]:
    """Takes the fields and the private attributes out of a class body."""
    fields = _mixed_in(bases, parents)
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
        if key == "__pydantic_extra__":
            raise TypeError(f"{name}: extra values are not checked, so __pydantic_extra__ has no type")
        if key == "model_config" or (key.startswith("__") and key.endswith("__")) or _is_class_var(note):
            continue
        value = namespace.get(key, Undefined)
        if value is not Undefined and not isinstance(value, FieldInfo) and _is_final(note):
            continue  # a constant of the class
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
    for key in fields:
        if key.startswith("model_") and any(hasattr(p, key) and key not in p.__ottava_fields__ for p in parents):
            raise TypeError(f"{name}.{key}: every model has that, so no field can be called so")
    for key, value in namespace.items():
        if key not in notes and not key.startswith("_") and _is_forgotten(name, value, namespace):
            if key not in ("Config", "model_config") and not any(hasattr(base, key) for base in bases):
                raise TypeError(f"{name}.{key}: a field needs an annotation; what is none is annotated as a ClassVar")
    for parent in parents:
        for key in parent.__ottava_fields__:
            if key in namespace and key not in fields and not callable(namespace[key]):
                raise TypeError(f"{name}.{key}: a field of a base class needs an annotation to be changed")
    return fields, private


def _is_forgotten(name: str, value: Any, namespace: dict[str, Any]) -> bool:
    """Whether what stands in a class body without an annotation looks like a field: it is no method, no class of its own."""
    if hasattr(type(value), "__get__") or type(value).__module__ == "functools" or isinstance(value, decorators._Marked):
        return False
    if isinstance(value, type):
        inside = f"{namespace.get('__qualname__', name)}.{value.__name__}"
        return value.__qualname__ != inside or value.__module__ != namespace.get("__module__")
    return not callable(value)


def _mixed_in(bases: tuple[type, ...], parents: list[ModelMeta]) -> dict[str, FieldInfo]:
    """The fields that bases which are no models annotate."""
    found: dict[str, FieldInfo] = {}
    for base in reversed(bases):
        if isinstance(base, ModelMeta) or base is typing.Generic:
            continue
        for one in reversed(base.__mro__):
            for key, note in one.__dict__.get("__annotations__", {}).items():
                if key.startswith("_") or _is_class_var(note) or any(key in p.__ottava_fields__ for p in parents):
                    continue
                value = one.__dict__.get(key, Undefined)
                if isinstance(value, FieldInfo):
                    found[key] = value.copy(annotation=note)
                else:
                    found[key] = FieldInfo(annotation=note, default=value)
    return found


def _is_final(note: Any) -> bool:
    if isinstance(note, str):
        return note.split("[")[0].strip() in ("Final", "typing.Final", "t.Final")
    return note is typing.Final or typing.get_origin(note) is typing.Final


def _is_class_var(note: Any) -> bool:
    if isinstance(note, str):
        return note.split("[")[0].strip() in ("ClassVar", "typing.ClassVar", "t.ClassVar")
    return note is ClassVar or typing.get_origin(note) is ClassVar


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
            slots += [EXTRA, DELETED]
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
    context = notation.Context(config)
    described: list[dict[str, Any]] = []
    for name, info in cls.__ottava_fields__.items():
        home = next((base for base in cls.__mro__ if name in base.__dict__.get("__annotations__", ())), cls)
        names = {**getattr(home, "__ottava_local__", {}), **local, home.__name__: home}
        context.typevars = typevars(cls, home)
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
    leaf = all(is_acyclic(field["type"]) for field in described)
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
    if info.init and config.get("validate_by_alias") is False:
        if not config.get("populate_by_name"):
            raise TypeError("validate_by_alias=False needs validate_by_name=True")
        info = info.copy(alias=None, validation_alias=None)
    if config.get("use_enum_values") and default[0] == "value" and hasattr(default[1], "value"):
        default = ("value", default[1].value)
    generator = config.get("alias_generator")
    if generator is not None and info.alias is None:
        info.alias = getattr(generator, "alias", generator)(name)
    described: dict[str, Any] = notation.field(name, hint, info, default, context)
    kind = _config.configured(described["type"], config)
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


def _record_hooks(cls: Any) -> list[tuple[str, Any, bool, None]]:
    """The validators around a record, outermost first."""
    before: list[tuple[str, Any, bool, None]] = []
    around: list[tuple[str, Any, bool, None]] = []
    for mark in cls.__ottava_marked__.values():
        if not isinstance(mark, decorators.ModelValidator):
            continue
        function = mark.bound(cls)
        if mark.mode == "before":
            before.insert(0, ("before", function, notation.takes_info(function, 1), None))
        elif mark.mode == "wrap":
            around.insert(0, ("wrap", function, notation.takes_info(function, 2), None))
        else:
            around.insert(0, ("model", function, notation.takes_info(function, 1), None))
    init: list[tuple[str, Any, bool, None]] = []
    if cls.__init__ is not _native.ModelBase.__init__ or cls.__new__ is not _native.ModelBase.__new__:
        init = [("init", cls, False, None)]
    post = cls.model_post_init
    post_init: list[tuple[str, Any, bool, None]] = []
    if not getattr(post, "__ottava_default__", False):
        post_init = [("post_init", post, False, None)]
    return [*init, *around, *before, *post_init]


def _doc(cls: type) -> str | None:
    doc = cls.__dict__.get("__doc__")
    if not doc:
        return None
    return inspect.cleandoc(doc)


def _complete(cls: Any) -> None:
    _native.complete(cls, cls.__name__, {"kind": "ref", "spec": cls.__ottava_record__})


def _hash(self: Any) -> int:
    cls = type(self)
    fields = cls.__ottava_fields__
    # Of a generic class, instances with and without arguments may be equal.
    origin = cls.__ottava_origin__ or cls
    try:
        return hash((origin, *(getattr(self, name) for name in fields)))
    except AttributeError:
        return hash((origin, *((name, getattr(self, name)) for name in fields if hasattr(self, name))))


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
    cls.__ottava_dump__.__dict__.pop("shapes", None)
    _complete(cls)
    return True
