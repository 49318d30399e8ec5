"""What Spark finds by itself: the data source `dynamo-meta`."""

from spark_dynamo.source.datasource import DynamoDataSource as DefaultSource

__all__ = ["DefaultSource"]
