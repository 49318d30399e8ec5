"""Reads of tables by Spark: from options to a plan, and what tasks do with it."""
