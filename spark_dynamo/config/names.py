"""The names of tables in DynamoDB, of the environments in them, and of the servers that have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from spark_dynamo.errors import ConfigurationError, shorten
from spark_dynamo.errors.masking import check_no_login

ENVIRONMENTS = ("dev", "staging", "prod")
# the metadata tables, each with the model of its items, as option `model` of the data source names one
LOGICAL_TABLES: Mapping[str, str] = MappingProxyType(
    {
        "pipeline_config": "spark_dynamo.metadata.models:PipelineConfig",
        "table_config": "spark_dynamo.metadata.models:TableConfig",
        "pipeline_run_logs": "spark_dynamo.metadata.models:PipelineRunLog",
    }
)
_OF_AWS = re.compile(r"\.amazonaws\.com(\.cn)?$")
_REGION = re.compile(r"(?:^|\.)s3[.-](?:dualstack\.|fips\.)*([a-z]{2}(?:-[a-z]+)+-\d+)\.")
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
    """The environment as it was given where it is dev, staging or prod; else ConfigurationError."""
    if environment not in ENVIRONMENTS:
        raise ConfigurationError(
            f"Environment must be one of {', '.join(ENVIRONMENTS)}, not {shorten(repr(environment))}"
        )
    return environment


def check_endpoint_url(url: str) -> str:
    """The address as it was given where it is an http(s) URL with a host, and a port that can be one; else ConfigurationError.

    So is one with a user or a password in it: no request would carry them, and every message would.

    >>> check_endpoint_url("http://localhost:8000")
    'http://localhost:8000'
    """
    check_no_login(url)
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number or too high, half a bracket
        is_http = False
    if not is_http or re.search(r"\s", url):
        raise ConfigurationError(
            f"Endpoint URL {shorten(repr(url))} must begin with http:// or https:// and name a host, as in "
            "'http://localhost:8000'; leave it out to reach AWS itself"
        )
    return url


def told_by_s3_endpoint(endpoint: str, scheme: str) -> dict[str, str]:
    """What an endpoint for S3 tells of DynamoDB: of AWS's own the region, else that the same server is asked.

    `scheme` is that of an endpoint without one.

    >>> told_by_s3_endpoint("s3.eu-west-1.amazonaws.com", "https"), told_by_s3_endpoint("localhost:4566", "http")
    ({'region_name': 'eu-west-1'}, {'endpoint_url': 'http://localhost:4566'})
    """
    url = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
    host = urlsplit(check_endpoint_url(url)).hostname or ""
    if not _OF_AWS.search(host):
        return {"endpoint_url": url}
    region = _REGION.search(host)
    return {"region_name": region[1]} if region else {}
