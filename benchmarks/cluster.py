"""Comparison of many remote checkpoints: threads of one process against the workers of a Dask cluster."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import paced_server
from benchmarks.peers import ROOT
from benchmarks.rounds import Ratio, compare, table, take_turns
from loops_nb.api.models import CheckpointFile, CheckpointSource
from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.compare import compare as compare_checkpoints
from loops_nb.checkpoints.http import Storage
from loops_nb.checkpoints.tensors import open_many

if TYPE_CHECKING:
    from collections.abc import Iterator


class Case(NamedTuple):
    """Checkpoints behind a network.

    Parameters
    ----------
    checkpoints, layers
        How many checkpoints, and layers of each: 32 of 6 modules, of rank 32 and 4,096 wide in BF16, are 100 MB.
    latency, rate
        Seconds before the first byte of an answer, and bytes a second of a connection.
    """

    checkpoints: int
    layers: int
    latency: float
    rate: float

    @property
    def name(self) -> str:
        """In a table."""
        size = sum(paced_server.sizes(self.layers).values())
        return (
            f"{self.checkpoints} of {size / 1e6:.0f} MB, {self.latency * 1e3:.0f} ms and {self.rate / 1e6:.0f} MB/s a "
            "connection"
        )


#: The second is one where two processors do not limit: each connection is slow.
CASES = (Case(64, 32, 0.020, 50e6), Case(64, 4, 0.100, 5e6))
#: Threads of a comparison, as `loops.checkpoints.compare` has them, and of each worker.
THREADS, THREADS_A_WORKER = 8, 2
NOTE = (
    "The first of some adapters is compared with each other one, through a file server on 127.0.0.1 that waits before "
    "each answer and sends no faster than a connection far away. Server, caller and workers share the machine: with "
    "fast connections its processors are the limit, where workers on machines of their own would have theirs. The rows "
    "are compared: equal to the bit. Headers are read before; a cluster is started before, and warm. "
    f"Threads: {THREADS}, with as many connections; a worker is a process of {THREADS_A_WORKER} threads, each with up "
    "to eight connections, 16 in all."
)


@dataclass(frozen=True)
class PacedService:
    """Lists the files of the server, as ``loops.checkpoints`` does; it may be pickled.

    Parameters
    ----------
    url
        The server's.
    layers
        Of each checkpoint.
    """

    url: str
    layers: int

    def files(self, checkpoint_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        """Iterate over the files of a checkpoint."""
        del page_size
        for name, size in paced_server.sizes(self.layers).items():
            yield CheckpointFile(
                url=f"{self.url}/{checkpoint_id}/{name}", relative_file_name=name, node_rank=0, size_bytes=size
            )

    def source(self, checkpoint_id: str) -> CheckpointSource:
        """Return that its files have URLs."""
        del checkpoint_id
        return CheckpointSource(kind="s3")


def run(*, rounds: int | None = None, cases: Sequence[Case] = CASES) -> Iterator[str]:
    """Give the table of ratios, with seconds and processor time of each way below it.

    Parameters
    ----------
    rounds
        Rounds of every way; one by default, because each reads gigabytes.
    cases
        What is compared.
    """
    ratios: list[Ratio] = []
    lines: list[str] = []
    for case in cases:
        with _server(case) as url, ExitStack() as stack:
            ways = {name: stack.enter_context(way()) for name, way in _WAYS.items()}
            measured = _Measured(case, url)
            figures = take_turns({name: partial(measured.seconds, way) for name, way in ways.items()}, rounds or 1)
        threads, *others = figures
        ratios += [
            compare(f"{case.name}: {name}", threads, figures[name], figures[threads], unit="s") for name in others
        ]
        for name, seconds in figures.items():
            median = statistics.median(seconds)
            used = measured.processor_seconds[ways[name]]
            lines.append(f"| {case.name} | {name} | {median:.1f} | {measured.size / median / 1e6:.0f} | {used:.1f} |")
    head = "| checkpoints | way | s | MB/s of checkpoints | CPU s, caller and workers |\n|---|---|---|---|---|"
    yield table("Comparison on a cluster", NOTE, ratios) + "\n".join(["", head, *lines, ""])


class _Measured:
    """Comparisons of the checkpoints of a case, which all have to give the same rows."""

    def __init__(self, case: Case, url: str) -> None:
        self._service = PacedService(url, case.layers)
        self._refs = [CheckpointRef(str(n), "bench", f"step-{n}", "sampler") for n in range(case.checkpoints)]
        self._rows = ""
        #: Of the last round, of this process and the workers.
        self.processor_seconds: dict[_Way, float] = {}
        self.size = case.checkpoints * sum(paced_server.sizes(case.layers).values())

    def seconds(self, way: _Way) -> float:
        with Storage(self._service, connections=16) as storage:
            opened = open_many(storage, self._refs)
            before, used = time.monotonic(), time.process_time() + way.used()
            rows = repr(compare_checkpoints(opened, workers=THREADS, executor=way.executor).rows)
            seconds = time.monotonic() - before
            self.processor_seconds[way] = time.process_time() + way.used() - used
        self._rows = self._rows or rows
        assert rows == self._rows, "other rows"
        return seconds


class _Way(NamedTuple):
    """An executor, and the processor seconds that its workers have used."""

    executor: Any
    used: Callable[[], float]


@contextmanager
def _no_executor() -> Iterator[_Way]:
    yield _Way(None, float)


@contextmanager
def _dask(workers: int) -> Iterator[_Way]:
    import distributed

    cluster: Any = distributed.LocalCluster
    client: Any = distributed.Client
    options = {"n_workers": workers, "threads_per_worker": THREADS_A_WORKER, "dashboard_address": "127.0.0.1:0"}
    with cluster(processes=True, **options) as made, client(made) as connected:
        # Workers import what they need before the clock runs.
        connected.run(__import__, "loops_nb.checkpoints.compare")
        yield _Way(connected.get_executor(), lambda: sum(connected.run(time.process_time).values()))


_WAYS: dict[str, Callable[[], Any]] = {
    f"{THREADS} threads": _no_executor,
    **{f"{workers} Dask workers": partial(_dask, workers) for workers in (2, 4)},
}


@contextmanager
def _server(case: Case) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.paced_server", *map(str, case)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()
