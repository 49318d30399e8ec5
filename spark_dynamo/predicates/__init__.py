"""The read option `filter`: a SQL predicate in Spark's dialect, parsed, evaluated on batches, and told to DynamoDB."""
