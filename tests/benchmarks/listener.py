"""What the run listener costs: paired runs of the same Spark work with it and without, in one session and one JVM.

`python -m tests.benchmarks.listener [--scale 0.1] [--runs 5]`. Each pair runs in turn, the order changing from pair to pair, so
that what the machine does besides weighs on both alike; the table has the median of the ratios, and the least and the greatest.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Any

from rich.table import Table

from tests.benchmarks.child import _cpu_seconds
from tests.benchmarks.harness import Settings, console, main, print_facts

_MOST = 1.03  # times the wall time without
__all__ = ["print_facts", "run"]


def run(chosen: Settings) -> None:
    from pyspark.sql import SparkSession

    from spark_dynamo.run_logs.process import close_recorders
    from spark_dynamo.run_logs.registration import register_run_listener
    from tests.conftest import Server
    from tests.runs.tables import run_table
    from tests.servers.moto import moto_server

    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "2g")  # Spark keeps what it knows of the newest 100,000 tasks
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("OFF")
    tasks, jobs = max(100, round(10_000 * chosen.scale)), max(20, round(2_000 * chosen.scale))
    frame = spark.range(100).cache()
    frame.count()

    def many_tasks() -> None:
        spark.range(0, tasks, 1, tasks).selectExpr("sum(id)").collect()

    def small_jobs() -> None:
        for _ in range(jobs):
            frame.where("id < 50").count()

    def small_rdd_jobs() -> None:
        numbers = spark.sparkContext.parallelize(range(2), 2)._jrdd
        for _ in range(jobs):
            numbers.count()

    table = Table(title="Wall time with the listener, times that without", title_justify="left")
    for name in ("what", "seconds without", "median", "least", "greatest", "CPU time", f"at most {_MOST:g}"):
        table.add_column(name, justify="left" if name == "what" else "right")
    with moto_server() as endpoint:
        config = run_table(Server("moto", endpoint)).config()

        def listening() -> Any:
            return register_run_listener(spark, pipeline_id="benchmark", config=config)

        for name, work in {
            f"{tasks:,} tasks": many_tasks,
            f"{jobs:,} small queries": small_jobs,
            f"{jobs:,} small jobs of RDDs": small_rdd_jobs,
        }.items():
            work()
            pairs = []
            for place in range(max(3, chosen.runs)):
                pairs.append(_pair(work, listening, place % 2 == 0))
                without, with_it, cpu = pairs[-1]
                console.print(f"[dim]{name}: {without:.2f} s without, {with_it:.2f} s with; CPU time {cpu:.3f} times")
            ratios = [with_it / without for without, with_it, _ in pairs]
            table.add_row(
                name,
                f"{median(without for without, _, _ in pairs):.2f}",
                f"{median(ratios):.3f}",
                f"{min(ratios):.3f}",
                f"{max(ratios):.3f}",
                f"{median(cpu for _, _, cpu in pairs):.3f}",
                "[green]reached" if median(ratios) <= _MOST else "[red]missed",
            )
        close_recorders(30)
    console.print(table)
    spark.stop()


def _pair(
    work: Callable[[], None], listening: Callable[[], AbstractContextManager[Any]], first: bool
) -> tuple[float, float, float]:
    """Seconds without and with, and how many times the CPU time of all processes; begin and end of the run count too."""
    wall, cpu = {}, {}
    for is_listening in (first, not first):
        started, cpu_started = time.perf_counter(), _cpu_seconds()
        with listening() if is_listening else nullcontext():
            work()
        wall[is_listening] = time.perf_counter() - started
        cpu[is_listening] = _cpu_seconds() - cpu_started
    return wall[False], wall[True], cpu[True] / cpu[False]


if __name__ == "__main__":
    main(__doc__ or "", run)
