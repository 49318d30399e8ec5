"""What a model says of values beyond their types, as conditions in Spark's SQL; `violations` finds the rows that break it."""
