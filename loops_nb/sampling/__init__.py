"""Sampling: requests to samplers, completions, their frames and their display."""

from __future__ import annotations

from loops_nb.sampling.completion import Completion
from loops_nb.sampling.completions import Completions
from loops_nb.sampling.side_by_side import SideBySide

__all__ = ["Completion", "Completions", "SideBySide"]
