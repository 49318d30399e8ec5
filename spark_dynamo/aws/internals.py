"""All that this package knows of the private parts of botocore and urllib3, which change without a word to anybody.

Each function raises BotocoreChangedError where they are not as expected; who calls one, does so within `without`, and has another
way that is botocore's own.
What botocore itself raises passes through: credentials that can't be had are no sign of a change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import botocore
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

logger = logging.getLogger(__name__)

_told: set[str] = set()  # once in a process


class BotocoreChangedError(Exception):
    """A private part of botocore that is missing, or another than this package knows."""


@contextmanager
def _private() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, HTTPClientError, OSError, MemoryError):
        raise
    except Exception as error:  # whatever a part that has changed does
        raise BotocoreChangedError(f"{type(error).__name__}: {error}") from error


@contextmanager
def without(instead: str) -> Iterator[None]:
    """Go on where what is done within finds other parts than expected; the log says once what happens instead."""
    try:
        yield
    except BotocoreChangedError as error:
        if instead not in _told:
            _told.add(instead)
            logger.warning("botocore %s is not as this package knows it (%s): %s", botocore.__version__, error, instead)


def signer_of(client: Any) -> Any:
    """What signs the client's requests; its credentials can be exchanged."""
    with _private():
        return client._request_signer


def credentials_of(signer: Any) -> Any:
    """The credentials that a request is signed with now, frozen, None where it is not signed; lets them renew themselves."""
    with _private():
        own = signer._credentials
        return own and own.get_frozen_credentials()


def exchange_credentials(signer: Any, credentials: Any) -> None:
    """Let all further requests be signed with those."""
    with _private():
        if not hasattr(signer, "_credentials"):
            raise AttributeError("_credentials")
        signer._credentials = credentials


def watch_answers(client: Any, watched: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]) -> None:
    """Put a function around the one that sends a prepared request and returns its answer, below botocore's repetitions."""
    with _private():
        client._endpoint._send = watched(client._endpoint._send)


def use_pools(client: Any, **pools: type) -> None:
    """Let a client that has sent nothing yet connect by these classes of urllib3's pools, by the URL's scheme."""
    with _private():
        client._endpoint.http_session._pool_classes_by_scheme.update(pools)


def pool_of(client: Any, url: str) -> Any:
    """The pool of urllib3 with the connections to that address; None where requests to it name more than a path, for a proxy."""
    with _private():
        session = client._endpoint.http_session
        proxy = session._proxy_config.proxy_url_for(url)
        if session._get_request_target(url, proxy) != "/":
            return None
        return session._get_connection_manager(url, proxy).connection_from_url(url)


def take_open(pool: Any) -> Any:
    """A connection of the pool on which a request can be sent at once; None where there is none."""
    with _private():
        if pool.pool is None:  # it is closed
            return None
        connection = pool._get_conn()
        try:
            is_open = connection.sock is not None
        except AttributeError:
            connection.close()
            raise
    if is_open:
        return connection
    give_back(pool, connection)
    return None


def give_back(pool: Any, connection: Any) -> None:
    """Put a connection back into its pool, or close it."""
    with _private():
        try:
            pool._put_conn(connection)
        except Exception:
            connection.close()
            raise


def handlers_of(client: Any, event: str) -> list[Any]:
    """The functions that are called at that event, those of its more general names included."""
    with _private():
        found: list[Any] = client.meta.events._emitter._handlers.prefix_search(event)
        return list(found)
