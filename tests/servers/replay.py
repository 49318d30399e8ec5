"""A server that replays ready-made pages of a DynamoDB table, faster than any client takes them.

It speaks as much of DynamoDB's protocol as scans, queries, reads by key, writes and a `DescribeTable` need, with a
thread for each connection, in a process of its own: `python tests/servers/replay.py`. It checks no signature, stores
nothing, and knows no filters and projections.

The table `replay` has any number of pages, but only up to `DISTINCT_PAGES` different ones are held in memory and taken
in turn. So an `id` is unique within its page, and within the table up to that many pages. A query for any partition key
has all pages. By key there are the items `item-000000000000` and so on, as many as the table has.
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
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, cast

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

_MOST_KEYS = 100
_ITEM_START = b'{"id":{"S":"item-'
_ID_DIGITS = 12
_STOP_SECONDS = 10
_STATUSES = ("PENDING", "RUNNING", "SUCCEEDED", "FAILED")
_COUNTRIES = ("DE", "FR", "GB", "NL", "US")
_CITIES = ("Berlin", "Lyon", "Leeds", "Utrecht", "Portland")
_NOTE = "The quick brown fox jumps over the lazy dog, and “ünïcode” comes along. "

Item = dict[str, dict[str, Any]]


class Served(NamedTuple):
    """One answered request: when it came and was answered (`time.monotonic()`), and the units that it consumed."""

    received: float
    answered: float
    operation: str
    segment: int | None
    units: float


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
        return cast("dict[str, Any]", self._get("/stats"))

    def log(self) -> list[Served]:
        """All requests for items that were answered so far, in the order of their answers."""
        return [Served(*entry) for entry in self._get("/log")]

    def _get(self, path: str) -> Any:
        connection = http.client.HTTPConnection(self.endpoint.removeprefix("http://"))
        try:
            connection.request("GET", path)
            return json.load(connection.getresponse())
        finally:
            connection.close()


@contextmanager
def replay_server(
    pages: int, items_per_page: int = 2500, latency: float = 0.0, *, skew: float = 0.0, capacity: bool = True
) -> Iterator[ReplayServer]:
    """Run a replay server whose table has `pages` pages; it answers each request after `latency` seconds.

    A page of 2,500 items is 1,145,000 bytes as DynamoDB counts them, 9 % above the real limit of 1 MB. One of the segments
    that are asked for, `skewed_segment`, has the share `skew` of all pages. Without `capacity` no answer tells what it
    consumed.
    """
    settings = [f"--pages={pages}", f"--items-per-page={items_per_page}", f"--latency={latency}", f"--skew={skew}"]
    settings += [] if capacity else ["--no-capacity"]
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


def skewed_segment(total: int) -> int:
    """Which of so many segments has the share `skew` of all pages."""
    return total * 5 // 8


def segment_pages(segment: int, total: int, pages: int, skew: float = 0.0) -> range:
    """The pages of a segment, in order."""
    if not skew or total == 1:
        return range(segment, pages, total)
    heavy, its_pages = skewed_segment(total), round(pages * skew)
    if segment == heavy:
        return range(its_pages)
    return range(its_pages + segment - (segment > heavy), pages, total - 1)


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


@dataclass(frozen=True)
class _Answer:
    """The byte strings that make up a body, their common CRC-32, and what is logged."""

    chunks: list[bytes]
    crc32: int
    units: float = 0.0
    segment: int | None = None


class _Page:
    """The text of a page's items, and where each of them begins."""

    def __init__(self, first: int, count: int) -> None:
        items = [
            json.dumps(example_item(number), separators=(",", ":"), ensure_ascii=False).encode()
            for number in range(first, first + count)
        ]
        self.starts = list(accumulate((len(item) + 1 for item in items), initial=0))
        self.text = b",".join(items) + b","
        # left open: what is different from answer to answer comes after the items
        self.head = b'{"Count":%d,"ScannedCount":%d,"Items":[%b]' % (count, count, self.text[:-1])
        self.crc32 = zlib.crc32(self.head)

    def part(self, start: int, stop: int) -> bytes:
        """The text of some items, with a comma after each."""
        return self.text[self.starts[start] : self.starts[stop]]


class _Table:
    """The answers to each operation."""

    def __init__(self, pages: int, items_per_page: int, skew: float, tells_capacity: bool) -> None:
        self.pages = pages
        self.items_per_page = items_per_page
        self.skew = skew
        self.tells_capacity = tells_capacity
        self.ready = [_Page(page * items_per_page, items_per_page) for page in range(min(pages, DISTINCT_PAGES))]

    def query(self, request: dict[str, Any]) -> _Answer:
        if not request.get("KeyConditionExpression") and not request.get("KeyConditions"):
            raise _RefusedError("ValidationException", "Either the KeyConditions or KeyConditionExpression is missing.")
        return self.scan({**request, "Segment": 0, "TotalSegments": 1})

    def scan(self, request: dict[str, Any]) -> _Answer:
        _check_table(request)
        segment, total = request.get("Segment", 0), request.get("TotalSegments", 1)
        if not 0 <= segment < total <= 1_000_000:
            raise _RefusedError("ValidationException", f"Segment {segment} is not one of {total} segments.")
        limit = request.get("Limit")
        if limit is not None and limit < 1:
            raise _RefusedError("ValidationException", f"Limit {limit} is less than 1.")
        pages = segment_pages(segment, total, self.pages, self.skew)
        place, offset = 0, 0
        if "ExclusiveStartKey" in request:
            page, offset = self._position(request["ExclusiveStartKey"])
            if page not in pages:
                raise _RefusedError("ValidationException", f"Page {page} is not one of segment {segment} of {total}.")
            place = pages.index(page) + (not offset)
        return self._scan(request, pages[place:], offset, segment)

    def _scan(self, request: dict[str, Any], pages: range, offset: int, segment: int) -> _Answer:
        """The items of those pages from the offset on: up to a whole page, or what Limit says."""
        limit = request.get("Limit")
        if limit is None and not offset and pages:
            count, next_key = self.items_per_page, f"page-{pages[0]}" if pages[1:] else None
            whole = self.ready[pages[0] % len(self.ready)]
            head, crc32 = whole.head, whole.crc32
            units = PAGE_READ_UNITS
        else:
            wanted = min(limit or self.items_per_page, self.items_per_page)
            parts, count, next_key = [], 0, None
            while pages and count < wanted:
                stop = min(self.items_per_page, offset + wanted - count)
                parts.append(self.ready[pages[0] % len(self.ready)].part(offset, stop))
                count += stop - offset
                next_key = f"page-{pages[0]}" if stop == self.items_per_page else f"page-{pages[0]}+{stop}"
                offset = stop % self.items_per_page
                if not offset:
                    pages = pages[1:]
            next_key = next_key if pages else None
            head = b'{"Count":%d,"ScannedCount":%d,"Items":[%b]' % (count, count, b"".join(parts)[:-1])
            crc32 = zlib.crc32(head)
            units = min(max(1, -(-count * ITEM_SIZE // 4096)) / 2, PAGE_READ_UNITS)
        units *= 1 + bool(request.get("ConsistentRead"))
        answer: dict[str, Any] = {}
        if self._is_asked(request):
            answer["ConsumedCapacity"] = {"CapacityUnits": units, "TableName": TABLE}
        if next_key:
            answer["LastEvaluatedKey"] = {"id": {"S": next_key}}
        tail = b"," + _json(answer)[1:] if answer else b"}"
        return _Answer([head, tail], zlib.crc32(tail, crc32), units, segment)

    def _position(self, key: dict[str, Any]) -> tuple[int, int]:
        """The page where a key stands, and the item there after it; 0 where it is the page's last."""
        try:
            page, _, offset = key["id"]["S"].removeprefix("page-").partition("+")
            position = int(page), int(offset or 0)
        except (KeyError, TypeError, ValueError):
            position = -1, 0
        if not 0 <= position[0] < self.pages or not 0 <= position[1] < self.items_per_page:
            raise _RefusedError("ValidationException", f"The provided starting key is invalid: {key}")
        return position

    def get(self, request: dict[str, Any]) -> _Answer:
        _check_table(request)
        item = self._item(request.get("Key"))
        units = 1.0 if request.get("ConsistentRead") else 0.5
        fields = [b'"Item":' + item] if item else []
        if self._is_asked(request):
            fields.append(b'"ConsumedCapacity":' + _json({"CapacityUnits": units, "TableName": TABLE}))
        body = b"{" + b",".join(fields) + b"}"
        return _Answer([body], zlib.crc32(body), units)

    def get_batch(self, request: dict[str, Any]) -> _Answer:
        ((table, asked),) = request["RequestItems"].items()
        _check_table({"TableName": table})
        keys = asked["Keys"]
        if not 0 < len(keys) <= _MOST_KEYS:
            raise _RefusedError("ValidationException", "Too many items requested for the BatchGetItem call")
        if len({json.dumps(key) for key in keys}) < len(keys):
            raise _RefusedError("ValidationException", "Provided list of item keys contains duplicates")
        items = b",".join(item for key in keys if (item := self._item(key)))
        units = len(keys) * (1.0 if asked.get("ConsistentRead") else 0.5)
        tail: dict[str, Any] = {"UnprocessedKeys": {}}
        if self._is_asked(request):
            tail["ConsumedCapacity"] = [{"CapacityUnits": units, "TableName": TABLE}]
        body = b'{"Responses":{%b:[%b]},%b' % (json.dumps(table).encode(), items, _json(tail)[1:])
        return _Answer([body], zlib.crc32(body), units)

    def _item(self, key: Any) -> bytes | None:
        """The text of the item with that key; beyond the distinct pages it is another's, under its own id."""
        try:
            ((name, value),) = key.items()
            digits = value["S"].removeprefix("item-")
            number = int(digits)
        except (AttributeError, KeyError, TypeError, ValueError):
            name, digits, number = "", "", -1
        if name != "id":
            raise _RefusedError("ValidationException", "The provided key element does not match the schema")
        if len(digits) != _ID_DIGITS or not 0 <= number < self.pages * self.items_per_page:
            return None
        page, place = divmod(number, self.items_per_page)
        text = self.ready[page % len(self.ready)].part(place, place + 1)
        return _ITEM_START + digits.encode() + text[len(_ITEM_START) + _ID_DIGITS : -1]

    def _is_asked(self, request: dict[str, Any]) -> bool:
        return self.tells_capacity and request.get("ReturnConsumedCapacity", "NONE") != "NONE"

    def describe(self, request: dict[str, Any]) -> _Answer:
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

    def __init__(self, table: _Table, latency: float) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.table = table
        self.latency = latency
        self.lock = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.items_written = 0
        self.log: list[Served] = []  # appending needs no lock

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
            return self._send(200, _whole({"status": "ok"}), request_id=0)
        if first.startswith(b"GET /stats "):
            return self._send(200, _whole(self.server.stats()), request_id=0)
        if first.startswith(b"GET /log "):
            return self._send(200, _whole(self.server.log.copy()), request_id=0)
        received = time.monotonic()
        operation = headers.get(b"x-amz-target", b"").decode().partition(".")[2]
        request_id = self.server.count(operation, _items_written(operation, body))
        if self.server.latency:
            time.sleep(self.server.latency)
        try:
            answer = self._body(operation, body)
        except _RefusedError as refusal:
            return self._send(400, _Answer([refusal.body], zlib.crc32(refusal.body)), request_id)
        if answer.units:
            self.server.log.append(Served(received, time.monotonic(), operation, answer.segment, answer.units))
        return self._send(200, answer, request_id)

    def _body(self, operation: str, body: bytes) -> _Answer:
        match operation:
            case "Scan":
                return self.server.table.scan(json.loads(body))
            case "Query":
                return self.server.table.query(json.loads(body))
            case "GetItem":
                return self.server.table.get(json.loads(body))
            case "BatchGetItem":
                return self.server.table.get_batch(json.loads(body))
            case "DescribeTable":
                return self.server.table.describe(json.loads(body))
            case "BatchWriteItem":
                answer: dict[str, Any] = {"UnprocessedItems": {}}
                if b'"ReturnConsumedCapacity"' in body and self.server.table.tells_capacity:
                    units = float(body.count(b'"PutRequest"'))
                    answer["ConsumedCapacity"] = [{"CapacityUnits": units, "TableName": TABLE}]
                return _whole(answer)
            case "PutItem" | "UpdateItem":
                if b'"ReturnConsumedCapacity"' in body and self.server.table.tells_capacity:
                    return _whole({"ConsumedCapacity": {"CapacityUnits": 1.0, "TableName": TABLE}})
                return _whole({})
            case _:
                raise _RefusedError("UnknownOperationException", f"The replay server does not know {operation!r}.")

    def _send(self, status: int, answer: _Answer, request_id: int) -> None:
        chunks = answer.chunks
        head = (
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}\r\n"
            "Content-Type: application/x-amz-json-1.0\r\n"
            f"Content-Length: {sum(map(len, chunks))}\r\n"
            f"x-amz-crc32: {answer.crc32}\r\n"
            f"x-amzn-RequestId: REPLAY{request_id:046d}\r\n\r\n"
        )
        # the head goes with the first chunk only where that is cheap to copy
        if len(chunks) == 1:
            self.request.sendall(head.encode() + chunks[0])
            return
        self.request.sendall(head.encode())
        for chunk in chunks:
            self.request.sendall(chunk)


def _items_written(operation: str, body: bytes) -> int:
    """Not parsed. Inside a string the name's quotes are escaped, so only an attribute of that name would count too."""
    if operation == "BatchWriteItem":
        return body.count(b'"PutRequest"')
    return int(operation in ("PutItem", "UpdateItem"))


def _check_table(request: dict[str, Any]) -> None:
    name = request.get("TableName")
    if name != TABLE and not str(name).endswith(f":table/{TABLE}"):
        raise _RefusedError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")


def _whole(answer: Any) -> _Answer:
    body = _json(answer)
    return _Answer([body], zlib.crc32(body))


def _json(answer: Any) -> bytes:
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
    parser.add_argument("--skew", type=float, default=0.0, help="share of all pages that one segment has")
    parser.add_argument("--no-capacity", action="store_true", help="never tell what a request consumed")
    arguments = parser.parse_args()
    table = _Table(arguments.pages, arguments.items_per_page, arguments.skew, not arguments.no_capacity)
    with _Server(table, arguments.latency) as server:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
