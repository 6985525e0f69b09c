"""MLflow as a sink: its tracking store, as the variables and settings of MLflow name it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from loops_nb.tracking.entries import EndEntry, MarkEntry, SessionEntry, UpdateEntry, ValuesEntry, WriteSession, now
from loops_nb.tracking.params import flat_params, read_params

#: Of one request; together 1,000.
_MOST_METRICS, _MOST_PARAMS, _MOST_TAGS = 800, 100, 100
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
        self._step = 0
        self._params: dict[str, str] = {}
        #: What is to be sent.
        self._metrics: list[Any] = []
        self._new_params: list[Any] = []
        self._tags: dict[str, str] = {}
        self._set_params(read_params(session.params))
        self._send()

    def write(self, entries: Sequence[SessionEntry]) -> None:
        """Write entries; the end of the experiment ends the run."""
        for entry in entries:
            if isinstance(entry, ValuesEntry):
                self._step = entry.step
                self._metrics += [
                    self._entities.Metric(_key(key), float(value), entry.at, entry.step)
                    for key, value in entry.values.items()
                ]
            elif isinstance(entry, UpdateEntry) and entry.field == "params":
                self._set_params(entry.values)
            elif isinstance(entry, UpdateEntry):
                self._set_summary(entry.values)
            elif isinstance(entry, MarkEntry):
                name = "mlflow.note.content" if entry.kind == "note" else f"checkpoint.{_key(entry.text)}"
                self._tags[name] = entry.text if entry.kind == "note" else entry.uri or ""
            elif isinstance(entry, EndEntry):
                self._send()
                status = "FINISHED" if entry.outcome == "finished" else "FAILED"
                self._client.set_terminated(self._run_id, status, entry.at)
        self._send()

    def _send(self) -> None:
        """Send what waits in as few requests as MLflow's limits allow: each is a transaction of its store."""
        while self._metrics or self._new_params or self._tags:
            tags = list(self._tags.items())
            self._client.log_batch(
                self._run_id,
                metrics=self._metrics[:_MOST_METRICS],
                params=self._new_params[:_MOST_PARAMS],
                tags=[self._entities.RunTag(*tag) for tag in tags[:_MOST_TAGS]],
            )
            del self._metrics[:_MOST_METRICS], self._new_params[:_MOST_PARAMS]
            self._tags = dict(tags[_MOST_TAGS:])

    def _set_params(self, values: Mapping[str, Any]) -> None:
        for name, value in flat_params(values).items():
            key, text = _key(name), str(value)[:_LONGEST_PARAM]
            if key not in self._params:
                self._params[key] = text
                self._new_params.append(self._entities.Param(key, text))
            elif self._params[key] != text:
                # MLflow refuses another value for a parameter that has one.
                self._tags[f"params.{key}"[:_LONGEST_KEY]] = text

    def _set_summary(self, values: Mapping[str, Any]) -> None:
        at = now()
        for name, value in flat_params(values).items():
            key = f"summary.{_key(name)}"[:_LONGEST_KEY]
            number = _as_float(value)
            if number is None:
                self._tags[key] = str(value)[:_LONGEST_PARAM]
            else:
                self._metrics.append(self._entities.Metric(key, number, at, self._step))


def _as_float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _key(key: str) -> str:
    return _FORBIDDEN.sub("_", key)[:_LONGEST_KEY]
