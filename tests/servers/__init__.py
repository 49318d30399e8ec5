"""Servers that tests and benchmarks talk to, each started and stopped by a context manager."""
