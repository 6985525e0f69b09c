"""A store of experiments in memory, for tests that need none on a disk."""

from __future__ import annotations

import itertools
import math
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loops_nb.tracking.rows import ExperimentMark, ExperimentRow, KeyRow, Series


@dataclass
class _Points:
    step: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    attempt: list[int] = field(default_factory=list)


class MemoryStore:
    """The methods of `loops_nb.tracking.ExperimentStore` that curves need."""

    def __init__(self) -> None:
        self.broken: Exception | None = None
        self.asked: list[str] = []
        self._rows: dict[str, ExperimentRow] = {}
        self._points: dict[tuple[str, str], _Points] = {}
        self._marks: dict[str, list[ExperimentMark]] = {}
        self._version = itertools.count(1)
        self._now = next(self._version)
        self._lock = threading.Lock()

    # What tests do.

    def begin(
        self, name: str, *, params: dict[str, Any] | None = None, run_id: str | None = None, created_at: int = 0
    ) -> str:
        """Begin an experiment, and return its id."""
        with self._lock:
            found = f"ex-{len(self._rows)}"
            began = created_at or 1_700_000_000_000 + len(self._rows)
            self._rows[found] = ExperimentRow(
                found, name, run_id, None, began, (), params or {}, (), archived=False, last_at=began
            )
            self._marks[found] = []
            self._now = next(self._version)
            return found

    def log(
        self,
        experiment: str,
        key: str,
        values: list[float],
        *,
        first: int = 0,
        attempt: int = 1,
        tokens: float = math.nan,
    ) -> None:
        """Record values of following steps, a second apart."""
        with self._lock:
            points = self._points.setdefault((experiment, key), _Points())
            began = self._rows[experiment].created_at
            for step, value in enumerate(values, start=first):
                points.step.append(step)
                points.at.append(began + 1000 * step)
                points.tokens.append(tokens * step)
                points.value.append(float(value))
                points.attempt.append(attempt)
            self._now = next(self._version)

    def fill(self, experiment: str, key: str, values: Any) -> None:
        """Record a whole array at once."""
        with self._lock:
            points = _Points()
            count = len(values)
            began = self._rows[experiment].created_at
            points.step, points.at = np.arange(count), began + 1000 * np.arange(count)  # type: ignore[assignment]
            points.tokens, points.attempt = np.full(count, math.nan), np.ones(count)  # type: ignore[assignment]
            points.value = values
            self._points[experiment, key] = points
            self._now = next(self._version)

    def save(self, experiment: str, step: int, name: str) -> str:
        """Record a save, and return its URI."""
        with self._lock:
            uri = f"bt://loops:{self._rows[experiment].run_id or 'r'}/weights/{name}"
            at = self._rows[experiment].created_at + 1000 * step
            self._marks[experiment].append(ExperimentMark("save", step, at, name, uri, "trainer", 1))
            self._now = next(self._version)
            return uri

    def note(self, experiment: str, step: int, text: str) -> None:
        """Record a note."""
        with self._lock:
            at = self._rows[experiment].created_at + 1000 * step
            self._marks[experiment].append(ExperimentMark("note", step, at, text, None, None, 1))
            self._now = next(self._version)

    def archive(self, experiment: str) -> None:
        """Put an experiment out of sight."""
        with self._lock:
            self._rows[experiment] = self._rows[experiment]._replace(archived=True)
            self._now = next(self._version)

    def delete(self, experiment: str) -> None:
        """Forget an experiment."""
        with self._lock:
            del self._rows[experiment]
            self._now = next(self._version)

    def train(self, experiment: str, until: Any, *, every: float = 0.05) -> None:
        """Record a falling loss until a file is there; for a cell."""
        for step in itertools.count():
            if until.exists():
                return
            self.log(experiment, "loss", [3 / (1 + step / 20)], first=step)
            time.sleep(every)

    # What curves ask for.

    def experiments(self, *, archived: bool = False) -> list[ExperimentRow]:
        """Return the experiments."""
        self._note("experiments")
        return [row for row in self._rows.values() if archived or not row.archived]

    def keys(self, experiment_id: str, /) -> list[KeyRow]:
        """Return the keys of one."""
        self._note("keys")
        with self._lock:
            return [
                KeyRow(key, len(points.value), int(points.step[0]), int(points.step[-1]))
                for (of, key), points in self._points.items()
                if of == experiment_id
            ]

    def series(self, experiment_id: str, key: str, /, *, after: int = 0) -> Series:
        """Return the points of a key."""
        self._note("series")
        with self._lock:
            points = self._points.get((experiment_id, key), _Points())
            return Series(
                np.array(points.step[after:], dtype=np.int64),
                np.array(points.at[after:], dtype=np.int64),
                np.array(points.tokens[after:], dtype=np.float64),
                np.array(points.value[after:], dtype=np.float64),
                np.array(points.attempt[after:], dtype=np.int32),
                len(points.value),
            )

    def marks(self, experiment_id: str, /) -> list[ExperimentMark]:
        """Return the saves and notes."""
        return list(self._marks[experiment_id])

    @property
    def identity(self) -> None:
        """Return nothing: series of this store are shared with no other panel."""

    def version(self) -> int:
        """Return another number when anything was written."""
        self._note("version")
        return self._now

    def _note(self, what: str) -> None:
        self.asked.append(what)
        if self.broken is not None:
            raise self.broken
