"""A server that replays ready-made pages of a DynamoDB table, faster than any client takes them.

It speaks as much of DynamoDB's protocol as a scan, a bulk write and a `DescribeTable` need, with a thread for each
connection, in a process of its own: `python tests/servers/replay.py`. It checks no signature and stores nothing.

The table `replay` has any number of pages, but only up to `DISTINCT_PAGES` different ones are held in memory and taken
in turn. So an `id` is unique within its page, and within the table up to that many pages.
"""

import argparse
import http.client
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

TABLE = "replay"
DISTINCT_PAGES = 8
# As DynamoDB counts it, which is without the type tags and the punctuation of the JSON text.
ITEM_SIZE = 458
# What one eventually consistent page of 1 MB costs.
PAGE_READ_UNITS = 128.5

# The types that hold every value exactly: `amount` has 2 decimals, `score` has 6, `created_at` is ISO 8601 in UTC.
SCHEMA_DDL = ", ".join(
    (
        "id STRING",
        "customer STRING",
        "status STRING",
        "country STRING",
        "created_at TIMESTAMP",
        "quantity BIGINT",
        "sequence BIGINT",
        "amount DECIMAL(18,2)",
        "score DECIMAL(18,6)",
        "is_active BOOLEAN",
        "address STRUCT<city: STRING, postcode: STRING, floor: BIGINT>",
        "tags ARRAY<STRING>",
        "note STRING",
    )
)

_STOP_SECONDS = 10
_STATUSES = ("PENDING", "RUNNING", "SUCCEEDED", "FAILED")
_COUNTRIES = ("DE", "FR", "GB", "NL", "US")
_CITIES = ("Berlin", "Lyon", "Leeds", "Utrecht", "Portland")
_NOTE = "The quick brown fox jumps over the lazy dog, and “ünïcode” comes along. "

Item = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class ReplayServer:
    """A running replay server, as the process that started it sees it."""

    endpoint: str
    pages: int
    items_per_page: int

    @property
    def items(self) -> int:
        """The number of items in the table."""
        return self.pages * self.items_per_page

    @property
    def schema_ddl(self) -> str:
        """The schema of the table's 13 attributes, as Spark's DDL."""
        return SCHEMA_DDL

    def stats(self) -> dict[str, Any]:
        """What was asked so far: `{"requests": {<operation>: <number>}, "items_written": <number>}`."""
        connection = http.client.HTTPConnection(self.endpoint.removeprefix("http://"))
        try:
            connection.request("GET", "/stats")
            return cast("dict[str, Any]", json.load(connection.getresponse()))
        finally:
            connection.close()


@contextmanager
def replay_server(pages: int, items_per_page: int = 2500, latency: float = 0.0) -> Iterator[ReplayServer]:
    """Run a replay server whose table has `pages` pages; it answers each request after `latency` seconds.

    A page of 2,500 items is 1,145,000 bytes as DynamoDB counts them, 9 % above the real limit of 1 MB.
    """
    settings = [f"--pages={pages}", f"--items-per-page={items_per_page}", f"--latency={latency}"]
    # by path, so that neither the current folder nor PYTHONPATH matters; it needs the standard library only
    command = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), *settings]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError(f"The replay server ended at its start with status {process.wait(_STOP_SECONDS)}.")
            yield ReplayServer(f"http://127.0.0.1:{port}", pages, items_per_page)
        finally:
            process.kill()  # it has nothing to tidy up; leaving the block waits for it and closes its pipes


def example_item(number: int) -> Item:
    """The item of that number, in DynamoDB's JSON, `ITEM_SIZE` bytes in size."""
    place = number % len(_COUNTRIES)
    second, microsecond = number % 60, number * 7919 % 1_000_000
    created_at = f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}T{number % 24:02d}:30:{second:02d}"
    item: Item = {
        "id": {"S": f"item-{number:012d}"},
        "customer": {"S": f"customer-{number * 31 % 100_000:05d}"},
        "status": {"S": _STATUSES[number % len(_STATUSES)]},
        "country": {"S": _COUNTRIES[place]},
        "created_at": {"S": f"{created_at}.{microsecond:06d}+00:00"},
        "quantity": {"N": str(number % 1000)},
        "sequence": {"N": str(9_000_000_000_000_000 + number)},
        "amount": {"N": f"{number % 90_000 + 10}.{number % 9 + 1:02d}"},
        "score": {"N": f"-0.{number % 900_000 + 1:06d}"},
        "is_active": {"BOOL": number % 3 == 0},
        "address": {
            "M": {
                "city": {"S": _CITIES[place]},
                "postcode": {"S": f"{number % 90_000 + 10_000}"},
                "floor": {"N": str(number % 40 - 2)},
            }
        },
        "tags": {"L": [{"S": f"tag-{number % 7}"}, {"S": "metadata"}, {"S": _STATUSES[number % 3].lower()}]},
        "note": {"S": ""},
    }
    missing = ITEM_SIZE - item_size(item)
    # cut at the byte, and whatever a cut character leaves is filled up
    note = (_NOTE * (missing // len(_NOTE) + 1)).encode()[:missing].decode(errors="ignore")
    item["note"]["S"] = note + "." * (missing - len(note.encode()))
    return item


def item_size(item: Item) -> int:
    """The size of an item in bytes, as DynamoDB counts it, of names and values."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: dict[str, Any]) -> int:
    ((tag, content),) = value.items()
    match tag:
        case "S":
            return len(content.encode())
        case "N":
            # two digits to a byte, one byte for the exponent and one for a minus sign
            number = str(content)
            digits = number.lstrip("-").replace(".", "").strip("0")
            return (len(digits) + 1) // 2 + 1 + number.startswith("-")
        case "BOOL":
            return 1
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(element) for name, element in content.items())
        case "L":
            return 3 + sum(1 + _value_size(element) for element in content)
        case _:
            raise ValueError(f"no size is known for the type {tag}")


class _RefusedError(Exception):
    """An error answer, by the name that DynamoDB has for it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{name}", "message": message}).encode()


class _Table:
    """The answers to each operation: a list of byte strings that make up the body, and their common CRC-32."""

    def __init__(self, pages: int, items_per_page: int) -> None:
        self.pages = pages
        self.items_per_page = items_per_page
        self.heads: list[tuple[bytes, int]] = []
        for page in range(min(pages, DISTINCT_PAGES)):
            first = page * items_per_page
            items = [example_item(number) for number in range(first, first + items_per_page)]
            text = json.dumps(items, separators=(",", ":"), ensure_ascii=False)
            # left open: what is different from answer to answer comes after the items
            head = f'{{"Count":{items_per_page},"ScannedCount":{items_per_page},"Items":{text}'.encode()
            self.heads.append((head, zlib.crc32(head)))

    def scan(self, request: dict[str, Any]) -> tuple[list[bytes], int]:
        _check_table(request)
        segment, total = request.get("Segment", 0), request.get("TotalSegments", 1)
        if not 0 <= segment < total <= 1_000_000:
            raise _RefusedError("ValidationException", f"Segment {segment} is not one of {total} segments.")
        page = segment
        if "ExclusiveStartKey" in request:
            last_page = self._page_of(request["ExclusiveStartKey"])
            if last_page % total != segment:
                raise _RefusedError(
                    "ValidationException", f"Page {last_page} is not one of segment {segment} of {total}."
                )
            page = last_page + total
        answer: dict[str, Any] = {}
        if "ReturnConsumedCapacity" in request and request["ReturnConsumedCapacity"] != "NONE":
            answer["ConsumedCapacity"] = {"CapacityUnits": PAGE_READ_UNITS, "TableName": TABLE}
        if page + total < self.pages:
            answer["LastEvaluatedKey"] = {"id": {"S": f"page-{page}"}}
        if page >= self.pages:
            return _whole({"Count": 0, "Items": [], "ScannedCount": 0, **answer})
        head, crc32 = self.heads[page % len(self.heads)]
        tail = b"," + _json(answer)[1:] if answer else b"}"
        return [head, tail], zlib.crc32(tail, crc32)

    def _page_of(self, key: dict[str, Any]) -> int:
        try:
            page = int(key["id"]["S"].removeprefix("page-"))
        except (KeyError, TypeError, ValueError):
            page = -1
        if not 0 <= page < self.pages:
            raise _RefusedError("ValidationException", f"The provided starting key is invalid: {key}")
        return page

    def describe(self, request: dict[str, Any]) -> tuple[list[bytes], int]:
        _check_table(request)
        items = self.pages * self.items_per_page
        return _whole(
            {
                "Table": {
                    "TableName": TABLE,
                    "TableArn": f"arn:aws:dynamodb:us-east-1:000000000000:table/{TABLE}",
                    "TableStatus": "ACTIVE",
                    "CreationDateTime": 1767225600.0,
                    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                    "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
                    "ProvisionedThroughput": {
                        "NumberOfDecreasesToday": 0,
                        "ReadCapacityUnits": 0,
                        "WriteCapacityUnits": 0,
                    },
                    "ItemCount": items,
                    "TableSizeBytes": items * ITEM_SIZE,
                }
            }
        )


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, pages: int, items_per_page: int, latency: float) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.table = _Table(pages, items_per_page)
        self.latency = latency
        self.lock = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.items_written = 0

    def count(self, operation: str, items_written: int = 0) -> int:
        with self.lock:
            self.requests[operation] += 1
            self.items_written += items_written
            return self.requests.total()

    def stats(self) -> dict[str, Any]:
        with self.lock:
            return {"requests": dict(self.requests), "items_written": self.items_written}


class _Connection(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = bytearray()
        try:
            while (request := self._receive(received)) is not None:
                self._answer(*request)
        except ConnectionError:
            pass  # the client has gone

    def _receive(self, received: bytearray) -> tuple[bytes, dict[bytes, bytes], bytes] | None:
        """Take the next request out of `received`: its first line, its headers and its body."""
        while (end := received.find(b"\r\n\r\n")) < 0:
            if not self._receive_more(received):
                return None
        first, *lines = bytes(received[:end]).split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        start = end + 4
        stop = start + int(headers.get(b"content-length", 0))
        while len(received) < stop:
            if not self._receive_more(received):
                return None
        body = bytes(received[start:stop])
        del received[:stop]
        return first, headers, body

    def _receive_more(self, received: bytearray) -> bool:
        chunk = self.request.recv(1 << 18)
        received += chunk
        return bool(chunk)

    def _answer(self, first: bytes, headers: dict[bytes, bytes], body: bytes) -> None:
        if first.startswith(b"GET /health "):
            return self._send(200, *_whole({"status": "ok"}), request_id=0)
        if first.startswith(b"GET /stats "):
            return self._send(200, *_whole(self.server.stats()), request_id=0)
        operation = headers.get(b"x-amz-target", b"").decode().partition(".")[2]
        # Not parsed. Inside a string the name's quotes are escaped, so only an attribute of that name would count too.
        request_id = self.server.count(operation, body.count(b'"PutRequest"') if operation == "BatchWriteItem" else 0)
        if self.server.latency:
            time.sleep(self.server.latency)
        try:
            chunks, crc32 = self._body(operation, body)
        except _RefusedError as refusal:
            return self._send(400, [refusal.body], zlib.crc32(refusal.body), request_id)
        return self._send(200, chunks, crc32, request_id)

    def _body(self, operation: str, body: bytes) -> tuple[list[bytes], int]:
        match operation:
            case "Scan":
                return self.server.table.scan(json.loads(body))
            case "DescribeTable":
                return self.server.table.describe(json.loads(body))
            case "BatchWriteItem":
                answer: dict[str, Any] = {"UnprocessedItems": {}}
                if b'"ReturnConsumedCapacity"' in body:
                    units = float(body.count(b'"PutRequest"'))
                    answer["ConsumedCapacity"] = [{"CapacityUnits": units, "TableName": TABLE}]
                return _whole(answer)
            case _:
                raise _RefusedError("UnknownOperationException", f"The replay server does not know {operation!r}.")

    def _send(self, status: int, chunks: list[bytes], crc32: int, request_id: int) -> None:
        head = (
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}\r\n"
            "Content-Type: application/x-amz-json-1.0\r\n"
            f"Content-Length: {sum(map(len, chunks))}\r\n"
            f"x-amz-crc32: {crc32}\r\n"
            f"x-amzn-RequestId: REPLAY{request_id:046d}\r\n\r\n"
        )
        # the head goes with the first chunk only where that is cheap to copy
        if len(chunks) == 1:
            self.request.sendall(head.encode() + chunks[0])
            return
        self.request.sendall(head.encode())
        for chunk in chunks:
            self.request.sendall(chunk)


def _check_table(request: dict[str, Any]) -> None:
    name = request.get("TableName")
    if name != TABLE and not str(name).endswith(f":table/{TABLE}"):
        raise _RefusedError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")


def _whole(answer: dict[str, Any]) -> tuple[list[bytes], int]:
    body = _json(answer)
    return [body], zlib.crc32(body)


def _json(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode()


def _end_with_parent() -> None:
    sys.stdin.read()  # ends when the parent does, however that ends
    os._exit(0)


def main() -> None:
    """Serve until standard input ends; the first line on standard output is the port."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--pages", type=int, required=True)
    parser.add_argument("--items-per-page", type=int, default=2500)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    arguments = parser.parse_args()
    with _Server(arguments.pages, arguments.items_per_page, arguments.latency) as server:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
