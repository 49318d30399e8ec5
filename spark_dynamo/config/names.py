"""The names of tables in DynamoDB."""

from __future__ import annotations

import re

from spark_dynamo.errors import ConfigurationError, shorten

ENVIRONMENTS = ("dev", "staging", "prod")
_TABLE_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}")


def physical_table_name(table: str, prefix: str, environment: str) -> str:
    """The name in DynamoDB of a logical table: `{prefix}_{environment}_{table}`.

    An empty prefix is left out, and so is the environment `prod`. Raises ConfigurationError where the environment is
    none of dev, staging, prod, and where DynamoDB doesn't allow the resulting name.

    >>> physical_table_name("users", "myapp", "dev"), physical_table_name("users", "myapp", "prod")
    ('myapp_dev_users', 'myapp_users')
    """
    check_environment(environment)
    if not table:
        raise ConfigurationError("A table name is required, not an empty text: name the logical table, as in 'users'")
    name = "_".join(part for part in (prefix, "" if environment == "prod" else environment, table) if part)
    if not _TABLE_NAME.fullmatch(name):
        raise ConfigurationError(
            f"Table name {shorten(repr(name))} (prefix {shorten(repr(prefix))}, environment '{environment}', table "
            f"{shorten(repr(table))}) is none that DynamoDB allows: use 3 to 255 letters, digits, '_', '-' and '.'"
        )
    return name


def check_environment(environment: str) -> str:
    """The same environment where it is dev, staging or prod; else ConfigurationError."""
    if environment not in ENVIRONMENTS:
        raise ConfigurationError(
            f"Environment must be one of {', '.join(ENVIRONMENTS)}, not {shorten(repr(environment))}"
        )
    return environment
