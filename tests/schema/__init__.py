"""Tests of the bridge between Pydantic models and Spark schemas."""
