"""The Spark DataSource `dynamo-meta`."""
