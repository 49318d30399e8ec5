"""Java options for short Spark sessions: quick compilation, and Spark's classes out of an archive that is made once.

An archive of class data saves a JVM the reading and checking of some 20,000 classes: https://openjdk.org/jeps/350. It lies
in the environment of this Python, since it holds for these very jars; a JVM that can't use it goes on without it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyspark

QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xlog:disable"
_TRAINING_SECONDS = 300

# what the tests' sessions load: Connect's server, SQL with code generation, Arrow, files, a Python data source
_TRAINING = """
from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceWriter, WriterCommitMessage

class Reader(DataSourceReader):
    def read(self, partition):
        yield 1,

class Writer(DataSourceWriter):
    def write(self, rows):
        list(rows)
        return WriterCommitMessage()

class Numbers(DataSource):
    @classmethod
    def name(cls):
        return "numbers"
    def schema(self):
        return "n int"
    def reader(self, schema):
        return Reader()
    def writer(self, schema, overwrite):
        return Writer()

spark = SparkSession.builder.remote("local[2]").config("spark.ui.enabled", "false").getOrCreate()
spark.dataSource.register(Numbers)
frame = spark.createDataFrame([(1, "a", 1.5), (2, "b", None)], "id int, name string, value double")
frame.groupBy("name").count().join(frame, "name").orderBy("id").collect()
frame.createOrReplaceTempView("frame")
spark.sql("SELECT name, max(value) OVER (PARTITION BY name) FROM frame WHERE id > 0").toPandas()
spark.read.format("numbers").load().write.format("numbers").mode("append").save()
frame.mapInArrow(lambda batches: batches, frame.schema).write.parquet(FOLDER + "/parquet")
spark.read.parquet(FOLDER + "/parquet").collect()
spark.stop()
"""


def java_options() -> str:
    """The options, with the archive if there is one; for SPARK_SUBMIT_OPTS."""
    archive = _archive()
    return f"{QUICK} -Xshare:auto -XX:SharedArchiveFile={archive}" if archive.is_file() else QUICK


def make_archive() -> None:
    """Make the archive where there is none yet; without a word where that can't be done, as it saves time and no more."""
    archive = _archive()
    if archive.is_file():
        return
    folder = archive.with_suffix(f".{os.getpid()}")
    made = folder / "spark.jsa"
    try:
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", f"FOLDER = {str(folder)!r}\n{_TRAINING}"],
            env={**os.environ, "SPARK_SUBMIT_OPTS": f"{QUICK} -XX:ArchiveClassesAtExit={made}"},
            capture_output=True,
            timeout=_TRAINING_SECONDS,
            check=False,
        )
        if made.is_file():
            made.replace(archive)
    except (OSError, subprocess.TimeoutExpired):
        pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _archive() -> Path:
    java = Path(os.environ.get("JAVA_HOME") or shutil.which("java") or "java").resolve()
    mark = hashlib.sha256(f"{pyspark.__version__} {pyspark.__file__} {java}".encode()).hexdigest()[:12]
    return Path(sys.prefix, f"spark-classes-{mark}.jsa")


if __name__ == "__main__":
    make_archive()
