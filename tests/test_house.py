"""The house keeps its order: who may import whom, what the public names are, how large a room may grow."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import StructType

import spark_dynamo as sd
from spark_dynamo.source.access import Access
from spark_dynamo.source.reader import TableReader

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
    "run_logs": {"matplotlib", "orjson", "pandas", "py4j", "pydantic", "pyspark", "rich"},
    "integration": {"pyspark"},
    "local": {"moto"},
    "demo": {"pydantic", "pyspark", "rich"},
    "commands": {"orjson", "rich", "typer"},
    "cli": {"typer", "rich"},
}
LONGEST_MODULE = 400


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


@pytest.mark.parametrize("module", modules(), ids=lambda module: str(module.relative_to(PACKAGE)))
def test_imports_go_one_way(module: Path) -> None:
    room = room_of(module)
    if room == "__init__":
        return
    above = ROOMS[: ROOMS.index(room) + 1]
    for name in imports(module):
        parts = name.split(".")
        if parts[0] == "spark_dynamo":
            assert len(parts) > 1, f"{room} imports the whole package"
            assert parts[1] in above, f"{room} must not import {name}: {parts[1]} stands below it"
        else:
            import sys

            assert parts[0] in sys.stdlib_module_names | STANDARD_AND[room] | {"__future__"}, f"{room} imports {name}"


@pytest.mark.parametrize("module", modules(), ids=lambda module: str(module.relative_to(PACKAGE)))
def test_no_module_outgrows_its_reader(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= LONGEST_MODULE


def test_every_room_is_in_the_list() -> None:
    assert {room_of(module) for module in modules()} == {*ROOMS, "__init__"}


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
        ("import spark_dynamo.source.reader", []),
        ("import spark_dynamo.source.writer", []),
        ("import spark_dynamo.source.location", ["pydantic"]),
    ],
)
def test_workers_import_nothing_heavy(python: Callable[..., Any], code: str, allowed: list[str]) -> None:
    forbidden = [name for name in HEAVY if name not in allowed]
    if code == "import spark_dynamo":
        forbidden += allowed
    finished = python(f"{code}; import sys; print([name for name in {forbidden} if name in sys.modules])")
    assert finished.stdout.strip() == "[]", finished.stderr


def test_a_task_loads_nothing_heavy(python: Callable[..., Any], moto_server: Any) -> None:
    """Not only the import: a whole read and write leave nothing heavy in the worker.

    But pandas, where it is installed: Arrow imports it as soon as a Python value becomes a scalar, and so do Spark's writes.
    """
    schema = StructType().add("id", "string").add("any", "variant").add("when", "timestamp")
    table = moto_server.create()
    reader = TableReader(moto_server.connection, table, ("id",), schema, Access("Scan", 1, {}, segments=1), schema)
    writers = [
        moto_server.writer(table, schema),
        moto_server.writer(
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
