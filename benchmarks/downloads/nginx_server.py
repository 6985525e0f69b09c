"""The origin server of the downloads: nginx on 127.0.0.1 at several speeds, with answers of the API's file routes.

nginx serves everything, the API's answers included, so that no server in Python is measured along with a client.  It
knows how fast it may be only after it has sent a block: of each request, the last block comes for nothing.  Under
``slow`` that is as nginx is set up, up to 2 MB, so that many requests are faster; under ``even`` it is 256 KiB.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.downloads.programs import Tools

#: Where a file is asked for, by how fast it is to come.
PLAIN, TOLD, SLOW, EVEN, LATE = "plain", "told", "slow", "even", "late"
#: Bytes a second of one connection under ``slow`` and ``even``; seconds to the first byte under ``late``.
RATE = 20 * 1024**2
DELAY = 0.03
_PATIENCE = 10.0
_SIGNATURE = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=3600&X-Amz-Signature=0123456789abcdef"
_CONFIGURATION = """
load_module {echo};
daemon off;
{user}
worker_processes 1;
error_log stderr crit;
pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  default_type application/octet-stream;
  types {{ }}
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $uri $content_md5 {{ include {folder}/digests.conf; }}
  server {{
    listen 127.0.0.1:{port};
    location /plain/ {{ alias {files}/; }}
    location /told/ {{ alias {files}/; add_header Content-MD5 $content_md5; }}
    location /slow/ {{ alias {files}/; limit_rate {rate}; }}
    location /even/ {{ alias {files}/; limit_rate {rate}; sendfile_max_chunk 256k; }}
    location /late/ {{ echo_sleep {delay}; echo_exec /waited$uri; }}
    location /waited/late/ {{ internal; alias {files}/; }}
    location /v1/ {{ default_type application/json; root {folder}/api; try_files $uri/answer.json =404; }}
    location = /v1/loops/sessions {{ default_type application/json; return 200 '{{"session":{{"id":"sess001"}}}}'; }}
  }}
}}
"""


class Source(NamedTuple):
    """A file to fetch: its path below the far end's folder, and its size."""

    name: str
    size: int


class OriginServer:
    """Makes checkpoints of files that lie in its folder.

    Parameters
    ----------
    folder
        Of its own; the files lie in ``files`` below.
    port
        Where it listens.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.url = f"http://127.0.0.1:{port}"

    def address(self, source: Source, speed: str) -> str:
        """Return what a presigned URL looks like."""
        return f"{self.url}/{speed}/{source.name}?{_SIGNATURE}"

    def publish(self, checkpoint_id: str, sources: Sequence[Source], speed: str) -> None:
        """Have the API's file routes tell of a checkpoint with these files."""
        listed = [
            {
                "url": self.address(source, speed),
                "relative_file_name": source.name.split("/", 1)[1],
                "node_rank": 0,
                "size_bytes": source.size,
                "last_modified": "2026-01-01T00:00:00Z",
            }
            for source in sources
        ]
        routes = {
            "files": {"presigned_urls": listed, "next_page_token": None, "total_count": len(listed)},
            "source": {"source": {"kind": "s3"}},
        }
        for route, answer in routes.items():
            place = self.folder / "api" / "v1" / "loops" / "checkpoints" / checkpoint_id / route
            place.mkdir(parents=True, exist_ok=True)
            (place / "answer.json").write_text(json.dumps(answer))


@contextmanager
def serve_origin(tools: Tools, folder: Path, digests: dict[str, str]) -> Iterator[OriginServer]:
    """Run nginx over ``folder/files``.

    Parameters
    ----------
    tools
        Where nginx and its echo module are.
    folder
        For everything that belongs to it.
    digests
        Content-MD5 of files, by their path below ``folder/files``; sent under ``told``.
    """
    (folder / "files").mkdir(exist_ok=True)
    port = _free_port()
    lines = [f'"/told/{name}" "{digest}";' for name, digest in digests.items()]
    (folder / "digests.conf").write_text("\n".join(['default "";', *lines, ""]))
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            echo=tools.echo_module,
            # A worker of another user could not read what lies in a private folder.
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            files=folder / "files",
            port=port,
            rate=RATE,
            delay=DELAY,
        )
    )
    with subprocess.Popen([tools.nginx, "-c", str(configuration)], stderr=subprocess.PIPE, text=True) as process:
        try:
            _wait(process, port)
            yield OriginServer(folder, port)
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[str], port: int) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        try:
            connection.request("GET", "/")
            connection.getresponse()
        except OSError:
            time.sleep(0.01)
        else:
            return
        finally:
            connection.close()
    process.terminate()
    raise RuntimeError(f"nginx did not start: {process.communicate()[1].strip()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
