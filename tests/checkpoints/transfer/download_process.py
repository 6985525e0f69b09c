"""A download in a process of its own, which can be interrupted, killed, or run on a full disk.

``python -m tests.checkpoints.transfer.download_process once '{"url": ..., "into": ...}'`` downloads and prints the
outcome as
a line of JSON.
``python -m tests.checkpoints.transfer.download_process many`` reads such jobs from its input, forks for each, and
prints the child's process id and then its exit code.
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
from loops_nb.checkpoints.http import Storage
from loops_nb.checkpoints.transfer import execute_plan, executor, partial_disk_file, plan, work_queue, workers
from loops_nb.errors import LoopsError
from tests.checkpoints.transfer.scenario import QUICK, REF
from tests.checkpoints.transfer.stored_file import SECRET, KiB

PATIENT = 60.0


def download(job: dict[str, Any]) -> dict[str, Any]:
    """Do one download and return what came of it."""
    try:
        with (
            Loops(f"key-{SECRET}", job["url"], retry=QUICK) as loops,
            Storage(loops.checkpoints, connections=4, silence=PATIENT) as storage,
        ):
            done = execute_plan(storage, plan(storage, [REF], Path(job["into"])), connections=4)
    except LoopsError as error:
        return {
            "outcome": "refused",
            "kind": type(error).__name__,
            "text": str(error),
            "failures": getattr(error, "failures", {}),
            "traceback": "".join(traceback.format_exception(error)),
        }
    except KeyboardInterrupt as error:
        return {
            "outcome": "interrupted",
            "text": " ".join(getattr(error, "__notes__", [])),
            "traceback": traceback.format_exc(),
        }
    return {"outcome": "done", "fetched": done.fetched_bytes}


def once(job: dict[str, Any]) -> None:
    """Download, twice if there is something to do in between, and print each time the outcome and the files."""
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
        there = {
            path.relative_to(into).as_posix(): path.read_bytes().hex() for path in into.rglob("*") if path.is_file()
        }
        print(json.dumps({**came, "there": there}), flush=True)  # noqa: T201 - this is what it is for


def scale_down() -> None:
    """Let a file of some kilobytes be handled as one of some gigabytes is."""
    for module in (work_queue, executor):
        module.MIN_SPLIT_BYTES = 64 * KiB  # type: ignore[attr-defined]
    work_queue.MAX_SEGMENT_BYTES = 128 * KiB
    partial_disk_file.RECORD_BYTES = 16 * KiB
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
