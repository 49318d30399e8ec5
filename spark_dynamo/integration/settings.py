"""What the metadata tables say, as Spark takes it: texts of settings and options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

from spark_dynamo.config.layers import stack
from spark_dynamo.errors import ConfigurationError
from spark_dynamo.metadata.models import PipelineConfig, TableConfig
from spark_dynamo.source.options.table import OPTIONS

S3A_KEYS = {
    "spark.hadoop.fs.s3a.access.key": "aws_access_key_id",
    "spark.hadoop.fs.s3a.secret.key": "aws_secret_access_key",
    "spark.hadoop.fs.s3a.session.token": "aws_session_token",
}
SECRET_OPTIONS = frozenset({*S3A_KEYS, "accessKeyId", "secretAccessKey", "sessionToken", "externalId"})
CREDENTIALS = frozenset(
    {"accessKeyId", "secretAccessKey", "sessionToken", "profile"}
)  # they come from one layer together
_NAMES = {option.name.lower(): option.name for option in OPTIONS}
RESOURCES = {"spark.executor.cores": "cpu_cores", "spark.executor.memory": "memory_gb"}  # setting -> field
_MIB_OF_GB = 1024


def resource_settings(pipeline: PipelineConfig) -> dict[str, str]:
    """The executor settings that the pipeline's own fields ask for."""
    settings: dict[str, str] = {}
    for setting, field in RESOURCES.items():
        value = getattr(pipeline, field)
        if value is None:
            continue
        amount = Decimal(value).normalize()
        if amount <= 0:
            raise ConfigurationError(
                f"Pipeline '{pipeline.pipeline_id}': {field} is {amount:f}, and must be greater than 0"
            )
        if field == "memory_gb":
            mebibytes = (amount * _MIB_OF_GB).to_integral_value(ROUND_CEILING)
            settings[setting] = f"{mebibytes:f}m"
        else:
            settings[setting] = f"{amount:f}"
    return settings


def setting_texts(given: Mapping[str, object] | None) -> dict[str, str]:
    """Further settings as texts, without those that are None."""
    texts = {name: as_text(value, f"Setting '{name}' of additional_config") for name, value in (given or {}).items()}
    return {name: text for name, text in texts.items() if text is not None}


def option_texts(table: TableConfig, field: str) -> dict[str, Any]:
    """The options of one field of a table's configuration, as Spark takes them; partitionBy stays a list."""
    options: dict[str, Any] = {}
    for name, value in getattr(table, field).items():
        text = as_text(value, f"Table '{table.table_id}': option '{name}' of {field}")
        if name == "partitionBy" and isinstance(value, list):
            options[name] = [str(column) for column in value]
        elif text is not None:
            options[name] = text
    return options


def layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the data source from several layers, the strongest last, by the names that the source writes.

    Credentials are those of the strongest layer that has any, and never put together from several.

    >>> layered({"accessKeyId": "a", "sessionToken": "t", "region": "eu-west-1"}, {"PROFILE": "other"})
    {'region': 'eu-west-1', 'profile': 'other'}
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        named = {_NAMES.get(name.lower(), name): value for name, value in layer.items()}
        merged = stack(named, merged, CREDENTIALS)
    return merged


def as_text(value: object, where: str) -> str | None:
    """A setting as Spark writes it: true, 5, 0.25, a,b; None where there is none. A mapping becomes JSON."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case str() | int() | float():
            return str(value)
        case Decimal():
            return format(value, "f")
        case list() | tuple() if all(isinstance(element, str | int | float | Decimal) for element in value):
            return ",".join(str(as_text(element, where)) for element in value)
        case dict() | list() | tuple():
            try:
                return json.dumps(value, default=_number)
            except TypeError:
                pass
    raise ConfigurationError(f"{where} is of type {type(value).__name__}: use a text, a number or a list")


def _number(value: object) -> int | float:
    """A Decimal in JSON, where that is exact."""
    if isinstance(value, Decimal):
        number = int(value) if value == value.to_integral_value() else float(value)
        if Decimal(str(number)) == value:
            return number
    raise TypeError
