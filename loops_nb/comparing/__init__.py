"""Checkpoints beside each other: which tensors differ, how far the weights are apart, how they drift, which are the same."""

from __future__ import annotations

from loops_nb.comparing.changes import Change, changes
from loops_nb.comparing.comparison import Compared, Comparison, compare
from loops_nb.comparing.drifting import Drift, Drifted, drift
from loops_nb.comparing.duplicates import DuplicateGroup, Duplicates, duplicates
from loops_nb.comparing.summaries import By, ComparedSum, DriftedSum, sum_compared, sum_drifted
from loops_nb.comparing.weights import ranks_of

__all__ = [
    "By",
    "Change",
    "Compared",
    "ComparedSum",
    "Comparison",
    "Drift",
    "Drifted",
    "DriftedSum",
    "DuplicateGroup",
    "Duplicates",
    "changes",
    "compare",
    "drift",
    "duplicates",
    "ranks_of",
    "sum_compared",
    "sum_drifted",
]
