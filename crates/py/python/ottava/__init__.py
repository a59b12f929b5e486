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
    from ottava._calls import validate_call as validate_call
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
    from ottava.models import PydanticCustomError as PydanticCustomError
    from ottava.models import SerializationInfo as SerializationInfo
    from ottava.models import Strict as Strict
    from ottava.models import root_validator as root_validator
    from ottava.models import validator as validator
    from ottava.models import ValidationInfo as ValidationInfo
    from ottava.type_adapter import TypeAdapter as TypeAdapter
    from ottava.models import WrapSerializer as WrapSerializer
    from ottava.models import WrapValidator as WrapValidator
    from ottava.models import computed_field as computed_field
    from ottava.models import create_model as create_model
    from ottava.models import field_serializer as field_serializer
    from ottava.models import field_validator as field_validator
    from ottava.models import model_serializer as model_serializer
    from ottava.models import model_validator as model_validator
    from ottava.types import UUID1 as UUID1
    from ottava.types import UUID3 as UUID3
    from ottava.types import UUID4 as UUID4
    from ottava.types import UUID5 as UUID5
    from ottava.types import AwareDatetime as AwareDatetime
    from ottava.types import EmailStr as EmailStr
    from ottava.types import FiniteFloat as FiniteFloat
    from ottava.types import FutureDate as FutureDate
    from ottava.types import FutureDatetime as FutureDatetime
    from ottava.types import InstanceOf as InstanceOf
    from ottava.types import Json as Json
    from ottava.types import NaiveDatetime as NaiveDatetime
    from ottava.types import NegativeFloat as NegativeFloat
    from ottava.types import NegativeInt as NegativeInt
    from ottava.types import NonNegativeFloat as NonNegativeFloat
    from ottava.types import NonNegativeInt as NonNegativeInt
    from ottava.types import NonPositiveFloat as NonPositiveFloat
    from ottava.types import NonPositiveInt as NonPositiveInt
    from ottava.types import PastDate as PastDate
    from ottava.types import PastDatetime as PastDatetime
    from ottava.types import PositiveFloat as PositiveFloat
    from ottava.types import PositiveInt as PositiveInt
    from ottava.types import SecretBytes as SecretBytes
    from ottava.types import SecretStr as SecretStr
    from ottava.types import SerializeAsAny as SerializeAsAny
    from ottava.types import SkipValidation as SkipValidation
    from ottava.types import StrictBool as StrictBool
    from ottava.types import StrictBytes as StrictBytes
    from ottava.types import StrictFloat as StrictFloat
    from ottava.types import StrictInt as StrictInt
    from ottava.types import StrictStr as StrictStr
    from ottava.types import StringConstraints as StringConstraints
    from ottava.types import confloat as confloat
    from ottava.types import conint as conint
    from ottava.types import conlist as conlist
    from ottava.types import constr as constr
    from ottava.types import with_config as with_config
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
    "PydanticCustomError": "ottava.models",
    "SerializationInfo": "ottava.models",
    "Strict": "ottava.models",
    "root_validator": "ottava.models",
    "validator": "ottava.models",
    "TypeAdapter": "ottava.type_adapter",
    "ValidationInfo": "ottava.models",
    "WrapSerializer": "ottava.models",
    "WrapValidator": "ottava.models",
    "computed_field": "ottava.models",
    "create_model": "ottava.models",
    "field_serializer": "ottava.models",
    "field_validator": "ottava.models",
    "model_serializer": "ottava.models",
    "model_validator": "ottava.models",
    "UUID1": "ottava.types",
    "UUID3": "ottava.types",
    "UUID4": "ottava.types",
    "UUID5": "ottava.types",
    "AwareDatetime": "ottava.types",
    "EmailStr": "ottava.types",
    "FiniteFloat": "ottava.types",
    "FutureDate": "ottava.types",
    "FutureDatetime": "ottava.types",
    "InstanceOf": "ottava.types",
    "Json": "ottava.types",
    "NaiveDatetime": "ottava.types",
    "NegativeFloat": "ottava.types",
    "NegativeInt": "ottava.types",
    "NonNegativeFloat": "ottava.types",
    "NonNegativeInt": "ottava.types",
    "NonPositiveFloat": "ottava.types",
    "NonPositiveInt": "ottava.types",
    "PastDate": "ottava.types",
    "PastDatetime": "ottava.types",
    "PositiveFloat": "ottava.types",
    "PositiveInt": "ottava.types",
    "SecretBytes": "ottava.types",
    "SecretStr": "ottava.types",
    "SerializeAsAny": "ottava.types",
    "SkipValidation": "ottava.types",
    "StrictBool": "ottava.types",
    "StrictBytes": "ottava.types",
    "StrictFloat": "ottava.types",
    "StrictInt": "ottava.types",
    "StrictStr": "ottava.types",
    "StringConstraints": "ottava.types",
    "confloat": "ottava.types",
    "conint": "ottava.types",
    "conlist": "ottava.types",
    "constr": "ottava.types",
    "with_config": "ottava.types",
    "TokenGrid": "ottava.spatial",
    "distance": "ottava.spatial",
    "distances": "ottava.spatial",
    "pairwise": "ottava.spatial",
    "simd_level": "ottava.spatial",
    "validate_call": "ottava._calls",
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
