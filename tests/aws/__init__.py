"""The AWS room."""
