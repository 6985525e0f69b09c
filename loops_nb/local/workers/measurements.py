"""What the worker processes take of this machine, and the requests that they were sent: measured, kept in memory."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

#: Seconds between two measurements of a process.
INTERVAL = 1.0
#: Two hours of measurements, and as many requests.
_MOST_SAMPLES = 7200
_MOST_SUBJECTS = 64


class ProcessSample(NamedTuple):
    """A measurement: epoch milliseconds, CPU cores in use since the last one, memory and disk in bytes."""

    at: int
    cpu: float
    memory: int
    disk_used: int
    disk_total: int


class RequestSample(NamedTuple):
    """An answered request: epoch milliseconds of its arrival, seconds until the answer, and its HTTP status."""

    at: int
    seconds: float
    status: int


class Measurements:
    """Measurements of trainers and samplers, by the id of their deployment or sampler.

    Parameters
    ----------
    clock : callable
        Returns epoch milliseconds.
    folder : Path
        Whose disk is measured.
    """

    def __init__(self, clock: Callable[[], int], folder: Path) -> None:
        self._clock = clock
        self._folder = folder
        self._psutil = _psutil()
        self._due = 0.0
        #: By process id: the process, and CPU seconds and time of the last look.
        self._seen: dict[int, tuple[Any, float, float]] = {}
        self._processes: OrderedDict[str, deque[ProcessSample]] = OrderedDict()
        self._requests: OrderedDict[str, deque[RequestSample]] = OrderedDict()
        self.since: int = clock()

    @property
    def note(self) -> str:
        """How the numbers were made, in words."""
        if self._psutil is None:
            return "Nothing is measured: the local service needs psutil for it, which is not installed."
        # Short, as it stands in the heading of a panel.
        return "Measured by the local service on this machine. There are no GPUs."

    def measure(self, processes: Mapping[str, int]) -> None:
        """Measure the processes, given by the id of their subject, if the last time is long enough ago."""
        now = time.monotonic()
        if self._psutil is None or now < self._due:
            return
        self._due = now + INTERVAL
        self._seen = {pid: seen for pid, seen in self._seen.items() if pid in processes.values()}
        for key, pid in processes.items():
            # A process may end at any moment.
            with contextlib.suppress(self._psutil.Error, OSError):
                self._measure_one(key, pid, now)

    def _measure_one(self, key: str, pid: int, now: float) -> None:
        known = self._seen.get(pid)
        process = known[0] if known else self._psutil.Process(pid)
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info().rss
        spent = times.user + times.system
        self._seen[pid] = process, spent, now
        if known is None:
            return
        disk = shutil.disk_usage(self._folder)
        cpu = max(0.0, spent - known[1]) / (now - known[2])
        _queue(self._processes, key).append(ProcessSample(self._clock(), cpu, memory, disk.used, disk.total))

    def add_request(self, key: str, at: int, seconds: float, status: int) -> None:
        """Keep an answered request."""
        _queue(self._requests, key).append(RequestSample(at, seconds, status))

    @contextlib.contextmanager
    def request(self, key: str) -> Iterator[None]:
        """Time a request; one that raises counts with the status of its error."""
        at, began, status = self._clock(), time.perf_counter(), 500
        try:
            yield
            status = 200
        except Exception as error:
            status = getattr(error, "status", status)
            raise
        finally:
            self.add_request(key, at, time.perf_counter() - began, status)

    def processes(self, key: str, start: int, end: int) -> list[ProcessSample]:
        """Return the measurements of a subject in a window."""
        return [sample for sample in self._processes.get(key, ()) if start <= sample.at < end]

    def requests(self, key: str, start: int, end: int) -> list[RequestSample]:
        """Return the requests of a subject in a window."""
        return [sample for sample in self._requests.get(key, ()) if start <= sample.at < end]


def _queue(queues: OrderedDict[str, deque[Any]], key: str) -> deque[Any]:
    found = queues.get(key)
    if found is None:
        found = queues[key] = deque(maxlen=_MOST_SAMPLES)
        while len(queues) > _MOST_SUBJECTS:
            queues.popitem(last=False)
    queues.move_to_end(key)
    return found


def _psutil() -> Any:
    try:
        return import_module("psutil")
    except ImportError:
        return None
