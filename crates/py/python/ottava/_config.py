"""Configuration of models: what `ConfigDict` may say, and what that makes of the descriptions of types."""

from __future__ import annotations

import decimal
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict

from ottava import _annotations as notation

__all__ = ["ConfigDict", "checked", "configured"]


class ConfigDict(TypedDict, total=False):
    """Configuration of a model class: `model_config = ConfigDict(...)`, or keywords of the class statement.

    Options of pydantic that are not here raise `TypeError` when the class is made, unless they say what holds anyway.
    """

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
    validate_by_alias: bool
    """`False`: a field is found under its name alone; needs `validate_by_name`."""
    serialize_by_alias: bool
    """Dumps that do not say `by_alias` have aliases for keys."""
    from_attributes: bool
    """Fields may be read from the attributes of an object."""
    validate_assignment: bool
    """Setting a field checks the value, and runs the validators of the model."""
    validate_default: bool
    """Defaults are checked, when the class is made."""
    arbitrary_types_allowed: bool
    """Fields may have types that are only checked with `isinstance`."""
    coerce_numbers_to_str: bool
    """Numbers are taken for text, but for truth values, and not in strict mode."""
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
    regex_engine: Literal["rust-regex", "python-re"]
    """`"python-re"`: all patterns are left to Python's `re`, and are not part of the JSON Schema. Default: those that need it."""
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


# Options of pydantic that are taken if they say what holds anyway.
_FIXED: dict[str, tuple[Any, ...]] = {
    "field_title_generator": (None,),
    "hide_input_in_errors": (False,),
    "ignored_types": ((),),
    "json_encoders": (None, {}),
    "json_schema_mode_override": (None, "validation"),
    "json_schema_serialization_defaults_required": (False,),
    "loc_by_alias": (True,),
    "model_title_generator": (None,),
    "plugin_settings": (None, {}),
    "polymorphic_serialization": (None, False),
    "revalidate_instances": ("never",),
    "schema_generator": (None,),
    "ser_json_bytes": ("utf8",),
    "ser_json_inf_nan": ("null",),
    "ser_json_temporal": ("iso8601",),
    "ser_json_timedelta": ("iso8601",),
    "url_preserve_empty_path": (False,),
    "use_attribute_docstrings": (False,),
    "val_json_bytes": ("utf8",),
    "val_temporal_unit": ("infer",),
    "validate_return": (False,),
    "validation_error_cause": (False,),
}

# Options that change no result.
_WITHOUT_EFFECT = frozenset({"cache_strings", "defer_build", "protected_namespaces"})

_OLDER = {
    "allow_population_by_field_name": "populate_by_name",
    "anystr_lower": "str_to_lower",
    "anystr_strip_whitespace": "str_strip_whitespace",
    "anystr_upper": "str_to_upper",
    "max_anystr_length": "str_max_length",
    "min_anystr_length": "str_min_length",
    "orm_mode": "from_attributes",
    "schema_extra": "json_schema_extra",
    "validate_all": "validate_default",
}

_TEXT_RULES = (
    ("str_strip_whitespace", "strip_whitespace"),
    ("str_to_lower", "to_lower"),
    ("str_to_upper", "to_upper"),
    ("str_min_length", "min_length"),
    ("str_max_length", "max_length"),
)

# Options that say how values inside a record without a configuration of its own are checked.
_INHERITED = frozenset(ConfigDict.__annotations__) - {"title", "json_schema_extra", "alias_generator", "frozen"}


def is_option(name: str) -> bool:
    """Whether a keyword of a class statement is an option."""
    return name in ConfigDict.__annotations__ or name in _FIXED or name in _WITHOUT_EFFECT or name in _OLDER


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options under their names of today. Raises `TypeError` for one that is not known, or that there is no support for."""
    made: dict[str, Any] = {}
    for name, value in given.items():
        name = _OLDER.get(name, name)
        if name in _FIXED:
            if not any(value == taken and type(value) is type(taken) for taken in _FIXED[name]):
                raise TypeError(f"{name}={value!r} is not supported; see the list of differences, docs/migrating.md")
        elif name == "allow_mutation":
            made["frozen"] = not value
        elif name in ConfigDict.__annotations__:
            made[name] = value
        elif name not in _WITHOUT_EFFECT:
            raise TypeError(f"no option of a model is called {name!r}{_meant(name)}")
    for name, choices in (("extra", ("ignore", "allow", "forbid")), ("regex_engine", ("rust-regex", "python-re"))):
        if made.get(name) not in (None, *choices):
            raise TypeError(f"{name} must be {', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}, not {made[name]!r}")
    extra = made.get("json_schema_extra")
    if extra is not None and not isinstance(extra, Mapping):
        raise TypeError(f"json_schema_extra must be a dictionary, not {type(extra).__name__}")
    if made.get("validate_by_name"):
        made["populate_by_name"] = True
    return made


def _meant(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, ConfigDict.__annotations__, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def configured(description: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The description with what the configuration says of all values in it."""
    rules = {rule: config[key] for key, rule in _TEXT_RULES if config.get(key)}
    if rules:
        description = _changed(description, ("str",), lambda part: _ruled(part, rules))
    if config.get("allow_inf_nan") is not None:
        finite = {"allow_inf_nan": config["allow_inf_nan"]}
        description = _changed(description, ("float", "decimal"), lambda part: _ruled(part, finite))
    if config.get("use_enum_values"):
        description = _changed(
            description, ("enum",), lambda part: notation.hooked(part, "after", _value_of)
        )
    if config.get("regex_engine") == "python-re":
        description = _changed(description, ("str",), _by_re)
    if config.get("coerce_numbers_to_str"):
        description = _changed(description, ("str",), _of_numbers)
    return description


def _value_of(member: Any) -> Any:
    return None if member is None else member.value


def inherited(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration holds for records that have none of their own."""
    return {key: value for key, value in config.items() if key in _INHERITED}


def _changed(description: dict[str, Any], kinds: tuple[str, ...], change: Callable[..., Any]) -> dict[str, Any]:
    """The description with all parts of these kinds changed. References are not followed."""
    if description["kind"] in kinds:
        return typing.cast("dict[str, Any]", change(description))
    made = dict(description)
    for key in ("item", "key", "value", "rest"):
        if isinstance(made.get(key), dict):
            made[key] = _changed(made[key], kinds, change)
    for key in ("items", "members"):
        if key in made and made["kind"] != "enum":
            made[key] = [_changed(part, kinds, change) for part in made[key]]
    return made


def _ruled(description: dict[str, Any], rules: dict[str, Any]) -> dict[str, Any]:
    """The description with more rules; those that it has already count for more."""
    return {**description, "rules": {**rules, **description.get("rules", {})}}


def _by_re(description: dict[str, Any]) -> dict[str, Any]:
    rules = dict(description.get("rules", {}))
    source = rules.pop("pattern", None)
    if source is None:
        return description
    return notation.hooked({**description, "rules": rules}, "pattern", re.compile(source))


def _of_numbers(description: dict[str, Any]) -> dict[str, Any]:
    return notation.hooked(description, "lax", _number_as_text)


def _number_as_text(value: Any) -> Any:
    if isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool):
        return str(value)
    return value
