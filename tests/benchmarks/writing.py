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
_ON_SPARK = "ours"
_ITEMS, _ITEMS_OF_PEERS, _SINGLE_ITEMS = 200_000, 10_000, 10_000


def run(chosen: Settings) -> None:
    """Measure and print."""
    many, few, single, runs = (*map(chosen.items, (_ITEMS, _ITEMS_OF_PEERS, _SINGLE_ITEMS)), chosen.runs)
    with replay_server(1, 1) as server:
        bare = _counted(server, "ours.send", runs, many)
        bare_1 = _counted(server, "ours.send", runs, many, concurrency=1)
        ours = _counted(server, "ours.write", runs, many)
        updates = _counted(server, "ours.write", runs, single, operation="update")
        batch_writer = _counted(server, "peers.batch_writer", runs, few)
        put_item = _counted(server, "peers.put_item", runs, few)
        on_spark = _counted(server, "on_spark.write", runs, many)
        rows = _counted(server, "on_spark.write_rows", runs, few, batched=False)
        batched_rows = _counted(server, "on_spark.write_rows", runs, few, batched=True)
        stages = {
            name: 1e6 / measure(f"ours.stage_{name}", runs=runs, **arguments).cpu_rate
            for name, arguments in (("encode", {"endpoint": server.endpoint}), ("keys", {}), ("bodies", {}))
        }
    print_rates(
        "Writing items of 13 attributes and 458 bytes, 25 in a request, in one process",
        [
            Row("bare sending, 16 requests at once", bare),
            Row("bare sending, one request at a time", bare_1),
            Row(_OURS, ours),
            Row("boto3 batch_writer", batch_writer),
            Row("ours, operation update: a request per item", updates),
            Row("boto3 put_item", put_item),
        ],
        _OURS,
    )
    spark_rows = [
        (_ON_SPARK, on_spark),
        ("a writer of rows, put_item", rows),
        ("a writer of rows, batch_writer", batched_rows),
    ]
    for title, figures in (
        ("all CPU, also the JVM's", spark_rows),
        ("CPU of the task workers alone", [(what, figures.of_workers) for what, figures in spark_rows]),
    ):
        print_rates(f"Writing through Spark local[2]; {title}", [Row(*row) for row in figures], _ON_SPARK)
    print_stages(
        "Where the time goes in writing from Arrow",
        [
            ("encode: check the rows, columns to the JSON text of items", stages["encode"]),
            ("keys: look for equal ones", stages["keys"]),
            ("bodies: texts to requests", stages["bodies"]),
            ("send: signature, socket", 1e6 / bare_1.cpu_rate),
        ],
        ours,
    )
    workers = on_spark.of_workers
    print_targets(
        [
            _target("writing, to boto3 batch_writer", 6, ours, batch_writer),
            _target("through Spark, to boto3 batch_writer by itself", 6, workers, batch_writer),
            _target("through Spark, to a writer of rows with batch_writer", 6, workers, batched_rows.of_workers),
            _target("through Spark, to a writer of rows with put_item", 10, workers, rows.of_workers),
        ]
    )


def _target(what: str, least: float, ours: Figures, other: Figures) -> Target:
    return Target(f"{what}, per core", least, ratio(ours, other), ratio(ours, other, cpu=True), by_cpu=True)


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
