"""One segment with nearly all of the data: its task takes as long as that segment alone, and the other tasks end early."""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest

from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.pages import Chain, fetch_pages
from spark_dynamo.aws.requests import Requests
from tests.servers.replay import TABLE, Served, replay_server, skewed_segment

PAGES, SEGMENTS, TASKS, CONCURRENCY = 200, 64, 4, 8
SKEW = 0.9


@pytest.mark.server
def test_a_heavy_segment_delays_nothing_but_itself(caplog: pytest.LogCaptureFixture) -> None:
    order = list(range(SEGMENTS))
    random.Random(SEGMENTS).shuffle(order)
    dealt = [order[task::TASKS] for task in range(TASKS)]
    heavy = skewed_segment(SEGMENTS)
    (its_task,) = [task for task, segments in enumerate(dealt) if heavy in segments]
    caplog.set_level(logging.DEBUG, logger="spark_dynamo.aws.pages")

    with replay_server(PAGES, 20, latency=0.01, skew=SKEW) as server:
        connection = Connection("us-east-1", server.endpoint, access_key_id="k", secret_access_key="s")

        def run(task: int) -> Requests:
            requests = Requests(connection, TABLE)
            chains = [Chain("Scan", {"Segment": n, "TotalSegments": SEGMENTS}, f"segment {n}") for n in dealt[task]]
            assert sum(
                page.startswith(b'{"Count":20,') for page in fetch_pages(requests, chains, concurrency=CONCURRENCY)
            )
            return requests

        with ThreadPoolExecutor(TASKS) as tasks:
            done = list(tasks.map(run, range(TASKS)))
        log = server.log()

    by_segment: dict[int | None, list[Served]] = defaultdict(list)
    for entry in log:
        by_segment[entry.segment].append(entry)
    heavy_log = by_segment.pop(heavy)
    assert len(heavy_log) == SKEW * PAGES
    assert sum(requests.counts.items for requests in done) == PAGES * 20

    # a request of the heavy segment follows the last: what is between them is the task's own doing, little beside latency
    began, ended = heavy_log[0].received, heavy_log[-1].answered
    its_others = [entry for segment in dealt[its_task] if segment != heavy for entry in by_segment[segment]]
    others = [
        entry for task in range(TASKS) if task != its_task for segment in dealt[task] for entry in by_segment[segment]
    ]
    assert began - min(entry.received for entry in log) < 0.5 * (ended - began)
    # its task's other segments ran beside it, the other tasks were over long before, and nothing came after it
    assert max(entry.answered for entry in its_others) < began + 0.5 * (ended - began)
    assert max(entry.answered for entry in others) < began + 0.5 * (ended - began)
    assert max(log, key=lambda entry: entry.answered).segment == heavy

    # the log at a task's end names it
    assert (
        f"the slowest of {SEGMENTS // TASKS} chains was segment {heavy}: 180 pages, 3,600 items"
        in done[its_task].summary()
    )
    assert done[its_task].summary().endswith("% of the items")
    lines = [record.getMessage() for record in caplog.records if record.name == "spark_dynamo.aws.pages"]
    assert len(lines) == SEGMENTS
    assert any(line.startswith(f"table replay, segment {heavy}: 180 pages, 3,600 items, ") for line in lines)
