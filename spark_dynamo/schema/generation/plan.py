"""What model a Spark schema becomes: classes, fields and annotations, before they are made or written.

`model_type` and `model_source` render the same plan, so that both give the same model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from math import isfinite
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, NaiveDatetime
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from spark_dynamo.errors import SchemaError, shorten
from spark_dynamo.schema.ddl import leaf_ddl, parse_ddl
from spark_dynamo.schema.generation.identifiers import attribute_names, check_class_name, class_name
from spark_dynamo.schema.generation.parts import (
    BUILTINS,
    FIELD,
    Annotation,
    Call,
    ClassPlan,
    FieldPlan,
    Optional,
    Subscript,
    Symbol,
)
from spark_dynamo.schema.policy import SparkType
from spark_dynamo.schema.storage import StorageForm

__all__ = ["BASE_MODEL", "model_name", "plan_model"]


BASE_MODEL = Symbol("pydantic", "BaseModel", BaseModel)
_ANNOTATED = Symbol("typing", "Annotated", Annotated)
_ANY = Symbol("typing", "Any", Any)
_AWARE_DATETIME = Symbol("pydantic", "AwareDatetime", AwareDatetime)
_CONFIG_DICT = Symbol("pydantic", "ConfigDict", ConfigDict)
_DATE = Symbol("datetime", "date", date)
_DECIMAL = Symbol("decimal", "Decimal", Decimal)
_NAIVE_DATETIME = Symbol("pydantic", "NaiveDatetime", NaiveDatetime)
_SPARK_TYPE = Symbol("spark_dynamo", "SparkType", SparkType)
_STORAGE_FORM = Symbol("spark_dynamo", "StorageForm", StorageForm)
_TIME = Symbol("datetime", "time", time)
_TIMEDELTA = Symbol("datetime", "timedelta", timedelta)
IMPORTED = frozenset(
    {
        BASE_MODEL,
        *(_ANNOTATED, _ANY, _AWARE_DATETIME, _CONFIG_DICT, _DATE, _DECIMAL, FIELD, _NAIVE_DATETIME),
        *(_SPARK_TYPE, _STORAGE_FORM, _TIME, _TIMEDELTA),
    }
)
_BOOL, _BYTES, _FLOAT, _INT, _OBJECT, _STR = (
    Symbol(BUILTINS, kind.__name__, kind) for kind in (bool, bytes, float, int, object, str)
)
_DICT, _LIST, _SET = (Symbol(BUILTINS, kind.__name__, kind) for kind in (dict, list, set))

# the types that an annotation alone stands for
_NATURAL: Mapping[DataType, Symbol] = MappingProxyType(
    {
        StringType(): _STR,
        LongType(): _INT,
        DoubleType(): _FLOAT,
        BooleanType(): _BOOL,
        BinaryType(): _BYTES,
        DateType(): _DATE,
        TimestampType(): _AWARE_DATETIME,  # an instant, which a time without a zone is not
        TimestampNTZType(): _NAIVE_DATETIME,
        DayTimeIntervalType(): _TIMEDELTA,
    }
)

# What the others' values are in Python, where a type of Python's holds them; by name, as older versions of Spark lack TIME.
_OVERRIDDEN: Mapping[str, Symbol] = MappingProxyType(
    {
        **dict.fromkeys(("StringType", "CharType", "VarcharType"), _STR),
        **dict.fromkeys(("ByteType", "ShortType", "IntegerType"), _INT),
        "FloatType": _FLOAT,
        "TimeType": _TIME,
        "DayTimeIntervalType": _TIMEDELTA,
        "YearMonthIntervalType": _INT,  # months
        # any value at all, and Any where that may be None
        **dict.fromkeys(("VariantType", "NullType", "CalendarIntervalType", "GeographyType", "GeometryType"), _OBJECT),
    }
)

# Any itself is VARIANT, too, but a dict of Any is one VARIANT, and no MAP
_ANY_VARIANT = Subscript(_ANNOTATED, (_ANY, Call(_SPARK_TYPE, ("VARIANT",))))

# the elements that a DynamoDB set can hold
_SETS: Mapping[Any, tuple[type[DataType], ...]] = MappingProxyType(
    {"SS": (StringType,), "NS": (LongType, IntegerType, ShortType, ByteType, DecimalType), "BS": (BinaryType,)}
)
_ALIASED = MappingProxyType({"serialize_by_alias": True, "validate_by_name": True, "validate_by_alias": True})
_MAX_DIGITS = 38


def plan_model(struct: StructType, name: str) -> ClassPlan:
    """The plan of a model with that name, whose schema is the struct.

    Raises SchemaError, with the path to the field, where no model can have that schema: a struct without fields, or with two
    of one name, a map whose keys are no single values, a type of a user's own, metadata that is no JSON.
    """
    check_class_name(name, {symbol.name for symbol in IMPORTED})
    return _Planner(struct).model("", struct, name)


def model_name(table: str) -> str:
    """A name for the model of a table.

    >>> model_name("order-events")
    'OrderEvents'
    """
    return class_name("", attribute_names([table])[table], {symbol.name for symbol in IMPORTED})


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a type stands: the path to it, and the class and attribute that hold it."""

    path: str
    owner: str
    attribute: str

    def inside(self, suffix: str) -> _Place:
        return _Place(self.path + suffix, self.owner, self.attribute)


class _Planner:
    """One run over a struct; `_taken` are the names that a further class can't have."""

    def __init__(self, struct: StructType) -> None:
        self._taken = {symbol.name for symbol in IMPORTED} | set(_attributes(struct))

    def model(self, path: str, struct: StructType, name: str) -> ClassPlan:
        if not struct.fields:
            raise SchemaError(path or name, "is a struct without fields, which no model can be. Leave it out")
        self._taken.add(name)
        attributes = attribute_names(struct.names)
        if len(attributes) < len(struct.fields):
            twice = next(column for column in struct.names if struct.names.count(column) > 1)
            raise SchemaError(_below(path, twice), "stands twice in its struct. Rename one of the two")
        has_aliases = any(column != attribute for column, attribute in attributes.items())
        fields = tuple(
            self._field(_Place(_below(path, column.name), name, attributes[column.name]), column)
            for column in struct.fields
        )
        return ClassPlan(name, fields, Call(_CONFIG_DICT, named=_ALIASED) if has_aliases else None)

    def _field(self, place: _Place, column: StructField) -> FieldPlan:
        metadata = _json(place.path, column.metadata or {})
        options: dict[str, Any] = {"default": None} if column.nullable else {}
        if place.attribute != column.name:
            options["alias"] = column.name
        annotation = self._stored(place, column.dataType, metadata)
        match annotation:
            case Subscript(base, (inner, Call(function, (), named))) if (base, function) == (_ANNOTATED, FIELD):
                annotation = inner
                options |= named
        if isinstance(metadata.get("comment"), str):
            options["description"] = metadata.pop("comment")
        if metadata:
            options["json_schema_extra"] = {"spark_metadata": metadata}
        return FieldPlan(place.attribute, _optional(annotation, column.nullable), options)

    def _stored(self, place: _Place, kind: DataType, metadata: dict[str, Any]) -> Annotation:
        """The annotation of a field's type; where it says the storage form, too, that is taken out of the metadata."""
        form = metadata.get("dynamodb")
        if isinstance(kind, ArrayType) and not kind.containsNull and _can_be_set(form, kind.elementType):
            del metadata["dynamodb"]
            return Subscript(_SET, (self._type(place.inside("[]"), kind.elementType),))
        annotation = self._type(place, kind)
        if isinstance(kind, TimestampType) and form in ("S", "N"):
            del metadata["dynamodb"]
            return Subscript(_ANNOTATED, (annotation, Call(_STORAGE_FORM, (form,))))
        return annotation

    def _type(self, place: _Place, kind: DataType) -> Annotation:
        match kind:
            case StructType():
                return self.model(place.path, kind, class_name(place.owner, place.attribute, self._taken))
            case ArrayType():
                element = self._type(place.inside("[]"), kind.elementType)
                return Subscript(_LIST, (_optional(element, kind.containsNull),))
            case MapType():
                return self._map(place.inside("{}"), kind)
            case DecimalType():
                return Subscript(_ANNOTATED, (_DECIMAL, Call(FIELD, named=_digits(place.path, kind))))
        natural = next((annotation for known, annotation in _NATURAL.items() if known == kind), None)
        return natural or _overridden(place.path, kind)

    def _map(self, place: _Place, kind: MapType) -> Annotation:
        if isinstance(kind.keyType, StructType | ArrayType | MapType | VariantType):
            problem = f"keys of {kind.keyType.simpleString()} can't be those of a dict. Cast them to STRING"
            raise SchemaError(place.path, problem)
        key = self._type(place, kind.keyType)
        value = _optional(self._type(place, kind.valueType), kind.valueContainsNull)
        return Subscript(_DICT, (key, _ANY_VARIANT if value == _ANY else value))


def _attributes(kind: DataType) -> Iterator[str]:
    """All attributes of all classes."""
    match kind:
        case StructType():
            yield from attribute_names(kind.names).values()
            for column in kind.fields:
                yield from _attributes(column.dataType)
        case ArrayType():
            yield from _attributes(kind.elementType)
        case MapType():
            yield from _attributes(kind.valueType)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _optional(annotation: Annotation, nullable: bool) -> Annotation:
    match annotation:
        case _ if not nullable:
            return annotation
        case Subscript(base, (inner, spark_type)) if (base, inner) == (_ANNOTATED, _OBJECT):
            anything = Subscript(_ANNOTATED, (_ANY, spark_type))
            return _ANY if anything == _ANY_VARIANT else anything
    return Optional(annotation)


def _can_be_set(form: Any, element: DataType) -> bool:
    return isinstance(form, str) and isinstance(element, _SETS.get(form, ()))


def _digits(path: str, kind: DecimalType) -> Mapping[str, int]:
    if not (0 <= kind.scale <= kind.precision <= _MAX_DIGITS and kind.precision):
        raise SchemaError(
            path, f"{kind.simpleString()} must have 0 <= scale <= precision <= {_MAX_DIGITS}, and a digit"
        )
    return {"max_digits": kind.precision, "decimal_places": kind.scale}


def _overridden(path: str, kind: DataType) -> Annotation:
    annotation = _OVERRIDDEN.get(type(kind).__name__)
    if annotation is None or not _is_read_from(leaf_ddl(kind), kind):
        raise SchemaError(
            path, f"{kind!r} has no name in Spark's SQL, by which a model could ask for it. Cast it to another type"
        )
    return Subscript(_ANNOTATED, (annotation, Call(_SPARK_TYPE, (leaf_ddl(kind),))))


def _is_read_from(text: str, kind: DataType) -> bool:
    try:
        return parse_ddl(text) == kind
    except SchemaError:
        return False


def _json(path: str, metadata: Any) -> Any:
    """A copy of a value of JSON; SchemaError for any other."""
    kind = type(metadata)
    if kind is dict and all(type(name) is str for name in metadata):
        return {name: _json(path, value) for name, value in metadata.items()}
    if kind is list:
        return [_json(path, value) for value in metadata]
    if kind in (str, int, bool, type(None)) or (kind is float and isfinite(metadata)):
        return metadata
    raise SchemaError(
        path, f"its metadata holds {shorten(repr(metadata))}, which is no JSON. Leave it out, or write it as text"
    )
