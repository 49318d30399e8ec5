"""Predicates in Spark's SQL, parsed: a read's `filter`, evaluated on batches and told to DynamoDB; a write's `condition`."""
