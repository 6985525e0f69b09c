"""What this machine has recorded of the runs of the service: last loss, last step and a sparkline of each."""

from __future__ import annotations

import logging
import math
import threading
from typing import TYPE_CHECKING

from loops_nb.errors import LoopsError
from loops_nb.panels.columns import RecordedRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loops_nb.panels.experiments.sparkline import Sparkline
    from loops_nb.panels.messages import Cell
    from loops_nb.tracking import ExperimentRow, ExperimentStore
    from loops_nb.tracking.rows import SeriesSummary

_LOG = logging.getLogger(__name__)
#: Runs with a sparkline, the newest first: each is read once as a whole.
_MOST_SPARKS = 100


class RunRecords:
    """The newest experiment of each run; read again when something was written.

    A file that cannot be read leaves the columns empty: the panel is about the service.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._store: ExperimentStore | None = None
        self._version: int | None = None
        self._found: dict[str, RecordedRun] = {}
        self._sparks: dict[tuple[str, str], Sparkline] = {}
        self._tokens: dict[str, int] = {}

    def has_news(self) -> bool:
        """Return whether anything was written since `read`; cheap."""
        try:
            with self._lock:
                return self._opened().version() != self._version
        except LoopsError:
            return False

    def read(self) -> Mapping[str, RecordedRun]:
        """Return what is recorded, by the id of the run; values that did not change are the same objects."""
        try:
            with self._lock:
                store = self._opened()
                version = store.version()
                if version != self._version:
                    self._take_in(store)
                    self._version = version
        except LoopsError:
            _LOG.debug("The experiments of runs cannot be read.", exc_info=True)
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

    def _take_in(self, store: ExperimentStore) -> None:
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
            made = RecordedRun(_value(series.get(key)), step, spark, tokens)
            found[run_id] = self._found[run_id] if self._found.get(run_id) == made else made
        if found != self._found:
            self._found = found

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
