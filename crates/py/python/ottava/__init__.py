"""A native data core for Python.

Records arrive as bytes (`ottava.streams`), are checked by a compiled schema (`Model`), become Arrow columns, live in an
8-dimensional token grid (`TokenGrid`), and are asked "what is near this?". `pipeline` is all of that in one call.

Importing this package is cheap: each name is loaded when it is first used, and `ottava.streams` works even where the
native module cannot be loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ottava.errors import InternalError, OttavaError, ValidationError

if TYPE_CHECKING:
    from ottava import config as config
    from ottava import streams as streams
    from ottava._native import __version__ as __version__
    from ottava._pipeline import Pipeline as Pipeline
    from ottava._pipeline import Stage as Stage
    from ottava._pipeline import pipeline as pipeline
    from ottava.ingest import IngestReport as IngestReport
    from ottava.ingest import Schema as Schema
    from ottava.ingest import SchemaLock as SchemaLock
    from ottava.ingest import TokenStore as TokenStore
    from ottava.models import ArrowResult as ArrowResult
    from ottava.models import AfterValidator as AfterValidator
    from ottava.models import BaseModel as BaseModel
    from ottava.models import BatchResult as BatchResult
    from ottava.models import BeforeValidator as BeforeValidator
    from ottava.models import ConfigDict as ConfigDict
    from ottava.models import Field as Field
    from ottava.models import Model as Model
    from ottava.models import PlainSerializer as PlainSerializer
    from ottava.models import PlainValidator as PlainValidator
    from ottava.models import PrivateAttr as PrivateAttr
    from ottava.models import ValidationInfo as ValidationInfo
    from ottava.type_adapter import TypeAdapter as TypeAdapter
    from ottava.models import WrapSerializer as WrapSerializer
    from ottava.models import WrapValidator as WrapValidator
    from ottava.models import computed_field as computed_field
    from ottava.models import field_serializer as field_serializer
    from ottava.models import field_validator as field_validator
    from ottava.models import model_serializer as model_serializer
    from ottava.models import model_validator as model_validator
    from ottava.spatial import Table as Table
    from ottava.spatial import TokenGrid as TokenGrid
    from ottava.spatial import distance as distance
    from ottava.spatial import distances as distances
    from ottava.spatial import pairwise as pairwise
    from ottava.spatial import simd_level as simd_level

# Where each public name lives.
_HOMES = {
    "Pipeline": "ottava._pipeline",
    "Stage": "ottava._pipeline",
    "pipeline": "ottava._pipeline",
    "Table": "ottava.spatial",
    "IngestReport": "ottava.ingest",
    "Schema": "ottava.ingest",
    "SchemaLock": "ottava.ingest",
    "TokenStore": "ottava.ingest",
    "ArrowResult": "ottava.models",
    "AfterValidator": "ottava.models",
    "BaseModel": "ottava.models",
    "BatchResult": "ottava.models",
    "BeforeValidator": "ottava.models",
    "ConfigDict": "ottava.models",
    "Field": "ottava.models",
    "Model": "ottava.models",
    "PlainSerializer": "ottava.models",
    "PlainValidator": "ottava.models",
    "PrivateAttr": "ottava.models",
    "TypeAdapter": "ottava.type_adapter",
    "ValidationInfo": "ottava.models",
    "WrapSerializer": "ottava.models",
    "WrapValidator": "ottava.models",
    "computed_field": "ottava.models",
    "field_serializer": "ottava.models",
    "field_validator": "ottava.models",
    "model_serializer": "ottava.models",
    "model_validator": "ottava.models",
    "TokenGrid": "ottava.spatial",
    "distance": "ottava.spatial",
    "distances": "ottava.spatial",
    "pairwise": "ottava.spatial",
    "simd_level": "ottava.spatial",
    "__version__": "ottava._native",
}

__all__ = ["InternalError", "OttavaError", "ValidationError", "config", "streams", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in ("config", "streams"):
        return import_module(f"ottava.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ottava' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
