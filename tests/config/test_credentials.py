"""Who signs the requests: keys, a profile, a role, or AWS's own chain; looked at where requests arrive."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from typer.testing import CliRunner

from spark_dynamo.aws.client import Connection, dynamodb_client
from spark_dynamo.cli import app
from spark_dynamo.commands.options import Place, config_from
from spark_dynamo.config import ENVIRONMENT_VARIABLES, ConfigurationOverrideWarning, DynamoDBConfig
from spark_dynamo.errors import ConfigurationError
from spark_dynamo.source.options.source_options import SourceOptions

ROLE = "arn:aws:iam::123456789012:role/reader"
HIDDEN = "the-hidden-text"
KEYS = {"aws_access_key_id": "of-the-argument", "aws_secret_access_key": HIDDEN}
STS = b"""<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>of-the-role</AccessKeyId>
<SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


@dataclass
class Aws:
    """A server that takes requests for DynamoDB and STS, and notes who signed them."""

    endpoint: str
    signers: list[str] = field(default_factory=list)  # of requests to DynamoDB
    roles: list[dict[str, str]] = field(default_factory=list)  # parameters of requests to STS, and who signed them

    def signer(self, config: DynamoDBConfig) -> str:
        """Whose key id signs a request that is made with that configuration."""
        dynamodb_client(Connection.from_config(config)).list_tables()
        return self.signers[-1]


@contextmanager
def serving() -> Iterator[Aws]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            found = re.search(r"Credential=([^/]+)/", self.headers["Authorization"])
            signer = found[1] if found else "nobody"
            if "Action=AssumeRole" in body:
                aws.roles.append({name: value for name, (value,) in parse_qs(body).items()} | {"signer": signer})
                self.answer(STS)
            else:
                aws.signers.append(signer)
                self.answer(b'{"TableNames": []}')

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    aws = Aws(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield aws
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Aws]:
    """The server, and a home with the profiles `default`, `other` and `chained`, which assumes a role of its own."""
    for variable in (*ENVIRONMENT_VARIABLES.values(), "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    profiles = "".join(
        f"[{name}]\naws_access_key_id = of-{name}\naws_secret_access_key = s\n" for name in ("default", "profile other")
    )
    profiles += f"[profile chained]\nsource_profile = other\nrole_arn = {ROLE}\n"
    (tmp_path / "aws").write_text(profiles.replace("of-profile ", "of-"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    with serving() as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.endpoint)
        monkeypatch.setenv("DYNAMODB_ENDPOINT_URL", aws.endpoint)
        yield aws


def set_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.mark.server
def test_without_anything_awss_own_chain_signs(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    assert aws.signer(DynamoDBConfig(retries=1)) == "of-default"
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert aws.signer(DynamoDBConfig(retries=2)) == "of-other"


@pytest.mark.server
def test_keys_and_profiles_sign_where_they_are_given(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    assert aws.signer(DynamoDBConfig(profile_name="other")) == "of-other"
    assert aws.signer(DynamoDBConfig(**KEYS)) == "of-the-argument"
    monkeypatch.setenv("AWS_PROFILE", "default")
    assert aws.signer(DynamoDBConfig(profile_name="other", retries=7)) == "of-other"
    assert aws.signer(DynamoDBConfig(**KEYS, retries=7)) == "of-the-argument"
    assert aws.signer(DynamoDBConfig.for_local_development()) == "local"
    assert aws.signer(DynamoDBConfig.for_local_development(profile_name="other")) == "of-other"


@pytest.mark.server
@pytest.mark.parametrize("argument", [{"profile_name": "other"}, KEYS])
def test_keys_of_the_environment_win_over_a_profile_and_over_keys(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, argument: dict[str, str]
) -> None:
    set_keys(monkeypatch)
    with pytest.warns(ConfigurationOverrideWarning) as caught:
        config = DynamoDBConfig(**argument)
    assert config.profile_name is None
    assert aws.signer(config) == "of-the-environment"
    assert {warning.filename for warning in caught} == {__file__}
    said = " ".join(str(warning.message) for warning in caught)
    assert all(name in said for name in (*argument, "AWS_ACCESS_KEY_ID"))
    assert HIDDEN not in said


@pytest.mark.server
def test_a_role_is_assumed_with_what_signs_without_it(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    config = DynamoDBConfig(role_arn=ROLE, external_id=HIDDEN, role_session_name="nightly", profile_name="other")
    assert aws.signer(config) == "of-the-role"
    (request,) = aws.roles
    assert request["RoleArn"] == ROLE
    assert request["ExternalId"] == HIDDEN
    assert request["RoleSessionName"] == "nightly"
    assert request["signer"] == "of-other"
    for config, signer in (
        (DynamoDBConfig(role_arn=ROLE), "of-default"),
        (DynamoDBConfig(role_arn=ROLE, **KEYS), "of-the-argument"),
    ):
        assert aws.signer(config) == "of-the-role"
        assert aws.roles[-1]["signer"] == signer
        assert aws.roles[-1]["RoleSessionName"] == "spark-dynamo"
        assert "ExternalId" not in aws.roles[-1]
    set_keys(monkeypatch)
    assert aws.signer(DynamoDBConfig(role_arn=ROLE, retries=9)) == "of-the-role"
    assert aws.roles[-1]["signer"] == "of-the-environment"


@pytest.mark.server
def test_a_profile_may_assume_a_role_of_its_own(aws: Aws) -> None:
    assert aws.signer(DynamoDBConfig(profile_name="chained")) == "of-the-role"
    assert [request["signer"] for request in aws.roles] == ["of-other"]


@pytest.mark.server
def test_the_command_line_assumes_a_role(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    told = CliRunner().invoke(app, ["tables", "list", "--role-arn", ROLE, "--profile", "other", "-o", "json"])
    assert (told.exit_code, told.stdout) == (0, "[]\n")
    assert aws.signers == ["of-the-role"]
    assert [(request["RoleArn"], request["signer"]) for request in aws.roles] == [(ROLE, "of-other")]
    config = config_from(role_arn=ROLE, profile="other")
    assert (config.role_arn, config.profile_name) == (ROLE, "other")
    assert Place(role_arn=ROLE).options("t").role_arn == ROLE


@pytest.mark.server
def test_an_unknown_profile_is_named(aws: Aws) -> None:
    with pytest.raises(ConfigurationError, match="profile .*nobodys.* could not be found.*aws/config"):
        dynamodb_client(Connection.from_config(DynamoDBConfig(profile_name="nobodys")))


@pytest.mark.server
def test_sparks_options_lead_to_the_same_credentials(aws: Aws) -> None:
    config = DynamoDBConfig(profile_name="other", role_arn=ROLE, external_id=HIDDEN)
    options = config.spark_options()
    assert options == {
        "endpointUrl": aws.endpoint,
        "environment": "dev",
        "profile": "other",
        "roleArn": ROLE,
        "externalId": HIDDEN,
        "roleSessionName": "spark-dynamo",
    }
    assert HIDDEN not in repr(options)
    parsed = SourceOptions({"path": "t", **options})
    assert (parsed.profile, parsed.role_arn, parsed.external_id) == ("other", ROLE, HIDDEN)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"aws_access_key_id": HIDDEN}, "aws_access_key_id is given without aws_secret_access_key"),
        ({"aws_secret_access_key": HIDDEN}, "aws_secret_access_key is given without aws_access_key_id"),
        ({"aws_session_token": HIDDEN}, "aws_session_token is given without aws_access_key_id"),
        ({**KEYS, "profile_name": "p"}, "profile_name='p' and aws_access_key_id contradict each other"),
        ({"external_id": HIDDEN}, "external_id is given without role_arn"),
        ({"external_id": "x", "role_arn": ROLE}, "external_id: value should have at least 2 items"),
        ({"role_arn": "reader"}, "Role 'reader' is no ARN of a role: give it as in 'arn:aws:iam::123456789012:role/reader'"),
        ({"role_arn": "arn:aws:iam::123456789012:user/x"}, "is no ARN of a role"),
        ({"role_arn": ROLE, "role_session_name": "a b"}, "Role session name 'a b' is none that AWS allows"),
        ({"profile_name": ""}, "profile_name can't be ''"),
    ],
)  # fmt: skip
def test_credentials_that_contradict_each_other_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        DynamoDBConfig(**arguments)
    assert message in str(refused.value)
    assert HIDDEN not in f"{refused.value!r} {refused.value.__cause__} {refused.value.__context__}"


@pytest.mark.parametrize("role", ["arn:aws-cn:iam::123456789012:role/a", "arn:aws:iam::123456789012:role/team/a+b@c"])
def test_roles_of_other_partitions_and_paths_are_taken(role: str) -> None:
    assert DynamoDBConfig(role_arn=role).role_arn == role


def test_half_a_pair_in_the_environment_is_named_with_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", HIDDEN)
    with pytest.raises(ConfigurationError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") as refused:
        DynamoDBConfig.for_local_development()
    assert HIDDEN not in str(refused.value)
    with pytest.raises(ConfigurationError, match="is given without"), pytest.warns(ConfigurationOverrideWarning):
        DynamoDBConfig(**KEYS)


def test_nothing_shows_an_external_id() -> None:
    config = DynamoDBConfig(role_arn=ROLE, external_id=HIDDEN)
    shown = (config, config.model_dump(), config.model_dump_json(), Connection.from_config(config))
    assert HIDDEN not in f"{shown!r}"
    assert config.external_id == HIDDEN
