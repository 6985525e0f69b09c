"""The verbs of ``%loops`` in a shell."""
