"""The options that all commands share: where DynamoDB is, as whom to speak to it, how tables are named, and the output's form."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

if TYPE_CHECKING:
    from spark_dynamo.aws.client import Connection
    from spark_dynamo.config import DynamoDBConfig
    from spark_dynamo.source.options.source_options import SourceOptions

Format: TypeAlias = Literal["table", "json", "jsonl", "csv"]
Stage: TypeAlias = Literal["dev", "staging", "prod"]

_WHERE = "Where and how"
_raw: ContextVar[bool] = ContextVar("spark_dynamo_raw", default=False)
_MOST_NAMES = 5_000  # of tables that are looked at for one that is called nearly as another
_COMPLETION_SECONDS = 1.0  # a shell that waits longer for names is worse than one without

EndpointUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url",
        metavar="URL",
        help="Where DynamoDB listens, such as http://127.0.0.1:8000.",
        rich_help_panel=_WHERE,
    ),
]
Region: TypeAlias = Annotated[
    str | None,
    typer.Option("--region", metavar="NAME", help="The AWS region, such as eu-central-1.", rich_help_panel=_WHERE),
]
Profile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--profile", metavar="NAME", help="The AWS profile whose credentials are taken.", rich_help_panel=_WHERE
    ),
]
RoleArn: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--role-arn",
        metavar="ARN",
        help="A role to assume, in another account, too.",
        rich_help_panel=_WHERE,
    ),
]
Environment: TypeAlias = Annotated[
    Stage | None,
    typer.Option("--environment", help="Part of the metadata tables' names, but for prod.", rich_help_panel=_WHERE),
]
TablePrefix: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--table-prefix", metavar="TEXT", help="First part of the metadata tables' names.", rich_help_panel=_WHERE
    ),
]
Output: TypeAlias = Annotated[
    Format,
    typer.Option("--output", "-o", help="A table for people, a JSON array, JSON Lines, or CSV with a header."),
]


def take_raw(given: bool) -> bool:
    """Keep what the command that runs was given as `--raw`, for `is_raw`."""
    _raw.set(given)
    return given


# each command with an `output` has it, and `commands.output` asks `is_raw`
Raw: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--raw",
        help="CSV with each text as it is: spreadsheets run formulas in it, and terminals obey control characters.",
        callback=take_raw,
    ),
]


def is_raw() -> bool:
    """Whether the command that runs was given `--raw`."""
    return _raw.get()


@dataclass(frozen=True, slots=True)
class Place:
    """What those options say; None is left to the environment, `.env` and AWS's own chain."""

    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    environment: str | None = None
    table_prefix: str | None = None
    role_arn: str | None = None

    def options(self, table: str, **more: object) -> SourceOptions:
        """The data source's options for a table there; `more` are further ones, in its spelling."""
        from spark_dynamo.source.options.source_options import SourceOptions, option_texts

        given = {
            "endpointUrl": self.endpoint_url,
            "region": self.region,
            "profile": self.profile,
            "roleArn": self.role_arn,
            "environment": self.environment,
            "tablePrefix": self.table_prefix,
        }
        return SourceOptions(option_texts({**given, **more, "table": table}))

    def connection(self) -> Connection:
        """How to reach it."""
        from spark_dynamo.source.location import connection

        return connection(self.options("any"))

    def client(self) -> Any:
        """boto3's client for it."""
        from spark_dynamo.aws.client import dynamodb_client

        return dynamodb_client(self.connection())

    def physical_name(self, table: str) -> str:
        """The name in DynamoDB of a table, which may be a metadata table's logical name."""
        from spark_dynamo.source.location import physical_name

        return physical_name(self.options(table))

    @contextmanager
    def near_names(self) -> Iterator[None]:
        """Where a table is missing, its error names those there that are called nearly so, as far as they are told at once."""
        from spark_dynamo.errors import TableNotFoundError
        from spark_dynamo.errors.texts import near

        try:
            yield
        except TableNotFoundError as error:
            names = list(self.metadata_names().values())
            with suppress(Exception):  # that the table is missing is the news
                names.extend(islice(_tables(self), _MOST_NAMES))
            found = [name for name in near(error.table, names) if name != error.table]
            raise TableNotFoundError(error.table, error.original_error, near=found, **error.context) from None

    def metadata_names(self) -> dict[str, str]:
        """The metadata tables' logical names by their names in DynamoDB."""
        from spark_dynamo.metadata.tables import METADATA_TABLES

        return {self.physical_name(name): name for name in METADATA_TABLES}


def config_from(
    endpoint_url: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    environment: str | None = None,
    table_prefix: str | None = None,
    role_arn: str | None = None,
) -> DynamoDBConfig:
    """The configuration of the environment and `.env`, in which what is given here wins.

    Where nothing of these names a region, it is the one of AWS's own chain, such as the profile's. Raises ConfigurationError
    where there is none, and where these values or the environment's can't be used.
    """
    from spark_dynamo.config import DynamoDBConfig

    config = DynamoDBConfig.from_env(
        endpoint_url=endpoint_url,
        region_name=region,
        profile_name=profile,
        role_arn=role_arn,
        environment=environment,
        table_prefix=table_prefix,
    )
    if config.names_region:
        return config
    place = Place(endpoint_url, region, profile, environment, table_prefix, role_arn)
    return config.model_copy(update={"region_name": place.client().meta.region_name})


def user_name() -> str:
    """This machine's name of who runs the command; the number where it has none, as in a container of Kubernetes."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # as Python up to 3.12 and from 3.13 on say it
        return f"uid {os.getuid()}"


def complete_table(context: typer.Context, incomplete: str) -> list[str]:
    """The names of tables that begin so, for the shell; the logical ones alone where DynamoDB does not answer within a second."""
    given = context.params
    place = Place(*(given.get(field.name) for field in fields(Place)))
    names: list[str] = []
    with suppress(Exception):  # a shell has no use for whatever goes wrong
        names.extend(place.metadata_names().values())
        names.extend(_tables(place))
    return [name for name in names if name.startswith(incomplete)]


def _tables(place: Place) -> Iterator[str]:
    from spark_dynamo.aws.client import dynamodb_client
    from spark_dynamo.aws.table_names import list_tables

    hasty = replace(
        place.connection(), connect_timeout=_COMPLETION_SECONDS, read_timeout=_COMPLETION_SECONDS, max_attempts=1
    )
    return list_tables(dynamodb_client(hasty))


TableName: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="TABLE",
        help="A table's name in DynamoDB, or a metadata table's logical name.",
        autocompletion=complete_table,
        show_default=False,
    ),
]
