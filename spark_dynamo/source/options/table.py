"""The options of the data source: one table, from which the parser, the error messages and the README's reference come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spark_dynamo.source.options.values import (
    amount,
    count,
    flag,
    names,
    one_of,
    one_of_or_text,
    region,
    role,
    text,
)


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table: `parse` turns the text into a value or raises ValueError with what is expected."""

    name: str
    parse: Callable[[str], Any]
    default: Any
    shown_default: str
    meaning: str
    secret: bool = False


_NO_READ_MODES = {
    **dict.fromkeys(
        ("put", "insert", "update", "delete", "upsert"), "what a write does with a row is option 'operation'"
    ),
    **dict.fromkeys(("append", "overwrite", "ignore", "errorifexists"), "the save mode is given by .mode(...)"),
}

OPTIONS: tuple[Option, ...] = (
    Option(
        "table",
        text,
        None,
        "the load or save path",
        "name or ARN of the table, or one of the metadata tables' logical names (`pipeline_config`, `table_config`, "
        "`pipeline_run_logs`)",
    ),
    Option("region", region, None, "the AWS chain", "AWS region, as in `eu-central-1`"),
    Option("endpointUrl", text, None, "the AWS chain", "address of the server, as in `http://localhost:8000`"),
    Option("profile", text, None, "the AWS chain", "a profile of `~/.aws/config`"),
    Option("roleArn", role, None, "-", "a role to assume, in another account, too; its credentials renew themselves"),
    Option("externalId", text, None, "-", "the external id that the role's trust policy asks for", secret=True),
    Option("roleSessionName", text, "spark-dynamo", "spark-dynamo", "the session's name in CloudTrail"),
    Option("accessKeyId", text, None, "the AWS chain", "for local servers and special cases", secret=True),
    Option("secretAccessKey", text, None, "the AWS chain", "goes with `accessKeyId`; never shown", secret=True),
    Option("sessionToken", text, None, "the AWS chain", "goes with temporary keys; never shown", secret=True),
    Option(
        "environment",
        one_of("dev", "staging", "prod"),
        None,
        "`DynamoDBConfig`",
        "how the metadata tables' logical names become physical",
    ),
    Option("tablePrefix", str, None, "`DynamoDBConfig`", "the same; may be empty"),
    Option(
        "index",
        text,
        None,
        "the table, or the best index where `filter` allows one",
        "secondary index to read; it must project all columns of the schema",
    ),
    Option(
        "filter",
        text,
        None,
        "-",
        "a predicate in Spark's SQL; exactly the rows that `where` gives, by GetItem, Query or Scan as it allows",
    ),
    Option("columns", names, None, "all", "columns to read, between commas; a schema of one's own does the same"),
    Option("allowFullScan", flag, True, "true", "`false`: an error where the read would be a Scan"),
    Option(
        "mode",
        one_of("FAILFAST", "PERMISSIVE", "DROPMALFORMED", elsewhere=_NO_READ_MODES),
        "FAILFAST",
        "FAILFAST",
        "what an item that doesn't fit the schema becomes: an error, a row with nulls and the item in the corrupt-record "
        "column, or nothing but a count in the log",
    ),
    Option(
        "columnNameOfCorruptRecord",
        text,
        "_corrupt_record",
        "_corrupt_record",
        "STRING column that holds the whole item as DynamoDB JSON where it doesn't fit, in mode PERMISSIVE",
    ),
    Option(
        "itemFormat",
        one_of("columns", "json", "variant"),
        "columns",
        "columns",
        "`json`, `variant`: a single column `item` with the whole item, as DynamoDB JSON text or as VARIANT, lossless, on "
        "reads and writes",
    ),
    Option(
        "samplingSize",
        count(1_000_000),
        1000,
        "1000",
        "items sampled over all segments where the schema must be inferred",
    ),
    Option(
        "numberType",
        one_of("auto", "decimal", "double", "string"),
        "auto",
        "auto",
        "what inferred numbers become: `auto` BIGINT where integral, else DECIMAL with the sample's digits after the point; "
        "`decimal` DECIMAL with room for more of them; `double` DOUBLE, `string` STRING with the number's own text",
    ),
    Option(
        "inferTimestamp",
        flag,
        False,
        "false",
        "`true`: attributes whose every sampled value is an ISO 8601 date and time with a zone are inferred as TIMESTAMP, and so "
        "written back in UTC; keys and sets stay STRING",
    ),
    Option(
        "maxReadUnits",
        amount(),
        None,
        "no limit",
        "read units per second for the whole job, shared equally among its tasks, which are then as few as the budget needs",
    ),
    Option(
        "readRatio",
        amount(most=1.0),
        None,
        "no limit",
        "the same as a share of the table's or index's provisioned or warm read throughput, as in `0.25`",
    ),
    Option(
        "retryTimeout",
        amount(),
        300.0,
        "300",
        "seconds without any success, among throttles and failures, until a task gives up; whatever they are spent on",
    ),
    Option(
        "requestTimeout",
        amount(),
        60.0,
        "60",
        "seconds that one request may take with all of its answer, until it is given up and sent again",
    ),
    Option(
        "numPartitions",
        count(10_000),
        None,
        "from the table's size",
        "Spark tasks of a read; one per 128 MB, at least 2 but for tables below 4 MB, at most 200, where not given. For a "
        "write on several machines, the tasks that share its budget",
    ),
    Option(
        "segments",
        count(1_000_000),
        None,
        "from the table's size",
        "scan segments, at least as many as partitions; 16 per partition where not given, fewer on small tables",
    ),
    Option("consistentRead", flag, False, "false", "strongly consistent reads, at twice the read units"),
    Option(
        "operation",
        one_of("put", "insert", "update", "delete"),
        "put",
        "put",
        "what a write does with each row: `put` replaces the item with the same key, `insert` puts it only where there is none, "
        "`update` sets the frame's attributes and leaves all others, `delete` deletes it and looks at the key alone",
    ),
    Option(
        "operationColumn",
        text,
        None,
        "-",
        "STRING column that names the operation of each row; it is not written itself",
    ),
    Option(
        "condition",
        text,
        None,
        "-",
        "a predicate in Spark's SQL about the stored item, under which alone a row is put, updated or deleted; `new.x` is the "
        "row's own value, as in `version < new.version`",
    ),
    Option(
        "conditionFailed",
        one_of_or_text("error", "skip"),
        "error",
        "error",
        "rows whose condition failed: `error`, `skip` them with a count, or a path that gets them as JSON lines",
    ),
    Option(
        "atomic",
        flag,
        False,
        "false",
        "write by transactions: each 100 rows of a task, in their order, all or not at all; at twice the write units",
    ),
    Option(
        "badItems",
        one_of_or_text("error"),
        "error",
        "error",
        "rows that DynamoDB can't take: `error`, or a path that gets them as JSON lines: a folder, `s3://bucket/prefix` or "
        "`dynamodb://table`",
    ),
    Option(
        "model",
        text,
        None,
        "a metadata table's own",
        "Pydantic model, as `package.module:Model`. A read takes its schema from it and upgrades items of older versions; the "
        "frame of a write must fit it and is compared before anything is sent",
    ),
    Option(
        "maxWriteUnits",
        amount(),
        None,
        "no limit",
        "write units per second for the whole job",
    ),
    Option(
        "writeRatio",
        amount(most=1.0),
        None,
        "no limit",
        "the same as a share of the table's provisioned or warm write throughput, as in `0.25`",
    ),
    Option(
        "overwriteConfirm",
        text,
        None,
        "-",
        'name of the table, asked for where `mode("overwrite")` meets a table of more than 100,000 items',
    ),
    Option(
        "createTable",
        flag,
        False,
        "false",
        "create the table before a write where there is none, on demand, and wait for it; one with other keys is an error",
    ),
    Option("partitionKey", text, None, "-", "column that becomes the partition key of a table to create"),
    Option("sortKey", text, None, "none", "column that becomes its sort key"),
    Option(
        "billingMode",
        one_of("PAY_PER_REQUEST", "PROVISIONED"),
        "PAY_PER_REQUEST",
        "PAY_PER_REQUEST",
        "how the table to create is paid for: on demand, or by the units of the two options below",
    ),
    Option("readCapacityUnits", count(1_000_000), None, "-", "provisioned read units per second of a table to create"),
    Option(
        "writeCapacityUnits", count(1_000_000), None, "-", "provisioned write units per second of a table to create"
    ),
    Option(
        "indexes",
        text,
        None,
        "none",
        "secondary indexes of a table to create, as in `by_status(status, started_at); by_day(day)`",
    ),
    Option(
        "nulls",
        one_of("auto", "omit", "write", "remove"),
        "auto",
        "auto",
        "what a null column becomes on write: `omit` no attribute, and an update leaves it as it is; `write` a NULL "
        "attribute; `remove`, in updates, removes the attribute; `auto` is `omit`, but a NULL attribute where the column's "
        "metadata has `dynamodb_nulls`: `write`, as an inferred schema does",
    ),
    Option(
        "duplicates",
        one_of("error", "last", "first"),
        "error",
        "error",
        "equal keys in one write: `error` before the second is sent, or keep the `last` or `first`; `last` is for puts and "
        "deletes. Across tasks, where order means nothing, DynamoDB keeps whichever comes last",
    ),
)
