"""Clocks are read right both ways through every change, instants stay what they are, and calls keep their zones apart."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import ConfigurationError, LocalTimeError
from spark_dynamo.timezones import (
    TimezoneManager,
    configure_timezone_from_config,
    convert_utc_to_user_tz,
    ensure_timezone_aware,
    get_timezone_manager,
    now_in_tz,
    set_global_timezone,
    to_user_timezone,
    to_utc,
    utcnow,
    validate_timezone_string,
)

# northern and southern; a half hour of summer time; no summer time; 45 minutes; a zone that left out a whole day; winter
# time as the exception
ZONES = [
    "America/New_York", "America/Sao_Paulo", "Europe/Paris", "Europe/London", "Europe/Dublin", "Australia/Lord_Howe",
    "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Apia", "Pacific/Chatham", "Africa/Casablanca", "Asia/Tokyo", "UTC",
]  # fmt: skip

# zone, the time without an offset, the offsets in hours of the earlier and the later instant that it could stand for
SKIPPED = [
    ("America/New_York", datetime(2026, 3, 8, 2, 30), -4, -5),
    ("Europe/Paris", datetime(2026, 3, 29, 2, 30), 2, 1),
    ("Europe/London", datetime(2026, 3, 29, 1, 0), 1, 0),
    ("Australia/Lord_Howe", datetime(2026, 10, 4, 2, 15), 11, 10.5),
    ("Pacific/Apia", datetime(2011, 12, 30, 12, 0), 14, -10),
]
REPEATED = [
    ("America/New_York", datetime(2026, 11, 1, 1, 30), -4, -5),
    ("Europe/Paris", datetime(2026, 10, 25, 2, 30), 2, 1),
    ("Europe/London", datetime(2026, 10, 25, 1, 0), 1, 0),
    ("Australia/Lord_Howe", datetime(2026, 4, 5, 1, 45), 11, 10.5),
    ("Europe/Dublin", datetime(2026, 10, 25, 1, 59, 59, 999999), 1, 0),
]
zones = st.sampled_from(ZONES)
times = st.datetimes(datetime(1980, 1, 1), datetime(2037, 12, 31))
instants = times.map(lambda time: time.replace(tzinfo=UTC))
folds = st.sampled_from([0, 1])
# a zone and a time without an offset, every other one of them within three hours of a change
clocks = st.one_of(
    st.tuples(zones, times),
    st.builds(
        lambda change, minutes: (change[0], change[1] + timedelta(minutes=minutes)),
        st.sampled_from([*SKIPPED, *REPEATED]),
        st.integers(-180, 180),
    ),
)


@pytest.fixture(autouse=True)
def own_zones(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("DYNAMODB_TIMEZONE", raising=False)
    monkeypatch.delenv("DYNAMODB_USER_TIMEZONE", raising=False)
    set_global_timezone(None)
    yield
    set_global_timezone(None)


def at(time: datetime, hours: float) -> datetime:
    return time.replace(tzinfo=timezone(timedelta(hours=hours))).astimezone(UTC)


@pytest.mark.parametrize(("zone", "time", "summer", "winter"), REPEATED)
def test_of_an_hour_that_comes_twice_the_fold_says_which(
    zone: str, time: datetime, summer: float, winter: float
) -> None:
    assert to_utc(time, zone) == at(time, summer)
    assert to_utc(time.replace(fold=1), zone) == at(time, winter)
    for fold, hours in ((0, summer), (1, winter)):
        shown = to_user_timezone(at(time, hours), zone)
        assert (shown.replace(tzinfo=None), shown.fold) == (time, fold)
        assert shown.utcoffset() == timedelta(hours=hours)
        assert ensure_timezone_aware(time.replace(fold=fold), zone).isoformat() == shown.isoformat()
        assert to_utc(shown) == at(time, hours)


@pytest.mark.parametrize(("zone", "time", "after", "before"), SKIPPED)
def test_a_skipped_time_is_read_by_the_clock_before_the_change_or_with_fold_by_the_one_after(
    zone: str, time: datetime, after: float, before: float
) -> None:
    assert to_utc(time, zone) == at(time, before)
    assert to_utc(time.replace(fold=1), zone) == at(time, after)
    gap = timedelta(hours=after - before)
    later, earlier = ensure_timezone_aware(time, zone), ensure_timezone_aware(time.replace(fold=1), zone)
    assert later.replace(tzinfo=None) == time + gap, "the clock goes on from where it would have been"
    assert earlier.replace(tzinfo=None) == time - gap
    assert later == at(time, before), "a time that exists compares across zones"
    aware = time.replace(tzinfo=ZoneInfo(zone))
    assert to_utc(aware) == at(time, before), "an aware time that its zone skips is no other"


@pytest.mark.parametrize(("zone", "time", "one", "other"), [*SKIPPED, *REPEATED])
@pytest.mark.parametrize("fold", [0, 1])
def test_a_time_that_stands_for_no_one_instant_can_be_an_error(
    zone: str, time: datetime, one: float, other: float, fold: int
) -> None:
    manager = TimezoneManager(zone)
    for call in (
        lambda: to_utc(time.replace(fold=fold), zone, transition="raise"),
        lambda: ensure_timezone_aware(time.replace(fold=fold), zone, transition="raise"),
        lambda: manager.to_utc(time.replace(fold=fold), transition="raise"),
        lambda: manager.to_timezone(time.replace(fold=fold), "Asia/Tokyo", transition="raise"),
        lambda: manager.to_user_timezone(time.replace(fold=fold), transition="raise"),
        lambda: manager.ensure_timezone(time.replace(fold=fold), transition="raise"),
        lambda: manager.parse_iso(time.isoformat(), transition="raise"),
    ):
        with pytest.raises(LocalTimeError) as caught:
            call()
        error = caught.value
        assert {error.earlier, error.later} == {at(time, one), at(time, other)}
        assert error.earlier < error.later
        assert error.skipped == ((zone, time, one, other) in SKIPPED)
        assert zone in str(error)
        assert ("is skipped" in str(error)) == error.skipped
        assert pickle.loads(pickle.dumps(error)).later == error.later
    aware = time.replace(tzinfo=ZoneInfo(zone), fold=fold)
    assert to_utc(aware, transition="raise") == aware.astimezone(UTC), "its offset says which it is"


@pytest.mark.parametrize("minutes", [-1, 61])
def test_times_beside_a_change_stand_for_one_instant(minutes: int) -> None:
    time = datetime(2026, 10, 25, 2) + timedelta(minutes=minutes)
    assert to_utc(time, "Europe/Paris", transition="raise") == at(time, 2 if minutes < 0 else 1)


@given(clock=clocks, fold=folds, other=zones)
def test_an_instant_is_the_same_whatever_the_callers_zone(clock: tuple[str, datetime], fold: int, other: str) -> None:
    zone, time = clock
    instant = time.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)
    shown = to_user_timezone(instant, zone)
    assert to_utc(shown) == instant
    assert to_utc(to_user_timezone(shown, other)) == instant
    assert to_utc(shown.replace(tzinfo=None), zone) == instant, "the fold goes with the time"
    assert ensure_timezone_aware(shown.replace(tzinfo=None), zone).isoformat() == shown.isoformat()
    assert TimezoneManager(zone).parse_iso(shown.isoformat(), other).isoformat() == (
        to_user_timezone(instant, other).isoformat()
    )
    assert convert_utc_to_user_tz(instant.replace(tzinfo=None), zone).isoformat() == shown.isoformat()


@given(clock=clocks, fold=folds, other=zones)
def test_every_way_reads_a_clock_alike(clock: tuple[str, datetime], fold: int, other: str) -> None:
    zone, time = clock[0], clock[1].replace(fold=fold)
    instant = to_utc(time, zone)
    assert instant.tzinfo is UTC
    manager = TimezoneManager(zone, other)
    ways = [
        manager.to_utc(time),
        manager.to_utc(time, zone),
        TimezoneManager(other).to_utc(time, ZoneInfo(zone)),
        manager.to_utc(manager.to_timezone(time)),
        manager.to_utc(manager.to_user_timezone(time)),
        manager.to_utc(manager.to_timezone(time, other)),
        manager.to_utc(manager.ensure_timezone(time)),
        to_utc(ensure_timezone_aware(time, zone)),
        to_utc(manager.format_iso(time) and manager.parse_iso(manager.format_iso(time))),
    ]
    assert ways == [instant] * len(ways)
    aware = ensure_timezone_aware(time, zone)
    assert ensure_timezone_aware(aware, other) is aware
    if to_utc(time.replace(fold=0), zone) == to_utc(time.replace(fold=1), zone):
        assert to_utc(time, zone, transition="raise") == instant
    else:
        with pytest.raises(LocalTimeError) as caught:
            to_utc(time, zone, transition="raise")
        assert instant in (caught.value.earlier, caught.value.later)
        assert caught.value.earlier < caught.value.later
        assert caught.value.skipped == (aware.replace(tzinfo=None) != time)


@given(first=instants, second=instants, zone=zones)
def test_order_is_that_of_instants(first: datetime, second: datetime, zone: str) -> None:
    left, right = (to_utc(to_user_timezone(instant, zone)) for instant in (first, second))
    assert (left < right) == (first < second)
    assert left - right == first - second


def test_other_kinds_of_zones_are_taken() -> None:
    plus_five = timezone(timedelta(hours=5))
    assert to_utc(datetime(2026, 7, 1, 12), plus_five) == datetime(2026, 7, 1, 7, tzinfo=UTC)
    assert (
        to_user_timezone(datetime(2026, 7, 1, 12, tzinfo=plus_five), "UTC").isoformat() == "2026-07-01T07:00:00+00:00"
    )

    class Unknowing(tzinfo):
        def utcoffset(self, time: datetime | None) -> None:
            return None

    unknowing = datetime(2026, 7, 1, 12, tzinfo=Unknowing())
    assert to_utc(unknowing, "Asia/Tokyo").hour == 3, "Python calls such a time naive, too"


def test_managers() -> None:
    manager = TimezoneManager("Europe/London", "Asia/Tokyo")
    assert (manager.default_timezone, manager.user_timezone) == ("Europe/London", "Asia/Tokyo")
    assert TimezoneManager("Europe/London").user_timezone == "Europe/London"
    assert manager.get_timezone() == ZoneInfo("Europe/London")
    assert manager.get_timezone("Asia/Tokyo") == ZoneInfo("Asia/Tokyo")
    assert repr(manager) == "TimezoneManager('Europe/London', user_timezone='Asia/Tokyo')"
    assert pickle.loads(pickle.dumps(manager)) == copy.copy(manager) == manager
    assert {manager, TimezoneManager("Europe/London", "Asia/Tokyo")} == {manager}
    assert manager != TimezoneManager("Europe/London")
    assert manager != "Europe/London"
    noon = datetime(2026, 7, 1, 12)
    assert manager.to_user_timezone(noon).isoformat() == "2026-07-01T20:00:00+09:00"
    assert manager.to_timezone(noon).isoformat() == "2026-07-01T12:00:00+01:00"
    assert manager.to_user_timezone(noon, "Asia/Kolkata").isoformat() == "2026-07-01T16:30:00+05:30"
    with pytest.raises(AttributeError):
        manager.default_timezone = "UTC"  # type: ignore[misc]


def test_a_zone_has_a_second_name_and_is_given_once() -> None:
    noon, tokyo = datetime(2026, 7, 1, 12, tzinfo=UTC), "Asia/Tokyo"
    naive = noon.replace(tzinfo=None)
    manager = TimezoneManager("Europe/Paris", user_timezone="Europe/London")
    named: list[tuple[Callable[..., Any], Any, str]] = [
        (manager.to_utc, naive, "tz"),
        (manager.to_timezone, noon, "tz"),
        (manager.to_user_timezone, noon, "user_tz"),
        (manager.get_user_timezone_datetime, noon, "user_tz"),
        (manager.ensure_timezone, naive, "tz"),
        (manager.parse_iso, noon.isoformat(), "tz"),
        (to_utc, naive, "tz"),
        (to_user_timezone, noon, "user_tz"),
        (convert_utc_to_user_tz, naive, "user_tz"),
        (ensure_timezone_aware, naive, "tz"),
    ]
    for function, time, name in named:
        expected = function(time, tokyo)
        assert function(time, **{name: tokyo}) == function(time, tokyo, **{name: tokyo}) == expected
        assert function(time, **{name: tokyo}).tzinfo == expected.tzinfo
        with pytest.raises(ConfigurationError, match=f"timezone is 'UTC' and {name} is 'Asia/Tokyo'.*give one of them"):
            function(time, "UTC", **{name: tokyo})
        with pytest.raises(ConfigurationError, match="Invalid timezone ''"):
            function(time, **{name: ""})
    for now in (manager.now, now_in_tz):
        assert now(tz=tokyo).utcoffset() == timedelta(hours=9)
    assert manager.get_timezone(tz=tokyo) == ZoneInfo(tokyo)


def test_no_time_has_no_instant_and_for_a_user_it_is_now() -> None:
    manager = TimezoneManager("Europe/Paris", user_timezone="Asia/Tokyo")
    assert to_utc(None) is None
    assert manager.to_utc(None, "Asia/Tokyo") is None
    assert manager.get_user_timezone_datetime(datetime(2026, 7, 1, 12)).isoformat() == "2026-07-01T19:00:00+09:00"
    before = datetime.now(UTC)
    now = manager.get_user_timezone_datetime()
    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta(hours=9)


def test_now_is_now_in_every_zone() -> None:
    before = datetime.now(UTC)
    clocks = [utcnow(), now_in_tz(), now_in_tz("Asia/Tokyo"), TimezoneManager("UTC").utcnow(), TimezoneManager().now()]
    after = datetime.now(UTC)
    assert all(before <= clock <= after for clock in clocks)
    assert [str(clock.utcoffset()) for clock in clocks] == ["0:00:00", "0:00:00", "9:00:00", "0:00:00", "0:00:00"]


def test_the_end_of_a_day_is_a_time_with_every_version_of_python() -> None:
    assert (
        TimezoneManager("UTC").parse_iso("2026-06-30T24:00:00Z", "Asia/Tokyo").isoformat()
        == "2026-07-01T09:00:00+09:00"
    )


@pytest.mark.parametrize(
    "text",
    ["2026-07-01T24:01", "9999-12-31T24:00", "", "yesterday", "2026-13-01", "2026-07-01T12:00:00+99:00", "x" * 10_000],
)
def test_a_text_that_is_no_time_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no ISO time: write it as in '2026-07-01T12:00:00Z'") as caught:
        TimezoneManager().parse_iso(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("time", ["hello", None, 7, date(2026, 7, 1)])
def test_what_is_no_time_is_named(time: Any) -> None:
    manager = TimezoneManager()
    calls: list[Any] = [to_user_timezone, convert_utc_to_user_tz, ensure_timezone_aware]
    calls += [manager.to_timezone, manager.ensure_timezone, manager.format_iso]
    calls += [to_utc, manager.to_utc] if time is not None else []  # of which None is None
    calls.append(lambda time: to_user_timezone(time, "Asia/Tokyo"))
    for call in calls:
        with pytest.raises(ConfigurationError) as caught:
            call(time)
        assert str(caught.value).startswith(
            f"{time!r} is no time but {type(time).__name__}: give a datetime; parse_iso"
        )


UNKNOWN: list[tuple[Any, str]] = [
    ("Mars/Olympus", "Invalid timezone 'Mars/Olympus'"), ("Europe", "Invalid timezone 'Europe'"), ("", "Invalid timezone ''"),
    ("../etc/passwd", "Invalid timezone"), ("a\x00b", "Invalid timezone"), ("x" * 5000, "Invalid timezone"),
    (7, "Invalid timezone '?7"), ("Europe/Lodnon", "did you mean 'Europe/London'?"), ("utc", "did you mean 'UTC'?"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "message"), UNKNOWN)
def test_an_unknown_zone_is_named(name: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        validate_timezone_string(name)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 400
    for call in (lambda: to_user_timezone(utcnow(), name), lambda: now_in_tz(name), lambda: set_global_timezone(name)):
        with pytest.raises(ConfigurationError, match="Invalid timezone"):
            call()
    assert get_timezone_manager().default_timezone == "UTC", "nothing has changed"


def test_an_unknown_transition_is_named() -> None:
    with pytest.raises(ConfigurationError, match="transition must be 'fold' or 'raise', not 'guess'"):
        to_utc(datetime(2026, 7, 1), "UTC", transition="guess")  # type: ignore[arg-type]


def test_the_default_zone_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    noon = datetime(2026, 7, 1, 12)
    assert to_utc(noon).hour == 12
    monkeypatch.setenv("DYNAMODB_TIMEZONE", "Asia/Tokyo")
    monkeypatch.setenv("DYNAMODB_USER_TIMEZONE", "Asia/Kolkata")
    assert to_utc(noon).hour == 12, "the process has its zones already"
    set_global_timezone(None)
    assert to_utc(noon).hour == 3
    assert ensure_timezone_aware(noon).isoformat() == "2026-07-01T12:00:00+09:00"
    assert to_user_timezone(noon).isoformat() == "2026-07-01T08:30:00+05:30"
    assert convert_utc_to_user_tz(noon).isoformat() == "2026-07-01T17:30:00+05:30"
    assert TimezoneManager().default_timezone == "Asia/Tokyo"
    set_global_timezone("Europe/London", "America/New_York")
    assert to_user_timezone(noon).isoformat() == "2026-07-01T07:00:00-04:00"


def test_a_configuration_gives_the_process_its_zones() -> None:
    config = DynamoDBConfig(default_timezone="Asia/Kolkata", user_timezone="Europe/Paris")
    assert configure_timezone_from_config(config) is config.get_timezone_manager() is get_timezone_manager()
    assert to_user_timezone(datetime(2026, 7, 1, 12)).isoformat() == "2026-07-01T08:30:00+02:00"


def in_threads(jobs: list[Callable[[], None]]) -> None:
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], None]) -> None:
        barrier.wait()
        try:
            job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_calls_in_threads_get_their_own_zones_and_leave_the_processs_alone() -> None:
    set_global_timezone("Europe/Paris", "Asia/Tokyo")
    manager, noon = get_timezone_manager(), datetime(2026, 7, 1, 12, tzinfo=UTC)
    hours = {"America/New_York": 8, "Asia/Kolkata": 17, "Pacific/Chatham": 0, "UTC": 12}

    def job(zone: str, hour: int) -> Callable[[], None]:
        def call() -> None:
            for _ in range(300):
                assert to_user_timezone(noon, zone).hour == hour
                assert ensure_timezone_aware(noon.replace(tzinfo=None), zone).hour == 12
                assert now_in_tz(zone).tzinfo is not None
                assert to_user_timezone(noon).hour == 21
                assert get_timezone_manager() is manager

        return call

    in_threads([job(zone, hour) for zone, hour in hours.items()])


def test_both_zones_of_the_process_change_in_one_step() -> None:
    pairs = [("Europe/Paris", "Asia/Tokyo"), ("Asia/Kolkata", "America/New_York")]
    set_global_timezone(*pairs[0])

    def change() -> None:
        for n in range(400):
            set_global_timezone(*pairs[n % 2])

    def look() -> None:
        for _ in range(400):
            manager = get_timezone_manager()
            assert (manager.default_timezone, manager.user_timezone) in pairs

    in_threads([change, look, look])


def test_the_first_callers_share_one_manager() -> None:
    found: list[TimezoneManager] = []
    in_threads([lambda: found.append(get_timezone_manager())] * 8)
    assert len({id(manager) for manager in found}) == 1
