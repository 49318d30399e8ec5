"""The last look at a request before it is sent: what credentials put into its headers."""

from __future__ import annotations

import logging
import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from spark_dynamo.errors import ConfigurationError

logger = logging.getLogger(__name__)

_REAL_KEY = re.compile(r"Credential=(?:AKIA|ASIA)[A-Z0-9]{12,}/")  # what AWS's key ids look like; `local` is none
_warned: set[str] = set()  # hosts, once in a process
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
    _warn_where_readable(request)


def _warn_where_readable(request: Any) -> None:
    """Warn once of each host that gets requests of real keys where all between can read and change them."""
    place = urlsplit(request.url)
    host = place.hostname or ""
    if place.scheme != "http" or host in _warned or _is_loopback(host):
        return
    authorization = request.headers.get("Authorization", "")
    text = authorization.decode("latin-1") if isinstance(authorization, bytes) else authorization
    if _REAL_KEY.search(text):
        _warned.add(host)
        logger.warning(
            "Requests with AWS keys go to %s by plain http: whoever is on the way reads and changes items, and sees session "
            "tokens. Use https there, or keys that are none of AWS's",
            host,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
