"""Keys and tokens appear in no plan, log, repr, error or page of the Spark UI."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from spark_dynamo.aws.client import Connection
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.source.datasource import DynamoDataSource
from spark_dynamo.source.location import connection
from spark_dynamo.source.options.source_options import SourceOptions
from tests.conftest import Server

SECRETS = {"accessKeyId": "AKIAHIDDENKEY", "secretAccessKey": "hidden-secret", "sessionToken": "hidden-token"}

UI = """
import sys, urllib.request, urllib.error
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").config("spark.ui.port", "0").getOrCreate()
options = dict(endpointUrl=sys.argv[1], region="us-east-1", accessKeyId="AKIAHIDDENKEY",
               secretAccessKey="hidden-secret", sessionToken="hidden-token")
frame = spark.read.format("dynamo-meta").options(**options).schema("id STRING").load(sys.argv[2])
frame.write.format("dynamo-meta").options(**options).mode("append").save(sys.argv[2])
spark.sql("CREATE TEMPORARY VIEW v (id STRING) USING `dynamo-meta` OPTIONS (table '" + sys.argv[2] + "', " +
          ", ".join(f"{k} '{v}'" for k, v in options.items()) + ")").collect()
spark.table("v").explain(True)
frame.explain("extended")
frame.explain("formatted")
print(frame._jdf.queryExecution().toString(), repr(frame), spark.sql("DESCRIBE EXTENDED v").collect())
base = spark.sparkContext.uiWebUrl
for page in ("/SQL/", "/SQL/execution/?id=0", "/SQL/execution/?id=1", "/SQL/execution/?id=2", "/jobs/", "/stages/",
             "/environment/", "/api/v1/applications/" + spark.sparkContext.applicationId + "/sql?details=true"):
    try:
        print(page, urllib.request.urlopen(base + page, timeout=20).read().decode())
    except urllib.error.HTTPError as error:
        print(page, error)
"""


def is_hidden(text: str) -> bool:
    return not any(secret in text for secret in SECRETS.values())


def test_options_and_connections_show_no_secret() -> None:
    options = SourceOptions({"path": "t", "externalId": "hidden-secret", "roleArn": "arn:aws:iam::1:role/r", **SECRETS})
    place = connection(options)
    assert (place.access_key_id, place.secret_access_key) == (SECRETS["accessKeyId"], SECRETS["secretAccessKey"])
    for shown in (repr(options), repr(place), str(place), repr(DynamoDataSource({"path": "t", **SECRETS}))):
        assert is_hidden(shown), shown


def test_errors_show_no_secret() -> None:
    for broken in (
        {"accessKeyId": "AKIAHIDDENKEY"},
        {"sessionToken": "hidden-token"},
        {"secretAccessKey": "hidden-secret"},
    ):
        with pytest.raises(ValueError, match="Option") as caught:
            SourceOptions({"path": "t", **broken})
        assert is_hidden(str(caught.value))
        assert is_hidden(repr(pickle.loads(pickle.dumps(caught.value)).__dict__))


def test_logs_show_no_secret(local_server: Server, caplog: pytest.LogCaptureFixture) -> None:
    from spark_dynamo.aws.client import raw_client
    from spark_dynamo.aws.requests import Requests

    place = Connection("us-east-1", local_server.endpoint, None, *SECRETS.values())
    table = local_server.create()
    with caplog.at_level(logging.DEBUG, "spark_dynamo"):
        Requests(place, table).send("Scan", b'{"TableName":"%s"}' % table.encode())
        raw_client(place)
    assert is_hidden(caplog.text)


@pytest.mark.jvm
def test_plans_and_pages_of_the_spark_ui_show_no_secret(python: Callable[..., Any], local_server: Server) -> None:
    finished = python(UI, local_server.endpoint, local_server.create())
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert "/SQL/execution/?id=1" in finished.stdout
    assert "BatchScan" in finished.stdout
    lines = [line for line in (finished.stdout + finished.stderr).splitlines() if not is_hidden(line)]
    assert lines == []


def test_a_configuration_hides_its_keys_but_hands_them_to_spark() -> None:
    config = DynamoDBConfig(aws_access_key_id=SECRETS["accessKeyId"], aws_secret_access_key=SECRETS["secretAccessKey"])
    assert is_hidden(repr(config) + str(config) + repr(config.spark_options()))
    assert config.spark_options()["secretAccessKey"] == SECRETS["secretAccessKey"]
