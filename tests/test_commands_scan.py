"""`spark-dynamo scan`: items as they are stored, chosen as option `filter` of the data source chooses them."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from spark_dynamo.aws.tables import Index, KeyAttribute
from spark_dynamo.cli import app
from spark_dynamo.errors import ConfigurationError, OptionError
from spark_dynamo.metadata.models import PipelineConfig
from tests.conftest import Server
from tests.servers.scripted import Reply, refusal, scripted_server

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
DIGITS = "1234567890.1234567890123456789012345678"
ITEM = {
    "id": {"S": "all"},
    "n": {"N": "7"},
    "digits": {"N": DIGITS},
    "bytes": {"B": b"\x00\xff"},
    "flag": {"BOOL": False},
    "null": {"NULL": True},
    "empty": {"S": ""},
    "map": {"M": {"x\x1b": {"L": [{"N": "1.50"}, {"NULL": True}]}}},
    "texts": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2.5"]},
    "binaries": {"BS": [b"a", b"b"]},
}


def run(server: Server, table: str, *arguments: str) -> Result:
    where = ["--endpoint-url", server.endpoint, "--region", "us-east-1"]
    return CliRunner().invoke(app, ["scan", table, *arguments, *where], env=ENVIRONMENT)


def parsed(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, (result.output, result.exception)
    rows: list[dict[str, Any]] = json.loads(result.stdout, parse_float=Decimal)
    return rows


def explained(server: Server, table: str, *arguments: str) -> dict[str, Any]:
    (plan,) = parsed(run(server, table, *arguments, "--explain", "-o", "json"))
    return plan


@pytest.fixture(scope="module")
def days(moto_server: Server) -> str:
    """A table with 40 items of 4 customers, whose even totals are no numbers."""
    indexes = [
        Index("by_status", KeyAttribute("status", "S")),
        Index("keys_only", KeyAttribute("status", "S"), projection="KEYS_ONLY"),
    ]
    table = moto_server.create("customer:S", "day:N", indexes)
    for day in range(40):
        item = {
            "customer": {"S": f"c{day % 4}"},
            "day": {"N": str(day)},
            "status": {"S": "open" if day < 5 else "shut"},
        }
        item["total"] = {"N": f"{day}.25"} if day % 2 else {"S": "none"}
        item |= {"note": {"S": "x"}} if day == 39 else {}
        moto_server.put(table, item)
    return table


@pytest.fixture(scope="module")
def one(moto_server: Server) -> str:
    table = moto_server.create()
    moto_server.put(table, ITEM)
    return table


def test_every_value_in_json(moto_server: Server, one: str) -> None:
    assert parsed(run(moto_server, one, "--output", "json")) == [
        {
            "id": "all",
            "n": 7,
            "digits": Decimal(DIGITS),
            "bytes": "AP8=",
            "flag": False,
            "null": None,
            "empty": "",
            "map": {"x\x1b": [Decimal("1.50"), None]},
            "texts": ["a", "b"],
            "numbers": [1, Decimal("2.5")],
            "binaries": ["YQ==", "Yg=="],
        }
    ]


def test_raw_items_are_those_of_the_server(server: Server) -> None:
    table = server.create()
    server.put(table, ITEM)
    result = CliRunner().invoke(
        app,
        ["scan", table, "--raw", "-o", "json", "--endpoint-url", server.endpoint, "--region", "us-east-1"],
        env=ENVIRONMENT,
    )
    (item,) = parsed(result)
    for name in ("texts", "numbers", "binaries"):
        ((tag, values),) = item[name].items()
        item[name] = {tag: sorted(values)}
    in_text = {"bytes": {"B": "AP8="}, "binaries": {"BS": ["YQ==", "Yg=="]}}
    if server.name == "dynoxide":  # as AWS does, it trims a number's trailing zeros, which moto keeps
        (name,) = ITEM["map"]["M"]
        in_text["map"] = {"M": {name: {"L": [{"N": "1.5"}, {"NULL": True}]}}}
    assert item == {**ITEM, **in_text}
    assert "\x1b" not in result.stdout


def test_every_value_in_csv(moto_server: Server, one: str) -> None:
    header, row = csv.reader(io.StringIO(run(moto_server, one, "-o", "csv").stdout))
    values = dict(zip(header, row, strict=True))
    assert header[0] == "id"
    assert values == {
        "id": "all",
        "n": "7",
        "digits": DIGITS,
        "bytes": "AP8=",
        "flag": "false",
        "null": "",
        "empty": "",
        "map": '{"x\\u001b":[1.50,null]}',
        "texts": '["a","b"]',
        "numbers": "[1,2.5]",
        "binaries": '["YQ==","Yg=="]',
    }


@pytest.mark.parametrize(
    ("predicate", "access", "wanted"),
    [
        ("customer = 'c1' AND day = 5", "GetItem", [5]),
        ("customer = 'c1' AND day IN (5, 9, 10)", "BatchGetItem", [5, 9]),
        ("customer = 'c1' AND day > 20 AND total < 30", "Query", [21, 25, 29]),
        ("CUSTOMER = 'c1' AND day > 20 AND NOT total < 30", "Query", [33, 37]),
        ("status = 'open' AND total >= 1.25", "Query", [1, 3]),
        ("total = 3.25 OR total = 'none' AND day < 3", None, None),
        ("total > 35", "Scan", [35, 37, 39]),
        ("total = 'none' AND day < 5", "Scan", [0, 2, 4]),
        ("total IS NULL AND day < 5", "Scan", []),
        ("note IS NOT NULL", "Scan", [39]),
        ("note LIKE '%x' OR day BETWEEN 1 AND 2", "Scan", [1, 2, 39]),
        ("customer = 'c1' AND customer = 'c2'", "none, as no item can match", []),
    ],
)
def test_a_filter_is_read_as_its_keys_allow(
    moto_server: Server, days: str, predicate: str, access: str | None, wanted: list[int] | None
) -> None:
    result = run(moto_server, days, "--filter", predicate, "-o", "json")
    if wanted is None:
        assert isinstance(result.exception, OptionError)
        assert "it is compared as" in str(result.exception)
        return
    assert sorted(row["day"] for row in parsed(result)) == wanted
    assert explained(moto_server, days, "--filter", predicate)["access"] == access


def test_explain_reads_nothing(moto_server: Server, days: str) -> None:
    plan = explained(moto_server, days, "--filter", "status = 'open' AND day > 3", "--limit", "2")
    assert plan["index"] == "by_status"
    assert plan["key_condition"] == "status = 'open'"
    assert plan["limit"] == 2
    assert not re.search(r"\bc1\b", run(moto_server, days, "--explain").stdout)


def test_columns_are_those_asked_for(moto_server: Server, days: str) -> None:
    rows = parsed(run(moto_server, days, "--columns", "day, note", "--filter", "day >= 38", "-o", "json"))
    assert sorted(rows, key=lambda row: row["day"]) == [{"day": 38}, {"day": 39, "note": "x"}]
    printed = run(moto_server, days, "--columns", "day,missing", "--filter", "day = 3", "-o", "csv").stdout
    assert printed == "day,missing\n3,\n"


@pytest.mark.parametrize("output", ["table", "json", "csv"])
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--columns", "zzz"], "'columns' names 'zzz', and no item has such an attribute, of 40 looked at."),
        (["--columns", "totel"], "'columns' names 'totel', .* did you mean 'total'"),
        (["--columns", "zzz", "--filter", "customer = 'none'"], "'columns' names 'zzz'"),
        (["--filter", "custmer = 1"], "'filter' names 'custmer', .* did you mean 'customer'"),
        (["--filter", "customer = 'c1' AND notes.x = 1"], "'filter' names 'notes', .* did you mean 'note'"),
        (["--filter", "customer = 'c1' AND day = 5 AND zzz"], "'filter' names 'zzz'"),
    ],
)
def test_a_name_that_no_item_has_is_no_empty_table(
    moto_server: Server, days: str, arguments: list[str], told: str, output: str
) -> None:
    result = run(moto_server, days, *arguments, "-o", output)
    assert result.exit_code == 1
    assert isinstance(result.exception, OptionError)
    assert re.search(told, str(result.exception))


def test_a_name_that_some_items_have_may_give_nothing(moto_server: Server, days: str) -> None:
    assert parsed(run(moto_server, days, "--filter", "note = 'y'", "-o", "json")) == []
    assert parsed(run(moto_server, days, "--filter", "customer = 'none'", "-o", "json")) == []
    assert parsed(run(moto_server, days, "--columns", "note", "--filter", "day = 3", "-o", "json")) == [{}]
    assert len(parsed(run(moto_server, days, "--filter", "gone IS NULL", "-o", "json"))) == 40
    empty = moto_server.create()
    assert parsed(run(moto_server, empty, "--columns", "zzz", "--filter", "custmer = 1", "-o", "json")) == []


@pytest.mark.server
def test_where_no_scan_is_allowed_names_are_taken_as_they_are() -> None:
    keys = [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "day", "KeyType": "RANGE"}]
    table = {"TableName": "t", "TableArn": "arn", "TableStatus": "ACTIVE", "KeySchema": keys}
    table["AttributeDefinitions"] = [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "day")]

    def answer(operation: str, body: dict[str, Any]) -> Reply:
        if operation == "DescribeTable":
            return Reply({"Table": table})
        if operation == "Scan":
            return refusal("AccessDeniedException")
        return Reply({"Items": [], "Count": 0, "ScannedCount": 0})

    with scripted_server(answer) as script:
        where = ["--endpoint-url", script.endpoint, "--region", "us-east-1", "-o", "json"]
        result = CliRunner().invoke(app, ["scan", "t", "--filter", "id = 'a' AND zzz = 1", *where], env=ENVIRONMENT)
    assert parsed(result) == []
    assert [operation for operation, _ in script.requests] == ["DescribeTable", "Query", "Scan"]


def test_one_column_that_no_item_has_is_told_beside_the_others(moto_server: Server, days: str) -> None:
    result = run(moto_server, days, "--columns", "day,totl", "--filter", "day = 3", "-o", "csv")
    assert (result.exit_code, result.stdout) == (0, "day,totl\n3,\n")
    assert "Option 'columns' names 'totl', and no item has such an attribute" in result.stderr
    assert "did you mean 'total'" in result.stderr


def test_an_index_has_what_it_projects(moto_server: Server, days: str) -> None:
    rows = parsed(run(moto_server, days, "--index", "keys_only", "-o", "json"))
    assert len(rows) == 40
    assert {frozenset(row) for row in rows} == {frozenset({"customer", "day", "status"})}


@pytest.mark.parametrize("limit", [1, 7, 40, 100])
def test_a_limit_is_kept(moto_server: Server, days: str, limit: int) -> None:
    assert len(parsed(run(moto_server, days, "--limit", str(limit), "-o", "json"))) == min(limit, 40)
    filtered = parsed(run(moto_server, days, "--limit", str(limit), "--filter", "day >= 10", "-o", "json"))
    assert len(filtered) == min(limit, 30)


def test_a_table_for_people_has_the_keys_first(moto_server: Server, days: str) -> None:
    result = run(moto_server, days, "--filter", "customer = 'c3' AND day > 30")
    header, _, first, *_, last = [line.split() for line in result.stdout.splitlines()]
    assert header == ["customer", "day", "status", "total", "note"]
    assert first == ["c3", "31", "shut", "31.25"]
    assert last == ["c3", "39", "shut", "39.25", "x"]


def test_an_empty_table(moto_server: Server) -> None:
    table = moto_server.create()
    assert run(moto_server, table, "-o", "json").stdout == "[]\n"
    assert run(moto_server, table, "-o", "csv").stdout == "id\n"
    assert run(moto_server, table).stdout == "id\n--\n"


def test_the_header_of_a_csv_is_kept_or_it_is_an_error(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_dynamo.commands.scan._ROWS_AT_ONCE", 1)
    table = moto_server.create("id:S", "n:N")
    moto_server.put(table, {"id": {"S": "a"}, "n": {"N": "1"}}, {"id": {"S": "a"}, "n": {"N": "2"}, "more": {"N": "1"}})
    arguments = ["--filter", "id = 'a'", "--max-read-units", "2", "-o"]  # pages of one item
    result = run(moto_server, table, *arguments, "csv")
    assert isinstance(result.exception, ConfigurationError)
    assert "'more'" in str(result.exception)
    assert result.stdout == "id,n\na,1\n"
    assert run(moto_server, table, *arguments, "csv", "--columns", "id,n").stdout == "id,n\na,1\na,2\n"
    assert [line.split() for line in run(moto_server, table, *arguments, "table").stdout.splitlines()] == [
        ["id", "n"],
        ["--", "-"],
        ["a", "1"],
        ["id", "n", "more"],
        ["--", "-", "----"],
        ["a", "2", "1"],
    ]


def test_a_metadata_table_has_the_columns_of_its_model(moto_server: Server) -> None:
    where = ["--environment", "staging", "--endpoint-url", moto_server.endpoint, "--region", "us-east-1"]
    assert CliRunner().invoke(app, ["tables", "create", *where], env=ENVIRONMENT).exit_code == 0
    moto_server.put("staging_pipeline_config", {"pipeline_id": {"S": "p"}, "cpu_cores": {"N": "2"}})
    result = run(
        moto_server, "pipeline_config", "--environment", "staging", "-o", "csv", "--filter", "cpu_cores * 1 = 2"
    )
    assert isinstance(result.exception, OptionError)
    result = run(moto_server, "pipeline_config", "--environment", "staging", "-o", "csv", "--filter", "cpu_cores = 2.0")
    header, row = csv.reader(io.StringIO(result.stdout))
    assert header == [*PipelineConfig.model_fields]
    assert {name: value for name, value in zip(header, row, strict=True) if value} == {
        "pipeline_id": "p",
        "cpu_cores": "2",
    }


def test_csv_has_no_formula_unless_it_is_raw(local_server: Server) -> None:
    table = local_server.create()
    local_server.put(table, {"id": {"S": "=1+1"}})
    given = ["scan", table, "-o", "csv", "--endpoint-url", local_server.endpoint, "--region", "us-east-1"]
    for more, expected in (([], "id\n'=1+1\n"), (["--raw"], "id\n=1+1\n"), ([], "id\n'=1+1\n")):
        assert CliRunner().invoke(app, [*given, *more], env=ENVIRONMENT).stdout == expected


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--raw"], "--output json"),
        (["--columns", "a,,b"], "names between commas"),
        (["--limit", "0"], "--limit"),
        (["--output", "xml"], "--output"),
    ],
)
def test_wrong_usage(moto_server: Server, days: str, arguments: list[str], told: str) -> None:
    result = run(moto_server, days, *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--filter", "customer ="], "something after the operator"),
        (["--filter", "n >"], "near '>' (character 3): something after the operator is missing there"),
        (["--filter", "n > AND m = 1"], "something after the operator is missing there"),
        (["--filter", "> 5"], "something before the operator is missing there"),
        (["--filter", "day = '5'"], "without quotes"),
        (["--filter", "day.x = 5"], "without quotes"),
        (["--filter", "m = 'a' AND m.n = 1"], "can't be both"),
        (["--filter", "total < day"], "neither is that of 'day'"),
        (["--index", "by_day"], "no such index"),
        (["--index", "by_status", "--consistent-read"], "consistentRead"),
        (["--max-read-units", "0"], "maxReadUnits"),
    ],
)
def test_what_can_not_be_read_is_named(moto_server: Server, days: str, arguments: list[str], told: str) -> None:
    result = run(moto_server, days, *arguments)
    assert result.exit_code == 1
    assert isinstance(result.exception, OptionError)
    assert told in str(result.exception)
