"""The pages of a parallel Scan: several segments fetched at once while the caller decodes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import orjson

from spark_dynamo.aws.requests import Requests

_LAST_KEY = b'"LastEvaluatedKey":'


@dataclass(frozen=True, slots=True)
class _Page:
    segment: int
    body: bytes
    next_key: Mapping[str, Any] | None


def scan_pages(
    requests: Requests,
    segments: Sequence[int],
    *,
    total_segments: int,
    parameters: Mapping[str, Any],
    concurrency: int,
) -> Iterator[bytes]:
    """The bodies of all pages of those segments, in no order; pages without items are among them.

    At most `concurrency` requests are under way or waiting for the caller, so memory is bounded by as many pages of 1 MB.
    The next page of a segment is asked for before the caller gets the last one. Closing the iterator ends the requests.
    """
    waiting = deque(segments)
    finished: SimpleQueue[_Page | BaseException] = SimpleQueue()
    pool = ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="dynamodb-scan")

    def fetch(segment: int, start: Mapping[str, Any] | None) -> None:
        try:
            request = {**parameters, "TableName": requests.table, "Segment": segment, "TotalSegments": total_segments}
            if start is not None:
                request["ExclusiveStartKey"] = start
            body = requests.send("Scan", orjson.dumps(request))
            finished.put(_Page(segment, body, next_key(body)))
        except BaseException as error:  # every failure must reach the caller, or it would wait forever
            finished.put(error)

    under_way = 0
    try:
        while waiting and under_way < concurrency:
            pool.submit(fetch, waiting.popleft(), None)
            under_way += 1
        while under_way:
            page = finished.get()
            if isinstance(page, BaseException):
                raise page
            if page.next_key is not None:
                pool.submit(fetch, page.segment, page.next_key)
            elif waiting:
                pool.submit(fetch, waiting.popleft(), None)
            else:
                under_way -= 1
            requests.counts.add(bytes=len(page.body))
            yield page.body
    finally:
        requests.stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


def next_key(body: bytes) -> dict[str, Any] | None:
    """The LastEvaluatedKey of a page, None on a segment's last page, without parsing the page's items.

    What follows the last place where the name stands is parsed as an object; if that place were inside an item, brackets
    would be left over, and the whole page is parsed instead.

    >>> next_key(b'{"Items":[{"id":{"S":"a"}}],"LastEvaluatedKey":{"id":{"S":"a"}}}')
    {'id': {'S': 'a'}}
    """
    start = body.rfind(_LAST_KEY)
    if start < 0:
        return None
    try:
        page = orjson.loads(b"{" + body[start:])
    except orjson.JSONDecodeError:
        page = orjson.loads(body)
    key: dict[str, Any] | None = page.get("LastEvaluatedKey")
    return key
