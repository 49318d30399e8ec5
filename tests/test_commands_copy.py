"""`spark-dynamo copy`: every item arrives as it was, or the copy says why not."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from spark_dynamo.aws.tables import Index, KeyAttribute, describe_table
from spark_dynamo.cli import app
from spark_dynamo.errors import ConfigurationError, OptionError
from tests.conftest import Server

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
ITEMS = 153


def run(server: Server, *arguments: str) -> Result:
    where = ["--endpoint-url", server.endpoint, "--region", "us-east-1"]
    return CliRunner().invoke(app, ["copy", *arguments, *where], env=ENVIRONMENT)


def report(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, (result.output, result.exception)
    (told,) = json.loads(result.stdout)
    return dict(told)


def item(number: int) -> dict[str, Any]:
    return {
        "id": {"B": f"k{number:04}".encode()},
        "n": {"N": str(number)},
        "digits": {"N": "-1234567890.1234567890123456789012345678"},
        "texts": {"SS": ["a", f"é{number}"]},
        "numbers": {"NS": ["1", "-2.5", str(number + 10)]},
        "binaries": {"BS": [b"\x00", b"\xff"]},
        "nested": {"M": {"a.b c": {"L": [{"NULL": True}, {"M": {}}, {"B": b"\x80"}]}}},
        "text": {"S": '"\\\n\x01 \U0001f600'},
    }


def sorted_items(server: Server, table: str) -> list[dict[str, Any]]:
    def plain(value: Any) -> Any:
        ((tag, content),) = value.items()
        return {tag: sorted(content)} if tag in ("SS", "NS", "BS") else value

    found = [{name: plain(value) for name, value in item.items()} for item in server.items(table)]
    return sorted(found, key=lambda item: (item["id"]["B"], item["n"]["N"]))


@pytest.fixture(scope="module")
def source(dynoxide_server: Server) -> str:
    """A table with 153 items of all types, one of them large."""
    table = dynoxide_server.create("id:B", "n:N", [Index("by_n", KeyAttribute("n", "N"), projection="KEYS_ONLY")])
    items = [item(number) for number in range(ITEMS)]
    items[7]["text"] = {"S": "x" * 300_000}
    for start in range(0, ITEMS, 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        assert not dynoxide_server.client.batch_write_item(RequestItems={table: puts})["UnprocessedItems"]
    return table


@pytest.fixture
def target() -> str:
    return f"test-{uuid.uuid4().hex}"


def test_a_copy_is_the_same_table(dynoxide_server: Server, source: str, target: str) -> None:
    done = report(run(dynoxide_server, source, target, "--create", "-o", "json"))
    assert (done["source"], done["target"], done["copied"]) == (source, target, ITEMS)
    assert done["read_units"] > 0
    assert done["write_units"] > 0
    assert sorted_items(dynoxide_server, target) == sorted_items(dynoxide_server, source)
    copied, original = (describe_table(dynoxide_server.client, name) for name in (target, source))
    assert (copied.keys, copied.indexes) == (original.keys, original.indexes)
    again = report(run(dynoxide_server, source, target, "--create", "-o", "json"))
    assert again["copied"] == ITEMS
    assert sorted_items(dynoxide_server, target) == sorted_items(dynoxide_server, source)


@pytest.mark.parametrize(
    ("predicate", "wanted"),
    [
        ("n >= 150", [150, 151, 152]),
        (f"id = X'{b'k0003'.hex()}'", [3]),
        (f"id IN (X'{b'k0003'.hex()}', X'{b'k0004'.hex()}') AND n IN (3, 4)", [3, 4]),
        ("n = 1 AND text = 'other'", []),
    ],
)
def test_a_filter_chooses_what_is_copied(
    dynoxide_server: Server, source: str, predicate: str, wanted: list[int]
) -> None:
    target = dynoxide_server.create("id:B", "n:N")
    done = report(run(dynoxide_server, source, target, "--filter", predicate, "-o", "json"))
    assert done["copied"] == len(wanted)
    assert [int(item["n"]["N"]) for item in sorted_items(dynoxide_server, target)] == wanted


def test_a_filter_by_what_no_item_has_is_an_error(dynoxide_server: Server, source: str) -> None:
    target = dynoxide_server.create("id:B", "n:N")
    result = run(dynoxide_server, source, target, "--filter", "txet = 'other'")
    assert result.exit_code == 1
    assert isinstance(result.exception, OptionError)
    assert "'filter' names 'txet', and no item has such an attribute" in str(result.exception)
    assert "did you mean 'text'" in str(result.exception)


def test_other_items_of_the_target_stay(dynoxide_server: Server, source: str) -> None:
    target = dynoxide_server.create("id:B", "n:N")
    stranger = {"id": {"B": b"stranger"}, "n": {"N": "1"}}
    stale = {"id": {"B": b"k0003"}, "n": {"N": "3"}, "stale": {"S": "gone"}}
    dynoxide_server.put(target, stranger, stale)
    run(dynoxide_server, source, target, "--filter", "n = 3")
    assert sorted_items(dynoxide_server, target)[1] == stranger
    assert "stale" not in sorted_items(dynoxide_server, target)[0]


def test_from_one_server_to_another(moto_server: Server, dynoxide_server: Server, target: str) -> None:
    source = moto_server.create("id:B", "n:N")
    moto_server.put(source, item(1), item(2))
    to = ["--to-endpoint-url", dynoxide_server.endpoint, "--create"]
    assert "copied       2" in run(moto_server, source, target, *to).stdout
    assert sorted_items(dynoxide_server, target) == sorted_items(moto_server, source)
    same_name = run(moto_server, source, source, *to)  # another server's table of that name is another table
    assert same_name.exit_code == 0, same_name.exception


def test_from_one_environment_to_another(moto_server: Server) -> None:
    prefix = ["--table-prefix", f"p{uuid.uuid4().hex[:8]}", "--environment"]
    where = ["--endpoint-url", moto_server.endpoint, "--region", "us-east-1"]
    created = CliRunner().invoke(app, ["tables", "create", *prefix, "staging", *where, "-o", "json"], env=ENVIRONMENT)
    staging = json.loads(created.stdout)[0]["table"]
    moto_server.put(staging, {"pipeline_id": {"S": "p"}})
    done = report(
        run(
            moto_server,
            *("pipeline_config", "pipeline_config", "--create", *prefix, "staging"),
            *("--to-environment", "dev", "-o", "json"),
        )
    )
    assert done["target"] == staging.replace("_staging_", "_dev_")
    assert moto_server.items(done["target"]) == [{"pipeline_id": {"S": "p"}}]


def test_a_write_budget_is_kept(dynoxide_server: Server) -> None:
    source, target = dynoxide_server.create(), dynoxide_server.create()
    dynoxide_server.put(source, *({"id": {"S": str(number)}} for number in range(60)))
    done = report(run(dynoxide_server, source, target, "--max-write-units", "60", "-o", "json"))
    assert done["copied"] == 60
    assert done["seconds"] > 0.5


@pytest.mark.parametrize("key", ["id:S", "other:B", "id:B n:S"])
def test_tables_with_other_keys_are_refused(dynoxide_server: Server, source: str, key: str) -> None:
    result = run(dynoxide_server, source, dynoxide_server.create(*key.split()), "--create")
    assert result.exit_code == 1
    assert isinstance(result.exception, ConfigurationError)
    assert "same keys" in str(result.exception)
    assert result.stdout == ""


def test_a_table_is_not_copied_to_itself(moto_server: Server) -> None:
    source = moto_server.create()
    arn = describe_table(moto_server.client, source).arn
    by_another_address = moto_server.endpoint.replace("127.0.0.1", "localhost")
    for arguments in ([source], [arn], [source, "--create"], [source, "--to-endpoint-url", by_another_address]):
        result = run(moto_server, source, *arguments)
        assert isinstance(result.exception, ConfigurationError), result.output
        assert "itself" in str(result.exception)


def test_a_target_that_is_not_there(moto_server: Server, target: str) -> None:
    source = moto_server.create()
    result = run(moto_server, source, target)
    assert isinstance(result.exception, ConfigurationError)
    assert "--create" in str(result.exception)


def test_wrong_usage(moto_server: Server, target: str) -> None:
    assert run(moto_server, "orders").exit_code == 2
    assert run(moto_server, moto_server.create(), target, "--max-write-units", "0").exit_code == 2
