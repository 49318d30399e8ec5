"""Rejected rows in folders, buckets and tables: whole or not at all, once, and ready to be written again."""

from __future__ import annotations

import base64
import gzip
import json
import os
import pickle
import resource
import stat
import tempfile
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, DoubleType, StringType, StructType

from spark_dynamo.aws.s3 import s3_client
from spark_dynamo.aws.single_write import Refused
from spark_dynamo.errors import InvalidItemError, OptionError
from spark_dynamo.source.write.reject_lines import item_of_line, line_of_bad_row, line_of_refusal
from spark_dynamo.source.write.rejects import _MARK, Destination, Rejects
from spark_dynamo.wire.encode import ItemEncoder
from spark_dynamo.wire.items import RawItemEncoder
from spark_dynamo.wire.sizes import LARGEST_ITEM, item_size
from tests.conftest import Server

SETS = {"dynamodb": "SS"}
SCHEMA = (
    StructType()
    .add("id", StringType())
    .add("text", StringType())
    .add("price", DoubleType())
    .add("tags", ArrayType(StringType()), metadata=SETS)
)


def bad_lines(table: str = "orders") -> list[bytes]:
    """Two rows of three that DynamoDB can't take."""
    batch = pa.record_batch(
        {
            "id": ["a", "b", "c"],
            "text": ['odd "\n\\ é\U0001f600', "x", "y"],
            "price": [float("nan"), 1.5, 2.5],
            "tags": [["x"], ["y"], []],
        }
    )
    apart = ItemEncoder(SCHEMA, table=table, key_names=["id"]).encode_apart(batch)
    assert [bad.row for bad in apart.bad] == [0, 2]
    return [line_of_bad_row(table, "put", bad) for bad in apart.bad]


# ---------------------------------------------------------------------------------------------------- lines


def test_a_line_says_what_can_be_said_of_the_row() -> None:
    assert [orjson.loads(line) for line in bad_lines()] == [
        {
            "table": "orders",
            "operation": "put",
            "reason": "DynamoDB has no NaN and no infinity; replace it by NULL or drop the row",
            "attribute": "price",
            "item": {"id": {"S": "a"}, "text": {"S": 'odd "\n\\ é\U0001f600'}, "tags": {"SS": ["x"]}},
            "unfit": {"price": "nan"},
        },
        {
            "table": "orders",
            "operation": "put",
            "reason": "DynamoDB has no empty sets; replace it by NULL",
            "attribute": "tags",
            "item": {"id": {"S": "c"}, "text": {"S": "y"}, "price": {"N": "2.5"}},
            "unfit": {"tags": "[]"},
        },
    ]


def test_whole_items_stand_in_the_line_as_they_are() -> None:
    texts = ['{"id": {"S": "a"},\n "v": {"N": "one"}, "l": {"SS": []}}', '{"id":{"S":"b"},"v":5}', "{", None]
    apart = RawItemEncoder("json", table="orders", keys={"id": "S"}).encode_apart(pa.record_batch({"item": texts}))
    lines = [orjson.loads(line_of_bad_row("orders", "put", bad)) for bad in apart.bad]
    assert [(line["attribute"], line["item"], line.get("unfit")) for line in lines] == [
        ("v", {"id": {"S": "a"}, "l": {"SS": []}}, {"v": '{"N":"one"}'}),
        ("v", {"id": {"S": "b"}}, {"v": "5"}),
        ("item", None, {"item": "{"}),
        ("item", None, None),
    ]


@pytest.mark.parametrize(
    ("action", "item"),
    [
        ({"Item": {"id": {"S": "a"}, "v": {"B": "AAE="}}, "ConditionExpression": "x"}, {"id": {"S": "a"}, "v": {"B": "AAE="}}),
        ({"Key": {"id": {"S": "a"}}, "ConditionExpression": "x"}, {"id": {"S": "a"}}),
        (
            {
                "Key": {"id": {"S": "a"}},
                "UpdateExpression": "SET #u0=:u0,#ua=:ua REMOVE #u2,#u3",
                "ExpressionAttributeNames": {"#u0": "x", "#ua": "REMOVE", "#u2": "y", "#u3": "z", "#c0": "v"},
                "ExpressionAttributeValues": {":u0": {"N": "1"}, ":ua": {"L": []}, ":c0": {"N": "2"}},
            },
            {"id": {"S": "a"}, "x": {"N": "1"}, "REMOVE": {"L": []}, "y": {"NULL": True}, "z": {"NULL": True}},
        ),
        (
            {
                "Key": {"id": {"S": "a"}},
                "UpdateExpression": "REMOVE #u",
                "ExpressionAttributeNames": {"#u": "spark-dynamo: an attribute that no item has"},
            },
            {"id": {"S": "a"}},
        ),
    ],
)  # fmt: skip
def test_a_refused_action_becomes_the_item_that_it_is_about(action: dict[str, Any], item: dict[str, Any]) -> None:
    refused = Refused("update", orjson.dumps(action), {"id": {"S": "a"}, "v": {"N": "7"}}, "the condition is not met")
    assert orjson.loads(line_of_refusal("orders", refused)) == {
        "table": "orders",
        "operation": "update",
        "reason": "the condition is not met",
        "attribute": None,
        "item": item,
        "stored": {"id": {"S": "a"}, "v": {"N": "7"}},
    }


def test_what_was_rejected_can_be_written_again(spark: SparkSession, tmp_path: Path) -> None:
    """The column `item` of the lines, taken out by Spark, is text for itemFormat=json."""
    destination = Destination.parse("badItems", str(tmp_path))
    with destination.open(None, write_id="w", partition=3) as rejects:  # type: ignore[arg-type]
        for line in bad_lines():
            rejects.add(line)
        rejects.publish()
    frame = spark.read.text(f"{tmp_path}/*").selectExpr("get_json_object(value, '$.item') item").orderBy("item")
    texts, keys = RawItemEncoder("json", table="t", keys={"id": "S"}).encode_with_keys(frame.toArrow().to_batches()[0])
    assert keys.to_pylist() == [{"id": "a"}, {"id": "c"}]
    assert [orjson.loads(text) for text in texts.to_pylist()] == [orjson.loads(line)["item"] for line in bad_lines()]


# ---------------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/tmp/x", ("folder", "/tmp/x", "")),
        ("file:///tmp/a%20b", ("folder", "/tmp/a b", "")),
        ("file:/tmp/x", ("folder", "/tmp/x", "")),
        ("rejected", ("folder", str(Path.cwd() / "rejected"), "")),
        ("s3://lake", ("s3", "lake", "")),
        ("s3a://lake/a/b/", ("s3", "lake", "a/b")),
        ("S3://lake/a", ("s3", "lake", "a")),
        ("dynamodb://rejected", ("dynamodb", "rejected", "")),
        (
            "dynamodb://arn:aws:dynamodb:eu-west-1:123456789012:table/rejected",
            ("dynamodb", "arn:aws:dynamodb:eu-west-1:123456789012:table/rejected", ""),
        ),
    ],
)
def test_places(text: str, expected: tuple[str, str, str]) -> None:
    found = Destination.parse("badItems", text)
    assert (found.kind, found.place, found.prefix) == expected
    assert pickle.loads(pickle.dumps(found)) == found
    assert Destination.parse("badItems", str(found)) == found


@pytest.mark.parametrize("text", ["hdfs://name/path", "dbfs:/x", "s3://", "s3:///x", "dynamodb://", "https://x/y"])
def test_places_that_are_none(text: str) -> None:
    with pytest.raises(OptionError, match=f"Option 'conditionFailed' must be a folder, .*, not '{text}'"):
        Destination.parse("conditionFailed", text)


def test_a_folder_that_cannot_be_written(tmp_path: Path, moto_server: Server) -> None:
    (tmp_path / "file").write_text("x")
    destination = Destination.parse("badItems", str(tmp_path / "file" / "below"))
    with pytest.raises(
        OptionError, match="Option 'badItems' names folder '.*/file/below', which can't be written: Not a dir"
    ):
        destination.checked(moto_server.connection)


def test_a_file_is_no_folder(tmp_path: Path, moto_server: Server) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        OptionError, match="Option 'badItems' names '.*/file', which is no folder; name one that is, or"
    ):
        Destination.parse("badItems", str(tmp_path / "file")).checked(moto_server.connection)
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize("lines", [1, 3])
def test_a_disk_that_takes_no_more_is_named_and_keeps_no_draft(tmp_path: Path, moto_server: Server, lines: int) -> None:
    """A file may be no longer than the limit: what is beyond fails as on a full disk, at once or when the file is closed."""
    destination = Destination.parse("badItems", str(tmp_path / "bad"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with destination.open(moto_server.connection, write_id="w", partition=0) as rejects:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))
        try:
            with pytest.raises(
                OptionError, match="'badItems' names '.*/bad', and a rejected row can't be kept .* make room"
            ):
                for _ in range(lines):
                    rejects.add(b"x" * 3_000)
                rejects.publish()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_bucket_that_is_not_there(moto_server: Server, s3: Any) -> None:
    destination = Destination.parse("badItems", "s3://no-such-bucket-here/x")
    with pytest.raises(
        OptionError, match="'badItems' names 's3://no-such-bucket-here/x', and S3 has no bucket 'no-such-buck"
    ):
        destination.checked(moto_server.connection)
    destination = Destination.parse("badItems", f"s3://{s3('bucket')}")
    destination.checked(moto_server.connection)


def test_s3_that_cannot_be_reached(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    connection = replace(moto_server.connection, max_attempts=1)
    with pytest.raises(OptionError, match=r"names 's3://lake', and S3 can't be reached: .*AWS_ENDPOINT_URL_S3"):
        Destination.parse("badItems", "s3://lake").checked(connection)


def test_tables_that_cannot_hold_rejected_rows(moto_server: Server) -> None:
    def check(table: str, written: str | None = None) -> None:
        Destination.parse("badItems", f"dynamodb://{table}").checked(moto_server.connection, written)

    with pytest.raises(OptionError, match="'badItems' names 'dynamodb://no-such-table', and DynamoDB has no table"):
        check("no-such-table")
    with pytest.raises(OptionError, match="whose key 'n' is of type N; a table of rejected rows needs keys of type S"):
        check(moto_server.create("id:S", "n:N"))
    with pytest.raises(OptionError, match="whose key 'reason' is of type S; .* with other names than"):
        check(moto_server.create("reason:S"))
    table = moto_server.create()
    with pytest.raises(OptionError, match="the table that is written; give another one"):
        check(table, table)
    check(table, "another")


# ---------------------------------------------------------------------------------------------------- published


@pytest.fixture
def s3(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A function that makes a bucket on the moto server, where AWS's own chain now finds S3."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_server.endpoint)

    def bucket(name: str) -> str:
        name = f"{name}-{uuid.uuid4().hex[:12]}"
        s3_client(moto_server.connection).create_bucket(Bucket=name)
        return name

    return bucket


class _Kept:
    """A destination on a real place, and what is kept there by name."""

    def __init__(self, destination: Destination, server: Server) -> None:
        self.destination = destination
        self.server = server

    def open(self, partition: int = 7, repeated: bool = False) -> Rejects:
        return self.destination.open(self.server.connection, write_id="write-1", partition=partition, repeated=repeated)

    def names(self) -> list[str]:
        if self.destination.kind == "folder":
            root = Path(self.destination.place)
            return sorted(str(path.relative_to(root)) for path in root.rglob("*/*") if path.is_file())
        client = s3_client(self.server.connection)
        listed = client.list_objects_v2(Bucket=self.destination.place)
        return [found["Key"].removeprefix("some/prefix/") for found in listed.get("Contents", [])]

    def content(self, name: str) -> bytes:
        if self.destination.kind == "folder":
            return (Path(self.destination.place) / name).read_bytes()
        answer = s3_client(self.server.connection).get_object(Bucket=self.destination.place, Key=f"some/prefix/{name}")
        content: bytes = answer["Body"].read()
        return content


@pytest.fixture(params=["folder", "s3"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, moto_server: Server, s3: Callable[[str], str]) -> _Kept:
    place = str(tmp_path / "rejected") if request.param == "folder" else f"s3://{s3('rejects')}/some/prefix"
    destination = Destination.parse("badItems", place)
    destination.checked(moto_server.connection, "orders")
    return _Kept(destination, moto_server)


NAME = "write-1/part-00007-badItems.jsonl"


def test_lines_appear_together_when_they_are_published(kept: _Kept) -> None:
    with kept.open() as rejects:
        rejects.add(b'{"n":1}')
        rejects.add(b'{"n":2}')
        assert [name for name in kept.names() if not name.startswith("write-1/.")] == []
        rejects.publish()
        rejects.publish()
        assert rejects.count == 2
    assert kept.names() == [NAME]
    assert kept.content(NAME) == b'{"n":1}\n{"n":2}\n'


def test_files_of_rejected_rows_are_for_their_user_alone(
    kept: _Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with kept.open() as rejects:
        rejects.add(b"{}")
        (under_way,) = [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(_MARK)]
        assert stat.S_IMODE(under_way.stat().st_mode) == 0o600
        rejects.publish()
    for file in tmp_path.rglob("part-*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept.names() == [NAME]


def test_nothing_is_left_of_a_task_that_fails_or_rejects_nothing(kept: _Kept) -> None:
    with pytest.raises(ZeroDivisionError), kept.open() as rejects:
        rejects.add(b"{}")
        raise ZeroDivisionError
    with kept.open() as rejects:
        rejects.publish()
    assert rejects.count == 0
    assert kept.names() == []


def test_a_task_that_runs_again_replaces_its_lines(kept: _Kept) -> None:
    with kept.open() as first, kept.open() as speculative, kept.open(8) as other:
        for number, rejects in enumerate([first, speculative, other]):
            rejects.add(b"%d" % number)
            rejects.publish()
    assert kept.names() == [NAME, NAME.replace("7", "8")]
    assert kept.content(NAME) == b"1\n"
    with kept.open() as rejects:
        rejects.publish()
    assert len(kept.names()) == 2
    with kept.open(repeated=True) as rejects:
        rejects.publish()
    assert kept.names() == [NAME.replace("7", "8")]


def test_a_folder_of_another_machine_is_an_error(tmp_path: Path, moto_server: Server) -> None:
    """The same path leads to another disk, or to a shared one, which the driver's mark tells apart."""
    place, elsewhere = tmp_path / "rejected", tmp_path / "elsewhere"
    destination = Destination.parse("badItems", str(place)).checked(moto_server.connection)
    again = Destination.parse("badItems", str(place)).checked(moto_server.connection)
    assert destination == again  # a folder has one mark, whatever number of writes
    place.rename(elsewhere)

    def run() -> None:
        with destination.open(moto_server.connection, write_id="w", partition=0) as rejects:
            rejects.add(b"{}")
            rejects.publish()

    for made in (False, True):
        if made:
            Destination.parse("badItems", str(place)).checked(moto_server.connection)  # as another driver does
        with pytest.raises(
            OptionError,
            match=r"'badItems' names folder '.*', and where this task runs that is not the driver's; .* or s3://bucket/",
        ):
            run()
    place.rename(tmp_path / "local")
    elsewhere.rename(place)
    run()
    assert [path.name for path in (place / "w").iterdir()] == ["part-00000-badItems.jsonl"]


def test_two_options_may_share_a_place(tmp_path: Path, moto_server: Server) -> None:
    for option in ("badItems", "conditionFailed"):
        with Destination.parse(option, str(tmp_path)).open(
            moto_server.connection, write_id="w", partition=0
        ) as rejects:
            rejects.add(b"{}")
            rejects.publish()
    assert len(list((tmp_path / "w").iterdir())) == 2


def test_threads_may_add_at_once(tmp_path: Path, moto_server: Server) -> None:
    destination = Destination.parse("badItems", str(tmp_path))
    with destination.open(moto_server.connection, write_id="w", partition=0) as rejects:
        line = json.dumps({"text": "x" * 500}).encode()
        threads = [threading.Thread(target=lambda: [rejects.add(line) for _ in range(500)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rejects.publish()
    (file,) = (tmp_path / "w").iterdir()
    assert rejects.count == 4_000
    assert file.read_bytes().splitlines() == [line] * 4_000


# ---------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("sort", [None, "part:S"])
def test_a_table_holds_each_line_as_an_item(server: Server, sort: str | None) -> None:
    table = server.create("pk:S", sort)
    destination = Destination.parse("badItems", f"dynamodb://{table}")
    destination.checked(server.connection, "orders")
    lines = [*bad_lines(), *bad_lines()[:1]]
    for partition, before in ((0, 0), (0, 3), (1, 3)):  # the first one runs twice
        with destination.open(server.connection, write_id="w", partition=partition) as rejects:
            for line in lines:
                rejects.add(line)
            assert len(server.items(table)) == before
            rejects.publish()
            server_items = server.items(table)
    assert len(server_items) == 6
    first = next(item for item in server_items if item["attribute"] == {"S": "price"})
    assert {name: first[name] for name in ("table", "operation", "item", "unfit")} == {
        "table": {"S": "orders"},
        "operation": {"S": "put"},
        "item": {"M": orjson.loads(lines[0])["item"]},
        "unfit": {"M": {"price": {"S": "nan"}}},
    }
    assert len({item["pk"]["S"] for item in server_items}) == 6
    assert sort is None or first["part"]["S"].startswith("w/part-0000")


def test_a_rejected_row_that_no_item_can_hold_is_compressed(dynoxide_server: Server) -> None:
    table = dynoxide_server.create("pk:S")
    texts = [
        json.dumps({"id": {"S": "large"}, "v": {"S": "x" * LARGEST_ITEM}}),
        '{"id":{"S":"set"},"v":{"SS":[]}}',
        '{"id":{"S":"deep"},"v":' + '{"L":[' * 31 + '{"S":"x"}' + "]}" * 31 + "}",
    ]
    apart = RawItemEncoder("json", table="orders", keys={"id": "S"}).encode_apart(pa.record_batch({"item": texts}))
    assert [bad.row for bad in apart.bad] == [0, 1]
    lines = [line_of_bad_row("orders", "put", bad) for bad in apart.bad]
    # good as an item, but not as a map within one
    refused = Refused("insert", b'{"Item":' + texts[2].encode() + b"}", None, "there is an item with that key")
    with Destination.parse("badItems", f"dynamodb://{table}").open(
        dynoxide_server.connection, write_id="w", partition=0
    ) as rejects:
        for line in [*lines, line_of_refusal("orders", refused)]:
            rejects.add(line)
        rejects.publish()
    found = dynoxide_server.items(table)
    items = [orjson.loads(gzip.decompress(item["item_gzip"]["B"])) for item in found]
    assert sorted(items, key=lambda item: item["id"]["S"]) == [orjson.loads(texts[row]) for row in (2, 0, 1)]
    assert all("item" not in item for item in found)


def test_a_rejected_row_that_is_too_large_in_any_case() -> None:
    noise = base64.b64encode(os.urandom(LARGEST_ITEM)).decode()
    batch = pa.record_batch({"item": [json.dumps({"id": {"S": "a"}, "v": {"B": noise}})]})
    (bad,) = RawItemEncoder("json", table="orders", keys={"id": "S"}).encode_apart(batch).bad
    with pytest.raises(
        InvalidItemError, match=r"Even compressed it is too large .*; send them to a folder or to s3://"
    ):
        item_of_line(line_of_bad_row("orders", "put", bad), ["pk"], "origin")


def test_the_item_for_a_table_is_never_too_large() -> None:
    for size in range(LARGEST_ITEM - 600, LARGEST_ITEM + 10, 50):
        batch = pa.record_batch(
            {"item": [json.dumps({"id": {"S": "a"}, "n": {"N": "x"}, "v": {"S": "é" * (size // 2)}})]}
        )
        (bad,) = RawItemEncoder("json", table="orders", keys={"id": "S"}).encode_apart(batch).bad
        item = orjson.loads(item_of_line(line_of_bad_row("orders", "put", bad), ["pk", "sk"], "w/part-0"))
        assert item_size(item) <= LARGEST_ITEM
        assert item["pk"]["S"] != item["sk"]["S"] == "w/part-0"


def test_s3_is_where_aws_s_own_chain_says_with_the_connection_s_credentials(moto_server: Server) -> None:
    connection = replace(moto_server.connection, access_key_id="AKIAEXAMPLE", region="eu-central-1")
    client = s3_client(connection)
    assert client.meta.endpoint_url == "https://s3.eu-central-1.amazonaws.com"
    assert client._request_signer._credentials.access_key == "AKIAEXAMPLE"
