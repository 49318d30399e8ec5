"""The options of the data source: one table, from which the parser, the error messages and the README's reference come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spark_dynamo.errors import OptionError


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table: `parse` turns the text into a value or raises ValueError with what is expected."""

    name: str
    parse: Callable[[str], Any]
    default: Any
    shown_default: str
    meaning: str
    secret: bool = False


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def _flag(value: str) -> bool:
    flags = {"true": True, "false": False}
    if value.strip().lower() not in flags:
        raise ValueError("must be true or false")
    return flags[value.strip().lower()]


def _count(most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.strip().isdecimal() or not 1 <= int(value) <= most:
            raise ValueError(f"must be a whole number from 1 to {most:,}")
        return int(value)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.strip().lower() not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value.strip().lower()

    return parse


OPTIONS: tuple[Option, ...] = (
    Option(
        "table",
        _text,
        None,
        "the load or save path",
        "name or ARN of the table, or one of the metadata tables' logical names (`pipeline_config`, `table_config`, "
        "`pipeline_run_logs`)",
    ),
    Option("region", _text, None, "the AWS chain", "AWS region, as in `eu-central-1`"),
    Option("endpointUrl", _text, None, "the AWS chain", "address of the server, as in `http://localhost:8000`"),
    Option("profile", _text, None, "the AWS chain", "a profile of `~/.aws/config`"),
    Option("roleArn", _text, None, "-", "a role to assume, in another account, too; its credentials renew themselves"),
    Option("externalId", _text, None, "-", "the external id that the role's trust policy asks for", secret=True),
    Option("roleSessionName", _text, "spark-dynamo", "spark-dynamo", "the session's name in CloudTrail"),
    Option("accessKeyId", _text, None, "the AWS chain", "for local servers and special cases", secret=True),
    Option("secretAccessKey", _text, None, "the AWS chain", "goes with `accessKeyId`; never shown", secret=True),
    Option("sessionToken", _text, None, "the AWS chain", "goes with temporary keys; never shown", secret=True),
    Option(
        "environment",
        _one_of("dev", "staging", "prod"),
        None,
        "`DynamoDBConfig`",
        "how the metadata tables' logical names become physical",
    ),
    Option("tablePrefix", str, None, "`DynamoDBConfig`", "the same; may be empty"),
    Option(
        "numPartitions",
        _count(10_000),
        None,
        "from the table's size",
        "Spark tasks of a read; one per 128 MB, at least 2 but for tables below 4 MB, at most 200, where not given",
    ),
    Option(
        "segments",
        _count(1_000_000),
        None,
        "from the table's size",
        "scan segments, at least as many as partitions; 16 per partition where not given, fewer on small tables",
    ),
    Option("consistentRead", _flag, False, "false", "strongly consistent reads, at twice the read units"),
    Option(
        "nulls",
        _one_of("omit", "write"),
        "omit",
        "omit",
        "what a null column becomes on write: `omit` no attribute, `write` a NULL attribute",
    ),
    Option(
        "duplicates",
        _one_of("error", "last", "first"),
        "error",
        "error",
        "equal keys in one write: `error` before the second is sent, or keep the `last` or `first`; across tasks, where "
        "order means nothing, DynamoDB keeps whichever comes last",
    ),
)

_BY_NAME = {option.name.lower(): option for option in OPTIONS}
_NAMES = [option.name for option in OPTIONS]


class SourceOptions:
    """The parsed options of one read or write, by attribute in snake case; what was not given has its default.

    Names are case-insensitive. Raises `OptionError` for an unknown name, with the nearest known one, and for a value that
    can't be used, with what is expected. Secrets are shown in no repr and no error.

    >>> options = SourceOptions({"path": "orders", "NUMPARTITIONS": "4"})
    >>> options.table, options.num_partitions, options.duplicates
    ('orders', 4, 'error')
    """

    table: str
    region: str | None
    endpoint_url: str | None
    profile: str | None
    role_arn: str | None
    external_id: str | None
    role_session_name: str
    access_key_id: str | None
    secret_access_key: str | None
    session_token: str | None
    environment: str | None
    table_prefix: str | None
    num_partitions: int | None
    segments: int | None
    consistent_read: bool
    nulls: str
    duplicates: str

    def __init__(self, given: Mapping[str, str]) -> None:
        for option in OPTIONS:
            setattr(self, _snake_case(option.name), option.default)
        for name, value in given.items():
            if name.lower() == "path":
                continue
            named = _BY_NAME.get(name.lower())
            if named is None:
                raise OptionError(name, "is not known", _NAMES)
            setattr(self, _snake_case(named.name), _parsed(named, value))
        self.table = self.table or _path(given)
        self._check()

    def __repr__(self) -> str:
        secret = {_snake_case(option.name) for option in OPTIONS if option.secret}
        shown = {name: "***" if name in secret and value else value for name, value in vars(self).items()}
        return f"SourceOptions({', '.join(f'{name}={value!r}' for name, value in shown.items() if value is not None)})"

    def _check(self) -> None:
        if not self.table:
            raise OptionError(
                "table", "is missing; name the table, as in .load('orders') or .option('table', 'orders')"
            )
        if bool(self.access_key_id) != bool(self.secret_access_key):
            missing = "secretAccessKey" if self.access_key_id else "accessKeyId"
            raise OptionError(missing, "is missing; accessKeyId and secretAccessKey only work together")
        if self.session_token and not self.access_key_id:
            raise OptionError("sessionToken", "needs accessKeyId and secretAccessKey beside it")
        if self.external_id and not self.role_arn:
            raise OptionError("externalId", "needs roleArn beside it")
        if self.segments and self.num_partitions and self.segments < self.num_partitions:
            raise OptionError(
                "segments",
                f"is {self.segments}, fewer than the {self.num_partitions} of numPartitions; each partition needs one",
            )


def _parsed(option: Option, value: str) -> Any:
    try:
        return option.parse(value)
    except ValueError as problem:
        shown = "" if option.secret else f", not '{value}'"
        raise OptionError(option.name, f"{problem}{shown}") from None


def _path(given: Mapping[str, str]) -> str:
    return next((value.strip() for name, value in given.items() if name.lower() == "path"), "")


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
