"""A team's store in PostgreSQL on this machine: ``python -m benchmarks.tracking.team``.

Debian's server with its default settings (``fsync`` on), in a folder of this disk; each writer is a process.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import ROOT
from benchmarks.rounds import machine

WRITERS, CALLS, PACED_SECONDS, PACED_PAUSE = 32, 4_000, 8.0, 0.02
EXPERIMENTS, LOOKS, VALUES, DELAY_SECONDS = 10_000, 5, 12, 0.1
_GOAL_LISTING, _GOAL_MOVE = 2.0, 1.0
_WORKER = """
import sys
from benchmarks.tracking.team import write
write(*sys.argv[1:])
"""
#: Experiments of a sweep with three metrics, as the writers leave them, without their points.
_FILL = """
    INSERT INTO loops_nb.experiments (id, name, created_at, last_at, params, author)
    SELECT lpad(to_hex(n), 8, '0'), 'sweep-' || n, 1.7e12 + n * 1000, 1.7e12 + n * 1000 + 60000,
        '{"lr": ' || 10.0 ^ -(1 + n % 5) || ', "lora": {"rank": ' || (8 << n % 3) || '}, "seed": ' || n || '}',
        'user' || n % 7
    FROM generate_series(1, %(count)s) AS n;
    INSERT INTO loops_nb.series
        (experiment, key, count, first_step, last_step, appended, last_value, min_value, max_value)
    SELECT seq, key, 20, 0, 19, 1, 0.1, 0.1, 2.0
    FROM loops_nb.experiments, unnest(ARRAY['loss', 'accuracy', 'grad_norm']) AS key;
    INSERT INTO loops_nb.tags SELECT seq, 'sweep' FROM loops_nb.experiments;
    INSERT INTO loops_nb.sessions (experiment, token, host, pid, at, outcome)
    SELECT seq, id, 'node', 1, last_at, 'finished' FROM loops_nb.experiments;
    ANALYZE"""


def write(kind: str, name: str) -> None:
    """Log as one writer, and print its figures: ``fast`` as fast as it can, ``paced`` as a training does."""
    from loops_nb import experiment

    exp = experiment(name)
    values = {"loss": 0.5, "grad_norm": 1.5, "lr": 1e-4, "tokens": 2048.0, "seconds": 0.125}
    print("READY", flush=True)
    sys.stdin.readline()
    calls = CALLS if kind == "fast" else int(PACED_SECONDS / PACED_PAUSE)
    times = []
    began = time.time()
    for step in range(calls):
        called = time.perf_counter()
        exp.log(values, step=step)
        times.append(time.perf_counter() - called)
        if kind == "paced":
            time.sleep(PACED_PAUSE)
    exp.close()
    figures = {"began": began, "ended": time.time(), "values": calls * len(values), "log": sorted(times)[::10]}
    print(json.dumps(figures), flush=True)


def stamp(name: str) -> None:
    """Log the time, as a training on another machine would log its loss."""
    from loops_nb import experiment

    exp = experiment(name)
    for step in range(VALUES):
        # Not in step with the pauses of the process that looks.
        time.sleep(1.5 + 0.137 * step % 0.5)
        exp.log(sent=time.time(), step=step)
    exp.close()


def _started(home: Path, code: str, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "LOOPS_NB_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _writers(kind: str, folder: Path) -> dict[str, float]:
    started = [_started(folder / f"{kind}{n}", _WORKER, kind, f"{kind}-{n}") for n in range(WRITERS)]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    found: list[dict[str, Any]] = [json.loads(process.communicate()[0]) for process in started]
    seconds = max(one["ended"] for one in found) - min(one["began"] for one in found)
    times = [call for one in found for call in one["log"]]
    return {
        "values/s": sum(one["values"] for one in found) / seconds,
        "p99 of log(), us": 1e6 * statistics.quantiles(times, n=100)[98],
    }


def _check(address: str, kind: str) -> None:
    from loops_nb.tracking import ExperimentStore

    with ExperimentStore(address) as store:
        summaries = store.summaries().series
        written = [row for row in store.experiments() if row.name.startswith(f"{kind}-")]
        counts = {of.points for row in written for of in summaries[row.id].values()}
    assert len(written) == WRITERS
    assert counts == {CALLS if kind == "fast" else int(PACED_SECONDS / PACED_PAUSE)}, counts


def _listing(address: str) -> float:
    from loops_nb.tracking.metrics import Metrics

    times = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        frame = Metrics(address).experiments(sort="best.loss")
        times.append(time.perf_counter() - began)
        assert len(frame) == EXPERIMENTS
    return statistics.median(times)


def _moves(address: str, folder: Path) -> list[float]:
    """Return the seconds from ``log()`` in another process to the point in the messages to a page."""
    from loops_nb.panels.curves.messages import ChartSpec
    from loops_nb.tracking import ExperimentStore
    from tests.panels.curves.fake_page import Page

    code = f"from benchmarks.tracking.team import stamp\nstamp({folder.name!r})"
    writer = _started(folder, code)
    found: dict[float, float] = {}
    with ExperimentStore(address) as store:
        while not any(row.name == folder.name for row in store.experiments()):
            time.sleep(0.05)
        page = Page(store, [folder.name], spec=ChartSpec(key="sent"))  # type: ignore[arg-type]
        page.plot(key="sent", columns=4000)
        while writer.poll() is None or len(found) < VALUES:
            for line in list(page.lines.values()):
                for step in line["x"]:
                    found.setdefault(step, time.time())
            time.sleep(0.005)
            if writer.poll() is not None and threading.active_count() == 1:
                break
        page.close()
        (row,) = [row for row in store.experiments() if row.name == folder.name]
        series = store.series(row.id, "sent")
    return [found[step] - sent for step, sent in zip(series.step.tolist(), series.value.tolist(), strict=True)]


def _polls(address: str) -> float:
    from loops_nb.tracking import ExperimentStore

    times = []
    with ExperimentStore(address) as store:
        for _ in range(200):
            began = time.perf_counter()
            store.version()
            times.append(time.perf_counter() - began)
    return 1e6 * statistics.median(times)


def main() -> None:
    """Print the figures."""
    import psycopg

    from tests.tracking.postgres_server import PostgresServer
    from tests.tracking.tcp_proxy import TcpProxy

    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory(prefix="loops-postgres-") as data, tempfile.TemporaryDirectory() as homes:
        server = PostgresServer(Path(data), is_durable=True)
        server.start()
        try:
            address = server.address("postgres")
            os.environ["LOOPS_NB_TRACKING"] = address
            for kind in ("paced", "fast"):
                figures = _writers(kind, Path(homes))
                _check(address, kind)
                said = ", ".join(f"{name} {value:,.0f}" for name, value in figures.items())
                print(f"{WRITERS} writers, {kind}: {said}", flush=True)
            print(f"version(), which a panel polls: {_polls(address):,.0f} us", flush=True)
            _print_moves("another process's point to the page", _moves(address, Path(homes) / "near"))
            with TcpProxy(server.port, delay_seconds=DELAY_SECONDS) as proxy:
                far = server.address("postgres", port=proxy.port)
                os.environ["LOOPS_NB_TRACKING"] = far
                name = f"the same, both {2 * DELAY_SECONDS * 1000:.0f} ms away"
                _print_moves(name, _moves(far, Path(homes) / "far"))
                os.environ["LOOPS_NB_TRACKING"] = address
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("TRUNCATE loops_nb.experiments, loops_nb.series, loops_nb.sessions")
                connection.execute(_FILL.replace("%(count)s", str(EXPERIMENTS)).encode())
            print(f"{EXPERIMENTS:,} experiments, sorted: {_listing(address):.2f} s (goal {_GOAL_LISTING:.0f})")
        finally:
            server.kill()


def _print_moves(name: str, times: Sequence[float]) -> None:
    print(f"{name}: median {statistics.median(times):.2f} s, longest {max(times):.2f} s (goal {_GOAL_MOVE:.0f})")


if __name__ == "__main__":
    main()
