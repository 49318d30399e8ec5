"""The house keeps its order: who may import whom, what the public names are, how large a room may grow."""

from __future__ import annotations

import ast
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import StructType

import spark_dynamo as sd
from spark_dynamo.source.read.access import Access
from spark_dynamo.source.read.reader import TableReader

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "spark_dynamo"

# A room imports only from itself and from rooms above it. `java` asks nothing of anybody.
ROOMS = [
    "errors",
    "java",
    "timezones",
    "config",
    "telemetry",
    "wire",
    "schema",
    "predicates",
    "aws",
    "metadata",
    "source",
    "run_logs",
    "reports",
    "integration",
    "local",
    "demo",
    "commands",
    "cli",
]
STANDARD_AND = {
    "errors": set(),
    "java": set(),
    "timezones": set(),
    "config": {"pydantic", "pydantic_settings"},
    "telemetry": {"opentelemetry"},
    "wire": {"pyarrow", "numpy", "orjson", "pyspark"},
    "schema": {"annotated_types", "orjson", "pyarrow", "pydantic", "pydantic_core", "pyspark", "typing_extensions"},
    "predicates": {"pyarrow", "numpy", "pyspark", "sqlglot"},
    "aws": {"boto3", "botocore", "pyarrow", "orjson"},
    "metadata": {"orjson", "pydantic", "redis"},
    "source": {"pyspark", "pyarrow", "numpy", "orjson", "tabulate"},
    "run_logs": {"orjson", "py4j", "pydantic", "pyspark"},
    "reports": {"matplotlib", "orjson", "pandas", "pydantic", "rich"},
    "integration": {"pyspark"},
    "local": {"moto"},
    "demo": {"pydantic", "pyspark", "rich"},
    "commands": {"orjson", "rich", "typer"},
    "cli": {"typer", "rich"},
}
LONGEST_MODULE = 400
# the connector and the bridge can be used without metadata tables and run logs
ALONE = ["aws", "wire", "predicates", "source", "schema"]


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(module: Path) -> Iterator[str]:
    """The absolute names of all modules that it imports, also inside functions, but not those for type checkers only."""
    tree = ast.parse(module.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            yield node.module or ""


def test_imports_go_one_way() -> None:
    wrong = [f"{module.relative_to(PACKAGE)} {problem}" for module in modules() for problem in wrong_imports(module)]
    assert wrong == []


def wrong_imports(module: Path) -> Iterator[str]:
    room = room_of(module)
    if room == "__init__":
        return
    above = ROOMS[: ROOMS.index(room) + 1]
    allowed = sys.stdlib_module_names | STANDARD_AND[room] | {"__future__"}
    for name in imports(module):
        first, *rest = name.split(".")
        if first == "spark_dynamo" and not rest:
            yield "imports the whole package"
        elif first == "spark_dynamo" and rest[0] not in above:
            yield f"must not import {name}: {rest[0]} stands below {room}"
        elif first != "spark_dynamo" and first not in allowed:
            yield f"imports {name}, which is not for {room}"


def test_connector_and_bridge_know_nothing_of_metadata_and_run_logs() -> None:
    wrong = [
        f"{module.relative_to(PACKAGE)} imports {name}"
        for module in modules()
        if room_of(module) in ALONE
        for name in imports(module)
        if name.startswith(("spark_dynamo.metadata", "spark_dynamo.run_logs"))
    ]
    assert wrong == []


def test_no_module_outgrows_its_reader() -> None:
    lengths = {str(module.relative_to(PACKAGE)): len(module.read_text().splitlines()) for module in modules()}
    assert {module: length for module, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_every_room_is_in_the_list() -> None:
    assert {room_of(module) for module in modules()} == {*ROOMS, "__init__"}


def test_the_architecture_names_every_room_and_what_is_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = [name for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)]
    assert rooms == ROOMS
    named = set(re.findall(r"`((?:\w+/)*\w+\.py|(?:\w+/)+\w+)`", text)) - {"tests/test_house.py"}
    assert [name for name in named if not (PACKAGE / name).exists() and not (ROOT / name).exists()] == []


def test_nothing_lies_about() -> None:
    kept = {path.suffix for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert kept == {".py", ".java", ".json", ".typed"}


def test_public_names_are_sorted_and_there() -> None:
    assert sorted(sd.__all__) == sd.__all__
    for name in sd.__all__:
        assert getattr(sd, name) is not None
    assert set(dir(sd)) == set(sd.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        sd.nothing  # noqa: B018


HEAVY = ["pandas", "pydantic", "moto", "rich", "sqlglot", "tabulate", "typer", "flask"]


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import spark_dynamo", ["boto3", "pyarrow", "pyspark"]),
        ("import pyspark_dynamo_meta", []),
        ("import spark_dynamo.source.read.reader", []),
        ("import spark_dynamo.source.write.writer", []),
        ("import spark_dynamo.source.location", ["pydantic"]),
    ],
)
def test_workers_import_nothing_heavy(python: Callable[..., Any], code: str, allowed: list[str]) -> None:
    forbidden = [name for name in HEAVY if name not in allowed]
    if code == "import spark_dynamo":
        forbidden += allowed
    finished = python(f"{code}; import sys; print([name for name in {forbidden} if name in sys.modules])")
    assert finished.stdout.strip() == "[]", finished.stderr


def test_a_task_loads_nothing_heavy(python: Callable[..., Any], local_server: Any) -> None:
    """Not only the import: a whole read and write leave nothing heavy in the worker.

    But pandas, where it is installed: Arrow imports it as soon as a Python value becomes a scalar, and so do Spark's writes.
    """
    schema = StructType().add("id", "string").add("any", "variant").add("when", "timestamp")
    table = local_server.create()
    reader = TableReader(local_server.connection, table, ("id",), schema, Access("Scan", 1, {}, segments=1), schema)
    writers = [
        local_server.writer(table, schema),
        local_server.writer(
            table, schema, operation="update", condition="when <= new.when OR id IS NULL", maxWriteUnits="100"
        ),
    ]
    code = f"""
import pickle, sys, pyarrow as pa
for writer in pickle.loads({pickle.dumps(writers)!r}):
    writer.write(iter([pa.record_batch({{
        "id": ["a"], "any": pa.array([None], pa.struct([("value", pa.binary()), ("metadata", pa.binary())])),
        "when": pa.array([0], pa.timestamp("us", "UTC"))}})]))
reader = pickle.loads({pickle.dumps(reader)!r})
print(sum(batch.num_rows for part in reader.partitions() for batch in reader.read(part)))
print([name for name in {HEAVY[1:]} if name in sys.modules])
"""
    finished = python(code)
    assert finished.stdout.split("\n")[:2] == ["1", "[]"], finished.stderr


def test_the_wheel_of_discovery_is_one_line() -> None:
    lines = [line for line in (ROOT / "pyspark_dynamo_meta.py").read_text().splitlines() if "import" in line]
    assert lines == ["from spark_dynamo.source.datasource import DynamoDataSource as DefaultSource"]


def test_tests_get_signals_though_the_shell_that_starts_them_ignores_them() -> None:
    """As a shell does for what it runs in the background; children inherit that."""
    code = (
        "import signal; from tests.environment import prepare; prepare();"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGHUP))"
    )
    ignored = f"trap '' INT HUP; exec {sys.executable} -c '{code}'"
    finished = subprocess.run(["/bin/sh", "-c", ignored], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout == f"True {signal.SIG_DFL!s}\n"
