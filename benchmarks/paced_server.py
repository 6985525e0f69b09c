"""A file server on loopback with the delays of a storage far away: ``python -m benchmarks.paced_server``.

It serves adapters made of one buffer of random numbers, each from another place of it, so that no disk is needed.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import Any

import numpy as np

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj")
WIDTH, RANK, STORED = 4096, 32, 2
_CHUNK = 1 << 18
_SHIFT = 1 << 16
_RANGE = re.compile(rb"(?i)^range: *bytes=(\d+)-(\d+)", re.MULTILINE)
_TARGET = re.compile(rb"^GET /(\d+)/(\S+) ")


def header(layers: int) -> bytes:
    """Return the header of a file of weights."""
    entries: dict[str, Any] = {}
    size = RANK * WIDTH * STORED
    for layer in range(layers):
        for module in MODULES:
            for half, shape in (("A", [RANK, WIDTH]), ("B", [WIDTH, RANK])):
                name = f"base_model.model.model.layers.{layer}.{module}.lora_{half}.weight"
                first = len(entries) * size
                entries[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [first, first + size]}
    raw = json.dumps(entries).encode()
    return len(raw).to_bytes(8, "little") + raw


def sizes(layers: int) -> dict[str, int]:
    """Return the size of each file of a checkpoint in bytes."""
    weights = len(header(layers)) + layers * len(MODULES) * 2 * RANK * WIDTH * STORED
    return {CONFIG: len(config()), WEIGHTS: weights}


def config() -> bytes:
    """Return the configuration of the adapters."""
    return json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": 2 * RANK}).encode()


class PacedFiles:
    """The files of some checkpoints.

    Parameters
    ----------
    checkpoints, layers
        How many there are, and layers of each.
    latency, rate
        Seconds before the first byte of an answer, and bytes a second of a connection.
    """

    def __init__(self, checkpoints: int, layers: int, latency: float, rate: float) -> None:
        self._latency, self._rate = latency, rate
        self._header = header(layers)
        self._sizes = sizes(layers)
        size = layers * len(MODULES) * 2 * RANK * WIDTH * STORED + checkpoints * _SHIFT
        numbers = np.random.default_rng(0).standard_normal(size // STORED, dtype=np.float32)
        self._data = memoryview((numbers.view(np.uint32) >> 16).astype(np.uint16).tobytes())

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                target, span = _TARGET.match(request), _RANGE.search(request)
                if target is None or span is None:
                    break
                await asyncio.sleep(self._latency)
                await self._send(writer, int(target[1]), target[2].decode(), int(span[1]), int(span[2]) + 1)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, number: int, name: str, first: int, end: int) -> None:
        parts = [memoryview(config())]
        if name == WEIGHTS:
            data = self._data[number * _SHIFT :]
            whole = len(self._header)
            at = max(0, first - whole)
            parts = [memoryview(self._header)[first:end], data[at : max(at, end - whole)]]
        length = sum(map(len, parts))
        writer.write(
            f'HTTP/1.1 206 Partial Content\r\nETag: "{number}"\r\nContent-Length: {length}\r\n'
            f"Content-Range: bytes {first}-{first + length - 1}/{self._sizes[name]}\r\n\r\n".encode()
        )
        began, sent = time.monotonic(), 0
        for part in parts:
            for start in range(0, len(part), _CHUNK):
                chunk = part[start : start + _CHUNK]
                writer.write(chunk)
                await writer.drain()
                sent += len(chunk)
                ahead = sent / self._rate - (time.monotonic() - began)
                if ahead > 0:
                    await asyncio.sleep(ahead)


async def serve(checkpoints: int, layers: int, latency: float, rate: float) -> None:
    """Serve until the standard input ends; the first line printed is the port."""
    server = await asyncio.start_server(PacedFiles(checkpoints, layers, latency, rate).answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
