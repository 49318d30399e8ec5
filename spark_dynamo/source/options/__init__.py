"""The options of reads and writes: their table, their values, and what other connectors call them."""
