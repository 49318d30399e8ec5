"""The option `condition` of writes: a predicate in SQL about the item that is stored under the row's key."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from pyspark.sql.types import StructType

from spark_dynamo.errors import nearest
from spark_dynamo.predicates.columns import field_named, resolve
from spark_dynamo.predicates.conditions import LONGEST, MOST_OPERATORS, Placeholders, operators, render
from spark_dynamo.predicates.lexer import Reference, words
from spark_dynamo.predicates.parse import parse_references
from spark_dynamo.predicates.refusals import refused, refusing
from spark_dynamo.predicates.to_condition import Exact
from spark_dynamo.predicates.tree import Field, Node, Path, RowValue
from spark_dynamo.predicates.undeclared import declare
from spark_dynamo.wire.actions import Condition

_ROW = "new"


def parse_condition(
    text: str, stored_schema: StructType, frame_schema: StructType, zone: str | None = None, name: str = "condition"
) -> Condition:
    """The condition of DynamoDB that holds exactly where a predicate in Spark's SQL is TRUE of the stored item.

    `new.<column>` is the row's own value; a stored attribute called `new` is written in backticks. Where there is no item, every
    attribute is NULL, so `id IS NULL` asks that there is none. An attribute that `stored_schema` lacks has the type of what
    it is compared with; if its name is much like that of a column, it must be in backticks. Timestamps without a time zone
    are meant in `zone`.

    Two kinds of stored values make neither a comparison nor its negation TRUE, though they are not NULL: one of another
    attribute type, and the text of a date or timestamp in another form than this package writes.

    `OptionError`, about an option of that name, where the text can't be read, or says something that DynamoDB can't check exactly.

    >>> frame = StructType().add("id", "string").add("version", "long")
    >>> condition = parse_condition("id IS NULL OR version < new.version", frame, frame)
    >>> condition.expression
    'attribute_not_exists(#c0) OR attribute_type(#c0, :c0) OR (attribute_type(#c1, :c1) AND #c1 < :r0)'
    >>> condition.names, condition.values, condition.columns
    ({'#c0': 'id', '#c1': 'version'}, {':c0': {'S': 'NULL'}, ':c1': {'S': 'N'}}, {':r0': 'version'})
    """
    with refusing(name, f"leave it out of the {name}"):
        return _condition(condition_tree(text, stored_schema, frame_schema, name), zone)


def condition_tree(text: str, stored_schema: StructType, frame_schema: StructType, name: str = "condition") -> Node:
    """The tree of a condition, in which `new.<column>` is a `RowValue`."""
    with refusing(name, f"leave it out of the {name}"):
        known = _known(stored_schema, frame_schema)
        undeclared = declare(words(text), known)
        return parse_references(text, lambda reference: known(reference) or undeclared[reference.steps])


def _condition(node: Node, zone: str | None) -> Condition:
    piece = Exact(zone).of(node)
    if isinstance(piece, bool):
        raise refused("holds for every row; leave the option out" if piece else "can't hold for any row; correct it")
    placeholders = Placeholders(prefix=("#c", ":c"))
    expression = render(piece, placeholders)
    if len(expression) > LONGEST or operators(piece) > MOST_OPERATORS:
        raise refused(
            f"is too long for DynamoDB: {len(expression):,} characters of {LONGEST:,} and {operators(piece):,} operators of "
            f"{MOST_OPERATORS}; say less in it"
        )
    values = {placeholder: _json(value) for placeholder, value in placeholders.values.items()}
    return Condition(expression, placeholders.names, values, placeholders.rows)


def _json(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        tag: base64.b64encode(content).decode() if isinstance(content, bytes) else content
        for tag, content in value.items()
    }


def _known(stored: StructType, frame: StructType) -> Callable[[Reference], Path | None]:
    """What a reference means by the schemas; None where it is an attribute that they don't declare."""

    def find(reference: Reference) -> Path | None:
        first, quoted = reference.steps[0], reference.text.startswith("`")
        if first.lower() == _ROW and not quoted:
            return _row_value(reference, frame)
        if field_named(first, stored.fields) is not None:
            return resolve(reference, stored)
        close = nearest(first, stored.names)
        if close and not quoted and first not in frame.names:
            raise refused(
                f"names '{first}', and there is no such column; did you mean '{close}'? If the stored items have an "
                f"attribute of that name, write it in backticks: `{first}`"
            )
        return None

    return find


def _row_value(reference: Reference, frame: StructType) -> RowValue:
    if len(reference.steps) != 2:
        raise refused(
            f"has '{reference.text}'; write new.<column> for the row's value, where the column is a whole one of the frame, "
            "or `new` in backticks for a stored attribute of that name"
        )
    name = reference.steps[1]
    if field_named(name, frame.fields) is None:
        close = nearest(name, frame.names)
        hint = f"did you mean '{_ROW}.{close}'?" if close else f"its columns are {', '.join(frame.names)}"
        raise refused(f"names '{reference.text}', and the frame has no such column; {hint}")
    path = resolve(Reference((name,), reference.text), frame)
    return RowValue(_ROW, (Field(path.column),), path.kind, path.tag)
