"""Bringing checkpoints home: planned first, complete or absent, going on where it stopped, verified."""

from loops_nb.downloads.carrying import Download, DownloadedCheckpoint, carry_out
from loops_nb.downloads.planning import plan
from loops_nb.downloads.plans import CheckpointPlan, FilePlan, Plan
from loops_nb.downloads.progress import Progress, Reading, progress_here
from loops_nb.downloads.verifying import Verification, verify

__all__ = [
    "CheckpointPlan",
    "Download",
    "DownloadedCheckpoint",
    "FilePlan",
    "Plan",
    "Progress",
    "Reading",
    "Verification",
    "carry_out",
    "plan",
    "progress_here",
    "verify",
]
