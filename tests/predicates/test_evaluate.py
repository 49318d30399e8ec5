"""Predicates on batches that Spark would not make: empty ones, slices, and time zones at their changes of clocks."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyspark.sql.types import StructType, TimestampType

from spark_dynamo.errors import OptionError
from spark_dynamo.predicates.evaluate import evaluate, mask
from spark_dynamo.predicates.parse import parse_predicate
from spark_dynamo.wire.types import arrow_schema
from tests.predicates.generate import SCHEMA, predicate, table


def test_a_slice_has_the_outcomes_of_its_rows_and_no_rows_have_none() -> None:
    chance = random.Random(3)
    batch = table(chance, 50)
    for _ in range(200):
        text = predicate(chance, 2)
        try:
            node = parse_predicate(text, SCHEMA)
        except OptionError:
            continue
        whole = evaluate(node, batch)
        assert evaluate(node, batch.slice(7, 20)).to_pylist() == whole.to_pylist()[7:27], text
        assert evaluate(node, batch.slice(0, 0)).to_pylist() == []


def test_a_mask_takes_unknown_for_false() -> None:
    schema = StructType().add("n", "long")
    batch = pa.record_batch({"n": pa.array([1, None, 3], pa.int64())})
    assert evaluate(parse_predicate("n > 1", schema), batch).to_pylist() == [False, None, True]
    assert mask(parse_predicate("n > 1", schema), batch).to_pylist() == [False, False, True]


AT = StructType().add("at", TimestampType())


@pytest.mark.parametrize(
    ("zone", "local", "utc"),
    [
        ("UTC", "2026-11-01 10:00", datetime(2026, 11, 1, 10)),
        ("Europe/Berlin", "2026-07-01 12:00", datetime(2026, 7, 1, 10)),
        ("Europe/Berlin", "2026-03-29 02:30", datetime(2026, 3, 29, 1, 30)),  # skipped: moved forward by the gap
        ("Europe/Berlin", "2026-10-25 02:30", datetime(2026, 10, 25, 0, 30)),  # there twice: the earlier
        ("+05:30", "2026-11-01 10:00", datetime(2026, 11, 1, 4, 30)),
        ("GMT-3", "2026-11-01 10:00", datetime(2026, 11, 1, 13)),
        ("UTC+02:00", "2026-11-01 10:00", datetime(2026, 11, 1, 8)),
    ],
)
def test_a_timestamp_without_a_zone_is_meant_in_the_session_zone(zone: str, local: str, utc: datetime) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([utc.replace(tzinfo=UTC)], AT_TYPE)], schema=arrow_schema(AT))
    assert evaluate(parse_predicate(f"at = '{local}'", AT), batch, zone).to_pylist() == [True]


AT_TYPE = arrow_schema(AT).field(0).type


def test_an_unknown_session_zone_is_an_error_only_where_it_matters() -> None:
    batch = pa.RecordBatch.from_arrays(
        [pa.array([datetime(2026, 11, 1, tzinfo=UTC)], AT_TYPE)], schema=arrow_schema(AT)
    )
    instant = parse_predicate("at = '2026-11-01T00:00:00Z'", AT)
    assert evaluate(instant, batch, "Mars/Olympus").to_pylist() == [True]
    with pytest.raises(OptionError, match="knows no time zone 'Mars/Olympus'"):
        evaluate(parse_predicate("at = '2026-11-01'", AT), batch, "Mars/Olympus")
