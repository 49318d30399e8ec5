"""What rows of the metadata tables may not decide alone: which code runs, which server gets keys, where rejected rows go.

Whoever may write these rows need not be whoever runs the program. So a model's module and a place for rejected rows count
only where the program has allowed them, and the configuration's keys go to its own server and to AWS, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spark_dynamo.aws.client import Connection, named_endpoint
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import ConfigurationError, shorten
from spark_dynamo.errors.masking import masked_text
from spark_dynamo.source.write.rejects import Destination

_AWS_REGION = r"[a-z]{2}(?:-[a-z]+)+-\d"
_AWS_DYNAMODB = re.compile(
    rf"(?:(?:dynamodb(?:-fips)?|\d{{12}}\.ddb|vpce-[a-z0-9-]+\.dynamodb)\.{_AWS_REGION}(?:\.vpce)?\.amazonaws\.com(?:\.cn)?"
    rf"|dynamodb\.{_AWS_REGION}\.api\.aws)"
)
_AWS_S3 = re.compile(rf"s3(?:-fips)?(?:\.dualstack)?(?:[.-]{_AWS_REGION})?\.amazonaws\.com(?:\.cn)?")
_S3A_SERVER = re.compile(r"(?:spark\.hadoop\.)?fs\.s3a\..*endpoint|(?:spark\.hadoop\.)?fs\.s3a\.proxy\.host")
_OWN_KEYS = ("accessKeyId", "secretAccessKey")
_OF_CONFIG = frozenset({*_OWN_KEYS, "sessionToken", "profile", "roleArn", "externalId", "roleSessionName"})
_PLACES = {"badItems": ("error",), "conditionFailed": ("error", "skip")}  # option -> what is no place

_modules: set[str] = set()
_places: set[Destination] = set()


def allow_models(*modules: str) -> None:
    """Let rows of `table_config` name models of these modules, and of those within them, in their option `model`.

    Importing a module runs its code: allow what you would import yourself. It holds for this process, and adds to what was
    allowed before.

    >>> allow_models("shop.models")
    """
    for module in modules:
        if not isinstance(module, str) or not all(part.isidentifier() for part in module.split(".")):
            raise ConfigurationError(f"allow_models takes names of modules, as in 'shop.models', not {module!r}")
    _modules.update(modules)


def allow_reject_places(*places: str) -> None:
    """Let rows of `table_config` send rejected rows (`badItems`, `conditionFailed`) to these places, and to what is in them.

    A place is a folder, `s3://bucket/prefix` or `dynamodb://table`. It holds for this process, and adds to what was allowed before.

    >>> allow_reject_places("s3://lake/rejected")
    """
    _places.update(Destination.parse("badItems", place) for place in places)


def check_row(table_id: str, options: Mapping[str, Any]) -> None:
    """Raise ConfigurationError where options of a table's row name a model or a place that the program has not allowed."""
    model = options.get("model")
    if model is not None and not _is_allowed_model(str(model)):
        module = str(model).partition(":")[0]
        raise ConfigurationError(
            f"Table '{table_id}': its row names model {shorten(repr(model))}, and a row alone runs no code: call "
            f"sd.allow_models({module!r}) before, if you trust that module, or take the option out of the row"
        )
    for option, words in _PLACES.items():
        place = options.get(option)
        if place is not None and place not in words and not _is_allowed_place(option, str(place)):
            raise ConfigurationError(
                f"Table '{table_id}': its row sends rejected rows to {shorten(repr(place))} by option {option}, and a row alone "
                f"names no place for them: call sd.allow_reject_places({shorten(str(place))!r}) before, or take it out of the row"
            )


def check_files_row(table_id: str, options: Mapping[str, Any]) -> None:
    """Raise ConfigurationError where options of a table of files lead S3A, with the session's keys, to another server."""
    server = foreign_s3(options)
    if server is not None:
        raise ConfigurationError(
            f"Table '{table_id}': its row sets {server} to {shorten(repr(masked_text(str(options[server]))))}, a server that would "
            "get requests with the session's keys: set it in the session, or take it out of the row"
        )


def foreign_s3(settings: Mapping[str, Any]) -> str | None:
    """The name of a setting that leads S3A elsewhere than to AWS, None where there is none."""
    for name, value in settings.items():
        if _S3A_SERVER.fullmatch(name) and value is not None:
            host = urlsplit(text if "://" in (text := str(value)) else f"https://{text}").hostname or ""
            if not _AWS_S3.fullmatch(host):
                return name
    return None


def connection_options(table_id: str, options: Mapping[str, Any], config: DynamoDBConfig) -> dict[str, str]:
    """The configuration's options that stand beneath those of a table's row: no keys where the row leads to a foreign server.

    A server on this machine gets the keys `local` then. Raises ConfigurationError for any other one without keys of its own.
    """
    own = config.spark_options()
    url = options.get("endpointUrl")
    if url is None or _is_at_home(str(url), config):
        return own
    kept = {name: value for name, value in own.items() if name not in _OF_CONFIG}
    if all(options.get(name) for name in _OWN_KEYS):
        return kept
    if Connection(endpoint_url=str(url)).is_loopback and not options.get("profile"):
        return {**kept, **dict.fromkeys(_OWN_KEYS, "local")}
    raise ConfigurationError(
        f"Table '{table_id}': its row leads to endpoint {shorten(repr(url))}, which is neither the configuration's nor AWS's, and "
        "no keys of this program go there: put accessKeyId and secretAccessKey for it into the table's connection_config, "
        "or make it the configuration's endpoint_url"
    )


def _is_at_home(url: str, config: DynamoDBConfig) -> bool:
    """Whether the address is the one that the configuration leads to anyway, or AWS's own."""
    parts = urlsplit(url)
    if parts.scheme == "https" and _AWS_DYNAMODB.fullmatch(parts.hostname or ""):
        return True
    home = named_endpoint(Connection.from_config(config).endpoint_url)
    return home is not None and _server(url) == _server(home)


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _is_allowed_model(text: str) -> bool:
    module = text.partition(":")[0]
    return any(module == allowed or module.startswith(f"{allowed}.") for allowed in _modules)


def _is_allowed_place(option: str, text: str) -> bool:
    wanted = Destination.parse(option, text)
    return any(_is_within(wanted, allowed) for allowed in _places)


def _is_within(wanted: Destination, allowed: Destination) -> bool:
    if wanted.kind != allowed.kind:
        return False
    if wanted.kind == "folder":
        return Path(wanted.place).resolve().is_relative_to(Path(allowed.place).resolve())
    return wanted.place == allowed.place and f"{wanted.prefix}/".startswith(f"{allowed.prefix}/".lstrip("/"))
