"""Settings of the local service."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

#: A first run is up in about two seconds; 1 is as slow as the hosted service.
DEFAULT_SPEED = 10.0


def wall_clock() -> int:
    """Return the time in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """What the clients of one server may do.

    Parameters
    ----------
    connections : int, default 512
        How many may be open; more than that, and the longest idle ones are closed, or new ones are answered with 503.
    idle_seconds : float, default 75.0
        For how long a connection may be open without a request.
    head_seconds : float, default 20.0
        For how long the head of a request may take.
    unread_seconds : float, default 120.0
        For how long a client may read nothing of an answer that waits for it.
    closing_seconds : float, default 15.0
        For how long a client may take for the rest of a body that is not wanted any more, and for the end of an answer.
    """

    connections: int = 512
    idle_seconds: float = 75.0
    head_seconds: float = 20.0
    unread_seconds: float = 120.0
    closing_seconds: float = 15.0


class Settings(Struct, frozen=True, kw_only=True):
    """Settings of one service.

    Parameters
    ----------
    data_dir : Path
        Folder of the records and files.
    sample : bool, default False
        Fill an unused folder with the sample workspace.
    seed : int, default 0
        The sample workspace is the same for the same seed.
    speed : float, default `DEFAULT_SPEED`
        How many times faster than on the hosted service deployments and samplers change state.  Delays before scaling
        to zero are only shortened above the default speed.
    url_ttl : int, default 900
        Seconds for which a presigned URL works.
    rate_limit : int, default 100
        Requests a second, key and endpoint; 0 switches the limit off.
    host : str, default "127.0.0.1"
        The address that the service listens on.
    body_limit, data_body_limit : int
        Largest request body in bytes, of the control plane and of the trainers and samplers.
    bodies_limit : int, default 536870912
        Largest sum in bytes of all request bodies that are held at one time.
    body_seconds : float, default 30.0
        For how long a request body may be on its way; a second longer for each 32 KiB that have come.
    connections : ConnectionLimits, optional
        What clients may do with their connections.
    prefer_serverless : bool, default False
        Whether a creation without a scope goes to shared (serverless) capacity where that has what is asked for, as on
        the hosted service.  Otherwise it gets a deployment of its own.
    instance : str, default ""
        Random id that ``/health`` answers.
    max_trainers, max_samplers : int, default 4
        How many of each may be live, with a process of their own, at one time.  Further ones are queued; an idle
        process makes room.
    hold_seconds : float, default 25.0
        For how long a request that waits for something is held before it is answered with 408.
    operation_ttl : int, default 3600
        Seconds for which the result of an operation is kept.
    any_key : bool, default True
        Whether any key opens the service, in place of the token in its data folder.  A program that embeds the
        application decides itself who reaches it, hence the default; ``loops-nb serve`` asks for the token unless told
        otherwise.
    clock : callable, default `wall_clock`
        Gives epoch milliseconds.
    """

    data_dir: Path
    sample: bool = False
    seed: int = 0
    speed: float = DEFAULT_SPEED
    url_ttl: int = 900
    rate_limit: int = 100
    host: str = "127.0.0.1"
    body_limit: int = 1 << 20
    data_body_limit: int = 32 << 20
    bodies_limit: int = 512 << 20
    body_seconds: float = 30.0
    connections: ConnectionLimits = ConnectionLimits()
    max_trainers: int = 4
    max_samplers: int = 4
    hold_seconds: float = 25.0
    operation_ttl: int = 3600
    any_key: bool = True
    prefer_serverless: bool = False
    instance: str = ""
    clock: Callable[[], int] = wall_clock
