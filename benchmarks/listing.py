"""A warm listing end to end over loopback, against the official SDK's ``list_checkpoints``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING

from benchmarks.peers import ROOT, SDK, SDK_PYTHON, sdk_python
from benchmarks.rounds import Ratio, compare, table, take_turns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: By rows: rounds, listings in a row in each, and how many times faster than the SDK we are to be.
SIZES = {100: (15, 9, ">= 10"), 10_000: (9, 5, ">= 7")}
PEER = f"{SDK[0].replace('==', ' ')} list_checkpoints"
NOTE = (
    f"Warm: later listings of one client object over HTTP on 127.0.0.1, all in the same Python {SDK_PYTHON} "
    "environment, each way in a process of its own; a round takes the median of some listings in a row."
)


def run(*, rounds: int | None = None) -> Iterator[str]:
    """Give the table, and below it the connections and SSL contexts that a second listing costs."""
    python = sdk_python()
    if python is None:
        yield f"## Listings over HTTP\n\nThe Loops SDK wants Python {SDK_PYTHON}, which is not on this machine.\n"
        return
    lines: list[Ratio] = []
    costs: list[str] = []
    with server() as url:
        for rows, (turns, row, goal) in SIZES.items():
            with ExitStack() as stack:
                clients = {
                    way: stack.enter_context(_client(python, way, url, rows))
                    for way in ("frame", "listed", "sdk", "get")
                }
                for way, client in clients.items():
                    ask(client, 1)
                    before = _connections(url)
                    contexts = ask(client, 1)[1]
                    # The count itself connects once.
                    opened = _connections(url) - before - 1
                    costs.append(f"| {rows:,} rows, {way} | {opened} | {contexts} |")
                figures = take_turns(
                    {way: partial(_seconds, client, row) for way, client in clients.items()}, rounds or turns
                )
            lines += [
                compare(f"{rows:,} rows to a frame", PEER, figures["frame"], figures["sdk"], goal=goal),
                compare(f"{rows:,} rows to a list", PEER, figures["listed"], figures["sdk"], goal=goal),
                compare(
                    f"{rows:,} rows to a frame",
                    "ours / bare GET of a shared httpx client",
                    figures["frame"],
                    figures["get"],
                    invert=True,
                ),
            ]
    head = "| | new TCP connections in the second listing | SSL contexts made by then |\n|---|---|---|"
    yield table("Listings over HTTP", NOTE, lines) + "\n".join(["", head, *costs, ""])


def ask(client: subprocess.Popen[str], times: int) -> tuple[float, int]:
    """Have a client list some times in a row; return the median's seconds, and the SSL contexts it has made so far."""
    _pipe(client.stdin).write(f"{times}\n")
    _pipe(client.stdin).flush()
    seconds, contexts = _pipe(client.stdout).readline().split()
    return float(seconds), int(contexts)


def _seconds(client: subprocess.Popen[str], times: int) -> float:
    return ask(client, times)[0]


def _connections(url: str) -> int:
    with urllib.request.urlopen(f"{url}/count") as answer:  # noqa: S310 - our own server
        count: int = json.load(answer)["connections"]
    return count


@contextmanager
def server() -> Iterator[str]:
    """Run `benchmarks.listing_server` in a process of its own, and give its address."""
    with _process([sys.executable, "-m", "benchmarks.listing_server"]) as process:
        yield f"http://127.0.0.1:{int(_pipe(process.stdout).readline())}"


@contextmanager
def _client(python: Path, way: str, url: str, rows: int) -> Iterator[subprocess.Popen[str]]:
    with _process([str(python), "-m", "benchmarks.listing_worker", way, url, str(rows)]) as client:
        yield client


@contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def environment() -> dict[str, str]:
    """Return the environment of a measured process: no proxy before 127.0.0.1, and no request to anybody else.

    Bytecode may be written, as everywhere else: without it our modules alone would be compiled at each start, since the
    peers' were compiled when they were installed.
    """
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and name != "PYTHONDONTWRITEBYTECODE"
    }
    quiet = {"WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1", "TRUSS_NO_UPDATE_CHECK": "1"}
    return {**plain, **quiet, "PYTHONPATH": str(ROOT), "PYTHONNOUSERSITE": "1"}


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
