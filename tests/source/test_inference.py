"""A sample from all over a table becomes a schema and a report, the same for the same data, at the price of the sample."""

from __future__ import annotations

import logging
import pickle
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, LongType, StringType, StructField, StructType, VariantType

import spark_dynamo as sd
import spark_dynamo.source.read.inference
from spark_dynamo.aws.tables import Index, KeyAttribute, create_table
from spark_dynamo.config import physical_table_name
from spark_dynamo.errors import AccessDeniedError, InvalidResponseError, OptionError, TableNotFoundError
from spark_dynamo.wire.decode import PageDecoder
from tests.conftest import Server
from tests.servers.scripted import Reply, refusal, scripted_server

Item = dict[str, Any]
KEYS = {"accessKeyId": "k", "secretAccessKey": "s", "region": "us-east-1"}


def put_all(server: Server, table: str, items: Sequence[Item]) -> None:
    for start in range(0, len(items), 25):
        requests = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        assert not server.client.batch_write_item(RequestItems={table: requests})["UnprocessedItems"]


def infer(server: Server, table: str, **options: Any) -> sd.InferredSchema:
    return sd.infer_schema(table, **{**server.options, **options})


def numbered(count: int, partition: str | None = None) -> list[Item]:
    """Items of which each has an attribute of its own, by which a sample tells whom it met."""
    return [{"id": {"S": partition or f"item-{n}"}, "n": {"N": str(n)}, f"a{n}": {"BOOL": True}} for n in range(count)]


def met(inferred: sd.InferredSchema) -> set[str]:
    return set(inferred.schema.names) - {"id", "n"}


# ---------------------------------------------------------------------------------------------------- the sample


def test_the_sample_has_an_equal_share_of_every_segment(server: Server) -> None:
    table = server.create()
    put_all(server, table, numbered(320))
    inferred = infer(server, table, samplingSize=64)
    expected: set[str] = set()
    for segment in range(16):
        page = server.client.scan(TableName=table, Segment=segment, TotalSegments=16, Limit=4)
        assert page["Count"] == 4
        expected.update(*page["Items"])
    assert inferred.items == 64
    assert met(inferred) == expected - {"id", "n"}
    assert infer(server, table, samplingSize=64) == inferred


def test_a_skewed_table_fills_the_sample_from_where_its_items_are(server: Server) -> None:
    table = server.create(sort="n:N")
    put_all(server, table, numbered(200, partition="hot"))
    inferred = infer(server, table, samplingSize=100)
    assert inferred.items == 100
    assert len(met(inferred)) == 100
    assert infer(server, table, samplingSize=100) == inferred


@pytest.mark.parametrize("size", [1, 3, 40, 41, 1000])
def test_samples_smaller_and_larger_than_the_table(server: Server, size: int) -> None:
    table = server.create()
    put_all(server, table, numbered(40))
    inferred = infer(server, table, samplingSize=size)
    assert inferred.items == min(size, 40)
    assert len(met(inferred)) == min(size, 40)


def test_units_are_summed(server: Server) -> None:
    table = server.create(sort="n:N")
    put_all(server, table, [item | {"text": {"S": "x" * 4000}} for item in numbered(20, partition="hot")])
    cheap, dear = infer(server, table), infer(server, table, consistentRead=True)
    assert cheap.read_units is not None
    assert dear.read_units is not None
    if server.name == "moto":  # it takes every request for one unit
        assert cheap.read_units > 0
    else:
        assert 10 <= cheap.read_units < dear.read_units


def test_an_empty_table_has_its_keys(server: Server) -> None:
    inferred = infer(server, server.create("id:S", "at:N"))
    assert inferred.schema == StructType().add("id", StringType(), False).add("at", LongType(), False)
    assert inferred.items == 0
    assert inferred.warnings == ("The sample has no items, so the schema has the key attributes only",)
    assert "0.0%" in str(inferred)


def test_an_index_has_its_own_items_and_keys(server: Server) -> None:
    by_day = Index("by-day", KeyAttribute("day", "S"), KeyAttribute("rank", "N"), projection="KEYS_ONLY")
    table = server.create(indexes=[by_day])
    server.put(
        table,
        *(
            {"id": {"S": f"{n}"}, "other": {"S": "x"}, "rank": {"N": f"{n}"}} | ({"day": {"S": "1"}} if n % 3 else {})
            for n in range(9)
        ),
    )
    inferred = infer(server, table, index="by-day")
    assert inferred.items == 6
    expected = (
        StructType().add("id", StringType(), False).add("day", StringType(), False).add("rank", LongType(), False)
    )
    assert inferred.schema == expected
    assert infer(server, table).schema.names == ["id", "day", "other", "rank"]


@pytest.mark.server
def test_every_segment_is_asked_at_once_and_for_no_more_than_is_missing() -> None:
    """Answers come in the reverse order of segments, each with what the server has, and the report is the same."""
    left = {segment: 3 if segment % 2 else 50 for segment in range(16)}
    together = threading.Barrier(16, timeout=10)
    released = [threading.Event() for _ in range(17)]
    released[16].set()

    def answer(operation: str, request: Item) -> Reply:
        if operation == "DescribeTable":
            return description()
        segment = request["Segment"]
        if "ExclusiveStartKey" not in request:
            together.wait()
            assert released[segment + 1].wait(10)
            released[segment].set()
        count = min(left[segment], request["Limit"])
        left[segment] -= count
        more = {"LastEvaluatedKey": {"id": {"S": f"{segment}"}}} if left[segment] else {}
        return Reply({"Items": [{"id": {"S": f"{segment}"}}] * count, "Count": count, **more})

    inferred, requests = infer_scripted(answer, samplingSize=320)
    assert inferred.items == 320
    assert inferred.attributes[0].example == "0"
    asked = Counter((scan["Segment"], scan["Limit"]) for scan in requests)
    # 20 of each at first; eight segments end with 3, and the others give the 136 that are missing
    expected = Counter((segment, 20) for segment in range(16)) + Counter((segment, 17) for segment in range(0, 16, 2))
    assert asked == expected
    assert {scan["TotalSegments"] for scan in requests} == {16}
    assert {scan["ReturnConsumedCapacity"] for scan in requests} == {"TOTAL"}
    assert inferred.read_units is None  # the server did not say


@pytest.mark.server
def test_a_server_that_ignores_limit_gives_no_more_than_was_asked_for() -> None:
    def answer(operation: str, request: Item) -> Reply:
        if operation == "DescribeTable":
            return description()
        items = [{"id": {"S": f"{request['Segment']}-{n}"}, f"a{n}": {"S": "x"}} for n in range(9)]
        return Reply({"Items": items, "ConsumedCapacity": {"CapacityUnits": 1.5, "TableName": "t"}})

    inferred, requests = infer_scripted(answer, samplingSize=20)
    assert inferred.items == 20
    assert inferred.schema.names == ["id", "a0", "a1"]  # two each of the first four segments, one of the others
    assert len(requests) == 16
    assert inferred.read_units == 24.0


@pytest.mark.server
def test_pages_without_items_are_passed() -> None:
    def answer(operation: str, request: Item) -> Reply:
        if operation == "DescribeTable":
            return description()
        start = int(request.get("ExclusiveStartKey", {"id": {"S": "0"}})["id"]["S"])
        last = {} if start == 2 else {"LastEvaluatedKey": {"id": {"S": f"{start + 1}"}}}
        return Reply({"Items": [{"id": {"S": "x"}}] if start == 2 else [], **last})

    inferred, requests = infer_scripted(answer, samplingSize=2)
    assert inferred.items == 2
    assert len(requests) == 6


@pytest.mark.server
def test_an_error_ends_the_sample() -> None:
    def answer(operation: str, request: Item) -> Reply:
        if operation == "DescribeTable":
            return description()
        if request["Segment"] == 7:
            return refusal("AccessDeniedException", "not authorized to perform dynamodb:Scan")
        return refusal("ThrottlingException")  # these would be tried for minutes

    with pytest.raises(AccessDeniedError, match="dynamodb:Scan"):
        infer_scripted(answer)


@pytest.mark.server
def test_an_answer_that_is_no_page_is_named() -> None:
    bodies = [b'{"Items":[{"id":{"S":"a"}', b"null", b"{}", b'{"Items":[{"id":{"X":1}}]}', b'{"Items":[5]}']

    def answer(operation: str, request: Item) -> Reply:
        return description() if operation == "DescribeTable" else Reply(bodies[0])

    with scripted_server(answer) as script:
        while bodies:
            with pytest.raises(InvalidResponseError, match="table 'table'"):
                sd.infer_schema("table", endpointUrl=script.endpoint, samplingSize=1, retryTimeout="1", **KEYS)
            bodies.pop(0)


def description() -> Reply:
    return Reply(
        {
            "Table": {
                "TableName": "table",
                "TableArn": "arn:aws:dynamodb:us-east-1:000000000000:table/table",
                "TableStatus": "ACTIVE",
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            }
        }
    )


def infer_scripted(
    answer: Callable[[str, Item], Reply], **options: Any
) -> tuple[sd.InferredSchema, list[dict[str, Any]]]:
    with scripted_server(answer) as script:
        inferred = sd.infer_schema("table", endpointUrl=script.endpoint, **KEYS, **options)
    return inferred, [request for operation, request in script.requests if operation == "Scan"]


# ---------------------------------------------------------------------------------------------------- tables of all kinds


def test_maps_with_an_empty_key_are_read_with_the_inferred_schema(spark: SparkSession) -> None:
    """AWS lets no such item in; it is a server that does."""
    items = [
        {"id": {"S": "a"}, "m": {"M": {"": {"S": "x"}, "k": {"S": "y"}}}, "v": {"M": {"": {"L": [{"M": {"": {"N": "1"}}}]}}}},
        {"id": {"S": "b"}, "m": {"M": {"k": {"S": "z"}}}},
    ]  # fmt: skip

    def answer(operation: str, request: Item) -> Reply:
        found = items if not request.get("Segment") else []
        return description() if operation == "DescribeTable" else Reply({"Items": found, "Count": len(found)})

    with scripted_server(answer) as script:
        options = {**KEYS, "endpointUrl": script.endpoint}
        frame = spark.read.format("dynamo-meta").options(**options).load("table")
        expected = "struct<id:string,m:map<string,string>,v:map<string,array<map<string,bigint>>>>"
        assert frame.schema.simpleString() == expected
        rows = frame.orderBy("id").collect()
    assert [row.asDict() for row in rows] == [
        {"id": "a", "m": {"": "x", "k": "y"}, "v": {"": [{"": 1}]}},
        {"id": "b", "m": {"k": "z"}, "v": None},
    ]


def test_a_thousand_attributes(server: Server) -> None:
    table = server.create()
    wide = {f"attribute_{n:04d}": {"N": f"{n}.5" if n % 2 else f"{n}"} for n in range(1000)}
    server.put(table, {"id": {"S": "a"}, **wide})
    inferred = infer(server, table)
    assert inferred.schema.names == ["id", *wide]
    assert inferred.warnings == ()
    assert len(str(inferred).splitlines()) == 1001 + 4


def test_a_single_table_design(server: Server) -> None:
    table = server.create("pk:S", "sk:S")
    items: list[Item] = []
    for n in range(12):
        customer = {
            "pk": {"S": f"c#{n}"},
            "sk": {"S": "profile"},
            "data": {"S": "x"},
            "address": {"M": {"city": {"S": "Ulm"}}},
        }
        order = {
            "pk": {"S": f"c#{n}"},
            "sk": {"S": f"o#{n}"},
            "data": {"M": {"total": {"N": "9.5"}}},
            "tags": {"SS": ["new"]},
        }
        event = {"pk": {"S": f"e#{n}"}, "sk": {"S": "1"}, "data": {"L": [{"N": "1"}]}, "total": {"N": "7"}}
        items += [customer, order, event]
    put_all(server, table, items)
    inferred = infer(server, table)
    assert inferred.schema == StructType(
        [
            StructField("pk", StringType(), False),
            StructField("sk", StringType(), False),
            StructField("address", StructType().add("city", StringType())),
            StructField("data", VariantType()),
            StructField("tags", ArrayType(StringType(), False), True, {"dynamodb": "SS"}),
            StructField("total", LongType()),
        ]
    )
    assert inferred.warnings == ("'data' holds L (12) and M (12) and S (12): read as VARIANT",)
    facts = {fact.path: fact for fact in inferred.attributes}
    assert facts["data"].seen == {"L": 12, "M": 12, "S": 12}
    assert facts["tags"].present == pytest.approx(1 / 3)
    assert facts["address.city"].example == "Ulm"
    body = orjson.dumps({"Items": server.items(table)})
    assert PageDecoder(inferred.schema, table=table).decode(body).num_rows == 36


def test_number_type_is_an_option(server: Server) -> None:
    table = server.create("id:N")
    server.put(table, {"id": {"N": "1"}, "x": {"N": "2.5"}})
    kinds = {
        number_type: infer(server, table, numberType=number_type).schema.simpleString()
        for number_type in ("auto", "decimal", "double", "string")
    }
    assert kinds == {
        "auto": "struct<id:bigint,x:decimal(38,1)>",
        "decimal": "struct<id:decimal(38,18),x:decimal(38,18)>",
        "double": "struct<id:double,x:double>",
        "string": "struct<id:string,x:string>",
    }


def test_timestamps_are_inferred_where_an_option_says_so(spark: SparkSession, local_server: Server) -> None:
    table = local_server.create()
    at = {"S": "2026-11-01T12:30:00+02:00"}
    local_server.put(table, *({"id": {"S": key}, "at": at, "price": {"N": "19.90"}} for key in "ab"))
    read = spark.read.format("dynamo-meta").options(**local_server.options)
    frame = read.load(table)
    assert frame.dtypes == [("id", "string"), ("at", "string"), ("price", "decimal(38,1)")]
    assert {(row["at"], str(row["price"])) for row in frame.collect()} == {(at["S"], "19.9")}
    frame = read.option("inferTimestamp", "true").option("filter", "at = '2026-11-01T10:30:00Z'").load(table)
    assert frame.dtypes[1] == ("at", "timestamp")
    assert [row["micros"] for row in frame.selectExpr("unix_micros(at) AS micros").collect()] == [
        1_793_529_000_000_000
    ] * 2


def test_a_metadata_table_is_sampled_like_any_other(server: Server) -> None:
    prefix = f"p{uuid.uuid4().hex[:8]}"
    name = physical_table_name("pipeline_config", prefix, "dev")
    create_table(server.client, name, partition_key=KeyAttribute("pipeline_id", "S"))
    server.put(name, {"pipeline_id": {"S": "a"}, "extra": {"BOOL": True}})
    inferred = infer(server, "pipeline_config", tablePrefix=prefix, environment="dev")
    assert inferred.table == name
    assert inferred.schema.simpleString() == "struct<pipeline_id:string,extra:boolean>"


# ---------------------------------------------------------------------------------------------------- options and report


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"samplingSize": 0}, "'samplingSize' must be a whole number"),
        ({"samplingSize": "many"}, "not 'many'"),
        ({"sampleSize": 5}, "Did you mean 'samplingSize'"),
        ({"numberType": "int"}, "must be one of auto, decimal, double, string"),
        ({"index": "by-month"}, "by-day"),
        ({"index": "by-day", "consistentRead": True}, "global secondary index"),
    ],
)
def test_bad_options_are_named(local_server: Server, options: dict[str, Any], problem: str) -> None:
    table = local_server.create(indexes=[Index("by-day", KeyAttribute("day", "S"))])
    with pytest.raises(OptionError, match=problem):
        infer(local_server, table, **options)


def test_a_missing_table_is_named(server: Server) -> None:
    with pytest.raises(TableNotFoundError, match="no-such-table"):
        infer(server, "no-such-table")


def test_the_report_as_text(server: Server) -> None:
    table = server.create()
    server.put(
        table, {"id": {"S": "a"}, "n": {"N": "1.5"}, "any": {"S": "x\ny"}}, {"id": {"S": "a2"}, "any": {"NULL": True}}
    )
    text = str(infer(server, table, samplingSize=1000, profile=None, secretAccessKey="HIDDENSECRET"))
    title, *lines = text.splitlines()
    assert title.startswith(f"Table '{table}': 2 items sampled, ")
    assert title.endswith(" read units")
    assert [line.split(maxsplit=4) for line in lines[1:2]] == [["attribute", "type", "present", "seen", "example"]]
    assert lines[3].split()[:4] == ["id", "STRING", "100.0%", "S"]
    assert lines[4].split() == ["any", "STRING", "100.0%", "NULL", "1,", "S", "1", "x\\ny"]
    assert lines[5].split() == ["n", "DECIMAL(38,1)", "50.0%", "N", "1", "1.5"]
    assert "HIDDENSECRET" not in text


def test_the_report_in_a_notebook_is_escaped(local_server: Server) -> None:
    table = local_server.create()
    local_server.put(table, {"id": {"S": "<script>alert(1)</script>"}, "<b>&": {"NULL": True}})
    html = infer(local_server, table)._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert html.count("&lt;b&gt;&amp;") == 2  # in the table, and in the warning
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert html.count("<tr>") == 3
    cells = re.findall(r'<t[hd] style="text-align: (\w+);">', html)
    assert cells == ["left", "left", "right", "left", "left"] * 3  # a notebook would set all at the right


def test_an_inferred_schema_shows_no_values_in_its_repr_and_survives_pickling(local_server: Server) -> None:
    table = local_server.create()
    local_server.put(table, {"id": {"S": "VALUE"}, "x": {"NULL": True}})
    inferred = infer(local_server, table)
    assert repr(inferred) == (
        f"InferredSchema(Table '{table}': 1 item sampled, {inferred.read_units:g} read units, 2 columns, 1 warning)"
    )
    assert pickle.loads(pickle.dumps(inferred)) == inferred


def test_warnings_are_logged_as_one_without_values(local_server: Server, caplog: pytest.LogCaptureFixture) -> None:
    table = local_server.create()
    local_server.put(
        table, {"id": {"S": "VALUE"}, **{f"a{n:02d}": {"NULL": True} for n in range(25)}, "m": {"L": [{"S": "VALUE"}]}}
    )
    with caplog.at_level(logging.DEBUG, "spark_dynamo"):
        inferred = infer(local_server, table)
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
        inferred.log_warnings()
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage().startswith(
        f"the schema of table {table}, inferred from 1 item: 'a00' was seen only as NULL"
    )
    assert record.getMessage().endswith("and 5 warnings more, see sd.infer_schema")
    assert "VALUE" not in caplog.text


def test_nothing_is_logged_where_nothing_is_guessed(local_server: Server, caplog: pytest.LogCaptureFixture) -> None:
    table = local_server.create()
    local_server.put(table, {"id": {"S": "a"}})
    infer(local_server, table).log_warnings()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
