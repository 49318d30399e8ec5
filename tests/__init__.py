"""The tests of spark_dynamo."""
