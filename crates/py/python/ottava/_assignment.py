"""Setting and deleting attributes of instances: frozen ones, checked ones, extra ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ottava import _annotations as notation
from ottava import _decorators as decorators
from ottava import _native
from ottava._config import ConfigDict
from ottava._fields import FieldInfo
from ottava.errors import ValidationError

__all__ = ["DELETED", "EXTRA", "delete", "extra_getattr", "has_slot", "set_checked", "setter"]

EXTRA = "__ottava_extra__"
"""The slot of the extra fields."""

DELETED = "__ottava_deleted__"
"""The slot of the names of extra fields that were deleted, if there were any."""


def has_slot(cls: type, name: str) -> bool:
    return any(type(base.__dict__.get(name)).__name__ == "member_descriptor" for base in cls.__mro__)


def setter(config: ConfigDict, fields: dict[str, FieldInfo]) -> Any:
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
    marked = type(self).__ottava_marked__.values()
    validators = [mark for mark in marked if isinstance(mark, decorators.ModelValidator)]
    if not validators:
        _native.assign(self, name, value)
        return
    _assign_whole(self, name, value, validators)


def _info() -> Any:
    from ottava.models import ValidationInfo

    return ValidationInfo({}, None, None, "python")


def _assign_whole(self: Any, name: str, value: Any, validators: list[decorators.ModelValidator]) -> None:
    """Checks and sets a field of a model with validators of its own; the instance stays as it was if they refuse it."""
    cls = type(self)
    state = _native.get_state(self)
    had = name in state[0]

    def check(data: Any) -> Any:
        if data is not self and isinstance(data, Mapping) and name in data:
            _native.assign(self, name, data[name])
        else:
            _native.assign(self, name, value)
        return self

    def around(mark: decorators.ModelValidator, inner: Any) -> Any:
        function = mark.bound(cls)
        extra = notation.takes_info(function, 2 if mark.mode == "wrap" else 1)

        def run(data: Any) -> Any:
            info = [_info()] if extra else []
            if mark.mode == "before":
                given = {**state[0], **(state[3] or {}), name: value} if data is self else data
                return inner(function(given, *info))
            if mark.mode == "wrap":
                return function(self, lambda _: inner(self), *info)
            made = inner(data)
            function(self, *info)
            return made

        return run

    # As in `_record_hooks`: the last one declared runs first before the check, and last after it.
    run = check
    for mark in sorted(validators, key=lambda mark: mark.mode != "before"):
        run = around(mark, run)
    try:
        run(self)
    except BaseException as error:
        _native.set_state(self, state[0], state[1], {}, None)
        if not had and hasattr(self, name):
            object.__delattr__(self, name)
        if isinstance(error, ValidationError) or not isinstance(error, (ValueError, AssertionError)):
            raise
        code, word = ("value_error", "Value") if isinstance(error, ValueError) else ("assertion_error", "Assertion")
        issue = {"type": code, "loc": (), "msg": f"{word} {'error' if word == 'Value' else 'failed'}, {error}"}
        raise ValidationError(cls.__name__, [{**issue, "input": value, "ctx": {"error": error}}]) from error


def extra_getattr(self: Any, name: str) -> Any:
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


def delete(self: Any, name: str) -> None:
    cls = type(self)
    info = cls.__ottava_fields__.get(name)
    if cls.model_config.get("frozen") or (info is not None and info.frozen):
        raise _native.frozen_error(cls.__name__, name, None, bool(cls.model_config.get("frozen")))
    extra = getattr(self, EXTRA, None) if name not in cls.__ottava_fields__ and has_slot(cls, EXTRA) else None
    if extra and name in extra:
        del extra[name]
        object.__setattr__(self, DELETED, getattr(self, DELETED, frozenset()) | {name})
        return
    object.__delattr__(self, name)
