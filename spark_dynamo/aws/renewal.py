"""Credentials that AWS says have expired, while whoever gave them believes that they are fresh.

A clock may be wrong, a session may be revoked, and nobody tells a running process that a credentials file was written anew. So
the provider is asked once more, with nothing of what it has kept, before the request fails.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from spark_dynamo.aws.internals import credentials_of, exchange_credentials, without

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})
OTHERWISE = "expired credentials are not asked for once more"
_TRUSTED = 5.0  # seconds for which an answer of the provider holds, for all threads that wait for it


class Renewal:
    """The credentials of one client's signer, for botocore's event `needs-retry`; `find` asks their provider."""

    def __init__(self, signer: Any, find: Callable[[], Any]) -> None:
        self._signer = signer
        self._find = find
        self._lock = threading.Lock()
        self._asked_at = -math.inf
        self._has_others = False

    def repeat(self, attempts: int, response: tuple[Any, Mapping[str, Any]] | None = None, **_: Any) -> float | None:
        """The seconds until the request is sent again, with other credentials; None where these can't be what is wrong."""
        return 0.0 if attempts == 1 and response is not None and self.renewed(response[1]) else None

    def renewed(self, parsed: Mapping[str, Any]) -> bool:
        """Whether an answer says that the credentials have expired, and there are others now."""
        if parsed.get("Error", {}).get("Code") not in _EXPIRED:
            return False
        with self._lock:
            if time.monotonic() - self._asked_at > _TRUSTED:
                self._has_others = self._ask()
                self._asked_at = time.monotonic()
            return self._has_others

    def _ask(self) -> bool:
        with without(OTHERWISE), suppress(BotoCoreError, ClientError):  # the request's own error says what is wrong
            before = credentials_of(self._signer)
            found = self._find()
            if found is not None and found.get_frozen_credentials() != before:
                exchange_credentials(self._signer, found)
                return True
        return False
