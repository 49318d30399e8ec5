"""Which way a read takes: keys, Queries on the table or an index, or a Scan; and what it asks DynamoDB for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from spark_dynamo.aws.tables import Index, KeyAttribute
from spark_dynamo.errors import OptionError, SchemaError
from spark_dynamo.source.read.explain import ReadPlan, explain_read
from tests.conftest import Server

SCHEMA = StructType(
    [
        StructField("pipeline", StringType(), False),
        StructField("day", StringType(), False),
        StructField("status", StringType()),
        StructField("started", TimestampType(), False),
        StructField("rows", LongType()),
        StructField("note", StringType()),
    ]
)
INDEXES = (
    Index("by-status", KeyAttribute("status", "S"), KeyAttribute("started", "S")),
    Index("by-rows", KeyAttribute("status", "S"), KeyAttribute("rows", "N")),
    Index("keys-by-note", KeyAttribute("note", "S"), projection="KEYS_ONLY"),
    Index("local", KeyAttribute("pipeline", "S"), KeyAttribute("status", "S"), kind="LSI"),
)

Plan = Callable[..., ReadPlan]


@pytest.fixture(scope="module")
def plan(moto_server: Server) -> Plan:
    """`explain_read` on an empty table `runs` with the four indexes."""
    table = moto_server.create("pipeline:S", "day:S", INDEXES)

    def explain(predicate: str | None = None, schema: StructType = SCHEMA, **options: object) -> ReadPlan:
        return explain_read(table, schema, **moto_server.options, filter=predicate, **options)

    return explain


@pytest.mark.parametrize(
    ("predicate", "access", "index", "requests"),
    [
        (None, "Scan", None, 32),
        ("rows > 5", "Scan", None, 32),
        ("pipeline = 'a' OR rows = 5", "Scan", None, 32),
        ("pipeline > 'a'", "Scan", None, 32),
        ("pipeline = 'a' AND day = '2026-11-01'", "GetItem", None, 1),
        ("pipeline = 'a' AND day IN ('1', '2', '3') AND rows > 5", "BatchGetItem", None, 1),
        ("pipeline IN ('a', 'b') AND day IN ('1', '2', '3')", "BatchGetItem", None, 1),
        ("pipeline = 'a'", "Query", None, 1),
        ("pipeline = 'a' AND day >= '2026-11'", "Query", None, 1),
        ("pipeline = 'a' AND day LIKE '2026-11-%'", "Query", None, 1),
        ("pipeline IN ('a', 'b', 'c') AND day < '2026'", "Query", None, 3),
        ("(pipeline = 'a' AND rows > 1) OR (pipeline = 'b' AND rows < 1)", "Query", None, 2),
        ("pipeline = 'a' AND (day < '2025' OR day BETWEEN '2026' AND '2027')", "Query", None, 2),
        # the local index can take the status, the table can't
        ("pipeline = 'a' AND status = 'FAILED'", "Query", "local", 1),
        ("pipeline = 'a' AND status = 'FAILED' AND day = 'x'", "GetItem", None, 1),
        # `started` is in every row, `rows` is not: an item without it is not in the index by-rows
        ("status = 'FAILED'", "Query", "by-status", 1),
        ("status = 'FAILED' AND rows >= 5", "Query", "by-rows", 1),
        ("status IN ('FAILED', 'LOST') AND rows >= 5", "Query", "by-rows", 2),
        # keys-by-note lacks attributes of the schema
        ("note = 'x'", "Scan", None, 32),
        ("pipeline = 'a' AND pipeline = 'b'", "Query", None, 0),
        ("rows = 1 AND rows = 2", "Query", None, 0),
        ("FALSE", "Query", None, 0),
        ("pipeline = ''", "Query", None, 0),
        ("pipeline IS NULL", "Scan", None, 32),
        ("pipeline <> 'a'", "Scan", None, 32),
        ("NOT (pipeline <> 'a')", "Query", None, 1),
        ("pipeline <=> 'a'", "Query", None, 1),
    ],
)
def test_access(plan: Plan, predicate: str | None, access: str, index: str | None, requests: int) -> None:
    told = plan(predicate)
    assert (told.access, told.index, told.requests) == (access, index, requests)
    assert told.filtered_in_spark == (predicate is not None)


def test_an_index_with_all_that_is_asked_for_is_taken(plan: Plan) -> None:
    narrow = StructType([field for field in SCHEMA if field.name in ("pipeline", "day", "note")])
    assert plan("note = 'x'", narrow).index == "keys-by-note"
    assert plan("note = 'x' AND day > '2026'", narrow).index == "keys-by-note"


def test_consistent_reads_take_no_global_index(plan: Plan) -> None:
    assert plan("status = 'FAILED'", consistentRead=True).access == "Scan"
    assert plan("pipeline = 'a' AND status = 'FAILED'", consistentRead=True).index == "local"


def test_what_an_index_lacks_is_named(plan: Plan) -> None:
    with pytest.raises(
        OptionError, match=r"is 'keys-by-note', which does not project status, started, rows; leave these"
    ):
        plan(index="keys-by-note")
    with pytest.raises(OptionError, match=r"'by-status' is a global secondary index, which is always read eventually"):
        plan(index="by-status", consistentRead=True)
    with pytest.raises(OptionError, match=r"no such index; did you mean 'by-status'\? Its indexes are by-"):
        plan(index="by-statsu")
    assert plan(index="by-status").access == "Scan"
    assert plan("status = 'x'", index="by-rows").index == "by-rows"


def test_a_scan_can_be_forbidden(plan: Plan) -> None:
    with pytest.raises(
        OptionError, match=r"this would scan table 'test-\w+': no filter is given.*pipeline, status, note"
    ):
        plan(allowFullScan=False)
    with pytest.raises(OptionError, match=r"the filter gives the values of none of its keys"):
        plan("rows = 5", allowFullScan=False)
    assert plan("pipeline = 'a'", allowFullScan=False).access == "Query"


def test_an_unknown_column_is_named(plan: Plan) -> None:
    with pytest.raises(OptionError, match=r"(?s)statsu.*status.*pipeline, day, status, started, rows, note"):
        plan("statsu = 'FAILED'")


def test_a_schema_may_be_ddl_and_needs_no_session(plan: Plan) -> None:
    assert plan("pipeline = 'a'", "pipeline STRING NOT NULL, day STRING").access == "Query"  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="Schema is 5; give a StructType, or columns as in 'id STRING, n BIGINT'"):
        plan(None, 5)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="Schema is 'STRING'; give a StructType, or columns"):
        plan(None, "STRING")  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="id STRIN"):
        plan(None, "id STRIN")  # type: ignore[arg-type]


def test_expressions_are_shown_with_names_and_values(plan: Plan) -> None:
    told = plan("pipeline = 'a' AND day BETWEEN '1' AND '2' AND rows > 5 AND status = 'x'")
    assert told.key_condition == "pipeline = 'a' AND day BETWEEN '1' AND '2'"
    assert told.filter_expression is not None
    assert "rows > 5" in told.filter_expression
    assert "status = 'x'" in told.filter_expression
    assert "day" not in told.filter_expression
    assert told.projection == "pipeline,day,status,started,rows,note"
    assert "Query" in str(told)
    assert "key condition" in str(told)
    assert "&#x27;" in told._repr_html_()
    assert told._repr_html_().count('<td style="text-align:left">') == told._repr_html_().count("<td")


def test_many_intervals_of_a_sort_key_are_disjoint_queries(plan: Plan) -> None:
    """BETWEEN takes both of its ends: intervals that would share one are made one, or the item would come twice."""
    told = plan("pipeline = 'a' AND ((day >= '1' AND day < '2') OR (day > '2' AND day <= '3'))")
    assert (told.requests, told.key_condition) == (1, "pipeline = 'a' AND day BETWEEN '1' AND '3'")


def test_bounds_longer_than_a_key_may_be_are_left_out(plan: Plan) -> None:
    told = plan(f"pipeline = 'a' AND (day BETWEEN 'a' AND '{'b' * 2000}' OR day BETWEEN 'c' AND 'd')")
    assert (told.requests, told.key_condition) == (1, "pipeline = 'a' AND day BETWEEN 'a' AND 'd'")


def test_budgets(plan: Plan) -> None:
    assert plan(maxReadUnits=100).units_per_second == 100
    assert plan(readRatio=0.5).units_per_second == 6000  # moto is warm for 12,000
    assert plan(readRatio=0.5, maxReadUnits=10).units_per_second == 10


def test_a_ratio_needs_a_throughput(dynoxide_server: Server) -> None:
    table = dynoxide_server.create()
    with pytest.raises(
        OptionError, match=r"needs the throughput of table 'test-\w+', which the server doesn't tell; give"
    ):
        explain_read(table, SCHEMA, **dynoxide_server.options, readRatio=0.5)
