"""Reading with 50 ms until each page comes, writing with 20 ms per request: `python -m tests.benchmarks.latency`."""

from tests.benchmarks.harness import (
    PAGE_ITEMS,
    Row,
    Settings,
    Target,
    main,
    measure,
    print_rates,
    print_targets,
    ratio,
)
from tests.servers.replay import replay_server

_OURS = "ours to Arrow, one task"
_NEXT_UNDER_WAY = "one segment, next page under way while one is decoded"
_IN_TURN = "one segment, page by page in turn"
_LATENCY = 0.05  # seconds
_PAGES = 128
_SMALL = 250  # items in a page of which a filter leaves a tenth
_WRITING = "ours from Arrow, one task"
_WRITE_LATENCY = 0.02  # seconds
_ITEMS, _ITEMS_IN_TURN = 100_000, 5_000


def run(chosen: Settings) -> None:
    """Measure and print, for full pages, which take long to decode, and for small ones, where latency is all."""
    targets = _run(chosen, PAGE_ITEMS, 1)
    _run(chosen, _SMALL, 5)
    print_targets([*targets, _write(chosen)])


def _run(chosen: Settings, items_per_page: int, more_for_ours: int) -> list[Target]:
    runs, pages = chosen.runs, chosen.pages(_PAGES)
    fast, slow = (replay_server(number, items_per_page, _LATENCY) for number in (pages * more_for_ours, pages))
    with fast as large, slow as small:
        fetch = measure("ours.fetch", runs=runs, endpoint=large.endpoint, items_per_page=items_per_page, concurrency=16)
        decode = measure("ours.stage_decode", runs=runs, endpoint=large.endpoint)
        ours = measure("ours.read", runs=runs, endpoint=large.endpoint)
        one_segment = measure("ours.read", runs=runs, endpoint=small.endpoint, one_segment=True)
        in_turn = measure("ours.read_in_turn", runs=runs, endpoint=small.endpoint)
    print_rates(
        f"Reading with {_LATENCY * 1000:.0f} ms of latency per page of {items_per_page:,} items",
        [
            Row("bare fetching, 16 segments at once", fetch),
            Row("bare decoding of pages in memory, one thread", decode),
            Row(_OURS, ours),
            Row(_NEXT_UNDER_WAY, one_segment),
            Row(_IN_TURN, in_turn),
        ],
        _OURS,
    )
    return [
        Target(f"50 ms per page, to {name}", 6, ratio(ours, other), ratio(ours, other, cpu=True))
        for name, other in ((_NEXT_UNDER_WAY, one_segment), (_IN_TURN, in_turn))
    ]


def _write(chosen: Settings) -> Target:
    """Writing by as many requests at once as are worth it, and by one after the other."""
    with replay_server(1, 1, _WRITE_LATENCY) as server:
        ours = measure("ours.write", runs=chosen.runs, endpoint=server.endpoint, items=chosen.items(_ITEMS))
        few = chosen.items(_ITEMS_IN_TURN)
        in_turn = measure("ours.send", runs=chosen.runs, endpoint=server.endpoint, items=few, concurrency=1)
        batch_writer = measure("peers.batch_writer", runs=chosen.runs, endpoint=server.endpoint, items=few)
    print_rates(
        f"Writing with {_WRITE_LATENCY * 1000:.0f} ms of latency per request of 25 items",
        [
            Row(_WRITING, ours),
            Row("ready requests on a single connection", in_turn),
            Row("boto3 batch_writer", batch_writer),
        ],
        _WRITING,
    )
    return Target("20 ms per request, to a single connection", 10, ratio(ours, in_turn), ratio(ours, in_turn, cpu=True))


if __name__ == "__main__":
    main("What latency costs.", run)
