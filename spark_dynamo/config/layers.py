"""The layers that a configuration's values come from, and the warning where an upper one overrides an argument."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from spark_dynamo.errors.masking import masked_text

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
KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
CREDENTIALS = frozenset({*KEYS, "profile_name"})  # they come from one layer together
_ROOM = __name__.rpartition(".")[0]


class ConfigurationOverrideWarning(UserWarning):
    """An environment variable took the place of a differing argument.

    A category of its own, so that `warnings.filterwarnings` can silence it or make it an error by name. It is a warning
    and no log record because it is shown without any logging set up, once for each place in the code.
    """


class Layer(PydanticBaseSettingsSource):
    """Values of one origin. Its credentials count only where no layer above has any."""

    def __init__(self, settings_cls: type[BaseSettings], values: Mapping[str, Any]) -> None:
        super().__init__(settings_cls)
        self._values = values

    @classmethod
    def of_variables(cls, source: PydanticBaseSettingsSource) -> Layer:
        """The listed variables of the environment or of a `.env` file, and no others."""
        assert isinstance(source, EnvSettingsSource)
        variables = source.env_vars
        return cls(
            source.settings_cls,
            {field: variables[name] for field, name in ENVIRONMENT_VARIABLES.items() if variables.get(name)},
        )

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """The value of a field, its name, and that it needs no parsing."""
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """This layer's values beneath those of the layers above."""
        return stack(self.current_state, self._values)


def stack(
    upper: Mapping[str, Any], lower: Mapping[str, Any], credentials: frozenset[str] = CREDENTIALS
) -> dict[str, Any]:
    """Both layers as one: the upper wins, and the lower's credentials count only where the upper has none."""
    whole = credentials.isdisjoint(upper)
    return {field: value for field, value in lower.items() if whole or field not in credentials} | dict(upper)


def known_secrets(config: BaseSettings) -> list[str | None]:
    """The secrets with which this process signs, as far as it was told them, wherever it has them from."""
    given = [getattr(config, field) for field in (*KEYS, "external_id")]
    told = [None if secret is None else secret.get_secret_value() for secret in given]
    return [*told, *(os.environ.get(ENVIRONMENT_VARIABLES[field]) for field in KEYS)]


def warn_where_overridden(arguments: Mapping[str, Any], config: BaseSettings) -> None:
    """Warn of each argument in whose place an environment variable or `.env` has put another value."""
    for field, argument in arguments.items():
        if field in CREDENTIALS or field in ENVIRONMENT_VARIABLES:
            value = getattr(config, field)
            if argument is not None and value != argument and value != _parsed(argument, type(config), field):
                _warn(field, argument, value)


def _parsed(argument: Any, settings_cls: type[BaseSettings], field: str) -> Any:
    """The argument as a value of the field's type, so that "true" is no other value than True."""
    kind: Any = settings_cls.model_fields[field].annotation
    try:
        return TypeAdapter(kind).validate_python(argument)
    except ValidationError:
        return argument


def _warn(field: str, argument: Any, value: Any) -> None:
    variable = ENVIRONMENT_VARIABLES.get(field)
    if variable is None:
        message = f"AWS_ACCESS_KEY_ID, of the environment or of .env, overrides the argument {field}={argument!r}"
    elif field in CREDENTIALS:
        message = f"Credentials of the environment or of .env override the argument {field}; its variable is {variable}"
    else:
        place = "The environment variable" if os.environ.get(variable) else "In .env,"
        message = f"{place} {variable}={value!r} overrides the argument {field}={argument!r}"
    message = masked_text(message)  # an argument that lost was never checked
    warnings.warn(f"{message}. Unset the variable to use the argument", ConfigurationOverrideWarning, _caller_level())


def _caller_level() -> int:
    """The stack level, as `warnings.warn` counts, of the first caller outside this room."""
    level, frame = 1, sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith(_ROOM) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level
