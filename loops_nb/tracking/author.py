"""Who records experiments, so that a team can tell whose they are."""

from __future__ import annotations

import getpass
import os

from loops_nb.tracking.values import kept_text

# The name in a hub stands before that of the system, which is the same for all users of many images.
_VARIABLES = ("LOOPS_NB_AUTHOR", "JUPYTERHUB_USER")
_LONGEST = 200


def current_author() -> str | None:
    """Return ``LOOPS_NB_AUTHOR``, else the user of the JupyterHub, else that of the system; None if none is known."""
    for variable in _VARIABLES:
        named = os.environ.get(variable, "").strip()
        if named:
            return kept_text(named)[:_LONGEST]
    try:
        return kept_text(getpass.getuser())[:_LONGEST]
    except (OSError, KeyError, ImportError):
        # A container may run as a user that has no name.
        return None
