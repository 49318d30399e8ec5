"""What may be repeated, and what each failure means in a sentence with something to do."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)

from spark_dynamo.aws.answers import CorruptAnswerError
from spark_dynamo.aws.error_codes import CANCELLATIONS, LESS, meaning_of
from spark_dynamo.aws.headers import unsendable
from spark_dynamo.errors import (
    AccessDeniedError,
    ConfigurationError,
    ConnectionError,
    DynamoDBWrapperError,
    InvalidResponseError,
    RequestFailedError,
    TableNotFoundError,
    shorten,
)

_TRANSIENT_ERRORS = (
    ConnectTimeoutError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
_CONDITION_CODES = frozenset({"ConditionalCheckFailedException", "ConditionalCheckFailed"})
_WAITING_CODES = frozenset(  # reasons of a cancelled transaction that pass
    {
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingError",
        "TransactionConflict",
    }
)
# of what a write sends, only this depends on the row: on the stored item that an update adds to, or on an index's keys
_ABOUT_ROW = re.compile(
    r"item size|index key|IndexKey|IndexName|(hash|range) ?keys? has exceeded|nesting levels", re.IGNORECASE
)
_TAG = re.compile(r"<[^>]*>")
_HOW_LONG = "; option retryTimeout says for how long it is tried"
_MOST_REASONS = 5


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed when it is sent again."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return meaning_of(error_code(error)).kind in ("throttled", "server") or status >= 500 or status == 429
    return isinstance(error, _TRANSIENT_ERRORS) and not _is_unsendable(error)


def _is_unsendable(error: BaseException) -> bool:
    """Whether Python's HTTP client could not write the request; its message quotes a header, which may hold a secret."""
    return type(error) is HTTPClientError and isinstance(error.kwargs.get("error"), ValueError | TypeError)


def may_pass(error: BaseException) -> bool:
    """Whether to send the same request again: as a failure is transient, or as something else is at work on the table."""
    return is_transient(error) or is_in_use(error)


def is_in_use(error: BaseException) -> bool:
    """Whether DynamoDB refused the request because something else is at work on the table."""
    return isinstance(error, ClientError) and error_code(error) == "ResourceInUseException"


def failure_kind(error: BaseException) -> Literal["throttles", "server_errors", "connection_errors"]:
    """Which of the counts a transient failure belongs to."""
    if not isinstance(error, ClientError):
        return "connection_errors"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    throttled = meaning_of(error_code(error)).kind == "throttled" or status == 429
    return "throttles" if throttled else "server_errors"


def throttling_reason(error: BaseException) -> str:
    """DynamoDB's reason for a throttling, such as TableReadProvisionedThroughputExceeded, or else the error's code."""
    response: dict[str, Any] = getattr(error, "response", {})
    reasons = response.get("ThrottlingReasons") or response.get("throttlingReasons") or [{}]
    return str(reasons[0].get("reason") or response.get("Error", {}).get("Code") or "unknown reason")


def never_reached(error: BaseException) -> bool:
    """Whether nobody answered at the endpoint at all."""
    return isinstance(error, EndpointConnectionError | ConnectTimeoutError)


def may_be_done(error: BaseException) -> bool:
    """Whether a request that failed for now may have taken effect all the same."""
    return failure_kind(error) != "throttles" and not never_reached(error) and not is_in_use(error)


def error_code(error: ClientError) -> str:
    """DynamoDB's own code, as in `ProvisionedThroughputExceededException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What DynamoDB says of one action of a cancelled transaction; `stored` is the item found, in DynamoDB JSON."""

    code: str
    message: str
    stored: dict[str, Any] | None

    @property
    def is_condition(self) -> bool:
        """Whether the action's own condition was not met."""
        return self.code in _CONDITION_CODES

    @property
    def unfit(self) -> str | None:
        """DynamoDB's reason where it can't take the row itself, None for every other one."""
        return _about_row(self.message) if self.code in ("ValidationError", "ValidationException") else None

    @property
    def passes(self) -> bool:
        """Whether the same transaction may succeed later."""
        return self.code in _WAITING_CODES

    @property
    def is_none(self) -> bool:
        """Whether nothing was wrong with the action itself."""
        return self.code == "None"


def failed_condition(error: RequestFailedError) -> Cancellation | None:
    """What was found where a single request's condition was not met; None for every other error."""
    if error.code not in _CONDITION_CODES or not isinstance(error.original_error, ClientError):
        return None
    response: Mapping[str, Any] = error.original_error.response
    return Cancellation(error.code or "", str(response.get("Error", {}).get("Message", "")), _item(response))


def unfit_row(error: RequestFailedError) -> str | None:
    """DynamoDB's reason where it refused a request for a row that no condition speaks of; None for every other error.

    It judges what nobody else can: how large an update makes a stored item, and the keys of indexes in whole items.
    """
    if error.code != "ValidationException" or not isinstance(error.original_error, ClientError):
        return None
    return _about_row(str(error.original_error.response.get("Error", {}).get("Message", "")))


def _about_row(said: str) -> str | None:
    return said.removesuffix(".") if _ABOUT_ROW.search(said) else None


def cancellations(error: RequestFailedError) -> list[Cancellation] | None:
    """The reasons for which a transaction was cancelled, one per action; None for every other error."""
    if error.code != "TransactionCanceledException" or not isinstance(error.original_error, ClientError):
        return None
    reasons: Sequence[Mapping[str, Any]] = error.original_error.response.get("CancellationReasons", ())
    return [
        Cancellation(str(reason.get("Code", "None")), str(reason.get("Message", "")), _item(reason))
        for reason in reasons
    ]


def _item(response: Mapping[str, Any]) -> dict[str, Any] | None:
    item = response.get("Item")
    return {name: _json(value) for name, value in item.items()} if item else None


def _json(value: Any) -> Any:
    """An attribute value as botocore parses it in DynamoDB JSON: with binaries as base64 text."""
    if isinstance(value, bytes):
        return binascii.b2a_base64(value, newline=False).decode()
    if isinstance(value, Mapping):
        return {name: _json(element) for name, element in value.items()}
    if isinstance(value, list):
        return [_json(element) for element in value]
    return value


def explain_cancelled(table: str, key: str, reason: Cancellation, tried: str = "") -> RequestFailedError:
    """The error where a transaction is cancelled because of that row and can't succeed, or has not in time."""
    said = reason.message.removesuffix(".") or reason.code
    if tried:
        return RequestFailedError(
            f"DynamoDB keeps cancelling transactions on table '{table}': {said}. {tried}{_HOW_LONG}. {LESS}",
            code=reason.code,
        )
    return RequestFailedError(
        f"DynamoDB refused row {key} for table '{table}' and with it the transaction that it is in: {said}",
        code=reason.code,
    )


def explain_unprocessed(what: Literal["keys", "items"], table: str, tried: str) -> RequestFailedError:
    """The error where DynamoDB leaves keys or items unprocessed until the patience is over."""
    return RequestFailedError(
        f"DynamoDB keeps leaving {what} of table '{table}' unprocessed, as it does where a table is throttled. "
        f"{tried}{_HOW_LONG}. {LESS}"
    )


def explain(
    error: BaseException, endpoint: str | None, region: str | None, table: str | None = None, tried: str = ""
) -> DynamoDBWrapperError:
    """The error of this package that says what happened and what to do.

    `tried` says of a failure that could have passed how long and how often it was tried. Raise it from its `original_error`,
    which is None where not even a traceback may show what happened.
    """
    tried = f". {tried}" if tried else ""
    where: dict[str, Any] = {"endpoint": endpoint, "region": region}
    if isinstance(error, ClientError):
        tried += _HOW_LONG if tried else ""
        return _explain_code(error, table, where, tried)
    if _is_unsendable(error):
        return unsendable()
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return AccessDeniedError(
            "No AWS credentials were found. Set a profile, a role, the AWS_* environment variables, or the options "
            "accessKeyId and secretAccessKey; for local work use sd.local_dynamodb()",
            error,
            **where,
        )
    if isinstance(error, NoRegionError):
        return ConfigurationError(
            "No AWS region is known. Set option 'region' (on the command line --region) or the variable AWS_REGION",
            error,
        )
    if isinstance(error, InvalidRegionError):
        return ConfigurationError(f"'{region}' is no name of an AWS region; give one as in eu-central-1", error)
    if isinstance(error, SSLError) and "WRONG_VERSION_NUMBER" in str(error):
        return ConfigurationError(
            f"The server at {endpoint} speaks no TLS: its endpoint URL begins with http://, not https://", error
        )
    if isinstance(error, ProfileNotFound):
        return ConfigurationError(f"{error}. Check option 'profile' and ~/.aws/config", error)
    if never_reached(error):
        return ConnectionError(
            f"Nobody answers at the DynamoDB endpoint{tried}. Check the endpoint, the region and the network"
            + ("" if endpoint else "; for a local server set option 'endpointUrl' or DYNAMODB_ENDPOINT_URL"),
            error,
            **where,
        )
    if isinstance(error, CorruptAnswerError):
        return InvalidResponseError(table or "?", f"{error}{tried}{_HOW_LONG if tried else ''}", error, **where)
    if is_transient(error):
        return ConnectionError(
            f"The connection to DynamoDB keeps failing: {error}{tried}{_how_long(error) if tried else ''}",
            error,
            **where,
        )
    if isinstance(error, BotoCoreError):
        return ConnectionError(f"The request to DynamoDB could not be made: {error}", error, **where)
    return RequestFailedError(f"The request to DynamoDB failed: {error}", error, **where)


def _how_long(error: BaseException) -> str:
    return _HOW_LONG + (", requestTimeout for how long each time" if isinstance(error, ReadTimeoutError) else "")


def _explain_code(error: ClientError, table: str | None, where: dict[str, Any], tried: str) -> DynamoDBWrapperError:
    code = error_code(error)
    said = _readable(str(error.response.get("Error", {}).get("Message", "")).removesuffix("."))
    about = f" on table '{table}'" if table else ""
    meaning = meaning_of(code, said)
    advice = f". {meaning.advice}"
    if meaning.kind == "missing":
        return TableNotFoundError(table or "?", error, code=code, **where)
    if meaning.kind == "denied":
        sentence = meaning.advice if meaning.hushed else f"AWS denies the request{about}: {said}{advice}"
        return AccessDeniedError(sentence, error, code=code, **where)
    if code.isdecimal() and not is_transient(error):  # a status: no DynamoDB has answered
        return RequestFailedError(
            f"The request{about} got no answer of DynamoDB's, but {said}{tried}{advice}",
            error,
            code=code,
            **where,
        )
    passing = "keeps throttling" if meaning.kind == "throttled" else "keeps failing"
    verb = passing if is_transient(error) else "refused the request"
    return RequestFailedError(
        f"DynamoDB {verb}{about}: {said or code}{_reasons(error)}{tried}{advice}", error, code=code, **where
    )


def _readable(said: str) -> str:
    """What was said, without the tags of HTML, in which servers and proxies speak that fail before DynamoDB's own words."""
    if not said.lstrip()[:9].lower().startswith(("<!doctype", "<html")):
        return said
    return f"a page of HTML in place of an answer, {shorten(' '.join(_TAG.sub(' ', said).split()))}"


def _reasons(error: ClientError) -> str:
    """What DynamoDB says of the single actions of a cancelled transaction, and what to do about them."""
    reasons: Sequence[Mapping[str, Any]] = error.response.get("CancellationReasons", ())
    wrong = [
        (n, str(reason.get("Code"))) for n, reason in enumerate(reasons, 1) if reason.get("Code", "None") != "None"
    ]
    if not wrong:
        return ""
    listed = "; ".join(
        f"action {n}: {code}, {shorten(str(reasons[n - 1].get('Message', '')).removesuffix('.'))}"
        for n, code in wrong[:_MOST_REASONS]
    )
    more = f"; and {len(wrong) - _MOST_REASONS} more" if len(wrong) > _MOST_REASONS else ""
    advice = "".join(
        f". {CANCELLATIONS[code]}" for code in dict.fromkeys(code for _, code in wrong) if code in CANCELLATIONS
    )
    return f". Of its {len(reasons)} actions, {listed}{more}{advice}"
