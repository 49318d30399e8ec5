"""Connections to servers on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CODE = """
from spark_dynamo.aws.client import Connection, dynamodb_client, raw_client
connection = Connection(endpoint_url="http://127.0.0.1:1")
for make in (dynamodb_client, raw_client):
    client = make(connection)
    assert client.meta.region_name == "us-east-1"
    assert client._request_signer._credentials.access_key == "local"
"""


def test_a_local_server_needs_no_keys_where_no_setting_forbids_to_ask_for_a_machines_role(
    python: Callable[..., Any],
) -> None:
    done = python(CODE, AWS_EC2_METADATA_DISABLED="false")
    assert done.returncode == 0, done.stderr
