"""From the bytes of ``GET /v1/loops/checkpoints`` to a frame: ours, the naive method, official models, two floors."""

from __future__ import annotations

import os
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bodies import checkpoints_body
from benchmarks.peers import ROOT, SUPPORTED, models_python
from benchmarks.rounds import Ratio, compare, table, take_turns

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = ("ours", "naive", "pydantic", "floor", "orjson")
PEERS = {
    "naive": "json + DataFrame + to_datetime",
    "pydantic": "baseten 0.13.1 models -> columns",
    "floor": "ours / msgspec decode alone",
    "orjson": "orjson.loads alone, no frame",
}
#: By rows and way, for the cold call; memory is a share, the floor a multiple.
GOALS = {
    (100, "naive"): ">= 1",
    (10_000, "naive"): ">= 1.8",
    (10_000, "pydantic"): ">= 3",
    (10_000, "floor"): "<= 3",
    (10_000, "orjson"): ">= 1",
    (100_000, "naive"): ">= 2.2",
    (100_000, "orjson"): ">= 1",
}
MEMORY_GOAL = "<= 0.6"
ROUNDS = {100: 9, 10_000: 7, 100_000: 5}
#: A warm figure is a median of calls already.
WARM_ROUNDS = {100: 3, 10_000: 3, 100_000: 1}
NOTE = (
    "One call. Cold: in a fresh process, imports done, after gc.collect(). Warm: the median of repeated calls in one "
    "process. Memory: the peak of tracemalloc during one call. The body is not counted."
)


def measure(way: str, mode: str, python: Path, file: Path) -> float:
    """Return one figure, taken in a process of its own."""
    # Loaded bytecode, a fixed hash seed and no user site: the same process every time.
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1"}
    command = [str(python), "-m", "benchmarks.frame_worker", way, mode, str(file)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=env, cwd=ROOT).stdout)


def run(*, versions: tuple[str, ...] = SUPPORTED, rounds: int | None = None) -> Iterator[str]:
    """Give the tables as they are finished, one a Python version that the machine has.

    Parameters
    ----------
    versions
        Python versions to measure on.
    rounds
        Rounds of every comparison; by default more for the short ones.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for rows in ROUNDS:
            files[rows] = Path(folder) / f"{rows}.json"
            files[rows].write_bytes(checkpoints_body(rows))
        for version in versions:
            python = models_python(version)
            if python is None:
                yield f"## Frames on Python {version}\n\nNot on this machine.\n"
            else:
                yield table(f"Frames on Python {version} ({_versions(python)})", NOTE, _lines(python, files, rounds))


def _lines(python: Path, files: dict[int, Path], rounds: int | None) -> list[Ratio]:
    lines = []
    for rows, file in files.items():
        for mode in ("cold", "warm"):
            turns = (rounds or ROUNDS[rows]) if mode == "cold" else min(rounds or ROUNDS[rows], WARM_ROUNDS[rows])
            figures = take_turns({way: partial(measure, way, mode, python, file) for way in WAYS}, turns)
            lines += [
                compare(
                    f"{rows:,} rows, {mode}",
                    PEERS[way],
                    figures["ours"],
                    figures[way],
                    goal=GOALS.get((rows, way), "") if mode == "cold" else "",
                    invert=way == "floor",
                )
                for way in WAYS[1:]
            ]
    largest = max(files)
    figures = take_turns({way: partial(measure, way, "memory", python, files[largest]) for way in ("ours", "naive")}, 1)
    lines.append(
        compare(
            f"{largest:,} rows, peak memory",
            f"ours / {PEERS['naive']}",
            figures["ours"],
            figures["naive"],
            goal=MEMORY_GOAL,
            unit="MB",
            invert=True,
        )
    )
    return lines


def _versions(python: Path) -> str:
    code = (
        "from importlib.metadata import version as v; print(', '.join(f'{n} {v(n)}' for n in "
        "('pandas', 'numpy', 'msgspec', 'orjson', 'pydantic', 'baseten')))"
    )
    return subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout.strip()
