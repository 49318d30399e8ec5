"""What comes over HTTP, before anybody takes it for an answer of DynamoDB: unpacked, whole, and with what was asked for.

Proxies, web servers and emulators answer too: with pages, with nothing, or with an error under a status of success.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import orjson
from botocore.exceptions import HTTPClientError

from spark_dynamo.errors import shorten

_LARGEST = 64_000_000  # bytes; DynamoDB gives 16 MB at most
_NEAR = 4_000  # bytes; an error that is told further from both ends lacks what was asked for all the same
_PLAIN = frozenset({"", "identity"})
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
# an attribute of that name has an object for its value, and the quotes inside a string are escaped
_ERROR = re.compile(rb'"__type"\s*:\s*"')
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
# boto3 puts spaces behind its colons, our own requests have none
_ASKED_UNITS = re.compile(rb'"ReturnConsumedCapacity": ?"TOTAL"')
_ASKED_ITEM = re.compile(rb'"ReturnValues": ?"ALL_NEW"')
_ASKED_COUNT = re.compile(rb'"Select": ?"COUNT"')
_WRITTEN = ("ConsumedCapacity", "Attributes", "ItemCollectionMetrics")
_READ: Mapping[str, tuple[str, ...]] = {  # what makes up nearly all of an answer, so that it is not parsed here
    "Scan": ("Items",),
    "Query": ("Items",),
    "BatchGetItem": ("Responses",),
    "GetItem": ("Item", "ConsumedCapacity"),
}
_FIELDS: Mapping[str, tuple[str, ...]] = {  # one of which is there
    **_READ,
    "BatchWriteItem": ("UnprocessedItems",),
    "PutItem": _WRITTEN,
    "UpdateItem": _WRITTEN,
    "DeleteItem": _WRITTEN,
    "TransactWriteItems": _WRITTEN,
    "DescribeTable": ("Table",),
    "CreateTable": ("TableDescription",),
    "UpdateTable": ("TableDescription",),
    "DeleteTable": ("TableDescription",),
    "ListTables": ("TableNames",),
    "DescribeTimeToLive": ("TimeToLiveDescription",),
    "UpdateTimeToLive": ("TimeToLiveSpecification",),
}
_LISTS = ("CancellationReasons", "ThrottlingReasons")
_KINDS: Mapping[str, tuple[type, ...]] = {  # of fields that are no objects
    **dict.fromkeys((*_LISTS, "Items", "TableNames"), (list,)),
    "Count": (int,),
    "ConsumedCapacity": (dict, list),
}


class CorruptAnswerError(HTTPClientError):
    """An answer that was damaged on its way, or that no DynamoDB has given.

    It is of botocore's family of errors after which a request is repeated.
    """

    fmt = "{problem}"

    def __init__(self, problem: str) -> None:
        super().__init__(problem=problem)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self),)


def received(status: int, headers: Mapping[str, str], body: bytes, url: str) -> tuple[int, bytes]:
    """Status and body of an answer, unpacked; CorruptAnswerError where it is damaged.

    `headers` are found by their names in lower case. An error's body that came with a status of success has the status 400, and
    whatever came with another status is the body of an error.
    """
    crc32 = headers.get("x-amz-crc32")
    content = _unpacked(body, headers.get("content-encoding", "").strip().lower())
    if crc32 is not None:
        _check_crc32(crc32, body, content)
    if status < 300:
        # DynamoDB always gives the CRC32, so that its pages are not parsed here
        if crc32 is None and content.lstrip().startswith(b"{"):
            _parsed(content)
        ends = content if len(content) < 2 * _NEAR else content[:_NEAR] + b"\n" + content[-_NEAR:]
        return 400 if _ERROR.search(ends) else status, content
    return status, _error_body(status, headers, content, url)


def check_answer(operation: str, request: bytes, body: bytes, endpoint: str | None) -> None:
    """Raise CorruptAnswerError where the body has not what DynamoDB answers to such a request."""
    _check_object(body, endpoint)
    expected = _FIELDS.get(operation, ())
    if _ASKED_ITEM.search(request):
        expected = ("Attributes",)
    elif operation in {"Scan", "Query"} and _ASKED_COUNT.search(request):
        expected = ("Count",)
    elif "ConsumedCapacity" in expected and not _ASKED_UNITS.search(request):
        expected = ()
    bulk = operation in _READ and expected != ("Count",)
    if bulk and (not expected or any(b'"%s"' % field.encode() in body for field in expected)):
        return
    answer = _parsed(body)
    if expected and all(answer.get(field) is None for field in expected):
        raise CorruptAnswerError(
            f"it has no {expected[0]}, which DynamoDB's answers to {operation} have: nothing shows that the request was done"
        )
    for field in expected:
        _check_kind(field, answer.get(field))


def _check_kind(field: str, value: Any) -> None:
    kinds = _KINDS.get(field, (dict,))
    inner = value.values() if field == "UnprocessedItems" and isinstance(value, dict) else ()
    if (value is not None and not isinstance(value, kinds)) or not all(isinstance(entries, list) for entries in inner):
        raise CorruptAnswerError(f"its {field} is {shorten(repr(value))}, which DynamoDB never answers")


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding in _PLAIN or not body:
        return body
    if encoding not in _PACKED:
        raise CorruptAnswerError(f"its Content-Encoding is {shorten(encoding)}, which nobody asked for")
    unpacking = zlib.decompressobj(wbits=47)  # gzip or zlib, as its head says
    try:
        content = unpacking.decompress(body, _LARGEST)
    except zlib.error as error:
        raise CorruptAnswerError(f"its Content-Encoding is {encoding}, and it can't be unpacked: {error}") from error
    if not unpacking.eof:
        raise CorruptAnswerError(f"its Content-Encoding is {encoding}, and it is cut or too large")
    return content


def _check_crc32(crc32: str, body: bytes, content: bytes) -> None:
    """The header is about the bytes that DynamoDB sent, and a proxy may have packed them or not."""
    if not crc32.strip().isdecimal():
        raise CorruptAnswerError(f"its header x-amz-crc32 is {shorten(repr(crc32))}, and no number")
    if int(crc32) != zlib.crc32(content) and (content is body or int(crc32) != zlib.crc32(body)):
        raise CorruptAnswerError(f"the answer of {len(body)} bytes does not match its CRC32")


def _check_object(content: bytes, endpoint: str | None) -> None:
    stripped = content.strip()
    if not stripped:
        raise CorruptAnswerError("the answer is empty")  # even one that says nothing is {}
    if stripped.startswith(b"<"):
        place = _place(endpoint) if endpoint else "something on the way"
        raise CorruptAnswerError(
            f"{place} answers with {_shown(content)}: that is a web server or a proxy, and no DynamoDB. Check the "
            "endpoint, and HTTPS_PROXY"
        )
    if not stripped.startswith(b"{") or not stripped.endswith(b"}"):
        raise CorruptAnswerError(f"it is no JSON object, but {_shown(content)}")


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise CorruptAnswerError(f"{error} in {len(content)} bytes") from error


def _error_body(status: int, headers: Mapping[str, str], content: bytes, url: str) -> bytes:
    """An error's body as DynamoDB words it, unchanged; in place of any other one that says what came, and from where."""
    found: Any = None
    if content.lstrip().startswith(b"{"):
        found = _parsed(content)
        if isinstance(found.get("__type"), str):
            for field in ("Item", *_LISTS):
                _check_kind(field, found.get(field))
            return content
        found = next((found[name] for name in ("message", "Message") if isinstance(found.get(name), str)), None)
    reason = f" ({HTTPStatus(status).phrase})" if status in HTTPStatus._value2member_map_ else ""
    target = f" to {_place(headers['location'])}" if headers.get("location") else ""
    said = f", which says {shorten(repr(found))}" if found else f", with {_shown(content)}" if content.strip() else ""
    return orjson.dumps({"__type": str(status), "message": f"status {status}{reason} from {_place(url)}{target}{said}"})


def _place(url: str) -> str:
    """The address without what may be secret in it.

    >>> _place("https://me:mine@login.example/sign-in?token=7")
    'https://login.example/sign-in'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".removesuffix("/")


def _shown(content: bytes) -> str:
    """A short text in place of the whole.

    >>> _shown(b"<html><title>It works!</title><p>Welcome</html>")
    "a page of HTML, 'It works!'"
    """
    text = content[:100_000].decode("utf-8", "replace")
    if not text.lstrip().startswith("<"):
        return shorten(repr(text.strip()[:100]))
    title = _TITLE.search(text)
    words = " ".join((title[1] if title else _TAGS.sub(" ", text)).split())
    return f"a page of HTML, {shorten(repr(words[:100]))}" if words else "a page of HTML"
