"""Starting contenders, and the tables of what they reached."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
PAGE_ITEMS = 2500  # 1,145,000 bytes as DynamoDB counts them

console = Console(width=None if sys.stdout.isatty() else 150)


@dataclass(frozen=True)
class Settings:
    """What the command line asks for; `scale` multiplies every amount of items."""

    scale: float
    runs: int
    peer_python: str | None

    def pages(self, full: int) -> int:
        return max(2, round(full * self.scale))

    def items(self, full: int) -> int:
        return max(1_000, round(full * self.scale))


@dataclass(frozen=True)
class Run:
    items: int
    seconds: float
    cpu_seconds: float
    workers_cpu_seconds: float


@dataclass(frozen=True)
class Figures:
    """The runs of one contender, and the peak of its memory in bytes; on Spark that of its largest worker."""

    runs: tuple[Run, ...]
    peak: int

    @property
    def rate(self) -> float:
        """Items per second of wall time."""
        return median(run.items / run.seconds for run in self.runs)

    @property
    def cpu_rate(self) -> float:
        """Items per CPU second."""
        return median(run.items / run.cpu_seconds for run in self.runs)

    @property
    def of_workers(self) -> "Figures":
        """The same, with the CPU time of Spark's task workers alone: without the JVM's."""
        return replace(self, runs=tuple(replace(run, cpu_seconds=run.workers_cpu_seconds) for run in self.runs))


@dataclass(frozen=True)
class Row:
    """One contender in a table; `reason` says why it has no figures."""

    what: str
    figures: Figures | None
    reason: str = ""


@dataclass(frozen=True)
class Target:
    """A ratio to reach, by wall time or by CPU time; None where it could not be measured."""

    what: str
    least: float
    wall: float | None
    cpu: float | None
    by_cpu: bool = False

    @property
    def reached(self) -> bool | None:
        decisive = self.cpu if self.by_cpu else self.wall
        return None if decisive is None else decisive >= self.least


def settings(description: str) -> Settings:
    """The settings from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies every amount of items")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each contender")
    parser.add_argument("--peer-python", help="a Python with awswrangler, where this one has none")
    given = parser.parse_args()
    return Settings(given.scale, given.runs, given.peer_python)


def main(description: str, run: Callable[[Settings], None]) -> None:
    """What each module does when it is run by itself."""
    chosen = settings(description)
    print_facts(chosen)
    run(chosen)


def print_facts(chosen: Settings) -> None:
    """The machine and the versions, on which all figures depend."""
    names = ("pyspark", "pyarrow", "boto3", "botocore", "orjson", "numpy")
    load = ", ".join(f"{figure:.2f}" for figure in os.getloadavg())
    console.print(
        f"{os.cpu_count()} cores ({_processor()}), load average {load}\n"
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in names)
        + f"\n{chosen.runs} runs of each after a warm-up, medians; amounts times {chosen.scale:g}",
        highlight=False,
        soft_wrap=True,
    )


def measure(
    contender: str, *, runs: int, warmups: int = 1, python: str = sys.executable, **arguments: object
) -> Figures:
    """Run a contender, `module.function` of this package, in a process of its own, with those arguments."""
    shown = " ".join(f"{name}={value}" for name, value in arguments.items() if name != "endpoint")
    console.print(f"[dim]{contender} {shown}", highlight=False)
    command = [python, "-m", "tests.benchmarks.child", contender, str(warmups), str(runs), json.dumps(arguments)]
    with tempfile.TemporaryDirectory() as folder:  # Spark leaves files where it runs, and no `.env` of ours shall count
        ended = subprocess.run(
            command, cwd=folder, env=_environment(python), capture_output=True, text=True, check=False
        )
    if ended.returncode:
        raise RuntimeError(f"{contender} ended with status {ended.returncode}:\n{ended.stderr[-4000:]}")
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return Figures(tuple(Run(*run) for run in answer["runs"]), answer["peak"])


def print_rates(title: str, rows: Iterable[Row], ours: str) -> None:
    """Items per second and CPU per item of each contender, and how many times as fast the row `ours` is."""
    rows = list(rows)
    (reference,) = (row.figures for row in rows if row.what == ours)
    assert reference is not None
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    for name in ("items/s", "slowest - fastest", "CPU s per 1,000 items", "ours is x times", "per CPU second"):
        table.add_column(name, justify="right")
    for row in rows:
        if row.figures is None:
            table.add_row(f"{row.what}: skipped, {row.reason}", *["-"] * 5)
            continue
        rates = [run.items / run.seconds for run in row.figures.runs]
        table.add_row(
            row.what,
            f"{row.figures.rate:,.0f}",
            f"{min(rates):,.0f} - {max(rates):,.0f}",
            f"{1_000 / row.figures.cpu_rate:.4f}",
            f"{reference.rate / row.figures.rate:.2f}",
            f"{reference.cpu_rate / row.figures.cpu_rate:.2f}",
            style="bold" if row.what == ours else "",
        )
    console.print(table)


def print_stages(title: str, stages: Iterable[tuple[str, float]], whole: Figures) -> None:
    """Where the CPU time goes: microseconds per item of each stage, and what is left of the whole."""
    total = 1e6 / whole.cpu_rate
    stages = list(stages)
    table = Table(title=title, title_justify="left")
    table.add_column("stage, measured alone in one thread")
    table.add_column("CPU µs per item", justify="right")
    table.add_column("share", justify="right")
    rest = ("the rest: threads in each other's way, glue", total - sum(figure for _, figure in stages))
    for name, figure in [*stages, rest, ("the whole", total)]:
        table.add_row(name, f"{figure:.2f}", f"{figure / total:.0%}", style="bold" if name == "the whole" else "")
    console.print(table)


def beyond(whole: Figures, part: Figures) -> float:
    """CPU microseconds per item of the whole beyond its part; an error where the two did not work on the same items."""
    counts = {run.items for figures in (whole, part) for run in figures.runs}
    if len(counts) != 1:
        raise RuntimeError(f"the whole and its part can't be compared: their runs had {sorted(counts)} items")
    return 1e6 / whole.cpu_rate - 1e6 / part.cpu_rate


def print_targets(targets: Iterable[Target]) -> None:
    """Which targets are reached."""
    table = Table(title="Targets", title_justify="left")
    for name in ("target", "at least", "by wall time", "by CPU time", ""):
        table.add_column(name)
    for target in targets:
        decides = (" (does not decide)", "") if target.by_cpu else ("", " (does not decide)")
        table.add_row(
            target.what,
            f"{target.least:g} x",
            _times(target.wall, decides[0]),
            _times(target.cpu, decides[1]),
            {True: "[green]reached", False: "[red]missed", None: "not measured"}[target.reached],
        )
    console.print(table)


def ratio(ours: Figures, other: Figures | None, *, cpu: bool = False) -> float | None:
    """How many times as fast ours is."""
    if other is None:
        return None
    return ours.cpu_rate / other.cpu_rate if cpu else ours.rate / other.rate


def wrangler_python(chosen: Settings) -> tuple[str | None, str]:
    """A Python that has awswrangler and awswrangler's version, or None and the reason."""
    python = str(Path(chosen.peer_python).absolute()) if chosen.peer_python else sys.executable
    try:
        found = subprocess.run(
            [python, "-c", "import awswrangler; print(awswrangler.__version__)"],
            capture_output=True,
            check=True,
            text=True,
        )
    except FileNotFoundError:
        return None, f"there is no {python}"
    except subprocess.CalledProcessError as error:
        advice = "" if chosen.peer_python else "; --peer-python names a Python that has it"
        return None, error.stderr.strip().splitlines()[-1] + advice
    return python, found.stdout.strip()


def _times(figure: float | None, note: str) -> str:
    return "-" if figure is None else f"{figure:.2f} x{note}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _environment(python: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DYNAMODB_", "SPARK_"))}
    return kept | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": os.pathsep.join([str(Path(python).parent), os.environ["PATH"]]),
        "PYSPARK_PYTHON": python,
        "PYTHONPATH": str(ROOT),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
