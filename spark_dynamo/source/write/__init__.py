"""Writes of frames to tables: from options to a plan, what tasks do with it, and what becomes of rows that are refused."""
