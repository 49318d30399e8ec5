"""Reading with 50 ms until each page comes: `python -m tests.benchmarks.latency`."""

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
_LATENCY = 0.05  # seconds
_PAGES = 128


def run(chosen: Settings) -> None:
    """Measure and print."""
    with replay_server(chosen.pages(_PAGES), PAGE_ITEMS, _LATENCY) as server:
        fetch = measure(
            "ours.fetch", runs=chosen.runs, endpoint=server.endpoint, items_per_page=PAGE_ITEMS, concurrency=16
        )
        ours = measure("ours.read", runs=chosen.runs, endpoint=server.endpoint)
        one_segment = measure("ours.read", runs=chosen.runs, endpoint=server.endpoint, one_segment=True)
        in_turn = measure("ours.read_in_turn", runs=chosen.runs, endpoint=server.endpoint)
    print_rates(
        f"Reading with {_LATENCY * 1000:.0f} ms of latency per page",
        [
            Row("bare fetching, 16 segments at once", fetch),
            Row(_OURS, ours),
            Row("one segment, the next page under way while one is decoded", one_segment),
            Row("one segment, page by page in turn", in_turn),
        ],
        _OURS,
    )
    print_targets(
        [
            Target(f"50 ms per page: to {name}", 6, ratio(ours, other), ratio(ours, other, cpu=True))
            for name, other in (
                ("one segment, next page under way", one_segment),
                ("one segment, page by page in turn", in_turn),
            )
        ]
    )


if __name__ == "__main__":
    main("What latency costs.", run)
