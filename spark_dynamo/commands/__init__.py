"""What `spark-dynamo` does: one module for each group of commands, and what they share in `options` and `output`.

Modules import at their top only what is cheap; a command imports what it needs when it runs, so that `--help` and completion
answer at once.
"""
