"""Downloads of checkpoints: planned first, files complete or absent, resumed where they stopped, verified."""

from loops_nb.checkpoints.transfer.executor import Download, DownloadedCheckpoint, execute_plan
from loops_nb.checkpoints.transfer.folder_verification import Verification, verify, verify_on_executor
from loops_nb.checkpoints.transfer.planner import plan
from loops_nb.checkpoints.transfer.plans import CheckpointPlan, DownloadPlan, FilePlan
from loops_nb.checkpoints.transfer.progress import DownloadProgress, ReadProgress

__all__ = [
    "CheckpointPlan",
    "Download",
    "DownloadPlan",
    "DownloadProgress",
    "DownloadedCheckpoint",
    "FilePlan",
    "ReadProgress",
    "Verification",
    "execute_plan",
    "plan",
    "verify",
    "verify_on_executor",
]
