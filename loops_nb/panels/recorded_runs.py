"""What this machine has recorded of runs and checkpoints of the service, for panels of listings."""

from __future__ import annotations

import logging
import math
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

from loops_nb.errors import LoopsError
from loops_nb.panels.columns import RecordedRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loops_nb.api.models import Checkpoint
    from loops_nb.panels.experiments.sparkline import Sparkline
    from loops_nb.panels.messages import Cell
    from loops_nb.tracking import ExperimentRow, ExperimentStore
    from loops_nb.tracking.rows import SeriesSummary

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
#: Runs with a sparkline, the newest first: each is read once as a whole.
_MOST_SPARKS = 100


class Records(ABC, Generic[T]):
    """Something that is recorded, by id; read again when something was written.

    A file that cannot be read leaves the columns empty: the panel is about the service.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._store: ExperimentStore | None = None
        self._version: int | None = None
        self._found: dict[str, T] = {}

    def has_news(self) -> bool:
        """Return whether anything was written since `read`; cheap."""
        try:
            with self._lock:
                return self._opened().version() != self._version
        except LoopsError:
            return False

    def read(self) -> Mapping[str, T]:
        """Return what is recorded, by id; values that did not change are the same objects."""
        try:
            with self._lock:
                store = self._opened()
                version = store.version()
                if version != self._version:
                    found = self._found_in(store)
                    if found != self._found:
                        self._found = {
                            key: self._found[key] if self._found.get(key) == value else value
                            for key, value in found.items()
                        }
                    self._version = version
        except LoopsError:
            _LOG.debug("What is recorded cannot be read.", exc_info=True)
        return self._found

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._store is not None:
                self._store.close()

    def _opened(self) -> ExperimentStore:
        if self._store is None:
            from loops_nb.tracking import ExperimentStore  # sqlite

            self._store = ExperimentStore()
        return self._store

    @abstractmethod
    def _found_in(self, store: ExperimentStore) -> dict[str, T]:
        """Return what a store has."""


class CheckpointLifetimes(Records[float]):
    """When checkpoints vanish, by their URI, in epoch milliseconds: the service does not say it."""

    def of(self, checkpoints: Mapping[str, Checkpoint]) -> dict[str, float]:
        """Return when checkpoints vanish, by their ids; those with a lifetime alone."""
        ends = self.read()
        if not ends:
            return {}
        return {key: end for key, found in checkpoints.items() if (end := ends.get(found.uri)) is not None}

    def _found_in(self, store: ExperimentStore) -> dict[str, float]:
        return {uri: float(at) for uri, at in store.lifetimes().items()}


class RunRecords(Records[RecordedRun]):
    """The newest experiment of each run."""

    def __init__(self) -> None:
        super().__init__()
        self._sparks: dict[tuple[str, str], Sparkline] = {}
        self._tokens: dict[str, int] = {}

    def _found_in(self, store: ExperimentStore) -> dict[str, RecordedRun]:
        newest: dict[str, ExperimentRow] = {}
        for row in store.experiments():
            if row.run_id:
                newest.setdefault(row.run_id, row)
        summaries = store.summaries().series if newest else {}
        found: dict[str, RecordedRun] = {}
        for place, (run_id, row) in enumerate(newest.items()):
            series = summaries.get(row.id, {})
            if not series:
                continue
            key = "loss" if "loss" in series else ""
            spark, tokens = self._spark(store, row.id, key) if key and place < _MOST_SPARKS else (None, None)
            step = max(of.last_step for of in series.values())
            found[run_id] = RecordedRun(_value(series.get(key)), step, spark, tokens)
        return found

    def _spark(self, store: ExperimentStore, experiment_id: str, key: str) -> tuple[str, int | None]:
        from loops_nb.panels.experiments.sparkline import Sparkline  # numpy

        spark = self._sparks.setdefault((experiment_id, key), Sparkline())
        fresh = store.series(experiment_id, key, after=spark.mark)
        # Points without tokens have NaN; what is recorded is the number trained on so far.
        told = [found for found in fresh.tokens.tolist() if math.isfinite(found)]
        if told:
            self._tokens[experiment_id] = max(int(max(told)), self._tokens.get(experiment_id, 0))
        spark.extend(fresh)
        return spark.text, self._tokens.get(experiment_id)


def _value(of: SeriesSummary | None) -> Cell:
    if of is None:
        return None
    value = of.last_value
    if value is None or math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")
