"""From Pydantic models to Spark schemas: `struct_type`.

Leaf types are one table, `_LEAVES`. What holds other types or values (Optional, Annotated, list, set, dict, Literal,
Enum, models) has one function each, in `_CONSTRUCTORS` by the annotation's origin and in `_CLASS_KINDS` by base class.
A type that none of them knows is a SchemaError with the path to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import pydantic
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.storage import StorageForm

__all__ = ["struct_type"]

# DynamoDB keeps 38 significant digits
_MAX_DIGITS = 38
_DEFAULT_DECIMAL = DecimalType(_MAX_DIGITS, 18)

_LEAVES: Mapping[Any, DataType] = MappingProxyType(
    {
        str: StringType(),
        int: LongType(),
        bool: BooleanType(),
        bytes: BinaryType(),
        float: DoubleType(),
        Decimal: _DEFAULT_DECIMAL,
        UUID: StringType(),
        date: DateType(),
        pydantic.PastDate: DateType(),
        pydantic.FutureDate: DateType(),
        datetime: TimestampType(),
        pydantic.AwareDatetime: TimestampType(),
        pydantic.PastDatetime: TimestampType(),
        pydantic.FutureDatetime: TimestampType(),
        pydantic.NaiveDatetime: TimestampNTZType(),
        Any: VariantType(),
    }
)

# what a set of these elements is in DynamoDB
_SETS: Mapping[type[DataType], str] = MappingProxyType(
    {StringType: "SS", LongType: "NS", DecimalType: "NS", BinaryType: "BS"}
)

# the storage forms that a type can take
_STORAGE_FORMS: Mapping[type[DataType], frozenset[str]] = MappingProxyType({TimestampType: frozenset({"S", "N"})})


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an annotation stands: its path, the models around it, and what `Annotated` and `Field` say about it."""

    path: str
    models: tuple[type[BaseModel], ...] = ()
    constraints: Mapping[str, Any] = field(default_factory=dict)
    form: StorageForm | None = None

    def inside(self, suffix: str) -> _Place:
        """The place of an element, to which the container's constraints and storage form don't apply."""
        return _Place(self.path + suffix, self.models)

    def annotated(self, metadata: Iterable[Any]) -> _Place:
        """The same place with what `Annotated[..., *metadata]` adds to it."""
        flat = [entry for m in metadata for entry in (m.metadata if isinstance(m, FieldInfo) else [m])]
        constraints = dict(self.constraints)
        for entry in flat:
            known = getattr(entry, "__dict__", {})
            constraints.update({name: known[name] for name in ("max_digits", "decimal_places") if name in known})
        forms = [entry for entry in flat if isinstance(entry, StorageForm)]
        return replace(self, constraints=constraints, form=forms[-1] if forms else self.form)


@dataclass(frozen=True, slots=True)
class _Column:
    """What an annotation becomes; `stored` is its DynamoDB type where that isn't the usual one."""

    data_type: DataType
    nullable: bool = False
    stored: str | None = None


def struct_type(model: type[BaseModel]) -> StructType:
    """The Spark schema of a Pydantic model, field by field in the model's order.

    A column, element or map value is nullable exactly where its annotation admits None; a default changes nothing.
    `Decimal` is DECIMAL(38,18), or what `Field(max_digits=, decimal_places=)` says; `Any` is VARIANT, `dict[str, Any]`
    too. Sets and storage forms leave `{"dynamodb": "SS"}` in a field's metadata, descriptions `{"comment": ...}`.
    Needs no Spark session. Raises SchemaError, with the path to the field, for an annotation that has no Spark type.

    >>> class Order(BaseModel):
    ...     order_id: str
    ...     price: Decimal = pydantic.Field(max_digits=10, decimal_places=2)
    ...     tags: set[str] | None = None
    >>> struct_type(Order).simpleString()
    'struct<order_id:string,price:decimal(10,2),tags:array<string>>'
    """
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise SchemaError(_name(model), "is no Pydantic model. Give a class that derives from pydantic.BaseModel")
    return _fields_of(_Place(""), model)


def _fields_of(place: _Place, model: type[BaseModel]) -> StructType:
    if model in place.models:
        raise SchemaError(place.path, f"holds {model.__name__} within itself, and a Spark schema has an end. Use Any")
    if issubclass(model, pydantic.RootModel):
        raise SchemaError(place.path or model.__name__, "is a RootModel, which has no fields. Use its type directly")
    if not model.__pydantic_complete__:
        model.model_rebuild(raise_errors=False)
    if not model.model_fields:
        raise SchemaError(place.path or model.__name__, f"model {model.__name__} has no fields. Add one, or use Any")
    prefix = f"{place.path}." if place.path else ""
    models = (*place.models, model)
    return StructType([_field(_Place(prefix + name, models), name, info) for name, info in model.model_fields.items()])


def _field(place: _Place, name: str, info: FieldInfo) -> StructField:
    column = _column(place.annotated(info.metadata), info.annotation)
    metadata = {"comment": info.description, "dynamodb": column.stored}
    return StructField(name, column.data_type, column.nullable, {k: v for k, v in metadata.items() if v is not None})


def _column(place: _Place, annotation: Any) -> _Column:
    constructor = _CONSTRUCTORS.get(get_origin(annotation))
    if constructor:
        return constructor(place, annotation)
    if annotation in _LEAVES:
        return _leaf(place, annotation)
    if isinstance(annotation, type):
        for base, construct in _CLASS_KINDS.items():
            if issubclass(annotation, base):
                return construct(place, annotation)
    raise SchemaError(place.path, f"{_name(annotation)} has no Spark type. {_HINTS.get(annotation, _HINT)}")


_HINT = (
    "Use one of str, int, bool, bytes, float, Decimal, datetime, date, UUID, an Enum, list, set, dict, a model or Any"
)
_HINTS: Mapping[Any, str] = MappingProxyType(
    {
        list: "Say what it holds, as in list[str]",
        set: "Say what it holds, as in set[str]",
        frozenset: "Say what it holds, as in frozenset[str]",
        dict: "Say what it holds, as in dict[str, int], or dict[str, Any] for anything",
        tuple: "Use list[X], or a model for values of several types",
    }
)


def _leaf(place: _Place, annotation: Any) -> _Column:
    data_type = _decimal(place) if annotation is Decimal else _LEAVES[annotation]
    form = place.form.dynamodb if place.form else None
    if form is not None and form not in _STORAGE_FORMS.get(type(data_type), ()):
        raise SchemaError(place.path, f"{_name(annotation)} can't be stored as DynamoDB type '{form}'")
    return _Column(data_type, nullable=annotation is Any, stored=form)


def _decimal(place: _Place) -> DecimalType:
    digits, places = place.constraints.get("max_digits"), place.constraints.get("decimal_places")
    if places is None:
        if digits is None or digits <= _DEFAULT_DECIMAL.scale:  # any such number fits DECIMAL(38,18)
            return _DEFAULT_DECIMAL
        raise SchemaError(place.path, f"max_digits={digits} alone leaves the scale open. Give decimal_places too")
    precision = _MAX_DIGITS if digits is None else digits
    if not 0 <= places <= precision <= _MAX_DIGITS:
        raise SchemaError(
            place.path,
            f"max_digits={digits}, decimal_places={places} is no Spark decimal. "
            f"Keep decimal_places <= max_digits <= {_MAX_DIGITS}",
        )
    return DecimalType(precision, places)


def _annotated(place: _Place, annotation: Any) -> _Column:
    inner, *metadata = get_args(annotation)
    return _column(place.annotated(metadata), inner)


def _optional(place: _Place, annotation: Any) -> _Column:
    arms = [arm for arm in get_args(annotation) if arm is not NoneType]
    if len(arms) != 1:
        named = ", ".join(map(_name, arms))
        raise SchemaError(place.path, f"is one of {named}, and a Spark column has one type. Use Any, or a model")
    return replace(_column(place, arms[0]), nullable=True)


def _literal(place: _Place, annotation: Any) -> _Column:
    values = [value.value if isinstance(value, Enum) else value for value in get_args(annotation)]
    return _of_values(place, [v for v in values if v is not None], nullable=None in values)


def _enum(place: _Place, enum: type[Enum]) -> _Column:
    return _of_values(place, [member.value for member in enum])


def _of_values(place: _Place, values: list[Any], *, nullable: bool = False) -> _Column:
    kinds = {type(value) for value in values}
    if len(kinds) != 1 or not kinds <= {str, int, bool, bytes}:
        named = ", ".join(sorted(map(_name, kinds))) or "none"
        raise SchemaError(place.path, f"has values of the types {named}. Use values that are all str or all int")
    return replace(_leaf(place, kinds.pop()), nullable=nullable)


def _element(place: _Place, annotation: Any) -> _Column:
    """The column of an element, whose storage form would be lost: only fields carry metadata."""
    column = _column(place, annotation)
    if column.stored is not None:
        raise SchemaError(
            place.path,
            f"DynamoDB type '{column.stored}' can stand only on a field, not on an element. "
            "Put the value into a field of a model, or use list in place of set",
        )
    return column


def _list(place: _Place, annotation: Any) -> _Column:
    element = _element(place.inside("[]"), get_args(annotation)[0])
    _refuse_form(place, "a list")
    return _Column(ArrayType(element.data_type, containsNull=element.nullable))


def _set(place: _Place, annotation: Any) -> _Column:
    element = _element(place.inside("[]"), get_args(annotation)[0])
    _refuse_form(place, "a set")
    stored = _SETS.get(type(element.data_type))
    if stored is None or element.nullable:
        held = f"{element.data_type.simpleString()}{' or None' if element.nullable else ''}"
        raise SchemaError(place.path, f"a DynamoDB set can't hold {held}. Use list, or a set of str, int or bytes")
    return _Column(ArrayType(element.data_type, containsNull=False), stored=stored)


def _dict(place: _Place, annotation: Any) -> _Column:
    key_annotation, value_annotation = get_args(annotation)
    key = _element(place.inside("{}"), key_annotation)
    _refuse_form(place, "a dict")
    if not isinstance(key.data_type, StringType) or key.nullable:
        raise SchemaError(
            place.path, f"has keys of {_name(key_annotation)}, and DynamoDB's are text. Use dict[str, ...]"
        )
    if value_annotation in (Any, Any | None):
        return _Column(VariantType())
    value = _element(place.inside("{}"), value_annotation)
    return _Column(MapType(key.data_type, value.data_type, valueContainsNull=value.nullable))


def _struct(place: _Place, model: type[BaseModel]) -> _Column:
    _refuse_form(place, "a model")
    return _Column(_fields_of(place, model))


def _refuse_form(place: _Place, what: str) -> None:
    if place.form is not None:
        raise SchemaError(place.path, f"{what} can't be stored as DynamoDB type '{place.form.dynamodb}'")


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else repr(annotation).replace("typing.", "")


_CONSTRUCTORS: Mapping[Any, Callable[[_Place, Any], _Column]] = MappingProxyType(
    {
        Annotated: _annotated,
        Union: _optional,
        UnionType: _optional,
        Literal: _literal,
        list: _list,
        set: _set,
        frozenset: _set,
        dict: _dict,
    }
)

_CLASS_KINDS: Mapping[type, Callable[[_Place, Any], _Column]] = MappingProxyType({Enum: _enum, BaseModel: _struct})
