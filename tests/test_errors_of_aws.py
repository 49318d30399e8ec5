"""Every error code that a client of DynamoDB can meet becomes a sentence that says what to do; answers come over HTTP."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.retries.standard import ThrottledRetryableChecker

from spark_dynamo.aws.client import Connection, dynamodb_client
from spark_dynamo.aws.error_codes import CANCELLATIONS, MEANINGS, SERVER_CODES, THROTTLING_CODES
from spark_dynamo.aws.failures import explain, failure_kind, is_transient
from spark_dynamo.errors import AccessDeniedError, RequestFailedError, TableNotFoundError
from tests.servers.scripted import Reply, scripted_server

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


def modelled() -> list[str]:
    """The codes that botocore's models of DynamoDB, and of STS for roles, know."""
    session = botocore.session.Session()
    codes = [shape.error_code for shape in session.get_service_model("dynamodb").error_shapes]
    return codes + [
        shape.error_code for shape in session.get_service_model("sts").operation_model("AssumeRole").error_shapes
    ]


CODES = sorted({*modelled(), *COMMON, *MEANINGS})


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


@pytest.mark.parametrize("code", CODES)
def test_every_code_becomes_a_sentence_that_says_what_to_do(refused: Any, code: str) -> None:
    error = refused(code, f"Because of it, as {SECRET} asked." if "ignature" in code else "Because of it.")
    explained = explain(error, "http://e", "eu-west-1", "orders")
    assert isinstance(explained, RequestFailedError)
    assert explained.original_error is error
    assert (explained.code, explained.context["code"]) == (code, code)
    assert str(explained).endswith(f"[endpoint=http://e, region=eu-west-1, code={code}]")
    meaning = MEANINGS[code]
    if meaning.kind == "missing":
        assert isinstance(explained, TableNotFoundError)
        assert "has no table 'orders'. Check the name" in explained.message
        return
    assert isinstance(explained, AccessDeniedError) == (meaning.kind == "denied")
    assert explained.message.endswith(meaning.advice)
    assert ("on table 'orders': Because of it. " in explained.message) != meaning.hushed
    assert SECRET not in str(explained)
    assert is_transient(error) == (meaning.kind in ("throttled", "server"))
    if meaning.kind in ("throttled", "server"):
        assert failure_kind(error) == {"throttled": "throttles", "server": "server_errors"}[meaning.kind]
        tried = explain(error, None, None, "orders", "It was tried for 3 s")
        assert "It was tried for 3 s; option retryTimeout says for how long" in str(tried)
        assert tried.message.endswith(meaning.advice)


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
    assert theirs <= THROTTLING_CODES
    assert not THROTTLING_CODES & SERVER_CODES


@pytest.mark.parametrize(
    "said", ["Signature expired: 20260101T000000Z is now earlier than", "Signature not yet current: x"]
)
def test_a_wrong_clock_is_told_apart_from_a_wrong_secret(refused: Any, said: str) -> None:
    explained = explain(refused("InvalidSignatureException", said), None, None)
    assert str(explained).startswith(f"AWS denies the request: {said}. This machine's clock is wrong")


def test_an_unknown_code_keeps_what_aws_says(refused: Any) -> None:
    explained = explain(refused("BrandNewException", "Never heard."), None, None, "orders")
    assert explained.message == "DynamoDB refused the request on table 'orders': Never heard"
    explained = explain(refused("BrandNewException", "", status=503), None, None)
    assert explained.message == "DynamoDB keeps failing: BrandNewException"


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


@pytest.mark.parametrize("code", sorted(CANCELLATIONS))
def test_every_reason_of_a_cancellation_says_what_to_do(refused: Any, code: str) -> None:
    error = refused("TransactionCanceledException", "Cancelled.", CancellationReasons=[{"Code": code, "Message": "m"}])
    assert CANCELLATIONS[code] in explain(error, None, None).message


def test_an_explained_error_crosses_a_process_border_with_its_context(refused: Any) -> None:
    explained = explain(refused("ThrottlingException"), "http://e", "eu-west-1", "orders")
    read = pickle.loads(pickle.dumps(explained))
    assert str(read) == str(explained)
    assert read.context == {"endpoint": "http://e", "region": "eu-west-1", "code": "ThrottlingException"}
    assert "ThrottlingException" in str(read.original_error)
