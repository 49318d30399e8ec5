"""DynamoDB attribute values <-> Spark's VARIANT, a pair of binaries `(value, metadata)`.

The binaries follow the Apache Parquet "Variant Binary Encoding" specification, version 1, which is what Spark stores.

| DynamoDB | variant |
|---|---|
| S, BOOL, NULL | string, boolean, null |
| B | binary: the bytes themselves, not their base64 text |
| N | the smallest of int8 to int64 that holds it, else of decimal4, decimal8, decimal16; 1.50 becomes 1.5 |
| N that is no decimal of 38 digits and 0 to 38 places | `{"$N": "1E+100"}`, the text as it came |
| M, L | object, array |
| SS, NS, BS | `{"$SS": [...]}`, `{"$NS": [...]}`, `{"$BS": [...]}` with strings, numbers as above, binaries |
| M whose only key is `$SS`, `$NS`, `$BS`, `$N` or `$M` | `{"$M": {...}}`, so that no map is taken for a tag |

On the way back, types that DynamoDB lacks become the nearest one that loses nothing: double and float become N in their
shortest decimal form; date, timestamp and timestamp without time zone S in ISO 8601; uuid S. An object that looks like
a tag but has other content than the table says, as in `{"$SS": 5}`, is an ordinary M. Written again it becomes
`{"$M": {"$SS": 5}}`, which is read as the same M. So every DynamoDB value comes back equal from its variant, and every
variant that Spark made is stable after one turn.
"""

from spark_dynamo.wire.variant.decode import decode_variant
from spark_dynamo.wire.variant.encode import encode_variant

__all__ = ["decode_variant", "encode_variant"]
