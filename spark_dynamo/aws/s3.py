"""Single objects in S3, as whole files: put, remove, and whether the bucket is there.

Credentials, role and region are the connection's. The endpoint is not: a DynamoDB server has no buckets, so AWS's own chain
says where S3 is (`AWS_ENDPOINT_URL_S3`, a profile's `services` section, or AWS itself).
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from spark_dynamo.aws.client import Connection, _session
from spark_dynamo.aws.failures import error_code, explain, is_transient, never_reached
from spark_dynamo.errors import AccessDeniedError, ConnectionError, DynamoDBWrapperError, RequestFailedError

_MISSING = frozenset({"404", "NoSuchBucket"})
_DENIED = frozenset({"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})


def check_bucket(connection: Connection, bucket: str) -> None:
    """Raise RequestFailedError where there is no such bucket, ConnectionError where S3 can't be reached.

    Whether objects may be put there is not known before one is: a role may well do so without the right to ask.
    """
    try:
        s3_client(connection).head_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError) as error:
        if not (isinstance(error, ClientError) and error_code(error) == "403"):
            raise _explained(error, connection, bucket) from error


def put_object(connection: Connection, bucket: str, key: str, file: Path) -> None:
    """Put a file; the object is there as a whole or not at all. Raises what `check_bucket` does, and AccessDeniedError."""
    try:
        with file.open("rb") as body:
            s3_client(connection).put_object(Bucket=bucket, Key=key, Body=body)
    except (BotoCoreError, ClientError) as error:
        raise _explained(error, connection, bucket) from error


def remove_object(connection: Connection, bucket: str, key: str) -> None:
    """Remove an object, if there is one; errors as `put_object` has them."""
    try:
        s3_client(connection).delete_object(Bucket=bucket, Key=key)
    except (BotoCoreError, ClientError) as error:
        raise _explained(error, connection, bucket) from error


def s3_client(connection: Connection) -> Any:
    """boto3's S3 client with that connection's credentials, one per process; threads may share it."""
    return _client(connection, os.getpid())


@lru_cache(maxsize=8)
def _client(connection: Connection, process: int) -> Any:  # process: a forked child needs its own sockets
    try:
        session = boto3.session.Session(botocore_session=_session(connection))
        return session.client(
            "s3",
            config=Config(
                connect_timeout=connection.connect_timeout,
                read_timeout=connection.read_timeout,
                retries={"mode": "standard", "total_max_attempts": connection.max_attempts},
            ),
        )
    except BotoCoreError as error:
        raise explain(error, None, connection.region) from error


def _explained(error: BotoCoreError | ClientError, connection: Connection, bucket: str) -> DynamoDBWrapperError:
    if isinstance(error, ClientError):
        code = error_code(error)
        said = str(error.response.get("Error", {}).get("Message", "")).removesuffix(".")
        if code in _MISSING:
            return RequestFailedError(f"S3 has no bucket '{bucket}'; create it, or check its name", error, code=code)
        if code in _DENIED:
            return AccessDeniedError(
                f"AWS denies access to bucket '{bucket}': {said}. Check the credentials, and that they allow s3:PutObject",
                error,
                code=code,
            )
        return RequestFailedError(f"S3 refused the request on bucket '{bucket}': {said}", error, code=code)
    if never_reached(error) or is_transient(error):
        return ConnectionError(
            f"S3 can't be reached: {error}. Check the region, the network and, for another server, AWS_ENDPOINT_URL_S3",
            error,
        )
    return explain(error, None, connection.region)
