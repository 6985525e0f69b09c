"""A person at a process of their own, who can be interrupted, killed, or sit at a disk that is full.

``python -m tests.downloads.person once '{"url": ..., "into": ...}'`` downloads and says as a line of JSON what came of it.
``python -m tests.downloads.person many`` reads such jobs from its input, forks for each, says the child's process id and then its end.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from loops_nb import Loops
from loops_nb.downloads import board, carry_out, carrying, growth, plan, workers
from loops_nb.errors import LoopsError
from loops_nb.storage import Storage
from tests.downloads.scene import QUICK, REF
from tests.downloads.stored import SECRET, KiB

PATIENT = 60.0


def download(job: dict[str, Any]) -> dict[str, Any]:
    """Do one download and return what came of it."""
    try:
        with (
            Loops(f"key-{SECRET}", job["url"], retry=QUICK) as loops,
            Storage(loops.checkpoints, connections=4, silence=PATIENT) as storage,
        ):
            done = carry_out(storage, plan(storage, [REF], Path(job["into"])), connections=4)
    except LoopsError as error:
        return {
            "outcome": "refused",
            "kind": type(error).__name__,
            "text": str(error),
            "failures": getattr(error, "failures", {}),
            "traceback": "".join(traceback.format_exception(error)),
        }
    except KeyboardInterrupt as error:
        return {"outcome": "interrupted", "text": " ".join(getattr(error, "__notes__", [])), "traceback": traceback.format_exc()}
    return {"outcome": "done", "fetched": done.fetched_bytes}


def once(job: dict[str, Any]) -> None:
    """Download, twice if there is something to be done in between, and say each time what came of it and what is there."""
    # Who is started in the background inherits that Ctrl-C is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    into = Path(job["into"])
    for command in [None, *job.get("between", [])]:
        if command is not None:
            subprocess.run(command, check=True)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        elif "largest" in job:
            resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest"], resource.RLIM_INFINITY))
        came = download(job)
        there = {path.relative_to(into).as_posix(): path.read_bytes().hex() for path in into.rglob("*") if path.is_file()}
        print(json.dumps({**came, "there": there}), flush=True)  # noqa: T201 - this is what it is for


def scale_down() -> None:
    """Let a file of some kilobytes be handled as one of some gigabytes is."""
    for module in (board, carrying):
        module.LEAST_CHUNK = 64 * KiB  # type: ignore[attr-defined]
    board.MOST_CHUNK = 128 * KiB
    growth.NOTE_BYTES = 16 * KiB
    workers.BUFFER_BYTES = 8 * KiB


def many() -> None:
    """Fork for each job: imports are paid once, and each child is a process that can be killed."""
    scale_down()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            came = download(json.loads(line))
            os._exit(0 if came["outcome"] == "done" else 1)
        print(child, flush=True)  # noqa: T201 - this is what it is for
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - this is what it is for


if __name__ == "__main__":
    if sys.argv[1] == "many":
        many()
    else:
        once(json.loads(sys.argv[2]))
