"""Other versions of what the package stands on, each in an environment of its own, made by uv."""
