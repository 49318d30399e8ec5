"""The wire room: DynamoDB JSON <-> Arrow, without AWS and without a Spark session."""
