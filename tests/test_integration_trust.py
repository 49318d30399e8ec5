"""Rows of the metadata tables decide alone neither which code runs, nor who gets keys, nor where rejected rows go."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from spark_dynamo.config import ENVIRONMENT_VARIABLES, DynamoDBConfig
from spark_dynamo.errors import ConfigurationError
from spark_dynamo.integration import (
    SparkDynamoDBIntegration,
    allow_models,
    allow_reject_places,
    log_pipeline_run_from_spark,
    trust,
)
from spark_dynamo.metadata.models import PipelineConfig, TableConfig
from spark_dynamo.metadata.tables import create_tables

pytestmark = pytest.mark.server

KEYS = {"aws_access_key_id": "id-of-config", "aws_secret_access_key": "hidden", "aws_session_token": "hidden-token"}
OWN = {"accessKeyId": "id-of-row", "secretAccessKey": "secret-of-row"}
FOREIGN = "https://dynamodb.us-east-1.amazonaws.com.evil.example"


@pytest.fixture(autouse=True)
def nothing_is_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ENVIRONMENT_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trust, "_modules", set())
    monkeypatch.setattr(trust, "_places", set())


@pytest.fixture
def pipelines(local_server: Any) -> SparkDynamoDBIntegration:
    config = DynamoDBConfig(endpoint_url=local_server.endpoint, table_prefix=f"i{uuid.uuid4().hex[:8]}", **KEYS)
    create_tables(config)
    return SparkDynamoDBIntegration(config)


def table(pipelines: SparkDynamoDBIntegration, data_format: str = "dynamo-meta", **fields: Any) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    given: dict[str, Any] = {"pipeline_id": "p", "table_name": "t", "table_type": "source", "location": "orders"}
    pipelines.table_repo.create(TableConfig(table_id=name, data_format=data_format, **given, **fields))  # type: ignore[arg-type]
    return name


@pytest.mark.parametrize("field", ["read_options", "connection_config"])
@pytest.mark.parametrize("option", ["model", "MODEL"])
def test_a_model_that_a_row_names_is_imported_only_where_the_program_allows_it(
    pipelines: SparkDynamoDBIntegration, field: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    name = table(pipelines, **{field: {option: "evil:X"}})
    with pytest.raises(ConfigurationError, match=rf"'{name}'.*names model 'evil:X'.*sd.allow_models\('evil'\)"):
        pipelines.get_table_read_options(name)
    allow_models("evil.inner", "evi", "evil_too")
    with pytest.raises(ConfigurationError, match="names model 'evil:X'"):
        pipelines.get_table_read_options(name)
    allow_models("evil")
    assert pipelines.get_table_read_options(name)["model"] == "evil:X"
    inner = table(pipelines, read_options={"model": "evil.inner.most:X"})
    assert pipelines.get_table_read_options(inner)["model"] == "evil.inner.most:X"
    assert "evil" not in sys.modules


@pytest.mark.parametrize("module", ["", "shop:Order", "shop.", "a/b", 7])
def test_a_module_that_is_none_is_named(module: Any) -> None:
    with pytest.raises(ConfigurationError, match="takes names of modules"):
        allow_models(module)


@pytest.mark.parametrize("option", ["badItems", "baditems", "conditionFailed"])
@pytest.mark.parametrize(
    ("allowed", "place", "outside"),
    [
        ("rejected", "rejected/orders", "rejected/../elsewhere"),
        ("/data/rejected", "file:///data/rejected/x", "/data/rejected-not"),
        ("s3://lake/rejected", "s3a://lake/rejected/orders", "s3://lake/rejected-not"),
        ("s3://lake", "s3://lake/anything", "s3://sea/anything"),
        ("dynamodb://rejected", "dynamodb://rejected", "dynamodb://orders"),
    ],
)
def test_rejected_rows_go_only_where_the_program_allows_it(
    pipelines: SparkDynamoDBIntegration, option: str, allowed: str, place: str, outside: str
) -> None:
    inner, outer = (table(pipelines, write_options={option: where}) for where in (place, outside))
    with pytest.raises(ConfigurationError, match=rf"'{inner}'.*sends rejected rows to .*sd.allow_reject_places"):
        pipelines.get_table_write_options(inner)
    allow_reject_places(allowed)
    assert place in pipelines.get_table_write_options(inner).values()
    with pytest.raises(ConfigurationError, match=f"'{outer}'.*sends rejected rows to"):
        pipelines.get_table_write_options(outer)


def test_words_that_are_no_places_need_no_allowance(pipelines: SparkDynamoDBIntegration) -> None:
    name = table(pipelines, write_options={"badItems": "error", "conditionFailed": "skip"})
    assert pipelines.get_table_write_options(name)["conditionFailed"] == "skip"


def test_what_the_program_says_itself_needs_no_allowance(pipelines: SparkDynamoDBIntegration) -> None:
    name = table(pipelines, write_options={"model": "evil:X", "badItems": "/etc"})
    given = {"model": "shop.models:Order", "baditems": "/data/rejected", "endpointUrl": FOREIGN}
    options = pipelines._write_options(pipelines.table_repo.get_or_raise(name), given)
    assert (options["model"], options["badItems"]) == ("shop.models:Order", "/data/rejected")
    assert options["accessKeyId"] == "id-of-config"


@pytest.mark.parametrize("field", ["connection_config", "read_options"])
@pytest.mark.parametrize(
    "url",
    [
        FOREIGN,
        "http://dynamodb.us-east-1.amazonaws.com",
        "https://ec2-1-2-3-4.compute-1.amazonaws.com",
        "https://dynamodb.us-east-1.elb.amazonaws.com",
        "http://10.0.0.7:8000",
    ],
)
@pytest.mark.parametrize("own", [{}, {"profile": "default"}, {"accessKeyId": "id-of-row"}], ids=repr)
def test_no_key_of_the_program_goes_to_a_foreign_server(
    pipelines: SparkDynamoDBIntegration, field: str, url: str, own: dict[str, str]
) -> None:
    name = table(pipelines, **{field: {"ENDPOINTURL": url, **own}})
    with pytest.raises(ConfigurationError, match=f"'{name}'.*leads to endpoint .*no keys of this program") as caught:
        pipelines.get_table_read_options(name)
    assert "hidden" not in str(caught.value)


def test_a_foreign_server_gets_the_rows_own_keys_and_nothing_of_the_configurations(local_server: Any) -> None:
    config = DynamoDBConfig(
        endpoint_url=local_server.endpoint, role_arn="arn:aws:iam::123456789012:role/r", external_id="hidden-id", **KEYS
    )
    row = {"endpointUrl": FOREIGN, **OWN}
    options = trust.connection_options("t", row, config)
    assert options.keys().isdisjoint(
        {"accessKeyId", "secretAccessKey", "sessionToken", "roleArn", "externalId", "profile"}
    )
    assert "hidden" not in str(dict(options))


def test_a_profile_of_the_programs_is_not_put_above_a_rows_endpoint(pipelines: SparkDynamoDBIntegration) -> None:
    name = table(pipelines, connection_config={"endpointUrl": FOREIGN, **OWN})
    assert pipelines.get_table_read_options(name)["accessKeyId"] == "id-of-row"
    with pytest.raises(ConfigurationError, match="leads to endpoint"):
        pipelines._write_options(pipelines.table_repo.get_or_raise(name), {"profile": "production"})


def test_another_server_on_this_machine_gets_local_keys(pipelines: SparkDynamoDBIntegration) -> None:
    options = pipelines.get_table_read_options(
        table(pipelines, connection_config={"endpointUrl": "http://localhost:1"})
    )
    assert (options["accessKeyId"], options["secretAccessKey"]) == ("local", "local")
    assert "sessionToken" not in options


@pytest.mark.parametrize(
    "url",
    [
        None,
        "https://dynamodb.eu-west-1.amazonaws.com",
        "https://dynamodb-fips.us-gov-west-1.amazonaws.com:443",
        "https://vpce-0a1b-c2d3.dynamodb.eu-west-1.vpce.amazonaws.com",
        "https://123456789012.ddb.us-east-1.amazonaws.com",
        "https://dynamodb.cn-north-1.amazonaws.com.cn",
    ],
)
def test_aws_and_the_configurations_own_server_get_its_keys(
    pipelines: SparkDynamoDBIntegration, url: str | None
) -> None:
    home = url or f"{pipelines.config.endpoint_url}/"
    options = pipelines.get_table_read_options(table(pipelines, connection_config={"endpointUrl": home}))
    assert (options["accessKeyId"], options["endpointUrl"]) == ("id-of-config", home)


@pytest.mark.parametrize(
    ("settings", "has_keys"),
    [
        ({}, True),
        ({"spark.hadoop.fs.s3a.endpoint": "s3.eu-west-1.amazonaws.com"}, True),
        ({"spark.hadoop.fs.s3a.endpoint.region": "eu-west-1"}, True),
        ({"spark.hadoop.fs.s3a.endpoint": "http://evil.example"}, False),
        ({"spark.hadoop.fs.s3a.bucket.lake.endpoint": "s3-x.us-east-1.elb.amazonaws.com"}, False),
        ({"fs.s3a.assumed.role.sts.endpoint": "evil.example"}, False),
        ({"spark.hadoop.fs.s3a.proxy.host": "evil.example"}, False),
    ],
)
def test_keys_for_s3_stay_at_home_where_a_row_leads_elsewhere(
    pipelines: SparkDynamoDBIntegration, settings: dict[str, str], has_keys: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", str(pipelines.config.endpoint_url))
    production = SparkDynamoDBIntegration(DynamoDBConfig(table_prefix=pipelines.config.table_prefix, **KEYS))
    name = f"p-{uuid.uuid4().hex[:8]}"
    production.pipeline_repo.create(
        PipelineConfig(
            pipeline_id=name, pipeline_name="P", source_type="s3", destination_type="s3", spark_config=settings
        )
    )
    found = production.get_spark_config_from_pipeline(name)
    assert ("spark.hadoop.fs.s3a.secret.key" in found) is has_keys
    assert found.items() >= settings.items()


def test_a_table_of_files_leads_s3a_nowhere_else(pipelines: SparkDynamoDBIntegration) -> None:
    name = table(pipelines, "csv", read_options={"header": True, "fs.s3a.endpoint": "evil.example"})
    with pytest.raises(ConfigurationError, match=f"'{name}'.*sets fs.s3a.endpoint to 'evil.example'"):
        pipelines.get_table_read_options(name)


def test_the_log_of_somebody_elses_run_has_no_secret(pipelines: SparkDynamoDBIntegration) -> None:
    snapshot = {"db.password": "hidden text", "limit": 5, "note": "it is hidden text"}
    run_id = log_pipeline_run_from_spark("p", config=pipelines.config, config_snapshot=snapshot)
    stored = pipelines.logs_repo.get_or_raise(run_id).config_snapshot
    assert stored == {"db.password": "**********", "limit": 5, "note": "it is **********"}
