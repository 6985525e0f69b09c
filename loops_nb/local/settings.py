"""What the embedded service is started with."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct


def wall_clock() -> int:
    """Return the time in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Settings(Struct, frozen=True, kw_only=True):
    """Settings of one service.

    Parameters
    ----------
    data_dir
        Folder of the records and files.
    sample
        Fill an unused folder with the sample workspace.
    seed
        The sample workspace is the same for the same seed.
    speed
        How many times faster than in life deployments and samplers change state.
    url_ttl
        Seconds for which a presigned URL works.
    rate_limit
        Requests a second, key and endpoint; 0 switches the limit off.
    host
        The address that the service listens on.
    body_limit
        Largest request body in bytes.
    instance
        Random id that ``/health`` answers.
    clock
        Gives epoch milliseconds.
    """

    data_dir: Path
    sample: bool = False
    seed: int = 0
    speed: float = 1.0
    url_ttl: int = 900
    rate_limit: int = 100
    host: str = "127.0.0.1"
    body_limit: int = 1 << 20
    instance: str = ""
    clock: Callable[[], int] = wall_clock
