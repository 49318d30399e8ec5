"""Schemas -> models: one plan of classes and fields, rendered as classes and as source."""
