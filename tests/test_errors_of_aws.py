"""Every error code that a client of DynamoDB can meet becomes a sentence that says what to do; answers come over HTTP."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.retries.standard import ThrottledRetryableChecker

from spark_dynamo.aws.client import Connection, dynamodb_client
from spark_dynamo.aws.error_codes import CANCELLATIONS, MEANINGS, Meaning, meaning_of
from spark_dynamo.aws.failures import explain, failure_kind, is_transient
from spark_dynamo.aws.tables import describe_table
from spark_dynamo.errors import AccessDeniedError, ConfigurationError, RequestFailedError, TableNotFoundError
from tests.servers.scripted import Reply, scripted_server

pytestmark = pytest.mark.server

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html, and Programming.Errors of its guide
COMMON = """AccessDeniedException ExpiredTokenException IncompleteSignature InternalFailure MalformedHttpRequestException
NotAuthorized OptInRequired RequestAbortedException RequestEntityTooLargeException RequestExpired RequestTimeoutException
ServiceUnavailable ThrottlingException UnrecognizedClientException UnknownOperationException ValidationError
InvalidAction InvalidClientTokenId InvalidParameterCombination InvalidParameterValue InvalidQueryParameter
MalformedQueryString MissingAction MissingAuthenticationToken MissingParameter
IncompleteSignatureException InvalidSignatureException MissingAuthenticationTokenException SignatureDoesNotMatch
ExpiredToken AuthFailure RequestTimeTooSkewed ValidationException SerializationException InternalServerError
KMSAccessDeniedException KMSDisabledException KMSInvalidStateException KMSNotFoundException KMSOptInRequired
KMSThrottlingException KMSInternalException KMSInvalidKeyUsageException""".split()  # noqa: SIM905
SECRET = "AKIAHIDDEN"


def modelled() -> set[str]:
    """The codes that the installed botocore's models of DynamoDB, and of STS for roles, know; newer ones know more."""
    session = botocore.session.Session()
    shapes = session.get_service_model("dynamodb").error_shapes
    shapes += session.get_service_model("sts").operation_model("AssumeRole").error_shapes
    return {shape.error_code for shape in shapes}


@contextmanager
def refusing() -> Iterator[Any]:
    """A function that asks a server which refuses with that code; the error as botocore has it."""
    reply: list[Reply] = []

    def refused(code: str, message: str = "Because of it.", status: int = 400, **members: Any) -> ClientError:
        body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **members}
        reply[:] = [Reply(body, status)]
        with pytest.raises(ClientError) as caught:
            client.transact_write_items(TransactItems=[{"Delete": {"TableName": "t", "Key": {"id": {"S": "1"}}}}])
        return caught.value

    with scripted_server(lambda operation, request: reply[0]) as server:
        client = dynamodb_client(
            Connection("us-east-1", server.endpoint, access_key_id="k", secret_access_key="s", max_attempts=1)
        )
        yield refused


@pytest.fixture(scope="module")
def refused() -> Iterator[Any]:
    with refusing() as refused:
        yield refused


def test_every_code_becomes_a_sentence_that_says_what_to_do(refused: Any) -> None:
    for code in sorted({*modelled(), *COMMON, *MEANINGS}):
        check_sentence(refused, code, meaning_of(code))


def check_sentence(refused: Any, code: str, meaning: Meaning) -> None:
    error = refused(code, f"Because of it, as {SECRET} asked." if "ignature" in code else "Because of it.")
    explained = explain(error, "http://e", "eu-west-1", "orders")
    assert isinstance(explained, RequestFailedError)
    assert explained.original_error is error
    assert (explained.code, explained.context["code"]) == (code, code)
    assert str(explained).endswith(f"[endpoint=http://e, region=eu-west-1, code={code}]")
    if meaning.kind == "missing":
        assert isinstance(explained, TableNotFoundError), code
        assert "has no table 'orders'. Check the name" in explained.message
        return
    assert isinstance(explained, AccessDeniedError) == (meaning.kind == "denied"), code
    assert explained.message.endswith(meaning.advice)
    assert ("on table 'orders': Because of it. " in explained.message) != meaning.hushed, code
    assert SECRET not in str(explained)
    assert is_transient(error) == (meaning.kind in ("throttled", "server")), code
    if meaning.kind in ("throttled", "server"):
        assert failure_kind(error) == {"throttled": "throttles", "server": "server_errors"}[meaning.kind]
        tried = explain(error, None, None, "orders", "It was tried for 3 s")
        assert "It was tried for 3 s; option retryTimeout says for how long" in str(tried)
        assert tried.message.endswith(meaning.advice)


# codes that AWS does not have, or not yet
@pytest.mark.parametrize(
    ("code", "kind", "advice"),
    [
        ("VectorIndexThrottlingException", "throttled", "Raise the table's capacity"),
        ("StreamLimitExceededException", "refused", "Stay below the limit"),
        ("ShardUnavailableException", "server", "Try again later"),
        ("InternalStreamError", "server", "Try again later"),
        ("ExpiredContextException", "denied", "The session token has expired"),
        ("InvalidContextAssertionException", "denied", "Check the credentials"),
        ("VectorIndexDeniedException", "denied", "Check the credentials"),
        ("VectorIndexInUseException", "refused", "Something else is at work"),
        ("VectorIndexAlreadyExistsException", "refused", "There is one already"),
        ("VectorIndexNotFoundException", "refused", "What it names is not there"),
        ("InvalidVectorException", "refused", "Correct what it names"),
        ("BrandNewException", "refused", "Look the code up"),
    ],
)
def test_a_code_that_is_new_gets_the_sentence_of_its_family(refused: Any, code: str, kind: str, advice: str) -> None:
    assert code not in MEANINGS
    assert (meaning_of(code).kind, meaning_of(code).advice[: len(advice)]) == (kind, advice)
    check_sentence(refused, code, meaning_of(code))


def test_what_to_do_is_one_sentence_that_stands_alone() -> None:
    for advice in {*(meaning.advice for meaning in MEANINGS.values()), *CANCELLATIONS.values()}:
        assert advice[0].isupper()
        assert not advice.endswith(".")
        assert len(advice) < 170


def test_what_botocore_repeats_is_repeated_here_too() -> None:
    theirs = {*ThrottledRetryableChecker._THROTTLED_ERROR_CODES} - {
        "BandwidthLimitExceeded",  # of other services
        "EC2ThrottledException",
        "PriorRequestNotComplete",
    }
    assert {code: meaning_of(code).kind for code in theirs} == dict.fromkeys(theirs, "throttled")


@pytest.mark.parametrize(
    "said", ["Signature expired: 20260101T000000Z is now earlier than", "Signature not yet current: x"]
)
def test_a_wrong_clock_is_told_apart_from_a_wrong_secret(refused: Any, said: str) -> None:
    explained = explain(refused("InvalidSignatureException", said), None, None)
    assert str(explained).startswith(f"AWS denies the request: {said}. This machine's clock is wrong")


def test_a_server_without_tls_is_told_from_one_that_fails() -> None:
    with scripted_server(lambda operation, request: Reply({})) as server:
        url = server.endpoint.replace("http://", "https://")
        with pytest.raises(
            ConfigurationError, match=f"server at {url} speaks no TLS: its endpoint URL begins with http://"
        ):
            describe_table(dynamodb_client(replace(server.connection, endpoint_url=url)), "t")
        assert not server.requests


def test_a_region_that_can_be_none_is_named() -> None:
    with pytest.raises(
        ConfigurationError, match="'mars north' is no name of an AWS region; give one as in eu-central-1"
    ):
        dynamodb_client(Connection("mars north", access_key_id="k", secret_access_key="s"))


def test_an_unknown_code_keeps_what_aws_says(refused: Any) -> None:
    explained = explain(refused("BrandNewException", "Never heard."), None, None, "orders")
    assert explained.message == (
        "DynamoDB refused the request on table 'orders': Never heard. Look the code up in AWS's API reference of DynamoDB: "
        "it is a new one"
    )
    explained = explain(refused("BrandNewException", "", status=503), None, None)
    assert explained.message.startswith("DynamoDB keeps failing: BrandNewException. ")


def test_a_cancelled_transaction_names_its_actions(refused: Any) -> None:
    codes = ["None", "ConditionalCheckFailed", *["TransactionConflict"] * 6]
    reasons = [
        {"Code": code, "Message": f"m{n}."} if code != "None" else {"Code": code} for n, code in enumerate(codes, 1)
    ]
    error = refused("TransactionCanceledException", "Transaction cancelled.", CancellationReasons=reasons)
    message = explain(error, None, None, "t").message
    assert message.startswith(
        "DynamoDB refused the request on table 't': Transaction cancelled. Of its 8 actions, action 2: ConditionalCheckFailed, "
        "m2; action 3: TransactionConflict, m3; "
    )
    assert "action 6: TransactionConflict, m6; and 2 more. The stored item is not as the condition asks" in message
    assert message.count("A transaction is under way on the same item") == 1


def test_every_reason_of_a_cancellation_says_what_to_do(refused: Any) -> None:
    for code, advice in CANCELLATIONS.items():
        reasons = [{"Code": code, "Message": "m"}]
        error = refused("TransactionCanceledException", "Cancelled.", CancellationReasons=reasons)
        assert advice in explain(error, None, None).message, code


def test_an_explained_error_crosses_a_process_border_with_its_context(refused: Any) -> None:
    explained = explain(refused("ThrottlingException"), "http://e", "eu-west-1", "orders")
    read = pickle.loads(pickle.dumps(explained))
    assert str(read) == str(explained)
    assert read.context == {"endpoint": "http://e", "region": "eu-west-1", "code": "ThrottlingException"}
    assert "ThrottlingException" in str(read.original_error)
