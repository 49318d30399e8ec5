"""Tables that DynamoDB calls missing although they are there: those that are still being created, or deleted already."""

from __future__ import annotations

from spark_dynamo.aws.tables import DynamoDBClient, describe_table
from spark_dynamo.errors import DynamoDBWrapperError, RequestFailedError, TableNotFoundError

_USABLE = frozenset({"ACTIVE", "UPDATING"})


def unready(client: DynamoDBClient, missing: TableNotFoundError) -> RequestFailedError:
    """The error that says what state the table is in; the same error where there is no such table, or nobody may see it."""
    try:
        status = describe_table(client, missing.table).status
    except DynamoDBWrapperError:
        return missing
    if status in _USABLE:
        return missing
    advice = "create it again once it is gone" if status == "DELETING" else "wait until it is ACTIVE"
    return RequestFailedError(
        f"Table '{missing.table}' is there, but its status is {status}: {advice}",
        missing.original_error,
        **missing.context,
    )
