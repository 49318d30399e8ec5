"""Secrets in configurations are shown nowhere, by whatever name they come."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from spark_dynamo.aws.client import Connection, dynamodb_client
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.config.secrets import Options
from spark_dynamo.errors import ConfigurationError
from spark_dynamo.errors.masking import STARS, masked, masked_text
from spark_dynamo.metadata.models import PipelineConfig, TableConfig
from spark_dynamo.run_logs.settings import RunSettings
from spark_dynamo.source.options.source_options import SourceOptions

HIDDEN = "a+hidden/text"
NAMES = [
    "spark.hadoop.fs.s3a.secret.key",
    "spark.hadoop.fs.s3a.access.key",
    "spark.hadoop.fs.azure.account.key.lake.dfs.core.windows.net",
    "my.db.password",
    "dbPasswd",
    "PWD",
    "accessKeyId",
    "secretAccessKey",
    "sessionToken",
    "AWS_SESSION_TOKEN",
    "externalId",
    "api_key",
    "private-key",
    "credentials",
    "Authorization",
]
PLAIN = {
    "primary_key": "id",
    "keyspace": "k",
    "tokenizer": "bert",
    "max_tokens": 100,
    "spark.hadoop.fs.s3a.aws.credentials.provider": "org.apache.Provider",
    "passes": 3,
    "endpoint": "http://localhost:8000/a@b",
    "location": "abfss://lake@account.dfs.core.windows.net/orders",
    "none": None,
    "use_password": False,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "made",
    [
        lambda name, value: {name: value},
        lambda name, value: {"deep": [{"er": {name: value}}]},
        lambda name, value: {name: {"of": [value]}},
        lambda name, value: {"env": [{"name": name, "value": value}]},
        lambda name, value: {"options": f"-D{name}={value} -Xmx1g"},
        lambda name, value: {"json": f'{{"{name}": "{value}", "a": 1}}'},
        lambda name, value: {name: value, "command": f"run --with {value}"},
    ],
)
def test_a_secret_is_masked_by_its_name_wherever_it_stands(name: str, made: Callable[[str, str], Any]) -> None:
    shown = repr(masked(made(name, HIDDEN)))
    assert HIDDEN not in shown
    assert STARS in shown


def test_what_is_no_secret_stays_as_it_is() -> None:
    assert masked(PLAIN) == PLAIN


@pytest.mark.parametrize(
    "text",
    [
        f"postgres://ann:{STARS}@db:5432/shop",
        f"jdbc:postgresql://db/shop?user=ann&password={STARS}&ssl=true",
        f"AccountName=lake;AccountKey={STARS};Suffix=x",
        f"signed by {STARS}",
    ],
)
def test_a_secret_is_masked_by_the_form_of_its_text(text: str) -> None:
    hidden = "AKIA0123456789ABCDEF"
    assert masked_text(text.replace(STARS, hidden)) == text


def test_known_secrets_are_masked_in_every_text_but_short_words_are_not() -> None:
    assert masked({"note": f"it is {HIDDEN}."}, [HIDDEN, None, "local"]) == {"note": f"it is {STARS}."}
    assert masked({"password": "local", "master": "local[2]"}) == {"password": STARS, "master": "local[2]"}


def test_long_texts_are_masked_in_no_time() -> None:
    started = time.process_time()
    for text in ("x" * 300_000, "://" * 100_000, "a=" * 150_000, "password" * 40_000, "x " * 150_000):
        masked_text(text)
    assert time.process_time() - started < 20  # they take well below a second; a power of the length takes for ever


def test_counts_of_tokens_are_no_secrets_in_texts_either() -> None:
    assert masked_text("tokens: 1200, max_tokens=8, token=1200") == f"tokens: 1200, max_tokens=8, token={STARS}"
    assert masked_text("tokens=abc") == f"tokens={STARS}"


def test_a_configuration_that_holds_itself_ends() -> None:
    loop: dict[str, Any] = {"password": HIDDEN}
    loop["loop"] = loop
    assert HIDDEN not in repr(masked(loop))


def test_a_run_log_has_no_secret_of_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the-token-of-the-environment")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-key-id-of-it")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", HIDDEN)
    settings = RunSettings(
        pipeline_id="p",
        config_snapshot={
            **dict.fromkeys(NAMES, HIDDEN),
            "typed": SecretStr("another hidden text"),
            "note": f"{HIDDEN}, the-token-of-the-environment and the-key-id-of-it",
            "limit": 10,
        },
    )
    snapshot = settings._first_log(DynamoDBConfig(), {}).config_snapshot
    assert snapshot["limit"] == 10
    assert snapshot["note"] == f"{STARS}, {STARS} and {STARS}"
    assert set(snapshot.values()) == {10, STARS, snapshot["note"]}


def test_models_of_the_metadata_tables_show_no_secret_but_keep_it() -> None:
    table = TableConfig(
        table_id="orders",
        pipeline_id="sales",
        table_name="orders",
        table_type="source",
        data_format="parquet",
        location=f"jdbc:x://ann:{HIDDEN}@db",
        connection_config={"accessKeyId": "id", "secretAccessKey": HIDDEN, "region": "eu-west-1"},
        read_options={"user": "ann", "dbPassword": HIDDEN},
    )
    pipeline = PipelineConfig(
        pipeline_id="sales",
        pipeline_name="Sales",
        source_type="s3",
        destination_type="s3",
        spark_config={"spark.hadoop.fs.s3a.secret.key": HIDDEN},
    )
    for shown in (repr(table), str(table), repr(pipeline), str(pipeline), f"{[table, pipeline]}"):
        assert HIDDEN not in shown
    assert "eu-west-1" in repr(table)
    assert "table_id='orders'" in repr(table)
    assert table.connection_config["secretAccessKey"] == HIDDEN
    assert TableConfig.model_validate(table.model_dump()) == table


def test_options_of_whatever_source_show_no_secret_but_hand_it_over() -> None:
    options = Options({"dbtable": "t", "password": HIDDEN, "url": f"jdbc:x://a:{HIDDEN}@h"}.items(), frozenset())
    assert HIDDEN not in repr(options)
    assert "'dbtable': 't'" in repr(options)
    assert pickle.loads(pickle.dumps(options))["password"] == HIDDEN


@pytest.mark.parametrize(
    "url", ["http://ann:hidden@h:8000", "https://hidden@h", "http://a:hid/hidden?#@h:1", "a:hidden@h"]
)
def test_an_endpoint_with_a_password_is_refused_without_showing_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"a user or a password before its host.*leave them out") as caught:
        DynamoDBConfig(endpoint_url=url)
    with pytest.raises(ConfigurationError, match="before its host") as directly:
        Connection("us-east-1", url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
    with pytest.raises(ConfigurationError, match="before its host") as by_variable:
        dynamodb_client(Connection("us-east-1"))
    for error in (caught, directly, by_variable):
        assert "hidden" not in str(error.value)
        assert "hidden" not in repr(error.value.__dict__)
        assert error.value.__cause__ is None
    assert "ann:hidden" not in repr(SourceOptions({"path": "t", "endpointUrl": "http://ann:hidden@h:8000"}))
