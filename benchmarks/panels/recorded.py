"""A file of experiments with many points, written as the recorder writes them, but as fast as the disk takes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from loops_nb.tracking.schema import open_store

if TYPE_CHECKING:
    from pathlib import Path

#: Points of a merged chunk.
_CHUNK = 16_384
_BEGAN = 1_760_000_000_000
_EXPERIMENT = """
    INSERT INTO experiments (id, name, created_at, last_at, archived, params, summary)
    VALUES (?, ?, ?, ?, 0, '{}', '{}') RETURNING seq"""
_SERIES = """
    INSERT INTO series (experiment, key, count, first_step, last_step, last_value, min_value, max_value, appended)
    VALUES (?, ?, ?, 0, ?, ?, ?, ?, 1) RETURNING seq"""

_CHUNKS = "INSERT INTO chunks (series, start, count, points) VALUES (?, ?, ?, ?)"


def record(path: Path, *, metrics: int, runs: int, points: int) -> None:
    """Write experiments ``run 0`` and so on, each with metrics ``metric 0`` and so on, of so many points each."""
    random = np.random.default_rng(0)
    file = open_store(path)
    file.execute("PRAGMA synchronous = OFF")
    file.execute("BEGIN")
    for run in range(runs):
        began = _BEGAN + 1000 * run
        row = (f"run{run:05}", f"run {run}", began, began + 100 * points)
        (experiment,) = file.execute(_EXPERIMENT, row).fetchone()
        file.execute("INSERT INTO attempts (experiment, number, opening) VALUES (?, 1, ?)", (experiment, f"o{run}"))
        for key in range(metrics):
            values = random.normal(size=points).cumsum()
            at = 100 * np.arange(points) + random.integers(0, 50, points)
            ends = float(values[-1]), float(values.min()), float(values.max())
            (series,) = file.execute(_SERIES, (experiment, f"metric {key}", points, points - 1, *ends)).fetchone()
            for first in range(0, points, _CHUNK):
                part = slice(first, first + _CHUNK)
                times = (int(began + at[first]), (at[part] - at[first]).astype("<i4").tobytes())
                columns = ((first, 1), times, math.nan, values[part].astype("<f8").tobytes(), (1, 0))
                blob = msgspec.msgpack.encode(columns)
                count = len(values[part])
                file.execute(_CHUNKS, (series, first, count, blob))
    file.execute("COMMIT")
    file.close()
