"""The layers, the errors, the secrets and the names of a configuration."""

import json
import logging
import pickle
import traceback
from pathlib import Path
from typing import Any

import pydantic
import pytest

from spark_dynamo.aws.client import Connection
from spark_dynamo.config import (
    ENVIRONMENT_VARIABLES,
    ConfigurationOverrideWarning,
    DynamoDBConfig,
    Secret,
    physical_table_name,
)
from spark_dynamo.errors import ConfigurationError

HIDDEN = "the-hidden-text"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ENVIRONMENT_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_fields_have_the_documented_defaults() -> None:
    assert DynamoDBConfig().model_dump() == {
        "aws_access_key_id": None,
        "aws_secret_access_key": None,
        "aws_session_token": None,
        "profile_name": None,
        "role_arn": None,
        "external_id": None,
        "role_session_name": "spark-dynamo",
        "region_name": "us-east-1",
        "endpoint_url": None,
        "table_prefix": "",
        "max_pool_connections": 50,
        "retries": 3,
        "timeout_seconds": 30.0,
        "environment": "dev",
        "enable_debug_logging": False,
        "default_timezone": "UTC",
        "store_timestamps_in_utc": True,
        "user_timezone": None,
    }


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("region_name", "eu-west-1", "eu-west-1"),
        ("endpoint_url", "http://localhost:4566", "http://localhost:4566"),
        ("table_prefix", "myapp", "myapp"),
        ("environment", "prod", "prod"),
        ("enable_debug_logging", "true", True),
        ("default_timezone", "Asia/Tokyo", "Asia/Tokyo"),
        ("user_timezone", "Europe/London", "Europe/London"),
    ],
)
def test_each_variable_sets_its_field(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, field: str, text: str, value: object
) -> None:
    (tmp_path / ".env").write_text(f"{ENVIRONMENT_VARIABLES[field]}={text}\nUNRELATED=1\n")
    assert getattr(DynamoDBConfig.from_env(), field) == value
    (tmp_path / ".env").unlink()
    assert getattr(DynamoDBConfig.from_env(), field) != value
    monkeypatch.setenv(ENVIRONMENT_VARIABLES[field], text)
    assert getattr(DynamoDBConfig.from_env(), field) == value


def test_the_variables_of_credentials_set_their_fields_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    texts = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
    (tmp_path / ".env").write_text("".join(f"{name}={text}\n" for name, text in texts.items()))
    for _ in range(2):
        config = DynamoDBConfig.from_env()
        assert (config.aws_access_key_id, config.aws_secret_access_key) == ("key", "secret")
        assert config.aws_session_token == "token"
        (tmp_path / ".env").unlink(missing_ok=True)
        for name, text in texts.items():
            monkeypatch.setenv(name, text)


@pytest.mark.parametrize("variable", ["RETRIES", "TABLE_PREFIX", "REGION_NAME", "retries", "aws_region"])
def test_other_variables_are_not_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    monkeypatch.setenv(variable, "7")
    (tmp_path / ".env").write_text(f"{variable}=7\n")
    assert DynamoDBConfig().model_dump() == DynamoDBConfig.model_construct().model_dump()


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    assert DynamoDBConfig(region_name="eu-west-1").region_name == "eu-west-1"
    assert DynamoDBConfig().aws_access_key_id is None


def test_the_environment_wins_over_the_file_and_the_file_over_arguments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("AWS_REGION=eu-north-1\nDYNAMODB_TABLE_PREFIX=from_file\n")
    monkeypatch.setenv("AWS_REGION", "eu-south-1")
    with pytest.warns(ConfigurationOverrideWarning) as caught:
        config = DynamoDBConfig(region_name="us-west-2", table_prefix="argument", environment="staging")
    assert (config.region_name, config.table_prefix, config.environment) == ("eu-south-1", "from_file", "staging")
    region, prefix = (str(warning.message) for warning in caught)
    assert "The environment variable AWS_REGION='eu-south-1' overrides the argument region_name='us-west-2'" in region
    assert "In .env, DYNAMODB_TABLE_PREFIX='from_file' overrides the argument table_prefix='argument'" in prefix
    assert {warning.filename for warning in caught} == {__file__}


def test_a_variable_that_agrees_or_replaces_a_default_warns_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-south-1")
    monkeypatch.setenv("DYNAMODB_ENDPOINT_URL", "http://elsewhere:8000")
    monkeypatch.setenv("DYNAMODB_DEBUG_LOGGING", "0")
    config = DynamoDBConfig.for_local_development(region_name="eu-south-1", enable_debug_logging=False)
    assert (config.region_name, config.endpoint_url) == ("eu-south-1", "http://elsewhere:8000")
    assert config.enable_debug_logging is False


@pytest.mark.parametrize("variable", [None, "1"])
def test_an_argument_in_other_words_warns_of_nothing(variable: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if variable is not None:
        monkeypatch.setenv("DYNAMODB_DEBUG_LOGGING", variable)
    assert DynamoDBConfig(enable_debug_logging="true").enable_debug_logging is True  # type: ignore[arg-type]
    monkeypatch.setenv("DYNAMODB_DEBUG_LOGGING", "0")
    with pytest.warns(ConfigurationOverrideWarning, match="DYNAMODB_DEBUG_LOGGING=False overrides .*='true'"):
        DynamoDBConfig(enable_debug_logging="true")  # type: ignore[arg-type]


def test_options_stand_above_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ENVIRONMENT_VARIABLES.values():
        monkeypatch.setenv(variable, "no good")
    options: dict[str, Any] = {"environment": "prod", "endpoint_url": "http://a:1", "profile_name": "work"}
    rest = {"enable_debug_logging": False, "default_timezone": "UTC", "user_timezone": "UTC"}
    config = DynamoDBConfig.from_env(**options, **rest, region_name=None)
    assert {field: getattr(config, field) for field in options} == options
    assert (config.region_name, config.table_prefix, config.aws_access_key_id) == ("no good", "no good", None)
    with pytest.raises(ConfigurationError, match="has no field 'tables'"):
        DynamoDBConfig.from_env(tables="x")


def test_a_file_in_another_encoding_is_a_sentence_without_its_text(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(f"AWS_SECRET_ACCESS_KEY={HIDDEN}\xe9\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="File .env is not in UTF-8") as caught:
        DynamoDBConfig()
    assert HIDDEN not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("named_by", ["a field", "AWS_REGION", ".env", "AWS_DEFAULT_REGION", "a profile", None])
def test_the_region_is_the_one_that_aws_knows_where_nobody_else_does(
    named_by: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arguments: dict[str, Any] = {}
    match named_by:
        case "a field":
            arguments = {"region_name": "eu-west-1"}
        case ".env":
            (tmp_path / ".env").write_text("AWS_REGION=eu-west-1\n")
        case "a profile":
            (tmp_path / "config").write_text("[profile work]\nregion = eu-west-1\n")
            monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
            arguments = {"profile_name": "work"}
        case str():
            monkeypatch.setenv(named_by, "eu-west-1")
    config = DynamoDBConfig(**arguments)
    region = "us-east-1" if named_by is None else "eu-west-1"
    assert Connection.from_config(config).region == region
    is_named = named_by in ("a field", "AWS_REGION", ".env")
    assert config.region_name == (region if is_named else "us-east-1")
    assert config.spark_options().get("region") == (region if is_named else None)


def test_a_warning_from_a_factory_points_at_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNAMODB_TIMEZONE", "Asia/Tokyo")
    with pytest.warns(ConfigurationOverrideWarning, match="default_timezone") as caught:
        assert DynamoDBConfig.with_timezone("Europe/London").default_timezone == "Asia/Tokyo"
    assert caught[0].filename == __file__


def test_credentials_come_from_one_layer_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AWS_SESSION_TOKEN=of-the-file\n")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", HIDDEN)
    with pytest.warns(ConfigurationOverrideWarning) as caught:
        config = DynamoDBConfig(aws_access_key_id="mine", aws_secret_access_key="mine too", aws_session_token="mine")
    assert config.aws_access_key_id == "of-the-environment"
    assert config.aws_session_token is None
    messages = " ".join(str(warning.message) for warning in caught)
    assert all(
        ENVIRONMENT_VARIABLES[field] in messages and field in messages for field in list(ENVIRONMENT_VARIABLES)[:3]
    )
    assert HIDDEN not in messages
    assert "mine" not in messages
    assert DynamoDBConfig.for_local_development().aws_secret_access_key == HIDDEN


def test_local_development() -> None:
    config = DynamoDBConfig.for_local_development()
    assert config.aws_access_key_id == "local"
    assert config.aws_secret_access_key == "local"
    assert config.endpoint_url == "http://localhost:8000"
    assert config.environment == "dev"
    assert config.enable_debug_logging is True
    assert DynamoDBConfig.for_local_development(environment="staging").environment == "staging"


class Settings:
    """Settings as `spark.conf` and `SparkConf` give them."""

    def __init__(self, **settings: str) -> None:
        self.settings = {name.replace("_", "."): value for name, value in settings.items()}

    def get(self, key: str, default: Any) -> Any:
        return self.settings.get(key, default)


def test_pyspark() -> None:
    config = DynamoDBConfig.for_pyspark()
    assert (config.max_pool_connections, config.timeout_seconds, config.retries) == (100, 60.0, 5)
    assert config.aws_access_key_id is None
    conf = Settings(
        spark_hadoop_fs_s3a_access_key="key",
        spark_hadoop_fs_s3a_secret_key=HIDDEN,
        spark_hadoop_fs_s3a_endpoint_region="eu-west-1",
    )
    for given in (conf, conf.settings):
        config = DynamoDBConfig.for_pyspark(given, retries=9)
        assert config.aws_access_key_id == "key"
        assert config.aws_secret_access_key == HIDDEN
        assert (config.region_name, config.retries) == ("eu-west-1", 9)
    config = DynamoDBConfig.for_pyspark(conf, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-west-2")
    assert (config.aws_access_key_id, config.region_name) == ("a", "us-west-2")


@pytest.mark.parametrize(
    ("settings", "endpoint", "region"),
    [
        ({"endpoint": "http://localhost:4566"}, "http://localhost:4566", "us-east-1"),
        ({"endpoint": "localhost:4566"}, "https://localhost:4566", "us-east-1"),
        ({"endpoint": "localhost:4566", "connection.ssl.enabled": "false"}, "http://localhost:4566", "us-east-1"),
        ({"endpoint": "http://[::1]:4566", "endpoint.region": "eu-west-1"}, "http://[::1]:4566", "eu-west-1"),
        ({"endpoint": "http://amazonaws.com.evil.example"}, "http://amazonaws.com.evil.example", "us-east-1"),
        ({"endpoint": ""}, None, "us-east-1"),
        # S3's own endpoints are none of DynamoDB's
        ({"endpoint": "s3.amazonaws.com"}, None, "us-east-1"),
        ({"endpoint": "https://s3.eu-west-1.amazonaws.com"}, None, "eu-west-1"),
        ({"endpoint": "s3.dualstack.eu-west-1.amazonaws.com"}, None, "eu-west-1"),
        ({"endpoint": "s3-fips.us-gov-west-1.amazonaws.com"}, None, "us-gov-west-1"),
        ({"endpoint": "S3.CN-NORTH-1.amazonaws.com.cn"}, None, "cn-north-1"),
        ({"endpoint": "bucket.vpce-1a-2b.s3.us-east-2.vpce.amazonaws.com"}, None, "us-east-2"),
        ({"endpoint": "s3.eu-west-1.amazonaws.com", "endpoint.region": "eu-west-3"}, None, "eu-west-3"),
    ],
)
def test_pyspark_takes_the_endpoint_of_s3a_where_it_can_serve_dynamodb(
    settings: dict[str, str], endpoint: str | None, region: str
) -> None:
    conf = {f"spark.hadoop.fs.s3a.{name}": value for name, value in settings.items()}
    config = DynamoDBConfig.for_pyspark(conf)
    assert (config.endpoint_url, config.region_name) == (endpoint, region)
    config = DynamoDBConfig.for_pyspark(conf, endpoint_url="http://localhost:8000", region_name="eu-west-2")
    assert (config.endpoint_url, config.region_name) == ("http://localhost:8000", "eu-west-2")
    assert DynamoDBConfig.for_pyspark(conf, endpoint_url=None).endpoint_url is None


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [("ftp://localhost", "must begin with http"), (f"http://me:{HIDDEN}@localhost", "a user or a password")],
)
def test_an_endpoint_of_s3a_that_is_none_is_named(endpoint: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        DynamoDBConfig.for_pyspark({"spark.hadoop.fs.s3a.endpoint": endpoint})
    assert HIDDEN not in str(caught.value)


def test_with_timezone() -> None:
    config = DynamoDBConfig.with_timezone("Europe/London", user_timezone="America/New_York", table_prefix="myapp")
    assert (config.default_timezone, config.user_timezone) == ("Europe/London", "America/New_York")
    assert config.table_prefix == "myapp"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"environment": "production"}, "Environment must be one of dev, staging, prod, not 'production'"),
        ({"region_name": ""}, "AWS region name is required"),
        ({"region_name": " "}, "AWS region name is required"),
        ({"region_name": None}, "AWS region name is required"),
        ({"default_timezone": "Mars/Olympus"}, "Invalid timezone 'Mars/Olympus'"),
        ({"default_timezone": "../etc/passwd"}, "Invalid timezone"),
        ({"user_timezone": "Europe"}, "Invalid timezone 'Europe'"),
        ({"user_timezone": ""}, "Invalid timezone ''"),
        ({"endpoint_url": "localhost:8000"}, "Endpoint URL 'localhost:8000' must begin with http:// or https://"),
        ({"timeout_seconds": 0}, "timeout_seconds can't be 0: input should be greater than 0"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds can't be nan"),
        ({"retries": -1}, "retries can't be -1"),
        ({"max_pool_connections": "many"}, "max_pool_connections can't be 'many'"),
        ({"aws_access_key_id": ""}, "aws_access_key_id (variable AWS_ACCESS_KEY_ID)"),
        ({"environmnet": "dev"}, "DynamoDBConfig has no field 'environmnet': did you mean 'environment'?"),
        ({"zzz": 1}, "DynamoDBConfig has no field 'zzz': the fields are aws_access_key_id,"),
        ({"environment": "x", "region_name": ""}, "AWS region name is required: set AWS_REGION or region_name"),
    ],
)
def test_a_value_that_cant_be_used_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DynamoDBConfig(**arguments)
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNAMODB_DEBUG_LOGGING", "perhaps")
    monkeypatch.setenv("ENVIRONMENT", "qa")
    with pytest.raises(ConfigurationError, match=r"variable DYNAMODB_DEBUG_LOGGING\) can't be 'perhaps'") as caught:
        DynamoDBConfig()
    assert "Environment must be one of dev, staging, prod, not 'qa'" in str(caught.value)


def test_nothing_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    config = DynamoDBConfig(aws_access_key_id=HIDDEN, aws_secret_access_key=HIDDEN, aws_session_token=HIDDEN)
    with caplog.at_level(logging.INFO):
        logging.info("%s %r %s", config, config, config.aws_secret_access_key)
    shown = [
        caplog.text,
        f"{config} {config!r} {config.aws_secret_access_key} {config.aws_secret_access_key!r}",
        repr(config.model_dump()),
        config.model_dump_json(),
        repr(config.spark_options()),
    ]
    assert all("**********" in text and HIDDEN not in text for text in shown)
    with pytest.raises(TypeError):
        json.dumps(config.model_dump())


def test_no_error_shows_a_secret() -> None:
    with pytest.raises(ConfigurationError) as refused:
        DynamoDBConfig(aws_secret_access_key=[HIDDEN], environment="x")
    config = DynamoDBConfig(aws_access_key_id="some", aws_secret_access_key="other")
    with pytest.raises(ConfigurationError, match="can't be changed") as frozen:
        config.aws_secret_access_key = HIDDEN  # type: ignore[assignment]
    for error in (refused.value, frozen.value):
        assert HIDDEN not in f"{error} {error!r} {error.__cause__}"
    assert config.aws_secret_access_key == "other"


def test_secrets_compare_as_text() -> None:
    config = DynamoDBConfig.for_local_development()
    assert config.aws_access_key_id == "local"
    assert "local" == config.aws_access_key_id  # noqa: SIM300 - the other side's comparison
    assert config.aws_access_key_id != "remote"
    assert config.aws_access_key_id == Secret("local") == pydantic.SecretStr("local")
    assert Secret("local") not in (Secret("remote"), None, 5)
    assert {Secret("local"), "local"} == {"local"}
    assert config.aws_access_key_id.get_secret_value() == "local"


def test_a_configuration_survives_pickling() -> None:
    config = DynamoDBConfig.for_local_development(table_prefix="myapp")
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize(
    ("prefix", "environment", "name"),
    [
        ("myapp", "dev", "myapp_dev_users"),
        ("", "dev", "dev_users"),
        ("myapp", "staging", "myapp_staging_users"),
        ("myapp", "prod", "myapp_users"),
        ("", "prod", "users"),
    ],
)
def test_physical_names(prefix: str, environment: str, name: str) -> None:
    assert physical_table_name("users", prefix, environment) == name
    assert DynamoDBConfig(table_prefix=prefix, environment=environment).get_table_name("users") == name


@pytest.mark.parametrize(
    ("table", "prefix", "environment", "message"),
    [
        ("", "myapp", "dev", "A table name is required"),
        ("users", "", "Prod", "Environment must be one of dev, staging, prod, not 'Prod'"),
        ("my users", "myapp", "dev", "Table name 'myapp_dev_my users' .prefix 'myapp', environment 'dev'"),
        ("u", "", "prod", "use 3 to 255 letters"),
        ("u" * 250, "prefix", "dev", "use 3 to 255 letters"),
    ],
)
def test_names_that_dynamodb_does_not_allow(table: str, prefix: str, environment: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        physical_table_name(table, prefix, environment)


def test_spark_options_hold_what_is_set_as_plain_text() -> None:
    assert DynamoDBConfig().spark_options() == {"environment": "dev"}
    assert DynamoDBConfig(region_name="us-east-1").spark_options() == {"region": "us-east-1", "environment": "dev"}
    config = DynamoDBConfig.for_local_development(table_prefix="myapp")
    with pytest.raises(AttributeError):
        config.aws_access_key_id.startswith("local")
    options = DynamoDBConfig(
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        aws_session_token="token",
        endpoint_url="http://localhost:8000",
        table_prefix="myapp",
    ).spark_options()
    assert options == {
        "endpointUrl": "http://localhost:8000",
        "accessKeyId": "key",
        "secretAccessKey": "secret",
        "sessionToken": "token",
        "environment": "dev",
        "tablePrefix": "myapp",
    }
    assert {type(value) for value in options.values()} == {str}


def test_a_connection_gets_credentials_as_plain_text() -> None:
    config = DynamoDBConfig(aws_access_key_id="key", aws_secret_access_key="secret", aws_session_token="token")
    connection = Connection.from_config(config)
    credentials = (connection.access_key_id, connection.secret_access_key, connection.session_token)
    assert credentials == ("key", "secret", "token")
    assert {type(value) for value in credentials} == {str}
