"""The peak of a worker's memory: `python -m tests.benchmarks.memory`; with `--scale 10`, 10 million rows are written."""

from rich.table import Table

from tests.benchmarks.harness import PAGE_ITEMS, Settings, console, main, measure
from tests.servers.replay import ITEM_SIZE, replay_server

_PAGES = 900  # 1.03 GB as DynamoDB counts it
_ITEMS = 1_000_000
_FEW = 10
_MOST = 150_000_000  # bytes of growth


def run(chosen: Settings) -> None:
    """Measure and print."""
    items = chosen.items(_ITEMS)
    with replay_server(1, _FEW) as empty, replay_server(chosen.pages(_PAGES), PAGE_ITEMS) as full:
        read = f"a scan of {full.items * ITEM_SIZE / 1e9:.2f} GB"
        write = f"a write of {items:,} items"
        rows = [
            (
                f"{read}, one task in one process",
                *_peaks("ours.read", {"endpoint": empty.endpoint}, {"endpoint": full.endpoint}),
            ),
            (
                f"{read}, the largest worker of Spark local[2]",
                *_peaks(
                    "on_spark.read",
                    {"endpoint": empty.endpoint, "items": empty.items},
                    {"endpoint": full.endpoint, "items": full.items},
                ),
            ),
            (
                f"{write}, one task in one process",
                *_peaks(
                    "ours.write",
                    {"endpoint": empty.endpoint, "items": _FEW, "lazily": True},
                    {"endpoint": empty.endpoint, "items": items, "lazily": True},
                ),
            ),
            (
                f"{write}, one task of Spark",
                *_peaks(
                    "on_spark.write",
                    {"endpoint": empty.endpoint, "items": _FEW, "tasks": 1},
                    {"endpoint": empty.endpoint, "items": items, "tasks": 1},
                ),
            ),
        ]
    table = Table(title=f"Peak memory of a worker, to grow by less than {_MOST / 1e6:.0f} MB", title_justify="left")
    table.add_column("what")
    for name in (f"with {_FEW} items, MB", "peak, MB", "growth, MB"):
        table.add_column(name, justify="right")
    table.add_column("")
    for what, small, large in rows:
        growth = large - small
        verdict = "[green]reached" if growth < _MOST else "[red]missed"
        table.add_row(what, f"{small / 1e6:.0f}", f"{large / 1e6:.0f}", f"{growth / 1e6:.0f}", verdict)
    console.print(table)


def _peaks(contender: str, few: dict[str, object], many: dict[str, object]) -> tuple[int, int]:
    """The peaks of two fresh processes, with few items and with many."""
    small, large = (measure(contender, runs=1, warmups=0, **arguments) for arguments in (few, many))
    return small.peak, large.peak


if __name__ == "__main__":
    main("What memory a worker needs.", run)
