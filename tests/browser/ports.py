"""Ports for servers that cannot say which one they took."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port of this machine that is free."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
