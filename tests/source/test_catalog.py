"""Tables of Spark's catalog: what README says of SQL holds, and what Spark doesn't tell a Python source is named in an error."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession, functions

from spark_dynamo.errors import OptionError
from spark_dynamo.source.catalog import options_in
from spark_dynamo.source.datasource import DynamoDataSource
from tests.conftest import Server


@pytest.fixture
def name(spark: SparkSession) -> Iterator[str]:
    """That of a table in Spark's catalog, which is gone afterwards."""
    name = f"catalog_{uuid.uuid4().hex}"
    yield name
    spark.sql(f"DROP TABLE IF EXISTS {name}")


@pytest.fixture
def orders(local_server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    table = local_server.create()
    local_server.put(table, *({"id": {"S": f"o-{n}"}, "n": {"N": str(n)}} for n in range(4)))
    return table


def listed(server: Server, **options: str) -> str:
    """Options as SQL, with the place of the server and without keys, which the environment has."""
    given = {"endpointUrl": server.endpoint, "region": "us-east-1", **options}
    return ", ".join(f"{name} '{value}'" for name, value in given.items())


def numbers(server: Server, table: str) -> dict[str, str]:
    return {item["id"]["S"]: item["n"]["N"] for item in server.items(table)}


@pytest.fixture
def made(spark: SparkSession, local_server: Server, orders: str, name: str) -> str:
    """A catalog table without columns of its own."""
    spark.sql(f"CREATE TABLE {name} USING `dynamo-meta` OPTIONS ({listed(local_server, table=orders)})")
    return name


def test_a_table_that_was_created_without_columns_is_read_by_its_name(
    spark: SparkSession, local_server: Server, orders: str, made: str
) -> None:
    assert spark.sql(f"SELECT sum(n) s FROM {made} WHERE n > 1").collect()[0].s == 5
    assert spark.table(made).count() == 4
    assert spark.sql(f"SELECT id FROM {made} WITH (filter 'n = 3')").collect() == [("o-3",)]
    spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW of_{made} AS SELECT id, n + 1 AS m FROM {made}")
    assert spark.sql(f"SELECT max(m) m FROM of_{made}").collect()[0].m == 4


def test_a_view_of_it_stays(spark: SparkSession, made: str) -> None:
    spark.sql(f"CREATE VIEW of_{made} AS SELECT id, n FROM {made}")
    try:
        assert spark.table(f"of_{made}").count() == 4
    finally:
        spark.sql(f"DROP VIEW of_{made}")


@pytest.mark.slow
def test_it_is_written_by_statements_that_name_the_table(
    spark: SparkSession, local_server: Server, orders: str, made: str
) -> None:
    options = listed(local_server, table=orders)
    spark.sql(f"INSERT INTO {made} WITH ({options}) VALUES ('o-9', 9)")
    assert numbers(local_server, orders)["o-9"] == "9"
    frame = spark.sql("SELECT 'o-10' AS id, 10L AS n")
    writer = frame.writeTo(made).options(**local_server.options, table=orders)
    writer.append()
    assert len(numbers(local_server, orders)) == 6
    frame.write.format("dynamo-meta").options(**local_server.options, table=orders).mode("append").saveAsTable(made)
    spark.sql(f"INSERT OVERWRITE {made} WITH ({options}) VALUES ('o-1', 7), ('o-2', 8)")
    assert numbers(local_server, orders) == {"o-1": "7", "o-2": "8"}
    writer.overwrite(functions.lit(True))
    assert numbers(local_server, orders) == {"o-10": "10"}


@pytest.mark.slow
def test_a_write_that_does_not_name_the_table_says_how(spark: SparkSession, orders: str, made: str) -> None:
    sentence = (
        r"Option 'table' is missing.*Spark does not hand its options on, so write to it by INSERT INTO t WITH \(table"
    )
    frame = spark.table(made).where("n = 1")
    for write in (
        lambda: spark.sql(f"INSERT INTO {made} VALUES ('o-9', 9)"),
        lambda: spark.sql(f"INSERT OVERWRITE {made} VALUES ('o-9', 9)"),
        lambda: frame.writeTo(made).append(),
        lambda: frame.write.insertInto(made),
        # its columns remember the table that they were read from, which need not be the one that is written to
        lambda: frame.write.format("dynamo-meta").mode("append").save(),
    ):
        with pytest.raises(PySparkException, match=sentence):
            write()


@pytest.mark.slow
def test_a_table_that_was_created_with_columns_is_read_by_statements_that_name_the_table(
    spark: SparkSession, local_server: Server, orders: str, name: str
) -> None:
    options = listed(local_server, table=orders)
    spark.sql(f"CREATE TABLE {name} (id STRING, n BIGINT) USING `dynamo-meta` OPTIONS (table '{orders}')")
    with pytest.raises(
        PySparkException, match=r"Option 'table' is missing.*create it without columns, or read it by SELECT"
    ):
        spark.table(name).count()
    assert spark.sql(f"SELECT * FROM {name} WITH ({options})").count() == 4
    assert spark.read.options(**local_server.options, table=orders).table(name).count() == 4


def test_the_drop_of_a_table_leaves_dynamodbs(
    spark: SparkSession, local_server: Server, orders: str, made: str
) -> None:
    spark.sql(f"DROP TABLE {made}")
    assert len(numbers(local_server, orders)) == 4


@pytest.mark.slow
def test_a_create_table_as_select_names_the_way(spark: SparkSession, local_server: Server, name: str) -> None:
    options = {**local_server.options, "table": f"test-{name}", "createTable": "true", "partitionKey": "id"}
    with pytest.raises(PySparkException, match="Option 'table' is missing"):
        spark.sql(
            f"CREATE TABLE {name} USING `dynamo-meta` OPTIONS ({listed(local_server, table='t')}) AS SELECT 'a' AS id, 1L AS n"
        )
    assert not spark.catalog.tableExists(name)
    spark.sql("SELECT 'a' AS id, 1L AS n").write.format("dynamo-meta").options(**options).saveAsTable(name)
    assert numbers(local_server, f"test-{name}") == {"a": "1"}


def test_a_location_is_the_tables_name_too(spark: SparkSession, local_server: Server, orders: str, name: str) -> None:
    options = listed(local_server)
    spark.sql(
        f"CREATE TABLE {name} USING `dynamo-meta` OPTIONS ({options}) LOCATION '{orders}' TBLPROPERTIES (team 'sales')"
    )
    assert spark.table(name).count() == 4


def test_what_a_catalog_keeps(local_server: Server, orders: str) -> None:
    creation = {"owner": "ann", "provider": "dynamo-meta", "team": "sales"}
    options = {**local_server.options, "table": orders}
    given = {f"option.{option.lower()}": value for option, value in options.items()}
    with pytest.raises(
        OptionError, match=r"Option 'accessKeyId' is not for CREATE TABLE, whose options the catalog keeps"
    ):
        DynamoDataSource({**creation, **given}).schema()
    with pytest.raises(OptionError, match="'tabel' is not known. Did you mean 'table'"):
        DynamoDataSource({**creation, "option.tabel": orders}).schema()
    with pytest.raises(OptionError, match="Option 'table' is missing"):
        DynamoDataSource(creation).schema()
    plain = DynamoDataSource(options).schema()
    assert not options_in(plain)


def test_a_temporary_view_is_read_and_written_by_its_name(
    spark: SparkSession, local_server: Server, orders: str, name: str
) -> None:
    spark.sql(f"CREATE TEMPORARY VIEW v_{name} USING `dynamo-meta` OPTIONS ({listed(local_server, table=orders)})")
    spark.sql(f"INSERT OVERWRITE v_{name} SELECT id, n + 1 FROM v_{name} WHERE n < 2")
    assert numbers(local_server, orders) == {"o-0": "1", "o-1": "2"}
    spark.catalog.dropTempView(f"v_{name}")
