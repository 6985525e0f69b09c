"""The environment that processes of the local service get: that of their starter, without its secrets.

The service sends nothing to other machines, so it needs neither keys nor proxies, and a proxy's URL may hold a password.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_HOSTED_KEY = "BASETEN_API_KEY"
#: Shorter values are ordinary words.
_SHORTEST_KEY = 8
_SECRET_NAME = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|(?:^|_)(?:KEY|TOKEN|PASS|PAT|AUTH|PROXY)(?:_|$)"
)
_URL_WITH_PASSWORD = re.compile(r"://[^/@\s]+:[^/@\s]+@")


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an environment that hold no key, token or password, by their name or their value, and name no proxy."""
    key = environment.get(_HOSTED_KEY, "").strip()
    copies = key if len(key) >= _SHORTEST_KEY else None
    return {
        name: value
        for name, value in environment.items()
        if not _SECRET_NAME.search(name.upper()) and not _URL_WITH_PASSWORD.search(value) and (copies is None or copies not in value)
    }


def drop_secrets() -> None:
    """Take the secrets out of the environment of this process, which those that it starts inherit."""
    kept = without_secrets(os.environ)
    for name in [name for name in os.environ if name not in kept]:
        del os.environ[name]
