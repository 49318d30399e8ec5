"""Pydantic models <-> Spark schemas, and all that follows from the one being the other.

`bridge` makes of a model the tree of `nodes` that everything else reads. `annotations` has a module for each kind of annotation,
`generation` the way back from schemas to models, `drift` what differs and how it is aligned, `checks` the constraints on values.
`rows`, `items` and `values` carry values; `evolve` has versions and migrations.
"""
