"""The session's settings under which Spark reads a predicate in another way, and what then becomes of it.

A read is planned in a process that has no session, as Spark reads it by default. Its tasks know the settings: where one of
them would give the text another meaning, they refuse it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from spark_dynamo.predicates.refusals import refused
from spark_dynamo.predicates.tree import Moment, Node, Size, parts

_ANSI_BY_DEFAULT = "SPARK_ANSI_SQL_MODE"  # an environment variable of Spark's


class Setting(Enum):
    """A setting, and the value by which predicates are planned."""

    ANSI = ("spark.sql.ansi.enabled", "true")
    QUOTES = ("spark.sql.ansi.doubleQuotedIdentifiers", "false")
    ESCAPES = ("spark.sql.parser.escapedStringLiterals", "false")
    JOINED = ("spark.sql.legacy.consecutiveStringLiterals.enabled", "false")
    CASES = ("spark.sql.caseSensitive", "false")
    EXPONENTS = ("spark.sql.legacy.exponentLiteralAsDecimal.enabled", "false")
    DATES = ("spark.sql.legacy.typeCoercion.datetimeToString.enabled", "false")


_SIZE_OF_NULL = "spark.sql.legacy.sizeOfNull"
TOLD = (*(setting.value[0] for setting in Setting), _SIZE_OF_NULL)


@dataclass(frozen=True, slots=True)
class Need:
    """A setting that must have its planned value, since the predicate has something that another one changes."""

    setting: Setting
    what: str
    instead: str


@dataclass(frozen=True, slots=True)
class Predicate:
    """A predicate as planned, and what it needs of the session's settings to mean just that."""

    node: Node
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """A session's settings.

    `told` are those that differ from Spark's own defaults; None where nobody tells, as in a job of `df.rdd`. `zone` is the
    session time zone.
    """

    zone: str = "UTC"
    told: Mapping[str, str] | None = field(default_factory=dict)

    @property
    def size_of_null(self) -> int | None:
        """What `size` is of a null collection."""
        legacy = (self.told or {}).get(_SIZE_OF_NULL, "true").lower() == "true"
        return -1 if legacy and not self._ansi else None

    @property
    def _ansi(self) -> bool:
        return self._value(Setting.ANSI) == "true"

    def _value(self, setting: Setting) -> str:
        name, planned = setting.value
        if setting is Setting.ANSI and "false" in os.environ.get(_ANSI_BY_DEFAULT, ""):
            planned = "false"
        return (self.told or {}).get(name, planned).lower()

    def check(self, predicate: Predicate) -> None:
        """Raise OptionError where the predicate means something else in this session than was planned."""
        if self.told is None:
            self._check_unknown(predicate)
        for need in predicate.needs:
            if self._changes(need.setting):
                name, planned = need.setting.value
                other = "false" if planned == "true" else "true"
                raise refused(f"{need.what}, which means something else under {name}={other}; {need.instead}")

    def _changes(self, setting: Setting) -> bool:
        applies = {Setting.QUOTES: self._ansi, Setting.DATES: not self._ansi}.get(setting, True)
        return applies and self._value(setting) != setting.value[1]

    def _check_unknown(self, predicate: Predicate) -> None:
        outside = "and this job, outside of Spark SQL as that of df.rdd, does not tell"
        for need in predicate.needs:
            raise refused(
                f"{need.what}, whose meaning depends on {need.setting.value[0]}, {outside} it; {need.instead}"
            )
        for part in parts(predicate.node):
            if isinstance(part, Size):
                raise refused(
                    f"asks for the size of {part.path.column}, which for null depends on {Setting.ANSI.value[0]}, {outside} "
                    "it; use .where(...) after load"
                )
            if isinstance(part, Moment) and part.local:
                raise refused(
                    f"has a timestamp without a zone, which depends on spark.sql.session.timeZone, {outside} it; give the "
                    "timestamp a zone, as in '2026-11-01T10:30:00Z'"
                )
