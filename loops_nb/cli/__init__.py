"""The command ``loops-nb``: every verb of ``%loops`` that makes sense in a shell, and commands of its own.

The verbs come from the one table in `loops_nb.magics.verbs`.  A module here imports what a verb needs when the verb
runs: ``loops-nb --help`` must not wait for pandas.
"""

from loops_nb.cli.main import main

__all__ = ["main"]
