"""Completions of a sampler: asked for, read, compared and shown."""

from __future__ import annotations

from loops_nb.sampling.completions import Completion, Completions
from loops_nb.sampling.methods import AsyncSamplersSampling, SamplersSampling
from loops_nb.sampling.side_by_side import SideBySide

__all__ = ["AsyncSamplersSampling", "Completion", "Completions", "SamplersSampling", "SideBySide"]
