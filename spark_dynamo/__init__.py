"""DynamoDB tables as DataFrames of Apache Spark, in pure Python."""
