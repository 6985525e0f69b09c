"""A client that lists checkpoints when told to; `benchmarks.listing` starts it and holds the clock's rounds.

``python -m benchmarks.listing_worker WAY URL ROWS``: every line on standard input is a number of listings in a row,
answered by the seconds of the median one and by the number of SSL contexts that the process has made so far.
"""

from __future__ import annotations

import gc
import ssl
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


_contexts = 0


def count_contexts() -> None:
    """Count from now on how many SSL contexts are made: each reads the whole bundle of certificates."""
    make = ssl.SSLContext.__new__

    def counted(cls: type[ssl.SSLContext], *args: Any, **kwargs: Any) -> ssl.SSLContext:
        global _contexts  # noqa: PLW0603 - one count a process
        _contexts += 1
        return make(cls, *args, **kwargs)

    ssl.SSLContext.__new__ = staticmethod(counted)  # type: ignore[assignment,method-assign]


def frame(url: str, run_id: str) -> Callable[[], Any]:
    """Return our listing as a frame."""
    from loops_nb import Loops

    loops = Loops(api_key="benchmark", base_url=url)
    return lambda: loops.checkpoints.frame(run_id=run_id)


def listed(url: str, run_id: str) -> Callable[[], Any]:
    """Return our listing as a list of objects."""
    from loops_nb import Loops

    loops = Loops(api_key="benchmark", base_url=url)
    return lambda: loops.checkpoints.list(run_id=run_id)


def sdk(url: str, run_id: str) -> Callable[[], Any]:
    """Return the official SDK's listing: a list of its models."""
    from baseten.loops import ServiceClient

    client = ServiceClient(api_key="benchmark", base_url=url)
    return lambda: client.list_checkpoints(run_id)


def get(url: str, run_id: str) -> Callable[[], Any]:
    """Return the bare GET of one shared httpx client: bytes, nothing read."""
    import httpx

    client = httpx.Client(headers={"Authorization": "Bearer benchmark"})
    return lambda: client.get(f"{url}/v1/loops/checkpoints", params={"run_id": run_id}).content


WAYS: dict[str, Callable[[str, str], Callable[[], Any]]] = {way.__name__: way for way in (frame, listed, sdk, get)}


if __name__ == "__main__":
    count_contexts()
    call = WAYS[sys.argv[1]](sys.argv[2], f"rows-{sys.argv[3]}")
    for line in sys.stdin:
        gc.collect()
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            kept = call()
            seconds.append(time.perf_counter() - start)
            assert len(kept), "an empty listing"
            del kept
        print(statistics.median(seconds), _contexts, flush=True)
