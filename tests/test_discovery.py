"""`pip install` is all: a built wheel in a clean environment is found by classic Spark, Spark Connect and SQL."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource

import spark_dynamo as sd
from spark_dynamo.source.datasource import DynamoDataSource
from tests.conftest import Server
from tests.servers.spark_connect import OWN_PORT

ROOT = Path(__file__).parents[1]

CLASSIC = """
import sys
from pyspark.sql import SparkSession
import spark_dynamo
assert "site-packages" in spark_dynamo.__file__, spark_dynamo.__file__
options = dict(pair.split("=", 1) for pair in sys.argv[2:])
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.sql("SELECT 'a' id, 1 n").write.format("dynamo-meta").options(**options).mode("append").save(sys.argv[1])
listed = ", ".join(f"{name} '{value}'" for name, value in options.items())
spark.sql(f"CREATE TEMPORARY VIEW v (id STRING, n INT) USING `dynamo-meta` OPTIONS (table '{sys.argv[1]}', {listed})")
print("found", spark.sql("SELECT id, n FROM v").collect())
"""

CONNECT = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote("local[1]").getOrCreate()
assert "connect" in type(spark).__module__
import spark_dynamo as sd
with sd.local_dynamodb() as server:
    sd.create_tables()
    from spark_dynamo.aws.tables import KeyAttribute, create_table
    create_table(server.client(), "things", partition_key=KeyAttribute("id", "S"))
    spark.sql("SELECT 'a' id, array(1, 2) l").write.format("dynamo-meta").mode("append").save("things")
    print("found", spark.read.format("dynamo-meta").schema("id STRING, l ARRAY<INT>").load("things").collect())
    print("runs", spark.read.format("dynamo-meta").load("pipeline_run_logs").count())
    spark.sql("CREATE TEMPORARY VIEW v (id STRING) USING `dynamo-meta` OPTIONS (table 'things')")
    print("view", spark.sql("SELECT count(*) n FROM v").collect())
    sd.register(spark)
    print("registered", spark.read.format("dynamo-meta").schema("id STRING").load("things").count())
    try:
        spark.read.format("dynamo-meta").schema("id INT").load("things").collect()
    except Exception as error:
        print("error", "MalformedItemError: Table 'things', item {id='a'}: attribute 'id' is a" in str(error))
spark.stop()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_carries_what_it_needs_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "pyspark_dynamo_meta.py" in names
    assert "spark_dynamo/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"spark_dynamo", "pyspark_dynamo_meta.py", f"spark_dynamo-{sd.__version__}.dist-info"}


@pytest.mark.jvm
def test_an_installed_wheel_is_found_without_registration(wheel: Path, local_server: Server, tmp_path: Path) -> None:
    table = local_server.create()
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    # the wheel is installed; its dependencies are borrowed from this environment, without the editable package
    (site,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    target = ["--target", str(site), "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *target], check=True, capture_output=True)
    own = Path(next(path for path in sys.path if path.endswith("site-packages")))
    (site / "borrowed.pth").write_text(f"import sys; sys.path.append({str(own)!r})\n")
    finished = subprocess.run(
        [str(python), "-c", CLASSIC, table, *(f"{name}={value}" for name, value in local_server.options.items())],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYSPARK_PYTHON": str(python)},
        timeout=240,
    )
    assert "found [Row(id='a', n=1)]" in finished.stdout, finished.stderr


@pytest.mark.jvm
def test_spark_connect(python: Callable[..., Any]) -> None:
    finished = python(CONNECT, **OWN_PORT)
    assert finished.stdout.splitlines() == [
        "found [Row(id='a', l=[1, 2])]",
        "runs 0",
        "view [Row(n=1)]",
        "registered 1",
        "error True",
    ], finished.stderr[-3000:]


@pytest.mark.slow
def test_register_where_discovery_is_not_possible(spark: SparkSession, local_server: Server) -> None:
    sd.register(spark)
    frame = spark.read.format("dynamo-meta").options(**local_server.options).schema("id STRING")
    assert frame.load(local_server.create()).count() == 0


def test_discovery_finds_the_data_source() -> None:
    import pyspark_dynamo_meta

    assert pyspark_dynamo_meta.DefaultSource is DynamoDataSource
    assert issubclass(DynamoDataSource, DataSource)
    assert DynamoDataSource.name() == "dynamo-meta"
