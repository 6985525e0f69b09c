"""Experiments on this machine: what was trained, with which parameters, and every number on the way.

One SQLite file in the user's folder (`store_path`), written by a background thread of each process that logs, read by any number of
others at the same time.  No account, no network.
"""

from __future__ import annotations

from loops_nb.tracking.notices import TrackingWarning
from loops_nb.tracking.recording import Recording, begin
from loops_nb.tracking.rows import MARK_KINDS, ExperimentRow, KeyRow, Mark, Series, in_sight
from loops_nb.tracking.store import Store, store_path
from loops_nb.tracking.tracked import track

__all__ = [
    "MARK_KINDS",
    "ExperimentRow",
    "KeyRow",
    "Mark",
    "Recording",
    "Series",
    "Store",
    "TrackingWarning",
    "begin",
    "in_sight",
    "store_path",
    "track",
]
