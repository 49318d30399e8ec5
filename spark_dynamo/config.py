"""Where DynamoDB is, how to reach it and how tables are named: `DynamoDBConfig`.

Values come in layers, the nearest to the operator first, so that deployed code can be redirected without touching it:

1. environment variables (those of `ENVIRONMENT_VARIABLES`; an empty one counts as not set, as in AWS's own tools)
2. the file `.env` of the working directory, with the same names
3. arguments
4. a factory's defaults, then the fields' own

The three credential fields come from one layer together: a key id is never joined to the secret of another layer.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import pydantic
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from spark_dynamo.errors import ConfigurationError, nearest, shorten

__all__ = [
    "ENVIRONMENTS",
    "ENVIRONMENT_VARIABLES",
    "ConfigurationOverrideWarning",
    "DynamoDBConfig",
    "Secret",
    "physical_table_name",
]

ENVIRONMENTS = ("dev", "staging", "prod")

ENVIRONMENT_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "aws_access_key_id": "AWS_ACCESS_KEY_ID",
        "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
        "aws_session_token": "AWS_SESSION_TOKEN",
        "region_name": "AWS_REGION",
        "endpoint_url": "DYNAMODB_ENDPOINT_URL",
        "table_prefix": "DYNAMODB_TABLE_PREFIX",
        "environment": "ENVIRONMENT",
        "enable_debug_logging": "DYNAMODB_DEBUG_LOGGING",
        "default_timezone": "DYNAMODB_TIMEZONE",
        "user_timezone": "DYNAMODB_USER_TIMEZONE",
    }
)

_CREDENTIALS = frozenset({"aws_access_key_id", "aws_secret_access_key", "aws_session_token"})

# field -> option of the data source
_SPARK_OPTIONS = {
    "region_name": "region",
    "endpoint_url": "endpointUrl",
    "aws_access_key_id": "accessKeyId",
    "aws_secret_access_key": "secretAccessKey",
    "aws_session_token": "sessionToken",
    "environment": "environment",
    "table_prefix": "tablePrefix",
}

# setting of a Spark session -> field
_SPARK_CONF = {
    "spark.hadoop.fs.s3a.access.key": "aws_access_key_id",
    "spark.hadoop.fs.s3a.secret.key": "aws_secret_access_key",
    "spark.hadoop.fs.s3a.endpoint.region": "region_name",
}

_TABLE_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}")


class ConfigurationOverrideWarning(UserWarning):
    """An environment variable took the place of a differing argument.

    A category of its own, so that `warnings.filterwarnings` can silence it or make it an error by name. It is a warning
    and no log record because it is shown without any logging set up, once for each place in the code.
    """


class Secret(SecretStr):
    """A text that nothing shows, yet that compares with plain text.

    `repr`, `str`, f-strings, logs and JSON dumps show `**********`. It is no `str`, so that boto3, `json.dumps` and
    whatever else needs the value itself refuse it loudly: hand over `get_secret_value()`.

    >>> key = Secret("local")
    >>> key == "local", f"{key}", key.get_secret_value()
    (True, '**********', 'local')
    """

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SecretStr):
            return self.get_secret_value() == other.get_secret_value()
        return self.get_secret_value() == other

    def __hash__(self) -> int:
        return hash(self.get_secret_value())


def physical_table_name(table: str, prefix: str, environment: str) -> str:
    """The name in DynamoDB of a logical table: `{prefix}_{environment}_{table}`.

    An empty prefix is left out, and so is the environment `prod`. Raises ConfigurationError where the environment is
    none of dev, staging, prod, and where DynamoDB doesn't allow the resulting name.

    >>> physical_table_name("users", "myapp", "dev"), physical_table_name("users", "myapp", "prod")
    ('myapp_dev_users', 'myapp_users')
    """
    _check_environment(environment)
    if not table:
        raise ConfigurationError("A table name is required, not an empty text: name the logical table, as in 'users'")
    name = "_".join(part for part in (prefix, "" if environment == "prod" else environment, table) if part)
    if not _TABLE_NAME.fullmatch(name):
        raise ConfigurationError(
            f"Table name {shorten(repr(name))} (prefix {shorten(repr(prefix))}, environment '{environment}', table "
            f"{shorten(repr(table))}) is none that DynamoDB allows: use 3 to 255 letters, digits, '_', '-' and '.'"
        )
    return name


class _Layer(PydanticBaseSettingsSource):
    """Values of one origin. Its credentials count only where no layer above has any."""

    def __init__(self, settings_cls: type[BaseSettings], values: Mapping[str, Any]) -> None:
        super().__init__(settings_cls)
        self._values = values

    @classmethod
    def of_variables(cls, source: PydanticBaseSettingsSource) -> _Layer:
        """The listed variables of the environment or of a `.env` file, and no others."""
        assert isinstance(source, EnvSettingsSource)
        variables = source.env_vars
        return cls(
            source.settings_cls,
            {field: variables[name] for field, name in ENVIRONMENT_VARIABLES.items() if variables.get(name)},
        )

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return _stack(self.current_state, self._values)


def _stack(upper: Mapping[str, Any], lower: Mapping[str, Any]) -> dict[str, Any]:
    """Both layers as one: the upper wins, and the lower's credentials count only where the upper has none."""
    whole = _CREDENTIALS.isdisjoint(upper)
    return {field: value for field, value in lower.items() if whole or field not in _CREDENTIALS} | dict(upper)


class DynamoDBConfig(BaseSettings):
    """How to reach DynamoDB, and how its tables are named; unchangeable once made.

    Environment variables win over `.env`, `.env` over arguments; a ConfigurationOverrideWarning tells where one takes
    the place of a differing argument. Without keys, AWS's own chain decides (roles, SSO, profiles). The credential
    fields are `Secret`: never shown, equal to plain text. A bad value or an unknown name raises ConfigurationError.

    >>> config = DynamoDBConfig(table_prefix="myapp", environment="staging")
    >>> config.get_table_name("users")
    'myapp_staging_users'
    """

    model_config = SettingsConfigDict(
        case_sensitive=True,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    aws_access_key_id: Secret | None = Field(None, min_length=1, description="Access key id; None: AWS's own chain")
    aws_secret_access_key: Secret | None = Field(None, min_length=1, description="Secret key; None: AWS's own chain")
    aws_session_token: Secret | None = Field(None, min_length=1, description="Token of temporary credentials")
    region_name: str = Field("us-east-1", description="AWS region of the tables")
    endpoint_url: str | None = Field(None, description="http(s) address of a local server or VPC endpoint; None: AWS")
    table_prefix: str = Field("", description="First part of every physical table name; empty: none")
    max_pool_connections: int = Field(50, ge=1, description="Connections that one client keeps open")
    retries: int = Field(3, ge=0, description="Times a failed request is sent again")
    timeout_seconds: float = Field(30.0, gt=0, allow_inf_nan=False, description="Seconds to connect, and to read")
    environment: str = Field("dev", description="dev, staging or prod; part of every physical table name but in prod")
    enable_debug_logging: bool = Field(False, description="Log requests in detail")
    default_timezone: str = Field("UTC", description="IANA zone of times that carry none")
    store_timestamps_in_utc: bool = Field(True, description="Store times in UTC")
    user_timezone: str | None = Field(None, description="IANA zone in which times are shown; None: default_timezone")

    def __init__(self, *, _factory_defaults: Mapping[str, Any] | None = None, **arguments: Any) -> None:
        _check_names(arguments, type(self).model_fields)
        try:
            super().__init__(**_stack(arguments, _factory_defaults or {}))
        except pydantic.ValidationError as error:
            # `from None`: pydantic's error keeps the input, secrets too
            raise ConfigurationError(_sentence(error)) from None
        for field, argument in arguments.items():
            if field in ENVIRONMENT_VARIABLES and getattr(self, field) != argument:
                _warn_overridden(field, argument, getattr(self, field))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).model_fields:  # pydantic's own message would show the value, secrets too
            raise ConfigurationError(f"A DynamoDBConfig can't be changed: make another one with the new {name}")
        super().__setattr__(name, value)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The layers, the strongest first."""
        return (
            _Layer.of_variables(env_settings),
            _Layer.of_variables(dotenv_settings),
            _Layer(settings_cls, init_settings()),
        )

    @field_validator("region_name", mode="before")
    @classmethod
    def _region_is_required(cls, value: Any) -> Any:
        if value is None or (isinstance(value, str) and not value.strip()):
            raise ValueError("AWS region name is required: set AWS_REGION or region_name, as in 'eu-central-1'")
        return value

    @field_validator("endpoint_url")
    @classmethod
    def _endpoint_is_http(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^/\s]", value):
            raise ValueError(
                f"Endpoint URL {shorten(repr(value))} must begin with http:// or https:// and name a host, as in "
                "'http://localhost:8000'; leave endpoint_url out to reach AWS itself"
            )
        return value

    @field_validator("environment")
    @classmethod
    def _environment_is_known(cls, value: str) -> str:
        return _check_environment(value)

    @field_validator("default_timezone", "user_timezone")
    @classmethod
    def _timezone_exists(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (KeyError, ValueError, OSError):  # unknown; malformed; a directory of the zone database
                raise ValueError(
                    f"Invalid timezone {shorten(repr(value))}: give a name of the IANA database, as in 'Europe/London'"
                ) from None
        return value

    @classmethod
    def from_env(cls) -> DynamoDBConfig:
        """The configuration that environment variables and `.env` give, with the fields' defaults beneath.

        >>> DynamoDBConfig.from_env().max_pool_connections
        50
        """
        return cls()

    @classmethod
    def for_local_development(cls, **arguments: Any) -> DynamoDBConfig:
        """A configuration for a local server: keys "local", http://localhost:8000, environment dev, debug logging.

        >>> DynamoDBConfig.for_local_development(endpoint_url="http://localhost:4566").endpoint_url
        'http://localhost:4566'
        """
        defaults = {
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
            "endpoint_url": "http://localhost:8000",
            "environment": "dev",
            "enable_debug_logging": True,
        }
        return cls(_factory_defaults=defaults, **arguments)

    @classmethod
    def for_pyspark(cls, spark_conf: Any = None, **arguments: Any) -> DynamoDBConfig:
        """A configuration for Spark jobs: 100 connections, 60 seconds, 5 retries, keys and region as S3A has them.

        `spark_conf` is whatever has `get(key, default)`: a dict, `spark.conf`, a `SparkConf`. Its settings
        `spark.hadoop.fs.s3a.access.key`, `.secret.key` and `.endpoint.region` count as arguments, beneath written ones.

        >>> DynamoDBConfig.for_pyspark({"spark.hadoop.fs.s3a.endpoint.region": "eu-west-1"}).region_name
        'eu-west-1'
        """
        conf = {} if spark_conf is None else spark_conf
        present = {field: value for key, field in _SPARK_CONF.items() if (value := conf.get(key, None))}
        defaults = {"max_pool_connections": 100, "timeout_seconds": 60.0, "retries": 5}
        return cls(_factory_defaults=defaults, **_stack(arguments, present))

    @classmethod
    def with_timezone(cls, timezone: str, **arguments: Any) -> DynamoDBConfig:
        """A configuration whose `default_timezone` is `timezone`, an IANA name.

        >>> DynamoDBConfig.with_timezone("Europe/London", user_timezone="Asia/Tokyo").default_timezone
        'Europe/London'
        """
        return cls(default_timezone=timezone, **arguments)

    def get_table_name(self, table: str) -> str:
        """The physical name of a logical table under this prefix and environment; see `physical_table_name`.

        >>> DynamoDBConfig(table_prefix="myapp").get_table_name("users")
        'myapp_dev_users'
        """
        return physical_table_name(table, self.table_prefix, self.environment)

    def spark_options(self) -> dict[str, str]:
        """The same connection and naming as options of the data source, for `.options(**config.spark_options())`.

        Only what is set. All values are plain text, as Spark needs them; the dict's repr hides credentials.

        >>> DynamoDBConfig.for_local_development().spark_options()["endpointUrl"]
        'http://localhost:8000'
        """
        values = {option: getattr(self, field) for field, option in _SPARK_OPTIONS.items()}
        plain = {option: v.get_secret_value() if isinstance(v, Secret) else v for option, v in values.items()}
        return _Options((option, value) for option, value in plain.items() if value)


class _Options(dict[str, str]):
    """Options of the data source, whose repr hides the credentials."""

    def __repr__(self) -> str:
        hidden = {_SPARK_OPTIONS[field] for field in _CREDENTIALS}
        return repr({name: Secret(value) if name in hidden else value for name, value in self.items()})


def _check_environment(environment: str) -> str:
    if environment not in ENVIRONMENTS:
        raise ConfigurationError(
            f"Environment must be one of {', '.join(ENVIRONMENTS)}, not {shorten(repr(environment))}"
        )
    return environment


def _check_names(arguments: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    for name in arguments.keys() - fields.keys() - {"_env_file"}:
        close = nearest(name, fields)
        hint = f"did you mean '{close}'?" if close else f"the fields are {', '.join(fields)}"
        raise ConfigurationError(f"DynamoDBConfig has no field '{name}': {hint}")


def _sentence(error: pydantic.ValidationError) -> str:
    """What is wrong with each field, without the value of a secret."""
    return "; ".join(_problem(detail) for detail in error.errors(include_url=False))


def _problem(detail: Any) -> str:
    if "error" in detail.get("ctx", {}):  # a validator of ours: a full sentence already
        return str(detail["ctx"]["error"])
    field = str(detail["loc"][0])
    shown = "" if field in _CREDENTIALS else f" can't be {shorten(repr(detail['input']))}"
    variable = ENVIRONMENT_VARIABLES.get(field)
    origin = f" (variable {variable})" if variable else ""
    return f"{field}{origin}{shown}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _warn_overridden(field: str, argument: Any, value: Any) -> None:
    variable = ENVIRONMENT_VARIABLES[field]
    if field in _CREDENTIALS:
        message = f"Credentials of the environment or of .env override the argument {field}; its variable is {variable}"
    else:
        place = "The environment variable" if os.environ.get(variable) else "In .env,"
        message = f"{place} {variable}={value!r} overrides the argument {field}={argument!r}"
    warnings.warn(f"{message}. Unset the variable to use the argument", ConfigurationOverrideWarning, _caller_level())


def _caller_level() -> int:
    """The stack level, as `warnings.warn` counts, of the first caller outside this module."""
    level, frame = 1, sys._getframe(1)
    while frame.f_globals.get("__name__") == __name__ and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level
