"""A frame beside the schema that is wanted: what differs, and the expressions that bring it there."""
