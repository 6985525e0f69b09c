"""A small real HTTP server on 127.0.0.1 that answers listings of N checkpoints, and counts who connects.

``GET /v1/loops/checkpoints?run_id=rows-N`` answers N rows, made before the first request of that length is answered and
kept; ``GET /v1/loops/runs`` and ``GET /v1/loops/deployments`` answer a dozen, ``GET /v1/loops/samplers`` none. ``GET
/count`` answers how many TCP connections there were, itself included.  It prints its port when it is ready.
"""

from __future__ import annotations

import asyncio
import json
import re
from urllib.parse import parse_qs, urlsplit

from benchmarks.bodies import checkpoints_body, deployments_body, runs_body

_KEPT: dict[int, bytes] = {}
_SHORT = {
    ("GET", "/v1/loops/runs"): runs_body(12),
    ("GET", "/v1/loops/deployments"): deployments_body(12),
    ("GET", "/v1/loops/samplers"): b'{"samplers":[]}',
    # The SDK makes a session when its client is made, before any clock starts; it sends no body.
    ("POST", "/v1/loops/sessions"): b'{"session":{"id":"sess001"}}',
}


class Server:
    """Keeps connections open, answers in order, and counts.

    The answers are ready before they are asked for, so that a client is measured and not this server.
    """

    def __init__(self) -> None:
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it is closed."""
        self.connections += 1
        try:
            while head := await _head(reader):
                status, body = self.answer(head.split(b"\r\n", 1)[0].decode())
                writer.write(
                    (
                        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                    ).encode()
                    + body
                )
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def answer(self, request: str) -> tuple[str, bytes]:
        """Return status and body for a request line."""
        method, target, _ = request.split(" ")
        url = urlsplit(target)
        if (method, url.path) in _SHORT:
            return "200 OK", _SHORT[method, url.path]
        if url.path == "/count":
            return "200 OK", json.dumps({"connections": self.connections}).encode()
        asked = re.fullmatch(r"rows-(\d{1,6})", parse_qs(url.query).get("run_id", [""])[0])
        if url.path != "/v1/loops/checkpoints" or asked is None:
            return "404 Not Found", b'{"code":"NOT_FOUND","message":"Ask for /v1/loops/checkpoints?run_id=rows-N."}'
        rows = int(asked[1])
        if rows not in _KEPT:
            _KEPT[rows] = checkpoints_body(rows, configs="all")
        return "200 OK", _KEPT[rows]


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def main() -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(Server().serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
