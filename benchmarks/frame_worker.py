"""One measurement of one way from bytes to a frame, in a process of its own; `benchmarks.frames` starts it.

``python -m benchmarks.frame_worker WAY MODE FILE`` prints seconds (``cold``: of one call; ``warm``: of the median call
after the first) or the peak of memory in bytes (``memory``).  Imports are done before the clock starts, whatever they
cost.
"""

from __future__ import annotations

import gc
import importlib
import json
import statistics
import sys
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_SECONDS = 0.6
WARM_CALLS = 3


def ours() -> Callable[[bytes], Any]:
    """Return `loops_nb.frames.checkpoints_frame`."""
    from loops_nb.frames import checkpoints_frame

    return checkpoints_frame


def naive() -> Callable[[bytes], Any]:
    """Return what users write: json, a DataFrame of dicts, to_datetime."""
    import pandas as pd

    def build(body: bytes) -> Any:
        frame = pd.DataFrame(json.loads(body)["checkpoints"])
        frame["created_at"] = pd.to_datetime(frame["created_at"], format="ISO8601", utc=True)
        return frame

    return build


def pydantic() -> Callable[[bytes], Any]:
    """Return the official client's models, their attributes as columns."""
    import pandas as pd
    from baseten.client.managementapi._models import ListLoopsCheckpointsResponse, LoopsCheckpoint

    names = tuple(LoopsCheckpoint.model_fields)

    def build(body: bytes) -> Any:
        rows = ListLoopsCheckpointsResponse.model_validate_json(body).checkpoints
        return pd.DataFrame({name: [getattr(row, name) for row in rows] for name in names})

    return build


def floor() -> Callable[[bytes], Any]:
    """Return the typed decode alone: no garbage collector, the nested object left raw, no frame."""
    import msgspec

    text, number = str | None, int | None
    fields: list[Any] = [
        (name, str) for name in ("id", "run_id", "target", "checkpoint_id", "created_at", "checkpoint_type")
    ]
    fields += [("base_model", text, None), ("lora_adapter_config", msgspec.Raw, msgspec.Raw(b"null"))]
    fields += [("size_bytes", number, None), ("sync_status", text, None)]
    row: Any = msgspec.defstruct("Row", fields, gc=False)
    decoder = msgspec.json.Decoder(msgspec.defstruct("Answer", [("checkpoints", list[row])]))
    return decoder.decode


def orjson() -> Callable[[bytes], Any]:
    """Return ``orjson.loads`` alone: dicts, no frame."""
    # Only in the peers' environments.
    loads: Callable[[bytes], Any] = importlib.import_module("orjson").loads
    return loads


WAYS: dict[str, Callable[[], Callable[[bytes], Any]]] = {
    way.__name__: way for way in (ours, naive, pydantic, floor, orjson)
}


def cold(call: Callable[[bytes], Any], body: bytes) -> float:
    """Return the seconds of one call in a process that has made none."""
    gc.collect()
    start = time.perf_counter()
    kept = call(body)
    took = time.perf_counter() - start
    del kept
    return took


def warm(call: Callable[[bytes], Any], body: bytes) -> float:
    """Return the seconds of the median call, the first left out."""
    cold(call, body)
    took: list[float] = []
    while len(took) < WARM_CALLS or sum(took) < WARM_SECONDS:
        took.append(cold(call, body))
    return statistics.median(took)


def memory(call: Callable[[bytes], Any], body: bytes) -> float:
    """Return the peak of traced memory in bytes during one call, the body not counted."""
    gc.collect()
    tracemalloc.start()
    kept = call(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del kept
    return float(peak)


MODES = {"cold": cold, "warm": warm, "memory": memory}


if __name__ == "__main__":
    way, mode, file = sys.argv[1:]
    print(MODES[mode](WAYS[way](), Path(file).read_bytes()))
