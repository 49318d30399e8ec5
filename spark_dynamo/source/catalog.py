"""Tables of Spark's catalog: what Spark hands to a Python source of `CREATE TABLE ... USING`, and what is kept of it for reads.

Spark hands the OPTIONS of such a table over once, when it is created without columns and asks for its schema. Later reads and
writes get none of them. But the catalog keeps the schema with the metadata of its fields, and gives it to each read; so that is
where the options of reads are kept. A write gets the metadata of its frame, which may be that of another table.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql.types import StructField, StructType

from spark_dynamo.errors import OptionError
from spark_dynamo.source.options.table import OPTIONS

_KEPT = "dynamodb_options"  # in the metadata of the first field
_PREFIX = "option."
_OF_CREATION = frozenset({"owner", "provider"})  # properties that Spark adds to those of a table that is created
_SECRETS = {option.name.lower(): option.name for option in OPTIONS if option.secret}


def options_of_creation(given: Mapping[str, str]) -> dict[str, str] | None:
    """The options of the `CREATE TABLE` that asks for a schema, without the table's properties; None for any other read or write.

    >>> properties = {"owner": "ann", "provider": "dynamo-meta", "option.table": "orders", "table": "orders", "team": "sales"}
    >>> options_of_creation(properties), options_of_creation({"table": "orders"})
    ({'table': 'orders'}, None)
    """
    if not given.keys() >= _OF_CREATION:
        return None
    options = {name.removeprefix(_PREFIX): value for name, value in given.items() if name.startswith(_PREFIX)}
    return options if "path" not in given else {"path": given["path"], **options}


def with_options(schema: StructType, options: Mapping[str, str]) -> StructType:
    """The schema with the options in it; OptionError for secrets, which no catalog should keep.

    >>> schema = with_options(StructType().add("id", "string"), {"table": "orders"})
    >>> options_in(schema), options_in(without_options(schema))
    ({'table': 'orders'}, {})
    """
    for name in options:
        if name.lower() in _SECRETS:
            raise OptionError(
                _SECRETS[name.lower()],
                "is not for CREATE TABLE, whose options the catalog keeps and shows; leave it to the environment, a profile or a "
                "role, or make a temporary view",
            )
    return _with_metadata(schema, {_KEPT: dict(options)})


def options_in(schema: StructType) -> dict[str, str]:
    """The options that the schema of a catalog's table has in it."""
    return dict(schema[0].metadata.get(_KEPT, {})) if len(schema) else {}


def without_options(schema: StructType) -> StructType:
    """The schema as it was before."""
    return _with_metadata(schema, {}) if options_in(schema) else schema


def missing_table(instead: str) -> OptionError:
    """The error of a read or write that names no table; `instead` is the SQL that does for a table of the catalog."""
    return OptionError(
        "table",
        "is missing; name the table, as in .load('orders') or .option('table', 'orders'). If this is about a table of Spark's "
        f"catalog: Spark does not hand its options on, so {instead}",
    )


def _with_metadata(schema: StructType, added: Mapping[str, object]) -> StructType:
    first = schema[0]
    metadata = {**{name: value for name, value in first.metadata.items() if name != _KEPT}, **added}
    return StructType([StructField(first.name, first.dataType, first.nullable, metadata), *schema.fields[1:]])
