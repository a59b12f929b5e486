"""Records for the tests of stores: a schema with enums, and rows that fit it."""

from __future__ import annotations

from typing import Any, Literal, Optional

import ottava
from ottava.ingest import TokenStore


class Node(ottava.Model):
    """A record with an enum, a nullable number and a default."""

    id: int
    kind: Literal["code", "spec", "test"]
    score: Optional[float] = None
    version: int = 1


def rows(ids: Any, **more: Any) -> list[dict[str, Any]]:
    """A row for each id."""
    kinds = ("code", "spec", "test")
    return [{"id": i, "kind": kinds[i % 3], "score": i / 2 if i % 2 else None, "version": i, **more} for i in ids]


def fresh() -> TokenStore:
    """A store with five nodes."""
    store = TokenStore(Node)
    store.ingest_nodes_msgspec(rows(range(100, 105)))
    return store
