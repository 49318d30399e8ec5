"""Names in a predicate -> paths into the schema, resolved as Spark resolves them."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructField, StructType, VariantType

from spark_dynamo.errors import nearest, shorten
from spark_dynamo.predicates.lexer import Reference
from spark_dynamo.predicates.refusals import refused
from spark_dynamo.predicates.tree import Field, Key, Path
from spark_dynamo.wire import types

_MOST_LISTED = 12


def resolve(reference: Reference, schema: StructType) -> Path:
    """The path that a reference means; `OptionError` where there is no such column or field."""
    first, *rest = reference.steps
    column = field_named(first, schema.fields)
    if column is None:
        raise refused(_unknown(f"'{first}'", first, schema.names, "column") + _dotted(reference, schema))
    kind, tag = column.dataType, types.storage_tag(column)
    steps: list[Field | Key] = []
    for index, name in enumerate(rest):
        if isinstance(kind, MapType):
            if kind.keyType != StringType():
                raise refused(f"looks up '{name}' in a map whose keys are {kind.keyType.simpleString()}; {_AFTER_LOAD}")
            steps.append(Key(name))
            kind, tag = kind.valueType, None
            continue
        if not isinstance(kind, StructType):
            below = ".".join(reference.steps[: index + 1])
            raise refused(
                f"looks for '{name}' in '{below}', which is {types.ddl(kind)} and has no fields; {_AFTER_LOAD}"
            )
        field = field_named(name, kind.fields)
        if field is None:
            raise refused(_unknown(f"'{reference.text}'", name, kind.names, "field"))
        steps.append(Field(field.name))
        kind, tag = field.dataType, types.storage_tag(field)
    return Path(column.name, tuple(steps), kind, _wire_tag(kind, tag, reference.text))


_AFTER_LOAD = "use .where(...) after load"


def field_named(name: str, fields: Sequence[StructField]) -> StructField | None:
    """The field of that name: the exact one, else the only one that differs in letter case."""
    exact = [field for field in fields if field.name == name]
    alike = exact or [field for field in fields if field.name.lower() == name.lower()]
    if len(alike) > 1:
        raise refused(
            f"names '{name}', which may be {' or '.join(field.name for field in alike)}; write it as in the schema"
        )
    return alike[0] if alike else None


def _unknown(shown: str, name: str, known: Sequence[str], what: str) -> str:
    close = nearest(name, known)
    hint = f" Did you mean '{close}'?" if close else ""
    listed = ", ".join(known[:_MOST_LISTED]) + (
        f" and {len(known) - _MOST_LISTED} more" if len(known) > _MOST_LISTED else ""
    )
    there = f"The {what}s are {listed}" if known else f"There are no {what}s"
    return f"names {shown}, and there is no such {what}.{hint} {there}"


def _dotted(reference: Reference, schema: StructType) -> str:
    """A hint where a column has dots in its own name."""
    whole = ".".join(reference.steps)
    if len(reference.steps) > 1 and whole in schema.names:
        return f". Write `{whole}` in backticks to name the column with dots"
    return ""


def _wire_tag(kind: DataType, tag: str | None, path: str) -> str:
    if isinstance(kind, VariantType):
        return ""
    if isinstance(kind, StructType | MapType):
        return "M"
    if isinstance(kind, ArrayType):
        return "L" if types.element_tag(kind, tag, shorten(path)) is None else str(tag)
    return types.leaf_of(kind, tag, path).tag
