"""A proxy that stands before a real DynamoDB server and does to some requests what goes wrong on the way to AWS.

It is a scripted server (see `scripted.py`) whose answers are not written down beforehand but asked of the server behind:
they lose, delay, damage or shorten it, or refuse in its place. No fault changes what a patient client gets altogether.
"""

from __future__ import annotations

import http.client
import itertools
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from spark_dynamo.aws.client import Connection

from .scripted import Reply, refusal, scripted_server

READ_TIMEOUT = 0.4  # seconds; of the hasty connection that leads to the proxy
STALL = 2.0  # seconds
_THROTTLING = {
    "ThrottlingReasons": [{"reason": "TableReadProvisionedThroughputExceeded", "resource": "arn:aws:dynamodb"}]
}
# the servers look for the region and the key here, and that a request is signed and dated, but check no signature
_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
)

_UNSTABLE = re.compile(r'"(TableName|ClientRequestToken)": "[^"]*"')

Request = dict[str, Any]
Forward = Callable[[Request], Reply]
Fault = Callable[[str, Request, Forward], Reply]
Choice = Callable[[str, Request], str | Fault | None]  # the fault for a request, None for an honest answer


def _throttled(code: str) -> Fault:
    def fault(operation: str, request: Request, forward: Forward) -> Reply:
        reply = refusal(code, "The level of configured provisioned throughput was exceeded")
        assert isinstance(reply.body, dict)
        return replace(reply, body=reply.body | _THROTTLING)

    return fault


def _damaged(**damage: Any) -> Fault:
    return lambda operation, request, forward: replace(forward(request), **damage)


def _empty_page(operation: str, request: Request, forward: Forward) -> Reply:
    """A page without items that goes on where the last one ended; on the first page there is no such place."""
    start = request.get("ExclusiveStartKey")
    if start is None:
        return forward(request)
    return Reply({"Items": [], "Count": 0, "ScannedCount": 0, "LastEvaluatedKey": start})


def _short_page(operation: str, request: Request, forward: Forward) -> Reply:
    """A page that ends after a few items, as one does that comes to 1 MB."""
    return forward({**request, "Limit": 3}) if operation in ("Scan", "Query") else forward(request)


def _partial_batch(operation: str, request: Request, forward: Forward) -> Reply:
    """Some keys of a BatchGetItem are answered and the others left unprocessed; of a single key none is left."""
    if operation != "BatchGetItem":
        return forward(request)
    ((table, asked),) = request["RequestItems"].items()
    count = max(1, len(asked["Keys"]) // 3)
    done, left = asked["Keys"][:count], asked["Keys"][count:]
    reply = forward({**request, "RequestItems": {table: {**asked, "Keys": done}}})
    answer = json.loads(reply.body) if isinstance(reply.body, bytes) else reply.body
    return replace(reply, body={**answer, "UnprocessedKeys": {table: {**asked, "Keys": left}} if left else {}})


def _unprocessed_batch(operation: str, request: Request, forward: Forward) -> Reply:
    if operation != "BatchGetItem":
        return forward(request)
    return Reply(
        {"Responses": {table: [] for table in request["RequestItems"]}, "UnprocessedKeys": request["RequestItems"]}
    )


def _error_after_the_effect(operation: str, request: Request, forward: Forward) -> Reply:
    forward(request)
    return refusal("InternalServerError", "The request could not be completed", 500)


def _partial_write(operation: str, request: Request, forward: Forward) -> Reply:
    """One entry of a BatchWriteItem is written and the others left unprocessed; of a single one none is left."""
    if operation != "BatchWriteItem":
        return forward(request)
    ((table, entries),) = request["RequestItems"].items()
    reply = forward({**request, "RequestItems": {table: entries[:1]}})
    answer = json.loads(reply.body) if isinstance(reply.body, bytes) else reply.body
    return replace(reply, body={**answer, "UnprocessedItems": {table: entries[1:]} if entries[1:] else {}})


def _unprocessed_write(operation: str, request: Request, forward: Forward) -> Reply:
    if operation != "BatchWriteItem":
        return forward(request)
    return Reply({"UnprocessedItems": request["RequestItems"]})


def _cancelled(code: str) -> Fault:
    """A transaction is cancelled because of its last action, for that reason."""

    def fault(operation: str, request: Request, forward: Forward) -> Reply:
        if operation != "TransactWriteItems":
            return forward(request)
        nothing = [{"Code": "None"} for _ in request["TransactItems"][1:]]
        reply = refusal("TransactionCanceledException", "Transaction cancelled")
        assert isinstance(reply.body, dict)
        return replace(reply, body=reply.body | {"CancellationReasons": [*nothing, {"Code": code, "Message": "no"}]})

    return fault


# those that a client gets over, by name
FAULTS: Mapping[str, Fault] = {
    "ProvisionedThroughputExceededException": _throttled("ProvisionedThroughputExceededException"),
    "ThrottlingException": _throttled("ThrottlingException"),
    "RequestLimitExceeded": _throttled("RequestLimitExceeded"),
    "InternalServerError": lambda *_: refusal("InternalServerError", "The request could not be completed", 500),
    "ServiceUnavailable": lambda *_: Reply(b"<html>503 Service Unavailable</html>", 503),
    "reset before the answer": lambda *_: Reply(reset=True),
    "answer lost": _damaged(reset=True),
    "reset amid the answer": _damaged(reset=True, cut=True),
    "answer cut": _damaged(cut=True),
    "answer and its length cut": _damaged(cut_length=True),
    "wrong CRC32": _damaged(wrong_crc=True),
    "read timeout": lambda *_: Reply(reset=True, delay=STALL),
    "slow first byte": _damaged(delay=READ_TIMEOUT / 8),
    "empty page": _empty_page,
    "short page": _short_page,
    "partial batch": _partial_batch,
    "unprocessed batch": _unprocessed_batch,
}
# the same where something is written; no fault is an honest answer to operations that it does not concern
WRITE_FAULTS: Mapping[str, Fault] = {
    "error after the effect": _error_after_the_effect,
    "answer too late": _damaged(delay=STALL),
    "partial write": _partial_write,
    "unprocessed write": _unprocessed_write,
    "TransactionConflict": _cancelled("TransactionConflict"),
    "ThrottlingError": _cancelled("ThrottlingError"),
    "TransactionInProgressException": _throttled("TransactionInProgressException"),
    "TransactionConflictException": _throttled("TransactionConflictException"),
    "IdempotentParameterMismatchException": lambda *_: refusal("IdempotentParameterMismatchException"),
}
# those that end a task
REFUSALS = ("ExpiredTokenException", "AccessDeniedException", "ValidationException", "ResourceNotFoundException")


def honest(operation: str, request: Request) -> None:
    """No faults."""


@dataclass
class FaultyServer:
    """The proxy: its address, how it chooses faults, and what it did.

    `choose` may be changed at any time. The log has operation, request and fault (None: an honest answer) in the order in
    which the requests came.
    """

    endpoint: str = ""
    choose: Choice = honest
    log: list[tuple[str, Request, str | Fault | None]] = field(default_factory=list)

    @property
    def connection(self) -> Connection:
        return Connection("us-east-1", self.endpoint, access_key_id="local", secret_access_key="local")

    @property
    def hasty_connection(self) -> Connection:
        """One that waits for no answer as long as the fault `read timeout` lasts."""
        return replace(self.connection, read_timeout=READ_TIMEOUT)

    @property
    def faults(self) -> Counter[str]:
        """How often each fault happened."""
        return Counter(fault for _, _, fault in self.log if isinstance(fault, str))


@contextmanager
def faulty_server(backend: str, choose: Choice = honest) -> Iterator[FaultyServer]:
    """Serve on loopback what the server at `backend` answers, but for the faults that `choose` chooses.

    A fault is a name out of `FAULTS` or `WRITE_FAULTS`, an error code out of `REFUSALS`, or a function as they are.
    """
    address = backend.removeprefix("http://")
    local, lock, ended = threading.local(), threading.Lock(), threading.Event()
    connections: list[http.client.HTTPConnection] = []
    proxy = FaultyServer(choose=choose)

    def ask(operation: str, request: Request) -> Reply:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(address, timeout=30)
            connections.append(local.connection)
        headers = {
            "Authorization": _AUTHORIZATION,
            "X-Amz-Date": "20260101T000000Z",
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        }
        try:
            local.connection.request("POST", "/", json.dumps(request), headers)
            response = local.connection.getresponse()
            return Reply(response.read(), response.status)
        finally:
            if ended.is_set():  # what closes all connections may have come before this one was open
                local.connection.close()

    def answer(operation: str, request: Request) -> Reply:
        with lock:
            name = proxy.choose(operation, request)
            proxy.log.append((operation, request, name))
        if name is None:
            return ask(operation, request)
        if name in REFUSALS:
            return refusal(name, f"a message of {name}")
        fault = name if callable(name) else {**FAULTS, **WRITE_FAULTS}[name]
        return fault(operation, request, lambda changed: ask(operation, changed))

    try:
        with scripted_server(answer) as server:
            proxy.endpoint = server.endpoint
            yield proxy
    finally:
        ended.set()
        for connection in connections:
            connection.auto_open = 0  # a request that is late opens no other
            connection.close()


def sometimes(names: Sequence[str], *, seed: int, probability: float = 0.4) -> Choice:
    """Any of those faults with that probability, the same for the n-th attempt at a request in whatever order they come."""
    attempts: Counter[str] = Counter()

    def choose(operation: str, request: Request) -> str | None:
        # without the table's name and the token, which are others in each run
        nameless = {**request, "RequestItems": list(request.get("RequestItems", {}).values())}
        text = _UNSTABLE.sub("", json.dumps([operation, nameless], sort_keys=True))
        attempts[text] += 1
        chance = random.Random(f"{seed} {attempts[text]} {text}")
        return chance.choice(names) if chance.random() < probability else None

    return choose


def every(name: str, nth: int) -> Choice:
    """That fault on every n-th request, the first among them; on all of them where n is 1."""
    counter = itertools.count()
    return lambda operation, request: None if next(counter) % nth else name
