"""Environment variables of the processes of the local service: those of their parent, without its secrets.

The service sends nothing to other machines, so it needs neither keys nor proxies, and a proxy's URL may hold a
password.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from loops_nb.config.redaction import SHORTEST_SECRET, has_password, is_secret_variable

_HOSTED_KEY = "BASETEN_API_KEY"


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that name no proxy and hold no key, token or password, by their name or their value."""
    key = environment.get(_HOSTED_KEY, "").strip()
    copies = key if len(key) >= SHORTEST_SECRET else None
    return {
        name: value
        for name, value in environment.items()
        if not is_secret_variable(name) and not has_password(value) and (copies is None or copies not in value)
    }


def drop_secrets() -> None:
    """Take the secrets out of the environment of this process, which those that it starts inherit."""
    kept = without_secrets(os.environ)
    for name in [name for name in os.environ if name not in kept]:
        del os.environ[name]
