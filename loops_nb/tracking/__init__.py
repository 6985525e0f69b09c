"""Experiments on this machine: parameters, metrics, checkpoints and notes of trainings, in one SQLite file.

The file is in the user's data folder (`store_path`).  A background thread of each process that logs writes it; any
number of processes may read it at the same time.  No account, no network.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loops_nb.tracking.experiment import Experiment
    from loops_nb.tracking.location import store_path
    from loops_nb.tracking.rows import MARK_KINDS, ExperimentMark, ExperimentRow, KeyRow, Series, without_archived
    from loops_nb.tracking.sdk_hooks.track import track
    from loops_nb.tracking.store import ExperimentStore
    from loops_nb.tracking.warn import TrackingWarning

_MODULES = {
    "MARK_KINDS": "rows",
    "Experiment": "experiment",
    "ExperimentMark": "rows",
    "ExperimentRow": "rows",
    "ExperimentStore": "store",
    "KeyRow": "rows",
    "Series": "rows",
    "TrackingWarning": "warn",
    "store_path": "location",
    "track": "sdk_hooks.track",
    "without_archived": "rows",
}
__all__ = [
    "MARK_KINDS",
    "Experiment",
    "ExperimentMark",
    "ExperimentRow",
    "ExperimentStore",
    "KeyRow",
    "Series",
    "TrackingWarning",
    "store_path",
    "track",
    "without_archived",
]


def __getattr__(name: str) -> Any:
    # A panel of runs reads the file of experiments, and needs nothing of what writes it.
    if name in _MODULES:
        value = globals()[name] = getattr(import_module(f"loops_nb.tracking.{_MODULES[name]}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
