"""Validation of any type, without a model around it."""

from __future__ import annotations

import sys
from typing import Any, Generic, TypeVar

from ottava import _annotations as notation
from ottava import _config, _native
from ottava._dump import Options, dump_value, to_json_text

__all__ = ["TypeAdapter"]

T = TypeVar("T")


class TypeAdapter(Generic[T]):
    """Validates values of a type: `TypeAdapter(list[int]).validate_python(["1"])` is `[1]`.

    The type may be anything that a field of a model may have. `config` is a `ConfigDict`; it is not that of models in the type. Raises `TypeError` for a type that cannot
    be checked; validation raises `ValidationError`.
    """

    def __init__(self, type_: Any, *, config: Any = None) -> None:
        frame = sys._getframe(1)
        names = {**frame.f_globals, **frame.f_locals}
        config = _config.checked(config or {})
        context = notation.Context(config)
        hint = notation.evaluate(type_, frame.f_globals.get("__name__"), names)
        description = _config.configured(notation.describe(hint, context), config)
        for other in context.classes:
            if not other.__ottava_record__:
                other.model_rebuild(_types_namespace=names)
        self._strict = config.get("strict")
        self._from_attributes = config.get("from_attributes")
        self._description = description
        self._plan = _native.Plan(getattr(hint, "__name__", None) or str(hint), description)

    def validate_python(
        self,
        obj: Any,
        /,
        *,
        strict: bool | None = None,
        from_attributes: bool | None = None,
        context: Any = None,
    ) -> T:
        """The value as the type has it."""
        strict = self._strict if strict is None else strict
        from_attributes = self._from_attributes if from_attributes is None else from_attributes
        made: T = self._plan.validate(obj, strict=strict, from_attributes=from_attributes, context=context)
        return made

    def validate_json(
        self, data: str | bytes | bytearray, /, *, strict: bool | None = None, context: Any = None
    ) -> T:
        """The value of JSON text."""
        strict = self._strict if strict is None else strict
        made: T = self._plan.validate_json(data, strict=strict, context=context)
        return made

    def dump_python(self, instance: T, /, *, mode: str = "python", **options: Any) -> Any:
        """The value as plain data; options are those of `Model.model_dump`."""
        include, exclude = options.pop("include", None), options.pop("exclude", None)
        return dump_value(instance, Options(mode, **options), include, exclude, self._description)

    def json_schema(self, *, by_alias: bool = True) -> dict[str, Any]:
        """The JSON Schema of the type, draft 2020-12. See `Model.model_json_schema`."""
        return self._plan.json_schema(by_alias)

    def dump_json(self, instance: T, /, *, indent: int | None = None, **options: Any) -> bytes:
        """The value as JSON text in UTF-8."""
        return to_json_text(self.dump_python(instance, mode="json", **options), indent).encode()
