"""The three metadata tables: their models, keys and indexes."""
