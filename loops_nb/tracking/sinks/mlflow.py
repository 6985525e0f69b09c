"""MLflow as a sink: its tracking store, as the variables and settings of MLflow name it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Any

from loops_nb.tracking.entries import EndEntry, MarkEntry, SessionEntry, ValuesEntry, WriteSession
from loops_nb.tracking.params import flat_params, read_params

_MOST_METRICS, _MOST_PARAMS = 1_000, 100
_LONGEST_PARAM = 6_000
_FORBIDDEN = re.compile(r"[^\w\-. :/]")


class MlflowSink:
    """Writes the entries of one experiment to a run of MLflow; used on one thread.

    Parameters
    ----------
    session : WriteSession
        The experiment.
    """

    def __init__(self, session: WriteSession) -> None:
        mlflow = importlib.import_module("mlflow")
        self._entities: Any = importlib.import_module("mlflow.entities")
        self._client: Any = mlflow.MlflowClient()
        name = session.project or "loops_nb"
        experiment = self._client.get_experiment_by_name(name)
        experiment_id = self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        tags = {"mlflow.runName": session.name, "loops_nb.experiment": session.id, **dict.fromkeys(session.tags, "")}
        run = self._client.create_run(experiment_id, start_time=session.created_at, tags=tags, run_name=session.name)
        self._run_id: str = run.info.run_id
        params = [
            self._entities.Param(_key(name), str(value)[:_LONGEST_PARAM])
            for name, value in flat_params(read_params(session.params)).items()
        ]
        for start in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(self._run_id, params=params[start : start + _MOST_PARAMS])

    def write(self, entries: Sequence[SessionEntry]) -> None:
        """Write entries; the end of the experiment ends the run."""
        points = [
            self._entities.Metric(_key(key), float(value), entry.at, entry.step)
            for entry in entries
            if isinstance(entry, ValuesEntry)
            for key, value in entry.values.items()
        ]
        for start in range(0, len(points), _MOST_METRICS):
            self._client.log_batch(self._run_id, metrics=points[start : start + _MOST_METRICS])
        for entry in entries:
            if isinstance(entry, MarkEntry):
                name = "mlflow.note.content" if entry.kind == "note" else f"checkpoint.{_key(entry.text)}"
                self._client.set_tag(self._run_id, name, entry.text if entry.kind == "note" else entry.uri or "")
            elif isinstance(entry, EndEntry):
                status = "FINISHED" if entry.outcome == "finished" else "FAILED"
                self._client.set_terminated(self._run_id, status, entry.at)


def _key(key: str) -> str:
    return _FORBIDDEN.sub("_", key)[:250]
