"""Opaque token that links a DataFrame to the client that produced it."""

from __future__ import annotations

import secrets
import threading

from loops_nb.client.config import ClientConfig

#: The key of the token in ``DataFrame.attrs``.
CONNECTION_ATTR = "loops_connection"


class _FrameConnections:
    """The connections of this process that produced a DataFrame."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._configs: dict[str, ClientConfig] = {}

    def token_of(self, config: ClientConfig) -> str:
        with self._lock:
            known = (token for token, one in self._configs.items() if one.identity == config.identity)
            # Random: it reveals neither the address nor the key, and one of another process means nothing here.
            token = next(known, "") or secrets.token_hex(8)
            self._configs[token] = config
            return token

    def config_of(self, token: object) -> ClientConfig | None:
        with self._lock:
            return self._configs.get(token) if isinstance(token, str) else None

    def only_config(self) -> ClientConfig | None:
        with self._lock:
            known = list(self._configs.values())
        return known[0] if len(known) == 1 else None


_connections = _FrameConnections()


def token_of(config: ClientConfig) -> str:
    """Return the token of a connection: the same one for an equal `ClientConfig.identity`."""
    return _connections.token_of(config)


def config_of(token: object) -> ClientConfig | None:
    """Return the connection with this token; None if there is none in this process."""
    return _connections.config_of(token)


def only_config() -> ClientConfig | None:
    """Return the connection that all DataFrames of this process came from; None if there are several or none."""
    return _connections.only_config()
