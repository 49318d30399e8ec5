"""Connections to DynamoDB: where, as whom, and one botocore client per process for each.

Two kinds of client share the same settings: `dynamodb_client` is boto3's own, for everything that handles single items
or tables; `raw_client` takes and gives the bodies of bulk operations as bytes, so that Arrow can read and write them.
Signing, endpoints and credentials are botocore's in both. Clients are never pickled: a `Connection` is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import BotoCoreError
from botocore.parsers import ResponseParser, ResponseParserFactory

from spark_dynamo.aws import internals, renewal
from spark_dynamo.aws.answers import check_answer, received
from spark_dynamo.aws.connections import HTTPPool, HTTPSPool
from spark_dynamo.aws.embedded_server import find_announcement
from spark_dynamo.aws.failures import explain
from spark_dynamo.aws.headers import watch
from spark_dynamo.aws.internals import without
from spark_dynamo.aws.per_process import once_per_process
from spark_dynamo.errors import ConfigurationError
from spark_dynamo.errors.masking import check_no_login
from spark_dynamo.telemetry import debug_logging

if TYPE_CHECKING:
    from pydantic import SecretStr

    from spark_dynamo.config import DynamoDBConfig

RAW_OPERATIONS = (
    "Scan",
    "Query",
    "GetItem",
    "BatchGetItem",
    "BatchWriteItem",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "TransactWriteItems",
)
CONNECT_TIMEOUT = 10.0  # seconds
_AWS_ENDPOINTS = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")
_RAW_OUTPUTS = frozenset(f"{operation}Output" for operation in RAW_OPERATIONS)
_renewals: WeakKeyDictionary[Any, renewal.Renewal] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Connection:
    """Where DynamoDB is and as whom to speak to it; what is None is left to AWS's own chain (environment, profile, role).

    Timeouts are in seconds; `read_timeout` is for a bulk request's whole answer, for any other between two of its bytes.
    Secrets are left out of the repr, and refused in the endpoint's URL.
    """

    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    role_arn: str | None = None
    external_id: str | None = field(default=None, repr=False)
    role_session_name: str = "spark-dynamo"
    connect_timeout: float = CONNECT_TIMEOUT
    read_timeout: float = 60.0
    max_pool_connections: int = 64
    max_attempts: int = 5

    def __post_init__(self) -> None:
        check_no_login(self.endpoint_url)

    @classmethod
    def from_config(cls, config: DynamoDBConfig) -> Connection:
        """The connection that a configuration describes; with its `enable_debug_logging`, what it does is logged.

        Raises ConfigurationError where its profile is needed to find the region, and there is no such profile.
        """
        if config.enable_debug_logging:
            debug_logging()
        connection = cls(
            region=config.region_name if config.names_region else None,
            endpoint_url=config.endpoint_url,
            profile=config.profile_name,
            access_key_id=_text(config.aws_access_key_id),
            secret_access_key=_text(config.aws_secret_access_key),
            session_token=_text(config.aws_session_token),
            role_arn=config.role_arn,
            external_id=_text(config.external_id),
            role_session_name=config.role_session_name,
            connect_timeout=config.timeout_seconds,
            read_timeout=config.timeout_seconds,
            max_pool_connections=config.max_pool_connections,
            max_attempts=config.retries + 1,
        ).located()
        return connection if connection.region else replace(connection, region=region_of(config))

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine, so that it can't be AWS itself."""
        host = urlsplit(self.endpoint_url or "").hostname or ""
        return host == "localhost" or host == "::1" or host.startswith("127.")

    def located(self) -> Connection:
        """This connection, or the embedded server's where there is one and nothing here says where to go."""
        if self.profile or self.role_arn or named_endpoint(self.endpoint_url):
            return self
        embedded = find_announcement()
        if embedded is None:
            return self
        return replace(
            self,
            endpoint_url=embedded.endpoint_url,
            region=self.region or embedded.region,
            access_key_id=self.access_key_id or "local",
            secret_access_key=self.secret_access_key or "local",
        )


def region_of(config: DynamoDBConfig) -> str:
    """The region that a configuration names, else that of AWS's own chain and its profile, else us-east-1."""
    if config.names_region:
        return config.region_name
    try:
        chain: str | None = botocore.session.Session(profile=config.profile_name).get_config_variable("region")
    except BotoCoreError as error:
        raise explain(error, config.endpoint_url, None) from error
    return chain or config.region_name


def named_endpoint(endpoint_url: str | None) -> str | None:
    """That address, else the one of the variables that AWS's own tools know, None where AWS itself is meant.

    >>> named_endpoint("http://localhost:8000")
    'http://localhost:8000'
    """
    return endpoint_url or next(filter(None, map(os.environ.get, _AWS_ENDPOINTS)), None)


def dynamodb_client(connection: Connection) -> Any:
    """boto3's own DynamoDB client for that connection, one per process; threads may share it."""
    return _client(connection, False)


def raw_client(connection: Connection) -> Any:
    """A client whose bulk operations take a `RawBody` parameter of JSON bytes and answer with the `Body` as bytes.

    It makes each request once: `aws.requests` repeats what may be repeated, with one budget for all of a task's threads.
    """
    return _client(connection, True)


@once_per_process(most=32)
def _client(connection: Connection, raw: bool) -> Any:
    check_no_login(named_endpoint(connection.endpoint_url))
    try:
        session = _session(connection)
        if raw:
            session.register_component("response_parser_factory", _RawParserFactory())
        client = boto3.session.Session(botocore_session=session).client(
            "dynamodb",
            endpoint_url=connection.endpoint_url,
            config=Config(
                connect_timeout=connection.connect_timeout,
                read_timeout=connection.read_timeout,
                max_pool_connections=connection.max_pool_connections,
                retries={"mode": "standard", "total_max_attempts": 1 if raw else connection.max_attempts},
                parameter_validation=not raw,
                tcp_keepalive=True,
                user_agent_extra="spark-dynamo",
                proxies={} if connection.is_loopback else None,  # a proxy can't reach this machine's own addresses
            ),
        )
    except BotoCoreError as error:
        raise explain(error, connection.endpoint_url, connection.region) from error
    except ValueError as error:  # botocore's word for an address that is none
        raise ConfigurationError(
            f"{error}. Check {'the endpoint URL' if connection.endpoint_url else ' and '.join(_AWS_ENDPOINTS)}", error
        ) from error
    if raw:
        for operation in RAW_OPERATIONS:
            client.meta.events.register(f"provide-client-params.dynamodb.{operation}", _keep_body)
            client.meta.events.register(f"before-call.dynamodb.{operation}", _put_body)
        with without("requests under way are not broken off, but end by their own time limits"):
            internals.use_pools(client, http=HTTPPool, https=HTTPSPool)
    with without("answers to requests about single items and tables are taken as botocore takes them"):
        internals.watch_answers(client, lambda send: _checked(send, raw))
    with without(renewal.OTHERWISE):
        _renewals[client] = renewal.Renewal(internals.signer_of(client), lambda: _session(connection).get_credentials())
        client.meta.events.register("needs-retry.dynamodb", _renewals[client].repeat)
    return client


def renewed(client: Any, answer: Mapping[str, Any]) -> bool:
    """Whether an error's answer to a client that was made here says that its credentials have expired, and it has others now."""
    return client in _renewals and _renewals[client].renewed(answer)


def _checked(send: Callable[[Any], Any], raw: bool) -> Callable[[Any], Any]:
    """A function that sends a request, whose answers are DynamoDB's; of raw ones `aws.requests` knows what was asked for.

    botocore repeats a request whose answer raises here.
    """

    def checked(request: Any) -> Any:
        response = send(request)
        headers = {name.lower(): value for name, value in response.headers.items()}
        response.status_code, response._content = received(response.status_code, headers, response.content, request.url)
        response.headers.pop("x-amz-crc32", None)  # it is proven, and may be about the packed bytes
        target = request.headers.get("X-Amz-Target", b"")
        operation = (target.decode() if isinstance(target, bytes) else target).partition(".")[2]
        if response.status_code < 300 and not raw:
            check_answer(operation, request.body or b"", response.content, request.url)
        return response

    return checked


def _session(connection: Connection) -> botocore.session.Session:
    session = botocore.session.Session(profile=connection.profile)
    watch(session)
    if connection.region:
        session.set_config_variable("region", connection.region)
    if connection.role_arn:
        _assume_role(session, connection, connection.role_arn)
    elif connection.access_key_id and connection.secret_access_key:
        session.set_credentials(connection.access_key_id, connection.secret_access_key, connection.session_token)
    elif connection.is_loopback and not connection.profile:
        session.get_component("credential_provider").remove("iam-role")  # no local server wants a machine's role
        if session.get_credentials() is None:
            session.set_credentials("local", "local")
    if connection.is_loopback and session.get_config_variable("region") is None:
        session.set_config_variable("region", "us-east-1")
    return session


def _assume_role(session: botocore.session.Session, connection: Connection, role_arn: str) -> None:
    """Make the session act as the role, with credentials that renew themselves in long jobs."""
    own = _session(replace(connection, role_arn=None))
    source = own.get_credentials()
    if source is None:
        raise botocore.exceptions.NoCredentialsError
    arguments = {"RoleSessionName": connection.role_session_name}
    if connection.external_id:
        arguments["ExternalId"] = connection.external_id
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=own.create_client,
        source_credentials=source,
        role_arn=role_arn,
        extra_args=arguments,
    )
    credentials = DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)
    session.register_component("credential_provider", CredentialResolver([_Ready(credentials)]))


class _Ready(CredentialProvider):
    """A credential provider that has its credentials already."""

    METHOD = CANONICAL_NAME = "spark-dynamo-role"

    def __init__(self, credentials: DeferredRefreshableCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> DeferredRefreshableCredentials:
        return self._credentials


class _RawParserFactory(ResponseParserFactory):
    """Parsers that hand back the body of a bulk operation untouched and leave all else to the stock parser."""

    def create_parser(self, protocol_name: str) -> ResponseParser:
        stock: Any = super().create_parser(protocol_name)
        parse_stock = stock.parse

        def parse(response: Mapping[str, Any], shape: Any) -> Any:
            if shape is None or shape.name not in _RAW_OUTPUTS:
                return parse_stock(response, shape)
            if response["status_code"] >= 300:
                return parse_stock(response, shape)
            headers = {name.lower(): value for name, value in response["headers"].items()}
            metadata = {"HTTPStatusCode": response["status_code"], "HTTPHeaders": headers}
            return {"Body": response["body"], "ResponseMetadata": metadata}

        stock.parse = parse
        return cast("ResponseParser", stock)


def _keep_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Take the ready-made body out of the parameters; the others only tell botocore which table it is about."""
    context["raw_body"] = params.pop("RawBody")
    return params


def _put_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    """Replace the serialized request by the ready-made one, before it is signed."""
    params["body"] = context["raw_body"]


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
