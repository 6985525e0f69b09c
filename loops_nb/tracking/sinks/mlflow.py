"""MLflow as a sink: its tracking store, as the variables and settings of MLflow name it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from loops_nb.tracking.entries import EndEntry, MarkEntry, SessionEntry, UpdateEntry, ValuesEntry, WriteSession, now
from loops_nb.tracking.params import flat_params, read_params

_MOST_METRICS, _MOST_PARAMS = 1_000, 100
_LONGEST_PARAM, _LONGEST_KEY = 6_000, 250
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
        self._params: dict[str, str] = {}
        self._step = 0
        self._set_params(read_params(session.params))

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
            if isinstance(entry, ValuesEntry):
                self._step = entry.step
            elif isinstance(entry, UpdateEntry) and entry.field == "params":
                self._set_params(entry.values)
            elif isinstance(entry, UpdateEntry):
                self._set_summary(entry.values)
            elif isinstance(entry, MarkEntry):
                name = "mlflow.note.content" if entry.kind == "note" else f"checkpoint.{_key(entry.text)}"
                self._client.set_tag(self._run_id, name, entry.text if entry.kind == "note" else entry.uri or "")
            elif isinstance(entry, EndEntry):
                status = "FINISHED" if entry.outcome == "finished" else "FAILED"
                self._client.set_terminated(self._run_id, status, entry.at)

    def _set_params(self, values: Mapping[str, Any]) -> None:
        texts = {_key(name): str(value)[:_LONGEST_PARAM] for name, value in flat_params(values).items()}
        for name, text in texts.items():
            if self._params.get(name, text) != text:
                # MLflow refuses another value for a parameter that has one.
                self._client.set_tag(self._run_id, f"params.{name}"[:_LONGEST_KEY], text)
        params = [self._entities.Param(name, text) for name, text in texts.items() if name not in self._params]
        for start in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(self._run_id, params=params[start : start + _MOST_PARAMS])
        self._params = texts | self._params

    def _set_summary(self, values: Mapping[str, Any]) -> None:
        at = now()
        for name, value in flat_params(values).items():
            key = f"summary.{_key(name)}"[:_LONGEST_KEY]
            number = _as_float(value)
            if number is None:
                self._client.set_tag(self._run_id, key, str(value)[:_LONGEST_PARAM])
            else:
                self._client.log_metric(self._run_id, key, number, at, self._step)


def _as_float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _key(key: str) -> str:
    return _FORBIDDEN.sub("_", key)[:_LONGEST_KEY]
