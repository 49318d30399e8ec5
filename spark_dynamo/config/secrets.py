"""Texts that nothing shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import SecretStr

from spark_dynamo.errors.masking import is_secret_name, masked


class Secret(SecretStr):
    """A text that nothing shows, yet that compares with plain text.

    `repr`, `str`, f-strings, logs and JSON dumps show `**********`. It is no `str`, so that boto3, `json.dumps` and
    whatever else needs the value itself refuse it loudly: hand over `get_secret_value()`.

    >>> key = Secret("local")
    >>> key == "local", f"{key}", key.get_secret_value()
    (True, '**********', 'local')
    """

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SecretStr):
            return self.get_secret_value() == other.get_secret_value()
        return self.get_secret_value() == other

    def __hash__(self) -> int:
        return hash(self.get_secret_value())


class Options(dict[str, Any]):
    """Options in plain text, whose repr hides those named `hidden`, in upper or lower case, and what else looks secret."""

    def __init__(self, options: Iterable[tuple[str, Any]], hidden: frozenset[str]) -> None:
        super().__init__(options)
        self._hidden = frozenset(name.lower() for name in hidden)

    def __repr__(self) -> str:
        hidden = {name for name in self if name.lower() in self._hidden or is_secret_name(name)}
        shown = masked(dict(self), (str(self[name]) for name in hidden))
        return repr({name: Secret(str(self[name])) if name in hidden else value for name, value in shown.items()})

    def __reduce__(self) -> tuple[type[Options], tuple[list[tuple[str, Any]], frozenset[str]]]:
        return type(self), (list(self.items()), self._hidden)
