"""A fresh process that reads the headers of checkpoints, ours or one after the other, and tells what that took.

``python -m benchmarks.downloads.headers_worker one|fresh|known URL HOW_MANY CACHE`` prints a line of JSON: ``seconds``,
and of the checkpoints' files the bytes ``fetched`` and the bytes in ``total``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def ours(url: str, many: int, cache: str) -> Callable[[], tuple[int, int]]:
    """Return our opening of all of them; what the cache knows is not read."""
    from loops_nb import Loops
    from loops_nb.api.references import CheckpointRef
    from loops_nb.checkpoints.http import Storage
    from loops_nb.checkpoints.tensors import HeaderCache, open_many

    loops = Loops(api_key="benchmark", base_url=url)
    # As a listing told them: that is how a checkpoint is known again.
    refs = [
        CheckpointRef(f"adapter{number}", "run1", f"step-{number}", "sampler", size_bytes=1) for number in range(many)
    ]

    def opened() -> tuple[int, int]:
        with Storage(loops.checkpoints) as storage:
            found = open_many(storage, refs, cache=HeaderCache(Path(cache), url))
        assert all(len(each.infos) > 1 and each.adapter_config for each in found)
        return sum(each.bytes_fetched for each in found), sum(each.total_bytes for each in found)

    return opened


def one_by_one(url: str, many: int, cache: str) -> Callable[[], tuple[int, int]]:
    """Return the plain method: one request after the other."""
    import httpx

    assert not cache
    client = httpx.Client(headers={"Authorization": "Bearer benchmark"})
    storage = httpx.Client()

    def read(address: str, first: int, count: int) -> bytes:
        return storage.get(address, headers={"Range": f"bytes={first}-{first + count - 1}"}).content

    def opened() -> tuple[int, int]:
        fetched = total = 0
        for number in range(many):
            files = client.get(f"{url}/v1/loops/checkpoints/adapter{number}/files", params={"page_size": 1000}).json()[
                "presigned_urls"
            ]
            total += sum(file["size_bytes"] for file in files)
            for file in files:
                if file["relative_file_name"].endswith(".safetensors"):
                    length = int.from_bytes(read(file["url"], 0, 8), "little")
                    tensors = json.loads(read(file["url"], 8, length))
                    assert len(tensors) > 1
                    fetched += 8 + length
                else:
                    assert storage.get(file["url"]).json()
                    fetched += file["size_bytes"]
        return fetched, total

    return opened


WAYS = {"one": one_by_one, "fresh": ours, "known": ours}


def main() -> None:
    """Open them once, and tell."""
    method, url, many, cache = sys.argv[1:]
    opened = WAYS[method](url, int(many), cache)
    start = time.perf_counter()
    fetched, total = opened()
    print(json.dumps({"seconds": time.perf_counter() - start, "fetched": fetched, "total": total}))


if __name__ == "__main__":
    main()
