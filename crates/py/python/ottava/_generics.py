"""Generic models: what type variables stand for, and the classes that arguments make."""

from __future__ import annotations

import typing
import weakref
from typing import Any, TypeVar

from ottava import _annotations as notation

__all__ = ["reduced", "remember", "specialize", "typevars"]


def typevars(cls: Any, home: type) -> dict[Any, Any]:
    """What the type variables of `home`, where a field is annotated, stand for in `cls`."""
    found: dict[Any, Any] = {}
    for one in reversed(cls.__mro__):
        given = one.__dict__.get("__ottava_typevars__")
        if given and issubclass(one, home):
            found = {**given, **{key: notation.substitute(value, given) for key, value in found.items()}}
    return found


def _specializations(cls: Any) -> weakref.WeakValueDictionary[Any, Any]:
    """The specializations of a generic class by their arguments."""
    if "__ottava_specialized__" not in cls.__dict__:
        cls.__ottava_specialized__ = weakref.WeakValueDictionary()
    return typing.cast("weakref.WeakValueDictionary[Any, Any]", cls.__dict__["__ottava_specialized__"])


def remember(cls: Any) -> None:
    """Makes a specialization known, so that its own fields may refer to it."""
    try:
        _specializations(cls.__ottava_origin__)[cls.__ottava_args__] = cls
    except TypeError:
        pass


def specialize(cls: Any, parameters: Any) -> Any:
    """`Page[int]`: a subclass whose type variables are replaced."""
    given = parameters if isinstance(parameters, tuple) else (parameters,)
    variables = getattr(cls, "__parameters__", ())
    if not variables:
        raise TypeError(f"{cls.__name__} is not generic")
    if len(given) != len(variables):
        raise TypeError(f"{cls.__name__} takes {len(variables)} type arguments, not {len(given)}")
    if given == variables:
        return cls
    if cls.__ottava_origin__ is not None:
        replaced = dict(zip(variables, given))
        given = tuple(notation.substitute(one, replaced) for one in cls.__ottava_args__)
        cls = cls.__ottava_origin__
        if given == cls.__parameters__:
            return cls
        variables = cls.__parameters__
    try:
        known = _specializations(cls).get(given)
    except TypeError:
        known = None  # arguments that cannot be hashed
    if known is not None:
        return known
    names = ", ".join(map(_shown, given))
    made = type(cls)(
        f"{cls.__name__}[{names}]",
        (cls,),
        {
            "__module__": cls.__module__,
            "__qualname__": f"{cls.__qualname__}[{names}]",
            "__doc__": cls.__doc__,
            "__ottava_typevars__": dict(zip(variables, given)),
            "__ottava_origin__": cls,
            "__ottava_args__": given,
            "__slots__": (),
        },
    )
    left = [
        inner for one in given for inner in ((one,) if isinstance(one, TypeVar) else getattr(one, "__parameters__", ()))
    ]
    made.__parameters__ = tuple(dict.fromkeys(left))
    return made


def _shown(annotation: Any) -> str:
    if isinstance(annotation, (type, TypeVar)) and not typing.get_args(annotation):
        return annotation.__name__
    return repr(annotation).replace("typing.", "")


def reduced(cls: Any) -> Any:
    """How a class is pickled: by its name, or as a generic class with arguments."""
    if cls.__dict__.get("__ottava_origin__") is None:
        return cls.__qualname__
    return specialize, (cls.__ottava_origin__, cls.__ottava_args__)
