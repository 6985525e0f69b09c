"""A fresh process that downloads one checkpoint, by ours or the official SDK, and prints what that took.

``python -m benchmarks.downloads.worker ours|sdk URL CHECKPOINT FOLDER CONNECTIONS`` prints a line of JSON: ``seconds``,
``cpu`` (seconds) and ``peak`` (bytes of resident memory above those before it began).  Imports and the client's making
are not in it; everything from the question which files there are to the last byte in its place is.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.downloads.measure import high_water

if TYPE_CHECKING:
    from collections.abc import Callable

_STATUS = Path("/proc/self/status")


def ours(url: str, checkpoint: str, folder: Path, connections: int) -> Callable[[], None]:
    """Return our plan and what carries it out."""
    # httpx imports it for its first client, which the SDK has made by the time that the clock starts.
    import httpcore  # noqa: F401

    from loops_nb import Loops
    from loops_nb.api.references import CheckpointRef
    from loops_nb.checkpoints.http import Storage
    from loops_nb.checkpoints.transfer import execute_plan, plan

    loops = Loops(api_key="benchmark", base_url=url)

    def download() -> None:
        with Storage(loops.checkpoints, connections=connections) as storage:
            execute_plan(storage, plan(storage, [CheckpointRef(id=checkpoint)], folder), connections=connections)

    return download


def sdk(url: str, checkpoint: str, folder: Path, connections: int) -> Callable[[], None]:
    """Return the official SDK's own function, which takes one file after the other with any number of connections."""
    from baseten.loops import ServiceClient

    assert connections
    client = ServiceClient(api_key="benchmark", base_url=url)

    def download() -> None:
        client.download_checkpoint(checkpoint, dest_dir=str(folder / checkpoint))

    return download


WAYS = {contender.__name__: contender for contender in (ours, sdk)}


def main() -> None:
    """Download once, and tell."""
    contender, url, checkpoint, folder, connections = sys.argv[1:]
    download = WAYS[contender](url, checkpoint, Path(folder), int(connections))
    gc.collect()
    # Forgets the peak of the imports.
    Path("/proc/self/clear_refs").write_text("5")
    base = high_water(_STATUS)
    cpu, start = time.process_time(), time.perf_counter()
    download()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": high_water(_STATUS) - base}))


if __name__ == "__main__":
    main()
