"""Comparison of checkpoints: changed tensors, distances of weights, drift over steps, and duplicates."""

from __future__ import annotations

from loops_nb.checkpoints.compare.changes import TensorChange, changes, changes_on_executor
from loops_nb.checkpoints.compare.comparison import Comparison, ComparisonRow, compare
from loops_nb.checkpoints.compare.drift import Drift, DriftRow, drift
from loops_nb.checkpoints.compare.duplicates import DuplicateGroup, Duplicates, duplicates
from loops_nb.checkpoints.compare.summary import (
    By,
    ComparisonSummary,
    DriftSummary,
    summarize_comparison,
    summarize_drift,
)
from loops_nb.checkpoints.compare.weights import ranks_of

__all__ = [
    "By",
    "Comparison",
    "ComparisonRow",
    "ComparisonSummary",
    "Drift",
    "DriftRow",
    "DriftSummary",
    "DuplicateGroup",
    "Duplicates",
    "TensorChange",
    "changes",
    "changes_on_executor",
    "compare",
    "drift",
    "duplicates",
    "ranks_of",
    "summarize_comparison",
    "summarize_drift",
]
