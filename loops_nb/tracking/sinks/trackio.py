"""Trackio as a sink: its database on this machine, or the Space or server that its variables name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from contextvars import Context
from typing import Any

from loops_nb.tracking.entries import EndEntry, MarkEntry, SessionEntry, UpdateEntry, ValuesEntry, WriteSession
from loops_nb.tracking.params import flat_params, read_params

#: Names of Trackio's own columns; it would warn at each point and rename them.
_RESERVED = frozenset({"project", "run", "timestamp", "step", "time", "metrics"})


class TrackioSink:
    """Writes the entries of one experiment to a run of Trackio; used on one thread.

    Trackio has no tags, notes or summaries: they are in the run's config, which its comparison of runs shows.

    Parameters
    ----------
    session : WriteSession
        The experiment.
    """

    def __init__(self, session: WriteSession) -> None:
        trackio = importlib.import_module("trackio")
        config = _config(flat_params(read_params(session.params)))
        config["loops_nb.experiment"] = session.id
        if session.tags:
            config["tags"] = ", ".join(session.tags)
        # In a context of its own: `init` finishes the run that is open in the one that it is called in.
        self._run: Any = Context().run(
            trackio.init,
            project=session.project or "loops_nb",
            name=session.name,
            config=config,
            resume="never",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        self._notes: list[str] = []
        self._step = 0
        self._is_config_new = True
        self._is_finished = False

    def write(self, entries: Sequence[SessionEntry]) -> None:
        """Write entries; the end of the experiment finishes the run."""
        for entry in entries:
            if isinstance(entry, ValuesEntry):
                self._step = entry.step
                self._run.log({_key(key): float(value) for key, value in entry.values.items()}, step=entry.step)
                self._is_config_new = False
            elif isinstance(entry, UpdateEntry):
                prefix = "summary." if entry.field == "summary" else ""
                self._configure({prefix + name: value for name, value in flat_params(entry.values).items()})
            elif isinstance(entry, MarkEntry) and entry.kind == "note":
                self._notes.append(entry.text)
                self._configure({"note": "\n".join(self._notes)})
            elif isinstance(entry, MarkEntry):
                self._configure({f"checkpoint.{entry.text}": entry.uri or ""})
            elif isinstance(entry, EndEntry):
                self._end()
        if self._is_finished and self._is_config_new:
            self._write_config()

    def _configure(self, values: Mapping[str, Any]) -> None:
        self._run.config.update(_config(values))
        # Trackio sends the config with the first point only; so the next one takes it along again.
        self._run._config_logged = False  # noqa: SLF001
        self._is_config_new = True

    def _write_config(self) -> None:
        self._run.log({}, step=self._step)
        self._is_config_new = False

    def _end(self) -> None:
        if self._is_config_new:
            self._write_config()
        self._run.finish()
        self._is_finished = True


def _config(values: Mapping[str, Any]) -> dict[str, Any]:
    # Trackio refuses names that begin with an underscore.
    return {f"param{name}" if name.startswith("_") else name: value for name, value in values.items()}


def _key(key: str) -> str:
    if key in _RESERVED:
        return f"{key}_"
    return f"metric{key}" if key.startswith("__") else key
