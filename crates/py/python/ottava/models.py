"""Models: classes whose instances are checked when they are made, natively and without a dictionary in between.

    >>> from ottava import Field, Model
    >>> class User(Model):
    ...     id: int = Field(gt=0)
    ...     name: str = Field(min_length=1)
    >>> User(id="7", name="Ada")
    User(id=7, name='Ada')
    >>> User.model_validate_json(b'{"id": 0, "name": ""}')
    Traceback (most recent call last):
    ottava.errors.ValidationError: 2 errors in User
      id: Input should be greater than 0 [greater_than, got 0]
      name: String should have at least 1 character [string_too_short, got '']
"""

from __future__ import annotations

import copy
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from ottava import _native
from ottava._assignment import EXTRA, has_slot, set_checked
from ottava._classes import ModelMeta, rebuild
from ottava._config import ConfigDict
from ottava._dump import Dump, Options, SerializationInfo, to_json_text
from ottava._decorators import (
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
    root_validator,
    validator,
)
from ottava._fields import (
    AfterValidator,
    BeforeValidator,
    Field,
    FieldInfo,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    PrivateInfo,
    Strict,
    WrapSerializer,
    WrapValidator,
)
from ottava._generics import specialize
from ottava._native import ArrowResult, BatchResult
from ottava._standard import PydanticCustomError
from ottava.errors import ValidationError

if TYPE_CHECKING:
    import os

    from typing_extensions import Self

__all__ = [
    "AfterValidator",
    "ArrowResult",
    "BaseModel",
    "BatchResult",
    "BeforeValidator",
    "ConfigDict",
    "Field",
    "FieldInfo",
    "Model",
    "PlainSerializer",
    "PlainValidator",
    "PrivateAttr",
    "PydanticCustomError",
    "SerializationInfo",
    "Strict",
    "ValidationError",
    "ValidationInfo",
    "WrapSerializer",
    "WrapValidator",
    "computed_field",
    "create_model",
    "field_serializer",
    "field_validator",
    "model_serializer",
    "model_validator",
    "root_validator",
    "validator",
]

_Dict: TypeAlias = "dict[str, Any]"
_Memo: TypeAlias = "dict[int, Any]"
OnError: TypeAlias = Literal["raise", "skip", "collect"]


class ValidationInfo:
    """What a validator may want to know beside the value.

    `data` holds the fields that were checked before, `field_name` the field, `context` what the caller gave, `mode` is
    `"python"` or `"json"`.
    """

    __slots__ = ("context", "data", "field_name", "mode")

    def __init__(self, data: dict[str, Any], field_name: str | None, context: Any, mode: str) -> None:
        self.data = data
        self.field_name = field_name
        self.context = context
        self.mode = mode

    def __repr__(self) -> str:
        return f"ValidationInfo(data={self.data!r}, field_name={self.field_name!r}, mode={self.mode!r})"


class Model(_native.ModelBase, metaclass=ModelMeta):
    """The base of models: subclass it and annotate fields.

    Instances have one slot for each field, are checked when they are made, and compare by their fields. Errors are
    `ValidationError`s that name every bad field.
    """

    if TYPE_CHECKING:
        model_config: ClassVar[ConfigDict]
        model_fields: ClassVar[dict[str, FieldInfo]]
        model_computed_fields: ClassVar[dict[str, Any]]
        __ottava_origin__: ClassVar[Any]
        __ottava_fields__: ClassVar[dict[str, FieldInfo]]
        __ottava_private__: ClassVar[dict[str, PrivateInfo]]
        __ottava_record__: ClassVar[dict[str, Any]]
        __ottava_marked__: ClassVar[dict[str, Any]]
        __ottava_native__: ClassVar[bool]
        __ottava_dump__: ClassVar[Dump]
        __match_args__: ClassVar[tuple[str, ...]]

        def __init__(self, **data: Any) -> None: ...

        @classmethod
        def model_validate(
            cls,
            obj: Any,
            *,
            strict: bool | None = None,
            from_attributes: bool | None = None,
            context: Any = None,
        ) -> Self:
            """An instance out of a mapping, an instance, or (with `from_attributes`) any object. Raises `ValidationError`."""

        @classmethod
        def model_validate_json(
            cls, json_data: str | bytes | bytearray, *, strict: bool | None = None, context: Any = None
        ) -> Self:
            """An instance out of JSON text. Raises `ValidationError`."""

        @classmethod
        def model_validate_batch(
            cls,
            rows: Iterable[Any],
            *,
            strict: bool | None = None,
            on_error: OnError = "raise",
            context: Any = None,
        ) -> Any:
            """Instances out of many mappings.

            Args:
                rows: what `model_validate` takes, many of it.
                on_error: `"raise"` one `ValidationError` of all bad rows, `"skip"` them, or `"collect"` what is wrong with them.

            Returns:
                A list of the good instances; with `"collect"` a `BatchResult` with `rows`, `errors()`, `rows_read`, `rows_good`.
            """


        def model_dump(
            self,
            *,
            mode: str = "python",
            include: Any = None,
            exclude: Any = None,
            context: Any = None,
            by_alias: bool | None = None,
            exclude_unset: bool = False,
            exclude_defaults: bool = False,
            exclude_none: bool = False,
            round_trip: bool = False,
            serialize_as_any: bool = False,
            warnings: Any = True,
            fallback: Callable[[Any], Any] | None = None,
        ) -> dict[str, Any]:
            """The fields as a dictionary, nested models as dictionaries.

            A field that holds an instance of a subclass of its declared class is dumped with the fields of the declared class.

            Args:
                mode: `"python"` keeps dates, decimals, sets and their like; `"json"` makes of them what JSON has.
                include, exclude: names of fields, or mappings of names (and indices) to what is chosen inside them.
                by_alias: keys are aliases. Default: as `serialize_by_alias` says, which is no.
                exclude_unset, exclude_defaults, exclude_none: leave out fields that were not given, equal their default, are None.
                round_trip: leave out computed fields.
                serialize_as_any: instances of subclasses are dumped with all their fields.
                context: handed to serializers.
                fallback: makes something of a value that JSON has nothing for.
                warnings: accepted for compatibility.
            """
            ...

        def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
            """The fields as JSON text. Options are those of `model_dump`."""
            ...

        def dict(self, **options: Any) -> _Dict:
            """The older name of `model_dump`."""

        def json(self, **options: Any) -> str:
            """The older name of `model_dump_json`."""

    else:
        # Of instances; that of classes is in the metaclass.
        model_fields = property(lambda self: type(self).__ottava_fields__)
        model_computed_fields = property(lambda self: type(self).model_computed_fields)
        dict = _native.ModelBase.model_dump
        json = _native.ModelBase.model_dump_json
        model_validate_batch = classmethod(_native.model_validate_batch)

    @classmethod
    def to_arrow(
        cls,
        source: Any,
        *,
        threads: int | None = None,
        on_error: OnError = "raise",
        strict: bool | None = None,
        context: Any = None,
    ) -> ArrowResult:
        """NDJSON to Arrow columns: every line is checked, good rows become columns, and no object is made of them.

        Of a model with validators or default factories written in Python each row becomes an instance first, on one thread.

        Args:
            source: NDJSON as bytes, a path, a file descriptor or an object that has one, or an iterable of bytes.
            threads: threads that parse and check. Default: one for each core.
            on_error: `"raise"` one `ValidationError` of all bad rows, `"skip"` them, or `"collect"` their issues in a table.
            strict: overrides for this call what the class says about conversion.
            context: what validators find in `ValidationInfo.context`.

        Returns:
            An `ArrowResult`: `table`, `issues`, `rows_read`, `rows_good`.

        Raises:
            ValidationError: with `on_error="raise"`; the row number comes first in each `loc`.
            OSError: where the source cannot be read.
            TypeError: for a model that has no columns.
        """
        return _native.to_arrow(cls, source, threads, on_error, strict, context)

    @classmethod
    def model_validate_ndjson(
        cls,
        source: Any,
        *,
        threads: int | None = None,
        on_error: OnError = "raise",
        strict: bool | None = None,
        context: Any = None,
    ) -> Any:
        """Instances out of NDJSON. Arguments and errors are those of `to_arrow`.

        Args:
            threads: by default one, if all fields are of kinds that become instances straight from the text, and else one for each core.

        Returns:
            A list of the good instances; with `on_error="collect"` a `BatchResult` with `rows`, `errors()`, `rows_read`, `rows_good`.
        """
        return _native.validate_ndjson(cls, source, threads, on_error, strict, context)

    @classmethod
    def model_json_schema(cls, by_alias: bool = True, *, mode: Literal["validation"] = "validation") -> _Dict:
        """The JSON Schema, draft 2020-12: what JSON must be to be read without conversion.

        Args:
            by_alias: properties are called by their aliases; with `False` by the names of the fields.
            mode: there is a schema of what is read (`"validation"`), none of what dumps hold.

        Returns:
            A dictionary. Validators written in Python have no words in it. As in pydantic a set is an array of unique items, although a
            repeated item is taken; and JSON Schema takes `1.0` for an integer.
        """
        if mode != "validation":
            raise ValueError(f"mode must be 'validation', not {mode!r}")
        return cls.__schema__.json_schema(by_alias=by_alias)

    def model_post_init(self, context: Any, /) -> None:
        """Called with a new instance once it is checked. For subclasses."""

    model_post_init.__ottava_default__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_rebuild(
        cls, *, force: bool = False, raise_errors: bool = True, _types_namespace: Mapping[str, Any] | None = None
    ) -> bool | None:
        """Resolves annotations whose names were not known when the class was made. `None` if there is nothing to do."""
        if not force and _native.plan_of(cls) is not None:
            return None
        frame = sys._getframe(1)
        local = {**frame.f_globals, **frame.f_locals, **(_types_namespace or {})}
        return rebuild(cls, local, raise_errors)

    @classmethod
    def __pydantic_init_subclass__(cls, **keywords: Any) -> None:
        """Called with a new subclass once its fields are known, with the keywords of the class statement that are no options."""

    @classmethod
    def __ottava_complete__(cls) -> None:
        if cls is Model:
            raise TypeError("Model has no fields and no instances: make a class of it")
        rebuild(cls, {}, True)

    def __repr__(self) -> str:
        return _shown(self, f"{type(self).__name__}(", ", ", ")")

    def __str__(self) -> str:
        return _shown(self, "", " ", "")

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        cls = type(self)
        for name, info in cls.__ottava_fields__.items():
            if info.repr and hasattr(self, name):
                yield name, getattr(self, name)
        yield from (self.model_extra or {}).items()
        for name, mark in cls.model_computed_fields.items():
            if mark.repr:
                yield name, getattr(self, name)

    def _ottava_set_slowly(self, name: str, value: Any) -> None:
        set_checked(self, name, value)

    @property
    def model_extra(self) -> _Dict | None:
        """The values under keys that are no fields, where the class keeps them."""
        cls = type(self)
        if cls.model_config.get("extra") != "allow":
            return None
        if has_slot(cls, EXTRA):
            extra: _Dict | None = getattr(self, EXTRA, None)
            if extra is None:
                extra = {}
                object.__setattr__(self, EXTRA, extra)
            return extra
        return {key: value for key, value in vars(self).items() if key not in cls.__ottava_fields__}

    @property
    def model_fields_set(self) -> set[str]:
        """The fields that were given, not filled from their defaults, and the extra values, those that were deleted too."""
        return _native.fields_set(self) | set(self.model_extra or ())

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for name in type(self).__ottava_fields__:
            try:
                value = getattr(self, name)
            except AttributeError:
                continue
            yield name, value
        yield from (self.model_extra or {}).items()

    def __copy__(self) -> Self:
        return self.model_copy()

    def __deepcopy__(self, memo: _Memo | None = None) -> Self:
        memo = {} if memo is None else memo
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        fields, given, others, extra = _native.get_state(self)
        _native.set_state(
            made, copy.deepcopy(fields, memo), given, copy.deepcopy(others, memo), copy.deepcopy(extra, memo)
        )
        _copy_dict(self, made, memo)
        return made

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        own = getattr(self, "__dict__", None)
        fields = type(self).__ottava_fields__
        rest = {key: value for key, value in own.items() if key not in fields} if own else None
        # What it holds may refer to the instance, so that comes when there is one.
        return _blank, (type(self),), (*_native.get_state(self), rest), None, None, _fill

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; `update` sets fields without checking them; `deep` copies what the fields hold."""
        if deep:
            made = self.__deepcopy__()
        else:
            made = type(self).__new__(type(self))
            fields, given, others, extra = _native.get_state(self)
            _native.set_state(made, fields, given, others, None if extra is None else dict(extra))
            _copy_dict(self, made, None)
        if update:
            fields, given, others, extra = _native.get_state(made)
            known = type(self).__ottava_fields__
            more = {key: value for key, value in update.items() if key not in known}
            if more and type(self).model_config.get("extra") != "allow":
                raise TypeError(f"{type(self).__name__} has no field called {next(iter(more))!r}")
            changed = {key: value for key, value in update.items() if key in known}
            _native.set_state(made, changed, given | set(changed), {}, more or None)
        return made

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """An instance of values that are known to be right: nothing is checked, missing fields get their defaults."""
        made: Self = _native.construct(cls, _fields_set, values)
        if cls.model_config.get("extra") == "allow":
            known = set(cls.__ottava_fields__) | {info.alias for info in cls.__ottava_fields__.values()}
            extra = {key: value for key, value in values.items() if key not in known}
            if extra:
                _native.set_state(made, {}, _native.fields_set(made), {}, extra)
        return made

    def _ottava_dump(
        self,
        *,
        mode: str = "python",
        include: Any = None,
        exclude: Any = None,
        context: Any = None,
        by_alias: bool | None = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        round_trip: bool = False,
        serialize_as_any: bool = False,
        warnings: Any = True,
        fallback: Callable[[Any], Any] | None = None,
    ) -> _Dict:
        options = Options(
            mode,
            by_alias=by_alias,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
            round_trip=round_trip,
            serialize_as_any=serialize_as_any,
            context=context,
            fallback=fallback,
        )
        made: _Dict = type(self).__ottava_dump__.python(self, options, include, exclude)
        return made

    def _ottava_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        return to_json_text(self._ottava_dump(mode="json", **options), indent)

    def copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """The older name of `model_copy`."""
        return self.model_copy(update=update, deep=deep)

    @classmethod
    def validate(cls, value: Any) -> Self:
        """The older name of `model_validate`."""
        return cls.model_validate(value)

    @classmethod
    def parse_obj(cls, obj: Any) -> Self:
        """The older name of `model_validate`."""
        return cls.model_validate(obj)

    @classmethod
    def parse_raw(cls, data: str | bytes) -> Self:
        """The older name of `model_validate_json`."""
        return cls.model_validate_json(data)

    @classmethod
    def validate_batch(cls, rows: Iterable[Any], **options: Any) -> Any:
        """The older name of `model_validate_batch`."""
        return cls.model_validate_batch(rows, **options)

    @classmethod
    def validate_many(cls, rows: Iterable[Any]) -> Any:
        """The older name of `model_validate_batch`."""
        return cls.model_validate_batch(rows)

    @classmethod
    def schema(cls, by_alias: bool = True) -> _Dict:
        """The older name of `model_json_schema`."""
        return cls.model_json_schema(by_alias)

    @classmethod
    def construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """The older name of `model_construct`."""
        return cls.model_construct(_fields_set, **values)

    def __class_getitem__(cls, parameters: Any) -> Any:
        return specialize(cls, parameters)


# Instances that are being shown, each with its thread.
_showing: set[tuple[int, int]] = set()


def _shown(instance: Model, before: str, between: str, after: str) -> str:
    """The fields of an instance, and a mark where the instance comes again inside itself."""
    mark = (id(instance), threading.get_ident())
    if mark in _showing:
        return f"<Recursion on {type(instance).__name__} with id={id(instance)}>"
    _showing.add(mark)
    try:
        return before + between.join(f"{name}={value!r}" for name, value in instance.__repr_args__()) + after
    finally:
        _showing.discard(mark)


def _blank(cls: Any) -> Any:
    return cls.__new__(cls)


def _fill(made: Any, state: tuple[Any, ...]) -> None:
    *held, rest = state
    _native.set_state(made, *held)
    if rest:
        vars(made).update(rest)


def _copy_dict(source: Any, target: Any, memo: _Memo | None) -> None:
    own = getattr(source, "__dict__", None)
    if own:
        fields = type(source).__ottava_fields__
        rest = {key: value for key, value in own.items() if key not in fields}
        vars(target).update(rest if memo is None else copy.deepcopy(rest, memo))


def create_model(
    model_name: str,
    /,
    *,
    __config__: ConfigDict | None = None,
    __doc__: str | None = None,
    __base__: Any = None,
    __module__: str | None = None,
    __validators__: Mapping[str, Any] | None = None,
    __cls_kwargs__: Mapping[str, Any] | None = None,
    __qualname__: str | None = None,
    **field_definitions: Any,
) -> Any:
    """Make a model class: `create_model("User", id=(int, Field(gt=0)), name=str)`.

    Args:
        model_name: the name of the class.
        __config__: its `model_config`.
        __doc__: its docstring.
        __base__: a model class that it derives from, or a tuple of bases. Default: `Model`.
        __module__: where it is from. Default: the module of the caller.
        __validators__: decorated methods, such as those of `field_validator`, by name.
        __cls_kwargs__: keywords of the class statement.
        __qualname__: its qualified name.
        field_definitions: for each field a type, or a pair of a type and a default or `Field(...)`; `...` stands for no default.

    Raises:
        TypeError: as the class statement does, and for a definition that is neither.
    """
    bases = __base__ if isinstance(__base__, tuple) else (__base__ or Model,)
    notes: _Dict = {}
    namespace: _Dict = {**(__validators__ or {}), "__annotations__": notes}
    namespace["__module__"] = __module__ or sys._getframe(1).f_globals.get("__name__", __name__)
    namespace["__qualname__"] = __qualname__ or model_name
    if __doc__ is not None:
        namespace["__doc__"] = __doc__
    if __config__ is not None:
        namespace["model_config"] = __config__
    for field, definition in field_definitions.items():
        if not isinstance(definition, tuple):
            notes[field] = definition
            continue
        if len(definition) != 2:
            raise TypeError(f"{model_name}.{field}: expected a type, or a type and a default, got {definition!r}")
        notes[field], namespace[field] = definition
    resolved = types.resolve_bases(bases)
    if resolved is not bases:
        namespace["__orig_bases__"] = bases
    metaclass, _, keywords = types.prepare_class(model_name, resolved, dict(__cls_kwargs__ or {}))
    return metaclass(model_name, resolved, namespace, **keywords)


BaseModel = Model
