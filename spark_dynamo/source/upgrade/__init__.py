"""Tables whose items are brought to their model's version."""
