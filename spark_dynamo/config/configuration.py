"""`DynamoDBConfig`: its fields, what they may be, and its factories."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pydantic
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from spark_dynamo.config.layers import (
    CREDENTIALS,
    ENVIRONMENT_VARIABLES,
    KEYS,
    Layer,
    stack,
    warn_where_overridden,
)
from spark_dynamo.config.names import (
    check_endpoint_url,
    check_environment,
    physical_table_name,
    told_by_s3_endpoint,
)
from spark_dynamo.config.secrets import Options, Secret
from spark_dynamo.errors import ConfigurationError, nearest, shorten
from spark_dynamo.timezones import TimezoneManager, validate_timezone_string

# field -> option of the data source
_SPARK_OPTIONS = {
    "region_name": "region",
    "endpoint_url": "endpointUrl",
    "profile_name": "profile",
    "role_arn": "roleArn",
    "external_id": "externalId",
    "aws_access_key_id": "accessKeyId",
    "aws_secret_access_key": "secretAccessKey",
    "aws_session_token": "sessionToken",
    "environment": "environment",
    "table_prefix": "tablePrefix",
}
_SECRETS = frozenset({*KEYS, "external_id"})

# setting of a Spark session -> field
_S3A = "spark.hadoop.fs.s3a."
_SPARK_CONF = {
    f"{_S3A}access.key": "aws_access_key_id",
    f"{_S3A}secret.key": "aws_secret_access_key",
    f"{_S3A}endpoint.region": "region_name",
}


class DynamoDBConfig(BaseSettings):
    """How to reach DynamoDB, and how its tables are named; unchangeable once made.

    Environment variables win over `.env`, `.env` over arguments; a ConfigurationOverrideWarning tells where one takes
    the place of a differing argument. Without keys and without a profile, AWS's own chain decides (roles, SSO); see
    `spark_dynamo.config` for who wins. Keys, token and external id are `Secret`: never shown, equal to plain text. A bad
    value, an unknown name or credentials that contradict each other raise ConfigurationError.

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
    profile_name: str | None = Field(
        None,
        min_length=1,
        description="Profile of ~/.aws/config: its credentials sign, its region counts where none is set",
    )
    role_arn: str | None = Field(None, description="Role to assume, in another account, too; it renews its credentials")
    external_id: Secret | None = Field(
        None, min_length=2, description="External id that the role's trust policy asks for"
    )
    role_session_name: str = Field("spark-dynamo", description="The role's session in CloudTrail")
    region_name: str = Field(
        "us-east-1",
        description="AWS region of the tables; where none is set, that of AWS's own chain; where that has none, repositories "
        "and run logs take us-east-1, Spark's reads and writes and the command line refuse",
    )
    endpoint_url: str | None = Field(None, description="http(s) address of a local server or VPC endpoint; None: AWS")
    table_prefix: str = Field("", description="First part of every physical table name; empty: none")
    max_pool_connections: int = Field(50, ge=1, description="Connections that one client keeps open")
    retries: int = Field(3, ge=0, description="Times a failed request is sent again")
    timeout_seconds: float = Field(
        30.0, gt=0, allow_inf_nan=False, description="Seconds to connect, and to wait for bytes"
    )
    environment: str = Field("dev", description="dev, staging or prod; part of every physical table name but in prod")
    enable_debug_logging: bool = Field(False, description="Log requests in detail")
    default_timezone: str = Field("UTC", description="IANA zone of times that carry none")
    store_timestamps_in_utc: bool = Field(True, description="Times are stored in UTC; it can't be False")
    user_timezone: str | None = Field(None, description="IANA zone in which times are shown; None: default_timezone")

    def __init__(
        self,
        *,
        _factory_defaults: Mapping[str, Any] | None = None,
        _options: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        options = dict(_options or {})
        _check_names({**arguments, **options}, type(self).model_fields)
        try:
            super().__init__(_options=options, **stack(arguments, _factory_defaults or {}))
        except pydantic.ValidationError as error:
            # `from None`, here and below: the error keeps the input, secrets too
            raise ConfigurationError(_sentence(error)) from None
        except UnicodeDecodeError as error:
            file = arguments.get("_env_file") or ".env"
            raise ConfigurationError(
                f"File {file} is not in UTF-8, as its byte {error.start + 1} tells: save it so"
            ) from None
        warn_where_overridden(arguments, self)
        _check_credentials(self)

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
        arguments = dict(init_settings())
        options = arguments.pop("_options", {})
        return (
            Layer(settings_cls, options),
            Layer.of_variables(env_settings),
            Layer.of_variables(dotenv_settings),
            Layer(settings_cls, arguments),
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
        return None if value is None else check_endpoint_url(value)

    @field_validator("environment")
    @classmethod
    def _environment_is_known(cls, value: str) -> str:
        return check_environment(value)

    @field_validator("default_timezone", "user_timezone")
    @classmethod
    def _timezone_exists(cls, value: str | None) -> str | None:
        return value if value is None else validate_timezone_string(value)

    @field_validator("store_timestamps_in_utc")
    @classmethod
    def _storage_is_in_utc(cls, value: bool) -> bool:
        if not value:
            raise ValueError(
                "store_timestamps_in_utc can't be False: indexes sort times as text, which is their order only in one "
                "zone. Leave it out, and set user_timezone to show times in another zone"
            )
        return value

    @field_validator("role_arn")
    @classmethod
    def _role_is_an_arn(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"arn:[^:]+:iam::\d{12}:role/\S+", value):
            raise ValueError(
                f"Role {shorten(repr(value))} is no ARN of a role: give it as in 'arn:aws:iam::123456789012:role/reader'"
            )
        return value

    @field_validator("role_session_name")
    @classmethod
    def _session_name_is_allowed(cls, value: str) -> str:
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", value, re.ASCII):
            raise ValueError(
                f"Role session name {shorten(repr(value))} is none that AWS allows: use 2 to 64 letters, digits and _+=,.@-"
            )
        return value

    @classmethod
    def from_env(cls, **options: Any) -> DynamoDBConfig:
        """The configuration that environment variables and `.env` give, with the fields' defaults beneath.

        `options` are fields that somebody sets for this one time, as on a command line: they win over the variables. None is
        as good as left out.

        >>> DynamoDBConfig.from_env(table_prefix="myapp").get_table_name("users")
        'myapp_dev_users'
        """
        return cls(_options={field: value for field, value in options.items() if value is not None})

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
        """A configuration for Spark jobs: 100 connections, 60 seconds, 5 retries, keys, region and endpoint as S3A has them.

        `spark_conf` is whatever has `get(key, default)`: a dict, `spark.conf`, a `SparkConf`. Its settings
        `spark.hadoop.fs.s3a.access.key`, `.secret.key`, `.endpoint.region` and `.endpoint` count as arguments, beneath written
        ones. An endpoint of AWS is S3's own: it tells the region and nothing more. Any other is taken to serve DynamoDB too, as
        local servers do; where it doesn't, as MinIO, give `endpoint_url`, or None for AWS.

        >>> DynamoDBConfig.for_pyspark({"spark.hadoop.fs.s3a.endpoint.region": "eu-west-1"}).region_name
        'eu-west-1'
        """
        conf = {} if spark_conf is None else spark_conf
        present = {field: value for key, field in _SPARK_CONF.items() if (value := conf.get(key, None))}
        if endpoint := conf.get(f"{_S3A}endpoint", None):
            is_plain = str(conf.get(f"{_S3A}connection.ssl.enabled", None)).lower() == "false"
            present = told_by_s3_endpoint(endpoint, "http" if is_plain else "https") | present
        defaults = {"max_pool_connections": 100, "timeout_seconds": 60.0, "retries": 5}
        return cls(_factory_defaults=defaults, **stack(arguments, present))

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

    @property
    def names_region(self) -> bool:
        """Whether any layer names the region; otherwise it is that of AWS's own chain, and `region_name` the last resort."""
        return "region_name" in self.model_fields_set

    def get_timezone_manager(self) -> TimezoneManager:
        """The manager of this configuration's zones, always the same one; the process's own zones stay as they are.

        >>> DynamoDBConfig.with_timezone("Asia/Tokyo").get_timezone_manager()
        TimezoneManager('Asia/Tokyo', user_timezone='Asia/Tokyo')
        """
        return _timezone_manager(self.default_timezone, self.user_timezone)

    def spark_options(self) -> dict[str, str]:
        """This connection and naming as options of the data source, for `.options(**config.spark_options())`.

        Only what is set, and the environment. All values are plain text, as Spark needs them; the dict's repr hides credentials.

        >>> DynamoDBConfig.for_local_development().spark_options()["endpointUrl"]
        'http://localhost:8000'
        """
        values = {option: getattr(self, field) for field, option in _SPARK_OPTIONS.items()}
        if not self.names_region:
            del values["region"]
        if self.role_arn:
            values["roleSessionName"] = self.role_session_name
        plain = {option: v.get_secret_value() if isinstance(v, Secret) else v for option, v in values.items()}
        return Options(
            ((option, value) for option, value in plain.items() if value),
            hidden=frozenset(_SPARK_OPTIONS[field] for field in _SECRETS),
        )


@lru_cache(maxsize=32)
def _timezone_manager(default_timezone: str, user_timezone: str | None) -> TimezoneManager:
    return TimezoneManager(default_timezone, user_timezone)


def _check_credentials(config: DynamoDBConfig) -> None:
    """Raise where credentials contradict each other, or where one of them misses the other that it needs."""
    key_id, secret, token = KEYS
    given = {field for field in (*CREDENTIALS, "external_id") if getattr(config, field) is not None}
    for field, needed in ((key_id, secret), (secret, key_id), (token, key_id)):
        if field in given and needed not in given:
            raise ConfigurationError(
                f"{field} is given without {needed}, and credentials are never put together from several places: set "
                f"both, as arguments or as {ENVIRONMENT_VARIABLES[field]} and {ENVIRONMENT_VARIABLES[needed]}, or leave "
                "both out for AWS's own chain"
            )
    if "profile_name" in given and key_id in given:
        raise ConfigurationError(
            f"profile_name={config.profile_name!r} and {key_id} contradict each other: leave one of them out"
        )
    if "external_id" in given and not config.role_arn:
        raise ConfigurationError(
            "external_id is given without role_arn, and only a role asks for one: set both or none"
        )


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
    shown = "" if field in _SECRETS else f" can't be {shorten(repr(detail['input']))}"
    variable = ENVIRONMENT_VARIABLES.get(field)
    origin = f" (variable {variable})" if variable else ""
    return f"{field}{origin}{shown}: {detail['msg'][0].lower()}{detail['msg'][1:]}"
