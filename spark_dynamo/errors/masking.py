"""Configurations without their secrets: by the names of settings, by the form of texts, and by the secrets' own values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from spark_dynamo.errors.configuration import ConfigurationError

STARS = "**********"
_SHORTEST_KNOWN = 8  # characters; a shorter secret, as `local`, stands in too many other texts
_DEEPEST = 32
_BETWEEN = r"[\W_]?"  # access.key, accessKey, access_key
_SECRET_WORDS = "|".join(
    [
        *("secret", "passw(?:or)?d", "passphrase", "pwd", "token(?!iz)", "authorization", "cookie", "signature"),
        *(rf"credential(?!s?{_BETWEEN}provider)", rf"external{_BETWEEN}id", rf"connection{_BETWEEN}string"),
        rf"(?:access|account|api|auth|encryption|private|shared){_BETWEEN}key",
    ]
)
_SECRET_NAME = re.compile(_SECRET_WORDS, re.IGNORECASE)
_COUNT_NAME = re.compile("tokens", re.IGNORECASE)
_IN_URL = re.compile(r"(://[^/?#\s:@]*:)[^/?#\s]*@")
_ASSIGNED = re.compile(r"(?<![\w.-])([\w.-]++)[\"']?\s*+[=:]\s*+")
_VALUE = re.compile(r"\"[^\"]*\"|'[^']*'|[^\s\"'&;,}\])]+")
_OF_SECRET = re.compile(r"([\w.-]+=).*", re.DOTALL)
_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")


def is_secret_name(name: str) -> bool:
    """Whether a setting of that name holds a secret, as far as names tell.

    >>> is_secret_name("spark.hadoop.fs.s3a.secret.key"), is_secret_name("primary_key")
    (True, False)
    """
    return _SECRET_NAME.search(name) is not None


def masked(value: Any, known: Iterable[str | None] = ()) -> Any:
    """A copy of a configuration with stars in place of its secrets; `known` are values that are some, wherever they stand.

    Secret is what stands under a name that says so, in a text as a URL's password or as `password=...`, AWS's key ids, and
    each of these values again in whatever other text.

    >>> masked({"db.password": "hidden text", "url": "jdbc:x://u:p@h", "note": "it is hidden text", "limit": 7})
    {'db.password': '**********', 'url': 'jdbc:x://u:**********@h', 'note': 'it is **********', 'limit': 7}
    """
    return _masked(value, secrets_of(value, known))


def secrets_of(value: Any, known: Iterable[str | None] = ()) -> list[str]:
    """The secrets of a configuration, and those that are known already, by which other texts are masked; the longest first.

    Those of less than 8 characters are left out: they stand in too many other texts.

    >>> secrets_of({"password": "hidden text", "pin.token": "7"}, ["known before", None])
    ['known before', 'hidden text']
    """
    found = {text for text in (*known, *_secrets_in(value)) if text and len(text) >= _SHORTEST_KNOWN}
    return sorted(found, key=len, reverse=True)


def masked_text(text: str) -> str:
    """The text without the secrets that its form tells.

    >>> masked_text("http://me:hidden@localhost:8000")
    'http://me:**********@localhost:8000'
    """
    return _KEY_ID.sub(STARS, _without_assigned(_IN_URL.sub(rf"\1{STARS}@", text)))


def _without_assigned(text: str) -> str:
    """The text without the values of `password=...` and the like."""
    kept, end = [], 0
    for found in _ASSIGNED.finditer(text):
        is_secret = found.end() >= end and is_secret_name(found[1])
        value = _VALUE.match(text, found.end()) if is_secret else None
        if value and not (_COUNT_NAME.search(found[1]) and value[0].isdigit()):
            kept.append(text[end : value.start()] + STARS)
            end = value.end()
    return "".join(kept) + text[end:]


def masked_arguments(arguments: Iterable[str]) -> list[str]:
    """A command's arguments with stars in place of the secrets that `masked` finds, and of what stands behind an option for one.

    >>> masked_arguments(["--day", "2026-11-01", "--password", "hidden", "--token=all is hidden", "--password"])
    ['--day', '2026-11-01', '--password', '**********', '--token=**********', '--password']
    """
    given = [_OF_SECRET.sub(rf"\1{STARS}", argument) if _is_assigned(argument) else argument for argument in arguments]
    known = {
        value: STARS
        for option, value in pairwise(given)
        if option.startswith("-") and "=" not in option and is_secret_name(option) and not value.startswith("-")
    }
    return [known.get(argument, argument) for argument in masked(given, known)]


def _is_assigned(argument: str) -> bool:
    """Whether all behind the equals sign is a secret."""
    found = _OF_SECRET.fullmatch(argument)
    return found is not None and is_secret_name(found[1])


def check_no_login(url: str | None) -> None:
    """Raise ConfigurationError where a server's address has a user or a password in it, without showing either."""
    _, at, host = (url or "").rpartition("@")
    if at:
        raise ConfigurationError(
            f"Endpoint URL '{STARS}@{host}' has a user or a password before its host, which no request to DynamoDB "
            "carries, and every message would: leave them out, and give keys or a profile"
        )


def _masked(value: Any, known: list[str], hidden: bool = False, depth: int = 0) -> Any:
    if isinstance(value, Mapping | list | tuple) and depth == _DEEPEST:
        return STARS
    if isinstance(value, Mapping):
        return {
            name: _masked(inner, known, hidden or _is_hidden(value, name, inner), depth + 1)
            for name, inner in value.items()
        }
    if type(value) in (list, tuple):
        return type(value)(_masked(element, known, hidden, depth + 1) for element in value)
    if hidden:
        return value if value is None or isinstance(value, bool) or value == "" else STARS
    if type(value) is not str:
        return value
    for secret in known:
        value = value.replace(secret, STARS)
    return masked_text(value)


def _is_hidden(owner: Mapping[Any, Any], name: object, value: object) -> bool:
    """Whether that entry is a secret; also one that is written as `{"name": "password", "value": "..."}`."""
    if name == "value":
        name = owner.get("name", owner.get("key", name))
    if not isinstance(name, str) or not is_secret_name(name):
        return False
    return isinstance(value, str | bytes | Mapping | list | tuple) or not _COUNT_NAME.search(name)


def _secrets_in(value: Any, hidden: bool = False, depth: int = 0) -> Iterator[str]:
    if depth == _DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _secrets_in(inner, hidden or _is_hidden(value, name, inner), depth + 1)
    elif isinstance(value, list | tuple):
        for element in value:
            yield from _secrets_in(element, hidden, depth + 1)
    elif hidden and isinstance(value, str):
        yield value
