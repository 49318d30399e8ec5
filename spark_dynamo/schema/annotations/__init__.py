"""Annotations of models -> nodes: one module for each kind of annotation; `schema.bridge` is the way in."""
