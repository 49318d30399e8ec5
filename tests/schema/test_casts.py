"""Which type becomes which other one, and of which values; what Spark makes of them is in test_align."""

from __future__ import annotations

from spark_dynamo.schema.drift.casts import cast_rows

# of each type to each in the same order: a all values, c each value is checked, = the same type, . there is no cast
TABLE = """
TINYINT         = a a a a a a a a . . . . . a
SMALLINT        c = a a a a a a a . . . . . a
INT             c c = a c a c a a . . . . . a
BIGINT          c c c = c a c c a . . . . . a
DECIMAL(10,2)   c c c c = a c a a . . . . . a
DECIMAL(38,18)  c c c c c = c c a . . . . . a
FLOAT           c c c c c c = a a . . . . . a
DOUBLE          c c c c c c c = a . . . . . a
STRING          c c c c c c c c = c . c c c a
BOOLEAN         . . . . . . . . a = . . . . a
BINARY          . . . . . . . . . . = . . . a
DATE            . . . . . . . . a . . = a a a
TIMESTAMP       . . . . . . . . a . . . = . a
TIMESTAMP_NTZ   . . . . . . . . a . . c a = a
VARIANT         . . . . . . . . . . . . . . =
"""


def test_the_table_of_casts() -> None:
    rows = [line.split() for line in TABLE.strip().splitlines()]
    names = [row[0] for row in rows]
    letters = {"all": "a", "each is checked": "c"}
    told = {(found, wanted): letters[which] for found, wanted, which in cast_rows()}
    found = [[name, *("=" if name == other else told.get((name, other), ".") for other in names)] for name in names]
    assert found == rows
