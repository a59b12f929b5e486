"""What descriptions say of the values: the parts they have, the classes they are of, whether they can be part of a cycle."""

from __future__ import annotations

from typing import Any

__all__ = ["declared", "is_acyclic", "parts"]

Description = dict[str, Any]

_LEAVES = frozenset(
    {"null", "bool", "int", "float", "str", "bytes", "decimal", "datetime", "date", "time", "duration", "uuid", "enum", "literal"}
)


def declared(description: Description) -> list[Any] | None:
    """The model classes that a value of the description, or a part of it, may be of; `None` if it names none.

    Empty where the class alone does not tell how an instance is dumped: among values of any type, or with a class and a subclass of it.
    """
    if description["kind"] in _LEAVES or description["kind"] == "any":
        return None
    found: list[Any] = []
    free = _collect(description, found, [])
    if not found:
        return None
    related = any(one is not other and issubclass(one, other) for one in found for other in found)
    return [] if free or related else found


def _collect(description: Description, found: list[Any], seen: list[Any]) -> bool:
    """Adds the model classes in a description; whether some part is of any type."""
    kind = description["kind"]
    if kind == "any" or description.get("as_any"):
        return True
    if kind != "ref":
        free = False
        for part in parts(description):
            free |= _collect(part, found, seen)
        return free
    spec = description["spec"]
    if any(spec is one for one in seen):
        return False
    seen.append(spec)
    if spec.get("how") == "model":
        found.append(spec["cls"])
        return False
    inner = [spec["type"]] if "type" in spec else [made["type"] for made in spec.get("fields", ())]
    return any([_collect(part, found, seen) for part in inner])


def parts(description: Description) -> list[Description]:
    """The descriptions directly inside another."""
    kind = description["kind"]
    if kind == "tuple":
        return [*description["items"], *([description["rest"]] if description.get("rest") else [])]
    if kind == "union":
        return list(description["members"])
    return [description[key] for key in ("item", "key", "value") if isinstance(description.get(key), dict)]


def is_acyclic(description: Description) -> bool:
    """Whether no value of the description can come to refer to the instance that holds it."""
    if any(mode not in ("pattern", "before", "lax") for mode, *_ in description.get("hooks", ())):
        return False
    kind = description["kind"]
    if kind in _LEAVES:
        return True
    if kind == "frozenset":
        return is_acyclic(description["item"])
    if kind == "tuple":
        return all(map(is_acyclic, parts(description)))
    if kind == "union":
        return all(map(is_acyclic, parts(description)))
    if kind == "ref":
        return bool(description["spec"].get("acyclic"))
    return False
