"""Reading a table: `python -m tests.benchmarks.reading`."""

from tests.benchmarks.harness import (
    PAGE_ITEMS,
    Figures,
    Row,
    Settings,
    Target,
    beyond,
    main,
    measure,
    print_rates,
    print_stages,
    print_targets,
    ratio,
    wrangler_python,
)
from tests.servers.replay import replay_server

_OURS = "ours to Arrow, one task"
_PAGES, _PAGES_OF_SLOW_PEERS, _PAGES_OF_TUPLES = 320, 8, 24
_KEYS = 20_000  # as many as the replay server has
_SAMPLE = 1_000


def run(chosen: Settings) -> None:
    """Measure and print."""
    pages = (chosen.pages(full) for full in (_PAGES, _PAGES_OF_SLOW_PEERS, _PAGES_OF_TUPLES))
    many, few, some = (replay_server(number, PAGE_ITEMS) for number in pages)
    runs = chosen.runs
    with many as large, few as small, some as middling:
        fetch_16 = measure("ours.fetch", runs=runs, endpoint=large.endpoint, items_per_page=PAGE_ITEMS, concurrency=16)
        fetch_1 = measure("ours.fetch", runs=runs, endpoint=large.endpoint, items_per_page=PAGE_ITEMS, concurrency=1)
        ours = measure("ours.read", runs=runs, endpoint=large.endpoint)
        table_scan = measure("peers.table_scan", runs=runs, endpoint=small.endpoint)
        python, wrangler_version = wrangler_python(chosen)
        wrangler = None
        if python is not None:
            wrangler = measure("peers.read_items", runs=runs, python=python, endpoint=small.endpoint)
        query = measure("ours.read_by", runs=runs, endpoint=middling.endpoint, operation="Query", items=0)
        keys = measure(
            "ours.read_by", runs=runs, endpoint=middling.endpoint, operation="BatchGetItem", items=chosen.items(_KEYS)
        )
        sample = measure("ours.infer", runs=runs, endpoint=middling.endpoint, items=_SAMPLE)
        on_spark = measure("on_spark.read", runs=runs, endpoint=large.endpoint, items=large.items)
        tuples = measure("on_spark.read_tuples", runs=runs, endpoint=middling.endpoint, items=middling.items)
        parse, decode, assemble = (
            measure(f"ours.stage_{name}", runs=runs, endpoint=large.endpoint)
            for name in ("parse", "decode", "assemble")
        )
    print_rates(
        f"Reading in one process: items of 13 attributes and 458 bytes, pages of {PAGE_ITEMS:,}",
        [
            Row("bare fetching, 16 segments at once", fetch_16),
            Row("bare fetching, one segment", fetch_1),
            Row(_OURS, ours),
            Row("ours, 16 Queries", query),
            Row("ours, BatchGetItem of 100 keys each", keys),
            Row(f"ours, schema of {_SAMPLE:,} items inferred", sample),
            Row("boto3 Table.scan", table_scan),
            Row(f"awswrangler {wrangler_version} read_items", wrangler)
            if wrangler
            else Row("awswrangler read_items", None, wrangler_version),
        ],
        _OURS,
    )
    print_rates(
        "Reading through Spark local[2]; CPU is that of the JVM and all workers",
        [Row("ours", on_spark), Row("boto3 and tuples, 2 tasks", tuples)],
        "ours",
    )
    print_stages(
        "Where the time goes in reading to Arrow",
        [
            ("fetch: botocore, socket, checksum", 1e6 / fetch_1.cpu_rate),
            ("parse: Arrow's JSON reader", 1e6 / parse.cpu_rate),
            ("cast: text to typed columns", beyond(decode, parse)),
            ("assemble: pages to batches of 10,000 rows", 1e6 / assemble.cpu_rate),
        ],
        ours,
    )
    print_targets(
        [
            _target("reading to Arrow, to boto3 Table.scan", 15, ours, table_scan),
            _target("reading to Arrow, to awswrangler read_items", 15, ours, wrangler),
            _target("Queries to Scan", 0.8, query, ours),
            _target("BatchGetItem to Scan", 0.8, keys, ours),
            _target("through Spark, to boto3 and tuples", 10, on_spark, tuples),
        ]
    )


def _target(what: str, least: float, ours: Figures, other: Figures | None) -> Target:
    return Target(what, least, ratio(ours, other), ratio(ours, other, cpu=True))


if __name__ == "__main__":
    main("What reading costs.", run)
