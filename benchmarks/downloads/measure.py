"""One download in a process of its own, with what it took: seconds, CPU and memory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.listing import environment
from benchmarks.peers import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOK_SECONDS = 0.01


class Figures(NamedTuple):
    """What one download took.

    Parameters
    ----------
    seconds
        Of the transfer: a program's from start to end, a Python contender's without the interpreter and its imports.
    whole
        Of the whole process.
    cpu
        Seconds of CPU in the transfer, user and system.
    peak
        Greatest resident memory in bytes: a program's, a Python contender's above what it held before the transfer.
    """

    seconds: float
    whole: float
    cpu: float
    peak: int


def program(command: Sequence[str], folder: Path) -> Figures:
    """Run a program in a folder, to its good end."""
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        looks = _Looks(process.pid)
        looks.start()
        # Before wait4, which would leave a full pipe full.
        said = process.stderr.read() if process.stderr else b""
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        looks.stop()
    if process.returncode:
        raise RuntimeError(
            f"{command[0]} ended with {process.returncode}: {said.decode(errors='replace').strip()[-500:]}"
        )
    return Figures(seconds, seconds, used.ru_utime + used.ru_stime, looks.peak)


def python(interpreter: Path, *words: str) -> Figures:
    """Run `benchmarks.downloads.worker`, which measures its transfer itself."""
    start = time.perf_counter()
    told = python_tells(interpreter, "benchmarks.downloads.worker", *words)
    return Figures(told["seconds"], time.perf_counter() - start, told["cpu"], told["peak"])


def python_tells(interpreter: Path, module: str, *words: str) -> dict[str, Any]:
    """Run a module in a process of its own, and return the JSON of the last line that it prints."""
    command = [str(interpreter), "-m", module, *words]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} {words[0]} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


class _Looks(threading.Thread):
    """Samples the peak memory of a process until it ends: the kernel's count would start from this process' memory."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self._done = threading.Event()
        self.peak = 0

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while not self._done.wait(_LOOK_SECONDS):
                self.peak = max(self.peak, high_water(self._status))

    def stop(self) -> None:
        self._done.set()
        self.join()


def high_water(status: Path) -> int:
    """Return the greatest resident memory of a process so far, in bytes; 0 when it has none any more."""
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
