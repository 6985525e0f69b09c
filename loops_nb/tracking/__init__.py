"""Experiments on this machine: parameters, metrics, checkpoints and notes of trainings, in one SQLite file.

The file is in the user's data folder (`store_path`).  A background thread of each process that logs writes it; any
number of processes may read it at the same time.  No account, no network.
"""

from __future__ import annotations

from loops_nb.tracking.experiment import Experiment
from loops_nb.tracking.location import store_path
from loops_nb.tracking.rows import MARK_KINDS, ExperimentMark, ExperimentRow, KeyRow, Series, without_archived
from loops_nb.tracking.sdk_hooks.track import track
from loops_nb.tracking.store import ExperimentStore
from loops_nb.tracking.warn import TrackingWarning

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
