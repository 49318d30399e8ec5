"""A DynamoDB on this machine, over HTTP, on loopback only.

`server` has what people start and stop; `moto_engine` and `dynoxide_engine` have the two programs that do the work.
"""

from spark_dynamo.local.server import LocalDynamoDB, local_dynamodb

__all__ = ["LocalDynamoDB", "local_dynamodb"]
