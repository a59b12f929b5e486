"""The signature of a model's constructor, for `inspect.signature` and for editors."""

from __future__ import annotations

import inspect
from typing import Any

from ottava._fields import Undefined

__all__ = ["signature"]


def signature(cls: Any) -> inspect.Signature:
    """Keyword-only parameters: the fields by the names that data has for them."""
    parameters = []
    for name, info in cls.__ottava_fields__.items():
        if not info.init:
            continue
        key = info.validation_alias or info.alias or name
        if not key.isidentifier():
            key = name
        default: Any = inspect.Parameter.empty
        if info.default is not Undefined:
            default = info.default
        elif info.default_factory is not None:
            default = _Factory(info.default_factory)
        parameters.append(
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=info.annotation)
        )
    if cls.model_config.get("extra") == "allow":
        parameters.append(inspect.Parameter("extra", inspect.Parameter.VAR_KEYWORD, annotation=Any))
    return inspect.Signature(parameters)


class _Factory:
    """A default that is made for each instance, in a signature."""

    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def __repr__(self) -> str:
        return f"{getattr(self._factory, '__qualname__', self._factory)}()"
