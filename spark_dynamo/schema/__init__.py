"""Pydantic models <-> Spark schemas."""
