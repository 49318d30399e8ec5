"""DynamoDB JSON <-> Arrow, pure functions of (schema, bytes)."""
