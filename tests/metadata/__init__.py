"""Tests of the metadata tables and their models."""
