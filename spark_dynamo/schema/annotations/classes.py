"""Classes with fields, each of which becomes a struct: models, dataclasses, TypedDicts, NamedTuples; and RootModels."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Generic, Protocol, get_args, get_origin

import typing_extensions
from pydantic import BaseModel, ConfigDict, RootModel
from pydantic.fields import FieldInfo
from pyspark.sql.types import StructType

from spark_dynamo.errors import SchemaError, shorten
from spark_dynamo.schema.annotations.containers import dump_one, field_of
from spark_dynamo.schema.annotations.inputs import Input, finished, first_text, loader, ways_to
from spark_dynamo.schema.annotations.leaves import UNCHANGED
from spark_dynamo.schema.annotations.own_types import serialized_as
from spark_dynamo.schema.annotations.places import MISSING, Arguments, LeftOut, Place, below
from spark_dynamo.schema.annotations.recursion import becomes_variant, enter, is_known_arm, note_done, recursive_node
from spark_dynamo.schema.annotations.serialization import computed_fields, field_node, model_serialized, reader_of
from spark_dynamo.schema.nodes import FieldNode, Node

__all__ = ["class_node", "is_class_with_fields"]

Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Field:
    """A field as its class declares it.

    `may_lack` says that a TypedDict may be without it, `is_input` that validation takes it.
    """

    attribute: str
    annotation: Any
    info: FieldInfo | None
    read: Read
    may_lack: bool = False
    is_input: bool = True


def is_class_with_fields(annotation: Any) -> bool:
    """Whether it is a class, or a generic class with its arguments, that has a struct of its own."""
    return _kind_of(get_origin(annotation) or annotation) is not None


def class_node(place: Place, annotation: Any) -> Node:
    """The struct of a class, or of a generic class with its arguments; of a RootModel its content."""
    cls = get_origin(annotation) or annotation
    kind = _kind_of(cls)
    assert kind is not None
    if becomes_variant(place, cls):
        return recursive_node(place, cls, annotation)
    if is_known_arm(place, annotation):
        enter(place, cls)  # which it may not, where the policy has a number of levels
        return dataclasses.replace(recursive_node(place, cls, annotation), model=cls)
    node = kind(place, cls, _arguments_of(annotation, place.arguments))
    if isinstance(node.data_type, StructType):
        note_done(place, annotation)
    no_input = [field.name for field in dataclasses.fields(cls) if not _is_input(field)] if kind is _dataclass else []
    later = [child for child in node.fields if child.attribute in no_input]
    return dataclasses.replace(node, load=finished(node, annotation, later)) if later else node


def _is_input(field: dataclasses.Field[Any]) -> bool:
    """Whether `__init__` takes the field; before 2.14 Pydantic tells of its own `Field(init=False)` in the default alone."""
    return field.init and not (isinstance(field.default, FieldInfo) and field.default.init is False)


def _kind_of(cls: Any) -> Callable[[Place, Any, Arguments], Node] | None:
    if not isinstance(cls, type):
        return None
    if issubclass(cls, BaseModel):
        return _root_model if issubclass(cls, RootModel) else _model
    if dataclasses.is_dataclass(cls):
        return _dataclass
    if typing_extensions.is_typeddict(cls):
        return _typed_dict
    return _named_tuple if issubclass(cls, tuple) and hasattr(cls, "_fields") else None


def _arguments_of(annotation: Any, outer: Arguments) -> Arguments:
    """What stands for the type variables of a generic class and of the generic classes that it derives from."""
    cls = get_origin(annotation) or annotation
    if isinstance(cls, type) and issubclass(cls, BaseModel):
        return {}  # Pydantic has put them into the fields
    given = zip(getattr(cls, "__parameters__", ()), get_args(annotation), strict=False)
    found: dict[Any, tuple[Any, Any]] = {variable: (argument, outer) for variable, argument in given}
    here = dict(found)
    for base in getattr(cls, "__orig_bases__", ()):
        if get_origin(base) not in (None, Generic, Protocol):
            found = {**_arguments_of(base, here), **found}
    return found


# ---------------------------------------------------------------------------------------------------- the four kinds


def _root_model(place: Place, cls: type[RootModel[Any]], arguments: Arguments) -> Node:
    _complete(place, cls)
    info = cls.model_fields["root"]
    inside = dataclasses.replace(enter(place, cls), is_arm=False)
    inner = inside.annotated([info]).node(info.annotation)
    return dataclasses.replace(inner, dump=lambda value: dump_one(inner, value.root))


def _model(place: Place, cls: type[BaseModel], arguments: Arguments) -> Node:
    if cls is BaseModel:
        return _without_fields(place, cls)
    _complete(place, cls)
    serialized = model_serialized(place, cls)
    if serialized is not None:
        return serialized
    known = frozenset(cls.model_fields)
    fields = [
        _Field(name, info.annotation, info, reader_of(place, cls, name, info))
        for name, info in cls.model_fields.items()
    ]

    def check(value: Any) -> None:
        if type(value) is not cls:
            if not isinstance(value, BaseModel):
                raise _unvalidated(place, cls, value)
            _check_subclass(place, cls, value, frozenset(type(value).model_fields) - known)
        if value.__pydantic_extra__:
            raise ValueError(
                f"{_named(place, cls)} has values that no column holds: {', '.join(value.__pydantic_extra__)}"
            )

    return _struct(place, cls, fields, cls.model_config, check)


def _dataclass(place: Place, cls: type[Any], arguments: Arguments) -> Node:
    if hasattr(cls, "__pydantic_fields__"):
        _complete(place, cls)
    hints = _hints(place, cls)
    declared = getattr(cls, "__pydantic_fields__", None)
    fields = []
    for field in dataclasses.fields(cls):
        if declared is not None:
            info = declared[field.name]
        else:
            default = field.default if isinstance(field.default, FieldInfo) else field
            info = FieldInfo.from_annotated_attribute(hints[field.name], default)
        read = reader_of(place, cls, field.name, info)
        fields.append(_Field(field.name, info.annotation, info, read, is_input=_is_input(field)))
    known = frozenset(field.attribute for field in fields)

    def check(value: Any) -> None:
        if type(value) is not cls:
            if isinstance(value, type) or not dataclasses.is_dataclass(value):
                raise _unvalidated(place, cls, value)
            _check_subclass(place, cls, value, frozenset(field.name for field in dataclasses.fields(value)) - known)

    return _struct(place, cls, fields, getattr(cls, "__pydantic_config__", {}), check, arguments)


def _typed_dict(place: Place, cls: type[Any], arguments: Arguments) -> Node:
    hints = _hints(place, cls)
    required: frozenset[str] = cls.__required_keys__
    fields = []
    for name, hint in hints.items():
        while get_origin(hint) in _QUALIFIERS:
            (hint,) = get_args(hint)
        info = FieldInfo.from_annotation(hint)
        fields.append(_Field(name, info.annotation, info, partial(_get, name), name not in required))

    def check(value: Mapping[str, Any]) -> None:
        extra = value.keys() - hints.keys()
        if extra:
            raise ValueError(f"{_named(place, cls)} has values that no column holds: {', '.join(map(str, extra))}")

    return _struct(place, cls, fields, getattr(cls, "__pydantic_config__", {}), check, arguments)


_QUALIFIERS = (typing_extensions.Required, typing_extensions.NotRequired, typing_extensions.ReadOnly)


def _get(name: str, value: Mapping[str, Any]) -> Any:
    return value.get(name)


def _named_tuple(place: Place, cls: Any, arguments: Arguments) -> Node:
    hints = _hints(place, cls)
    infos = {name: FieldInfo.from_annotation(hints.get(name, Any)) for name in cls._fields}
    fields = [_Field(name, info.annotation, info, operator.attrgetter(name)) for name, info in infos.items()]
    return _struct(place, cls, fields, {}, lambda value: None, arguments)


def _hints(place: Place, cls: type[Any]) -> dict[str, Any]:
    try:
        return typing_extensions.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise place.refuse(
            f"{cls.__name__} refers to what is not defined: {error}. Define it in the same module"
        ) from error


def _complete(place: Place, cls: Any) -> None:
    if not cls.__pydantic_complete__ and issubclass(cls, BaseModel):
        cls.model_rebuild(raise_errors=False)


# ---------------------------------------------------------------------------------------------------- their struct


def _struct(
    place: Place,
    cls: type[Any],
    declared: list[_Field],
    config: ConfigDict | Mapping[str, Any],
    check: Callable[[Any], None],
    arguments: Arguments | None = None,
) -> Node:
    place.refuse_form("a model")
    inner = enter(place, cls, arguments)
    fields: list[FieldNode] = []
    inputs: list[Input] = []
    left_out: list[_Left] = []
    for field in map(_may_lack, declared):
        if field.info is not None and field.info.exclude and place.walk.mode == "serialization":
            continue
        name = _column_name(inner, field, config)
        ways = ways_to(field.attribute, field.info, config)
        try:
            node = _field_node(inner, cls, name, field)
        except LeftOut:
            left_out.append(_Left(field.read, below(place.path, name)))
            inputs.append(Input(name, ways, empty=_empty(field)))
            continue
        comment = field.info.description if field.info else None
        fields.append(FieldNode(name, field.attribute, node, comment, field.info, field.read))
        if field.is_input:
            inputs.append(Input(name, ways, node, field.info, field.may_lack))
    fields.extend(computed_fields(inner, cls, _by_alias(inner, config)))
    if not fields:
        return _without_fields(place, cls, has_any=bool(left_out))
    _check_names(place, fields)
    return Node(
        place.path,
        StructType([field_of(child, _spark_metadata(inner, child)) for child in fields]),
        constraints=place.constraints,
        fields=tuple(fields),
        model=cls,
        dump=_dump(fields, left_out, check),
        load=loader(inputs, config.get("extra"), {child.name for child in fields}),
    )


def _without_fields(place: Place, cls: type[Any], *, has_any: bool = False) -> Node:
    """A VARIANT, which holds what further fields there are; SchemaError for a table, and where the policy left fields out."""
    node = serialized_as(place, cls, Any) if place.path and not has_any else None
    if node is None:
        raise SchemaError(place.path or cls.__name__, f"model {cls.__name__} has no fields. Add one, or use Any")
    return node


def _may_lack(field: _Field) -> _Field:
    """The field, of which null says that it isn't given where its annotation has Pydantic's `MISSING`."""
    arms = get_args(field.annotation)
    if not any(arm is MISSING for arm in arms):
        return field

    def read(instance: Any) -> Any:
        held = field.read(instance)
        if held is None and type(None) in arms:
            raise ValueError(f"{field.attribute} is None, which would come back as MISSING: a column has one null")
        return None if held is MISSING else held

    return dataclasses.replace(field, read=read, may_lack=True)


def _field_node(place: Place, cls: type[Any], name: str, field: _Field) -> Node:
    node = field_node(place.field(name), cls, field.attribute, field.annotation, field.info)
    nullable = node.nullable or field.may_lack
    if field.info is not None and getattr(field.info, "exclude_if", None) and place.walk.mode == "serialization":
        nullable = True
    return node if nullable == node.nullable else dataclasses.replace(node, nullable=nullable)


def _spark_metadata(place: Place, child: FieldNode) -> Mapping[str, Any]:
    """What `json_schema_extra={"spark_metadata": {...}}` says of a field."""
    extra = child.info.json_schema_extra if child.info else None
    said = extra.get("spark_metadata", {}) if isinstance(extra, Mapping) else {}
    if not isinstance(said, Mapping):
        raise SchemaError(
            child.node.path, f"spark_metadata is a dict of a column's metadata, not {shorten(repr(said))}"
        )
    return said


def _by_alias(place: Place, config: ConfigDict | Mapping[str, Any]) -> bool:
    asked = place.walk.by_alias
    return bool(config.get("serialize_by_alias", False)) if asked is None else asked


def _column_name(place: Place, field: _Field, config: ConfigDict | Mapping[str, Any]) -> str:
    if field.info is None or not _by_alias(place, config):
        return field.attribute
    if place.walk.mode == "serialization":
        return field.info.serialization_alias or field.info.alias or field.attribute
    alias = field.info.validation_alias or field.info.alias
    if alias is None:
        return field.attribute
    name = first_text(alias)
    return field.attribute if name is None else name  # a path into other values is no column's name


def _check_names(place: Place, fields: list[FieldNode]) -> None:
    seen: dict[str, str] = {}
    for child in fields:
        if child.name in seen:
            raise SchemaError(
                below(place.path, child.name), f"the fields {seen[child.name]} and {child.attribute} have this one name"
            )
        seen[child.name] = child.attribute


# ---------------------------------------------------------------------------------------------------- dump


@dataclass(frozen=True, slots=True)
class _Left:
    """A field that the policy leaves out: it must be empty on the way in."""

    read: Read
    path: str


def _dump(
    fields: list[FieldNode], left_out: list[_Left], check: Callable[[Any], None]
) -> Callable[[Any], dict[str, Any]]:
    steps = [
        (child.name, child.read, child.node.dump, UNCHANGED.get(child.node.dump), child.node.nullable, child.node.path)
        for child in fields
    ]

    def dump(value: Any) -> dict[str, Any]:
        check(value)
        row: dict[str, Any] = {}
        for name, read, convert, unchanged, nullable, path in steps:
            held = read(value)
            if held is None and not nullable:
                raise ValueError(f"{path} is None, which its type doesn't allow")
            row[name] = held if convert is None or held is None or type(held) is unchanged else convert(held)
        for left in left_out:
            if left.read(value):
                raise ValueError(f"{left.path} is nested deeper than the policy's levels of recursion")
        return row

    return dump


def _empty(field: _Field) -> Callable[[], Any] | None:
    """What a required field that the policy leaves out is filled with; None where its default does."""
    if field.info is None or not field.info.is_required():
        return None
    annotation = field.annotation
    if type(None) in get_args(annotation):
        return lambda: None
    origin = get_origin(annotation)
    return _EMPTY.get(origin, lambda: None)


_EMPTY: Mapping[Any, Callable[[], Any]] = MappingProxyType(
    {list: list, set: set, frozenset: frozenset, tuple: tuple, dict: dict}
)


def _unvalidated(place: Place, cls: type[Any], value: Any) -> TypeError:
    """The error of what has been assigned to the field without validation."""
    return TypeError(f"{_named(place, cls)} is a {type(value).__name__}, and no {cls.__name__}")


def _check_subclass(place: Place, cls: type[Any], value: Any, further: frozenset[str]) -> None:
    """ValueError for what has fields beyond the class, which would be lost."""
    if further:
        raise ValueError(
            f"{_named(place, cls)} is a {type(value).__name__}, whose fields {', '.join(sorted(further))} no column holds"
        )


def _named(place: Place, cls: type[Any]) -> str:
    return f"{place.path} ({cls.__name__})" if place.path else cls.__name__
