"""Defaults of what is created: the variables of the official SDK.  An argument beats each; an empty one is unset."""

from __future__ import annotations

import os

ENV_SCOPE = "BASETEN_LOOPS_SCOPE"
ENV_TEAM = "LOOPS_TEAM"
ENV_AVAILABILITY = "LOOPS_AVAILABILITY_MODEL"
ENV_REUSE_RUN = "LOOPS_REUSE_FROM_RUN_ID"
ENV_REUSE_SESSION = "LOOPS_REUSE_FROM_SESSION_ID"
VARIABLES = (ENV_SCOPE, ENV_TEAM, ENV_AVAILABILITY, ENV_REUSE_RUN, ENV_REUSE_SESSION)


def creation_default(variable: str) -> str | None:
    """Return the value of a variable; None where it is not set."""
    return os.environ.get(variable, "").strip() or None
