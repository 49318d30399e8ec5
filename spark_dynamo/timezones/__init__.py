"""Times and zones: instants are kept in UTC, and a zone is for reading people's clocks and for showing them.

A time without a zone is taken in the zone that the call states, else in the default one. Where clocks change, such a time
may stand for two instants (clocks go back: an hour comes twice) or for none (clocks go forward: an hour is skipped). Then
the parameter `transition` decides:

* "fold", the default, follows PEP 495: of an hour that comes twice, the time's `fold` 0 is the first and 1 the second; a
  skipped time is read by the clock before the change with fold 0 (02:30 becomes 03:30), by the one after with fold 1.
* "raise" raises LocalTimeError, which names both instants.

Where a call takes a `timezone`, it may be named `tz` as well, and `user_tz` where it is the one to show a time in.

The default zone of the process comes from DYNAMODB_TIMEZONE, and the zone in which times are shown from
DYNAMODB_USER_TIMEZONE. `set_global_timezone` and `configure_timezone_from_config` replace both in one step; a zone given to
a call is for that call only.
"""

from __future__ import annotations

from spark_dynamo.timezones.instants import Transition, Zone, read_iso
from spark_dynamo.timezones.manager import TimezoneManager, validate_timezone_string
from spark_dynamo.timezones.process import (
    configure_timezone_from_config,
    convert_utc_to_user_tz,
    ensure_timezone_aware,
    get_timezone_manager,
    now_in_tz,
    set_global_timezone,
    to_user_timezone,
    to_utc,
    utcnow,
)

__all__ = [
    "TimezoneManager",
    "Transition",
    "Zone",
    "configure_timezone_from_config",
    "convert_utc_to_user_tz",
    "ensure_timezone_aware",
    "get_timezone_manager",
    "now_in_tz",
    "read_iso",
    "set_global_timezone",
    "to_user_timezone",
    "to_utc",
    "utcnow",
    "validate_timezone_string",
]
