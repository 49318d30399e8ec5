"""Writing items: `python -m tests.benchmarks.writing`."""

from tests.benchmarks.harness import (
    Figures,
    Row,
    Settings,
    Target,
    main,
    measure,
    print_rates,
    print_stages,
    print_targets,
    ratio,
)
from tests.servers.replay import ReplayServer, replay_server

_OURS = "ours from Arrow, one task"
_ITEMS, _ITEMS_OF_PEERS = 200_000, 10_000


def run(chosen: Settings) -> None:
    """Measure and print."""
    many, few, runs = chosen.items(_ITEMS), chosen.items(_ITEMS_OF_PEERS), chosen.runs
    with replay_server(1, 1) as server:
        bare = _counted(server, "ours.send", runs, many)
        bare_1 = _counted(server, "ours.send", runs, many, concurrency=1)
        ours = _counted(server, "ours.write", runs, many)
        on_spark = _counted(server, "on_spark.write", runs, many)
        batch_writer = _counted(server, "peers.batch_writer", runs, few)
        stages = {
            name: 1e6 / measure(f"ours.stage_{name}", runs=runs).cpu_rate for name in ("encode", "keys", "bodies")
        }
    print_rates(
        "Writing items of 13 attributes and 458 bytes, 25 in a request",
        [
            Row("bare sending, 16 requests at once", bare),
            Row("bare sending, one request at a time", bare_1),
            Row(_OURS, ours),
            Row("ours through Spark local[2], all CPU of it", on_spark),
            Row("boto3 batch_writer", batch_writer),
        ],
        _OURS,
    )
    print_stages(
        "Where the time goes in writing from Arrow",
        [
            ("encode: columns to the JSON text of items", stages["encode"]),
            ("keys: look for equal ones", stages["keys"]),
            ("bodies: texts to requests", stages["bodies"]),
            ("send: botocore, signature, socket", 1e6 / bare_1.cpu_rate),
        ],
        ours,
    )
    target = Target(
        "writing, to boto3 batch_writer, per core",
        4,
        ratio(ours, batch_writer),
        ratio(ours, batch_writer, cpu=True),
        by_cpu=True,
    )
    print_targets([target])


def _counted(server: ReplayServer, contender: str, runs: int, items: int, **arguments: object) -> Figures:
    """Measure, and let the server say that each item came once for each run."""
    before = server.stats()["items_written"]
    figures = measure(contender, runs=runs, endpoint=server.endpoint, items=items, **arguments)
    written = server.stats()["items_written"] - before
    if written != items * (runs + 1):
        raise RuntimeError(f"{contender} wrote {written:,} items, not {items:,} in each of {runs + 1} runs")
    return figures


if __name__ == "__main__":
    main("What writing costs.", run)
