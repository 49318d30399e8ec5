"""The last look at a request before it is sent: what credentials put into its headers."""

from __future__ import annotations

import re
from typing import Any

from spark_dynamo.errors import ConfigurationError

_UNSENDABLE = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")
_UNSENDABLE_SENTENCE = (
    "AWS credentials have a line break or another character that no HTTP header can hold, as a file's last line break: "
    "the access key id, the session token or the region. Set them anew without it, in the options accessKeyId and sessionToken, "
    "the AWS_* environment variables or the profile"
)


def watch(session: Any) -> None:
    """Let all clients of a botocore session look at their requests so."""
    session.register("before-send", _look)


def unsendable() -> ConfigurationError:
    """The error where a header can't be sent; it quotes nothing, since what stands in there may be a secret."""
    return ConfigurationError(_UNSENDABLE_SENTENCE)


def _look(request: Any, **_: Any) -> None:
    for value in request.headers.values():
        if _UNSENDABLE.search(value.decode("latin-1") if isinstance(value, bytes) else str(value)):
            raise unsendable()
